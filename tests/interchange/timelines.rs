//! Timeline files.

use std::process::Command;

use mirrordna::Error;
use mirrordna::interchange::{RefusalReason, Silent, export_timeline, import_timeline};
use mirrordna::record::document::timeline_summary;
use mirrordna::record::{Kind, RecordError, Value};
use mirrordna::vault::{EventQuery, NewEvent};

use crate::data::{golden_folders, read_json, shared};
use crate::support::{AGENT, Fixture, LENIENT, STRICT};

fn event_ids(fixture: &Fixture, query: &EventQuery) -> Vec<String> {
    let events = fixture.vault.timeline().query(query).unwrap();
    events.map(|event| event.unwrap().str_at("id").unwrap().to_owned()).collect()
}

fn texts(value: Option<&Value>) -> Vec<String> {
    value.and_then(Value::as_array).unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_references_files_are_imported_and_queries_answer_as_its_own() {
    for folder in golden_folders("store") {
        let expected = read_json(&folder.join("timeline/expected.json"));
        for (name, expected) in expected.as_object().unwrap() {
            let path = folder.join("timeline").join(name);
            let total = expected.at("summary.total_events").and_then(Value::as_i64).unwrap();
            let fixture = Fixture::new();
            let report = import_timeline(&fixture.vault, &path, &STRICT, &mut Silent).unwrap();
            let counts = report.collections[&Kind::Event];
            // One event of the small file has a type that the protocol does not know, and no actor.
            let refused = u64::from(name == "small.json");
            assert_eq!((counts.refused, counts.taken), (refused, u64::try_from(total).unwrap() - refused));
            assert_eq!(counts.repaired > 0, name == "small.json" || counts.repaired > 0);
            if let [finding] = &report.refused[..] {
                let reason = finding.reason.to_string();
                assert!(reason.contains("event_type") && reason.contains("not_in_the_schema_enum"), "{reason}");
                assert!(matches!(finding.reason, RefusalReason::Record(RecordError::Schema { .. })));
            }
            let created = EventQuery { event_type: Some("memory_created".into()), ..EventQuery::default() };
            assert_eq!(event_ids(&fixture, &created), texts(expected.get("by_type_memory_created")));
            let wanted = texts(expected.get("by_actor_agent_limit_5"));
            let first = fixture.vault.get(Kind::Event, &wanted[0]).unwrap();
            let actor = first.value.str_at("actor").map(str::to_owned);
            let by_actor = EventQuery { actor, limit: Some(5), ..EventQuery::default() };
            let found = event_ids(&fixture, &by_actor);
            assert!(wanted.starts_with(&found) || found == wanted, "{found:?} {wanted:?}");

            // A second time, all of them are there.
            let before = fixture.vault.state();
            let again = import_timeline(&fixture.vault, &path, &STRICT, &mut Silent).unwrap();
            assert_eq!(again.collections[&Kind::Event].skipped, counts.taken);
            assert_eq!(fixture.vault.state(), before);
        }
    }
}

#[test]
fn what_was_imported_is_exported_as_the_reference_would() {
    for folder in golden_folders("store") {
        let small = folder.join("timeline/small.json");
        let fixture = Fixture::new();
        import_timeline(&fixture.vault, &small, &STRICT, &mut Silent).unwrap();
        fixture
            .vault
            .timeline()
            .append(NewEvent { event_type: "custom".into(), actor: AGENT.into(), ..NewEvent::default() })
            .unwrap();
        fixture.vault.reflections().state(AGENT, Value::Object(std::collections::BTreeMap::new()), &[]).unwrap();
        let out = fixture.path("timeline.json");
        let count = export_timeline(&fixture.vault, &EventQuery::default(), &out, &mut Silent).unwrap();
        assert_eq!(count, 7);
        let file = read_json(&out);
        assert_eq!(file.get("event_count"), Some(&7_i64.into()));
        let events = file.get("events").and_then(Value::as_array).unwrap();
        let times: Vec<_> = events.iter().map(|event| event.str_at("timestamp").unwrap()).collect();
        assert!(times.is_sorted(), "{times:?}");
        if let Some(script) = shared("check/interop.py") {
            let checked = Command::new("python3").arg(script).arg("timeline").arg(&out).output().unwrap();
            assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
            let said = mirrordna::record::json::parse(&checked.stdout).unwrap();
            assert_eq!(said, timeline_summary(fixture.vault.id(), events));
            assert_eq!(said, fixture.vault.timeline().summary(fixture.vault.id(), None).unwrap());
        }
        // Those that the log tells are known here, though they are no records.
        let again = import_timeline(&fixture.vault, &out, &STRICT, &mut Silent).unwrap();
        assert_eq!((again.total().skipped, again.total().taken), (7, 0), "{again:?}");
        // Elsewhere they become records, and nothing changes in a second pass.
        let copy = Fixture::new();
        assert_eq!(import_timeline(&copy.vault, &out, &STRICT, &mut Silent).unwrap().total().taken, 7);
        assert_eq!(event_ids(&copy, &EventQuery::default()), event_ids(&fixture, &EventQuery::default()));
    }
}

#[test]
fn an_export_holds_what_its_query_asks_for() {
    let fixture = Fixture::new();
    let out = fixture.path("t.json");
    let none = EventQuery { event_type: Some("custom".into()), ..EventQuery::default() };
    assert_eq!(export_timeline(&fixture.vault, &none, &out, &mut Silent).unwrap(), 0);
    let id = fixture.vault.id();
    let empty = format!("{{\n  \"timeline_id\": \"{id}\",\n  \"event_count\": 0,\n  \"events\": []\n}}");
    assert_eq!(std::fs::read_to_string(&out).unwrap(), empty);
    for actor in ["a", "b", "a"] {
        let event = NewEvent { event_type: "custom".into(), actor: actor.into(), ..NewEvent::default() };
        fixture.vault.timeline().append(event).unwrap();
    }
    let by_a = EventQuery { actor: Some("a".into()), ..EventQuery::default() };
    assert_eq!(export_timeline(&fixture.vault, &by_a, &out, &mut Silent).unwrap(), 2);
    let limited = EventQuery { limit: Some(1), ..by_a };
    assert_eq!(export_timeline(&fixture.vault, &limited, &out, &mut Silent).unwrap(), 1);
    assert_eq!(read_json(&out).get("events").and_then(Value::as_array).map(<[_]>::len), Some(1));
}

#[test]
fn events_that_differ_or_have_no_id_are_reported_and_cut_files_take_nothing() {
    let fixture = Fixture::new();
    let event = |id: &str, actor: &str| {
        format!(r#"{{"id":"{id}","timestamp":"2025-01-01T00:00:00Z","event_type":"custom","actor":"{actor}"}}"#)
    };
    let import = |text: &str, options| {
        let store = fixture.store(&[("t.json", text.as_bytes())]);
        import_timeline(&fixture.vault, &store.join("t.json"), options, &mut Silent)
    };
    let id = "evt_20250101000000_0001";
    import(&format!(r#"{{"timeline_id":"t","event_count":1,"events":[{}]}}"#, event(id, "a")), &STRICT).unwrap();
    let text =
        format!(r#"{{"events":[{},{},7,{{"id":3}},NaN,{}]}}"#, event(id, "b"), event(id, "a"), event("evt_1", "c"));
    let report = import(&text, &LENIENT).unwrap();
    let found: Vec<_> = report.refused.iter().map(|finding| (finding.id.as_str(), finding.reason.name())).collect();
    assert_eq!(found, [(id, "conflict"), ("event 3", "id"), ("event 4", "id"), ("event 5", "text")]);
    assert_eq!((report.total().skipped, report.total().lenient), (1, 1));

    let before = fixture.vault.state();
    for text in [
        format!(r#"{{"timeline_id":"t","event_count":2,"events":[{}]}}"#, event("evt_20250101000000_0002", "a")),
        format!(r#"{{"timeline_id":"t","events":[{}"#, event("evt_20250101000000_0002", "a")),
        r#"{"timeline_id":"t"}"#.to_owned(),
        "[]".to_owned(),
    ] {
        let error = import(&text, &STRICT).unwrap_err();
        assert!(matches!(error, Error::Record(RecordError::Document { .. })), "{error}");
        assert!(error.to_string().contains("t.json: "), "{error}");
    }
    assert_eq!(event_ids(&fixture, &EventQuery::default()).len(), 2);
    assert_eq!(fixture.vault.state(), before, "nothing was committed, so there was nothing to undo");
}
