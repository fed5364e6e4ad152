//! `mirrordna record`: records of any collection, as they are stored.

use std::path::PathBuf;

use clap::Subcommand;
use mirrordna::Error;
use mirrordna::record::Kind;
use mirrordna::storage::Sequence;
use mirrordna::vault::Filter;

use super::list::{self, PageArgs};
use crate::context::Context;
use crate::error::Result;
use crate::input;

pub(crate) const EXAMPLES: &str = "\
Examples:
  mirrordna record put citations citation.yaml
  mirrordna --json record get memories mem_20250301_080000_0a1b2c3d | jq .content
  mirrordna record list entries --where type=artifact";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Store a record: a new one, or a new version of one that is there
    #[command(after_help = "\
Examples:
  mirrordna record put citations citation.yaml
  jq '.metadata.reviewed = true' memory.json | mirrordna record put memories -")]
    Put {
        /// Where it belongs
        #[arg(value_parser = input::one_of(Kind::ALL, Kind::collection))]
        collection: Kind,
        /// JSON or YAML file with the record; - for stdin
        file: PathBuf,
    },
    /// Show a record
    #[command(after_help = "\
Examples:
  mirrordna record get agent_links mdna_agt_0123456789abcdef
  mirrordna record get memories mem_20250301_080000_0a1b2c3d --at 17")]
    Get {
        /// Where it belongs
        #[arg(value_parser = input::one_of(Kind::ALL, Kind::collection))]
        collection: Kind,
        /// Id of the record
        id: String,
        /// As it was at this sequence of the log
        #[arg(long, value_name = "SEQUENCE")]
        at: Option<Sequence>,
    },
    /// List the records of a collection
    #[command(after_help = "\
Examples:
  mirrordna record list glyphtrail --newest --limit 20
  mirrordna --jsonl record list entries --where type=artifact")]
    List {
        /// Which one
        #[arg(value_parser = input::one_of(Kind::ALL, Kind::collection))]
        collection: Kind,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show what a record was, newest first
    #[command(after_help = "Examples:\n  mirrordna record history citations mc_0123456789abcdef")]
    History {
        /// Where it belongs
        #[arg(value_parser = input::one_of(Kind::ALL, Kind::collection))]
        collection: Kind,
        /// Id of the record
        id: String,
        /// Stop after this many versions
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Delete a record; its history stays
    #[command(after_help = "Examples:\n  mirrordna record delete entries entry_0123456789abcdef")]
    Delete {
        /// Where it belongs
        #[arg(value_parser = input::one_of(Kind::ALL, Kind::collection))]
        collection: Kind,
        /// Id of the record
        id: String,
    },
}

pub(crate) fn run(command: Command, context: &Context) -> Result<()> {
    match command {
        Command::Put { collection, file } => {
            let record = input::record(&file)?;
            Ok(context.output().made(&context.open()?.put(collection, record)?)?)
        }
        Command::Get { collection, id, at } => {
            let vault = context.open()?;
            let record = match at {
                None => vault.get(collection, &id)?,
                Some(at) => vault.at(at)?.find(collection, &id)?.ok_or_else(|| Error::not_found(collection, &id))?,
            };
            Ok(context.output().record(&record)?)
        }
        Command::List { collection, page } => {
            list::list(context, &context.open()?, collection, Filter::default(), page)
        }
        Command::History { collection, id, limit } => list::history(context, collection, &id, limit),
        Command::Delete { collection, id } => list::delete(context, collection, &id),
    }
}
