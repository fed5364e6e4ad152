//! What others do to the artifacts of the storage below: restores, and changes by other processes.

use std::sync::{Arc, Weak};

use crate::record::Kind;
use crate::record::inode::parse_ino;
use crate::storage::{Changed, Durability, Ino, NOW, StorageError, Subscriber, WriteBack};

use super::error::FsError;
use super::types::Invalidation;
use super::{Artifacts, lock};

/// Is told what others have changed.
pub type Watcher = Arc<dyn Fn(&Invalidation) + Send + Sync>;

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
        // While a restore works, everything changes; that is told at its end.
        if !foreign.is_empty() && !artifacts.gate.is_shut() {
            artifacts.changed_elsewhere(&foreign);
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
        artifacts.commit_all(Durability::Sync).map_err(into_storage)
    }

    fn resume(&self) {
        let Some(artifacts) = self.0.upgrade() else { return };
        if !artifacts.gate.is_shut() {
            return;
        }
        {
            let mut namespace = artifacts.namespace();
            if let Ok(next) = artifacts.storage.next_ino() {
                namespace.next_ino = namespace.next_ino.max(next);
            }
            namespace.clear();
        }
        artifacts.gate.open();
        artifacts.tell(&[Invalidation::All]);
    }
}

impl Artifacts {
    /// Forgets what somebody else has changed, and tells those who watch.
    fn changed_elsewhere(&self, inos: &[Ino]) {
        let mut told = Vec::new();
        {
            let mut namespace = self.namespace();
            namespace.changes += 1;
            for ino in inos {
                told.push(Invalidation::Inode(*ino));
                if let Some(node) = namespace.nodes.get(ino) {
                    told.extend(node.inode.names.iter().cloned().map(|(dir, name)| Invalidation::Name(dir, name)));
                }
                if !namespace.forget_clean(*ino) {
                    tracing::warn!(
                        target: "mirrordna::artifacts",
                        ino,
                        "an artifact was changed by another process while changes to it waited here: these win"
                    );
                }
            }
        }
        for ino in inos {
            if let Ok(Some(inode)) = super::load::inode(&*self.storage, *ino, NOW) {
                told.extend(inode.names.into_iter().map(|(dir, name)| Invalidation::Name(dir, name)));
            }
        }
        self.tell(&told);
    }

    fn tell(&self, invalidations: &[Invalidation]) {
        let watchers = lock(&self.watchers).clone();
        for watcher in watchers {
            invalidations.iter().for_each(|invalidation| watcher(invalidation));
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
