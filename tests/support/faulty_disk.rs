//! A disk that is full, says that it is not, or loses what is written.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use mirrordna::storage::{DataFile, FileAccess, Opening, SystemFiles};

/// A disk with so much room for content.
#[derive(Default)]
pub(crate) struct Disk {
    pub(crate) free: AtomicU64,
    /// It says that there is always room.
    pub(crate) lies: AtomicBool,
    /// What is written does not get there.
    pub(crate) fails: AtomicBool,
}

struct OnDisk(Arc<dyn DataFile>, Arc<Disk>);

impl DataFile for OnDisk {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_at(bytes, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let take = |free: u64| free.checked_sub(bytes.len() as u64);
        match self.1.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
            Ok(_) => self.0.write_at(bytes, offset),
            Err(_) => Err(io::Error::from_raw_os_error(28)),
        }
    }

    fn sync(&self) -> io::Result<()> {
        if self.1.fails.load(Ordering::Relaxed) { Err(io::Error::from_raw_os_error(5)) } else { self.0.sync() }
    }

    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }
}

/// The files of a vault, with the content of artifacts on such a disk.
pub(crate) struct Files(pub(crate) Arc<Disk>);

impl FileAccess for Files {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        SystemFiles.read(path)
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        SystemFiles.write(path, content)
    }

    fn open(&self, path: &Path, opening: Opening) -> io::Result<Arc<dyn DataFile>> {
        Ok(Arc::new(OnDisk(SystemFiles.open(path, opening)?, Arc::clone(&self.0))))
    }

    fn space(&self, _: &Path) -> io::Result<(u64, u64)> {
        let free = if self.0.lies.load(Ordering::Relaxed) { 1 << 40 } else { self.0.free.load(Ordering::Relaxed) };
        Ok((1 << 40, free))
    }
}
