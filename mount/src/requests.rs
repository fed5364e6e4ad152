//! The kernel's requests, one after the other, and their replies.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, CopyFileRangeFlags, Errno, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    InitFlags, KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr, Request,
    TimeOrNow, WriteFlags,
};
use mirrordna::record;
use mirrordna::tree::{Attributes, Stability};

use crate::artifacts::translate;
use crate::connection::{REQUEST, agree};
use crate::directory::{Stream, offset_of};
use crate::errno::refused;
use crate::fs::{Given, LONGEST_NAME, UNKNOWN, VaultFs, keep, of_content, reply_space, reply_xattr};
use crate::handles::{Handle, Handles};
use crate::write::Wanted;

/// What records ask of the kernel.
pub(crate) const WANTED: InitFlags = InitFlags::FUSE_DO_READDIRPLUS
    .union(InitFlags::FUSE_PARALLEL_DIROPS)
    .union(InitFlags::FUSE_CACHE_SYMLINKS)
    // Files that are written are not cached, and mapped nevertheless.
    .union(InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP)
    // Opening tells that the file is to be empty, rather than a request of its own that names no handle.
    .union(InitFlags::FUSE_ATOMIC_O_TRUNC)
    // Nothing here is ever set-user-id, so that no write need ask first.
    .union(InitFlags::FUSE_HANDLE_KILLPRIV_V2);
/// What cannot be set.
const XATTRS: &str = "extended attributes of their own";

impl Filesystem for VaultFs {
    fn init(&mut self, _request: &Request, config: &mut KernelConfig) -> io::Result<()> {
        agree(config, WANTED | InitFlags::FUSE_AUTO_INVAL_DATA);
        Ok(())
    }

    fn lookup(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.find(parent, name) {
            Ok(Some((attr, keep))) => reply.entry(&keep, &attr, Generation(0)),
            Ok(None) => {
                let absence = self.inodes.node(parent).map_or(Stability::Volatile, |node| node.absence(name));
                match keep(absence) {
                    Duration::ZERO => reply.error(Errno::ENOENT),
                    // The number 0 says that there is nothing, and that this may be kept.
                    keep => reply.entry(&keep, &self.attr(INodeNo(0), &UNKNOWN, false), Generation(0)),
                }
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn forget(&self, _request: &Request, number: INodeNo, lookups: u64) {
        self.inodes.forget(number, lookups);
    }

    fn getattr(&self, request: &Request, number: INodeNo, handle: Option<FileHandle>, reply: ReplyAttr) {
        let handle = handle.unwrap_or(Handles::NONE);
        let written = self.handles.written(handle).or_else(|| self.written_by(number, request.pid()));
        let answer = match (self.handles.file(handle), written) {
            (Some(content), _) => Ok((self.attr(number, &of_content(&content), false), Duration::ZERO)),
            (None, Some(open)) => self.written_attributes(number, &open).map(|attr| (attr, Duration::ZERO)),
            (None, None) => self.node(number).and_then(|node| self.attributes_held(number, &node)),
        };
        match answer {
            Ok((attr, keep)) => reply.attr(&keep, &attr),
            Err(errno) => reply.error(errno),
        }
    }

    fn readlink(&self, _request: &Request, number: INodeNo, reply: ReplyData) {
        let target =
            self.node(number).and_then(|node| self.tree.readlink(&node).map_err(|error| self.refuse(&node, &error)));
        match target {
            Ok(target) => reply.data(target.as_encoded_bytes()),
            Err(errno) => reply.error(errno),
        }
    }

    fn open(&self, request: &Request, number: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        match self.open_file(number, flags, request.pid()) {
            Ok((handle, flags)) => reply.opened(handle, flags),
            Err(errno) => reply.error(errno),
        }
    }

    fn read(
        &self,
        _request: &Request,
        number: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        self.read_file(number, handle, offset, size, reply);
    }

    fn release(
        &self,
        _request: &Request,
        _number: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        self.close_file(handle, reply);
    }

    fn flush(&self, _request: &Request, _number: INodeNo, handle: FileHandle, _owner: LockOwner, reply: ReplyEmpty) {
        self.with_written(handle, |open| self.tree.flush(open), reply);
    }

    fn opendir(&self, _request: &Request, number: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        match self.node(number) {
            Ok(node) => {
                let flags = match node.stability() {
                    Stability::Tracked | Stability::Immutable => {
                        FopenFlags::FOPEN_CACHE_DIR | FopenFlags::FOPEN_KEEP_CACHE
                    }
                    Stability::Volatile => FopenFlags::empty(),
                };
                let stream = Arc::new(Mutex::new(Stream::new(node)));
                reply.opened(self.handles.open(Handle::Directory(stream)), flags);
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn readdir(&self, _request: &Request, number: INodeNo, handle: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let answer = self.read_directory(number, handle, offset, |given| {
            Ok(match given {
                Given::Dot { offset, name, number } => reply.add(number, offset, FileType::Directory, name),
                Given::Entry { entry, .. } => {
                    let kind = translate::kind(entry.node.file_type());
                    reply.add(self.inodes.number(&entry.node), offset_of(entry), kind, &entry.name)
                }
            })
        });
        match answer {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(errno),
        }
        self.check_outdated(number, handle);
    }

    fn readdirplus(
        &self,
        _request: &Request,
        number: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let answer = self.read_directory(number, handle, offset, |given| match given {
            Given::Dot { offset, name, number } => {
                let attr = self.attr(number, &Attributes { file_type: record::FileType::Directory, ..UNKNOWN }, false);
                Ok(reply.add(number, offset, name, &Duration::ZERO, &attr, Generation(0)))
            }
            Given::Entry { entry, outdated } => {
                let child = self.inodes.look_up(number, &entry.node);
                let full = match self.entry_attributes(child, entry, outdated) {
                    Ok((attr, keep)) => reply.add(child, offset_of(entry), &entry.name, &keep, &attr, Generation(0)),
                    Err(errno) => {
                        self.inodes.forget(child, 1);
                        // It went since it was listed: on to the next.
                        return if errno == Errno::ENOENT { Ok(false) } else { Err(errno) };
                    }
                };
                if full {
                    self.inodes.forget(child, 1);
                }
                Ok(full)
            }
        });
        match answer {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(errno),
        }
        self.check_outdated(number, handle);
    }

    fn releasedir(
        &self,
        _request: &Request,
        _number: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        drop(self.handles.close(handle));
        reply.ok();
    }

    fn statfs(&self, _request: &Request, _number: INodeNo, reply: ReplyStatfs) {
        tracing::debug!(
            target: "mirrordna::mount::tables",
            inodes = self.inodes.len(),
            handles = self.handles.len(),
            texts = self.tree.bytes_being_written(),
            "in memory"
        );
        match self.tree.vault().storage().space() {
            Ok(space) => reply_space(reply, &space, LONGEST_NAME),
            Err(error) => {
                tracing::error!(target: "mirrordna::mount", %error, "how much room there is cannot be told");
                reply.error(Errno::EIO);
            }
        }
    }

    fn getxattr(&self, _request: &Request, number: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let value =
            self.node(number).and_then(|node| self.tree.xattr(&node, name).map_err(|error| self.refuse(&node, &error)));
        match value {
            Ok(Some(value)) => reply_xattr(reply, &value, size),
            Ok(None) if name.as_encoded_bytes().starts_with(b"user.") => reply.error(Errno::NO_XATTR),
            // There are no access lists and labels here. `ls -l` asks for them, and asks for no further file when it is told.
            Ok(None) => reply.error(Errno::EOPNOTSUPP),
            Err(errno) => reply.error(errno),
        }
    }

    fn listxattr(&self, _request: &Request, number: INodeNo, size: u32, reply: ReplyXattr) {
        let names =
            self.node(number).and_then(|node| self.tree.xattr_names(&node).map_err(|error| self.refuse(&node, &error)));
        match names {
            Ok(names) => {
                let list: Vec<u8> = names.into_iter().flat_map(|name| [name.as_bytes(), b"\0"].concat()).collect();
                reply_xattr(reply, &list, size);
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn setattr(
        &self,
        _request: &Request,
        number: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        handle: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        self.set(number, &Wanted { size, mtime, handle }, reply);
    }

    fn mknod(&self, _: &Request, parent: INodeNo, name: &OsStr, _: u32, _: u32, _: u32, reply: ReplyEntry) {
        reply.error(self.refuse_at(parent, |directory| self.tree.make_other(directory, name)));
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, _: u32, _: u32, reply: ReplyEntry) {
        reply.error(self.refuse_at(parent, |directory| self.tree.make_other(directory, name)));
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let directory = self.node(parent);
        let done = directory.and_then(|node| self.tree.unlink(&node, name).map_err(|refusal| refused(&refusal)));
        self.answer(done, reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        reply.error(self.refuse_at(parent, |directory| self.tree.remove_directory(directory, name)));
    }

    fn symlink(&self, _: &Request, parent: INodeNo, name: &OsStr, _: &Path, reply: ReplyEntry) {
        reply.error(self.refuse_at(parent, |directory| self.tree.make_other(directory, name)));
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        self.answer(self.rename_entry((parent, name), (new_parent, new_name), flags), reply);
    }

    fn link(&self, _: &Request, _: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        reply.error(self.refuse_at(parent, |directory| self.tree.make_other(directory, name)));
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        self.create_file(parent, name, flags, request.pid(), reply);
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        bytes: &[u8],
        cached: WriteFlags,
        flags: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        // What comes from a mapping has its place, however the file was opened.
        let append = flags.0 & libc::O_APPEND != 0 && !cached.contains(WriteFlags::FUSE_WRITE_CACHE);
        match self.write_file(handle, offset, append, bytes) {
            Ok(()) => reply.written(u32::try_from(bytes.len()).unwrap_or(REQUEST)),
            Err(errno) => reply.error(errno),
        }
    }

    fn fallocate(&self, _: &Request, number: INodeNo, _: FileHandle, _: u64, _: u64, _: i32, reply: ReplyEmpty) {
        reply.error(self.refuse_at(number, |node| self.tree.set_other(node, "room set aside for them")));
    }

    fn lseek(&self, _: &Request, number: INodeNo, handle: FileHandle, offset: i64, whence: i32, reply: ReplyLseek) {
        let Some((offset, what)) = translate::place(offset, whence) else { return reply.error(Errno::EINVAL) };
        match self.seek(number, handle, offset, what).map(|found| found.map(i64::try_from)) {
            Ok(Some(Ok(offset))) => reply.offset(offset),
            Ok(Some(Err(_))) => reply.error(Errno::EOVERFLOW),
            Ok(None) => reply.error(Errno::ENXIO),
            Err(errno) => reply.error(errno),
        }
    }

    fn copy_file_range(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        number: INodeNo,
        _: FileHandle,
        _: u64,
        _: u64,
        _: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        // The kernel then copies with reads and writes.
        reply.error(self.refuse_at(number, |node| self.tree.set_other(node, "way to be copied by the vault")));
    }

    fn setxattr(&self, _: &Request, number: INodeNo, _: &OsStr, _: &[u8], _: i32, _: u32, reply: ReplyEmpty) {
        reply.error(self.refuse_at(number, |node| self.tree.set_other(node, XATTRS)));
    }

    fn removexattr(&self, _: &Request, number: INodeNo, _: &OsStr, reply: ReplyEmpty) {
        reply.error(self.refuse_at(number, |node| self.tree.set_other(node, XATTRS)));
    }

    fn fsync(&self, _: &Request, _: INodeNo, handle: FileHandle, _: bool, reply: ReplyEmpty) {
        if self.handles.written(handle).is_some() {
            self.with_written(handle, |open| self.tree.sync(open), reply);
        } else {
            self.sync_all(reply);
        }
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.sync_all(reply);
    }

    /// Unmounted: what was committed by closing files is made durable.
    fn destroy(&mut self) {
        if let Err(error) = self.tree.sync_all() {
            tracing::error!(target: "mirrordna::mount", %error, "what was written last may not survive a power cut");
        }
    }
}
