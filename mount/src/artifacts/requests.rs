//! The kernel's requests for `artifacts/`, one after the other, and their replies.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fuser::{
    AccessFlags, BsdFileFlags, CopyFileRangeFlags, Errno, FileHandle, FileType as Kind, Filesystem, FopenFlags,
    Generation, INodeNo, InitFlags, IoctlFlags, KernelConfig, LockOwner, OpenFlags, RenameFlags as Flags, ReplyAttr,
    ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyIoctl, ReplyLseek,
    ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};
use mirrordna::artifacts::{
    Allocate, Attributes, FsError, ListEntry, NewNode, ROOT, RenameFlags, SetAttributes, WriteOptions, XattrMode,
};

use super::changes::caller;
use super::translate::{absent, kind, kind_of_mode, nanos, place, set_time, unknown};
use super::{ArtifactsFs, FOR_EVER, Sharing, notify, refuse};
use crate::connection::agree;
use crate::directory::{DOT, DOT_DOT};
use crate::fs::{Answer, reply_space, reply_xattr};

/// What is open has no handle, and nothing to say when it is closed; what the kernel knows of it stays true.
const NO_HANDLE: FileHandle = FileHandle(0);
const OPENED: FopenFlags = FopenFlags::FOPEN_KEEP_CACHE.union(FopenFlags::FOPEN_NOFLUSH);
/// Names have at most this many bytes.
const LONGEST_NAME: u32 = 255;
/// The most that is copied from file to file for one request, which has room for 32 bits.
const LONGEST_COPY: u64 = 1 << 30;
/// The label of `SELinux`, which asks elsewhere for it when it is on.
const LABEL: &str = "security.selinux";
/// Of these the kernel would have to know the meaning.
const ACCESS_LISTS: &[u8] = b"system.";

/// What files ask of the kernel.
pub(crate) const WANTED: InitFlags = InitFlags::FUSE_DO_READDIRPLUS
    .union(InitFlags::FUSE_PARALLEL_DIROPS)
    .union(InitFlags::FUSE_CACHE_SYMLINKS)
    .union(InitFlags::FUSE_ASYNC_DIO)
    // What changes behind the kernel's back, it is told to drop. If it looked at times, it would also drop what it has
    // written itself.
    .union(InitFlags::FUSE_EXPLICIT_INVAL_DATA)
    // Set-id bits are cleared here. Otherwise the kernel asks for an attribute before each single write.
    .union(InitFlags::FUSE_HANDLE_KILLPRIV_V2);

thread_local! {
    /// Where what is read lies until it is sent.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Filesystem for ArtifactsFs {
    fn init(&mut self, _request: &Request, config: &mut KernelConfig) -> io::Result<()> {
        agree(config, WANTED | InitFlags::FUSE_WRITEBACK_CACHE);
        Ok(())
    }

    fn lookup(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.artifacts.lookup(self.ino(parent), name.as_bytes()) {
            Ok(found) => self.entry(&found, reply),
            Err(FsError::NotFound) => reply.entry(&FOR_EVER, &absent(), Generation(0)),
            Err(error) => reply.error(refuse(parent, &error)),
        }
    }

    fn forget(&self, _request: &Request, ino: INodeNo, lookups: u64) {
        self.listings.forgotten(ino);
        self.known.forgotten(self.ino(ino), lookups);
    }

    fn getattr(&self, _request: &Request, ino: INodeNo, _handle: Option<FileHandle>, reply: ReplyAttr) {
        let found = self.on_current(ino, |file| self.artifacts.attributes(file).map_err(|error| refuse(ino, &error)));
        match found {
            Ok(attributes) => reply.attr(&FOR_EVER, &self.attr(&attributes)),
            Err(errno) => reply.error(errno),
        }
    }

    fn setattr(
        &self,
        request: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        ctime: Option<SystemTime>,
        _handle: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let change = SetAttributes {
            mode: mode.map(|mode| mode & 0o7777),
            uid,
            gid,
            size,
            atime: atime.map(set_time),
            mtime: mtime.map(set_time),
            ctime: ctime.map(nanos),
            // `fuser` does not hand on what the kernel says of it: it wants them cleared for all who may not set them.
            kill_set_id: size.is_some() && request.uid() != 0,
        };
        if mtime.is_some() {
            // The kernel tells so of what it has collected, too.
            self.known.wrote(self.ino(ino));
        }
        let set = |file| self.artifacts.set_attributes(file, &change).map_err(|error| refuse(ino, &error));
        let changed = self.writable().and_then(|()| self.on_current(ino, set));
        match changed {
            Ok(attributes) => reply.attr(&FOR_EVER, &self.attr(&attributes)),
            Err(errno) => reply.error(errno),
        }
    }

    fn readlink(&self, _request: &Request, ino: INodeNo, reply: ReplyData) {
        match self.artifacts.read_link(self.ino(ino)) {
            Ok(target) => reply.data(&target),
            Err(error) => reply.error(refuse(ino, &error)),
        }
    }

    fn mknod(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        rdev: u32,
        reply: ReplyEntry,
    ) {
        match kind_of_mode(mode) {
            Ok(file_type) => {
                let new = NewNode { file_type, rdev, ..NewNode::file(mode & 0o7777) };
                self.create_node(&caller(request, umask), parent, name, &new, reply);
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn mkdir(&self, request: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, reply: ReplyEntry) {
        let new = NewNode::directory(mode & 0o7777);
        self.create_node(&caller(request, umask), parent, name, &new, reply);
    }

    fn symlink(&self, request: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        let new = NewNode::symlink(target.as_os_str().as_bytes());
        self.create_node(&caller(request, 0), parent, name, &new, reply);
    }

    fn link(&self, _request: &Request, ino: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let linked = self.writable().and_then(|()| {
            self.artifacts
                .link(self.ino(ino), self.ino(parent), name.as_bytes())
                .map_err(|error| refuse(parent, &error))
        });
        match linked {
            Ok(attributes) => {
                self.names_changed(parent);
                self.entry(&attributes, reply);
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn unlink(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.change(parent, reply, || {
            self.artifacts.unlink(self.ino(parent), name.as_bytes()).inspect(|()| self.names_changed(parent))
        });
    }

    fn rmdir(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.change(parent, reply, || {
            self.artifacts.rmdir(self.ino(parent), name.as_bytes()).inspect(|()| self.names_changed(parent))
        });
    }

    fn rename(
        &self,
        _request: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: Flags,
        reply: ReplyEmpty,
    ) {
        let known = Flags::RENAME_NOREPLACE | Flags::RENAME_EXCHANGE;
        if !known.contains(flags) || flags == known {
            return reply.error(Errno::EINVAL);
        }
        let flags = RenameFlags {
            no_replace: flags.contains(Flags::RENAME_NOREPLACE),
            exchange: flags.contains(Flags::RENAME_EXCHANGE),
        };
        self.change(parent, reply, || {
            self.artifacts.rename(
                self.ino(parent),
                name.as_bytes(),
                self.ino(new_parent),
                new_name.as_bytes(),
                flags,
            )?;
            self.names_changed(parent);
            self.names_changed(new_parent);
            Ok(())
        });
    }

    /// Told once that there is none, the kernel opens by itself, and asks for no closing either.
    fn open(&self, request: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        match self.sharing {
            Sharing::Alone => reply.error(Errno::ENOSYS),
            Sharing::WithRecords => match self.on_current(ino, |_| self.truncate_on_opening(request, ino, flags.0)) {
                Ok(()) => reply.opened(NO_HANDLE, OPENED),
                Err(errno) => reply.error(errno),
            },
        }
    }

    /// As with [`Filesystem::open`]; listings are cached then.
    fn opendir(&self, _request: &Request, _ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        match self.sharing {
            Sharing::Alone => reply.error(Errno::ENOSYS),
            Sharing::WithRecords => {
                reply.opened(NO_HANDLE, FopenFlags::FOPEN_CACHE_DIR | FopenFlags::FOPEN_KEEP_CACHE);
            }
        }
    }

    /// Told that there is none, the kernel makes nodes and opens them by itself: that is one question less, since what is
    /// created open is closed by another.
    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        match self.sharing {
            Sharing::Alone => reply.error(Errno::ENOSYS),
            Sharing::WithRecords => match self.create_open(request, parent, name, (mode, umask), flags) {
                Ok(found) => {
                    self.names_changed(parent);
                    self.known.told(found.ino);
                    match self.newest(&found) {
                        Ok((attr, generation)) => reply.created(&FOR_EVER, &attr, generation, NO_HANDLE, OPENED),
                        Err(errno) => {
                            self.known.forgotten(found.ino, 1);
                            reply.error(errno);
                        }
                    }
                }
                Err(errno) => reply.error(errno),
            },
        }
    }

    fn flush(&self, _request: &Request, _ino: INodeNo, _handle: FileHandle, _owner: LockOwner, reply: ReplyEmpty) {
        match self.sharing {
            Sharing::Alone => reply.error(Errno::ENOSYS),
            Sharing::WithRecords => reply.ok(),
        }
    }

    /// Asked for only when the kernel does not check permissions itself, where there is nobody to be kept out.
    fn access(&self, _request: &Request, _ino: INodeNo, _mask: AccessFlags, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    fn read(
        &self,
        _request: &Request,
        ino: INodeNo,
        _handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        BUFFER.with_borrow_mut(|buffer| {
            buffer.resize(buffer.len().max(size as usize), 0);
            let room = buffer.get_mut(..size as usize).unwrap_or_default();
            let read = |file| self.artifacts.read(file, offset, room).map_err(|error| refuse(ino, &error));
            let read = self.on_current(ino, read);
            match read {
                Ok(read) => reply.data(room.get(..read).unwrap_or_default()),
                Err(errno) => reply.error(errno),
            }
        });
    }

    fn write(
        &self,
        _request: &Request,
        ino: INodeNo,
        _handle: FileHandle,
        offset: u64,
        data: &[u8],
        write_flags: WriteFlags,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let options = WriteOptions {
            kill_set_id: write_flags.contains(WriteFlags::FUSE_WRITE_KILL_SUIDGID),
            // What the kernel collects has its times from the kernel.
            keep_times: self.sharing == Sharing::Alone && write_flags.contains(WriteFlags::FUSE_WRITE_CACHE),
        };
        if write_flags.contains(WriteFlags::FUSE_WRITE_CACHE) {
            self.known.wrote(self.ino(ino));
        }
        let write = |file| {
            let write = || self.artifacts.write(file, offset, data, options);
            self.telling_the_mode(ino, options.kill_set_id, write).map_err(|error| refuse(ino, &error))
        };
        match self.writable().and_then(|()| self.on_current(ino, write)) {
            // No request is that large.
            Ok(written) => reply.written(u32::try_from(written).unwrap_or(u32::MAX)),
            Err(errno) => reply.error(errno),
        }
    }

    fn fsync(&self, _request: &Request, ino: INodeNo, _handle: FileHandle, datasync: bool, reply: ReplyEmpty) {
        self.sync(ino, datasync, reply);
    }

    fn fsyncdir(&self, _request: &Request, ino: INodeNo, _handle: FileHandle, datasync: bool, reply: ReplyEmpty) {
        self.sync(ino, datasync, reply);
    }

    fn readdir(&self, _request: &Request, ino: INodeNo, _handle: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        self.listings.given(ino);
        let dots = self.dots(ino, offset, |number, offset, name| reply.add(number, offset, Kind::Directory, name));
        let listed = dots.and_then(|full| {
            if full {
                return Ok(());
            }
            let add = &mut |entry: &ListEntry<'_>| {
                let number = self.sharing.number(entry.ino);
                !reply.add(number, entry.cursor, kind(entry.file_type), OsStr::from_bytes(entry.name))
            };
            self.artifacts.list(self.ino(ino), after(offset), add).map_err(|error| refuse(ino, &error))
        });
        match listed {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(errno),
        }
    }

    fn readdirplus(
        &self,
        _request: &Request,
        ino: INodeNo,
        _handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        self.listings.given(ino);
        let dots = self.dots(ino, offset, |number, offset, name| {
            // The kernel knows these two already, and takes nothing but the number and the type.
            let dot = fuser::FileAttr { ino: number, kind: Kind::Directory, ..absent() };
            reply.add(number, offset, name, &Duration::ZERO, &dot, Generation(0))
        });
        let listed = dots.and_then(|full| {
            if full {
                return Ok(());
            }
            let mut any = false;
            // Each entry that is taken counts as looked up.
            let add = &mut |entry: &ListEntry<'_>, attributes: Option<&Attributes>| {
                // Of a damaged one nothing is kept, so that whoever looks at it asks, and is told.
                let keep = if attributes.is_some() { FOR_EVER } else { Duration::ZERO };
                let attributes = attributes.copied().unwrap_or_else(|| unknown(entry));
                let (attr, generation) = (self.attr(&attributes), self.known.generation(&attributes));
                let name = OsStr::from_bytes(entry.name);
                let taken = !reply.add(attr.ino, entry.cursor, name, &keep, &attr, generation);
                if taken {
                    self.known.told(entry.ino);
                    any = true;
                }
                taken
            };
            let listed = self.artifacts.list_with_attributes(self.ino(ino), after(offset), add);
            // What was taken the kernel has to learn of, to give it back. It meets the error again behind it.
            listed.or_else(|error| if any { Ok(()) } else { Err(refuse(ino, &error)) })
        });
        match listed {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(errno),
        }
    }

    fn statfs(&self, _request: &Request, ino: INodeNo, reply: ReplyStatfs) {
        match self.artifacts.space() {
            Ok(space) => reply_space(reply, &space, LONGEST_NAME),
            Err(error) => reply.error(refuse(ino, &error)),
        }
    }

    fn setxattr(
        &self,
        _request: &Request,
        ino: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        let how = match flags {
            libc::XATTR_CREATE => XattrMode::Create,
            libc::XATTR_REPLACE => XattrMode::Replace,
            _ => XattrMode::Any,
        };
        if name.as_bytes().starts_with(ACCESS_LISTS) {
            return reply.error(Errno::EOPNOTSUPP);
        }
        self.change(ino, reply, || self.artifacts.set_xattr(self.ino(ino), name.as_bytes(), value, how));
    }

    fn getxattr(&self, _request: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        if name.as_bytes().starts_with(ACCESS_LISTS) {
            return reply.error(Errno::EOPNOTSUPP);
        }
        match self.artifacts.xattr(self.ino(ino), name.as_bytes()) {
            Ok(value) => reply_xattr(reply, &value, size),
            // Who is told that there are no labels does not ask for that of the next file: `ls -l` does.
            Err(FsError::NoAttribute) if name == LABEL => reply.error(Errno::EOPNOTSUPP),
            Err(error) => reply.error(refuse(ino, &error)),
        }
    }

    fn listxattr(&self, _request: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        match self.artifacts.xattrs(self.ino(ino)) {
            Ok(names) => {
                let list: Vec<u8> = names.into_iter().flat_map(|name| name.into_iter().chain([0])).collect();
                reply_xattr(reply, &list, size);
            }
            Err(error) => reply.error(refuse(ino, &error)),
        }
    }

    fn removexattr(&self, _request: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.change(ino, reply, || self.artifacts.remove_xattr(self.ino(ino), name.as_bytes()));
    }

    fn fallocate(
        &self,
        request: &Request,
        ino: INodeNo,
        _handle: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let known = libc::FALLOC_FL_KEEP_SIZE | libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_ZERO_RANGE;
        if mode & !known != 0 {
            return reply.error(Errno::EOPNOTSUPP);
        }
        let has = |flag| mode & flag != 0;
        let keep_size = has(libc::FALLOC_FL_KEEP_SIZE);
        let mode = match (has(libc::FALLOC_FL_PUNCH_HOLE), has(libc::FALLOC_FL_ZERO_RANGE)) {
            (true, true) => return reply.error(Errno::EOPNOTSUPP),
            (true, false) => Allocate::PunchHole,
            (false, true) => Allocate::ZeroRange { keep_size },
            (false, false) if keep_size => Allocate::KeepSize,
            (false, false) => Allocate::Extend,
        };
        let allocate = |file| {
            let allocate = || self.artifacts.allocate(file, mode, offset, length);
            self.taking_set_id(request, ino, allocate).map_err(|error| refuse(ino, &error))
        };
        match self.writable().and_then(|()| self.on_current(ino, allocate)) {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(errno),
        }
    }

    fn lseek(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: i64, whence: i32, reply: ReplyLseek) {
        let Some((offset, what)) = place(offset, whence) else { return reply.error(Errno::EINVAL) };
        let (artifacts, notifier) = (Arc::clone(&self.artifacts), Arc::clone(&self.notifier));
        let (file, known) = (self.ino(ino), Arc::clone(&self.known));
        self.workers.have_done(move || {
            // Beside restores, since it waits for what the kernel has to write, and that would wait for them.
            let found = notify::seek(&artifacts, file, offset, what, |start, end| {
                if let Some(notifier) = notifier.get() {
                    notify::drop_pages(notifier, ino, start, end);
                }
            });
            match found.and_then(|found| known.check_current(file).map(|()| i64::try_from(found))) {
                Ok(Ok(offset)) => reply.offset(offset),
                Ok(Err(_)) => reply.error(Errno::EOVERFLOW),
                Err(error) => reply.error(refuse(ino, &error)),
            }
        });
    }

    fn copy_file_range(
        &self,
        request: &Request,
        from: INodeNo,
        _from_handle: FileHandle,
        from_offset: u64,
        to: INodeNo,
        _to_handle: FileHandle,
        to_offset: u64,
        length: u64,
        _flags: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        let length = length.min(LONGEST_COPY);
        let copy = |source, target| {
            let copy = || self.artifacts.copy_range(source, from_offset, target, to_offset, length);
            self.taking_set_id(request, to, copy).map_err(|error| refuse(to, &error))
        };
        let copy = |source| self.on_current(to, |target| copy(source, target));
        match self.writable().and_then(|()| self.on_current(from, copy)) {
            Ok(copied) => reply.written(u32::try_from(copied).unwrap_or(u32::MAX)),
            Err(errno) => reply.error(errno),
        }
    }

    /// There are none. Programs that try to share content with `FICLONE` copy instead.
    fn ioctl(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: IoctlFlags,
        _: u32,
        _: &[u8],
        _: u32,
        reply: ReplyIoctl,
    ) {
        reply.error(Errno::ENOTTY);
    }
}

/// From where on the entries behind an offset are listed. Their cursors are beyond the offsets of `.` and `..`.
fn after(offset: u64) -> u64 {
    if offset <= DOT_DOT { 0 } else { offset }
}

impl ArtifactsFs {
    fn sync(&self, ino: INodeNo, data_only: bool, reply: ReplyEmpty) {
        let (file, artifacts, known) = (self.ino(ino), Arc::clone(&self.artifacts), Arc::clone(&self.known));
        self.workers.have_done(move || {
            match known.check_current(file).and_then(|()| artifacts.sync(file, data_only)) {
                Ok(()) => reply.ok(),
                Err(error) => reply.error(refuse(ino, &error)),
            }
        });
    }

    /// Gives `.` and `..` if they come behind an offset, until `add` is full.
    fn dots(&self, ino: INodeNo, offset: u64, mut add: impl FnMut(INodeNo, u64, &str) -> bool) -> Answer<bool> {
        if offset < DOT && add(ino, DOT, ".") {
            return Ok(true);
        }
        if offset < DOT_DOT {
            let parent = self.artifacts.parent(self.ino(ino)).map_err(|error| refuse(ino, &error))?;
            let parent = match self.sharing {
                Sharing::WithRecords if self.ino(ino) == ROOT => INodeNo::ROOT,
                sharing => sharing.number(parent),
            };
            return Ok(add(parent, DOT_DOT, ".."));
        }
        Ok(false)
    }
}
