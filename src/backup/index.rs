//! The index: which pack has which blob.

use std::collections::{HashMap, HashSet};

use super::keys::Name;
use super::pack::Entry;
use super::seal::Kind;

const ENTRY: usize = 1 + 32 + 4 + 4;

/// A pack that an index names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Indexed {
    pub(super) pack: Name,
    /// Length of the file.
    pub(super) size: u32,
    pub(super) entries: Vec<Entry>,
}

/// Where a blob lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Location {
    pub(super) pack: Name,
    pub(super) offset: u32,
    pub(super) len: u32,
}

/// All that the index files say.
#[derive(Default)]
pub(super) struct Index {
    packs: Vec<(Name, u32)>,
    numbers: HashMap<Name, u32>,
    blobs: HashMap<Name, (u32, u32, u32)>,
    /// Packs that are about to be removed: nothing new relies on them.
    marked: HashSet<Name>,
}

impl Index {
    /// Packs that marks name. To be said before packs are added.
    pub(super) fn with_marked(marked: HashSet<Name>) -> Self {
        Self { marked, ..Self::default() }
    }

    pub(super) fn add(&mut self, indexed: &Indexed) {
        if self.numbers.contains_key(&indexed.pack) {
            return;
        }
        let number = u32::try_from(self.packs.len()).unwrap_or(u32::MAX);
        self.packs.push((indexed.pack, indexed.size));
        self.numbers.insert(indexed.pack, number);
        let marked = self.marked.contains(&indexed.pack);
        for entry in &indexed.entries {
            let place = (number, entry.offset, entry.len);
            if marked {
                self.blobs.entry(entry.name).or_insert(place);
            } else if self.find(&entry.name).is_none_or(|location| self.marked.contains(&location.pack)) {
                self.blobs.insert(entry.name, place);
            }
        }
    }

    /// Where a blob lies; rather in a pack that stays.
    pub(super) fn find(&self, name: &Name) -> Option<Location> {
        let (number, offset, len) = *self.blobs.get(name)?;
        let (pack, _) = *self.packs.get(usize::try_from(number).ok()?)?;
        Some(Location { pack, offset, len })
    }

    /// As [`Index::find`], of packs that stay alone.
    pub(super) fn find_lasting(&self, name: &Name) -> Option<Location> {
        self.find(name).filter(|location| !self.marked.contains(&location.pack))
    }

    pub(super) fn is_marked(&self, pack: &Name) -> bool {
        self.marked.contains(pack)
    }

    pub(super) fn packs(&self) -> &[(Name, u32)] {
        &self.packs
    }

    pub(super) fn contains_pack(&self, pack: &Name) -> bool {
        self.numbers.contains_key(pack)
    }
}

/// The content of an index file.
pub(super) fn encode<'a>(packs: impl IntoIterator<Item = &'a Indexed>) -> Vec<u8> {
    let mut out = Vec::new();
    for Indexed { pack, size, entries } in packs {
        out.extend_from_slice(&pack.0);
        out.extend_from_slice(&size.to_le_bytes());
        out.extend_from_slice(&u32::try_from(entries.len()).unwrap_or(u32::MAX).to_le_bytes());
        for entry in entries {
            out.push(entry.kind as u8);
            out.extend_from_slice(&entry.name.0);
            out.extend_from_slice(&entry.offset.to_le_bytes());
            out.extend_from_slice(&entry.len.to_le_bytes());
        }
    }
    out
}

pub(super) fn decode(mut bytes: &[u8]) -> Option<Vec<Indexed>> {
    let mut packs = Vec::new();
    while !bytes.is_empty() {
        let (pack, rest) = bytes.split_first_chunk::<32>()?;
        let (size, rest) = rest.split_first_chunk::<4>()?;
        let (count, rest) = rest.split_first_chunk::<4>()?;
        let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
        let (entries, rest) = rest.split_at_checked(count.checked_mul(ENTRY)?)?;
        let entries = entries.as_chunks::<ENTRY>().0.iter().map(decode_entry).collect::<Option<Vec<_>>>()?;
        packs.push(Indexed { pack: Name(*pack), size: u32::from_le_bytes(*size), entries });
        bytes = rest;
    }
    Some(packs)
}

fn decode_entry(bytes: &[u8; ENTRY]) -> Option<Entry> {
    let ([kind], rest) = bytes.split_first_chunk::<1>()?;
    let (name, rest) = rest.split_first_chunk::<32>()?;
    let (offset, len) = rest.split_first_chunk::<4>()?;
    Some(Entry {
        kind: Kind::from_number(*kind)?,
        name: Name(*name),
        offset: u32::from_le_bytes(*offset),
        len: u32::from_le_bytes(len.try_into().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indexed(pack: u8, blob: u8) -> Indexed {
        let entry = Entry { kind: Kind::Data, name: Name([blob; 32]), offset: 5, len: 6 };
        Indexed { pack: Name([pack; 32]), size: 77, entries: vec![entry; 2] }
    }

    #[test]
    fn an_index_comes_back_as_it_was() {
        let packs = vec![indexed(1, 2), indexed(3, 4)];
        let bytes = encode(&packs);
        assert_eq!(decode(&bytes).unwrap(), packs);
        assert!((1..bytes.len()).filter(|len| *len != bytes.len() / 2).all(|len| decode(&bytes[..len]).is_none()));
    }

    #[test]
    fn packs_that_stay_come_first() {
        for order in [[1, 2], [2, 1]] {
            let mut index = Index::with_marked([Name([1; 32])].into());
            for pack in order {
                index.add(&indexed(pack, 9));
            }
            assert_eq!(index.find_lasting(&Name([9; 32])).unwrap().pack, Name([2; 32]));
        }
        let mut index = Index::with_marked([Name([1; 32])].into());
        index.add(&indexed(1, 9));
        assert!(index.find(&Name([9; 32])).is_some() && index.find_lasting(&Name([9; 32])).is_none());
    }
}
