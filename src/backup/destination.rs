//! Where the files of a repository lie: one small trait, with a folder behind it or anything else that keeps files.

use super::error::{BackupError, Result};

/// The folders of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Folder {
    /// The repository itself: the file `REPOSITORY`.
    Root,
    /// Key slots.
    Keys,
    /// Packs.
    Packs,
    /// Index files.
    Index,
    /// Manifests.
    Backups,
    /// Notes of deletions.
    Notes,
    /// Marks of packs that are about to be removed.
    Marks,
    /// Locks.
    Locks,
}

impl Folder {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Root, Self::Keys, Self::Packs, Self::Index, Self::Backups, Self::Notes, Self::Marks, Self::Locks];

    /// Its name; empty for the repository itself.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Root => "",
            Self::Keys => "keys",
            Self::Packs => "packs",
            Self::Index => "index",
            Self::Backups => "backups",
            Self::Notes => "notes",
            Self::Marks => "marks",
            Self::Locks => "locks",
        }
    }

    /// How a file in it is called in messages.
    #[must_use]
    pub fn shown(self, name: &str) -> String {
        if self == Self::Root { name.to_owned() } else { format!("{}/{name}", self.name()) }
    }
}

/// Keeps the files of a repository. Files are written once and never changed.
pub trait Destination: Send + Sync {
    /// Where it is, for messages.
    fn location(&self) -> String;

    /// Names and lengths of the files in a folder; none when the folder is not there.
    ///
    /// # Errors
    /// [`BackupError::Io`].
    fn list(&self, folder: Folder) -> Result<Vec<(String, u64)>>;

    /// A whole file.
    ///
    /// # Errors
    /// [`BackupError::Missing`] when it is not there, [`BackupError::Io`].
    fn read(&self, folder: Folder, name: &str) -> Result<Vec<u8>>;

    /// A part of a file.
    ///
    /// # Errors
    /// As [`Destination::read`]; [`BackupError::Corrupt`] when it ends before.
    fn read_part(&self, folder: Folder, name: &str, offset: u64, len: usize) -> Result<Vec<u8>>;

    /// Writes a file, all of it or nothing, and returns when it is where a power cut cannot take it. Several threads may write at
    /// once. Nobody else writes another content under the same name, but for `REPOSITORY`, which stays as it is when it is
    /// there.
    ///
    /// # Errors
    /// [`BackupError::Occupied`] for a `REPOSITORY` that somebody else wrote, [`BackupError::Io`].
    fn write(&self, folder: Folder, name: &str, content: &[u8]) -> Result<()>;

    /// Removes a file. It may be gone already.
    ///
    /// # Errors
    /// [`BackupError::Io`].
    fn remove(&self, folder: Folder, name: &str) -> Result<()>;

    /// Removes what writes left that did not get to their end, older than so many seconds.
    ///
    /// # Errors
    /// [`BackupError::Io`].
    fn clean(&self, older_than: u64) -> Result<()> {
        let _ = older_than;
        Ok(())
    }
}

/// The error for a file that is not there.
pub(super) fn missing(folder: Folder, name: &str) -> BackupError {
    BackupError::Missing { what: folder.shown(name) }
}
