//! What is known of what is written, and what can be set of it beside its content.

use std::sync::Arc;
use std::time::SystemTime;

use crate::record::{Checksum, FileType, Kind};
use crate::storage::Durability;
use crate::vault::Result;

use super::super::content::Content;
use super::super::node::{At, Directory, Item, Node};
use super::super::{Attributes, Tree};
use super::commit::{Target, parse};
use super::draft::{Draft, MOST};
use super::files::{failed, not_made_here, of_draft};
use super::names::holds_records;
use super::scratch::{Scratch, ScratchFile};
use super::{Effects, Refusal, Written};

impl Tree {
    /// Gives a file that is not open another length, which is a change of its own.
    ///
    /// # Errors
    /// As [`Tree::flush`]: a record that is cut is none any more.
    pub fn truncate(&self, node: &Node, len: u64) -> Written<Effects> {
        self.truncate_closed(node, len).map_err(|refusal| self.refused(refusal))
    }

    fn truncate_closed(&self, node: &Node, len: u64) -> Written<Effects> {
        let writing = self.writing_at(node)?;
        let Item::Record { kind, id } = &node.item else {
            let open = self.open_for_writing(node, false)?;
            self.set_len(&open, len)?;
            return Ok(Effects::default());
        };
        let text = writing.text(*kind, id).map_err(|source| Refusal::Vault { path: node.to_string(), source })?;
        let path = node.to_string();
        let Some((mut text, over)) = text else {
            // What is being written has no length but for who writes it.
            let shown = writing.shown(*kind, id).map_err(|source| Refusal::Vault { path: path.clone(), source })?;
            return Err(if shown.is_some() { Refusal::Busy { path } } else { Refusal::Missing { path } });
        };
        let target = Target { directory: over.directory, kind: *kind, id };
        let path = target.path();
        let wanted = usize::try_from(len).ok().filter(|_| len <= MOST);
        let wanted = wanted.ok_or_else(|| Refusal::TooLarge { path: path.clone(), limit: MOST })?;
        text.resize(wanted, 0);
        let Some(value) = parse(&path, &text)? else {
            let reason = format!("cut to {len} bytes it would be no record");
            return Err(Refusal::Misfit { path, reason });
        };
        let stored = writing.store_over(target, over, &value, Durability::Buffered)?;
        stored.map(|_| Effects::changed(node.clone())).ok_or(Refusal::Missing { path })
    }

    /// Asks whether mode, owner or times of a file may be set. They are those of the vault and stay as they are, which
    /// programs that copy files need not be told.
    ///
    /// # Errors
    /// [`Refusal`] for what may not change at all.
    pub fn set_attributes(&self, node: &Node) -> Written<()> {
        let allowed = self.writing_at(node).and_then(|_| if is_ours(node) { Ok(()) } else { Err(not_made_here(node)) });
        allowed.map_err(|refusal| self.refused(refusal))
    }

    /// Asks for what files have elsewhere and not here: extended attributes that can be set, room set aside for content.
    ///
    /// # Errors
    /// Always: [`Refusal::Unsupported`], or why nothing there can be changed.
    pub fn set_other(&self, node: &Node, what: &'static str) -> Written<()> {
        self.set_attributes(node)?;
        Err(Refusal::Unsupported { path: node.to_string(), what })
    }

    /// Whether a file can be written, or files be made in a directory.
    #[must_use]
    pub fn is_writable(&self, node: &Node) -> bool {
        // Others than root may mount only where they may write.
        node.item == Item::Directory(Directory::Artifacts)
            || self.writing.is_some() && node.at == At::Present && is_ours(node)
    }

    /// Makes everything durable that was committed, and the names of scratch files.
    ///
    /// # Errors
    /// Those of the storage.
    pub fn sync_all(&self) -> Written<()> {
        if let Some(writing) = &self.writing {
            writing.scratch.sync()?;
        }
        let flushed = self.vault.flush().map(|_| ());
        flushed.map_err(|source| Refusal::Vault { path: ".".to_owned(), source })
    }

    /// Sets the time of the last change of a scratch file. That of a record is the time of its version.
    ///
    /// # Errors
    /// As [`Tree::set_attributes`], and those of the file.
    pub fn set_modified(&self, node: &Node, time: SystemTime) -> Written<()> {
        self.set_attributes(node)?;
        let Item::Scratch(scratch) = &node.item else { return Ok(()) };
        let set = self.writing_at(node)?.scratch.file(scratch)?.set_modified(time);
        set.map_err(|error| self.refused(failed(scratch, error)))
    }

    /// Whether somebody writes a file. What is told of its attributes then is not true for long.
    #[must_use]
    pub fn is_being_written(&self, node: &Node) -> bool {
        match (&node.at, &node.item, &self.writing) {
            (At::Present, Item::Record { kind, id }, Some(writing)) => writing.drafts.any(*kind, id),
            _ => false,
        }
    }

    /// How many bytes the texts of records have that are open for writing.
    #[must_use]
    pub fn bytes_being_written(&self) -> u64 {
        self.writing.as_ref().map_or(0, |writing| writing.drafts.bytes())
    }

    fn shown_draft(&self, node: &Node, kind: Kind, id: &str) -> Result<Option<Arc<Draft>>> {
        let writing = self.writing.as_ref().filter(|_| node.at == At::Present);
        writing.map_or(Ok(None), |writing| writing.shown(kind, id))
    }

    /// What is known of a node that is no record yet.
    pub(in crate::tree) fn draft_attributes(&self, node: &Node, kind: Kind, id: &str) -> Result<Option<Attributes>> {
        Ok(self.shown_draft(node, kind, id)?.map(|draft| of_draft(&draft)))
    }

    /// What a node holds that is no record yet.
    pub(in crate::tree) fn draft_content(&self, node: &Node, kind: Kind, id: &str) -> Result<Option<Content>> {
        let content = |draft: Arc<Draft>| {
            let state = draft.state();
            Content::of(state.text.to_vec(), Checksum::of(&state.text), state.modified)
        };
        Ok(self.shown_draft(node, kind, id)?.map(content))
    }

    /// What is known of a scratch file.
    pub(in crate::tree) fn scratch_attributes(&self, scratch: &ScratchFile) -> Written<Attributes> {
        let (len, modified) = self.scratch()?.stat(scratch)?;
        Ok(Attributes::new(FileType::Regular, len, modified))
    }

    /// What a scratch file holds.
    pub(in crate::tree) fn scratch_content(&self, scratch: &ScratchFile) -> Written<Content> {
        let text = self.scratch()?.read(scratch)?;
        let (_, modified) = self.scratch()?.stat(scratch)?;
        let sha256 = Checksum::of(&text);
        Ok(Content::of(text, sha256, modified))
    }

    fn scratch(&self) -> Written<&Scratch> {
        let writing = self.writing.as_ref();
        writing.map(|writing| &writing.scratch).ok_or_else(|| Refusal::ReadOnly { path: "scratch".to_owned() })
    }
}

/// Records, scratch files and the directories where they lie.
fn is_ours(node: &Node) -> bool {
    match &node.item {
        Item::Record { .. } | Item::Scratch(_) => true,
        Item::Directory(directory) => holds_records(*directory),
        Item::Readme
        | Item::Sums(_)
        | Item::Day(_)
        | Item::SnapshotFile(..)
        | Item::Latest
        | Item::Health
        | Item::Log
        | Item::MerkleRoot
        | Item::LastError
        | Item::Artifact(..) => false,
    }
}
