//! Cutting a stream by its content, so that a change moves the cuts around it and no others.
//!
//! A rolling hash over a table that is part of the key: where a stream is cut says nothing to somebody without it. (The crate
//! `fastcdc` has a public table and at most a seed of 64 bits for it.)

use zeroize::Zeroizing;

/// No piece but the last one is shorter: 128 KiB.
pub(super) const LEAST: usize = 128 << 10;
/// From here on a cut becomes likelier: 512 KiB.
const USUAL: usize = 512 << 10;
/// Most pieces are shorter.
const ROOM: usize = 1 << 20;
/// No piece is longer: 2 MiB.
pub(super) const MOST: usize = 2 << 20;
/// A cut lies where all of these bits are zero.
const RARE: u64 = !(u64::MAX >> 21);
const FREQUENT: u64 = !(u64::MAX >> 17);

/// Bytes that are looked at together.
const BLOCK: usize = 4 << 10;
/// A byte has no part in the hash any more after so many others.
const REACH: usize = 64;

/// The table of the rolling hash.
#[derive(Clone)]
pub(super) struct Gear(Zeroizing<[u64; 256]>);

impl Gear {
    pub(super) fn new(entry: impl Fn(u8) -> u64) -> Self {
        let mut table = Zeroizing::new([0; 256]);
        table.iter_mut().zip(0..=u8::MAX).for_each(|(to, n)| *to = entry(n));
        Self(table)
    }

    fn step(&self, hash: u64, byte: u8) -> u64 {
        // A table of 256 has an entry for every byte.
        (hash << 1).wrapping_add(self.0.get(usize::from(byte)).copied().unwrap_or_default())
    }

    /// How many bytes there are up to the first cut, and the hash behind the last one when there is none.
    fn scan(&self, hash: &mut u64, bytes: &[u8], mask: u64) -> Option<usize> {
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        let mut start = 0;
        for block in blocks {
            match self.behind(*hash, block, mask) {
                Some(behind) => *hash = behind,
                None => return self.scan_each(hash, block, mask).map(|cut| start + cut),
            }
            start += BLOCK;
        }
        self.scan_each(hash, rest, mask).map(|cut| start + cut)
    }

    fn scan_each(&self, hash: &mut u64, bytes: &[u8], mask: u64) -> Option<usize> {
        for (n, byte) in bytes.iter().enumerate() {
            *hash = self.step(*hash, *byte);
            if *hash & mask == 0 {
                return Some(n + 1);
            }
        }
        None
    }

    /// The hash behind a block in which there is no cut. Each step waits for the one before, so the halves of the block are gone
    /// through at the same time: of the first one only the last bytes have a part in the hashes of the second.
    fn behind(&self, mut hash: u64, block: &[u8; BLOCK], mask: u64) -> Option<u64> {
        let (first, second) = block.split_at(BLOCK / 2);
        let reach = first.last_chunk::<REACH>().map_or(&[][..], |reach| reach);
        let mut other = reach.iter().fold(0, |hash, byte| self.step(hash, *byte));
        for (first, second) in first.as_chunks::<4>().0.iter().zip(second.as_chunks::<4>().0) {
            let mut cut = false;
            for (byte, other_byte) in first.iter().zip(second) {
                hash = self.step(hash, *byte);
                other = self.step(other, *other_byte);
                cut |= hash & mask == 0;
                cut |= other & mask == 0;
            }
            if cut {
                return None;
            }
        }
        Some(other)
    }
}

/// Cuts a stream that comes bit by bit.
pub(super) struct Cutter<'a> {
    gear: &'a Gear,
    piece: Vec<u8>,
    hash: u64,
}

impl<'a> Cutter<'a> {
    pub(super) fn new(gear: &'a Gear) -> Self {
        Self { gear, piece: Vec::with_capacity(ROOM), hash: 0 }
    }

    /// Takes what comes next, and hands over each piece that it completes.
    pub(super) fn feed<E>(
        &mut self,
        mut bytes: &[u8],
        mut complete: impl FnMut(Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        while !bytes.is_empty() {
            let len = self.piece.len();
            let (reach, mask) = match len {
                0..LEAST => (LEAST, None),
                LEAST..USUAL => (USUAL, Some(RARE)),
                _ => (MOST, Some(FREQUENT)),
            };
            let (now, _) = bytes.split_at(bytes.len().min(reach - len));
            let cut = mask.and_then(|mask| self.gear.scan(&mut self.hash, now, mask));
            let (taken, rest) = bytes.split_at(cut.unwrap_or(now.len()));
            self.piece.extend_from_slice(taken);
            bytes = rest;
            if cut.is_some() || self.piece.len() == MOST {
                self.hash = 0;
                complete(std::mem::replace(&mut self.piece, Vec::with_capacity(ROOM)))?;
            }
        }
        Ok(())
    }

    /// What is left at the end of the stream; empty when it ended with a cut.
    pub(super) fn finish(self) -> Vec<u8> {
        self.piece
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::convert::Infallible;

    use super::*;
    use crate::backup::keys::MasterKey;

    fn noise(len: usize, seed: u64) -> Vec<u8> {
        let mut x = seed | 1;
        let mut next = move || {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            x.to_le_bytes()[4]
        };
        (0..len).map(|_| next()).collect()
    }

    fn cut(bytes: &[u8], feed: usize) -> Vec<Vec<u8>> {
        let keys = MasterKey::from_bytes([3; 32]).keys();
        let mut cutter = Cutter::new(&keys.gear);
        let mut pieces = Vec::new();
        for part in bytes.chunks(feed) {
            cutter
                .feed(part, |piece| {
                    pieces.push(piece);
                    Ok::<_, Infallible>(())
                })
                .unwrap();
        }
        pieces.push(cutter.finish());
        pieces
    }

    #[test]
    fn pieces_make_up_the_stream_however_it_comes() {
        let bytes = noise(9_000_000, 5);
        let pieces = cut(&bytes, 1 << 20);
        assert_eq!(pieces.concat(), bytes);
        assert!(pieces.len() > 6 && pieces.len() < 40, "{}", pieces.len());
        let (_, all) = pieces.split_last().unwrap();
        assert!(all.iter().all(|piece| (LEAST..=MOST).contains(&piece.len())));
        assert_eq!(cut(&bytes, 777), pieces);
        assert_eq!(cut(&bytes, bytes.len()), pieces);
    }

    #[test]
    fn an_insertion_changes_the_pieces_around_it_alone() {
        let bytes = noise(20_000_000, 9);
        let before: HashSet<_> = cut(&bytes, 1 << 20).into_iter().collect();
        let mut changed = bytes.clone();
        changed.splice(9_000_000..9_000_000, b"something new".iter().copied());
        let fresh = cut(&changed, 1 << 20).into_iter().filter(|piece| !before.contains(piece)).count();
        assert!(fresh <= 4, "{fresh} pieces are new");
    }

    #[test]
    fn blocks_have_the_cuts_that_their_bytes_have() {
        let keys = MasterKey::from_bytes([3; 32]).keys();
        let bytes = noise(3_000_000, 7);
        for (mask, most) in [(FREQUENT, 1 << 20), (!(u64::MAX >> 9), 20_000), (!(u64::MAX >> 3), 300)] {
            let (mut rest, mut cuts) = (&bytes[..], 0);
            while !rest.is_empty() {
                let now = &rest[..rest.len().min(most)];
                let (mut one, mut other) = (0, 0);
                let cut = keys.gear.scan(&mut one, now, mask);
                assert_eq!(cut, keys.gear.scan_each(&mut other, now, mask));
                assert_eq!(one, other);
                cuts += usize::from(cut.is_some());
                rest = &rest[cut.unwrap_or(now.len())..];
            }
            assert!(cuts > 5, "{cuts}");
        }
    }

    #[test]
    fn a_stream_of_one_byte_is_cut_too() {
        assert!(cut(&vec![0; 9 << 20], 1 << 20).len() >= 4);
    }
}
