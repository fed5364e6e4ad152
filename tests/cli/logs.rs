//! Logs: every change and every refused one, on stderr or in a file, as text or as JSON.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::support::{AGENT, Bed, USER};

fn events(log: &str) -> Vec<Value> {
    log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn audits(events: &[Value]) -> Vec<(&str, bool)> {
    let audit = events.iter().filter(|event| event["target"] == "mirrordna::audit");
    audit.map(|event| (event["action"].as_str().unwrap(), event.get("refused").is_some())).collect()
}

#[test]
fn structured_logs_are_json_and_name_every_change_and_every_refused_one() {
    let bed = Bed::empty();
    let logged = |arguments: &[&str]| {
        let done = bed.run([&["--structured-logs", "--actor", "ada"], arguments].concat());
        let events = events(&done.stderr);
        assert!(events.iter().all(|event| event["timestamp"].is_string() && event["level"].is_string()), "{events:?}");
        assert!(audits(&events).is_empty() || events.iter().any(|event| event["actor"] == "ada"), "{events:?}");
        (done, events)
    };
    let (_, made) = logged(&["init"]);
    assert_eq!(audits(&made), [("create", false)]);
    let (session, made) = logged(&["session", "start", "--agent", AGENT, "--user", USER]);
    assert_eq!(audits(&made), [("put", false)]);
    let session = session.stdout.trim();
    let (memory, made) = logged(&["memory", "add", "x", "--tier", "episodic", "--session", session]);
    assert_eq!(audits(&made), [("put", false)]);
    let memory = memory.stdout.trim();
    assert_eq!(made.iter().find(|event| event["target"] == "mirrordna::audit").unwrap()["id"], memory);
    let changes: [&[&str]; 6] = [
        &["memory", "promote", memory, "long_term"],
        &["memory", "delete", memory],
        &["snapshot", "create", "--id", "snap_a"],
        &["timeline", "append", "--type", "custom"],
        &["prune", "--keep", "1"],
        &["session", "end", session],
    ];
    for change in changes {
        let (done, events) = logged(change);
        assert_eq!(done.code, 0, "{done:?}");
        assert!(audits(&events).iter().any(|(_, refused)| !refused), "{change:?}: {events:?}");
    }
    std::fs::create_dir(bed.path("store")).unwrap();
    bed.file("store/memories.json", "{");
    let refusals: [&[&str]; 14] = [
        &["init"],
        &["--vault", "store", "init"],
        &["prune", "--keep", "0"],
        &["import", "store"],
        &["snapshot", "restore", "snap_none"],
        &["memory", "add", "x", "--tier", "episodic", "--session", "sess_000000000000"],
        &["reflection", "add", "state", "--agent", AGENT, "--state", "1"],
        &["reflection", "add", "meta", "--agent", AGENT, "--about", "refl_none", "--synthesis", "x"],
        &["memory", "delete", memory],
        &["memory", "add", "", "--tier", "episodic", "--session", session],
        &["session", "end", session],
        &["session", "start", "--agent", "me", "--user", "you"],
        &["snapshot", "create", "--id", "snap_a"],
        &["timeline", "append", "--type", "party"],
    ];
    for refusal in refusals {
        let (done, events) = logged(refusal);
        assert_ne!(done.code, 0, "{done:?}");
        assert!(audits(&events).iter().any(|(_, refused)| *refused), "{refusal:?}: {events:?}");
        let said = events.iter().find(|event| event["target"] == "mirrordna::cli").unwrap();
        assert_eq!((&said["level"], &said["code"]), (&"ERROR".into(), &done.code.into()));
    }
}

#[test]
fn a_log_file_is_private_grows_and_leaves_stderr_alone() {
    let bed = Bed::empty();
    bed.ok(["--log-file", "log", "init"]);
    bed.fails(["--log-file", "log", "memory", "delete", "mem_000000000000"], 15, &["error: there is no memory"]);
    let log = std::fs::read_to_string(bed.path("log")).unwrap();
    assert!(log.contains("action=\"create\"") && log.contains("refused") && !log.contains('\x1b'), "{log}");
    assert_eq!(std::fs::metadata(bed.path("log")).unwrap().permissions().mode() & 0o777, 0o600);
    bed.ok(["--log-file", "log.json", "--structured-logs", "identity", "create", "--type", "user", "--key-out", "key"]);
    assert!(!events(&std::fs::read_to_string(bed.path("log.json")).unwrap()).is_empty());
    bed.fails(["--log-file", "no/such/dir", "stats"], 15, &["log file no/such/dir"]);
}

#[test]
fn levels_say_how_much_is_logged() {
    let bed = Bed::new();
    let session = bed.session();
    let add = |options: &[&str]| {
        let done = bed.run([options, &["memory", "add", "x", "--tier", "episodic", "--session", &session]].concat());
        assert_eq!((done.code, done.stdout.lines().count()), (0, 1), "{done:?}");
        done.stderr
    };
    assert_eq!(add(&[]), "");
    assert!(add(&["-v"]).contains("mirrordna::audit"));
    assert_eq!(add(&["-v", "--log-level", "off"]), "");
    assert!(add(&["--log-level", "mirrordna::audit=info"]).contains("mirrordna::audit"));
    bed.fails(["--log-level", "loud", "stats"], 2, &["log level \"loud\"", "error, warn, info"]);
}
