//! Making a vault again from the rows of another: with the same log, the same history and the same content.
//!
//! Every row is checked when it comes, against its own checksums and against what the log commits to; what is derived is made anew. The
//! marker comes last, so a replay that does not get to its end leaves a directory that is no vault.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::rocksdb::{DBRecoveryMode, WriteBatch, WriteOptions};

use crate::record::{Checksum, Kind, Timestamp};

use super::super::access::FileAccess;
use super::super::codec::{self, key as record_key};
use super::super::file_rows::{self, Stored, key};
use super::super::files::{self, HeadFile, Marker};
use super::super::inline::{FIRST_IN_SEGMENT, Small};
use super::super::lock::LockFile;
use super::super::merkle::{self, Tree};
use super::super::rows::{ChunkRow, LogRow, SlotRow};
use super::super::segments::{Segments, damaged};
use super::super::types::{LogEntry, Operation, Sequence, Version};
use super::super::{Result, StorageError};
use super::open::{OpenOptions, database_options, open_database};
use super::prune::HORIZON_KEY;
use super::rebuild::derive;
use super::{Cf, Database};

/// Bytes written in one batch.
const BATCH_BYTES: usize = 4 << 20;

/// What a vault was that is made again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayOf {
    /// Its id.
    pub vault_id: String,
    /// The sequence at which it is made again.
    pub sequence: Sequence,
    /// The Merkle root there.
    pub root: Checksum,
    /// Its epoch.
    pub epoch: u64,
    /// See [`super::super::LogState::horizon`].
    pub horizon: Sequence,
}

/// A vault that is being made again. Rows come in the order of [`super::super::Part`].
pub struct Replay {
    database: Database,
    segments: Segments,
    dir: PathBuf,
    files: Arc<dyn FileAccess>,
    created: Timestamp,
    of: ReplayOf,
    batch: WriteBatch,
    /// Rows of chunks are in the batch.
    chunks_wait: bool,
    tree: Tree,
    /// The time of the newest entry.
    time: Timestamp,
    segments_used: Vec<u32>,
    _lock: LockFile,
}

impl Replay {
    /// Begins in a directory that is new or empty.
    ///
    /// # Errors
    /// [`StorageError::Occupied`] when something is there, and those of the operating system and the engine.
    pub fn begin(dir: &Path, options: &OpenOptions, of: ReplayOf) -> Result<Self> {
        files::create_dir(&*options.files, dir)?;
        let lock = LockFile::take(dir, options.lock_timeout, options.clock.now())?;
        files::create_dir(&*options.files, dir)?;
        files::remove_leftovers(dir)?;
        let mut database_options = database_options(DBRecoveryMode::PointInTime);
        database_options.create_if_missing(true);
        database_options.create_missing_column_families(true);
        Ok(Self {
            database: open_database(&files::database_dir(dir), &database_options, true)?,
            segments: Segments::open(dir, Arc::clone(&options.files), None)?,
            dir: dir.to_owned(),
            files: Arc::clone(&options.files),
            created: options.clock.now(),
            of,
            batch: WriteBatch::default(),
            chunks_wait: false,
            tree: Tree::default(),
            time: Timestamp::default(),
            segments_used: Vec::new(),
            _lock: lock,
        })
    }

    /// A chunk and its content.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] when the content is not what the row says, and those of writing.
    pub fn chunk(&mut self, row: &ChunkRow, content: &[u8]) -> Result<()> {
        let actual = Checksum::of(content);
        if actual != row.sha256 || u32::try_from(content.len()) != Ok(row.len) {
            return Err(damaged(row.id, format!("expected checksum {}, actual {actual}", row.sha256)));
        }
        let stored = if row.id < FIRST_IN_SEGMENT {
            Stored::Here(Small { sha256: row.sha256, bytes: content.into() })
        } else {
            let place = self.segments.copy(row.id, content, row.sha256)?;
            if self.segments_used.last() != Some(&place.segment) {
                self.segments_used.push(place.segment);
            }
            Stored::At(place)
        };
        self.chunks_wait = true;
        self.put(Cf::Chunks, &key::chunk(row.id), &file_rows::encode_chunk(&stored))
    }

    /// What stands in a slot.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] when it cannot be read, or names a chunk that did not come; and those of writing.
    pub fn slot(&mut self, row: &SlotRow) -> Result<()> {
        // Chunks are looked for in the database.
        if self.chunks_wait {
            self.write()?;
        }
        for piece in file_rows::decode_pieces(row.ino, row.slot, &row.pieces)? {
            let stored = self.database.chunk(piece.chunk)?;
            if stored.is_none_or(|stored| !stored.has(&piece)) {
                let what = format!("slot {} of artifact {}", row.slot, row.ino);
                let detail = format!("it names the chunk {}, which is not there", piece.chunk);
                return Err(StorageError::Corrupt { what, detail });
            }
        }
        self.put(Cf::Extents, &key::extent(row.ino, row.slot, row.sequence), &row.pieces)
    }

    /// A log entry and its version.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] when they cannot be read or do not belong together, and those of writing.
    pub fn log(&mut self, row: &LogRow) -> Result<()> {
        let sequence = self.tree.size() + 1;
        let (entry, version) = decode_log_row(sequence, row)?;
        self.time = entry.time;
        if let Some((kind, _)) = version {
            self.put(Cf::Versions, &record_key::version(kind, &entry.id, sequence), &row.version)?;
        }
        let mut tiles = Vec::new();
        self.tree.append(merkle::leaf(&row.entry), |tile| tiles.push(tile));
        for tile in tiles {
            self.put(Cf::Tiles, &record_key::tile(tile.level, tile.index), &tile.bytes())?;
        }
        self.put(Cf::Log, &record_key::log(sequence), &row.entry)
    }

    /// Makes what is derived, proves the root, and makes the directory a vault that was closed cleanly. Everything is on disk when
    /// this returns.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] when the log is not the one that it should be, and those of writing.
    pub fn finish(mut self) -> Result<()> {
        let (size, root) = (self.tree.size(), self.tree.root());
        if (size, root) != (self.of.sequence, self.of.root) {
            let detail = format!(
                "it has {size} entries and the root {root} instead of {} and {}",
                self.of.sequence, self.of.root
            );
            return Err(StorageError::Corrupt { what: "the log".to_owned(), detail });
        }
        if self.of.horizon > 0 {
            self.put(Cf::Meta, HORIZON_KEY, &self.of.horizon.to_le_bytes())?;
        }
        self.write()?;
        self.segments.sync_segments(self.segments_used.iter().copied())?;
        // What was written without a write-ahead log is in files before anything is derived from it.
        self.database.flush()?;
        derive(&self.database)?;
        self.database.flush()?;
        let Self { database, files, dir, of, created, .. } = self;
        drop(database);
        for generation in [0, 1] {
            let head = HeadFile { generation, clean: true, epoch: of.epoch, sequence: of.sequence, root: of.root };
            head.write(&*files, &dir)?;
        }
        let marker = Marker {
            vault_id: of.vault_id,
            created: created.to_string(),
            format: files::FORMAT,
            compatible: 0,
            read_only_compatible: 0,
            incompatible: files::KNOWN_INCOMPATIBLE,
        };
        marker.write(&*files, &dir)
    }

    fn put(&mut self, cf: Cf, key: &[u8], value: &[u8]) -> Result<()> {
        self.batch.put_cf(self.database.cf(cf)?, key, value);
        if self.batch.size_in_bytes() >= BATCH_BYTES { self.write() } else { Ok(()) }
    }

    /// Without a write-ahead log: what is not finished is thrown away as a whole.
    fn write(&mut self) -> Result<()> {
        let mut options = WriteOptions::default();
        options.disable_wal(true);
        self.chunks_wait = false;
        let batch = std::mem::take(&mut self.batch);
        self.database.db.write_opt(batch, &options).map_err(|error| self.database.failed(&error))
    }
}

/// Reads a row of the log, and checks that its version is what the entry committed to.
///
/// # Errors
/// [`StorageError::Corrupt`] when it is not.
pub fn decode_log_row(sequence: Sequence, row: &LogRow) -> Result<(LogEntry, Option<(Kind, Version)>)> {
    let entry = codec::decode_entry(sequence, &row.entry)?;
    let Some(kind) = entry.kind.filter(|_| !row.version.is_empty()) else { return Ok((entry, None)) };
    let version = codec::decode_version(kind, &entry.id, sequence, &row.version)?;
    if version.commitment() != entry.commitment || version.deleted != (entry.operation == Operation::Delete) {
        return Err(StorageError::Corrupt {
            what: format!("{kind} {} at sequence {sequence}", entry.id),
            detail: "it is not what the log committed to".to_owned(),
        });
    }
    Ok((entry, Some((kind, version))))
}
