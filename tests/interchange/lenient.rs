//! Records that something is wrong with.

use mirrordna::interchange::{ImportReport, RefusalReason};
use mirrordna::record::{Kind, RecordError, Value, json};
use mirrordna::storage::NOW;
use mirrordna::vault::Past;

use crate::support::{AGENT, Fixture, LENIENT, STRICT, collection, memory, session};

fn refusals(report: &ImportReport) -> Vec<(&str, &str)> {
    report.refused.iter().map(|finding| (finding.id.as_str(), finding.reason.name())).collect()
}

#[test]
fn broken_records_are_reported_one_by_one_and_taken_only_by_a_lenient_import() {
    let fixture = Fixture::new();
    let memories = collection([
        ("\"mem_000000000001\"", memory("mem_000000000001", "sound")),
        ("\"mem_000000000002\"", memory("mem_000000000002", "")),
        ("\"mem_000000000003\"", memory("mem_000000000004", "another id")),
        ("\"Not An Id\"", memory("Not An Id", "an id of no form")),
        ("\"mem_000000000005\"", "[1, 2]".to_owned()),
        ("\"mem_000000000006\"", r#"{"memory_id":"mem_000000000006","tier":null}"#.to_owned()),
    ]);
    let store = fixture.store(&[("memories.json", &memories)]);
    let report = fixture.import(&store, STRICT).unwrap();
    assert_eq!(
        refusals(&report),
        [
            ("mem_000000000002", "schema"),
            ("mem_000000000003", "key"),
            ("Not An Id", "schema"),
            ("mem_000000000005", "schema"),
            ("mem_000000000006", "schema"),
        ]
    );
    let empty = report.refused[0].reason.to_string();
    assert!(empty.contains("/content") && empty.contains("must not be empty"), "{empty}");
    let key = report.refused[1].reason.to_string();
    assert!(key.contains("mem_000000000003") && key.contains("mem_000000000004"), "{key}");
    assert_eq!(fixture.ids(Kind::Memory), ["mem_000000000001"]);

    let report = fixture.import(&store, LENIENT).unwrap();
    // What is no object can be no record at all.
    assert_eq!(refusals(&report), [("mem_000000000005", "schema")]);
    assert_eq!(report.lenient.len(), 4);
    assert_eq!((report.total().taken, report.total().lenient, report.total().skipped), (4, 4, 1));
    let kept = fixture.vault.get(Kind::Memory, "mem_000000000003").unwrap();
    assert!(kept.lenient);
    assert_eq!(kept.value.str_at("memory_id"), Some("mem_000000000004"));
    let mut history = fixture.vault.history_entries(Kind::Memory, "mem_000000000003").unwrap();
    assert_eq!(history.next().unwrap().unwrap().to_value().get("lenient"), Some(&true.into()));
    assert!(!fixture.vault.get(Kind::Memory, "mem_000000000001").unwrap().lenient);

    let fixture = fixture.reopen();
    let found = mirrordna::verify::verify_storage(fixture.vault.storage(), &mut |_, _| {}).unwrap();
    assert!(found.is_clean(), "{:?}", found.faults);
    assert_eq!(found.lenient.len(), 4);
}

#[test]
fn nulls_that_no_schema_allows_are_absent_and_counted() {
    let fixture = Fixture::new();
    let sessions = collection([("\"sess_000000000001\"", session("sess_000000000001", None))]);
    let identities = collection([(
        "\"mdna_agt_0123456789abcdef\"",
        format!(
            r#"{{"identity_id":"{AGENT}","identity_type":"agent","created_at":"2025-01-01T00:00:00Z",
            "public_key":"jl7GPdKKk6q1Upch/1UePzPWsndbRETI9yooYLwLvlk=",
            "metadata":{{"name":null,"version":null,"own":null,"custom":{{"x":null}}}}}}"#
        ),
    )]);
    let store = fixture.store(&[("sessions.json", &sessions), ("identities.json", &identities)]);
    let report = fixture.import(&store, STRICT).unwrap();
    assert!(report.is_clean());
    assert_eq!(report.collections[&Kind::Identity].repaired, 1);
    // A session may have no parent and no end, and says so with null.
    assert_eq!(report.collections[&Kind::Session].repaired, 0);
    let identity = fixture.vault.get(Kind::Identity, AGENT).unwrap();
    assert_eq!(identity.value.get("metadata"), Some(&json::parse(br#"{"own":null,"custom":{"x":null}}"#).unwrap()));
    let again = fixture.import(&store, STRICT).unwrap();
    assert_eq!((again.total().skipped, again.total().repaired), (2, 1));
}

#[test]
fn a_record_that_differs_from_the_one_that_is_there_is_a_conflict_and_kept_out() {
    let fixture = Fixture::new();
    let id = "mem_000000000001";
    let store = |content: &str| {
        let memories = collection([("\"mem_000000000001\"", memory(id, content))]);
        fixture.store(&[("memories.json", &memories)])
    };
    fixture.import(&store("first"), STRICT).unwrap();
    for options in [STRICT, LENIENT] {
        let report = fixture.import(&store("second"), options).unwrap();
        assert_eq!(refusals(&report), [(id, "conflict")]);
        assert_eq!(report.refused[0].file, "memories.json");
    }
    assert_eq!(fixture.vault.get(Kind::Memory, id).unwrap().value.str_at("content"), Some("first"));
    assert_eq!(fixture.vault.history(Kind::Memory, id, NOW, 10).unwrap().len(), 1);
    // Deleted, it can come back.
    fixture.vault.delete(Kind::Memory, id).unwrap();
    assert_eq!(fixture.import(&store("second"), STRICT).unwrap().total().taken, 1);
    let history = fixture.vault.history(Kind::Memory, id, NOW, 10).unwrap();
    assert!(matches!(&history[..], [Past::Version(_), Past::Deleted { .. }, Past::Version(_)]));
}

#[test]
fn of_two_members_with_one_key_the_first_counts_and_the_second_is_reported() {
    let fixture = Fixture::new();
    let key = "\"mem_000000000001\"";
    let memories = collection([
        (key, memory("mem_000000000001", "first")),
        (key, memory("mem_000000000001", "first")),
        (key, memory("mem_000000000001", "second")),
    ]);
    let report = fixture.import(&fixture.store(&[("memories.json", &memories)]), STRICT).unwrap();
    assert_eq!((report.total().taken, report.total().skipped), (1, 1));
    assert_eq!(refusals(&report), [("mem_000000000001", "conflict")]);
}

#[test]
fn parents_may_come_later_in_the_file_or_never() {
    let fixture = Fixture::new();
    let sessions = collection([
        ("\"sess_000000000003\"", session("sess_000000000003", Some("sess_000000000002"))),
        ("\"sess_000000000002\"", session("sess_000000000002", Some("sess_000000000001"))),
        ("\"sess_000000000001\"", session("sess_000000000001", Some("sess_nowhere00000"))),
    ]);
    let store = fixture.store(&[("sessions.json", &sessions)]);
    let report = fixture.import(&store, STRICT).unwrap();
    assert_eq!(report.missing_parents.len(), 1);
    assert_eq!(report.missing_parents[0].session_id, "sess_000000000001");
    let lineage = fixture.vault.sessions().lineage("sess_000000000003").unwrap();
    assert_eq!(lineage.sessions.len(), 3);
    assert_eq!(lineage.missing_parent.as_deref(), Some("sess_nowhere00000"));
    assert_eq!(fixture.ids(Kind::Session), ["sess_000000000003", "sess_000000000002", "sess_000000000001"]);
}

#[test]
fn citations_prove_themselves() {
    use mirrordna::record::document::seal;
    let citation = |extra: &str| {
        let text = format!(
            r#"{{"id":"mc_0000000000000001","version":"1.0.0","vault_id":"vault_0000000000000001",
            "created_at":"2025-01-01T00:00:00Z"{extra}}}"#
        );
        json::parse(text.as_bytes()).unwrap()
    };
    let text = |value: &Value| json::to_vec(value, json::Layout::Pretty, json::Charset::Unicode);
    let import = |value: &Value, options| {
        let fixture = Fixture::new();
        let store = fixture.store(&[("citations/one.json", &text(value))]);
        let report = fixture.import(&store, options).unwrap();
        (fixture, report)
    };
    // Nothing proves it: that breaks the schema, so only a lenient import takes it.
    let bare = citation("");
    assert_eq!(refusals(&import(&bare, STRICT).1), [("mc_0000000000000001", "schema")]);
    assert_eq!(import(&bare, LENIENT).1.total().lenient, 1);
    // A checksum that is wrong is refused by both.
    let mut tampered = citation(r#","tags":["a"]"#);
    seal(tampered.as_object_mut().unwrap());
    tampered.as_object_mut().unwrap().insert("version".into(), "1.0.1".into());
    for options in [STRICT, LENIENT] {
        let (_, report) = import(&tampered, options);
        assert!(matches!(&report.refused[0].reason, RefusalReason::Record(RecordError::Checksum { .. })));
    }
    // A null that is covered by the checksum cannot be dropped without breaking the proof.
    let mut covered = citation(r#","updated_at":null"#);
    seal(covered.as_object_mut().unwrap());
    assert_eq!(refusals(&import(&covered, STRICT).1), [("mc_0000000000000001", "schema")]);
    let (fixture, _) = import(&covered, LENIENT);
    assert_eq!(fixture.vault.get(Kind::Citation, "mc_0000000000000001").unwrap().value, covered);
    // One that is not covered is dropped as any other.
    let mut uncovered = citation("");
    seal(uncovered.as_object_mut().unwrap());
    let sealed = uncovered.clone();
    uncovered.as_object_mut().unwrap().insert("updated_at".into(), Value::Null);
    let (_, report) = import(&uncovered, STRICT);
    assert_eq!(refusals(&report), [("mc_0000000000000001", "checksum")], "it is not the document that was sealed");
    assert!(import(&sealed, STRICT).1.is_clean());
}

#[test]
fn files_of_no_known_kind_are_named_and_left() {
    let fixture = Fixture::new();
    let memories = collection([("\"mem_000000000001\"", memory("mem_000000000001", "x"))]);
    let store = fixture.store(&[
        ("memories.json", &memories),
        ("snapshots.json", b"{}"),
        ("notes.json", b"{\"a\": 1}"),
        ("broken.json", b"{"),
        ("README", b"hello"),
        ("backups/b.tar.gz", b""),
        ("citations/readme.txt", b""),
        ("config/lost.checksum.json", b"{}"),
        ("config/bad.json", b"{\"a\":1}"),
        ("config/bad.checksum.json", b"{\"algorithm\":\"sha256\",\"hash\":\"00\"}"),
        ("config/bare.json", b"{}"),
        ("old_events.json", b"{\"timeline_id\":\"t\",\"event_count\":0,\"events\":[]}"),
        ("timeline/more.json", b"{\"events\":[]}"),
    ]);
    let report = fixture.import(&store, STRICT).unwrap();
    let ignored = [
        "README",
        "backups/",
        "broken.json",
        "citations/readme.txt",
        "config/lost.checksum.json",
        "notes.json",
        "snapshots.json",
    ];
    assert_eq!(report.ignored, ignored);
    let configs: Vec<_> = report.configs.iter().map(|config| (config.name.as_str(), config.is_sound())).collect();
    assert_eq!(configs, [("bad", false), ("bare", true)]);
    assert!(report.to_value().at("configs").is_some() && !report.is_clean());
    assert_eq!(report.total().taken, 1);
}
