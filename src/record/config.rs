//! Configuration documents: master citations and vault configurations, read with their proof, and templates of them.

use super::document::{self, Format, Proof};
use super::error::RecordError;
use super::id::{self, IdSource, NoRandomness};
use super::kind::Kind;
use super::schema;
use super::time::Timestamp;
use super::value::{Map, Value, object};

/// What every vault configuration says.
pub const VAULT_FIELDS: [&str; 4] = ["vault_id", "name", "path", "created_at"];

/// How much a template shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Template {
    /// What must be there.
    Minimal,
    /// What may be there, too.
    Full,
}

/// Reads a master citation, with its schema and its checksum.
///
/// # Errors
/// Those of [`document::read_citation`] and of [`schema::validate`].
pub fn read_citation(text: &[u8], format: Format) -> Result<Map, RecordError> {
    // The schema first: "checksum is missing" says more than "cannot be verified".
    let value = format.read(text)?;
    schema::validate(Kind::Citation, &value)?;
    document::read_citation(text, format, Proof::Required)
}

/// Reads a vault configuration: an object with [`VAULT_FIELDS`], each of them text.
///
/// # Errors
/// The text cannot be read, or [`RecordError::Document`] naming the field that is missing.
pub fn read_vault(text: &[u8], format: Format) -> Result<Map, RecordError> {
    let malformed = |reason: String| RecordError::Document { what: "vault configuration".to_owned(), reason };
    let Value::Object(document) = format.read(text)? else {
        return Err(malformed("it is not an object".to_owned()));
    };
    for field in VAULT_FIELDS {
        match document.get(field).and_then(Value::as_str) {
            Some(text) if !text.is_empty() => {}
            _ => return Err(malformed(format!("it has no text {field:?}"))),
        }
    }
    document.get("created_at").and_then(Value::as_str).and_then(Timestamp::parse).map_or_else(
        || Err(malformed("\"created_at\" is not an RFC 3339 date-time".to_owned())),
        |_| Ok(document.clone()),
    )
}

/// A new master citation with an id, a vault id and a right checksum.
///
/// # Errors
/// Those of `ids`.
pub fn citation_template(template: Template, ids: &dyn IdSource, now: Timestamp) -> Result<Map, NoRandomness> {
    let id = id::citation(ids)?;
    let mut document: Map = [
        ("vault_id", format!("vault_{}", id.trim_start_matches("mc_")).into()),
        ("id", id.into()),
        ("version", "1.0.0".into()),
        ("created_at", now.to_string().into()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    if template == Template::Full {
        let metadata = object([
            ("name", "Example Agent".into()),
            ("description", "What this agent is, and what it is for".into()),
        ]);
        let more: [(&str, Value); 6] = [
            ("predecessor", Value::Null),
            ("successor", Value::Null),
            ("updated_at", now.to_string().into()),
            ("constitutional_ref", "Constitution v1.0".into()),
            ("tags", vec!["example"].into()),
            ("metadata", metadata),
        ];
        document.extend(more.map(|(key, value)| (key.to_owned(), value)));
    }
    document::seal(&mut document);
    Ok(document)
}

/// A new vault configuration for a vault in `path`.
///
/// # Errors
/// Those of `ids`.
pub fn vault_template(template: Template, ids: &dyn IdSource, now: Timestamp, path: &str) -> Result<Map, NoRandomness> {
    let id = id::citation(ids)?;
    let mut document: Map = [
        ("vault_id", format!("vault_{}", id.trim_start_matches("mc_")).into()),
        ("name", "main".into()),
        ("path", path.into()),
        ("created_at", now.to_string().into()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    if template == Template::Full {
        let metadata = object([("owner", "example_user".into()), ("purpose", "development".into())]);
        document.extend([("entries".to_owned(), Value::Array(Vec::new())), ("metadata".to_owned(), metadata)]);
    }
    Ok(document)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::id::SeededIds;

    #[test]
    fn templates_are_valid_in_both_languages() {
        let now = Timestamp::parse("2025-03-01T08:00:00Z").unwrap();
        for template in [Template::Minimal, Template::Full] {
            for format in [Format::Json, Format::Yaml] {
                let render = |document: &Map| {
                    let mut text = Vec::new();
                    format.write_members(&mut text, document.iter().map(|(key, value)| (key.as_str(), value))).unwrap();
                    text
                };
                let citation = citation_template(template, &SeededIds::new(1), now).unwrap();
                assert_eq!(read_citation(&render(&citation), format), Ok(citation));
                let vault = vault_template(template, &SeededIds::new(1), now, "/v").unwrap();
                assert_eq!(read_vault(&render(&vault), format), Ok(vault));
            }
        }
    }

    #[test]
    fn a_vault_configuration_names_the_field_it_lacks() {
        for (text, missing) in [
            ("name: x\npath: y\ncreated_at: '2025-03-01T08:00:00Z'\n", "vault_id"),
            ("vault_id: v\nname: x\npath: ''\ncreated_at: '2025-03-01T08:00:00Z'\n", "path"),
            ("vault_id: v\nname: x\npath: y\ncreated_at: soon\n", "created_at"),
        ] {
            let message = read_vault(text.as_bytes(), Format::Yaml).unwrap_err().to_string();
            assert!(message.contains(missing), "{message}");
        }
    }
}
