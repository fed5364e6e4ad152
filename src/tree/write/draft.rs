//! Drafts: texts that are being written under a record's name, each seen by who writes it.
//!
//! Every open description has a draft of its own, so two programs that write the same record at once never mix their texts:
//! each commits a whole one, and the last to close wins.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::record::{Kind, Timestamp};
use crate::storage::Sequence;

use super::super::node::{Directory, Node};
use super::text::{Full, MOST_IN_ALL, Room, Text};
use super::{Refusal, Written};

/// The most bytes of a text. A record has at most 16 MiB of canonical JSON; spaces and escapes can make that longer.
pub(super) const MOST: u64 = 64 << 20;

/// A record that a draft is to be a version of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Over {
    /// The log entry that created it, which tells it from one that is made anew under its id.
    pub(super) birth: Sequence,
    /// Where it lay when the draft was opened or committed.
    pub(super) directory: Directory,
}

/// How far a draft is.
pub(super) struct State {
    pub(super) text: Text,
    /// The directory gives a memory its tier.
    pub(super) directory: Directory,
    /// The text was changed since it was opened or committed.
    pub(super) dirty: bool,
    /// The record that is there, or was when the file was opened; for a new one none may be there.
    pub(super) over: Option<Over>,
    pub(super) standing: Standing,
    pub(super) modified: Timestamp,
}

/// Whether something can come of a draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// A text that nobody has judged.
    Open,
    /// The text as it is, or more of it, was refused. Others do not see a new record of which nothing became.
    Refused,
    /// The name was deleted, another file was renamed onto it, or the record was deleted elsewhere: what is written here
    /// goes nowhere.
    Detached,
}

/// A text that is being written.
pub(super) struct Draft {
    kind: Kind,
    id: String,
    number: u64,
    state: Mutex<State>,
}

impl Draft {
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Its place among what no log entry gave a place.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn directory(&self) -> Directory {
        self.state().directory
    }

    pub(super) fn name(&self) -> String {
        format!("{}.json", self.id)
    }

    pub(super) fn path(&self) -> String {
        self.state().path(&self.id)
    }

    pub(super) fn node(&self) -> Node {
        Node::record(self.kind, &self.id)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Others find it by its name. `birth` is that of the record that is there.
    fn is_visible(&self, birth: Option<Sequence>) -> bool {
        let state = self.state();
        state.standing == Standing::Open && state.over.is_none_or(|over| Some(over.birth) == birth)
    }

    /// It was changed and is to be a version of the record that was born then.
    pub(super) fn changes(&self, birth: Sequence) -> bool {
        let state = self.state();
        state.dirty && state.standing != Standing::Detached && state.over.is_none_or(|over| over.birth == birth)
    }

    /// Puts bytes at an offset, or at the end. What lies between the end and the offset becomes zeros.
    pub(super) fn write(&self, offset: Option<u64>, bytes: &[u8], now: Timestamp) -> Written<()> {
        let mut state = self.state();
        let offset = offset.unwrap_or(state.text.len() as u64);
        let end = offset.saturating_add(bytes.len() as u64);
        let (Ok(start), true) = (usize::try_from(offset), end <= MOST) else {
            return Err(state.refuse(|path| Refusal::TooLarge { path, limit: MOST }, &self.id));
        };
        if let Err(Full { most }) = state.text.write(start, bytes) {
            return Err(state.refuse(|path| Refusal::NoRoom { path, limit: most }, &self.id));
        }
        state.touch(now);
        Ok(())
    }

    /// Cuts the text, or makes it longer with zeros.
    pub(super) fn set_len(&self, len: u64, now: Timestamp) -> Written<()> {
        let mut state = self.state();
        let Some(wanted) = usize::try_from(len).ok().filter(|_| len <= MOST) else {
            return Err(state.refuse(|path| Refusal::TooLarge { path, limit: MOST }, &self.id));
        };
        if state.text.len() != wanted {
            if let Err(Full { most }) = state.text.resize(wanted) {
                return Err(state.refuse(|path| Refusal::NoRoom { path, limit: most }, &self.id));
            }
            state.touch(now);
        }
        Ok(())
    }
}

impl State {
    fn path(&self, id: &str) -> String {
        format!("{}{id}.json", self.directory)
    }

    /// Why more cannot be written. Who was told so need not be told that the text is not finished.
    fn refuse(&mut self, why: impl FnOnce(String) -> Refusal, id: &str) -> Refusal {
        if self.standing == Standing::Open {
            self.standing = Standing::Refused;
        }
        why(self.path(id))
    }

    /// The record got another place through this tree.
    pub(super) fn moved(&mut self, directory: Directory) {
        self.directory = directory;
        if let Some(over) = &mut self.over {
            over.directory = directory;
        }
    }

    fn touch(&mut self, now: Timestamp) {
        self.dirty = true;
        self.modified = now;
        if self.standing == Standing::Refused {
            self.standing = Standing::Open;
        }
    }
}

type Key = (Kind, String);

/// The drafts that are open, by record.
pub(in crate::tree) struct Drafts {
    open: Mutex<HashMap<Key, Vec<Arc<Draft>>>>,
    numbers: Arc<AtomicU64>,
    room: Arc<Room>,
}

impl Drafts {
    pub(super) fn new(numbers: Arc<AtomicU64>) -> Self {
        Self { open: Mutex::default(), numbers, room: Room::new(MOST_IN_ALL) }
    }

    /// A text to begin a draft with; `path` is for the refusal when there is no room for it.
    pub(super) fn text(&self, path: impl Into<String>, bytes: Vec<u8>) -> Written<Text> {
        Text::new(bytes, &self.room).map_err(|Full { most }| Refusal::NoRoom { path: path.into(), limit: most })
    }

    /// How many bytes the texts of all drafts have.
    pub(super) fn bytes(&self) -> u64 {
        self.room.used()
    }

    pub(super) fn open(&self, kind: Kind, id: &str, state: State) -> Arc<Draft> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed) + 1;
        let draft = Arc::new(Draft { kind, id: id.to_owned(), number, state: Mutex::new(state) });
        self.lock().entry((kind, id.to_owned())).or_default().push(Arc::clone(&draft));
        draft
    }

    pub(super) fn close(&self, draft: &Arc<Draft>) {
        let mut open = self.lock();
        let key = (draft.kind, draft.id.clone());
        if let Some(drafts) = open.get_mut(&key) {
            drafts.retain(|other| !Arc::ptr_eq(other, draft));
            if drafts.is_empty() {
                open.remove(&key);
            }
        }
    }

    /// All drafts of a record, oldest first.
    pub(super) fn of(&self, kind: Kind, id: &str) -> Vec<Arc<Draft>> {
        let open = self.lock();
        if open.is_empty() {
            return Vec::new();
        }
        open.get(&(kind, id.to_owned())).cloned().unwrap_or_default()
    }

    /// Somebody has a record open for writing.
    pub(super) fn any(&self, kind: Kind, id: &str) -> bool {
        let open = self.lock();
        !open.is_empty() && open.contains_key(&(kind, id.to_owned()))
    }

    /// The draft that shows what a record will be. `birth` is that of the record that is there.
    pub(super) fn newest(&self, kind: Kind, id: &str, birth: Option<Sequence>) -> Option<Arc<Draft>> {
        self.of(kind, id).into_iter().rev().find(|draft| draft.is_visible(birth))
    }

    /// The ids of a kind that are being written.
    pub(super) fn ids(&self, kind: Kind) -> Vec<String> {
        self.lock().keys().filter(|(of, _)| *of == kind).map(|(_, id)| id.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Vec<Arc<Draft>>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> Draft {
        let state = State {
            text: Text::new(Vec::new(), &Room::new(MOST_IN_ALL)).unwrap(),
            directory: Directory::Collection(Kind::Entry),
            dirty: false,
            over: None,
            standing: Standing::Open,
            modified: Timestamp::EPOCH,
        };
        Draft { kind: Kind::Entry, id: "entry_x".into(), number: 1, state: Mutex::new(state) }
    }

    #[test]
    fn writing_behind_the_end_fills_with_zeros_and_appending_goes_to_the_end() {
        let draft = draft();
        draft.write(Some(2), b"ab", Timestamp::EPOCH).unwrap();
        draft.write(None, b"c", Timestamp::EPOCH).unwrap();
        draft.write(Some(0), b"x", Timestamp::EPOCH).unwrap();
        assert_eq!(&*draft.state().text, b"x\0abc");
        draft.set_len(1, Timestamp::EPOCH).unwrap();
        draft.set_len(3, Timestamp::EPOCH).unwrap();
        assert_eq!(&*draft.state().text, b"x\0\0");
    }

    #[test]
    fn a_text_has_a_limit() {
        let draft = draft();
        for offset in [MOST, u64::MAX, u64::MAX - 1] {
            assert!(matches!(draft.write(Some(offset), b"ab", Timestamp::EPOCH), Err(Refusal::TooLarge { .. })));
        }
        assert!(matches!(draft.set_len(MOST + 1, Timestamp::EPOCH), Err(Refusal::TooLarge { .. })));
        assert!(draft.state().text.is_empty() && !draft.state().dirty);
    }
}
