//! Taking names away, and giving references back.

use crate::record::FileType;
use crate::storage::Ino;

use super::create::check_name;
use super::error::{FsError, Result};
use super::namespace::{ChangedIn, Namespace, Step};
use super::types::{Nanos, ROOT};
use super::{Artifacts, MOST_INODES, Ordering};

impl Artifacts {
    /// Takes a name of a file away. With its last name a file goes when nobody has a reference on it.
    ///
    /// # Errors
    /// [`FsError::NotFound`], [`FsError::IsDirectory`], and those of the storage.
    pub fn unlink(&self, parent: Ino, name: &[u8]) -> Result<()> {
        let _entered = self.enter();
        check_present(name)?;
        self.relieve()?;
        let now = self.now();
        self.run(|namespace| {
            let found = namespace.entry(parent, name)?.ok_or(FsError::NotFound)?;
            if found.file_type == FileType::Directory {
                return Err(FsError::IsDirectory.into());
            }
            namespace.node(found.ino)?;
            namespace.set_entry(parent, name, None, now)?;
            namespace.lose_name(found.ino, parent, name, now)
        })
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// [`FsError::NotFound`], [`FsError::NotDirectory`], [`FsError::NotEmpty`], and those of the storage.
    pub fn rmdir(&self, parent: Ino, name: &[u8]) -> Result<()> {
        let _entered = self.enter();
        match name {
            b"." => return Err(FsError::Invalid("`.` cannot be removed".into())),
            b".." => return Err(FsError::NotEmpty),
            _ => check_present(name)?,
        }
        self.relieve()?;
        let now = self.now();
        self.run(|namespace| {
            let found = namespace.entry(parent, name)?.ok_or(FsError::NotFound)?;
            if found.file_type != FileType::Directory {
                return Err(FsError::NotDirectory.into());
            }
            if namespace.directory(found.ino)?.inode.entries > 0 {
                return Err(FsError::NotEmpty.into());
            }
            namespace.set_entry(parent, name, None, now)?;
            namespace.lose_name(found.ino, parent, name, now)
        })
    }

    /// Gives references back.
    pub fn forget(&self, ino: Ino, count: u64) {
        let _entered = self.enter();
        let mut namespace = self.namespace();
        let Some(held) = namespace.references.get_mut(&ino) else { return };
        *held = held.saturating_sub(count);
        if *held == 0 {
            namespace.references.remove(&ino);
            if namespace.unstored() < MOST_INODES {
                namespace.released(ino);
            } else {
                // It is found again, once something can be committed.
                self.orphans_wait.store(true, Ordering::Relaxed);
            }
            namespace.trim();
            self.count_waiting(&namespace);
        }
    }
}

impl Namespace {
    /// Notes that an inode in memory has a name less.
    pub(super) fn lose_name(&mut self, ino: Ino, parent: Ino, name: &[u8], now: Nanos) -> Step<()> {
        let node = self.node(ino)?;
        if let Some(place) = node.inode.names.iter().position(|(dir, known)| *dir == parent && known == name) {
            node.inode.names.swap_remove(place);
        }
        node.inode.ctime = now;
        if node.inode.file_type == FileType::Directory {
            node.inode.mtime = now;
        }
        self.touch(ino, ChangedIn::Attributes);
        self.released(ino);
        Ok(())
    }
}

/// A name that could be there.
pub(super) fn check_present(name: &[u8]) -> Result<()> {
    match check_name(name) {
        Err(FsError::Exists) => Err(FsError::Invalid("`.` and `..` stay".into())),
        checked => checked,
    }
}

/// The root directory is neither removed nor renamed.
pub(super) fn check_not_root(ino: Ino) -> Result<()> {
    if ino == ROOT { Err(FsError::Busy) } else { Ok(()) }
}
