//! Master citations and the glyphtrail: checksums and chains.

use mirrordna::record::document::seal;
use mirrordna::record::{Kind, RecordError, Value};
use mirrordna::vault::Chain;
use mirrordna::{Error, Vault};

use crate::support::{Fixture, parse};

fn citation(n: u32, predecessor: Option<u32>, successor: Option<u32>) -> Value {
    let id = |n: u32| format!("mc_{n:016}");
    let mut document = parse(&format!(
        r#"{{"id":"{}","version":"1.0.0","vault_id":"vault_0000000000000001","created_at":"2025-01-01T00:00:00Z"}}"#,
        id(n)
    ));
    let map = document.as_object_mut().unwrap();
    map.insert("predecessor".into(), predecessor.map(id).into());
    map.insert("successor".into(), successor.map(id).into());
    seal(map);
    document
}

fn glyph(n: u32, predecessor: Option<u32>) -> Value {
    let id = |n: u32| format!("glyph_{n:016}");
    let mut value = parse(&format!(
        r#"{{"id":"{}","timestamp":"2025-01-01T00:00:00Z","glyph":"⟡","source":{{"actor_id":"a","actor_type":"agent"}}}}"#,
        id(n)
    ));
    if let Some(predecessor) = predecessor {
        value.as_object_mut().unwrap().insert("predecessor".into(), id(predecessor).into());
    }
    value
}

fn numbers(chain: &Chain) -> Vec<u32> {
    chain.records.iter().map(|record| record.id.rsplit('_').next().unwrap().parse().unwrap()).collect()
}

fn put(vault: &Vault, citation: Value) {
    vault.put(Kind::Citation, citation).unwrap();
}

#[test]
fn a_citation_is_taken_with_the_right_checksum_only() {
    let fixture = Fixture::new();
    let sealed = citation(1, None, None);
    let mut tampered = sealed.clone();
    tampered.as_object_mut().unwrap().insert("version".into(), "1.0.1".into());
    let error = fixture.vault.put(Kind::Citation, tampered).unwrap_err();
    let Error::Record(RecordError::Checksum { expected, actual, .. }) = &error else { panic!("{error}") };
    assert_eq!(Some(expected.as_str()), sealed.str_at("checksum"));
    assert!(actual != expected && error.to_string().contains(actual));
    let mut bare = sealed.clone();
    bare.as_object_mut().unwrap().remove("checksum");
    assert!(matches!(fixture.vault.put(Kind::Citation, bare).unwrap_err(), Error::Record(RecordError::Schema { .. })));
    // The case of the digits does not matter, and what was put is kept untouched.
    let mut upper = sealed.clone();
    let digits = sealed.str_at("checksum").unwrap().to_owned();
    upper.as_object_mut().unwrap().insert("metadata".into(), parse(r#"{"glyphsig":"⟡∞","vault_id":"AMOS://x"}"#));
    seal(upper.as_object_mut().unwrap());
    assert_ne!(upper.str_at("checksum"), Some(digits.as_str()));
    assert_eq!(fixture.vault.put(Kind::Citation, upper.clone()).unwrap().value, upper);
}

#[test]
fn chains_are_walked_both_ways_and_say_where_they_leave_the_vault() {
    let fixture = Fixture::new();
    put(&fixture.vault, citation(2, Some(1), Some(3)));
    put(&fixture.vault, citation(3, Some(2), Some(4)));
    put(&fixture.vault, citation(4, Some(3), Some(5)));
    let citations = fixture.vault.citations();
    for n in 2..=4 {
        let chain = citations.chain(&format!("mc_{n:016}")).unwrap();
        assert_eq!(numbers(&chain), [2, 3, 4]);
        assert_eq!(chain.missing_predecessor.as_deref(), Some("mc_0000000000000001"));
        assert_eq!(chain.missing_successor.as_deref(), Some("mc_0000000000000005"));
    }
    put(&fixture.vault, citation(1, None, Some(2)));
    put(&fixture.vault, citation(5, Some(4), None));
    let chain = citations.chain("mc_0000000000000003").unwrap();
    assert_eq!(
        (numbers(&chain), chain.missing_predecessor, chain.missing_successor),
        (vec![1, 2, 3, 4, 5], None, None)
    );
    assert!(citations.chain("mc_0000000000000009").is_err());
}

#[test]
fn no_chain_leads_back_to_itself() {
    let fixture = Fixture::new();
    put(&fixture.vault, citation(1, None, None));
    put(&fixture.vault, citation(2, Some(1), None));
    put(&fixture.vault, citation(3, Some(2), None));
    for (cycle, field) in [
        (citation(1, Some(3), None), "predecessor"),
        (citation(9, Some(9), None), "predecessor"),
        (citation(9, None, Some(9)), "successor"),
    ] {
        let error = fixture.vault.put(Kind::Citation, cycle).unwrap_err();
        assert!(matches!(&error, Error::Cycle { field: found, .. } if *found == field), "{error}");
    }
    for glyphs in [glyph(1, None), glyph(2, Some(1)), glyph(3, Some(2))] {
        fixture.vault.put(Kind::Glyph, glyphs).unwrap();
    }
    assert!(matches!(fixture.vault.put(Kind::Glyph, glyph(1, Some(3))).unwrap_err(), Error::Cycle { .. }));
    let chain = fixture.vault.glyphtrail().chain("glyph_0000000000000003").unwrap();
    assert_eq!(numbers(&chain), [1, 2, 3]);
}
