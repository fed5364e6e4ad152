//! Reading: the events of the parser become a value, within bounds.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::super::error::RecordError;
use super::super::json::MAX_DEPTH;
use super::super::value::{Map, Number, Value};
use super::scalar::{collection_tag, scalar};

/// The most memory in bytes that anchored nodes and their copies may take in one document, so that a small file cannot
/// become a huge value.
pub const MAX_COPIED_BYTES: usize = 64 << 20;

/// What a node costs beside its text: an estimate that is rather too high, of the value and its place in a collection.
const NODE_BYTES: usize = 64;

/// What is wrong, in words; the caller knows where.
pub(super) type Fault = Cow<'static, str>;

/// Reads one YAML document from UTF-8 bytes. A text without a document is `null`.
///
/// Block style may be nested as deep as JSON, 512 levels; flow style (`[`, `{`) 255 levels.
///
/// # Errors
/// [`RecordError::Yaml`] with the place and the reason: the text is not YAML, holds more than one document, or means
/// something that the protocol cannot hold (see the head of this module).
pub fn parse(text: &[u8]) -> Result<Value, RecordError> {
    let text = std::str::from_utf8(text).map_err(|error| {
        let valid = text.get(..error.valid_up_to()).unwrap_or_default();
        fault_after(&String::from_utf8_lossy(valid), "not UTF-8".into())
    })?;
    if let Some((at, reason)) = text.char_indices().find_map(|(at, c)| Some((at, forbidden(c)?))) {
        return Err(fault_after(text.get(..at).unwrap_or_default(), reason.into()));
    }
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let mark = error.marker();
            RecordError::Yaml { line: mark.line(), column: mark.col() + 1, reason: error.info().to_owned() }
        })?;
        builder.event(event).map_err(|reason| RecordError::Yaml {
            line: span.start.line(),
            column: span.start.col() + 1,
            reason: reason.into_owned(),
        })?;
    }
    Ok(builder.document.unwrap_or_default())
}

/// The error for what follows `before`.
fn fault_after(before: &str, reason: Fault) -> RecordError {
    let line = 1 + before.matches('\n').count();
    let column = 1 + before.chars().rev().take_while(|c| *c != '\n').count();
    RecordError::Yaml { line, column, reason: reason.into_owned() }
}

/// Why this character cannot stand in a YAML text, when it cannot.
fn forbidden(c: char) -> Option<&'static str> {
    match c {
        '\u{85}' | '\u{2028}' | '\u{2029}' => {
            Some("a line separator that versions of YAML read differently (write it as an escape in double quotes)")
        }
        '\t' | '\n' | '\r' | ' '..='~' | '\u{a0}'..='\u{fffd}' | '\u{10000}'.. => None,
        _ => Some("a control character (write it as an escape in double quotes)"),
    }
}

/// A finished value with what copying it costs.
#[derive(Clone, Debug)]
struct Node {
    value: Value,
    /// Estimated memory in bytes.
    weight: usize,
    /// Levels of collections: 0 for a scalar.
    height: usize,
}

impl Node {
    fn scalar(value: Value) -> Self {
        let text = match &value {
            Value::String(text) => text.len(),
            Value::Number(Number::Big(digits)) => digits.len(),
            _ => 0,
        };
        Self { value, weight: NODE_BYTES + text, height: 0 }
    }
}

/// A collection whose end has not been read.
struct Frame {
    anchor: usize,
    items: Items,
    weight: usize,
    height: usize,
}

enum Items {
    Sequence(Vec<Value>),
    Mapping {
        own: Map,
        /// What `<<` brings; the mapping's own members win over it wherever they stand.
        merged: Map,
        /// The key whose value comes next.
        key: Option<Key>,
    },
}

enum Key {
    Name(String),
    Merge,
}

/// Builds the value from the parser's events, with a stack of its own: depth costs heap, which is bounded, not stack.
#[derive(Default)]
struct Builder {
    document: Option<Value>,
    documents: usize,
    frames: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    copied: usize,
}

impl Builder {
    fn event(&mut self, event: Event<'_>) -> Result<(), Fault> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 { Err("a second document; a file holds one".into()) } else { Ok(()) }
            }
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).ok_or("an alias inside the very node that it names")?;
                if self.frames.len() + node.height > MAX_DEPTH {
                    return Err(TOO_DEEP.into());
                }
                let weight = node.weight;
                self.charge(weight)?;
                let node = self.anchors.get(&anchor).cloned();
                node.map_or(Ok(()), |node| self.place(node))
            }
            Event::Scalar(text, style, anchor, tag) => {
                if style == ScalarStyle::Plain && tag.is_none() && text == "<<" && self.begin_merge() {
                    return Ok(());
                }
                let node = Node::scalar(scalar(text, style, tag.as_deref())?);
                self.anchor(anchor, &node)?;
                self.place(node)
            }
            Event::SequenceStart(anchor, tag) => {
                collection_tag(tag.as_deref(), "seq")?;
                self.open(anchor, Items::Sequence(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                collection_tag(tag.as_deref(), "map")?;
                self.open(anchor, Items::Mapping { own: Map::new(), merged: Map::new(), key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
        }
    }

    /// Takes the next value as a merge, when a key is what is expected here.
    fn begin_merge(&mut self) -> bool {
        match self.frames.last_mut() {
            Some(Frame { items: Items::Mapping { key: key @ None, .. }, .. }) => {
                *key = Some(Key::Merge);
                true
            }
            _ => false,
        }
    }

    fn open(&mut self, anchor: usize, items: Items) -> Result<(), Fault> {
        if self.frames.len() >= MAX_DEPTH {
            return Err(TOO_DEEP.into());
        }
        if let Some(Frame { items: Items::Mapping { key: None, .. }, .. }) = self.frames.last() {
            return Err(key_fault("a list or a mapping"));
        }
        self.frames.push(Frame { anchor, items, weight: NODE_BYTES, height: 1 });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Fault> {
        let Some(Frame { anchor, items, weight, height }) = self.frames.pop() else { return Ok(()) };
        let value = match items {
            Items::Sequence(items) => Value::Array(items),
            Items::Mapping { own, merged, .. } if merged.is_empty() => Value::Object(own),
            Items::Mapping { own, mut merged, .. } => {
                merged.extend(own);
                Value::Object(merged)
            }
        };
        let node = Node { value, weight, height };
        self.anchor(anchor, &node)?;
        self.place(node)
    }

    /// Keeps a node for its aliases. The copy is charged too: anchors may be nested.
    fn anchor(&mut self, anchor: usize, node: &Node) -> Result<(), Fault> {
        // The parser numbers anchors from 1; 0 says that there is none.
        if anchor != 0 {
            self.charge(node.weight)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(())
    }

    fn charge(&mut self, weight: usize) -> Result<(), Fault> {
        self.copied = self.copied.saturating_add(weight);
        if self.copied > MAX_COPIED_BYTES {
            return Err("anchors and aliases expand to more than 64 MiB".into());
        }
        Ok(())
    }

    /// Puts a finished node where it belongs: into the innermost open collection, or it is the document.
    fn place(&mut self, node: Node) -> Result<(), Fault> {
        let Some(frame) = self.frames.last_mut() else {
            self.document = Some(node.value);
            return Ok(());
        };
        frame.weight = frame.weight.saturating_add(node.weight);
        frame.height = frame.height.max(node.height + 1);
        match &mut frame.items {
            Items::Sequence(items) => items.push(node.value),
            Items::Mapping { own, merged, key } => match key.take() {
                None => *key = Some(Key::Name(key_name(node.value)?)),
                Some(Key::Name(name)) => {
                    own.insert(name, node.value);
                }
                Some(Key::Merge) => merge(merged, node.value)?,
            },
        }
        Ok(())
    }
}

const TOO_DEEP: &str = "nested more than 512 levels deep";

fn key_name(value: Value) -> Result<String, Fault> {
    match value {
        Value::String(name) => Ok(name),
        Value::Null => Err(key_fault("null")),
        Value::Bool(_) => Err(key_fault("a truth value")),
        Value::Number(_) => Err(key_fault("a number")),
        Value::Array(_) | Value::Object(_) => Err(key_fault("a list or a mapping")),
    }
}

fn key_fault(what: &str) -> Fault {
    format!("a key that reads as {what}; keys must be strings (put it in quotes)").into()
}

/// Adds what a `<<` key names. Among several `<<` the last wins, within a list of mappings the first.
fn merge(merged: &mut Map, value: Value) -> Result<(), Fault> {
    const NOT_A_MAPPING: &str = "`<<` takes a mapping or a list of mappings";
    match value {
        Value::Object(map) => merged.extend(map),
        Value::Array(items) => {
            for item in items.into_iter().rev() {
                let Value::Object(map) = item else { return Err(NOT_A_MAPPING.into()) };
                merged.extend(map);
            }
        }
        _ => return Err(NOT_A_MAPPING.into()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::super::json::{self, Charset, Layout, MAX_INTEGER_DIGITS};
    use super::*;

    fn read(text: &str) -> Value {
        parse(text.as_bytes()).unwrap()
    }

    fn reason(text: &str) -> String {
        parse(text.as_bytes()).unwrap_err().to_string()
    }

    /// What `text` means, as JSON.
    fn meaning(text: &str) -> String {
        String::from_utf8(json::to_vec(&read(text), Layout::Compact, Charset::Ascii)).unwrap()
    }

    #[test]
    fn what_json_cannot_hold_is_refused() {
        for (text, fault) in [
            (".inf", "not a finite number"),
            ("[-.INF]", "not a finite number"),
            ("a: .nan", "not a finite number"),
            ("1.0e+999", "not a finite number"),
            ("!!binary aGk=", "cannot stand here"),
            ("!!set {a}", "cannot stand here"),
            ("!python/object:os.system x", "cannot stand here"),
            ("!!int x", "not an integer"),
            ("!!float infinity", "not a floating-point number"),
            ("0x_", "not an integer"),
            ("1: a", "a key that reads as a number"),
            ("yes: a", "a key that reads as a truth value"),
            ("? [a]\n: b", "a key that reads as a list or a mapping"),
            (": a", "a key that reads as null"),
            ("a: 1\n---\nb: 2", "line 2, column 1: a second document"),
            ("a: b\u{2028}c", "line 1, column 5: a line separator"),
            ("\"\u{7}\"", "line 1, column 2: a control character"),
            ("\"\\ud800\"", "invalid Unicode character"),
            ("a: &x [*x]", "an alias inside the very node"),
            ("a: *x", "unknown anchor"),
            ("a: {<<: 1}", "takes a mapping"),
        ] {
            let reason = reason(text);
            assert!(reason.contains(fault), "{text}: {reason}");
        }
        assert!(parse(b"a: \xff").unwrap_err().to_string().contains("line 1, column 4: not UTF-8"));
    }

    #[test]
    fn merges_and_aliases() {
        let base = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\n";
        for (merge, json) in [
            ("c: {<<: *a, x: 3}", r#"{"x":3,"y":1}"#),
            ("c: {x: 3, <<: *a}", r#"{"x":3,"y":1}"#),
            ("c: {<<: [*a, *b]}", r#"{"x":1,"y":1,"z":2}"#),
            ("c: {<<: *a, <<: *b}", r#"{"x":1,"y":2,"z":2}"#),
            ("c: {'<<': *a}", r#"{"<<":{"x":1,"y":1}}"#),
        ] {
            let c = read(&format!("{base}{merge}")).get("c").cloned().unwrap();
            assert_eq!(String::from_utf8(json::to_vec(&c, Layout::Compact, Charset::Ascii)).unwrap(), json, "{merge}");
        }
        assert_eq!(meaning("{a: 1, a: 2}"), r#"{"a":2}"#);
        assert_eq!(meaning("[&k key, {*k : 1}]"), r#"["key",{"key":1}]"#);
    }

    #[test]
    fn small_files_cannot_become_huge_values() {
        let laugh = |level| match level {
            0 => "a0: &a0 lol\n".to_owned(),
            _ => format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 10].join(", ")),
        };
        let laughs: String = (0..12).map(laugh).collect();
        assert!(reason(&laughs).contains("expand to more than 64 MiB"));

        let nested = "&n [".repeat(250);
        let text = format!("{nested}{}{}", "x".repeat(1 << 20), "]".repeat(250));
        assert!(reason(&text).contains("expand to more than 64 MiB"));
    }

    #[test]
    fn nesting_and_digits_are_limited() {
        let deep = |levels: usize| format!("{}x", "- ".repeat(levels));
        assert!(parse(deep(MAX_DEPTH).as_bytes()).is_ok());
        assert!(reason(&deep(MAX_DEPTH + 1)).contains("nested more than 512"));
        assert!(reason(&"[".repeat(100_000)).contains("recursion limit"));
        let by_alias = format!("- &a {}\n- {}\n", "[".repeat(200) + &"]".repeat(200), "- ".repeat(312) + "*a");
        assert!(reason(&by_alias).contains("nested more than 512"));

        assert!(parse("9".repeat(MAX_INTEGER_DIGITS).as_bytes()).is_ok());
        assert!(reason(&"9".repeat(MAX_INTEGER_DIGITS + 1)).contains("4,300 digits"));
        assert!(reason(&format!("0x{}", "f".repeat(1 << 20))).contains("4,300 digits"));
        assert!(reason(&format!("1{}", ":00".repeat(1 << 20))).contains("4,300 digits"));
    }
}
