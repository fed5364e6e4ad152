//! Agent DNA: what an agent believes about itself, one record a version of it.

use crate::record::{Kind, Value, id};

use super::{Filter, Record, Result, Vault};

/// The agent DNA of a vault.
pub struct AgentDna<'a>(pub(super) &'a Vault);

impl AgentDna<'_> {
    /// Stores a version of an agent's DNA. Its id is made from agent and version when it is missing.
    ///
    /// # Errors
    /// As [`Vault::create_record`].
    pub fn create(&self, mut record: Value) -> Result<Record> {
        if let Some(map) = record.as_object_mut()
            && !map.contains_key("agent_dna_id")
            && let (Some(agent), Some(version)) =
                (map.get("agent_id").and_then(Value::as_str), map.get("version").and_then(Value::as_str))
        {
            let id = id::agent_dna(agent, version);
            map.insert("agent_dna_id".into(), id.into());
        }
        self.0.create_record(Kind::AgentDna, record)
    }

    /// All versions of an agent's DNA, the oldest version first.
    ///
    /// # Errors
    /// Those of the storage.
    pub fn versions(&self, agent_id: &str) -> Result<Vec<Record>> {
        let filter = Filter::default().with("agent_id", agent_id);
        let mut versions = self.0.list(Kind::AgentDna, &filter)?.collect::<Result<Vec<_>>>()?;
        versions.sort_by_key(|record| semantic(record.value.str_at("version").unwrap_or_default()));
        Ok(versions)
    }

    /// The latest version of an agent's DNA by semantic version, if it has any.
    ///
    /// # Errors
    /// Those of the storage.
    pub fn latest(&self, agent_id: &str) -> Result<Option<Record>> {
        Ok(self.versions(agent_id)?.pop())
    }

    /// The behavioral constraints of the latest version; none when the agent has no DNA.
    ///
    /// # Errors
    /// Those of the storage.
    pub fn constraints(&self, agent_id: &str) -> Result<Vec<String>> {
        Ok(self.latest(agent_id)?.map(|dna| texts(&dna.value, "behavioral_constraints")).unwrap_or_default())
    }
}

/// The texts of a list.
pub(super) fn texts(record: &Value, path: &str) -> Vec<String> {
    let items = record.at(path).and_then(Value::as_array).unwrap_or_default();
    items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// A version as something to sort by: its numbers, whatever their length.
fn semantic(version: &str) -> Vec<(usize, String)> {
    version
        .split('.')
        .map(|part| {
            let digits = part.trim_start_matches('0');
            (digits.len(), digits.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::semantic;

    #[test]
    fn versions_sort_by_number() {
        let mut versions = ["1.10.0", "1.9.0", "0.0.1", "1.9.99999999999999999999999", "1.2.3"];
        versions.sort_by_key(|version| semantic(version));
        assert_eq!(versions, ["0.0.1", "1.2.3", "1.9.0", "1.9.99999999999999999999999", "1.10.0"]);
    }
}
