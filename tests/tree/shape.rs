//! Directories: their entries, look-ups, attributes, and listing in parts.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use mirrordna::record::{FileType, Kind, object};
use mirrordna::storage::Storage;
use mirrordna::tree::{Cursor, Directory, Node, Tree};
use mirrordna::vault::{NewSnapshot, Tier};
use mirrordna::{Vault, VaultOptions};

use crate::failing::{self, Failing};
use crate::sample;
use crate::support::{bytes, entries, names, node, vault, walk};

#[test]
fn an_empty_vault_has_its_directories_and_no_checksums_of_nothing() {
    let (_dir, vault) = vault();
    let tree = Tree::new(vault);
    assert_eq!(
        names(&tree, &Node::ROOT),
        [
            "README.txt",
            "SHA256SUMS",
            "identities",
            "sessions",
            "memories",
            "agent_dna",
            "reflections",
            "citations",
            "entries",
            "agent_links",
            "glyphtrail",
            "timeline",
            "snapshots",
            "artifacts",
            ".vault"
        ]
    );
    assert_eq!(
        names(&tree, &Node::directory(Directory::Collection(Kind::Memory))),
        ["short_term", "long_term", "episodic"]
    );
    for empty in ["identities", "memories/long_term", "timeline", "snapshots"] {
        let node = node(&tree, empty).unwrap();
        assert!(names(&tree, &node).is_empty(), "{empty}");
        assert_eq!(tree.lookup(&node, OsStr::new("SHA256SUMS")).unwrap(), None);
    }
    assert_eq!(names(&tree, &node(&tree, ".vault").unwrap()), ["SHA256SUMS", "health.json", "log.jsonl", "root"]);
}

#[test]
fn what_is_listed_is_found_and_has_the_size_and_checksums_it_says() {
    let (_dir, vault) = vault();
    sample::fill(&vault);
    vault.snapshots().create(NewSnapshot::default()).unwrap();
    vault.snapshots().create(NewSnapshot { full: true, ..NewSnapshot::default() }).unwrap();
    let tree = Tree::new(vault);
    let (mut files, mut sums) = (0, 0);
    for (path, seen) in walk(&tree, &Node::ROOT, true) {
        assert_eq!(node(&tree, &path).as_ref(), Some(&seen.node), "{path}");
        let attributes = tree.attributes(&seen.node).unwrap();
        match seen.node.file_type() {
            FileType::Regular => {
                files += 1;
                let content = tree.open(&seen.node).unwrap();
                assert_eq!((attributes.size, content.sha256()), (content.len(), seen.sha256), "{path}");
                assert!(!content.is_empty(), "{path}");
            }
            FileType::Symlink => assert_eq!(attributes.size, tree.readlink(&seen.node).unwrap().len() as u64),
            FileType::Directory => {
                let mut expected = Vec::new();
                for entry in entries(&tree, &seen.node) {
                    if let Some(attributes) = entry.attributes {
                        assert_eq!(
                            attributes,
                            tree.attributes(&entry.node).unwrap(),
                            "{path}/{}",
                            entry.name.display()
                        );
                    }
                    if entry.node.file_type() == FileType::Regular && entry.name != "SHA256SUMS" {
                        let sha256 = tree.open(&entry.node).unwrap().sha256().unwrap();
                        expected.push(format!("{sha256}  {}", entry.name.display()));
                    }
                }
                let listed = tree.lookup(&seen.node, OsStr::new("SHA256SUMS")).unwrap();
                assert_eq!(listed.is_none(), expected.is_empty(), "{path}: a directory with files has SHA256SUMS");
                if let Some(listed) = listed {
                    sums += 1;
                    let text = String::from_utf8(bytes(&tree, &listed)).unwrap();
                    assert_eq!(text.lines().collect::<Vec<_>>(), expected, "{path}");
                }
            }
            other => panic!("{path}: {other:?}"),
        }
    }
    assert!(files > 100 && sums > 40, "{files} files, {sums} SHA256SUMS");
}

#[test]
fn a_listing_goes_on_from_any_entry() {
    let (_dir, vault) = vault();
    sample::fill(&vault);
    sample::import(&vault, Kind::Memory, &sample::memories(Tier::LongTerm, 50), false);
    for _ in 0..5 {
        vault.snapshots().create(NewSnapshot::default()).unwrap();
    }
    let last = vault.snapshots().create(NewSnapshot::default()).unwrap();
    // The past must go on from records that are no more.
    vault.delete(Kind::Memory, &sample::memories(Tier::LongTerm, 1).pop().unwrap().0).unwrap();
    let tree = Tree::new(vault);
    for path in [
        "",
        "memories",
        "memories/long_term",
        "timeline",
        "snapshots",
        ".vault",
        "sessions",
        &format!("snapshots/{}/memories/long_term", last.id),
        &format!("snapshots/{}/timeline", last.id),
    ] {
        let node = node(&tree, path).unwrap();
        let all = entries(&tree, &node);
        assert!(all.len() > 1, "{path}");
        for (n, entry) in all.iter().enumerate() {
            let rest: Vec<_> = tree.list(&node, entry.cursor).unwrap().map(Result::unwrap).collect();
            assert_eq!(rest, all.get(n + 1..).unwrap_or_default(), "{path} after {}", entry.name.display());
        }
    }
}

#[test]
fn names_that_are_not_there_are_not_found() {
    let (_dir, vault) = vault();
    sample::fill(&vault);
    let tree = Tree::new(vault);
    for path in [
        "nothing",
        "README",
        "memories/short_term/mem_x.json",
        "memories/short_term/.json",
        "memories/mem_x.json",
        "identities/mdna_agt_0123456789abcdef",
        "timeline/2019-03-01",
        "timeline/2019-3-1.jsonl",
        "timeline/2019-02-27.jsonl",
        "timeline/2019-02-30.jsonl",
        "snapshots/latest",
        "snapshots/snap_x",
        "snapshots/snap_x.json",
        ".vault/last-error",
        "README.txt/x",
    ] {
        assert_eq!(node(&tree, path), None, "{path}");
    }
    let tiers = node(&tree, "memories/short_term").unwrap();
    for entry in entries(&tree, &tiers).into_iter().filter(|entry| entry.name != "SHA256SUMS") {
        assert_eq!(node(&tree, &format!("memories/long_term/{}", entry.name.display())), None);
        assert_eq!(node(&tree, &format!("memories/{}", entry.name.display())), None);
    }
    assert_eq!(tree.lookup(&Node::ROOT, OsStr::from_bytes(b"\xff")).unwrap(), None);
    assert!(tree.list(&node(&tree, "README.txt").unwrap(), Cursor::START).is_err());
    assert!(tree.open(&Node::ROOT).is_err());
}

/// Leniently imported records may have ids and tiers that no other record has: they are shown all the same.
#[test]
fn memories_in_no_tier_lie_beside_the_tiers() {
    let (_dir, vault) = vault();
    let odd = |id: &str, tier: &str| (id.to_owned(), object([("memory_id", id.into()), ("tier", tier.into())]));
    let strays = [odd("a\\b c", "forever"), odd("ünï", ""), odd("none", "SHORT_TERM")];
    sample::import(&vault, Kind::Memory, &strays, true);
    sample::import(&vault, Kind::Memory, &[odd("in its tier", "episodic")], true);
    let pin = vault.snapshots().create(NewSnapshot::default()).unwrap();
    let tree = Tree::new(vault.clone());
    for top in [String::new(), format!("snapshots/{}/", pin.id)] {
        let memories = node(&tree, &format!("{top}memories")).unwrap();
        let expected = ["SHA256SUMS", "short_term", "long_term", "episodic", "a\\b c.json", "none.json", "ünï.json"];
        assert_eq!(names(&tree, &memories), expected);
        let sums = tree.lookup(&memories, OsStr::new("SHA256SUMS")).unwrap().unwrap();
        let sums = String::from_utf8(bytes(&tree, &sums)).unwrap();
        assert!(sums.starts_with('\\') && sums.contains("  a\\\\b c.json\n"), "{sums}");
        assert!(node(&tree, &format!("{top}memories/none.json")).is_some());
        assert!(node(&tree, &format!("{top}memories/in its tier.json")).is_none());
        assert!(node(&tree, &format!("{top}memories/episodic/in its tier.json")).is_some());
    }
    for (id, _) in strays {
        vault.delete(Kind::Memory, &id).unwrap();
    }
    let memories = node(&tree, "memories").unwrap();
    assert_eq!(names(&tree, &memories), ["short_term", "long_term", "episodic"]);
    assert_eq!(tree.lookup(&memories, OsStr::new("SHA256SUMS")).unwrap(), None);
}

/// Small and large tiers are listed in different ways, with the same result.
#[test]
fn tiers_of_any_size_are_listed_in_order_of_the_id() {
    let (_dir, vault) = vault();
    sample::import(&vault, Kind::Memory, &sample::memories(Tier::LongTerm, 5_000), false);
    sample::import(&vault, Kind::Memory, &sample::memories(Tier::Episodic, 3_000), false);
    let pin = vault.snapshots().create(NewSnapshot::default()).unwrap();
    let tree = Tree::new(vault);
    for (tier, count) in [(Tier::LongTerm, 5_000), (Tier::Episodic, 3_000)] {
        let mut expected: Vec<_> =
            sample::memories(tier, count).into_iter().map(|(id, _)| format!("{id}.json")).collect();
        expected.sort_unstable();
        expected.insert(0, "SHA256SUMS".into());
        for top in [String::new(), format!("snapshots/{}/", pin.id)] {
            let directory = node(&tree, &format!("{top}memories/{}", tier.name())).unwrap();
            assert_eq!(names(&tree, &directory), expected);
        }
    }
}

/// A listing that cannot be read to its end fails, wherever that is, and fails again for whoever goes on; nothing is left
/// out once it can be read.
#[test]
fn a_listing_that_fails_never_ends_as_if_it_were_whole() {
    let dir = tempfile::tempdir().unwrap();
    let storage = Failing::create(&dir.path().join("vault"));
    let vault = Vault::over(Arc::clone(&storage) as Arc<dyn Storage>, &VaultOptions::default());
    sample::import(&vault, Kind::Entry, &failing::bare(Kind::Entry, 2_500), true);
    sample::import(&vault, Kind::Memory, &sample::memories(Tier::LongTerm, 5_000), false);
    let tree = Tree::new(vault);
    for (path, count) in [("entries", 2_501), ("memories/long_term", 5_001)] {
        let node = node(&tree, path).unwrap();
        for pages in [0, 1, 2] {
            storage.fail_after_pages(pages);
            let mut listing = tree.list(&node, Cursor::START).unwrap();
            let good = listing.by_ref().take_while(Result::is_ok).count();
            assert_eq!(good, 1 + 1_024 * pages, "{path}: SHA256SUMS and the pages before");
            assert!(listing.next().is_some_and(|entry| entry.is_err()), "{path}: it is not at its end");
            storage.fail_after_pages(usize::MAX);
            assert_eq!(good + listing.map(Result::unwrap).count(), count, "{path}: it goes on where it failed");
        }
    }
}
