//! The vault: records of every kind over a storage.
//!
//! [`Vault`] has what all kinds share: put, get, list, history, delete, at present or at a sequence. Each kind has a file
//! here with the rules of its records and the operations of its own.

mod agent_dna;
pub(crate) mod audit;
mod batch;
mod citations;
mod error;
mod filter;
mod from_json;
mod history;
mod identities;
mod import;
mod log;
mod memories;
mod overview;
mod recovery;
mod reflections;
mod restore_files;
mod rules;
mod sessions;
mod snapshots;
mod timeline;
mod view;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::artifacts::Artifacts;
use crate::files::{Files, Home};
use crate::record::id::{self, IdSource, NoRandomness, SystemIds};
use crate::record::time::{Clock, SystemClock};
use crate::record::{Checksum, Kind, Map, RecordError, Timestamp, Value, json, schema};
use crate::storage::{
    Action, Change, Commit, Committed, Durability, Event, Expect, FileRows, Head, Job, LogEntry, LogState, NOW,
    OpenOptions, Origin, Ownership, Position, Posting, PrunePolicy, Pruned, Selection, Sequence, SharedStorage,
    Storage, StorageError, Subscriber, Version, prepare,
};

use batch::Draft;

pub use agent_dna::AgentDna;
pub use batch::Batch;
pub use citations::{Chain, Citations, Glyphtrail};
pub use error::{Error, Result};
pub use filter::{Filter, Records, Wanted};
pub use history::Past;
pub use identities::{Identities, NewIdentity};
pub(crate) use import::{Import, Taken};
pub use memories::{Memories, MemoryUpdate, NewMemory, Tier};
pub use overview::Overview;
pub(crate) use recovery::recovery;
pub use reflections::{NewReflection, ReflectionType, Reflections};
pub(crate) use rules::chain_fields;
pub use sessions::{Lineage, NewSession, Sessions};
pub use snapshots::{Difference, DifferenceKind, NewSnapshot, Pin, Restored, Snapshots};
pub use timeline::{EventQuery, NewEvent, Timeline};
pub use view::View;

/// Who the log names when nobody is named.
pub const DEFAULT_ACTOR: &str = "system";

/// How often a change is tried again when somebody else changed the record in the meantime. Whenever that happens somebody else has
/// got on; so often in a row it happens only where nothing can come of it, as in a batch.
const RETRIES: usize = 1_000;
/// Log entries read at once.
pub(crate) const LOG_PAGE: usize = 4_096;

/// A record and what the vault knows of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Which kind of record.
    pub kind: Kind,
    /// Its id.
    pub id: String,
    /// The record.
    pub value: Value,
    /// Its protocol checksum.
    pub checksum: Checksum,
    /// The log entry that brought this version.
    pub sequence: Sequence,
    /// When this version was committed.
    pub time: Timestamp,
    /// It breaks its schema and was imported all the same.
    pub lenient: bool,
}

impl Record {
    fn new(kind: Kind, id: &str, version: &Version) -> Result<Self> {
        Ok(Self::parsed(kind, id, version, parse(version)?))
    }

    /// A version that was parsed already.
    fn parsed(kind: Kind, id: &str, version: &Version, value: Value) -> Self {
        Self {
            kind,
            id: id.to_owned(),
            value,
            checksum: version.checksum,
            sequence: version.sequence,
            time: version.time,
            lenient: version.lenient,
        }
    }
}

fn parse(version: &Version) -> Result<Value> {
    Ok(json::parse(&version.json).map_err(RecordError::from)?)
}

/// How a vault is opened or created.
#[derive(Clone)]
pub struct VaultOptions {
    /// How long to wait for a process that has the vault open and does not answer.
    pub lock_timeout: Duration,
    /// Whether this process wants to own the vault itself.
    pub ownership: Ownership,
    /// When changes count as done, unless a handle says otherwise.
    pub durability: Durability,
    /// Who the log names.
    pub actor: String,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where generated ids come from.
    pub ids: Arc<dyn IdSource>,
}

impl Default for VaultOptions {
    fn default() -> Self {
        Self {
            lock_timeout: Duration::from_secs(5),
            ownership: Ownership::Any,
            durability: Durability::Sync,
            actor: DEFAULT_ACTOR.to_owned(),
            clock: Arc::new(SystemClock),
            ids: Arc::new(SystemIds),
        }
    }
}

impl VaultOptions {
    /// What of it is the storage's business.
    pub(crate) fn storage(&self) -> OpenOptions {
        OpenOptions { lock_timeout: self.lock_timeout, clock: Arc::clone(&self.clock), ..OpenOptions::default() }
    }
}

struct Shared {
    storage: Arc<dyn Storage>,
    /// Where it lies, when it lies in a directory.
    dir: Option<PathBuf>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    /// Held by an import or a restore of this process. Those of other processes are the storage's business.
    job: Mutex<()>,
    files: Arc<Home>,
}

/// An open vault. Clones are handles on the same vault; the last one to be dropped closes it.
#[derive(Clone)]
pub struct Vault {
    shared: Arc<Shared>,
    actor: Arc<str>,
    durability: Durability,
    /// Its changes wait until the subscribers have acted on them.
    settles: bool,
    /// Where the changes of a batch go, and what it sees of them; none for a handle that changes the vault itself.
    draft: Option<Arc<Draft>>,
}

impl Vault {
    /// Makes a new vault in a directory that is new or empty, and opens it.
    ///
    /// # Errors
    /// [`StorageError::Occupied`] when something is there, and those of the operating system.
    pub fn create(dir: &Path, options: &VaultOptions) -> Result<Self> {
        let (actor, recover) = (&options.actor, recovery(options));
        let storage = SharedStorage::create(dir, &options.storage(), &*options.ids, options.ownership, recover)
            .inspect_err(|error| audit::vault_refused("create", &dir.display(), actor, error))?;
        tracing::info!(target: audit::TARGET, action = "create", dir = %dir.display(), vault = storage.vault_id(), actor);
        Ok(Self::new(Arc::new(storage), Some(dir.to_owned()), options))
    }

    /// Opens a vault, also one that other processes have open: one of them owns it, and this one speaks to that. Whoever
    /// owns it finishes or undoes what a crash interrupted.
    ///
    /// # Errors
    /// Those of [`SharedStorage::open`].
    pub fn open(dir: &Path, options: &VaultOptions) -> Result<Self> {
        let storage = SharedStorage::open(dir, &options.storage(), options.ownership, recovery(options))?;
        Ok(Self::new(Arc::new(storage), Some(dir.to_owned()), options))
    }

    /// A vault over any storage.
    #[must_use]
    pub fn over(storage: Arc<dyn Storage>, options: &VaultOptions) -> Self {
        Self::new(storage, None, options)
    }

    fn new(storage: Arc<dyn Storage>, dir: Option<PathBuf>, options: &VaultOptions) -> Self {
        let files = Home::new(Arc::clone(&storage), Arc::clone(&options.clock), &options.actor);
        Self {
            shared: Arc::new(Shared {
                storage,
                dir,
                clock: Arc::clone(&options.clock),
                ids: Arc::clone(&options.ids),
                job: Mutex::new(()),
                files,
            }),
            actor: options.actor.as_str().into(),
            durability: options.durability,
            settles: true,
            draft: None,
        }
    }

    /// A handle on the same vault in whose name the log speaks.
    #[must_use]
    pub fn as_actor(&self, actor: &str) -> Self {
        Self { actor: actor.into(), ..self.clone() }
    }

    /// A handle on the same vault whose changes count as done at another point.
    #[must_use]
    pub fn with_durability(&self, durability: Durability) -> Self {
        Self { durability, ..self.clone() }
    }

    /// A handle on the same vault whose changes return before the subscribers have acted on them: for a subscriber whose
    /// work waits for whoever makes the change.
    #[must_use]
    pub fn without_settling(&self) -> Self {
        Self { settles: false, ..self.clone() }
    }

    /// The vault's id.
    #[must_use]
    pub fn id(&self) -> &str {
        self.shared.storage.vault_id()
    }

    /// The directory of the vault, when it lies in one.
    #[must_use]
    pub fn dir(&self) -> Option<&Path> {
        self.shared.dir.as_deref()
    }

    /// The storage below.
    #[must_use]
    pub fn storage(&self) -> &dyn Storage {
        &*self.shared.storage
    }

    /// Who the log names.
    #[must_use]
    pub fn actor(&self) -> &str {
        &self.actor
    }

    /// The present, by the vault's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    pub(crate) fn ids(&self) -> &dyn IdSource {
        &*self.shared.ids
    }

    /// Where the log stands; when the process that owns the vault does not answer in time, where it stood when it did. To be
    /// shown: what is decided by it asks for [`Vault::state_now`].
    #[must_use]
    pub fn state(&self) -> LogState {
        self.shared.storage.state()
    }

    /// Where the log stands now.
    ///
    /// # Errors
    /// Those of reaching the process that owns the vault.
    pub fn state_now(&self) -> Result<LogState> {
        Ok(self.shared.storage.state_now()?)
    }

    /// Makes everything durable that was changed, and returns the sequence up to which it is.
    ///
    /// # Errors
    /// Those of the storage.
    pub fn flush(&self) -> Result<Sequence> {
        Ok(self.storage().sync()?)
    }

    /// From now on tells `subscriber` of every change, before the call that makes it returns.
    ///
    /// # Errors
    /// Those of reaching the process that owns the vault; then it hears of nothing.
    pub fn subscribe(&self, subscriber: &Arc<dyn Subscriber>) -> Result<()> {
        Ok(self.storage().subscribe(subscriber)?)
    }

    /// Log entries from a sequence on, at most `limit`.
    ///
    /// # Errors
    /// Those of the storage.
    pub fn log(&self, from: Sequence, limit: usize) -> Result<Vec<LogEntry>> {
        Ok(self.storage().log(from, limit)?)
    }

    /// The vault as it is now.
    #[must_use]
    pub fn present(&self) -> View {
        View::present(self)
    }

    /// The vault as it was at a sequence; what is needed to read it stays until the view is dropped.
    ///
    /// # Errors
    /// [`Error::Argument`] for a sequence beyond the end of the log, [`Error::Pruned`] for one below the horizon of a prune
    /// that no snapshot pins.
    pub fn at(&self, sequence: Sequence) -> Result<View> {
        View::past(self, sequence)
    }

    /// Where the log stands, and a view that keeps that state readable.
    pub(crate) fn settled(&self) -> Result<(LogState, View)> {
        loop {
            let state = self.state_now()?;
            match self.at(state.sequence) {
                // A prune came between.
                Err(Error::Pruned { .. }) => {}
                view => return Ok((state, view?)),
            }
        }
    }

    /// Where the log stands, durably, while nobody imports, restores or prunes, and a view that keeps that state readable. A
    /// prune that begins later has another horizon. What is held back of artifacts is committed before.
    pub(crate) fn between_jobs(&self) -> Result<(LogState, View)> {
        self.storage().settle()?;
        let found = {
            let _here = self.shared.job.lock().unwrap_or_else(PoisonError::into_inner);
            let _job = self.begin_job()?;
            self.settled()?
        };
        self.storage().sync()?;
        Ok(found)
    }

    /// The artifacts of the vault as files, from whichever process.
    #[must_use]
    pub fn files(&self) -> Files {
        Files::new(Arc::clone(&self.shared.files))
    }

    /// The artifacts of the vault as a file system by inode numbers, as a mount needs it. All handles on the vault share it; in the
    /// log it is by whoever asked for it first. While somebody has it, the vault is not handed over to another process.
    ///
    /// # Errors
    /// Those of the storage; [`StorageError::NotOwner`] when another process owns the vault.
    pub fn artifacts(&self) -> Result<Arc<Artifacts>> {
        Ok(self.shared.files.artifacts(&self.actor)?)
    }

    /// Identities.
    #[must_use]
    pub fn identities(&self) -> Identities<'_> {
        Identities(self)
    }

    /// Sessions.
    #[must_use]
    pub fn sessions(&self) -> Sessions<'_> {
        Sessions(self)
    }

    /// Memories.
    #[must_use]
    pub fn memories(&self) -> Memories<'_> {
        Memories(self)
    }

    /// Agent DNA.
    #[must_use]
    pub fn agent_dna(&self) -> AgentDna<'_> {
        AgentDna(self)
    }

    /// Reflections.
    #[must_use]
    pub fn reflections(&self) -> Reflections<'_> {
        Reflections(self)
    }

    /// The timeline.
    #[must_use]
    pub fn timeline(&self) -> Timeline<'_> {
        Timeline(self)
    }

    /// Master citations.
    #[must_use]
    pub fn citations(&self) -> Citations<'_> {
        Citations(self)
    }

    /// The glyphtrail.
    #[must_use]
    pub fn glyphtrail(&self) -> Glyphtrail<'_> {
        Glyphtrail(self)
    }

    /// Snapshots.
    #[must_use]
    pub fn snapshots(&self) -> Snapshots<'_> {
        Snapshots(self)
    }

    /// Stores a record of any kind: creates it, or adds a version when its id is there.
    ///
    /// # Errors
    /// [`RecordError`] when it breaks its schema; [`Error::Immutable`], [`Error::Cycle`], [`Error::UnknownParent`] by the
    /// rules of its kind; those of the storage. After an error nothing is changed.
    #[expect(clippy::needless_pass_by_value, reason = "the vault takes the record over, as in `create_record`")]
    pub fn put(&self, kind: Kind, record: Value) -> Result<Record> {
        let id = record.str_at(kind.id_field()).unwrap_or_default().to_owned();
        self.audited("put", kind, &id, || {
            retry(|| {
                let old = self.find(kind, &id)?;
                let expect = old.as_ref().map_or(Expect::Absent, |old| Expect::At(old.sequence));
                look_again(kind, &id, self.store(kind, record.clone(), old.as_ref(), expect, None))
            })
        })
    }

    /// Stores a version of a record over its newest one.
    ///
    /// # Errors
    /// As [`Vault::put`], and [`StorageError::Stale`] when that is not its newest one any more.
    pub(crate) fn put_over(&self, newest: &Version, kind: Kind, id: &str, record: Value) -> Result<Record> {
        let old = Record::new(kind, id, newest)?;
        look_again(kind, id, self.store(kind, record, Some(&old), Expect::At(old.sequence), None))
    }

    /// Stores a record of any kind that is not there yet.
    ///
    /// # Errors
    /// As [`Vault::put`], and [`StorageError::Exists`].
    pub fn create_record(&self, kind: Kind, record: Value) -> Result<Record> {
        let id = record.str_at(kind.id_field()).unwrap_or_default().to_owned();
        self.audited("create", kind, &id, || self.store(kind, record, None, Expect::Absent, None))
    }

    /// Stores a new record under an id that is made for it. Generated ids are short enough to meet by chance (eight hex
    /// digits a second), so one that is taken is made again.
    pub(crate) fn create_fresh(
        &self,
        kind: Kind,
        record: &Map,
        new_id: impl Fn() -> std::result::Result<String, NoRandomness>,
    ) -> Result<Record> {
        self.audited("create", kind, "", || {
            let mut tries = 0;
            loop {
                let mut record = record.clone();
                record.insert(kind.id_field().to_owned(), new_id()?.into());
                match self.store(kind, record.into(), None, Expect::Absent, None) {
                    Err(Error::Storage(StorageError::Exists { .. })) if tries < RETRIES => tries += 1,
                    other => return other,
                }
            }
        })
    }

    /// The newest version of a record.
    ///
    /// # Errors
    /// [`StorageError::NotFound`], and [`StorageError::Corrupt`] when what is stored is
    /// not what was stored.
    pub fn get(&self, kind: Kind, id: &str) -> Result<Record> {
        self.find(kind, id)?.ok_or_else(|| Error::not_found(kind, id))
    }

    /// The newest version of a record, if it is there.
    ///
    /// # Errors
    /// As [`Vault::get`], but for `NotFound`.
    pub fn find(&self, kind: Kind, id: &str) -> Result<Option<Record>> {
        self.newest(kind, id)?.map(|version| Record::new(kind, id, &version)).transpose()
    }

    /// The newest version of a record, if the record is there.
    fn newest(&self, kind: Kind, id: &str) -> Result<Option<Version>> {
        if !may_be_stored(kind, id) {
            return Ok(None);
        }
        match &self.draft {
            Some(draft) => draft.version(self, kind, id),
            None => Ok(self.storage().version(kind, id, NOW)?.filter(|version| !version.deleted)),
        }
    }

    /// The records that fit a filter, one after the other.
    ///
    /// # Errors
    /// [`Error::Argument`] when the filter asks for what the kind does not have.
    pub fn list(&self, kind: Kind, filter: &Filter) -> Result<Records> {
        Records::new(self.clone(), kind, filter)
    }

    /// Deletes a record; its history stays.
    ///
    /// # Errors
    /// [`StorageError::NotFound`], and those of the storage.
    pub fn delete(&self, kind: Kind, id: &str) -> Result<Committed> {
        self.audited("delete", kind, id, || {
            if !may_be_stored(kind, id) {
                return Err(Error::not_found(kind, id));
            }
            if kind == Kind::Artifact {
                return Err(rules::artifact(id));
            }
            let change =
                Change { kind, id: id.to_owned(), action: Action::Delete, expect: Expect::Present, event: None };
            self.make(change)
        })
    }

    /// Drops versions that neither `policy` nor a snapshot needs, while nobody imports or restores.
    ///
    /// # Errors
    /// [`Error::Argument`] for a policy that keeps nothing, [`StorageError::Locked`] when somebody imports or restores for too
    /// long, and those of the storage.
    pub fn prune(&self, policy: PrunePolicy) -> Result<Pruned> {
        let prune = || {
            if policy.keep == Some(0) {
                return Err(Error::argument("keep", "at least 1: the newest version of a record is never dropped"));
            }
            self.storage().settle()?;
            Ok(self.storage().prune(policy, &self.actor)?)
        };
        let pruned = prune().inspect_err(|error| audit::vault_refused("prune", &self.id(), &self.actor, error))?;
        if !policy.dry_run {
            let versions = pruned.versions;
            tracing::info!(target: audit::TARGET, action = "prune", vault = self.id(), versions, actor = &*self.actor);
        }
        Ok(pruned)
    }

    /// Reads a record, changes it and stores it, again and again until nobody came between.
    pub(crate) fn modify(
        &self,
        kind: Kind,
        id: &str,
        event: Option<Event>,
        change: impl Fn(&mut Value) -> Result<()>,
    ) -> Result<Record> {
        retry(|| {
            let old = self.get(kind, id)?;
            let mut value = old.value.clone();
            change(&mut value)?;
            self.store(kind, value, Some(&old), Expect::At(old.sequence), event)
        })
    }

    /// Checks a record by its schema and the rules of its kind, and commits it.
    pub(crate) fn store(
        &self,
        kind: Kind,
        record: Value,
        old: Option<&Record>,
        expect: Expect,
        event: Option<Event>,
    ) -> Result<Record> {
        schema::validate(kind, &record)?;
        let id = record.str_at(kind.id_field()).unwrap_or_default().to_owned();
        id::check(kind, &id)?;
        rules::check(self, kind, &id, &record, old)?;
        let prepared = prepare(kind, &id, &record, false)?;
        let checksum = prepared.checksum;
        let event = event.or_else(|| rules::event(kind, &record, old.map(|old| &old.value)));
        let change = Change { kind, id: id.clone(), action: Action::Put(Box::new(prepared)), expect, event };
        let committed = self.make(change)?;
        Ok(Record { kind, id, value: record, checksum, sequence: committed.last, time: committed.time, lenient: false })
    }

    /// Makes a change, in a commit of its own or in the batch that this handle belongs to.
    fn make(&self, change: Change) -> Result<Committed> {
        if let Some(draft) = &self.draft {
            return draft.add(self, change);
        }
        let committed = self.commit_through(None, self.plain_commit(vec![change], Origin::Direct))?;
        self.settle(committed.last);
        Ok(committed)
    }

    /// The records of the present that fit, as [`Storage::select`] has them.
    fn select(&self, selection: &Selection, after: Option<Position>, limit: usize) -> Result<Vec<Posting>> {
        match &self.draft {
            Some(draft) => draft.select(self, selection, after, limit),
            None => Ok(self.storage().select(selection, after, limit)?),
        }
    }

    /// The sequence that the next change will have, if nobody else makes one before.
    fn next_sequence(&self) -> Result<Sequence> {
        Ok(self.state_now()?.sequence + 1 + self.draft.as_ref().map_or(0, |draft| draft.len()))
    }

    /// A commit of changes of records in the name of this handle's actor.
    fn plain_commit(&self, changes: Vec<Change>, origin: Origin) -> Commit {
        let (seen, files, actor) = (Vec::new(), FileRows::default(), self.actor.to_string());
        Commit { seen, changes, files, actor, origin, token: None, durability: self.durability }
    }

    /// Waits until the subscribers have acted on the changes up to a sequence. Not for who keeps others from committing.
    pub(crate) fn settle(&self, upto: Sequence) {
        if self.settles {
            self.storage().settle_subscribers(upto);
        }
    }

    /// Waits until the subscribers have acted on all that was changed until now.
    pub(crate) fn settle_all(&self) {
        match self.state_now() {
            Ok(state) => self.settle(state.sequence),
            Err(error) => {
                tracing::warn!(target: "mirrordna::vault", %error, "nobody says whether all have acted on what was changed");
            }
        }
    }

    /// Commits, also while nobody commits but the one who does this job, and leaves an audit event for each change. Does not
    /// wait for subscribers.
    fn commit_through(&self, job: Option<&dyn Job>, commit: Commit) -> Result<Committed> {
        let (planned, origin) = (audit::Planned::of(&commit.changes), commit.origin);
        let committed = match job {
            None => self.storage().commit(commit)?,
            Some(job) => job.commit(commit)?,
        };
        planned.done(&committed, origin, &self.actor);
        Ok(committed)
    }

    /// Leaves an audit event when a change is refused.
    pub(crate) fn audited<T>(&self, action: &str, kind: Kind, id: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        work().inspect_err(|error| audit::record_refused(action, kind, id, &self.actor, error))
    }

    /// The newest version in short, if the record is there.
    pub(crate) fn live_head(&self, kind: Kind, id: &str) -> Result<Option<Head>> {
        if !may_be_stored(kind, id) {
            return Ok(None);
        }
        match &self.draft {
            Some(draft) => draft.head(self, kind, id),
            None => Ok(self.storage().head(kind, id)?.filter(|head| !head.deleted)),
        }
    }
}

/// A record that came, or went, between looking and storing is to be looked at again.
fn look_again<T>(kind: Kind, id: &str, stored: Result<T>) -> Result<T> {
    match stored {
        Err(Error::Storage(StorageError::Exists { .. } | StorageError::NotFound { .. })) => {
            Err(Error::Storage(StorageError::Stale { kind, id: id.to_owned(), expected: 0, now: 0 }))
        }
        other => other,
    }
}

/// Tries again what failed because somebody else changed the record between reading and storing.
pub(crate) fn retry<T>(attempt: impl Fn() -> Result<T>) -> Result<T> {
    let mut tries = 0;
    loop {
        match attempt() {
            Err(Error::Storage(StorageError::Stale { .. })) if tries < RETRIES => tries += 1,
            other => return other,
        }
    }
}

/// An id that cannot be a key leads to no record.
fn may_be_stored(kind: Kind, id: &str) -> bool {
    id::check_storable(kind, id).is_ok()
}
