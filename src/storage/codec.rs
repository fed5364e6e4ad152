//! The bytes of keys and values. `docs/on-disk-format.md` has the tables.
//!
//! Integers in keys are big-endian, so that their bytes sort as the numbers do; integers in values are little-endian.

use crate::record::{Checksum, Kind, Timestamp};

use super::StorageError;
use super::types::{Event, Head, LogEntry, Operation, Origin, Posting, RecordFile, Sequence, Term, Version};

const ENVELOPE_VERSION: u8 = 1;
const HEAD_VERSION: u8 = 1;
const ENTRY_VERSION: u8 = 1;
/// The record is stored as it is.
const CODEC_RAW: u8 = 0;
/// The record is not encrypted.
const KEY_NONE: u32 = 0;

const FLAG_LENIENT: u8 = 1;
const FLAG_TOMBSTONE: u8 = 2;
const FLAG_ARCHIVED: u8 = 4;

/// The index of a kind that holds every record that is there, in order of the log.
pub(super) fn all_index(kind: Kind) -> u16 {
    u16::from(kind.number()) << 8
}

/// Keys of the column families.
pub(super) mod key {
    use super::{Kind, Sequence, Term, Timestamp};

    /// `log`: sequence.
    pub(in crate::storage) fn log(sequence: Sequence) -> [u8; 8] {
        sequence.to_be_bytes()
    }

    /// `tiles`: level, index.
    pub(in crate::storage) fn tile(level: u8, index: u64) -> [u8; 9] {
        let mut key = [level; 9];
        if let Some(tail) = key.get_mut(1..) {
            tail.copy_from_slice(&index.to_be_bytes());
        }
        key
    }

    /// `heads`: collection, id.
    pub(in crate::storage) fn head(kind: Kind, id: &str) -> Vec<u8> {
        let mut key = Vec::with_capacity(1 + id.len());
        key.push(kind.number());
        key.extend_from_slice(id.as_bytes());
        key
    }

    /// What all `versions` keys of one record begin with: collection, id, 0.
    pub(in crate::storage) fn versions(kind: Kind, id: &str) -> Vec<u8> {
        let mut key = Vec::with_capacity(10 + id.len());
        key.push(kind.number());
        key.extend_from_slice(id.as_bytes());
        key.push(0);
        key
    }

    /// `versions`: collection, id, 0, inverted sequence: the newest comes first.
    pub(in crate::storage) fn version(kind: Kind, id: &str, sequence: Sequence) -> Vec<u8> {
        let mut key = versions(kind, id);
        key.extend_from_slice(&(!sequence).to_be_bytes());
        key
    }

    /// What of a `versions` key names the record: all but the sequence.
    pub(in crate::storage) fn record_of(key: &[u8]) -> &[u8] {
        key.split_last_chunk::<8>().map_or(key, |(record, _)| record)
    }

    /// Takes a `versions` key apart.
    pub(in crate::storage) fn split_version(key: &[u8]) -> Option<(Kind, &str, Sequence)> {
        let (kind, rest) = key.split_first()?;
        let (rest, sequence) = rest.split_last_chunk::<8>()?;
        let (zero, id) = rest.split_last()?;
        (*zero == 0).then_some(())?;
        Some((Kind::from_number(*kind)?, std::str::from_utf8(id).ok()?, !Sequence::from_be_bytes(*sequence)))
    }

    /// Takes a `heads` key apart.
    pub(in crate::storage) fn split_head(key: &[u8]) -> Option<(Kind, &str)> {
        let (kind, id) = key.split_first()?;
        Some((Kind::from_number(*kind)?, std::str::from_utf8(id).ok()?))
    }

    /// What all `index` keys of one term begin with: index number, term.
    pub(in crate::storage) fn term(index: u16, term: &Term) -> Vec<u8> {
        let mut key = Vec::with_capacity(64);
        key.extend_from_slice(&index.to_be_bytes());
        match term {
            Term::All => {}
            // No text holds a byte 0xff, so it ends the term and no term is the beginning of another.
            Term::Text(text) => {
                key.extend_from_slice(text.as_bytes());
                key.push(0xff);
            }
            Term::Time(time) => key.extend_from_slice(&descending(*time)),
        }
        key
    }

    /// `index`: index number, term, birth.
    pub(in crate::storage) fn posting(index: u16, of: &Term, birth: Sequence) -> Vec<u8> {
        let mut key = term(index, of);
        key.extend_from_slice(&birth.to_be_bytes());
        key
    }

    /// A time as eight bytes that sort the newest first.
    pub(in crate::storage) fn descending(time: Timestamp) -> [u8; 8] {
        (!(time.as_micros().cast_unsigned() ^ (1 << 63))).to_be_bytes()
    }
}

/// Reads a value from its front, and says `None` when it is too short.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(n)?;
        self.0 = tail;
        Some(head)
    }

    pub(crate) fn chunk<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>()?;
        self.0 = tail;
        Some(*head)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.chunk::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.chunk().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.chunk().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.chunk().map(u64::from_le_bytes)
    }

    pub(crate) fn i128(&mut self) -> Option<i128> {
        self.chunk().map(i128::from_le_bytes)
    }

    pub(crate) fn time(&mut self) -> Option<Timestamp> {
        self.chunk().map(|bytes| Timestamp::from_micros(i64::from_le_bytes(bytes)))
    }

    pub(crate) fn checksum(&mut self) -> Option<Checksum> {
        self.chunk().map(Checksum)
    }

    pub(crate) fn bytes16(&mut self) -> Option<&'a [u8]> {
        let len = self.u16()?;
        self.take(len.into())
    }

    pub(crate) fn text16(&mut self) -> Option<String> {
        std::str::from_utf8(self.bytes16()?).ok().map(str::to_owned)
    }

    pub(crate) fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

fn push16(out: &mut Vec<u8>, bytes: &[u8]) {
    // Everything written with a 16-bit length has a limit below it, checked before it comes here; cutting is the safe side.
    let len = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(bytes.get(..len.into()).unwrap_or_default());
}

fn push_file(out: &mut Vec<u8>, file: &RecordFile) {
    out.extend_from_slice(&file.len.to_le_bytes());
    out.extend_from_slice(&file.sha256.0);
}

fn read_file(reader: &mut Reader<'_>) -> Option<RecordFile> {
    Some(RecordFile { len: reader.u64()?, sha256: reader.checksum()? })
}

fn flags(lenient: bool, tombstone: bool, archived: bool) -> u8 {
    (if lenient { FLAG_LENIENT } else { 0 })
        | (if tombstone { FLAG_TOMBSTONE } else { 0 })
        | (if archived { FLAG_ARCHIVED } else { 0 })
}

fn damaged(what: &str, name: &str) -> StorageError {
    StorageError::Corrupt { what: format!("{what} {name}"), detail: "its stored bytes cannot be read".to_owned() }
}

pub(super) fn encode_version(version: &Version) -> Vec<u8> {
    let mut out = Vec::with_capacity(version.json.len() + 256);
    out.push(ENVELOPE_VERSION);
    out.push(CODEC_RAW);
    out.extend_from_slice(&KEY_NONE.to_le_bytes());
    out.push(flags(version.lenient, version.deleted, version.archived));
    out.extend_from_slice(&version.salt);
    out.extend_from_slice(&version.checksum.0);
    push_file(&mut out, &version.file);
    out.extend_from_slice(&version.birth.to_le_bytes());
    out.extend_from_slice(&version.time.as_micros().to_le_bytes());
    out.extend_from_slice(&u16::try_from(version.terms.len()).unwrap_or(u16::MAX).to_le_bytes());
    for (index, term) in version.terms.iter().take(usize::from(u16::MAX)) {
        out.extend_from_slice(&index.to_le_bytes());
        match term {
            Term::All => push16(&mut out, b""),
            Term::Text(text) => push16(&mut out, text.as_bytes()),
            Term::Time(time) => push16(&mut out, &time.as_micros().to_le_bytes()),
        }
    }
    out.extend_from_slice(&u32::try_from(version.json.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(&version.json);
    let crc = crc32c::crc32c(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

/// Reads a version and checks its envelope against the envelope's checksum, and the record against the protocol's.
pub(super) fn decode_version(kind: Kind, id: &str, sequence: Sequence, bytes: &[u8]) -> Result<Version, StorageError> {
    let name = || format!("{kind} {id} at sequence {sequence}");
    let corrupt = |detail: String| StorageError::Corrupt { what: name(), detail };
    let (body, crc) = bytes.split_last_chunk::<4>().ok_or_else(|| damaged("", &name()))?;
    let (expected, actual) = (u32::from_le_bytes(*crc), crc32c::crc32c(body));
    if expected != actual {
        return Err(corrupt(format!("its envelope has the checksum {actual:08x} instead of {expected:08x}")));
    }
    let version = read_version(kind, sequence, body).ok_or_else(|| damaged("", &name()))?;
    if !version.deleted {
        let actual = Checksum::of(&version.json);
        if actual != version.checksum {
            return Err(corrupt(format!("expected checksum {}, actual {actual}", version.checksum)));
        }
    }
    Ok(version)
}

fn read_version(kind: Kind, sequence: Sequence, body: &[u8]) -> Option<Version> {
    let mut reader = Reader(body);
    (reader.u8()? == ENVELOPE_VERSION).then_some(())?;
    (reader.u8()? == CODEC_RAW).then_some(())?;
    (reader.u32()? == KEY_NONE).then_some(())?;
    let flags = reader.u8()?;
    let salt = reader.chunk()?;
    let checksum = reader.checksum()?;
    let file = read_file(&mut reader)?;
    let birth = reader.u64()?;
    let time = reader.time()?;
    let count = reader.u16()?;
    let mut terms = Vec::with_capacity(count.into());
    for _ in 0..count {
        let number = reader.u16()?;
        let bytes = reader.bytes16()?;
        terms.push((number, read_term(kind, number, bytes)?));
    }
    let len = reader.u32()?;
    let json = reader.take(usize::try_from(len).ok()?)?.to_vec();
    reader.end()?;
    Some(Version {
        sequence,
        birth,
        time,
        checksum,
        file,
        salt,
        lenient: flags & FLAG_LENIENT != 0,
        deleted: flags & FLAG_TOMBSTONE != 0,
        archived: flags & FLAG_ARCHIVED != 0,
        terms,
        json,
    })
}

fn read_term(kind: Kind, number: u16, bytes: &[u8]) -> Option<Term> {
    use crate::record::kind::IndexForm;
    if number == all_index(kind) {
        return Some(Term::All);
    }
    let index = kind.indexes().iter().find(|index| index.number == number)?;
    Some(match index.form {
        IndexForm::Time => Term::Time(Timestamp::from_micros(i64::from_le_bytes(bytes.try_into().ok()?))),
        IndexForm::Text | IndexForm::Each => Term::Text(std::str::from_utf8(bytes).ok()?.to_owned()),
    })
}

pub(super) fn encode_head(head: &Head) -> Vec<u8> {
    let mut out = Vec::with_capacity(66);
    out.push(HEAD_VERSION);
    out.push(flags(head.lenient, head.deleted, head.archived));
    out.extend_from_slice(&head.sequence.to_le_bytes());
    out.extend_from_slice(&head.birth.to_le_bytes());
    out.extend_from_slice(&head.time.as_micros().to_le_bytes());
    push_file(&mut out, &head.file);
    out
}

pub(super) fn decode_head(kind: Kind, id: &str, bytes: &[u8]) -> Result<Head, StorageError> {
    read_head(bytes).ok_or_else(|| damaged("the head of", &format!("{kind} {id}")))
}

fn read_head(bytes: &[u8]) -> Option<Head> {
    let mut reader = Reader(bytes);
    (reader.u8()? == HEAD_VERSION).then_some(())?;
    let flags = reader.u8()?;
    let head = Head {
        sequence: reader.u64()?,
        birth: reader.u64()?,
        time: reader.time()?,
        file: read_file(&mut reader)?,
        lenient: flags & FLAG_LENIENT != 0,
        deleted: flags & FLAG_TOMBSTONE != 0,
        archived: flags & FLAG_ARCHIVED != 0,
    };
    reader.end()?;
    Some(head)
}

pub(super) fn encode_posting(time: Timestamp, archived: bool, id: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(9 + id.len());
    out.extend_from_slice(&time.as_micros().to_le_bytes());
    out.push(flags(false, false, archived));
    out.extend_from_slice(id.as_bytes());
    out
}

pub(super) fn decode_posting(key: &[u8], value: &[u8]) -> Result<Posting, StorageError> {
    let read = || {
        let (_, birth) = key.split_last_chunk::<8>()?;
        let mut reader = Reader(value);
        let time = reader.time()?;
        let flags = reader.u8()?;
        let id = std::str::from_utf8(reader.0).ok()?.to_owned();
        Some(Posting { birth: Sequence::from_be_bytes(*birth), time, archived: flags & FLAG_ARCHIVED != 0, id })
    };
    read().ok_or_else(|| damaged("index entry", &format!("{key:02x?}")))
}

/// The bytes of a log entry: what the leaf of the Merkle tree is the hash of.
pub(super) fn encode_entry(entry: &LogEntry) -> Vec<u8> {
    let mut out = Vec::with_capacity(192);
    out.push(ENTRY_VERSION);
    out.extend_from_slice(&entry.sequence.to_le_bytes());
    out.extend_from_slice(&entry.time.as_micros().to_le_bytes());
    out.push(entry.operation as u8);
    out.push(entry.origin as u8);
    out.push(entry.event.map_or(0, |event| event as u8));
    out.push(u8::from(entry.end_of_commit));
    out.push(entry.kind.map_or(0, Kind::number));
    push16(&mut out, entry.id.as_bytes());
    push16(&mut out, entry.session.as_bytes());
    push16(&mut out, entry.agent.as_bytes());
    push16(&mut out, entry.actor.as_bytes());
    out.extend_from_slice(&entry.commitment.map_or([0; 32], |commitment| commitment.0));
    push16(&mut out, entry.token.as_ref().map_or(&[][..], |token| token.as_slice()));
    push16(&mut out, entry.detail.as_bytes());
    out
}

pub(super) fn decode_entry(sequence: Sequence, bytes: &[u8]) -> Result<LogEntry, StorageError> {
    read_entry(bytes)
        .filter(|entry| entry.sequence == sequence)
        .ok_or_else(|| damaged("log entry", &sequence.to_string()))
}

fn read_entry(bytes: &[u8]) -> Option<LogEntry> {
    let mut reader = Reader(bytes);
    (reader.u8()? == ENTRY_VERSION).then_some(())?;
    let sequence = reader.u64()?;
    let time = reader.time()?;
    let operation = Operation::from_number(reader.u8()?)?;
    let origin = Origin::from_number(reader.u8()?)?;
    let event = match reader.u8()? {
        0 => None,
        number => Some(Event::from_number(number)?),
    };
    let end_of_commit = reader.u8()? == 1;
    let kind = match reader.u8()? {
        0 => None,
        number => Some(Kind::from_number(number)?),
    };
    let (id, session, agent, actor) = (reader.text16()?, reader.text16()?, reader.text16()?, reader.text16()?);
    let commitment = Some(reader.checksum()?).filter(|commitment| commitment.0 != [0; 32]);
    let token = match reader.bytes16()? {
        [] => None,
        bytes => Some(bytes.try_into().ok()?),
    };
    let detail = reader.text16()?;
    reader.end()?;
    Some(LogEntry {
        sequence,
        time,
        operation,
        origin,
        event,
        end_of_commit,
        kind,
        id,
        session,
        agent,
        actor,
        commitment,
        token,
        detail,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version() -> Version {
        let json = b"{\"a\":1}".to_vec();
        Version {
            sequence: 7,
            birth: 3,
            time: Timestamp::from_micros(-5),
            checksum: Checksum::of(&json),
            file: RecordFile { len: 12, sha256: Checksum::of(b"file") },
            salt: [9; 16],
            lenient: true,
            deleted: false,
            archived: true,
            terms: vec![
                (all_index(Kind::Memory), Term::All),
                (0x0301, Term::Text("episodic".into())),
                (0x0306, Term::Time(Timestamp::from_micros(99))),
            ],
            json,
        }
    }

    #[test]
    fn a_version_comes_back_as_it_was() {
        let version = version();
        let bytes = encode_version(&version);
        assert_eq!(decode_version(Kind::Memory, "m", 7, &bytes).unwrap(), version);
    }

    #[test]
    fn every_flipped_bit_of_a_version_is_seen() {
        let bytes = encode_version(&version());
        for at in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[at / 8] ^= 1 << (at % 8);
            assert!(
                matches!(decode_version(Kind::Memory, "m", 7, &bytes), Err(StorageError::Corrupt { .. })),
                "bit {at}"
            );
        }
    }

    #[test]
    fn version_keys_sort_newest_first_and_lead_back() {
        let (new, old) = (key::version(Kind::Memory, "a", 9), key::version(Kind::Memory, "a", 8));
        assert!(new < old);
        assert!(old < key::version(Kind::Memory, "a_", 9));
        assert_eq!(key::split_version(&new), Some((Kind::Memory, "a", 9)));
    }

    #[test]
    fn times_sort_newest_first() {
        let of = |micros| key::descending(Timestamp::from_micros(micros));
        assert!(of(1) < of(0) && of(0) < of(-1) && of(i64::MAX) < of(1));
    }

    #[test]
    fn a_log_entry_comes_back_as_it_was() {
        let entry = LogEntry {
            sequence: 5,
            time: Timestamp::from_micros(1),
            operation: Operation::Update,
            origin: Origin::Restore,
            event: Some(Event::SessionEnd),
            end_of_commit: true,
            kind: Some(Kind::Session),
            id: "sess_é".into(),
            session: "s".into(),
            agent: String::new(),
            actor: "system".into(),
            commitment: Some(Checksum::of(b"x")),
            token: Some([1; 16]),
            detail: "{}".into(),
        };
        let bytes = encode_entry(&entry);
        assert_eq!(decode_entry(5, &bytes).unwrap(), entry);
        assert!(decode_entry(6, &bytes).is_err());
        assert!(decode_entry(5, &bytes[..bytes.len() - 1]).is_err());
    }
}
