//! Canonical JSON against Python's own `json` module, which the protocol names as its definition.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use mirrordna::record::checksum::canonical;
use mirrordna::record::json::{self, MAX_DEPTH, MAX_INTEGER_DIGITS};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Reads a JSON text a line and answers with its canonical form, for as long as there are lines.
const PROGRAM: &str = r#"
import json, sys
sys.setrecursionlimit(100_000)
for line in sys.stdin.buffer:
    value = json.loads(line.decode("utf-8"))
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    sys.stdout.buffer.write(text.encode("ascii") + b"\n")
    sys.stdout.buffer.flush()
"#;

struct Python {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Python {
    /// One process that answers all questions of a test; none where there is no Python.
    fn start() -> Option<Self> {
        let spawned =
            Command::new("python3").args(["-c", PROGRAM]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = match spawned {
            Ok(child) => child,
            Err(error) => {
                eprintln!("SKIPPED: python3 does not start ({error}), so nothing was compared with it");
                return None;
            }
        };
        let (input, output) = (child.stdin.take()?, child.stdout.take()?);
        Some(Self { child, input, output: BufReader::new(output) })
    }

    /// Python's canonical form of a JSON text without line breaks.
    fn canonical(&mut self, text: &str) -> String {
        assert!(!text.contains('\n'), "one text a line");
        self.input.write_all(text.as_bytes()).and_then(|()| self.input.write_all(b"\n")).expect("Python reads");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("Python answers");
        assert!(line.ends_with('\n'), "Python gave up on {text:?}");
        line.pop();
        line
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // The end of its input would end it too, but only after this value is gone; there is nothing left to lose.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Compares `cases` texts of `texts` with Python.
fn compare(cases: u32, texts: impl Strategy<Value = String>) {
    let Some(python) = Python::start().map(RefCell::new) else { return };
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&texts, |text| {
        let value = json::parse(text.as_bytes()).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let ours = String::from_utf8(canonical(&value)).expect("canonical JSON is ASCII");
        prop_assert_eq!(ours, python.borrow_mut().canonical(&text));
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

/// A part of a string literal: characters as they are, and every kind of escape.
fn string_piece() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => any::<char>().prop_map(literal),
        2 => proptest::char::range(' ', '~').prop_map(literal),
        1 => prop_oneof![Just('\u{7f}'), Just('\u{80}'), Just('\u{2028}'), Just('\u{ffff}'), Just('\u{10000}')]
            .prop_map(literal),
        1 => (any::<char>(), any::<bool>()).prop_map(|(c, upper)| escaped(c, upper)),
        1 => (proptest::char::range('\0', '\u{1f}'), any::<bool>()).prop_map(|(c, upper)| escaped(c, upper)),
        1 => prop_oneof![Just("\\\""), Just("\\\\"), Just("\\/"), Just("\\b"), Just("\\f"), Just("\\n"), Just("\\r"),
            Just("\\t")].prop_map(str::to_owned),
    ]
}

/// `c` as it stands where JSON allows that, else escaped.
fn literal(c: char) -> String {
    if c < ' ' || c == '"' || c == '\\' { escaped(c, false) } else { c.to_string() }
}

/// `c` as `\uXXXX`, above U+FFFF as a surrogate pair.
fn escaped(c: char, upper: bool) -> String {
    let mut text = String::new();
    for unit in c.encode_utf16(&mut [0; 2]) {
        let written = if upper { write!(text, "\\u{unit:04X}") } else { write!(text, "\\u{unit:04x}") };
        written.expect("a string takes it");
    }
    text
}

fn string() -> impl Strategy<Value = String> {
    vec(string_piece(), 0..12).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

/// Keys from a small pool half of the time, so that there are duplicates and long common beginnings.
fn key() -> impl Strategy<Value = String> {
    prop_oneof!["\"[ab]{0,2}\"", string()]
}

fn integer() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        any::<u64>().prop_map(|n| n.to_string()),
        "-?[1-9][0-9]{17,40}",
        Just("-0".to_owned()),
    ]
}

/// Floats from random bits in three spellings, and from random digits, more of them than a binary64 holds included.
fn float() -> impl Strategy<Value = String> {
    let bits = any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |x| x.is_finite());
    let finite = "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,24})?([eE][+-]?[0-9]{1,3})?"
        .prop_filter("finite", |text| text.parse::<f64>().is_ok_and(f64::is_finite));
    prop_oneof![
        2 => (bits, 0..3).prop_map(|(x, spelling)| match spelling {
            0 => format!("{x:e}"),
            1 => format!("{x:E}"),
            _ => format!("{x:?}"),
        }),
        1 => finite,
        // Powers of two, whose neighbours lie at unequal distances.
        1 => (1_u64..2047).prop_map(|exponent| format!("{:?}", f64::from_bits(exponent << 52))),
        // Around the two places where the notation changes.
        1 => (1e15..1e17).prop_map(|x| format!("{x:?}")),
        1 => (1e-6..1e-3).prop_map(|x| format!("{x:?}")),
        1 => prop_oneof![Just("-0.0"), Just("0e0"), Just("5e-324"), Just("2e-324"), Just("1e-400"), Just("1e16"),
            Just("1.7976931348623157e308"), Just("9007199254740993.0")].prop_map(str::to_owned),
    ]
}

fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        1 => prop_oneof![Just("null"), Just("true"), Just("false")].prop_map(str::to_owned),
        2 => integer(),
        3 => float(),
        3 => string(),
    ]
}

fn document() -> impl Strategy<Value = String> {
    scalar().prop_recursive(6, 64, 8, |inner| {
        let gap = "[ \t\r]{0,2}";
        prop_oneof![
            (vec(inner.clone(), 0..8), gap)
                .prop_map(|(items, gap)| format!("[{gap}{}{gap}]", items.join(&format!(",{gap}")))),
            (vec((key(), inner), 0..8), gap).prop_map(|(members, gap)| {
                let members: Vec<_> = members.into_iter().map(|(key, value)| format!("{key}{gap}:{value}")).collect();
                format!("{{{gap}{}{gap}}}", members.join(&format!("{gap},")))
            }),
        ]
    })
}

/// Documents of every shape, with odd strings, odd numbers and duplicate keys.
#[test]
fn documents_are_canonical_as_in_python() {
    compare(3_000, document());
}

/// Floats alone, many of them: the shortest digits and the two notations.
#[test]
fn floats_are_written_as_in_python() {
    compare(400, vec(float(), 50).prop_map(|floats| format!("[{}]", floats.join(","))));
}

/// Strings alone, as values and as keys that must be sorted.
#[test]
fn strings_are_written_and_sorted_as_in_python() {
    let members = vec((key(), string()), 0..20).prop_map(|members| {
        let members: Vec<_> = members.into_iter().map(|(key, value)| format!("{key}:{value}")).collect();
        format!("{{{}}}", members.join(","))
    });
    compare(1_000, members);
}

/// Integers up to the limit that both have, and nesting up to ours.
#[test]
fn the_limits_are_reached_as_in_python() {
    let long = (1..=MAX_INTEGER_DIGITS, any::<bool>(), 1..=9_u8).prop_map(|(digits, negative, digit)| {
        format!("{}{}", if negative { "-" } else { "" }, digit.to_string().repeat(digits))
    });
    compare(50, long);
    let deep = (0..=MAX_DEPTH, any::<bool>(), scalar()).prop_map(|(depth, objects, leaf)| {
        let (open, close) = if objects { ("{\"a\":", "}") } else { ("[", "]") };
        format!("{}{leaf}{}", open.repeat(depth), close.repeat(depth))
    });
    compare(100, deep);
}
