//! Every file that the reference wrote.

use std::path::Path;

use mirrordna::record::document::{
    ConfigChecksum, EventFilter, Format, HashAlgorithm, Proof, SnapshotFile, TimelineFile, checksum_of, read_citation,
};
use mirrordna::record::{Kind, RecordError, Timestamp, Value};

use crate::data::{golden_folders, read, read_json};

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files
}

fn snapshot(path: &Path, proof: Proof) -> Result<SnapshotFile, RecordError> {
    SnapshotFile::parse(&read(path), Format::of_path(path).unwrap(), proof)
}

#[test]
fn snapshots_of_the_reference_load_or_fail_as_they_must() {
    for folder in golden_folders("documents") {
        let folder = folder.join("snapshots");
        for entry in read_json(&folder.join("index.json")).as_array().unwrap() {
            let name = entry.str_at("file").unwrap();
            let path = folder.join(name);
            let loaded = snapshot(&path, Proof::Required);
            if name.starts_with("tampered/") {
                let Err(RecordError::Checksum { expected, actual, .. }) = loaded else { panic!("{name}: {loaded:?}") };
                let message = entry.str_at("error").unwrap();
                assert!(message.ends_with(&format!("Expected: {expected}, Got: {actual}")), "{name}: {message}");
                assert!(matches!(snapshot(&path, Proof::Optional), Err(RecordError::Checksum { .. })), "{name}");
            } else if name.starts_with("unverified_accepted/") {
                assert!(matches!(loaded, Err(RecordError::Unverified { .. })), "{name}: {loaded:?}");
                let taken = snapshot(&path, Proof::Optional).unwrap();
                assert_eq!(taken.checksum(), None, "{name}");
            } else {
                let loaded = loaded.unwrap_or_else(|error| panic!("{name}: {error}"));
                assert_eq!(loaded.checksum().map(|sum| sum.to_string()).as_deref(), entry.str_at("checksum"), "{name}");
                for field in ["snapshot_id", "timestamp", "version", "checksum"] {
                    assert_eq!(loaded.fields().get(field), entry.get(field), "{name}: {field}");
                }
            }
        }
    }
}

#[test]
fn snapshots_are_rendered_as_the_reference_wrote_them() {
    for folder in golden_folders("documents") {
        for path in files(&folder.join("snapshots")) {
            if path.ends_with("index.json") {
                continue;
            }
            let loaded = snapshot(&path, Proof::Required).unwrap();
            for format in [Format::Json, Format::Yaml] {
                let mut out = Vec::new();
                loaded.render(&mut out, format).unwrap();
                assert_eq!(SnapshotFile::parse(&out, format, Proof::Required).as_ref(), Ok(&loaded));
                assert_eq!(Format::of_text(&out), format);
            }
        }
    }
}

#[test]
fn timelines_have_the_summaries_and_answers_of_the_reference() {
    for folder in golden_folders("documents") {
        let folder = folder.join("timeline");
        for (name, expected) in read_json(&folder.join("expected.json")).as_object().unwrap() {
            let text = read(&folder.join(name));
            let timeline = TimelineFile::parse(&text).unwrap();
            assert_eq!(Some(&timeline.summary()), expected.get("summary"), "{name}");

            let select = |filter: EventFilter<'_>| -> Vec<Value> { timeline.select(&filter).cloned().collect() };
            let ids =
                |filter| -> Value { select(filter).iter().map(|event| event.get("id").unwrap().clone()).collect() };
            let all = EventFilter::default();
            let by_type = ids(EventFilter { event_type: Some("memory_created"), ..all });
            assert_eq!(Some(&by_type), expected.get("by_type_memory_created"), "{name}");
            let by_actor = ids(EventFilter { actor: Some("mdna_agt_0123456789abcdef"), limit: 5, ..all });
            assert_eq!(Some(&by_actor), expected.get("by_actor_agent_limit_5"), "{name}");
            assert_eq!(expected.get("limit_0_means_all"), Some(&select(all).len().into()), "{name}");

            let session = timeline.events().iter().find_map(|event| event.str_at("related_session_id")).unwrap();
            let of_session = select(EventFilter { session: Some(session), ..all });
            assert!(!of_session.is_empty());
            assert!(of_session.iter().all(|event| event.str_at("related_session_id") == Some(session)));

            // The time of the third event divides a timeline in order into two that share it.
            let time = timeline.events().get(2).and_then(|event| Timestamp::parse(event.str_at("timestamp")?));
            assert_eq!(select(EventFilter { to: time, ..all }), timeline.events()[..3]);
            assert_eq!(select(EventFilter { from: time, ..all }), timeline.events()[2..]);
            assert_eq!(select(EventFilter { from: time, to: time, ..all }), timeline.events()[2..3]);

            let mut out = Vec::new();
            timeline.render(&mut out).unwrap();
            assert_eq!(TimelineFile::parse(&out).as_ref(), Ok(&timeline), "{name}");
        }
    }
}

#[test]
fn citations_of_the_reference_are_verified() {
    for folder in golden_folders("documents") {
        for path in files(&folder.join("store/citations")) {
            let text = read(&path);
            let citation = read_citation(&text, Format::of_path(&path).unwrap(), Proof::Required);
            if path.file_name().unwrap().to_string_lossy().starts_with("tampered") {
                let Err(RecordError::Checksum { what, expected, actual }) = citation else { panic!("{citation:?}") };
                assert_eq!(what, "master citation \"mc_reference_agent_0001\"");
                assert_ne!(expected, actual);
            } else {
                let citation = citation.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                let stored = citation.get("checksum").and_then(Value::as_str);
                assert_eq!(stored, Some(checksum_of(&citation).to_string().as_str()));
            }
        }
        let citation = |name, format| {
            read_citation(&read(&folder.join("store/citations").join(name)), format, Proof::Required).unwrap()
        };
        assert_eq!(citation("master_citation.json", Format::Json), citation("master_citation.yaml", Format::Yaml));
    }
}

#[test]
fn citations_without_a_checksum_are_unverified_and_their_timestamps_stay_strings() {
    let text = b"id: mc_x\ncreated_at: 2025-01-01T00:00:00Z\nchecksum: ''\n";
    let refused = read_citation(text, Format::Yaml, Proof::Required).unwrap_err();
    assert_eq!(refused.to_string(), "master citation \"mc_x\" carries no checksum, so it cannot be verified");
    let citation = read_citation(text, Format::Yaml, Proof::Optional).unwrap();
    assert_eq!(citation.get("created_at"), Some(&"2025-01-01T00:00:00Z".into()));
    let list = read_citation(b"- a", Format::Yaml, Proof::Optional);
    assert_eq!(list, Err(RecordError::NotAnObject { kind: Kind::Citation }));
}

#[test]
fn configurations_of_the_reference_are_verified() {
    for folder in golden_folders("documents") {
        let mut verified = 0;
        for path in files(&folder.join("store/config")) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.ends_with(".checksum.json") {
                continue;
            }
            let text = read(&ConfigChecksum::path_for(&path));
            let checksum = ConfigChecksum::parse(&name, &text).unwrap();
            let config = read_json(&path);
            checksum.verify(&name, &config).unwrap();

            let created_at = Timestamp::parse(&checksum.created_at).unwrap();
            let made = ConfigChecksum::of(&config, checksum.algorithm, &checksum.version, created_at);
            let mut out = Vec::new();
            made.render(&mut out).unwrap();
            assert_eq!(String::from_utf8(out), String::from_utf8(text), "{name}: our file equals the reference's");

            let upper = ConfigChecksum { hash: checksum.hash.to_uppercase(), ..checksum.clone() };
            upper.verify(&name, &config).unwrap();
            let changed = checksum.verify(&name, &Value::Null);
            assert!(matches!(changed, Err(RecordError::Checksum { expected, .. }) if expected == checksum.hash));
            verified += 1;
        }
        assert!(verified >= 4);
        let sha512 = read(&folder.join("store/config/sha512.checksum.json"));
        assert_eq!(ConfigChecksum::parse("sha512", &sha512).unwrap().algorithm, HashAlgorithm::Sha512);
    }
}
