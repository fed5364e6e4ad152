//! What is read from the storage, without any lock held, and put into memory afterwards.

use crate::record::{FileType, Inode, Kind, json};
use crate::storage::{ChunkId, ChunkSum, Dentry, INLINE_BYTES, Ino, NOW, Piece, Sequence, Storage, StorageError};

use super::error::{FsError, Result};
use super::namespace::{Namespace, Need};
use super::slot::{Chunks, length};
use super::types::{Nanos, ROOT};
use super::{Artifacts, Ordering};

/// Names read at once.
const PAGE: usize = 4_096;

/// What was read.
pub(super) enum Found {
    /// Inodes, and whether the storage has each of them; and those that are damaged.
    Nodes(Vec<(Inode, bool)>, Vec<Ino>),
    /// Names of a directory, and whether these are all.
    Names(Ino, Vec<(Vec<u8>, Option<Dentry>)>, bool),
}

impl Found {
    /// Puts it into memory, where nothing newer is.
    pub(super) fn teach(self, namespace: &mut Namespace) {
        match self {
            Self::Nodes(nodes, damaged) => {
                for (inode, stored) in nodes {
                    namespace.learn(inode, stored);
                }
                namespace.damaged.extend(damaged);
            }
            Self::Names(parent, names, all) => namespace.learn_names(parent, &names, all),
        }
    }
}

impl Artifacts {
    /// Reads what is needed.
    pub(super) fn load(&self, need: Need) -> Result<Found> {
        let storage = &*self.storage;
        match need {
            Need::Node(ino) => match inode(storage, ino, NOW)? {
                Some(inode) => Ok(Found::Nodes(vec![(inode, true)], Vec::new())),
                None if ino == ROOT => Ok(Found::Nodes(vec![(new_root(self.now()), false)], Vec::new())),
                None => Err(FsError::Stale { ino }),
            },
            Need::Nodes(inos) => {
                let (mut nodes, mut damaged) = (Vec::with_capacity(inos.len()), Vec::new());
                for ino in inos {
                    match inode(storage, ino, NOW) {
                        // One that has just been deleted is no error: the name that led to it will be gone too.
                        Ok(found) => nodes.extend(found.map(|inode| (inode, true))),
                        // It keeps nobody from the others.
                        Err(FsError::Storage(error @ StorageError::Corrupt { .. })) => {
                            tracing::error!(target: "mirrordna::artifacts", ino, %error, "cannot be listed with attributes");
                            damaged.push(ino);
                        }
                        Err(error) => return Err(error),
                    }
                }
                Ok(Found::Nodes(nodes, damaged))
            }
            Need::Name(parent, name) => {
                let target = storage.dentry(parent, &name, NOW)?;
                Ok(Found::Names(parent, vec![(name, target)], false))
            }
            Need::Names(parent) => {
                let names = names(storage, parent, NOW)?;
                Ok(Found::Names(parent, names.into_iter().map(|(name, target)| (name, Some(target))).collect(), true))
            }
        }
    }
}

/// All names of a directory at a sequence.
pub(super) fn names(storage: &dyn Storage, parent: Ino, at: Sequence) -> Result<Vec<(Vec<u8>, Dentry)>> {
    let mut names: Vec<(Vec<u8>, Dentry)> = Vec::new();
    loop {
        let after = names.last().map(|(name, _)| name.clone());
        let page = storage.dentries(parent, after.as_deref(), PAGE, at)?;
        let full = page.len() >= PAGE;
        names.extend(page);
        if !full {
            return Ok(names);
        }
    }
}

/// An inode at a sequence, if it was there.
pub(super) fn inode(storage: &dyn Storage, ino: Ino, at: Sequence) -> Result<Option<Inode>> {
    let id = ino.to_string();
    let Some(version) = storage.version(Kind::Artifact, &id, at)?.filter(|version| !version.deleted) else {
        return Ok(None);
    };
    let damaged = |detail: String| FsError::Storage(StorageError::Corrupt { what: format!("artifact {id}"), detail });
    let value = json::parse(&version.json).map_err(|error| damaged(error.to_string()))?;
    let inode = Inode::from_value(&value).map_err(damaged)?;
    if inode.ino == ino { Ok(Some(inode)) } else { Err(damaged(format!("it says that it is {}", inode.ino))) }
}

/// The root directory before anything was put into it.
pub(super) fn new_root(now: Nanos) -> Inode {
    Inode {
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        mode: 0o700,
        ..Inode::new(ROOT, FileType::Directory, now)
    }
}

impl Chunks for Artifacts {
    fn append(&self, bytes: &[u8]) -> std::result::Result<(ChunkId, ChunkSum), StorageError> {
        self.appended(bytes, self.storage.append_chunk(bytes))
    }

    fn read(&self, piece: &Piece, from: u32, out: &mut [u8]) -> std::result::Result<(), StorageError> {
        self.storage.read_piece_into(piece, from, out)
    }
}

impl Artifacts {
    /// Notes that content takes room now, if it does.
    fn appended<T>(
        &self,
        bytes: &[u8],
        appended: std::result::Result<T, StorageError>,
    ) -> std::result::Result<T, StorageError> {
        if appended.is_ok() {
            let room = |free: u64| Some(free.saturating_sub(u64::from(length(bytes))));
            let _ = self.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room);
        }
        appended
    }
}

/// Chunks that a commit is about to make durable: small ones go with it.
pub(super) struct Syncing<'a>(pub(super) &'a Artifacts);

impl Chunks for Syncing<'_> {
    fn append(&self, bytes: &[u8]) -> std::result::Result<(ChunkId, ChunkSum), StorageError> {
        if bytes.len() > INLINE_BYTES {
            return self.0.append(bytes);
        }
        self.0.appended(bytes, self.0.storage.append_inline(bytes))
    }

    fn read(&self, piece: &Piece, from: u32, out: &mut [u8]) -> std::result::Result<(), StorageError> {
        self.0.storage.read_piece_into(piece, from, out)
    }
}
