//! Which files the kernel knows of a mount, and how often it was told of each.
//!
//! The kernel gives back what it was told of with FORGET, but says nothing any more when a mount ends. Others hold
//! references on the same files then: programs of this process and of other ones, and other mounts. So each mount keeps
//! account of its own.
//!
//! It also knows of which files the kernel has written something that it had collected, since more may be on its way, and which
//! have been replaced under those who have them open.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use fuser::Generation;
use mirrordna::artifacts::{Artifacts, Attributes, FileType, FsError, Ino};

/// The references that the kernel holds on files through one mount.
pub(crate) struct Known {
    artifacts: Arc<Artifacts>,
    times: Mutex<HashMap<Ino, u64>>,
    generations: Generations,
    /// Files that the kernel wrote to since it was asked last to write all.
    written: Mutex<HashSet<Ino>>,
    /// Files that were replaced and not looked up since.
    replaced: Mutex<HashSet<Ino>>,
    /// There are such files.
    any_replaced: AtomicBool,
}

impl Known {
    pub(super) fn new(artifacts: Arc<Artifacts>) -> Self {
        Self {
            artifacts,
            times: Mutex::default(),
            generations: Generations::default(),
            written: Mutex::default(),
            replaced: Mutex::default(),
            any_replaced: AtomicBool::new(false),
        }
    }

    fn times(&self) -> MutexGuard<'_, HashMap<Ino, u64>> {
        lock(&self.times)
    }

    /// Whether the kernel knows a file.
    pub(super) fn knows(&self, ino: Ino) -> bool {
        self.times().contains_key(&ino)
    }

    /// The kernel has written something that it had collected.
    pub(super) fn wrote(&self, ino: Ino) {
        lock(&self.written).insert(ino);
    }

    /// The files to which the kernel wrote since this was asked last.
    pub(super) fn take_written(&self) -> Vec<Ino> {
        lock(&self.written).drain().collect()
    }

    /// The generation of a file of which the kernel is about to be told, and was counted to know. Attributes that are not older are to
    /// go with it.
    pub(super) fn generation(&self, attributes: &Attributes) -> Generation {
        self.generations.of(attributes)
    }

    /// The content of a file was changed from elsewhere: a look-up from now on makes a new file of it, if the kernel knows the old one.
    pub(super) fn changed(&self, ino: Ino) {
        let times = self.times();
        if times.contains_key(&ino) {
            self.generations.next(ino);
        }
    }

    /// As [`Known::changed`], of every file.
    pub(super) fn all_changed(&self) {
        self.generations.next_of_all();
    }

    /// Files are about to have another content than those have that the kernel knows. A look-up from now on makes new files of them.
    pub(super) fn replace(&self, inos: &[Ino], all: bool) {
        if all {
            self.all_changed();
        }
        for ino in inos {
            self.changed(*ino);
        }
        let times = self.times();
        let mut replaced = lock(&self.replaced);
        if all {
            replaced.extend(times.keys());
        } else {
            replaced.extend(inos.iter().filter(|ino| times.contains_key(ino)));
        }
        self.any_replaced.store(!replaced.is_empty(), Ordering::SeqCst);
    }

    /// # Errors
    /// [`FsError::Stale`] when the kernel knows a file only as it was before it was replaced.
    pub(super) fn check_current(&self, ino: Ino) -> Result<(), FsError> {
        let is_replaced = self.any_replaced.load(Ordering::SeqCst) && lock(&self.replaced).contains(&ino);
        // The kernel asks for all of a directory when it is told to.
        if is_replaced && self.artifacts.attributes(ino)?.file_type != FileType::Directory {
            return Err(FsError::Stale { ino });
        }
        Ok(())
    }

    /// The kernel knows the file as it is, or does not know it any more.
    fn is_as_known(&self, ino: Ino) {
        if self.any_replaced.load(Ordering::SeqCst) {
            let mut replaced = lock(&self.replaced);
            replaced.remove(&ino);
            self.any_replaced.store(!replaced.is_empty(), Ordering::SeqCst);
        }
    }

    /// The kernel is about to be told of a file on which there is a reference for it. To be called before it is told:
    /// from then on it may give it back.
    pub(super) fn told(&self, ino: Ino) {
        *self.times().entry(ino).or_insert(0) += 1;
        self.is_as_known(ino);
    }

    /// The kernel has forgotten that it was told of a file so many times.
    pub(super) fn forgotten(&self, ino: Ino, count: u64) {
        let (given_back, is_gone) = {
            let mut times = self.times();
            let Some(held) = times.get_mut(&ino) else { return };
            // What was never told cannot be given back: it would be somebody else's.
            let given_back = count.min(*held);
            *held -= given_back;
            let is_gone = *held == 0;
            if is_gone {
                times.remove(&ino);
                self.generations.forget(ino);
            }
            (given_back, is_gone)
        };
        if is_gone {
            lock(&self.written).remove(&ino);
            self.is_as_known(ino);
        }
        self.artifacts.forget(ino, given_back);
    }

    /// The mount is gone, and the kernel knows none of its files any more.
    pub(crate) fn forget_all(&self) {
        let known = std::mem::take(&mut *self.times());
        for (ino, count) in known {
            self.artifacts.forget(ino, count);
        }
    }
}

/// How often the content of each file was changed from elsewhere while the kernel knew it.
///
/// With write-back the kernel takes no new size or time of a file that it knows, even when it was told to drop what it
/// knows. A file with a new generation is a new one to it: who opens it sees the new content, and who has the old one
/// open gets an error instead of a mixture.
#[derive(Default)]
struct Generations {
    of_all: AtomicU64,
    of_each: RwLock<HashMap<Ino, u64>>,
}

impl Generations {
    /// The generation of a file. A directory has but one: the kernel asks for all of it when it is told to.
    fn of(&self, attributes: &Attributes) -> Generation {
        if attributes.file_type == FileType::Directory {
            return Generation(0);
        }
        let each = self.of_each.read().unwrap_or_else(PoisonError::into_inner);
        Generation(self.of_all.load(Ordering::SeqCst) + each.get(&attributes.ino).copied().unwrap_or(0))
    }

    fn next(&self, ino: Ino) {
        *self.of_each.write().unwrap_or_else(PoisonError::into_inner).entry(ino).or_insert(0) += 1;
    }

    /// The kernel knows the file no more, and takes whatever it is told next.
    fn forget(&self, ino: Ino) {
        self.of_each.write().unwrap_or_else(PoisonError::into_inner).remove(&ino);
    }

    fn next_of_all(&self) {
        self.of_all.fetch_add(1, Ordering::SeqCst);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use mirrordna::artifacts::{Caller, FsError, NewNode, ROOT};
    use mirrordna::{Vault, VaultOptions};

    use super::*;

    /// A mount that ends, and a kernel that forgets more than it was told, take nothing from others.
    #[test]
    fn each_gives_back_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::create(&dir.path().join("vault"), &VaultOptions::default()).unwrap();
        let artifacts = vault.artifacts().unwrap();
        let (one, two) = (Known::new(Arc::clone(&artifacts)), Known::new(Arc::clone(&artifacts)));
        let caller = Caller { uid: 0, gid: 0, umask: 0 };
        let ino = artifacts.create(ROOT, b"file", &NewNode::file(0o600), &caller).unwrap().ino;
        one.told(ino);
        for known in [&one, &two, &two] {
            artifacts.lookup(ROOT, b"file").unwrap();
            known.told(ino);
        }
        artifacts.unlink(ROOT, b"file").unwrap();
        one.forgotten(ino, 1);
        one.forget_all();
        one.forgotten(ino, 5);
        assert_eq!(artifacts.attributes(ino).unwrap().nlink, 0);
        two.forgotten(ino, 1);
        assert_eq!(artifacts.attributes(ino).unwrap().nlink, 0);
        two.forgotten(ino, 9);
        assert!(matches!(artifacts.attributes(ino), Err(FsError::Stale { .. })), "nobody knows it any more");
    }
}
