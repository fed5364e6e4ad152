//! `artifacts/`: ordinary files in a mounted vault, as one program sees what another does.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _};
use std::process::Command;
use std::sync::Arc;
use std::thread;

use mirrordna::artifacts::{Caller, NewNode, ROOT};
use mirrordna::storage::{Durability, Storage};
use mirrordna::{Vault, VaultOptions};
use mirrordna_mount::{MountOptions, mount};
use rustix::fs::{FallocateFlags, RenameFlags, SeekFrom as Place, XattrFlags};

use crate::failing::{self, Failing};
use crate::support::{Mount, sh, succeeded, vault};
use crate::waiting::until;

fn writable() -> MountOptions {
    MountOptions::default()
}

/// What was written is there in the next mount, with its names, times, modes and attributes, under the same inode numbers.
#[test]
fn files_are_there_in_the_next_mount() {
    let (dir, vault) = vault();
    let point = dir.path().join("m");
    fs::create_dir(&point).unwrap();
    let script = r"
        cd artifacts; mkdir -p one/two; echo text >one/two/file; ln one/two/file hard; ln -s one/two link; mkfifo pipe
        chmod 4751 hard; touch -d '1999-12-31 23:59:59.123456789 UTC' hard; setfattr -n user.a -v b hard
        truncate -s 5G sparse; printf x | dd of=sparse bs=1 seek=4294967296 conv=notrunc status=none
        mkdir empty; rm -r empty";
    let look = r"cd artifacts; find . ! -type l -printf '%p %y %i %m %n %s %b %T@\n' | sort; cat hard; readlink link
        getfattr -d -m - hard; dd if=sparse bs=1 skip=4294967295 count=3 status=none | od -An -c";
    let mounted = mount(vault.clone(), &point, &writable()).unwrap();
    let sh = |script: &str| succeeded(script, &crate::support::sh(&point, script));
    sh(script);
    let before = sh(look);
    assert_eq!(before.lines().filter(|line| line.starts_with("./")).count(), 6, "{before}");
    assert!(
        before.contains("./hard f ") && before.contains(" 4751 2 5 ") && before.contains(" 946684799.1234567890"),
        "{before}"
    );
    mounted.unmount().unwrap();
    assert!(!point.join("artifacts").exists());
    let mounted = mount(vault, &point, &writable()).unwrap();
    assert_eq!(sh(look), before);
    mounted.unmount().unwrap();
}

/// A file that was unlinked stays readable and writable until it is closed, and then its space is free.
#[test]
fn unlinked_files_live_until_they_are_closed() {
    let mount = Mount::with(writable(), |_| {});
    let path = mount.path("artifacts/file");
    let mut file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).unwrap();
    file.write_all(b"before").unwrap();
    fs::remove_file(&path).unwrap();
    assert!(!path.exists());
    file.write_all(b" and after").unwrap();
    file.sync_all().unwrap();
    file.rewind().unwrap();
    let mut content = String::new();
    file.read_to_string(&mut content).unwrap();
    assert_eq!((content.as_str(), file.metadata().unwrap().nlink()), ("before and after", 0));
    // A rename over an open file does the same to it.
    fs::write(mount.path("artifacts/other"), "other").unwrap();
    fs::write(&path, "third").unwrap();
    let third = File::open(&path).unwrap();
    fs::rename(mount.path("artifacts/other"), &path).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "other");
    assert_eq!(std::io::read_to_string(third).unwrap(), "third");
}

/// `SEEK_HOLE` and `SEEK_DATA` know of what was written a moment ago, though the kernel still holds it.
#[test]
fn holes_are_found_before_they_are_written_back() {
    let mount = Mount::with(writable(), |_| {});
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(mount.path("artifacts/sparse")).unwrap();
    let seek = |place: Place| rustix::fs::seek(&file, place);
    file.write_all_at(&[1; 4_096], 1 << 20).unwrap();
    assert_eq!(seek(Place::Data(0)), Ok(1 << 20));
    assert_eq!(seek(Place::Hole(0)), Ok(0));
    assert_eq!(seek(Place::Hole(1 << 20)), Ok((1 << 20) + 4_096));
    file.write_all_at(&[1; 4_096], 8_192).unwrap();
    assert_eq!(seek(Place::Data(0)), Ok(8_192));
    assert_eq!(seek(Place::Hole(8_192)), Ok(12_288));
    file.set_len(1 << 30).unwrap();
    assert_eq!(seek(Place::Data(1 << 21)), Err(rustix::io::Errno::NXIO));
    rustix::fs::fallocate(&file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 8_192, 4_096).unwrap();
    assert_eq!(seek(Place::Data(0)), Ok(1 << 20));
    assert_eq!(file.metadata().unwrap().len(), 1 << 30);
    let mut byte = [9];
    file.read_exact_at(&mut byte, 8_192).unwrap();
    assert_eq!(byte, [0]);
}

/// Names can be exchanged, and renamed only if the new one is free; whiteouts are refused.
#[test]
fn renames_exchange_and_do_not_replace() {
    let mount = Mount::with(writable(), |_| {});
    let (one, two) = (mount.path("artifacts/one"), mount.path("artifacts/two"));
    fs::write(&one, "1").unwrap();
    fs::create_dir(&two).unwrap();
    let rename = |flags| rustix::fs::renameat_with(rustix::fs::CWD, &one, rustix::fs::CWD, &two, flags);
    assert_eq!(rename(RenameFlags::NOREPLACE), Err(rustix::io::Errno::EXIST));
    rename(RenameFlags::EXCHANGE).unwrap();
    assert!(one.is_dir() && fs::read_to_string(&two).unwrap() == "1");
    fs::remove_file(&two).unwrap();
    assert_eq!(rename(RenameFlags::WHITEOUT), Err(rustix::io::Errno::INVAL));
}

/// Extended attributes of all kinds are kept, but access lists, which are not supported and are said to be so.
#[test]
fn extended_attributes_are_kept() {
    let mount = Mount::with(writable(), |_| {});
    let path = mount.path("artifacts/file");
    fs::write(&path, "").unwrap();
    let set = |name: &str, value: &[u8], flags| rustix::fs::setxattr(&path, name, value, flags);
    set("user.large", &vec![7; 65_536], XattrFlags::CREATE).unwrap();
    assert_eq!(set("user.large", b"", XattrFlags::CREATE), Err(rustix::io::Errno::EXIST));
    assert_eq!(set("user.none", b"", XattrFlags::REPLACE), Err(rustix::io::Errno::NODATA));
    let mut value = vec![0; 65_536];
    assert_eq!(rustix::fs::getxattr(&path, "user.large", &mut value), Ok(65_536));
    assert_eq!(rustix::fs::getxattr(&path, "user.large", &mut value[..9]), Err(rustix::io::Errno::RANGE));
    assert!(value.iter().all(|byte| *byte == 7));
    assert_eq!(rustix::fs::getxattr(&path, "system.posix_acl_access", &mut value), Err(rustix::io::Errno::OPNOTSUPP));
    rustix::fs::removexattr(&path, "user.large").unwrap();
    assert_eq!(rustix::fs::getxattr(&path, "user.large", &mut value), Err(rustix::io::Errno::NODATA));
}

/// Many threads at once make, write, rename, read and remove files in one directory, and nothing waits for itself.
#[test]
fn many_threads_work_in_one_directory() {
    let mount = Mount::with(writable(), |_| {});
    let dir = mount.path("artifacts/d");
    fs::create_dir(&dir).unwrap();
    thread::scope(|scope| {
        for thread in 0..16 {
            let dir = &dir;
            scope.spawn(move || {
                for step in 0..60 {
                    let (path, to) = (dir.join(format!("{thread}-{step}")), dir.join(format!("{thread}-last")));
                    let body = format!("{thread} {step} ").repeat(500);
                    fs::write(&path, &body).unwrap();
                    if step % 7 == 0 {
                        File::open(&path).unwrap().sync_all().unwrap();
                    }
                    fs::rename(&path, &to).unwrap();
                    assert_eq!(fs::read_to_string(&to).unwrap(), body);
                    assert!(fs::read_dir(dir).unwrap().count() >= 1);
                }
                fs::remove_file(dir.join(format!("{thread}-last"))).unwrap();
            });
        }
    });
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
}

/// A listing of many names is whole, also while names come and go beside it.
#[test]
fn large_directories_are_listed_whole() {
    let mount = Mount::with(writable(), |_| {});
    let dir = mount.path("artifacts/d");
    fs::create_dir(&dir).unwrap();
    for number in 0..3_000 {
        fs::write(dir.join(format!("file with a rather long name {number}")), "").unwrap();
    }
    let mut seen = 0;
    for (number, entry) in fs::read_dir(&dir).unwrap().enumerate() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        seen += usize::from(name.starts_with("file"));
        if number % 100 == 0 {
            fs::write(dir.join(format!("new {number}")), "").unwrap();
            fs::remove_file(dir.join(format!("new {number}"))).unwrap();
        }
    }
    assert_eq!(seen, 3_000);
    assert_eq!(mount.sh("cd artifacts/d; ls -lU | grep -c file; find . -type f | wc -l"), "3000\n3000\n");
}

/// A mount for reading shows the files, and refuses each change of them.
#[test]
fn a_mount_for_reading_refuses_changes() {
    let (dir, vault) = vault();
    let point = dir.path().join("m");
    fs::create_dir(&point).unwrap();
    let mounted = mount(vault.clone(), &point, &writable()).unwrap();
    let file = point.join("artifacts/file");
    fs::write(&file, "text").unwrap();
    mounted.unmount().unwrap();
    let mounted = mount(vault, &point, &MountOptions { read_only: true, ..writable() }).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "text");
    for result in [
        fs::write(&file, "x"),
        fs::remove_file(&file),
        fs::rename(&file, point.join("artifacts/new")),
        fs::create_dir(point.join("artifacts/new")),
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)),
    ] {
        assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EROFS));
    }
    mounted.unmount().unwrap();
}

/// Only the mounting user may look in, with `allow_other` whoever the modes let; `df` tells the room on the disk.
#[test]
fn modes_count_for_others_when_they_are_let_in() {
    let allowed = MountOptions { allow_other: true, ..writable() };
    for (options, can) in [(writable(), false), (allowed, true)] {
        let mount = Mount::with(options, |_| {});
        mount.sh("chmod 755 artifacts; echo public >artifacts/public; echo private >artifacts/private");
        mount.sh("chmod 600 artifacts/private; chmod 644 artifacts/public");
        // The mount point lies in a directory of root alone.
        let parent = mount.point.parent().unwrap();
        fs::set_permissions(parent, fs::Permissions::from_mode(0o755)).unwrap();
        let as_nobody = |path: &str| {
            let path = mount.path(path);
            Command::new("setpriv")
                .args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "cat"])
                .arg(path)
                .output()
                .unwrap()
                .status
                .success()
        };
        assert_eq!((as_nobody("artifacts/public"), as_nobody("artifacts/private")), (can, false));
        let (there, here) =
            (mount.sh("df --output=size artifacts | tail -1"), mount.sh("df --output=size .. | tail -1"));
        assert_eq!(there.trim(), here.trim());
    }
}

/// Set-id bits are gone, and seen to be, when somebody else has written to a file or emptied it.
#[test]
fn set_id_bits_go_when_somebody_else_writes() {
    for one_connection in [false, true] {
        let mount = Mount::with(MountOptions { allow_other: true, one_connection, ..writable() }, |_| {});
        mount.sh("cd artifacts; chmod 755 .; touch file; chmod 777 file");
        fs::set_permissions(mount.point.parent().unwrap(), fs::Permissions::from_mode(0o755)).unwrap();
        let path = mount.path("artifacts/file");
        let copy = "exec python3 -c 'import os, sys; fd = os.open(sys.argv[1], os.O_RDWR); \
                    os.copy_file_range(fd, fd, 4, 0, 4)' \"$0\"";
        for change in [
            "echo more >>\"$0\"",
            "echo new >\"$0\"",
            ": >\"$0\"",
            "truncate -s 9 \"$0\"",
            copy,
            "fallocate -z -l 4 \"$0\"",
            "fallocate -p -l 4 \"$0\"",
            "fallocate -l 9999 \"$0\"",
        ] {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o6777)).unwrap();
            let mut nobody = Command::new("setpriv");
            nobody.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "bash", "-c", change]).arg(&path);
            assert!(nobody.status().unwrap().success());
            // Asks for nothing else.
            assert_eq!(mount.sh("stat -c %a artifacts/file"), "777\n", "{change}, {one_connection}");
        }
    }
}

/// What is written while the vault is being unmounted is written out, or its writer is told.
#[test]
fn unmounting_while_writing_loses_nothing() {
    let (dir, vault) = vault();
    let point = dir.path().join("m");
    fs::create_dir(&point).unwrap();
    for round in 0..3 {
        let mounted = mount(vault.clone(), &point, &writable()).unwrap();
        let artifacts = point.join("artifacts");
        let writer = thread::spawn({
            let artifacts = artifacts.clone();
            move || {
                let mut written = 0;
                // It ends when the directory is no longer there, or somebody else's.
                while fs::write(artifacts.join(format!("{round}-{written}")), format!("content {written}")).is_ok() {
                    written += 1;
                    // While it has a file open, the vault cannot be unmounted.
                    thread::sleep(std::time::Duration::from_millis(2));
                }
                written
            }
        });
        thread::sleep(std::time::Duration::from_millis(200));
        while mounted.unmount().is_err() {}
        let written = writer.join().unwrap();
        let mounted = mount(vault.clone(), &point, &writable()).unwrap();
        for number in 0..written {
            let content = fs::read_to_string(artifacts.join(format!("{round}-{number}"))).unwrap();
            assert_eq!(content, format!("content {number}"));
        }
        assert!(written > 0);
        mounted.unmount().unwrap();
    }
}

/// A file is read where it is read, whatever lies between: a copy by `SeekFrom` pieces equals the whole.
#[test]
fn pieces_make_the_whole() {
    let mount = Mount::with(writable(), |_| {});
    let path = mount.path("artifacts/large");
    let body: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    fs::write(&path, &body).unwrap();
    let mut file = File::open(&path).unwrap();
    for start in [0, 1, 131_071, 131_072, 1_048_575, 11_999_999] {
        let mut piece = vec![0; 300_000.min(body.len() - start)];
        file.seek(SeekFrom::Start(start as u64)).unwrap();
        file.read_exact(&mut piece).unwrap();
        assert!(piece == body[start..start + piece.len()], "{start}");
    }
    mount.sh("cd artifacts; cp large copy; cmp large copy; cp --sparse=always large sparse; cmp large sparse");
}

/// A listing shows what was changed before it began, also when another one that began earlier is still going on.
#[test]
fn a_listing_shows_what_was_changed_before_it_began() {
    let mount = Mount::with(writable(), |_| {});
    let dir = mount.path("artifacts/many");
    fs::create_dir(&dir).unwrap();
    for number in 0..3_000 {
        File::create(dir.join(format!("name {number}"))).unwrap();
    }
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
    let mut earlier = fs::read_dir(&dir).unwrap();
    let seen: Vec<_> = earlier.by_ref().take(1_500).map(name).collect();
    fs::remove_file(dir.join(&seen[1_400])).unwrap();
    fs::rename(dir.join(&seen[1_300]), dir.join("renamed")).unwrap();
    let mut later = fs::read_dir(&dir).unwrap();
    let mut found = std::collections::BTreeSet::from([name(later.next().unwrap())]);
    // Now the kernel has all of it, the beginning from before the change.
    assert!(earlier.count() >= 1_498);
    found.extend(later.map(name));
    assert!(!found.contains(&seen[1_400]) && !found.contains(&seen[1_300]));
    assert!(found.contains(std::ffi::OsStr::new("renamed")));
    assert_eq!(found.len(), 2_999);
}

/// A damaged file keeps nobody from listing the others: it is listed by its name, and is an error for whoever looks at it.
#[test]
fn a_damaged_file_does_not_hide_the_others() {
    let mount = Mount::with(writable(), |vault| {
        let damaged = make_files(vault, 700);
        failing::damage_inode(vault.storage(), damaged);
    });
    for _ in 0..2 {
        assert_eq!(mount.sh("ls artifacts/dir | wc -l; find artifacts/dir -name file_7 | wc -l"), "700\n1\n");
        let output = sh(&mount.point, "ls -l artifacts/dir | wc -l");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains("file_7': Input/output error") && error.lines().count() == 1, "{output:?}");
        assert_eq!(fs::read(mount.path("artifacts/dir/file_8")).unwrap(), b"");
        assert_eq!(fs::read(mount.path("artifacts/dir/file_7")).unwrap_err().raw_os_error(), Some(libc::EIO));
    }
}

/// A listing that fails is an error, and what the kernel was told of before it gives back.
#[test]
fn a_listing_that_fails_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let storage = Failing::create(&dir.path().join("vault"));
    let vault = || Vault::over(Arc::clone(&storage) as Arc<dyn Storage>, &VaultOptions::default());
    let one = make_files(&vault(), 700);
    let mount = Mount::of(dir, vault(), writable());
    for versions in [100, 300, 300] {
        storage.fail_after_versions(versions);
        let output = sh(&mount.point, "ls artifacts/dir");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.contains("Input/output error"), "{output:?}");
    }
    storage.fail_after_versions(usize::MAX);
    assert_eq!(mount.sh("ls artifacts/dir | wc -l; rm -r artifacts/dir"), "700\n");
    let artifacts = mount.vault.artifacts().unwrap();
    for ino in one..one + 600 {
        until("the file to be forgotten", || artifacts.attributes(ino).is_err());
    }
}

/// Makes a directory `dir` with empty files, and gives the number of `file_7`.
fn make_files(vault: &Vault, count: usize) -> u64 {
    let files = vault.artifacts().unwrap();
    let caller = Caller { uid: 0, gid: 0, umask: 0 };
    let dir = files.create(ROOT, b"dir", &NewNode::directory(0o755), &caller).unwrap().ino;
    let mut create =
        |n: usize| files.create(dir, format!("file_{n}").as_bytes(), &NewNode::file(0o644), &caller).unwrap().ino;
    let made: Vec<u64> = (0..count).map(&mut create).collect();
    for ino in made.iter().chain([&dir]) {
        files.forget(*ino, 1);
    }
    files.commit(Durability::Sync).unwrap();
    made[7]
}
