//! Import and export, and stopping them.

use std::process::Stdio;
use std::time::Duration;

use crate::support::{AGENT, Bed, Done, USER};

#[test]
fn a_store_of_the_reference_is_imported_exported_and_equal() {
    let bed = Bed::new();
    let store = Bed::golden().join("store");
    // One of its citations was tampered with, which is refused.
    let import = |options: &[&str]| {
        let done = bed.run(options.iter().map(AsRef::as_ref).chain(["import".as_ref(), store.as_os_str()]));
        assert_eq!(done.code, 14, "{done:?}");
        assert!(done.stderr.contains("1 record was refused; everything else was imported"), "{done:?}");
        done
    };
    let report: serde_json::Value = serde_json::from_str(&import(&["--json"]).stdout).unwrap();
    assert_eq!(report["collections"]["memories"]["taken"], 200);
    assert_eq!(report["missing_parents"].as_array().unwrap().len(), 1);
    assert_eq!(report["refused"][0]["cause"], "checksum");
    assert!(import(&[]).stderr.contains("imported 0 records"));
    bed.ok(["export", "out"]);
    for name in ["memories.json", "sessions.json", "identities.json", "agent_dna.json"] {
        let read = |dir: &std::path::Path| -> serde_json::Value {
            serde_json::from_slice(&std::fs::read(dir.join(name)).unwrap()).unwrap()
        };
        assert_eq!(read(&bed.path("out")), read(&store), "{name}");
    }
    bed.fails(["export", "out"], 2, &["out"]);
    bed.fails(["import", "missing"], 15, &["missing"]);
    bed.ok(["verify"]);
}

#[test]
fn a_lenient_import_takes_what_a_strict_one_refuses() {
    let bed = Bed::new();
    std::fs::create_dir(bed.path("store")).unwrap();
    let memory = serde_json::json!({"mem_x": {"memory_id": "mem_x", "tier": "for_ever", "content": "x",
        "source": {"session_id": "s", "timestamp": "2025-01-01T00:00:00Z", "agent_id": AGENT, "user_id": USER}}});
    bed.file("store/memories.json", memory.to_string());
    let strict = bed.run(["import", "store"]);
    assert!(
        strict.code == 14 && strict.stdout.contains("mem_x") && strict.stdout.contains("breaks its schema"),
        "{strict:?}"
    );
    assert!(strict.stderr.contains("1 record was refused; everything else was imported"), "{strict:?}");
    let strict = bed.run(["--json", "import", "store"]);
    let report: serde_json::Value = serde_json::from_str(&strict.stdout).unwrap();
    assert_eq!((strict.code, &report["refused"][0]["cause"]), (14, &"schema".into()));
    assert_eq!(bed.json(["import", "store", "--lenient"])["lenient"][0]["id"], "mem_x");
    assert!(bed.ok(["verify"]).contains("mem_x"));
}

#[test]
fn of_many_refusals_people_see_some_and_programs_all() {
    let bed = Bed::new();
    std::fs::create_dir(bed.path("store")).unwrap();
    let memories: serde_json::Map<_, _> = (0..150).map(|n| (format!("mem_{n:012}"), serde_json::json!({}))).collect();
    bed.file("store/memories.json", serde_json::Value::Object(memories).to_string());
    let done = bed.run(["import", "store"]);
    assert_eq!((done.code, done.stdout.lines().count()), (14, 1 + 100 + 1), "{done:?}");
    assert!(done.stdout.contains("mem_000000000099") && !done.stdout.contains("mem_000000000100"));
    assert!(done.stdout.ends_with("… and 50 more refused; --json lists all\n"), "{done:?}");
    assert!(done.stderr.contains("150 records were refused"), "{done:?}");
    let done = bed.run(["--json", "import", "store"]);
    let report: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((done.code, report["refused"].as_array().unwrap().len()), (14, 150));
}

#[test]
fn a_timeline_with_an_event_that_is_refused_and_a_configuration_that_fails_say_so() {
    let bed = Bed::new();
    let events = bed.file("events.json", r#"{"events": [{"id": "evt_20250101000000_0001"}]}"#);
    let done = bed.run(["timeline".as_ref(), "import".as_ref(), events.as_os_str()]);
    assert!(done.code == 14 && done.stderr.contains("1 record was refused"), "{done:?}");
    std::fs::create_dir_all(bed.path("store/config")).unwrap();
    bed.file("store/config/a.json", "{}");
    bed.file("store/config/a.checksum.json", r#"{"algorithm": "sha256", "hash": "00"}"#);
    let done = bed.run(["import", "store"]);
    assert!(done.code == 14 && done.stderr.contains("1 configuration is not sound"), "{done:?}");
}

#[test]
fn timelines_are_exported_and_imported() {
    let (bed, other) = (Bed::new(), Bed::new());
    bed.session();
    bed.ok(["timeline", "append", "--type", "custom"]);
    let file = bed.path("events.json");
    assert_eq!(bed.json(["timeline".as_ref(), "export".as_ref(), file.as_os_str()])["event_count"], 2);
    let report = other.json(["timeline".as_ref(), "import".as_ref(), file.as_os_str()]);
    assert_eq!(report["collections"]["timeline"]["taken"], 2);
    let of_file = bed.json(["timeline".as_ref(), "query".as_ref(), "--file".as_ref(), file.as_os_str()]);
    assert_eq!(of_file, other.json(["timeline", "query"]));
    let small = Bed::golden().join("timeline/small.json");
    let events = Bed::empty().json([
        "timeline".as_ref(),
        "query".as_ref(),
        "--file".as_ref(),
        small.as_os_str(),
        "--limit".as_ref(),
        "0".as_ref(),
    ]);
    assert_eq!(events.as_array().unwrap().len(), 6);
}

#[test]
fn an_interrupted_import_leaves_nothing_and_says_so() {
    let bed = Bed::new();
    std::fs::create_dir(bed.path("store")).unwrap();
    let memories: serde_json::Map<_, _> = (0..60_000)
        .map(|number| {
            let id = format!("mem_20250101_000000_{number:08x}");
            let memory = serde_json::json!({"memory_id": id, "tier": "episodic", "content": format!("memory {number}"),
                "source": {"session_id": "sess_20250101_000000_00000001", "timestamp": "2025-01-01T00:00:00Z",
                    "agent_id": AGENT, "user_id": USER}});
            (id, memory)
        })
        .collect();
    bed.file("store/memories.json", serde_json::Value::Object(memories).to_string());
    let mut command = bed.command(["import", "store"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(400));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let done = Done::from(child.wait_with_output().unwrap());
    assert_eq!((done.code, done.stdout.as_str()), (130, ""), "{done:?}");
    assert!(done.stderr.contains("interrupted; nothing was imported"), "{done:?}");
    assert_eq!(bed.json(["stats"])["records"]["memories"], 0);
    bed.ok(["verify"]);
}

#[test]
fn waiting_is_interrupted_at_once() {
    let bed = Bed::new();
    let mut command = bed.command(["record", "put", "entries", "-"]);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let done = Done::from(child.wait_with_output().unwrap());
    assert_eq!((done.code, done.stderr.as_str()), (130, "interrupted\n"));
}
