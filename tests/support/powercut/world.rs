//! The file system itself while it has power: inodes, what they hold and how they are named.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use fuser::{Errno, FileAttr, FileType, INodeNo, RenameFlags};

use super::content::Content;
use super::image::{Image, Node, NodeKind, ROOT, Rng};
use super::journal::{Edit, Journal};
use super::power::Losses;
use super::{Loss, Names};

/// The longest name, as everywhere on Linux.
const NAME_MAX: usize = 255;

/// What an inode is and holds.
#[derive(Debug)]
pub(super) enum Body {
    /// A file.
    File(Content),
    /// A directory and the one above it. Its entries are in the journal.
    Dir {
        /// The directory above.
        parent: u64,
    },
    /// A symbolic link and its target. It is as durable as its name.
    Symlink(PathBuf),
}

/// A file, directory or symbolic link.
#[derive(Debug)]
struct Inode {
    /// What it is and holds.
    body: Body,
    /// Permission bits as programs see them.
    perm: u16,
    /// Permission bits on the disk.
    durable_perm: u16,
    /// The user and the group that own it.
    owner: (u32, u32),
    /// How many names lead to it; 1 for a directory, until it is removed.
    links: u32,
    /// How often it is open.
    opens: u64,
    /// When it was last read from, as far as programs set it.
    accessed: SystemTime,
    /// When its content last changed.
    modified: SystemTime,
    /// When anything of it last changed.
    changed: SystemTime,
}

/// New attributes for an inode; `None` leaves one as it is. The length is another matter, see [`World::change`].
#[derive(Debug, Default)]
pub(super) struct Attributes {
    /// Permission bits.
    pub(super) perm: Option<u16>,
    /// The owning user.
    pub(super) uid: Option<u32>,
    /// The owning group.
    pub(super) gid: Option<u32>,
    /// The time of access.
    pub(super) accessed: Option<SystemTime>,
    /// The time of modification.
    pub(super) modified: Option<SystemTime>,
}

/// One line of a directory listing.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    /// The inode.
    pub(super) ino: u64,
    /// What it is.
    pub(super) kind: FileType,
    /// Its name.
    pub(super) name: OsString,
}

/// A file system with power.
#[derive(Debug, Default)]
pub(super) struct World {
    /// Every inode that has a name, now or on the disk, or is open.
    inodes: BTreeMap<u64, Inode>,
    /// The names.
    journal: Journal,
    /// The next number for an inode or a listing. None is used twice, also not after a cut: the kernel could take a new
    /// file for an old one, or close late what a killed process had open.
    next: u64,
    /// The directories that are being read, each as it was when that began.
    listings: BTreeMap<u64, Vec<Listed>>,
}

impl Inode {
    /// An inode without a name.
    fn new(body: Body, perm: u16, owner: (u32, u32)) -> Self {
        let now = SystemTime::now();
        let (durable_perm, links, opens) = (perm, 0, 0);
        Self { body, perm, durable_perm, owner, links, opens, accessed: now, modified: now, changed: now }
    }

    /// What FUSE calls it.
    fn kind(&self) -> FileType {
        match self.body {
            Body::File(_) => FileType::RegularFile,
            Body::Dir { .. } => FileType::Directory,
            Body::Symlink(_) => FileType::Symlink,
        }
    }

    /// Makes what the inode itself holds durable. Its names are the journal's.
    fn sync(&mut self) {
        self.durable_perm = self.perm;
        if let Body::File(content) = &mut self.body {
            content.sync();
        }
    }

    /// Notes that the content has changed.
    fn touch(&mut self) {
        self.modified = SystemTime::now();
        self.changed = self.modified;
    }
}

impl World {
    /// An empty root directory that belongs to whoever runs the test.
    pub(super) fn new() -> Self {
        let owner = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let root = Node { kind: NodeKind::Dir, perm: 0o755, owner };
        Self::from_image(&Image { dirs: BTreeMap::new(), nodes: BTreeMap::from([(ROOT, root)]), next: ROOT + 1 })
    }

    /// The file system on a disk, with new inode numbers for everything but the root.
    pub(super) fn from_image(image: &Image) -> Self {
        let numbers: BTreeMap<u64, u64> =
            image.nodes.keys().filter(|ino| **ino != ROOT).copied().zip(image.next..).collect();
        let number = |ino: &u64| numbers.get(ino).copied().unwrap_or(ROOT);
        let mut world = Self { next: image.next + numbers.len() as u64, ..Self::default() };
        for (ino, node) in &image.nodes {
            let body = match &node.kind {
                NodeKind::File(data) => Body::File(Content::durable(data.clone())),
                NodeKind::Dir => Body::Dir { parent: ROOT },
                NodeKind::Symlink(target) => Body::Symlink(target.clone()),
            };
            world.inodes.insert(number(ino), Inode::new(body, node.perm, node.owner));
        }
        let mut dirs = BTreeMap::new();
        for (dir, entries) in &image.dirs {
            let dir = number(dir);
            let entries: BTreeMap<OsString, u64> =
                entries.iter().map(|(name, ino)| (name.clone(), number(ino))).collect();
            for ino in entries.values() {
                world.attach(*ino, dir);
            }
            dirs.insert(dir, entries);
        }
        world.attach(ROOT, ROOT);
        world.journal = Journal::durable(dirs);
        world
    }

    /// What FUSE wants to know of an inode.
    pub(super) fn attr(&self, ino: u64) -> Result<FileAttr, Errno> {
        let inode = self.inode(ino)?;
        let size = match &inode.body {
            Body::File(content) => content.len() as u64,
            Body::Dir { .. } => 0,
            Body::Symlink(target) => target.as_os_str().len() as u64,
        };
        Ok(FileAttr {
            ino: INodeNo(ino),
            size,
            blocks: size.div_ceil(512),
            atime: inode.accessed,
            mtime: inode.modified,
            ctime: inode.changed,
            crtime: inode.changed,
            kind: inode.kind(),
            perm: inode.perm,
            nlink: inode.links,
            uid: inode.owner.0,
            gid: inode.owner.1,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }

    /// Changes attributes.
    pub(super) fn set_attributes(&mut self, ino: u64, new: &Attributes) -> Result<(), Errno> {
        let inode = self.inode_mut(ino)?;
        inode.perm = new.perm.unwrap_or(inode.perm);
        inode.owner = (new.uid.unwrap_or(inode.owner.0), new.gid.unwrap_or(inode.owner.1));
        inode.accessed = new.accessed.unwrap_or(inode.accessed);
        inode.modified = new.modified.unwrap_or(inode.modified);
        inode.changed = SystemTime::now();
        Ok(())
    }

    /// The inode that the name leads to.
    pub(super) fn lookup(&self, dir: u64, name: &OsStr) -> Result<u64, Errno> {
        self.inode(dir)?;
        self.journal.lookup(dir, name).ok_or(Errno::ENOENT)
    }

    /// Creates a file, directory or symbolic link.
    pub(super) fn create(
        &mut self,
        dir: u64,
        name: &OsStr,
        body: Body,
        perm: u16,
        owner: (u32, u32),
    ) -> Result<u64, Errno> {
        self.free_name(dir, name)?;
        let ino = self.number();
        self.inodes.insert(ino, Inode::new(body, perm, owner));
        self.attach(ino, dir);
        self.record(vec![Edit::set(dir, name, ino)], vec![ino]);
        Ok(ino)
    }

    /// Gives a file another name.
    pub(super) fn link(&mut self, ino: u64, dir: u64, name: &OsStr) -> Result<(), Errno> {
        if let Body::Dir { .. } = self.inode(ino)?.body {
            return Err(Errno::EPERM);
        }
        self.free_name(dir, name)?;
        self.attach(ino, dir);
        self.record(vec![Edit::set(dir, name, ino)], vec![ino]);
        Ok(())
    }

    /// Removes a name: of a directory if `is_dir`, of anything else otherwise.
    pub(super) fn remove(&mut self, dir: u64, name: &OsStr, is_dir: bool) -> Result<(), Errno> {
        let ino = self.lookup(dir, name)?;
        self.removable(ino, is_dir)?;
        self.detach(ino);
        self.record(vec![Edit::clear(dir, name)], vec![ino]);
        Ok(())
    }

    /// Renames, replacing what has the new name already, as `renameat2` does.
    pub(super) fn rename(&mut self, from: (u64, &OsStr), to: (u64, &OsStr), flags: RenameFlags) -> Result<(), Errno> {
        let moved = self.lookup(from.0, from.1)?;
        let target = self.lookup(to.0, to.1).ok();
        if flags.contains(RenameFlags::RENAME_WHITEOUT) {
            return Err(Errno::EINVAL);
        }
        if flags.contains(RenameFlags::RENAME_EXCHANGE) {
            let target = target.ok_or(Errno::ENOENT)?;
            self.reparent(moved, to.0);
            self.reparent(target, from.0);
            let edits = vec![Edit::set(from.0, from.1, target), Edit::set(to.0, to.1, moved)];
            self.record(edits, vec![moved, target]);
            return Ok(());
        }
        match target {
            Some(_) if flags.contains(RenameFlags::RENAME_NOREPLACE) => return Err(Errno::EEXIST),
            // Two names of one file: POSIX leaves both.
            Some(target) if target == moved => return Ok(()),
            Some(target) => {
                self.removable(target, self.inode(moved)?.kind() == FileType::Directory)?;
                self.detach(target);
            }
            None => self.free_name(to.0, to.1)?,
        }
        self.reparent(moved, to.0);
        self.record(vec![Edit::clear(from.0, from.1), Edit::set(to.0, to.1, moved)], vec![moved]);
        Ok(())
    }

    /// Opens an inode, which keeps it alive without a name.
    pub(super) fn open(&mut self, ino: u64) -> Result<(), Errno> {
        self.inode_mut(ino)?.opens += 1;
        Ok(())
    }

    /// Closes it again. One that is not known was opened before the last cut.
    pub(super) fn release(&mut self, ino: u64) {
        if let Ok(inode) = self.inode_mut(ino) {
            inode.opens = inode.opens.saturating_sub(1);
            if inode.opens == 0 && inode.links == 0 {
                self.sweep();
            }
        }
    }

    /// Begins to read a directory. It is read as it is now: entries that come and go would move the others about.
    pub(super) fn open_dir(&mut self, dir: u64) -> Result<u64, Errno> {
        let listing = self.list(dir)?;
        let handle = self.number();
        self.listings.insert(handle, listing);
        Ok(handle)
    }

    /// What an open directory holds. To start from the beginning is to look anew, as `rewinddir` promises.
    pub(super) fn read_dir(&mut self, dir: u64, handle: u64, from_start: bool) -> Result<&[Listed], Errno> {
        if from_start {
            let listing = self.list(dir)?;
            self.listings.insert(handle, listing);
        }
        self.listings.get(&handle).map(Vec::as_slice).ok_or(Errno::EBADF)
    }

    /// Ends the reading of a directory.
    pub(super) fn release_dir(&mut self, handle: u64) {
        self.listings.remove(&handle);
    }

    /// The target of a symbolic link.
    pub(super) fn read_link(&self, ino: u64) -> Result<&Path, Errno> {
        match &self.inode(ino)?.body {
            Body::Symlink(target) => Ok(target),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Bytes of a file.
    pub(super) fn read(&self, ino: u64, offset: u64, size: usize) -> Result<&[u8], Errno> {
        match &self.inode(ino)?.body {
            Body::File(content) => Ok(content.read(offset, size)),
            _ => Err(Errno::EISDIR),
        }
    }

    /// Changes the content of a file.
    pub(super) fn change(
        &mut self,
        ino: u64,
        change: impl FnOnce(&mut Content) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let inode = self.inode_mut(ino)?;
        let Body::File(content) = &mut inode.body else { return Err(Errno::EISDIR) };
        change(content)?;
        inode.touch();
        Ok(())
    }

    /// Makes durable what an fsync of the file or directory `ino` covers.
    pub(super) fn sync(&mut self, ino: u64, names: Names) -> Result<(), Errno> {
        self.inode_mut(ino)?.sync();
        if self.journal.commit(ino, names) {
            self.sweep();
        }
        Ok(())
    }

    /// Makes everything durable.
    pub(super) fn sync_all(&mut self) {
        self.inodes.values_mut().for_each(Inode::sync);
        self.journal.commit_all();
        self.sweep();
    }

    /// What is left after a power cut. `dice` gives each inode its own.
    pub(super) fn survive(mut self, loss: Loss, dice: impl Fn(u64) -> Rng, losses: &mut Losses) -> Image {
        // Names have the dice of inode 0, which does not exist.
        let dirs = self.journal.survive(loss, &mut dice(0), losses);
        let mut nodes = BTreeMap::new();
        for ino in dirs.values().flat_map(BTreeMap::values).copied().chain([ROOT]) {
            if let Some(inode) = self.inodes.remove(&ino) {
                let kind = match inode.body {
                    Body::File(content) => NodeKind::File(content.survive(loss, &mut dice(ino), losses)),
                    Body::Dir { .. } => NodeKind::Dir,
                    Body::Symlink(target) => NodeKind::Symlink(target),
                };
                nodes.insert(ino, Node { kind, perm: inode.durable_perm, owner: inode.owner });
            }
        }
        Image { dirs, nodes, next: self.next }
    }

    /// A number that was never in use.
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// Does in the journal what the caller has done with inodes.
    fn record(&mut self, edits: Vec<Edit>, subjects: Vec<u64>) {
        for edit in &edits {
            if let Ok(dir) = self.inode_mut(edit.dir) {
                dir.touch();
            }
        }
        for subject in &subjects {
            if let Ok(inode) = self.inode_mut(*subject) {
                inode.changed = SystemTime::now();
            }
        }
        self.journal.record(edits, subjects);
    }

    /// Fails unless a new entry `name` can be made in `dir`.
    fn free_name(&self, dir: u64, name: &OsStr) -> Result<(), Errno> {
        let parent = self.inode(dir)?;
        match parent.kind() {
            _ if name.len() > NAME_MAX => Err(Errno::ENAMETOOLONG),
            // Removed, but still someone's current directory.
            FileType::Directory if parent.links == 0 => Err(Errno::ENOENT),
            FileType::Directory if self.journal.lookup(dir, name).is_some() => Err(Errno::EEXIST),
            FileType::Directory => Ok(()),
            _ => Err(Errno::ENOTDIR),
        }
    }

    /// Fails unless the inode may lose its name to something that is (or asks for) a directory or not.
    fn removable(&self, ino: u64, is_dir: bool) -> Result<(), Errno> {
        match (self.inode(ino)?.kind() == FileType::Directory, is_dir) {
            (true, true) if self.journal.entries(ino).next().is_some() => Err(Errno::ENOTEMPTY),
            (true, false) => Err(Errno::EISDIR),
            (false, true) => Err(Errno::ENOTDIR),
            _ => Ok(()),
        }
    }

    /// One more name for `ino`, in `dir`.
    fn attach(&mut self, ino: u64, dir: u64) {
        if let Ok(inode) = self.inode_mut(ino) {
            inode.links += 1;
        }
        self.reparent(ino, dir);
    }

    /// One name less.
    fn detach(&mut self, ino: u64) {
        if let Ok(inode) = self.inode_mut(ino) {
            inode.links -= 1;
        }
    }

    /// The inode is in `dir` now; only directories care.
    fn reparent(&mut self, ino: u64, dir: u64) {
        if let Ok(Inode { body: Body::Dir { parent }, .. }) = self.inode_mut(ino) {
            *parent = dir;
        }
    }

    /// All entries of a directory, with the two that every directory has.
    fn list(&self, dir: u64) -> Result<Vec<Listed>, Errno> {
        let Body::Dir { parent } = self.inode(dir)?.body else { return Err(Errno::ENOTDIR) };
        let dots = [(dir, "."), (parent, "..")].map(|(ino, name)| (OsString::from(name), ino));
        let entries = self.journal.entries(dir).map(|(name, ino)| (name.clone(), ino));
        let listed = |(name, ino)| {
            let kind = self.inodes.get(&ino).map_or(FileType::Directory, Inode::kind);
            Listed { ino, kind, name }
        };
        Ok(dots.into_iter().chain(entries).map(listed).collect())
    }

    /// Forgets the inodes that have no name, are on no disk and are not open.
    fn sweep(&mut self) {
        let mentioned = self.journal.mentioned();
        self.inodes.retain(|ino, inode| inode.links > 0 || inode.opens > 0 || mentioned.contains(ino));
        let Self { inodes, journal, .. } = self;
        journal.retain(|dir| inodes.contains_key(&dir));
    }

    /// An inode; `ESTALE` if it is gone or from before a cut.
    fn inode(&self, ino: u64) -> Result<&Inode, Errno> {
        self.inodes.get(&ino).ok_or(Errno::ESTALE)
    }

    /// The same for a change.
    fn inode_mut(&mut self, ino: u64) -> Result<&mut Inode, Errno> {
        self.inodes.get_mut(&ino).ok_or(Errno::ESTALE)
    }
}
