//! When each collection changed last, read from the log as it grows, so that what was made from a collection is made again
//! only when it must be.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::record::{Kind, Timestamp};
use crate::storage::{LogEntry, LogState, Operation, Sequence};
use crate::vault::{LOG_PAGE, Result, Vault};

/// When more entries than this came at once, everything counts as changed, rather than reading them all.
const CATCH_UP: u64 = 65_536;

/// A point in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) sequence: Sequence,
    pub(super) time: Timestamp,
}

/// When a collection changed.
#[derive(Clone, Copy, Debug, Default)]
struct Collection {
    /// Any of its records.
    content: Stamp,
    /// Which records there are, or in which directory they lie.
    entries: Stamp,
}

#[derive(Default)]
struct Seen {
    upto: Stamp,
    /// For what is not below: where reading began.
    floor: Stamp,
    kinds: HashMap<Kind, Collection>,
    /// The last event that the log tells of each day, by the day's beginning.
    days: HashMap<Timestamp, Stamp>,
}

/// When each collection changed last.
pub(super) struct Stamps(Mutex<Seen>);

impl Stamps {
    pub(super) fn new(vault: &Vault) -> Self {
        Self(Mutex::new(Seen::beginning(stamp(&vault.state()))))
    }

    /// When the log grew last.
    pub(super) fn newest(&self, vault: &Vault) -> Result<Stamp> {
        self.with(vault, |seen| seen.upto)
    }

    /// When any record of a kind changed last.
    pub(super) fn content(&self, vault: &Vault, kind: Kind) -> Result<Stamp> {
        self.with(vault, |seen| seen.kinds.get(&kind).map_or(seen.floor, |stamps| stamps.content))
    }

    /// When a record of a kind came, went or moved last.
    pub(super) fn entries(&self, vault: &Vault, kind: Kind) -> Result<Stamp> {
        self.with(vault, |seen| seen.kinds.get(&kind).map_or(seen.floor, |stamps| stamps.entries))
    }

    /// When the events of a day changed last.
    pub(super) fn day(&self, vault: &Vault, day: Timestamp) -> Result<Stamp> {
        self.with(vault, |seen| {
            let appended = seen.kinds.get(&Kind::Event).map_or(seen.floor, |stamps| stamps.content);
            let told = seen.days.get(&day).copied().unwrap_or(seen.floor);
            if told.sequence > appended.sequence { told } else { appended }
        })
    }

    /// When the log told of an event last, or an appended one changed.
    pub(super) fn events(&self, vault: &Vault) -> Result<Stamp> {
        self.with(vault, |seen| {
            let appended = seen.kinds.get(&Kind::Event).map_or(seen.floor, |stamps| stamps.content);
            let told = seen.days.values().copied().max_by_key(|stamp| stamp.sequence).unwrap_or(seen.floor);
            if told.sequence > appended.sequence { told } else { appended }
        })
    }

    fn with<T>(&self, vault: &Vault, look: impl FnOnce(&Seen) -> T) -> Result<T> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.catch_up(vault)?;
        Ok(look(&seen))
    }
}

fn stamp(state: &LogState) -> Stamp {
    Stamp { sequence: state.sequence, time: state.time }
}

impl Seen {
    fn beginning(at: Stamp) -> Self {
        Self { upto: at, floor: at, ..Self::default() }
    }

    fn catch_up(&mut self, vault: &Vault) -> Result<()> {
        let newest = stamp(&vault.state_now()?);
        if newest.sequence.saturating_sub(self.upto.sequence) > CATCH_UP {
            *self = Self::beginning(newest);
            return Ok(());
        }
        while self.upto.sequence < newest.sequence {
            let page = vault.log(self.upto.sequence + 1, LOG_PAGE)?;
            if page.is_empty() {
                break;
            }
            for entry in &page {
                self.see(entry);
            }
        }
        Ok(())
    }

    fn see(&mut self, entry: &LogEntry) {
        let stamp = Stamp { sequence: entry.sequence, time: entry.time };
        self.upto = stamp;
        let Some(kind) = entry.kind else { return };
        if entry.event.is_some() {
            self.days.insert(entry.time.start_of_day(), stamp);
        }
        let floor = self.floor;
        let stamps = self.kinds.entry(kind).or_insert(Collection { content: floor, entries: floor });
        stamps.content = stamp;
        // The log does not say whether an update moved a memory to another tier.
        if entry.operation != Operation::Update || kind == Kind::Memory {
            stamps.entries = stamp;
        }
    }
}
