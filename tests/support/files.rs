//! Files for tests of the storage: a small file system in memory that commits what it is, and compares.

#![allow(dead_code, reason = "each test crate that includes this module uses a part of it")]

use std::collections::{BTreeMap, BTreeSet};

use mirrordna::record::inode::ROOT_INO;
use mirrordna::record::{Checksum, FileType, Inode, Kind};
use mirrordna::storage::{
    Action, Change, ChunkId, ChunkSum, Commit, Dentry, Durability, Expect, FileRows, Ino, Origin, Piece, SLOT_BYTES,
    Sequence, Storage, StorageError, WINDOW_SLOTS, file_root, prepare_inode, window_root,
};

/// The content of a slot: pieces, and the bytes that they stand for.
pub(crate) type Slot = (Vec<Piece>, Vec<u8>);

/// A file and its content.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) inode: Inode,
    pub(crate) slots: BTreeMap<u64, Slot>,
}

/// A tree of files: what it is now, and what of it was not committed yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files {
    pub(crate) by_ino: BTreeMap<Ino, File>,
    changed: BTreeMap<Ino, bool>,
    /// Those that the storage knows.
    stored: BTreeSet<Ino>,
    dentries: BTreeMap<(Ino, Vec<u8>), Option<Dentry>>,
    slots: BTreeMap<(Ino, u64), Vec<Piece>>,
}

/// A number of bytes.
pub(crate) fn size(number: u64) -> usize {
    usize::try_from(number).unwrap()
}

/// Bytes that look like nothing else.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        })
        .collect()
}

pub(crate) fn root_of(slots: &BTreeMap<u64, Slot>) -> Checksum {
    let mut windows: BTreeMap<u64, Vec<(u64, &[Piece])>> = BTreeMap::new();
    for (slot, (pieces, _)) in slots.iter().filter(|(_, (pieces, _))| !pieces.is_empty()) {
        windows.entry(slot / WINDOW_SLOTS).or_default().push((*slot, pieces.as_slice()));
    }
    file_root(windows.into_iter().map(|(window, slots)| (window, window_root(slots.into_iter()))))
}

impl Files {
    fn held(&mut self, parent: Ino, directory: bool, by: i64) {
        if let Some(parent) = self.by_ino.get_mut(&parent) {
            parent.inode.entries = parent.inode.entries.checked_add_signed(by).unwrap();
            if directory {
                parent.inode.subdirectories = parent.inode.subdirectories.checked_add_signed(by).unwrap();
            }
            self.changed.insert(parent.inode.ino, true);
        }
    }

    pub(crate) fn make(&mut self, ino: Ino, file_type: FileType, parent: Ino, name: &[u8]) {
        let inode = Inode {
            mode: 0o644,
            atime: 1,
            mtime: 2,
            ctime: 3,
            btime: 4,
            root: root_of(&BTreeMap::new()),
            ..Inode::new(ino, file_type, 0)
        };
        self.by_ino.insert(ino, File { inode, slots: BTreeMap::new() });
        self.changed.insert(ino, true);
        if ino != ROOT_INO {
            self.link(ino, parent, name);
        }
    }

    pub(crate) fn link(&mut self, ino: Ino, parent: Ino, name: &[u8]) {
        let inode = &mut self.by_ino.get_mut(&ino).unwrap().inode;
        inode.names.push((parent, name.to_vec()));
        let dentry = Dentry { ino, file_type: inode.file_type };
        self.changed.insert(ino, true);
        self.dentries.insert((parent, name.to_vec()), Some(dentry));
        self.held(parent, dentry.file_type == FileType::Directory, 1);
    }

    pub(crate) fn unlink(&mut self, ino: Ino, parent: Ino, name: &[u8]) {
        let inode = &mut self.by_ino.get_mut(&ino).unwrap().inode;
        inode.names.retain(|(p, n)| (*p, n.as_slice()) != (parent, name));
        let directory = inode.file_type == FileType::Directory;
        self.changed.insert(ino, true);
        self.dentries.insert((parent, name.to_vec()), None);
        self.held(parent, directory, -1);
    }

    /// Takes an inode away that has no names any more.
    pub(crate) fn remove(&mut self, ino: Ino) {
        assert!(self.by_ino.remove(&ino).unwrap().inode.names.is_empty());
        if self.stored.remove(&ino) {
            self.changed.insert(ino, false);
        } else {
            self.changed.remove(&ino);
        }
        self.slots.retain(|(of, _), _| *of != ino);
    }

    /// Takes over an inode without content, as the storage has it.
    pub(crate) fn load(&mut self, inode: Inode) {
        self.stored.insert(inode.ino);
        self.by_ino.insert(inode.ino, File { inode, slots: BTreeMap::new() });
    }

    /// Writes a whole slot.
    pub(crate) fn write(&mut self, storage: &dyn Storage, ino: Ino, slot: u64, content: &[u8]) -> Piece {
        self.try_write(storage, ino, slot, content).unwrap()
    }

    /// As [`Files::write`], for a disk that may fail.
    pub(crate) fn try_write(
        &mut self,
        storage: &dyn Storage,
        ino: Ino,
        slot: u64,
        content: &[u8],
    ) -> Result<Piece, StorageError> {
        let appended = storage.append_chunk(content)?;
        Ok(self.set_chunk(ino, slot, appended, content))
    }

    /// As [`Files::write`], with the content in the row of its chunk.
    pub(crate) fn write_inline(&mut self, storage: &dyn Storage, ino: Ino, slot: u64, content: &[u8]) -> Piece {
        let appended = storage.append_inline(content).unwrap();
        self.set_chunk(ino, slot, appended, content)
    }

    fn set_chunk(&mut self, ino: Ino, slot: u64, (chunk, sum): (ChunkId, ChunkSum), content: &[u8]) -> Piece {
        let piece = Piece { start: 0, len: u32::try_from(content.len()).unwrap(), chunk, offset: 0, sum };
        self.set(ino, slot, vec![piece], content.to_vec());
        piece
    }

    pub(crate) fn set(&mut self, ino: Ino, slot: u64, pieces: Vec<Piece>, content: Vec<u8>) {
        let file = self.by_ino.get_mut(&ino).unwrap();
        file.inode.size = file.inode.size.max(slot * u64::from(SLOT_BYTES) + content.len() as u64);
        self.slots.insert((ino, slot), pieces.clone());
        if pieces.is_empty() {
            file.slots.remove(&slot);
        } else {
            file.slots.insert(slot, (pieces, content));
        }
        self.changed.insert(ino, true);
    }

    /// What would bring the storage up to date.
    pub(crate) fn commit_of(&mut self, durability: Durability) -> Commit {
        let mut changes = Vec::new();
        for (ino, there) in std::mem::take(&mut self.changed) {
            let action = if there {
                self.stored.insert(ino);
                let file = self.by_ino.get_mut(&ino).unwrap();
                file.inode.root = root_of(&file.slots);
                Action::Put(Box::new(prepare_inode(&file.inode).unwrap()))
            } else {
                Action::Delete
            };
            changes.push(Change {
                kind: Kind::Artifact,
                id: ino.to_string(),
                action,
                expect: Expect::Any,
                event: None,
            });
        }
        let dentries = std::mem::take(&mut self.dentries).into_iter().map(|((parent, name), to)| (parent, name, to));
        let extents = std::mem::take(&mut self.slots).into_iter().map(|((ino, slot), pieces)| (ino, slot, pieces));
        Commit {
            seen: Vec::new(),
            changes,
            files: FileRows { dentries: dentries.collect(), extents: extents.collect() },
            actor: "tester".to_owned(),
            origin: Origin::Direct,
            token: None,
            durability,
        }
    }

    pub(crate) fn commit(&mut self, storage: &dyn Storage, durability: Durability) -> Sequence {
        let commit = self.commit_of(durability);
        storage.commit(commit).unwrap().last
    }

    /// Everything that the storage says of the files at a sequence must be this.
    pub(crate) fn compare(&self, storage: &dyn Storage, at: Sequence) {
        let mut names: BTreeMap<Ino, Vec<(Vec<u8>, Dentry)>> = BTreeMap::new();
        for File { inode, slots } in self.by_ino.values() {
            let version = storage.version(Kind::Artifact, &inode.ino.to_string(), at).unwrap().unwrap();
            assert_eq!(version.json, prepare_inode(inode).unwrap().json, "inode {} at {at}", inode.ino);
            for (parent, name) in &inode.names {
                let dentry = Dentry { ino: inode.ino, file_type: inode.file_type };
                assert_eq!(storage.dentry(*parent, name, at).unwrap(), Some(dentry), "{name:?} at {at}");
                names.entry(*parent).or_default().push((name.clone(), dentry));
            }
            let stored = storage.extents(inode.ino, 0, usize::MAX, at).unwrap();
            let expected: Vec<_> = slots.iter().map(|(slot, (pieces, _))| (*slot, pieces.clone())).collect();
            assert_eq!(stored, expected, "slots of {} at {at}", inode.ino);
            for (pieces, content) in slots.values() {
                for piece in pieces {
                    let range = piece.start as usize..(piece.start + piece.len) as usize;
                    assert_eq!(storage.read_piece(piece, 0, piece.len).unwrap(), content[range]);
                }
            }
        }
        for File { inode, .. } in self.by_ino.values().filter(|file| file.inode.file_type == FileType::Directory) {
            let mut expected = names.remove(&inode.ino).unwrap_or_default();
            expected.sort_by(|a, b| a.0.cmp(&b.0));
            assert_eq!(storage.dentries(inode.ino, None, usize::MAX, at).unwrap(), expected, "{} at {at}", inode.ino);
        }
        assert!(names.is_empty());
    }
}
