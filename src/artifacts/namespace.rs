//! The inodes and names that are in memory, and which of them the storage does not have yet.
//!
//! One short lock guards all of it. Whatever is done under it reads and changes memory only: work that finds something
//! missing says what it [`Need`]s, the lock is let go of, the storage is asked, and the work begins anew.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use crate::record::{Checksum, FileType, Inode};
use crate::storage::{Dentry, Ino, Lease, Sequence};

use super::content::{Budget, Content};
use super::directory::{Directory, Known};
use super::error::FsError;
use super::types::{Attributes, Nanos, ROOT};

/// How many inodes stay in memory although nothing of them waits to be committed: with those that wait, as many as a table of
/// 2^17 places holds (about 60 MB).
const KEPT_NODES: usize = 104_000;
/// Of how many files it stays in memory where their content lies. That takes more room than their inodes, and the kernel keeps
/// what was read and written lately.
const KEPT_CONTENTS: usize = 8_192;
/// So many numbers of inodes that went may be in the clock beside as many as there are inodes.
const SPENT_NUMBERS: usize = 1_024;
/// How many names of directories stay in memory in the same way.
const KEPT_NAMES: usize = 400_000;
/// The record of an inode with so much beside what all have counts as one more.
pub(super) const COUNTED_BYTES: usize = 1 << 10;
/// What the number of a directory takes in a record.
const NUMBER_BYTES: usize = 32;
/// `st_size` of each directory.
const DIRECTORY_BYTES: u64 = 4_096;

/// Something that must be read from the storage before work can go on.
#[derive(Debug)]
pub(super) enum Need {
    /// An inode.
    Node(Ino),
    /// Several inodes, soon.
    Nodes(Vec<Ino>),
    /// What a name of a directory leads to.
    Name(Ino, Vec<u8>),
    /// All names of a directory.
    Names(Ino),
}

/// Why work under the lock does not go on.
#[derive(Debug)]
pub(super) enum Stop {
    Need(Need),
    Error(FsError),
}

impl From<FsError> for Stop {
    fn from(error: FsError) -> Self {
        Self::Error(error)
    }
}

/// Results of work under the lock.
pub(super) type Step<T> = std::result::Result<T, Stop>;

/// What the storage has of a file's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StoredData {
    pub(super) size: u64,
    pub(super) allocated: u64,
    pub(super) root: Checksum,
}

/// What of an inode waits to be committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ChangedIn {
    /// Nothing.
    Nothing,
    /// Only its times, which `fdatasync` may leave behind.
    Times,
    /// Anything.
    Attributes,
}

/// An inode in memory.
#[derive(Debug)]
pub(super) struct Node {
    /// As programs see it, but for the root, which is known when the content is staged.
    pub(super) inode: Inode,
    /// The storage has it, or a commit that is under way brings it there.
    pub(super) stored: bool,
    /// What the storage has of the content.
    pub(super) data: StoredData,
    /// What waits to be committed, but for the content.
    pub(super) changed: ChangedIn,
    /// Content waits to be committed.
    pub(super) data_changed: bool,
    /// Work on its content is going on.
    pub(super) users: u32,
    /// It was used since somebody last looked for what can be forgotten.
    recent: bool,
    pub(super) directory: Option<Directory>,
    pub(super) content: Option<Arc<Content>>,
}

impl Node {
    /// A node of an inode that was just made.
    pub(super) fn new(inode: Inode) -> Self {
        let mut node = Self::read(inode);
        node.stored = false;
        if node.inode.file_type == FileType::Directory {
            node.directory = Some(Directory::empty());
        }
        node
    }

    /// A node of an inode as the storage has it.
    pub(super) fn read(inode: Inode) -> Self {
        let data = StoredData { size: inode.size, allocated: inode.allocated, root: inode.root };
        let directory = (inode.file_type == FileType::Directory).then(Directory::default);
        Self {
            inode,
            stored: true,
            data,
            changed: ChangedIn::Nothing,
            data_changed: false,
            users: 0,
            recent: true,
            directory,
            content: None,
        }
    }

    /// What `stat` says.
    pub(super) fn attributes(&self) -> Attributes {
        attributes_of(&self.inode)
    }

    fn is_clean(&self) -> bool {
        self.changed == ChangedIn::Nothing && !self.data_changed && self.users == 0 && !self.inode.is_orphan()
    }
}

/// What `stat` says of an inode.
pub(super) fn attributes_of(inode: &Inode) -> Attributes {
    let is_directory = inode.file_type == FileType::Directory;
    let nlink = match inode.file_type {
        FileType::Directory if inode.is_orphan() => 0,
        FileType::Directory => inode.subdirectories.saturating_add(2),
        _ => inode.names.len() as u64,
    };
    Attributes {
        ino: inode.ino,
        file_type: inode.file_type,
        mode: inode.mode,
        uid: inode.uid,
        gid: inode.gid,
        rdev: inode.rdev,
        nlink: u32::try_from(nlink).unwrap_or(u32::MAX),
        size: if is_directory { DIRECTORY_BYTES } else { inode.size },
        // In whole pages, as other file systems count.
        blocks: if is_directory { DIRECTORY_BYTES / 512 } else { inode.allocated.div_ceil(4_096) * 8 },
        atime: inode.atime,
        mtime: inode.mtime,
        ctime: inode.ctime,
        btime: inode.btime,
    }
}

/// A name of a directory.
pub(super) type Name = (Ino, Box<[u8]>);

/// The inodes and names in memory.
#[derive(Debug, Default)]
pub(super) struct Namespace {
    pub(super) nodes: HashMap<Ino, Node>,
    /// Inodes that were damaged when a listing asked for them, until they can be read.
    pub(super) damaged: HashSet<Ino>,
    /// How often each inode was handed out and not given back.
    pub(super) references: HashMap<Ino, u64>,
    /// Inodes that wait to be committed; those that are not in memory are to be deleted.
    pub(super) dirty: BTreeSet<Ino>,
    /// What the records of these take beside what every record takes.
    extra_bytes: usize,
    /// What [`Namespace::waiting`] was when the commit began that is under way.
    taken: usize,
    /// Nothing may be changed for now.
    pub(super) frozen: bool,
    /// Names that were changed, and what the storage, or a commit that is under way, has for each of them.
    pub(super) names: HashMap<Name, Option<Dentry>>,
    /// Inodes of a commit that is under way, which must stay in memory.
    pub(super) in_flight: BTreeSet<Ino>,
    /// The number of the next inode.
    pub(super) next_ino: Ino,
    /// How often a commit has ended, or a change from elsewhere was heard of: what was read from the storage before that
    /// may be old.
    pub(super) changes: u64,
    /// The last sequence that a commit of ours brought.
    pub(super) committed: Sequence,
    /// Files of which content was lost, which whoever syncs them was not told yet.
    pub(super) lost: BTreeSet<Ino>,
    /// Content was lost, which whoever syncs everything was not told yet.
    pub(super) loss_untold: bool,
    /// Files that were made without a name and may be given one.
    pub(super) unnamed: HashSet<Ino>,
    /// Keeps what files that wait to be committed share with others from being pruned.
    pub(super) lease: Option<Lease>,
    /// Names of directories that are in memory, about.
    kept_names: usize,
    /// Inodes in the order in which they are looked at when some must be forgotten.
    clock: VecDeque<Ino>,
    /// Files in the order in which it came into memory where their content lies.
    contents: VecDeque<Ino>,
}

impl Namespace {
    /// With nothing in memory.
    pub(super) fn new(next_ino: Ino) -> Self {
        Self { next_ino, ..Self::default() }
    }

    /// The node of an inode.
    pub(super) fn node(&mut self, ino: Ino) -> Step<&mut Node> {
        match self.nodes.get_mut(&ino) {
            Some(node) => {
                node.recent = true;
                Ok(node)
            }
            // What waits to be deleted is there no more, whatever the storage says.
            None if self.dirty.contains(&ino) || self.in_flight.contains(&ino) => Err(FsError::Stale { ino }.into()),
            None => Err(Stop::Need(Need::Node(ino))),
        }
    }

    /// The node of a directory.
    pub(super) fn directory(&mut self, ino: Ino) -> Step<&mut Node> {
        let node = self.node(ino)?;
        if node.inode.file_type == FileType::Directory { Ok(node) } else { Err(FsError::NotDirectory.into()) }
    }

    /// A directory in which something can be made: one that has not been removed.
    pub(super) fn living_directory(&mut self, ino: Ino) -> Step<&mut Node> {
        let node = self.directory(ino)?;
        if node.inode.is_orphan() { Err(FsError::NotFound.into()) } else { Ok(node) }
    }

    /// What a name of a directory leads to.
    pub(super) fn entry(&mut self, parent: Ino, name: &[u8]) -> Step<Option<Dentry>> {
        let node = self.directory(parent)?;
        match node.directory.get_or_insert_default().find(name) {
            Known::Yes(target) => Ok(target),
            Known::No => Err(Stop::Need(Need::Name(parent, name.to_vec()))),
        }
    }

    /// Makes a name lead to something else, or nothing, and notes that this waits to be committed. What the name led to
    /// before must be known.
    pub(super) fn set_entry(&mut self, parent: Ino, name: &[u8], target: Option<Dentry>, now: Nanos) -> Step<()> {
        let before = self.entry(parent, name)?;
        let node = self.directory(parent)?;
        let directory = node.directory.get_or_insert_default();
        let (old_len, room) = (directory.len(), directory.set(name, target));
        let new_len = directory.len();
        if !room {
            return Err(FsError::NoSpace.into());
        }
        let inode = &mut node.inode;
        let count = |found: Option<Dentry>| {
            (u64::from(found.is_some()), u64::from(found.is_some_and(|found| found.file_type == FileType::Directory)))
        };
        let ((names_before, dirs_before), (names_after, dirs_after)) = (count(before), count(target));
        inode.entries = (inode.entries + names_after).saturating_sub(names_before);
        inode.subdirectories = (inode.subdirectories + dirs_after).saturating_sub(dirs_before);
        inode.mtime = now;
        inode.ctime = now;
        self.kept_names = (self.kept_names + new_len).saturating_sub(old_len);
        self.names.entry((parent, name.into())).or_insert(before);
        self.touch(parent, ChangedIn::Attributes);
        Ok(())
    }

    /// Notes that an inode waits to be committed.
    pub(super) fn touch(&mut self, ino: Ino, changed: ChangedIn) {
        if let Some(node) = self.nodes.get_mut(&ino) {
            node.changed = node.changed.max(changed);
            self.mark_dirty(ino);
        }
    }

    /// Adds an inode to those that wait to be committed.
    pub(super) fn mark_dirty(&mut self, ino: Ino) {
        if self.dirty.insert(ino)
            && let Some(Node { inode, .. }) = self.nodes.get(&ino)
        {
            let names = inode.names.iter().map(|(_, name)| name_bytes(name));
            let xattrs = inode.xattrs.iter().map(|(name, value)| written_bytes(name) + written_bytes(value));
            let target = inode.target.iter().map(|target| written_bytes(target));
            self.extra_bytes += names.chain(xattrs).chain(target).sum::<usize>();
        }
    }

    /// Counts what was added to the record of an inode that waits.
    pub(super) fn grew(&mut self, with: &[u8]) {
        self.extra_bytes += written_bytes(with);
    }

    /// Takes all that waits to be committed.
    pub(super) fn take_dirty(&mut self) -> BTreeSet<Ino> {
        self.taken = self.waiting();
        self.extra_bytes = 0;
        std::mem::take(&mut self.dirty)
    }

    /// The commit has ended for which that was taken.
    pub(super) fn ended(&mut self) {
        self.in_flight.clear();
        self.taken = 0;
        self.changes += 1;
    }

    /// As [`Namespace::waiting`], with those of a commit that is under way, which may wait again.
    pub(super) fn unstored(&self) -> usize {
        self.waiting() + self.taken
    }

    /// How many inodes wait to be committed, of which a large one counts as several.
    pub(super) fn waiting(&self) -> usize {
        self.dirty.len() + self.extra_bytes / COUNTED_BYTES
    }

    /// The content of an ordinary file.
    pub(super) fn content(&mut self, ino: Ino, budget: &Arc<Budget>) -> Step<Arc<Content>> {
        let node = self.node(ino)?;
        match node.inode.file_type {
            FileType::Regular => {}
            FileType::Directory => return Err(FsError::IsDirectory.into()),
            _ => return Err(FsError::Invalid("only an ordinary file has content".into()).into()),
        }
        if let Some(content) = &node.content {
            return Ok(Arc::clone(content));
        }
        let (inode, stored) = (&node.inode, node.stored);
        let content = Arc::new(Content::new(ino, inode.size, inode.allocated, stored, budget));
        node.content = Some(Arc::clone(&content));
        self.contents.push_back(ino);
        Ok(content)
    }

    /// Takes a reference.
    pub(super) fn reference(&mut self, ino: Ino) {
        *self.references.entry(ino).or_insert(0) += 1;
    }

    /// Puts an inode into memory that was just made.
    pub(super) fn add(&mut self, inode: Inode) {
        let ino = inode.ino;
        self.nodes.insert(ino, Node::new(inode));
        self.clock.push_back(ino);
        self.touch(ino, ChangedIn::Attributes);
    }

    /// Puts an inode into memory that the storage has, unless it is there.
    pub(super) fn learn(&mut self, inode: Inode, stored: bool) {
        let ino = inode.ino;
        self.damaged.remove(&ino);
        if self.nodes.contains_key(&ino) || self.dirty.contains(&ino) || self.in_flight.contains(&ino) {
            return;
        }
        let mut node = Node::read(inode);
        node.stored = stored;
        self.nodes.insert(ino, node);
        self.clock.push_back(ino);
    }

    /// Notes what the storage says of names of a directory, or of all of them.
    pub(super) fn learn_names(&mut self, parent: Ino, names: &[(Vec<u8>, Option<Dentry>)], all: bool) {
        let Some(directory) = self.nodes.get_mut(&parent).and_then(|node| node.directory.as_mut()) else { return };
        let before = directory.len();
        if !directory.complete {
            for (name, target) in names {
                directory.learn(name, *target);
            }
            if all {
                directory.completed();
            }
        }
        let after = directory.len();
        self.kept_names = (self.kept_names + after).saturating_sub(before);
    }

    /// An inode has lost its last name: it goes when nobody has it open any more.
    pub(super) fn released(&mut self, ino: Ino) {
        let open = self.references.get(&ino).is_some_and(|count| *count > 0);
        let Some(node) = self.nodes.get(&ino) else { return };
        if open || !node.inode.is_orphan() || node.users > 0 || self.frozen {
            return;
        }
        let stored = node.stored;
        self.remove(ino);
        if stored {
            self.dirty.insert(ino);
        } else {
            self.dirty.remove(&ino);
        }
    }

    /// Takes an inode out of memory.
    fn remove(&mut self, ino: Ino) {
        self.unnamed.remove(&ino);
        if let Some(node) = self.nodes.remove(&ino) {
            self.kept_names = self.kept_names.saturating_sub(node.directory.as_ref().map_or(0, Directory::len));
        }
    }

    /// Takes numbers out of the clock of which the inode went in another way, once they are the most of it: files that come and go would
    /// leave one each. Hardly ever, and then of all of them.
    fn trim_clock(&mut self) {
        if self.clock.len() > 2 * self.nodes.len() + SPENT_NUMBERS {
            let mut seen = HashSet::with_capacity(self.nodes.len());
            self.clock.retain(|ino| self.nodes.contains_key(ino) && seen.insert(*ino));
            self.clock.shrink_to_fit();
        }
    }

    /// Forgets what has not been used lately when there is too much of it. Looks at a little each time.
    pub(super) fn trim(&mut self) {
        self.trim_contents();
        self.trim_clock();
        let mut looks = 16;
        while looks > 0 && (self.nodes.len() > KEPT_NODES || self.kept_names > KEPT_NAMES) {
            looks -= 1;
            let Some(ino) = self.clock.pop_front() else { return };
            let Some(node) = self.nodes.get_mut(&ino) else { continue };
            let stays = node.recent || ino == ROOT || !node.is_clean() || self.in_flight.contains(&ino);
            node.recent = false;
            if stays {
                self.clock.push_back(ino);
            } else {
                self.remove(ino);
            }
        }
    }

    /// Forgets where the content of files lies that was asked for longest ago.
    fn trim_contents(&mut self) {
        for _ in 0..16 {
            if self.contents.len() <= KEPT_CONTENTS {
                return;
            }
            let Some(ino) = self.contents.pop_front() else { return };
            let Some(node) = self.nodes.get_mut(&ino).filter(|node| node.content.is_some()) else { continue };
            if node.is_clean() && !self.in_flight.contains(&ino) {
                node.content = None;
            } else {
                self.contents.push_back(ino);
            }
        }
    }

    /// Forgets all that is in memory but who holds references.
    pub(super) fn clear(&mut self) {
        let (references, next_ino) = (std::mem::take(&mut self.references), self.next_ino);
        let (changes, committed, frozen) = (self.changes + 1, self.committed, self.frozen);
        *self = Self { references, frozen, next_ino, changes, committed, ..Self::default() };
    }

    /// Forgets a clean inode whose record was changed by somebody else. False when it cannot be, since changes of it wait
    /// here.
    pub(super) fn forget_clean(&mut self, ino: Ino) -> bool {
        self.damaged.remove(&ino);
        match self.nodes.get(&ino) {
            None => true,
            Some(node) if node.is_clean() && !self.in_flight.contains(&ino) => {
                self.remove(ino);
                true
            }
            Some(_) => false,
        }
    }
}

/// What a name takes in the record of an inode, at most.
pub(super) fn name_bytes(name: &[u8]) -> usize {
    NUMBER_BYTES + written_bytes(name)
}

/// What bytes take in a record at most: most of them are written as they are, and some with six characters.
pub(super) fn written_bytes(bytes: &[u8]) -> usize {
    let plain = |byte: &u8| (b' '..=b'~').contains(byte) && !matches!(byte, b'"' | b'\\');
    bytes.iter().map(|byte| if plain(byte) { 1 } else { 6 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files that are made and go again, and those that are forgotten and come back, leave nothing behind.
    #[test]
    fn the_clock_has_no_more_numbers_than_twice_the_inodes() {
        let mut namespace = Namespace::new(2);
        let inode = |ino: Ino| Inode::new(ino, FileType::Regular, 0);
        let named = |ino: Ino| Inode { names: vec![(ROOT, ino.to_string().into_bytes())], ..inode(ino) };
        for ino in 2..20_000 {
            namespace.add(inode(ino));
            namespace.released(ino);
            namespace.dirty.clear();
            namespace.learn(named(1_000_000), true);
            assert!(namespace.forget_clean(1_000_000));
            namespace.trim();
        }
        assert!(namespace.nodes.is_empty());
        assert!(namespace.clock.len() <= SPENT_NUMBERS + 2, "{}", namespace.clock.len());
        for ino in 2..100 {
            namespace.learn(named(ino), true);
        }
        for _ in 0..SPENT_NUMBERS {
            namespace.learn(named(7), true);
            assert!(namespace.forget_clean(7));
        }
        namespace.learn(named(7), true);
        namespace.trim();
        let kept: HashSet<Ino> = namespace.clock.iter().copied().collect();
        assert!((2..100).all(|ino| kept.contains(&ino)), "those that are there are looked at");
    }
}
