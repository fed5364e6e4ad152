//! The entries of the log, for those who look at it from outside.

use crate::record::{Kind, Value, object};
use crate::storage::{Event, LogEntry, Sequence};

use super::{LOG_PAGE, Result, Vault};

impl Vault {
    /// The entries of the log from a sequence on, up to where it ends by then, read page by page.
    pub fn log_entries(&self, from: Sequence) -> impl Iterator<Item = Result<LogEntry>> + use<> {
        let vault = self.clone();
        let mut next = from;
        let mut page = Vec::new().into_iter();
        let mut failed = false;
        std::iter::from_fn(move || {
            if failed {
                return None;
            }
            if page.as_slice().is_empty() {
                match vault.log(next, LOG_PAGE) {
                    Ok(entries) => page = entries.into_iter(),
                    Err(error) => {
                        failed = true;
                        return Some(Err(error));
                    }
                }
            }
            let entry: LogEntry = page.next()?;
            next = entry.sequence + 1;
            Some(Ok(entry))
        })
    }
}

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
