//! An import that does not end leaves nothing behind.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;

use mirrordna::interchange::{Silent, import_store};
use mirrordna::record::{Kind, Value, json};
use mirrordna::storage::{Durability, Intent, Operation, Origin};
use mirrordna::{Error, Vault};

use crate::support::{Fixture, STRICT, everything, memories, memory, options};

/// Where the child finds the vault, and where the store.
const CHILD_VAULT: &str = "MIRRORDNA_TEST_CRASH_VAULT";
const CHILD_STORE: &str = "MIRRORDNA_TEST_CRASH_STORE";

fn record(id: &str) -> Value {
    json::parse(memory(id, "mine").as_bytes()).unwrap()
}

/// Stops an import once so many of its records are in the log.
fn stop_after(vault: &Vault, records: u64) -> impl FnMut(u64, u64) -> ControlFlow<()> {
    let (vault, start) = (vault.clone(), vault.state().sequence);
    move |done, total| {
        assert!(done <= total);
        if vault.state().sequence >= start + records { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

#[test]
fn a_stopped_import_is_undone_and_what_others_did_meanwhile_stays() {
    let fixture = Fixture::new();
    let vault = &fixture.vault;
    vault.put(Kind::Memory, record("mem_own000000000")).unwrap();
    let store = fixture.store(&[("memories.json", &memories(5_000))]);
    let mut stop = stop_after(vault, 3_000);
    let other = vault.clone();
    let mut changed = false;
    let stopped = import_store(vault, &store, &STRICT, &mut |done, total| {
        if !changed && other.state().sequence > 1_000 {
            changed = true;
            other.put(Kind::Memory, record("mem_another00000")).unwrap();
            other.memories().archive("mem_000000000003").unwrap();
        }
        stop(done, total)
    });
    let error = stopped.unwrap_err();
    assert!(matches!(error, Error::Interrupted { .. }));
    assert_eq!(error.to_string(), "interrupted; nothing was imported");
    // The imported record that somebody changed is theirs now.
    assert_eq!(fixture.ids(Kind::Memory), ["mem_own000000000", "mem_000000000003", "mem_another00000"]);
    assert_eq!(vault.storage().intent().unwrap(), None);
    let newest = vault.log(vault.state().sequence, 1).unwrap();
    assert_eq!((newest[0].operation, newest[0].origin), (Operation::Delete, Origin::Rollback));

    // And it can be imported after all: the one that was kept differs.
    let report = fixture.import(&store, STRICT).unwrap();
    assert_eq!((report.total().taken, report.total().refused), (4_999, 1));
    let found = mirrordna::verify::verify_storage(vault.storage(), &mut |_, _| {}).unwrap();
    assert!(found.is_clean(), "{:?}", found.faults);
}

#[test]
fn an_import_left_behind_by_a_crash_is_undone_when_the_vault_is_opened() {
    let fixture = Fixture::new();
    let vault = fixture.vault.with_durability(Durability::Buffered);
    vault.put(Kind::Memory, record("mem_own000000000")).unwrap();
    let since = vault.state().sequence;
    fixture.import(&fixture.store(&[("memories.json", &memories(2_500))]), STRICT).unwrap();
    vault.put(Kind::Memory, record("mem_after0000000")).unwrap();
    // As if the process had died before it took the note away.
    vault.storage().set_intent(Some(&Intent::Import { since })).unwrap();
    drop(vault);
    let fixture = fixture.reopen();
    assert_eq!(fixture.ids(Kind::Memory), ["mem_own000000000", "mem_after0000000"]);
    assert_eq!(fixture.vault.storage().intent().unwrap(), None);
    let sequence = fixture.vault.state().sequence;
    let fixture = fixture.reopen();
    assert_eq!(fixture.vault.state().sequence, sequence, "undone once");
}

/// The body of the process that dies: imports, and aborts in the middle. Run by the test below only.
#[test]
fn child_that_dies_in_an_import() {
    let (Some(dir), Some(store)) = (std::env::var_os(CHILD_VAULT), std::env::var_os(CHILD_STORE)) else { return };
    let vault = Vault::open(&PathBuf::from(dir), &options()).unwrap();
    vault.put(Kind::Memory, record("mem_before000000")).unwrap();
    let mut stop = stop_after(&vault, 4_000);
    let _ = import_store(&vault, Path::new(&store), &STRICT, &mut |done, total| {
        if stop(done, total).is_break() {
            // No destructor runs and nothing is flushed, as with SIGKILL.
            std::process::abort();
        }
        ControlFlow::Continue(())
    });
    unreachable!("the import went on");
}

#[test]
fn a_process_that_dies_in_an_import_leaves_nothing_of_it() {
    let fixture = Fixture::new();
    let store = fixture.store(&[("memories.json", &memories(10_000))]);
    fixture.vault.put(Kind::Memory, record("mem_own000000000")).unwrap();
    let Fixture { dir, vault } = fixture;
    drop(vault);
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "all_or_nothing::child_that_dies_in_an_import", "--nocapture"])
        .env(CHILD_VAULT, dir.path().join("vault"))
        .env(CHILD_STORE, &store)
        .output()
        .unwrap();
    assert!(!status.status.success() && status.status.code().is_none(), "{status:?}");
    let vault = Vault::open(&dir.path().join("vault"), &options()).unwrap();
    let left: Vec<_> = everything(&vault).into_iter().map(|(_, id, _)| id).collect();
    assert_eq!(left, ["mem_before000000", "mem_own000000000"]);
    assert!(vault.state().sequence > 4_000, "it had begun, and history keeps what was undone");
    let found = mirrordna::verify::verify_storage(vault.storage(), &mut |_, _| {}).unwrap();
    assert!(found.is_clean(), "{:?}", found.faults);
    let fixture = Fixture { dir, vault };
    assert_eq!(import_store(&fixture.vault, &store, &STRICT, &mut Silent).unwrap().total().taken, 10_000);
}

#[test]
fn imports_and_restores_wait_for_each_other() {
    let fixture = Fixture::new();
    let vault = &fixture.vault;
    let snapshot = vault.snapshots().create(mirrordna::vault::NewSnapshot::default()).unwrap();
    let store = fixture.store(&[("memories.json", &memories(4_000))]);
    std::thread::scope(|scope| {
        scope.spawn(|| import_store(vault, &store, &STRICT, &mut Silent).unwrap());
        scope.spawn(|| vault.snapshots().restore(&snapshot.id).unwrap());
    });
    let count = fixture.ids(Kind::Memory).len();
    assert!(count == 0 || count == 4_000, "one after the other: {count}");
    assert_eq!(vault.storage().intent().unwrap(), None);
}
