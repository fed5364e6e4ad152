//! The switch: whether the file system has power, what it did so far, and when it is to fail.

use std::sync::Arc;

use fuser::Errno;

use super::image::{Image, Rng};
use super::world::World;
use super::{Fsync, Loss, Options};

/// A request that changes the file system or makes it durable. Reading is not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// Bytes written to a file, and how many.
    Write(usize),
    /// A change of the length: truncate or fallocate.
    Resize,
    /// A new name: create, mkdir, symlink or link.
    Create,
    /// A rename.
    Rename,
    /// A name less: unlink or rmdir.
    Remove,
    /// fsync or fdatasync of a file.
    Sync,
    /// fsync of a directory.
    SyncDir,
}

/// How many requests the file system has seen since it was mounted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Writes to files.
    pub(crate) writes: u64,
    /// Bytes in them.
    pub(crate) bytes_written: u64,
    /// Truncations and reservations.
    pub(crate) resizes: u64,
    /// Files, directories, symbolic and hard links created.
    pub(crate) creates: u64,
    /// Renames.
    pub(crate) renames: u64,
    /// Files and directories removed.
    pub(crate) removes: u64,
    /// fsync and fdatasync of files.
    pub(crate) syncs: u64,
    /// fsync of directories.
    pub(crate) dir_syncs: u64,
}

impl Counts {
    /// All of them together: the clock of [`Mounted::cut_after`](super::Mounted::cut_after).
    pub(crate) fn operations(&self) -> u64 {
        self.writes + self.resizes + self.creates + self.renames + self.removes + self.syncs + self.dir_syncs
    }

    /// Counts one.
    fn count(&mut self, op: Op) {
        let counter = match op {
            Op::Write(bytes) => {
                self.bytes_written += bytes as u64;
                &mut self.writes
            }
            Op::Resize => &mut self.resizes,
            Op::Create => &mut self.creates,
            Op::Rename => &mut self.renames,
            Op::Remove => &mut self.removes,
            Op::Sync => &mut self.syncs,
            Op::SyncDir => &mut self.dir_syncs,
        };
        *counter += 1;
    }
}

/// What there was to lose in a cut, and what was lost. A crash test in which nothing is ever lost tests nothing. Only
/// files that still have a name after the cut are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Losses {
    /// Changes of files (writes, truncations) that no fsync had covered.
    pub(crate) pending_changes: usize,
    /// Those that got to the disk whole nevertheless.
    pub(crate) kept_changes: usize,
    /// Writes that were torn.
    pub(crate) torn_changes: usize,
    /// Changes of directories that no fsync had covered.
    pub(crate) pending_names: usize,
    /// Those that got to the disk nevertheless.
    pub(crate) kept_names: usize,
}

/// A cut that is to come.
#[derive(Clone, Copy, Debug)]
struct Trigger {
    /// The operation at which it happens, counted from the mount.
    at: u64,
    /// The seed for it.
    seed: u64,
}

/// Where the current comes from.
#[derive(Debug)]
enum Supply {
    /// There is power, and this is the file system.
    On(World),
    /// There is none, and this is what is on the disk.
    Off(Arc<Image>),
}

/// The file system with its switch: all that the threads of FUSE and the test share.
#[derive(Debug)]
pub(super) struct Power {
    /// How it behaves.
    options: Options,
    /// On or off.
    supply: Supply,
    /// What it has done.
    counts: Counts,
    /// When it will fail by itself.
    trigger: Option<Trigger>,
    /// What the last cut took.
    losses: Option<Losses>,
}

impl Power {
    /// Switched on, with an empty root directory.
    pub(super) fn new(options: Options) -> Self {
        Self { options, supply: Supply::On(World::new()), counts: Counts::default(), trigger: None, losses: None }
    }

    /// The file system for requests that change nothing that could be lost. `EIO` without power.
    pub(super) fn world(&mut self) -> Result<&mut World, Errno> {
        match &mut self.supply {
            Supply::On(world) => Ok(world),
            Supply::Off(_) => Err(Errno::EIO),
        }
    }

    /// Does one counted operation, unless the power is off or goes off at this one.
    ///
    /// The operation at which the power goes is under way: its change is in the volatile state, so that it may be torn or
    /// reach the disk like any other that was not synced. If it is a sync it achieves nothing. Either way it fails.
    pub(super) fn operate<T>(&mut self, op: Op, work: impl FnOnce(&mut World) -> Result<T, Errno>) -> Result<T, Errno> {
        self.world()?;
        self.counts.count(op);
        let syncs = matches!(op, Op::Sync | Op::SyncDir);
        let last = self.trigger.take_if(|trigger| self.counts.operations() >= trigger.at);
        let result = if last.is_some() && syncs { Err(Errno::EIO) } else { self.world().and_then(work) };
        match last {
            Some(trigger) => {
                self.cut(self.options.loss, trigger.seed);
                Err(Errno::EIO)
            }
            None => result,
        }
    }

    /// An fsync of the inode `ino`, which is a directory if `op` says so.
    pub(super) fn sync(&mut self, op: Op, ino: u64) -> Result<(), Errno> {
        let Options { names, fsync, .. } = self.options;
        self.operate(op, |world| match fsync {
            Fsync::Honoured => world.sync(ino, names),
            Fsync::Ignored => Ok(()),
        })
    }

    /// Makes everything durable, as if all had been synced one by one, whatever [`Options::fsync`] says.
    pub(super) fn sync_all(&mut self) -> Result<(), Errno> {
        self.world().map(World::sync_all)
    }

    /// Cuts the power. Without power this does nothing, so that of two cuts the first one counts.
    pub(super) fn cut(&mut self, loss: Loss, seed: u64) {
        if let Supply::On(world) = &mut self.supply {
            let mut losses = Losses::default();
            let image = std::mem::take(world).survive(loss, |subject| Rng::new(seed, subject), &mut losses);
            self.supply = Supply::Off(Arc::new(image));
            self.losses = Some(losses);
            self.trigger = None;
        }
    }

    /// Arms a cut at the `operations`-th counted operation from now.
    pub(super) fn cut_after(&mut self, operations: u64, seed: u64) {
        self.trigger = Some(Trigger { at: self.counts.operations() + operations.max(1), seed });
    }

    /// What is on the disk, if the power is off.
    pub(super) fn image(&self) -> Option<Arc<Image>> {
        match &self.supply {
            Supply::On(_) => None,
            Supply::Off(image) => Some(Arc::clone(image)),
        }
    }

    /// Gives power to what is on the disk. With power on already this does nothing.
    pub(super) fn power_on(&mut self) {
        if let Some(image) = self.image() {
            self.supply = Supply::On(World::from_image(&image));
        }
    }

    /// How it behaves.
    pub(super) fn options(&self) -> Options {
        self.options
    }

    /// The counters.
    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// What the last cut took, if there was one.
    pub(super) fn losses(&self) -> Option<Losses> {
        self.losses
    }
}
