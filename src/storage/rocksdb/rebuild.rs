//! Making the derived column families again from the log and the versions.

use std::path::Path;

use ::rocksdb::{DBRecoveryMode, WriteBatch};

use super::super::codec::{self, key};
use super::super::files::{self, FileAccess, HeadFile, LockFile, Marker};
use super::super::merkle::{self, Tree};
use super::super::types::{Head, Sequence};
use super::super::{Result, StorageError};
use super::check::postings;
use super::open::{OpenOptions, database_options, open_database};
use super::{Cf, Database, RocksStorage};

/// Keys written in one batch.
const BATCH: usize = 4_096;

impl RocksStorage {
    /// Drops heads, index and Merkle tiles, and makes them again from the log and the versions, which are not touched. The
    /// copies of `HEAD` are written anew when they agree with the log. A crash in the middle leaves a vault that only has
    /// to be repaired again.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] when the log or the versions themselves are damaged, and the errors of opening.
    pub fn repair(dir: &Path, options: &OpenOptions) -> Result<()> {
        Marker::read(&*options.files, dir)?;
        let _lock = LockFile::take(dir, options.lock_timeout, options.clock.now())?;
        let path = files::database_dir(dir);
        let mut database = open_database(&path, &database_options(DBRecoveryMode::PointInTime))?;
        for cf in [Cf::Heads, Cf::Index, Cf::Tiles] {
            database.db.drop_cf(cf.name()).map_err(|error| database.failed(&error))?;
        }
        drop(database);
        let mut open = database_options(DBRecoveryMode::PointInTime);
        open.create_missing_column_families(true);
        let database = open_database(&path, &open)?;
        let tree = rebuild_tiles(&database)?;
        rebuild_records(&database)?;
        database.flush()?;
        confirm_head(&*options.files, dir, &tree)
    }
}

impl Database {
    fn flush(&self) -> Result<()> {
        let families = Cf::ALL.into_iter().map(|cf| self.cf(cf)).collect::<Result<Vec<_>>>()?;
        let options = ::rocksdb::FlushOptions::default();
        self.db.flush_cfs_opt(&families, &options).map_err(|error| self.failed(&error))
    }
}

fn rebuild_tiles(database: &Database) -> Result<Tree> {
    let mut tree = Tree::default();
    let mut batch = WriteBatch::default();
    let mut log = database.iterate(Cf::Log, &[])?;
    log.seek_to_first();
    while let Some((stored, bytes)) = log.item() {
        let expected = tree.size() + 1;
        if stored != key::log(expected) {
            return Err(StorageError::Corrupt {
                what: format!("log entry {expected}"),
                detail: "it is missing".to_owned(),
            });
        }
        let tiles = database.cf(Cf::Tiles)?;
        tree.append(merkle::leaf(bytes), |tile| batch.put_cf(tiles, key::tile(tile.level, tile.index), tile.bytes()));
        if batch.len() >= BATCH {
            database.write(std::mem::take(&mut batch), false)?;
        }
        log.next();
    }
    database.finished(&log)?;
    database.write(batch, true)?;
    Ok(tree)
}

fn rebuild_records(database: &Database) -> Result<()> {
    let mut batch = WriteBatch::default();
    let mut versions = database.iterate(Cf::Versions, &[])?;
    versions.seek_to_first();
    let mut last: Option<Vec<u8>> = None;
    while let Some((stored, bytes)) = versions.item() {
        if let Some((kind, id, sequence)) = key::split_version(stored) {
            let head_key = key::head(kind, id);
            // The newest version of a record comes first.
            if last.as_ref() != Some(&head_key) {
                let version = codec::decode_version(kind, id, sequence, bytes)?;
                batch.put_cf(database.cf(Cf::Heads)?, &head_key, codec::encode_head(&Head::from(&version)));
                for (key, value) in postings(id, &version) {
                    batch.put_cf(database.cf(Cf::Index)?, key, value);
                }
                last = Some(head_key);
            }
        }
        if batch.len() >= BATCH {
            database.write(std::mem::take(&mut batch), false)?;
        }
        versions.next();
    }
    database.finished(&versions)?;
    database.write(batch, true)
}

/// Writes both copies of `HEAD` anew if one of them is left and agrees with the log; `HEAD` itself is never made up.
fn confirm_head(files: &dyn FileAccess, dir: &Path, tree: &Tree) -> Result<()> {
    let (head, _) = HeadFile::read(files, dir)?;
    let whole = |size: Sequence| size == tree.size() && head.root == tree.root();
    if head.clean && whole(head.sequence) {
        for generation in [head.generation + 1, head.generation + 2] {
            HeadFile { generation, ..head }.write(files, dir)?;
        }
    }
    Ok(())
}
