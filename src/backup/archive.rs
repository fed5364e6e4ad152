//! A repository in one file, to hand to someone: the same files, one behind the other.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::destination::{Destination, Folder, missing};
use super::error::{BackupError, Result};

const MAGIC: &[u8; 8] = b"MDNAFILE";
const VERSION: u8 = 1;
/// In the place of a folder's number: the end, and how many files came before.
const END: u8 = 0xff;

type Places = BTreeMap<(Folder, String), (u64, u64)>;

/// A sealed file that is read.
pub struct SealedFile {
    path: PathBuf,
    file: File,
    places: Places,
}

/// A sealed file that is being written, under a temporary name.
pub(super) struct SealedFileWriter {
    path: PathBuf,
    temporary: PathBuf,
    state: Mutex<(File, u64, Places, u64)>,
}

fn failed(path: &Path) -> impl Fn(io::Error) -> BackupError + '_ {
    move |source| BackupError::Io { location: path.display().to_string(), source }
}

fn number(folder: Folder) -> u8 {
    Folder::ALL.iter().zip(0..).find(|(other, _)| **other == folder).map_or(END, |(_, number)| number)
}

impl SealedFile {
    /// Opens a sealed file.
    ///
    /// # Errors
    /// [`BackupError::NotARepository`] when it is something else, [`BackupError::Corrupt`] when it was cut, and those of reading.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(failed(path))?;
        let mut reader = BufReader::new(&file);
        let mut head = [0; 9];
        let not = || BackupError::NotARepository { location: path.display().to_string() };
        reader.read_exact(&mut head).map_err(|_| not())?;
        if head.split_last() != Some((&VERSION, MAGIC.as_slice())) {
            return Err(not());
        }
        let places = read_places(&mut reader).map_err(failed(path))?;
        let places = places.ok_or_else(|| {
            BackupError::corrupt(path.display().to_string(), "it is not complete, or not what was written")
        })?;
        Ok(Self { path: path.to_owned(), file, places })
    }
}

fn read_places(reader: &mut BufReader<&File>) -> io::Result<Option<Places>> {
    let size = reader.get_ref().metadata()?.len();
    let mut places = Places::new();
    let mut count = 0_u64;
    let mut at = 9_u64;
    loop {
        let (mut folder, mut number) = ([0], [0; 8]);
        if reader.read_exact(&mut folder).is_err() || reader.read_exact(&mut number).is_err() {
            return Ok(None);
        }
        let ([folder], number) = (folder, u64::from_le_bytes(number));
        if folder == END {
            return Ok((at + 9 == size && number == count).then_some(places));
        }
        let mut name_len = [0];
        let Some(folder) = Folder::ALL.get(usize::from(folder)) else { return Ok(None) };
        if reader.read_exact(&mut name_len).is_err() {
            return Ok(None);
        }
        let mut name = vec![0; usize::from(u8::from_le_bytes(name_len))];
        if reader.read_exact(&mut name).is_err() {
            return Ok(None);
        }
        let len = number;
        let Ok(name) = String::from_utf8(name) else { return Ok(None) };
        let start = at + 10 + name.len() as u64;
        let Some(end) = start.checked_add(len).filter(|end| *end <= size) else { return Ok(None) };
        places.insert((*folder, name), (start, len));
        reader.seek(SeekFrom::Start(end))?;
        at = end;
        count += 1;
    }
}

impl Destination for SealedFile {
    fn location(&self) -> String {
        self.path.display().to_string()
    }

    fn list(&self, folder: Folder) -> Result<Vec<(String, u64)>> {
        Ok(list(&self.places, folder))
    }

    fn read(&self, folder: Folder, name: &str) -> Result<Vec<u8>> {
        let (start, len) = *self.places.get(&(folder, name.to_owned())).ok_or_else(|| missing(folder, name))?;
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
        self.file.read_exact_at(&mut bytes, start).map_err(failed(&self.path))?;
        Ok(bytes)
    }

    fn read_part(&self, folder: Folder, name: &str, offset: u64, len: usize) -> Result<Vec<u8>> {
        let (start, size) = *self.places.get(&(folder, name.to_owned())).ok_or_else(|| missing(folder, name))?;
        if offset.saturating_add(len as u64) > size {
            return Err(BackupError::corrupt(folder.shown(name), "it is shorter than it was"));
        }
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, start + offset).map_err(failed(&self.path))?;
        Ok(bytes)
    }

    fn write(&self, _: Folder, _: &str, _: &[u8]) -> Result<()> {
        Err(BackupError::argument(self.location(), "a sealed file is only read; import it into a repository"))
    }

    fn remove(&self, _: Folder, _: &str) -> Result<()> {
        Err(BackupError::argument(self.location(), "a sealed file is only read; import it into a repository"))
    }
}

fn list(places: &Places, folder: Folder) -> Vec<(String, u64)> {
    let of = places.iter().filter(|((other, _), _)| *other == folder);
    of.map(|((_, name), (_, len))| (name.clone(), *len)).collect()
}

impl SealedFileWriter {
    /// Begins a file that is not there yet.
    pub(super) fn create(path: &Path) -> Result<Self> {
        if path.exists() {
            return Err(BackupError::Occupied { location: path.display().to_string(), what: "a file" });
        }
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".tmp");
        let temporary = PathBuf::from(temporary);
        let open =
            fs::OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&temporary);
        let mut file = open.map_err(failed(&temporary))?;
        file.write_all(&[MAGIC.as_slice(), &[VERSION]].concat()).map_err(failed(&temporary))?;
        Ok(Self { path: path.to_owned(), temporary, state: Mutex::new((file, 9, Places::new(), 0)) })
    }

    fn state(&self) -> MutexGuard<'_, (File, u64, Places, u64)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends it and gives it its name.
    pub(super) fn finish(&self) -> Result<()> {
        let state = &mut *self.state();
        let end = [&[END][..], &state.3.to_le_bytes()].concat();
        let ended = state.0.write_all(&end).and_then(|()| state.0.sync_all());
        let ended = ended.and_then(|()| fs::rename(&self.temporary, &self.path));
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        ended.and_then(|()| File::open(parent)?.sync_all()).map_err(failed(&self.path))
    }

    /// Removes what was written.
    pub(super) fn discard(&self) {
        let _ = fs::remove_file(&self.temporary);
    }
}

impl Destination for SealedFileWriter {
    fn location(&self) -> String {
        self.path.display().to_string()
    }

    fn list(&self, folder: Folder) -> Result<Vec<(String, u64)>> {
        Ok(list(&self.state().2, folder))
    }

    fn read(&self, folder: Folder, name: &str) -> Result<Vec<u8>> {
        let (_, len) = *self.state().2.get(&(folder, name.to_owned())).ok_or_else(|| missing(folder, name))?;
        self.read_part(folder, name, 0, usize::try_from(len).unwrap_or(usize::MAX))
    }

    fn read_part(&self, folder: Folder, name: &str, offset: u64, len: usize) -> Result<Vec<u8>> {
        let state = self.state();
        let (start, _) = *state.2.get(&(folder, name.to_owned())).ok_or_else(|| missing(folder, name))?;
        let mut bytes = vec![0; len];
        state.0.read_exact_at(&mut bytes, start + offset).map_err(failed(&self.temporary))?;
        Ok(bytes)
    }

    fn write(&self, folder: Folder, name: &str, content: &[u8]) -> Result<()> {
        let mut state = self.state();
        let (file, at, places, count) = &mut *state;
        let mut head = vec![number(folder)];
        head.extend_from_slice(&(content.len() as u64).to_le_bytes());
        head.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        head.extend_from_slice(name.as_bytes());
        let start = *at + head.len() as u64;
        file.write_all_at(&head, *at)
            .and_then(|()| file.write_all_at(content, start))
            .map_err(failed(&self.temporary))?;
        *at = start + content.len() as u64;
        *count += 1;
        places.insert((folder, name.to_owned()), (start, content.len() as u64));
        file.seek(SeekFrom::Start(*at)).map_err(failed(&self.temporary))?;
        Ok(())
    }

    /// What was written stays in the file, and is not needed.
    fn remove(&self, folder: Folder, name: &str) -> Result<()> {
        self.state().2.remove(&(folder, name.to_owned()));
        Ok(())
    }
}
