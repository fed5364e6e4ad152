//! Reading and writing.

use std::sync::Arc;

use crate::storage::{Durability, Ino, SLOT_BYTES};

use super::Artifacts;
use super::attributes::CUT_SLOTS;
use super::content::{Content, Fault, State, first_part};
use super::error::{FsError, Result};
use super::lock;
use super::namespace::Node;
use super::types::{Allocate, MAX_FILE_BYTES, Seek, WriteOptions};

/// A file whose content is worked on, so that it stays in memory.
pub(super) struct Held<'a> {
    artifacts: &'a Artifacts,
    ino: Ino,
    pub(super) content: Arc<Content>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut namespace = self.artifacts.namespace();
        if let Some(node) = namespace.nodes.get_mut(&self.ino) {
            node.users = node.users.saturating_sub(1);
        }
        namespace.released(self.ino);
    }
}

impl Artifacts {
    /// Keeps the content of a file in memory while it is worked on.
    pub(super) fn hold(&self, ino: Ino) -> Result<Held<'_>> {
        self.run(|namespace| {
            let content = namespace.content(ino, &self.budget)?;
            namespace.node(ino)?.users += 1;
            Ok(Held { artifacts: self, ino, content })
        })
    }

    /// Notes that the content of a file was changed, and changes its inode. To be called with the content's lock held.
    pub(super) fn changed(&self, ino: Ino, state: &State, change: impl FnOnce(&mut Node)) -> Option<super::Attributes> {
        let mut namespace = self.namespace();
        let node = namespace.nodes.get_mut(&ino)?;
        change(node);
        node.inode.size = state.size();
        node.inode.allocated = state.allocated();
        node.data_changed = true;
        let attributes = node.attributes();
        namespace.mark_dirty(ino);
        self.count_waiting(&namespace);
        Some(attributes)
    }

    /// Reads into `out`, and returns how many bytes: fewer only at the end of the file.
    ///
    /// # Errors
    /// [`FsError::Corrupt`] when what is stored is damaged, [`FsError::IsDirectory`], [`FsError::Invalid`] for what has no
    /// content, [`FsError::Stale`], and those of the storage.
    pub fn read(&self, ino: Ino, offset: u64, out: &mut [u8]) -> Result<usize> {
        let _entered = self.enter();
        let held = self.hold(ino)?;
        let state = held.content.read(&*self.storage)?;
        state.read(offset, out, self).map_err(|fault| damaged(ino, fault))
    }

    /// Writes, and returns how many bytes.
    ///
    /// # Errors
    /// [`FsError::NoSpace`], [`FsError::TooBig`], [`FsError::IsDirectory`], [`FsError::Invalid`] for what has no content,
    /// [`FsError::Stale`], and those of the storage.
    pub fn write(&self, ino: Ino, offset: u64, bytes: &[u8], options: WriteOptions) -> Result<usize> {
        check_range(offset, bytes.len() as u64)?;
        self.write_where(ino, |_| offset, bytes, options).map(|(written, _)| written)
    }

    /// Writes at the end of the file, wherever that is by then, and returns where it is now.
    ///
    /// # Errors
    /// As [`Artifacts::write`].
    pub fn write_at_end(&self, ino: Ino, bytes: &[u8], options: WriteOptions) -> Result<u64> {
        self.write_where(ino, State::size, bytes, options).map(|(_, end)| end)
    }

    /// Writes where `place` says, and returns how many bytes and where they end.
    fn write_where(
        &self,
        ino: Ino,
        place: impl FnOnce(&State) -> u64,
        bytes: &[u8],
        options: WriteOptions,
    ) -> Result<(usize, u64)> {
        let _entered = self.enter();
        if !bytes.is_empty() {
            self.make_room(bytes.len() as u64)?;
        }
        let held = self.hold(ino)?;
        let mut state = held.content.write(&*self.storage)?;
        let offset = place(&state);
        let end = check_range(offset, bytes.len() as u64)?;
        if bytes.is_empty() {
            return Ok((0, end));
        }
        let written = state.write(offset, bytes, self);
        let now = self.now();
        self.changed(ino, &state, |node| {
            if !options.keep_times {
                node.inode.mtime = now;
                node.inode.ctime = now;
            }
            if options.kill_set_id {
                node.kill_set_id();
            }
        });
        Ok((written?, end))
    }

    /// Makes room, holes or zeros in a range of a file.
    ///
    /// # Errors
    /// As [`Artifacts::write`], and [`FsError::Invalid`] for an empty range.
    pub fn allocate(&self, ino: Ino, how: Allocate, offset: u64, len: u64) -> Result<()> {
        let _entered = self.enter();
        if len == 0 {
            return Err(FsError::Invalid("an empty range".into()));
        }
        let end = check_range(offset, len)?;
        let (zero, extend) = match how {
            Allocate::Extend => (false, true),
            Allocate::KeepSize => (false, false),
            Allocate::PunchHole => (true, false),
            Allocate::ZeroRange { keep_size } => (true, !keep_size),
        };
        if zero {
            self.relieve()?;
        } else {
            self.make_room(len)?;
        }
        let held = self.hold(ino)?;
        let mut to = end;
        loop {
            let mut state = held.content.write(&*self.storage)?;
            let mut begin = offset;
            if zero {
                // From the end on, part by part, so that what is to be committed at once stays small.
                if state.slots_in(offset, to) > CUT_SLOTS {
                    begin = state.last_slots(offset, to, CUT_SLOTS);
                }
                state.punch(begin, to);
            }
            let done = begin == offset;
            if done && extend && end > state.size() {
                state.resize(end);
            }
            let now = self.now();
            self.changed(ino, &state, |node| {
                node.inode.mtime = now;
                node.inode.ctime = now;
            });
            drop(state);
            if done {
                return Ok(());
            }
            to = begin;
            self.commit_all(Durability::Buffered)?;
        }
    }

    /// The next data, or the next hole, at or after an offset.
    ///
    /// # Errors
    /// [`FsError::BeyondEnd`] when there is none, and as [`Artifacts::read`].
    pub fn seek(&self, ino: Ino, offset: u64, seek: Seek) -> Result<u64> {
        let _entered = self.enter();
        let held = self.hold(ino)?;
        let state = held.content.read(&*self.storage)?;
        state.seek(offset, seek == Seek::Data).ok_or(FsError::BeyondEnd)
    }

    /// Copies a range from one file to another, or within one, without copying what is on disk: both files show the same
    /// chunks. Returns how many bytes; fewer at the end of the file that is copied from.
    ///
    /// # Errors
    /// As [`Artifacts::read`] and [`Artifacts::write`], and [`FsError::Invalid`] when the ranges overlap.
    pub fn copy_range(&self, from: Ino, offset: u64, to: Ino, to_offset: u64, len: u64) -> Result<u64> {
        let _entered = self.enter();
        let source = self.hold(from)?;
        let target = self.hold(to)?;
        let size = source.content.read(&*self.storage)?.size();
        let len = len.min(size.saturating_sub(offset));
        if len == 0 {
            return Ok(0);
        }
        check_range(to_offset, len)?;
        if from == to && offset < to_offset.saturating_add(len) && to_offset < offset.saturating_add(len) {
            return Err(FsError::Invalid("the ranges overlap".into()));
        }
        let mut done = 0;
        while done < len {
            let copied = self
                .make_room(0)
                .and_then(|()| self.copy_part(&source, &target, offset + done, to_offset + done, len - done));
            match copied {
                Ok(copied) => done += copied,
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    /// Copies as much as lies in one slot of both files.
    fn copy_part(&self, source: &Held<'_>, target: &Held<'_>, offset: u64, to_offset: u64, len: u64) -> Result<u64> {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let (_, start, len) = first_part(offset, len);
        let (_, _, len) = first_part(to_offset, len);
        let part = u32::try_from(len).unwrap_or(SLOT_BYTES);
        // Nobody says in the meantime that a chunk is not needed any more, and no prune drops it.
        let mut shared = lock(&self.shared_chunks);
        self.namespace().lease.get_or_insert_with(|| self.storage.lease(self.storage.state().sequence));
        let pieces = {
            let mut state = source.content.write(&*self.storage)?;
            let pieces = state.share(offset, part, self)?;
            self.note_waiting(source.ino, &state);
            pieces
        };
        let mut state = target.content.write(&*self.storage)?;
        let adopted = state.adopt(to_offset, part, start, &pieces, self);
        shared.extend(pieces.iter().map(|piece| piece.chunk));
        let now = self.now();
        self.changed(target.ino, &state, |node| {
            node.inode.mtime = now;
            node.inode.ctime = now;
        });
        adopted.map_err(FsError::from).map(|()| u64::from(part))
    }

    /// Notes that content waits to be committed, if it does; the inode is as it was.
    fn note_waiting(&self, ino: Ino, state: &State) {
        if state.dirty() > 0 {
            self.changed(ino, state, |_| {});
        }
    }
}

/// The end of a range, which must lie within the largest file.
fn check_range(offset: u64, len: u64) -> Result<u64> {
    offset.checked_add(len).filter(|end| *end <= MAX_FILE_BYTES).ok_or(FsError::TooBig)
}

/// What a read that failed says, to who reads and to the log.
pub(super) fn damaged(ino: Ino, fault: Fault) -> FsError {
    let (from, to) = (fault.at, fault.at + fault.len as u64);
    match fault.source {
        source @ crate::storage::StorageError::Corrupt { .. } => {
            tracing::error!(target: "mirrordna::artifacts", ino, from, to, "content cannot be read: {source}");
            FsError::Corrupt { ino, from, to, source }
        }
        source => source.into(),
    }
}
