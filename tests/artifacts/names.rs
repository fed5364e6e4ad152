//! Names, links and attributes, as on other Linux file systems.

use std::sync::{Arc, Mutex};

use mirrordna::artifacts::{
    Artifacts, Attributes, FileType, Invalidation, ListEntry, NewNode, ROOT, RenameFlags, Watcher, WriteOptions,
};
use mirrordna::record::Kind;
use mirrordna::record::id::SystemIds;
use mirrordna::record::time::SystemClock;
use mirrordna::storage::{
    Action, Change, Commit, Durability, Expect, FileRows, NOW, OpenOptions, Origin, RocksStorage, Storage,
};
use mirrordna::{Vault, VaultOptions};

use crate::failing;
use crate::support::{Fixture, ME, code, scratch};

const REPLACE: RenameFlags = RenameFlags { no_replace: false, exchange: false };
const NO_REPLACE: RenameFlags = RenameFlags { no_replace: true, exchange: false };
const EXCHANGE: RenameFlags = RenameFlags { no_replace: false, exchange: true };

fn rename(
    files: &Arc<Artifacts>,
    from: (u64, &str),
    to: (u64, &str),
    flags: RenameFlags,
) -> mirrordna::artifacts::Result<()> {
    files.rename(from.0, from.1.as_bytes(), to.0, to.1.as_bytes(), flags)
}

/// A name that leads nowhere, as damage may leave one, keeps nobody from listing the others.
#[test]
fn a_name_without_an_inode_does_not_stop_a_listing() {
    let fixture = Fixture::new();
    let dir = fixture.dir("dir");
    let made = ["a", "m", "z"].map(|name| fixture.make(dir, name, &NewNode::file(0o644)).unwrap().ino);
    fixture.commit();
    let (action, expect) = (Action::Delete, Expect::Any);
    let changes = vec![Change { kind: Kind::Artifact, id: made[1].to_string(), action, expect, event: None }];
    let (seen, files, actor) = (Vec::new(), FileRows::default(), String::new());
    let (origin, durability) = (Origin::Direct, Durability::Buffered);
    fixture.vault.storage().commit(Commit { seen, changes, files, actor, origin, token: None, durability }).unwrap();
    let mut listed = Vec::new();
    let mut take = |entry: &ListEntry<'_>, _: Option<&Attributes>| {
        listed.push(String::from_utf8_lossy(entry.name).into_owned());
        true
    };
    let fixture = fixture.reopen();
    fixture.files.list_with_attributes(dir, 0, &mut take).unwrap();
    listed.sort();
    assert_eq!(listed, ["a", "z"]);
}

/// A damaged inode keeps nobody from listing the others, and is listed by its name.
#[test]
fn a_damaged_inode_does_not_stop_a_listing() {
    let fixture = Fixture::new();
    let dir = fixture.dir("dir");
    let made = ["a", "m", "z"].map(|name| fixture.make(dir, name, &NewNode::file(0o644)).unwrap().ino);
    fixture.commit();
    failing::damage_inode(fixture.vault.storage(), made[1]);
    let fixture = fixture.reopen();
    for _ in 0..2 {
        let mut listed = Vec::new();
        let mut take = |entry: &ListEntry<'_>, attributes: Option<&Attributes>| {
            assert!(attributes.is_none_or(|attributes| attributes.ino == entry.ino));
            listed.push((String::from_utf8_lossy(entry.name).into_owned(), attributes.is_some()));
            true
        };
        fixture.files.list_with_attributes(dir, 0, &mut take).unwrap();
        listed.sort();
        let expected = [("a", true), ("m", false), ("z", true)].map(|(name, known)| (name.to_owned(), known));
        assert_eq!(listed, expected);
        assert_eq!(code(fixture.find(dir, "m")), "EIO");
    }
    // Each of them was referenced, and can be given back.
    for ino in made {
        fixture.files.forget(ino, 2);
    }
    assert!(
        fixture.vault.files().read_dir("dir").and_then(Iterator::collect::<Result<Vec<_>, _>>).is_err(),
        "a program is told"
    );
}

#[test]
fn a_new_vault_has_an_empty_root() {
    let fixture = Fixture::new();
    let root = fixture.files.attributes(ROOT).unwrap();
    assert_eq!((root.file_type, root.mode, root.nlink), (FileType::Directory, 0o700, 2));
    assert_eq!(fixture.list(ROOT), Vec::<String>::new());
    assert_eq!(fixture.files.parent(ROOT).unwrap(), ROOT);
    assert_eq!(code(fixture.find(ROOT, "x")), "ENOENT");
    assert_eq!(code(fixture.files.attributes(77)), "ESTALE");
    assert_eq!(fixture.vault.state().sequence, 0);
}

#[test]
fn what_is_made_is_there_with_what_was_asked_for() {
    let mut fixture = Fixture::new();
    let target = b"../where/ever \xff";
    let made = [
        fixture.make(ROOT, "file", &NewNode::file(0o6777)).unwrap(),
        fixture.make(ROOT, "dir", &NewNode::directory(0o1777)).unwrap(),
        fixture.make(ROOT, "link", &NewNode::symlink(target)).unwrap(),
        fixture.make(ROOT, "fifo", &NewNode { file_type: FileType::Fifo, ..NewNode::file(0o600) }).unwrap(),
        fixture.make(ROOT, "socket", &NewNode { file_type: FileType::Socket, ..NewNode::file(0o600) }).unwrap(),
        fixture
            .make(ROOT, "device", &NewNode { file_type: FileType::CharDevice, rdev: 0x103, ..NewNode::file(0o600) })
            .unwrap(),
    ];
    assert_eq!(made.map(|made| made.mode), [0o6755, 0o1755, 0o777, 0o600, 0o600, 0o600]);
    assert_eq!(made.map(|made| made.nlink), [1, 2, 1, 1, 1, 1]);
    assert_eq!((made[2].size, made[5].rdev, made[0].uid, made[0].gid), (15, 0x103, 1000, 1000));
    assert_eq!(fixture.files.attributes(ROOT).unwrap().nlink, 3);
    for _ in 0..2 {
        let names = ["device", "dir", "fifo", "file", "link", "socket"];
        assert_eq!(fixture.list(ROOT), names);
        for (name, made) in ["file", "dir", "link", "fifo", "socket", "device"].into_iter().zip(&made) {
            assert_eq!(fixture.find(ROOT, name).unwrap(), *made);
        }
        assert_eq!(fixture.files.read_link(made[2].ino).unwrap(), target);
        assert_eq!(code(fixture.files.read_link(made[0].ino)), "EINVAL");
        fixture = fixture.reopen();
    }
    // Numbers are never used again.
    let new = fixture.file("new");
    assert!(made.iter().all(|made| made.ino < new));
    fixture.verify();
}

#[test]
fn names_that_cannot_be_are_refused() {
    let fixture = Fixture::new();
    let make = |name: &str| code(fixture.make(ROOT, name, &NewNode::file(0o600)));
    assert_eq!(make(&"x".repeat(256)), "ENAMETOOLONG");
    assert_eq!(
        (make("."), make(".."), make("a/b"), make("a\0b"), make("")),
        ("EEXIST", "EEXIST", "EINVAL", "EINVAL", "ENOENT")
    );
    let longest = "ö".repeat(127);
    let ino = fixture.file(&longest);
    assert_eq!(make(&longest), "EEXIST");
    assert_eq!(fixture.find(ROOT, &longest).unwrap().ino, ino);
    assert_eq!(code(fixture.find(ROOT, &"x".repeat(256))), "ENAMETOOLONG");
    assert_eq!(code(fixture.make(ino, "x", &NewNode::file(0o600))), "ENOTDIR");
    assert_eq!(code(fixture.make(ROOT, "l", &NewNode::symlink(&[b'x'; 4_096]))), "ENAMETOOLONG");
    assert!(fixture.make(ROOT, "l", &NewNode::symlink(&[b'x'; 4_095])).is_ok());
    // Opening what is there, unless it must be new.
    let open = NewNode { exclusive: false, ..NewNode::file(0) };
    assert_eq!(fixture.make(ROOT, &longest, &open).unwrap().ino, ino);
    fixture.dir("dir");
    assert_eq!(code(fixture.make(ROOT, "dir", &open)), "EISDIR");
}

#[test]
fn links_count_and_the_last_name_takes_the_file_along() {
    let fixture = Fixture::new();
    let (file, dir) = (fixture.file("a"), fixture.dir("dir"));
    fixture.write(file, 0, b"content");
    assert_eq!(fixture.files.link(file, dir, b"b").unwrap().nlink, 2);
    fixture.files.forget(file, 2);
    assert_eq!(code(fixture.files.link(dir, ROOT, b"d")), "EPERM");
    assert_eq!(code(fixture.files.link(file, dir, b"b")), "EEXIST");
    let fixture = fixture.reopen();
    assert_eq!(fixture.find(dir, "b").unwrap().nlink, 2);
    fixture.files.unlink(ROOT, b"a").unwrap();
    assert_eq!(fixture.find(dir, "b").unwrap().nlink, 1);
    assert_eq!(fixture.all(file), b"content");
    // Who has it open keeps it.
    let open = fixture.files.lookup(dir, b"b").unwrap();
    fixture.files.unlink(dir, b"b").unwrap();
    assert_eq!(fixture.files.attributes(file).unwrap().nlink, 0);
    fixture.commit();
    assert_eq!(fixture.all(file), b"content");
    fixture.write(file, 7, b" more");
    assert_eq!(code(fixture.files.link(file, dir, b"again")), "ENOENT");
    fixture.files.forget(open.ino, 1);
    assert_eq!(code(fixture.files.attributes(file)), "ESTALE");
    fixture.commit();
    assert_eq!(code(fixture.files.attributes(file)), "ESTALE");
    assert_eq!(code(fixture.files.unlink(dir, b"b")), "ENOENT");
    assert_eq!(code(fixture.files.unlink(ROOT, b"dir")), "EISDIR");
    fixture.verify();
}

#[test]
fn what_is_open_without_a_name_is_gone_after_the_next_opening() {
    let fixture = Fixture::new();
    let file = fixture.file("a");
    let unnamed = fixture.files.create_unnamed(ROOT, 0o600, &ME).unwrap();
    assert_eq!(unnamed.nlink, 0);
    let named = fixture.files.create_unnamed(ROOT, 0o600, &ME).unwrap().ino;
    fixture.write(named, 0, b"now it has a name");
    fixture.commit();
    fixture.files.unlink(ROOT, b"a").unwrap();
    assert_eq!(fixture.files.link(named, ROOT, b"named").unwrap().nlink, 1);
    fixture.commit();
    let fixture = fixture.reopen();
    assert_eq!(fixture.all(named), b"now it has a name");
    // They are deleted in the background: wait until they are.
    while !matches!(fixture.files.attributes(file), Err(mirrordna::artifacts::FsError::Stale { .. }))
        || !matches!(fixture.files.attributes(unnamed.ino), Err(mirrordna::artifacts::FsError::Stale { .. }))
    {
        std::thread::yield_now();
    }
    fixture.commit();
    let live = |ino: u64| {
        let version =
            fixture.vault.storage().version(mirrordna::record::Kind::Artifact, &ino.to_string(), NOW).unwrap();
        version.is_some_and(|version| !version.deleted)
    };
    assert_eq!((live(file), live(unnamed.ino), live(named)), (false, false, true));
    fixture.verify();
}

#[test]
fn directories_go_when_they_are_empty() {
    let fixture = Fixture::new();
    let dir = fixture.dir("dir");
    let inner = fixture.make(dir, "inner", &NewNode::directory(0o755)).unwrap().ino;
    let file = fixture.file("file");
    for _ in 0..2 {
        assert_eq!(code(fixture.files.rmdir(ROOT, b"dir")), "ENOTEMPTY");
        fixture.commit();
    }
    assert_eq!(code(fixture.files.rmdir(ROOT, b"file")), "ENOTDIR");
    assert_eq!(code(fixture.files.rmdir(dir, b".")), "EINVAL");
    assert_eq!(code(fixture.files.rmdir(dir, b"..")), "ENOTEMPTY");
    assert_eq!(fixture.files.attributes(dir).unwrap().nlink, 3);
    fixture.files.rmdir(dir, b"inner").unwrap();
    assert_eq!(fixture.files.attributes(dir).unwrap().nlink, 2);
    // It is open: nothing can be made in it any more.
    assert_eq!(fixture.files.attributes(inner).unwrap().nlink, 0);
    assert_eq!(code(fixture.make(inner, "x", &NewNode::file(0o600))), "ENOENT");
    assert_eq!(code(fixture.files.link(file, inner, b"x")), "ENOENT");
    assert_eq!(code(rename(&fixture.files, (ROOT, "file"), (inner, "x"), REPLACE)), "ENOENT");
    assert_eq!(code(fixture.files.parent(inner)), "ENOENT");
    fixture.files.rmdir(ROOT, b"dir").unwrap();
    assert_eq!(fixture.list(ROOT), ["file"]);
    fixture.verify();
}

#[test]
fn renaming_replaces_what_is_of_the_same_sort() {
    let mut fixture = Fixture::new();
    let (a, b, dir, full) = (fixture.file("a"), fixture.file("b"), fixture.dir("dir"), fixture.dir("full"));
    let inner = fixture.make(full, "inner", &NewNode::directory(0o755)).unwrap().ino;
    fixture.files.forget(b, 1);
    let files = Arc::clone(&fixture.files);
    assert_eq!(code(rename(&files, (ROOT, "none"), (ROOT, "a"), REPLACE)), "ENOENT");
    assert_eq!(code(rename(&files, (ROOT, "a"), (ROOT, "dir"), REPLACE)), "EISDIR");
    assert_eq!(code(rename(&files, (ROOT, "dir"), (ROOT, "a"), REPLACE)), "ENOTDIR");
    assert_eq!(code(rename(&files, (ROOT, "dir"), (ROOT, "full"), REPLACE)), "ENOTEMPTY");
    assert_eq!(code(rename(&files, (ROOT, "full"), (inner, "x"), REPLACE)), "EINVAL");
    assert_eq!(code(rename(&files, (ROOT, "full"), (full, "x"), REPLACE)), "EINVAL");
    assert_eq!(code(rename(&files, (full, "inner"), (ROOT, "full"), REPLACE)), "ENOTEMPTY");
    assert_eq!(code(rename(&files, (full, "inner"), (ROOT, "full"), EXCHANGE)), "EINVAL");
    assert_eq!(code(rename(&files, (ROOT, "a"), (ROOT, "b"), NO_REPLACE)), "EEXIST");
    assert_eq!(code(rename(&files, (ROOT, "a"), (ROOT, "c"), EXCHANGE)), "ENOENT");
    let both = RenameFlags { no_replace: true, exchange: true };
    assert_eq!(code(rename(&files, (ROOT, "a"), (ROOT, "b"), both)), "EINVAL");
    assert_eq!(code(rename(&files, (ROOT, "."), (ROOT, "b"), REPLACE)), "EINVAL");
    assert_eq!(fixture.list(ROOT), ["a", "b", "dir", "full"]);

    rename(&files, (ROOT, "a"), (ROOT, "b"), REPLACE).unwrap();
    assert_eq!(fixture.find(ROOT, "b").unwrap().ino, a);
    assert_eq!(code(files.attributes(b)), "ESTALE");
    // Onto itself, and onto another name of the same file: nothing happens.
    rename(&files, (ROOT, "b"), (ROOT, "b"), REPLACE).unwrap();
    files.link(a, ROOT, b"c").unwrap();
    rename(&files, (ROOT, "b"), (ROOT, "c"), REPLACE).unwrap();
    assert_eq!(fixture.list(ROOT), ["b", "c", "dir", "full"]);

    rename(&files, (full, "inner"), (ROOT, "dir"), REPLACE).unwrap();
    assert_eq!(files.attributes(full).unwrap().nlink, 2);
    assert_eq!(fixture.find(ROOT, "dir").unwrap().ino, inner);
    assert_eq!(files.attributes(ROOT).unwrap().nlink, 4);
    assert_eq!(files.attributes(dir).unwrap().nlink, 0);

    rename(&files, (ROOT, "dir"), (full, "moved"), NO_REPLACE).unwrap();
    assert_eq!(files.parent(inner).unwrap(), full);
    assert_eq!((files.attributes(ROOT).unwrap().nlink, files.attributes(full).unwrap().nlink), (3, 3));
    rename(&files, (full, "moved"), (ROOT, "b"), EXCHANGE).unwrap();
    assert_eq!(fixture.find(full, "moved").unwrap().ino, a);
    assert_eq!(fixture.find(ROOT, "b").unwrap().ino, inner);
    assert_eq!((files.attributes(ROOT).unwrap().nlink, files.attributes(full).unwrap().nlink), (4, 2));
    drop(files);
    for _ in 0..2 {
        assert_eq!(fixture.list(ROOT), ["b", "c", "full"]);
        assert_eq!(fixture.list(full), ["moved"]);
        assert_eq!(fixture.files.attributes(a).unwrap().nlink, 2);
        fixture = fixture.reopen();
    }
    fixture.verify();
}

#[test]
fn a_listing_has_each_name_once_with_its_attributes() {
    let mut fixture = Fixture::new();
    let dir = fixture.dir("d");
    for n in 0..3_000 {
        let ino = fixture.make(dir, &format!("file {n}"), &NewNode::file(0o644)).unwrap().ino;
        fixture.files.forget(ino, 1);
    }
    fixture = fixture.reopen();
    let (mut cursor, mut names, mut inos) = (0, Vec::new(), Vec::new());
    loop {
        let mut page = 0;
        let after = cursor;
        let mut take = |entry: &mirrordna::artifacts::ListEntry<'_>, attributes: Option<&Attributes>| {
            if page == 100 {
                return false;
            }
            page += 1;
            assert!(entry.cursor >= mirrordna::artifacts::FIRST_CURSOR && i64::try_from(entry.cursor).is_ok());
            assert_eq!((entry.ino, entry.file_type), (attributes.unwrap().ino, FileType::Regular));
            cursor = entry.cursor;
            names.push(String::from_utf8(entry.name.to_vec()).unwrap());
            inos.push(entry.ino);
            true
        };
        fixture.files.list_with_attributes(dir, after, &mut take).unwrap();
        if page == 0 {
            break;
        }
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 3_000);
    // Each of them was referenced: it stays although its name goes.
    let name = names[7].as_bytes();
    let found = fixture.files.lookup(dir, name).unwrap().ino;
    fixture.files.unlink(dir, name).unwrap();
    fixture.files.forget(found, 1);
    assert_eq!(fixture.files.attributes(found).unwrap().nlink, 0);
    fixture.files.forget(found, 1);
    assert_eq!(code(fixture.files.attributes(found)), "ESTALE");
    assert_eq!(code(fixture.files.list(inos[0], 0, &mut |_| true)), "ENOTDIR");
}

#[test]
fn what_another_handle_on_the_storage_changes_is_seen_and_told() {
    let dir = scratch();
    let storage = RocksStorage::create(&dir.path().join("vault"), &OpenOptions::default(), &SystemIds).unwrap();
    let storage: Arc<dyn Storage> = Arc::new(storage);
    let vault = Vault::over(Arc::clone(&storage), &VaultOptions::default());
    let files = vault.artifacts().unwrap();
    let fixture = Fixture { dir, vault, files };
    let (file, dir) = (fixture.file("file"), fixture.dir("dir"));
    fixture.write(file, 0, b"old");
    fixture.commit();
    let told = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&told);
    let watcher: Watcher = Arc::new(move |what: &[Invalidation]| hears.lock().unwrap().extend_from_slice(what));
    fixture.files.watch(&watcher);
    // As another process would, through the same storage.
    let other = Artifacts::open(storage, Arc::new(SystemClock), "other").unwrap();
    other.write(file, 0, b"newer", WriteOptions::default()).unwrap();
    rename(&other, (ROOT, "file"), (dir, "moved"), REPLACE).unwrap();
    other.close().unwrap();
    assert_eq!(fixture.find(dir, "moved").unwrap().size, 5);
    assert_eq!(code(fixture.find(ROOT, "file")), "ENOENT");
    assert_eq!(fixture.all(file), b"newer");
    let name = |parent, name: &str| Invalidation::Name(parent, name.as_bytes().to_vec());
    let expected = [name(ROOT, "file"), name(dir, "moved"), Invalidation::Inode(file), Invalidation::Inode(dir)];
    while !expected.iter().all(|expected| told.lock().unwrap().contains(expected)) {
        std::thread::yield_now();
    }
}
