//! Renaming, with everything that can stand at the new name.

use crate::record::FileType;
use crate::storage::{Dentry, Ino};

use super::Artifacts;
use super::error::{FsError, Result};
use super::namespace::{ChangedIn, Namespace, Step};
use super::remove::{check_not_root, check_present};
use super::types::{Nanos, ROOT, RenameFlags};

/// A place for a name.
#[derive(Clone, Copy)]
struct Place<'a> {
    parent: Ino,
    name: &'a [u8],
}

impl Artifacts {
    /// Renames a file or directory; what is at the new name is replaced, unless the flags say otherwise.
    ///
    /// # Errors
    /// [`FsError::NotFound`], [`FsError::Exists`] with `no_replace`, [`FsError::NotEmpty`], [`FsError::IsDirectory`] and
    /// [`FsError::NotDirectory`] when the one at the new name is of the other sort, [`FsError::Invalid`] when a directory
    /// would be moved into itself, and those of the storage.
    pub fn rename(&self, parent: Ino, name: &[u8], new_parent: Ino, new_name: &[u8], flags: RenameFlags) -> Result<()> {
        let _entered = self.enter();
        if flags.no_replace && flags.exchange {
            return Err(FsError::Invalid("a rename either replaces nothing or exchanges".into()));
        }
        check_present(name)?;
        check_present(new_name)?;
        self.make_room(0)?;
        let (from, to) = (Place { parent, name }, Place { parent: new_parent, name: new_name });
        let now = self.now();
        self.run(|namespace| namespace.rename(from, to, flags, now))
    }
}

impl Namespace {
    fn rename(&mut self, from: Place<'_>, to: Place<'_>, flags: RenameFlags, now: Nanos) -> Step<()> {
        self.living_directory(from.parent)?;
        self.living_directory(to.parent)?;
        let moved = self.entry(from.parent, from.name)?.ok_or(FsError::NotFound)?;
        let replaced = self.entry(to.parent, to.name)?;
        self.node(moved.ino)?;
        if let Some(replaced) = replaced {
            self.node(replaced.ino)?;
        }
        if flags.exchange && replaced.is_none() {
            return Err(FsError::NotFound.into());
        }
        if flags.no_replace && replaced.is_some() {
            return Err(FsError::Exists.into());
        }
        check_not_root(moved.ino)?;
        if from.parent != to.parent {
            if moved.file_type == FileType::Directory && self.is_within(to.parent, moved.ino)? {
                return Err(FsError::Invalid("a directory cannot be moved into itself".into()).into());
            }
            if let Some(replaced) = replaced.filter(|replaced| replaced.file_type == FileType::Directory)
                && self.is_within(from.parent, replaced.ino)?
            {
                let error = if flags.exchange {
                    FsError::Invalid("a directory cannot be moved into itself".into())
                } else {
                    FsError::NotEmpty
                };
                return Err(error.into());
            }
        }
        // Two names of one file: nothing is to be done, and both stay.
        if replaced.is_some_and(|replaced| replaced.ino == moved.ino) {
            return Ok(());
        }
        match replaced {
            Some(replaced) if flags.exchange => {
                self.set_entry(from.parent, from.name, Some(replaced), now)?;
                self.set_entry(to.parent, to.name, Some(moved), now)?;
                self.move_name(replaced.ino, to, from, now)?;
            }
            Some(replaced) => {
                self.check_replaceable(moved, replaced)?;
                self.set_entry(from.parent, from.name, None, now)?;
                self.set_entry(to.parent, to.name, Some(moved), now)?;
                self.lose_name(replaced.ino, to.parent, to.name, now)?;
            }
            None => {
                self.set_entry(to.parent, to.name, Some(moved), now)?;
                self.set_entry(from.parent, from.name, None, now)?;
            }
        }
        self.move_name(moved.ino, from, to, now)
    }

    fn check_replaceable(&mut self, moved: Dentry, replaced: Dentry) -> Step<()> {
        match (moved.file_type, replaced.file_type) {
            (FileType::Directory, FileType::Directory) if self.directory(replaced.ino)?.inode.entries > 0 => {
                Err(FsError::NotEmpty.into())
            }
            (FileType::Directory, FileType::Directory) => Ok(()),
            (FileType::Directory, _) => Err(FsError::NotDirectory.into()),
            (_, FileType::Directory) => Err(FsError::IsDirectory.into()),
            _ => Ok(()),
        }
    }

    /// Whether a directory is `above` or lies below it.
    fn is_within(&mut self, mut ino: Ino, above: Ino) -> Step<bool> {
        loop {
            if ino == above {
                return Ok(true);
            }
            if ino == ROOT {
                return Ok(false);
            }
            match self.directory(ino)?.inode.names.first() {
                Some((parent, _)) => ino = *parent,
                None => return Ok(false),
            }
        }
    }

    fn move_name(&mut self, ino: Ino, from: Place<'_>, to: Place<'_>, now: Nanos) -> Step<()> {
        let node = self.node(ino)?;
        let mut names = node.inode.names.iter_mut();
        if let Some(known) = names.find(|(parent, name)| *parent == from.parent && name == from.name) {
            *known = (to.parent, to.name.to_vec());
        }
        node.inode.ctime = now;
        self.touch(ino, ChangedIn::Attributes);
        self.grew(to.name);
        Ok(())
    }
}
