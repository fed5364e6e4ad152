//! What the kernel calls things, and what the engine calls them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{Errno, FileAttr, FileType as Kind, INodeNo, TimeOrNow};
use mirrordna::artifacts::{Attributes, FileType, ListEntry, Seek, SetTime};

use crate::fs::BLOCK;

/// Attributes as the kernel wants them.
pub(crate) fn attr(attributes: &Attributes) -> FileAttr {
    FileAttr {
        ino: INodeNo(attributes.ino),
        size: attributes.size,
        blocks: attributes.blocks,
        atime: system_time(attributes.atime),
        mtime: system_time(attributes.mtime),
        ctime: system_time(attributes.ctime),
        crtime: system_time(attributes.btime),
        kind: kind(attributes.file_type),
        // Twelve bits.
        perm: u16::try_from(attributes.mode & 0o7777).unwrap_or_default(),
        nlink: attributes.nlink,
        uid: attributes.uid,
        gid: attributes.gid,
        rdev: attributes.rdev,
        blksize: BLOCK,
        flags: 0,
    }
}

/// What says that there is nothing of a name: the number 0, which may be kept.
pub(super) fn absent() -> FileAttr {
    FileAttr {
        ino: INodeNo(0),
        size: 0,
        blocks: 0,
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind: Kind::RegularFile,
        perm: 0,
        nlink: 0,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: BLOCK,
        flags: 0,
    }
}

/// What stands for the attributes of a file whose inode is damaged.
pub(super) fn unknown(entry: &ListEntry<'_>) -> Attributes {
    Attributes {
        ino: entry.ino,
        file_type: entry.file_type,
        mode: 0,
        uid: 0,
        gid: 0,
        rdev: 0,
        nlink: 1,
        size: 0,
        blocks: 0,
        atime: 0,
        mtime: 0,
        ctime: 0,
        btime: 0,
    }
}

pub(crate) fn kind(kind: FileType) -> Kind {
    match kind {
        FileType::Regular => Kind::RegularFile,
        FileType::Directory => Kind::Directory,
        FileType::Symlink => Kind::Symlink,
        FileType::Fifo => Kind::NamedPipe,
        FileType::Socket => Kind::Socket,
        FileType::CharDevice => Kind::CharDevice,
        FileType::BlockDevice => Kind::BlockDevice,
    }
}

/// Where `lseek` begins to look, and what it looks for.
pub(crate) fn place(offset: i64, whence: i32) -> Option<(u64, Seek)> {
    let what = match whence {
        libc::SEEK_DATA => Seek::Data,
        libc::SEEK_HOLE => Seek::Hole,
        _ => return None,
    };
    Some((u64::try_from(offset).ok()?, what))
}

/// The type that the mode of a new node names.
pub(super) fn kind_of_mode(mode: u32) -> Result<FileType, Errno> {
    match mode & libc::S_IFMT {
        libc::S_IFREG => Ok(FileType::Regular),
        libc::S_IFIFO => Ok(FileType::Fifo),
        libc::S_IFSOCK => Ok(FileType::Socket),
        libc::S_IFCHR => Ok(FileType::CharDevice),
        libc::S_IFBLK => Ok(FileType::BlockDevice),
        _ => Err(Errno::EINVAL),
    }
}

/// Nanoseconds since 1970 as a time. What is beyond its range becomes its end.
fn system_time(nanos: i128) -> SystemTime {
    let (whole, part) = (nanos.unsigned_abs() / 1_000_000_000, nanos.unsigned_abs() % 1_000_000_000);
    let seconds = u64::try_from(whole).unwrap_or(u64::MAX).min(i64::MAX.unsigned_abs() - 1);
    let distance = Duration::new(seconds, u32::try_from(part).unwrap_or_default());
    let time = if nanos < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
    time.unwrap_or(UNIX_EPOCH)
}

/// A time that `fuser` gives, as nanoseconds since 1970. The kernel counts nanoseconds forwards from a second that may lie
/// before 1970; `fuser` counts both backwards from 1970, so what it gives is turned round.
pub(super) fn nanos(time: SystemTime) -> i128 {
    let count = |distance: Duration| (i128::from(distance.as_secs()), i128::from(distance.subsec_nanos()));
    match time.duration_since(UNIX_EPOCH) {
        Ok(distance) => {
            let (seconds, nanos) = count(distance);
            seconds * 1_000_000_000 + nanos
        }
        Err(before) => {
            let (seconds, nanos) = count(before.duration());
            -seconds * 1_000_000_000 + nanos
        }
    }
}

pub(super) fn set_time(time: TimeOrNow) -> SetTime {
    match time {
        TimeOrNow::Now => SetTime::Now,
        TimeOrNow::SpecificTime(time) => SetTime::At(nanos(time)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_are_turned_round() {
        // The kernel's second -2 and half a second.
        let from_fuser = UNIX_EPOCH - Duration::new(2, 500_000_000);
        assert_eq!(nanos(from_fuser), -1_500_000_000);
        assert_eq!(system_time(-1_500_000_000), UNIX_EPOCH - Duration::new(1, 500_000_000));
        assert_eq!(nanos(system_time(1_234_567_891_011_121_314)), 1_234_567_891_011_121_314);
    }

    #[test]
    fn times_beyond_the_range_do_not_fail() {
        for nanos in [i128::MAX, i128::MIN, i128::from(i64::MAX) * 1_000_000_000] {
            let _ = system_time(nanos);
        }
    }
}
