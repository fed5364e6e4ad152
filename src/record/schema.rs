//! The schemas of the records: JSON Schema draft 7, embedded in the library.
//!
//! The `jsonschema` crate walks our own [`Value`] through its representation trait, so that a record on its way into the
//! vault is neither copied nor converted. Only a record that breaks its schema is looked at a second time, for reasons.

use std::borrow::Cow;
use std::collections::btree_map;
use std::sync::OnceLock;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::json::{Array, Json, JsonNumber, Node, NodeIdentity, Object};
use jsonschema::{Draft, JsonType, PatternOptions, ValidationError, Validator};
use serde_json::Value as Document;

use super::error::{RecordError, SchemaFault};
use super::id;
use super::kind::Kind;
use super::value::{Map, Number, Value};

static IDENTITY: Schema = Schema::new("identity", include_str!("schemas/identity.json"));
static CONTINUITY: Schema = Schema::new("continuity", include_str!("schemas/continuity.json"));
static MEMORY: Schema = Schema::new("memory", include_str!("schemas/memory.json"));
static AGENT: Schema = Schema::new("agent", include_str!("schemas/agent.json"));
static TIMELINE_EVENT: Schema = Schema::new("timeline_event", include_str!("schemas/timeline_event.json"));
static SNAPSHOT: Schema = Schema::new("snapshot", include_str!("schemas/snapshot.json"));
static REFLECTION: Schema = Schema::new("reflection", include_str!("schemas/reflection.json"));
static MASTER_CITATION: Schema = Schema::new("master_citation", include_str!("schemas/master_citation.json"));
static VAULT_ENTRY: Schema = Schema::new("vault_entry", include_str!("schemas/vault_entry.json"));
static AGENT_LINK: Schema = Schema::new("agent_link", include_str!("schemas/agent_link.json"));
static GLYPHTRAIL_ENTRY: Schema = Schema::new("glyphtrail_entry", include_str!("schemas/glyphtrail_entry.json"));
static ARTIFACT: Schema = Schema::new("artifact", include_str!("schemas/artifact.json"));

/// Checks that `record` obeys the schema of its kind, formats of date-times included.
///
/// Ids are checked for their pattern only; [`id::check`] also knows their limit of 255 bytes.
///
/// # Errors
/// [`RecordError::NotAnObject`], or [`RecordError::Schema`] with every fault in order of the path.
pub fn validate(kind: Kind, record: &Value) -> Result<(), RecordError> {
    let Value::Object(members) = record else { return Err(RecordError::NotAnObject { kind }) };
    let faults = Schema::of(kind).faults(record);
    if faults.is_empty() {
        return Ok(());
    }
    let id = members.get(kind.id_field()).and_then(Value::as_str).unwrap_or_default();
    Err(RecordError::Schema { kind, id: id::readable(id), faults })
}

/// Checks `record` against the schema of this name (`continuity`, `master_citation`, …) and returns every fault in order
/// of the path, none when it obeys. `None` when there is no schema of this name.
#[must_use]
pub fn validate_named(schema: &str, record: &Value) -> Option<Vec<SchemaFault>> {
    Kind::ALL.into_iter().map(Schema::of).find(|known| known.name == schema).map(|known| known.faults(record))
}

/// The name of a kind's schema, as [`validate_named`] takes it.
#[must_use]
pub fn name(kind: Kind) -> &'static str {
    Schema::of(kind).name
}

/// The text of a kind's schema: JSON Schema draft 7.
#[must_use]
pub fn text(kind: Kind) -> &'static str {
    Schema::of(kind).text
}

/// Takes away the fields that are null where the schema of `kind` allows no null, because other writers of the protocol
/// save a missing value so. Fields that the schema does not know, and elements of lists, stay as they are.
pub fn drop_disallowed_nulls(kind: Kind, record: &mut Value) {
    if let Ok(compiled) = Schema::of(kind).compiled() {
        drop_nulls(&compiled.document, record);
    }
}

fn drop_nulls(schema: &Document, value: &mut Value) {
    let Some(properties) = schema.get("properties").and_then(Document::as_object) else { return };
    let Value::Object(members) = value else { return };
    members.retain(|key, member| match properties.get(key) {
        Some(schema) if member.is_null() => allows_null(schema),
        Some(schema) => {
            drop_nulls(schema, member);
            true
        }
        None => true,
    });
}

fn allows_null(schema: &Document) -> bool {
    match schema.get("type") {
        None => true,
        Some(Document::Array(types)) => types.iter().any(|name| name == "null"),
        Some(name) => name == "null",
    }
}

/// An embedded schema, compiled when it is first needed.
struct Schema {
    name: &'static str,
    text: &'static str,
    compiled: OnceLock<Result<Compiled, String>>,
}

struct Compiled {
    validator: Validator<Records>,
    document: Document,
}

impl Schema {
    const fn new(name: &'static str, text: &'static str) -> Self {
        Self { name, text, compiled: OnceLock::new() }
    }

    fn of(kind: Kind) -> &'static Self {
        match kind {
            Kind::Identity => &IDENTITY,
            Kind::Session => &CONTINUITY,
            Kind::Memory => &MEMORY,
            Kind::AgentDna => &AGENT,
            Kind::Event => &TIMELINE_EVENT,
            Kind::Snapshot => &SNAPSHOT,
            Kind::Reflection => &REFLECTION,
            Kind::Citation => &MASTER_CITATION,
            Kind::Entry => &VAULT_ENTRY,
            Kind::AgentLink => &AGENT_LINK,
            Kind::Glyph => &GLYPHTRAIL_ENTRY,
            Kind::Artifact => &ARTIFACT,
        }
    }

    /// A test compiles every schema, so an error here would be one of the build; records are then refused, not let through.
    fn compiled(&self) -> Result<&Compiled, &str> {
        let compile = || -> Result<Compiled, String> {
            let document: Document = serde_json::from_str(self.text).map_err(|error| error.to_string())?;
            let validator = jsonschema::options_for::<Records>()
                .with_draft(Draft::Draft7)
                .should_validate_formats(true)
                .with_format("date-time", is_date_time)
                // Matches in linear time, so no record can make a pattern slow.
                .with_pattern_options(PatternOptions::regex())
                .build(&document)
                .map_err(|error| error.to_string())?;
            Ok(Compiled { validator, document })
        };
        self.compiled.get_or_init(compile).as_ref().map_err(String::as_str)
    }

    fn faults(&self, record: &Value) -> Vec<SchemaFault> {
        let validator = match self.compiled() {
            Ok(compiled) => &compiled.validator,
            Err(error) => {
                let reason =
                    format!("the embedded schema {} is broken, which is a bug of this build: {error}", self.name);
                return vec![SchemaFault { path: String::new(), reason }];
            }
        };
        if validator.is_valid(record) {
            return Vec::new();
        }
        let mut faults: Vec<_> = validator.iter_errors(record).flat_map(|error| explain(&error)).collect();
        faults.sort_by(|a, b| (&a.path, &a.reason).cmp(&(&b.path, &b.reason)));
        faults
    }
}

/// A fault in plain words; one for each unknown field, since the validator reports those of an object together.
fn explain(error: &ValidationError<'_>) -> Vec<SchemaFault> {
    let found = describe(error.instance());
    let reason = match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let fault = |key: &String| SchemaFault {
                path: error.instance_path().as_str().to_owned(),
                reason: format!("unknown field {:?}", id::readable(key)),
            };
            return unexpected.iter().map(fault).collect();
        }
        ValidationErrorKind::Required { property } => format!("{property} is missing"),
        ValidationErrorKind::Type { kind: TypeKind::Single(expected) } => {
            format!("must be {}, not {found}", type_name(*expected))
        }
        ValidationErrorKind::Type { kind: TypeKind::Multiple(expected) } => {
            let names: Vec<_> = expected.iter().map(type_name).collect();
            format!("must be {}, not {found}", names.join(" or "))
        }
        ValidationErrorKind::Enum { options } => {
            let names: Vec<_> = options.as_array().into_iter().flatten().filter_map(Document::as_str).collect();
            format!("must be one of {}, not {found}", names.join(", "))
        }
        ValidationErrorKind::Pattern { pattern } => format!("{found} does not have the form {pattern}"),
        ValidationErrorKind::Format { .. } => {
            format!("{found} is not an RFC 3339 date-time such as 2025-03-01T08:00:00Z")
        }
        ValidationErrorKind::MinLength { limit: 1 } | ValidationErrorKind::MinItems { limit: 1 } => {
            "must not be empty".to_owned()
        }
        ValidationErrorKind::MinLength { limit } => format!("{found} has fewer than {limit} characters"),
        ValidationErrorKind::Minimum { limit } => format!("must be at least {limit}, not {found}"),
        ValidationErrorKind::Maximum { limit } => format!("must be at most {limit}, not {found}"),
        _ => id::readable(&error.to_string()),
    };
    vec![SchemaFault { path: error.instance_path().as_str().to_owned(), reason }]
}

fn describe(instance: &Document) -> String {
    match instance {
        Document::String(text) => format!("{:?}", id::readable(text)),
        Document::Array(_) => "a list".to_owned(),
        Document::Object(_) => "an object".to_owned(),
        scalar => scalar.to_string(),
    }
}

fn type_name(kind: JsonType) -> &'static str {
    match kind {
        JsonType::Null => "null",
        JsonType::Boolean => "true or false",
        JsonType::Integer => "an integer",
        JsonType::Number => "a number",
        JsonType::String => "a string",
        JsonType::Array => "a list",
        JsonType::Object => "an object",
    }
}

/// RFC 3339 date-time in the years 0001 to 9999, with second 60 at any minute: which minutes had one, only a table knows.
fn is_date_time(text: &str) -> bool {
    let [y1, y2, y3, y4, b'-', mo1, mo2, b'-', d1, d2, b'T' | b't', time @ ..] = text.as_bytes() else { return false };
    let [h1, h2, b':', mi1, mi2, b':', s1, s2, rest @ ..] = time else { return false };
    let Some(year) = decimal(&[*y1, *y2, *y3, *y4]) else { return false };
    let Some(month) = decimal(&[*mo1, *mo2]) else { return false };
    let offset = match rest {
        [b'.', fraction @ ..] => match fraction.iter().position(|byte| !byte.is_ascii_digit()) {
            None | Some(0) => return false,
            Some(digits) => fraction.get(digits..).unwrap_or_default(),
        },
        whole => whole,
    };
    year >= 1
        && decimal(&[*d1, *d2]).is_some_and(|day| (1..=days(year, month)).contains(&day))
        && is_clock(*h1, *h2, *mi1, *mi2)
        && decimal(&[*s1, *s2]).is_some_and(|second| second <= 60)
        && match offset {
            [b'Z' | b'z'] => true,
            [b'+' | b'-', h1, h2, b':', m1, m2] => is_clock(*h1, *h2, *m1, *m2),
            _ => false,
        }
}

fn is_clock(h1: u8, h2: u8, m1: u8, m2: u8) -> bool {
    decimal(&[h1, h2]).is_some_and(|hour| hour <= 23) && decimal(&[m1, m2]).is_some_and(|minute| minute <= 59)
}

fn decimal(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0, |n, byte| byte.is_ascii_digit().then(|| n * 10 + u16::from(byte - b'0')))
}

/// The days of a month of the Gregorian calendar; none for a month that is not one.
fn days(year: u16, month: u16) -> u16 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 0,
    }
}

/// [`Value`] as the validator sees it.
struct Records;

impl Json for Records {
    type Node<'a> = &'a Value;
    type PreparedKey = String;
    type StringBuffer = Value;

    // A pass over a sorted map costs less than looking up most of its few keys, and a value holds no cycle.
    const KEYS_PER_LOOKUP: usize = 2;
    const ACYCLIC: bool = true;

    fn prepare_key(key: &str) -> String {
        key.to_owned()
    }

    fn with_string_node<T>(buffer: &mut Value, string: &str, f: impl FnOnce(&Value) -> T) -> T {
        *buffer = Value::from(string);
        f(buffer)
    }
}

impl<'a> Node<'a, Records> for &'a Value {
    type Object = &'a Map;
    type Array = &'a [Value];
    type Number = &'a Number;

    fn as_object(&self) -> Option<&'a Map> {
        Value::as_object(self)
    }

    fn as_array(&self) -> Option<&'a [Value]> {
        Value::as_array(self)
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        self.as_str().map(Cow::Borrowed)
    }

    fn as_number(&self) -> Option<&'a Number> {
        match self {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

    fn as_boolean(&self) -> Option<bool> {
        self.as_bool()
    }

    fn is_null(&self) -> bool {
        Value::is_null(self)
    }

    fn json_type(&self) -> JsonType {
        match self {
            Value::Null => JsonType::Null,
            Value::Bool(_) => JsonType::Boolean,
            Value::Number(_) => JsonType::Number,
            Value::String(_) => JsonType::String,
            Value::Array(_) => JsonType::Array,
            Value::Object(_) => JsonType::Object,
        }
    }

    /// The lists of choices in our schemas hold strings only; anything else takes the slow way.
    fn equals_value(&self, expected: &Document) -> bool {
        match (self, expected) {
            (Value::String(text), Document::String(choice)) => text == choice,
            (Value::String(_), _) | (_, Document::String(_)) => false,
            _ => jsonschema::json::cmp::equal(&to_document(self), expected),
        }
    }

    fn to_value(&self) -> Cow<'a, Document> {
        Cow::Owned(to_document(self))
    }

    fn identity(&self) -> Option<NodeIdentity> {
        Some(NodeIdentity::new(std::ptr::from_ref::<Value>(self).addr()))
    }
}

impl<'a> Object<'a, Records> for &'a Map {
    type Node = &'a Value;
    type MemberName = &'a String;
    type MembersIter = btree_map::Iter<'a, String, Value>;

    fn len(&self) -> usize {
        Map::len(self)
    }

    fn get(&self, key: &String) -> Option<&'a Value> {
        Map::get(self, key)
    }

    fn members(&self) -> Self::MembersIter {
        self.iter()
    }
}

impl<'a> Array<'a, Records> for &'a [Value] {
    type Node = &'a Value;
    type ElementsIter = std::slice::Iter<'a, Value>;

    fn len(&self) -> usize {
        <[Value]>::len(self)
    }

    fn elements(&self) -> Self::ElementsIter {
        self.iter()
    }
}

impl JsonNumber for &Number {
    fn as_u64(&self) -> Option<u64> {
        self.as_i64().and_then(|n| u64::try_from(n).ok())
    }

    fn as_i64(&self) -> Option<i64> {
        match self {
            Number::Int(n) => Some(*n),
            Number::Big(_) | Number::Float(_) => None,
        }
    }

    fn as_f64(&self) -> Option<f64> {
        Some(Number::as_f64(self))
    }

    fn as_str(&self) -> Cow<'_, str> {
        match self {
            Number::Int(n) => Cow::Owned(n.to_string()),
            Number::Big(digits) => Cow::Borrowed(digits),
            Number::Float(x) => Cow::Owned(x.to_string()),
        }
    }

    fn to_number(&self) -> Cow<'_, serde_json::Number> {
        Cow::Owned(to_document_number(self))
    }

    /// Integers of any length are integers, and so is 3.0, as draft 7 wants it.
    fn is_integer(&self) -> bool {
        match self {
            Number::Int(_) | Number::Big(_) => true,
            Number::Float(x) => x.fract() == 0.0,
        }
    }
}

/// A copy for messages, in which an integer beyond 64 bits is rounded.
fn to_document(value: &Value) -> Document {
    match value {
        Value::Null => Document::Null,
        Value::Bool(b) => Document::Bool(*b),
        Value::Number(number) => Document::Number(to_document_number(number)),
        Value::String(text) => Document::String(text.clone()),
        Value::Array(items) => items.iter().map(to_document).collect(),
        Value::Object(members) => members.iter().map(|(key, member)| (key.clone(), to_document(member))).collect(),
    }
}

fn to_document_number(number: &Number) -> serde_json::Number {
    match number {
        Number::Int(n) => (*n).into(),
        Number::Big(_) | Number::Float(_) => serde_json::Number::from_f64(number.as_f64()).unwrap_or_else(|| 0.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::json;
    use super::*;

    fn value(text: &str) -> Value {
        json::parse(text.as_bytes()).unwrap()
    }

    fn faults(kind: Kind, text: &str) -> Vec<String> {
        match validate(kind, &value(text)) {
            Ok(()) => Vec::new(),
            Err(RecordError::Schema { faults, .. }) => faults.iter().map(ToString::to_string).collect(),
            Err(other) => panic!("{other}"),
        }
    }

    const MEMORY_TEXT: &str = r#"{"memory_id":"mem_20250301_080000_deadbeef","tier":"short_term","content":"hi","source":{
        "session_id":"sess_20250301_080000_deadbeef","timestamp":"2025-03-01T08:00:00.123456Z",
        "agent_id":"mdna_agt_0123456789abcdef","user_id":"mdna_usr_0123456789abcdef"}}"#;

    #[test]
    fn every_schema_compiles_and_is_known_by_its_name() {
        for kind in Kind::ALL {
            assert!(Schema::of(kind).compiled().is_ok(), "{kind}");
            assert!(validate_named(name(kind), &Value::Object(Map::new())).is_some_and(|faults| !faults.is_empty()));
            assert!(text(kind).contains("draft-07"));
        }
        assert_eq!(validate_named("nothing", &Value::Null), None);
    }

    #[test]
    fn every_schema_is_closed_and_requires_the_id() {
        for kind in Kind::ALL {
            let schema: Document = serde_json::from_str(text(kind)).unwrap();
            assert_eq!(schema["additionalProperties"], Document::Bool(false), "{kind}");
            assert!(schema["required"].as_array().unwrap().contains(&kind.id_field().into()), "{kind}");
        }
    }

    #[test]
    fn what_is_not_an_object_is_refused_as_such() {
        assert_eq!(validate(Kind::Memory, &Value::Null), Err(RecordError::NotAnObject { kind: Kind::Memory }));
        assert_eq!(validate_named("memory", &Value::Null).unwrap()[0].reason, "must be an object, not null");
    }

    #[test]
    fn faults_are_in_order_of_the_path_and_in_plain_words() {
        assert_eq!(faults(Kind::Memory, MEMORY_TEXT), Vec::<String>::new());
        let broken = r#"{"zz":1,"aa":2,"memory_id":"mem_X","tier":"mid","content":"","metadata":{"access_count":-1,
            "relevance_score":2,"tags":["a",null],"last_accessed":"now","custom":[]}}"#;
        assert_eq!(
            faults(Kind::Memory, broken),
            [
                "\"source\" is missing",
                "unknown field \"aa\"",
                "unknown field \"zz\"",
                "/content: must not be empty",
                "/memory_id: \"mem_X\" does not have the form ^mem_[a-z0-9_]{12,}$",
                "/metadata/access_count: must be at least 0, not -1",
                "/metadata/custom: must be an object, not a list",
                "/metadata/last_accessed: \"now\" is not an RFC 3339 date-time such as 2025-03-01T08:00:00Z",
                "/metadata/relevance_score: must be at most 1, not 2",
                "/metadata/tags/1: must be a string, not null",
                "/tier: must be one of short_term, long_term, episodic, not \"mid\"",
            ]
        );
        let short_key = faults(Kind::Identity, r#"{"public_key":"short"}"#);
        assert_eq!(short_key.last().unwrap(), "/public_key: \"short\" has fewer than 20 characters");
    }

    #[test]
    fn long_values_and_names_are_cut_in_reasons() {
        let long = "x".repeat(100_000);
        let text = format!(r#"{{"{long}":1,"memory_id":"{long}","tier":"{long}","content":["{long}"]}}"#);
        let error = validate(Kind::Memory, &value(&text)).unwrap_err();
        assert!(error.to_string().len() < 1_000, "{error}");
    }

    #[test]
    fn integers_of_any_length_are_integers() {
        let with = |count: &str| {
            let text = MEMORY_TEXT.replacen('{', &format!(r#"{{"metadata":{{"access_count":{count}}},"#), 1);
            validate(Kind::Memory, &value(&text)).is_ok()
        };
        for (count, valid) in [
            ("9223372036854775808", true),
            (&*"9".repeat(4_300), true),
            (&*format!("-{}", "9".repeat(4_300)), false),
            ("3.0", true),
            ("1e300", true),
            ("3.5", false),
            ("-9223372036854775809", false),
        ] {
            assert_eq!(with(count), valid, "{count}");
        }
    }

    #[test]
    fn date_times_are_those_of_rfc_3339() {
        for text in [
            "2025-03-01T08:00:00Z",
            "2025-03-01t08:00:00z",
            "2025-03-01T08:00:00.5+05:30",
            "2025-03-01T08:00:00.123456789012-23:59",
            "2024-02-29T00:00:00Z",
            "2000-02-29T00:00:00Z",
            "2016-12-31T23:59:60Z",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
        ] {
            assert!(is_date_time(text), "{text}");
        }
        for text in [
            "",
            "2025-03-01",
            "2025-03-01T08:00:00",
            "2025-03-01 08:00:00Z",
            "2025-03-01T08:00:00Z\n",
            "2025-03-01T08:00:00.Z",
            "2025-03-01T08:00:00.5",
            "2025-03-01T08:00:00,5Z",
            "2025-03-01T08:00:00+24:00",
            "2025-03-01T08:00:00+05:60",
            "2025-03-01T08:00:00+0530",
            "2025-03-01T24:00:00Z",
            "2025-03-01T08:60:00Z",
            "2016-12-31T23:59:61Z",
            "2025-02-29T08:00:00Z",
            "1900-02-29T08:00:00Z",
            "2025-04-31T08:00:00Z",
            "2025-13-01T08:00:00Z",
            "2025-00-01T08:00:00Z",
            "2025-01-00T08:00:00Z",
            "0000-03-01T08:00:00Z",
            "+025-03-01T08:00:00Z",
            "２０２５-03-01T08:00:00Z",
        ] {
            assert!(!is_date_time(text), "{text}");
        }
    }

    #[test]
    fn nulls_that_no_schema_allows_count_as_absent() {
        let mut session = value(
            r#"{"parent_session_id":null,"ended_at":null,"user_id":null,"foreign":null,
                "context_metadata":{"topic":null,"own":null,"tags":[null]}}"#,
        );
        drop_disallowed_nulls(Kind::Session, &mut session);
        let expected = r#"{"parent_session_id":null,"ended_at":null,"foreign":null,
            "context_metadata":{"own":null,"tags":[null]}}"#;
        assert_eq!(session, value(expected));
        let mut list = Value::Array(vec![Value::Null]);
        drop_disallowed_nulls(Kind::Session, &mut list);
        assert_eq!(list, Value::Array(vec![Value::Null]));
    }
}
