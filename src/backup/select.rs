//! Listing backups, and finding one by what it is called.

use crate::record::{Checksum, Timestamp, Value, object};

use super::error::{BackupError, Result};
use super::keys::Name;
use super::manifest::Manifest;
use super::repository::{Fault, Repository};

/// Digits of a name that are shown.
pub(super) const SHORT: usize = 16;
/// A shorter beginning of a name is not taken for one.
const LEAST: usize = 4;

/// A backup that is in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// Its name: 64 hex digits, of which the first ones do.
    pub name: String,
    /// What it was called; may be empty.
    pub label: String,
    /// When it was made.
    pub created: Timestamp,
    /// The vault that it is of.
    pub vault_id: String,
    /// The sequence at which it has the vault.
    pub sequence: u64,
    /// Merkle root there.
    pub root: Checksum,
    /// Bytes of all that it holds.
    pub bytes: u64,
}

impl Backup {
    pub(super) fn of(name: &Name, manifest: &Manifest) -> Self {
        Self {
            name: name.to_string(),
            label: manifest.label.clone(),
            created: manifest.created,
            vault_id: manifest.vault_id.clone(),
            sequence: manifest.sequence,
            root: manifest.root,
            bytes: manifest.streams.all().iter().map(|stream| stream.bytes).sum(),
        }
    }

    /// The beginning of its name.
    #[must_use]
    pub fn short(&self) -> &str {
        self.name.get(..SHORT).unwrap_or(&self.name)
    }

    /// As JSON.
    #[must_use]
    pub fn to_value(&self) -> Value {
        object([
            ("name", self.name.as_str().into()),
            ("label", self.label.as_str().into()),
            ("created", self.created.to_string().into()),
            ("vault_id", self.vault_id.as_str().into()),
            ("sequence", self.sequence.into()),
            ("root", self.root.to_string().into()),
            ("bytes", self.bytes.into()),
        ])
    }
}

impl Repository {
    /// All backups, oldest first, and what is wrong with manifests that cannot be read.
    ///
    /// # Errors
    /// Those of reading.
    pub fn backups(&self) -> Result<(Vec<Backup>, Vec<Fault>)> {
        let loaded = self.manifests()?;
        Ok((loaded.items.iter().map(|(name, manifest)| Backup::of(name, manifest)).collect(), loaded.faults))
    }

    /// The backup that is meant: `latest`, the beginning of a name, or a label, of which the newest counts.
    pub(super) fn find(&self, wanted: &str) -> Result<(Name, Manifest)> {
        let mut loaded = self.manifests()?;
        let found = choose(&loaded.items, wanted)?;
        match found {
            Some(at) => Ok(loaded.items.swap_remove(at)),
            None => match loaded.faults.into_iter().next() {
                // It may be the one that cannot be read.
                Some(fault) => Err(BackupError::corrupt(fault.subject, fault.problem)),
                None if wanted == "latest" => Err(BackupError::NotFound { what: "backup yet".to_owned() }),
                None => Err(BackupError::NotFound { what: format!("backup {wanted}") }),
            },
        }
    }
}

/// The place of the backup that is meant, among all from the oldest to the newest.
pub(super) fn choose(backups: &[(Name, Manifest)], wanted: &str) -> Result<Option<usize>> {
    if wanted == "latest" {
        return Ok(backups.len().checked_sub(1));
    }
    if let Some(at) = backups.iter().rposition(|(_, manifest)| !wanted.is_empty() && manifest.label == wanted) {
        return Ok(Some(at));
    }
    let fits = |name: &Name| wanted.len() >= LEAST && name.to_string().starts_with(wanted);
    let fitting: Vec<usize> = (0..).zip(backups).filter(|(_, (name, _))| fits(name)).map(|(at, _)| at).collect();
    match fitting.as_slice() {
        [] => Ok(None),
        [at] => Ok(Some(*at)),
        more => Err(BackupError::Ambiguous { name: wanted.to_owned(), count: more.len() }),
    }
}
