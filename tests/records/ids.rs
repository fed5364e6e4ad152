//! Ids: what the reference generates, and that the check by hand is the pattern of the schema.

use mirrordna::record::id::{self, IdSource, SeededIds};
use mirrordna::record::{Kind, RecordError, Value, object, schema};

use crate::golden::{self, flag, items, text};

fn kind_of(id_type: &str) -> Option<Kind> {
    Some(match id_type {
        "identity_id" => Kind::Identity,
        "session_id" => Kind::Session,
        "memory_id" => Kind::Memory,
        "agent_dna_id" => Kind::AgentDna,
        "event_id" => Kind::Event,
        "master_citation_id" => Kind::Citation,
        "vault_entry_id" => Kind::Entry,
        "glyph_id" => Kind::Glyph,
        _ => return None,
    })
}

/// Where a final newline made Python's `$` match, we refuse; otherwise the schema patterns decide, as the reference does.
#[test]
fn the_schema_patterns_decide() {
    golden::each("id_patterns.json", |data| {
        for list in ["generated_ids", "validator_schema_disagreements"] {
            for case in items(data.get(list).expect(list)) {
                let Some(kind) = kind_of(text(case, "id_type")) else { continue };
                let example = text(case, "example");
                let expected = flag(case, "schema_pattern_accepts") && !example.ends_with('\n');
                assert_eq!(id::check(kind, example).is_ok(), expected, "{kind} {example:?}");
            }
        }
    });
}

/// The patterns in our schemas are those of the reference's schemas.
#[test]
fn the_patterns_are_those_of_the_reference() {
    golden::each("id_patterns.json", |data| {
        for (id_type, pattern) in data.get("schema_patterns").and_then(Value::as_object).expect("patterns") {
            let pattern = format!("\"pattern\": {:?}", pattern.as_str().expect("a pattern"));
            let kinds = kind_of(id_type).map_or_else(|| Kind::ALL.to_vec(), |kind| vec![kind]);
            assert!(kinds.into_iter().any(|kind| schema::text(kind).contains(&pattern)), "{id_type}");
        }
    });
}

/// Whether the schema's pattern takes the id, asked through a record that has nothing else.
fn pattern_accepts(kind: Kind, id: &str) -> bool {
    let record = object([(kind.id_field(), Value::from(id))]);
    let at_id = format!("/{}", kind.id_field());
    match schema::validate(kind, &record) {
        Err(RecordError::Schema { faults, .. }) => faults.iter().all(|fault| fault.path != at_id),
        other => panic!("a record of an id alone is not valid: {other:?}"),
    }
}

/// Examples of each kind, at and around the limits of their forms.
const SEEDS: [&str; 22] = [
    "mdna_usr_aaaaaaaaaaaa",
    "mdna_agt_0123456789abcdef",
    "mdna_sys_____________",
    "mdna_agt_aaaaaaaaaaa",
    "sess_20250301_080000_deadbeef",
    "sess_aaaaaaaaaaaa",
    "mem_20250301_080000_deadbeef",
    "mem_aaaaaaaaaaaa",
    "dna_x_1_0_0",
    "dna_x",
    "evt_20250301080000_0001",
    "evt_aaaaaaaaaaaaaaaa",
    "snap_1",
    "snap_20250301_080000_deadbeef",
    "refl_390c8c7d7247342c_20250301_080206_0001",
    "refl_a_b_20250301_080206_00010",
    "refl___20250301_080206_0001",
    "refl_20250301_080206_0001",
    "mc_0123456789abcdef",
    "entry_0123456789abcdef",
    "glyph_0123456789abcdef",
    "glyph_aaaaaaaaaaaaaaa",
];

/// The check by hand and the pattern of the schema agree on thousands of ids with a few characters changed.
#[test]
fn the_check_by_hand_is_the_pattern() {
    const ALPHABET: [char; 16] = ['a', 'f', 'z', '0', '9', '_', 'A', '-', '.', '/', ' ', '\n', '\0', 'é', '٣', '０'];
    let source = SeededIds::new(20_250_301);
    for round in 0..400 {
        for seed in SEEDS {
            let mut chars: Vec<char> = seed.chars().collect();
            let mut random = [0; 8];
            source.fill(&mut random).expect("bytes");
            for change in random.chunks_exact(3).take(round % 3) {
                let at = usize::from(change[0]) % (chars.len() + 1);
                // Half of the changes stay inside the alphabet of ids, so that many ids stay valid.
                let c = ALPHABET[usize::from(change[1]) % if change[1] < 128 { 6 } else { ALPHABET.len() }];
                match change[2] % 3 {
                    0 => chars.insert(at, c),
                    1 if at < chars.len() => chars[at] = c,
                    _ if at < chars.len() => drop(chars.remove(at)),
                    _ => {}
                }
            }
            let id: String = chars.into_iter().collect();
            for kind in Kind::ALL {
                assert_eq!(id::check(kind, &id).is_ok(), pattern_accepts(kind, &id), "{kind} {id:?}");
            }
        }
    }
}

/// An id of 255 bytes is taken and one of 256 is not, although the pattern has no limit.
#[test]
fn the_limit_of_255_bytes_is_ours() {
    let longest = format!("glyph_{}", "a".repeat(249));
    assert_eq!(id::check(Kind::Glyph, &longest), Ok(()));
    assert!(pattern_accepts(Kind::Glyph, &format!("{longest}a")));
    assert!(id::check(Kind::Glyph, &format!("{longest}a")).is_err());
}
