//! What goes into a storage and what comes out of it.

use std::cmp::Ordering;
use std::ops::Range;

use crate::record::{Checksum, Kind, Timestamp};

use super::StorageError;
use super::artifacts::FileRows;

/// A position in the log. The first entry has sequence 1; 0 is the empty vault.
pub type Sequence = u64;

/// When a commit counts as done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Acknowledged means fsynced: it survives a power cut.
    #[default]
    Sync,
    /// It survives a crash of the process, but a power cut may take the last commits, always a whole tail of them.
    Buffered,
}

/// What an entry of the log records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Operation {
    /// A record that was not there.
    Create = 1,
    /// A new version of a record.
    Update = 2,
    /// A record was deleted; its history stays.
    Delete = 3,
    /// Versions were dropped; `detail` says up to which sequence.
    Prune = 4,
    /// A new epoch: the vault was not closed cleanly before, or was restored.
    Epoch = 5,
}

/// How a change came about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Origin {
    /// Somebody made it.
    #[default]
    Direct = 0,
    /// It was imported. Imported records project no timeline events.
    Import = 1,
    /// A restore brought it back.
    Restore = 2,
    /// An import that did not finish was undone.
    Rollback = 3,
}

/// The timeline events that appear by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Event {
    /// A session started.
    SessionStart = 1,
    /// A session ended.
    SessionEnd = 2,
    /// A memory was written.
    MemoryCreated = 3,
    /// A citation was put that was not there.
    CitationCreated = 4,
    /// A citation was changed.
    CitationUpdated = 5,
    /// A snapshot was taken.
    StateSnapshot = 6,
    /// A reflection was recorded.
    ReflectionRecorded = 7,
    /// The access to a memory was counted.
    MemoryAccessed = 8,
}

macro_rules! numbered {
    ($type:ident: $($variant:ident),+) => {
        impl $type {
            /// The value with this number in the log.
            #[must_use]
            pub fn from_number(number: u8) -> Option<Self> {
                [$(Self::$variant),+].into_iter().find(|value| *value as u8 == number)
            }
        }
    };
}

numbered!(Operation: Create, Update, Delete, Prune, Epoch);
numbered!(Origin: Direct, Import, Restore, Rollback);
numbered!(
    Event: SessionStart, SessionEnd, MemoryCreated, CitationCreated, CitationUpdated, StateSnapshot, ReflectionRecorded,
    MemoryAccessed
);

impl Operation {
    /// Its name in listings of the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Prune => "prune",
            Self::Epoch => "epoch",
        }
    }
}

impl Origin {
    /// Its name in listings of the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Import => "import",
            Self::Restore => "restore",
            Self::Rollback => "rollback",
        }
    }
}

impl Event {
    /// The event type in timelines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SessionStart => "session_start",
            Self::SessionEnd => "session_end",
            Self::MemoryCreated => "memory_created",
            Self::CitationCreated => "citation_created",
            Self::CitationUpdated => "citation_updated",
            Self::StateSnapshot => "state_snapshot",
            Self::ReflectionRecorded => "reflection_recorded",
            Self::MemoryAccessed => "memory_accessed",
        }
    }
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Its position.
    pub sequence: Sequence,
    /// When it was committed. Never before the entry before it.
    pub time: Timestamp,
    /// What it records.
    pub operation: Operation,
    /// How it came about.
    pub origin: Origin,
    /// The timeline event that it projects.
    pub event: Option<Event>,
    /// The last entry of its commit. A commit of several changes is never seen in part.
    pub end_of_commit: bool,
    /// The kind of record that was changed.
    pub kind: Option<Kind>,
    /// The id of the record; empty when no record was changed.
    pub id: String,
    /// The session that the record belongs to; empty when there is none.
    pub session: String,
    /// Who the record is by; empty when it does not say.
    pub agent: String,
    /// Who made the change.
    pub actor: String,
    /// SHA-256 of the version's salt and the record's checksum; none for deletions.
    pub commitment: Option<Checksum>,
    /// The idempotency token of the commit.
    pub token: Option<[u8; 16]>,
    /// What operations without a record have to say, as JSON.
    pub detail: String,
}

/// The file that the mount shows for a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordFile {
    /// Its length in bytes.
    pub len: u64,
    /// Its SHA-256.
    pub sha256: Checksum,
}

impl RecordFile {
    /// What stands in the place of a file for a deleted record.
    pub const NONE: Self = Self { len: 0, sha256: Checksum([0; 32]) };
}

/// A term under which a record is found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Term {
    /// Every record of the kind.
    All,
    /// A text.
    Text(String),
    /// A time.
    Time(Timestamp),
}

/// One version of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The log entry that brought it.
    pub sequence: Sequence,
    /// The log entry that created the record (again, after a deletion).
    pub birth: Sequence,
    /// When it was committed.
    pub time: Timestamp,
    /// The protocol checksum: SHA-256 of `json`.
    pub checksum: Checksum,
    /// The file that the mount shows.
    pub file: RecordFile,
    /// What makes the commitment in the log unguessable.
    pub salt: [u8; 16],
    /// The record breaks its schema and was imported all the same.
    pub lenient: bool,
    /// The record was deleted here.
    pub deleted: bool,
    /// The record is archived.
    pub archived: bool,
    /// The index and term of each index entry.
    pub terms: Vec<(u16, Term)>,
    /// The record's canonical JSON; empty for a deletion.
    pub json: Vec<u8>,
}

impl Version {
    /// The commitment that stands in the log: none for a deletion.
    #[must_use]
    pub fn commitment(&self) -> Option<Checksum> {
        (!self.deleted).then(|| Checksum::of_parts(&[&self.salt, &self.checksum.0]))
    }
}

/// The newest version of a record, in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The sequence of the newest version.
    pub sequence: Sequence,
    /// See [`Version::birth`].
    pub birth: Sequence,
    /// When the newest version was committed.
    pub time: Timestamp,
    /// The file that the mount shows.
    pub file: RecordFile,
    /// See [`Version::lenient`].
    pub lenient: bool,
    /// The record is deleted and has a history.
    pub deleted: bool,
    /// See [`Version::archived`].
    pub archived: bool,
}

impl From<&Version> for Head {
    fn from(version: &Version) -> Self {
        Self {
            sequence: version.sequence,
            birth: version.birth,
            time: version.time,
            file: version.file,
            lenient: version.lenient,
            deleted: version.deleted,
            archived: version.archived,
        }
    }
}

/// What an index says of a record that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    /// See [`Version::birth`]: the place of the record in order of the log.
    pub birth: Sequence,
    /// The record's own time.
    pub time: Timestamp,
    /// See [`Version::archived`].
    pub archived: bool,
    /// Its id.
    pub id: String,
}

/// What must be true of a record for a change to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Nothing.
    Any,
    /// It is not there.
    Absent,
    /// It is there.
    Present,
    /// Its newest version has this sequence.
    At(Sequence),
}

/// A record made ready to be stored: everything that can be computed without the storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// Canonical JSON.
    pub json: Vec<u8>,
    /// Its SHA-256.
    pub checksum: Checksum,
    /// The file that the mount shows.
    pub file: RecordFile,
    /// Index entries, without that of all records.
    pub terms: Vec<(u16, Term)>,
    /// The record's own time.
    pub time: Option<Timestamp>,
    /// Session for the log; may be empty.
    pub session: String,
    /// Agent for the log; may be empty.
    pub agent: String,
    /// The record is archived.
    pub archived: bool,
    /// The record breaks its schema.
    pub lenient: bool,
}

/// What is to be done with a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Store this as its newest version.
    Put(Box<Prepared>),
    /// Delete it.
    Delete,
}

/// One change of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which kind of record.
    pub kind: Kind,
    /// Its id.
    pub id: String,
    /// What is to be done.
    pub action: Action,
    /// What must be true before.
    pub expect: Expect,
    /// The timeline event that the change projects.
    pub event: Option<Event>,
}

impl Change {
    /// Whether the change may be made. `live` is the sequence of the record's newest version, if the record is there.
    pub(crate) fn check(&self, live: Option<Sequence>) -> Result<(), StorageError> {
        let (kind, id) = (self.kind, self.id.clone());
        match (self.expect, live) {
            (Expect::Absent, Some(_)) => Err(StorageError::Exists { kind, id }),
            (Expect::Present | Expect::At(_), None) => Err(StorageError::NotFound { kind, id }),
            (_, None) if self.action == Action::Delete => Err(StorageError::NotFound { kind, id }),
            (Expect::At(expected), Some(now)) if now != expected => {
                Err(StorageError::Stale { kind, id, expected, now })
            }
            _ => Ok(()),
        }
    }
}

/// A record as it was seen, on which a commit relies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Which kind of record.
    pub kind: Kind,
    /// Its id.
    pub id: String,
    /// The sequence of its newest version; none when it was not there.
    pub at: Option<Sequence>,
}

impl Seen {
    /// Whether the record still is as it was seen. `live` is as for [`Change::check`].
    pub(crate) fn check(&self, live: Option<Sequence>) -> Result<(), StorageError> {
        if self.at == live {
            return Ok(());
        }
        let (expected, now) = (self.at.unwrap_or(0), live.unwrap_or(0));
        Err(StorageError::Stale { kind: self.kind, id: self.id.clone(), expected, now })
    }
}

/// Changes that are made together or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Records that must be as they were seen before any of the changes is made.
    pub seen: Vec<Seen>,
    /// The changes, in this order. What one of them expects of a record holds after those before it. A record may be changed
    /// several times, an inode once.
    pub changes: Vec<Change>,
    /// What goes with the inodes among them.
    pub files: FileRows,
    /// Who makes them.
    pub actor: String,
    /// How they came about.
    pub origin: Origin,
    /// A commit with a token that was seen before is not made again but answered as it was then.
    pub token: Option<[u8; 16]>,
    /// When it counts as done.
    pub durability: Durability,
}

/// A commit that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The sequence of its first change.
    pub first: Sequence,
    /// The sequence of its last change.
    pub last: Sequence,
    /// When it was made.
    pub time: Timestamp,
}

/// Where the log stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogState {
    /// The newest sequence, which is also the number of entries.
    pub sequence: Sequence,
    /// The newest sequence that a power cut cannot take.
    pub durable: Sequence,
    /// Merkle root over all entries up to `sequence`.
    pub root: Checksum,
    /// Time of the newest entry.
    pub time: Timestamp,
    /// How many times the history may have lost a tail or was restored.
    pub epoch: u64,
    /// Before this sequence versions may have been pruned, so only what a snapshot pins can be read there.
    pub horizon: Sequence,
}

/// The time under which a record with these terms is listed: its own, or that of its commit when it says none.
#[must_use]
pub fn listed_time(terms: &[(u16, Term)], committed: Timestamp) -> Timestamp {
    let own = terms.iter().find_map(|(_, term)| match term {
        Term::Time(time) => Some(*time),
        Term::All | Term::Text(_) => None,
    });
    own.unwrap_or(committed)
}

/// In which order records are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// As they were created: order of the log.
    #[default]
    Log,
    /// The record created last comes first.
    LogReversed,
    /// By the record's own time, newest first; equal ones in order of the log. Only for kinds with an indexed time.
    NewestTime,
}

/// Which records are looked for: those that fit everything that is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Which kind of record.
    pub kind: Kind,
    /// Index and term of each condition.
    pub terms: Vec<(u16, String)>,
    /// The record's own time lies in this range.
    pub time: Option<Range<Timestamp>>,
    /// Only archived ones, or only those that are not.
    pub archived: Option<bool>,
    /// In which order.
    pub order: Order,
}

impl Selection {
    /// All records of a kind, in order of the log.
    #[must_use]
    pub fn all(kind: Kind) -> Self {
        Self { kind, terms: Vec::new(), time: None, archived: None, order: Order::Log }
    }
}

/// A place in a listing, from which it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The record's own time.
    pub time: Timestamp,
    /// The record's place in order of the log.
    pub birth: Sequence,
}

/// `BIRTH@TIME`, the time in microseconds.
impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.birth, self.time.as_micros())
    }
}

impl std::str::FromStr for Position {
    type Err = &'static str;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        let read = || {
            let (birth, time) = text.split_once('@')?;
            Some(Self { birth: birth.parse().ok()?, time: Timestamp::from_micros(time.parse().ok()?) })
        };
        read().ok_or("this is no cursor; give the position that an earlier listing ended with")
    }
}

impl Order {
    /// Which of two places in a listing comes first.
    #[must_use]
    pub fn compare(self, a: Position, b: Position) -> Ordering {
        match self {
            Self::Log => a.birth.cmp(&b.birth),
            Self::LogReversed => b.birth.cmp(&a.birth),
            Self::NewestTime => b.time.cmp(&a.time).then(a.birth.cmp(&b.birth)),
        }
    }
}

impl From<&Posting> for Position {
    fn from(posting: &Posting) -> Self {
        Self { time: posting.time, birth: posting.birth }
    }
}

/// How a term is found for texts that are too long to be a key.
#[must_use]
pub fn text_term(text: &str) -> String {
    if text.len() <= 255 { text.to_owned() } else { format!("sha256:{}", Checksum::of(text.as_bytes())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_come_back() {
        let position = Position { time: Timestamp::from_micros(-5), birth: 17 };
        assert_eq!(position.to_string().parse(), Ok(position));
        for text in ["", "17", "@", "a@b", "17@"] {
            assert!(text.parse::<Position>().is_err(), "{text}");
        }
    }
}
