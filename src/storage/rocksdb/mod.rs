//! RocksDB behind the [`Storage`] trait.
//!
//! `open` opens and closes, `commit` writes, `read` and `select` read, `prune` drops, `check` proves, `rebuild` makes the
//! derived column families again.

mod artifacts;
mod check;
mod check_files;
mod commit;
mod job;
mod journal;
mod open;
mod prune;
mod read;
mod rebuild;
mod replay;
mod rows;
mod select;
mod sweep;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use ::rocksdb::{ColumnFamily, DB, WriteBatch, WriteOptions};

use crate::record::time::Clock;
use crate::record::{Checksum, Kind, Timestamp};
use crate::threads::without_signals;

use super::access::FileAccess;
use super::artifacts::{ChunkId, Dentry, Ino, Piece, Space, WriteBack};
use super::chunk_sum::ChunkSum;
use super::files::Marker;
use super::gate::Gate;
use super::inline::Inline;
use super::lock::LockFile;
use super::merkle::Tree;
use super::rows::{Part, RowPage};
use super::segments::Segments;
use super::types::{
    Commit, Committed, Head, LogEntry, LogState, Operation, Origin, Position, Posting, Selection, Sequence, Version,
};
use super::{
    CheckSink, Intent, Job, Lease, PrunePolicy, Pruned, ROW_PAGE_BYTES, Result, Storage, StorageError, StorageStats,
    Subscriber,
};

pub(super) use job::RocksJob;
pub use open::OpenOptions;
pub use replay::{ContentReplay, LogReplay, Replay, ReplayOf};

/// Brings about what RocksDB has for the whole process, as the first vault that is opened does. It goes when the process ends:
/// before what was registered with `atexit` earlier than this was called, and after what was registered later.
pub fn start_engine() {
    begin_engine();
    if let Err(error) = without_signals(rocksdb::Env::new) {
        tracing::error!(target: "mirrordna::storage", "RocksDB has no environment: {error}");
    }
}

/// Whether RocksDB has, or had, threads in this process, or in one that it was forked from.
pub fn engine_has_begun() -> bool {
    BEGUN.load(Ordering::Acquire)
}

static BEGUN: AtomicBool = AtomicBool::new(false);

/// To be called before anything that makes threads of RocksDB. They stay when the last vault is closed.
fn begin_engine() {
    BEGUN.store(true, Ordering::Release);
}

/// A column family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cf {
    Meta,
    Log,
    Tiles,
    Versions,
    Heads,
    Index,
    Dentries,
    Extents,
    Chunks,
}

impl Cf {
    const RECORDS: [Self; 6] = [Self::Meta, Self::Log, Self::Tiles, Self::Versions, Self::Heads, Self::Index];
    /// Those that a vault of an older day does not have yet.
    const ARTIFACTS: [Self; 3] = [Self::Dentries, Self::Extents, Self::Chunks];

    const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Log => "log",
            Self::Tiles => "tiles",
            Self::Versions => "versions",
            Self::Heads => "heads",
            Self::Index => "index",
            Self::Dentries => "dentries",
            Self::Extents => "extents",
            Self::Chunks => "chunks",
        }
    }
}

/// The database and where it lies: the only place that talks to RocksDB's handles.
struct Database {
    db: DB,
    path: PathBuf,
    /// The column families of artifacts are there: only an inspection opens a vault without them.
    artifacts: bool,
}

impl Database {
    /// The column families that are open.
    fn families(&self) -> impl Iterator<Item = Cf> + use<> {
        let artifacts = self.artifacts.then_some(Cf::ARTIFACTS).into_iter().flatten();
        Cf::RECORDS.into_iter().chain(artifacts)
    }

    fn cf(&self, cf: Cf) -> Result<&ColumnFamily> {
        self.db.cf_handle(cf.name()).ok_or_else(|| StorageError::Corrupt {
            what: self.path.display().to_string(),
            detail: format!("column family {} is missing", cf.name()),
        })
    }

    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<::rocksdb::DBPinnableSlice<'_>>> {
        self.db.get_pinned_cf(self.cf(cf)?, key).map_err(|error| self.failed(&error))
    }

    fn write(&self, batch: WriteBatch, sync: bool) -> Result<()> {
        let mut options = WriteOptions::default();
        options.set_sync(sync);
        self.write_with(batch, &options)
    }

    /// Without a write-ahead log, for a database that is thrown away when it does not get finished.
    fn write_unlogged(&self, batch: WriteBatch) -> Result<()> {
        let mut options = WriteOptions::default();
        options.disable_wal(true);
        self.write_with(batch, &options)
    }

    fn write_with(&self, batch: WriteBatch, options: &WriteOptions) -> Result<()> {
        // When the disk is full the engine starts a thread that waits for room.
        without_signals(|| self.db.write_opt(batch, options)).map_err(|error| self.failed(&error))
    }

    /// Makes the write-ahead log durable.
    fn flush_log(&self) -> Result<()> {
        // As above.
        without_signals(|| self.db.flush_wal(true)).map_err(|error| self.failed(&error))
    }

    /// Writes the memtables of all column families out, together.
    fn flush(&self) -> Result<()> {
        let families = self.families().map(|cf| self.cf(cf)).collect::<Result<Vec<_>>>()?;
        let mut options = ::rocksdb::FlushOptions::default();
        options.set_wait(true);
        self.db.flush_cfs_opt(&families, &options).map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &::rocksdb::Error) -> StorageError {
        engine_error(&self.path, error)
    }
}

/// Sorts an error of RocksDB into what a user can do about it. RocksDB tells the cause of an I/O error only in its text.
fn engine_error(path: &Path, error: &::rocksdb::Error) -> StorageError {
    use ::rocksdb::ErrorKind;
    let message = error.to_string();
    let path = path.to_owned();
    if message.contains("No space left on device") || message.contains("Disk quota exceeded") {
        return StorageError::NoSpace { path };
    }
    if message.contains("Permission denied") || message.contains("Read-only file system") {
        return StorageError::Permission { path };
    }
    let missing_file = message.contains("No such file or directory") || message.contains("CURRENT");
    if matches!(error.kind(), ErrorKind::Corruption) || missing_file {
        return StorageError::Corrupt { what: path.display().to_string(), detail: message };
    }
    StorageError::Engine { path, message }
}

/// What readers see of the log: replaced as a whole after each batch.
#[derive(Clone)]
struct Published {
    tree: Arc<Tree>,
    time: Timestamp,
    epoch: u64,
    /// See [`LogState::horizon`].
    horizon: Sequence,
}

/// What only the committing thread touches.
#[derive(Default)]
struct Writer {
    /// `HEAD` says that the vault is in use.
    in_use: bool,
    generation: u64,
    /// Answers to the newest commits with tokens, once one was asked for.
    tokens: Option<commit::Tokens>,
    /// While chunks are swept: those that commits named meanwhile.
    named: Option<HashSet<ChunkId>>,
}

/// A storage in a directory of this machine.
pub struct RocksStorage {
    database: Database,
    dir: PathBuf,
    marker: Marker,
    files: Arc<dyn FileAccess>,
    clock: Arc<dyn Clock>,
    read_only: bool,
    lock_timeout: Duration,
    gate: Arc<Gate>,
    /// Anomalies that opening found and could live with.
    warnings: Vec<String>,
    published: RwLock<Published>,
    durable: AtomicU64,
    queue: Mutex<commit::Queue>,
    writer: Mutex<Writer>,
    subscribers: Mutex<Vec<Weak<dyn Subscriber>>>,
    leases: Mutex<Vec<Weak<Sequence>>>,
    holders: Mutex<Vec<Weak<dyn WriteBack>>>,
    segments: Segments,
    inline: Inline,
    /// Held by who drops chunks or moves them.
    maintenance: Mutex<()>,
    highest_ino: AtomicU64,
    versions_read: AtomicU64,
    /// No prune begins before.
    prunes_from: Mutex<Option<Instant>>,
    closed: AtomicBool,
    /// Dropped last, when nothing of this process touches the vault any more.
    _lock: Option<LockFile>,
}

/// Locks a mutex whose data is sound at every moment, so that a panic elsewhere does not matter.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RocksStorage {
    fn published(&self) -> Published {
        self.published.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn publish(&self, published: Published) {
        *self.published.write().unwrap_or_else(PoisonError::into_inner) = published;
    }

    /// Anomalies that opening found and could live with, such as one of the two copies of `HEAD` being damaged.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The directory of the vault.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes everything durable and notes in `HEAD` that the vault was closed cleanly. Dropping does the same, but cannot
    /// say what went wrong.
    ///
    /// # Errors
    /// Those of the engine and of writing `HEAD`; then the next opening recovers as after a crash.
    pub fn close(self) -> Result<()> {
        self.shut()
    }

    fn shut(&self) -> Result<()> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let mut writer = lock(&self.writer);
        if self.read_only || !writer.in_use {
            return Ok(());
        }
        self.flush_memtables()?;
        self.write_head(&mut writer, true, self.published().epoch)
    }

    /// Writes the memtables out, so that the next opening has no write-ahead log to replay and a closed vault has none
    /// whose damage could be mistaken for its end.
    fn flush_memtables(&self) -> Result<()> {
        self.database.flush()
    }
}

impl Drop for RocksStorage {
    fn drop(&mut self) {
        if let Err(error) = self.shut() {
            tracing::error!(target: "mirrordna::storage", %error, "closing the vault failed; the next opening recovers it");
        }
    }
}

impl Storage for RocksStorage {
    fn vault_id(&self) -> &str {
        &self.marker.vault_id
    }

    fn commit(&self, commit: Commit) -> Result<Committed> {
        match self.gate.pass(&self.dir)? {
            Some(pass) => self.commit_past(&pass, commit),
            None => Err(StorageError::Engine { path: self.dir.clone(), message: "it is being closed".to_owned() }),
        }
    }

    fn head(&self, kind: Kind, id: &str) -> Result<Option<Head>> {
        self.read_head(kind, id)
    }

    fn version(&self, kind: Kind, id: &str, at: Sequence) -> Result<Option<Version>> {
        self.read_version(kind, id, at)
    }

    fn history(&self, kind: Kind, id: &str, before: Sequence, limit: usize) -> Result<Vec<Version>> {
        self.read_history(kind, id, before, limit)
    }

    fn heads(&self, kind: Kind, after: Option<&str>, limit: usize) -> Result<Vec<(String, Head)>> {
        self.read_heads(kind, after, limit)
    }

    fn select(&self, selection: &Selection, after: Option<Position>, limit: usize) -> Result<Vec<Posting>> {
        self.read_selection(selection, after, limit)
    }

    fn log(&self, from: Sequence, limit: usize) -> Result<Vec<LogEntry>> {
        self.read_log(from, limit)
    }

    fn state(&self) -> LogState {
        let published = self.published();
        let sequence = published.tree.size();
        LogState {
            sequence,
            // A commit is durable a moment before it is told of.
            durable: self.durable.load(Ordering::Acquire).min(sequence),
            root: published.tree.root(),
            time: published.time,
            epoch: published.epoch,
            horizon: published.horizon,
        }
    }

    fn state_now(&self) -> Result<LogState> {
        Ok(self.state())
    }

    fn root(&self, size: Sequence) -> Result<Checksum> {
        self.root_at(size)
    }

    fn sync(&self) -> Result<Sequence> {
        let sequence = self.published().tree.size();
        if self.durable.load(Ordering::Acquire) < sequence {
            self.database.flush_log()?;
            self.durable.fetch_max(sequence, Ordering::AcqRel);
        }
        Ok(sequence)
    }

    fn subscribe(&self, subscriber: &Arc<dyn Subscriber>) -> Result<()> {
        self.add_subscriber(subscriber);
        Ok(())
    }

    fn settle_subscribers(&self, upto: Sequence) {
        for subscriber in self.subscribers() {
            subscriber.settle(upto);
        }
    }

    fn lease(&self, at: Sequence) -> Lease {
        let held = Arc::new(at);
        let mut leases = lock(&self.leases);
        leases.retain(|lease| lease.strong_count() > 0);
        leases.push(Arc::downgrade(&held));
        Lease(held)
    }

    fn prune(&self, policy: PrunePolicy, actor: &str) -> Result<Pruned> {
        if policy.dry_run {
            return self.prune_versions(policy, actor);
        }
        // Whoever asked for it from another process may be gone before it ends, so it is the owner who holds the lock.
        let _job = self.lock_jobs()?;
        self.wait_for_leases();
        self.prune_versions(policy, actor)
    }

    fn pins(&self) -> Result<Vec<Sequence>> {
        self.read_pins()
    }

    fn job(&self) -> Result<Box<dyn Job + '_>> {
        self.begin_job()
    }

    fn intent(&self) -> Result<Option<Intent>> {
        self.read_intent()
    }

    fn set_intent(&self, intent: Option<&Intent>) -> Result<()> {
        self.write_intent(intent)
    }

    fn begin_epoch(&self, reason: &str, actor: &str) -> Result<()> {
        self.append_epoch(reason, actor)
    }

    fn check(&self, pins: &[Sequence], sink: &mut dyn CheckSink) -> Result<()> {
        self.check_all(pins, sink)
    }

    fn stats(&self) -> StorageStats {
        let files = self.database.db.live_files().unwrap_or_default();
        StorageStats {
            versions_read: self.versions_read.load(Ordering::Relaxed),
            disk_bytes: files.iter().map(|file| file.size as u64).sum::<u64>() + self.segments.disk_bytes(),
        }
    }

    fn append_chunk(&self, bytes: &[u8]) -> Result<(ChunkId, ChunkSum)> {
        if self.read_only {
            return Err(StorageError::Permission { path: self.dir.clone() });
        }
        self.segments.append(bytes)
    }

    fn append_inline(&self, bytes: &[u8]) -> Result<(ChunkId, ChunkSum)> {
        if self.read_only {
            return Err(StorageError::Permission { path: self.dir.clone() });
        }
        self.inline.append(bytes)
    }

    fn discard_chunks(&self, chunks: &[ChunkId]) {
        self.segments.discard(chunks);
        self.inline.forget(chunks);
    }

    fn chunk(&self, id: ChunkId) -> Result<Vec<u8>> {
        self.read_chunk(id)
    }

    fn read_piece_into(&self, piece: &Piece, from: u32, out: &mut [u8]) -> Result<()> {
        self.read_of_piece(piece, from, out)
    }

    fn rows(&self, part: Part, from: &[u8], upto: Sequence) -> Result<RowPage> {
        self.read_rows(part, from, upto, ROW_PAGE_BYTES)
    }

    fn dentry(&self, parent: Ino, name: &[u8], at: Sequence) -> Result<Option<Dentry>> {
        self.read_dentry(parent, name, at)
    }

    fn dentries(
        &self,
        parent: Ino,
        after: Option<&[u8]>,
        limit: usize,
        at: Sequence,
    ) -> Result<Vec<(Vec<u8>, Dentry)>> {
        self.read_dentries(parent, after, limit, at)
    }

    fn extents(&self, ino: Ino, from: u64, limit: usize, at: Sequence) -> Result<Vec<(u64, Vec<Piece>)>> {
        self.read_extents(ino, from, limit, at)
    }

    fn next_ino(&self) -> Result<Ino> {
        let used_up =
            || StorageError::Limit { what: "the numbers of inodes are used up".to_owned(), limit: usize::MAX };
        self.highest_ino().checked_add(1).ok_or_else(used_up)
    }

    fn space(&self) -> Result<Space> {
        self.read_space()
    }

    fn hold_back(&self, holder: &Arc<dyn WriteBack>) -> Result<()> {
        lock(&self.holders).push(Arc::downgrade(holder));
        let restoring = || matches!(self.read_intent(), Ok(Some(Intent::Restore { .. })));
        // A process that restores may outlive the owner of the vault, and all who were stopped with it.
        if restoring() {
            if let Err(error) = holder.stop() {
                tracing::error!(target: "mirrordna::storage", %error, "artifacts cannot be stopped while a restore goes on");
            }
            if !restoring() {
                holder.resume(None);
            }
        }
        Ok(())
    }

    fn reclaim(&self) -> Result<()> {
        self.reclaim_segments()
    }

    fn settle(&self) -> Result<()> {
        self.holders().iter().try_for_each(|holder| holder.write_back())
    }
}

/// Newest first, what a record's key leads to while a batch is made.
type Overlay = HashMap<(Kind, String), commit::Current>;

/// An entry of the log that changes no record.
fn bare_entry(operation: Operation, actor: &str, detail: String) -> LogEntry {
    LogEntry {
        sequence: 0,
        time: Timestamp::default(),
        operation,
        origin: Origin::Direct,
        event: None,
        end_of_commit: true,
        kind: None,
        id: String::new(),
        session: String::new(),
        agent: String::new(),
        actor: actor.to_owned(),
        commitment: None,
        token: None,
        detail,
    }
}

/// Wakes one thread that waits for its commit.
#[derive(Default)]
struct Slot {
    state: Mutex<commit::SlotState>,
    wake: Condvar,
}
