//! Makes a record ready to be stored: everything that can be computed before the storage is asked.

use crate::record::inode::{Inode, ROOT_INO};
use crate::record::kind::IndexForm;
use crate::record::{Checksum, Kind, MAX_RECORD_BYTES, RecordError, Timestamp, Value, checksum, json};

use super::types::{Prepared, RecordFile, Term, text_term};

/// The most terms that one record may have in an index of lists, as tags are.
pub const MAX_TAGS: usize = 1_024;

/// The file that the mount shows for a record: pretty-printed UTF-8 JSON with real characters and a final newline.
#[must_use]
pub fn record_file(record: &Value) -> Vec<u8> {
    let mut file = json::to_vec(record, json::Layout::Pretty, json::Charset::Unicode);
    file.push(b'\n');
    file
}

/// The index terms of a record, without that of all records, each once, in order of the index.
#[must_use]
pub fn terms_of(kind: Kind, record: &Value) -> Vec<(u16, Term)> {
    let mut terms = Vec::with_capacity(8);
    for index in kind.indexes() {
        let Some(value) = record.at(index.path) else { continue };
        match index.form {
            IndexForm::Text => {
                terms.extend(value.as_str().map(|text| (index.number, Term::Text(text_term(text)))));
            }
            IndexForm::Each => {
                let first = terms.len();
                let texts = value.as_array().unwrap_or_default().iter().filter_map(Value::as_str);
                terms.extend(texts.map(|text| (index.number, Term::Text(text_term(text)))));
                if let Some(tail) = terms.get_mut(first..) {
                    tail.sort_unstable();
                }
            }
            IndexForm::Time => {
                let time = value.as_str().and_then(Timestamp::parse);
                terms.extend(time.map(|time| (index.number, Term::Time(time))));
            }
        }
    }
    terms.dedup();
    terms
}

/// The index entry by time of a record that should say its time and does not: that of its commit, so that listings by
/// time leave nothing out.
#[must_use]
pub fn missing_time(kind: Kind, terms: &[(u16, Term)], time: Timestamp) -> Option<(u16, Term)> {
    let index = kind.indexes().iter().find(|index| index.form == IndexForm::Time)?;
    (!terms.iter().any(|(number, _)| *number == index.number)).then_some((index.number, Term::Time(time)))
}

fn shown_file(record: &Value) -> RecordFile {
    let file = record_file(record);
    RecordFile { len: file.len() as u64, sha256: Checksum::of(&file) }
}

/// An artifact without a name counts as archived, so that a selection finds those that a crash left.
fn is_orphan(record: &Value) -> bool {
    let root = i64::try_from(ROOT_INO).ok();
    record.get("names").and_then(Value::as_array).is_some_and(<[Value]>::is_empty)
        && record.get("ino").and_then(Value::as_i64) != root
}

/// Makes an inode ready to be stored.
///
/// # Errors
/// [`RecordError::TooLarge`] for more than 16 MiB of names and extended attributes.
pub fn prepare_inode(inode: &Inode) -> Result<Prepared, RecordError> {
    prepare(Kind::Artifact, &inode.ino.to_string(), &inode.to_value(), false)
}

/// Makes a record ready to be stored. Its schema and id are the caller's business.
///
/// # Errors
/// [`RecordError::TooLarge`] for more than 16 MiB of canonical JSON, [`RecordError::TooManyTags`] for more than 1,024
/// tags.
pub fn prepare(kind: Kind, id: &str, record: &Value, lenient: bool) -> Result<Prepared, RecordError> {
    let json = checksum::canonical(record);
    if json.len() > MAX_RECORD_BYTES {
        return Err(RecordError::TooLarge { kind, id: id.to_owned(), bytes: json.len() });
    }
    let terms = terms_of(kind, record);
    if terms.len() > MAX_TAGS + kind.indexes().len() {
        return Err(RecordError::TooManyTags { kind, id: id.to_owned(), limit: MAX_TAGS });
    }
    let file = if kind == Kind::Artifact { RecordFile::NONE } else { shown_file(record) };
    let text = |field: Option<&str>| {
        let text = field.and_then(|path| record.str_at(path)).unwrap_or_default();
        // Only what can be an id is a reference; a foreign record may hold anything here.
        if text.len() <= crate::record::MAX_ID_BYTES { text.to_owned() } else { String::new() }
    };
    Ok(Prepared {
        checksum: Checksum::of(&json),
        file,
        terms,
        time: record.str_at(kind.time_field()).and_then(Timestamp::parse),
        session: text(kind.session_field()),
        agent: text(kind.agent_field()),
        archived: match kind {
            Kind::Artifact => is_orphan(record),
            _ => record.at("metadata.archived").and_then(Value::as_bool).unwrap_or(false),
        },
        lenient,
        json,
    })
}
