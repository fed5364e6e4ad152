//! Sessions: start, end, lineage, and the context that a lineage has gathered.

use crate::record::{Kind, Map, Value, id, object};

use super::{Error, Record, Result, Vault};

/// The sessions of a vault.
pub struct Sessions<'a>(pub(super) &'a Vault);

/// A session to be started.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewSession {
    /// The agent.
    pub agent_id: String,
    /// The user.
    pub user_id: String,
    /// The session that this one goes on from.
    pub parent_session_id: Option<String>,
    /// `context_metadata`: an object, or nothing.
    pub context: Option<Value>,
}

/// A session and those it goes back to.
#[derive(Clone, Debug, PartialEq)]
pub struct Lineage {
    /// From the oldest ancestor to the session itself.
    pub sessions: Vec<Record>,
    /// The parent of the oldest session, when it has one that is not in the vault: an imported history begins here.
    pub missing_parent: Option<String>,
}

impl Sessions<'_> {
    /// Starts a session.
    ///
    /// # Errors
    /// [`Error::UnknownParent`], [`crate::record::RecordError`] when a field breaks the schema, those of the storage.
    pub fn start(&self, new: NewSession) -> Result<Record> {
        let vault = self.0;
        let now = vault.now();
        let mut record = Map::new();
        record.insert("parent_session_id".into(), new.parent_session_id.into());
        record.insert("agent_id".into(), new.agent_id.into());
        record.insert("user_id".into(), new.user_id.into());
        record.insert("started_at".into(), now.to_string().into());
        record.insert("ended_at".into(), Value::Null);
        if let Some(context) = new.context {
            record.insert("context_metadata".into(), context);
        }
        vault.create_fresh(Kind::Session, &record, || id::session(vault.ids(), now))
    }

    /// Ends a session, with a final state that is merged into `context_metadata.final_state`.
    ///
    /// # Errors
    /// [`crate::storage::StorageError::NotFound`], [`Error::State`] when it has ended, [`Error::Argument`] when the final
    /// state is not an object, those of the storage.
    pub fn end(&self, session_id: &str, final_state: Option<Value>) -> Result<Record> {
        let vault = self.0;
        vault.audited("end", Kind::Session, session_id, || {
            let state = match final_state {
                None => None,
                Some(Value::Object(state)) => Some(state),
                Some(_) => return Err(Error::argument("the final state", "it must be a JSON object")),
            };
            let now = vault.now();
            vault.modify(Kind::Session, session_id, None, |session| {
                if let Some(ended) = session.str_at("ended_at") {
                    return Err(Error::State {
                        kind: Kind::Session,
                        id: session_id.to_owned(),
                        reason: format!("it ended at {ended}"),
                    });
                }
                if let Some(session) = session.as_object_mut() {
                    session.insert("ended_at".into(), now.to_string().into());
                    if let Some(state) = &state {
                        with_member(session, "context_metadata", |context| {
                            with_member(context, "final_state", |merged| merged.extend(state.clone()));
                        });
                    }
                }
                Ok(())
            })
        })
    }

    /// A session and those it goes back to, oldest first.
    ///
    /// # Errors
    /// [`crate::storage::StorageError::NotFound`] for an unknown session, [`Error::Cycle`] when imported sessions go back
    /// to each other, those of the storage.
    pub fn lineage(&self, session_id: &str) -> Result<Lineage> {
        let vault = self.0;
        let mut sessions = vec![vault.get(Kind::Session, session_id)?];
        let mut seen = std::collections::HashSet::from([session_id.to_owned()]);
        let mut missing_parent = None;
        while let Some(parent) = sessions.last().and_then(|session| session.value.str_at("parent_session_id")) {
            let parent = parent.to_owned();
            if !seen.insert(parent.clone()) {
                return Err(Error::Cycle {
                    kind: Kind::Session,
                    id: session_id.to_owned(),
                    field: "parent_session_id",
                    reference: parent,
                });
            }
            let Some(session) = vault.find(Kind::Session, &parent)? else {
                missing_parent = Some(parent);
                break;
            };
            sessions.push(session);
        }
        sessions.reverse();
        Ok(Lineage { sessions, missing_parent })
    }

    /// What the sessions of a lineage have gathered: `session_count` and, for each session, its id, start, end and
    /// `context_metadata` as `metadata`.
    ///
    /// # Errors
    /// As [`Sessions::lineage`].
    pub fn context(&self, session_id: &str) -> Result<Value> {
        let lineage = self.lineage(session_id)?;
        let count = lineage.sessions.len();
        let sessions: Value = lineage
            .sessions
            .iter()
            .map(|session| {
                let field = |name: &str| session.value.get(name).cloned().unwrap_or_default();
                let metadata = match field("context_metadata") {
                    Value::Null => Value::Object(Map::new()),
                    metadata => metadata,
                };
                object([
                    ("session_id", session.id.as_str().into()),
                    ("started_at", field("started_at")),
                    ("ended_at", field("ended_at")),
                    ("metadata", metadata),
                ])
            })
            .collect();
        Ok(object([("session_count", count.into()), ("sessions", sessions)]))
    }
}

/// Changes the object under `key`; when there is none, an empty one.
pub(super) fn with_member<T>(map: &mut Map, key: &str, change: impl FnOnce(&mut Map) -> T) -> T {
    let mut member = match map.remove(key) {
        Some(Value::Object(member)) => member,
        _ => Map::new(),
    };
    let result = change(&mut member);
    map.insert(key.to_owned(), member.into());
    result
}

/// A parent must be there. That a session is not its own is said of all chains.
pub(super) fn check(vault: &Vault, id: &str, new: &Value) -> Result<()> {
    let Some(parent) = new.str_at("parent_session_id") else { return Ok(()) };
    if parent != id && vault.live_head(Kind::Session, parent)?.is_none() {
        return Err(Error::UnknownParent { id: id.to_owned(), parent: parent.to_owned() });
    }
    Ok(())
}
