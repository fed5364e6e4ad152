//! Bringing in records from elsewhere: many commits that count as one.

use std::collections::HashMap;
use std::sync::PoisonError;

use crate::record::{Checksum, Kind};
use crate::storage::{Action, Change, Durability, Expect, Intent, Job, Origin, Prepared, Sequence};

use super::{Result, Vault, audit};

/// The most records in one commit.
const BATCH_RECORDS: usize = 1_000;
/// A commit is made once it has this many bytes of records.
const BATCH_BYTES: usize = 8 << 20;

/// What became of a record that was handed to an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is in the vault now.
    New,
    /// The vault had it already.
    Equal,
    /// The vault has another record under its id, and keeps that.
    Conflict,
}

/// An import that is under way.
pub(crate) struct Import<'a> {
    vault: Vault,
    job: &'a dyn Job,
    /// The sequence before the first commit, once there is one.
    since: Option<Sequence>,
    changes: Vec<Change>,
    /// The records in `changes`, by the SHA-256 of their files.
    waiting: HashMap<(Kind, String), Checksum>,
    bytes: usize,
}

impl Vault {
    /// Runs an import. What `work` hands over is committed in bounded batches and projects no timeline events; when
    /// `work` fails, all of it is undone, and after a crash the next opening undoes it. There is one import or restore
    /// at a time; other changes go on beside it.
    ///
    /// # Errors
    /// Those of `work` and of the storage. A record that somebody else creates under an id of the import, between the
    /// look and the commit, fails the import with [`crate::storage::StorageError::Exists`].
    pub(crate) fn import<T>(&self, work: impl FnOnce(&mut Import<'_>) -> Result<T>) -> Result<T> {
        self.import_all(work).inspect_err(|error| audit::vault_refused("import", &self.id(), &self.actor, error))
    }

    fn import_all<T>(&self, work: impl FnOnce(&mut Import<'_>) -> Result<T>) -> Result<T> {
        let _job = self.shared.job.lock().unwrap_or_else(PoisonError::into_inner);
        let job = self.begin_job()?;
        let mut import = Import {
            job: &*job,
            // Durable all at once: the intent is before the first batch, and the end is flushed before it is taken away.
            vault: self.with_durability(Durability::Buffered),
            since: None,
            changes: Vec::new(),
            waiting: HashMap::new(),
            bytes: 0,
        };
        let done = work(&mut import).and_then(|done| {
            import.commit()?;
            self.flush()?;
            Ok(done)
        });
        let Some(since) = import.since else { return done };
        match done {
            Ok(done) => {
                self.storage().set_intent(None)?;
                Ok(done)
            }
            Err(error) => {
                if let Err(fault) = self.abandon_import(&*job, since) {
                    tracing::error!(
                        target: "mirrordna::vault",
                        since,
                        error = %fault,
                        "an import could not be undone; the next opening of the vault does it",
                    );
                }
                drop(job);
                self.settle_all();
                Err(error)
            }
        }
    }

    fn abandon_import(&self, job: &dyn Job, since: Sequence) -> Result<()> {
        job.exclude()?;
        self.undo_import(job, since)?;
        Ok(self.storage().set_intent(None)?)
    }
}

impl Import<'_> {
    /// The vault that is imported into.
    pub(crate) fn vault(&self) -> &Vault {
        &self.vault
    }

    /// Hands over a record. Its schema and id are the caller's business.
    ///
    /// # Errors
    /// Those of the storage.
    pub(crate) fn add(&mut self, kind: Kind, id: &str, record: Prepared) -> Result<Taken> {
        let key = (kind, id.to_owned());
        // The file is made from the record alone, and a head has its checksum without the record being read.
        let file = record.file.sha256;
        let there = match self.waiting.get(&key) {
            Some(file) => Some(*file),
            None => self.vault.live_head(kind, id)?.map(|head| head.file.sha256),
        };
        match there {
            Some(there) if there == file => return Ok(Taken::Equal),
            Some(_) => return Ok(Taken::Conflict),
            None => {}
        }
        self.bytes += record.json.len();
        let action = Action::Put(Box::new(record));
        self.changes.push(Change { kind, id: id.to_owned(), action, expect: Expect::Absent, event: None });
        self.waiting.insert(key, file);
        if self.changes.len() >= BATCH_RECORDS || self.bytes >= BATCH_BYTES {
            self.commit()?;
        }
        Ok(Taken::New)
    }

    /// Whether a record is in the vault or about to be.
    ///
    /// # Errors
    /// Those of the storage.
    pub(crate) fn has(&self, kind: Kind, id: &str) -> Result<bool> {
        Ok(self.waiting.contains_key(&(kind, id.to_owned())) || self.vault.live_head(kind, id)?.is_some())
    }

    fn commit(&mut self) -> Result<()> {
        if self.changes.is_empty() {
            return Ok(());
        }
        if self.since.is_none() {
            let since = self.vault.storage().sync()?;
            self.vault.storage().set_intent(Some(&Intent::Import { since }))?;
            self.since = Some(since);
        }
        self.bytes = 0;
        self.waiting.clear();
        let commit = self.vault.plain_commit(std::mem::take(&mut self.changes), Origin::Import);
        let committed = self.vault.commit_through(Some(self.job), commit)?;
        self.vault.settle(committed.last);
        Ok(())
    }
}
