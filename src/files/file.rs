//! An open file.

use std::io;
use std::path::{Path, PathBuf};

use crate::artifacts::{Attributes, FsError, Seek, SetAttributes};
use crate::storage::Asking;

use super::desk::MOST_BYTES;
use super::error::FileError;
use super::question::{Answer, Handle, How, Question};
use super::unsynced::Unsynced;
use super::{Files, Result, bytes, caller, unexpected};

/// How a file is opened, as [`std::fs::OpenOptions`] says it for any other: for reading unless something else is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFile {
    read: bool,
    write: bool,
    append: bool,
    how: How,
}

impl Default for OpenFile {
    fn default() -> Self {
        Self::new()
    }
}

impl OpenFile {
    /// Neither for reading nor for writing; what is made has the mode 0600.
    #[must_use]
    pub const fn new() -> Self {
        let how = How { create: false, exclusive: false, truncate: false, mode: 0o600 };
        Self { read: false, write: false, append: false, how }
    }

    /// For reading.
    #[must_use]
    pub const fn read(mut self, read: bool) -> Self {
        self.read = read;
        self
    }

    /// For writing.
    #[must_use]
    pub const fn write(mut self, write: bool) -> Self {
        self.write = write;
        self
    }

    /// For writing at the end, wherever that is by then.
    #[must_use]
    pub const fn append(mut self, append: bool) -> Self {
        self.append = append;
        self
    }

    /// It is made when it is not there.
    #[must_use]
    pub const fn create(mut self, create: bool) -> Self {
        self.how.create = create;
        self
    }

    /// It is made, and must not be there, not even as a symbolic link.
    #[must_use]
    pub const fn create_new(mut self, create_new: bool) -> Self {
        self.how.exclusive = create_new;
        self.how.create |= create_new;
        self
    }

    /// What is in it goes.
    #[must_use]
    pub const fn truncate(mut self, truncate: bool) -> Self {
        self.how.truncate = truncate;
        self
    }

    /// The mode of a file that is made; there is no mask.
    #[must_use]
    pub const fn mode(mut self, mode: u32) -> Self {
        self.how.mode = mode;
        self
    }

    const fn writes(self) -> bool {
        self.write || self.append
    }
}

/// An open file of the artifacts. Several threads may use it; the position, which [`io::Read`], [`io::Write`] and
/// [`io::Seek`] move, belongs to this handle.
///
/// When the process that owns the vault ends, the file goes on with the next owner. What was written and not synced by then
/// may be lost, as after a crash of one's own, and a file without a name is gone.
pub struct File {
    files: Files,
    path: PathBuf,
    how: OpenFile,
    handle: Handle,
    position: u64,
    unsynced: Unsynced,
}

impl File {
    pub(super) fn open(files: &Files, path: &Path, how: &OpenFile) -> Result<Self> {
        if !how.writes() && (how.how.create || how.how.truncate) {
            let why = "a file that is made or cut is opened for writing".into();
            return Err(FileError::new(path, FsError::Invalid(why)));
        }
        if how.writes() && files.is_past() {
            return Err(FileError::new(path, FsError::ReadOnly));
        }
        let question = || Question::Open { path: bytes(path), how: how.how, caller: caller() };
        let unsynced = Unsynced::default();
        let open = || files.ask(path, Asking::Holding, question);
        let opened = if how.how.create || how.how.truncate {
            files.changing(&unsynced, || files.changing_all(open))
        } else {
            open()
        };
        match opened? {
            Answer::Opened { instance, attributes } => Ok(Self {
                files: files.clone(),
                path: path.to_owned(),
                how: *how,
                handle: Handle { ino: attributes.ino, instance, born: attributes.btime },
                position: 0,
                unsynced,
            }),
            other => Err(unexpected(path, &other)),
        }
    }

    fn ask(&self, how: Asking, question: impl Fn() -> Question) -> Result<Answer> {
        let ask = || self.files.ask(&self.path, how, question);
        if how.changes() { self.files.changing(&self.unsynced, ask) } else { ask() }
    }

    fn error(&self, source: FsError) -> FileError {
        FileError::new(&self.path, source)
    }

    fn may(&self, may: bool, what: &'static str) -> Result<()> {
        if may { Ok(()) } else { Err(self.error(FsError::NotPermitted(what.into()))) }
    }

    /// What `fstat` says of it.
    ///
    /// # Errors
    /// [`FsError::Stale`] when it is gone, and those of the storage.
    pub fn metadata(&self) -> Result<Attributes> {
        match self.ask(Asking::Read, || Question::StatOpen { file: self.handle })? {
            Answer::Attributes { attributes } => Ok(attributes),
            other => Err(unexpected(&self.path, &other)),
        }
    }

    /// Changes its attributes.
    ///
    /// # Errors
    /// As [`Files::set_attributes`].
    pub fn set_attributes(&self, set: &SetAttributes) -> Result<Attributes> {
        match self.ask(super::setting(set), || Question::SetOpen { file: self.handle, set: *set })? {
            Answer::Attributes { attributes } => Ok(attributes),
            other => Err(unexpected(&self.path, &other)),
        }
    }

    /// Cuts it, or makes it longer with zeros.
    ///
    /// # Errors
    /// [`FsError::NotPermitted`] when it was not opened for writing, [`FsError::TooBig`], [`FsError::NoSpace`], and those of the
    /// storage.
    pub fn set_len(&self, size: u64) -> Result<()> {
        self.may(self.how.writes(), NOT_FOR_WRITING)?;
        self.set_attributes(&SetAttributes { size: Some(size), kill_set_id: true, ..SetAttributes::default() })
            .map(drop)
    }

    /// Reads from an offset on into `out`, and returns how many bytes: 0 at the end, and perhaps fewer than there is room for.
    ///
    /// # Errors
    /// [`FsError::NotPermitted`] when it was not opened for reading, [`FsError::Corrupt`] when what is stored is damaged, and those
    /// of the storage.
    pub fn read_at(&self, out: &mut [u8], offset: u64) -> Result<usize> {
        self.may(self.how.read, NOT_FOR_READING)?;
        let len = u32::try_from(out.len()).unwrap_or(u32::MAX).min(MOST_BYTES);
        if len == 0 {
            return Ok(0);
        }
        match self.ask(Asking::Read, || Question::Read { file: self.handle, offset, len })? {
            Answer::Bytes { bytes } => match out.get_mut(..bytes.len()) {
                Some(out) => {
                    out.copy_from_slice(&bytes);
                    Ok(bytes.len())
                }
                None => Err(unexpected(&self.path, &Answer::Done)),
            },
            other => Err(unexpected(&self.path, &other)),
        }
    }

    /// Reads what follows what was read. False at the end.
    pub(super) fn read_more(&self, content: &mut Vec<u8>) -> Result<bool> {
        let offset = content.len() as u64;
        match self.ask(Asking::Read, || Question::Read { file: self.handle, offset, len: MOST_BYTES })? {
            Answer::Bytes { bytes } => {
                content.extend_from_slice(&bytes);
                Ok(!bytes.is_empty())
            }
            other => Err(unexpected(&self.path, &other)),
        }
    }

    /// Writes at an offset; a file that is opened for appending, at its end. Returns how many bytes: all, unless they are more
    /// than 1 MiB.
    ///
    /// # Errors
    /// [`FsError::NotPermitted`] when it was not opened for writing, [`FsError::NoSpace`], [`FsError::TooBig`], and those of the
    /// storage; [`StorageError::Unanswered`](crate::storage::StorageError::Unanswered) when it is not known whether something was
    /// appended.
    pub fn write_at(&self, content: &[u8], offset: u64) -> Result<usize> {
        self.written(content, offset).map(|(written, _)| written)
    }

    /// Writes, and returns how many bytes and where they end.
    fn written(&self, content: &[u8], offset: u64) -> Result<(usize, u64)> {
        self.may(self.how.writes(), NOT_FOR_WRITING)?;
        let (now, _) = content.split_at(content.len().min(MOST_BYTES as usize));
        if now.is_empty() {
            return Ok((0, offset));
        }
        let (how, at) = if self.how.append { (Asking::Once, None) } else { (Asking::Repeatable, Some(offset)) };
        match self.ask(how, || Question::Write { file: self.handle, offset: at, bytes: now.to_vec() })? {
            Answer::Count { count } if self.how.append => Ok((now.len(), count)),
            Answer::Count { count } => {
                Ok((usize::try_from(count).unwrap_or(now.len()).min(now.len()), offset.saturating_add(count)))
            }
            other => Err(unexpected(&self.path, &other)),
        }
    }

    /// Writes all of it at an offset.
    ///
    /// # Errors
    /// As [`File::write_at`]; then a part may have been written.
    pub fn write_all_at(&self, mut content: &[u8], mut offset: u64) -> Result<()> {
        while !content.is_empty() {
            let written = self.write_at(content, offset)?;
            content = content.get(written..).unwrap_or_default();
            offset = offset.saturating_add(written as u64);
        }
        Ok(())
    }

    /// The next data, or the next hole, at or after an offset.
    ///
    /// # Errors
    /// [`FsError::BeyondEnd`] when there is none, and those of the storage.
    pub fn find(&self, offset: u64, what: Seek) -> Result<u64> {
        match self.ask(Asking::Read, || Question::Seek { file: self.handle, offset, what })? {
            Answer::Count { count } => Ok(count),
            other => Err(unexpected(&self.path, &other)),
        }
    }

    /// Makes it durable: its content, its attributes, and its names.
    ///
    /// # Errors
    /// [`FsError::NoSpace`], and those of the storage; once [`StorageError::Corrupt`](crate::storage::StorageError::Corrupt) when
    /// another process owned the vault and died since this file was written to: what was written may be lost.
    pub fn sync(&self) -> Result<()> {
        self.synced(false)
    }

    /// As [`File::sync`], without what only concerns times.
    ///
    /// # Errors
    /// As [`File::sync`].
    pub fn sync_data(&self) -> Result<()> {
        self.synced(true)
    }

    fn synced(&self, data_only: bool) -> Result<()> {
        let question = || Question::Sync { file: Some(self.handle), data_only };
        self.files.synced(&self.path, Some(&self.unsynced), question)
    }
}

const NOT_FOR_READING: &str = "it was not opened for reading";
const NOT_FOR_WRITING: &str = "it was not opened for writing";

impl Drop for File {
    fn drop(&mut self) {
        let close = || Question::Close { file: self.handle };
        if let Err(error) = self.ask(Asking::Holding, close) {
            tracing::debug!(target: "mirrordna::files", %error, "a file was closed by the end of its owner");
        }
    }
}

impl io::Read for File {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.read_at(out, self.position)?;
        self.position += read as u64;
        Ok(read)
    }
}

impl io::Write for File {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        let (written, end) = self.written(content, self.position)?;
        self.position = end;
        Ok(written)
    }

    /// There is nothing to be done: what was written is seen by everybody. [`File::sync`] makes it durable.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl io::Seek for File {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        let (from, by) = match to {
            io::SeekFrom::Start(position) => (position, 0),
            io::SeekFrom::Current(by) => (self.position, by),
            io::SeekFrom::End(by) => (self.metadata()?.size, by),
        };
        let position = from.checked_add_signed(by);
        let before = || self.error(FsError::Invalid("a position before the beginning, or beyond all files".into()));
        self.position = position.ok_or_else(before)?;
        Ok(self.position)
    }
}
