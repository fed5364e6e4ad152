//! Making a vault again from the rows of another: with the same log, the same history and the same content.
//!
//! Every row is checked before it comes, against its own checksums and what the log commits to, and when it comes, against the others;
//! what is derived is made anew. The marker comes last, so a replay that does not get to its end leaves a directory that is no vault.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::rocksdb::{DBRecoveryMode, WriteBatch};

use crate::record::{Checksum, Timestamp};

use super::super::access::FileAccess;
use super::super::checked::{CheckedChunks, CheckedLog};
use super::super::codec::key as record_key;
use super::super::file_rows::{self, Stored, key};
use super::super::files::{self, HeadFile, Marker};
use super::super::filler::Filler;
use super::super::inline::{FIRST_IN_SEGMENT, Small};
use super::super::lock::LockFile;
use super::super::merkle::Tree;
use super::super::rows::SlotRow;
use super::super::types::Sequence;
use super::super::{Result, StorageError};
use super::open::{OpenOptions, database_options, open_database};
use super::prune::HORIZON_KEY;
use super::rebuild::derive;
use super::{Cf, Database};

/// Memory for what is written and not yet in files: nobody reads meanwhile.
const MEMTABLE_BYTES: usize = 32 << 20;
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

/// A vault that is being made again. Its content and its log are written side by side, by a thread each if need be.
pub struct Replay {
    database: Database,
    dir: PathBuf,
    files: Arc<dyn FileAccess>,
    created: Timestamp,
    of: ReplayOf,
    _lock: LockFile,
}

/// What the files of a vault hold: first all chunks, then the slots.
pub struct ContentReplay<'a> {
    rows: Rows<'a>,
    /// Rows of chunks are not in the database yet.
    chunks_wait: bool,
    segments: Filler,
}

/// The log of a vault, and what is derived from it.
pub struct LogReplay<'a> {
    rows: Rows<'a>,
    of: &'a ReplayOf,
    tree: Tree,
}

/// Rows on their way into the database.
struct Rows<'a> {
    database: &'a Database,
    batch: WriteBatch,
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
        database_options.set_db_write_buffer_size(MEMTABLE_BYTES);
        Ok(Self {
            database: open_database(&files::database_dir(dir), &database_options, true)?,
            dir: dir.to_owned(),
            files: Arc::clone(&options.files),
            created: options.clock.now(),
            of,
            _lock: lock,
        })
    }

    /// What is to be filled, each once, in any order.
    #[must_use]
    pub fn parts(&self) -> (ContentReplay<'_>, LogReplay<'_>) {
        let rows = || Rows { database: &self.database, batch: WriteBatch::default() };
        let segments = Filler::new(&self.dir, Arc::clone(&self.files));
        let content = ContentReplay { rows: rows(), chunks_wait: false, segments };
        (content, LogReplay { rows: rows(), of: &self.of, tree: Tree::default() })
    }

    /// Makes the directory a vault that was closed cleanly, once both parts are finished. Everything is on disk when this
    /// returns.
    ///
    /// # Errors
    /// Those of writing.
    pub fn finish(self) -> Result<()> {
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
}

impl ContentReplay<'_> {
    /// Chunks and their content.
    ///
    /// # Errors
    /// Those of writing.
    pub fn chunks(&mut self, chunks: &CheckedChunks) -> Result<()> {
        for (row, content) in chunks.iter() {
            let stored = if row.id < FIRST_IN_SEGMENT {
                Stored::Here(Small { sum: row.sum, bytes: content.into() })
            } else {
                Stored::At(self.segments.append(row.id, content, row.sum)?)
            };
            self.chunks_wait = true;
            self.rows.put(Cf::Chunks, &key::chunk(row.id), &file_rows::encode_chunk(&stored))?;
        }
        Ok(())
    }

    /// What stands in a slot.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] when it cannot be read, or names a chunk that did not come; and those of writing.
    pub fn slot(&mut self, row: &SlotRow) -> Result<()> {
        // Chunks are looked for in the database.
        if self.chunks_wait {
            self.rows.write()?;
            self.chunks_wait = false;
        }
        for piece in file_rows::decode_pieces(row.ino, row.slot, &row.pieces)? {
            let stored = self.rows.database.chunk(piece.chunk)?;
            if stored.is_none_or(|stored| !stored.has(&piece)) {
                let what = format!("slot {} of artifact {}", row.slot, row.ino);
                let detail = format!("it names the chunk {}, which is not there", piece.chunk);
                return Err(StorageError::Corrupt { what, detail });
            }
        }
        self.rows.put(Cf::Extents, &key::extent(row.ino, row.slot, row.sequence), &row.pieces)
    }

    /// Everything has come. All segments are on disk when this returns.
    ///
    /// # Errors
    /// Those of writing.
    pub fn finish(mut self) -> Result<()> {
        self.rows.write()?;
        self.segments.finish()
    }
}

impl LogReplay<'_> {
    /// Log entries and their versions, which go on where those before ended.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] when they do not, and those of writing.
    pub fn log(&mut self, log: &CheckedLog) -> Result<()> {
        for checked in log.entries() {
            let expected = self.tree.size() + 1;
            if checked.sequence != expected {
                let detail = format!("entry {} comes where {expected} should", checked.sequence);
                return Err(StorageError::Corrupt { what: "the log".to_owned(), detail });
            }
            if let Some(key) = &checked.version_key {
                self.rows.put(Cf::Versions, key, &checked.row.version)?;
            }
            let mut tiles = Vec::new();
            self.tree.append(checked.leaf, |tile| tiles.push(tile));
            for tile in tiles {
                self.rows.put(Cf::Tiles, &record_key::tile(tile.level, tile.index), &tile.bytes())?;
            }
            self.rows.put(Cf::Log, &record_key::log(checked.sequence), &checked.row.entry)?;
        }
        Ok(())
    }

    /// Everything has come: proves the root, and makes what is derived.
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
            self.rows.put(Cf::Meta, HORIZON_KEY, &self.of.horizon.to_le_bytes())?;
        }
        self.rows.write()?;
        derive(self.rows.database)
    }
}

impl Rows<'_> {
    fn put(&mut self, cf: Cf, key: &[u8], value: &[u8]) -> Result<()> {
        self.batch.put_cf(self.database.cf(cf)?, key, value);
        if self.batch.size_in_bytes() >= BATCH_BYTES { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<()> {
        self.database.write_unlogged(std::mem::take(&mut self.batch))
    }
}
