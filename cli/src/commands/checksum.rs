//! `mirrordna checksum`: checksums of files, text and JSON.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args, Subcommand};
use mirrordna::record::{Checksum, Value, object};

use crate::context::Context;
use crate::error::{Failure, Result};
use crate::input;

pub(crate) const EXAMPLES: &str = "\
Examples:
  mirrordna checksum compute --file state.json
  mirrordna checksum compute --json record.json
  mirrordna checksum verify state.json ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Compute a SHA-256 checksum
    ///
    /// That of a file is printed as sha256sum prints it. That of JSON is the protocol's: over its canonical form, so that
    /// spaces and the order of keys do not matter.
    #[command(after_help = "\
Examples:
  mirrordna checksum compute --file state.json
  mirrordna checksum compute --text 'hello'
  mirrordna --json record get memories mem_20250301_080000_0a1b2c3d | mirrordna checksum compute --json -")]
    Compute(Compute),
    /// Check a file against a checksum
    #[command(after_help = "\
Examples:
  mirrordna checksum verify state.json ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")]
    Verify {
        /// The file
        file: PathBuf,
        /// The checksum that it should have, 64 hex digits in either case
        #[arg(value_parser = checksum)]
        checksum: Checksum,
    },
}

#[derive(Args)]
#[command(group = ArgGroup::new("what").args(["file", "text", "json"]).required(true))]
pub(crate) struct Compute {
    /// Of the bytes of a file; - for stdin
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Of a text in UTF-8
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    text: Option<String>,
    /// Of the value in a JSON or YAML file; - for stdin
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn checksum(text: &str) -> std::result::Result<Checksum, String> {
    Checksum::parse(text).ok_or_else(|| "a checksum has 64 hex digits".to_owned())
}

pub(crate) fn run(command: Command, context: &Context) -> Result<()> {
    match command {
        Command::Compute(Compute { file, text, json }) => {
            let (checksum, path) = match (file, text, json) {
                (Some(file), ..) => (of_file(&file)?, Some(file)),
                (_, Some(text), _) => (Checksum::of(text.as_bytes()), None),
                (_, _, Some(json)) => (Checksum::of_value(&input::record(&json)?), None),
                (None, None, None) => {
                    return Err(Failure::Usage("give --file FILE, --text TEXT or --json FILE".to_owned()));
                }
            };
            let name = path.map(|path| path.display().to_string());
            let text = name.as_ref().map_or_else(|| checksum.to_string(), |name| format!("{checksum}  {name}"));
            let value = object([("checksum", checksum.to_string().into()), ("file", Value::from(name))]);
            Ok(context.output().result(&text, &value)?)
        }
        Command::Verify { file, checksum } => {
            let actual = of_file(&file)?;
            if !context.output().is_text() {
                let name = file.display().to_string();
                context.output().json(&object([
                    ("file", name.into()),
                    ("verified", (actual == checksum).into()),
                    ("expected", checksum.to_string().into()),
                    ("actual", actual.to_string().into()),
                ]))?;
            }
            if actual != checksum {
                let (expected, actual) = (checksum.to_string(), actual.to_string());
                return Err(Failure::Mismatch { path: file, expected, actual });
            }
            context.note(&format!("{}: verified", file.display()));
            Ok(())
        }
    }
}

/// The checksum of the bytes of a file of any size.
fn of_file(path: &Path) -> Result<Checksum> {
    let read = || {
        let mut source: Box<dyn Read> = if path.as_os_str() == "-" {
            Box::new(std::io::stdin().lock())
        } else {
            Box::new(std::fs::File::open(path)?)
        };
        Checksum::of_reader(&mut source)
    };
    read().map_err(|error| Failure::io(path, error))
}
