//! The translation between FUSE and the file system: arguments in, answers out, and nothing kept.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, Filesystem, FopenFlags, Generation, INodeNo, LockOwner, OpenFlags,
    RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs,
    ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use super::content::Content;
use super::power::{Op, Power};
use super::world::{Attributes, Body};

/// The kernel remembers neither names nor attributes, so that after a cut it has to ask, and gets `EIO`.
const TTL: Duration = Duration::ZERO;

/// Inode numbers are never used again, and so there is one generation only.
const GENERATION: Generation = Generation(0);

/// Files need no handle of their own: all that a request is about is in its inode.
const NO_HANDLE: FileHandle = FileHandle(0);

/// The permission bits of a mode. The kernel has applied the umask already.
const PERMISSIONS: u32 = 0o7777;

/// Answers the kernel.
///
/// What is not implemented here has a default of fuser that suits: no extended attributes; no ioctl, `lseek` and
/// `copy_file_range`, for which the kernel has a way of its own; no locks, which the kernel then keeps itself for all
/// processes on this machine. There is no write-back cache either: a write is here when the call returns.
#[derive(Debug)]
pub(super) struct Server {
    /// The file system, shared with the test.
    power: Arc<Mutex<Power>>,
}

impl Server {
    /// Answers for this file system.
    pub(super) fn new(power: Arc<Mutex<Power>>) -> Self {
        Self { power }
    }

    /// The file system, for this request alone. An earlier panic must not make this one hang.
    fn power(&self) -> MutexGuard<'_, Power> {
        self.power.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Creates something and says what it is.
    fn create_node(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        body: Body,
        mode: u32,
    ) -> Result<FileAttr, Errno> {
        let owner = (req.uid(), req.gid());
        self.power().operate(Op::Create, |world| {
            let ino = world.create(parent.0, name, body, permissions(mode), owner)?;
            world.attr(ino)
        })
    }
}

/// The permission bits of a mode.
fn permissions(mode: u32) -> u16 {
    u16::try_from(mode & PERMISSIONS).expect("twelve bits fit")
}

/// A point in time that may be "now".
fn time(time: TimeOrNow) -> SystemTime {
    match time {
        TimeOrNow::SpecificTime(time) => time,
        TimeOrNow::Now => SystemTime::now(),
    }
}

/// Answers with nothing but success or failure.
fn answer(reply: ReplyEmpty, result: Result<(), Errno>) {
    match result {
        Ok(()) => reply.ok(),
        Err(errno) => reply.error(errno),
    }
}

/// Answers with an inode and its attributes.
fn answer_entry(reply: ReplyEntry, result: Result<FileAttr, Errno>) {
    match result {
        Ok(attr) => reply.entry(&TTL, &attr, GENERATION),
        Err(errno) => reply.error(errno),
    }
}

impl Filesystem for Server {
    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.power().world().and_then(|world| world.attr(world.lookup(parent.0, name)?));
        answer_entry(reply, found);
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        match self.power().world().and_then(|world| world.attr(ino.0)) {
            Ok(attr) => reply.attr(&TTL, &attr),
            Err(errno) => reply.error(errno),
        }
    }

    fn setattr(
        &self,
        _req: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut power = self.power();
        let new =
            Attributes { perm: mode.map(permissions), uid, gid, accessed: atime.map(time), modified: mtime.map(time) };
        let resized = match size {
            Some(size) => power.operate(Op::Resize, |world| world.change(ino.0, |content| content.resize(size))),
            None => Ok(()),
        };
        let changed = resized.and_then(|()| {
            let world = power.world()?;
            world.set_attributes(ino.0, &new)?;
            world.attr(ino.0)
        });
        match changed {
            Ok(attr) => reply.attr(&TTL, &attr),
            Err(errno) => reply.error(errno),
        }
    }

    fn readlink(&self, _req: &Request, ino: INodeNo, reply: ReplyData) {
        match self.power().world().and_then(|world| world.read_link(ino.0)) {
            Ok(target) => reply.data(target.as_os_str().as_bytes()),
            Err(errno) => reply.error(errno),
        }
    }

    fn mkdir(&self, req: &Request, parent: INodeNo, name: &OsStr, mode: u32, _umask: u32, reply: ReplyEntry) {
        answer_entry(reply, self.create_node(req, parent, name, Body::Dir { parent: parent.0 }, mode));
    }

    fn symlink(&self, req: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        answer_entry(reply, self.create_node(req, parent, name, Body::Symlink(target.to_owned()), 0o777));
    }

    fn link(&self, _req: &Request, ino: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let linked = self.power().operate(Op::Create, |world| {
            world.link(ino.0, parent.0, name)?;
            world.attr(ino.0)
        });
        answer_entry(reply, linked);
    }

    fn unlink(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(reply, self.power().operate(Op::Remove, |world| world.remove(parent.0, name, false)));
    }

    fn rmdir(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(reply, self.power().operate(Op::Remove, |world| world.remove(parent.0, name, true)));
    }

    fn rename(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let (from, to) = ((parent.0, name), (newparent.0, newname));
        answer(reply, self.power().operate(Op::Rename, |world| world.rename(from, to, flags)));
    }

    fn create(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let mut power = self.power();
        let owner = (req.uid(), req.gid());
        // The kernel asks only for names that do not exist, but another process may have been faster.
        let existing = power.world().map(|world| world.lookup(parent.0, name).ok());
        let ino = match existing {
            Err(errno) => Err(errno),
            Ok(Some(_)) if flags & libc::O_EXCL != 0 => Err(Errno::EEXIST),
            Ok(Some(ino)) if flags & libc::O_TRUNC != 0 => {
                power.operate(Op::Resize, |world| world.change(ino, |content| content.resize(0))).map(|()| ino)
            }
            Ok(Some(ino)) => Ok(ino),
            Ok(None) => power.operate(Op::Create, |world| {
                world.create(parent.0, name, Body::File(Content::default()), permissions(mode), owner)
            }),
        };
        let opened = ino.and_then(|ino| {
            let world = power.world()?;
            world.open(ino)?;
            world.attr(ino)
        });
        match opened {
            Ok(attr) => reply.created(&TTL, &attr, GENERATION, NO_HANDLE, FopenFlags::empty()),
            Err(errno) => reply.error(errno),
        }
    }

    fn open(&self, _req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        match self.power().world().and_then(|world| world.open(ino.0)) {
            Ok(()) => reply.opened(NO_HANDLE, FopenFlags::empty()),
            Err(errno) => reply.error(errno),
        }
    }

    fn release(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        if let Ok(world) = self.power().world() {
            world.release(ino.0);
        }
        reply.ok();
    }

    fn read(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.power().world().and_then(|world| world.read(ino.0, offset, size as usize)) {
            Ok(data) => reply.data(data),
            Err(errno) => reply.error(errno),
        }
    }

    fn write(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let op = Op::Write(data.len());
        let written = self.power().operate(op, |world| world.change(ino.0, |content| content.write(offset, data)));
        match written {
            // Of O_SYNC and O_DSYNC the kernel makes an fsync of its own, after the write.
            // The kernel asks for no more than a u32 can say.
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap_or(u32::MAX)),
            Err(errno) => reply.error(errno),
        }
    }

    fn fallocate(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        const PUNCH: i32 = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        const ZERO_KEEP: i32 = libc::FALLOC_FL_ZERO_RANGE | libc::FALLOC_FL_KEEP_SIZE;
        let change = |content: &mut Content| match mode {
            0 => content.reserve(offset, length),
            // Space is never short here.
            libc::FALLOC_FL_KEEP_SIZE => Ok(()),
            PUNCH | ZERO_KEEP => {
                content.punch(offset, length);
                Ok(())
            }
            _ => Err(Errno::EOPNOTSUPP),
        };
        answer(reply, self.power().operate(Op::Resize, |world| world.change(ino.0, change)));
    }

    fn flush(&self, _req: &Request, _ino: INodeNo, _fh: FileHandle, _lock_owner: LockOwner, reply: ReplyEmpty) {
        // A close makes nothing durable; it fails if there is no power.
        answer(reply, self.power().world().map(|_| ()));
    }

    fn fsync(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        // fdatasync may leave out times only: the length is needed to read the data.
        answer(reply, self.power().sync(Op::Sync, ino.0));
    }

    fn opendir(&self, _req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        match self.power().world().and_then(|world| world.open_dir(ino.0)) {
            Ok(handle) => reply.opened(FileHandle(handle), FopenFlags::empty()),
            Err(errno) => reply.error(errno),
        }
    }

    fn readdir(&self, _req: &Request, ino: INodeNo, fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        match self.power().world().and_then(|world| world.read_dir(ino.0, fh.0, offset == 0)) {
            Ok(listing) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                for (position, entry) in (1..).zip(listing).skip(start) {
                    // The position of an entry is that of the one to go on with.
                    if reply.add(INodeNo(entry.ino), position, entry.kind, &entry.name) {
                        break;
                    }
                }
                reply.ok();
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn releasedir(&self, _req: &Request, _ino: INodeNo, fh: FileHandle, _flags: OpenFlags, reply: ReplyEmpty) {
        if let Ok(world) = self.power().world() {
            world.release_dir(fh.0);
        }
        reply.ok();
    }

    fn fsyncdir(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        answer(reply, self.power().sync(Op::SyncDir, ino.0));
    }

    fn statfs(&self, _req: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        // A disk of 4 GiB that never fills: programs that look before they write should not be disturbed.
        const BLOCKS: u64 = 1 << 20;
        match self.power().world() {
            Ok(_) => reply.statfs(BLOCKS, BLOCKS, BLOCKS, BLOCKS, BLOCKS, 4096, 255, 4096),
            Err(errno) => reply.error(errno),
        }
    }
}
