//! Disks that are full, or say that they are not and are.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use mirrordna::artifacts::{Ino, NewNode, ROOT, RenameFlags, SetAttributes, WriteOptions, XattrMode};
use mirrordna::record::id::SystemIds;
use mirrordna::storage::{Durability, OpenOptions, RocksStorage, Storage};
use mirrordna::{Vault, VaultOptions};

use crate::faulty_disk::{Disk, Files};
use crate::support::{Fixture, ME, code, scratch};

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

/// Changes what lies on the disk behind the vault's back, in all segments.
fn damage(fixture: &Fixture, wanted: &[u8], instead: u8) {
    let mut found = 0;
    for segment in std::fs::read_dir(fixture.path().join("segments")).unwrap() {
        let path = segment.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            if bytes[at..].starts_with(wanted) {
                bytes[at..at + wanted.len()].fill(instead);
                found += 1;
            }
        }
        // In place: the vault has the file open.
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &bytes, 0).unwrap();
    }
    assert!(found > 0);
}

#[test]
fn after_a_sync_that_failed_the_content_is_written_again() {
    let (fixture, disk) = fixture(1 << 30);
    let (file, other) = (fixture.file("file"), fixture.file("other"));
    fixture.write(file, 0, &long(b'o', 20_000));
    fixture.files.sync(file, false).unwrap();
    fixture.write(file, 0, &long(b'n', 20_000));
    fixture.write(other, 0, &long(b's', 270_000));
    disk.fails.store(true, Ordering::Relaxed);
    assert_eq!(code(fixture.files.sync(file, false)), "EIO");
    assert_eq!(code(fixture.files.commit(Durability::Sync)), "EIO");
    disk.fails.store(false, Ordering::Relaxed);
    fixture.files.sync(file, false).unwrap();
    fixture.verify();
    // What the failed segments hold is not what is read.
    let fixture = fixture.reopen();
    assert!(fixture.all(file) == long(b'n', 20_000));
    assert!(fixture.all(other) == long(b's', 270_000));
    fixture.verify();
}

#[test]
fn content_that_went_with_a_failed_sync_is_told_once_and_keeps_nothing_else_from_being_stored() {
    let (fixture, disk) = fixture(1 << 30);
    let (gone, kept) = (fixture.file("gone"), fixture.file("kept"));
    fixture.write(gone, 0, &long(b'g', 20_000));
    fixture.write(kept, 0, &long(b'k', 20_000));
    disk.fails.store(true, Ordering::Relaxed);
    assert_eq!(code(fixture.files.commit(Durability::Sync)), "EIO");
    damage(&fixture, &long(b'g', 20_000), 0);
    disk.fails.store(false, Ordering::Relaxed);
    assert_eq!(code(fixture.files.commit(Durability::Sync)), "EIO");
    // Whoever syncs the file itself is told, too, and whoever syncs another one is not.
    fixture.files.sync(kept, false).unwrap();
    assert_eq!(code(fixture.files.sync(gone, false)), "EIO");
    fixture.files.sync(gone, false).unwrap();
    fixture.files.commit(Durability::Sync).unwrap();
    fixture.file("later");
    fixture.files.commit(Durability::Sync).unwrap();
    let fixture = fixture.reopen();
    assert_eq!(fixture.list(ROOT), ["gone", "kept", "later"]);
    assert!(fixture.all(kept) == long(b'k', 20_000));
    assert_eq!(code(fixture.files.read(gone, 0, &mut [0; 100])), "EIO");
}

/// What cannot be committed grows only so large that one commit takes it, which others never see in parts.
#[test]
fn many_changes_of_a_disk_that_fails_stay_one_commit() {
    let (fixture, disk) = fixture(1 << 30);
    let names: Vec<String> = (0..13_000).map(|n| format!("{n}")).collect();
    for name in &names {
        fixture.file(name);
    }
    fixture.files.commit(Durability::Buffered).unwrap();
    let bad = fixture.file("bad");
    fixture.files.commit(Durability::Buffered).unwrap();
    let before = fixture.vault.state().sequence;
    disk.fails.store(true, Ordering::Relaxed);
    fixture.write(bad, 0, &long(b'b', 20_000));
    for name in &names[..500] {
        fixture.files.unlink(ROOT, name.as_bytes()).unwrap();
    }
    let mode = SetAttributes { mode: Some(0o600), ..SetAttributes::default() };
    let mut changed = 0;
    let refused = loop {
        let ino = fixture.find(ROOT, &names[500 + changed]).unwrap().ino;
        match fixture.files.set_attributes(ino, &mode) {
            Ok(_) => changed += 1,
            Err(refused) => break refused,
        }
    };
    assert_eq!((code::<()>(Err(refused)), changed > 11_000), ("EIO", true), "{changed}");
    assert_eq!(code(fixture.files.unlink(ROOT, names[600].as_bytes())), "EIO");
    assert_eq!(code(fixture.files.commit(Durability::Sync)), "EIO");
    // Nobody sees half of it.
    assert_eq!(fixture.vault.state().sequence, before);
    let mut sink = crate::support::Faults::default();
    fixture.vault.storage().check(&[], &mut sink).unwrap();
    assert_eq!(sink.0, []);
    disk.fails.store(false, Ordering::Relaxed);
    fixture.verify();
    let fixture = fixture.reopen();
    assert_eq!(fixture.list(ROOT).len(), 12_501);
    fixture.verify();
}

/// As text in a record some bytes take six times their room.
#[test]
fn targets_of_links_are_committed_in_time() {
    let fixture = Fixture::new();
    let target = vec![1; 4_095];
    let new = NewNode::symlink(&target);
    for n in 0..6_000 {
        fixture.make(ROOT, &n.to_string(), &new).unwrap();
    }
    fixture.verify();
    let fixture = fixture.reopen();
    assert_eq!(fixture.files.read_link(fixture.find(ROOT, "5999").unwrap().ino).unwrap(), target);
}

/// Attributes of many files are more than one commit takes.
#[test]
fn large_attributes_are_committed_in_time() {
    let fixture = Fixture::new();
    let files: Vec<Ino> = (0..40).map(|n| fixture.file(&n.to_string())).collect();
    for (ino, n) in files.iter().flat_map(|ino| (0..15).map(move |n| (*ino, n))) {
        let name = format!("user.{n}");
        fixture.files.set_xattr(ino, name.as_bytes(), &vec![b'x'; 64 << 10], XattrMode::Any).unwrap();
    }
    let mode = SetAttributes { mode: Some(0o600), ..SetAttributes::default() };
    for _ in 0..2 {
        for ino in &files {
            fixture.files.set_attributes(*ino, &mode).unwrap();
        }
    }
    fixture.verify();
}

#[test]
fn a_write_that_fails_leaves_nothing_behind_the_end() {
    let (fixture, disk) = fixture(64 << 20);
    disk.lies.store(true, Ordering::Relaxed);
    let file = fixture.file("file");
    fixture.write(file, 0, &vec![1; 100 << 10]);
    disk.free.store(0, Ordering::Relaxed);
    // With this the first 128 KiB are whole, and to be written at once.
    let failed = fixture.files.write(file, 100 << 10, &vec![2; 28 << 10], WriteOptions::default());
    assert_eq!(code(failed), "ENOSPC");
    disk.free.store(64 << 20, Ordering::Relaxed);
    let longer = SetAttributes { size: Some(200 << 10), ..SetAttributes::default() };
    fixture.files.set_attributes(file, &longer).unwrap();
    let mut wanted = vec![1; 100 << 10];
    wanted.resize(200 << 10, 0);
    assert!(fixture.all(file) == wanted);
}
