//! What can go wrong with mounting.

use std::io;
use std::path::PathBuf;

/// What went wrong with mounting or unmounting.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// There is nothing to mount on.
    #[error("{} does not exist; create it with `mkdir`, or mount elsewhere", path.display())]
    Missing {
        /// The mount point.
        path: PathBuf,
    },
    /// The mount point is not a directory.
    #[error("{} is not a directory; mount on an empty directory", path.display())]
    NotADirectory {
        /// The mount point.
        path: PathBuf,
    },
    /// The mount point has files that would be hidden.
    #[error("{} is not empty, and a mount would hide what is in it; mount on an empty directory", path.display())]
    NotEmpty {
        /// The mount point.
        path: PathBuf,
    },
    /// A vault is mounted there.
    #[error("a vault is already mounted on {}", path.display())]
    AlreadyMounted {
        /// The mount point.
        path: PathBuf,
    },
    /// No vault is mounted there.
    #[error("no vault is mounted on {}", path.display())]
    NotMounted {
        /// The path.
        path: PathBuf,
    },
    /// Somebody has files open there.
    #[error("{} is in use{}; close what is open there and try again", path.display(), by(users))]
    Busy {
        /// The mount point.
        path: PathBuf,
        /// The processes that use it, as far as they can be seen.
        users: Vec<String>,
    },
    /// The user may not do this.
    #[error("no permission to {action} {}: {detail}", path.display())]
    Permission {
        /// `mount on` or `unmount`.
        action: &'static str,
        /// The mount point.
        path: PathBuf,
        /// What was said about it.
        detail: String,
    },
    /// The kernel has no FUSE here.
    #[error("/dev/fuse is missing: load it with `modprobe fuse`; in a container, it has to be given to that")]
    NoDevice,
    /// The program is missing with which others than root mount.
    #[error("fusermount3 is missing: install it with `apt install fuse3`")]
    NoHelper,
    /// What was written to `artifacts/` could not be stored.
    #[error("{}: what was written last could not be stored: {source}", path.display())]
    Files {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: mirrordna::artifacts::FsError,
    },
    /// The mount has ended, and not well. Whoever was told first has the error itself.
    #[error("{} was unmounted, but not well: {detail}", path.display())]
    Ended {
        /// The mount point.
        path: PathBuf,
        /// What went wrong.
        detail: String,
    },
    /// The operating system failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The mount point.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The vault failed.
    #[error(transparent)]
    Vault(#[from] mirrordna::Error),
}

fn by(users: &[String]) -> String {
    if users.is_empty() { String::new() } else { format!(" by {}", users.join(", ")) }
}
