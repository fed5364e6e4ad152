//! What a change touches: [`Tree::affected`] names all of it, and little else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use mirrordna::record::{Kind, object};
use mirrordna::storage::{Changed, Subscriber};
use mirrordna::tree::{Affected, Node, Stability, Tree};
use mirrordna::vault::{MemoryUpdate, NewSnapshot, Tier, Vault};

use crate::sample;
use crate::support::{Seen, names, node, vault, walk};

#[derive(Default)]
struct Collect(Mutex<Vec<Affected>>);

impl Subscriber for Collect {
    fn changed(&self, changes: &[Changed]) {
        self.0.lock().unwrap().extend(changes.iter().flat_map(Tree::affected));
    }
}

trait Tracked {
    fn is_tracked(&self) -> bool;
}

impl Tracked for Node {
    fn is_tracked(&self) -> bool {
        self.stability() == Stability::Tracked
    }
}

fn names_of_directories(tree: &Tree, all: &BTreeMap<String, Seen>) -> BTreeMap<String, BTreeSet<String>> {
    let directories = all.iter().filter(|(_, seen)| seen.node.is_tracked() && seen.sha256.is_none());
    directories
        .filter(|(path, _)| !path.ends_with("latest"))
        .map(|(path, seen)| (path.clone(), names(tree, &seen.node).into_iter().collect()))
        .collect()
}

/// Makes a change and compares what differs in the tree with what is said to be affected.
fn check(tree: &Tree, collect: &Collect, what: &str, change: impl FnOnce(&Vault)) {
    let before = walk(tree, &Node::ROOT, false);
    let lists_before = names_of_directories(tree, &before);
    let link = |tree: &Tree| node(tree, "snapshots/latest").map(|link| tree.readlink(&link).unwrap());
    let link_before = link(tree);
    collect.0.lock().unwrap().clear();
    change(tree.vault());
    let after = walk(tree, &Node::ROOT, false);
    let mut affected: Vec<Affected> = Vec::new();
    for one in collect.0.lock().unwrap().drain(..) {
        if !affected.contains(&one) {
            affected.push(one);
        }
    }
    let names_node =
        |node: &Node| affected.iter().any(|one| matches!(one, Affected::Node { node: n, .. } if n == node));
    let names_entry = |parent: &Node, name: &str| {
        affected.iter().any(|one| matches!(one, Affected::Entry { parent: p, name: n } if p == parent && n == name))
    };
    let mut needed = 0;
    for path in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
        let (then, now) = (before.get(path), after.get(path));
        let (Some(any), true) = (then.or(now), then != now) else { continue };
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = node(tree, parent).unwrap();
        // Names are kept for as long as what they lead to, and that nothing is there as long as the directory.
        let keeps_name = any.node.stability() != Stability::Volatile && parent.is_tracked();
        if keeps_name && then.map(|seen| &seen.node) != now.map(|seen| &seen.node) {
            needed += 1;
            assert!(names_entry(&parent, name), "{what}: the entry {path}");
        }
        if any.node.is_tracked() {
            needed += 1;
            assert!(names_node(&any.node), "{what}: the node {path}");
        }
    }
    let lists_after = names_of_directories(tree, &after);
    for (path, list) in lists_after {
        if lists_before.get(&path) != Some(&list) {
            needed += 1;
            assert!(names_node(&node(tree, &path).unwrap()), "{what}: the listing of {path}");
        }
    }
    if link(tree) != link_before {
        needed += 1;
    }
    assert!(affected.len() <= needed + 3, "{what}: {needed} were needed: {affected:#?}");
}

#[test]
fn every_difference_is_named() {
    let (_dir, vault) = vault();
    sample::fill(&vault);
    let collect = Arc::new(Collect::default());
    let subscriber: Arc<dyn Subscriber> = collect.clone();
    vault.subscribe(&subscriber).unwrap();
    let tree = Tree::new(vault);
    let session = sample::session(tree.vault());
    let memory = sample::memory(tree.vault(), &session, Tier::ShortTerm, "one".into());
    let check = |what: &str, change: &dyn Fn(&Vault)| check(&tree, &collect, what, change);
    check("nothing", &|_| {});
    check("create a memory", &|vault| drop(sample::memory(vault, &session, Tier::ShortTerm, "two".into())));
    check("update a memory", &|vault| {
        let update = MemoryUpdate { content: Some("three".into()), metadata: None };
        vault.memories().update(&memory.id, &update).unwrap();
    });
    check("move a memory", &|vault| drop(vault.memories().promote(&memory.id, Tier::LongTerm).unwrap()));
    check("delete a memory", &|vault| {
        vault.delete(Kind::Memory, &memory.id).unwrap();
    });
    check("make it again", &|vault| drop(vault.put(Kind::Memory, memory.value.clone()).unwrap()));
    check("end a session", &|vault| drop(vault.sessions().end(&session, None).unwrap()));
    check("delete the only glyph", &|vault| {
        vault.delete(Kind::Glyph, "glyph_0123456789abcdef").unwrap();
    });
    check("the first snapshot", &|vault| {
        vault.snapshots().create(NewSnapshot { id: Some("snap_a".into()), ..NewSnapshot::default() }).unwrap();
    });
    check("another snapshot", &|vault| {
        vault.snapshots().create(NewSnapshot { id: Some("snap_b".into()), ..NewSnapshot::default() }).unwrap();
    });
    check("delete the newest snapshot", &|vault| vault.snapshots().delete("snap_b").unwrap());
    check("an event", &|vault| {
        vault.delete(Kind::Event, "evt_20190301000000_0001").unwrap();
    });
    check("a stray", &|vault| {
        let stray = ("stray".to_owned(), object([("memory_id", "stray".into())]));
        sample::import(vault, Kind::Memory, &[stray], true);
    });
    check("many at once", &|vault| sample::import(vault, Kind::Memory, &sample::memories(Tier::Episodic, 20), false));
    check("restore", &|vault| {
        vault.snapshots().restore("snap_a").unwrap();
    });
}
