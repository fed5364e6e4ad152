//! Mounting, and being mounted: two connections to the kernel, one for the records and one inside it for `artifacts/`, which
//! begin and end together.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use fuser::{BackgroundSession, Config, Filesystem, Session, SessionACL};
use mirrordna::Vault;
use mirrordna::artifacts::Artifacts;
use mirrordna::storage::{Durability, Subscriber};
use mirrordna::tree::Tree;

use crate::artifacts::{self, ArtifactsFs, Generations};
use crate::connection::{Terms, connect};
use crate::error::MountError;
use crate::fs::{Owner, VaultFs};
use crate::guard::Guard;
use crate::inodes::Inodes;
use crate::mountpoint::{State, absolute, state};
use crate::notify::Invalidator;
use crate::server;
use crate::umount::{detach, unmount_path};

/// At least and at most this many threads answer the requests of a connection.
const THREADS: (usize, usize) = (2, 4);
/// Where the ordinary files are.
const ARTIFACTS: &str = "artifacts";

/// How a vault is mounted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MountOptions {
    /// Others than the mounting user may look in. Root may mount so; others only when `/etc/fuse.conf` says
    /// `user_allow_other`.
    pub allow_other: bool,
    /// For reading only.
    pub read_only: bool,
}

impl MountOptions {
    /// Whether something can be mounted inside the mount. `fusermount3` acts with two users' rights at a time, which the
    /// kernel does not let into a mount for its user alone.
    fn can_mount_inside(self) -> bool {
        self.allow_other || is_root()
    }
}

/// A mounted vault. Dropping it unmounts it, even when somebody uses it; [`Mounted::unmount`] can say that it is used.
#[derive(Debug)]
pub struct Mounted {
    mountpoint: PathBuf,
    serving: Mutex<Option<Serving>>,
}

/// What serves a mount.
struct Serving {
    records: Connection,
    /// The vault tells it of changes for as long as it is there.
    subscriber: Arc<dyn Subscriber>,
    files: Option<Files>,
    /// Ends the connections if this process is killed.
    guard: Option<Guard>,
}

/// What serves `artifacts/`.
struct Files {
    connection: Connection,
    /// Tells the kernel of changes from elsewhere.
    teller: artifacts::Invalidator,
    artifacts: Arc<Artifacts>,
}

/// What serves a connection.
struct Connection {
    session: BackgroundSession,
    notifying: JoinHandle<()>,
}

/// Mounts a vault on a directory. When this returns, it can be used there.
///
/// # Errors
/// [`MountError`] says what is in the way, and what to do about it.
pub fn mount(vault: Vault, mountpoint: &Path, options: &MountOptions) -> Result<Mounted, MountError> {
    let path = prepare(mountpoint)?;
    let id = vault.id().to_owned();
    let artifacts = vault.artifacts()?;
    let (records, subscriber) = start_records(vault, &path, *options)?;
    let mut files = None;
    if options.can_mount_inside() {
        match start_artifacts(artifacts, &path.join(ARTIFACTS), *options) {
            Ok(started) => files = Some(started),
            Err(error) => {
                detach(&path)?;
                drop(subscriber);
                let _ = records.end();
                return Err(error);
            }
        }
    } else {
        tracing::warn!(
            target: "mirrordna::mount",
            mountpoint = %path.display(),
            "artifacts/ stays empty: to mount it inside, others than root need --allow-other, which /etc/fuse.conf must allow"
        );
    }
    let mut points = vec![path.clone()];
    points.extend(files.is_some().then(|| path.join(ARTIFACTS)));
    let guard = Guard::start(&points);
    tracing::info!(target: "mirrordna::mount", mountpoint = %path.display(), vault = id, "mounted");
    let serving = Serving { records, subscriber, files, guard };
    Ok(Mounted { mountpoint: path, serving: Mutex::new(Some(serving)) })
}

/// The connection for the records.
fn start_records(
    vault: Vault,
    path: &Path,
    options: MountOptions,
) -> Result<(Connection, Arc<dyn Subscriber>), MountError> {
    let inodes = Arc::new(Inodes::new());
    let (invalidator, jobs) = Invalidator::new(Arc::clone(&inodes));
    let owner = Owner {
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        shared: options.allow_other,
    };
    let source = vault.clone();
    // The process stands at `artifacts/`, if that is mounted.
    let name = match source.dir() {
        Some(dir) if options.can_mount_inside() => dir.as_os_str().to_owned(),
        _ => server::this_process().into(),
    };
    let tree = if options.read_only {
        Tree::new(vault)
    } else {
        let dir = vault.dir().map(Path::to_owned);
        Tree::writable(vault, dir.as_deref())?
    };
    let fs = VaultFs::new(tree, inodes, invalidator.clone(), owner);
    let terms = Terms {
        source: &name,
        // The helper of those who are not root would find no writable directory there to mount `artifacts/` on. It makes
        // no difference: what is refused by the kernel then is refused by us now.
        read_only: options.read_only && is_root(),
        allow_other: options.allow_other,
        check_permissions: true,
        executable: false,
    };
    let failed = |source| MountError::Io { path: path.to_owned(), source };
    let (session, _) = open(fs, path, &terms)?;
    let subscriber: Arc<dyn Subscriber> = Arc::new(invalidator);
    // Before the first request is answered, so that no change is missed.
    source.subscribe(&subscriber);
    let notifying = jobs.start(session.notifier()).map_err(failed)?;
    let session = session.spawn().map_err(failed)?;
    Ok((Connection { session, notifying }, subscriber))
}

/// The connection for `artifacts/`.
fn start_artifacts(artifacts: Arc<Artifacts>, path: &Path, options: MountOptions) -> Result<Files, MountError> {
    let failed = |source| MountError::Io { path: path.to_owned(), source };
    let generations = Arc::new(Generations::default());
    let (fs, notifier) =
        ArtifactsFs::new(Arc::clone(&artifacts), Arc::clone(&generations), options.read_only).map_err(failed)?;
    let process = server::this_process();
    let terms = Terms {
        source: OsStr::new(&process),
        read_only: options.read_only,
        allow_other: options.allow_other,
        // Root may do everything, and nobody else can look in. Each check that the kernel makes of a directory that has
        // changed costs a question.
        check_permissions: options.allow_other || !is_root(),
        executable: true,
    };
    let (session, device) = open(fs, path, &terms)?;
    let _ = notifier.set(session.notifier());
    let (invalidator, jobs) = artifacts::Invalidator::new(Arc::clone(&artifacts), generations);
    let teller = invalidator.clone();
    artifacts.watch(Arc::new(move |changes| invalidator.changed(changes)));
    let notifying = jobs.start(session.notifier(), device).map_err(failed)?;
    let session = session.spawn().map_err(failed)?;
    artifacts::read_ahead(path);
    Ok(Files { connection: Connection { session, notifying }, teller, artifacts })
}

/// Mounts, and agrees with the kernel on how to talk. Gives the open device, too, for what `fuser` cannot say.
fn open<F: Filesystem>(fs: F, path: &Path, terms: &Terms<'_>) -> Result<(Session<F>, OwnedFd), MountError> {
    let device = connect(path, terms)?;
    let begin = || {
        let copy = device.try_clone()?;
        // The kernel keeps others out, if they are to be kept out, before it asks us.
        Ok((Session::from_fd(fs, device, SessionACL::All, config())?, copy))
    };
    begin().map_err(|source: io::Error| {
        if let Err(error) = detach(path) {
            tracing::error!(target: "mirrordna::mount", %error, "cannot be unmounted");
        }
        MountError::Io { path: path.to_owned(), source }
    })
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
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

fn config() -> Config {
    let threads = thread::available_parallelism().map_or(THREADS.0, NonZeroUsize::get);
    let mut config = Config::default();
    config.acl = SessionACL::All;
    config.n_threads = Some(threads.clamp(THREADS.0, THREADS.1));
    config.clone_fd = true;
    config
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

    /// Unmounts the vault. When this returns, it is gone from there, everything that was written is on disk, and nothing of
    /// it is open here. After an error it is still mounted.
    ///
    /// # Errors
    /// As [`crate::umount`]. That it is unmounted already is none.
    pub fn unmount(&self) -> Result<(), MountError> {
        let mut serving = self.serving.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(now) = serving.take() else { return Ok(()) };
        if !now.records.session.guard.is_finished()
            && let Err(error) = unmount_path(&self.mountpoint)
        {
            *serving = Some(now);
            return Err(error);
        }
        now.end(&self.mountpoint)
    }
}

impl Serving {
    /// Waits until the last requests are answered, writes everything out, and lets go of the vault.
    fn end(self, mountpoint: &Path) -> Result<(), MountError> {
        let Self { records, subscriber, files, guard } = self;
        let files = files.map_or(Ok(()), |files| files.end(mountpoint));
        drop(subscriber);
        let records = records.end().map_err(|source| MountError::Io { path: mountpoint.to_owned(), source });
        drop(guard);
        tracing::info!(target: "mirrordna::mount", mountpoint = %mountpoint.display(), "unmounted");
        files.and(records)
    }
}

impl Files {
    /// Waits until the last request is answered, and writes everything out.
    fn end(self, mountpoint: &Path) -> Result<(), MountError> {
        let Self { connection, teller, artifacts } = self;
        let path = || mountpoint.join(ARTIFACTS);
        let served = connection.session.join();
        teller.close();
        let _ = connection.notifying.join();
        // The kernel tells of nothing that it forgets any more.
        artifacts.forget_all();
        let written = artifacts.commit(Durability::Sync);
        written.map_err(|source| MountError::Files { path: path(), source })?;
        served.map_err(|source| MountError::Io { path: path(), source })
    }
}

impl Connection {
    /// Waits until the last request is answered.
    fn end(self) -> io::Result<()> {
        let ended = self.session.join();
        // It ends when its last sender is gone, and that was the subscriber.
        let _ = self.notifying.join();
        ended
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
