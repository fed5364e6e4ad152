//! A vault in a directory of its own, and the command on it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// An agent and a user that nobody made: references to them are checked for form only.
pub(crate) const AGENT: &str = "mdna_agt_0123456789abcdef";
pub(crate) const USER: &str = "mdna_usr_0123456789abcdef";

/// A directory with a vault in it, removed when dropped.
pub(crate) struct Bed {
    dir: TempDir,
}

/// What a run of the command left.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Bed {
    /// A new vault.
    pub(crate) fn new() -> Self {
        let bed = Self::empty();
        bed.ok(["-q", "init"]);
        bed
    }

    /// A directory without a vault.
    pub(crate) fn empty() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// A path in the directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Where the vault is.
    pub(crate) fn vault(&self) -> PathBuf {
        self.path("vault")
    }

    /// Writes a file in the directory.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// The command, on this vault, in this directory, in an environment without anything of ours.
    pub(crate) fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mirrordna"));
        command.env_clear().env("HOME", self.dir.path()).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("MIRRORDNA_VAULT", self.vault()).current_dir(self.dir.path());
        command.args(arguments).stdin(Stdio::null());
        command
    }

    /// Runs the command.
    pub(crate) fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Done {
        Done::from(self.command(arguments).output().unwrap())
    }

    /// Runs the command, which must succeed, and returns stdout without the last line break.
    #[track_caller]
    pub(crate) fn ok<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> String {
        let done = self.run(arguments);
        assert_eq!(done.code, 0, "{done:?}");
        done.stdout.trim_end_matches('\n').to_owned()
    }

    /// Runs the command, which must succeed, and returns what it prints as JSON.
    #[track_caller]
    pub(crate) fn json<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Value {
        let arguments: Vec<_> = arguments.into_iter().map(|argument| argument.as_ref().to_owned()).collect();
        let done = self.run([OsStr::new("--json")].into_iter().chain(arguments.iter().map(AsRef::as_ref)));
        assert_eq!(done.code, 0, "{done:?}");
        serde_json::from_str(&done.stdout).unwrap_or_else(|error| panic!("{error}: {done:?}"))
    }

    /// Runs the command, which must fail with this code, print no result, and say all of these things.
    #[track_caller]
    pub(crate) fn fails<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>, code: i32, said: &[&str]) {
        let done = self.run(arguments);
        assert_eq!((done.code, done.stdout.as_str()), (code, ""), "{done:?}");
        for text in said {
            assert!(done.stderr.contains(text), "{text:?} is not said: {done:?}");
        }
        assert!(!done.stderr.contains("panicked"), "{done:?}");
    }

    /// A session and its id.
    pub(crate) fn session(&self) -> String {
        self.ok(["session", "start", "--agent", AGENT, "--user", USER])
    }

    /// A memory of a session and its id.
    pub(crate) fn memory(&self, session: &str, text: &str) -> String {
        self.ok(["memory", "add", text, "--tier", "short_term", "--session", session])
    }

    /// The golden data of the reference.
    pub(crate) fn golden() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/store"))
    }
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}
