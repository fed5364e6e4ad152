//! The vault as a tree of files and directories, for the mount and whoever else shows it as one. What the tree looks like
//! stands in `docs/mount-semantics.md`.
//!
//! [`Node`] names a place, [`Tree`] answers what is there. Nothing here knows of FUSE, of inode numbers or handles.
//! `listing` and `members` list; `files` makes and keeps what files hold, with `days`, `sums` and `generated` for those that
//! are no records, and `stamps` to tell when they must be made again; `artifacts` shows the files of a snapshot; `affected`
//! says what a change touches; `write` is what can be changed through the tree.

mod affected;
mod artifacts;
mod cache;
mod content;
mod days;
mod files;
mod generated;
mod listing;
mod members;
mod node;
mod stamps;
mod sums;
mod write;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::artifacts::{Attributes as ArtifactAttributes, Seek};
use crate::record::document::Format;
use crate::record::{FileType, Kind, Timestamp};
use crate::storage::{Changed, Head, Order, Selection, Sequence};
use crate::vault::{Error, Result, Vault};

use cache::Cache;
use days::PastDays;
use generated::{HealthFile, LastError, LogFile};
use members::Members;
use stamps::Stamps;
use write::Writing;

pub use affected::Affected;
pub use content::Content;
pub use listing::{Cursor, Entry, Listing};
pub use node::{At, Directory, Item, Node, Pinned, Stability};
pub use write::{Effects, Offset, OpenFile, Refusal, ScratchFile, Written};

/// The SHA-256 of a file.
pub const XATTR_SHA256: &str = "user.sha256";
/// The protocol checksum of a record.
pub const XATTR_CHECKSUM: &str = "user.mirrordna.checksum";
/// The log entry that brought the version of a record.
pub const XATTR_SEQUENCE: &str = "user.mirrordna.sequence";

/// What is known about a node without opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// File, directory or link; an artifact may be anything else, too.
    pub file_type: FileType,
    /// Length in bytes; of a link, that of what it leads to; 0 for a directory.
    pub size: u64,
    /// When the content changed last.
    pub mtime: Timestamp,
    /// When anything of it changed last.
    pub ctime: Timestamp,
    /// 1, which tells tools that the links of a directory do not count its subdirectories; of an artifact, what it had.
    pub nlink: u32,
    /// All that was stored of an artifact, its mode and owner among it. Of everything else, whoever shows the tree decides.
    pub artifact: Option<ArtifactAttributes>,
}

impl Attributes {
    fn new(file_type: FileType, size: u64, time: Timestamp) -> Self {
        Self { file_type, size, mtime: time, ctime: time, nlink: 1, artifact: None }
    }

    fn of_head(head: &Head) -> Self {
        Self::new(FileType::Regular, head.file.len, head.time)
    }
}

/// A vault as a tree.
pub struct Tree {
    vault: Vault,
    /// The time of the newest entry when the tree was made.
    opened: Timestamp,
    stamps: Stamps,
    cache: Cache,
    log: LogFile,
    health: HealthFile,
    past_days: PastDays,
    last_error: Mutex<Option<LastError>>,
    /// Whether any memory is in no tier, and the sequence for which that is so.
    strays: Mutex<Option<(bool, Sequence)>>,
    /// None when the tree is for reading only.
    writing: Option<Writing>,
}

impl Tree {
    /// The tree of a vault that can be changed through it. Files that are no records lie in the vault's directory, `dir`;
    /// without one they last as long as the tree.
    ///
    /// # Errors
    /// When the directory for such files cannot be made or read.
    pub fn writable(vault: Vault, dir: Option<&Path>) -> Result<Self> {
        let writing = Writing::new(&vault, dir)?;
        Ok(Self { writing: Some(writing), ..Self::new(vault) })
    }

    /// The tree of a vault, for reading.
    #[must_use]
    pub fn new(vault: Vault) -> Self {
        Self {
            opened: vault.state().time,
            stamps: Stamps::new(&vault),
            vault,
            cache: Cache::default(),
            log: LogFile::default(),
            health: HealthFile::default(),
            past_days: PastDays::default(),
            last_error: Mutex::default(),
            strays: Mutex::default(),
            writing: None,
        }
    }

    /// The vault.
    #[must_use]
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// The node of a name in a directory, if there is one.
    ///
    /// # Errors
    /// Those of the storage.
    pub fn lookup(&self, parent: &Node, name: &OsStr) -> Result<Option<Node>> {
        if let Some((pinned, ino)) = parent.artifact() {
            return artifacts::lookup(pinned, ino, parent, name);
        }
        let (Item::Directory(directory), Some(name)) = (&parent.item, name.to_str()) else { return Ok(None) };
        let directory = *directory;
        let fixed = listing::fixed_entries(&parent.at, directory).into_iter().find(|(_, fixed, _)| *fixed == name);
        if let Some((_, _, item)) = fixed {
            let node = parent.beside(item);
            let is_there = match &node.item {
                Item::Sums(_) => listing::has_fixed_files(directory) || self.digest(&node)?.len > 0,
                Item::Latest => self.newest_snapshot()?.is_some(),
                Item::LastError => self.last_error().is_some(),
                _ => true,
            };
            return Ok(is_there.then_some(node));
        }
        match directory {
            Directory::Collection(Kind::Snapshot) => self.lookup_snapshot(name),
            Directory::Collection(Kind::Event) => {
                let Some(day) = days::named(name) else { return Ok(None) };
                let node = parent.beside(Item::Day(day));
                Ok((self.digest_if_any(&node)?.is_some_and(|digest| digest.len > 0)).then_some(node))
            }
            _ => {
                let (Some(id), Some(kind)) = (name.strip_suffix(".json"), directory.kind()) else {
                    return self.lookup_extra(parent, directory, name);
                };
                let found = members::find(&parent.at.view(&self.vault), directory, id)?;
                let found = found.filter(|_| !self.is_aside(&parent.at, kind, id));
                match found {
                    Some(_) => Ok(Some(parent.beside(Item::Record { kind, id: id.into() }))),
                    None => self.lookup_extra(parent, directory, name),
                }
            }
        }
    }

    fn lookup_snapshot(&self, name: &str) -> Result<Option<Node>> {
        let (id, format) = if let Some(id) = name.strip_suffix(".json") {
            (id, Some(Format::Json))
        } else if let Some(id) = name.strip_suffix(".yaml") {
            (id, Some(Format::Yaml))
        } else {
            (name, None)
        };
        Ok(listing::pinned(&self.vault, id)?.map(|pinned| match format {
            Some(format) => Node { at: At::Present, item: Item::SnapshotFile(pinned, format) },
            None => Node { at: At::Past(pinned), item: Item::Directory(Directory::Root) },
        }))
    }

    /// The attributes of a node. Of records no content is read.
    ///
    /// # Errors
    /// [`crate::storage::StorageError::NotFound`] for a record that is gone, [`Error::Io`] of kind `NotFound` for another file that is,
    /// and those of the storage.
    pub fn attributes(&self, node: &Node) -> Result<Attributes> {
        if let Some((pinned, ino)) = node.artifact() {
            return artifacts::attributes(pinned, ino, node);
        }
        match &node.item {
            Item::Directory(directory) => {
                let time = self.time_of_directory(&node.at, *directory)?;
                Ok(Attributes::new(FileType::Directory, 0, time))
            }
            Item::Record { kind, id } => match node.at.view(&self.vault).head(*kind, id)? {
                Some(head) => Ok(Attributes::of_head(&head)),
                None => self.draft_attributes(node, *kind, id)?.ok_or_else(|| Error::not_found(*kind, id)),
            },
            Item::Scratch(file) => self.scratch_attributes(file).map_err(|refusal| of_scratch(node, refusal)),
            Item::Latest => {
                let time = self.stamps.entries(&self.vault, Kind::Snapshot)?.time;
                Ok(Attributes::new(FileType::Symlink, self.readlink(node)?.len() as u64, time))
            }
            _ => {
                let digest = self.digest(node)?;
                Ok(Attributes::new(FileType::Regular, digest.len, digest.time))
            }
        }
    }

    /// The attributes of a node, if they can be told without making a file first.
    ///
    /// # Errors
    /// As [`Tree::attributes`].
    pub fn known_attributes(&self, node: &Node) -> Result<Option<Attributes>> {
        match &node.item {
            Item::Sums(_) | Item::Day(_) | Item::SnapshotFile(..) | Item::Log => {
                let known = self.cache.digest(node, |sequence| self.is_fresh(node, sequence))?;
                Ok(known.map(|digest| Attributes::new(FileType::Regular, digest.len, digest.time)))
            }
            _ => self.attributes(node).map(Some),
        }
    }

    /// The entries of a directory behind a place.
    ///
    /// # Errors
    /// [`Error::Argument`] for what is no directory, and those of the storage.
    pub fn list(&self, node: &Node, after: Cursor) -> Result<Listing> {
        match node.item {
            Item::Directory(directory) => Listing::new(self, node, directory, after),
            Item::Artifact(_, FileType::Directory) => Ok(Listing::of_artifacts(node, after)),
            _ => Err(Error::argument(node.to_string(), "it is not a directory")),
        }
    }

    /// The content of a file, as it is now and stays. A record is verified, then rendered; an artifact is verified as it is
    /// read.
    ///
    /// # Errors
    /// As [`Tree::attributes`], [`crate::storage::StorageError::Corrupt`] when a record is not what was stored, and those of temporary
    /// files.
    pub fn open(&self, node: &Node) -> Result<Content> {
        if let Some((pinned, ino)) = node.artifact() {
            return artifacts::open(pinned, ino, node);
        }
        match &node.item {
            Item::Directory(_) | Item::Latest => Err(Error::argument(node.to_string(), "it is not a regular file")),
            Item::Record { kind, id } => self.open_record(node, *kind, id),
            Item::Scratch(file) => self.scratch_content(file).map_err(|refusal| of_scratch(node, refusal)),
            Item::Readme => Ok(generated::readme(self.opened)),
            Item::Health => Ok(self.health.content(&self.vault, self.last_error())),
            Item::MerkleRoot => generated::merkle_root(&self.vault),
            Item::Log => self.log.content(&self.vault),
            Item::LastError => self.last_error().map(|error| error.content()).ok_or_else(|| gone(node)),
            Item::Artifact(..) => Err(gone(node)),
            Item::Sums(_) | Item::Day(_) | Item::SnapshotFile(..) => {
                self.cache.content(node, |sequence| self.is_fresh(node, sequence), || self.make(node))
            }
        }
    }

    /// What the link leads to.
    ///
    /// # Errors
    /// [`Error::Argument`] for what is no link, [`Error::Io`] of kind `NotFound` when it is gone, those of the storage.
    pub fn readlink(&self, node: &Node) -> Result<OsString> {
        if let Some((pinned, ino)) = node.artifact() {
            return artifacts::read_link(pinned, ino, node);
        }
        match node.item {
            Item::Latest => self.newest_snapshot()?.map(OsString::from).ok_or_else(|| gone(node)),
            _ => Err(Error::argument(node.to_string(), "it is not a symbolic link")),
        }
    }

    /// The next data, or the next hole, at or after an offset of a file; none at or beyond its end, or when what is left is
    /// a hole. Only artifacts have holes.
    ///
    /// # Errors
    /// As [`Tree::attributes`].
    pub fn seek(&self, node: &Node, offset: u64, what: Seek) -> Result<Option<u64>> {
        match node.artifact() {
            Some((pinned, ino)) => artifacts::seek(pinned, ino, node, offset, what),
            None => Ok(what.in_data(offset, self.attributes_held(node)?.size)),
        }
    }

    /// The names of a node's extended attributes.
    ///
    /// # Errors
    /// As [`Tree::attributes`].
    pub fn xattr_names(&self, node: &Node) -> Result<Vec<OsString>> {
        match node.artifact() {
            Some((pinned, ino)) => artifacts::xattr_names(pinned, ino, node),
            None => Ok(made_xattrs(node).iter().map(OsString::from).collect()),
        }
    }

    /// The value of an extended attribute, if the node has it.
    ///
    /// # Errors
    /// As [`Tree::attributes`].
    pub fn xattr(&self, node: &Node, name: &OsStr) -> Result<Option<Vec<u8>>> {
        if let Some((pinned, ino)) = node.artifact() {
            return artifacts::xattr(pinned, ino, node, name);
        }
        let Some(name) = made_xattrs(node).iter().find(|known| name == **known) else { return Ok(None) };
        let value = match (&node.item, *name) {
            (Item::Record { kind, id }, XATTR_CHECKSUM) => {
                let version = node.at.view(&self.vault).version(*kind, id)?;
                version.ok_or_else(|| Error::not_found(*kind, id))?.checksum.to_string()
            }
            (Item::Record { kind, id }, XATTR_SEQUENCE) => self.head(node, *kind, id)?.sequence.to_string(),
            (Item::Record { kind, id }, _) => self.head(node, *kind, id)?.file.sha256.to_string(),
            _ => return Ok(self.digest(node)?.sha256.map(|sha256| sha256.to_string().into_bytes())),
        };
        Ok(Some(value.into_bytes()))
    }

    /// What a change touches. Whoever caches the tree subscribes to the vault and drops that.
    #[must_use]
    pub fn affected(changed: &Changed) -> Vec<Affected> {
        affected::affected(changed)
    }

    /// Notes what went wrong, for `.vault/last-error`.
    pub fn note_error(&self, text: String) {
        *lock(&self.last_error) = Some(LastError { text, time: self.vault.now() });
    }

    fn last_error(&self) -> Option<LastError> {
        lock(&self.last_error).clone()
    }

    fn head(&self, node: &Node, kind: Kind, id: &str) -> Result<Head> {
        node.at.view(&self.vault).head(kind, id)?.ok_or_else(|| Error::not_found(kind, id))
    }

    fn newest_snapshot(&self) -> Result<Option<String>> {
        let newest = Selection { order: Order::LogReversed, ..Selection::all(Kind::Snapshot) };
        Ok(self.vault.storage().select(&newest, None, 1)?.pop().map(|posting| posting.id))
    }

    /// The days that have events in a view.
    fn days(&self, at: &At) -> Result<BTreeSet<Timestamp>> {
        match at {
            At::Present => self.vault.timeline().days(),
            At::Past(pinned) => self.past_days.days(pinned),
        }
    }

    fn time_of_directory(&self, at: &At, directory: Directory) -> Result<Timestamp> {
        if let At::Past(pinned) = at {
            return Ok(pinned.pin().timestamp);
        }
        let stamp = match directory {
            Directory::Root | Directory::Artifacts => return Ok(self.opened),
            Directory::Vault => self.stamps.newest(&self.vault)?,
            Directory::Collection(Kind::Event) => self.stamps.events(&self.vault)?,
            Directory::Collection(kind) => self.stamps.entries(&self.vault, kind)?,
            Directory::Tier(_) => self.stamps.entries(&self.vault, Kind::Memory)?,
        };
        Ok(stamp.time)
    }

    /// Whether any memory of a view is in no tier. All heads are walked to know, so it is remembered of the present.
    fn has_strays(&self, at: &At) -> Result<bool> {
        let look = |at: &At| {
            let mut strays = Members::new(at.view(&self.vault), Directory::Collection(Kind::Memory), None)?;
            Ok(strays.next().transpose()?.is_some())
        };
        if let At::Past(_) = at {
            return look(at);
        }
        let mut known = lock(&self.strays);
        let sequence = self.vault.state_now()?.sequence;
        match *known {
            Some((strays, when)) if self.stamps.content(&self.vault, Kind::Memory)?.sequence <= when => Ok(strays),
            _ => {
                let strays = look(at)?;
                *known = Some((strays, sequence));
                Ok(strays)
            }
        }
    }
}

/// The extended attributes that the vault gives its files.
fn made_xattrs(node: &Node) -> &'static [&'static str] {
    match node.item {
        Item::Record { .. } => &[XATTR_SHA256, XATTR_CHECKSUM, XATTR_SEQUENCE],
        Item::SnapshotFile(..) => &[XATTR_SHA256],
        _ => &[],
    }
}

/// What keeps a scratch file from being read.
fn of_scratch(node: &Node, refusal: Refusal) -> Error {
    match refusal {
        Refusal::Vault { source, .. } => source,
        _ => gone(node),
    }
}

fn gone(node: &Node) -> Error {
    Error::Io { path: node.to_string().into(), source: io::ErrorKind::NotFound.into() }
}

/// A temporary file could not be written.
fn spooling(source: io::Error) -> Error {
    Error::Io { path: std::env::temp_dir(), source }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
