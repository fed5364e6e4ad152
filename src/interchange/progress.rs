//! How long work tells how far it is, and is stopped.

use std::ops::ControlFlow;

use crate::vault::{Error, Result};

/// Follows an import or an export, and may stop it.
pub trait Progress {
    /// Of `total` steps `done` are done: bytes of files for an import, log entries for an export, none for a timeline
    /// alone. Called often, so it should be quick, and it must not start another import or a restore, which would wait
    /// for this one. [`ControlFlow::Break`] stops the work, which leaves nothing behind.
    fn advance(&mut self, done: u64, total: u64) -> ControlFlow<()>;
}

/// Follows nothing and stops nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn advance(&mut self, _: u64, _: u64) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl<F: FnMut(u64, u64) -> ControlFlow<()>> Progress for F {
    fn advance(&mut self, done: u64, total: u64) -> ControlFlow<()> {
        self(done, total)
    }
}

/// Progress over several files, one after the other.
pub(super) struct Meter<'a> {
    progress: &'a mut dyn Progress,
    /// What a stopped work has to say.
    stopped: &'static str,
    finished: u64,
    total: u64,
}

impl<'a> Meter<'a> {
    pub(super) fn new(progress: &'a mut dyn Progress, total: u64, stopped: &'static str) -> Self {
        Self { progress, stopped, finished: 0, total }
    }

    /// So many steps of the part at hand are done.
    pub(super) fn at(&mut self, done: u64) -> Result<()> {
        // A file may have grown since it was measured.
        let done = (self.finished + done).min(self.total);
        match self.progress.advance(done, self.total) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Interrupted { done: self.stopped.to_owned() }),
        }
    }

    /// The part at hand, which had so many steps, is done.
    pub(super) fn finish(&mut self, steps: u64) -> Result<()> {
        self.finished += steps;
        self.at(0)
    }
}
