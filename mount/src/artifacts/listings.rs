//! Listings that the kernel may hold a part of.
//!
//! The kernel looks whether a directory has changed when a listing begins, and not when it goes on. If one program began to
//! list before a change and ends after it, the kernel holds a listing half of which is old, and another program that is in the
//! middle of its own listing goes on with that, although it began after the change. So when names change in a directory that
//! was listed, the kernel is told to drop what it holds of it, before the change is answered. Until then it holds the
//! directory's lock for the change, so that nobody lists, and this needs nobody's answer.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use fuser::{INodeNo, Notifier};

/// The directories of whose listings the kernel may hold something.
#[derive(Debug, Default)]
pub(super) struct Listings(Mutex<HashSet<u64>>);

impl Listings {
    /// A part of a listing is given to the kernel.
    pub(super) fn given(&self, directory: INodeNo) {
        self.held().insert(directory.0);
    }

    /// The kernel has forgotten an inode, and all that it held of it.
    pub(super) fn forgotten(&self, ino: INodeNo) {
        self.held().remove(&ino.0);
    }

    /// Names of a directory have changed. To be called before that is answered.
    pub(super) fn changed(&self, directory: INodeNo, notifier: Option<&Notifier>) {
        if !self.held().remove(&directory.0) {
            return;
        }
        if let Some(notifier) = notifier
            && let Err(error) = notifier.inval_inode(directory, 0, 0)
        {
            tracing::debug!(target: "mirrordna::mount", ino = directory.0, %error, "the kernel refused to drop a listing");
        }
    }

    fn held(&self) -> MutexGuard<'_, HashSet<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_is_held_until_it_changes_or_is_forgotten() {
        let listings = Listings::default();
        for directory in 2..5 {
            listings.given(INodeNo(directory));
        }
        listings.given(INodeNo(2));
        listings.changed(INodeNo(2), None);
        listings.forgotten(INodeNo(3));
        assert_eq!(*listings.held(), HashSet::from([4]));
    }
}
