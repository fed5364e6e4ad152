//! Dropping what belongs to files and nobody needs: rows of directories and slots, chunks, and the room of both.
//!
//! A slot's row stays as long as a version of its inode is there that reads it; a directory's row as long as a snapshot, a
//! lease or the present reads it; a chunk as long as a slot's row names it, or a commit may still name it. A segment of which
//! little is left is copied to the newest one and removed. A crash leaves at most rows and room that the next prune frees.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::TryLockError;

use ::rocksdb::WriteBatch;

use crate::record::inode::parse_ino;
use crate::record::{Kind, Timestamp};

use super::super::artifacts::{ChunkId, Ino};
use super::super::codec::{self, key as record_key};
use super::super::file_rows::{self, Stored, key};
use super::super::segments::Place;
use super::super::types::Sequence;
use super::super::{PrunePolicy, Pruned, Result, StorageError};
use super::read::View;
use super::{Cf, RocksStorage, lock};

/// Rows dropped in one batch.
const BATCH: usize = 4_096;
/// Of a segment at least one part in so many must be garbage before a prune moves the rest.
const PRUNE_GARBAGE: u64 = 2;
/// Of a segment at most one part in so many is moved beside other work.
const LIVE_LEFT: u64 = 4;
/// So many bytes are moved at once, at most.
const MOST_MOVED: u64 = 256 << 20;
/// Chunks that one batch says of where they lie now.
const MOVED_TOGETHER: usize = 1 << 15;
/// So many bytes on the disk are left to others when chunks are moved. Less than what artifacts leave to the vault itself: moving
/// makes room.
const LEFT_FREE: u64 = 8 << 20;
/// So many names of chunks are gathered before doubles are thrown out.
const GATHERED: usize = 1 << 20;

/// What a prune must leave.
pub(super) struct Needs<'a> {
    pub(super) policy: &'a PrunePolicy,
    /// Sequences of pins and leases.
    pub(super) pins: &'a BTreeSet<Sequence>,
    /// What came later is left alone.
    pub(super) horizon: Sequence,
    /// Versions of inodes that a dry run would have dropped.
    pub(super) dropped: &'a HashSet<(Ino, Sequence)>,
}

impl RocksStorage {
    /// Drops, after versions were pruned, what files needed for them alone.
    pub(super) fn prune_files(&self, needs: &Needs<'_>, pruned: &mut Pruned) -> Result<()> {
        let _alone = lock(&self.maintenance);
        let rows = self.prune_dentries(needs)? + self.prune_extents(needs)?;
        pruned.file_rows = rows;
        if needs.policy.dry_run {
            return Ok(());
        }
        (pruned.chunks, pruned.chunk_bytes) = self.sweep_chunks()?;
        match self.compact(self.segments.mostly_garbage(PRUNE_GARBAGE)) {
            Err(error @ StorageError::NoSpace { .. }) => {
                tracing::warn!(target: "mirrordna::storage", %error, "what is left of old segments stays where it is");
            }
            compacted => compacted?,
        }
        if rows > 0 {
            for cf in Cf::ARTIFACTS {
                self.database.db.compact_range_cf(self.database.cf(cf)?, None::<&[u8]>, None::<&[u8]>);
            }
        }
        Ok(())
    }

    /// Moves what is left of segments that this process filled mostly with what no commit named.
    pub(super) fn reclaim_segments(&self) -> Result<()> {
        if self.read_only {
            return Ok(());
        }
        // Who calls has changes to commit meanwhile. A prune, which may take long, frees more.
        let _alone = match self.maintenance.try_lock() {
            Ok(alone) => alone,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(()),
        };
        self.compact(self.segments.worth_reclaiming(LIVE_LEFT))
    }

    fn prune_dentries(&self, needs: &Needs<'_>) -> Result<u64> {
        let recent = match needs.policy.current_after {
            Some(after) => self.first_after(after)?,
            None => Sequence::MAX,
        };
        let reads = |row: Sequence, next: Option<Sequence>| {
            next.is_none_or(|next| {
                next > needs.horizon || next >= recent || needs.pins.range(row..next).next().is_some()
            })
        };
        let mut drops = Drops::new(self, Cf::Dentries, needs);
        let mut name: Vec<u8> = Vec::new();
        let mut rows = Rows::default();
        let mut iterator = self.database.iterate(Cf::Dentries, &[])?;
        iterator.seek_to_first();
        while let Some((stored, bytes)) = iterator.item() {
            if let Some((parent, of, sequence)) = key::split_dentry(stored) {
                let prefix = key::name(parent, of);
                if name != prefix {
                    drops.add(rows.unneeded(&name, needs.horizon, reads))?;
                    name = prefix;
                }
                rows.push(sequence, file_rows::decode_dentry(parent, of, bytes)?.is_none());
            }
            iterator.next();
        }
        self.database.finished(&iterator)?;
        drops.add(rows.unneeded(&name, needs.horizon, reads))?;
        drops.finish()
    }

    fn prune_extents(&self, needs: &Needs<'_>) -> Result<u64> {
        let view = self.database.view();
        let mut drops = Drops::new(self, Cf::Extents, needs);
        let mut slot: Vec<u8> = Vec::new();
        let mut rows = Rows::default();
        let mut inode = None;
        // Versions of the inode that are there and are no deletions.
        let mut versions = BTreeSet::new();
        let mut iterator = view.iterate(Cf::Extents, &[])?;
        iterator.seek_to_first();
        while let Some((stored, bytes)) = iterator.item() {
            if let Some((ino, of, sequence)) = key::split_extent(stored) {
                let prefix = key::slot(ino, of);
                if slot != prefix {
                    drops.add(rows.unneeded(&slot, needs.horizon, |row, next| read_by(&versions, row, next)))?;
                    slot = prefix.to_vec();
                }
                if inode != Some(ino) {
                    inode = Some(ino);
                    versions = live_versions(&view, ino, needs.dropped)?;
                }
                rows.push(sequence, file_rows::decode_pieces(ino, of, bytes)?.is_empty());
            }
            iterator.next();
        }
        view.finished(&iterator)?;
        drops.add(rows.unneeded(&slot, needs.horizon, |row, next| read_by(&versions, row, next)))?;
        drops.finish()
    }

    /// The first sequence whose time is later.
    fn first_after(&self, time: Timestamp) -> Result<Sequence> {
        let (mut low, mut high) = (1, self.published().tree.size() + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            let entry = self.read_log(middle, 1)?.pop();
            if entry.is_some_and(|entry| entry.time <= time) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// Drops the rows of chunks that no slot names, and counts what is left in each segment.
    fn sweep_chunks(&self) -> Result<(u64, u64)> {
        let view = {
            // What commits name from now on is remembered, so that it is not dropped for not being in this view.
            let mut writer = lock(&self.writer);
            writer.named = Some(HashSet::new());
            self.segments.begin_count();
            self.database.view()
        };
        let swept = self.sweep_view(&view);
        lock(&self.writer).named = None;
        swept
    }

    fn sweep_view(&self, view: &View<'_>) -> Result<(u64, u64)> {
        let named = named_chunks(view)?;
        let mut named = named.into_iter().peekable();
        let mut unnamed = Vec::new();
        let mut live: BTreeMap<u32, u64> = BTreeMap::new();
        let (mut count, mut bytes) = (0, 0);
        let mut iterator = view.iterate(Cf::Chunks, &[])?;
        iterator.seek_to_first();
        while let Some((stored, value)) = iterator.item() {
            if let Some(id) = key::split_chunk(stored) {
                let stored = file_rows::decode_chunk(id, value)?;
                while named.next_if(|other| *other < id).is_some() {}
                if named.peek() == Some(&id) {
                    count_live(&mut live, &stored);
                } else {
                    unnamed.push((id, stored));
                }
            }
            iterator.next();
            if unnamed.len() >= BATCH || (!iterator.valid() && !unnamed.is_empty()) {
                for (_, stored) in self.drop_chunks(&mut unnamed, &mut live)? {
                    count += 1;
                    bytes += stored.len() as u64;
                }
            }
        }
        view.finished(&iterator)?;
        self.segments.count_live(&live);
        Ok((count, bytes))
    }

    /// Drops rows of chunks but for those that were named since the sweep began, and returns what it dropped.
    fn drop_chunks(
        &self,
        unnamed: &mut Vec<(ChunkId, Stored)>,
        live: &mut BTreeMap<u32, u64>,
    ) -> Result<Vec<(ChunkId, Stored)>> {
        let mut writer = lock(&self.writer);
        self.mark_in_use(&mut writer)?;
        let since = writer.named.clone().unwrap_or_default();
        let (stay, go): (Vec<_>, Vec<_>) = unnamed.drain(..).partition(|(id, _)| since.contains(id));
        for (_, stored) in &stay {
            count_live(live, stored);
        }
        let mut batch = WriteBatch::default();
        for (id, _) in &go {
            batch.delete_cf(self.database.cf(Cf::Chunks)?, key::chunk(*id));
        }
        self.database.write(batch, false)?;
        Ok(go)
    }

    /// Moves what is left of some segments into the newest one, and removes them: part by part, each no larger than what the
    /// disk has room for. First go those of which nothing is left, which make room.
    fn compact(&self, mut numbers: BTreeSet<u32>) -> Result<()> {
        let empty = self.segments.without_live(&numbers);
        self.empty_segments(&empty)?;
        numbers.retain(|number| !empty.contains(number));
        while !numbers.is_empty() {
            let room = self.read_space()?.free.saturating_sub(LEFT_FREE).min(MOST_MOVED);
            let part = self.segments.with_at_most(&numbers, room);
            if part.is_empty() {
                return Err(StorageError::NoSpace { path: self.dir.clone() });
            }
            self.empty_segments(&part)?;
            numbers.retain(|number| !part.contains(number));
        }
        Ok(())
    }

    /// Moves the chunks of some segments into the newest one, and removes the segments. Their content is on disk at its new
    /// place before rows say so, and these are on disk before the old place goes.
    fn empty_segments(&self, numbers: &BTreeSet<u32>) -> Result<()> {
        if numbers.is_empty() {
            return Ok(());
        }
        // What was dropped must be so after a power cut, too, before its content goes.
        self.database.flush_log()?;
        let mut kept = BTreeSet::new();
        let (mut moved, mut count): (Vec<(ChunkId, Place, Place)>, usize) = (Vec::new(), 0);
        let mut iterator = self.database.iterate(Cf::Chunks, &[])?;
        iterator.seek_to_first();
        while let Some((stored, value)) = iterator.item() {
            if let Some(id) = key::split_chunk(stored)
                && let Stored::At(place) = file_rows::decode_chunk(id, value)?
                && numbers.contains(&place.segment)
                && !kept.contains(&place.segment)
            {
                match self.segments.read(id, &place) {
                    Ok(content) => {
                        moved.push((id, place, self.segments.copy(id, &content, place.sum)?));
                        count += 1;
                        if moved.len() >= MOVED_TOGETHER {
                            self.point_to(&moved)?;
                            moved.clear();
                        }
                    }
                    Err(StorageError::Corrupt { what, detail }) => {
                        // Nothing of it is touched: what is damaged may yet be saved by hand.
                        tracing::error!(target: "mirrordna::storage", what, detail, "a segment cannot be compacted");
                        kept.insert(place.segment);
                    }
                    Err(error) => return Err(error),
                }
            }
            iterator.next();
        }
        self.database.finished(&iterator)?;
        self.point_to(&moved)?;
        let gone = numbers.difference(&kept);
        tracing::debug!(target: "mirrordna::storage", segments = numbers.len(), chunks = count, "compacted");
        gone.into_iter().try_for_each(|number| self.segments.remove(*number))
    }

    /// Has rows say where chunks lie that were copied, once the copies are on disk.
    fn point_to(&self, moved: &[(ChunkId, Place, Place)]) -> Result<()> {
        if moved.is_empty() {
            return Ok(());
        }
        self.segments.sync_segments(moved.iter().map(|(_, _, new)| new.segment))?;
        {
            let mut writer = lock(&self.writer);
            self.mark_in_use(&mut writer)?;
            let mut batch = WriteBatch::default();
            for (id, _, new) in moved {
                batch.put_cf(
                    self.database.cf(Cf::Chunks)?,
                    key::chunk(*id),
                    file_rows::encode_chunk(&Stored::At(*new)),
                );
            }
            self.database.write(batch, true)?;
        }
        for (_, old, new) in moved {
            self.segments.moved(old, new);
        }
        Ok(())
    }
}

fn count_live(live: &mut BTreeMap<u32, u64>, stored: &Stored) {
    if let Stored::At(place) = stored {
        *live.entry(place.segment).or_default() += place.bytes();
    }
}

/// The chunks that slots name, in order, each once.
fn named_chunks(view: &View<'_>) -> Result<Vec<ChunkId>> {
    let mut named: Vec<ChunkId> = Vec::new();
    let mut bound = GATHERED;
    let mut iterator = view.iterate(Cf::Extents, &[])?;
    iterator.seek_to_first();
    while let Some((stored, value)) = iterator.item() {
        let (ino, slot, _) = key::split_extent(stored).ok_or_else(|| StorageError::Corrupt {
            what: format!("the row of extents under {stored:02x?}"),
            detail: "its key cannot be read".to_owned(),
        })?;
        named.extend(file_rows::decode_pieces(ino, slot, value)?.iter().map(|piece| piece.chunk));
        if named.len() >= bound {
            named.sort_unstable();
            named.dedup();
            bound = GATHERED.max(named.len() * 2);
        }
        iterator.next();
    }
    view.finished(&iterator)?;
    named.sort_unstable();
    named.dedup();
    Ok(named)
}

/// The versions of an inode that are there and are no deletions.
fn live_versions(view: &View<'_>, ino: Ino, dropped: &HashSet<(Ino, Sequence)>) -> Result<BTreeSet<Sequence>> {
    let id = ino.to_string();
    let mut live = BTreeSet::new();
    let mut versions = view.iterate(Cf::Versions, &record_key::versions(Kind::Artifact, &id))?;
    versions.seek_to_first();
    while let Some((stored, bytes)) = versions.item() {
        if let Some((kind, id, sequence)) = record_key::split_version(stored)
            && !codec::decode_version(kind, id, sequence, bytes)?.deleted
            && parse_ino(id).is_none_or(|ino| !dropped.contains(&(ino, sequence)))
        {
            live.insert(sequence);
        }
        versions.next();
    }
    view.finished(&versions)?;
    Ok(live)
}

/// Whether a version reads a row: one at or after it and before the next.
fn read_by(versions: &BTreeSet<Sequence>, row: Sequence, next: Option<Sequence>) -> bool {
    let mut from = versions.range(row..);
    from.next().is_some_and(|version| next.is_none_or(|next| *version < next))
}

/// The rows of one name or slot, newest first.
#[derive(Default)]
struct Rows {
    /// Sequence, and whether from there on there is nothing.
    rows: Vec<(Sequence, bool)>,
}

impl Rows {
    fn push(&mut self, sequence: Sequence, nothing: bool) {
        self.rows.push((sequence, nothing));
    }

    /// Keys of the rows that nobody reads; forgets the rows. A row that says that nothing is there any more says nothing when
    /// no older one stays.
    fn unneeded(
        &mut self,
        prefix: &[u8],
        horizon: Sequence,
        reads: impl Fn(Sequence, Option<Sequence>) -> bool,
    ) -> Vec<Vec<u8>> {
        let rows = std::mem::take(&mut self.rows);
        let mut next = None;
        let mut stay = Vec::with_capacity(rows.len());
        for (sequence, _) in &rows {
            stay.push(*sequence > horizon || reads(*sequence, next));
            next = Some(*sequence);
        }
        for ((sequence, nothing), stays) in rows.iter().zip(&mut stay).rev() {
            if *stays && (!nothing || *sequence > horizon) {
                break;
            }
            *stays = false;
        }
        let key = |sequence: Sequence| [prefix, &(!sequence).to_be_bytes()].concat();
        rows.iter().zip(stay).filter(|(_, stays)| !stays).map(|((sequence, _), _)| key(*sequence)).collect()
    }
}

/// Rows that go, in batches.
struct Drops<'a> {
    storage: &'a RocksStorage,
    cf: Cf,
    dry_run: bool,
    batch: WriteBatch,
    count: u64,
}

impl<'a> Drops<'a> {
    fn new(storage: &'a RocksStorage, cf: Cf, needs: &Needs<'_>) -> Self {
        Self { storage, cf, dry_run: needs.policy.dry_run, batch: WriteBatch::default(), count: 0 }
    }

    fn add(&mut self, keys: Vec<Vec<u8>>) -> Result<()> {
        self.count += keys.len() as u64;
        if self.dry_run {
            return Ok(());
        }
        for key in keys {
            self.batch.delete_cf(self.storage.database.cf(self.cf)?, key);
        }
        if self.batch.len() >= BATCH {
            self.storage.database.write(std::mem::take(&mut self.batch), false)
        } else {
            Ok(())
        }
    }

    fn finish(self) -> Result<u64> {
        if !self.batch.is_empty() {
            self.storage.database.write(self.batch, false)?;
        }
        Ok(self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of the rows of one name go when these sequences are read.
    fn gone(rows: &[(Sequence, bool)], horizon: Sequence, read_at: &[Sequence]) -> Vec<Sequence> {
        let mut all = Rows { rows: rows.to_vec() };
        let reads = |row: Sequence, next: Option<Sequence>| {
            read_at.iter().any(|at| *at >= row && next.is_none_or(|next| *at < next))
        };
        let keys = all.unneeded(b"", horizon, reads);
        assert!(all.rows.is_empty());
        keys.iter().map(|key| !Sequence::from_be_bytes(key.as_slice().try_into().unwrap())).collect()
    }

    #[test]
    fn rows_that_nobody_reads_go_and_removals_with_nothing_below_them_too() {
        let rows = [(9, false), (7, true), (5, false), (3, false)];
        assert_eq!(gone(&rows, 10, &[10]), [7, 5, 3]);
        assert_eq!(gone(&rows, 10, &[10, 8]), [7, 5, 3], "nothing is there at 8 either way");
        assert_eq!(gone(&rows, 10, &[10, 8, 5]), [3]);
        assert_eq!(gone(&rows, 10, &[10, 4]), [7, 5], "…");
    }

    #[test]
    fn the_last_removal_goes_with_what_it_removed() {
        assert_eq!(gone(&[(9, true), (5, false)], 10, &[10]), [9, 5]);
        assert_eq!(gone(&[(9, true), (5, false)], 10, &[10, 6]), Vec::<Sequence>::new());
        assert_eq!(gone(&[(12, true), (9, true), (5, false)], 10, &[12]), [9, 5]);
    }
}
