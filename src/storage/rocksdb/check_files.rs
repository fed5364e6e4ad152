//! Proving that files are what the log committed to: the content of every chunk, the root of every version of an inode, and
//! every directory at the present and at each pin.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::record::inode::{ROOT_INO, parse_ino};
use crate::record::{FileType, Inode, Kind, json};

use super::super::artifacts::{ChunkId, Dentry, FileContent, Ino, Piece, SLOT_BYTES};
use super::super::codec::{self, key as record_key};
use super::super::file_rows::{self, key, shown};
use super::super::types::Sequence;
use super::super::{Intent, NOW, Result, StorageError};
use super::Cf;
use super::check::{Check, SetHash};

/// A file lies at most so deep, as far as its path is shown.
const DEEPEST: usize = 256;

/// A version of an inode: its sequence, and the inode unless it was deleted.
type InodeVersion = (Sequence, Option<Inode>);

/// What is done with each inode and its versions, oldest first.
type Visit<'c, 'v> = dyn FnMut(&mut Check<'c>, Ino, &[InodeVersion]) -> Result<()> + 'v;

impl<'c> Check<'c> {
    /// Everything that belongs to files but their inodes, which are records like any other.
    pub(super) fn files(&mut self) -> Result<()> {
        if !self.storage.database.artifacts {
            let mut any = self.view.iterate(Cf::Versions, &[Kind::Artifact.number()])?;
            any.seek_to_first();
            if any.valid() {
                self.fault("artifacts", "there are inodes, but nothing that says what is in them", false);
            }
            return Ok(());
        }
        let mut damaged = self.chunks()?;
        self.contents(&mut damaged)?;
        for (id, detail) in damaged {
            self.fault(format!("chunk {id}"), detail, false);
        }
        // In the middle of a restore directories are half of one time and half of another; the next opening finishes it.
        if !matches!(self.storage.read_intent(), Ok(Some(Intent::Restore { .. }))) {
            self.directories()?;
        }
        self.highest()
    }

    /// Reads every chunk that a row names. What is wrong with one is told of the files that have it.
    fn chunks(&mut self) -> Result<BTreeMap<ChunkId, String>> {
        let mut damaged = BTreeMap::new();
        let mut iterator = self.view.iterate(Cf::Chunks, &[])?;
        iterator.seek_to_first();
        while let Some((stored, value)) = iterator.item() {
            self.step();
            let Some(id) = key::split_chunk(stored) else {
                self.fault(format!("the row of chunks under {stored:02x?}"), "its key cannot be read", false);
                iterator.next();
                continue;
            };
            let read = file_rows::decode_chunk(id, value).and_then(|stored| self.storage.content(id, &stored));
            // It may have been moved, or dropped, since this view of the rows.
            let read = match read {
                Err(_) if !self.storage.read_only => match self.storage.database.chunk(id) {
                    Ok(None) => Ok(Vec::new()),
                    Ok(Some(stored)) => self.storage.content(id, &stored),
                    Err(error) => Err(error),
                },
                other => other,
            };
            match read {
                Ok(_) => {}
                Err(StorageError::Corrupt { detail, .. }) => drop(damaged.insert(id, detail)),
                Err(error) => drop(damaged.insert(id, error.to_string())),
            }
            iterator.next();
        }
        if let Err(error) = self.view.finished(&iterator) {
            self.corrupt(error, false);
        }
        Ok(damaged)
    }

    /// The rows of every file against the root that each version of its inode names. Takes those damaged chunks out that
    /// were told of a file.
    fn contents(&mut self, damaged: &mut BTreeMap<ChunkId, String>) -> Result<()> {
        let mut told = BTreeSet::new();
        let mut inodes = BTreeSet::new();
        self.each_inode(&mut |check, ino, versions| {
            inodes.insert(ino);
            check.content(ino, versions, damaged, &mut told)
        })?;
        damaged.retain(|id, _| !told.contains(id));
        let mut stray = BTreeSet::new();
        let mut rows = self.view.iterate(Cf::Extents, &[])?;
        rows.seek_to_first();
        while let Some(stored) = rows.key() {
            match key::split_extent(stored) {
                Some((ino, ..)) if inodes.contains(&ino) => {}
                Some((ino, ..)) => drop(stray.insert(format!("slots of artifact {ino}"))),
                None => drop(stray.insert(format!("the row of extents under {stored:02x?}"))),
            }
            rows.next();
        }
        if let Err(error) = self.view.finished(&rows) {
            self.corrupt(error, false);
        }
        for subject in stray {
            self.fault(subject, "there is no inode that they belong to", false);
        }
        Ok(())
    }

    fn content(
        &mut self,
        ino: Ino,
        versions: &[InodeVersion],
        damaged: &BTreeMap<ChunkId, String>,
        told: &mut BTreeSet<ChunkId>,
    ) -> Result<()> {
        let mut rows: Vec<(Sequence, u64, Vec<Piece>)> = Vec::new();
        let mut faults: BTreeSet<(u64, String)> = BTreeSet::new();
        let mut readable = true;
        let mut iterator = self.view.iterate(Cf::Extents, &ino.to_be_bytes())?;
        iterator.seek_to_first();
        while let Some((stored, value)) = iterator.item() {
            if let Some((_, slot, sequence)) = key::split_extent(stored) {
                if let Ok(pieces) = file_rows::decode_pieces(ino, slot, value) {
                    for piece in &pieces {
                        if let Some(fault) = self.piece(piece, damaged)? {
                            told.insert(piece.chunk);
                            faults.insert((slot, fault));
                        }
                    }
                    rows.push((sequence, slot, pieces));
                } else {
                    readable = false;
                    faults.insert((slot, "the row that says what they are cannot be read".to_owned()));
                }
            }
            iterator.next();
        }
        if let Err(error) = self.view.finished(&iterator) {
            self.corrupt(error, false);
            return Ok(());
        }
        for (slot, fault) in faults {
            let first = slot.saturating_mul(SLOT_BYTES.into());
            let range = format!("bytes {first} to {}", first.saturating_add(SLOT_BYTES.into()));
            self.fault(self.name_of(ino), format!("its {range} are damaged: {fault}"), false);
        }
        if readable {
            self.inode_roots(ino, versions, rows);
        }
        Ok(())
    }

    fn piece(&self, piece: &Piece, damaged: &BTreeMap<ChunkId, String>) -> Result<Option<String>> {
        if let Some(detail) = damaged.get(&piece.chunk) {
            return Ok(Some(format!("chunk {}: {detail}", piece.chunk)));
        }
        let row = self.view.get(Cf::Chunks, &key::chunk(piece.chunk))?;
        let Some(stored) = row.map(|row| file_rows::decode_chunk(piece.chunk, &row)) else {
            return Ok(Some(format!("chunk {}: nothing says where it lies", piece.chunk)));
        };
        Ok(match stored {
            Ok(stored) if !stored.has(piece) => Some(format!("chunk {} is not the one that was written", piece.chunk)),
            Ok(_) => None,
            Err(error) => Some(error.to_string()),
        })
    }

    fn inode_roots(&mut self, ino: Ino, versions: &[InodeVersion], mut rows: Vec<(Sequence, u64, Vec<Piece>)>) {
        rows.sort_by_key(|(sequence, slot, _)| (*sequence, *slot));
        let mut rows = rows.into_iter().peekable();
        let mut content = FileContent::default();
        for (sequence, inode) in versions {
            while let Some((_, slot, pieces)) = rows.next_if(|(row, ..)| row <= sequence) {
                content.set(slot, pieces);
            }
            let Some(inode) = inode else { continue };
            let root = content.root();
            if root != inode.root {
                let problem = format!("its content has the root {root}, its inode says {}", inode.root);
                self.fault(format!("{} at sequence {sequence}", self.name_of(ino)), problem, false);
            }
        }
    }

    /// Directory entries against the names in inodes: first their sums at each time, and only if these differ one by one.
    fn directories(&mut self) -> Result<()> {
        let times: Vec<Sequence> = self.pins.iter().copied().chain([NOW]).collect();
        let mut expected = Sums::new(times.len());
        let mut held: HashMap<Ino, (u64, u64)> = HashMap::new();
        let mut directories: Vec<Inode> = Vec::new();
        let span = |from: Sequence, to: Option<Sequence>| {
            let place = |sequence: Sequence| times.partition_point(|time| *time < sequence);
            place(from)..to.map_or(times.len(), place)
        };
        self.each_inode(&mut |_, _, versions| {
            for (n, (sequence, inode)) in versions.iter().enumerate() {
                let Some(inode) = inode else { continue };
                let next = versions.get(n + 1).map(|(next, _)| *next);
                for (parent, name) in &inode.names {
                    let dentry = Dentry { ino: inode.ino, file_type: inode.file_type };
                    expected.add(span(*sequence, next), *parent, name, &dentry);
                    if next.is_none() {
                        let (entries, subdirectories) = held.entry(*parent).or_default();
                        *entries += 1;
                        *subdirectories += u64::from(inode.file_type == FileType::Directory);
                    }
                }
                if next.is_none() && inode.file_type == FileType::Directory {
                    directories.push(Inode { names: Vec::new(), xattrs: BTreeMap::new(), ..inode.clone() });
                }
            }
            Ok(())
        })?;
        self.counts(held, directories);
        let mut found = Sums::new(times.len());
        let mut newer: Option<(Vec<u8>, Sequence)> = None;
        let mut iterator = self.view.iterate(Cf::Dentries, &[])?;
        iterator.seek_to_first();
        let mut unreadable = Vec::new();
        while let Some((stored, value)) = iterator.item() {
            if let Some((parent, name, sequence)) = key::split_dentry(stored) {
                let prefix = key::name(parent, name);
                let next = newer.take().filter(|(of, _)| *of == prefix).map(|(_, next)| next);
                match file_rows::decode_dentry(parent, name, value) {
                    Ok(Some(dentry)) => found.add(span(sequence, next), parent, name, &dentry),
                    Ok(None) => {}
                    Err(_) => unreadable.push(entry_name(parent, name)),
                }
                newer = Some((prefix, sequence));
            } else {
                unreadable.push(format!("the row of dentries under {stored:02x?}"));
            }
            iterator.next();
        }
        if let Err(error) = self.view.finished(&iterator) {
            self.corrupt(error, true);
            return Ok(());
        }
        for subject in unreadable {
            self.fault(subject, "its stored bytes cannot be read", true);
        }
        let wrong: Vec<Sequence> = times
            .iter()
            .zip(expected.sums())
            .zip(found.sums())
            .filter(|((_, a), b)| a != b)
            .map(|((t, _), _)| *t)
            .collect();
        wrong.into_iter().try_for_each(|time| self.directories_at(time))
    }

    /// Says which entries are wrong at one time.
    fn directories_at(&mut self, time: Sequence) -> Result<()> {
        let when = if time == NOW { "now".to_owned() } else { format!("at sequence {time}") };
        let mut named: HashMap<(Ino, Vec<u8>), Dentry> = HashMap::new();
        let mut doubled = BTreeSet::new();
        self.each_inode(&mut |check, _, versions| {
            let then = versions.iter().rev().find(|(sequence, _)| *sequence <= time);
            let Some((_, Some(inode))) = then else { return Ok(()) };
            let dentry = Dentry { ino: inode.ino, file_type: inode.file_type };
            for (parent, name) in &inode.names {
                if let Some(other) = named.insert((*parent, name.clone()), dentry) {
                    let problem = format!("artifacts {} and {} both have this name ({when})", other.ino, inode.ino);
                    check.fault(entry_name(*parent, name), problem, false);
                    doubled.insert(entry_name(*parent, name));
                }
            }
            Ok(())
        })?;
        let mut wrong = BTreeSet::new();
        let mut done: Option<Vec<u8>> = None;
        let mut iterator = self.view.iterate(Cf::Dentries, &[])?;
        iterator.seek_to_first();
        while let Some((stored, value)) = iterator.item() {
            if let Some((parent, name, sequence)) = key::split_dentry(stored)
                && sequence <= time
                && done.as_deref() != stored.get(..stored.len() - 8)
            {
                done = stored.get(..stored.len() - 8).map(<[u8]>::to_vec);
                let found = file_rows::decode_dentry(parent, name, value).ok().flatten();
                let expected = named.remove(&(parent, name.to_vec()));
                if found != expected {
                    wrong.insert(entry_name(parent, name));
                }
            }
            iterator.next();
        }
        wrong.extend(named.into_keys().map(|(parent, name)| entry_name(parent, &name)));
        if wrong.is_empty() && doubled.is_empty() {
            // The sums differ, so something is wrong, whatever it is.
            self.fault("directory entries", format!("they are not those that the inodes say ({when})"), true);
        }
        // Where an entry should lead that two inodes claim, nobody knows.
        for subject in wrong.difference(&doubled) {
            self.fault(subject.as_str(), format!("it does not lead where the inodes say ({when})"), true);
        }
        Ok(())
    }

    /// What directories say of how much they hold, and that each name lies in one.
    fn counts(&mut self, mut held: HashMap<Ino, (u64, u64)>, directories: Vec<Inode>) {
        for directory in directories {
            let (entries, subdirectories) = held.remove(&directory.ino).unwrap_or_default();
            if (entries, subdirectories) != (directory.entries, directory.subdirectories) {
                let problem = format!(
                    "it says that it holds {} names and {} directories, but these are {entries} and {subdirectories}",
                    directory.entries, directory.subdirectories
                );
                self.fault(self.name_of(directory.ino), problem, false);
            }
        }
        // The root directory is there before it is stored.
        held.remove(&ROOT_INO);
        for parent in held.into_keys() {
            self.fault(format!("directory {parent}"), "files are in it, but it is not there", false);
        }
    }

    /// The number that new inodes are counted from.
    fn highest(&mut self) -> Result<()> {
        let mut highest = 0;
        self.each_inode(&mut |_, ino, _| {
            highest = highest.max(ino);
            Ok(())
        })?;
        let stored = match self.view.get(Cf::Meta, super::artifacts::HIGHEST_KEY)? {
            Some(bytes) => file_rows::decode_highest(&bytes),
            None => Ok(0),
        };
        match stored {
            Ok(stored) if stored >= highest => {}
            Ok(stored) => {
                let problem = format!("it is {stored}, but there is an inode {highest}");
                self.fault("the highest number of an inode", problem, true);
            }
            Err(error) => self.corrupt(error, true),
        }
        Ok(())
    }

    /// Walks all inodes with their versions, oldest first. Versions that cannot be read were named already.
    fn each_inode(&mut self, visit: &mut Visit<'c, '_>) -> Result<()> {
        let mut of: Option<Ino> = None;
        let mut versions: Vec<InodeVersion> = Vec::new();
        let view = self.view;
        let mut iterator = view.iterate(Cf::Versions, &[Kind::Artifact.number()])?;
        iterator.seek_to_first();
        while let Some((stored, bytes)) = iterator.item() {
            if let Some((kind, id, sequence)) = record_key::split_version(stored)
                && let Some(ino) = parse_ino(id)
            {
                if of != Some(ino) {
                    if let Some(done) = of.replace(ino) {
                        versions.reverse();
                        visit(self, done, &versions)?;
                    }
                    versions.clear();
                }
                let version = codec::decode_version(kind, id, sequence, bytes);
                if let Ok(version) = version {
                    let record = json::parse(&version.json).ok().filter(|_| !version.deleted);
                    let inode = record.and_then(|record| Inode::from_value(&record).ok());
                    versions.push((sequence, inode));
                }
            }
            iterator.next();
        }
        // What failed here has failed before, where versions are checked.
        if let Some(done) = of {
            versions.reverse();
            visit(self, done, &versions)?;
        }
        Ok(())
    }

    /// An artifact as a message names it: with its path, as far as that can be told.
    fn name_of(&self, ino: Ino) -> String {
        let mut path = Vec::new();
        let mut next = ino;
        for _ in 0..DEEPEST {
            let version = self.view.newest(Kind::Artifact, &next.to_string()).ok().flatten();
            let inode = version.and_then(|version| json::parse(&version.json).ok());
            let inode = inode.and_then(|record| Inode::from_value(&record).ok());
            let Some((parent, name)) = inode.and_then(|inode| inode.names.into_iter().next()) else { break };
            path.splice(0..0, [&b"/"[..], &name].concat());
            next = parent;
        }
        format!("artifact {ino} {}", shown(path.strip_prefix(b"/").unwrap_or(&path)))
    }
}

fn entry_name(parent: Ino, name: &[u8]) -> String {
    format!("the entry {} of directory {parent}", shown(name))
}

/// A set of directory entries at each of several times, by the sums of their hashes. What holds for a span of times is
/// added where it begins and taken away behind its end.
struct Sums(Vec<SetHash>);

impl Sums {
    fn new(times: usize) -> Self {
        Self(vec![SetHash::default(); times + 1])
    }

    fn add(&mut self, span: std::ops::Range<usize>, parent: Ino, name: &[u8], dentry: &Dentry) {
        if span.is_empty() {
            return;
        }
        let mut one = SetHash::default();
        one.add(&key::name(parent, name), &file_rows::encode_dentry(Some(dentry)));
        if let Some(first) = self.0.get_mut(span.start) {
            first.merge(&one);
        }
        if let Some(behind) = self.0.get_mut(span.end) {
            behind.take_away(&one);
        }
    }

    /// The sums at each time.
    fn sums(&self) -> impl Iterator<Item = SetHash> + '_ {
        self.0.iter().scan(SetHash::default(), |sum, step| {
            sum.merge(step);
            Some(*sum)
        })
    }
}
