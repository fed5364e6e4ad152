//! Why something cannot be written.

use crate::vault::Error;

/// Why something cannot be written, or a name cannot be made, renamed or removed. Then nothing is changed.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The tree is one for reading.
    #[error("{path}: the vault is mounted for reading only")]
    ReadOnly {
        /// What was to be changed.
        path: String,
    },
    /// It lies in a snapshot.
    #[error("{path}: a snapshot does not change")]
    Past {
        /// What was to be changed.
        path: String,
    },
    /// It may not change, or not so.
    #[error("{path}: {reason}")]
    NotPermitted {
        /// What was to be changed.
        path: String,
        /// Why not, and what to do instead.
        reason: &'static str,
    },
    /// The name cannot be that of a record, or the content does not fit the name.
    #[error("{path}: {reason}")]
    Misfit {
        /// The file.
        path: String,
        /// What does not fit, and what would.
        reason: String,
    },
    /// The text is no record, the record breaks a rule, or the vault failed.
    #[error("{path}: {source}")]
    Vault {
        /// The file.
        path: String,
        /// What the vault says.
        source: Error,
    },
    /// The name is taken.
    #[error("{path}: {reason}")]
    Exists {
        /// The file.
        path: String,
        /// By what.
        reason: String,
    },
    /// There is no such file.
    #[error("{path}: there is no such file")]
    Missing {
        /// The file.
        path: String,
    },
    /// Somebody is writing it.
    #[error("{path}: it is being written; close it first")]
    Busy {
        /// The file.
        path: String,
    },
    /// More than a file can hold.
    #[error("{path}: a record's text has at most {limit} bytes")]
    TooLarge {
        /// The file.
        path: String,
        /// The limit.
        limit: u64,
    },
    /// All that is being written takes too much memory.
    #[error(
        "{path}: the texts of records that are being written have at most {limit} bytes in all; close some of them first"
    )]
    NoRoom {
        /// The file.
        path: String,
        /// The limit.
        limit: u64,
    },
    /// Files here do not have it.
    #[error("{path}: files here have no {what}")]
    Unsupported {
        /// The file.
        path: String,
        /// What they do not have.
        what: &'static str,
    },
    /// It is a directory.
    #[error("{path}: it is a directory")]
    IsDirectory {
        /// The directory.
        path: String,
    },
}

impl Refusal {
    /// Whether it is worth telling whoever asks later why something did not work. That a file is not there or is there
    /// already is an ordinary answer to a question.
    pub(super) fn is_telling(&self) -> bool {
        match self {
            Self::Missing { .. } | Self::ReadOnly { .. } | Self::IsDirectory { .. } | Self::Unsupported { .. } => false,
            Self::Past { .. }
            | Self::NotPermitted { .. }
            | Self::Misfit { .. }
            | Self::Vault { .. }
            | Self::Exists { .. }
            | Self::Busy { .. }
            | Self::TooLarge { .. }
            | Self::NoRoom { .. } => true,
        }
    }
}
