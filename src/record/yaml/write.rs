//! Writing, in the block style of `PyYAML`.

use std::io::{self, Write};

use super::super::json::{self, Charset, Layout};
use super::super::value::{Number, Value};

/// The longest written key that may stand before its colon without a `?`. YAML allows 1,024 characters.
const MAX_SIMPLE_KEY: usize = 1_000;

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
    use super::super::parse;
    use super::*;

    fn written(value: &Value) -> String {
        let mut out = Vec::new();
        write(&mut out, value).unwrap();
        String::from_utf8(out).unwrap()
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
        assert_eq!(parse(yaml.as_bytes()).unwrap(), value);
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
