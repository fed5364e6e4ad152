//! Damage to any file of a closed vault is found or harmless: never wrong data, never silently fewer records.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use mirrordna::record::{Checksum, FileType, Kind};
use mirrordna::storage::{
    Dentry, Durability, Expect, LogEntry, NOW, OpenOptions, Operation, Order, Posting, PrunePolicy, RocksStorage,
    Selection, Sequence, Storage, StorageError, Version,
};

use super::files::{Files, noise};
use super::support::{
    Found, Memory, commit, create, delete, files_of, open, options, prepared, put, put_memory, scratch, snapshot,
};

const FLIPS: usize = 2_400;

/// A few hundred records with updates, deletions, archived ones and a prune, in several generations of files.
fn build(dir: &Path) -> Sequence {
    drop(create(dir));
    let mut pin = 0;
    // Few generations, and the first without deletions, so that nothing is compacted in the background of a vault that was
    // just opened: RocksDB waits a second after each compaction that fails.
    for session in 0..2 {
        let storage = open(dir);
        for first in (0..240).step_by(24) {
            let changes = (first..first + 24).filter(|n| (n + session) % 3 != 1 || session == 0).map(|n| {
                let id = format!("mem_{n:04}");
                let memory = Memory {
                    tier: ["short_term", "long_term", "episodic"][(n + session) % 3],
                    tags: vec![["red", "green", "blue"][n % 3]],
                    time: Some(1_700_000_000_000_000 + i64::try_from(n * session).unwrap()),
                    archived: n % 13 == 0,
                    content: format!("{session} {n} {}", "quite ordinary text ".repeat(n % 9)),
                    ..Memory::default()
                };
                put(Kind::Memory, &id, memory.prepared(&id), Expect::Any)
            });
            storage.commit(commit(changes.collect(), Durability::Buffered)).unwrap();
        }
        for n in 0..60 {
            let id = format!("mc_{n}");
            let citation = prepared(Kind::Citation, &id, &format!(r#"{{"vault_id":"v{session}","tags":["t{n}"]}}"#));
            storage
                .commit(commit(vec![put(Kind::Citation, &id, citation, Expect::Any)], Durability::Buffered))
                .unwrap();
        }
        if session == 0 {
            pin = storage.state().sequence;
            storage.commit(commit(vec![snapshot("snap_pin", pin)], Durability::Buffered)).unwrap();
        } else {
            let gone = (0..240).step_by(7).map(|n| delete(Kind::Memory, &format!("mem_{n:04}"), Expect::Present));
            storage.commit(commit(gone.collect(), Durability::Buffered)).unwrap();
            build_files(&storage);
            storage.prune(PrunePolicy { keep: Some(1), ..PrunePolicy::default() }, "tester").unwrap();
            storage.commit(commit(vec![put_memory("mem_last", "last", Expect::Absent)], Durability::Buffered)).unwrap();
        }
        storage.close().unwrap();
    }
    pin
}

/// A few files with an old and a new content.
fn build_files(storage: &RocksStorage) {
    let mut files = Files::default();
    files.make(1, FileType::Directory, 0, b"");
    for ino in 2..8 {
        files.make(ino, FileType::Regular, 1, format!("file {ino}").as_bytes());
        files.write(storage, ino, 0, &noise(ino, 700));
        files.write(storage, ino, ino * 100, &noise(ino + 100, 300));
    }
    files.commit(storage, Durability::Buffered);
    for ino in 3..6 {
        files.write(storage, ino, 0, &noise(ino + 200, 900));
        files.unlink(ino + 2, 1, format!("file {}", ino + 2).as_bytes());
        files.link(ino + 2, 1, format!("other {ino}").as_bytes());
    }
    files.commit(storage, Durability::Sync);
}

/// Everything that a vault says.

#[derive(Debug, PartialEq)]
struct Content {
    log: Vec<LogEntry>,
    root: Checksum,
    early_root: Checksum,
    histories: Vec<(Kind, String, Vec<Version>)>,
    lists: Vec<Vec<Posting>>,
    newest: Vec<Option<Version>>,
    files: Vec<(Vec<u8>, Dentry, Vec<Vec<u8>>)>,
}

impl Content {
    /// Reads all of it: the log up to `size`, since a recovery adds an entry of its own.
    fn read(storage: &RocksStorage, size: Sequence) -> Result<Self, StorageError> {
        let mut histories = Vec::new();
        let mut newest = Vec::new();
        let mut lists = Vec::new();
        for kind in [Kind::Memory, Kind::Citation, Kind::Artifact] {
            for (id, head) in storage.heads(kind, None, usize::MAX)? {
                newest.push(storage.version(kind, &id, NOW)?);
                assert_eq!(storage.head(kind, &id)?, Some(head));
                let versions = storage.history(kind, &id, NOW, usize::MAX)?;
                histories.push((kind, id, versions));
            }
            for order in [Order::Log, Order::LogReversed, Order::NewestTime] {
                if kind == Kind::Artifact {
                    break;
                }
                lists.push(storage.select(&Selection { order, ..Selection::all(kind) }, None, usize::MAX)?);
            }
        }
        for (index, term) in [(0x0301, "episodic"), (0x0305, "red"), (0x0305, "green")] {
            let terms = vec![(index, term.to_owned())];
            lists.push(storage.select(&Selection { terms, ..Selection::all(Kind::Memory) }, None, usize::MAX)?);
        }
        let mut files = Vec::new();
        for (name, dentry) in storage.dentries(1, None, usize::MAX, NOW)? {
            assert_eq!(storage.dentry(1, &name, NOW)?, Some(dentry));
            let mut content = Vec::new();
            for (_, pieces) in storage.extents(dentry.ino, 0, usize::MAX, NOW)? {
                for piece in pieces {
                    content.push(storage.read_piece(&piece, 0, piece.len)?);
                }
            }
            files.push((name, dentry, content));
        }
        let mut log = storage.log(1, usize::MAX)?;
        log.truncate(usize::try_from(size).unwrap());
        Ok(Self {
            log,
            root: storage.root(size)?,
            early_root: storage.root(size / 2)?,
            histories,
            lists,
            newest,
            files,
        })
    }
}

/// A vault that is put back after each damage.
struct Patient {
    home: tempfile::TempDir,
    files: Vec<PathBuf>,
    size: Sequence,
    pin: Sequence,
    healthy: Content,
    /// How damage showed itself: at opening, when reading, in the check, not at all.
    outcomes: [usize; 4],
}

impl Patient {
    fn new() -> Self {
        let home = scratch();
        let original = home.path().join("original");
        let pin = build(&original);
        // What is healthy is read from a copy, since opening a vault writes to it.
        let mut patient = Self {
            files: files_of(&original),
            home,
            size: 0,
            pin,
            healthy: Content {
                log: Vec::new(),
                root: Checksum([0; 32]),
                early_root: Checksum([0; 32]),
                histories: Vec::new(),
                lists: Vec::new(),
                newest: Vec::new(),
                files: Vec::new(),
            },
            outcomes: [0; 4],
        };
        patient.put_back(None);
        let storage = open(&patient.dir());
        patient.size = storage.state().sequence;
        patient.healthy = Content::read(&storage, patient.size).unwrap();
        assert!(patient.healthy.histories.len() >= 300 && patient.size > 500 && patient.healthy.files.len() == 6);
        patient
    }

    fn original(&self) -> PathBuf {
        self.home.path().join("original")
    }

    fn dir(&self) -> PathBuf {
        self.home.path().join("patient")
    }

    /// Makes the vault as it was but for one file. RocksDB never writes into an existing table, so these are links.
    fn put_back(&self, without: Option<&Path>) {
        let (from, to) = (self.original(), self.dir());
        let _ = fs::remove_dir_all(&to);
        for dir in ["db", "segments"] {
            fs::create_dir_all(to.join(dir)).unwrap();
        }
        for file in self.files.iter().filter(|file| Some(file.as_path()) != without) {
            if file.extension().is_some_and(|ending| ending == "sst") {
                fs::hard_link(from.join(file), to.join(file)).unwrap();
            } else {
                fs::copy(from.join(file), to.join(file)).unwrap();
            }
        }
    }

    /// Damages a file, opens the vault, reads everything and checks it. `what` says what was done, for a failure.
    fn try_with(&mut self, file: &Path, content: Option<&[u8]>, inspect: bool, what: &str) {
        self.put_back(Some(file));
        if let Some(content) = content {
            fs::write(self.dir().join(file), content).unwrap();
        }
        let seen = catch_unwind(AssertUnwindSafe(|| self.look(inspect)));
        let outcome = seen.unwrap_or_else(|_| panic!("{} with {what}", file.display()));
        self.outcomes[outcome] += 1;
    }

    fn look(&self, inspect: bool) -> usize {
        let storage = match RocksStorage::open(&self.dir(), &OpenOptions { inspect, ..options() }) {
            Ok(storage) => storage,
            Err(StorageError::Corrupt { .. } | StorageError::NotAVault { .. }) => return 0,
            Err(error) => panic!("neither sound nor called damaged: {error:?}"),
        };
        let content = Content::read(&storage, self.size);
        let mut found = Found::default();
        let checked = storage.check(&[self.pin], &mut found);
        let detected = checked.is_err() || !found.faults.is_empty();
        match content {
            Ok(content) if detected && inspect => {
                // An inspection opens what it can; that data is missing or stale must then be said by the check.
                usize::from(content == self.healthy) + 1
            }
            Ok(content) => {
                assert!(content == self.healthy, "other data than was stored; faults: {:?}", found.faults);
                let added = storage.log(self.size + 1, usize::MAX).unwrap();
                assert!(added.iter().all(|entry| entry.operation == Operation::Epoch));
                if detected { 2 } else { 3 }
            }
            // Where an inspection finds a shorter log, there is no root over what was there.
            Err(StorageError::Limit { .. }) if inspect && detected => 1,
            Err(StorageError::Corrupt { .. }) => {
                assert!(detected, "damage was met when reading, and the check found nothing");
                1
            }
            Err(error) => panic!("damage is not called damage: {error:?}"),
        }
    }
}

/// Positions that reach all of a file, its beginning and its end most densely.
fn positions(len: usize, count: usize, mut seed: u64) -> Vec<usize> {
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap()
    };
    let edge = len.min(64);
    (0..count)
        .map(|n| match n % 4 {
            0 => next() % edge,
            1 => len - 1 - next() % edge,
            _ => next() % len,
        })
        .collect()
}

/// RocksDB waits a second after a compaction that fails, so that more patients than processors are treated at once.
const PATIENTS: usize = 6;

#[test]
fn a_flipped_bit_anywhere_is_found_or_harmless() {
    let outcomes = std::thread::scope(|scope| {
        let all: Vec<_> = (0..PATIENTS).map(|nth| scope.spawn(move || flip_one_in(nth))).collect();
        let all = all.into_iter().map(|one| one.join().unwrap());
        all.fold([0; 4], |sum, one| std::array::from_fn(|n| sum[n] + one[n]))
    });
    let flips: usize = outcomes.iter().sum();
    let [opening, reading, checking, harmless] = outcomes;
    println!(
        "{flips} flips: {opening} found at opening, {reading} when reading, {checking} by the check, {harmless} harmless"
    );
    assert!(flips >= 2_000, "only {flips} flips");
    assert!(opening + reading + checking > flips / 2);
}

/// Every sixth of the flips, in a vault of its own.
fn flip_one_in(nth: usize) -> [usize; 4] {
    let mut patient = Patient::new();
    let read = |file: &PathBuf| (file.clone(), fs::read(patient.original().join(file)).unwrap());
    let files: Vec<(PathBuf, Vec<u8>)> =
        patient.files.iter().map(read).filter(|(_, bytes)| !bytes.is_empty()).collect();
    // RocksDB does not read its old options and its messages; a few flips show that.
    let unread = |file: &Path| ["LOG", "OPTIONS"].iter().any(|name| file.display().to_string().contains(name));
    let each = FLIPS / files.iter().filter(|(file, _)| !unread(file)).count();
    for (n, (file, bytes)) in files.iter().enumerate() {
        let count = if unread(file) { PATIENTS } else { each };
        for (m, at) in positions(bytes.len(), count, n as u64).into_iter().enumerate() {
            if m % PATIENTS != nth {
                continue;
            }
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (m / PATIENTS % 8);
            let what = format!("bit {} of byte {at} flipped", m / PATIENTS % 8);
            patient.try_with(file, Some(&damaged), m / PATIENTS % 5 == 4, &what);
        }
    }
    patient.outcomes
}

#[test]
fn a_shortened_or_missing_file_is_found_or_harmless() {
    let mut patient = Patient::new();
    for file in patient.files.clone() {
        let bytes = fs::read(patient.original().join(&file)).unwrap();
        patient.try_with(&file, None, false, "it removed");
        patient.try_with(&file, None, true, "it removed");
        for part in [0, 1, 2, 5, 9, 12, 14, 15] {
            let len = bytes.len() * part / 16;
            patient.try_with(&file, Some(&bytes[..len]), part % 2 == 1, &format!("only its first {len} bytes"));
        }
        if let Some(len) = bytes.len().checked_sub(1) {
            patient.try_with(&file, Some(&bytes[..len]), false, "its last byte gone");
        }
        let longer = [&bytes[..], &[0; 9]].concat();
        patient.try_with(&file, Some(&longer), false, "zeros behind its end");
    }
    let [opening, reading, checking, harmless] = patient.outcomes;
    println!("found at opening {opening}, when reading {reading}, by the check {checking}; harmless {harmless}");
}

/// The write-ahead log of a vault that was not closed: a damaged end is a torn tail, and the log says so.
#[test]
fn a_torn_write_ahead_log_loses_a_whole_tail_of_commits_and_says_so() {
    let home = scratch();
    let dir = home.path().join("vault");
    let storage = create(&dir);
    for n in 0..40 {
        let changes = (0..3).map(|m| put_memory(&format!("mem_{n}_{m}"), "text", Expect::Absent)).collect();
        storage.commit(commit(changes, Durability::Buffered)).unwrap();
    }
    let copy = home.path().join("copy");
    super::support::crash_copy(&dir, &copy);
    let logs = files_of(&copy).into_iter().filter(|file| file.extension().is_some_and(|ending| ending == "log"));
    let log = logs.max_by_key(|file| fs::metadata(copy.join(file)).unwrap().len()).unwrap();
    let bytes = fs::read(copy.join(&log)).unwrap();
    // Where the records of the first block begin.
    let mut records = Vec::new();
    let mut next = 0;
    while next + 7 < 32 << 10 {
        records.push(next);
        next += 7 + usize::from(u16::from_le_bytes([bytes[next + 4], bytes[next + 5]]));
    }
    let mut sizes = std::collections::BTreeSet::new();
    for at in positions(bytes.len(), 60, 3) {
        for damage in 0..4 {
            let patient = home.path().join("patient");
            super::support::crash_copy(&copy, &patient);
            let mut damaged = bytes.clone();
            match damage {
                0 => damaged.truncate(at),
                1 => damaged[at] ^= 4,
                // A page that never reached the disk, while the next one did.
                2 => damaged.iter_mut().skip(at / 4_096 * 4_096).take(4_096).for_each(|byte| *byte = 0),
                // A record that says to be of a recycled log, at which RocksDB by itself reads in a circle.
                _ => damaged[records[at % records.len()] + 6] = 5,
            }
            fs::write(patient.join(&log), damaged).unwrap();
            let storage = open(&patient);
            let size = storage.state().sequence;
            let last = storage.log(size, 1).unwrap().pop().unwrap();
            assert_eq!(last.operation, Operation::Epoch);
            assert_eq!((size - 1) % 3, 0, "a commit of three is there in part");
            super::support::assert_clean(&storage, &[]);
            sizes.insert(size);
        }
    }
    assert!(sizes.len() > 10, "{sizes:?}");
}

/// RocksDB by itself reads in a circle at a record of a recycled log, and opening would never end.
#[test]
fn a_manifest_with_a_record_of_a_recycled_log_is_damage() {
    let mut patient = Patient::new();
    let name = patient.files.iter().find(|file| file.display().to_string().contains("MANIFEST")).unwrap().clone();
    let bytes = fs::read(patient.original().join(&name)).unwrap();
    let mut next = 0;
    while next + 7 < bytes.len() {
        for kind in [0, 5, 8, 11, 131, 200] {
            let mut damaged = bytes.clone();
            damaged[next + 6] = kind;
            patient.try_with(&name, Some(&damaged), kind == 8, &format!("the record at {next} made type {kind}"));
        }
        next += 7 + usize::from(u16::from_le_bytes([bytes[next + 4], bytes[next + 5]]));
    }
    assert_eq!(patient.outcomes[1..], [0; 3], "all are found at opening");
}
