//! Input that nobody should give: clear errors, nothing changed, no panic.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::Stdio;

use crate::support::{AGENT, Bed, USER};

const GROUPS: [&[&str]; 10] = [
    &["identity", "get"],
    &["session", "get"],
    &["session", "end"],
    &["session", "lineage"],
    &["memory", "get"],
    &["memory", "delete"],
    &["memory", "history"],
    &["dna", "get"],
    &["snapshot", "restore"],
    &["record", "delete", "entries"],
];

#[test]
fn hostile_ids_lead_to_no_record() {
    let bed = Bed::new();
    let long = "a".repeat(100_000);
    for id in ["/", "..", ".", "../../etc/passwd", "mem_\n", "\n", "", " ", "é", "mem_%00", "*", long.as_str()] {
        for group in GROUPS {
            bed.fails([group, &["--", id]].concat(), 15, &["there is no"]);
        }
    }
    assert_eq!(bed.json(["stats"])["sequence"], 0);
}

#[test]
fn arguments_that_are_not_utf_8_are_named() {
    let bed = Bed::new();
    let bad = OsString::from_vec(b"mem_\xff\xfe".to_vec());
    for arguments in [&["memory".as_ref(), "get".as_ref(), bad.as_os_str()][..], &["memory".as_ref(), bad.as_os_str()]]
    {
        bed.fails(arguments, 2, &[]);
    }
    bed.fails(["memory".as_ref(), "get".as_ref(), bad.as_os_str()], 2, &["\"mem_\\xff\\xfe\" is not valid UTF-8"]);
}

#[test]
fn paths_may_be_any_bytes() {
    let bed = Bed::empty();
    let vault = OsStr::from_bytes(b"v\xff\xfe");
    bed.ok(["--vault".as_ref(), vault, "init".as_ref()]);
    bed.ok(["--vault".as_ref(), vault, "stats".as_ref()]);
    let name = OsStr::from_bytes(b"f\xff");
    std::fs::write(bed.path("").join(name), "abc").unwrap();
    assert!(bed.ok(["checksum".as_ref(), "compute".as_ref(), "--file".as_ref(), name]).starts_with("ba7816bf"));
}

#[test]
fn hostile_records_are_refused_and_nothing_changes() {
    let bed = Bed::new();
    let entry = |id: &str| {
        serde_json::json!({"id": id, "vault_id": "vault_0123456789abcdef", "path": "x", "type": "config",
            "created_at": "2025-01-01T00:00:00Z", "checksum": "0".repeat(64)})
        .to_string()
    };
    let long = "a".repeat(1_000_000);
    let mut texts: Vec<Vec<u8>> =
        ["/", "..", "entry_\n0123456789abcdef", "entry_0123456789abcdef\0", "", &long, &format!("entry_{long}")]
            .map(|id| entry(id).into_bytes())
            .to_vec();
    texts.extend([
        b"".to_vec(),
        b"null".to_vec(),
        b"[]".to_vec(),
        b"\"\xff\"".to_vec(),
        b"{\"id\": \"\\ud800\"}".to_vec(),
        b"NaN".to_vec(),
        [b"[".repeat(100_000), b"]".repeat(100_000)].concat(),
        [b"{\"a\":".repeat(600), b"1".to_vec(), b"}".repeat(600)].concat(),
    ]);
    for text in texts {
        bed.file("record.json", &text);
        bed.fails(["record", "put", "entries", "record.json"], 14, &["error: "]);
        let mut child = bed.command(["record", "put", "entries", "-"]);
        let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(&text).unwrap();
        let done = crate::support::Done::from(child.wait_with_output().unwrap());
        assert!(done.code == 14 && !done.stderr.contains("panicked") && done.stderr.len() < 4_000, "{done:?}");
    }
    assert_eq!(bed.json(["stats"])["sequence"], 0);
}

#[test]
fn a_record_beyond_the_limit_is_refused() {
    let bed = Bed::new();
    let session = bed.session();
    let record = |bytes: usize| {
        serde_json::json!({"tier": "episodic", "content": "x".repeat(bytes),
            "source": {"session_id": session, "agent_id": AGENT, "user_id": USER}})
        .to_string()
    };
    bed.file("large.json", record(15 << 20));
    bed.ok(["memory", "add", "--json", "large.json"]);
    bed.file("large.json", record((16 << 20) + 1));
    bed.fails(["memory", "add", "--json", "large.json"], 14, &["the limit is 16 MiB"]);
    bed.file("large.json", record(65 << 20));
    bed.fails(["memory", "add", "--json", "large.json"], 14, &["large.json has more than"]);
}
