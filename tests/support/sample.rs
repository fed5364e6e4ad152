//! A vault with records of every kind, some in other scripts than Latin, for whoever looks at a vault from outside.

use mirrordna::record::{Checksum, Kind, Map, Value, json, object};
use mirrordna::storage::{Action, Change, Commit, Durability, Expect, FileRows, Origin, prepare};
use mirrordna::vault::{NewMemory, NewSession, Record, Tier, Vault};

pub const AGENT: &str = "mdna_agt_0123456789abcdef";
pub const USER: &str = "mdna_usr_0123456789abcdef";

/// Reads a record from JSON.
pub fn value(text: &str) -> Value {
    json::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Puts some records of every kind into a vault.
pub fn fill(vault: &Vault) {
    let put =
        |kind: Kind, text: String| vault.put(kind, value(&text)).unwrap_or_else(|error| panic!("{text}: {error}"));
    for (id, kind) in [(AGENT, "agent"), (USER, "user")] {
        let key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        put(
            Kind::Identity,
            format!(
                r#"{{"identity_id":"{id}","identity_type":"{kind}","created_at":"2025-03-01T08:00:00Z","public_key":"{key}"}}"#
            ),
        );
    }
    let session = session(vault);
    for (tier, text) in [
        (Tier::ShortTerm, "the user prefers metric units"),
        (Tier::ShortTerm, "der Süßwasserfisch heißt Äsche"),
        (Tier::LongTerm, "東京は日本の首都です"),
        (Tier::LongTerm, "emoji 🦀 and a \"quote\""),
        (Tier::Episodic, "Москва не сразу строилась"),
    ] {
        memory(vault, &session, tier, text.into());
    }
    memory(vault, &session, Tier::Episodic, object([("kind", "structured".into()), ("степень", 3_i64.into())]));
    put(
        Kind::AgentDna,
        format!(
            r#"{{"agent_dna_id":"dna_0123456789abcdef_1_0_0","agent_id":"{AGENT}","version":"1.0.0","personality_traits":{{"tone":"warm","style":"brief","values":["truth"]}},"behavioral_constraints":["no harm"],"capabilities":["reasoning"]}}"#
        ),
    );
    put(
        Kind::Reflection,
        format!(
            r#"{{"reflection_id":"refl_0123456789abcdef_20250301_080000_0001","agent_id":"{AGENT}","reflection_type":"state","timestamp":"2025-03-01T08:00:00Z","context":{{}},"observation":"calm"}}"#
        ),
    );
    vault.put(Kind::Citation, citation().into()).unwrap_or_else(|error| panic!("{error}"));
    let zero = "0".repeat(64);
    put(
        Kind::Entry,
        format!(
            r#"{{"id":"entry_0123456789abcdef","vault_id":"vault_0123456789abcdef","path":"a/b","type":"artifact","created_at":"2025-03-01T08:00:00Z","checksum":"{zero}"}}"#
        ),
    );
    put(Kind::AgentLink, format!(r#"{{"agent_id":"{AGENT}","agent_name":"Änne","mirrordna_identity_id":"{AGENT}"}}"#));
    put(
        Kind::Glyph,
        format!(
            r#"{{"id":"glyph_0123456789abcdef","timestamp":"2025-03-01T08:00:00Z","glyph":"⟡","source":{{"actor_id":"{AGENT}","actor_type":"agent"}}}}"#
        ),
    );
    for (n, time) in
        ["2019-02-28T23:59:59.999999Z", "2019-03-01T00:00:00Z", "2019-03-01T12:00:00+14:00"].iter().enumerate()
    {
        put(
            Kind::Event,
            format!(
                r#"{{"id":"evt_2019030100000{n}_0001","timestamp":"{time}","event_type":"custom","actor":"{USER}","payload":{{"note":"日記"}}}}"#
            ),
        );
    }
}

/// Starts a session and gives its id.
pub fn session(vault: &Vault) -> String {
    let new = NewSession { agent_id: AGENT.into(), user_id: USER.into(), ..NewSession::default() };
    vault.sessions().start(new).unwrap_or_else(|error| panic!("{error}")).id
}

/// Writes a memory.
pub fn memory(vault: &Vault, session: &str, tier: Tier, content: Value) -> Record {
    let new = NewMemory {
        tier,
        content,
        session_id: session.to_owned(),
        agent_id: Some(AGENT.into()),
        user_id: Some(USER.into()),
        timestamp: None,
        metadata: None,
    };
    vault.memories().add(new).unwrap_or_else(|error| panic!("{error}"))
}

fn citation() -> Map {
    let Value::Object(mut citation) = value(
        r#"{"id":"mc_0123456789abcdef","version":"1.0.0","vault_id":"vault_0123456789abcdef","created_at":"2025-03-01T08:00:00Z"}"#,
    ) else {
        unreachable!("it is an object")
    };
    let checksum = Checksum::of_value(&citation.clone().into());
    citation.insert("checksum".into(), checksum.to_string().into());
    citation
}

/// Stores records as an import does, many in a commit. A lenient one may break its schema.
pub fn import(vault: &Vault, kind: Kind, records: &[(String, Value)], lenient: bool) {
    for chunk in records.chunks(1_000) {
        let changes = chunk
            .iter()
            .map(|(id, record)| {
                let prepared = prepare(kind, id, record, lenient).unwrap_or_else(|error| panic!("{id}: {error}"));
                Change {
                    kind,
                    id: id.clone(),
                    action: Action::Put(Box::new(prepared)),
                    expect: Expect::Any,
                    event: None,
                }
            })
            .collect();
        let commit = Commit {
            seen: Vec::new(),
            changes,
            files: FileRows::default(),
            actor: "test".into(),
            origin: Origin::Import,
            token: None,
            durability: Durability::Buffered,
        };
        let committed = vault.storage().commit(commit).unwrap_or_else(|error| panic!("{error}"));
        vault.storage().settle_subscribers(committed.last);
    }
}

/// Memories to import: `count` of them, with ids that begin with `mem_` and a number, all in one tier.
pub fn memories(tier: Tier, count: usize) -> Vec<(String, Value)> {
    let texts = ["plain words", "größer als nötig", "記憶の宮殿", "память", "a needle in the haystack"];
    (0..count)
        .map(|n| {
            let id = format!("mem_{:012}_{}", n * 7_919 % 1_000_000_007, tier.name());
            let text = texts.get(n % texts.len()).copied().unwrap_or_default();
            let record = value(&format!(
                r#"{{"memory_id":"{id}","tier":"{}","content":"{text} {n}","source":{{"session_id":"sess_import000001","timestamp":"2025-03-01T08:00:00Z","agent_id":"{AGENT}","user_id":"{USER}"}},"metadata":{{"tags":["t{}"]}}}}"#,
                tier.name(),
                n % 10,
            ));
            (id, record)
        })
        .collect()
}
