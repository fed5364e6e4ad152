//! Records and files over one connection, for those who cannot mount one inside the other: each request goes to where its
//! inode number belongs.
//!
//! The kernel treats all of a connection alike, so files do without what records cannot have: the kernel does not collect
//! what is written to them, and asks for each opening and closing.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use fuser::{
    BsdFileFlags, CopyFileRangeFlags, Errno, FileHandle, Filesystem, INodeNo, IoctlFlags, KernelConfig, LockOwner,
    OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty,
    ReplyEntry, ReplyIoctl, ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};

use crate::artifacts::requests as files;
use crate::artifacts::{ArtifactsFs, is_artifact};
use crate::connection::agree;
use crate::fs::VaultFs;
use crate::requests as records;

/// Records and files over one connection.
pub(crate) struct Router {
    records: VaultFs,
    files: Arc<ArtifactsFs>,
}

impl Router {
    pub(crate) fn new(records: VaultFs, files: Arc<ArtifactsFs>) -> Self {
        Self { records, files }
    }
}

/// Requests that concern one inode.
macro_rules! by_inode {
    ($($request:ident($($argument:ident: $type:ty),*);)*) => {$(
        fn $request(&self, request: &Request, ino: INodeNo, $($argument: $type),*) {
            if is_artifact(ino) {
                self.files.$request(request, ino, $($argument),*);
            } else {
                self.records.$request(request, ino, $($argument),*);
            }
        }
    )*};
}

impl Filesystem for Router {
    fn init(&mut self, _request: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // Of both, but that the kernel collects no writes.
        agree(config, records::WANTED | files::WANTED);
        Ok(())
    }

    fn destroy(&mut self) {
        self.records.destroy();
    }

    by_inode! {
        forget(lookups: u64);
        lookup(name: &OsStr, reply: ReplyEntry);
        getattr(handle: Option<FileHandle>, reply: ReplyAttr);
        setattr(
            mode: Option<u32>, uid: Option<u32>, gid: Option<u32>, size: Option<u64>, atime: Option<TimeOrNow>,
            mtime: Option<TimeOrNow>, ctime: Option<SystemTime>, handle: Option<FileHandle>, crtime: Option<SystemTime>,
            chgtime: Option<SystemTime>, bkuptime: Option<SystemTime>, flags: Option<BsdFileFlags>, reply: ReplyAttr
        );
        readlink(reply: ReplyData);
        mknod(name: &OsStr, mode: u32, umask: u32, rdev: u32, reply: ReplyEntry);
        mkdir(name: &OsStr, mode: u32, umask: u32, reply: ReplyEntry);
        unlink(name: &OsStr, reply: ReplyEmpty);
        rmdir(name: &OsStr, reply: ReplyEmpty);
        symlink(name: &OsStr, target: &Path, reply: ReplyEntry);
        create(name: &OsStr, mode: u32, umask: u32, flags: i32, reply: ReplyCreate);
        open(flags: OpenFlags, reply: ReplyOpen);
        read(
            handle: FileHandle, offset: u64, size: u32, flags: OpenFlags, owner: Option<LockOwner>, reply: ReplyData
        );
        write(
            handle: FileHandle, offset: u64, data: &[u8], write_flags: WriteFlags, flags: OpenFlags,
            owner: Option<LockOwner>, reply: ReplyWrite
        );
        flush(handle: FileHandle, owner: LockOwner, reply: ReplyEmpty);
        release(handle: FileHandle, flags: OpenFlags, owner: Option<LockOwner>, flush: bool, reply: ReplyEmpty);
        fsync(handle: FileHandle, datasync: bool, reply: ReplyEmpty);
        opendir(flags: OpenFlags, reply: ReplyOpen);
        readdir(handle: FileHandle, offset: u64, reply: ReplyDirectory);
        readdirplus(handle: FileHandle, offset: u64, reply: ReplyDirectoryPlus);
        releasedir(handle: FileHandle, flags: OpenFlags, reply: ReplyEmpty);
        fsyncdir(handle: FileHandle, datasync: bool, reply: ReplyEmpty);
        statfs(reply: ReplyStatfs);
        setxattr(name: &OsStr, value: &[u8], flags: i32, position: u32, reply: ReplyEmpty);
        getxattr(name: &OsStr, size: u32, reply: ReplyXattr);
        listxattr(size: u32, reply: ReplyXattr);
        removexattr(name: &OsStr, reply: ReplyEmpty);
        fallocate(handle: FileHandle, offset: u64, length: u64, mode: i32, reply: ReplyEmpty);
        lseek(handle: FileHandle, offset: i64, whence: i32, reply: ReplyLseek);
        ioctl(handle: FileHandle, flags: IoctlFlags, command: u32, input: &[u8], room: u32, reply: ReplyIoctl);
    }

    fn rename(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        match (is_artifact(parent), is_artifact(new_parent)) {
            (true, true) => self.files.rename(request, parent, name, new_parent, new_name, flags, reply),
            (false, false) => self.records.rename(request, parent, name, new_parent, new_name, flags, reply),
            // As between two file systems: programs then copy.
            _ => reply.error(Errno::EXDEV),
        }
    }

    fn link(&self, request: &Request, ino: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match (is_artifact(ino), is_artifact(parent)) {
            (true, true) => self.files.link(request, ino, parent, name, reply),
            (false, false) => self.records.link(request, ino, parent, name, reply),
            _ => reply.error(Errno::EXDEV),
        }
    }

    fn copy_file_range(
        &self,
        request: &Request,
        from: INodeNo,
        from_handle: FileHandle,
        from_offset: u64,
        to: INodeNo,
        to_handle: FileHandle,
        to_offset: u64,
        length: u64,
        flags: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        match (is_artifact(from), is_artifact(to)) {
            (true, true) => self.files.copy_file_range(
                request,
                from,
                from_handle,
                from_offset,
                to,
                to_handle,
                to_offset,
                length,
                flags,
                reply,
            ),
            (false, false) => self.records.copy_file_range(
                request,
                from,
                from_handle,
                from_offset,
                to,
                to_handle,
                to_offset,
                length,
                flags,
                reply,
            ),
            // The kernel then copies with reads and writes.
            _ => reply.error(Errno::EXDEV),
        }
    }
}
