//! Making the derived column families again from the log and the versions.

use std::path::Path;

use ::rocksdb::{DBRawIterator, DBRecoveryMode, WriteBatch};

use crate::record::inode::parse_ino;
use crate::record::{Inode, Kind, json};

use super::super::access::FileAccess;
use super::super::artifacts::{Dentry, Ino};
use super::super::codec::{self, key};
use super::super::file_rows;
use super::super::files::{HeadFile, Marker, database_dir};
use super::super::lock::LockFile;
use super::super::merkle::{self, Tree};
use super::super::types::{Head, Operation, Sequence};
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

    /// Makes sure that what was put is in the database; false when it never is.
    fn written(&mut self) -> Result<bool>;
}

/// Nowhere: to see whether they can be made at all.
struct Dry;

impl Rows for Dry {
    fn put(&mut self, _: Cf, _: &[u8], _: &[u8]) -> Result<()> {
        Ok(())
    }

    fn written(&mut self) -> Result<bool> {
        Ok(false)
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

    fn written(&mut self) -> Result<bool> {
        self.write(false)?;
        Ok(true)
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
    let commits = Commits::read(database)?;
    let mut entries = Entries { database, commits, rows };
    let highest = entries.put_got()?;
    if highest > 0 {
        entries.rows.put(Cf::Meta, HIGHEST_KEY, &file_rows::encode_highest(highest))?;
    }
    if !entries.rows.written()? {
        return Ok(());
    }
    if entries.commits.pruned > 0 {
        entries.put_got_again()?;
        entries.rows.written()?;
    }
    entries.put_lost()
}

/// Directory entries that are made again.
///
/// Each version of an inode says for certain which names it had then. When it lost one is less certain: that version may have
/// been pruned, or a restore may have given the name to another inode some commits before. So what inodes got is put first,
/// and what they lost is compared with that.
struct Entries<'a, R> {
    database: &'a Database,
    commits: Commits,
    rows: &'a mut R,
}

impl<R: Rows> Entries<'_, R> {
    /// An entry for each name that an inode got. Returns the highest number of an inode.
    fn put_got(&mut self) -> Result<Ino> {
        each_step(self.database, Sequence::MAX, &mut |step| {
            step.got().try_for_each(|(name, dentry)| self.put(step, name, Some(&dentry)))
        })
    }

    /// An entry for each name that an inode has as before, though another one had it in between: the version in which it lost
    /// the name was pruned.
    fn put_got_again(&mut self) -> Result<()> {
        let mut names = Names::read(self.database)?;
        each_step(self.database, self.commits.pruned, &mut |step| {
            step.kept().try_for_each(|(name, dentry)| {
                let leads_to = names.lead_to(name, self.commits.end_of(step.sequence))?;
                if leads_to == Some(dentry.ino) { Ok(()) } else { self.put(step, name, Some(&dentry)) }
            })
        })?;
        Ok(())
    }

    /// An entry that a name is gone for each that an inode lost and no other one has got since.
    fn put_lost(&mut self) -> Result<()> {
        let mut names = Names::read(self.database)?;
        each_step(self.database, Sequence::MAX, &mut |step| {
            step.lost().try_for_each(|(name, dentry)| {
                let leads_to = names.lead_to(name, self.commits.end_of(step.sequence))?;
                if leads_to == Some(dentry.ino) { self.put(step, name, None) } else { Ok(()) }
            })
        })?;
        Ok(())
    }

    fn put(&mut self, step: &Step<'_>, (parent, name): &FileName, dentry: Option<&Dentry>) -> Result<()> {
        let key = file_rows::key::dentry(*parent, name, self.commits.end_of(step.sequence));
        self.rows.put(Cf::Dentries, &key, &file_rows::encode_dentry(dentry))
    }
}

/// What the log says of the commits that changed artifacts.
struct Commits {
    /// Their last sequences, which entries of directories carry.
    ends: Vec<Sequence>,
    /// The newest prune: between two versions before it there may have been others.
    pruned: Sequence,
}

impl Commits {
    fn read(database: &Database) -> Result<Self> {
        let mut commits = Self { ends: Vec::new(), pruned: 0 };
        let mut any = false;
        let mut log = database.pass_over(Cf::Log, &[])?;
        log.seek_to_first();
        while let Some((stored, bytes)) = log.item() {
            let sequence = Sequence::from_be_bytes(stored.try_into().unwrap_or_default());
            let entry = codec::decode_entry(sequence, bytes)?;
            any |= entry.kind == Some(Kind::Artifact);
            if entry.end_of_commit && std::mem::take(&mut any) {
                commits.ends.push(sequence);
            }
            if entry.operation == Operation::Prune {
                commits.pruned = sequence;
            }
            log.next();
        }
        database.finished(&log)?;
        Ok(commits)
    }

    /// The last sequence of the commit that has this one.
    fn end_of(&self, sequence: Sequence) -> Sequence {
        self.ends.get(self.ends.partition_point(|end| *end < sequence)).copied().unwrap_or(sequence)
    }
}

/// A directory, and a name in it.
type FileName = (Ino, Vec<u8>);

/// An inode goes from a version to the next that is left, which has this sequence; or comes from nothing.
struct Step<'a> {
    sequence: Sequence,
    before: Option<&'a Inode>,
    after: Option<&'a Inode>,
}

impl Step<'_> {
    /// Names that it has from now on.
    fn got(&self) -> impl Iterator<Item = (&FileName, Dentry)> {
        names_of(self.after).filter(|(name, _)| !has(self.before, name))
    }

    /// Names that it has as before.
    fn kept(&self) -> impl Iterator<Item = (&FileName, Dentry)> {
        names_of(self.after).filter(|(name, _)| has(self.before, name))
    }

    /// Names that it has no more.
    fn lost(&self) -> impl Iterator<Item = (&FileName, Dentry)> {
        names_of(self.before).filter(|(name, _)| !has(self.after, name))
    }
}

fn names_of(inode: Option<&Inode>) -> impl Iterator<Item = (&FileName, Dentry)> {
    inode.into_iter().flat_map(|inode| {
        let dentry = Dentry { ino: inode.ino, file_type: inode.file_type };
        inode.names.iter().map(move |name| (name, dentry))
    })
}

fn has(inode: Option<&Inode>, name: &FileName) -> bool {
    inode.is_some_and(|inode| inode.names.contains(name))
}

/// Walks all steps of all inodes up to a sequence, those of one inode newest first. Returns the highest number of an inode.
fn each_step(database: &Database, upto: Sequence, visit: &mut dyn FnMut(&Step<'_>) -> Result<()>) -> Result<Ino> {
    let mut highest = 0;
    // The version that was seen last, which is the next newer one.
    let mut newer: Option<(Ino, Sequence, Option<Inode>)> = None;
    let mut versions = database.pass_over(Cf::Versions, &[Kind::Artifact.number()])?;
    versions.seek_to_first();
    while let Some((stored, bytes)) = versions.item() {
        if let Some((kind, id, sequence)) = key::split_version(stored)
            && let Some(ino) = parse_ino(id)
            && sequence <= upto
        {
            highest = highest.max(ino);
            let version = codec::decode_version(kind, id, sequence, bytes)?;
            let inode = if version.deleted { None } else { Some(read_inode(id, sequence, &version.json)?) };
            if let Some((other, sequence, after)) = newer.take() {
                let before = inode.as_ref().filter(|_| other == ino);
                visit(&Step { sequence, before, after: after.as_ref() })?;
            }
            newer = Some((ino, sequence, inode));
        }
        versions.next();
    }
    database.finished(&versions)?;
    if let Some((_, sequence, first)) = newer {
        visit(&Step { sequence, before: None, after: first.as_ref() })?;
    }
    Ok(highest)
}

/// What names lead to by the rows that are in the database by now.
struct Names<'a> {
    database: &'a Database,
    rows: DBRawIterator<'a>,
}

impl<'a> Names<'a> {
    fn read(database: &'a Database) -> Result<Self> {
        Ok(Self { database, rows: database.iterate(Cf::Dentries, &[])? })
    }

    /// The inode that a name leads to at a sequence.
    fn lead_to(&mut self, (parent, name): &FileName, at: Sequence) -> Result<Option<Ino>> {
        self.rows.seek(file_rows::key::dentry(*parent, name, at));
        let of_name = |stored: &[u8]| {
            file_rows::key::split_dentry(stored).is_some_and(|(of, named, _)| (of, named) == (*parent, name.as_slice()))
        };
        let row = self.rows.item().filter(|(stored, _)| of_name(stored));
        let dentry = row.map(|(_, bytes)| file_rows::decode_dentry(*parent, name, bytes)).transpose()?.flatten();
        self.database.finished(&self.rows)?;
        Ok(dentry.map(|dentry| dentry.ino))
    }
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
