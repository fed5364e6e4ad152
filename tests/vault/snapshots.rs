//! Snapshots: pins that stay what they are.

use std::path::Path;
use std::process::Command;

use mirrordna::Error;
use mirrordna::record::document::{Format, Proof, SnapshotFile};
use mirrordna::record::id::IdentityType;
use mirrordna::record::{Kind, Value};
use mirrordna::storage::{PrunePolicy, StorageError};
use mirrordna::vault::{DifferenceKind, NewSnapshot, Tier};

use crate::agent_dna;
use crate::support::{AGENT, Fixture, collect, parse};

fn snapshot(fixture: &Fixture, id: &str, full: bool) -> u64 {
    let new = NewSnapshot { id: Some(id.to_owned()), full, metadata: Some(parse(r#"{"why":"é"}"#)) };
    fixture.vault.snapshots().create(new).unwrap().sequence
}

fn rendered(fixture: &Fixture, id: &str, format: Format) -> Vec<u8> {
    let mut out = Vec::new();
    fixture.vault.snapshots().file(id).unwrap().render(&mut out, format).unwrap();
    out
}

/// A vault with some of everything that a snapshot file speaks of.
fn lived_in() -> Fixture {
    let fixture = Fixture::new();
    fixture.vault.identities().create(IdentityType::Agent, None).unwrap();
    agent_dna::create(&fixture, AGENT, "1.0.0", r#"["a"]"#).unwrap();
    let first = fixture.session(None);
    fixture.session(Some(&first));
    fixture.vault.sessions().end(&first.id, None).unwrap();
    for n in 0..4 {
        fixture.memory(Tier::ALL[n % 3], format!("memory {n}"), None);
    }
    fixture
}

fn keep_one(fixture: &Fixture) -> u64 {
    fixture.vault.prune(PrunePolicy { keep: Some(1), ..PrunePolicy::default() }).unwrap().versions
}

#[test]
fn the_file_says_what_the_vault_was() {
    let fixture = lived_in();
    let sequence = snapshot(&fixture, "snap_a", false);
    let file = fixture.vault.snapshots().file("snap_a").unwrap();
    let file = Value::Object(file.fields().clone());
    let at = |path: &str| file.at(path).cloned().unwrap_or_default();
    assert_eq!(at("vault_state.collections.memories"), 4_i64.into());
    assert_eq!(at("vault_state.collections.sessions"), 2_i64.into());
    assert_eq!(at("vault_state.memory_tiers"), parse(r#"{"short_term":2,"long_term":1,"episodic":1}"#));
    assert_eq!(at("vault_state.sequence"), sequence.into());
    assert_eq!(
        at("vault_state.root").as_str(),
        Some(fixture.vault.storage().root(sequence).unwrap().to_string().as_str())
    );
    assert_eq!((at("continuity_state.open_count"), at("continuity_state.ended_count")), (1_i64.into(), 1_i64.into()));
    assert_eq!(at("continuity_state.open_sessions").as_object().unwrap().len(), 1);
    assert_eq!(at("identity_state.identities").as_object().unwrap().len(), 1);
    assert_eq!(at("timeline_summary.total_events"), 7_i64.into());
    assert_eq!(at("metadata"), parse(r#"{"why":"é"}"#));
    assert_eq!(file.at("vault_state.records"), None);

    snapshot(&fixture, "snap_full", true);
    let full = Value::Object(fixture.vault.snapshots().file("snap_full").unwrap().fields().clone());
    assert_eq!(full.at("vault_state.records.memories").and_then(Value::as_object).unwrap().len(), 4);
    assert_eq!(full.at("continuity_state.sessions").and_then(Value::as_object).unwrap().len(), 2);
}

#[test]
fn the_file_never_changes_whatever_comes_after() {
    let fixture = lived_in();
    snapshot(&fixture, "snap_a", true);
    let before = [Format::Json, Format::Yaml].map(|format| rendered(&fixture, "snap_a", format));
    let memories = collect(fixture.vault.list(Kind::Memory, &mirrordna::vault::Filter::default()).unwrap());
    fixture.vault.memories().archive(&memories[0].id).unwrap();
    fixture.vault.memories().archive(&memories[1].id).unwrap();
    fixture.vault.memories().promote(&memories[1].id, Tier::Episodic).unwrap();
    fixture.vault.delete(Kind::Memory, &memories[2].id).unwrap();
    fixture.memory(Tier::Episodic, "new", None);
    fixture.session(None);
    let same = |when: &str| {
        assert_eq!(rendered(&fixture, "snap_a", Format::Json), before[0], "{when}");
        assert_eq!(rendered(&fixture, "snap_a", Format::Yaml), before[1], "{when}");
    };
    same("after changes");
    assert!(keep_one(&fixture) > 0);
    same("after a prune");
    let dir = fixture.path("vault");
    let Fixture { dir: temporary, vault } = fixture;
    drop(vault);
    let vault = mirrordna::Vault::open(&dir, &crate::support::options()).unwrap();
    let fixture = Fixture { dir: temporary, vault };
    assert_eq!(rendered(&fixture, "snap_a", Format::Json), before[0], "after opening again");
}

#[test]
fn files_load_in_the_reference_and_here() {
    let fixture = lived_in();
    snapshot(&fixture, "snap_a", false);
    snapshot(&fixture, "snap_full", true);
    for (id, format, extension) in [
        ("snap_a", Format::Json, "json"),
        ("snap_a", Format::Yaml, "yaml"),
        ("snap_full", Format::Json, "json"),
        ("snap_full", Format::Yaml, "yml"),
    ] {
        let text = rendered(&fixture, id, format);
        let read = SnapshotFile::parse(&text, format, Proof::Required).unwrap();
        assert_eq!(read, fixture.vault.snapshots().file(id).unwrap());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/check/interop.py");
        if !script.exists() {
            eprintln!("NOT TESTED against {}: it is missing", script.display());
            continue;
        }
        let path = fixture.path(&format!("{id}.{extension}"));
        std::fs::write(&path, text).unwrap();
        let checked = Command::new("python3").arg(script).arg("snapshot").arg(&path).output().unwrap();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
        let said = String::from_utf8(checked.stdout).unwrap();
        assert_eq!(said, format!("ok {id} {}\n", read.checksum().unwrap()));
    }
}

#[test]
fn a_diff_names_what_was_added_removed_and_changed() {
    let fixture = lived_in();
    let first = fixture.vault.at(snapshot(&fixture, "snap_a", false)).unwrap();
    let memories = collect(fixture.vault.list(Kind::Memory, &mirrordna::vault::Filter::default()).unwrap());
    fixture.vault.memories().archive(&memories[0].id).unwrap();
    fixture.vault.delete(Kind::Memory, &memories[1].id).unwrap();
    // There and back again is no difference.
    fixture.vault.memories().promote(&memories[2].id, Tier::ShortTerm).unwrap();
    fixture.vault.put(Kind::Memory, memories[2].value.clone()).unwrap();
    let added = fixture.memory(Tier::Episodic, "new", None);
    let passing = fixture.memory(Tier::Episodic, "gone", None);
    fixture.vault.delete(Kind::Memory, &passing.id).unwrap();
    let second = fixture.vault.at(snapshot(&fixture, "snap_b", false)).unwrap();
    let diff = |a, b| {
        let mut found: Vec<_> = fixture
            .vault
            .snapshots()
            .diff(a, b)
            .map(|difference| difference.map(|difference| (difference.difference, difference.id)).unwrap())
            .collect();
        found.sort_by_key(|(kind, id)| (*kind as u8, id.clone()));
        found
    };
    let expected = |added: DifferenceKind, removed: DifferenceKind, a: &str, b: &str| {
        let mut expected =
            vec![(added, a.to_owned()), (removed, b.to_owned()), (DifferenceKind::Changed, memories[0].id.clone())];
        expected.sort_by_key(|(kind, id)| (*kind as u8, id.clone()));
        expected
    };
    assert_eq!(
        diff(&first, &second),
        expected(DifferenceKind::Added, DifferenceKind::Removed, &added.id, &memories[1].id)
    );
    assert_eq!(
        diff(&second, &first),
        expected(DifferenceKind::Removed, DifferenceKind::Added, &added.id, &memories[1].id)
    );
    assert_eq!(diff(&first, &first), []);
    let present = fixture.vault.present();
    assert_eq!(diff(&second, &present), []);
}

#[test]
fn a_restore_brings_back_the_records_by_new_changes() {
    let fixture = lived_in();
    snapshot(&fixture, "snap_a", false);
    let state = |fixture: &Fixture| -> Vec<(String, Value)> {
        let kinds = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Snapshot);
        let view = fixture.vault.present();
        kinds.flat_map(|kind| collect(view.records(kind))).map(|record| (record.id, record.value)).collect()
    };
    let before = state(&fixture);
    let memories = collect(fixture.vault.list(Kind::Memory, &mirrordna::vault::Filter::default()).unwrap());
    fixture.vault.memories().archive(&memories[0].id).unwrap();
    fixture.vault.delete(Kind::Memory, &memories[1].id).unwrap();
    fixture.memory(Tier::Episodic, "new", None);
    snapshot(&fixture, "snap_b", false);
    let log = fixture.vault.state().sequence;
    let mut told = Vec::new();
    let mut follow = |done, total| told.push((done, total));
    let restored = fixture.vault.snapshots().restore_with("snap_a", &mut follow).unwrap();
    assert_eq!((restored.put, restored.deleted), (2, 1));
    assert_eq!(told, [(1, 3), (2, 3), (3, 3)]);
    assert_eq!(state(&fixture), before);
    assert!(fixture.vault.state().sequence > log, "history goes on");
    assert!(fixture.vault.snapshots().get("snap_b").is_ok(), "snapshots stay");
    // And forward again.
    fixture.vault.snapshots().restore("snap_b").unwrap();
    assert_ne!(state(&fixture), before);
    fixture.vault.snapshots().restore("snap_a").unwrap();
    assert_eq!(state(&fixture), before);
    assert_eq!(
        fixture.vault.snapshots().restore("snap_a").map(|restored| (restored.put, restored.deleted)).unwrap(),
        (0, 0)
    );
    let found = mirrordna::verify::verify_storage(fixture.vault.storage(), &mut |_, _| {}).unwrap();
    assert!(found.is_clean(), "{:?}", found.faults);
}

#[test]
fn prune_keeps_what_a_pin_needs_and_drops_it_when_the_pin_is_gone() {
    let fixture = Fixture::new();
    let memory = fixture.memory(Tier::ShortTerm, "0", None);
    let update = |content: &str| {
        let update = mirrordna::vault::MemoryUpdate { content: Some(content.into()), metadata: None };
        fixture.vault.memories().update(&memory.id, &update).unwrap()
    };
    update("1");
    let pinned = fixture.vault.at(snapshot(&fixture, "snap_a", false)).unwrap().sequence().unwrap();
    update("2");
    update("3");
    let at_pin =
        || fixture.vault.at(pinned).unwrap().find(Kind::Memory, &memory.id).unwrap().map(|record| record.value);
    let wanted = at_pin();
    assert_eq!(
        fixture.vault.prune(PrunePolicy { keep: Some(1), dry_run: true, ..PrunePolicy::default() }).unwrap().versions,
        2
    );
    assert_eq!(keep_one(&fixture), 2, "the first and the third");
    assert_eq!(at_pin(), wanted);
    assert_eq!(keep_one(&fixture), 0);
    fixture.vault.snapshots().delete("snap_a").unwrap();
    assert!(keep_one(&fixture) >= 1);
    // What is left there is not what was there, so it is not shown.
    let error = fixture.vault.at(pinned).err().unwrap();
    assert!(matches!(error, Error::Pruned { at, .. } if at == pinned), "{error}");
    let now = fixture.vault.state().sequence;
    assert_eq!(fixture.vault.at(now).unwrap().sequence(), Some(now));
    assert!(matches!(
        fixture.vault.prune(PrunePolicy { keep: Some(0), ..PrunePolicy::default() }),
        Err(Error::Argument { .. })
    ));
    assert_eq!(fixture.vault.get(Kind::Memory, &memory.id).unwrap().value.str_at("content"), Some("3"));
    let found = mirrordna::verify::verify_storage(fixture.vault.storage(), &mut |_, _| {}).unwrap();
    assert!(found.is_clean(), "{:?}", found.faults);
}

#[test]
fn snapshots_are_listed_by_age_and_their_ids_are_taken_once() {
    let fixture = Fixture::new();
    snapshot(&fixture, "snap_z", false);
    snapshot(&fixture, "snap_a", false);
    let made = fixture.vault.snapshots().create(NewSnapshot::default()).unwrap();
    assert!(made.id.starts_with("snap_20250601_1200"), "{}", made.id);
    let listed: Vec<_> = fixture.vault.snapshots().list().unwrap().into_iter().map(|pin| pin.id).collect();
    assert_eq!(listed, ["snap_z".to_owned(), "snap_a".to_owned(), made.id.clone()]);
    let again = fixture.vault.snapshots().create(NewSnapshot { id: Some("snap_a".into()), ..NewSnapshot::default() });
    assert!(matches!(again.unwrap_err(), Error::Storage(StorageError::Exists { .. })));
    for id in ["", "a", "snap_", "snap_../x", "snap_A"] {
        let refused = fixture.vault.snapshots().create(NewSnapshot { id: Some(id.into()), ..NewSnapshot::default() });
        assert!(matches!(refused.unwrap_err(), Error::Record(_)), "{id:?}");
    }
    fixture.vault.snapshots().delete(&made.id).unwrap();
    assert!(fixture.vault.snapshots().get(&made.id).is_err());
    assert!(fixture.vault.snapshots().delete(&made.id).is_err());
}

#[test]
fn what_was_pruned_does_not_come_back_by_being_pinned() {
    let fixture = lived_in();
    snapshot(&fixture, "snap_gone", false);
    let record = fixture.vault.get(Kind::Snapshot, "snap_gone").unwrap().value;
    fixture.vault.snapshots().delete("snap_gone").unwrap();
    // As long as it can be read, it can be pinned.
    fixture.vault.put(Kind::Snapshot, record.clone()).unwrap();
    fixture.vault.snapshots().delete("snap_gone").unwrap();
    fixture.memory(Tier::Episodic, "later", None);
    keep_one(&fixture);
    let before = fixture.vault.state();
    let refused = fixture.vault.put(Kind::Snapshot, record).unwrap_err();
    assert!(matches!(refused, Error::Pruned { .. }), "{refused}");
    assert_eq!(fixture.vault.state(), before);
}
