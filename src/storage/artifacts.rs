//! What the storage knows of files: pieces of content, directory entries, and the root over a file's content.
//!
//! A file is cut into slots of 128 KiB. What stands in a slot is said by pieces of chunks; a chunk is at most as large as a
//! slot, is written once, and never changes. The root over a file is a hash over its slots, kept in its inode, so that the
//! log commits to the content too.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::record::{Checksum, FileType};

use super::{ChunkSum, Result, StorageError};

/// The number of an inode. See [`crate::record::inode::ROOT_INO`].
pub type Ino = u64;
/// The number of a chunk. Those of chunks in segments rise in the order in which they are appended, and so do the lower
/// ones of chunks that lie in their rows.
pub type ChunkId = u64;

/// Bytes of a slot, and the most bytes of a chunk: 128 KiB.
pub const SLOT_BYTES: u32 = 128 << 10;
/// The most bytes of a chunk that lies in the row that names it: 16 KiB.
pub const INLINE_BYTES: usize = 16 << 10;
/// The most pieces in a slot.
pub const MAX_PIECES: usize = 64;
/// The most directory entries and slots in one commit.
pub const MAX_FILE_ROWS: usize = 1 << 20;
/// Slots in a window, see [`window_root`]: 32 MiB of a file.
pub const WINDOW_SLOTS: u64 = 256;

/// Bytes of a chunk that stand in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where in the slot they begin.
    pub start: u32,
    /// How many they are.
    pub len: u32,
    /// The chunk that has them.
    pub chunk: ChunkId,
    /// Where in the chunk they begin.
    pub offset: u32,
    /// The hash of the whole chunk.
    pub sum: ChunkSum,
}

impl Piece {
    /// Where in the chunk `len` bytes lie from byte `from` of the piece on.
    ///
    /// # Errors
    /// [`StorageError::Limit`] when the piece does not have them.
    pub(super) fn part(&self, from: u32, len: u32) -> Result<Range<u32>> {
        let within = from.checked_add(len).is_some_and(|end| end <= self.len);
        let start = self.offset.checked_add(from).filter(|_| within);
        let range = start.and_then(|start| Some(start..start.checked_add(len)?));
        range.ok_or_else(|| StorageError::Limit {
            what: format!("{len} bytes from byte {from} of a piece on"),
            limit: self.len as usize,
        })
    }
}

/// What a name leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dentry {
    /// The inode.
    pub ino: Ino,
    /// What it is.
    pub file_type: FileType,
}

/// Rows that become part of the vault together with the changed inodes of a commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileRows {
    /// Directory, name, and what it leads to from now on; none when the name is gone. Each at most once.
    pub dentries: Vec<(Ino, Vec<u8>, Option<Dentry>)>,
    /// Inode, slot, and its pieces from now on, in order and without overlap; empty for a hole. Each at most once.
    pub extents: Vec<(Ino, u64, Vec<Piece>)>,
}

impl FileRows {
    /// There are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.dentries.is_empty() && self.extents.is_empty()
    }
}

/// Room on the file system that holds a vault, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// All of it.
    pub total: u64,
    /// What this user may still fill.
    pub free: u64,
    /// What the content of artifacts takes, garbage included.
    pub artifacts: u64,
}

/// Somebody who holds changes of artifacts back in memory.
pub trait WriteBack: Send + Sync {
    /// Commits everything that is held back, because somebody is about to look at all of the vault.
    ///
    /// # Errors
    /// Those of the storage.
    fn write_back(&self) -> Result<()>;

    /// Commits everything that is held back and lets nobody change anything until [`WriteBack::resume`]: a restore is about
    /// to change artifacts below it.
    ///
    /// # Errors
    /// Those of the storage; then nothing is stopped.
    fn stop(&self) -> Result<()>;

    /// Forgets what it knows, since it may have changed, and goes on. Also called when nothing was stopped. Must not fail
    /// and must not wait for a commit. When the restore could be neither finished nor undone, that is why, and nothing may be
    /// changed until this is called again.
    fn resume(&self, unfinished: Option<&StorageError>);
}

/// The hash of a window of [`WINDOW_SLOTS`] slots: SHA-256 over each slot that is no hole, in order: slot (`u64`), number of
/// pieces, and of each piece start, length, offset in the chunk (`u32` each) and the hash of the chunk. Integers are
/// big-endian. Where a chunk lies, and its number, are no part of it.
#[must_use]
pub fn window_root<'a>(slots: impl Iterator<Item = (u64, &'a [Piece])>) -> Checksum {
    let mut bytes = Vec::new();
    for (slot, pieces) in slots.filter(|(_, pieces)| !pieces.is_empty()) {
        bytes.extend_from_slice(&slot.to_be_bytes());
        bytes.extend_from_slice(&u32::try_from(pieces.len()).unwrap_or(u32::MAX).to_be_bytes());
        for piece in pieces {
            bytes.extend_from_slice(&piece.start.to_be_bytes());
            bytes.extend_from_slice(&piece.len.to_be_bytes());
            bytes.extend_from_slice(&piece.offset.to_be_bytes());
            bytes.extend_from_slice(&piece.sum.0);
        }
    }
    Checksum::of(&bytes)
}

/// The root over a file's content: SHA-256 over the number (`u64`, big-endian) and hash of each window that has a slot that is
/// no hole, in order. In two levels, so that a change costs its window and not the whole file.
#[must_use]
pub fn file_root(windows: impl Iterator<Item = (u64, Checksum)>) -> Checksum {
    let mut bytes = Vec::new();
    for (window, hash) in windows {
        bytes.extend_from_slice(&window.to_be_bytes());
        bytes.extend_from_slice(&hash.0);
    }
    Checksum::of(&bytes)
}

/// The slots of a file and the root over them, for who follows it from version to version.
#[derive(Clone, Debug, Default)]
pub(super) struct FileContent {
    slots: BTreeMap<u64, Vec<Piece>>,
    windows: BTreeMap<u64, Checksum>,
    stale: BTreeSet<u64>,
}

impl FileContent {
    /// What stands in a slot from now on.
    pub(super) fn set(&mut self, slot: u64, pieces: Vec<Piece>) {
        self.stale.insert(slot / WINDOW_SLOTS);
        if pieces.is_empty() {
            self.slots.remove(&slot);
        } else {
            self.slots.insert(slot, pieces);
        }
    }

    pub(super) fn root(&mut self) -> Checksum {
        for window in std::mem::take(&mut self.stale) {
            let first = window * WINDOW_SLOTS;
            let mut slots = self
                .slots
                .range(first..=first + (WINDOW_SLOTS - 1))
                .map(|(n, pieces)| (*n, pieces.as_slice()))
                .peekable();
            if slots.peek().is_some() {
                self.windows.insert(window, window_root(slots));
            } else {
                self.windows.remove(&window);
            }
        }
        file_root(self.windows.iter().map(|(window, hash)| (*window, *hash)))
    }
}

/// What is wrong with the pieces of a slot, if anything.
pub(super) fn piece_fault(pieces: &[Piece]) -> Option<&'static str> {
    if pieces.len() > MAX_PIECES {
        return Some("a slot with too many pieces");
    }
    let mut end = 0;
    for piece in pieces {
        let inside = |from: u32| from.checked_add(piece.len).is_some_and(|to| to <= SLOT_BYTES);
        if piece.len == 0 || !inside(piece.start) || !inside(piece.offset) {
            return Some("a piece that reaches beyond its slot or its chunk, or is empty");
        }
        if piece.start < end {
            return Some("pieces that overlap or are out of order");
        }
        end = piece.start + piece.len;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(start: u32, len: u32, byte: u8) -> Piece {
        Piece { start, len, chunk: byte.into(), offset: 0, sum: ChunkSum([byte; 32]) }
    }

    #[test]
    fn the_root_is_that_of_its_definition() {
        assert_eq!(file_root(std::iter::empty()), Checksum::of(b""));
        let slot = [300_u64.to_be_bytes(), [0, 0, 0, 1, 0, 0, 0, 3], [0, 0, 0, 4, 0, 0, 0, 0]].concat();
        let window = Checksum::of(&[&slot[..], &[9; 32]].concat());
        assert_eq!(window_root([(300, &[piece(3, 4, 9)][..]), (301, &[][..])].into_iter()), window);
        let mut content = FileContent::default();
        assert_eq!(content.root(), Checksum::of(b""));
        content.set(300, vec![piece(3, 4, 9)]);
        assert_eq!(content.root(), Checksum::of(&[&1_u64.to_be_bytes()[..], &window.0].concat()));
        content.set(300, Vec::new());
        assert_eq!(content.root(), Checksum::of(b""));
    }

    #[test]
    fn a_root_that_is_kept_is_the_one_that_is_computed_anew() {
        let mut kept = FileContent::default();
        for n in 0..3_000_u64 {
            let slot = n * 7_919 % 1_500;
            let pieces = if n % 5 == 0 { Vec::new() } else { vec![piece(0, 9, (n % 251) as u8)] };
            kept.set(slot, pieces);
            if n % 100 == 0 {
                let mut anew = FileContent::default();
                kept.slots.iter().for_each(|(slot, pieces)| anew.set(*slot, pieces.clone()));
                assert_eq!(kept.root(), anew.root(), "after {n}");
            }
        }
    }

    #[test]
    fn pieces_are_in_order_and_inside() {
        assert_eq!(piece_fault(&[]), None);
        assert_eq!(piece_fault(&[piece(0, 5, 1), piece(5, SLOT_BYTES - 5, 2)]), None);
        assert!(piece_fault(&[piece(0, 5, 1), piece(4, 5, 2)]).is_some());
        assert!(piece_fault(&[piece(0, 0, 1)]).is_some());
        assert!(piece_fault(&[piece(1, SLOT_BYTES, 1)]).is_some());
        assert!(piece_fault(&[Piece { offset: u32::MAX, ..piece(0, 1, 1) }]).is_some());
        assert!(piece_fault(&[piece(0, 1, 1); MAX_PIECES + 1]).is_some());
    }
}
