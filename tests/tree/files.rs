//! What files hold, and what it costs to know of them.

use std::ffi::OsStr;

use mirrordna::health::{self, Health};
use mirrordna::record::{Kind, Timestamp, json, object};
use mirrordna::storage::Intent;
use mirrordna::tree::{Attributes, Node, Tree};
use mirrordna::vault::{EventQuery, MemoryUpdate, NewSnapshot, Tier};

use crate::sample;
use crate::support::{bytes, entries, names, node, read, vault};

#[test]
fn a_record_is_pretty_json_with_real_characters_and_a_final_newline() {
    let (_dir, vault) = vault();
    let session = sample::session(&vault);
    let memory = sample::memory(&vault, &session, Tier::LongTerm, "東京 🦀".into());
    let tree = Tree::new(vault);
    let text = String::from_utf8(read(&tree, &format!("memories/long_term/{}.json", memory.id))).unwrap();
    assert!(text.starts_with("{\n  \"content\": \"東京 🦀\",\n") && text.ends_with("\n}\n"), "{text}");
    assert_eq!(json::parse(text.as_bytes()).unwrap(), memory.value);
}

#[test]
fn attributes_and_checksums_of_records_read_no_version() {
    let (_dir, vault) = vault();
    sample::import(&vault, Kind::Memory, &sample::memories(Tier::LongTerm, 6_000), false);
    sample::import(&vault, Kind::Memory, &sample::memories(Tier::Episodic, 10), false);
    let pin = vault.snapshots().create(NewSnapshot::default()).unwrap();
    let tree = Tree::new(vault.clone());
    let past = node(&tree, &format!("snapshots/{}/memories/long_term", pin.id)).unwrap();
    let before = vault.storage().stats().versions_read;
    for directory in [node(&tree, "memories/long_term").unwrap(), node(&tree, "memories/episodic").unwrap(), past] {
        for entry in entries(&tree, &directory) {
            tree.attributes(&entry.node).unwrap();
        }
        let sums = tree.lookup(&directory, OsStr::new("SHA256SUMS")).unwrap().unwrap();
        assert!(tree.open(&sums).unwrap().len() > 500);
    }
    assert_eq!(vault.storage().stats().versions_read, before);
}

#[test]
fn extended_attributes_tell_checksums_and_sequence() {
    let (_dir, vault) = vault();
    sample::fill(&vault);
    let pin = vault.snapshots().create(NewSnapshot::default()).unwrap();
    let tree = Tree::new(vault.clone());
    let xattr = |node: &Node, name: &str| {
        let value = tree.xattr(node, OsStr::new(name)).unwrap();
        value.map(|value| String::from_utf8(value).unwrap())
    };
    let sha256 = |node: &Node| tree.open(node).unwrap().sha256().map(|sha256| sha256.to_string());
    let path = format!("identities/{}.json", sample::AGENT);
    let record = vault.get(Kind::Identity, sample::AGENT).unwrap();
    for top in [String::new(), format!("snapshots/{}/", pin.id)] {
        let node = node(&tree, &format!("{top}{path}")).unwrap();
        assert_eq!(xattr(&node, "user.sha256"), sha256(&node));
        assert_eq!(xattr(&node, "user.mirrordna.checksum"), Some(record.checksum.to_string()));
        assert_eq!(xattr(&node, "user.mirrordna.sequence"), Some(record.sequence.to_string()));
        assert_eq!(xattr(&node, "user.other"), None);
    }
    let file = node(&tree, &format!("snapshots/{}.yaml", pin.id)).unwrap();
    assert_eq!(tree.xattr_names(&file).unwrap(), ["user.sha256"]);
    assert_eq!(xattr(&file, "user.sha256"), sha256(&file));
    assert_eq!(xattr(&file, "user.mirrordna.checksum"), None);
    assert_eq!(xattr(&Node::ROOT, "user.sha256"), None);
}

#[test]
fn the_timeline_has_a_file_for_each_day_with_events() {
    let (_dir, vault) = vault();
    sample::fill(&vault);
    let pin = vault.snapshots().create(NewSnapshot::default()).unwrap();
    let tree = Tree::new(vault.clone());
    let days = names(&tree, &node(&tree, "timeline").unwrap());
    assert_eq!(days.get(..3).unwrap(), ["SHA256SUMS", "2019-02-28.jsonl", "2019-03-01.jsonl"]);
    assert!(days.len() > 4, "what the log tells of lies on days of its own: {days:?}");
    let all: Vec<_> = vault.timeline().query(&EventQuery::default()).unwrap().map(Result::unwrap).collect();
    let mut shown = Vec::new();
    for name in days.iter().skip(1) {
        let text = String::from_utf8(read(&tree, &format!("timeline/{name}"))).unwrap();
        for line in text.lines() {
            let event = json::parse(line.as_bytes()).unwrap();
            let time = Timestamp::parse(event.str_at("timestamp").unwrap()).unwrap();
            assert_eq!(format!("{}.jsonl", time.day()), *name);
            shown.push(event);
        }
    }
    assert_eq!(shown, all);
    // The snapshot was pinned before its own event.
    let past = node(&tree, &format!("snapshots/{}/timeline", pin.id)).unwrap();
    let lines = |parent: &Node| {
        let days = entries(&tree, parent).into_iter().filter(|entry| entry.name != "SHA256SUMS");
        days.map(|day| crate::support::bytes(&tree, &day.node)).collect::<Vec<_>>().concat()
    };
    let (then, now) = (lines(&past), lines(&node(&tree, "timeline").unwrap()));
    assert!(now.starts_with(&then) && now.len() > then.len());
}

#[test]
fn generated_files_follow_the_vault_and_stay_as_they_were_opened() {
    let (_dir, vault) = vault();
    sample::fill(&vault);
    let tree = Tree::new(vault.clone());
    let sums = node(&tree, "memories/long_term/SHA256SUMS").unwrap();
    let (opened, log) = (tree.open(&sums).unwrap(), tree.open(&node(&tree, ".vault/log.jsonl").unwrap()).unwrap());
    let before =
        (opened.read_at(0, usize::MAX).unwrap().into_owned(), log.read_at(0, usize::MAX).unwrap().into_owned());
    let session = sample::session(&vault);
    let new = sample::memory(&vault, &session, Tier::LongTerm, "new".into());
    assert_eq!(
        (opened.read_at(0, usize::MAX).unwrap(), log.read_at(0, usize::MAX).unwrap()),
        (before.0.into(), before.1.clone().into())
    );
    let now = String::from_utf8(read(&tree, "memories/long_term/SHA256SUMS")).unwrap();
    assert!(now.contains(&new.id));
    assert_eq!(tree.attributes(&sums).unwrap().size, now.len() as u64);
    let now = read(&tree, ".vault/log.jsonl");
    assert!(now.starts_with(&before.1));
    assert_eq!(now.split_inclusive(|byte| *byte == b'\n').count() as u64, vault.state().sequence);
    assert_eq!(String::from_utf8(read(&tree, ".vault/root")).unwrap(), format!("{}\n", vault.state().root));
    tree.note_error("the disk is on fire".into());
    assert!(String::from_utf8(read(&tree, ".vault/last-error")).unwrap().ends_with("the disk is on fire\n"));
}

#[test]
fn the_health_of_the_vault_is_what_the_command_tells_of_it() {
    let (_dir, vault) = vault();
    sample::fill(&vault);
    let tree = Tree::new(vault.clone());
    let shown = || json::parse(&read(&tree, ".vault/health.json")).unwrap();
    let told = || {
        let mut health = Health::default();
        health::check_vault(&vault, &mut health);
        health.to_value()
    };
    let health = shown();
    assert_eq!((health.str_at("status"), health.get("checks")), (Some("ok"), told().get("checks")));
    assert_eq!(health.str_at("root"), Some(vault.state().root.to_string().as_str()));
    // Looking again reads nothing; a change is seen, and so is work that has begun and ended without one.
    let before = vault.storage().stats().versions_read;
    assert_eq!(shown(), health);
    assert_eq!(vault.storage().stats().versions_read, before);
    sample::session(&vault);
    assert_ne!(shown(), health);
    assert_eq!(shown().get("checks"), told().get("checks"));
    vault.storage().set_intent(Some(&Intent::Import { since: vault.state().sequence })).unwrap();
    assert_eq!(shown().str_at("status"), Some("warning"));
    vault.storage().set_intent(None).unwrap();
    assert_eq!(shown().str_at("status"), Some("ok"));
    tree.note_error("the disk is on fire".into());
    assert_eq!(shown().str_at("status"), Some("warning"));
    assert!(String::from_utf8(read(&tree, ".vault/health.json")).unwrap().contains("the disk is on fire"));
}

#[test]
fn large_records_are_read_in_pieces_and_follow_changes() {
    let (_dir, vault) = vault();
    let session = sample::session(&vault);
    let large = |text: &str| text.repeat(200_000).into();
    let memory = sample::memory(&vault, &session, Tier::LongTerm, large("ä"));
    let tree = Tree::new(vault.clone());
    let path = format!("memories/long_term/{}.json", memory.id);
    let first = read(&tree, &path);
    let content = tree.open(&node(&tree, &path).unwrap()).unwrap();
    let pieces: Vec<u8> = (0..=first.len() as u64 / 7_777)
        .flat_map(|n| content.read_at(n * 7_777, 7_777).unwrap().into_owned())
        .collect();
    assert!(pieces == first);
    vault.memories().update(&memory.id, &MemoryUpdate { content: Some(large("ö")), metadata: None }).unwrap();
    let second = read(&tree, &path);
    assert!(second != first && second.len() == first.len());
}

#[test]
fn snapshot_files_are_the_same_each_time_and_gone_with_the_snapshot() {
    let (_dir, vault) = vault();
    sample::fill(&vault);
    let pin = vault
        .snapshots()
        .create(NewSnapshot { id: Some("snap_one".into()), full: true, metadata: Some(object([("ü", "y".into())])) })
        .unwrap();
    let files = |tree: &Tree| ["json", "yaml"].map(|form| read(tree, &format!("snapshots/snap_one.{form}")));
    let tree = Tree::new(vault.clone());
    let first = files(&tree);
    let session = sample::session(&vault);
    sample::memory(&vault, &session, Tier::LongTerm, "later".into());
    assert_eq!(files(&Tree::new(vault.clone())), first);
    let mut direct = Vec::new();
    let json = mirrordna::record::document::Format::Json;
    vault.snapshots().file(&pin.id).unwrap().render(&mut direct, json).unwrap();
    assert_eq!(first.first(), Some(&direct));
    let old = node(&tree, "snapshots/snap_one.json").unwrap();
    vault.snapshots().delete("snap_one").unwrap();
    assert_eq!(node(&tree, "snapshots/snap_one.json"), None);
    vault.snapshots().create(NewSnapshot { id: Some("snap_one".into()), ..NewSnapshot::default() }).unwrap();
    let new = node(&tree, "snapshots/snap_one.json").unwrap();
    assert_ne!(old, new, "another snapshot of the same name is another file");
    assert_ne!(old.to_string(), new.to_string());
}

/// Whoever has a record open when it is deleted can go on reading it; for all others it is gone.
#[test]
fn a_record_that_is_deleted_stays_readable_for_whoever_has_it_open() {
    let (_dir, vault) = vault();
    sample::fill(&vault);
    let tree = Tree::new(vault);
    let record = Node::record(Kind::Identity, sample::USER);
    let (content, attributes) = (bytes(&tree, &record), tree.attributes(&record).unwrap());
    let held = || tree.open_held(&record).unwrap().read_at(0, usize::MAX).unwrap().into_owned();
    assert_eq!((held(), tree.attributes_held(&record).unwrap()), (content.clone(), attributes));
    tree.vault().delete(Kind::Identity, sample::USER).unwrap();
    assert_eq!(held(), content);
    assert_eq!(tree.attributes_held(&record).unwrap(), Attributes { nlink: 0, ..attributes });
    assert!(tree.open(&record).is_err() && tree.attributes(&record).is_err());
    let never = Node::record(Kind::Identity, "mdna_usr_ffffffffffffffff");
    assert!(tree.open_held(&never).is_err() && tree.attributes_held(&never).is_err());
}
