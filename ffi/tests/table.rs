//! docs/c-api.md says for every public operation of the library what it is in C.

use std::collections::BTreeSet;

use crate::support::{read, root};

/// The files that hold the operations of the library's users, and the types whose functions they are.
const SOURCES: [&str; 30] = [
    "src/vault/mod.rs",
    "src/vault/identities.rs",
    "src/vault/sessions.rs",
    "src/vault/memories.rs",
    "src/vault/agent_dna.rs",
    "src/vault/reflections.rs",
    "src/vault/timeline.rs",
    "src/vault/citations.rs",
    "src/vault/batch.rs",
    "src/vault/snapshots.rs",
    "src/vault/view.rs",
    "src/vault/overview.rs",
    "src/vault/log.rs",
    "src/vault/filter.rs",
    "src/files/mod.rs",
    "src/files/file.rs",
    "src/verify.rs",
    "src/health.rs",
    "src/observe.rs",
    "src/observe/listen.rs",
    "src/interchange/import.rs",
    "src/interchange/export.rs",
    "src/interchange/timeline.rs",
    "src/interchange/backup.rs",
    "src/interchange/files.rs",
    "src/crypto/signing.rs",
    "s3/src/destination.rs",
    "s3/src/settings.rs",
    "mount/src/session.rs",
    "mount/src/umount.rs",
];

/// All files of backups.
fn backup_sources() -> Vec<String> {
    let files = std::fs::read_dir(root().join("src/backup")).unwrap();
    files.map(|entry| format!("src/backup/{}", entry.unwrap().file_name().to_string_lossy())).collect()
}

/// Types that are about something else: what comes out of operations, how values are read, parts that programs plug in.
const NOT_OPERATIONS: [&str; 14] = [
    "Tier",
    "ReflectionType",
    "Overview",
    "Report",
    "Health",
    "Status",
    "ExportReport",
    "Restored",
    "Phase",
    "Folder",
    "Retention",
    "Part",
    "SlotKind",
    "VerifyReport",
];

/// `Type::function` for all public functions of public types, and `function` for free ones.
fn operations() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let sources = SOURCES.iter().map(|source| (*source).to_owned()).chain(backup_sources());
    for source in sources {
        let text = read(&source);
        let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        let mut current: Option<String> = None;
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("impl ").or_else(|| line.strip_prefix("impl<'a> ")) {
                let of_trait = rest.contains(" for ");
                let name: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
                current = (!of_trait).then_some(name);
            } else if line == "}" {
                current = None;
            } else if let Some(rest) = line.strip_prefix("    pub fn ") {
                let Some(owner) = &current else { continue };
                let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                if !NOT_OPERATIONS.contains(&owner.as_str()) {
                    found.insert(format!("{owner}::{name}"));
                }
            } else if let Some(rest) = line.strip_prefix("pub fn ") {
                found.insert(rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect());
            }
        }
    }
    assert!(found.len() > 90, "only {} operations were found", found.len());
    found
}

/// The rows of the tables: the first cell, and the second one.
fn rows() -> Vec<(String, String)> {
    let document = read("docs/c-api.md");
    let tables = document.split_once("## From Rust to C").unwrap().1;
    let rows = tables.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---"));
    rows.filter(|line| *line != "| Rust | C |")
        .map(|line| {
            let mut cells = line.trim_matches('|').split(" | ").map(str::trim);
            (cells.next().unwrap().to_owned(), cells.next().unwrap().trim_end_matches('|').trim().to_owned())
        })
        .collect()
}

/// The words in backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_operation_has_a_row() {
    let listed: BTreeSet<String> = rows().iter().flat_map(|(rust, _)| quoted(rust)).map(str::to_owned).collect();
    let operations = operations();
    let missing: Vec<_> = operations.difference(&listed).collect();
    assert!(missing.is_empty(), "docs/c-api.md does not say what these are in C: {missing:#?}");
    let gone: Vec<_> = listed.difference(&operations).filter(|name| name.contains("::")).collect();
    assert!(gone.is_empty(), "docs/c-api.md names what is gone: {gone:#?}");
}

#[test]
fn every_function_of_the_header_has_a_row_and_no_row_names_another() {
    let rows = rows();
    let listed: BTreeSet<&str> =
        rows.iter().flat_map(|(_, c)| quoted(c)).filter(|name| name.starts_with("mdna_")).collect();
    let functions = crate::prototypes::all();
    let declared: BTreeSet<&str> = functions.iter().map(|function| function.name.as_str()).collect();
    let missing: Vec<_> = declared.difference(&listed).collect();
    assert!(missing.is_empty(), "docs/c-api.md does not name {missing:?}");
    let gone: Vec<_> = listed.difference(&declared).collect();
    assert!(gone.is_empty(), "docs/c-api.md names {gone:?}, which the header does not have");
    // What has no function in C has a reason.
    for (rust, c) in &rows {
        assert!(c.contains("`mdna_") || c.len() > 10, "{rust} has neither a function in C nor a reason");
    }
}
