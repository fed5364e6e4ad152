//! The artifacts of a vault as files, for programs: by path, from every process that has the vault open.
//!
//! Files are worked on in the memory of the process that owns the vault. There, a question is answered at once; from any
//! other process it goes through the storage to the owner, which answers it in the same way.
//!
//! - `home`: the one [`Artifacts`] of a process, opened when first needed. `question`: what is asked and answered, and its
//!   bytes. `path`: following paths. `desk`: doing what is asked. `past`: answering for what was. `file`: an open file.
//!
//! Permissions are not checked: whoever has the vault open may do everything with it. Paths are relative to the root
//! directory of the artifacts, whether they begin with a slash or not; symbolic links are followed as on any file system, but not
//! out of the artifacts.
//!
//! [`Artifacts`]: crate::artifacts::Artifacts

mod desk;
mod error;
mod file;
mod home;
mod past;
mod path;
mod question;
mod unsynced;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::artifacts::{Attributes, Caller, Cursor, FsError, Ino, Past, RenameFlags, SetAttributes};
use crate::storage::{Asking, StorageError};

pub use error::FileError;
pub use file::{File, OpenFile};
pub(crate) use home::Home;
use question::{Answer, Question};
use unsynced::Unsynced;

/// Results of working with files.
pub type Result<T> = std::result::Result<T, FileError>;

/// For how long it is asked again when the vault changes its owner in between: what the owner has to commit before takes its time.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it waits before.
const PAUSE: Duration = Duration::from_millis(5);

/// The artifacts of a vault, or of a view of its past, see the module. The past can only be read: what would change it fails
/// with [`FsError::ReadOnly`].
#[derive(Clone)]
pub struct Files(When);

/// Which artifacts they are.
#[derive(Clone)]
enum When {
    Now(Arc<Home>),
    Then(Arc<Past>),
}

/// A name of a directory, and what it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// The name.
    pub name: OsString,
    /// What `lstat` says of it.
    pub attributes: Attributes,
}

impl Files {
    pub(crate) fn new(home: Arc<Home>) -> Self {
        Self(When::Now(home))
    }

    pub(crate) fn of_past(past: Past) -> Self {
        Self(When::Then(Arc::new(past)))
    }

    const fn is_past(&self) -> bool {
        matches!(self.0, When::Then(_))
    }

    /// Opens a file, see [`OpenFile`].
    ///
    /// # Errors
    /// [`FsError::NotFound`], [`FsError::Exists`], [`FsError::IsDirectory`], [`FsError::NotDirectory`], [`FsError::Invalid`] for
    /// what is no ordinary file, [`FsError::NoSpace`], and those of the storage.
    pub fn open(&self, path: impl AsRef<Path>, how: &OpenFile) -> Result<File> {
        File::open(self, path.as_ref(), how)
    }

    /// All of a file.
    ///
    /// # Errors
    /// As [`Files::open`], and [`FsError::Corrupt`].
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Vec<u8>> {
        let file = self.open(path, &OpenFile::new().read(true))?;
        let mut content = Vec::new();
        while file.read_more(&mut content)? {}
        Ok(content)
    }

    /// Makes a file, or replaces what is in one. It is durable after [`Files::sync`].
    ///
    /// # Errors
    /// As [`Files::open`].
    pub fn write(&self, path: impl AsRef<Path>, content: &[u8]) -> Result<()> {
        let file = self.open(path, &OpenFile::new().write(true).create(true).truncate(true))?;
        file.write_all_at(content, 0)
    }

    /// What `stat` says of a file.
    ///
    /// # Errors
    /// [`FsError::NotFound`], [`FsError::NotDirectory`], and those of the storage.
    pub fn metadata(&self, path: impl AsRef<Path>) -> Result<Attributes> {
        self.attributes(path.as_ref(), true)
    }

    /// What `lstat` says of a file: of a symbolic link, what it is itself.
    ///
    /// # Errors
    /// As [`Files::metadata`].
    pub fn symlink_metadata(&self, path: impl AsRef<Path>) -> Result<Attributes> {
        self.attributes(path.as_ref(), false)
    }

    fn attributes(&self, path: &Path, follow: bool) -> Result<Attributes> {
        match self.ask(path, Asking::Read, || Question::Stat { path: bytes(path), follow })? {
            Answer::Attributes { attributes } => Ok(attributes),
            other => Err(unexpected(path, &other)),
        }
    }

    /// Changes attributes of a file, through symbolic links; also its size.
    ///
    /// # Errors
    /// As [`Files::metadata`], and [`FsError::TooBig`], [`FsError::NoSpace`].
    pub fn set_attributes(&self, path: impl AsRef<Path>, set: &SetAttributes) -> Result<Attributes> {
        let path = path.as_ref();
        let answer = self.ask(path, setting(set), || Question::Set { path: bytes(path), set: *set })?;
        match answer {
            Answer::Attributes { attributes } => Ok(attributes),
            other => Err(unexpected(path, &other)),
        }
    }

    /// The entries of a directory, without `.` and `..`, read page by page. What comes and goes meanwhile may or may not be
    /// among them; what stays is, once.
    ///
    /// # Errors
    /// [`FsError::NotFound`], [`FsError::NotDirectory`], and those of the storage; also from the iterator.
    pub fn read_dir(&self, path: impl AsRef<Path>) -> Result<ReadDir> {
        let path = path.as_ref();
        let ino = self.metadata(path)?.ino;
        let mut listing = ReadDir {
            files: self.clone(),
            path: path.to_owned(),
            ino,
            page: Vec::new().into_iter(),
            after: (0, Vec::new()),
            more: true,
        };
        listing.turn()?;
        Ok(listing)
    }

    /// Makes a directory.
    ///
    /// # Errors
    /// [`FsError::Exists`], [`FsError::NotFound`] for the directory that it is to be in, [`FsError::NoSpace`], and those of
    /// the storage.
    pub fn create_dir(&self, path: impl AsRef<Path>) -> Result<()> {
        self.make(path.as_ref(), None)
    }

    /// Makes a directory and those above it, as far as they are not there.
    ///
    /// # Errors
    /// As [`Files::create_dir`], and [`FsError::NotDirectory`] when one of them is something else.
    pub fn create_dir_all(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let mut above: Vec<&Path> = path.ancestors().filter(|path| !path.as_os_str().is_empty()).collect();
        above.reverse();
        for directory in above {
            match self.create_dir(directory) {
                Err(error) if matches!(error.source, FsError::Exists) => {}
                other => other?,
            }
        }
        match self.metadata(path)?.file_type {
            crate::record::FileType::Directory => Ok(()),
            _ => Err(FileError::new(path, FsError::NotDirectory)),
        }
    }

    /// Makes a symbolic link that leads to `target`, whatever that is.
    ///
    /// # Errors
    /// As [`Files::create_dir`].
    pub fn symlink(&self, target: impl AsRef<Path>, path: impl AsRef<Path>) -> Result<()> {
        self.make(path.as_ref(), Some(target.as_ref()))
    }

    fn make(&self, path: &Path, target: Option<&Path>) -> Result<()> {
        self.done(path, || Question::Make { path: bytes(path), target: target.map(bytes), caller: caller() })
    }

    /// Where a symbolic link leads.
    ///
    /// # Errors
    /// As [`Files::metadata`], and [`FsError::Invalid`] when it is none.
    pub fn read_link(&self, path: impl AsRef<Path>) -> Result<PathBuf> {
        let path = path.as_ref();
        match self.ask(path, Asking::Read, || Question::ReadLink { path: bytes(path) })? {
            Answer::Bytes { bytes } => Ok(OsString::from_vec(bytes).into()),
            other => Err(unexpected(path, &other)),
        }
    }

    /// Gives a file another name.
    ///
    /// # Errors
    /// As [`Files::create_dir`], [`FsError::NotPermitted`] for a directory, and [`FsError::TooManyLinks`].
    pub fn hard_link(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<()> {
        let (from, to) = (from.as_ref(), to.as_ref());
        self.done(to, || Question::Link { from: bytes(from), to: bytes(to) })
    }

    /// Takes a name of a file, or of a symbolic link, away. The file goes with its last name, once nobody has it open.
    ///
    /// # Errors
    /// [`FsError::NotFound`], [`FsError::NotDirectory`], [`FsError::IsDirectory`], and those of the storage.
    pub fn remove_file(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        self.done(path, || Question::Remove { path: bytes(path), directory: false })
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// [`FsError::NotFound`], [`FsError::NotDirectory`], [`FsError::NotEmpty`], [`FsError::Busy`] for the root, and those of
    /// the storage.
    pub fn remove_dir(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        self.done(path, || Question::Remove { path: bytes(path), directory: true })
    }

    /// Renames a file or directory; what is at the new name is replaced, unless the flags say otherwise.
    ///
    /// # Errors
    /// As [`Artifacts::rename`](crate::artifacts::Artifacts::rename).
    pub fn rename(&self, from: impl AsRef<Path>, to: impl AsRef<Path>, flags: RenameFlags) -> Result<()> {
        let (from, to) = (from.as_ref(), to.as_ref());
        self.done(from, || Question::Rename { from: bytes(from), to: bytes(to), flags })
    }

    /// Makes everything durable that was done to artifacts, by whomever.
    ///
    /// # Errors
    /// [`FsError::NoSpace`], and those of the storage; once [`StorageError::Corrupt`] when another process owned the vault and died
    /// since this one changed something, which may be lost.
    pub fn sync(&self) -> Result<()> {
        let unsynced = match &self.0 {
            When::Now(home) => Some(home.unsynced()),
            When::Then(_) => None,
        };
        self.synced(Path::new(""), unsynced, || Question::Sync { file: None, data_only: false })
    }

    fn synced(&self, path: &Path, unsynced: Option<&Unsynced>, question: impl Fn() -> Question) -> Result<()> {
        let answer = match (&self.0, unsynced) {
            (When::Now(home), Some(unsynced)) => {
                let sync = || home.ask(Asking::Repeatable, &question);
                unsynced.syncing(home.storage(), path, sync).map_err(|source| FileError::new(path, source))
            }
            _ => self.ask(path, Asking::Repeatable, question),
        };
        match answer? {
            Answer::Done => Ok(()),
            other => Err(unexpected(path, &other)),
        }
    }

    fn done(&self, path: &Path, question: impl Fn() -> Question) -> Result<()> {
        match self.ask(path, Asking::Once, question)? {
            Answer::Done => Ok(()),
            other => Err(unexpected(path, &other)),
        }
    }

    /// Does something that changes a file, on account of who syncs it alone.
    fn changing<T>(&self, unsynced: &Unsynced, change: impl FnOnce() -> T) -> T {
        match &self.0 {
            When::Now(home) => unsynced.changing(home.storage(), change),
            When::Then(_) => change(),
        }
    }

    /// The same, on account of who syncs all of them.
    fn changing_all<T>(&self, change: impl FnOnce() -> T) -> T {
        match &self.0 {
            When::Now(home) => home.unsynced().changing(home.storage(), change),
            When::Then(_) => change(),
        }
    }

    /// Has something done, here or by the owner of the vault.
    fn ask(&self, path: &Path, how: Asking, question: impl Fn() -> Question) -> Result<Answer> {
        let answer = match &self.0 {
            When::Now(home) if how.changes() => home.unsynced().changing(home.storage(), || home.ask(how, &question)),
            When::Now(home) => home.ask(how, &question),
            When::Then(past) => past::answer(past, question()),
        };
        answer.map_err(|source| FileError::new(path, source))
    }
}

impl Home {
    fn ask(&self, how: Asking, question: &dyn Fn() -> Question) -> std::result::Result<Answer, FsError> {
        let mut since = None;
        loop {
            let answer = match self.storage().ask(how, &|| crate::storage::wire::encode(&question()))? {
                Some(answer) => question::read(&answer),
                None => self.answer(question()),
            };
            match answer {
                // The vault has gone to another process since it was asked who owns it.
                Err(FsError::Storage(StorageError::NotOwner { .. }))
                    if since.get_or_insert_with(Instant::now).elapsed() < PATIENCE =>
                {
                    std::thread::sleep(PAUSE);
                }
                other => return other,
            }
        }
    }
}

/// The entries of a directory, see [`Files::read_dir`].
pub struct ReadDir {
    files: Files,
    path: PathBuf,
    ino: Ino,
    page: std::vec::IntoIter<(Vec<u8>, Cursor, Attributes)>,
    /// Cursor and name of the last entry.
    after: (Cursor, Vec<u8>),
    more: bool,
}

impl ReadDir {
    /// Reads the next page.
    fn turn(&mut self) -> Result<()> {
        let (ino, (after, name)) = (self.ino, &self.after);
        let question = || Question::List { ino, after: *after, name: name.clone() };
        match self.files.ask(&self.path, Asking::Read, question)? {
            Answer::Entries { entries, more } => {
                self.page = entries.into_iter();
                self.more = more;
                Ok(())
            }
            other => Err(unexpected(&self.path, &other)),
        }
    }
}

impl Iterator for ReadDir {
    type Item = Result<DirEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((name, cursor, attributes)) = self.page.next() {
                self.after = (cursor, name.clone());
                return Some(Ok(DirEntry { name: OsString::from_vec(name), attributes }));
            }
            if !self.more {
                return None;
            }
            if let Err(error) = self.turn() {
                self.more = false;
                return Some(Err(error));
            }
        }
    }
}

/// What was cut by somebody else's request may have grown since, so a cut is not made twice.
const fn setting(set: &SetAttributes) -> Asking {
    if set.size.is_some() { Asking::Once } else { Asking::Repeatable }
}

fn bytes(path: &Path) -> Vec<u8> {
    OsStr::as_bytes(path.as_os_str()).to_vec()
}

/// In whose name files are made: this process.
fn caller() -> Caller {
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    Caller { uid: user.as_raw(), gid: group.as_raw(), umask: 0 }
}

fn unexpected(path: &Path, answer: &Answer) -> FileError {
    tracing::error!(target: "mirrordna::files", ?answer, "an answer that was not asked for");
    let source = StorageError::Corrupt { what: "an answer".to_owned(), detail: "it was not asked for".to_owned() };
    FileError::new(path, FsError::Storage(source))
}
