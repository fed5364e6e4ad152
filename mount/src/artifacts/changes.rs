//! Requests that change files, as far as they are more than a call.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use fuser::{Errno, INodeNo, ReplyEmpty, ReplyEntry, Request};
use mirrordna::artifacts::{Attributes, Caller, FsError, NewNode, SetAttributes};

use super::{ArtifactsFs, refuse};
use crate::fs::Answer;

/// Mode bits that make a program run as its owner or group.
const SET_ID: u32 = 0o6000;
/// Mode bits of what can be executed.
const EXECUTE: u32 = 0o111;

impl ArtifactsFs {
    /// Makes a change that has nothing to say but whether it was made.
    pub(super) fn change(&self, ino: INodeNo, reply: ReplyEmpty, change: impl FnOnce() -> Result<(), FsError>) {
        match self.writable().and_then(|()| change().map_err(|error| refuse(ino, &error))) {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(errno),
        }
    }

    pub(super) fn create_node(
        &self,
        caller: &Caller,
        parent: INodeNo,
        name: &OsStr,
        new: &NewNode<'_>,
        reply: ReplyEntry,
    ) {
        let made = self.writable().and_then(|()| {
            let made = self.artifacts.create(self.ino(parent), name.as_bytes(), new, caller);
            made.map_err(|error| refuse(parent, &error))
        });
        match made {
            Ok(attributes) => {
                self.names_changed(parent);
                self.entry(&attributes, reply);
            }
            Err(errno) => reply.error(errno),
        }
    }

    /// Opens what was opened to be emptied: with records on the connection, the kernel leaves that to the opening.
    pub(super) fn truncate_on_opening(&self, request: &Request, ino: INodeNo, flags: i32) -> Answer<()> {
        if flags & libc::O_TRUNC == 0 {
            return Ok(());
        }
        self.writable()?;
        if flags & libc::O_ACCMODE == libc::O_RDONLY {
            // The kernel asks whether a program runs from the file only when it opens it for writing, or afterwards.
            let found = self.artifacts.attributes(self.ino(ino)).map_err(|error| refuse(ino, &error))?;
            if found.mode & EXECUTE != 0 {
                return Err(Errno::ETXTBSY);
            }
        }
        let empty = SetAttributes { size: Some(0), kill_set_id: request.uid() != 0, ..SetAttributes::default() };
        let emptied =
            self.telling_the_mode(ino, empty.kill_set_id, || self.artifacts.set_attributes(self.ino(ino), &empty));
        emptied.map(drop).map_err(|error| refuse(ino, &error))
    }

    /// Makes a change that may take set-id bits away. The kernel, which left that to us, has to ask for the mode then.
    pub(super) fn telling_the_mode<T>(&self, ino: INodeNo, may_change: bool, change: impl FnOnce() -> T) -> T {
        let may_change =
            may_change && self.artifacts.attributes(self.ino(ino)).is_ok_and(|found| found.mode & SET_ID != 0);
        let done = change();
        if may_change && let Some(notifier) = self.notifier.get() {
            // Without a range it is about attributes alone, and waits for nothing.
            if let Err(error) = notifier.inval_inode(ino, -1, 0) {
                tracing::debug!(target: "mirrordna::mount", ino = ino.0, %error, "the kernel refused to drop a mode");
            }
        }
        done
    }

    /// Makes a change of content that takes set-id bits away, unless root asks. The kernel says of such changes nothing about them.
    pub(super) fn taking_set_id<T>(
        &self,
        request: &Request,
        ino: INodeNo,
        change: impl FnOnce() -> Result<T, FsError>,
    ) -> Result<T, FsError> {
        if request.uid() == 0 {
            return change();
        }
        self.telling_the_mode(ino, true, || {
            let done = change()?;
            if self.artifacts.attributes(self.ino(ino))?.mode & SET_ID != 0 {
                let without = SetAttributes { kill_set_id: true, ..SetAttributes::default() };
                self.artifacts.set_attributes(self.ino(ino), &without)?;
            }
            Ok(done)
        })
    }

    /// Makes a file that is not there, as far as the kernel knows, and opens it.
    pub(super) fn create_open(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        (mode, umask): (u32, u32),
        flags: i32,
    ) -> Answer<Attributes> {
        self.writable()?;
        let new = NewNode { exclusive: flags & libc::O_EXCL != 0, ..NewNode::file(mode & 0o7777) };
        let found = self.artifacts.create(self.ino(parent), name.as_bytes(), &new, &caller(request, umask));
        let found = found.map_err(|error| refuse(parent, &error))?;
        if found.size == 0 {
            return Ok(found);
        }
        // It was there.
        let number = self.sharing.number(found.ino);
        let emptied = self.truncate_on_opening(request, number, flags);
        let now = emptied.and_then(|()| self.artifacts.attributes(found.ino).map_err(|error| refuse(number, &error)));
        // The kernel is not told of it then.
        now.inspect_err(|_| self.artifacts.forget(found.ino, 1))
    }
}

/// Who asks. Permissions are checked by the kernel already.
pub(super) fn caller(request: &Request, umask: u32) -> Caller {
    Caller { uid: request.uid(), gid: request.gid(), umask }
}
