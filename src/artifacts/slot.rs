//! One slot of a file: 128 KiB of its content, as pieces of chunks that are written and runs of bytes that are not yet.

use crate::storage::{ChunkId, ChunkSum, MAX_PIECES, Piece, SLOT_BYTES, StorageError};

/// With more pieces than this a slot is written anew as one chunk, so that reading it does not become slow. A piece for each page of
/// 4 KiB: with 8, writing pages in any order was less than half as fast, since most of it was writing slots anew, and took twice the
/// room; reading in order what was written so was half as fast again.
const FEW_PIECES: usize = 32;

/// Where chunks are written to and read from.
pub(super) trait Chunks {
    /// Writes a chunk.
    fn append(&self, bytes: &[u8]) -> Result<(ChunkId, ChunkSum), StorageError>;
    /// Reads a piece from its byte `from` on.
    fn read(&self, piece: &Piece, from: u32, out: &mut [u8]) -> Result<(), StorageError>;
}

/// Bytes that are in memory only.
#[derive(Clone, Debug)]
struct Run {
    start: u32,
    bytes: Vec<u8>,
}

impl Run {
    fn end(&self) -> u32 {
        self.start + length(&self.bytes)
    }
}

/// One slot.
#[derive(Clone, Debug, Default)]
pub(super) struct Slot {
    /// In order, without overlap.
    pieces: Vec<Piece>,
    /// In order, without overlap, never side by side. They lie over the pieces.
    runs: Vec<Run>,
}

impl Slot {
    /// A slot as the storage has it.
    pub(super) fn stored(pieces: Vec<Piece>) -> Self {
        Self { pieces, runs: Vec::new() }
    }

    /// Its pieces. Complete only when nothing is in memory alone.
    pub(super) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// It is a hole.
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.runs.is_empty()
    }

    /// Bytes that are in memory only.
    pub(super) fn buffered(&self) -> usize {
        self.runs.iter().map(|run| run.bytes.len()).sum()
    }

    /// All of it is in memory and waits to become a chunk.
    pub(super) fn is_full(&self) -> bool {
        matches!(self.runs.as_slice(), [run] if length(&run.bytes) == SLOT_BYTES)
    }

    /// The ranges that are no holes, in order and never side by side.
    pub(super) fn data(&self) -> Vec<(u32, u32)> {
        let pieces = self.pieces.iter().map(|piece| (piece.start, piece.start + piece.len));
        let mut ranges: Vec<_> = pieces.chain(self.runs.iter().map(|run| (run.start, run.end()))).collect();
        ranges.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::with_capacity(ranges.len());
        for (start, end) in ranges {
            match merged.last_mut() {
                Some(last) if last.1 >= start => last.1 = last.1.max(end),
                _ => merged.push((start, end)),
            }
        }
        merged
    }

    /// How many bytes are no holes.
    pub(super) fn allocated(&self) -> u64 {
        match (self.pieces.as_slice(), self.runs.as_slice()) {
            ([], []) => 0,
            ([piece], []) => piece.len.into(),
            ([], [run]) => run.bytes.len() as u64,
            _ => self.data().iter().map(|(start, end)| u64::from(end - start)).sum(),
        }
    }

    /// Puts bytes into memory.
    pub(super) fn write(&mut self, start: u32, bytes: &[u8]) {
        let end = start + length(bytes);
        // The runs that the bytes touch: those that end at or after their beginning and begin at or before their end.
        let first = self.runs.partition_point(|run| run.end() < start);
        let behind = self.runs.partition_point(|run| run.start <= end);
        if first == behind {
            self.runs.insert(first, Run { start, bytes: bytes.to_vec() });
            return;
        }
        let mut touched = self.runs.drain(first..behind);
        let Some(mut run) = touched.next() else { return };
        let last = touched.next_back();
        drop(touched);
        if run.start > start {
            let mut longer = Vec::with_capacity(bytes.len() + run.bytes.len());
            longer.extend_from_slice(bytes);
            longer.extend_from_slice(tail(&run.bytes, end.saturating_sub(run.start)));
            run = Run { start, bytes: longer };
        } else {
            overlay(&mut run.bytes, start - run.start, bytes);
        }
        if let Some(last) = last {
            let have = run.end();
            run.bytes.extend_from_slice(tail(&last.bytes, have.saturating_sub(last.start)));
        }
        self.runs.insert(first, run);
    }

    /// Makes all of it one piece.
    pub(super) fn replace(&mut self, piece: Piece) {
        self.runs.clear();
        self.pieces.clear();
        self.pieces.push(piece);
    }

    /// Puts a piece over what is there.
    pub(super) fn put(&mut self, piece: Piece) {
        self.cut(piece.start, piece.start + piece.len);
        let place = self.pieces.partition_point(|known| known.start < piece.start);
        self.pieces.insert(place, piece);
    }

    /// Makes a range a hole.
    pub(super) fn cut(&mut self, from: u32, to: u32) {
        if from >= to {
            return;
        }
        if self.runs.iter().any(|run| run.start < to && run.end() > from) {
            let mut kept = Vec::with_capacity(self.runs.len() + 1);
            for mut run in self.runs.drain(..) {
                let end = run.end();
                if end > to {
                    let start = run.start.max(to);
                    let behind = Run { start, bytes: tail(&run.bytes, start - run.start).to_vec() };
                    run.bytes.truncate(from.saturating_sub(run.start) as usize);
                    kept.extend((!run.bytes.is_empty() && run.start < from).then_some(run));
                    kept.push(behind);
                } else {
                    run.bytes.truncate(from.saturating_sub(run.start) as usize);
                    kept.extend((!run.bytes.is_empty()).then_some(run));
                }
            }
            self.runs = kept;
        }
        if self.pieces.iter().any(|piece| piece.start < to && piece.start + piece.len > from) {
            self.pieces = without(&self.pieces, from, to);
        }
    }

    /// The pieces that show a range of what is written, for another file to have them too. Nothing of it may be in memory.
    pub(super) fn shared(&self, from: u32, to: u32) -> Vec<Piece> {
        without(&without(&self.pieces, 0, from), to, SLOT_BYTES)
    }

    /// Reads from `from` on; holes are zeros.
    pub(super) fn read(&self, from: u32, out: &mut [u8], chunks: &dyn Chunks) -> Result<(), StorageError> {
        let to = from + length(out);
        let whole = match self.pieces.as_slice() {
            [piece] => piece.start <= from && piece.start + piece.len >= to,
            _ => false,
        };
        if !whole {
            out.fill(0);
        }
        for piece in &self.pieces {
            let (start, end) = (piece.start.max(from), (piece.start + piece.len).min(to));
            if start < end
                && let Some(out) = out.get_mut((start - from) as usize..(end - from) as usize)
            {
                chunks.read(piece, start - piece.start, out)?;
            }
        }
        for run in &self.runs {
            let (start, end) = (run.start.max(from), run.end().min(to));
            if start < end
                && let Some(out) = out.get_mut((start - from) as usize..(end - from) as usize)
                && let Some(bytes) = run.bytes.get((start - run.start) as usize..(end - run.start) as usize)
            {
                out.copy_from_slice(bytes);
            }
        }
        Ok(())
    }

    /// Writes what is in memory only, as one chunk, whose number is returned; when the slot has become a patchwork, all of
    /// it.
    ///
    /// # Errors
    /// Those of writing; then nothing has changed.
    pub(super) fn flush(&mut self, chunks: &dyn Chunks) -> Result<Option<ChunkId>, StorageError> {
        if self.runs.is_empty() && self.pieces.len() <= FEW_PIECES {
            return Ok(None);
        }
        let mut under = self.pieces.clone();
        for run in &self.runs {
            under = without(&under, run.start, run.end());
        }
        if under.len() + self.runs.len() > FEW_PIECES {
            match self.rewrite(chunks) {
                // What is damaged stays as it is, and what is new is saved all the same.
                Err(StorageError::Corrupt { .. }) if under.len() + self.runs.len() <= MAX_PIECES => {
                    if self.runs.is_empty() {
                        return Ok(None);
                    }
                }
                rewritten => return rewritten.map(Some),
            }
        }
        let joined: Vec<u8>;
        let bytes = match self.runs.as_slice() {
            [run] => run.bytes.as_slice(),
            runs => {
                joined = runs.iter().flat_map(|run| &run.bytes).copied().collect();
                &joined
            }
        };
        let (chunk, sum) = chunks.append(bytes)?;
        let mut offset = 0;
        for run in self.runs.drain(..) {
            let len = length(&run.bytes);
            under.push(Piece { start: run.start, len, chunk, offset, sum });
            offset += len;
        }
        under.sort_unstable_by_key(|piece| piece.start);
        self.pieces = under;
        Ok(Some(chunk))
    }

    /// Writes all of the slot as one chunk.
    fn rewrite(&mut self, chunks: &dyn Chunks) -> Result<ChunkId, StorageError> {
        let mut ranges = self.data();
        if ranges.len() > FEW_PIECES
            && let (Some(first), Some(last)) = (ranges.first(), ranges.last())
        {
            // Too many small holes to keep them.
            ranges = vec![(first.0, last.1)];
        }
        let mut bytes = vec![0; ranges.iter().map(|(start, end)| (end - start) as usize).sum()];
        let mut rest = bytes.as_mut_slice();
        for (start, end) in &ranges {
            let (part, behind) = rest.split_at_mut((end - start) as usize);
            self.read(*start, part, chunks)?;
            rest = behind;
        }
        let (chunk, sum) = chunks.append(&bytes)?;
        let mut offset = 0;
        self.runs.clear();
        self.pieces.clear();
        for (start, end) in ranges {
            self.pieces.push(Piece { start, len: end - start, chunk, offset, sum });
            offset += end - start;
        }
        Ok(chunk)
    }
}

/// Pieces without what they show of a range.
fn without(pieces: &[Piece], from: u32, to: u32) -> Vec<Piece> {
    let mut kept = Vec::with_capacity(pieces.len() + 1);
    for piece in pieces {
        let end = piece.start + piece.len;
        if end <= from || piece.start >= to {
            kept.push(*piece);
            continue;
        }
        if piece.start < from {
            kept.push(Piece { len: from - piece.start, ..*piece });
        }
        if end > to {
            kept.push(Piece { start: to, len: end - to, offset: piece.offset + (to - piece.start), ..*piece });
        }
    }
    kept
}

/// The length of bytes of a slot.
pub(super) fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

fn tail(bytes: &[u8], from: u32) -> &[u8] {
    bytes.get(from as usize..).unwrap_or_default()
}

/// Puts bytes over others, from a place on that is at most their end.
fn overlay(under: &mut Vec<u8>, from: u32, bytes: &[u8]) {
    let from = from as usize;
    let inside = bytes.len().min(under.len().saturating_sub(from));
    let (over, behind) = bytes.split_at(inside);
    if let Some(under) = under.get_mut(from..from + inside) {
        under.copy_from_slice(over);
    }
    under.extend_from_slice(behind);
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::HashMap;
    use std::sync::Mutex;

    use proptest::prelude::*;

    use super::*;

    /// Chunks in memory.
    #[derive(Default)]
    pub(crate) struct Memory(Mutex<HashMap<ChunkId, Vec<u8>>>);

    impl Chunks for Memory {
        fn append(&self, bytes: &[u8]) -> Result<(ChunkId, ChunkSum), StorageError> {
            let mut chunks = self.0.lock().unwrap();
            let id = chunks.len() as u64 + 1;
            assert!(!bytes.is_empty() && bytes.len() <= SLOT_BYTES as usize);
            chunks.insert(id, bytes.to_vec());
            Ok((id, ChunkSum::of(bytes)))
        }

        fn read(&self, piece: &Piece, from: u32, out: &mut [u8]) -> Result<(), StorageError> {
            assert!(from + length(out) <= piece.len);
            let from = (piece.offset + from) as usize;
            out.copy_from_slice(&self.0.lock().unwrap()[&piece.chunk][from..from + out.len()]);
            Ok(())
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Write(u32, u32, u8),
        Cut(u32, u32),
        Flush,
    }

    fn step() -> impl Strategy<Value = Step> {
        // Around the ends and on a coarse raster, so that ranges often meet exactly.
        let place = prop_oneof![0..64_u32, (0..=32_u32).prop_map(|n| n * 4_096), SLOT_BYTES - 9..=SLOT_BYTES];
        prop_oneof![
            4 => (place.clone(), place.clone(), 1..=255_u8).prop_map(|(a, b, byte)| Step::Write(a.min(b), a.max(b), byte)),
            1 => (place.clone(), place).prop_map(|(a, b)| Step::Cut(a.min(b), a.max(b))),
            1 => Just(Step::Flush),
        ]
    }

    proptest! {
        #[test]
        fn a_slot_is_what_was_written_into_it(steps in proptest::collection::vec(step(), 1..40)) {
            let chunks = Memory::default();
            let mut slot = Slot::default();
            let mut model = vec![None; SLOT_BYTES as usize];
            for step in steps {
                match step {
                    Step::Write(from, to, byte) if from < to => {
                        slot.write(from, &vec![byte; (to - from) as usize]);
                        model[from as usize..to as usize].fill(Some(byte));
                    }
                    Step::Cut(from, to) => {
                        slot.cut(from, to);
                        model[from as usize..to as usize].fill(None);
                    }
                    Step::Write(..) => {}
                    Step::Flush => {
                        slot.flush(&chunks).unwrap();
                        prop_assert!(slot.pieces().len() <= FEW_PIECES);
                        prop_assert_eq!(slot.buffered(), 0);
                        // A patchwork may have had its holes filled with zeros.
                        for (start, end) in slot.data() {
                            for byte in &mut model[start as usize..end as usize] {
                                byte.get_or_insert(0);
                            }
                        }
                    }
                }
                let mut bytes = vec![7; SLOT_BYTES as usize];
                slot.read(0, &mut bytes, &chunks).unwrap();
                prop_assert!(bytes.iter().zip(&model).all(|(byte, model)| *byte == model.unwrap_or(0)));
                let data = slot.data();
                prop_assert!(data.windows(2).all(|pair| pair[0].1 < pair[1].0));
                prop_assert_eq!(slot.allocated(), data.iter().map(|(start, end)| u64::from(end - start)).sum::<u64>());
                let mut is_data = vec![false; SLOT_BYTES as usize];
                for (start, end) in &data {
                    is_data[*start as usize..*end as usize].fill(true);
                }
                prop_assert!(is_data.iter().zip(&model).all(|(data, model)| *data == model.is_some()));
                prop_assert_eq!(slot.is_empty(), data.is_empty());
                prop_assert!(slot.runs.windows(2).all(|pair| pair[0].end() < pair[1].start));
            }
        }
    }

    #[test]
    fn cutting_nothing_changes_nothing() {
        let mut slot = Slot::default();
        slot.write(0, &[1; 100]);
        slot.cut(50, 50);
        assert_eq!((slot.runs.len(), slot.data()), (1, vec![(0, 100)]));
    }

    #[test]
    fn a_slot_written_piece_by_piece_is_one_run() {
        let mut slot = Slot::default();
        for n in 0..32 {
            assert!(!slot.is_full());
            slot.write(n * 4_096, &[1; 4_096]);
        }
        assert!(slot.is_full());
        let chunks = Memory::default();
        slot.flush(&chunks).unwrap();
        assert_eq!(slot.pieces().len(), 1);
        let shared = slot.shared(10, 20);
        assert_eq!((shared[0].start, shared[0].len, shared[0].offset), (10, 10, 10));
    }
}
