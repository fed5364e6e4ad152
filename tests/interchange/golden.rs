//! The reference's stores: what is imported, and that every read gives what the reference gave.

use mirrordna::interchange::{ConfigOutcome, Counts, MissingParent, RefusalReason};
use mirrordna::record::document::HashAlgorithm;
use mirrordna::record::{Kind, RecordError, Value};
use mirrordna::storage::Order;
use mirrordna::vault::{EventQuery, Filter, ReflectionType};

use crate::data::{golden_folders, read_json};
use crate::support::{Fixture, STRICT, ids};

/// Imports the store of each golden folder and hands it over with what the reference said.
fn each_store(mut check: impl FnMut(&Fixture, &Value)) {
    for folder in golden_folders("store") {
        let fixture = Fixture::new();
        fixture.import(&folder.join("store"), STRICT).unwrap();
        check(&fixture, &read_json(&folder.join("store_expected.json")));
    }
}

fn texts(value: Option<&Value>) -> Vec<String> {
    value.and_then(Value::as_array).unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_report_says_what_was_taken_and_what_not() {
    for folder in golden_folders("store") {
        let fixture = Fixture::new();
        let report = fixture.import(&folder.join("store"), STRICT).unwrap();
        let taken = |taken| Counts { taken, ..Counts::default() };
        let counts = |kind| report.collections.get(&kind).copied().unwrap_or_default();
        assert_eq!(counts(Kind::Identity), taken(5));
        assert_eq!(counts(Kind::Session), taken(8));
        assert_eq!(counts(Kind::Memory), taken(200));
        assert_eq!(counts(Kind::AgentDna), taken(4));
        // Two documents, one of them as JSON and as YAML; and one that was tampered with.
        assert_eq!(counts(Kind::Citation), Counts { taken: 2, skipped: 1, refused: 1, ..Counts::default() });
        assert_eq!(
            report.missing_parents,
            [MissingParent {
                session_id: "sess_20250301_080004_1c7510a1".to_owned(),
                parent_session_id: "sess_parent_that_never_existed".to_owned(),
            }]
        );
        let [tampered] = &report.refused[..] else { panic!("{:?}", report.refused) };
        assert_eq!(
            (tampered.file.as_str(), tampered.reason.name()),
            ("citations/tampered_master_citation.yaml", "checksum")
        );
        let RefusalReason::Record(RecordError::Checksum { expected, actual, .. }) = &tampered.reason else {
            panic!("{tampered:?}")
        };
        assert_eq!(expected, "6bb97c12843e8b18f9b7349b6599d1b7fab6b782796de1b203f70270e4cd736a");
        assert!(actual.len() == 64 && actual != expected);
        let configs: Vec<_> = report.configs.iter().map(|config| (config.name.as_str(), &config.outcome)).collect();
        let sha256 = &ConfigOutcome::Verified(HashAlgorithm::Sha256);
        let sha512 = &ConfigOutcome::Verified(HashAlgorithm::Sha512);
        assert_eq!(configs, [("app", sha256), ("empty", sha256), ("sha512", sha512), ("unicode", sha256)]);
        assert_eq!(report.ignored, Vec::<String>::new());
        assert!(report.lenient.is_empty() && !report.is_clean());
        let value = report.to_value();
        assert_eq!(value.at("total.taken"), Some(&219_i64.into()));
        assert_eq!(value.at("refused").and_then(Value::as_array).map(<[_]>::len), Some(1));
    }
}

#[test]
fn nothing_of_it_shows_on_the_timeline_but_the_log_has_all_in_the_order_of_the_files() {
    each_store(|fixture, _| {
        assert_eq!(fixture.vault.timeline().query(&EventQuery::default()).unwrap().count(), 0);
        assert_eq!(fixture.vault.state().sequence, 219);
        let log = fixture.vault.log(1, 1_000).unwrap();
        let sessions: Vec<_> =
            log.iter().filter(|entry| entry.kind == Some(Kind::Session)).map(|entry| entry.id.clone()).collect();
        assert_eq!(sessions, fixture.ids(Kind::Session));
        assert_eq!(sessions[0], "sess_20250301_080001_96b96223");
        assert_eq!(sessions[7], "sess_20250301_080004_1c7510a1");
    });
}

#[test]
fn lineage_and_context_are_those_of_the_reference() {
    each_store(|fixture, expected| {
        let sessions = fixture.vault.sessions();
        for (session, lineage) in expected.get("lineage").and_then(Value::as_object).unwrap() {
            match sessions.lineage(session) {
                Ok(found) => {
                    let found_ids: Vec<_> = found.sessions.iter().map(|session| session.id.clone()).collect();
                    assert_eq!(found_ids, texts(Some(lineage)));
                    let missing =
                        (session == "sess_20250301_080004_1c7510a1").then_some("sess_parent_that_never_existed");
                    assert_eq!(found.missing_parent.as_deref(), missing);
                }
                // The reference answers with an empty lineage here; a session that is not there has none.
                Err(error) => assert_eq!(
                    (session.as_str(), error.to_string().as_str()),
                    ("sess_unknown", "there is no session sess_unknown")
                ),
            }
        }
        let end = texts(expected.get("chain")).pop().unwrap();
        assert_eq!(Some(&sessions.context(&end).unwrap()), expected.get("context_of_chain_end"));
    });
}

/// A filter of the reference as one of ours; `None` means a missing field.
fn filter(case: &Value) -> Filter {
    let limit = case.get("limit").and_then(Value::as_i64).unwrap();
    let filter = Filter::default().with_some("tier", case.str_at("tier")).limit(usize::try_from(limit).unwrap());
    let fields = case.get("filters").and_then(Value::as_object).into_iter().flatten();
    fields.fold(filter, |filter, (path, value)| filter.with(path, value.clone()))
}

#[test]
fn filtered_reads_give_the_same_ids_in_the_same_order() {
    each_store(|fixture, expected| {
        for case in expected.get("read").and_then(Value::as_array).unwrap() {
            assert_eq!(ids(&fixture.vault, Kind::Memory, &filter(case)), texts(case.get("ids")), "{:?}", filter(case));
        }
    });
}

#[test]
fn searches_give_the_same_ids_in_the_same_order() {
    // We search keys and values, not the text that Python makes of a dictionary.
    const PYTHON_TEXT: [&str; 2] = ["'none': none", "\"none\": null"];
    each_store(|fixture, expected| {
        for case in expected.get("search").and_then(Value::as_array).unwrap() {
            let query = case.str_at("query").unwrap();
            let found = fixture.vault.memories().search(query, &filter(case)).unwrap();
            let found: Vec<_> = found.map(|record| record.unwrap().id).collect();
            let wanted = if PYTHON_TEXT.contains(&query) { Vec::new() } else { texts(case.get("ids")) };
            assert_eq!(found, wanted, "{query:?}");
        }
    });
}

#[test]
fn the_latest_dna_is_that_of_the_reference() {
    each_store(|fixture, expected| {
        for (agent, latest) in expected.get("latest_dna").and_then(Value::as_object).unwrap() {
            let found = fixture.vault.agent_dna().latest(agent).unwrap();
            assert_eq!(found.map(|dna| dna.id).as_deref(), latest.as_str());
        }
        let agent = expected.str_at("identities.agent").unwrap();
        let versions = fixture.vault.agent_dna().versions(agent).unwrap();
        let versions: Vec<_> = versions.into_iter().map(|dna| dna.id).collect();
        assert_eq!(versions, texts(expected.get("dna_by_agent")));
        for (collection, count) in expected.get("counts").and_then(Value::as_object).unwrap() {
            let kind = Kind::from_collection(collection).unwrap();
            assert_eq!(Some(fixture.ids(kind).len().try_into().unwrap()), count.as_i64());
        }
    });
}

#[test]
fn reflections_are_read_without_their_nulls_and_lead_to_the_same_introspection() {
    for folder in golden_folders("store") {
        let fixture = Fixture::new();
        fixture.import(&folder.join("store"), STRICT).unwrap();
        let shimmed = folder.join("store_shimmed");
        let store = fixture.store(&[("reflections.json", &std::fs::read(shimmed.join("reflections.json")).unwrap())]);
        let report = fixture.import(&store, STRICT).unwrap();
        let counts = report.collections[&Kind::Reflection];
        assert!(report.is_clean() && counts.taken > 0 && counts.repaired > 0, "{report:?}");

        let expected = read_json(&shimmed.join("reflections_expected.json"));
        let agent = expected.str_at("introspect_capabilities.agent_id").unwrap();
        let reflections = fixture.vault.reflections();
        assert_eq!(Some(&reflections.introspect(agent).unwrap()), expected.get("introspect_capabilities"));
        let decisions = reflections.list(Some(agent), Some(ReflectionType::Decision)).unwrap();
        let decisions: Vec<_> = decisions.map(|record| record.unwrap().id).collect();
        assert_eq!(decisions, texts(expected.get("decision_ids_newest_first")));
        let first = fixture.vault.get(Kind::Reflection, &decisions[1]).unwrap();
        assert_eq!(first.value.get("actions_taken"), None);
        // The counter of new ones goes on from those that were imported.
        let next = reflections.capability(agent, "reflection", "test", true, None).unwrap();
        let newest = fixture.vault.list(Kind::Reflection, &Filter::default().order(Order::LogReversed)).unwrap();
        let newest: Vec<_> = newest.map(|record| record.unwrap().id).collect();
        assert_eq!(newest[0], next.id);
        assert!(newest[1][newest[1].len() - 4..] < newest[0][newest[0].len() - 4..], "{newest:?}");
    }
}
