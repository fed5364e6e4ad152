//! How long work tells how far it is, and is stopped.

use std::ops::ControlFlow;

use super::error::{BackupError, Result};

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The vault is read and what is new is stored.
    Storing,
    /// A backup is read and written into a vault or into files.
    Restoring,
    /// Packs are read and checked.
    Verifying,
    /// What is needed of packs is copied.
    Repacking,
    /// Backups are copied between repositories.
    Copying,
}

impl Phase {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Storing => "storing",
            Self::Restoring => "restoring",
            Self::Verifying => "verifying",
            Self::Repacking => "repacking",
            Self::Copying => "copying",
        }
    }
}

/// Follows work on backups, and may stop it.
pub trait Progress {
    /// Of `total` bytes `done` are done. Called often, so it should be quick. [`ControlFlow::Break`] stops the work; what was
    /// stored by then is made use of next time.
    fn advance(&mut self, phase: Phase, done: u64, total: u64) -> ControlFlow<()>;
}

/// Follows nothing and stops nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn advance(&mut self, _: Phase, _: u64, _: u64) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl<F: FnMut(Phase, u64, u64) -> ControlFlow<()>> Progress for F {
    fn advance(&mut self, phase: Phase, done: u64, total: u64) -> ControlFlow<()> {
        self(phase, done, total)
    }
}

/// Counts the bytes of one piece of work.
pub(super) struct Meter<'a> {
    progress: &'a mut dyn Progress,
    phase: Phase,
    done: u64,
    total: u64,
    /// What is said when the work is stopped.
    stopped: &'static str,
}

impl<'a> Meter<'a> {
    pub(super) fn new(progress: &'a mut dyn Progress, phase: Phase, total: u64, stopped: &'static str) -> Self {
        Self { progress, phase, done: 0, total, stopped }
    }

    pub(super) fn add(&mut self, bytes: u64) -> Result<()> {
        self.done += bytes;
        self.total = self.total.max(self.done);
        match self.progress.advance(self.phase, self.done, self.total) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(BackupError::Interrupted { done: self.stopped }),
        }
    }
}
