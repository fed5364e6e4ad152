//! Artifacts as they were: read-only, straight from the storage.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::record::{FileType, Inode};
use crate::storage::{Dentry, Ino, Lease, Piece, SLOT_BYTES, Sequence, Storage, StorageError};

use super::content::{Fault, first_part};
use super::error::{FsError, Result};
use super::io::damaged;
use super::load::{inode, new_root};
use super::lock;
use super::namespace::attributes_of;
use super::slot::{Chunks, Slot};
use super::types::{Attributes, Nanos, ROOT, Seek};
use super::xattrs::value_of;

/// Inodes that are kept for the next question: a program that copies a file asks several.
const KEPT_INODES: usize = 1_024;
/// Slots read at once when data or a hole is looked for.
const SLOTS: usize = 256;
/// [`SLOT_BYTES`], for offsets.
const SLOT: u64 = SLOT_BYTES as u64;

/// Artifacts at a sequence. What is needed to read them is not pruned as long as this is there.
pub struct Past {
    storage: Arc<dyn Storage>,
    at: Sequence,
    /// When that was.
    time: Nanos,
    _lease: Lease,
    inodes: Mutex<HashMap<Ino, Arc<Inode>>>,
}

impl Past {
    /// Artifacts as they were at a sequence, of which a lease is held and the time known.
    pub(crate) fn new(storage: Arc<dyn Storage>, at: Sequence, time: Nanos, lease: Lease) -> Self {
        Self { storage, at, time, _lease: lease, inodes: Mutex::default() }
    }

    /// What `stat` said of a file.
    ///
    /// # Errors
    /// [`FsError::Stale`] when it was not there, and those of the storage.
    pub fn attributes(&self, ino: Ino) -> Result<Attributes> {
        Ok(attributes_of(&*self.inode(ino)?))
    }

    /// What a name led to.
    ///
    /// # Errors
    /// [`FsError::NotFound`], and those of the storage.
    pub fn lookup(&self, parent: Ino, name: &[u8]) -> Result<Dentry> {
        self.storage.dentry(parent, name, self.at)?.ok_or(FsError::NotFound)
    }

    /// The directory that a directory was in; of the root, itself.
    ///
    /// # Errors
    /// As [`Past::attributes`].
    pub fn parent(&self, ino: Ino) -> Result<Ino> {
        Ok(self.inode(ino)?.names.first().map_or(ROOT, |(parent, _)| *parent))
    }

    /// The names of a directory in order of their bytes, after the name `after`, at most `limit`.
    ///
    /// # Errors
    /// [`FsError::NotDirectory`], and as [`Past::attributes`].
    pub fn names(&self, ino: Ino, after: Option<&[u8]>, limit: usize) -> Result<Vec<(Vec<u8>, Dentry)>> {
        if self.inode(ino)?.file_type != FileType::Directory {
            return Err(FsError::NotDirectory);
        }
        Ok(self.storage.dentries(ino, after, limit, self.at)?)
    }

    /// Where a symbolic link led.
    ///
    /// # Errors
    /// [`FsError::Invalid`] for what is no link, and as [`Past::attributes`].
    pub fn read_link(&self, ino: Ino) -> Result<Vec<u8>> {
        self.inode(ino)?.target.clone().ok_or(FsError::Invalid("it is no symbolic link".into()))
    }

    /// Reads into `out`, and returns how many bytes: fewer only at the end of the file.
    ///
    /// # Errors
    /// As [`super::Artifacts::read`].
    pub fn read(&self, ino: Ino, offset: u64, out: &mut [u8]) -> Result<usize> {
        let inode = self.file(ino)?;
        let available = usize::try_from(inode.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let len = out.len().min(available);
        let mut rest = out.get_mut(..len).unwrap_or_default();
        if rest.is_empty() {
            return Ok(0);
        }
        let first = offset / SLOT;
        let last = (offset + len as u64 - 1) / SLOT;
        let limit = usize::try_from(last - first + 1).unwrap_or(usize::MAX);
        let mut slots: HashMap<u64, Slot> = HashMap::new();
        for (number, pieces) in self.storage.extents(ino, first, limit, self.at)? {
            slots.insert(number, Slot::stored(pieces));
        }
        let mut at = offset;
        while !rest.is_empty() {
            let (number, start, len) = first_part(at, rest.len());
            let (part, behind) = rest.split_at_mut(len);
            match slots.get(&number) {
                Some(slot) => {
                    slot.read(start, part, self).map_err(|source| damaged(ino, Fault { at, len, source }))?;
                }
                None => part.fill(0),
            }
            rest = behind;
            at += len as u64;
        }
        Ok(len)
    }

    /// The next data, or the next hole, at or after an offset.
    ///
    /// # Errors
    /// [`FsError::BeyondEnd`] when there is none, and as [`Past::read`].
    pub fn seek(&self, ino: Ino, offset: u64, what: Seek) -> Result<u64> {
        let size = self.file(ino)?.size;
        if offset >= size {
            return Err(FsError::BeyondEnd);
        }
        // Up to here there is data without a hole, when a hole is looked for.
        let mut at = offset;
        let mut from = offset / SLOT;
        loop {
            let page = self.storage.extents(ino, from, SLOTS, self.at)?;
            let full = page.len() >= SLOTS;
            for (number, pieces) in page {
                from = number + 1;
                for (start, end) in Slot::stored(pieces).data() {
                    let (start, end) = (number * SLOT + u64::from(start), number * SLOT + u64::from(end));
                    match what {
                        _ if end <= at => {}
                        Seek::Data if start < size => return Ok(start.max(at)),
                        Seek::Data => return Err(FsError::BeyondEnd),
                        Seek::Hole if start > at => return Ok(at),
                        Seek::Hole => at = end,
                    }
                }
            }
            if !full {
                break;
            }
        }
        match what {
            Seek::Data => Err(FsError::BeyondEnd),
            Seek::Hole => Ok(at.min(size)),
        }
    }

    /// The value of an extended attribute.
    ///
    /// # Errors
    /// [`FsError::NoAttribute`], and as [`Past::attributes`].
    pub fn xattr(&self, ino: Ino, name: &[u8]) -> Result<Vec<u8>> {
        value_of(&*self.inode(ino)?, name)
    }

    /// The names of all extended attributes, in order.
    ///
    /// # Errors
    /// As [`Past::attributes`].
    pub fn xattrs(&self, ino: Ino) -> Result<Vec<Vec<u8>>> {
        Ok(self.inode(ino)?.xattrs.keys().cloned().collect())
    }

    fn file(&self, ino: Ino) -> Result<Arc<Inode>> {
        let inode = self.inode(ino)?;
        match inode.file_type {
            FileType::Regular => Ok(inode),
            FileType::Directory => Err(FsError::IsDirectory),
            _ => Err(FsError::Invalid("only an ordinary file has content".into())),
        }
    }

    fn inode(&self, ino: Ino) -> Result<Arc<Inode>> {
        if let Some(inode) = lock(&self.inodes).get(&ino) {
            return Ok(Arc::clone(inode));
        }
        let inode = Arc::new(match inode(&*self.storage, ino, self.at)? {
            Some(inode) => inode,
            // Nothing had been put into it then.
            None if ino == ROOT => new_root(self.time),
            None => return Err(FsError::Stale { ino }),
        });
        let mut kept = lock(&self.inodes);
        if kept.len() >= KEPT_INODES {
            kept.clear();
        }
        kept.insert(ino, Arc::clone(&inode));
        Ok(inode)
    }
}

impl Chunks for Past {
    fn append(
        &self,
        _bytes: &[u8],
    ) -> std::result::Result<(crate::storage::ChunkId, crate::storage::ChunkSum), StorageError> {
        Err(StorageError::Permission { path: "artifacts of the past".into() })
    }

    fn read(&self, piece: &Piece, from: u32, out: &mut [u8]) -> std::result::Result<(), StorageError> {
        self.storage.read_piece_into(piece, from, out)
    }
}
