//! A file system for tests that can lose its power.
//!
//! [`PowerCutFs`] mounts an empty file system that lives in memory and keeps two views of itself: what programs see, and
//! what a disk would hold if the power failed now. Only `fsync`, `fdatasync` and an `fsync` on a directory move the one
//! into the other. After [`Mounted::cut`] every request fails with `EIO`, and what was not on the disk is gone: the rest
//! is written out with [`Mounted::materialise`], or comes back under the same mount point with [`Mounted::power_on`].
//!
//! A `SIGKILL` cannot show any of this, because the page cache outlives the process. That is why this layer exists.
//!
//! What is deliberately *not* an fsync here: closing a file, renaming it (`auto_da_alloc` of ext4 is a courtesy of one
//! file system), `sync_file_range` (it never reaches FUSE, and it promises nothing about metadata), `sync(2)` and
//! `syncfs(2)` (they do not reach FUSE either; a test that wants them calls [`Mounted::sync_all`]). A write to a file
//! opened with `O_SYNC` or `O_DSYNC` arrives as a write and an fsync of the file.
//!
//! The modules: `content` is what one file holds, `journal` which names exist, `world` both of them as a file system,
//! `power` the switch with counters and trigger, `image` what is left after a cut, `serve` the translation from FUSE, and
//! `mounted` the handle that a test holds.

#![allow(dead_code, unused_imports, reason = "each test crate that includes this module uses a part of it")]

mod content;
mod image;
mod journal;
mod mounted;
mod power;
mod serve;
mod world;

use std::io;
use std::path::Path;

pub(crate) use mounted::Mounted;
pub(crate) use power::{Counts, Losses};

/// What happens at a cut to that which no fsync has covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// All of it is lost: the disk had written nothing of its own accord.
    DropAll,
    /// Each file keeps a random number of its unsynced writes, in order, and the one after them is torn at a random byte.
    /// Files are independent of one another; of the names a random prefix of all changes is kept, as a journal would.
    TornPrefix,
    /// As `TornPrefix`, but each 4 KiB page of each unsynced write reached the disk or did not, whatever the order, and
    /// the last page that did is torn. A file may so have its new length and, in the middle, old bytes or zeros.
    Scattered,
}

impl Loss {
    /// All modes, for tests that go through them.
    pub(crate) const ALL: [Loss; 3] = [Loss::DropAll, Loss::TornPrefix, Loss::Scattered];
}

/// When a change of a directory (create, link, rename, unlink, mkdir, rmdir) is on the disk.
///
/// In both modes one rename is one change: it is there wholly or not at all, even between two directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    /// As ext4 and xfs do it: an fsync of the directory, or one of the file (or directory) that was created or renamed,
    /// and with it the directories above that are new themselves. Programs rely on this, and so it is the default.
    /// Other changes that happen to be older are *not* taken along, although a journal would do that.
    Journaled,
    /// To the letter of POSIX: nothing but an fsync of the directory that holds the name. A file that was fsynced in a
    /// directory that was not is lost.
    Strict,
}

/// Whether the disk tells the truth about fsync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fsync {
    /// It does.
    Honoured,
    /// It acknowledges and does nothing. A crash test that still passes on such a disk proves nothing; this is how to see
    /// that it fails. It also stands for a program that forgot to call fsync.
    Ignored,
}

/// How a [`PowerCutFs`] behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// What a cut does, unless [`Mounted::cut_with`] says otherwise.
    pub(crate) loss: Loss,
    /// When names are durable.
    pub(crate) names: Names,
    /// Whether fsync works.
    pub(crate) fsync: Fsync,
}

impl Default for Options {
    /// Torn writes, names as on ext4 and xfs, an honest disk.
    fn default() -> Self {
        Self { loss: Loss::TornPrefix, names: Names::Journaled, fsync: Fsync::Honoured }
    }
}

/// The file system that can lose its power; see the description of the module.
#[derive(Debug)]
pub(crate) struct PowerCutFs;

impl PowerCutFs {
    /// Mounts an empty file system on the directory `mountpoint` with the default [`Options`].
    ///
    /// # Errors
    /// What mounting says: no `/dev/fuse`, no permission, no such directory.
    pub(crate) fn mount(mountpoint: &Path) -> io::Result<Mounted> {
        Self::mount_with(mountpoint, Options::default())
    }

    /// Mounts an empty file system on the directory `mountpoint`.
    ///
    /// # Errors
    /// As [`PowerCutFs::mount`].
    pub(crate) fn mount_with(mountpoint: &Path, options: Options) -> io::Result<Mounted> {
        Mounted::new(mountpoint, options)
    }
}
