//! What an import says it did.

use std::collections::BTreeMap;

use crate::record::json_stream::ValueError;
use crate::record::{Kind, RecordError, Value, object};

use super::configs::ConfigCheck;

/// What an import did: every record of every file is counted in exactly one of `taken`, `skipped` and `refused`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImportReport {
    /// What became of the records of each collection that had any.
    pub collections: BTreeMap<Kind, Counts>,
    /// Records that were not taken, in the order in which they were met.
    pub refused: Vec<Finding>,
    /// Records that were taken although something is wrong with them, because the import is lenient.
    pub lenient: Vec<Finding>,
    /// Sessions that were taken and whose parent is not in the vault: their lineage begins with them.
    pub missing_parents: Vec<MissingParent>,
    /// The configurations of the folder.
    pub configs: Vec<ConfigCheck>,
    /// Files and folders that an import does not read, by their names in the store folder.
    pub ignored: Vec<String>,
}

/// What became of the records of a collection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// New in the vault.
    pub taken: u64,
    /// In the vault already, equal in value.
    pub skipped: u64,
    /// Not taken; each is in [`ImportReport::refused`].
    pub refused: u64,
    /// Of those taken or skipped: had fields that were null where the schema allows no null, which were read as absent.
    pub repaired: u64,
    /// Of those taken: broken and marked so; each is in [`ImportReport::lenient`].
    pub lenient: u64,
}

/// A record that something is wrong with.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The file, by its name in the store folder.
    pub file: String,
    /// Which kind of record.
    pub kind: Kind,
    /// Its key in the file, cut to a readable length. For what has no key: its place or the name of the file.
    pub id: String,
    /// What is wrong with it.
    pub reason: RefusalReason,
}

/// What is wrong with a record of an import.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RefusalReason {
    /// It breaks its schema or a limit, its id cannot be kept, or its checksum is not that of its content.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Its text cannot be read.
    #[error(transparent)]
    Text(#[from] ValueError),
    /// It stands under another key than its own id.
    #[error("it stands under the key {key:?}, but its {field} is {found}")]
    Key {
        /// The key, cut to a readable length.
        key: String,
        /// The field that holds the id.
        field: &'static str,
        /// What stands there, cut to a readable length.
        found: String,
    },
    /// It would lead back to itself, over records that came before it.
    #[error("its {field} {reference} leads back to it")]
    Cycle {
        /// The field that names another record.
        field: &'static str,
        /// What it names.
        reference: String,
    },
    /// A document or an event that says nowhere which one it is.
    #[error("it is no object with a string \"id\", so it cannot be kept")]
    WithoutId,
    /// The vault, or a file read before, has another record under its id.
    #[error(
        "there is another record under this id, and it was kept: compare the two, and delete the one that is wrong"
    )]
    Conflict,
    /// The document is larger than is read.
    #[error("the file has {bytes} bytes; documents are read up to {limit}")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: usize,
    },
}

impl RefusalReason {
    /// The reason in one word, for programs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Record(RecordError::Schema { .. } | RecordError::NotAnObject { .. }) => "schema",
            Self::Record(RecordError::Id { .. }) | Self::WithoutId => "id",
            Self::Record(RecordError::Checksum { .. } | RecordError::Unverified { .. }) => "checksum",
            Self::Record(RecordError::TooLarge { .. } | RecordError::TooManyTags { .. })
            | Self::Text(ValueError::TooLarge { .. })
            | Self::TooLarge { .. } => "limit",
            Self::Record(RecordError::Json(_) | RecordError::Yaml { .. } | RecordError::Document { .. })
            | Self::Text(ValueError::Json(_)) => "text",
            Self::Key { .. } => "key",
            Self::Cycle { .. } => "cycle",
            Self::Conflict => "conflict",
        }
    }
}

/// A session whose parent is not in the vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingParent {
    /// The session.
    pub session_id: String,
    /// The parent that it names.
    pub parent_session_id: String,
}

impl ImportReport {
    /// The sum over all collections.
    #[must_use]
    pub fn total(&self) -> Counts {
        self.collections.values().fold(Counts::default(), |sum, counts| Counts {
            taken: sum.taken + counts.taken,
            skipped: sum.skipped + counts.skipped,
            refused: sum.refused + counts.refused,
            repaired: sum.repaired + counts.repaired,
            lenient: sum.lenient + counts.lenient,
        })
    }

    /// Everything that was there is in the vault now, and nothing was wrong with it but for missing parents.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.refused.is_empty() && self.lenient.is_empty() && self.configs.iter().all(ConfigCheck::is_sound)
    }

    /// The report as JSON.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let collections =
            self.collections.iter().map(|(kind, counts)| (kind.collection().to_owned(), counts.to_value()));
        let missing = |missing: &MissingParent| {
            object([
                ("session_id", missing.session_id.as_str().into()),
                ("parent_session_id", missing.parent_session_id.as_str().into()),
            ])
        };
        object([
            ("total", self.total().to_value()),
            ("collections", Value::Object(collections.collect())),
            ("refused", self.refused.iter().map(Finding::to_value).collect()),
            ("lenient", self.lenient.iter().map(Finding::to_value).collect()),
            ("missing_parents", self.missing_parents.iter().map(missing).collect()),
            ("configs", self.configs.iter().map(ConfigCheck::to_value).collect()),
            ("ignored", self.ignored.clone().into()),
        ])
    }
}

impl Counts {
    fn to_value(self) -> Value {
        object([
            ("taken", self.taken.into()),
            ("skipped", self.skipped.into()),
            ("refused", self.refused.into()),
            ("repaired", self.repaired.into()),
            ("lenient", self.lenient.into()),
        ])
    }
}

impl Finding {
    fn to_value(&self) -> Value {
        object([
            ("file", self.file.as_str().into()),
            ("collection", self.kind.collection().into()),
            ("id", self.id.as_str().into()),
            ("cause", self.reason.name().into()),
            ("reason", self.reason.to_string().into()),
        ])
    }
}
