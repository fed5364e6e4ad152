//! Many threads at once.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread;

use mirrordna::record::{Kind, json};
use mirrordna::storage::{
    Changed, Durability, Expect, NOW, Operation, PrunePolicy, RocksStorage, Selection, Sequence, Storage, StorageError,
    Subscriber,
};

use super::support::{Memory, assert_clean, check, commit, create, delete, open, put, put_memory, scratch, write};

const THREADS: usize = 16;

fn content(storage: &RocksStorage, id: &str, at: Sequence) -> Option<String> {
    let version = storage.version(Kind::Memory, id, at).unwrap()?;
    json::parse(&version.json).unwrap().str_at("content").map(str::to_owned)
}

/// Tells the other threads to stop, also when a test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[derive(Default)]
struct Listener {
    seen: Mutex<Vec<Changed>>,
    newest: AtomicU64,
}

impl Subscriber for Listener {
    fn changed(&self, changes: &[Changed]) {
        let mut seen = self.seen.lock().unwrap();
        seen.extend_from_slice(changes);
        self.newest.store(changes.last().unwrap().entry.sequence, Ordering::Release);
    }
}

#[test]
fn subscribers_learn_of_every_change_once_in_order_before_its_commit_returns() {
    let dir = scratch();
    let storage = create(dir.path());
    let listener = Arc::new(Listener::default());
    storage.subscribe(&(Arc::clone(&listener) as Arc<dyn Subscriber>)).unwrap();
    thread::scope(|scope| {
        for n in 0..THREADS {
            let (storage, listener) = (&storage, &listener);
            scope.spawn(move || {
                for m in 0..60 {
                    let changes = (0..=m % 3).map(|k| put_memory(&format!("mem_{n}_{k}"), &m.to_string(), Expect::Any));
                    let durability = if m % 2 == 0 { Durability::Sync } else { Durability::Buffered };
                    let done = storage.commit(commit(changes.collect(), durability)).unwrap();
                    assert!(listener.newest.load(Ordering::Acquire) >= done.last);
                    assert_eq!(done.last - done.first, m % 3);
                    let state = storage.state();
                    assert!(state.sequence >= done.last && state.durable <= state.sequence);
                    assert!(state.durable >= done.last || durability == Durability::Buffered);
                }
            });
        }
    });
    let seen = listener.seen.lock().unwrap();
    let log = storage.log(1, usize::MAX).unwrap();
    assert_eq!(log.len(), THREADS * 60 * 2);
    assert!(seen.iter().map(|change| &change.entry).eq(&log));
    for change in seen.iter() {
        assert_eq!(change.before.is_empty(), change.entry.operation == Operation::Create);
        assert!(!change.after.is_empty());
    }
    drop(seen);
    assert_clean(&storage, &[]);
}

#[test]
fn a_subscriber_that_comes_late_sees_whole_commits_and_a_dropped_one_is_forgotten() {
    let dir = scratch();
    let storage = create(dir.path());
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for n in 0..4 {
            let (storage, stop) = (&storage, &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let changes = (0..200).map(|k| put_memory(&format!("mem_{n}_{k}"), "x", Expect::Any)).collect();
                    storage.commit(commit(changes, Durability::Buffered)).unwrap();
                }
            });
        }
        let _stop = Stop(&stop);
        for _ in 0..200 {
            let listener = Arc::new(Listener::default());
            storage.subscribe(&(Arc::clone(&listener) as Arc<dyn Subscriber>)).unwrap();
            let from = storage.state().sequence;
            while listener.newest.load(Ordering::Acquire) == 0 {
                thread::yield_now();
            }
            let seen: Vec<_> = listener.seen.lock().unwrap().iter().map(|change| change.entry.clone()).collect();
            let before = storage.log(seen[0].sequence - 1, 1).unwrap();
            assert!(seen[0].sequence == 1 || before[0].end_of_commit, "the first commit is seen in part");
            assert!(seen[0].sequence <= from + 1, "entries between {from} and {} were missed", seen[0].sequence);
            assert!(seen.windows(2).all(|pair| pair[0].sequence + 1 == pair[1].sequence));
            let weak: Weak<Listener> = Arc::downgrade(&listener);
            drop(listener);
            write(&storage, "mem_other", "x");
            assert_eq!(weak.strong_count(), 0);
        }
    });
}

struct Panicking;

impl Subscriber for Panicking {
    fn changed(&self, _: &[Changed]) {
        panic!("a subscriber's own fault");
    }
}

#[test]
fn a_subscriber_that_panics_does_not_stop_the_storage() {
    let dir = scratch();
    let storage = create(dir.path());
    let subscriber: Arc<dyn Subscriber> = Arc::new(Panicking);
    storage.subscribe(&subscriber).unwrap();
    thread::scope(|scope| {
        for n in 0..4 {
            let storage = &storage;
            scope.spawn(move || write(storage, &format!("mem_{n}"), "x"));
        }
    });
    drop(subscriber);
    assert_eq!(write(&storage, "mem_a", "x"), 5);
    assert_clean(&storage, &[]);
}

#[test]
fn no_update_is_lost_when_all_change_the_same_record() {
    let dir = scratch();
    let storage = create(dir.path());
    write(&storage, "mem_counter", "0");
    let conflicts = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            let (storage, conflicts) = (&storage, &conflicts);
            scope.spawn(move || {
                for _ in 0..25 {
                    loop {
                        let now = storage.version(Kind::Memory, "mem_counter", NOW).unwrap().unwrap();
                        let count: u64 = json::parse(&now.json).unwrap().str_at("content").unwrap().parse().unwrap();
                        let next = put_memory("mem_counter", &(count + 1).to_string(), Expect::At(now.sequence));
                        match storage.commit(commit(vec![next], Durability::Buffered)) {
                            Ok(_) => break,
                            Err(StorageError::Stale { expected, now: newer, .. }) => {
                                assert!(expected == now.sequence && newer > expected);
                                conflicts.fetch_add(1, Ordering::Relaxed);
                            }
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
            });
        }
    });
    assert_eq!(content(&storage, "mem_counter", NOW).unwrap(), (THREADS * 25).to_string());
    println!("{} conflicts", conflicts.into_inner());
    assert_eq!(storage.state().sequence, THREADS as u64 * 25 + 1);
    assert_clean(&storage, &[]);
}

#[test]
fn only_one_of_many_creates_a_record() {
    let dir = scratch();
    let storage = create(dir.path());
    for round in 0..30 {
        let id = format!("mem_{round}");
        let made = thread::scope(|scope| {
            let tries: Vec<_> = (0..THREADS)
                .map(|n| {
                    let change = put_memory(&id, &n.to_string(), Expect::Absent);
                    let storage = &storage;
                    scope.spawn(move || storage.commit(commit(vec![change], Durability::Buffered)).is_ok())
                })
                .collect();
            tries.into_iter().map(|one| one.join().unwrap()).filter(|made| *made).count()
        });
        assert_eq!(made, 1);
    }
    assert_eq!(storage.state().sequence, 30);
}

#[test]
fn readers_see_whole_commits_at_any_sequence_that_was_published() {
    let dir = scratch();
    let storage = create(dir.path());
    let pair = |n: u32| {
        vec![put_memory("mem_a", &n.to_string(), Expect::Any), put_memory("mem_b", &n.to_string(), Expect::Any)]
    };
    storage.commit(commit(pair(0), Durability::Buffered)).unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let state = storage.state();
                    let lease = storage.lease(state.sequence);
                    let values =
                        (content(&storage, "mem_a", state.sequence), content(&storage, "mem_b", state.sequence));
                    assert_eq!(values.0, values.1);
                    assert_eq!(storage.root(state.sequence).unwrap(), state.root);
                    // Without a limit that could cut it in the middle of a commit.
                    let log = storage.log(state.sequence.saturating_sub(20), usize::MAX).unwrap();
                    assert!(log.last().unwrap().end_of_commit);
                    drop(lease);
                }
            });
        }
        let _stop = Stop(&stop);
        for n in 1..3_000 {
            storage.commit(commit(pair(n), Durability::Buffered)).unwrap();
        }
    });
    assert_clean(&storage, &[]);
}

/// A record that changes from one set of terms to another is never found under a mixture of both.
#[test]
fn a_selection_looks_at_one_moment() {
    let dir = scratch();
    let storage = create(dir.path());
    let make = |tier, tag| {
        let memory = Memory { tier, tags: vec![tag], ..Memory::default() };
        put(Kind::Memory, "mem_a", memory.prepared("mem_a"), Expect::Any)
    };
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for terms in [["long_term", "red"], ["episodic", "green"]] {
            let (storage, stop) = (&storage, &stop);
            scope.spawn(move || {
                let terms = vec![(0x0301, terms[0].to_owned()), (0x0305, terms[1].to_owned())];
                let mixed = Selection { terms, ..Selection::all(Kind::Memory) };
                while !stop.load(Ordering::Relaxed) {
                    assert_eq!(storage.select(&mixed, None, 5).unwrap(), []);
                }
            });
        }
        let _stop = Stop(&stop);
        for n in 0..6_000 {
            let change = if n % 2 == 0 { make("long_term", "green") } else { make("episodic", "red") };
            storage.commit(commit(vec![change], Durability::Buffered)).unwrap();
        }
    });
}

#[test]
fn a_check_and_a_prune_beside_writers_find_nothing_wrong() {
    let dir = scratch();
    let storage = create(dir.path());
    let stop = AtomicBool::new(false);
    // The log must not grow faster than it is checked, or a slow machine never ends.
    let round = AtomicU32::new(0);
    thread::scope(|scope| {
        for n in 0..3 {
            let (storage, stop, round) = (&storage, &stop, &round);
            scope.spawn(move || {
                for m in 0_u32.. {
                    while m / 200 > round.load(Ordering::Relaxed) && !stop.load(Ordering::Relaxed) {
                        thread::yield_now();
                    }
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let id = format!("mem_{n}_{}", m % 40);
                    let there = storage.head(Kind::Memory, &id).unwrap().is_some_and(|head| !head.deleted);
                    let change = if there && m % 5 == 0 {
                        delete(Kind::Memory, &id, Expect::Present)
                    } else {
                        put_memory(&id, &m.to_string(), Expect::Any)
                    };
                    storage.commit(commit(vec![change], Durability::Buffered)).unwrap();
                    storage.version(Kind::Memory, &format!("mem_{}_{}", (n + 1) % 3, m % 40), NOW).unwrap();
                }
            });
        }
        let _stop = Stop(&stop);
        for n in 0..60 {
            round.store(n, Ordering::Relaxed);
            assert_eq!(check(&storage, &[]).faults, []);
            if n % 4 == 3 {
                storage.prune(PrunePolicy { keep: Some(1), ..PrunePolicy::default() }, "tester").unwrap();
            }
        }
    });
    storage.close().unwrap();
    let storage = open(dir.path());
    assert_clean(&storage, &[]);
}

#[test]
fn what_is_acknowledged_as_durable_is_said_to_be_and_sync_makes_it_all_so() {
    let dir = scratch();
    let storage = create(dir.path());
    let buffered = |n: u32| {
        let change = put_memory(&format!("mem_{n}"), "x", Expect::Any);
        storage.commit(commit(vec![change], Durability::Buffered)).unwrap().last
    };
    assert_eq!((storage.state().sequence, storage.state().durable), (0, 0));
    buffered(1);
    let last = buffered(2);
    assert_eq!((storage.state().sequence, storage.state().durable), (last, 0));
    assert_eq!(write(&storage, "mem_3", "x"), storage.state().durable, "one fsync takes what came before with it");
    let last = buffered(4);
    assert_eq!(storage.sync().unwrap(), last);
    assert_eq!(storage.state().durable, last);
    let ids: BTreeSet<String> = storage.heads(Kind::Memory, None, 9).unwrap().into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids.len(), 4);
}
