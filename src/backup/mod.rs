//! Backups: repositories that take many backups of a vault, store each piece of data once, and tell nothing to someone without
//! the passphrase. `docs/backup-format.md` has the bytes and what they protect from.
//!
//! A [`Repository`] lies in a [`Destination`]. It is made with [`Repository::init`] and opened with a [`Secret`];
//! [`Repository::create`] makes a backup of a vault, however many use it, and [`Repository::restore`] makes a vault of one
//! again, with the same log and the same Merkle root.

pub mod archive;
mod copy;
mod create;
mod cut;
mod destination;
mod error;
mod expected;
mod extract;
mod index;
mod keyring;
mod keys;
mod local;
mod lock;
mod manifest;
mod pack;
mod pool;
mod progress;
mod prune;
mod repair;
mod repository;
mod restore;
mod retain;
mod seal;
mod select;
mod slot;
mod store;
mod stream;
mod transfer;
mod verify;
mod walk;

pub use create::{CreateOptions, Created};
pub use destination::{Destination, Folder};
pub use error::{BackupError, Result};
pub use extract::{Extracted, Part};
pub use keys::RepositoryId;
pub use local::LocalFolder;
pub use progress::{Phase, Progress, Silent};
pub use prune::{PruneOptions, RepositoryPruned};
pub use repair::Repaired;
pub use repository::{Fault, Repository};
pub use restore::Restored;
pub use retain::Retention;
pub use select::Backup;
pub use slot::{Cost, Secret, Slot, SlotKind};
pub use store::Stored;
pub use transfer::new_key_file;
pub use verify::{VerifyOptions, VerifyReport};
