//! The documents tell the truth: their commands are run as they are written.
#![allow(missing_docs, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The blocks of one language in a document, in order.
fn blocks(document: &str, language: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join(document)).unwrap();
    let mut blocks = Vec::new();
    let mut block: Option<String> = None;
    for line in text.lines() {
        match (&mut block, line.strip_prefix("```")) {
            (None, Some(found)) if found == language => block = Some(String::new()),
            (Some(_), Some(_)) => blocks.extend(block.take()),
            (Some(lines), None) => {
                lines.push_str(line);
                lines.push('\n');
            }
            _ => {}
        }
    }
    blocks
}

/// Unmounts what a script left mounted, also after a failure.
struct Mountpoint(PathBuf);

impl Drop for Mountpoint {
    fn drop(&mut self) {
        let mounted = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
        if mounted.contains(&self.0.display().to_string()) {
            let _ = Command::new("fusermount3").arg("-u").arg("-z").arg(&self.0).status();
        }
    }
}

/// Runs a script in an empty home, with the command that was built for the tests.
fn run(script: &str, dir: &Path, variables: &[(&str, &Path)]) -> String {
    let command = Path::new(env!("CARGO_BIN_EXE_mirrordna"));
    let path = format!("{}:{}", command.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(dir)
        .env("PATH", path)
        .env_remove("MIRRORDNA_VAULT")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n--- stdout\n{stdout}\n--- stderr\n{stderr}", output.status);
    stdout.into_owned()
}

#[test]
fn the_guide_works_as_written() {
    let scratch = tempfile::tempdir().unwrap();
    let _mountpoint = Mountpoint(scratch.path().join("mnt"));
    let blocks = blocks("docs/guide.md", "sh");
    assert!(blocks.len() > 10);
    run(&format!("set -x\n{}", blocks.concat()), scratch.path(), &[]);
}

#[test]
fn the_readme_works_as_written() {
    let scratch = tempfile::tempdir().unwrap();
    let _mountpoint = Mountpoint(scratch.path().join("mnt"));
    let blocks = blocks("README.md", "sh");
    assert_eq!(blocks.len(), 2);
    run(&format!("set -x\n{}", blocks.concat()), scratch.path(), &[("HOME", scratch.path())]);
}

#[test]
fn the_readme_sets_up_with_two_commands_and_the_first_one_works() {
    let setup = blocks("README.md", "setup").concat();
    assert_eq!(setup, "scripts/quickstart.sh\nscripts/test.sh\n");
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("quickstart");
    let _mountpoint = Mountpoint(dir.join("mnt"));
    // The target folder of this very test, so that nothing is compiled twice.
    let command = Path::new(env!("CARGO_BIN_EXE_mirrordna"));
    let target = command.parent().unwrap().parent().unwrap();
    let said =
        run("scripts/quickstart.sh", &root(), &[("QUICKSTART_DIR", dir.as_path()), ("CARGO_TARGET_DIR", target)]);
    assert!(said.contains("Done."), "{said}");
    assert!(dir.join("mnt/README.txt").exists(), "the vault is not mounted");
    assert!(std::fs::read_dir(dir.join("mnt/memories/long_term")).unwrap().count() > 2);
}
