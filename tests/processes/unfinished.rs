//! Restores that fail in the middle: undone, or, where that fails too, known to all until they are.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mirrordna::artifacts::{FsError, ROOT, WriteOptions};
use mirrordna::record::{Kind, json};
use mirrordna::storage::{
    Action, Change, Changed, Commit, Durability, Expect, FileRows, Intent, NOW, Origin, PrunePolicy, Sequence,
    StorageError, Subscriber, prepare,
};
use mirrordna::vault::NewSnapshot;
use mirrordna::{Error, Vault};

use crate::child::Child;
use crate::disk::SmallDisk;
use crate::support::{Bed, memory, options, wait_until, write};

/// More than go into one commit of a restore, so that some of it is done when it fails.
const RECORDS: usize = 1_200;

fn id(n: usize) -> String {
    format!("mem_{n:012}")
}

/// Records and a file that have changed since a snapshot.
fn change(vault: &Vault, text: &str) {
    for content in ["then", "now"] {
        let vault = vault.with_durability(Durability::Buffered);
        for n in 0..RECORDS {
            write(vault.storage(), &id(n), &format!("{content}{}", if content == "then" { text } else { "" })).unwrap();
        }
        let files = vault.files();
        files.write("file", content.as_bytes()).unwrap();
        if content == "then" {
            vault.snapshots().create(NewSnapshot { id: Some("snap_then".into()), ..NewSnapshot::default() }).unwrap();
        }
    }
}

/// Damages the oldest version of a record, in a vault that is closed.
fn damage(bed: &Bed, id: &str) {
    damage_row(bed, "versions", id);
}

/// Damages the last row with an id in its key.
fn damage_row(bed: &Bed, family: &str, id: &str) {
    let dir = bed.vault().join("db");
    let families = rocksdb::DB::list_cf(&rocksdb::Options::default(), &dir).unwrap();
    let db = rocksdb::DB::open_cf(&rocksdb::Options::default(), &dir, families).unwrap();
    let family = db.cf_handle(family).unwrap();
    let rows = db.iterator_cf(family, rocksdb::IteratorMode::Start).map(|row| row.unwrap().0);
    let newest_first: Vec<_> = rows.filter(|key| key.windows(id.len()).any(|part| part == id.as_bytes())).collect();
    db.put_cf(family, newest_first.last().unwrap(), b"damaged").unwrap();
}

/// What a record says now.
fn content(vault: &Vault, n: usize) -> String {
    let version = vault.storage().version(Kind::Memory, &id(n), NOW).unwrap().unwrap();
    let record = json::parse(&version.json).unwrap();
    record.get("content").and_then(|content| content.as_str()).unwrap().to_owned()
}

fn assert_now(vault: &Vault) {
    assert!(vault.storage().intent().unwrap().is_none());
    for n in 0..RECORDS {
        assert_eq!(content(vault, n), "now", "{n}");
    }
    assert_eq!(vault.files().read("file").unwrap(), b"now");
}

/// Everything can be changed again, records and files.
fn assert_goes_on(vault: &Vault) {
    write(vault.storage(), "mem_0000000later", "later").unwrap();
    let files = vault.files();
    files.write("later", b"later").unwrap();
    assert_eq!(files.read("later").unwrap(), b"later");
    files.remove_file("later").unwrap();
    vault.storage().settle().unwrap();
}

#[test]
fn a_restore_that_fails_in_the_middle_is_undone() {
    for elsewhere in [false, true] {
        let bed = Bed::new();
        let vault = bed.open();
        change(&vault, "");
        drop(vault);
        // Others are restored before it.
        damage(&bed, &id(RECORDS - 100));
        let vault = bed.open();
        // Artifacts are at work, and in memory.
        let artifacts = vault.artifacts().unwrap();
        let before = vault.state().sequence;
        let said = if elsewhere {
            let mut restoring = Child::open(&bed.vault());
            restoring.say("restore snap_then");
            let said = restoring.answer().unwrap();
            restoring.end();
            said
        } else {
            vault.snapshots().restore("snap_then").unwrap_err().to_string()
        };
        assert!(said.contains("is damaged") && said.contains(&id(RECORDS - 100)), "{said}");
        assert!(vault.state().sequence > before + 500, "something was restored, and brought back");
        assert_now(&vault);
        assert_eq!(artifacts.lookup(ROOT, b"file").unwrap().size, 3);
        assert_goes_on(&vault);
        drop((artifacts, vault));
        assert_now(&bed.open());
    }
}

/// Up to where subscribers were waited for.
#[derive(Default)]
struct Settled(AtomicU64);

impl Subscriber for Settled {
    fn changed(&self, _changes: &[Changed]) {}

    fn settle(&self, upto: Sequence) {
        self.0.fetch_max(upto, Ordering::SeqCst);
    }
}

/// What a restore changed before it failed, and what undid it, is seen by all when its error is.
#[test]
fn a_restore_that_fails_waits_for_subscribers() {
    let bed = Bed::new();
    let vault = bed.open();
    change(&vault, "");
    drop(vault);
    damage(&bed, &id(RECORDS - 100));
    let vault = bed.open();
    let settled = Arc::new(Settled::default());
    let subscriber: Arc<dyn Subscriber> = Arc::<Settled>::clone(&settled);
    vault.subscribe(&subscriber).unwrap();
    vault.snapshots().restore("snap_then").unwrap_err();
    assert_eq!(settled.0.load(Ordering::SeqCst), vault.state().sequence);
}

/// A vault with a restore that cannot be finished and that nobody is at, in which `change` was changed since it began.
fn interrupted(bed: &Bed, change: impl FnOnce(&Vault)) -> Vault {
    let vault = bed.open();
    self::change(&vault, "");
    drop(vault);
    damage(bed, &id(RECORDS - 100));
    let vault = bed.open();
    let target = vault.snapshots().get("snap_then").unwrap().sequence;
    let start = Some(vault.storage().sync().unwrap());
    vault.storage().set_intent(Some(&Intent::Restore { target, start })).unwrap();
    change(&vault);
    vault
}

/// What a process left that died in the middle is undone at opening when it cannot be finished.
#[test]
fn a_restore_that_cannot_be_finished_is_undone_at_opening() {
    let bed = Bed::new();
    drop(interrupted(&bed, |_| {}));
    let vault = bed.open();
    assert_now(&vault);
    assert_goes_on(&vault);
}

/// The same after a crash in the middle, which has an epoch of its own begin.
#[test]
fn a_restore_that_a_crash_interrupted_is_undone_when_it_cannot_be_finished() {
    let bed = Bed::new();
    let _vault = interrupted(&bed, |vault| {
        for n in 0..100 {
            write(vault.storage(), &id(n), "half").unwrap();
        }
    });
    let crashed = bed.path("crashed");
    assert!(std::process::Command::new("cp").arg("-a").arg(bed.vault()).arg(&crashed).status().unwrap().success());
    let vault = Vault::open(&crashed, &options()).unwrap();
    assert_now(&vault);
    assert_goes_on(&vault);
}

/// An import that can be neither finished nor undone keeps nobody waiting.
#[test]
fn an_import_that_cannot_be_undone_lets_others_go_on() {
    let bed = Bed::new();
    let vault = bed.open();
    change(&vault, "");
    drop(vault);
    let vault = bed.open();
    let since = vault.storage().sync().unwrap();
    vault.storage().set_intent(Some(&Intent::Import { since })).unwrap();
    let imported = "mem_0000imported";
    let prepared = prepare(Kind::Memory, imported, &memory(imported, "new"), false).unwrap();
    let action = Action::Put(Box::new(prepared));
    let change = Change { kind: Kind::Memory, id: imported.to_owned(), action, expect: Expect::Absent, event: None };
    let commit = Commit {
        seen: Vec::new(),
        changes: vec![change],
        files: FileRows::default(),
        actor: "tester".to_owned(),
        origin: Origin::Import,
        token: None,
        durability: Durability::Sync,
    };
    vault.storage().commit(commit).unwrap();
    drop(vault);
    // What says that it is there cannot be read.
    damage_row(&bed, "heads", imported);
    let vault = bed.open();
    assert!(vault.storage().intent().unwrap().is_some());
    assert_goes_on(&vault);
}

#[test]
fn while_a_restore_can_be_neither_finished_nor_undone_all_are_told_why() {
    let bed = Bed::new();
    let Some(disk) = SmallDisk::mount(&bed.path("disk"), "400m") else { return };
    let dir = disk.0.join("vault");
    let vault = Vault::create(&dir, &options()).unwrap();
    let mut text = String::new();
    while text.len() < 40_000 {
        write!(text, " {}", text.len()).unwrap();
    }
    change(&vault, &text);
    let artifacts = vault.artifacts().unwrap();
    let file = artifacts.lookup(ROOT, b"file").unwrap().ino;
    let mut filled = false;
    let failed = vault.snapshots().restore_with("snap_then", &mut |done, _| {
        if done > 600 && !filled {
            filled = true;
            disk.fill(0).unwrap();
        }
    });
    let failed = failed.unwrap_err();
    assert!(filled && matches!(failed, Error::HalfRestored { .. }), "{failed}");
    let said = failed.to_string();
    assert!(said.contains("no space left") && !said.contains("nothing was changed"), "{said}");
    // Nobody waits: what is there can be read, and changes are refused.
    let mut bytes = [0; 4];
    let read = artifacts.read(file, 0, &mut bytes).unwrap();
    assert!([b"then".as_slice(), b"now"].contains(&&bytes[..read]));
    let began = Instant::now();
    wait_until("changes to be refused", || {
        matches!(
            write(vault.storage(), "mem_00000refused", "x"),
            Err(StorageError::NoSpace { .. } | StorageError::Engine { .. })
        )
    });
    let refused = artifacts.write(file, 0, b"x", WriteOptions::default()).unwrap_err();
    assert!(matches!(refused, FsError::NoSpace | FsError::Storage(_)), "{refused}");
    assert!(artifacts.unlink(ROOT, b"file").is_err());
    // What brings the vault back is not dropped to make room.
    let pruned = vault.prune(PrunePolicy::default()).unwrap_err();
    assert!(matches!(pruned, Error::Storage(StorageError::Locked { .. })), "{pruned}");
    // Others may open it and look.
    let mut other = Child::open(&dir);
    other.say("state");
    assert!(other.answer().is_some());
    other.end();
    artifacts.forget(file, 1);
    assert!(began.elapsed() < Duration::from_secs(20));
    disk.relieve();
    // The engine may ask to be opened again after a full disk.
    let deadline = Instant::now() + Duration::from_secs(15);
    while vault.storage().intent().unwrap().is_some() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
    let (vault, artifacts) = if vault.storage().intent().unwrap().is_some() {
        drop((artifacts, vault));
        let vault = Vault::open(&dir, &options()).unwrap();
        let artifacts = vault.artifacts().unwrap();
        (vault, artifacts)
    } else {
        (vault, artifacts)
    };
    assert!(vault.storage().intent().unwrap().is_none());
    // All of it, or nothing.
    let first = content(&vault, 0);
    for n in 0..RECORDS {
        assert_eq!(content(&vault, n), first, "{n}");
    }
    let wanted = if first == "now" { "now" } else { "then" };
    assert_eq!(vault.files().read("file").unwrap(), wanted.as_bytes());
    assert_goes_on(&vault);
    assert_eq!(artifacts.lookup(ROOT, b"file").unwrap().size, wanted.len() as u64);
    assert!(vault.storage().version(Kind::Memory, "mem_00000refused", NOW).unwrap().is_none());
    drop((artifacts, vault));
    let report = mirrordna::verify::verify(&dir, &options(), &mut |_, _| {}).unwrap();
    assert!(report.is_clean(), "{:?}", &report.faults[..report.faults.len().min(3)]);
}
