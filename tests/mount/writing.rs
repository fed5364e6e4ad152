//! The mount for reading refuses to write.

use std::fs::{self, OpenOptions};
use std::io;
use std::process::Command;

use mirrordna_mount::MountOptions;

use crate::sample;
use crate::support::Mount;

fn refused(what: &str, result: io::Result<()>) {
    let error = result.expect_err(what);
    assert_eq!(error.raw_os_error(), Some(libc::EROFS), "{what}: {error}");
}

fn everything_is_refused(mount: &Mount) {
    let record = mount.path(&format!("identities/{}.json", sample::AGENT));
    let new = mount.path("identities/new.json");
    refused("write", OpenOptions::new().write(true).open(&record).map(drop));
    refused("append", OpenOptions::new().append(true).open(&record).map(drop));
    refused("truncate", OpenOptions::new().write(true).truncate(true).open(&record).map(drop));
    refused("create", fs::write(&new, "{}"));
    refused("unlink", fs::remove_file(&record));
    refused("rename", fs::rename(&record, &new));
    refused("mkdir", fs::create_dir(mount.path("new")));
    refused("rmdir", fs::remove_dir(mount.path("sessions")));
    refused("link", fs::hard_link(&record, &new));
    refused("symlink", std::os::unix::fs::symlink("x", &new));
    refused("chmod", fs::set_permissions(&record, std::os::unix::fs::PermissionsExt::from_mode(0o600)));
    refused("chown", std::os::unix::fs::chown(&record, Some(1), Some(1)));
    refused(
        "mknod",
        rustix::fs::mknodat(rustix::fs::CWD, &new, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
            .map_err(Into::into),
    );
    refused(
        "setxattr",
        rustix::fs::setxattr(&record, "user.x", b"y", rustix::fs::XattrFlags::empty()).map_err(Into::into),
    );
    refused("removexattr", rustix::fs::removexattr(&record, "user.sha256").map_err(Into::into));
    let now = fs::File::open(&record).and_then(|file| file.set_modified(std::time::SystemTime::now()));
    refused("utimens", now);
}

/// Everything that would change something is refused with EROFS, by the kernel, and by the mount itself when the kernel was
/// told to allow it; reading changes nothing.
#[test]
fn every_change_is_refused() {
    let options = MountOptions { read_only: true, ..MountOptions::default() };
    let mount = Mount::with(options, sample::fill);
    let before = mount.vault.state();
    everything_is_refused(&mount);
    let remounted = Command::new("mount").args(["-i", "-o", "remount,rw"]).arg(&mount.point).output().unwrap();
    if remounted.status.success() {
        everything_is_refused(&mount);
    } else {
        eprintln!("NOT TESTED below the kernel: {}", String::from_utf8_lossy(&remounted.stderr));
    }
    mount.sh("cat memories/*/* timeline/* >/dev/null");
    assert_eq!(mount.vault.state(), before);
}
