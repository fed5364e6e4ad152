//! What the user of the command can do about a failure, beside what its message says: other commands and options. The library's own
//! messages name none, for programs have other ways.

use std::fmt;

use mirrordna::Error;
use mirrordna::backup::BackupError;
use mirrordna::storage::StorageError;
use mirrordna_mount::MountError;

use crate::error::Failure;

/// A failure, as the user is told of it.
pub(crate) struct Told<'f>(pub(crate) &'f Failure);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(failure) = self;
        match advice(failure) {
            Some(advice) => write!(f, "{failure}; {advice}"),
            None => write!(f, "{failure}"),
        }
    }
}

fn advice(failure: &Failure) -> Option<String> {
    match failure {
        Failure::Vault(error) => of_vault(error),
        Failure::Backup(error) => of_backup(error),
        Failure::Mount(error) => of_mount(error),
        _ => None,
    }
}

fn of_vault(error: &Error) -> Option<String> {
    match error {
        Error::Storage(StorageError::NotAVault { path }) => {
            Some(format!("create one with `mirrordna --vault {} init`", path.display()))
        }
        Error::Storage(StorageError::Locked { holder, .. }) if holder.contains("mirrordna mount") => {
            Some("a mount ends with `mirrordna umount DIR`".to_owned())
        }
        Error::Storage(StorageError::Corrupt { .. }) => {
            Some("run `mirrordna verify` to see all damage, and restore a backup".to_owned())
        }
        Error::Pruned { .. } => Some(
            "read it at a snapshot (`mirrordna snapshot list`), or see what is left with `mirrordna record history`"
                .to_owned(),
        ),
        _ => None,
    }
}

fn of_backup(error: &BackupError) -> Option<String> {
    match error {
        BackupError::NotARepository { location } => {
            Some(format!("make one with `mirrordna backup init --repo {location}`"))
        }
        BackupError::Corrupt { .. } | BackupError::Missing { .. } => Some(
            "run `mirrordna backup verify` to see which backups are whole; with `--repair` it saves them, and gives up the others"
                .to_owned(),
        ),
        BackupError::RolledBack { .. } => Some("if that is meant, say --accept-older".to_owned()),
        BackupError::Vault(error) => of_vault(error),
        _ => None,
    }
}

fn of_mount(error: &MountError) -> Option<String> {
    match error {
        MountError::AlreadyMounted { path } => {
            Some(format!("unmount it first with `mirrordna umount {}`", path.display()))
        }
        MountError::NoDevice => Some("for containers that is `--device /dev/fuse`".to_owned()),
        MountError::Vault(error) => of_vault(error),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(failure: impl Into<Failure>) -> String {
        Told(&failure.into()).to_string()
    }

    #[test]
    fn what_can_be_done_is_told_with_the_failure() {
        let path = "/a/b";
        assert_eq!(
            told(StorageError::NotAVault { path: path.into() }),
            "/a/b is not a vault; create one with `mirrordna --vault /a/b init`"
        );
        assert_eq!(
            told(MountError::AlreadyMounted { path: path.into() }),
            "a vault is already mounted on /a/b; unmount it first with `mirrordna umount /a/b`"
        );
        // Only who is held up by a mount is told of mounts.
        let held = |by: &str| told(StorageError::Locked { path: path.into(), holder: by.to_owned() });
        assert!(
            held("process 7 (mirrordna mount), since then")
                .ends_with("stop it; a mount ends with `mirrordna umount DIR`")
        );
        assert!(held("a prune of process 7 (mirrordna prune), since then").ends_with("stop it"));
        // Also through other errors.
        let damaged = || Error::from(StorageError::Corrupt { what: "the log".into(), detail: "short".into() });
        let all = told(damaged());
        assert_eq!(all, "the log is damaged: short; run `mirrordna verify` to see all damage, and restore a backup");
        assert_eq!(told(BackupError::Vault(damaged())), all);
        assert_eq!(told(MountError::Vault(damaged())), all);
        assert_eq!(told(Failure::Unwell), Failure::Unwell.to_string());
    }
}
