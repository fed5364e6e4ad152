//! Listing directories.

use crate::storage::Ino;

use super::Artifacts;
use super::error::Result;
use super::namespace::{Namespace, Need, Step, Stop};
use super::types::{Attributes, Cursor, ListEntry};

/// Inodes that are read ahead of a listing.
const AHEAD: usize = 256;

impl Artifacts {
    /// The names of a directory after a cursor (0 from the beginning), until `take` says false: the entry for which it
    /// does has not been taken. It is called under the lock: it must not call the file system.
    ///
    /// # Errors
    /// [`super::FsError::NotDirectory`], [`super::FsError::Stale`], and those of the storage.
    pub fn list(&self, ino: Ino, after: Cursor, take: &mut dyn FnMut(&ListEntry<'_>) -> bool) -> Result<()> {
        let _entered = self.enter();
        self.run(|namespace| {
            namespace.all_names(ino)?;
            let Some(directory) = &namespace.directory(ino)?.directory else { return Ok(()) };
            for (cursor, entry, target) in directory.after(after) {
                let entry = ListEntry { name: &entry.name, cursor, ino: target.ino, file_type: target.file_type };
                if !take(&entry) {
                    break;
                }
            }
            Ok(())
        })
    }

    /// As [`Artifacts::list`], with attributes, which a file has not that is damaged. A reference is taken on the file of
    /// each entry that is taken.
    ///
    /// # Errors
    /// As [`Artifacts::list`]. Entries may have been taken before; whoever goes on behind them meets the error again.
    pub fn list_with_attributes(
        &self,
        ino: Ino,
        after: Cursor,
        take: &mut dyn FnMut(&ListEntry<'_>, Option<&Attributes>) -> bool,
    ) -> Result<()> {
        let _entered = self.enter();
        let mut at = after;
        let mut asked_for = None;
        self.run(|namespace| {
            namespace.all_names(ino)?;
            // Names and inodes are parts of the same table: what is listed is taken out of it for a moment.
            let Some(directory) = namespace.directory(ino)?.directory.take() else { return Ok(()) };
            let mut missing = Vec::new();
            for (cursor, entry, target) in directory.after(at) {
                let known = namespace.nodes.get(&target.ino).map(super::namespace::Node::attributes);
                if known.is_none() && !namespace.damaged.contains(&target.ino) {
                    let asking_for = Some((cursor, namespace.changes));
                    if std::mem::replace(&mut asked_for, asking_for) == asking_for {
                        // The storage has the name and not the inode: `verify` says so, and the others are listed.
                        continue;
                    }
                    let next = directory.after(cursor - 1).take(AHEAD).map(|(.., target)| target.ino);
                    let is_missing = |ino: &u64| !namespace.nodes.contains_key(ino) && !namespace.damaged.contains(ino);
                    missing = next.filter(is_missing).collect();
                    break;
                }
                let entry = ListEntry { name: &entry.name, cursor, ino: target.ino, file_type: target.file_type };
                if !take(&entry, known.as_ref()) {
                    break;
                }
                namespace.reference(target.ino);
                at = cursor;
            }
            namespace.directory(ino)?.directory = Some(directory);
            if missing.is_empty() { Ok(()) } else { Err(Stop::Need(Need::Nodes(missing))) }
        })
    }
}

impl Namespace {
    /// Makes sure that all names of a directory are in memory.
    fn all_names(&mut self, ino: Ino) -> Step<()> {
        let complete = self.directory(ino)?.directory.get_or_insert_default().complete;
        if complete { Ok(()) } else { Err(Stop::Need(Need::Names(ino))) }
    }
}
