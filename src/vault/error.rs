//! What can go wrong with a vault.

use std::io;
use std::path::PathBuf;

use crate::crypto::CryptoError;
use crate::record::id::NoRandomness;
use crate::record::{Kind, RecordError};
use crate::storage::{Sequence, StorageError};

/// Results of a vault.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong with a vault.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A record, or a document of the protocol, is not what it should be.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The storage failed, or refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A key cannot be used.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    /// The system gives no random bytes.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// There is no collection of this name.
    #[error("there is no collection {name:?}; the collections are {}", collections())]
    UnknownCollection {
        /// The name.
        name: String,
    },
    /// A session names a parent that is not there.
    #[error("session {id} cannot start: its parent {parent} is not in the vault")]
    UnknownParent {
        /// The session.
        id: String,
        /// The parent that is missing.
        parent: String,
    },
    /// A chain of records would lead back to itself.
    #[error("{kind} {id} would close a cycle: its {field} {reference} leads back to it")]
    Cycle {
        /// Which kind of record.
        kind: Kind,
        /// The record.
        id: String,
        /// The field that refers to another record.
        field: &'static str,
        /// What it refers to.
        reference: String,
    },
    /// A field, or a whole record, may not change.
    #[error("{kind} {id}: {what} may not change")]
    Immutable {
        /// Which kind of record.
        kind: Kind,
        /// Its id.
        id: String,
        /// What may not change.
        what: &'static str,
    },
    /// What is asked for does not fit the state of a record.
    #[error("{kind} {id}: {reason}")]
    State {
        /// Which kind of record.
        kind: Kind,
        /// Its id.
        id: String,
        /// Why not.
        reason: String,
    },
    /// What is asked for lies before a prune, and no snapshot keeps it.
    #[error(
        "the vault cannot be read as it was at sequence {at}: versions up to sequence {horizon} were pruned, and no \
         snapshot pins {at}"
    )]
    Pruned {
        /// The sequence.
        at: Sequence,
        /// Up to which sequence versions were pruned.
        horizon: Sequence,
    },
    /// An argument cannot be used.
    #[error("{what}: {reason}")]
    Argument {
        /// Which argument.
        what: String,
        /// What is wrong with it, and what it should be.
        reason: String,
    },
    /// Input or output failed outside the vault.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A restore failed in the middle, and could not be undone.
    #[error(
        "the restore stopped in the middle and could not be undone: {}; nothing else can be changed before it is finished \
         or undone, which is tried every second, and when the vault is opened",
        halfway(source)
    )]
    HalfRestored {
        /// Why it stopped.
        source: Box<Self>,
    },
    /// The work was stopped by its caller.
    #[error("interrupted; {done}")]
    Interrupted {
        /// What had been done.
        done: String,
    },
}

fn collections() -> String {
    Kind::ALL.map(Kind::collection).join(", ")
}

/// Why a restore stopped. What the storage says of a full disk is about one commit, of which nothing was made.
fn halfway(source: &Error) -> String {
    match source {
        Error::Storage(StorageError::NoSpace { path }) => format!("no space left for {}, free some", path.display()),
        other => other.to_string(),
    }
}

impl Error {
    /// There is no such record.
    #[must_use]
    pub fn not_found(kind: Kind, id: &str) -> Self {
        Self::Storage(StorageError::NotFound { kind, id: id.to_owned() })
    }

    /// An argument cannot be used.
    #[must_use]
    pub fn argument(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Argument { what: what.into(), reason: reason.into() }
    }
}
