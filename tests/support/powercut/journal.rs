//! Which names exist: those on the disk, and the changes that no fsync has covered yet.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::{OsStr, OsString};

use super::image::Rng;
use super::power::Losses;
use super::{Loss, Names};

/// The names of one directory and the inodes they lead to.
pub(super) type Entries = BTreeMap<OsString, u64>;

/// One name that changes.
#[derive(Clone, Debug)]
pub(super) struct Edit {
    /// The directory.
    pub(super) dir: u64,
    /// The name in it.
    pub(super) name: OsString,
    /// The inode it leads to from now on; `None` if the name goes away.
    pub(super) target: Option<u64>,
}

impl Edit {
    /// The name leads to `target`.
    pub(super) fn set(dir: u64, name: &OsStr, target: u64) -> Self {
        Self { dir, name: name.to_owned(), target: Some(target) }
    }

    /// The name goes away.
    pub(super) fn clear(dir: u64, name: &OsStr) -> Self {
        Self { dir, name: name.to_owned(), target: None }
    }

    /// Makes the change in one view of the directories.
    fn apply(self, dirs: &mut BTreeMap<u64, Entries>) {
        let entries = dirs.entry(self.dir).or_default();
        match self.target {
            Some(target) => entries.insert(self.name, target),
            None => entries.remove(&self.name),
        };
    }
}

/// What one system call did to names. It happens wholly or not at all: that a rename is atomic is the one promise that
/// every file system keeps.
#[derive(Debug)]
struct Step {
    /// The names that change.
    edits: Vec<Edit>,
    /// The inodes that are created, moved or removed by it.
    subjects: Vec<u64>,
}

/// All directories, as programs see them and as they are on the disk.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// The entries of each directory that has any, as programs see them.
    live: BTreeMap<u64, Entries>,
    /// The same on the disk.
    durable: BTreeMap<u64, Entries>,
    /// The changes that lead from `durable` to `live`, in order.
    pending: Vec<Step>,
}

impl Journal {
    /// Starts with these directories, all of them on the disk.
    pub(super) fn durable(dirs: BTreeMap<u64, Entries>) -> Self {
        Self { live: dirs.clone(), durable: dirs, pending: Vec::new() }
    }

    /// The inode that a name leads to.
    pub(super) fn lookup(&self, dir: u64, name: &OsStr) -> Option<u64> {
        self.live.get(&dir)?.get(name).copied()
    }

    /// The names in a directory, sorted.
    pub(super) fn entries(&self, dir: u64) -> impl Iterator<Item = (&OsString, u64)> {
        self.live.get(&dir).into_iter().flatten().map(|(name, ino)| (name, *ino))
    }

    /// Makes a change in what programs see and remembers it.
    pub(super) fn record(&mut self, edits: Vec<Edit>, subjects: Vec<u64>) {
        for edit in edits.iter().cloned() {
            edit.apply(&mut self.live);
        }
        self.pending.push(Step { edits, subjects });
    }

    /// Makes durable what an fsync of the inode `ino` (a file or a directory) covers under the rules of `names`.
    ///
    /// A step cannot become durable before an older one on the same name: the older one would undo it later on. Says
    /// whether there was anything to do.
    pub(super) fn commit(&mut self, ino: u64, names: Names) -> bool {
        let mut covered: HashSet<(u64, &OsStr)> = HashSet::new();
        let mut parents: HashSet<u64> = HashSet::new();
        let before = self.pending.len();
        let mut chosen = vec![false; before];
        // From the newest to the oldest: whatever a step depends on is older than the step, so that one pass finds all.
        for (step, chosen) in self.pending.iter().zip(&mut chosen).rev() {
            let asked = step.edits.iter().any(|edit| edit.dir == ino)
                || names == Names::Journaled && step.subjects.contains(&ino);
            let needed = step.edits.iter().any(|edit| covered.contains(&(edit.dir, edit.name.as_os_str())))
                || names == Names::Journaled && step.subjects.iter().any(|subject| parents.contains(subject));
            if asked || needed {
                *chosen = true;
                covered.extend(step.edits.iter().map(|edit| (edit.dir, edit.name.as_os_str())));
                parents.extend(step.edits.iter().map(|edit| edit.dir));
            }
        }
        for (step, chosen) in std::mem::take(&mut self.pending).into_iter().zip(chosen) {
            if chosen {
                self.apply(step);
            } else {
                self.pending.push(step);
            }
        }
        self.pending.len() < before
    }

    /// Makes everything durable.
    pub(super) fn commit_all(&mut self) {
        for step in std::mem::take(&mut self.pending) {
            self.apply(step);
        }
    }

    /// The inodes that a name on the disk leads to, or would if some part of the pending changes got there.
    pub(super) fn mentioned(&self) -> BTreeSet<u64> {
        let durable = self.durable.values().flat_map(Entries::values).copied();
        let pending = self.pending.iter().flat_map(|step| &step.edits).filter_map(|edit| edit.target);
        durable.chain(pending).collect()
    }

    /// Forgets the directories that are not `alive` any more.
    pub(super) fn retain(&mut self, alive: impl Fn(u64) -> bool) {
        self.live.retain(|dir, _| alive(*dir));
        self.durable.retain(|dir, _| alive(*dir));
    }

    /// The directories that are left after a power cut.
    ///
    /// With [`Loss::DropAll`] these are the durable ones; otherwise a random number of pending steps got to the disk by
    /// themselves, in order, because that is what journals of metadata guarantee in all file systems in use.
    pub(super) fn survive(mut self, loss: Loss, rng: &mut Rng, losses: &mut Losses) -> BTreeMap<u64, Entries> {
        let kept = if loss == Loss::DropAll { 0 } else { rng.below(self.pending.len() + 1) };
        losses.pending_names += self.pending.len();
        losses.kept_names += kept;
        for step in std::mem::take(&mut self.pending).into_iter().take(kept) {
            self.apply(step);
        }
        self.durable
    }

    /// Puts one step on the disk.
    fn apply(&mut self, step: Step) {
        for edit in step.edits {
            edit.apply(&mut self.durable);
        }
    }
}
