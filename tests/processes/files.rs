//! Artifacts as files from any process: the same whoever owns the vault, and across a change of owner.

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use mirrordna::Vault;
use mirrordna::artifacts::{FileType, FsError, RenameFlags, Seek, SetAttributes};
use mirrordna::files::{File, FileError, Files, OpenFile};
use mirrordna::storage::{OpenOptions, Ownership, SharedStorage, StorageError};

use crate::child::Child;
use crate::faulty_disk::{self, Disk};
use crate::support::{Bed, options};

fn error<T>(result: Result<T, FileError>) -> FsError {
    result.err().expect("it must be refused").source
}

fn names(files: &Files, dir: &str) -> Vec<String> {
    let mut names: Vec<String> =
        files.read_dir(dir).unwrap().map(|entry| entry.unwrap().name.into_string().unwrap()).collect();
    names.sort();
    names
}

fn open(files: &Files, path: &str, how: &OpenFile) -> File {
    files.open(path, how).unwrap()
}

const WRITE: OpenFile = OpenFile::new().read(true).write(true).create(true);

/// All that there is to do with files.
fn all_of_it(files: &Files) {
    files.create_dir("a").unwrap();
    assert!(matches!(error(files.create_dir("a")), FsError::Exists));
    assert!(matches!(error(files.create_dir("no/b")), FsError::NotFound));
    files.create_dir_all("/a/b/c").unwrap();
    files.write("a/b/text", b"one").unwrap();
    assert_eq!(files.read("a/./b/../b/text").unwrap(), b"one");
    files.symlink("b/text", "a/link").unwrap();
    assert_eq!(files.read("a/link").unwrap(), b"one");
    assert_eq!(files.read_link("a/link").unwrap().to_str(), Some("b/text"));
    assert_eq!(files.symlink_metadata("a/link").unwrap().file_type, FileType::Symlink);
    assert_eq!(files.metadata("a/link").unwrap().size, 3);
    files.hard_link("a/b/text", "a/second").unwrap();
    assert_eq!(files.metadata("a/second").unwrap().nlink, 2);
    assert_eq!(names(files, "a"), ["b", "link", "second"]);

    let mut file = open(files, "a/b/text", &WRITE);
    file.write_all(b"three").unwrap();
    file.seek(SeekFrom::Start(1)).unwrap();
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "hree");
    file.set_len(2 << 20).unwrap();
    assert_eq!(file.find(10, Seek::Data).unwrap_or(u64::MAX), u64::MAX);
    assert_eq!(file.seek(SeekFrom::End(-1)).unwrap(), (2 << 20) - 1);
    assert!(file.seek(SeekFrom::Current(i64::MIN)).is_err());
    file.sync().unwrap();

    let large: Vec<u8> = (0..3_u32 << 20).map(|n| (n % 251) as u8).collect();
    files.write("a/large", &large).unwrap();
    assert_eq!(files.read("a/large").unwrap(), large);

    let append = OpenFile::new().append(true).create(true);
    let (mut one, mut two) = (open(files, "log", &append), open(files, "log", &append));
    for n in 0..10 {
        writeln!(one, "{n}").unwrap();
        writeln!(two, "{n}").unwrap();
    }
    assert_eq!(files.read("log").unwrap().len(), 40);

    for (path, how) in [("a", WRITE), ("a/", WRITE), ("..", WRITE)] {
        assert!(files.open(path, &how).is_err(), "{path}");
    }
    assert!(matches!(error(files.open("log", &OpenFile::new().write(true).create_new(true))), FsError::Exists));
    assert!(matches!(error(files.open("none", &OpenFile::new().read(true))), FsError::NotFound));
    assert!(matches!(error(files.open("log/x", &WRITE)), FsError::NotDirectory));
    assert!(matches!(error(files.open("log", &OpenFile::new().truncate(true))), FsError::Invalid(_)));
    assert!(matches!(error(open(files, "log", &append).read_at(&mut [0], 0)), FsError::NotPermitted(_)));
    let reader = open(files, "log", &OpenFile::new().read(true));
    assert!(matches!(error(reader.write_at(b"x", 0)), FsError::NotPermitted(_)));
    files.symlink("../../etc/passwd", "a/out").unwrap();
    files.symlink("/etc/passwd", "a/away").unwrap();
    files.symlink("round", "round").unwrap();
    for path in ["a/out", "a/away", "round", "../x"] {
        assert!(matches!(error(files.metadata(path)), FsError::Invalid(_)), "{path}");
    }
    let said = files.metadata("a/none").unwrap_err().to_string();
    assert_eq!(said, "artifacts/a/none: there is no such file");

    assert!(matches!(error(files.remove_dir("a")), FsError::NotEmpty));
    assert!(matches!(error(files.remove_file("a")), FsError::IsDirectory));
    assert!(matches!(error(files.remove_dir("log")), FsError::NotDirectory));
    assert!(matches!(error(files.remove_dir("/")), FsError::Busy));
    let keep = RenameFlags { no_replace: true, exchange: false };
    assert!(matches!(error(files.rename("log", "a/large", keep)), FsError::Exists));
    files.rename("log", "a/large", RenameFlags::default()).unwrap();
    assert_eq!(files.metadata("a/large").unwrap().size, 40);
    // A slash behind a name asks for a directory, and what is renamed or removed is the link itself.
    for (from, to) in [("a/large/", "x"), ("a/large", "x/"), ("a/dirlink/", "x")] {
        let _ = files.symlink("b", "a/dirlink");
        assert!(matches!(error(files.rename(from, to, RenameFlags::default())), FsError::NotDirectory), "{from} {to}");
    }
    assert!(matches!(error(files.remove_dir("a/dirlink/")), FsError::NotDirectory));
    assert_eq!(files.metadata("a/dirlink/.").unwrap().file_type, FileType::Directory);
    assert!(matches!(error(files.metadata("a/large/.")), FsError::NotDirectory));
    files.remove_file("a/dirlink").unwrap();
    let set = SetAttributes { mode: Some(0o640), ..SetAttributes::default() };
    assert_eq!(files.set_attributes("a/large", &set).unwrap().mode, 0o640);

    // A file that has lost its last name goes on for who has it open.
    let open = open(files, "a/large", &OpenFile::new().read(true));
    files.remove_file("a/large").unwrap();
    assert!(matches!(error(files.metadata("a/large")), FsError::NotFound));
    assert_eq!(open.read_at(&mut [0; 4], 38).unwrap(), 2);
    drop(open);
    files.sync().unwrap();
}

#[test]
fn files_are_the_same_in_the_owner_and_elsewhere() {
    for elsewhere in [false, true] {
        let bed = Bed::new();
        let owner = elsewhere.then(|| Child::open(&bed.vault()));
        let vault = bed.open();
        all_of_it(&vault.files());
        assert_eq!(
            matches!(vault.artifacts(), Err(mirrordna::Error::Storage(StorageError::NotOwner { .. }))),
            elsewhere
        );
        drop(vault);
        drop(owner);
        bed.assert_clean();
        let vault = bed.open();
        assert_eq!(vault.files().read("a/b/text").unwrap().len(), 2 << 20);
        // What was opened without a name is gone.
        assert_eq!(names(&vault.files(), "a"), ["away", "b", "link", "out", "second"]);
    }
}

#[test]
fn files_of_the_past_are_read_and_nothing_else() {
    for elsewhere in [false, true] {
        let bed = Bed::new();
        let owner = elsewhere.then(|| Child::open(&bed.vault()));
        let vault = bed.open();
        let files = vault.files();
        files.create_dir_all("a/many").unwrap();
        for n in 0..1_100 {
            files.write(format!("a/many/{n:04}"), b"x").unwrap();
        }
        files.write("a/text", b"then").unwrap();
        files.set_attributes("a/text", &SetAttributes { size: Some(3 << 20), ..SetAttributes::default() }).unwrap();
        files.symlink("a/text", "link").unwrap();
        files.symlink("../..", "a/out").unwrap();
        let pin = vault.snapshots().create(mirrordna::vault::NewSnapshot::default()).unwrap();
        files.write("a/text", b"now").unwrap();
        files.rename("a/many", "new", RenameFlags::default()).unwrap();
        files.remove_file("link").unwrap();
        files.sync().unwrap();

        let past = vault.snapshots().view(&pin.id).unwrap().files().unwrap();
        let text = past.read("link").unwrap();
        assert_eq!((text.len(), &text[..5]), (3 << 20, b"then\0".as_slice()));
        assert_eq!(past.metadata("link").unwrap().size, 3 << 20);
        assert_eq!(past.symlink_metadata("link").unwrap().file_type, FileType::Symlink);
        assert_eq!(past.read_link("link").unwrap().to_str(), Some("a/text"));
        assert_eq!(names(&past, ""), ["a", "link"]);
        let many: Vec<String> = (0..1_100).map(|n| format!("{n:04}")).collect();
        assert_eq!(names(&past, "a/./many"), many);
        let mut file = open(&past, "/a/../a/text", &OpenFile::new().read(true));
        assert_eq!(file.seek(SeekFrom::End(-1)).unwrap(), (3 << 20) - 1);
        assert_eq!(file.read(&mut [0; 9]).unwrap(), 1);
        assert_eq!(file.find(0, Seek::Data).unwrap(), 0);
        assert!(matches!(error(file.find(1 << 20, Seek::Data)), FsError::BeyondEnd));
        assert_eq!(file.metadata().unwrap().size, 3 << 20);
        file.sync().unwrap();

        assert!(matches!(error(past.metadata("new")), FsError::NotFound));
        assert!(matches!(error(past.metadata("a/text/x")), FsError::NotDirectory));
        assert!(matches!(error(past.metadata("a/out")), FsError::Invalid(_)));
        assert!(matches!(error(past.open("a", &OpenFile::new().read(true))), FsError::IsDirectory));
        assert!(matches!(error(past.read("none")), FsError::NotFound));
        let write = OpenFile::new().write(true);
        for how in [write, write.create(true), write.truncate(true), OpenFile::new().append(true)] {
            assert!(matches!(error(past.open("a/text", &how)), FsError::ReadOnly));
        }
        let set = SetAttributes { mode: Some(0), ..SetAttributes::default() };
        for refused in [
            past.write("a/text", b"x"),
            past.create_dir("b"),
            past.symlink("x", "y"),
            past.hard_link("a/text", "z"),
            past.remove_file("a/text"),
            past.remove_dir("a"),
            past.rename("a", "b", RenameFlags::default()),
            past.set_attributes("a/text", &set).map(drop),
            file.set_attributes(&set).map(drop),
        ] {
            assert!(matches!(error(refused), FsError::ReadOnly));
        }
        assert_eq!(vault.present().files().unwrap().read("a/text").unwrap(), b"now");
        drop((past, file, files, vault, owner));
        bed.assert_clean();
    }
}

#[test]
fn a_large_directory_is_listed_whole() {
    let bed = Bed::new();
    let _owner = Child::open(&bed.vault());
    let vault = bed.open();
    let files = vault.files();
    files.create_dir("many").unwrap();
    for n in 0..2_500 {
        drop(open(&files, &format!("many/{n:04}"), &OpenFile::new().write(true).create_new(true)));
    }
    let wanted: Vec<String> = (0..2_500).map(|n| format!("{n:04}")).collect();
    assert_eq!(names(&files, "many"), wanted);
}

/// The files are open while their owner dies, and go on in this process.
#[test]
fn open_files_survive_their_owner() {
    let bed = Bed::new();
    let owner = Child::open(&bed.vault());
    let vault = bed.open();
    let files = vault.files();
    let mut file = open(&files, "kept", &WRITE);
    file.write_all(b"synced").unwrap();
    file.sync().unwrap();
    let unnamed = open(&files, "unnamed", &WRITE);
    files.remove_file("unnamed").unwrap();
    owner.kill();
    assert_eq!(file.metadata().unwrap().size, 6);
    file.write_all(b", and more").unwrap();
    assert_eq!(files.read("kept").unwrap(), b"synced, and more");
    assert!(matches!(error(unnamed.metadata()), FsError::Stale { .. }));
    drop(unnamed);
    assert_eq!(names(&files, ""), ["kept"]);
    drop((file, files, vault));
    bed.assert_clean();
}

/// What was written and not synced may be gone with the owner that had it: a sync says so, once, and not of what is there.
#[test]
fn a_sync_says_that_an_owner_died_with_what_was_written() {
    let bed = Bed::new();
    let owner = Child::open(&bed.vault());
    let vault = bed.open();
    let files = vault.files();
    let [mut synced, mut written] = ["synced", "written"].map(|name| open(&files, name, &WRITE));
    for file in [&mut synced, &mut written] {
        file.write_all(b"kept").unwrap();
        file.sync().unwrap();
    }
    files.sync().unwrap();
    written.write_all(b", perhaps not this").unwrap();
    owner.kill();
    synced.sync().unwrap();
    let told = error(written.sync());
    assert!(matches!(&told, FsError::Storage(StorageError::Corrupt { what, .. }) if what == "written"), "{told:?}");
    written.sync().unwrap();
    assert!(error(files.sync()).to_string().contains("artifacts"));
    files.sync().unwrap();
    written.write_all_at(b", and this", 4).unwrap();
    written.sync().unwrap();
    assert!(files.read("written").unwrap().starts_with(b"kept, and this"));
    drop((synced, written, files, vault));
    bed.assert_clean();
}

/// An owner that ends and cannot store what others wrote is to them one that died.
#[test]
fn a_sync_says_that_an_owner_could_not_store_what_was_written() {
    let bed = Bed::new();
    let disk = Arc::new(Disk { free: (1 << 30).into(), ..Disk::default() });
    let access = OpenOptions { files: Arc::new(faulty_disk::Files(Arc::clone(&disk))), ..OpenOptions::default() };
    let shared = SharedStorage::open(&bed.vault(), &access, Ownership::Any, Arc::new(|_, _, _| Ok(()))).unwrap();
    let owner = Vault::over(Arc::new(shared), &options());
    let vault = bed.open();
    let files = vault.files();
    let mut file = open(&files, "file", &WRITE);
    disk.free.store(0, Ordering::Relaxed);
    // So little waits in memory, and so much is not written beside the row that names it.
    file.write_all(&vec![7; 30_000]).unwrap();
    drop(owner);
    let told = error(file.sync());
    assert!(matches!(&told, FsError::Storage(StorageError::Corrupt { what, .. }) if what == "file"), "{told:?}");
    file.sync().unwrap_or_else(|error| assert!(matches!(error.source, FsError::Stale { .. }), "{error}"));
    assert!(error(files.sync()).to_string().contains("artifacts"));
    files.sync().unwrap();
}

/// An owner that hands over or ends has stored all, so nobody is told of a loss.
#[test]
fn a_sync_after_a_farewell_finds_everything() {
    let bed = Bed::new();
    let owner = Child::open(&bed.vault());
    let vault = bed.open();
    let files = vault.files();
    let mut file = open(&files, "file", &WRITE);
    file.write_all(b"one").unwrap();
    owner.end();
    file.sync().unwrap();
    file.write_all(b", two").unwrap();
    let wanting = Child::own(&bed.vault());
    file.sync().unwrap();
    files.sync().unwrap();
    assert_eq!(files.read("file").unwrap(), b"one, two");
    wanting.end();
}

/// The number of a file that was lost with its owner goes to another file: who had the first one open does not write to that.
#[test]
fn a_lost_file_is_not_taken_for_another() {
    let bed = Bed::new();
    let owner = Child::open(&bed.vault());
    let vault = bed.open();
    let files = vault.files();
    let mut lost = open(&files, "lost", &WRITE);
    lost.write_all(b"never committed").unwrap();
    owner.kill();
    files.write("other", b"whole").unwrap();
    if files.metadata("lost").is_err() {
        assert!(matches!(error(lost.set_len(0)), FsError::Stale { .. }));
        assert!(lost.write_all(b"x").is_err());
    } else {
        println!("the owner committed it before it died");
    }
    assert_eq!(files.read("other").unwrap(), b"whole");
}

/// Hand-overs while files are worked on, from both sides: whoever asks for the vault gets it, and nothing is lost.
#[test]
fn hand_overs_interrupt_no_work_on_files() {
    let bed = Bed::new();
    let vault = bed.open();
    let files = vault.files();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let working = scope.spawn(|| {
            let mut count = 0;
            while !done.load(std::sync::atomic::Ordering::SeqCst) {
                files.create_dir(format!("dir{count}")).unwrap();
                files.write(format!("dir{count}/file"), count.to_string().as_bytes()).unwrap();
                count += 1;
            }
            count
        });
        for _ in 0..5 {
            let wanting = Child::own(&bed.vault());
            assert_eq!(bed.owner(), wanting.id());
            wanting.end();
        }
        done.store(true, std::sync::atomic::Ordering::SeqCst);
        let count: u32 = working.join().unwrap();
        assert!(count > 0);
        assert_eq!(files.read_dir("").unwrap().count(), count as usize);
        for n in 0..count {
            assert_eq!(files.read(format!("dir{n}/file")).unwrap(), n.to_string().as_bytes());
        }
    });
    drop((files, vault));
    bed.assert_clean();
}

/// A process that wants the vault gets it although files are open in the one that has it, and those go on.
#[test]
fn open_files_do_not_keep_the_vault() {
    let bed = Bed::new();
    let vault = bed.open();
    let files = vault.files();
    let mut file = open(&files, "file", &WRITE);
    file.write_all(b"before").unwrap();
    let wanting = Child::own(&bed.vault());
    assert_eq!(bed.owner(), wanting.id());
    file.write_all(b", after").unwrap();
    assert_eq!(files.read("file").unwrap(), b"before, after");
    wanting.end();
    // And again without an owner but this.
    assert_eq!(files.read("file").unwrap(), b"before, after");
    drop((file, files, vault));
    bed.assert_clean();
}

/// Appends from several processes and threads at once: none is lost, none is torn.
#[test]
fn appends_of_many_do_not_overwrite_each_other() {
    let bed = Bed::new();
    let _owner = Child::open(&bed.vault());
    let (one, two) = (bed.open(), bed.open());
    std::thread::scope(|scope| {
        for (letter, vault) in (b'a'..).zip([&one, &two, &one, &two]) {
            scope.spawn(move || {
                let mut file = open(&vault.files(), "log", &OpenFile::new().append(true).create(true));
                for _ in 0..100 {
                    file.write_all(&[letter; 64]).unwrap();
                }
            });
        }
    });
    let log = one.files().read("log").unwrap();
    let mut counts = [0; 4];
    for line in log.chunks(64) {
        assert!(line.iter().all(|byte| *byte == line[0]), "{line:?}");
        counts[usize::from(line[0] - b'a')] += 1;
    }
    assert_eq!(counts, [100; 4]);
}
