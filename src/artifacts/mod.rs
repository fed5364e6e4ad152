//! The artifacts of a vault: a POSIX file system over the storage.
//!
//! Files, directories and links live in memory while they are worked on, and go to the storage in commits: when somebody
//! syncs, every few seconds, when there is much that waits, and before anybody looks at the vault as a whole. An inode is
//! one record and one log entry a commit, whatever happened to it in between.
//!
//! - `types`, `error`: what is asked and answered. `namespace`, `directory`: inodes and names in memory, and what of them
//!   waits. `load`: what is read from the storage. `slot`, `content`: what files hold.
//! - `create`, `remove`, `rename`, `attributes`, `xattrs`, `listing`, `io`: the operations.
//! - `commit`, `background`: how all of it gets into the storage. `elsewhere`: what others change in it. `past`: how it was.
//!
//! Permissions are checked by whoever calls: with FUSE, the kernel.

mod attributes;
mod background;
mod commit;
mod content;
mod create;
mod directory;
mod elsewhere;
mod error;
mod gate;
mod io;
mod listing;
mod load;
mod namespace;
mod past;
mod remove;
mod rename;
mod slot;
mod types;
mod xattrs;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use crate::record::time::Clock;
use crate::storage::{
    ChunkId, Durability, MAX_COMMIT_BYTES, MAX_COMMIT_CHANGES, Space, Storage, StorageError, Subscriber, WriteBack,
};

use background::Background;
use content::Budget;
use elsewhere::{Listener, Stopped};
use gate::Gate;
use namespace::{COUNTED_BYTES, Namespace, Step, Stop};

pub use elsewhere::{Watch, Watcher};
pub use error::{FsError, Result};
pub use gate::Entered;
pub use past::Past;
pub use types::{
    Allocate, Attributes, Caller, Cursor, FIRST_CURSOR, FileType, Ino, Invalidation, ListEntry, MAX_FILE_BYTES,
    MAX_LINKS, Nanos, NewNode, ROOT, RenameFlags, Seek, SetAttributes, SetTime, WriteOptions, XattrMode,
};

/// With this much in memory alone, or this many inodes or slots that wait, the background thread commits at once.
const COMMIT_SOON: Waiting = Waiting { bytes: 32 << 20, inodes: 4_000, slots: 10_000 };
/// With this much, nothing new is taken before it is committed.
const COMMIT_NOW: Waiting = Waiting { bytes: 64 << 20, inodes: 8_000, slots: 40_000 };
/// With so many inodes that wait since they cannot be committed, nothing is changed any more. Those of a commit that fails and
/// those that were changed beside it are then still few enough for one commit: in parts, others could see half of an operation.
const MOST_INODES: usize = 12_000;
const _: () = assert!(MOST_INODES + 2 * COMMIT_NOW.inodes < MAX_COMMIT_CHANGES);
const _: () = assert!(2 * MAX_COMMIT_CHANGES * COUNTED_BYTES <= MAX_COMMIT_BYTES);
/// After so many commits that ended meanwhile, what is read from the storage is read between two of them.
const TRIES_BESIDE_COMMITS: u32 = 2;
/// Room on the disk that files do not get, so that the vault itself can go on.
const RESERVED_BYTES: u64 = 32 << 20;
/// What an inode that waits takes on the disk at most, about: its record, its version before, its names, twice.
const INODE_BYTES: u64 = 4 << 10;

/// How much waits to be committed.
struct Waiting {
    bytes: usize,
    inodes: usize,
    slots: usize,
}

/// The artifacts of a vault. Shared by all threads of a process; each operation is atomic.
pub struct Artifacts {
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    actor: String,
    gate: Gate,
    namespace: Mutex<Namespace>,
    budget: Arc<Budget>,
    /// Inodes that wait to be committed, of which a large one counts as several.
    dirty_inodes: AtomicUsize,
    /// These, and those of a commit that is under way.
    unstored_inodes: AtomicUsize,
    /// Files without a name were left for later.
    orphans_wait: AtomicBool,
    /// Free room on the disk, about.
    free: AtomicU64,
    /// The last attempt to write failed for want of room.
    full: AtomicBool,
    /// The last commit failed.
    failing: AtomicBool,
    /// One commit at a time.
    committer: Mutex<()>,
    /// The token of the commit that is under way, by which it is known when the storage tells of it.
    own: Mutex<Option<[u8; 16]>>,
    /// Chunks that were shared between files since everything was last committed.
    shared_chunks: Mutex<Vec<ChunkId>>,
    background: Background,
    /// There while a restore works.
    stopped: Mutex<Option<Stopped>>,
    /// Why a restore could be neither finished nor undone: nothing can be changed before it is.
    unfinished: Mutex<Option<StorageError>>,
    watchers: Mutex<Vec<Weak<dyn Watch>>>,
    /// Kept alive for the storage, which refers to them weakly.
    listeners: OnceLock<(Arc<dyn Subscriber>, Arc<dyn WriteBack>)>,
}

impl Artifacts {
    /// The artifacts of a storage. There should be one of these for a storage and process.
    ///
    /// # Errors
    /// Those of the storage.
    pub fn open(
        storage: Arc<dyn Storage>,
        clock: Arc<dyn Clock>,
        actor: &str,
    ) -> std::result::Result<Arc<Self>, StorageError> {
        let next_ino = storage.next_ino()?.max(ROOT + 1);
        let free = storage.space()?.free;
        let artifacts = Arc::new(Self {
            storage,
            clock,
            actor: actor.to_owned(),
            gate: Gate::default(),
            namespace: Mutex::new(Namespace::new(next_ino)),
            budget: Arc::default(),
            dirty_inodes: AtomicUsize::new(0),
            unstored_inodes: AtomicUsize::new(0),
            orphans_wait: AtomicBool::new(false),
            free: AtomicU64::new(free),
            full: AtomicBool::new(false),
            failing: AtomicBool::new(false),
            committer: Mutex::default(),
            own: Mutex::default(),
            shared_chunks: Mutex::default(),
            background: Background::default(),
            stopped: Mutex::default(),
            unfinished: Mutex::default(),
            watchers: Mutex::default(),
            listeners: OnceLock::new(),
        });
        let (subscriber, holder) = Listener::both(&artifacts);
        artifacts.storage.subscribe(&subscriber)?;
        // Not before this is it certain that the vault is not handed over to another process meanwhile.
        artifacts.storage.hold_back(&holder)?;
        let _ = artifacts.listeners.set((subscriber, holder));
        Background::start(&artifacts);
        Ok(artifacts)
    }

    /// Commits everything and ends the work in the background. What is changed afterwards must be committed by who
    /// changes it.
    ///
    /// # Errors
    /// As [`Artifacts::commit`].
    pub fn close(&self) -> Result<()> {
        self.background.stop();
        self.commit(Durability::Sync)
    }

    /// How much room there is for files: some of it is left to the vault itself. What is held in memory is told to the log (`mirrordna::artifacts::tables`).
    ///
    /// # Errors
    /// Those of the storage.
    pub fn space(&self) -> Result<Space> {
        let namespace = self.namespace();
        tracing::debug!(
            target: "mirrordna::artifacts::tables",
            references = namespace.references.len(),
            unnamed = namespace.unnamed.len(),
            "in memory"
        );
        drop(namespace);
        let space = self.storage.space()?;
        Ok(Space { free: space.free.saturating_sub(RESERVED_BYTES), ..space })
    }

    /// From now on, and for as long as it is there, tells `watcher` what was changed by others than the callers of this file system,
    /// without any lock held: what a restore changed before it returns, what another process changed soon afterwards.
    pub fn watch(&self, watcher: &Watcher) {
        let mut watchers = lock(&self.watchers);
        watchers.retain(|watcher| watcher.strong_count() > 0);
        watchers.push(Arc::downgrade(watcher));
    }

    fn now(&self) -> Nanos {
        Nanos::from(self.clock.now().as_micros()) * 1_000
    }

    /// Begins an operation, which may consist of several: all of it comes before a restore or after it. Waits for one that works.
    pub fn enter(&self) -> Entered<'_> {
        self.gate.enter()
    }

    fn namespace(&self) -> MutexGuard<'_, Namespace> {
        lock(&self.namespace)
    }

    /// Does work under the namespace's lock, again and again until nothing is missing that must be read from the storage.
    /// The work must change nothing before it has all that it needs. To be called without the lock of the committer or of any content.
    fn run<T>(&self, mut work: impl FnMut(&mut Namespace) -> Step<T>) -> Result<T> {
        let mut namespace = self.namespace();
        let mut in_vain = 0;
        loop {
            let need = match work(&mut namespace) {
                Ok(answer) => {
                    self.count_waiting(&namespace);
                    namespace.trim();
                    return Ok(answer);
                }
                Err(Stop::Error(error)) => return Err(error),
                Err(Stop::Need(need)) => need,
            };
            drop(namespace);
            // Whoever commits all the time would keep others from ever reading what still holds.
            let committing = (in_vain >= TRIES_BESIDE_COMMITS).then(|| lock(&self.committer));
            let changes = self.namespace().changes;
            let found = self.load(need)?;
            namespace = self.namespace();
            // What was read before a commit ended may be older than what has been forgotten since.
            if namespace.changes == changes {
                found.teach(&mut namespace);
            } else {
                in_vain += 1;
            }
            drop(committing);
        }
    }

    /// To be called before anything is changed that makes nothing larger: commits when too much waits. What cannot be
    /// committed now does not keep anybody from removing something, up to a point.
    fn relieve(&self) -> Result<()> {
        self.check_finished()?;
        let most = self.unstored_inodes.load(Ordering::Relaxed) >= MOST_INODES;
        // What has just failed is tried again in the background, and here when there is no other way.
        if !most && (self.failing.load(Ordering::Relaxed) || !self.waits_more_than(&COMMIT_NOW)) {
            return Ok(());
        }
        match self.commit_all(Durability::Buffered) {
            Err(error) if most => Err(error),
            Err(error) => {
                tracing::warn!(target: "mirrordna::artifacts", "artifacts wait, since they cannot be committed: {error}");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn count_waiting(&self, namespace: &Namespace) {
        self.dirty_inodes.store(namespace.waiting(), Ordering::Relaxed);
        self.unstored_inodes.store(namespace.unstored(), Ordering::Relaxed);
    }

    fn waits_more_than(&self, waiting: &Waiting) -> bool {
        self.budget.buffered.load(Ordering::Relaxed) > waiting.bytes
            || self.dirty_inodes.load(Ordering::Relaxed) > waiting.inodes
            || self.budget.slots.load(Ordering::Relaxed) > waiting.slots
    }

    /// To be called before anything is added: commits when too much waits, and refuses when there is no room.
    fn make_room(&self, bytes: u64) -> Result<()> {
        self.check_finished()?;
        if self.waits_more_than(&COMMIT_NOW) || self.full.load(Ordering::Relaxed) {
            self.commit_all(Durability::Buffered)?;
        } else if self.waits_more_than(&COMMIT_SOON) {
            self.background.wake();
        }
        let waiting = || {
            let inodes = self.dirty_inodes.load(Ordering::Relaxed) as u64;
            let buffered = self.budget.buffered.load(Ordering::Relaxed) as u64;
            buffered.saturating_add(inodes.saturating_mul(INODE_BYTES))
        };
        let needed = bytes.saturating_add(RESERVED_BYTES);
        let short = |free: u64| free < needed.saturating_add(waiting());
        if !short(self.free.load(Ordering::Relaxed)) {
            return Ok(());
        }
        if self.free_now()? < needed {
            return Err(FsError::NoSpace);
        }
        if short(self.free.load(Ordering::Relaxed)) {
            // What waits is guessed to be large: once it is committed, it is known.
            self.commit_all(Durability::Buffered)?;
            if short(self.free_now()?) {
                return Err(FsError::NoSpace);
            }
        }
        Ok(())
    }

    fn free_now(&self) -> Result<u64> {
        let free = self.storage.space()?.free;
        self.free.store(free, Ordering::Relaxed);
        Ok(free)
    }
}

impl Drop for Artifacts {
    fn drop(&mut self) {
        self.background.stop();
        if let Err(error) = self.commit_all(Durability::Sync) {
            tracing::error!(target: "mirrordna::artifacts", "artifacts could not be committed at the end: {error}");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
