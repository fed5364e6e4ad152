//! What the fuzzers of `ffi/fuzz` have found worth keeping is run again, under the sanitizers, by a program without libFuzzer.

use crate::programs::Place;
use crate::running::run;
use crate::sanitizers::{sanitized, watched};
use crate::support::root;

const FUZZERS: [&str; 4] = ["backups", "documents", "filters", "records"];

fn replay(name: &str) {
    let folder = root().join("ffi/fuzz");
    let corpus = folder.join("corpus").join(name);
    let count = std::fs::read_dir(&corpus).unwrap().count();
    assert!(count > 20, "{} has {count} files", corpus.display());
    let place = Place::new();
    let path = place.path().join(name);
    sanitized(&[folder.join(format!("{name}.c")), folder.join("replay.c")], &path);
    let replayed = run(watched(&path).arg(&corpus).env("TMPDIR", place.work()));
    assert_eq!(replayed.trim(), count.to_string());
}

#[test]
fn backups_withstand_what_was_found() {
    replay("backups");
}

#[test]
fn documents_withstand_what_was_found() {
    replay("documents");
}

#[test]
fn filters_withstand_what_was_found() {
    replay("filters");
}

#[test]
fn records_withstand_what_was_found() {
    replay("records");
}

/// Every fuzzer has a test, a corpus, and a place in the script.
#[test]
fn no_fuzzer_is_left_out() {
    let mut sources: Vec<String> = std::fs::read_dir(root().join("ffi/fuzz"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".c").map(str::to_owned))
        .filter(|name| name != "replay")
        .collect();
    sources.sort();
    assert_eq!(sources, FUZZERS);
    let mut corpora: Vec<_> = std::fs::read_dir(root().join("ffi/fuzz/corpus"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    corpora.sort();
    assert_eq!(corpora, FUZZERS);
    let this = include_str!("fuzz.rs");
    for name in FUZZERS {
        assert!(this.contains(&format!("    replay(\"{name}\");\n")), "{name}");
    }
}
