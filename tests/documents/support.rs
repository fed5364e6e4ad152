//! Where the golden data and the checks lie, and how Python is run.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use mirrordna::record::Value;
use mirrordna::record::json::{self, Charset, Layout};

/// The folders of golden data: the small copy that always runs, and the whole when it is there.
pub(crate) fn golden_folders() -> Vec<PathBuf> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/documents")];
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

/// Runs a Python program with `input` as JSON on its standard input; its output is JSON again. Nothing when there is no
/// Python with `PyYAML`.
pub(crate) fn python(program: &str, input: &Value) -> Option<Value> {
    let has_yaml = Command::new("python3").args(["-c", "import yaml"]).stderr(Stdio::null()).status();
    if !has_yaml.is_ok_and(|status| status.success()) {
        eprintln!("NOT TESTED against PyYAML: python3 or its yaml module is missing");
        return None;
    }
    let mut child = Command::new("python3")
        .args(["-c", program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 starts");
    // The programs read all of their input before they write.
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(&json::to_vec(input, Layout::Compact, Charset::Ascii)).expect("python3 reads");
    drop(stdin);
    let output = child.wait_with_output().expect("python3 ends");
    assert!(output.status.success(), "python3 failed");
    Some(json::parse(&output.stdout).expect("python3 writes JSON"))
}
