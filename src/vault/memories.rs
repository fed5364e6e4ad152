//! Memories: what an agent remembers, in three tiers.

use crate::record::{Kind, Map, Timestamp, Value, id, object};
use crate::storage::{Event, Order};

use super::sessions::with_member;
use super::{Error, Filter, Record, Result, Vault};

/// The memories of a vault.
pub struct Memories<'a>(pub(super) &'a Vault);

/// Where a memory is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tier {
    /// For now.
    ShortTerm,
    /// For good.
    LongTerm,
    /// What happened.
    Episodic,
}

impl Tier {
    /// All tiers.
    pub const ALL: [Self; 3] = [Self::ShortTerm, Self::LongTerm, Self::Episodic];

    /// Its name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ShortTerm => "short_term",
            Self::LongTerm => "long_term",
            Self::Episodic => "episodic",
        }
    }

    /// The tier of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.name() == name)
    }
}

/// A memory to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct NewMemory {
    /// Where it is kept.
    pub tier: Tier,
    /// Text that is not empty, or an object.
    pub content: Value,
    /// The session it comes from.
    pub session_id: String,
    /// The agent; when missing, that of the session, if the vault has the session.
    pub agent_id: Option<String>,
    /// The user; when missing, that of the session, if the vault has the session.
    pub user_id: Option<String>,
    /// When it was made; when missing, now.
    pub timestamp: Option<Timestamp>,
    /// `metadata`: an object, or nothing.
    pub metadata: Option<Value>,
}

/// What is to change of a memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemoryUpdate {
    /// New content.
    pub content: Option<Value>,
    /// An object whose members are set in `metadata`; `null` removes one.
    pub metadata: Option<Value>,
}

impl Memories<'_> {
    /// Writes a memory.
    ///
    /// # Errors
    /// [`crate::record::RecordError`] when a field breaks the schema; [`Error::Argument`] when agent or user are missing
    /// and the session is not in the vault; those of the storage.
    pub fn add(&self, new: NewMemory) -> Result<Record> {
        let vault = self.0;
        let now = vault.now();
        let (agent_id, user_id) = match (new.agent_id, new.user_id) {
            (Some(agent), Some(user)) => (agent, user),
            (agent, user) => {
                let session = vault.audited("create", Kind::Memory, "", || {
                    vault.find(Kind::Session, &new.session_id)?.ok_or_else(|| {
                        let reason = "it is not in the vault, so agent and user must be given";
                        Error::argument(format!("session {}", new.session_id), reason)
                    })
                })?;
                let of_session = |field| session.value.str_at(field).unwrap_or_default().to_owned();
                (agent.unwrap_or_else(|| of_session("agent_id")), user.unwrap_or_else(|| of_session("user_id")))
            }
        };
        let mut record = Map::new();
        record.insert("tier".into(), new.tier.name().into());
        record.insert("content".into(), new.content);
        record.insert(
            "source".into(),
            object([
                ("session_id", new.session_id.into()),
                ("timestamp", new.timestamp.unwrap_or(now).to_string().into()),
                ("agent_id", agent_id.into()),
                ("user_id", user_id.into()),
            ]),
        );
        if let Some(metadata) = new.metadata {
            record.insert("metadata".into(), metadata);
        }
        vault.create_fresh(Kind::Memory, &record, || id::memory(vault.ids(), now))
    }

    /// Writes a memory that is already a record; `memory_id` and `source.timestamp` are made when they are missing.
    ///
    /// # Errors
    /// As [`Vault::create_record`].
    pub fn add_record(&self, mut record: Value) -> Result<Record> {
        let vault = self.0;
        if let Some(map) = record.as_object_mut() {
            let now = vault.now();
            if let Some(source) = map.get_mut("source").and_then(Value::as_object_mut) {
                source.entry("timestamp".into()).or_insert_with(|| now.to_string().into());
            }
            if !map.contains_key("memory_id") {
                return vault.create_fresh(Kind::Memory, map, || id::memory(vault.ids(), now));
            }
        }
        vault.create_record(Kind::Memory, record)
    }

    /// Memories that hold a text, without regard to case, in their text or in keys and values of structured content:
    /// newest `source.timestamp` first, equal ones in order of the log. Every memory holds the empty text.
    ///
    /// # Errors
    /// [`Error::Argument`] for a filter that cannot be used.
    pub fn search(&self, query: &str, filter: &Filter) -> Result<impl Iterator<Item = Result<Record>> + use<>> {
        let query = query.to_lowercase();
        let limit = filter.limit.unwrap_or(usize::MAX);
        let filter = Filter { limit: None, order: Order::NewestTime, ..filter.clone() };
        let records = self.0.list(Kind::Memory, &filter)?;
        let matches = move |record: &Record| {
            query.is_empty() || record.value.get("content").is_some_and(|content| contains(content, &query))
        };
        Ok(records.filter(move |record| record.as_ref().map_or(true, &matches)).take(limit))
    }

    /// Changes content or metadata of a memory.
    ///
    /// # Errors
    /// As [`Vault::put`], and [`Error::Argument`] when the metadata is not an object.
    pub fn update(&self, memory_id: &str, update: &MemoryUpdate) -> Result<Record> {
        self.change("update", memory_id, None, |memory| {
            if let Some(content) = &update.content {
                memory.insert("content".into(), content.clone());
            }
            match &update.metadata {
                None => {}
                Some(Value::Object(members)) => with_member(memory, "metadata", |metadata| {
                    for (key, value) in members {
                        if value.is_null() {
                            metadata.remove(key);
                        } else {
                            metadata.insert(key.clone(), value.clone());
                        }
                    }
                }),
                Some(_) => return Err(Error::argument("metadata", "it must be a JSON object")),
            }
            Ok(())
        })
    }

    /// Moves a memory to another tier.
    ///
    /// # Errors
    /// As [`Vault::put`].
    pub fn promote(&self, memory_id: &str, tier: Tier) -> Result<Record> {
        self.change("promote", memory_id, None, |memory| {
            memory.insert("tier".into(), tier.name().into());
            Ok(())
        })
    }

    /// Marks a memory as archived, with the time.
    ///
    /// # Errors
    /// As [`Vault::put`], and [`Error::State`] when it is archived.
    pub fn archive(&self, memory_id: &str) -> Result<Record> {
        let now = self.0.now();
        self.change("archive", memory_id, None, |memory| {
            with_member(memory, "metadata", |metadata| {
                if metadata.get("archived").and_then(Value::as_bool) == Some(true) {
                    let reason = "it is archived already".to_owned();
                    return Err(Error::State { kind: Kind::Memory, id: memory_id.to_owned(), reason });
                }
                metadata.insert("archived".into(), true.into());
                metadata.insert("archived_at".into(), now.to_string().into());
                Ok(())
            })
        })
    }

    /// Counts an access: `metadata.access_count` goes up by one and `metadata.last_accessed` becomes now.
    ///
    /// # Errors
    /// As [`Vault::put`].
    pub fn count_access(&self, memory_id: &str) -> Result<Record> {
        let now = self.0.now();
        self.change("count_access", memory_id, Some(Event::MemoryAccessed), |memory| {
            with_member(memory, "metadata", |metadata| {
                let count = metadata.get("access_count").and_then(Value::as_i64).unwrap_or(0);
                metadata.insert("access_count".into(), count.saturating_add(1).into());
                metadata.insert("last_accessed".into(), now.to_string().into());
            });
            Ok(())
        })
    }

    fn change(
        &self,
        action: &str,
        memory_id: &str,
        event: Option<Event>,
        change: impl Fn(&mut Map) -> Result<()>,
    ) -> Result<Record> {
        self.0.audited(action, Kind::Memory, memory_id, || {
            self.0.modify(Kind::Memory, memory_id, event, |memory| memory.as_object_mut().map_or(Ok(()), &change))
        })
    }
}

/// Whether a lower-case text stands in a text, or in keys or values below it.
fn contains(content: &Value, query: &str) -> bool {
    let holds = |text: &str| text.to_lowercase().contains(query);
    match content {
        Value::String(text) => holds(text),
        Value::Array(items) => items.iter().any(|item| contains(item, query)),
        Value::Object(map) => map.iter().any(|(key, value)| holds(key) || contains(value, query)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            use crate::record::json::{Charset, Layout, to_vec};
            String::from_utf8_lossy(&to_vec(content, Layout::Compact, Charset::Ascii)).contains(query)
        }
    }
}
