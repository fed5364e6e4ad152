//! A storage that fails when it is told to, over one that does not.
#![allow(dead_code, reason = "each suite uses a part of it")]

use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use mirrordna::record::id::SystemIds;
use mirrordna::record::{Checksum, FileType, Inode, Kind, Value, object};
use mirrordna::storage::{
    Action, Change, CheckSink, ChunkId, ChunkSum, Commit, Committed, Dentry, Durability, Expect, FileRows, Head, Ino,
    Intent, Job, Lease, LogEntry, LogState, OpenOptions, Origin, Part, Piece, Position, Posting, PrunePolicy, Pruned,
    Result, RocksStorage, RowPage, Selection, Sequence, Space, Storage, StorageError, StorageStats, Subscriber,
    Version, WriteBack, prepare_inode,
};

type Once = Box<dyn FnOnce(&RocksStorage) + Send>;

/// A storage that fails when it is told to.
pub(crate) struct Failing {
    inner: RocksStorage,
    /// How many pages of heads can be read before reading them fails.
    heads: AtomicUsize,
    /// How many versions can be read before reading them fails.
    versions: AtomicUsize,
    /// The version that no history can be read with; 0 is none.
    damaged: AtomicU64,
    /// What somebody else does just before the next commit.
    before_commit: Mutex<Option<Once>>,
}

impl Failing {
    /// A new one, which does not fail yet.
    pub(crate) fn create(dir: &Path) -> Arc<Self> {
        let inner = RocksStorage::create(dir, &OpenOptions::default(), &SystemIds).unwrap();
        let [heads, versions] = [usize::MAX; 2].map(AtomicUsize::new);
        Arc::new(Self { inner, heads, versions, damaged: AtomicU64::new(0), before_commit: Mutex::default() })
    }

    /// From now on only so many pages of heads can be read; as many as there are with `usize::MAX`.
    pub(crate) fn fail_after_pages(&self, pages: usize) {
        self.heads.store(pages, Ordering::Relaxed);
    }

    /// From now on only so many versions can be read, as pages of heads.
    pub(crate) fn fail_after_versions(&self, versions: usize) {
        self.versions.store(versions, Ordering::Relaxed);
    }

    /// From now on no history can be read that has the version of this sequence in it.
    pub(crate) fn fail_at_version(&self, sequence: Sequence) {
        self.damaged.store(sequence, Ordering::Relaxed);
    }

    /// Somebody else comes just before the next commit.
    pub(crate) fn before_commit(&self, work: impl FnOnce(&RocksStorage) + Send + 'static) {
        *self.before_commit.lock().unwrap() = Some(Box::new(work));
    }
}

impl Storage for Failing {
    fn heads(&self, kind: Kind, after: Option<&str>, limit: usize) -> Result<Vec<(String, Head)>> {
        one_less(&self.heads)?;
        self.inner.heads(kind, after, limit)
    }

    fn commit(&self, commit: Commit) -> Result<Committed> {
        let work = self.before_commit.lock().unwrap().take();
        if let Some(work) = work {
            work(&self.inner);
        }
        self.inner.commit(commit)
    }

    fn vault_id(&self) -> &str {
        self.inner.vault_id()
    }

    fn head(&self, kind: Kind, id: &str) -> Result<Option<Head>> {
        self.inner.head(kind, id)
    }

    fn version(&self, kind: Kind, id: &str, at: Sequence) -> Result<Option<Version>> {
        one_less(&self.versions)?;
        self.inner.version(kind, id, at)
    }

    fn history(&self, kind: Kind, id: &str, before: Sequence, limit: usize) -> Result<Vec<Version>> {
        let found = self.inner.history(kind, id, before, limit)?;
        let damaged = self.damaged.load(Ordering::Relaxed);
        if found.iter().any(|version| version.sequence == damaged) { Err(as_told()) } else { Ok(found) }
    }

    fn select(&self, selection: &Selection, after: Option<Position>, limit: usize) -> Result<Vec<Posting>> {
        self.inner.select(selection, after, limit)
    }

    fn log(&self, from: Sequence, limit: usize) -> Result<Vec<LogEntry>> {
        self.inner.log(from, limit)
    }

    fn state(&self) -> LogState {
        self.inner.state()
    }

    fn state_now(&self) -> Result<LogState> {
        self.inner.state_now()
    }

    fn root(&self, size: Sequence) -> Result<Checksum> {
        self.inner.root(size)
    }

    fn sync(&self) -> Result<Sequence> {
        self.inner.sync()
    }

    fn subscribe(&self, subscriber: &Arc<dyn Subscriber>) -> Result<()> {
        self.inner.subscribe(subscriber)
    }

    fn settle_subscribers(&self, upto: Sequence) {
        self.inner.settle_subscribers(upto);
    }

    fn lease(&self, at: Sequence) -> Lease {
        self.inner.lease(at)
    }

    fn prune(&self, policy: PrunePolicy, actor: &str) -> Result<Pruned> {
        self.inner.prune(policy, actor)
    }

    fn pins(&self) -> Result<Vec<Sequence>> {
        self.inner.pins()
    }

    fn job(&self) -> Result<Box<dyn Job + '_>> {
        self.inner.job()
    }

    fn intent(&self) -> Result<Option<Intent>> {
        self.inner.intent()
    }

    fn set_intent(&self, intent: Option<&Intent>) -> Result<()> {
        self.inner.set_intent(intent)
    }

    fn begin_epoch(&self, reason: &str, actor: &str) -> Result<()> {
        self.inner.begin_epoch(reason, actor)
    }

    fn check(&self, pins: &[Sequence], sink: &mut dyn CheckSink) -> Result<()> {
        self.inner.check(pins, sink)
    }

    fn stats(&self) -> StorageStats {
        self.inner.stats()
    }

    fn append_chunk(&self, bytes: &[u8]) -> Result<(ChunkId, ChunkSum)> {
        self.inner.append_chunk(bytes)
    }

    fn append_inline(&self, bytes: &[u8]) -> Result<(ChunkId, ChunkSum)> {
        self.inner.append_inline(bytes)
    }

    fn discard_chunks(&self, chunks: &[ChunkId]) {
        self.inner.discard_chunks(chunks);
    }

    fn chunk(&self, id: ChunkId) -> Result<Vec<u8>> {
        self.inner.chunk(id)
    }

    fn rows(&self, part: Part, from: &[u8], upto: Sequence) -> Result<RowPage> {
        self.inner.rows(part, from, upto)
    }

    fn read_piece_into(&self, piece: &Piece, from: u32, out: &mut [u8]) -> Result<()> {
        self.inner.read_piece_into(piece, from, out)
    }

    fn dentry(&self, parent: Ino, name: &[u8], at: Sequence) -> Result<Option<Dentry>> {
        self.inner.dentry(parent, name, at)
    }

    fn dentries(
        &self,
        parent: Ino,
        after: Option<&[u8]>,
        limit: usize,
        at: Sequence,
    ) -> Result<Vec<(Vec<u8>, Dentry)>> {
        self.inner.dentries(parent, after, limit, at)
    }

    fn extents(&self, ino: Ino, from: u64, limit: usize, at: Sequence) -> Result<Vec<(u64, Vec<Piece>)>> {
        self.inner.extents(ino, from, limit, at)
    }

    fn next_ino(&self) -> Result<Ino> {
        self.inner.next_ino()
    }

    fn space(&self) -> Result<Space> {
        self.inner.space()
    }

    fn reclaim(&self) -> Result<()> {
        self.inner.reclaim()
    }

    fn hold_back(&self, holder: &Arc<dyn WriteBack>) -> Result<()> {
        self.inner.hold_back(holder)
    }

    fn settle(&self) -> Result<()> {
        self.inner.settle()
    }
}

/// Fails when nothing is left.
fn one_less(left: &AtomicUsize) -> Result<()> {
    let next = |left: usize| if left == usize::MAX { Some(left) } else { left.checked_sub(1) };
    let found = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    found.map(drop).map_err(|_| as_told())
}

fn as_told() -> StorageError {
    StorageError::Io { path: "as told".into(), source: std::io::Error::from_raw_os_error(5) }
}

/// Makes an inode one that says that it is another.
pub(crate) fn damage_inode(storage: &dyn Storage, ino: Ino) {
    let other = Inode::new(ino + 1_000_000, FileType::Regular, 0);
    let (action, expect) = (Action::Put(Box::new(prepare_inode(&other).unwrap())), Expect::Present);
    let changes = vec![Change { kind: Kind::Artifact, id: ino.to_string(), action, expect, event: None }];
    let (seen, files, actor) = (Vec::new(), FileRows::default(), String::new());
    let (origin, durability) = (Origin::Direct, Durability::Buffered);
    storage.commit(Commit { seen, changes, files, actor, origin, token: None, durability }).unwrap();
}

/// Records that are nothing but their ids, for a lenient import.
pub(crate) fn bare(kind: Kind, count: usize) -> Vec<(String, Value)> {
    let record = |id: String| (id.clone(), object([(kind.id_field(), id.into())]));
    (0..count).map(|n| record(format!("bare_{n:05}"))).collect()
}
