//! The names of a directory as far as they are known in memory.
//!
//! They are kept in order of a hash of the name, which is also the cursor of listings: so a listing goes on at the right
//! place whatever came and went in the meantime, without anybody remembering it, and a name is found by its hash.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};

use crate::storage::Dentry;

use super::types::{Cursor, FIRST_CURSOR};

/// How many names with equal hashes a directory can hold. With a hash of 63 bits two meet by chance once in many billions
/// of directories of a million names.
const SAME_HASH: u64 = 16;

/// A name, and what it leads to.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: Box<[u8]>,
    /// None: it is known that there is no such name.
    pub(super) target: Option<Dentry>,
}

/// The names of a directory as far as they are known.
#[derive(Debug, Default)]
pub(super) struct Directory {
    entries: BTreeMap<Cursor, Entry>,
    /// All names are here; those that are not here are not there.
    pub(super) complete: bool,
}

/// What is known of a name.
pub(super) enum Known {
    /// It leads to this, or to nothing.
    Yes(Option<Dentry>),
    /// The storage must be asked.
    No,
}

impl Directory {
    /// A directory that has just been made.
    pub(super) fn empty() -> Self {
        Self { entries: BTreeMap::new(), complete: true }
    }

    /// How many names are kept in memory.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// What is known of a name.
    pub(super) fn find(&self, name: &[u8]) -> Known {
        let first = hash(name);
        let mut same = self.entries.range(first..first + SAME_HASH);
        match same.find(|(_, entry)| &*entry.name == name) {
            Some((_, entry)) => Known::Yes(entry.target),
            None if self.complete => Known::Yes(None),
            None => Known::No,
        }
    }

    /// Notes what a name leads to from now on. False when there is no room for its hash.
    pub(super) fn set(&mut self, name: &[u8], target: Option<Dentry>) -> bool {
        let first = hash(name);
        let mut free = None;
        for cursor in first..first + SAME_HASH {
            match self.entries.get_mut(&cursor) {
                Some(entry) if &*entry.name == name => {
                    if target.is_none() && self.complete {
                        self.entries.remove(&cursor);
                    } else {
                        entry.target = target;
                    }
                    return true;
                }
                Some(_) => {}
                // Names of the same hash need not be side by side once one of them has gone: look at all places.
                None => free = free.or(Some(cursor)),
            }
        }
        if target.is_none() && self.complete {
            return true;
        }
        let Some(cursor) = free else { return false };
        self.entries.insert(cursor, Entry { name: name.into(), target });
        true
    }

    /// Notes what the storage says of a name, unless more is known already.
    pub(super) fn learn(&mut self, name: &[u8], target: Option<Dentry>) {
        if matches!(self.find(name), Known::No) {
            self.set(name, target);
        }
    }

    /// All names have been learnt.
    pub(super) fn completed(&mut self) {
        self.entries.retain(|_, entry| entry.target.is_some());
        self.complete = true;
    }

    /// The names that are there after a cursor.
    pub(super) fn after(&self, cursor: Cursor) -> impl Iterator<Item = (Cursor, &Entry, Dentry)> {
        let rest = self.entries.range(cursor.saturating_add(1)..);
        rest.filter_map(|(cursor, entry)| entry.target.map(|target| (*cursor, entry, target)))
    }
}

/// The place of a name: at least [`FIRST_CURSOR`], and so that all places for equal hashes fit `i64`.
fn hash(name: &[u8]) -> Cursor {
    let mut hasher = DefaultHasher::new();
    hasher.write(name);
    (hasher.finish() >> 1).clamp(FIRST_CURSOR, i64::MAX as u64 - SAME_HASH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::FileType;

    fn dentry(ino: u64) -> Dentry {
        Dentry { ino, file_type: FileType::Regular }
    }

    /// What is known: `0` for no such name.
    fn found(directory: &Directory, name: &[u8]) -> Option<u64> {
        match directory.find(name) {
            Known::Yes(target) => Some(target.map_or(0, |target| target.ino)),
            Known::No => None,
        }
    }

    #[test]
    fn a_directory_that_is_not_complete_knows_what_it_does_not_know() {
        let mut directory = Directory::default();
        assert_eq!(found(&directory, b"a"), None);
        directory.learn(b"a", Some(dentry(2)));
        directory.learn(b"b", None);
        assert_eq!(found(&directory, b"a"), Some(2));
        assert_eq!(found(&directory, b"b"), Some(0));
        assert!(directory.set(b"a", None));
        // What was changed here is newer than what the storage says.
        directory.learn(b"a", Some(dentry(2)));
        assert_eq!(found(&directory, b"a"), Some(0));
        directory.learn(b"c", Some(dentry(3)));
        directory.completed();
        assert_eq!(found(&directory, b"z"), Some(0));
        assert_eq!(directory.len(), 1);
    }

    #[test]
    fn a_listing_goes_on_whatever_comes_and_goes() {
        let mut directory = Directory::empty();
        let name = |n: u64| format!("file {n}").into_bytes();
        for n in 0..1_000 {
            assert!(directory.set(&name(n), Some(dentry(n + 2))));
        }
        let mut seen = Vec::new();
        let mut cursor = 0;
        let mut round = 0;
        loop {
            let page: Vec<_> =
                directory.after(cursor).take(7).map(|(cursor, entry, _)| (cursor, entry.name.clone())).collect();
            let Some((last, _)) = page.last() else { break };
            assert!(*last >= FIRST_CURSOR && i64::try_from(*last).is_ok());
            cursor = *last;
            seen.extend(page.into_iter().map(|(_, name)| name));
            directory.set(&name(5_000 + round), Some(dentry(9_000 + round)));
            directory.set(&name(5_000 + round / 2), None);
            round += 1;
        }
        let stayed: Vec<_> = (0..1_000).map(|n| name(n).into_boxed_slice()).collect();
        for name in &stayed {
            assert_eq!(seen.iter().filter(|seen| *seen == name).count(), 1);
        }
    }
}
