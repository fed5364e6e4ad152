//! What can go wrong with a file. Each error stands for one number of the operating system.

use std::borrow::Cow;

use crate::storage::{Ino, StorageError};

/// Results of the file system.
pub type Result<T> = std::result::Result<T, FsError>;

/// What went wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum FsError {
    /// `ENOENT`
    #[error("there is no such file")]
    NotFound,
    /// `EEXIST`
    #[error("the name is taken")]
    Exists,
    /// `ENOTDIR`
    #[error("it is not a directory")]
    NotDirectory,
    /// `EISDIR`
    #[error("it is a directory")]
    IsDirectory,
    /// `ENOTEMPTY`
    #[error("the directory is not empty")]
    NotEmpty,
    /// `EBUSY`: the root directory can be neither removed nor renamed.
    #[error("the root directory stays where it is")]
    Busy,
    /// `ENAMETOOLONG`
    #[error("the name is too long: a name has at most 255 bytes, the target of a link at most 4,095")]
    NameTooLong,
    /// `EMLINK`
    #[error("the file has too many names")]
    TooManyLinks,
    /// `EINVAL`
    #[error("it cannot be done: {0}")]
    Invalid(Cow<'static, str>),
    /// `EPERM`
    #[error("it is not permitted: {0}")]
    NotPermitted(Cow<'static, str>),
    /// `EFBIG`
    #[error("the file would be too large")]
    TooBig,
    /// `ENXIO`: the offset is at or beyond the end, or nothing follows it.
    #[error("there is nothing at or after this offset")]
    BeyondEnd,
    /// `ENODATA`
    #[error("there is no such extended attribute")]
    NoAttribute,
    /// `E2BIG`
    #[error("the extended attribute is too large: a value has at most 64 KiB")]
    AttributeTooLarge,
    /// `ENOSPC`
    #[error("there is no space left for it: free some and try again")]
    NoSpace,
    /// `EOPNOTSUPP`
    #[error("it is not supported: {0}")]
    Unsupported(Cow<'static, str>),
    /// `EROFS`: a past state.
    #[error("the past cannot be changed")]
    ReadOnly,
    /// `ESTALE`: the inode is gone for good.
    #[error("inode {ino} is not there any more")]
    Stale {
        /// The inode.
        ino: Ino,
    },
    /// `EIO`: what is stored of a file is damaged. It has been logged.
    #[error("artifact {ino}, bytes {from} to {to}: {source}")]
    Corrupt {
        /// The inode.
        ino: Ino,
        /// The first byte that cannot be read.
        from: u64,
        /// The byte after the last one that cannot be read.
        to: u64,
        /// What is wrong.
        source: StorageError,
    },
    /// What the storage says.
    #[error(transparent)]
    Storage(StorageError),
}

impl From<StorageError> for FsError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::NoSpace { .. } => Self::NoSpace,
            other => Self::Storage(other),
        }
    }
}
