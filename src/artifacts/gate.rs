//! Keeps operations out while somebody changes the artifacts below the file system.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

thread_local! {
    /// The gates that this thread is inside of, each as often as it is.
    static INSIDE: RefCell<Vec<*const Gate>> = const { RefCell::new(Vec::new()) };
}

/// Lets any number of operations in, unless it is shut. An operation costs two atomic additions. It may consist of others: who is
/// inside goes in again without waiting.
#[derive(Debug, Default)]
pub(super) struct Gate {
    inside: AtomicUsize,
    shut: AtomicBool,
    /// Guards nothing but the sleep of those who wait.
    sleep: Mutex<()>,
    changed: Condvar,
}

/// An operation that is inside, on the thread that went in.
pub struct Entered<'a>(&'a Gate, PhantomData<*const ()>);

impl Gate {
    /// Goes in, and waits while the gate is shut.
    pub(super) fn enter(&self) -> Entered<'_> {
        let this = ptr::from_ref(self);
        let is_inside = INSIDE.with_borrow(|gates| gates.contains(&this));
        loop {
            self.inside.fetch_add(1, Ordering::SeqCst);
            if is_inside || !self.shut.load(Ordering::SeqCst) {
                INSIDE.with_borrow_mut(|gates| gates.push(this));
                return Entered(self, PhantomData);
            }
            self.leave();
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

    fn leave(&self) {
        if self.inside.fetch_sub(1, Ordering::SeqCst) == 1 && self.shut.load(Ordering::SeqCst) {
            let _sleep = self.sleep.lock().unwrap_or_else(PoisonError::into_inner);
            self.changed.notify_all();
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
        let this = ptr::from_ref(self.0);
        INSIDE.with_borrow_mut(|gates| {
            if let Some(last) = gates.iter().rposition(|gate| *gate == this) {
                gates.swap_remove(last);
            }
        });
        self.0.leave();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn nobody_is_inside_while_it_is_shut() {
        let gate = Gate::default();
        let inside = AtomicUsize::new(0);
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !done.load(Ordering::SeqCst) {
                        let _entered = gate.enter();
                        thread::yield_now();
                        let _again = gate.enter();
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
