//! The C and C++ programs under `AddressSanitizer`, `LeakSanitizer` and `UndefinedBehaviorSanitizer`.
//!
//! The programs are instrumented, the library is the ordinary one. Its memory comes from the same `malloc`, so that what a
//! program does to it is seen, and leaks and double frees of the library as well; accesses within the library are for
//! valgrind to see.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use crate::programs::{PROGRAMS, Place};
use crate::running::succeeds;
use crate::support::{STRICT, library_dir, output, program, root, run};

/// What is looked for. The libraries for it come with gcc.
pub(crate) const SANITIZERS: [&str; 4] =
    ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g"];

/// Compiles sources in C into a program that finds the shared library and is watched.
pub(crate) fn sanitized(sources: &[PathBuf], to: &Path) {
    sanitized_by("gcc", "c11", sources, to);
}

fn sanitized_by(compiler: &str, standard: &str, sources: &[PathBuf], to: &Path) {
    let mut command = Command::new(compiler);
    command.arg(format!("-std={standard}")).args(STRICT).args(SANITIZERS).args(["-O1", "-pthread"]);
    command.arg("-I").arg(root().join("include")).args(sources).arg("-o").arg(to);
    run(command.arg("-L").arg(library_dir()).arg("-lmirrordna"));
}

/// Whether leaks can be looked for. `LeakSanitizer` stops all threads by tracing them, and where that is forbidden, as in many
/// containers, it hangs for ever (google/sanitizers#777). There valgrind alone looks for leaks.
fn leaks_are_found() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let (source, path) = (dir.path().join("clean.c"), dir.path().join("clean"));
        std::fs::write(&source, "int main(void) { return 0; }\n").unwrap();
        run(Command::new("gcc").args(SANITIZERS).arg(&source).arg("-o").arg(&path));
        let found = succeeds(Duration::from_secs(60), Command::new(&path).env("ASAN_OPTIONS", "detect_leaks=1"));
        if !found {
            eprintln!("LeakSanitizer does not work here, so leaks are left to valgrind");
        }
        found
    })
}

/// A command under the sanitizers.
pub(crate) fn watched(path: &Path) -> Command {
    let mut command = program(path);
    let leaks = u8::from(leaks_are_found());
    let others = "detect_stack_use_after_return=1:strict_string_checks=1:handle_abort=1";
    // What a failed check says is followed by where it was called.
    command.env("ASAN_OPTIONS", format!("detect_leaks={leaks}:{others}"));
    command.env("UBSAN_OPTIONS", "print_stacktrace=1");
    command.env_remove("LSAN_OPTIONS");
    command
}

fn clean(name: &str) {
    assert!(PROGRAMS.contains(&name));
    let place = Place::new();
    let path = place.path().join(name);
    sanitized(&[root().join(format!("ffi/tests/c/{name}.c"))], &path);
    run(watched(&path).arg(place.work()));
}

#[test]
fn vaults_are_clean_under_sanitizers() {
    clean("vault");
}

#[test]
fn records_are_clean_under_sanitizers() {
    clean("records");
}

#[test]
fn documents_are_clean_under_sanitizers() {
    clean("documents");
}

#[test]
fn batches_are_clean_under_sanitizers() {
    clean("batches");
}

#[test]
fn history_is_clean_under_sanitizers() {
    clean("history");
}

#[test]
fn backups_are_clean_under_sanitizers() {
    clean("backups");
}

#[test]
fn artifacts_are_clean_under_sanitizers() {
    clean("artifacts");
}

#[test]
fn mounts_are_clean_under_sanitizers() {
    clean("mounts");
}

#[test]
fn threads_are_clean_under_sanitizers() {
    clean("threads");
}

#[test]
fn exits_are_clean_under_sanitizers() {
    clean("exits");
}

#[test]
fn cpp_is_clean_under_sanitizers() {
    let place = Place::new();
    let path = place.path().join("cpp");
    sanitized_by("g++", "c++17", &[root().join("ffi/tests/c/cpp.cpp")], &path);
    run(watched(&path).arg(place.work()));
}

#[test]
fn signals_are_clean_under_sanitizers() {
    clean("signals");
}

#[test]
fn forks_are_clean_under_sanitizers() {
    clean("forks");
}

#[test]
fn owners_are_clean_under_sanitizers() {
    clean("owners");
}

/// No program is left out.
#[test]
fn every_program_is_run_under_sanitizers() {
    let this = include_str!("sanitizers.rs");
    for name in PROGRAMS {
        assert!(this.contains(&format!("    clean(\"{name}\");\n")), "{name}");
    }
}

/// The tests above can fail: programs that do wrong with what the library handed out are found out.
#[test]
fn the_sanitizers_see_what_programs_do_wrong() {
    let cases = [
        ("", "LeakSanitizer: detected memory leaks"),
        ("const char *data = text.data; mdna_string_free(&text); return data[0] == 'x';", "heap-use-after-free"),
        ("text.len = (size_t)text.data[text.len + 1];", "heap-buffer-overflow"),
        ("mdna_string copy = text; mdna_string_free(&text); mdna_string_free(&copy);", "attempting double-free"),
        ("int number = 2147483647; number += (int)text.len; return number == 3;", "signed integer overflow"),
    ];
    // The first is about leaks.
    for (wrong, seen) in cases.into_iter().skip(usize::from(!leaks_are_found())) {
        let place = Place::new();
        let (source, path) = (place.path().join("wrong.c"), place.path().join("wrong"));
        let main = format!(
            "#include <mirrordna.h>\nint main(void) {{\n    mdna_string text = MDNA_STRING_INIT;\n\
             if (mdna_schema_text(\"memories\", &text) != MDNA_OK) return 2;\n{wrong}\ntext.data = 0;\nreturn 0;\n}}\n"
        );
        std::fs::write(&source, main).unwrap();
        sanitized(&[source], &path);
        let output = output(&mut watched(&path));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(seen), "{wrong}: {}\n{said}", output.status);
    }
}
