//! Which repository is meant, and what opens it. A passphrase never stands in an argument, which `ps` shows to everybody.

use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use clap::Args;
use mirrordna::backup::{BackupError, Destination, Repository, Secret, SlotKind};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::context::Context;
use crate::error::{Failure, Result};

const VARIABLE: &str = "MIRRORDNA_PASSPHRASE";
/// A key file is not larger.
const MAX_KEY_FILE: u64 = 1 << 20;

/// Which repository, and what opens it.
#[derive(Args, Clone)]
pub(crate) struct Place {
    /// The repository: a folder, s3://BUCKET/PREFIX, or a sealed file to read from
    #[arg(long, value_name = "LOCATION", env = "MIRRORDNA_REPOSITORY")]
    repo: Option<String>,
    /// A file whose first line is the passphrase
    #[arg(long, value_name = "FILE", conflicts_with_all = ["passphrase_command", "key_file", "plain"])]
    passphrase_file: Option<PathBuf>,
    /// A command whose first line of output is the passphrase
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["key_file", "plain"])]
    passphrase_command: Option<String>,
    /// A file that is the key, instead of a passphrase
    #[arg(long, value_name = "FILE", conflicts_with = "plain")]
    key_file: Option<PathBuf>,
    /// The repository is not encrypted: whoever has it can read it
    #[arg(long)]
    plain: bool,
}

impl Place {
    /// Where the repository is.
    pub(crate) fn destination(&self, context: &Context) -> Result<Arc<dyn Destination>> {
        let repo = self.repo.as_deref().filter(|repo| !repo.is_empty());
        let Some(repo) = repo else {
            let text = "say with --repo LOCATION or MIRRORDNA_REPOSITORY where the backups are";
            return Err(Failure::Usage(text.to_owned()));
        };
        let settings = mirrordna_s3::Settings::from_env().stopped_when(context.interrupt().told());
        Ok(mirrordna_s3::destination(repo, &settings)?)
    }

    /// Opens the repository.
    pub(crate) fn open(&self, context: &Context) -> Result<Repository> {
        let destination = self.destination(context)?;
        let kinds = Repository::kinds(&*destination)?;
        let secret = match self.given()? {
            Some(secret) => secret,
            // There is nobody to be asked about what the repository does not have.
            None if kinds.is_empty() => Secret::None,
            None if !kinds.contains(&SlotKind::Passphrase) => Secret::None,
            None => Secret::Passphrase(prompt(&format!("Passphrase of {}: ", destination.location()))?),
        };
        if secret.kind() == SlotKind::Open && kinds.contains(&SlotKind::Open) {
            if !self.plain {
                // Somebody may have put an open repository in the place of an encrypted one.
                let text = format!("{} is not encrypted; say --plain if that is meant", destination.location());
                return Err(Failure::Usage(text));
            }
            context.note("the repository is plain: whoever can read it can read every backup in it");
        }
        Ok(Repository::open(destination, &secret)?)
    }

    /// What a new repository is to be opened with.
    pub(crate) fn new_secret(&self, context: &Context) -> Result<Secret> {
        let _ = context;
        match self.given()? {
            Some(secret) => Ok(secret),
            None => Ok(Secret::Passphrase(prompt_twice()?)),
        }
    }

    /// The passphrase that was given, if any.
    pub(crate) fn passphrase(&self, context: &Context) -> Result<Option<Zeroizing<String>>> {
        let _ = context;
        match self.given()? {
            Some(Secret::Passphrase(text)) => Ok(Some(text)),
            Some(Secret::None | Secret::KeyFile(_)) | None => Ok(None),
        }
    }

    fn given(&self) -> Result<Option<Secret>> {
        if self.plain {
            return Ok(Some(Secret::None));
        }
        if let Some(path) = &self.key_file {
            return key_file(path).map(Some);
        }
        if let Some(path) = &self.passphrase_file {
            return passphrase_file(path).map(|text| Some(Secret::Passphrase(text)));
        }
        if let Some(command) = &self.passphrase_command {
            return passphrase_command(command).map(|text| Some(Secret::Passphrase(text)));
        }
        let variable = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
        variable.map(|text| first_line(Zeroizing::new(text), VARIABLE).map(Secret::Passphrase)).transpose()
    }
}

/// What a new key slot is to be opened with.
#[derive(Args, Clone)]
pub(crate) struct NewSecret {
    /// A file whose first line is the new passphrase
    #[arg(long, value_name = "FILE", conflicts_with = "new_key_file")]
    new_passphrase_file: Option<PathBuf>,
    /// A file that is the new key; made if it is not there
    #[arg(long, value_name = "FILE")]
    new_key_file: Option<PathBuf>,
}

impl NewSecret {
    /// Reads it, or asks for it.
    pub(crate) fn read(&self, context: &Context) -> Result<Secret> {
        if let Some(path) = &self.new_key_file {
            if !path.exists() {
                make_key_file(path)?;
                context.note(&format!("made {}; keep a copy where it survives this machine", path.display()));
            }
            return key_file(path);
        }
        match &self.new_passphrase_file {
            Some(path) => Ok(Secret::Passphrase(passphrase_file(path)?)),
            None => Ok(Secret::Passphrase(prompt_twice()?)),
        }
    }
}

/// What opens a sealed file.
pub(crate) fn of_file(passphrase: Option<&Path>, context: &Context) -> Result<Secret> {
    let _ = context;
    match passphrase {
        Some(path) => Ok(Secret::Passphrase(passphrase_file(path)?)),
        None => Ok(Secret::Passphrase(prompt("Passphrase of the sealed file: ")?)),
    }
}

fn first_line(mut text: Zeroizing<String>, of: &str) -> Result<Zeroizing<String>> {
    let end = text.find(['\n', '\r']).unwrap_or(text.len());
    text.truncate(end);
    if text.is_empty() {
        return Err(BackupError::Argument { what: of.to_owned(), reason: "its first line is empty".to_owned() }.into());
    }
    Ok(text)
}

fn passphrase_file(path: &Path) -> Result<Zeroizing<String>> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::io(path, error))?;
    first_line(Zeroizing::new(text), &path.display().to_string())
}

fn passphrase_command(command: &str) -> Result<Zeroizing<String>> {
    let run = Command::new("sh").arg("-c").arg(command).stdin(Stdio::inherit()).stderr(Stdio::inherit()).output();
    let output = run.map_err(|error| Failure::io("sh", error))?;
    let said = Zeroizing::new(output.stdout);
    if !output.status.success() {
        return Err(Failure::Key { reason: format!("the passphrase command failed ({}): {command}", output.status) });
    }
    let text = std::str::from_utf8(&said)
        .map_err(|_| Failure::Key { reason: format!("what the passphrase command printed is not UTF-8: {command}") })?;
    first_line(Zeroizing::new(text.to_owned()), "the passphrase command")
}

fn key_file(path: &Path) -> Result<Secret> {
    let size = std::fs::metadata(path).map_err(|error| Failure::io(path, error))?.len();
    if size > MAX_KEY_FILE {
        return Err(Failure::Key { reason: format!("{} is too large for a key file", path.display()) });
    }
    let bytes = Zeroizing::new(std::fs::read(path).map_err(|error| Failure::io(path, error))?);
    Ok(Secret::KeyFile(bytes))
}

fn make_key_file(path: &Path) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let key = mirrordna::backup::new_key_file()?;
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| {
        file.write_all(&key)?;
        file.sync_all()
    });
    written.map_err(|error| Failure::io(path, error))
}

/// Asks at the terminal, without showing what is typed.
fn prompt(text: &str) -> Result<Zeroizing<String>> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::Usage(format!(
            "a passphrase is needed, and there is no terminal to ask at; give --passphrase-file, --passphrase-command or {VARIABLE}"
        )));
    }
    eprint!("{text}");
    let shown = tcgetattr(&stdin).ok();
    if let Some(shown) = &shown {
        let mut hidden = shown.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        let _ = tcsetattr(&stdin, OptionalActions::Flush, &hidden);
    }
    let mut line = Zeroizing::new(String::new());
    let read = stdin.lock().read_line(&mut line);
    if let Some(shown) = &shown {
        let _ = tcsetattr(&stdin, OptionalActions::Flush, shown);
    }
    eprintln!();
    read.map_err(|error| Failure::io("/dev/stdin", error))?;
    first_line(line, "the passphrase")
}

fn prompt_twice() -> Result<Zeroizing<String>> {
    let first = prompt("New passphrase: ")?;
    if *prompt("Again: ")? != *first {
        return Err(Failure::Usage("the two passphrases differ; nothing was done".to_owned()));
    }
    Ok(first)
}
