//! `mirrordna timeline`: what happened, in order of time.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use mirrordna::record::document::TimelineFile;
use mirrordna::record::time::{Clock, SystemClock};
use mirrordna::record::{Kind, Timestamp, Value};
use mirrordna::vault::{EventQuery, NewEvent};

use super::memory::range;
use super::transfer;
use crate::context::Context;
use crate::describe;
use crate::error::{Failure, Result};
use crate::input::{self, json_argument};
use crate::listing::Listing;
use crate::time::Moment;

pub(crate) const EXAMPLES: &str = "\
Examples:
  mirrordna timeline append --type custom --payload '{\"step\":\"deployed\"}'
  mirrordna timeline query --event-type memory_created --since 1d
  mirrordna timeline query --file events.json --actor system --limit 10";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Append an event
    ///
    /// Sessions, memories, citations, snapshots and reflections appear by themselves.
    #[command(after_help = "\
Examples:
  mirrordna timeline append --type custom --payload '{\"step\":\"deployed\"}'
  mirrordna timeline append --type identity_verified --actor mdna_agt_0123456789abcdef --session \
sess_20250301_080000_0a1b2c3d")]
    Append {
        /// What happened: one of the protocol's event types, custom for anything else
        #[arg(long = "type", value_name = "TYPE")]
        event_type: String,
        /// Who did it [default: the one that the log names]
        #[arg(long, value_name = "ID")]
        actor: Option<String>,
        /// Id of the session that it belongs to
        #[arg(long, value_name = "ID")]
        session: Option<String>,
        /// More about it, an object
        #[arg(long, value_name = "JSON", value_parser = json_argument)]
        payload: Option<Value>,
        /// When it happened, if not now: a time, a date, or how long ago, such as 2h
        #[arg(long, value_name = "TIME", value_parser = Moment::parse)]
        at: Option<Moment>,
    },
    /// Show events, oldest first, from the vault or from a timeline file
    #[command(after_help = "\
Examples:
  mirrordna timeline query --since 2025-03-01 --until 2025-04-01
  mirrordna timeline query --event-type session_start --actor mdna_agt_0123456789abcdef
  mirrordna timeline query --file events.json --limit 10 --format json")]
    Query {
        /// Read this timeline file; no vault is needed
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        #[command(flatten)]
        wanted: Wanted,
        /// Form of the listing
        #[arg(long)]
        format: Option<QueryFormat>,
    },
    /// Write events into a timeline file, oldest first
    #[command(after_help = "\
Examples:
  mirrordna timeline export events.json
  mirrordna timeline export march.json --since 2025-03-01 --until 2025-04-01")]
    Export {
        /// The file; one that is there is replaced
        file: PathBuf,
        #[command(flatten)]
        wanted: Wanted,
    },
    /// Import the events of a timeline file, all of them or nothing; those that are there are skipped
    #[command(after_help = "Examples:\n  mirrordna timeline import events.json")]
    Import {
        /// The file
        file: PathBuf,
        /// Take events that break their schema, too, marked so that verify shows them
        #[arg(long)]
        lenient: bool,
    },
    /// Show how many events there are, of which types, by how many actors, and from when to when
    #[command(after_help = "\
Examples:
  mirrordna timeline summary
  mirrordna --json timeline summary --file events.json")]
    Summary {
        /// Read this timeline file; no vault is needed
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

#[derive(Args)]
pub(crate) struct Wanted {
    /// Of this type
    #[arg(long, value_name = "TYPE")]
    event_type: Option<String>,
    /// By this actor
    #[arg(long, value_name = "ID")]
    actor: Option<String>,
    /// Of this session
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// At this time or later: a time, a date, or how long ago, such as 2h
    #[arg(long, value_name = "TIME", value_parser = Moment::parse)]
    since: Option<Moment>,
    /// Before this time
    #[arg(long, value_name = "TIME", value_parser = Moment::parse)]
    until: Option<Moment>,
    /// Stop after this many; 0 for all
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum QueryFormat {
    /// A table
    Text,
    /// JSON, as with --json
    Json,
}

pub(crate) fn run(command: Command, context: &Context) -> Result<()> {
    match command {
        Command::Append { event_type, actor, session, payload, at } => {
            let vault = context.open()?;
            let event = vault.timeline().append(NewEvent {
                event_type,
                actor: actor.unwrap_or_else(|| context.actor().to_owned()),
                payload,
                session_id: session,
                timestamp: at.map(|moment| moment.resolve(vault.now())),
            })?;
            Ok(context.output().made(&event)?)
        }
        Command::Query { file, wanted, format } => {
            let output = context.output().in_format(format.map(|format| format == QueryFormat::Json));
            let mut listing = output.listing(describe::headings(Kind::Event));
            let result = match file {
                Some(file) => query_file(&file, wanted, &mut listing),
                None => query_vault(wanted, context, &mut listing),
            };
            let count = listing.finish()?;
            output.flush()?;
            result?;
            if count == 0 {
                context.note("no event fits");
            }
            Ok(())
        }
        Command::Export { file, wanted } => transfer::export_timeline(&file, &wanted.query(SystemClock.now()), context),
        Command::Import { file, lenient } => transfer::import_timeline(&file, lenient, context),
        Command::Summary { file } => {
            if let Some(file) = file {
                return Ok(context.output().value(&read(&file)?.summary())?);
            }
            let vault = context.open()?;
            Ok(context.output().value(&vault.timeline().summary(vault.id(), None)?)?)
        }
    }
}

fn query_vault(wanted: Wanted, context: &Context, listing: &mut Listing<'_>) -> Result<()> {
    let vault = context.open()?;
    let query = wanted.query(vault.now());
    for event in vault.timeline().query(&query)? {
        add(&event?, listing)?;
    }
    Ok(())
}

fn query_file(file: &Path, wanted: Wanted, listing: &mut Listing<'_>) -> Result<()> {
    let timeline = read(file)?;
    wanted.query(SystemClock.now()).select(&timeline).try_for_each(|event| add(event, listing))
}

fn add(event: &Value, listing: &mut Listing<'_>) -> Result<()> {
    Ok(listing.add(event, || describe::row(Kind::Event, event))?)
}

fn read(file: &Path) -> Result<TimelineFile> {
    let text = input::read(file)?;
    TimelineFile::parse(&text).map_err(|source| Failure::Document { path: file.to_owned(), source })
}

impl Wanted {
    fn query(self, now: Timestamp) -> EventQuery {
        EventQuery {
            time: range(self.since, self.until, now),
            event_type: self.event_type,
            actor: self.actor,
            session: self.session,
            limit: self.limit.filter(|limit| *limit > 0),
            view: None,
        }
    }
}
