//! Making the derived column families again from the log and the versions.

use std::path::Path;

use ::rocksdb::{DBRecoveryMode, WriteBatch};

use crate::record::inode::parse_ino;
use crate::record::{Inode, Kind, json};

use super::super::access::FileAccess;
use super::super::artifacts::{Dentry, Ino};
use super::super::codec::{self, key};
use super::super::file_rows;
use super::super::files::{HeadFile, Marker, database_dir};
use super::super::lock::LockFile;
use super::super::merkle::{self, Tree};
use super::super::types::{Head, Sequence};
use super::super::{Result, StorageError};
use super::artifacts::HIGHEST_KEY;
use super::check::postings;
use super::journal::{self, Tail};
use super::open::{OpenOptions, database_options, lacks_artifacts, open_database};
use super::{Cf, Database, RocksStorage};

/// Keys written in one batch.
const BATCH: usize = 4_096;

impl RocksStorage {
    /// Drops heads, index, Merkle tiles and directory entries, and makes them again from the log and the versions, which are not touched. The
    /// copies of `HEAD` are written anew when they agree with the log. Nothing is dropped before it is certain that it can
    /// be made again, and a crash in the middle leaves a vault that only has to be repaired again.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] when the log or the versions themselves are damaged, and the errors of opening.
    pub fn repair(dir: &Path, options: &OpenOptions) -> Result<()> {
        let files = &*options.files;
        Marker::read(files, dir)?;
        let _lock = LockFile::take(dir, options.lock_timeout, options.clock.now())?;
        let path = database_dir(dir);
        let (head, _) = HeadFile::read(files, dir)?;
        journal::examine(files, &path, if head.clean { Tail::Refuse } else { Tail::Cut })?;
        let artifacts = !lacks_artifacts(&path);
        // A repair that was interrupted may have left some of them dropped.
        let mut options = database_options(DBRecoveryMode::PointInTime);
        options.create_missing_column_families(true);
        let mut database = open_database(&path, &options, artifacts)?;
        rebuild_tiles(&database, &head, &mut Dry)?;
        rebuild_records(&database, &mut Dry)?;
        rebuild_files(&database, &mut Dry)?;
        let derived = [Cf::Heads, Cf::Index, Cf::Tiles].into_iter().chain(artifacts.then_some(Cf::Dentries));
        for cf in derived {
            database.db.drop_cf(cf.name()).map_err(|error| database.failed(&error))?;
        }
        drop(database);
        let database = open_database(&path, &options, artifacts)?;
        let mut batches = Batches { database: &database, batch: WriteBatch::default(), logged: true };
        let tree = rebuild_tiles(&database, &head, &mut batches)?;
        rebuild_records(&database, &mut batches)?;
        rebuild_files(&database, &mut batches)?;
        batches.write(true)?;
        database.flush()?;
        confirm_head(files, dir, &head, &tree)
    }
}

/// Makes heads, index and directory entries of a database that has none yet, and is thrown away when it does not get finished.
pub(super) fn derive(database: &Database) -> Result<()> {
    let mut batches = Batches { database, batch: WriteBatch::default(), logged: false };
    rebuild_records(database, &mut batches)?;
    rebuild_files(database, &mut batches)?;
    batches.write(false)
}

/// Where rows go that are made again.
trait Rows {
    fn put(&mut self, cf: Cf, key: &[u8], value: &[u8]) -> Result<()>;
}

/// Nowhere: to see whether they can be made at all.
struct Dry;

impl Rows for Dry {
    fn put(&mut self, _: Cf, _: &[u8], _: &[u8]) -> Result<()> {
        Ok(())
    }
}

/// Into the database, in batches.
struct Batches<'a> {
    database: &'a Database,
    batch: WriteBatch,
    /// They go through the write-ahead log.
    logged: bool,
}

impl Batches<'_> {
    fn write(&mut self, sync: bool) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        if self.logged { self.database.write(batch, sync) } else { self.database.write_unlogged(batch) }
    }
}

impl Rows for Batches<'_> {
    fn put(&mut self, cf: Cf, key: &[u8], value: &[u8]) -> Result<()> {
        self.batch.put_cf(self.database.cf(cf)?, key, value);
        if self.batch.len() >= BATCH { self.write(false) } else { Ok(()) }
    }
}

/// The tree over the log, which must be the one that `HEAD` knows.
fn rebuild_tiles(database: &Database, head: &HeadFile, rows: &mut impl Rows) -> Result<Tree> {
    let corrupt = |what: String, detail: String| StorageError::Corrupt { what, detail };
    let mut tree = Tree::default();
    let mut root_at_head = (head.sequence == 0).then(|| tree.root());
    let mut completed = Vec::new();
    let mut log = database.pass_over(Cf::Log, &[])?;
    log.seek_to_first();
    while let Some((stored, bytes)) = log.item() {
        let expected = tree.size() + 1;
        if stored != key::log(expected) {
            return Err(corrupt(format!("log entry {expected}"), "it is missing".to_owned()));
        }
        codec::decode_entry(expected, bytes)?;
        tree.append(merkle::leaf(bytes), |tile| completed.push(tile));
        for tile in completed.drain(..) {
            rows.put(Cf::Tiles, &key::tile(tile.level, tile.index), &tile.bytes())?;
        }
        if tree.size() == head.sequence {
            root_at_head = Some(tree.root());
        }
        log.next();
    }
    database.finished(&log)?;
    let found = tree.size();
    if root_at_head != Some(head.root) || (head.clean && found != head.sequence) {
        let detail = format!("its {found} entries are not what HEAD says of the first {}", head.sequence);
        return Err(corrupt("the log".to_owned(), detail));
    }
    Ok(tree)
}

fn rebuild_records(database: &Database, rows: &mut impl Rows) -> Result<()> {
    let mut versions = database.pass_over(Cf::Versions, &[])?;
    versions.seek_to_first();
    let mut last: Option<Vec<u8>> = None;
    while let Some((stored, bytes)) = versions.item() {
        if let Some((kind, id, sequence)) = key::split_version(stored) {
            let head_key = key::head(kind, id);
            // The newest version of a record comes first.
            if last.as_ref() != Some(&head_key) {
                let version = codec::decode_version(kind, id, sequence, bytes)?;
                rows.put(Cf::Heads, &head_key, &codec::encode_head(&Head::from(&version)))?;
                for (key, value) in postings(id, &version) {
                    rows.put(Cf::Index, &key, &value)?;
                }
                last = Some(head_key);
            }
        }
        versions.next();
    }
    database.finished(&versions)
}

/// Directory entries, from the names in inodes, and the number that new inodes are counted from.
fn rebuild_files(database: &Database, rows: &mut impl Rows) -> Result<()> {
    if !database.artifacts {
        return Ok(());
    }
    let ends = ends_of_commits(database)?;
    // A name may have gone from one inode to another in one commit: then it is not gone.
    let highest = each_name(database, &ends, false, rows)?;
    each_name(database, &ends, true, rows)?;
    if highest > 0 {
        rows.put(Cf::Meta, HIGHEST_KEY, &file_rows::encode_highest(highest))?;
    }
    Ok(())
}

/// The last sequences of the commits that changed artifacts.
fn ends_of_commits(database: &Database) -> Result<Vec<Sequence>> {
    let mut ends = Vec::new();
    let mut any = false;
    let mut log = database.pass_over(Cf::Log, &[])?;
    log.seek_to_first();
    while let Some((stored, bytes)) = log.item() {
        let sequence = Sequence::from_be_bytes(stored.try_into().unwrap_or_default());
        let entry = codec::decode_entry(sequence, bytes)?;
        any |= entry.kind == Some(Kind::Artifact);
        if entry.end_of_commit && std::mem::take(&mut any) {
            ends.push(sequence);
        }
        log.next();
    }
    database.finished(&log)?;
    Ok(ends)
}

/// Puts an entry for each name that an inode got, or one that says that it is gone for each that it lost. Returns the highest
/// number of an inode.
fn each_name(database: &Database, ends: &[Sequence], got: bool, rows: &mut impl Rows) -> Result<Ino> {
    let mut highest = 0;
    // The version that was seen last, which is the next newer one.
    let mut newer: Option<(Ino, Sequence, Option<Inode>)> = None;
    let mut versions = database.pass_over(Cf::Versions, &[Kind::Artifact.number()])?;
    versions.seek_to_first();
    while let Some((stored, bytes)) = versions.item() {
        if let Some((kind, id, sequence)) = key::split_version(stored)
            && let Some(ino) = parse_ino(id)
        {
            highest = highest.max(ino);
            let version = codec::decode_version(kind, id, sequence, bytes)?;
            let inode = if version.deleted { None } else { Some(read_inode(id, sequence, &version.json)?) };
            if newer.as_ref().is_some_and(|(other, ..)| *other != ino)
                && let Some((_, sequence, first)) = newer.take()
            {
                put_names(rows, ends, got, sequence, None, first.as_ref())?;
            }
            if let Some((_, sequence, next)) = newer.take() {
                put_names(rows, ends, got, sequence, inode.as_ref(), next.as_ref())?;
            }
            newer = Some((ino, sequence, inode));
        }
        versions.next();
    }
    database.finished(&versions)?;
    if let Some((_, sequence, first)) = newer {
        put_names(rows, ends, got, sequence, None, first.as_ref())?;
    }
    Ok(highest)
}

/// The names that came or went from one version to the next, which has this sequence.
fn put_names(
    rows: &mut impl Rows,
    ends: &[Sequence],
    got: bool,
    sequence: Sequence,
    before: Option<&Inode>,
    after: Option<&Inode>,
) -> Result<()> {
    // Entries carry the last sequence of their commit.
    let end = ends.get(ends.partition_point(|end| *end < sequence)).copied().unwrap_or(sequence);
    let (with, without) = if got { (after, before) } else { (before, after) };
    let Some(with) = with else { return Ok(()) };
    let dentry = Dentry { ino: with.ino, file_type: with.file_type };
    for (parent, name) in &with.names {
        let stays = without.is_some_and(|other| other.names.iter().any(|(p, n)| p == parent && n == name));
        if !stays {
            let value = file_rows::encode_dentry(got.then_some(&dentry));
            rows.put(Cf::Dentries, &file_rows::key::dentry(*parent, name, end), &value)?;
        }
    }
    Ok(())
}

fn read_inode(id: &str, sequence: Sequence, stored: &[u8]) -> Result<Inode> {
    let corrupt =
        |detail: String| StorageError::Corrupt { what: format!("artifact {id} at sequence {sequence}"), detail };
    let record = json::parse(stored).map_err(|error| corrupt(error.to_string()))?;
    Inode::from_value(&record).map_err(corrupt)
}

/// Writes both copies of `HEAD` anew if the vault was closed; of one that was not, opening it makes a new one.
fn confirm_head(files: &dyn FileAccess, dir: &Path, head: &HeadFile, tree: &Tree) -> Result<()> {
    if head.clean && head.sequence == tree.size() {
        for generation in [head.generation + 1, head.generation + 2] {
            HeadFile { generation, ..*head }.write(files, dir)?;
        }
    }
    Ok(())
}
