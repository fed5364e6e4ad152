//! What all kinds of record share: put, get, history, delete, views of the past.

use mirrordna::record::{Checksum, Kind, RecordError, Value, checksum};
use mirrordna::storage::{NOW, Order, StorageError};
use mirrordna::vault::{Filter, Past, Tier};
use mirrordna::{Error, Vault};

use crate::failing::Failing;
use crate::support::{Fixture, options, parse};

fn entry(path: &str) -> Value {
    parse(&format!(
        r#"{{"id":"entry_0000000000000001","vault_id":"vault_0000000000000001","path":"{path}","type":"config",
        "created_at":"2025-01-01T00:00:00Z","checksum":"{}"}}"#,
        "0".repeat(64)
    ))
}

const ENTRY: &str = "entry_0000000000000001";

#[test]
fn history_has_every_version_newest_first_with_deletions() {
    let fixture = Fixture::new();
    let vault = &fixture.vault;
    let put = |path: &str| vault.put(Kind::Entry, entry(path)).unwrap();
    let (first, second) = (put("a"), put("b"));
    vault.delete(Kind::Entry, ENTRY).unwrap();
    let third = put("c");
    let history = vault.history(Kind::Entry, ENTRY, NOW, 10).unwrap();
    assert_eq!(history.len(), 4);
    assert_eq!(history[0], Past::Version(third.clone()));
    assert!(matches!(history[1], Past::Deleted { sequence: 3, .. }));
    assert_eq!((&history[2], &history[3]), (&Past::Version(second.clone()), &Past::Version(first.clone())));
    assert_eq!(vault.history(Kind::Entry, ENTRY, third.sequence, 2).unwrap().len(), 2);
    assert!(vault.history(Kind::Entry, "entry_0000000000000009", NOW, 10).is_err());
    let at = |sequence| vault.at(sequence).unwrap().find(Kind::Entry, ENTRY).unwrap();
    assert_eq!([at(0), at(1), at(2), at(3), at(4)], [None, Some(first), Some(second), None, Some(third)]);
    assert!(matches!(vault.at(5).err(), Some(Error::Argument { .. })));
}

#[test]
fn a_record_is_checked_before_and_proven_after() {
    let fixture = Fixture::new();
    let stored = fixture.vault.put(Kind::Entry, entry("a")).unwrap();
    assert_eq!(stored.checksum, Checksum::of_value(&stored.value));
    let mut broken = entry("b");
    broken.as_object_mut().unwrap().insert("type".into(), "nothing".into());
    let error = fixture.vault.put(Kind::Entry, broken).unwrap_err();
    assert!(error.to_string().contains("/type: must be one of identity, memory"), "{error}");
    for id in ["", "entry_1", "../../x", "entry_000000000000000A"] {
        let mut other = entry("b");
        other.as_object_mut().unwrap().insert("id".into(), id.into());
        assert!(matches!(
            fixture.vault.put(Kind::Entry, other).unwrap_err(),
            Error::Record(RecordError::Schema { .. })
        ));
        assert!(matches!(fixture.vault.get(Kind::Entry, id), Err(Error::Storage(StorageError::NotFound { .. }))));
        assert!(matches!(fixture.vault.delete(Kind::Entry, id), Err(Error::Storage(StorageError::NotFound { .. }))));
    }
    let large = parse(&format!(r#"{{"text":"{}"}}"#, "x".repeat(17 << 20)));
    let error = fixture.vault.memories().add(crate::support::new_memory(Tier::ShortTerm, large, None)).unwrap_err();
    assert!(matches!(error, Error::Record(RecordError::TooLarge { .. })));
    assert!(matches!(
        fixture.vault.create_record(Kind::Entry, entry("b")),
        Err(Error::Storage(StorageError::Exists { .. }))
    ));
    assert_eq!(fixture.vault.state().sequence, 1);
}

#[test]
fn the_same_steps_make_the_same_records_and_reopening_keeps_them() {
    let steps = || {
        let fixture = Fixture::new();
        let session = fixture.session(None);
        fixture.memory(Tier::ShortTerm, "x", None);
        fixture.vault.sessions().end(&session.id, None).unwrap();
        fixture
    };
    let shown = |vault: &Vault| -> Vec<_> {
        let view = vault.present();
        let records = Kind::ALL.into_iter().flat_map(|kind| view.records(kind).collect::<Vec<_>>());
        records
            .map(|record| record.unwrap())
            .map(|record| (record.id, record.checksum, record.sequence, record.time))
            .collect()
    };
    let (one, other) = (steps(), steps());
    let records = shown(&one.vault);
    assert_eq!(records.len(), 2);
    assert_eq!(shown(&other.vault), records);
    let Fixture { dir, vault } = one;
    let root = vault.state().root;
    drop(vault);
    let vault = Vault::open(&dir.path().join("vault"), &options()).unwrap();
    assert_eq!((shown(&vault), vault.state().root), (records, root));
}

#[test]
fn the_log_names_who_did_it() {
    let fixture = Fixture::new();
    fixture.vault.as_actor("alice").put(Kind::Entry, entry("a")).unwrap();
    fixture.vault.put(Kind::Entry, entry("b")).unwrap();
    let actors: Vec<_> = fixture.vault.log(1, 10).unwrap().into_iter().map(|entry| entry.actor).collect();
    assert_eq!(actors, ["alice", "system"]);
}

/// A history of any length is read page by page; one that cannot be read to its end is read as far as it can be.
#[test]
fn histories_are_read_up_to_what_cannot_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let storage = Failing::create(&dir.path().join("vault"));
    let vault = Vault::over(storage.clone(), &options());
    for n in 0..150 {
        vault.put(Kind::Entry, entry(&n.to_string())).unwrap();
    }
    let read = || {
        let entries = vault.history_entries(Kind::Entry, ENTRY).unwrap();
        entries.map(|past| past.map(|past| past.sequence()).ok()).collect::<Vec<_>>()
    };
    let all: Vec<_> = (1..=150).rev().map(Some).collect();
    assert_eq!(read(), all);
    for damaged in [150, 149, 100, 1] {
        storage.fail_at_version(damaged);
        let sound = (damaged + 1..=150).rev().map(Some);
        assert_eq!(read(), sound.chain([None]).collect::<Vec<_>>());
    }
    let none = vault.history_entries(Kind::Entry, "entry_0000000000000009").err();
    assert!(matches!(none, Some(Error::Storage(StorageError::NotFound { .. }))));
}

/// Stored texts are those of the records, whatever the filter looks at.
#[test]
fn listings_hand_out_texts_as_they_are_stored() {
    let fixture = Fixture::new();
    for n in 0..40 {
        let metadata = format!(r#"{{"n":{},"tags":["t{}"]}}"#, n % 3, n % 2);
        fixture.memory(Tier::ALL[n % 3], format!("größe {n}"), Some(&metadata));
    }
    let vault = &fixture.vault;
    for filter in [
        Filter::default(),
        Filter::default().with("tier", "long_term"),
        Filter::default().with("metadata.n", 1_i64),
        Filter::default().with("metadata.tags", "t1").with("metadata.n", 2_i64).order(Order::NewestTime),
        Filter::default().with("metadata.none", Value::Null).limit(7).order(Order::LogReversed),
    ] {
        let records = vault.list(Kind::Memory, &filter).unwrap();
        let parsed: Vec<_> = records.map(|record| checksum::canonical(&record.unwrap().value)).collect();
        let texts: Vec<_> = vault.list(Kind::Memory, &filter).unwrap().texts().map(Result::unwrap).collect();
        assert!(!texts.is_empty());
        assert_eq!(texts, parsed);
    }
    let view = vault.at(20).unwrap();
    let parsed: Vec<_> = view.records(Kind::Memory).map(|record| checksum::canonical(&record.unwrap().value)).collect();
    assert_eq!(view.texts(Kind::Memory).map(Result::unwrap).collect::<Vec<_>>(), parsed);
    assert_eq!(parsed.len(), 20);
}
