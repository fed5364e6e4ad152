//! Reading records, their history and the log.

use std::sync::atomic::Ordering;

use ::rocksdb::{DBPinnableSlice, DBRawIterator, ReadOptions, Snapshot};

use crate::record::{Checksum, Kind};

use super::super::codec::{self, key};
use super::super::merkle::Tree;
use super::super::types::{Head, LogEntry, Sequence, Version};
use super::super::{NOW, Result, StorageError};
use super::{Cf, Database, RocksStorage};

impl Database {
    /// An iterator over the keys of a column family that begin with `prefix`.
    pub(super) fn iterate(&self, cf: Cf, prefix: &[u8]) -> Result<DBRawIterator<'_>> {
        Ok(self.db.raw_iterator_cf_opt(self.cf(cf)?, range_of(prefix)))
    }

    /// As [`Database::iterate`], for who reads everything once: it leaves the cache to those who read something twice.
    pub(super) fn pass_over(&self, cf: Cf, prefix: &[u8]) -> Result<DBRawIterator<'_>> {
        let mut options = range_of(prefix);
        options.fill_cache(false);
        Ok(self.db.raw_iterator_cf_opt(self.cf(cf)?, options))
    }

    /// The newest version of a record at or before a sequence, which may be a deletion.
    ///
    /// The versions of a record lie side by side, newest first, so this is one seek, and the filters over records spare it
    /// the files that have none of this one.
    pub(super) fn version_at(&self, kind: Kind, id: &str, at: Sequence) -> Result<Option<Version>> {
        let mut options = ReadOptions::default();
        options.set_prefix_same_as_start(true);
        let mut iterator = self.db.raw_iterator_cf_opt(self.cf(Cf::Versions)?, options);
        iterator.seek(key::version(kind, id, at));
        let newest = iterator.item().and_then(|(key, bytes)| Some((key::split_version(key)?.2, bytes)));
        let version = newest.map(|(sequence, bytes)| codec::decode_version(kind, id, sequence, bytes)).transpose()?;
        self.finished(&iterator)?;
        Ok(version)
    }

    /// The database as it is at this moment.
    pub(super) fn view(&self) -> View<'_> {
        View { database: self, snapshot: self.db.snapshot() }
    }

    /// The end of an iteration is an end only when the engine says that nothing failed.
    pub(super) fn finished(&self, iterator: &DBRawIterator<'_>) -> Result<()> {
        iterator.status().map_err(|error| self.failed(&error))
    }
}

/// The database as it was at one moment, for reads that must agree with each other.
pub(super) struct View<'a> {
    database: &'a Database,
    snapshot: Snapshot<'a>,
}

impl View<'_> {
    pub(super) fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<DBPinnableSlice<'_>>> {
        let found = self.snapshot.get_pinned_cf(self.database.cf(cf)?, key);
        found.map_err(|error| self.database.failed(&error))
    }

    /// See [`Database::iterate`].
    pub(super) fn iterate(&self, cf: Cf, prefix: &[u8]) -> Result<DBRawIterator<'_>> {
        Ok(self.snapshot.raw_iterator_cf_opt(self.database.cf(cf)?, range_of(prefix)))
    }

    /// See [`Database::finished`].
    pub(super) fn finished(&self, iterator: &DBRawIterator<'_>) -> Result<()> {
        self.database.finished(iterator)
    }

    /// The newest version of a record, by its head.
    pub(super) fn newest(&self, kind: Kind, id: &str) -> Result<Option<Version>> {
        let Some(bytes) = self.get(Cf::Heads, &key::head(kind, id))? else { return Ok(None) };
        let sequence = codec::decode_head(kind, id, &bytes)?.sequence;
        let bytes = self.get(Cf::Versions, &key::version(kind, id, sequence))?;
        bytes.map(|bytes| codec::decode_version(kind, id, sequence, &bytes)).transpose()
    }
}

fn range_of(prefix: &[u8]) -> ReadOptions {
    let mut options = ReadOptions::default();
    // Whoever walks over many records must not be led by the filter of the first one.
    options.set_total_order_seek(true);
    if let Some(end) = after_prefix(prefix) {
        options.set_iterate_upper_bound(end);
    }
    if !prefix.is_empty() {
        options.set_iterate_lower_bound(prefix);
    }
    options
}

/// The first key after all those that begin with `prefix`.
pub(super) fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.last_mut() {
        if *last < 0xff {
            *last += 1;
            return Some(end);
        }
        end.pop();
    }
    None
}

impl RocksStorage {
    pub(super) fn read_head(&self, kind: Kind, id: &str) -> Result<Option<Head>> {
        let head = self.database.get(Cf::Heads, &key::head(kind, id))?;
        head.map(|bytes| codec::decode_head(kind, id, &bytes)).transpose()
    }

    /// A version that must be there, since a head or an index says so.
    pub(super) fn read_exact_version(&self, kind: Kind, id: &str, sequence: Sequence) -> Result<Version> {
        self.versions_read.fetch_add(1, Ordering::Relaxed);
        let bytes = self.database.get(Cf::Versions, &key::version(kind, id, sequence))?;
        let bytes = bytes.ok_or_else(|| StorageError::Corrupt {
            what: format!("{kind} {id}"),
            detail: format!("its version at sequence {sequence} is missing"),
        })?;
        codec::decode_version(kind, id, sequence, &bytes)
    }

    pub(super) fn read_version(&self, kind: Kind, id: &str, at: Sequence) -> Result<Option<Version>> {
        let found = self.database.version_at(kind, id, at)?;
        self.versions_read.fetch_add(u64::from(found.is_some()), Ordering::Relaxed);
        Ok(found)
    }

    pub(super) fn read_history(&self, kind: Kind, id: &str, before: Sequence, limit: usize) -> Result<Vec<Version>> {
        let newest = if before == NOW { NOW } else { before.saturating_sub(1) };
        let mut versions = Vec::new();
        let mut iterator = self.database.iterate(Cf::Versions, &key::versions(kind, id))?;
        iterator.seek(key::version(kind, id, newest));
        while versions.len() < limit
            && let Some((key, bytes)) = iterator.item()
        {
            if let Some((_, _, sequence)) = key::split_version(key) {
                self.versions_read.fetch_add(1, Ordering::Relaxed);
                versions.push(codec::decode_version(kind, id, sequence, bytes)?);
            }
            iterator.next();
        }
        self.database.finished(&iterator)?;
        Ok(versions)
    }

    pub(super) fn read_heads(&self, kind: Kind, after: Option<&str>, limit: usize) -> Result<Vec<(String, Head)>> {
        let mut heads = Vec::new();
        let mut iterator = self.database.iterate(Cf::Heads, &[kind.number()])?;
        match after {
            None => iterator.seek_to_first(),
            Some(id) => {
                let key = key::head(kind, id);
                iterator.seek(&key);
                if iterator.key() == Some(&key) {
                    iterator.next();
                }
            }
        }
        while heads.len() < limit
            && let Some((key, bytes)) = iterator.item()
        {
            let (_, id) = key::split_head(key).ok_or_else(|| StorageError::Corrupt {
                what: format!("the head under {key:02x?}"),
                detail: "its key cannot be read".to_owned(),
            })?;
            heads.push((id.to_owned(), codec::decode_head(kind, id, bytes)?));
            iterator.next();
        }
        self.database.finished(&iterator)?;
        Ok(heads)
    }

    pub(super) fn read_log(&self, from: Sequence, limit: usize) -> Result<Vec<LogEntry>> {
        let mut entries = Vec::new();
        let newest = self.published().tree.size();
        let mut iterator = self.database.iterate(Cf::Log, &[])?;
        iterator.seek(key::log(from.max(1)));
        while entries.len() < limit
            && let Some((key, bytes)) = iterator.item()
        {
            let sequence = Sequence::from_be_bytes(key.try_into().unwrap_or_default());
            if sequence > newest {
                break;
            }
            let expected = from.max(1) + entries.len() as u64;
            if sequence != expected {
                return Err(StorageError::Corrupt {
                    what: format!("log entry {expected}"),
                    detail: "it is missing".to_owned(),
                });
            }
            entries.push(codec::decode_entry(sequence, bytes)?);
            iterator.next();
        }
        self.database.finished(&iterator)?;
        Ok(entries)
    }

    pub(super) fn root_at(&self, size: Sequence) -> Result<Checksum> {
        let published = self.published();
        if size == published.tree.size() {
            return Ok(published.tree.root());
        }
        if size > published.tree.size() {
            let what = format!("a root at sequence {size}, beyond the end of the log");
            return Err(StorageError::Limit {
                what,
                limit: usize::try_from(published.tree.size()).unwrap_or(usize::MAX),
            });
        }
        let tree = Tree::load(size, |level, range| {
            // Hashes of a level may lie in a tile that has become complete since.
            range
                .map(|n| {
                    let tile = n / super::super::merkle::TILE as u64;
                    let complete = published.tree.size() >> (8 * (u32::from(level) + 1)) > tile;
                    if complete {
                        let hashes = self.database.tile(level, tile)?;
                        let at = usize::try_from(n % super::super::merkle::TILE as u64).unwrap_or(0);
                        hashes.get(at).copied().ok_or_else(|| StorageError::Corrupt {
                            what: format!("Merkle tile {level}/{tile}"),
                            detail: "it has a wrong length".to_owned(),
                        })
                    } else {
                        let mut hash = self.database.hashes(level, n..n + 1)?;
                        hash.pop().ok_or_else(|| StorageError::Corrupt {
                            what: format!("Merkle hash {level}/{n}"),
                            detail: "it is missing".to_owned(),
                        })
                    }
                })
                .collect::<Result<Vec<_>>>()
        })?;
        Ok(tree.root())
    }
}
