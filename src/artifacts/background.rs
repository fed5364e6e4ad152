//! The thread that commits what waits, so that a crash takes little.

use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::storage::{Durability, Ino, NOW, Selection};
use crate::threads::without_signals;

use super::error::Result;
use super::{Artifacts, Invalidation, lock};

/// How long a change waits at most before it is safe from a crash of the process.
const INTERVAL: Duration = Duration::from_secs(2);
/// After how many intervals it is safe from a power cut.
const SYNC_EVERY: u32 = 5;
/// Orphans that are looked for at once.
const PAGE: usize = 1_024;

/// The thread, and what it is told.
#[derive(Default)]
pub(super) struct Background {
    told: Arc<(Mutex<Told>, Condvar)>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// An inode that somebody else has changed, with the names that it had.
pub(super) type ChangedInode = (Ino, Vec<(Ino, Vec<u8>)>);

#[derive(Default)]
struct Told {
    commit: bool,
    stop: bool,
    orphans: bool,
    changed: Vec<ChangedInode>,
    to_tell: Vec<Invalidation>,
    /// How often something was to be told, and how much of that was.
    queued: u64,
    done: u64,
}

impl Background {
    fn told(&self, change: impl FnOnce(&mut Told)) {
        change(&mut lock(&self.told.0));
        self.told.1.notify_all();
    }

    /// Starts it. It ends when it is stopped, or when nobody else has the artifacts any more.
    pub(super) fn start(artifacts: &Arc<Artifacts>) {
        artifacts.background.look_for_orphans();
        let (told, weak) = (Arc::clone(&artifacts.background.told), Arc::downgrade(artifacts));
        let named = std::thread::Builder::new().name("artifacts".to_owned());
        let thread = without_signals(|| named.spawn(move || work(&told, &weak)));
        match thread {
            Ok(thread) => *lock(&artifacts.background.thread) = Some(thread),
            Err(error) => {
                tracing::error!(target: "mirrordna::artifacts", "no thread for commits, only syncs commit: {error}");
            }
        }
    }

    /// Has it commit now.
    pub(super) fn wake(&self) {
        self.told(|told| told.commit = true);
    }

    /// Has it delete files that nobody has open and that have no name.
    pub(super) fn look_for_orphans(&self) {
        self.told(|told| told.orphans = true);
    }

    /// Has it find out what is to be looked up anew after somebody else has changed inodes, and tell those who watch.
    pub(super) fn find_and_tell(&self, changed: Vec<ChangedInode>) {
        self.told(|told| {
            told.changed.extend(changed);
            told.queued += 1;
        });
    }

    /// Has it tell those who watch.
    pub(super) fn tell(&self, changed: Vec<Invalidation>) {
        self.told(|told| {
            told.to_tell.extend(changed);
            told.queued += 1;
        });
    }

    /// Returns when those who watch were told of all that was to be told by now. No lock may be held, and nothing that anybody needs
    /// to commit.
    pub(super) fn settle(&self) {
        let is_there = || lock(&self.thread).as_ref().is_some_and(|thread| !thread.is_finished());
        let upto = lock(&self.told.0).queued;
        let waits = |told: &mut Told| told.done < upto && !told.stop;
        while is_there() {
            let waited = self.told.1.wait_timeout_while(lock(&self.told.0), INTERVAL, waits);
            if !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out() {
                return;
            }
        }
    }

    /// Ends it, and waits for that.
    pub(super) fn stop(&self) {
        self.told(|told| told.stop = true);
        let thread = lock(&self.thread).take();
        // The thread itself may be the last that lets go of the artifacts.
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != std::thread::current().id()) {
            // It has told of a panic already.
            let _ = thread.join();
        }
    }
}

fn work(told: &(Mutex<Told>, Condvar), artifacts: &Weak<Artifacts>) {
    let mut intervals = 0;
    loop {
        let is_idle = |told: &mut Told| !told.stop && !told.commit && !told.orphans && told.queued == told.done;
        let waited = told.1.wait_timeout_while(lock(&told.0), INTERVAL, is_idle);
        let (mut now, time) = waited.unwrap_or_else(PoisonError::into_inner);
        let (stop, upto) = (now.stop, now.queued);
        let (commit, orphans) = (std::mem::take(&mut now.commit), std::mem::take(&mut now.orphans));
        let (changed, mut to_tell) = (std::mem::take(&mut now.changed), std::mem::take(&mut now.to_tell));
        drop(now);
        let Some(artifacts) = artifacts.upgrade().filter(|_| !stop) else { return };
        to_tell.extend(artifacts.invalidations(changed.into_iter(), NOW));
        artifacts.tell(&to_tell);
        lock(&told.0).done = upto;
        told.1.notify_all();
        if orphans && let Err(error) = artifacts.delete_orphans() {
            tracing::warn!(target: "mirrordna::artifacts", "files that nobody has open stay for now: {error}");
            artifacts.orphans_wait.store(true, super::Ordering::Relaxed);
        }
        if commit || time.timed_out() {
            intervals += u32::from(time.timed_out());
            let durability = if intervals >= SYNC_EVERY { Durability::Sync } else { Durability::Buffered };
            if durability == Durability::Sync {
                intervals = 0;
            }
            artifacts.commit_in_background(durability);
        }
    }
}

impl Artifacts {
    fn commit_in_background(&self, durability: Durability) {
        let committed = {
            let _entered = self.enter();
            self.commit_all(durability)
        };
        if let Err(error) = committed {
            tracing::warn!(target: "mirrordna::artifacts", "artifacts wait, since they cannot be committed: {error}");
        }
        if let Err(error) = self.storage.reclaim() {
            tracing::warn!(target: "mirrordna::artifacts", "room of old content could not be reclaimed: {error}");
        }
    }

    /// Lets go of files in memory that nobody has open and that have no name, of which the storage may not know yet.
    fn release_orphans(&self) {
        let mut namespace = self.namespace();
        let orphans: Vec<Ino> =
            namespace.nodes.iter().filter(|(_, node)| node.inode.is_orphan()).map(|(ino, _)| *ino).collect();
        for ino in orphans {
            if namespace.unstored() >= super::MOST_INODES {
                self.orphans_wait.store(true, super::Ordering::Relaxed);
                break;
            }
            namespace.released(ino);
        }
        self.count_waiting(&namespace);
    }

    /// Deletes files that had no name any more and were still open when the vault was last closed.
    fn delete_orphans(&self) -> Result<()> {
        let selection = Selection { archived: Some(true), ..Selection::all(crate::record::Kind::Artifact) };
        let mut after = None;
        {
            let _entered = self.enter();
            self.release_orphans();
        }
        loop {
            {
                let _entered = self.enter();
                self.relieve()?;
            }
            let page = self.storage.select(&selection, after, PAGE)?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.into());
            for ino in page.iter().filter_map(|posting| crate::record::inode::parse_ino(&posting.id)) {
                let _entered = self.enter();
                self.run(|namespace| {
                    match namespace.node(ino) {
                        Err(super::Stop::Error(super::FsError::Stale { .. })) => return Ok(()),
                        node => node?,
                    };
                    namespace.released(ino);
                    Ok(())
                })
                .or_else(|error| if matches!(error, super::FsError::Stale { .. }) { Ok(()) } else { Err(error) })?;
            }
        }
    }
}
