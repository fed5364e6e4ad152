//! Import and export: stores and timeline files of the protocol's other implementations.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Subcommand;
use mirrordna::interchange::{self, ConfigOutcome, ImportOptions, ImportReport, Progress};
use mirrordna::record::{Value, object};
use mirrordna::vault::EventQuery;

use crate::context::Context;
use crate::describe;
use crate::error::{Failure, Result};
use crate::interrupt::Then;
use crate::progress::Unit;

/// How many findings of an import people are shown of each sort; the rest is counted.
const LISTED: usize = 100;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Import a store folder of the MirrorDNA reference, all of it or nothing
    ///
    /// Records that break their schema or close a cycle are refused, each with the reason; the others are taken. When any
    /// was refused the exit code is 14. Importing a folder again changes nothing.
    #[command(after_help = "\
Examples:
  mirrordna import ~/.mirrordna/data
  mirrordna import old-store --lenient
  mirrordna --json import old-store | jq .refused")]
    Import {
        /// The folder
        dir: PathBuf,
        /// Take those records, too, marked so that verify shows them
        #[arg(long)]
        lenient: bool,
    },
    /// Export the vault as a store folder that the MirrorDNA reference reads
    #[command(after_help = "\
Examples:
  mirrordna export store")]
    Export {
        /// A folder that is new or empty
        dir: PathBuf,
    },
}

pub(crate) fn run(command: Command, context: &Context) -> Result<()> {
    match command {
        Command::Import { dir, lenient } => {
            let vault = context.open()?;
            let report = follow(context, "importing", Unit::Bytes, |progress| {
                interchange::import_store(&vault, &dir, &ImportOptions { lenient }, progress)
            })?;
            print_import(&report, context)
        }
        Command::Export { dir } => {
            let vault = context.open()?;
            let report = follow(context, "exporting", Unit::Steps, |progress| {
                interchange::export_store(&vault.present(), &dir, progress)
            })?;
            let output = context.output();
            if !output.is_text() {
                return Ok(output.json(&report.to_value())?);
            }
            let counts = report.collections.iter();
            let pairs: Vec<_> = counts.map(|(kind, count)| (kind.collection(), count.to_string())).collect();
            output.pairs(&pairs)?;
            output.flush()?;
            if report.lenient > 0 {
                let records = describe::count(report.lenient, "record breaks its schema", "records break their schema");
                context.note(&format!("{records}; only a lenient import takes them"));
            }
            context.note(&format!("wrote {}, the vault at sequence {}", dir.display(), report.sequence));
            Ok(())
        }
    }
}

/// Imports the events of a timeline file.
pub(super) fn import_timeline(file: &Path, lenient: bool, context: &Context) -> Result<()> {
    let vault = context.open()?;
    let report = follow(context, "importing", Unit::Bytes, |progress| {
        interchange::import_timeline(&vault, file, &ImportOptions { lenient }, progress)
    })?;
    print_import(&report, context)
}

/// Writes the events that fit a query into a timeline file.
pub(super) fn export_timeline(file: &Path, query: &EventQuery, context: &Context) -> Result<()> {
    let vault = context.open()?;
    let count = follow(context, "exporting", Unit::Steps, |progress| {
        interchange::export_timeline(&vault, query, file, progress)
    })?;
    if context.output().is_text() {
        context.note(&format!("wrote {} to {}", describe::count(count, "event", "events"), file.display()));
        return Ok(());
    }
    let value = object([("file", file.display().to_string().into()), ("event_count", count.into())]);
    Ok(context.output().json(&value)?)
}

/// Does long work with a progress bar, which Ctrl-C stops in order.
pub(super) fn follow<T>(
    context: &Context,
    what: &'static str,
    unit: Unit,
    work: impl FnOnce(&mut dyn Progress) -> mirrordna::Result<T>,
) -> Result<T> {
    let mut bar = context.progress(what, unit);
    let stopped = Arc::new(AtomicBool::new(false));
    let stop = {
        let stopped = Arc::clone(&stopped);
        let bar = bar.clone();
        move || {
            stopped.store(true, Ordering::Relaxed);
            bar.rename("undoing");
            Then::Ends
        }
    };
    let mut follow = |done, total| {
        bar.set(done, total);
        if stopped.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    Ok(context.interrupt().during(stop, || work(&mut follow))?)
}

/// Says what an import did. It fails when anything was refused, so that a script notices.
pub(super) fn print_import(report: &ImportReport, context: &Context) -> Result<()> {
    if context.output().is_text() {
        print_findings(report, context)?;
        note_import(report, context);
    } else {
        context.output().json(&report.to_value())?;
    }
    let refused = report.total().refused;
    let failed = report.configs.iter().filter(|config| !config.is_sound()).count() as u64;
    let mut what = Vec::new();
    if refused > 0 {
        what.push(describe::count(refused, "record was refused", "records were refused"));
    }
    if failed > 0 {
        what.push(describe::count(failed, "configuration is not sound", "configurations are not sound"));
    }
    if what.is_empty() { Ok(()) } else { Err(Failure::Refused { what: what.join(" and ") }) }
}

fn print_findings(report: &ImportReport, context: &Context) -> Result<()> {
    let output = context.output();
    let mut listing = output.listing(["COLLECTION", "TAKEN", "SKIPPED", "REFUSED"]);
    for (kind, counts) in &report.collections {
        let counts = [counts.taken, counts.skipped, counts.refused].map(|count| count.to_string());
        listing.add(&Value::Null, || [vec![kind.collection().to_owned()], counts.to_vec()].concat())?;
    }
    listing.finish()?;
    for (title, findings) in [("REFUSED", &report.refused), ("TAKEN LENIENTLY", &report.lenient)] {
        let mut listing = output.listing([title, "ID", "REASON"]);
        for finding in findings.iter().take(LISTED) {
            let cells = || vec![finding.file.clone(), finding.id.clone(), finding.reason.to_string()];
            listing.add(&Value::Null, cells)?;
        }
        listing.finish()?;
        if let Some(more) = findings.len().checked_sub(LISTED).filter(|more| *more > 0) {
            output.line(&format!("… and {more} more {}; --json lists all", title.to_lowercase()))?;
        }
    }
    Ok(output.flush()?)
}

fn note_import(report: &ImportReport, context: &Context) {
    for missing in report.missing_parents.iter().take(LISTED) {
        let (session, parent) = (&missing.session_id, &missing.parent_session_id);
        context.note(&format!("the lineage of session {session} begins with it: its parent {parent} is not there"));
    }
    if let Some(more) = report.missing_parents.len().checked_sub(LISTED).filter(|more| *more > 0) {
        context.note(&format!("… and {more} more sessions whose parents are not there; --json lists all"));
    }
    for config in &report.configs {
        let outcome = match &config.outcome {
            ConfigOutcome::Verified(_) => "verified; configurations are not taken".to_owned(),
            ConfigOutcome::Unverified => "it has no checksum; configurations are not taken".to_owned(),
            ConfigOutcome::Failed(error) => error.to_string(),
        };
        context.note(&format!("configuration {}: {outcome}", config.name));
    }
    for name in &report.ignored {
        context.note(&format!("not read: {name}"));
    }
    let total = report.total();
    let taken = describe::count(total.taken, "record", "records");
    let skipped = if total.skipped > 0 { format!(", {} there already", total.skipped) } else { String::new() };
    context.note(&format!("imported {taken}{skipped}"));
}
