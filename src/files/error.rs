//! What can go wrong with a file, and with which.

use std::io;
use std::path::{Path, PathBuf};

use crate::artifacts::FsError;
use crate::storage::StorageError;

/// What went wrong with a file of the vault.
#[derive(Debug, thiserror::Error)]
#[error("artifacts/{}: {source}", path.strip_prefix("/").unwrap_or(path).display())]
pub struct FileError {
    /// The file, as it was named.
    pub path: PathBuf,
    /// What went wrong.
    pub source: FsError,
}

impl FileError {
    pub(super) fn new(path: &Path, source: FsError) -> Self {
        Self { path: path.to_owned(), source }
    }
}

/// For [`io::Read`], [`io::Write`] and [`io::Seek`], whose errors are of this type.
impl From<FileError> for io::Error {
    fn from(error: FileError) -> Self {
        Self::new(kind(&error.source), error)
    }
}

fn kind(error: &FsError) -> io::ErrorKind {
    use io::ErrorKind as Kind;
    match error {
        FsError::NotFound => Kind::NotFound,
        FsError::Exists => Kind::AlreadyExists,
        FsError::NotDirectory => Kind::NotADirectory,
        FsError::IsDirectory => Kind::IsADirectory,
        FsError::NotEmpty => Kind::DirectoryNotEmpty,
        FsError::Busy => Kind::ResourceBusy,
        FsError::NameTooLong => Kind::InvalidFilename,
        FsError::TooManyLinks => Kind::TooManyLinks,
        FsError::NotPermitted(_) => Kind::PermissionDenied,
        FsError::TooBig | FsError::AttributeTooLarge => Kind::FileTooLarge,
        FsError::NoSpace | FsError::Storage(StorageError::NoSpace { .. }) => Kind::StorageFull,
        FsError::Unsupported(_) => Kind::Unsupported,
        FsError::ReadOnly => Kind::ReadOnlyFilesystem,
        FsError::Stale { .. } => Kind::StaleNetworkFileHandle,
        FsError::Corrupt { .. } => Kind::InvalidData,
        FsError::Invalid(_) | FsError::BeyondEnd | FsError::NoAttribute => Kind::InvalidInput,
        FsError::Storage(_) => Kind::Other,
    }
}
