//! What is said on the socket.
//!
//! A connection begins with a [`Hello`] and a [`Greeting`], whose form no later version of the protocol changes. Then the
//! process that does not own the vault asks, one request after the other, and the owner answers each; only what a
//! subscriber is told comes unasked.

use crate::record::{Checksum, Kind};

use super::super::artifacts::{ChunkId, Dentry, Ino, Piece, Space};
use super::super::codec::Reader;
use super::super::rows::{Part, RowPage};
use super::super::types::{
    Commit, Committed, Head, LogEntry, LogState, Position, Posting, Selection, Sequence, Version,
};
use super::super::{Changed, Fault, Intent, PrunePolicy, Pruned, StorageError, StorageStats};
use super::codec::{Wire, fields, messages, variants};

/// What a connection begins with, so that nothing else is taken for it.
pub(super) const MAGIC: [u8; 8] = *b"MDNASOCK";

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hello {
    pub(super) magic: [u8; 8],
    /// The version of the protocol that the caller speaks.
    pub(super) protocol: u16,
    /// The vault that the caller means.
    pub(super) vault_id: String,
}

/// What a caller is told first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Greeting {
    pub(super) magic: [u8; 8],
    /// The version of the protocol that the owner speaks.
    pub(super) protocol: u16,
    /// Why the owner does not go on; nothing when it does.
    pub(super) refusal: Option<Refusal>,
    /// The process that owns the vault.
    pub(super) process: u32,
}

/// Why an owner does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It speaks another version of the protocol.
    Protocol,
    /// The caller is another user.
    User,
    /// It owns another vault.
    Vault,
    /// It has too many connections.
    Full,
}

variants! { Refusal { 1: Protocol, 2: User, 3: Vault, 4: Full } }

fields! {
    Hello { magic, protocol, vault_id }
    Greeting { magic, protocol, refusal, process }
}

messages! {
    /// What is asked of the owner.
    Request {
        /// Answered by `Committed`. `since` says that it may have been made already, after that sequence.
        1: Commit { commit: Commit, since: Option<Sequence> },
        /// `Head`
        2: Head { kind: Kind, id: String },
        /// `Version`
        3: Version { kind: Kind, id: String, at: Sequence },
        /// `Versions`
        4: History { kind: Kind, id: String, before: Sequence, limit: usize },
        /// `Heads`
        5: Heads { kind: Kind, after: Option<String>, limit: usize },
        /// `Postings`
        6: Select { selection: Selection, after: Option<Position>, limit: usize },
        /// `Entries`
        7: Log { from: Sequence, limit: usize },
        /// `State`
        8: State,
        /// `Root`
        9: Root { size: Sequence },
        /// `Synced`
        10: Sync,
        /// `Pruned`
        11: Prune { policy: PrunePolicy, actor: String },
        /// `Intent`
        12: Intent,
        /// `Done`
        13: SetIntent { intent: Option<Intent> },
        /// `Done`
        14: BeginEpoch { reason: String, actor: String },
        /// `Progress`, `Checked` and `Fault` as they come, then `Done`
        15: Check { pins: Vec<Sequence> },
        /// `Stats`
        16: Stats,
        /// `Done`. A lease is held until it is released or the connection ends.
        17: Lease { number: u64, at: Sequence },
        /// `Done`
        18: Release { number: u64 },
        /// `Done`. From then on nobody commits but this connection, until it ends.
        19: Claim,
        /// `State`, and from then on `Changes` whenever something changes.
        20: Subscribe,
        /// Not answered: those who subscribed here know of these `Changes`.
        21: Acknowledge { number: u64 },
        /// `Done`, and the owner lets go of the vault; or `Busy`.
        22: HandOver,
        /// `Pins`
        23: Pins,
        /// `Done`, when everybody has acted on the changes up to there.
        24: SettleSubscribers { upto: Sequence },
        /// `Done`, when changes of artifacts that the owner held back are committed.
        25: WriteBack,
        /// `Bytes`
        26: Chunk { id: ChunkId },
        /// `Bytes`
        27: ReadPiece { piece: Piece, from: u32, len: u32 },
        /// `Dentry`
        28: Dentry { parent: Ino, name: Vec<u8>, at: Sequence },
        /// `Dentries`
        29: Dentries { parent: Ino, after: Option<Vec<u8>>, limit: usize, at: Sequence },
        /// `Extents`
        30: Extents { ino: Ino, from: u64, limit: usize, at: Sequence },
        /// `Space`
        31: Space,
        /// `Done`
        32: Reclaim,
        /// `Rows`
        33: Rows { part: Part, from: Vec<u8>, upto: Sequence },
        /// `Bytes`: the service's answer to this question
        34: Ask { question: Vec<u8> },
    }
}

messages! {
    /// What the owner answers.
    Answer {
        /// Not done, whatever was asked: this process does not own the vault any more.
        1: Moved,
        2: Failed { error: StorageError },
        3: Done,
        4: Committed { committed: Committed },
        5: Head { head: Option<Head> },
        6: Version { version: Option<Version> },
        /// `more`: there are more than came, although fewer came than were asked for.
        7: Versions { versions: Vec<Version>, more: bool },
        8: Heads { heads: Vec<(String, Head)> },
        9: Postings { postings: Vec<Posting> },
        10: Entries { entries: Vec<LogEntry> },
        11: State { state: LogState },
        12: Root { root: Checksum },
        13: Synced { sequence: Sequence },
        14: Pruned { pruned: Pruned },
        15: Intent { intent: Option<Intent> },
        16: Stats { stats: StorageStats },
        17: Progress { done: u64, total: u64 },
        18: Checked { kind: Kind, id: String, version: Version },
        19: Fault { fault: Fault },
        /// To be acknowledged by number.
        20: Changes { number: u64, changes: Vec<Changed> },
        /// Why the ownership is not handed over now.
        21: Busy { reason: String },
        /// The owner is about to let go of the vault; with `handed`, another process is to take it.
        22: Farewell { handed: bool },
        23: Pins { pins: Vec<Sequence> },
        24: Bytes { bytes: Vec<u8> },
        25: Dentry { dentry: Option<Dentry> },
        26: Dentries { dentries: Vec<(Vec<u8>, Dentry)> },
        27: Extents { extents: Vec<(u64, Vec<Piece>)> },
        28: Space { space: Space },
        /// To be acknowledged by number once everybody has acted on the changes up to there.
        29: Settle { number: u64, upto: Sequence },
        30: Rows { page: RowPage },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::codec::tests::{commit, returns, version};
    use super::super::wire::{HEADER, frame, message};
    use super::*;

    #[test]
    fn a_connection_begins_with_the_same_bytes_in_every_version() {
        let hello = Hello { magic: MAGIC, protocol: 1, vault_id: "vault_01".into() };
        returns(&hello);
        let greeting = Greeting { magic: MAGIC, protocol: 1, refusal: Some(Refusal::User), process: 7 };
        returns(&greeting);
        assert_eq!(frame(&hello)[HEADER..], *b"MDNASOCK\x01\0\x08\0\0\0vault_01");
        assert_eq!(frame(&greeting)[HEADER..], *b"MDNASOCK\x01\0\x01\x02\x07\0\0\0");
    }

    /// Messages with every kind of value in them.
    fn samples() -> Vec<Vec<u8>> {
        let requests = [
            Request::Commit { commit: commit(), since: Some(3) },
            Request::Select { selection: Selection::all(Kind::Memory), after: None, limit: 7 },
            Request::Prune { policy: PrunePolicy::default(), actor: "who".into() },
            Request::SetIntent { intent: Some(Intent::Restore { target: 3, start: Some(7) }) },
            Request::Heads { kind: Kind::Glyph, after: Some("x".into()), limit: usize::MAX },
            Request::HandOver,
        ];
        let answers = [
            Answer::Versions { versions: vec![version(), version()], more: true },
            Answer::Failed { error: StorageError::Corrupt { what: "it".into(), detail: "gone".into() } },
            Answer::Checked { kind: Kind::Memory, id: "m".into(), version: version() },
            Answer::Farewell { handed: true },
        ];
        requests.iter().map(frame).chain(answers.iter().map(frame)).map(|frame| frame[HEADER..].to_vec()).collect()
    }

    #[test]
    fn messages_come_back() {
        for sample in samples() {
            let request = message::<Request>(&sample).map(|request| frame(&request));
            let answer = message::<Answer>(&sample).map(|answer| frame(&answer));
            let same = |frame: Result<Vec<u8>, _>| frame.is_ok_and(|frame: Vec<u8>| frame[HEADER..] == *sample);
            assert!(same(request) || same(answer));
        }
    }

    proptest! {
        /// Whatever arrives is a message or is refused, and a message is what its bytes say.
        #[test]
        fn hostile_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(request) = message::<Request>(&bytes) {
                prop_assert!(message::<Request>(&frame(&request)[HEADER..]).is_ok());
            }
            if let Ok(answer) = message::<Answer>(&bytes) {
                prop_assert!(message::<Answer>(&frame(&answer)[HEADER..]).is_ok());
            }
            let _ = (message::<Hello>(&bytes), message::<Greeting>(&bytes));
        }

        /// The same for messages in which something was changed, which get further than random bytes do.
        #[test]
        fn damaged_messages_are_refused_or_are_others(
            nth in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()
        ) {
            let samples = samples();
            let mut bytes = nth.get(&samples).clone();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if cut {
                bytes.truncate(at);
            }
            if let Ok(request) = message::<Request>(&bytes) {
                prop_assert!(message::<Request>(&frame(&request)[HEADER..]).is_ok());
            }
            let _ = message::<Answer>(&bytes);
        }
    }
}
