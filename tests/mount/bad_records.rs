//! Bad records, written through the mount: what they are refused with, and that nothing changes.

use std::fs::{self, File};
use std::io::Write;

use mirrordna::record::{Kind, Value};
use mirrordna::vault::{NewSnapshot, Tier};

use crate::records::{close, path_of, write};
use crate::sample;
use crate::support::Mount;
use crate::texts::memory_text;

/// Random numbers that are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

/// A bad text for a memory of this id, and what is wrong with it.
fn bad_text(numbers: &mut Numbers, id: &str, n: usize) -> (Vec<u8>, &'static str) {
    let good = sample::value(&memory_text(id, "good"));
    let with = |field: &str, value: Option<Value>| {
        let mut bad = good.clone();
        let (parent, name) = field.split_once('.').map_or((None, field), |(parent, name)| (Some(parent), name));
        let mut map = bad.as_object_mut().unwrap();
        if let Some(parent) = parent {
            map = map.get_mut(parent).and_then(Value::as_object_mut).unwrap();
        }
        match value {
            Some(value) => drop(map.insert(name.to_owned(), value)),
            None => drop(map.remove(name)),
        }
        mirrordna::storage::record_file(&bad)
    };
    let wrong = || [Value::Null, 7_i64.into(), true.into(), "".into(), Value::Array(Vec::new())];
    let fields = ["memory_id", "source", "source.session_id", "source.timestamp", "source.agent_id", "source.user_id"];
    match n % 12 {
        0 | 1 => (with(fields[numbers.below(6)], None), "a field is missing"),
        2 | 3 => {
            (with(fields[numbers.below(6)], Some(wrong()[numbers.below(5)].clone())), "a field is of another type")
        }
        4 => (with("content", Some(wrong()[numbers.below(4)].clone())), "empty or no content"),
        5 => (with(&format!("unknown{}", numbers.below(99)), Some("x".into())), "an unknown field"),
        6 => (with("metadata", Some(sample::value(r#"{"relevance_score": 7}"#))), "a number out of range"),
        7 => (with("memory_id", Some(format!("mem_of_another_{:06}", numbers.below(999_999)).into())), "another id"),
        8 => {
            let mut text = memory_text(id, "good").into_bytes();
            // Inside of the text, where it is in no string.
            text.insert(1, b"]x,:\xff\x01"[numbers.below(6)]);
            (text, "no JSON")
        }
        9 => ((memory_text(id, "good") + ["x", "{}", "]", "1"][numbers.below(4)]).into_bytes(), "something behind it"),
        10 => {
            let text = ["[]", "7", "\"text\"", "null", "true", "NaN", "[[[1]]]"][numbers.below(7)];
            (text.as_bytes().to_vec(), "no object")
        }
        _ => (with("source.timestamp", Some("yesterday".into())), "no time"),
    }
}

/// Bad records, 1,500 of them: each is refused with the right number, by closing, syncing or renaming, nothing changes, and
/// the reason can be read.
#[test]
fn bad_records_are_refused() {
    let mount = Mount::new(|vault| {
        sample::fill(vault);
        let there = sample::value(&memory_text("mem_that_is_there_01", "there"));
        let mut there = there.as_object().unwrap().clone();
        there.insert("tier".into(), "long_term".into());
        vault.put(Kind::Memory, there.into()).unwrap();
    });
    mount.vault.snapshots().create(NewSnapshot { id: Some("snap_a".into()), ..NewSnapshot::default() }).unwrap();
    let state = mount.vault.state();
    let listing = mount.sh("ls -R memories");
    let there = mount.read(&path_of("mem_that_is_there_01", Tier::LongTerm));
    let mut numbers = Numbers(7);
    let mut reasons = std::collections::BTreeSet::new();
    for n in 0..1_500 {
        let id = if n % 3 == 0 { "mem_that_is_there_01" } else { "mem_that_is_not_there" };
        let (text, what) = bad_text(&mut numbers, id, n);
        let path = path_of(id, Tier::LongTerm);
        let what = format!("{n}: {what}: {}", String::from_utf8_lossy(&text));
        let refused = match n % 5 {
            0 | 1 => write(&mount, &path, &text),
            2 => {
                let mut file = File::create(mount.path(&path)).unwrap();
                file.write_all(&text).unwrap();
                let synced = file.sync_data();
                assert!(close(file).is_err(), "{what}");
                synced
            }
            _ => {
                let scratch = mount.path("memories/long_term/.scratch");
                fs::write(&scratch, &text).unwrap();
                let renamed = fs::rename(&scratch, mount.path(&path));
                fs::remove_file(&scratch).unwrap();
                renamed
            }
        };
        let error = refused.expect_err(&what);
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL), "{what}: {error}");
        let reason = mount.read(".vault/last-error");
        assert!(reason.contains(&format!(" {path}: ")), "{what}: {reason}");
        reasons.insert(reason.split_once(": ").unwrap().1.to_owned());
        if n % 3 == 0 {
            assert_eq!(mount.read(&path), there, "{what}");
        } else {
            assert!(!mount.path(&path).exists(), "{what}");
        }
        assert_eq!(mount.vault.state(), state, "{what}");
    }
    assert!(reasons.len() > 50, "the reasons are different ones: {reasons:#?}");
    let identity = format!("identities/{}.json", sample::AGENT);
    let session = mount.sh("ls sessions/*.json | head -1");
    let session = session.trim();
    let mut parent = sample::value(&mount.read(session));
    parent.as_object_mut().unwrap().insert("parent_session_id".into(), "sess_that_is_missing".into());
    let parent = String::from_utf8(mirrordna::storage::record_file(&parent)).unwrap();
    let cases = [
        (identity.as_str(), mount.read(&identity).replace("AAAA=", "AAAE="), libc::EPERM, "public key may not change"),
        (session, parent, libc::EINVAL, "sess_that_is_missing"),
        (
            "citations/mc_0123456789abcdef.json",
            mount.read("citations/mc_0123456789abcdef.json").replace("1.0.0", "1.0.1"),
            libc::EINVAL,
            "checksum",
        ),
        ("memories/short_term/mem_that_is_there_01.json", there.clone(), libc::EEXIST, "the id is taken"),
        ("memories/long_term/notes.json", there.clone(), libc::EINVAL, "cannot be the id of a memory"),
        ("memories/mem_that_is_there_01.json", there.clone(), libc::EPERM, "short_term, long_term or episodic"),
        (
            "snapshots/snap_a/memories/long_term/mem_that_is_there_01.json",
            there.clone(),
            libc::EROFS,
            "a snapshot does not",
        ),
        ("memories/long_term/SHA256SUMS", there.clone(), libc::EPERM, "the vault makes it"),
        ("timeline/2025-01-01.jsonl", there.clone(), libc::EPERM, "an event is appended"),
        ("new", there, libc::EPERM, "directories of their collections"),
    ];
    for (path, text, errno, reason) in cases {
        let error = write(&mount, path, text.as_bytes()).expect_err(path);
        assert_eq!(error.raw_os_error(), Some(errno), "{path}: {error}");
        let said = mount.read(".vault/last-error");
        assert!(said.contains(reason) && said.contains(path.rsplit('/').next().unwrap()), "{path}: {said}");
        assert_eq!(mount.vault.state(), state, "{path}");
    }
    assert_eq!(mount.sh("ls -R memories"), listing);
}
