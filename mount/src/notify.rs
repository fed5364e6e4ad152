//! Dropping from the kernel's caches what a change touched, before the call that made the change returns.
//!
//! The kernel takes the lock of a directory to drop one of its entries, and a look-up holds that lock until it is answered.
//! So a thread of its own speaks to the kernel: a thread that answers requests could wait for itself. Such a thread must
//! not wait for a commit either.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fuser::{INodeNo, Notifier};
use mirrordna::storage::{Changed, Subscriber};
use mirrordna::tree::{Affected, Tree};

use crate::inodes::Inodes;

/// How long a commit waits for the kernel. Much longer than any request takes to be answered; when it passes, something is
/// wrong with the mount, which must not stop the vault.
const PATIENCE: Duration = Duration::from_secs(10);

/// No file has this name. To drop it from a directory waits for the look-ups in it that are under way.
const NOBODY: &str = "\u{1}";

/// What the kernel is to drop.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Drop {
    /// A name, or that it is not there.
    Entry { parent: INodeNo, name: String },
    /// Attributes and pages; of a directory its listing.
    Inode(INodeNo),
    /// Nothing: the look-ups in a directory that began before the change are to be answered first. An inode that one of them
    /// brings to the kernel would have old attributes, and dropping those must come after.
    Barrier(INodeNo),
}

/// Work for the thread.
enum Job {
    Drop(Vec<Drop>, SyncSender<()>),
    /// A listing that began before a change went on after it, and may have been cached.
    Outdated(INodeNo),
}

/// Where the thread takes its work from.
pub(crate) struct Jobs(Receiver<Job>);

/// Tells the thread what to drop.
#[derive(Clone)]
pub(crate) struct Invalidator {
    inodes: Arc<Inodes>,
    jobs: Sender<Job>,
}

impl Invalidator {
    pub(crate) fn new(inodes: Arc<Inodes>) -> (Self, Jobs) {
        let (jobs, receiver) = channel();
        (Self { inodes, jobs }, Jobs(receiver))
    }

    /// The kernel may have cached an outdated part of a listing.
    pub(crate) fn outdated(&self, directory: INodeNo) {
        // Without a thread there is no mount any more.
        let _ = self.jobs.send(Job::Outdated(directory));
    }

    /// What the kernel has to drop, each thing once: only what it knows.
    fn drops(&self, changes: &[Changed]) -> Vec<Drop> {
        let (mut drops, mut seen) = (Vec::new(), HashSet::new());
        let mut add = |drop: Drop| {
            if seen.insert(drop.clone()) {
                drops.push(drop);
            }
        };
        for affected in changes.iter().flat_map(Tree::affected) {
            match affected {
                Affected::Entry { parent, name } => {
                    if let Some(parent) = self.inodes.known(&parent) {
                        add(Drop::Entry { parent, name });
                    }
                }
                Affected::Node { parent, node } => {
                    let Some(number) = self.inodes.known(&node) else { continue };
                    if let Some(parent) = self.inodes.known(&parent) {
                        add(Drop::Barrier(parent));
                    }
                    add(Drop::Inode(number));
                }
            }
        }
        // All barriers and entries first: they are what waits.
        drops.sort_by_key(|drop| matches!(drop, Drop::Inode(_)));
        drops
    }
}

impl Subscriber for Invalidator {
    fn changed(&self, changes: &[Changed]) {
        let drops = self.drops(changes);
        if drops.is_empty() {
            return;
        }
        let count = drops.len();
        let (done, acknowledged) = sync_channel(1);
        if self.jobs.send(Job::Drop(drops, done)).is_err() {
            return;
        }
        if acknowledged.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            tracing::error!(
                target: "mirrordna::mount",
                count,
                "the kernel did not drop from its caches what changed; the mount may show old content for a while"
            );
        }
    }
}

impl Jobs {
    /// Starts the thread. It ends when all of its [`Invalidator`]s are gone.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(self, notifier: Notifier) -> io::Result<JoinHandle<()>> {
        thread::Builder::new().name("mirrordna-notify".to_owned()).spawn(move || {
            for job in self.0 {
                match job {
                    Job::Drop(drops, done) => {
                        for drop in &drops {
                            tell(&notifier, drop);
                        }
                        // Who asked may have lost patience.
                        let _ = done.try_send(());
                    }
                    Job::Outdated(directory) => tell(&notifier, &Drop::Inode(directory)),
                }
            }
        })
    }
}

fn tell(notifier: &Notifier, drop: &Drop) {
    let told = match drop {
        Drop::Entry { parent, name } => notifier.inval_entry(*parent, OsStr::new(name)),
        Drop::Inode(number) => notifier.inval_inode(*number, 0, 0),
        Drop::Barrier(parent) => notifier.inval_entry(*parent, OsStr::new(NOBODY)),
    };
    if let Err(error) = told {
        // Unmounted: there is nothing left to be dropped. A directory in use as a mount point or gone already is no harm.
        tracing::debug!(target: "mirrordna::mount", ?drop, %error, "the kernel refused to drop from its caches");
    }
}
