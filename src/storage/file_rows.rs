//! The bytes of the rows that belong to files: directory entries, extents, chunks. `docs/on-disk-format.md` has the tables.

use crate::record::FileType;

use super::StorageError;
use super::artifacts::{ChunkId, Dentry, Ino, Piece};
use super::chunk_sum::ChunkSum;
use super::codec::Reader;
use super::inline::Small;
use super::segments::Place;
use super::types::Sequence;

const EXTENT_VERSION: u8 = 1;
/// What a row of a chunk holds: where its content lies, or the content.
const CHUNK_AT: u8 = 1;
const CHUNK_HERE: u8 = 2;
const PIECE_BYTES: usize = 52;

/// Keys of the column families.
pub(super) mod key {
    use super::{ChunkId, Ino, Sequence};

    /// What all `dentries` keys of one name begin with: directory, name, 0.
    pub(in crate::storage) fn name(parent: Ino, name: &[u8]) -> Vec<u8> {
        let mut key = Vec::with_capacity(17 + name.len());
        key.extend_from_slice(&parent.to_be_bytes());
        key.extend_from_slice(name);
        key.push(0);
        key
    }

    /// `dentries`: directory, name, 0, inverted sequence: the newest comes first.
    pub(in crate::storage) fn dentry(parent: Ino, of: &[u8], sequence: Sequence) -> Vec<u8> {
        let mut key = name(parent, of);
        key.extend_from_slice(&(!sequence).to_be_bytes());
        key
    }

    /// Takes a `dentries` key apart.
    pub(in crate::storage) fn split_dentry(key: &[u8]) -> Option<(Ino, &[u8], Sequence)> {
        let (parent, rest) = key.split_first_chunk::<8>()?;
        let (rest, sequence) = rest.split_last_chunk::<8>()?;
        let (zero, name) = rest.split_last()?;
        (*zero == 0 && !name.is_empty()).then_some(())?;
        Some((Ino::from_be_bytes(*parent), name, !Sequence::from_be_bytes(*sequence)))
    }

    /// What all `extents` keys of one slot begin with: inode, slot.
    pub(in crate::storage) fn slot(ino: Ino, slot: u64) -> [u8; 16] {
        let mut key = [0; 16];
        let parts = ino.to_be_bytes().into_iter().chain(slot.to_be_bytes());
        for (to, from) in key.iter_mut().zip(parts) {
            *to = from;
        }
        key
    }

    /// `extents`: inode, slot, inverted sequence: the newest comes first.
    pub(in crate::storage) fn extent(ino: Ino, of: u64, sequence: Sequence) -> Vec<u8> {
        let mut key = slot(ino, of).to_vec();
        key.extend_from_slice(&(!sequence).to_be_bytes());
        key
    }

    /// Takes an `extents` key apart.
    pub(in crate::storage) fn split_extent(key: &[u8]) -> Option<(Ino, u64, Sequence)> {
        let (ino, rest) = key.split_first_chunk::<8>()?;
        let (slot, rest) = rest.split_first_chunk::<8>()?;
        let sequence = rest.try_into().ok()?;
        Some((Ino::from_be_bytes(*ino), u64::from_be_bytes(*slot), !Sequence::from_be_bytes(sequence)))
    }

    /// `chunks`: number.
    pub(in crate::storage) fn chunk(id: ChunkId) -> [u8; 8] {
        id.to_be_bytes()
    }

    /// Takes a `chunks` key apart.
    pub(in crate::storage) fn split_chunk(key: &[u8]) -> Option<ChunkId> {
        key.try_into().ok().map(ChunkId::from_be_bytes)
    }
}

fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

fn unsealed(bytes: &[u8]) -> Option<&[u8]> {
    let (body, crc) = bytes.split_last_chunk::<4>()?;
    (u32::from_le_bytes(*crc) == crc32c::crc32c(body)).then_some(body)
}

fn damaged(what: String) -> StorageError {
    StorageError::Corrupt { what, detail: "its stored bytes cannot be read".to_owned() }
}

/// A name that is shown in messages.
pub(super) fn shown(name: &[u8]) -> String {
    format!("\"{}\"", name.escape_ascii())
}

/// An entry of a directory; none when the name is gone.
pub(super) fn encode_dentry(dentry: Option<&Dentry>) -> Vec<u8> {
    let Some(Dentry { ino, file_type }) = dentry else { return sealed(Vec::new()) };
    let mut bytes = ino.to_le_bytes().to_vec();
    bytes.push(*file_type as u8);
    sealed(bytes)
}

pub(super) fn decode_dentry(parent: Ino, name: &[u8], bytes: &[u8]) -> Result<Option<Dentry>, StorageError> {
    let read = || match unsealed(bytes)? {
        [] => Some(None),
        body => {
            let mut reader = Reader(body);
            let dentry = Dentry { ino: reader.u64()?, file_type: FileType::from_number(reader.u8()?)? };
            reader.end()?;
            Some(Some(dentry))
        }
    };
    read().ok_or_else(|| damaged(format!("the entry {} of directory {parent}", shown(name))))
}

/// What stands in a slot.
pub(super) fn encode_pieces(pieces: &[Piece]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(5 + pieces.len() * PIECE_BYTES);
    bytes.push(EXTENT_VERSION);
    for piece in pieces {
        bytes.extend_from_slice(&piece.start.to_le_bytes());
        bytes.extend_from_slice(&piece.len.to_le_bytes());
        bytes.extend_from_slice(&piece.chunk.to_le_bytes());
        bytes.extend_from_slice(&piece.offset.to_le_bytes());
        bytes.extend_from_slice(&piece.sum.0);
    }
    sealed(bytes)
}

pub(super) fn decode_pieces(ino: Ino, slot: u64, bytes: &[u8]) -> Result<Vec<Piece>, StorageError> {
    let read = || {
        let mut reader = Reader(unsealed(bytes)?);
        (reader.u8()? == EXTENT_VERSION).then_some(())?;
        let mut pieces = Vec::with_capacity(reader.0.len() / PIECE_BYTES);
        while reader.end().is_none() {
            pieces.push(Piece {
                start: reader.u32()?,
                len: reader.u32()?,
                chunk: reader.u64()?,
                offset: reader.u32()?,
                sum: ChunkSum(reader.checksum()?.0),
            });
        }
        Some(pieces)
    };
    read().ok_or_else(|| damaged(format!("slot {slot} of artifact {ino}")))
}

/// What is stored of a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// Its content lies in a segment.
    At(Place),
    /// Its content lies here.
    Here(Small),
}

impl Stored {
    /// Bytes of content.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::At(place) => place.len as usize,
            Self::Here(small) => small.bytes.len(),
        }
    }

    /// The sum of the content.
    pub(super) fn sum(&self) -> ChunkSum {
        match self {
            Self::At(place) => place.sum,
            Self::Here(small) => small.sum,
        }
    }

    /// Whether it is the chunk of which a piece shows a part.
    pub(super) fn has(&self, piece: &Piece) -> bool {
        let end = piece.offset.checked_add(piece.len);
        self.sum() == piece.sum && end.is_some_and(|end| end as usize <= self.len())
    }
}

/// Where a chunk lies, or what it is.
pub(super) fn encode_chunk(stored: &Stored) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(49);
    match stored {
        Stored::At(place) => {
            bytes.push(CHUNK_AT);
            bytes.extend_from_slice(&place.segment.to_le_bytes());
            bytes.extend_from_slice(&place.offset.to_le_bytes());
            bytes.extend_from_slice(&place.len.to_le_bytes());
            bytes.extend_from_slice(&place.sum.0);
        }
        Stored::Here(small) => {
            bytes.push(CHUNK_HERE);
            bytes.extend_from_slice(&small.sum.0);
            bytes.extend_from_slice(&small.bytes);
        }
    }
    sealed(bytes)
}

pub(super) fn decode_chunk(id: ChunkId, bytes: &[u8]) -> Result<Stored, StorageError> {
    let read = || {
        let mut reader = Reader(unsealed(bytes)?);
        match reader.u8()? {
            CHUNK_AT => {
                let (segment, offset, len) = (reader.u32()?, reader.u32()?, reader.u32()?);
                let place = Place { segment, offset, len, sum: ChunkSum(reader.checksum()?.0) };
                reader.end()?;
                Some(Stored::At(place))
            }
            CHUNK_HERE => Some(Stored::Here(Small { sum: ChunkSum(reader.checksum()?.0), bytes: reader.0.into() })),
            _ => None,
        }
    };
    read().ok_or_else(|| damaged(format!("the row of chunk {id}")))
}

/// The highest number of an inode that ever was.
pub(super) fn encode_highest(ino: Ino) -> Vec<u8> {
    sealed(ino.to_le_bytes().to_vec())
}

pub(super) fn decode_highest(bytes: &[u8]) -> Result<Ino, StorageError> {
    let ino = unsealed(bytes).and_then(|body| body.try_into().ok()).map(Ino::from_le_bytes);
    ino.ok_or_else(|| damaged("the highest number of an inode".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_were_and_every_flipped_bit_is_seen() {
        let dentry = Dentry { ino: 7, file_type: FileType::Fifo };
        let piece = Piece { start: 1, len: 2, chunk: 3, offset: 4, sum: ChunkSum([5; 32]) };
        let place = Place { segment: 1, offset: 2, len: 3, sum: ChunkSum([9; 32]) };
        assert_eq!(decode_dentry(1, b"a", &encode_dentry(Some(&dentry))).unwrap(), Some(dentry));
        assert_eq!(decode_dentry(1, b"a", &encode_dentry(None)).unwrap(), None);
        for pieces in [vec![], vec![piece], vec![piece; 3]] {
            assert_eq!(decode_pieces(1, 2, &encode_pieces(&pieces)).unwrap(), pieces);
        }
        let small = Small { sum: ChunkSum([9; 32]), bytes: b"content".as_slice().into() };
        let (at, here) = (Stored::At(place), Stored::Here(small));
        for stored in [&at, &here] {
            assert_eq!(decode_chunk(1, &encode_chunk(stored)).unwrap(), *stored);
        }
        assert_eq!(decode_highest(&encode_highest(77)).unwrap(), 77);
        let rows = [
            encode_dentry(Some(&dentry)),
            encode_dentry(None),
            encode_pieces(&[piece]),
            encode_chunk(&at),
            encode_chunk(&here),
        ];
        for (n, row) in rows.into_iter().enumerate() {
            for bit in 0..row.len() * 8 {
                let mut row = row.clone();
                row[bit / 8] ^= 1 << (bit % 8);
                let seen = match n {
                    0 | 1 => decode_dentry(1, b"a", &row).is_err(),
                    2 => decode_pieces(1, 2, &row).is_err(),
                    _ => decode_chunk(1, &row).is_err(),
                };
                assert!(seen, "row {n}, bit {bit}");
            }
        }
    }

    #[test]
    fn keys_sort_by_name_and_then_newest_first_and_lead_back() {
        let keys = [
            key::dentry(1, b"a", 9),
            key::dentry(1, b"a", 8),
            key::dentry(1, b"a\x01", 9),
            key::dentry(1, b"ab", 9),
            key::dentry(2, b"a", 9),
        ];
        assert!(keys.is_sorted());
        assert_eq!(key::split_dentry(&keys[2]), Some((1, &b"a\x01"[..], 9)));
        assert!(key::extent(1, 2, 9) < key::extent(1, 2, 8) && key::extent(1, 2, 8) < key::extent(1, 3, 9));
        assert_eq!(key::split_extent(&key::extent(1, 2, 9)), Some((1, 2, 9)));
        assert_eq!(key::split_chunk(&key::chunk(5)), Some(5));
    }
}
