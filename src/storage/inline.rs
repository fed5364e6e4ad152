//! Small chunks, whose content lies in the row that names them.
//!
//! A chunk in a segment needs a sync of that segment before the commit that names it; one that lies in its row is as durable
//! as the commit, and costs no sync of its own. Numbers below 2^32 are theirs: they would be places in segment 0, which there
//! never is. What no commit has named yet is known here alone, so a number may be given out again after a crash.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::artifacts::{ChunkId, INLINE_BYTES};
use super::{ChunkSum, Result, StorageError};

/// The first number that is the place of a chunk in a segment.
pub(super) const FIRST_IN_SEGMENT: ChunkId = 1 << 32;

/// A chunk with its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Small {
    pub(super) sum: ChunkSum,
    pub(super) bytes: Arc<[u8]>,
}

#[derive(Default)]
struct State {
    /// The highest number that was given out.
    highest: ChunkId,
    pending: HashMap<ChunkId, Small>,
}

/// Small chunks that no commit has named yet.
pub(super) struct Inline(Mutex<State>);

impl Inline {
    /// `newest` is the highest number of theirs that a row names.
    pub(super) fn new(newest: Option<ChunkId>) -> Self {
        Self(Mutex::new(State { highest: newest.unwrap_or(0), pending: HashMap::new() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a chunk that a commit is to name.
    pub(super) fn append(&self, bytes: &[u8]) -> Result<(ChunkId, ChunkSum)> {
        let limit = |what: String, limit| Err(StorageError::Limit { what, limit });
        if !(1..=INLINE_BYTES).contains(&bytes.len()) {
            return limit(format!("a small chunk of {} bytes", bytes.len()), INLINE_BYTES);
        }
        let small = Small { sum: ChunkSum::of(bytes), bytes: bytes.into() };
        let mut state = self.state();
        let id = state.highest + 1;
        if id >= FIRST_IN_SEGMENT {
            return limit("the numbers of small chunks are used up".to_owned(), u32::MAX as usize);
        }
        state.highest = id;
        let sum = small.sum;
        state.pending.insert(id, small);
        Ok((id, sum))
    }

    /// A chunk that no commit has named yet.
    pub(super) fn pending(&self, id: ChunkId) -> Option<Small> {
        if id >= FIRST_IN_SEGMENT { None } else { self.state().pending.get(&id).cloned() }
    }

    /// A commit named these chunks, or none will.
    pub(super) fn forget(&self, chunks: &[ChunkId]) {
        let mut state = self.state();
        for id in chunks.iter().filter(|id| **id < FIRST_IN_SEGMENT) {
            state.pending.remove(id);
        }
    }
}
