//! What is left after a power cut, and the dice that decide it.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::journal::Entries;

/// The inode of the root directory; FUSE prescribes the number.
pub(super) const ROOT: u64 = 1;

/// The content of the disk after a cut.
#[derive(Debug)]
pub(super) struct Image {
    /// The entries of each directory that has any.
    pub(super) dirs: BTreeMap<u64, Entries>,
    /// Every inode that a name leads to, and the root.
    pub(super) nodes: BTreeMap<u64, Node>,
    /// The first number for inodes that was never in use. The kernel may still know the old ones, and they stay dead.
    pub(super) next: u64,
}

/// One inode on the disk.
#[derive(Debug)]
pub(super) struct Node {
    /// What it is and holds.
    pub(super) kind: NodeKind,
    /// Its permission bits.
    pub(super) perm: u16,
    /// The user and the group that own it.
    pub(super) owner: (u32, u32),
}

/// What an inode on the disk is and holds.
#[derive(Debug)]
pub(super) enum NodeKind {
    /// A file and its bytes.
    File(Vec<u8>),
    /// A directory; [`Image::dirs`] has its entries.
    Dir,
    /// A symbolic link and its target.
    Symlink(PathBuf),
}

impl Image {
    /// Writes the tree into the directory `dest`, which must be empty or not exist yet. Permission bits are kept, owners
    /// and times are not: the disk belongs to the test now.
    pub(super) fn materialise(&self, dest: &Path) -> io::Result<()> {
        fs::create_dir_all(dest)?;
        if fs::read_dir(dest)?.next().is_some() {
            return Err(io::Error::new(io::ErrorKind::DirectoryNotEmpty, format!("{} is not empty", dest.display())));
        }
        self.write_dir(ROOT, dest, &mut BTreeMap::new())
    }

    /// Writes the entries of the directory `dir` to `path`. `written` knows where inodes are already, for hard links.
    fn write_dir(&self, dir: u64, path: &Path, written: &mut BTreeMap<u64, PathBuf>) -> io::Result<()> {
        for (name, ino) in self.dirs.get(&dir).into_iter().flatten() {
            let node =
                self.nodes.get(ino).ok_or_else(|| io::Error::other(format!("{} has no inode", name.display())))?;
            let path = path.join(name);
            match &node.kind {
                NodeKind::Symlink(target) => symlink(target, &path)?,
                NodeKind::File(_) if written.contains_key(ino) => fs::hard_link(&written[ino], &path)?,
                NodeKind::File(data) => {
                    fs::write(&path, data)?;
                    fs::set_permissions(&path, Permissions::from_mode(node.perm.into()))?;
                    written.insert(*ino, path);
                }
                NodeKind::Dir => {
                    fs::create_dir(&path)?;
                    self.write_dir(*ino, &path, written)?;
                    // Last, because the directory may be one that nobody may write to.
                    fs::set_permissions(&path, Permissions::from_mode(node.perm.into()))?;
                }
            }
        }
        Ok(())
    }
}

/// Dice that fall the same way for the same seed (`SplitMix64`), so that a failing cut can be repeated.
#[derive(Debug)]
pub(super) struct Rng(u64);

impl Rng {
    /// The distance between states: the golden ratio in 64 bits.
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

    /// The dice for one subject of a cut. Each has its own, so that the fate of one file does not depend on how many
    /// others there are.
    pub(super) fn new(seed: u64, subject: u64) -> Self {
        let mut rng = Self(seed);
        let mixed = rng.next();
        Self(mixed ^ subject.wrapping_mul(Self::STEP))
    }

    /// A number below `bound`, which must not be zero. The bias is far below what a test could notice.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        let bound = bound as u64;
        usize::try_from(self.next() % bound).expect("a number below a usize is one")
    }

    /// The next 64 random bits.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(Self::STEP);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }
}
