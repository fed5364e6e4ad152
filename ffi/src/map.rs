//! Which error has which status: one table for every error of the library, without a wildcard, so that a new error does
//! not compile until it has a status.

use std::io::ErrorKind;
use std::path::Path;

use mirrordna::artifacts::FsError;
use mirrordna::backup::BackupError;
use mirrordna::crypto::CryptoError;
use mirrordna::observe::ObserveError;
use mirrordna::record::RecordError;
use mirrordna::storage::StorageError;
use mirrordna_mount::MountError;

use crate::error::Failure;
use crate::status::mdna_status::{self, *};

/// A status and the id or path that an error is about.
type Mapped = (mdna_status, Option<String>);

macro_rules! failure_from {
    ($($error:ty => $map:ident),+ $(,)?) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                let (status, subject) = $map(&error);
                Self { status, message: error.to_string(), subject }
            }
        })+
    };
}

failure_from!(
    mirrordna::Error => vault,
    StorageError => storage,
    RecordError => record,
    CryptoError => crypto,
    BackupError => backup,
    MountError => mount,
    ObserveError => observe,
    FsError => file,
);

fn at(status: mdna_status, path: &Path) -> Mapped {
    (status, Some(path.display().to_string()))
}

fn about(status: mdna_status, id: &str) -> Mapped {
    (status, Some(id.to_owned()))
}

fn vault(error: &mirrordna::Error) -> Mapped {
    use mirrordna::Error;
    match error {
        Error::Record(error) => record(error),
        Error::Storage(error) => storage(error),
        // Why it stopped says nothing of where the vault stands.
        Error::HalfRestored { source } => (MDNA_HALF_RESTORED, vault(source).1),
        Error::Crypto(error) => crypto(error),
        Error::Randomness(_) => (MDNA_NO_RANDOMNESS, None),
        Error::UnknownCollection { name } => about(MDNA_UNKNOWN_COLLECTION, name),
        Error::UnknownParent { id: _, parent } => about(MDNA_UNKNOWN_PARENT, parent),
        Error::Cycle { id, .. } => about(MDNA_CYCLE, id),
        Error::Immutable { id, .. } => about(MDNA_IMMUTABLE, id),
        Error::State { id, .. } => about(MDNA_WRONG_STATE, id),
        Error::Pruned { .. } => (MDNA_PRUNED, None),
        Error::Argument { .. } => (MDNA_INVALID_ARGUMENT, None),
        Error::Io { path, source } => at(input_output(source), path),
        Error::Interrupted { .. } => (MDNA_CANCELLED, None),
    }
}

fn storage(error: &StorageError) -> Mapped {
    match error {
        StorageError::NotAVault { path } => at(MDNA_NOT_A_VAULT, path),
        StorageError::Occupied { path, .. } => at(MDNA_OCCUPIED, path),
        StorageError::Locked { path, .. } => at(MDNA_LOCKED, path),
        StorageError::Unanswered { path, .. } => at(MDNA_UNANSWERED, path),
        StorageError::NotOwner { path, .. } => at(MDNA_NOT_OWNER, path),
        StorageError::NewerFormat { path, .. } => at(MDNA_NEWER_FORMAT, path),
        StorageError::UnknownFeatures { path, .. } => at(MDNA_UNKNOWN_FEATURES, path),
        StorageError::Corrupt { what, .. } => about(MDNA_CORRUPT, what),
        StorageError::Permission { path } => at(MDNA_PERMISSION, path),
        StorageError::NoSpace { path } => at(MDNA_NO_SPACE, path),
        StorageError::Io { path, .. } => at(MDNA_IO, path),
        StorageError::Engine { path, .. } => at(MDNA_ENGINE, path),
        StorageError::Randomness(_) => (MDNA_NO_RANDOMNESS, None),
        StorageError::Exists { id, .. } => about(MDNA_EXISTS, id),
        StorageError::NotFound { id, .. } => about(MDNA_NOT_FOUND, id),
        StorageError::Stale { id, .. } => about(MDNA_STALE, id),
        StorageError::Limit { .. } => (MDNA_LIMIT, None),
    }
}

fn record(error: &RecordError) -> Mapped {
    match error {
        RecordError::Json(_) => (MDNA_JSON, None),
        RecordError::Yaml { .. } => (MDNA_YAML, None),
        RecordError::NotAnObject { .. } => (MDNA_NOT_AN_OBJECT, None),
        RecordError::Schema { id, .. } => (MDNA_SCHEMA, (!id.is_empty()).then(|| id.clone())),
        RecordError::Id { id, .. } => about(MDNA_INVALID_ID, id),
        RecordError::TooLarge { id, .. } => about(MDNA_RECORD_TOO_LARGE, id),
        RecordError::TooManyTags { id, .. } => about(MDNA_TOO_MANY_TAGS, id),
        RecordError::Checksum { what, .. } => about(MDNA_CHECKSUM_MISMATCH, what),
        RecordError::Document { what, .. } => about(MDNA_DOCUMENT, what),
        RecordError::Unverified { what } => about(MDNA_UNVERIFIED, what),
    }
}

fn crypto(error: &CryptoError) -> Mapped {
    match error {
        CryptoError::PrivateKeyText | CryptoError::PrivateKeyLength { .. } => (MDNA_PRIVATE_KEY, None),
    }
}

fn input_output(error: &std::io::Error) -> mdna_status {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => MDNA_NO_SPACE,
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => MDNA_PERMISSION,
        _ => MDNA_IO,
    }
}

fn backup(error: &BackupError) -> Mapped {
    match error {
        BackupError::NotARepository { location } => about(MDNA_NOT_A_REPOSITORY, location),
        BackupError::Occupied { location, .. } => about(MDNA_OCCUPIED, location),
        BackupError::Newer { location, .. } => about(MDNA_NEWER_FORMAT, location),
        BackupError::NoSlot { location } => about(MDNA_NO_KEY_SLOT, location),
        BackupError::DamagedSlot { slot, .. } => about(MDNA_DAMAGED_KEY_SLOT, slot),
        BackupError::HostileSlot { slot, .. } => about(MDNA_HOSTILE_KEY_SLOT, slot),
        BackupError::WrongSecret { location, .. } => about(MDNA_WRONG_SECRET, location),
        BackupError::NoSecret { location, .. } => about(MDNA_SECRET_NEEDED, location),
        BackupError::Corrupt { what, .. } => about(MDNA_CORRUPT, what),
        BackupError::Missing { what } => about(MDNA_BACKUP_MISSING, what),
        BackupError::RolledBack { location, .. } => about(MDNA_ROLLED_BACK, location),
        BackupError::NotFound { what } => about(MDNA_NOT_FOUND, what),
        BackupError::Ambiguous { name, .. } => about(MDNA_AMBIGUOUS, name),
        BackupError::Pruned => (MDNA_PRUNED_MEANWHILE, None),
        BackupError::Locked { location, .. } => about(MDNA_LOCKED, location),
        BackupError::Lapsed { location } => about(MDNA_LOCK_LAPSED, location),
        BackupError::Argument { .. } => (MDNA_INVALID_ARGUMENT, None),
        BackupError::Io { location, source } => about(input_output(source), location),
        BackupError::Vault(error) => vault(error),
        BackupError::Randomness(_) => (MDNA_NO_RANDOMNESS, None),
        BackupError::Interrupted { .. } => (MDNA_CANCELLED, None),
    }
}

fn mount(error: &MountError) -> Mapped {
    match error {
        MountError::Missing { path } => at(MDNA_MOUNTPOINT_MISSING, path),
        MountError::NotADirectory { path } => at(MDNA_MOUNTPOINT_NOT_A_DIRECTORY, path),
        MountError::NotEmpty { path } => at(MDNA_MOUNTPOINT_NOT_EMPTY, path),
        MountError::AlreadyMounted { path } => at(MDNA_ALREADY_MOUNTED, path),
        MountError::NotMounted { path } => at(MDNA_NOT_MOUNTED, path),
        MountError::Busy { path, .. } => at(MDNA_MOUNT_IN_USE, path),
        MountError::Permission { path, .. } => at(MDNA_PERMISSION, path),
        MountError::NoDevice | MountError::NoHelper => (MDNA_NO_FUSE, None),
        MountError::Files { path, source } => (file(source).0, Some(path.display().to_string())),
        MountError::Ended { path, .. } | MountError::Io { path, .. } => at(MDNA_IO, path),
        MountError::Vault(error) => vault(error),
    }
}

fn observe(error: &ObserveError) -> Mapped {
    match error {
        ObserveError::Level { .. } => (MDNA_INVALID_ARGUMENT, None),
        ObserveError::File { path, .. } => at(MDNA_IO, path),
        ObserveError::AlreadySet => (MDNA_LOG_IN_USE, None),
    }
}

fn file(error: &FsError) -> Mapped {
    let status = match error {
        FsError::NotFound => MDNA_FILE_NOT_FOUND,
        FsError::Exists => MDNA_FILE_EXISTS,
        FsError::NotDirectory => MDNA_FILE_NOT_A_DIRECTORY,
        FsError::IsDirectory => MDNA_FILE_IS_A_DIRECTORY,
        FsError::NotEmpty => MDNA_FILE_DIRECTORY_NOT_EMPTY,
        FsError::Busy => MDNA_FILE_BUSY,
        FsError::NameTooLong => MDNA_FILE_NAME_TOO_LONG,
        FsError::TooManyLinks => MDNA_FILE_TOO_MANY_LINKS,
        FsError::Invalid(_) => MDNA_FILE_INVALID,
        FsError::NotPermitted(_) => MDNA_FILE_NOT_PERMITTED,
        FsError::TooBig => MDNA_FILE_TOO_LARGE,
        FsError::BeyondEnd => MDNA_FILE_BEYOND_END,
        FsError::NoAttribute => MDNA_FILE_NO_ATTRIBUTE,
        FsError::AttributeTooLarge => MDNA_FILE_ATTRIBUTE_TOO_LARGE,
        FsError::NoSpace => MDNA_NO_SPACE,
        FsError::Unsupported(_) => MDNA_FILE_UNSUPPORTED,
        FsError::ReadOnly => MDNA_FILE_READ_ONLY,
        FsError::Stale { .. } => MDNA_FILE_GONE,
        FsError::Corrupt { .. } => MDNA_CORRUPT,
        FsError::Storage(error) => return storage(error),
    };
    (status, None)
}

#[cfg(test)]
mod tests {
    use mirrordna::record::Kind;

    use super::*;

    #[test]
    fn failures_say_what_they_are_about() {
        let failure = Failure::from(mirrordna::Error::not_found(Kind::Memory, "mem_x"));
        assert_eq!((failure.status, failure.subject.as_deref()), (MDNA_NOT_FOUND, Some("mem_x")));
        let failure = Failure::from(StorageError::NotAVault { path: "/a/b".into() });
        assert_eq!((failure.status, failure.subject.as_deref()), (MDNA_NOT_A_VAULT, Some("/a/b")));
        assert!(failure.message.contains("/a/b"));
    }

    #[test]
    fn a_vault_between_two_states_is_no_full_disk() {
        let full = StorageError::NoSpace { path: "/a/b".into() };
        let failure = Failure::from(mirrordna::Error::HalfRestored { source: Box::new(full.into()) });
        assert_eq!((failure.status, failure.subject.as_deref()), (MDNA_HALF_RESTORED, Some("/a/b")));
        assert!(!failure.message.contains("nothing was changed"), "{}", failure.message);
    }
}
