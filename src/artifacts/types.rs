//! What the file system is asked with, and what it answers.

pub use crate::record::FileType;
pub use crate::storage::Ino;

/// The inode number of the root directory.
pub const ROOT: Ino = crate::record::inode::ROOT_INO;
/// The largest size of a file.
pub const MAX_FILE_BYTES: u64 = i64::MAX as u64;
/// The most names of a file.
pub const MAX_LINKS: usize = 65_000;

/// Nanoseconds since 1970-01-01T00:00:00Z.
pub type Nanos = i128;

/// What `stat` says of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Its inode number.
    pub ino: Ino,
    /// What it is.
    pub file_type: FileType,
    /// Permissions, set-id and sticky bits: 07777.
    pub mode: u32,
    /// The user that owns it.
    pub uid: u32,
    /// The group that owns it.
    pub gid: u32,
    /// The number of the device that it stands for.
    pub rdev: u32,
    /// How many names it has; of a directory, 2 and one for each of its subdirectories.
    pub nlink: u32,
    /// Its size in bytes.
    pub size: u64,
    /// Blocks of 512 bytes that its content takes.
    pub blocks: u64,
    /// When it was last read. Reading does not change it (as with `noatime`), only who sets it.
    pub atime: Nanos,
    /// When its content last changed.
    pub mtime: Nanos,
    /// When anything about it last changed.
    pub ctime: Nanos,
    /// When it was made.
    pub btime: Nanos,
}

/// In whose name something is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The permissions that new files do not get.
    pub umask: u32,
}

/// A file, directory, link or node to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewNode<'a> {
    /// What it is.
    pub file_type: FileType,
    /// Permissions, set-id and sticky bits, before the caller's mask.
    pub mode: u32,
    /// The number of the device, for devices.
    pub rdev: u32,
    /// Where it leads, for symbolic links.
    pub target: Option<&'a [u8]>,
    /// It is an error when the name is taken. Else a file that is there is what is answered.
    pub exclusive: bool,
}

impl NewNode<'static> {
    /// A new ordinary file.
    #[must_use]
    pub const fn file(mode: u32) -> Self {
        Self { file_type: FileType::Regular, mode, rdev: 0, target: None, exclusive: true }
    }

    /// A new directory.
    #[must_use]
    pub const fn directory(mode: u32) -> Self {
        Self { file_type: FileType::Directory, mode, rdev: 0, target: None, exclusive: true }
    }
}

impl<'a> NewNode<'a> {
    /// A new symbolic link.
    #[must_use]
    pub const fn symlink(target: &'a [u8]) -> Self {
        Self { file_type: FileType::Symlink, mode: 0o777, rdev: 0, target: Some(target), exclusive: true }
    }
}

/// A time to be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetTime {
    /// The present.
    Now,
    /// This time.
    At(Nanos),
}

/// Attributes to be changed; what is `None` stays. The time of the last change becomes the present unless it is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetAttributes {
    /// Permissions, set-id and sticky bits.
    pub mode: Option<u32>,
    /// The user that owns it. A new owner takes the set-id bits away, unless `mode` is given with it.
    pub uid: Option<u32>,
    /// The group that owns it, as `uid`.
    pub gid: Option<u32>,
    /// Cuts or extends the content; what is new reads as zeros.
    pub size: Option<u64>,
    /// Last read.
    pub atime: Option<SetTime>,
    /// Last change of the content.
    pub mtime: Option<SetTime>,
    /// Last change of anything.
    pub ctime: Option<Nanos>,
    /// The set-id bits are taken away, as a write or cut by somebody else than the owner does.
    pub kill_set_id: bool,
}

/// How something is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// See [`SetAttributes::kill_set_id`].
    pub kill_set_id: bool,
    /// The times stay: the kernel writes back what it cached and sets the times of it itself.
    pub keep_times: bool,
}

/// How a file is renamed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RenameFlags {
    /// It is an error when the new name is taken.
    pub no_replace: bool,
    /// The two names change places.
    pub exchange: bool,
}

/// What `fallocate` does with a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocate {
    /// There is room for it, and the file reaches at least to its end.
    Extend,
    /// There is room for it; the size stays.
    KeepSize,
    /// It becomes a hole; the size stays.
    PunchHole,
    /// It reads as zeros, and the file reaches at least to its end unless the size is kept.
    ZeroRange {
        /// The size stays.
        keep_size: bool,
    },
}

/// What is looked for from an offset on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seek {
    /// The next data.
    Data,
    /// The next hole; the end of the file counts as one.
    Hole,
}

impl Seek {
    /// What is found in a file without holes, if its end is not reached.
    #[must_use]
    pub fn in_data(self, offset: u64, size: u64) -> Option<u64> {
        let found = match self {
            Self::Data => offset,
            Self::Hole => size,
        };
        (offset < size).then_some(found)
    }
}

/// How an extended attribute is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum XattrMode {
    /// Whether it is there or not.
    #[default]
    Any,
    /// It must not be there.
    Create,
    /// It must be there.
    Replace,
}

/// A place in a directory from which a listing goes on. The beginning is 0; the cursor of an entry is at least
/// [`FIRST_CURSOR`] and at most `i64::MAX`, and the same as long as the name is there, whatever comes and goes beside it.
pub type Cursor = u64;

/// No cursor of an entry is smaller, so that there is room for `.` and `..`.
pub const FIRST_CURSOR: Cursor = 16;

/// One name of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListEntry<'a> {
    /// The name.
    pub name: &'a [u8],
    /// From where a listing goes on behind this entry.
    pub cursor: Cursor,
    /// The file.
    pub ino: Ino,
    /// What it is.
    pub file_type: FileType,
}

/// What others than the caller have changed, for whoever caches what the file system said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invalidation {
    /// Anything: it could not be found out what.
    All,
    /// Attributes and content of a file. Its names follow, those that it had and those that it has; of a directory only those that
    /// are not both.
    Inode(Ino),
    /// The same, of a file that [`Watch::replaced`](super::Watch::replaced) was told of.
    Replaced(Ino),
    /// A name of a directory: it leads elsewhere, or to something that has changed.
    Name(Ino, Vec<u8>),
}
