//! `README.txt`, and what the vault says about itself in `.vault`.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use crate::health::{self, Health, Status};
use crate::record::json::{self, Charset, Layout};
use crate::record::{Checksum, Timestamp};
use crate::storage::{Intent, LogState, Sequence};
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
pub(super) fn merkle_root(vault: &Vault) -> Result<Content> {
    let state = vault.state_now()?;
    Ok(small(format!("{}\n", state.root).into_bytes(), state.time))
}

/// `.vault/health.json`: the checks of an open vault, where its log stands, and what went wrong last. They are made anew
/// when one of these has changed, so that the file is the same for the same state, and looking at it again costs nothing.
#[derive(Default)]
pub(super) struct HealthFile(Mutex<Option<(HealthState, Content)>>);

/// What the checks were made for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct HealthState {
    log: LogState,
    /// Or why it cannot be read.
    intent: std::result::Result<Option<Intent>, String>,
    last_error: Option<LastError>,
}

impl HealthFile {
    pub(super) fn content(&self, vault: &Vault, last_error: Option<LastError>) -> Content {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let state = HealthState {
            log: vault.state(),
            intent: vault.storage().intent().map_err(|error| error.to_string()),
            last_error,
        };
        match &*made {
            Some((known, content)) if *known == state => content.clone(),
            _ => {
                let content = state.check(vault);
                *made = Some((state, content.clone()));
                content
            }
        }
    }
}

impl HealthState {
    fn check(&self, vault: &Vault) -> Content {
        let mut health = Health::default();
        health::check_vault(vault, &mut health);
        if let Some(error) = &self.last_error {
            health.add("last error", Status::Warning, error.text.as_str());
        }
        let mut report = health.to_value();
        if let Some(report) = report.as_object_mut() {
            let LogState { sequence, root, epoch, time, .. } = self.log;
            report.insert("vault_id".into(), vault.id().into());
            report.insert("sequence".into(), sequence.into());
            report.insert("root".into(), root.to_string().into());
            report.insert("epoch".into(), epoch.into());
            report.insert("newest_entry".into(), time.to_string().into());
        }
        let mut bytes = json::to_vec(&report, Layout::Pretty, Charset::Unicode);
        bytes.push(b'\n');
        small(bytes, self.last_error.as_ref().map_or(self.log.time, |error| error.time.max(self.log.time)))
    }
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
        let state = vault.state_now()?;
        while *upto < state.sequence {
            let left = usize::try_from(state.sequence - *upto).unwrap_or(LOG_PAGE);
            let page = vault.log(*upto + 1, left.min(LOG_PAGE))?;
            let Some(last) = page.last().map(|entry| entry.sequence) else { break };
            let mut lines = Vec::with_capacity(page.len() * 256);
            for entry in &page {
                json::write(&mut lines, &entry.to_value(), Layout::Compact, Charset::Unicode).map_err(spooling)?;
                lines.push(b'\n');
            }
            spool.write_all(&lines).map_err(spooling)?;
            *upto = last;
        }
        spool.content(state.time).map_err(spooling)
    }
}
