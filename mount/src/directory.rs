//! An open directory: a listing that can be taken up at the offsets the kernel knows.
//!
//! The offset of an entry is its cursor in the tree, behind those of `.` and `..`, so it means the same in every handle and
//! the kernel may cache listings. Often the kernel takes fewer entries than it was given and asks for the rest again, so
//! the newest ones are kept.

use std::collections::VecDeque;

use mirrordna::Result;
use mirrordna::storage::Sequence;
use mirrordna::tree::{Cursor, Entry, Listing, Node, Tree};

/// The offset of `.`
pub(crate) const DOT: u64 = 1;
/// The offset of `..`, behind which the entries come.
pub(crate) const DOT_DOT: u64 = 2;

/// How many entries are kept to be given again.
const KEPT: usize = 2_048;

/// An open directory.
pub(crate) struct Stream {
    node: Node,
    listing: Option<Listing>,
    /// The log when the listing began: if it has grown, what the listing says of an entry may be out of date.
    began: Sequence,
    /// The newest entries, and how many of them were given.
    kept: VecDeque<Entry>,
    given: usize,
    /// The offset behind which the kept entries begin.
    start: u64,
}

impl Stream {
    pub(crate) fn new(node: Node) -> Self {
        Self { node, listing: None, began: 0, kept: VecDeque::new(), given: 0, start: DOT_DOT }
    }

    /// The directory.
    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    /// What the listing says may be out of date.
    pub(crate) fn is_outdated(&self, tree: &Tree) -> bool {
        tree.vault().state_now().map_or(true, |state| state.sequence != self.began)
    }

    /// Goes on behind an offset. The beginning is always that of a new listing.
    pub(crate) fn seek(&mut self, tree: &Tree, offset: u64, anew: bool) -> Result<()> {
        if !anew && self.listing.is_some() {
            if offset == self.start {
                self.given = 0;
                return Ok(());
            }
            if let Some(place) = self.kept.iter().rposition(|entry| offset_of(entry) == offset) {
                self.given = place + 1;
                return Ok(());
            }
        }
        self.began = tree.vault().state_now()?.sequence;
        self.listing = Some(tree.list(&self.node, Cursor(offset.saturating_sub(DOT_DOT)))?);
        self.kept.clear();
        self.given = 0;
        self.start = offset;
        Ok(())
    }

    /// The next entry, again and again until [`Stream::advance`] says that it was given. After an error the listing begins
    /// anew behind what was given, so that it is met again as long as it lasts.
    pub(crate) fn peek(&mut self) -> Result<Option<&Entry>> {
        if self.given >= self.kept.len() {
            let Some(next) = self.listing.as_mut().and_then(Iterator::next) else { return Ok(None) };
            let next = next.inspect_err(|_| self.listing = None)?;
            if self.kept.len() >= KEPT
                && let Some(oldest) = self.kept.pop_front()
            {
                self.start = offset_of(&oldest);
                self.given = self.given.saturating_sub(1);
            }
            self.kept.push_back(next);
        }
        Ok(self.kept.get(self.given))
    }

    /// The entry that was peeked at was given.
    pub(crate) fn advance(&mut self) {
        self.given += 1;
    }
}

/// The offset of an entry.
pub(crate) fn offset_of(entry: &Entry) -> u64 {
    entry.cursor.0.saturating_add(DOT_DOT)
}
