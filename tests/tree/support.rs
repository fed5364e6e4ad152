//! A vault to look at, and the whole of its tree.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::sync::Arc;

use mirrordna::record::time::SteppingClock;
use mirrordna::record::{Checksum, FileType, Timestamp};
use mirrordna::storage::Durability;
use mirrordna::tree::{Cursor, Directory, Entry, Item, Node, Tree};
use mirrordna::{Vault, VaultOptions};
use tempfile::TempDir;

/// A vault in a temporary directory whose clock moves on three hours each time it is read.
pub(crate) fn vault() -> (TempDir, Vault) {
    let dir = tempfile::tempdir().unwrap();
    let start = Timestamp::parse("2025-03-01T08:00:00Z").unwrap();
    let clock = Arc::new(SteppingClock::new(start, 3 * 3_600 * 1_000_000));
    let options = VaultOptions { clock, durability: Durability::Buffered, ..VaultOptions::default() };
    let vault = Vault::create(&dir.path().join("vault"), &options).unwrap();
    (dir, vault)
}

/// All entries of a directory.
pub(crate) fn entries(tree: &Tree, node: &Node) -> Vec<Entry> {
    tree.list(node, Cursor::START).unwrap().collect::<Result<_, _>>().unwrap()
}

/// The names in a directory.
pub(crate) fn names(tree: &Tree, node: &Node) -> Vec<String> {
    entries(tree, node).into_iter().map(|entry| entry.name.into_string().unwrap()).collect()
}

/// The node at a path.
pub(crate) fn node(tree: &Tree, path: &str) -> Option<Node> {
    path.split('/')
        .filter(|name| !name.is_empty())
        .try_fold(Node::ROOT, |parent, name| tree.lookup(&parent, OsStr::new(name)).unwrap())
}

/// The bytes of the file at a path.
pub(crate) fn read(tree: &Tree, path: &str) -> Vec<u8> {
    let node = node(tree, path).unwrap_or_else(|| panic!("there is no {path}"));
    bytes(tree, &node)
}

pub(crate) fn bytes(tree: &Tree, node: &Node) -> Vec<u8> {
    tree.open(node).unwrap().read_at(0, usize::MAX).unwrap().into_owned()
}

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) node: Node,
    pub(crate) size: u64,
    pub(crate) sha256: Option<Checksum>,
}

/// Everything below a directory, by path; snapshots' directories only when `deep`.
pub(crate) fn walk(tree: &Tree, from: &Node, deep: bool) -> BTreeMap<String, Seen> {
    let mut seen = BTreeMap::new();
    let mut open = vec![(String::new(), from.clone())];
    while let Some((path, node)) = open.pop() {
        let attributes = tree.attributes(&node).unwrap();
        let sha256 = (attributes.file_type == FileType::Regular).then(|| Checksum::of(&bytes(tree, &node)));
        if attributes.file_type == FileType::Directory {
            let is_past = matches!(node.item, Item::Directory(Directory::Root)) && !path.is_empty();
            if deep || !is_past {
                for entry in entries(tree, &node) {
                    open.push((
                        format!("{path}{}{}", if path.is_empty() { "" } else { "/" }, entry.name.display()),
                        entry.node,
                    ));
                }
            }
        }
        seen.insert(path, Seen { node, size: attributes.size, sha256 });
    }
    seen
}
