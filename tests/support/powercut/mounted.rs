//! The handle that a test holds on a mounted file system.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use fuser::{BackgroundSession, Config, MountOption};

use super::power::{Counts, Losses, Power};
use super::serve::Server;
use super::{Loss, Options};

/// How long the end of a session is waited for. It ends when the last open file on it is closed; if a process holds one
/// for longer, its requests go on to fail with `EIO` and the thread that says so is left behind.
const PATIENCE: Duration = Duration::from_secs(2);

/// A mounted file system with a power switch. Dropping it unmounts it, files open or not.
///
/// A mount point in a `TempDir` must outlive it: declare the `TempDir` first.
#[derive(Debug)]
pub(crate) struct Mounted {
    /// Where it is mounted, absolute.
    mountpoint: PathBuf,
    /// The file system.
    power: Arc<Mutex<Power>>,
    /// The threads that serve it; taken when it is unmounted.
    session: Option<BackgroundSession>,
}

impl Mounted {
    /// Mounts an empty file system.
    pub(super) fn new(mountpoint: &Path, options: Options) -> io::Result<Self> {
        let mountpoint = mountpoint.canonicalize()?;
        let power = Arc::new(Mutex::new(Power::new(options)));
        let mut config = Config::default();
        config.mount_options = vec![
            MountOption::FSName("powercut".into()),
            // The kernel checks permissions, so that `World` need not.
            MountOption::DefaultPermissions,
            MountOption::NoDev,
            MountOption::NoSuid,
            MountOption::NoAtime,
        ];
        let session = fuser::spawn_mount(Server::new(Arc::clone(&power)), &mountpoint, &config)?;
        Ok(Self { mountpoint, power, session: Some(session) })
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> &Path {
        &self.mountpoint
    }

    /// Cuts the power in the way of [`Options::loss`]: from now on every request fails with `EIO`, and what is not on the
    /// disk is lost. The same seed and the same history give the same disk. A second cut does nothing.
    pub(crate) fn cut(&self, seed: u64) {
        let mut power = self.power();
        let loss = power.options().loss;
        power.cut(loss, seed);
    }

    /// Cuts the power in a way of its own.
    pub(crate) fn cut_with(&self, loss: Loss, seed: u64) {
        self.power().cut(loss, seed);
    }

    /// Cuts the power at the `operations`-th operation from now (the next one is the first; see [`Counts::operations`]
    /// for what counts). That operation fails with `EIO`: if it is a sync it has no effect, if it is a change it may
    /// reach the disk or not, as any other that was not synced. Replaces an earlier order.
    pub(crate) fn cut_after(&self, operations: u64, seed: u64) {
        self.power().cut_after(operations, seed);
    }

    /// Whether the power is off.
    pub(crate) fn is_cut(&self) -> bool {
        self.power().image().is_some()
    }

    /// Waits until the power is off, at most this long, and says whether it is.
    pub(crate) fn wait_cut(&self, timeout: Duration) -> bool {
        wait_until(timeout, || self.is_cut())
    }

    /// What the file system has seen since it was mounted.
    pub(crate) fn counts(&self) -> Counts {
        self.power().counts()
    }

    /// What the last cut took; `None` if there was none.
    pub(crate) fn losses(&self) -> Option<Losses> {
        self.power().losses()
    }

    /// Makes everything durable, also with [`Fsync::Ignored`](super::Fsync::Ignored): the start of a test that wants a
    /// known state on the disk.
    ///
    /// # Errors
    /// If the power is off.
    pub(crate) fn sync_all(&self) -> io::Result<()> {
        self.power().sync_all().map_err(|errno| io::Error::from_raw_os_error(errno.into()))
    }

    /// Writes what is on the disk after a cut into the directory `dest`, which must be empty or not exist yet.
    ///
    /// # Errors
    /// If the power is still on, or what writing says.
    pub(crate) fn materialise(&self, dest: &Path) -> io::Result<()> {
        // The lock is not held while writing: `dest` could be on this very mount, and its answer would wait for us.
        let image = self.power().image();
        image.ok_or_else(|| io::Error::other("the power is still on"))?.materialise(dest)
    }

    /// Switches the power on again after a cut: what is on the disk is there under the same mount point. Files opened
    /// before the cut stay dead (`ESTALE`), but a process from before could open new ones: kill it first.
    pub(crate) fn power_on(&self) {
        self.power().power_on();
    }

    /// The shared state. That a thread panicked with it in hand must not keep others from unmounting.
    fn power(&self) -> MutexGuard<'_, Power> {
        self.power.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Whoever still uses the mount gets errors from here on.
        self.power().cut(Loss::DropAll, 0);
        let Some(session) = self.session.take() else { return };
        // Lazily, because a plain unmount (what fuser does) refuses while a file is open, which is just the case when a
        // test panics. If the helper fails the session still tries.
        let unmounted = Command::new("fusermount3")
            .args(["-u", "-z", "-q", "--"])
            .arg(&self.mountpoint)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if unmounted && !wait_until(PATIENCE, || session.guard.is_finished()) {
            eprintln!("powercut: a process still has files open on {}", self.mountpoint.display());
        }
        // Unmounts if nothing else did. It does not join: the thread has ended or waits for someone else's file.
        drop(session);
    }
}

/// Asks until the answer is yes, at most this long, and says whether it was.
fn wait_until(timeout: Duration, mut done: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + timeout;
    while !done() {
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(1));
    }
    true
}
