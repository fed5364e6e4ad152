//! The files of the protocol: snapshots, timelines, master citations and checksummed configurations.
//!
//! Each is read from bytes and written to a stream; nothing here opens a file or knows of a vault. What carries a checksum
//! is verified when it is read, so a value of these types has either been proven or says that it has not.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256, Sha512};

use super::checksum::Checksum;
use super::error::RecordError;
use super::json::{self, Charset, Layout};
use super::kind::Kind;
use super::time::Timestamp;
use super::value::{Map, Value, object};
use super::yaml;

/// The field that holds the checksum of the document it stands in.
const CHECKSUM: &str = "checksum";

/// The two languages of documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// JSON, written with an indent of two and only ASCII.
    Json,
    /// YAML, written in block style.
    Yaml,
}

impl Format {
    /// What the extension says: `.json`, `.yaml` or `.yml` in any case. Nothing for other names.
    #[must_use]
    pub fn of_path(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "json" => Some(Self::Json),
            "yaml" | "yml" => Some(Self::Yaml),
            _ => None,
        }
    }

    /// What the text looks like, for input without a name: JSON when it begins with a brace or a bracket, else YAML.
    #[must_use]
    pub fn of_text(text: &[u8]) -> Self {
        match text.trim_ascii_start().first() {
            Some(b'{' | b'[') => Self::Json,
            _ => Self::Yaml,
        }
    }

    /// Reads a value from UTF-8 bytes.
    ///
    /// # Errors
    /// [`RecordError::Json`] or [`RecordError::Yaml`] with the place of the fault.
    pub fn read(self, text: &[u8]) -> Result<Value, RecordError> {
        match self {
            Self::Json => Ok(json::parse(text)?),
            Self::Yaml => yaml::parse(text),
        }
    }

    /// Writes an object with its members in the order given. The pieces are small: give it a buffered stream.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_members<'a>(
        self,
        out: &mut impl Write,
        members: impl IntoIterator<Item = (&'a str, &'a Value)>,
    ) -> io::Result<()> {
        match self {
            Self::Json => write_json_members(out, members),
            Self::Yaml => yaml::write_members(out, members),
        }
    }
}

fn write_json_members<'a>(
    out: &mut impl Write,
    members: impl IntoIterator<Item = (&'a str, &'a Value)>,
) -> io::Result<()> {
    let mut inner = Indented { out };
    let mut separator: &[u8] = b"{\n";
    for (key, value) in members {
        inner.write_all(separator)?;
        separator = b",\n";
        json::write_string(&mut inner, key, Charset::Ascii)?;
        inner.write_all(b": ")?;
        json::write(&mut inner, value, Layout::Pretty, Charset::Ascii)?;
    }
    // Without members the separator has not been used.
    out.write_all(if separator.starts_with(b"{") { b"{}" } else { b"\n}" })
}

/// Indents what is written through it by one level. JSON text has no line breaks inside strings.
struct Indented<'a, W> {
    out: &'a mut W,
}

impl<W: Write> Write for Indented<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.out.write_all(line)?;
            if line.ends_with(b"\n") {
                self.out.write_all(b"  ")?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Whether a document without a checksum is taken. One whose checksum is wrong never is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A document whose checksum is missing, null or empty is refused.
    Required,
    /// Such a document is taken as unverified.
    Optional,
}

/// The checksum of a document: that of its canonical JSON without the member `checksum`.
#[must_use]
pub fn checksum_of(document: &Map) -> Checksum {
    // Member by member, because a copy without one member would copy the whole tree. Writing to a vector cannot fail.
    let mut canonical = vec![b'{'];
    for (key, value) in document.iter().filter(|(key, _)| *key != CHECKSUM) {
        if canonical.len() > 1 {
            canonical.push(b',');
        }
        let _ = json::write_string(&mut canonical, key, Charset::Ascii);
        canonical.push(b':');
        let _ = json::write(&mut canonical, value, Layout::Compact, Charset::Ascii);
    }
    canonical.push(b'}');
    Checksum::of(&canonical)
}

/// Sets the member `checksum` of a document to what it must be, and returns it.
pub fn seal(document: &mut Map) -> Checksum {
    let checksum = checksum_of(document);
    document.insert(CHECKSUM.to_owned(), checksum.to_string().into());
    checksum
}

/// Verifies the member `checksum` of a document; the case of its digits does not matter. `what` names the document in
/// errors. Returns the checksum that was proven, or nothing when there is none and `proof` allows that.
///
/// # Errors
/// [`RecordError::Checksum`] when it differs, [`RecordError::Unverified`] when it is required and missing, null or empty.
pub fn verify(what: &str, document: &Map, proof: Proof) -> Result<Option<Checksum>, RecordError> {
    let stored = match document.get(CHECKSUM) {
        None | Some(Value::Null) => Cow::Borrowed(""),
        Some(Value::String(text)) => Cow::Borrowed(text.as_str()),
        Some(other) => {
            let text = json::to_vec(other, Layout::Compact, Charset::Ascii);
            Cow::Owned(String::from_utf8_lossy(&text).into_owned())
        }
    };
    if stored.is_empty() {
        return match proof {
            Proof::Required => Err(RecordError::Unverified { what: what.to_owned() }),
            Proof::Optional => Ok(None),
        };
    }
    let actual = checksum_of(document);
    if Checksum::parse(&stored) == Some(actual) {
        return Ok(Some(actual));
    }
    Err(RecordError::Checksum { what: what.to_owned(), expected: stored.into_owned(), actual: actual.to_string() })
}

/// Reads a master citation and verifies its checksum. Its schema is not looked at: that is for whoever stores it.
///
/// # Errors
/// The text cannot be read, is not an object, or what [`verify`] says.
pub fn read_citation(text: &[u8], format: Format, proof: Proof) -> Result<Map, RecordError> {
    let document = read_object(format.read(text)?, Kind::Citation)?;
    verify(&name_of(Kind::Citation, &document), &document, proof)?;
    Ok(document)
}

fn read_object(value: Value, kind: Kind) -> Result<Map, RecordError> {
    match value {
        Value::Object(map) => Ok(map),
        _ => Err(RecordError::NotAnObject { kind }),
    }
}

/// What a document is called in errors.
fn name_of(kind: Kind, document: &Map) -> String {
    match document.get(kind.id_field()).and_then(Value::as_str) {
        Some(id) => format!("{kind} {id:?}"),
        None => format!("{kind} without an id"),
    }
}

fn malformed(what: impl Into<String>, reason: impl Into<String>) -> RecordError {
    RecordError::Document { what: what.into(), reason: reason.into() }
}

/// What a new snapshot file is made of; its checksum is computed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SnapshotContent {
    /// Id of the snapshot.
    pub snapshot_id: String,
    /// When it was taken.
    pub timestamp: Timestamp,
    /// Version of the snapshot's form.
    pub version: String,
    /// Identities and agent DNA.
    pub identity_state: Value,
    /// Sessions.
    pub continuity_state: Value,
    /// Counts and the state of the log; may be null.
    pub vault_state: Value,
    /// Summary of the timeline; may be null.
    pub timeline_summary: Value,
    /// Anything; may be null.
    pub metadata: Value,
}

/// A snapshot file, its own or a foreign one.
///
/// A foreign file may lack fields and have more of them: it is kept as it is, because its checksum covers all of that.
#[derive(Clone, Debug, PartialEq)]
pub struct SnapshotFile {
    fields: Map,
    checksum: Option<Checksum>,
}

impl SnapshotFile {
    /// The fields in the order in which they are written.
    pub const FIELDS: [&str; 9] = [
        "snapshot_id",
        "timestamp",
        "version",
        CHECKSUM,
        "identity_state",
        "continuity_state",
        "vault_state",
        "timeline_summary",
        "metadata",
    ];

    /// A file with this content and its checksum.
    #[must_use]
    pub fn new(content: SnapshotContent) -> Self {
        let mut fields: Map = [
            ("snapshot_id", content.snapshot_id.into()),
            ("timestamp", content.timestamp.to_string().into()),
            ("version", content.version.into()),
            ("identity_state", content.identity_state),
            ("continuity_state", content.continuity_state),
            ("vault_state", content.vault_state),
            ("timeline_summary", content.timeline_summary),
            ("metadata", content.metadata),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
        let checksum = Some(seal(&mut fields));
        Self { fields, checksum }
    }

    /// Reads a file and verifies its checksum.
    ///
    /// # Errors
    /// The text cannot be read; it is not an object with a string `snapshot_id`; [`RecordError::Checksum`] with expected
    /// and actual, [`RecordError::Unverified`] unless `proof` is [`Proof::Optional`].
    pub fn parse(text: &[u8], format: Format, proof: Proof) -> Result<Self, RecordError> {
        let fields = read_object(format.read(text)?, Kind::Snapshot)?;
        let what = name_of(Kind::Snapshot, &fields);
        if fields.get("snapshot_id").and_then(Value::as_str).is_none() {
            return Err(malformed(what, "a snapshot file has a string \"snapshot_id\""));
        }
        let checksum = verify(&what, &fields, proof)?;
        Ok(Self { fields, checksum })
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        self.fields.get("snapshot_id").and_then(Value::as_str).unwrap_or_default()
    }

    /// The proven checksum; nothing when the file carries none and was taken nevertheless.
    #[must_use]
    pub fn checksum(&self) -> Option<Checksum> {
        self.checksum
    }

    /// All members, `checksum` included, as they stand in the file.
    #[must_use]
    pub fn fields(&self) -> &Map {
        &self.fields
    }

    /// Writes the file, the known fields in their order and others after them. What is read from the output has the same
    /// checksum. The pieces are small: give it a buffered stream.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn render(&self, out: &mut impl Write, format: Format) -> io::Result<()> {
        let known = Self::FIELDS.into_iter().filter_map(|name| Some((name, self.fields.get(name)?)));
        let others = self.fields.iter().map(|(name, value)| (name.as_str(), value));
        format.write_members(out, known.chain(others.filter(|(name, _)| !Self::FIELDS.contains(name))))
    }
}

/// A timeline file.
#[derive(Clone, Debug, PartialEq)]
pub struct TimelineFile {
    timeline_id: String,
    /// Always an array.
    events: Value,
}

impl TimelineFile {
    /// A file with these events, in this order.
    #[must_use]
    pub fn new(timeline_id: String, events: Vec<Value>) -> Self {
        Self { timeline_id, events: Value::Array(events) }
    }

    /// Reads a timeline file. Whether each event keeps its schema is not looked at.
    ///
    /// # Errors
    /// [`RecordError::Json`], or [`RecordError::Document`] when there is no `timeline_id`, when `events` is not a list of
    /// objects, or when `event_count` is not their number, which is how a file that was cut shows.
    pub fn parse(text: &[u8]) -> Result<Self, RecordError> {
        const WHAT: &str = "timeline file";
        let Value::Object(mut document) = json::parse(text)? else {
            return Err(malformed(WHAT, "it is not an object"));
        };
        let Some(Value::String(timeline_id)) = document.remove("timeline_id") else {
            return Err(malformed(WHAT, "it has no string \"timeline_id\""));
        };
        let fault = |reason: String| malformed(format!("{WHAT} {timeline_id:?}"), reason);
        let Some(Value::Array(events)) = document.remove("events") else {
            return Err(fault("it has no list of \"events\"".to_owned()));
        };
        if let Some(position) = events.iter().position(|event| event.as_object().is_none()) {
            return Err(fault(format!("its event at position {position} is not an object")));
        }
        let count = document.remove("event_count").unwrap_or_default();
        if !count.is_null() && count != events.len().into() {
            return Err(fault(format!("\"event_count\" is not {}, the number of its events", events.len())));
        }
        Ok(Self::new(timeline_id, events))
    }

    /// Its id.
    #[must_use]
    pub fn timeline_id(&self) -> &str {
        &self.timeline_id
    }

    /// Its events in the order of the file.
    #[must_use]
    pub fn events(&self) -> &[Value] {
        self.events.as_array().unwrap_or_default()
    }

    /// The events that pass a filter, in the order of the file.
    pub fn select<'a>(&'a self, filter: &'a EventFilter<'_>) -> impl Iterator<Item = &'a Value> {
        let limit = if filter.limit == 0 { usize::MAX } else { filter.limit };
        self.events().iter().filter(|event| filter.matches(event)).take(limit)
    }

    /// The summary of its events, see [`timeline_summary`].
    #[must_use]
    pub fn summary(&self) -> Value {
        timeline_summary(&self.timeline_id, self.events())
    }

    /// Writes the file as JSON. The pieces are small: give it a buffered stream.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn render(&self, out: &mut impl Write) -> io::Result<()> {
        let (id, count) = (self.timeline_id.as_str().into(), self.events().len().into());
        write_json_members(out, [("timeline_id", &id), ("event_count", &count), ("events", &self.events)])
    }
}

/// What a timeline is asked for. Everything that is set must hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventFilter<'a> {
    /// The `event_type`.
    pub event_type: Option<&'a str>,
    /// The `actor`.
    pub actor: Option<&'a str>,
    /// The `related_session_id`.
    pub session: Option<&'a str>,
    /// The earliest time, itself included.
    pub from: Option<Timestamp>,
    /// The latest time, itself included.
    pub to: Option<Timestamp>,
    /// How many events at most; 0 means all.
    pub limit: usize,
}

impl EventFilter<'_> {
    /// True when an event passes; the limit is not looked at. An event whose time cannot be read is in no range of time.
    #[must_use]
    pub fn matches(&self, event: &Value) -> bool {
        let is = |field, wanted: Option<&str>| wanted.is_none() || event.get(field).and_then(Value::as_str) == wanted;
        let in_time = || {
            let Some(time) = event.get("timestamp").and_then(Value::as_str).and_then(Timestamp::parse) else {
                return false;
            };
            self.from.is_none_or(|from| time >= from) && self.to.is_none_or(|to| time <= to)
        };
        is("event_type", self.event_type)
            && is("actor", self.actor)
            && is("related_session_id", self.session)
            && (self.from.is_none() && self.to.is_none() || in_time())
    }
}

/// The summary of a timeline: `timeline_id`, `total_events`, `event_types` (type to count), `unique_actors`, and the
/// `timestamp` of the first and the last of `events`, null when there are none.
#[must_use]
pub fn timeline_summary<'a>(timeline_id: &str, events: impl IntoIterator<Item = &'a Value>) -> Value {
    let mut total = 0_usize;
    let mut types = BTreeMap::<&str, usize>::new();
    let mut actors = BTreeSet::new();
    let (mut first, mut last) = (None, None);
    for event in events {
        total += 1;
        if let Some(event_type) = event.get("event_type").and_then(Value::as_str) {
            *types.entry(event_type).or_default() += 1;
        }
        actors.extend(event.get("actor").and_then(Value::as_str));
        first.get_or_insert(event);
        last = Some(event);
    }
    let time = |event: Option<&Value>| event.and_then(|event| event.get("timestamp")).cloned().unwrap_or_default();
    let types: Map = types.into_iter().map(|(name, count)| (name.to_owned(), count.into())).collect();
    object([
        ("timeline_id", timeline_id.into()),
        ("total_events", total.into()),
        ("event_types", types.into()),
        ("unique_actors", actors.len().into()),
        ("first_event", time(first)),
        ("last_event", time(last)),
    ])
}

/// A hash function of checksummed configurations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashAlgorithm {
    /// `sha256`
    Sha256,
    /// `sha512`
    Sha512,
}

impl HashAlgorithm {
    /// Its name in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// The function of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Sha256, Self::Sha512].into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// The digest of bytes as lower-case hex.
    #[must_use]
    pub fn hex_digest(self, bytes: &[u8]) -> String {
        use fmt::Write;
        let digest = match self {
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha512 => Sha512::digest(bytes).to_vec(),
        };
        digest.iter().fold(String::with_capacity(digest.len() * 2), |mut hex, byte| {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}

impl fmt::Display for HashAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What `NAME.checksum.json` says about the configuration `NAME.json`.
///
/// The hash is over the value of the configuration, not over the bytes of its file, in the form of canonical JSON that has
/// a space after commas and colons. Records and snapshots use the other form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigChecksum {
    /// The hash function.
    pub algorithm: HashAlgorithm,
    /// The digest in hex.
    pub hash: String,
    /// Version of the configuration; empty when the file does not say.
    pub version: String,
    /// When the checksum was made; empty when the file does not say.
    pub created_at: String,
}

impl ConfigChecksum {
    /// The checksum of a configuration.
    #[must_use]
    pub fn of(config: &Value, algorithm: HashAlgorithm, version: &str, created_at: Timestamp) -> Self {
        Self {
            algorithm,
            hash: Self::hash(config, algorithm),
            version: version.to_owned(),
            created_at: created_at.to_string(),
        }
    }

    fn hash(config: &Value, algorithm: HashAlgorithm) -> String {
        algorithm.hex_digest(&json::to_vec(config, Layout::Spaced, Charset::Ascii))
    }

    /// Where the checksum of the configuration at `config` lies: `app.checksum.json` beside `app.json`.
    #[must_use]
    pub fn path_for(config: &Path) -> PathBuf {
        config.with_extension("checksum.json")
    }

    /// Reads a checksum file. `name` is that of the configuration, for errors.
    ///
    /// # Errors
    /// [`RecordError::Json`]; [`RecordError::Unverified`] when `hash` is missing, null or empty; [`RecordError::Document`]
    /// when it is not an object or `algorithm` is not known.
    pub fn parse(name: &str, text: &[u8]) -> Result<Self, RecordError> {
        let Value::Object(document) = json::parse(text)? else {
            return Err(malformed(Self::what(name), "its checksum file is not an object"));
        };
        let text = |field| document.get(field).and_then(Value::as_str).unwrap_or_default();
        if text("hash").is_empty() {
            return Err(RecordError::Unverified { what: Self::what(name) });
        }
        let algorithm = HashAlgorithm::from_name(text("algorithm")).ok_or_else(|| {
            let reason = format!("its checksum algorithm {:?} is not known (sha256, sha512)", text("algorithm"));
            malformed(Self::what(name), reason)
        })?;
        Ok(Self {
            algorithm,
            hash: text("hash").to_owned(),
            version: text("version").to_owned(),
            created_at: text("created_at").to_owned(),
        })
    }

    fn what(name: &str) -> String {
        format!("configuration {name:?}")
    }

    /// Verifies a configuration; the case of the digits does not matter. `name` names it in errors.
    ///
    /// # Errors
    /// [`RecordError::Checksum`] with expected and actual.
    pub fn verify(&self, name: &str, config: &Value) -> Result<(), RecordError> {
        let actual = Self::hash(config, self.algorithm);
        if actual.eq_ignore_ascii_case(&self.hash) {
            return Ok(());
        }
        Err(RecordError::Checksum { what: Self::what(name), expected: self.hash.clone(), actual })
    }

    /// Writes the checksum file.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn render(&self, out: &mut impl Write) -> io::Result<()> {
        let members = [
            ("algorithm", self.algorithm.name().into()),
            ("hash", self.hash.as_str().into()),
            ("version", self.version.as_str().into()),
            ("created_at", self.created_at.as_str().into()),
        ];
        write_json_members(out, members.iter().map(|(key, value)| (*key, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn formats_by_name_and_by_content() {
        assert_eq!(Format::of_path(Path::new("a/b.JSON")), Some(Format::Json));
        assert_eq!(Format::of_path(Path::new("b.yml")), Some(Format::Yaml));
        assert_eq!(Format::of_path(Path::new("json")), None);
        assert_eq!(Format::of_text(b" \n{"), Format::Json);
        assert_eq!(Format::of_text(b"a: {}"), Format::Yaml);
        assert_eq!(Format::of_text(b""), Format::Yaml);
    }

    #[test]
    fn members_are_indented_like_the_writer_of_whole_values() {
        let value = json::parse(br#"{"a":[1,{"b":{}}],"c":"x\ny","d":{"e":[]}}"#).unwrap();
        let members = value.as_object().unwrap().iter().map(|(key, value)| (key.as_str(), value));
        let whole = String::from_utf8(json::to_vec(&value, Layout::Pretty, Charset::Ascii)).unwrap();
        assert_eq!(text(|out| Format::Json.write_members(out, members)), whole);
        assert_eq!(text(|out| Format::Json.write_members(out, [])), "{}");
    }

    #[test]
    fn the_checksum_is_that_of_the_document_without_it() {
        let mut document = json::parse(br#"{"a":1,"checksum":"x","d":[2.0]}"#).unwrap().as_object().unwrap().clone();
        let without = json::parse(br#"{"a":1,"d":[2.0]}"#).unwrap();
        assert_eq!(checksum_of(&document), Checksum::of_value(&without));
        assert_eq!(checksum_of(&Map::new()), Checksum::of(b"{}"));
        let wrong = verify("x", &document, Proof::Optional);
        assert!(matches!(wrong, Err(RecordError::Checksum { expected, .. }) if expected == "x"));
        let checksum = seal(&mut document);
        assert_eq!(verify("x", &document, Proof::Required), Ok(Some(checksum)));
        document.insert("checksum".to_owned(), checksum.to_string().to_uppercase().into());
        assert_eq!(verify("x", &document, Proof::Required), Ok(Some(checksum)));
        document.insert("checksum".to_owned(), 0_i64.into());
        assert!(matches!(verify("x", &document, Proof::Optional), Err(RecordError::Checksum { .. })));
    }

    #[test]
    fn documents_of_another_form_are_refused() {
        let snapshot = |text: &[u8]| SnapshotFile::parse(text, Format::Json, Proof::Optional);
        assert_eq!(snapshot(b"[]"), Err(RecordError::NotAnObject { kind: Kind::Snapshot }));
        assert!(matches!(snapshot(br#"{"snapshot_id":1}"#), Err(RecordError::Document { .. })));
        for text in [
            "[]",
            r#"{"timeline_id":"t"}"#,
            r#"{"timeline_id":"t","events":[1]}"#,
            r#"{"timeline_id":"t","event_count":2,"events":[{}]}"#,
        ] {
            assert!(matches!(TimelineFile::parse(text.as_bytes()), Err(RecordError::Document { .. })), "{text}");
        }
        let config = |text: &[u8]| ConfigChecksum::parse("app", text);
        assert!(matches!(config(b"[]"), Err(RecordError::Document { .. })));
        assert!(matches!(config(br#"{"algorithm":"md5","hash":"0"}"#), Err(RecordError::Document { .. })));
        assert!(matches!(config(br#"{"algorithm":"sha256","hash":null}"#), Err(RecordError::Unverified { .. })));
    }

    #[test]
    fn a_foreign_snapshot_keeps_what_it_has_and_lacks() {
        let mut fields = object([("zz", 1_i64.into()), ("snapshot_id", "Any Id".into()), ("metadata", Value::Null)]);
        let checksum = seal(fields.as_object_mut().unwrap());
        for format in [Format::Json, Format::Yaml] {
            let file = SnapshotFile { fields: fields.as_object().unwrap().clone(), checksum: Some(checksum) };
            let rendered = text(|out| file.render(out, format));
            assert_eq!(SnapshotFile::parse(rendered.as_bytes(), format, Proof::Required).as_ref(), Ok(&file));
            let order: Vec<_> =
                ["snapshot_id", "checksum", "metadata", "zz"].iter().map(|name| rendered.find(name)).collect();
            assert!(order.is_sorted() && !order.contains(&None), "{rendered}");
        }
    }

    #[test]
    fn an_empty_timeline_has_no_first_event() {
        let file = TimelineFile::new("t".to_owned(), Vec::new());
        assert_eq!(file.summary().get("first_event"), Some(&Value::Null));
        let rendered = text(|out| file.render(out));
        assert_eq!(rendered, "{\n  \"timeline_id\": \"t\",\n  \"event_count\": 0,\n  \"events\": []\n}");
        assert_eq!(TimelineFile::parse(rendered.as_bytes()), Ok(file));
    }

    #[test]
    fn filters_hold_together_and_ranges_include_their_ends() {
        let event = |time: &str| object([("timestamp", time.into()), ("event_type", "custom".into())]);
        let at = |time| Timestamp::parse(time);
        let filter = EventFilter {
            event_type: Some("custom"),
            from: at("2025-01-01T00:00:00Z"),
            to: at("2025-01-02T00:00:00Z"),
            ..EventFilter::default()
        };
        assert!(filter.matches(&event("2025-01-01T00:00:00Z")));
        assert!(filter.matches(&event("2025-01-02T02:00:00+02:00")));
        assert!(!filter.matches(&event("2025-01-02T00:00:00.000001Z")));
        assert!(!filter.matches(&event("yesterday")));
        assert!(!EventFilter { actor: Some("a"), ..filter }.matches(&event("2025-01-01T00:00:00Z")));
    }
}
