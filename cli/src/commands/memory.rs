//! `mirrordna memory`: what an agent remembers, in three tiers.

use std::ops::Range;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use mirrordna::Vault;
use mirrordna::record::{Kind, Map, Timestamp, Value};
use mirrordna::vault::{Filter, MemoryUpdate, NewMemory, Record, Tier};

use super::list::{self, PageArgs};
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::input::{self, json_argument, one_of};
use crate::time::Moment;

pub(crate) const EXAMPLES: &str = "\
Examples:
  mirrordna memory add 'Prefers metric units' --tier long_term --session sess_20250301_080000_0a1b2c3d
  mirrordna memory search metric
  mirrordna memory promote mem_20250301_080000_0a1b2c3d long_term";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Write a memory
    ///
    /// Agent and user are those of the session, when the vault has the session.
    #[command(after_help = "\
Examples:
  mirrordna memory add 'Prefers metric units' --tier long_term --session sess_20250301_080000_0a1b2c3d --tag units
  git log -1 | mirrordna memory add - --tier episodic --session sess_20250301_080000_0a1b2c3d
  mirrordna memory add --json memory.json")]
    Add(Box<Add>),
    /// Show a memory
    #[command(after_help = "Examples:\n  mirrordna memory get mem_20250301_080000_0a1b2c3d")]
    Get {
        /// Id of the memory
        id: String,
    },
    /// List memories in the order in which they were written
    #[command(after_help = "\
Examples:
  mirrordna memory list --tier long_term --newest --limit 20
  mirrordna --jsonl memory list --session sess_20250301_080000_0a1b2c3d --since 7d")]
    List {
        #[command(flatten)]
        wanted: Wanted,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Find memories by text, newest first
    ///
    /// Case does not matter; keys and values of structured content count, too.
    #[command(after_help = "\
Examples:
  mirrordna memory search 'metric units'
  mirrordna memory search deadline --tier episodic --since 2025-03-01 --limit 5")]
    Search {
        /// The text
        query: String,
        #[command(flatten)]
        wanted: Wanted,
        /// Stop after this many
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
        /// Only memories with this value at a path of keys, such as metadata.custom.project=apollo (repeatable)
        #[arg(long = "where", value_name = "PATH=VALUE", value_parser = list::field)]
        fields: Vec<(String, mirrordna::vault::Wanted)>,
    },
    /// Change content or metadata of a memory
    #[command(after_help = "\
Examples:
  mirrordna memory update mem_20250301_080000_0a1b2c3d --content 'Prefers SI units'
  mirrordna memory update mem_20250301_080000_0a1b2c3d --metadata '{\"relevance_score\":0.9,\"draft\":null}'")]
    Update(Update),
    /// Move a memory to another tier
    #[command(after_help = "Examples:\n  mirrordna memory promote mem_20250301_080000_0a1b2c3d long_term")]
    Promote {
        /// Id of the memory
        id: String,
        /// Where it is to be kept
        #[arg(value_parser = one_of(Tier::ALL, Tier::name))]
        tier: Tier,
    },
    /// Mark a memory as archived
    #[command(after_help = "Examples:\n  mirrordna memory archive mem_20250301_080000_0a1b2c3d")]
    Archive {
        /// Id of the memory
        id: String,
    },
    /// Count an access to a memory
    #[command(after_help = "Examples:\n  mirrordna memory access mem_20250301_080000_0a1b2c3d")]
    Access {
        /// Id of the memory
        id: String,
    },
    /// Delete a memory; its history stays
    #[command(after_help = "Examples:\n  mirrordna memory delete mem_20250301_080000_0a1b2c3d")]
    Delete {
        /// Id of the memory
        id: String,
    },
    /// Show what a memory was, newest first
    #[command(after_help = "Examples:\n  mirrordna --json memory history mem_20250301_080000_0a1b2c3d")]
    History {
        /// Id of the memory
        id: String,
        /// Stop after this many versions
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
}

#[derive(Args)]
pub(crate) struct Add {
    /// What is remembered; - for stdin
    #[arg(required_unless_present = "json", conflicts_with = "json", allow_hyphen_values = true)]
    text: Option<String>,
    /// Where it is kept
    #[arg(long, value_parser = one_of(Tier::ALL, Tier::name), required_unless_present = "json", conflicts_with = "json")]
    tier: Option<Tier>,
    /// Id of the session that it comes from
    #[arg(long, value_name = "ID", required_unless_present = "json", conflicts_with = "json")]
    session: Option<String>,
    /// Id of the agent, when it is not that of the session
    #[arg(long, value_name = "ID", conflicts_with = "json")]
    agent: Option<String>,
    /// Id of the user, when it is not that of the session
    #[arg(long, value_name = "ID", conflicts_with = "json")]
    user: Option<String>,
    /// A tag (repeatable)
    #[arg(long = "tag", value_name = "TAG", conflicts_with = "json")]
    tags: Vec<String>,
    /// Its metadata, an object
    #[arg(long, value_name = "JSON", value_parser = json_argument, conflicts_with = "json")]
    metadata: Option<Value>,
    /// A file with the whole record, - for stdin; id and time are made when it has none
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Wanted {
    /// In this tier
    #[arg(long, value_parser = one_of(Tier::ALL, Tier::name))]
    tier: Option<Tier>,
    /// From this session
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// Of this agent
    #[arg(long, value_name = "ID")]
    agent: Option<String>,
    /// About this user
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// With this tag (repeatable: with all of them)
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Archived ones alone
    #[arg(long, conflicts_with = "live")]
    archived: bool,
    /// Those alone that are not archived
    #[arg(long)]
    live: bool,
    /// Made then or later: a time, a date, or how long ago, such as 7d
    #[arg(long, value_name = "TIME", value_parser = Moment::parse)]
    since: Option<Moment>,
    /// Made before then
    #[arg(long, value_name = "TIME", value_parser = Moment::parse)]
    until: Option<Moment>,
}

#[derive(Args)]
#[command(group = clap::ArgGroup::new("change").args(["content", "metadata"]).required(true).multiple(true))]
pub(crate) struct Update {
    /// Id of the memory
    id: String,
    /// New text; - for stdin
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    content: Option<String>,
    /// Members to set in its metadata, an object; null removes one
    #[arg(long, value_name = "JSON", value_parser = json_argument)]
    metadata: Option<Value>,
}

pub(crate) fn run(command: Command, context: &Context) -> Result<()> {
    match command {
        Command::Add(new) => add(*new, context),
        Command::Get { id } => Ok(context.output().record(&context.open()?.get(Kind::Memory, &id)?)?),
        Command::List { wanted, page } => {
            let vault = context.open()?;
            let filter = wanted.filter(&vault);
            list::list(context, &vault, Kind::Memory, filter, page)
        }
        Command::Search { query, wanted, limit, fields } => {
            let vault = context.open()?;
            let mut filter = wanted.filter(&vault);
            filter.fields.extend(fields);
            filter.limit = limit;
            list::show(context, Kind::Memory, vault.memories().search(&query, &filter)?)
        }
        Command::Update(update) => {
            let new_text = update.content.map(text).transpose()?;
            let change = MemoryUpdate { content: new_text.map(Value::from), metadata: update.metadata };
            changed("updated", &context.open()?.memories().update(&update.id, &change)?, context)
        }
        Command::Promote { id, tier } => changed("promoted", &context.open()?.memories().promote(&id, tier)?, context),
        Command::Archive { id } => changed("archived", &context.open()?.memories().archive(&id)?, context),
        Command::Access { id } => changed("counted", &context.open()?.memories().count_access(&id)?, context),
        Command::Delete { id } => list::delete(context, Kind::Memory, &id),
        Command::History { id, limit } => list::history(context, Kind::Memory, &id, limit),
    }
}

fn add(new: Add, context: &Context) -> Result<()> {
    // Input is read before the vault is opened, so that a slow pipe keeps nobody else out of it.
    let record = match (new.json, new.text, new.tier, new.session) {
        (Some(path), ..) => {
            let record = input::record(&path)?;
            context.open()?.memories().add_record(record)?
        }
        (None, Some(remembered), Some(tier), Some(session_id)) => {
            let remembered = text(remembered)?;
            let metadata = with_tags(new.metadata, new.tags)?;
            context.open()?.memories().add(NewMemory {
                tier,
                content: remembered.into(),
                session_id,
                agent_id: new.agent,
                user_id: new.user,
                timestamp: None,
                metadata,
            })?
        }
        (None, ..) => return Err(Failure::Usage("give TEXT, --tier and --session, or --json FILE".to_owned())),
    };
    Ok(context.output().made(&record)?)
}

/// The text of an argument, or of stdin for `-`.
fn text(argument: String) -> Result<String> {
    if argument == "-" { input::text_from_stdin() } else { Ok(argument) }
}

fn with_tags(metadata: Option<Value>, tags: Vec<String>) -> Result<Option<Value>> {
    if tags.is_empty() {
        return Ok(metadata);
    }
    let mut metadata = metadata.map_or_else(|| Ok(Map::new()), |metadata| list::object_of("--metadata", metadata))?;
    metadata.insert("tags".to_owned(), tags.into());
    Ok(Some(metadata.into()))
}

fn changed(what: &str, record: &Record, context: &Context) -> Result<()> {
    if context.output().is_text() {
        context.note(&format!("{what} {} (sequence {})", record.id, record.sequence));
        return Ok(());
    }
    Ok(context.output().json(&record.value)?)
}

impl Wanted {
    fn filter(self, vault: &Vault) -> Filter {
        let tier = self.tier.map(Tier::name);
        let mut filter = Filter::default()
            .with_some("tier", tier)
            .with_some("source.session_id", self.session.as_deref())
            .with_some("source.agent_id", self.agent.as_deref())
            .with_some("source.user_id", self.user.as_deref());
        for tag in &self.tags {
            filter = filter.with("metadata.tags", tag.as_str());
        }
        filter.archived = match (self.archived, self.live) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            (false, false) => None,
        };
        filter.time = range(self.since, self.until, vault.now());
        filter
    }
}

/// The times from one moment until before another one; nothing when neither is given.
pub(super) fn range(since: Option<Moment>, until: Option<Moment>, now: Timestamp) -> Option<Range<Timestamp>> {
    if since.is_none() && until.is_none() {
        return None;
    }
    let start = since.map_or(Timestamp::from_micros(i64::MIN), |moment| moment.resolve(now));
    let end = until.map_or(Timestamp::from_micros(i64::MAX), |moment| moment.resolve(now));
    Some(start..end)
}
