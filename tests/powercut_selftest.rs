//! The test of a tool of the tests: that the file system of [`powercut`] loses what it should, keeps what it must, and is
//! otherwise a file system.

#[path = "support/powercut/mod.rs"]
mod powercut;

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use powercut::{Fsync, Loss, Mounted, Names, Options, PowerCutFs};
use rustix::fs::{FallocateFlags, FlockOperation, RenameFlags};
use tempfile::TempDir;

/// The length of one record in the logs of these tests: neither a power of two nor a part of a page.
const RECORD: usize = 1001;

/// A mounted file system with a directory of its own and a place for what is left of it.
struct Bench {
    /// The mount. Fields are dropped in order, and this one must go before the directory.
    mount: Mounted,
    /// Where all is.
    dir: TempDir,
}

impl Bench {
    /// A fresh file system.
    fn new(options: Options) -> Self {
        let dir = TempDir::new().expect("a directory");
        fs::create_dir(dir.path().join("mnt")).expect("a mount point");
        let mount = PowerCutFs::mount_with(&dir.path().join("mnt"), options).expect("a mount");
        Self { mount, dir }
    }

    /// The path of a file on the mount.
    fn at(&self, name: &str) -> PathBuf {
        self.mount.path().join(name)
    }

    /// Writes out what is on the disk and says where it is.
    fn disk(&self) -> PathBuf {
        let dest = self.dir.path().join("disk");
        self.mount.materialise(&dest).expect("the disk is readable");
        dest
    }

    /// Cuts the power and says where what is left of it is.
    fn cut(&self, loss: Loss, seed: u64) -> PathBuf {
        self.mount.cut_with(loss, seed);
        self.disk()
    }
}

/// The defaults, but with these rules for names.
fn names(names: Names) -> Options {
    Options { names, ..Options::default() }
}

/// fsync of a directory.
fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// The `n`-th record of a log: its number in each byte, so that any byte out of place shows.
fn record(n: usize) -> Vec<u8> {
    vec![u8::try_from(n % 251).expect("below 256") + 1; RECORD]
}

/// The first `n` records.
fn log(n: usize) -> Vec<u8> {
    (0..n).flat_map(record).collect()
}

/// Creates a log with `synced` records on the disk and `unsynced` ones that are not.
fn write_log(bench: &Bench, synced: usize, unsynced: usize) {
    let mut file = File::create(bench.at("log")).expect("create");
    for n in 0..synced {
        file.write_all(&record(n)).expect("write");
        file.sync_data().expect("sync");
    }
    sync_dir(bench.mount.path()).expect("sync of the directory");
    for n in synced..synced + unsynced {
        file.write_all(&record(n)).expect("write");
    }
}

/// Replaces `HEAD` as a careful program does, saying `text`. Steps can be left out.
fn replace_head(root: &Path, text: &str, sync_file: bool, sync_root: bool) -> io::Result<()> {
    let mut file = File::create(root.join("HEAD.tmp"))?;
    file.write_all(text.as_bytes())?;
    if sync_file {
        file.sync_all()?;
    }
    fs::rename(root.join("HEAD.tmp"), root.join("HEAD"))?;
    if sync_root { sync_dir(root) } else { Ok(()) }
}

/// What is written without an fsync is gone with `DropAll`, what is synced stays with every mode.
#[test]
fn unsynced_is_lost_and_synced_is_kept() {
    for loss in Loss::ALL {
        let bench = Bench::new(Options::default());
        write_log(&bench, 3, 4);
        fs::write(bench.at("never-synced"), "x").expect("write");
        assert_eq!(fs::read(bench.at("log")).expect("read"), log(7), "a program sees all of it before the cut");
        let disk = bench.cut(loss, 1);
        assert!(fs::read(bench.at("log")).is_err_and(|error| error.raw_os_error() == Some(libc::EIO)));
        let left = fs::read(disk.join("log")).expect("the log is there");
        assert_eq!(left[..3 * RECORD], log(3), "{loss:?}: synced records stay");
        if loss == Loss::DropAll {
            assert_eq!(left.len(), 3 * RECORD);
            assert!(!disk.join("never-synced").exists());
        }
        let losses = bench.mount.losses().expect("a cut");
        assert!(losses.pending_changes >= 4 && losses.pending_names == 1, "{losses:?}");
    }
}

/// The check that a crash test makes passes on an honest disk whatever the seed, and fails on one that ignores fsync. So
/// the checks here do see the difference.
#[test]
fn ignored_fsync_is_noticed() {
    let kept = |fsync, loss, seed| {
        let bench = Bench::new(Options { fsync, ..Options::default() });
        write_log(&bench, 5, 2);
        replace_head(bench.mount.path(), "one", true, true).expect("replace");
        replace_head(bench.mount.path(), "two", true, true).expect("replace");
        let disk = bench.cut(loss, seed);
        let synced = fs::read(disk.join("log")).is_ok_and(|left| left.starts_with(&log(5)));
        synced && fs::read(disk.join("HEAD")).is_ok_and(|head| head == b"two")
    };
    for loss in Loss::ALL {
        assert!((0..10).all(|seed| kept(Fsync::Honoured, loss, seed)), "{loss:?}");
        assert!((0..10).any(|seed| !kept(Fsync::Ignored, loss, seed)), "{loss:?}");
    }
    assert!(!kept(Fsync::Ignored, Loss::DropAll, 0));
}

/// Write to a temporary file, fsync, rename: old or new, never anything else; with an fsync of the directory always new.
/// Without the first fsync neither is certain.
#[test]
fn rename_over_is_atomic() {
    let heads = |sync_file, sync_root, loss| -> BTreeSet<String> {
        let head = |seed| {
            let bench = Bench::new(Options::default());
            replace_head(bench.mount.path(), "old", true, true).expect("replace");
            replace_head(bench.mount.path(), "new and longer", sync_file, sync_root).expect("replace");
            fs::read_to_string(bench.cut(loss, seed).join("HEAD")).expect("HEAD is always there")
        };
        (0..20).map(head).collect()
    };
    let set = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    assert_eq!(heads(true, false, Loss::DropAll), set(&["old"]));
    for loss in Loss::ALL {
        assert_eq!(heads(true, true, loss), set(&["new and longer"]), "{loss:?}");
    }
    for loss in [Loss::TornPrefix, Loss::Scattered] {
        assert_eq!(heads(true, false, loss), set(&["old", "new and longer"]), "{loss:?}");
        assert!(!heads(false, true, loss).is_subset(&set(&["old", "new and longer"])), "{loss:?}: data was not synced");
    }
    assert_eq!(heads(false, true, Loss::DropAll), set(&[""]));
}

/// `TornPrefix` leaves a prefix of the log that ends within a record, mostly; `Scattered` leaves holes, sometimes; the
/// same seed leaves the same.
#[test]
fn tails_are_torn() {
    let left = |loss, seed| {
        let bench = Bench::new(Options::default());
        write_log(&bench, 2, 20);
        fs::read(bench.cut(loss, seed).join("log")).expect("the log is there")
    };
    let torn: Vec<_> = (0..15).map(|seed| left(Loss::TornPrefix, seed)).collect();
    let whole = log(22);
    assert!(torn.iter().all(|left| left.len() >= 2 * RECORD && whole.starts_with(left)));
    assert!(torn.iter().filter(|left| left.len() % RECORD != 0).count() > 5);
    assert!(torn.iter().map(Vec::len).collect::<BTreeSet<_>>().len() > 5, "seeds differ");
    assert_eq!(left(Loss::TornPrefix, 3), torn[3], "seeds repeat");
    let scattered: Vec<_> = (0..15).map(|seed| left(Loss::Scattered, seed)).collect();
    assert!(scattered.iter().all(|left| left.starts_with(&log(2))));
    assert!(scattered.iter().any(|left| !whole.starts_with(left)), "out of order");
    assert_eq!(left(Loss::Scattered, 3), scattered[3]);
}

/// An overwrite in place and a truncation are unsynced changes like any other.
#[test]
fn overwrites_and_truncations_are_lost_too() {
    let bench = Bench::new(Options::default());
    fs::write(bench.at("a"), [1; 9000]).expect("write");
    fs::write(bench.at("b"), [1; 9000]).expect("write");
    bench.mount.sync_all().expect("sync");
    OpenOptions::new().write(true).open(bench.at("a")).expect("open").write_all_at(&[2; 5000], 100).expect("write");
    OpenOptions::new().write(true).open(bench.at("b")).expect("open").set_len(10).expect("truncate");
    fs::set_permissions(bench.at("b"), fs::Permissions::from_mode(0o600)).expect("chmod");
    let disk = bench.cut(Loss::DropAll, 0);
    assert_eq!(fs::read(disk.join("a")).expect("read"), [1; 9000]);
    assert_eq!(fs::read(disk.join("b")).expect("read"), [1; 9000]);
    assert_ne!(fs::metadata(disk.join("b")).expect("stat").mode() & 0o777, 0o600);
}

/// Cuts at each operation of a workload in turn: what was acknowledged before is there, the operation itself fails, and so
/// does everything after it.
#[test]
fn cut_after_counts_operations() {
    let work = |root: &Path, done: &mut Vec<&'static str>| -> io::Result<()> {
        let mut file = File::create(root.join("log"))?;
        file.write_all(&record(0))?;
        file.sync_all()?;
        done.push("log");
        replace_head(root, "old", true, true)?;
        done.push("old");
        fs::remove_file(root.join("log"))?;
        sync_dir(root)?;
        done.push("removed");
        replace_head(root, "new", true, true)?;
        done.push("new");
        Ok(())
    };
    let whole = Bench::new(Options::default());
    work(whole.mount.path(), &mut Vec::new()).expect("it works without a cut");
    let counts = whole.mount.counts();
    assert_eq!((counts.writes, counts.creates, counts.renames, counts.removes), (3, 3, 2, 1));
    assert_eq!((counts.syncs, counts.dir_syncs, counts.bytes_written), (3, 3, RECORD as u64 + 6));
    assert_eq!(counts.operations(), 15);
    // The third operation is the fsync of the log; where unsynced names and bytes are lost it must have had no effect.
    let bench = Bench::new(Options { loss: Loss::DropAll, ..Options::default() });
    bench.mount.cut_after(3, 0);
    assert!(work(bench.mount.path(), &mut Vec::new()).is_err());
    assert_eq!(fs::read_dir(bench.disk()).expect("a directory").count(), 0);
    for (n, seed) in (1..=15).flat_map(|n| (0..4).map(move |seed| (n, seed))) {
        let bench = Bench::new(Options::default());
        bench.mount.cut_after(n, seed);
        let mut done = Vec::new();
        let error = work(bench.mount.path(), &mut done).expect_err("the power goes");
        assert_eq!(error.raw_os_error(), Some(libc::EIO), "{n}");
        assert!(bench.mount.wait_cut(Duration::ZERO) && bench.mount.counts().operations() == n);
        assert!(fs::write(bench.at("later"), "x").is_err() && fs::metadata(bench.mount.path()).is_err());
        let disk = bench.disk();
        let log = fs::read(disk.join("log"));
        let head = fs::read_to_string(disk.join("HEAD"));
        match done.last() {
            None => assert!(head.is_err()),
            Some(&"log") => {
                assert!(log.expect("acknowledged") == record(0));
                assert!(head.map_or(true, |head| head == "old"), "old or not yet");
            }
            Some(&"old") => assert_eq!(head.expect("acknowledged"), "old"),
            Some(_) => {
                assert!(log.is_err(), "the removal was acknowledged");
                assert!(["old", "new"].contains(&head.expect("acknowledged").as_str()));
            }
        }
    }
}

/// Which fsync makes which name durable.
#[test]
fn names_are_durable_by_the_rules() {
    for rules in [Names::Journaled, Names::Strict] {
        let journaled = rules == Names::Journaled;
        let bench = Bench::new(names(rules));
        let root = bench.mount.path();
        for dir in ["new", "synced", "from", "to"] {
            fs::create_dir(root.join(dir)).expect("mkdir");
        }
        for file in ["gone", "back", "from/moved"] {
            fs::write(root.join(file), file).expect("write");
        }
        bench.mount.sync_all().expect("sync");
        fs::create_dir_all(root.join("new/dir")).expect("mkdir");
        let synced = |path: &str| {
            let mut file = File::create(root.join(path)).expect("create");
            file.write_all(b"x").and_then(|()| file.sync_all()).expect("sync");
        };
        synced("alone");
        synced("new/dir/deep");
        synced("synced/a");
        fs::write(root.join("synced/empty"), "x").expect("write");
        sync_dir(&root.join("synced")).expect("sync");
        fs::rename(root.join("from/moved"), root.join("to/moved")).expect("rename");
        sync_dir(&root.join("from")).expect("sync");
        fs::remove_file(root.join("back")).expect("unlink");
        fs::remove_file(root.join("gone")).expect("unlink");
        // Something that has nothing to do with it, and makes the file system tidy up.
        synced("synced/b");
        sync_dir(&root.join("synced")).expect("sync");
        let disk = bench.cut(Loss::DropAll, 0);
        assert_eq!(disk.join("alone").exists(), journaled, "the fsync of a file brings its name, or not");
        assert_eq!(disk.join("new/dir/deep").exists(), journaled, "and those of new directories above");
        assert_eq!(fs::read(disk.join("synced/a")).expect("both were synced"), b"x");
        assert_eq!(fs::read(disk.join("synced/empty")).expect("the name was synced"), b"", "the content was not");
        assert!(disk.join("to/moved").exists() && !disk.join("from/moved").exists(), "a rename is one change");
        let back =
            ["back", "gone"].map(|name| fs::read(disk.join(name)).expect("removal needs an fsync of the directory"));
        assert_eq!(back, [b"back", b"gone"]);
    }
}

/// A name that was made durable does not come back or go away because of an older change of the same name.
#[test]
fn names_keep_their_order() {
    let bench = Bench::new(Options::default());
    let (dir, other) = (bench.at("dir"), bench.at("other"));
    fs::create_dir(&dir).and_then(|()| fs::create_dir(&other)).expect("mkdir");
    bench.mount.sync_all().expect("sync");
    fs::write(dir.join("x"), "x").expect("write");
    fs::rename(dir.join("x"), other.join("y")).expect("rename");
    sync_dir(&other).expect("sync");
    sync_dir(&dir).expect("sync");
    fs::write(dir.join("z"), "z").and_then(|()| fs::remove_file(dir.join("z"))).expect("a short life");
    sync_dir(&dir).expect("sync");
    let disk = bench.cut(Loss::DropAll, 0);
    assert_eq!(fs::read_dir(disk.join("dir")).expect("a directory").count(), 0);
    assert!(disk.join("other/y").exists());
}

/// What `RocksDB` and the tests ask of a file system, apart from losing things.
#[test]
fn it_is_a_file_system() {
    let bench = Bench::new(Options::default());
    let open = |name: &str| OpenOptions::new().read(true).write(true).create(true).truncate(false).open(bench.at(name));
    // Append, positions, holes, truncation.
    let mut file = OpenOptions::new().append(true).create(true).open(bench.at("a")).expect("create");
    file.write_all(b"one ").and_then(|()| file.write_all(b"two")).expect("append");
    assert_eq!(fs::read(bench.at("a")).expect("read"), b"one two");
    let mut file = open("b").expect("create");
    file.write_all_at(b"end", 70_000).expect("write");
    file.set_len(70_001).expect("truncate");
    file.seek(SeekFrom::Start(69_999)).expect("seek");
    let mut tail = Vec::new();
    file.read_to_end(&mut tail).expect("read");
    assert_eq!(tail, b"\0e");
    let big: Vec<u8> = (0..5_000_000_u32).flat_map(u32::to_le_bytes).collect();
    fs::write(bench.at("big"), &big).expect("write");
    assert!(fs::read(bench.at("big")).expect("read") == big);
    // Reservations.
    let reserve = |mode, offset, len| rustix::fs::fallocate(&file, mode, offset, len);
    reserve(FallocateFlags::KEEP_SIZE, 0, 1 << 20).expect("reserve");
    assert_eq!(file.metadata().expect("stat").len(), 70_001);
    reserve(FallocateFlags::empty(), 0, 80_000).expect("extend");
    reserve(FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 70_000, 99_999).expect("punch");
    assert_eq!(fs::read(bench.at("b")).expect("read"), vec![0; 80_000]);
    assert!(file.write_at(b"x", 1 << 40).is_err(), "no file is that large");
    // Removed while open, replaced while open.
    fs::remove_file(bench.at("b")).and_then(|()| sync_dir(bench.mount.path())).expect("unlink");
    file.write_all_at(b"still", 0).and_then(|()| file.sync_all()).expect("a file without a name");
    let mut start = [0; 5];
    file.read_exact_at(&mut start, 0).expect("read");
    assert_eq!(&start, b"still");
    assert!(!bench.at("b").exists());
    // Locks are between all who have the file open.
    let (one, two) = (open("LOCK").expect("create"), open("LOCK").expect("open"));
    rustix::fs::flock(&one, FlockOperation::NonBlockingLockExclusive).expect("lock");
    assert!(rustix::fs::flock(&two, FlockOperation::NonBlockingLockExclusive).is_err());
    rustix::fs::fcntl_lock(&one, FlockOperation::NonBlockingLockExclusive).expect("a lock as RocksDB takes it");
    // Names.
    fs::create_dir(bench.at("d")).expect("mkdir");
    for n in 0..500 {
        fs::write(bench.at(&format!("d/{n:0100}")), "").expect("write");
    }
    assert_eq!(fs::read_dir(bench.at("d")).expect("a directory").count(), 500);
    assert!(fs::remove_dir(bench.at("d")).is_err_and(|error| error.kind() == io::ErrorKind::DirectoryNotEmpty));
    for entry in fs::read_dir(bench.at("d")).expect("a directory") {
        fs::remove_file(entry.expect("an entry").path()).expect("removal while listing");
    }
    fs::remove_dir(bench.at("d")).expect("rmdir");
    fs::hard_link(bench.at("a"), bench.at("a2")).expect("link");
    assert_eq!(fs::metadata(bench.at("a")).expect("stat").nlink(), 2);
    symlink("a2", bench.at("s")).expect("symlink");
    assert_eq!(fs::read(bench.at("s")).expect("read"), b"one two");
    let renamed = |from: &str, to: &str, flags| {
        rustix::fs::renameat_with(rustix::fs::CWD, bench.at(from), rustix::fs::CWD, bench.at(to), flags)
    };
    assert_eq!(renamed("a", "big", RenameFlags::NOREPLACE), Err(rustix::io::Errno::EXIST));
    renamed("a", "big", RenameFlags::EXCHANGE).expect("exchange");
    assert!(fs::read(bench.at("a")).expect("read") == big);
    assert!(OpenOptions::new().write(true).create_new(true).open(bench.at("a")).is_err());
    fs::set_permissions(bench.at("a"), fs::Permissions::from_mode(0o640)).expect("chmod");
    bench.mount.sync_all().expect("sync");
    let disk = bench.cut(Loss::DropAll, 0);
    assert_eq!(fs::metadata(disk.join("a")).expect("stat").mode() & 0o777, 0o640);
    assert_eq!(fs::metadata(disk.join("a2")).expect("stat").nlink(), 2);
    assert_eq!(fs::read_link(disk.join("s")).expect("a link"), Path::new("a2"));
}

/// A file opened with `O_DSYNC` needs no fsync; a file read through `mmap` reads as it was written.
#[test]
fn synchronous_writes_and_mapped_reads() {
    let bench = Bench::new(Options::default());
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).custom_flags(libc::O_DSYNC).open(bench.at("f"));
    file.as_mut().expect("create").write_all(&log(20)).expect("write");
    let script = "import mmap,sys; f=open(sys.argv[1],'rb'); m=mmap.mmap(f.fileno(),0,prot=mmap.PROT_READ); \
                  sys.stdout.buffer.write(m[5000:])";
    let mapped = Command::new("python3").args(["-c", script]).arg(bench.at("f")).output().expect("python3");
    assert!(mapped.stdout == log(20)[5000..]);
    assert!(fs::read(bench.cut(Loss::DropAll, 0).join("f")).expect("read") == log(20));
}

/// A process that writes with fsync and acknowledges is cut and killed again and again; no acknowledged line is ever
/// lost, and the file system goes on from what was left.
#[test]
fn killed_writer_keeps_what_it_acknowledged() {
    let script = "import os,sys\n\
        fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)\n\
        n = int(sys.argv[2])\n\
        while True:\n    n += 1\n    os.write(fd, b'%07d\\n' % n)\n    os.fsync(fd)\n    print(n, flush=True)\n";
    let bench = Bench::new(Options::default());
    let mut acknowledged = 0;
    for seed in 0..5 {
        let mut writer = Command::new("python3")
            .args(["-c", script])
            .arg(bench.at("log"))
            .arg(acknowledged.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("python3");
        bench.mount.cut_after(200 + seed, seed);
        assert!(bench.mount.wait_cut(Duration::from_secs(30)));
        writer.kill().expect("kill");
        for line in BufReader::new(writer.stdout.take().expect("a pipe")).lines() {
            acknowledged = line.expect("a line").parse().expect("a number");
        }
        writer.wait().expect("its end");
        bench.mount.power_on();
        let mut left = fs::read(bench.at("log")).expect("the log is there");
        let expected: Vec<u8> = (1..=acknowledged + 1).flat_map(|n: usize| format!("{n:07}\n").into_bytes()).collect();
        assert!(left.len() >= 8 * acknowledged && expected.starts_with(&left));
        // As a program does that recovers: the torn tail goes.
        left.truncate(8 * acknowledged);
        OpenOptions::new()
            .write(true)
            .open(bench.at("log"))
            .and_then(|log| log.set_len(left.len() as u64))
            .expect("repair");
        bench.mount.sync_all().expect("power is on");
    }
    assert!(acknowledged > 300);
}

/// Threads that write at the same time each keep what was acknowledged to them, and a cut stops them all.
#[test]
fn threads_are_cut_together() {
    let bench = Bench::new(Options::default());
    let acknowledged: Vec<_> = (0..8).map(|_| AtomicU64::new(0)).collect();
    let write = |thread: usize| -> io::Result<()> {
        let mut file = File::create(bench.at(&thread.to_string()))?;
        for n in 0.. {
            file.write_all(&record(n))?;
            file.sync_data()?;
            acknowledged[thread].store(n as u64 + 1, Ordering::SeqCst);
        }
        Ok(())
    };
    thread::scope(|scope| {
        let writers: Vec<_> = (0..acknowledged.len()).map(|thread| scope.spawn(move || write(thread))).collect();
        bench.mount.cut_after(3000, 7);
        for writer in writers {
            assert!(writer.join().expect("no panic").is_err(), "it ends with the power");
        }
    });
    let disk = bench.disk();
    for (thread, acknowledged) in acknowledged.iter().enumerate() {
        let acknowledged = usize::try_from(acknowledged.load(Ordering::SeqCst)).expect("a small number");
        let left = fs::read(disk.join(thread.to_string())).unwrap_or_default();
        assert!(left.starts_with(&log(acknowledged)) && log(acknowledged + 1).starts_with(&left));
    }
}

/// A panic unmounts, also with a file open; several file systems in one process do not disturb one another.
#[test]
fn drop_unmounts() {
    let mounted =
        |path: &Path| fs::read_to_string("/proc/self/mounts").expect("mounts").contains(&*path.to_string_lossy());
    let other = Bench::new(Options::default());
    fs::write(other.at("f"), "other").expect("write");
    let dir = TempDir::new().expect("a directory");
    let mount = PowerCutFs::mount(dir.path()).expect("a mount");
    let path = mount.path().to_owned();
    // This is open until after the panic.
    let mut file = File::create(path.join("f")).expect("create");
    assert!(mounted(&path) && PowerCutFs::mount(Path::new("/nowhere")).is_err());
    let result = catch_unwind(AssertUnwindSafe(move || {
        let _mount: Mounted = mount;
        panic!("on purpose");
    }));
    assert!(result.is_err() && !mounted(&path));
    assert!(file.write_all(b"x").is_err_and(|error| error.raw_os_error() == Some(libc::EIO)));
    assert_eq!(fs::read(other.at("f")).expect("the other is well"), b"other");
}
