//! Streams: cutting, storing and listing what goes into a backup, and reading it again in order.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};

use crate::threads::without_signals;

use super::cut::Cutter;
use super::error::{BackupError, Result};
use super::index::Index;
use super::keys::Name;
use super::manifest::Stream;
use super::pool::{Ahead, Pool, threads};
use super::repository::Repository;
use super::seal::Kind;
use super::store::Store;

/// A list has at most this many entries.
const MOST_IN_LIST: usize = 4_096;
/// Levels of lists are added until so few entries are left.
const MOST_IN_MANIFEST: usize = 64;
/// More levels than any stream needs.
const MOST_LEVELS: u8 = 8;
const LIST_ENTRY: usize = 36;

/// The name of a blob, and the length of its content.
pub(super) type Item = (Name, u32);

/// The lists over the blobs of a stream, as they come.
struct Lists<'a> {
    store: &'a Store<'a>,
    bytes: u64,
    /// Of each level the entries that are in no list yet, and whether any are.
    levels: Vec<(Vec<Item>, bool)>,
}

impl<'a> Lists<'a> {
    fn new(store: &'a Store<'a>) -> Self {
        Self { store, bytes: 0, levels: vec![(Vec::new(), false)] }
    }

    fn push(&mut self, item: Item) -> Result<()> {
        self.bytes += u64::from(item.1);
        self.push_at(0, item)
    }

    fn push_at(&mut self, level: usize, item: Item) -> Result<()> {
        if self.levels.len() <= level {
            self.levels.push((Vec::new(), false));
        }
        let Some((entries, _)) = self.levels.get_mut(level) else { return Ok(()) };
        entries.push(item);
        if item.0.0.first() == Some(&0) || entries.len() >= MOST_IN_LIST { self.close(level) } else { Ok(()) }
    }

    /// Makes a list of what is at a level.
    fn close(&mut self, level: usize) -> Result<()> {
        let Some((entries, listed)) = self.levels.get_mut(level) else { return Ok(()) };
        *listed = true;
        let content = encode_list(&std::mem::take(entries));
        if content.is_empty() {
            return Ok(());
        }
        let name = self.store.put(Kind::List, &content)?;
        self.push_at(level + 1, (name, u32::try_from(content.len()).unwrap_or(u32::MAX)))
    }

    fn finish(mut self) -> Result<Stream> {
        let mut level = 0;
        loop {
            let few =
                self.levels.get(level).is_none_or(|(entries, listed)| !listed && entries.len() <= MOST_IN_MANIFEST);
            if few {
                let blobs = self.levels.get_mut(level).map(|(entries, _)| std::mem::take(entries)).unwrap_or_default();
                return Ok(Stream { bytes: self.bytes, levels: u8::try_from(level).unwrap_or(u8::MAX), blobs });
            }
            self.close(level)?;
            level += 1;
        }
    }
}

fn encode_list(items: &[Item]) -> Vec<u8> {
    items.iter().flat_map(|(name, len)| name.0.into_iter().chain(len.to_le_bytes())).collect()
}

pub(super) fn decode_list(content: &[u8]) -> Option<Vec<Item>> {
    let (entries, rest) = content.as_chunks::<LIST_ENTRY>();
    let item = |entry: &[u8; LIST_ENTRY]| {
        let (name, len) = entry.split_first_chunk::<32>()?;
        Some((Name(*name), u32::from_le_bytes(len.try_into().ok()?)))
    };
    if rest.is_empty() { entries.iter().map(item).collect() } else { None }
}

/// Stores a stream. Its beginning is the blobs of `known`, in the repository already; `produce` hands over the bytes behind them.
pub(super) fn write(
    store: &Store<'_>,
    known: impl Iterator<Item = Result<Item>>,
    produce: impl FnOnce(&mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()>,
) -> Result<Stream> {
    let mut lists = Lists::new(store);
    for item in known {
        lists.push(item?)?;
    }
    let threads = threads();
    let (pieces, waiting) = mpsc::sync_channel::<(u64, Vec<u8>)>(threads);
    let (answers, stored) = mpsc::channel();
    let waiting = Mutex::new(waiting);
    std::thread::scope(|scope| {
        // One more than processors: one waits for the disk.
        for _ in 0..=threads {
            let (answers, waiting) = (answers.clone(), &waiting);
            let work = move || {
                loop {
                    let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((number, piece)) = next else { break };
                    let len = u32::try_from(piece.len()).unwrap_or(u32::MAX);
                    let item = store.put(Kind::Data, &piece).map(|name| (name, len));
                    if answers.send((number, item)).is_err() {
                        break;
                    }
                }
            };
            without_signals(|| scope.spawn(work));
        }
        drop(answers);
        let mut order = Order { next: 0, early: BTreeMap::new(), lists: &mut lists };
        let mut count = 0;
        let mut send = |piece: Vec<u8>| {
            // Workers end only when nobody sends.
            let _ = pieces.send((count, piece));
            count += 1;
            stored.try_iter().try_for_each(|(number, item)| order.take(number, item))
        };
        let mut cutter = Cutter::new(&store.repository().keys().gear);
        let fed = produce(&mut |bytes| cutter.feed(bytes, &mut send));
        let fed = fed.and_then(|()| {
            let last = cutter.finish();
            if last.is_empty() { Ok(()) } else { send(last) }
        });
        // Also after an error: the workers wait for it.
        drop(pieces);
        fed?;
        stored.iter().try_for_each(|(number, item)| order.take(number, item))
    })?;
    lists.finish()
}

/// Puts what the workers did into the order of the stream.
struct Order<'a, 'l> {
    next: u64,
    early: BTreeMap<u64, Item>,
    lists: &'l mut Lists<'a>,
}

impl Order<'_, '_> {
    fn take(&mut self, number: u64, item: Result<Item>) -> Result<()> {
        self.early.insert(number, item?);
        while let Some(item) = self.early.remove(&self.next) {
            self.lists.push(item)?;
            self.next += 1;
        }
        Ok(())
    }
}

/// The data blobs of a stream in order. `fetch` gives the content of lists.
pub(super) struct Items<F> {
    fetch: F,
    /// What is left of the lists that are open, the innermost last, with the level that their entries are of.
    open: Vec<(u8, std::vec::IntoIter<Item>)>,
}

impl<F: FnMut(&Name) -> Result<Vec<u8>>> Items<F> {
    pub(super) fn new(stream: &Stream, fetch: F) -> Self {
        Self { fetch, open: vec![(stream.levels, stream.blobs.clone().into_iter())] }
    }
}

impl<F: FnMut(&Name) -> Result<Vec<u8>>> Iterator for Items<F> {
    type Item = Result<Item>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (level, entries) = self.open.last_mut()?;
            let level = *level;
            let Some(item) = entries.next() else {
                self.open.pop();
                continue;
            };
            let Some(below) = level.checked_sub(1) else { return Some(Ok(item)) };
            let damaged = |detail: &str| BackupError::corrupt(format!("the list {}", item.0), detail);
            if level > MOST_LEVELS {
                return Some(Err(damaged("it lies deeper than any list")));
            }
            match (self.fetch)(&item.0).map(|content| decode_list(&content)) {
                Ok(Some(entries)) => self.open.push((below, entries.into_iter())),
                Ok(None) => return Some(Err(damaged("its length is none of a list"))),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// Reads a stream, some blobs ahead.
pub(super) struct Reader<'p> {
    repository: Repository,
    index: Arc<Index>,
    items: Box<dyn Iterator<Item = Result<Item>> + Send>,
    /// Whoever reads proves what he reads.
    proven: bool,
    /// Blobs that are on their way.
    ahead: Ahead<'p, Result<Vec<u8>>>,
    now: Vec<u8>,
    at: usize,
    /// Bytes that were handed over.
    consumed: u64,
    /// What went wrong, for who sees only an error of input.
    error: Option<BackupError>,
}

impl<'p> Reader<'p> {
    pub(super) fn new(repository: &Repository, index: &Arc<Index>, pool: &'p Pool, stream: &Stream) -> Self {
        let fetch = {
            let (repository, index) = (repository.clone(), Arc::clone(index));
            move |name: &Name| repository.blob(&index, Kind::List, name)
        };
        Self::over(repository, index, pool, Box::new(Items::new(stream, fetch)))
    }

    /// Reads blobs that are not all of a stream.
    pub(super) fn over(
        repository: &Repository,
        index: &Arc<Index>,
        pool: &'p Pool,
        items: Box<dyn Iterator<Item = Result<Item>> + Send>,
    ) -> Self {
        Self {
            repository: repository.clone(),
            index: Arc::clone(index),
            items,
            proven: false,
            ahead: Ahead::new(pool),
            now: Vec::new(),
            at: 0,
            consumed: 0,
            error: None,
        }
    }

    /// For a reader who proves by sums of chunks that the content is the right one.
    pub(super) fn for_proof(self) -> Self {
        Self { proven: true, ..self }
    }

    /// Asks for the next blobs before they are needed.
    fn look_ahead(&mut self) {
        while !self.ahead.is_full() {
            let Some(item) = self.items.next() else { break };
            let (repository, index, proven) = (self.repository.clone(), Arc::clone(&self.index), self.proven);
            let bytes = item.as_ref().map_or(0, |(_, len)| *len as usize);
            self.ahead.ask(bytes, move || {
                let (name, len) = item?;
                let read = if proven { Repository::blob_for_proof } else { Repository::blob };
                let content = read(&repository, &index, Kind::Data, &name)?;
                let right = u32::try_from(content.len()) == Ok(len);
                let wrong = || BackupError::corrupt(format!("the blob {name}"), "it has another length");
                right.then_some(content).ok_or_else(wrong)
            });
        }
    }

    /// The next blob; none at the end.
    pub(super) fn next_blob(&mut self) -> Result<Option<Vec<u8>>> {
        self.look_ahead();
        self.ahead.next()?.transpose()
    }

    /// Puts the next `len` bytes behind others.
    pub(super) fn read_behind(&mut self, bytes: &mut Vec<u8>, len: usize) -> Result<()> {
        bytes.reserve(len);
        let mut left = len;
        while left > 0 {
            let rest = self.now.get(self.at..).unwrap_or_default();
            let taken = rest.get(..left).unwrap_or(rest);
            bytes.extend_from_slice(taken);
            self.at += taken.len();
            self.consumed += taken.len() as u64;
            left -= taken.len();
            if left > 0 && !self.go_on()? {
                return Err(BackupError::corrupt("a stream", "it ends too early"));
            }
        }
        Ok(())
    }

    /// Goes on with the next blob when the one before was handed over. False at the end.
    fn go_on(&mut self) -> Result<bool> {
        while self.at == self.now.len() {
            let Some(blob) = self.next_blob()? else { return Ok(false) };
            (self.now, self.at) = (blob, 0);
        }
        Ok(true)
    }

    /// Bytes that were read.
    pub(super) fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Nothing comes any more.
    pub(super) fn is_at_end(&mut self) -> Result<bool> {
        let mut byte = [0];
        io::Read::read(self, &mut byte).map(|read| read == 0).map_err(|error| self.failed(&error))
    }

    /// What an error of reading was.
    pub(super) fn failed(&mut self, error: &io::Error) -> BackupError {
        self.error.take().unwrap_or_else(|| BackupError::corrupt("a stream", error.to_string()))
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.go_on() {
            Ok(true) => {}
            Ok(false) => return Ok(0),
            Err(error) => {
                let said = io::Error::other(error.to_string());
                self.error = Some(error);
                return Err(said);
            }
        }
        let rest = self.now.get(self.at..).unwrap_or_default();
        let len = rest.len().min(into.len());
        if let (Some(to), Some(from)) = (into.get_mut(..len), rest.get(..len)) {
            to.copy_from_slice(from);
        }
        self.at += len;
        self.consumed += len as u64;
        Ok(len)
    }
}
