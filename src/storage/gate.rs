//! The gate through which commits go: work that must be alone in the vault closes it for all others.
//!
//! Many commits pass at once. A restore *claims* the gate: it waits until those that are under way have passed, and from
//! then on only its own commits are made. When whoever claimed it dies in the middle, the gate is *reserved* until the
//! work is finished, so that nobody builds on half of it. While that fails, those who come are told why instead of waiting.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::{Result, StorageError};

/// The gate is kept closed for work that nobody is at.
#[derive(Debug)]
pub(super) enum Reserved {
    /// Somebody is about to finish it.
    Waiting,
    /// It cannot be finished, for now.
    Failing(StorageError),
}

#[derive(Debug, Default)]
struct State {
    /// Commits that are passing.
    passing: usize,
    claims: usize,
    reserved: Option<Reserved>,
    /// The storage is about to close: nobody waits any more.
    closing: bool,
}

impl State {
    fn is_open(&self) -> bool {
        self.claims == 0 && self.reserved.is_none()
    }

    /// Why nobody passes, when it makes no sense to wait.
    fn refusal(&self) -> Option<&StorageError> {
        match &self.reserved {
            Some(Reserved::Failing(error)) if self.claims == 0 => Some(error),
            _ => None,
        }
    }
}

/// The gate.
#[derive(Debug, Default)]
pub(super) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

/// A commit is passing, until this is dropped.
#[derive(Debug)]
pub(super) struct Pass<'a>(&'a Gate);

/// The gate is closed for all but its holder, until this is dropped.
#[derive(Debug)]
pub(super) struct Claim(Arc<Gate>);

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, until: impl Fn(&State) -> bool) -> MutexGuard<'a, State> {
        self.changed.wait_while(state, |state| !until(state)).unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the gate is open. None when it will not be any more, because the storage closes.
    ///
    /// # Errors
    /// Why work that was left half done cannot be finished, so that nothing else is done before. `dir` is the vault's.
    pub(super) fn pass(&self, dir: &Path) -> Result<Option<Pass<'_>>> {
        let is_settled = |state: &State| state.is_open() || state.closing || state.refusal().is_some();
        let mut state = self.wait(self.state(), is_settled);
        if let Some(error) = state.refusal() {
            return Err(error.again(dir));
        }
        if !state.is_open() {
            return Ok(None);
        }
        state.passing += 1;
        Ok(Some(Pass(self)))
    }

    /// Closes the gate and waits until the commits that are passing have passed.
    pub(super) fn claim(self: &Arc<Self>) -> Claim {
        let mut state = self.state();
        state.claims += 1;
        drop(self.wait(state, |state| state.passing == 0));
        Claim(Arc::clone(self))
    }

    /// Keeps the gate closed when nobody claims it, or no longer.
    pub(super) fn reserve(&self, reserved: Option<Reserved>) {
        self.state().reserved = reserved;
        self.changed.notify_all();
    }

    /// As [`Gate::reserve`], if something holds, at which nobody else reserves it meanwhile.
    pub(super) fn reserve_if(&self, reserved: Option<Reserved>, holds: impl FnOnce() -> bool) {
        let mut state = self.state();
        if holds() {
            state.reserved = reserved;
            self.changed.notify_all();
        }
    }

    /// It is claimed or reserved.
    pub(super) fn is_busy(&self) -> bool {
        !self.state().is_open()
    }

    /// Sends away those who wait, and from now on everybody who would have to.
    pub(super) fn close(&self) {
        self.state().closing = true;
        self.changed.notify_all();
    }
}

impl Claim {
    /// Whether it is this gate that is closed.
    pub(super) fn is_of(&self, gate: &Arc<Gate>) -> bool {
        Arc::ptr_eq(&self.0, gate)
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.passing -= 1;
        // Somebody waits for it only while the gate is closed.
        if !state.is_open() {
            self.0.changed.notify_all();
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.0.state().claims -= 1;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_claim_waits_for_who_passes_and_keeps_others_out() {
        let gate = Arc::new(Gate::default());
        let is_claimed = AtomicBool::new(false);
        let is_through = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let pass = gate.pass(Path::new("")).unwrap().unwrap();
            let claimer = scope.spawn(|| {
                let claim = gate.claim();
                is_claimed.store(true, Ordering::SeqCst);
                claim
            });
            while !gate.is_busy() {
                std::thread::yield_now();
            }
            assert!(!is_claimed.load(Ordering::SeqCst));
            drop(pass);
            let claim = claimer.join().unwrap();
            let late = scope.spawn(|| {
                let pass = gate.pass(Path::new("")).unwrap();
                is_through.store(true, Ordering::SeqCst);
                pass.is_some()
            });
            std::thread::sleep(Duration::from_millis(20));
            assert!(!is_through.load(Ordering::SeqCst));
            drop(claim);
            assert!(late.join().unwrap());
        });
        assert!(!gate.is_busy());
    }

    #[test]
    fn a_reserved_gate_opens_when_it_is_given_back_and_a_closing_one_sends_away() {
        let gate = Arc::new(Gate::default());
        let dir = Path::new("vault");
        gate.reserve(Some(Reserved::Waiting));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| gate.pass(dir).unwrap().is_some());
            gate.reserve(None);
            assert!(waiting.join().unwrap());
            let claim = gate.claim();
            let waiting = scope.spawn(|| gate.pass(dir).unwrap().is_none());
            gate.close();
            assert!(waiting.join().unwrap());
            drop(claim);
            assert!(gate.pass(dir).unwrap().is_some(), "an open gate lets pass until the end");
        });
    }

    #[test]
    fn who_comes_while_work_cannot_be_finished_is_told_why() {
        let (gate, dir) = (Arc::new(Gate::default()), Path::new("vault"));
        gate.reserve(Some(Reserved::Waiting));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| gate.pass(dir).map(drop).unwrap_err());
            gate.reserve(Some(Reserved::Failing(StorageError::NoSpace { path: dir.into() })));
            assert!(matches!(waiting.join().unwrap(), StorageError::NoSpace { .. }));
            assert!(gate.pass(dir).is_err());
            // Somebody tries again: how that ends is worth waiting for.
            let claim = gate.claim();
            let waiting = scope.spawn(|| gate.pass(dir).unwrap().is_some());
            gate.reserve(None);
            drop(claim);
            assert!(waiting.join().unwrap());
        });
    }
}
