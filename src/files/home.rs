//! The one [`Artifacts`] of a process, and its desk for other processes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

use crate::artifacts::{Artifacts, FsError, Ino};
use crate::record::time::Clock;
use crate::storage::wire::decode;
use crate::storage::{Asked, Durability, Service, Storage, StorageError};

use super::desk::Desk;
use super::question::{self, Answer, Question};
use super::unsynced::Unsynced;

/// Numbers the artifacts that this process opened.
static OPENED: AtomicU64 = AtomicU64::new(1);

/// Where the files of a vault are worked on. The last one to drop it commits what waits.
pub(crate) struct Home {
    storage: Arc<dyn Storage>,
    rooms: Arc<Rooms>,
    unsynced: Unsynced,
}

/// What of it other processes may come into: it does not keep the storage open, which waits for them when it is closed.
struct Rooms {
    storage: Weak<dyn Storage>,
    clock: Arc<dyn Clock>,
    /// Whom the log names for what other processes do here.
    actor: String,
    /// Locked for as long as another process is being answered; true once there is no answer any more.
    closed: RwLock<bool>,
    opened: Mutex<Option<Opened>>,
    /// The vault is being handed over: nothing is opened.
    leaving: AtomicBool,
    this: Weak<Self>,
}

struct Opened {
    artifacts: Arc<Artifacts>,
    /// Tells it from all others that were, are and will be open: a reference on a file is worth something in it alone.
    instance: u64,
}

impl Home {
    /// The home of a storage, which answers other processes while this one owns the vault.
    pub(crate) fn new(storage: Arc<dyn Storage>, clock: Arc<dyn Clock>, actor: &str) -> Arc<Self> {
        let rooms = Arc::new_cyclic(|this| Rooms {
            storage: Arc::downgrade(&storage),
            clock,
            actor: actor.to_owned(),
            closed: RwLock::new(false),
            opened: Mutex::default(),
            leaving: AtomicBool::new(false),
            this: Weak::clone(this),
        });
        storage.serve(&(Arc::clone(&rooms) as Arc<dyn Service>));
        Arc::new(Self { storage, rooms, unsynced: Unsynced::default() })
    }

    /// What this process changed, by whichever handle, and did not sync.
    pub(super) fn unsynced(&self) -> &Unsynced {
        &self.unsynced
    }

    pub(super) fn storage(&self) -> &dyn Storage {
        &*self.storage
    }

    /// The artifacts; in the log they are by whoever asked for them first.
    pub(crate) fn artifacts(&self, actor: &str) -> Result<Arc<Artifacts>, StorageError> {
        self.rooms.open(&self.storage, actor).map(|(artifacts, _)| artifacts)
    }

    /// Does what is asked, in this process.
    pub(super) fn answer(&self, question: Question) -> Result<Answer, FsError> {
        self.rooms.answer(&self.storage, question)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        *self.rooms.closed.write().unwrap_or_else(PoisonError::into_inner) = true;
        let opened = self.rooms.opened().take();
        if let Some(Opened { artifacts, .. }) = opened
            && let Err(error) = artifacts.close()
        {
            tracing::error!(target: "mirrordna::artifacts", "artifacts could not be committed at the end: {error}");
            self.storage.leave_unstored();
        }
    }
}

impl Rooms {
    fn opened(&self) -> MutexGuard<'_, Option<Opened>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, storage: &Arc<dyn Storage>, actor: &str) -> Result<(Arc<Artifacts>, u64), StorageError> {
        let mut opened = self.opened();
        if let Some(opened) = &*opened {
            return Ok((Arc::clone(&opened.artifacts), opened.instance));
        }
        if self.leaving.load(Ordering::Acquire) {
            return Err(gone());
        }
        let artifacts = Artifacts::open(Arc::clone(storage), Arc::clone(&self.clock), actor)?;
        let instance = u64::from(std::process::id()) << 32 | OPENED.fetch_add(1, Ordering::Relaxed);
        *opened = Some(Opened { artifacts: Arc::clone(&artifacts), instance });
        Ok((artifacts, instance))
    }

    fn answer(&self, storage: &Arc<dyn Storage>, question: Question) -> Result<Answer, FsError> {
        let (artifacts, instance) = self.open(storage, &self.actor)?;
        Desk { artifacts: &artifacts, instance }.answer(question)
    }

    /// Does something for another process, unless the vault is being closed here: then that finds the next owner.
    fn receive<T>(&self, work: impl FnOnce(&Arc<dyn Storage>) -> T) -> Result<T, StorageError> {
        let closed = self.closed.read().unwrap_or_else(PoisonError::into_inner);
        // Once it is closed, not even for a moment: the last one to let go of the storage closes it.
        let storage = if *closed { None } else { self.storage.upgrade() };
        storage.map(|storage| work(&storage)).ok_or_else(gone)
    }
}

impl Service for Rooms {
    fn begin(&self) -> Box<dyn Asked> {
        Box::new(Caller { rooms: Weak::clone(&self.this), held: HashMap::new() })
    }

    fn leave(&self) -> Result<(), String> {
        let left = self.receive(|_| {
            let mut opened = self.opened();
            if let Some(Opened { artifacts, .. }) = &*opened {
                // Somebody who has them in hand goes on with them, and the vault is not handed over.
                if Arc::strong_count(artifacts) > 1 {
                    return Err("it has artifacts open".to_owned());
                }
                let failed = |error| format!("its artifacts cannot be committed: {error}");
                // What can fail comes first: afterwards nothing is left to be committed.
                artifacts.commit(Durability::Sync).map_err(failed)?;
                artifacts.close().map_err(failed)?;
                *opened = None;
            }
            self.leaving.store(true, Ordering::Release);
            Ok(())
        });
        left.unwrap_or(Ok(()))
    }

    fn left(&self) {
        self.leaving.store(false, Ordering::Release);
    }
}

/// Another process that asks, and the files that it has open.
struct Caller {
    rooms: Weak<Rooms>,
    held: HashMap<(u64, Ino), u64>,
}

impl Caller {
    fn done(&mut self, question: &[u8]) -> Result<Answer, FsError> {
        let question = decode(question).ok_or_else(|| question::unreadable("a question of another process"))?;
        if let Question::Close { file } = question {
            let of = (file.instance, file.ino);
            // What it has not open it cannot close.
            let Some(count) = self.held.get_mut(&of) else { return Ok(Answer::Done) };
            *count -= 1;
            if *count == 0 {
                self.held.remove(&of);
            }
        }
        let Some(rooms) = self.rooms.upgrade() else { return Err(gone().into()) };
        let answer = rooms.receive(|storage| rooms.answer(storage, question))??;
        if let Answer::Opened { instance, attributes } = &answer {
            *self.held.entry((*instance, attributes.ino)).or_default() += 1;
        }
        Ok(answer)
    }
}

impl Asked for Caller {
    fn answer(&mut self, question: &[u8]) -> Vec<u8> {
        question::write(self.done(question))
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        let Some(rooms) = self.rooms.upgrade() else { return };
        let held = std::mem::take(&mut self.held);
        // When the vault is being closed, the files are, too.
        let _ = rooms.receive(|_| {
            let opened = rooms.opened();
            let Some(Opened { artifacts, instance }) = &*opened else { return };
            for ((_, ino), count) in held.into_iter().filter(|((of, _), _)| of == instance) {
                artifacts.forget(ino, count);
            }
        });
    }
}

/// This process has closed the vault: whoever asks finds the next owner.
fn gone() -> StorageError {
    StorageError::NotOwner { path: "artifacts".into(), holder: "nobody".to_owned() }
}
