//! Records against their schemas.

use mirrordna::record::{Kind, RecordError, schema};

use crate::golden::{self, flag, items, text};

/// Where we decide otherwise than the reference with its format check, and why: the end of the case's name, what we say.
const DIFFERENT_FROM_THE_REFERENCE: [(&str, bool, &str); 3] = [
    ("_newline", false, "a final newline belongs to the text, so it matches no pattern and no date-time"),
    ("_fullwidth_digits", false, "digits are 0 to 9"),
    ("_sec_60", true, "RFC 3339 has leap seconds"),
];

/// Every case is decided as the reference decides it with formats checked, except for the table.
#[test]
fn cases_are_decided_as_in_the_reference() {
    golden::each("schema_cases.json", |cases| {
        for case in items(cases) {
            let name = text(case, "name");
            let expected = DIFFERENT_FROM_THE_REFERENCE
                .iter()
                .find(|(ending, _, _)| name.ends_with(ending))
                .map_or_else(|| flag(case, "valid_with_format"), |(_, ours, _)| *ours);
            let instance = case.get("instance").expect("instance");
            let faults = schema::validate_named(text(case, "schema"), instance).expect("a schema of this name");
            assert_eq!(faults.is_empty(), expected, "{name}: {faults:?}");
            assert!(faults.is_sorted_by(|a, b| a.path <= b.path), "{name}: {faults:?}");
        }
    });
}

/// Both ways to ask for a schema, by kind and by name, give the same answer.
#[test]
fn kinds_and_names_lead_to_the_same_schema() {
    golden::each("schema_cases.json", |cases| {
        for case in items(cases) {
            let (name, instance) = (text(case, "name"), case.get("instance").expect("instance"));
            let kind = Kind::ALL.into_iter().find(|kind| schema::name(*kind) == text(case, "schema")).expect(name);
            let named = schema::validate_named(schema::name(kind), instance).expect(name);
            match schema::validate(kind, instance) {
                Ok(()) => assert!(named.is_empty(), "{name}"),
                Err(RecordError::Schema { faults, .. }) => assert_eq!(faults, named, "{name}"),
                Err(error) => {
                    assert_eq!(error, RecordError::NotAnObject { kind }, "{name}");
                    assert_eq!(named.len(), 1, "{name}");
                }
            }
        }
    });
}

/// A second of 60 is taken, whatever the offset.
#[test]
fn leap_seconds_are_date_times() {
    for time in ["2016-12-31T23:59:60Z", "2016-12-31T15:59:60.5-08:00"] {
        let record = format!(
            r#"{{"identity_id":"mdna_agt_0123456789abcdef","identity_type":"agent","created_at":"{time}",
                "public_key":"11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="}}"#
        );
        let record = mirrordna::record::json::parse(record.as_bytes()).expect("JSON");
        assert_eq!(schema::validate(Kind::Identity, &record), Ok(()), "{time}");
    }
}
