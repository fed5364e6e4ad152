//! What of the tree a change touches, so that whoever caches it can drop exactly that.

use crate::record::Kind;
use crate::storage::{Changed, Operation};

use super::members::tier_of_terms;
use super::node::{Directory, Item, Node};

/// Something in the tree that is not any more as it was.
///
/// Only nodes that are [`super::Stability::Tracked`] are named: the past does not change, and what is
/// [`super::Stability::Volatile`] is not to be kept at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Affected {
    /// A name appeared in a directory, disappeared, or stands for another node.
    Entry {
        /// The directory.
        parent: Node,
        /// The name.
        name: String,
    },
    /// Content or attributes of a node changed, or which entries a directory has.
    Node {
        /// A directory where it is looked up; who looked it up before the change may know it as it was.
        parent: Node,
        /// The node.
        node: Node,
    },
}

/// What a change touches.
pub(super) fn affected(changed: &Changed) -> Vec<Affected> {
    let Some(kind) = changed.entry.kind else { return Vec::new() };
    let id = changed.entry.id.as_str();
    match kind {
        Kind::Event | Kind::Artifact => Vec::new(),
        Kind::Snapshot => of_snapshot(id, changed.entry.operation),
        _ => of_record(kind, id, changed),
    }
}

fn of_record(kind: Kind, id: &str, changed: &Changed) -> Vec<Affected> {
    let place = |terms: &[_]| (!terms.is_empty()).then(|| Node::directory(Directory::of(kind, tier_of_terms(terms))));
    let (before, after) = (place(&changed.before), place(&changed.after));
    let node = Node::record(kind, id);
    let mut affected = Vec::with_capacity(5);
    if before != after {
        for parent in [&before, &after].into_iter().flatten() {
            affected.push(entry(parent, format!("{id}.json")));
            affected.push(listing(parent));
        }
    }
    if let Some(parent) = after.or(before) {
        affected.push(Affected::Node { parent, node });
    }
    affected
}

fn of_snapshot(id: &str, operation: Operation) -> Vec<Affected> {
    if operation == Operation::Update {
        return Vec::new();
    }
    let parent = Node::directory(Directory::Collection(Kind::Snapshot));
    let latest = Node { at: super::At::Present, item: Item::Latest };
    let names = [id.to_owned(), format!("{id}.json"), format!("{id}.yaml"), "latest".to_owned()];
    let mut affected: Vec<_> = names.into_iter().map(|name| entry(&parent, name)).collect();
    affected.push(Affected::Node { parent: parent.clone(), node: latest });
    affected.push(listing(&parent));
    affected
}

fn entry(parent: &Node, name: String) -> Affected {
    Affected::Entry { parent: parent.clone(), name }
}

pub(super) fn listing(directory: &Node) -> Affected {
    let parent = match directory.item {
        Item::Directory(Directory::Tier(_)) => Node::directory(Directory::Collection(Kind::Memory)),
        _ => Node::ROOT,
    };
    Affected::Node { parent, node: directory.clone() }
}
