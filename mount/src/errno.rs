//! Which error of the vault becomes which number: the one table of this package. Without a wildcard arm, so that a new
//! error does not compile until somebody has decided what programs are told.

use std::io;

use fuser::Errno;
use mirrordna::Error;
use mirrordna::artifacts::FsError;
use mirrordna::storage::StorageError;
use mirrordna::tree::Refusal;

/// The number that a program sees for an error.
pub(crate) fn errno(error: &Error) -> Errno {
    match error {
        Error::Record(_)
        | Error::Crypto(_)
        | Error::UnknownParent { .. }
        | Error::Cycle { .. }
        | Error::State { .. }
        | Error::Argument { .. } => Errno::EINVAL,
        Error::Storage(error) => storage(error),
        Error::HalfRestored { source } => errno(source),
        Error::Randomness(_) => Errno::EAGAIN,
        Error::UnknownCollection { .. } | Error::Pruned { .. } => Errno::ENOENT,
        Error::Immutable { .. } => Errno::EPERM,
        Error::Io { source, .. } => system(source),
        Error::Interrupted { .. } => Errno::EINTR,
    }
}

/// The number that a program sees for an error of a file in `artifacts/`.
pub(crate) fn artifact(error: &FsError) -> Errno {
    match error {
        FsError::NotFound => Errno::ENOENT,
        FsError::Exists => Errno::EEXIST,
        FsError::NotDirectory => Errno::ENOTDIR,
        FsError::IsDirectory => Errno::EISDIR,
        FsError::NotEmpty => Errno::ENOTEMPTY,
        FsError::Busy => Errno::EBUSY,
        FsError::NameTooLong => Errno::ENAMETOOLONG,
        FsError::TooManyLinks => Errno::EMLINK,
        FsError::Invalid(_) => Errno::EINVAL,
        FsError::NotPermitted(_) => Errno::EPERM,
        FsError::TooBig => Errno::EFBIG,
        FsError::BeyondEnd => Errno::ENXIO,
        FsError::NoAttribute => Errno::NO_XATTR,
        FsError::AttributeTooLarge => Errno::E2BIG,
        FsError::NoSpace => Errno::ENOSPC,
        FsError::Unsupported(_) => Errno::EOPNOTSUPP,
        FsError::ReadOnly => Errno::EROFS,
        FsError::Stale { .. } => Errno::ESTALE,
        FsError::Corrupt { .. } => Errno::EIO,
        FsError::Storage(error) => storage(error),
    }
}

/// The number that a program sees when it cannot write.
pub(crate) fn refused(refusal: &Refusal) -> Errno {
    match refusal {
        Refusal::ReadOnly { .. } | Refusal::Past { .. } => Errno::EROFS,
        Refusal::NotPermitted { .. } => Errno::EPERM,
        Refusal::Misfit { .. } => Errno::EINVAL,
        Refusal::Vault { source, .. } => errno(source),
        Refusal::Exists { .. } => Errno::EEXIST,
        Refusal::Missing { .. } => Errno::ENOENT,
        Refusal::Busy { .. } => Errno::EBUSY,
        Refusal::TooLarge { .. } => Errno::EFBIG,
        Refusal::NoRoom { .. } => Errno::ENOSPC,
        Refusal::Unsupported { .. } => Errno::EOPNOTSUPP,
        Refusal::IsDirectory { .. } => Errno::EISDIR,
    }
}

fn storage(error: &StorageError) -> Errno {
    match error {
        StorageError::NotFound { .. } | StorageError::NotAVault { .. } => Errno::ENOENT,
        StorageError::Exists { .. } => Errno::EEXIST,
        StorageError::Occupied { .. } => Errno::ENOTEMPTY,
        StorageError::Locked { .. } | StorageError::NotOwner { .. } => Errno::EBUSY,
        StorageError::NewerFormat { .. } | StorageError::UnknownFeatures { .. } => Errno::EOPNOTSUPP,
        StorageError::Corrupt { .. } | StorageError::Engine { .. } | StorageError::Unanswered { .. } => Errno::EIO,
        StorageError::Permission { .. } => Errno::EACCES,
        StorageError::NoSpace { .. } => Errno::ENOSPC,
        StorageError::Io { source, .. } => system(source),
        StorageError::Randomness(_) | StorageError::Stale { .. } => Errno::EAGAIN,
        StorageError::Limit { .. } => Errno::EFBIG,
    }
}

/// The operating system's own number; for an error that we made ourselves, what its kind stands for.
fn system(error: &io::Error) -> Errno {
    match error.raw_os_error() {
        Some(number) => Errno::from_i32(number),
        None if error.kind() == io::ErrorKind::NotFound => Errno::ENOENT,
        None => Errno::EIO,
    }
}
