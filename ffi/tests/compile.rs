//! The headers alone, and with all warnings, by both compilers in every standard that is promised.

use std::process::Command;

use crate::support::{STRICT, root, run};

fn check(compiler: &str, standard: &str, language: &str, text: &str) {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    std::fs::write(&source, text).unwrap();
    let mut command = Command::new(compiler);
    command.arg(format!("-std={standard}")).args(STRICT).args(["-fsyntax-only", "-x", language]);
    run(command.arg("-I").arg(root().join("include")).arg(&source));
}

#[test]
fn the_headers_alone_compile_in_every_standard() {
    for compiler in ["gcc", "clang"] {
        for standard in ["c11", "c17"] {
            check(
                compiler,
                standard,
                "c",
                "#include <mirrordna.h>\n#include <mirrordna.h>\nint main(void) { return 0; }\n",
            );
        }
    }
    for compiler in ["g++", "clang++"] {
        for standard in ["c++17", "c++20"] {
            for header in ["mirrordna.h", "mirrordna.hpp"] {
                let text = format!("#include <{header}>\n#include <{header}>\nint main() {{ return 0; }}\n");
                check(compiler, standard, "c++", &text);
            }
        }
    }
}

/// Every member of the C++ classes is compiled, templates included.
#[test]
fn all_of_the_cpp_header_compiles() {
    let text = std::fs::read_to_string(root().join("ffi/tests/c/all.cpp")).unwrap();
    for compiler in ["g++", "clang++"] {
        for standard in ["c++17", "c++20"] {
            check(compiler, standard, "c++", &text);
        }
    }
}

/// The layout of structures and the values of constants are those of the interface, on every target with 64 bits.
#[test]
fn layout_is_as_it_was_promised() {
    let text = std::fs::read_to_string(root().join("ffi/tests/c/layout.c")).unwrap();
    for compiler in ["gcc", "clang"] {
        check(compiler, "c11", "c", &text);
    }
}
