//! Access to the files of a vault that are not RocksDB's, behind a trait, so that a test can make any of it fail.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

/// How a file of data is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// To be read.
    Read,
    /// To be read and written; it is there.
    Write,
    /// To be read and written; it is not there yet.
    Create,
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

impl DataFile for File {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(bytes, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
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
        options.read(true).write(opening != Opening::Read).create_new(opening == Opening::Create).mode(0o600);
        Ok(Arc::new(options.open(path)?))
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
