//! Reading a vault at one sequence into the streams of a backup.
//!
//! The log only grows, and content is appended: as far as the backup before reaches, nothing is read again.

use std::io;

use crate::storage::{ChunkRow, LogState, Part, RowPage, Storage, StorageError};
use crate::vault::{self, Vault};

use super::error::{BackupError, Result};
use super::keys::Name;
use super::lock::Lock;
use super::manifest::{Manifest, Stream, Streams};
use super::pool::{Ahead, Pool, TASK_BYTES, TASK_ROWS, in_order};
use super::progress::{Meter, Phase, Progress};
use super::seal::Kind;
use super::store::Store;
use super::stream::{self, Item, Items};

/// How often it begins anew because the vault was pruned while it was read.
const ATTEMPTS: usize = 5;
const STOPPED: &str = "no backup was made; what was stored is made use of by the next one";
/// Bytes of a row of the stream `chunks`.
const CHUNK_ROW: u64 = 44;

/// One copy of a vault.
pub(super) struct Copy<'a, 's> {
    vault: &'a Vault,
    store: &'a Store<'s>,
    lock: &'a Lock,
    /// Reads ahead.
    pool: Pool,
    meter: Meter<'a>,
    /// Bytes that were read of the vault.
    read: u64,
}

/// What a copy gives.
pub(super) struct Copied {
    pub(super) state: LogState,
    pub(super) streams: Streams,
    pub(super) chunks: u64,
    pub(super) read: u64,
}

/// What a stream has in common with one that is stored: whole blobs, and bytes behind them.
#[derive(Default)]
struct Beginning {
    items: Vec<Item>,
    tail: Vec<u8>,
}

impl<'a, 's> Copy<'a, 's> {
    pub(super) fn new(vault: &'a Vault, store: &'a Store<'s>, lock: &'a Lock, progress: &'a mut dyn Progress) -> Self {
        let meter = Meter::new(progress, Phase::Storing, vault.storage().stats().disk_bytes, STOPPED);
        Self { vault, store, lock, pool: Pool::new(), meter, read: 0 }
    }

    /// Copies the vault at a sequence at which nobody imports, restores, or prunes until it is copied. `before` are the backups
    /// of this vault, the newest last.
    pub(super) fn run(mut self, before: &[&Manifest]) -> Result<Copied> {
        for _ in 0..ATTEMPTS {
            let (state, _held) = self.vault.between_jobs()?;
            let parent = self.parent(before, &state)?;
            let copied = match self.streams(&state, parent) {
                // What the backup before has is only a help, and may be damaged.
                Err(error) if error.is_damage() && parent.is_some() => self.streams(&state, None),
                other => other,
            };
            // A prune says what it is about to do before it begins, so what was read until now was all there.
            let is_pruned = self.vault.state_now()?.horizon != state.horizon;
            match copied {
                Err(error) if is_pruned && is_lack(&error) => {}
                Ok(_) if is_pruned => {}
                copied => {
                    let (streams, chunks) = copied?;
                    return Ok(Copied { state, streams, chunks, read: self.read });
                }
            }
        }
        Err(BackupError::Pruned)
    }

    /// The newest backup of the same history, pruned as far as the vault is now.
    fn parent<'m>(&self, before: &[&'m Manifest], state: &LogState) -> Result<Option<&'m Manifest>> {
        for manifest in before.iter().rev() {
            let reaches = manifest.horizon == state.horizon && manifest.sequence <= state.sequence;
            if reaches && self.vault.storage().root(manifest.sequence)? == manifest.root {
                return Ok(Some(manifest));
            }
        }
        Ok(None)
    }

    /// In this order: what a later stream names was there when the earlier one was read.
    fn streams(&mut self, state: &LogState, parent: Option<&Manifest>) -> Result<(Streams, u64)> {
        let upto = state.sequence;
        let (chunks, content, count) = self.content(parent)?;
        let slots = self.rows(Part::Slots, Vec::new(), upto, &Beginning::default())?;
        let known = parent.map(|parent| self.beginning(&parent.streams.log, parent.streams.log.bytes));
        let from = parent.map_or(1, |parent| parent.sequence + 1).to_be_bytes().to_vec();
        let log = self.rows(Part::Log, from, upto, &known.transpose()?.unwrap_or_default())?;
        Ok((Streams { chunks, content, slots, log }, count))
    }

    /// Stores the rows of a part from a key on, behind what is known.
    fn rows(&mut self, part: Part, from: Vec<u8>, upto: u64, known: &Beginning) -> Result<Stream> {
        stream::write(self.store, known.items.iter().copied().map(Ok), |take| {
            take(&known.tail)?;
            // Each page says where the next one begins, which is read while this one is cut.
            let mut pages = Ahead::new(&self.pool);
            let ask = |pages: &mut Ahead<'_, _>, from: Vec<u8>| {
                let vault = self.vault.clone();
                pages.ask(0, move || vault.storage().rows(part, &from, upto));
            };
            ask(&mut pages, from);
            while let Some(page) = pages.next()? {
                let page = page?;
                if let Some(next) = page.next {
                    ask(&mut pages, next);
                }
                take(&page.bytes)?;
                self.read += page.bytes.len() as u64;
                self.meter.add(page.bytes.len() as u64)?;
                self.lock.renew()?;
            }
            Ok(())
        })
    }

    /// Stores the content of artifacts, and what chunks it consists of.
    fn content(&mut self, parent: Option<&Manifest>) -> Result<(Stream, Stream, u64)> {
        let same = parent.map_or(Ok(Same::default()), |parent| self.same_chunks(&parent.streams.chunks))?;
        let of = |copy: &Self, of: fn(&Streams) -> &Stream, bytes| {
            let known = parent.map(|parent| copy.beginning(of(&parent.streams), bytes));
            Ok::<_, BackupError>(known.transpose()?.unwrap_or_default())
        };
        let known_rows = of(self, |streams| &streams.chunks, same.count * CHUNK_ROW)?;
        let known_content = of(self, |streams| &streams.content, same.bytes)?;
        self.meter.add(same.bytes)?;
        let (store, mut count, mut chunks) = (self.store, same.count, Stream::default());
        let content = stream::write(store, known_content.items.into_iter().map(Ok), |take_content| {
            take_content(&known_content.tail)?;
            chunks = stream::write(store, known_rows.items.into_iter().map(Ok), |take_row| {
                take_row(&known_rows.tail)?;
                // Chunks that came meanwhile among those that were compared belong to later changes.
                let mut rows = Chunks::after(self.vault.storage(), same.last);
                let read = || {
                    let (rows, vault) = (rows.some()?, self.vault.clone());
                    let bytes = rows.iter().map(|row| row.len as usize).sum();
                    Ok((!rows.is_empty()).then_some((bytes, move || read_chunks(&vault, rows))))
                };
                let mut encoded = Vec::new();
                in_order(&self.pool, read, |read| {
                    for (row, bytes) in read? {
                        encoded.clear();
                        row.encode(&mut encoded);
                        take_row(&encoded)?;
                        take_content(&bytes)?;
                        count += 1;
                        self.read += bytes.len() as u64;
                        self.meter.add(bytes.len() as u64)?;
                    }
                    self.lock.renew()
                })
            })?;
            Ok(())
        })?;
        Ok((chunks, content, count))
    }

    /// How many chunks a backup and the vault have in common, from the first one on.
    fn same_chunks(&self, stream: &Stream) -> Result<Same> {
        let mut theirs = Stored { store: self.store, items: self.items(stream), now: Vec::new(), at: 0 };
        let mut ours = Chunks::after(self.vault.storage(), None);
        let mut same = Same::default();
        while let Some(row) = ours.next()? {
            let other =
                ChunkRow::read(&mut theirs).map_err(|error| BackupError::corrupt("a stream", error.to_string()));
            if other? != Some(row) {
                break;
            }
            same = Same { count: same.count + 1, bytes: same.bytes + u64::from(row.len), last: Some(row.id) };
        }
        Ok(same)
    }

    /// What is stored of the first `bytes` of a stream. The last blob of a stream does not count as a whole one: it ended where
    /// the stream did.
    fn beginning(&self, stream: &Stream, bytes: u64) -> Result<Beginning> {
        let mut known = Beginning::default();
        let mut end = 0;
        let mut items = self.items(stream).peekable();
        while let Some(item) = items.next() {
            let (name, len) = item?;
            let start = end;
            end += u64::from(len);
            if !self.store.has(&name) {
                return Err(BackupError::Missing { what: format!("the blob {name}") });
            }
            if end <= bytes && items.peek().is_some() {
                known.items.push((name, len));
                continue;
            }
            if bytes > start {
                known.tail = self.store.get(Kind::Data, &name)?;
                known.tail.truncate(usize::try_from(bytes - start).unwrap_or(usize::MAX));
            }
            break;
        }
        Ok(known)
    }

    fn items(&self, stream: &Stream) -> Items<impl FnMut(&Name) -> Result<Vec<u8>> + use<'a, 's>> {
        let store = self.store;
        Items::new(stream, move |name: &Name| store.get(Kind::List, name))
    }
}

/// Whether it is what a prune may leave for one who reads beside it: something that was listed and is not there any more.
fn is_lack(error: &BackupError) -> bool {
    error.is_damage() || matches!(error, BackupError::Vault(vault::Error::Storage(StorageError::Corrupt { .. })))
}

/// Reads chunks, and proves that they are what their rows say.
fn read_chunks(vault: &Vault, rows: Vec<ChunkRow>) -> Result<Vec<(ChunkRow, Vec<u8>)>> {
    let read = |row: ChunkRow| {
        let bytes = vault.storage().chunk(row.id)?;
        if u32::try_from(bytes.len()) == Ok(row.len) {
            return Ok((row, bytes));
        }
        Err(BackupError::corrupt(format!("chunk {}", row.id), "its length is not the one that its row says"))
    };
    rows.into_iter().map(read).collect()
}

/// Chunks that two have in common.
#[derive(Clone, Copy, Default)]
struct Same {
    count: u64,
    bytes: u64,
    last: Option<u64>,
}

/// The chunks of a vault in order.
struct Chunks<'a> {
    storage: &'a dyn Storage,
    page: RowPage,
    at: usize,
}

impl<'a> Chunks<'a> {
    /// Those behind a number.
    fn after(storage: &'a dyn Storage, last: Option<u64>) -> Self {
        let from = last.map_or(0, |last| last + 1).to_be_bytes().to_vec();
        Self { storage, page: RowPage { bytes: Vec::new(), next: Some(from) }, at: 0 }
    }

    fn next(&mut self) -> Result<Option<ChunkRow>> {
        while self.at == self.page.bytes.len() {
            let Some(from) = self.page.next.take() else { return Ok(None) };
            self.page = self.storage.rows(Part::Chunks, &from, u64::MAX)?;
            self.at = 0;
        }
        let mut rest = self.page.bytes.get(self.at..).unwrap_or_default();
        let before = rest.len();
        let row = ChunkRow::read(&mut rest);
        self.at += before - rest.len();
        row.map_err(|error| BackupError::corrupt("a page of rows", error.to_string()))
    }

    /// Some of those that follow; none at the end.
    fn some(&mut self) -> Result<Vec<ChunkRow>> {
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while bytes < TASK_BYTES && rows.len() < TASK_ROWS {
            let Some(row) = self.next()? else { break };
            bytes += row.len as usize;
            rows.push(row);
        }
        Ok(rows)
    }
}

/// A stream as it is stored.
struct Stored<'a, 's, I> {
    store: &'a Store<'s>,
    items: I,
    now: Vec<u8>,
    at: usize,
}

impl<I: Iterator<Item = Result<Item>>> io::Read for Stored<'_, '_, I> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.now.len() {
            let Some(item) = self.items.next() else { return Ok(0) };
            let blob = item.and_then(|(name, _)| self.store.get(Kind::Data, &name));
            (self.now, self.at) = (blob.map_err(|error| io::Error::other(error.to_string()))?, 0);
        }
        let mut rest = self.now.get(self.at..).unwrap_or_default();
        let read = io::Read::read(&mut rest, into)?;
        self.at += read;
        Ok(read)
    }
}
