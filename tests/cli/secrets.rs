//! Secrets: private keys are handed out once, never lost, and never where they do not belong; nor are texts of memories.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use crate::support::Bed;

fn identity(bed: &Bed, key: &str) -> String {
    bed.ok(["identity", "create", "--type", "agent", "--name", "Ada", "--key-out", key])
}

#[test]
fn an_identity_is_not_made_unless_its_key_goes_somewhere() {
    let bed = Bed::new();
    bed.fails(["identity", "create", "--type", "agent"], 2, &["--key-out <FILE>|--show-private-key"]);
    bed.file("taken", "precious");
    bed.fails(["identity", "create", "--type", "agent", "--key-out", "taken"], 16, &["never overwritten"]);
    bed.fails(["identity", "create", "--type", "agent", "--key-out", "no/such/dir"], 15, &["no/such/dir"]);
    assert_eq!(std::fs::read_to_string(bed.path("taken")).unwrap(), "precious");
    assert_eq!(bed.json(["identity", "list"]), serde_json::json!([]));
    bed.fails(
        ["identity", "create", "--type", "agent", "--metadata", "{\"version\":1}", "--key-out", "new"],
        14,
        &["/metadata/version"],
    );
    assert!(!bed.path("new").exists(), "the file of a key that nobody has stays");
}

#[test]
fn a_key_file_is_private_and_signs() {
    let bed = Bed::new();
    let id = identity(&bed, "key");
    let path = bed.path("key");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let signature = bed.ok(["identity", "sign", &id, "I was here", "--key", "key"]);
    bed.ok(["identity", "verify", &id, "I was here", &signature]);
    bed.fails(["identity", "verify", &id, "I was there", &signature], 12, &["not a signature of", &id]);
    bed.fails(["identity", "verify", &id, "I was here", "nonsense"], 12, &["not a signature of"]);
    let verified = bed.run(["--json", "identity", "verify", &id, "I was there", &signature]);
    assert!(verified.code == 12 && verified.stdout.contains("\"verified\": false"));
    let other = identity(&bed, "other");
    bed.fails(["identity", "sign", &other, "I was here", "--key", "key"], 16, &["does not belong to it"]);
    bed.fails(["identity", "sign", "mdna_agt_000000000000", "x", "--key", "key"], 15, &["there is no identity"]);
    bed.fails(["identity", "sign", &id, "x"], 2, &["--key FILE", "MIRRORDNA_PRIVATE_KEY"]);
    let key = std::fs::read_to_string(&path).unwrap();
    let output =
        bed.command(["identity", "sign", &id, "I was here"]).env("MIRRORDNA_PRIVATE_KEY", key).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim_end(), signature);
}

#[test]
fn a_key_file_that_others_may_read_is_refused() {
    let bed = Bed::new();
    let id = identity(&bed, "key");
    for mode in [0o644, 0o640, 0o604, 0o620] {
        std::fs::set_permissions(bed.path("key"), PermissionsExt::from_mode(mode)).unwrap();
        bed.fails(["identity", "sign", &id, "x", "--key", "key"], 12, &[&format!("mode {mode:o}"), "chmod 600 key"]);
    }
    bed.file("junk", [0xff, 0xfe]);
    std::fs::set_permissions(bed.path("junk"), PermissionsExt::from_mode(0o600)).unwrap();
    bed.fails(["identity", "sign", &id, "x", "--key", "junk"], 12, &["junk holds no key"]);
}

#[test]
fn a_key_that_is_shown_is_shown_even_when_quiet() {
    let bed = Bed::new();
    let shown = bed.ok(["-q", "identity", "create", "--type", "user", "--show-private-key"]);
    let (id, key) = shown.split_once('\n').unwrap();
    assert!(id.starts_with("mdna_usr_") && key.len() == 44);
    let record = bed.json(["identity", "create", "--type", "system", "--show-private-key"]);
    assert_eq!(record["_private_key"].as_str().unwrap().len(), 44);
    assert_eq!(bed.json(["identity", "get", record["identity_id"].as_str().unwrap()]).get("_private_key"), None);
}

#[test]
fn an_identity_whose_key_cannot_be_shown_is_taken_back() {
    let bed = Bed::new();
    let mut command = bed.command(["identity", "create", "--type", "user", "--show-private-key"]);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = command.stdout(full).stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(12) && said.contains("was deleted again"), "{said}");
    assert_eq!(bed.json(["identity", "list"]), serde_json::json!([]));
}

#[test]
fn keys_are_in_no_log_and_not_in_the_vault() {
    let bed = Bed::new();
    let id = bed.ok(["-vvv", "--log-file", "log", "identity", "create", "--type", "agent", "--key-out", "key"]);
    bed.ok(["-vvv", "--log-file", "log", "identity", "sign", &id, "claim", "--key", "key"]);
    let key = std::fs::read_to_string(bed.path("key")).unwrap();
    let mut command = bed.command(["-vvv", "--log-file", "log", "identity", "sign", &id, "claim"]);
    assert!(command.env("MIRRORDNA_PRIVATE_KEY", &key).output().unwrap().status.success());
    let log = std::fs::read_to_string(bed.path("log")).unwrap();
    assert!(log.contains(&id) && !log.contains(key.trim()));
    let mut folders = vec![bed.vault()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                let bytes = std::fs::read(entry.path()).unwrap();
                assert!(!bytes.windows(44).any(|window| window == key.trim().as_bytes()), "{:?}", entry.path());
            }
        }
    }
}

#[test]
fn the_lock_names_the_command_and_not_what_it_was_given() {
    let bed = Bed::new();
    let session = bed.session();
    let lock = || std::fs::read_to_string(bed.vault().join("LOCK")).unwrap();
    for text in ["secret", "My secret", "-secret"] {
        bed.ok(["--actor", "Ada", "memory", "add", "--tier", "episodic", "--session", &session, "--", text]);
        assert!(lock().contains("(mirrordna memory add), since 20") && !lock().contains("secret"), "{}", lock());
    }
    // Whoever is kept out is told the same.
    let held = mirrordna::Vault::open(&bed.vault(), &mirrordna::VaultOptions::default()).unwrap();
    let lines = lock();
    let program = std::env::args().next().unwrap();
    let program = std::path::Path::new(&program).file_name().unwrap().to_str().unwrap().to_owned();
    bed.fails(["--lock-timeout", "0", "verify", "--repair"], 13, &["is held by process", &program]);
    assert!(lines.contains(&program) && lock() == lines);
    drop(held);
}
