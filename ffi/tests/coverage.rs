//! The C programs call every function that can fail where it succeeds and where it fails, and not merely for what it is given.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::root;

/// What is said of arguments alone.
const ABOUT_ARGUMENTS: [&str; 4] =
    ["MDNA_NULL_POINTER", "MDNA_INVALID_ARGUMENT", "MDNA_INVALID_UTF8", "MDNA_UNSUPPORTED_VERSION"];
/// What is said of any handle, or of the process.
const ABOUT_HANDLES: [&str; 2] = ["MDNA_FORKED", "MDNA_BATCH_CLOSED"];

/// Functions for which nothing else can go wrong that a test could bring about: they look at what is in memory, or begin a listing,
/// which fails where it is read, or have no way to fail that is their own.
const NOTHING_ELSE: [&str; 34] = [
    "mdna_batch_begin",
    "mdna_bytes_checksum",
    "mdna_citation_template",
    "mdna_claim_verify",
    "mdna_cursor_position",
    "mdna_health_check",
    "mdna_id_dna",
    "mdna_id_event",
    "mdna_id_reflection",
    "mdna_key_file_new",
    "mdna_key_new",
    "mdna_log_set",
    "mdna_memory_list",
    "mdna_memory_search",
    "mdna_mount_path",
    "mdna_record_list",
    "mdna_reflection_list",
    "mdna_repository_describe",
    "mdna_s3_settings_cancel",
    "mdna_s3_settings_limit",
    "mdna_s3_settings_new",
    "mdna_s3_settings_set",
    "mdna_session_list",
    "mdna_snapshot_list",
    "mdna_vault_actor",
    "mdna_vault_as_actor",
    "mdna_vault_config_template",
    "mdna_vault_health",
    "mdna_vault_id",
    "mdna_vault_log",
    "mdna_vault_path",
    "mdna_vault_with_durability",
    "mdna_view_diff",
    "mdna_view_sequence",
];

/// What the C programs call: functions that succeed, and with which statuses each fails.
#[derive(Debug, Default)]
struct Calls {
    succeed: BTreeSet<String>,
    fail: BTreeMap<String, BTreeSet<String>>,
}

impl Calls {
    /// Looks for the macros of `check.h`, and those of programs that are made of them: `OK(call)` and `NAME(MDNA_STATUS, call`.
    fn read(&mut self, text: &str) {
        for (at, _) in text.match_indices("mdna_") {
            let name: String = text[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            let (before, after) = (text[..at].trim_end(), &text[at + name.len()..]);
            if !after.starts_with('(') {
                continue;
            }
            if before.strip_suffix("OK(").is_some_and(|before| !before.ends_with(is_of_name)) {
                self.succeed.insert(name);
            } else if let Some(before) = before.strip_suffix(',') {
                let (macro_call, status) = before.rsplit_once('(').unwrap_or_default();
                let is_macro = macro_call.ends_with(|c: char| c.is_ascii_uppercase());
                let is_status = status.starts_with("MDNA_") && status.chars().all(is_of_name);
                if is_macro && is_status && status != "MDNA_OK" && status != "MDNA_END" {
                    self.fail.entry(name).or_default().insert(status.to_owned());
                }
            }
        }
    }

    fn of_programs() -> Self {
        let mut calls = Self::default();
        for entry in std::fs::read_dir(root().join("ffi/tests/c")).unwrap() {
            let path = entry.unwrap().path();
            // Those in C++ see the functions through a header of their own.
            if path.extension().is_some_and(|extension| extension == "c" || extension == "h") {
                calls.read(&std::fs::read_to_string(path).unwrap());
            }
        }
        calls
    }

    /// Whether a function fails with a status that is in none of these lists.
    fn fails_beside(&self, function: &str, lists: &[&[&str]]) -> bool {
        let mut statuses = self.fail.get(function).into_iter().flatten();
        statuses.any(|status| !lists.iter().any(|list| list.contains(&status.as_str())))
    }
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[test]
fn every_function_is_seen_to_succeed_and_to_fail() {
    let calls = Calls::of_programs();
    let functions = crate::prototypes::all().into_iter().filter(crate::prototypes::Prototype::is_fallible);
    let functions: BTreeSet<String> = functions.map(|function| function.name).collect();
    let listed = |name: &str| NOTHING_ELSE.contains(&name);
    let without_success: Vec<_> = functions.iter().filter(|name| !calls.succeed.contains(*name)).collect();
    assert!(without_success.is_empty(), "no C program calls these where they succeed: {without_success:#?}");
    let without_failure: Vec<_> = functions.iter().filter(|name| !calls.fail.contains_key(*name)).collect();
    assert!(without_failure.is_empty(), "no C program calls these where they fail: {without_failure:#?}");
    let arguments_alone: Vec<_> = functions
        .iter()
        .filter(|name| !listed(name) && !calls.fails_beside(name, &[&ABOUT_ARGUMENTS, &ABOUT_HANDLES]))
        .collect();
    assert!(arguments_alone.is_empty(), "these are seen to fail for their arguments alone: {arguments_alone:#?}");
    for name in NOTHING_ELSE {
        assert!(functions.contains(name), "{name} is gone");
        assert!(!calls.fails_beside(name, &[&ABOUT_ARGUMENTS, &ABOUT_HANDLES]), "{name} fails for something else");
    }
}

#[test]
fn calls_are_understood() {
    let mut calls = Calls::default();
    calls.read("    OK(mdna_a(x));\n    FAILS(MDNA_IO, mdna_b(mdna_version(), 1));\n    NOT_OK(mdna_c(x));");
    calls.read("FAILS(MDNA_IO,\n          mdna_d(x)); NAMED(MDNA_LOCKED, mdna_d(x)); expect(MDNA_IO, mdna_e(x), 1);");
    calls.read("#define OK(call) expect(MDNA_OK, (call), #call)\nmdna_vault *mdna_f; f(MDNA_IO, mdna_g); EXPECT(MDNA_OK, mdna_h(x));");
    assert_eq!(calls.succeed, BTreeSet::from(["mdna_a".to_owned()]));
    let statuses = |statuses: &[&str]| statuses.iter().map(|status| (*status).to_owned()).collect::<BTreeSet<_>>();
    let failing = [("mdna_b", statuses(&["MDNA_IO"])), ("mdna_d", statuses(&["MDNA_IO", "MDNA_LOCKED"]))];
    assert_eq!(calls.fail, failing.into_iter().map(|(name, statuses)| (name.to_owned(), statuses)).collect());
}
