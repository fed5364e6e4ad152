//! Files, attributes, numbers, and who may look.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::sync::Arc;

use mirrordna::record::Kind;
use mirrordna::storage::{Action, Change, Commit, Durability, Expect, FileRows, Origin, Storage, prepare};
use mirrordna::vault::{NewSnapshot, Tier};
use mirrordna::{Vault, VaultOptions};
use mirrordna_mount::MountOptions;

use crate::failing::{self, Failing};
use crate::sample;
use crate::support::{Mount, sh};
use crate::tools::everything;

fn xattr(path: &std::path::Path, name: &str) -> Option<String> {
    let mut value = vec![0; 256];
    let len = rustix::fs::getxattr(path, name, &mut value).ok()?;
    value.truncate(len);
    String::from_utf8(value).ok()
}

/// Extended attributes: `user.sha256` on record and snapshot files, `user.mirrordna.checksum` (the protocol checksum) and
/// `user.mirrordna.sequence` on records.
#[test]
fn extended_attributes_tell_checksums() {
    let mount = everything();
    let record = mount.vault.get(Kind::Identity, sample::AGENT).unwrap();
    for top in ["", "snapshots/snap_a/"] {
        let path = format!("{top}identities/{}.json", sample::AGENT);
        let file = mount.path(&path);
        let sum = mount.sh(&format!("sha256sum {path}"));
        assert_eq!(xattr(&file, "user.sha256").as_deref(), sum.split(' ').next());
        assert_eq!(xattr(&file, "user.mirrordna.checksum"), Some(record.checksum.to_string()));
        assert_eq!(xattr(&file, "user.mirrordna.sequence"), Some(record.sequence.to_string()));
        let mut names = vec![0; 1_024];
        let len = rustix::fs::listxattr(&file, &mut names).unwrap();
        let names = String::from_utf8_lossy(names.get(..len).unwrap()).into_owned();
        assert_eq!(names, "user.sha256\0user.mirrordna.checksum\0user.mirrordna.sequence\0");
    }
    let snapshot = mount.path("snapshots/snap_a.yaml");
    let sum = mount.sh("sha256sum snapshots/snap_a.yaml");
    assert_eq!(xattr(&snapshot, "user.sha256").as_deref(), sum.split(' ').next());
    assert_eq!(xattr(&snapshot, "user.mirrordna.checksum"), None);
    assert_eq!(xattr(&mount.path("README.txt"), "user.sha256"), None);
    let mut small = [0; 4];
    let too_small = rustix::fs::getxattr(&snapshot, "user.sha256", &mut small);
    assert_eq!(too_small, Err(rustix::io::Errno::RANGE));
}

/// Inode numbers differ between the present and each snapshot, and are the same in the next mount.
#[test]
fn inode_numbers_tell_present_and_past_apart() {
    let mut mount = everything();
    let numbers = |mount: &Mount| -> HashMap<String, u64> {
        let listed = mount.sh("find . -path ./artifacts -prune -o -printf '%i %p\n'");
        listed
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(n, path)| (path.into(), n.parse().unwrap()))
            .collect()
    };
    let first = numbers(&mount);
    let mut paths: HashMap<u64, &str> = HashMap::new();
    for (path, number) in &first {
        assert_eq!(paths.insert(*number, path), None, "{path}");
    }
    mount.mounted.take().unwrap().unmount().unwrap();
    mount.mounted = Some(mirrordna_mount::mount(mount.vault.clone(), &mount.point, &MountOptions::default()).unwrap());
    assert_eq!(numbers(&mount), first);
}

/// Times are those of the commits, and of the snapshot in the past.
#[test]
fn times_are_those_of_the_commits() {
    let mount = everything();
    let record = mount.vault.get(Kind::Identity, sample::AGENT).unwrap();
    let found = fs::metadata(mount.path(&format!("identities/{}.json", sample::AGENT))).unwrap();
    assert_eq!(found.mtime() * 1_000_000 + found.mtime_nsec() / 1_000, record.time.as_micros());
    let pin = mount.vault.snapshots().get("snap_a").unwrap();
    let found = fs::metadata(mount.path("snapshots/snap_a/memories")).unwrap();
    assert_eq!(found.mtime() * 1_000_000 + found.mtime_nsec() / 1_000, pin.timestamp.as_micros());
}

/// Large records are read whole, in whatever pieces.
#[test]
fn large_records_are_whole() {
    let mut id = String::new();
    let mount = Mount::new(|vault| {
        let session = sample::session(vault);
        id = sample::memory(vault, &session, Tier::LongTerm, "wörter und mehr ".repeat(300_000).into()).id;
    });
    let path = format!("memories/long_term/{id}.json");
    assert!(mount.read(&path).len() > 5_000_000);
    mount.sh("cd memories/long_term && sha256sum -c --quiet SHA256SUMS");
    assert_eq!(
        mount.sh(&format!("dd if={path} bs=7777 status=none | sha256sum")),
        mount.sh(&format!("dd if={path} bs=1M status=none iflag=direct | sha256sum"))
    );
    assert_eq!(mount.sh(&format!("tail -c 100 {path} | wc -c")), "100\n");
}

/// Only the mounting user may look in, unless it was mounted with `allow_other`; others may then look, not write.
#[test]
fn others_may_look_only_when_allowed() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("NOT TESTED: only root can be somebody else");
    }
    let nobody = |mount: &Mount, script: &str| {
        // The folder above belongs to the test.
        let above = mount.point.parent().unwrap();
        fs::set_permissions(above, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "bash", "-c", script]);
        command.current_dir("/").env("M", &mount.point).output().unwrap()
    };
    let look = "cat \"$M\"/README.txt && ls \"$M\"/identities && cat \"$M\"/identities/*.json";
    let mount = everything();
    let output = nobody(&mount, look);
    assert!(!output.status.success() && output.stdout.is_empty());
    drop(mount);
    let options = MountOptions { allow_other: true, ..MountOptions::default() };
    let mount = Mount::with(options, sample::fill);
    let output = nobody(&mount, look);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!nobody(&mount, "touch \"$M\"/new").status.success());
    assert_eq!(mount.sh("stat -c %a . README.txt").trim(), "555\n444");
}

/// A record that is not what was stored is an input/output error, never wrong bytes; the log and `.vault/last-error` name it.
#[test]
fn a_damaged_record_is_an_error() {
    let mount = Mount::new(sample::fill);
    let (id, record) = sample::memories(Tier::LongTerm, 1).pop().unwrap();
    let mut prepared = prepare(Kind::Memory, &id, &record, false).unwrap();
    prepared.file.len += 1;
    let change = Change {
        kind: Kind::Memory,
        id: id.clone(),
        action: Action::Put(Box::new(prepared)),
        expect: Expect::Any,
        event: None,
    };
    let commit = Commit {
        seen: Vec::new(),
        changes: vec![change],
        files: FileRows::default(),
        actor: "test".into(),
        origin: Origin::Direct,
        token: None,
        durability: Durability::Buffered,
    };
    assert_eq!(mount.sh("jq -r .status .vault/health.json; ls .vault | grep last || true"), "ok\n");
    mount.vault.storage().commit(commit).unwrap();
    let error = fs::read(mount.path(&format!("memories/long_term/{id}.json"))).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EIO));
    assert!(mount.read(".vault/last-error").contains(&id));
    assert_eq!(mount.sh("jq -r .status .vault/health.json; ls .vault | grep last"), "warning\nlast-error\n");
    mount.sh("cat memories/short_term/*.json >/dev/null");
}

/// A directory that cannot be read to its end is an error for whoever lists it, wherever reading it failed, and never a
/// short listing; the kernel keeps none of it, so it is listed whole as soon as it can be read.
#[test]
fn a_listing_that_fails_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let storage = Failing::create(&dir.path().join("vault"));
    let vault = Vault::over(Arc::clone(&storage) as Arc<dyn Storage>, &VaultOptions::default());
    // More than two pages.
    sample::import(&vault, Kind::Entry, &failing::bare(Kind::Entry, 2_500), true);
    let mount = Mount::of(dir, vault, MountOptions::default());
    for pages in [0, 1, 2] {
        for list in ["ls -f entries", "ls entries", "find entries -type f", "cp -r entries copy"] {
            storage.fail_after_pages(pages);
            let output = sh(&mount.point, &list.replace("copy", "\"$(mktemp -d)\""));
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success() && error.contains("Input/output error"), "{list}: {output:?}");
        }
    }
    storage.fail_after_pages(usize::MAX);
    for _ in 0..2 {
        assert_eq!(mount.sh("ls entries | wc -l"), "2501\n");
    }
}

/// `df` shows what the vault takes on disk.
#[test]
fn df_shows_the_vault() {
    let mount = Mount::new(sample::fill);
    assert!(mount.sh("df --output=fstype,source . | tail -1").contains("fuse.mirrordna"));
    mount.vault.snapshots().create(NewSnapshot::default()).unwrap();
    mount.sh("stat -f .");
    // The room is that of the disk.
    let room = |path: &str| mount.sh(&format!("df --output=size {path} | tail -1"));
    assert_eq!(room("."), room("artifacts"));
    let free: u64 = mount.sh("stat -f -c %a .").trim().parse().unwrap();
    assert!(free > 0);
}
