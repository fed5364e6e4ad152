//! Artifacts as they were: read-only, straight from the storage.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::record::{FileType, Inode};
use crate::storage::{Ino, Lease, SLOT_BYTES, Sequence, Storage};

use super::content::{Fault, first_part};
use super::directory::Directory;
use super::error::{FsError, Result};
use super::io::damaged;
use super::load::{inode, names, new_root, read_piece};
use super::namespace::attributes_of;
use super::slot::{Chunks, Slot};
use super::types::{Attributes, Cursor, ListEntry, ROOT};
use super::xattrs::value_of;
use super::{Artifacts, lock};

/// Directories whose names are kept for the next listing.
const KEPT_DIRECTORIES: usize = 16;

/// Artifacts at a sequence. What is needed to read them is not pruned as long as this is there.
pub struct Past {
    storage: Arc<dyn Storage>,
    at: Sequence,
    _lease: Lease,
    directories: Mutex<HashMap<Ino, Arc<Directory>>>,
}

impl Artifacts {
    /// Artifacts as they were at a sequence.
    #[must_use]
    pub fn at(&self, sequence: Sequence) -> Past {
        Past {
            storage: Arc::clone(&self.storage),
            at: sequence,
            _lease: self.storage.lease(sequence),
            directories: Mutex::default(),
        }
    }
}

impl Past {
    /// What `stat` said of a file.
    ///
    /// # Errors
    /// [`FsError::Stale`] when it was not there, and those of the storage.
    pub fn attributes(&self, ino: Ino) -> Result<Attributes> {
        Ok(attributes_of(&self.inode(ino)?))
    }

    /// What a name led to. No reference is taken.
    ///
    /// # Errors
    /// [`FsError::NotFound`], and those of the storage.
    pub fn lookup(&self, parent: Ino, name: &[u8]) -> Result<Attributes> {
        let found = self.storage.dentry(parent, name, self.at)?.ok_or(FsError::NotFound)?;
        self.attributes(found.ino)
    }

    /// The directory that a directory was in; of the root, itself.
    ///
    /// # Errors
    /// As [`Past::attributes`].
    pub fn parent(&self, ino: Ino) -> Result<Ino> {
        Ok(self.inode(ino)?.names.first().map_or(ROOT, |(parent, _)| *parent))
    }

    /// As [`Artifacts::list`].
    ///
    /// # Errors
    /// As [`Artifacts::list`].
    pub fn list(&self, ino: Ino, after: Cursor, take: &mut dyn FnMut(&ListEntry<'_>) -> bool) -> Result<()> {
        let directory = self.directory(ino)?;
        for (cursor, entry, target) in directory.after(after) {
            let entry = ListEntry { name: &entry.name, cursor, ino: target.ino, file_type: target.file_type };
            if !take(&entry) {
                break;
            }
        }
        Ok(())
    }

    /// As [`Past::list`], with attributes.
    ///
    /// # Errors
    /// As [`Artifacts::list`].
    pub fn list_with_attributes(
        &self,
        ino: Ino,
        after: Cursor,
        take: &mut dyn FnMut(&ListEntry<'_>, &Attributes) -> bool,
    ) -> Result<()> {
        let mut failure = None;
        self.list(ino, after, &mut |entry| match self.attributes(entry.ino) {
            Ok(attributes) => take(entry, &attributes),
            Err(error) => {
                failure = Some(error);
                false
            }
        })?;
        failure.map_or(Ok(()), Err)
    }

    /// Where a symbolic link led.
    ///
    /// # Errors
    /// As [`Artifacts::read_link`].
    pub fn read_link(&self, ino: Ino) -> Result<Vec<u8>> {
        self.inode(ino)?.target.ok_or(FsError::Invalid("it is no symbolic link"))
    }

    /// Reads into `out`, and returns how many bytes: fewer only at the end of the file.
    ///
    /// # Errors
    /// As [`Artifacts::read`].
    pub fn read(&self, ino: Ino, offset: u64, out: &mut [u8]) -> Result<usize> {
        let inode = self.inode(ino)?;
        match inode.file_type {
            FileType::Regular => {}
            FileType::Directory => return Err(FsError::IsDirectory),
            _ => return Err(FsError::Invalid("only an ordinary file has content")),
        }
        let available = usize::try_from(inode.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let len = out.len().min(available);
        let mut rest = out.get_mut(..len).unwrap_or_default();
        if rest.is_empty() {
            return Ok(0);
        }
        let first = offset / u64::from(SLOT_BYTES);
        let last = (offset + len as u64 - 1) / u64::from(SLOT_BYTES);
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

    /// The value of an extended attribute.
    ///
    /// # Errors
    /// As [`Artifacts::xattr`].
    pub fn xattr(&self, ino: Ino, name: &[u8]) -> Result<Vec<u8>> {
        value_of(&self.inode(ino)?, name)
    }

    /// The names of all extended attributes, in order.
    ///
    /// # Errors
    /// As [`Artifacts::xattrs`].
    pub fn xattrs(&self, ino: Ino) -> Result<Vec<Vec<u8>>> {
        Ok(self.inode(ino)?.xattrs.into_keys().collect())
    }

    fn inode(&self, ino: Ino) -> Result<Inode> {
        match inode(&*self.storage, ino, self.at)? {
            Some(inode) => Ok(inode),
            // Nothing had been put into it then.
            None if ino == ROOT => Ok(new_root(0)),
            None => Err(FsError::Stale { ino }),
        }
    }

    fn directory(&self, ino: Ino) -> Result<Arc<Directory>> {
        if let Some(directory) = lock(&self.directories).get(&ino) {
            return Ok(Arc::clone(directory));
        }
        if self.inode(ino)?.file_type != FileType::Directory {
            return Err(FsError::NotDirectory);
        }
        let mut directory = Directory::default();
        for (name, target) in names(&*self.storage, ino, self.at)? {
            directory.learn(&name, Some(target));
        }
        directory.completed();
        let directory = Arc::new(directory);
        let mut kept = lock(&self.directories);
        if kept.len() >= KEPT_DIRECTORIES {
            kept.clear();
        }
        kept.insert(ino, Arc::clone(&directory));
        Ok(directory)
    }
}

impl Chunks for Past {
    fn append(
        &self,
        _bytes: &[u8],
    ) -> std::result::Result<(crate::storage::ChunkId, crate::record::Checksum), crate::storage::StorageError> {
        Err(crate::storage::StorageError::Permission { path: "artifacts of the past".into() })
    }

    fn read(
        &self,
        piece: &crate::storage::Piece,
        from: u32,
        out: &mut [u8],
    ) -> std::result::Result<(), crate::storage::StorageError> {
        read_piece(&*self.storage, piece, from, out)
    }
}
