//! The index: which pack has which blob.

use std::collections::{HashMap, HashSet};

use super::keys::Name;
use super::manifest::Mark;
use super::pack::Entry;
use super::seal::Kind;

const ENTRY: usize = 1 + 32 + 4 + 4;
/// An index file has at most about so many bytes, far below what can be opened: 16 MiB.
const FILE_BYTES: usize = 16 << 20;

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
    /// Packs that are about to be removed, or are not whole: nothing new relies on them.
    leaving: HashSet<Name>,
    /// Of these, those that are gone or have another length.
    broken: HashSet<Name>,
}

impl Index {
    /// Of these packs, of which marks name some. Nothing is looked for in one that is broken or marked when it lies somewhere else,
    /// too, and in a broken one last.
    pub(super) fn of<'a>(
        packs: impl Iterator<Item = &'a Indexed> + Clone,
        marks: &[(Name, Mark)],
        is_whole: impl Fn(&Indexed) -> bool,
    ) -> Self {
        let broken: HashSet<Name> = packs.clone().filter(|pack| !is_whole(pack)).map(|pack| pack.pack).collect();
        let marked = marks.iter().flat_map(|(_, mark)| mark.packs.iter().copied());
        let mut index = Self { leaving: marked.chain(broken.iter().copied()).collect(), ..Self::default() };
        packs.clone().filter(|pack| !broken.contains(&pack.pack)).for_each(|pack| index.add(pack));
        packs.filter(|pack| broken.contains(&pack.pack)).for_each(|pack| index.add(pack));
        index.broken = broken;
        index
    }

    fn add(&mut self, indexed: &Indexed) {
        if self.numbers.contains_key(&indexed.pack) {
            return;
        }
        let number = u32::try_from(self.packs.len()).unwrap_or(u32::MAX);
        self.packs.push((indexed.pack, indexed.size));
        self.numbers.insert(indexed.pack, number);
        let leaving = self.leaving.contains(&indexed.pack);
        for entry in &indexed.entries {
            let place = (number, entry.offset, entry.len);
            if leaving {
                self.blobs.entry(entry.name).or_insert(place);
            } else if self.find(&entry.name).is_none_or(|location| self.leaving.contains(&location.pack)) {
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
        self.find(name).filter(|location| self.lasts(&location.pack))
    }

    /// It is neither marked nor broken.
    pub(super) fn lasts(&self, pack: &Name) -> bool {
        !self.leaving.contains(pack)
    }

    /// It is gone, or has another length than it should.
    pub(super) fn is_broken(&self, pack: &Name) -> bool {
        self.broken.contains(pack)
    }

    pub(super) fn packs(&self) -> &[(Name, u32)] {
        &self.packs
    }

    pub(super) fn contains_pack(&self, pack: &Name) -> bool {
        self.numbers.contains_key(pack)
    }
}

/// The contents of the index files that name these packs.
pub(super) fn encode<'a>(packs: impl IntoIterator<Item = &'a Indexed>) -> Vec<Vec<u8>> {
    encode_within(FILE_BYTES, packs)
}

fn encode_within<'a>(most: usize, packs: impl IntoIterator<Item = &'a Indexed>) -> Vec<Vec<u8>> {
    let mut files: Vec<Vec<u8>> = Vec::new();
    for pack in packs {
        let len = 40 + pack.entries.len() * ENTRY;
        if files.last().is_none_or(|file| file.len() + len > most) {
            files.push(Vec::with_capacity(len));
        }
        if let Some(file) = files.last_mut() {
            encode_pack(pack, file);
        }
    }
    files
}

fn encode_pack(Indexed { pack, size, entries }: &Indexed, out: &mut Vec<u8>) {
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
    use crate::record::Timestamp;

    fn indexed(pack: u8, blob: u8) -> Indexed {
        let entry = Entry { kind: Kind::Data, name: Name([blob; 32]), offset: 5, len: 6 };
        Indexed { pack: Name([pack; 32]), size: 77, entries: vec![entry; 2] }
    }

    #[test]
    fn an_index_comes_back_as_it_was() {
        let packs = vec![indexed(1, 2), indexed(3, 4)];
        let [bytes] = encode(&packs).try_into().unwrap();
        assert_eq!(decode(&bytes).unwrap(), packs);
        assert!((1..bytes.len()).filter(|len| *len != bytes.len() / 2).all(|len| decode(&bytes[..len]).is_none()));
    }

    /// However many packs there are, each file can be opened.
    #[test]
    fn an_index_is_cut_into_files() {
        let packs: Vec<_> = (0..100).map(|n| indexed(n, n)).collect();
        let most = 7 * (40 + 2 * ENTRY) + 1;
        let files = encode_within(most, &packs);
        assert_eq!(files.len(), 100_usize.div_ceil(7));
        assert!(files.iter().all(|file| file.len() <= most));
        assert_eq!(files.iter().flat_map(|file| decode(file).unwrap()).collect::<Vec<_>>(), packs);
        // One that is larger than a file should be has one for itself.
        assert_eq!(encode_within(1, &packs).len(), 100);
        assert!(encode_within(most, []).is_empty());
    }

    #[test]
    fn packs_that_stay_come_first_and_broken_ones_last() {
        let (lasting, marked, broken) = (indexed(1, 9), indexed(2, 9), indexed(3, 9));
        let mark = (Name([7; 32]), Mark { time: Timestamp::from_micros(0), packs: vec![marked.pack] });
        let found = |packs: &[&Indexed]| {
            let index = Index::of(packs.iter().copied(), std::slice::from_ref(&mark), |pack| pack.pack != broken.pack);
            let pack = index.find(&Name([9; 32])).unwrap().pack;
            assert_eq!(index.find_lasting(&Name([9; 32])).is_some(), pack == lasting.pack);
            pack
        };
        assert_eq!(found(&[&broken, &marked, &lasting]), lasting.pack);
        assert_eq!(found(&[&lasting, &broken, &marked]), lasting.pack);
        assert_eq!(found(&[&broken, &marked]), marked.pack);
        assert_eq!(found(&[&marked, &broken]), marked.pack);
        assert_eq!(found(&[&broken]), broken.pack);
    }
}
