//! What one thread has made in a mount: its files, directories and records, as they must be.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};

use crate::random::Random;
use crate::system::{close, write_and_read};
use crate::texts::memory_text;

/// So many files a thread has about.
const FILES: usize = 40;
/// So many directories it has at most.
const DIRECTORIES: usize = 6;
/// So many records it has at most.
const RECORDS: usize = 12;
/// A file is not made longer than this.
const LONGEST: usize = 400_000;

/// What a step failed with.
pub(crate) type Outcome = Result<(), String>;

/// All that a thread has made.
pub(crate) struct Model {
    number: usize,
    point: PathBuf,
    home: PathBuf,
    /// A directory in which all threads have names.
    shared: PathBuf,
    random: Random,
    /// The directories below its own, which comes first.
    directories: Vec<PathBuf>,
    /// Names of files, in its directories and in the shared one, and which file each of them is.
    names: BTreeMap<PathBuf, u64>,
    /// The content of each file.
    files: BTreeMap<u64, Vec<u8>>,
    links: BTreeMap<PathBuf, String>,
    records: BTreeMap<String, String>,
    made: u64,
    steps: u64,
}

impl Model {
    /// A thread's directories are made.
    pub(crate) fn begin(point: &Path, number: usize, seed: u64) -> io::Result<Self> {
        let artifacts = point.join("artifacts");
        let (home, shared) = (artifacts.join(format!("thread {number}")), artifacts.join("shared"));
        fs::create_dir(&home)?;
        fs::create_dir_all(&shared)?;
        Ok(Self {
            number,
            point: point.to_owned(),
            directories: vec![home.clone()],
            home,
            shared,
            random: Random::new(seed.wrapping_mul(1_000_003).wrapping_add(number as u64)),
            names: BTreeMap::new(),
            files: BTreeMap::new(),
            links: BTreeMap::new(),
            records: BTreeMap::new(),
            made: 0,
            steps: 0,
        })
    }

    /// Does something and compares what comes of it.
    pub(crate) fn step(&mut self) -> Outcome {
        self.steps += 1;
        let what = self.random.below(100);
        let (name, done): (&str, io::Result<Outcome>) = match what {
            0..12 => ("create", self.create()),
            12..22 => ("write", self.write()),
            22..26 => ("append", self.append()),
            26..40 => ("read", self.read_back()),
            40..45 => ("truncate", self.truncate()),
            45..51 => ("rename", self.rename()),
            51..55 => ("link", self.link()),
            55..61 => ("unlink", self.unlink()),
            61..63 => ("symlink", self.symlink()),
            63..66 => ("mkdir", self.make_directory()),
            66..68 => ("rmdir", Ok(self.remove_directory())),
            68..73 => ("list", self.list()),
            73..77 => ("fsync", self.sync()),
            77..80 => ("map", self.map()),
            80..82 => ("copy", self.copy()),
            82..84 => ("punch a hole", self.punch()),
            84..87 => ("unlink an open file", self.unlink_open()),
            87..92 => ("write a record", self.write_record()),
            92..96 => ("read a record", self.read_record()),
            96..98 => ("delete a record", self.delete_record()),
            _ => ("list records", self.list_records()),
        };
        let done = done.map_err(|error| error.to_string()).and_then(|outcome| outcome);
        done.map_err(|error| format!("thread {}, step {}, {name}: {error}", self.number, self.steps))
    }

    /// Compares all that there is.
    pub(crate) fn check_everything(&self) -> Outcome {
        for (path, file) in &self.names {
            let found = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
            compare(path, &found, &self.files[file])?;
        }
        for (path, target) in &self.links {
            let found = fs::read_link(path).map_err(|error| format!("{}: {error}", path.display()))?;
            if found != Path::new(target) {
                return Err(format!("{} leads to {}", path.display(), found.display()));
            }
        }
        for directory in &self.directories {
            self.list_one(directory).map_err(|error| error.to_string())??;
        }
        for (id, content) in &self.records {
            self.compare_record(id, content).map_err(|error| error.to_string())??;
        }
        Ok(())
    }

    fn any_directory(&mut self) -> PathBuf {
        // One in five goes into the shared one.
        if self.random.below(5) == 0 {
            return self.shared.clone();
        }
        let at = self.random.below(self.directories.len());
        self.directories[at].clone()
    }

    /// A path at which there is nothing.
    fn new_path(&mut self) -> PathBuf {
        self.made += 1;
        let name = format!("{} {}", self.number, self.made);
        self.any_directory().join(name)
    }

    /// The same in a directory of its own. Names of a file that has several are only there: while somebody lists the
    /// directory of one, the kernel may count those that are left wrong when another one is removed.
    fn own_path(&mut self) -> PathBuf {
        let path = self.new_path();
        if path.parent() == Some(&self.shared) { self.home.join(path.file_name().unwrap()) } else { path }
    }

    fn links_of(&self, file: u64) -> u64 {
        self.names.values().filter(|other| **other == file).count() as u64
    }

    fn any_file(&mut self) -> Option<(PathBuf, u64)> {
        if self.names.is_empty() {
            return None;
        }
        let at = self.random.below(self.names.len());
        self.names.iter().nth(at).map(|(path, file)| (path.clone(), *file))
    }

    /// Takes a name away, and the file when it has no other one.
    fn forget(&mut self, path: &Path) {
        if let Some(file) = self.names.remove(path)
            && !self.names.values().any(|other| *other == file)
        {
            self.files.remove(&file);
        }
    }

    fn some_bytes(&mut self) -> Vec<u8> {
        let most = [100, 5_000, 60_000, 200_000][self.random.below(4)];
        let len = self.random.below(most);
        self.random.bytes(len)
    }

    fn create(&mut self) -> io::Result<Outcome> {
        if self.names.len() >= FILES {
            return self.unlink();
        }
        let path = self.new_path();
        let bytes = self.some_bytes();
        let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        file.write_all(&bytes)?;
        close(file)?;
        self.names.insert(path, self.made);
        self.files.insert(self.made, bytes);
        Ok(Ok(()))
    }

    fn write(&mut self) -> io::Result<Outcome> {
        let Some((path, file)) = self.any_file() else { return self.create() };
        let bytes = self.some_bytes();
        let content = self.files.get_mut(&file).unwrap();
        let offset = self.random.below(content.len() + 10_000).min(LONGEST - bytes.len());
        OpenOptions::new().write(true).open(path)?.write_all_at(&bytes, offset as u64)?;
        if bytes.is_empty() {
            return Ok(Ok(()));
        }
        let end = offset + bytes.len();
        content.resize(content.len().max(end), 0);
        content[offset..end].copy_from_slice(&bytes);
        Ok(Ok(()))
    }

    fn append(&mut self) -> io::Result<Outcome> {
        let Some((path, file)) = self.any_file() else { return self.create() };
        let bytes = self.some_bytes();
        let content = self.files.get_mut(&file).unwrap();
        if content.len() + bytes.len() > LONGEST {
            return Ok(Ok(()));
        }
        OpenOptions::new().append(true).open(path)?.write_all(&bytes)?;
        content.extend(bytes);
        Ok(Ok(()))
    }

    fn read_back(&mut self) -> io::Result<Outcome> {
        let Some((path, file)) = self.any_file() else { return self.create() };
        let content = &self.files[&file];
        let found = fs::metadata(&path)?;
        let links = self.links_of(file);
        if (found.len(), found.nlink()) != (content.len() as u64, links) {
            let (len, nlink) = (found.len(), found.nlink());
            return Ok(Err(format!(
                "{} has {len} bytes and {nlink} names, not {} and {links}",
                path.display(),
                content.len()
            )));
        }
        if self.random.below(2) == 0 {
            return Ok(compare(&path, &fs::read(&path)?, content));
        }
        let start = self.random.below(content.len() + 1);
        let mut piece = vec![0; self.random.below(content.len() - start + 1)];
        let mut open = File::open(&path)?;
        open.seek(SeekFrom::Start(start as u64))?;
        open.read_exact(&mut piece)?;
        Ok(compare(&path, &piece, &content[start..start + piece.len()]))
    }

    fn truncate(&mut self) -> io::Result<Outcome> {
        let Some((path, file)) = self.any_file() else { return self.create() };
        let content = self.files.get_mut(&file).unwrap();
        let len = self.random.below((content.len() + 20_000).min(LONGEST));
        OpenOptions::new().write(true).open(path)?.set_len(len as u64)?;
        content.resize(len, 0);
        Ok(Ok(()))
    }

    fn rename(&mut self) -> io::Result<Outcome> {
        let Some((from, file)) = self.any_file() else { return self.create() };
        // One in three takes the place of another file.
        let to = match self.any_file() {
            Some((to, _)) if self.random.below(3) == 0 && !to.starts_with(&self.shared) => to,
            _ if self.links_of(file) > 1 => self.own_path(),
            _ => self.new_path(),
        };
        fs::rename(&from, &to)?;
        // Two names of one file stay as they are.
        if from != to && self.names.get(&to) != Some(&file) {
            self.forget(&to);
            self.names.remove(&from);
            self.names.insert(to, file);
        }
        Ok(Ok(()))
    }

    fn link(&mut self) -> io::Result<Outcome> {
        let Some((from, file)) = self.any_file() else { return self.create() };
        if from.starts_with(&self.shared) {
            return self.read_back();
        }
        let to = self.own_path();
        fs::hard_link(from, &to)?;
        self.names.insert(to, file);
        Ok(Ok(()))
    }

    fn unlink(&mut self) -> io::Result<Outcome> {
        if self.random.below(6) == 0
            && let Some((path, _)) = self.links.pop_first()
        {
            fs::remove_file(path)?;
            return Ok(Ok(()));
        }
        let Some((path, _)) = self.any_file() else { return Ok(Ok(())) };
        fs::remove_file(&path)?;
        self.forget(&path);
        Ok(if path.exists() { Err(format!("{} is still there", path.display())) } else { Ok(()) })
    }

    fn symlink(&mut self) -> io::Result<Outcome> {
        if self.links.len() > FILES / 4 {
            return self.unlink();
        }
        let (path, target) = (self.new_path(), format!("to {}", self.made));
        std::os::unix::fs::symlink(&target, &path)?;
        self.links.insert(path, target);
        Ok(Ok(()))
    }

    fn make_directory(&mut self) -> io::Result<Outcome> {
        if self.directories.len() >= DIRECTORIES {
            return Ok(self.remove_directory());
        }
        self.made += 1;
        let at = self.random.below(self.directories.len());
        let path = self.directories[at].join(format!("directory {}", self.made));
        fs::create_dir(&path)?;
        self.directories.push(path);
        Ok(Ok(()))
    }

    fn remove_directory(&mut self) -> Outcome {
        if self.directories.len() < 2 {
            return Ok(());
        }
        let at = 1 + self.random.below(self.directories.len() - 1);
        let path = self.directories[at].clone();
        let all = self.names.keys().chain(self.links.keys()).chain(&self.directories);
        let is_empty = !all.into_iter().any(|other| other != &path && other.starts_with(&path));
        match fs::remove_dir(&path) {
            Ok(()) if is_empty => {
                self.directories.swap_remove(at);
                Ok(())
            }
            Err(error) if !is_empty && error.kind() == ErrorKind::DirectoryNotEmpty => Ok(()),
            other => Err(format!("removing {} (empty: {is_empty}) gave {other:?}", path.display())),
        }
    }

    fn list(&mut self) -> io::Result<Outcome> {
        let directory = self.any_directory();
        self.list_one(&directory)
    }

    fn list_one(&self, directory: &Path) -> io::Result<Outcome> {
        let mut found = BTreeSet::new();
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            let name = path.file_name().unwrap().to_str().unwrap();
            // In the shared directory there are those of others, too.
            let is_mine = directory != self.shared || name.starts_with(&format!("{} ", self.number));
            if is_mine && !found.insert(path.clone()) {
                return Ok(Err(format!("{} is listed twice", path.display())));
            }
        }
        let all = self.names.keys().chain(self.links.keys()).chain(&self.directories);
        let expected: BTreeSet<PathBuf> = all.filter(|path| path.parent() == Some(directory)).cloned().collect();
        if found == expected {
            return Ok(Ok(()));
        }
        let (missing, more): (Vec<_>, Vec<_>) =
            (expected.difference(&found).collect(), found.difference(&expected).collect());
        Ok(Err(format!("{} lacks {missing:?}, and has {more:?} beyond", directory.display())))
    }

    fn sync(&mut self) -> io::Result<Outcome> {
        if self.random.below(3) == 0 {
            let directory = self.any_directory();
            File::open(directory)?.sync_all()?;
        } else if let Some((path, _)) = self.any_file() {
            let file = OpenOptions::new().write(true).open(path)?;
            if self.random.below(2) == 0 { file.sync_all()? } else { file.sync_data()? }
        }
        Ok(Ok(()))
    }

    fn map(&mut self) -> io::Result<Outcome> {
        let Some((path, file)) = self.any_file() else { return self.create() };
        let content = self.files.get_mut(&file).unwrap();
        if content.is_empty() {
            return Ok(Ok(()));
        }
        let offset = self.random.below(content.len());
        let len = self.random.below((content.len() - offset).min(50_000) + 1);
        let bytes = self.random.bytes(len);
        let open = OpenOptions::new().read(true).write(true).open(&path)?;
        let found = write_and_read(&open, offset, &bytes)?;
        content[offset..offset + len].copy_from_slice(&bytes);
        Ok(compare(&path, &found, content))
    }

    fn copy(&mut self) -> io::Result<Outcome> {
        let Some((from, file)) = self.any_file().filter(|_| self.names.len() < FILES) else { return self.unlink() };
        let to = self.new_path();
        let made = self.made;
        // With copy_file_range.
        fs::copy(from, &to)?;
        let content = self.files[&file].clone();
        self.names.insert(to, made);
        self.files.insert(made, content);
        Ok(Ok(()))
    }

    fn punch(&mut self) -> io::Result<Outcome> {
        let Some((path, file)) = self.any_file() else { return self.create() };
        let content = self.files.get_mut(&file).unwrap();
        if content.is_empty() {
            return Ok(Ok(()));
        }
        let offset = self.random.below(content.len());
        let len = 1 + self.random.below(content.len() - offset);
        let open = OpenOptions::new().write(true).open(path)?;
        fallocate(&open, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, offset as u64, len as u64)?;
        content[offset..offset + len].fill(0);
        Ok(Ok(()))
    }

    fn unlink_open(&mut self) -> io::Result<Outcome> {
        let path = self.new_path();
        let bytes = self.some_bytes();
        let mut file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        let half = bytes.len() / 2;
        file.write_all(&bytes[..half])?;
        fs::remove_file(&path)?;
        file.write_all(&bytes[half..])?;
        let mut found = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut found)?;
        let nlink = file.metadata()?.nlink();
        Ok(if nlink == 0 { compare(&path, &found, &bytes) } else { Err(format!("it has {nlink} names")) })
    }

    fn any_record(&mut self) -> String {
        format!("mem_thread{}_{:04}", self.number, self.random.below(RECORDS))
    }

    fn record_path(&self, id: &str) -> PathBuf {
        self.point.join(format!("memories/episodic/{id}.json"))
    }

    fn write_record(&mut self) -> io::Result<Outcome> {
        let id = self.any_record();
        self.made += 1;
        let content = format!("{} {}", self.made, "x".repeat(self.random.below(3_000)));
        let mut file = File::create(self.record_path(&id))?;
        let text = memory_text(&id, &content);
        let (half, rest) = text.split_at(self.random.below(text.len()));
        file.write_all(half.as_bytes())?;
        file.write_all(rest.as_bytes())?;
        if self.random.below(4) == 0 {
            file.sync_all()?;
        }
        close(file)?;
        let outcome = self.compare_record(&id, &content);
        self.records.insert(id, content);
        outcome
    }

    fn compare_record(&self, id: &str, content: &str) -> io::Result<Outcome> {
        let bytes = fs::read(self.record_path(id))?;
        let found: serde_json::Value = match serde_json::from_slice(&bytes) {
            Ok(found) => found,
            Err(error) => return Ok(Err(format!("{id}: {error}: {}", String::from_utf8_lossy(&bytes)))),
        };
        let is_it = found["content"].as_str() == Some(content) && found["memory_id"].as_str() == Some(id);
        Ok(if is_it { Ok(()) } else { Err(format!("{id} is {found:.200}, and not {content:.40}")) })
    }

    fn read_record(&mut self) -> io::Result<Outcome> {
        let id = self.any_record();
        match self.records.get(&id) {
            Some(content) => self.compare_record(&id, content),
            None => Ok(match fs::read(self.record_path(&id)) {
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                other => Err(format!("{id} is not there, and reading it gave {other:?}")),
            }),
        }
    }

    fn delete_record(&mut self) -> io::Result<Outcome> {
        let Some((id, _)) = self.records.pop_first() else { return self.write_record() };
        fs::remove_file(self.record_path(&id))?;
        Ok(Ok(()))
    }

    fn list_records(&mut self) -> io::Result<Outcome> {
        let mine = format!("mem_thread{}_", self.number);
        let mut found = BTreeSet::new();
        for entry in fs::read_dir(self.point.join("memories/episodic"))? {
            let name = entry?.file_name().into_string().unwrap();
            if let Some(id) = name.strip_suffix(".json").filter(|id| id.starts_with(&mine)) {
                found.insert(id.to_owned());
            }
        }
        let expected: BTreeSet<String> = self.records.keys().cloned().collect();
        let listed = if found == expected { Ok(()) } else { Err(format!("{found:?} is listed, not {expected:?}")) };
        Ok(listed)
    }

    /// Removes all that is there.
    pub(crate) fn remove_everything(&self) -> io::Result<()> {
        fs::remove_dir_all(&self.home)?;
        for path in self.names.keys().chain(self.links.keys()).filter(|path| path.starts_with(&self.shared)) {
            fs::remove_file(path)?;
        }
        Ok(())
    }
}

fn compare(path: &Path, found: &[u8], expected: &[u8]) -> Outcome {
    if found == expected {
        return Ok(());
    }
    let at = found.iter().zip(expected).position(|(found, expected)| found != expected);
    let (len, wanted) = (found.len(), expected.len());
    Err(format!("{} is wrong at byte {at:?}; it has {len} bytes, expected {wanted}", path.display()))
}
