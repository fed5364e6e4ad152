//! A repository in a folder of this machine.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::record::id::{IdSource, SystemIds};
use crate::storage::{Aligned, FileAccess, Opening, SystemFiles};

use super::destination::{Destination, Folder, missing};
use super::error::{BackupError, Result};

const TEMPORARY: &str = "tmp";

/// A folder of this machine.
pub struct LocalFolder {
    dir: PathBuf,
}

impl LocalFolder {
    /// The folder, which need not be there yet.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    fn folder(&self, folder: Folder) -> PathBuf {
        if folder == Folder::Root { self.dir.clone() } else { self.dir.join(folder.name()) }
    }

    /// Writes a file under a temporary name, and gives it its name by `rename`.
    fn write_as(&self, path: &Path, content: &[u8], rename: impl Fn(&Path, &Path) -> io::Result<()>) -> io::Result<()> {
        let temporary_dir = self.dir.join(TEMPORARY);
        // No two writers have one name, whatever machines or containers they are on.
        let mut number = [0; 8];
        SystemIds.fill(&mut number).map_err(io::Error::other)?;
        let temporary = temporary_dir.join(format!("{:016x}", u64::from_be_bytes(number)));
        let parent = path.parent().unwrap_or(Path::new("."));
        let written = match write_new(&temporary, content) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_dir(&temporary_dir)?;
                write_new(&temporary, content)
            }
            other => other,
        };
        let renamed = written.and_then(|()| match rename(&temporary, path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_dir(parent)?;
                rename(&temporary, path)
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

/// Writes a new file, which is on disk when this returns.
fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let file = SystemFiles.open(path, Opening::Fill)?;
    let (mut part, mut rest, mut end) = (Aligned::default(), content, 0);
    while !rest.is_empty() {
        rest = part.fill(rest);
        file.write_at(&part, end)?;
        end += part.len() as u64;
        part.clear();
    }
    file.sync()
}

/// Makes a folder that is private to its user, and those above it; its name is on disk when this returns.
fn make_dir(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    File::open(dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))?.sync_all()
}

/// Gives a file a name that no other one has.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not every file system can.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => fs::rename(from, to),
        renamed => Ok(renamed?),
    }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> BackupError + '_ {
    move |source| BackupError::Io { location: path.display().to_string(), source }
}

impl Destination for LocalFolder {
    fn location(&self) -> String {
        self.dir.display().to_string()
    }

    fn list(&self, folder: Folder) -> Result<Vec<(String, u64)>> {
        let dir = self.folder(folder);
        let entries = match fs::read_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(failed(&dir))?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed(&dir))?;
            let metadata = match entry.metadata() {
                // It went while it was looked at.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other.map_err(failed(&dir))?,
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
        if folder != Folder::Root {
            return self.write_as(&path, content, |from, to| fs::rename(from, to)).map_err(failed(&path));
        }
        match self.write_as(&path, content, rename_new) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(BackupError::Occupied { location: self.location(), what: "a backup repository" })
            }
            written => written.map_err(failed(&path)),
        }
    }

    fn remove(&self, folder: Folder, name: &str) -> Result<()> {
        let path = self.folder(folder).join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(&path)(error)),
            _ => Ok(()),
        }
    }

    fn clean(&self, older_than: u64) -> Result<()> {
        let dir = self.dir.join(TEMPORARY);
        let Ok(entries) = fs::read_dir(&dir) else { return Ok(()) };
        let before = SystemTime::now().checked_sub(Duration::from_secs(older_than));
        for entry in entries.flatten().filter(|entry| is_temporary(&entry.file_name())) {
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            if modified.ok().zip(before).is_some_and(|(modified, before)| modified <= before) {
                match fs::remove_file(entry.path()) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&entry.path())(error)),
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

/// A name such as [`LocalFolder::write_as`] gives: other files in a folder `tmp` are somebody's.
fn is_temporary(name: &OsStr) -> bool {
    name.len() == 16 && name.as_bytes().iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn of_reading(source: io::Error, folder: Folder, name: &str, path: &Path) -> BackupError {
    if source.kind() == io::ErrorKind::NotFound {
        return missing(folder, name);
    }
    failed(path)(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Handles on one folder, in one process or in two with the same number, do not write to each other's temporary files.
    #[test]
    fn several_handles_write_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let name = |thread: usize, n: usize| format!("{thread}-{n}");
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let folder = LocalFolder::new(dir.path());
                scope.spawn(move || {
                    for n in 0..50 {
                        folder.write(Folder::Packs, &name(thread, n), &vec![b'0'; 1 << (8 + thread)]).unwrap();
                    }
                });
            }
        });
        let folder = LocalFolder::new(dir.path());
        for (thread, n) in (0..4).flat_map(|thread| (0..50).map(move |n| (thread, n))) {
            assert_eq!(folder.read(Folder::Packs, &name(thread, n)).unwrap().len(), 1 << (8 + thread));
        }
    }
}
