//! Listing more records than are gathered at once, where the storage walks its indexes instead.

use mirrordna::record::{Kind, Timestamp};
use mirrordna::storage::{Durability, Expect, Order, Position, Posting, RocksStorage, Selection, Storage};

use super::support::{Memory, commit, create, delete, put, scratch};

const RECORDS: usize = 12_000;
const TIERS: [&str; 3] = ["short_term", "long_term", "episodic"];

/// Some number that looks random and is the same each time.
fn scatter(n: usize, salt: usize) -> usize {
    (n.wrapping_mul(2_654_435_761).wrapping_add(salt.wrapping_mul(40_503)) >> 7) % 10_007
}

fn time(n: usize) -> i64 {
    // Few enough moments that many records share one.
    i64::try_from(scatter(n, 1) % 700).unwrap()
}

fn tags(n: usize) -> Vec<&'static str> {
    let mut tags = Vec::new();
    if !n.is_multiple_of(5) {
        tags.push("common");
    }
    if scatter(n, 2).is_multiple_of(400) {
        tags.push("rare");
    }
    tags
}

fn fill(storage: &RocksStorage) -> Vec<Posting> {
    let mut expected = Vec::new();
    for first in (0..RECORDS).step_by(1_000) {
        let changes = (first..first + 1_000).map(|n| {
            let id = format!("mem_{n}");
            let memory = Memory {
                tier: TIERS[n % 3],
                tags: tags(n),
                time: Some(time(n)),
                archived: n.is_multiple_of(7),
                ..Memory::default()
            };
            expected.push(Posting {
                birth: n as u64 + 1,
                time: Timestamp::from_micros(time(n)),
                archived: n.is_multiple_of(7),
                id: id.clone(),
            });
            put(Kind::Memory, &id, memory.prepared(&id), Expect::Absent)
        });
        storage.commit(commit(changes.collect(), Durability::Buffered)).unwrap();
    }
    expected
}

fn number(posting: &Posting) -> usize {
    posting.id.strip_prefix("mem_").unwrap().parse().unwrap()
}

fn compare(storage: &RocksStorage, all: &[Posting], selection: &Selection, limit: usize) {
    let fits = |posting: &&Posting| {
        let n = number(posting);
        let has = |(index, term): &(u16, String)| match index {
            0x0301 => TIERS[n % 3] == term,
            _ => tags(n).contains(&term.as_str()),
        };
        selection.terms.iter().all(has)
            && selection.time.as_ref().is_none_or(|range| range.contains(&posting.time))
            && selection.archived.is_none_or(|archived| archived == posting.archived)
    };
    let mut expected: Vec<&Posting> = all.iter().filter(fits).collect();
    match selection.order {
        Order::Log => {}
        Order::LogReversed => expected.reverse(),
        Order::NewestTime => expected.sort_by_key(|posting| (std::cmp::Reverse(posting.time), posting.birth)),
    }
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = storage.select(selection, after, limit).unwrap();
        let Some(last) = page.last() else { break };
        after = Some(Position::from(last));
        found.extend(page);
    }
    assert!(found.iter().eq(expected), "{selection:?}: {} found", found.len());
}

#[test]
fn every_way_to_walk_a_long_list_finds_what_fits_in_its_order() {
    let dir = scratch();
    let storage = create(dir.path());
    let mut all = fill(&storage);
    let gone: Vec<_> = all.iter().filter(|posting| number(posting).is_multiple_of(11)).collect();
    let gone: Vec<_> = gone.into_iter().map(|posting| delete(Kind::Memory, &posting.id, Expect::Present)).collect();
    storage.commit(commit(gone, Durability::Buffered)).unwrap();
    all.retain(|posting| !number(posting).is_multiple_of(11));
    let read = storage.stats().versions_read;
    let term = |index: u16, text: &str| (index, text.to_owned());
    let term_sets = [
        vec![],
        vec![term(0x0305, "common")],
        vec![term(0x0305, "rare")],
        vec![term(0x0301, "episodic"), term(0x0305, "common")],
        vec![term(0x0305, "common"), term(0x0305, "rare"), term(0x0301, "long_term")],
        vec![term(0x0305, "absent")],
    ];
    let range = |a, b| Some(Timestamp::from_micros(a)..Timestamp::from_micros(b));
    for terms in term_sets {
        for time in [None, range(5, 20), range(3, 650), range(9, 9), range(9, 3)] {
            for archived in [None, Some(true)] {
                for order in [Order::Log, Order::LogReversed, Order::NewestTime] {
                    let terms = terms.clone();
                    let selection = Selection { kind: Kind::Memory, terms, time: time.clone(), archived, order };
                    compare(&storage, &all, &selection, 977);
                    compare(&storage, &all, &selection, usize::MAX);
                }
            }
        }
    }
    assert_eq!(storage.stats().versions_read, read, "no record is read to list records");
}

#[test]
fn a_memory_without_a_time_is_listed_whatever_the_order() {
    let dir = scratch();
    let storage = create(dir.path());
    let timeless = Memory { time: None, ..Memory::default() }.prepared("mem_timeless");
    let changes = vec![
        put(Kind::Memory, "mem_timeless", timeless, Expect::Any),
        put(Kind::Memory, "mem_timed", Memory::default().prepared("mem_timed"), Expect::Any),
    ];
    storage.commit(commit(changes, Durability::Sync)).unwrap();
    for terms in [vec![], vec![(0x0301, "episodic".to_owned())]] {
        for order in [Order::Log, Order::LogReversed, Order::NewestTime] {
            let selection = Selection { terms: terms.clone(), order, ..Selection::all(Kind::Memory) };
            assert_eq!(storage.select(&selection, None, 9).unwrap().len(), 2, "{selection:?}");
        }
    }
}
