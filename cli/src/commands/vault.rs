//! The commands of the vault itself: `init`, `verify`, `stats`, `log`, `prune`.

use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};
use mirrordna::Vault;
use mirrordna::record::{Kind, Value, object};
use mirrordna::storage::{LogEntry, PrunePolicy, Sequence};
use mirrordna::vault::{Overview, Tier};
use mirrordna::verify::{self, Report};

use crate::context::Context;
use crate::describe;
use crate::error::{Failure, Result};
use crate::listing::Listing;
use crate::progress::Unit;
use crate::time;

/// Log entries read at once.
const PAGE: usize = 4_096;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a new vault in a directory that is new or empty
    #[command(after_help = "\
Examples:
  mirrordna init
  mirrordna --vault ./my-vault init")]
    Init,
    /// Prove that nothing in the vault was altered or lost
    ///
    /// Every record against its checksum and schema, heads and indexes against the records, the log against its Merkle
    /// root. Nothing is changed unless --repair is given.
    #[command(after_help = "\
Examples:
  mirrordna verify
  mirrordna --json verify | jq .root
  mirrordna verify --repair")]
    Verify {
        /// Make heads, indexes and Merkle tiles again from the log and the records, which are never touched
        #[arg(long)]
        repair: bool,
    },
    /// Show how much the vault holds
    #[command(after_help = "\
Examples:
  mirrordna stats
  mirrordna --json stats | jq .records.memories")]
    Stats,
    /// Show the log: every change that was ever made, oldest first
    #[command(after_help = "\
Examples:
  mirrordna log --newest --limit 20
  mirrordna --jsonl log --from 100 | jq -r .actor")]
    Log(Log),
    /// Drop old versions of records that no snapshot needs
    ///
    /// The newest version of a record is never dropped, nor is one that a snapshot shows. The log keeps all its entries.
    /// With both options a version goes only when neither keeps it.
    #[command(after_help = "\
Examples:
  mirrordna prune --older-than 30d --dry-run
  mirrordna prune --keep 5
  mirrordna prune --keep 2 --older-than 8w")]
    Prune(Prune),
}

#[derive(Args)]
pub(crate) struct Log {
    /// Begin at this sequence
    #[arg(long, value_name = "SEQUENCE", conflicts_with = "newest")]
    from: Option<Sequence>,
    /// Newest first
    #[arg(long)]
    newest: bool,
    /// Stop after this many
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
}

#[derive(Args)]
#[command(group = ArgGroup::new("policy").args(["keep", "older_than"]).required(true).multiple(true))]
pub(crate) struct Prune {
    /// Keep this many versions of each record
    #[arg(long, value_name = "N")]
    keep: Option<u32>,
    /// Keep versions that were current since then: 90s, 15m, 12h, 30d, 8w
    #[arg(long, value_name = "DURATION", value_parser = time::duration)]
    older_than: Option<Duration>,
    /// Say what would be dropped, and drop nothing
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(command: Command, context: &Context) -> Result<()> {
    match command {
        Command::Init => init(context),
        Command::Verify { repair } => verify(repair, context),
        Command::Stats => stats(&context.open()?.overview()?, context),
        Command::Log(wanted) => log(&wanted, context),
        Command::Prune(policy) => prune(&policy, context),
    }
}

fn init(context: &Context) -> Result<()> {
    let dir = context.vault_dir()?;
    let vault = Vault::create(&dir, &context.vault_options())?;
    context.note(&format!("made a vault in {}", dir.display()));
    let value = object([("vault_id", vault.id().into()), ("dir", dir.display().to_string().into())]);
    Ok(context.output().result(vault.id(), &value)?)
}

fn verify(repair: bool, context: &Context) -> Result<()> {
    let (dir, options) = (context.vault_dir()?, context.vault_options());
    let mut progress = context.progress("verifying", Unit::Steps);
    let mut follow = |done, total| progress.set(done, total);
    let report =
        if repair { verify::repair(&dir, &options, &mut follow) } else { verify::verify(&dir, &options, &mut follow) };
    drop(progress);
    let report = report?;
    print_report(&report, context)?;
    if report.is_clean() {
        return Ok(());
    }
    let advice = if report.is_repairable() {
        "all of it is derived data, which `mirrordna verify --repair` makes again"
    } else {
        "restore what is named above from a backup"
    };
    Err(Failure::Damaged { faults: report.fault_count, advice })
}

fn print_report(report: &Report, context: &Context) -> Result<()> {
    let output = context.output();
    if !output.is_text() {
        return Ok(output.json(&report.to_value())?);
    }
    let mut listing = output.listing(["DAMAGED", "PROBLEM"]);
    for fault in &report.faults {
        listing.add(&Value::Null, || vec![fault.subject.clone(), fault.problem.clone()])?;
    }
    let listed = listing.finish()?;
    if report.fault_count > listed {
        output.line(&format!("… and {} more", report.fault_count - listed))?;
    }
    if !report.lenient.is_empty() {
        let mut listing = output.listing(["IMPORTED LENIENTLY", "ID"]);
        for (kind, id) in &report.lenient {
            listing.add(&Value::Null, || vec![kind.collection().to_owned(), id.clone()])?;
        }
        listing.finish()?;
    }
    let verdict = if report.is_clean() { output.colored(32, "sound") } else { output.colored(31, "damaged") };
    let Some(root) = &report.root else {
        return Ok(output.line(&format!("{verdict}: the vault cannot be opened"))?);
    };
    let entries = describe::count(report.entries, "log entry", "log entries");
    let versions = describe::count(report.versions, "version of records", "versions of records");
    output.line(&format!("{verdict}: {entries}, {versions}"))?;
    Ok(output.line(&format!("root {root}"))?)
}

fn stats(overview: &Overview, context: &Context) -> Result<()> {
    let output = context.output();
    if !output.is_text() {
        return Ok(output.json(&overview.to_value())?);
    }
    let tier_of = |(tier, count): &(Tier, u64)| (format!("  {}", tier.name()), count.to_string());
    let mut pairs = vec![("vault".to_owned(), overview.vault_id.clone())];
    for (kind, count) in &overview.records {
        pairs.push((kind.collection().to_owned(), count.to_string()));
        if *kind == Kind::Memory {
            pairs.extend(overview.tiers.iter().map(tier_of));
            pairs.push(("  archived".to_owned(), overview.archived.to_string()));
        }
    }
    let state = overview.state;
    pairs.extend([
        ("log entries".to_owned(), state.sequence.to_string()),
        ("newest entry".to_owned(), describe::time(&state.time.to_string())),
        ("epoch".to_owned(), state.epoch.to_string()),
        ("root".to_owned(), state.root.to_string()),
        ("on disk".to_owned(), describe::bytes(overview.disk_bytes)),
    ]);
    Ok(output.pairs(&pairs)?)
}

fn log(wanted: &Log, context: &Context) -> Result<()> {
    let vault = context.open()?;
    let end = vault.state_now()?.sequence;
    let limit = wanted.limit.unwrap_or(u64::MAX);
    let mut listing =
        context.output().listing(["SEQUENCE", "TIME", "OPERATION", "COLLECTION", "ID", "ACTOR", "ORIGIN"]);
    let result = if wanted.newest {
        newest_first(&vault, end, limit, &mut listing)
    } else {
        oldest_first(&vault, wanted, limit, &mut listing)
    };
    listing.finish()?;
    result
}

fn oldest_first(vault: &Vault, wanted: &Log, limit: u64, listing: &mut Listing<'_>) -> Result<()> {
    let (mut next, mut left) = (wanted.from.unwrap_or(1).max(1), limit);
    while left > 0 {
        let page = vault.log(next, page_size(left))?;
        if page.is_empty() {
            break;
        }
        (next, left) = (next + page.len() as u64, left - page.len() as u64);
        page.iter().try_for_each(|entry| add_entry(entry, listing))?;
    }
    Ok(())
}

fn newest_first(vault: &Vault, end: Sequence, limit: u64, listing: &mut Listing<'_>) -> Result<()> {
    let (mut end, mut left) = (end, limit);
    while left > 0 && end > 0 {
        let size = page_size(left.min(end));
        let page = vault.log(end - size as u64 + 1, size)?;
        (end, left) = (end - size as u64, left - size as u64);
        page.iter().rev().try_for_each(|entry| add_entry(entry, listing))?;
    }
    Ok(())
}

fn page_size(left: u64) -> usize {
    usize::try_from(left).unwrap_or(PAGE).min(PAGE)
}

fn add_entry(entry: &LogEntry, listing: &mut Listing<'_>) -> Result<()> {
    Ok(listing.add(&entry.to_value(), || {
        let id = if entry.id.is_empty() { entry.detail.clone() } else { entry.id.clone() };
        let cells = [
            entry.sequence.to_string(),
            describe::time(&entry.time.to_string()),
            entry.operation.name().to_owned(),
            entry.kind.map_or("-", Kind::collection).to_owned(),
            id,
            entry.actor.clone(),
            entry.origin.name().to_owned(),
        ];
        cells.to_vec()
    })?)
}

fn prune(policy: &Prune, context: &Context) -> Result<()> {
    let vault = context.open()?;
    let current_after = policy.older_than.map(|duration| time::before(vault.now(), duration));
    let progress = context.progress("pruning", Unit::Steps);
    let pruned = vault.prune(PrunePolicy { keep: policy.keep, current_after, dry_run: policy.dry_run })?;
    drop(progress);
    let value = object([
        ("dropped", pruned.versions.into()),
        ("bytes", pruned.bytes.into()),
        ("kept", pruned.kept.into()),
        ("dry_run", policy.dry_run.into()),
    ]);
    let did = if policy.dry_run { "would drop" } else { "dropped" };
    let versions = describe::count(pruned.versions, "version", "versions");
    let text = format!("{did} {versions} ({}); {} stay", describe::bytes(pruned.bytes), pruned.kept);
    Ok(context.output().result(&text, &value)?)
}
