//! What can be wrong with a record.

use std::fmt;

use super::json::JsonError;
use super::kind::Kind;

/// One place where a record breaks its schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaFault {
    /// JSON Pointer to the place; empty for the record itself.
    pub path: String,
    /// What is wrong there.
    pub reason: String,
}

impl fmt::Display for SchemaFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { f.write_str(&self.reason) } else { write!(f, "{}: {}", self.path, self.reason) }
    }
}

/// What is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The text is not JSON.
    #[error("not valid JSON: {0}")]
    Json(#[from] JsonError),
    /// The text is not YAML that the protocol can hold.
    #[error("not valid YAML: line {line}, column {column}: {reason}")]
    Yaml {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong there.
        reason: String,
    },
    /// The value is not an object.
    #[error("a {kind} must be a JSON object")]
    NotAnObject {
        /// What it should have been.
        kind: Kind,
    },
    /// The record breaks its schema.
    #[error("{kind} {id:?} breaks its schema: {}", join(faults))]
    Schema {
        /// Which kind of record.
        kind: Kind,
        /// Its id, or nothing when it has none.
        id: String,
        /// Each fault, in order of the path.
        faults: Vec<SchemaFault>,
    },
    /// The id cannot be one.
    #[error("{id:?} cannot be the id of a {kind}: {reason}")]
    Id {
        /// Which kind of record.
        kind: Kind,
        /// The id, cut to a length that can be read.
        id: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The record is larger than 16 MiB.
    #[error("{kind} {id:?} has {bytes} bytes of canonical JSON; the limit is 16 MiB")]
    TooLarge {
        /// Which kind of record.
        kind: Kind,
        /// Its id.
        id: String,
        /// Its size in bytes.
        bytes: usize,
    },
    /// The record has more tags than an index takes.
    #[error("{kind} {id:?} has more than {limit} tags")]
    TooManyTags {
        /// Which kind of record.
        kind: Kind,
        /// Its id.
        id: String,
        /// The limit.
        limit: usize,
    },
    /// The checksum that stands in a document is not the checksum of the document.
    #[error("checksum mismatch in {what}: expected {expected}, actual {actual}")]
    Checksum {
        /// Which document.
        what: String,
        /// What stands in it.
        expected: String,
        /// What it should be.
        actual: String,
    },
    /// A document is not what it should be.
    #[error("{what}: {reason}")]
    Document {
        /// Which document.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The document carries no checksum, so nothing proves it.
    #[error("{what} carries no checksum, so it cannot be verified")]
    Unverified {
        /// Which document.
        what: String,
    },
}

fn join(faults: &[SchemaFault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
