//! Artifacts of a mount, worked on by a program that has the vault open elsewhere: both see what the other does, at once.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::FileExt as _;

use mirrordna::artifacts::{RenameFlags, SetAttributes};
use mirrordna::files::OpenFile;
use mirrordna::{Vault, VaultOptions};

use crate::support::Mount;

/// As another process would: through the socket.
fn elsewhere(mount: &Mount) -> Vault {
    let vault = Vault::open(mount.vault.dir().unwrap(), &VaultOptions::default()).unwrap();
    assert!(vault.artifacts().is_err(), "it speaks to the mount");
    vault
}

#[test]
fn the_mount_shows_at_once_what_was_done_elsewhere() {
    let mount = Mount::new(|_| {});
    let vault = elsewhere(&mount);
    let files = vault.files();
    let text = |path: &str| fs::read_to_string(mount.path(&format!("artifacts/{path}"))).unwrap();
    let size = |path: &str| fs::metadata(mount.path(&format!("artifacts/{path}"))).unwrap().len();

    // The kernel knows that there is no such file, and no such directory.
    assert!(!mount.path("artifacts/file").exists() && !mount.path("artifacts/dir").exists());
    assert_eq!(mount.sh("ls artifacts"), "");
    files.write("file", b"one").unwrap();
    files.create_dir("dir").unwrap();
    assert_eq!((text("file").as_str(), size("file")), ("one", 3));
    assert_eq!(mount.sh("ls artifacts"), "dir\nfile\n");

    // And now what is in them.
    for content in ["longer than it was", "s", "", "again\n"] {
        files.write("file", content.as_bytes()).unwrap();
        assert_eq!((text("file").as_str(), size("file")), (content, content.len() as u64));
        assert_eq!(mount.sh("stat -c %s artifacts/file"), format!("{}\n", content.len()));
    }
    let mut appending = files.open("file", &OpenFile::new().append(true)).unwrap();
    for n in 1..=20 {
        appending.write_all(b"x").unwrap();
        assert_eq!(size("file"), 6 + n);
        assert_eq!(text("file").len() as u64, 6 + n);
    }
    files.set_attributes("file", &SetAttributes { mode: Some(0o640), ..SetAttributes::default() }).unwrap();
    assert_eq!(mount.sh("stat -c %a artifacts/file"), "640\n");

    files.rename("file", "dir/moved", RenameFlags::default()).unwrap();
    assert!(!mount.path("artifacts/file").exists());
    assert_eq!(size("dir/moved"), 26);
    files.hard_link("dir/moved", "second").unwrap();
    assert_eq!(mount.sh("stat -c %h artifacts/dir/moved artifacts/second"), "2\n2\n");
    files.symlink("dir/moved", "link").unwrap();
    assert_eq!(text("link").len(), 26);

    // What a program has open in the mount goes on without its names.
    let mut open = File::open(mount.path("artifacts/second")).unwrap();
    files.remove_file("second").unwrap();
    files.remove_file("dir/moved").unwrap();
    assert_eq!(mount.sh("ls artifacts artifacts/dir"), "artifacts:\ndir\nlink\n\nartifacts/dir:\n");
    let mut content = String::new();
    open.read_to_string(&mut content).unwrap();
    assert_eq!(content.len(), 26);
    files.remove_dir("dir").unwrap();
    assert!(fs::read_dir(mount.path("artifacts/dir")).is_err());
}

#[test]
fn elsewhere_sees_at_once_what_the_mount_was_told() {
    let mount = Mount::new(|_| {});
    let vault = elsewhere(&mount);
    let files = vault.files();
    mount.sh("mkdir -p artifacts/a/b; echo one > artifacts/a/b/file; ln -s b/file artifacts/a/link");
    assert_eq!(files.read("a/link").unwrap(), b"one\n");
    mount.sh("echo two >> artifacts/a/b/file");
    assert_eq!(files.read("a/b/file").unwrap(), b"one\ntwo\n");
    mount.sh("mv artifacts/a artifacts/c; rm artifacts/c/link; chmod 600 artifacts/c/b/file");
    assert!(files.metadata("a").is_err());
    assert_eq!(files.read_dir("c").unwrap().count(), 1);
    assert_eq!(files.metadata("c/b/file").unwrap().mode, 0o600);

    // What is written and not closed is seen once it is synced.
    let file = File::options().write(true).open(mount.path("artifacts/c/b/file")).unwrap();
    file.write_all_at(b"1", 0).unwrap();
    file.sync_all().unwrap();
    assert_eq!(files.read("c/b/file").unwrap(), b"1ne\ntwo\n");
    // And what is written in turns, at different places, is all there.
    let other = files.open("c/b/file", &OpenFile::new().write(true)).unwrap();
    for n in 0..50 {
        file.write_all_at(&[b'm'; 4_096], n * 8_192).unwrap();
        file.sync_data().unwrap();
        other.write_at(&[b'e'; 4_096], n * 8_192 + 4_096).unwrap();
    }
    let content = files.read("c/b/file").unwrap();
    assert_eq!(content.len(), 50 * 8_192);
    for (n, block) in content.chunks(4_096).enumerate() {
        let wanted = if n % 2 == 0 { b'm' } else { b'e' };
        assert!(block.iter().all(|byte| *byte == wanted), "block {n}");
    }
    assert_eq!(fs::read(mount.path("artifacts/c/b/file")).unwrap(), content);
}
