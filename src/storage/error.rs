//! What can go wrong with a storage.

use std::io;
use std::path::{Path, PathBuf};

use crate::record::Kind;
use crate::record::id::NoRandomness;

use super::types::Sequence;

/// What went wrong with a storage. A message says what happened; what to do about it depends on who is told, and is added by the
/// command and by the C interface.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The directory holds no vault.
    #[error("{} is not a vault", path.display())]
    NotAVault {
        /// The directory.
        path: PathBuf,
    },
    /// The directory cannot take a new vault.
    #[error("{} already holds {what}; choose a new or empty directory", path.display())]
    Occupied {
        /// The directory.
        path: PathBuf,
        /// What is there.
        what: &'static str,
    },
    /// Another process has the vault open.
    #[error("{} is held by {holder}; wait for it, or stop it", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
        /// Which process holds it: its id, command and since when.
        holder: String,
    },
    /// The process that holds the vault was asked for a change and gave no answer.
    #[error(
        "{} is held by {holder}, which does not answer: whether the change was made is not known; look before trying again",
        path.display()
    )]
    Unanswered {
        /// The directory.
        path: PathBuf,
        /// Which process holds it.
        holder: String,
    },
    /// Artifacts are worked on in the memory of the process that owns the vault, and this one does not.
    #[error(
        "{}: its artifacts can only be worked on by the process that owns it: {holder}; use the mount, or stop that process",
        path.display()
    )]
    NotOwner {
        /// The directory.
        path: PathBuf,
        /// Which process owns the vault.
        holder: String,
    },
    /// The vault was written by a newer program.
    #[error("{} has format {found}; this program reads up to {supported}: use a newer mirrordna", path.display())]
    NewerFormat {
        /// The directory.
        path: PathBuf,
        /// The version it has.
        found: u32,
        /// The newest version that is known here.
        supported: u32,
    },
    /// The vault uses something this program does not know.
    #[error("{} needs features that this program does not have (bits {bits:#x}): use a newer mirrordna", path.display())]
    UnknownFeatures {
        /// The directory.
        path: PathBuf,
        /// The bits that are not known here.
        bits: u64,
    },
    /// Stored bytes are not what was stored.
    #[error("{what} is damaged: {}", clause(detail))]
    Corrupt {
        /// Which record, entry or file.
        what: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The operating system denies access.
    #[error("no permission for {}: check owner and mode of the vault's directory", path.display())]
    Permission {
        /// The file or directory.
        path: PathBuf,
    },
    /// The disk, or the quota, is full.
    #[error("no space left for {}: nothing was changed; free some and try again", path.display())]
    NoSpace {
        /// The file or directory.
        path: PathBuf,
    },
    /// Input or output failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The storage engine failed.
    #[error("the storage engine failed in {}: {message}", path.display())]
    Engine {
        /// The directory.
        path: PathBuf,
        /// What it said.
        message: String,
    },
    /// The system gives no random bytes.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// A record should not have been there and was.
    #[error("{kind} {id} already exists")]
    Exists {
        /// Which kind of record.
        kind: Kind,
        /// Its id.
        id: String,
    },
    /// A record should have been there and was not.
    #[error("there is no {kind} {id}")]
    NotFound {
        /// Which kind of record.
        kind: Kind,
        /// Its id.
        id: String,
    },
    /// A record was changed by somebody else in the meantime.
    #[error(
        "{kind} {id} was changed in the meantime (now at sequence {now}, expected {expected}): read it again and retry"
    )]
    Stale {
        /// Which kind of record.
        kind: Kind,
        /// Its id.
        id: String,
        /// The sequence that was expected.
        expected: Sequence,
        /// The sequence it has.
        now: Sequence,
    },
    /// More than a storage takes at once.
    #[error("{what}: the limit is {limit}")]
    Limit {
        /// What is too large.
        what: String,
        /// The limit.
        limit: usize,
    },
}

/// A text without the full stop at its end, to go on behind it. RocksDB speaks in sentences.
fn clause(text: &str) -> &str {
    text.trim_end().trim_end_matches('.')
}

impl StorageError {
    /// Sorts an error of the operating system into what a user can do about it.
    #[must_use]
    pub fn from_io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::Permission { path },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace { path },
            _ => Self::Io { path, source },
        }
    }

    /// The same error for somebody else who met it. What nobody meets together becomes [`StorageError::Engine`].
    #[must_use]
    pub(crate) fn again(&self, dir: &Path) -> Self {
        match self {
            Self::NotAVault { path } => Self::NotAVault { path: path.clone() },
            Self::NoSpace { path } => Self::NoSpace { path: path.clone() },
            Self::Permission { path } => Self::Permission { path: path.clone() },
            Self::Io { path, source } => {
                let source = io::Error::new(source.kind(), source.to_string());
                Self::Io { path: path.clone(), source }
            }
            Self::Corrupt { what, detail } => Self::Corrupt { what: what.clone(), detail: detail.clone() },
            Self::Engine { path, message } => Self::Engine { path: path.clone(), message: message.clone() },
            other => Self::Engine { path: dir.to_owned(), message: other.to_string() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::StorageError;

    #[test]
    fn what_an_engine_says_is_joined_well() {
        for detail in ["Corruption: bad block", "Corruption: bad block.", "Corruption: bad block. "] {
            let error = StorageError::Corrupt { what: "the log".into(), detail: detail.into() };
            assert_eq!(error.to_string(), "the log is damaged: Corruption: bad block");
        }
    }
}
