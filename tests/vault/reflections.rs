//! Reflections, in the words of the reference.

use mirrordna::Error;
use mirrordna::record::{Value, object};
use mirrordna::storage::StorageError;
use mirrordna::vault::ReflectionType;

use crate::agent_dna::create;
use crate::support::{AGENT, Fixture, OTHER_AGENT, ids, parse};

#[test]
fn a_decision_is_checked_against_the_latest_constraints() {
    let fixture = Fixture::new();
    create(&fixture, AGENT, "1.0.0", r#"["old"]"#).unwrap();
    create(&fixture, AGENT, "2.0.0", r#"["Respect privacy","Stay kind"]"#).unwrap();
    let decide = |checked: &[&str]| {
        let checked: Vec<_> = checked.iter().map(|text| (*text).to_owned()).collect();
        fixture.vault.reflections().decision(AGENT, "go", "why not", &checked, object([("k", 1_i64.into())])).unwrap()
    };
    let aligned = decide(&["Stay kind", "Respect privacy"]);
    assert_eq!(aligned.id, "refl_0123456789abcdef_20250601_120004_0001");
    assert_eq!(aligned.value.get("evaluation"), Some(&"Rationale: why not".into()));
    assert_eq!(
        aligned.value.get("insights"),
        Some(&parse(r#"["Decision aligns with behavioral constraints","Constraints considered: 2"]"#))
    );
    let not = decide(&["Respect privacy"]);
    assert_eq!(
        not.value.get("insights"),
        Some(&parse(r#"["Alignment issues: Constraint not verified: Stay kind","Constraints considered: 1"]"#))
    );
    assert_eq!(
        not.value.at("metadata.alignment"),
        Some(&parse(
            r#"{"aligned":false,"violations":["Constraint not verified: Stay kind"],"constraints_total":2,"constraints_checked":1}"#
        ))
    );
    assert!(not.id.ends_with("_0002"), "{}", not.id);
}

#[test]
fn counters_go_on_for_each_agent_and_never_collide() {
    let fixture = Fixture::new();
    let reflections = fixture.vault.reflections();
    let state = |agent: &str| reflections.state(agent, parse(r#"{"a":1,"b":2}"#), &["seen".to_owned()]).unwrap();
    let counter = |agent: &str| state(agent).id.rsplit('_').next().unwrap().to_owned();
    assert_eq!(
        [counter(AGENT), counter(AGENT), counter(OTHER_AGENT), counter(AGENT)],
        ["0001", "0002", "0001", "0003"]
    );
    let made: std::collections::BTreeSet<_> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..4).map(|_| scope.spawn(|| (0..4).map(|_| state(AGENT).id).collect::<Vec<_>>())).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(made.len(), 16);
    let last = state(AGENT);
    assert_eq!(last.value.get("insights"), Some(&parse(r#"["State dimensions captured: 2","seen"]"#)));
    assert_eq!(last.value.str_at("observation"), Some("State reflection: seen"));
}

#[test]
fn lists_are_newest_first_and_introspection_counts_each_capability() {
    let fixture = Fixture::new();
    create(&fixture, AGENT, "1.0.0", r#"["a"]"#).unwrap();
    let reflections = fixture.vault.reflections();
    let mut made = vec![];
    for (capability, success) in [("reflection", true), ("reflection", false), ("unknown", true), ("reflection", true)]
    {
        made.push(reflections.capability(AGENT, capability, "test", success, Some("note")).unwrap().id);
    }
    let other = reflections.state(AGENT, object([("a", 1_i64.into())]), &[]).unwrap().id;
    reflections.capability(OTHER_AGENT, "reflection", "test", true, None).unwrap();
    let newest: Vec<_> = made.iter().rev().cloned().collect();
    assert_eq!(ids(reflections.list(Some(AGENT), Some(ReflectionType::Capability)).unwrap()), newest);
    assert_eq!(ids(reflections.list(Some(AGENT), None).unwrap())[0], other);
    assert_eq!(ids(reflections.list(None, None).unwrap()).len(), 6);
    assert_eq!(
        reflections.introspect(AGENT).unwrap(),
        parse(&format!(
            r#"{{"agent_id":"{AGENT}","capabilities":["reflection","memory"],"capability_performance":{{
            "memory":{{"usage_count":0,"success_count":0,"success_rate":0.0}},
            "reflection":{{"usage_count":3,"success_count":2,"success_rate":0.6666666666666666}}}},
            "total_capability_reflections":4}}"#
        ))
    );
    let missing = reflections.introspect(OTHER_AGENT).unwrap_err();
    assert!(matches!(missing, Error::Storage(StorageError::NotFound { .. })));
}

#[test]
fn a_meta_reflection_needs_those_it_speaks_of() {
    let fixture = Fixture::new();
    let reflections = fixture.vault.reflections();
    let one = reflections.state(AGENT, Value::Object(std::collections::BTreeMap::new()), &[]).unwrap();
    let meta = reflections.meta(AGENT, std::slice::from_ref(&one.id), "calm").unwrap();
    assert_eq!(meta.value.get("insights"), Some(&parse(r#"["Analyzed 1 reflections","Synthesis: calm"]"#)));
    assert_eq!(meta.value.at("context.reflection_ids"), Some(&vec![one.id].into()));
    let unknown = reflections.meta(AGENT, &["refl_x_20250101_000000_0001".to_owned()], "none").unwrap_err();
    assert!(matches!(unknown, Error::Storage(StorageError::NotFound { .. })));
    assert!(matches!(reflections.state(AGENT, "text".into(), &[]).unwrap_err(), Error::Argument { .. }));
    assert!(matches!(reflections.state("me", object([("a", 1_i64.into())]), &[]).unwrap_err(), Error::Record(_)));
}
