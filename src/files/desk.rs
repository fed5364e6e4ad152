//! Doing what is asked, in the process that owns the vault.

use crate::artifacts::{
    Artifacts, Attributes, Caller, Cursor, FileType, FsError, Ino, NewNode, SetAttributes, WriteOptions,
};
use crate::storage::Durability;

use super::path::{Follow, Held, Place, resolve};
use super::question::{Answer, Handle, How, Question};

/// Bytes that are read at once, at most: 1 MiB.
pub(super) const MOST_BYTES: u32 = 1 << 20;
/// Entries of a directory in one answer.
pub(super) const PAGE: usize = 1_024;

type Result<T> = std::result::Result<T, FsError>;

/// Answers questions.
pub(super) struct Desk<'a> {
    pub(super) artifacts: &'a Artifacts,
    /// See [`super::home`].
    pub(super) instance: u64,
}

impl Desk<'_> {
    pub(super) fn answer(&self, question: Question) -> Result<Answer> {
        let artifacts = self.artifacts;
        match question {
            Question::Open { path, how, caller } => self.open(&path, how, &caller),
            Question::Close { file } => {
                if file.instance == self.instance {
                    artifacts.forget(file.ino, 1);
                }
                Ok(Answer::Done)
            }
            Question::Read { file, offset, len } => {
                let ino = self.ino(file)?;
                let mut bytes = vec![0; len.min(MOST_BYTES) as usize];
                artifacts.write_back(ino, offset, Some(offset.saturating_add(bytes.len() as u64)));
                let read = artifacts.read(ino, offset, &mut bytes)?;
                bytes.truncate(read);
                Ok(Answer::Bytes { bytes })
            }
            Question::Write { file, offset, bytes } => self.write(self.ino(file)?, offset, &bytes),
            Question::Stat { path, follow } => {
                let follow = if follow { Follow::Always } else { Follow::IfSlash };
                let found = resolve(artifacts, &path, follow)?.found()?;
                Ok(Answer::Attributes { attributes: self.settled(found.attributes)? })
            }
            Question::StatOpen { file } => {
                let attributes = artifacts.attributes(self.ino(file)?)?;
                Ok(Answer::Attributes { attributes: self.settled(attributes)? })
            }
            Question::Set { path, set } => {
                let found = resolve(artifacts, &path, Follow::Always)?.found()?;
                self.set(found.attributes.ino, &set)
            }
            Question::SetOpen { file, set } => self.set(self.ino(file)?, &set),
            Question::List { ino, after, name: _ } => self.list(ino, after),
            Question::Make { path, target, caller } => {
                let place = resolve(artifacts, &path, Follow::Never)?;
                if place.is_there() {
                    return Err(FsError::Exists);
                }
                let new = match &target {
                    Some(target) => NewNode::symlink(target),
                    None => NewNode::directory(0o700),
                };
                let (parent, name) = if target.is_some() { place.named_file()? } else { place.named()? };
                let made = Held::new(artifacts, artifacts.create(parent, name, &new, &caller)?);
                artifacts.tell_of(&[parent, made.attributes.ino], &[(parent, name)]);
                Ok(Answer::Done)
            }
            Question::Remove { path, directory } => self.remove(&path, directory),
            Question::Rename { from, to, flags } => {
                let [from, to] = [from, to].map(|path| resolve(artifacts, &path, Follow::Never));
                let (from, to) = (from?, to?);
                from.may_become(&to)?;
                let ((parent, name), (new_parent, new_name)) = (from.named()?, to.named()?);
                artifacts.rename(parent, name, new_parent, new_name, flags)?;
                let inos: Vec<Ino> =
                    [Some(parent), Some(new_parent), from.ino(), to.ino()].into_iter().flatten().collect();
                artifacts.tell_of(&inos, &[(parent, name), (new_parent, new_name)]);
                Ok(Answer::Done)
            }
            Question::Link { from, to } => {
                let from = resolve(artifacts, &from, Follow::IfSlash)?.found()?;
                let to = resolve(artifacts, &to, Follow::Never)?;
                if to.is_there() {
                    return Err(FsError::Exists);
                }
                let (parent, name) = to.named_file()?;
                let linked = Held::new(artifacts, artifacts.link(from.attributes.ino, parent, name)?);
                artifacts.tell_of(&[parent, linked.attributes.ino], &[(parent, name)]);
                Ok(Answer::Done)
            }
            Question::ReadLink { path } => {
                let found = resolve(artifacts, &path, Follow::IfSlash)?.found()?;
                Ok(Answer::Bytes { bytes: artifacts.read_link(found.attributes.ino)? })
            }
            Question::Sync { file, data_only } => {
                match file {
                    Some(file) => artifacts.sync(self.ino(file)?, data_only)?,
                    None => artifacts.commit(Durability::Sync)?,
                }
                Ok(Answer::Done)
            }
            Question::Seek { file, offset, what } => {
                let ino = self.ino(file)?;
                artifacts.write_back(ino, 0, None);
                Ok(Answer::Count { count: artifacts.seek(ino, offset, what)? })
            }
        }
    }

    /// The inode of a file that was opened, here or in the memory of an owner before this one.
    fn ino(&self, file: Handle) -> Result<Ino> {
        let ino = file.ino;
        if file.instance != self.instance {
            let now = self.artifacts.attributes(ino)?;
            if now.btime != file.born || now.file_type != FileType::Regular {
                return Err(FsError::Stale { ino });
            }
        }
        Ok(ino)
    }

    fn open(&self, path: &[u8], how: How, caller: &Caller) -> Result<Answer> {
        let artifacts = self.artifacts;
        let follow = if how.exclusive { Follow::IfSlash } else { Follow::Always };
        let place = resolve(artifacts, path, follow)?;
        if how.exclusive && place.is_there() {
            return Err(FsError::Exists);
        }
        let found = if place.is_there() || !how.create { place.found()? } else { self.make(&place, how, caller)? };
        match found.attributes.file_type {
            FileType::Regular => {}
            FileType::Directory => return Err(FsError::IsDirectory),
            _ => return Err(FsError::Invalid("only an ordinary file has content".into())),
        }
        let mut attributes = self.settled(found.attributes)?;
        if how.truncate && attributes.size > 0 {
            attributes = self.changed(attributes.ino, &SetAttributes { size: Some(0), ..SetAttributes::default() })?;
        }
        found.keep();
        Ok(Answer::Opened { instance: self.instance, attributes })
    }

    /// Makes a file, or finds the one that somebody else made a moment ago.
    fn make<'p>(&'p self, place: &Place<'_>, how: How, caller: &Caller) -> Result<Held<'p>> {
        let (parent, name) = place.named_file()?;
        let new = NewNode { exclusive: how.exclusive, ..NewNode::file(how.mode) };
        let made = Held::new(self.artifacts, self.artifacts.create(parent, name, &new, caller)?);
        self.artifacts.tell_of(&[parent, made.attributes.ino], &[(parent, name)]);
        Ok(made)
    }

    fn write(&self, ino: Ino, offset: Option<u64>, bytes: &[u8]) -> Result<Answer> {
        let options = WriteOptions { kill_set_id: true, keep_times: false };
        let end = offset.map(|offset| offset.saturating_add(bytes.len() as u64));
        if let (Some(offset), Some(end)) = (offset, end) {
            self.artifacts.write_back(ino, offset, Some(end));
        }
        self.prepare_size(ino, |size| end.is_none_or(|end| end > size));
        let count = match offset {
            Some(offset) => self.artifacts.write(ino, offset, bytes, options)? as u64,
            None => self.artifacts.write_at_end(ino, bytes, options)?,
        };
        self.artifacts.tell_of(&[ino], &[]);
        Ok(Answer::Count { count })
    }

    /// To be called before a change that perhaps makes a file longer or shorter, as `changes` says of the size that it has.
    fn prepare_size(&self, ino: Ino, changes: impl Fn(u64) -> bool) {
        let changes = || changes(self.artifacts.attributes(ino).map_or(0, |found| found.size));
        if self.artifacts.is_watched() && changes() {
            self.artifacts.write_back(ino, 0, None);
            // A kernel may have had that length already.
            if changes() {
                self.artifacts.resizing(ino);
            }
        }
    }

    fn set(&self, ino: Ino, set: &SetAttributes) -> Result<Answer> {
        Ok(Answer::Attributes { attributes: self.changed(ino, set)? })
    }

    /// The attributes of a file when what a kernel has added to it is here, as far as that makes it longer.
    fn settled(&self, found: Attributes) -> Result<Attributes> {
        if found.file_type != FileType::Regular || !self.artifacts.is_watched() {
            return Ok(found);
        }
        self.artifacts.write_back(found.ino, found.size, None);
        self.artifacts.attributes(found.ino)
    }

    fn changed(&self, ino: Ino, set: &SetAttributes) -> Result<Attributes> {
        if let Some(wanted) = set.size {
            self.artifacts.write_back(ino, 0, None);
            self.prepare_size(ino, |size| size != wanted);
        }
        let attributes = self.artifacts.set_attributes(ino, set)?;
        self.artifacts.tell_of(&[ino], &[]);
        Ok(attributes)
    }

    fn list(&self, directory: Ino, after: u64) -> Result<Answer> {
        let (mut entries, mut damaged) = (Vec::<(Vec<u8>, Cursor, Attributes)>::new(), None);
        let listed = self.artifacts.list_with_attributes(directory, after, &mut |entry, attributes| {
            if entries.len() == PAGE {
                return false;
            }
            damaged = attributes.is_none().then_some(entry.ino);
            entries.extend(attributes.map(|attributes| (entry.name.to_vec(), entry.cursor, *attributes)));
            damaged.is_none()
        });
        for (_, _, attributes) in &entries {
            self.artifacts.forget(attributes.ino, 1);
        }
        listed?;
        if let Some(ino) = damaged {
            // It says why, unless it was made good meanwhile.
            self.artifacts.attributes(ino)?;
            return self.list(directory, after);
        }
        let more = entries.len() == PAGE;
        Ok(Answer::Entries { entries, more })
    }

    fn remove(&self, path: &[u8], directory: bool) -> Result<Answer> {
        let place = resolve(self.artifacts, path, Follow::Never)?;
        let (parent, name) = if directory { place.named()? } else { place.named_file()? };
        if directory {
            self.artifacts.rmdir(parent, name)?;
        } else {
            self.artifacts.unlink(parent, name)?;
        }
        let inos: Vec<Ino> = [Some(parent), place.ino()].into_iter().flatten().collect();
        self.artifacts.tell_of(&inos, &[(parent, name)]);
        Ok(Answer::Done)
    }
}
