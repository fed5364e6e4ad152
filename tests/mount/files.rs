//! Artifacts of a mount, worked on by a program that has the vault open elsewhere: both see what the other does, at once.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use mirrordna::artifacts::{RenameFlags, SetAttributes};
use mirrordna::files::OpenFile;
use mirrordna::vault::NewSnapshot;
use mirrordna::{Vault, VaultOptions};
use mirrordna_mount::MountOptions;

use crate::support::Mount;
use crate::waiting::unheard;

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

    // What is written and not closed is seen, too.
    let file = File::options().write(true).open(mount.path("artifacts/c/b/file")).unwrap();
    file.write_all_at(b"1", 0).unwrap();
    assert_eq!(files.read("c/b/file").unwrap(), b"1ne\ntwo\n");
    // And what is written in turns, at different places within the file, is all there.
    file.set_len(50 * 8_192).unwrap();
    let other = files.open("c/b/file", &OpenFile::new().write(true)).unwrap();
    for n in 0..50 {
        file.write_all_at(&[b'm'; 4_096], n * 8_192).unwrap();
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

/// The kernel collects what programs write. Who comes from elsewhere sees it all the same, and what he writes stays.
#[test]
fn what_the_kernel_has_collected_is_seen_elsewhere_and_overwrites_nothing() {
    for one_connection in [false, true] {
        let mount = Mount::with(MountOptions { one_connection, ..MountOptions::default() }, |_| {});
        let vault = elsewhere(&mount);
        let files = vault.files();
        let begun = |name: &str| {
            files.write(name, b"aaaaaaaaaa").unwrap();
            let file = File::options().read(true).write(true).open(mount.path(&format!("artifacts/{name}"))).unwrap();
            file.write_all_at(b"M", 0).unwrap();
            file
        };
        let _open = begun("changed");
        let changed = files.open("changed", &OpenFile::new().read(true).write(true)).unwrap();
        changed.write_all_at(b"E", 5).unwrap();
        assert_eq!(files.read("changed").unwrap(), b"MaaaaEaaaa");
        assert_eq!(mount.read("artifacts/changed"), "MaaaaEaaaa");

        let _open = begun("replaced");
        files.write("replaced", b"NEW").unwrap();
        assert_eq!(files.read("replaced").unwrap(), b"NEW");
        assert_eq!(mount.read("artifacts/replaced"), "NEW");

        let open = begun("longer");
        open.write_all_at(b"longer", 10).unwrap();
        assert_eq!(files.metadata("longer").unwrap().size, 16);
        open.write_all_at(b" still", 16).unwrap();
        files.open("longer", &OpenFile::new().append(true)).unwrap().write_all(b" and more").unwrap();
        assert_eq!(files.read("longer").unwrap(), b"Maaaaaaaaalonger still and more");

        let open = begun("cut");
        open.set_len(1 << 20).unwrap();
        open.write_all_at(b"far", (1 << 20) - 3).unwrap();
        files.set_attributes("cut", &SetAttributes { size: Some(3), ..SetAttributes::default() }).unwrap();
        assert_eq!(files.read("cut").unwrap(), b"Maa");
    }
}

/// A snapshot has what programs had written when it was made, whether the kernel had passed it on or not.
#[test]
fn a_snapshot_has_what_was_written_before() {
    for one_connection in [false, true] {
        let mount = Mount::with(MountOptions { one_connection, ..MountOptions::default() }, |_| {});
        let vault = elsewhere(&mount);
        let names: Vec<String> = (0..20).map(|n| format!("log {n}")).collect();
        let open: Vec<File> =
            names.iter().map(|name| File::create(mount.path(&format!("artifacts/{name}"))).unwrap()).collect();
        let mut wanted = vec![Vec::new(); names.len()];
        for round in b'0'..b'5' {
            for (n, file) in open.iter().enumerate() {
                let more = vec![round; 3_000 * (n + 1)];
                file.write_all_at(&more, wanted[n].len() as u64).unwrap();
                wanted[n].extend(more);
            }
            let pin = vault.snapshots().create(NewSnapshot::default()).unwrap();
            let then = vault.at(pin.sequence).unwrap().files().unwrap();
            for (name, wanted) in names.iter().zip(&wanted) {
                assert!(then.read(name).unwrap() == *wanted, "{name}, round {round}, {one_connection}");
            }
        }
    }
}

/// Whoever has a file open that a restore replaces is told, and what he wrote before gets nowhere.
#[test]
fn a_restore_is_not_overwritten_by_who_has_a_file_open() {
    for one_connection in [false, true] {
        let mount = Mount::with(MountOptions { one_connection, ..MountOptions::default() }, |_| {});
        let vault = elsewhere(&mount);
        let at = |name: &str| mount.path(&format!("artifacts/{name}"));
        for name in ["written", "open", "same"] {
            fs::write(at(name), "snapshot content of then").unwrap();
        }
        let pin = vault.snapshots().create(NewSnapshot::default()).unwrap();
        for name in ["written", "open"] {
            fs::write(at(name), "now a much longer content than there was then").unwrap();
        }
        let [written, open, same] =
            ["written", "open", "same"].map(|name| File::options().read(true).write(true).open(at(name)).unwrap());
        written.write_all_at(b"XX", 0).unwrap();
        let mut seen = [0; 8];
        open.read_exact_at(&mut seen, 0).unwrap();
        vault.snapshots().restore(&pin.id).unwrap();

        // Nobody has looked the name up since.
        let went_on = open.write_all_at(b"STALE", 0).and_then(|()| open.sync_all());
        assert!(went_on.is_err(), "{one_connection}");
        assert!(open.read_exact_at(&mut seen, 0).is_err() && open.metadata().is_err(), "{one_connection}");
        let went_on = written.write_all_at(b"YY", 2).and_then(|()| written.sync_all());
        assert!(went_on.is_err(), "{one_connection}");
        drop((open, written));
        for name in ["written", "open"] {
            assert_eq!(mount.read(&format!("artifacts/{name}")), "snapshot content of then");
            fs::write(at(name), "new").unwrap();
            assert_eq!(vault.files().read(name).unwrap(), b"new");
        }
        // What was not changed goes on.
        same.write_all_at(b"S", 0).unwrap();
        same.sync_all().unwrap();
        assert_eq!(mount.read("artifacts/same"), "Snapshot content of then");
    }
}

/// So also while the restore works, when requests wait for it that were made before.
#[test]
fn what_waits_for_a_restore_gets_nowhere() {
    const BLOCK: usize = 4_096;
    for one_connection in [false, true] {
        let mount = Mount::with(MountOptions { one_connection, ..MountOptions::default() }, |_| {});
        let vault = elsewhere(&mount);
        let content = vec![b'A'; 8 << 20];
        fs::write(mount.path("artifacts/large"), &content).unwrap();
        let pin = vault.snapshots().create(NewSnapshot::default()).unwrap();
        for n in 0..300 {
            fs::write(mount.path(&format!("artifacts/{n}")), "small").unwrap();
        }
        let open = || File::options().write(true).open(mount.path("artifacts/large")).unwrap();
        let writers = [open(), open(), open(), open()];
        // At least this the restore has to undo.
        writers[0].write_all_at(&[b'B'; BLOCK], 0).unwrap();
        thread::scope(|scope| {
            for (mut at, file) in (0..).zip(&writers) {
                scope.spawn(move || {
                    // Until it is told.
                    while file.write_all_at(&[b'B'; BLOCK], at * BLOCK as u64).and_then(|()| file.sync_data()).is_ok() {
                        at = (at + 97) % 2_048;
                    }
                });
            }
            vault.snapshots().restore(&pin.id).unwrap();
        });
        let now = vault.files().read("large").unwrap();
        let other: Vec<usize> = (0..now.len()).step_by(BLOCK).filter(|at| now[*at] != b'A').collect();
        assert!(now.len() == content.len() && other.is_empty(), "{one_connection}: {other:?}");
    }
}

/// A file that somebody else makes longer or shorter is not gone on with as it was: whoever has it open is told.
#[test]
fn what_was_appended_elsewhere_is_not_overwritten_by_who_has_the_file_open() {
    for one_connection in [false, true] {
        let mount = Mount::with(MountOptions { one_connection, ..MountOptions::default() }, |_| {});
        let vault = elsewhere(&mount);
        let append = || File::options().append(true).create(true).open(mount.path("artifacts/log")).unwrap();
        let mut open = append();
        open.write_all(b"one ").unwrap();
        open.sync_all().unwrap();
        let mut other = vault.files().open("log", &OpenFile::new().append(true)).unwrap();
        other.write_all(b"two ").unwrap();
        other.sync().unwrap();
        assert!(open.write_all(b"lost").and_then(|()| open.sync_all()).is_err(), "{one_connection}");
        let mut again = append();
        again.write_all(b"three ").unwrap();
        again.sync_all().unwrap();
        assert_eq!(vault.files().read("log").unwrap(), b"one two three ");
        vault.files().set_attributes("log", &SetAttributes { size: Some(4), ..SetAttributes::default() }).unwrap();
        assert!(again.write_all(b"lost").and_then(|()| again.sync_all()).is_err(), "{one_connection}");
        assert_eq!(mount.read("artifacts/log"), "one ");
        // Who only reads it goes on reading, by its name.
        other.write_all(b"last").unwrap();
        assert_eq!(mount.read("artifacts/log"), "one last");
    }
}

/// A restore drops names from directories that programs sync, and these wait for the restore.
#[test]
fn a_restore_and_who_syncs_directories_do_not_wait_for_each_other() {
    let mount = Mount::new(|_| {});
    let vault = elsewhere(&mount);
    fs::create_dir(mount.path("artifacts/dir")).unwrap();
    let pin = vault.snapshots().create(NewSnapshot::default()).unwrap();
    let (heard, done) = (unheard(), AtomicBool::new(false));
    thread::scope(|scope| {
        for worker in 0..4 {
            let (mount, done) = (&mount, &done);
            scope.spawn(move || {
                for n in 0.. {
                    if done.load(Ordering::Relaxed) {
                        return;
                    }
                    // The file may be gone between opening and writing.
                    let _ = fs::write(mount.path(&format!("artifacts/dir/{worker} {n}")), "x");
                    File::open(mount.path("artifacts/dir")).unwrap().sync_all().unwrap();
                }
            });
        }
        for _ in 0..3 {
            vault.snapshots().restore(&pin.id).unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(unheard(), heard, "nobody lost patience with the kernel");
}

/// What somebody has mounted in a directory stays there, whatever others do beside it.
#[test]
fn what_is_mounted_in_a_directory_stays() {
    let mount = Mount::new(|_| {});
    let vault = elsewhere(&mount);
    let files = vault.files();
    mount.sh("mkdir -p artifacts/dir/point; echo one >artifacts/dir/file");
    mount.sh("mount -t tmpfs mirrordna-test artifacts/dir/point && echo precious >artifacts/dir/point/inside");
    let pin = vault.snapshots().create(NewSnapshot::default()).unwrap();
    let inside = || mount.sh("cat artifacts/dir/point/inside");
    files.write("dir/new", b"new").unwrap();
    assert_eq!(inside(), "precious\n");
    files.write("dir/file", b"two").unwrap();
    files.remove_file("dir/new").unwrap();
    assert_eq!(inside(), "precious\n");
    vault.snapshots().restore(&pin.id).unwrap();
    assert_eq!(inside(), "precious\n");
    assert_eq!(mount.read("artifacts/dir/file"), "one\n");
    mount.sh("umount artifacts/dir/point");
}
