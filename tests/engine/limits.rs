//! What a storage does not take at once, and what it still takes.

use mirrordna::record::{Kind, MAX_ID_BYTES, MAX_RECORD_BYTES, RecordError, Value, object};
use mirrordna::storage::{
    Commit, Durability, Expect, MAX_COMMIT_BYTES, MAX_COMMIT_CHANGES, MAX_COMMIT_SEEN, NOW, RocksStorage, Seen,
    Storage, StorageError, prepare,
};

use super::support::{assert_clean, commit, create, memory, open, put, put_memory, scratch};

fn refused(storage: &RocksStorage, commit: Commit, word: &str) {
    let before = storage.state();
    match storage.commit(commit) {
        Err(StorageError::Limit { what, .. }) => assert!(what.contains(word), "{what}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(storage.state(), before);
    assert_eq!(storage.log(1, usize::MAX).unwrap().len() as u64, before.sequence);
}

#[test]
fn commits_beyond_a_limit_are_refused_and_change_nothing() {
    let dir = scratch();
    let storage = create(dir.path());
    refused(&storage, commit(Vec::new(), Durability::Sync), "without changes");
    let many = (0..=MAX_COMMIT_CHANGES).map(|n| put_memory(&format!("mem_{n}"), "x", Expect::Any)).collect();
    refused(&storage, commit(many, Durability::Sync), "too many changes");
    let big = memory("mem_big", &"x".repeat(MAX_RECORD_BYTES - 1_000));
    let five = (0..5).map(|n| put(Kind::Memory, &format!("mem_{n}"), big.clone(), Expect::Any)).collect();
    refused(&storage, commit(five, Durability::Sync), "too many bytes");
    let mut long = commit(vec![put_memory("mem_a", "x", Expect::Any)], Durability::Sync);
    long.actor = "a".repeat(MAX_ID_BYTES + 1);
    refused(&storage, long, "actor");
    let artifact = || put(Kind::Artifact, "2", memory("mem_a", "x"), Expect::Any);
    refused(&storage, commit(vec![artifact(), artifact()], Durability::Sync), "twice");
    let seen = |id: &str, count| vec![Seen { kind: Kind::Memory, id: id.to_owned(), at: None }; count];
    let relying = |seen| Commit { seen, ..commit(vec![put_memory("mem_a", "x", Expect::Any)], Durability::Sync) };
    refused(&storage, relying(seen("mem_b", MAX_COMMIT_SEEN + 1)), "relies on");
    refused(&storage, relying(seen("", 1)), "empty");
    assert_clean(&storage, &[]);
}

#[test]
fn ids_that_would_break_the_order_of_keys_are_refused() {
    let dir = scratch();
    let storage = create(dir.path());
    for (id, word) in [("", "empty"), ("mem_\0a", "NUL"), ("m".repeat(MAX_ID_BYTES + 1).as_str(), "id")] {
        refused(
            &storage,
            commit(vec![put_memory("mem", "x", Expect::Any), put_memory(id, "x", Expect::Any)], Durability::Sync),
            word,
        );
    }
    for long in [MAX_ID_BYTES + 1, 70_000] {
        let mut prepared = memory("mem_a", "x");
        prepared.session = "s".repeat(long);
        refused(&storage, commit(vec![put(Kind::Memory, "mem_a", prepared, Expect::Any)], Durability::Sync), "session");
        let actor = "é".repeat(long);
        assert!(matches!(storage.begin_epoch("test", &actor), Err(StorageError::Limit { .. })));
        assert!(matches!(storage.begin_epoch(&actor, "tester"), Err(StorageError::Limit { .. })) || long < 1_000);
    }
    assert_clean(&storage, &[]);
}

#[test]
fn the_largest_of_everything_is_taken_and_comes_back() {
    let dir = scratch();
    let storage = create(dir.path());
    let ids =
        ["x".repeat(MAX_ID_BYTES), format!("{}é", "x".repeat(MAX_ID_BYTES - 2)), "x".into(), "/../\n\u{7f}".into()];
    for id in &ids {
        storage.commit(commit(vec![put_memory(id, id, Expect::Absent)], Durability::Buffered)).unwrap();
    }
    let many: Vec<_> = (0..MAX_COMMIT_CHANGES).map(|n| put_memory(&format!("mem_{n:05}"), "x", Expect::Any)).collect();
    let mut many = commit(many, Durability::Sync);
    many.actor = "a".repeat(MAX_ID_BYTES);
    let done = storage.commit(many).unwrap();
    assert_eq!(done.last - done.first + 1, MAX_COMMIT_CHANGES as u64);
    let storage = {
        storage.close().unwrap();
        open(dir.path())
    };
    for id in &ids {
        let version = storage.version(Kind::Memory, id, NOW).unwrap().unwrap();
        assert_eq!(version.json, memory(id, id).json);
        assert_eq!(storage.history(Kind::Memory, id, NOW, 10).unwrap().len(), 1, "{id:?}");
    }
    assert_eq!(storage.heads(Kind::Memory, None, usize::MAX).unwrap().len(), ids.len() + MAX_COMMIT_CHANGES);
    assert_clean(&storage, &[]);
}

#[test]
fn a_record_of_sixteen_mebibytes_is_taken_and_one_byte_more_is_not() {
    let dir = scratch();
    let storage = create(dir.path());
    let record = |bytes: usize| object([("content", Value::from("x".repeat(bytes)))]);
    let frame = prepare(Kind::Memory, "mem_a", &record(0), false).unwrap().json.len();
    let largest = prepare(Kind::Memory, "mem_a", &record(MAX_RECORD_BYTES - frame), false).unwrap();
    assert_eq!(largest.json.len(), MAX_RECORD_BYTES);
    let error = prepare(Kind::Memory, "mem_a", &record(MAX_RECORD_BYTES - frame + 1), false).unwrap_err();
    assert!(matches!(error, RecordError::TooLarge { .. }), "{error}");
    let four = 0..MAX_COMMIT_BYTES / MAX_RECORD_BYTES;
    let four = four.map(|n| put(Kind::Memory, &format!("mem_{n}"), largest.clone(), Expect::Absent)).collect();
    storage.commit(commit(four, Durability::Sync)).unwrap();
    storage.close().unwrap();
    let storage = open(dir.path());
    for n in 0..4 {
        let version = storage.version(Kind::Memory, &format!("mem_{n}"), NOW).unwrap().unwrap();
        assert!(version.json == largest.json && version.checksum == largest.checksum);
    }
    assert_clean(&storage, &[]);
}

#[test]
fn a_commit_longer_than_the_remembered_log_is_answered_again_as_it_was() {
    let dir = scratch();
    let storage = create(dir.path());
    let changes: Vec<_> = (0..6_000).map(|n| put_memory(&format!("mem_{n}"), "x", Expect::Absent)).collect();
    let mut commit = commit(changes, Durability::Sync);
    commit.token = Some([5; 16]);
    let answer = storage.commit(commit.clone()).unwrap();
    assert_eq!(storage.commit(commit.clone()).unwrap(), answer);
    storage.close().unwrap();
    let storage = open(dir.path());
    assert_eq!(storage.commit(commit).unwrap(), answer);
}

#[test]
fn a_repeated_commit_is_as_durable_as_it_asks_to_be() {
    let dir = scratch();
    let storage = create(dir.path());
    let mut commit = commit(vec![put_memory("mem_a", "x", Expect::Absent)], Durability::Buffered);
    commit.token = Some([9; 16]);
    let answer = storage.commit(commit.clone()).unwrap();
    assert!(storage.state().durable < answer.last);
    commit.durability = Durability::Sync;
    assert_eq!(storage.commit(commit).unwrap(), answer);
    assert!(storage.state().durable >= answer.last, "acknowledged as durable, and is not");
}
