//! Finding an owner or becoming one, and handing over.
//!
//! Whoever finds nobody holding the lock takes it, opens the storage and listens; whoever finds it held calls its holder.
//! A thread follows the owner: when that is gone, all who had called it do the same again, and the kernel gives the lock
//! to one of them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use crate::threads::without_signals;

use super::super::files::Marker;
use super::super::gate::{Claim, Reserved};
use super::super::lock::{JobLock, LockFile};
use super::super::remote::{Client, Contact, Events, Host, News, Server, ask_for_hand_over, socket_exists};
use super::super::rocksdb::{OpenOptions, RocksJob, RocksStorage};
use super::super::{Intent, Job, Result, Service, Storage, StorageError};
use super::core::{Core, Owner, State, alone, lock};
use super::{Settings, SharedStorage};

/// How soon a process that looks for an owner looks again, at first and in the end.
const INTERVALS: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(100));
/// After a hand-over, the others leave the lock to the process that asked for it, for this long.
const COURTESY: Duration = Duration::from_secs(1);
/// How long an owner waits for what is under way before it says that it cannot hand over now.
const HAND_OVER: Duration = Duration::from_secs(2);
/// How often it is looked whether the process is gone that left work half done.
const WATCH: Duration = Duration::from_millis(50);
/// How often it is tried in the end to finish what cannot be finished, on a full disk for example.
const WATCH_FAILING: Duration = Duration::from_secs(1);

/// What one look for an owner found.
enum Found {
    /// This process owns the vault now.
    Mine,
    /// Another process owns it.
    Other(Arc<Client>, Events),
    /// Nobody that could be spoken to; why not.
    Nobody(Option<String>),
}

impl Core {
    /// Opens a shared vault.
    pub(super) fn find(dir: &Path, settings: Settings) -> Result<Arc<Self>> {
        // Looking at what is no vault leaves nothing behind.
        let marker = Marker::read(&*settings.options.files, dir)?;
        let core = Self::new(dir, &marker.vault_id, settings);
        let found = core.wait_for(|| Ok(Some(core.look(true)?)))?;
        if let Found::Other(client, events) = found {
            core.follow(client, events);
        }
        Ok(core)
    }

    /// Opens a vault to look at it: the files themselves when nobody has it open.
    pub(super) fn inspect(dir: &Path, settings: Settings) -> Result<Box<dyn Storage>> {
        let marker = Marker::read(&*settings.options.files, dir)?;
        let options = OpenOptions { inspect: true, ..settings.options.clone() };
        let core = Self::new(dir, &marker.vault_id, settings);
        let mut inspected = None;
        let found = core.wait_for(|| match LockFile::try_take(dir, options.clock.now())? {
            Some(lock) => {
                inspected = Some(RocksStorage::open_locked(dir, &options, lock)?);
                Ok(None)
            }
            None => core.look(false).map(Some),
        })?;
        if let Some(storage) = inspected {
            return Ok(Box::new(storage));
        }
        if let Found::Other(client, events) = found {
            core.follow(client, events);
        }
        Ok(Box::new(SharedStorage { core }))
    }

    /// Looks again and again until somebody owns the vault, or the time is over. `look` ends it with nothing.
    fn wait_for(&self, mut look: impl FnMut() -> Result<Option<Found>>) -> Result<Found> {
        let deadline = Instant::now() + self.settings.options.lock_timeout;
        loop {
            let why = match look()? {
                Some(Found::Nobody(why)) => {
                    // Whoever holds it now may have been called by others.
                    self.succeeding.store(true, Ordering::Release);
                    why
                }
                Some(found) => return Ok(found),
                None => return Ok(Found::Mine),
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let holder = LockFile::holder(&self.dir);
                let holder = why.map_or(holder.clone(), |why| format!("{holder}: {why}"));
                return Err(StorageError::Locked { path: self.dir.clone(), holder });
            }
            thread::sleep(INTERVALS.0.min(left));
        }
    }

    /// Looks for an owner once; with `take`, becomes the owner when there is none.
    fn look(self: &Arc<Self>, take: bool) -> Result<Found> {
        if take && let Some(lock) = LockFile::try_take(&self.dir, self.settings.options.clock.now())? {
            self.own(RocksStorage::open_locked(&self.dir, &self.settings.options, lock)?)?;
            return Ok(Found::Mine);
        }
        if self.wants_ownership() {
            return Ok(Found::Nobody(match ask_for_hand_over(&self.dir, &self.vault_id, self.patience()) {
                Contact::Made(Ok(())) | Contact::Nobody => None,
                Contact::Made(Err(reason)) => Some(format!("it does not hand the vault over: {reason}")),
                Contact::Silent => Some("it does not answer".to_owned()),
                Contact::Refused(why) => Some(why.to_owned()),
            }));
        }
        match Client::connect(&self.dir, &self.vault_id, self.patience()) {
            Contact::Made((client, events)) => {
                let client = Arc::new(client);
                if self.become_client(&client) {
                    return Ok(Found::Other(client, events));
                }
                Ok(Found::Nobody(None))
            }
            Contact::Nobody => Ok(Found::Nobody(None)),
            Contact::Silent => Ok(Found::Nobody(Some("it does not answer".to_owned()))),
            Contact::Refused(why) => Ok(Found::Nobody(Some(why.to_owned()))),
        }
    }

    /// Owns the vault: finishes what was interrupted, and listens for the others.
    pub(super) fn own(self: &Arc<Self>, storage: RocksStorage) -> Result<()> {
        for warning in storage.warnings() {
            tracing::warn!(target: "mirrordna::storage", dir = %self.dir.display(), "{warning}");
        }
        let storage = Arc::new(storage);
        if self.succeeding.load(Ordering::Acquire) || socket_exists(&self.dir) {
            storage.expect_leases();
        }
        let unfinished = match self.recover(&storage) {
            Ok(None) => false,
            Ok(Some(_)) => {
                // Somebody is at it.
                Self::reserve(&storage);
                true
            }
            // Whoever opens the vault can look at what is there, and make room.
            Err(error) => {
                Self::cannot_finish(&storage, &error)?;
                true
            }
        };
        self.followers.follow_owner(&storage, || {
            let writing = Some(Arc::new(()));
            self.become_state(State::Owner(Owner { storage: Arc::clone(&storage), writing, server: None }));
        });
        let host: Arc<dyn Host> = Arc::<Self>::clone(self);
        match Server::start(&self.dir, &self.vault_id, host) {
            Ok(server) => {
                if let State::Owner(owner) = &mut *self.state_mut() {
                    owner.server = Some(Arc::new(server));
                }
            }
            Err(error) => {
                let dir = self.dir.display();
                tracing::warn!(target: "mirrordna::storage", %dir, %error, "no other process can open the vault now");
            }
        }
        if unfinished {
            self.watch();
        }
        Ok(())
    }

    /// Keeps others out while work is about to be finished. An import lets them go on; in the middle of a restore nobody builds
    /// on half of it.
    fn reserve(storage: &RocksStorage) {
        let is_restore = || matches!(storage.intent(), Ok(Some(Intent::Restore { .. })));
        storage.gate().reserve_if(Some(Reserved::Waiting), is_restore);
    }

    /// What was left half done cannot be finished or undone, for now.
    ///
    /// # Errors
    /// Those of looking what it is.
    fn cannot_finish(storage: &RocksStorage, error: &StorageError) -> Result<()> {
        tracing::error!(target: "mirrordna::storage", %error, "what was left half done cannot be finished yet");
        if matches!(storage.intent()?, Some(Intent::Restore { .. })) {
            storage.stay_unfinished(error);
        }
        Ok(())
    }

    /// Finishes or undoes work that was interrupted. Gives the work back when a process is still at it.
    fn recover(&self, storage: &Arc<RocksStorage>) -> Result<Option<Intent>> {
        let Some(intent) = storage.intent()? else { return Ok(None) };
        let Some(lock) = JobLock::try_take(&self.dir, self.settings.options.clock.now())? else {
            return Ok(Some(intent));
        };
        // It may have come to its end before the lock was free.
        let Some(intent) = storage.intent()? else { return Ok(None) };
        let job = RocksJob::new(storage, lock);
        job.exclude()?;
        let shared: Arc<dyn Storage> = Arc::<RocksStorage>::clone(storage);
        (self.settings.recovery)(shared, &job, &intent)?;
        Ok(None)
    }

    /// Waits, in a thread, for the end of work that somebody began: they finish it, or give up or die, and then this process
    /// finishes it. While that fails, it is tried again and again, and nothing else is changed.
    fn watch(self: &Arc<Self>) {
        if self.watching.swap(true, Ordering::AcqRel) {
            return;
        }
        let core = Arc::clone(self);
        let watch = move || {
            let mut interval = WATCH;
            while let Some(storage) = core.reading().filter(|_| !core.is_closing()) {
                match core.recover(&storage) {
                    Ok(Some(_)) => {
                        Self::reserve(&storage);
                        interval = WATCH;
                    }
                    Ok(None) => {
                        storage.gate().reserve_if(None, || matches!(storage.intent(), Ok(None)));
                        core.watching.store(false, Ordering::Release);
                        // Something else may have been left meanwhile, by somebody who saw that this watches.
                        if !matches!(storage.intent(), Ok(Some(_))) || core.watching.swap(true, Ordering::AcqRel) {
                            return;
                        }
                    }
                    Err(error) => {
                        if let Err(error) = Self::cannot_finish(&storage, &error) {
                            tracing::error!(target: "mirrordna::storage", %error, "what was left half done cannot be read");
                        }
                        interval = (interval * 2).min(WATCH_FAILING);
                    }
                }
                drop(storage);
                thread::sleep(interval);
            }
            core.watching.store(false, Ordering::Release);
        };
        let named = thread::Builder::new().name("mirrordna-watch".to_owned());
        if let Err(error) = without_signals(|| named.spawn(watch)) {
            tracing::error!(target: "mirrordna::storage", %error, "no thread to finish what another process left half done");
            self.watching.store(false, Ordering::Release);
        }
    }

    /// Somebody who worked on the vault in many commits does so no more, and gives back the gate if they had it closed. What
    /// they left half done is finished here.
    pub(super) fn left(self: &Arc<Self>, claim: Option<Claim>) {
        let unfinished = self.reading().is_some_and(|storage| {
            let unfinished = matches!(storage.intent(), Ok(Some(_)));
            if claim.is_some() {
                Self::reserve(&storage);
            }
            unfinished
        });
        drop(claim);
        if unfinished {
            self.watch();
        }
    }

    /// Speaks to another owner from now on, unless that is gone already.
    fn become_client(&self, client: &Arc<Client>) -> bool {
        self.followers.follow_client(client, || {
            self.become_state(State::Client(Arc::clone(client)));
        })
    }

    /// Follows an owner in a thread, and the owners after it.
    fn follow(self: &Arc<Self>, client: Arc<Client>, events: Events) {
        self.start_steward(move |core| core.steward(Some((client, events)), false));
    }

    fn start_steward(self: &Arc<Self>, work: impl FnOnce(&Arc<Self>) + Send + 'static) {
        let core = Arc::clone(self);
        let mut steward = lock(&self.steward);
        let named = thread::Builder::new().name("mirrordna-steward".to_owned());
        match without_signals(|| named.spawn(move || work(&core))) {
            Ok(handle) => *steward = Some(handle),
            Err(error) => {
                // Calls go on for as long as this owner does.
                tracing::error!(target: "mirrordna::storage", %error, "no thread to follow the owner of the vault");
            }
        }
    }

    /// Follows one owner after the other, until this process owns the vault or closes it.
    fn steward(self: &Arc<Self>, mut following: Option<(Arc<Client>, Events)>, mut handed: bool) {
        while !self.is_closing() {
            if let Some((client, mut events)) = following.take() {
                *lock(&self.followed) = Some(Arc::clone(&client));
                if self.is_closing() {
                    // Who closes may have found nobody to part from.
                    client.close();
                }
                handed = self.listen(&client, &mut events);
                *lock(&self.followed) = None;
                self.lost(&client);
                continue;
            }
            match self.succeed(handed) {
                Some(Found::Other(client, events)) => following = Some((client, events)),
                _ => return,
            }
        }
    }

    /// Hears what an owner tells, until it is gone. True when it hands over to another.
    fn listen(self: &Arc<Self>, client: &Arc<Client>, events: &mut Events) -> bool {
        loop {
            match events.next(client) {
                News::Farewell { handed } => return handed,
                News::Died => {
                    self.died.fetch_add(1, Ordering::AcqRel);
                    return false;
                }
                // What it still tells is read from the log of the next one, where nothing is missed.
                _ if client.is_parted() => {}
                News::Subscribed(state) => {
                    self.followers.catch_up(client, state.sequence);
                    client.changes_come();
                }
                News::Changes(number, changes) => {
                    self.followers.tell(client, changes);
                    client.acknowledge(number);
                }
                News::Settle(number, upto) => {
                    // It may wait for commits, of which this thread has to tell.
                    let (core, client) = (Arc::clone(self), Arc::clone(client));
                    let settle = move || {
                        core.followers.settle(upto);
                        client.acknowledge(number);
                    };
                    let named = thread::Builder::new().name("mirrordna-settle".to_owned());
                    if let Err(error) = without_signals(|| named.spawn(settle)) {
                        tracing::error!(target: "mirrordna::storage", %error, "no thread to wait for subscribers");
                    }
                }
            }
        }
    }

    /// Looks for an owner until there is one, be it this process. None when the vault is closed here meanwhile.
    fn succeed(self: &Arc<Self>, handed: bool) -> Option<Found> {
        let begun = Instant::now();
        self.succeeding.store(true, Ordering::Release);
        let mut interval = INTERVALS.0;
        while !self.is_closing() {
            match self.look(!handed || begun.elapsed() > COURTESY) {
                Ok(Found::Nobody(_)) => {}
                Ok(found) => {
                    let mine = matches!(found, Found::Mine);
                    tracing::info!(target: "mirrordna::storage", dir = %self.dir.display(), mine, after = ?begun.elapsed(), "the vault has a new owner");
                    return Some(found);
                }
                Err(error) => {
                    tracing::error!(target: "mirrordna::storage", dir = %self.dir.display(), %error, "the vault cannot be taken over");
                    self.become_state(State::Between(Some(error)));
                    interval = INTERVALS.1;
                }
            }
            thread::sleep(interval);
            if begun.elapsed() > COURTESY {
                interval = (interval * 2).min(INTERVALS.1);
            }
        }
        None
    }

    /// Waits until no change of this process or another one is under way, and lets go of the storage in a thread. `service` hears
    /// of it when that is done.
    fn let_go(self: &Arc<Self>, service: Option<Arc<dyn Service>>) -> std::result::Result<(), String> {
        let deadline = Instant::now() + HAND_OVER;
        let waited = |done: &dyn Fn() -> bool| {
            while !done() {
                if Instant::now() > deadline {
                    return false;
                }
                thread::sleep(Duration::from_millis(1));
            }
            true
        };
        let (storage, writing) = match &mut *self.state_mut() {
            State::Owner(owner) => (Arc::clone(&owner.storage), owner.writing.take()),
            State::Client(_) | State::Between(_) | State::Closed => {
                return Err("it does not own it any more".to_owned());
            }
        };
        let go_on = |why: &str| {
            if let State::Owner(owner) = &mut *self.state_mut() {
                owner.writing.clone_from(&writing);
            }
            self.wake();
            Err(why.to_owned())
        };
        if !waited(&|| writing.as_ref().is_none_or(|writing| Arc::strong_count(writing) == 1)) {
            return go_on("a long change is under way");
        }
        if storage.gate().is_busy() {
            return go_on("a restore is under way");
        }
        if storage.is_held_back() {
            return go_on("it has artifacts open");
        }
        self.followers.leave_owner(&storage);
        let State::Owner(owner) = self.become_state(State::Between(None)) else {
            return Err("it does not own it any more".to_owned());
        };
        drop(storage);
        if !waited(&|| Arc::strong_count(&owner.storage) == 1) {
            self.followers.stay_owner(&owner.storage);
            self.become_state(State::Owner(Owner { writing, ..owner }));
            return Err("a long look at all of it is under way".to_owned());
        }
        self.start_steward(move |core| {
            if let Some(server) = owner.server {
                server.stop(true);
            }
            drop(alone(owner.storage));
            // Not before: a question that is under way would take up again what was let go of, and wait for this thread.
            if let Some(service) = service {
                service.left();
            }
            tracing::info!(target: "mirrordna::storage", dir = %core.dir.display(), "the vault is handed over");
            core.steward(None, true);
        });
        Ok(())
    }
}

impl Host for Core {
    fn writing(&self) -> Option<(Arc<RocksStorage>, Arc<()>)> {
        match &*self.state() {
            State::Owner(owner) => Some((Arc::clone(&owner.storage), owner.writing.clone()?)),
            State::Client(_) | State::Between(_) | State::Closed => None,
        }
    }

    fn reading(&self) -> Option<Arc<RocksStorage>> {
        match &*self.state() {
            State::Owner(owner) => Some(Arc::clone(&owner.storage)),
            State::Client(_) | State::Between(_) | State::Closed => None,
        }
    }

    fn service(&self) -> Option<Arc<dyn Service>> {
        self.asked()
    }

    fn hand_over(self: Arc<Self>) -> std::result::Result<(), String> {
        if self.wants_ownership() {
            return Err("it keeps it for as long as it runs".to_owned());
        }
        // Who closes the vault waits for the thread that runs this.
        let Ok(_handing) = self.handing.try_lock() else { return Err("it is about to close it".to_owned()) };
        if self.reading().is_some_and(|storage| storage.gate().is_busy()) {
            return Err("a restore is under way".to_owned());
        }
        let service = self.asked();
        if let Some(service) = &service {
            service.leave()?;
        }
        self.let_go(service.clone()).inspect_err(|_| {
            if let Some(service) = &service {
                service.left();
            }
        })
    }

    fn is_unstored(&self) -> bool {
        self.unstored.load(Ordering::Acquire)
    }

    fn gone(self: Arc<Self>, claim: Option<Claim>) {
        self.left(claim);
    }
}
