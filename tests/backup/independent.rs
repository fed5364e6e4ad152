//! A reader that was made from the document alone, in another language, restores the same.

use std::fs;
use std::path::Path;
use std::process::Command;

use mirrordna::record::{Kind, Value, checksum, json};
use mirrordna::vault::Filter;

use crate::support::{Fixture, content, noise};

/// `docs/backup-format.md` is enough to read a repository: every record and every artifact comes out of it, and the root.
#[test]
fn the_document_is_enough_to_read_a_repository() {
    let python = |arguments: &[&str]| Command::new("python3").args(arguments).output().unwrap();
    if !python(&["-c", "import argon2, blake3, cryptography, zstandard"]).status.success() {
        let installed =
            python(&["-m", "pip", "install", "--quiet", "argon2-cffi", "blake3", "cryptography", "zstandard"]);
        assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
    }
    let fixture = Fixture::new();
    fixture.write("sparse.bin", 900_000, &noise(500_000, 3));
    fixture.write("notes.txt", 2, b"changed");
    fixture.create();
    fixture.write("noise.bin", 1 << 20, b"changed in the middle");
    let created = fixture.create();
    fs::write(fixture.path("passphrase"), "right\n").unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/backup/reader.py");
    let out = fixture.path("out");
    let ran = Command::new("python3")
        .arg(script)
        .args([fixture.path("repository"), fixture.path("passphrase"), out.clone()])
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let said = json::parse(&ran.stdout).unwrap();
    assert_eq!(said.str_at("root"), Some(created.root.to_string().as_str()));
    assert_eq!(said.get("sequence").and_then(Value::as_i64), Some(i64::try_from(created.sequence).unwrap()));
    for kind in Kind::ALL {
        let dir = out.join(kind.collection());
        let mut there = fs::read_dir(&dir).map_or(0, Iterator::count);
        for record in fixture.vault.list(kind, &Filter::default()).unwrap() {
            let record = record.unwrap();
            let file = fs::read(dir.join(format!("{}.json", record.id))).unwrap();
            assert_eq!(file, checksum::canonical(&record.value));
            there -= 1;
        }
        assert_eq!(there, 0, "{kind}");
    }
    let mut artifacts: Vec<Vec<u8>> =
        fs::read_dir(out.join("artifacts")).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    let names = ["notes.txt", "noise.bin", "sparse.bin"];
    let mut expected: Vec<Vec<u8>> = names.into_iter().map(|name| content(&fixture.vault, name)).collect();
    artifacts.sort();
    expected.sort();
    assert!(artifacts == expected);
}
