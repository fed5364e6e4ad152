//! Export and import again.

use std::fs;
use std::ops::ControlFlow;
use std::process::Command;

use mirrordna::Error;
use mirrordna::interchange::{Silent, export_store};
use mirrordna::record::document::{Proof, seal};
use mirrordna::record::json::{self, Charset, Layout};
use mirrordna::record::{Kind, Value, object};
use mirrordna::vault::{EventQuery, Filter, NewEvent, NewSession};

use crate::data::{golden_folders, shared};
use crate::support::{AGENT, Fixture, LENIENT, STRICT, USER, collection, everything, ids, memory};

/// A vault with records of every kind, some changed and deleted, and events that the log tells.
fn full() -> Fixture {
    let fixture = Fixture::new();
    let vault = &fixture.vault;
    fixture.import(&golden_folders("store")[0].join("store"), STRICT).unwrap();
    let session =
        vault.sessions().start(NewSession { agent_id: AGENT.into(), user_id: USER.into(), ..NewSession::default() });
    vault.sessions().end(&session.unwrap().id, None).unwrap();
    vault.reflections().state(AGENT, object([("mood", "é".into())]), &[]).unwrap();
    vault
        .timeline()
        .append(NewEvent { event_type: "custom".into(), actor: "me".into(), ..NewEvent::default() })
        .unwrap();
    for (kind, text) in [
        (
            Kind::Entry,
            r#"{"id":"entry_0000000000000001","vault_id":"vault_0000000000000001","path":"a/b","type":"config",
            "created_at":"2025-01-01T00:00:00Z","checksum":"0000000000000000000000000000000000000000000000000000000000000000"}"#,
        ),
        (
            Kind::AgentLink,
            r#"{"agent_id":"mdna_agt_0123456789abcdef","agent_name":"A","mirrordna_identity_id":"mdna_agt_0123456789abcdef"}"#,
        ),
        (
            Kind::Glyph,
            r#"{"id":"glyph_0000000000000001","timestamp":"2025-01-01T00:00:00Z","glyph":"⟡","source":
            {"actor_id":"mdna_agt_0123456789abcdef","actor_type":"agent"}}"#,
        ),
    ] {
        vault.put(kind, json::parse(text.as_bytes()).unwrap()).unwrap();
    }
    let memories = fixture.ids(Kind::Memory);
    vault.memories().archive(&memories[1]).unwrap();
    vault.delete(Kind::Memory, &memories[0]).unwrap();
    fixture
}

#[test]
fn an_exported_store_passes_the_references_rules_and_equals_the_original() {
    for folder in golden_folders("store") {
        let fixture = Fixture::new();
        let original = folder.join("store");
        fixture.import(&original, STRICT).unwrap();
        let out = fixture.path("out");
        let report = export_store(&fixture.vault.present(), &out, &mut Silent).unwrap();
        assert_eq!(report.collections[&Kind::Memory], 200);
        assert_eq!(report.to_value().at("collections.citations"), Some(&2_i64.into()));
        // Only what has records is written, as the reference does.
        assert!(!out.join("reflections.json").exists() && !out.join("timeline.json").exists());
        if let Some(script) = shared("check/interop.py") {
            let checked = Command::new("python3").arg(script).arg("store").args([&out, &original]).output().unwrap();
            let said = String::from_utf8_lossy(&checked.stdout);
            assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
            assert_eq!(said.lines().filter(|line| line.starts_with("ok ")).count(), 4, "{said}");
        }
    }
}

#[test]
fn what_is_exported_is_laid_out_as_the_reference_does_it() {
    let fixture = full();
    let out = fixture.path("out");
    export_store(&fixture.vault.present(), &out, &mut Silent).unwrap();
    for name in [
        "identities",
        "sessions",
        "memories",
        "agent_dna",
        "reflections",
        "entries",
        "agent_links",
        "glyphtrail",
        "timeline",
    ] {
        let text = fs::read(out.join(name).with_extension("json")).unwrap();
        assert!(text.is_ascii(), "{name}");
        let lines = String::from_utf8(text.clone()).unwrap();
        assert!(lines.starts_with("{\n  \"") && lines.ends_with("\n}"), "{name}");
        // Members of a collection keep the order of the log; but for that, it is what the writer of whole values makes.
        let whole = json::to_vec(&json::parse(&text).unwrap(), Layout::Pretty, Charset::Ascii);
        let sorted = |text: &[u8]| {
            let mut lines: Vec<_> = String::from_utf8(text.to_vec())
                .unwrap()
                .lines()
                .map(|line| line.trim_end_matches(',').to_owned())
                .collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&whole), sorted(&text), "{name}");
    }
}

#[test]
fn a_new_vault_gets_equal_records_in_the_same_order() {
    let fixture = full();
    let out = fixture.path("out");
    let report = export_store(&fixture.vault.present(), &out, &mut Silent).unwrap();
    let copy = Fixture::new();
    let imported = copy.import(&out, STRICT).unwrap();
    assert!(imported.is_clean(), "{imported:?}");
    let events = |fixture: &Fixture| -> Vec<Value> {
        fixture.vault.timeline().query(&EventQuery::default()).unwrap().map(Result::unwrap).collect()
    };
    assert!(events(&fixture).len() > 3);
    assert_eq!(events(&fixture), events(&copy));
    let records = |fixture: &Fixture| -> Vec<_> {
        everything(&fixture.vault).into_iter().filter(|(kind, ..)| *kind != Kind::Event).collect()
    };
    assert_eq!(records(&fixture), records(&copy));
    for kind in [Kind::Identity, Kind::Session, Kind::Memory, Kind::AgentDna] {
        assert_eq!(fixture.ids(kind), copy.ids(kind));
    }
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Snapshot) {
        let taken = imported.collections.get(&kind).map(|counts| counts.taken);
        assert_eq!(taken, report.collections.get(&kind).copied(), "{kind}");
    }
    // And what is exported from there has the same bytes, so the checksums are equal too.
    let again = copy.path("again");
    export_store(&copy.vault.present(), &again, &mut Silent).unwrap();
    for name in ["memories.json", "sessions.json", "citations/mc_reference_agent_0001.json"] {
        assert_eq!(fs::read(out.join(name)).unwrap(), fs::read(again.join(name)).unwrap(), "{name}");
    }
}

#[test]
fn importing_again_skips_everything_and_changes_nothing() {
    let fixture = full();
    let out = fixture.path("out");
    export_store(&fixture.vault.present(), &out, &mut Silent).unwrap();
    let before = fixture.vault.state();
    let report = fixture.import(&out, STRICT).unwrap();
    let total = report.total();
    assert!(report.is_clean() && total.taken == 0 && total.skipped > 200, "{report:?}");
    assert_eq!(fixture.vault.state(), before);
}

#[test]
fn a_pin_is_exported_as_it_was_while_the_vault_goes_on() {
    let fixture = full();
    let memories = fixture.ids(Kind::Memory);
    let view = fixture.vault.at(fixture.vault.state().sequence).unwrap();
    let before = everything(&fixture.vault);
    fixture.vault.delete(Kind::Memory, &memories[3]).unwrap();
    fixture.vault.memories().promote(&memories[4], mirrordna::vault::Tier::Episodic).unwrap();
    let out = fixture.path("out");
    export_store(&view, &out, &mut Silent).unwrap();
    let copy = Fixture::new();
    copy.import(&out, STRICT).unwrap();
    let of = |all: Vec<(Kind, String, Value)>| -> Vec<_> {
        all.into_iter().filter(|(kind, ..)| *kind == Kind::Memory).collect()
    };
    assert_eq!(of(before), of(everything(&copy.vault)));
    assert_eq!(copy.ids(Kind::Memory), memories);
}

#[test]
fn a_record_made_again_after_its_deletion_stands_where_it_was_made_again() {
    let fixture = Fixture::new();
    let ids = ["mem_000000000001", "mem_000000000002"];
    let put = |id: &str, content: &str| {
        fixture.vault.put(Kind::Memory, json::parse(memory(id, content).as_bytes()).unwrap()).unwrap();
    };
    put(ids[0], "a");
    put(ids[1], "b");
    fixture.vault.delete(Kind::Memory, ids[0]).unwrap();
    put(ids[0], "c");
    let out = fixture.path("out");
    let report = export_store(&fixture.vault.present(), &out, &mut Silent).unwrap();
    assert_eq!(report.collections[&Kind::Memory], 2);
    let copy = Fixture::new();
    copy.import(&out, STRICT).unwrap();
    assert_eq!(copy.ids(Kind::Memory), [ids[1], ids[0]]);
}

#[test]
fn an_export_never_writes_over_something_and_never_half() {
    let fixture = full();
    let view = fixture.vault.present();
    let out = fixture.path("out");
    let left = || {
        let names = fs::read_dir(fixture.dir.path()).unwrap();
        let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name.contains("export"));
        names
    };
    let mut steps = 0;
    let stopped = export_store(&view, &out, &mut |_, _| {
        steps += 1;
        if steps > 50 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(matches!(stopped, Err(Error::Interrupted { .. })));
    assert!(!out.exists() && left().is_empty());
    fs::create_dir(&out).unwrap();
    export_store(&view, &out, &mut Silent).unwrap();
    assert!(out.join("memories.json").exists() && left().is_empty());
    let error = export_store(&view, &out, &mut Silent).unwrap_err();
    assert!(error.to_string().contains("is not empty"), "{error}");
    for dir in [fixture.path("a/b/out"), out.join("memories.json"), out.join("..")] {
        assert!(export_store(&view, &dir, &mut Silent).is_err(), "{}", dir.display());
    }
}

#[test]
fn an_empty_vault_makes_an_empty_folder_which_is_no_store() {
    let fixture = Fixture::new();
    let out = fixture.path("out");
    export_store(&fixture.vault.present(), &out, &mut Silent).unwrap();
    assert_eq!(fs::read_dir(&out).unwrap().count(), 0);
    let error = fixture.import(&out, STRICT).unwrap_err();
    assert!(matches!(error, Error::Argument { .. }) && error.to_string().contains("identities.json"), "{error}");
}

#[test]
fn broken_records_and_long_ids_survive_the_round_trip() {
    let fixture = Fixture::new();
    let long = format!("mc_{}", "x".repeat(252));
    let mut citation = object([("id", long.as_str().into()), ("note", "not of the schema".into())]);
    seal(citation.as_object_mut().unwrap());
    let citation = json::to_vec(&citation, Layout::Compact, Charset::Ascii);
    let memories = collection([("\"any: id é\"", r#"{"memory_id": 7}"#.to_owned())]);
    let store = fixture.store(&[("citations/long.json", &citation), ("memories.json", &memories)]);
    let report = fixture.import(&store, LENIENT).unwrap();
    assert_eq!(report.total().lenient, 2, "{report:?}");
    let out = fixture.path("out");
    assert_eq!(export_store(&fixture.vault.present(), &out, &mut Silent).unwrap().lenient, 2);
    let copy = Fixture::new();
    assert_eq!(copy.import(&out, STRICT).unwrap().total().refused, 2);
    copy.import(&out, LENIENT).unwrap();
    assert_eq!(everything(&fixture.vault), everything(&copy.vault));
    assert_eq!(ids(&copy.vault, Kind::Citation, &Filter::default()), [long]);
}

#[test]
fn snapshot_files_are_verified_and_not_stored() {
    use mirrordna::interchange::load_snapshot;
    use mirrordna::record::RecordError;
    let Some(golden) = shared("golden/snapshots") else { return };
    for name in ["01_basic.json", "03_nested_nulls.json", "04_basic.yaml", "06_numbers.yml"] {
        assert!(load_snapshot(&golden.join(name), Proof::Required).unwrap().checksum().is_some(), "{name}");
    }
    for name in ["t1_changed_value.json", "t3_extra_key.json"] {
        let error = load_snapshot(&golden.join("tampered").join(name), Proof::Optional).unwrap_err();
        assert!(matches!(error, Error::Record(RecordError::Checksum { .. })), "{error}");
    }
    let unproven = golden.join("unverified_accepted/u2_null_checksum.json");
    assert!(matches!(load_snapshot(&unproven, Proof::Required), Err(Error::Record(RecordError::Unverified { .. }))));
    assert_eq!(load_snapshot(&unproven, Proof::Optional).unwrap().checksum(), None);
    let missing = load_snapshot(&golden.join("none.json"), Proof::Required).unwrap_err();
    assert!(missing.to_string().contains("none.json"), "{missing}");
    let folder = load_snapshot(&golden, Proof::Required).unwrap_err();
    assert!(folder.to_string().contains("not a regular file"), "{folder}");
}
