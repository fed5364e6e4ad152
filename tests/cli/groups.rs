//! Each group of commands does what it says, as text and as JSON.

use crate::support::{AGENT, Bed, USER};

#[test]
fn sessions_start_end_and_lead_back() {
    let bed = Bed::new();
    let first = bed.ok(["session", "start", "--agent", AGENT, "--user", USER, "--context", r#"{"topic":"planning"}"#]);
    let second = bed.json(["session", "start", "--agent", AGENT, "--user", USER, "--parent", &first]);
    let second = second["session_id"].as_str().unwrap();
    let ended = bed.json(["session", "end", &first, "--final-state", r#"{"mood":"good"}"#]);
    assert_eq!(ended["context_metadata"]["final_state"]["mood"], "good");
    bed.fails(["session", "end", &first], 16, &["it ended at"]);
    assert_eq!(bed.json(["session", "lineage", second])["sessions"][0]["session_id"], first.as_str());
    assert_eq!(bed.json(["session", "context", second])["session_count"], 2);
    assert_eq!(bed.json(["session", "list", "--parent", &first]).as_array().unwrap().len(), 1);
    assert!(bed.ok(["session", "get", second]).contains("parent_session_id"));
    let unknown = ["session", "start", "--agent", AGENT, "--user", USER, "--parent", "sess_000000000000"];
    bed.fails(unknown, 15, &["its parent sess_000000000000 is not in the vault"]);
}

#[test]
fn memories_live_their_life() {
    let bed = Bed::new();
    let session = bed.session();
    let id = bed.ok([
        "memory",
        "add",
        "Prefers metric units",
        "--tier",
        "short_term",
        "--session",
        &session,
        "--tag",
        "units",
        "--tag",
        "é",
    ]);
    let memory = bed.json(["memory", "get", &id]);
    assert_eq!((&memory["source"]["agent_id"], &memory["source"]["user_id"]), (&AGENT.into(), &USER.into()));
    assert_eq!(memory["metadata"]["tags"], serde_json::json!(["units", "é"]));
    bed.ok(["memory", "promote", &id, "long_term"]);
    bed.ok([
        "memory",
        "update",
        &id,
        "--content",
        "-5 °C is cold",
        "--metadata",
        r#"{"tags":null,"relevance_score":0.5}"#,
    ]);
    bed.ok(["memory", "access", &id]);
    bed.ok(["memory", "archive", &id]);
    bed.fails(["memory", "archive", &id], 16, &["it is archived already"]);
    let memory = bed.json(["memory", "get", &id]);
    assert_eq!((&memory["tier"], &memory["content"]), (&"long_term".into(), &"-5 °C is cold".into()));
    assert_eq!(memory["metadata"]["access_count"], 1);
    assert_eq!(memory["metadata"].get("tags"), None);
    let found = |arguments: &[&str]| bed.json([&["memory"], arguments].concat()).as_array().unwrap().len();
    assert_eq!(found(&["search", "COLD", "--archived"]), 1);
    assert_eq!(found(&["search", "cold", "--live"]), 0);
    assert_eq!(found(&["list", "--tier", "long_term", "--session", &session, "--since", "1h"]), 1);
    assert_eq!(found(&["list", "--until", "2020-01-01"]), 0);
    assert_eq!(found(&["list", "--where", "metadata.access_count=1"]), 1);
    assert_eq!(bed.json(["memory", "history", &id]).as_array().unwrap().len(), 5);
    bed.ok(["memory", "delete", &id]);
    bed.fails(["memory", "get", &id], 15, &["there is no memory", &id]);
    assert_eq!(bed.json(["memory", "history", &id])[0]["deleted"], true);
}

#[test]
fn memories_come_from_stdin_and_from_files() {
    let bed = Bed::new();
    let session = bed.session();
    let mut piped = bed.command(["memory", "add", "-", "--tier", "episodic", "--session", &session]);
    let output = piped.stdin(std::fs::File::open(bed.file("text", "two\nlines\n")).unwrap()).output().unwrap();
    let id = String::from_utf8(output.stdout).unwrap();
    assert_eq!(bed.json(["memory", "get", id.trim()])["content"], "two\nlines");
    let record = serde_json::json!({"tier": "episodic", "content": {"a": 1},
        "source": {"session_id": session, "agent_id": AGENT, "user_id": USER}});
    let file = bed.file("memory.json", record.to_string());
    let id = bed.ok(["memory", "add", "--json", file.to_str().unwrap()]);
    assert_eq!(bed.json(["memory", "get", &id])["content"]["a"], 1);
    bed.fails(["memory", "add", "x", "--json", file.to_str().unwrap()], 2, &["cannot be used with"]);
    bed.fails(["memory", "add", "x", "--tier", "episodic"], 2, &["--session <ID>"]);
}

#[test]
fn long_lists_are_cut_and_go_on() {
    let bed = Bed::new();
    let session = bed.session();
    for number in 0..5 {
        bed.memory(&session, &format!("memory {number}"));
    }
    let mut seen = Vec::new();
    let mut more: Vec<String> = Vec::new();
    loop {
        let mut arguments = vec!["--jsonl", "memory", "list", "--limit", "2"];
        arguments.extend(more.iter().map(String::as_str));
        let done = bed.run(&arguments);
        seen.extend(done.stdout.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()));
        let Some((_, cursor)) = done.stderr.trim_end().split_once("--after ") else { break };
        more = vec!["--after".to_owned(), cursor.to_owned()];
    }
    let texts: Vec<_> = seen.iter().map(|memory| memory["content"].as_str().unwrap()).collect();
    assert_eq!(texts, ["memory 0", "memory 1", "memory 2", "memory 3", "memory 4"]);
    let newest = bed.json(["memory", "list", "--newest", "--limit", "1"]);
    assert_eq!(newest[0]["content"], "memory 4");
}

#[test]
fn any_record_is_put_listed_and_deleted() {
    let bed = Bed::new();
    let link = format!("agent_id: {AGENT}\nagent_name: Ada\nmirrordna_identity_id: {AGENT}\n");
    let file = bed.file("link.yaml", &link);
    assert_eq!(bed.ok(["record", "put", "agent_links", file.to_str().unwrap()]), AGENT);
    let file = bed.file("link.yaml", link.replace("Ada", "Grace"));
    bed.ok(["record", "put", "agent_links", file.to_str().unwrap()]);
    assert_eq!(bed.json(["record", "get", "agent_links", AGENT])["agent_name"], "Grace");
    assert_eq!(bed.json(["record", "get", "agent_links", AGENT, "--at", "1"])["agent_name"], "Ada");
    assert_eq!(bed.json(["record", "list", "agent_links"]).as_array().unwrap().len(), 1);
    assert_eq!(bed.json(["record", "history", "agent_links", AGENT]).as_array().unwrap().len(), 2);
    assert_eq!(bed.json(["record", "delete", "agent_links", AGENT])["deleted"], AGENT);
    bed.fails(["record", "get", "agent_links", AGENT, "--at", "99"], 2, &["the log ends at 3"]);
    bed.fails(["record", "list", "nothing"], 2, &["possible values", "glyphtrail"]);
}

#[test]
fn agents_have_dna_and_reflect_on_themselves() {
    let bed = Bed::new();
    for version in ["1.9.0", "1.10.0"] {
        let dna = serde_json::json!({"agent_id": AGENT, "version": version, "capabilities": ["summarize"],
            "personality_traits": {"tone": "calm", "style": "brief", "values": ["truth"]},
            "behavioral_constraints": ["Never guess"]});
        bed.ok(["dna", "create", bed.file("dna.json", dna.to_string()).to_str().unwrap()]);
    }
    assert_eq!(bed.json(["dna", "latest", AGENT])["version"], "1.10.0");
    assert_eq!(bed.json(["dna", "list", "--agent", AGENT]).as_array().unwrap().len(), 2);
    bed.ok(["dna", "get", "dna_0123456789abcdef_1_9_0"]);
    bed.fails(["dna", "latest", USER], 15, &[USER]);
    let add = |arguments: &[&str]| bed.ok([&["reflection", "add"], arguments, &["--agent", AGENT]].concat());
    let decision = add(&["decision", "--decision", "Wait", "--rationale", "No data"]);
    add(&["decision", "--decision", "Ask", "--rationale", "No data", "--checked", "Never guess"]);
    add(&["capability", "--capability", "summarize", "--usage", "report", "--success", "true"]);
    add(&["state", "--state", r#"{"load":0.7}"#, "--observation", "Busy"]);
    add(&["meta", "--about", &decision, "--synthesis", "Waiting pays"]);
    add(&["alignment", "--observation", "Asked before deleting"]);
    add(&["performance", "--observation", "3 s", "--insight", "Cache", "--action", "Cached"]);
    let reflections = bed.json(["reflection", "list", "--agent", AGENT]);
    assert_eq!(reflections.as_array().unwrap().len(), 7);
    assert_eq!(reflections[0]["reflection_type"], "performance");
    let decisions = bed.json(["reflection", "list", "--type", "decision"]);
    assert_eq!(decisions[0]["metadata"]["alignment"]["aligned"], true);
    assert_eq!(decisions[1]["metadata"]["alignment"]["aligned"], false);
    let report = bed.json(["reflection", "introspect", AGENT]);
    assert_eq!(report["capability_performance"]["summarize"]["success_rate"], 1.0);
    bed.fails(["reflection", "introspect", USER], 15, &["no agent DNA"]);
}

#[test]
fn the_timeline_tells_and_takes_events() {
    let bed = Bed::new();
    let session = bed.session();
    let id = bed.ok([
        "--actor",
        "ada",
        "timeline",
        "append",
        "--type",
        "custom",
        "--payload",
        r#"{"a":1}"#,
        "--session",
        &session,
    ]);
    bed.ok(["timeline", "append", "--type", "custom", "--actor", "grace", "--at", "2020-01-01"]);
    let query = |arguments: &[&str]| bed.json([&["timeline", "query"], arguments].concat()).as_array().unwrap().clone();
    assert_eq!(query(&[]).len(), 3);
    assert_eq!(query(&["--actor", "ada"])[0]["id"], id.as_str());
    assert_eq!(query(&["--event-type", "session_start"]).len(), 1);
    assert_eq!(query(&["--session", &session]).len(), 2);
    assert_eq!(query(&["--until", "2021-01-01"])[0]["actor"], "grace");
    assert_eq!(query(&["--limit", "0"]).len(), 3);
    assert_eq!(query(&["--limit", "1"]).len(), 1);
    let as_json = bed.ok(["timeline", "query", "--format", "json"]);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&as_json).unwrap().as_array().unwrap().len(), 3);
    assert_eq!(bed.json(["timeline", "summary"])["total_events"], 3);
    let refused = ["timeline", "append", "--type", "party"];
    bed.fails(refused, 14, &["event_type", "must be one of"]);
}

#[test]
fn snapshots_are_taken_compared_and_restored() {
    let bed = Bed::new();
    let session = bed.session();
    let id = bed.memory(&session, "before");
    bed.ok(["snapshot", "create", "--id", "snap_a"]);
    bed.ok(["memory", "update", &id, "--content", "after"]);
    let file = bed.path("b.yaml");
    bed.ok(["snapshot", "create", "--id", "snap_b", "--full", "--output", file.to_str().unwrap()]);
    bed.fails(["snapshot", "create", "--id", "snap_b"], 16, &["already exists"]);
    let diff = bed.json(["snapshot", "diff", "snap_a", "snap_b"]);
    assert!(diff.as_array().unwrap().iter().any(|item| item["id"] == id.as_str() && item["difference"] == "changed"));
    assert!(diff.as_array().unwrap().iter().any(|item| item["section"] == "vault_state"));
    assert_eq!(bed.json(["snapshot", "load", file.to_str().unwrap()])["snapshot_id"], "snap_b");
    assert!(bed.ok(["snapshot", "load", file.to_str().unwrap()]).contains("(verified)"));
    let shown = bed.ok(["snapshot", "show", "snap_b", "--format", "json"]);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), bed.json(["snapshot", "show", "snap_b"]));
    assert_eq!(bed.json(["snapshot", "list"]).as_array().unwrap().len(), 2);
    assert_eq!(bed.json(["snapshot", "restore", "snap_a"])["put_back"], 1);
    assert_eq!(bed.json(["memory", "get", &id])["content"], "before");
    bed.ok(["snapshot", "delete", "snap_a"]);
    bed.fails(["snapshot", "show", "snap_a"], 15, &["there is no snapshot snap_a"]);
    let text = std::fs::read_to_string(&file).unwrap().replace("before", "after");
    let tampered = bed.file("tampered.yaml", text.replacen("version: \"1.0.0\"", "version: \"1.0.1\"", 1));
    bed.fails(["snapshot", "load", tampered.to_str().unwrap()], 10, &["expected", "actual"]);
    let bare = bed.file("bare.json", r#"{"snapshot_id":"snap_x"}"#);
    bed.fails(["snapshot", "load", bare.to_str().unwrap()], 10, &["no checksum"]);
    assert!(bed.ok(["snapshot", "load", "--allow-unverified", bare.to_str().unwrap()]).contains("unverified"));
}

#[test]
fn checksums_are_computed_and_verified() {
    let bed = Bed::empty();
    let file = bed.file("abc", "abc");
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(bed.ok(["checksum", "compute", "--file", "abc"]), format!("{abc}  abc"));
    assert_eq!(bed.ok(["checksum", "compute", "--text", "abc"]), abc);
    bed.ok(["checksum", "verify", file.to_str().unwrap(), &abc.to_uppercase()]);
    bed.fails(["checksum", "verify", "abc", &abc.replace('b', "c")], 10, &["expected", "actual"]);
    bed.fails(["checksum", "verify", "abc", "abc"], 2, &["64 hex digits"]);
    bed.fails(["checksum", "verify", "missing", abc], 15, &["missing", "No such file"]);
    bed.file("a.json", r#"{"b":1,"a":"é"}"#);
    bed.file("b.json", "{ \"a\" : \"\\u00e9\", \"b\": 1 }");
    let [a, b] = ["a.json", "b.json"].map(|name| bed.ok(["checksum", "compute", "--json", name]));
    assert_eq!(a, b);
    bed.fails(["checksum", "compute"], 2, &["--file <FILE>|--text <TEXT>|--json <FILE>"]);
}

#[test]
fn configurations_are_generated_validated_and_loaded() {
    let bed = Bed::new();
    for (template, file) in [("minimal", "mc.yaml"), ("full", "mc.json")] {
        bed.ok(["config", "generate", "--template", template, "--output", file]);
        assert!(bed.ok(["config", "validate", "--master-citation", file]).starts_with("valid master citation mc_"));
        bed.ok(["config", "load", file]);
    }
    bed.ok(["config", "generate", "--document", "vault", "--output", "vault.yaml"]);
    bed.ok(["config", "validate", "--vault", "vault.yaml"]);
    assert_eq!(bed.json(["timeline", "query", "--event-type", "config_loaded"]).as_array().unwrap().len(), 2);
    let text = std::fs::read_to_string(bed.path("mc.yaml")).unwrap();
    bed.file("tampered.yaml", text.replace("1.0.0", "1.0.1"));
    bed.fails(
        ["config", "validate", "--master-citation", "tampered.yaml"],
        10,
        &["tampered.yaml", "expected", "actual"],
    );
    bed.file("broken.yaml", text.replace("mc_", "xx_"));
    bed.fails(["config", "validate", "--master-citation", "broken.yaml"], 11, &["broken.yaml", "/id"]);
    bed.fails(["config", "validate", "--vault", "mc.yaml"], 11, &["mc.yaml", "no text \"name\""]);
    bed.fails(["config", "validate"], 2, &["--master-citation <FILE>"]);
    let app = Bed::golden().join("store/config/app.json");
    assert!(bed.json(["config", "load", app.to_str().unwrap()]).is_object());
}

#[test]
fn the_vault_counts_prunes_verifies_and_is_well() {
    let bed = Bed::new();
    let session = bed.session();
    let id = bed.memory(&session, "one");
    bed.ok(["memory", "update", &id, "--content", "two"]);
    let stats = bed.json(["stats"]);
    assert_eq!((&stats["records"]["memories"], &stats["memory_tiers"]["short_term"]), (&1.into(), &1.into()));
    assert!(bed.ok(["stats"]).contains("short_term"));
    let log = bed.json(["log"]);
    let operations: Vec<_> = log.as_array().unwrap().iter().map(|entry| entry["operation"].as_str().unwrap()).collect();
    assert_eq!(operations, ["create", "create", "update"]);
    assert_eq!(bed.json(["log", "--newest", "--limit", "1"])[0]["sequence"], 3);
    assert_eq!(bed.json(["log", "--from", "3"]).as_array().unwrap().len(), 1);
    bed.fails(["prune"], 2, &["--keep <N>|--older-than <DURATION>"]);
    bed.fails(["prune", "--older-than", "30"], 2, &["30d"]);
    bed.fails(["prune", "--keep", "0"], 2, &["at least 1"]);
    assert_eq!(bed.json(["prune", "--older-than", "30d"])["dropped"], 0);
    assert_eq!(bed.json(["prune", "--keep", "1", "--dry-run"])["dropped"], 1);
    assert_eq!(bed.json(["prune", "--keep", "1"])["dropped"], 1);
    assert_eq!(bed.json(["verify"])["clean"], true);
    assert!(bed.ok(["verify"]).starts_with("sound: "));
    assert!(bed.ok(["verify", "--repair"]).starts_with("sound: "));
    assert_eq!(bed.json(["health"])["status"], "ok");
    assert_eq!(bed.json(["identity", "list"]).as_array().unwrap().len(), 0);
}
