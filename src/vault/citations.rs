//! Master citations and the glyphtrail: documents in chains of predecessors and successors.

use crate::record::document::{self, Proof};
use crate::record::{Kind, Value};

use super::{Record, Result, Vault};

/// The master citations of a vault.
pub struct Citations<'a>(pub(super) &'a Vault);

/// The glyphtrail of a vault.
pub struct Glyphtrail<'a>(pub(super) &'a Vault);

/// Documents that follow each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain {
    /// From the first predecessor to the last successor that is in the vault.
    pub records: Vec<Record>,
    /// The predecessor of the first one, when it has one that is not in the vault.
    pub missing_predecessor: Option<String>,
    /// The successor of the last one, when it has one that is not in the vault.
    pub missing_successor: Option<String>,
}

impl Citations<'_> {
    /// The chain that a citation stands in.
    ///
    /// # Errors
    /// [`crate::storage::StorageError::NotFound`] for an unknown citation, and those of the storage.
    pub fn chain(&self, citation_id: &str) -> Result<Chain> {
        chain(self.0, Kind::Citation, citation_id)
    }
}

impl Glyphtrail<'_> {
    /// The chain that a glyphtrail entry stands in.
    ///
    /// # Errors
    /// [`crate::storage::StorageError::NotFound`] for an unknown entry, and those of the storage.
    pub fn chain(&self, glyph_id: &str) -> Result<Chain> {
        chain(self.0, Kind::Glyph, glyph_id)
    }
}

fn chain(vault: &Vault, kind: Kind, id: &str) -> Result<Chain> {
    let start = vault.get(kind, id)?;
    let (mut records, missing_predecessor) = follow(vault, kind, start.clone(), "predecessor")?;
    records.reverse();
    records.pop();
    let (after, missing_successor) = follow(vault, kind, start, "successor")?;
    records.extend(after);
    Ok(Chain { records, missing_predecessor, missing_successor })
}

/// The records from `start` on along a field, and the reference at which they end outside the vault.
fn follow(vault: &Vault, kind: Kind, start: Record, field: &str) -> Result<(Vec<Record>, Option<String>)> {
    let mut seen = std::collections::HashSet::from([start.id.clone()]);
    let mut records = vec![start];
    while let Some(next) = records.last().and_then(|record| record.value.str_at(field)).map(str::to_owned) {
        // An imported chain may lead back to itself; it is walked once.
        if !seen.insert(next.clone()) {
            break;
        }
        match vault.find(kind, &next)? {
            Some(record) => records.push(record),
            None => return Ok((records, Some(next))),
        }
    }
    Ok((records, None))
}

/// A citation proves itself.
pub(super) fn check(id: &str, new: &Value) -> Result<()> {
    if let Some(map) = new.as_object() {
        document::verify(&format!("master citation {id}"), map, Proof::Required)?;
    }
    Ok(())
}
