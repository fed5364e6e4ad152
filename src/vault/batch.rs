//! Batches: changes of records that are made together or not at all.
//!
//! A batch is a handle on the vault whose changes go into a draft instead of the storage, and which looks into the draft
//! before it looks into the storage. So the operations and rules of every kind of record serve it as they are.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::record::{Kind, Timestamp, Value};
use crate::storage::{
    Action, Change, Commit, Committed, Expect, Head, MAX_COMMIT_BYTES, MAX_COMMIT_CHANGES, NOW, Origin, Position,
    Posting, Prepared, Seen, Selection, Sequence, StorageError, Term, Version, listed_time,
};

use super::{
    AgentDna, Citations, Filter, Glyphtrail, Identities, Memories, NewEvent, Record, Records, Reflections, Result,
    Sessions, Timeline, Vault, audit,
};

/// Changes of records that are made together, in one commit, or not at all.
///
/// Its operations are those of the vault. Each is checked at once, against the vault as it is after the changes before it;
/// one that fails leaves the batch as it was. Nobody else sees any of them until [`Batch::commit`], and a batch that is
/// dropped changes nothing. What it has changed or read record by record must still be so at the commit, whoever writes
/// meanwhile; what was *not* found by a listing is not looked at again.
///
/// Until the commit, a record has the sequence 2^63 plus the number of the change within the batch.
#[must_use = "a batch changes nothing before it is committed"]
pub struct Batch {
    /// A handle with a draft.
    vault: Vault,
    draft: Arc<Draft>,
}

impl Vault {
    /// Begins a batch: changes that are made together or not at all, in the name and with the durability of this handle.
    pub fn batch(&self) -> Batch {
        let draft = Arc::<Draft>::default();
        Batch { vault: Self { draft: Some(Arc::clone(&draft)), ..self.clone() }, draft }
    }
}

impl Batch {
    /// Identities.
    #[must_use]
    pub fn identities(&self) -> Identities<'_> {
        self.vault.identities()
    }

    /// Sessions.
    #[must_use]
    pub fn sessions(&self) -> Sessions<'_> {
        self.vault.sessions()
    }

    /// Memories.
    #[must_use]
    pub fn memories(&self) -> Memories<'_> {
        self.vault.memories()
    }

    /// Agent DNA.
    #[must_use]
    pub fn agent_dna(&self) -> AgentDna<'_> {
        self.vault.agent_dna()
    }

    /// Reflections.
    #[must_use]
    pub fn reflections(&self) -> Reflections<'_> {
        self.vault.reflections()
    }

    /// Master citations.
    #[must_use]
    pub fn citations(&self) -> Citations<'_> {
        self.vault.citations()
    }

    /// The glyphtrail.
    #[must_use]
    pub fn glyphtrail(&self) -> Glyphtrail<'_> {
        self.vault.glyphtrail()
    }

    /// As [`Timeline::append`]. What the log tells of the other changes appears with the commit.
    ///
    /// # Errors
    /// As [`Timeline::append`].
    pub fn append_event(&self, new: NewEvent) -> Result<Record> {
        Timeline(&self.vault).append(new)
    }

    /// As [`Vault::put`].
    ///
    /// # Errors
    /// As [`Vault::put`].
    pub fn put(&self, kind: Kind, record: Value) -> Result<Record> {
        self.vault.put(kind, record)
    }

    /// As [`Vault::create_record`].
    ///
    /// # Errors
    /// As [`Vault::create_record`].
    pub fn create_record(&self, kind: Kind, record: Value) -> Result<Record> {
        self.vault.create_record(kind, record)
    }

    /// As [`Vault::delete`].
    ///
    /// # Errors
    /// As [`Vault::delete`].
    pub fn delete(&self, kind: Kind, id: &str) -> Result<()> {
        self.vault.delete(kind, id).map(drop)
    }

    /// A record as it is after the changes of the batch.
    ///
    /// # Errors
    /// As [`Vault::get`].
    pub fn get(&self, kind: Kind, id: &str) -> Result<Record> {
        self.vault.get(kind, id)
    }

    /// As [`Batch::get`], if the record is there.
    ///
    /// # Errors
    /// As [`Vault::find`].
    pub fn find(&self, kind: Kind, id: &str) -> Result<Option<Record>> {
        self.vault.find(kind, id)
    }

    /// The records that fit a filter, as they are after the changes of the batch.
    ///
    /// # Errors
    /// As [`Vault::list`].
    pub fn list(&self, kind: Kind, filter: &Filter) -> Result<Records> {
        self.vault.list(kind, filter)
    }

    /// How many changes it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.draft.lock().changes.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes all changes, in one commit. None when there are none to make.
    ///
    /// # Errors
    /// [`StorageError::Stale`] when somebody else changed a record that the batch has read or changed: begin it again.
    /// [`StorageError::Limit`] when it has read more than a commit can rely on, and those of the storage. After an error
    /// nothing is changed.
    pub fn commit(self) -> Result<Option<Committed>> {
        let (seen, changes) = self.draft.end();
        if changes.is_empty() {
            return Ok(None);
        }
        let commit = Commit { seen, ..self.vault.plain_commit(changes, Origin::Direct) };
        let committed = self.vault.commit_through(None, commit);
        let vault = &self.vault;
        let committed =
            committed.inspect_err(|error| audit::vault_refused("commit", &vault.id(), vault.actor(), error))?;
        self.vault.settle(committed.last);
        Ok(Some(committed))
    }
}

/// The sequence that the first change of a batch has until it is committed.
const FIRST: Sequence = 1 << 63;

type Key = (Kind, String);

/// The changes of a batch, and what they rely on.
#[derive(Default)]
pub(super) struct Draft(Mutex<Content>);

#[derive(Default)]
struct Content {
    changes: Vec<Change>,
    /// Bytes of records in them.
    bytes: usize,
    /// The last change of each record.
    last: BTreeMap<Key, Last>,
    /// Each record of the vault that was read or changed, as it was then; none when it was not there.
    seen: BTreeMap<Key, Option<Head>>,
}

#[derive(Clone, Copy)]
struct Last {
    /// Which of the changes it is.
    number: usize,
    /// See [`Version::birth`].
    birth: Sequence,
    time: Timestamp,
}

impl Draft {
    fn lock(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many changes it has.
    pub(super) fn len(&self) -> u64 {
        self.lock().changes.len() as u64
    }

    /// Takes all that is in it.
    fn end(&self) -> (Vec<Seen>, Vec<Change>) {
        let Content { changes, seen, .. } = std::mem::take(&mut *self.lock());
        let seen = seen.into_iter().map(|((kind, id), head)| Seen { kind, id, at: head.map(|head| head.sequence) });
        (seen.collect(), changes)
    }

    /// The newest version of a record, if it is there.
    pub(super) fn version(&self, vault: &Vault, kind: Kind, id: &str) -> Result<Option<Version>> {
        let mut draft = self.lock();
        let key = (kind, id.to_owned());
        if let Some(last) = draft.last.get(&key) {
            return Ok(draft.put(last).map(|prepared| version(last, prepared)));
        }
        let version = vault.storage().version(kind, id, NOW)?.filter(|version| !version.deleted);
        draft.note(key, version.as_ref().map(Head::from))?;
        Ok(version)
    }

    /// The newest version of a record in short, if it is there.
    pub(super) fn head(&self, vault: &Vault, kind: Kind, id: &str) -> Result<Option<Head>> {
        self.lock().head(vault, &(kind, id.to_owned()))
    }

    /// Adds a change.
    pub(super) fn add(&self, vault: &Vault, change: Change) -> Result<Committed> {
        let mut draft = self.lock();
        let key = (change.kind, change.id.clone());
        let before = draft.head(vault, &key)?;
        change.check(before.map(|head| head.sequence))?;
        let bytes = match &change.action {
            Action::Put(prepared) => prepared.json.len(),
            Action::Delete => 0,
        };
        draft.check_room(bytes)?;
        let number = draft.changes.len();
        let (sequence, time) = (FIRST + number as u64, vault.now());
        let birth = before.map_or(sequence, |head| head.birth);
        draft.bytes += bytes;
        draft.last.insert(key, Last { number, birth, time });
        // What it expects is so in the draft, and will be at the commit when all that was seen is as it was.
        draft.changes.push(Change { expect: Expect::Any, ..change });
        Ok(Committed { first: sequence, last: sequence, time })
    }

    /// As [`crate::storage::Storage::select`], with the records as the changes leave them.
    pub(super) fn select(
        &self,
        vault: &Vault,
        selection: &Selection,
        after: Option<Position>,
        limit: usize,
    ) -> Result<Vec<Posting>> {
        let draft = self.lock();
        let mut found = Vec::new();
        let mut place = after;
        while found.len() < limit {
            let page = vault.storage().select(selection, place, limit)?;
            let Some(last) = page.last() else { break };
            place = Some(Position::from(last));
            let changed = |posting: &Posting| draft.last.contains_key(&(selection.kind, posting.id.clone()));
            found.extend(page.into_iter().filter(|posting| !changed(posting)));
        }
        let order = |a: Position, b: Position| selection.order.compare(a, b);
        let behind = |posting: &Posting| after.is_none_or(|after| order(after, posting.into()).is_lt());
        found.extend(draft.fitting(selection).filter(behind));
        found.sort_by(|a, b| order(a.into(), b.into()));
        found.truncate(limit);
        Ok(found)
    }
}

impl Content {
    /// What a change stores; none when it deletes.
    fn put(&self, last: &Last) -> Option<&Prepared> {
        match &self.changes.get(last.number)?.action {
            Action::Put(prepared) => Some(prepared),
            Action::Delete => None,
        }
    }

    fn head(&mut self, vault: &Vault, key: &Key) -> Result<Option<Head>> {
        if let Some(last) = self.last.get(key) {
            return Ok(self.put(last).map(|prepared| head(last, prepared)));
        }
        let head = vault.storage().head(key.0, &key.1)?.filter(|head| !head.deleted);
        self.note(key.clone(), head)?;
        Ok(head)
    }

    /// Notes how a record of the vault is. Once it is not as it was, nothing more can come of the batch.
    fn note(&mut self, (kind, id): Key, head: Option<Head>) -> Result<()> {
        let before = *self.seen.entry((kind, id.clone())).or_insert(head);
        let seen = Seen { kind, id, at: before.map(|head| head.sequence) };
        Ok(seen.check(head.map(|head| head.sequence))?)
    }

    fn check_room(&self, bytes: usize) -> Result<()> {
        let limit = |what: &str, limit| Err(StorageError::Limit { what: what.to_owned(), limit }.into());
        if self.changes.len() >= MAX_COMMIT_CHANGES {
            return limit("too many changes in one batch", MAX_COMMIT_CHANGES);
        }
        if self.bytes + bytes > MAX_COMMIT_BYTES {
            return limit("too many bytes of records in one batch", MAX_COMMIT_BYTES);
        }
        Ok(())
    }

    /// What the indexes would say of the changed records that fit.
    fn fitting(&self, selection: &Selection) -> impl Iterator<Item = Posting> {
        let of_kind = self.last.iter().filter(|((kind, _), _)| *kind == selection.kind);
        of_kind.filter_map(|((_, id), last)| {
            let prepared = self.put(last)?;
            let time = listed_time(&prepared.terms, last.time);
            let has = |(index, text): &(u16, String)| prepared.terms.contains(&(*index, Term::Text(text.clone())));
            let fits = selection.terms.iter().all(has)
                && selection.time.as_ref().is_none_or(|range| range.contains(&time))
                && selection.archived.is_none_or(|archived| archived == prepared.archived);
            fits.then(|| Posting { birth: last.birth, time, archived: prepared.archived, id: id.clone() })
        })
    }
}

/// The head that a change brings, as far as it is known before the commit.
fn head(last: &Last, prepared: &Prepared) -> Head {
    Head {
        sequence: FIRST + last.number as u64,
        birth: last.birth,
        time: last.time,
        file: prepared.file,
        lenient: prepared.lenient,
        deleted: false,
        archived: prepared.archived,
    }
}

/// The version that a change brings, as far as it is known before the commit.
fn version(last: &Last, prepared: &Prepared) -> Version {
    let Head { sequence, birth, time, file, lenient, deleted, archived } = head(last, prepared);
    Version {
        sequence,
        birth,
        time,
        checksum: prepared.checksum,
        file,
        salt: [0; 16],
        lenient,
        deleted,
        archived,
        terms: prepared.terms.clone(),
        json: prepared.json.clone(),
    }
}
