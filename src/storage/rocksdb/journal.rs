//! RocksDB's own journals, looked at before RocksDB reads them.
//!
//! Its manifest and its write-ahead logs are rows of records with a length, a type and a checksum. Two kinds of damage are
//! not met by that checksum, because the reader looks at the type first: at a record of a recycled log among others it
//! reads the same record again, without end, and a record without type and length lets it leave out the rest of a block
//! of 32 KiB without a word, so that later commits are there and earlier ones are not. This vault's journals hold neither.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::access::FileAccess;
use super::super::{Result, StorageError};

const BLOCK: usize = 32 << 10;
/// Checksum, length, type.
const HEADER: usize = 4 + 2 + 1;
const TYPE_AT: usize = 6;
const FULL: u8 = 1;
const LAST: u8 = 4;

/// What is to be done about a damaged write-ahead log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// It ends the log there: what follows was never acknowledged as durable.
    Cut,
    /// It is damage, since nothing is to be replayed, or nothing may be changed.
    Refuse,
}

/// Makes sure that RocksDB will see damage to its journals as what it is.
///
/// # Errors
/// [`StorageError::Corrupt`] for a damaged manifest, and for a damaged write-ahead log that must not be cut; those of the
/// operating system.
pub(super) fn examine(files: &dyn FileAccess, database: &Path, tail: Tail) -> Result<()> {
    let failed = |path: &Path, error| StorageError::from_io(path, error);
    let corrupt = |path: &Path, at: usize| StorageError::Corrupt {
        what: path.display().to_string(),
        detail: format!("the record at byte {at} has a type that is never written"),
    };
    if let Some(manifest) = manifest(files, database) {
        let bytes = files.read(&manifest).map_err(|error| failed(&manifest, error))?;
        if let Some(at) = misleading_record(&bytes) {
            return Err(corrupt(&manifest, at));
        }
    }
    for log in write_ahead_logs(database).map_err(|error| failed(database, error))? {
        let mut bytes = files.read(&log).map_err(|error| failed(&log, error))?;
        while let Some(at) = misleading_record(&bytes) {
            let Some(byte) = bytes.get_mut(at + TYPE_AT).filter(|_| tail == Tail::Cut) else {
                return Err(corrupt(&log, at));
            };
            // With a usual type its checksum is looked at: if that is right, only the type was damaged, and otherwise
            // RocksDB ends its recovery here.
            *byte = FULL;
            tracing::warn!(target: "mirrordna::storage", log = %log.display(), at, "the write-ahead log is damaged");
            files.write(&log, &bytes).map_err(|error| failed(&log, error))?;
        }
    }
    Ok(())
}

/// The manifest that is in use. When nothing says which that is, opening the database will tell.
fn manifest(files: &dyn FileAccess, database: &Path) -> Option<PathBuf> {
    let current = files.read(&database.join("CURRENT")).ok()?;
    let name = std::str::from_utf8(&current).ok()?.strip_suffix('\n')?;
    let path = database.join(name);
    (name.starts_with("MANIFEST-") && !name.contains('/') && path.is_file()).then_some(path)
}

fn write_ahead_logs(database: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut logs = Vec::new();
    for entry in fs::read_dir(database)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "log") {
            logs.push(path);
        }
    }
    // Their numbers have leading zeros.
    logs.sort_unstable();
    Ok(logs)
}

/// Where the first record begins that RocksDB would not call damaged, and is. None as well when damage that it does see
/// comes first.
fn misleading_record(bytes: &[u8]) -> Option<usize> {
    for (nth, block) in bytes.chunks(BLOCK).enumerate() {
        let mut rest = block;
        while let Some((header, body)) = rest.split_first_chunk::<HEADER>() {
            let at = nth * BLOCK + (block.len() - rest.len());
            let [a, b, c, d, low, high, kind] = *header;
            let length = usize::from(u16::from_le_bytes([low, high]));
            match kind {
                0 if length == 0 => return Some(at),
                FULL..=LAST => {}
                _ => return Some(at),
            }
            let (payload, next) = body.split_at_checked(length)?;
            let crc = crc32c::crc32c_append(crc32c::crc32c(&[kind]), payload);
            if mask(crc) != u32::from_le_bytes([a, b, c, d]) {
                return None;
            }
            rest = next;
        }
    }
    None
}

/// How RocksDB stores a checksum.
fn mask(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, payload: &[u8]) -> Vec<u8> {
        let crc = mask(crc32c::crc32c_append(crc32c::crc32c(&[kind]), payload));
        let length = u16::try_from(payload.len()).unwrap().to_le_bytes();
        [&crc.to_le_bytes()[..], &length, &[kind], payload].concat()
    }

    #[test]
    fn records_of_types_that_are_never_written_are_found() {
        let sound = [record(1, b"one"), record(2, b"two"), record(4, b"three")].concat();
        assert_eq!(misleading_record(&sound), None);
        for kind in [0, 5, 8, 11, 131] {
            let mut damaged = sound.clone();
            damaged[10 + TYPE_AT] = kind;
            // No type but a length: RocksDB looks at the checksum.
            assert_eq!(misleading_record(&damaged), Some(10), "{kind}");
        }
        assert_eq!(misleading_record(&[&sound[..], &[0; 40]].concat()), Some(sound.len()));
        assert_eq!(misleading_record(&sound[..sound.len() - 1]), None);
    }

    #[test]
    fn what_comes_after_damage_that_is_seen_does_not_matter() {
        let mut bytes = [record(1, b"one"), record(5, b"two")].concat();
        assert_eq!(misleading_record(&bytes), Some(10));
        bytes[8] ^= 1;
        assert_eq!(misleading_record(&bytes), None);
    }

    #[test]
    fn the_last_bytes_of_a_block_hold_no_record() {
        let first = record(1, &vec![7; BLOCK - HEADER - 5]);
        let bytes = [&first[..], &[0; 5], &record(6, b"x")].concat();
        assert_eq!(misleading_record(&bytes), Some(BLOCK));
    }
}
