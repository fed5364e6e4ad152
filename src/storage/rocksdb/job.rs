//! Work in many commits, and the gate that it closes for all others.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::super::gate::{Claim, Gate, Pass, Reserved};
use super::super::lock::JobLock;
use super::super::types::{Commit, Committed};
use super::super::{Job, Result, StorageError};
use super::{RocksStorage, lock};

/// Longer than it takes a process to find a new owner.
const RECONNECTION: Duration = Duration::from_secs(1);

impl RocksStorage {
    /// What commits go through.
    pub(in crate::storage) fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// Somebody holds changes of artifacts back in the memory of this process.
    pub(in crate::storage) fn is_held_back(&self) -> bool {
        !self.holders().is_empty()
    }

    /// Other processes that had leases from an owner before are on their way to this one: no prune begins before they are
    /// here.
    pub(in crate::storage) fn expect_leases(&self) {
        *lock(&self.prunes_from) = Some(Instant::now() + RECONNECTION);
    }

    /// Work cannot be finished, and not be undone either: until it is, others may look and not change anything.
    pub(in crate::storage) fn stay_unfinished(&self, why: &StorageError) {
        self.gate.reserve(Some(Reserved::Failing(why.again(&self.dir))));
        self.resume_holders(Some(why));
    }

    pub(super) fn wait_for_leases(&self) {
        let from = *lock(&self.prunes_from);
        if let Some(left) = from.and_then(|from| from.checked_duration_since(Instant::now())) {
            std::thread::sleep(left);
        }
    }

    /// Commits, having passed the gate.
    pub(in crate::storage) fn commit_past(&self, _: &Pass<'_>, commit: Commit) -> Result<Committed> {
        self.enqueue(commit)
    }

    /// Commits, having closed the gate for all others.
    pub(in crate::storage) fn commit_claiming(&self, _: &Claim, commit: Commit) -> Result<Committed> {
        self.enqueue(commit)
    }

    pub(super) fn begin_job(&self) -> Result<Box<dyn Job + '_>> {
        Ok(Box::new(RocksJob::new(self, self.lock_jobs()?)))
    }

    /// Keeps imports, restores and prunes from beginning, and backups.
    pub(super) fn lock_jobs(&self) -> Result<JobLock> {
        JobLock::take(&self.dir, self.lock_timeout, self.clock.now())
    }
}

/// Work in many commits on a storage of this process.
pub(in crate::storage) struct RocksJob<'a> {
    storage: &'a RocksStorage,
    claim: OnceLock<Claim>,
    _lock: JobLock,
}

impl<'a> RocksJob<'a> {
    pub(in crate::storage) fn new(storage: &'a RocksStorage, lock: JobLock) -> Self {
        Self { storage, claim: OnceLock::new(), _lock: lock }
    }
}

impl Job for RocksJob<'_> {
    fn exclude(&self) -> Result<()> {
        self.claim.get_or_init(|| self.storage.gate.claim());
        Ok(())
    }

    fn commit(&self, commit: Commit) -> Result<Committed> {
        match self.claim.get() {
            Some(claim) => self.storage.commit_claiming(claim, commit),
            None => super::Storage::commit(self.storage, commit),
        }
    }

    fn leave_unfinished(&self, why: &StorageError) {
        self.storage.stay_unfinished(why);
    }
}
