//! Artifacts as they were, and brought back.

#![expect(clippy::cast_possible_truncation, reason = "sizes of these tests are small")]

use std::sync::{Arc, Mutex};

use mirrordna::artifacts::{
    Allocate, Invalidation, NewNode, Past, ROOT, RenameFlags, Seek, SetAttributes, Watcher, WriteOptions,
};
use mirrordna::storage::PrunePolicy;
use mirrordna::vault::NewSnapshot;

use crate::support::{Fixture, SLOT, code};

/// The names of a directory, which are read in pages of any size.
fn names(past: &Past, ino: u64) -> Vec<String> {
    let all = past.names(ino, None, 1_000).unwrap();
    for limit in 1..4 {
        let mut paged: Vec<(Vec<u8>, _)> = Vec::new();
        loop {
            let page = past.names(ino, paged.last().map(|(name, _)| name.as_slice()), limit).unwrap();
            if page.is_empty() {
                break;
            }
            paged.extend(page);
        }
        assert_eq!(paged, all);
    }
    for (name, found) in &all {
        assert_eq!(past.lookup(ino, name).unwrap(), *found);
        assert_eq!(past.attributes(found.ino).unwrap().file_type, found.file_type);
    }
    all.into_iter().map(|(name, _)| String::from_utf8(name).unwrap()).collect()
}

fn snapshot(fixture: &Fixture) -> (String, u64) {
    let pin = fixture.vault.snapshots().create(NewSnapshot::default()).unwrap();
    (pin.id, pin.sequence)
}

#[test]
fn a_snapshot_shows_files_as_they_were() {
    let mut fixture = Fixture::new();
    let (_, empty) = snapshot(&fixture);
    let (file, dir) = (fixture.file("file"), fixture.dir("dir"));
    let inner = fixture.make(dir, "inner", &NewNode::symlink(b"target")).unwrap().ino;
    fixture.write(file, 0, &vec![1; 3 * SLOT as usize + 5]);
    fixture.files.set_xattr(file, b"user.a", b"then", mirrordna::artifacts::XattrMode::Any).unwrap();
    let then = fixture.files.attributes(file).unwrap();
    // Nobody has committed: taking the snapshot does.
    let (id, at) = snapshot(&fixture);

    fixture.write(file, SLOT + 7, &vec![2; SLOT as usize]);
    let cut = SetAttributes { size: Some(2 * SLOT), ..SetAttributes::default() };
    fixture.files.set_attributes(file, &cut).unwrap();
    fixture.files.set_xattr(file, b"user.a", b"now", mirrordna::artifacts::XattrMode::Any).unwrap();
    fixture.files.rename(ROOT, b"file", dir, b"moved", RenameFlags::default()).unwrap();
    fixture.files.unlink(dir, b"inner").unwrap();
    fixture.files.forget(inner, 1);
    fixture.file("new");
    fixture.commit();
    for round in 0..2 {
        let past = fixture.past(at);
        assert_eq!(names(&past, ROOT), ["dir", "file"]);
        assert_eq!(names(&past, dir), ["inner"]);
        assert_eq!(past.attributes(past.lookup(ROOT, b"file").unwrap().ino).unwrap(), then);
        assert_eq!(code(past.lookup(ROOT, b"new")), "ENOENT");
        assert_eq!(past.read_link(inner).unwrap(), b"target");
        assert_eq!(past.xattr(file, b"user.a").unwrap(), b"then");
        assert_eq!(past.parent(dir).unwrap(), ROOT);
        let mut bytes = vec![0; 4 * SLOT as usize];
        assert_eq!(past.read(file, 0, &mut bytes).unwrap(), 3 * SLOT as usize + 5);
        assert!(bytes[..3 * SLOT as usize + 5].iter().all(|byte| *byte == 1));
        assert_eq!(past.read(file, 3 * SLOT, &mut bytes).unwrap(), 5);
        assert_eq!(names(&fixture.past(empty), ROOT), Vec::<String>::new());
        assert_eq!(names(&fixture.past(fixture.vault.state().sequence), dir), ["moved"]);
        drop(past);
        if round == 0 {
            fixture.vault.prune(PrunePolicy { keep: Some(1), ..PrunePolicy::default() }).unwrap();
            fixture = fixture.reopen();
        }
    }
    fixture.verify();

    // And back.
    let told = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&told);
    let watcher: Watcher = Arc::new(move |what: &[Invalidation]| hears.lock().unwrap().extend_from_slice(what));
    fixture.files.watch(&watcher);
    let waiting = fixture.file("waits to be committed");
    fixture.vault.snapshots().restore(&id).unwrap();
    let told = told.lock().unwrap().clone();
    for name in [(ROOT, "file"), (dir, "moved"), (dir, "inner"), (ROOT, "new"), (ROOT, "waits to be committed")] {
        let name = Invalidation::Name(name.0, name.1.as_bytes().to_vec());
        assert!(told.contains(&name), "{name:?}");
    }
    for ino in [ROOT, dir, file, inner, waiting] {
        assert!(told.contains(&Invalidation::Replaced(ino)), "{ino}");
    }
    assert!(!told.contains(&Invalidation::All));
    assert_eq!(fixture.list(ROOT), ["dir", "file"]);
    assert_eq!(fixture.list(dir), ["inner"]);
    assert_eq!(fixture.all(file), vec![1; 3 * SLOT as usize + 5]);
    assert_eq!(code(fixture.files.attributes(waiting)), "ESTALE");
    assert!(fixture.file("later") > waiting);
    fixture.verify();
    let fixture = fixture.reopen();
    assert_eq!(fixture.list(ROOT), ["dir", "file", "later"]);
    assert_eq!(fixture.find(ROOT, "file").unwrap().size, then.size);
}

#[test]
fn holes_are_found_as_they_were() {
    let fixture = Fixture::new();
    let file = fixture.file("file");
    let size = 400 * SLOT + 17;
    fixture.files.set_attributes(file, &SetAttributes { size: Some(size), ..SetAttributes::default() }).unwrap();
    // Data within a slot, over the border of two, in many slots in a row, and up to the end.
    for (at, len) in [(5, 10), (3 * SLOT - 7, 20), (20 * SLOT, 300 * SLOT), (size - 9, 9)] {
        fixture.write(file, at, &vec![1; len as usize]);
    }
    fixture.files.allocate(file, Allocate::PunchHole, 30 * SLOT + 1, SLOT + 1).unwrap();
    let places: Vec<u64> = [0, 4, 5, 15, 3 * SLOT - 7, 3 * SLOT + 13, 19 * SLOT, 20 * SLOT, 30 * SLOT, 31 * SLOT]
        .into_iter()
        .chain([31 * SLOT + 2, 320 * SLOT - 1, 320 * SLOT, size - 9, size - 1, size, size + 5])
        .collect();
    let all = |seek: &dyn Fn(u64, Seek) -> String| -> Vec<String> {
        places.iter().flat_map(|at| [seek(*at, Seek::Data), seek(*at, Seek::Hole)]).collect()
    };
    let said =
        |found: mirrordna::artifacts::Result<u64>| found.map_or_else(|error| error.to_string(), |at| at.to_string());
    let then = all(&|at, what| said(fixture.files.seek(file, at, what)));
    let (_, at) = snapshot(&fixture);
    fixture.files.set_attributes(file, &SetAttributes { size: Some(1), ..SetAttributes::default() }).unwrap();
    fixture.commit();
    let past = fixture.past(at);
    assert_eq!(all(&|at, what| said(past.seek(file, at, what))), then);
    assert_eq!(code(past.seek(ROOT, 0, Seek::Data)), "EISDIR");
    // Nothing of it was ever written.
    let (_, at) = snapshot(&fixture);
    assert_eq!(
        (fixture.past(at).seek(file, 0, Seek::Hole).unwrap(), code(fixture.past(at).seek(file, 0, Seek::Data))),
        (0, "ENXIO")
    );
}

#[test]
fn pruning_frees_what_nobody_needs_and_nothing_else() {
    let fixture = Fixture::new();
    let (a, b) = (fixture.file("a"), fixture.file("b"));
    fixture.write(a, 0, &vec![1; 2 * SLOT as usize]);
    fixture.commit();
    // The second file shares what the first has, and then the first has something else.
    assert_eq!(fixture.files.copy_range(a, 10, b, 20, SLOT).unwrap(), SLOT);
    fixture.write(a, 0, &vec![2; 2 * SLOT as usize]);
    fixture.vault.prune(PrunePolicy { keep: Some(1), ..PrunePolicy::default() }).unwrap();
    for _ in 0..20 {
        fixture.files.write(a, 0, &vec![3; 2 * SLOT as usize], WriteOptions::default()).unwrap();
        fixture.commit();
    }
    fixture.vault.prune(PrunePolicy { keep: Some(1), ..PrunePolicy::default() }).unwrap();
    assert!(fixture.read(b, 20, SLOT as usize) == vec![1; SLOT as usize]);
    let fixture = fixture.reopen();
    assert!(fixture.read(b, 20, SLOT as usize) == vec![1; SLOT as usize]);
    assert!(fixture.all(a) == vec![3; 2 * SLOT as usize]);
    fixture.verify();
}
