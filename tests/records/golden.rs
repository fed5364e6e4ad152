//! Where the golden data lies: a small part beside the tests, which always runs, and all of it beside the checkout.

use std::path::Path;

use mirrordna::record::{Value, json};

/// The small part of the golden file `name`. It must be there.
pub(crate) fn small(name: &str) -> Value {
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden").join(name))
}

/// Runs `test` on the golden file `name`: on the small part, and on all of it where that is to be had.
pub(crate) fn each(name: &str, test: impl Fn(&Value)) {
    test(&small(name));
    let full = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/golden").join(name);
    if full.exists() {
        test(&read(&full));
    } else {
        eprintln!("SKIPPED: no full golden data at {}; only the small part was tested", full.display());
    }
}

fn read(path: &Path) -> Value {
    let text = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    json::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The elements of a list.
pub(crate) fn items(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

/// The text at a path of keys.
pub(crate) fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.str_at(path).unwrap_or_else(|| panic!("no text at {path}"))
}

/// The truth value at a key.
pub(crate) fn flag(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool).unwrap_or_else(|| panic!("no truth value at {key}"))
}
