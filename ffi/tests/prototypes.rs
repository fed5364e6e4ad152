//! The functions of the header, read from it.

use crate::support::read;

/// A function.
#[derive(Clone, Debug)]
pub(crate) struct Prototype {
    pub(crate) returns: String,
    pub(crate) name: String,
    pub(crate) parameters: Vec<Parameter>,
    /// The comment above it, on one line.
    pub(crate) comment: String,
}

/// A parameter.
#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    /// Its type, as `const char *`.
    pub(crate) kind: String,
    pub(crate) name: String,
}

impl Parameter {
    pub(crate) fn is_pointer(&self) -> bool {
        self.kind.ends_with('*') || self.kind.ends_with("_fn")
    }
}

impl Prototype {
    /// Whether the comment says that a parameter may be NULL: in one clause with its name.
    pub(crate) fn may_be_null(&self, parameter: &str) -> bool {
        let name = format!("`{parameter}`");
        let mut clauses = self.comment.split(". ").flat_map(|sentence| sentence.split("; "));
        clauses.any(|clause| clause.contains(&name) && clause.contains("may be NULL"))
    }

    pub(crate) fn is_fallible(&self) -> bool {
        self.returns == "mdna_status"
    }
}

/// All functions, in order of the header.
pub(crate) fn all() -> Vec<Prototype> {
    let header = read("include/mirrordna.h");
    let mut found = Vec::new();
    let mut comment = String::new();
    let mut lines = header.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("/**") {
            line.clone_into(&mut comment);
            while !comment.ends_with("*/") {
                comment.push(' ');
                comment.push_str(lines.next().unwrap().trim_start().trim_start_matches('*').trim());
                if comment.ends_with(" /") {
                    comment.truncate(comment.len() - 2);
                    comment.push_str("*/");
                }
            }
        } else if line.contains(" mdna_") || line.contains("*mdna_") {
            let is_function = !line.starts_with([' ', '#', '}', '*', '/'])
                && !line.starts_with("typedef")
                && !line.starts_with("struct")
                && !line.starts_with("enum");
            if is_function && line.contains('(') {
                let mut text = line.to_owned();
                while !text.ends_with(';') {
                    text.push(' ');
                    text.push_str(lines.next().unwrap().trim());
                }
                found.push(parse(&text, std::mem::take(&mut comment)));
            }
        }
    }
    assert!(found.len() > 80, "only {} functions were found", found.len());
    found
}

fn parse(text: &str, comment: String) -> Prototype {
    let (head, rest) = text.split_once('(').unwrap();
    let (returns, name) = split_name(head);
    let list = rest.trim_end_matches(';').trim_end_matches(')');
    let parameters = list.split(',').map(str::trim).filter(|parameter| *parameter != "void" && !parameter.is_empty());
    let parameters = parameters
        .map(|parameter| {
            let (kind, name) = split_name(parameter);
            Parameter { kind, name }
        })
        .collect();
    Prototype { returns, name, parameters, comment }
}

/// Type and name of `const char *name`.
fn split_name(text: &str) -> (String, String) {
    let at = text.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap();
    let (kind, name) = text.split_at(at + 1);
    (kind.replace("struct ", "").replace("enum ", "").trim().to_owned(), name.to_owned())
}

#[test]
fn prototypes_are_understood() {
    let all = all();
    let add = all.iter().find(|function| function.name == "mdna_memory_add").unwrap();
    let kinds: Vec<_> = add.parameters.iter().map(|parameter| parameter.kind.as_str()).collect();
    assert_eq!(kinds, ["mdna_vault *", "const char *", "mdna_string *"]);
    assert!(add.is_fallible() && add.may_be_null("out_id") && !add.may_be_null("vault"));
    let free = all.iter().find(|function| function.name == "mdna_string_free").unwrap();
    assert!(!free.is_fallible() && free.parameters.len() == 1);
}
