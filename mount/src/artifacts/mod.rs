//! `artifacts/`, where ordinary files are: a second connection to the kernel, mounted inside the first.
//!
//! It is a connection of its own because the kernel treats it otherwise: here it collects what is written and keeps sizes
//! and times itself (write-back), and it asks for no opening and closing, since each question costs a fifth of a
//! millisecond. Who cannot mount inside a mount has the files on the connection of the records, slower
//! ([`crate::router`]). What the files are is decided by [`mirrordna::artifacts`]; `requests` and `changes` translate, `translate`
//! says what both sides call things, `known` counts what the kernel knows, `workers` does what may take long, `watcher` has the
//! kernel write and drop what others work on, `notify` tells it of their changes, and `listings` drops listings that would mix old
//! and new.

mod changes;
mod known;
mod listings;
mod notify;
pub(crate) mod requests;
pub(crate) mod translate;
mod watcher;
mod workers;

pub(crate) use known::Known;
pub(crate) use notify::Invalidator;
pub(crate) use watcher::{KernelWatch, Place};

use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fuser::{Errno, FileAttr, Generation, INodeNo, Notifier, ReplyEntry};
use mirrordna::artifacts::{Artifacts, Attributes, FileType, FsError, Ino, ROOT};

use crate::connection::REQUEST;
use crate::errno;
use crate::fs::Answer;
use listings::Listings;
use workers::Workers;

/// How long the kernel keeps what it is told: until it is told otherwise.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 24 * 3_600);

/// What the number of a file begins with on the connection of the records. Numbers of records are smaller.
const FILE: u64 = 1 << 62;

/// On which connection files are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// On one of their own.
    Alone,
    /// On that of the records.
    WithRecords,
}

impl Sharing {
    /// The number by which the kernel knows a file.
    fn number(self, ino: Ino) -> INodeNo {
        match self {
            Self::Alone => INodeNo(ino),
            Self::WithRecords => INodeNo(ino | FILE),
        }
    }
}

/// Whether a number on the connection of the records is that of a file.
pub(crate) fn is_artifact(number: INodeNo) -> bool {
    number.0 & FILE != 0
}

/// The number of `artifacts/` on the connection of the records.
pub(crate) fn root_number() -> INodeNo {
    Sharing::WithRecords.number(ROOT)
}

/// The files of `artifacts/`, as the kernel asks for them.
pub(crate) struct ArtifactsFs {
    artifacts: Arc<Artifacts>,
    known: Arc<Known>,
    listings: Listings,
    workers: Workers,
    notifier: Arc<OnceLock<Notifier>>,
    sharing: Sharing,
    read_only: bool,
}

impl ArtifactsFs {
    /// The adapter, and the cell for what speaks to the kernel once there is a connection.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub(crate) fn new(
        artifacts: Arc<Artifacts>,
        sharing: Sharing,
        read_only: bool,
    ) -> std::io::Result<(Self, Arc<OnceLock<Notifier>>)> {
        let notifier = Arc::new(OnceLock::new());
        let workers = Workers::start()?;
        let known = Arc::new(Known::new(Arc::clone(&artifacts)));
        let fs = Self {
            artifacts,
            known,
            listings: Listings::default(),
            workers,
            notifier: Arc::clone(&notifier),
            sharing,
            read_only,
        };
        Ok((fs, notifier))
    }

    /// What the kernel knows through this connection, for when that ends.
    pub(crate) fn known(&self) -> Arc<Known> {
        Arc::clone(&self.known)
    }

    /// Whether this mount may change anything.
    fn writable(&self) -> Answer<()> {
        if self.read_only { Err(Errno::EROFS) } else { Ok(()) }
    }

    /// Names of a directory have changed. To be called before that is answered.
    fn names_changed(&self, directory: INodeNo) {
        self.listings.changed(directory, self.notifier.get());
    }

    /// The file that the kernel means.
    fn ino(&self, number: INodeNo) -> Ino {
        match self.sharing {
            Sharing::Alone => number.0,
            Sharing::WithRecords => number.0 & !FILE,
        }
    }

    fn attr(&self, attributes: &Attributes) -> FileAttr {
        FileAttr { ino: self.sharing.number(attributes.ino), ..translate::attr(attributes) }
    }

    /// Works on the file whose content the kernel means: the one that it knows, and not what that was replaced by, also when that
    /// happens while this waits for a restore.
    fn on_current<T>(&self, number: INodeNo, work: impl FnOnce(Ino) -> Answer<T>) -> Answer<T> {
        let _entered = self.artifacts.enter();
        let ino = self.ino(number);
        self.known.check_current(ino).map_err(|error| refuse(number, &error))?;
        work(ino)
    }

    /// The attributes of `artifacts/`, and how long they may be kept.
    pub(crate) fn root(&self) -> Answer<(FileAttr, Duration)> {
        let found = self.artifacts.attributes(ROOT).map_err(|error| refuse(INodeNo(ROOT), &error))?;
        Ok((self.attr(&found), FOR_EVER))
    }

    /// Answers with a node, which the kernel knows from now on.
    fn entry(&self, found: &Attributes, reply: ReplyEntry) {
        self.known.told(found.ino);
        match self.newest(found) {
            Ok((attr, generation)) => reply.entry(&FOR_EVER, &attr, generation),
            Err(errno) => {
                self.known.forgotten(found.ino, 1);
                reply.error(errno);
            }
        }
    }

    /// The generation of a node, and attributes that are not older: the kernel keeps the size that it is told with one.
    fn newest(&self, found: &Attributes) -> Answer<(FileAttr, Generation)> {
        let generation = self.known.generation(found);
        let newest = match found.file_type {
            FileType::Regular => self.artifacts.attributes(found.ino),
            _ => Ok(*found),
        };
        let newest = newest.map_err(|error| refuse(self.sharing.number(found.ino), &error))?;
        Ok((self.attr(&newest), generation))
    }
}

/// Has the kernel read as much ahead as it asks for at a time. Only root may; for others it stays at 128 KiB.
pub(crate) fn read_ahead(point: &Path) {
    let set = || -> std::io::Result<()> {
        let device = rustix::fs::stat(point)?.st_dev;
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        let setting = format!("/sys/class/bdi/{major}:{minor}/read_ahead_kb");
        // Not created where the kernel has none.
        std::fs::OpenOptions::new().write(true).open(setting)?.write_all((REQUEST / 1_024).to_string().as_bytes())
    };
    if let Err(error) = set() {
        tracing::debug!(target: "mirrordna::mount", %error, "the kernel reads no more ahead than it does by itself");
    }
}

/// The number of an error, which is logged when it is one that nobody expects.
fn refuse(ino: INodeNo, error: &FsError) -> Errno {
    let errno = errno::artifact(error);
    if errno == Errno::EIO {
        tracing::error!(target: "mirrordna::mount", ino = ino.0, %error, "artifacts cannot be read or written");
    } else {
        tracing::trace!(target: "mirrordna::mount", ino = ino.0, %error, "refused");
    }
    errno
}
