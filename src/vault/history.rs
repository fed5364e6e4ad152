//! What a record was: its versions and its deletions.

use crate::record::{Kind, Timestamp, Value, object};
use crate::storage::{NOW, Sequence};

use super::{Error, Record, Result, Vault, may_be_stored};

/// Versions that are read at once.
const PAGE: usize = 64;

/// One entry of a record's history.
#[derive(Clone, Debug, PartialEq)]
pub enum Past {
    /// The record as it was from a sequence on.
    Version(Record),
    /// The record was deleted.
    Deleted {
        /// The log entry that deleted it.
        sequence: Sequence,
        /// When.
        time: Timestamp,
    },
}

impl Past {
    /// The log entry that stored or deleted the record.
    #[must_use]
    pub fn sequence(&self) -> Sequence {
        match self {
            Self::Version(record) => record.sequence,
            Self::Deleted { sequence, .. } => *sequence,
        }
    }

    /// The entry as JSON: `sequence`, `time`, `deleted`, and `checksum`, `lenient` and `record`, which are null for a
    /// deletion.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let (time, record) = match self {
            Self::Version(record) => (record.time, Some(record)),
            Self::Deleted { time, .. } => (*time, None),
        };
        object([
            ("sequence", self.sequence().into()),
            ("time", time.to_string().into()),
            ("deleted", record.is_none().into()),
            ("checksum", record.map(|record| record.checksum.to_string()).into()),
            ("lenient", record.map(|record| record.lenient).into()),
            ("record", record.map(|record| record.value.clone()).into()),
        ])
    }
}

impl Vault {
    /// What a record was, newest first: all of its versions, at most `limit`, before a sequence ([`NOW`] for all).
    ///
    /// # Errors
    /// [`StorageError::NotFound`](crate::storage::StorageError::NotFound) for a record that never was, and those of the
    /// storage.
    pub fn history(&self, kind: Kind, id: &str, before: Sequence, limit: usize) -> Result<Vec<Past>> {
        self.must_have_been(kind, id)?;
        let versions = self.storage().history(kind, id, before, limit)?;
        versions
            .iter()
            .map(|version| {
                if version.deleted {
                    Ok(Past::Deleted { sequence: version.sequence, time: version.time })
                } else {
                    Record::new(kind, id, version).map(Past::Version)
                }
            })
            .collect()
    }

    /// All of [`Vault::history`], read page by page. Where a version cannot be read it ends, with the error, after those
    /// that are newer.
    ///
    /// # Errors
    /// Those of [`Vault::history`].
    pub fn history_entries(&self, kind: Kind, id: &str) -> Result<impl Iterator<Item = Result<Past>> + use<>> {
        self.must_have_been(kind, id)?;
        let (vault, id) = (self.clone(), id.to_owned());
        let (mut before, mut limit, mut ended) = (NOW, PAGE, false);
        let mut page = Vec::new().into_iter();
        Ok(std::iter::from_fn(move || {
            loop {
                if let Some(past) = page.next() {
                    before = Past::sequence(&past);
                    return Some(Ok(past));
                }
                if ended {
                    return None;
                }
                match vault.history(kind, &id, before, limit) {
                    Ok(next) => {
                        ended = next.is_empty();
                        page = next.into_iter();
                    }
                    // One of the page cannot be read: those before it are read one by one.
                    Err(_) if limit > 1 => limit = 1,
                    Err(error) => {
                        ended = true;
                        return Some(Err(error));
                    }
                }
            }
        }))
    }

    fn must_have_been(&self, kind: Kind, id: &str) -> Result<()> {
        let is_known = may_be_stored(kind, id) && self.storage().head(kind, id)?.is_some();
        if is_known { Ok(()) } else { Err(Error::not_found(kind, id)) }
    }
}
