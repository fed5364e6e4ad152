//! What is derived is made again from the log and the versions, which are never touched.

use std::path::Path;

use mirrordna::record::{FileType, Kind};
use mirrordna::storage::{
    Durability, Expect, Fault, NOW, OpenOptions, PrunePolicy, RocksStorage, Selection, Sequence, Storage, StorageError,
    Version,
};
use rocksdb::{DB, IteratorMode, Options};

use super::files::{Files, noise};
use super::support::{
    Found, assert_clean, check, commit, create, delete, open, options, put_memory, scratch, set_pins,
};

const FAMILIES: [&str; 10] =
    ["default", "meta", "log", "tiles", "versions", "heads", "index", "dentries", "extents", "chunks"];

/// Changes rows behind the storage's back.
fn tamper(dir: &Path, change: impl FnOnce(&DB)) {
    let db = DB::open_cf(&Options::default(), dir.join("db"), FAMILIES).unwrap();
    change(&db);
    for family in FAMILIES {
        db.flush_cf(db.cf_handle(family).unwrap()).unwrap();
    }
}

/// A key and its value.
type Row = (Box<[u8]>, Box<[u8]>);

fn rows(db: &DB, family: &str) -> Vec<Row> {
    db.iterator_cf(db.cf_handle(family).unwrap(), IteratorMode::Start).map(Result::unwrap).collect()
}

fn build(dir: &Path) {
    let storage = create(dir);
    for n in 0..700 {
        storage
            .commit(commit(vec![put_memory(&format!("mem_{n}"), "x", Expect::Absent)], Durability::Buffered))
            .unwrap();
    }
    for n in (0..700).step_by(3) {
        storage
            .commit(commit(vec![put_memory(&format!("mem_{n}"), "y", Expect::Present)], Durability::Buffered))
            .unwrap();
    }
    let gone = (0..700).step_by(10).map(|n| delete(Kind::Memory, &format!("mem_{n}"), Expect::Present)).collect();
    storage.commit(commit(gone, Durability::Buffered)).unwrap();
    build_files(&storage);
    assert_clean(&storage, &[]);
}

/// Changes of inodes in `build_files`.
const FILE_CHANGES: u64 = 11 + 4 + 3;

/// Files that got and lost names, some of them in one commit.
fn build_files(storage: &RocksStorage) {
    let mut files = Files::default();
    files.make(1, FileType::Directory, 0, b"");
    for ino in 2..12 {
        files.make(ino, FileType::Regular, 1, format!("file {ino}").as_bytes());
        files.write(storage, ino, 0, &noise(ino, 50));
    }
    files.commit(storage, Durability::Buffered);
    // One takes the name of another.
    files.unlink(3, 1, b"file 3");
    files.remove(3);
    files.unlink(2, 1, b"file 2");
    files.link(2, 1, b"file 3");
    files.link(5, 1, b"second name");
    files.commit(storage, Durability::Buffered);
    files.unlink(5, 1, b"file 5");
    files.set(6, 0, Vec::new(), Vec::new());
    files.commit(storage, Durability::Sync);
    files.compare(storage, NOW);
}

fn all_versions(storage: &RocksStorage) -> Vec<Version> {
    let ids = (0..700).map(|n| format!("mem_{n}"));
    ids.flat_map(|id| storage.history(Kind::Memory, &id, NOW, usize::MAX).unwrap()).collect()
}

fn inspect(dir: &Path) -> Found {
    let storage = RocksStorage::open(dir, &OpenOptions { inspect: true, ..options() }).unwrap();
    check(&storage, &[])
}

/// Damages a derived family in one way, and sees that it is named as derived, repaired, and nothing else is touched.
fn heals(family: &str, word: &str, change: impl FnOnce(&DB, &rocksdb::ColumnFamily)) {
    let dir = scratch();
    build(dir.path());
    let (versions, list, root) = {
        let storage = open(dir.path());
        let list = storage.select(&Selection::all(Kind::Memory), None, usize::MAX).unwrap();
        (all_versions(&storage), list, storage.state().root)
    };
    tamper(dir.path(), |db| change(db, db.cf_handle(family).unwrap()));
    let found = inspect(dir.path());
    assert!(!found.faults.is_empty(), "{family} {word}: nothing found");
    assert!(found.faults.iter().all(|fault| fault.derived), "{:#?}", found.faults);
    assert!(found.faults.iter().any(|fault| fault.subject.contains(word)), "{word}: {:#?}", found.faults);
    RocksStorage::repair(dir.path(), &options()).unwrap();
    let storage = open(dir.path());
    assert_clean(&storage, &[]);
    assert_eq!(all_versions(&storage), versions);
    assert_eq!(storage.select(&Selection::all(Kind::Memory), None, usize::MAX).unwrap(), list);
    assert_eq!(storage.next_ino().unwrap(), 12);
    assert_eq!(storage.dentry(1, b"file 3", NOW).unwrap().unwrap().ino, 2);
    assert_eq!(storage.dentry(1, b"file 5", NOW).unwrap(), None);
    assert_eq!(storage.dentries(1, None, 99, NOW).unwrap().len(), 9);
    assert_eq!(storage.state().root, root);
    assert_eq!(storage.state().epoch, 1, "a repair is no crash");
}

#[test]
fn lost_heads_are_made_again() {
    heals("heads", "the head of memory mem_5", |db, heads| db.delete_cf(heads, b"\x03mem_5").unwrap());
    heals("heads", "the head of memory mem_", |db, heads| {
        for (key, _) in rows(db, "heads").into_iter().step_by(2) {
            db.delete_cf(heads, key).unwrap();
        }
    });
}

#[test]
fn altered_heads_are_made_again() {
    heals("heads", "the head of memory mem_6", |db, heads| {
        let old = db.get_cf(heads, b"\x03mem_5").unwrap().unwrap();
        db.put_cf(heads, b"\x03mem_6", old).unwrap();
    });
    heals("heads", "the head of memory mem_6", |db, heads| db.put_cf(heads, b"\x03mem_6", b"?").unwrap());
    heals("heads", "the head of memory mem_none", |db, heads| {
        let old = db.get_cf(heads, b"\x03mem_5").unwrap().unwrap();
        db.put_cf(heads, b"\x03mem_none", old).unwrap();
    });
}

#[test]
fn index_entries_lost_altered_or_added_are_made_again() {
    heals("index", "the index entries of", |db, index| {
        for (key, _) in rows(db, "index").into_iter().step_by(5) {
            db.delete_cf(index, key).unwrap();
        }
    });
    heals("index", "the index entries of", |db, index| {
        let (key, mut value) = rows(db, "index").remove(9);
        value[8] ^= 4;
        db.put_cf(index, key, value).unwrap();
    });
    heals("index", "the index entries of", |db, index| {
        let (mut key, value) = rows(db, "index").remove(9);
        let last = key.len() - 1;
        key[last - 2] ^= 0x80;
        db.put_cf(index, key, value).unwrap();
    });
    heals("index", "the index entries of", |db, index| db.put_cf(index, b"??", b"??").unwrap());
}

#[test]
fn directory_entries_lost_altered_or_added_are_made_again() {
    let word = "the entry";
    heals("dentries", word, |db, dentries| {
        for (key, _) in rows(db, "dentries").into_iter().step_by(3) {
            db.delete_cf(dentries, key).unwrap();
        }
    });
    heals("dentries", word, |db, dentries| {
        let (key, value) = rows(db, "dentries").remove(6);
        let (_, other) = rows(db, "dentries").into_iter().find(|(_, other)| *other != value).unwrap();
        db.put_cf(dentries, key, other).unwrap();
    });
    heals("dentries", word, |db, dentries| {
        let (key, _) = rows(db, "dentries").remove(9);
        db.put_cf(dentries, key, b"?").unwrap();
    });
    heals("dentries", word, |db, dentries| {
        let (mut key, value) = rows(db, "dentries").remove(6);
        key[8] ^= 0x40;
        db.put_cf(dentries, key, value).unwrap();
    });
    heals("dentries", "the row of dentries", |db, dentries| db.put_cf(dentries, b"??", b"??").unwrap());
    heals("meta", "the highest number of an inode", |db, meta| db.put_cf(meta, b"ino", b"?").unwrap());
    heals("meta", "the highest number of an inode", |db, meta| db.delete_cf(meta, b"ino").unwrap());
}

/// Prunes all that neither the present nor the first of these times needs, makes the directories again, and sees that they
/// are what they were.
fn pruned_and_made_again(storage: RocksStorage, dir: &Path, keep: u32, times: &[(Sequence, Files)]) {
    let pin = times[0].0;
    set_pins(&storage, &[pin]);
    let dropped = storage.prune(PrunePolicy { keep: Some(keep), ..PrunePolicy::default() }, "tester").unwrap();
    assert!(dropped.versions > 0);
    storage.close().unwrap();
    RocksStorage::repair(dir, &options()).unwrap();
    let storage = open(dir);
    for (at, files) in times {
        files.compare(&storage, *at);
    }
    assert_clean(&storage, &[pin]);
}

/// When a file lost a name is not known once that version was pruned. Whoever got the name meanwhile keeps it.
#[test]
fn a_name_that_was_lost_in_a_pruned_version_stays_with_who_got_it() {
    let dir = scratch();
    let storage = create(dir.path());
    let mut files = Files::default();
    files.make(1, FileType::Directory, 0, b"");
    files.make(2, FileType::Regular, 1, b"f");
    let pinned = (files.commit(&storage, Durability::Buffered), files.clone());
    files.unlink(2, 1, b"f");
    files.link(2, 1, b"f.bak");
    files.make(3, FileType::Regular, 1, b"f");
    files.commit(&storage, Durability::Buffered);
    files.unlink(2, 1, b"f.bak");
    files.remove(2);
    files.commit(&storage, Durability::Buffered);
    pruned_and_made_again(storage, dir.path(), 1, &[pinned, (NOW, files)]);
}

/// That a file lost a name and got it again is not known once the version between was pruned. Whoever had the name meanwhile
/// does not keep it.
#[test]
fn a_name_that_came_back_after_a_pruned_version_is_there() {
    let dir = scratch();
    let storage = create(dir.path());
    let mut files = Files::default();
    files.make(1, FileType::Directory, 0, b"");
    files.make(2, FileType::Regular, 1, b"f");
    files.make(3, FileType::Regular, 1, b"other");
    let pinned = (files.commit(&storage, Durability::Buffered), files.clone());
    files.unlink(2, 1, b"f");
    files.link(2, 1, b"x");
    files.link(3, 1, b"f");
    files.commit(&storage, Durability::Buffered);
    files.unlink(3, 1, b"f");
    files.commit(&storage, Durability::Buffered);
    files.link(2, 1, b"f");
    files.commit(&storage, Durability::Buffered);
    files.set(2, 0, Vec::new(), Vec::new());
    files.commit(&storage, Durability::Buffered);
    pruned_and_made_again(storage, dir.path(), 2, &[pinned, (NOW, files)]);
}

/// A restore goes on in many commits, and gives a name back before the other file has lost it.
#[test]
fn a_name_that_two_files_had_in_the_middle_of_a_restore_stays_with_the_one_that_has_it() {
    let dir = scratch();
    let storage = create(dir.path());
    let mut files = Files::default();
    files.make(1, FileType::Directory, 0, b"");
    files.make(2, FileType::Regular, 1, b"x");
    files.make(3, FileType::Regular, 1, b"f");
    files.commit(&storage, Durability::Buffered);
    files.link(2, 1, b"f");
    files.commit(&storage, Durability::Buffered);
    files.unlink(3, 1, b"f");
    files.remove(3);
    files.unlink(2, 1, b"f");
    files.link(2, 1, b"f");
    files.commit(&storage, Durability::Buffered);
    storage.close().unwrap();
    RocksStorage::repair(dir.path(), &options()).unwrap();
    let storage = open(dir.path());
    files.compare(&storage, NOW);
    assert_clean(&storage, &[]);
}

#[test]
fn tiles_lost_or_altered_are_made_again() {
    heals("tiles", "tile 0/1", |db, tiles| db.delete_cf(tiles, &rows(db, "tiles")[1].0).unwrap());
    heals("tiles", "tile 0/0", |db, tiles| {
        let (key, mut value) = rows(db, "tiles").remove(0);
        value[77] ^= 1;
        db.put_cf(tiles, key, value).unwrap();
    });
    heals("tiles", "tile 0/2", |db, tiles| db.put_cf(tiles, &rows(db, "tiles")[2].0, b"short").unwrap());
}

/// Damages what is not derived, and sees that it is named as such and that a repair does not make it worse.
fn stays_named(subject: &str, change: impl FnOnce(&DB)) {
    let dir = scratch();
    build(dir.path());
    tamper(dir.path(), change);
    let before = inspect(dir.path());
    let named = before.faults.iter().any(|fault| !fault.derived && fault.subject.contains(subject));
    assert!(named, "{subject}: {:#?}", before.faults);
    let content = |family| {
        let db = DB::open_cf_for_read_only(&Options::default(), dir.path().join("db"), FAMILIES, false).unwrap();
        rows(&db, family)
    };
    let kept: Vec<_> =
        ["log", "versions", "heads", "index", "tiles"].into_iter().map(|name| (name, content(name))).collect();
    match RocksStorage::repair(dir.path(), &options()) {
        Ok(()) => {
            for (name, rows) in &kept[..2] {
                assert!(*rows == content(name), "a repair changed {name}");
            }
        }
        Err(StorageError::Corrupt { .. }) => {
            for (name, rows) in &kept {
                assert!(*rows == content(name), "a repair that failed changed {name}");
            }
        }
        Err(error) => panic!("{error}"),
    }
    let after = inspect(dir.path());
    assert!(after.faults.iter().any(|fault| !fault.derived && fault.subject.contains(subject)), "{:#?}", after.faults);
}

/// Two inodes with one name: whichever the entry leads to, that is told, now and at each pin, and no repair mends it.
#[test]
fn two_files_with_one_name_are_named() {
    for entry in [2, 3] {
        let dir = scratch();
        let storage = create(dir.path());
        let mut files = Files::default();
        files.make(1, FileType::Directory, 0, b"");
        for ino in if entry == 2 { [3, 2] } else { [2, 3] } {
            files.make(ino, FileType::Regular, 1, b"f");
        }
        let pin = files.commit(&storage, Durability::Buffered);
        set_pins(&storage, &[pin]);
        assert_eq!(storage.dentry(1, b"f", NOW).unwrap().unwrap().ino, entry);
        let faults = check(&storage, &[pin]).faults;
        let told = |when: &str| {
            let problem = format!("artifacts 2 and 3 both have this name ({when})");
            Fault { subject: "the entry \"f\" of directory 1".to_owned(), problem, derived: false }
        };
        for when in ["now".to_owned(), format!("at sequence {pin}")] {
            assert!(faults.contains(&told(&when)), "{faults:#?}");
        }
        assert_eq!(faults.len(), 2, "{faults:#?}");
        storage.close().unwrap();
        RocksStorage::repair(dir.path(), &options()).unwrap();
        assert!(inspect(dir.path()).faults.contains(&told("now")));
    }
}

fn version_key(id: &str, sequence: u64) -> Vec<u8> {
    [b"\x03", id.as_bytes(), b"\0", &(!sequence).to_be_bytes()].concat()
}

#[test]
fn lost_and_altered_versions_stay_named_and_untouched() {
    let key = version_key("mem_5", 6);
    stays_named("memory mem_5 at sequence 6", |db| db.delete_cf(db.cf_handle("versions").unwrap(), &key).unwrap());
    stays_named("memory mem_5 at sequence 6", |db| {
        let versions = db.cf_handle("versions").unwrap();
        let mut value = db.get_cf(versions, &key).unwrap().unwrap();
        value[100] ^= 1;
        db.put_cf(versions, &key, value).unwrap();
    });
    // A version of another record in the place of this one is sound by itself, but not what the log committed to.
    stays_named("memory mem_5 at sequence 6", |db| {
        let versions = db.cf_handle("versions").unwrap();
        let other = db.get_cf(versions, version_key("mem_7", 8)).unwrap().unwrap();
        db.put_cf(versions, &key, other).unwrap();
    });
    stays_named("memory mem_5 at sequence 9000", |db| {
        let versions = db.cf_handle("versions").unwrap();
        let other = db.get_cf(versions, version_key("mem_7", 8)).unwrap().unwrap();
        db.put_cf(versions, version_key("mem_5", 9_000), other).unwrap();
    });
}

#[test]
fn lost_and_altered_log_entries_stay_named_and_untouched() {
    stays_named("log entry 300", |db| db.delete_cf(db.cf_handle("log").unwrap(), 300_u64.to_be_bytes()).unwrap());
    stays_named("log entry 300", |db| db.put_cf(db.cf_handle("log").unwrap(), 300_u64.to_be_bytes(), b"?").unwrap());
    // An entry that says another actor: it can be read, but the tree over the log is another one.
    stays_named("log", |db| {
        let log = db.cf_handle("log").unwrap();
        let mut entry = db.get_cf(log, 300_u64.to_be_bytes()).unwrap().unwrap();
        let at = entry.windows(6).position(|window| window == b"tester").unwrap();
        entry[at] = b'T';
        db.put_cf(log, 300_u64.to_be_bytes(), entry).unwrap();
    });
    let last = 700 + 234 + 70 + FILE_CHANGES;
    // What is gone at the end, only HEAD knows.
    stays_named("HEAD", |db| db.delete_cf(db.cf_handle("log").unwrap(), last.to_be_bytes()).unwrap());
    stays_named("log", |db| db.put_cf(db.cf_handle("log").unwrap(), last.to_be_bytes(), b"?").unwrap());
}

#[test]
fn a_lost_copy_of_head_is_written_again() {
    for name in ["HEAD.0", "HEAD.1"] {
        let dir = scratch();
        build(dir.path());
        let sound =
            [std::fs::read(dir.path().join("HEAD.0")).unwrap(), std::fs::read(dir.path().join("HEAD.1")).unwrap()];
        // The newer copy is the one that says that the vault was closed; without it the vault is recovered.
        let newer = sound.iter().max_by_key(|bytes| bytes[10]).unwrap().clone();
        std::fs::remove_file(dir.path().join(name)).unwrap();
        let found = inspect(dir.path());
        assert!(found.faults.iter().any(|fault| fault.subject == "HEAD"), "{:#?}", found.faults);
        RocksStorage::repair(dir.path(), &options()).unwrap();
        let storage = open(dir.path());
        if std::fs::read(dir.path().join(name)).is_ok() && newer != sound[usize::from(name == "HEAD.1")] {
            assert_clean(&storage, &[]);
        }
        storage.close().unwrap();
        assert_eq!(all_versions(&open(dir.path())).len(), 700 + 234 + 70);
    }
}
