//! What others do to the artifacts of the storage below: restores, and changes by other processes.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Weak};

use crate::record::inode::parse_ino;
use crate::record::{FileType, Kind};
use crate::storage::{Changed, Durability, Ino, NOW, Sequence, StorageError, Subscriber, WriteBack};

use super::error::FsError;
use super::types::Invalidation;
use super::{Artifacts, lock};

/// Somebody who keeps what the file system said, and collects what is written to it: a kernel.
///
/// It may have content that is not here yet. So it is asked for that before somebody else reads or changes a file, or has all of
/// it kept as it is now.
pub trait Watch: Send + Sync {
    /// Is told what others have changed, all of it at once, and returns when it has acted on it.
    fn changed(&self, changes: &[Invalidation]);

    /// Writes what it has of a range of a file, up to the file's end without an end, and forgets what it knows of it.
    fn write_back(&self, _ino: Ino, _from: u64, _to: Option<u64>) {}

    /// Writes all that it has.
    fn write_back_all(&self) {}

    /// These files are about to have another content, as after a restore, or all may have: who has one open must not go on with it,
    /// and what was not written by now is not to be. Must not wait for anything.
    fn replaced(&self, _inos: &[Ino], _all: bool) {}
}

impl<T: Fn(&[Invalidation]) + Send + Sync> Watch for T {
    fn changed(&self, changes: &[Invalidation]) {
        self(changes);
    }
}

/// Who watches.
pub type Watcher = Arc<dyn Watch>;

/// What a restore changes while everybody else is kept out.
#[derive(Default)]
pub(super) struct Stopped {
    /// The last sequence before it.
    at: Sequence,
    inos: BTreeSet<Ino>,
}

/// The storage's way to the artifacts.
pub(super) struct Listener(Weak<Artifacts>);

impl Listener {
    /// The listener, in both of its roles.
    pub(super) fn both(artifacts: &Arc<Artifacts>) -> (Arc<dyn Subscriber>, Arc<dyn WriteBack>) {
        let listener = Arc::new(Self(Arc::downgrade(artifacts)));
        (Arc::clone(&listener) as Arc<dyn Subscriber>, listener)
    }
}

impl Subscriber for Listener {
    fn changed(&self, changes: &[Changed]) {
        let Some(artifacts) = self.0.upgrade() else { return };
        let own = *lock(&artifacts.own);
        let mut foreign: Vec<Ino> = Vec::new();
        for commit in changes.split_inclusive(|change| change.entry.end_of_commit) {
            let token = commit.last().and_then(|change| change.entry.token);
            if token.is_some() && token == own {
                continue;
            }
            let files = commit.iter().filter(|change| change.entry.kind == Some(Kind::Artifact));
            foreign.extend(files.filter_map(|change| parse_ino(&change.entry.id)));
        }
        if foreign.is_empty() {
            return;
        }
        match &mut *lock(&artifacts.stopped) {
            // Told at its end.
            Some(stopped) => stopped.inos.extend(foreign),
            None => artifacts.changed_elsewhere(&foreign),
        }
    }

    fn settle(&self, _: Sequence) {
        if let Some(artifacts) = self.0.upgrade() {
            artifacts.background.settle();
        }
    }
}

impl WriteBack for Listener {
    fn write_back(&self) -> Result<(), StorageError> {
        let Some(artifacts) = self.0.upgrade() else { return Ok(()) };
        artifacts.write_back_all();
        artifacts.commit(Durability::Buffered).map_err(into_storage)
    }

    fn stop(&self) -> Result<(), StorageError> {
        let Some(artifacts) = self.0.upgrade() else { return Ok(()) };
        artifacts.write_back_all();
        artifacts.gate.shut();
        artifacts.commit_all(Durability::Sync).map_err(into_storage)?;
        *lock(&artifacts.stopped) = Some(Stopped { at: artifacts.storage.state().sequence, inos: BTreeSet::new() });
        Ok(())
    }

    fn resume(&self, unfinished: Option<&StorageError>) {
        let Some(artifacts) = self.0.upgrade() else { return };
        let stopped = lock(&artifacts.stopped).take();
        if stopped.is_some() {
            // After a restore that could not be finished they are not stopped any more, though nothing was changed here.
            artifacts.gate.shut();
            let next = artifacts.storage.next_ino();
            let mut namespace = artifacts.namespace();
            namespace.next_ino = namespace.next_ino.max(next.unwrap_or_default());
            namespace.frozen = unfinished.is_some();
            namespace.clear();
            drop(namespace);
            *lock(&artifacts.unfinished) = unfinished.map(|error| error.again(Path::new("artifacts")));
            if unfinished.is_some() {
                let at = artifacts.storage.state().sequence;
                *lock(&artifacts.stopped) = Some(Stopped { at, inos: BTreeSet::new() });
            }
        }
        let changed = stopped.map(|stopped| {
            let inos: Vec<Ino> = stopped.inos.iter().copied().collect();
            let changed = artifacts.invalidations(stopped.inos.into_iter().map(|ino| (ino, Vec::new())), stopped.at);
            // Before anybody can go on.
            let all = changed.contains(&Invalidation::All);
            artifacts.watching(|watcher| watcher.replaced(&inos, all));
            let replaced = changed.into_iter().map(|change| match change {
                Invalidation::Inode(ino) => Invalidation::Replaced(ino),
                other => other,
            });
            replaced.collect::<Vec<_>>()
        });
        if !artifacts.gate.open() {
            return;
        }
        artifacts.background.look_for_orphans();
        // By the background thread, since nobody gets anything committed before the restore has ended, and the kernel may wait for
        // who wants that.
        artifacts.background.tell(changed.unwrap_or_default());
    }
}

impl Artifacts {
    /// Refuses changes while a restore is left half done.
    pub(super) fn check_finished(&self) -> Result<(), StorageError> {
        match &*lock(&self.unfinished) {
            Some(why) => Err(why.again(Path::new("artifacts"))),
            None => Ok(()),
        }
    }

    /// Forgets what somebody else has changed. Those who watch are told by the background thread: whoever commits has to
    /// go on, since the kernel may have somebody wait for a commit while it waits to be told.
    fn changed_elsewhere(&self, inos: &[Ino]) {
        let mut changed = Vec::with_capacity(inos.len());
        let mut namespace = self.namespace();
        namespace.changes += 1;
        for ino in inos {
            let names = namespace.nodes.get(ino).map(|node| node.inode.names.clone());
            changed.push((*ino, names.unwrap_or_default()));
            if !namespace.forget_clean(*ino) {
                tracing::warn!(
                    target: "mirrordna::artifacts",
                    ino,
                    "an artifact was changed by another process while changes to it waited here: these win"
                );
            }
        }
        drop(namespace);
        self.background.find_and_tell(changed);
    }

    /// Tells those who watch of a change that was made here, and not by them: of files, with the names that they have, and of
    /// names. Returns when they have acted on it.
    pub fn tell_of(&self, inos: &[Ino], names: &[(Ino, &[u8])]) {
        if !self.is_watched() {
            return;
        }
        let mut changed: Vec<_> =
            names.iter().map(|(parent, name)| Invalidation::Name(*parent, name.to_vec())).collect();
        {
            let namespace = self.namespace();
            for ino in inos {
                changed.push(Invalidation::Inode(*ino));
                // The name of a directory leads to it as before. A kernel that dropped it would take away what is mounted below.
                let node = namespace.nodes.get(ino).filter(|node| node.inode.file_type != FileType::Directory);
                changed.extend(
                    node.into_iter()
                        .flat_map(|node| &node.inode.names)
                        .map(|(parent, name)| Invalidation::Name(*parent, name.clone())),
                );
            }
        }
        self.tell(&changed);
    }

    /// What is to be looked up anew after inodes were changed: these, with the names that they had before the change, as
    /// far as they are known or were stored at a sequence, and those that they have now. A directory's name that stays does
    /// not have to be: what is mounted below would go with it.
    pub(super) fn invalidations(
        &self,
        inos: impl Iterator<Item = (Ino, Vec<(Ino, Vec<u8>)>)>,
        before: Sequence,
    ) -> Vec<Invalidation> {
        let mut changed = Vec::new();
        for (ino, known) in inos {
            let mut stored = |at| {
                super::load::inode(&*self.storage, ino, at).unwrap_or_else(|_| {
                    // It is not known what has changed, so it may be anything.
                    changed.push(Invalidation::All);
                    None
                })
            };
            let then = if before == NOW { None } else { stored(before) };
            let now = stored(NOW);
            let is_directory = [&then, &now].into_iter().flatten().any(|inode| inode.file_type == FileType::Directory);
            let old: BTreeSet<_> = known.into_iter().chain(then.into_iter().flat_map(|inode| inode.names)).collect();
            let new: BTreeSet<_> = now.into_iter().flat_map(|inode| inode.names).collect();
            changed.push(Invalidation::Inode(ino));
            let gone = old.union(&new).filter(|name| !(is_directory && old.contains(name) && new.contains(name)));
            changed.extend(gone.map(|(parent, name)| Invalidation::Name(*parent, name.clone())));
        }
        changed
    }

    /// Whether somebody watches.
    pub(crate) fn is_watched(&self) -> bool {
        lock(&self.watchers).iter().any(|watcher| watcher.strong_count() > 0)
    }

    /// Has those who watch write what they have of a range of a file, and forget what they know of it: somebody else is about to read
    /// or to change it. No lock may be held.
    pub fn write_back(&self, ino: Ino, from: u64, to: Option<u64>) {
        self.watching(|watcher| watcher.write_back(ino, from, to));
    }

    /// Nobody is to go on with a file who has it open where somebody watches: it is about to become longer or shorter, and a kernel that
    /// collects what is written keeps the length that it knows. What it had is to be written before. No lock may be held.
    pub(crate) fn resizing(&self, ino: Ino) {
        self.watching(|watcher| watcher.replaced(&[ino], false));
    }

    /// Has those who watch write all that they have. No lock may be held.
    pub fn write_back_all(&self) {
        self.watching(|watcher| watcher.write_back_all());
    }

    fn watching(&self, each: impl Fn(&dyn Watch)) {
        let watchers: Vec<Watcher> = lock(&self.watchers).iter().filter_map(Weak::upgrade).collect();
        for watcher in &watchers {
            each(&**watcher);
        }
    }

    /// Tells those who watch, and returns when they have acted on it. No lock may be held.
    pub(super) fn tell(&self, changed: &[Invalidation]) {
        if !changed.is_empty() {
            self.watching(|watcher| watcher.changed(changed));
        }
    }
}

/// The storage asked; so it is told in its own words.
fn into_storage(error: FsError) -> StorageError {
    match error {
        FsError::Storage(error) | FsError::Corrupt { source: error, .. } => error,
        FsError::NoSpace => StorageError::NoSpace { path: "artifacts".into() },
        other => StorageError::Corrupt { what: "artifacts".to_owned(), detail: other.to_string() },
    }
}
