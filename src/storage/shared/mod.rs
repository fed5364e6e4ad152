//! A vault that several processes have open: whichever owns it, the storage above is the same.
//!
//! The first process to open the vault takes its lock, owns it, and listens for the others. `core` is what one process
//! knows: whether it owns the vault, calls the owner, or is between the two. `succession` goes from one of these to
//! another: it finds an owner or becomes one, and hands over. `followers` keeps leases and subscribers over every change
//! of owner, `job` does the same for work in many commits, and `storage` is the trait over all of it.

mod core;
mod followers;
mod job;
mod storage;
mod succession;

use std::path::Path;
use std::sync::Arc;

use crate::record::id::IdSource;
use crate::threads::without_signals;

use self::core::Core;
use super::remote::this_thread_serves;
use super::rocksdb::{OpenOptions, RocksStorage};
use super::{Intent, Job, Result, Storage};

/// Whether a process wants to own the vault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ownership {
    /// Whoever owns it: a process that has it open already, or this one. This process hands it over to one that wants it.
    #[default]
    Any,
    /// This process: one that owns the vault already is asked to hand it over, and this one keeps it until it closes it.
    Wanted,
}

/// Finishes or undoes work that was interrupted; the storage knows that there is some, and not what it means.
pub type Recovery = dyn Fn(Arc<dyn Storage>, &dyn Job, &Intent) -> Result<()> + Send + Sync;

/// What every process needs to know to open the vault, and to go on when its owner is gone.
#[derive(Clone)]
struct Settings {
    options: OpenOptions,
    ownership: Ownership,
    recovery: Arc<Recovery>,
}

/// A storage that is shared with other processes.
pub struct SharedStorage {
    core: Arc<Core>,
}

impl SharedStorage {
    /// Makes a new, empty storage, and owns it.
    ///
    /// # Errors
    /// Those of [`RocksStorage::create`].
    pub fn create(
        dir: &Path,
        options: &OpenOptions,
        ids: &dyn IdSource,
        ownership: Ownership,
        recovery: Arc<Recovery>,
    ) -> Result<Self> {
        let storage = RocksStorage::create(dir, options, ids)?;
        let core = Core::new(dir, storage.vault_id(), Settings { options: options.clone(), ownership, recovery });
        core.own(storage)?;
        Ok(Self { core })
    }

    /// Opens a storage: owns it if nobody does, and otherwise speaks to the process that does.
    ///
    /// # Errors
    /// Those of [`RocksStorage::open`]; [`super::StorageError::Locked`] when a process that does not answer holds the
    /// vault, or does not hand it over.
    pub fn open(dir: &Path, options: &OpenOptions, ownership: Ownership, recovery: Arc<Recovery>) -> Result<Self> {
        let core = Core::find(dir, Settings { options: options.clone(), ownership, recovery })?;
        Ok(Self { core })
    }

    /// Opens a storage to look at it, as it is, without changing anything, even when it is damaged. When another process
    /// has it open, that one is asked instead.
    ///
    /// # Errors
    /// As [`SharedStorage::open`].
    pub fn inspect(dir: &Path, options: &OpenOptions, recovery: Arc<Recovery>) -> Result<Box<dyn Storage>> {
        let settings = Settings { options: options.clone(), ownership: Ownership::Any, recovery };
        Core::inspect(dir, settings)
    }

    /// Whether this process owns the vault at the moment.
    #[must_use]
    pub fn is_owner(&self) -> bool {
        self.core.is_owner()
    }
}

impl Drop for SharedStorage {
    fn drop(&mut self) {
        if !this_thread_serves() {
            return self.core.close();
        }
        // Who answers another process may have been the last to use it; closing waits for the end of that thread.
        let core = Arc::clone(&self.core);
        let closed = std::thread::Builder::new().name("mirrordna-close".to_owned());
        let closed = without_signals(|| closed.spawn(move || core.close()));
        if let Err(error) = closed {
            tracing::error!(target: "mirrordna::storage", %error, "no thread to close the vault");
        }
    }
}
