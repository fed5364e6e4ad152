//! Records that are set aside: renamed to a name that is no record's, and not deleted.
//!
//! Editors keep a backup by renaming the file, then write it anew, then delete the backup. If renaming deleted the record,
//! each save would be a deletion and a creation in the log, and an editor that died in between would take the record with
//! it. So the record stays in the vault, without a name in the tree, for as long as the file that it was renamed to is there
//! and nothing new was written under its name.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::record::Kind;
use crate::storage::Sequence;

use super::super::node::Directory;

/// A record that is set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SetAside {
    /// Where it had its name.
    pub(super) directory: Directory,
    /// The number of the scratch file that it was renamed to.
    pub(super) backup: u64,
    /// The version that it had.
    pub(super) sequence: Sequence,
}

/// The records that are set aside, until the tree is dropped. Then they have their names again.
#[derive(Default)]
pub(in crate::tree) struct Aside(Mutex<HashMap<(Kind, String), SetAside>>);

impl Aside {
    pub(super) fn holds(&self, kind: Kind, id: &str) -> bool {
        let aside = self.lock();
        !aside.is_empty() && aside.contains_key(&(kind, id.to_owned()))
    }

    pub(super) fn add(&self, kind: Kind, id: &str, aside: SetAside) {
        self.lock().insert((kind, id.to_owned()), aside);
    }

    /// The record has its name again, or is gone.
    pub(super) fn end(&self, kind: Kind, id: &str) -> Option<SetAside> {
        self.lock().remove(&(kind, id.to_owned()))
    }

    /// The ids of a kind that are set aside.
    pub(super) fn ids(&self, kind: Kind) -> HashSet<String> {
        self.lock().keys().filter(|(of, _)| *of == kind).map(|(_, id)| id.clone()).collect()
    }

    /// The record whose backup a scratch file is.
    pub(super) fn of_backup(&self, number: u64) -> Option<(Kind, String, SetAside)> {
        let aside = self.lock();
        let found = aside.iter().find(|(_, aside)| aside.backup == number);
        found.map(|((kind, id), aside)| (*kind, id.clone(), *aside))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(Kind, String), SetAside>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
