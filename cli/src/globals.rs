//! Global options: those that every command takes, before or behind its name.
//!
//! Where a command has an option of its own with the same name (`memory add --json FILE`, `config validate --vault FILE`,
//! `timeline query --actor A`), that one wins behind the command's name, and the global one still stands before it.

use std::any::Any;
use std::path::PathBuf;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Args, Command, ValueEnum};

use crate::time;

const HEADING: &str = "Global options";

/// The form of results on stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON value.
    Json,
    /// One JSON value a line.
    Jsonl,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// At a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The definition of the global options. Their values are taken by [`Globals::collect`].
#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
#[command(next_help_heading = HEADING)]
pub(crate) struct GlobalArgs {
    /// Directory of the vault [env: MIRRORDNA_VAULT] [default: ~/.mirrordna/vault]
    #[arg(id = "global_vault", long = "vault", value_name = "DIR")]
    _vault: Option<PathBuf>,
    /// Print results as JSON
    #[arg(id = "global_json", long = "json", conflicts_with = "global_jsonl")]
    _json: bool,
    /// Print results as JSON, one record a line
    #[arg(id = "global_jsonl", long = "jsonl")]
    _jsonl: bool,
    /// Whom the log names as the one who makes changes [default: system]
    #[arg(id = "global_actor", long = "actor", value_name = "ID")]
    _actor: Option<String>,
    /// How long to wait while another process holds the vault [default: 5]
    #[arg(id = "global_lock_timeout", long = "lock-timeout", value_name = "SECONDS", value_parser = time::seconds)]
    _lock_timeout: Option<Duration>,
    /// Print results and errors alone: no notes, no progress
    #[arg(id = "global_quiet", short = 'q', long = "quiet")]
    _quiet: bool,
    /// Log more: -v for every change, -vv for what happens inside
    #[arg(id = "global_verbose", short = 'v', long = "verbose", action = ArgAction::Count)]
    _verbose: u8,
    /// What to log: off, error, warn, info, debug, trace, or levels by component, such as mirrordna::storage=debug
    #[arg(id = "global_log_level", long = "log-level", value_name = "LEVEL")]
    _log_level: Option<String>,
    /// Append logs to a file instead of stderr
    #[arg(id = "global_log_file", long = "log-file", value_name = "FILE")]
    _log_file: Option<PathBuf>,
    /// Log one JSON object a line, every change and every refused one included
    #[arg(id = "global_structured_logs", long = "structured-logs")]
    _structured_logs: bool,
    /// When to use colours [default: auto]
    #[arg(id = "global_color", long = "color", value_name = "WHEN")]
    _color: Option<Color>,
}

/// The values of the global options.
#[derive(Clone, Debug, Default)]
pub(crate) struct Globals {
    pub(crate) vault: Option<PathBuf>,
    pub(crate) format: Format,
    pub(crate) actor: Option<String>,
    pub(crate) lock_timeout: Option<Duration>,
    pub(crate) quiet: bool,
    pub(crate) verbose: u8,
    pub(crate) log_level: Option<String>,
    pub(crate) log_file: Option<PathBuf>,
    pub(crate) structured_logs: bool,
    pub(crate) color: Color,
}

impl Globals {
    /// The values that were given at any place; the one furthest behind wins.
    pub(crate) fn collect(root: &ArgMatches) -> Self {
        let mut levels = vec![root];
        while let Some((_, matches)) = levels.last().and_then(|matches| matches.subcommand()) {
            levels.push(matches);
        }
        let flag = |id| last::<bool>(&levels, id).unwrap_or(false);
        let format = match (flag("global_jsonl"), flag("global_json")) {
            (true, _) => Format::Jsonl,
            (false, true) => Format::Json,
            (false, false) => Format::Text,
        };
        let verbose = levels.iter().filter_map(|level| level.try_get_one::<u8>("global_verbose").ok().flatten()).sum();
        Self {
            vault: last(&levels, "global_vault"),
            format,
            actor: last(&levels, "global_actor"),
            lock_timeout: last(&levels, "global_lock_timeout"),
            quiet: flag("global_quiet"),
            verbose,
            log_level: last(&levels, "global_log_level"),
            log_file: last(&levels, "global_log_file"),
            structured_logs: flag("global_structured_logs"),
            color: last(&levels, "global_color").unwrap_or_default(),
        }
    }
}

/// The value that was given furthest behind. A level that does not know the option has none.
fn last<T: Any + Clone + Send + Sync>(levels: &[&ArgMatches], id: &str) -> Option<T> {
    let given = |level: &&ArgMatches| {
        let given = level.value_source(id) == Some(ValueSource::CommandLine);
        given.then(|| level.try_get_one::<T>(id).ok().flatten().cloned()).flatten()
    };
    levels.iter().rev().filter(|level| level.try_contains_id(id).is_ok()).find_map(given)
}

/// The command whose subcommands, at every depth, take the global options too, but for names that they use themselves.
pub(crate) fn spread(command: Command) -> Command {
    let globals = GlobalArgs::augment_args(Command::new("globals"));
    command.mut_subcommands(|subcommand| {
        let mut subcommand = spread(subcommand);
        for global in globals.get_arguments().filter(|argument| argument.get_id() != "help") {
            let taken = |own: &clap::Arg| own.get_long() == global.get_long();
            if !subcommand.get_arguments().any(taken) {
                subcommand = subcommand.arg(global.clone().hide_short_help(true));
            }
        }
        subcommand
    })
}
