//! Files that are broken or mean harm: clear errors, no panic, and a vault as it was.

use std::fs;

use mirrordna::Error;
use mirrordna::record::Kind;

use crate::support::{Fixture, LENIENT, STRICT, collection, everything, memories, memory};

/// Imports a memories file that cannot be read; returns what is said. Nothing of it may stay.
fn refused(content: &[u8]) -> String {
    let fixture = Fixture::new();
    fixture.import(&fixture.store(&[("memories.json", &memories(3))]), STRICT).unwrap();
    let before = everything(&fixture.vault);
    let error = fixture.import(&fixture.store(&[("memories.json", content)]), LENIENT).unwrap_err().to_string();
    assert_eq!(everything(&fixture.vault), before);
    assert_eq!(fixture.vault.storage().intent().unwrap(), None);
    let fixture = fixture.reopen();
    assert_eq!(everything(&fixture.vault), before);
    error
}

#[test]
fn a_file_of_another_structure_takes_nothing_and_names_the_place() {
    let whole = memories(5_000);
    let cut = refused(&whole[..whole.len() - 100]);
    assert!(cut.contains("memories.json") && cut.contains("line ") && cut.contains("ends in the middle"), "{cut}");
    for (content, said) in [
        (&b"[]"[..], "line 1, column 1: unexpected '['"),
        (b"", "line 1, column 1: the text ends"),
        (b"\xef\xbb\xbf{}", "line 1, column 1"),
        (b"null", "line 1, column 1"),
        (b"{\"a\": {}} trailing", "something follows"),
        (b"{\"a\": {}, }", "line 1, column 11"),
        (b"{\"\xff\": {}}", "not UTF-8"),
        (b"{\"a\" {}}", "line 1, column 6"),
        (b"\x00\x01\x02", "line 1, column 1"),
    ] {
        let error = refused(content);
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn ids_that_cannot_name_a_file_are_refused_whatever_they_hold() {
    let long = format!("\"{}\"", "x".repeat(1 << 20));
    let keys = [
        "\"\"",
        "\".\"",
        "\"..\"",
        "\"a/b\"",
        "\"../../etc/passwd\"",
        "\"a\\u0000b\"",
        "\"a\\nb\"",
        "\"\\u007f\"",
        &long,
    ];
    let fixture = Fixture::new();
    let members = keys.iter().map(|key| (*key, "{}".to_owned()));
    let mut text = collection(members);
    // One sound record behind them is taken all the same.
    text.pop();
    text.extend_from_slice(format!(",\"mem_000000000001\":{}}}", memory("mem_000000000001", "x")).as_bytes());
    let store = fixture.store(&[("memories.json", &text)]);
    for options in [STRICT, LENIENT] {
        let report = fixture.import(&store, options).unwrap();
        assert_eq!(report.refused.len(), keys.len());
        for finding in &report.refused {
            assert_eq!(finding.reason.name(), "id", "{finding:?}");
            assert!(finding.id.len() < 500 && finding.reason.to_string().len() < 500);
        }
        assert_eq!(fixture.ids(Kind::Memory), ["mem_000000000001"]);
    }
}

#[test]
fn values_that_are_no_json_or_too_large_are_reported_and_the_rest_is_taken() {
    let fixture = Fixture::new();
    let deep = format!("{{\"memory_id\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let mut text =
        b"{\"nan\": NaN, \"surrogate\": {\"a\":\"\\ud800\"}, \"utf8\": \"\xff\xfe\", \"control\": \"a\nb\",".to_vec();
    text.extend_from_slice(b"\"digits\": ");
    text.extend_from_slice("9".repeat(5_000).as_bytes());
    text.extend_from_slice(b", \"deep\": ");
    text.extend_from_slice(deep.as_bytes());
    text.extend_from_slice(format!(", \"mem_000000000001\": {}}}", memory("mem_000000000001", "x")).as_bytes());
    let store = fixture.store(&[("memories.json", &text)]);
    let report = fixture.import(&store, LENIENT).unwrap();
    let found: Vec<_> = report.refused.iter().map(|finding| (finding.id.as_str(), finding.reason.name())).collect();
    let names = ["nan", "surrogate", "utf8", "control", "digits", "deep"];
    assert_eq!(found, names.map(|name| (name, "text")));
    assert!(report.refused[5].reason.to_string().contains("512 levels"), "{}", report.refused[5].reason);
    assert_eq!(fixture.ids(Kind::Memory), ["mem_000000000001"]);
}

#[test]
fn records_over_the_limit_are_reported_and_not_held() {
    let fixture = Fixture::new();
    let over_record = memory("mem_000000000002", &"y".repeat(17 << 20));
    let over_member = memory("mem_000000000003", &"z".repeat(65 << 20));
    let text = collection([
        ("\"mem_000000000001\"", memory("mem_000000000001", "x")),
        ("\"mem_000000000002\"", over_record),
        ("\"mem_000000000003\"", over_member),
        ("\"mem_000000000004\"", memory("mem_000000000004", &"w".repeat(15 << 20))),
    ]);
    let store = fixture.store(&[("memories.json", &text)]);
    let report = fixture.import(&store, STRICT).unwrap();
    let found: Vec<_> = report.refused.iter().map(|finding| (finding.id.as_str(), finding.reason.name())).collect();
    assert_eq!(found, [("mem_000000000002", "limit"), ("mem_000000000003", "limit")]);
    assert!(report.refused[0].reason.to_string().contains("16 MiB"));
    assert!(report.refused[1].reason.to_string().contains("line "), "{}", report.refused[1].reason);
    assert_eq!(fixture.ids(Kind::Memory), ["mem_000000000001", "mem_000000000004"]);
}

#[test]
fn a_hundred_thousand_members_are_taken_in_the_order_of_the_file() {
    let fixture = Fixture::new();
    let store = fixture.store(&[("memories.json", &memories(100_000))]);
    let report = fixture.import(&store, STRICT).unwrap();
    assert_eq!(report.total().taken, 100_000);
    let state = fixture.vault.state();
    assert_eq!((state.sequence, state.durable), (100_000, 100_000));
    let ids = fixture.ids(Kind::Memory);
    assert!(ids.len() == 100_000 && ids.is_sorted());
    let log = fixture.vault.log(1_000, 2).unwrap();
    assert!(log[0].end_of_commit && !log[1].end_of_commit, "committed a thousand at a time");
}

#[test]
fn folders_and_files_of_another_kind_are_told_apart() {
    let fixture = Fixture::new();
    let missing = fixture.import(&fixture.path("nowhere"), STRICT).unwrap_err();
    assert!(matches!(&missing, Error::Io { path, .. } if path.ends_with("nowhere")), "{missing}");
    let store = fixture.store(&[("readme.txt", b"")]);
    assert!(matches!(fixture.import(&store, STRICT).unwrap_err(), Error::Argument { .. }));
    // Opening a pipe would wait for ever.
    let store = fixture.store(&[]);
    let made = std::process::Command::new("mkfifo").arg(store.join("memories.json")).status();
    if made.is_ok_and(|status| status.success()) {
        let error = fixture.import(&store, STRICT).unwrap_err();
        assert!(error.to_string().contains("not a regular file"), "{error}");
    }
    let store = fixture.store(&[("memories.json/x", b"")]);
    let error = fixture.import(&store, STRICT).unwrap_err();
    assert!(matches!(error, Error::Argument { .. }), "a folder of that name is no collection: {error}");
    let store = fixture.store(&[("memories.json", b"{}")]);
    std::os::unix::fs::symlink("loop", store.join("loop")).unwrap();
    assert_eq!(fixture.import(&store, STRICT).unwrap().ignored, ["loop"]);
    let store =
        fixture.store(&[("citations/a.yaml", b"a: [1\n"), ("citations/b.json", b"[]"), ("citations/c.json", b"{}")]);
    let report = fixture.import(&store, LENIENT).unwrap();
    let found: Vec<_> = report.refused.iter().map(|finding| (finding.id.as_str(), finding.reason.name())).collect();
    assert_eq!(found, [("citations/a.yaml", "text"), ("citations/b.json", "id"), ("citations/c.json", "id")]);
    fs::write(store.join("citations/d.json"), vec![b' '; (64 << 20) + 1]).unwrap();
    let report = fixture.import(&store, STRICT).unwrap();
    assert_eq!(report.refused[3].reason.name(), "limit");
}
