//! `mirrordna dna`: what an agent believes about itself, by version.

use std::path::PathBuf;

use clap::Subcommand;
use mirrordna::Error;
use mirrordna::record::Kind;
use mirrordna::vault::Filter;

use super::list::{self, PageArgs};
use crate::context::Context;
use crate::error::Result;
use crate::input;

pub(crate) const EXAMPLES: &str = "\
Examples:
  mirrordna dna create dna.yaml
  mirrordna dna latest mdna_agt_0123456789abcdef";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Store a version of an agent's DNA
    ///
    /// Its id is made from agent and version when it has none.
    #[command(after_help = "\
Examples:
  mirrordna dna create dna.yaml
  mirrordna dna create - < dna.json")]
    Create {
        /// JSON or YAML file with the record; - for stdin
        file: PathBuf,
    },
    /// Show a version of an agent's DNA
    #[command(after_help = "Examples:\n  mirrordna dna get dna_0123456789abcdef_1_0_0")]
    Get {
        /// Id of the version
        id: String,
    },
    /// List agent DNA
    #[command(after_help = "\
Examples:
  mirrordna dna list
  mirrordna dna list --agent mdna_agt_0123456789abcdef")]
    List {
        /// Of this agent
        #[arg(long, value_name = "ID")]
        agent: Option<String>,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show the latest version of an agent's DNA
    #[command(after_help = "Examples:\n  mirrordna dna latest mdna_agt_0123456789abcdef")]
    Latest {
        /// Id of the agent
        agent: String,
    },
}

pub(crate) fn run(command: Command, context: &Context) -> Result<()> {
    let output = context.output();
    match command {
        Command::Create { file } => {
            let record = input::record(&file)?;
            Ok(output.made(&context.open()?.agent_dna().create(record)?)?)
        }
        Command::Get { id } => Ok(output.record(&context.open()?.get(Kind::AgentDna, &id)?)?),
        Command::List { agent, page } => {
            let filter = Filter::default().with_some("agent_id", agent.as_deref());
            list::list(context, &context.open()?, Kind::AgentDna, filter, page)
        }
        Command::Latest { agent } => {
            let latest = context.open()?.agent_dna().latest(&agent)?;
            Ok(output.record(&latest.ok_or_else(|| Error::not_found(Kind::AgentDna, &format!("of {agent}")))?)?)
        }
    }
}
