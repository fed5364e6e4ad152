//! Packs: many sealed blobs in one file, from whose length nobody can tell theirs.

use super::error::Result;
use super::keys::Name;
use super::seal::{Kind, OVERHEAD, Sealer, step};

/// A pack is closed when it has this many bytes: 16 MiB.
pub(super) const PACK_BYTES: usize = 16 << 20;

const ENTRY: usize = 1 + 32 + 4;

/// A blob in a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    pub(super) name: Name,
    pub(super) offset: u32,
    /// As sealed.
    pub(super) len: u32,
}

/// A pack that is being filled.
#[derive(Default)]
pub(super) struct Pack {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

/// A pack as it is written.
pub(super) struct Written {
    pub(super) name: Name,
    pub(super) bytes: Vec<u8>,
    /// Its blobs, without the padding.
    pub(super) entries: Vec<Entry>,
}

impl Pack {
    /// One that is filled in the memory of another that was written.
    pub(super) fn within(mut memory: Vec<u8>) -> Self {
        memory.clear();
        Self { bytes: memory, entries: Vec::new() }
    }

    /// Puts a sealed blob into it.
    pub(super) fn add(&mut self, kind: Kind, name: Name, sealed: &[u8]) {
        let place = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        self.entries.push(Entry { kind, name, offset: place(self.bytes.len()), len: place(sealed.len()) });
        self.bytes.extend_from_slice(sealed);
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= PACK_BYTES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Pads and closes it.
    pub(super) fn close(mut self, sealer: &Sealer) -> Result<Written> {
        // The header's own length does not depend on how long the padding is.
        let header_len = self.header(sealer, 0)?.len();
        let least = self.bytes.len() + OVERHEAD + header_len + 4;
        let padding = OVERHEAD + step(least) - least;
        let padded = sealer.padding(padding)?;
        let header = self.header(sealer, u32::try_from(padding).unwrap_or(u32::MAX))?;
        self.bytes.extend_from_slice(&padded);
        self.bytes.extend_from_slice(&header);
        self.bytes.extend_from_slice(&u32::try_from(header.len()).unwrap_or(u32::MAX).to_le_bytes());
        Ok(Written { name: Name::of_file(&self.bytes), bytes: self.bytes, entries: self.entries })
    }

    fn header(&self, sealer: &Sealer, padding: u32) -> Result<Vec<u8>> {
        let mut header = Vec::with_capacity((self.entries.len() + 1) * ENTRY);
        let last = Entry { kind: Kind::Padding, name: Name::NONE, offset: 0, len: padding };
        for entry in self.entries.iter().chain([&last]) {
            header.push(entry.kind as u8);
            header.extend_from_slice(&entry.name.0);
            header.extend_from_slice(&entry.len.to_le_bytes());
        }
        sealer.raw_file(Kind::PackHeader, &header)
    }
}

/// The blobs of a pack by its own header, the padding last; none when it is damaged there.
pub(super) fn read_header(sealer: &Sealer, pack: &[u8]) -> Option<Vec<Entry>> {
    let (rest, len) = pack.split_last_chunk::<4>()?;
    let len = usize::try_from(u32::from_le_bytes(*len)).ok()?;
    let blobs = rest.len().checked_sub(len)?;
    let header = sealer.open(Kind::PackHeader, &Name::NONE, rest.get(blobs..)?.to_vec())?;
    let mut entries = Vec::with_capacity(header.len() / ENTRY);
    let mut offset = 0_u32;
    let (parts, left) = header.as_chunks::<ENTRY>();
    for part in parts {
        let ([kind], rest) = part.split_first_chunk::<1>()?;
        let (name, len) = rest.split_first_chunk::<32>()?;
        let len = u32::from_le_bytes(len.try_into().ok()?);
        entries.push(Entry { kind: Kind::from_number(*kind)?, name: Name(*name), offset, len });
        offset = offset.checked_add(len)?;
    }
    (left.is_empty() && usize::try_from(offset).ok()? == blobs).then_some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::keys::{MasterKey, RepositoryId};

    #[test]
    fn a_pack_tells_its_blobs_and_its_length_is_a_step() {
        let keys = MasterKey::from_bytes([7; 32]).keys();
        let sealer = Sealer::new(&keys, RepositoryId([1; 16]));
        let mut pack = Pack::default();
        for n in 0..40_u8 {
            let content = vec![n; 100 * usize::from(n)];
            let name = keys.name_of(Kind::Data, &content);
            pack.add(Kind::Data, name, &sealer.blob(Kind::Data, &name, &content).unwrap());
        }
        let written = pack.close(&sealer).unwrap();
        assert_eq!(written.bytes.len(), step(written.bytes.len()));
        let entries = read_header(&sealer, &written.bytes).unwrap();
        let (padding, blobs) = entries.split_last().unwrap();
        assert_eq!((padding.kind, blobs), (Kind::Padding, &written.entries[..]));
        assert!(read_header(&sealer, &written.bytes[1..]).is_none());
    }
}
