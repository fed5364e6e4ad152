//! What is there after a crash: a copy of the vault's directory, taken while it is open, is what a crash leaves.

#![expect(clippy::cast_possible_truncation, reason = "sizes of these tests are small")]

use std::fs;
use std::path::Path;

use mirrordna::artifacts::{Allocate, NewNode, ROOT, RenameFlags, SetAttributes};
use mirrordna::storage::Durability;
use mirrordna::{Vault, VaultOptions};

use crate::support::{Fixture, SLOT, code, scratch};

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => copy(&entry.path(), &target),
            kind if kind.is_file() => drop(fs::copy(entry.path(), target).unwrap()),
            _ => {}
        }
    }
}

/// The vault as a crash at this moment would leave it.
fn crashed(fixture: &Fixture) -> Fixture {
    let dir = scratch();
    copy(&fixture.path(), &dir.path().join("vault"));
    let vault = Vault::open(&dir.path().join("vault"), &VaultOptions::default()).unwrap();
    let files = vault.artifacts().unwrap();
    Fixture { dir, vault, files }
}

/// More changes of content than go into one commit are all committed when that is what was asked for.
#[test]
fn a_sync_of_everything_leaves_nothing_out() {
    let fixture = Fixture::new();
    // A byte in each of 30,000 slots.
    let slots = 30_000;
    let files: Vec<_> = (0..4).map(|n| fixture.file(&format!("file{n}"))).collect();
    for file in &files {
        for slot in 0..slots {
            fixture.write(*file, slot * SLOT, b"x");
        }
        fixture.commit();
    }
    for file in &files {
        fixture.files.allocate(*file, Allocate::PunchHole, 0, slots * SLOT).unwrap();
    }
    fixture.files.commit(Durability::Sync).unwrap();
    let after = crashed(&fixture);
    for (n, file) in files.iter().enumerate() {
        let found = after.find(ROOT, &format!("file{n}")).unwrap();
        assert_eq!((found.ino, found.blocks), (*file, 0));
    }
}

#[test]
fn what_was_synced_is_there_after_a_crash() {
    let fixture = Fixture::new();
    let dir = fixture.dir("dir");
    let file = fixture.make(dir, "file", &NewNode::file(0o644)).unwrap().ino;
    let content: Vec<u8> = (0..2 * SLOT + 77).map(|n| (n % 251) as u8).collect();
    fixture.write(file, 0, &content);
    fixture.files.sync(file, false).unwrap();
    let after = crashed(&fixture);
    assert_eq!(after.find(dir, "file").unwrap().ino, file);
    assert!(after.all(file) == content);
    after.verify();

    // The names that a directory has and has not any more.
    fixture.files.rename(dir, b"file", ROOT, b"file", RenameFlags::default()).unwrap();
    fixture.files.sync(dir, false).unwrap();
    let after = crashed(&fixture);
    assert_eq!(after.find(ROOT, "file").unwrap().ino, file);
    assert_eq!(code(after.find(dir, "file")), "ENOENT");
    after.verify();

    // A change in the middle, a cut, and what replaces a file.
    fixture.write(file, SLOT - 3, b"across");
    fixture.files.sync(file, true).unwrap();
    let cut = SetAttributes { size: Some(SLOT + 10), ..SetAttributes::default() };
    fixture.files.set_attributes(file, &cut).unwrap();
    fixture.files.sync(file, true).unwrap();
    let new = fixture.file("new");
    fixture.write(new, 0, b"replaces it");
    fixture.files.sync(new, true).unwrap();
    let before = crashed(&fixture);
    let mut expected = content;
    expected.truncate(SLOT as usize + 10);
    expected[SLOT as usize - 3..SLOT as usize + 3].copy_from_slice(b"across");
    assert!(before.all(file) == expected);
    fixture.files.rename(ROOT, b"new", ROOT, b"file", RenameFlags::default()).unwrap();
    fixture.files.sync(ROOT, false).unwrap();
    let after = crashed(&fixture);
    assert_eq!(after.all(after.find(ROOT, "file").unwrap().ino), b"replaces it");
    assert_eq!(after.list(ROOT), ["dir", "file"]);
    after.verify();
}

#[test]
fn a_crash_between_leaves_what_was_there_at_the_last_commit() {
    let fixture = Fixture::new();
    let file = fixture.file("file");
    fixture.write(file, 0, b"before");
    fixture.commit();
    fixture.write(file, 0, &vec![9; 4 * SLOT as usize]);
    fixture.files.rename(ROOT, b"file", ROOT, b"other", RenameFlags::default()).unwrap();
    let after = crashed(&fixture);
    // The thread in the background may have committed in the meantime, but never half of it.
    match after.list(ROOT).as_slice() {
        [name] if name == "file" => assert_eq!(after.all(file), b"before"),
        [name] if name == "other" => assert!(after.all(file) == vec![9; 4 * SLOT as usize]),
        names => panic!("{names:?}"),
    }
    after.verify();
    let next = after.file("next");
    after.write(next, 0, b"works");
    let after = after.reopen();
    assert_eq!(after.all(next), b"works");
    after.verify();
}

#[test]
fn damaged_content_is_an_error_and_never_wrong_bytes() {
    let fixture = Fixture::new();
    let (bad, good) = (fixture.file("bad"), fixture.file("good"));
    fixture.write(bad, 0, &[b'a'; 5_000]);
    fixture.write(good, 0, &[b'b'; 5_000]);
    fixture.commit();
    let dir = fixture.path();
    let Fixture { dir: keep, vault, files } = fixture;
    drop((vault, files));
    let segments = fs::read_dir(dir.join("segments")).unwrap().map(|entry| entry.unwrap().path());
    let mut hits = 0;
    for segment in segments.filter(|path| path.is_file()) {
        let mut bytes = fs::read(&segment).unwrap();
        if let Some(at) = bytes.windows(100).position(|window| window == [b'a'; 100]) {
            bytes[at + 50] ^= 1;
            fs::write(&segment, bytes).unwrap();
            hits += 1;
        }
    }
    assert_eq!(hits, 1);
    let vault = Vault::open(&dir, &VaultOptions::default()).unwrap();
    let files = vault.artifacts().unwrap();
    let fixture = Fixture { dir: keep, vault, files };
    let mut bytes = [0; 10];
    assert_eq!(code(fixture.files.read(bad, 4_000, &mut bytes)), "EIO");
    assert_eq!(fixture.files.read(good, 4_000, &mut bytes).unwrap(), 10);
    assert_eq!(bytes, [b'b'; 10]);
    // It can be written over.
    fixture.write(bad, 0, &[b'c'; 5_000]);
    fixture.commit();
    assert_eq!(fixture.all(bad), [b'c'; 5_000]);
}
