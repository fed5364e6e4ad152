//! Work in many commits, over every change of owner.
//!
//! That there is one such work at a time is the business of the lock `JOB`, which the process holds that does the work.
//! The gate that a restore closes belongs to the owner, so it is closed again at each new one; until that has happened, a
//! new owner that finds the work unfinished keeps its gate closed by itself.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::record::id::{IdSource, SystemIds};

use super::super::gate::Claim;
use super::super::lock::JobLock;
use super::super::remote::{CallError, Claimed, Client, made_before};
use super::super::rocksdb::RocksStorage;
use super::super::types::{Commit, Committed, Durability, Sequence};
use super::super::{Job, Result, Storage, StorageError};
use super::core::{Attempts, Call, Core, Entered, lock};

/// Where the gate is closed: in this process, or at the owner that a client speaks to.
enum Closed {
    Here(Claim),
    There(u64, Claimed),
}

/// Work in many commits.
pub(super) struct SharedJob<'a> {
    core: &'a Arc<Core>,
    excluding: AtomicBool,
    closed: Mutex<Option<Closed>>,
    _lock: JobLock,
}

impl<'a> SharedJob<'a> {
    pub(super) fn begin(core: &'a Arc<Core>) -> Result<Self> {
        let options = &core.settings.options;
        let lock = JobLock::take(&core.dir, options.lock_timeout, options.clock.now())?;
        Ok(Self { core, excluding: AtomicBool::new(false), closed: Mutex::default(), _lock: lock })
    }

    /// Closes the gate of this process, if it is not, and goes through it.
    fn through_here<T>(&self, storage: &RocksStorage, with: impl FnOnce(&Claim) -> Result<T>) -> Result<T> {
        let mut closed = lock(&self.closed);
        let claim = match closed.take() {
            Some(Closed::Here(claim)) if claim.is_of(storage.gate()) => claim,
            _ => storage.gate().claim(),
        };
        let result = with(&claim);
        *closed = Some(Closed::Here(claim));
        result
    }

    /// Closes the gate of an owner, if it is not, and goes through it.
    fn through_there<T>(
        &self,
        client: &Client,
        with: impl FnOnce(&Claimed) -> std::result::Result<T, CallError>,
    ) -> std::result::Result<T, CallError> {
        let mut closed = lock(&self.closed);
        let claimed = match closed.take() {
            Some(Closed::There(owner, claimed)) if owner == client.number() => claimed,
            _ => client.claim()?,
        };
        let result = with(&claimed);
        *closed = Some(Closed::There(client.number(), claimed));
        result
    }
}

impl Job for SharedJob<'_> {
    fn exclude(&self) -> Result<()> {
        self.core.call(
            Call::Repeatable,
            |storage| self.through_here(storage, |_| Ok(())),
            |client| self.through_there(client, |_| Ok(())),
        )?;
        self.excluding.store(true, Ordering::Release);
        Ok(())
    }

    fn commit(&self, commit: Commit) -> Result<Committed> {
        self.core.commit(commit, Some(self).filter(|job| job.excluding.load(Ordering::Acquire)))
    }

    /// An owner elsewhere sees for itself, when the job ends, that the work is unfinished.
    fn leave_unfinished(&self, why: &StorageError) {
        if let Entered::Owner(storage, _) = self.core.enter(false) {
            storage.stay_unfinished(why);
        }
    }
}

impl Drop for SharedJob<'_> {
    fn drop(&mut self) {
        let claim = match lock(&self.closed).take() {
            Some(Closed::Here(claim)) => Some(claim),
            Some(Closed::There(..)) | None => None,
        };
        self.core.left(claim);
    }
}

impl Core {
    /// Makes a commit, once, whoever owns the vault and whoever takes it over meanwhile: a commit for another process has
    /// a token, by which a later owner knows it again.
    pub(super) fn commit(&self, mut commit: Commit, job: Option<&SharedJob<'_>>) -> Result<Committed> {
        let mut attempts = Attempts::new(self);
        // The log had reached this sequence before the commit was asked for the first time without an answer.
        let mut since: Option<Sequence> = None;
        loop {
            match self.enter(true) {
                Entered::Owner(storage, _writing) => {
                    if let (Some(token), Some(since)) = (commit.token, since)
                        && let Some(committed) = made_before(&storage, token, since)?
                    {
                        if commit.durability == Durability::Sync {
                            storage.sync()?;
                        }
                        return Ok(committed);
                    }
                    return match job {
                        None => storage.commit(commit),
                        Some(job) => job.through_here(&storage, |claim| storage.commit_claiming(claim, commit)),
                    };
                }
                Entered::Client(client) => {
                    if commit.token.is_none() {
                        let mut token = [0; 16];
                        SystemIds.fill(&mut token)?;
                        commit.token = Some(token);
                    }
                    let reached = client.known();
                    let made = match job {
                        None => client.commit(commit.clone(), since, None),
                        Some(job) => {
                            job.through_there(&client, |claimed| client.commit(commit.clone(), since, Some(claimed)))
                        }
                    };
                    match made {
                        Ok(committed) => return Ok(committed),
                        Err(CallError::Storage(error)) => return Err(error),
                        Err(CallError::Silent) => return Err(self.unanswered()),
                        Err(CallError::Moved) => {}
                        Err(CallError::Lost) => {
                            since.get_or_insert(reached);
                        }
                    }
                    self.lost(&client);
                }
                Entered::Nobody => {}
            }
            if let Err(error) = attempts.pause() {
                return Err(if since.is_some() { self.unanswered() } else { error });
            }
        }
    }
}
