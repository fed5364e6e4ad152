//! Exit codes: one table for every error, without a wildcard, so that a new error does not compile until it has a code.

use std::io;
use std::process::ExitCode;

use mirrordna::Error;
use mirrordna::backup::BackupError;
use mirrordna::crypto::CryptoError;
use mirrordna::observe::ObserveError;
use mirrordna::record::RecordError;
use mirrordna::storage::StorageError;
use mirrordna_mount::MountError;

use crate::error::Failure;

/// What the command says to its caller when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Any other failure.
    Other = 1,
    /// Wrong usage.
    Usage = 2,
    /// A checksum differs, or something is damaged.
    Corrupt = 10,
    /// A configuration is wrong.
    Configuration = 11,
    /// An identity, key or signature is wrong.
    Identity = 12,
    /// The storage failed: locked, input or output, full.
    Storage = 13,
    /// A record is not valid, or an import refused some.
    Invalid = 14,
    /// Something is not there.
    NotFound = 15,
    /// Something is there already, or in the way.
    Conflict = 16,
    /// The vault cannot be mounted or unmounted.
    Mount = 17,
    /// A backup cannot be made, opened, or restored.
    Backup = 18,
    /// The user stopped it.
    Interrupted = 130,
}

impl Exit {
    const ALL: [Self; 12] = [
        Self::Other,
        Self::Usage,
        Self::Corrupt,
        Self::Configuration,
        Self::Identity,
        Self::Storage,
        Self::Invalid,
        Self::NotFound,
        Self::Conflict,
        Self::Mount,
        Self::Backup,
        Self::Interrupted,
    ];

    /// The number.
    pub(crate) const fn number(self) -> u8 {
        self as u8
    }

    /// The code with this number.
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|exit| exit.number() == number)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.number().into()
    }
}

/// The exit code of a failure.
pub(crate) fn code(failure: &Failure) -> Exit {
    match failure {
        Failure::Vault(error) => vault(error),
        Failure::Backup(error) => backup(error),
        Failure::Mount(error) => mount(error),
        Failure::Background { exit, .. } => *exit,
        Failure::StillServing { .. } => Exit::Mount,
        Failure::Observe(error) => observe(error),
        Failure::Usage(_) => Exit::Usage,
        Failure::Configuration { source, .. } => configuration(source),
        Failure::Document { source, .. } => record(source),
        Failure::Mismatch { .. } | Failure::Damaged { .. } | Failure::BackupsDamaged { .. } => Exit::Corrupt,
        Failure::Signature { .. } | Failure::Key { .. } => Exit::Identity,
        Failure::Refused { .. } => Exit::Invalid,
        Failure::Unwell | Failure::Output(_) => Exit::Other,
    }
}

fn vault(error: &Error) -> Exit {
    match error {
        Error::Record(error) => record(error),
        Error::Storage(error) => storage(error),
        Error::HalfRestored { source } => vault(source),
        Error::Crypto(error) => crypto(*error),
        Error::Randomness(_) => Exit::Storage,
        Error::UnknownCollection { .. } | Error::Argument { .. } => Exit::Usage,
        Error::UnknownParent { .. } | Error::Pruned { .. } => Exit::NotFound,
        Error::Cycle { .. } => Exit::Invalid,
        Error::Immutable { .. } | Error::State { .. } => Exit::Conflict,
        Error::Io { source, .. } => input_output(source),
        Error::Interrupted { .. } => Exit::Interrupted,
    }
}

fn storage(error: &StorageError) -> Exit {
    match error {
        StorageError::Corrupt { .. } => Exit::Corrupt,
        StorageError::NotAVault { .. }
        | StorageError::Locked { .. }
        | StorageError::Unanswered { .. }
        | StorageError::NotOwner { .. }
        | StorageError::NewerFormat { .. }
        | StorageError::UnknownFeatures { .. }
        | StorageError::Permission { .. }
        | StorageError::NoSpace { .. }
        | StorageError::Io { .. }
        | StorageError::Engine { .. }
        | StorageError::Randomness(_) => Exit::Storage,
        StorageError::Limit { .. } => Exit::Invalid,
        StorageError::NotFound { .. } => Exit::NotFound,
        StorageError::Occupied { .. } | StorageError::Exists { .. } | StorageError::Stale { .. } => Exit::Conflict,
    }
}

fn record(error: &RecordError) -> Exit {
    match error {
        RecordError::Checksum { .. } | RecordError::Unverified { .. } => Exit::Corrupt,
        RecordError::Json(_)
        | RecordError::Yaml { .. }
        | RecordError::NotAnObject { .. }
        | RecordError::Schema { .. }
        | RecordError::Id { .. }
        | RecordError::TooLarge { .. }
        | RecordError::TooManyTags { .. }
        | RecordError::Document { .. } => Exit::Invalid,
    }
}

/// The same errors where a configuration was read.
fn configuration(error: &RecordError) -> Exit {
    match record(error) {
        Exit::Invalid => Exit::Configuration,
        other => other,
    }
}

fn crypto(error: CryptoError) -> Exit {
    match error {
        CryptoError::PrivateKeyText | CryptoError::PrivateKeyLength { .. } => Exit::Identity,
    }
}

fn backup(error: &BackupError) -> Exit {
    match error {
        BackupError::Corrupt { .. } | BackupError::Missing { .. } => Exit::Corrupt,
        BackupError::NotARepository { .. }
        | BackupError::Newer { .. }
        | BackupError::NoSlot { .. }
        | BackupError::DamagedSlot { .. }
        | BackupError::HostileSlot { .. }
        | BackupError::WrongSecret { .. }
        | BackupError::NoSecret { .. }
        | BackupError::RolledBack { .. }
        | BackupError::Pruned
        | BackupError::Lapsed { .. }
        | BackupError::Locked { .. } => Exit::Backup,
        BackupError::NotFound { .. } => Exit::NotFound,
        BackupError::Occupied { .. } => Exit::Conflict,
        BackupError::Ambiguous { .. } | BackupError::Argument { .. } => Exit::Usage,
        BackupError::Io { source, .. } => input_output(source),
        BackupError::Vault(error) => vault(error),
        BackupError::Randomness(_) => Exit::Storage,
        BackupError::Interrupted { .. } => Exit::Interrupted,
    }
}

fn mount(error: &MountError) -> Exit {
    match error {
        MountError::Missing { .. }
        | MountError::NotADirectory { .. }
        | MountError::NotEmpty { .. }
        | MountError::AlreadyMounted { .. }
        | MountError::NotMounted { .. }
        | MountError::Busy { .. }
        | MountError::Permission { .. }
        | MountError::NoDevice
        | MountError::NoHelper
        | MountError::Files { .. }
        | MountError::Ended { .. }
        | MountError::Io { .. } => Exit::Mount,
        MountError::Vault(error) => vault(error),
    }
}

fn observe(error: &ObserveError) -> Exit {
    match error {
        ObserveError::Level { .. } => Exit::Usage,
        ObserveError::File { source, .. } => input_output(source),
        ObserveError::AlreadySet => Exit::Other,
    }
}

/// What the operating system says has no end, so this one has a wildcard.
fn input_output(error: &io::Error) -> Exit {
    match error.kind() {
        io::ErrorKind::NotFound => Exit::NotFound,
        io::ErrorKind::AlreadyExists => Exit::Conflict,
        _ => Exit::Storage,
    }
}
