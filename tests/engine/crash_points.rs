//! What is left of a vault whose process was stopped: at each access to a file of its own, and at random moments while it
//! commits.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use mirrordna::record::Kind;
use mirrordna::record::id::SeededIds;
use mirrordna::storage::{
    Durability, Expect, FileAccess, NOW, OpenOptions, Operation, RocksStorage, Storage, StorageError, SystemFiles,
};

use super::support::{
    assert_clean, commit, copy_dir, crash_copy, create, files_of, memory, open, options, put_memory, scratch, write,
};

/// Files of which the write with a certain number fails.
#[derive(Default)]
struct Failing {
    writes: AtomicUsize,
    /// Fails from this write on, for so many.
    fail: Mutex<Option<(usize, usize)>>,
}

impl FileAccess for Failing {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        SystemFiles.read(path)
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let n = self.writes.fetch_add(1, Ordering::Relaxed);
        match *self.fail.lock().unwrap() {
            Some((first, count)) if (first..first + count).contains(&n) => Err(io::Error::from_raw_os_error(5)),
            _ => SystemFiles.write(path, content),
        }
    }

    fn overwrite(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        // A missing file is no failure of the disk: it is written as a new one, which counts.
        std::fs::metadata(path).and_then(|_| self.write(path, content))
    }
}

fn with(files: &Arc<impl FileAccess + 'static>) -> OpenOptions {
    OpenOptions { files: Arc::clone(files) as Arc<dyn FileAccess>, ..options() }
}

#[test]
fn a_vault_whose_creation_failed_is_no_vault_and_is_made_by_the_next_one() {
    for n in 0..3 {
        let dir = scratch();
        let files = Arc::new(Failing { fail: Mutex::new(Some((n, 1))), ..Failing::default() });
        let error = RocksStorage::create(dir.path(), &with(&files), &SeededIds::new(1)).err().unwrap();
        assert!(matches!(error, StorageError::Io { .. }), "{error}");
        let error = RocksStorage::open(dir.path(), &options()).err().unwrap();
        assert!(matches!(error, StorageError::NotAVault { .. }), "{error}");
        std::fs::write(dir.path().join("VAULT.tmp"), b"Mirror").unwrap();
        let storage = create(dir.path());
        write(&storage, "mem_a", "x");
        storage.close().unwrap();
        assert_clean(&open(dir.path()), &[]);
    }
}

/// A creation that is killed leaves RocksDB's files at some point of their making.
#[test]
fn a_creation_goes_on_from_whatever_rocksdb_had_made() {
    let whole = scratch();
    drop(create(whole.path()));
    std::fs::remove_file(whole.path().join("VAULT")).unwrap();
    for missing in [&["CURRENT"][..], &["CURRENT", "IDENTITY"], &["CURRENT", "IDENTITY", "MANIFEST", "OPTIONS"], &[""]]
    {
        let dir = scratch();
        copy_dir(whole.path(), dir.path()).unwrap();
        for file in files_of(&dir.path().join("db")) {
            if missing.iter().any(|missing| file.to_string_lossy().starts_with(missing)) {
                std::fs::remove_file(dir.path().join("db").join(file)).unwrap();
            }
        }
        assert_clean(&create(dir.path()), &[]);
    }
}

#[test]
fn a_vault_that_lost_its_marker_is_not_made_anew() {
    let dir = scratch();
    let storage = create(dir.path());
    write(&storage, "mem_a", "x");
    storage.close().unwrap();
    let marker = std::fs::read(dir.path().join("VAULT")).unwrap();
    std::fs::remove_file(dir.path().join("VAULT")).unwrap();
    let refused = |said: &str| {
        let error = RocksStorage::create(dir.path(), &options(), &SeededIds::new(1)).err().unwrap();
        assert!(matches!(error, StorageError::Occupied { .. }) && error.to_string().contains(said), "{error}");
    };
    refused("already holds a database without the file VAULT");
    let heads = ["HEAD.0", "HEAD.1"].map(|name| (name, std::fs::read(dir.path().join(name)).unwrap()));
    for (name, _) in &heads {
        std::fs::remove_file(dir.path().join(name)).unwrap();
    }
    refused("already holds a database without the file VAULT");
    for mine in ["mine", "db/mine"] {
        std::fs::write(dir.path().join(mine), b"x").unwrap();
        refused("already holds");
        std::fs::remove_file(dir.path().join(mine)).unwrap();
    }
    std::fs::write(dir.path().join("VAULT"), marker).unwrap();
    for (name, bytes) in &heads {
        std::fs::write(dir.path().join(name), bytes).unwrap();
    }
    assert!(open(dir.path()).head(Kind::Memory, "mem_a").unwrap().is_some());
}

#[test]
fn what_somebody_else_keeps_beside_a_lock_is_not_touched() {
    for names in [&["LOCK", "mine"][..], &["LOCK", "db/mine"], &["db/CURRENT"], &["HEAD.0"]] {
        let dir = scratch();
        for name in names {
            std::fs::create_dir_all(dir.path().join(name).parent().unwrap()).unwrap();
            std::fs::write(dir.path().join(name), b"x").unwrap();
        }
        let error = RocksStorage::create(dir.path(), &options(), &SeededIds::new(1)).err().unwrap();
        assert!(matches!(error, StorageError::Occupied { .. }), "{error}");
        assert_eq!(files_of(dir.path()).len(), names.len());
    }
}

#[test]
fn of_several_who_make_a_vault_in_one_place_one_does() {
    let dir = scratch();
    let patient = OpenOptions { lock_timeout: Duration::from_secs(60), ..options() };
    let make = |seed| RocksStorage::create(dir.path(), &patient, &SeededIds::new(seed))?.close();
    let make = &make;
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let makers: Vec<_> = (0..4).map(|seed| scope.spawn(move || make(seed))).collect();
        makers.into_iter().map(|maker| maker.join().unwrap()).collect()
    });
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    for error in outcomes.into_iter().filter_map(Result::err) {
        assert!(matches!(error, StorageError::Occupied { what: "a vault", .. }), "{error}");
    }
    assert_clean(&open(dir.path()), &[]);
}

#[test]
fn a_commit_that_cannot_mark_the_vault_as_in_use_changes_nothing_and_can_be_tried_again() {
    let dir = scratch();
    drop(create(dir.path()));
    let files = Arc::new(Failing { fail: Mutex::new(Some((0, 2))), ..Failing::default() });
    let storage = RocksStorage::open(dir.path(), &with(&files)).unwrap();
    let before = storage.state();
    for _ in 0..2 {
        let error = storage.commit(commit(vec![put_memory("mem_a", "x", Expect::Absent)], Durability::Sync));
        assert!(matches!(error, Err(StorageError::Io { .. })), "{error:?}");
        assert_eq!(storage.state(), before);
        assert_eq!(storage.version(Kind::Memory, "mem_a", NOW).unwrap(), None);
    }
    write(&storage, "mem_a", "x");
    assert_clean(&storage, &[]);
}

#[test]
fn a_close_that_fails_loses_nothing() {
    let dir = scratch();
    let files = Arc::new(Failing::default());
    let storage = RocksStorage::create(dir.path(), &with(&files), &SeededIds::new(1)).unwrap();
    let last = write(&storage, "mem_a", "x");
    *files.fail.lock().unwrap() = Some((files.writes.load(Ordering::Relaxed), usize::MAX >> 1));
    assert!(matches!(storage.close(), Err(StorageError::Io { .. })));
    let storage = open(dir.path());
    assert_eq!(storage.state().sequence, last + 1);
    assert_eq!(storage.log(last + 1, 1).unwrap()[0].operation, Operation::Epoch);
    assert_eq!(storage.version(Kind::Memory, "mem_a", NOW).unwrap().unwrap().json, memory("mem_a", "x").json);
    assert_clean(&storage, &[]);
}

/// Files that keep a copy of the whole vault before and after each write, half-written temporary files included.
struct Freezing {
    dir: PathBuf,
    copies: PathBuf,
    count: AtomicUsize,
}

impl Freezing {
    fn freeze(&self) {
        let n = self.count.fetch_add(1, Ordering::Relaxed);
        copy_dir(&self.dir, &self.copies.join(n.to_string())).unwrap();
    }
}

impl FileAccess for Freezing {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        SystemFiles.read(path)
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.freeze();
        std::fs::write(path.with_extension("tmp"), &content[..content.len() / 2])?;
        self.freeze();
        SystemFiles.write(path, content)?;
        self.freeze();
        Ok(())
    }

    fn overwrite(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        if !path.exists() {
            return SystemFiles.overwrite(path, content);
        }
        self.freeze();
        // Torn: half of the new content over the old one.
        let old = std::fs::read(path)?;
        let half = content.len() / 2;
        std::fs::write(path, [&content[..half], &old[half.min(old.len())..]].concat())?;
        self.freeze();
        SystemFiles.overwrite(path, content)?;
        self.freeze();
        Ok(())
    }
}

#[test]
fn frozen_at_any_write_of_its_own_files_a_vault_opens_with_all_that_was_acknowledged() {
    let home = scratch();
    let dir = home.path().join("vault");
    let copies = home.path().join("copies");
    let files = Arc::new(Freezing { dir: dir.clone(), copies: copies.clone(), count: AtomicUsize::new(0) });
    let frozen = || files.count.load(Ordering::Relaxed);
    // How much was acknowledged when the copies up to a number were made.
    let mut acknowledged = Vec::new();
    let mut storage = RocksStorage::create(&dir, &with(&files), &SeededIds::new(1)).unwrap();
    let created = frozen();
    for round in 0..3 {
        let sequence = write(&storage, &format!("mem_{round}"), "x");
        acknowledged.push((frozen(), sequence));
        storage.begin_epoch("test", "tester").unwrap();
        acknowledged.push((frozen(), sequence + 1));
        storage.close().unwrap();
        storage = RocksStorage::open(&dir, &with(&files)).unwrap();
        acknowledged.push((frozen(), sequence + 1));
    }
    drop(storage);
    for n in 0..frozen() {
        let copy = copies.join(n.to_string());
        if !copy.join("VAULT").exists() {
            assert!(n < created);
            assert!(RocksStorage::open(&copy, &options()).is_err());
            continue;
        }
        let storage = open(&copy);
        // A copy with the number n was made before anything counted at n + 1 or later was acknowledged.
        let least = acknowledged.iter().filter(|(count, _)| *count <= n).map(|(_, sequence)| *sequence).max();
        assert!(storage.state().sequence >= least.unwrap_or(0), "copy {n}");
        assert_clean(&storage, &[]);
        write(&storage, "mem_after", "x");
        storage.close().unwrap();
        assert_clean(&open(&copy), &[]);
    }
}

#[test]
fn epochs_count_up_over_one_crash_after_another() {
    let home = scratch();
    let mut dir = home.path().join("0");
    let mut storage = create(&dir);
    write(&storage, "mem_a", "0");
    let mut epoch = storage.state().epoch;
    for n in 1..6 {
        let next = home.path().join(n.to_string());
        crash_copy(&dir, &next);
        drop(storage);
        dir = next;
        storage = open(&dir);
        assert_eq!(storage.state().epoch, epoch + 1, "after crash {n}");
        let last = storage.log(storage.state().sequence, 1).unwrap().pop().unwrap();
        assert_eq!(last.operation, Operation::Epoch);
        assert!(last.detail.contains(&format!("\"epoch\":{}", epoch + 1)), "{}", last.detail);
        epoch += 1;
    }
    storage.begin_epoch("restored", "tester").unwrap();
    storage.close().unwrap();
    assert_eq!(open(&dir).state().epoch, epoch + 1);
}

/// An open vault whose newest epoch was begun on top of commits that are not durable yet: `HEAD` must not promise them.
#[test]
fn head_never_says_more_than_is_durable() {
    let home = scratch();
    let (dir, copies) = (home.path().join("vault"), home.path().join("copies"));
    let files = Arc::new(Freezing { dir: dir.clone(), copies, count: AtomicUsize::new(0) });
    let storage = RocksStorage::create(&dir, &with(&files), &SeededIds::new(1)).unwrap();
    storage.commit(commit(vec![put_memory("mem_a", "x", Expect::Any)], Durability::Buffered)).unwrap();
    assert_eq!(storage.state().durable, 0);
    storage.begin_epoch("test", "tester").unwrap();
    assert_eq!(storage.state().durable, 2);
    let head = |name: &str| u64::from_le_bytes(std::fs::read(dir.join(name)).unwrap()[26..34].try_into().unwrap());
    assert!(head("HEAD.0").max(head("HEAD.1")) <= 2);
}

type Ledger = Mutex<BTreeMap<String, u32>>;

/// Commits of one to four records that all get the same text; the ledger says which text a group must have at least.
fn commit_on(storage: &RocksStorage, ledger: &Ledger, stop: &AtomicBool, writer: u32) {
    for n in 0_u32.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let group = format!("w{writer}g{}", n % 7);
        let changes = (0..=n % 4).map(|m| put_memory(&format!("mem_{group}_{m}"), &n.to_string(), Expect::Any));
        let changes: Vec<_> = changes.collect();
        let size = changes.len();
        let durability = if n % 3 == 0 { Durability::Sync } else { Durability::Buffered };
        storage.commit(commit(changes, durability)).unwrap();
        ledger.lock().unwrap().insert(format!("{group}_{size}"), n);
        if n % 50 == 0 {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

fn compare(storage: &RocksStorage, ledger: &BTreeMap<String, u32>) {
    let text = |id: &str| -> Option<u32> {
        let version = storage.version(Kind::Memory, id, NOW).unwrap()?;
        let json = mirrordna::record::json::parse(&version.json).unwrap();
        json.str_at("content")?.parse().ok()
    };
    for (group, least) in ledger {
        let (name, size) = group.rsplit_once('_').unwrap();
        for member in 0..size.parse::<u32>().unwrap() {
            let found = text(&format!("mem_{name}_{member}"));
            assert!(found >= Some(*least), "{group}: acknowledged {least}, found {found:?}");
        }
    }
    // A commit is there as a whole or not at all: its entries of the log stand together up to the mark of its end.
    let mut from = 1;
    let mut open_commit = 0;
    loop {
        let entries = storage.log(from, 1_000).unwrap();
        let Some(last) = entries.last() else { break };
        from = last.sequence + 1;
        for entry in entries.iter().filter(|entry| entry.kind.is_some()) {
            let version = storage.version(Kind::Memory, &entry.id, entry.sequence).unwrap().unwrap();
            let json = mirrordna::record::json::parse(&version.json).unwrap();
            let n: u32 = json.str_at("content").unwrap().parse().unwrap();
            open_commit += 1;
            assert_eq!(entry.end_of_commit, open_commit == n % 4 + 1, "entry {}", entry.sequence);
            if entry.end_of_commit {
                open_commit = 0;
            }
        }
    }
    assert_eq!(open_commit, 0, "the log ends within a commit");
}

#[test]
fn copies_at_random_moments_hold_all_that_was_acknowledged() {
    let home = scratch();
    let dir = home.path().join("vault");
    let storage = create(&dir);
    let (ledger, stop) = (Ledger::default(), AtomicBool::new(false));
    let copies: Vec<_> = thread::scope(|scope| {
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let (storage, ledger, stop) = (&storage, &ledger, &stop);
                scope.spawn(move || commit_on(storage, ledger, stop, writer))
            })
            .collect();
        let mut copies = Vec::new();
        for n in 0..25_u64 {
            thread::sleep(Duration::from_millis(n * 7 % 23));
            let acknowledged = ledger.lock().unwrap().clone();
            let copy = home.path().join(n.to_string());
            crash_copy(&dir, &copy);
            copies.push((copy, acknowledged));
            assert!(!writers.iter().any(thread::ScopedJoinHandle::is_finished));
        }
        stop.store(true, Ordering::Relaxed);
        copies
    });
    let mut unclean = 0;
    for (copy, acknowledged) in copies {
        let storage = open(&copy);
        compare(&storage, &acknowledged);
        assert_clean(&storage, &[]);
        let last = storage.log(storage.state().sequence, 1).unwrap().pop();
        unclean += usize::from(last.is_some_and(|last| last.operation == Operation::Epoch));
    }
    assert!(unclean >= 24, "only {unclean} copies were recovered");
    compare(&storage, &ledger.into_inner().unwrap());
    assert_clean(&storage, &[]);
}
