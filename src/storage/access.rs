//! Access to the files of a vault that are not RocksDB's, behind a trait, so that a test can make any of it fail.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::num::NonZeroU64;
use std::ops::Deref;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fs::{Advice, OFlags, fcntl_setfl};
use rustix::io::Errno;

/// How a file of data is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// To be read.
    Read,
    /// To be read and written; it is there.
    Write,
    /// To be read and written; it is not there yet.
    Create,
    /// To be written from its beginning to its end, and not to be read soon; it is not there yet. What is [`Aligned`] goes past the page
    /// cache, if the file system has a way: copying into fresh pages takes up to a third of the time of a backup, and pushes out of memory
    /// what others read.
    Fill,
}

/// An open file that is read and written at places.
pub trait DataFile: Send + Sync {
    /// Fills `bytes` from a place on.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] when the file ends before, and those of the operating system.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all of `bytes` at a place.
    ///
    /// # Errors
    /// Those of the operating system; some of the bytes may have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Returns when everything that was written is on disk.
    ///
    /// # Errors
    /// Those of the operating system; then it is not known what is on disk.
    fn sync(&self) -> io::Result<()>;

    /// The length in bytes.
    ///
    /// # Errors
    /// Those of the operating system.
    fn size(&self) -> io::Result<u64>;
}

/// Reads smaller than this are left to the operating system.
const LARGE_READ: u64 = 64 << 10;
/// Reads that begin within this distance of each other belong together.
const NEAR: u64 = 2 << 20;
/// How far is read ahead of reads that belong together.
const AHEAD: u64 = 4 << 20;

/// A file of the operating system.
///
/// Several threads that read one file in order read parts of it in turns. That looks like no order to the operating system,
/// which then reads nothing ahead: what it is going to need, it is told here.
struct SystemFile {
    file: File,
    /// Where the last large read began.
    last: AtomicU64,
    /// Up to where the operating system was told.
    told: AtomicU64,
    /// It is one to fill.
    filled: bool,
    /// What is written goes past the page cache.
    direct: AtomicBool,
}

impl SystemFile {
    fn new(file: File, opening: Opening) -> Self {
        let filled = opening == Opening::Fill;
        // Not every file system can.
        let direct = AtomicBool::new(filled && fcntl_setfl(&file, OFlags::DIRECT).is_ok());
        Self { file, last: AtomicU64::new(u64::MAX), told: AtomicU64::new(0), filled, direct }
    }

    /// Has the operating system begin to read what will be read next, if that can be foreseen.
    fn read_ahead(&self, offset: u64, len: u64) {
        if len < LARGE_READ {
            return;
        }
        let last = self.last.swap(offset, Ordering::Relaxed);
        let end = offset.saturating_add(len);
        let told = self.told.load(Ordering::Relaxed);
        if let Some((from, to)) = next_part(last, offset, end, told) {
            self.told.store(to, Ordering::Relaxed);
            // Without it reading is only slower.
            let _ = rustix::fs::fadvise(&self.file, from, NonZeroU64::new(to - from), Advice::WillNeed);
        }
    }
}

/// What to read ahead of a read from `offset` to `end`, after one at `last`, when everything before `told` is under way.
fn next_part(last: u64, offset: u64, end: u64, told: u64) -> Option<(u64, u64)> {
    let goes_on = offset.abs_diff(last) <= NEAR;
    let under_way = told.checked_sub(end).filter(|ahead| *ahead <= AHEAD);
    match under_way {
        _ if !goes_on => None,
        Some(ahead) if ahead > AHEAD / 2 => None,
        Some(_) => Some((told, end.saturating_add(AHEAD))),
        None => Some((end, end.saturating_add(AHEAD))),
    }
}

impl DataFile for SystemFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_ahead(offset, bytes.len() as u64);
        self.file.read_exact_at(bytes, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let written = self.file.write_all_at(bytes, offset);
        let refused = |error: &io::Error| error.raw_os_error() == Some(Errno::INVAL.raw_os_error());
        if written.as_ref().is_err_and(refused) && self.direct.swap(false, Ordering::Relaxed) {
            // The end of a file, or a file system that wants to be asked in another way: the cache can do it.
            fcntl_setfl(&self.file, OFlags::empty())?;
            return self.file.write_all_at(bytes, offset);
        }
        written
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()?;
        if self.filled {
            // What went through the cache need not stay there. Without this others only have less memory.
            let _ = rustix::fs::fadvise(&self.file, 0, None, Advice::DontNeed);
        }
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}

/// How much is written past the page cache at once: 2 MiB.
const PART_BYTES: usize = 2 << 20;
/// Where in memory it has to begin, and in the file, at a multiple of this. The largest that any device asks for.
const ALIGNMENT: usize = 4 << 10;

/// Up to 2 MiB that lie where the operating system wants what goes past its page cache to lie: see [`Opening::Fill`].
pub struct Aligned {
    room: Vec<u8>,
    start: usize,
    len: usize,
}

impl Default for Aligned {
    fn default() -> Self {
        let room = vec![0; PART_BYTES + ALIGNMENT];
        // The farthest that a multiple can be is within the room.
        let start = room.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        Self { room, start, len: 0 }
    }
}

impl Aligned {
    /// Puts as many bytes behind those that are here as there is room for, and gives the others back.
    pub fn fill<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let (now, later) = bytes.split_at(bytes.len().min(PART_BYTES - self.len));
        let from = self.start + self.len;
        if let Some(free) = self.room.get_mut(from..from + now.len()) {
            free.copy_from_slice(now);
        }
        self.len += now.len();
        later
    }

    /// There is no more room.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len == PART_BYTES
    }

    /// Forgets what is here.
    pub fn clear(&mut self) {
        self.len = 0;
    }
}

impl Deref for Aligned {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.room.get(self.start..self.start + self.len).unwrap_or_default()
    }
}

/// Access to the files of a vault that are not RocksDB's. Tests give one that fails; what they leave out is done by the
/// operating system.
pub trait FileAccess: Send + Sync {
    /// The content of a file.
    ///
    /// # Errors
    /// Those of the operating system.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Writes a file so that a power cut leaves either its old content or its new content, and only returns when the new
    /// content is on disk: write a temporary file, fsync it, rename it, fsync the directory.
    ///
    /// # Errors
    /// Those of the operating system.
    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()>;

    /// Writes new content of the same length over that of a file, and only returns when it is on disk. A power cut may
    /// leave the file torn. This is one fsync, where [`FileAccess::write`] takes two.
    ///
    /// # Errors
    /// Those of the operating system; `NotFound` when there is no such file.
    fn overwrite(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).open(path)?;
        file.write_all(content)?;
        file.set_len(content.len() as u64)?;
        file.sync_data()
    }

    /// Opens a file of data.
    ///
    /// # Errors
    /// Those of the operating system.
    fn open(&self, path: &Path, opening: Opening) -> io::Result<Arc<dyn DataFile>> {
        let mut options = OpenOptions::new();
        let create = matches!(opening, Opening::Create | Opening::Fill);
        options.read(true).write(opening != Opening::Read).create_new(create).mode(0o600);
        Ok(Arc::new(SystemFile::new(options.open(path)?, opening)))
    }

    /// Makes a directory that is private to its user, if it is not there, and only returns when it is on disk.
    ///
    /// # Errors
    /// Those of the operating system.
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        match fs::DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
            Ok(()) => self.sync_dir(path.parent().unwrap_or(Path::new("."))),
        }
    }

    /// The names in a directory.
    ///
    /// # Errors
    /// Those of the operating system.
    fn names(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name())).collect()
    }

    /// Returns when the names in a directory are on disk.
    ///
    /// # Errors
    /// Those of the operating system.
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    /// Removes a file.
    ///
    /// # Errors
    /// Those of the operating system.
    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    /// All bytes of the file system that holds a directory, and those that this user may still fill.
    ///
    /// # Errors
    /// Those of the operating system.
    fn space(&self, dir: &Path) -> io::Result<(u64, u64)> {
        let stat = rustix::fs::statvfs(dir)?;
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        Ok((bytes(stat.f_blocks), bytes(stat.f_bavail)))
    }
}

/// The file system of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemFiles;

impl FileAccess for SystemFiles {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".tmp");
        let mut file = File::create(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1 << 20;

    /// Wherever a file ends that is filled, and whatever the parts are that it is written in.
    #[test]
    fn a_file_that_is_filled_is_what_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let part = PART_BYTES;
        for (n, len) in [0, 1, part - 1, part, part + 1, 2 * part + ALIGNMENT, 3 * part + 777].into_iter().enumerate() {
            let content: Vec<u8> = (0..len as u64).map(|n| (n * n / 7).to_le_bytes()[1]).collect();
            let path = dir.path().join(n.to_string());
            let file = SystemFiles.open(&path, Opening::Fill).unwrap();
            let (mut aligned, mut rest, mut end) = (Aligned::default(), &content[..], 0);
            while !rest.is_empty() {
                rest = aligned.fill(rest);
                file.write_at(&aligned, end).unwrap();
                end += aligned.len() as u64;
                aligned.clear();
            }
            assert_eq!(end, len as u64);
            file.sync().unwrap();
            assert!(fs::read(&path).unwrap() == content, "{len} bytes");
            assert!(SystemFiles.open(&path, Opening::Fill).is_err(), "it is there");
        }
    }

    #[test]
    fn reads_that_go_on_have_what_follows_read_ahead_and_no_others() {
        assert_eq!(next_part(u64::MAX, 0, MB, 0), None, "the first read says nothing");
        assert_eq!(next_part(0, MB, 2 * MB, 0), Some((2 * MB, 6 * MB)));
        // Another thread, a little behind or ahead of it.
        assert_eq!(next_part(MB, 0, MB, 6 * MB), Some((MB, 5 * MB)), "what lies far ahead is none of its business");
        assert_eq!(next_part(2 * MB, 3 * MB, 4 * MB, 6 * MB), Some((6 * MB, 8 * MB)));
        assert_eq!(next_part(3 * MB, 4 * MB, 5 * MB, 8 * MB), None, "enough is under way");
        assert_eq!(next_part(4 * MB, 40 * MB, 41 * MB, 8 * MB), None, "somewhere else");
    }
}
