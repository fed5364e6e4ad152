//! The three ways to a vault, each through a process of its own: the mount, the command, and a program that uses the library.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::process::Stdio;

use mirrordna::record::{Kind, json};
use mirrordna::storage::NOW;
use mirrordna::vault::Filter;
use mirrordna::{Vault, VaultOptions};

use crate::place::{LONG, Place};
use crate::system::close;
use crate::texts::memory_text;

/// What the command ends with when there is no such record.
const NOT_FOUND: i32 = 15;

/// What is done to memories through a surface. Each says what went wrong.
pub(crate) trait Surface: Sync {
    fn name(&self) -> &'static str;

    /// Writes a memory, whether it is there or not.
    fn write(&self, id: &str, content: &str) -> Result<(), String>;

    /// Its content; none when it is not there.
    fn read(&self, id: &str) -> Result<Option<String>, String>;

    fn delete(&self, id: &str) -> Result<(), String>;

    fn list(&self) -> Result<BTreeSet<String>, String>;
}

/// The record is in this tier whatever its text says when it is written as a file.
const TIER: &str = "short_term";

fn text(id: &str, content: &str) -> String {
    memory_text(id, content).replacen('{', &format!("{{\"tier\": \"{TIER}\", "), 1)
}

fn content_of(record: &[u8]) -> Result<String, String> {
    let value = json::parse(record).map_err(|error| format!("{error}: {}", String::from_utf8_lossy(record)))?;
    value.str_at("content").map(str::to_owned).ok_or_else(|| "it has no content".to_owned())
}

/// The mounted directory.
pub(crate) struct Mount<'a>(pub(crate) &'a Place);

impl Mount<'_> {
    fn path(&self, id: &str) -> std::path::PathBuf {
        self.0.point.join(format!("memories/{TIER}/{id}.json"))
    }
}

impl Surface for Mount<'_> {
    fn name(&self) -> &'static str {
        "mount"
    }

    fn write(&self, id: &str, content: &str) -> Result<(), String> {
        let write = || {
            let mut file = File::create(self.path(id))?;
            file.write_all(text(id, content).as_bytes())?;
            close(file)
        };
        write().map_err(|error: std::io::Error| {
            let reason = fs::read_to_string(self.0.point.join(".vault/last-error")).unwrap_or_default();
            format!("{error}; {reason}")
        })
    }

    fn read(&self, id: &str) -> Result<Option<String>, String> {
        match fs::read(self.path(id)) {
            Ok(bytes) => content_of(&bytes).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    fn delete(&self, id: &str) -> Result<(), String> {
        fs::remove_file(self.path(id)).map_err(|error| error.to_string())
    }

    fn list(&self) -> Result<BTreeSet<String>, String> {
        let listed = || -> std::io::Result<Vec<String>> {
            let entries = fs::read_dir(self.0.point.join(format!("memories/{TIER}")))?;
            entries.map(|entry| entry.map(|entry| entry.file_name().into_string().unwrap())).collect()
        };
        let names = listed().map_err(|error| error.to_string())?;
        Ok(names.iter().filter_map(|name| name.strip_suffix(".json")).map(str::to_owned).collect())
    }
}

/// The command, which is started anew each time.
pub(crate) struct Command<'a>(pub(crate) &'a Place);

impl Command<'_> {
    /// Its exit code and what it printed.
    fn run(&self, arguments: &[&str], stdin: &str) -> Result<(i32, Vec<u8>), String> {
        let mut command = self.0.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).map_err(|error| error.to_string())?;
        let output = child.wait_with_output().map_err(|error| error.to_string())?;
        match output.status.code() {
            Some(code @ (0 | NOT_FOUND)) => Ok((code, output.stdout)),
            _ => Err(format!("{arguments:?}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr))),
        }
    }

    fn succeed(&self, arguments: &[&str], stdin: &str) -> Result<Vec<u8>, String> {
        match self.run(arguments, stdin)? {
            (0, said) => Ok(said),
            _ => Err(format!("{arguments:?}: it is not there")),
        }
    }
}

impl Surface for Command<'_> {
    fn name(&self) -> &'static str {
        "command"
    }

    fn write(&self, id: &str, content: &str) -> Result<(), String> {
        self.succeed(&["record", "put", "memories", "-"], &text(id, content)).map(drop)
    }

    fn read(&self, id: &str) -> Result<Option<String>, String> {
        match self.run(&["--json", "record", "get", "memories", id], "")? {
            (0, said) => content_of(&said).map(Some),
            _ => Ok(None),
        }
    }

    fn delete(&self, id: &str) -> Result<(), String> {
        self.succeed(&["record", "delete", "memories", id], "").map(drop)
    }

    fn list(&self) -> Result<BTreeSet<String>, String> {
        let said = self.succeed(&["--jsonl", "record", "list", "memories"], "")?;
        let records = said.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let id = |line| json::parse(line).ok()?.str_at("memory_id").map(str::to_owned);
        records.map(|line| id(line).ok_or_else(|| String::from_utf8_lossy(line).into_owned())).collect()
    }
}

/// The library, in this process.
pub(crate) struct Library(pub(crate) Vault);

impl Library {
    pub(crate) fn open(place: &Place) -> Self {
        let options = VaultOptions { lock_timeout: LONG, ..VaultOptions::default() };
        Self(Vault::open(&place.vault, &options).unwrap())
    }

    /// How many versions a memory had.
    pub(crate) fn versions(&self, id: &str) -> u64 {
        self.0.history(Kind::Memory, id, NOW, usize::MAX).unwrap().len() as u64
    }
}

impl Surface for Library {
    fn name(&self) -> &'static str {
        "library"
    }

    fn write(&self, id: &str, content: &str) -> Result<(), String> {
        let value = json::parse(text(id, content).as_bytes()).unwrap();
        self.0.put(Kind::Memory, value).map(drop).map_err(|error| error.to_string())
    }

    fn read(&self, id: &str) -> Result<Option<String>, String> {
        let found = self.0.find(Kind::Memory, id).map_err(|error| error.to_string())?;
        Ok(found.map(|record| record.value.str_at("content").unwrap_or_default().to_owned()))
    }

    fn delete(&self, id: &str) -> Result<(), String> {
        self.0.delete(Kind::Memory, id).map(drop).map_err(|error| error.to_string())
    }

    fn list(&self) -> Result<BTreeSet<String>, String> {
        let records = self.0.list(Kind::Memory, &Filter::default()).map_err(|error| error.to_string())?;
        records.map(|record| record.map(|record| record.id).map_err(|error| error.to_string())).collect()
    }
}
