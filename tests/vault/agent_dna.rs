//! Agent DNA.

use mirrordna::record::Kind;
use mirrordna::storage::StorageError;
use mirrordna::vault::Record;
use mirrordna::{Error, Result};

use crate::support::{AGENT, Fixture, OTHER_AGENT, parse};

pub(crate) fn create(fixture: &Fixture, agent: &str, version: &str, constraints: &str) -> Result<Record> {
    fixture.vault.agent_dna().create(parse(&format!(
        r#"{{"agent_id":"{agent}","version":"{version}","personality_traits":{{"tone":"calm","style":"plain","values":["truth"]}},
        "behavioral_constraints":{constraints},"capabilities":["reflection","memory"]}}"#
    )))
}

#[test]
fn the_latest_is_the_latest_by_version_not_by_time() {
    let fixture = Fixture::new();
    for version in ["1.9.0", "1.10.0", "0.99.99", "1.2.30"] {
        create(&fixture, AGENT, version, &format!(r#"["of {version}"]"#)).unwrap();
    }
    create(&fixture, OTHER_AGENT, "9.0.0", r#"["other"]"#).unwrap();
    let dna = fixture.vault.agent_dna();
    let latest = dna.latest(AGENT).unwrap().unwrap();
    assert_eq!(latest.id, "dna_0123456789abcdef_1_10_0");
    let versions: Vec<_> =
        dna.versions(AGENT).unwrap().into_iter().map(|dna| dna.value.str_at("version").unwrap().to_owned()).collect();
    assert_eq!(versions, ["0.99.99", "1.2.30", "1.9.0", "1.10.0"]);
    assert_eq!(dna.constraints(AGENT).unwrap(), ["of 1.10.0"]);
    assert_eq!(dna.latest("mdna_agt_000000000000").unwrap(), None);
    assert_eq!(dna.constraints("mdna_agt_000000000000").unwrap(), Vec::<String>::new());
    fixture.vault.delete(Kind::AgentDna, &latest.id).unwrap();
    assert_eq!(dna.latest(AGENT).unwrap().unwrap().id, "dna_0123456789abcdef_1_9_0");
}

#[test]
fn a_version_is_made_once_and_must_be_whole() {
    let fixture = Fixture::new();
    create(&fixture, AGENT, "1.0.0", r#"["a"]"#).unwrap();
    let again = create(&fixture, AGENT, "1.0.0", r#"["b"]"#).unwrap_err();
    assert!(matches!(again, Error::Storage(StorageError::Exists { .. })), "{again}");
    for (version, constraints) in [("1.0", r#"["a"]"#), ("2.0.0", "[]"), ("2.0.0", "[1]")] {
        assert!(matches!(create(&fixture, AGENT, version, constraints).unwrap_err(), Error::Record(_)));
    }
}
