//! What all tests of this suite need: a vault, records, and who owns it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mirrordna::record::{Kind, Value, json};
use mirrordna::storage::{
    Action, Change, Commit, Committed, Durability, Expect, FileRows, NOW, Origin, Ownership, Storage, StorageError,
    prepare,
};
use mirrordna::{Error, Vault, VaultOptions, verify};
use tempfile::TempDir;

/// Longer than anything takes that is expected to end.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A vault that is closed, in a directory that goes with this.
pub(crate) struct Bed {
    dir: TempDir,
}

impl Bed {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        drop(Vault::create(&dir.path().join("vault"), &options()).unwrap());
        Self { dir }
    }

    pub(crate) fn vault(&self) -> PathBuf {
        self.dir.path().join("vault")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn open(&self) -> Vault {
        Vault::open(&self.vault(), &options()).unwrap()
    }

    /// The process that owns the vault, or owned it last.
    pub(crate) fn owner(&self) -> u32 {
        let text = std::fs::read_to_string(self.vault().join("LOCK")).unwrap_or_default();
        text.strip_prefix("process ").and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap_or(0)
    }

    pub(crate) fn assert_clean(&self) {
        let report = verify::verify(&self.vault(), &options(), &mut |_, _| {}).unwrap();
        assert!(report.is_clean(), "{:?}", &report.faults[..report.faults.len().min(3)]);
    }
}

pub(crate) fn options() -> VaultOptions {
    VaultOptions { lock_timeout: Duration::from_secs(30), ..VaultOptions::default() }
}

pub(crate) fn wanting() -> VaultOptions {
    VaultOptions { ownership: Ownership::Wanted, ..options() }
}

/// What does not open within a moment.
pub(crate) fn refusal(dir: &Path, ownership: Ownership) -> StorageError {
    let options = VaultOptions { lock_timeout: Duration::from_millis(300), ownership, ..VaultOptions::default() };
    match Vault::open(dir, &options) {
        Err(Error::Storage(error)) => error,
        other => panic!("{:?}", other.map(|vault| vault.id().to_owned())),
    }
}

fn text(id: &str, content: &str) -> String {
    format!(
        r#"{{"memory_id":"{id}","tier":"episodic","content":"{content}","source":{{
           "timestamp":"2026-01-01T00:00:00Z","session_id":"sess_000000000000","agent_id":"mdna_agt_0123456789abcdef",
           "user_id":"mdna_usr_0123456789abcdef"}}}}"#
    )
}

/// A memory as a value.
pub(crate) fn memory(id: &str, content: &str) -> Value {
    json::parse(text(id, content).as_bytes()).unwrap()
}

/// One version more of a memory, whatever there was before: made twice, it would be there twice.
pub(crate) fn write(storage: &dyn Storage, id: &str, content: &str) -> Result<Committed, StorageError> {
    let prepared = prepare(Kind::Memory, id, &memory(id, content), false).unwrap();
    let action = Action::Put(Box::new(prepared));
    let change = Change { kind: Kind::Memory, id: id.to_owned(), action, expect: Expect::Any, event: None };
    storage.commit(Commit {
        seen: Vec::new(),
        changes: vec![change],
        files: FileRows::default(),
        actor: "tester".to_owned(),
        origin: Origin::Direct,
        token: None,
        durability: Durability::Buffered,
    })
}

/// All contents that a memory ever had, newest first.
pub(crate) fn contents(storage: &dyn Storage, id: &str) -> Vec<String> {
    let versions = storage.history(Kind::Memory, id, NOW, usize::MAX).unwrap();
    let content = |json: &[u8]| json::parse(json).unwrap().str_at("content").unwrap().to_owned();
    versions.iter().filter(|version| !version.deleted).map(|version| content(&version.json)).collect()
}

/// What is sent on the socket of a vault: see `docs/socket-protocol.md`.
pub(crate) fn frame(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_le_bytes();
    [&length, &crc32c::crc32c(payload).to_le_bytes(), payload].concat()
}

/// What a caller says first.
pub(crate) fn greeting(vault: &Vault, protocol: u16) -> Vec<u8> {
    let length = u32::try_from(vault.id().len()).unwrap().to_le_bytes();
    frame(&[b"MDNASOCK", &protocol.to_le_bytes()[..], &length, vault.id().as_bytes()].concat())
}

/// Waits until something holds.
#[track_caller]
pub(crate) fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < LONG, "{what}: it does not come");
        std::thread::sleep(Duration::from_millis(2));
    }
}
