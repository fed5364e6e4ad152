//! The timeline: events that were appended, and events that the log itself tells.
//!
//! What the log tells (sessions, memories, citations, snapshots, reflections) is not stored twice: such an event takes
//! its id and time from the log entry. Queries show both together, oldest first.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;

use crate::record::document::{EventFilter, TimelineFile};
use crate::record::{Kind, Map, Timestamp, Value, document, id, object};
use crate::storage::{Expect, LogEntry, Order, Position, Selection, Sequence, StorageError};

use super::{Error, LOG_PAGE, Record, Result, Vault, View};

/// The timeline of a vault.
pub struct Timeline<'a>(pub(super) &'a Vault);

/// An event to be appended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewEvent {
    /// One of the protocol's event types.
    pub event_type: String,
    /// Who did it.
    pub actor: String,
    /// An object, or nothing.
    pub payload: Option<Value>,
    /// The session it belongs to.
    pub session_id: Option<String>,
    /// When it happened; when missing, now.
    pub timestamp: Option<Timestamp>,
}

/// Which events are looked for.
#[derive(Clone, Debug, Default)]
pub struct EventQuery {
    /// Of this type.
    pub event_type: Option<String>,
    /// By this actor.
    pub actor: Option<String>,
    /// Of this session.
    pub session: Option<String>,
    /// At this time or later, and before that one.
    pub time: Option<Range<Timestamp>>,
    /// At most this many.
    pub limit: Option<usize>,
    /// As the timeline is in this view; when missing, now.
    pub view: Option<View>,
}

impl EventQuery {
    /// The events of a timeline file that fit, in the order of the file. The view is not looked at.
    pub fn select<'a>(&'a self, file: &'a TimelineFile) -> impl Iterator<Item = &'a Value> {
        let filter = EventFilter {
            event_type: self.event_type.as_deref(),
            actor: self.actor.as_deref(),
            session: self.session.as_deref(),
            from: self.time.as_ref().map(|time| time.start),
            // The end of that filter belongs to it, and that of a query does not.
            to: self.time.as_ref().map(|time| time.end.plus_micros(-1)),
            limit: 0,
        };
        let fits = move |event: &&Value| filter.matches(event);
        file.events().iter().filter(fits).take(self.limit.unwrap_or(usize::MAX))
    }
}

impl Timeline<'_> {
    /// Appends an event.
    ///
    /// # Errors
    /// [`crate::record::RecordError`] when a field breaks the schema, and those of the storage.
    pub fn append(&self, new: NewEvent) -> Result<Record> {
        let vault = self.0;
        let time = new.timestamp.unwrap_or_else(|| vault.now());
        let mut record = Map::new();
        record.insert("timestamp".into(), time.to_string().into());
        record.insert("event_type".into(), new.event_type.into());
        record.insert("actor".into(), new.actor.into());
        if let Some(payload) = new.payload {
            record.insert("payload".into(), payload);
        }
        if let Some(session) = new.session_id {
            record.insert("related_session_id".into(), session.into());
        }
        vault.audited("append", Kind::Event, "", || {
            // The counter is the sequence that the event is about to get, as for the events that the log tells.
            let mut counter = vault.next_sequence()?;
            loop {
                record.insert("id".into(), id::event(time, counter).into());
                match vault.store(Kind::Event, record.clone().into(), None, Expect::Absent, None) {
                    Err(Error::Storage(StorageError::Exists { .. })) => counter += 1,
                    other => return other,
                }
            }
        })
    }

    /// The events that fit a query, oldest first.
    ///
    /// # Errors
    /// Those of the storage.
    pub fn query(&self, query: &EventQuery) -> Result<impl Iterator<Item = Result<Value>> + use<>> {
        let vault = self.0;
        let at = match query.view.as_ref().and_then(View::sequence) {
            Some(at) => at,
            None => vault.state_now()?.sequence,
        };
        let mut told = Told::new(vault.clone(), query.clone(), at)?.peekable();
        let mut appended = Appended::new(vault, query)?.peekable();
        let limit = query.limit.unwrap_or(usize::MAX);
        Ok(std::iter::from_fn(move || {
            let take_told = match (told.peek(), appended.peek()) {
                (None, None) => return None,
                (Some(_), None) | (Some(Err(_)), _) => true,
                (None, Some(_)) | (_, Some(Err(_))) => false,
                (Some(Ok((told, _))), Some(Ok((appended, _)))) => told <= appended,
            };
            let next = if take_told { told.next() } else { appended.next() };
            next.map(|item| item.map(|(_, event)| event))
        })
        .take(limit))
    }

    /// The event that the log tells under an id, if it tells one.
    ///
    /// # Errors
    /// Those of the storage.
    pub(crate) fn told(&self, id: &str) -> Result<Option<Value>> {
        // The counter of such an id is the sequence of its entry.
        let sequence = id.rsplit_once('_').and_then(|(_, counter)| counter.parse::<Sequence>().ok());
        let Some(sequence) = sequence.filter(|sequence| *sequence > 0) else { return Ok(None) };
        if sequence > self.0.state_now()?.sequence {
            return Ok(None);
        }
        let told = self.0.log(sequence, 1)?.first().and_then(told_event);
        Ok(told.filter(|event| event.str_at(Kind::Event.id_field()) == Some(id)))
    }

    /// The days that have events now, each as the moment at which it begins. Of each day one event is read.
    ///
    /// # Errors
    /// Those of the storage.
    pub fn days(&self) -> Result<BTreeSet<Timestamp>> {
        let mut days = BTreeSet::new();
        days_told(self.0, &mut days)?;
        days_appended(self.0, &mut days)?;
        Ok(days)
    }

    /// The summary of all events: their number, types, actors, and the first and last time.
    ///
    /// # Errors
    /// As [`Timeline::query`].
    pub fn summary(&self, timeline_id: &str, view: Option<&View>) -> Result<Value> {
        let mut failed = None;
        let events: Vec<Value> = self
            .query(&EventQuery { view: view.cloned(), ..EventQuery::default() })?
            .map_while(|event| match event {
                // Only what a summary counts, so that a long timeline is not held with its payloads.
                Ok(event) => Some(object(
                    ["event_type", "actor", "timestamp"]
                        .map(|field| (field, event.get(field).cloned().unwrap_or_default())),
                )),
                Err(error) => {
                    failed = Some(error);
                    None
                }
            })
            .collect();
        match failed {
            Some(error) => Err(error),
            None => Ok(document::timeline_summary(timeline_id, &events)),
        }
    }
}

type Item = Result<(Timestamp, Value)>;

/// The events that the log tells.
struct Told {
    vault: Vault,
    query: EventQuery,
    next: Sequence,
    end: Sequence,
    page: VecDeque<LogEntry>,
    failed: bool,
}

impl Told {
    fn new(vault: Vault, query: EventQuery, at: Sequence) -> Result<Self> {
        let (next, end) = match &query.time {
            None => (1, at),
            Some(range) => (first_at(&vault, range.start, at)?, first_at(&vault, range.end, at)?.saturating_sub(1)),
        };
        Ok(Self { vault, query, next, end, page: VecDeque::new(), failed: false })
    }

    fn fetch(&mut self) -> Result<Option<(Timestamp, Value)>> {
        loop {
            if self.page.is_empty() {
                if self.next > self.end {
                    return Ok(None);
                }
                let limit = usize::try_from(self.end - self.next + 1).unwrap_or(LOG_PAGE).min(LOG_PAGE);
                self.page = self.vault.log(self.next, limit)?.into();
                if self.page.is_empty() {
                    return Ok(None);
                }
                self.next += self.page.len() as u64;
            }
            let Some(entry) = self.page.pop_front() else { continue };
            if let Some(event) = told_event(&entry)
                && fits(&event, &self.query)
            {
                return Ok(Some((entry.time, event)));
            }
        }
    }
}

impl Iterator for Told {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        if self.failed {
            return None;
        }
        let item = self.fetch();
        self.failed = item.is_err();
        item.transpose()
    }
}

/// The first sequence whose time is not before `time`, at most one behind `end`: times in the log never go back.
fn first_at(vault: &Vault, time: Timestamp, end: Sequence) -> Result<Sequence> {
    let (mut low, mut high) = (1, end + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let before = vault.log(middle, 1)?.first().is_some_and(|entry| entry.time < time);
        if before { low = middle + 1 } else { high = middle }
    }
    Ok(low)
}

/// Adds the days of the events that the log tells: from one that is found the search leaps to the next day.
fn days_told(vault: &Vault, days: &mut BTreeSet<Timestamp>) -> Result<()> {
    let end = vault.state_now()?.sequence;
    let (mut next, mut limit) = (1, 1);
    while next <= end {
        let page = vault.log(next, limit)?;
        let Some(last) = page.last() else { break };
        if let Some(entry) = page.iter().find(|entry| entry.event.is_some()) {
            let day = entry.time.start_of_day();
            days.insert(day);
            next = first_at(vault, day.plus_micros(Timestamp::DAY), end)?;
            limit = 1;
        } else {
            next = last.sequence + 1;
            limit = (limit * 8).min(LOG_PAGE);
        }
    }
    Ok(())
}

/// Adds the days of the events that were appended, from the newest back, by leaps as well.
fn days_appended(vault: &Vault, days: &mut BTreeSet<Timestamp>) -> Result<()> {
    let mut before = Timestamp::from_micros(i64::MAX);
    loop {
        let time = Some(Timestamp::from_micros(i64::MIN)..before);
        let selection = Selection { order: Order::NewestTime, time, ..Selection::all(Kind::Event) };
        let Some(newest) = vault.storage().select(&selection, None, 1)?.pop() else { return Ok(()) };
        before = newest.time.start_of_day();
        days.insert(before);
    }
}

/// The event that a log entry tells, if it tells one.
fn told_event(entry: &LogEntry) -> Option<Value> {
    let event = entry.event?;
    let kind = entry.kind?;
    let actor = if entry.agent.is_empty() { &entry.actor } else { &entry.agent };
    let mut map = Map::new();
    map.insert("id".into(), id::event(entry.time, entry.sequence).into());
    map.insert("timestamp".into(), entry.time.to_string().into());
    map.insert("event_type".into(), event.name().into());
    map.insert("actor".into(), actor.as_str().into());
    map.insert("payload".into(), object([(kind.id_field(), entry.id.as_str().into())]));
    if !entry.session.is_empty() {
        map.insert("related_session_id".into(), entry.session.as_str().into());
    }
    if entry.agent.starts_with("mdna_agt_") {
        map.insert("related_agent_id".into(), entry.agent.as_str().into());
    }
    Some(map.into())
}

fn fits(event: &Value, query: &EventQuery) -> bool {
    let is = |field: &str, wanted: &Option<String>| {
        wanted.as_ref().is_none_or(|wanted| event.str_at(field) == Some(wanted.as_str()))
    };
    is("event_type", &query.event_type) && is("actor", &query.actor) && is("related_session_id", &query.session)
}

/// The events that were appended, in order of their time.
struct Appended {
    view: View,
    query: EventQuery,
    found: std::vec::IntoIter<(Position, String)>,
}

impl Appended {
    fn new(vault: &Vault, query: &EventQuery) -> Result<Self> {
        let mut found = Vec::new();
        let view = query.view.clone().unwrap_or_else(|| vault.present());
        if view.sequence().is_some() {
            // The indexes show the present; the past is read from the versions.
            for record in view.records(Kind::Event) {
                let record = record?;
                let time = record.value.str_at("timestamp").and_then(Timestamp::parse).unwrap_or(record.time);
                if query.time.as_ref().is_none_or(|range| range.contains(&time)) {
                    found.push((Position { time, birth: record.sequence }, record.id));
                }
            }
        } else {
            let mut selection = Selection { order: Order::NewestTime, ..Selection::all(Kind::Event) };
            selection.time.clone_from(&query.time);
            let fields =
                [("event_type", &query.event_type), ("actor", &query.actor), ("related_session_id", &query.session)];
            for index in Kind::Event.indexes() {
                let wanted =
                    fields.iter().find(|(path, _)| *path == index.path).and_then(|(_, wanted)| wanted.as_ref());
                selection.terms.extend(wanted.map(|wanted| (index.number, crate::storage::text_term(wanted))));
            }
            let mut after = None;
            loop {
                let page = vault.storage().select(&selection, after, LOG_PAGE)?;
                let Some(last) = page.last() else { break };
                after = Some(Position::from(last));
                found.extend(page.into_iter().map(|posting| (Position::from(&posting), posting.id)));
            }
        }
        found.sort_by_key(|(position, _)| (position.time, position.birth));
        Ok(Self { view, query: query.clone(), found: found.into_iter() })
    }
}

impl Iterator for Appended {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        loop {
            let (position, id) = self.found.next()?;
            match self.view.find(Kind::Event, &id) {
                Ok(Some(record)) if fits(&record.value, &self.query) => return Some(Ok((position.time, record.value))),
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
