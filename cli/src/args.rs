//! What the command understands, and how it says that it does not.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::commands::{
    backup, checksum, config, dna, identity, memory, mount, other, record, reflection, session, snapshot, timeline,
    transfer, vault,
};
use crate::exit::Exit;
use crate::globals::{self, GlobalArgs, Globals};

const EXIT_CODES: &str = "\
Exit codes:
    0  ok                                  13  storage: locked, input or output, full
    1  another failure                     14  a record is not valid
    2  wrong usage                         15  not found
   10  checksum differs, or damage         16  exists, or conflicts with what is there
   11  the configuration is wrong          17  mount
   12  identity, key or signature          18  backup
                                          130  interrupted";

const EXAMPLES: &str = "\
Examples:
  mirrordna init
  mirrordna identity create --type agent --name Ada --key-out ada.key
  mirrordna session start --agent mdna_agt_0123456789abcdef --user mdna_usr_0123456789abcdef
  mirrordna memory add 'Prefers metric units' --tier long_term --session sess_20250301_080000_0a1b2c3d
  mirrordna memory search metric
  mirrordna verify";

/// Keep who an AI agent is and what it remembers: checksummed, versioned, provable
#[derive(Parser)]
#[command(name = "mirrordna", version, arg_required_else_help = true, disable_help_subcommand = true)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
struct Cli {
    #[command(flatten)]
    _globals: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

/// The commands; those of the vault itself have no group.
#[derive(Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Vault(vault::Command),
    #[command(flatten)]
    Transfer(transfer::Command),
    /// Who an agent, user or system is, and what it signs
    #[command(subcommand, after_help = identity::EXAMPLES)]
    Identity(identity::Command),
    /// Records of any collection, as they are stored
    #[command(subcommand, after_help = record::EXAMPLES)]
    Record(record::Command),
    /// What an agent did with a user from start to end
    #[command(subcommand, after_help = session::EXAMPLES)]
    Session(session::Command),
    /// What an agent remembers, in three tiers
    #[command(subcommand, after_help = memory::EXAMPLES)]
    Memory(memory::Command),
    /// What an agent believes about itself, by version
    #[command(subcommand, after_help = dna::EXAMPLES)]
    Dna(dna::Command),
    /// What an agent thinks of what it did
    #[command(subcommand, after_help = reflection::EXAMPLES)]
    Reflection(reflection::Command),
    /// What happened, in order of time
    #[command(subcommand, after_help = timeline::EXAMPLES)]
    Timeline(timeline::Command),
    /// The vault as it was: take, compare, restore
    #[command(subcommand, after_help = snapshot::EXAMPLES)]
    Snapshot(snapshot::Command),
    /// Checksums of files, text and JSON
    #[command(subcommand, after_help = checksum::EXAMPLES)]
    Checksum(checksum::Command),
    /// Master citations and vault configurations
    #[command(subcommand, after_help = config::EXAMPLES)]
    Config(config::Command),
    /// Incremental, encrypted backups, and vaults of backups again
    #[command(subcommand, after_help = backup::EXAMPLES)]
    Backup(backup::Command),
    #[command(flatten)]
    Mount(mount::Command),
    #[command(flatten)]
    Other(other::Command),
}

/// Help, version, or an error in the arguments: something to be said instead of doing anything.
pub(crate) enum Answer {
    /// What clap has to say.
    Clap(Box<clap::Error>),
    /// Arguments that are not UTF-8 where text is needed.
    NotText(Vec<OsString>),
}

impl Answer {
    /// Says it, on stdout when it was asked for, and returns the exit code.
    pub(crate) fn tell(self) -> ExitCode {
        match self {
            Self::Clap(error) => {
                // Nobody is left to be told that stdout or stderr is closed.
                let _ = error.print();
                if error.use_stderr() { Exit::Usage.into() } else { ExitCode::SUCCESS }
            }
            Self::NotText(arguments) => {
                for argument in arguments {
                    let shown = argument.as_encoded_bytes().escape_ascii();
                    eprintln!(
                        "error: the argument \"{shown}\" is not valid UTF-8; only names of files may be any bytes"
                    );
                }
                Exit::Usage.into()
            }
        }
    }
}

/// The whole command line, for parsing, completions and tests.
pub(crate) fn command() -> clap::Command {
    globals::spread(Cli::command())
}

/// Reads the arguments.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<(Globals, Command), Answer> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let refused = |error: clap::Error| {
        if error.kind() == ErrorKind::InvalidUtf8 {
            return Answer::NotText(arguments.iter().filter(|text| text.to_str().is_none()).cloned().collect());
        }
        Answer::Clap(Box::new(error))
    };
    let matches = command().try_get_matches_from(&arguments).map_err(refused)?;
    let globals = Globals::collect(&matches);
    let cli = Cli::from_arg_matches(&matches).map_err(refused)?;
    Ok((globals, cli.command))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of the command of ours in a line of shell; quotes and pipes as in the examples.
    fn words(line: &str) -> Vec<String> {
        let (mut commands, mut word, mut quote, mut begun) = (vec![Vec::new()], String::new(), None, false);
        for c in line.chars().chain([' ']) {
            match (c, quote) {
                (c, Some(open)) if c == open => quote = None,
                (c, None) if matches!(c, '\'' | '"') => (quote, begun) = (Some(c), true),
                (c, None) if matches!(c, ' ' | '|' | '>' | '<') => {
                    if begun {
                        commands.last_mut().unwrap().push(std::mem::take(&mut word));
                    }
                    begun = false;
                    if c != ' ' {
                        commands.push(Vec::new());
                    }
                }
                (c, _) => {
                    word.push(c);
                    begun = true;
                }
            }
        }
        let ours = commands.into_iter().find(|words| words.iter().any(|word| word == "mirrordna")).unwrap_or_default();
        ours.into_iter().skip_while(|word| word != "mirrordna").collect()
    }

    fn walk(command: &clap::Command, visit: &mut impl FnMut(&clap::Command)) {
        for subcommand in command.get_subcommands() {
            visit(subcommand);
            walk(subcommand, visit);
        }
    }

    #[test]
    fn the_definition_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn every_command_has_a_description_and_examples_that_parse() {
        walk(&command(), &mut |subcommand| {
            let name = subcommand.get_name();
            assert!(subcommand.get_about().is_some(), "{name} has no description");
            let help = subcommand.get_after_help().map(ToString::to_string).unwrap_or_default();
            let lines: Vec<&str> = help.lines().filter_map(|line| line.strip_prefix("  ")).collect();
            assert!(help.starts_with("Examples:\n") && !lines.is_empty(), "{name} has no examples");
            for line in lines {
                let arguments = words(line).into_iter().map(OsString::from);
                if let Err(Answer::Clap(error)) = parse(arguments) {
                    panic!("{name}: {line}\n{error}");
                }
                assert!(line.contains(name), "{name}: {line}");
            }
        });
    }

    #[test]
    fn global_options_stand_anywhere_and_give_way_to_options_of_the_same_name() {
        let parse = |line: &str| parse(words(line).into_iter().map(OsString::from)).ok().expect(line).0;
        assert_eq!(parse("mirrordna --vault a memory list --vault b").vault, Some("b".into()));
        assert_eq!(parse("mirrordna --json memory add --json file").format, globals::Format::Json);
        assert_eq!(parse("mirrordna memory add --json file").format, globals::Format::Text);
        assert_eq!(parse("mirrordna memory list --jsonl").format, globals::Format::Jsonl);
        assert_eq!(parse("mirrordna --vault a config validate --vault file").vault, Some("a".into()));
        assert_eq!(parse("mirrordna timeline query --actor x").actor, None);
        assert_eq!(parse("mirrordna -v memory -v list -v").verbose, 3);
    }
}
