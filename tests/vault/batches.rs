//! Batches: all or none, seen by nobody before, and the same as their changes made one by one.

use std::sync::Arc;

use mirrordna::record::id::SeededIds;
use mirrordna::record::time::SteppingClock;
use mirrordna::record::{Kind, Value};
use mirrordna::storage::{Durability, MAX_COMMIT_CHANGES, NOW, Order, StorageError};
use mirrordna::vault::{
    AgentDna, Batch, Filter, Memories, MemoryUpdate, NewEvent, Past, Record, Records, Reflections, Sessions, Tier,
};
use mirrordna::{Error, Result, Vault, VaultOptions};
use proptest::prelude::*;

use crate::support::{AGENT, Fixture, USER, collect, ids, new_memory, new_session, parse, time};

fn content(text: &str) -> MemoryUpdate {
    MemoryUpdate { content: Some(text.into()), ..MemoryUpdate::default() }
}

fn is_stale(error: &Error, wanted: &str) -> bool {
    matches!(error, Error::Storage(StorageError::Stale { id, .. }) if id == wanted)
}

#[test]
fn a_batch_is_one_commit_that_nobody_sees_before() {
    let fixture = Fixture::new();
    let vault = &fixture.vault;
    let (old, other) = (fixture.memory(Tier::Episodic, "old", None), fixture.memory(Tier::Episodic, "gone", None));
    let before = vault.state();

    let batch = vault.batch();
    let session = batch.sessions().start(new_session(None)).unwrap();
    let child = batch.sessions().start(new_session(Some(&session.id))).unwrap();
    // Agent and user are those of a session that only the batch has.
    let mut new = new_memory(Tier::ShortTerm, "new", None);
    (new.session_id, new.agent_id, new.user_id) = (child.id.clone(), None, None);
    let memory = batch.memories().add(new).unwrap();
    assert_eq!(memory.value.str_at("source.user_id"), Some(USER));
    batch.memories().promote(&memory.id, Tier::LongTerm).unwrap();
    batch.memories().update(&old.id, &content("changed")).unwrap();
    batch.delete(Kind::Memory, &other.id).unwrap();
    batch.sessions().end(&session.id, None).unwrap();
    assert_eq!(batch.len(), 7);
    assert_eq!(batch.get(Kind::Memory, &memory.id).unwrap().value.str_at("tier"), Some("long_term"));
    assert_eq!(ids(batch.list(Kind::Memory, &Filter::default()).unwrap()), [old.id.clone(), memory.id.clone()]);
    assert_eq!(batch.sessions().lineage(&child.id).unwrap().sessions.len(), 2);

    assert_eq!(vault.state(), before);
    assert!(vault.find(Kind::Memory, &memory.id).unwrap().is_none());
    assert!(vault.find(Kind::Memory, &other.id).unwrap().is_some());

    let committed = batch.commit().unwrap().unwrap();
    assert_eq!((committed.first, committed.last), (before.sequence + 1, before.sequence + 7));
    let log = vault.log(committed.first, 100).unwrap();
    assert_eq!(
        log.iter().map(|entry| entry.end_of_commit).collect::<Vec<_>>(),
        [[false; 6].as_slice(), &[true]].concat()
    );
    let events: Vec<_> = log.iter().filter_map(|entry| entry.event.map(mirrordna::storage::Event::name)).collect();
    assert_eq!(events, ["session_start", "session_start", "memory_created", "session_end"]);
    assert_eq!(vault.history(Kind::Memory, &memory.id, NOW, 9).unwrap().len(), 2);
    assert_eq!(vault.get(Kind::Memory, &memory.id).unwrap().value.str_at("tier"), Some("long_term"));
    assert_eq!(vault.get(Kind::Memory, &old.id).unwrap().value.str_at("content"), Some("changed"));
    assert!(vault.find(Kind::Memory, &other.id).unwrap().is_none());
    assert_eq!(vault.state().durable, committed.last);
}

#[test]
fn a_view_shows_a_batch_whole_or_not_at_all() {
    let fixture = Fixture::new();
    let before = fixture.vault.state().sequence;
    let batch = fixture.vault.batch();
    for n in 0..3 {
        batch.memories().add(new_memory(Tier::Episodic, format!("thought {n}"), None)).unwrap();
    }
    batch.commit().unwrap();
    let end = fixture.vault.state().sequence;
    let seen = |at| fixture.vault.at(at).unwrap().records(Kind::Memory).count();
    assert!(end > before + 2);
    assert_eq!(seen(before), 0);
    for inside in before + 1..=end {
        assert_eq!(seen(inside), 3, "at {inside}");
        assert_eq!(fixture.vault.at(inside).unwrap().sequence(), Some(end));
    }
}

#[test]
fn what_is_refused_leaves_the_batch_as_it_was() {
    let fixture = Fixture::new();
    let batch = fixture.vault.batch();
    let memory = batch.memories().add(new_memory(Tier::ShortTerm, "kept", None)).unwrap();
    assert!(matches!(batch.sessions().start(new_session(Some("sess_000000000009"))), Err(Error::UnknownParent { .. })));
    let broken = parse(r#"{"memory_id":"mem_000000000001","tier":"nowhere"}"#);
    assert!(matches!(batch.put(Kind::Memory, broken), Err(Error::Record(_))));
    let unknown = batch.delete(Kind::Memory, "mem_000000000009").unwrap_err();
    assert!(matches!(unknown, Error::Storage(StorageError::NotFound { .. })));
    let again = batch.create_record(Kind::Memory, memory.value.clone()).unwrap_err();
    assert!(matches!(again, Error::Storage(StorageError::Exists { .. })));
    assert!(matches!(batch.delete(Kind::Artifact, "2"), Err(Error::Immutable { .. })));
    assert_eq!(batch.len(), 1);
    batch.commit().unwrap();
    assert_eq!(ids(fixture.vault.list(Kind::Memory, &Filter::default()).unwrap()), [memory.id]);
    assert!(fixture.vault.find(Kind::Session, "sess_000000000009").unwrap().is_none());
}

#[test]
fn a_batch_that_is_dropped_or_empty_changes_nothing() {
    let fixture = Fixture::new();
    let before = fixture.vault.state();
    let batch = fixture.vault.batch();
    batch.memories().add(new_memory(Tier::ShortTerm, "never", None)).unwrap();
    drop(batch);
    assert_eq!(fixture.vault.batch().commit().unwrap(), None);
    assert_eq!(fixture.vault.state(), before);
}

type Ours<'a> = &'a dyn Fn(&Batch) -> Result<()>;
type Theirs<'a> = &'a dyn Fn() -> Result<()>;

/// Somebody changes a record that the batch changes, that it read, that it made, or that it found missing.
#[test]
fn a_batch_fails_when_somebody_was_faster() {
    let fixture = Fixture::new();
    let vault = &fixture.vault;
    let memory = fixture.memory(Tier::Episodic, "one", None);
    let session = fixture.session(None);
    let made = |id: &str| {
        let mut value = memory.value.clone();
        value.as_object_mut().unwrap().insert("memory_id".into(), id.into());
        value
    };
    let update: Ours<'_> = &|batch| batch.memories().update(&memory.id, &content("ours")).map(drop);
    let cases: [(Ours<'_>, Theirs<'_>, &str); 5] = [
        (update, &|| vault.memories().update(&memory.id, &content("theirs")).map(drop), &memory.id),
        (
            &|batch| batch.sessions().start(new_session(Some(&session.id))).map(drop),
            &|| vault.sessions().end(&session.id, None).map(drop),
            &session.id,
        ),
        (
            &|batch| batch.put(Kind::Memory, made("mem_00000000000a")).map(drop),
            &|| vault.put(Kind::Memory, made("mem_00000000000a")).map(drop),
            "mem_00000000000a",
        ),
        (
            &|batch| batch.find(Kind::Memory, "mem_00000000000b").map(drop),
            &|| vault.put(Kind::Memory, made("mem_00000000000b")).map(drop),
            "mem_00000000000b",
        ),
        (update, &|| vault.delete(Kind::Memory, &memory.id).map(drop), &memory.id),
    ];
    for (ours, theirs, id) in cases {
        let batch = vault.batch();
        let other = batch.memories().add(new_memory(Tier::ShortTerm, "with it", None)).unwrap();
        ours(&batch).unwrap();
        theirs().unwrap();
        let after = vault.state();
        let error = batch.commit().unwrap_err();
        assert!(is_stale(&error, id), "{error}");
        assert_eq!(vault.state(), after);
        assert!(vault.find(Kind::Memory, &other.id).unwrap().is_none());
    }
    // What the batch neither read nor changed may change.
    let batch = vault.batch();
    batch.memories().add(new_memory(Tier::ShortTerm, "ours", None)).unwrap();
    fixture.memory(Tier::Episodic, "theirs", None);
    batch.commit().unwrap();
}

/// A batch that has no chance any more says so at the next look at what somebody changed.
#[test]
fn a_batch_never_sees_two_states_of_a_record() {
    let fixture = Fixture::new();
    let memory = fixture.memory(Tier::Episodic, "one", None);
    let batch = fixture.vault.batch();
    batch.get(Kind::Memory, &memory.id).unwrap();
    fixture.vault.memories().update(&memory.id, &content("two")).unwrap();
    assert!(is_stale(&batch.get(Kind::Memory, &memory.id).unwrap_err(), &memory.id));
    assert!(is_stale(&batch.memories().update(&memory.id, &content("three")).unwrap_err(), &memory.id));
    assert!(is_stale(&batch.delete(Kind::Memory, &memory.id).unwrap_err(), &memory.id));
    assert!(batch.is_empty());
}

#[test]
fn a_batch_takes_as_much_as_a_commit() {
    let fixture = Fixture::new();
    let batch = fixture.vault.batch();
    let memory = batch.memories().add(new_memory(Tier::ShortTerm, "x", None)).unwrap();
    for _ in 1..MAX_COMMIT_CHANGES {
        batch.memories().promote(&memory.id, Tier::LongTerm).unwrap();
    }
    let error = batch.memories().promote(&memory.id, Tier::LongTerm).unwrap_err();
    assert!(matches!(error, Error::Storage(StorageError::Limit { .. })), "{error}");
    assert_eq!(batch.len(), MAX_COMMIT_CHANGES);
    batch.commit().unwrap();
    assert_eq!(fixture.vault.history(Kind::Memory, &memory.id, NOW, usize::MAX).unwrap().len(), MAX_COMMIT_CHANGES);
}

/// One thing to do, to records that are numbered in the order in which they were made.
#[derive(Clone, Debug)]
enum Op {
    Remember {
        tier: usize,
        session: usize,
    },
    Put {
        memory: usize,
        tier: usize,
    },
    Update {
        memory: usize,
        text: u8,
    },
    Promote {
        memory: usize,
        tier: usize,
    },
    Archive {
        memory: usize,
    },
    Count {
        memory: usize,
    },
    Delete {
        kind: usize,
        number: usize,
    },
    Start {
        parent: Option<usize>,
    },
    End {
        session: usize,
    },
    Append {
        text: u8,
    },
    Reflect {
        text: u8,
    },
    Dna {
        version: u8,
    },
    Decide,
    /// All until here is committed, where it is done in batches.
    Commit,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..3_usize, 0..4_usize).prop_map(|(tier, session)| Op::Remember { tier, session }),
        2 => (0..4_usize, 0..3_usize).prop_map(|(memory, tier)| Op::Put { memory, tier }),
        2 => (0..6_usize, any::<u8>()).prop_map(|(memory, text)| Op::Update { memory, text }),
        2 => (0..6_usize, 0..3_usize).prop_map(|(memory, tier)| Op::Promote { memory, tier }),
        1 => (0..6_usize).prop_map(|memory| Op::Archive { memory }),
        1 => (0..6_usize).prop_map(|memory| Op::Count { memory }),
        2 => (0..2_usize, 0..6_usize).prop_map(|(kind, number)| Op::Delete { kind, number }),
        2 => prop::option::of(0..4_usize).prop_map(|parent| Op::Start { parent }),
        1 => (0..4_usize).prop_map(|session| Op::End { session }),
        1 => any::<u8>().prop_map(|text| Op::Append { text }),
        1 => any::<u8>().prop_map(|text| Op::Reflect { text }),
        1 => (0..3_u8).prop_map(|version| Op::Dna { version }),
        1 => Just(Op::Decide),
        2 => Just(Op::Commit),
    ]
}

/// What a vault and a batch have in common.
trait Hands {
    fn memories(&self) -> Memories<'_>;
    fn sessions(&self) -> Sessions<'_>;
    fn reflections(&self) -> Reflections<'_>;
    fn agent_dna(&self) -> AgentDna<'_>;
    fn append(&self, new: NewEvent) -> Result<Record>;
    fn put(&self, kind: Kind, record: Value) -> Result<Record>;
    fn remove(&self, kind: Kind, id: &str) -> Result<()>;
    fn list(&self, kind: Kind, filter: &Filter) -> Result<Records>;
}

macro_rules! hands {
    ($type:ty, $append:expr) => {
        impl Hands for $type {
            fn memories(&self) -> Memories<'_> {
                self.memories()
            }

            fn sessions(&self) -> Sessions<'_> {
                self.sessions()
            }

            fn reflections(&self) -> Reflections<'_> {
                self.reflections()
            }

            fn agent_dna(&self) -> AgentDna<'_> {
                self.agent_dna()
            }

            fn append(&self, new: NewEvent) -> Result<Record> {
                $append(self, new)
            }

            fn put(&self, kind: Kind, record: Value) -> Result<Record> {
                self.put(kind, record)
            }

            fn remove(&self, kind: Kind, id: &str) -> Result<()> {
                self.delete(kind, id).map(|_| ())
            }

            fn list(&self, kind: Kind, filter: &Filter) -> Result<Records> {
                self.list(kind, filter)
            }
        }
    };
}

hands!(Vault, |vault: &Vault, new| vault.timeline().append(new));
hands!(Batch, Batch::append_event);

/// The ids of memories and sessions, in the order in which they were made.
#[derive(Default)]
struct Made([Vec<String>; 2]);

impl Made {
    fn id(&self, kind: usize, number: usize) -> &str {
        self.0[kind].get(number).map_or("mem_00000000dead", String::as_str)
    }

    fn learn(&mut self, record: &Value) {
        for (ids, field) in self.0.iter_mut().zip(["memory_id", "session_id"]) {
            if let Some(id) = record.str_at(field)
                && !ids.iter().any(|known| known == id)
            {
                ids.push(id.to_owned());
            }
        }
    }
}

fn fixed(number: usize, tier: usize) -> Value {
    let tier = Tier::ALL[tier].name();
    parse(&format!(
        r#"{{"memory_id":"mem_00000000000{number}","tier":"{tier}","content":"put","source":{{"session_id":"sess_1",
            "timestamp":"2025-0{}-01T00:00:00Z","agent_id":"{AGENT}","user_id":"{USER}"}}}}"#,
        number + 3
    ))
}

fn dna(version: u8) -> Value {
    parse(&format!(
        r#"{{"agent_id":"{AGENT}","version":"1.{version}.0","personality_traits":{{"tone":"calm","style":"brief",
            "values":["honesty"]}},"behavioral_constraints":["rule {version}"],"capabilities":["x"]}}"#
    ))
}

fn run(on: &impl Hands, op: &Op, made: &Made) -> Result<Value> {
    let record = match op {
        Op::Remember { tier, session } => {
            let mut new = new_memory(Tier::ALL[*tier], "text", Some(r#"{"tags":["a"]}"#));
            (new.session_id, new.agent_id) = (made.id(1, *session).to_owned(), None);
            on.memories().add(new)
        }
        Op::Put { memory, tier } => on.put(Kind::Memory, fixed(*memory, *tier)),
        Op::Update { memory, text } => on.memories().update(made.id(0, *memory), &content(&text.to_string())),
        Op::Promote { memory, tier } => on.memories().promote(made.id(0, *memory), Tier::ALL[*tier]),
        Op::Archive { memory } => on.memories().archive(made.id(0, *memory)),
        Op::Count { memory } => on.memories().count_access(made.id(0, *memory)),
        Op::Delete { kind, number } => {
            let kinds = [Kind::Memory, Kind::Session];
            return on.remove(kinds[*kind], made.id(*kind, *number)).map(|()| Value::Null);
        }
        Op::Start { parent } => {
            let parent = parent.map(|parent| made.id(1, parent));
            on.sessions().start(new_session(parent))
        }
        Op::End { session } => on.sessions().end(made.id(1, *session), None),
        Op::Append { text } => {
            let (event_type, actor) = ("custom".to_owned(), text.to_string());
            on.append(NewEvent { event_type, actor, ..NewEvent::default() })
        }
        Op::Reflect { text } => on.reflections().state(AGENT, parse(r#"{"a":1}"#), &[text.to_string()]),
        Op::Dna { version } => on.agent_dna().create(dna(*version)),
        Op::Decide => on.reflections().decision(AGENT, "go", "why not", &[], parse("{}")),
        Op::Commit => return Ok(Value::Null),
    };
    record.map(|record| record.value)
}

/// Everything that listings show.
fn listed(on: &impl Hands) -> Vec<(String, Value)> {
    let filters = [
        Filter::default(),
        Filter::default().with("tier", "long_term"),
        Filter::default().with("metadata.tags", "a").limit(2),
        Filter { archived: Some(false), ..Filter::default() },
        Filter { time: Some(time("2025-04-01T00:00:00Z")..time("2025-06-01T00:00:00Z")), ..Filter::default() },
    ];
    let mut found = Vec::new();
    for kind in [Kind::Memory, Kind::Session, Kind::Event, Kind::Reflection, Kind::AgentDna] {
        let filters = if kind == Kind::Memory { filters.as_slice() } else { &filters[..1] };
        for filter in filters {
            for order in [Order::Log, Order::LogReversed, Order::NewestTime] {
                let records = collect(on.list(kind, &filter.clone().order(order)).unwrap());
                found.extend(records.into_iter().map(|record| (format!("{kind} {order:?}"), record.value)));
            }
        }
    }
    found
}

/// A vault in which no time passes, so that it does not matter how often it is asked for.
fn still(dir: &std::path::Path) -> Vault {
    let options = VaultOptions {
        clock: Arc::new(SteppingClock::new(time("2025-06-01T12:00:00Z"), 0)),
        ids: Arc::new(SeededIds::new(1)),
        durability: Durability::Buffered,
        ..VaultOptions::default()
    };
    Vault::create(dir, &options).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Whether changes are made one by one or in batches: each has the same result, listings show the same after each of
    /// them, and in the end there is the same log with the same versions.
    #[test]
    fn a_batch_is_the_same_as_its_changes(ops in prop::collection::vec(op(), 1..40)) {
        let dir = tempfile::tempdir().unwrap();
        let (single, batched) = (still(&dir.path().join("single")), still(&dir.path().join("batched")));
        let mut made = Made::default();
        let mut batch = batched.batch();
        for op in &ops {
            if matches!(op, Op::Commit) {
                std::mem::replace(&mut batch, batched.batch()).commit().unwrap();
            }
            let (one, other) = (run(&single, op, &made), run(&batch, op, &made));
            prop_assert_eq!(one.as_ref().map_err(Error::to_string), other.as_ref().map_err(Error::to_string));
            if let Ok(record) = &one {
                made.learn(record);
            }
            prop_assert_eq!(listed(&single), listed(&batch));
        }
        batch.commit().unwrap();
        let log = |vault: &Vault| {
            let log = vault.log(1, usize::MAX).unwrap().into_iter();
            let told = log.map(|entry| (entry.sequence, entry.time, entry.operation, entry.event, entry.kind, entry.id, entry.session, entry.agent));
            told.collect::<Vec<_>>()
        };
        prop_assert_eq!(log(&single), log(&batched));
        for (_, _, _, _, kind, id, _, _) in log(&single) {
            let Some(kind) = kind else { continue };
            let history = |vault: &Vault| {
                let past = vault.history(kind, &id, NOW, usize::MAX).unwrap().into_iter();
                past.map(|past| match past {
                    Past::Version(record) => (record.sequence, Some(record.value)),
                    Past::Deleted { sequence, .. } => (sequence, None),
                }).collect::<Vec<_>>()
            };
            prop_assert_eq!(history(&single), history(&batched));
        }
        prop_assert_eq!(listed(&single), listed(&batched));
    }
}
