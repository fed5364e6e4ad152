//! Mounting, and being mounted.

use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use fuser::{BackgroundSession, Config, MountOption, Session, SessionACL};
use mirrordna::Vault;
use mirrordna::storage::Subscriber;
use mirrordna::tree::Tree;

use crate::error::MountError;
use crate::fs::{Owner, VaultFs};
use crate::inodes::Inodes;
use crate::mountpoint::{SUBTYPE, State, absolute, state};
use crate::notify::Invalidator;
use crate::umount::{detach, unmount_path};

/// At least and at most this many threads answer requests.
const THREADS: (usize, usize) = (2, 8);

/// How a vault is mounted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MountOptions {
    /// Others than the mounting user may look in. Root may mount so; others only when `/etc/fuse.conf` says
    /// `user_allow_other`.
    pub allow_other: bool,
    /// For reading only.
    pub read_only: bool,
}

/// A mounted vault. Dropping it unmounts it, even when somebody uses it; [`Mounted::unmount`] can say that it is used.
#[derive(Debug)]
pub struct Mounted {
    mountpoint: PathBuf,
    serving: Mutex<Option<Serving>>,
}

/// What serves a mount.
struct Serving {
    session: BackgroundSession,
    /// The vault tells it of changes for as long as it is there.
    subscriber: Arc<dyn Subscriber>,
    notifying: JoinHandle<()>,
}

/// Mounts a vault on a directory. When this returns, it can be used there.
///
/// # Errors
/// [`MountError`] says what is in the way, and what to do about it.
pub fn mount(vault: Vault, mountpoint: &Path, options: &MountOptions) -> Result<Mounted, MountError> {
    let path = prepare(mountpoint)?;
    let inodes = Arc::new(Inodes::new());
    let (invalidator, jobs) = Invalidator::new(Arc::clone(&inodes));
    let owner = Owner {
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        shared: options.allow_other,
    };
    let source = vault.clone();
    let tree = if options.read_only {
        Tree::new(vault)
    } else {
        let dir = vault.dir().map(Path::to_owned);
        Tree::writable(vault, dir.as_deref())?
    };
    let fs = VaultFs::new(tree, inodes, invalidator.clone(), owner);
    let session = Session::new(fs, &path, &config(*options)).map_err(|error| explain(&path, error))?;
    let failed = |source| MountError::Io { path: path.clone(), source };
    let subscriber: Arc<dyn Subscriber> = Arc::new(invalidator);
    // Before the first request is answered, so that no change is missed.
    source.subscribe(&subscriber);
    let notifying = jobs.start(session.notifier()).map_err(failed)?;
    let session = session.spawn().map_err(failed)?;
    tracing::info!(target: "mirrordna::mount", mountpoint = %path.display(), vault = source.id(), "mounted");
    let serving = Serving { session, subscriber, notifying };
    Ok(Mounted { mountpoint: path, serving: Mutex::new(Some(serving)) })
}

/// Makes sure that a directory can be mounted on, and clears away what a killed process left.
fn prepare(mountpoint: &Path) -> Result<PathBuf, MountError> {
    let path = absolute(mountpoint).unwrap_or_else(|_| mountpoint.to_owned());
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => MountError::Missing { path: path.clone() },
        io::ErrorKind::NotADirectory => MountError::NotADirectory { path: path.clone() },
        io::ErrorKind::PermissionDenied => {
            MountError::Permission { action: "mount on", path: path.clone(), detail: source.to_string() }
        }
        _ => MountError::Io { path: path.clone(), source },
    };
    match state(&path).map_err(failed)? {
        State::Vault => return Err(MountError::AlreadyMounted { path }),
        State::Stale => {
            tracing::warn!(
                target: "mirrordna::mount",
                mountpoint = %path.display(),
                "the process that had mounted a vault here is gone; its mount is cleared away"
            );
            detach(&path)?;
        }
        State::Free | State::Other => {}
    }
    if !fs::metadata(&path).map_err(failed)?.is_dir() {
        return Err(MountError::NotADirectory { path });
    }
    if fs::read_dir(&path).map_err(failed)?.next().is_some() {
        return Err(MountError::NotEmpty { path });
    }
    if !Path::new("/dev/fuse").exists() {
        return Err(MountError::NoDevice);
    }
    Ok(path)
}

fn config(options: MountOptions) -> Config {
    let threads = thread::available_parallelism().map_or(THREADS.0, NonZeroUsize::get);
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::FSName(SUBTYPE.to_owned()),
        MountOption::CUSTOM(format!("subtype={SUBTYPE}")),
        MountOption::DefaultPermissions,
        if options.read_only { MountOption::RO } else { MountOption::RW },
        MountOption::NoAtime,
        MountOption::NoSuid,
        MountOption::NoDev,
        MountOption::NoExec,
    ];
    config.acl = if options.allow_other { SessionACL::All } else { SessionACL::Owner };
    config.n_threads = Some(threads.clamp(THREADS.0, THREADS.1));
    config.clone_fd = true;
    config
}

/// What the failure of mounting means.
fn explain(path: &Path, error: io::Error) -> MountError {
    let detail = error.to_string();
    match error.kind() {
        // The directory was there a moment ago: what is missing is the helper.
        io::ErrorKind::NotFound => MountError::NoHelper,
        io::ErrorKind::PermissionDenied => MountError::Permission { action: "mount on", path: path.to_owned(), detail },
        _ if detail.contains("fusermount") => {
            MountError::Permission { action: "mount on", path: path.to_owned(), detail: detail.trim().to_owned() }
        }
        _ => MountError::Io { path: path.to_owned(), source: error },
    }
}

impl Mounted {
    /// Where the vault is mounted.
    #[must_use]
    pub fn mountpoint(&self) -> &Path {
        &self.mountpoint
    }

    /// Waits until somebody unmounts the vault, with [`crate::umount`], `fusermount3 -u` or `umount`.
    ///
    /// # Errors
    /// When serving it failed.
    pub fn wait(self) -> Result<(), MountError> {
        let serving = self.serving.lock().unwrap_or_else(PoisonError::into_inner).take();
        serving.map_or(Ok(()), |serving| serving.end(&self.mountpoint))
    }

    /// Unmounts the vault. When this returns, it is gone from there and nothing of it is open here. After an error it is
    /// still mounted.
    ///
    /// # Errors
    /// As [`crate::umount`]. That it is unmounted already is none.
    pub fn unmount(&self) -> Result<(), MountError> {
        let mut serving = self.serving.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(now) = serving.take() else { return Ok(()) };
        if !now.session.guard.is_finished()
            && let Err(error) = unmount_path(&self.mountpoint)
        {
            *serving = Some(now);
            return Err(error);
        }
        now.end(&self.mountpoint)
    }
}

impl Serving {
    /// Waits until the last request is answered, and lets go of the vault.
    fn end(self, mountpoint: &Path) -> Result<(), MountError> {
        let ended = self.session.join();
        drop(self.subscriber);
        // It ends when its last sender is gone, and that was the subscriber.
        let _ = self.notifying.join();
        tracing::info!(target: "mirrordna::mount", mountpoint = %mountpoint.display(), "unmounted");
        ended.map_err(|source| MountError::Io { path: mountpoint.to_owned(), source })
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        match self.unmount() {
            Ok(()) => {}
            Err(MountError::Busy { path, users }) => {
                tracing::warn!(target: "mirrordna::mount", mountpoint = %path.display(), ?users, "unmounted while in use");
                if let Err(error) = detach(&path) {
                    tracing::error!(target: "mirrordna::mount", %error, "cannot be unmounted");
                }
            }
            Err(error) => tracing::error!(target: "mirrordna::mount", %error, "cannot be unmounted"),
        }
    }
}

impl std::fmt::Debug for Serving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Serving").finish_non_exhaustive()
    }
}
