//! What the rules of each kind say of a record before it is stored, beyond its schema.

use crate::record::{Kind, Value};
use crate::storage::{Event, Sequence};

use super::{Error, Record, Result, Vault, citations, identities, sessions};

/// Checks a record against the rules of its kind. `old` is the version that is there.
pub(super) fn check(vault: &Vault, kind: Kind, id: &str, new: &Value, old: Option<&Record>) -> Result<()> {
    match kind {
        Kind::Identity => identities::check(id, new, old.map(|old| &old.value)),
        Kind::Session => sessions::check(vault, id, new),
        Kind::Citation => citations::check(id, new),
        Kind::Event | Kind::Snapshot if old.is_some() => {
            Err(Error::Immutable { kind, id: id.to_owned(), what: "once it is there, it" })
        }
        Kind::Artifact => Err(artifact(id)),
        Kind::Snapshot => pinned(vault, new),
        Kind::Event
        | Kind::Memory
        | Kind::AgentDna
        | Kind::Reflection
        | Kind::Entry
        | Kind::AgentLink
        | Kind::Glyph => Ok(()),
    }?;
    chain_fields(kind).iter().try_for_each(|field| refuse_cycle(vault, kind, id, new, field))
}

/// The fields of a kind that name another record of it. Along each of them records form chains, which end.
pub(crate) const fn chain_fields(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Session => &["parent_session_id"],
        Kind::Citation | Kind::Glyph => &["predecessor", "successor"],
        _ => &[],
    }
}

/// Artifacts are files: what may become of them is decided where the whole tree of them is known.
pub(super) fn artifact(id: &str) -> Error {
    Error::Immutable { kind: Kind::Artifact, id: id.to_owned(), what: "outside of artifacts/, it" }
}

/// A snapshot pins what is there: what was pruned does not come back by being pinned.
fn pinned(vault: &Vault, new: &Value) -> Result<()> {
    match new.get("sequence").and_then(Value::as_i64).map(Sequence::try_from) {
        Some(Ok(sequence)) => vault.at(sequence).map(drop),
        _ => Err(Error::argument("sequence", "the number of an entry of the log")),
    }
}

/// The timeline event that storing a record projects.
pub(super) fn event(kind: Kind, new: &Value, old: Option<&Value>) -> Option<Event> {
    let ended = |value: &Value| value.str_at("ended_at").is_some();
    match (kind, old) {
        (Kind::Session, None) => Some(Event::SessionStart),
        (Kind::Session, Some(old)) if ended(new) && !ended(old) => Some(Event::SessionEnd),
        (Kind::Memory, None) => Some(Event::MemoryCreated),
        (Kind::Citation, None) => Some(Event::CitationCreated),
        (Kind::Citation, Some(_)) => Some(Event::CitationUpdated),
        (Kind::Snapshot, None) => Some(Event::StateSnapshot),
        (Kind::Reflection, None) => Some(Event::ReflectionRecorded),
        _ => None,
    }
}

/// Follows a reference from record to record and refuses one that leads back to `id`.
fn refuse_cycle(vault: &Vault, kind: Kind, id: &str, new: &Value, field: &'static str) -> Result<()> {
    let mut next = new.str_at(field).map(str::to_owned);
    let first = next.clone().unwrap_or_default();
    let mut seen = std::collections::HashSet::new();
    while let Some(reference) = next {
        if reference == id {
            return Err(Error::Cycle { kind, id: id.to_owned(), field, reference: first });
        }
        // A cycle that does not hold `id` was imported, and is not this record's fault.
        if !seen.insert(reference.clone()) {
            return Ok(());
        }
        next = vault.find(kind, &reference)?.and_then(|record| record.value.str_at(field).map(str::to_owned));
    }
    Ok(())
}
