//! What a vault expects to find in the repositories that it was backed up to, so that one that was put back to an older state
//! is noticed: the file `BACKUPS` in its directory.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Duration;

use crate::record::Checksum;
use crate::storage::{FileAccess, SystemFiles};

use super::error::{BackupError, Result};
use super::keys::{Name, RepositoryId};
use super::manifest::{Manifest, Note};

const FILE: &str = "BACKUPS";
const TITLE: &str = "MirrorDNA backups";
/// How often, and how far apart, the lock is asked for.
const LOCK_TRIES: u32 = 3_000;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

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

/// Remembers the newest backup in a repository; `before` is what was expected when that backup began. Backups that end at the same
/// time, in whichever process, write one after the other, so that none takes from the file what another one wrote.
pub(super) fn write(
    vault: &Path,
    repository: RepositoryId,
    before: Option<Expected>,
    expected: Expected,
) -> Result<()> {
    let _lock = lock(vault);
    let mut all = read_all(vault).unwrap_or_default();
    let now = all.iter().find(|(id, _)| *id == repository.to_string()).map(|(_, now)| *now);
    if now != before && now.is_some_and(|now| now.generation >= expected.generation) {
        // A backup that began later has ended first.
        return Ok(());
    }
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

/// Waits a while for whoever writes the file, until the result is dropped. It is the directory that is locked, for the file is
/// replaced. Somebody else may have locked it for purposes of their own, and there are file systems without such locks: the backup is
/// stored by now, and goes without.
fn lock(vault: &Path) -> Option<File> {
    let locked = || {
        let directory = File::open(vault)?;
        for _ in 0..LOCK_TRIES {
            match rustix::fs::flock(&directory, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
                Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => std::thread::sleep(LOCK_PAUSE),
                other => return other.map(|()| directory).map_err(io::Error::from),
            }
        }
        Err(io::Error::from(io::ErrorKind::WouldBlock))
    };
    let locked = locked();
    if let Err(error) = &locked {
        tracing::warn!(target: "mirrordna::backup", vault = %vault.display(), %error, "BACKUPS is written without a lock");
    }
    locked.ok()
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
        (!there && !deleted).then(|| format!("backup {short} is gone, and nobody deleted it"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A backup that began before others, and ends after them, does not make the vault forget the newest.
    #[test]
    fn the_newest_backup_is_expected_whichever_ends_last() {
        let dir = tempfile::tempdir().unwrap();
        let repository = RepositoryId([7; 16]);
        let expected =
            |generation| Expected { generation, backup: Name::of_file(&[u8::try_from(generation).unwrap()]) };
        let now = || read(dir.path(), repository).unwrap();
        assert_eq!(now(), None);
        write(dir.path(), repository, None, expected(5)).unwrap();
        let begun = now();
        write(dir.path(), repository, begun, expected(6)).unwrap();
        write(dir.path(), repository, now(), expected(7)).unwrap();
        write(dir.path(), repository, begun, expected(6)).unwrap();
        assert_eq!(now(), Some(expected(7)));
        // Who accepts that the repository is older than it was begins anew from there.
        write(dir.path(), repository, now(), expected(2)).unwrap();
        assert_eq!(now(), Some(expected(2)));
    }

    /// However many backups were deleted, one that nobody deleted is missed.
    #[test]
    fn a_backup_that_is_gone_is_missed_after_many_deletions() {
        let name = |n: u64| Name::of_file(&n.to_le_bytes());
        let note = (name(0), Note { generation: 9, deleted: (1..=2_000).map(name).collect() });
        let lacking = |backup| Expected { generation: 5, backup }.lacking(&[], std::slice::from_ref(&note));
        assert_eq!(lacking(name(7)), None);
        assert!(lacking(name(3_000)).unwrap().contains("nobody deleted it"));
    }

    /// A directory that cannot be locked does not keep a backup from ending.
    #[test]
    fn having_no_lock_is_no_failure() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("missing");
        assert!(lock(&missing).is_none());
        assert!(lock(dir.path()).is_some());
    }
}
