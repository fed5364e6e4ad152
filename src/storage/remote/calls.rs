//! The calls of a storage that are one question and one answer each. Long listings are asked for page by page.

use crate::record::{Checksum, Kind};

use super::super::artifacts::{ChunkId, Dentry, Ino, Piece, Space};
use super::super::rows::{Part, RowPage};
use super::super::types::{Head, LogEntry, Position, Posting, Selection, Sequence, Version};
use super::super::{Intent, PrunePolicy, Pruned, StorageError, StorageStats};
use super::answers::{PAGE, SELECTED};
use super::client::{CallError, Client, unexpected};
use super::messages::{Answer, Request};

type Called<T> = Result<T, CallError>;

/// Asks, and takes what the one right kind of answer holds.
macro_rules! ask {
    ($client:expr, $request:expr, $answer:ident { $field:ident }) => {
        match $client.call(&$request)? {
            Answer::$answer { $field } => Ok($field),
            other => Err(unexpected(&other)),
        }
    };
}

impl Client {
    fn done(&self, request: &Request) -> Called<()> {
        match self.call(request)? {
            Answer::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    pub(in crate::storage) fn head(&self, kind: Kind, id: &str) -> Called<Option<Head>> {
        ask!(self, Request::Head { kind, id: id.to_owned() }, Head { head })
    }

    pub(in crate::storage) fn version(&self, kind: Kind, id: &str, at: Sequence) -> Called<Option<Version>> {
        ask!(self, Request::Version { kind, id: id.to_owned(), at }, Version { version })
    }

    pub(in crate::storage) fn history(
        &self,
        kind: Kind,
        id: &str,
        before: Sequence,
        limit: usize,
    ) -> Called<Vec<Version>> {
        let mut found: Vec<Version> = Vec::new();
        loop {
            let before = found.last().map_or(before, |version| version.sequence);
            let request = Request::History { kind, id: id.to_owned(), before, limit: limit - found.len() };
            let (versions, more) = match self.call(&request)? {
                Answer::Versions { versions, more } => (versions, more),
                other => return Err(unexpected(&other)),
            };
            let some = !versions.is_empty();
            found.extend(versions);
            if !more || !some || found.len() >= limit {
                return Ok(found);
            }
        }
    }

    pub(in crate::storage) fn heads(
        &self,
        kind: Kind,
        after: Option<&str>,
        limit: usize,
    ) -> Called<Vec<(String, Head)>> {
        pages(limit, PAGE, |found: &[(String, Head)], limit| {
            let after = found.last().map(|(id, _)| id.as_str()).or(after).map(str::to_owned);
            ask!(self, Request::Heads { kind, after, limit }, Heads { heads })
        })
    }

    pub(in crate::storage) fn select(
        &self,
        selection: &Selection,
        after: Option<Position>,
        limit: usize,
    ) -> Called<Vec<Posting>> {
        pages(limit, SELECTED, |found: &[Posting], limit| {
            let after = found.last().map(Position::from).or(after);
            ask!(self, Request::Select { selection: selection.clone(), after, limit }, Postings { postings })
        })
    }

    pub(in crate::storage) fn log(&self, from: Sequence, limit: usize) -> Called<Vec<LogEntry>> {
        pages(limit, PAGE, |found: &[LogEntry], limit| {
            let from = found.last().map_or(from, |entry| entry.sequence + 1);
            ask!(self, Request::Log { from, limit }, Entries { entries })
        })
    }

    pub(in crate::storage) fn root(&self, size: Sequence) -> Called<Checksum> {
        ask!(self, Request::Root { size }, Root { root })
    }

    pub(in crate::storage) fn sync(&self) -> Called<Sequence> {
        ask!(self, Request::Sync, Synced { sequence })
    }

    pub(in crate::storage) fn prune(&self, policy: PrunePolicy, actor: &str) -> Called<Pruned> {
        ask!(self, Request::Prune { policy, actor: actor.to_owned() }, Pruned { pruned })
    }

    pub(in crate::storage) fn pins(&self) -> Called<Vec<Sequence>> {
        ask!(self, Request::Pins, Pins { pins })
    }

    pub(in crate::storage) fn intent(&self) -> Called<Option<Intent>> {
        ask!(self, Request::Intent, Intent { intent })
    }

    pub(in crate::storage) fn set_intent(&self, intent: Option<&Intent>) -> Called<()> {
        self.done(&Request::SetIntent { intent: intent.cloned() })
    }

    pub(in crate::storage) fn begin_epoch(&self, reason: &str, actor: &str) -> Called<()> {
        self.done(&Request::BeginEpoch { reason: reason.to_owned(), actor: actor.to_owned() })
    }

    pub(in crate::storage) fn settle_subscribers(&self, upto: Sequence) -> Called<()> {
        self.done(&Request::SettleSubscribers { upto })
    }

    pub(in crate::storage) fn write_back(&self) -> Called<()> {
        self.done(&Request::WriteBack)
    }

    pub(in crate::storage) fn chunk(&self, id: ChunkId) -> Called<Vec<u8>> {
        ask!(self, Request::Chunk { id }, Bytes { bytes })
    }

    pub(in crate::storage) fn read_piece_into(&self, piece: &Piece, from: u32, out: &mut [u8]) -> Called<()> {
        let len = u32::try_from(out.len()).unwrap_or(u32::MAX);
        let bytes: Vec<u8> = ask!(self, Request::ReadPiece { piece: *piece, from, len }, Bytes { bytes })?;
        if bytes.len() != out.len() {
            let detail = format!("the owner of the vault sent {} bytes of it instead of {len}", bytes.len());
            return Err(CallError::Storage(StorageError::Corrupt { what: format!("chunk {}", piece.chunk), detail }));
        }
        out.copy_from_slice(&bytes);
        Ok(())
    }

    pub(in crate::storage) fn rows(&self, part: Part, from: &[u8], upto: Sequence) -> Called<RowPage> {
        ask!(self, Request::Rows { part, from: from.to_vec(), upto }, Rows { page })
    }

    pub(in crate::storage) fn dentry(&self, parent: Ino, name: &[u8], at: Sequence) -> Called<Option<Dentry>> {
        ask!(self, Request::Dentry { parent, name: name.to_vec(), at }, Dentry { dentry })
    }

    pub(in crate::storage) fn dentries(
        &self,
        parent: Ino,
        after: Option<&[u8]>,
        limit: usize,
        at: Sequence,
    ) -> Called<Vec<(Vec<u8>, Dentry)>> {
        pages(limit, PAGE, |found: &[(Vec<u8>, Dentry)], limit| {
            let after = found.last().map(|(name, _)| name.as_slice()).or(after).map(<[u8]>::to_vec);
            ask!(self, Request::Dentries { parent, after, limit, at }, Dentries { dentries })
        })
    }

    pub(in crate::storage) fn extents(
        &self,
        ino: Ino,
        from: u64,
        limit: usize,
        at: Sequence,
    ) -> Called<Vec<(u64, Vec<Piece>)>> {
        pages(limit, PAGE, |found: &[(u64, Vec<Piece>)], limit| {
            let from = found.last().map_or(from, |(slot, _)| slot.saturating_add(1));
            ask!(self, Request::Extents { ino, from, limit, at }, Extents { extents })
        })
    }

    pub(in crate::storage) fn space(&self) -> Called<Space> {
        ask!(self, Request::Space, Space { space })
    }

    pub(in crate::storage) fn reclaim(&self) -> Called<()> {
        self.done(&Request::Reclaim)
    }

    pub(in crate::storage) fn stats(&self) -> Called<StorageStats> {
        ask!(self, Request::Stats, Stats { stats })
    }
}

/// Asks for page after page until there is nothing more, or enough.
fn pages<T>(limit: usize, page: usize, mut ask: impl FnMut(&[T], usize) -> Called<Vec<T>>) -> Called<Vec<T>> {
    let mut found = Vec::new();
    loop {
        let wanted = page.min(limit - found.len());
        let next = ask(&found, wanted)?;
        let ended = next.len() < wanted;
        found.extend(next);
        if ended || found.len() >= limit {
            return Ok(found);
        }
    }
}
