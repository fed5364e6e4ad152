//! docs/c-api.md says for every public operation of the library what it is in C.

use std::collections::BTreeSet;
use std::path::Path;

use crate::support::{read, root, sources};

/// Where the library is, and what it does for buckets and mounts.
const SOURCES: [&str; 3] = ["src", "s3/src", "mount/src"];

/// Modules of which the document speaks as a whole: what the rest of the library is made of.
const WHOLES: [&str; 3] = ["artifacts", "storage", "tree"];

/// How functions of a source are called that belong to no type: in the modules of records, which have the same names for
/// much, with their module.
fn module(source: &Path) -> Option<&str> {
    let below = source.strip_prefix("src/record").ok()?;
    let module = below.parent().filter(|folder| *folder != Path::new("")).unwrap_or(below);
    module.file_stem()?.to_str()
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}

/// The type that a line begins the functions of, if it is no trait's.
fn owner(line: &str) -> Option<String> {
    let rest = line.strip_prefix("impl")?;
    let rest = if rest.starts_with('<') { rest.split_once("> ")?.1 } else { rest.trim_start() };
    (!line.contains(" for ")).then(|| word(rest))
}

fn function(line: &str) -> Option<String> {
    ["pub fn ", "pub const fn "].iter().find_map(|start| line.strip_prefix(start)).map(word)
}

/// The functions and traits of one source that are public.
fn operations_of(source: &Path, text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let mut current: Option<String> = None;
    for line in text.lines() {
        if line.starts_with("impl") {
            current = owner(line);
        } else if line == "}" {
            current = None;
        } else if let Some(name) = line.strip_prefix("    ").and_then(function) {
            found.extend(current.as_ref().map(|owner| format!("{owner}::{name}")));
        } else if let Some(name) = function(line) {
            found.insert(module(source).map_or_else(|| name.clone(), |module| format!("{module}::{name}")));
        } else if let Some(rest) = line.strip_prefix("pub trait ") {
            found.insert(word(rest));
        }
    }
    found
}

/// `Type::function` for all public functions of public types, `function` for free ones, `Trait` for what programs can
/// plug in, and `module::*` for modules that are told of as a whole.
fn operations() -> BTreeSet<String> {
    let mut paths = Vec::new();
    for dir in SOURCES {
        sources(&root().join(dir), &mut paths);
    }
    let mut found = BTreeSet::new();
    for path in paths {
        let source = path.strip_prefix(root()).unwrap();
        let whole = WHOLES.iter().find(|whole| source.starts_with(Path::new("src").join(whole)));
        match whole {
            Some(whole) => drop(found.insert(format!("{whole}::*"))),
            None => found.extend(operations_of(source, &std::fs::read_to_string(&path).unwrap())),
        }
    }
    assert!(found.len() > 250, "only {} operations were found", found.len());
    found
}

/// Whether a name that the document gives stands for an operation: `Type::*` for all of a type.
fn names(listed: &str, operation: &str) -> bool {
    listed == operation
        || listed.strip_suffix('*').is_some_and(|start| start.ends_with("::") && operation.starts_with(start))
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
    let missing: Vec<_> =
        operations.iter().filter(|operation| !listed.iter().any(|listed| names(listed, operation))).collect();
    assert!(missing.is_empty(), "docs/c-api.md does not say what these are in C: {missing:#?}");
    let is_gone = |listed: &&String| !operations.iter().any(|operation| names(listed, operation));
    let gone: Vec<_> = listed.iter().filter(|name| name.contains("::")).filter(is_gone).collect();
    assert!(gone.is_empty(), "docs/c-api.md names what is gone: {gone:#?}");
}

#[test]
fn operations_are_found_in_sources() {
    let text = "pub trait Clock: Send {\n    fn now(&self);\n}\nimpl<R: Read> Reader<R> {\n    pub fn new() -> Self {\n\
                }\nimpl Clock for Reader<u8> {\n    pub fn not_this() {\n}\npub const fn seal() {}\npub(crate) fn nor_this() {\n\
                #[cfg(test)]\nmod tests {\n    pub fn nor_that() {";
    let found = |source: &str| operations_of(Path::new(source), text).into_iter().collect::<Vec<_>>();
    assert_eq!(found("src/health.rs"), ["Clock", "Reader::new", "seal"]);
    assert_eq!(found("src/record/id.rs"), ["Clock", "Reader::new", "id::seal"]);
    assert_eq!(found("src/record/yaml/read.rs"), ["Clock", "Reader::new", "yaml::seal"]);
    assert!(names("Reader::*", "Reader::new") && names("seal", "seal"));
    assert!(!names("Reader", "Reader::new") && !names("Read::*", "Reader::new") && !names("Reader::*", "seal"));
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
