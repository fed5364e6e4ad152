//! Sessions and memories to begin with, and what a listing gives.

use mirrordna::Result;
use mirrordna::record::{Value, json};
use mirrordna::vault::{NewMemory, NewSession, Record, Records, Tier};

pub(crate) use crate::fixture::{AGENT, Fixture, USER, options, time};

pub(crate) const OTHER_AGENT: &str = "mdna_agt_fedcba9876543210";

impl Fixture {
    pub(crate) fn session(&self, parent: Option<&Record>) -> Record {
        self.vault.sessions().start(new_session(parent.map(|parent| parent.id.as_str()))).unwrap()
    }

    pub(crate) fn memory(&self, tier: Tier, content: impl Into<Value>, metadata: Option<&str>) -> Record {
        self.vault.memories().add(new_memory(tier, content, metadata)).unwrap()
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

pub(crate) fn parse(text: &str) -> Value {
    json::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

pub(crate) fn ids(records: Records) -> Vec<String> {
    collect(records).into_iter().map(|record| record.id).collect()
}

pub(crate) fn collect(records: impl Iterator<Item = Result<Record>>) -> Vec<Record> {
    records.map(Result::unwrap).collect()
}
