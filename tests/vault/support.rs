//! A vault whose clock and ids repeat.

use std::path::PathBuf;
use std::sync::Arc;

use mirrordna::record::id::SeededIds;
use mirrordna::record::time::SteppingClock;
use mirrordna::record::{Timestamp, Value, json};
use mirrordna::vault::{NewMemory, NewSession, Record, Records, Tier};
use mirrordna::{Result, Vault, VaultOptions};

pub(crate) const AGENT: &str = "mdna_agt_0123456789abcdef";
pub(crate) const OTHER_AGENT: &str = "mdna_agt_fedcba9876543210";
pub(crate) const USER: &str = "mdna_usr_0123456789abcdef";

/// A vault in a directory of its own. The clock begins at noon and moves on by a second each time it is read.
pub(crate) struct Fixture {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) vault: Vault,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::create(&dir.path().join("vault"), &options()).unwrap();
        Self { dir, vault }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn session(&self, parent: Option<&Record>) -> Record {
        self.vault.sessions().start(new_session(parent.map(|parent| parent.id.as_str()))).unwrap()
    }

    pub(crate) fn memory(&self, tier: Tier, content: impl Into<Value>, metadata: Option<&str>) -> Record {
        self.vault.memories().add(new_memory(tier, content, metadata)).unwrap()
    }
}

pub(crate) fn options() -> VaultOptions {
    VaultOptions {
        clock: Arc::new(SteppingClock::new(time("2025-06-01T12:00:00Z"), 1_000_000)),
        ids: Arc::new(SeededIds::new(1)),
        ..VaultOptions::default()
    }
}

pub(crate) fn new_session(parent: Option<&str>) -> NewSession {
    NewSession {
        agent_id: AGENT.to_owned(),
        user_id: USER.to_owned(),
        parent_session_id: parent.map(str::to_owned),
        context: None,
    }
}

pub(crate) fn new_memory(tier: Tier, content: impl Into<Value>, metadata: Option<&str>) -> NewMemory {
    NewMemory {
        tier,
        content: content.into(),
        session_id: "sess_000000000001".to_owned(),
        agent_id: Some(AGENT.to_owned()),
        user_id: Some(USER.to_owned()),
        timestamp: None,
        metadata: metadata.map(parse),
    }
}

pub(crate) fn time(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

pub(crate) fn parse(text: &str) -> Value {
    json::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

pub(crate) fn ids(records: Records) -> Vec<String> {
    collect(records).into_iter().map(|record| record.id).collect()
}

pub(crate) fn collect(records: impl Iterator<Item = Result<Record>>) -> Vec<Record> {
    records.map(Result::unwrap).collect()
}
