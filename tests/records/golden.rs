//! The golden files of the reference, and what stands in them.

use mirrordna::record::Value;

use crate::data::{golden_folders, read_json};

/// The small part of the golden file `name`. It must be there.
pub(crate) fn small(name: &str) -> Value {
    let copy = golden_folders("golden").swap_remove(0);
    read_json(&copy.join(name))
}

/// Runs `test` on the golden file `name`: on the small part, and on all of it where that is to be had.
pub(crate) fn each(name: &str, test: impl Fn(&Value)) {
    for folder in golden_folders("golden") {
        test(&read_json(&folder.join(name)));
    }
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
