//! Snapshots: pins on a sequence of the log.
//!
//! A pin costs the same in a vault of ten records and of ten million. The file that the protocol knows as a snapshot is
//! rendered from the pin and the versions at its sequence: always the same bytes, since neither ever changes.

use std::sync::Arc;

use crate::record::document::{SnapshotContent, SnapshotFile};
use crate::record::{Checksum, Kind, Map, Timestamp, Value, id, object};
use crate::storage::{Durability, Expect, Sequence};

use super::view::all_heads;
use super::{Error, Filter, Record, Result, Tier, Vault, View};

/// The version of the protocol that snapshot files name.
const VERSION: &str = "1.0.0";

/// The snapshots of a vault.
pub struct Snapshots<'a>(pub(super) &'a Vault);

/// A snapshot to be taken.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewSnapshot {
    /// Its id; when missing, one is made.
    pub id: Option<String>,
    /// Its file embeds the records.
    pub full: bool,
    /// `metadata`: an object, or nothing.
    pub metadata: Option<Value>,
}

/// A snapshot: what it pins.
#[derive(Clone, Debug, PartialEq)]
pub struct Pin {
    /// Its id.
    pub id: String,
    /// When it was taken.
    pub timestamp: Timestamp,
    /// The sequence that it pins.
    pub sequence: Sequence,
    /// Merkle root over the log up to there.
    pub root: Checksum,
    /// Its file embeds the records.
    pub full: bool,
    /// What was said with it.
    pub metadata: Option<Value>,
}

/// How a record differs between two snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DifferenceKind {
    /// Only the second one has it.
    Added,
    /// Only the first one has it.
    Removed,
    /// Both have it, with different content.
    Changed,
}

/// A record that differs between two snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// How it differs.
    pub difference: DifferenceKind,
    /// Which kind of record.
    pub kind: Kind,
    /// Its id.
    pub id: String,
}

/// What a restore did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The sequence that the present was brought to.
    pub sequence: Sequence,
    /// Records put back as they were.
    pub put: u64,
    /// Records deleted that were not there.
    pub deleted: u64,
}

impl Pin {
    fn read(record: &Record) -> Result<Self> {
        let read = || {
            Some(Self {
                id: record.id.clone(),
                timestamp: Timestamp::parse(record.value.str_at("timestamp")?)?,
                sequence: record.value.get("sequence")?.as_i64()?.try_into().ok()?,
                root: Checksum::parse(record.value.str_at("root")?)?,
                full: record.value.get("full").and_then(Value::as_bool).unwrap_or(false),
                metadata: record.value.get("metadata").filter(|metadata| !metadata.is_null()).cloned(),
            })
        };
        read().ok_or_else(|| Error::State {
            kind: Kind::Snapshot,
            id: record.id.clone(),
            reason: "what it pins cannot be read".to_owned(),
        })
    }
}

impl Snapshots<'_> {
    /// Takes a snapshot of the vault as it is now. It is durable, and so is all that it pins, when this returns.
    ///
    /// # Errors
    /// [`crate::storage::StorageError::Exists`] for an id that is taken, [`crate::record::RecordError`] for one that
    /// cannot be an id, those of the storage.
    pub fn create(&self, new: NewSnapshot) -> Result<Pin> {
        let vault = self.0.with_durability(Durability::Sync);
        let now = vault.now();
        let snapshot_id = match new.id {
            Some(id) => id,
            None => id::snapshot(vault.ids(), now)?,
        };
        vault.audited("snapshot", Kind::Snapshot, &snapshot_id, || {
            vault.storage().settle()?;
            let (state, _held) = vault.settled()?;
            let mut record = Map::new();
            record.insert("snapshot_id".into(), snapshot_id.as_str().into());
            record.insert("timestamp".into(), now.to_string().into());
            record.insert("version".into(), VERSION.into());
            record.insert("sequence".into(), state.sequence.into());
            record.insert("tree_size".into(), state.sequence.into());
            record.insert("root".into(), state.root.to_string().into());
            record.insert("full".into(), new.full.into());
            if let Some(metadata) = new.metadata {
                record.insert("metadata".into(), metadata);
            }
            Pin::read(&vault.store(Kind::Snapshot, record.into(), None, Expect::Absent, None)?)
        })
    }

    /// All snapshots, oldest first.
    ///
    /// # Errors
    /// Those of the storage.
    pub fn list(&self) -> Result<Vec<Pin>> {
        self.0.list(Kind::Snapshot, &Filter::default())?.map(|record| Pin::read(&record?)).collect()
    }

    /// A snapshot.
    ///
    /// # Errors
    /// [`crate::storage::StorageError::NotFound`], and those of the storage.
    pub fn get(&self, snapshot_id: &str) -> Result<Pin> {
        Pin::read(&self.0.get(Kind::Snapshot, snapshot_id)?)
    }

    /// The vault as it was.
    ///
    /// # Errors
    /// As [`Snapshots::get`].
    pub fn view(&self, snapshot_id: &str) -> Result<View> {
        self.0.at(self.get(snapshot_id)?.sequence)
    }

    /// Deletes a snapshot. What only it needed stays until the next prune.
    ///
    /// # Errors
    /// As [`Vault::delete`].
    pub fn delete(&self, snapshot_id: &str) -> Result<()> {
        self.0.delete(Kind::Snapshot, snapshot_id).map(|_| ())
    }

    /// The file of a snapshot, in the form that the protocol's other implementations load.
    ///
    /// # Errors
    /// As [`Snapshots::get`].
    pub fn file(&self, snapshot_id: &str) -> Result<SnapshotFile> {
        let pin = self.get(snapshot_id)?;
        let view = self.0.at(pin.sequence)?;
        let timeline_summary = self.0.timeline().summary(self.0.id(), Some(&view))?;
        Ok(SnapshotFile::new(SnapshotContent {
            snapshot_id: pin.id.clone(),
            timestamp: pin.timestamp,
            version: VERSION.to_owned(),
            identity_state: identity_state(&view)?,
            continuity_state: continuity_state(&view, pin.full)?,
            vault_state: vault_state(&view, &pin, self.0.id())?,
            timeline_summary,
            metadata: pin.metadata.into(),
        }))
    }

    /// The records that differ between two sequences, by kind and id.
    ///
    /// # Errors
    /// Those of the storage.
    pub fn diff(&self, first: &View, second: &View) -> impl Iterator<Item = Result<Difference>> + use<> {
        let views = Arc::new((first.clone(), second.clone()));
        // Deleted heads matter too, so this walks the storage's heads and not a view's.
        Kind::ALL.into_iter().filter(|kind| *kind != Kind::Snapshot).flat_map(move |kind| {
            let views = Arc::clone(&views);
            all_heads(views.0.vault(), kind).filter_map(move |head| {
                let (first, second) = &*views;
                let compare = |id: String| -> Result<Option<Difference>> {
                    let difference = match (first.version(kind, &id)?, second.version(kind, &id)?) {
                        (None, Some(_)) => DifferenceKind::Added,
                        (Some(_), None) => DifferenceKind::Removed,
                        (Some(a), Some(b)) if a.checksum != b.checksum => DifferenceKind::Changed,
                        _ => return Ok(None),
                    };
                    Ok(Some(Difference { difference, kind, id }))
                };
                head.and_then(|(id, _)| compare(id)).transpose()
            })
        })
    }

    /// Brings the present to a snapshot, by new changes on the log: nothing of the history is lost.
    ///
    /// # Errors
    /// As [`Snapshots::get`]. After a crash the next opening finishes the work.
    pub fn restore(&self, snapshot_id: &str) -> Result<Restored> {
        self.restore_with(snapshot_id, &mut |_, _| {})
    }

    /// As [`Snapshots::restore`]; `progress` is told how many records of how many are done.
    ///
    /// # Errors
    /// As [`Snapshots::restore`].
    pub fn restore_with(&self, snapshot_id: &str, progress: &mut dyn FnMut(u64, u64)) -> Result<Restored> {
        self.0.audited("restore", Kind::Snapshot, snapshot_id, || {
            let pin = self.get(snapshot_id)?;
            let (put, deleted) = self.0.restore_to(pin.sequence, &format!("restored to {snapshot_id}"), progress)?;
            Ok(Restored { sequence: pin.sequence, put, deleted })
        })
    }
}

/// A record under its id, with its checksum.
fn with_checksums(view: &View, kind: Kind) -> Result<Value> {
    let mut map = Map::new();
    for record in view.records(kind) {
        let record = record?;
        let value = object([("record", record.value), ("checksum", record.checksum.to_string().into())]);
        map.insert(record.id, value);
    }
    Ok(map.into())
}

fn identity_state(view: &View) -> Result<Value> {
    Ok(object([
        ("identities", with_checksums(view, Kind::Identity)?),
        ("agent_dna", with_checksums(view, Kind::AgentDna)?),
    ]))
}

fn continuity_state(view: &View, full: bool) -> Result<Value> {
    let (mut open, mut all) = (Map::new(), Map::new());
    let (mut open_count, mut ended_count) = (0_u64, 0_u64);
    // One checksum over the ended sessions: of the checksums of their records, in order of the id.
    let mut ended_checksums = String::new();
    for record in view.records(Kind::Session) {
        let record = record?;
        if record.value.str_at("ended_at").is_some() {
            ended_count += 1;
            ended_checksums.push_str(&record.checksum.to_string());
            if full {
                all.insert(record.id, record.value);
            }
        } else {
            open_count += 1;
            if full {
                all.insert(record.id.clone(), record.value.clone());
            }
            open.insert(record.id, record.value);
        }
    }
    let mut state = Map::new();
    state.insert("session_count".into(), (open_count + ended_count).into());
    state.insert("open_count".into(), open_count.into());
    state.insert("ended_count".into(), ended_count.into());
    state.insert("ended_checksum".into(), Checksum::of(ended_checksums.as_bytes()).to_string().into());
    state.insert("open_sessions".into(), open.into());
    if full {
        state.insert("sessions".into(), all.into());
    }
    Ok(state.into())
}

fn vault_state(view: &View, pin: &Pin, vault_id: &str) -> Result<Value> {
    let mut counts = Map::new();
    let mut tiers: Map = Tier::ALL.map(|tier| (tier.name().to_owned(), 0_u64.into())).into();
    let mut records = Map::new();
    for kind in Kind::ALL {
        let mut count = 0_u64;
        if kind == Kind::Memory || pin.full {
            let mut embedded = Map::new();
            for record in view.records(kind) {
                let record = record?;
                count += 1;
                if kind == Kind::Memory
                    && let Some(tier) = record.value.str_at("tier").and_then(|tier| tiers.get_mut(tier))
                {
                    *tier = (tier.as_i64().unwrap_or(0) + 1).into();
                }
                if pin.full {
                    embedded.insert(record.id, record.value);
                }
            }
            records.insert(kind.collection().to_owned(), embedded.into());
        } else {
            for head in view.iter(kind) {
                head?;
                count += 1;
            }
        }
        counts.insert(kind.collection().to_owned(), count.into());
    }
    let mut state = Map::new();
    state.insert("vault_id".into(), vault_id.into());
    state.insert("collections".into(), counts.into());
    state.insert("memory_tiers".into(), tiers.into());
    state.insert("sequence".into(), pin.sequence.into());
    state.insert("tree_size".into(), pin.sequence.into());
    state.insert("root".into(), pin.root.to_string().into());
    if pin.full {
        state.insert("records".into(), records.into());
    }
    Ok(state.into())
}
