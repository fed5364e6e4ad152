//! The Merkle tree over the log: RFC 6962 hashing, kept in tiles of 256 hashes as in C2SP tlog-tiles.
//!
//! A tile of level 0 holds the hashes of 256 leaves, a tile of level 1 those of 256 tiles of level 0, and so on. Complete
//! tiles are stored and never change; of each level only the hashes after the last complete tile are kept in memory.

use crate::record::Checksum;

use super::types::Sequence;

/// Hashes in a tile.
pub(super) const TILE: usize = 256;
/// Bytes of a complete tile.
pub(super) const TILE_BYTES: usize = TILE * 32;

/// The hash of a leaf.
pub(super) fn leaf(entry: &[u8]) -> Checksum {
    Checksum::of_parts(&[&[0], entry])
}

fn node(left: &Checksum, right: &Checksum) -> Checksum {
    Checksum::of_parts(&[&[1], &left.0, &right.0])
}

/// A tile that has become complete and must be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tile {
    pub(super) level: u8,
    pub(super) index: u64,
    pub(super) hashes: Vec<Checksum>,
}

impl Tile {
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.hashes.iter().flat_map(|hash| hash.0).collect()
    }
}

/// The hashes of a stored tile.
pub(super) fn tile_hashes(bytes: &[u8]) -> Option<Vec<Checksum>> {
    (bytes.len() == TILE_BYTES).then(|| {
        let (hashes, _) = bytes.as_chunks::<32>();
        hashes.iter().map(|hash| Checksum(*hash)).collect()
    })
}

/// The right edge of the tree: all that is needed to extend it and to know its root.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    size: Sequence,
    /// Of each level the hashes after its last complete tile.
    levels: Vec<Vec<Checksum>>,
}

impl Tree {
    /// The tree over the first `size` leaves, from what is stored: `hashes(level, range)` gives the hashes of a level.
    ///
    /// # Errors
    /// Those of `hashes`.
    pub(super) fn load<E>(
        size: Sequence,
        mut hashes: impl FnMut(u8, std::ops::Range<u64>) -> Result<Vec<Checksum>, E>,
    ) -> Result<Self, E> {
        let mut levels = Vec::new();
        let mut count = size;
        let mut level = 0;
        while count > 0 {
            let complete = count / TILE as u64;
            levels.push(hashes(level, complete * TILE as u64..count)?);
            count = complete;
            level += 1;
        }
        Ok(Self { size, levels })
    }

    /// The number of leaves.
    pub(super) fn size(&self) -> Sequence {
        self.size
    }

    /// Appends a leaf and hands over the tiles that it completes.
    pub(super) fn append(&mut self, leaf: Checksum, mut completed: impl FnMut(Tile)) {
        self.size += 1;
        let mut hash = leaf;
        let mut count = self.size;
        for level in 0.. {
            if self.levels.len() <= level {
                self.levels.push(Vec::new());
            }
            let Some(hashes) = self.levels.get_mut(level) else { return };
            hashes.push(hash);
            if hashes.len() < TILE {
                return;
            }
            let hashes = std::mem::take(hashes);
            hash = root_of(&hashes);
            count /= TILE as u64;
            completed(Tile { level: u8::try_from(level).unwrap_or(u8::MAX), index: count - 1, hashes });
        }
    }

    /// The root. Of the empty tree it is the hash of nothing.
    pub(super) fn root(&self) -> Checksum {
        let mut root: Option<Checksum> = None;
        for level in &self.levels {
            for subtree in subtrees(level).iter().rev() {
                root = Some(root.map_or(*subtree, |right| node(subtree, &right)));
            }
        }
        root.unwrap_or_else(|| Checksum::of(b""))
    }
}

/// The root over a power of two of hashes of equal height.
pub(super) fn root_of(hashes: &[Checksum]) -> Checksum {
    let mut row = hashes.to_vec();
    while row.len() > 1 {
        let (pairs, _) = row.as_chunks::<2>();
        row = pairs.iter().map(|[left, right]| node(left, right)).collect();
    }
    row.first().copied().unwrap_or_else(|| Checksum::of(b""))
}

/// Cuts a row into the largest complete subtrees, left to right, and gives the root of each.
fn subtrees(row: &[Checksum]) -> Vec<Checksum> {
    let mut roots = Vec::new();
    let mut rest = row;
    while !rest.is_empty() {
        let (subtree, tail) = rest.split_at(1 << rest.len().ilog2());
        roots.push(root_of(subtree));
        rest = tail;
    }
    roots
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// RFC 6962, section 2.1, word by word.
    fn reference(leaves: &[Vec<u8>]) -> Checksum {
        match leaves.len() {
            0 => Checksum::of(b""),
            1 => leaf(&leaves[0]),
            n => {
                let k = n.next_power_of_two() / 2;
                node(&reference(&leaves[..k]), &reference(&leaves[k..]))
            }
        }
    }

    #[test]
    fn roots_are_those_of_rfc_6962() {
        let leaves: Vec<Vec<u8>> = (0..1_300_u32).map(|n| n.to_le_bytes().to_vec()).collect();
        let mut tree = Tree::default();
        assert_eq!(tree.root(), reference(&[]));
        for (n, entry) in leaves.iter().enumerate() {
            tree.append(leaf(entry), |_| {});
            if n < 300 || n % 97 == 0 {
                assert_eq!(tree.root(), reference(&leaves[..=n]), "{n}");
            }
        }
    }

    #[test]
    fn known_roots_of_rfc_6962_test_vectors() {
        // The seven-leaf tree of the certificate-transparency test suite.
        let leaves: [&[u8]; 4] = [b"", b"\x00", b"\x10", b"\x20\x21"];
        let mut tree = Tree::default();
        let mut roots = Vec::new();
        for entry in leaves {
            tree.append(leaf(entry), |_| {});
            roots.push(tree.root().to_string());
        }
        assert_eq!(roots[0], "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
        assert_eq!(roots[1], "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125");
        assert_eq!(roots[2], "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77");
        assert_eq!(roots[3], "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7");
    }

    #[test]
    fn a_tree_loaded_from_tiles_goes_on_as_before() {
        let mut tree = Tree::default();
        let mut stored: BTreeMap<(u8, u64), Vec<Checksum>> = BTreeMap::new();
        let mut leaves = Vec::new();
        for n in 0..70_000_u32 {
            let hash = leaf(&n.to_le_bytes());
            leaves.push(hash);
            tree.append(hash, |tile| {
                stored.insert((tile.level, tile.index), tile.hashes);
            });
        }
        let loaded =
            Tree::load(70_000, |level, range| -> Result<_, ()> {
                Ok(range
                    .map(|n| {
                        if level == 0 { leaves[usize::try_from(n).unwrap()] } else { root_of(&stored[&(level - 1, n)]) }
                    })
                    .collect())
            })
            .unwrap();
        assert_eq!(loaded.root(), tree.root());
        assert_eq!(loaded.size(), 70_000);
    }
}
