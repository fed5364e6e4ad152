//! What a file holds: bytes that stay as they are, in memory when they are few, else in a temporary file without a name, or
//! in the vault, as those of an artifact.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::artifacts::Ino;
use crate::record::{Checksum, Timestamp};

use super::node::Pinned;

/// More bytes than this go to a temporary file.
const IN_MEMORY: usize = 256 << 10;

/// The content of a file at one sequence. Clones share it.
#[derive(Clone, Debug)]
pub struct Content {
    body: Body,
    /// Where it begins in the body.
    start: u64,
    len: u64,
    sha256: Option<Checksum>,
    time: Timestamp,
}

#[derive(Clone, Debug)]
enum Body {
    Memory(Arc<[u8]>),
    File(Arc<File>),
    Artifact(Arc<Pinned>, Ino),
}

impl Content {
    pub(super) fn of(bytes: Vec<u8>, sha256: Checksum, time: Timestamp) -> Self {
        Self { start: 0, len: bytes.len() as u64, body: Body::Memory(bytes.into()), sha256: Some(sha256), time }
    }

    pub(super) fn of_artifact(pinned: Arc<Pinned>, ino: Ino, len: u64, time: Timestamp) -> Self {
        Self { start: 0, len, body: Body::Artifact(pinned, ino), sha256: None, time }
    }

    /// Its length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// True for an empty file.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Its SHA-256. Of an artifact it is not known before all of it was read.
    #[must_use]
    pub fn sha256(&self) -> Option<Checksum> {
        self.sha256
    }

    /// When what it is made from changed last.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// At most `size` bytes from `offset` on; fewer only at the end.
    ///
    /// # Errors
    /// Those of reading a temporary file, and of an artifact that is damaged.
    pub fn read_at(&self, offset: u64, size: usize) -> io::Result<Cow<'_, [u8]>> {
        let size = size.min(usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX));
        if size == 0 {
            return Ok(Cow::Borrowed(&[]));
        }
        match &self.body {
            Body::Memory(bytes) => {
                let start = usize::try_from(self.start + offset).unwrap_or(usize::MAX);
                Ok(Cow::Borrowed(bytes.get(start..start.saturating_add(size)).unwrap_or_default()))
            }
            Body::File(file) => {
                let mut bytes = vec![0; size];
                file.read_exact_at(&mut bytes, self.start + offset)?;
                Ok(Cow::Owned(bytes))
            }
            Body::Artifact(pinned, ino) => {
                let mut bytes = vec![0; size];
                let read = pinned.artifacts().read(*ino, self.start + offset, &mut bytes).map_err(io::Error::other)?;
                bytes.truncate(read);
                Ok(Cow::Owned(bytes))
            }
        }
    }
}

/// Takes the bytes of a file that is being made. What it holds can be seen as content at any time, and it can go on.
#[derive(Default)]
pub(super) struct Spool {
    /// Bytes that are not in the file.
    buffer: Vec<u8>,
    file: Option<Arc<File>>,
    /// Where the part begins that is being written.
    start: u64,
    len: u64,
    hasher: Sha256,
}

impl Spool {
    /// What was written since the last part ended, and ends this part there.
    pub(super) fn part(&mut self, time: Timestamp) -> io::Result<Content> {
        // Parts in memory would each copy those before them.
        self.flush()?;
        let part = self.content(time)?;
        self.start = self.len;
        self.hasher = Sha256::new();
        Ok(part)
    }

    /// What was written until now.
    pub(super) fn content(&mut self, time: Timestamp) -> io::Result<Content> {
        let body = if self.file.is_some() {
            self.flush()?;
            self.file.clone().map_or_else(|| Body::Memory(Arc::default()), Body::File)
        } else {
            Body::Memory(self.buffer.as_slice().into())
        };
        let sha256 = Some(Checksum(self.hasher.clone().finalize().into()));
        Ok(Content { body, start: self.start, len: self.len - self.start, sha256, time })
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
        if self.buffer.len() > IN_MEMORY {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let file = match &self.file {
            Some(file) => file,
            None => self.file.insert(Arc::new(tempfile::tempfile()?)),
        };
        file.write_all_at(&self.buffer, self.len - self.buffer.len() as u64)?;
        self.buffer.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_share_a_file_and_know_their_own_bytes() {
        let mut spool = Spool::default();
        spool.write_all(b"first").unwrap();
        let first = spool.part(Timestamp::default()).unwrap();
        spool.write_all(b"second").unwrap();
        let second = spool.part(Timestamp::default()).unwrap();
        for (part, bytes) in [(first, &b"first"[..]), (second, b"second")] {
            assert_eq!(part.read_at(0, 100).unwrap(), bytes);
            assert_eq!(part.read_at(2, 2).unwrap(), bytes.get(2..4).unwrap());
            assert_eq!(part.sha256(), Some(Checksum::of(bytes)));
        }
    }

    #[test]
    fn content_stays_as_it_was_while_the_spool_goes_on() {
        let mut spool = Spool::default();
        let mut expected = Vec::new();
        let mut earlier = Vec::new();
        for n in 0..20_u8 {
            let piece = vec![n; 40_000];
            spool.write_all(&piece).unwrap();
            expected.extend_from_slice(&piece);
            earlier.push((expected.clone(), spool.content(Timestamp::default()).unwrap()));
        }
        for (bytes, content) in earlier {
            assert_eq!(content.len(), bytes.len() as u64);
            assert_eq!(content.sha256(), Some(Checksum::of(&bytes)));
            assert_eq!(content.read_at(0, usize::MAX).unwrap(), bytes);
            assert_eq!(content.read_at(39_990, 20).unwrap(), bytes.get(39_990..bytes.len().min(40_010)).unwrap());
            assert!(content.read_at(content.len() + 5, 20).unwrap().is_empty());
        }
    }
}
