//! Asking for attributes, and changing them.

use crate::record::FileType;
use crate::storage::{Durability, Ino};

use super::Artifacts;
use super::create::{ALL_MODE_BITS, GROUP_EXECUTE, SET_GID, SET_UID};
use super::error::{FsError, Result};
use super::namespace::{ChangedIn, Node};
use super::types::{Attributes, MAX_FILE_BYTES, Nanos, SetAttributes, SetTime};

/// The capabilities of a program, which somebody else's write takes away as it does the set-id bits.
const CAPABILITIES: &[u8] = b"security.capability";
/// Slots that are cut in one step, so that they fit one commit.
pub(super) const CUT_SLOTS: usize = 30_000;

impl Node {
    /// Takes away what makes a program run with more rights than those of its caller.
    pub(super) fn kill_set_id(&mut self) {
        let inode = &mut self.inode;
        if inode.file_type == FileType::Directory {
            return;
        }
        inode.mode &= !SET_UID;
        if inode.mode & GROUP_EXECUTE != 0 {
            inode.mode &= !SET_GID;
        }
        inode.xattrs.remove(CAPABILITIES);
    }

    fn set(&mut self, set: &SetAttributes, now: Nanos) {
        let chosen = |time: SetTime| match time {
            SetTime::Now => now,
            SetTime::At(time) => time,
        };
        if set.kill_set_id || set.uid.is_some() || set.gid.is_some() {
            self.kill_set_id();
        }
        let inode = &mut self.inode;
        if let Some(mode) = set.mode {
            inode.mode = mode & ALL_MODE_BITS;
        }
        inode.uid = set.uid.unwrap_or(inode.uid);
        inode.gid = set.gid.unwrap_or(inode.gid);
        inode.atime = set.atime.map_or(inode.atime, chosen);
        match set.mtime {
            Some(mtime) => inode.mtime = chosen(mtime),
            None if set.size.is_some() => inode.mtime = now,
            None => {}
        }
        inode.ctime = set.ctime.unwrap_or(now);
    }
}

impl SetAttributes {
    fn changes(&self) -> ChangedIn {
        let owner = self.uid.is_some() || self.gid.is_some();
        let others = owner || self.mode.is_some() || self.size.is_some() || self.kill_set_id;
        if others { ChangedIn::Attributes } else { ChangedIn::Times }
    }
}

impl Artifacts {
    /// What `stat` says of a file.
    ///
    /// # Errors
    /// [`FsError::Stale`] when it is gone, and those of the storage.
    pub fn attributes(&self, ino: Ino) -> Result<Attributes> {
        let _entered = self.enter();
        self.run(|namespace| Ok(namespace.node(ino)?.attributes()))
    }

    /// Changes attributes. All of them, or none; but a cut of very much content is several steps.
    ///
    /// # Errors
    /// [`FsError::IsDirectory`] and [`FsError::Invalid`] for the size of what is no ordinary file, [`FsError::TooBig`],
    /// [`FsError::Stale`], and those of the storage.
    pub fn set_attributes(&self, ino: Ino, set: &SetAttributes) -> Result<Attributes> {
        let _entered = self.enter();
        self.relieve()?;
        let Some(size) = set.size else {
            let now = self.now();
            return self.run(|namespace| {
                let node = namespace.node(ino)?;
                node.set(set, now);
                let attributes = node.attributes();
                namespace.touch(ino, set.changes());
                Ok(attributes)
            });
        };
        if size > MAX_FILE_BYTES {
            return Err(FsError::TooBig);
        }
        let held = self.hold(ino)?;
        loop {
            let mut state = held.content.write(&*self.storage)?;
            let end = state.size();
            let step =
                if state.slots_in(size, end) > CUT_SLOTS { state.last_slots(size, end, CUT_SLOTS) } else { size };
            state.resize(step);
            let now = self.now();
            let attributes = self.changed(ino, &state, |node| node.set(set, now));
            drop(state);
            if step <= size {
                return attributes.ok_or(FsError::Stale { ino });
            }
            self.commit_all(Durability::Buffered)?;
        }
    }
}
