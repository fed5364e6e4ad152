//! Proving that what is stored is what was stored.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use crate::record::{Checksum, Kind, Value, json};

use super::super::codec::{self, key};
use super::super::files::HeadFile;
use super::super::merkle::{self, Tree};
use super::super::types::{Head, LogEntry, Operation, Sequence, Version, listed_time};
use super::super::{CheckSink, Fault, Result, StorageError};
use super::read::View;
use super::{Cf, RocksStorage, lock};

/// Tells the sink of progress after this many steps.
const STEP: u64 = 4_096;

/// A set of keys and values in which order does not matter: the sum of their hashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SetHash {
    sum: u128,
    count: u64,
}

impl SetHash {
    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) {
        let mut hasher = Sha256::new();
        hasher.update((key.len() as u64).to_le_bytes());
        hasher.update(key);
        hasher.update(value);
        let digest: [u8; 32] = hasher.finalize().into();
        let (half, _) = digest.split_first_chunk().unwrap_or((&[0; 16], &[]));
        self.sum = self.sum.wrapping_add(u128::from_le_bytes(*half));
        self.count += 1;
    }

    /// Adds all that another set holds.
    pub(super) fn merge(&mut self, other: &Self) {
        self.sum = self.sum.wrapping_add(other.sum);
        self.count = self.count.wrapping_add(other.count);
    }

    /// Takes away what another set holds.
    pub(super) fn take_away(&mut self, other: &Self) {
        self.sum = self.sum.wrapping_sub(other.sum);
        self.count = self.count.wrapping_sub(other.count);
    }
}

/// A check in progress.
pub(super) struct Check<'a> {
    pub(super) storage: &'a RocksStorage,
    /// The database as it was when the log ended at `root`, whatever is written meanwhile.
    pub(super) view: &'a View<'a>,
    root: Checksum,
    sink: &'a mut dyn CheckSink,
    pub(super) pins: BTreeSet<Sequence>,
    /// The furthest horizon of all prunes.
    horizon: Sequence,
    done: u64,
    total: u64,
    /// Entries of the log whose version is not there.
    missing: Vec<(Kind, String, Sequence)>,
    /// Versions that the log knows and that are there.
    found: u64,
}

impl RocksStorage {
    pub(super) fn check_all(&self, pins: &[Sequence], sink: &mut dyn CheckSink) -> Result<()> {
        let (view, published) = {
            let _nobody_writes = lock(&self.writer);
            (self.database.view(), self.published())
        };
        let size = published.tree.size();
        let mut check = Check {
            storage: self,
            view: &view,
            root: published.tree.root(),
            sink,
            pins: pins.iter().copied().collect(),
            horizon: 0,
            done: 0,
            total: size * 2,
            missing: Vec::new(),
            found: 0,
        };
        // Of a vault that is in use, opening has written the damaged copy again.
        for warning in self.warnings.iter().filter(|_| self.read_only) {
            check.fault("HEAD", warning.clone(), false);
        }
        check.log(size);
        check.missing_versions()?;
        check.heads_and_index()?;
        check.files()?;
        check.sink.progress(check.total, check.total);
        Ok(())
    }
}

impl Check<'_> {
    pub(super) fn fault(&mut self, subject: impl Into<String>, problem: impl Into<String>, derived: bool) {
        self.sink.fault(Fault { subject: subject.into(), problem: problem.into(), derived });
    }

    pub(super) fn corrupt(&mut self, error: StorageError, derived: bool) {
        match error {
            StorageError::Corrupt { what, detail } => self.fault(what, detail, derived),
            other => self.fault(self.storage.dir.display().to_string(), other.to_string(), derived),
        }
    }

    pub(super) fn step(&mut self) {
        self.done += 1;
        if self.done.is_multiple_of(STEP) {
            self.sink.progress(self.done.min(self.total), self.total);
        }
    }

    /// Every entry of the log, the tree over them, and the version that each one brought.
    fn log(&mut self, size: Sequence) {
        let mut tree = Tree::default();
        let mut time = crate::record::Timestamp::default();
        let mut ended = true;
        let mut tiles = Vec::new();
        // Prunes are known before the versions they dropped are missed.
        self.find_horizon(size);
        for sequence in 1..=size {
            let bytes = match self.view.get(Cf::Log, &key::log(sequence)) {
                Ok(Some(bytes)) => bytes.to_vec(),
                Ok(None) => {
                    self.fault(format!("log entry {sequence}"), "it is missing", false);
                    continue;
                }
                Err(error) => {
                    self.fault(format!("log entry {sequence}"), error.to_string(), false);
                    continue;
                }
            };
            tree.append(merkle::leaf(&bytes), |tile| tiles.push(tile));
            match codec::decode_entry(sequence, &bytes) {
                Ok(entry) => {
                    if entry.time < time {
                        self.fault(
                            format!("log entry {sequence}"),
                            "its time lies before that of the entry before it",
                            false,
                        );
                    }
                    time = entry.time;
                    ended = entry.end_of_commit;
                    self.entry(&entry);
                }
                Err(error) => self.corrupt(error, false),
            }
            for tile in tiles.drain(..) {
                match self.storage.database.tile(tile.level, tile.index) {
                    Ok(stored) if stored == tile.hashes => {}
                    Ok(_) => self.fault(
                        format!("Merkle tile {}/{}", tile.level, tile.index),
                        "its hashes are not those of the log",
                        true,
                    ),
                    Err(error) => self.corrupt(error, true),
                }
            }
            self.step();
        }
        if !ended {
            self.fault("the log", "it ends in the middle of a commit", false);
        }
        self.roots(&tree, size);
    }

    fn roots(&mut self, tree: &Tree, size: Sequence) {
        let root = self.root;
        if tree.size() == size && tree.root() != root {
            let problem = format!("the root of its entries is {}, the vault says {root}", tree.root());
            self.fault("the log", problem, true);
        }
        // While the vault is in use HEAD says where the log stood before; afterwards, exactly where it stands.
        if let Ok((head, _)) = HeadFile::read(&*self.storage.files, &self.storage.dir)
            && head.sequence == tree.size()
            && head.root != tree.root()
        {
            let problem = format!("the root of its entries is {}, HEAD says {}", tree.root(), head.root);
            self.fault("the log", problem, false);
        }
    }

    fn find_horizon(&mut self, size: Sequence) {
        for sequence in 1..=size {
            let Ok(Some(bytes)) = self.view.get(Cf::Log, &key::log(sequence)) else { continue };
            let Ok(entry) = codec::decode_entry(sequence, &bytes) else { continue };
            if entry.operation == Operation::Prune {
                let detail = json::parse(entry.detail.as_bytes()).unwrap_or_default();
                let horizon =
                    detail.get("horizon").and_then(Value::as_i64).and_then(|n| n.try_into().ok()).unwrap_or(0);
                self.horizon = self.horizon.max(horizon);
            }
        }
    }

    fn entry(&mut self, entry: &LogEntry) {
        let Some(kind) = entry.kind else { return };
        let (id, sequence) = (entry.id.as_str(), entry.sequence);
        let subject = || format!("{kind} {id} at sequence {sequence}");
        let bytes = match self.view.get(Cf::Versions, &key::version(kind, id, sequence)) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return self.missing.push((kind, id.to_owned(), sequence)),
            Err(error) => return self.fault(subject(), format!("it cannot be read: {error}"), false),
        };
        self.found += 1;
        match codec::decode_version(kind, id, sequence, &bytes) {
            Err(error) => self.corrupt(error, false),
            Ok(version) if version.commitment() != entry.commitment => {
                self.fault(subject(), "it is not what the log committed to", false);
            }
            Ok(version) if version.deleted != (entry.operation == Operation::Delete) => {
                self.fault(subject(), "the log says otherwise whether it was deleted", false);
            }
            Ok(version) => self.sink.version(kind, id, &version),
        }
    }

    /// Tells pruned versions from lost ones.
    fn missing_versions(&mut self) -> Result<()> {
        for (kind, id, sequence) in std::mem::take(&mut self.missing) {
            let successor = self.successor(kind, &id, sequence)?;
            let pruned =
                successor.is_some_and(|next| next <= self.horizon && self.pins.range(sequence..next).next().is_none());
            if !pruned {
                self.fault(
                    format!("{kind} {id} at sequence {sequence}"),
                    "it is in the log, but its content is lost",
                    false,
                );
            }
        }
        Ok(())
    }

    /// The next version of a record after a sequence.
    fn successor(&self, kind: Kind, id: &str, sequence: Sequence) -> Result<Option<Sequence>> {
        let view = self.view;
        let mut iterator = view.iterate(Cf::Versions, &key::versions(kind, id))?;
        iterator.seek_for_prev(key::version(kind, id, sequence));
        let next = iterator.key().and_then(key::split_version).map(|(_, _, next)| next);
        view.finished(&iterator)?;
        Ok(next)
    }

    /// Heads and index entries against the versions they are derived from.
    fn heads_and_index(&mut self) -> Result<()> {
        let view = self.view;
        let mut heads = view.iterate(Cf::Heads, &[])?;
        heads.seek_to_first();
        let mut versions = view.iterate(Cf::Versions, &[])?;
        versions.seek_to_first();
        let mut expected = SetHash::default();
        let mut newest: Option<(Kind, String)> = None;
        let mut count = 0;
        while let Some((stored, bytes)) = versions.item() {
            count += 1;
            self.step();
            let Some((kind, id, sequence)) = key::split_version(stored) else {
                self.fault(format!("the version under {stored:02x?}"), "its key cannot be read", false);
                versions.next();
                continue;
            };
            if newest.as_ref().is_none_or(|(k, i)| *k != kind || i != id) {
                newest = Some((kind, id.to_owned()));
                let version = codec::decode_version(kind, id, sequence, bytes).ok();
                self.head(&mut heads, kind, id, version.as_ref());
                if let Some(version) = version.filter(|version| !version.deleted) {
                    for (key, value) in postings(id, &version) {
                        expected.add(&key, &value);
                    }
                }
            }
            versions.next();
        }
        if let Err(error) = view.finished(&versions) {
            self.corrupt(error, false);
        }
        while let Some((stored, _)) = heads.item() {
            self.head_without_version(stored);
            heads.next();
        }
        if let Err(error) = view.finished(&heads) {
            self.corrupt(error, true);
        }
        if count != self.found {
            self.versions_without_entry()?;
        }
        self.index(expected)
    }

    /// The head of a record against its newest version. `heads` stands at the first head that was not looked at.
    fn head(&mut self, heads: &mut ::rocksdb::DBRawIterator<'_>, kind: Kind, id: &str, version: Option<&Version>) {
        let expected = key::head(kind, id);
        while heads.key().is_some_and(|key| key < expected.as_slice()) {
            if let Some(key) = heads.key() {
                self.head_without_version(key);
            }
            heads.next();
        }
        let subject = || format!("the head of {kind} {id}");
        if heads.key() != Some(&expected) {
            self.fault(subject(), "it is missing", true);
            return;
        }
        let head = heads.value().map(|bytes| codec::decode_head(kind, id, bytes));
        match (head, version) {
            (Some(Ok(head)), Some(version)) if head != Head::from(version) => {
                self.fault(subject(), "it does not show the newest version", true);
            }
            (Some(Err(_)), _) => self.fault(subject(), "its stored bytes cannot be read", true),
            // A version that cannot be read has been named already.
            _ => {}
        }
        heads.next();
    }

    fn head_without_version(&mut self, stored: &[u8]) {
        let subject = match key::split_head(stored) {
            Some((kind, id)) => format!("the head of {kind} {id}"),
            None => format!("the head under {stored:02x?}"),
        };
        self.fault(subject, "there is no version of this record", true);
    }

    /// Versions that no log entry brought.
    fn versions_without_entry(&mut self) -> Result<()> {
        let view = self.view;
        let mut versions = view.iterate(Cf::Versions, &[])?;
        versions.seek_to_first();
        while let Some(stored) = versions.key() {
            if let Some((kind, id, sequence)) = key::split_version(stored) {
                let entry = view.get(Cf::Log, &key::log(sequence)).ok().flatten();
                let entry = entry.and_then(|bytes| codec::decode_entry(sequence, &bytes).ok());
                if entry.is_none_or(|entry| entry.kind != Some(kind) || entry.id != id) {
                    self.fault(format!("{kind} {id} at sequence {sequence}"), "no log entry brought it", false);
                }
            }
            versions.next();
        }
        Ok(())
    }

    /// All index entries against what they should be: first their sums, and only if these differ one by one.
    fn index(&mut self, expected: SetHash) -> Result<()> {
        let view = self.view;
        let mut found = SetHash::default();
        let mut iterator = view.iterate(Cf::Index, &[])?;
        iterator.seek_to_first();
        while let Some((key, value)) = iterator.item() {
            found.add(key, value);
            iterator.next();
        }
        if let Err(error) = view.finished(&iterator) {
            self.corrupt(error, true);
            return Ok(());
        }
        if found == expected {
            return Ok(());
        }
        let before = self.done;
        self.index_one_by_one()?;
        self.done = before;
        Ok(())
    }

    fn index_one_by_one(&mut self) -> Result<()> {
        let view = self.view;
        let mut wrong: BTreeMap<Vec<u8>, String> = BTreeMap::new();
        // Entries that should be there.
        let mut heads = view.iterate(Cf::Heads, &[])?;
        heads.seek_to_first();
        while let Some((stored, bytes)) = heads.item() {
            if let Some((kind, id)) = key::split_head(stored)
                && let Ok(head) = codec::decode_head(kind, id, bytes)
                && !head.deleted
                && let Ok(Some(version)) = view.newest(kind, id)
            {
                for (key, value) in postings(id, &version) {
                    if view.get(Cf::Index, &key)?.is_none_or(|found| *found != *value) {
                        wrong.insert(key, format!("the index entries of {kind} {id}"));
                    }
                }
            }
            heads.next();
        }
        // Entries that should not.
        let mut iterator = view.iterate(Cf::Index, &[])?;
        iterator.seek_to_first();
        while let Some((key, value)) = iterator.item() {
            if !self.posting_is_right(key, value) {
                let id = codec::decode_posting(key, value).map_or_else(|_| "?".to_owned(), |posting| posting.id);
                wrong.insert(key.to_vec(), format!("the index entries of {id}"));
            }
            iterator.next();
        }
        for subject in wrong.into_values().collect::<BTreeSet<_>>() {
            self.fault(subject, "they are not those of its newest version", true);
        }
        Ok(())
    }

    fn posting_is_right(&self, key: &[u8], value: &[u8]) -> bool {
        let kind = key.first().copied().and_then(Kind::from_number);
        let Some((kind, Ok(posting))) = kind.map(|kind| (kind, codec::decode_posting(key, value))) else {
            return false;
        };
        let Ok(Some(version)) = self.view.newest(kind, &posting.id) else { return false };
        postings(&posting.id, &version).any(|(k, v)| k == key && v == value)
    }
}

/// The index entries of a version.
pub(super) fn postings<'a>(id: &'a str, version: &'a Version) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> + 'a {
    let value = codec::encode_posting(listed_time(&version.terms, version.time), version.archived, id);
    version.terms.iter().map(move |(index, term)| (key::posting(*index, term, version.birth), value.clone()))
}
