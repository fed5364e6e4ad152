//! `README.txt`, and what the vault says about itself in `.vault`.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use crate::record::json::{self, Charset, Layout};
use crate::record::{Checksum, Kind, Timestamp, Value, object};
use crate::storage::{Event, LogEntry, Sequence};
use crate::vault::{LOG_PAGE, Result, Vault};

use super::content::{Content, Spool};
use super::spooling;

const README: &str = include_str!("README.txt");

fn small(bytes: Vec<u8>, time: Timestamp) -> Content {
    let sha256 = Checksum::of(&bytes);
    Content::of(bytes, sha256, time)
}

/// `README.txt`
pub(super) fn readme(time: Timestamp) -> Content {
    small(README.as_bytes().to_vec(), time)
}

/// `.vault/root`: the Merkle root over the log.
pub(super) fn merkle_root(vault: &Vault) -> Content {
    let state = vault.state();
    small(format!("{}\n", state.root).into_bytes(), state.time)
}

/// `.vault/health.json`: where the log stands, and whether something went wrong. Depends on nothing but these two, so
/// that it is the same for the same state.
pub(super) fn health(vault: &Vault, last_error: Option<&LastError>) -> Content {
    let state = vault.state();
    let report = object([
        ("status", if last_error.is_some() { "warning" } else { "ok" }.into()),
        ("vault_id", vault.id().into()),
        ("sequence", state.sequence.into()),
        ("root", state.root.to_string().into()),
        ("epoch", state.epoch.into()),
        ("newest_entry", state.time.to_string().into()),
        ("last_error", last_error.map(|error| error.text.as_str()).into()),
    ]);
    let mut bytes = json::to_vec(&report, Layout::Pretty, Charset::Unicode);
    bytes.push(b'\n');
    small(bytes, last_error.map_or(state.time, |error| error.time.max(state.time)))
}

/// The error that a user of the tree ran into last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LastError {
    pub(super) text: String,
    pub(super) time: Timestamp,
}

impl LastError {
    /// `.vault/last-error`
    pub(super) fn content(&self) -> Content {
        small(format!("{} {}\n", self.time, self.text).into_bytes(), self.time)
    }
}

/// `.vault/log.jsonl`. The log only grows, so the file is never made again, only carried on.
#[derive(Default)]
pub(super) struct LogFile(Mutex<(Spool, Sequence)>);

impl LogFile {
    /// The log as it stands now, one entry a line.
    pub(super) fn content(&self, vault: &Vault) -> Result<Content> {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (spool, upto) = &mut *file;
        let state = vault.state();
        while *upto < state.sequence {
            let left = usize::try_from(state.sequence - *upto).unwrap_or(LOG_PAGE);
            let page = vault.log(*upto + 1, left.min(LOG_PAGE))?;
            let Some(last) = page.last().map(|entry| entry.sequence) else { break };
            let mut lines = Vec::with_capacity(page.len() * 256);
            for entry in &page {
                json::write(&mut lines, &line(entry), Layout::Compact, Charset::Unicode).map_err(spooling)?;
                lines.push(b'\n');
            }
            spool.write_all(&lines).map_err(spooling)?;
            *upto = last;
        }
        spool.content(state.time).map_err(spooling)
    }
}

fn line(entry: &LogEntry) -> Value {
    let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    object([
        ("sequence", entry.sequence.into()),
        ("time", entry.time.to_string().into()),
        ("operation", entry.operation.name().into()),
        ("origin", entry.origin.name().into()),
        ("event", entry.event.map(Event::name).into()),
        ("collection", entry.kind.map(Kind::collection).into()),
        ("id", filled(&entry.id).into()),
        ("session", filled(&entry.session).into()),
        ("agent", filled(&entry.agent).into()),
        ("actor", entry.actor.as_str().into()),
        ("commitment", entry.commitment.map(|commitment| commitment.to_string()).into()),
        ("end_of_commit", entry.end_of_commit.into()),
        ("detail", filled(&entry.detail).into()),
    ])
}
