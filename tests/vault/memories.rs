//! Memories: filters, order, search, and that nothing is read which a filter excludes.

use mirrordna::Error;
use mirrordna::record::{Kind, Value};
use mirrordna::storage::{Order, StorageError};
use mirrordna::vault::{Filter, MemoryUpdate, NewMemory, Tier, Wanted};

use crate::support::{AGENT, Fixture, USER, collect, ids, new_memory, parse, time};

fn search(fixture: &Fixture, query: &str, filter: &Filter) -> Vec<String> {
    collect(fixture.vault.memories().search(query, filter).unwrap()).into_iter().map(|record| record.id).collect()
}

fn list(fixture: &Fixture, filter: &Filter) -> Vec<String> {
    ids(fixture.vault.list(Kind::Memory, filter).unwrap())
}

#[test]
fn a_memory_is_written_exactly_so() {
    let fixture = Fixture::new();
    let memory = fixture.memory(Tier::LongTerm, "hello", Some(r#"{"tags":["a"]}"#));
    assert_eq!(
        memory.value,
        parse(&format!(
            r#"{{"memory_id":"{}","tier":"long_term","content":"hello","source":{{"session_id":"sess_000000000001",
            "timestamp":"{}","agent_id":"{AGENT}","user_id":"{USER}"}},"metadata":{{"tags":["a"]}}}}"#,
            memory.id,
            memory.value.str_at("source.timestamp").unwrap(),
        ))
    );
    assert_eq!(fixture.vault.get(Kind::Memory, &memory.id).unwrap(), memory);
    assert_eq!(Fixture::new().memory(Tier::LongTerm, "hello", Some(r#"{"tags":["a"]}"#)).checksum, memory.checksum);
}

#[test]
fn agent_and_user_come_from_the_session_when_it_is_there() {
    let fixture = Fixture::new();
    let session = fixture.session(None);
    let new = |session_id: &str| NewMemory {
        session_id: session_id.to_owned(),
        agent_id: None,
        user_id: None,
        ..new_memory(Tier::Episodic, "x", None)
    };
    let memory = fixture.vault.memories().add(new(&session.id)).unwrap();
    assert_eq!(memory.value.str_at("source.agent_id"), Some(AGENT));
    assert_eq!(memory.value.str_at("source.user_id"), Some(USER));
    let error = fixture.vault.memories().add(new("sess_000000000009")).unwrap_err();
    assert!(error.to_string().contains("agent and user must be given"), "{error}");
}

#[test]
fn filters_hold_together_and_follow_dots_into_nested_fields() {
    let fixture = Fixture::new();
    let metadata = [
        r#"{"tags":["été","x"],"custom":{"project":{"name":"a"},"n":3}}"#,
        r#"{"tags":["x"],"custom":{"project":{"name":"b"},"n":3.5},"relevance_score":1}"#,
        r#"{"custom":{"list":[1,"two",null],"n":null}}"#,
        r#"{"tags":["null","3"],"custom":{"n":"3","name":"null"}}"#,
    ];
    let made: Vec<_> = [Tier::ShortTerm, Tier::LongTerm, Tier::ShortTerm, Tier::Episodic]
        .into_iter()
        .zip(metadata)
        .map(|(tier, metadata)| fixture.memory(tier, "x", Some(metadata)).id)
        .collect();
    let check = |fields: &[(&str, Value)], expected: &[usize]| {
        let filter =
            fields.iter().fold(Filter::default(), |filter, (path, value)| filter.with(path, Value::clone(value)));
        let expected: Vec<_> = expected.iter().map(|n| made[*n].clone()).collect();
        assert_eq!(list(&fixture, &filter), expected, "{fields:?}");
        let reversed = filter.order(Order::LogReversed);
        assert_eq!(list(&fixture, &reversed), expected.into_iter().rev().collect::<Vec<_>>(), "{fields:?} reversed");
    };
    check(&[], &[0, 1, 2, 3]);
    check(&[("tier", "short_term".into())], &[0, 2]);
    check(&[("metadata.tags", "x".into())], &[0, 1]);
    check(&[("metadata.tags", "été".into()), ("tier", "short_term".into())], &[0]);
    check(&[("metadata.tags", "été".into()), ("tier", "long_term".into())], &[]);
    let tagged = ("metadata.tags", "x".into());
    check(&[("source.agent_id", AGENT.into()), tagged, ("metadata.custom.project.name", "b".into())], &[1]);
    check(&[("metadata.custom.n", parse("3.5"))], &[1]);
    check(&[("metadata.custom.list", "two".into())], &[2]);
    check(&[("metadata.custom.list", 1_i64.into())], &[2]);
    check(&[("metadata.relevance_score", 1_i64.into())], &[1]);
    check(&[("metadata.custom.nope.deeper", "x".into())], &[]);
    check(&[("metadata.custom.project", parse("{}"))], &[]);
    // What is missing is as good as null, in fields with an index too.
    check(&[("metadata.custom.n", Value::Null)], &[2]);
    check(&[("metadata.relevance_score", Value::Null)], &[0, 2, 3]);
    check(&[("metadata.tags", Value::Null)], &[2]);
    // A text is no number and not null, whatever it says, in fields with an index too.
    check(&[("metadata.custom.n", 3_i64.into())], &[0]);
    check(&[("metadata.custom.n", "3".into())], &[3]);
    check(&[("metadata.custom.name", "null".into())], &[3]);
    check(&[("metadata.custom.list", "null".into())], &[]);
    check(&[("metadata.tags", "null".into())], &[3]);
    check(&[("metadata.tags", "3".into())], &[3]);
    check(&[("metadata.tags", 3_i64.into())], &[]);
    // For those who have nothing but text it is what is written so.
    let written = |path: &str, text: &str| {
        let field = (path.to_owned(), Wanted::Written(text.to_owned()));
        list(&fixture, &Filter { fields: vec![field], ..Filter::default() })
    };
    let of = |numbers: &[usize]| numbers.iter().map(|n| made[*n].clone()).collect::<Vec<_>>();
    assert_eq!(written("metadata.custom.n", "3"), of(&[0, 3]));
    assert_eq!(written("metadata.custom.n", "null"), of(&[2]));
    assert_eq!(written("metadata.custom.name", "null"), of(&[0, 1, 2, 3]));
    assert_eq!(written("metadata.tags", "null"), of(&[2, 3]));
    assert_eq!(written("metadata.tags", "x"), of(&[0, 1]));
    assert!(fixture.vault.list(Kind::Memory, &Filter::default().with("", "x")).is_err());
}

#[test]
fn time_ranges_include_their_start_and_not_their_end() {
    let fixture = Fixture::new();
    let hours = ["2025-01-03T00:00:00Z", "2025-01-01T00:00:00+01:00", "2025-01-02T00:00:00Z"];
    let made: Vec<_> = hours
        .iter()
        .map(|hour| {
            let new = NewMemory { timestamp: Some(time(hour)), ..new_memory(Tier::Episodic, "x", None) };
            fixture.vault.memories().add(new).unwrap().id
        })
        .collect();
    let range = |from: &str, to: &str| Filter { time: Some(time(from)..time(to)), ..Filter::default() };
    let day = range("2025-01-01T00:00:00Z", "2025-01-03T00:00:00Z");
    assert_eq!(list(&fixture, &day), [made[2].clone()]);
    let all = range("2024-12-31T23:00:00Z", "2025-01-03T00:00:00.000001Z");
    assert_eq!(list(&fixture, &all), made, "order of the log, not of time");
    let newest = all.order(Order::NewestTime);
    assert_eq!(list(&fixture, &newest), [made[0].clone(), made[2].clone(), made[1].clone()]);
    assert_eq!(list(&fixture, &range("2025-01-02T00:00:00Z", "2025-01-02T00:00:00Z")), Vec::<String>::new());
}

#[test]
fn a_listing_goes_on_where_another_stopped_whatever_happens_between() {
    let fixture = Fixture::new();
    for order in [Order::Log, Order::LogReversed, Order::NewestTime] {
        let all: Vec<_> = (0..25).map(|_| fixture.memory(Tier::Episodic, "x", None).id).collect();
        let wanted = list(&fixture, &Filter::default().order(order));
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let mut page =
                fixture.vault.list(Kind::Memory, &Filter { after, ..Filter::default().order(order).limit(7) }).unwrap();
            let found = collect(&mut page);
            if found.is_empty() {
                break;
            }
            after = page.position();
            seen.extend(found.into_iter().map(|record| record.id));
            // What was passed may go without a place being lost.
            let _ = fixture.vault.delete(Kind::Memory, &seen[0]);
        }
        assert_eq!(seen, wanted, "{order:?}");
        for id in &all {
            let _ = fixture.vault.delete(Kind::Memory, id);
        }
    }
}

#[test]
fn search_ignores_case_and_sees_keys_and_values() {
    let fixture = Fixture::new();
    let text = fixture.memory(Tier::ShortTerm, "Größe ÉTÉ Straße\nline", None).id;
    let nested =
        fixture.memory(Tier::LongTerm, parse(r#"{"Clé":{"list":[{"Wert":"Ärger"},12.5,true,null]}}"#), None).id;
    let tagged = fixture.memory(Tier::ShortTerm, "other", Some(r#"{"tags":["été"]}"#)).id;
    let all = Filter::default();
    for (query, expected) in [
        ("größe", vec![&text]),
        ("été", vec![&text]),
        ("ÉTÉ straße", vec![&text]),
        ("\nline", vec![&text]),
        ("clé", vec![&nested]),
        ("WERT", vec![&nested]),
        ("ärger", vec![&nested]),
        ("12.5", vec![&nested]),
        ("true", vec![&nested]),
        ("R", vec![&tagged, &nested, &text]),
        ("", vec![&tagged, &nested, &text]),
        ("short_term", vec![]),
    ] {
        assert_eq!(search(&fixture, query, &all), expected.into_iter().cloned().collect::<Vec<_>>(), "{query:?}");
    }
    assert_eq!(search(&fixture, "r", &Filter::default().with("tier", "short_term")), [tagged.clone(), text]);
    assert_eq!(search(&fixture, "r", &Filter::default().limit(2)), [tagged, nested]);
}

#[test]
fn equal_times_keep_the_order_of_the_log_in_searches() {
    let fixture = Fixture::new();
    let at = |hour: &str| {
        let new = NewMemory { timestamp: Some(time(hour)), ..new_memory(Tier::Episodic, "same", None) };
        fixture.vault.memories().add(new).unwrap().id
    };
    let (a, b, c) = (at("2025-01-01T00:00:00Z"), at("2025-01-02T00:00:00Z"), at("2025-01-01T01:00:00+01:00"));
    assert_eq!(search(&fixture, "same", &Filter::default()), [b, a, c]);
}

#[test]
fn nothing_is_read_that_a_filter_excludes() {
    let fixture = Fixture::new();
    let vault = fixture.vault.with_durability(mirrordna::storage::Durability::Buffered);
    for n in 0..600 {
        let metadata = (n % 100 == 0).then_some(r#"{"tags":["rare"]}"#);
        vault.memories().add(new_memory(Tier::ALL[n % 3], format!("memory {n}"), metadata)).unwrap();
    }
    let reads = |work: &dyn Fn() -> usize| {
        let before = vault.storage().stats().versions_read;
        let found = work();
        (found, vault.storage().stats().versions_read - before)
    };
    let rare = Filter::default().with("metadata.tags", "rare");
    assert_eq!(reads(&|| list(&fixture, &rare).len()), (6, 6));
    assert_eq!(reads(&|| list(&fixture, &rare.clone().with("tier", "short_term")).len()), (2, 2));
    assert_eq!(reads(&|| search(&fixture, "memory", &rare).len()), (6, 6));
    assert_eq!(reads(&|| search(&fixture, "memory 300", &rare).len()), (1, 6));
    assert_eq!(reads(&|| list(&fixture, &Filter::default().limit(5)).len()), (5, 5));
    assert_eq!(reads(&|| list(&fixture, &Filter { archived: Some(true), ..Filter::default() }).len()), (0, 0));
    assert_eq!(reads(&|| list(&fixture, &Filter::default().with("source.session_id", "sess_none")).len()), (0, 0));
    let since = time("2025-06-01T13:00:00Z");
    let late = Filter { time: Some(since..since.plus_micros(86_400_000_000)), ..Filter::default() };
    let (found, read) = reads(&|| list(&fixture, &late).len());
    assert_eq!(found as u64, read);
}

#[test]
fn archiving_promoting_counting_and_updating_keep_the_place_in_the_list() {
    let fixture = Fixture::new();
    let memories = fixture.vault.memories();
    let made: Vec<_> = (0..3).map(|n| fixture.memory(Tier::ShortTerm, format!("m{n}"), None).id).collect();
    let archived = memories.archive(&made[0]).unwrap();
    assert_eq!(archived.value.at("metadata.archived"), Some(&true.into()));
    assert!(archived.value.str_at("metadata.archived_at").unwrap().starts_with("2025-06-01T12"));
    assert!(matches!(memories.archive(&made[0]).unwrap_err(), Error::State { .. }));
    assert_eq!(list(&fixture, &Filter { archived: Some(true), ..Filter::default() }), [made[0].clone()]);
    assert_eq!(list(&fixture, &Filter { archived: Some(false), ..Filter::default() }), made[1..]);

    memories.count_access(&made[1]).unwrap();
    let counted = memories.count_access(&made[1]).unwrap();
    assert_eq!(counted.value.at("metadata.access_count"), Some(&2_i64.into()));
    assert!(counted.value.at("metadata.last_accessed").is_some());

    memories.promote(&made[0], Tier::Episodic).unwrap();
    assert_eq!(list(&fixture, &Filter::default().with("tier", "episodic")), [made[0].clone()]);
    assert_eq!(list(&fixture, &Filter::default().with("tier", "short_term")), made[1..]);

    let update = MemoryUpdate { content: Some("new".into()), metadata: Some(parse(r#"{"archived":null,"own":1}"#)) };
    let updated = memories.update(&made[0], &update).unwrap();
    assert_eq!(updated.value.get("content"), Some(&"new".into()));
    assert_eq!((updated.value.at("metadata.archived"), updated.value.at("metadata.own")), (None, Some(&1_i64.into())));
    assert_eq!(list(&fixture, &Filter { archived: Some(false), ..Filter::default() }), made, "in their first order");
    let bad = MemoryUpdate { metadata: Some("text".into()), ..MemoryUpdate::default() };
    assert!(matches!(memories.update(&made[0], &bad).unwrap_err(), Error::Argument { .. }));
    let empty = MemoryUpdate { content: Some("".into()), ..MemoryUpdate::default() };
    assert!(matches!(memories.update(&made[0], &empty).unwrap_err(), Error::Record(_)));
    let unknown = memories.archive("mem_000000000009").unwrap_err();
    assert!(matches!(unknown, Error::Storage(StorageError::NotFound { .. })));
    let unchanged = fixture.vault.get(Kind::Memory, &made[0]).unwrap();
    assert_eq!(unchanged.value, updated.value);
}

#[test]
fn accesses_are_all_counted_from_many_threads() {
    let fixture = Fixture::new();
    let id = fixture.memory(Tier::ShortTerm, "x", None).id;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..4).for_each(|_| drop(fixture.vault.memories().count_access(&id).unwrap())));
        }
    });
    let memory = fixture.vault.get(Kind::Memory, &id).unwrap();
    assert_eq!(memory.value.at("metadata.access_count").and_then(Value::as_i64), Some(16));
}
