//! What one process knows of a shared vault: whether it owns it, calls the owner, or is between the two.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::super::lock::LockFile;
use super::super::remote::{CallError, Client, Server};
use super::super::rocksdb::RocksStorage;
use super::super::types::LogState;
use super::super::{Result, Service, StorageError};
use super::followers::Followers;
use super::{Ownership, Settings};

/// A call waits at least this long for an owner that was there a moment ago, however short the lock's time-out is.
const LEAST_PATIENCE: Duration = Duration::from_secs(1);
/// How often those look again who wait for the state to change.
const INTERVAL: Duration = Duration::from_millis(20);

/// How this process stands to the vault.
pub(super) enum State {
    /// It owns the vault.
    Owner(Owner),
    /// Another process owns it.
    Client(Arc<Client>),
    /// An owner is looked for. Holds why none was found.
    Between(Option<StorageError>),
    /// The vault is closed here.
    Closed,
}

/// What an owner has.
pub(super) struct Owner {
    pub(super) storage: Arc<RocksStorage>,
    /// Cloned by each change for as long as it takes; none when no more changes begin.
    pub(super) writing: Option<Arc<()>>,
    /// None when the file system has no sockets: then no other process can open the vault.
    pub(super) server: Option<Arc<Server>>,
}

/// What a call is to speak to.
pub(super) enum Entered {
    /// The storage of this process, and what keeps it from being handed over before a change is made.
    Owner(Arc<RocksStorage>, Option<Arc<()>>),
    Client(Arc<Client>),
    /// Nobody at the moment.
    Nobody,
}

/// What one process knows of a shared vault.
pub(super) struct Core {
    /// Absolute: the process may change its working directory before it takes over.
    pub(super) dir: PathBuf,
    pub(super) vault_id: String,
    pub(super) settings: Settings,
    pub(super) followers: Followers,
    /// What answers the questions of other processes while this one owns the vault.
    service: Mutex<Option<Weak<dyn Service>>>,
    state: RwLock<State>,
    changing: Mutex<()>,
    changed: Condvar,
    /// Where the log stood when it was last asked for.
    last: Mutex<Option<LogState>>,
    /// The thread that follows the owner, and looks for another when it is gone.
    pub(super) steward: Mutex<Option<JoinHandle<()>>>,
    /// The owner whose end that thread waits for.
    pub(super) followed: Mutex<Option<Arc<Client>>>,
    /// Held by who hands over, and by who closes.
    pub(super) handing: Mutex<()>,
    /// A thread waits to finish what another process left half done.
    pub(super) watching: AtomicBool,
    /// Somebody owned the vault before this process, a moment ago.
    pub(super) succeeding: AtomicBool,
    /// Owners that ended without a farewell.
    pub(super) died: AtomicU64,
    /// What other processes changed through this one could not be stored.
    pub(super) unstored: AtomicBool,
    closing: AtomicBool,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Core {
    pub(super) fn new(dir: &Path, vault_id: &str, settings: Settings) -> Arc<Self> {
        Arc::new(Self {
            dir: std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned()),
            vault_id: vault_id.to_owned(),
            settings,
            followers: Followers::default(),
            service: Mutex::default(),
            state: RwLock::new(State::Between(None)),
            changing: Mutex::default(),
            changed: Condvar::new(),
            last: Mutex::default(),
            steward: Mutex::default(),
            followed: Mutex::default(),
            handing: Mutex::default(),
            watching: AtomicBool::new(false),
            succeeding: AtomicBool::new(false),
            died: AtomicU64::new(0),
            unstored: AtomicBool::new(false),
            closing: AtomicBool::new(false),
        })
    }

    pub(super) fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes over to another state, and returns the one before.
    pub(super) fn become_state(&self, state: State) -> State {
        let before = std::mem::replace(&mut *self.state_mut(), state);
        self.wake();
        before
    }

    /// Lets those look again who wait for the state to change.
    pub(super) fn wake(&self) {
        self.changed.notify_all();
    }

    /// From now on this answers the questions of other processes.
    pub(super) fn serve(&self, service: &Arc<dyn Service>) {
        *lock(&self.service) = Some(Arc::downgrade(service));
    }

    /// What answers the questions of other processes.
    pub(super) fn asked(&self) -> Option<Arc<dyn Service>> {
        lock(&self.service).as_ref().and_then(Weak::upgrade)
    }

    pub(super) fn is_owner(&self) -> bool {
        matches!(&*self.state(), State::Owner(_))
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    pub(super) fn wants_ownership(&self) -> bool {
        self.settings.ownership == Ownership::Wanted
    }

    /// How long another process may take for an answer that takes no work.
    pub(super) fn patience(&self) -> Duration {
        self.settings.options.lock_timeout.max(LEAST_PATIENCE)
    }

    /// What a call is to speak to. `change` says that it changes something.
    pub(super) fn enter(&self, change: bool) -> Entered {
        match &*self.state() {
            State::Owner(owner) => match (change, &owner.writing) {
                (false, _) => Entered::Owner(Arc::clone(&owner.storage), None),
                (true, Some(writing)) => Entered::Owner(Arc::clone(&owner.storage), Some(Arc::clone(writing))),
                (true, None) => Entered::Nobody,
            },
            State::Client(client) => Entered::Client(Arc::clone(client)),
            State::Between(_) | State::Closed => Entered::Nobody,
        }
    }

    /// Nothing is asked of this owner any more: the steward looks for another.
    pub(super) fn lost(&self, client: &Arc<Client>) {
        let mut state = self.state_mut();
        if matches!(&*state, State::Client(now) if Arc::ptr_eq(now, client)) {
            *state = State::Between(None);
        }
        drop(state);
        client.part();
    }

    /// Asks whoever owns the vault, again and again until there is an answer or the time is over. `local` may be asked
    /// once, `remote` several times, as far as `repeat` allows.
    pub(super) fn call<T>(
        &self,
        kind: Call,
        local: impl FnOnce(&RocksStorage) -> Result<T>,
        mut remote: impl FnMut(&Client) -> std::result::Result<T, CallError>,
    ) -> Result<T> {
        let mut attempts = Attempts::new(self);
        loop {
            match self.enter(kind != Call::Read) {
                Entered::Owner(storage, _writing) => return local(&storage),
                Entered::Client(client) => match remote(&client) {
                    Ok(result) => return Ok(result),
                    Err(CallError::Storage(error)) => return Err(error),
                    Err(CallError::Moved) => self.lost(&client),
                    Err(CallError::Lost) => {
                        self.lost(&client);
                        if kind == Call::Once {
                            return Err(self.unanswered());
                        }
                    }
                    Err(CallError::Silent) => {
                        return Err(if kind == Call::Read { self.silent() } else { self.unanswered() });
                    }
                },
                Entered::Nobody => {}
            }
            attempts.pause()?;
        }
    }

    /// The owner holds the vault and does not answer.
    pub(super) fn silent(&self) -> StorageError {
        let holder = format!("{}, which does not answer", LockFile::holder(&self.dir));
        StorageError::Locked { path: self.dir.clone(), holder }
    }

    /// The owner was asked for a change and did not answer.
    pub(super) fn unanswered(&self) -> StorageError {
        StorageError::Unanswered { path: self.dir.clone(), holder: LockFile::holder(&self.dir) }
    }

    /// Waits for the state to change, or for a moment.
    pub(super) fn wait(&self, at_most: Duration) {
        let _ = self.changed.wait_timeout(lock(&self.changing), INTERVAL.min(at_most));
    }

    /// Remembers where the log stands.
    pub(super) fn remember(&self, state: LogState) {
        *lock(&self.last) = Some(state);
    }

    /// Where the log stood when it was last asked for.
    pub(super) fn last_state(&self) -> Option<LogState> {
        *lock(&self.last)
    }

    /// Lets go of the vault.
    pub(super) fn close(&self) {
        let _handing = lock(&self.handing);
        self.closing.store(true, Ordering::Release);
        if let Some(client) = &*lock(&self.followed) {
            client.close();
        }
        self.wake();
        let steward = lock(&self.steward).take();
        if let Some(steward) = steward
            && steward.thread().id() != std::thread::current().id()
        {
            let _ = steward.join();
        }
        let server = match &*self.state() {
            State::Owner(owner) => {
                // Whoever waits for somebody else's work goes on with the next owner.
                owner.storage.gate().close();
                owner.server.clone()
            }
            State::Client(_) | State::Between(_) | State::Closed => None,
        };
        if let Some(server) = server {
            // What was asked for already is still answered.
            server.stop(false);
        }
        if let State::Owner(owner) = self.become_state(State::Closed) {
            drop(alone(owner.storage));
        }
    }
}

/// The storage itself, when nobody else of this process uses it any more.
pub(super) fn alone(mut storage: Arc<RocksStorage>) -> RocksStorage {
    loop {
        match Arc::try_unwrap(storage) {
            Ok(storage) => return storage,
            Err(shared) => storage = shared,
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What kind of call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// Changes nothing, and can be repeated.
    Read,
    /// Changes something, and doing it twice is as good as once.
    Repeatable,
    /// Changes something, and must not be done twice.
    Once,
}

/// Attempts to reach an owner, until a deadline that begins with the first failure.
pub(super) struct Attempts<'a> {
    core: &'a Core,
    deadline: Option<Instant>,
}

impl<'a> Attempts<'a> {
    pub(super) fn new(core: &'a Core) -> Self {
        Self { core, deadline: None }
    }

    /// Waits a moment before the next attempt; after the deadline says why there is none.
    pub(super) fn pause(&mut self) -> Result<()> {
        let now = Instant::now();
        let deadline = *self.deadline.get_or_insert_with(|| now + self.core.patience());
        if now >= deadline {
            return Err(match &*self.core.state() {
                State::Between(Some(error)) => error.again(&self.core.dir),
                _ => LockFile::held(&self.core.dir),
            });
        }
        if !matches!(&*self.core.state(), State::Client(_)) {
            self.core.wait(deadline - now);
        }
        Ok(())
    }
}
