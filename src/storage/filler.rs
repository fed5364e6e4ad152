//! Filling the segments of a vault that is being made again: from the first to the last, each from its beginning to its end, past the
//! page cache if the file system has a way. Nobody reads them meanwhile, and a vault that is not finished is thrown away.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

use crate::threads::without_signals;

use super::access::{Aligned, DataFile, FileAccess, Opening};
use super::artifacts::ChunkId;
use super::chunk_sum::ChunkSum;
use super::segments::{HEADER_BYTES, Place, SEGMENT_BYTES, header, segment_name, segments_dir};
use super::{Result, StorageError};

/// How many parts there are: one is filled while another is written, and one lies between.
const PARTS: usize = 3;

/// Fills segments. Dropping it ends the thread that writes them.
pub(super) struct Filler {
    segment: u32,
    /// Where the next chunk of the segment begins.
    end: u64,
    part: Aligned,
    /// What the thread has written, to be filled again.
    written: Receiver<Aligned>,
    filled: Option<Sender<Part>>,
    thread: Option<JoinHandle<Result<()>>>,
}

/// Bytes of a segment that come behind those before.
struct Part {
    segment: u32,
    bytes: Aligned,
    /// The segment ends with them.
    last: bool,
}

impl Filler {
    /// Begins with the first segment of a vault that has none.
    pub(super) fn new(vault: &Path, files: Arc<dyn FileAccess>) -> Self {
        let (give_back, written) = mpsc::channel();
        for _ in 1..PARTS {
            // The receiver is there.
            let _ = give_back.send(Aligned::default());
        }
        let (filled, waiting) = mpsc::channel();
        let dir = segments_dir(vault);
        let work = move || Writer { dir, files, file: None, end: 0 }.write_all(waiting, &give_back);
        let thread = Some(without_signals(|| std::thread::spawn(work)));
        Self { segment: 1, end: 0, part: Aligned::default(), written, filled: Some(filled), thread }
    }

    /// Appends a chunk under the number that it has.
    ///
    /// # Errors
    /// What went wrong with this one or one before.
    pub(super) fn append(&mut self, id: ChunkId, bytes: &[u8], sum: ChunkSum) -> Result<Place> {
        let too_long = || StorageError::Limit { what: "a chunk".to_owned(), limit: u32::MAX as usize };
        let len = u32::try_from(bytes.len()).map_err(|_| too_long())?;
        let room = u64::from(HEADER_BYTES) + u64::from(len);
        if self.end + room > SEGMENT_BYTES && self.end > 0 {
            self.hand_over(true)?;
            self.segment += 1;
            self.end = 0;
        }
        let place = Place { segment: self.segment, offset: u32::try_from(self.end).unwrap_or(u32::MAX), len, sum };
        self.push(&header(id, len, &sum, crc32c::crc32c(bytes)))?;
        self.push(bytes)?;
        self.end += room;
        Ok(place)
    }

    fn push(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            bytes = self.part.fill(bytes);
            if self.part.is_full() {
                self.hand_over(false)?;
            }
        }
        Ok(())
    }

    /// Has what was filled written, and goes on with an empty part once one is free.
    fn hand_over(&mut self, last: bool) -> Result<()> {
        let Ok(empty) = self.written.recv() else { return self.join().and(Err(ended())) };
        let part = Part { segment: self.segment, bytes: std::mem::replace(&mut self.part, empty), last };
        let sent = self.filled.as_ref().is_some_and(|filled| filled.send(part).is_ok());
        if sent { Ok(()) } else { self.join().and(Err(ended())) }
    }

    /// Returns when all segments are on disk.
    ///
    /// # Errors
    /// What went wrong with any of them.
    pub(super) fn finish(mut self) -> Result<()> {
        if self.end > 0 {
            self.hand_over(true)?;
        }
        self.join()
    }

    fn join(&mut self) -> Result<()> {
        self.filled = None;
        self.thread.take().map_or(Ok(()), |thread| thread.join().unwrap_or_else(|_| Err(ended())))
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        // What went wrong was told, or does not matter any more.
        let _ = self.join();
    }
}

/// The thread's side.
struct Writer {
    dir: PathBuf,
    files: Arc<dyn FileAccess>,
    file: Option<Arc<dyn DataFile>>,
    /// How much of the file is written.
    end: u64,
}

impl Writer {
    fn write_all(mut self, parts: Receiver<Part>, written: &Sender<Aligned>) -> Result<()> {
        for Part { segment, mut bytes, last } in parts {
            let path = self.dir.join(segment_name(segment));
            self.write(&path, &bytes, last).map_err(|error| StorageError::from_io(&path, error))?;
            bytes.clear();
            // Whoever fills may have given up.
            let _ = written.send(bytes);
        }
        Ok(())
    }

    fn write(&mut self, path: &Path, bytes: &[u8], last: bool) -> std::io::Result<()> {
        let file = if let Some(file) = self.file.take() {
            file
        } else {
            self.files.create_dir(&self.dir)?;
            self.end = 0;
            self.files.open(path, Opening::Fill)?
        };
        file.write_at(bytes, self.end)?;
        self.end += bytes.len() as u64;
        if last {
            file.sync()?;
            self.files.sync_dir(&self.dir)?;
        } else {
            self.file = Some(file);
        }
        Ok(())
    }
}

fn ended() -> StorageError {
    StorageError::Corrupt { what: "the segments".to_owned(), detail: "the thread that writes them ended".to_owned() }
}
