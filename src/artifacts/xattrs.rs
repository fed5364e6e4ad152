//! Extended attributes.

use crate::record::Inode;
use crate::storage::Ino;

use super::Artifacts;
use super::error::{FsError, Result};
use super::namespace::ChangedIn;
use super::types::XattrMode;

/// The longest name of an attribute.
const MAX_NAME_BYTES: usize = 255;
/// The largest value.
const MAX_VALUE_BYTES: usize = 64 << 10;
/// The most bytes that the names of all attributes of a file take in a list.
const MAX_LIST_BYTES: usize = 64 << 10;
/// The most bytes of all attributes of a file: they stand in one record.
const MAX_ALL_BYTES: usize = 1 << 20;

impl Artifacts {
    /// The value of an extended attribute.
    ///
    /// # Errors
    /// [`FsError::NoAttribute`], [`FsError::Stale`], and those of the storage.
    pub fn xattr(&self, ino: Ino, name: &[u8]) -> Result<Vec<u8>> {
        let _entered = self.enter();
        self.run(|namespace| Ok(value_of(&namespace.node(ino)?.inode, name)?))
    }

    /// The names of all extended attributes, in order.
    ///
    /// # Errors
    /// [`FsError::Stale`], and those of the storage.
    pub fn xattrs(&self, ino: Ino) -> Result<Vec<Vec<u8>>> {
        let _entered = self.enter();
        self.run(|namespace| Ok(namespace.node(ino)?.inode.xattrs.keys().cloned().collect()))
    }

    /// Sets an extended attribute.
    ///
    /// # Errors
    /// [`FsError::Exists`] and [`FsError::NoAttribute`] by `mode`; [`FsError::NameTooLong`], [`FsError::AttributeTooLarge`]
    /// and [`FsError::NoSpace`] for what is too much; [`FsError::Unsupported`] for access control lists;
    /// [`FsError::Stale`], and those of the storage.
    pub fn set_xattr(&self, ino: Ino, name: &[u8], value: &[u8], mode: XattrMode) -> Result<()> {
        let _entered = self.enter();
        check(name)?;
        if value.len() > MAX_VALUE_BYTES {
            return Err(FsError::AttributeTooLarge);
        }
        self.make_room(value.len() as u64)?;
        let now = self.now();
        self.run(|namespace| {
            let inode = &mut namespace.node(ino)?.inode;
            match (mode, inode.xattrs.contains_key(name)) {
                (XattrMode::Create, true) => return Err(FsError::Exists.into()),
                (XattrMode::Replace, false) => return Err(FsError::NoAttribute.into()),
                _ => {}
            }
            let others = || inode.xattrs.iter().filter(|(known, _)| *known != name);
            let list: usize = others().map(|(known, _)| known.len() + 1).sum();
            let all: usize = others().map(|(known, value)| known.len() + value.len()).sum();
            if list + name.len() >= MAX_LIST_BYTES || all + name.len() + value.len() > MAX_ALL_BYTES {
                return Err(FsError::NoSpace.into());
            }
            inode.xattrs.insert(name.to_vec(), value.to_vec());
            inode.ctime = now;
            namespace.touch(ino, ChangedIn::Attributes);
            namespace.grew(name);
            namespace.grew(value);
            Ok(())
        })
    }

    /// Takes an extended attribute away.
    ///
    /// # Errors
    /// [`FsError::NoAttribute`], [`FsError::Stale`], and those of the storage.
    pub fn remove_xattr(&self, ino: Ino, name: &[u8]) -> Result<()> {
        let _entered = self.enter();
        self.relieve()?;
        let now = self.now();
        self.run(|namespace| {
            let inode = &mut namespace.node(ino)?.inode;
            inode.xattrs.remove(name).ok_or(FsError::NoAttribute)?;
            inode.ctime = now;
            namespace.touch(ino, ChangedIn::Attributes);
            Ok(())
        })
    }
}

/// The value of an extended attribute of an inode.
pub(super) fn value_of(inode: &Inode, name: &[u8]) -> Result<Vec<u8>> {
    inode.xattrs.get(name).cloned().ok_or(FsError::NoAttribute)
}

fn check(name: &[u8]) -> Result<()> {
    if name.len() > MAX_NAME_BYTES {
        return Err(FsError::NameTooLong);
    }
    if name.starts_with(b"system.") {
        return Err(FsError::Unsupported("attributes of the system, access control lists among them".into()));
    }
    let namespaces: [&[u8]; 3] = [b"user.", b"trusted.", b"security."];
    if !namespaces.iter().any(|space| name.len() > space.len() && name.starts_with(space)) {
        return Err(FsError::Unsupported("an attribute's name begins with user., trusted. or security.".into()));
    }
    if name.contains(&0) { Err(FsError::Invalid("a name has no zero byte".into())) } else { Ok(()) }
}
