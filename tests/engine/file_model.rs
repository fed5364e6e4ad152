//! Random work on files against a model: whatever is done in whatever order, the storage says what the model says, now and
//! at every pin, and the check finds nothing.

use mirrordna::record::FileType;
use mirrordna::storage::{
    Durability, INLINE_BYTES, Ino, Lease, NOW, Piece, PrunePolicy, RocksStorage, SLOT_BYTES, Sequence, Storage,
};

use super::files::{Files, noise, size};
use super::support::{assert_clean, create, open, scratch, set_pins};

/// A generator that repeats.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

struct Work {
    random: Random,
    files: Files,
    next: Ino,
    /// Pieces that a later slot may name again.
    pieces: Vec<(Piece, Vec<u8>)>,
    pins: Vec<(Sequence, Files)>,
    leases: Vec<(Lease, Sequence, Files)>,
}

impl Work {
    fn new(seed: u64) -> Self {
        let mut files = Files::default();
        files.make(1, FileType::Directory, 0, b"");
        Self { random: Random(seed), files, next: 2, pieces: Vec::new(), pins: Vec::new(), leases: Vec::new() }
    }

    fn any(&mut self, file_type: FileType) -> Option<Ino> {
        let of: Vec<Ino> = self
            .files
            .by_ino
            .values()
            .map(|file| &file.inode)
            .filter(|inode| inode.file_type == file_type)
            .map(|inode| inode.ino)
            .collect();
        let n = self.random.below(of.len().max(1) as u64);
        of.get(size(n)).copied()
    }

    fn name(&mut self) -> Vec<u8> {
        format!("n{}", self.random.below(12)).into_bytes()
    }

    fn taken(&self, parent: Ino, name: &[u8]) -> Option<Ino> {
        let has = |names: &[(Ino, Vec<u8>)]| names.iter().any(|(p, n)| (*p, n.as_slice()) == (parent, name));
        self.files.by_ino.values().find(|file| has(&file.inode.names)).map(|file| file.inode.ino)
    }

    fn step(&mut self, storage: &RocksStorage) {
        let parent = self.any(FileType::Directory).unwrap();
        let name = self.name();
        match self.random.below(10) {
            0 | 1 if self.taken(parent, &name).is_none() => {
                let file_type = if self.random.below(5) == 0 { FileType::Directory } else { FileType::Regular };
                self.files.make(self.next, file_type, parent, &name);
                self.next += 1;
            }
            2 => {
                // A name that leads to something else from now on; a directory stays.
                let Some(ino) = self.any(FileType::Regular) else { return };
                self.lead_to(ino, parent, &name);
            }
            3 => {
                let Some(ino) = self.any(FileType::Regular) else { return };
                let (parent, name) = self.name_of(ino);
                self.drop_name(ino, parent, &name);
            }
            4 => {
                let Some(ino) = self.any(FileType::Regular) else { return };
                let slot = self.random.below(600);
                self.files.set(ino, slot, Vec::new(), Vec::new());
            }
            5 => {
                let (Some(ino), Some((piece, content))) = (self.any(FileType::Regular), self.pieces.pop()) else {
                    return;
                };
                let slot = self.random.below(600);
                self.files.set(ino, slot, vec![piece], content);
            }
            _ => {
                let Some(ino) = self.any(FileType::Regular) else { return };
                let slot = self.random.below(600);
                let len =
                    1 + self.random.below(if self.random.0.is_multiple_of(7) { u64::from(SLOT_BYTES) } else { 900 });
                let content = noise(self.random.0, size(len));
                let inline = content.len() <= INLINE_BYTES && self.random.below(2) == 0;
                let write = if inline { Files::write_inline } else { Files::write };
                let piece = write(&mut self.files, storage, ino, slot, &content);
                self.pieces = vec![(piece, content)];
            }
        }
    }

    /// Changes of names alone, of few files and with few names, so that names change hands often.
    fn step_of_names(&mut self) {
        let name = format!("n{}", self.random.below(3)).into_bytes();
        let Some(ino) = self.any(FileType::Regular).filter(|_| self.random.below(4) > 0) else {
            if self.taken(1, &name).is_none() {
                self.files.make(self.next, FileType::Regular, 1, &name);
                self.next += 1;
            }
            return;
        };
        let (parent, old) = self.name_of(ino);
        match self.random.below(4) {
            0 => self.drop_name(ino, parent, &old),
            1 => drop(self.lead_to(ino, 1, &name)),
            _ => {
                if self.lead_to(ino, 1, &name) {
                    self.drop_name(ino, parent, &old);
                }
            }
        }
    }

    /// One of the names of an inode.
    fn name_of(&mut self, ino: Ino) -> (Ino, Vec<u8>) {
        let names = self.files.by_ino[&ino].inode.names.clone();
        names[size(self.random.below(names.len() as u64))].clone()
    }

    /// From now on a name leads to this inode and to no other; false when it does already, or is that of a directory.
    fn lead_to(&mut self, ino: Ino, parent: Ino, name: &[u8]) -> bool {
        if let Some(old) = self.taken(parent, name) {
            if old == ino || self.files.by_ino[&old].inode.file_type == FileType::Directory {
                return false;
            }
            self.drop_name(old, parent, name);
        }
        self.files.link(ino, parent, name);
        true
    }

    fn drop_name(&mut self, ino: Ino, parent: Ino, name: &[u8]) {
        self.files.unlink(ino, parent, name);
        if self.files.by_ino[&ino].inode.names.is_empty() {
            self.files.remove(ino);
        }
    }

    fn pin_sequences(&self) -> Vec<Sequence> {
        self.pins.iter().map(|(at, _)| *at).collect()
    }

    fn compare(&self, storage: &RocksStorage) {
        self.files.compare(storage, NOW);
        for (at, files) in
            self.pins.iter().map(|(at, files)| (at, files)).chain(self.leases.iter().map(|(_, at, files)| (at, files)))
        {
            files.compare(storage, *at);
        }
        assert_clean(storage, &self.pin_sequences());
    }
}

#[test]
fn random_work_on_files_is_what_the_model_says() {
    for seed in 0..6 {
        let dir = scratch();
        let mut storage = create(dir.path());
        let mut work = Work::new(seed);
        for round in 0..60 {
            for _ in 0..work.random.below(12) {
                work.step(&storage);
            }
            let durability = if work.random.below(2) == 0 { Durability::Sync } else { Durability::Buffered };
            let commit = work.files.commit_of(durability);
            if commit.changes.is_empty() {
                continue;
            }
            let at = storage.commit(commit).unwrap().last;
            match work.random.below(9) {
                0 => work.pins.push((at, work.files.clone())),
                1 => work.leases.push((storage.lease(at), at, work.files.clone())),
                2 => work.leases.clear(),
                3 if !work.pins.is_empty() => {
                    let n = size(work.random.below(work.pins.len() as u64));
                    work.pins.remove(n);
                }
                4 => {
                    let keep = [None, Some(1), Some(3)][size(work.random.below(3))];
                    storage.prune(PrunePolicy { keep, ..PrunePolicy::default() }, "tester").unwrap();
                    work.pieces.clear();
                }
                5 => {
                    work.leases.clear();
                    work.pieces.clear();
                    storage.close().unwrap();
                    if round % 2 == 0 {
                        RocksStorage::repair(dir.path(), &super::support::options()).unwrap();
                    }
                    storage = open(dir.path());
                    // An inode that came and went between two commits was never there.
                    let newest = work.files.by_ino.keys().max().unwrap();
                    assert!(storage.next_ino().unwrap() > *newest && storage.next_ino().unwrap() <= work.next);
                }
                _ => {}
            }
            set_pins(&storage, &work.pin_sequences());
            work.compare(&storage);
        }
    }
}

/// Names go from file to file, and versions in which they went are pruned while snapshots keep older ones: what is made again
/// from those that are left is what the model says.
#[test]
fn names_that_change_hands_are_made_again_after_prunes() {
    for seed in 0..6 {
        let dir = scratch();
        let mut storage = create(dir.path());
        let mut work = Work::new(seed);
        for _ in 0..8 {
            for _ in 0..12 {
                for _ in 0..=work.random.below(3) {
                    work.step_of_names();
                }
                let commit = work.files.commit_of(Durability::Buffered);
                if commit.changes.is_empty() {
                    continue;
                }
                let at = storage.commit(commit).unwrap().last;
                if work.random.below(5) == 0 {
                    work.pins.push((at, work.files.clone()));
                }
            }
            if work.pins.len() > 4 {
                let n = size(work.random.below(work.pins.len() as u64));
                work.pins.remove(n);
            }
            set_pins(&storage, &work.pin_sequences());
            let keep = Some(1 + u32::try_from(work.random.below(3)).unwrap());
            storage.prune(PrunePolicy { keep, ..PrunePolicy::default() }, "tester").unwrap();
            work.compare(&storage);
            storage.close().unwrap();
            RocksStorage::repair(dir.path(), &super::support::options()).unwrap();
            storage = open(dir.path());
            work.compare(&storage);
        }
    }
}
