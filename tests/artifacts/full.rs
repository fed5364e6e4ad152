//! Disks that are full, or say that they are not and are.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use mirrordna::artifacts::{NewNode, ROOT, RenameFlags, WriteOptions};
use mirrordna::record::id::SystemIds;
use mirrordna::storage::{DataFile, Durability, FileAccess, OpenOptions, Opening, RocksStorage, Storage, SystemFiles};
use mirrordna::{Vault, VaultOptions};

use crate::support::{Fixture, ME, code, scratch};

/// A disk with so much room for content.
#[derive(Default)]
struct Disk {
    free: AtomicU64,
    /// It says that there is always room.
    lies: AtomicBool,
    /// What is written does not get there.
    fails: AtomicBool,
}

struct OnDisk(Arc<dyn DataFile>, Arc<Disk>);

impl DataFile for OnDisk {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_at(bytes, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let take = |free: u64| free.checked_sub(bytes.len() as u64);
        match self.1.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
            Ok(_) => self.0.write_at(bytes, offset),
            Err(_) => Err(io::Error::from_raw_os_error(28)),
        }
    }

    fn sync(&self) -> io::Result<()> {
        if self.1.fails.load(Ordering::Relaxed) { Err(io::Error::from_raw_os_error(5)) } else { self.0.sync() }
    }

    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }
}

struct Files(Arc<Disk>);

impl FileAccess for Files {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        SystemFiles.read(path)
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        SystemFiles.write(path, content)
    }

    fn open(&self, path: &Path, opening: Opening) -> io::Result<Arc<dyn DataFile>> {
        Ok(Arc::new(OnDisk(SystemFiles.open(path, opening)?, Arc::clone(&self.0))))
    }

    fn space(&self, _: &Path) -> io::Result<(u64, u64)> {
        let free = if self.0.lies.load(Ordering::Relaxed) { 1 << 40 } else { self.0.free.load(Ordering::Relaxed) };
        Ok((1 << 40, free))
    }
}

fn fixture(free: u64) -> (Fixture, Arc<Disk>) {
    let disk = Arc::new(Disk { free: free.into(), ..Disk::default() });
    let dir = scratch();
    let options = OpenOptions { files: Arc::new(Files(Arc::clone(&disk))), ..OpenOptions::default() };
    let storage = RocksStorage::create(&dir.path().join("vault"), &options, &SystemIds).unwrap();
    let storage: Arc<dyn Storage> = Arc::new(storage);
    let vault = Vault::over(storage, &VaultOptions::default());
    let files = vault.artifacts().unwrap();
    (Fixture { dir, vault, files }, disk)
}

#[test]
fn a_full_disk_is_told_to_who_writes_and_leaves_room_to_tidy_up() {
    let (fixture, disk) = fixture(64 << 20);
    let kept = fixture.file("kept");
    fixture.write(kept, 0, b"kept");
    let mut count = 0;
    // Small files, of which the content is only in memory at first.
    let refused = loop {
        let made = fixture.files.create(ROOT, format!("{count}").as_bytes(), &NewNode::file(0o600), &ME);
        let written = made.and_then(|made| {
            fixture.files.forget(made.ino, 1);
            fixture.files.write(made.ino, 0, &vec![7; 30_000], WriteOptions::default())
        });
        match written {
            Ok(written) => assert_eq!(written, 30_000),
            refused => break code(refused),
        }
        count += 1;
    };
    assert_eq!(refused, "ENOSPC");
    assert!(count > 500, "{count}");
    assert_eq!(code(fixture.files.write(kept, 4, &vec![7; 30_000], WriteOptions::default())), "ENOSPC");
    // What is there can be committed, read, and removed.
    fixture.files.commit(Durability::Sync).unwrap();
    assert!(disk.free.load(Ordering::Relaxed) > 0);
    for n in 0..count {
        assert!(fixture.all(fixture.find(ROOT, &n.to_string()).unwrap().ino) == vec![7; 30_000]);
        fixture.files.unlink(ROOT, n.to_string().as_bytes()).unwrap();
    }
    let _ = fixture.files.unlink(ROOT, count.to_string().as_bytes());
    fixture.verify();
    disk.free.store(1 << 30, Ordering::Relaxed);
    fixture.write(kept, 4, b" and more");
    let fixture = fixture.reopen();
    assert_eq!(fixture.list(ROOT), ["kept"]);
    assert_eq!(fixture.all(kept), b"kept and more");
}

/// Content that is too long to lie in the database, so that it goes to the disk that fails.
fn long(byte: u8, len: usize) -> Vec<u8> {
    vec![byte; len]
}

#[test]
fn what_cannot_be_written_waits_until_it_can() {
    let (fixture, disk) = fixture(1 << 30);
    disk.lies.store(true, Ordering::Relaxed);
    let (file, other) = (fixture.file("file"), fixture.dir("other"));
    fixture.write(file, 0, &long(b'c', 30_000));
    fixture.commit();
    disk.free.store(0, Ordering::Relaxed);
    fixture.write(file, 0, &long(b'C', 20_000));
    let new = fixture.make(other, "new", &NewNode::file(0o600)).unwrap().ino;
    fixture.write(new, 0, &long(b'w', 20_000));
    fixture.files.unlink(ROOT, b"nothing").unwrap_err();
    assert_eq!(code(fixture.files.commit(Durability::Sync)), "ENOSPC");
    assert_eq!(code(fixture.files.sync(file, true)), "ENOSPC");
    // Full slots go to disk at once.
    assert_eq!(code(fixture.files.write(file, 0, &vec![1; 1 << 20], WriteOptions::default())), "ENOSPC");
    let waits = [long(b'C', 20_000), long(b'c', 10_000)].concat();
    assert!((fixture.all(file), fixture.all(new)) == (waits.clone(), long(b'w', 20_000)));
    disk.free.store(1 << 30, Ordering::Relaxed);
    fixture.files.sync(new, false).unwrap();
    fixture.verify();
    let fixture = fixture.reopen();
    assert!((fixture.all(file), fixture.all(new)) == (waits, long(b'w', 20_000)));
}

#[test]
fn a_sync_that_failed_is_told_and_what_it_had_is_not_half_committed() {
    let (fixture, disk) = fixture(1 << 30);
    let file = fixture.file("file");
    fixture.write(file, 0, &long(b'o', 20_000));
    fixture.files.sync(file, false).unwrap();
    fixture.write(file, 0, &long(b'n', 20_000));
    fixture.files.rename(ROOT, b"file", ROOT, b"renamed", RenameFlags::default()).unwrap();
    disk.fails.store(true, Ordering::Relaxed);
    assert_eq!(code(fixture.files.sync(file, false)), "EIO");
    assert_eq!(fixture.list(ROOT), ["renamed"]);
    assert!(fixture.all(file) == long(b'n', 20_000));
    let past = fixture.past(fixture.vault.state().sequence);
    let mut bytes = vec![0; 20_000];
    past.read(past.lookup(ROOT, b"file").unwrap().ino, 0, &mut bytes).unwrap();
    assert!(bytes == long(b'o', 20_000));
}
