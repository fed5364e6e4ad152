//! Finding names, and making them: files, directories, links.

use crate::record::inode::{MAX_NAME_BYTES, is_name};
use crate::record::{FileType, Inode};
use crate::storage::{Dentry, Ino};

use super::Artifacts;
use super::error::{FsError, Result};
use super::namespace::{ChangedIn, Namespace, name_bytes};
use super::types::{Attributes, Caller, MAX_LINKS, Nanos, NewNode, ROOT};

pub(super) const SET_UID: u32 = 0o4000;
pub(super) const SET_GID: u32 = 0o2000;
pub(super) const GROUP_EXECUTE: u32 = 0o010;
pub(super) const ALL_MODE_BITS: u32 = 0o7777;
/// The longest target of a symbolic link.
const MAX_TARGET_BYTES: usize = 4_095;
/// The most bytes of names that a file has all together: they stand in one record.
const MAX_NAMES_BYTES: usize = 4 << 20;

/// A name that a directory can have.
pub(super) fn check_name(name: &[u8]) -> Result<()> {
    match name {
        _ if is_name(name) => Ok(()),
        _ if name.len() > MAX_NAME_BYTES => Err(FsError::NameTooLong),
        b"." | b".." => Err(FsError::Exists),
        b"" => Err(FsError::NotFound),
        _ => Err(FsError::Invalid("a name has neither a slash nor a zero byte".into())),
    }
}

impl Artifacts {
    /// What a name leads to. Takes a reference, which is given back with [`Artifacts::forget`].
    ///
    /// # Errors
    /// [`FsError::NotFound`], [`FsError::NotDirectory`], and those of the storage.
    pub fn lookup(&self, parent: Ino, name: &[u8]) -> Result<Attributes> {
        let _entered = self.enter();
        if name.len() > MAX_NAME_BYTES {
            return Err(FsError::NameTooLong);
        }
        self.run(|namespace| {
            let found = namespace.entry(parent, name)?.ok_or(FsError::NotFound)?;
            let attributes = namespace.node(found.ino)?.attributes();
            namespace.reference(found.ino);
            Ok(attributes)
        })
    }

    /// The directory that a directory is in; of the root, itself.
    ///
    /// # Errors
    /// [`FsError::NotDirectory`], [`FsError::NotFound`] when it was removed, and those of the storage.
    pub fn parent(&self, ino: Ino) -> Result<Ino> {
        let _entered = self.enter();
        self.run(|namespace| {
            let names = &namespace.directory(ino)?.inode.names;
            match names.first() {
                Some((parent, _)) => Ok(*parent),
                None if ino == ROOT => Ok(ROOT),
                None => Err(FsError::NotFound.into()),
            }
        })
    }

    /// Makes a file, directory, link or node, and takes a reference on it.
    ///
    /// # Errors
    /// [`FsError::Exists`], unless the new node need not be exclusive; [`FsError::NotFound`] when the directory was
    /// removed; [`FsError::NotDirectory`], [`FsError::IsDirectory`], [`FsError::NameTooLong`], [`FsError::NoSpace`], and
    /// those of the storage.
    pub fn create(&self, parent: Ino, name: &[u8], new: &NewNode<'_>, caller: &Caller) -> Result<Attributes> {
        let _entered = self.enter();
        check_name(name)?;
        check_target(new)?;
        self.make_room(0)?;
        let now = self.now();
        self.run(|namespace| {
            namespace.living_directory(parent)?;
            if let Some(found) = namespace.entry(parent, name)? {
                if new.exclusive || new.file_type != FileType::Regular {
                    return Err(FsError::Exists.into());
                }
                if found.file_type == FileType::Directory {
                    return Err(FsError::IsDirectory.into());
                }
                let attributes = namespace.node(found.ino)?.attributes();
                namespace.reference(found.ino);
                return Ok(attributes);
            }
            let mut inode = new_node(namespace, parent, new, caller, now);
            inode.names = vec![(parent, name.to_vec())];
            let ino = inode.ino;
            namespace.set_entry(parent, name, Some(Dentry { ino, file_type: new.file_type }), now)?;
            namespace.next_ino += 1;
            namespace.add(inode);
            namespace.reference(ino);
            Ok(namespace.node(ino)?.attributes())
        })
    }

    /// Makes a file without a name (`O_TMPFILE`), and takes a reference on it. [`Artifacts::link`] can give it one.
    ///
    /// # Errors
    /// As [`Artifacts::create`].
    pub fn create_unnamed(&self, parent: Ino, mode: u32, caller: &Caller) -> Result<Attributes> {
        let _entered = self.enter();
        self.make_room(0)?;
        let now = self.now();
        self.run(|namespace| {
            namespace.living_directory(parent)?;
            let inode = new_node(namespace, parent, &NewNode::file(mode), caller, now);
            let ino = inode.ino;
            namespace.next_ino += 1;
            namespace.add(inode);
            namespace.reference(ino);
            namespace.unnamed.insert(ino);
            Ok(namespace.node(ino)?.attributes())
        })
    }

    /// Gives a file another name, and takes a reference on it.
    ///
    /// # Errors
    /// [`FsError::Exists`], [`FsError::NotPermitted`] for a directory, [`FsError::TooManyLinks`], [`FsError::NotFound`] when
    /// the file has lost all its names or the directory was removed, and those of the storage.
    pub fn link(&self, ino: Ino, parent: Ino, name: &[u8]) -> Result<Attributes> {
        let _entered = self.enter();
        check_name(name)?;
        self.make_room(0)?;
        let now = self.now();
        self.run(|namespace| {
            namespace.living_directory(parent)?;
            if namespace.entry(parent, name)?.is_some() {
                return Err(FsError::Exists.into());
            }
            let unnamed = namespace.unnamed.contains(&ino);
            let node = namespace.node(ino)?;
            let file_type = node.inode.file_type;
            if file_type == FileType::Directory {
                return Err(FsError::NotPermitted("a directory has one name".into()).into());
            }
            if node.inode.is_orphan() && !unnamed {
                return Err(FsError::NotFound.into());
            }
            let names = &node.inode.names;
            let bytes: usize = names.iter().map(|(_, name)| name_bytes(name)).sum();
            if names.len() >= MAX_LINKS || bytes > MAX_NAMES_BYTES {
                return Err(FsError::TooManyLinks.into());
            }
            namespace.set_entry(parent, name, Some(Dentry { ino, file_type }), now)?;
            namespace.unnamed.remove(&ino);
            let node = namespace.node(ino)?;
            node.inode.names.push((parent, name.to_vec()));
            node.inode.ctime = now;
            let attributes = node.attributes();
            namespace.touch(ino, ChangedIn::Attributes);
            namespace.grew(name);
            namespace.reference(ino);
            Ok(attributes)
        })
    }

    /// Where a symbolic link leads.
    ///
    /// # Errors
    /// [`FsError::Invalid`] when it is none, and those of the storage.
    pub fn read_link(&self, ino: Ino) -> Result<Vec<u8>> {
        let _entered = self.enter();
        self.run(|namespace| {
            let target = namespace.node(ino)?.inode.target.clone();
            Ok(target.ok_or(FsError::Invalid("it is no symbolic link".into()))?)
        })
    }
}

fn check_target(new: &NewNode<'_>) -> Result<()> {
    match (new.file_type, new.target) {
        (FileType::Symlink, Some(b"")) => Err(FsError::NotFound),
        (FileType::Symlink, Some(target)) if target.len() > MAX_TARGET_BYTES => Err(FsError::NameTooLong),
        (FileType::Symlink, None) => Err(FsError::Invalid("a symbolic link leads somewhere".into())),
        (FileType::Symlink, Some(_)) | (_, None) => Ok(()),
        (_, Some(_)) => Err(FsError::Invalid("only a symbolic link leads somewhere".into())),
    }
}

/// The inode of something new in a directory that is in memory.
fn new_node(namespace: &Namespace, parent: Ino, new: &NewNode<'_>, caller: &Caller, now: Nanos) -> Inode {
    let mut inode = Inode::new(namespace.next_ino, new.file_type, now);
    let mask = if new.file_type == FileType::Symlink { 0 } else { caller.umask };
    inode.mode = new.mode & ALL_MODE_BITS & !mask;
    inode.uid = caller.uid;
    inode.gid = caller.gid;
    if let Some(parent) = namespace.nodes.get(&parent)
        && parent.inode.mode & SET_GID != 0
    {
        inode.gid = parent.inode.gid;
        if new.file_type == FileType::Directory {
            inode.mode |= SET_GID;
        }
    }
    inode.rdev = if matches!(new.file_type, FileType::CharDevice | FileType::BlockDevice) { new.rdev } else { 0 };
    inode.target = new.target.map(<[u8]>::to_vec);
    inode.size = new.target.map_or(0, |target| target.len() as u64);
    inode
}
