//! Inode numbers: which node the kernel means, for as long as it knows the number.
//!
//! A number is made from the node's name in the tree, so a node has the same one in every mount, and the present and each
//! snapshot have different ones. Tools that compare numbers between runs, as backups do, find files unchanged.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};

use fuser::INodeNo;
use mirrordna::record::Checksum;
use mirrordna::tree::{Content, Directory, Node};

use crate::artifacts::{is_artifact, root_number};

/// What stands behind a number.
struct Inode {
    node: Node,
    /// The directory in which it was looked up last.
    parent: u64,
    /// How many times the kernel was told of it and has not forgotten.
    lookups: u64,
    /// What was opened last, while that is open: its size is the one to tell, lest a program that opens a file, asks for its
    /// size and reads it sees two files.
    opened: Weak<Content>,
}

/// The nodes that the kernel knows.
pub(crate) struct Inodes(RwLock<HashMap<u64, Inode>>);

impl Inodes {
    /// A table that knows the root.
    pub(crate) fn new() -> Self {
        let root = Inode { node: Node::ROOT, parent: INodeNo::ROOT.0, lookups: 1, opened: Weak::new() };
        Self(RwLock::new(HashMap::from([(INodeNo::ROOT.0, root)])))
    }

    /// The node behind a number.
    pub(crate) fn node(&self, number: INodeNo) -> Option<Node> {
        self.read().get(&number.0).map(|inode| inode.node.clone())
    }

    /// The number of the directory in which a node was looked up.
    pub(crate) fn parent(&self, number: INodeNo) -> INodeNo {
        INodeNo(self.read().get(&number.0).map_or(INodeNo::ROOT.0, |inode| inode.parent))
    }

    /// The number of a node that the kernel is about to be told of. From now on changes of the node are told to the kernel,
    /// so what it is told about it must be read after this.
    pub(crate) fn look_up(&self, parent: INodeNo, node: &Node) -> INodeNo {
        let mut inodes = self.write();
        let mut number = number_of(node);
        loop {
            match inodes.entry(number) {
                Entry::Vacant(vacant) => {
                    let inode = Inode { node: node.clone(), parent: parent.0, lookups: 1, opened: Weak::new() };
                    vacant.insert(inode);
                    return INodeNo(number);
                }
                Entry::Occupied(mut occupied) if occupied.get().node == *node => {
                    let inode = occupied.get_mut();
                    inode.parent = parent.0;
                    inode.lookups += 1;
                    return INodeNo(number);
                }
                // Two names with one number: the second one takes the next that is free.
                Entry::Occupied(_) => number = next(number),
            }
        }
    }

    /// The number under which the kernel knows a node, if it does.
    pub(crate) fn known(&self, node: &Node) -> Option<INodeNo> {
        if *node == Node::ROOT {
            return Some(INodeNo::ROOT);
        }
        let inodes = self.read();
        let mut number = number_of(node);
        while let Some(inode) = inodes.get(&number) {
            if inode.node == *node {
                return Some(INodeNo(number));
            }
            number = next(number);
        }
        None
    }

    /// The number that a node has, or would have, for listings that do not make it known.
    pub(crate) fn number(&self, node: &Node) -> INodeNo {
        self.known(node).unwrap_or(INodeNo(number_of(node)))
    }

    /// The kernel forgot a number this many times.
    pub(crate) fn forget(&self, number: INodeNo, lookups: u64) {
        if number == INodeNo::ROOT {
            return;
        }
        if let Entry::Occupied(mut occupied) = self.write().entry(number.0) {
            let inode = occupied.get_mut();
            inode.lookups = inode.lookups.saturating_sub(lookups);
            if inode.lookups == 0 {
                occupied.remove();
            }
        }
    }

    /// Notes what was opened.
    pub(crate) fn note_opened(&self, number: INodeNo, content: &Arc<Content>) {
        if let Some(inode) = self.write().get_mut(&number.0) {
            inode.opened = Arc::downgrade(content);
        }
    }

    /// What was opened last, if it still is open.
    pub(crate) fn opened(&self, number: INodeNo) -> Option<Arc<Content>> {
        self.read().get(&number.0).and_then(|inode| inode.opened.upgrade())
    }

    /// How many nodes the kernel knows.
    pub(crate) fn len(&self) -> usize {
        self.read().len()
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<u64, Inode>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<u64, Inode>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The number of a node, unless it is taken: 62 bits, since some tools keep it in a signed integer, and one is for files of
/// the present; neither that of the root nor 0. What is at the head of those files has their number.
fn number_of(node: &Node) -> u64 {
    if *node == Node::directory(Directory::Artifacts) {
        return root_number().0;
    }
    let digest = Checksum::of(node.to_string().as_bytes()).0;
    let number = digest.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    in_range(number >> 2)
}

/// The number that is tried when one is taken.
fn next(number: u64) -> u64 {
    in_range(number.wrapping_add(1))
}

fn in_range(number: u64) -> u64 {
    if number <= INodeNo::ROOT.0 || is_artifact(INodeNo(number)) { INodeNo::ROOT.0 + 1 } else { number }
}

#[cfg(test)]
mod tests {
    use mirrordna::record::Kind;

    use super::*;

    #[test]
    fn a_node_has_one_number_until_it_is_forgotten_as_often_as_it_was_looked_up() {
        let inodes = Inodes::new();
        let (one, two) = (Node::record(Kind::Memory, "one"), Node::record(Kind::Memory, "two"));
        let number = inodes.look_up(INodeNo::ROOT, &one);
        assert_eq!(inodes.look_up(INodeNo::ROOT, &one), number);
        assert_ne!(inodes.look_up(INodeNo::ROOT, &two), number);
        assert_eq!((inodes.known(&one), inodes.node(number)), (Some(number), Some(one.clone())));
        inodes.forget(number, 1);
        assert_eq!(inodes.known(&one), Some(number));
        inodes.forget(number, 1);
        assert_eq!((inodes.known(&one), inodes.node(number)), (None, None));
        assert_eq!(Inodes::new().look_up(INodeNo::ROOT, &one), number, "the same in another mount");
        assert!(!is_artifact(number));
        let files = Node::directory(Directory::Artifacts);
        assert_eq!(inodes.number(&files), root_number());
        assert!(is_artifact(root_number()));
        assert_eq!(next((1 << 62) - 1), INodeNo::ROOT.0 + 1, "numbers of files are nobody else's");
        inodes.forget(INodeNo::ROOT, 9);
        assert_eq!(inodes.known(&Node::ROOT), Some(INodeNo::ROOT));
        assert_eq!(inodes.len(), 2);
    }
}
