//! `artifacts/` of snapshots, looked at with the tools that people use.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, chown, symlink};

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mirrordna::storage::PrunePolicy;
use mirrordna::vault::NewSnapshot;
use mirrordna_mount::{MountOptions, mount};
use rustix::fs::{CWD, FileType, Mode, XattrFlags, mknodat, removexattr, setxattr};

use crate::artifacts_programs::{SAY, TREE};
use crate::support::{Mount, has, succeeded, vault};

fn snapshot(mount: &Mount) -> String {
    mount.vault.snapshots().create(NewSnapshot::default()).unwrap().id
}

fn prune(mount: &Mount) {
    mount.vault.prune(PrunePolicy { keep: Some(1), ..PrunePolicy::default() }).unwrap();
}

/// `snapshots/<id>/artifacts/` shows files, directories, links, pipes, holes, extended attributes, modes, owners and times as
/// they were, and `find`, `diff -r`, `cp -a` and `tar` work there, whatever happens to the files of the present.
#[test]
fn a_snapshot_shows_artifacts_as_they_were() {
    if !has("setfattr") {
        return;
    }
    let mount = Mount::new(|_| {});
    let away = tempfile::tempdir().unwrap();
    let out = away.path().display();
    mount.sh(&format!("cd artifacts; {TREE} cp -a tree {out}/then"));
    let id = snapshot(&mount);
    mount.sh("cd artifacts/tree; rm -r sub/* hard; echo x >>random; mv sparse elsewhere; chmod 000 .; touch new");
    prune(&mount);
    let look = format!(
        r#"{SAY} then=$PWD/snapshots/{id}/artifacts/tree; cd {out}
        same then "$then"
        diff -r --no-dereference --exclude=pipe then "$then"
        cp -a "$then" copied; same then copied; test "$(stat -c %b copied/sparse)" -lt 2000
        tar --xattrs --xattrs-include='*' --sparse --format=posix -cf archive.tar -C "$then" .
        test "$(stat -c %s archive.tar)" -lt 20000000; mkdir untarred
        tar --xattrs --xattrs-include='*' --same-owner -p -xf archive.tar -C untarred --warning=no-timestamp
        same then untarred; rm -r copied untarred archive.tar
        test ! -e "$then/SHA256SUMS"; test ! -e "$then/new"; test -p "$then/pipe""#
    );
    assert_eq!(mount.sh(&look), "");
    // Once more, out of the kernel's caches.
    assert_eq!(mount.sh(&look), "");
}

/// `git status`, `git log` and `git fsck` work in a repository of the past.
#[test]
fn git_works_in_the_past() {
    if !has("git") {
        return;
    }
    let mount = Mount::new(|_| {});
    let git = "export HOME=$PWD/artifacts GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=A GIT_COMMITTER_EMAIL=a@b";
    mount.sh(&format!(
        r#"{git}; cd artifacts; git init -q -b main repository; cd repository
        for n in $(seq 20); do mkdir -p "dir$((n % 3))"; seq "$((n * 50))" >"dir$((n % 3))/$n"; git add -A; git commit -qm "$n"; done
        git gc -q"#
    ));
    let id = snapshot(&mount);
    mount.sh(&format!("{git}; cd artifacts/repository; git rm -qr dir1; git commit -qm later; git gc -q --prune=now"));
    let said = mount.sh(&format!(
        "{git}; cd snapshots/{id}/artifacts/repository; git status --porcelain; git fsck --strict 2>&1; git log --oneline | wc -l
        git diff --stat; git clone -q . ../../../../artifacts/clone; git -C ../../../../artifacts/clone fsck 2>&1; cat dir1/19 | wc -l"
    ));
    assert_eq!(said, "20\n950\n");
}

/// Nothing there can be changed: every attempt is `EROFS`.
#[test]
fn every_change_of_the_past_is_refused() {
    let mount = Mount::new(|_| {});
    mount.sh("cd artifacts; mkdir dir; echo text >dir/file; setfattr -n user.a -v b dir/file; ln -s file dir/link");
    let dir = mount.path(&format!("snapshots/{}/artifacts/dir", snapshot(&mount)));
    let (file, new, none) = (dir.join("file"), dir.join("new"), XattrFlags::empty());
    let refused: [(&str, io::Result<()>); 18] = [
        ("write", OpenOptions::new().write(true).open(&file).map(drop)),
        ("append", OpenOptions::new().append(true).open(&file).map(drop)),
        ("truncate", OpenOptions::new().write(true).truncate(true).open(&file).map(drop)),
        ("create", File::create(&new).map(drop)),
        ("create in the root", File::create(dir.parent().unwrap().join("new")).map(drop)),
        ("unlink", fs::remove_file(&file)),
        ("rename", fs::rename(&file, &new)),
        ("mkdir", fs::create_dir(&new)),
        ("rmdir", fs::remove_dir(&dir)),
        ("link", fs::hard_link(&file, &new)),
        ("symlink", symlink("x", &new)),
        ("chmod", fs::set_permissions(&file, Permissions::from_mode(0o600))),
        ("chmod a directory", fs::set_permissions(&dir, Permissions::from_mode(0o700))),
        ("chown", chown(&file, Some(1), Some(1))),
        ("mknod", mknodat(CWD, &new, FileType::Fifo, Mode::RUSR, 0).map_err(Into::into)),
        ("setxattr", setxattr(&file, "user.a", b"c", none).map_err(Into::into)),
        ("removexattr", removexattr(&file, "user.a").map_err(Into::into)),
        ("utimens", File::open(&file).and_then(|file| file.set_modified(std::time::SystemTime::now()))),
    ];
    for (what, refused) in refused {
        let error = refused.expect_err(what);
        assert_eq!(error.raw_os_error(), Some(libc::EROFS), "{what}: {error}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "text\n");
}

/// Inode numbers differ between the present and each snapshot, are those of hard links, and are the same in the next mount.
#[test]
fn inode_numbers_of_past_artifacts_tell_snapshots_apart() {
    let (dir, vault) = vault();
    let point = dir.path().join("m");
    fs::create_dir(&point).unwrap();
    let number = |path: &str| fs::metadata(point.join(path)).unwrap().ino();
    let mounted = mount(vault.clone(), &point, &MountOptions::default()).unwrap();
    fs::write(point.join("artifacts/file"), "text").unwrap();
    fs::hard_link(point.join("artifacts/file"), point.join("artifacts/hard")).unwrap();
    let ids: Vec<String> = (0..2).map(|_| vault.snapshots().create(NewSnapshot::default()).unwrap().id).collect();
    let all = || -> Vec<u64> {
        let tops = std::iter::once(String::new()).chain(ids.iter().map(|id| format!("snapshots/{id}/")));
        tops.map(|top| {
            assert_eq!(number(&format!("{top}artifacts/file")), number(&format!("{top}artifacts/hard")));
            number(&format!("{top}artifacts/file"))
        })
        .collect()
    };
    let before = all();
    assert!(before[0] != before[1] && before[1] != before[2] && before[0] != before[2], "{before:?}");
    mounted.unmount().unwrap();
    let mounted = mount(vault, &point, &MountOptions::default()).unwrap();
    assert_eq!(all(), before);
    mounted.unmount().unwrap();
}

/// Directories of thousands of files and large files of the past are whole.
#[test]
fn large_directories_and_files_of_the_past_are_whole() {
    let mount = Mount::new(|_| {});
    let away = tempfile::tempdir().unwrap();
    let out = away.path().display();
    mount.sh(&format!(
        "mkdir artifacts/many; cd artifacts/many; seq -f %08.0f 6000 | xargs touch; cd ..
        head -c 40000000 /dev/urandom >{out}/large; cp {out}/large large"
    ));
    let id = snapshot(&mount);
    mount.sh("cd artifacts; rm -r many; printf later | dd of=large bs=1 seek=20000000 conv=notrunc status=none");
    prune(&mount);
    let script = format!(
        "cd snapshots/{id}/artifacts; ls many | cmp - <(seq -f %08.0f 6000); ls -f many | wc -l; find many -type f | wc -l
        cmp large {out}/large; tail -c 1234567 large | cmp - <(tail -c 1234567 {out}/large)"
    );
    assert_eq!(mount.sh(&script), "6002\n6000\n");
}

/// Who is in a snapshot when it is deleted can go on reading there, whatever is pruned; its path is gone (`ENOENT`). When
/// everybody has left, and the kernel has forgotten it, its data is pruned.
#[test]
fn a_deleted_snapshot_serves_those_who_are_in_it() {
    let mount = Mount::new(|_| {});
    let content: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    fs::create_dir(mount.path("artifacts/dir")).unwrap();
    fs::write(mount.path("artifacts/dir/file"), &content).unwrap();
    fs::write(mount.path("artifacts/dir/other"), "other").unwrap();
    let id = snapshot(&mount);
    let path = mount.path(&format!("snapshots/{id}/artifacts/dir"));
    let file = File::open(path.join("file")).unwrap();
    // A shell that stands there, too.
    let script = "read _; cat other; sha256sum <file; ls";
    let mut shell = Command::new("bash");
    shell.args(["-c", script]).current_dir(&path).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut shell = shell.spawn().unwrap();

    fs::remove_dir_all(mount.path("artifacts/dir")).unwrap();
    mount.vault.snapshots().delete(&id).unwrap();
    prune(&mount);
    assert_eq!(fs::metadata(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!(fs::metadata(mount.path(&format!("snapshots/{id}"))).unwrap_err().kind(), io::ErrorKind::NotFound);
    let mut bytes = vec![0; content.len()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    assert!(bytes == content);
    io::Write::write_all(&mut shell.stdin.take().unwrap(), b"go on\n").unwrap();
    let said = succeeded(script, &shell.wait_with_output().unwrap());
    assert_eq!(said, format!("other{}  -\nfile\nother\n", mirrordna::record::Checksum::of(&content)));
    drop(file);
    let caches = Path::new("/proc/sys/vm/drop_caches");
    if !rustix::process::geteuid().is_root() {
        return eprintln!("NOT TESTED that it is pruned afterwards: only root can have the kernel forget");
    }
    // The kernel tells of what it forgets when it comes to it.
    let begun = Instant::now();
    let mut freed = 0;
    while freed < content.len() as u64 {
        assert!(begun.elapsed() < Duration::from_secs(20), "{freed} bytes were pruned");
        fs::write(caches, "2").unwrap();
        freed += mount.vault.prune(PrunePolicy { keep: Some(1), ..PrunePolicy::default() }).unwrap().chunk_bytes;
    }
}
