//! Creating and opening a vault's storage, and what recovery must find.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use ::rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, ColumnFamilyDescriptor, DB, DBCompressionType, DBRecoveryMode,
    LogLevel, Options, SliceTransform,
};

use crate::record::id::IdSource;
use crate::record::time::{Clock, SystemClock};
use crate::record::{Checksum, Timestamp};
use crate::threads::without_signals;

use super::super::access::{FileAccess, SystemFiles};
use super::super::codec::{self, key};
use super::super::files::{self, HeadFile, Marker};
use super::super::gate::Gate;
use super::super::inline::Inline;
use super::super::lock::LockFile;
use super::super::merkle::{self, TILE, Tree};
use super::super::segments::Segments;
use super::super::types::Sequence;
use super::super::{Result, StorageError};
use super::journal::{self, Tail};
use super::{Cf, Database, Published, RocksStorage, Writer, begin_engine, engine_error};

/// Memory for blocks that were read: indexes, filters and data share it.
const BLOCK_CACHE_BYTES: usize = 96 << 20;
/// Memory for what is written and not yet in files, over all column families.
const MEMTABLE_BYTES: usize = 64 << 20;

/// More missing entries of the log in a row than can be meant seriously.
const LARGEST_HOLE: u64 = 1 << 24;

/// How a storage is opened.
#[derive(Clone)]
pub struct OpenOptions {
    /// How long to wait for another process to let go of the vault.
    pub lock_timeout: Duration,
    /// Where the time of commits comes from.
    pub clock: Arc<dyn Clock>,
    /// Access to the vault's own files.
    pub files: Arc<dyn FileAccess>,
    /// Change nothing, and open what can be opened even when it is damaged: for a check.
    pub inspect: bool,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            lock_timeout: Duration::from_secs(5),
            clock: Arc::new(SystemClock),
            files: Arc::new(SystemFiles),
            inspect: false,
        }
    }
}

impl RocksStorage {
    /// Makes a new, empty storage in a directory that is new or empty, or in which making one was interrupted.
    ///
    /// # Errors
    /// [`StorageError::Occupied`] when something is there, and those of the operating system and the engine.
    pub fn create(dir: &Path, options: &OpenOptions, ids: &dyn IdSource) -> Result<Self> {
        files::create_dir(&*options.files, dir)?;
        let lock = LockFile::take(dir, options.lock_timeout, options.clock.now())?;
        files::create_dir(&*options.files, dir)?;
        files::remove_leftovers(dir)?;
        let path = files::database_dir(dir);
        let mut database_options = database_options(DBRecoveryMode::PointInTime);
        database_options.create_if_missing(true);
        database_options.create_missing_column_families(true);
        drop(open_database(&path, &database_options, true)?);
        let empty = Tree::default();
        for generation in [0, 1] {
            let head = HeadFile { generation, clean: true, epoch: 1, sequence: 0, root: empty.root() };
            head.write(&*options.files, dir)?;
        }
        let mut id = [0; 8];
        ids.fill(&mut id)?;
        let marker = Marker {
            vault_id: format!("vault_{:016x}", u64::from_be_bytes(id)),
            created: options.clock.now().to_string(),
            format: files::FORMAT,
            compatible: 0,
            read_only_compatible: 0,
            incompatible: files::KNOWN_INCOMPATIBLE,
        };
        // The marker comes last: a directory without it is not a vault.
        marker.write(&*options.files, dir)?;
        Self::open_locked(dir, options, lock)
    }

    /// Opens a storage.
    ///
    /// # Errors
    /// [`StorageError::NotAVault`], [`StorageError::Locked`], [`StorageError::NewerFormat`],
    /// [`StorageError::UnknownFeatures`], [`StorageError::Corrupt`], [`StorageError::Permission`],
    /// [`StorageError::NoSpace`]: one for each way in which opening can fail.
    pub fn open(dir: &Path, options: &OpenOptions) -> Result<Self> {
        // Looking at what is no vault leaves nothing behind.
        Marker::read(&*options.files, dir)?;
        let lock = LockFile::take(dir, options.lock_timeout, options.clock.now())?;
        Self::open_locked(dir, options, lock)
    }

    /// Opens a storage whose lock was taken.
    pub(in crate::storage) fn open_locked(dir: &Path, options: &OpenOptions, lock: LockFile) -> Result<Self> {
        let mut marker = Marker::read(&*options.files, dir)?;
        let mut warnings = Vec::new();
        let head = match HeadFile::read(&*options.files, dir) {
            Ok((head, problem)) => {
                warnings.extend(problem);
                Some(head)
            }
            Err(error) if options.inspect => {
                warnings.push(error.to_string());
                None
            }
            Err(error) => return Err(error),
        };
        let path = files::database_dir(dir);
        if !path.is_dir() {
            return Err(StorageError::Corrupt {
                what: path.display().to_string(),
                detail: "the directory with the records is missing".to_owned(),
            });
        }
        // After a clean close there is nothing to replay, so anything damaged there is damage and not a torn tail.
        let clean = head.is_some_and(|head| head.clean);
        let recovery = if clean { DBRecoveryMode::AbsoluteConsistency } else { DBRecoveryMode::PointInTime };
        let tail = if clean || options.inspect { Tail::Refuse } else { Tail::Cut };
        journal::examine(&*options.files, &path, tail)?;
        let database = if options.inspect {
            inspect_database(&path, &database_options(DBRecoveryMode::PointInTime), !lacks_artifacts(&path))?
        } else {
            let mut database_options = database_options(recovery);
            if marker.incompatible != files::KNOWN_INCOMPATIBLE {
                // The marker comes first: a program that does not know what is to come must be told so by it.
                marker.incompatible = files::KNOWN_INCOMPATIBLE;
                marker.write(&*options.files, dir)?;
            }
            database_options.create_missing_column_families(lacks_artifacts(&path));
            open_database(&path, &database_options, true)?
        };
        let epoch = head.map_or(1, |head| head.epoch);
        let published = match load_log(&database, epoch) {
            // The check will meet what is damaged here again, and name it.
            Err(StorageError::Corrupt { .. }) if options.inspect => load_entries(&database, epoch, 0)?.0,
            loaded => loaded?,
        };
        let ((newest_inline, newest_chunk), highest_ino) = if database.artifacts {
            (database.newest_chunks()?, database.stored_highest_ino())
        } else {
            ((None, None), Ok(0))
        };
        let highest_ino = match highest_ino {
            // The check names it.
            Err(StorageError::Corrupt { .. }) if options.inspect => 0,
            other => other?,
        };
        let mut storage = Self {
            inline: Inline::new(newest_inline),
            segments: Segments::open(dir, Arc::clone(&options.files), newest_chunk)?,
            highest_ino: AtomicU64::new(highest_ino),
            holders: Mutex::default(),
            maintenance: Mutex::default(),
            database,
            dir: dir.to_owned(),
            marker,
            files: Arc::clone(&options.files),
            clock: Arc::clone(&options.clock),
            read_only: options.inspect,
            lock_timeout: options.lock_timeout,
            gate: Arc::new(Gate::default()),
            warnings,
            durable: AtomicU64::new(published.tree.size()),
            published: RwLock::new(published),
            queue: Mutex::default(),
            writer: Mutex::new(Writer { generation: head.map_or(0, |head| head.generation), ..Writer::default() }),
            subscribers: Mutex::default(),
            leases: Mutex::default(),
            versions_read: AtomicU64::new(0),
            prunes_from: Mutex::default(),
            closed: AtomicBool::new(false),
            _lock: Some(lock),
        };
        let Some(head) = head else { return Ok(storage) };
        if let Err(error) = storage.compare_with_head(&head) {
            if !options.inspect {
                storage.closed.store(true, std::sync::atomic::Ordering::Release);
                return Err(error);
            }
            // When the entries by themselves are those that HEAD knows, it is the tiles that are damaged, and the check names
            // them.
            let (published, root) = load_entries(&storage.database, epoch, head.sequence)?;
            let size = published.tree.size();
            storage.publish(published);
            if root != Some(head.root) || (head.clean && size != head.sequence) {
                storage.warnings.push(error.to_string());
            }
            return Ok(storage);
        }
        if head.clean && !options.inspect && !storage.warnings.is_empty() {
            // A power cut tore the older copy just before the first change. With the other one proved right, it is no damage
            // any more once it is written again.
            let rewritten = storage.write_head(&mut super::lock(&storage.writer), true, epoch);
            if let Err(error) = rewritten {
                tracing::warn!(target: "mirrordna::storage", %error, "the damaged copy of HEAD stays as it is");
            }
        }
        if !head.clean && !options.inspect {
            tracing::warn!(target: "mirrordna::storage", dir = %dir.display(), "the vault was not closed cleanly; recovered");
            storage.append_epoch("the vault was not closed cleanly", "system")?;
        }
        Ok(storage)
    }

    /// The log that was recovered must reach as far as `HEAD` says, and be the same log.
    fn compare_with_head(&self, head: &HeadFile) -> Result<()> {
        let found = self.published().tree.size();
        let wrong =
            |detail: String| StorageError::Corrupt { what: format!("the log of {}", self.dir.display()), detail };
        if found < head.sequence || (head.clean && found > head.sequence) {
            return Err(wrong(format!("it ends at sequence {found}, but HEAD says {}", head.sequence)));
        }
        let root = self.root_at(head.sequence)?;
        if root != head.root {
            return Err(wrong(format!(
                "at sequence {} its root is {root}, but HEAD says {}",
                head.sequence, head.root
            )));
        }
        Ok(())
    }

    /// Notes in `HEAD`, before the first change, that the vault is in use: if it stays so, the next opening recovers.
    pub(super) fn mark_in_use(&self, writer: &mut Writer) -> Result<()> {
        if writer.in_use {
            return Ok(());
        }
        self.write_head(writer, false, self.published().epoch)
    }

    /// Writes the older copy of `HEAD` anew. Everything that was committed must be durable.
    pub(super) fn write_head(&self, writer: &mut Writer, clean: bool, epoch: u64) -> Result<()> {
        let published = self.published();
        let (sequence, root) = (published.tree.size(), published.tree.root());
        let head = HeadFile { generation: writer.generation + 1, clean, epoch, sequence, root };
        head.write(&*self.files, &self.dir)?;
        writer.generation = head.generation;
        writer.in_use = !clean;
        Ok(())
    }
}

/// Up to which sequence versions were pruned.
fn load_horizon(database: &Database) -> Result<Sequence> {
    let Some(bytes) = database.get(Cf::Meta, super::prune::HORIZON_KEY)? else { return Ok(0) };
    let horizon = bytes.as_ref().try_into().map(Sequence::from_le_bytes);
    horizon.map_err(|_| StorageError::Corrupt {
        what: "the horizon of prunes".to_owned(),
        detail: "it cannot be read".to_owned(),
    })
}

fn load_log(database: &Database, epoch: u64) -> Result<Published> {
    let mut last = database.db.raw_iterator_cf(database.cf(Cf::Log)?);
    last.seek_to_last();
    let newest = match last.item() {
        Some((key, value)) => {
            let sequence = Sequence::from_be_bytes(key.try_into().unwrap_or_default());
            Some(codec::decode_entry(sequence, value)?)
        }
        None => None,
    };
    last.status().map_err(|error| database.failed(&error))?;
    let (size, time) = newest.map_or((0, Timestamp::default()), |entry| (entry.sequence, entry.time));
    let tree = Tree::load(size, |level, range| database.hashes(level, range))?;
    Ok(Published { tree: Arc::new(tree), time, epoch, horizon: load_horizon(database)? })
}

/// What the entries of the log say by themselves, for an inspection when its end or the tiles over it are damaged. In the
/// place of a missing entry stands nothing, which the check then names. Also gives the root over the first `size` of them.
fn load_entries(database: &Database, epoch: u64, size: Sequence) -> Result<(Published, Option<Checksum>)> {
    let mut tree = Tree::default();
    let mut root = (size == 0).then(|| tree.root());
    let mut time = Timestamp::default();
    let mut log = database.iterate(Cf::Log, &[])?;
    log.seek_to_first();
    while let Some((stored, bytes)) = log.item() {
        let sequence = Sequence::from_be_bytes(stored.try_into().unwrap_or_default());
        // Behind a hole as large as this it is the key that is damaged.
        if sequence <= tree.size() || sequence - tree.size() > LARGEST_HOLE {
            break;
        }
        while tree.size() + 1 < sequence {
            tree.append(merkle::leaf(&[]), |_| {});
        }
        tree.append(merkle::leaf(bytes), |_| {});
        if tree.size() == size {
            root = Some(tree.root());
        }
        time = codec::decode_entry(sequence, bytes).map_or(time, |entry| entry.time);
        log.next();
    }
    // Whoever inspects a damaged vault reads its past from the log and the versions by themselves.
    Ok((Published { tree: Arc::new(tree), time, epoch, horizon: 0 }, root))
}

impl Database {
    /// Hashes of one level of the Merkle tree: leaves from the log, others from the complete tiles below them.
    pub(super) fn hashes(&self, level: u8, range: std::ops::Range<u64>) -> Result<Vec<Checksum>> {
        let Some(below) = level.checked_sub(1) else {
            let keys = range.map(|n| key::log(n + 1));
            return keys
                .map(|key| {
                    let entry = self.get(Cf::Log, &key)?.ok_or_else(|| StorageError::Corrupt {
                        what: format!("log entry {}", Sequence::from_be_bytes(key)),
                        detail: "it is missing".to_owned(),
                    })?;
                    Ok(merkle::leaf(&entry))
                })
                .collect();
        };
        range.map(|n| Ok(merkle::root_of(&self.tile(below, n)?))).collect()
    }

    /// A complete tile.
    pub(super) fn tile(&self, level: u8, index: u64) -> Result<Vec<Checksum>> {
        let damaged = |detail: &str| StorageError::Corrupt {
            what: format!("Merkle tile {level}/{index}"),
            detail: detail.to_owned(),
        };
        let bytes = self.get(Cf::Tiles, &key::tile(level, index))?.ok_or_else(|| damaged("it is missing"))?;
        merkle::tile_hashes(&bytes)
            .filter(|hashes| hashes.len() == TILE)
            .ok_or_else(|| damaged("it has a wrong length"))
    }
}

/// The database is of a day before there were artifacts: all else is there, and of them nothing.
pub(super) fn lacks_artifacts(path: &Path) -> bool {
    // What keeps the names from being read keeps the database from being opened, which says what it is.
    let Ok(names) = DB::list_cf(&Options::default(), path) else { return false };
    let there = |cf: &Cf| names.iter().any(|name| name == cf.name());
    Cf::RECORDS.iter().all(there) && !Cf::ARTIFACTS.iter().any(there)
}

pub(super) fn open_database(path: &Path, options: &Options, artifacts: bool) -> Result<Database> {
    let families = column_families(artifacts);
    begin_engine();
    let db = without_signals(|| DB::open_cf_descriptors(options, path, families));
    let db = db.map_err(|error| engine_error(path, &error))?;
    Ok(Database { db, path: path.to_owned(), artifacts })
}

/// Opens for reading alone: RocksDB replays its log in memory and writes nothing.
fn inspect_database(path: &Path, options: &Options, artifacts: bool) -> Result<Database> {
    let families = column_families(artifacts);
    begin_engine();
    let db = without_signals(|| DB::open_cf_descriptors_read_only(options, path, families, false));
    let db = db.map_err(|error| engine_error(path, &error))?;
    Ok(Database { db, path: PathBuf::from(path), artifacts })
}

pub(super) fn database_options(recovery: DBRecoveryMode) -> Options {
    let mut options = Options::default();
    options.set_wal_recovery_mode(recovery);
    options.set_paranoid_checks(true);
    // All column families are written out together, so that files lost at the end of the manifest lose a whole tail of
    // commits and never a part of one.
    options.set_atomic_flush(true);
    options.set_db_write_buffer_size(MEMTABLE_BYTES);
    options.set_max_total_wal_size(2 * MEMTABLE_BYTES as u64);
    options.set_max_background_jobs(2);
    options.set_max_open_files(256);
    options.set_bytes_per_sync(1 << 20);
    // What is logged is for the developers of RocksDB; the vault has its own log.
    options.set_log_level(LogLevel::Warn);
    options.set_keep_log_file_num(2);
    options.set_max_log_file_size(1 << 20);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options
}

/// The name under which files of versions say how their filters were made: a file with another one is read without.
const RECORD_PREFIX: &str = "mirrordna.record";

fn column_families(artifacts: bool) -> Vec<ColumnFamilyDescriptor> {
    let cache = Cache::new_lru_cache(BLOCK_CACHE_BYTES);
    let of_artifacts = Cf::ARTIFACTS.into_iter().filter(|_| artifacts);
    let all = Cf::RECORDS.into_iter().chain(of_artifacts);
    let mut families: Vec<_> =
        all.map(|cf| ColumnFamilyDescriptor::new(cf.name(), family_options(cf, &cache))).collect();
    families.push(ColumnFamilyDescriptor::new("default", family_options(Cf::Meta, &cache)));
    families
}

fn family_options(cf: Cf, cache: &Cache) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_cache_index_and_filter_blocks(true);
    // Indexes and filters are cut into small blocks too. Whole ones have half a megabyte a file, and a few of them in one
    // shard of the cache push each other out at every read.
    blocks.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    blocks.set_partition_filters(true);
    blocks.set_metadata_block_size(4_096);
    blocks.set_pin_top_level_index_and_filter(true);
    blocks.set_format_version(6);
    if matches!(cf, Cf::Heads | Cf::Versions | Cf::Chunks) {
        blocks.set_bloom_filter(10.0, false);
        // Versions are looked for by their record, and so is what their filters tell of.
        blocks.set_whole_key_filtering(cf != Cf::Versions);
    }
    let mut options = Options::default();
    if cf == Cf::Versions {
        options.set_prefix_extractor(SliceTransform::create(RECORD_PREFIX, key::record_of, None));
    }
    options.set_block_based_table_factory(&blocks);
    options.set_write_buffer_size(32 << 20);
    options.set_target_file_size_base(32 << 20);
    options.set_max_bytes_for_level_base(128 << 20);
    options.set_level_compaction_dynamic_level_bytes(true);
    // Hashes and salts do not compress, and heads are small and hot.
    options.set_compression_type(match cf {
        Cf::Versions | Cf::Index | Cf::Dentries => DBCompressionType::Lz4,
        Cf::Meta | Cf::Log | Cf::Tiles | Cf::Heads | Cf::Extents | Cf::Chunks => DBCompressionType::None,
    });
    options
}
