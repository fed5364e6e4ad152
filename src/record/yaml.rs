//! Reading and writing YAML.
//!
//! The protocol's YAML files are made and read by `PyYAML`, so plain scalars mean here what its `SafeLoader` makes of them:
//! `yes` is true, `012` is ten, `12:30:00` is 45000 and `1e16` is a string. Where a document means something that JSON
//! cannot hold, it is refused:
//!
//! - infinities and NaN, `!!binary`, `!!set`, `!!omap`, and every tag that the protocol does not know;
//! - keys that are not strings. Python would sort such keys by their own order before it turns them into text, so their
//!   checksum would depend on who reads them. The remedy is a pair of quotes;
//! - U+0085, U+2028 and U+2029 as they are (as escapes they are fine): YAML 1.1 breaks lines at them, YAML 1.2 does not.
//!
//! Timestamps stay strings, and so do a lone `=` and a `<<` that is not a key, at which `PyYAML` stops with an error.
//! The last of several equal keys wins; an anchor may be defined again.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, Write};

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use super::error::RecordError;
use super::json::{self, Charset, Layout, MAX_DEPTH, MAX_INTEGER_DIGITS};
use super::value::{Map, Number, Value};

/// The most memory in bytes that anchored nodes and their copies may take in one document, so that a small file cannot
/// become a huge value.
pub const MAX_COPIED_BYTES: usize = 64 << 20;

/// What a node costs beside its text: an estimate that is rather too high, of the value and its place in a collection.
const NODE_BYTES: usize = 64;

/// The longest written key that may stand before its colon without a `?`. YAML allows 1,024 characters.
const MAX_SIMPLE_KEY: usize = 1_000;

/// What tags of YAML itself, such as `!!int`, begin with.
const CORE_TAG: &str = "tag:yaml.org,2002:";

/// What is wrong, in words; the caller knows where.
type Fault = Cow<'static, str>;

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

fn collection_tag(tag: Option<&Tag>, expected: &str) -> Result<(), Fault> {
    match tag.map(tag_name) {
        Some(name) if name != "!" && name.strip_prefix(CORE_TAG) != Some(expected) => Err(unknown_tag(&name)),
        _ => Ok(()),
    }
}

/// The whole name of a tag, whichever way it was written: `!!int`, `!<tag:yaml.org,2002:int>`, with a handle of its own.
fn tag_name(tag: &Tag) -> String {
    format!("{}{}", tag.handle, tag.suffix)
}

fn unknown_tag(name: &str) -> Fault {
    const KNOWN: &str = "!!str, !!int, !!float, !!bool, !!null, !!timestamp, !!seq, !!map";
    format!("the tag {name:?} cannot stand here (known tags, each on its own kind of node: {KNOWN})").into()
}

fn scalar(text: Cow<'_, str>, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, Fault> {
    let Some(tag) = tag.map(tag_name) else {
        return if style == ScalarStyle::Plain { plain(text) } else { Ok(Value::String(text.into_owned())) };
    };
    match tag.strip_prefix(CORE_TAG) {
        Some("str" | "timestamp") => Ok(Value::String(text.into_owned())),
        Some("int") => integer(&text).map(Value::Number),
        Some("float") => float(&text).map(Value::Number),
        Some("null") => Ok(Value::Null),
        Some("bool") => match text.to_ascii_lowercase().as_str() {
            "yes" | "true" | "on" => Ok(Value::Bool(true)),
            "no" | "false" | "off" => Ok(Value::Bool(false)),
            _ => Err("not a truth value".into()),
        },
        // PyYAML takes `!` to mean "as if it were plain", even before quotes.
        None if tag == "!" => plain(text),
        _ => Err(unknown_tag(&tag)),
    }
}

/// What a plain scalar means in YAML 1.1 as `PyYAML` understands it.
fn plain(text: Cow<'_, str>) -> Result<Value, Fault> {
    match &*text {
        "" | "~" | "null" | "Null" | "NULL" => Ok(Value::Null),
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Ok(Value::Bool(true)),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Ok(Value::Bool(false)),
        text if is_float(text) => float(text).map(Value::Number),
        text if is_integer(text) => integer(text).map(Value::Number),
        _ => Ok(Value::String(text.into_owned())),
    }
}

fn strip_sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// Digits, with underscores anywhere but at the start.
fn is_digits(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit()) && is_made_of(text, "0123456789_")
}

fn is_made_of(text: &str, characters: &str) -> bool {
    text.chars().all(|c| characters.contains(c))
}

/// A group after a colon: 0 to 59, in one digit or two.
fn is_sixtieth(text: &str) -> bool {
    match text.as_bytes() {
        [low] => low.is_ascii_digit(),
        [high, low] => matches!(high, b'0'..=b'5') && low.is_ascii_digit(),
        _ => false,
    }
}

/// Has the form of a float in YAML 1.1: with a point, and with a sign in the exponent.
fn is_float(text: &str) -> bool {
    let (_, unsigned) = strip_sign(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let Some((whole, rest)) = unsigned.split_once('.') else { return false };
    let (fraction, exponent) =
        rest.split_once(['e', 'E']).map_or((rest, None), |(fraction, exponent)| (fraction, Some(exponent)));
    let exponent_fits = exponent.is_none_or(|exponent| {
        exponent
            .strip_prefix(['-', '+'])
            .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
    });
    if whole.is_empty() {
        // `.5` is a float, `-.5` is not.
        return text.starts_with('.') && is_digits(fraction) && exponent_fits;
    }
    let mut groups = whole.split(':');
    let first_fits = groups.next().is_some_and(is_digits);
    let sixtieths = groups.clone().count() > 0;
    first_fits
        && groups.all(is_sixtieth)
        && is_made_of(fraction, "0123456789_")
        && exponent_fits
        && !(sixtieths && exponent.is_some())
}

/// Has the form of an integer in YAML 1.1: binary, octal, decimal, hexadecimal or in groups of sixty.
fn is_integer(text: &str) -> bool {
    let (_, unsigned) = strip_sign(text);
    if let Some(digits) = unsigned.strip_prefix("0b") {
        return !digits.is_empty() && is_made_of(digits, "01_");
    }
    if let Some(digits) = unsigned.strip_prefix("0x") {
        return !digits.is_empty() && is_made_of(digits, "0123456789abcdefABCDEF_");
    }
    if let Some(digits) = unsigned.strip_prefix('0') {
        return is_made_of(digits, "01234567_");
    }
    let mut groups = unsigned.split(':');
    groups.next().is_some_and(is_digits) && groups.all(is_sixtieth)
}

/// The integer that a text of the form [`is_integer`] stands for; other texts come here by a tag.
fn integer(text: &str) -> Result<Number, Fault> {
    let text = text.replace('_', "");
    let (negative, digits) = strip_sign(&text);
    let mut natural = Natural::default();
    if let Some(digits) = digits.strip_prefix("0b") {
        natural.push_digits(digits, 2)?;
    } else if let Some(digits) = digits.strip_prefix("0x") {
        natural.push_digits(digits, 16)?;
    } else if digits.starts_with('0') {
        natural.push_digits(digits, 8)?;
    } else {
        let mut groups = digits.split(':');
        natural.push_digits(groups.next().unwrap_or_default(), 10)?;
        for group in groups {
            let sixtieths = if is_sixtieth(group) { group.parse().map_err(|_| NOT_AN_INTEGER)? } else { 60 };
            if sixtieths >= 60 {
                return Err(NOT_AN_INTEGER.into());
            }
            natural.push(60, sixtieths)?;
        }
    }
    natural.into_number(negative)
}

const NOT_AN_INTEGER: &str = "not an integer";
const TOO_MANY_DIGITS: &str = "an integer of more than 4,300 digits";

/// A natural number of bounded length that grows digit by digit.
#[derive(Default)]
struct Natural {
    /// Digits in base 10^9, lowest first.
    limbs: Vec<u32>,
}

impl Natural {
    const BASE: u64 = 1_000_000_000;

    /// Appends digits in base `radix`, which is at most 16.
    fn push_digits(&mut self, digits: &str, radix: u32) -> Result<(), Fault> {
        if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
            return Err(NOT_AN_INTEGER.into());
        }
        // Seven digits at a time: 16^7 is still small beside 2^32.
        for chunk in digits.as_bytes().chunks(7) {
            let (scale, value) = chunk.iter().fold((1, 0), |(scale, value), digit| {
                (scale * radix, value * radix + char::from(*digit).to_digit(radix).unwrap_or(0))
            });
            self.push(scale, value)?;
        }
        Ok(())
    }

    /// Multiplies by `scale` and adds `value`.
    fn push(&mut self, scale: u32, value: u32) -> Result<(), Fault> {
        let mut carry = u64::from(value);
        for limb in &mut self.limbs {
            let sum = u64::from(*limb) * u64::from(scale) + carry;
            *limb = low_limb(sum);
            carry = sum / Self::BASE;
        }
        if carry > 0 {
            self.limbs.push(low_limb(carry));
        }
        if self.limbs.len() > MAX_INTEGER_DIGITS / 9 + 1 { Err(TOO_MANY_DIGITS.into()) } else { Ok(()) }
    }

    fn into_number(self, negative: bool) -> Result<Number, Fault> {
        use std::fmt::Write;
        let mut limbs = self.limbs.iter().rev();
        let mut digits = limbs.next().map_or_else(|| "0".to_owned(), u32::to_string);
        for limb in limbs {
            // Writing to a string cannot fail.
            let _ = write!(digits, "{limb:09}");
        }
        if digits.len() > MAX_INTEGER_DIGITS {
            return Err(TOO_MANY_DIGITS.into());
        }
        if negative {
            digits.insert(0, '-');
        }
        Ok(digits.parse().map_or_else(|_| Number::Big(digits.into()), Number::Int))
    }
}

/// The remainder by 10^9, which always fits.
fn low_limb(sum: u64) -> u32 {
    u32::try_from(sum % Natural::BASE).unwrap_or(0)
}

/// The float that a text of the form [`is_float`] stands for; other texts come here by a tag.
fn float(text: &str) -> Result<Number, Fault> {
    const NOT_A_FLOAT: &str = "not a floating-point number";
    const NOT_FINITE: &str = "not a finite number (NaN and infinities cannot be stored)";
    let text = text.replace('_', "").to_ascii_lowercase();
    let (negative, unsigned) = strip_sign(&text);
    if matches!(unsigned, ".inf" | ".nan") {
        return Err(NOT_FINITE.into());
    }
    // Rust would also read words such as `infinity`.
    if !is_made_of(unsigned, "0123456789.:e+-") {
        return Err(NOT_A_FLOAT.into());
    }
    let mut sum = 0.0;
    let mut base = 1.0;
    // From the lowest group up, as PyYAML adds them: the order decides how the sum is rounded.
    for group in unsigned.rsplit(':') {
        let group: f64 = group.parse().map_err(|_| NOT_A_FLOAT)?;
        sum += group * base;
        base *= 60.0;
    }
    let x = if negative { -sum } else { sum };
    if x.is_finite() { Ok(Number::Float(x)) } else { Err(NOT_FINITE.into()) }
}

/// Writes `value` as one YAML document in block style, members in order of their keys.
///
/// Every string that YAML 1.1 or 1.2 could read as something else stands in double quotes; the text is ASCII. `PyYAML`
/// and [`parse`] read the equal value back.
///
/// # Errors
/// Those of `out`.
pub fn write(out: &mut impl Write, value: &Value) -> io::Result<()> {
    let mut writer = Writer { out };
    if is_inline(value) {
        writer.inline(value)?;
        return writer.out.write_all(b"\n");
    }
    writer.block(value, 0)
}

/// Writes an object as one YAML document, its members in the order given; members within them go by their keys. See
/// [`write()`].
///
/// # Errors
/// Those of `out`.
pub fn write_members<'a>(
    out: &mut impl Write,
    members: impl IntoIterator<Item = (&'a str, &'a Value)>,
) -> io::Result<()> {
    let mut members = members.into_iter().peekable();
    if members.peek().is_none() {
        return out.write_all(b"{}\n");
    }
    Writer { out }.mapping(members, 0)
}

/// Stands on the line of its key or dash.
fn is_inline(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => true,
    }
}

struct Writer<'a, W> {
    out: &'a mut W,
}

impl<W: Write> Writer<'_, W> {
    /// A collection that is not empty. The first line goes to where the writer stands, which is column `indent`.
    fn block(&mut self, value: &Value, indent: usize) -> io::Result<()> {
        match value {
            Value::Object(map) => self.mapping(map.iter().map(|(key, value)| (key.as_str(), value)), indent),
            Value::Array(items) => self.sequence(items, indent),
            _ => Ok(()),
        }
    }

    fn mapping<'v>(&mut self, members: impl Iterator<Item = (&'v str, &'v Value)>, indent: usize) -> io::Result<()> {
        for (number, (key, value)) in members.enumerate() {
            if number > 0 {
                self.indent(indent)?;
            }
            let mut written = Vec::with_capacity(key.len() + 2);
            write_string(&mut written, key)?;
            if written.len() > MAX_SIMPLE_KEY {
                self.out.write_all(b"? ")?;
                self.out.write_all(&written)?;
                self.out.write_all(b"\n")?;
                self.indent(indent)?;
                self.out.write_all(b": ")?;
                self.entry(value, indent + 2)?;
                continue;
            }
            self.out.write_all(&written)?;
            self.out.write_all(b":")?;
            if is_inline(value) {
                self.out.write_all(b" ")?;
                self.entry(value, indent)?;
            } else {
                // Dashes may stand in the column of their key, and PyYAML puts them there.
                let inner = if matches!(value, Value::Array(_)) { indent } else { indent + 2 };
                self.out.write_all(b"\n")?;
                self.indent(inner)?;
                self.block(value, inner)?;
            }
        }
        Ok(())
    }

    fn sequence(&mut self, items: &[Value], indent: usize) -> io::Result<()> {
        for (number, item) in items.iter().enumerate() {
            if number > 0 {
                self.indent(indent)?;
            }
            self.out.write_all(b"- ")?;
            self.entry(item, indent + 2)?;
        }
        Ok(())
    }

    /// A value that begins where the writer stands, with the end of its line.
    fn entry(&mut self, value: &Value, indent: usize) -> io::Result<()> {
        if is_inline(value) {
            self.inline(value)?;
            self.out.write_all(b"\n")
        } else {
            self.block(value, indent)
        }
    }

    fn inline(&mut self, value: &Value) -> io::Result<()> {
        match value {
            Value::String(text) => write_string(self.out, text),
            Value::Number(Number::Float(_)) => {
                // A float without a point would be a string in YAML 1.1.
                let text = json::to_vec(value, Layout::Compact, Charset::Ascii);
                match text.iter().position(|byte| *byte == b'e') {
                    Some(at) if !text.contains(&b'.') => {
                        let (mantissa, exponent) = text.split_at(at);
                        self.out.write_all(mantissa)?;
                        self.out.write_all(b".0")?;
                        self.out.write_all(exponent)
                    }
                    _ => self.out.write_all(&text),
                }
            }
            // The rest is written in JSON as in YAML, empty collections too.
            _ => json::write(self.out, value, Layout::Compact, Charset::Ascii),
        }
    }

    fn indent(&mut self, columns: usize) -> io::Result<()> {
        for _ in 0..columns {
            self.out.write_all(b" ")?;
        }
        Ok(())
    }
}

/// True when `text` is surely read as itself without quotes, in every version of YAML and wherever it stands. A string
/// may be quoted without need: what begins with a digit always is.
fn is_safely_plain(text: &str) -> bool {
    const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && !text.ends_with(' ')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b" _-+./=@".contains(&byte))
        && !WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

fn write_string(out: &mut impl Write, text: &str) -> io::Result<()> {
    if is_safely_plain(text) {
        return out.write_all(text.as_bytes());
    }
    out.write_all(b"\"")?;
    for c in text.chars() {
        match c {
            '"' => out.write_all(b"\\\"")?,
            '\\' => out.write_all(b"\\\\")?,
            '\n' => out.write_all(b"\\n")?,
            '\r' => out.write_all(b"\\r")?,
            '\t' => out.write_all(b"\\t")?,
            ' '..='~' => out.write_all(c.encode_utf8(&mut [0; 4]).as_bytes())?,
            ..='\u{ff}' => write!(out, "\\x{:02X}", u32::from(c))?,
            ..='\u{ffff}' => write!(out, "\\u{:04X}", u32::from(c))?,
            _ => write!(out, "\\U{:08X}", u32::from(c))?,
        }
    }
    out.write_all(b"\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Value {
        parse(text.as_bytes()).unwrap()
    }

    fn reason(text: &str) -> String {
        parse(text.as_bytes()).unwrap_err().to_string()
    }

    fn written(value: &Value) -> String {
        let mut out = Vec::new();
        write(&mut out, value).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// What `text` means, as JSON.
    fn meaning(text: &str) -> String {
        String::from_utf8(json::to_vec(&read(text), Layout::Compact, Charset::Ascii)).unwrap()
    }

    #[test]
    fn plain_scalars_mean_what_pyyaml_makes_of_them() {
        for (text, json) in [
            ("", "null"),
            ("~", "null"),
            ("Null", "null"),
            ("nULL", "\"nULL\""),
            ("yes", "true"),
            ("Off", "false"),
            ("y", "\"y\""),
            ("1_000", "1000"),
            ("-0", "0"),
            ("012", "10"),
            ("08", "\"08\""),
            ("0o17", "\"0o17\""),
            ("0x_fF", "255"),
            ("-0b101", "-5"),
            ("12:30:00", "45000"),
            ("1:75", "\"1:75\""),
            ("0:30", "\"0:30\""),
            ("0:30.5", "30.5"),
            ("-1:30.25", "-90.25"),
            ("0xffffffffffffffffffffffff", "79228162514264337593543950335"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("1e16", "\"1e16\""),
            ("1.0e16", "\"1.0e16\""),
            ("1.0e+16", "1e+16"),
            ("1.", "1.0"),
            (".5", "0.5"),
            ("-.5", "\"-.5\""),
            ("-0.0", "-0.0"),
            ("2025-03-01", "\"2025-03-01\""),
            ("2025-03-01T08:00:00Z", "\"2025-03-01T08:00:00Z\""),
            ("=", "\"=\""),
            ("'12'", "\"12\""),
            ("! '12'", "12"),
            ("!!str 12", "\"12\""),
            ("!<tag:yaml.org,2002:int> '12'", "12"),
            ("!!float 1e16", "1e+16"),
            ("!!bool 'YES'", "true"),
            ("!!timestamp 2025-03-01", "\"2025-03-01\""),
        ] {
            assert_eq!(meaning(text), json, "{text}");
        }
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

    #[test]
    fn strings_are_quoted_when_they_could_be_read_otherwise() {
        for (text, yaml) in [
            ("", "\"\"\n"),
            ("plain text", "plain text\n"),
            ("ends ", "\"ends \"\n"),
            ("NO", "\"NO\"\n"),
            ("y", "\"y\"\n"),
            ("12", "\"12\"\n"),
            ("1.0.0", "\"1.0.0\"\n"),
            ("a: b", "\"a: b\"\n"),
            ("a #b", "\"a #b\"\n"),
            ("- a", "\"- a\"\n"),
            ("\u{1}é漢😀\u{2028}\"\\", "\"\\x01\\xE9\\u6F22\\U0001F600\\u2028\\\"\\\\\"\n"),
        ] {
            assert_eq!(written(&text.into()), yaml);
        }
    }

    #[test]
    fn block_style_is_laid_out_as_pyyaml_does() {
        let value = json::parse(
            br#"{"a":[],"b":{},"c":[1,[2,[3]],{"d":1e16,"e":[{"f":null}]}],"g":{"h":{"i":true}},"null":"x"}"#,
        )
        .unwrap();
        let yaml = "a: []\nb: {}\nc:\n- 1\n- - 2\n  - - 3\n- d: 1.0e+16\n  e:\n  - f: null\n\
                    g:\n  h:\n    i: true\n\"null\": x\n";
        assert_eq!(written(&value), yaml);
        assert_eq!(read(yaml), value);
    }

    #[test]
    fn members_keep_the_order_given() {
        let mut out = Vec::new();
        write_members(&mut out, [("b", &Value::Null), ("a", &Value::from(1_i64))]).unwrap();
        assert_eq!(out, b"b: null\na: 1\n");
        out.clear();
        write_members(&mut out, []).unwrap();
        assert_eq!(out, b"{}\n");
    }
}
