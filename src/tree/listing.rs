//! Listing a directory: bounded memory whatever its size, and a place for each entry from which the listing goes on.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::iter::Peekable;
use std::sync::Arc;

use crate::artifacts::ROOT as ARTIFACTS;
use crate::record::document::Format;
use crate::record::{FileType, Kind, Timestamp};
use crate::storage::{Head, Position, Selection, Sequence};
use crate::vault::{Result, Tier, Vault};

use super::members::{self, Members};
use super::node::{At, Directory, Item, Node, Pinned, SUMS};
use super::write::EXTRA;
use super::{Attributes, Tree, artifacts, days};

/// The place of an entry in its directory. It stays what it is as long as the entry is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor(pub u64);

impl Cursor {
    /// Before the first entry.
    pub const START: Self = Self(0);
}

/// Cursors up to here are those of entries that are no records.
const FIXED: u64 = 32;

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: OsString,
    /// Its node.
    pub node: Node,
    /// Its place in the directory.
    pub cursor: Cursor,
    /// Its attributes, where listing learns them by the way; for others ask [`Tree::attributes`].
    pub attributes: Option<Attributes>,
}

type Rest = Peekable<Box<dyn Iterator<Item = Result<Entry>> + Send>>;

/// The entries of a directory.
///
/// Entries that are there from beginning to end come once each. Records are in order of the id. What is written meanwhile
/// and becomes a record may come twice. Whoever goes on after an error meets it again as long as it lasts.
pub struct Listing {
    fixed: VecDeque<Entry>,
    rest: Rest,
    /// What is no record: drafts and scratch files.
    extras: VecDeque<Entry>,
}

impl Listing {
    pub(super) fn new(tree: &Tree, parent: &Node, directory: Directory, after: Cursor) -> Result<Self> {
        // Before the records, lest a draft be missed that becomes one just then.
        let extras = tree.extras(parent, directory, after)?.into();
        let mut fixed = VecDeque::new();
        if after.0 >= EXTRA {
            let none: Box<dyn Iterator<Item = Result<Entry>> + Send> = Box::new(std::iter::empty());
            return Ok(Self { fixed, rest: none.peekable(), extras });
        }
        let mut rest = rest(tree, parent, directory, after)?;
        if after.0 < FIXED {
            // An error is met again when the listing comes there.
            let any = rest.peek().is_some();
            for (cursor, name, item) in fixed_entries(&parent.at, directory) {
                let is_there = match item {
                    Item::Sums(_) => any || has_fixed_files(directory),
                    Item::Latest => any,
                    Item::LastError => tree.last_error().is_some(),
                    _ => true,
                };
                if is_there && cursor > after {
                    fixed.push_back(Entry { name: name.into(), node: parent.beside(item), cursor, attributes: None });
                }
            }
        }
        Ok(Self { fixed, rest, extras })
    }

    /// The entries of a directory among the artifacts of a snapshot.
    pub(super) fn of_artifacts(parent: &Node, after: Cursor) -> Self {
        let rest: Box<dyn Iterator<Item = Result<Entry>> + Send> = Box::new(artifacts::entries(parent.clone(), after));
        Self { fixed: VecDeque::new(), rest: rest.peekable(), extras: VecDeque::new() }
    }
}

impl Iterator for Listing {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.fixed.pop_front() {
            Some(entry) => Some(Ok(entry)),
            None => self.rest.next().or_else(|| self.extras.pop_front().map(Ok)),
        }
    }
}

const ROOT: [(&str, Item); 15] = [
    ("README.txt", Item::Readme),
    (SUMS, Item::Sums(Directory::Root)),
    ("identities", collection(Kind::Identity)),
    ("sessions", collection(Kind::Session)),
    ("memories", collection(Kind::Memory)),
    ("agent_dna", collection(Kind::AgentDna)),
    ("reflections", collection(Kind::Reflection)),
    ("citations", collection(Kind::Citation)),
    ("entries", collection(Kind::Entry)),
    ("agent_links", collection(Kind::AgentLink)),
    ("glyphtrail", collection(Kind::Glyph)),
    ("timeline", collection(Kind::Event)),
    ("snapshots", collection(Kind::Snapshot)),
    ("artifacts", Item::Directory(Directory::Artifacts)),
    (".vault", Item::Directory(Directory::Vault)),
];

const fn collection(kind: Kind) -> Item {
    Item::Directory(Directory::Collection(kind))
}

/// The entries of a directory that are no records, the conditional ones too, in their order.
pub(super) fn fixed_entries(at: &At, directory: Directory) -> Vec<(Cursor, &'static str, Item)> {
    let sums = || (SUMS, Item::Sums(directory));
    let tier = |tier: Tier| (tier.name(), Item::Directory(Directory::Tier(tier)));
    let past = matches!(at, At::Past(_));
    let entries = match directory {
        Directory::Root if past => {
            ROOT.into_iter().filter_map(|(name, item)| in_the_past(item).map(|item| (name, item))).collect()
        }
        Directory::Root => ROOT.to_vec(),
        Directory::Collection(Kind::Memory) => std::iter::once(sums()).chain(Tier::ALL.map(tier)).collect(),
        Directory::Collection(Kind::Snapshot) => vec![sums(), ("latest", Item::Latest)],
        Directory::Collection(_) | Directory::Tier(_) => vec![sums()],
        Directory::Artifacts => Vec::new(),
        Directory::Vault => vec![
            sums(),
            ("health.json", Item::Health),
            ("last-error", Item::LastError),
            ("log.jsonl", Item::Log),
            ("root", Item::MerkleRoot),
        ],
    };
    (1..).map(Cursor).zip(entries).map(|(cursor, (name, item))| (cursor, name, item)).collect()
}

/// What stands for an entry of the root in a snapshot: neither snapshots nor the vault's word about itself are part of it.
fn in_the_past(item: Item) -> Option<Item> {
    match item {
        Item::Directory(Directory::Vault | Directory::Collection(Kind::Snapshot)) => None,
        Item::Directory(Directory::Artifacts) => Some(Item::Artifact(ARTIFACTS, FileType::Directory)),
        item => Some(item),
    }
}

/// A directory that has files even when the vault is empty.
pub(super) fn has_fixed_files(directory: Directory) -> bool {
    match directory {
        Directory::Root | Directory::Vault => true,
        Directory::Collection(_) | Directory::Tier(_) | Directory::Artifacts => false,
    }
}

/// The entries of a directory that come and go.
fn rest(tree: &Tree, parent: &Node, directory: Directory, after: Cursor) -> Result<Rest> {
    let rest: Box<dyn Iterator<Item = Result<Entry>> + Send> = match directory {
        Directory::Root | Directory::Artifacts | Directory::Vault => Box::new(std::iter::empty()),
        Directory::Collection(Kind::Event) => Box::new(day_entries(tree, parent, after)?),
        Directory::Collection(Kind::Snapshot) => Box::new(snapshot_entries(tree.vault(), after)?),
        Directory::Collection(kind) => Box::new(record_entries(tree, parent, directory, kind, after)?),
        Directory::Tier(_) => Box::new(record_entries(tree, parent, directory, Kind::Memory, after)?),
    };
    Ok(rest.peekable())
}

fn record_entries(
    tree: &Tree,
    parent: &Node,
    directory: Directory,
    kind: Kind,
    after: Cursor,
) -> Result<impl Iterator<Item = Result<Entry>> + Send + use<>> {
    let vault = tree.vault();
    let view = parent.at.view(vault);
    let after = match after.0.checked_sub(FIXED) {
        None | Some(0) => None,
        Some(birth) => match members::born_at(vault, kind, birth)? {
            Some(id) => Some(id),
            // Gone since. What a snapshot shows is still there; in the present the listing begins again, since twice is
            // better than never.
            None => Members::new(view.clone(), directory, None)?
                .find(|member| member.as_ref().map_or(true, |(_, head)| head.birth == birth))
                .transpose()?
                .map(|(id, _)| id),
        },
    };
    let parent = parent.clone();
    let no_strays = directory == Directory::Collection(Kind::Memory) && !tree.has_strays(&parent.at)?;
    let members = if no_strays { None } else { Some(Members::new(view, directory, after.as_deref())?) };
    let aside = tree.set_aside_ids(&parent.at, kind);
    let members = members
        .into_iter()
        .flatten()
        .filter(move |member| aside.is_empty() || member.as_ref().map_or(true, |(id, _)| !aside.contains(id)));
    Ok(members.map(move |member| {
        let (id, head) = member?;
        Ok(Entry {
            name: format!("{id}.json").into(),
            node: parent.beside(Item::Record { kind, id: id.into() }),
            cursor: Cursor(FIXED + head.birth),
            attributes: Some(Attributes::of_head(&head)),
        })
    }))
}

fn day_entries(
    tree: &Tree,
    parent: &Node,
    after: Cursor,
) -> Result<impl Iterator<Item = Result<Entry>> + Send + use<>> {
    let first = Timestamp::from_micros(i64::MIN).as_micros();
    let place = move |day: Timestamp| {
        let number = day.as_micros().saturating_sub(first) / Timestamp::DAY;
        Cursor(FIXED + 1 + u64::try_from(number).unwrap_or(0))
    };
    let parent = parent.clone();
    Ok(tree.days(&parent.at)?.into_iter().filter(move |day| place(*day) > after).map(move |day| {
        Ok(Entry {
            name: days::name_of(day).into(),
            node: parent.beside(Item::Day(day)),
            cursor: place(day),
            attributes: None,
        })
    }))
}

/// Each snapshot has a directory and two files.
fn snapshot_entries(vault: &Vault, after: Cursor) -> Result<impl Iterator<Item = Result<Entry>> + Send + use<>> {
    const EACH: u64 = 4;
    let before = (after.0.saturating_sub(FIXED) / EACH).saturating_sub(1);
    let mut position = Position { time: Timestamp::default(), birth: before };
    let mut snapshots: Vec<(Sequence, String)> = Vec::new();
    loop {
        let page = vault.storage().select(&Selection::all(Kind::Snapshot), Some(position), 1_024)?;
        let Some(last) = page.last() else { break };
        position = Position::from(last);
        snapshots.extend(page.into_iter().map(|posting| (posting.birth, posting.id)));
    }
    let (vault, mut snapshots) = (vault.clone(), snapshots.into_iter());
    let mut found: VecDeque<Entry> = VecDeque::new();
    Ok(std::iter::from_fn(move || {
        loop {
            if let Some(entry) = found.pop_front() {
                return Some(Ok(entry));
            }
            let (birth, id) = snapshots.as_slice().first()?;
            match pinned(&vault, id) {
                // It was deleted meanwhile, or is another one now.
                Ok(None) => {}
                Ok(Some(pinned)) => {
                    let first = Cursor(FIXED + birth * EACH);
                    found.extend(entries_of_snapshot(id, &pinned, first).filter(|entry| entry.cursor > after));
                }
                Err(error) => return Some(Err(error)),
            }
            // Not before this is it taken: after an error it is read again.
            snapshots.next();
        }
    }))
}

/// The directory and the files of a snapshot.
fn entries_of_snapshot(id: &str, pinned: &Arc<Pinned>, first: Cursor) -> impl Iterator<Item = Entry> + use<> {
    let file = |format| Node { at: At::Present, item: Item::SnapshotFile(Arc::clone(pinned), format) };
    let tree = Node { at: At::Past(Arc::clone(pinned)), item: Item::Directory(Directory::Root) };
    let nodes =
        [(id.to_owned(), tree), (format!("{id}.json"), file(Format::Json)), (format!("{id}.yaml"), file(Format::Yaml))];
    (first.0..).zip(nodes).map(|(cursor, (name, node))| Entry {
        name: name.into(),
        node,
        cursor: Cursor(cursor),
        attributes: None,
    })
}

/// A snapshot to look into, if it is there.
pub(super) fn pinned(vault: &Vault, id: &str) -> Result<Option<Arc<Pinned>>> {
    let Some(Head { birth, .. }) = vault.present().head(Kind::Snapshot, id)? else { return Ok(None) };
    let pin = vault.snapshots().get(id)?;
    let view = vault.at(pin.sequence)?;
    Ok(view.artifacts()?.map(|artifacts| Arc::new(Pinned::new(birth, pin, view, artifacts))))
}
