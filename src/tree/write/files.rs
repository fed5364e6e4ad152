//! Open files that can be written: drafts of records, and scratch files.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::record::{FileType, Kind, RecordError, json};
use crate::storage::{Durability, record_file};
use crate::vault::Error;

use super::super::node::{At, Directory, Item, Node};
use super::super::{Attributes, Tree, members};
use super::commit::Became;
use super::draft::{Draft, Over, Standing, State};
use super::scratch::ScratchFile;
use super::{Effects, Refusal, Writing, Written};

/// A file that is open for writing. Clones are the same open file.
#[derive(Clone)]
pub struct OpenFile(Opened);

#[derive(Clone)]
enum Opened {
    Draft(Arc<Draft>),
    Scratch { scratch: Arc<ScratchFile>, file: Arc<File> },
}

/// Where bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offset {
    /// To this place.
    At(u64),
    /// To the end, wherever that is.
    End,
}

impl OpenFile {
    pub(super) fn of_draft(draft: Arc<Draft>) -> Self {
        Self(Opened::Draft(draft))
    }

    pub(super) fn of_scratch(scratch: Arc<ScratchFile>, file: Arc<File>) -> Self {
        Self(Opened::Scratch { scratch, file })
    }

    /// At most `size` bytes from `offset` on; fewer only at the end.
    ///
    /// # Errors
    /// Those of reading a scratch file.
    pub fn read(&self, offset: u64, size: usize) -> Written<Vec<u8>> {
        match &self.0 {
            Opened::Draft(draft) => {
                let state = draft.state();
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(state.text.len());
                let end = start.saturating_add(size).min(state.text.len());
                Ok(state.text.get(start..end).unwrap_or_default().to_vec())
            }
            Opened::Scratch { scratch, file } => {
                let mut bytes = vec![0; size];
                let mut read = 0;
                while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
                    match file.read_at(rest, offset.saturating_add(read as u64)) {
                        Ok(0) => break,
                        Ok(more) => read += more,
                        Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                        Err(error) => return Err(failed(scratch, error)),
                    }
                }
                bytes.truncate(read);
                Ok(bytes)
            }
        }
    }

    /// Its length and times as whoever writes it sees them.
    ///
    /// # Errors
    /// Those of a scratch file.
    pub fn attributes(&self) -> Written<Attributes> {
        match &self.0 {
            Opened::Draft(draft) => Ok(of_draft(draft)),
            Opened::Scratch { scratch, file } => {
                let len = file.metadata().map_err(|error| failed(scratch, error))?.len();
                let modified = file.metadata().and_then(|found| found.modified());
                let modified = modified.map_err(|error| failed(scratch, error))?;
                Ok(Attributes::new(FileType::Regular, len, super::scratch::timestamp(modified)))
            }
        }
    }
}

pub(super) fn failed(scratch: &ScratchFile, source: std::io::Error) -> Refusal {
    let path = scratch.path();
    Refusal::Vault { source: Error::Io { path: PathBuf::from(&path), source }, path }
}

pub(super) fn of_draft(draft: &Draft) -> Attributes {
    let state = draft.state();
    Attributes::new(FileType::Regular, state.text.len() as u64, state.modified)
}

impl Writing {
    /// A draft over a record that is there, or over what somebody else writes as a new one.
    fn draft(&self, kind: Kind, id: &str, node: &Node, truncate: bool) -> Written<Arc<Draft>> {
        let failed = |source: Error| Refusal::Vault { path: node.to_string(), source };
        let (text, directory, over) = if let Some((text, over)) = self.text(kind, id).map_err(failed)? {
            (text, over.directory, Some(over))
        } else {
            let other = self.shown(kind, id).map_err(failed)?;
            let other = other.ok_or_else(|| Refusal::Missing { path: node.to_string() })?;
            let state = other.state();
            (state.text.to_vec(), state.directory, state.over)
        };
        let text = self.drafts.text(node.to_string(), if truncate { Vec::new() } else { text })?;
        let modified = self.vault.now();
        let state = State { text, directory, dirty: truncate, over, standing: Standing::Open, modified };
        Ok(self.drafts.open(kind, id, state))
    }

    /// What the file of a record holds, and which record it is.
    pub(super) fn text(&self, kind: Kind, id: &str) -> crate::vault::Result<Option<(Vec<u8>, Over)>> {
        let Some(version) = self.vault.present().version(kind, id)? else { return Ok(None) };
        let record = json::parse(&version.json).map_err(RecordError::from)?;
        let directory = Directory::of(kind, members::tier_of_terms(&version.terms));
        Ok(Some((record_file(&record), Over { birth: version.birth, directory })))
    }
}

impl Tree {
    /// The part of the tree that writes, for what lies in the present and is not made by the vault.
    pub(super) fn writing_at(&self, node: &Node) -> Written<&Writing> {
        match (&node.at, &self.writing) {
            (_, None) => Err(Refusal::ReadOnly { path: node.to_string() }),
            (At::Past(_), _) => Err(Refusal::Past { path: node.to_string() }),
            (At::Present, Some(writing)) => Ok(writing),
        }
    }

    /// Opens a file for writing; a scratch file also for reading alone.
    ///
    /// # Errors
    /// [`Refusal`] says why it cannot be written.
    pub fn open_file(&self, node: &Node, truncate: bool) -> Written<OpenFile> {
        self.open_for_writing(node, truncate).map_err(|refusal| self.refused(refusal))
    }

    pub(super) fn open_for_writing(&self, node: &Node, truncate: bool) -> Written<OpenFile> {
        let writing = self.writing_at(node)?;
        match &node.item {
            Item::Record { kind, id } => Ok(OpenFile::of_draft(writing.draft(*kind, id, node, truncate)?)),
            Item::Scratch(scratch) => {
                let file = writing.scratch.file(scratch)?;
                if truncate {
                    file.set_len(0).map_err(|error| failed(scratch, error))?;
                }
                Ok(OpenFile::of_scratch(Arc::clone(scratch), file))
            }
            Item::Directory(_) => Err(Refusal::IsDirectory { path: node.to_string() }),
            _ => Err(not_made_here(node)),
        }
    }

    /// Puts bytes into an open file.
    ///
    /// # Errors
    /// [`Refusal::TooLarge`] and [`Refusal::NoRoom`] for a record's text, and those of a scratch file.
    pub fn write(&self, open: &OpenFile, offset: Offset, bytes: &[u8]) -> Written<()> {
        let written = match &open.0 {
            Opened::Draft(draft) => {
                let offset = match offset {
                    Offset::At(offset) => Some(offset),
                    Offset::End => None,
                };
                draft.write(offset, bytes, self.vault.now())
            }
            Opened::Scratch { scratch, file } => {
                let offset = match offset {
                    Offset::At(offset) => Ok(offset),
                    Offset::End => file.metadata().map(|found| found.len()),
                };
                let written = offset.and_then(|offset| file.write_all_at(bytes, offset));
                written.map_err(|error| failed(scratch, error))
            }
        };
        written.map_err(|refusal| self.refused(refusal))
    }

    /// Cuts an open file, or makes it longer with zeros.
    ///
    /// # Errors
    /// As [`Tree::write`].
    pub fn set_len(&self, open: &OpenFile, len: u64) -> Written<()> {
        let done = match &open.0 {
            Opened::Draft(draft) => draft.set_len(len, self.vault.now()),
            Opened::Scratch { scratch, file } => file.set_len(len).map_err(|error| failed(scratch, error)),
        };
        done.map_err(|refusal| self.refused(refusal))
    }

    /// A descriptor of an open file was closed, maybe not the last one: a finished text is committed.
    ///
    /// # Errors
    /// [`Refusal`] says why the text is no version of the record. Then nothing is changed.
    pub fn flush(&self, open: &OpenFile) -> Written<Effects> {
        let (Opened::Draft(draft), Some(writing)) = (&open.0, &self.writing) else { return Ok(Effects::default()) };
        let became = writing.commit(draft, Durability::Buffered).map_err(|refusal| self.refused(refusal))?;
        Ok(became.effects(draft.node()))
    }

    /// Commits an open file so that a power cut does not take it.
    ///
    /// # Errors
    /// As [`Tree::flush`]; an unfinished text cannot be made durable and is refused.
    pub fn sync(&self, open: &OpenFile) -> Written<Effects> {
        let done = match &open.0 {
            Opened::Draft(draft) => self.sync_draft(draft),
            Opened::Scratch { scratch, file } => {
                file.sync_all().map(|()| Effects::default()).map_err(|error| failed(scratch, error))
            }
        };
        done.map_err(|refusal| self.refused(refusal))
    }

    fn sync_draft(&self, draft: &Arc<Draft>) -> Written<Effects> {
        let Some(writing) = &self.writing else { return Ok(Effects::default()) };
        match writing.commit(draft, Durability::Sync)? {
            Became::Unfinished => Err(unfinished(draft, "so it cannot be made durable")),
            Became::Clean => {
                let flushed = writing.vault.flush();
                flushed.map_err(|source| Refusal::Vault { path: draft.path(), source })?;
                Ok(Effects::default())
            }
            became @ Became::Record { .. } => Ok(became.effects(draft.node())),
        }
    }

    /// Nobody has an open file any more. What is not finished by now is dropped; nobody is there to be told why, so the
    /// reason is left in `.vault/last-error`.
    #[must_use]
    pub fn close(&self, open: OpenFile) -> Effects {
        let (Opened::Draft(draft), Some(writing)) = (open.0, &self.writing) else { return Effects::default() };
        let told = draft.state().standing == Standing::Refused;
        let mut effects = Effects::default();
        if !told {
            match writing.commit(&draft, Durability::Buffered) {
                Ok(Became::Unfinished) => {
                    self.refused(unfinished(&draft, "and was closed; nothing was changed"));
                }
                Ok(became) => effects = became.effects(draft.node()),
                Err(refusal) => drop(self.refused(refusal)),
            }
        }
        writing.drafts.close(&draft);
        let (is_new, untouched, dropped) = {
            let state = draft.state();
            let detached = state.standing == Standing::Detached;
            (state.over.is_none() && !detached, !state.dirty, state.dirty && !detached)
        };
        if is_new {
            if untouched && !told {
                let reason = "it was closed without a text, so there is no such record".to_owned();
                self.refused(Refusal::Misfit { path: draft.path(), reason });
            }
            effects.name(draft.directory(), draft.name());
        }
        if is_new || dropped {
            // Through a mapping, pages of it may have come into the cache.
            effects.changed = vec![draft.node()];
        }
        effects
    }
}

/// What the vault makes.
pub(super) fn not_made_here(node: &Node) -> Refusal {
    Refusal::NotPermitted { path: node.to_string(), reason: "the vault makes it; it cannot be changed" }
}

fn unfinished(draft: &Draft, then: &str) -> Refusal {
    let len = draft.state().text.len();
    let reason = format!("its text of {len} bytes ends in the middle of the JSON, {then}");
    Refusal::Misfit { path: draft.path(), reason }
}
