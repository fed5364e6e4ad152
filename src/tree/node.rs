//! What the tree consists of: nodes, each of them in one view of the vault.

use std::ffi::OsStr;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::artifacts::{Ino, Past};
use crate::record::document::Format;
use crate::record::{FileType, Kind, Timestamp};
use crate::storage::Sequence;
use crate::vault::{Pin, Tier, Vault, View};

use super::write::ScratchFile;

/// The name of the files with checksums.
pub(super) const SUMS: &str = "SHA256SUMS";

/// A snapshot that is looked into. As long as it is there, what it pins stays readable, even when the snapshot is deleted.
pub struct Pinned {
    /// The log entry that brought the snapshot: a deleted id that is taken again is another snapshot.
    birth: Sequence,
    pin: Pin,
    view: View,
    artifacts: Past,
}

impl Pinned {
    pub(super) fn new(birth: Sequence, pin: Pin, view: View, artifacts: Past) -> Self {
        Self { birth, pin, view, artifacts }
    }

    /// What the snapshot pins.
    #[must_use]
    pub fn pin(&self) -> &Pin {
        &self.pin
    }

    /// The vault as the snapshot has it.
    pub(super) fn view(&self) -> &View {
        &self.view
    }

    /// The files of the vault as the snapshot has them.
    pub(super) fn artifacts(&self) -> &Past {
        &self.artifacts
    }
}

impl PartialEq for Pinned {
    fn eq(&self, other: &Self) -> bool {
        self.birth == other.birth && self.pin.id == other.pin.id
    }
}

impl Eq for Pinned {}

impl Hash for Pinned {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.birth.hash(state);
        self.pin.id.hash(state);
    }
}

impl fmt::Debug for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.pin.id, self.birth)
    }
}

/// Which vault a node shows: that of now, or that of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum At {
    /// The present, whatever that is.
    Present,
    /// The past, which never changes.
    Past(Arc<Pinned>),
}

impl At {
    pub(super) fn view(&self, vault: &Vault) -> View {
        match self {
            Self::Present => vault.present(),
            Self::Past(pinned) => pinned.view.clone(),
        }
    }

    pub(super) fn sequence(&self) -> Option<Sequence> {
        match self {
            Self::Present => None,
            Self::Past(pinned) => Some(pinned.pin.sequence),
        }
    }
}

/// A directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Directory {
    /// The root of a view.
    Root,
    /// A collection. That of memories holds the tiers, and the memories that are in none of them.
    Collection(Kind),
    /// The memories of a tier.
    Tier(Tier),
    /// Where the ordinary files of the present are mounted. In the tree it is empty; [`crate::artifacts`] has them.
    Artifacts,
    /// `.vault`: what the vault says about itself.
    Vault,
}

impl Directory {
    /// The directory that holds the records of a kind; for memories, those of a tier, if they have one.
    #[must_use]
    pub fn of(kind: Kind, tier: Option<Tier>) -> Self {
        tier.filter(|_| kind == Kind::Memory).map_or(Self::Collection(kind), Self::Tier)
    }

    /// The kind of record that it holds.
    #[must_use]
    pub fn kind(self) -> Option<Kind> {
        match self {
            Self::Root | Self::Artifacts | Self::Vault => None,
            Self::Collection(kind) => Some(kind),
            Self::Tier(_) => Some(Kind::Memory),
        }
    }
}

/// What a node is, within its view.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Item {
    /// A directory.
    Directory(Directory),
    /// A record. Which tier a memory is in does not make it another node.
    Record {
        /// Which kind of record.
        kind: Kind,
        /// Its id.
        id: Arc<str>,
    },
    /// A file beside the records that is none.
    Scratch(Arc<ScratchFile>),
    /// `README.txt`
    Readme,
    /// `SHA256SUMS` of a directory.
    Sums(Directory),
    /// The events of a day: the moment at which it begins.
    Day(Timestamp),
    /// The file of a snapshot.
    SnapshotFile(Arc<Pinned>, Format),
    /// `snapshots/latest`
    Latest,
    /// `.vault/health.json`
    Health,
    /// `.vault/log.jsonl`
    Log,
    /// `.vault/root`: the Merkle root.
    MerkleRoot,
    /// `.vault/last-error`
    LastError,
    /// `artifacts/` of a snapshot, or anything in it: the inode and what it is. Names of one file are one node.
    Artifact(Ino, FileType),
}

/// How long that what is known of a node stays true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stability {
    /// For ever: content of the past.
    Immutable,
    /// Until [`super::Tree::affected`] names it.
    Tracked,
    /// Not longer than the moment: it is made from the whole vault, or from all of a collection.
    Volatile,
}

/// A file, directory or link of the tree. Small, and cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// In which view it lies.
    pub at: At,
    /// What it is there.
    pub item: Item,
}

impl Node {
    /// The root of the tree.
    pub const ROOT: Self = Self { at: At::Present, item: Item::Directory(Directory::Root) };

    /// A directory of the present.
    #[must_use]
    pub fn directory(directory: Directory) -> Self {
        Self { at: At::Present, item: Item::Directory(directory) }
    }

    /// A record of the present.
    #[must_use]
    pub fn record(kind: Kind, id: &str) -> Self {
        Self { at: At::Present, item: Item::Record { kind, id: id.into() } }
    }

    /// Another node of the same view.
    #[must_use]
    pub(super) fn beside(&self, item: Item) -> Self {
        Self { at: self.at.clone(), item }
    }

    /// How long it stays true that a name is not there, when this is a directory.
    #[must_use]
    pub fn absence(&self, name: &OsStr) -> Stability {
        match self.stability() {
            // It comes with the first file, of which it is told, but it is not.
            Stability::Tracked if name == SUMS => Stability::Volatile,
            stability => stability,
        }
    }

    /// What it is for those who look at it from outside.
    #[must_use]
    pub fn file_type(&self) -> FileType {
        match self.item {
            Item::Directory(_) => FileType::Directory,
            Item::Latest => FileType::Symlink,
            Item::Artifact(_, file_type) => file_type,
            Item::Record { .. }
            | Item::Scratch(_)
            | Item::Readme
            | Item::Sums(_)
            | Item::Day(_)
            | Item::SnapshotFile(..)
            | Item::Health
            | Item::Log
            | Item::MerkleRoot
            | Item::LastError => FileType::Regular,
        }
    }

    /// The snapshot and the inode of an artifact of the past.
    pub(super) fn artifact(&self) -> Option<(&Arc<Pinned>, Ino)> {
        match (&self.at, &self.item) {
            (At::Past(pinned), Item::Artifact(ino, _)) => Some((pinned, *ino)),
            _ => None,
        }
    }

    /// How long what is known of it stays true.
    #[must_use]
    pub fn stability(&self) -> Stability {
        if let At::Past(_) = self.at {
            return Stability::Immutable;
        }
        match &self.item {
            Item::Readme | Item::SnapshotFile(..) | Item::Artifact(..) => Stability::Immutable,
            // Their entries come and go with the log, not with records of their own.
            Item::Directory(Directory::Vault | Directory::Collection(Kind::Event))
            // Its name can become that of a record.
            | Item::Scratch(_)
            | Item::Sums(_)
            | Item::Day(_)
            | Item::Health
            | Item::Log
            | Item::MerkleRoot
            | Item::LastError => Stability::Volatile,
            Item::Directory(_) | Item::Record { .. } | Item::Latest => Stability::Tracked,
        }
    }
}

/// A text that no other node has: its path, but that a memory's has no tier, and a snapshot's has its birth.
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let At::Past(pinned) = &self.at {
            write!(f, "snapshots/{pinned:?}/")?;
        }
        match &self.item {
            Item::Directory(directory) => write!(f, "{directory}"),
            Item::Record { kind, id } => write!(f, "{}/{id}.json", kind.collection()),
            // Its name may change while it stays what it is.
            Item::Scratch(file) => write!(f, "scratch/{}", file.number()),
            Item::Readme => f.write_str("README.txt"),
            Item::Sums(directory) => write!(f, "{directory}{SUMS}"),
            Item::Day(day) => write!(f, "timeline/{}.jsonl", day.day()),
            Item::SnapshotFile(pinned, Format::Json) => write!(f, "snapshots/{pinned:?}.json"),
            Item::SnapshotFile(pinned, Format::Yaml) => write!(f, "snapshots/{pinned:?}.yaml"),
            Item::Latest => f.write_str("snapshots/latest"),
            Item::Health => f.write_str(".vault/health.json"),
            Item::Log => f.write_str(".vault/log.jsonl"),
            Item::MerkleRoot => f.write_str(".vault/root"),
            Item::LastError => f.write_str(".vault/last-error"),
            // It may have several names.
            Item::Artifact(ino, _) => write!(f, "artifacts/#{ino}"),
        }
    }
}

impl fmt::Display for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Collection(kind) => write!(f, "{}/", kind.collection()),
            Self::Tier(tier) => write!(f, "memories/{}/", tier.name()),
            Self::Artifacts => f.write_str("artifacts/"),
            Self::Vault => f.write_str(".vault/"),
        }
    }
}
