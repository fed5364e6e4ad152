//! `mirrordna reflection`: what an agent thinks of what it did.

use clap::{ArgAction, Args, Subcommand};
use mirrordna::record::{Map, Value};
use mirrordna::vault::{NewReflection, ReflectionType};

use super::list;
use crate::context::Context;
use crate::error::Result;
use crate::input::{json_argument, one_of};

pub(crate) const EXAMPLES: &str = "\
Examples:
  mirrordna reflection add decision --agent mdna_agt_0123456789abcdef --decision 'Wait' --rationale 'Data is missing'
  mirrordna reflection list --agent mdna_agt_0123456789abcdef --type decision
  mirrordna reflection introspect mdna_agt_0123456789abcdef";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Record a reflection
    #[command(
        subcommand,
        after_help = "\
Examples:
  mirrordna reflection add capability --agent mdna_agt_0123456789abcdef --capability summarize --usage 'a report' --success true
  mirrordna reflection add performance --agent mdna_agt_0123456789abcdef --observation 'Answers took 3 s'"
    )]
    Add(Add),
    /// List reflections, newest first
    #[command(
        after_help = "Examples:\n  mirrordna reflection list --agent mdna_agt_0123456789abcdef --type state --limit 5"
    )]
    List {
        /// Of this agent
        #[arg(long, value_name = "ID")]
        agent: Option<String>,
        /// Of this type
        #[arg(long = "type", value_name = "TYPE", value_parser = one_of(ReflectionType::ALL, ReflectionType::name))]
        reflection_type: Option<ReflectionType>,
        /// Stop after this many
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Show how an agent's capabilities did: how often each was used, and with what success
    #[command(after_help = "Examples:\n  mirrordna reflection introspect mdna_agt_0123456789abcdef")]
    Introspect {
        /// Id of the agent
        agent: String,
    },
}

#[derive(Subcommand)]
pub(crate) enum Add {
    /// A decision, held against the constraints of the agent's DNA
    #[command(after_help = "\
Examples:
  mirrordna reflection add decision --agent mdna_agt_0123456789abcdef --decision 'Wait' --rationale 'Data is missing' \
--checked 'Never guess'")]
    Decision {
        /// Id of the agent
        #[arg(long, value_name = "ID")]
        agent: String,
        /// What was decided
        #[arg(long, value_name = "TEXT")]
        decision: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        rationale: String,
        /// A constraint of the DNA that was considered, word for word (repeatable)
        #[arg(long = "checked", value_name = "CONSTRAINT")]
        checked: Vec<String>,
        /// What it was about, an object
        #[arg(long, value_name = "JSON", value_parser = json_argument)]
        context: Option<Value>,
    },
    /// The use of a capability
    #[command(after_help = "\
Examples:
  mirrordna reflection add capability --agent mdna_agt_0123456789abcdef --capability summarize --usage 'a report' \
--success false --notes 'It was too long'")]
    Capability {
        /// Id of the agent
        #[arg(long, value_name = "ID")]
        agent: String,
        /// Which capability of its DNA
        #[arg(long, value_name = "NAME")]
        capability: String,
        /// What it was used for
        #[arg(long, value_name = "TEXT")]
        usage: String,
        /// Whether it did what it should
        #[arg(long, action = ArgAction::Set)]
        success: bool,
        /// What else there is to say
        #[arg(long, value_name = "TEXT")]
        notes: Option<String>,
    },
    /// The state that an agent is in
    #[command(after_help = "\
Examples:
  mirrordna reflection add state --agent mdna_agt_0123456789abcdef --state '{\"load\":0.7}' --observation 'Busy'")]
    State {
        /// Id of the agent
        #[arg(long, value_name = "ID")]
        agent: String,
        /// The state, an object
        #[arg(long, value_name = "JSON", value_parser = json_argument)]
        state: Value,
        /// What is seen in it (repeatable)
        #[arg(long = "observation", value_name = "TEXT")]
        observations: Vec<String>,
    },
    /// What follows from other reflections
    #[command(after_help = "\
Examples:
  mirrordna reflection add meta --agent mdna_agt_0123456789abcdef \
--about refl_0123456789abcdef_20250301_080000_0001 --synthesis 'Waiting pays'")]
    Meta {
        /// Id of the agent
        #[arg(long, value_name = "ID")]
        agent: String,
        /// Id of a reflection that it is about (repeatable)
        #[arg(long = "about", value_name = "ID", required = true)]
        about: Vec<String>,
        /// What follows
        #[arg(long, value_name = "TEXT")]
        synthesis: String,
    },
    /// Whether an agent does what it should
    #[command(after_help = "\
Examples:
  mirrordna reflection add alignment --agent mdna_agt_0123456789abcdef --observation 'Asked before deleting'")]
    Alignment(Observed),
    /// How well an agent does what it does
    #[command(after_help = "\
Examples:
  mirrordna reflection add performance --agent mdna_agt_0123456789abcdef --observation 'Answers took 3 s' \
--evaluation 'Too slow' --insight 'Cache the index'")]
    Performance(Observed),
}

#[derive(Args)]
pub(crate) struct Observed {
    /// Id of the agent
    #[arg(long, value_name = "ID")]
    agent: String,
    /// What was seen
    #[arg(long, value_name = "TEXT")]
    observation: String,
    /// What is thought of it
    #[arg(long, value_name = "TEXT")]
    evaluation: Option<String>,
    /// What follows (repeatable)
    #[arg(long = "insight", value_name = "TEXT")]
    insights: Vec<String>,
    /// What was done (repeatable)
    #[arg(long = "action", value_name = "TEXT")]
    actions: Vec<String>,
    /// What it was about, an object
    #[arg(long, value_name = "JSON", value_parser = json_argument)]
    context: Option<Value>,
    /// Its metadata, an object
    #[arg(long, value_name = "JSON", value_parser = json_argument)]
    metadata: Option<Value>,
}

pub(crate) fn run(command: Command, context: &Context) -> Result<()> {
    match command {
        Command::Add(new) => add(new, context),
        Command::List { agent, reflection_type, limit } => {
            let vault = context.open()?;
            let records = vault.reflections().list(agent.as_deref(), reflection_type)?;
            list::show(context, mirrordna::record::Kind::Reflection, records.take(limit.unwrap_or(usize::MAX)))
        }
        Command::Introspect { agent } => {
            let report = context.open()?.reflections().introspect(&agent)?;
            Ok(context.output().value(&report)?)
        }
    }
}

fn add(new: Add, context: &Context) -> Result<()> {
    let vault = context.open()?;
    let reflections = vault.reflections();
    let record = match new {
        Add::Decision { agent, decision, rationale, checked, context } => {
            reflections.decision(&agent, &decision, &rationale, &checked, context.unwrap_or_else(empty))?
        }
        Add::Capability { agent, capability, usage, success, notes } => {
            reflections.capability(&agent, &capability, &usage, success, notes.as_deref())?
        }
        Add::State { agent, state, observations } => reflections.state(&agent, state, &observations)?,
        Add::Meta { agent, about, synthesis } => reflections.meta(&agent, &about, &synthesis)?,
        Add::Alignment(observed) => reflections.add(observed.into_new(ReflectionType::Alignment))?,
        Add::Performance(observed) => reflections.add(observed.into_new(ReflectionType::Performance))?,
    };
    Ok(context.output().made(&record)?)
}

impl Observed {
    fn into_new(self, reflection_type: ReflectionType) -> NewReflection {
        NewReflection {
            agent_id: self.agent,
            reflection_type,
            context: self.context.unwrap_or_else(empty),
            observation: self.observation,
            evaluation: self.evaluation,
            insights: self.insights,
            actions_taken: self.actions,
            metadata: self.metadata,
        }
    }
}

fn empty() -> Value {
    Value::Object(Map::new())
}
