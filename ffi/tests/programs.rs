//! C programs that call every function, where it succeeds and where it fails; plainly, and under valgrind.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{build, installed, library_dir, program, read, root, run};

pub(crate) const PROGRAMS: [&str; 13] = [
    "vault",
    "records",
    "documents",
    "batches",
    "history",
    "backups",
    "artifacts",
    "mounts",
    "threads",
    "exits",
    "signals",
    "forks",
    "owners",
];

/// The folder of a program, in which nothing stays mounted.
pub(crate) struct Place(tempfile::TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::Builder::new().prefix("mdna-c-").tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn work(&self) -> PathBuf {
        let work = self.0.path().join("work");
        std::fs::create_dir(&work).unwrap();
        work
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mounted = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
        let mine = mounted.lines().filter_map(|line| line.split(' ').nth(1));
        for point in mine.filter(|point| Path::new(point).starts_with(self.0.path())).collect::<Vec<_>>().iter().rev() {
            let _ = Command::new("umount").args(["-l", point]).status();
        }
    }
}

fn built(name: &str, place: &Place) -> PathBuf {
    let program = place.0.path().join(name);
    build("gcc", "c11", &root().join(format!("ffi/tests/c/{name}.c")), &program);
    program
}

fn plain(name: &str) {
    let place = Place::new();
    let path = built(name, &place);
    run(program(&path).arg(place.work()));
}

/// The program `mounts`, as it runs under valgrind.
const MOUNTS: &str = "mounts_valgrind";

fn valgrind(name: &str) {
    if !installed("valgrind") {
        return;
    }
    let place = Place::new();
    let path = built(name, &place);
    let mut command = Command::new("valgrind");
    command.env("LD_LIBRARY_PATH", library_dir());
    command.args(["--quiet", "--error-exitcode=99", "--leak-check=full", "--errors-for-leak-kinds=definite,indirect"]);
    // Programs wait for each other in threads; nobody is favoured.
    command.args(["--fair-sched=yes", "--child-silent-after-fork=yes"]);
    // One thread at a time runs there. Those that answer the mount are to run while others wait for it, in whichever call.
    if name == MOUNTS {
        command.arg("--sim-hints=fuse-compatible");
    }
    command.arg(path).arg(place.work());
    // All of it is slow.
    run(if name == "threads" { command.args(["2", "unmounted"]) } else { &mut command });
}

/// What the C++ header adds, by both compilers and in both standards.
#[test]
fn cpp() {
    for (compiler, standard) in [("g++", "c++17"), ("g++", "c++20"), ("clang++", "c++17"), ("clang++", "c++20")] {
        let place = Place::new();
        let path = place.path().join("cpp");
        build(compiler, standard, &root().join("ffi/tests/c/cpp.cpp"), &path);
        run(program(&path).arg(place.work()));
    }
}

#[test]
fn vaults() {
    plain("vault");
}

#[test]
fn records() {
    plain("records");
}

#[test]
fn documents() {
    plain("documents");
}

#[test]
fn documents_are_clean_under_valgrind() {
    valgrind("documents");
}

#[test]
fn batches() {
    plain("batches");
}

#[test]
fn batches_are_clean_under_valgrind() {
    valgrind("batches");
}

#[test]
fn history() {
    plain("history");
}

#[test]
fn backups() {
    plain("backups");
}

#[test]
fn buckets() {
    let place = Place::new();
    let path = built("buckets", &place);
    let variables = crate::server::server().variables(crate::server::OWNER);
    run(program(&path).arg(place.work()).arg(format!("s3://{}/c", crate::server::BUCKET)).envs(variables));
}

/// A server that answers before it has read the request, and closes the connection, is an error and no signal.
#[test]
fn servers_that_hang_up() {
    let place = Place::new();
    let path = built("hangups", &place);
    let proxy = crate::proxy::Proxy::new(crate::server::server().port);
    proxy.rule(|request| {
        let is_pack = request.method == "PUT" && request.target.contains("/packs/");
        is_pack.then_some(crate::proxy::Fault::AnswerEarly(503))
    });
    let variables = crate::server::variables(&proxy.endpoint, crate::server::OWNER);
    run(program(&path).arg(place.work()).arg(format!("s3://{}/hangups", crate::server::BUCKET)).envs(variables));
}

#[test]
fn signals() {
    plain("signals");
}

/// Not under valgrind: children would count as processes that lost what they had.
#[test]
fn forks() {
    plain("forks");
}

/// Not under valgrind, for the same reason.
#[test]
fn owners() {
    plain("owners");
}

#[test]
fn artifacts() {
    plain("artifacts");
}

#[test]
fn artifacts_are_clean_under_valgrind() {
    valgrind("artifacts");
}

#[test]
fn mounts() {
    plain("mounts");
}

#[test]
fn mounts_are_clean_under_valgrind() {
    valgrind(MOUNTS);
}

/// Not under valgrind: a vault that is left alone is lost, as far as that sees.
#[test]
fn exits() {
    plain("exits");
}

#[test]
fn threads() {
    plain("threads");
}

#[test]
fn threads_are_clean_under_valgrind() {
    valgrind("threads");
}

#[test]
fn vaults_are_clean_under_valgrind() {
    valgrind("vault");
}

#[test]
fn records_are_clean_under_valgrind() {
    valgrind("records");
}

#[test]
fn history_is_clean_under_valgrind() {
    valgrind("history");
}

#[test]
fn backups_are_clean_under_valgrind() {
    valgrind("backups");
}

/// The programs above call every function. Where each succeeds and fails is in [`crate::coverage`].
#[test]
fn every_function_is_called() {
    let texts: String = PROGRAMS.iter().map(|name| read(&format!("ffi/tests/c/{name}.c"))).collect();
    let words = |text: &str| -> Vec<String> {
        text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').map(str::to_owned).collect()
    };
    let called = words(&texts);
    for function in crate::prototypes::all() {
        assert!(called.contains(&function.name), "no C program calls {}", function.name);
    }
}
