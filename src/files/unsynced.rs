//! What was written and not synced, and may be gone with the process that had it in memory.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::artifacts::FsError;
use crate::storage::{Storage, StorageError};

/// Whether something was changed that no sync has followed, and how many owners of the vault had died by then.
#[derive(Debug, Default)]
pub(super) struct Unsynced(Mutex<Option<u64>>);

impl Unsynced {
    /// Does something that changes files.
    pub(super) fn changing<T>(&self, storage: &dyn Storage, change: impl FnOnce() -> T) -> T {
        let died = storage.owners_died();
        self.note(died);
        let done = change();
        // A sync meanwhile may have come before it.
        self.note(died);
        done
    }

    /// Syncs, and finds out whether what it is for is still there.
    ///
    /// # Errors
    /// Those of `sync`, and once [`StorageError::Corrupt`] when an owner has died since the first change.
    pub(super) fn syncing<T>(
        &self,
        storage: &dyn Storage,
        path: &Path,
        sync: impl FnOnce() -> Result<T, FsError>,
    ) -> Result<T, FsError> {
        let changed = self.first().take();
        let done = sync();
        match (done, changed) {
            (Ok(_), Some(died)) if died != storage.owners_died() => Err(gone(path)),
            (Err(error), Some(died)) => {
                self.note(died);
                Err(error)
            }
            (done, _) => done,
        }
    }

    fn note(&self, died: u64) {
        self.first().get_or_insert(died);
    }

    fn first(&self) -> std::sync::MutexGuard<'_, Option<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn gone(path: &Path) -> FsError {
    let what = if path.as_os_str().is_empty() { "artifacts".to_owned() } else { path.display().to_string() };
    let detail =
        "the process that owned the vault died, and what was written since the last sync may be lost".to_owned();
    FsError::Storage(StorageError::Corrupt { what, detail })
}
