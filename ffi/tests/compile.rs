//! The headers alone, and with all warnings, by both compilers in every standard that is promised.

use std::process::Command;

use crate::support::{STRICT, output, root, run};

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
        // C23 under the name that both compilers know.
        for standard in ["c11", "c17", "c2x"] {
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

/// Results that a program must not leave unlooked at: the compilers warn, and only of these.
#[test]
fn what_is_ignored_is_warned_of() {
    let c = "void f(mdna_vault *vault) { CALL; }";
    for (compiler, standard) in [("gcc", "c11"), ("gcc", "c2x"), ("clang", "c11"), ("clang", "c2x")] {
        assert!(warns(compiler, standard, "c", "", &c.replace("CALL", "mdna_vault_flush(vault)")), "{compiler}");
        assert!(!warns(compiler, standard, "c", "", &c.replace("CALL", "mdna_vault_close(vault)")), "{compiler}");
        let empty = "#define MDNA_MUST_USE\n";
        assert!(!warns(compiler, standard, "c", empty, &c.replace("CALL", "mdna_vault_flush(vault)")), "{compiler}");
    }
    let cpp = "void f(mdna::Vault &vault, mdna::Repository &repository) { (void)vault, (void)repository; CALL; }";
    let ignored = [
        "vault.watch(nullptr)",
        "vault.mount(\"mnt\")",
        "vault.batch()",
        "vault.memory_list()",
        "vault.memory_list().next()",
        "vault.at(1)",
        "vault.file_open(\"file\")",
        "vault.as_actor(\"me\")",
        "vault.memory_get(\"x\")",
        "vault.identity_create(\"agent\")",
        "vault.verify()",
        "mdna::Repository::open(\"path\", nullptr)",
        "repository.verify()",
        "mdna::claim_verify(\"key\", \"x\", \"y\", \"z\")",
        "mdna::key_new()",
        "mdna_vault_flush(vault.get())",
    ];
    let not_needed =
        ["vault.memory_add(\"{}\")", "vault.snapshot_create()", "vault.flush()", "repository.create(vault)"];
    for compiler in ["g++", "clang++"] {
        for (calls, warned) in [(&ignored[..], true), (&not_needed[..], false)] {
            for call in calls {
                let found = warns(compiler, "c++17", "c++", "", &cpp.replace("CALL", call));
                assert_eq!(found, warned, "{compiler}: {call}");
            }
        }
    }
}

/// Whether a compiler finds an ignored result, and nothing else, in what is compiled in the end: gcc finds less before.
fn warns(compiler: &str, standard: &str, language: &str, before: &str, text: &str) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let (source, object) = (dir.path().join("source"), dir.path().join("object"));
    let header = if language == "c" { "mirrordna.h" } else { "mirrordna.hpp" };
    std::fs::write(&source, format!("{before}#include <{header}>\n{text}\n")).unwrap();
    let mut command = Command::new(compiler);
    command.arg(format!("-std={standard}")).args(STRICT).args(["-c", "-x", language]);
    let output = output(command.arg("-I").arg(root().join("include")).arg(&source).arg("-o").arg(object));
    let said = String::from_utf8_lossy(&output.stderr);
    let errors = said.lines().filter(|line| line.contains("error:") && !line.contains("all warnings"));
    let errors: Vec<_> = errors.collect();
    assert!(errors.iter().all(|error| error.contains("unused-result")), "{text}: {said}");
    assert_eq!(output.status.success(), errors.is_empty(), "{text}: {said}");
    !errors.is_empty()
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
