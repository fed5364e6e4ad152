//! Dropping versions that nobody needs.
//!
//! What a prune may drop can be told from the log alone: a version is missing rightly if a newer version of its record,
//! at or before the prune's horizon, is there, and no snapshot lies between the two. Deletions are kept, since they are
//! what proves that the versions before them were not lost.

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::Ordering;

use ::rocksdb::WriteBatch;

use crate::record::inode::parse_ino;
use crate::record::{Kind, checksum, json, object};

use super::super::codec::{self, key};
use super::super::types::{Posting, Selection, Sequence, Version};
use super::super::{NOW, PrunePolicy, Pruned, Result, StorageError};
use super::sweep::Needs;
use super::{Cf, RocksStorage, lock};

/// Where the newest horizon stands in `meta`.
pub(super) const HORIZON_KEY: &[u8] = b"horizon";
/// Versions dropped in one batch.
const BATCH: usize = 4_096;

impl RocksStorage {
    pub(super) fn prune_versions(&self, policy: PrunePolicy, actor: &str) -> Result<Pruned> {
        let horizon = self.published().tree.size();
        if !policy.dry_run {
            // The entry comes first: from here on, what is missing below the horizon was pruned and not lost.
            let detail = object([
                ("horizon", horizon.into()),
                ("keep", u64::from(policy.keep.unwrap_or(1)).into()),
                ("current_after", policy.current_after.map(|time| time.to_string()).into()),
            ]);
            let detail = String::from_utf8_lossy(&checksum::canonical(&detail)).into_owned();
            self.append_prune(actor, horizon, detail)?;
        }
        // In this order nobody is missed: who takes a lease later finds the horizon known, and who takes a snapshot holds a
        // lease until it is stored.
        let mut needed: BTreeSet<Sequence> =
            lock(&self.leases).iter().filter_map(std::sync::Weak::upgrade).map(|held| *held).collect();
        needed.extend(self.read_pins()?);
        let mut pruned = Pruned::default();
        let mut dropped = HashSet::new();
        let mut batch = WriteBatch::default();
        let mut record = Record::default();
        let mut iterator = self.database.iterate(Cf::Versions, &[])?;
        iterator.seek_to_first();
        while let Some((stored_key, bytes)) = iterator.item() {
            if let Some((kind, id, sequence)) = key::split_version(stored_key) {
                let version = codec::decode_version(kind, id, sequence, bytes)?;
                if record.needs(kind, id, &version, &policy, &needed, horizon) {
                    pruned.kept += 1;
                } else {
                    pruned.versions += 1;
                    pruned.bytes += version.json.len() as u64;
                    if policy.dry_run {
                        dropped.extend(parse_ino(id).filter(|_| kind == Kind::Artifact).map(|ino| (ino, sequence)));
                    } else {
                        batch.delete_cf(self.database.cf(Cf::Versions)?, stored_key);
                    }
                }
            }
            if batch.len() >= BATCH {
                self.database.write(std::mem::take(&mut batch), false)?;
            }
            iterator.next();
        }
        self.database.finished(&iterator)?;
        if !batch.is_empty() {
            self.database.write(batch, true)?;
        }
        if !policy.dry_run && pruned.versions > 0 {
            // Dropped versions take room until their files are written anew.
            self.database.db.compact_range_cf(self.database.cf(Cf::Versions)?, None::<&[u8]>, None::<&[u8]>);
        }
        self.versions_read.fetch_add(pruned.kept + pruned.versions, Ordering::Relaxed);
        let needs = Needs { policy: &policy, pins: &needed, horizon, dropped: &dropped };
        self.prune_files(&needs, &mut pruned)?;
        Ok(pruned)
    }
}

impl RocksStorage {
    pub(super) fn read_pins(&self) -> Result<Vec<Sequence>> {
        let snapshots = self.read_selection(&Selection::all(Kind::Snapshot), None, usize::MAX)?;
        let mut pins = Vec::with_capacity(snapshots.len());
        for Posting { id, .. } in snapshots {
            let Some(version) = self.read_version(Kind::Snapshot, &id, NOW)?.filter(|version| !version.deleted) else {
                continue;
            };
            let record = json::parse(&version.json).ok();
            let pin = record.as_ref().and_then(|record| record.get("sequence")?.as_i64()?.try_into().ok());
            pins.push(pin.ok_or_else(|| StorageError::Corrupt {
                what: format!("{} {id}", Kind::Snapshot),
                detail: "the sequence that it pins cannot be read".to_owned(),
            })?);
        }
        Ok(pins)
    }
}

/// The record whose versions are walked, newest first.
#[derive(Default)]
struct Record {
    key: Option<(Kind, String)>,
    /// Versions seen of it.
    seen: u32,
    /// The version seen last, which comes after this one: its sequence and time.
    successor: Option<(Sequence, crate::record::Timestamp)>,
}

impl Record {
    fn needs(
        &mut self,
        kind: Kind,
        id: &str,
        version: &Version,
        policy: &PrunePolicy,
        pins: &BTreeSet<Sequence>,
        horizon: Sequence,
    ) -> bool {
        if self.key.as_ref().is_none_or(|(k, i)| *k != kind || i != id) {
            *self = Self { key: Some((kind, id.to_owned())), seen: 0, successor: None };
        }
        let successor = self.successor.replace((version.sequence, version.time));
        self.seen = self.seen.saturating_add(1);
        let Some((next, superseded)) = successor else { return true };
        let keep = policy.keep.unwrap_or(u32::from(policy.current_after.is_none()));
        version.deleted
            || next > horizon
            || self.seen <= keep
            || policy.current_after.is_some_and(|after| superseded > after)
            || pins.range(version.sequence..next).next().is_some()
    }
}
