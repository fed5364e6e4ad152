//! The timeline: what the log tells and what was appended, together.

use mirrordna::Error;
use mirrordna::record::document::seal;
use mirrordna::record::{Kind, Value, object};
use mirrordna::storage::Durability;
use mirrordna::vault::{EventQuery, NewEvent, NewSnapshot, Tier};

use crate::support::{AGENT, Fixture, new_memory, parse, time};

fn events(fixture: &Fixture, query: &EventQuery) -> Vec<Value> {
    fixture.vault.timeline().query(query).unwrap().map(Result::unwrap).collect()
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event.str_at("event_type").unwrap()).collect()
}

fn append(fixture: &Fixture, event_type: &str, actor: &str, at: Option<&str>) -> String {
    let event = NewEvent {
        event_type: event_type.to_owned(),
        actor: actor.to_owned(),
        timestamp: at.map(time),
        payload: Some(object([("k", "v".into())])),
        session_id: Some("sess_000000000001".to_owned()),
    };
    fixture.vault.timeline().append(event).unwrap().id
}

#[test]
fn what_happens_appears_by_itself_once_with_id_and_time_of_its_log_entry() {
    let fixture = Fixture::new();
    let vault = &fixture.vault;
    let session = fixture.session(None);
    let memory = vault
        .memories()
        .add(mirrordna::vault::NewMemory { session_id: session.id.clone(), ..new_memory(Tier::ShortTerm, "x", None) })
        .unwrap();
    vault.memories().archive(&memory.id).unwrap();
    vault.memories().count_access(&memory.id).unwrap();
    let mut citation = parse(
        r#"{"id":"mc_0000000000000001","version":"1.0.0","vault_id":"vault_0000000000000001","created_at":"2025-01-01T00:00:00Z"}"#,
    );
    for version in ["1.0.0", "1.0.1"] {
        citation.as_object_mut().unwrap().insert("version".into(), version.into());
        seal(citation.as_object_mut().unwrap());
        vault.put(Kind::Citation, citation.clone()).unwrap();
    }
    vault.reflections().state(AGENT, object([("a", 1_i64.into())]), &[]).unwrap();
    vault.snapshots().create(NewSnapshot::default()).unwrap();
    vault.sessions().end(&session.id, None).unwrap();
    vault.delete(Kind::Memory, &memory.id).unwrap();

    let told = events(&fixture, &EventQuery::default());
    assert_eq!(
        types(&told),
        [
            "session_start",
            "memory_created",
            "memory_accessed",
            "citation_created",
            "citation_updated",
            "reflection_recorded",
            "state_snapshot",
            "session_end"
        ]
    );
    let entry = &vault.log(memory.sequence, 1).unwrap()[0];
    assert_eq!(
        told[1],
        parse(&format!(
            r#"{{"id":"evt_{}_{:04}","timestamp":"{}","event_type":"memory_created","actor":"{AGENT}",
            "payload":{{"memory_id":"{}"}},"related_session_id":"{}","related_agent_id":"{AGENT}"}}"#,
            entry.time.format("%Y%m%d%H%M%S"),
            memory.sequence,
            entry.time,
            memory.id,
            session.id,
        ))
    );
    for event in &told {
        assert_eq!(mirrordna::record::schema::validate(Kind::Event, event), Ok(()));
    }
    assert_eq!(vault.list(Kind::Event, &mirrordna::vault::Filter::default()).unwrap().count(), 0, "no second records");
}

#[test]
fn a_restore_tells_nothing_a_second_time() {
    let fixture = Fixture::new();
    fixture.memory(Tier::ShortTerm, "x", None);
    let snapshot = fixture.vault.snapshots().create(NewSnapshot::default()).unwrap();
    let memory = fixture.memory(Tier::ShortTerm, "y", None);
    fixture.vault.snapshots().restore(&snapshot.id).unwrap();
    assert!(fixture.vault.find(Kind::Memory, &memory.id).unwrap().is_none());
    let told = events(&fixture, &EventQuery::default());
    assert_eq!(types(&told), ["memory_created", "state_snapshot", "memory_created"]);
}

#[test]
fn both_kinds_of_event_come_in_the_order_of_time_and_pass_the_same_filters() {
    let fixture = Fixture::new();
    let late = append(&fixture, "custom", "someone", Some("2030-01-01T00:00:00Z"));
    fixture.memory(Tier::ShortTerm, "x", None);
    let now = append(&fixture, "identity_verified", AGENT, None);
    fixture.memory(Tier::ShortTerm, "y", None);
    let early = append(&fixture, "custom", "someone", Some("2020-01-01T00:00:00Z"));
    let all = events(&fixture, &EventQuery::default());
    assert_eq!(types(&all), ["custom", "memory_created", "identity_verified", "memory_created", "custom"]);
    assert_eq!(
        [all[0].str_at("id"), all[2].str_at("id"), all[4].str_at("id")],
        [Some(&*early), Some(&*now), Some(&*late)]
    );
    let count = |query: EventQuery| events(&fixture, &query).len();
    let none = EventQuery::default;
    assert_eq!(count(EventQuery { event_type: Some("custom".into()), ..none() }), 2);
    assert_eq!(count(EventQuery { event_type: Some("memory_created".into()), ..none() }), 2);
    assert_eq!(count(EventQuery { actor: Some(AGENT.into()), ..none() }), 3);
    assert_eq!(count(EventQuery { session: Some("sess_000000000001".into()), ..none() }), 5);
    assert_eq!(count(EventQuery { session: Some("sess_none".into()), ..none() }), 0);
    assert_eq!(count(EventQuery { limit: Some(3), ..none() }), 3);
    assert_eq!(count(EventQuery { limit: Some(0), ..none() }), 0);
    let start = time("2025-06-01T00:00:00Z");
    let day = EventQuery { time: Some(start..start.plus_micros(86_400_000_000)), ..none() };
    assert_eq!(types(&events(&fixture, &day)), ["memory_created", "identity_verified", "memory_created"]);
    // A range begins with its start and ends before its end.
    let stamp = |event: &Value| time(event.str_at("timestamp").unwrap());
    let exact = EventQuery { time: Some(stamp(&all[1])..stamp(&all[3])), ..none() };
    assert_eq!(events(&fixture, &exact), all[1..3]);
}

#[test]
fn the_past_shows_the_events_that_were_there_then() {
    let fixture = Fixture::new();
    append(&fixture, "custom", "a", None);
    fixture.memory(Tier::ShortTerm, "x", None);
    let at = fixture.vault.state().sequence;
    let view = |at| Some(fixture.vault.at(at).unwrap());
    let then = events(&fixture, &EventQuery::default());
    append(&fixture, "custom", "a", Some("2020-01-01T00:00:00Z"));
    fixture.memory(Tier::ShortTerm, "y", None);
    assert_eq!(events(&fixture, &EventQuery { view: view(at), ..EventQuery::default() }), then);
    assert_eq!(events(&fixture, &EventQuery { view: view(0), ..EventQuery::default() }), []);
    let by = EventQuery { view: view(at), event_type: Some("custom".into()), ..EventQuery::default() };
    assert_eq!(events(&fixture, &by), then[..1]);
}

#[test]
fn the_summary_counts_all_of_them() {
    let fixture = Fixture::new();
    append(&fixture, "custom", "a", Some("2020-01-01T00:00:00Z"));
    append(&fixture, "custom", "b", Some("2021-01-01T00:00:00Z"));
    fixture.memory(Tier::ShortTerm, "x", None);
    let last = events(&fixture, &EventQuery::default()).pop().unwrap();
    assert_eq!(
        fixture.vault.timeline().summary("tl", None).unwrap(),
        parse(&format!(
            r#"{{"timeline_id":"tl","total_events":3,"event_types":{{"custom":2,"memory_created":1}},"unique_actors":3,
            "first_event":"2020-01-01T00:00:00.000000Z","last_event":"{}"}}"#,
            last.str_at("timestamp").unwrap()
        ))
    );
}

#[test]
fn events_are_immutable_and_must_be_of_a_known_type() {
    let fixture = Fixture::new();
    let id = append(&fixture, "custom", "a", None);
    let mut event = fixture.vault.get(Kind::Event, &id).unwrap().value;
    event.as_object_mut().unwrap().insert("actor".into(), "b".into());
    assert!(matches!(fixture.vault.put(Kind::Event, event).unwrap_err(), Error::Immutable { .. }));
    let unknown = NewEvent { event_type: "party".into(), actor: "a".into(), ..NewEvent::default() };
    assert!(matches!(fixture.vault.timeline().append(unknown).unwrap_err(), Error::Record(_)));
}

#[test]
fn a_long_log_is_queried_page_by_page() {
    let fixture = Fixture::new();
    let vault = fixture.vault.with_durability(Durability::Buffered);
    for n in 0..5_000 {
        let mut memory = fixture_memory(n);
        memory.as_object_mut().unwrap().insert("tier".into(), "episodic".into());
        vault.put(Kind::Memory, memory).unwrap();
    }
    let all = events(&fixture, &EventQuery::default());
    assert_eq!(all.len(), 5_000);
    let middle = time(all[4_100].str_at("timestamp").unwrap());
    let late = EventQuery { time: Some(middle..middle.plus_micros(3_000_000)), ..EventQuery::default() };
    assert_eq!(events(&fixture, &late), all[4_100..4_103]);
}

fn fixture_memory(n: usize) -> Value {
    parse(&format!(
        r#"{{"memory_id":"mem_{n:012}","tier":"short_term","content":"x","source":{{"session_id":"sess_000000000001",
        "timestamp":"2025-01-01T00:00:00Z","agent_id":"{AGENT}","user_id":"mdna_usr_0123456789abcdef"}}}}"#
    ))
}
