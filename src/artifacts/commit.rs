//! Bringing what waits in memory into the storage.
//!
//! First the content of files is written and staged, file by file, each under its own lock. Then all inodes and names that
//! wait are taken together under the namespace's lock, so that a commit never has half of an operation; what was changed
//! of a file's content since it was staged stays out of it, and its inode goes with the size that was staged. Then the
//! storage commits, without any of these locks. What a failed commit had taken waits again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::record::id::{IdSource, SystemIds};
use crate::record::{FileType, Inode, Kind};
use crate::storage::{
    Action, Change, Commit, Dentry, Durability, Expect, FileRows, Ino, Lease, Origin, Piece, Sequence, StorageError,
    prepare_inode,
};

use super::content::{Content, Staged};
use super::directory::Known;
use super::error::{FsError, Result};
use super::load::Syncing;
use super::namespace::{ChangedIn, Name, Namespace, StoredData};
use super::slot::Chunks;
use super::{Artifacts, Ordering, lock};

/// A sync of one file takes the content of the others with it when there is no more of it than this.
const LITTLE_BYTES: usize = 4 << 20;
/// With more than this in memory, what is synced goes into segments all the same.
const INLINE_TOTAL: usize = 256 << 10;
/// With more rows than this, the content of further files waits for the next commit.
const MAX_ROWS: usize = 80_000;

/// Whose content is committed. Names and attributes always are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    All,
    One(Ino),
}

/// How much of what waits is in a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Whole,
    SomeIsLeft,
}

/// A file whose content is staged.
struct StagedFile {
    ino: Ino,
    content: Arc<Content>,
    data: StoredData,
    rows: Vec<(u64, Vec<Piece>)>,
}

/// Slots and their pieces, of each file that has been staged.
type Rows<'a> = HashMap<Ino, &'a [(u64, Vec<Piece>)]>;

/// An inode that is committed.
struct Taken {
    ino: Ino,
    /// None: it is deleted.
    inode: Option<Inode>,
    /// The storage had it before.
    stored: bool,
    staged: Option<StoredData>,
}

/// Inodes and names that are committed.
struct Batch {
    inodes: Vec<Taken>,
    names: HashMap<Name, Option<Dentry>>,
    dentries: Vec<(Ino, Vec<u8>, Option<Dentry>)>,
    lease: Option<Lease>,
}

impl Artifacts {
    /// Commits everything that waits. With [`Durability::Sync`] it is durable afterwards.
    ///
    /// # Errors
    /// [`FsError::NoSpace`], and those of the storage. What could not be committed waits.
    pub fn commit(&self, durability: Durability) -> Result<()> {
        let _entered = self.enter();
        let committed = self.commit_all(durability);
        if matches!(committed, Err(FsError::Storage(StorageError::Corrupt { .. }))) {
            self.namespace().loss_untold = false;
        }
        committed?;
        let untold = durability == Durability::Sync && std::mem::take(&mut self.namespace().loss_untold);
        if untold { Err(lost_content("artifacts".to_owned())) } else { Ok(()) }
    }

    /// Makes a file or directory durable: its content, its attributes and its names, or the names that it has.
    /// `data_only` leaves out what only concerns times.
    ///
    /// # Errors
    /// As [`Artifacts::commit`].
    pub fn sync(&self, ino: Ino, data_only: bool) -> Result<()> {
        let _entered = self.enter();
        let synced = self.sync_one(ino, data_only);
        if let Err(FsError::Storage(StorageError::Corrupt { .. })) = &synced {
            self.namespace().lost.remove(&ino);
        }
        synced?;
        // Once, and also when it was somebody else's commit that found it out.
        if self.namespace().lost.remove(&ino) { Err(lost_content(format!("artifact {ino}"))) } else { Ok(()) }
    }

    fn sync_one(&self, ino: Ino, data_only: bool) -> Result<()> {
        if self.is_committed(ino, data_only) {
            return self.sync_committed();
        }
        let committing = lock(&self.committer);
        // Somebody else's commit may have taken it along in the meantime.
        if self.is_committed(ino, data_only) {
            drop(committing);
            return self.sync_committed();
        }
        let little = self.budget.buffered.load(Ordering::Relaxed) <= LITTLE_BYTES;
        self.commit_now(if little { Scope::All } else { Scope::One(ino) }, Durability::Sync)
    }

    fn is_committed(&self, ino: Ino, data_only: bool) -> bool {
        let namespace = self.namespace();
        if namespace.in_flight.contains(&ino) {
            return false;
        }
        let only_times = || {
            let node = namespace.nodes.get(&ino);
            node.is_some_and(|node| node.stored && node.changed <= ChangedIn::Times && !node.data_changed)
        };
        !namespace.dirty.contains(&ino) || data_only && only_times()
    }

    /// Makes durable what was committed.
    fn sync_committed(&self) -> Result<()> {
        let committed = self.namespace().committed;
        if committed > self.storage.state().durable {
            self.storage.sync()?;
        }
        Ok(())
    }

    /// As [`Artifacts::commit`], for who is inside already.
    pub(super) fn commit_all(&self, durability: Durability) -> Result<()> {
        let _committing = lock(&self.committer);
        self.commit_now(Scope::All, durability)
    }

    /// To be called with the committer's lock held.
    fn commit_now(&self, scope: Scope, durability: Durability) -> Result<()> {
        while self.commit_part(scope, durability)? == Progress::SomeIsLeft {}
        Ok(())
    }

    /// As [`Artifacts::commit_now`], of as much content as should be in one commit.
    fn commit_part(&self, scope: Scope, durability: Durability) -> Result<Progress> {
        let shared = if scope == Scope::All { std::mem::take(&mut *lock(&self.shared_chunks)) } else { Vec::new() };
        let (staged, progress, failure) = self.stage(scope, durability);
        let all = scope == Scope::All && progress == Progress::Whole && failure.is_none();
        let (batch, rows) = self.take(&staged, all);
        let committed = self.store(&batch, &rows, durability);
        let success = committed.as_ref().ok().copied();
        for file in &staged {
            file.content.peek().settled(success.is_some());
        }
        self.settle(batch, success);
        self.full.store(
            matches!(committed, Err(FsError::NoSpace)) || matches!(failure, Some(FsError::NoSpace)),
            Ordering::Relaxed,
        );
        self.failing.store(committed.is_err() || failure.is_some(), Ordering::Relaxed);
        if let Err(FsError::Storage(StorageError::Corrupt { .. })) = &committed {
            self.note_lost(&staged);
        }
        if success.is_some() && self.orphans_wait.swap(false, Ordering::Relaxed) {
            self.background.look_for_orphans();
        }
        self.discard(shared, all && success.is_some());
        if let Ok(space) = self.storage.space() {
            self.free.store(space.free, Ordering::Relaxed);
        }
        committed?;
        failure.map_or(Ok(progress), Err)
    }

    /// Remembers of which files content is lost, as a commit has just found out: whoever syncs one of them is told.
    fn note_lost(&self, staged: &[StagedFile]) {
        let is_lost = |file: &&StagedFile| {
            let mut pieces = file.rows.iter().flat_map(|(_, pieces)| pieces);
            pieces.any(|piece| matches!(self.storage.chunk(piece.chunk), Err(StorageError::Corrupt { .. })))
        };
        let lost: Vec<Ino> = staged.iter().filter(is_lost).map(|file| file.ino).collect();
        let mut namespace = self.namespace();
        namespace.lost.extend(lost);
        namespace.loss_untold = true;
    }

    /// Writes content and gets it ready to be committed, as much as should be at once. A file of which that fails waits on, and the
    /// failure is told.
    fn stage(&self, scope: Scope, durability: Durability) -> (Vec<StagedFile>, Progress, Option<FsError>) {
        let syncing = Syncing(self);
        // One sync serves for much content as well as for little.
        let little = self.budget.buffered.load(Ordering::Relaxed) <= INLINE_TOTAL;
        let chunks: &dyn Chunks = if durability == Durability::Sync && little { &syncing } else { self };
        let waiting: Vec<(Ino, Arc<Content>)> = {
            let namespace = self.namespace();
            let dirty = namespace.dirty.iter().filter(|ino| scope == Scope::All || scope == Scope::One(**ino));
            let nodes = dirty.filter_map(|ino| namespace.nodes.get(ino)).filter(|node| node.data_changed);
            nodes.filter_map(|node| Some((node.inode.ino, Arc::clone(node.content.as_ref()?)))).collect()
        };
        let (mut staged, mut failure, mut count) = (Vec::with_capacity(waiting.len()), None, 0);
        let mut waiting = waiting.into_iter().peekable();
        while let Some((ino, content)) = waiting.next() {
            let mut state = content.peek();
            match state.stage(chunks) {
                Ok(Staged { data, rows }) => {
                    let mut namespace = self.namespace();
                    if let Some(node) = namespace.nodes.get_mut(&ino) {
                        node.data_changed = false;
                    }
                    // It is under way from now on: until the rest is taken, a sync of it would find nothing that waits.
                    namespace.in_flight.insert(ino);
                    drop(namespace);
                    drop(state);
                    count += rows.len();
                    staged.push(StagedFile { ino, content, data, rows });
                }
                Err(error) => {
                    let full = matches!(error, StorageError::NoSpace { .. });
                    failure = Some(error.into());
                    if full {
                        break;
                    }
                }
            }
            if count > MAX_ROWS && waiting.peek().is_some() {
                return (staged, Progress::SomeIsLeft, failure);
            }
        }
        (staged, Progress::Whole, failure)
    }

    /// Takes all inodes and names that wait.
    fn take<'s>(&self, staged: &'s [StagedFile], all: bool) -> (Batch, Rows<'s>) {
        let data: HashMap<Ino, StoredData> = staged.iter().map(|file| (file.ino, file.data)).collect();
        let mut rows: Rows<'s> = staged.iter().map(|file| (file.ino, file.rows.as_slice())).collect();
        let mut namespace = self.namespace();
        let dirty = namespace.take_dirty();
        let mut inodes = Vec::with_capacity(dirty.len());
        for ino in dirty {
            let Some(node) = namespace.nodes.get_mut(&ino) else {
                inodes.push(Taken { ino, inode: None, stored: true, staged: None });
                namespace.in_flight.insert(ino);
                continue;
            };
            let staged = data.get(&ino).copied();
            let waits = node.data_changed;
            if node.changed > ChangedIn::Nothing || staged.is_some() {
                let mut inode = node.inode.clone();
                if inode.file_type == FileType::Regular {
                    let stored = staged.unwrap_or(node.data);
                    (inode.size, inode.allocated, inode.root) = (stored.size, stored.allocated, stored.root);
                }
                inodes.push(Taken { ino, inode: Some(inode), stored: node.stored, staged });
                node.stored = true;
                node.changed = ChangedIn::Nothing;
                namespace.in_flight.insert(ino);
            }
            if waits {
                namespace.mark_dirty(ino);
            }
        }
        rows.retain(|ino, _| namespace.nodes.contains_key(ino));
        let names = std::mem::take(&mut namespace.names);
        let dentries = names.iter().filter_map(|((parent, name), before)| {
            let now = namespace.known(*parent, name);
            (now != *before).then(|| (*parent, name.to_vec(), now))
        });
        let dentries = dentries.collect();
        self.count_waiting(&namespace);
        let lease = if all { namespace.lease.take() } else { None };
        (Batch { inodes, names, dentries, lease }, rows)
    }

    /// Commits a batch, in one commit: that it is no larger than one may be is seen to before anything is changed.
    fn store(&self, batch: &Batch, rows: &Rows<'_>, durability: Durability) -> Result<Sequence> {
        if batch.inodes.is_empty() {
            if durability == Durability::Sync {
                self.sync_committed()?;
            }
            return Ok(self.namespace().committed);
        }
        // It would wait for whoever finishes the restore, and they for this.
        self.check_finished()?;
        let mut changes = Vec::with_capacity(batch.inodes.len());
        let mut files = FileRows { dentries: batch.dentries.clone(), extents: Vec::new() };
        for taken in &batch.inodes {
            let rows = rows.get(&taken.ino).copied().unwrap_or_default();
            files.extents.extend(rows.iter().map(|(slot, pieces)| (taken.ino, *slot, pieces.clone())));
            let action = match &taken.inode {
                Some(inode) => Action::Put(Box::new(prepare_inode(inode).map_err(|error| StorageError::Limit {
                    what: error.to_string(),
                    limit: crate::record::MAX_RECORD_BYTES,
                })?)),
                None => Action::Delete,
            };
            let id = taken.ino.to_string();
            changes.push(Change { kind: Kind::Artifact, id, action, expect: Expect::Any, event: None });
        }
        let mut token = [0; 16];
        SystemIds.fill(&mut token).map_err(StorageError::from)?;
        *lock(&self.own) = Some(token);
        let actor = self.actor.clone();
        let (seen, origin) = (Vec::new(), Origin::Direct);
        let commit = Commit { seen, changes, files, actor, origin, token: Some(token), durability };
        Ok(self.storage.commit(commit)?.last)
    }

    /// Notes how a commit ended.
    fn settle(&self, batch: Batch, committed: Option<Sequence>) {
        let mut namespace = self.namespace();
        namespace.ended();
        if let Some(committed) = committed {
            namespace.committed = committed;
            for taken in batch.inodes {
                if let (Some(staged), Some(node)) = (taken.staged, namespace.nodes.get_mut(&taken.ino)) {
                    node.data = staged;
                }
            }
        } else {
            for taken in batch.inodes {
                namespace.put_back(&taken);
            }
            // What the storage had before this commit is what it still has.
            namespace.names.extend(batch.names);
            namespace.lease = batch.lease.or(namespace.lease.take());
        }
        self.count_waiting(&namespace);
    }

    /// Lets the storage use the room of chunks again that were written and are not needed any more.
    fn discard(&self, shared: Vec<crate::storage::ChunkId>, all_committed: bool) {
        // Held, so that no file begins to share a chunk that is being discarded.
        let mut still_shared = lock(&self.shared_chunks);
        let mut garbage = std::mem::take(&mut *lock(&self.budget.garbage));
        if all_committed {
            garbage.extend(shared);
        } else {
            still_shared.extend(shared);
        }
        if garbage.is_empty() {
            return;
        }
        if !still_shared.is_empty() {
            let keep: HashSet<_> = still_shared.iter().collect();
            garbage.retain(|chunk| !keep.contains(chunk));
        }
        self.storage.discard_chunks(&garbage);
    }
}

fn lost_content(what: String) -> FsError {
    let detail = "a sync failed, and some of what was written is lost".to_owned();
    FsError::Storage(StorageError::Corrupt { what, detail })
}

impl Namespace {
    /// What a name that waits to be committed leads to.
    fn known(&self, parent: Ino, name: &[u8]) -> Option<Dentry> {
        match self.nodes.get(&parent)?.directory.as_ref()?.find(name) {
            Known::Yes(target) => target,
            Known::No => None,
        }
    }

    /// An inode could not be committed.
    fn put_back(&mut self, taken: &Taken) {
        let ino = taken.ino;
        match self.nodes.get_mut(&ino) {
            Some(node) => {
                node.changed = ChangedIn::Attributes;
                node.stored = taken.stored;
                node.data_changed |= taken.staged.is_some();
                self.mark_dirty(ino);
            }
            // It was deleted in the meantime, or is to be.
            None if taken.stored => {
                self.dirty.insert(ino);
            }
            None => {
                self.dirty.remove(&ino);
            }
        }
    }
}
