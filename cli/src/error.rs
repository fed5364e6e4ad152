//! Why a command fails.

use std::io;
use std::path::PathBuf;

use mirrordna::backup::BackupError;
use mirrordna::crypto::CryptoError;
use mirrordna::observe::ObserveError;
use mirrordna::record::RecordError;
use mirrordna::storage::StorageError;
use mirrordna_mount::MountError;

use crate::exit::Exit;

/// Results of commands.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// Why a command fails. Its exit code is in [`crate::exit`].
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The library says no.
    #[error(transparent)]
    Vault(#[from] mirrordna::Error),
    /// A backup cannot be made, read, or restored.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// Something in a backup repository is damaged; what, is printed already.
    #[error(
        "the repository is damaged: {faults} {}; `mirrordna backup verify --repair` saves what is whole",
        if *faults == 1 { "fault" } else { "faults" }
    )]
    BackupsDamaged {
        /// How many.
        faults: u64,
    },
    /// The vault cannot be mounted or unmounted.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// The process in the background said why it cannot mount.
    #[error("{message}")]
    Background {
        /// What it ended with.
        exit: Exit,
        /// What it said.
        message: String,
    },
    /// A process that served a mount does not end.
    #[error("it is unmounted, but the process that served it is still there after {seconds} s")]
    StillServing {
        /// How long was waited.
        seconds: u64,
    },
    /// Logs cannot be set up.
    #[error(transparent)]
    Observe(#[from] ObserveError),
    /// Arguments that are well formed and make no sense together.
    #[error("{0}")]
    Usage(String),
    /// A configuration document is not what it should be.
    #[error("{}: {source}", path.display())]
    Configuration {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: RecordError,
    },
    /// A document is not what it should be.
    #[error("{}: {source}", path.display())]
    Document {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: RecordError,
    },
    /// A file has not the checksum that it should have.
    #[error("checksum mismatch in {}: expected {expected}, actual {actual}", path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// What was given.
        expected: String,
        /// What it is.
        actual: String,
    },
    /// A verification found faults; they are printed already.
    #[error("the vault is damaged: {faults} {}; {advice}", if *faults == 1 { "fault" } else { "faults" })]
    Damaged {
        /// How many.
        faults: u64,
        /// What to do.
        advice: &'static str,
    },
    /// A signature does not verify.
    #[error("this is not a signature of {identity} over this claim")]
    Signature {
        /// The identity.
        identity: String,
    },
    /// A key cannot be read or handed out.
    #[error("{reason}")]
    Key {
        /// What is wrong, and what to do.
        reason: String,
    },
    /// An import could not take everything; what it did is printed already.
    #[error("{what}; everything else was imported")]
    Refused {
        /// How much of what.
        what: String,
    },
    /// A health check failed without an error of the vault.
    #[error("the vault is not well: see the checks above")]
    Unwell,
    /// Results cannot be written to stdout.
    #[error("cannot write to stdout: {0}")]
    Output(#[from] io::Error),
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        Self::Vault(error.into())
    }
}

impl From<RecordError> for Failure {
    fn from(error: RecordError) -> Self {
        Self::Vault(error.into())
    }
}

impl From<CryptoError> for Failure {
    fn from(error: CryptoError) -> Self {
        Self::Vault(error.into())
    }
}

impl Failure {
    /// Input or output on a file outside the vault failed.
    pub(crate) fn io(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Vault(mirrordna::Error::Io { path: path.into(), source })
    }
}
