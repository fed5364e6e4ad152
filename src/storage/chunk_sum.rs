//! What a chunk is known by: a hash of its content.

use std::fmt;

use crate::record::Checksum;

/// The BLAKE3 hash of a chunk's content. Chunks of the first vaults, and those of backups of them, have its SHA-256 instead; since
/// nobody can make other bytes with a given hash of either kind, it need not be said which one it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ChunkSum(pub [u8; 32]);

impl ChunkSum {
    /// That of a content.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self(*blake3::hash(content).as_bytes())
    }

    /// Whether it is that of a content.
    #[must_use]
    pub fn is_of(&self, content: &[u8]) -> bool {
        *self == Self::of(content) || self.0 == Checksum::of(content).0
    }
}

impl fmt::Debug for ChunkSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Checksum(self.0).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_blake3_and_was_sha256() {
        // Of the test vectors of BLAKE3 the one of no bytes, and of SHA-256 that of "abc" (FIPS 180-2).
        let empty = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        assert_eq!(format!("{:?}", ChunkSum::of(b"")), empty);
        let before =
            ChunkSum(Checksum::parse("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad").unwrap().0);
        for sum in [before, ChunkSum::of(b"abc")] {
            assert!(sum.is_of(b"abc") && !sum.is_of(b"abd"), "{sum:?}");
        }
    }
}
