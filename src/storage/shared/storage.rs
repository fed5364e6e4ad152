//! The storage that a vault sees, whoever owns it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::record::{Checksum, Kind, Timestamp};

use super::super::artifacts::{ChunkId, Dentry, Ino, Piece, Space};
use super::super::chunk_sum::ChunkSum;
use super::super::lock::LockFile;
use super::super::remote::{CallError, Client};
use super::super::rocksdb::RocksStorage;
use super::super::rows::{Part, RowPage};
use super::super::types::{
    Commit, Committed, Head, LogEntry, LogState, Position, Posting, Selection, Sequence, Version,
};
use super::super::{
    Asking, CheckSink, Intent, Job, Lease, PrunePolicy, Pruned, Result, Service, Storage, StorageError, StorageStats,
    Subscriber, WriteBack,
};
use super::SharedStorage;
use super::core::Call;
use super::job::SharedJob;

impl SharedStorage {
    /// What is asked for lies in the memory of another process.
    fn not_owner(&self) -> CallError {
        let (path, holder) = (self.core.dir.clone(), LockFile::holder(&self.core.dir));
        CallError::Storage(StorageError::NotOwner { path, holder })
    }
}

impl Storage for SharedStorage {
    fn vault_id(&self) -> &str {
        &self.core.vault_id
    }

    fn commit(&self, commit: Commit) -> Result<Committed> {
        self.core.commit(commit, None)
    }

    fn head(&self, kind: Kind, id: &str) -> Result<Option<Head>> {
        self.core.call(Call::Read, |here| here.head(kind, id), |there| there.head(kind, id))
    }

    fn version(&self, kind: Kind, id: &str, at: Sequence) -> Result<Option<Version>> {
        self.core.call(Call::Read, |here| here.version(kind, id, at), |there| there.version(kind, id, at))
    }

    fn history(&self, kind: Kind, id: &str, before: Sequence, limit: usize) -> Result<Vec<Version>> {
        self.core.call(
            Call::Read,
            |here| here.history(kind, id, before, limit),
            |there| there.history(kind, id, before, limit),
        )
    }

    fn heads(&self, kind: Kind, after: Option<&str>, limit: usize) -> Result<Vec<(String, Head)>> {
        self.core.call(Call::Read, |here| here.heads(kind, after, limit), |there| there.heads(kind, after, limit))
    }

    fn select(&self, selection: &Selection, after: Option<Position>, limit: usize) -> Result<Vec<Posting>> {
        self.core.call(
            Call::Read,
            |here| here.select(selection, after, limit),
            |there| there.select(selection, after, limit),
        )
    }

    fn log(&self, from: Sequence, limit: usize) -> Result<Vec<LogEntry>> {
        self.core.call(Call::Read, |here| here.log(from, limit), |there| there.log(from, limit))
    }

    fn state(&self) -> LogState {
        let unknown = LogState {
            sequence: 0,
            durable: 0,
            root: Checksum::of(&[]),
            time: Timestamp::default(),
            epoch: 0,
            horizon: 0,
        };
        self.state_now().ok().or_else(|| self.core.last_state()).unwrap_or(unknown)
    }

    fn state_now(&self) -> Result<LogState> {
        let state = self.core.call(Call::Read, |here| Ok(here.state()), Client::state)?;
        self.core.remember(state);
        Ok(state)
    }

    fn root(&self, size: Sequence) -> Result<Checksum> {
        self.core.call(Call::Read, |here| here.root(size), |there| there.root(size))
    }

    fn sync(&self) -> Result<Sequence> {
        self.core.call(Call::Repeatable, Storage::sync, Client::sync)
    }

    fn subscribe(&self, subscriber: &Arc<dyn Subscriber>) -> Result<()> {
        self.core.subscribe(subscriber)
    }

    fn settle_subscribers(&self, upto: Sequence) {
        let settle = |here: &RocksStorage| {
            here.settle_subscribers(upto);
            Ok(())
        };
        if let Err(error) = self.core.call(Call::Read, settle, |there| there.settle_subscribers(upto)) {
            tracing::warn!(target: "mirrordna::storage", %error, "nobody says whether all have acted on a change");
        }
    }

    fn lease(&self, at: Sequence) -> Lease {
        self.core.lease(at)
    }

    fn prune(&self, policy: PrunePolicy, actor: &str) -> Result<Pruned> {
        self.core.call(Call::Once, |here| here.prune(policy, actor), |there| there.prune(policy, actor))
    }

    fn pins(&self) -> Result<Vec<Sequence>> {
        self.core.call(Call::Read, Storage::pins, Client::pins)
    }

    fn job(&self) -> Result<Box<dyn Job + '_>> {
        Ok(Box::new(SharedJob::begin(&self.core)?))
    }

    fn intent(&self) -> Result<Option<Intent>> {
        self.core.call(Call::Read, Storage::intent, Client::intent)
    }

    fn set_intent(&self, intent: Option<&Intent>) -> Result<()> {
        self.core.call(Call::Repeatable, |here| here.set_intent(intent), |there| there.set_intent(intent))
    }

    /// An epoch whose answer was lost may be begun twice, which says no less.
    fn begin_epoch(&self, reason: &str, actor: &str) -> Result<()> {
        self.core.call(
            Call::Repeatable,
            |here| here.begin_epoch(reason, actor),
            |there| there.begin_epoch(reason, actor),
        )
    }

    fn check(&self, pins: &[Sequence], sink: &mut dyn CheckSink) -> Result<()> {
        // One of the two is called at a time, and the sink goes to that one.
        let sink = std::cell::RefCell::new(sink);
        let begun = std::cell::Cell::new(false);
        self.core.call(
            Call::Read,
            |here| here.check(pins, *sink.borrow_mut()),
            |there| {
                let mut found = begun.get();
                if found {
                    // What was found before would be found again.
                    return Err(CallError::Storage(StorageError::Engine {
                        path: self.core.dir.clone(),
                        message: "the process that held the vault ended in the middle of the check: run it again"
                            .to_owned(),
                    }));
                }
                let checked = there.check(pins, *sink.borrow_mut(), &mut found);
                begun.set(found);
                checked
            },
        )
    }

    fn append_chunk(&self, bytes: &[u8]) -> Result<(ChunkId, ChunkSum)> {
        self.core.call(Call::Once, |here| here.append_chunk(bytes), |_| Err(self.not_owner()))
    }

    fn append_inline(&self, bytes: &[u8]) -> Result<(ChunkId, ChunkSum)> {
        self.core.call(Call::Once, |here| here.append_inline(bytes), |_| Err(self.not_owner()))
    }

    fn discard_chunks(&self, chunks: &[ChunkId]) {
        let discard = |here: &RocksStorage| {
            here.discard_chunks(chunks);
            Ok(())
        };
        // Elsewhere there are none that nobody named yet.
        let _ = self.core.call(Call::Read, discard, |_| Ok(()));
    }

    fn chunk(&self, id: ChunkId) -> Result<Vec<u8>> {
        self.core.call(Call::Read, |here| here.chunk(id), |there| there.chunk(id))
    }

    fn read_piece_into(&self, piece: &Piece, from: u32, out: &mut [u8]) -> Result<()> {
        // One of the two is called at a time, and the room goes to that one.
        let out = std::cell::RefCell::new(out);
        self.core.call(
            Call::Read,
            |here| here.read_piece_into(piece, from, &mut out.borrow_mut()),
            |there| there.read_piece_into(piece, from, &mut out.borrow_mut()),
        )
    }

    fn rows(&self, part: Part, from: &[u8], upto: Sequence) -> Result<RowPage> {
        self.core.call(Call::Read, |here| here.rows(part, from, upto), |there| there.rows(part, from, upto))
    }

    fn dentry(&self, parent: Ino, name: &[u8], at: Sequence) -> Result<Option<Dentry>> {
        self.core.call(Call::Read, |here| here.dentry(parent, name, at), |there| there.dentry(parent, name, at))
    }

    fn dentries(
        &self,
        parent: Ino,
        after: Option<&[u8]>,
        limit: usize,
        at: Sequence,
    ) -> Result<Vec<(Vec<u8>, Dentry)>> {
        self.core.call(
            Call::Read,
            |here| here.dentries(parent, after, limit, at),
            |there| there.dentries(parent, after, limit, at),
        )
    }

    fn extents(&self, ino: Ino, from: u64, limit: usize, at: Sequence) -> Result<Vec<(u64, Vec<Piece>)>> {
        self.core.call(
            Call::Read,
            |here| here.extents(ino, from, limit, at),
            |there| there.extents(ino, from, limit, at),
        )
    }

    /// Only who owns the vault gives out numbers of inodes: they are known to its memory alone until they are committed.
    fn next_ino(&self) -> Result<Ino> {
        self.core.call(Call::Read, Storage::next_ino, |_| Err(self.not_owner()))
    }

    fn space(&self) -> Result<Space> {
        self.core.call(Call::Read, Storage::space, Client::space)
    }

    fn reclaim(&self) -> Result<()> {
        self.core.call(Call::Repeatable, Storage::reclaim, Client::reclaim)
    }

    fn hold_back(&self, holder: &Arc<dyn WriteBack>) -> Result<()> {
        self.core.call(Call::Once, |here| here.hold_back(holder), |_| Err(self.not_owner()))
    }

    fn serve(&self, service: &Arc<dyn Service>) {
        self.core.serve(service);
    }

    fn ask(&self, how: Asking, question: &dyn Fn() -> Vec<u8>) -> Result<Option<Vec<u8>>> {
        let call = match how {
            Asking::Read => Call::Read,
            Asking::Repeatable => Call::Repeatable,
            Asking::Once | Asking::Holding => Call::Once,
        };
        self.core.call(call, |_| Ok(None), |there| there.ask(question(), how == Asking::Holding).map(Some))
    }

    fn owners_died(&self) -> u64 {
        self.core.died.load(Ordering::Acquire)
    }

    fn leave_unstored(&self) {
        self.core.unstored.store(true, Ordering::Release);
    }

    fn settle(&self) -> Result<()> {
        self.core.call(Call::Read, Storage::settle, Client::write_back)
    }

    fn stats(&self) -> StorageStats {
        let stats = self.core.call(Call::Read, |here| Ok(here.stats()), Client::stats);
        stats.unwrap_or_default()
    }
}
