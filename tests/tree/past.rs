//! Snapshots as directories.

use std::collections::BTreeMap;

use mirrordna::record::Kind;
use mirrordna::storage::PrunePolicy;
use mirrordna::tree::{Node, Tree};
use mirrordna::vault::{MemoryUpdate, NewSnapshot, Tier};

use crate::sample;
use crate::support::{bytes, node, vault, walk};

/// The paths and bytes of all files below a directory, without what a snapshot does not show.
fn files(tree: &Tree, from: &Node) -> BTreeMap<String, Vec<u8>> {
    let shown = |path: &str| !["snapshots", ".vault", "artifacts"].iter().any(|hidden| path.starts_with(hidden));
    let all = walk(tree, from, false).into_iter().filter(|(path, _)| shown(path));
    all.map(|(path, seen)| (path, if seen.sha256.is_some() { bytes(tree, &seen.node) } else { Vec::new() })).collect()
}

#[test]
fn a_snapshot_shows_the_tree_as_it_was_whatever_happens_after() {
    let (_dir, vault) = vault();
    sample::fill(&vault);
    sample::import(&vault, Kind::Memory, &sample::memories(Tier::LongTerm, 4_500), false);
    let tree = Tree::new(vault.clone());
    let then = files(&tree, &Node::ROOT);
    let pin = vault.snapshots().create(NewSnapshot::default()).unwrap();
    let root = node(&tree, &format!("snapshots/{}", pin.id)).unwrap();
    assert!(files(&tree, &root) == then);

    let ids: Vec<String> = vault.present().iter(Kind::Memory).map(|item| item.unwrap().0).collect();
    for (n, id) in ids.iter().enumerate().step_by(3) {
        match n % 4 {
            0 => drop(vault.delete(Kind::Memory, id).unwrap()),
            1 => drop(vault.memories().promote(id, Tier::Episodic).unwrap()),
            2 => {
                let update = MemoryUpdate { content: Some("changed".into()), metadata: None };
                drop(vault.memories().update(id, &update).unwrap());
            }
            _ => {
                let record = vault.get(Kind::Memory, id).unwrap().value;
                vault.delete(Kind::Memory, id).unwrap();
                vault.put(Kind::Memory, record).unwrap();
            }
        }
    }
    sample::import(&vault, Kind::Memory, &sample::memories(Tier::ShortTerm, 100), false);
    let event = sample::value(&format!(
        r#"{{"id":"evt_20190301000009_0001","timestamp":"2019-03-01T00:00:01Z","event_type":"custom","actor":"{}"}}"#,
        sample::USER
    ));
    vault.put(Kind::Event, event).unwrap();
    vault.prune(PrunePolicy { keep: Some(1), ..PrunePolicy::default() }).unwrap();

    for tree in [&tree, &Tree::new(vault.clone())] {
        let root = node(tree, &format!("snapshots/{}", pin.id)).unwrap();
        let now = files(tree, &root);
        assert_eq!(now.keys().collect::<Vec<_>>(), then.keys().collect::<Vec<_>>());
        for (path, bytes) in &then {
            assert!(now.get(path) == Some(bytes), "{path}");
        }
    }
    // Who looks into a snapshot when it is deleted can go on looking.
    vault.snapshots().delete(&pin.id).unwrap();
    vault.prune(PrunePolicy { keep: Some(1), ..PrunePolicy::default() }).unwrap();
    assert!(files(&tree, &root) == then);
    // And when nobody looks any more, nothing keeps it from being pruned.
    drop(root);
    let pruned = vault.prune(PrunePolicy { keep: Some(1), ..PrunePolicy::default() }).unwrap();
    assert!(pruned.versions > 1_000, "{pruned:?}");
}
