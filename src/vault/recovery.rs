//! Work in many commits that must not be left half done: a restore is finished, an import is undone.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError};

use crate::record::{Kind, RecordError, json};
use crate::storage::{
    Action, Change, Commit, Expect, FileRows, Ino, Intent, Job, LogEntry, MAX_COMMIT_BYTES, MAX_FILE_ROWS, Operation,
    Origin, Recovery, Sequence, StorageError, Version, prepare,
};

use super::view::all_heads;
use super::{Error, LOG_PAGE, Result, Vault, VaultOptions};

/// Changes in one commit of a restore.
const BATCH: usize = 500;

/// What a storage is to do about work that was interrupted, when this process owns it and nobody is at that work.
pub(crate) fn recovery(options: &VaultOptions) -> Arc<Recovery> {
    let options = options.clone();
    Arc::new(move |storage, job, intent| Vault::over(storage, &options).recover(job, intent).map_err(into_storage))
}

/// Whether what keeps a restore from being finished may pass by itself.
fn may_pass(error: &Error) -> bool {
    matches!(
        error,
        Error::Storage(
            StorageError::NoSpace { .. }
                | StorageError::Permission { .. }
                | StorageError::Io { .. }
                | StorageError::Engine { .. }
                | StorageError::Unanswered { .. }
                | StorageError::Locked { .. }
        )
    )
}

/// What keeps work from being finished, in the words of the storage.
fn into_storage(error: Error) -> StorageError {
    match error {
        Error::Storage(error) => error,
        other => StorageError::Corrupt { what: "work that was interrupted".to_owned(), detail: other.to_string() },
    }
}

impl Vault {
    /// Finishes or undoes what was interrupted.
    fn recover(&self, job: &dyn Job, intent: &Intent) -> Result<()> {
        job.exclude()?;
        match *intent {
            // Nothing was changed yet, and others may have gone on: there is nothing to finish.
            Intent::Restore { start: None, .. } => {}
            Intent::Restore { target, start: Some(start) } => {
                tracing::warn!(target: "mirrordna::vault", target, "finishing a restore that was interrupted");
                if let Err(error) = self.bring_to(job, target, &mut |_, _| {}) {
                    if may_pass(&error) || start == target {
                        return Err(error);
                    }
                    tracing::error!(target: "mirrordna::vault", target, %error, "the restore cannot be finished: undoing it");
                    return self.undo_restore(job, start);
                }
                // As every restore does.
                self.storage().begin_epoch("finished a restore that was interrupted", &self.actor)?;
            }
            Intent::Import { since } => {
                tracing::warn!(target: "mirrordna::vault", since, "undoing an import that was interrupted");
                self.undo_import(job, since)?;
            }
        }
        Ok(self.storage().set_intent(None)?)
    }

    /// Begins an import or a restore. What another one left half done comes first.
    pub(super) fn begin_job(&self) -> Result<Box<dyn Job + '_>> {
        let job = self.storage().job()?;
        if let Some(intent) = self.storage().intent()? {
            self.recover(&*job, &intent)?;
            // The gate is closed now, and not for what comes.
            drop(job);
            return Ok(self.storage().job()?);
        }
        Ok(job)
    }

    /// Brings the present to a sequence, in bounded commits that are finished after a crash, while nothing else changes.
    /// Returns how many records were put back and how many deleted. `progress` is told how many of the records that may have
    /// to change, which are all that changed since, were looked at. What fails in the middle is undone.
    ///
    /// # Errors
    /// [`Error::HalfRestored`] when it could not be undone either.
    pub(super) fn restore_to(
        &self,
        target: Sequence,
        reason: &str,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(u64, u64)> {
        let here = self.shared.job.lock().unwrap_or_else(PoisonError::into_inner);
        let job = self.begin_job()?;
        // It may have been pruned since it was looked at.
        let _held = self.at(target)?;
        // Before the gate is closed: whoever holds changes of artifacts back commits them now.
        let begun = self.storage().set_intent(Some(&Intent::Restore { target, start: None }));
        let begun = begun.and_then(|()| job.exclude()).and_then(|()| {
            // By this it is finished or undone, and from here on nobody else changes anything.
            let start = self.storage().sync()?;
            self.storage().set_intent(Some(&Intent::Restore { target, start: Some(start) }))?;
            Ok(start)
        });
        let start = begun.inspect_err(|_| {
            // Nothing was changed yet. Without an answer to this either, the owner finds what there is to do, when this job ends.
            let _ = self.storage().set_intent(None);
        })?;
        let _undo_lease = self.storage().lease(start);
        let mut restore = || {
            let done = self.bring_to(&*job, target, progress)?;
            self.storage().begin_epoch(reason, &self.actor)?;
            self.storage().set_intent(None)?;
            Ok(done)
        };
        let done = restore().map_err(|error: Error| {
            // Who owns the vault by then finishes it.
            if let Error::Storage(StorageError::Unanswered { .. } | StorageError::Locked { .. }) = error {
                return error;
            }
            match self.undo_restore(&*job, start) {
                Ok(()) => error,
                Err(undoing) => {
                    job.leave_unfinished(&into_storage(undoing));
                    Error::HalfRestored { source: Box::new(error) }
                }
            }
        });
        drop((job, here));
        // What failed and was undone was seen by all, too.
        self.settle_all();
        done
    }

    /// Brings back what was there before a restore that cannot be finished.
    fn undo_restore(&self, job: &dyn Job, start: Sequence) -> Result<()> {
        job.exclude()?;
        // Should this be interrupted, that is what is finished.
        self.storage().set_intent(Some(&Intent::Restore { target: start, start: Some(start) }))?;
        self.bring_to(job, start, &mut |_, _| {})?;
        Ok(self.storage().set_intent(None)?)
    }

    fn bring_to(&self, job: &dyn Job, target: Sequence, progress: &mut dyn FnMut(u64, u64)) -> Result<(u64, u64)> {
        let mut total = 0;
        for changed in self.changed_since(target) {
            changed?;
            total += 1;
        }
        let mut batch = Batch {
            vault: self,
            job,
            changes: Vec::new(),
            files: FileRows::default(),
            names: HashSet::new(),
            bytes: 0,
        };
        let (mut put, mut deleted) = (0, 0);
        for (done, changed) in (1..).zip(self.changed_since(target)) {
            let (kind, id, now) = changed?;
            let now = self.storage().version(kind, &id, now)?.filter(|version| !version.deleted);
            let then = self.storage().version(kind, &id, target)?.filter(|version| !version.deleted);
            let action = match (now, then) {
                (Some(now), Some(then)) if now.checksum == then.checksum => None,
                (None, None) => None,
                (Some(_), None) => {
                    deleted += 1;
                    Some(Action::Delete)
                }
                (_, Some(then)) => {
                    put += 1;
                    Some(put_back(kind, &id, &then)?)
                }
            };
            if let Some(action) = action {
                let files = match kind {
                    Kind::Artifact => self.rows_at(&id, target)?,
                    _ => FileRows::default(),
                };
                batch.add(Change { kind, id, action, expect: Expect::Any, event: None }, files)?;
            }
            progress(done, total);
        }
        batch.commit()?;
        Ok((put, deleted))
    }

    /// The records that changed after a sequence, with their newest one. Snapshots are about the past and stay, whatever the
    /// present becomes.
    fn changed_since(&self, target: Sequence) -> impl Iterator<Item = Result<(Kind, String, Sequence)>> + '_ {
        Kind::STORED.into_iter().filter(|kind| *kind != Kind::Snapshot).flat_map(move |kind| {
            all_heads(self, kind).filter_map(move |item| match item {
                Ok((id, head)) => (head.sequence > target).then_some(Ok((kind, id, head.sequence))),
                Err(error) => Some(Err(error)),
            })
        })
    }

    /// Deletes what an import created since a sequence. An import only creates; what it brought and somebody changed
    /// since is theirs and stays.
    pub(super) fn undo_import(&self, job: &dyn Job, since: Sequence) -> Result<()> {
        let imported = |entry: &LogEntry| entry.origin == Origin::Import && entry.operation == Operation::Create;
        let mut next = since + 1;
        loop {
            let page = self.log(next, LOG_PAGE)?;
            if page.is_empty() {
                return Ok(());
            }
            next += page.len() as u64;
            let mut changes = Vec::new();
            for entry in page.into_iter().filter(imported) {
                let Some(kind) = entry.kind else { continue };
                let head = self.storage().head(kind, &entry.id)?;
                if head.is_some_and(|head| !head.deleted && head.sequence == entry.sequence) {
                    let expect = Expect::At(entry.sequence);
                    changes.push(Change { kind, id: entry.id, action: Action::Delete, expect, event: None });
                }
            }
            if !changes.is_empty() {
                self.commit_through(Some(job), self.plain_commit(changes, Origin::Rollback))?;
            }
        }
    }
}

fn put_back(kind: Kind, id: &str, then: &Version) -> Result<Action> {
    let record = json::parse(&then.json).map_err(RecordError::from)?;
    Ok(Action::Put(Box::new(prepare(kind, id, &record, then.lenient)?)))
}

struct Batch<'a> {
    vault: &'a Vault,
    job: &'a dyn Job,
    changes: Vec<Change>,
    files: FileRows,
    /// Names among `files`: two inodes may have had the same one, one after the other.
    names: HashSet<(Ino, Vec<u8>)>,
    bytes: usize,
}

impl Batch<'_> {
    fn add(&mut self, change: Change, files: FileRows) -> Result<()> {
        let bytes = match &change.action {
            Action::Put(prepared) => prepared.json.len(),
            Action::Delete => 0,
        };
        // The rows of a file go with its inode.
        if self.bytes + bytes > MAX_COMMIT_BYTES / 4
            || self.files.extents.len() + files.extents.len() > MAX_FILE_ROWS / 4
        {
            self.commit()?;
        }
        self.bytes += bytes;
        for (parent, name, dentry) in files.dentries {
            if self.names.insert((parent, name.clone())) {
                self.files.dentries.push((parent, name, dentry));
            }
        }
        self.files.extents.extend(files.extents);
        self.changes.push(change);
        if self.changes.len() >= BATCH { self.commit() } else { Ok(()) }
    }

    fn commit(&mut self) -> Result<()> {
        self.bytes = 0;
        let changes = std::mem::take(&mut self.changes);
        let files = std::mem::take(&mut self.files);
        self.names.clear();
        if !changes.is_empty() {
            let commit = Commit { files, ..self.vault.plain_commit(changes, Origin::Restore) };
            self.vault.commit_through(Some(self.job), commit)?;
        }
        Ok(())
    }
}
