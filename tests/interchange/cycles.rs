//! Chains that lead back to themselves: refused when they come, taken only by a lenient import.

use std::collections::HashMap;

use mirrordna::interchange::ImportReport;
use mirrordna::record::{Kind, json};
use proptest::prelude::*;

use crate::support::{Fixture, LENIENT, STRICT, collection, session};

fn refused(report: &ImportReport) -> Vec<(&str, &str)> {
    report.refused.iter().map(|finding| (finding.id.as_str(), finding.reason.name())).collect()
}

fn id(n: usize) -> String {
    format!("sess_{n:012}")
}

/// A sessions file: each session with its parent.
fn sessions(pairs: &[(usize, Option<usize>)]) -> Vec<u8> {
    let members: Vec<_> = pairs
        .iter()
        .map(|(n, parent)| (format!("\"{}\"", id(*n)), session(&id(*n), parent.map(id).as_deref())))
        .collect();
    collection(members.iter().map(|(key, text)| (key.as_str(), text.clone())))
}

#[test]
fn the_session_that_closes_a_cycle_is_refused_and_the_others_are_taken() {
    let fixture = Fixture::new();
    let store = fixture.store(&[(
        "sessions.json",
        &sessions(&[(1, Some(2)), (2, Some(3)), (3, Some(1)), (4, Some(4)), (5, Some(3)), (6, None)]),
    )]);
    let report = fixture.import(&store, STRICT).unwrap();
    assert_eq!(refused(&report), [(id(3).as_str(), "cycle"), (id(4).as_str(), "cycle")]);
    let said = report.refused[0].reason.to_string();
    assert_eq!(said, format!("its parent_session_id {} leads back to it", id(1)));
    assert_eq!(fixture.ids(Kind::Session), [1, 2, 5, 6].map(id));
    assert_eq!(report.missing_parents.len(), 2, "session 3 is nobody's parent now");
    assert_eq!(fixture.vault.sessions().lineage(&id(1)).unwrap().missing_parent, Some(id(3)));
    // Again, nothing else is said.
    let again = fixture.import(&store, STRICT).unwrap();
    assert_eq!((again.total().skipped, again.refused), (4, report.refused));
}

#[test]
fn a_lenient_import_takes_a_cycle_and_marks_the_record_that_closes_it() {
    let fixture = Fixture::new();
    let store =
        fixture.store(&[("sessions.json", &sessions(&[(1, Some(2)), (2, Some(1)), (3, Some(1)), (4, Some(4))]))]);
    let report = fixture.import(&store, LENIENT).unwrap();
    assert!(report.refused.is_empty() && !report.is_clean());
    let lenient: Vec<_> = report.lenient.iter().map(|finding| (finding.id.clone(), finding.reason.name())).collect();
    assert_eq!(lenient, [(id(2), "cycle"), (id(4), "cycle")]);
    assert!(fixture.vault.get(Kind::Session, &id(2)).unwrap().lenient);
    assert!(matches!(fixture.vault.sessions().lineage(&id(3)), Err(mirrordna::Error::Cycle { .. })));
    // What was taken is there, whoever imports it again.
    assert_eq!(fixture.import(&store, LENIENT).unwrap().total().skipped, 4);
    assert_eq!(fixture.import(&store, STRICT).unwrap().total().skipped, 4);
    // A chain that goes on from a cycle closes none.
    let more = fixture.store(&[("sessions.json", &sessions(&[(5, Some(2)), (6, Some(5))]))]);
    assert!(fixture.import(&more, STRICT).unwrap().is_clean());
}

#[test]
fn a_cycle_over_what_the_vault_has_is_refused_too() {
    let fixture = Fixture::new();
    let import = |pairs: &[(usize, Option<usize>)]| {
        fixture.import(&fixture.store(&[("sessions.json", &sessions(pairs))]), STRICT).unwrap()
    };
    assert_eq!(import(&[(1, Some(2)), (2, Some(9))]).missing_parents.len(), 1);
    let report = import(&[(7, Some(1)), (8, Some(7)), (9, Some(8))]);
    assert_eq!(refused(&report), [(id(9).as_str(), "cycle")]);
    assert!(import(&[(9, None)]).is_clean());
    // Another record under an id that is there is a conflict, and not a cycle of its own.
    assert_eq!(refused(&import(&[(2, Some(1))])), [(id(2).as_str(), "conflict")]);
}

#[test]
fn predecessors_and_successors_are_chains_of_their_own() {
    let fixture = Fixture::new();
    let glyph = |n: usize, fields: &str| {
        let id = format!("glyph_{n:016}");
        let text = format!(
            r#"{{"id":"{id}","timestamp":"2025-01-01T00:00:00Z","glyph":"⟡",
            "source":{{"actor_id":"a","actor_type":"agent"}}{fields}}}"#
        );
        (format!("\"{id}\""), text)
    };
    let glyphs = [
        glyph(1, r#","successor":"glyph_0000000000000002""#),
        glyph(2, r#","predecessor":"glyph_0000000000000001","successor":"glyph_0000000000000003""#),
        glyph(3, r#","predecessor":"glyph_0000000000000002","successor":"glyph_0000000000000001""#),
    ];
    let glyphs = collection(glyphs.iter().map(|(key, text)| (key.as_str(), text.clone())));
    let report = fixture.import(&fixture.store(&[("glyphtrail.json", &glyphs)]), STRICT).unwrap();
    assert_eq!(refused(&report), [("glyph_0000000000000003", "cycle")]);
    assert!(report.refused[0].reason.to_string().starts_with("its successor"));

    let citation = |n: usize, predecessor: usize| {
        let mut document = json::parse(
            format!(
                r#"{{"id":"mc_{n:016}","version":"1.0.0","vault_id":"vault_0000000000000001",
                "created_at":"2025-01-01T00:00:00Z","predecessor":"mc_{predecessor:016}"}}"#
            )
            .as_bytes(),
        )
        .unwrap();
        mirrordna::record::document::seal(document.as_object_mut().unwrap());
        json::to_vec(&document, json::Layout::Pretty, json::Charset::Unicode)
    };
    let (first, second) = (citation(1, 2), citation(2, 1));
    let store = fixture.store(&[("citations/a.json", &first), ("citations/b.json", &second)]);
    assert_eq!(refused(&fixture.import(&store, STRICT).unwrap()), [("mc_0000000000000002", "cycle")]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(40) })]

    /// Whatever the order and the shape, in one import or two: refused is exactly what leads back to itself over records that
    /// were taken before.
    #[test]
    fn exactly_what_closes_a_cycle_is_refused(
        parents in proptest::collection::vec(proptest::option::weighted(0.9, 0_usize..14), 14),
        order in Just((0..14).collect::<Vec<usize>>()).prop_shuffle(),
        cut in 0_usize..14,
    ) {
        let pairs: Vec<_> = order.into_iter().map(|n| (n, parents[n])).collect();
        let fixture = Fixture::new();
        let mut taken = HashMap::new();
        for half in [&pairs[..cut], &pairs[cut..]] {
            let mut expected = Vec::new();
            for (n, parent) in half {
                let mut next = *parent;
                while let Some(at) = next.filter(|at| at != n) {
                    next = taken.get(&at).copied().flatten();
                }
                if next.is_some() {
                    expected.push(id(*n));
                } else {
                    taken.insert(*n, *parent);
                }
            }
            let store = fixture.store(&[("sessions.json", &sessions(half))]);
            let report = fixture.import(&store, STRICT).unwrap();
            let found: Vec<_> = report.refused.iter().map(|finding| finding.id.clone()).collect();
            prop_assert_eq!(found, expected);
        }
        for (n, parent) in &taken {
            let stored = fixture.vault.get(Kind::Session, &id(*n)).unwrap();
            let parent = parent.map(id);
            prop_assert_eq!(stored.value.str_at("parent_session_id"), parent.as_deref());
            prop_assert!(fixture.vault.sessions().lineage(&id(*n)).is_ok());
        }
    }
}

#[test]
fn a_long_chain_is_imported_in_either_order_without_walking_it_again_and_again() {
    let count = 50_000_usize;
    let chain: Vec<(usize, Option<usize>)> = (0..count).map(|n| (n, n.checked_sub(1))).collect();
    let backwards: Vec<(usize, Option<usize>)> = chain.iter().copied().rev().collect();
    for pairs in [chain, backwards] {
        let fixture = Fixture::new();
        let store = fixture.store(&[("sessions.json", &sessions(&pairs))]);
        assert!(fixture.import(&store, STRICT).unwrap().is_clean());
        // What is in the file need not be read from the vault.
        assert_eq!(fixture.vault.storage().stats().versions_read, 0);
        let more =
            fixture.store(&[("sessions.json", &sessions(&[(count, Some(count - 1)), (count + 1, Some(count - 1))]))]);
        assert!(fixture.import(&more, STRICT).unwrap().is_clean());
        assert_eq!(fixture.vault.storage().stats().versions_read, count as u64, "once for each ancestor");
    }
}
