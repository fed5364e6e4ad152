//! What is said, and with which exit code, when a vault cannot be used.

use std::time::{Duration, Instant};

use mirrordna::record::{Checksum, Kind};
use mirrordna::{Vault, VaultOptions};

use crate::support::Bed;

#[test]
fn a_directory_without_a_vault_says_how_to_make_one() {
    let bed = Bed::empty();
    for arguments in [&["stats"][..], &["verify"], &["memory", "list"], &["snapshot", "create"]] {
        bed.fails(arguments, 13, &["is not a vault; create one with `mirrordna --vault"]);
    }
    assert_eq!(bed.run(["health"]).code, 13);
    let home = bed.command(["stats"]).env_remove("MIRRORDNA_VAULT").output().unwrap();
    assert!(String::from_utf8(home.stderr).unwrap().contains(".mirrordna/vault is not a vault"));
}

#[test]
fn a_vault_is_not_made_over_anything() {
    let bed = Bed::new();
    bed.fails(["init"], 16, &["already holds a vault"]);
    bed.file("file", "");
    bed.fails(["--vault", "file", "init"], 16, &["already holds a file"]);
    std::fs::create_dir(bed.path("full")).unwrap();
    bed.file("full/x", "");
    bed.fails(["--vault", "full", "init"], 16, &["already holds files"]);
}

#[test]
fn commands_work_on_a_vault_that_another_process_has_open() {
    let bed = Bed::new();
    let open = Vault::open(&bed.vault(), &VaultOptions::default()).unwrap();
    let session = bed.session();
    let memory = bed.memory(&session, "seen at once");
    assert_eq!(open.get(Kind::Memory, &memory).unwrap().value.str_at("content"), Some("seen at once"));
    for arguments in [&["stats"][..], &["verify"], &["log"], &["health"], &["memory", "list"], &["snapshot", "create"]]
    {
        bed.ok([&["--lock-timeout", "0"], arguments].concat());
    }
    // A repair drops what others read, so it must be alone.
    let by = format!("is held by process {}", std::process::id());
    bed.fails(["--lock-timeout", "0.1", "verify", "--repair"], 13, &[&by, "since 20"]);
    drop(open);
    bed.ok(["--lock-timeout", "0", "verify", "--repair"]);
}

#[test]
fn a_vault_whose_holder_does_not_answer_says_by_whom_it_is_held_after_the_time_out() {
    let bed = Bed::new();
    // The lock of a process that has no socket.
    drop(Vault::open(&bed.vault(), &VaultOptions::default()).unwrap());
    let lock = std::fs::File::options().read(true).write(true).open(bed.vault().join("LOCK")).unwrap();
    lock.lock().unwrap();
    let begun = Instant::now();
    let by = format!("is held by process {}", std::process::id());
    for arguments in [&["stats"][..], &["verify"], &["log"]] {
        bed.fails([&["--lock-timeout", "0.2"], arguments].concat(), 13, &[&by, "since 20"]);
    }
    assert!(begun.elapsed() > Duration::from_millis(600));
    drop(lock);
    bed.ok(["--lock-timeout", "0", "stats"]);
    bed.fails(["--lock-timeout", "soon", "stats"], 2, &["a number of seconds"]);
}

#[test]
fn a_newer_format_asks_for_a_newer_program() {
    let bed = Bed::new();
    let path = bed.vault().join("VAULT");
    let text = std::fs::read_to_string(&path).unwrap();
    let (lines, _) = text.rsplit_once("sha256 ").unwrap();
    let newer = lines.replace("format 1\n", "format 99\n");
    let sum = Checksum::of(newer.as_bytes());
    std::fs::write(&path, format!("{newer}sha256 {sum}\n")).unwrap();
    bed.fails(["stats"], 13, &["has format 99", "use a newer mirrordna"]);
}

#[test]
fn damage_is_found_and_named() {
    let bed = Bed::new();
    let session = bed.session();
    bed.memory(&session, "a memory");
    let path = bed.vault().join("VAULT");
    let sound = std::fs::read(&path).unwrap();
    std::fs::write(&path, "x").unwrap();
    bed.fails(["stats"], 10, &["VAULT is damaged"]);
    std::fs::write(&path, sound).unwrap();
    // Cut the file of RocksDB that holds most.
    let files = std::fs::read_dir(bed.vault().join("db")).unwrap().flatten().map(|entry| entry.path());
    let tables = files.filter(|path| path.extension().is_some_and(|extension| extension == "sst"));
    let table = tables.max_by_key(|path| std::fs::metadata(path).unwrap().len()).unwrap();
    let bytes = std::fs::read(&table).unwrap();
    std::fs::write(&table, &bytes[..bytes.len() / 2]).unwrap();
    bed.fails(["memory", "list"], 10, &["damaged"]);
    let done = bed.run(["verify"]);
    assert_eq!(done.code, 10, "{done:?}");
    assert!(done.stdout.contains("damaged") && done.stderr.contains("the vault is damaged"), "{done:?}");
    let done = bed.run(["--json", "verify"]);
    let report: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((done.code, &report["clean"]), (10, &false.into()));
    assert_eq!(bed.run(["health"]).code, 10);
}

#[test]
fn what_the_vault_refuses_has_a_code_of_its_own() {
    let bed = Bed::new();
    let session = bed.session();
    let id = bed.memory(&session, "a memory");
    bed.fails(["memory", "get", "mem_000000000000"], 15, &["there is no memory mem_000000000000"]);
    bed.fails(
        ["memory", "add", "", "--tier", "episodic", "--session", &session],
        14,
        &["breaks its schema", "/content"],
    );
    bed.fails(
        ["memory", "add", "x", "--tier", "episodic", "--session", "sess_000000000000"],
        2,
        &["agent and user must be given"],
    );
    bed.fails(["session", "start", "--agent", "me", "--user", "you"], 14, &["/agent_id", "/user_id"]);
    let record = serde_json::json!({"memory_id": id, "tier": "episodic", "content": "x",
        "source": {"session_id": session, "agent_id": "mdna_agt_000000000000", "user_id": "mdna_usr_000000000000"}});
    let file = bed.file("taken.json", record.to_string());
    bed.fails(["memory", "add", "--json", file.to_str().unwrap()], 16, &[&id, "already exists"]);
    bed.file("bad.json", "{\"a\": 1,}");
    bed.fails(["record", "put", "entries", "bad.json"], 14, &["bad.json: not valid JSON: line 1, column 9"]);
    bed.fails(["record", "put", "entries", "missing.json"], 15, &["missing.json: No such file"]);
    bed.fails(["record", "put", "entries", "."], 13, &["Is a directory"]);
    bed.fails(
        ["memory", "add", "x", "--tier", "episodic", "--session", &session, "--metadata", "{"],
        2,
        &["--metadata <JSON>", "line 1"],
    );
    bed.fails(["memory", "list", "--after", "x"], 2, &["cursor"]);
    bed.fails(["memory", "list", "--since", "soon"], 2, &["2025-03-01"]);
}
