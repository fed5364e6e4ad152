//! Locks: that somebody works on a repository. They keep a prune from removing what a backup that is under way relies on.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use crate::record::{Timestamp, Value, checksum, json, object};

use super::destination::Folder;
use super::error::{BackupError, Result};
use super::keys::Name;
use super::repository::Repository;
use super::seal::Kind;

/// A lock that is older counts no more: two hours, in microseconds.
const COUNTS: i64 = 2 * 3_600 * 1_000_000;
/// A lock is written anew when it is older: ten minutes.
const RENEWED: i64 = 600 * 1_000_000;

/// What is done under a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Adds, and relies on what is there.
    Adds,
    /// Removes what nobody needs. One does so at a time.
    Removes,
}

impl Work {
    const fn name(self) -> &'static str {
        match self {
            Self::Adds => "backup",
            Self::Removes => "prune",
        }
    }
}

/// A lock that somebody has.
#[derive(Clone, Debug)]
pub(super) struct Held {
    /// Since when, of the work as a whole.
    pub(super) since: Timestamp,
    renewed: Timestamp,
    work: String,
    host: String,
    /// Where the number of the process means something; empty when it is not known.
    numbering: String,
    process: u32,
}

impl Held {
    fn encode(&self) -> Vec<u8> {
        checksum::canonical(&object([
            ("since", self.since.to_string().into()),
            ("renewed", self.renewed.to_string().into()),
            ("work", self.work.as_str().into()),
            ("host", self.host.as_str().into()),
            ("numbering", self.numbering.as_str().into()),
            ("process", u64::from(self.process).into()),
        ]))
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let value = json::parse(bytes).ok()?;
        let text = |field: &str| Some(value.str_at(field)?.to_owned());
        Some(Self {
            since: Timestamp::parse(value.str_at("since")?)?,
            renewed: Timestamp::parse(value.str_at("renewed")?)?,
            work: text("work")?,
            host: text("host")?,
            // Older programs do not say.
            numbering: text("numbering").unwrap_or_default(),
            process: value.get("process").and_then(Value::as_i64)?.try_into().ok()?,
        })
    }

    fn age(&self, now: Timestamp) -> i64 {
        now.as_micros().saturating_sub(self.renewed.as_micros())
    }

    /// It is neither old, nor of a process of this machine that is gone, nor one that this process could not remove.
    fn counts(&self, name: &Name, now: Timestamp) -> bool {
        let age = self.age(now);
        let here = !self.numbering.is_empty() && self.numbering == numbering();
        let gone = here && !Path::new(&format!("/proc/{}", self.process)).exists();
        let left = here && self.process == std::process::id() && !held_here().contains(name);
        age < COUNTS && !gone && !left
    }

    fn holder(&self) -> String {
        format!("process {} on {} ({} since {})", self.process, self.host, self.work, self.since)
    }
}

fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned()).unwrap_or_default()
}

/// What tells processes with one number apart: two machines or containers may have one name, and two containers of one machine
/// have numbers of their own.
fn numbering() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    if boot.is_empty() { boot } else { format!("{} {}", boot.trim(), namespace.display()) }
}

/// The locks that this process holds.
fn held_here() -> MutexGuard<'static, HashSet<Name>> {
    static HELD: LazyLock<Mutex<HashSet<Name>>> = LazyLock::new(Mutex::default);
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A lock of this process, until it is dropped.
pub(super) struct Lock {
    repository: Repository,
    state: Mutex<(Name, Held)>,
}

impl Lock {
    /// Takes a lock.
    ///
    /// # Errors
    /// [`BackupError::Locked`] when somebody else removes things, too; those of [`Repository::is_there`].
    pub(super) fn take(repository: &Repository, work: Work) -> Result<Self> {
        // Writing would make a folder that is gone anew.
        repository.is_there()?;
        let now = repository.now();
        let (work_name, host, numbering) = (work.name().to_owned(), host(), numbering());
        let held = Held { since: now, renewed: now, work: work_name, host, numbering, process: std::process::id() };
        let name = repository.write(Folder::Locks, Kind::Lock, &held.encode())?;
        held_here().insert(name);
        let lock = Self { repository: repository.clone(), state: Mutex::new((name, held)) };
        if work == Work::Removes
            && let Some((_, other)) =
                held_locks(repository)?.into_iter().find(|(other, held)| *other != name && held.work == work.name())
        {
            let holder = format!("{} (should it have died, its lock counts for two hours)", other.holder());
            return Err(BackupError::Locked { location: repository.location(), holder });
        }
        Ok(lock)
    }

    /// To be called now and then while the work goes on.
    ///
    /// # Errors
    /// As [`Lock::confirm`], and those of reading and writing.
    pub(super) fn renew(&self) -> Result<()> {
        let now = self.repository.now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.1.age(now) < RENEWED {
            return Ok(());
        }
        self.confirm_as(&state, now)?;
        state.1.renewed = now;
        let name = self.repository.write(Folder::Locks, Kind::Lock, &state.1.encode())?;
        held_here().insert(name);
        let old = std::mem::replace(&mut state.0, name);
        held_here().remove(&old);
        self.repository.destination().remove(Folder::Locks, &old.to_string())
    }

    /// Makes sure that the lock has counted for everybody all the time: what was stored or relied on is still there.
    ///
    /// # Errors
    /// [`BackupError::Lapsed`] when it has not: this machine slept, say, or somebody's clock is wrong.
    pub(super) fn confirm(&self) -> Result<()> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.confirm_as(&state, self.repository.now())
    }

    fn confirm_as(&self, (name, held): &(Name, Held), now: Timestamp) -> Result<()> {
        let listed = || self.repository.destination().list(Folder::Locks);
        let name = name.to_string();
        if held.age(now) < COUNTS && listed()?.iter().any(|(listed, _)| *listed == name) {
            return Ok(());
        }
        Err(BackupError::Lapsed { location: self.repository.location() })
    }

    pub(super) fn name(&self) -> Name {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let name = self.name();
        held_here().remove(&name);
        if let Err(error) = self.repository.destination().remove(Folder::Locks, &name.to_string()) {
            tracing::warn!(target: "mirrordna::backup", %error, "a lock stays until it is too old to count");
        }
    }
}

/// The locks that count. Those that cannot be read count for nothing; a verification names them.
pub(super) fn held_locks(repository: &Repository) -> Result<Vec<(Name, Held)>> {
    let now = repository.now();
    let mut locks = repository.load(Folder::Locks, Kind::Lock, Held::decode)?.items;
    locks.retain(|(name, held)| held.counts(name, now));
    Ok(locks)
}

/// Removes the locks that do not count any more.
pub(super) fn remove_old_locks(repository: &Repository) -> Result<()> {
    let now = repository.now();
    for (name, held) in repository.load(Folder::Locks, Kind::Lock, Held::decode)?.items {
        if !held.counts(&name, now) {
            repository.destination().remove(Folder::Locks, &name.to_string())?;
        }
    }
    Ok(())
}

/// What is wrong with locks that cannot be read.
pub(super) fn faults(repository: &Repository) -> Result<Vec<super::repository::Fault>> {
    Ok(repository.load(Folder::Locks, Kind::Lock, Held::decode)?.faults)
}
