//! What the kernel is told of its own accord: to drop what was changed from elsewhere, and to write back what it holds
//! before it is told where the holes of a file are.
//!
//! As with the records, a thread of its own tells of changes: the kernel takes the lock of a directory for it, which it may
//! hold for a request that waits for an answer.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fuser::{INodeNo, Notifier};
use mirrordna::artifacts::{Artifacts, FileType, FsError, Ino, Invalidation, ROOT, Seek};
use mirrordna::threads::without_signals;

use super::{Known, Sharing};

/// How long a change waits for the kernel.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// The notification that all names are to be looked up again, which `fuser` does not know. Linux 6.16 and newer do.
const EVERY_NAME: i32 = 8;
/// The length of a notification without a body.
const HEADER_BYTES: u32 = 16;

/// Something to be told, and who waits for it.
type Job = (Vec<Invalidation>, SyncSender<()>);

/// Where the thread takes its work from.
pub(crate) struct Jobs {
    received: Receiver<Job>,
    artifacts: Arc<Artifacts>,
    known: Weak<Known>,
    sharing: Sharing,
}

/// Tells the thread what was changed from elsewhere. To be called when the change can be seen, without a lock held.
#[derive(Clone)]
pub(crate) struct Invalidator(Arc<Mutex<Option<Sender<Job>>>>);

impl Invalidator {
    pub(crate) fn new(artifacts: Arc<Artifacts>, known: Weak<Known>, sharing: Sharing) -> (Self, Jobs) {
        let (sender, jobs) = channel();
        (Self(Arc::new(Mutex::new(Some(sender)))), Jobs { received: jobs, artifacts, known, sharing })
    }

    /// The mount is gone: nothing is to be told any more, and the thread ends.
    pub(crate) fn close(&self) {
        self.sender().take();
    }

    /// Whether the mount is gone.
    pub(super) fn is_closed(&self) -> bool {
        self.sender().is_none()
    }

    /// Returns when the kernel has dropped it all.
    pub(crate) fn changed(&self, changes: &[Invalidation]) {
        let Some(sender) = self.sender().clone() else { return };
        let (done, acknowledged) = sync_channel(1);
        if sender.send((changes.to_vec(), done)).is_ok()
            && acknowledged.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout)
        {
            tracing::error!(
                target: "mirrordna::mount",
                waiting = changes.len(),
                "the kernel did not drop from its caches what changed; artifacts may show old content for a while"
            );
        }
    }
}

impl Invalidator {
    fn sender(&self) -> MutexGuard<'_, Option<Sender<Job>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Jobs {
    /// Starts the thread. It ends with [`Invalidator::close`].
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(self, notifier: Notifier, device: OwnedFd) -> io::Result<JoinHandle<()>> {
        let mut kernel = Kernel { notifier, device: File::from(device) };
        let work = move || {
            for (changes, done) in &self.received {
                self.tell(&mut kernel, &changes);
                // Who asked may have lost patience.
                let _ = done.try_send(());
            }
        };
        without_signals(|| thread::Builder::new().name("mirrordna-notify-artifacts".to_owned()).spawn(work))
    }

    fn tell(&self, kernel: &mut Kernel, changes: &[Invalidation]) {
        let Some(known) = self.known.upgrade() else { return };
        // New generations first: a look-up from now on makes a new file of it.
        for change in changes {
            match change {
                Invalidation::All => known.all_changed(),
                Invalidation::Inode(ino) if self.is_file(*ino) => known.changed(*ino),
                Invalidation::Inode(_) | Invalidation::Replaced(_) | Invalidation::Name(..) => {}
            }
        }
        // Names next: dropping one waits for the look-ups in its directory that are under way.
        for change in changes {
            match change {
                Invalidation::All => self.drop_every_name(kernel),
                Invalidation::Name(parent, name) => kernel.drop_name(self.sharing.number(*parent), name),
                Invalidation::Inode(_) | Invalidation::Replaced(_) => {}
            }
        }
        for change in changes {
            match change {
                Invalidation::All => kernel.drop_inode(self.sharing.number(ROOT)),
                Invalidation::Inode(ino) | Invalidation::Replaced(ino) => kernel.drop_inode(self.sharing.number(*ino)),
                Invalidation::Name(..) => {}
            }
        }
    }

    /// Whether the kernel keeps the size and times of this file itself.
    fn is_file(&self, ino: u64) -> bool {
        self.artifacts.attributes(ino).is_ok_and(|attributes| attributes.file_type == FileType::Regular)
    }

    fn drop_every_name(&self, kernel: &mut Kernel) {
        let Err(error) = kernel.drop_every_name() else { return };
        tracing::debug!(target: "mirrordna::mount", %error, "this kernel cannot drop every name; those at the top are");
        let mut names = Vec::new();
        let listed = self.artifacts.list(ROOT, 0, &mut |entry| {
            names.push(entry.name.to_vec());
            true
        });
        if let Err(error) = listed {
            tracing::error!(target: "mirrordna::mount", %error, "artifacts cannot be listed, so old names may stay");
        }
        for name in names {
            kernel.drop_name(self.sharing.number(ROOT), &name);
        }
    }
}

/// The connection, from the side of who has something to tell.
struct Kernel {
    notifier: Notifier,
    device: File,
}

impl Kernel {
    fn drop_name(&self, parent: INodeNo, name: &[u8]) {
        let told = self.notifier.inval_entry(parent, OsStr::from_bytes(name));
        log(told, "a name");
    }

    fn drop_inode(&self, number: INodeNo) {
        log(self.notifier.inval_inode(number, 0, 0), "an inode");
    }

    fn drop_every_name(&mut self) -> io::Result<()> {
        let mut message = Vec::with_capacity(HEADER_BYTES as usize);
        message.extend(HEADER_BYTES.to_ne_bytes());
        message.extend(EVERY_NAME.to_ne_bytes());
        // The number of the request that it answers: none.
        message.extend(0_u64.to_ne_bytes());
        self.device.write_all(&message)
    }
}

fn log(told: io::Result<()>, what: &str) {
    if let Err(error) = told {
        // Unmounted, or not known to the kernel (any more).
        tracing::debug!(target: "mirrordna::mount", what, %error, "the kernel refused to drop from its caches");
    }
}

/// The place in a file where data or a hole begins, as the program sees it that asks.
///
/// The kernel may hold data for what is a hole here, and asks nevertheless. It writes back what lies in a range that it is
/// told to drop, so the hole that the answer depends on is dropped first, by `settle`. No other range is: that the kernel holds more of
/// what is data here changes nothing.
pub(super) fn seek(
    artifacts: &Artifacts,
    ino: Ino,
    offset: u64,
    what: Seek,
    settle: impl Fn(u64, Option<u64>),
) -> Result<u64, FsError> {
    match what {
        Seek::Data => match artifacts.seek(ino, offset, Seek::Data) {
            Ok(data) if data == offset => Ok(data),
            Ok(data) => {
                settle(offset, Some(data));
                artifacts.seek(ino, offset, Seek::Data)
            }
            Err(FsError::BeyondEnd) => {
                settle(offset, None);
                artifacts.seek(ino, offset, Seek::Data)
            }
            Err(error) => Err(error),
        },
        Seek::Hole => {
            let mut hole = match artifacts.seek(ino, offset, Seek::Hole) {
                Err(FsError::BeyondEnd) => offset,
                other => other?,
            };
            loop {
                settle(hole, artifacts.seek(ino, hole, Seek::Data).ok());
                let now = artifacts.seek(ino, offset, Seek::Hole)?;
                if now == hole {
                    return Ok(now);
                }
                hole = now;
            }
        }
    }
}

/// Has the kernel write back and drop what it holds of a range of a file, which without an end goes on to the file's.
pub(super) fn drop_pages(notifier: &Notifier, ino: INodeNo, start: u64, end: Option<u64>) {
    // A length of 0 means all that follows.
    let length = end.map_or(Ok(0), |end| i64::try_from(end.saturating_sub(start)));
    let (Ok(start), Ok(length)) = (i64::try_from(start), length) else { return };
    if let Err(error) = notifier.inval_inode(ino, start, length) {
        tracing::debug!(target: "mirrordna::mount", ino = ino.0, %error, "the kernel refused to write back");
    }
}
