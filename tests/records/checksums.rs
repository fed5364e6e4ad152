//! Canonical JSON and its checksums.

use mirrordna::record::checksum::canonical;
use mirrordna::record::{Checksum, json};

use crate::golden::{self, items, text};

/// Canonical JSON and its SHA-256 are those of the reference; what no other reader could understand is refused.
#[test]
fn canonical_json_and_checksums_are_those_of_the_reference() {
    golden::each("checksums.json", |cases| {
        for case in items(cases) {
            let (name, source) = (text(case, "name"), text(case, "json_text"));
            let parsed = json::parse(source.as_bytes());
            if name.starts_with("nonportable_") {
                let error = parsed.expect_err(name);
                assert!(!error.to_string().is_empty(), "{name}");
                continue;
            }
            let value = parsed.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(String::from_utf8_lossy(&canonical(&value)), text(case, "canonical"), "{name}");
            assert_eq!(Checksum::of_value(&value).to_string(), text(case, "sha256"), "{name}");
        }
    });
}

/// Canonical JSON is its own canonical JSON.
#[test]
fn canonical_json_is_a_fixed_point() {
    golden::each("checksums.json", |cases| {
        for case in items(cases) {
            let Some(expected) = case.str_at("canonical") else { continue };
            let Ok(value) = json::parse(expected.as_bytes()) else { continue };
            assert_eq!(String::from_utf8_lossy(&canonical(&value)), expected, "{}", text(case, "name"));
        }
    });
}
