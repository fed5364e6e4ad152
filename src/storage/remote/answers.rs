//! What the owner of a vault answers to each request.

use std::collections::HashSet;

use crate::record::kind::IndexForm;
use crate::record::{Checksum, Kind};

use super::super::rocksdb::RocksStorage;
use super::super::types::{Action, Change, Commit, Committed, Sequence, Term, Version};
use super::super::{CheckSink, Fault, Result, Storage, StorageError};
use super::events::Voice;
use super::messages::{Answer, Request};
use super::wire::{WireError, frame};

/// The most entries in one answer. Who wants more asks again for what follows.
pub(super) const PAGE: usize = 4_096;
/// The most index entries in one answer: what one answer holds fits at one moment, so this is generous.
pub(super) const SELECTED: usize = 16_384;
/// An answer takes no further version once it has this many bytes of them.
const VERSION_BYTES: usize = 4 << 20;
/// Versions read at once from the history of a record.
const VERSIONS: usize = 4;
/// Bytes of a check that are sent at once.
const CHECK_BYTES: usize = 32 << 10;

/// Answers what changes nothing and needs no connection of its own.
pub(super) fn answer(storage: &RocksStorage, request: Request) -> Result<Answer> {
    Ok(match request {
        Request::Head { kind, id } => Answer::Head { head: storage.head(kind, &id)? },
        Request::Version { kind, id, at } => Answer::Version { version: storage.version(kind, &id, at)? },
        Request::History { kind, id, before, limit } => history(storage, kind, &id, before, limit)?,
        Request::Heads { kind, after, limit } => {
            Answer::Heads { heads: storage.heads(kind, after.as_deref(), limit.min(PAGE))? }
        }
        Request::Select { selection, after, limit } => {
            Answer::Postings { postings: storage.select(&selection, after, limit.min(SELECTED))? }
        }
        Request::Log { from, limit } => Answer::Entries { entries: storage.log(from, limit.min(PAGE))? },
        Request::State => Answer::State { state: storage.state() },
        Request::Root { size } => Answer::Root { root: storage.root(size)? },
        Request::Intent => Answer::Intent { intent: storage.intent()? },
        Request::Stats => Answer::Stats { stats: storage.stats() },
        Request::Sync => Answer::Synced { sequence: storage.sync()? },
        Request::Prune { policy, actor } => Answer::Pruned { pruned: storage.prune(policy, &actor)? },
        Request::Pins => Answer::Pins { pins: storage.pins()? },
        Request::SetIntent { intent } => {
            storage.set_intent(intent.as_ref())?;
            Answer::Done
        }
        Request::BeginEpoch { reason, actor } => {
            storage.begin_epoch(&reason, &actor)?;
            Answer::Done
        }
        Request::SettleSubscribers { upto } => {
            storage.settle_subscribers(upto);
            Answer::Done
        }
        Request::WriteBack => {
            storage.settle()?;
            Answer::Done
        }
        Request::Chunk { id } => Answer::Bytes { bytes: storage.chunk(id)? },
        Request::Rows { part, from, upto } => Answer::Rows { page: storage.rows(part, &from, upto)? },
        Request::ReadPiece { piece, from, len } => Answer::Bytes { bytes: storage.read_piece(&piece, from, len)? },
        Request::Dentry { parent, name, at } => Answer::Dentry { dentry: storage.dentry(parent, &name, at)? },
        Request::Dentries { parent, after, limit, at } => {
            Answer::Dentries { dentries: storage.dentries(parent, after.as_deref(), limit.min(PAGE), at)? }
        }
        Request::Extents { ino, from, limit, at } => {
            Answer::Extents { extents: storage.extents(ino, from, limit.min(PAGE), at)? }
        }
        Request::Space => Answer::Space { space: storage.space()? },
        Request::Reclaim => {
            storage.reclaim()?;
            Answer::Done
        }
        // These are about the connection, which answers them itself.
        Request::Commit { .. }
        | Request::Check { .. }
        | Request::Lease { .. }
        | Request::Release { .. }
        | Request::Claim
        | Request::Subscribe
        | Request::Acknowledge { .. }
        | Request::Ask { .. }
        | Request::HandOver => Answer::Moved,
    })
}

/// Whether a request changes something, so that it must be finished before the ownership is handed over.
pub(super) fn changes(request: &Request) -> bool {
    matches!(
        request,
        Request::Commit { .. }
            | Request::Prune { .. }
            | Request::SetIntent { .. }
            | Request::BeginEpoch { .. }
            | Request::Sync
            | Request::Claim
            | Request::WriteBack
            | Request::Reclaim
    )
}

fn history(storage: &RocksStorage, kind: Kind, id: &str, before: Sequence, limit: usize) -> Result<Answer> {
    let mut versions: Vec<Version> = Vec::new();
    let mut bytes = 0;
    let mut next = before;
    while versions.len() < limit && bytes < VERSION_BYTES {
        let wanted = VERSIONS.min(limit - versions.len());
        let page = storage.history(kind, id, next, wanted)?;
        let ended = page.len() < wanted;
        bytes += page.iter().map(|version| version.json.len()).sum::<usize>();
        versions.extend(page);
        if ended {
            return Ok(Answer::Versions { versions, more: false });
        }
        next = versions.last().map_or(next, |version| version.sequence);
    }
    let more = versions.len() < limit;
    Ok(Answer::Versions { versions, more })
}

/// The answer that a commit got which may have been made after a sequence, if it was.
pub(in crate::storage) fn made_before(
    storage: &RocksStorage,
    token: [u8; 16],
    since: Sequence,
) -> Result<Option<Committed>> {
    let mut next = since + 1;
    let mut first = None;
    loop {
        let page = storage.log(next, PAGE)?;
        if page.is_empty() {
            return Ok(None);
        }
        next += page.len() as u64;
        for entry in page {
            let begin = *first.get_or_insert(entry.sequence);
            if entry.token == Some(token) {
                return Ok(Some(Committed { first: begin, last: entry.sequence, time: entry.time }));
            }
            if entry.end_of_commit {
                first = None;
            }
        }
    }
}

/// A commit from elsewhere is looked at before it is made: what could not be read back must not be stored.
pub(super) fn check(commit: &Commit) -> Result<()> {
    let unsound = |change: &&Change| match &change.action {
        Action::Delete => false,
        Action::Put(prepared) => {
            let known = |(number, term): &(u16, Term)| {
                let form = change.kind.indexes().iter().find(|index| index.number == *number).map(|index| index.form);
                match term {
                    Term::All => false,
                    Term::Text(_) => matches!(form, Some(IndexForm::Text | IndexForm::Each)),
                    Term::Time(_) => form == Some(IndexForm::Time),
                }
            };
            let mut seen = HashSet::new();
            Checksum::of(&prepared.json) != prepared.checksum
                || !prepared.terms.iter().all(known)
                || !prepared.terms.iter().all(|(number, term)| match term {
                    Term::Text(text) => text.len() <= 1_024 && seen.insert((*number, text)),
                    Term::All | Term::Time(_) => true,
                })
                || prepared.terms.len() > usize::from(u16::MAX)
        }
    };
    match commit.changes.iter().find(unsound) {
        None => Ok(()),
        Some(change) => Err(StorageError::Corrupt {
            what: format!("{} {}, as it came from another process,", change.kind, change.id),
            detail: "its checksum or its index terms are not those of a record".to_owned(),
        }),
    }
}

/// Sends what a check finds to the process that asked for it.
pub(super) struct Findings<'a> {
    voice: &'a Voice,
    frames: Vec<u8>,
    /// Nobody listens any more.
    failed: Option<WireError>,
}

impl<'a> Findings<'a> {
    pub(super) fn new(voice: &'a Voice) -> Self {
        Self { voice, frames: Vec::new(), failed: None }
    }

    fn add(&mut self, answer: &Answer) {
        self.frames.extend(frame(answer));
        if self.frames.len() >= CHECK_BYTES {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let frames = std::mem::take(&mut self.frames);
        if self.failed.is_none() && !frames.is_empty() {
            self.failed = self.voice.say(&frames).err();
        }
    }

    /// Sends what is left.
    pub(super) fn finish(mut self) -> std::result::Result<(), WireError> {
        self.flush();
        self.failed.map_or(Ok(()), Err)
    }
}

impl CheckSink for Findings<'_> {
    fn progress(&mut self, done: u64, total: u64) {
        self.add(&Answer::Progress { done, total });
        self.flush();
    }

    fn version(&mut self, kind: Kind, id: &str, version: &Version) {
        // A version is lent here, and a message owns what it says.
        self.add(&Answer::Checked { kind, id: id.to_owned(), version: version.clone() });
    }

    fn fault(&mut self, fault: Fault) {
        self.add(&Answer::Fault { fault });
    }
}
