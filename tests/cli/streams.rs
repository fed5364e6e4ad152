//! Results on stdout, everything else on stderr.

use std::io::Read;
use std::process::Stdio;

use crate::support::{AGENT, Bed, USER};

#[test]
fn what_is_made_prints_its_id_alone_as_text_and_all_of_it_as_json() {
    let bed = Bed::new();
    let text = bed.run(["session", "start", "--agent", AGENT, "--user", USER]);
    assert_eq!((text.stderr.as_str(), text.stdout.lines().count()), ("", 1));
    assert!(text.stdout.starts_with("sess_"));
    let record = bed.json(["snapshot", "create"]);
    assert!(record["snapshot_id"].as_str().unwrap().starts_with("snap_") && record["root"].is_string());
    assert!(bed.ok(["snapshot", "create"]).starts_with("snap_"));
}

#[test]
fn notes_are_on_stderr_and_quiet_silences_them_alone() {
    let bed = Bed::empty();
    let loud = bed.run(["init"]);
    assert!(loud.stdout.starts_with("vault_") && loud.stderr.contains("made a vault"));
    let session = bed.session();
    let id = bed.memory(&session, "x");
    let quiet = bed.run(["-q", "memory", "promote", &id, "episodic"]);
    assert_eq!((quiet.code, quiet.stdout.as_str(), quiet.stderr.as_str()), (0, "", ""));
    let empty = bed.run(["memory", "search", "nothing of the kind"]);
    assert_eq!((empty.code, empty.stdout.as_str()), (0, ""));
    assert!(empty.stderr.contains("nothing in memories fits"));
    let failed = bed.run(["-q", "memory", "get", "mem_000000000000"]);
    assert!(failed.code == 15 && failed.stderr.starts_with("error: there is no memory"));
}

#[test]
fn lists_are_json_whatever_their_length() {
    let bed = Bed::new();
    assert_eq!(bed.json(["memory", "list"]), serde_json::json!([]));
    assert_eq!(bed.ok(["--jsonl", "memory", "list"]), "");
    let session = bed.session();
    for text in ["one", "two"] {
        bed.memory(&session, text);
    }
    assert_eq!(bed.json(["memory", "list"]).as_array().unwrap().len(), 2);
    let lines = bed.ok(["--jsonl", "memory", "list"]);
    assert!(lines.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
    assert_eq!(lines.lines().count(), 2);
    bed.fails(["--json", "--jsonl", "memory", "list"], 2, &["cannot be used with"]);
}

#[test]
fn no_colours_reach_a_pipe_unless_asked_for() {
    let bed = Bed::new();
    let plain = bed.run(["stats"]);
    assert!(!plain.stdout.contains('\x1b'));
    assert!(bed.run(["--color", "always", "stats"]).stdout.contains('\x1b'));
    assert!(bed.run(["--color", "always", "memory", "get", "x"]).stderr.contains("\x1b[1;31merror:"));
    assert!(!bed.run(["--color", "never", "memory", "get", "x"]).stderr.contains('\x1b'));
}

#[test]
fn control_characters_of_records_and_arguments_are_shown_and_not_sent() {
    let bed = Bed::new();
    let session = bed.session();
    let id = bed.memory(&session, "red \x1b[31m and\nmore");
    for output in [bed.ok(["memory", "list"]), bed.ok(["memory", "get", &id])] {
        assert!(output.contains(r"red \u{1b}[31m and\nmore"), "{output}");
    }
    let done = bed.run(["memory", "get", "mem_\x1b[31m\n"]);
    assert!(!done.stderr.contains('\x1b') && done.stderr.lines().count() == 1, "{done:?}");
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_command_quietly() {
    let bed = Bed::new();
    let session = bed.session();
    let record = serde_json::json!({"tier": "episodic", "content": "long ".repeat(100_000),
        "source": {"session_id": session, "agent_id": AGENT, "user_id": USER}});
    bed.file("memory.json", record.to_string());
    bed.ok(["memory", "add", "--json", "memory.json"]);
    for arguments in [&["memory", "list"][..], &["--json", "memory", "list"], &["--jsonl", "memory", "search", "long"]]
    {
        let mut child = bed.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = [0; 10];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        let done = crate::support::Done::from(child.wait_with_output().unwrap());
        assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{arguments:?}");
    }
}
