//! What every command needs: the global options, the vault, and where to say things.

use std::io::{IsTerminal, Write as _};
use std::path::PathBuf;

use mirrordna::record::Value;
use mirrordna::record::json::{self, Charset, Layout};
use mirrordna::storage::Ownership;
use mirrordna::vault::DEFAULT_ACTOR;
use mirrordna::{Vault, VaultOptions};

use crate::error::{Failure, Result};
use crate::globals::{Color, Format, Globals};
use crate::interrupt::Interrupt;
use crate::logging::{self, Channel};
use crate::output::Output;
use crate::progress::{Progress, Unit};

/// What every command needs.
pub(crate) struct Context {
    globals: Globals,
    output: Output,
    channel: Channel,
    interrupt: Interrupt,
    color_stderr: bool,
}

impl Context {
    /// Sets up logs, output and the answer to Ctrl-C.
    pub(crate) fn new(globals: Globals) -> Result<Self> {
        let color = |terminal: bool| match globals.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        };
        let color_stderr = color(std::io::stderr().is_terminal());
        let channel = logging::init(&globals, color_stderr)?;
        let output = Output::new(globals.format, color(std::io::stdout().is_terminal()));
        let interrupt = Interrupt::listen()?;
        Ok(Self { globals, output, channel, interrupt, color_stderr })
    }

    /// Where results go.
    pub(crate) fn output(&self) -> &Output {
        &self.output
    }

    /// What Ctrl-C does.
    pub(crate) fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// The global options.
    pub(crate) fn globals(&self) -> &Globals {
        &self.globals
    }

    /// The directory of the vault.
    pub(crate) fn vault_dir(&self) -> Result<PathBuf> {
        let given = self.globals.vault.clone();
        let environment = || std::env::var_os("MIRRORDNA_VAULT").filter(|dir| !dir.is_empty()).map(PathBuf::from);
        if let Some(dir) = given.or_else(environment) {
            return Ok(dir);
        }
        std::env::home_dir()
            .filter(|home| !home.as_os_str().is_empty())
            .map(|home| home.join(".mirrordna/vault"))
            .ok_or_else(|| {
                Failure::Usage("there is no home directory; say with --vault DIR where the vault is".to_owned())
            })
    }

    /// Who makes changes.
    pub(crate) fn actor(&self) -> &str {
        self.globals.actor.as_deref().unwrap_or(DEFAULT_ACTOR)
    }

    /// How the vault is opened.
    pub(crate) fn vault_options(&self) -> VaultOptions {
        let defaults = VaultOptions::default();
        VaultOptions {
            actor: self.actor().to_owned(),
            lock_timeout: self.globals.lock_timeout.unwrap_or(defaults.lock_timeout),
            ..defaults
        }
    }

    /// Opens the vault.
    pub(crate) fn open(&self) -> Result<Vault> {
        Ok(Vault::open(&self.vault_dir()?, &self.vault_options())?)
    }

    /// Opens the vault for as long as this process runs, as its owner.
    pub(crate) fn own(&self) -> Result<Vault> {
        let options = VaultOptions { ownership: Ownership::Wanted, ..self.vault_options() };
        Ok(Vault::open(&self.vault_dir()?, &options)?)
    }

    /// A progress bar on stderr, when somebody is there to see it.
    pub(crate) fn progress(&self, what: &'static str, unit: Unit) -> Progress {
        let seen = std::io::stderr().is_terminal()
            && !self.globals.quiet
            && self.globals.format != Format::Jsonl
            && self.channel != Channel::Log;
        Progress::new(what, unit, seen)
    }

    /// Says something that is no result, unless `--quiet`.
    pub(crate) fn note(&self, text: &str) {
        if !self.globals.quiet {
            self.channel.note(text);
        }
    }

    /// Tells a script that listens on stderr what happens, as one line of JSON.
    pub(crate) fn event(event: &Value) {
        let text = json::to_vec(event, Layout::Compact, Charset::Unicode);
        // Events are a courtesy, as notes are.
        let _ = writeln!(std::io::stderr(), "{}", String::from_utf8_lossy(&text));
    }

    /// Says why the command fails.
    pub(crate) fn error(&self, failure: &Failure) {
        self.channel.error(failure, self.color_stderr);
    }
}
