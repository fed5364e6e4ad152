//! Every example in examples/c is built and run, and is short.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::running::Running;
use crate::support::{build, library_dir, output, program, root, run};

/// A folder for an example, in which nothing stays mounted.
fn place() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("mdna-example-").tempdir().unwrap()
}

fn example(name: &str) -> PathBuf {
    root().join("examples/c").join(name)
}

fn c(name: &str, place: &Path) -> PathBuf {
    let binary = place.join(name);
    build("gcc", "c11", &example(&format!("{name}.c")), &binary);
    binary
}

#[test]
fn examples_are_short_and_all_of_them_are_run() {
    let run = ["agent.c", "mount.sh", "threads.c", "vault.cpp", "vault.py", "watch.c"];
    let mut there: Vec<_> = std::fs::read_dir(root().join("examples/c"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    there.sort();
    assert_eq!(there, run, "an example has no test");
    for name in run {
        let lines = std::fs::read_to_string(example(name)).unwrap().lines().count();
        assert!(lines < 150, "{name} has {lines} lines");
    }
}

#[test]
fn examples_compile_in_every_standard() {
    let place = place();
    let binary = place.path().join("binary");
    for (compiler, standards) in [("gcc", ["c11", "c17"]), ("clang", ["c11", "c17"])] {
        for standard in standards {
            for name in ["agent.c", "threads.c", "watch.c"] {
                build(compiler, standard, &example(name), &binary);
            }
        }
    }
    for (compiler, standards) in [("g++", ["c++17", "c++20"]), ("clang++", ["c++17", "c++20"])] {
        for standard in standards {
            build(compiler, standard, &example("vault.cpp"), &binary);
        }
    }
}

/// The program in the README compiles without a warning, and says why it finds nothing.
#[test]
fn the_program_in_the_readme_works() {
    let readme = crate::support::read("README.md");
    let text = readme.split("```c\n").nth(1).unwrap().split("```").next().unwrap();
    let place = place();
    let (source, binary) = (place.path().join("readme.c"), place.path().join("readme"));
    std::fs::write(&source, text).unwrap();
    build("gcc", "c11", &source, &binary);
    let output = output(program(&binary).current_dir(place.path()));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("my-vault is not a vault"), "{said}");
}

#[test]
fn the_agent_remembers_and_recalls() {
    let place = place();
    let agent = c("agent", place.path());
    let vault = place.path().join("vault");
    let first = run(program(&agent).arg(&vault).args(["I like tea", "tea"]));
    assert!(first.contains("recalled: I like tea") && first.contains("snapshot snap_"), "{first}");
    let second = run(program(&agent).arg(&vault).args(["The mountains are blue", "a"]));
    assert!(second.contains("recalled: I like tea") && second.contains("recalled: The mountains are blue"), "{second}");
    let usage = output(&mut program(&agent));
    assert_eq!(usage.status.code(), Some(1));
}

#[test]
fn threads_share_a_handle() {
    let place = place();
    let threads = c("threads", place.path());
    assert_eq!(run(program(&threads).arg(place.path().join("vault"))), "100 memories\n");
}

/// A watch sees what another process does: the callback fires across processes.
#[test]
fn a_watch_sees_the_changes_of_another_process() {
    let place = place();
    let (watch, agent) = (c("watch", place.path()), c("agent", place.path()));
    let vault = place.path().join("vault");
    run(program(&agent).arg(&vault).args(["one", "one"]));
    let mut watching = Running::new(program(&watch).arg(&vault).arg("6").stdout(Stdio::piped()));
    let mut lines = BufReader::new(watching.child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "watching");
    run(program(&agent).arg(&vault).args(["two", "two"]));
    let seen: Vec<String> = lines.map(Result::unwrap).collect();
    let (status, in_time) = watching.wait();
    assert!(status.success() && in_time, "{status}");
    let changes: Vec<_> =
        seen.iter().map(|line| line.split(' ').skip(1).take(2).collect::<Vec<_>>().join(" ")).collect();
    let expected = [
        "create identities",
        "create identities",
        "create sessions",
        "create memories",
        "update sessions",
        "create snapshots",
    ];
    assert_eq!(changes, expected, "{seen:?}");
}

#[test]
fn cpp_works_on_vaults_and_backups() {
    let place = place();
    let binary = place.path().join("vault-cpp");
    build("g++", "c++17", &example("vault.cpp"), &binary);
    let said = run(program(&binary).arg(place.path().join("vault")).arg(place.path().join("backups")));
    for part in [
        "found {",
        "at the snapshot: {",
        "since then: {",
        "MDNA_NOT_FOUND: there is no memory",
        "storing ",
        "\"first\"",
    ] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
}

#[test]
fn python_needs_nothing_but_its_standard_library() {
    let place = place();
    let library = library_dir().join("libmirrordna.so");
    let mut python = Command::new("python3");
    let said =
        run(python.args(["-I", "-W", "error"]).arg(example("vault.py")).arg(place.path().join("vault")).arg(library));
    assert!(said.contains("found Zürich") && said.contains("clean True"), "{said}");
}

/// The program of a C programmer and the shell on a mount, on one vault at once.
#[test]
fn shell_tools_see_what_a_c_program_stored() {
    let place = place();
    let agent = c("agent", place.path());
    let command = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("mirrordna");
    assert!(command.is_file(), "{} was not built: build the workspace first", command.display());
    let work = place.path().join("work");
    std::fs::create_dir(&work).unwrap();
    let mut shell = Command::new("bash");
    shell.env("LD_LIBRARY_PATH", library_dir());
    let said = run(shell.arg(example("mount.sh")).arg(agent).arg(work).arg(command));
    assert!(said.contains("I like tea\n") && said.ends_with("1\n2\n"), "{said}");
}
