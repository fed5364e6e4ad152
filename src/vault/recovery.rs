//! Work in many commits that must not be left half done: a restore is finished, an import is undone.

use std::collections::HashSet;
use std::sync::PoisonError;

use crate::record::{Kind, RecordError, json};
use crate::storage::{
    Action, Change, Expect, FileRows, Ino, Intent, LogEntry, MAX_COMMIT_BYTES, MAX_FILE_ROWS, Operation, Origin,
    Sequence, Version, prepare,
};

use super::view::all_heads;
use super::{LOG_PAGE, Result, Vault};

/// Changes in one commit of a restore.
const BATCH: usize = 500;

impl Vault {
    /// Finishes or undoes what a crash interrupted.
    pub(super) fn recover(&self) -> Result<()> {
        let Some(intent) = self.storage().intent()? else { return Ok(()) };
        match intent {
            Intent::Restore { target } => {
                tracing::warn!(target: "mirrordna::vault", target, "finishing a restore that was interrupted");
                self.bring_to(target, &mut |_, _| {})?;
            }
            Intent::Import { since } => {
                tracing::warn!(target: "mirrordna::vault", since, "undoing an import that was interrupted");
                self.undo_import(since)?;
            }
        }
        Ok(self.storage().set_intent(None)?)
    }

    /// Brings the present to a sequence, in bounded commits that are finished after a crash, while nothing else changes.
    /// Returns how many records were put back and how many deleted. `progress` is told how many of the records that may have
    /// to change, which are all that changed since, were looked at.
    pub(super) fn restore_to(
        &self,
        target: Sequence,
        reason: &str,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(u64, u64)> {
        let job = self.shared.job.lock().unwrap_or_else(PoisonError::into_inner);
        let gate = self.shared.gate.write().unwrap_or_else(PoisonError::into_inner);
        let _lease = self.storage().lease(target);
        self.storage().set_intent(Some(&Intent::Restore { target }))?;
        let done = self.bring_to(target, progress)?;
        self.storage().begin_epoch(reason, &self.actor)?;
        self.storage().set_intent(None)?;
        drop((gate, job));
        self.settle(self.state().sequence);
        Ok(done)
    }

    fn bring_to(&self, target: Sequence, progress: &mut dyn FnMut(u64, u64)) -> Result<(u64, u64)> {
        let mut total = 0;
        for changed in self.changed_since(target) {
            changed?;
            total += 1;
        }
        let mut batch =
            Batch { vault: self, changes: Vec::new(), files: FileRows::default(), names: HashSet::new(), bytes: 0 };
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
    pub(super) fn undo_import(&self, since: Sequence) -> Result<()> {
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
                self.commit_through(changes, FileRows::default(), Origin::Rollback, self.durability)?;
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
            self.vault.commit_through(changes, files, Origin::Restore, self.vault.durability)?;
        }
        Ok(())
    }
}
