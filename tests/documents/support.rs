//! How Python is run.

use std::io::Write;
use std::process::{Command, Stdio};

use mirrordna::record::Value;
use mirrordna::record::json::{self, Charset, Layout};

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
