//! A vault that is mounted as long as the test runs, and a shell in it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Once;

use mirrordna::storage::Durability;
use mirrordna::{Vault, VaultOptions};
use mirrordna_mount::{MountOptions, Mounted, mount};
use tempfile::TempDir;

/// A mounted vault. However the test ends, nothing stays mounted.
pub(crate) struct Mount {
    pub(crate) vault: Vault,
    pub(crate) mounted: Option<Mounted>,
    pub(crate) point: PathBuf,
    _dir: TempDir,
}

impl Mount {
    /// A new vault, filled before it is mounted.
    pub(crate) fn new(fill: impl FnOnce(&Vault)) -> Self {
        Self::with(MountOptions::default(), fill)
    }

    pub(crate) fn with(options: MountOptions, fill: impl FnOnce(&Vault)) -> Self {
        let (dir, vault) = vault();
        fill(&vault);
        drop(vault);
        // As a process finds it that opens and mounts it.
        let vault = open(&dir.path().join("vault"));
        Self::of(dir, vault, options)
    }

    /// A vault that is open, mounted beside it.
    pub(crate) fn of(dir: TempDir, vault: Vault, options: MountOptions) -> Self {
        let point = dir.path().join("mount point");
        std::fs::create_dir(&point).unwrap();
        // All tests can be run on a mount of one connection, too.
        let one_connection = options.one_connection || std::env::var_os("MIRRORDNA_TEST_ONE_CONNECTION").is_some();
        let mounted = mount(vault.clone(), &point, &MountOptions { one_connection, ..options }).unwrap();
        Self { vault, mounted: Some(mounted), point, _dir: dir }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.point.join(path)
    }

    pub(crate) fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Runs a script in the root of the mount and gives what it printed; it must succeed and say nothing of errors.
    pub(crate) fn sh(&self, script: &str) -> String {
        succeeded(script, &sh(&self.point, script))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        drop(self.mounted.take());
        clear(&self.point);
    }
}

/// Takes away whatever is still mounted there, as after a failed test.
pub(crate) fn clear(point: &Path) {
    let _ = Command::new("umount").args(["-q", "-l"]).arg(point).output();
}

/// A vault in a temporary directory, whose changes are buffered.
pub(crate) fn vault() -> (TempDir, Vault) {
    static LOG: Once = Once::new();
    LOG.call_once(|| assert!(Path::new("/dev/fuse").exists(), "these tests need /dev/fuse"));
    let dir = tempfile::tempdir().unwrap();
    let vault = Vault::create(&dir.path().join("vault"), &buffered()).unwrap();
    (dir, vault)
}

fn open(path: &Path) -> Vault {
    Vault::open(path, &buffered()).unwrap()
}

fn buffered() -> VaultOptions {
    VaultOptions { durability: Durability::Buffered, ..VaultOptions::default() }
}

/// Runs a script with bash in a directory. It is stopped after two minutes: a mount that hangs must fail the test.
pub(crate) fn sh(dir: &Path, script: &str) -> Output {
    let script = format!("set -euo pipefail\n{script}");
    let mut bash = Command::new("timeout");
    bash.args(["-k", "5", "120", "bash", "-c", &script]).current_dir(dir).env("LC_ALL", "C.UTF-8");
    bash.output().unwrap()
}

pub(crate) fn succeeded(script: &str, output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && err.is_empty(), "{script}\n{}\n{out}\n{err}", output.status);
    out.into_owned()
}

/// Whether a program is there; says so when it is not.
pub(crate) fn has(program: &str) -> bool {
    let found = Command::new("which").arg(program).output().is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("NOT TESTED with {program}: it is missing (apt install {program})");
    }
    found
}
