//! Errors of a storage on the socket: each arrives as what it was.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use crate::record::id::NoRandomness;

use super::super::StorageError;
use super::super::codec::Reader;
use super::codec::{Wire, variants};

impl Wire for PathBuf {
    fn put(&self, out: &mut Vec<u8>) {
        self.as_os_str().as_bytes().to_vec().put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Option<Self> {
        Some(OsString::from_vec(Wire::take(reader)?).into())
    }
}

/// The number of the operating system says it all; without one there is the text.
impl Wire for io::Error {
    fn put(&self, out: &mut Vec<u8>) {
        self.raw_os_error().unwrap_or(0).cast_unsigned().put(out);
        self.to_string().put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Option<Self> {
        let number = reader.u32()?.cast_signed();
        let text = String::take(reader)?;
        Some(if number > 0 { Self::from_raw_os_error(number) } else { Self::other(text) })
    }
}

impl Wire for NoRandomness {
    fn put(&self, out: &mut Vec<u8>) {
        self.reason.put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self { reason: Wire::take(reader)? })
    }
}

/// Only making a vault finds a directory occupied, and nobody makes one through a socket.
impl Wire for &'static str {
    fn put(&self, _: &mut Vec<u8>) {}

    fn take(_: &mut Reader<'_>) -> Option<Self> {
        Some("something")
    }
}

/// Sizes are sent with 64 bits.
impl Wire for usize {
    fn put(&self, out: &mut Vec<u8>) {
        u64::try_from(*self).unwrap_or(u64::MAX).put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self::try_from(reader.u64()?).unwrap_or(Self::MAX))
    }
}

variants! {
    StorageError {
        1: NotAVault { path },
        2: Occupied { path, what },
        3: Locked { path, holder },
        4: NewerFormat { path, found, supported },
        5: UnknownFeatures { path, bits },
        6: Corrupt { what, detail },
        7: Permission { path },
        8: NoSpace { path },
        9: Io { path, source },
        10: Engine { path, message },
        11: Randomness(reason),
        12: Exists { kind, id },
        13: NotFound { kind, id },
        14: Stale { kind, id, expected, now },
        15: Limit { what, limit },
        16: Unanswered { path, holder },
        17: NotOwner { path, holder },
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::files::FORMAT;
    use super::super::wire::{HEADER, frame, message};
    use super::*;
    use crate::record::Kind;

    #[test]
    fn every_error_says_the_same_on_the_other_side() {
        let path = || PathBuf::from(OsString::from_vec(b"/va\xffult".to_vec()));
        let (kind, id) = (Kind::Memory, || "mem_1".to_owned());
        let errors = [
            StorageError::NotAVault { path: path() },
            StorageError::Locked { path: path(), holder: "process 1".into() },
            StorageError::NewerFormat { path: path(), found: 9, supported: FORMAT },
            StorageError::UnknownFeatures { path: path(), bits: 4 },
            StorageError::Corrupt { what: "it".into(), detail: "gone".into() },
            StorageError::Permission { path: path() },
            StorageError::NoSpace { path: path() },
            StorageError::Io { path: path(), source: io::Error::from_raw_os_error(5) },
            StorageError::Io { path: path(), source: io::Error::other("odd") },
            StorageError::Engine { path: path(), message: "no".into() },
            StorageError::Randomness(NoRandomness { reason: "none".into() }),
            StorageError::Exists { kind, id: id() },
            StorageError::NotFound { kind, id: id() },
            StorageError::Stale { kind, id: id(), expected: 1, now: 2 },
            StorageError::Limit { what: "too much".into(), limit: 3 },
            StorageError::Unanswered { path: path(), holder: "process 1".into() },
            StorageError::NotOwner { path: path(), holder: "process 1".into() },
        ];
        for error in errors {
            let there: StorageError = message(&frame(&error)[HEADER..]).unwrap();
            assert_eq!(format!("{there:?}"), format!("{error:?}"));
            assert_eq!(there.to_string(), error.to_string());
        }
    }
}
