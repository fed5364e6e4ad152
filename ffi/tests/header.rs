//! The header is what cbindgen makes of the sources, when `build.rs` runs.

use crate::support::{read, root};

/// The header in `include/` is what the build made of the sources.
#[test]
fn the_header_is_up_to_date() {
    let made = std::fs::read_to_string(env!("MDNA_HEADER")).unwrap();
    let there = read("include/mirrordna.h");
    let differs = there.lines().zip(made.lines()).position(|(there, made)| there != made);
    assert!(
        there == made,
        "include/mirrordna.h is not what ffi/src says (from line {}); run scripts/header.sh and commit it",
        differs.map_or_else(|| there.lines().count().min(made.lines().count()), |line| line + 1)
    );
}

/// Every file with an entry is read for the header.
#[test]
fn no_source_is_left_out() {
    let build = read("ffi/build.rs");
    for entry in std::fs::read_dir(root().join("ffi/src")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(build.contains(&format!("\n    \"{name}\",\n")) || !text.contains("no_mangle"), "{name}.rs");
    }
}

/// The header says of every function what it does, and no other header is needed but three.
#[test]
fn everything_is_documented() {
    for function in crate::prototypes::all() {
        assert!(function.comment.len() > 20, "{} has no comment", function.name);
        // Whoever reads the header must know what to do with what comes out.
        let gives_text = function.parameters.iter().any(|parameter| parameter.kind == "mdna_string *");
        if gives_text && function.name != "mdna_string_free" {
            let says = ["mdna_string_free()", "See `mdna_", "As `mdna_", "see `mdna_"];
            assert!(says.iter().any(|text| function.comment.contains(text)), "{}: how is it freed?", function.name);
        }
    }
    let header = read("include/mirrordna.h");
    let includes: Vec<_> = header.lines().filter(|line| line.starts_with("#include")).collect();
    assert_eq!(includes, ["#include <stdbool.h>", "#include <stddef.h>", "#include <stdint.h>"]);
    assert!(header.contains("extern \"C\""));
}

/// The C++ header has something for every function.
#[test]
fn cpp_has_everything() {
    let cpp = read("include/mirrordna.hpp");
    for function in crate::prototypes::all() {
        let named = cpp.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == function.name);
        assert!(named, "include/mirrordna.hpp does not use {}", function.name);
    }
}
