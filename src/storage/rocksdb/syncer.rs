//! Bringing segments to disk while the next ones are written.

use std::sync::Arc;
use std::sync::mpsc::{self, SyncSender};
use std::thread::JoinHandle;

use super::super::segments::Segments;
use super::super::{Result, StorageError};

/// So many segments wait to be brought to disk, beside the one that is, before whoever fills them waits too.
const WAITING: usize = 1;

/// A thread that brings segments to disk. Dropping it waits for the thread.
pub(super) struct Syncer {
    full: Option<SyncSender<u32>>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Syncer {
    pub(super) fn new(segments: Arc<Segments>) -> Self {
        let (full, waiting) = mpsc::sync_channel(WAITING);
        let work = move || waiting.into_iter().try_for_each(|number| segments.set_aside(number));
        Self { full: Some(full), thread: Some(std::thread::spawn(work)) }
    }

    /// A segment to which nothing is appended any more.
    ///
    /// # Errors
    /// What went wrong with an earlier one.
    pub(super) fn sync(&mut self, number: u32) -> Result<()> {
        let sent = self.full.as_ref().is_some_and(|full| full.send(number).is_ok());
        if sent { Ok(()) } else { self.join().and(Err(ended())) }
    }

    /// Returns when all are on disk.
    ///
    /// # Errors
    /// What went wrong with any of them.
    pub(super) fn finish(mut self) -> Result<()> {
        self.join()
    }

    fn join(&mut self) -> Result<()> {
        self.full = None;
        self.thread.take().map_or(Ok(()), |thread| thread.join().unwrap_or_else(|_| Err(ended())))
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        // What went wrong was told, or does not matter any more.
        let _ = self.join();
    }
}

fn ended() -> StorageError {
    StorageError::Corrupt {
        what: "the segments".to_owned(),
        detail: "the thread that brings them to disk ended".to_owned(),
    }
}
