//! Writing into the tree: record files that are committed as a whole, and scratch files beside them.
//!
//! What a program writes under a record's name is a *draft* (`draft`, `text`) that nobody else sees, until closing it or syncing it
//! makes it a version of the record (`commit`). Files whose names are no records' names are *scratch* files on disk
//! (`scratch`): what editors and tools put beside the file they work on. Renaming one onto a record's name commits it. A
//! record that is renamed to a scratch name, as editors do to keep a backup, is *set aside* (`aside`), not deleted. `names`
//! tells what a name stands for; `entries` makes, renames and removes names; `files` opens, reads and writes what is behind
//! them, and `attributes` tells what is known of it. `refusal` says why something cannot be done.
//!
//! `docs/mount-semantics.md` lists what is promised.

mod aside;
mod attributes;
mod commit;
mod draft;
mod entries;
mod files;
mod names;
mod refusal;
mod scratch;
mod text;

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use crate::record::Kind;
use crate::vault::{Result, Vault};

use super::affected::Affected;
use super::node::{At, Directory, Item, Node};
use super::{Cursor, Entry, Tree};

pub(super) use aside::Aside;
pub(super) use draft::Drafts;
pub(super) use scratch::Scratch;

use draft::Draft;

pub use files::{Offset, OpenFile};
pub use refusal::Refusal;
pub use scratch::ScratchFile;

/// Results of writing.
pub type Written<T> = std::result::Result<T, Refusal>;

/// Cursors from here on are those of drafts and scratch files, which no log entry gave a place.
pub(super) const EXTRA: u64 = 1 << 62;

/// What whoever caches the tree has to know of a change that was made through the tree itself. What the log tells of is
/// told to the subscribers of the vault, too; this says what else there is, and what cannot wait for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Nodes with another content or other attributes than before: to be dropped before the caller goes on.
    pub changed: Vec<Node>,
    /// To be dropped afterwards, since the caller may hold what is needed for it.
    pub later: Vec<Affected>,
}

impl Effects {
    fn changed(node: Node) -> Self {
        Self { changed: vec![node], later: Vec::new() }
    }

    /// A name came or went.
    fn name(&mut self, directory: Directory, name: String) {
        let parent = Node::directory(directory);
        self.later.push(Affected::Entry { parent: parent.clone(), name });
        self.later.push(super::affected::listing(&parent));
    }
}

/// What a tree needs to be written to.
pub(super) struct Writing {
    /// Whoever changes something may hold what a subscriber waits for, so nothing here waits for subscribers.
    vault: Vault,
    drafts: Drafts,
    scratch: Scratch,
    aside: Aside,
}

impl Writing {
    pub(super) fn new(vault: &Vault, dir: Option<&Path>) -> Result<Self> {
        let numbers = Arc::default();
        Ok(Self {
            vault: vault.without_settling(),
            scratch: Scratch::open(dir, &numbers)?,
            drafts: Drafts::new(numbers),
            aside: Aside::default(),
        })
    }

    /// The draft that has the name of a record: of a new one, or of one that is set aside. Of a record that has its name a
    /// draft is but another version to be, and of one that was deleted elsewhere nothing can come of it.
    fn shown(&self, kind: Kind, id: &str) -> Result<Option<Arc<Draft>>> {
        if !self.drafts.any(kind, id) {
            return Ok(None);
        }
        let birth = self.vault.live_head(kind, id)?.map(|head| head.birth);
        if birth.is_some() && !self.aside.holds(kind, id) {
            return Ok(None);
        }
        Ok(self.drafts.newest(kind, id, birth))
    }
}

impl Tree {
    /// Whether a record of the present was set aside: it is there, and its name is not.
    pub(super) fn is_aside(&self, at: &At, kind: Kind, id: &str) -> bool {
        matches!(at, At::Present) && self.writing.as_ref().is_some_and(|writing| writing.aside.holds(kind, id))
    }

    /// The records of a kind that are set aside.
    pub(super) fn set_aside_ids(&self, at: &At, kind: Kind) -> HashSet<String> {
        let writing = self.writing.as_ref().filter(|_| *at == At::Present);
        writing.map(|writing| writing.aside.ids(kind)).unwrap_or_default()
    }

    /// The node of a name that no record has: that of a draft or a scratch file.
    pub(super) fn lookup_extra(&self, parent: &Node, directory: Directory, name: &str) -> Result<Option<Node>> {
        let Some(writing) = self.writing.as_ref().filter(|_| parent.at == At::Present) else { return Ok(None) };
        if let Some(file) = writing.scratch.find(directory, name) {
            return Ok(Some(parent.beside(Item::Scratch(file))));
        }
        let (Some(kind), Some(id)) = (directory.kind(), name.strip_suffix(".json")) else { return Ok(None) };
        let draft = writing.shown(kind, id)?.filter(|draft| draft.directory() == directory);
        Ok(draft.map(|draft| draft.node()))
    }

    /// The entries of a directory that are no records, behind a place.
    pub(super) fn extras(&self, parent: &Node, directory: Directory, after: Cursor) -> Result<Vec<Entry>> {
        let Some(writing) = self.writing.as_ref().filter(|_| parent.at == At::Present) else { return Ok(Vec::new()) };
        let entry = |name: String, node: Node, number: u64| Entry {
            name: name.into(),
            node,
            cursor: Cursor(EXTRA + number),
            attributes: None,
        };
        let scratch = writing.scratch.list(directory).into_iter().map(|(name, file)| {
            let number = file.number();
            entry(name, parent.beside(Item::Scratch(file)), number)
        });
        let mut extras: Vec<Entry> = scratch.collect();
        if let Some(kind) = directory.kind() {
            for id in writing.drafts.ids(kind) {
                if let Some(draft) = writing.shown(kind, &id)?.filter(|draft| draft.directory() == directory) {
                    extras.push(entry(draft.name(), draft.node(), draft.number()));
                }
            }
        }
        extras.retain(|entry| entry.cursor > after);
        extras.sort_by_key(|entry| entry.cursor);
        Ok(extras)
    }
}
