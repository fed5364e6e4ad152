//! A vault as the kernel asks for it: each question becomes a call of the tree, and what that says becomes the answer, with
//! how long it may be kept.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    Errno, FileAttr, FileHandle, FopenFlags, INodeNo, OpenAccMode, OpenFlags, ReplyData, ReplyStatfs, ReplyXattr,
};
use mirrordna::Error;
use mirrordna::artifacts::Seek;
use mirrordna::record::{FileType, Timestamp};
use mirrordna::storage::Space;
use mirrordna::tree::{Attributes, Content, Directory, Entry, Item, Node, Stability, Tree};

use crate::artifacts::{ArtifactsFs, translate};
use crate::directory::{DOT, DOT_DOT};
use crate::errno::{errno, refused};
use crate::handles::{Handle, Handles, Writer};
use crate::inodes::Inodes;
use crate::notify::Invalidator;

/// How long the kernel keeps what it is told to drop when it changes, and what never does.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 24 * 3_600);
/// The longest name: that of a record with the longest id, 255 bytes, and `.json`.
pub(crate) const LONGEST_NAME: u32 = 260;
/// The size of a block, in which `df` counts.
pub(crate) const BLOCK: u32 = 4_096;

/// Results of a request.
pub(crate) type Answer<T> = Result<T, Errno>;

/// A vault as the kernel asks for it.
pub(crate) struct VaultFs {
    pub(crate) tree: Tree,
    pub(crate) inodes: Arc<Inodes>,
    pub(crate) handles: Handles,
    pub(crate) invalidator: Invalidator,
    owner: Owner,
    /// The files of the present, if they are on the same connection.
    files: Option<Arc<ArtifactsFs>>,
}

/// Whose the files are, and who may look at them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Others than the owner may look.
    pub(crate) shared: bool,
}

impl Owner {
    fn mode(self, file_type: FileType, writable: bool) -> u16 {
        let mode = match (file_type, self.shared) {
            (FileType::Directory, false) => 0o500,
            (FileType::Directory, true) => 0o555,
            (FileType::Symlink, _) => 0o777,
            (_, false) => 0o400,
            (_, true) => 0o444,
        };
        if writable { mode | 0o200 } else { mode }
    }
}

impl VaultFs {
    pub(crate) fn new(
        tree: Tree,
        inodes: Arc<Inodes>,
        invalidator: Invalidator,
        owner: Owner,
        files: Option<Arc<ArtifactsFs>>,
    ) -> Self {
        Self { tree, inodes, handles: Handles::default(), invalidator, owner, files }
    }

    /// The files of the present, where the tree has nothing but their directory.
    fn files_at(&self, node: &Node) -> Option<&ArtifactsFs> {
        self.files.as_deref().filter(|_| *node == Node::directory(Directory::Artifacts))
    }

    pub(crate) fn node(&self, number: INodeNo) -> Answer<Node> {
        self.inodes.node(number).ok_or(Errno::ESTALE)
    }

    /// The number of an error, which is logged when it is one that nobody expects.
    pub(crate) fn refuse(&self, node: &Node, error: &mirrordna::Error) -> Errno {
        let errno = errno(error);
        if errno == Errno::EIO {
            tracing::error!(target: "mirrordna::mount", file = %node, %error, "cannot be read");
            self.tree.note_error(format!("{node}: {error}"));
        } else {
            tracing::debug!(target: "mirrordna::mount", file = %node, %error, "refused");
        }
        errno
    }

    pub(crate) fn attr(&self, number: INodeNo, attributes: &Attributes, writable: bool) -> FileAttr {
        if let Some(artifact) = &attributes.artifact {
            return FileAttr { ino: number, ..translate::attr(artifact) };
        }
        let time = system_time;
        FileAttr {
            ino: number,
            size: attributes.size,
            blocks: attributes.size.div_ceil(512),
            atime: time(attributes.mtime),
            mtime: time(attributes.mtime),
            ctime: time(attributes.ctime),
            crtime: UNIX_EPOCH,
            kind: translate::kind(attributes.file_type),
            perm: self.owner.mode(attributes.file_type, writable),
            nlink: attributes.nlink,
            uid: self.owner.uid,
            gid: self.owner.gid,
            rdev: 0,
            blksize: BLOCK,
            flags: 0,
        }
    }

    /// The attributes of a node, and how long they stay true.
    pub(crate) fn attributes(&self, number: INodeNo, node: &Node) -> Answer<(FileAttr, Duration)> {
        if let Some(files) = self.files_at(node) {
            return files.root();
        }
        let written = self.tree.is_being_written(node);
        let attributes = match self.inodes.opened(number) {
            Some(content) => of_content(&content),
            None => self.tree.attributes(node).map_err(|error| self.refuse(node, &error))?,
        };
        Ok((self.attr(number, &attributes, self.tree.is_writable(node)), self.keep(node, written)))
    }

    /// As [`VaultFs::attributes`], of a node that the kernel knows and somebody may have open: it may have been removed.
    pub(crate) fn attributes_held(&self, number: INodeNo, node: &Node) -> Answer<(FileAttr, Duration)> {
        match self.attributes(number, node) {
            Err(errno) if errno == Errno::ENOENT => {
                let attributes = self.tree.attributes_held(node).map_err(|error| self.refuse(node, &error))?;
                Ok((self.attr(number, &attributes, self.tree.is_writable(node)), Duration::ZERO))
            }
            other => other,
        }
    }

    /// How long it stays true what is told of a node. `written` says whether it was being written before that was read:
    /// what is told of such a file is never kept, so that committing it leaves nothing to be dropped.
    fn keep(&self, node: &Node, written: bool) -> Duration {
        if written || self.tree.is_being_written(node) { Duration::ZERO } else { keep(node.stability()) }
    }

    pub(crate) fn find(&self, parent: INodeNo, name: &OsStr) -> Answer<Option<(FileAttr, Duration)>> {
        let directory = self.node(parent)?;
        let found = self.tree.lookup(&directory, name).map_err(|error| self.refuse(&directory, &error))?;
        let Some(node) = found else { return Ok(None) };
        let number = self.inodes.look_up(parent, &node);
        match self.attributes(number, &node) {
            Ok(found) => Ok(Some(found)),
            Err(errno) => {
                self.inodes.forget(number, 1);
                // It went between the look-up and this.
                if errno == Errno::ENOENT { Ok(None) } else { Err(errno) }
            }
        }
    }

    pub(crate) fn open_file(
        &self,
        number: INodeNo,
        flags: OpenFlags,
        process: u32,
    ) -> Answer<(FileHandle, FopenFlags)> {
        let truncate = flags.0 & libc::O_TRUNC != 0;
        let node = self.node(number)?;
        if flags.acc_mode() != OpenAccMode::O_RDONLY || truncate || matches!(node.item, Item::Scratch(_)) {
            let open = self.tree.open_file(&node, truncate).map_err(|refusal| refused(&refusal))?;
            let writer = Writer { open, inode: number, process };
            return Ok((self.handles.open(Handle::Written(writer)), FopenFlags::FOPEN_DIRECT_IO));
        }
        // Closing what was not written has nothing to say.
        let flags = FopenFlags::FOPEN_NOFLUSH;
        match node.stability() {
            // The length that the kernel knows is the writer's then, and must not cut what others read.
            Stability::Tracked if self.tree.is_being_written(&node) => {
                Ok((Handles::NONE, flags | FopenFlags::FOPEN_DIRECT_IO))
            }
            Stability::Tracked | Stability::Immutable => Ok((Handles::NONE, flags | FopenFlags::FOPEN_KEEP_CACHE)),
            Stability::Volatile => {
                let content = self.tree.open(&node).map_err(|error| self.refuse(&node, &error))?;
                let content = Arc::new(content);
                self.inodes.note_opened(number, &content);
                Ok((self.handles.open(Handle::File(content)), flags | FopenFlags::FOPEN_DIRECT_IO))
            }
        }
    }

    pub(crate) fn read_file(&self, number: INodeNo, handle: FileHandle, offset: u64, size: u32, reply: ReplyData) {
        if let Some(open) = self.handles.written(handle) {
            return match open.read(offset, size as usize) {
                Ok(bytes) => reply.data(&bytes),
                Err(refusal) => reply.error(refused(&refusal)),
            };
        }
        let open = |node: Node| self.tree.open_held(&node).map_err(|error| self.refuse(&node, &error));
        let content = match self.handles.file(handle) {
            Some(content) => Ok((*content).clone()),
            None => self.node(number).and_then(open),
        };
        match content {
            Err(errno) => reply.error(errno),
            Ok(content) => match content.read_at(offset, size as usize) {
                Ok(bytes) => reply.data(&bytes),
                Err(source) => reply.error(self.node(number).map_or_else(
                    |errno| errno,
                    |node| self.refuse(&node, &Error::Io { path: node.to_string().into(), source }),
                )),
            },
        }
    }

    /// The place in a file where data or a hole begins; none beyond its end.
    pub(crate) fn seek(&self, number: INodeNo, handle: FileHandle, offset: u64, what: Seek) -> Answer<Option<u64>> {
        if let Some(content) = self.handles.file(handle) {
            return Ok(what.in_data(offset, content.len()));
        }
        if let Some(open) = self.handles.written(handle) {
            return Ok(what.in_data(offset, open.attributes().map_err(|refusal| refused(&refusal))?.size));
        }
        let node = self.node(number)?;
        self.tree.seek(&node, offset, what).map_err(|error| self.refuse(&node, &error))
    }

    /// Gives the entries of an open directory behind an offset to `give`, which says when it has enough.
    pub(crate) fn read_directory(
        &self,
        number: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut give: impl FnMut(Given<'_>) -> Answer<bool>,
    ) -> Answer<()> {
        let stream = self.handles.directory(handle).ok_or(Errno::EBADF)?;
        let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
        for (dot, name, number) in [(DOT, ".", number), (DOT_DOT, "..", self.inodes.parent(number))] {
            if offset < dot && give(Given::Dot { offset: dot, name, number })? {
                return Ok(());
            }
        }
        let node = stream.node().clone();
        let mut given = 0_u32;
        let mut entries = || {
            stream.seek(&self.tree, offset.max(DOT_DOT), offset < DOT).map_err(|error| self.refuse(&node, &error))?;
            let outdated = stream.is_outdated(&self.tree);
            while let Some(entry) = stream.peek().map_err(|error| self.refuse(&node, &error))? {
                let found = if outdated { self.look_again(&node, entry)? } else { Some(Cow::Borrowed(entry)) };
                if let Some(entry) = found {
                    if give(Given::Entry { entry: &entry, outdated })? {
                        break;
                    }
                    given += 1;
                }
                stream.advance();
            }
            Ok(())
        };
        match entries() {
            // What was given before the error is good. The error is met again behind it, where the kernel goes on.
            Err(_) if given > 0 => Ok(()),
            other => other,
        }
    }

    /// What lies now where a listing that began before a change found an entry. A record that was moved is still there, and
    /// the kernel must not know it by its old name: nothing would tell it to drop that.
    fn look_again<'e>(&self, directory: &Node, entry: &'e Entry) -> Answer<Option<Cow<'e, Entry>>> {
        if !matches!(entry.node.item, Item::Record { .. }) || entry.node.stability() != Stability::Tracked {
            return Ok(Some(Cow::Borrowed(entry)));
        }
        let found = self.tree.lookup(directory, &entry.name).map_err(|error| self.refuse(directory, &error))?;
        Ok(match found {
            Some(node) if node == entry.node => Some(Cow::Borrowed(entry)),
            other => other.map(|node| Cow::Owned(Entry { node, attributes: None, ..entry.clone() })),
        })
    }

    /// A listing that began before a change may have reached the kernel's cache after the change was told.
    pub(crate) fn check_outdated(&self, number: INodeNo, handle: FileHandle) {
        if let Some(stream) = self.handles.directory(handle) {
            let stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
            if stream.node().stability() == Stability::Tracked && stream.is_outdated(&self.tree) {
                self.invalidator.outdated(number);
            }
        }
    }

    /// What the kernel is told of an entry together with its name. It knows the number then, so this counts as a look-up.
    pub(crate) fn entry_attributes(
        &self,
        number: INodeNo,
        entry: &Entry,
        outdated: bool,
    ) -> Answer<(FileAttr, Duration)> {
        let node = &entry.node;
        if let Some(files) = self.files_at(node) {
            return files.root();
        }
        let (writable, written) = (self.tree.is_writable(node), self.tree.is_being_written(node));
        let known = match entry.attributes {
            Some(attributes) if !outdated => Some(attributes),
            _ => self.tree.known_attributes(node).map_err(|error| self.refuse(node, &error))?,
        };
        if let Some(attributes) = known {
            return Ok((self.attr(number, &attributes, writable), self.keep(node, written)));
        }
        // Whoever asks for its size will have it made. Who has it open must not see it cut.
        let attributes = self.inodes.opened(number).map_or(UNKNOWN, |content| of_content(&content));
        Ok((self.attr(number, &attributes, writable), Duration::ZERO))
    }
}

/// What stands for the attributes of a file that was not made yet, for no longer than the moment.
pub(crate) const UNKNOWN: Attributes = of_file(0, Timestamp::EPOCH);

/// What a directory gives.
pub(crate) enum Given<'a> {
    Dot { offset: u64, name: &'static str, number: INodeNo },
    Entry { entry: &'a Entry, outdated: bool },
}

pub(crate) fn of_content(content: &Content) -> Attributes {
    of_file(content.len(), content.time())
}

const fn of_file(size: u64, time: Timestamp) -> Attributes {
    Attributes { file_type: FileType::Regular, size, mtime: time, ctime: time, nlink: 1, artifact: None }
}

pub(crate) fn keep(stability: Stability) -> Duration {
    match stability {
        Stability::Immutable | Stability::Tracked => FOR_EVER,
        Stability::Volatile => Duration::ZERO,
    }
}

fn system_time(time: Timestamp) -> SystemTime {
    let micros = Duration::from_micros(time.as_micros().unsigned_abs());
    if time.as_micros() < 0 { UNIX_EPOCH - micros } else { UNIX_EPOCH + micros }
}

/// How much room there is.
pub(crate) fn reply_space(reply: ReplyStatfs, space: &Space, longest_name: u32) {
    let blocks = |bytes: u64| bytes / u64::from(BLOCK);
    let (total, free) = (blocks(space.total), blocks(space.free));
    // There is no end of files but that of the space.
    reply.statfs(total, free, free, total, free, BLOCK, longest_name, BLOCK);
}

/// An extended attribute, or its length for who asks with no room.
pub(crate) fn reply_xattr(reply: ReplyXattr, value: &[u8], size: u32) {
    match u32::try_from(value.len()) {
        Ok(len) if size == 0 => reply.size(len),
        Ok(len) if len <= size => reply.data(value),
        _ => reply.error(Errno::ERANGE),
    }
}
