//! Random operations against a model that is a few lists in memory.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use mirrordna::record::id::SeededIds;
use mirrordna::record::{Checksum, Kind, Timestamp};
use mirrordna::storage::{
    Action, Change, Commit, Committed, Durability, Expect, Head, Lease, LogEntry, NOW, Operation, Order, Position,
    Posting, Prepared, PrunePolicy, RocksStorage, Seen, Selection, Sequence, Storage, StorageError, Term, Version,
};
use proptest::prelude::*;
use tempfile::TempDir;

use super::support::{
    HandClock, Memory, assert_clean, commit, crash_copy, delete, prepared, put, scratch, snapshot, with_clock,
};

const KINDS: [Kind; 3] = [Kind::Memory, Kind::Session, Kind::Citation];
/// Ids that are the beginning of others, sort oddly, or are not ASCII.
const IDS: [&str; 6] = ["a", "a_", "ab", "aé", "b/../c", "\u{1}"];
const TIERS: [&str; 3] = ["short_term", "long_term", "episodic"];
const SESSIONS: [&str; 3] = ["", "s", "s2"];
const TAGS: [&str; 4] = ["red", "green", "é", ""];

/// What a record says.
#[derive(Clone, Debug)]
struct Body {
    tier: usize,
    session: usize,
    tags: u8,
    time: Option<i64>,
    archived: bool,
    text: u8,
}

impl Body {
    fn prepared(&self, kind: Kind, id: &str) -> Prepared {
        let tags: Vec<&str> = (0..4).filter(|n| self.tags >> n & 1 == 1).map(|n| TAGS[n]).collect();
        match kind {
            Kind::Memory => {
                let (tier, session) = (TIERS[self.tier], SESSIONS[self.session]);
                let content = format!("text {}", self.text);
                Memory { tier, session, tags, time: self.time, archived: self.archived, content }.prepared(id)
            }
            Kind::Session => {
                let time = Timestamp::from_micros(self.time.unwrap_or(0));
                let ended = if self.archived { r#","ended_at":"2025""# } else { "" };
                let text = format!(r#"{{"agent_id":"{}","started_at":"{time}","n":{}{ended}}}"#, self.tier, self.text);
                prepared(kind, id, &text)
            }
            _ => prepared(kind, id, &format!(r#"{{"vault_id":"{}","n":{},"tags":{tags:?}}}"#, self.tier, self.text)),
        }
    }
}

#[derive(Clone, Debug)]
struct OneChange {
    kind: usize,
    id: usize,
    body: Option<Body>,
    expect: u8,
}

/// A record that a commit relies on, and whether it is as the commit says.
#[derive(Clone, Debug)]
struct OneSeen {
    kind: usize,
    id: usize,
    right: bool,
}

#[derive(Clone, Debug)]
enum Op {
    Commit {
        seen: Vec<OneSeen>,
        changes: Vec<OneChange>,
        sync: bool,
        token: Option<u8>,
        clock: i64,
    },
    Prune {
        keep: Option<u32>,
        after: Option<u16>,
        dry_run: bool,
    },
    Pin,
    Lease,
    DropLeases,
    Reopen,
    Crash,
    Epoch,
    Sync,
    Select {
        kind: usize,
        terms: Vec<(u8, u8)>,
        time: Option<(i64, i64)>,
        archived: Option<bool>,
        order: u8,
        limit: usize,
    },
    Look {
        kind: usize,
        id: usize,
        at: u16,
        limit: usize,
    },
}

fn body() -> impl Strategy<Value = Body> {
    let time = prop_oneof![1 => Just(None), 8 => (-3..6_i64).prop_map(Some)];
    (0..3_usize, 0..3_usize, 0..16_u8, time, any::<bool>(), 0..3_u8)
        .prop_map(|(tier, session, tags, time, archived, text)| Body { tier, session, tags, time, archived, text })
}

fn one_change() -> impl Strategy<Value = OneChange> {
    let body = prop_oneof![3 => body().prop_map(Some), 1 => Just(None)];
    let expect = prop_oneof![4 => Just(0), 1 => 1..5_u8];
    (0..3_usize, 0..IDS.len(), body, expect).prop_map(|(kind, id, body, expect)| OneChange { kind, id, body, expect })
}

fn one_seen() -> impl Strategy<Value = OneSeen> {
    let right = prop_oneof![9 => Just(true), 1 => Just(false)];
    (0..3_usize, 0..IDS.len(), right).prop_map(|(kind, id, right)| OneSeen { kind, id, right })
}

fn op() -> impl Strategy<Value = Op> {
    let changes =
        prop_oneof![3 => prop::collection::vec(one_change(), 1..2), 2 => prop::collection::vec(one_change(), 1..6)];
    let token = prop_oneof![3 => Just(None), 1 => (0..6_u8).prop_map(Some)];
    let select = (
        0..3_usize,
        prop::collection::vec((0..4_u8, 0..4_u8), 0..3),
        prop::option::of((-3..6_i64, -3..7_i64)),
        any::<Option<bool>>(),
        0..3_u8,
        1..5_usize,
    );
    prop_oneof![
        24 => (prop::collection::vec(one_seen(), 0..2), changes, any::<bool>(), token, -4..6_i64)
            .prop_map(|(seen, changes, sync, token, clock)| Op::Commit { seen, changes, sync, token, clock }),
        3 => (prop::option::of(0..3_u32), prop::option::of(any::<u16>()), any::<bool>())
            .prop_map(|(keep, after, dry_run)| Op::Prune { keep, after, dry_run }),
        2 => Just(Op::Pin),
        1 => Just(Op::Lease),
        1 => Just(Op::DropLeases),
        1 => Just(Op::Reopen),
        1 => Just(Op::Crash),
        1 => Just(Op::Epoch),
        1 => Just(Op::Sync),
        8 => select.prop_map(|(kind, terms, time, archived, order, limit)| Op::Select { kind, terms, time, archived, order, limit }),
        8 => (0..3_usize, 0..IDS.len(), any::<u16>(), 1..4_usize).prop_map(|(kind, id, at, limit)| Op::Look { kind, id, at, limit }),
    ]
}

/// A version as it must be, without the salt that nobody can know.
#[derive(Clone, Debug)]
struct Stored {
    sequence: Sequence,
    birth: Sequence,
    time: Timestamp,
    prepared: Option<Prepared>,
}

impl Stored {
    fn matches(&self, version: &Version) {
        assert_eq!((self.sequence, self.birth, self.time), (version.sequence, version.birth, version.time));
        assert_eq!(self.prepared.is_none(), version.deleted);
        if let Some(prepared) = &self.prepared {
            assert_eq!(prepared.json, version.json);
            assert_eq!((prepared.checksum, prepared.file), (version.checksum, version.file));
            assert_eq!((prepared.archived, prepared.lenient), (version.archived, version.lenient));
            assert!(prepared.terms.iter().all(|term| version.terms.contains(term)));
        }
    }

    /// The time under which it is listed.
    fn own_time(&self, kind: Kind) -> Timestamp {
        let indexed = kind != Kind::Citation;
        self.prepared.as_ref().and_then(|prepared| prepared.time).filter(|_| indexed).unwrap_or(self.time)
    }
}

#[derive(Default)]
struct Model {
    /// Versions of each record, oldest first.
    records: BTreeMap<(Kind, String), Vec<Stored>>,
    log: Vec<LogEntry>,
    tokens: HashMap<[u8; 16], Committed>,
    roots: BTreeMap<Sequence, Checksum>,
    pins: Vec<Sequence>,
    leased: Vec<Sequence>,
    time: Timestamp,
    in_use: bool,
    epochs: u64,
}

impl Model {
    fn size(&self) -> Sequence {
        self.log.len() as u64
    }

    fn live(&self, kind: Kind, id: &str) -> Option<&Stored> {
        self.records.get(&(kind, id.to_owned()))?.last().filter(|stored| stored.prepared.is_some())
    }

    fn bare(&mut self, operation: Operation) {
        let sequence = self.size() + 1;
        self.log.push(entry(sequence, self.time, operation));
    }

    /// What the storage must answer, with the model changed accordingly.
    fn commit(&mut self, commit: &Commit, now: Timestamp) -> Result<Committed, String> {
        self.in_use = true;
        if let Some(answer) = commit.token.and_then(|token| self.tokens.get(&token)) {
            return Ok(*answer);
        }
        for seen in &commit.seen {
            let now = self.live(seen.kind, &seen.id).map(|stored| stored.sequence);
            if seen.at != now {
                return Err(format!("stale {} {}", seen.at.unwrap_or(0), now.unwrap_or(0)));
            }
        }
        for (n, change) in commit.changes.iter().enumerate() {
            let same = |other: &Change| (other.kind, &other.id) == (change.kind, &change.id);
            let live = match commit.changes[..n].iter().rposition(same) {
                Some(earlier) if commit.changes[earlier].action == Action::Delete => None,
                Some(earlier) => Some(self.size() + 1 + earlier as u64),
                None => self.live(change.kind, &change.id).map(|stored| stored.sequence),
            };
            match (change.expect, live) {
                (Expect::Absent, Some(_)) => return Err(format!("exists {}", change.id)),
                (Expect::Present | Expect::At(_), None) => return Err(format!("not found {}", change.id)),
                (Expect::At(at), Some(now)) if at != now => return Err(format!("stale {at} {now}")),
                (_, None) if change.action == Action::Delete => return Err(format!("not found {}", change.id)),
                _ => {}
            }
        }
        self.time = self.time.max(now);
        let first = self.size() + 1;
        for change in &commit.changes {
            let sequence = self.size() + 1;
            let live = self.live(change.kind, &change.id).map(|stored| stored.birth);
            let (operation, prepared) = match &change.action {
                Action::Put(prepared) => {
                    (if live.is_some() { Operation::Update } else { Operation::Create }, Some((**prepared).clone()))
                }
                Action::Delete => (Operation::Delete, None),
            };
            let mut entry = entry(sequence, self.time, operation);
            entry.kind = Some(change.kind);
            entry.id.clone_from(&change.id);
            entry.end_of_commit = false;
            self.log.push(entry);
            let stored = Stored { sequence, birth: live.unwrap_or(sequence), time: self.time, prepared };
            self.records.entry((change.kind, change.id.clone())).or_default().push(stored);
        }
        let last = self.log.last_mut().unwrap();
        last.end_of_commit = true;
        last.token = commit.token;
        let answer = Committed { first, last: last.sequence, time: self.time };
        self.tokens.extend(commit.token.map(|token| (token, answer)));
        Ok(answer)
    }

    /// How many versions go and stay.
    fn prune(&mut self, policy: PrunePolicy) -> (u64, u64) {
        let horizon = self.size();
        let (mut dropped, mut kept) = (0, 0);
        let needed: Vec<Sequence> = self.pins.iter().chain(&self.leased).copied().collect();
        for versions in self.records.values_mut() {
            let all = versions.clone();
            let current_at = |at: Sequence| all.iter().rev().find(|stored| stored.sequence <= at).map(|s| s.sequence);
            let seen_at_pins: Vec<_> = needed.iter().filter_map(|at| current_at(*at)).collect();
            let keep = policy.keep.unwrap_or(0) as usize;
            let stays = |n: usize, stored: &Stored| {
                let Some(next) = all.get(n + 1) else { return true };
                stored.prepared.is_none()
                    || all.len() - n <= keep
                    || policy.current_after.is_some_and(|after| next.time > after)
                    || seen_at_pins.contains(&stored.sequence)
            };
            let left: Vec<Stored> =
                all.iter().enumerate().filter(|(n, s)| stays(*n, s)).map(|(_, s)| s.clone()).collect();
            dropped += (all.len() - left.len()) as u64;
            kept += left.len() as u64;
            if !policy.dry_run {
                *versions = left;
            }
        }
        if !policy.dry_run {
            assert_eq!(horizon, self.size());
        }
        (dropped, kept)
    }
}

fn entry(sequence: Sequence, time: Timestamp, operation: Operation) -> LogEntry {
    LogEntry {
        sequence,
        time,
        operation,
        origin: mirrordna::storage::Origin::Direct,
        event: None,
        end_of_commit: true,
        kind: None,
        id: String::new(),
        session: String::new(),
        agent: String::new(),
        actor: "tester".to_owned(),
        commitment: None,
        token: None,
        detail: String::new(),
    }
}

/// The storage beside its model.
struct Pair {
    home: TempDir,
    dir: PathBuf,
    moves: u32,
    clock: Arc<HandClock>,
    storage: Option<RocksStorage>,
    leases: Vec<Lease>,
    model: Model,
}

impl Pair {
    fn new() -> Self {
        let home = scratch();
        let dir = home.path().join("0");
        let clock = Arc::new(HandClock::default());
        let storage = RocksStorage::create(&dir, &with_clock(&clock), &SeededIds::new(1)).unwrap();
        let model = Model { epochs: 1, ..Model::default() };
        Self { home, dir, moves: 0, clock, storage: Some(storage), leases: Vec::new(), model }
    }

    fn storage(&self) -> &RocksStorage {
        self.storage.as_ref().unwrap()
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Commit { seen, changes, sync, token, clock } => self.commit(&seen, changes, sync, token, clock),
            Op::Prune { keep, after, dry_run } => self.prune(keep, after, dry_run),
            Op::Pin => self.pin(),
            Op::Lease => {
                self.leases.push(self.storage().lease(self.model.size()));
                self.model.leased.push(self.model.size());
            }
            Op::DropLeases => self.drop_leases(),
            Op::Reopen => {
                self.drop_leases();
                self.storage.take().unwrap().close().unwrap();
                self.model.in_use = false;
                self.storage = Some(RocksStorage::open(&self.dir, &with_clock(&self.clock)).unwrap());
            }
            Op::Crash => self.crash(),
            Op::Epoch => {
                self.storage().begin_epoch("test", "tester").unwrap();
                self.epoch();
            }
            Op::Sync => {
                assert_eq!(self.storage().sync().unwrap(), self.model.size());
                assert_eq!(self.storage().state().durable, self.model.size());
            }
            Op::Select { kind, terms, time, archived, order, limit } => {
                let time = time.map(|(a, b)| Timestamp::from_micros(a)..Timestamp::from_micros(b));
                let order = [Order::Log, Order::LogReversed, Order::NewestTime][usize::from(order)];
                let terms = terms.into_iter().map(|(index, value)| term(KINDS[kind], index, value)).collect();
                self.select(&Selection { kind: KINDS[kind], terms, time, archived, order }, limit);
            }
            Op::Look { kind, id, at, limit } => self.look(KINDS[kind], IDS[id], at, limit),
        }
        self.compare();
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.clock.0.load(Ordering::Relaxed))
    }

    fn commit(&mut self, seen: &[OneSeen], changes: Vec<OneChange>, sync: bool, token: Option<u8>, clock: i64) {
        self.clock.0.fetch_add(clock, Ordering::Relaxed);
        let make = |change: OneChange| {
            let (kind, id) = (KINDS[change.kind], IDS[change.id]);
            let live = self.model.live(kind, id).map_or(3, |stored| stored.sequence);
            let expect = match change.expect {
                0 => Expect::Any,
                1 => Expect::Absent,
                2 => Expect::Present,
                3 => Expect::At(live),
                _ => Expect::At(live + 1),
            };
            match change.body {
                Some(body) => put(kind, id, body.prepared(kind, id), expect),
                None => delete(kind, id, expect),
            }
        };
        let changes: Vec<Change> = changes.into_iter().map(make).collect();
        let durability = if sync { Durability::Sync } else { Durability::Buffered };
        let look = |seen: &OneSeen| {
            let (kind, id) = (KINDS[seen.kind], IDS[seen.id]);
            let at = self.model.live(kind, id).map(|stored| stored.sequence);
            Seen { kind, id: id.to_owned(), at: if seen.right { at } else { at.xor(Some(7)) } }
        };
        let seen = seen.iter().map(look).collect();
        let commit = Commit { seen, token: token.map(|token| [token; 16]), ..commit(changes, durability) };
        let expected = self.model.commit(&commit, self.now());
        let answer = self.storage().commit(commit).map_err(|error| match error {
            StorageError::Exists { id, .. } => format!("exists {id}"),
            StorageError::NotFound { id, .. } => format!("not found {id}"),
            StorageError::Stale { expected, now, .. } => format!("stale {expected} {now}"),
            StorageError::Limit { .. } => "limit".to_owned(),
            other => panic!("{other}"),
        });
        assert_eq!(answer, expected);
        if let (true, Ok(answer)) = (sync, answer) {
            assert!(self.storage().state().durable >= answer.last);
        }
    }

    fn prune(&mut self, keep: Option<u32>, after: Option<u16>, dry_run: bool) {
        let after = after.filter(|_| !self.model.log.is_empty());
        let current_after = after.map(|n| self.model.log[usize::from(n) % self.model.log.len()].time);
        let policy = PrunePolicy { keep, current_after, dry_run };
        let (versions, kept) = self.model.prune(policy);
        if !dry_run {
            self.model.in_use = true;
            self.model.time = self.model.time.max(self.now());
            self.model.bare(Operation::Prune);
        }
        let pruned = self.storage().prune(policy, "tester").unwrap();
        assert_eq!((pruned.versions, pruned.kept), (versions, kept));
    }

    fn pin(&mut self) {
        let at = self.model.size();
        let commit = commit(vec![snapshot(&format!("snap_{at}"), at)], Durability::Buffered);
        let expected = self.model.commit(&commit, self.now());
        assert_eq!(self.storage().commit(commit).unwrap(), expected.unwrap());
        self.model.pins.push(at);
        assert_eq!(self.storage().pins().unwrap(), self.model.pins);
    }

    fn drop_leases(&mut self) {
        self.leases.clear();
        self.model.leased.clear();
    }

    fn epoch(&mut self) {
        self.model.in_use = true;
        self.model.time = self.model.time.max(self.now());
        self.model.epochs += 1;
        self.model.bare(Operation::Epoch);
    }

    /// As if the process had been killed here: goes on with a copy of what lies on the disk.
    fn crash(&mut self) {
        self.drop_leases();
        self.moves += 1;
        let next = self.home.path().join(self.moves.to_string());
        crash_copy(&self.dir, &next);
        drop(self.storage.take());
        self.dir = next;
        self.storage = Some(RocksStorage::open(&self.dir, &with_clock(&self.clock)).unwrap());
        if self.model.in_use {
            self.epoch();
            let last = self.storage().log(self.model.size(), 1).unwrap().pop().unwrap();
            assert_eq!(last.actor, "system");
            self.model.log.last_mut().unwrap().actor = last.actor;
        }
    }

    fn select(&self, selection: &Selection, limit: usize) {
        let kind = selection.kind;
        let fits = |stored: &Stored| {
            let Some(prepared) = &stored.prepared else { return false };
            let has = |(index, text): &(u16, String)| prepared.terms.contains(&(*index, Term::Text(text.clone())));
            selection.terms.iter().all(has)
                && selection.time.as_ref().is_none_or(|range| range.contains(&stored.own_time(kind)))
                && selection.archived.is_none_or(|archived| archived == prepared.archived)
        };
        let newest = self.model.records.iter().filter(|((k, _), _)| *k == kind);
        let newest = newest.filter_map(|((_, id), versions)| Some((id, versions.last()?)));
        let mut expected: Vec<Posting> = newest
            .filter(|(_, stored)| fits(stored))
            .map(|(id, stored)| Posting {
                birth: stored.birth,
                time: stored.own_time(kind),
                archived: stored.prepared.as_ref().unwrap().archived,
                id: id.clone(),
            })
            .collect();
        match selection.order {
            Order::Log => expected.sort_by_key(|posting| posting.birth),
            Order::LogReversed => expected.sort_by_key(|posting| std::cmp::Reverse(posting.birth)),
            Order::NewestTime => expected.sort_by_key(|posting| (std::cmp::Reverse(posting.time), posting.birth)),
        }
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let page = self.storage().select(selection, after, limit).unwrap();
            assert!(page.len() <= limit);
            let Some(last) = page.last() else { break };
            after = Some(Position::from(last));
            found.extend(page);
        }
        assert_eq!(found, expected, "{selection:?}");
    }

    fn look(&self, kind: Kind, id: &str, at: u16, limit: usize) {
        let storage = self.storage();
        let none = Vec::new();
        let versions = self.model.records.get(&(kind, id.to_owned())).unwrap_or(&none);
        let at = Sequence::from(at) % (self.model.size() + 2);
        let expected = versions.iter().rev().find(|stored| stored.sequence <= at);
        let found = storage.version(kind, id, at).unwrap();
        assert_eq!(found.is_some(), expected.is_some());
        if let (Some(found), Some(expected)) = (&found, expected) {
            expected.matches(found);
            let entry = storage.log(found.sequence, 1).unwrap().pop().unwrap();
            assert_eq!(entry.commitment, found.commitment());
        }
        let newest = storage.version(kind, id, NOW).unwrap();
        assert_eq!(storage.head(kind, id).unwrap(), newest.as_ref().map(Head::from));
        assert_eq!(newest.map(|version| version.sequence), versions.last().map(|stored| stored.sequence));
        let history = storage.history(kind, id, at, limit).unwrap();
        let expected: Vec<_> = versions.iter().rev().filter(|stored| stored.sequence < at).take(limit).collect();
        assert_eq!(history.len(), expected.len());
        expected.iter().zip(&history).for_each(|(stored, version)| stored.matches(version));
        let heads = storage.heads(kind, Some(id), limit).unwrap();
        let ids = self.model.records.keys().filter(|(k, other)| *k == kind && other.as_str() > id).take(limit);
        assert!(heads.iter().map(|(id, _)| id).eq(ids.map(|(_, id)| id)));
        let log: Vec<LogEntry> = storage.log(at, limit).unwrap();
        let from = usize::try_from(at.max(1) - 1).unwrap();
        let expected: Vec<&LogEntry> = self.model.log.iter().skip(from).take(limit).collect();
        assert_eq!(log.len(), expected.len());
        for (found, expected) in log.into_iter().zip(expected) {
            let blank = LogEntry {
                commitment: None,
                session: String::new(),
                agent: String::new(),
                detail: String::new(),
                ..found
            };
            assert_eq!(&blank, expected);
        }
        if let Some((size, root)) = self.model.roots.range(at..).next() {
            assert_eq!(storage.root(*size).unwrap(), *root);
        }
    }

    /// What is compared after each operation.
    fn compare(&mut self) {
        let state = self.storage().state();
        assert_eq!((state.sequence, state.time, state.epoch), (self.model.size(), self.model.time, self.model.epochs));
        assert!(state.durable <= state.sequence);
        let root = *self.model.roots.entry(state.sequence).or_insert(state.root);
        assert_eq!(root, state.root);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, max_shrink_iters: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_storage_does_what_the_model_does(ops in prop::collection::vec(op(), 1..90)) {
        let mut pair = Pair::new();
        for op in ops {
            pair.run(op);
        }
        assert_clean(pair.storage(), &pair.model.pins);
        for kind in KINDS {
            for order in [Order::Log, Order::LogReversed, Order::NewestTime] {
                pair.select(&Selection { order, ..Selection::all(kind) }, 3);
            }
            for id in IDS {
                pair.look(kind, id, u16::MAX, 50);
            }
        }
        pair.run(Op::Reopen);
        assert_clean(pair.storage(), &pair.model.pins);
    }
}

fn term(kind: Kind, index: u8, value: u8) -> (u16, String) {
    let value = usize::from(value);
    match (kind, index) {
        (Kind::Memory, 0) => (0x0301, TIERS[value % 3].to_owned()),
        (Kind::Memory, 1) => (0x0302, SESSIONS[value % 3].to_owned()),
        (Kind::Memory, _) => (0x0305, TAGS[value].to_owned()),
        (Kind::Session, 0 | 1) => (0x0201, (value % 3).to_string()),
        (Kind::Session, _) => (0x0205, "2025".to_owned()),
        (_, 0) => (0x0801, (value % 3).to_string()),
        _ => (0x0803, TAGS[value].to_owned()),
    }
}
