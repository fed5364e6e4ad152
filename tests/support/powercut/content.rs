//! What one file holds: the bytes that programs see, those on the disk, and the way from the one to the other.

use fuser::Errno;

use super::Loss;
use super::image::Rng;
use super::power::Losses;

/// Files grow no larger than this; a wild offset is then an error of the program and not the end of the test machine.
const LARGEST: u64 = 1 << 30;

/// The unit in which [`Loss::Scattered`] keeps and loses.
const PAGE: usize = 4096;

/// A change of a file that no fsync has covered yet.
#[derive(Clone, Debug)]
enum Change {
    /// Bytes at an offset.
    Write {
        /// Where they start.
        offset: usize,
        /// The bytes.
        data: Vec<u8>,
    },
    /// The file gets this length, cut off or filled with zeros.
    Resize(usize),
}

/// The bytes of a file, now and on the disk.
///
/// Three copies of an unsynced byte are the price of a cut that costs nothing until it happens; the files of these tests
/// are small. A sync costs as much as was written since the one before, so a log that is synced at each record is cheap.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// What programs read.
    live: Vec<u8>,
    /// What the last sync left on the disk.
    durable: Vec<u8>,
    /// The changes that lead from `durable` to `live`, in order.
    pending: Vec<Change>,
}

impl Content {
    /// A file that is on the disk as it stands.
    pub(super) fn durable(data: Vec<u8>) -> Self {
        Self { live: data.clone(), durable: data, pending: Vec::new() }
    }

    /// Its length as programs see it.
    pub(super) fn len(&self) -> usize {
        self.live.len()
    }

    /// At most `size` bytes from `offset`, fewer at the end of the file.
    pub(super) fn read(&self, offset: u64, size: usize) -> &[u8] {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.live.len());
        &self.live[start..start.saturating_add(size).min(self.live.len())]
    }

    /// Writes `data` at `offset`.
    pub(super) fn write(&mut self, offset: u64, data: &[u8]) -> Result<(), Errno> {
        let offset = position(offset)?;
        position((offset + data.len()) as u64)?;
        self.record(Change::Write { offset, data: data.to_vec() });
        Ok(())
    }

    /// Gives the file the length `size`.
    pub(super) fn resize(&mut self, size: u64) -> Result<(), Errno> {
        let size = position(size)?;
        self.record(Change::Resize(size));
        Ok(())
    }

    /// Makes the file at least `offset + length` bytes long, as a plain `fallocate` does.
    pub(super) fn reserve(&mut self, offset: u64, length: u64) -> Result<(), Errno> {
        let end = offset.checked_add(length).ok_or(Errno::EFBIG)?;
        if position(end)? > self.live.len() { self.resize(end) } else { Ok(()) }
    }

    /// Overwrites a range with zeros, without making the file longer.
    pub(super) fn punch(&mut self, offset: u64, length: u64) {
        let zeros = vec![0; self.read(offset, usize::try_from(length).unwrap_or(usize::MAX)).len()];
        if let (false, Ok(offset)) = (zeros.is_empty(), usize::try_from(offset)) {
            self.record(Change::Write { offset, data: zeros });
        }
    }

    /// Makes the file durable as it stands: an fsync.
    pub(super) fn sync(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    /// What is left of the file after a power cut. `losses` counts what there was to lose and what survived.
    pub(super) fn survive(self, loss: Loss, rng: &mut Rng, losses: &mut Losses) -> Vec<u8> {
        let Self { mut durable, pending, .. } = self;
        losses.pending_changes += pending.len();
        let reached = match loss {
            Loss::DropAll => Vec::new(),
            Loss::TornPrefix => prefix(pending, rng, losses),
            Loss::Scattered => scattered(pending, rng, losses),
        };
        for change in reached {
            change.apply(&mut durable);
        }
        durable
    }

    /// Makes a change in what programs see and remembers it.
    fn record(&mut self, change: Change) {
        change.apply(&mut self.live);
        self.pending.push(change);
    }
}

impl Change {
    /// Makes the change in `bytes`.
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Change::Write { offset, data } => {
                let end = offset + data.len();
                // A write of no bytes must not make the file longer, wherever it is.
                if !data.is_empty() && bytes.len() < end {
                    bytes.resize(end, 0);
                }
                if !data.is_empty() {
                    bytes[*offset..end].copy_from_slice(data);
                }
            }
            Change::Resize(size) => bytes.resize(*size, 0),
        }
    }

    /// The write without what comes after a random byte of it; nothing is left of it in the worst case. A change of the
    /// length has no parts.
    fn tear(&mut self, rng: &mut Rng, losses: &mut Losses) {
        if let Change::Write { data, .. } = self {
            data.truncate(rng.below(data.len().max(1)));
            losses.torn_changes += 1;
        }
    }

    /// The change in the pieces that reach the disk one by one: a write is split where the pages of the file are.
    fn pages(self) -> Vec<Change> {
        let Change::Write { mut offset, data } = self else { return vec![self] };
        let mut rest = data.as_slice();
        let mut pages = Vec::new();
        while !rest.is_empty() {
            let (page, after) = rest.split_at((PAGE - offset % PAGE).min(rest.len()));
            pages.push(Change::Write { offset, data: page.to_vec() });
            offset += page.len();
            rest = after;
        }
        pages
    }
}

/// A random number of `changes` from the first on, and a torn one after them, if there is one.
fn prefix(mut changes: Vec<Change>, rng: &mut Rng, losses: &mut Losses) -> Vec<Change> {
    let whole = rng.below(changes.len() + 1);
    losses.kept_changes += whole;
    changes.truncate(whole + 1);
    if changes.len() > whole {
        match &mut changes[whole] {
            torn @ Change::Write { .. } => torn.tear(rng, losses),
            // A change of the length happens or does not; this one did not.
            Change::Resize(_) => changes.truncate(whole),
        }
    }
    changes
}

/// Random pages of `changes`, in order, the last one of them torn.
fn scattered(changes: Vec<Change>, rng: &mut Rng, losses: &mut Losses) -> Vec<Change> {
    let mut kept = Vec::new();
    // Whether the last change of which anything was kept was kept as a whole.
    let mut whole = false;
    for change in changes {
        let pages = change.pages();
        let (total, before) = (pages.len(), kept.len());
        kept.extend(pages.into_iter().filter(|_| rng.below(2) == 1));
        if kept.len() > before {
            whole = kept.len() - before == total;
            losses.kept_changes += usize::from(whole);
        }
    }
    if let Some(last @ Change::Write { .. }) = kept.last_mut() {
        last.tear(rng, losses);
        losses.kept_changes -= usize::from(whole);
    }
    kept
}

/// An offset or length, if a file may have it.
fn position(value: u64) -> Result<usize, Errno> {
    if value > LARGEST { Err(Errno::EFBIG) } else { usize::try_from(value).map_err(|_| Errno::EFBIG) }
}
