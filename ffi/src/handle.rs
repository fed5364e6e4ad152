//! Handles: what C holds a pointer to. Each type says once whether its pointers are boxed or shared, and only the
//! functions for that kind compile with it.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, LockResult, Once};

use crate::error::{Failure, Result};
use crate::guard::{Injected, may_panic, quiet};
use crate::status::mdna_status::{MDNA_FORKED, MDNA_NULL_POINTER, MDNA_POISONED};

/// C holds the only reference.
pub(crate) enum Boxed {}
/// C holds one reference of several; the library holds others.
pub(crate) enum Shared {}

/// A type whose values C holds pointers to.
pub(crate) trait Handle: Send + Sync + Sized + 'static {
    /// [`Boxed`] or [`Shared`].
    type Ownership;

    /// Whether it can be used.
    fn state(&self) -> &State;
}

/// How many forks lie between the process that loaded the library and this one.
static GENERATION: AtomicU32 = AtomicU32::new(0);

unsafe extern "C" {
    // Of the C library; the crate `libc` does not have it for Linux.
    fn pthread_atfork(
        prepare: Option<unsafe extern "C" fn()>,
        parent: Option<unsafe extern "C" fn()>,
        child: Option<unsafe extern "C" fn()>,
    ) -> libc::c_int;

    // As above. `atexit` does not tell with what the process ends.
    fn on_exit(
        function: unsafe extern "C" fn(status: libc::c_int, argument: *mut libc::c_void),
        argument: *mut libc::c_void,
    ) -> libc::c_int;
}

unsafe extern "C" fn count_fork() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    if mirrordna::storage::engine_has_begun() {
        WITHOUT_THREADS.store(true, Ordering::Relaxed);
    }
}

/// Whether the storage engine had begun in the process that this one was forked from. What it has for the whole process is there
/// with locks and counts, but without the threads, for which everything waits. It cannot be begun anew.
static WITHOUT_THREADS: AtomicBool = AtomicBool::new(false);

/// Has forks counted from now on.
pub(crate) fn watch_forks() {
    static REGISTER: Once = Once::new();
    REGISTER.call_once(|| {
        // SAFETY: the function is static and touches nothing but atomics. When there is no memory to note it, forks go unseen,
        // as they would without it.
        unsafe { pthread_atfork(None, None, Some(count_fork)) };
    });
}

/// # Errors
/// When this process cannot do anything with vaults.
pub(crate) fn check_process() -> Result<()> {
    if !WITHOUT_THREADS.load(Ordering::Relaxed) {
        return Ok(());
    }
    Err(Failure::new(
        MDNA_FORKED,
        "this process was forked from one that had used a vault, and the threads of the storage engine are in that one alone",
    ))
}

/// Whether the process is ending, so far that the storage engine has ended, or is about to.
static ENDING: AtomicBool = AtomicBool::new(false);

unsafe extern "C" fn note_end(status: libc::c_int, _: *mut libc::c_void) {
    ENDING.store(true, Ordering::Relaxed);
    if WITHOUT_THREADS.load(Ordering::Relaxed) {
        // What comes next is the end of the storage engine, which joins threads that this process does not have, and crashes.
        // SAFETY: there is one thread, in `exit()`, and nothing of this process is used afterwards.
        unsafe {
            libc::fflush(std::ptr::null_mut());
            libc::_exit(status);
        }
    }
}

/// Whether what the storage engine has for the whole process is gone, or about to go.
pub(crate) fn is_ending() -> bool {
    ENDING.load(Ordering::Relaxed)
}

/// To be called when the storage engine may have begun: it is noted once when it goes.
pub(crate) fn worked() {
    if mirrordna::storage::engine_has_begun() {
        opened();
    }
}

/// To be called when a vault was opened. What the storage engine has for the whole process is there afterwards, also when another
/// process owns the vault for now, and goes right after [`note_end`] was called. Closing a vault later on would wait for its
/// threads for ever.
pub(crate) fn opened() {
    static REGISTER: Once = Once::new();
    REGISTER.call_once(|| {
        mirrordna::storage::start_engine();
        // SAFETY: the function stays, because the library is never unloaded (`build.rs`). When there is no memory to note it,
        // the end goes unseen, as it would without it.
        unsafe { on_exit(note_end, std::ptr::null_mut()) };
    });
}

/// Whether a handle can be used: it was not poisoned by a panic, and this is the process that made it.
pub(crate) struct State {
    poisoned: AtomicBool,
    generation: u32,
}

impl State {
    pub(crate) fn new() -> Self {
        watch_forks();
        Self { poisoned: AtomicBool::new(false), generation: GENERATION.load(Ordering::Relaxed) }
    }

    /// # Errors
    /// When the handle cannot be used.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_forked() {
            return Err(Failure::new(
                MDNA_FORKED,
                "this handle was made before fork() and cannot be used in the child: the threads of the vault are in \
                 the parent alone",
            ));
        }
        if self.poisoned.load(Ordering::Acquire) {
            return Err(poisoned());
        }
        Ok(())
    }

    pub(crate) fn poison(&self) {
        self.poisoned.store(true, Ordering::Release);
    }

    fn is_forked(&self) -> bool {
        self.generation != GENERATION.load(Ordering::Relaxed)
    }

    /// Whether the threads that freeing it would wait for are gone.
    fn is_left_alone(&self) -> bool {
        self.is_forked() || is_ending()
    }
}

fn poisoned() -> Failure {
    let message = "an earlier call on this handle failed inside of the library, so its state is not known";
    Failure::new(MDNA_POISONED, message)
}

/// What a lock of a handle holds. Who waited for it while its holder panicked goes on no more than who comes afterwards.
pub(crate) fn locked<G>(lock: LockResult<G>) -> Result<G> {
    lock.map_err(|_| poisoned())
}

/// Hands a boxed handle out.
pub(crate) fn boxed<H: Handle<Ownership = Boxed>>(handle: H) -> *mut H {
    Box::into_raw(Box::new(handle))
}

/// Hands a reference to a shared handle out.
pub(crate) fn shared<H: Handle<Ownership = Shared>>(handle: &Arc<H>) -> *mut H {
    Arc::into_raw(Arc::clone(handle)).cast_mut()
}

/// Frees a boxed handle. In the child of a fork it is leaked: freeing it would wait for threads that are not there, and
/// write to files of the parent. So it is at the end of the process.
///
/// # Safety
/// `pointer` is NULL or came from [`boxed`], and nobody uses it any more.
pub(crate) unsafe fn free_boxed<H: Handle<Ownership = Boxed>>(pointer: *mut H) {
    quiet(|| {
        if pointer.is_null() {
            return;
        }
        // SAFETY: it came from `boxed`, as the caller says.
        let handle = unsafe { Box::from_raw(pointer) };
        may_panic(Injected::Work);
        if handle.state().is_left_alone() {
            std::mem::forget(handle);
        }
    });
}

/// Gives up a reference to a shared handle, after `end` was called on it; at the end of the process only calls `end`, and in the
/// child of a fork neither.
///
/// # Safety
/// `pointer` is NULL or came from [`shared`], and C does not use it any more.
pub(crate) unsafe fn free_shared<H: Handle<Ownership = Shared>>(pointer: *mut H, end: impl FnOnce(&H)) {
    quiet(|| {
        if pointer.is_null() {
            return;
        }
        // SAFETY: it came from `shared`, as the caller says.
        let handle = unsafe { Arc::from_raw(pointer) };
        if !handle.state().is_forked() {
            end(&handle);
        }
        may_panic(Injected::Work);
        if handle.state().is_left_alone() {
            std::mem::forget(handle);
        }
    });
}

/// The handle behind a pointer.
///
/// # Safety
/// `pointer` is NULL or came from [`boxed`] or [`shared`] and was not freed, and is not freed during the call.
pub(crate) unsafe fn borrow<'a, H: Handle>(pointer: *const H, name: &str) -> Result<&'a H> {
    // SAFETY: as the caller says.
    unsafe { pointer.as_ref() }.ok_or_else(|| null(name))
}

/// The handle behind a pointer that may be NULL.
///
/// # Safety
/// As [`borrow`].
pub(crate) unsafe fn opt_borrow<'a, H: Handle>(pointer: *const H) -> Option<&'a H> {
    // SAFETY: as the caller says.
    unsafe { pointer.as_ref() }
}

/// An argument is NULL that must not be.
pub(crate) fn null(name: &str) -> Failure {
    Failure::new(MDNA_NULL_POINTER, format!("{name} is NULL and must not be"))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn nobody_goes_on_with_what_a_panic_left() {
        let mutex = Mutex::new(1);
        assert_eq!(*locked(mutex.lock()).unwrap(), 1);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut held = mutex.lock().unwrap();
            *held = 2;
            panic!("in the middle");
        }));
        assert!(panicked.is_err());
        assert_eq!(locked(mutex.lock()).unwrap_err().status, MDNA_POISONED);
    }
}
