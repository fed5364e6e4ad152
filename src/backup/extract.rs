//! Restoring a part of a backup as plain files: a collection, a record, or artifacts.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::record::id::check_storable;
use crate::record::inode::{ROOT_INO, is_name, parse_ino};
use crate::record::{FileType, Inode, Kind, Value, json, object};
use crate::storage::{
    ChunkRow, FileAccess, Ino, LogEntry, LogRow, Piece, SLOT_BYTES, SlotRow, SystemFiles, Version, decode_log_row,
    record_file,
};

use super::error::{BackupError, Result};
use super::index::Index;
use super::manifest::{Manifest, Stream};
use super::pool::Pool;
use super::progress::{Meter, Phase, Progress};
use super::repository::Repository;
use super::restore::{Place, next, rows};
use super::seal::Kind as Sealed;
use super::select::Backup;
use super::stream::{Item, Items, Reader};

const STOPPED: &str = "nothing was restored";

/// Which part of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// All records of a kind, as `COLLECTION/ID.json`.
    Collection(Kind),
    /// The record, or records of several kinds, with an id.
    Record(String),
    /// A file or directory of artifacts, by its path from their root directory.
    Artifact(Vec<u8>),
}

impl Part {
    /// Understands `COLLECTION`, an id, or `artifacts/PATH`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        if text == "artifacts" {
            return Self::Artifact(Vec::new());
        }
        if let Some(path) = text.strip_prefix("artifacts/") {
            return Self::Artifact(path.as_bytes().to_vec());
        }
        let kind = Kind::ALL.into_iter().find(|kind| kind.collection() == text);
        kind.map_or_else(|| Self::Record(text.to_owned()), Self::Collection)
    }

    fn shown(&self) -> String {
        match self {
            Self::Collection(kind) => format!("record of {}", kind.collection()),
            Self::Record(id) => format!("record {id}"),
            Self::Artifact(path) => format!("artifact /{}", String::from_utf8_lossy(path)),
        }
    }
}

/// What was restored as files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extracted {
    /// The backup.
    pub backup: Backup,
    /// How many files, directories and links.
    pub files: u64,
    /// Artifacts that are no files, directories or links (pipes, sockets, devices), and were left out.
    pub left_out: u64,
}

impl Extracted {
    /// As JSON.
    #[must_use]
    pub fn to_value(&self) -> Value {
        object([
            ("name", self.backup.name.as_str().into()),
            ("files", self.files.into()),
            ("left_out", self.left_out.into()),
        ])
    }
}

impl Repository {
    /// Writes a part of a backup as plain files into a directory that is new or empty. What is read is checked as it comes, and the
    /// directory is there only when all is good. Artifacts get their mode and time; owners and extended attributes stay in
    /// the backup.
    ///
    /// # Errors
    /// As [`Repository::restore`], and [`BackupError::NotFound`] when the backup has no such part.
    pub fn extract(&self, wanted: &str, part: &Part, to: &Path, progress: &mut dyn Progress) -> Result<Extracted> {
        let (name, manifest) = self.find(wanted)?;
        let index = Arc::new(self.index()?.0);
        let place = Place::prepare(to)?;
        let dir = place.vault();
        let pool = Pool::new();
        let extract = Extract { repository: self, manifest: &manifest, index: &index, pool: &pool, dir: &dir };
        let made = SystemFiles.create_dir(&dir).map_err(|error| failed(&dir, error));
        let done = made.and_then(|()| match part {
            Part::Collection(kind) => extract.records(&|entry| entry.kind == Some(*kind), progress),
            Part::Record(id) => {
                extract.records(&|entry| entry.id == *id && entry.kind != Some(Kind::Artifact), progress)
            }
            Part::Artifact(path) => extract.artifacts(path, progress),
        });
        match done {
            Ok((files, left_out)) if files > 0 => {
                place.accept()?;
                Ok(Extracted { backup: Backup::of(&name, &manifest), files, left_out })
            }
            Ok(_) => {
                place.discard();
                Err(BackupError::NotFound {
                    what: format!("{} in backup {}", part.shown(), super::restore::short(&name)),
                })
            }
            Err(error) => {
                place.discard();
                Err(error)
            }
        }
    }
}

struct Extract<'a> {
    repository: &'a Repository,
    manifest: &'a Manifest,
    index: &'a Arc<Index>,
    pool: &'a Pool,
    dir: &'a Path,
}

/// What is known of an inode.
struct Known {
    names: Vec<(Ino, Vec<u8>)>,
    is_dir: bool,
}

impl Extract<'_> {
    fn reader(&self, stream: &Stream) -> Reader<'_> {
        Reader::new(self.repository, self.index, self.pool, stream)
    }

    /// Hands over every version that is there, oldest first.
    fn versions(
        &self,
        meter: &mut Meter<'_>,
        mut take: impl FnMut(&LogEntry, Kind, &Version) -> Result<()>,
    ) -> Result<()> {
        let mut sequence = 0;
        let mut log = self.reader(&self.manifest.streams.log);
        rows(
            &mut log,
            |bytes| meter.add(bytes),
            |from| LogRow::read(from),
            |row| {
                sequence += 1;
                let (entry, version) = decode_log_row(sequence, row)?;
                match version {
                    Some((kind, version)) => take(&entry, kind, &version),
                    None => Ok(()),
                }
            },
        )
    }

    fn meter<'p>(&self, progress: &'p mut dyn Progress) -> Meter<'p> {
        let passes = 2 * self.manifest.streams.log.bytes;
        Meter::new(progress, Phase::Restoring, passes, STOPPED)
    }

    /// Records as files. Newer versions come later and take the place of older ones.
    fn records(&self, wanted: &dyn Fn(&LogEntry) -> bool, progress: &mut dyn Progress) -> Result<(u64, u64)> {
        let mut meter = self.meter(progress);
        let mut files = 0;
        self.versions(&mut meter, |entry, kind, version| {
            if !wanted(entry) {
                return Ok(());
            }
            // Whoever made the backup may have written anything here, and it becomes a path.
            check_storable(kind, &entry.id)
                .map_err(|error| BackupError::corrupt(format!("{kind} {}", entry.id), error.to_string()))?;
            let dir = self.dir.join(kind.collection());
            let path = dir.join(format!("{}.json", entry.id));
            if version.deleted {
                return match fs::remove_file(&path) {
                    // The versions before were pruned, so none of them was written.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                    removed => {
                        removed.map_err(|error| failed(&path, error))?;
                        files -= 1;
                        Ok(())
                    }
                };
            }
            let corrupt =
                |error: json::JsonError| BackupError::corrupt(format!("{kind} {}", entry.id), error.to_string());
            let record = json::parse(&version.json).map_err(corrupt)?;
            SystemFiles.create_dir(&dir).map_err(|error| failed(&dir, error))?;
            files += u64::from(!path.exists());
            fs::write(&path, record_file(&record)).map_err(|error| failed(&path, error))
        })?;
        Ok((files, 0))
    }

    fn artifacts(&self, path: &[u8], progress: &mut dyn Progress) -> Result<(u64, u64)> {
        let mut meter = self.meter(progress);
        let mut known: HashMap<Ino, Known> = HashMap::new();
        self.versions(&mut meter, |entry, kind, version| {
            if let Some(ino) = parse_ino(&entry.id).filter(|_| kind == Kind::Artifact) {
                if version.deleted {
                    known.remove(&ino);
                } else {
                    let inode = read_inode(version)?;
                    known.insert(ino, Known { names: inode.names, is_dir: inode.file_type == FileType::Directory });
                }
            }
            Ok(())
        })?;
        let Some(paths) = paths_below(&known, path)? else { return Ok((0, 0)) };
        drop(known);
        let mut inodes: HashMap<Ino, Inode> = HashMap::new();
        self.versions(&mut meter, |entry, kind, version| {
            if let Some(ino) = parse_ino(&entry.id).filter(|ino| kind == Kind::Artifact && paths.contains_key(ino)) {
                if version.deleted { drop(inodes.remove(&ino)) } else { drop(inodes.insert(ino, read_inode(version)?)) }
            }
            Ok(())
        })?;
        let done = self.make(&paths, &inodes)?;
        self.fill(&paths, &inodes, &mut meter)?;
        self.finish(&paths, &inodes)?;
        Ok(done)
    }

    /// Directories, empty files and links. Nothing is made where anything is: what is below would go wherever that leads.
    fn make(&self, paths: &BTreeMap<Ino, Vec<PathBuf>>, inodes: &HashMap<Ino, Inode>) -> Result<(u64, u64)> {
        let (mut files, mut left_out) = (0, 0);
        // Whoever is nearer to the root comes first.
        let mut all: Vec<(&PathBuf, Ino)> =
            paths.iter().flat_map(|(ino, paths)| paths.iter().map(|path| (path, *ino))).collect();
        all.sort_by_key(|(path, _)| path.components().count());
        let mut first: HashMap<Ino, PathBuf> = HashMap::new();
        for (path, ino) in all {
            let path = self.dir.join(path);
            let made = match (inodes.get(&ino).map(|inode| (inode.file_type, &inode.target)), first.get(&ino)) {
                // It is the root directory, for which this one stands.
                (None | Some((FileType::Directory, _)), _) if path == self.dir => Ok(()),
                // The root directory is there before it is stored.
                (None | Some((FileType::Directory, _)), _) => fs::create_dir(&path),
                (Some((FileType::Regular, _)), Some(first)) => fs::hard_link(first, &path),
                (Some((FileType::Regular, _)), None) => File::create_new(&path).map(drop),
                (Some((FileType::Symlink, Some(target))), _) => symlink(std::ffi::OsStr::from_bytes(target), &path),
                _ => {
                    left_out += 1;
                    continue;
                }
            };
            made.map_err(|error| failed(&path, error))?;
            first.entry(ino).or_insert(path);
            files += 1;
        }
        Ok((files, left_out))
    }

    /// The content of files, each chunk read once.
    fn fill(
        &self,
        paths: &BTreeMap<Ino, Vec<PathBuf>>,
        inodes: &HashMap<Ino, Inode>,
        meter: &mut Meter<'_>,
    ) -> Result<()> {
        let streams = &self.manifest.streams;
        // Where in files the bytes of each chunk go.
        let mut uses: HashMap<u64, Vec<(Ino, u64, Piece)>> = HashMap::new();
        let mut slots = self.reader(&streams.slots);
        let mut last = None;
        rows(
            &mut slots,
            |bytes| meter.add(bytes),
            |from| SlotRow::read(from),
            |row| {
                // Of each slot the newest row comes first.
                let newest = last.replace((row.ino, row.slot)) != Some((row.ino, row.slot));
                let regular = inodes.get(&row.ino).is_some_and(|inode| inode.file_type == FileType::Regular);
                if newest && regular {
                    for piece in row.decode()? {
                        let at = row.slot * u64::from(SLOT_BYTES) + u64::from(piece.start);
                        uses.entry(piece.chunk).or_default().push((row.ino, at, piece));
                    }
                }
                Ok(())
            },
        )?;
        let mut needed: Vec<(u64, ChunkRow)> = Vec::new();
        let mut offset = 0;
        let mut chunks = self.reader(&streams.chunks);
        while let Some(row) = next(&mut chunks, |from| ChunkRow::read(from))? {
            if uses.contains_key(&row.id) {
                needed.push((offset, row));
            }
            offset += u64::from(row.len);
        }
        let mut content = Ranges::new(self, &streams.content, &needed)?;
        for (offset, row) in &needed {
            let bytes = content.at(*offset, row.len)?;
            if !row.sum.is_of(&bytes) {
                return Err(BackupError::corrupt(format!("chunk {}", row.id), "its content has another checksum"));
            }
            for (ino, at, piece) in uses.remove(&row.id).unwrap_or_default() {
                let end = piece.offset.saturating_add(piece.len) as usize;
                let piece = bytes.get(piece.offset as usize..end).unwrap_or_default();
                let Some(path) = paths.get(&ino).and_then(|paths| paths.first()) else { continue };
                let path = self.dir.join(path);
                let file = File::options().write(true).open(&path);
                file.and_then(|file| file.write_all_at(piece, at)).map_err(|error| failed(&path, error))?;
            }
            meter.add(u64::from(row.len))?;
        }
        match uses.keys().next() {
            None => Ok(()),
            Some(chunk) => Err(BackupError::Missing { what: format!("chunk {chunk}") }),
        }
    }

    /// Sizes, modes and times, the deepest first.
    fn finish(&self, paths: &BTreeMap<Ino, Vec<PathBuf>>, inodes: &HashMap<Ino, Inode>) -> Result<()> {
        let mut all: Vec<_> =
            paths.iter().filter_map(|(ino, paths)| Some((paths.first()?, inodes.get(ino)?))).collect();
        all.sort_by_key(|(path, _)| std::cmp::Reverse(path.components().count()));
        for (path, inode) in all {
            let path = self.dir.join(path);
            let set = || -> io::Result<()> {
                if inode.file_type == FileType::Regular {
                    File::options().write(true).open(&path)?.set_len(inode.size)?;
                }
                if matches!(inode.file_type, FileType::Regular | FileType::Directory) {
                    let file = File::open(&path)?;
                    file.set_modified(time(inode.mtime))?;
                    file.sync_all()?;
                    // Set-id bits are for the owner, who is not restored.
                    file.set_permissions(Permissions::from_mode(inode.mode & 0o777))?;
                }
                Ok(())
            };
            set().map_err(|error| failed(&path, error))?;
        }
        Ok(())
    }
}

fn time(nanoseconds: i128) -> std::time::SystemTime {
    let from = |nanoseconds: i128| std::time::Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0));
    if nanoseconds < 0 { std::time::UNIX_EPOCH - from(-nanoseconds) } else { std::time::UNIX_EPOCH + from(nanoseconds) }
}

fn failed(path: &Path, source: io::Error) -> BackupError {
    BackupError::Io { location: path.display().to_string(), source }
}

fn read_inode(version: &Version) -> Result<Inode> {
    let corrupt =
        |detail: String| BackupError::corrupt(format!("an artifact at sequence {}", version.sequence), detail);
    let record = json::parse(&version.json).map_err(|error| corrupt(error.to_string()))?;
    Inode::from_value(&record).map_err(corrupt)
}

/// The names in each directory, and what they lead to.
type Names<'a> = HashMap<Ino, Vec<(&'a [u8], Ino)>>;

/// The names in a directory. A name that leads to two inodes is of no vault, and may be meant to put one behind the other.
fn names_in<'a>(names: &Names<'a>, dir: Ino) -> Result<BTreeMap<&'a [u8], Ino>> {
    let mut found = BTreeMap::new();
    for (name, ino) in names.get(&dir).into_iter().flatten() {
        if let Some(other) = found.insert(*name, *ino) {
            let (first, second) = (other.min(*ino), other.max(*ino));
            return Err(BackupError::corrupt(
                format!("the name {:?} in directory {dir}", String::from_utf8_lossy(name)),
                format!("it is of the inodes {first} and {second}"),
            ));
        }
    }
    Ok(found)
}

/// Everything at and below a path, with the paths from where it is put; none when there is nothing. Whatever has something below it
/// is a directory, and has each name once.
fn paths_below(known: &HashMap<Ino, Known>, path: &[u8]) -> Result<Option<BTreeMap<Ino, Vec<PathBuf>>>> {
    if known.get(&ROOT_INO).is_some_and(|root| !root.is_dir) {
        return Err(BackupError::corrupt("the root directory of artifacts", "it is something else than a directory"));
    }
    let mut names: Names<'_> = HashMap::new();
    for (ino, inode) in known {
        for (parent, name) in inode.names.iter().filter(|(_, name)| is_name(name)) {
            names.entry(*parent).or_default().push((name, *ino));
        }
    }
    let mut top = (ROOT_INO, PathBuf::new());
    for component in path.split(|byte| *byte == b'/').filter(|component| !component.is_empty()) {
        let below = names_in(&names, top.0)?;
        let Some((name, ino)) = below.get_key_value(component) else { return Ok(None) };
        top = (*ino, PathBuf::from(std::ffi::OsStr::from_bytes(name)));
    }
    let mut found: BTreeMap<Ino, Vec<PathBuf>> = BTreeMap::new();
    let mut open = vec![top];
    let mut entered = HashSet::new();
    while let Some((ino, path)) = open.pop() {
        let is_dir = ino == ROOT_INO || known.get(&ino).is_some_and(|inode| inode.is_dir);
        if is_dir && entered.insert(ino) {
            let below = names_in(&names, ino)?;
            open.extend(below.into_iter().map(|(name, child)| (child, path.join(std::ffi::OsStr::from_bytes(name)))));
        }
        found.entry(ino).or_default().push(path);
    }
    Ok(Some(found))
}

/// Reads ranges of a stream in order, and only the blobs that have some of them.
struct Ranges<'p> {
    reader: Reader<'p>,
    /// Where each blob that is read begins in the stream.
    starts: std::collections::VecDeque<u64>,
    /// What was read last, and where it begins.
    start: u64,
    bytes: Vec<u8>,
}

impl<'p> Ranges<'p> {
    fn new(extract: &'p Extract<'_>, stream: &Stream, needed: &[(u64, ChunkRow)]) -> Result<Self> {
        let (repository, index) = (extract.repository.clone(), Arc::clone(extract.index));
        let mut ranges = needed.iter().map(|(offset, row)| (*offset, offset + u64::from(row.len))).peekable();
        let mut items: Vec<Result<Item>> = Vec::new();
        let mut starts = std::collections::VecDeque::new();
        let mut start = 0;
        for item in Items::new(stream, move |name| repository.blob(&index, Sealed::List, name)) {
            let (name, len) = item?;
            let end = start + u64::from(len);
            while ranges.next_if(|(_, to)| *to <= start).is_some() {}
            if ranges.peek().is_some_and(|(from, _)| *from < end) {
                items.push(Ok((name, len)));
                starts.push_back(start);
            }
            start = end;
        }
        let reader = Reader::over(extract.repository, extract.index, extract.pool, Box::new(items.into_iter()));
        Ok(Self { reader, starts, start: 0, bytes: Vec::new() })
    }

    fn at(&mut self, offset: u64, len: u32) -> Result<Vec<u8>> {
        let missing = || BackupError::corrupt("the stream of content", "it is not as long as its chunks are");
        let end = offset + u64::from(len);
        while self.start + self.bytes.len() as u64 <= offset || self.start + (self.bytes.len() as u64) < end {
            let blob = self.reader.next_blob()?.ok_or_else(missing)?;
            let start = self.starts.pop_front().ok_or_else(missing)?;
            if start == self.start + self.bytes.len() as u64 && start > offset {
                // The range goes on in this blob.
                let keep = usize::try_from(offset.saturating_sub(self.start)).unwrap_or(usize::MAX);
                self.bytes.drain(..keep.min(self.bytes.len()));
                self.start = offset;
                self.bytes.extend_from_slice(&blob);
            } else {
                (self.start, self.bytes) = (start, blob);
            }
        }
        let from = usize::try_from(offset.checked_sub(self.start).ok_or_else(missing)?).unwrap_or(usize::MAX);
        let bytes = self.bytes.get(from..from.saturating_add(len as usize)).ok_or_else(missing)?;
        Ok(bytes.to_vec())
    }
}
