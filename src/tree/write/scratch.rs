//! Scratch files: what lies beside the records under names that are no records' names. Swap files, backups, what is written
//! first and renamed then.
//!
//! They are ordinary files in `scratch/` of the vault's directory, no part of the log, of snapshots or of `SHA256SUMS`. They
//! outlive the mount, so an editor finds its swap file again after a crash. Of several processes that show the same vault,
//! one has that directory; the others keep theirs in a temporary one, gone with them.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tempfile::{NamedTempFile, TempDir};

use crate::record::{Kind, Timestamp};
use crate::vault::{Error, Result, Tier};

use super::super::node::Directory;
use super::draft::MOST;
use super::names::holds_records;
use super::{Refusal, Written};

/// The name of the directory in that of the vault.
const NAME: &str = "scratch";
/// How the names of files begin that are only on their way to a name.
const COMING: &str = ".coming-";

/// A scratch file, whatever its name is at the moment.
pub struct ScratchFile {
    number: u64,
    /// Where it lies; nowhere when it was removed.
    place: Mutex<Option<(Directory, String)>>,
    /// The file, while somebody has it open.
    open: Mutex<Weak<File>>,
}

impl ScratchFile {
    fn new(number: u64, directory: Directory, name: &str) -> Arc<Self> {
        Arc::new(Self { number, place: Mutex::new(Some((directory, name.to_owned()))), open: Mutex::default() })
    }

    /// The number that no other one has.
    pub(in crate::tree) fn number(&self) -> u64 {
        self.number
    }

    /// Its path in the tree, for messages.
    pub(super) fn path(&self) -> String {
        match &*lock(&self.place) {
            Some((directory, name)) => format!("{directory}{name}"),
            None => "a removed file".to_owned(),
        }
    }
}

impl PartialEq for ScratchFile {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for ScratchFile {}

impl Hash for ScratchFile {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.number.hash(state);
    }
}

impl std::fmt::Debug for ScratchFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}#{}", self.path(), self.number)
    }
}

type Files = HashMap<Directory, BTreeMap<String, Arc<ScratchFile>>>;

/// The scratch files of a vault.
pub(in crate::tree) struct Scratch {
    dir: PathBuf,
    /// Held as long as this process has the directory.
    _held: Held,
    files: Mutex<Files>,
    numbers: Arc<AtomicU64>,
}

enum Held {
    Locked { _lock: File },
    Temporary { _dir: TempDir },
}

impl Scratch {
    /// The scratch files of the vault in `vault`; of none when it lies in no directory or another process has them.
    pub(super) fn open(vault: Option<&Path>, numbers: &Arc<AtomicU64>) -> Result<Self> {
        let held = vault.map(|vault| hold(&vault.join(NAME))).transpose()?.flatten();
        let (dir, held) = if let Some((dir, lock)) = held {
            (dir, Held::Locked { _lock: lock })
        } else {
            let temporary = tempfile::tempdir().map_err(|error| failed(&std::env::temp_dir(), error))?;
            (temporary.path().to_owned(), Held::Temporary { _dir: temporary })
        };
        let scratch = Self { dir, _held: held, files: Mutex::default(), numbers: Arc::clone(numbers) };
        scratch.load()?;
        Ok(scratch)
    }

    /// Finds what a process before this one left.
    fn load(&self) -> Result<()> {
        let mut files = lock(&self.files);
        for directory in directories() {
            let folder = self.folder(directory);
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failed(&folder, error)),
            };
            for entry in entries {
                let entry = entry.map_err(|error| failed(&folder, error))?;
                let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
                let Some(name) = entry.file_name().to_str().filter(|_| is_file).map(str::to_owned) else { continue };
                let file = ScratchFile::new(self.number(), directory, &name);
                files.entry(directory).or_default().insert(name, file);
            }
        }
        Ok(())
    }

    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn folder(&self, directory: Directory) -> PathBuf {
        self.dir.join(directory.to_string())
    }

    fn on_disk(&self, directory: Directory, name: &str) -> PathBuf {
        self.folder(directory).join(name)
    }

    pub(super) fn find(&self, directory: Directory, name: &str) -> Option<Arc<ScratchFile>> {
        lock(&self.files).get(&directory)?.get(name).cloned()
    }

    /// The files of a directory, in order of the name.
    pub(super) fn list(&self, directory: Directory) -> Vec<(String, Arc<ScratchFile>)> {
        let files = lock(&self.files);
        let files = files.get(&directory).into_iter().flatten();
        files.map(|(name, file)| (name.clone(), Arc::clone(file))).collect()
    }

    /// Makes a new, empty file.
    pub(super) fn create(&self, directory: Directory, name: &str) -> Written<(Arc<ScratchFile>, Arc<File>)> {
        let mut files = lock(&self.files);
        let made = self.make_folder(directory).and_then(|()| {
            let mut options = File::options();
            options.read(true).write(true).create_new(true).mode(0o600);
            options.open(self.on_disk(directory, name))
        });
        let opened = Arc::new(made.map_err(|error| refused(directory, name, error))?);
        let file = ScratchFile::new(self.number(), directory, name);
        *lock(&file.open) = Arc::downgrade(&opened);
        files.entry(directory).or_default().insert(name.to_owned(), Arc::clone(&file));
        Ok((file, opened))
    }

    /// Puts a whole file under a name, instead of one that may be there. Returns the new one and the old one.
    pub(super) fn put(
        &self,
        directory: Directory,
        name: &str,
        bytes: &[u8],
        time: Timestamp,
    ) -> Written<(Arc<ScratchFile>, Option<Arc<ScratchFile>>)> {
        let mut files = lock(&self.files);
        let made = self.make_folder(directory).and_then(|()| {
            let mut coming = tempfile::Builder::new().prefix(COMING).tempfile_in(&self.dir)?;
            coming.write_all(bytes)?;
            coming.as_file().set_modified(system_time(time))?;
            NamedTempFile::persist(coming, self.on_disk(directory, name)).map_err(|error| error.error)
        });
        made.map_err(|error| refused(directory, name, error))?;
        let file = ScratchFile::new(self.number(), directory, name);
        let old = files.entry(directory).or_default().insert(name.to_owned(), Arc::clone(&file));
        if let Some(old) = &old {
            *lock(&old.place) = None;
        }
        Ok((file, old))
    }

    /// Removes a file. Who has it open can go on with it.
    pub(super) fn remove(&self, directory: Directory, name: &str) -> Written<()> {
        let mut files = lock(&self.files);
        match fs::remove_file(self.on_disk(directory, name)) {
            Ok(()) => {}
            // Somebody took it away on disk: it is what was asked for.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(refused(directory, name, error)),
        }
        if let Some(file) = files.get_mut(&directory).and_then(|files| files.remove(name)) {
            *lock(&file.place) = None;
        }
        Ok(())
    }

    /// Renames a file, and returns the one that had the new name.
    pub(super) fn rename(&self, from: (Directory, &str), to: (Directory, &str)) -> Written<Option<Arc<ScratchFile>>> {
        let mut files = lock(&self.files);
        let moved =
            self.make_folder(to.0).and_then(|()| fs::rename(self.on_disk(from.0, from.1), self.on_disk(to.0, to.1)));
        moved.map_err(|error| refused(from.0, from.1, error))?;
        let Some(file) = files.get_mut(&from.0).and_then(|files| files.remove(from.1)) else { return Ok(None) };
        *lock(&file.place) = Some((to.0, to.1.to_owned()));
        let old = files.entry(to.0).or_default().insert(to.1.to_owned(), file);
        if let Some(old) = &old {
            *lock(&old.place) = None;
        }
        Ok(old)
    }

    /// Makes the names durable that the files have.
    pub(super) fn sync(&self) -> Written<()> {
        let folders: Vec<Directory> = lock(&self.files).keys().copied().collect();
        for directory in folders {
            let synced = File::open(self.folder(directory)).and_then(|folder| folder.sync_all());
            synced.or_else(|error| match error.kind() {
                io::ErrorKind::NotFound => Ok(()),
                _ => Err(refused(directory, "", error)),
            })?;
        }
        Ok(())
    }

    /// The file, open for reading and writing.
    pub(super) fn file(&self, scratch: &ScratchFile) -> Written<Arc<File>> {
        let mut open = lock(&scratch.open);
        if let Some(file) = open.upgrade() {
            return Ok(file);
        }
        let place = lock(&scratch.place).clone();
        let Some((directory, name)) = place else { return Err(Refusal::Missing { path: scratch.path() }) };
        let opened = File::options().read(true).write(true).open(self.on_disk(directory, &name));
        let file = Arc::new(opened.map_err(|error| refused(directory, &name, error))?);
        *open = Arc::downgrade(&file);
        Ok(file)
    }

    /// Its length, and when it was changed.
    pub(in crate::tree) fn stat(&self, scratch: &ScratchFile) -> Written<(u64, Timestamp)> {
        let file = self.file(scratch)?;
        let found = file.metadata().and_then(|found| Ok((found.len(), found.modified()?)));
        let (len, modified) = found.map_err(|error| Refusal::Vault {
            path: scratch.path(),
            source: failed(Path::new(&scratch.path()), error),
        })?;
        Ok((len, timestamp(modified)))
    }

    /// The whole text, when it is not too long to be that of a record.
    pub(super) fn read(&self, scratch: &ScratchFile) -> Written<Vec<u8>> {
        let (len, _) = self.stat(scratch)?;
        let wanted = usize::try_from(len).ok().filter(|_| len <= MOST);
        let wanted = wanted.ok_or_else(|| Refusal::TooLarge { path: scratch.path(), limit: MOST })?;
        let mut text = vec![0; wanted];
        let read = self.file(scratch)?.read_exact_at(&mut text, 0);
        read.map_err(|error| Refusal::Vault {
            source: failed(Path::new(&scratch.path()), error),
            path: scratch.path(),
        })?;
        Ok(text)
    }

    fn make_folder(&self, directory: Directory) -> io::Result<()> {
        private().recursive(true).create(self.folder(directory))
    }
}

/// Takes the directory, unless another process has it.
fn hold(dir: &Path) -> Result<Option<(PathBuf, File)>> {
    private().recursive(true).create(dir).map_err(|error| failed(dir, error))?;
    let lock = File::open(dir).map_err(|error| failed(dir, error))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => return Ok(None),
        Err(fs::TryLockError::Error(error)) => return Err(failed(dir, error)),
    }
    for entry in fs::read_dir(dir).map_err(|error| failed(dir, error))?.flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(COMING.as_bytes()) {
            // Left by a crash. If it stays, it harms nobody.
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(Some((dir.to_owned(), lock)))
}

fn private() -> fs::DirBuilder {
    let mut builder = fs::DirBuilder::new();
    builder.mode(0o700);
    builder
}

/// The directories that can have scratch files.
fn directories() -> impl Iterator<Item = Directory> {
    let all = Kind::ALL.map(Directory::Collection).into_iter().chain(Tier::ALL.map(Directory::Tier));
    all.filter(|directory| holds_records(*directory))
}

fn failed(path: &Path, source: io::Error) -> Error {
    Error::Io { path: path.to_owned(), source }
}

fn refused(directory: Directory, name: &str, error: io::Error) -> Refusal {
    let path = format!("{directory}{name}");
    if error.kind() == io::ErrorKind::AlreadyExists {
        return Refusal::Exists { path, reason: "it is there already".to_owned() };
    }
    Refusal::Vault { source: failed(Path::new(&path), error), path }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn system_time(time: Timestamp) -> std::time::SystemTime {
    let micros = std::time::Duration::from_micros(time.as_micros().unsigned_abs());
    if time.as_micros() < 0 { std::time::UNIX_EPOCH - micros } else { std::time::UNIX_EPOCH + micros }
}

pub(super) fn timestamp(time: std::time::SystemTime) -> Timestamp {
    let micros = |span: std::time::Duration| i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(match time.duration_since(std::time::UNIX_EPOCH) {
        Ok(after) => micros(after),
        Err(before) => -micros(before.duration()),
    })
}
