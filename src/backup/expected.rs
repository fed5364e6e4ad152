//! What a vault expects to find in the repositories that it was backed up to, so that one that was put back to an older state
//! is noticed: the file `BACKUPS` in its directory.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use crate::record::Checksum;
use crate::storage::{FileAccess, SystemFiles};

use super::error::{BackupError, Result};
use super::keys::{Name, RepositoryId};
use super::manifest::{Manifest, Note};

const FILE: &str = "BACKUPS";
const TITLE: &str = "MirrorDNA backups";

/// The newest backup that a vault knows of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) generation: u64,
    pub(super) backup: Name,
}

/// What a vault expects to find in a repository. To be asked before it is looked what is there, for another backup may end in
/// between, and is expected from then on.
pub(super) fn read(vault: &Path, repository: RepositoryId) -> Result<Option<Expected>> {
    Ok(read_all(vault)?.into_iter().find(|(id, _)| *id == repository.to_string()).map(|(_, expected)| expected))
}

fn read_all(vault: &Path) -> Result<Vec<(String, Expected)>> {
    let path = vault.join(FILE);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|source| BackupError::Io { location: path.display().to_string(), source })?,
    };
    let damaged = || BackupError::corrupt(path.display().to_string(), "it does not match its checksum; remove it");
    let (lines, sum) = text.strip_suffix('\n').and_then(|text| text.rsplit_once("\nsha256 ")).ok_or_else(damaged)?;
    if Checksum::of(format!("{lines}\n").as_bytes()).to_string() != sum || !lines.starts_with(TITLE) {
        return Err(damaged());
    }
    let entry = |line: &str| {
        let mut fields = line.split(' ');
        let (id, generation, backup) = (fields.next()?, fields.next()?.parse().ok()?, Name::parse(fields.next()?)?);
        Some((id.to_owned(), Expected { generation, backup }))
    };
    lines.lines().skip(1).map(|line| entry(line).ok_or_else(damaged)).collect()
}

/// Remembers the newest backup in a repository. Backups that end at the same time, in whichever process, write one after the
/// other, so that none takes from the file what another one wrote.
pub(super) fn write(vault: &Path, repository: RepositoryId, expected: Expected) -> Result<()> {
    let _lock = lock(vault)?;
    let mut all = read_all(vault).unwrap_or_default();
    all.retain(|(id, _)| *id != repository.to_string());
    all.push((repository.to_string(), expected));
    let mut lines = format!("{TITLE}\n");
    for (id, Expected { generation, backup }) in all {
        // Writing to a string cannot fail.
        let _ = writeln!(lines, "{id} {generation} {backup}");
    }
    let sum = Checksum::of(lines.as_bytes());
    let path = vault.join(FILE);
    SystemFiles
        .write(&path, format!("{lines}sha256 {sum}\n").as_bytes())
        .map_err(|source| BackupError::Io { location: path.display().to_string(), source })
}

/// Waits for whoever writes the file, until the result is dropped. It is the directory that is locked, for the file is replaced.
fn lock(vault: &Path) -> Result<File> {
    let failed = |source| BackupError::Io { location: vault.display().to_string(), source };
    let directory = File::open(vault).map_err(failed)?;
    let lock = || rustix::fs::flock(&directory, rustix::fs::FlockOperation::LockExclusive);
    match rustix::io::retry_on_intr(lock) {
        // There are file systems on which a directory cannot be locked.
        Err(rustix::io::Errno::BADF | rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOLCK) | Ok(()) => {
            Ok(directory)
        }
        Err(error) => Err(failed(error.into())),
    }
}

impl Expected {
    /// What a repository lacks that it must have.
    pub(super) fn lacking(&self, backups: &[(Name, Manifest)], notes: &[(Name, Note)]) -> Option<String> {
        let there = backups.iter().any(|(name, _)| *name == self.backup);
        let deleted = notes.iter().any(|(_, note)| note.deleted.contains(&self.backup));
        let generations = backups.iter().map(|(_, manifest)| manifest.generation);
        let newest = generations.chain(notes.iter().map(|(_, note)| note.generation)).max().unwrap_or(0);
        let short: String = self.backup.to_string().chars().take(16).collect();
        if newest < self.generation {
            return Some(format!(
                "its newest entry has the number {newest}, and backup {short} had {}",
                self.generation
            ));
        }
        // A note of long ago may have been forgotten.
        let forgotten = notes.iter().any(|(_, note)| note.deleted.len() >= super::manifest::REMEMBERED);
        (!there && !deleted && !forgotten).then(|| format!("backup {short} is gone, and nobody deleted it"))
    }
}
