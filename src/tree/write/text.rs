//! The texts of drafts. All of them share one budget, so that many half-written files cannot take all memory.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The most bytes of all texts that are being written at once: two of the longest ones, or very many usual ones.
pub(super) const MOST_IN_ALL: u64 = 128 << 20;

/// The memory that texts share.
#[derive(Debug)]
pub(super) struct Room {
    used: AtomicU64,
    most: u64,
}

/// There is no more memory for texts than so many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full {
    pub(super) most: u64,
}

/// A text, which gives its room back when it is dropped.
#[derive(Debug)]
pub(super) struct Text {
    bytes: Vec<u8>,
    room: Arc<Room>,
}

impl Room {
    pub(super) fn new(most: u64) -> Arc<Self> {
        Arc::new(Self { used: AtomicU64::new(0), most })
    }

    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: u64) -> Result<(), Full> {
        let take = |used: u64| used.checked_add(bytes).filter(|used| *used <= self.most);
        let taken = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        taken.map(drop).map_err(|_| Full { most: self.most })
    }

    fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Text {
    pub(super) fn new(bytes: Vec<u8>, room: &Arc<Room>) -> Result<Self, Full> {
        room.take(bytes.len() as u64)?;
        Ok(Self { bytes, room: Arc::clone(room) })
    }

    /// Cuts it, or makes it longer with zeros.
    pub(super) fn resize(&mut self, len: usize) -> Result<(), Full> {
        let before = self.bytes.len();
        if len > before {
            self.room.take((len - before) as u64)?;
            self.bytes.resize(len, 0);
        } else {
            self.bytes.truncate(len);
            self.bytes.shrink_to_fit();
            self.room.give_back((before - len) as u64);
        }
        Ok(())
    }

    /// Puts bytes at a place. What lies between the end and the place becomes zeros.
    pub(super) fn write(&mut self, start: usize, bytes: &[u8]) -> Result<(), Full> {
        let end = start + bytes.len();
        if self.bytes.len() < end {
            self.resize(end)?;
        }
        if let Some(place) = self.bytes.get_mut(start..end) {
            place.copy_from_slice(bytes);
        }
        Ok(())
    }
}

impl Deref for Text {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        self.room.give_back(self.bytes.len() as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_share_their_room_and_give_it_back() {
        let room = Room::new(10);
        let mut one = Text::new(b"12345".to_vec(), &room).unwrap();
        let mut two = Text::new(Vec::new(), &room).unwrap();
        two.write(2, b"abc").unwrap();
        assert_eq!((&*two, room.used()), (&b"\0\0abc"[..], 10));
        assert_eq!((two.write(5, b"d"), one.resize(6)), (Err(Full { most: 10 }), Err(Full { most: 10 })));
        assert_eq!(Text::new(b"x".to_vec(), &room).unwrap_err(), Full { most: 10 });
        // What is refused changes nothing, and what is written over takes no room.
        two.write(0, b"ABCDE").unwrap();
        assert_eq!((&*one, &*two, room.used()), (&b"12345"[..], &b"ABCDE"[..], 10));
        one.resize(1).unwrap();
        two.write(5, b"fghi").unwrap();
        assert_eq!(room.used(), 10);
        drop(two);
        assert_eq!(room.used(), 1);
        drop(one);
        assert_eq!(room.used(), 0);
    }
}
