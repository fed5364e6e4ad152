//! What a vault consists of, row by row, for copies of it: the log with the versions that it brought, the slots of
//! artifacts, and their chunks. `docs/backup-format.md` has the bytes. All else is derived from these.

use std::io::{self, Read};

use super::artifacts::{ChunkId, Ino, Piece};
use super::chunk_sum::ChunkSum;
use super::types::Sequence;

/// The most bytes of a log entry, which has five names and a detail with 16-bit lengths.
const MAX_ENTRY: u32 = 6 << 16;
/// The most bytes of an envelope: a record of 16 MiB and its index terms.
const MAX_ENVELOPE: u32 = 32 << 20;
/// The most bytes of the row of a slot.
const MAX_PIECES_BYTES: u32 = 1 << 16;

/// Which rows.
///
/// Whoever copies a vault that is in use reads them in this order, at one sequence. What a later part names then was there when
/// the earlier one was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Part {
    /// Where content is: numbers, lengths and sums of chunks, in order of the number.
    Chunks = 1,
    /// What stands in the slots of artifacts, in order of inode and slot.
    Slots = 2,
    /// Log entries, each with the version that it brought, in order of the sequence.
    Log = 3,
}

/// Some rows of a part, one behind the other, and where the next ones begin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowPage {
    /// The rows, encoded.
    pub bytes: Vec<u8>,
    /// To be asked for next; none when these were the last.
    pub next: Option<Vec<u8>>,
}

/// A chunk of content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkRow {
    /// Its number.
    pub id: ChunkId,
    /// Its length in bytes.
    pub len: u32,
    /// The hash of its content.
    pub sum: ChunkSum,
}

/// What stands in a slot from a sequence on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotRow {
    /// The inode.
    pub ino: Ino,
    /// The slot.
    pub slot: u64,
    /// Since which version of the inode.
    pub sequence: Sequence,
    /// The pieces, as they are stored.
    pub pieces: Vec<u8>,
}

/// A log entry and the version that it brought, as they are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRow {
    /// The entry.
    pub entry: Vec<u8>,
    /// The envelope of the version; empty when there is none, or when it was pruned.
    pub version: Vec<u8>,
}

fn push(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(bytes);
}

fn array<const N: usize>(from: &mut dyn Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn bytes(from: &mut dyn Read, limit: u32) -> io::Result<Vec<u8>> {
    let len = u32::from_le_bytes(array(from)?);
    if len > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a row of {len} bytes")));
    }
    let mut bytes = vec![0; len as usize];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The first eight bytes of a row, unless the rows end here.
fn first(from: &mut dyn Read) -> io::Result<Option<[u8; 8]>> {
    let mut begin = [0; 8];
    let mut filled = 0;
    while let Some(rest) = begin.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match from.read(rest) {
            Ok(0) if filled == 0 => return Ok(None),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Some(begin))
}

impl ChunkRow {
    /// Puts it behind others.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.to_le_bytes());
        out.extend_from_slice(&self.len.to_le_bytes());
        out.extend_from_slice(&self.sum.0);
    }

    /// The next one; none at the end.
    ///
    /// # Errors
    /// When it cannot be read, or the rows end within it.
    pub fn read(from: &mut dyn Read) -> io::Result<Option<Self>> {
        let Some(id) = first(from)? else { return Ok(None) };
        let len = u32::from_le_bytes(array(from)?);
        Ok(Some(Self { id: u64::from_le_bytes(id), len, sum: ChunkSum(array(from)?) }))
    }
}

impl SlotRow {
    /// Puts it behind others.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for number in [self.ino, self.slot, self.sequence] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        push(out, &self.pieces);
    }

    /// The next one; none at the end.
    ///
    /// # Errors
    /// As [`ChunkRow::read`].
    pub fn read(from: &mut dyn Read) -> io::Result<Option<Self>> {
        let Some(ino) = first(from)? else { return Ok(None) };
        let (slot, sequence) = (u64::from_le_bytes(array(from)?), u64::from_le_bytes(array(from)?));
        Ok(Some(Self { ino: u64::from_le_bytes(ino), slot, sequence, pieces: bytes(from, MAX_PIECES_BYTES)? }))
    }
}

impl SlotRow {
    /// The pieces that stand in the slot.
    ///
    /// # Errors
    /// [`super::StorageError::Corrupt`] when they are not what was stored.
    pub fn decode(&self) -> super::Result<Vec<Piece>> {
        super::file_rows::decode_pieces(self.ino, self.slot, &self.pieces)
    }
}

impl LogRow {
    /// Puts it behind others.
    pub fn encode(&self, out: &mut Vec<u8>) {
        push(out, &self.entry);
        push(out, &self.version);
    }

    /// The next one; none at the end.
    ///
    /// # Errors
    /// As [`ChunkRow::read`].
    pub fn read(from: &mut dyn Read) -> io::Result<Option<Self>> {
        // Length and the first bytes of the entry; no entry is as short as four bytes.
        let Some(begin) = first(from)? else { return Ok(None) };
        let mut from = (&begin[..]).chain(from);
        Ok(Some(Self { entry: bytes(&mut from, MAX_ENTRY)?, version: bytes(&mut from, MAX_ENVELOPE)? }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_were_and_half_a_row_is_an_error() {
        let chunk = ChunkRow { id: 7, len: 3, sum: ChunkSum([1; 32]) };
        let slot = SlotRow { ino: 1, slot: 2, sequence: 3, pieces: vec![4; 5] };
        let log =
            [LogRow { entry: vec![6; 90], version: vec![7; 200] }, LogRow { entry: vec![8; 80], version: Vec::new() }];
        let mut bytes = Vec::new();
        chunk.encode(&mut bytes);
        let mut from = &bytes[..];
        assert_eq!(ChunkRow::read(&mut from).unwrap(), Some(chunk));
        assert_eq!(ChunkRow::read(&mut from).unwrap(), None);
        assert!(ChunkRow::read(&mut &bytes[..9]).is_err() && ChunkRow::read(&mut &bytes[..3]).is_err());
        let mut bytes = Vec::new();
        slot.encode(&mut bytes);
        assert_eq!(SlotRow::read(&mut &bytes[..]).unwrap(), Some(slot));
        assert!(SlotRow::read(&mut &bytes[..bytes.len() - 1]).is_err());
        let mut bytes = Vec::new();
        for row in &log {
            row.encode(&mut bytes);
        }
        let mut from = &bytes[..];
        assert_eq!(LogRow::read(&mut from).unwrap().as_ref(), log.first());
        assert_eq!(LogRow::read(&mut from).unwrap().as_ref(), log.last());
        assert_eq!(LogRow::read(&mut from).unwrap(), None);
    }
}
