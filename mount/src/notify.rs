//! Dropping from the kernel's caches what a change touched.
//!
//! The kernel takes the lock of a directory to drop one of its entries, and a request that makes, renames or removes a name
//! there holds that lock until it is answered. To drop pages it takes their locks, which a read holds until it is answered.
//! So whoever answers requests must never wait for the kernel, and two threads of their own speak to it:
//!
//! - *entries* drops names. It may have to wait for any request on the directory, and those for a commit.
//! - *inodes* drops attributes, pages and listings. It waits for reads alone, and they for nobody.
//!
//! What a change touched goes through the first one and then the second. A call outside the mount waits until both are done
//! (`settle`), having let go of everything that requests could wait for. A request does not wait: it is answered by the
//! second thread, once the content that it changed is dropped; the kernel itself sees to the names that it asked to change.

use std::collections::{HashSet, VecDeque};
use std::ffi::OsStr;
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fuser::{INodeNo, Notifier};
use mirrordna::storage::{Changed, Sequence, Subscriber};
use mirrordna::threads::without_signals;
use mirrordna::tree::{Affected, Tree};

use crate::inodes::Inodes;

/// How long a commit waits for the kernel. Much longer than any request takes to be answered; when it passes, something is
/// wrong with the mount, which must not stop the vault.
const PATIENCE: Duration = Duration::from_secs(10);

/// No file has this name. To drop it from a directory waits for the look-ups in it that are under way.
const NOBODY: &str = "\u{1}";

/// At most this many jobs are done together.
const TOGETHER: usize = 256;

/// What the first thread drops: what needs the lock of a directory.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Drop {
    /// A name, or that it is not there.
    Entry { parent: INodeNo, name: String },
    /// Nothing: the look-ups in a directory that began before the change are to be answered first. An inode that one of them
    /// brings to the kernel would have old attributes, and dropping those must come after.
    Barrier(INodeNo),
}

/// What a change touched, as far as the kernel knows it.
#[derive(Default)]
struct Job {
    drops: Vec<Drop>,
    inodes: Vec<INodeNo>,
    /// For how many calls of [`Subscriber::changed`] it is.
    calls: usize,
}

/// Answers a request.
type Answer = Box<dyn FnOnce() + Send>;

/// Work for the second thread.
struct Second {
    inodes: Vec<INodeNo>,
    /// How many calls of [`Subscriber::changed`] are done with it.
    calls: usize,
    then: Option<Answer>,
}

/// The first change of each call of [`Subscriber::changed`] that is not done, in order.
#[derive(Default)]
struct Pending(Mutex<VecDeque<Sequence>>, Condvar);

impl Pending {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Sequence>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn done(&self, calls: usize) {
        if calls > 0 {
            self.lock().drain(..calls);
            self.1.notify_all();
        }
    }
}

/// Where the threads take their work from.
pub(crate) struct Jobs {
    entries: Receiver<Job>,
    inodes: Receiver<Second>,
    pending: Arc<Pending>,
    to_inodes: Sender<Second>,
}

/// Tells the threads what to drop.
#[derive(Clone)]
pub(crate) struct Invalidator {
    known: Arc<Inodes>,
    entries: Sender<Job>,
    inodes: Sender<Second>,
    pending: Arc<Pending>,
}

impl Invalidator {
    pub(crate) fn new(known: Arc<Inodes>) -> (Self, Jobs) {
        let (to_entries, entries) = channel();
        let (to_inodes, inodes) = channel();
        let pending = Arc::new(Pending::default());
        let jobs = Jobs { entries, inodes, pending: Arc::clone(&pending), to_inodes: to_inodes.clone() };
        (Self { known, entries: to_entries, inodes: to_inodes, pending }, jobs)
    }

    /// The kernel may have cached an outdated part of a listing.
    pub(crate) fn outdated(&self, directory: INodeNo) {
        // Without threads there is no mount any more.
        let _ = self.inodes.send(Second { inodes: vec![directory], calls: 0, then: None });
    }

    /// Drops what a request changed, and then answers it.
    pub(crate) fn answer(&self, effects: &mirrordna::tree::Effects, answer: impl FnOnce() + Send + 'static) {
        if !effects.later.is_empty() {
            let _ = self.entries.send(self.job(effects.later.iter().cloned()));
        }
        let inodes: Vec<_> = effects.changed.iter().filter_map(|node| self.known.known(node)).collect();
        if inodes.is_empty() {
            answer();
        } else if let Err(unsent) = self.inodes.send(Second { inodes, calls: 0, then: Some(Box::new(answer)) })
            && let Some(answer) = unsent.0.then
        {
            answer();
        }
    }

    /// What the kernel has to drop, each thing once: only what it knows.
    fn job(&self, affected: impl Iterator<Item = Affected>) -> Job {
        let mut job = Job::default();
        let mut seen = HashSet::new();
        for affected in affected {
            match affected {
                Affected::Entry { parent, name } => {
                    if let Some(parent) = self.known.known(&parent) {
                        job.drops.push(Drop::Entry { parent, name });
                    }
                }
                Affected::Node { parent, node } => {
                    let Some(number) = self.known.known(&node).filter(|number| seen.insert(*number)) else { continue };
                    if let Some(parent) = self.known.known(&parent) {
                        job.drops.push(Drop::Barrier(parent));
                    }
                    job.inodes.push(number);
                }
            }
        }
        job
    }
}

impl Subscriber for Invalidator {
    fn changed(&self, changes: &[Changed]) {
        let Some(first) = changes.first().map(|change| change.entry.sequence) else { return };
        let mut job = self.job(changes.iter().flat_map(Tree::affected));
        if job.drops.is_empty() && job.inodes.is_empty() {
            return;
        }
        job.calls = 1;
        self.pending.lock().push_back(first);
        if let Err(unsent) = self.entries.send(job) {
            self.pending.done(unsent.0.calls);
        }
    }

    fn settle(&self, upto: Sequence) {
        let waits = |pending: &mut VecDeque<Sequence>| pending.front().is_some_and(|first| *first <= upto);
        let waited = self.pending.1.wait_timeout_while(self.pending.lock(), PATIENCE, waits);
        let (pending, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            tracing::error!(
                target: "mirrordna::mount",
                waiting = pending.len(),
                "the kernel did not drop from its caches what changed; the mount may show old content for a while"
            );
        }
    }
}

impl Jobs {
    /// Starts the threads. They end when all [`Invalidator`]s are gone.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(self, notifier: Notifier) -> io::Result<JoinHandle<()>> {
        let Self { entries, inodes, pending, to_inodes } = self;
        let of_inodes = notifier.clone();
        let tell_of_inodes = move || {
            for job in inodes {
                for number in job.inodes {
                    told(&number, of_inodes.inval_inode(number, 0, 0));
                }
                pending.done(job.calls);
                if let Some(answer) = job.then {
                    answer();
                }
            }
        };
        let second = thread::Builder::new().name("mirrordna-inodes".to_owned());
        let second = without_signals(|| second.spawn(tell_of_inodes))?;
        let tell_of_entries = move || {
            while let Ok(first) = entries.recv() {
                let jobs = std::iter::once(first).chain(entries.try_iter().take(TOGETHER - 1));
                let next = drop_entries(&notifier, jobs);
                // It ends after this thread.
                let _ = to_inodes.send(next);
            }
            drop(to_inodes);
            let _ = second.join();
        };
        without_signals(|| thread::Builder::new().name("mirrordna-entries".to_owned()).spawn(tell_of_entries))
    }
}

/// Does the first part of some jobs, each thing once, and returns the second.
fn drop_entries(notifier: &Notifier, jobs: impl Iterator<Item = Job>) -> Second {
    let (mut next, mut drops) = (Second { inodes: Vec::new(), calls: 0, then: None }, HashSet::new());
    let mut inodes = HashSet::new();
    // What comes first decides nothing: all of it happened already.
    for job in jobs {
        drops.extend(job.drops);
        next.inodes.extend(job.inodes.into_iter().filter(|number| inodes.insert(*number)));
        next.calls += job.calls;
    }
    for drop in &drops {
        let (parent, name) = match drop {
            Drop::Entry { parent, name } => (*parent, name.as_str()),
            Drop::Barrier(parent) => (*parent, NOBODY),
        };
        told(drop, notifier.inval_entry(parent, OsStr::new(name)));
    }
    next
}

fn told(what: &dyn std::fmt::Debug, told: io::Result<()>) {
    if let Err(error) = told {
        // Unmounted: there is nothing left to be dropped. A directory in use as a mount point or gone already is no harm.
        tracing::debug!(target: "mirrordna::mount", ?what, %error, "the kernel refused to drop from its caches");
    }
}
