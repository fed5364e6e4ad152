//! The entries of the log, for those who look at it from outside.

use crate::record::{Kind, Value, object};
use crate::storage::{Event, LogEntry};

impl LogEntry {
    /// The entry as JSON. What it does not have is null.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        object([
            ("sequence", self.sequence.into()),
            ("time", self.time.to_string().into()),
            ("operation", self.operation.name().into()),
            ("origin", self.origin.name().into()),
            ("event", self.event.map(Event::name).into()),
            ("collection", self.kind.map(Kind::collection).into()),
            ("id", filled(&self.id).into()),
            ("session", filled(&self.session).into()),
            ("agent", filled(&self.agent).into()),
            ("actor", self.actor.as_str().into()),
            ("commitment", self.commitment.map(|commitment| commitment.to_string()).into()),
            ("end_of_commit", self.end_of_commit.into()),
            ("detail", filled(&self.detail).into()),
        ])
    }
}
