//! Reading the rows of a vault for a copy, page by page.

use super::super::codec::{self, key as record_key};
use super::super::file_rows::{self, key};
use super::super::rows::{ChunkRow, LogRow, Part, RowPage, SlotRow};
use super::super::types::Sequence;
use super::super::{Result, StorageError};
use super::{Cf, RocksStorage};

impl RocksStorage {
    /// The rows of a part up to a sequence, from `from` on, until a page has `bytes` bytes.
    pub(super) fn read_rows(&self, part: Part, from: &[u8], upto: Sequence, bytes: usize) -> Result<RowPage> {
        match part {
            Part::Chunks => self.chunk_rows(from, bytes),
            Part::Slots => self.slot_rows(from, upto, bytes),
            Part::Log => self.log_rows(from, upto, bytes),
        }
    }

    /// All chunks that a row names at the moment. Which of them only later changes name is not asked: they are few.
    fn chunk_rows(&self, from: &[u8], bytes: usize) -> Result<RowPage> {
        let mut page = RowPage::default();
        let mut chunks = self.database.pass_over(Cf::Chunks, &[])?;
        chunks.seek(from);
        while let Some((stored, value)) = chunks.item() {
            if page.bytes.len() >= bytes {
                page.next = Some(stored.to_vec());
                break;
            }
            let id = key::split_chunk(stored).ok_or_else(|| unreadable("chunks", stored))?;
            let stored = file_rows::decode_chunk(id, value)?;
            let len = u32::try_from(stored.len()).map_err(|_| unreadable("chunks", &key::chunk(id)))?;
            ChunkRow { id, len, sum: stored.sum() }.encode(&mut page.bytes);
            chunks.next();
        }
        self.database.finished(&chunks)?;
        Ok(page)
    }

    fn slot_rows(&self, from: &[u8], upto: Sequence, bytes: usize) -> Result<RowPage> {
        let mut page = RowPage::default();
        let mut slots = self.database.pass_over(Cf::Extents, &[])?;
        slots.seek(from);
        while let Some((stored, value)) = slots.item() {
            if page.bytes.len() >= bytes {
                page.next = Some(stored.to_vec());
                break;
            }
            let (ino, slot, sequence) = key::split_extent(stored).ok_or_else(|| unreadable("extents", stored))?;
            if sequence <= upto {
                file_rows::decode_pieces(ino, slot, value)?;
                SlotRow { ino, slot, sequence, pieces: value.to_vec() }.encode(&mut page.bytes);
            }
            slots.next();
        }
        self.database.finished(&slots)?;
        Ok(page)
    }

    fn log_rows(&self, from: &[u8], upto: Sequence, bytes: usize) -> Result<RowPage> {
        let corrupt = |what: String, detail: &str| StorageError::Corrupt { what, detail: detail.to_owned() };
        let mut page = RowPage::default();
        let mut log = self.database.pass_over(Cf::Log, &[])?;
        log.seek(from);
        let mut versions = self.database.pass_over(Cf::Versions, &[])?;
        let mut expected = from.try_into().map_or(1, Sequence::from_be_bytes);
        while let Some((stored, entry)) = log.item() {
            let sequence = Sequence::from_be_bytes(stored.try_into().map_err(|_| unreadable("log", stored))?);
            if sequence > upto {
                break;
            }
            if sequence != expected {
                return Err(corrupt(format!("log entry {expected}"), "it is missing"));
            }
            if page.bytes.len() >= bytes {
                page.next = Some(stored.to_vec());
                break;
            }
            let decoded = codec::decode_entry(sequence, entry)?;
            let mut row = LogRow { entry: entry.to_vec(), version: Vec::new() };
            if let Some(kind) = decoded.kind {
                let wanted = record_key::version(kind, &decoded.id, sequence);
                versions.seek(&wanted);
                if let Some((_, stored)) = versions.item().filter(|(key, _)| *key == wanted) {
                    // What is damaged must not be kept as if it were sound.
                    let version = codec::decode_version(kind, &decoded.id, sequence, stored)?;
                    if version.commitment() != decoded.commitment {
                        let what = format!("{kind} {} at sequence {sequence}", decoded.id);
                        return Err(corrupt(what, "it is not what the log committed to"));
                    }
                    row.version = stored.to_vec();
                }
                self.database.finished(&versions)?;
            }
            row.encode(&mut page.bytes);
            expected += 1;
            log.next();
        }
        self.database.finished(&log)?;
        Ok(page)
    }
}

fn unreadable(family: &str, key: &[u8]) -> StorageError {
    StorageError::Corrupt {
        what: format!("the row of {family} under {key:02x?}"),
        detail: "its key cannot be read".to_owned(),
    }
}
