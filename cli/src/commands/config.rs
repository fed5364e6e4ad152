//! `mirrordna config`: master citations, vault configurations, and checksummed configurations.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use mirrordna::record::config::{self, Template};
use mirrordna::record::document::{ConfigChecksum, Format};
use mirrordna::record::id::SystemIds;
use mirrordna::record::time::{Clock, SystemClock};
use mirrordna::record::{Map, RecordError, Value, object};
use mirrordna::vault::NewEvent;

use crate::context::Context;
use crate::describe;
use crate::error::{Failure, Result};
use crate::input;

pub(crate) const EXAMPLES: &str = "\
Examples:
  mirrordna config generate --output master_citation.yaml
  mirrordna config validate --master-citation master_citation.yaml
  mirrordna config load master_citation.yaml";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Check configuration files
    #[command(after_help = "\
Examples:
  mirrordna config validate --master-citation master_citation.yaml
  mirrordna config validate --master-citation master_citation.yaml --vault vault.yaml")]
    Validate(Validate),
    /// Write a valid document to begin with
    #[command(after_help = "\
Examples:
  mirrordna config generate
  mirrordna config generate --template full --format json --output master_citation.json
  mirrordna config generate --document vault --output vault.yaml")]
    Generate(Generate),
    /// Verify a configuration and show it; the timeline notes that it was loaded
    ///
    /// A file NAME.json beside a NAME.checksum.json is verified against that; other files are master citations, which
    /// carry their checksum, or vault configurations.
    #[command(after_help = "\
Examples:
  mirrordna config load master_citation.yaml
  mirrordna --json config load app.json")]
    Load {
        /// The file, JSON or YAML
        file: PathBuf,
    },
}

#[derive(Args)]
#[command(group = clap::ArgGroup::new("what").args(["master_citation", "vault"]).required(true).multiple(true))]
pub(crate) struct Validate {
    /// A master citation
    #[arg(long, value_name = "FILE")]
    master_citation: Option<PathBuf>,
    /// A vault configuration
    #[arg(long, value_name = "FILE")]
    vault: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Generate {
    /// What to write
    #[arg(long, value_enum, default_value_t = Document::MasterCitation)]
    document: Document,
    /// How much it shows
    #[arg(long, value_enum, default_value_t = Size::Minimal)]
    template: Size,
    /// Its language [default: what the name of the file says, else yaml]
    #[arg(long, value_parser = input::language())]
    format: Option<Format>,
    /// Where to [default: stdout]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Document {
    /// A master citation
    MasterCitation,
    /// A vault configuration
    Vault,
}

#[derive(Clone, Copy, ValueEnum)]
enum Size {
    /// What must be there
    Minimal,
    /// What may be there, too
    Full,
}

pub(crate) fn run(command: Command, context: &Context) -> Result<()> {
    match command {
        Command::Validate(validate) => {
            let citation = validate.master_citation.map(|path| read(&path, config::read_citation)).transpose()?;
            let vault = validate.vault.map(|path| read(&path, config::read_vault)).transpose()?;
            for (what, document) in [("master citation", citation), ("vault configuration", vault)] {
                let Some(document) = document else { continue };
                let name = ["id", "vault_id"].into_iter().find_map(|field| document.get(field)).map(describe::text);
                let text = format!("valid {what} {}", name.unwrap_or_default());
                let value = object([("document", what.into()), ("valid", true.into()), ("content", document.into())]);
                context.output().result(&crate::output::plain(&text), &value)?;
            }
            Ok(())
        }
        Command::Generate(generate) => self::generate(generate, context),
        Command::Load { file } => load(&file, context),
    }
}

fn read(path: &Path, read: impl FnOnce(&[u8], Format) -> std::result::Result<Map, RecordError>) -> Result<Map> {
    let text = input::read(path)?;
    read(&text, input::format_of(path, &text))
        .map_err(|source| Failure::Configuration { path: path.to_owned(), source })
}

fn generate(generate: Generate, context: &Context) -> Result<()> {
    let template = match generate.template {
        Size::Minimal => Template::Minimal,
        Size::Full => Template::Full,
    };
    let now = SystemClock.now();
    let document = match generate.document {
        Document::MasterCitation => config::citation_template(template, &SystemIds, now),
        Document::Vault => {
            config::vault_template(template, &SystemIds, now, &context.vault_dir()?.display().to_string())
        }
    }
    .map_err(mirrordna::Error::from)?;
    let named = || generate.output.as_deref().and_then(Format::of_path);
    let format = generate.format.or_else(named).unwrap_or(Format::Yaml);
    let mut text = Vec::new();
    let members = document.iter().map(|(key, value)| (key.as_str(), value));
    // Writing to a vector cannot fail.
    let _ = format.write_members(&mut text, members);
    if format == Format::Json {
        text.push(b'\n');
    }
    match generate.output {
        None => context.output().with(|out| out.write_all(&text))?,
        Some(path) => {
            input::write_file(&path, |out| out.write_all(&text))?;
            context.note(&format!("wrote {}", path.display()));
        }
    }
    Ok(())
}

fn load(path: &Path, context: &Context) -> Result<()> {
    let (what, document) = if ConfigChecksum::path_for(path).exists() {
        ("configuration", read_checksummed(path)?)
    } else {
        let is_citation = |document: &Map| document.contains_key("id") || document.contains_key("checksum");
        let any = |text: &[u8], format: Format| match format.read(text)? {
            Value::Object(document) if !is_citation(&document) => config::read_vault(text, format),
            _ => config::read_citation(text, format),
        };
        let document = read(path, any)?;
        (if is_citation(&document) { "master_citation" } else { "vault_configuration" }, document)
    };
    let checksum = mirrordna::record::Checksum::of_value(&Value::Object(document.clone()));
    let of_document = |field| document.get(field).and_then(Value::as_str).map(str::to_owned);
    context.open()?.timeline().append(NewEvent {
        event_type: "config_loaded".to_owned(),
        actor: context.actor().to_owned(),
        payload: Some(object([
            ("document", what.into()),
            ("path", path.display().to_string().into()),
            ("id", of_document("id").or_else(|| of_document("vault_id")).into()),
            ("checksum", of_document("checksum").unwrap_or_else(|| checksum.to_string()).into()),
        ])),
        ..NewEvent::default()
    })?;
    Ok(context.output().value(&Value::Object(document))?)
}

/// Reads a configuration whose checksum lies in a file beside it.
fn read_checksummed(path: &Path) -> Result<Map> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let checksum = input::read(&ConfigChecksum::path_for(path))?;
    read(path, |text, format| {
        let value = format.read(text)?;
        ConfigChecksum::parse(&name, &checksum)?.verify(&name, &value)?;
        let not_an_object = || RecordError::Document {
            what: format!("configuration {name:?}"),
            reason: "it is not an object".to_owned(),
        };
        value.as_object().cloned().ok_or_else(not_an_object)
    })
}
