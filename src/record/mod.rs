//! The protocol's records: values, canonical JSON and checksums, ids, kinds and their schemas, time.
//!
//! Nothing here knows of storage.

pub mod checksum;
pub mod config;
pub mod document;
pub mod id;
pub mod inode;
pub mod json;
pub mod json_stream;
pub mod kind;
pub mod schema;
pub mod time;
pub mod value;
pub mod yaml;

mod error;

pub use checksum::Checksum;
pub use error::{RecordError, SchemaFault};
pub use inode::{FileType, Inode};
pub use kind::Kind;
pub use time::Timestamp;
pub use value::{Map, Number, Value, object};

/// The largest record: 16 MiB of canonical JSON.
pub const MAX_RECORD_BYTES: usize = 16 << 20;
/// The longest id in bytes.
pub const MAX_ID_BYTES: usize = 255;
