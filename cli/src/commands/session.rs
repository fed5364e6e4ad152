//! `mirrordna session`: what an agent did with a user from start to end.

use clap::{Args, Subcommand};
use mirrordna::record::{Kind, Value, object};
use mirrordna::vault::{Filter, NewSession};

use super::list::{self, PageArgs};
use crate::context::Context;
use crate::error::Result;
use crate::input::json_argument;

pub(crate) const EXAMPLES: &str = "\
Examples:
  mirrordna session start --agent mdna_agt_0123456789abcdef --user mdna_usr_0123456789abcdef
  mirrordna session end sess_20250301_080000_0a1b2c3d --final-state '{\"mood\":\"good\"}'
  mirrordna session lineage sess_20250301_080000_0a1b2c3d";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Start a session
    #[command(after_help = "\
Examples:
  mirrordna session start --agent mdna_agt_0123456789abcdef --user mdna_usr_0123456789abcdef
  mirrordna session start --agent mdna_agt_0123456789abcdef --user mdna_usr_0123456789abcdef \
--parent sess_20250301_080000_0a1b2c3d --context '{\"topic\":\"planning\"}'")]
    Start(Start),
    /// End a session
    #[command(after_help = "\
Examples:
  mirrordna session end sess_20250301_080000_0a1b2c3d
  mirrordna session end sess_20250301_080000_0a1b2c3d --final-state '{\"tasks_open\":2}'")]
    End {
        /// Id of the session
        id: String,
        /// What it ends with, an object, merged into context_metadata.final_state
        #[arg(long, value_name = "JSON", value_parser = json_argument)]
        final_state: Option<Value>,
    },
    /// Show a session
    #[command(after_help = "Examples:\n  mirrordna session get sess_20250301_080000_0a1b2c3d")]
    Get {
        /// Id of the session
        id: String,
    },
    /// List sessions
    #[command(after_help = "\
Examples:
  mirrordna session list --newest --limit 10
  mirrordna session list --agent mdna_agt_0123456789abcdef")]
    List(List),
    /// Show a session and those it goes back to, oldest first
    #[command(after_help = "Examples:\n  mirrordna session lineage sess_20250301_080000_0a1b2c3d")]
    Lineage {
        /// Id of the session
        id: String,
    },
    /// Show what the sessions of a lineage have gathered
    #[command(after_help = "Examples:\n  mirrordna --json session context sess_20250301_080000_0a1b2c3d")]
    Context {
        /// Id of the session
        id: String,
    },
}

#[derive(Args)]
pub(crate) struct Start {
    /// Id of the agent
    #[arg(long, value_name = "ID")]
    agent: String,
    /// Id of the user
    #[arg(long, value_name = "ID")]
    user: String,
    /// Id of the session that it goes on from
    #[arg(long, value_name = "ID")]
    parent: Option<String>,
    /// What it begins with, an object, kept as context_metadata
    #[arg(long, value_name = "JSON", value_parser = json_argument)]
    context: Option<Value>,
}

#[derive(Args)]
pub(crate) struct List {
    /// Of this agent
    #[arg(long, value_name = "ID")]
    agent: Option<String>,
    /// With this user
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// That go on from this session
    #[arg(long, value_name = "ID")]
    parent: Option<String>,
    #[command(flatten)]
    page: PageArgs,
}

pub(crate) fn run(command: Command, context: &Context) -> Result<()> {
    let output = context.output();
    match command {
        Command::Start(new) => {
            let session = context.open()?.sessions().start(NewSession {
                agent_id: new.agent,
                user_id: new.user,
                parent_session_id: new.parent,
                context: new.context,
            })?;
            Ok(output.made(&session)?)
        }
        Command::End { id, final_state } => {
            let session = context.open()?.sessions().end(&id, final_state)?;
            if output.is_text() {
                context.note(&format!("ended {id}"));
                return Ok(());
            }
            Ok(output.json(&session.value)?)
        }
        Command::Get { id } => Ok(output.record(&context.open()?.get(Kind::Session, &id)?)?),
        Command::List(wanted) => {
            let filter = Filter::default()
                .with_some("agent_id", wanted.agent.as_deref())
                .with_some("user_id", wanted.user.as_deref())
                .with_some("parent_session_id", wanted.parent.as_deref());
            list::list(context, &context.open()?, Kind::Session, filter, wanted.page)
        }
        Command::Lineage { id } => lineage(&id, context),
        Command::Context { id } => Ok(output.value(&context.open()?.sessions().context(&id)?)?),
    }
}

fn lineage(id: &str, context: &Context) -> Result<()> {
    let lineage = context.open()?.sessions().lineage(id)?;
    if context.output().is_text() {
        if let Some(parent) = &lineage.missing_parent {
            context.note(&format!(
                "the lineage begins here: the parent {parent} of the first session is not in the vault"
            ));
        }
        return list::show(context, Kind::Session, lineage.sessions.into_iter().map(Ok));
    }
    let sessions: Value = lineage.sessions.into_iter().map(|session| session.value).collect();
    let value = object([("sessions", sessions), ("missing_parent", lineage.missing_parent.into())]);
    Ok(context.output().json(&value)?)
}
