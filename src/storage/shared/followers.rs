//! Leases and subscribers of this process, over every change of owner.
//!
//! Each new owner is told of them before any call reaches it, and what changed while nobody owned the vault, or somebody
//! else was not yet told of them, is read from the log.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, Weak};

use crate::record::Kind;

use super::super::remote::{CallError, Client};
use super::super::rocksdb::RocksStorage;
use super::super::types::{LogEntry, Sequence, Term, Version};
use super::super::{Changed, Lease, Result, Storage, Subscriber};
use super::core::{Attempts, Core, Entered, lock};

/// Log entries read at once by who missed some.
const PAGE: usize = 1_024;

/// Leases by number: what they keep, and the lease of the storage while this process owns it.
#[derive(Default)]
struct Leases {
    next: u64,
    held: BTreeMap<u64, (Sequence, Option<Lease>)>,
}

/// Leases and subscribers of this process. Their locks are taken in this order, and before that of the state.
#[derive(Default)]
pub(super) struct Followers {
    leases: Mutex<Leases>,
    subscribers: Mutex<Vec<Weak<dyn Subscriber>>>,
    /// The newest change that subscribers know of, once somebody subscribed.
    told: Mutex<Option<Sequence>>,
}

/// A lease of this process, wherever the vault is.
struct SharedLease {
    core: Weak<Core>,
    number: u64,
}

impl Drop for SharedLease {
    fn drop(&mut self) {
        if let Some(core) = self.core.upgrade() {
            core.followers.release(&core, self.number);
        }
    }
}

/// Where the past can be read.
trait Past {
    fn entries(&self, from: Sequence) -> Option<Vec<LogEntry>>;
    fn at(&self, kind: Kind, id: &str, sequence: Sequence) -> Option<Version>;
}

impl Past for RocksStorage {
    fn entries(&self, from: Sequence) -> Option<Vec<LogEntry>> {
        self.log(from, PAGE).ok()
    }

    fn at(&self, kind: Kind, id: &str, sequence: Sequence) -> Option<Version> {
        self.version(kind, id, sequence).ok().flatten()
    }
}

impl Past for Client {
    fn entries(&self, from: Sequence) -> Option<Vec<LogEntry>> {
        self.log(from, PAGE).ok()
    }

    fn at(&self, kind: Kind, id: &str, sequence: Sequence) -> Option<Version> {
        self.version(kind, id, sequence).ok().flatten()
    }
}

impl Followers {
    /// Everybody here follows the storage of this process. `enter` lets the calls in.
    pub(super) fn follow_owner(&self, storage: &RocksStorage, enter: impl FnOnce()) {
        let mut leases = lock(&self.leases);
        for (at, lease) in leases.held.values_mut() {
            *lease = Some(storage.lease(*at));
        }
        let mut subscribers = lock(&self.subscribers);
        subscribers.retain(|subscriber| subscriber.strong_count() > 0);
        for subscriber in subscribers.iter().filter_map(Weak::upgrade) {
            storage.add_subscriber(&subscriber);
        }
        let told = *lock(&self.told);
        if let Some(told) = told {
            // Nobody commits yet.
            self.read_missed(storage, &subscribers, told, storage.state().sequence);
        }
        enter();
    }

    /// This process is about to let go of the storage. No change is under way.
    pub(super) fn leave_owner(&self, storage: &RocksStorage) {
        for (_, lease) in lock(&self.leases).held.values_mut() {
            *lease = None;
        }
        if !lock(&self.subscribers).is_empty() {
            *lock(&self.told) = Some(storage.state().sequence);
        }
    }

    /// This process keeps the storage after all: see [`Followers::leave_owner`].
    pub(super) fn stay_owner(&self, storage: &RocksStorage) {
        for (at, lease) in lock(&self.leases).held.values_mut() {
            *lease = Some(storage.lease(*at));
        }
    }

    /// Everybody here follows another owner. `enter` lets the calls in. False when that owner is gone already.
    pub(super) fn follow_client(&self, client: &Client, enter: impl FnOnce()) -> bool {
        let leases = lock(&self.leases);
        for (number, (at, _)) in &leases.held {
            if client.lease(*number, *at).is_err() {
                return false;
            }
        }
        let mut subscribers = lock(&self.subscribers);
        subscribers.retain(|subscriber| subscriber.strong_count() > 0);
        if !subscribers.is_empty() && client.ask_for_changes().is_err() {
            return false;
        }
        enter();
        true
    }

    /// Tells of what was committed before the owner began to tell of changes.
    pub(super) fn catch_up(&self, client: &Client, until: Sequence) {
        let subscribers = lock(&self.subscribers);
        let told = *lock(&self.told);
        match told {
            Some(told) => self.read_missed(client, &subscribers, told, until),
            None => *lock(&self.told) = Some(until),
        }
    }

    /// Tells of changes, and before of those that were missed.
    pub(super) fn tell(&self, client: &Client, mut changes: Vec<Changed>) {
        let subscribers = lock(&self.subscribers);
        let (Some(first), Some(last)) = (changes.first(), changes.last()) else { return };
        let (first, last) = (first.entry.sequence, last.entry.sequence);
        let told = *lock(&self.told);
        if let Some(told) = told {
            if first > told + 1 {
                self.read_missed(client, &subscribers, told, first - 1);
            }
            changes.retain(|change| change.entry.sequence > told);
        }
        deliver(&subscribers, &changes);
        let mut told = lock(&self.told);
        *told = (*told).max(Some(last));
    }

    /// Waits until all subscribers have acted on the changes up to a sequence.
    pub(super) fn settle(&self, upto: Sequence) {
        let subscribers: Vec<_> = lock(&self.subscribers).iter().filter_map(Weak::upgrade).collect();
        for subscriber in subscribers {
            subscriber.settle(upto);
        }
    }

    /// Makes from the log, and tells, what changed after `told` up to `until`.
    fn read_missed(&self, past: &dyn Past, subscribers: &[Weak<dyn Subscriber>], mut told: Sequence, until: Sequence) {
        while told < until {
            let Some(mut page) = past.entries(told + 1) else { return };
            page.retain(|entry| entry.sequence <= until);
            let Some(last) = page.last().map(|entry| entry.sequence) else { return };
            let changes: Vec<Changed> = page.into_iter().filter_map(|entry| changed(past, entry)).collect();
            deliver(subscribers, &changes);
            told = last;
            *lock(&self.told) = Some(told);
        }
    }

    fn release(&self, core: &Core, number: u64) {
        let held = lock(&self.leases).held.remove(&number);
        if held.is_some()
            && let Entered::Client(client) = core.enter(false)
            && client.release(number).is_err()
        {
            // Its connection is gone, and the lease with it.
            tracing::debug!(target: "mirrordna::storage", number, "a lease ended with its connection");
        }
    }
}

/// A change as a subscriber would have been told of it. Terms of a version that was pruned since are left out.
fn changed(past: &dyn Past, entry: LogEntry) -> Option<Changed> {
    let kind = entry.kind?;
    let terms = |sequence: Sequence| -> Vec<(u16, Term)> {
        let version = past.at(kind, &entry.id, sequence).filter(|version| !version.deleted);
        version.map(|version| version.terms).unwrap_or_default()
    };
    let (before, after) = (terms(entry.sequence - 1), terms(entry.sequence));
    Some(Changed { entry, before, after })
}

fn deliver(subscribers: &[Weak<dyn Subscriber>], changes: &[Changed]) {
    if changes.is_empty() {
        return;
    }
    for subscriber in subscribers.iter().filter_map(Weak::upgrade) {
        if catch_unwind(AssertUnwindSafe(|| subscriber.changed(changes))).is_err() {
            tracing::error!(target: "mirrordna::storage", "a subscriber to changes panicked");
        }
    }
}

impl Core {
    /// From now on calls `subscriber` for each commit.
    pub(super) fn subscribe(&self, subscriber: &Arc<dyn Subscriber>) -> Result<()> {
        let mut attempts = Attempts::new(self);
        loop {
            let following = {
                let mut subscribers = lock(&self.followers.subscribers);
                match self.enter(false) {
                    Entered::Owner(storage, _) => {
                        subscribers.push(Arc::downgrade(subscriber));
                        storage.add_subscriber(subscriber);
                        return Ok(());
                    }
                    Entered::Client(client) => {
                        let asked = client.ask_for_changes();
                        if asked.is_ok() {
                            subscribers.push(Arc::downgrade(subscriber));
                        }
                        Some((client, asked))
                    }
                    Entered::Nobody => None,
                }
            };
            match following {
                // The thread that follows the owner goes on with whoever owns the vault next.
                Some((client, Ok(()))) => {
                    client.wait_for_changes();
                    return Ok(());
                }
                Some((client, Err(CallError::Silent | CallError::Lost | CallError::Moved))) => self.lost(&client),
                Some((_, Err(CallError::Storage(error)))) => return Err(error),
                None => {}
            }
            attempts.pause()?;
        }
    }

    /// Keeps what is needed to read at a sequence.
    pub(super) fn lease(self: &Arc<Self>, at: Sequence) -> Lease {
        let mut leases = lock(&self.followers.leases);
        leases.next += 1;
        let number = leases.next;
        let lease = match self.enter(false) {
            Entered::Owner(storage, _) => Some(storage.lease(at)),
            Entered::Client(client) => {
                if client.lease(number, at).is_err() {
                    // Whoever is found next is told of it.
                    self.lost(&client);
                }
                None
            }
            Entered::Nobody => None,
        };
        leases.held.insert(number, (at, lease));
        drop(leases);
        Lease(Arc::new(SharedLease { core: Arc::downgrade(self), number }))
    }
}
