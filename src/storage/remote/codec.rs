//! Values as bytes on the socket: integers little-endian, everything else from front to back, lists and texts with a
//! 32-bit length before them.

use std::ops::Range;

use crate::record::{Checksum, FileType, Kind, Timestamp};

use super::super::artifacts::{Dentry, FileRows, Piece, Space};
use super::super::chunk_sum::ChunkSum;
use super::super::codec::Reader;
use super::super::rows::{Part, RowPage};
use super::super::types::{
    Action, Change, Commit, Committed, Durability, Event, Expect, Head, LogEntry, LogState, Operation, Order, Origin,
    Position, Posting, Prepared, RecordFile, Seen, Selection, Term, Version,
};
use super::super::{Changed, Fault, Intent, PrunePolicy, Pruned, StorageStats};

/// What can be sent.
pub(crate) trait Wire: Sized {
    /// Appends its bytes.
    fn put(&self, out: &mut Vec<u8>);

    /// Reads it from the front of what came; `None` when it is not there.
    fn take(reader: &mut Reader<'_>) -> Option<Self>;
}

macro_rules! integers {
    ($($type:ty: $read:ident),+) => {
        $(impl Wire for $type {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }

            fn take(reader: &mut Reader<'_>) -> Option<Self> {
                reader.$read()
            }
        })+
    };
}

integers!(u16: u16, u32: u32, u64: u64, i128: i128);

/// Values that are sent as one byte: each with its number.
macro_rules! bytes {
    ($($type:ty { $($number:literal: $value:pat => $made:expr),+ $(,)? })+) => {
        $(impl Wire for $type {
            fn put(&self, out: &mut Vec<u8>) {
                out.push(match self { $($value => $number),+ });
            }

            fn take(reader: &mut Reader<'_>) -> Option<Self> {
                match reader.u8()? {
                    $($number => Some($made),)+
                    _ => None,
                }
            }
        })+
    };
}

bytes! {
    bool { 0: false => false, 1: true => true }
    Durability { 0: Self::Sync => Self::Sync, 1: Self::Buffered => Self::Buffered }
    Part { 1: Self::Chunks => Self::Chunks, 2: Self::Slots => Self::Slots, 3: Self::Log => Self::Log }
    Order { 0: Self::Log => Self::Log, 1: Self::LogReversed => Self::LogReversed, 2: Self::NewestTime => Self::NewestTime }
}

/// Values that have a number in the log.
macro_rules! numbered {
    ($($type:ty),+) => {
        $(impl Wire for $type {
            fn put(&self, out: &mut Vec<u8>) {
                out.push(*self as u8);
            }

            fn take(reader: &mut Reader<'_>) -> Option<Self> {
                Self::from_number(reader.u8()?)
            }
        })+
    };
}

numbered!(Kind, Operation, Origin, Event, FileType);

impl<const N: usize> Wire for [u8; N] {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn take(reader: &mut Reader<'_>) -> Option<Self> {
        reader.chunk()
    }
}

fn take_bytes<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let length = reader.u32()?;
    reader.take(usize::try_from(length).ok()?)
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_count(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    // A frame cannot be as long as that, so the reader sees a list that is cut.
    u32::try_from(count).unwrap_or(u32::MAX).put(out);
}

impl Wire for String {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.as_bytes());
    }

    fn take(reader: &mut Reader<'_>) -> Option<Self> {
        std::str::from_utf8(take_bytes(reader)?).ok().map(str::to_owned)
    }
}

impl Wire for Vec<u8> {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(out, self);
    }

    fn take(reader: &mut Reader<'_>) -> Option<Self> {
        take_bytes(reader).map(<[u8]>::to_vec)
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        put_count(out, self.len());
        for item in self {
            item.put(out);
        }
    }

    fn take(reader: &mut Reader<'_>) -> Option<Self> {
        let count = reader.u32()?;
        // Room is made for what is there, not for what is said to be.
        let mut items = Self::new();
        for _ in 0..count {
            items.push(T::take(reader)?);
        }
        Some(items)
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn take(reader: &mut Reader<'_>) -> Option<Self> {
        if bool::take(reader)? { T::take(reader).map(Some) } else { Some(None) }
    }
}

impl<A: Wire, B: Wire> Wire for (A, B) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Option<Self> {
        Some((A::take(reader)?, B::take(reader)?))
    }
}

impl<A: Wire, B: Wire, C: Wire> Wire for (A, B, C) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
        self.2.put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Option<Self> {
        Some((A::take(reader)?, B::take(reader)?, C::take(reader)?))
    }
}

impl<T: Wire> Wire for Range<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.start.put(out);
        self.end.put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Option<Self> {
        Some(T::take(reader)?..T::take(reader)?)
    }
}

impl<T: Wire> Wire for Box<T> {
    fn put(&self, out: &mut Vec<u8>) {
        (**self).put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Option<Self> {
        T::take(reader).map(Self::new)
    }
}

impl Wire for Timestamp {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.as_micros().to_le_bytes());
    }

    fn take(reader: &mut Reader<'_>) -> Option<Self> {
        reader.time()
    }
}

impl Wire for ChunkSum {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self(reader.checksum()?.0))
    }
}

impl Wire for Checksum {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Option<Self> {
        reader.checksum()
    }
}

/// Values that are sent field after field.
macro_rules! fields {
    ($($type:ident { $($field:ident),+ })+) => {
        $(impl Wire for $type {
            fn put(&self, out: &mut Vec<u8>) {
                $(self.$field.put(out);)+
            }

            fn take(reader: &mut Reader<'_>) -> Option<Self> {
                Some(Self { $($field: Wire::take(reader)?),+ })
            }
        })+
    };
}

fields! {
    RecordFile { len, sha256 }
    Head { sequence, birth, time, file, lenient, deleted, archived }
    Version { sequence, birth, time, checksum, file, salt, lenient, deleted, archived, terms, json }
    Posting { birth, time, archived, id }
    Position { time, birth }
    Selection { kind, terms, time, archived, order }
    Prepared { json, checksum, file, terms, time, session, agent, archived, lenient }
    Change { kind, id, action, expect, event }
    Seen { kind, id, at }
    Commit { seen, changes, files, actor, origin, token, durability }
    FileRows { dentries, extents }
    Dentry { ino, file_type }
    Piece { start, len, chunk, offset, sum }
    Space { total, free, artifacts }
    RowPage { bytes, next }
    Committed { first, last, time }
    LogState { sequence, durable, root, time, epoch, horizon }
    LogEntry {
        sequence, time, operation, origin, event, end_of_commit, kind, id, session, agent, actor, commitment, token, detail
    }
    Changed { entry, before, after }
    Fault { subject, problem, derived }
    PrunePolicy { keep, current_after, dry_run }
    Pruned { versions, bytes, kept, file_rows, chunks, chunk_bytes }
    StorageStats { versions_read, disk_bytes }
}

/// Values with a number that says which they are, and then what they hold.
macro_rules! variants {
    ($($type:ident { $($number:literal: $variant:ident $(($($inner:ident),+))? $({ $($field:ident),+ })?),+ $(,)? })+) => {
        $(impl Wire for $type {
            fn put(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$variant $(($($inner),+))? $({ $($field),+ })? => {
                        out.push($number);
                        $($($inner.put(out);)+)?
                        $($($field.put(out);)+)?
                    })+
                }
            }

            fn take(reader: &mut Reader<'_>) -> Option<Self> {
                match reader.u8()? {
                    $($number => {
                        $($(let $inner = Wire::take(reader)?;)+)?
                        $($(let $field = Wire::take(reader)?;)+)?
                        Some(Self::$variant $(($($inner),+))? $({ $($field),+ })?)
                    })+
                    _ => None,
                }
            }
        })+
    };
}

/// Messages of one side of a conversation: what each is for, its number, and what it holds.
macro_rules! messages {
    ($(#[$doc:meta])* $name:ident {
        $($(#[$about:meta])* $number:literal: $variant:ident $({ $($field:ident: $type:ty),+ })?),+ $(,)?
    }) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub(super) enum $name {
            $($(#[$about])* $variant $({ $($field: $type),+ })?),+
        }

        variants! { $name { $($number: $variant $({ $($field),+ })?),+ } }
    };
}

pub(crate) use {fields, messages, variants};

variants! {
    Term { 0: All, 1: Text(text), 2: Time(time) }
    Expect { 0: Any, 1: Absent, 2: Present, 3: At(sequence) }
    Action { 0: Delete, 1: Put(prepared) }
    Intent { 1: Restore { target, start }, 2: Import { since } }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::wire::{HEADER, frame, message};
    use super::*;

    /// Sends a value, as it were, and compares what arrives; cut anywhere, it must not arrive at all.
    pub(in crate::storage::remote) fn returns<T: Wire + PartialEq + std::fmt::Debug>(value: &T) {
        let bytes = frame(value);
        let payload = &bytes[HEADER..];
        assert_eq!(message::<T>(payload).ok().as_ref(), Some(value));
        for end in 0..payload.len() {
            assert!(message::<T>(&payload[..end]).is_err(), "{value:?} cut at {end}");
        }
    }

    pub(in crate::storage::remote) fn version() -> Version {
        Version {
            sequence: 7,
            birth: 3,
            time: Timestamp::from_micros(-5),
            checksum: Checksum([1; 32]),
            file: RecordFile { len: 12, sha256: Checksum([2; 32]) },
            salt: [9; 16],
            lenient: true,
            deleted: false,
            archived: true,
            terms: vec![(0x0300, Term::All), (0x0301, Term::Text("é".into())), (0x0306, Term::Time(Timestamp::EPOCH))],
            json: b"{}".to_vec(),
        }
    }

    pub(in crate::storage::remote) fn commit() -> Commit {
        let version = version();
        let prepared = Prepared {
            json: version.json,
            checksum: version.checksum,
            file: version.file,
            terms: version.terms,
            time: Some(version.time),
            session: "s".into(),
            agent: String::new(),
            archived: false,
            lenient: true,
        };
        let put = Change {
            kind: Kind::Memory,
            id: "m".into(),
            action: Action::Put(Box::new(prepared)),
            expect: Expect::At(3),
            event: Some(Event::MemoryCreated),
        };
        let delete =
            Change { kind: Kind::Glyph, id: "g".into(), action: Action::Delete, expect: Expect::Present, event: None };
        Commit {
            seen: vec![
                Seen { kind: Kind::Session, id: "s".into(), at: Some(2) },
                Seen { kind: Kind::Memory, id: "m".into(), at: None },
            ],
            changes: vec![put, delete],
            files: FileRows {
                dentries: vec![
                    (1, b"a\xff".to_vec(), Some(Dentry { ino: 2, file_type: FileType::Fifo })),
                    (1, vec![], None),
                ],
                extents: vec![(2, 3, vec![Piece { start: 1, len: 2, chunk: 3, offset: 4, sum: ChunkSum([5; 32]) }])],
            },
            actor: "who".into(),
            origin: Origin::Restore,
            token: Some([7; 16]),
            durability: Durability::Buffered,
        }
    }

    #[test]
    fn every_value_comes_back_and_none_comes_in_part() {
        returns(&version());
        returns(&commit());
        let entry = LogEntry {
            sequence: 5,
            time: Timestamp::from_micros(1),
            operation: Operation::Update,
            origin: Origin::Direct,
            event: Some(Event::SessionEnd),
            end_of_commit: true,
            kind: Some(Kind::Session),
            id: "sess_é".into(),
            session: "s".into(),
            agent: String::new(),
            actor: "system".into(),
            commitment: Some(Checksum([3; 32])),
            token: Some([1; 16]),
            detail: "{}".into(),
        };
        returns(&Changed { entry, before: version().terms, after: Vec::new() });
        returns(&Head::from(&version()));
        returns(&Selection {
            kind: Kind::Memory,
            terms: vec![(0x0301, "episodic".into())],
            time: Some(Timestamp::from_micros(1)..Timestamp::from_micros(2)),
            archived: Some(false),
            order: Order::NewestTime,
        });
        returns(&Posting { birth: 1, time: Timestamp::EPOCH, archived: true, id: "x".into() });
        returns(&Intent::Import { since: 9 });
        returns(&PrunePolicy { keep: Some(3), current_after: Some(Timestamp::EPOCH), dry_run: true });
    }

    #[test]
    fn a_list_that_claims_to_be_endless_takes_no_memory() {
        let mut bytes = u32::MAX.to_le_bytes().to_vec();
        bytes.extend_from_slice(&[0; 64]);
        assert!(message::<Vec<Posting>>(&bytes).is_err());
        assert!(message::<Vec<u8>>(&bytes).is_err());
        assert!(message::<String>(&bytes).is_err());
    }
}
