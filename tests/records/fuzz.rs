//! Texts that nobody would write on purpose.

use mirrordna::record::checksum::canonical;
use mirrordna::record::id::{IdSource, SeededIds};
use mirrordna::record::json::{self, Charset, Layout};
use mirrordna::record::{Kind, schema};

use crate::golden::{self, items, text};

const TEXTS: usize = 10_000;

/// Pieces that a parser may trip over.
const PIECES: [&[u8]; 20] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\",
    b",",
    b":",
    b"null",
    b"-",
    b"0",
    b"1e9",
    b".5",
    b"\\ud800",
    b"\\udc00",
    b"\\u0000",
    b"\xff",
    b"\xc3\xa9",
    b"\n",
    b" ",
];

struct Random(SeededIds);

impl Random {
    fn below(&self, limit: usize) -> usize {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes).expect("bytes");
        u32::from_be_bytes(bytes) as usize % limit
    }

    /// `seed` with one to eight changes, or nothing but pieces.
    fn text(&self, seed: &[u8], other: &[u8]) -> Vec<u8> {
        if self.below(10) == 0 {
            return (0..self.below(40)).flat_map(|_| PIECES[self.below(PIECES.len())].iter().copied()).collect();
        }
        let mut text = seed.to_vec();
        for _ in 0..=self.below(8) {
            let at = self.below(text.len() + 1);
            let end = at + self.below(text.len() - at + 1).min(16);
            match self.below(5) {
                0 => drop(text.splice(at..end, PIECES[self.below(PIECES.len())].iter().copied())),
                1 => drop(text.splice(at..at, PIECES[self.below(PIECES.len())].iter().copied())),
                2 => drop(text.drain(at..end)),
                3 if at < text.len() => text[at] ^= 1 << self.below(8),
                _ => {
                    let from = self.below(other.len());
                    let to = from + self.below(other.len() - from + 1).min(32);
                    drop(text.splice(at..at, other[from..to].iter().copied()));
                }
            }
        }
        text
    }
}

/// Whatever parses comes back the same from each layout; nothing makes the parser or the schemas panic.
fn survives(text: &[u8]) -> bool {
    let Ok(value) = json::parse(text) else { return false };
    let shortest = canonical(&value);
    for layout in [Layout::Compact, Layout::Spaced, Layout::Pretty] {
        for charset in [Charset::Ascii, Charset::Unicode] {
            let again = json::parse(&json::to_vec(&value, layout, charset)).expect("what was written can be read");
            assert_eq!(again, value);
            // Equality of floats does not see the sign of zero; the text does.
            assert_eq!(canonical(&again), shortest);
        }
    }
    for kind in Kind::ALL {
        let named = schema::validate_named(schema::name(kind), &value).expect("a schema");
        assert_eq!(schema::validate(kind, &value).is_ok(), named.is_empty());
        let mut record = value.clone();
        schema::drop_disallowed_nulls(kind, &mut record);
        let mut twice = record.clone();
        schema::drop_disallowed_nulls(kind, &mut twice);
        assert_eq!(record, twice);
    }
    true
}

/// Ten thousand mutated and random texts: no panic, and whatever parses survives a round trip.
#[test]
fn mutated_texts_never_panic_and_round_trip() {
    let (records, documents) = (golden::small("schema_cases.json"), golden::small("checksums.json"));
    let mut seeds: Vec<Vec<u8>> =
        items(&records).iter().map(|case| canonical(case.get("instance").expect("instance"))).collect();
    seeds.extend(items(&documents).iter().map(|case| text(case, "json_text").as_bytes().to_vec()));
    let random = Random(SeededIds::new(42));
    let mut parsed = 0;
    for _ in 0..TEXTS {
        let (seed, other) = (&seeds[random.below(seeds.len())], &seeds[random.below(seeds.len())]);
        parsed += usize::from(survives(&random.text(seed, other)));
    }
    // A fuzzer whose texts never parse would test half of what it promises.
    assert!(parsed > TEXTS / 20, "only {parsed} of {TEXTS} texts parsed");
}
