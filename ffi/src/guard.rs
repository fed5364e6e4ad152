//! What stands between every entry and its work: no panic leaves the library, and failures are remembered.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::{Failure, Result, remember};
use crate::handle::{Handle, check_process, watch_forks, worked};
use crate::status::mdna_status;

thread_local! {
    static PANIC: Cell<bool> = const { Cell::new(false) };
}

/// For tests of this package: from now on, or no longer, every entry that this thread calls panics. C cannot reach it.
#[doc(hidden)]
pub fn inject_panic(armed: bool) {
    PANIC.set(armed);
}

/// Does the work of an entry. A panic becomes `MDNA_INTERNAL`.
pub(crate) fn call<T: Into<mdna_status>>(work: impl FnOnce() -> Result<T>) -> mdna_status {
    let work = || {
        check_process()?;
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

/// Does a part of an entry that comes before its work: making something of its arguments.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    caught(work).and_then(|result| result)
}

/// The result of work, or the failure that its panic is. What the work held is given up, so nothing broken is seen
/// again.
fn caught<T>(work: impl FnOnce() -> T) -> Result<T> {
    let work = || {
        assert!(!PANIC.get(), "injected by a test");
        // Before there is anything that a child would miss.
        watch_forks();
        let done = work();
        worked();
        done
    };
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
