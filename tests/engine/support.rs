//! What all tests of the engine need: a directory in memory, records, commits, crash points, checks.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use mirrordna::record::checksum::canonical;
use mirrordna::record::id::SeededIds;
use mirrordna::record::time::Clock;
use mirrordna::record::{Kind, Timestamp, json};
use mirrordna::storage::{
    Action, Change, CheckSink, Commit, Durability, Expect, Fault, FileRows, OpenOptions, Origin, Prepared,
    RocksStorage, Sequence, Storage, Version, prepare,
};
use tempfile::TempDir;

/// A fresh directory, in memory where there is one: these tests are about bytes, not about disks.
pub(crate) fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { TempDir::new_in(memory).unwrap() } else { TempDir::new().unwrap() }
}

pub(crate) fn options() -> OpenOptions {
    OpenOptions { lock_timeout: Duration::from_millis(50), ..OpenOptions::default() }
}

pub(crate) fn create(dir: &Path) -> RocksStorage {
    RocksStorage::create(dir, &options(), &SeededIds::new(7)).unwrap()
}

pub(crate) fn open(dir: &Path) -> RocksStorage {
    RocksStorage::open(dir, &options()).unwrap()
}

/// A clock that stands still until it is moved.
#[derive(Default)]
pub(crate) struct HandClock(pub(crate) AtomicI64);

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::Relaxed))
    }
}

/// What a memory of these tests says.
#[derive(Clone, Debug)]
pub(crate) struct Memory<'a> {
    pub(crate) tier: &'a str,
    pub(crate) session: &'a str,
    pub(crate) tags: Vec<&'a str>,
    /// Microseconds; none for a memory that breaks its schema by having no time.
    pub(crate) time: Option<i64>,
    pub(crate) archived: bool,
    pub(crate) content: String,
}

impl Default for Memory<'_> {
    fn default() -> Self {
        Self {
            tier: "episodic",
            session: "sess_000000000000",
            tags: Vec::new(),
            time: Some(1_700_000_000_000_000),
            archived: false,
            content: "what was said".to_owned(),
        }
    }
}

impl Memory<'_> {
    pub(crate) fn prepared(&self, id: &str) -> Prepared {
        let tags: Vec<String> = self.tags.iter().map(|tag| quoted(tag)).collect();
        let time =
            self.time.map_or_else(String::new, |time| format!(r#""timestamp":"{}","#, Timestamp::from_micros(time)));
        let text = format!(
            r#"{{"memory_id":{},"tier":{},"content":{},"source":{{{time}"session_id":{},
               "agent_id":"mdna_agt_000000000001","user_id":"mdna_usr_000000000001"}},
               "metadata":{{"tags":[{}],"archived":{}}}}}"#,
            quoted(id),
            quoted(self.tier),
            quoted(&self.content),
            quoted(self.session),
            tags.join(","),
            self.archived
        );
        prepared(Kind::Memory, id, &text)
    }
}

fn quoted(text: &str) -> String {
    String::from_utf8(canonical(&text.into())).unwrap()
}

pub(crate) fn prepared(kind: Kind, id: &str, text: &str) -> Prepared {
    prepare(kind, id, &json::parse(text.as_bytes()).unwrap(), false).unwrap()
}

/// A memory with this content and nothing else of interest.
pub(crate) fn memory(id: &str, content: &str) -> Prepared {
    Memory { content: content.to_owned(), ..Memory::default() }.prepared(id)
}

pub(crate) fn put(kind: Kind, id: &str, prepared: Prepared, expect: Expect) -> Change {
    Change { kind, id: id.to_owned(), action: Action::Put(Box::new(prepared)), expect, event: None }
}

pub(crate) fn put_memory(id: &str, content: &str, expect: Expect) -> Change {
    put(Kind::Memory, id, memory(id, content), expect)
}

/// A snapshot that pins a sequence.
pub(crate) fn snapshot(id: &str, sequence: Sequence) -> Change {
    let record = prepared(Kind::Snapshot, id, &format!(r#"{{"snapshot_id":"{id}","sequence":{sequence}}}"#));
    put(Kind::Snapshot, id, record, Expect::Absent)
}

/// Makes snapshots of exactly these sequences.
pub(crate) fn set_pins(storage: &dyn Storage, wanted: &[Sequence]) {
    let there = storage.pins().unwrap();
    let gone = there.iter().filter(|at| !wanted.contains(at));
    let gone = gone.map(|at| delete(Kind::Snapshot, &format!("snap_{at}"), Expect::Present));
    let new = wanted.iter().filter(|at| !there.contains(at)).map(|at| snapshot(&format!("snap_{at}"), *at));
    let changes: Vec<_> = gone.chain(new).collect();
    if !changes.is_empty() {
        storage.commit(commit(changes, Durability::Buffered)).unwrap();
    }
}

pub(crate) fn delete(kind: Kind, id: &str, expect: Expect) -> Change {
    Change { kind, id: id.to_owned(), action: Action::Delete, expect, event: None }
}

pub(crate) fn commit(changes: Vec<Change>, durability: Durability) -> Commit {
    Commit {
        seen: Vec::new(),
        changes,
        files: FileRows::default(),
        actor: "tester".to_owned(),
        origin: Origin::Direct,
        token: None,
        durability,
    }
}

/// One memory in one commit.
pub(crate) fn write(storage: &dyn Storage, id: &str, content: &str) -> Sequence {
    storage.commit(commit(vec![put_memory(id, content, Expect::Any)], Durability::Sync)).unwrap().last
}

/// Gathers what a check finds.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) faults: Vec<Fault>,
    pub(crate) versions: u64,
}

impl CheckSink for Found {
    fn progress(&mut self, done: u64, total: u64) {
        assert!(done <= total);
    }

    fn version(&mut self, _: Kind, _: &str, _: &Version) {
        self.versions += 1;
    }

    fn fault(&mut self, fault: Fault) {
        self.faults.push(fault);
    }
}

pub(crate) fn check(storage: &dyn Storage, pins: &[Sequence]) -> Found {
    let mut found = Found::default();
    storage.check(pins, &mut found).unwrap();
    found
}

pub(crate) fn assert_clean(storage: &dyn Storage, pins: &[Sequence]) {
    let found = check(storage, pins);
    assert!(found.faults.is_empty(), "{:#?}", found.faults);
}

/// All files below a directory, by path from it.
pub(crate) fn files_of(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut waiting = vec![dir.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(next).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                waiting.push(entry.path());
            } else {
                files.push(entry.path().strip_prefix(dir).unwrap().to_owned());
            }
        }
    }
    files.sort();
    files
}

pub(crate) fn copy_dir(from: &Path, to: &Path) -> std::io::Result<()> {
    for file in files_of(from) {
        let target = to.join(&file);
        fs::create_dir_all(target.parent().unwrap())?;
        fs::copy(from.join(file), target)?;
    }
    Ok(())
}

/// Everything but what grows by appending: while this stands still, a copy of file after file is a state in which the
/// process could have been killed.
fn standing(dir: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let names = files_of(dir).into_iter().filter(|file| file.extension().is_none_or(|ending| ending != "tmp"));
    let content = |file: PathBuf| {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let whole = name.starts_with("HEAD") || name.starts_with("MANIFEST") || name == "CURRENT" || name == "VAULT";
        let bytes = if whole { fs::read(dir.join(&file)).ok() } else { None };
        (file, bytes)
    };
    names.map(content).collect()
}

/// Copies a vault as a killed process would leave it, while others go on writing.
pub(crate) fn crash_copy(from: &Path, to: &Path) {
    for _ in 0..1_000 {
        let before = standing(from);
        let _ = fs::remove_dir_all(to);
        fs::create_dir_all(to).unwrap();
        if copy_dir(from, to).is_ok() && standing(from) == before {
            return;
        }
    }
    panic!("the vault never stood still");
}

/// Options with a clock that the test moves.
pub(crate) fn with_clock(clock: &Arc<HandClock>) -> OpenOptions {
    OpenOptions { clock: Arc::clone(clock) as Arc<dyn Clock>, ..options() }
}
