//! How much a vault holds.

use crate::record::{Kind, Value, object};
use crate::storage::{LogState, Selection};

use super::{LOG_PAGE, Result, Tier, Vault};

/// How much a vault holds, and where its log stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overview {
    /// The vault's id.
    pub vault_id: String,
    /// Where the log stands.
    pub state: LogState,
    /// Records of each kind.
    pub records: [(Kind, u64); Kind::ALL.len()],
    /// Memories in each tier.
    pub tiers: [(Tier, u64); Tier::ALL.len()],
    /// Memories that are archived.
    pub archived: u64,
    /// Bytes on disk, about.
    pub disk_bytes: u64,
}

impl Overview {
    /// The overview as JSON.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let records = self.records.iter().map(|(kind, count)| (kind.collection().to_owned(), (*count).into()));
        let tiers = self.tiers.iter().map(|(tier, count)| (tier.name().to_owned(), (*count).into()));
        object([
            ("vault_id", self.vault_id.as_str().into()),
            ("records", Value::Object(records.collect())),
            ("memory_tiers", Value::Object(tiers.collect())),
            ("memories_archived", self.archived.into()),
            ("sequence", self.state.sequence.into()),
            ("durable_sequence", self.state.durable.into()),
            ("root", self.state.root.to_string().into()),
            ("newest_entry", self.state.time.to_string().into()),
            ("epoch", self.state.epoch.into()),
            ("disk_bytes", self.disk_bytes.into()),
        ])
    }
}

impl Vault {
    /// Counts what the vault holds now, from heads and index entries alone: no record is read.
    ///
    /// # Errors
    /// Those of the storage.
    pub fn overview(&self) -> Result<Overview> {
        let mut records = Kind::ALL.map(|kind| (kind, 0));
        let mut archived = 0;
        let present = self.present();
        for (kind, count) in &mut records {
            for item in present.iter(*kind) {
                let (_, head) = item?;
                *count += 1;
                archived += u64::from(head.archived);
            }
        }
        let mut tiers = Tier::ALL.map(|tier| (tier, 0));
        for (tier, count) in &mut tiers {
            *count = self.count_tier(*tier)?;
        }
        Ok(Overview {
            vault_id: self.id().to_owned(),
            state: self.state(),
            records,
            tiers,
            archived,
            disk_bytes: self.storage().stats().disk_bytes,
        })
    }

    fn count_tier(&self, tier: Tier) -> Result<u64> {
        let indexes = Kind::Memory.indexes().iter();
        let terms = indexes.filter(|index| index.path == "tier").map(|index| (index.number, tier.name().to_owned()));
        let selection = Selection { terms: terms.collect(), ..Selection::all(Kind::Memory) };
        let (mut count, mut after) = (0, None);
        loop {
            let page = self.storage().select(&selection, after, LOG_PAGE)?;
            let Some(last) = page.last() else { return Ok(count) };
            after = Some(last.into());
            count += page.len() as u64;
        }
    }
}
