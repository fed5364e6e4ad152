//! Finding records through the indexes.
//!
//! The entries of a term lie in order of the log, so that records which fit several terms are found by leaping from list
//! to list, and nothing that one term excludes is read from the records. Entries carry the record's time, so that time
//! ranges and the order by time need no record either.

use std::ops::Range;

use ::rocksdb::DBRawIterator;

use crate::record::kind::IndexForm;
use crate::record::{Kind, Timestamp};

use super::super::codec::{self, all_index, key};
use super::super::types::{Order, Position, Posting, Selection, Sequence, Term};
use super::super::{NOW, Result};
use super::read::View;
use super::{Cf, RocksStorage};

/// A list of at most this many entries is gathered and sorted; a longer one is walked in an order that it has.
const GATHER: usize = 4_096;

/// The entries of one term, walked in order of the log or against it.
struct List<'a> {
    view: &'a View<'a>,
    iterator: DBRawIterator<'a>,
    prefix: Vec<u8>,
    reversed: bool,
    at: Option<Sequence>,
}

impl<'a> List<'a> {
    fn open(view: &'a View<'a>, index: u16, term: &Term, reversed: bool) -> Result<Self> {
        let prefix = key::term(index, term);
        let iterator = view.iterate(Cf::Index, &prefix)?;
        Ok(Self { view, iterator, prefix, reversed, at: None })
    }

    /// Moves to the first entry at `target` or behind it, and gives its place. None at the end.
    fn advance(&mut self, target: Sequence) -> Result<Option<Sequence>> {
        // The next entry is most often the one that is wanted; only then comes the search.
        if let Some(at) = self.at
            && (if self.reversed { at > target } else { at < target })
        {
            if self.reversed {
                self.iterator.prev();
            } else {
                self.iterator.next();
            }
            self.read()?;
        }
        let beyond = self.at.is_some_and(|at| if self.reversed { at > target } else { at < target });
        if self.at.is_none() || beyond {
            let mut key = self.prefix.clone();
            key.extend_from_slice(&target.to_be_bytes());
            if self.reversed {
                self.iterator.seek_for_prev(&key);
            } else {
                self.iterator.seek(&key);
            }
            self.read()?;
        }
        Ok(self.at)
    }

    fn read(&mut self) -> Result<()> {
        self.at = self.iterator.key().and_then(|key| key.split_last_chunk::<8>()).map(|(_, b)| u64::from_be_bytes(*b));
        if self.at.is_none() {
            self.view.finished(&self.iterator)?;
        }
        Ok(())
    }

    fn posting(&self) -> Result<Option<Posting>> {
        self.iterator.item().map(|(key, value)| codec::decode_posting(key, value)).transpose()
    }
}

impl RocksStorage {
    pub(super) fn read_selection(
        &self,
        selection: &Selection,
        after: Option<Position>,
        limit: usize,
    ) -> Result<Vec<Posting>> {
        // All lists are read as of one moment: a record that changes meanwhile fits as it was or as it is, and is never
        // found by one term of the old and one of the new.
        Finder { view: &self.database.view() }.find(selection, after, limit)
    }
}

/// Finds records in a view of the database.
struct Finder<'a> {
    view: &'a View<'a>,
}

impl Finder<'_> {
    fn find(&self, selection: &Selection, after: Option<Position>, limit: usize) -> Result<Vec<Posting>> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        match selection.order {
            Order::Log | Order::LogReversed => self.in_log_order(selection, after, limit),
            Order::NewestTime => self.newest_first(selection, after, limit),
        }
    }

    fn in_log_order(&self, selection: &Selection, after: Option<Position>, limit: usize) -> Result<Vec<Posting>> {
        let reversed = selection.order == Order::LogReversed;
        if let (Some(range), Some(index)) = (&selection.time, time_index(selection.kind))
            && let Some(mut found) = self.few_in_range(selection, index, range)?
        {
            found.sort_unstable_by_key(|posting| posting.birth);
            if reversed {
                found.reverse();
            }
            let behind = |posting: &Posting| {
                after.is_none_or(
                    |after| if reversed { posting.birth < after.birth } else { posting.birth > after.birth },
                )
            };
            found.retain(behind);
            found.truncate(limit);
            return Ok(found);
        }
        let start = match after {
            Some(after) if reversed => match after.birth.checked_sub(1) {
                Some(start) => start,
                None => return Ok(Vec::new()),
            },
            Some(after) => after.birth.saturating_add(1),
            None if reversed => NOW,
            None => 0,
        };
        let mut found = Vec::new();
        self.leap(selection, start, reversed, |posting| {
            found.push(posting);
            found.len() < limit
        })?;
        Ok(found)
    }

    /// Calls `each` for the entries that all terms, the time range and the archive mark let through, until it says no.
    fn leap(
        &self,
        selection: &Selection,
        start: Sequence,
        reversed: bool,
        mut each: impl FnMut(Posting) -> bool,
    ) -> Result<()> {
        let mut lists = selection
            .terms
            .iter()
            .map(|(index, term)| List::open(self.view, *index, &Term::Text(term.clone()), reversed))
            .collect::<Result<Vec<_>>>()?;
        if lists.is_empty() {
            lists.push(List::open(self.view, all_index(selection.kind), &Term::All, reversed)?);
        }
        let mut target = start;
        'records: loop {
            let mut agreed = 0;
            while agreed < lists.len() {
                for list in &mut lists {
                    match list.advance(target)? {
                        None => return Ok(()),
                        Some(at) if at == target => agreed += 1,
                        Some(at) => {
                            target = at;
                            agreed = 1;
                        }
                    }
                    if agreed >= selection.terms.len().max(1) {
                        break;
                    }
                }
            }
            if let Some(posting) = lists.first().map(List::posting).transpose()?.flatten()
                && fits(selection, &posting)
                && !each(posting)
            {
                break 'records;
            }
            match if reversed { target.checked_sub(1) } else { target.checked_add(1) } {
                Some(next) => target = next,
                None => break 'records,
            }
        }
        Ok(())
    }

    /// What fits in a time range, unordered; None when the range holds too many to gather.
    fn few_in_range(
        &self,
        selection: &Selection,
        index: u16,
        range: &Range<Timestamp>,
    ) -> Result<Option<Vec<Posting>>> {
        let mut found = Vec::new();
        let mut read = 0;
        self.by_time(index, Some(range), None, |posting| {
            read += 1;
            if self.fits_all(selection, &posting)? {
                found.push(posting);
            }
            Ok(read < GATHER)
        })?;
        Ok((read < GATHER).then_some(found))
    }

    fn newest_first(&self, selection: &Selection, after: Option<Position>, limit: usize) -> Result<Vec<Posting>> {
        let index = time_index(selection.kind);
        // Few enough for all terms together, or a kind whose time is not indexed: gather and sort.
        let gather = if index.is_none() { usize::MAX } else { GATHER };
        if !selection.terms.is_empty() || index.is_none() {
            let mut found = Vec::new();
            self.leap(selection, 0, false, |posting| {
                found.push(posting);
                found.len() < gather
            })?;
            if found.len() < gather {
                found.sort_by_key(|posting| (std::cmp::Reverse(posting.time), posting.birth));
                found.retain(|posting| after.is_none_or(|after| is_behind(posting, after)));
                found.truncate(limit);
                return Ok(found);
            }
        }
        let mut found = Vec::new();
        if let Some(index) = index {
            self.by_time(index, selection.time.as_ref(), after, |posting| {
                if self.fits_all(selection, &posting)? {
                    found.push(posting);
                }
                Ok(found.len() < limit)
            })?;
        }
        Ok(found)
    }

    /// Calls `each` for the entries of a time index, newest first, until it says no.
    fn by_time(
        &self,
        index: u16,
        range: Option<&Range<Timestamp>>,
        after: Option<Position>,
        mut each: impl FnMut(Posting) -> Result<bool>,
    ) -> Result<()> {
        let mut iterator = self.view.iterate(Cf::Index, &index.to_be_bytes())?;
        let newest = range.map(|range| range.end.plus_micros(-1));
        let (time, birth) = match (after, newest) {
            (Some(after), _) => (after.time, after.birth.saturating_add(1)),
            (None, Some(newest)) => (newest, 0),
            (None, None) => (Timestamp::from_micros(i64::MAX), 0),
        };
        iterator.seek(key::posting(index, &Term::Time(time), birth));
        while let Some((key, value)) = iterator.item() {
            let posting = codec::decode_posting(key, value)?;
            if range.is_some_and(|range| posting.time < range.start) || !each(posting)? {
                return Ok(());
            }
            iterator.next();
        }
        self.view.finished(&iterator)
    }

    /// Whether an entry fits everything that is said, its terms looked up one by one.
    fn fits_all(&self, selection: &Selection, posting: &Posting) -> Result<bool> {
        if !fits(selection, posting) {
            return Ok(false);
        }
        for (index, term) in &selection.terms {
            let key = key::posting(*index, &Term::Text(term.clone()), posting.birth);
            if self.view.get(Cf::Index, &key)?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn fits(selection: &Selection, posting: &Posting) -> bool {
    selection.time.as_ref().is_none_or(|range| range.contains(&posting.time))
        && selection.archived.is_none_or(|archived| archived == posting.archived)
}

fn is_behind(posting: &Posting, after: Position) -> bool {
    posting.time < after.time || (posting.time == after.time && posting.birth > after.birth)
}

fn time_index(kind: Kind) -> Option<u16> {
    kind.indexes().iter().find(|index| index.form == IndexForm::Time).map(|index| index.number)
}
