//! Records and files over one connection, as those have them who cannot mount one inside the other. What programs do in
//! `artifacts/` is tested for both ways in `artifacts_programs` and `artifacts_posix`.

use std::fs;
use std::os::unix::fs::{DirEntryExt as _, MetadataExt as _};
use std::process::Command;

use mirrordna::vault::{NewSnapshot, Tier};
use mirrordna_mount::{MountOptions, mount};

use crate::sample;
use crate::support::{Mount, has, vault};

fn one_connection() -> MountOptions {
    MountOptions { one_connection: true, ..MountOptions::default() }
}

/// Records and files are on one file system, with different inode numbers, which listings and `stat` agree on.
#[test]
fn records_and_files_are_one_file_system() {
    let mount = Mount::with(one_connection(), sample::fill);
    mount.sh("cd artifacts; mkdir -p one/two; echo text >one/file; ln one/file hard");
    let number = |path: &str| fs::metadata(mount.path(path)).unwrap().ino();
    let device = |path: &str| fs::metadata(mount.path(path)).unwrap().dev();
    assert_eq!(device("artifacts/one"), device("."));
    for directory in [".", "artifacts", "artifacts/one", "artifacts/one/two", "snapshots"] {
        let said = mount.sh(&format!("ls -ai1 {directory}"));
        let listed = |name: &str| {
            let line = said.lines().find(|line| line.split_whitespace().nth(1) == Some(name)).unwrap();
            line.split_whitespace().next().unwrap().parse::<u64>().unwrap()
        };
        assert_eq!(listed("."), number(directory), "{directory}");
        if directory != "." {
            assert_eq!(listed(".."), number(&format!("{directory}/..")), "{directory}");
        }
        for entry in fs::read_dir(mount.path(directory)).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.ino(), entry.path().symlink_metadata().unwrap().ino(), "{:?}", entry.path());
        }
    }
    assert_eq!(number("artifacts/hard"), number("artifacts/one/file"));
    assert_eq!(
        mount.sh("ls -d artifacts; stat -c '%a %F' artifacts; find . -xdev -name two"),
        "artifacts\n700 directory\n./artifacts/one/two\n"
    );
}

/// Between records and files, names are neither renamed nor linked (`EXDEV`), so `mv` copies, and content can be copied.
#[test]
fn between_records_and_files_everything_is_copied() {
    let mount = Mount::with(one_connection(), sample::fill);
    let (id, _) = sample::memories(Tier::LongTerm, 1).pop().unwrap();
    sample::import(&mount.vault, mirrordna::record::Kind::Memory, &sample::memories(Tier::LongTerm, 1), false);
    let record = mount.path(&format!("memories/long_term/{id}.json"));
    let file = mount.path("artifacts/file.json");
    let text = fs::read_to_string(&record).unwrap();
    for refused in [fs::rename(&record, &file), fs::hard_link(&record, &file)] {
        assert_eq!(refused.unwrap_err().raw_os_error(), Some(libc::EXDEV));
    }
    mount.sh(&format!("mv memories/long_term/{id}.json artifacts/file.json"));
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    assert!(!record.exists());
    mount.sh(&format!("mv artifacts/file.json memories/long_term/{id}.json"));
    assert_eq!(fs::read_to_string(&record).unwrap(), text);
    mount.sh("head -c 3000000 /dev/urandom >artifacts/large");
    let id = mount.vault.snapshots().create(NewSnapshot::default()).unwrap().id;
    mount.sh(&format!(
        "cd artifacts; cp large copy; cmp large copy; cp ../snapshots/{id}/artifacts/large then; cmp then large"
    ));
}

/// What was written is there in the next mount, whichever way that is mounted.
#[test]
fn files_are_there_in_the_next_mount_of_either_way() {
    let (dir, vault) = vault();
    let point = dir.path().join("m");
    fs::create_dir(&point).unwrap();
    for (round, one_connection) in [true, false, true].into_iter().enumerate() {
        let options = MountOptions { one_connection, ..MountOptions::default() };
        let mounted = mount(vault.clone(), &point, &options).unwrap();
        for before in 0..round {
            assert_eq!(fs::read_to_string(point.join(format!("artifacts/{before}"))).unwrap(), format!("{before}"));
        }
        fs::write(point.join(format!("artifacts/{round}")), format!("{round}")).unwrap();
        if round == 0 {
            // There is nothing inside.
            assert!(Command::new("fusermount3").arg("-u").arg(&point).status().unwrap().success());
            mounted.wait().unwrap();
        } else {
            mounted.unmount().unwrap();
        }
        assert!(!point.join("artifacts").exists());
    }
}

/// A restore shows at once: content, listings, and names that were looked for in vain.
#[test]
fn a_restore_shows_at_once() {
    let mount = Mount::with(one_connection(), |_| {});
    mount.sh("cd artifacts; mkdir dir; echo then >dir/file; echo gone >dir/old");
    let id = mount.vault.snapshots().create(NewSnapshot::default()).unwrap().id;
    mount.sh("cd artifacts/dir; echo now, and longer >file; rm old; echo new >new; cat file new; test ! -e old");
    mount.vault.snapshots().restore(&id).unwrap();
    assert_eq!(mount.sh("cd artifacts/dir; cat file old; ls; test ! -e new"), "then\ngone\nfile\nold\n");
}

/// A mapping that is shared is written and read, `O_APPEND` appends, `O_TRUNC` empties, times follow each write, and unlinked
/// files live until they are closed.
#[test]
fn files_are_mapped_appended_to_and_emptied() {
    if !has("python3") {
        return;
    }
    let mount = Mount::with(one_connection(), |_| {});
    let script = r#"
cat >python.py <<'PY'
import errno, mmap, os, time
def times(): s = os.stat("file"); return s.st_mtime_ns, s.st_ctime_ns
with open("file", "wb") as f: f.write(b"a" * 10000)
f = os.open("file", os.O_RDWR)
m = mmap.mmap(f, 10000)
before = times(); time.sleep(0.01)
m[5000:5003] = b"new"
assert os.pread(f, 3, 5000) == b"new"
m.flush()
assert times() > before
before = times(); time.sleep(0.01)
os.pwrite(f, b"direct", 100)
assert m[100:106] == b"direct"
assert times() > before
one, two = (os.open("file", os.O_WRONLY | os.O_APPEND) for _ in range(2))
for n in range(50):
    os.write(one, b"1"); os.write(two, b"2")
assert os.fstat(f).st_size == 10100
os.ftruncate(f, 10050)
os.write(two, b"end")
with open("file", "rb") as whole: assert whole.read()[10000:] == b"12" * 25 + b"end"
before = times(); time.sleep(0.01)
os.close(os.open("file", os.O_WRONLY | os.O_TRUNC))
assert os.fstat(f).st_size == 0 and os.pread(f, 10, 0) == b"" and times() > before
before = times(); time.sleep(0.01)
os.close(os.open("file", os.O_WRONLY | os.O_TRUNC))
assert times() > before
os.close(os.open("file", os.O_WRONLY | os.O_CREAT, 0o600))
try: os.open("file", os.O_WRONLY | os.O_CREAT | os.O_EXCL); assert False
except FileExistsError: pass
with open("file", "w") as f2: f2.write("text")
os.close(os.open("file", os.O_RDONLY | os.O_TRUNC)); assert os.stat("file").st_size == 0
# A program that runs is not emptied, nor is one that could.
with open("file", "w") as f2: f2.write("text")
os.chmod("file", 0o700)
try: os.open("file", os.O_RDONLY | os.O_TRUNC); assert False
except OSError as error: assert error.errno == errno.ETXTBSY, error
with open("file") as f2: assert f2.read() == "text"
os.unlink("file")
os.pwrite(f, b"unlinked", 0)
assert os.pread(f, 10, 0) == b"unlinked" and os.fstat(f).st_nlink == 0
PY
python3 python.py
"#;
    mount.sh(&format!("cd artifacts; {script}"));
}
