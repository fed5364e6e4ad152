//! Where the golden data of the reference lies: a copy beside the tests, which always runs, and all of it beside the
//! checkout, when it is there.

use std::fs;
use std::path::{Path, PathBuf};

use mirrordna::record::{Value, json};

/// The folders of golden data: the copy under `tests/data` of this name, and the whole.
pub(crate) fn golden_folders(copy: &str) -> Vec<PathBuf> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(copy)];
    folders.extend(shared("golden"));
    folders
}

/// A folder or file beside the checkout; says so when it is missing.
pub(crate) fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("NOT TESTED against {}: it is missing", path.display());
    None
}

pub(crate) fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn read_json(path: &Path) -> Value {
    json::parse(&read(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
