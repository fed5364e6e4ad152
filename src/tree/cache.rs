//! Files that were made are kept for as long as they are what would be made again, the ones used last of them. What is
//! known about a file, length and checksum, is kept longer than the file.
//!
//! Files are kept by the name of their node and not by the node, which would keep a deleted snapshot from being pruned.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::record::{Checksum, Timestamp};
use crate::storage::Sequence;
use crate::vault::Result;

use super::content::Content;
use super::node::{Item, Node};

/// The most files that are kept. A file in memory has at most 256 KiB, so all of them have at most 32 MiB.
const MOST: usize = 128;

/// A file and the sequence for which it was made.
#[derive(Clone)]
pub(super) struct Made {
    pub(super) content: Content,
    pub(super) sequence: Sequence,
}

/// What is known about a file.
#[derive(Clone, Copy)]
pub(super) struct Digest {
    pub(super) len: u64,
    /// Of what is kept here it is always known.
    pub(super) sha256: Option<Checksum>,
    pub(super) time: Timestamp,
}

impl From<&Content> for Digest {
    fn from(content: &Content) -> Self {
        Self { len: content.len(), sha256: content.sha256(), time: content.time() }
    }
}

/// Locked while the file is made, so that many who ask for it at once wait for one to make it.
type Slot = Arc<Mutex<Option<Made>>>;

#[derive(Default)]
struct Slots {
    files: HashMap<String, (Slot, u64)>,
    tick: u64,
    /// As many as there are days with events, and a few for each snapshot that was looked into.
    digests: HashMap<String, (Digest, Sequence)>,
}

/// Files that were made.
#[derive(Default)]
pub(super) struct Cache(Mutex<Slots>);

impl Cache {
    /// The file of a node: the one that is kept, if it is `fresh`, else the one that `make` makes.
    pub(super) fn content(
        &self,
        node: &Node,
        fresh: impl FnOnce(Sequence) -> Result<bool>,
        make: impl FnOnce() -> Result<Made>,
    ) -> Result<Content> {
        let slot = self.slot(node);
        let mut kept = lock(&slot);
        if let Some(made) = &*kept
            && fresh(made.sequence)?
        {
            return Ok(made.content.clone());
        }
        let new = make()?;
        self.remember(node, &new);
        Ok(kept.insert(new).content.clone())
    }

    /// What is known about the file of a node and is still true.
    pub(super) fn digest(&self, node: &Node, fresh: impl FnOnce(Sequence) -> Result<bool>) -> Result<Option<Digest>> {
        let known = lock(&self.0).digests.get(&node.to_string()).copied();
        match known {
            Some((digest, sequence)) if fresh(sequence)? => Ok(Some(digest)),
            _ => Ok(None),
        }
    }

    /// Keeps a file that was made on the way to another one, unless somebody makes it at this moment.
    pub(super) fn offer(&self, node: &Node, made: Made) {
        self.remember(node, &made);
        if let Ok(mut kept) = self.slot(node).try_lock() {
            *kept = Some(made);
        }
    }

    fn remember(&self, node: &Node, made: &Made) {
        // Of a record the head says as much; a day without events is no file, and anybody can ask for any day.
        if !matches!(node.item, Item::Record { .. }) && !made.content.is_empty() {
            lock(&self.0).digests.insert(node.to_string(), (Digest::from(&made.content), made.sequence));
        }
    }

    fn slot(&self, node: &Node) -> Slot {
        let name = node.to_string();
        let mut slots = lock(&self.0);
        slots.tick += 1;
        let now = slots.tick;
        if let Some((slot, used)) = slots.files.get_mut(&name) {
            *used = now;
            return Arc::clone(slot);
        }
        if slots.files.len() >= MOST
            && let Some(oldest) = slots.files.iter().min_by_key(|(_, (_, used))| *used).map(|(name, _)| name.clone())
        {
            slots.files.remove(&oldest);
        }
        let slot = Slot::default();
        slots.files.insert(name, (Arc::clone(&slot), now));
        slot
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
