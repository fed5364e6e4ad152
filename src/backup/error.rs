//! What can go wrong with a backup.

use std::io;

use crate::record::id::NoRandomness;
use crate::storage::StorageError;
use crate::vault;

/// Results of backups.
pub type Result<T> = std::result::Result<T, BackupError>;

/// What went wrong with a backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is no repository.
    #[error("{location} is not a backup repository")]
    NotARepository {
        /// Where it was looked for.
        location: String,
    },
    /// Something else is where a repository should be made.
    #[error("{location} already holds {what}; choose a new or empty place")]
    Occupied {
        /// Where.
        location: String,
        /// What is there.
        what: &'static str,
    },
    /// The repository was written by a newer program.
    #[error("{location} has a format that this program does not read ({found}): use a newer mirrordna")]
    Newer {
        /// The repository.
        location: String,
        /// What is not known here.
        found: String,
    },
    /// The repository has no key slot at all.
    #[error(
        "{location} has no key slot: the folder keys/ is empty, and without a slot nothing can be read. \
         Bring back a copy of keys/ if there is one"
    )]
    NoSlot {
        /// The repository.
        location: String,
    },
    /// A key slot is not what it was.
    #[error(
        "the key slot {slot} of {location} is damaged ({detail}), and no other slot opens with what was given. \
         Bring back a copy of keys/{slot}, or use another passphrase or key file"
    )]
    DamagedSlot {
        /// The repository.
        location: String,
        /// The name of the slot.
        slot: String,
        /// What is wrong with it.
        detail: String,
    },
    /// A key slot asks for more than opening one may cost.
    #[error(
        "the key slot {slot} of {location} asks for {asked}, more than any slot of this program; it was not tried. \
         Somebody may have put it there: compare keys/ with a copy"
    )]
    HostileSlot {
        /// The repository.
        location: String,
        /// The name of the slot.
        slot: String,
        /// What it asks for.
        asked: String,
    },
    /// No key slot opens with what was given.
    #[error("wrong {what} for {location}: its key slots are sound, and none opens with it")]
    WrongSecret {
        /// The repository.
        location: String,
        /// Passphrase or key file.
        what: &'static str,
    },
    /// A passphrase or key file is needed and was not given.
    #[error("{location} needs {what} to be opened")]
    NoSecret {
        /// The repository.
        location: String,
        /// What is needed.
        what: &'static str,
    },
    /// Something of a repository is not what was written.
    #[error("{what} is damaged: {detail}")]
    Corrupt {
        /// Which file or blob.
        what: String,
        /// What is wrong with it.
        detail: String,
    },
    /// Something of a repository is gone.
    #[error("{what} is missing")]
    Missing {
        /// Which file or blob.
        what: String,
    },
    /// The repository is older than the vault knows.
    #[error("{location} is not what this vault saw there last: {detail}. It may have been put back to an older state")]
    RolledBack {
        /// The repository.
        location: String,
        /// What is expected.
        detail: String,
    },
    /// There is no such backup, key slot, record or artifact.
    #[error("there is no {what}")]
    NotFound {
        /// What is not there.
        what: String,
    },
    /// A short name fits several backups.
    #[error("{name} can mean {count} backups: give more of its name")]
    Ambiguous {
        /// The name.
        name: String,
        /// How many it fits.
        count: usize,
    },
    /// The vault kept being pruned while a backup was made.
    #[error("the vault was pruned again and again while it was read: make the backup when nobody prunes")]
    Pruned,
    /// Somebody else works on the repository in a way that excludes this.
    #[error("{location} is in use by {holder}; wait for it, or end it")]
    Locked {
        /// The repository.
        location: String,
        /// Who.
        holder: String,
    },
    /// The lock did not keep others away all the time.
    #[error(
        "the lock on {location} did not last: this machine slept, was cut off for two hours, or a clock is wrong. What was stored may \
         have been removed meanwhile, so it does not count; do it again"
    )]
    Lapsed {
        /// The repository.
        location: String,
    },
    /// An argument cannot be used.
    #[error("{what}: {reason}")]
    Argument {
        /// Which argument.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Input or output failed.
    #[error("{location}: {source}")]
    Io {
        /// The file.
        location: String,
        /// What the system said.
        source: io::Error,
    },
    /// The vault failed.
    #[error(transparent)]
    Vault(#[from] vault::Error),
    /// The system gives no random bytes.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// The work was stopped by its caller.
    #[error("interrupted; {done}")]
    Interrupted {
        /// What had been done.
        done: &'static str,
    },
}

impl From<StorageError> for BackupError {
    fn from(error: StorageError) -> Self {
        Self::Vault(error.into())
    }
}

impl BackupError {
    pub(super) fn corrupt(what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Corrupt { what: what.into(), detail: detail.into() }
    }

    pub(super) fn argument(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Argument { what: what.into(), reason: reason.into() }
    }

    /// Something of the repository is damaged or gone, which says nothing of the rest.
    pub(super) fn is_damage(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::Missing { .. })
    }
}
