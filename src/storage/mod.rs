//! Where a vault's data lies: the [`Storage`] trait, and RocksDB behind it.
//!
//! The trait is at the level of records: it commits changes with preconditions, answers what is there now and what was
//! there at a sequence, and hands out the log. Nothing above it knows which engine is below.

mod access;
mod artifacts;
mod checked;
mod chunk_sum;
mod codec;
mod error;
mod file_rows;
mod files;
mod filler;
mod gate;
mod holder;
mod inline;
mod lock;
mod merkle;
mod prepare;
mod remote;
mod rocksdb;
mod rows;
mod segments;
mod service;
mod shared;
mod types;

use std::any::Any;
use std::sync::Arc;

use crate::record::{Checksum, Kind, Timestamp};

pub use access::{Aligned, DataFile, FileAccess, Opening, SystemFiles};
pub use artifacts::{
    ChunkId, Dentry, FileRows, INLINE_BYTES, Ino, MAX_FILE_ROWS, MAX_PIECES, Piece, SLOT_BYTES, Space, WINDOW_SLOTS,
    WriteBack, file_root, window_root,
};
pub use checked::{CheckedChunks, CheckedLog, decode_log_row};
pub use chunk_sum::ChunkSum;
pub use error::StorageError;
pub use prepare::{MAX_TAGS, missing_time, prepare, prepare_inode, record_file, terms_of};
pub use rocksdb::{
    ContentReplay, LogReplay, OpenOptions, Replay, ReplayOf, RocksStorage, engine_has_begun, start_engine,
};
pub use rows::{ChunkRow, LogRow, Part, RowPage, SlotRow};
pub use service::{Asked, Asking, Service};
pub use shared::{Ownership, Recovery, SharedStorage};
pub use types::{
    Action, Change, Commit, Committed, Durability, Event, Expect, Head, LogEntry, LogState, Operation, Order, Origin,
    Position, Posting, Prepared, RecordFile, Seen, Selection, Sequence, Term, Version, listed_time, text_term,
};

/// How values become the bytes that processes send each other.
pub(crate) mod wire {
    pub(crate) use super::codec::Reader;
    pub(crate) use super::remote::{Wire, decode, encode, fields, messages, variants};
}

/// The newest version, whatever its sequence.
pub const NOW: Sequence = Sequence::MAX;
/// The most changes in one commit.
pub const MAX_COMMIT_CHANGES: usize = 32_768;
/// The most records that one commit relies on.
pub const MAX_COMMIT_SEEN: usize = 100_000;
/// The most bytes of records in one commit: 64 MiB.
pub const MAX_COMMIT_BYTES: usize = 64 << 20;

/// A page of rows is full once it has this many bytes: 1 MiB.
const ROW_PAGE_BYTES: usize = 1 << 20;

/// Results of a storage.
pub type Result<T> = std::result::Result<T, StorageError>;

/// A record that a commit changed, for those who subscribed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The log entry of the change.
    pub entry: LogEntry,
    /// Index terms before the change; none when the record was not there.
    pub before: Vec<(u16, Term)>,
    /// Index terms after the change; none when the record is gone.
    pub after: Vec<(u16, Term)>,
}

/// Somebody who must know of changes before the caller who made them goes on.
pub trait Subscriber: Send + Sync {
    /// Called in order of the log, after the change is visible and before its commit returns. Other commits wait for it, so
    /// it must not commit, nor wait for anybody who might: what takes its time belongs behind [`Subscriber::settle`].
    fn changed(&self, changes: &[Changed]);

    /// Waits until everything is done that the changes up to a sequence ask for.
    fn settle(&self, upto: Sequence) {
        let _ = upto;
    }
}

/// Keeps the versions of one sequence from being pruned until it is dropped.
#[derive(Clone)]
pub struct Lease(#[expect(dead_code, reason = "held, never read")] Arc<dyn Any + Send + Sync>);

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease").finish_non_exhaustive()
    }
}

/// Work in many commits that must not be left half done: an import or a restore. Of all processes that have the vault
/// open, one does such work at a time, until it drops this.
pub trait Job {
    /// From now on nobody else commits, until this is dropped. Waits for the commits that are under way.
    ///
    /// # Errors
    /// Those of the storage.
    fn exclude(&self) -> Result<()>;

    /// As [`Storage::commit`], also while nobody else commits.
    ///
    /// # Errors
    /// As [`Storage::commit`].
    fn commit(&self, commit: Commit) -> Result<Committed>;

    /// The work can be neither finished nor undone. Until it is, by whoever tries next, nobody else changes anything, and
    /// all are told why.
    fn leave_unfinished(&self, why: &StorageError);
}

/// A fault that a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The record, log entry, index or file that is at fault.
    pub subject: String,
    /// What is wrong with it.
    pub problem: String,
    /// True when it is derived data, which a repair makes again from the log and the versions.
    pub derived: bool,
}

/// Follows a check.
pub trait CheckSink {
    /// A part of the work is done: `done` of `total` steps.
    fn progress(&mut self, done: u64, total: u64);
    /// A sound version, whose meaning the caller may check.
    fn version(&mut self, kind: Kind, id: &str, version: &Version);
    /// A fault.
    fn fault(&mut self, fault: Fault);
}

/// What to prune.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrunePolicy {
    /// Of each record, the newest this many versions stay. At least 1.
    pub keep: Option<u32>,
    /// Versions that were current after this moment stay.
    pub current_after: Option<Timestamp>,
    /// Only count.
    pub dry_run: bool,
}

/// What a prune did, or would do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Versions dropped.
    pub versions: u64,
    /// Bytes of canonical JSON in them.
    pub bytes: u64,
    /// Versions that stay.
    pub kept: u64,
    /// Rows of directories and of the content of artifacts dropped.
    pub file_rows: u64,
    /// Chunks of content dropped; a dry run does not count them.
    pub chunks: u64,
    /// Bytes of these.
    pub chunk_bytes: u64,
}

/// Work that must be finished or undone after a crash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// The present is being brought to this sequence.
    Restore {
        /// The sequence.
        target: Sequence,
        /// Where it began, once nobody else changes anything. Without it nothing was brought anywhere yet, and it ends with the
        /// process that wanted it.
        start: Option<Sequence>,
    },
    /// Records are being imported; what came after this sequence by import is undone.
    Import {
        /// The sequence before the import.
        since: Sequence,
    },
}

/// How much a storage has read and how large it is, for tests, benches and health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StorageStats {
    /// Versions read since it was opened.
    pub versions_read: u64,
    /// Bytes on disk, about.
    pub disk_bytes: u64,
}

/// A storage of records with their history.
pub trait Storage: Send + Sync {
    /// The id of the vault, `vault_` and 16 hex digits.
    fn vault_id(&self) -> &str;

    /// Makes all changes of a commit, or none.
    ///
    /// # Errors
    /// [`StorageError::Stale`] when a record is not as it was seen; [`StorageError::Exists`], [`StorageError::NotFound`] or
    /// `Stale` when what a change expects does not hold; [`StorageError::Limit`] when it is too large; and the errors of the
    /// engine. After an error nothing is changed.
    fn commit(&self, commit: Commit) -> Result<Committed>;

    /// The newest version of a record, in short; also of a deleted one.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] and those of the engine, as for every read.
    fn head(&self, kind: Kind, id: &str) -> Result<Option<Head>>;

    /// The version of a record at a sequence, which may be a deletion. [`NOW`] gives the newest.
    ///
    /// # Errors
    /// As [`Storage::head`].
    fn version(&self, kind: Kind, id: &str, at: Sequence) -> Result<Option<Version>>;

    /// The versions of a record before a sequence, newest first, at most `limit`.
    ///
    /// # Errors
    /// As [`Storage::head`].
    fn history(&self, kind: Kind, id: &str, before: Sequence, limit: usize) -> Result<Vec<Version>>;

    /// Ids and heads in order of the id, deleted ones too, after the id `after`, at most `limit`.
    ///
    /// # Errors
    /// As [`Storage::head`].
    fn heads(&self, kind: Kind, after: Option<&str>, limit: usize) -> Result<Vec<(String, Head)>>;

    /// The records of the present that fit, after a position, at most `limit`. Reads index entries, not records.
    ///
    /// # Errors
    /// As [`Storage::head`].
    fn select(&self, selection: &Selection, after: Option<Position>, limit: usize) -> Result<Vec<Posting>>;

    /// Log entries from a sequence on, at most `limit`.
    ///
    /// # Errors
    /// As [`Storage::head`].
    fn log(&self, from: Sequence, limit: usize) -> Result<Vec<LogEntry>>;

    /// Where the log stands; when nobody answers in time, where it stood when somebody did. To be shown: what is decided by it
    /// asks for [`Storage::state_now`].
    fn state(&self) -> LogState;

    /// Where the log stands now.
    ///
    /// # Errors
    /// Those of reaching the process that owns the vault.
    fn state_now(&self) -> Result<LogState>;

    /// The Merkle root over the first `size` entries.
    ///
    /// # Errors
    /// As [`Storage::head`].
    fn root(&self, size: Sequence) -> Result<Checksum>;

    /// Makes everything durable that was committed and returns the newest durable sequence.
    ///
    /// # Errors
    /// Those of the engine.
    fn sync(&self) -> Result<Sequence>;

    /// From now on calls `subscriber` for each commit, until the last other reference to it is dropped.
    ///
    /// # Errors
    /// Those of reaching the process that owns the vault; then it hears of nothing.
    fn subscribe(&self, subscriber: &Arc<dyn Subscriber>) -> Result<()>;

    /// Waits until all subscribers have done what the changes up to a sequence ask for. Whoever calls it holds nothing that a
    /// commit waits for: a subscriber may have to wait for commits of others.
    fn settle_subscribers(&self, upto: Sequence);

    /// Keeps what is needed to read at a sequence.
    fn lease(&self, at: Sequence) -> Lease;

    /// Drops versions that neither the policy nor a snapshot nor a lease needs. Waits for a [`Job`] to end, and none begins
    /// before this ends.
    ///
    /// # Errors
    /// [`StorageError::Locked`] when a job goes on for too long, [`StorageError::Corrupt`] when it cannot be read what a
    /// snapshot pins, and those of the engine.
    fn prune(&self, policy: PrunePolicy, actor: &str) -> Result<Pruned>;

    /// The sequences that snapshots pin.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] when it cannot be read what a snapshot pins, and those of the engine.
    fn pins(&self) -> Result<Vec<Sequence>>;

    /// Begins work in many commits, and waits for other such work, or a prune, to end.
    ///
    /// # Errors
    /// [`StorageError::Locked`] when somebody goes on with that for too long.
    fn job(&self) -> Result<Box<dyn Job + '_>>;

    /// The work that must be finished or undone.
    ///
    /// # Errors
    /// As [`Storage::head`].
    fn intent(&self) -> Result<Option<Intent>>;

    /// Notes, durably, work that must be finished or undone, or that there is none.
    ///
    /// # Errors
    /// Those of the engine.
    fn set_intent(&self, intent: Option<&Intent>) -> Result<()>;

    /// Begins a new epoch, named in the log with a reason.
    ///
    /// # Errors
    /// Those of the engine.
    fn begin_epoch(&self, reason: &str, actor: &str) -> Result<()>;

    /// Checks everything that is stored. `pins` are the sequences of the snapshots that can be read.
    ///
    /// # Errors
    /// Only what keeps the check from going on; faults go to the sink.
    fn check(&self, pins: &[Sequence], sink: &mut dyn CheckSink) -> Result<()>;

    /// How much was read and how large it is.
    fn stats(&self) -> StorageStats;

    /// Appends content, 1 to [`SLOT_BYTES`] bytes. It becomes part of the vault when a commit names it; until then it is
    /// kept for this process alone.
    ///
    /// # Errors
    /// [`StorageError::NoSpace`] when it does not fit, [`StorageError::Limit`], and those of the operating system.
    fn append_chunk(&self, bytes: &[u8]) -> Result<(ChunkId, ChunkSum)>;

    /// As [`Storage::append_chunk`], for 1 to [`INLINE_BYTES`] bytes: they lie beside the row that names them, and so need no
    /// sync but that of the commit. Content that is to be durable at once is cheaper so, and much of it dearer: the database
    /// writes it several times.
    ///
    /// # Errors
    /// As [`Storage::append_chunk`].
    fn append_inline(&self, bytes: &[u8]) -> Result<(ChunkId, ChunkSum)>;

    /// Says that no commit will name these chunks, so that their room can be used again. Those that are committed stay.
    fn discard_chunks(&self, chunks: &[ChunkId]);

    /// A whole chunk, verified.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] when it is not what was appended, or is not there; and those of the operating system.
    fn chunk(&self, id: ChunkId) -> Result<Vec<u8>>;

    /// Rows of a part up to a sequence, for a copy of the vault: from its beginning when `from` is empty, else from where the
    /// page before said that the next one begins. Chunks are those of the moment.
    ///
    /// # Errors
    /// As [`Storage::head`]; rows are verified before they are handed out.
    fn rows(&self, part: Part, from: &[u8], upto: Sequence) -> Result<RowPage>;

    /// Fills `out` with a piece from its byte `from` on. The chunk is verified against the piece when it is first read.
    ///
    /// # Errors
    /// As [`Storage::chunk`], and [`StorageError::Limit`] for a range that lies outside of the piece. Then nobody knows what
    /// is in `out`.
    fn read_piece_into(&self, piece: &Piece, from: u32, out: &mut [u8]) -> Result<()>;

    /// As [`Storage::read_piece_into`], `len` bytes.
    ///
    /// # Errors
    /// As [`Storage::read_piece_into`].
    fn read_piece(&self, piece: &Piece, from: u32, len: u32) -> Result<Vec<u8>> {
        piece.part(from, len)?;
        let mut bytes = vec![0; len as usize];
        self.read_piece_into(piece, from, &mut bytes)?;
        Ok(bytes)
    }

    /// What a name led to at a sequence.
    ///
    /// # Errors
    /// As [`Storage::head`].
    fn dentry(&self, parent: Ino, name: &[u8], at: Sequence) -> Result<Option<Dentry>>;

    /// The names in a directory at a sequence, in order of their bytes, after the name `after`, at most `limit`.
    ///
    /// # Errors
    /// As [`Storage::head`].
    fn dentries(&self, parent: Ino, after: Option<&[u8]>, limit: usize, at: Sequence)
    -> Result<Vec<(Vec<u8>, Dentry)>>;

    /// The slots of a file that had pieces at a sequence, in order, from the slot `from` on, at most `limit`.
    ///
    /// # Errors
    /// As [`Storage::head`].
    fn extents(&self, ino: Ino, from: u64, limit: usize, at: Sequence) -> Result<Vec<(u64, Vec<Piece>)>>;

    /// A number above those of all inodes that ever were.
    ///
    /// # Errors
    /// As [`Storage::head`].
    fn next_ino(&self) -> Result<Ino>;

    /// How much room there is.
    ///
    /// # Errors
    /// Those of the operating system.
    fn space(&self) -> Result<Space>;

    /// Makes room of what was appended and never committed, when there is enough of it. Cheap when there is not.
    ///
    /// # Errors
    /// Those of the engine and of the operating system; nothing is lost.
    fn reclaim(&self) -> Result<()>;

    /// From now on asks `holder` to commit what it holds back when the whole vault is about to be looked at or restored,
    /// until the last other reference to it is dropped.
    ///
    /// # Errors
    /// [`StorageError::NotOwner`] when another process owns the vault.
    fn hold_back(&self, holder: &Arc<dyn WriteBack>) -> Result<()>;

    /// From now on, while this process owns the vault, `service` answers what other processes ask with [`Storage::ask`],
    /// until the last other reference to it is dropped.
    fn serve(&self, service: &Arc<dyn Service>) {
        let _ = service;
    }

    /// Asks the [`Service`] of the process that owns the vault. None when that is this process: then the caller does itself
    /// what it would have asked for. `question` is called when there is somebody to ask.
    ///
    /// # Errors
    /// Those of reaching the owner.
    fn ask(&self, how: Asking, question: &dyn Fn() -> Vec<u8>) -> Result<Option<Vec<u8>>> {
        let _ = (how, question);
        Ok(None)
    }

    /// How many owners of the vault have died since this was opened, with what they had not committed.
    fn owners_died(&self) -> u64 {
        0
    }

    /// What other processes changed through the [`Service`] of this one cannot be stored, and the vault is about to be closed: to
    /// them this owner dies.
    fn leave_unstored(&self) {}

    /// Lets everybody who holds changes of artifacts back commit them. To be called before a snapshot, an export, a prune.
    ///
    /// # Errors
    /// Those of the holders.
    fn settle(&self) -> Result<()>;
}
