//! `mirrordna snapshot`: the vault as it was.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use mirrordna::Vault;
use mirrordna::record::document::{Format, Proof, SnapshotFile};
use mirrordna::record::{Kind, Value, object};
use mirrordna::vault::{DifferenceKind, Filter, NewSnapshot};

use super::list::{self, PageArgs};
use crate::context::Context;
use crate::describe;
use crate::error::{Failure, Result};
use crate::input::{self, json_argument};
use crate::progress::Unit;

pub(crate) const EXAMPLES: &str = "\
Examples:
  mirrordna snapshot create --id snap_before_upgrade
  mirrordna snapshot diff snap_before_upgrade snap_20250301_080000_0a1b2c3d
  mirrordna snapshot restore snap_before_upgrade";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Take a snapshot of the vault as it is now
    ///
    /// It costs the same in a vault of any size. With --output its file is written, too.
    #[command(after_help = "\
Examples:
  mirrordna snapshot create
  mirrordna snapshot create --id snap_before_upgrade --metadata '{\"reason\":\"upgrade\"}'
  mirrordna snapshot create --output state.yaml --format yaml --full")]
    Create(Create),
    /// List snapshots, oldest first
    #[command(after_help = "Examples:\n  mirrordna snapshot list --newest --limit 5")]
    List {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show a snapshot: what it pins, or its file
    #[command(after_help = "\
Examples:
  mirrordna snapshot show snap_before_upgrade
  mirrordna snapshot show snap_before_upgrade --format yaml > state.yaml")]
    Show {
        /// Id of the snapshot
        id: String,
        /// Print its file in this language
        #[arg(long, value_parser = input::language())]
        format: Option<Format>,
    },
    /// Verify a snapshot file, this vault's or a foreign one, and show what it is; nothing is stored
    #[command(after_help = "\
Examples:
  mirrordna snapshot load state.json
  mirrordna --json snapshot load state.yaml | jq .vault_state")]
    Load {
        /// The file, JSON or YAML
        file: PathBuf,
        /// Take a file that carries no checksum, as unverified
        #[arg(long)]
        allow_unverified: bool,
    },
    /// Show what differs between two snapshots: sections and records
    #[command(after_help = "\
Examples:
  mirrordna snapshot diff snap_before_upgrade snap_20250301_080000_0a1b2c3d
  mirrordna --jsonl snapshot diff snap_before_upgrade snap_20250301_080000_0a1b2c3d | jq -r .id")]
    Diff {
        /// Id of the first snapshot
        first: String,
        /// Id of the second snapshot
        second: String,
    },
    /// Bring the present to a snapshot, by new changes: nothing of the history is lost
    #[command(after_help = "Examples:\n  mirrordna snapshot restore snap_before_upgrade")]
    Restore {
        /// Id of the snapshot
        id: String,
    },
    /// Delete a snapshot; what only it needed goes with the next prune
    #[command(after_help = "Examples:\n  mirrordna snapshot delete snap_before_upgrade")]
    Delete {
        /// Id of the snapshot
        id: String,
    },
}

#[derive(Args)]
pub(crate) struct Create {
    /// Its id [default: made from the time]
    #[arg(long)]
    id: Option<String>,
    /// Write its file, too
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Language of the file [default: what its name says, else json]
    #[arg(long, value_parser = input::language(), requires = "output")]
    format: Option<Format>,
    /// Embed the records in its file
    #[arg(long)]
    full: bool,
    /// What to say with it, an object
    #[arg(long, value_name = "JSON", value_parser = json_argument)]
    metadata: Option<Value>,
}

pub(crate) fn run(command: Command, context: &Context) -> Result<()> {
    let output = context.output();
    match command {
        Command::Create(new) => create(new, context),
        Command::List { page } => list::list(context, &context.open()?, Kind::Snapshot, Filter::default(), page),
        Command::Show { id, format } => show(&id, format, context),
        Command::Load { file, allow_unverified } => load(&file, allow_unverified, context),
        Command::Diff { first, second } => diff(&first, &second, context),
        Command::Restore { id } => {
            let vault = context.open()?;
            let mut progress = context.progress("restoring", Unit::Steps);
            let restored = vault.snapshots().restore_with(&id, &mut |done, total| progress.set(done, total))?;
            drop(progress);
            let value = object([
                ("sequence", restored.sequence.into()),
                ("put_back", restored.put.into()),
                ("deleted", restored.deleted.into()),
            ]);
            if output.is_text() {
                let put = describe::count(restored.put, "record", "records");
                context.note(&format!("restored {id}: {put} put back, {} deleted", restored.deleted));
                return Ok(());
            }
            Ok(output.json(&value)?)
        }
        Command::Delete { id } => list::delete(context, Kind::Snapshot, &id),
    }
}

fn create(new: Create, context: &Context) -> Result<()> {
    let vault = context.open()?;
    let pin = vault.snapshots().create(NewSnapshot { id: new.id, full: new.full, metadata: new.metadata })?;
    if let Some(path) = new.output {
        let format = new.format.or_else(|| Format::of_path(&path)).unwrap_or(Format::Json);
        let file = render(&pin.id, &vault, context)?;
        input::write_file(&path, |mut out| file.render(&mut out, format))?;
        let checksum = file.checksum().map(|checksum| checksum.to_string()).unwrap_or_default();
        context.note(&format!("wrote {}, checksum {checksum}", path.display()));
    }
    Ok(context.output().made(&vault.get(Kind::Snapshot, &pin.id)?)?)
}

fn render(id: &str, vault: &Vault, context: &Context) -> Result<SnapshotFile> {
    let _progress = context.progress("rendering", Unit::Steps);
    Ok(vault.snapshots().file(id)?)
}

fn show(id: &str, format: Option<Format>, context: &Context) -> Result<()> {
    let vault = context.open()?;
    let format = match (format, context.output().is_text()) {
        (Some(format), _) => format,
        (None, false) => {
            return Ok(context.output().json(&Value::Object(render(id, &vault, context)?.fields().clone()))?);
        }
        (None, true) => return Ok(context.output().record(&vault.get(Kind::Snapshot, id)?)?),
    };
    let file = render(id, &vault, context)?;
    Ok(context.output().with(|out| {
        file.render(out, format)?;
        std::io::Write::write_all(out, if format == Format::Json { b"\n" } else { b"" })
    })?)
}

fn load(path: &Path, allow_unverified: bool, context: &Context) -> Result<()> {
    let proof = if allow_unverified { Proof::Optional } else { Proof::Required };
    let text = input::read(path)?;
    let file = SnapshotFile::parse(&text, input::format_of(path, &text), proof)
        .map_err(|source| Failure::Document { path: path.to_owned(), source })?;
    let output = context.output();
    if !output.is_text() {
        return Ok(output.json(&Value::Object(file.fields().clone()))?);
    }
    let field = |name: &str| file.fields().get(name).map(describe::text).unwrap_or_default();
    let proven =
        file.checksum().map_or_else(|| "none: unverified".to_owned(), |checksum| format!("{checksum} (verified)"));
    let mut pairs = vec![
        ("snapshot_id", file.id().to_owned()),
        ("timestamp", field("timestamp")),
        ("version", field("version")),
        ("checksum", proven),
    ];
    let sections = file.fields().iter().filter_map(|(name, section)| Some((name.as_str(), section.as_object()?)));
    pairs.extend(sections.map(|(name, section)| (name, describe::count(section.len() as u64, "member", "members"))));
    Ok(output.pairs(&pairs)?)
}

fn diff(first: &str, second: &str, context: &Context) -> Result<()> {
    let vault = context.open()?;
    let (file_before, file_after) = (render(first, &vault, context)?, render(second, &vault, context)?);
    let (before, after) = (vault.snapshots().view(first)?, vault.snapshots().view(second)?);
    let mut listing = context.output().listing(["", "WHERE", "ID"]);
    let mut result = Ok(());
    for section in SnapshotFile::FIELDS.into_iter().filter(|name| name.ends_with("state") || name.ends_with("summary"))
    {
        if file_before.fields().get(section) != file_after.fields().get(section) {
            let value = object([("difference", "changed".into()), ("section", section.into())]);
            listing.add(&value, || vec!["~".to_owned(), "section".to_owned(), section.to_owned()])?;
        }
    }
    for difference in vault.snapshots().diff(&before, &after) {
        let difference = match difference {
            Ok(difference) => difference,
            Err(error) => {
                result = Err(error);
                break;
            }
        };
        let (mark, name) = match difference.difference {
            DifferenceKind::Added => ("+", "added"),
            DifferenceKind::Removed => ("-", "removed"),
            DifferenceKind::Changed => ("~", "changed"),
        };
        let collection = difference.kind.collection();
        let value = object([
            ("difference", name.into()),
            ("collection", collection.into()),
            ("id", difference.id.as_str().into()),
        ]);
        listing.add(&value, || vec![mark.to_owned(), collection.to_owned(), difference.id.clone()])?;
    }
    let count = listing.finish()?;
    result?;
    if count == 0 {
        context.note("nothing differs");
    }
    Ok(())
}
