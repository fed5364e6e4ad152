//! The header is what cbindgen makes of the sources. `scripts/header.sh` makes it anew.

use std::fmt::Write as _;
use std::path::Path;

use crate::support::{read, root};

/// The source files in the order in which the header has them.
const SOURCES: [&str; 26] = [
    "status",
    "error",
    "version",
    "string",
    "cursor",
    "progress",
    "log",
    "vault",
    "record",
    "identity",
    "session",
    "memory",
    "dna",
    "reflection",
    "timeline",
    "chain",
    "snapshot",
    "view",
    "watch",
    "verify",
    "interchange",
    "document",
    "repository",
    "keyring",
    "files",
    "mount",
];

fn macros() -> String {
    let mut text = String::new();
    let versions = [
        ("MAJOR", env!("CARGO_PKG_VERSION_MAJOR")),
        ("MINOR", env!("CARGO_PKG_VERSION_MINOR")),
        ("PATCH", env!("CARGO_PKG_VERSION_PATCH")),
    ];
    writeln!(text, "\n/* The version of this header; mdna_version() is that of the library. */").unwrap();
    writeln!(text, "#define MDNA_VERSION \"{}\"", env!("CARGO_PKG_VERSION")).unwrap();
    for (name, number) in versions {
        writeln!(text, "#define MDNA_VERSION_{name} {number}").unwrap();
    }
    writeln!(text, "/* The number of the interface; mdna_abi_version() is that of the library. */").unwrap();
    writeln!(text, "#define MDNA_ABI_VERSION {}", env!("MDNA_ABI")).unwrap();
    text
}

fn generate() -> String {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut config = cbindgen::Config::from_file(package.join("cbindgen.toml")).unwrap();
    config.after_includes = Some(read("ffi/preamble.h") + &macros() + "\n" + &read("ffi/initial.h"));
    let builder = SOURCES.iter().fold(cbindgen::Builder::new().with_config(config), |builder, source| {
        builder.with_src(package.join("src").join(format!("{source}.rs")))
    });
    let mut bytes = Vec::new();
    builder.generate().unwrap().write(&mut bytes);
    String::from_utf8(bytes).unwrap()
}

/// The header in `include/` is what the sources say.
#[test]
fn the_header_is_up_to_date() {
    let made = generate();
    if std::env::var_os("MDNA_UPDATE").is_some() {
        std::fs::write(root().join("include/mirrordna.h"), made).unwrap();
        return;
    }
    let there = read("include/mirrordna.h");
    let differs = there.lines().zip(made.lines()).position(|(there, made)| there != made);
    assert!(
        there == made,
        "include/mirrordna.h is not what ffi/src says (from line {}); run scripts/header.sh",
        differs.map_or_else(|| there.lines().count().min(made.lines().count()), |line| line + 1)
    );
}

/// Every file with an entry is read for the header.
#[test]
fn no_source_is_left_out() {
    for entry in std::fs::read_dir(root().join("ffi/src")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(SOURCES.contains(&name.as_str()) || !text.contains("no_mangle"), "{name}.rs");
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
