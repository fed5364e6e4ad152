//! Making a vault of a backup again.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread::ScopedJoinHandle;

use crate::record::{Checksum, Value, object};
use crate::storage::{
    CheckedChunks, CheckedLog, ChunkRow, ContentReplay, FileAccess, LogReplay, LogRow, OpenOptions, Replay, ReplayOf,
    SLOT_BYTES, Sequence, SlotRow, SystemFiles,
};
use crate::threads::without_signals;

use super::error::{BackupError, Result};
use super::index::Index;
use super::keys::Name;
use super::manifest::{Manifest, Stream};
use super::pool::{Pool, TASK_BYTES, TASK_ROWS, in_order};
use super::progress::{Meter, Phase, Progress};
use super::repository::Repository;
use super::select::Backup;
use super::stream::Reader;

const STOPPED: &str = "nothing was restored";
/// How many rows are written before progress is told.
const ROWS: usize = 1_024;

/// What was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The backup.
    pub backup: Backup,
    /// The sequence of the vault.
    pub sequence: u64,
    /// Merkle root there.
    pub root: Checksum,
    /// Bytes that were read of the backup.
    pub bytes: u64,
}

impl Restored {
    /// As JSON.
    #[must_use]
    pub fn to_value(&self) -> Value {
        object([
            ("name", self.backup.name.as_str().into()),
            ("sequence", self.sequence.into()),
            ("root", self.root.to_string().into()),
            ("bytes", self.bytes.into()),
        ])
    }
}

impl Repository {
    /// Makes the vault of a backup again, in a directory that is new or empty: with the same id, log and root. Everything is
    /// checked as it comes. The directory is there only when all is good.
    ///
    /// # Errors
    /// [`BackupError::NotFound`], [`BackupError::Ambiguous`], [`BackupError::Occupied`]; [`BackupError::Corrupt`] and
    /// [`BackupError::Missing`] when the backup is not whole; [`BackupError::Interrupted`]; those of reading and writing. After an
    /// error nothing is left.
    pub fn restore(&self, wanted: &str, to: &Path, progress: &mut dyn Progress) -> Result<Restored> {
        let (name, manifest) = self.find(wanted)?;
        let (index, faults) = self.index()?;
        let place = Place::prepare(to)?;
        let restored = self.restore_into(&manifest, index, &place.vault(), progress);
        if let Err(error) = restored {
            place.discard();
            // A damaged index may be why something was not found.
            return Err(match faults.into_iter().next() {
                Some(fault) if error.is_damage() => BackupError::corrupt(fault.subject, fault.problem),
                _ => error,
            });
        }
        place.accept()?;
        let backup = Backup::of(&name, &manifest);
        tracing::info!(target: "mirrordna::audit", action = "restore", backup = %name, dir = %to.display(), sequence = manifest.sequence);
        Ok(Restored { bytes: backup.bytes, backup, sequence: manifest.sequence, root: manifest.root })
    }

    fn restore_into(&self, manifest: &Manifest, index: Index, dir: &Path, progress: &mut dyn Progress) -> Result<()> {
        let streams = &manifest.streams;
        let total = streams.all().iter().map(|stream| stream.bytes).sum();
        let meter = Meter::new(progress, Phase::Restoring, total, STOPPED);
        let of = ReplayOf {
            vault_id: manifest.vault_id.clone(),
            sequence: manifest.sequence,
            root: manifest.root,
            epoch: manifest.epoch,
            horizon: manifest.horizon,
        };
        let replay = Replay::begin(dir, &OpenOptions::default(), of)?;
        let (pool, index) = (Pool::new(), Arc::new(index));
        let reader = |stream: &Stream| Reader::new(self, &index, &pool, stream);
        let (content_replay, log_replay) = replay.parts();
        // The log is read and written by a thread of its own, beside the content. What it has done it tells this one, which alone
        // speaks with the caller; that nobody listens any more ends it.
        std::thread::scope(|scope| {
            let (tell, told) = mpsc::channel();
            let replay = || {
                let tell = tell;
                let tell = move |bytes| tell.send(bytes).map_err(|_| BackupError::Interrupted { done: STOPPED });
                replay_log(&pool, reader(&streams.log), log_replay, tell)
            };
            let log = without_signals(|| scope.spawn(replay));
            let mut work = Work { meter, told, log: Some(log) };
            let content = (reader(&streams.chunks), reader(&streams.content).for_proof(), reader(&streams.slots));
            replay_content(&pool, content, manifest.chunks, content_replay, &mut work)?;
            work.finish()
        })?;
        Ok(replay.finish()?)
    }
}

/// The work of both threads, as the one that tells of it sees it.
struct Work<'a, 's> {
    meter: Meter<'a>,
    told: Receiver<u64>,
    log: Option<ScopedJoinHandle<'s, Result<()>>>,
}

impl Work<'_, '_> {
    fn add(&mut self, bytes: u64) -> Result<()> {
        let bytes = self.told.try_iter().sum::<u64>() + bytes;
        self.meter.add(bytes)?;
        // What is wrong with the log ends the work on the content.
        if self.log.as_ref().is_some_and(ScopedJoinHandle::is_finished) { self.join() } else { Ok(()) }
    }

    fn join(&mut self) -> Result<()> {
        let ended = || BackupError::corrupt("the log", "the thread that wrote it ended");
        self.log.take().map_or(Ok(()), |log| log.join().unwrap_or_else(|_| Err(ended())))
    }

    /// Waits for the log.
    fn finish(mut self) -> Result<()> {
        while let Ok(bytes) = self.told.recv() {
            self.meter.add(bytes)?;
        }
        self.join()
    }
}

fn replay_log(
    pool: &Pool,
    mut log: Reader<'_>,
    mut replay: LogReplay<'_>,
    mut tell: impl FnMut(u64) -> Result<()>,
) -> Result<()> {
    let mut told = 0;
    let mut first = 1;
    let check = || {
        let (rows, bytes) = log_rows(&mut log)?;
        tell(log.consumed() - told)?;
        told = log.consumed();
        let sequence = first;
        first += rows.len() as Sequence;
        Ok((!rows.is_empty()).then_some((bytes, move || CheckedLog::check(sequence, rows))))
    };
    in_order(pool, check, |checked| Ok(replay.log(&checked?)?))?;
    Ok(replay.finish()?)
}

/// Some rows of the log, and how many bytes they have; none at its end.
fn log_rows(log: &mut Reader<'_>) -> Result<(Vec<LogRow>, usize)> {
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while bytes < TASK_BYTES && rows.len() < TASK_ROWS {
        let Some(row) = next(log, |from| LogRow::read(from))? else { break };
        bytes += row.entry.len() + row.version.len();
        rows.push(row);
    }
    Ok((rows, bytes))
}

fn replay_content(
    pool: &Pool,
    (mut chunks, mut content, mut slots): (Reader<'_>, Reader<'_>, Reader<'_>),
    expected: u64,
    mut replay: ContentReplay<'_>,
    work: &mut Work<'_, '_>,
) -> Result<()> {
    let mut count = 0;
    let check = || {
        let (rows, bytes) = chunk_rows(&mut chunks, &mut content)?;
        count += rows.len() as u64;
        work.add(bytes.len() as u64 + 44 * rows.len() as u64)?;
        Ok((!rows.is_empty()).then_some((bytes.len(), move || CheckedChunks::check(rows, bytes))))
    };
    in_order(pool, check, |checked| Ok(replay.chunks(&checked?)?))?;
    if count != expected || !content.is_at_end()? {
        return Err(BackupError::corrupt("the stream of content", "it is not as long as its chunks are"));
    }
    rows(&mut slots, |bytes| work.add(bytes), |from| SlotRow::read(from), |row| Ok(replay.slot(row)?))?;
    Ok(replay.finish()?)
}

/// Some chunks with their content, one behind the other; none at the end.
fn chunk_rows(chunks: &mut Reader<'_>, content: &mut Reader<'_>) -> Result<(Vec<ChunkRow>, Vec<u8>)> {
    let (mut rows, mut bytes) = (Vec::new(), Vec::new());
    while bytes.len() < TASK_BYTES && rows.len() < TASK_ROWS {
        let Some(row) = next(chunks, |from| ChunkRow::read(from))? else { break };
        if row.len > SLOT_BYTES {
            return Err(BackupError::corrupt(format!("chunk {}", row.id), format!("it has {} bytes", row.len)));
        }
        content.read_behind(&mut bytes, row.len as usize)?;
        rows.push(row);
    }
    Ok((rows, bytes))
}

/// The next row of a stream.
pub(super) fn next<T>(
    from: &mut Reader<'_>,
    read: impl Fn(&mut dyn io::Read) -> io::Result<Option<T>>,
) -> Result<Option<T>> {
    read(from).map_err(|error| from.failed(&error))
}

/// Does something with each row of a stream, and tells how many bytes were read since it was last told.
pub(super) fn rows<T>(
    from: &mut Reader<'_>,
    mut tell: impl FnMut(u64) -> Result<()>,
    read: impl Fn(&mut dyn io::Read) -> io::Result<Option<T>>,
    mut take: impl FnMut(&T) -> Result<()>,
) -> Result<()> {
    let mut told = 0;
    for n in 1_usize.. {
        let row = next(from, &read)?;
        if row.is_none() || n.is_multiple_of(ROWS) {
            tell(from.consumed() - told)?;
            told = from.consumed();
        }
        match row {
            Some(row) => take(&row)?,
            None => break,
        }
    }
    Ok(())
}

/// Where something is restored to: beside its place, until all of it is good.
pub(super) struct Place {
    to: PathBuf,
    beside: PathBuf,
    /// Keeps a second restore to the same place away.
    _lock: File,
}

const INSIDE: &str = "new";
const LOCK: &str = "LOCK";

impl Place {
    /// Makes room beside a place that must be new or an empty directory. What a restore left there that was killed is removed.
    pub(super) fn prepare(to: &Path) -> Result<Self> {
        let failed = |path: &Path| {
            let location = path.display().to_string();
            move |source| BackupError::Io { location, source }
        };
        let occupied = |path: &Path, what| Err(BackupError::Occupied { location: path.display().to_string(), what });
        match fs::read_dir(to) {
            Ok(mut entries) => {
                if entries.next().is_some() {
                    return occupied(to, "files");
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => return occupied(to, "a file"),
            Err(error) => return Err(failed(to)(error)),
        }
        let to = std::path::absolute(to).map_err(failed(to))?;
        let mut beside = to.clone().into_os_string();
        beside.push(".restoring");
        let beside = PathBuf::from(beside);
        SystemFiles.create_dir(&beside).map_err(failed(&beside))?;
        let names = fs::read_dir(&beside).map_err(failed(&beside))?;
        for name in names {
            let name = name.map_err(failed(&beside))?.file_name();
            if name != INSIDE && name != LOCK {
                return occupied(&beside, "files that are not of a restore");
            }
        }
        let lock = File::create(beside.join(LOCK)).map_err(failed(&beside))?;
        if rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_err() {
            let holder = "another restore to the same place".to_owned();
            return Err(BackupError::Locked { location: beside.display().to_string(), holder });
        }
        let inside = beside.join(INSIDE);
        match fs::remove_dir_all(&inside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&inside)(error)),
            _ => {}
        }
        Ok(Self { to, beside, _lock: lock })
    }

    /// Where it is made.
    pub(super) fn vault(&self) -> PathBuf {
        self.beside.join(INSIDE)
    }

    /// Gives it its name. When it cannot have it, it is removed.
    pub(super) fn accept(self) -> Result<()> {
        let location = self.to.display().to_string();
        let failed = |source| BackupError::Io { location, source };
        let inside = self.vault();
        // An empty directory in its place is replaced.
        let named = File::open(&inside).and_then(|dir| dir.sync_all()).and_then(|()| fs::rename(&inside, &self.to));
        if let Err(error) = named {
            self.discard();
            return Err(failed(error));
        }
        let _ = fs::remove_dir_all(&self.beside);
        let parent = self.to.parent().unwrap_or(Path::new("/"));
        File::open(parent).and_then(|dir| dir.sync_all()).map_err(failed)
    }

    /// Removes what was made.
    pub(super) fn discard(self) {
        if let Err(error) = fs::remove_dir_all(&self.beside) {
            tracing::warn!(target: "mirrordna::backup", %error, dir = %self.beside.display(), "what was restored in part is left");
        }
    }
}

/// The name of a backup, as messages show it.
pub(super) fn short(name: &Name) -> String {
    name.to_string().chars().take(super::select::SHORT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Somebody put something where the vault was to go while it was made.
    #[test]
    fn what_cannot_have_its_name_is_removed() {
        let dir = tempfile::TempDir::new().unwrap();
        let to = dir.path().join("vault");
        let place = Place::prepare(&to).unwrap();
        fs::create_dir(place.vault()).unwrap();
        fs::create_dir(&to).unwrap();
        fs::write(to.join("file"), b"of somebody").unwrap();
        assert!(place.accept().unwrap_err().to_string().contains("vault"));
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["vault"]);
        assert_eq!(fs::read(to.join("file")).unwrap(), b"of somebody");
        fs::remove_file(to.join("file")).unwrap();
        let place = Place::prepare(&to).unwrap();
        fs::create_dir(place.vault()).unwrap();
        place.accept().unwrap();
        assert!(!dir.path().join("vault.restoring").exists());
    }
}
