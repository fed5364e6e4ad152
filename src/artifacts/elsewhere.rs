//! What others do to the artifacts of the storage below: restores, and changes by other processes.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Weak};

use crate::record::Kind;
use crate::record::inode::parse_ino;
use crate::storage::{Changed, Durability, Ino, NOW, Sequence, StorageError, Subscriber, WriteBack};

use super::error::FsError;
use super::types::Invalidation;
use super::{Artifacts, lock};

/// Is told what others have changed, all of it at once.
pub type Watcher = Arc<dyn Fn(&[Invalidation]) + Send + Sync>;

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
}

impl WriteBack for Listener {
    fn write_back(&self) -> Result<(), StorageError> {
        let Some(artifacts) = self.0.upgrade() else { return Ok(()) };
        artifacts.commit(Durability::Buffered).map_err(into_storage)
    }

    fn stop(&self) -> Result<(), StorageError> {
        let Some(artifacts) = self.0.upgrade() else { return Ok(()) };
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
        if !artifacts.gate.open() {
            return;
        }
        artifacts.background.look_for_orphans();
        if let Some(stopped) = stopped {
            let changed = artifacts.invalidations(stopped.inos.into_iter().map(|ino| (ino, Vec::new())), stopped.at);
            artifacts.tell(&changed);
        }
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
        self.background.tell(changed);
    }

    /// Tells those who watch of a change that was made here, and not by them: of files, with the names that they have, and of
    /// names. Returns when they have acted on it.
    pub fn tell_of(&self, inos: &[Ino], names: &[(Ino, &[u8])]) {
        if lock(&self.watchers).is_empty() {
            return;
        }
        let mut changed: Vec<_> =
            names.iter().map(|(parent, name)| Invalidation::Name(*parent, name.to_vec())).collect();
        {
            let namespace = self.namespace();
            for ino in inos {
                changed.push(Invalidation::Inode(*ino));
                let names = namespace.nodes.get(ino).map(|node| node.inode.names.iter());
                changed.extend(
                    names.into_iter().flatten().map(|(parent, name)| Invalidation::Name(*parent, name.clone())),
                );
            }
        }
        self.tell(&changed);
    }

    /// What is to be looked up anew after inodes were changed: these, with the names that they had before the change, as
    /// far as they are known or were stored at a sequence, and those that they have now.
    pub(super) fn invalidations(
        &self,
        inos: impl Iterator<Item = (Ino, Vec<(Ino, Vec<u8>)>)>,
        before: Sequence,
    ) -> Vec<Invalidation> {
        let mut changed = Vec::new();
        for (ino, known) in inos {
            let mut names: BTreeSet<_> = known.into_iter().collect();
            for at in [before, NOW] {
                match super::load::inode(&*self.storage, ino, at) {
                    Ok(inode) => names.extend(inode.into_iter().flat_map(|inode| inode.names)),
                    // It is not known what has changed, so it may be anything.
                    Err(_) => changed.push(Invalidation::All),
                }
            }
            changed.push(Invalidation::Inode(ino));
            changed.extend(names.into_iter().map(|(parent, name)| Invalidation::Name(parent, name)));
        }
        changed
    }

    /// Tells those who watch. No lock may be held.
    pub(super) fn tell(&self, changed: &[Invalidation]) {
        let watchers = lock(&self.watchers).clone();
        if !changed.is_empty() {
            for watcher in watchers {
                watcher(changed);
            }
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
