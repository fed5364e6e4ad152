//! Mounting, and being mounted: two connections to the kernel, one for the records and one inside it for `artifacts/`, which
//! begin and end together; or one for both, where nothing can be mounted inside.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};

use fuser::{BackgroundSession, Config, Filesystem, Notifier, Session, SessionACL};
use mirrordna::Vault;
use mirrordna::artifacts::{Artifacts, Watcher};
use mirrordna::storage::{Durability, Subscriber};
use mirrordna::threads::without_signals;
use mirrordna::tree::Tree;

use crate::artifacts::{self, ArtifactsFs, KernelWatch, Known, Place, Sharing};
use crate::connection::{Terms, connect};
use crate::error::MountError;
use crate::fs::{Owner, VaultFs};
use crate::guard::Guard;
use crate::inodes::Inodes;
use crate::mountpoint::{State, absolute, state};
use crate::notify::Invalidator;
use crate::router::Router;
use crate::server;
use crate::umount::{detach, umount, unmount_path};

/// At least and at most this many threads answer the requests of a connection.
const THREADS: (usize, usize) = (2, 4);
/// So many more answer those of records and files together: while a restore works, changes of records wait, and dropping from
/// the kernel's caches what it changed waits for requests about files.
const THREADS_TOGETHER: usize = 8;
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
    /// `artifacts/` is served over the connection of the records, though it could have one of its own, which is faster. It
    /// always is when another mount cannot be made inside this one: for others than root without `allow_other`.
    pub one_connection: bool,
}

impl MountOptions {
    /// Whether `artifacts/` is mounted inside the mount, with a connection of its own. `fusermount3` acts with two users'
    /// rights at a time, which the kernel does not let into a mount for its user alone.
    fn mounts_inside(self) -> bool {
        !self.one_connection && (self.allow_other || is_root())
    }
}

/// A mounted vault. Dropping it unmounts it, even when somebody uses it; [`Mounted::unmount`] can say that it is used.
#[derive(Debug)]
pub struct Mounted {
    mountpoint: PathBuf,
    phase: Mutex<Phase>,
    ended: Condvar,
    /// One at a time unmounts.
    unmounting: Mutex<()>,
}

/// How far a mount is.
#[derive(Debug)]
enum Phase {
    Serving(Box<Serving>),
    /// Somebody waits for its end.
    Ending,
    /// It is not mounted any more, and what was written last is being stored.
    Gone,
    /// It is gone, and what was written is on disk, unless it is said why not.
    Ended(Option<String>),
}

/// What serves a mount.
struct Serving {
    records: Records,
    files: Files,
    /// Ends the connections if this process is killed.
    guard: Option<Guard>,
}

/// What serves the records, and maybe `artifacts/` with them.
struct Records {
    session: BackgroundSession,
    notifying: JoinHandle<()>,
    /// The vault tells it of changes for as long as it is there.
    subscriber: Arc<dyn Subscriber>,
}

/// What serves `artifacts/`.
struct Files {
    /// Their own connection, if they have one.
    session: Option<BackgroundSession>,
    telling: Telling,
    known: Arc<Known>,
    artifacts: Arc<Artifacts>,
}

/// What tells the kernel of changes of files from elsewhere.
struct Telling {
    teller: artifacts::Invalidator,
    thread: JoinHandle<()>,
    _watcher: Watcher,
}

/// Mounts a vault on a directory. When this returns, it can be used there.
///
/// # Errors
/// [`MountError`] says what is in the way, and what to do about it.
pub fn mount(vault: Vault, mountpoint: &Path, options: &MountOptions) -> Result<Mounted, MountError> {
    let path = prepare(mountpoint)?;
    let id = vault.id().to_owned();
    let serving = if options.mounts_inside() {
        serve_apart(vault, &path, *options)?
    } else {
        serve_together(vault, &path, *options)?
    };
    tracing::info!(target: "mirrordna::mount", mountpoint = %path.display(), vault = id, "mounted");
    Ok(Mounted {
        mountpoint: path,
        phase: Mutex::new(Phase::Serving(Box::new(serving))),
        ended: Condvar::new(),
        unmounting: Mutex::default(),
    })
}

/// Records and files with a connection each.
fn serve_apart(vault: Vault, path: &Path, options: MountOptions) -> Result<Serving, MountError> {
    let artifacts = vault.artifacts()?;
    let (records, ()) = start_records(vault, path, options, None, |records| records, |_, _| Ok(()))?;
    match start_files(artifacts, &path.join(ARTIFACTS), options) {
        Ok(files) => {
            let guard = Guard::start(&[path.to_owned(), path.join(ARTIFACTS)]);
            Ok(Serving { records, files, guard })
        }
        Err(error) => {
            detach(path)?;
            let _ = records.end();
            Err(error)
        }
    }
}

/// Records and files over one connection.
fn serve_together(vault: Vault, path: &Path, options: MountOptions) -> Result<Serving, MountError> {
    let failed = |source| MountError::Io { path: path.to_owned(), source };
    let artifacts = vault.artifacts()?;
    let sharing = Sharing::WithRecords;
    let (fs, cell) = ArtifactsFs::new(Arc::clone(&artifacts), sharing, options.read_only).map_err(failed)?;
    let known = fs.known();
    let fs = Arc::new(fs);
    let files = Arc::clone(&fs);
    let (records, telling) = start_records(
        vault,
        path,
        options,
        Some(fs),
        |records| Router::new(records, files),
        |notifier, device| {
            let _ = cell.set(notifier.clone());
            Telling::start(&artifacts, (&known, sharing), path, notifier, device)
        },
    )?;
    let guard = Guard::start(&[path.to_owned()]);
    Ok(Serving { records, files: Files { session: None, telling, known, artifacts }, guard })
}

/// The connection for the records. `with` makes of them what answers the kernel, and `prepare` is called before the first
/// request is answered.
fn start_records<F: Filesystem, T>(
    vault: Vault,
    path: &Path,
    options: MountOptions,
    files: Option<Arc<ArtifactsFs>>,
    with: impl FnOnce(VaultFs) -> F,
    prepare: impl FnOnce(Notifier, OwnedFd) -> io::Result<T>,
) -> Result<(Records, T), MountError> {
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
        Some(dir) if options.mounts_inside() => dir.as_os_str().to_owned(),
        _ => server::this_process().into(),
    };
    let tree = if options.read_only {
        Tree::new(vault)
    } else {
        let dir = vault.dir().map(Path::to_owned);
        Tree::writable(vault, dir.as_deref())?
    };
    let fs = with(VaultFs::new(tree, inodes, invalidator.clone(), owner, files));
    let terms = Terms {
        source: &name,
        // The helper of those who are not root would find no writable directory there to mount `artifacts/` on. It makes
        // no difference: what is refused by the kernel then is refused by us now.
        read_only: options.read_only && (is_root() || !options.mounts_inside()),
        allow_other: options.allow_other,
        check_permissions: true,
    };
    let threads = if options.mounts_inside() { threads() } else { threads() + THREADS_TOGETHER };
    let subscriber: Arc<dyn Subscriber> = Arc::new(invalidator);
    // Before the first request is answered, so that no change is missed.
    source.subscribe(&subscriber)?;
    let (session, device) = open(fs, path, &terms, threads)?;
    let serve = || {
        let prepared = prepare(session.notifier(), device)?;
        let notifying = jobs.start(session.notifier())?;
        Ok((without_signals(|| session.spawn())?, notifying, prepared))
    };
    let (session, notifying, prepared) = or_take_away(path, serve())?;
    artifacts::read_ahead(path);
    Ok((Records { session, notifying, subscriber }, prepared))
}

/// The connection for `artifacts/`.
fn start_files(artifacts: Arc<Artifacts>, path: &Path, options: MountOptions) -> Result<Files, MountError> {
    let failed = |source| MountError::Io { path: path.to_owned(), source };
    let sharing = Sharing::Alone;
    let (fs, cell) = ArtifactsFs::new(Arc::clone(&artifacts), sharing, options.read_only).map_err(failed)?;
    let known = fs.known();
    let process = server::this_process();
    let terms = Terms {
        source: OsStr::new(&process),
        read_only: options.read_only,
        allow_other: options.allow_other,
        // Root may do everything, and nobody else can look in. Each check that the kernel makes of a directory that has
        // changed costs a question.
        check_permissions: options.allow_other || !is_root(),
    };
    let (session, device) = open(fs, path, &terms, threads())?;
    let _ = cell.set(session.notifier());
    let serve = || {
        let telling = Telling::start(&artifacts, (&known, sharing), path, session.notifier(), device)?;
        Ok((without_signals(|| session.spawn())?, telling))
    };
    let (session, telling) = or_take_away(path, serve())?;
    artifacts::read_ahead(path);
    Ok(Files { session: Some(session), telling, known, artifacts })
}

impl Telling {
    /// From now on the kernel is told of what others do.
    fn start(
        artifacts: &Arc<Artifacts>,
        (known, sharing): (&Arc<Known>, Sharing),
        path: &Path,
        notifier: Notifier,
        device: OwnedFd,
    ) -> io::Result<Self> {
        let known = Arc::downgrade(known);
        let (invalidator, jobs) = artifacts::Invalidator::new(Arc::clone(artifacts), Weak::clone(&known), sharing);
        let teller = invalidator.clone();
        let mount = Place::of(path.to_owned())?;
        let teller_of_names = notifier.clone();
        let watcher: Watcher = Arc::new(KernelWatch { invalidator, known, sharing, notifier, mount });
        artifacts.watch(&watcher);
        Ok(Self { teller, thread: jobs.start(teller_of_names, device)?, _watcher: watcher })
    }

    fn end(self) {
        self.teller.close();
        let _ = self.thread.join();
    }
}

/// Mounts, and agrees with the kernel on how to talk. Gives the open device, too, for what `fuser` cannot say.
fn open<F: Filesystem>(
    fs: F,
    path: &Path,
    terms: &Terms<'_>,
    threads: usize,
) -> Result<(Session<F>, OwnedFd), MountError> {
    let device = connect(path, terms)?;
    let begin = || {
        let copy = device.try_clone()?;
        // The kernel keeps others out, if they are to be kept out, before it asks us.
        Ok((Session::from_fd(fs, device, SessionACL::All, config(threads))?, copy))
    };
    or_take_away(path, begin())
}

/// What cannot be served does not stay mounted.
fn or_take_away<T>(path: &Path, begun: io::Result<T>) -> Result<T, MountError> {
    begun.map_err(|source| {
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

fn threads() -> usize {
    let processors = thread::available_parallelism().map_or(THREADS.0, NonZeroUsize::get);
    processors.clamp(THREADS.0, THREADS.1)
}

fn config(threads: usize) -> Config {
    let mut config = Config::default();
    config.acl = SessionACL::All;
    config.n_threads = Some(threads);
    config.clone_fd = true;
    config
}

impl Mounted {
    /// Where the vault is mounted.
    #[must_use]
    pub fn mountpoint(&self) -> &Path {
        &self.mountpoint
    }

    /// Waits until somebody unmounts the vault, with [`Mounted::unmount`], [`crate::umount`], `fusermount3 -u` or `umount`.
    /// When this returns, everything that was written is on disk.
    ///
    /// # Errors
    /// When serving it failed, or what was written last could not be stored; [`MountError::Ended`] says so to whoever is
    /// not the first to be told.
    pub fn wait(&self) -> Result<(), MountError> {
        let mut phase = self.phase();
        match std::mem::replace(&mut *phase, Phase::Ending) {
            Phase::Serving(serving) => {
                drop(phase);
                self.end(*serving)
            }
            other => {
                *phase = other;
                self.until_ended(phase)
            }
        }
    }

    /// Unmounts the vault. When this returns, it is gone from there, everything that was written is on disk, and nothing of
    /// it is open here. After an error it is still mounted.
    ///
    /// # Errors
    /// As [`crate::umount`], and those of [`Mounted::wait`]. That it is unmounted already is none.
    pub fn unmount(&self) -> Result<(), MountError> {
        let _unmounting = self.unmounting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut phase = self.phase();
        match std::mem::replace(&mut *phase, Phase::Ending) {
            Phase::Serving(serving) => {
                if !serving.records.session.guard.is_finished() {
                    match unmount_path(&self.mountpoint) {
                        Ok(()) | Err(MountError::NotMounted { .. }) => {}
                        Err(error) => {
                            *phase = Phase::Serving(serving);
                            return Err(error);
                        }
                    }
                }
                drop(phase);
                self.end(*serving)
            }
            Phase::Ending => {
                drop(phase);
                match umount(&self.mountpoint) {
                    Ok(()) | Err(MountError::NotMounted { .. }) => self.until_ended(self.phase()),
                    Err(error) => Err(error),
                }
            }
            // Whatever is mounted there by now is not ours.
            Phase::Gone => {
                *phase = Phase::Gone;
                self.until_ended(phase)
            }
            Phase::Ended(why) => {
                *phase = Phase::Ended(why);
                Ok(())
            }
        }
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends what serves the mount, once that is gone, and tells all who wait for it.
    fn end(&self, serving: Serving) -> Result<(), MountError> {
        let ended = serving.end(&self.mountpoint, || *self.phase() = Phase::Gone);
        *self.phase() = Phase::Ended(ended.as_ref().err().map(ToString::to_string));
        self.ended.notify_all();
        ended
    }

    fn until_ended(&self, phase: MutexGuard<'_, Phase>) -> Result<(), MountError> {
        let ending = |phase: &mut Phase| !matches!(phase, Phase::Ended(_));
        let phase = self.ended.wait_while(phase, ending).unwrap_or_else(PoisonError::into_inner);
        match &*phase {
            Phase::Ended(Some(detail)) => {
                Err(MountError::Ended { path: self.mountpoint.clone(), detail: detail.clone() })
            }
            _ => Ok(()),
        }
    }
}

impl Serving {
    /// Waits until the last requests are answered, tells that the mount is gone, writes everything out, and lets go of the vault.
    fn end(self, mountpoint: &Path, gone: impl FnOnce()) -> Result<(), MountError> {
        let Self { records, files, guard } = self;
        let failed = |path: PathBuf| move |source| MountError::Io { path, source };
        let files_path = mountpoint.join(ARTIFACTS);
        let files_served = files.session.map_or(Ok(()), BackgroundSession::join);
        // Without a connection of their own, files are served as long as records are.
        let served = records.session.join();
        gone();
        files.telling.end();
        drop(guard);
        // The kernel tells of nothing that it forgets any more.
        files.known.forget_all();
        let written = files.artifacts.commit(Durability::Sync);
        drop(files.artifacts);
        // The thread ends when the last who could send it something is gone.
        drop(records.subscriber);
        let _ = records.notifying.join();
        tracing::info!(target: "mirrordna::mount", mountpoint = %mountpoint.display(), "unmounted");
        written.map_err(|source| MountError::Files { path: files_path.clone(), source })?;
        files_served.map_err(failed(files_path))?;
        served.map_err(failed(mountpoint.to_owned()))
    }
}

impl Records {
    /// Waits until the last request is answered.
    fn end(self) -> io::Result<()> {
        let ended = self.session.join();
        drop(self.subscriber);
        let _ = self.notifying.join();
        ended
    }
}

impl Mounted {
    /// Stores what was written so far. Who still uses the mount goes on, but this program may end with nobody left to store it.
    fn store(&self) {
        let phase = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        if let Phase::Serving(serving) = &*phase
            && let Err(error) = serving.files.artifacts.commit(Durability::Sync)
        {
            tracing::error!(target: "mirrordna::mount", mountpoint = %self.mountpoint.display(), %error, "what was written is not stored");
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        match self.unmount() {
            Ok(()) => {}
            Err(MountError::Busy { path, users }) => {
                tracing::warn!(target: "mirrordna::mount", mountpoint = %path.display(), ?users, "unmounted while in use");
                if let Phase::Serving(serving) = &*self.phase() {
                    serving.files.artifacts.write_back_all();
                }
                if let Err(error) = detach(&path) {
                    tracing::error!(target: "mirrordna::mount", %error, "cannot be unmounted");
                }
                self.store();
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
