//! What files hold, and when it must be made again.

use std::io;
use std::sync::Arc;

use crate::record::document::Format;
use crate::record::{Kind, RecordError, json};
use crate::storage::{Head, NOW, Sequence, StorageError, Version, record_file};
use crate::vault::{Error, Result};

use super::cache::{Digest, Made};
use super::content::{Content, Spool};
use super::node::{At, Directory, Item, Node, Pinned};
use super::{Attributes, Tree, days, gone, listing, spooling, sums};

/// A record whose file is longer than this is kept for a while once it was read, since it is read in several pieces.
const LARGE: u64 = 128 << 10;

/// What the file of a version holds.
fn rendered(kind: Kind, id: &str, version: &Version) -> Result<Content> {
    let record = json::parse(&version.json).map_err(RecordError::from)?;
    let bytes = record_file(&record);
    if bytes.len() as u64 != version.file.len {
        // Sizes and checksums were told from the head before; nobody may see other bytes than those.
        let detail = format!("its file has {} bytes, and {} were noted", bytes.len(), version.file.len);
        return Err(StorageError::Corrupt { what: format!("{kind} {id}"), detail }.into());
    }
    Ok(Content::of(bytes, version.file.sha256, version.time))
}

impl Tree {
    pub(super) fn open_record(&self, node: &Node, kind: Kind, id: &str) -> Result<Content> {
        let Some(head) = node.at.view(&self.vault).head(kind, id)? else {
            return self.draft_content(node, kind, id)?.ok_or_else(|| Error::not_found(kind, id));
        };
        if head.file.len <= LARGE {
            return Ok(self.render(node, kind, id)?.content);
        }
        let fresh = |sequence| Ok(sequence == head.sequence);
        self.cache.content(node, fresh, || self.render(node, kind, id))
    }

    fn render(&self, node: &Node, kind: Kind, id: &str) -> Result<Made> {
        let view = node.at.view(&self.vault);
        let version = view.version(kind, id)?.ok_or_else(|| Error::not_found(kind, id))?;
        Ok(Made { content: rendered(kind, id, &version)?, sequence: version.sequence })
    }

    /// As [`Tree::open`] for whoever has the file open: a record that was deleted meanwhile is what it was, as long as that
    /// is not pruned.
    ///
    /// # Errors
    /// As [`Tree::open`].
    pub fn open_held(&self, node: &Node) -> Result<Content> {
        let opened = self.open(node);
        match (&node.item, self.last_version(node, opened.as_ref().err())?) {
            (Item::Record { kind, id }, Some(version)) => rendered(*kind, id, &version),
            _ => opened,
        }
    }

    /// As [`Tree::attributes`] for whoever has the file open, as [`Tree::open_held`]. A record that was deleted has no name.
    ///
    /// # Errors
    /// As [`Tree::attributes`].
    pub fn attributes_held(&self, node: &Node) -> Result<Attributes> {
        let found = self.attributes(node);
        match self.last_version(node, found.as_ref().err())? {
            Some(version) => Ok(Attributes { nlink: 0, ..Attributes::of_head(&Head::from(&version)) }),
            None => found,
        }
    }

    /// The last version of a record that is not there any more, as an error says.
    fn last_version(&self, node: &Node, error: Option<&Error>) -> Result<Option<Version>> {
        let (Item::Record { kind, id }, At::Present, Some(Error::Storage(StorageError::NotFound { .. }))) =
            (&node.item, &node.at, error)
        else {
            return Ok(None);
        };
        // The newest is the deletion.
        let versions = self.vault.storage().history(*kind, id, NOW, 2)?;
        Ok(versions.into_iter().find(|version| !version.deleted))
    }

    /// What is known about a file that is no record; the file is made when it has to be.
    pub(super) fn digest(&self, node: &Node) -> Result<Digest> {
        self.digest_if_any(node)?.ok_or_else(|| gone(node))
    }

    pub(super) fn digest_if_any(&self, node: &Node) -> Result<Option<Digest>> {
        if let Some(known) = self.cache.digest(node, |sequence| self.is_fresh(node, sequence))? {
            return Ok(Some(known));
        }
        match self.open(node) {
            Ok(content) => Ok(Some(Digest::from(&content))),
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether a file that was made for a sequence is what would be made now.
    pub(super) fn is_fresh(&self, node: &Node, sequence: Sequence) -> Result<bool> {
        if let At::Past(_) = node.at {
            return Ok(true);
        }
        let changed = match node.item {
            Item::SnapshotFile(..) | Item::Sums(Directory::Root) => return Ok(true),
            Item::Day(day) => self.stamps.day(&self.vault, day)?,
            Item::Sums(Directory::Collection(Kind::Event)) => self.stamps.events(&self.vault)?,
            Item::Sums(directory) => match directory.kind() {
                Some(kind) => self.stamps.content(&self.vault, kind)?,
                // `.vault` changes with more than the log.
                None => return Ok(false),
            },
            _ => return Ok(false),
        };
        Ok(changed.sequence <= sequence)
    }

    pub(super) fn make(&self, node: &Node) -> Result<Made> {
        match (&node.item, &node.at) {
            (Item::Sums(directory), at) => sums::make(self, at, *directory),
            (Item::Day(day), At::Present) => days::make(&self.vault, &self.stamps, *day),
            (Item::Day(day), At::Past(pinned)) => {
                let content = self.past_days.content(pinned, *day)?.ok_or_else(|| gone(node))?;
                Ok(Made { content, sequence: pinned.pin().sequence })
            }
            (Item::SnapshotFile(pinned, format), _) => self.make_snapshot_file(node, pinned, *format),
            _ => Err(gone(node)),
        }
    }

    /// Both forms of a snapshot's file are made at once: what they tell is dear to gather, and a listing asks for both.
    fn make_snapshot_file(&self, node: &Node, pinned: &Arc<Pinned>, format: Format) -> Result<Made> {
        let pin = pinned.pin();
        if listing::pinned(&self.vault, &pin.id)?.as_ref() != Some(pinned) {
            return Err(gone(node));
        }
        let file = self.vault.snapshots().file(&pin.id)?;
        let made = |format: Format| -> Result<Made> {
            let mut spool = Spool::default();
            file.render(&mut spool, format).map_err(spooling)?;
            Ok(Made { content: spool.content(pin.timestamp).map_err(spooling)?, sequence: pin.sequence })
        };
        let other = match format {
            Format::Json => Format::Yaml,
            Format::Yaml => Format::Json,
        };
        self.cache.offer(&node.beside(Item::SnapshotFile(Arc::clone(pinned), other)), made(other)?);
        made(format)
    }
}
