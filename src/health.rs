//! Whether a vault is well: quick checks that anyone may run at any time, for `mirrordna health` and for the tree's
//! `.vault/health.json`. What is stored is proven by `verify`.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::record::{Timestamp, Value, object};
use crate::storage::NOW;
use crate::vault::{Error, Vault, VaultOptions};

/// Log entries, from the newest back, whose records are read.
const SAMPLE: usize = 64;
/// No more is read once the records that were read have this many bytes: 4 MiB.
const SAMPLE_BYTES: usize = 4 << 20;
/// Free space below which a vault is in want of it: 256 MiB.
const LOW_SPACE: u64 = 256 << 20;
/// How far ahead of the clock the newest entry may be, in microseconds: one minute.
const CLOCK_SLACK: i64 = 60_000_000;

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// As it should be.
    Ok,
    /// It works, and somebody should look at it.
    Warning,
    /// It does not work.
    Failed,
}

impl Status {
    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// How it went.
    pub status: Status,
    /// What was found, and what to do about it.
    pub detail: String,
}

/// All checks, and what kept the vault from being opened.
#[derive(Debug, Default)]
pub struct Health {
    /// In the order in which they were made.
    pub checks: Vec<Check>,
    /// The first error that a check ran into.
    pub error: Option<Error>,
}

impl Health {
    /// The worst of all checks.
    #[must_use]
    pub fn status(&self) -> Status {
        self.checks.iter().map(|check| check.status).max().unwrap_or(Status::Ok)
    }

    /// The report as JSON.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let check = |check: &Check| {
            object([
                ("name", check.name.into()),
                ("status", check.status.name().into()),
                ("detail", check.detail.as_str().into()),
            ])
        };
        object([("status", self.status().name().into()), ("checks", self.checks.iter().map(check).collect())])
    }

    /// Adds a check.
    pub fn add(&mut self, name: &'static str, status: Status, detail: impl Into<String>) {
        self.checks.push(Check { name, status, detail: detail.into() });
    }

    fn failed(&mut self, name: &'static str, error: impl Into<Error>) {
        let error = error.into();
        self.add(name, Status::Failed, error.to_string());
        self.error.get_or_insert(error);
    }
}

/// Checks the vault in a directory: that it opens, who may read it, the space that is left, and what [`check_vault`] looks
/// at. Never fails: what goes wrong is in the report.
#[must_use]
pub fn check(dir: &Path, options: &VaultOptions) -> Health {
    let mut health = Health::default();
    match Vault::open(dir, options) {
        Ok(vault) => {
            health.add("open", Status::Ok, format!("{} holds {}", dir.display(), vault.id()));
            check_access(dir, &mut health);
            check_space(dir, &mut health);
            check_vault(&vault, &mut health);
        }
        Err(error) => health.failed("open", error),
    }
    health
}

/// Checks an open vault: how far its log is durable, that the clock is not behind it, that the records changed last can be
/// read, and that no work was left half done. It costs the same in a vault of any size.
pub fn check_vault(vault: &Vault, health: &mut Health) {
    check_log(vault, health);
    check_records(vault, health);
    match vault.storage().intent() {
        Ok(None) => health.add("unfinished work", Status::Ok, "none"),
        Ok(Some(intent)) => {
            health.add("unfinished work", Status::Warning, format!("{intent:?}; open the vault again to finish it"));
        }
        Err(error) => health.failed("unfinished work", error),
    }
}

fn check_access(dir: &Path, health: &mut Health) {
    const NAME: &str = "access";
    match dir.metadata() {
        Ok(found) if found.mode() & 0o077 != 0 => {
            let (mode, dir) = (found.mode() & 0o777, dir.display());
            health.add(NAME, Status::Warning, format!("others may look into it (mode {mode:03o}): chmod 700 {dir}"));
        }
        Ok(_) => health.add(NAME, Status::Ok, "only its owner may look into it"),
        Err(source) => health.failed(NAME, Error::Io { path: dir.to_owned(), source }),
    }
}

fn check_space(dir: &Path, health: &mut Health) {
    const NAME: &str = "space";
    match rustix::fs::statvfs(dir) {
        Ok(found) => {
            let free = found.f_bavail.saturating_mul(found.f_frsize);
            let status = if free < LOW_SPACE { Status::Warning } else { Status::Ok };
            health.add(NAME, status, format!("{} MiB free", free >> 20));
        }
        Err(error) => health.failed(NAME, Error::Io { path: dir.to_owned(), source: error.into() }),
    }
}

fn check_log(vault: &Vault, health: &mut Health) {
    let state = match vault.state_now() {
        Ok(state) => state,
        Err(error) => return health.failed("log", error),
    };
    let durable = match state.sequence.saturating_sub(state.durable) {
        0 => "all durable".to_owned(),
        waiting => format!("the last {waiting} not durable yet"),
    };
    health.add("log", Status::Ok, format!("{} entries, {durable}", state.sequence));
    let ahead = state.time.as_micros().saturating_sub(vault.now().as_micros());
    if ahead > CLOCK_SLACK && state.time != Timestamp::default() {
        let detail = format!("the newest entry is of {}, which is yet to come: set the clock", state.time);
        health.add("clock", Status::Warning, detail);
    } else {
        health.add("clock", Status::Ok, "not behind the log");
    }
}

fn check_records(vault: &Vault, health: &mut Health) {
    const NAME: &str = "records";
    let read = || -> Result<u64, Error> {
        let from = vault.state_now()?.sequence.saturating_sub(SAMPLE as u64) + 1;
        let (mut read, mut bytes) = (0, 0);
        for entry in vault.log(from, SAMPLE)?.iter().rev() {
            let Some(kind) = entry.kind else { continue };
            if bytes >= SAMPLE_BYTES {
                break;
            }
            bytes += vault.storage().version(kind, &entry.id, NOW)?.map_or(0, |version| version.json.len());
            read += 1;
        }
        Ok(read)
    };
    match read() {
        Ok(read) => health.add(NAME, Status::Ok, format!("the {read} changed last can be read")),
        Err(error) => health.failed(NAME, error),
    }
}
