//! Segments: disks that fail, damage, the order of writes, and what is left at each access to their files.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use mirrordna::record::FileType;
use mirrordna::record::id::SeededIds;
use mirrordna::storage::{
    DataFile, Durability, Expect, FileAccess, NOW, OpenOptions, Opening, PrunePolicy, RocksStorage, SLOT_BYTES,
    Sequence, Storage, StorageError, SystemFiles,
};

use super::files::{Files, noise};
use super::support::{assert_clean, check, copy_dir, crash_copy, create, files_of, open, options, scratch};

const SLOT: usize = SLOT_BYTES as usize;

/// What happens to segments, and what is to fail.
#[derive(Default)]
struct Watched {
    /// The error of the next writes, if any.
    write_error: AtomicI32,
    /// The error of the next syncs, if any.
    sync_error: AtomicI32,
    /// Writes to each file that no sync has followed.
    dirty: Mutex<BTreeMap<PathBuf, usize>>,
    /// Files that are open for writing.
    writable: AtomicUsize,
    /// The room that the disk says it has, if not its own.
    free: Mutex<Option<u64>>,
    /// Copies of the vault to be made around each access.
    freezer: Option<Freezer>,
}

struct Freezer {
    dir: PathBuf,
    copies: PathBuf,
    count: AtomicUsize,
}

impl Watched {
    fn freeze(&self) {
        if let Some(freezer) = &self.freezer {
            let n = freezer.count.fetch_add(1, Ordering::Relaxed);
            crash_copy(&freezer.dir, &freezer.copies.join(n.to_string()));
        }
    }
}

fn fail(with: &AtomicI32) -> io::Result<()> {
    match with.load(Ordering::Relaxed) {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

struct WatchedFile {
    watched: Arc<Watched>,
    path: PathBuf,
    file: Arc<dyn DataFile>,
    writable: bool,
}

impl Drop for WatchedFile {
    fn drop(&mut self) {
        self.watched.writable.fetch_sub(usize::from(self.writable), Ordering::Relaxed);
    }
}

impl DataFile for WatchedFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_at(bytes, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.watched.freeze();
        let half = bytes.len() / 2;
        self.file.write_at(&bytes[..half], offset)?;
        self.watched.freeze();
        fail(&self.watched.write_error)?;
        *self.watched.dirty.lock().unwrap().entry(self.path.clone()).or_default() += 1;
        self.file.write_at(&bytes[half..], offset + half as u64)
    }

    fn sync(&self) -> io::Result<()> {
        self.watched.freeze();
        fail(&self.watched.sync_error)?;
        self.watched.dirty.lock().unwrap().remove(&self.path);
        self.file.sync()
    }

    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }
}

/// The files of the operating system, watched.
struct Watching(Arc<Watched>);

impl FileAccess for Watching {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        SystemFiles.read(path)
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        SystemFiles.write(path, content)
    }

    fn open(&self, path: &Path, opening: Opening) -> io::Result<Arc<dyn DataFile>> {
        self.0.freeze();
        let file = SystemFiles.open(path, opening)?;
        let writable = !matches!(opening, Opening::Read);
        self.0.writable.fetch_add(usize::from(writable), Ordering::Relaxed);
        Ok(Arc::new(WatchedFile { watched: Arc::clone(&self.0), path: path.to_owned(), file, writable }))
    }

    fn space(&self, path: &Path) -> io::Result<(u64, u64)> {
        match *self.0.free.lock().unwrap() {
            Some(free) => Ok((1 << 40, free)),
            None => SystemFiles.space(path),
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.freeze();
        SystemFiles.remove(path)?;
        self.0.freeze();
        Ok(())
    }
}

fn watching(watched: &Arc<Watched>) -> OpenOptions {
    OpenOptions { files: Arc::new(Watching(Arc::clone(watched))), ..options() }
}

/// A directory and a file in it.
fn small(storage: &RocksStorage) -> Files {
    let mut files = Files::default();
    files.make(1, FileType::Directory, 0, b"");
    files.make(2, FileType::Regular, 1, b"a.txt");
    files.write(storage, 2, 0, b"first");
    files.commit(storage, Durability::Sync);
    files
}

#[test]
fn a_full_disk_is_told_as_such_and_changes_nothing() {
    let dir = scratch();
    let watched = Arc::new(Watched::default());
    let storage = RocksStorage::create(dir.path(), &watching(&watched), &SeededIds::new(7)).unwrap();
    let mut files = small(&storage);
    let before = storage.state();
    for error in [28, 122] {
        watched.write_error.store(error, Ordering::Relaxed);
        for n in 0..3 {
            let refused = storage.append_chunk(&noise(n, SLOT)).unwrap_err();
            assert!(matches!(refused, StorageError::NoSpace { .. }), "{refused:?}");
        }
        watched.write_error.store(0, Ordering::Relaxed);
        assert_eq!(storage.state(), before);
        files.compare(&storage, NOW);
    }
    let length = || fs::metadata(dir.path().join("segments/00000001.seg")).unwrap().len();
    files.write(&storage, 2, 1, b"second");
    assert_eq!(length(), 2 * 64 + 5 + 6, "the room of what failed is used again");
    files.commit(&storage, Durability::Sync);
    files.compare(&storage, NOW);
    assert_clean(&storage, &[]);
}

#[test]
fn content_that_does_not_reach_the_disk_is_never_named() {
    let dir = scratch();
    let watched = Arc::new(Watched::default());
    let storage = RocksStorage::create(dir.path(), &watching(&watched), &SeededIds::new(7)).unwrap();
    let mut files = small(&storage);
    let before = storage.state();
    watched.sync_error.store(5, Ordering::Relaxed);
    let mut failing = files.clone();
    failing.write(&storage, 2, 1, b"lost");
    let lost = failing.commit_of(Durability::Buffered);
    for _ in 0..2 {
        assert!(matches!(storage.commit(lost.clone()), Err(StorageError::Io { .. })));
    }
    assert_eq!(storage.state(), before);
    watched.sync_error.store(0, Ordering::Relaxed);
    // After a failed fsync nobody knows what is on the disk: what comes later goes into another segment.
    files.write(&storage, 2, 1, b"second");
    files.commit(&storage, Durability::Sync);
    assert!(dir.path().join("segments/00000002.seg").exists());
    files.compare(&storage, NOW);
    assert_clean(&storage, &[]);
}

/// Of a segment that cannot be synced what is on disk already is used as it is, and what is not is appended to another one.
#[test]
fn content_of_a_segment_that_cannot_be_synced_is_moved() {
    let dir = scratch();
    let watched = Arc::new(Watched::default());
    let storage = RocksStorage::create(dir.path(), &watching(&watched), &SeededIds::new(7)).unwrap();
    let mut files = small(&storage);
    files.write(&storage, 2, 0, &noise(1, SLOT));
    let mut refused = files.clone().commit_of(Durability::Buffered);
    refused.changes.iter_mut().for_each(|change| change.expect = Expect::Absent);
    // Its content is on disk by then, and waits for a commit that is made.
    storage.commit(refused).unwrap_err();
    files.write(&storage, 2, 1, &noise(2, SLOT));
    watched.sync_error.store(5, Ordering::Relaxed);
    let commit = files.clone().commit_of(Durability::Sync);
    for _ in 0..3 {
        assert!(matches!(storage.commit(commit.clone()), Err(StorageError::Io { .. })));
    }
    watched.sync_error.store(0, Ordering::Relaxed);
    files.commit(&storage, Durability::Sync);
    files.compare(&storage, NOW);
    assert_clean(&storage, &[]);
    storage.close().unwrap();
    let storage = open(dir.path());
    files.compare(&storage, NOW);
    assert_clean(&storage, &[]);
}

#[test]
fn content_is_on_disk_before_any_commit_that_names_it() {
    let dir = scratch();
    let watched = Arc::new(Watched::default());
    let storage = RocksStorage::create(dir.path(), &watching(&watched), &SeededIds::new(7)).unwrap();
    let mut files = small(&storage);
    for n in 0..20 {
        files.write(&storage, 2, n, &noise(n, 100_000));
        assert_eq!(watched.dirty.lock().unwrap().len(), 1);
        files.commit(&storage, if n.is_multiple_of(2) { Durability::Buffered } else { Durability::Sync });
        assert_eq!(watched.dirty.lock().unwrap().len(), 0, "commit {n}");
    }
    // What names no new content waits for no disk.
    storage.append_chunk(b"of nobody").unwrap();
    files.link(2, 1, b"b.txt");
    files.commit(&storage, Durability::Sync);
    assert_eq!(watched.dirty.lock().unwrap().len(), 1);
    files.compare(&storage, NOW);
}

/// Damages one place of a segment, and sees that exactly the file that lies there is named, and nothing wrong is read.
#[test]
fn damage_to_content_is_named_with_file_and_range() {
    let home = scratch();
    let healthy = home.path().join("healthy");
    let storage = create(&healthy);
    let mut files = Files::default();
    files.make(1, FileType::Directory, 0, b"");
    files.make(2, FileType::Directory, 1, b"docs");
    for ino in 3..9 {
        files.make(ino, FileType::Regular, 2, format!("file {ino}").as_bytes());
        files.write(&storage, ino, ino, &noise(ino, 20_000));
    }
    files.commit(&storage, Durability::Sync);
    storage.append_chunk(&noise(99, 5_000)).unwrap();
    storage.close().unwrap();
    let segment = files_of(&healthy).into_iter().find(|file| file.starts_with("segments")).unwrap();
    let bytes = fs::read(healthy.join(&segment)).unwrap();
    let chunk = 64 + 20_000;
    assert_eq!(bytes.len(), 6 * chunk + 64 + 5_000);
    let patient = home.path().join("patient");
    let damaged = |content: Option<&[u8]>, inspect: bool| {
        let _ = fs::remove_dir_all(&patient);
        copy_dir(&healthy, &patient).unwrap();
        match content {
            Some(content) => fs::write(patient.join(&segment), content).unwrap(),
            None => fs::remove_file(patient.join(&segment)).unwrap(),
        }
        let storage = RocksStorage::open(&patient, &OpenOptions { inspect, ..options() }).unwrap();
        let faults = check(&storage, &[]).faults;
        assert!(faults.iter().all(|fault| !fault.derived), "{faults:?}");
        let mut named = Vec::new();
        for ino in 3..9_u64 {
            let subject = format!("artifact {ino} \"docs/file {ino}\"");
            let from = ino * u64::from(SLOT_BYTES);
            let range = format!("bytes {from} to {}", from + u64::from(SLOT_BYTES));
            let found = faults.iter().any(|fault| fault.subject == subject && fault.problem.contains(&range));
            let (pieces, content) = &files.by_ino[&ino].slots[&ino];
            match storage.read_piece(&pieces[0], 0, 20_000) {
                Ok(read) => assert!(!found && read == *content, "{ino}"),
                Err(StorageError::Corrupt { .. }) => assert!(found, "{ino}: {faults:?}"),
                Err(error) => panic!("{error:?}"),
            }
            named.extend(found.then_some(ino));
        }
        assert_eq!(faults.len(), named.len(), "{faults:?}");
        named
    };
    for n in 0..6 {
        for at in [0, 7, 8, 15, 16, 19, 20, 51, 52, 55, 56, 63, 64, 65, 10_000, chunk - 1] {
            let mut content = bytes.clone();
            content[n * chunk + at] ^= 1 << (at % 8);
            assert_eq!(damaged(Some(&content), at % 3 == 0), [n as u64 + 3], "byte {at} of chunk {n}");
        }
    }
    let mut content = bytes.clone();
    content[6 * chunk + 70] ^= 1;
    assert!(damaged(Some(&content), false).is_empty(), "what nobody names");
    assert!(damaged(Some(&bytes[..6 * chunk]), false).is_empty());
    assert_eq!(damaged(Some(&bytes[..6 * chunk - 1]), false), [8]);
    assert_eq!(damaged(Some(&bytes[..2 * chunk + 64]), true), [5, 6, 7, 8]);
    assert_eq!(damaged(Some(&[]), false), [3, 4, 5, 6, 7, 8]);
    assert_eq!(damaged(None, false), [3, 4, 5, 6, 7, 8]);
    // Two chunks that changed places are each sound and still wrong.
    let (a, b) = bytes.split_at(chunk);
    let swapped = [&b[..chunk], a, &b[chunk..]].concat();
    assert_eq!(damaged(Some(&swapped), false), [3, 4]);
    // Of the day before headers had a CRC.
    let mut content = bytes.clone();
    for n in 0..6 {
        let crc = &mut content[n * chunk + 52..][..4];
        assert_eq!(*crc, crc32c::crc32c(&bytes[n * chunk + 64..(n + 1) * chunk]).to_le_bytes());
        crc.fill(0);
    }
    assert!(damaged(Some(&content), false).is_empty());
    content[2 * chunk + 70] ^= 1;
    assert_eq!(damaged(Some(&content), false), [5]);
}

/// Each copy that was made around an access to a segment opens, is sound, and holds what was acknowledged before.
#[test]
fn frozen_at_any_access_to_its_segments_a_vault_holds_what_was_acknowledged() {
    let home = scratch();
    let dir = home.path().join("vault");
    let freezer = Freezer { dir: dir.clone(), copies: home.path().join("copies"), count: AtomicUsize::new(0) };
    let watched = Arc::new(Watched { freezer: Some(freezer), ..Watched::default() });
    fs::create_dir_all(&dir).unwrap();
    let storage = RocksStorage::create(&dir, &watching(&watched), &SeededIds::new(7)).unwrap();
    let frozen = || watched.freezer.as_ref().unwrap().count.load(Ordering::Relaxed);
    let mut acknowledged: Vec<(usize, Sequence, Files)> = Vec::new();
    let mut files = small(&storage);
    acknowledged.push((frozen(), storage.state().sequence, files.clone()));
    for round in 0..6_u64 {
        for slot in 0..3 {
            files.write(&storage, 2, slot, &noise(round * 10 + slot, 9_000));
        }
        let name = round.to_string();
        files.make(10 + round, FileType::Regular, 1, name.as_bytes());
        files.write(&storage, 10 + round, 0, name.as_bytes());
        if round > 1 {
            files.unlink(9 + round, 1, (round - 1).to_string().as_bytes());
            files.remove(9 + round);
        }
        let at = files.commit(&storage, if round.is_multiple_of(2) { Durability::Buffered } else { Durability::Sync });
        acknowledged.push((frozen(), at, files.clone()));
        if round % 3 == 2 {
            let before = frozen();
            storage.prune(PrunePolicy::default(), "tester").unwrap();
            assert!(frozen() > before + 4, "the prune compacted nothing");
        }
    }
    storage.close().unwrap();
    for n in 0..frozen() {
        let copy = home.path().join("copies").join(n.to_string());
        if !copy.join("VAULT").exists() {
            continue;
        }
        let storage = open(&copy);
        assert_clean(&storage, &[]);
        let least = acknowledged.iter().rfind(|(count, ..)| *count <= n);
        let most = acknowledged.iter().find(|(count, ..)| *count > n);
        let state = [most, least].into_iter().flatten().find(|(_, at, _)| *at <= storage.state().sequence);
        let there = |storage: &RocksStorage| {
            if let Some((_, _, files)) = state {
                files.compare(storage, NOW);
            }
        };
        there(&storage);
        assert!(least.is_none_or(|(_, at, _)| *at <= storage.state().sequence), "copy {n}");
        storage.prune(PrunePolicy::default(), "tester").unwrap();
        there(&storage);
        storage.close().unwrap();
        let storage = open(&copy);
        there(&storage);
        assert_clean(&storage, &[]);
    }
}

#[test]
fn a_prune_on_a_full_disk_makes_room_and_moves_nothing() {
    let dir = scratch();
    let watched = Arc::new(Watched::default());
    let storage = RocksStorage::create(dir.path(), &watching(&watched), &SeededIds::new(1)).unwrap();
    let mut files = Files::default();
    files.make(1, FileType::Directory, 0, b"");
    // More than one segment, and of the first one nothing stays.
    files.make(50, FileType::Regular, 1, b"large");
    for slot in 0..560 {
        files.write(&storage, 50, slot, &noise(slot, SLOT));
    }
    files.make(51, FileType::Regular, 1, b"kept");
    files.write(&storage, 51, 0, &noise(1_000, SLOT));
    files.commit(&storage, Durability::Sync);
    files.unlink(50, 1, b"large");
    files.remove(50);
    files.commit(&storage, Durability::Sync);
    let room = || {
        fs::read_dir(dir.path().join("segments"))
            .unwrap()
            .map(|file| file.unwrap().metadata().unwrap().len())
            .sum::<u64>()
    };
    let full = room();
    watched.write_error.store(28, Ordering::Relaxed);
    let pruned = storage.prune(PrunePolicy::default(), "tester").unwrap();
    assert_eq!(pruned.chunks, 560, "{pruned:?}");
    assert!(room() < full / 2, "{} of {full} bytes are left", room());
    files.compare(&storage, NOW);
    watched.write_error.store(0, Ordering::Relaxed);
    storage.prune(PrunePolicy::default(), "tester").unwrap();
    assert!(room() < full / 8, "{} of {full} bytes are left", room());
    files.compare(&storage, NOW);
    assert_clean(&storage, &[]);
}

/// Files of one segment's size each, of which the first quarter stays and the rest is removed.
fn mostly_garbage(storage: &RocksStorage, segments: u64) -> Files {
    let mut files = Files::default();
    files.make(1, FileType::Directory, 0, b"");
    for n in 0..segments {
        for (part, slots) in [(0, 0..120), (1, 120..500)] {
            let (ino, name) = (100 + 2 * n + part, format!("{n}-{part}"));
            files.make(ino, FileType::Regular, 1, name.as_bytes());
            for slot in slots {
                files.write(storage, ino, slot, &noise(n << 32 | slot, SLOT));
            }
            files.commit(storage, Durability::Sync);
        }
    }
    for n in 0..segments {
        files.unlink(100 + 2 * n + 1, 1, format!("{n}-1").as_bytes());
        files.remove(100 + 2 * n + 1);
    }
    files.commit(storage, Durability::Sync);
    files
}

#[test]
fn full_segments_are_closed_and_what_is_left_of_them_moves_as_far_as_there_is_room() {
    let dir = scratch();
    let watched = Arc::new(Watched::default());
    let storage = RocksStorage::create(dir.path(), &watching(&watched), &SeededIds::new(1)).unwrap();
    let files = mostly_garbage(&storage, 4);
    let open = watched.writable.load(Ordering::Relaxed);
    assert!(open <= 1, "{open} segments are open for writing");
    let segments = || fs::read_dir(dir.path().join("segments")).unwrap().count();
    assert_eq!(segments(), 4);
    // Too little for what is left of one.
    *watched.free.lock().unwrap() = Some(20 << 20);
    storage.prune(PrunePolicy::default(), "tester").unwrap();
    assert_eq!(segments(), 4, "nothing was copied either");
    // Enough for one at a time.
    *watched.free.lock().unwrap() = Some(32 << 20);
    storage.prune(PrunePolicy::default(), "tester").unwrap();
    assert!(segments() <= 2, "{}", segments());
    files.compare(&storage, NOW);
    assert_clean(&storage, &[]);
}
