//! Files: their rows in a commit, and reading directory entries, extents and content.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ::rocksdb::WriteBatch;

use crate::record::Kind;
use crate::record::inode::is_name;

use super::super::artifacts::{
    ChunkId, Dentry, FileRows, Ino, MAX_FILE_ROWS, Piece, SLOT_BYTES, Space, WriteBack, piece_fault,
};
use super::super::file_rows::{self, Stored, key, shown};
use super::super::inline::{FIRST_IN_SEGMENT, Small};
use super::super::segments;
use super::super::types::{Commit, Sequence};
use super::super::{Result, StorageError};
use super::{Cf, Database, RocksStorage, Writer, lock};

/// `meta`: the highest number of an inode that ever was.
pub(super) const HIGHEST_KEY: &[u8] = b"ino";

/// Chunks that the rows of a commit name and that have no row themselves yet.
pub(super) type NewChunks = HashMap<ChunkId, Stored>;

/// Refuses rows that no reader could make sense of.
pub(super) fn check_rows(commit: &Commit) -> Result<()> {
    let FileRows { dentries, extents } = &commit.files;
    let limit = |what: String, limit| Err(StorageError::Limit { what, limit });
    if dentries.len() + extents.len() > MAX_FILE_ROWS {
        return limit("too many directory entries and slots in one commit".to_owned(), MAX_FILE_ROWS);
    }
    let mut names = HashSet::with_capacity(dentries.len());
    for (parent, name, _) in dentries {
        if !is_name(name) || !names.insert((parent, name)) {
            return limit(format!("{} as the name of an entry of directory {parent}, once", shown(name)), 1);
        }
    }
    let mut slots = HashSet::with_capacity(extents.len());
    let changed: HashSet<&str> =
        commit.changes.iter().filter(|change| change.kind == Kind::Artifact).map(|change| change.id.as_str()).collect();
    let mut last = None;
    for (ino, slot, pieces) in extents {
        if last != Some(ino) && !changed.contains(ino.to_string().as_str()) {
            return limit(format!("slots of artifact {ino} without a change of its inode"), 0);
        }
        last = Some(ino);
        if !slots.insert((ino, slot)) {
            return limit(format!("slot {slot} of artifact {ino} in one commit"), 1);
        }
        if let Some(fault) = piece_fault(pieces) {
            return limit(format!("{fault}, in slot {slot} of artifact {ino}"), SLOT_BYTES as usize);
        }
    }
    Ok(())
}

fn named(files: &FileRows) -> impl Iterator<Item = &Piece> {
    files.extents.iter().flat_map(|(_, _, pieces)| pieces)
}

impl RocksStorage {
    /// Content is on disk before the batch that names it is written. This runs on the thread of the one who commits, so that
    /// nobody else waits for it.
    pub(super) fn sync_content(&self, commit: &Commit) -> Result<()> {
        if commit.files.extents.is_empty() {
            return Ok(());
        }
        self.segments.sync_pending(named(&commit.files).map(|piece| piece.chunk))
    }

    /// The chunks that a commit names for the first time. All others must be there already.
    pub(super) fn new_chunks(&self, writer: &mut Writer, files: &FileRows) -> Result<NewChunks> {
        let mut new = NewChunks::new();
        let mut seen = HashSet::new();
        for piece in named(files) {
            if !seen.insert(piece.chunk) {
                continue;
            }
            let pending = self.pending(piece.chunk);
            let is_new = pending.is_some();
            let stored = match pending {
                Some(stored) => stored,
                None => self.stored(piece.chunk)?,
            };
            if let Some(named) = &mut writer.named {
                named.insert(piece.chunk);
            }
            if !stored.has(piece) {
                return Err(segments::damaged(piece.chunk, "a commit names other bytes than it has".to_owned()));
            }
            if is_new {
                new.insert(piece.chunk, stored);
            }
        }
        Ok(new)
    }

    /// Puts the rows of a commit into its batch. `sequence` is its last one.
    pub(super) fn put_rows(
        &self,
        batch: &mut WriteBatch,
        files: &FileRows,
        new: &NewChunks,
        sequence: Sequence,
        of_inode: &HashMap<Ino, Sequence>,
    ) -> Result<()> {
        for (id, stored) in new {
            batch.put_cf(self.database.cf(Cf::Chunks)?, key::chunk(*id), file_rows::encode_chunk(stored));
        }
        for (parent, name, dentry) in &files.dentries {
            let key = key::dentry(*parent, name, sequence);
            batch.put_cf(self.database.cf(Cf::Dentries)?, key, file_rows::encode_dentry(dentry.as_ref()));
        }
        for (ino, slot, pieces) in &files.extents {
            // With the sequence of its inode's version, so that each version says which rows belong to it.
            let key = key::extent(*ino, *slot, of_inode.get(ino).copied().unwrap_or(sequence));
            batch.put_cf(self.database.cf(Cf::Extents)?, key, file_rows::encode_pieces(pieces));
        }
        Ok(())
    }

    /// A chunk that no commit has named yet.
    fn pending(&self, id: ChunkId) -> Option<Stored> {
        self.inline.pending(id).map(Stored::Here).or_else(|| self.segments.pending(id).map(Stored::At))
    }

    fn stored(&self, id: ChunkId) -> Result<Stored> {
        self.database.chunk(id)?.ok_or_else(|| segments::damaged(id, "nothing says where it lies".to_owned()))
    }

    /// Reads what is stored of a chunk; once more when it was moved meanwhile.
    fn with_chunk<T>(&self, id: ChunkId, mut read: impl FnMut(&Stored) -> Result<T>) -> Result<T> {
        if let Some(stored) = self.pending(id) {
            return read(&stored);
        }
        let mut stored = self.stored(id)?;
        loop {
            match read(&stored) {
                Err(error @ StorageError::Corrupt { .. }) => {
                    let now = self.stored(id)?;
                    if now == stored {
                        return Err(error);
                    }
                    stored = now;
                }
                other => return other,
            }
        }
    }

    pub(super) fn read_chunk(&self, id: ChunkId) -> Result<Vec<u8>> {
        self.with_chunk(id, |stored| self.content(id, stored))
    }

    /// All of a chunk, verified.
    pub(super) fn content(&self, id: ChunkId, stored: &Stored) -> Result<Vec<u8>> {
        match stored {
            Stored::At(place) => self.segments.read(id, place),
            Stored::Here(small) => verified(id, small).map(<[u8]>::to_vec),
        }
    }

    pub(super) fn read_of_piece(&self, piece: &Piece, from: u32, out: &mut [u8]) -> Result<()> {
        let len = u32::try_from(out.len()).unwrap_or(u32::MAX);
        let part = piece.part(from, len)?;
        self.with_chunk(piece.chunk, |stored| {
            if !stored.has(piece) {
                return Err(segments::damaged(piece.chunk, "it is not what the file says of it".to_owned()));
            }
            match stored {
                Stored::At(place) => self.segments.read_part(piece.chunk, place, part.start, out),
                // Its row has a CRC of its own, which was compared.
                Stored::Here(small) => {
                    let part = small.bytes.get(part.start as usize..part.end as usize);
                    out.copy_from_slice(part.unwrap_or_default());
                    Ok(())
                }
            }
        })
    }

    pub(super) fn read_dentry(&self, parent: Ino, name: &[u8], at: Sequence) -> Result<Option<Dentry>> {
        if !is_name(name) {
            return Ok(None);
        }
        let mut iterator = self.database.iterate(Cf::Dentries, &key::name(parent, name))?;
        iterator.seek(key::dentry(parent, name, at));
        let found = iterator.value().map(|bytes| file_rows::decode_dentry(parent, name, bytes)).transpose()?.flatten();
        self.database.finished(&iterator)?;
        Ok(found)
    }

    pub(super) fn read_dentries(
        &self,
        parent: Ino,
        after: Option<&[u8]>,
        limit: usize,
        at: Sequence,
    ) -> Result<Vec<(Vec<u8>, Dentry)>> {
        let mut found: Vec<(Vec<u8>, Dentry)> = Vec::new();
        let mut iterator = self.database.iterate(Cf::Dentries, &parent.to_be_bytes())?;
        match after {
            None => iterator.seek_to_first(),
            Some(name) => iterator.seek(past(key::name(parent, name))),
        }
        // The name whose row of that time was seen already.
        let mut done: Vec<u8> = Vec::new();
        while found.len() < limit
            && let Some((stored, bytes)) = iterator.item()
        {
            let (_, name, sequence) = key::split_dentry(stored).ok_or_else(|| unreadable_key("dentries", stored))?;
            if sequence <= at && done != name {
                done = name.to_vec();
                if let Some(dentry) = file_rows::decode_dentry(parent, name, bytes)? {
                    found.push((done.clone(), dentry));
                }
            }
            iterator.next();
        }
        self.database.finished(&iterator)?;
        Ok(found)
    }

    pub(super) fn read_extents(
        &self,
        ino: Ino,
        from: u64,
        limit: usize,
        at: Sequence,
    ) -> Result<Vec<(u64, Vec<Piece>)>> {
        let mut found = Vec::new();
        let mut iterator = self.database.iterate(Cf::Extents, &ino.to_be_bytes())?;
        iterator.seek(key::slot(ino, from));
        let mut done = None;
        while found.len() < limit
            && let Some((stored, bytes)) = iterator.item()
        {
            let (_, slot, sequence) = key::split_extent(stored).ok_or_else(|| unreadable_key("extents", stored))?;
            if sequence <= at && done != Some(slot) {
                done = Some(slot);
                let pieces = file_rows::decode_pieces(ino, slot, bytes)?;
                if !pieces.is_empty() {
                    found.push((slot, pieces));
                }
            }
            iterator.next();
        }
        self.database.finished(&iterator)?;
        Ok(found)
    }

    pub(super) fn read_space(&self) -> Result<Space> {
        let room = self.files.space(&self.dir).map_err(|error| StorageError::from_io(&self.dir, error))?;
        Ok(Space { total: room.0, free: room.1, artifacts: self.segments.disk_bytes() })
    }

    /// The highest number of an inode that ever was.
    pub(super) fn highest_ino(&self) -> Ino {
        self.highest_ino.load(Ordering::Acquire)
    }

    pub(super) fn holders(&self) -> Vec<Arc<dyn WriteBack>> {
        let mut holders = lock(&self.holders);
        holders.retain(|holder| holder.strong_count() > 0);
        holders.iter().filter_map(std::sync::Weak::upgrade).collect()
    }
}

impl Database {
    /// What is stored of a chunk.
    pub(super) fn chunk(&self, id: ChunkId) -> Result<Option<Stored>> {
        let bytes = self.get(Cf::Chunks, &key::chunk(id))?;
        bytes.map(|bytes| file_rows::decode_chunk(id, &bytes)).transpose()
    }

    /// The highest numbers of chunks that rows name: of one that lies in its row, and of one in a segment.
    pub(super) fn newest_chunks(&self) -> Result<(Option<ChunkId>, Option<ChunkId>)> {
        let mut chunks = self.iterate(Cf::Chunks, &[])?;
        chunks.seek_to_last();
        let in_segment = chunks.key().and_then(key::split_chunk).filter(|id| *id >= FIRST_IN_SEGMENT);
        chunks.seek_for_prev(key::chunk(FIRST_IN_SEGMENT - 1));
        let inline = chunks.key().and_then(key::split_chunk);
        self.finished(&chunks)?;
        Ok((inline, in_segment))
    }

    /// The highest number of an inode that ever was.
    pub(super) fn stored_highest_ino(&self) -> Result<Ino> {
        let bytes = self.get(Cf::Meta, HIGHEST_KEY)?;
        bytes.map_or(Ok(0), |bytes| file_rows::decode_highest(&bytes))
    }
}

/// The content of a small chunk, if it is what was written.
fn verified(id: ChunkId, small: &Small) -> Result<&[u8]> {
    if small.sum.is_of(&small.bytes) { Ok(&small.bytes) } else { Err(segments::other_content(id, &small.sum)) }
}

/// The first key behind all those that begin with `prefix`, which ends in a zero.
fn past(mut prefix: Vec<u8>) -> Vec<u8> {
    prefix.pop();
    prefix.push(1);
    prefix
}

fn unreadable_key(family: &str, key: &[u8]) -> StorageError {
    StorageError::Corrupt {
        what: format!("the row of {family} under {key:02x?}"),
        detail: "its key cannot be read".into(),
    }
}
