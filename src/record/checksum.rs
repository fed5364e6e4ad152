//! Checksums: SHA-256, of bytes or of canonical JSON.

use std::fmt;
use std::io::{self, Read};

use sha2::{Digest, Sha256};

use super::json::{self, Charset, Layout};
use super::value::Value;

/// Bytes read at once.
const READ_BYTES: usize = 64 << 10;

/// A SHA-256 digest. Shown as 64 lower-case hex digits; read in either case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Checksum(pub [u8; 32]);

impl Checksum {
    /// The digest of bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest of several pieces, as if they were one.
    #[must_use]
    pub fn of_parts(parts: &[&[u8]]) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }

    /// The digest of everything that a reader gives, in bounded memory.
    ///
    /// # Errors
    /// Those of the reader.
    pub fn of_reader(reader: &mut dyn Read) -> io::Result<Self> {
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; READ_BYTES];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(Self(hasher.finalize().into())),
                Ok(read) => hasher.update(buffer.get(..read).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The protocol checksum of a value: the digest of its canonical JSON.
    #[must_use]
    pub fn of_value(value: &Value) -> Self {
        Self::of(&canonical(value))
    }

    /// Reads 64 hex digits of either case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 64 {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let [high, low] = pair else { return None };
            let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Some(Self(bytes))
    }
}

/// The canonical JSON of a value: ASCII, sorted keys, no spaces. See `docs/records.md`.
#[must_use]
pub fn canonical(value: &Value) -> Vec<u8> {
    json::to_vec(value, Layout::Compact, Charset::Ascii)
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_reads_both_cases_and_nothing_else() {
        let sum = Checksum::of(b"abc");
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sum.to_string(), hex);
        assert_eq!(Checksum::parse(hex), Some(sum));
        assert_eq!(Checksum::parse(&hex.to_uppercase()), Some(sum));
        assert_eq!(Checksum::parse(""), None);
        assert_eq!(Checksum::parse(&hex.replace('b', "g")), None);
        assert_eq!(Checksum::parse(&hex.replace('b', "é").chars().take(60).collect::<String>()), None);
    }
}
