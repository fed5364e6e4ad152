//! Reflections: what an agent thinks of what it did.

use crate::record::{Kind, Map, Value, id, object};
use crate::storage::{Event, Expect, Order, StorageError};

use super::agent_dna::texts;
use super::{Error, Filter, Record, Result, Vault};

/// The reflections of a vault.
pub struct Reflections<'a>(pub(super) &'a Vault);

/// What a reflection is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReflectionType {
    /// A decision.
    Decision,
    /// The use of a capability.
    Capability,
    /// Whether the agent does what it should.
    Alignment,
    /// How well it does it.
    Performance,
    /// The state it is in.
    State,
    /// Other reflections.
    Meta,
}

impl ReflectionType {
    /// All types.
    pub const ALL: [Self; 6] =
        [Self::Decision, Self::Capability, Self::Alignment, Self::Performance, Self::State, Self::Meta];

    /// Its name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Decision => "decision",
            Self::Capability => "capability",
            Self::Alignment => "alignment",
            Self::Performance => "performance",
            Self::State => "state",
            Self::Meta => "meta",
        }
    }

    /// The type of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A reflection to be recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct NewReflection {
    /// The agent.
    pub agent_id: String,
    /// What it is about.
    pub reflection_type: ReflectionType,
    /// An object.
    pub context: Value,
    /// What was seen.
    pub observation: String,
    /// What is thought of it.
    pub evaluation: Option<String>,
    /// What follows.
    pub insights: Vec<String>,
    /// What was done.
    pub actions_taken: Vec<String>,
    /// An object, or nothing.
    pub metadata: Option<Value>,
}

impl NewReflection {
    fn new(agent_id: &str, reflection_type: ReflectionType, context: Value, observation: String) -> Self {
        Self {
            agent_id: agent_id.to_owned(),
            reflection_type,
            context,
            observation,
            evaluation: None,
            insights: Vec::new(),
            actions_taken: Vec::new(),
            metadata: None,
        }
    }
}

impl Reflections<'_> {
    /// Records a reflection.
    ///
    /// # Errors
    /// [`crate::record::RecordError`] when a field breaks the schema, and those of the storage.
    pub fn add(&self, new: NewReflection) -> Result<Record> {
        let vault = self.0;
        let now = vault.now();
        let mut record = Map::new();
        record.insert("agent_id".into(), new.agent_id.as_str().into());
        record.insert("reflection_type".into(), new.reflection_type.name().into());
        record.insert("timestamp".into(), now.to_string().into());
        record.insert("context".into(), new.context);
        record.insert("observation".into(), new.observation.into());
        for (field, texts) in [("insights", new.insights), ("actions_taken", new.actions_taken)] {
            if !texts.is_empty() {
                record.insert(field.into(), texts.into());
            }
        }
        if let Some(evaluation) = new.evaluation {
            record.insert("evaluation".into(), evaluation.into());
        }
        if let Some(metadata) = new.metadata {
            record.insert("metadata".into(), metadata);
        }
        vault.audited("add", Kind::Reflection, "", || {
            // The counter goes on from the number of reflections; whoever comes second to an id takes the next.
            let mut counter = self.count(&new.agent_id)? + 1;
            loop {
                let id = id::reflection(&new.agent_id, now, counter);
                record.insert("reflection_id".into(), id.into());
                let event = Some(Event::ReflectionRecorded);
                match vault.store(Kind::Reflection, record.clone().into(), None, Expect::Absent, event) {
                    Err(Error::Storage(StorageError::Exists { .. })) => counter += 1,
                    other => return other,
                }
            }
        })
    }

    fn count(&self, agent_id: &str) -> Result<u64> {
        let newest = Filter::default().with("agent_id", agent_id).order(Order::LogReversed).limit(1);
        let newest = self.0.list(Kind::Reflection, &newest)?.next().transpose()?;
        let counter =
            newest.and_then(|record| record.id.rsplit_once('_').and_then(|(_, counter)| counter.parse().ok()));
        Ok(counter.unwrap_or(0))
    }

    /// Records a decision and checks which constraints of the agent's DNA were considered.
    ///
    /// # Errors
    /// As [`Reflections::add`].
    pub fn decision(
        &self,
        agent_id: &str,
        decision: &str,
        rationale: &str,
        constraints_checked: &[String],
        context: Value,
    ) -> Result<Record> {
        let constraints = self.0.agent_dna().constraints(agent_id)?;
        let unchecked = constraints.iter().filter(|constraint| !constraints_checked.contains(constraint));
        let violations: Vec<String> =
            unchecked.map(|constraint| format!("Constraint not verified: {constraint}")).collect();
        let aligned = violations.is_empty();
        let first = if aligned {
            "Decision aligns with behavioral constraints".to_owned()
        } else {
            format!("Alignment issues: {}", violations.join("; "))
        };
        let checked = constraints_checked.len();
        let alignment = object([
            ("aligned", aligned.into()),
            ("violations", violations.into()),
            ("constraints_total", constraints.len().into()),
            ("constraints_checked", checked.into()),
        ]);
        self.add(NewReflection {
            evaluation: Some(format!("Rationale: {rationale}")),
            insights: vec![first, format!("Constraints considered: {checked}")],
            metadata: Some(object([
                ("decision", decision.into()),
                ("constraints_checked", constraints_checked.to_vec().into()),
                ("alignment", alignment),
            ])),
            ..NewReflection::new(agent_id, ReflectionType::Decision, context, format!("Decision: {decision}"))
        })
    }

    /// Records the use of a capability.
    ///
    /// # Errors
    /// As [`Reflections::add`].
    pub fn capability(
        &self,
        agent_id: &str,
        capability: &str,
        usage_context: &str,
        success: bool,
        notes: Option<&str>,
    ) -> Result<Record> {
        let outcome = if success { "performed as expected" } else { "did not meet expectations" };
        let mut insights = vec![format!("Capability '{capability}' {outcome}")];
        insights.extend(notes.map(|notes| format!("Notes: {notes}")));
        let observation = format!("Used capability: {capability} in context: {usage_context}");
        let context = object([("usage_context", usage_context.into())]);
        self.add(NewReflection {
            evaluation: Some(format!("Success: {}", if success { "True" } else { "False" })),
            insights,
            metadata: Some(object([
                ("capability", capability.into()),
                ("success", success.into()),
                ("performance_notes", notes.into()),
            ])),
            ..NewReflection::new(agent_id, ReflectionType::Capability, context, observation)
        })
    }

    /// Records the state an agent is in, which is an object, with what it sees in it.
    ///
    /// # Errors
    /// As [`Reflections::add`], and [`Error::Argument`] when the state is not an object.
    pub fn state(&self, agent_id: &str, state: Value, observations: &[String]) -> Result<Record> {
        let dimensions = self.0.audited("add", Kind::Reflection, "", || {
            Ok(state.as_object().ok_or_else(|| Error::argument("the state", "it must be a JSON object"))?.len())
        })?;
        let mut insights = vec![format!("State dimensions captured: {dimensions}")];
        insights.extend_from_slice(observations);
        let observation = format!("State reflection: {}", observations.join("; "));
        self.add(NewReflection {
            insights,
            metadata: Some(object([("state_snapshot", state.clone())])),
            ..NewReflection::new(agent_id, ReflectionType::State, state, observation)
        })
    }

    /// Records what follows from other reflections, all of which must be there.
    ///
    /// # Errors
    /// As [`Reflections::add`], and [`StorageError::NotFound`] for a reflection that is not there.
    pub fn meta(&self, agent_id: &str, reflection_ids: &[String], synthesis: &str) -> Result<Record> {
        self.0.audited("add", Kind::Reflection, "", || {
            for id in reflection_ids {
                if self.0.live_head(Kind::Reflection, id)?.is_none() {
                    return Err(Error::not_found(Kind::Reflection, id));
                }
            }
            Ok(())
        })?;
        let count = reflection_ids.len();
        let context = object([("reflection_ids", reflection_ids.to_vec().into())]);
        self.add(NewReflection {
            evaluation: Some(synthesis.to_owned()),
            insights: vec![format!("Analyzed {count} reflections"), format!("Synthesis: {synthesis}")],
            metadata: Some(object([("meta_reflection", true.into()), ("reflection_count", count.into())])),
            ..NewReflection::new(
                agent_id,
                ReflectionType::Meta,
                context,
                format!("Meta-reflection on {count} prior reflections"),
            )
        })
    }

    /// The reflections of an agent, newest first, of one type or of all.
    ///
    /// # Errors
    /// Those of the storage.
    pub fn list(&self, agent_id: Option<&str>, reflection_type: Option<ReflectionType>) -> Result<super::Records> {
        let filter = Filter::default()
            .with_some("agent_id", agent_id)
            .with_some("reflection_type", reflection_type.map(ReflectionType::name))
            .order(Order::NewestTime);
        self.0.list(Kind::Reflection, &filter)
    }

    /// How an agent's capabilities did: for each capability of its latest DNA, how often it was used and with what
    /// success.
    ///
    /// # Errors
    /// [`StorageError::NotFound`] for an agent without DNA, and those of the storage.
    pub fn introspect(&self, agent_id: &str) -> Result<Value> {
        let dna = self.0.agent_dna().latest(agent_id)?.ok_or_else(|| Error::not_found(Kind::AgentDna, agent_id))?;
        let capabilities = texts(&dna.value, "capabilities");
        let mut uses: std::collections::BTreeMap<String, (u64, u64)> =
            capabilities.iter().map(|capability| (capability.clone(), (0, 0))).collect();
        let mut total = 0_u64;
        for reflection in self.list(Some(agent_id), Some(ReflectionType::Capability))? {
            let reflection = reflection?;
            total += 1;
            let capability = reflection.value.str_at("metadata.capability").unwrap_or_default();
            if let Some((used, succeeded)) = uses.get_mut(capability) {
                *used += 1;
                *succeeded += u64::from(reflection.value.at("metadata.success").and_then(Value::as_bool) == Some(true));
            }
        }
        let performance: Map = uses.into_iter().map(|(name, counts)| (name, performance(counts))).collect();
        Ok(object([
            ("agent_id", agent_id.into()),
            ("capabilities", capabilities.into()),
            ("capability_performance", performance.into()),
            ("total_capability_reflections", total.into()),
        ]))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate; nobody reflects 2^53 times")]
fn performance((used, succeeded): (u64, u64)) -> Value {
    let rate = if used == 0 { 0.0 } else { succeeded as f64 / used as f64 };
    object([
        ("usage_count", used.into()),
        ("success_count", succeeded.into()),
        ("success_rate", Value::Number(crate::record::Number::Float(rate))),
    ])
}
