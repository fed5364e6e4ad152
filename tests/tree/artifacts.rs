//! `artifacts/` of snapshots.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use mirrordna::Vault;
use mirrordna::artifacts::{
    Artifacts, Attributes, Caller, NewNode, ROOT, Seek, SetAttributes, WriteOptions, XattrMode,
};
use mirrordna::record::FileType;
use mirrordna::storage::PrunePolicy;
use mirrordna::tree::{Cursor, Node, Refusal, Stability, Tree};
use mirrordna::vault::NewSnapshot;

use crate::support::{bytes, entries, node, vault};

const SLOT: u64 = 128 << 10;

fn make(files: &Artifacts, parent: u64, name: &[u8], new: &NewNode<'_>) -> Attributes {
    files.create(parent, name, new, &Caller { uid: 7, gid: 8, umask: 0 }).unwrap()
}

fn write(files: &Artifacts, ino: u64, offset: u64, bytes: &[u8]) {
    files.write(ino, offset, bytes, WriteOptions::default()).unwrap();
}

/// One of everything: a sparse file with two names, a link, a pipe, a name that is no text, an extended attribute.
fn fill(files: &Artifacts) -> u64 {
    let dir = make(files, ROOT, b"dir", &NewNode::directory(0o751)).ino;
    let file = make(files, dir, b"file", &NewNode::file(0o4640)).ino;
    write(files, file, 2 * SLOT, &[7; 1_000]);
    files.set_xattr(file, b"user.color", b"\x00blue", XattrMode::Any).unwrap();
    files.link(file, ROOT, b"hard").unwrap();
    make(files, dir, b"soft", &NewNode::symlink(b"to \xff"));
    make(files, dir, b"pipe", &NewNode { file_type: FileType::Fifo, ..NewNode::file(0o600) });
    make(files, dir, b"\xff\xfe", &NewNode::file(0o600));
    dir
}

fn snapshot(vault: &Vault) -> String {
    vault.snapshots().create(NewSnapshot::default()).unwrap().id
}

/// `snapshots/<id>/artifacts/` has the files, directories and links as they were, with their content, holes, modes, owners,
/// times, links and extended attributes, whatever happens to them afterwards, prune included.
#[test]
fn a_snapshot_shows_artifacts_as_they_were_whatever_happens_after() {
    let (_dir, vault) = vault();
    let empty = snapshot(&vault);
    let files = vault.artifacts().unwrap();
    let dir = fill(&files);
    let file = files.lookup(dir, b"file").unwrap();
    let id = snapshot(&vault);
    let tree = Tree::new(vault.clone());
    let at = |path: &str| node(&tree, &format!("snapshots/{id}/artifacts{path}"));
    let held = at("").unwrap();

    write(&files, file.ino, 0, &vec![9; 500_000]);
    files.set_attributes(file.ino, &SetAttributes { mode: Some(0o600), ..SetAttributes::default() }).unwrap();
    files.unlink(dir, b"soft").unwrap();
    files.unlink(ROOT, b"hard").unwrap();
    make(&files, dir, b"new", &NewNode::file(0o600));
    drop(files);
    vault.prune(PrunePolicy { keep: Some(1), ..PrunePolicy::default() }).unwrap();

    let names = |node: &Node| -> Vec<Vec<u8>> {
        entries(&tree, node).into_iter().map(|entry| entry.name.as_bytes().to_vec()).collect()
    };
    let look = || {
        assert_eq!(names(&held), [&b"dir"[..], b"hard"]);
        let dir = tree.lookup(&held, OsStr::new("dir")).unwrap().unwrap();
        assert_eq!(names(&dir), [&b"file"[..], b"pipe", b"soft", b"\xff\xfe"]);
        let found = |name: &[u8]| tree.lookup(&dir, OsStr::from_bytes(name)).unwrap();
        assert_eq!((found(b"new"), found(b"SHA256SUMS")), (None, None));
        let node = found(b"file").unwrap();
        assert_eq!(tree.lookup(&held, OsStr::new("hard")).unwrap().as_ref(), Some(&node), "two names of one file");
        let then = tree.attributes(&node).unwrap();
        assert_eq!((then.file_type, then.size, then.nlink), (FileType::Regular, 2 * SLOT + 1_000, 2));
        let all = then.artifact.unwrap();
        assert_eq!((all.mode, all.uid, all.gid, all.mtime, all.blocks), (0o4640, 7, 8, file.mtime, 8));
        assert_eq!(bytes(&tree, &node), [vec![0; 262_144], vec![7; 1_000]].concat());
        assert_eq!(tree.open(&node).unwrap().read_at(2 * SLOT - 1, 3).unwrap().as_ref(), [0, 7, 7]);
        assert_eq!(tree.seek(&node, 0, Seek::Data).unwrap(), Some(2 * SLOT));
        assert_eq!(tree.seek(&node, 2 * SLOT, Seek::Hole).unwrap(), Some(then.size));
        assert_eq!(tree.seek(&node, then.size, Seek::Data).unwrap(), None);
        assert_eq!(tree.xattr_names(&node).unwrap(), ["user.color"]);
        assert_eq!(tree.xattr(&node, OsStr::new("user.color")).unwrap().as_deref(), Some(&b"\x00blue"[..]));
        assert_eq!(tree.xattr(&node, OsStr::new("user.sha256")).unwrap(), None);
        assert_eq!(tree.readlink(&found(b"soft").unwrap()).unwrap().as_bytes(), b"to \xff");
        assert_eq!(found(b"pipe").unwrap().file_type(), FileType::Fifo);
        assert_eq!((node.stability(), dir.absence(OsStr::new("x"))), (Stability::Immutable, Stability::Immutable));
    };
    look();
    // Before there were any.
    let root = node(&tree, &format!("snapshots/{empty}/artifacts")).unwrap();
    assert_eq!((names(&root), tree.attributes(&root).unwrap().artifact.unwrap().mode), (Vec::new(), 0o700));
    assert_eq!(tree.attributes(&root).unwrap().mtime, node_time(&tree, &empty));
    // Who looks into it when the snapshot is deleted can go on looking.
    vault.snapshots().delete(&id).unwrap();
    vault.prune(PrunePolicy { keep: Some(1), ..PrunePolicy::default() }).unwrap();
    assert_eq!(at(""), None);
    look();
    drop(held);
    // And when nobody looks any more, nothing keeps it from being pruned.
    let pruned = vault.prune(PrunePolicy { keep: Some(1), ..PrunePolicy::default() }).unwrap();
    assert!(pruned.chunks > 0, "{pruned:?}");
}

/// The time that a snapshot pins.
fn node_time(tree: &Tree, id: &str) -> mirrordna::record::Timestamp {
    let sequence = tree.vault().snapshots().get(id).unwrap().sequence;
    tree.vault().log(sequence, 1).unwrap().pop().unwrap().time
}

/// A directory of any size is listed page by page in order of the names, and goes on from any entry.
#[test]
fn large_directories_of_the_past_are_listed_whole_and_from_any_entry() {
    let (_dir, vault) = vault();
    let files = vault.artifacts().unwrap();
    let name = |n: u32| format!("{:05}", n * 7_919 % 10_007);
    for n in 0..3_000 {
        make(&files, ROOT, name(n).as_bytes(), &NewNode::file(0o600));
    }
    let id = snapshot(&vault);
    for n in (0..3_000).step_by(2) {
        files.unlink(ROOT, name(n).as_bytes()).unwrap();
        make(&files, ROOT, format!("x{n}").as_bytes(), &NewNode::file(0o600));
    }
    files.commit(mirrordna::storage::Durability::Buffered).unwrap();
    let tree = Tree::new(vault);
    let root = node(&tree, &format!("snapshots/{id}/artifacts")).unwrap();
    let all = entries(&tree, &root);
    let mut expected: Vec<String> = (0..3_000).map(name).collect();
    expected.sort();
    let found: Vec<_> = all.iter().map(|entry| entry.name.to_str().unwrap()).collect();
    assert_eq!(found, expected);
    assert!(all.is_sorted_by(|one, other| one.cursor < other.cursor));
    for place in [0, 1, 1_022, 1_023, 1_024, 2_047, 2_998, 2_999] {
        let rest: Vec<_> = tree.list(&root, all[place].cursor).unwrap().map(Result::unwrap).collect();
        assert_eq!(rest, all[place + 1..]);
    }
    assert!(tree.list(&root, Cursor(u64::MAX)).unwrap().next().is_none());
}

/// Nothing there can be changed: `EROFS`.
#[test]
fn artifacts_of_the_past_are_not_changed() {
    let (_dir, vault) = vault();
    fill(&vault.artifacts().unwrap());
    let id = snapshot(&vault);
    let tree = Tree::writable(vault.clone(), None).unwrap();
    let before = vault.state();
    let dir = node(&tree, &format!("snapshots/{id}/artifacts/dir")).unwrap();
    let file = tree.lookup(&dir, OsStr::new("file")).unwrap().unwrap();
    let (old, new) = (OsStr::new("file"), OsStr::new("new.json"));
    let refused = [
        tree.create(&dir, new, false, false).map(drop),
        tree.create(&dir, old, false, true).map(drop),
        tree.open_file(&file, false).map(drop),
        tree.truncate(&file, 0).map(drop),
        tree.unlink(&dir, old).map(drop),
        tree.rename((&dir, old), (&dir, new), true).map(drop),
        tree.rename((&dir, old), (&node(&tree, "identities").unwrap(), new), true).map(drop),
        tree.make_other(&dir, new),
        tree.remove_directory(&dir, new),
        tree.set_attributes(&file),
        tree.set_other(&file, "anything"),
    ];
    for (n, refused) in refused.into_iter().enumerate() {
        assert!(matches!(refused, Err(Refusal::Past { .. })), "{n}: {refused:?}");
    }
    assert_eq!(vault.state(), before);
    assert!(!tree.is_writable(&file) && !tree.is_writable(&dir));
}
