//! What a backup says of itself, and the small files beside it: notes of deletions and marks of packs.

use std::collections::{BTreeSet, HashSet};

use crate::record::{Checksum, Timestamp, Value, checksum, json, object};
use crate::storage::Sequence;

use super::keys::Name;

/// Of a manifest. 1 is that of the day when sums of chunks were SHA-256 alone.
const FORMAT: u64 = 2;
/// Deletions that notes remember; who looks for an older backup is not told that it was deleted.
const REMEMBERED: usize = 1_000;

/// The blobs of a stream, or lists of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stream {
    pub(super) bytes: u64,
    /// How many levels of lists lie between `blobs` and the data.
    pub(super) levels: u8,
    /// Name of each blob, and the length of its content.
    pub(super) blobs: Vec<(Name, u32)>,
}

/// The streams of a backup. `docs/backup-format.md` says what is in each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Streams {
    pub(super) chunks: Stream,
    pub(super) content: Stream,
    pub(super) slots: Stream,
    pub(super) log: Stream,
}

impl Streams {
    pub(super) fn all(&self) -> [&Stream; 4] {
        [&self.chunks, &self.content, &self.slots, &self.log]
    }
}

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) generation: u64,
    /// The backups that were there and were no parents of others: usually the one before.
    pub(super) parents: Vec<Name>,
    pub(super) label: String,
    pub(super) created: Timestamp,
    pub(super) program: String,
    pub(super) vault_id: String,
    pub(super) sequence: Sequence,
    pub(super) root: Checksum,
    /// The time of the newest entry.
    pub(super) time: Timestamp,
    pub(super) epoch: u64,
    pub(super) horizon: Sequence,
    /// How many chunks there are.
    pub(super) chunks: u64,
    pub(super) streams: Streams,
}

impl Stream {
    fn to_value(&self) -> Value {
        let blob = |(name, len): &(Name, u32)| -> Value {
            [Value::from(name.to_string()), u64::from(*len).into()].into_iter().collect()
        };
        object([
            ("bytes", self.bytes.into()),
            ("levels", u64::from(self.levels).into()),
            ("blobs", self.blobs.iter().map(blob).collect()),
        ])
    }

    fn from_value(value: &Value) -> Option<Self> {
        let blob = |blob: &Value| {
            let (name, len) = (array(blob)?.first()?, array(blob)?.get(1)?);
            Some((Name::parse(name.as_str()?)?, u32::try_from(len.as_i64()?).ok()?))
        };
        Some(Self {
            bytes: number(value, "bytes")?,
            levels: u8::try_from(number(value, "levels")?).ok()?,
            blobs: array(value.get("blobs")?)?.iter().map(blob).collect::<Option<_>>()?,
        })
    }
}

impl Manifest {
    pub(super) fn encode(&self) -> Vec<u8> {
        let streams = &self.streams;
        checksum::canonical(&object([
            ("format", FORMAT.into()),
            ("generation", self.generation.into()),
            ("parents", self.parents.iter().map(|name| Value::from(name.to_string())).collect()),
            ("label", self.label.as_str().into()),
            ("created", self.created.to_string().into()),
            ("program", self.program.as_str().into()),
            ("vault_id", self.vault_id.as_str().into()),
            ("sequence", self.sequence.into()),
            ("root", self.root.to_string().into()),
            ("time", self.time.to_string().into()),
            ("epoch", self.epoch.into()),
            ("horizon", self.horizon.into()),
            ("chunks", self.chunks.into()),
            (
                "streams",
                object([
                    ("chunks", streams.chunks.to_value()),
                    ("content", streams.content.to_value()),
                    ("slots", streams.slots.to_value()),
                    ("log", streams.log.to_value()),
                ]),
            ),
        ]))
    }

    /// Reads one. None when it is of a form that is not known.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let value = json::parse(bytes).ok()?;
        (1..=FORMAT).contains(&number(&value, "format")?).then_some(())?;
        let text = |field: &str| Some(value.str_at(field)?.to_owned());
        let time = |field: &str| Timestamp::parse(value.str_at(field)?);
        let streams = value.get("streams")?;
        let stream = |field: &str| Stream::from_value(streams.get(field)?);
        Some(Self {
            generation: number(&value, "generation")?,
            parents: names(value.get("parents")?)?,
            label: text("label")?,
            created: time("created")?,
            program: text("program")?,
            vault_id: text("vault_id")?,
            sequence: number(&value, "sequence")?,
            root: Checksum::parse(value.str_at("root")?)?,
            time: time("time")?,
            epoch: number(&value, "epoch")?,
            horizon: number(&value, "horizon")?,
            chunks: number(&value, "chunks")?,
            streams: Streams {
                chunks: stream("chunks")?,
                content: stream("content")?,
                slots: stream("slots")?,
                log: stream("log")?,
            },
        })
    }
}

/// That backups were deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) generation: u64,
    /// The newest last.
    pub(super) deleted: Vec<Name>,
}

impl Note {
    /// Puts the names of an older note before its own.
    pub(super) fn follow(&mut self, older: &Self) {
        let mut deleted: Vec<Name> = older.deleted.clone();
        deleted.retain(|name| !self.deleted.contains(name));
        deleted.append(&mut self.deleted);
        self.deleted = deleted;
    }

    /// Forgets deletions of long ago that nobody asks for.
    pub(super) fn forget(&mut self, asked: impl Fn(&Name) -> bool) {
        let old = self.deleted.len().saturating_sub(REMEMBERED);
        let mut n = 0;
        self.deleted.retain(|name| {
            n += 1;
            n > old || asked(name)
        });
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let deleted = self.deleted.iter().map(|name| Value::from(name.to_string())).collect();
        checksum::canonical(&object([("generation", self.generation.into()), ("deleted", deleted)]))
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let value = json::parse(bytes).ok()?;
        Some(Self { generation: number(&value, "generation")?, deleted: names(value.get("deleted")?)? })
    }
}

/// Packs that a prune is about to remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) time: Timestamp,
    pub(super) packs: Vec<Name>,
}

impl Mark {
    pub(super) fn encode(&self) -> Vec<u8> {
        let packs = self.packs.iter().map(|name| Value::from(name.to_string())).collect();
        checksum::canonical(&object([("time", self.time.to_string().into()), ("packs", packs)]))
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let value = json::parse(bytes).ok()?;
        Some(Self { time: Timestamp::parse(value.str_at("time")?)?, packs: names(value.get("packs")?)? })
    }
}

/// Backups that others have for parents, that are gone, and that nobody deleted.
pub(super) fn lost(backups: &[(Name, Manifest)], notes: &[(Name, Note)]) -> Vec<Name> {
    let mut known: HashSet<Name> = backups.iter().map(|(name, _)| *name).collect();
    known.extend(notes.iter().flat_map(|(_, note)| note.deleted.iter().copied()));
    let parents: BTreeSet<Name> = backups.iter().flat_map(|(_, manifest)| manifest.parents.iter().copied()).collect();
    parents.into_iter().filter(|parent| !known.contains(parent)).collect()
}

/// The backups that are no parents of others.
pub(super) fn tips(backups: &[(Name, Manifest)]) -> Vec<Name> {
    let parents: HashSet<Name> = backups.iter().flat_map(|(_, manifest)| manifest.parents.iter().copied()).collect();
    backups.iter().map(|(name, _)| *name).filter(|name| !parents.contains(name)).collect()
}

fn array(value: &Value) -> Option<&[Value]> {
    match value {
        Value::Array(items) => Some(items),
        _ => None,
    }
}

fn number(value: &Value, field: &str) -> Option<u64> {
    value.get(field)?.as_i64()?.try_into().ok()
}

fn names(value: &Value) -> Option<Vec<Name>> {
    array(value)?.iter().map(|name| Name::parse(name.as_str()?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_notes_and_marks_come_back_as_they_were() {
        let stream = Stream { bytes: 9, levels: 1, blobs: vec![(Name([7; 32]), 9)] };
        let manifest = Manifest {
            generation: 3,
            parents: vec![Name([6; 32])],
            label: "nightly".into(),
            created: Timestamp::from_micros(5),
            program: "mirrordna 0".into(),
            vault_id: "vault_1".into(),
            sequence: 8,
            root: Checksum([1; 32]),
            time: Timestamp::from_micros(4),
            epoch: 1,
            horizon: 2,
            chunks: 0,
            streams: Streams { log: stream, ..Streams::default() },
        };
        assert_eq!(Manifest::decode(&manifest.encode()), Some(manifest));
        let mut note = Note { generation: 2, deleted: vec![Name([2; 32])] };
        note.follow(&Note { generation: 1, deleted: vec![Name([1; 32]), Name([2; 32])] });
        assert_eq!(note.deleted, [Name([1; 32]), Name([2; 32])]);
        assert_eq!(Note::decode(&note.encode()), Some(note));
        let mark = Mark { time: Timestamp::from_micros(1), packs: vec![Name([3; 32])] };
        assert_eq!(Mark::decode(&mark.encode()), Some(mark));
    }
}
