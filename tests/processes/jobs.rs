//! Imports and restores: one at a time in a vault, alone where they must be, and never left half done.

use std::fmt::Write as _;
use std::fs;

use mirrordna::Vault;
use mirrordna::record::Kind;
use mirrordna::storage::{Commit, Durability, FileRows, Origin, PrunePolicy, Storage};
use mirrordna::vault::NewSnapshot;

use crate::child::Child;
use crate::support::{Bed, contents, wait_until, write};

const RECORDS: usize = 4_000;

/// A store folder with many memories.
fn store(bed: &Bed) -> String {
    let mut text = String::from("{");
    for n in 0..RECORDS {
        let id = format!("mem_{n:012}");
        let comma = if n == 0 { "" } else { "," };
        write!(
            text,
            r#"{comma}"{id}":{{"memory_id":"{id}","tier":"episodic","content":"c","source":{{
               "timestamp":"2026-01-01T00:00:00Z","session_id":"sess_000000000000",
               "agent_id":"mdna_agt_0123456789abcdef","user_id":"mdna_usr_0123456789abcdef"}}}}"#
        )
        .unwrap();
    }
    text.push('}');
    let folder = bed.path("store");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("memories.json"), text).unwrap();
    folder.display().to_string()
}

fn count(vault: &Vault) -> usize {
    vault.present().iter(Kind::Memory).count()
}

fn is_done(vault: &Vault) -> bool {
    vault.storage().intent().unwrap().is_none()
}

/// The importing process dies: the owner undoes the import, while it goes on serving.
#[test]
fn an_import_whose_process_dies_is_undone_by_the_owner() {
    let bed = Bed::new();
    let folder = store(&bed);
    let vault = bed.open();
    write(vault.storage(), "mem_000000000own", "a").unwrap();
    let mut child = Child::open(&bed.vault());
    child.say(&format!("import {folder}"));
    child.expect("importing");
    assert!(!is_done(&vault), "the import is known");
    // Others open the vault meanwhile, and take it for no business of theirs.
    let other = bed.open();
    write(other.storage(), "mem_0000000other", "a").unwrap();
    child.kill();
    wait_until("the import to be undone", || is_done(&vault) && count(&vault) == 2);
    drop((vault, other));
    bed.assert_clean();
}

/// The owner dies under an import: the import goes on with the next owner, and is whole.
#[test]
fn an_import_goes_on_when_the_owner_dies() {
    let bed = Bed::new();
    let folder = store(&bed);
    for kill in [true, false] {
        let owner = Child::open(&bed.vault());
        let mut importing = Child::open(&bed.vault());
        let vault = bed.open();
        importing.say(&format!("import {folder}"));
        importing.expect("importing");
        if kill {
            owner.kill();
        } else {
            owner.end();
        }
        assert_eq!(importing.answer().unwrap(), format!("imported {RECORDS}"));
        assert_eq!(count(&vault), RECORDS);
        assert!(is_done(&vault));
        for id in vault.present().iter(Kind::Memory).map(|item| item.unwrap().0).collect::<Vec<_>>() {
            vault.with_durability(Durability::Buffered).delete(Kind::Memory, &id).unwrap();
        }
        drop(vault);
        importing.end();
    }
    bed.assert_clean();
}

/// A vault in which much has changed since a snapshot.
fn changed() -> (Bed, Vault) {
    let bed = Bed::new();
    let vault = bed.open();
    for n in 0..RECORDS {
        write(vault.storage(), &format!("mem_{n:012}"), "then").unwrap();
    }
    vault.snapshots().create(NewSnapshot { id: Some("snap_then".into()), ..NewSnapshot::default() }).unwrap();
    for n in 0..RECORDS {
        write(vault.storage(), &format!("mem_{n:012}"), "now").unwrap();
    }
    (bed, vault)
}

fn assert_restored(vault: &Vault) {
    for n in 0..RECORDS {
        assert_eq!(contents(vault.storage(), &format!("mem_{n:012}"))[0], "then", "{n}");
    }
    assert!(is_done(vault));
}

/// The restoring process dies, or the owner does, or the owner closes the vault: in each case the restore is finished,
/// and nobody commits in the middle of it.
#[test]
fn a_restore_is_finished_whoever_dies() {
    for dies in ["the restoring one", "the owner", "nobody, but the owner closes"] {
        let (bed, vault) = changed();
        drop(vault);
        let mut owner = Child::open(&bed.vault());
        let mut restoring = Child::open(&bed.vault());
        let vault = bed.open();
        let before = vault.state().sequence;
        restoring.say("restore snap_then");
        // Before something is restored it would end with the process that wanted it.
        wait_until("the restore to begin", || vault.state().sequence > before);
        // Waits until the restore is over.
        owner.say("write mem_00000000late late");
        match dies {
            "the restoring one" => drop(restoring.kill()),
            "the owner" => {
                owner.kill();
                assert!(restoring.answer().unwrap().starts_with("restored"));
            }
            _ => {
                assert!(restoring.answer().unwrap().starts_with("restored"));
                owner.end();
            }
        }
        write(vault.storage(), "mem_0000000later", "later").unwrap();
        assert_restored(&vault);
        // In the log the restore is one piece.
        let log = vault.log(before + 1, usize::MAX).unwrap();
        let records: Vec<Origin> = log.iter().filter(|entry| entry.kind.is_some()).map(|entry| entry.origin).collect();
        let first = records.iter().position(|origin| *origin == Origin::Restore).unwrap();
        let end = first + records.iter().filter(|origin| **origin == Origin::Restore).count();
        assert!(records[first..end].iter().all(|origin| *origin == Origin::Restore), "{dies}: others came between");
        drop(vault);
        bed.assert_clean();
    }
}

/// Two processes restore at once: one after the other.
#[test]
fn two_restores_wait_for_each_other() {
    let (bed, vault) = changed();
    let mut one = Child::open(&bed.vault());
    let mut other = Child::open(&bed.vault());
    one.say("restore snap_then");
    other.say("restore snap_then");
    let (first, second) = (one.answer().unwrap(), other.answer().unwrap());
    let mut put = [first.as_str(), second.as_str()];
    put.sort_unstable();
    assert_eq!(put, ["restored 0", &format!("restored {RECORDS}")]);
    assert_restored(&vault);
}

/// A commit with a token that came before is not made again, also through the socket.
#[test]
fn tokens_are_known_to_whoever_owns_the_vault() {
    let bed = Bed::new();
    let (owner, client) = (bed.open(), bed.open());
    write(owner.storage(), "mem_000000000001", "a").unwrap();
    let delete = |storage: &dyn Storage| {
        storage.commit(Commit {
            seen: Vec::new(),
            changes: vec![mirrordna::storage::Change {
                kind: Kind::Memory,
                id: "mem_000000000001".to_owned(),
                action: mirrordna::storage::Action::Delete,
                expect: mirrordna::storage::Expect::Present,
                event: None,
            }],
            files: FileRows::default(),
            actor: "tester".to_owned(),
            origin: Origin::Direct,
            token: Some([7; 16]),
            durability: Durability::Sync,
        })
    };
    let first = delete(client.storage()).unwrap();
    assert_eq!(delete(owner.storage()).unwrap(), first);
    assert_eq!(delete(client.storage()).unwrap(), first);
    drop(owner);
    assert_eq!(delete(client.storage()).unwrap(), first);
    let pruned = client.prune(PrunePolicy { keep: Some(1), ..PrunePolicy::default() }).unwrap();
    assert_eq!((pruned.versions, pruned.kept), (1, 1));
    assert!(client.storage().stats().disk_bytes < 1 << 30);
}
