//! Reading and writing JSON text.
//!
//! The reader takes RFC 8259 JSON with the limits of the protocol; the writer makes each of the forms that the protocol
//! knows. Both agree byte for byte with Python's `json` module wherever both accept a text.

use std::fmt;
use std::io::{self, Write};

use super::value::{Map, Number, Value};

/// The deepest nesting of arrays and objects that is read.
pub const MAX_DEPTH: usize = 512;
/// The most digits of an integer that are read (Python's own limit).
pub const MAX_INTEGER_DIGITS: usize = 4_300;

/// Why a text is not JSON, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {reason}")]
pub struct JsonError {
    /// Line, from 1.
    pub line: usize,
    /// Column in bytes, from 1.
    pub column: usize,
    /// What is wrong there.
    pub reason: JsonFault,
}

/// What is wrong with a text that is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonFault {
    /// The text ends in the middle of a value.
    End,
    /// A byte that cannot stand there.
    Unexpected(u8),
    /// Something after the value.
    Trailing,
    /// `NaN`, `Infinity`, or a number beyond binary64.
    NotFinite,
    /// An integer of more than 4,300 digits.
    TooManyDigits,
    /// Nested more than 512 levels deep.
    TooDeep,
    /// `\ud800` to `\udfff` without its partner.
    LoneSurrogate,
    /// An escape that JSON does not know.
    Escape,
    /// A control character inside a string.
    Control,
    /// Bytes that are not UTF-8.
    Utf8,
}

impl fmt::Display for JsonFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::End => f.write_str("the text ends in the middle of a value"),
            Self::Unexpected(byte) => write!(f, "unexpected {:?}", char::from(*byte)),
            Self::Trailing => f.write_str("something follows the value"),
            Self::NotFinite => f.write_str("not a finite number (NaN and infinities cannot be stored)"),
            Self::TooManyDigits => f.write_str("an integer of more than 4,300 digits"),
            Self::TooDeep => f.write_str("nested more than 512 levels deep"),
            Self::LoneSurrogate => f.write_str("a lone surrogate, which is not a character"),
            Self::Escape => f.write_str("an escape that JSON does not know"),
            Self::Control => f.write_str("a control character inside a string (write it as an escape)"),
            Self::Utf8 => f.write_str("not UTF-8"),
        }
    }
}

/// Reads one JSON value from UTF-8 bytes.
///
/// # Errors
/// What is wrong and at which line and column; see [`JsonFault`].
pub fn parse(text: &[u8]) -> Result<Value, JsonError> {
    let mut parser = Parser { text, at: 0 };
    let result = parser.document();
    result.map_err(|reason| {
        let before = text.get(..parser.at.min(text.len())).unwrap_or_default();
        let line = before.split(|byte| *byte == b'\n').count();
        let column = 1 + before.iter().rev().take_while(|byte| **byte != b'\n').count();
        JsonError { line, column, reason }
    })
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
}

type Parsed<T> = Result<T, JsonFault>;

impl Parser<'_> {
    fn document(&mut self) -> Parsed<Value> {
        self.space();
        let value = self.value(0)?;
        self.space();
        if self.at == self.text.len() { Ok(value) } else { Err(JsonFault::Trailing) }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Parsed<u8> {
        let byte = self.peek().ok_or(JsonFault::End)?;
        self.at += 1;
        Ok(byte)
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn unexpected(&self) -> JsonFault {
        self.peek().map_or(JsonFault::End, JsonFault::Unexpected)
    }

    fn word(&mut self, word: &[u8], value: Value) -> Parsed<Value> {
        for expected in word {
            if self.peek() != Some(*expected) {
                return Err(self.unexpected());
            }
            self.at += 1;
        }
        Ok(value)
    }

    fn value(&mut self, depth: usize) -> Parsed<Value> {
        match self.peek().ok_or(JsonFault::End)? {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => self.string().map(Value::String),
            b'-' | b'0'..=b'9' => self.number().map(Value::Number),
            b't' => self.word(b"true", Value::Bool(true)),
            b'f' => self.word(b"false", Value::Bool(false)),
            b'n' => self.word(b"null", Value::Null),
            b'N' | b'I' => Err(JsonFault::NotFinite),
            byte => Err(JsonFault::Unexpected(byte)),
        }
    }

    fn array(&mut self, depth: usize) -> Parsed<Value> {
        if depth == MAX_DEPTH {
            return Err(JsonFault::TooDeep);
        }
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::Array(items));
        }
        loop {
            self.space();
            items.push(self.value(depth + 1)?);
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Value::Array(items));
                }
                _ => return Err(self.unexpected()),
            }
        }
    }

    fn object(&mut self, depth: usize) -> Parsed<Value> {
        if depth == MAX_DEPTH {
            return Err(JsonFault::TooDeep);
        }
        self.at += 1;
        let mut map = Map::new();
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(map));
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err(self.unexpected());
            }
            let key = self.string()?;
            self.space();
            if self.peek() != Some(b':') {
                return Err(self.unexpected());
            }
            self.at += 1;
            self.space();
            let value = self.value(depth + 1)?;
            map.insert(key, value);
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Value::Object(map));
                }
                _ => return Err(self.unexpected()),
            }
        }
    }

    fn string(&mut self) -> Parsed<String> {
        self.at += 1;
        let mut out = Vec::new();
        loop {
            let start = self.at;
            while matches!(self.peek(), Some(byte) if byte >= 0x20 && byte != b'"' && byte != b'\\') {
                self.at += 1;
            }
            out.extend_from_slice(self.text.get(start..self.at).unwrap_or_default());
            match self.next()? {
                b'"' => break,
                b'\\' => self.escape(&mut out)?,
                _ => {
                    self.at -= 1;
                    return Err(JsonFault::Control);
                }
            }
        }
        String::from_utf8(out).map_err(|_| JsonFault::Utf8)
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Parsed<()> {
        let plain = match self.next()? {
            byte @ (b'"' | b'\\' | b'/') => byte,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'b' => 0x08,
            b'f' => 0x0c,
            b'u' => {
                let c = self.unicode_escape()?;
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err(JsonFault::Escape),
        };
        out.push(plain);
        Ok(())
    }

    fn unicode_escape(&mut self) -> Parsed<char> {
        let first = self.hex4()?;
        let code = if (0xd800..0xdc00).contains(&first) {
            if self.next()? != b'\\' || self.next()? != b'u' {
                return Err(JsonFault::LoneSurrogate);
            }
            let second = self.hex4()?;
            if !(0xdc00..0xe000).contains(&second) {
                return Err(JsonFault::LoneSurrogate);
            }
            0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
        } else {
            first
        };
        char::from_u32(code).ok_or(JsonFault::LoneSurrogate)
    }

    fn hex4(&mut self) -> Parsed<u32> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = char::from(self.next()?).to_digit(16).ok_or(JsonFault::Escape)?;
            code = code * 16 + digit;
        }
        Ok(code)
    }

    fn number(&mut self) -> Parsed<Number> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            Some(b'I') => return Err(JsonFault::NotFinite),
            _ => return Err(self.unexpected()),
        }
        let mut float = false;
        if self.peek() == Some(b'.') {
            float = true;
            self.at += 1;
            self.some_digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            float = true;
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.some_digits()?;
        }
        let bytes = self.text.get(start..self.at).unwrap_or_default();
        let text = std::str::from_utf8(bytes).map_err(|_| JsonFault::Utf8)?;
        if float {
            let x: f64 = text.parse().map_err(|_| JsonFault::NotFinite)?;
            return if x.is_finite() { Ok(Number::Float(x)) } else { Err(JsonFault::NotFinite) };
        }
        if let Ok(n) = text.parse::<i64>() {
            return Ok(Number::Int(n));
        }
        if text.trim_start_matches('-').len() > MAX_INTEGER_DIGITS {
            return Err(JsonFault::TooManyDigits);
        }
        Ok(Number::Big(text.into()))
    }

    fn digits(&mut self) {
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
    }

    fn some_digits(&mut self) -> Parsed<()> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.unexpected());
        }
        self.digits();
        Ok(())
    }
}

/// How JSON text is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `{"a":1,"b":[2]}`: the canonical form.
    Compact,
    /// `{"a": 1, "b": [2]}`: the form of checksummed configuration files.
    Spaced,
    /// One member a line, indented by two spaces.
    Pretty,
}

/// Which characters are escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// Everything outside U+0020..U+007E.
    Ascii,
    /// Only what JSON demands: quotes, backslashes and control characters.
    Unicode,
}

/// Writes `value` as JSON text.
///
/// # Errors
/// Those of `out`.
pub fn write(out: &mut impl Write, value: &Value, layout: Layout, charset: Charset) -> io::Result<()> {
    Writer { out, layout, charset }.value(value, 0)
}

/// `value` as JSON text in memory.
#[must_use]
pub fn to_vec(value: &Value, layout: Layout, charset: Charset) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    // Writing to a vector cannot fail.
    let _ = write(&mut out, value, layout, charset);
    out
}

struct Writer<'a, W> {
    out: &'a mut W,
    layout: Layout,
    charset: Charset,
}

impl<W: Write> Writer<'_, W> {
    fn value(&mut self, value: &Value, depth: usize) -> io::Result<()> {
        match value {
            Value::Null => self.out.write_all(b"null"),
            Value::Bool(true) => self.out.write_all(b"true"),
            Value::Bool(false) => self.out.write_all(b"false"),
            Value::Number(number) => write_number(self.out, number),
            Value::String(text) => write_string(self.out, text, self.charset),
            Value::Array(items) => self.items((b'[', b']'), items, depth, Self::value),
            Value::Object(map) => self.items((b'{', b'}'), map, depth, |w, (key, item), depth| {
                write_string(w.out, key, w.charset)?;
                w.out.write_all(if w.layout == Layout::Compact { b":" } else { b": " })?;
                w.value(item, depth)
            }),
        }
    }

    fn items<I>(
        &mut self,
        (open, close): (u8, u8),
        items: I,
        depth: usize,
        mut each: impl FnMut(&mut Self, I::Item, usize) -> io::Result<()>,
    ) -> io::Result<()>
    where
        I: IntoIterator,
    {
        self.out.write_all(&[open])?;
        let mut empty = true;
        for item in items {
            if !empty {
                self.out.write_all(if self.layout == Layout::Spaced { b", " } else { b"," })?;
            }
            empty = false;
            self.line(depth + 1)?;
            each(self, item, depth + 1)?;
        }
        if !empty {
            self.line(depth)?;
        }
        self.out.write_all(&[close])
    }

    fn line(&mut self, depth: usize) -> io::Result<()> {
        if self.layout == Layout::Pretty {
            self.out.write_all(b"\n")?;
            for _ in 0..depth {
                self.out.write_all(b"  ")?;
            }
        }
        Ok(())
    }
}

/// Writes a string with its quotes.
///
/// # Errors
/// Those of `out`.
pub fn write_string(out: &mut impl Write, text: &str, charset: Charset) -> io::Result<()> {
    out.write_all(b"\"")?;
    let bytes = text.as_bytes();
    let mut done = 0;
    for (at, c) in text.char_indices() {
        let plain = match c {
            '"' | '\\' | '\0'..='\x1f' => false,
            ' '..='~' => true,
            _ => charset == Charset::Unicode,
        };
        if plain {
            continue;
        }
        out.write_all(bytes.get(done..at).unwrap_or_default())?;
        done = at + c.len_utf8();
        match c {
            '"' => out.write_all(b"\\\"")?,
            '\\' => out.write_all(b"\\\\")?,
            '\n' => out.write_all(b"\\n")?,
            '\r' => out.write_all(b"\\r")?,
            '\t' => out.write_all(b"\\t")?,
            '\x08' => out.write_all(b"\\b")?,
            '\x0c' => out.write_all(b"\\f")?,
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}")?;
                }
            }
        }
    }
    out.write_all(bytes.get(done..).unwrap_or_default())?;
    out.write_all(b"\"")
}

fn write_number(out: &mut impl Write, number: &Number) -> io::Result<()> {
    match number {
        Number::Int(n) => write!(out, "{n}"),
        Number::Big(digits) => out.write_all(digits.as_bytes()),
        Number::Float(x) => write_float(out, *x),
    }
}

/// Writes a finite number as Python's `repr` does: the shortest digits that round-trip, in exponent form from 1e16 up and
/// below 1e-4.
fn write_float(out: &mut impl Write, x: f64) -> io::Result<()> {
    let text = shortest(x);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return write!(out, "{mantissa}e{sign}{:02}", exponent.abs());
    }
    let (sign, digits) = mantissa.strip_prefix('-').map_or(("", mantissa), |digits| ("-", digits));
    let digits = digits.replace('.', "");
    let whole = usize::try_from(exponent + 1).unwrap_or(0);
    if exponent < 0 {
        let zeros = usize::try_from(-1 - exponent).unwrap_or(0);
        return write!(out, "{sign}0.{:0<zeros$}{digits}", "");
    }
    match digits.split_at_checked(whole) {
        Some((whole, fraction)) if !fraction.is_empty() => write!(out, "{sign}{whole}.{fraction}"),
        _ => write!(out, "{sign}{digits:0<whole$}.0"),
    }
}

/// The shortest digits that read back as `x`, in exponent form. Where two are equally near, Rust takes the greater and
/// Python the even one, which is what rounding to that many digits gives.
fn shortest(x: f64) -> String {
    let text = format!("{x:e}");
    let digits = text.split('e').next().unwrap_or_default().bytes().filter(u8::is_ascii_digit).count();
    let rounded = format!("{x:.*e}", digits.saturating_sub(1));
    if rounded.parse() == Ok(x) { rounded } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(text: &str) -> String {
        String::from_utf8(to_vec(&parse(text.as_bytes()).unwrap(), Layout::Compact, Charset::Ascii)).unwrap()
    }

    #[test]
    fn numbers_print_as_python_prints_them() {
        for (text, canonical) in [
            ("-0", "0"),
            ("-0.0", "-0.0"),
            ("1e16", "1e+16"),
            ("1e15", "1000000000000000.0"),
            ("123456789012345680", "123456789012345680"),
            ("0.0001", "0.0001"),
            ("0.00001", "1e-05"),
            ("5e-324", "5e-324"),
            ("1.7976931348623157e308", "1.7976931348623157e+308"),
            ("18446744073709551616", "18446744073709551616"),
            ("-9223372036854775809", "-9223372036854775809"),
        ] {
            assert_eq!(round(text), canonical, "{text}");
        }
    }

    #[test]
    fn strings_are_ascii_with_lower_case_surrogate_pairs() {
        assert_eq!(round("\"\u{7f}é😀/\\u00E9\""), "\"\\u007f\\u00e9\\ud83d\\ude00/\\u00e9\"");
    }

    #[test]
    fn duplicate_keys_keep_the_last_and_keys_sort_by_code_point() {
        assert_eq!(round("{\"\u{ffff}\":1,\"😀\":2,\"a\":1,\"a\":3}"), "{\"a\":3,\"\\uffff\":1,\"\\ud83d\\ude00\":2}");
    }

    #[test]
    fn faults_name_their_place() {
        let at = |text: &str| {
            let error = parse(text.as_bytes()).unwrap_err();
            (error.line, error.column, error.reason)
        };
        assert_eq!(at("{\n \"a\": NaN}"), (2, 7, JsonFault::NotFinite));
        assert_eq!(at("[1,]"), (1, 4, JsonFault::Unexpected(b']')));
        assert_eq!(at("1e999").2, JsonFault::NotFinite);
        assert_eq!(at("\"\\ud800\"").2, JsonFault::LoneSurrogate);
        assert_eq!(at("01").2, JsonFault::Trailing);
        assert_eq!(at("\"a\nb\"").2, JsonFault::Control);
        assert_eq!(parse(b"\"\xff\"").unwrap_err().reason, JsonFault::Utf8);
        assert_eq!(at("").2, JsonFault::End);
    }

    #[test]
    fn nesting_and_digits_are_limited() {
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(parse(deep(MAX_DEPTH).as_bytes()).is_ok());
        assert_eq!(parse(deep(MAX_DEPTH + 1).as_bytes()).unwrap_err().reason, JsonFault::TooDeep);
        assert!(parse("9".repeat(MAX_INTEGER_DIGITS).as_bytes()).is_ok());
        assert_eq!(parse("9".repeat(MAX_INTEGER_DIGITS + 1).as_bytes()).unwrap_err().reason, JsonFault::TooManyDigits);
    }

    #[test]
    fn layouts() {
        let value = parse(b"{\"b\":[],\"a\":[1,{}]}").unwrap();
        let text = |layout| String::from_utf8(to_vec(&value, layout, Charset::Ascii)).unwrap();
        assert_eq!(text(Layout::Spaced), "{\"a\": [1, {}], \"b\": []}");
        assert_eq!(text(Layout::Pretty), "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}");
    }
}
