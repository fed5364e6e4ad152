//! Requests that change something: each becomes a call of the tree, and is answered when what it changed is dropped from
//! the kernel's caches.

use std::ffi::OsStr;
use std::time::{Duration, SystemTime};

use fuser::{
    Errno, FileAttr, FileHandle, FopenFlags, Generation, INodeNo, RenameFlags, ReplyAttr, ReplyCreate, ReplyEmpty,
    TimeOrNow,
};
use mirrordna::tree::{Effects, Offset, OpenFile, Written};

use crate::errno::refused;
use crate::fs::{Answer, VaultFs};
use crate::handles::{Handle, Writer};

/// What a request asks to be set.
pub(crate) struct Wanted {
    pub(crate) size: Option<u64>,
    pub(crate) mtime: Option<TimeOrNow>,
    pub(crate) handle: Option<FileHandle>,
}

impl VaultFs {
    pub(crate) fn create_file(&self, parent: INodeNo, name: &OsStr, flags: i32, process: u32, reply: ReplyCreate) {
        let created = self.node(parent).and_then(|directory| {
            let (exclusive, truncate) = (flags & libc::O_EXCL != 0, flags & libc::O_TRUNC != 0);
            let created = self.tree.create(&directory, name, exclusive, truncate);
            let (node, open) = created.map_err(|refusal| refused(&refusal))?;
            let number = self.inodes.look_up(parent, &node);
            Ok((self.written_attributes(number, &open)?, Writer { open, inode: number, process }))
        });
        match created {
            Ok((attr, writer)) => {
                let handle = self.handles.open(Handle::Written(writer));
                reply.created(&Duration::ZERO, &attr, Generation(0), handle, FopenFlags::FOPEN_DIRECT_IO);
            }
            Err(errno) => reply.error(errno),
        }
    }

    /// The attributes of an open file as whoever writes it sees them.
    pub(crate) fn written_attributes(&self, number: INodeNo, open: &OpenFile) -> Answer<FileAttr> {
        let attributes = open.attributes().map_err(|refusal| refused(&refusal))?;
        Ok(self.attr(number, &attributes, true))
    }

    /// What the process that asks has open for writing under this number.
    pub(crate) fn written_by(&self, number: INodeNo, process: u32) -> Option<OpenFile> {
        let node = self.inodes.node(number).filter(|node| self.tree.is_being_written(node));
        node.and_then(|_| self.handles.written_by(number, process))
    }

    pub(crate) fn write_file(&self, handle: FileHandle, offset: u64, append: bool, bytes: &[u8]) -> Answer<()> {
        let open = self.handles.written(handle).ok_or(Errno::EBADF)?;
        let offset = if append { Offset::End } else { Offset::At(offset) };
        self.tree.write(&open, offset, bytes).map_err(|refusal| refused(&refusal))
    }

    pub(crate) fn set(&self, number: INodeNo, wanted: &Wanted, reply: ReplyAttr) {
        let open = wanted.handle.and_then(|handle| self.handles.written(handle));
        let done = self.set_now(number, wanted, open.as_ref()).and_then(|effects| {
            let (attr, keep) = match &open {
                Some(open) => (self.written_attributes(number, open)?, Duration::ZERO),
                None => self.node(number).and_then(|node| self.attributes(number, &node))?,
            };
            // The kernel takes the attributes as those of before, if it drops some in between.
            Ok((attr, if effects.changed.is_empty() { keep } else { Duration::ZERO }, effects))
        });
        match done {
            Ok((attr, keep, effects)) => self.invalidator.answer(&effects, move || reply.attr(&keep, &attr)),
            Err(errno) => reply.error(errno),
        }
    }

    fn set_now(&self, number: INodeNo, wanted: &Wanted, open: Option<&OpenFile>) -> Answer<Effects> {
        let node = self.node(number)?;
        let no = |refusal| refused(&refusal);
        let mut effects = Effects::default();
        match (wanted.size, open) {
            (None, _) => self.tree.set_attributes(&node).map_err(no)?,
            (Some(len), Some(open)) => self.tree.set_len(open, len).map_err(no)?,
            (Some(len), None) => effects = self.tree.truncate(&node, len).map_err(no)?,
        }
        if let Some(mtime) = wanted.mtime {
            let time = match mtime {
                TimeOrNow::SpecificTime(time) => time,
                TimeOrNow::Now => SystemTime::now(),
            };
            self.tree.set_modified(&node, time).map_err(no)?;
        }
        Ok(effects)
    }

    pub(crate) fn rename_entry(
        &self,
        from: (INodeNo, &OsStr),
        to: (INodeNo, &OsStr),
        flags: RenameFlags,
    ) -> Answer<Effects> {
        if !(flags - RenameFlags::RENAME_NOREPLACE).is_empty() {
            return Err(Errno::EINVAL);
        }
        let (old, new) = (self.node(from.0)?, self.node(to.0)?);
        let replace = !flags.contains(RenameFlags::RENAME_NOREPLACE);
        self.tree.rename((&old, from.1), (&new, to.1), replace).map_err(|refusal| refused(&refusal))
    }

    /// A descriptor was closed, or is to be made durable.
    pub(crate) fn with_written(
        &self,
        handle: FileHandle,
        work: impl FnOnce(&OpenFile) -> Written<Effects>,
        reply: ReplyEmpty,
    ) {
        match self.handles.written(handle) {
            Some(open) => self.answer(work(&open).map_err(|refusal| refused(&refusal)), reply),
            None => reply.ok(),
        }
    }

    /// The last descriptor was closed.
    pub(crate) fn close_file(&self, handle: FileHandle, reply: ReplyEmpty) {
        match self.handles.close(handle) {
            Some(Handle::Written(writer)) => self.answer(Ok(self.tree.close(writer.open)), reply),
            _ => reply.ok(),
        }
    }

    pub(crate) fn sync_all(&self, reply: ReplyEmpty) {
        self.answer(self.tree.sync_all().map(|()| Effects::default()).map_err(|refusal| refused(&refusal)), reply);
    }

    /// Answers when the content that was changed is dropped from the kernel's caches.
    pub(crate) fn answer(&self, done: Answer<Effects>, reply: ReplyEmpty) {
        match done {
            Ok(effects) => self.invalidator.answer(&effects, move || reply.ok()),
            Err(errno) => reply.error(errno),
        }
    }

    /// Answers what is never done.
    pub(crate) fn refuse_at(
        &self,
        number: INodeNo,
        refusal: impl FnOnce(&mirrordna::tree::Node) -> Written<()>,
    ) -> Errno {
        match self.node(number).map(|node| refusal(&node)) {
            Ok(Err(refusal)) => refused(&refusal),
            Ok(Ok(())) => Errno::EPERM,
            Err(errno) => errno,
        }
    }
}
