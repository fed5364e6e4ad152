//! Files that the vault writes, checked by the rules of the reference.

use std::process::Command;

use mirrordna::record::document::{Format, SnapshotContent, SnapshotFile, TimelineFile};
use mirrordna::record::{Timestamp, Value, json};

use crate::data::{golden_folders, read, shared};

/// Runs `interop.py COMMAND FILE` over `content`; returns what it prints.
fn interop(command: &str, extension: &str, content: &[u8]) -> Option<String> {
    let script = shared("check/interop.py")?;
    let file = tempfile::Builder::new().suffix(extension).tempfile().unwrap();
    std::fs::write(file.path(), content).unwrap();
    let output = Command::new("python3").arg(script).arg(command).arg(file.path()).output().expect("python3 starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}\n{}", String::from_utf8_lossy(content));
    Some(String::from_utf8(output.stdout).unwrap())
}

fn content() -> SnapshotContent {
    let parsed = |text: &str| json::parse(text.as_bytes()).unwrap();
    SnapshotContent {
        snapshot_id: "snap_20250301_080000_00c0ffee".to_owned(),
        timestamp: Timestamp::parse("2025-03-01T08:00:00.000001Z").unwrap(),
        version: "1.0.0".to_owned(),
        identity_state: parsed(
            r#"{"identities":{"mdna_agt_1":"1234","yes":"no","1.5":"1e16","12:30:00":"12:30:00","":" x"}}"#,
        ),
        continuity_state: parsed(r#"{"open":[],"none":{},"deep":[[[{"a":[null,-0.0,1e16,1e-7,0.1,true]}]]]}"#),
        vault_state: parsed(r#"{"big":123456789012345678901234567890,"text":"\u0000\u0085\u2028\ud83d\ude00\n# x"}"#),
        timeline_summary: Value::Null,
        metadata: parsed(&format!(r#"{{"{}":"a key too long to stand before its colon"}}"#, "k".repeat(2000))),
    }
}

#[test]
fn snapshots_load_in_the_reference() {
    let snapshot = SnapshotFile::new(content());
    let bare = SnapshotFile::new(SnapshotContent { snapshot_id: "snap_0".to_owned(), ..SnapshotContent::default() });
    for file in [snapshot, bare] {
        for (format, extension) in [(Format::Json, ".json"), (Format::Yaml, ".yaml")] {
            let mut out = Vec::new();
            file.render(&mut out, format).unwrap();
            assert!(out.is_ascii());
            if let Some(said) = interop("snapshot", extension, &out) {
                assert_eq!(said, format!("ok {} {}\n", file.id(), file.checksum().unwrap()));
            }
        }
    }
}

#[test]
fn timelines_load_in_the_reference() {
    for folder in golden_folders("documents") {
        let timeline = TimelineFile::parse(&read(&folder.join("timeline/small.json"))).unwrap();
        let mut out = Vec::new();
        timeline.render(&mut out).unwrap();
        if let Some(said) = interop("timeline", ".json", &out) {
            assert_eq!(json::parse(said.as_bytes()), Ok(timeline.summary()));
        }
    }
}
