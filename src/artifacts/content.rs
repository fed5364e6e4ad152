//! The content of one file: its slots, which of them wait to be committed, and its size.
//!
//! Each file has a lock of its own, so that work on one does not wait for another, or for the names. The order is: a
//! file's lock before the namespace's lock, never the other way round.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::record::Checksum;
use crate::storage::{
    ChunkId, Ino, NOW, Piece, SLOT_BYTES, Storage, StorageError, WINDOW_SLOTS, file_root, window_root,
};

use super::namespace::StoredData;
use super::slot::{Chunks, Slot, length};

/// Slots read from the storage at once.
const PAGE: usize = 4_096;
const SLOT: u64 = SLOT_BYTES as u64;

/// What all files together hold back.
#[derive(Debug, Default)]
pub(super) struct Budget {
    /// Bytes that are in memory only.
    pub(super) buffered: AtomicUsize,
    /// Slots that wait to be committed.
    pub(super) slots: AtomicUsize,
    /// Chunks that were written and that no file shows any more, unless they were shared.
    pub(super) garbage: Mutex<Vec<ChunkId>>,
}

/// The content of a file.
#[derive(Debug)]
pub(super) struct Content {
    ino: Ino,
    budget: Arc<Budget>,
    state: RwLock<State>,
}

/// What is known of it.
#[derive(Debug)]
pub(super) struct State {
    budget: Arc<Budget>,
    size: u64,
    allocated: u64,
    slots: BTreeMap<u64, Slot>,
    /// All slots are here; else none is.
    loaded: bool,
    /// Slots that wait to be committed.
    dirty: BTreeSet<u64>,
    /// Slots of a commit that is under way.
    in_flight: BTreeSet<u64>,
    /// Chunks that were written for this file and not committed yet.
    fresh: Vec<ChunkId>,
    /// Those of them that a commit that is under way names, or that nothing names any more.
    staged_chunks: Vec<ChunkId>,
    /// The root of each window when the content was last staged; none before they were computed.
    windows: Option<BTreeMap<u64, Checksum>>,
}

/// Content that is ready to be committed.
pub(super) struct Staged {
    pub(super) data: StoredData,
    /// Slots and their pieces.
    pub(super) rows: Vec<(u64, Vec<Piece>)>,
}

impl Content {
    /// The content of a file, of which the storage has something, or nothing.
    pub(super) fn new(ino: Ino, size: u64, allocated: u64, stored: bool, budget: &Arc<Budget>) -> Self {
        let state = State {
            budget: Arc::clone(budget),
            size,
            allocated,
            slots: BTreeMap::new(),
            loaded: !stored,
            dirty: BTreeSet::new(),
            in_flight: BTreeSet::new(),
            fresh: Vec::new(),
            staged_chunks: Vec::new(),
            windows: (!stored).then(BTreeMap::new),
        };
        Self { ino, budget: Arc::clone(budget), state: RwLock::new(state) }
    }

    /// Its slots, to be read.
    pub(super) fn read(&self, storage: &dyn Storage) -> Result<RwLockReadGuard<'_, State>, StorageError> {
        loop {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            if state.loaded {
                return Ok(state);
            }
            drop(state);
            drop(self.write(storage)?);
        }
    }

    /// Its slots, to be changed.
    pub(super) fn write(&self, storage: &dyn Storage) -> Result<RwLockWriteGuard<'_, State>, StorageError> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if !state.loaded {
            let mut from = 0;
            let mut slots = BTreeMap::new();
            loop {
                let page = storage.extents(self.ino, from, PAGE, NOW)?;
                let Some((last, _)) = page.last() else { break };
                from = last.saturating_add(1);
                let full = page.len() >= PAGE;
                slots.extend(page.into_iter().map(|(slot, pieces)| (slot, Slot::stored(pieces))));
                if !full {
                    break;
                }
            }
            state.allocated = slots.values().map(Slot::allocated).sum();
            state.slots = slots;
            state.loaded = true;
        }
        Ok(state)
    }

    /// The state as it is, loaded or not.
    pub(super) fn peek(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let buffered = state.slots.values().map(Slot::buffered).sum();
        self.budget.buffered.fetch_sub(buffered, Ordering::Relaxed);
        self.budget.slots.fetch_sub(state.dirty.len(), Ordering::Relaxed);
        self.budget.discard(std::mem::take(&mut state.fresh));
        self.budget.discard(std::mem::take(&mut state.staged_chunks));
    }
}

impl Budget {
    fn discard(&self, chunks: Vec<ChunkId>) {
        if !chunks.is_empty() {
            self.garbage.lock().unwrap_or_else(PoisonError::into_inner).extend(chunks);
        }
    }
}

impl State {
    /// Its size.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Bytes that are no holes.
    pub(super) fn allocated(&self) -> u64 {
        self.allocated
    }

    /// Slots that wait to be committed.
    pub(super) fn dirty(&self) -> usize {
        self.dirty.len()
    }

    /// Reads up to the end of the file, and returns how many bytes.
    pub(super) fn read(&self, offset: u64, out: &mut [u8], chunks: &dyn Chunks) -> Result<usize, Fault> {
        let available = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let len = out.len().min(available);
        let mut rest = out.get_mut(..len).unwrap_or_default();
        let mut at = offset;
        while !rest.is_empty() {
            let (slot, start, len) = first_part(at, rest.len());
            let (part, behind) = rest.split_at_mut(len);
            match self.slots.get(&slot) {
                Some(slot) => slot.read(start, part, chunks).map_err(|source| Fault { at, len, source })?,
                None => part.fill(0),
            }
            rest = behind;
            at += len as u64;
        }
        Ok(len)
    }

    /// Changes a slot and keeps the counts right.
    fn change<T>(&mut self, number: u64, change: impl FnOnce(&mut Slot) -> T) -> T {
        let slot = self.slots.entry(number).or_default();
        let (allocated, buffered) = (slot.allocated(), slot.buffered());
        let answer = change(slot);
        self.allocated = (self.allocated + slot.allocated()).saturating_sub(allocated);
        let now = slot.buffered();
        if now >= buffered {
            self.budget.buffered.fetch_add(now - buffered, Ordering::Relaxed);
        } else {
            self.budget.buffered.fetch_sub(buffered - now, Ordering::Relaxed);
        }
        if slot.is_empty() {
            self.slots.remove(&number);
        }
        if self.dirty.insert(number) {
            self.budget.slots.fetch_add(1, Ordering::Relaxed);
        }
        answer
    }

    /// Writes, and returns how many bytes: fewer when the disk is full.
    ///
    /// # Errors
    /// When nothing could be written.
    pub(super) fn write(&mut self, offset: u64, bytes: &[u8], chunks: &dyn Chunks) -> Result<usize, StorageError> {
        let (mut done, mut failure) = (0, None);
        while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
            let at = offset + done as u64;
            let (number, start, len) = first_part(at, rest.len());
            let part = rest.get(..len).unwrap_or_default();
            let written = if length(part) == SLOT_BYTES {
                chunks.append(part).map(|(chunk, sum)| {
                    self.fresh.push(chunk);
                    self.change(number, |slot| {
                        slot.replace(Piece { start: 0, len: SLOT_BYTES, chunk, offset: 0, sum });
                    });
                })
            } else {
                self.change(number, |slot| slot.write(start, part));
                let full = self.slots.get(&number).is_some_and(Slot::is_full);
                if full { self.flush_slot(number, chunks) } else { Ok(()) }
            };
            match written {
                Ok(()) => done += len,
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        if done > 0 {
            self.size = self.size.max(offset + done as u64);
        }
        match failure {
            Some(error) => {
                self.drop_behind_end();
                if done > 0 { Ok(done) } else { Err(error) }
            }
            None => Ok(done),
        }
    }

    /// Drops what a change that failed has left behind the end of the file: whoever extends it finds zeros there.
    fn drop_behind_end(&mut self) {
        let last = self.slots.last_key_value().map_or(0, |(number, _)| number.saturating_add(1).saturating_mul(SLOT));
        if last > self.size {
            self.punch(self.size, last);
        }
    }

    /// Writes what of a slot is in memory only.
    fn flush_slot(&mut self, number: u64, chunks: &dyn Chunks) -> Result<(), StorageError> {
        let flushed = self.change(number, |slot| slot.flush(chunks))?;
        self.fresh.extend(flushed);
        Ok(())
    }

    /// Makes a range a hole. The size stays.
    pub(super) fn punch(&mut self, from: u64, to: u64) {
        let touched: Vec<u64> = self.slots.range(from / SLOT..to.div_ceil(SLOT)).map(|(number, _)| *number).collect();
        for number in touched {
            let begin = number.saturating_mul(SLOT);
            let (start, end) = (within(from.saturating_sub(begin)), within(to.saturating_sub(begin)));
            self.change(number, |slot| slot.cut(start, end));
        }
    }

    /// Cuts or extends the file.
    pub(super) fn resize(&mut self, size: u64) {
        if size < self.size {
            self.punch(size, self.size.div_ceil(SLOT).saturating_mul(SLOT));
        }
        self.size = size;
    }

    /// How many slots with content a range touches.
    pub(super) fn slots_in(&self, from: u64, to: u64) -> usize {
        self.slots.range(from / SLOT..to.div_ceil(SLOT).max(from / SLOT)).count()
    }

    /// From where the last `count` slots of a range lie.
    pub(super) fn last_slots(&self, from: u64, to: u64, count: usize) -> u64 {
        let mut slots = self.slots.range(from / SLOT..to.div_ceil(SLOT).max(from / SLOT)).rev();
        slots.nth(count.saturating_sub(1)).map_or(from, |(number, _)| number.saturating_mul(SLOT).max(from))
    }

    /// The first place at or after `offset` that is data, or that is a hole.
    pub(super) fn seek(&self, offset: u64, data: bool) -> Option<u64> {
        if offset >= self.size {
            return None;
        }
        let mut at = offset;
        for (number, slot) in self.slots.range(offset / SLOT..) {
            let begin = number.saturating_mul(SLOT);
            for (start, end) in slot.data() {
                let (start, end) = (begin + u64::from(start), begin + u64::from(end));
                if end <= at {
                    continue;
                }
                if data {
                    return Some(start.max(at)).filter(|found| *found < self.size);
                }
                if start > at {
                    return Some(at);
                }
                at = end;
            }
            if !data && at < begin + SLOT {
                return Some(at.min(self.size));
            }
        }
        (!data).then_some(at.min(self.size))
    }

    /// The pieces of a range of one slot, for another file to show them too; what is in memory is written first.
    ///
    /// # Errors
    /// Those of writing.
    pub(super) fn share(&mut self, offset: u64, len: u32, chunks: &dyn Chunks) -> Result<Vec<Piece>, StorageError> {
        let (number, start) = (offset / SLOT, within(offset % SLOT));
        if self.slots.get(&number).is_some_and(|slot| slot.buffered() > 0) {
            self.flush_slot(number, chunks)?;
        }
        Ok(self.slots.get(&number).map(|slot| slot.shared(start, start + len)).unwrap_or_default())
    }

    /// Shows pieces of other slots in a range of one slot; `start` is where they began in theirs.
    ///
    /// # Errors
    /// Those of writing, when there would be too many pieces.
    pub(super) fn adopt(
        &mut self,
        offset: u64,
        len: u32,
        start: u32,
        pieces: &[Piece],
        chunks: &dyn Chunks,
    ) -> Result<(), StorageError> {
        let (number, begin) = (offset / SLOT, within(offset % SLOT));
        self.change(number, |slot| {
            slot.cut(begin, begin + len);
            for piece in pieces {
                slot.put(Piece { start: piece.start - start + begin, ..*piece });
            }
        });
        if let Err(error) = self.flush_slot(number, chunks) {
            self.drop_behind_end();
            return Err(error);
        }
        self.size = self.size.max(offset + u64::from(len));
        Ok(())
    }

    /// Writes what is in memory only, and hands out what the storage does not have yet. It counts as under way until
    /// [`State::settled`].
    ///
    /// # Errors
    /// Those of writing; then everything waits as before.
    pub(super) fn stage(&mut self, chunks: &dyn Chunks) -> Result<Staged, StorageError> {
        let waiting: Vec<u64> = self.dirty.iter().copied().collect();
        for number in &waiting {
            if self.slots.contains_key(number) {
                self.flush_slot(*number, chunks)?;
            }
        }
        let pieces = |number: &u64| self.slots.get(number).map(Slot::pieces).unwrap_or_default();
        let rows: Vec<_> = waiting.iter().map(|number| (*number, pieces(number).to_vec())).collect();
        let changed: BTreeSet<u64> = match &self.windows {
            None => self.slots.keys().map(|slot| slot / WINDOW_SLOTS).collect(),
            Some(_) => waiting.iter().map(|slot| slot / WINDOW_SLOTS).collect(),
        };
        let windows = self.windows.get_or_insert_default();
        for window in changed {
            let first = window * WINDOW_SLOTS;
            let mut slots = self.slots.range(first..first + WINDOW_SLOTS).peekable();
            if slots.peek().is_some() {
                windows.insert(window, window_root(slots.map(|(number, slot)| (*number, slot.pieces()))));
            } else {
                windows.remove(&window);
            }
        }
        let root = file_root(windows.iter().map(|(window, root)| (*window, *root)));
        let data = StoredData { size: self.size, allocated: self.allocated, root };
        self.budget.slots.fetch_sub(self.dirty.len(), Ordering::Relaxed);
        self.in_flight = std::mem::take(&mut self.dirty);
        self.staged_chunks = std::mem::take(&mut self.fresh);
        Ok(Staged { data, rows })
    }

    /// What was staged is in the storage, or is not.
    pub(super) fn settled(&mut self, stored: bool) {
        let staged = std::mem::take(&mut self.in_flight);
        if stored {
            // What the commit named stays when it is discarded; the rest was written over before.
            self.budget.discard(std::mem::take(&mut self.staged_chunks));
        } else {
            let chunks = std::mem::take(&mut self.staged_chunks);
            self.fresh.extend(chunks);
            let before = self.dirty.len();
            self.dirty.extend(staged);
            self.budget.slots.fetch_add(self.dirty.len() - before, Ordering::Relaxed);
        }
    }
}

/// A range of a file that cannot be read.
pub(super) struct Fault {
    pub(super) at: u64,
    pub(super) len: usize,
    pub(super) source: StorageError,
}

/// The slot of an offset, the place in it, and how many of `len` bytes lie in it.
pub(super) fn first_part(offset: u64, len: usize) -> (u64, u32, usize) {
    let start = within(offset % SLOT);
    (offset / SLOT, start, len.min((SLOT_BYTES - start) as usize))
}

/// A place in a slot, at most its end.
fn within(place: u64) -> u32 {
    u32::try_from(place.min(SLOT)).unwrap_or(SLOT_BYTES)
}
