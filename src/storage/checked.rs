//! Rows of another vault that were checked by themselves, on whatever thread: the only ones that a replay takes.

use crate::record::{Checksum, Kind};

use super::codec::{self, key};
use super::merkle;
use super::rows::{ChunkRow, LogRow};
use super::segments::{damaged, other_content};
use super::types::{LogEntry, Operation, Sequence, Version};
use super::{Result, StorageError};

/// Chunks, each with the content that its row says.
pub struct CheckedChunks {
    rows: Vec<ChunkRow>,
    content: Vec<u8>,
}

/// Entries of a log in order, each with the version that it committed to.
pub struct CheckedLog(Vec<CheckedEntry>);

/// A row of a log, and what its place in a vault follows from.
pub(super) struct CheckedEntry {
    pub(super) row: LogRow,
    pub(super) sequence: Sequence,
    pub(super) leaf: Checksum,
    /// The key of the version, when there is one.
    pub(super) version_key: Option<Vec<u8>>,
}

impl CheckedChunks {
    /// Checks chunks whose content lies one behind the other.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] for a chunk whose content is not what its row says.
    pub fn check(rows: Vec<ChunkRow>, content: Vec<u8>) -> Result<Self> {
        let mut rest = &content[..];
        for row in &rows {
            let Some((content, behind)) = rest.split_at_checked(row.len as usize) else {
                return Err(damaged(row.id, "its content is shorter than its row says".to_owned()));
            };
            if !row.sum.is_of(content) {
                return Err(other_content(row.id, &row.sum));
            }
            rest = behind;
        }
        Ok(Self { rows, content })
    }

    /// Each row with its content.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&ChunkRow, &[u8])> {
        let mut rest = &self.content[..];
        self.rows.iter().map(move |row| {
            let (content, behind) = rest.split_at_checked(row.len as usize).unwrap_or_default();
            rest = behind;
            (row, content)
        })
    }
}

impl CheckedLog {
    /// Checks entries of which the first one has this sequence.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] for one that cannot be read, or whose version is not what it committed to.
    pub fn check(first: Sequence, rows: Vec<LogRow>) -> Result<Self> {
        let check = |(sequence, row)| CheckedEntry::check(sequence, row);
        (first..).zip(rows).map(check).collect::<Result<_>>().map(Self)
    }

    pub(super) fn entries(&self) -> &[CheckedEntry] {
        &self.0
    }
}

impl CheckedEntry {
    fn check(sequence: Sequence, row: LogRow) -> Result<Self> {
        let (entry, version) = decode_log_row(sequence, &row)?;
        let version_key = version.map(|(kind, _)| key::version(kind, &entry.id, sequence));
        Ok(Self { sequence, leaf: merkle::leaf(&row.entry), version_key, row })
    }
}

/// Reads a row of the log, and checks that its version is what the entry committed to.
///
/// # Errors
/// [`StorageError::Corrupt`] when it is not.
pub fn decode_log_row(sequence: Sequence, row: &LogRow) -> Result<(LogEntry, Option<(Kind, Version)>)> {
    let entry = codec::decode_entry(sequence, &row.entry)?;
    let Some(kind) = entry.kind.filter(|_| !row.version.is_empty()) else { return Ok((entry, None)) };
    let version = codec::decode_version(kind, &entry.id, sequence, &row.version)?;
    if version.commitment() != entry.commitment || version.deleted != (entry.operation == Operation::Delete) {
        return Err(StorageError::Corrupt {
            what: format!("{kind} {} at sequence {sequence}", entry.id),
            detail: "it is not what the log committed to".to_owned(),
        });
    }
    Ok((entry, Some((kind, version))))
}

#[cfg(test)]
mod tests {
    use super::super::ChunkSum;
    use super::*;

    fn row(id: u64, content: &[u8]) -> ChunkRow {
        ChunkRow { id, len: u32::try_from(content.len()).unwrap(), sum: ChunkSum::of(content) }
    }

    #[test]
    fn chunks_have_their_content_or_are_refused() {
        let rows = vec![row(1, b"one"), row(2, b""), row(3, b"three")];
        let checked = CheckedChunks::check(rows.clone(), b"onethree".to_vec()).unwrap();
        let found: Vec<_> = checked.iter().map(|(row, content)| (row.id, content)).collect();
        assert_eq!(found, [(1, &b"one"[..]), (2, b""), (3, b"three")]);
        for content in [&b"onethreE"[..], b"onethre", b"oNethree", b""] {
            assert!(CheckedChunks::check(rows.clone(), content.to_vec()).is_err());
        }
    }
}
