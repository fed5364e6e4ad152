//! Keeps operations out while somebody changes the artifacts below the file system.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

/// Lets any number of operations in, unless it is shut. An operation costs two atomic additions.
#[derive(Debug, Default)]
pub(super) struct Gate {
    inside: AtomicUsize,
    shut: AtomicBool,
    /// Guards nothing but the sleep of those who wait.
    sleep: Mutex<()>,
    changed: Condvar,
}

/// An operation that is inside.
pub(super) struct Entered<'a>(&'a Gate);

impl Gate {
    /// Goes in, and waits while the gate is shut.
    pub(super) fn enter(&self) -> Entered<'_> {
        loop {
            self.inside.fetch_add(1, Ordering::SeqCst);
            let entered = Entered(self);
            if !self.shut.load(Ordering::SeqCst) {
                return entered;
            }
            drop(entered);
            let mut sleep = self.sleep.lock().unwrap_or_else(PoisonError::into_inner);
            while self.shut.load(Ordering::SeqCst) {
                sleep = self.changed.wait(sleep).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Shuts it and returns when nobody is inside. Who shuts it must be the only one who does.
    pub(super) fn shut(&self) {
        self.shut.store(true, Ordering::SeqCst);
        let mut sleep = self.sleep.lock().unwrap_or_else(PoisonError::into_inner);
        while self.inside.load(Ordering::SeqCst) > 0 {
            sleep = self.changed.wait(sleep).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Opens it again. False when it was not shut.
    pub(super) fn open(&self) -> bool {
        let _sleep = self.sleep.lock().unwrap_or_else(PoisonError::into_inner);
        let was_shut = self.shut.swap(false, Ordering::SeqCst);
        self.changed.notify_all();
        was_shut
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        if self.0.inside.fetch_sub(1, Ordering::SeqCst) == 1 && self.0.shut.load(Ordering::SeqCst) {
            let _sleep = self.0.sleep.lock().unwrap_or_else(PoisonError::into_inner);
            self.0.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_inside_while_it_is_shut() {
        let gate = Gate::default();
        let inside = AtomicUsize::new(0);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !done.load(Ordering::SeqCst) {
                        let _entered = gate.enter();
                        inside.fetch_add(1, Ordering::SeqCst);
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
            for _ in 0..200 {
                gate.shut();
                assert_eq!(inside.load(Ordering::SeqCst), 0);
                assert!(gate.open());
            }
            done.store(true, Ordering::SeqCst);
        });
        assert!(!gate.open());
    }
}
