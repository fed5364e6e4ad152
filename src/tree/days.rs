//! The timeline, a file a day: `timeline/<YYYY-MM-DD>.jsonl`, one event a line, oldest first.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::record::json::{self, Charset, Layout};
use crate::record::{Timestamp, Value};
use crate::vault::{EventQuery, Result, Vault, View};

use super::cache::Made;
use super::content::{Content, Spool};
use super::node::Pinned;
use super::spooling;
use super::stamps::Stamps;

/// How often a day is made again because it changed meanwhile, before it is read from the versions, which takes longer.
const TRIES: usize = 3;
/// Of this many snapshots the timelines are kept.
const SNAPSHOTS: usize = 4;

/// The name of the file of a day.
pub(super) fn name_of(day: Timestamp) -> String {
    format!("{}.jsonl", day.day())
}

/// The day whose file has this name.
pub(super) fn named(name: &str) -> Option<Timestamp> {
    Timestamp::parse_day(name.strip_suffix(".jsonl")?)
}

/// The file of a day in the present, or nothing when the day has no events.
pub(super) fn make(vault: &Vault, stamps: &Stamps, day: Timestamp) -> Result<Made> {
    for _ in 0..TRIES {
        let sequence = vault.state_now()?.sequence;
        let content = render(day, &vault.present())?;
        if stamps.day(vault, day)?.sequence <= sequence {
            return Ok(Made { content, sequence });
        }
    }
    let sequence = vault.state_now()?.sequence;
    Ok(Made { content: render(day, &vault.at(sequence)?)?, sequence })
}

fn render(day: Timestamp, view: &View) -> Result<Content> {
    let time = Some(day..day.plus_micros(Timestamp::DAY));
    let mut spool = Spool::default();
    let mut last = day;
    let query = EventQuery { time, view: Some(view.clone()), ..EventQuery::default() };
    for event in view.vault().timeline().query(&query)? {
        let event = event?;
        last = time_of(&event).unwrap_or(last);
        write_line(&mut spool, &event)?;
    }
    spool.content(last).map_err(spooling)
}

fn write_line(spool: &mut Spool, event: &Value) -> Result<()> {
    json::write(spool, event, Layout::Compact, Charset::Unicode).map_err(spooling)?;
    spool.write_all(b"\n").map_err(spooling)
}

fn time_of(event: &Value) -> Option<Timestamp> {
    Timestamp::parse(event.str_at("timestamp")?)
}

/// The timelines of snapshots. One is read from the versions as a whole, at once for all of its days.
#[derive(Default)]
pub(super) struct PastDays(Mutex<Vec<Kept>>);

/// By the name of the snapshot, since to keep the snapshot itself would keep it from being pruned.
type Kept = (String, Arc<OnceLock<BTreeMap<Timestamp, Content>>>);

impl PastDays {
    /// The days of a snapshot that have events.
    pub(super) fn days(&self, pinned: &Arc<Pinned>) -> Result<BTreeSet<Timestamp>> {
        self.with(pinned, |days| days.keys().copied().collect())
    }

    /// The file of a day of a snapshot.
    pub(super) fn content(&self, pinned: &Arc<Pinned>, day: Timestamp) -> Result<Option<Content>> {
        self.with(pinned, |days| days.get(&day).cloned())
    }

    fn with<T>(&self, pinned: &Arc<Pinned>, look: impl FnOnce(&BTreeMap<Timestamp, Content>) -> T) -> Result<T> {
        let kept = self.kept(pinned);
        if let Some(days) = kept.get() {
            return Ok(look(days));
        }
        let days = all(pinned.view())?;
        Ok(look(kept.get_or_init(|| days)))
    }

    fn kept(&self, pinned: &Arc<Pinned>) -> Arc<OnceLock<BTreeMap<Timestamp, Content>>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = format!("{pinned:?}");
        let kept = match all.iter().position(|(other, _)| *other == name) {
            Some(place) => all.remove(place),
            None => (name, Arc::default()),
        };
        all.truncate(SNAPSHOTS - 1);
        all.insert(0, kept.clone());
        kept.1
    }
}

/// The files of all days in a view. They share one spool, of which each is a part.
fn all(view: &View) -> Result<BTreeMap<Timestamp, Content>> {
    let mut days = BTreeMap::new();
    let mut spool = Spool::default();
    let mut current: Option<(Timestamp, Timestamp)> = None;
    let query = EventQuery { view: Some(view.clone()), ..EventQuery::default() };
    for event in view.vault().timeline().query(&query)? {
        let event = event?;
        let time = time_of(&event).or(current.map(|(_, time)| time)).unwrap_or_default();
        let day = time.start_of_day();
        if let Some((before, last)) = current
            && before != day
        {
            days.insert(before, spool.part(last).map_err(spooling)?);
        }
        current = Some((day, time));
        write_line(&mut spool, &event)?;
    }
    if let Some((day, last)) = current {
        days.insert(day, spool.part(last).map_err(spooling)?);
    }
    Ok(days)
}
