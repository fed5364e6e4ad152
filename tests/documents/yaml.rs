//! YAML against `PyYAML`, thousands of values in one child, and against bytes that are not YAML.

use mirrordna::record::json::{self, Charset, Layout};
use mirrordna::record::{Number, Value, object, yaml};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use crate::support::python;

/// Texts that are likely to be read as something else, beside any texts.
fn text() -> BoxedStrategy<String> {
    prop_oneof![
        2 => any::<String>(),
        2 => "[ -~]{0,20}",
        2 => "[a-z0-9_/]{0,30}( [a-z.]{1,60}){0,4}",
        2 => "[-+.:_0-9eExXbo]{1,12}",
        1 => prop::sample::select(vec![
            "yes", "No", "ON", "y", "N", "null", "~", "", "<<", "=", "---", "...", "- a", "? a", ": a", "a:", "a #b",
            "1e16", "0o17", "0b1", "12:30:00", "2025-03-01", "2025-03-01 08:00:00", ".inf", ".NaN", "\n", " a", "a ",
            "a\n\n b\n", "\t", "!x", "&x", "*x", "%x", "@x", "`x", "[x", "{x", "|", ">-", "\u{85}", "\u{2028}a",
            "\u{feff}", "\u{7f}", "\u{0}", "a\u{a0}", "'", "\"", "\\", "a\r\nb",
        ]).prop_map(str::to_owned),
        1 => "[ \"\\\\\u{e9}]{900,1100}",
    ]
    .boxed()
}

fn number() -> impl Strategy<Value = Number> {
    prop_oneof![
        any::<i64>().prop_map(Number::Int),
        (-100_i64..100).prop_map(Number::Int),
        "-?[1-9][0-9]{19,60}".prop_map(|digits| Number::Big(digits.into())),
        any::<f64>().prop_filter("finite", |x| x.is_finite()).prop_map(Number::Float),
        (-30_i32..30, -99_i32..99).prop_map(|(exponent, n)| Number::Float(f64::from(n) * 10_f64.powi(exponent))),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::Bool),
        3 => number().prop_map(Value::Number),
        5 => text().prop_map(Value::String),
    ];
    leaf.prop_recursive(6, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::btree_map(text(), inner, 0..6).prop_map(Value::Object),
        ]
    })
}

/// The same examples at each run: a failure shows again.
fn examples<T>(strategy: &impl Strategy<Value = T>, count: usize) -> Vec<T> {
    let mut runner = TestRunner::deterministic();
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

fn written(value: &Value) -> String {
    let mut out = Vec::new();
    yaml::write(&mut out, value).unwrap();
    String::from_utf8(out).unwrap()
}

fn canonical(value: &Value) -> String {
    String::from_utf8(json::to_vec(value, Layout::Compact, Charset::Ascii)).unwrap()
}

const ROUND_TRIP: &str = r#"
import json, sys, yaml
job = json.load(sys.stdin)
loaded = [yaml.safe_load(text) for text in job["texts"]]
styles = [{}, {"default_flow_style": True}, {"default_style": '"'}, {"default_style": "'"}, {"default_style": "|"},
          {"allow_unicode": True, "width": 40}, {"indent": 4, "sort_keys": False}]
dumped = [yaml.safe_dump({"document": value}, **styles[i % len(styles)]) for i, value in enumerate(job["values"])]
json.dump({"loaded": loaded, "dumped": dumped}, sys.stdout)
"#;

#[test]
fn values_round_trip_through_our_own_reader_and_through_pyyaml() {
    let values = examples(&value(), 2_000);
    let texts: Vec<String> = values.iter().map(written).collect();
    for (value, text) in values.iter().zip(&texts) {
        assert!(text.is_ascii());
        let read = yaml::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{text}"));
        // As canonical JSON, because 0.0 equals -0.0.
        assert_eq!(canonical(&read), canonical(value), "{text}");
    }
    let job = object([("texts", texts.into()), ("values", Value::Array(values.clone()))]);
    let Some(answer) = python(ROUND_TRIP, &job) else { return };
    let answers = |name| answer.get(name).and_then(Value::as_array).unwrap().iter();
    for ((value, loaded), dumped) in values.iter().zip(answers("loaded")).zip(answers("dumped")) {
        assert_eq!(canonical(loaded), canonical(value), "{}", written(value));
        let dumped = dumped.as_str().unwrap();
        match yaml::parse(dumped.as_bytes()) {
            Ok(read) => assert_eq!(read.get("document").map(canonical), Some(canonical(value)), "{dumped}"),
            Err(error) => {
                let separators = dumped.contains(['\u{85}', '\u{2028}', '\u{2029}']);
                assert!(separators && error.to_string().contains("line separator"), "{error}\n{dumped}");
            }
        }
    }
}

const RESOLVE: &str = r#"
import datetime, json, sys, yaml
def answer(text):
    try: value = yaml.safe_load(text)
    except Exception: return {"fails": True}
    if isinstance(value, datetime.date): return {"date": True}
    if isinstance(value, float) and value - value != 0: return {"fails": True}
    if isinstance(value, dict) and not all(isinstance(key, str) for key in value): return {"fails": True}
    return {"value": value}
json.dump([answer(text) for text in json.load(sys.stdin)], sys.stdout)
"#;

#[test]
fn scalars_resolve_as_in_pyyaml() {
    // What PyYAML stops at with an error and we take as a string, see the head of the module.
    const STRINGS_OF_OURS: [&str; 2] = ["=", "<<"];
    let scalars = prop_oneof![
        3 => "[-+]?[0-9]{0,3}[._:eE0-9+-]{0,10}",
        2 => "[-+]?0[box]?[0-9a-f_]{0,6}",
        2 => "[-+]?[0-9_]{1,3}(:[0-7]?[0-9]){1,3}([.][0-9_]{0,3})?(e[+]1)?",
        1 => "[-+]?[.](inf|Inf|INF|iNF|nan|NaN|NAN|Nan|5|_5|5_)",
        1 => "[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ][0-9]{1,2}:[0-9]{2}:[0-9]{2}([.][0-9]{0,3})?(Z| [+]1)?)?",
        1 => "(?i:yes|no|on|off|true|false|null|y|n|~|=|<<)",
        1 => "!!(int|float|bool|str|null) '?[-+]?[0-9]{0,2}[.:_0-9eE+-]{0,5}'?",
        1 => "! ['\"]?[0-9.:]{1,4}['\"]?",
    ];
    let texts: Vec<String> = examples(&scalars, 12_000).iter().map(|text| text.trim().to_owned()).collect();
    let Some(answers) = python(RESOLVE, &texts.clone().into()) else { return };
    let mut values = 0;
    for (text, answer) in texts.iter().zip(answers.as_array().unwrap()) {
        let ours = yaml::parse(text.as_bytes());
        if let Some(value) = answer.get("value") {
            values += 1;
            assert_eq!(ours.as_ref().map(canonical), Ok(canonical(value)), "{text}");
        } else if answer.get("date").is_some() {
            assert_eq!(ours, Ok(text.as_str().into()), "{text}");
        } else {
            // An impossible date fails in Python; to us it is a text like any other.
            let stays_text = ours == Ok(text.as_str().into());
            let is_date = text.len() > 7 && text.as_bytes().get(4) == Some(&b'-');
            let excused = stays_text && (is_date || STRINGS_OF_OURS.contains(&text.as_str()));
            assert!(ours.is_err() || excused, "{text}: {ours:?}");
        }
    }
    assert!(values > 6_000, "most of the examples are values");
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::with_cases(2_000) })]

    #[test]
    fn no_text_makes_the_reader_panic(text in "[-?:,\\[\\]{}#&*!|>'\"%@` \t\r\na-c0-9.<~=\\\\]{0,60}") {
        let _ = yaml::parse(text.as_bytes());
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = yaml::parse(&bytes);
    }

    #[test]
    fn no_damage_makes_the_reader_panic(value in value(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut text = written(&value).into_bytes();
        let at = at.index(text.len());
        text[at] = byte;
        let _ = yaml::parse(&text);
    }
}
