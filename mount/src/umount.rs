//! Unmounting, also what another process mounted.

use std::io;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};

use crate::error::MountError;
use crate::mountpoint::{State, absolute, parts_below, state, users};

/// How often, and how far apart, unmounting is tried again when nobody is seen who keeps it from happening: a program that
/// ended a moment ago may still be closing its files.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// Unmounts the vault that is mounted on a directory. When this returns, it is gone from there.
///
/// # Errors
/// [`MountError::NotMounted`], [`MountError::Busy`] with the processes that use it, [`MountError::Permission`].
pub fn umount(mountpoint: &Path) -> Result<(), MountError> {
    let failed = |source| MountError::Io { path: mountpoint.to_owned(), source };
    let path = absolute(mountpoint).map_err(failed)?;
    match state(&path).map_err(failed)? {
        State::Free | State::Other => Err(MountError::NotMounted { path }),
        State::Vault | State::Stale => unmount_path(&path),
    }
}

/// Unmounts what is mounted at a path, and before it what is mounted below. When something there is in use, all of it stays.
pub(crate) fn unmount_path(path: &Path) -> Result<(), MountError> {
    let parts = parts_below(path).map_err(|source| MountError::Io { path: path.to_owned(), source })?;
    if !parts.is_empty() {
        // Otherwise the part would be gone when it turns out that the whole cannot be unmounted.
        let users = users(path);
        if !users.is_empty() {
            return Err(MountError::Busy { path: path.to_owned(), users });
        }
    }
    for part in &parts {
        match patiently(part) {
            // Somebody else was faster.
            Ok(()) | Err(MountError::NotMounted { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    patiently(path)
}

fn patiently(path: &Path) -> Result<(), MountError> {
    let mut tries = 1;
    loop {
        match once(path) {
            Err(MountError::Busy { path, users }) if tries == TRIES || !users.is_empty() => {
                return Err(MountError::Busy { path, users });
            }
            Err(MountError::Busy { .. }) => {
                tries += 1;
                thread::sleep(PAUSE);
            }
            other => return other,
        }
    }
}

fn once(path: &Path) -> Result<(), MountError> {
    match unmount(path, UnmountFlags::NOFOLLOW) {
        Ok(()) => Ok(()),
        Err(Errno::INVAL | Errno::NOENT) => Err(MountError::NotMounted { path: path.to_owned() }),
        Err(Errno::BUSY) => Err(MountError::Busy { path: path.to_owned(), users: users(path) }),
        // Only root may; for others a program does it that may.
        Err(Errno::PERM) => by_helper(path, &["-u"]),
        Err(error) => Err(MountError::Io { path: path.to_owned(), source: error.into() }),
    }
}

/// Takes a mount, and what is mounted below it, away even while it is in use: what is open goes on for as long as somebody serves it.
pub(crate) fn detach(path: &Path) -> Result<(), MountError> {
    match unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
        Ok(()) => Ok(()),
        Err(Errno::PERM) => by_helper(path, &["-u", "-z"]),
        Err(error) => Err(MountError::Io { path: path.to_owned(), source: error.into() }),
    }
}

fn by_helper(path: &Path, arguments: &[&str]) -> Result<(), MountError> {
    let output = match Command::new("fusermount3").args(arguments).arg("--").arg(path).output() {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(MountError::NoHelper),
        Err(source) => return Err(MountError::Io { path: path.to_owned(), source }),
    };
    let Output { status, stderr, .. } = output;
    if status.success() {
        return Ok(());
    }
    let detail = String::from_utf8_lossy(&stderr).trim().to_owned();
    if detail.contains("busy") {
        return Err(MountError::Busy { path: path.to_owned(), users: users(path) });
    }
    Err(MountError::Permission { action: "unmount", path: path.to_owned(), detail })
}
