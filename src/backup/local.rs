//! A repository in a folder of this machine.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use super::destination::{Destination, Folder, missing};
use super::error::{BackupError, Result};

const TEMPORARY: &str = "tmp";

/// A folder of this machine.
pub struct LocalFolder {
    dir: PathBuf,
    /// Counts temporary files, so that two threads never write to one.
    next: AtomicU64,
}

impl LocalFolder {
    /// The folder, which need not be there yet.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), next: AtomicU64::new(0) }
    }

    fn folder(&self, folder: Folder) -> PathBuf {
        if folder == Folder::Root { self.dir.clone() } else { self.dir.join(folder.name()) }
    }

    fn write_as(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let temporary_dir = self.dir.join(TEMPORARY);
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let temporary = temporary_dir.join(format!("{}-{number}", std::process::id()));
        let create = || fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary);
        let parent = path.parent().unwrap_or(Path::new("."));
        let mut file = match create() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_dir(&temporary_dir)?;
                create()?
            }
            other => other?,
        };
        let written = file.write_all(content).and_then(|()| file.sync_all());
        drop(file);
        let renamed = written.and_then(|()| match fs::rename(&temporary, path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_dir(parent)?;
                fs::rename(&temporary, path)
            }
            other => other,
        });
        if let Err(error) = renamed {
            // What is left counts for nothing, and its room may be what is missing.
            let _ = fs::remove_file(&temporary);
            return Err(error);
        }
        File::open(parent)?.sync_all()
    }
}

/// Makes a folder that is private to its user, and those above it; its name is on disk when this returns.
fn make_dir(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    File::open(dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))?.sync_all()
}

impl Destination for LocalFolder {
    fn location(&self) -> String {
        self.dir.display().to_string()
    }

    fn list(&self, folder: Folder) -> Result<Vec<(String, u64)>> {
        let dir = self.folder(folder);
        let failed = |source| BackupError::Io { location: dir.display().to_string(), source };
        let entries = match fs::read_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(failed)?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let metadata = match entry.metadata() {
                // It went while it was looked at.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other.map_err(failed)?,
            };
            if metadata.is_file() {
                files.push((entry.file_name().to_string_lossy().into_owned(), metadata.len()));
            }
        }
        files.sort_unstable();
        Ok(files)
    }

    fn read(&self, folder: Folder, name: &str) -> Result<Vec<u8>> {
        let path = self.folder(folder).join(name);
        fs::read(&path).map_err(|source| of_reading(source, folder, name, &path))
    }

    fn read_part(&self, folder: Folder, name: &str, offset: u64, len: usize) -> Result<Vec<u8>> {
        let path = self.folder(folder).join(name);
        let mut bytes = vec![0; len];
        let read = File::open(&path).and_then(|file| file.read_exact_at(&mut bytes, offset));
        match read {
            Ok(()) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(BackupError::corrupt(folder.shown(name), "it is shorter than it was"))
            }
            Err(error) => Err(of_reading(error, folder, name, &path)),
        }
    }

    fn write(&self, folder: Folder, name: &str, content: &[u8]) -> Result<()> {
        let path = self.folder(folder).join(name);
        self.write_as(&path, content).map_err(|source| BackupError::Io { location: path.display().to_string(), source })
    }

    fn remove(&self, folder: Folder, name: &str) -> Result<()> {
        let path = self.folder(folder).join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(BackupError::Io { location: path.display().to_string(), source: error })
            }
            _ => Ok(()),
        }
    }

    fn clean(&self, older_than: u64) -> Result<()> {
        let dir = self.dir.join(TEMPORARY);
        let Ok(entries) = fs::read_dir(&dir) else { return Ok(()) };
        let before = SystemTime::now().checked_sub(Duration::from_secs(older_than));
        for entry in entries.flatten() {
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            if modified.ok().zip(before).is_some_and(|(modified, before)| modified <= before) {
                match fs::remove_file(entry.path()) {
                    Err(source) if source.kind() != io::ErrorKind::NotFound => {
                        return Err(BackupError::Io { location: entry.path().display().to_string(), source });
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

fn of_reading(source: io::Error, folder: Folder, name: &str, path: &Path) -> BackupError {
    if source.kind() == io::ErrorKind::NotFound {
        return missing(folder, name);
    }
    BackupError::Io { location: path.display().to_string(), source }
}
