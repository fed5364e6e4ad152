//! Listing records: filters, order, and reading one page after the other.

use std::collections::VecDeque;
use std::ops::Range;

use crate::record::kind::IndexForm;
use crate::record::{Kind, Timestamp, Value, json};
use crate::storage::{Order, Position, Posting, Selection, Version, text_term};

use super::{Error, Record, Result, Vault};

/// Index entries read at once.
const PAGE: usize = 512;
/// How null is written.
const NULL: &str = "null";

/// What must stand in a field. A list fits when one of its items does; an object fits nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    /// This text, number or truth value. Null fits a field that is missing, too.
    Value(Value),
    /// The text, or the number, truth value or null that is written so: for callers who have nothing but text.
    Written(String),
}

impl Wanted {
    /// What is asked of an index: these hold texts only, so they know neither numbers nor what is missing.
    fn text(&self) -> Option<&str> {
        match self {
            Self::Value(value) => value.as_str(),
            Self::Written(text) => (text != NULL).then_some(text),
        }
    }

    /// Whether it is a value that is no list.
    fn is(&self, value: &Value) -> bool {
        match (self, value) {
            (_, Value::Array(_) | Value::Object(_)) => false,
            (Self::Value(wanted), _) => wanted == value,
            (Self::Written(text), Value::String(value)) => text == value,
            (Self::Written(text), Value::Null | Value::Bool(_) | Value::Number(_)) => {
                json::to_vec(value, json::Layout::Compact, json::Charset::Unicode) == text.as_bytes()
            }
        }
    }
}

/// Which records are listed, and in which order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// Paths of fields (keys with dots between them) and what must stand there.
    /// Fields that are indexed are found without reading other records; the others are compared one by one.
    pub fields: Vec<(String, Wanted)>,
    /// The record's own time lies in this range.
    pub time: Option<Range<Timestamp>>,
    /// Only archived records, or only those that are not.
    pub archived: Option<bool>,
    /// In which order.
    pub order: Order,
    /// At most this many.
    pub limit: Option<usize>,
    /// Behind this place, where an earlier listing stopped.
    pub after: Option<Position>,
}

impl Filter {
    /// The filter that also asks for a value at the path of a field.
    #[must_use]
    pub fn with(mut self, path: &str, value: impl Into<Value>) -> Self {
        self.fields.push((path.to_owned(), Wanted::Value(value.into())));
        self
    }

    /// The filter that asks for a value at the path of a field when there is one to ask for.
    #[must_use]
    pub fn with_some(self, path: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(path, value),
            None => self,
        }
    }

    /// The filter that stops after `limit` records.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    /// The filter in another order.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }
}

/// Records of a kind that fit a filter, read page by page. A record that is deleted meanwhile is left out.
pub struct Records {
    vault: Vault,
    kind: Kind,
    selection: Selection,
    residual: Vec<(String, Wanted)>,
    page: VecDeque<Posting>,
    position: Option<Position>,
    exhausted: bool,
    left: usize,
}

impl Records {
    pub(super) fn new(vault: Vault, kind: Kind, filter: &Filter) -> Result<Self> {
        let mut selection = Selection { archived: filter.archived, order: filter.order, ..Selection::all(kind) };
        selection.time.clone_from(&filter.time);
        let mut residual = Vec::new();
        for (path, wanted) in &filter.fields {
            if path.is_empty() {
                return Err(Error::argument("a filter", "the path of its field is empty"));
            }
            let index = kind.indexes().iter().find(|index| index.path == path && index.form != IndexForm::Time);
            match (index, wanted.text()) {
                (Some(index), Some(text)) => selection.terms.push((index.number, text_term(text))),
                _ => residual.push((path.clone(), wanted.clone())),
            }
        }
        Ok(Self {
            vault,
            kind,
            selection,
            residual,
            page: VecDeque::new(),
            position: filter.after,
            exhausted: false,
            left: filter.limit.unwrap_or(usize::MAX),
        })
    }

    /// Where the listing stands: a filter with this `after` goes on from here.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.position
    }

    /// The canonical JSON of each record, as it is stored: it is parsed only when the filter asks for fields that are not
    /// indexed.
    pub fn texts(mut self) -> impl Iterator<Item = Result<Vec<u8>>> {
        std::iter::from_fn(move || self.next_text())
    }

    /// The next of [`Records::texts`].
    pub fn next_text(&mut self) -> Option<Result<Vec<u8>>> {
        let found = self.fetch().map(|found| found.map(|found| found.version.json));
        self.item(found)
    }

    /// What is handed out.
    fn item<T>(&mut self, found: Result<Option<T>>) -> Option<Result<T>> {
        if found.is_err() {
            // What cannot be read is said once; going on would say it for ever.
            self.exhausted = true;
            self.page.clear();
        }
        found.transpose()
    }

    /// The next one that fits.
    fn fetch(&mut self) -> Result<Option<Found>> {
        if self.left == 0 {
            return Ok(None);
        }
        loop {
            if self.page.is_empty() {
                if self.exhausted {
                    return Ok(None);
                }
                let page = self.vault.select(&self.selection, self.position, PAGE.min(self.left.max(16)))?;
                self.exhausted = page.is_empty();
                self.page = page.into();
            }
            let Some(posting) = self.page.pop_front() else { continue };
            let read = || {
                let Some(version) = self.vault.newest(self.kind, &posting.id)? else { return Ok(None) };
                let value = if self.residual.is_empty() { None } else { Some(super::parse(&version)?) };
                Ok::<_, Error>(Some((version, value)))
            };
            // What could not be read was not read: a listing that goes on from here begins with it.
            let read = read()?;
            self.position = Some(Position::from(&posting));
            let Some((version, value)) = read else { continue };
            if self.residual.iter().all(|(path, wanted)| value.as_ref().is_some_and(|value| holds(value, path, wanted)))
            {
                self.left -= 1;
                return Ok(Some(Found { id: posting.id, version, value }));
            }
        }
    }
}

impl Iterator for Records {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        let kind = self.kind;
        let record = |Found { id, version, value }: Found| match value {
            Some(value) => Ok(Record::parsed(kind, &id, &version, value)),
            None => Record::new(kind, &id, &version),
        };
        let found = self.fetch().and_then(|found| found.map(record).transpose());
        self.item(found)
    }
}

/// A record that fits.
struct Found {
    id: String,
    version: Version,
    /// What it says, when it had to be looked at.
    value: Option<Value>,
}

/// Whether a record holds a value at a path.
fn holds(record: &Value, path: &str, wanted: &Wanted) -> bool {
    match record.at(path) {
        Some(Value::Array(items)) => items.iter().any(|item| wanted.is(item)),
        Some(value) => wanted.is(value),
        None => wanted.is(&Value::Null),
    }
}
