//! Conformance of `artifacts/`: `pjdfstest`, and `fsx`, shortened. `scripts/fs-tests.sh` runs them in full.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use mirrordna_mount::MountOptions;

use crate::support::Mount;

/// How many operations `fsx` does here.
const OPERATIONS: &str = "5000";

/// A program that `scripts/setup.sh tests` installed; says so when it is not there.
fn tool(name: &str) -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let tools =
        std::env::var_os("FS_TESTS_TOOLS").map_or_else(|| home.join(".cache/mirrordna-fs-tests"), PathBuf::from);
    let program = tools.join("bin").join(name);
    if program.exists() {
        return Some(program);
    }
    eprintln!("NOT TESTED with {name}: it is missing (scripts/setup.sh tests)");
    None
}

fn configuration(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/mount").join(name)
}

/// `pjdfstest` as root, with the features that Linux has: no test fails, and those that are skipped need a second file
/// system, one that is mounted anew, or a limit of links that the C library knows.
#[test]
fn pjdfstest_finds_no_fault() {
    pjdfstest(MountOptions::default());
}

/// The same over one connection.
#[test]
fn pjdfstest_finds_no_fault_over_one_connection() {
    pjdfstest(MountOptions { one_connection: true, ..MountOptions::default() });
}

fn pjdfstest(options: MountOptions) {
    let Some(program) = tool("pjdfstest") else { return };
    if !rustix::process::geteuid().is_root() {
        eprintln!("NOT TESTED with pjdfstest: it changes users, which only root may");
        return;
    }
    let mount = Mount::with(MountOptions { allow_other: true, ..options }, |_| {});
    let dir = mount.path("artifacts/posix");
    fs::create_dir(&dir).unwrap();
    let open = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    open(&dir, 0o777);
    open(&mount.path("artifacts"), 0o755);
    open(mount.point.parent().unwrap(), 0o755);
    let output =
        Command::new(program).arg("-c").arg(configuration("pjdfstest.toml")).arg("-p").arg(&dir).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let failed: Vec<&str> = said.lines().filter(|line| line.ends_with("FAILED")).collect();
    assert!(failed.is_empty() && output.status.success(), "{failed:#?}");
    let unexpected: Vec<&str> = said
        .lines()
        .filter(|line| line.trim_end().ends_with("skipped"))
        .filter(|line| !["::erofs_", "::exdev_", "::link_count_max"].iter().any(|known| line.contains(known)))
        .collect();
    assert!(unexpected.is_empty(), "{unexpected:#?}");
    assert!(said.contains("382 passed, 0 expected failures, 398 total"), "{}", said.lines().last().unwrap_or_default());
}

/// `fsx`: reads, writes, mappings, cuts, holes, copies and syncs in any order, and each read is what was written.
#[test]
fn fsx_reads_what_it_wrote() {
    fsx(MountOptions::default());
}

/// The same over one connection.
#[test]
fn fsx_reads_what_it_wrote_over_one_connection() {
    fsx(MountOptions { one_connection: true, ..MountOptions::default() });
}

fn fsx(options: MountOptions) {
    let Some(program) = tool("fsx") else { return };
    let mount = Mount::with(options, |_| {});
    let kept = tempfile::tempdir().unwrap();
    let mut fsx = Command::new(program);
    fsx.args(["-q", "-S", "1", "-N", OPERATIONS]).arg("-f").arg(configuration("fsx.toml")).arg("-P").arg(kept.path());
    let output = fsx.arg(mount.path("artifacts/fsx")).output().unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", said(&output.stdout), said(&output.stderr));
}
