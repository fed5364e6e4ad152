//! The kinds of record: their collections, ids, and what of them is indexed.
//!
//! The numbers here are part of the on-disk format (`docs/on-disk-format.md`): they are never changed or used again.

use std::fmt;

/// A kind of record. Each kind has one collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Who an agent, user or system is.
    Identity = 1,
    /// A session: what an agent did with a user from start to end.
    Session = 2,
    /// A memory in one of three tiers.
    Memory = 3,
    /// What an agent believes about itself: traits, constraints, capabilities.
    AgentDna = 4,
    /// An event that was appended to the timeline.
    Event = 5,
    /// A snapshot: a pin on a sequence of the log.
    Snapshot = 6,
    /// A reflection of an agent on what it did.
    Reflection = 7,
    /// A master citation.
    Citation = 8,
    /// A vault entry.
    Entry = 9,
    /// A link from an agent to its identity.
    AgentLink = 10,
    /// A glyphtrail entry.
    Glyph = 11,
    /// The inode of an artifact: a file, not a record of the protocol.
    Artifact = 12,
}

/// How a field becomes index terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexForm {
    /// The text of the field is the term.
    Text,
    /// Each text in the list is a term.
    Each,
    /// The date-time of the field, in order of time.
    Time,
}

/// One indexed field of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Index {
    /// Number of the index in the storage; never used twice.
    pub number: u16,
    /// Path of the field, keys with dots between them.
    pub path: &'static str,
    /// How the field becomes terms.
    pub form: IndexForm,
}

const fn text(number: u16, path: &'static str) -> Index {
    Index { number, path, form: IndexForm::Text }
}

const fn each(number: u16, path: &'static str) -> Index {
    Index { number, path, form: IndexForm::Each }
}

const fn time(number: u16, path: &'static str) -> Index {
    Index { number, path, form: IndexForm::Time }
}

impl Kind {
    /// The kinds of the protocol, in order of their numbers. [`Kind::Artifact`] is not one of them: files are neither
    /// listed nor imported nor exported as records.
    pub const ALL: [Self; 11] = [
        Self::Identity,
        Self::Session,
        Self::Memory,
        Self::AgentDna,
        Self::Event,
        Self::Snapshot,
        Self::Reflection,
        Self::Citation,
        Self::Entry,
        Self::AgentLink,
        Self::Glyph,
    ];

    /// All kinds that a storage holds, in order of their numbers.
    pub const STORED: [Self; 12] = [
        Self::Identity,
        Self::Session,
        Self::Memory,
        Self::AgentDna,
        Self::Event,
        Self::Snapshot,
        Self::Reflection,
        Self::Citation,
        Self::Entry,
        Self::AgentLink,
        Self::Glyph,
        Self::Artifact,
    ];

    /// The number of the collection in storage.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The kind with this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::STORED.into_iter().find(|kind| kind.number() == number)
    }

    /// The name of the collection, as in directories, files of the reference's store and the command line.
    #[must_use]
    pub const fn collection(self) -> &'static str {
        match self {
            Self::Identity => "identities",
            Self::Session => "sessions",
            Self::Memory => "memories",
            Self::AgentDna => "agent_dna",
            Self::Event => "timeline",
            Self::Snapshot => "snapshots",
            Self::Reflection => "reflections",
            Self::Citation => "citations",
            Self::Entry => "entries",
            Self::AgentLink => "agent_links",
            Self::Glyph => "glyphtrail",
            Self::Artifact => "artifacts",
        }
    }

    /// The kind of the protocol whose collection has this name.
    #[must_use]
    pub fn from_collection(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.collection() == name)
    }

    /// What one record is called in a sentence.
    #[must_use]
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Session => "session",
            Self::Memory => "memory",
            Self::AgentDna => "agent DNA",
            Self::Event => "timeline event",
            Self::Snapshot => "snapshot",
            Self::Reflection => "reflection",
            Self::Citation => "master citation",
            Self::Entry => "vault entry",
            Self::AgentLink => "agent link",
            Self::Glyph => "glyphtrail entry",
            Self::Artifact => "artifact",
        }
    }

    /// The field that holds the id.
    #[must_use]
    pub const fn id_field(self) -> &'static str {
        match self {
            Self::Identity => "identity_id",
            Self::Session => "session_id",
            Self::Memory => "memory_id",
            Self::AgentDna => "agent_dna_id",
            Self::Snapshot => "snapshot_id",
            Self::Reflection => "reflection_id",
            Self::AgentLink => "agent_id",
            Self::Event | Self::Citation | Self::Entry | Self::Glyph => "id",
            Self::Artifact => "ino",
        }
    }

    /// The field that says when the thing happened, by which time ranges filter and searches sort.
    #[must_use]
    pub const fn time_field(self) -> &'static str {
        match self {
            Self::Session => "started_at",
            Self::Memory => "source.timestamp",
            Self::Event | Self::Snapshot | Self::Reflection | Self::Glyph => "timestamp",
            Self::Identity | Self::Citation | Self::Entry | Self::AgentLink | Self::AgentDna => "created_at",
            // Nanoseconds as a number, which no index holds.
            Self::Artifact => "mtime",
        }
    }

    /// The field that names the session a record belongs to, which the log keeps.
    #[must_use]
    pub const fn session_field(self) -> Option<&'static str> {
        match self {
            Self::Session => Some("session_id"),
            Self::Memory => Some("source.session_id"),
            Self::Event => Some("related_session_id"),
            Self::Glyph => Some("context.session_id"),
            _ => None,
        }
    }

    /// The field that names who did it, which the log keeps.
    #[must_use]
    pub const fn agent_field(self) -> Option<&'static str> {
        match self {
            Self::Session | Self::AgentDna | Self::Reflection | Self::AgentLink => Some("agent_id"),
            Self::Memory => Some("source.agent_id"),
            Self::Event => Some("actor"),
            Self::Glyph => Some("source.actor_id"),
            _ => None,
        }
    }

    /// The fields that are indexed.
    #[must_use]
    pub const fn indexes(self) -> &'static [Index] {
        match self {
            Self::Identity => const { &[text(0x0101, "identity_type")] },
            Self::Session => {
                const {
                    &[
                        text(0x0201, "agent_id"),
                        text(0x0202, "user_id"),
                        text(0x0203, "parent_session_id"),
                        time(0x0204, "started_at"),
                        text(0x0205, "ended_at"),
                    ]
                }
            }
            Self::Memory => {
                const {
                    &[
                        text(0x0301, "tier"),
                        text(0x0302, "source.session_id"),
                        text(0x0303, "source.agent_id"),
                        text(0x0304, "source.user_id"),
                        each(0x0305, "metadata.tags"),
                        time(0x0306, "source.timestamp"),
                    ]
                }
            }
            Self::AgentDna => const { &[text(0x0401, "agent_id")] },
            Self::Event => {
                const {
                    &[
                        text(0x0501, "event_type"),
                        text(0x0502, "actor"),
                        text(0x0503, "related_session_id"),
                        time(0x0504, "timestamp"),
                    ]
                }
            }
            Self::Snapshot | Self::Artifact => const { &[] },
            Self::Reflection => {
                const { &[text(0x0701, "agent_id"), text(0x0702, "reflection_type"), time(0x0703, "timestamp")] }
            }
            Self::Citation => const { &[text(0x0801, "vault_id"), text(0x0802, "predecessor"), each(0x0803, "tags")] },
            Self::Entry => const { &[text(0x0901, "vault_id"), text(0x0902, "type"), each(0x0903, "tags")] },
            Self::AgentLink => const { &[text(0x0a01, "mirrordna_identity_id")] },
            Self::Glyph => {
                const {
                    &[
                        text(0x0b01, "source.actor_id"),
                        text(0x0b02, "predecessor"),
                        text(0x0b03, "context.session_id"),
                        time(0x0b04, "timestamp"),
                    ]
                }
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.noun())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_lead_back_to_the_kind() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_number(kind.number()), Some(kind));
            assert_eq!(Kind::from_collection(kind.collection()), Some(kind));
        }
        assert_eq!(Kind::from_number(12), Some(Kind::Artifact));
        assert_eq!(Kind::from_collection("artifacts"), None);
    }

    #[test]
    fn index_numbers_are_unique_and_carry_the_kind() {
        let mut seen = std::collections::BTreeSet::new();
        for kind in Kind::ALL {
            for index in kind.indexes() {
                assert_eq!(index.number >> 8, u16::from(kind.number()));
                assert!(seen.insert(index.number));
            }
        }
    }
}
