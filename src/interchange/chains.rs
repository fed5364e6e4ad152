//! Chains of records while they are imported: whether the next record would lead back to itself.
//!
//! Along a field that names another record of its kind, records stand below each other: a session below its parent. A
//! record closes a cycle exactly when it is the last of the cycle to come, and the one that it names stands, over however
//! many others, below it. So it is enough to know at the top of which records each record stands, and the order in which a
//! file has them does not matter.

use std::collections::HashMap;

use crate::record::{Kind, Value, id};
use crate::vault::{Result, Vault, chain_fields};

use super::report::RefusalReason;

/// The chains of all kinds, as far as the records of an import stand in them.
#[derive(Default)]
pub(super) struct Chains(HashMap<(Kind, &'static str), Chain>);

/// The chains along one field of a kind.
#[derive(Default)]
struct Chain {
    /// The place of each record in `above`.
    places: HashMap<Box<str>, usize>,
    /// A record that each one stands below; of the topmost, itself.
    above: Vec<usize>,
}

impl Chains {
    /// The reason to refuse a record that is not in the vault and would close a cycle.
    pub(super) fn refusal(
        &mut self,
        vault: &Vault,
        kind: Kind,
        record_id: &str,
        record: &Value,
    ) -> Result<Option<RefusalReason>> {
        for (field, named) in references(kind, record) {
            let chain = self.0.entry((kind, field)).or_default();
            let top = chain.top(vault, kind, field, named)?;
            if named == record_id || chain.places.get(record_id) == Some(&top) {
                return Ok(Some(RefusalReason::Cycle { field, reference: named.to_owned() }));
            }
        }
        Ok(None)
    }

    /// The record is taken.
    pub(super) fn add(&mut self, vault: &Vault, kind: Kind, record_id: &str, record: &Value) -> Result<()> {
        for (field, named) in references(kind, record) {
            let chain = self.0.entry((kind, field)).or_default();
            let top = chain.top(vault, kind, field, named)?;
            let (place, _) = chain.place(record_id);
            // Nothing is above it yet. In a cycle that a lenient import takes, nothing ever will be.
            chain.put_below(place, top);
        }
        Ok(())
    }
}

/// Whether a record names another one, so that it stands in a chain.
pub(super) fn names_another(kind: Kind, record: &Value) -> bool {
    references(kind, record).next().is_some()
}

/// The records that a record names, by field. What cannot be an id names none.
fn references(kind: Kind, record: &Value) -> impl Iterator<Item = (&'static str, &str)> {
    let named = move |field: &&'static str| record.str_at(field).map(|named| (*field, named));
    chain_fields(kind).iter().filter_map(named).filter(move |(_, named)| id::check_storable(kind, named).is_ok())
}

impl Chain {
    /// The place of a record, and whether it had one.
    fn place(&mut self, record_id: &str) -> (usize, bool) {
        if let Some(place) = self.places.get(record_id) {
            return (*place, true);
        }
        let place = self.above.len();
        self.above.push(place);
        self.places.insert(record_id.into(), place);
        (place, false)
    }

    /// The place of the topmost record above a record. What the vault knows above it is read, once for each record.
    fn top(&mut self, vault: &Vault, kind: Kind, field: &str, record_id: &str) -> Result<usize> {
        let (start, mut known) = self.place(record_id);
        let (mut place, mut at) = (start, record_id.to_owned());
        while !known {
            let record = vault.find(kind, &at)?;
            let Some(next) = record.as_ref().and_then(|record| record.value.str_at(field)) else { break };
            let next_place;
            (next_place, known) = self.place(next);
            let top = self.top_of(next_place);
            self.put_below(place, top);
            (place, at) = (next_place, next.to_owned());
        }
        Ok(self.top_of(start))
    }

    /// The place of the topmost record above a place. On the way each record is put below one that is higher up, so that no
    /// way is long for long.
    fn top_of(&mut self, mut place: usize) -> usize {
        while let Some(&above) = self.above.get(place)
            && above != place
        {
            let higher = self.above.get(above).copied().unwrap_or(above);
            self.put_below(place, higher);
            place = higher;
        }
        place
    }

    fn put_below(&mut self, place: usize, above: usize) {
        if let Some(slot) = self.above.get_mut(place) {
            *slot = above;
        }
    }
}
