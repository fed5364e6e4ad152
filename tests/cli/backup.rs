//! `backup`: every verb, exit codes, and where a passphrase may come from.

use serde_json::Value;

use crate::support::{AGENT, Bed, USER};

fn bed() -> Bed {
    let bed = Bed::new();
    bed.file("passphrase", "right\n");
    bed.file("other", "other\n");
    let session = bed.ok(["session", "start", "--agent", AGENT, "--user", USER]);
    bed.ok(["memory", "add", "first", "--tier", "long_term", "--session", session.trim()]);
    bed.ok(["backup", "init", "--repo", "repository", "--passphrase-file", "passphrase"]);
    bed
}

const OPEN: [&str; 4] = ["--repo", "repository", "--passphrase-file", "passphrase"];

fn with<'a>(verb: &[&'a str]) -> Vec<&'a str> {
    [&["backup"], verb, &OPEN].concat()
}

/// A vault goes into a repository and comes out of it as it was.
#[test]
fn a_vault_is_backed_up_and_restored() {
    let bed = bed();
    let name = bed.ok(with(&["create", "--name", "one"]));
    assert_eq!(name.trim().len(), 16);
    let listed = bed.ok(with(&["list"]));
    assert!(listed.contains(name.trim()) && listed.contains("one"), "{listed}");
    let created: Value = serde_json::from_str(&bed.ok([&["--json"], &with(&["create"])[..]].concat())).unwrap();
    assert_eq!(created["new_blobs"], 0);
    assert!(bed.ok(with(&["verify"])).contains("sound"));
    bed.ok(with(&["restore", "one", "--to", "restored"]));
    let root = |vault: &str| bed.ok(["--vault", vault, "--json", "verify"]);
    let of = |text: String| serde_json::from_str::<Value>(&text).unwrap()["root"].clone();
    let vault = bed.vault();
    assert_eq!(of(root("restored")), of(root(vault.to_str().unwrap())));
    bed.ok(with(&["restore", "--to", "files", "--only", "memories"]));
    assert_eq!(std::fs::read_dir(bed.path("files/memories")).unwrap().count(), 1);
    bed.ok(with(&["delete", "one"]));
    let pruned: Value = serde_json::from_str(
        &bed.ok([&["--json"], &with(&["prune", "--keep-last", "1", "--grace", "0s"])[..]].concat()),
    )
    .unwrap();
    assert_eq!(pruned["kept"], 1);
    bed.ok(with(&["export", "sealed", "--new-passphrase-file", "other"]));
    bed.ok(["backup", "verify", "--repo", "sealed", "--passphrase-file", "other"]);
}

/// Each failure has its exit code and says what to do.
#[test]
fn failures_have_their_exit_codes() {
    let bed = bed();
    bed.ok(with(&["create"]));
    let fails = |arguments: &[&str], code: i32, says: &str| {
        let done = bed.run(arguments.iter().copied());
        assert_eq!(done.code, code, "{arguments:?}: {}", done.stderr);
        assert!(done.stderr.contains(says), "{arguments:?}: {}", done.stderr);
    };
    fails(&["backup", "list", "--repo", "repository", "--passphrase-file", "other"], 18, "wrong passphrase");
    fails(&["backup", "list", "--repo", "nowhere", "--passphrase-file", "other"], 18, "not a backup repository");
    fails(&["backup", "list", "--repo", "repository", "--plain"], 18, "needs a passphrase");
    fails(&["backup", "list", "--repo", "repository"], 2, "no terminal");
    fails(&["backup", "list"], 2, "--repo");
    fails(&["backup", "list", "--repo", "gopher://x"], 2, "gopher");
    fails(&with(&["restore", "nothing", "--to", "x"]), 15, "there is no backup nothing");
    std::fs::create_dir(bed.path("occupied")).unwrap();
    bed.file("occupied/file", "x");
    fails(&with(&["restore", "--to", "occupied"]), 16, "already holds");
    fails(&["backup", "init", "--repo", "repository", "--passphrase-file", "other"], 16, "already holds");
    let pack = std::fs::read_dir(bed.path("repository/packs")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&pack).unwrap();
    bytes[50] ^= 1;
    std::fs::write(&pack, bytes).unwrap();
    fails(&with(&["verify"]), 10, "damaged");
    fails(&with(&["restore", "--to", "x"]), 10, "damaged");
    assert!(!bed.path("x").exists());
}

/// A passphrase comes from a file, a command or the environment; key files open a repository, too.
#[test]
fn secrets_come_from_where_nobody_sees_them() {
    let bed = bed();
    bed.ok(["backup", "list", "--repo", "repository", "--passphrase-command", "cat passphrase"]);
    // As it is typed, or as a file of secrets holds it.
    for passphrase in ["right", "right\n"] {
        let mut command = bed.command(["backup", "list"]);
        command.env("MIRRORDNA_PASSPHRASE", passphrase).env("MIRRORDNA_REPOSITORY", "repository");
        assert!(command.output().unwrap().status.success());
    }
    bed.ok(with(&["key", "add", "--new-key-file", "key", "--label", "recovery"]));
    let key = ["backup", "key", "list", "--repo", "repository", "--key-file", "key"];
    assert!(bed.ok(key).contains("recovery"));
    bed.ok(with(&["key", "passwd", "--new-passphrase-file", "other"]));
    assert_eq!(bed.run(with(&["list"])).code, 18);
    bed.ok(["backup", "list", "--repo", "repository", "--passphrase-file", "other"]);
    bed.ok(["backup", "init", "--repo", "open", "--plain"]);
    assert_eq!(bed.run(["backup", "list", "--repo", "open"]).code, 2);
    bed.ok(["backup", "list", "--repo", "open", "--plain"]);
}

/// Progress for scripts stands on stderr, one JSON object a line.
#[test]
fn jsonl_tells_progress_as_events() {
    let bed = bed();
    let done = bed.run([&["--jsonl"], &with(&["create"])[..]].concat());
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(serde_json::from_str::<Value>(&done.stdout).unwrap()["event"], "created");
    let mut events = done.stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    assert!(events.any(|event| event["event"] == "progress" && event["phase"] == "storing"), "{}", done.stderr);
}
