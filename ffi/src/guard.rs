//! What stands between every entry and its work: no panic leaves the library, and failures are remembered.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::{Failure, Result, remember};
use crate::handle::{Handle, check_process, watch_forks, worked};
use crate::status::mdna_status;

/// Where the library panics when a test of this package says so.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Injected {
    /// Where an entry begins.
    Entry,
    /// In the work of an entry, after it was looked at the handle.
    Work,
    /// In what is done beside the work: reading JSON, and what a callback is told.
    Beside,
}

thread_local! {
    static PANIC: Cell<Option<Injected>> = const { Cell::new(None) };
}

/// For tests of this package: from now on everything panics there that this thread calls, or nothing. C cannot reach it.
#[doc(hidden)]
pub fn inject_panic(place: Option<Injected>) {
    PANIC.set(place);
}

/// A place where a test may want a panic.
pub(crate) fn may_panic(place: Injected) {
    assert!(PANIC.get() != Some(place), "injected by a test");
}

/// Does the work of an entry. A panic becomes `MDNA_INTERNAL`.
pub(crate) fn call<T: Into<mdna_status>>(work: impl FnOnce() -> Result<T>) -> mdna_status {
    let work = || {
        check_process()?;
        may_panic(Injected::Work);
        work()
    };
    match caught(work) {
        Ok(Ok(done)) => done.into(),
        Ok(Err(failure)) | Err(failure) => remember(&failure),
    }
}

/// Does the work of an entry on a handle, which must be usable. A panic leaves the handle poisoned, because nobody
/// knows in which state it is; every other handle goes on.
pub(crate) fn call_on<H: Handle, T: Into<mdna_status>>(
    handle: Result<&H>,
    work: impl FnOnce(&H) -> Result<T>,
) -> mdna_status {
    let handle = match handle {
        Ok(handle) => handle,
        Err(failure) => return call(|| Err::<(), _>(failure)),
    };
    match caught(|| {
        handle.state().check()?;
        check_process()?;
        may_panic(Injected::Work);
        work(handle)
    }) {
        Ok(Ok(done)) => done.into(),
        Ok(Err(failure)) => remember(&failure),
        Err(panicked) => {
            handle.state().poison();
            remember(&panicked)
        }
    }
}

/// Does work of an entry that cannot fail for its caller, such as freeing something.
pub(crate) fn quiet(work: impl FnOnce()) {
    if let Err(panicked) = caught(work) {
        remember(&panicked);
    }
}

/// Does what is no work on a handle: making something of arguments, or of what a callback is told.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    let work = || {
        may_panic(Injected::Beside);
        work()
    };
    contained(work).and_then(|result| result)
}

/// The result of the work of an entry, or the failure that its panic is.
fn caught<T>(work: impl FnOnce() -> T) -> Result<T> {
    contained(|| {
        may_panic(Injected::Entry);
        // Before there is anything that a child would miss.
        watch_forks();
        let done = work();
        worked();
        done
    })
}

/// The result of work, or the failure that its panic is. What the work held is given up, so nothing broken is seen
/// again.
fn contained<T>(work: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default();
        // Dropping a payload may panic itself; it is nothing but a text, or leaked.
        if text.is_empty() {
            std::mem::forget(payload);
        }
        Failure::new(mdna_status::MDNA_INTERNAL, format!("the library failed, which is a bug of it: {text}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_status_with_its_text() {
        let status = call(|| -> Result<()> { panic!("number {}", 7) });
        assert_eq!(status, mdna_status::MDNA_INTERNAL);
        // SAFETY: the error of this thread stays, since nothing fails in it.
        let message = unsafe { std::ffi::CStr::from_ptr((*crate::error::mdna_last_error()).message) };
        assert!(message.to_str().unwrap().ends_with("number 7"));
        assert_eq!(call(|| Ok(())), mdna_status::MDNA_OK);
    }
}
