//! Artifacts as they were, and brought back.

#![expect(clippy::cast_possible_truncation, reason = "sizes of these tests are small")]

use std::sync::{Arc, Mutex};

use mirrordna::artifacts::{Invalidation, NewNode, ROOT, RenameFlags, SetAttributes, WriteOptions};
use mirrordna::storage::PrunePolicy;
use mirrordna::vault::NewSnapshot;

use crate::support::{Fixture, SLOT, code};

fn names(past: &mirrordna::artifacts::Past, ino: u64) -> Vec<String> {
    let mut names = Vec::new();
    let mut take = |entry: &mirrordna::artifacts::ListEntry<'_>, attributes: &mirrordna::artifacts::Attributes| {
        assert_eq!(entry.ino, attributes.ino);
        names.push(String::from_utf8(entry.name.to_vec()).unwrap());
        true
    };
    past.list_with_attributes(ino, 0, &mut take).unwrap();
    names.sort();
    names
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
        let past = fixture.files.at(at);
        assert_eq!(names(&past, ROOT), ["dir", "file"]);
        assert_eq!(names(&past, dir), ["inner"]);
        assert_eq!(past.lookup(ROOT, b"file").unwrap(), then);
        assert_eq!(code(past.lookup(ROOT, b"new")), "ENOENT");
        assert_eq!(past.read_link(inner).unwrap(), b"target");
        assert_eq!(past.xattr(file, b"user.a").unwrap(), b"then");
        assert_eq!(past.parent(dir).unwrap(), ROOT);
        let mut bytes = vec![0; 4 * SLOT as usize];
        assert_eq!(past.read(file, 0, &mut bytes).unwrap(), 3 * SLOT as usize + 5);
        assert!(bytes[..3 * SLOT as usize + 5].iter().all(|byte| *byte == 1));
        assert_eq!(past.read(file, 3 * SLOT, &mut bytes).unwrap(), 5);
        assert_eq!(names(&fixture.files.at(empty), ROOT), Vec::<String>::new());
        assert_eq!(names(&fixture.files.at(fixture.vault.state().sequence), dir), ["moved"]);
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
    fixture.files.watch(Arc::new(move |what: &[Invalidation]| hears.lock().unwrap().extend_from_slice(what)));
    let waiting = fixture.file("waits to be committed");
    fixture.vault.snapshots().restore(&id).unwrap();
    let told = told.lock().unwrap().clone();
    for name in [(ROOT, "file"), (dir, "moved"), (dir, "inner"), (ROOT, "new"), (ROOT, "waits to be committed")] {
        let name = Invalidation::Name(name.0, name.1.as_bytes().to_vec());
        assert!(told.contains(&name), "{name:?}");
    }
    for ino in [ROOT, dir, file, inner, waiting] {
        assert!(told.contains(&Invalidation::Inode(ino)), "{ino}");
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
