//! The last error of each thread.

use std::cell::RefCell;
use std::ffi::{CString, c_char};
use std::ptr;

use crate::status::mdna_status;

/// What went wrong in the last call of this thread that failed. The texts are the library's: they stay until another
/// call of this thread fails, or the thread ends.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct mdna_error {
    /// What the call returned.
    pub status: mdna_status,
    /// Name of the status, as `"MDNA_NOT_FOUND"`.
    pub name: *const c_char,
    /// What happened, to what, and what to do about it, in English.
    pub message: *const c_char,
    /// What can be done about errors of this status.
    pub hint: *const c_char,
    /// The id or path it is about; NULL when there is none.
    pub subject: *const c_char,
}

/// Results inside an entry.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// Why an entry fails.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) status: mdna_status,
    pub(crate) message: String,
    /// The id or path.
    pub(crate) subject: Option<String>,
}

impl Failure {
    pub(crate) fn new(status: mdna_status, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), subject: None }
    }

    /// An argument cannot be used.
    pub(crate) fn argument(name: &str, reason: impl std::fmt::Display) -> Self {
        Self::new(mdna_status::MDNA_INVALID_ARGUMENT, format!("{name}: {reason}"))
    }

    pub(crate) fn about(self, subject: impl Into<String>) -> Self {
        Self { subject: Some(subject.into()), ..self }
    }
}

/// What `mdna_last_error` points to, and the texts in it.
struct Last {
    error: mdna_error,
    _message: CString,
    _subject: Option<CString>,
}

thread_local! {
    static LAST: RefCell<Option<Box<Last>>> = const { RefCell::new(None) };
}

/// A text that C can read to its end.
pub(crate) fn c_text(text: &str) -> CString {
    CString::new(text.replace('\0', "\u{fffd}")).unwrap_or_default()
}

/// Remembers a failure for `mdna_last_error`.
pub(crate) fn remember(failure: &Failure) -> mdna_status {
    let message = c_text(&failure.message);
    let subject = failure.subject.as_deref().map(c_text);
    let (name, hint) = failure.status.texts();
    let error = mdna_error {
        status: failure.status,
        name: name.as_ptr(),
        message: message.as_ptr(),
        hint: hint.as_ptr(),
        subject: subject.as_ref().map_or(ptr::null(), |subject| subject.as_ptr()),
    };
    let last = Box::new(Last { error, _message: message, _subject: subject });
    // A thread that is ending has nobody left to ask.
    let _ = LAST.try_with(|cell| cell.replace(Some(last)));
    failure.status
}

/// The last error of the calling thread; NULL when no call of it has failed. A call that succeeds leaves it as it is,
/// so look at it only after a failure. `MDNA_OK` and `MDNA_END` are no failures.
#[unsafe(no_mangle)]
pub extern "C" fn mdna_last_error() -> *const mdna_error {
    LAST.try_with(|cell| cell.borrow().as_ref().map_or(ptr::null(), |last| &raw const last.error))
        .unwrap_or(ptr::null())
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;

    #[test]
    fn each_thread_has_its_own() {
        remember(&Failure::new(mdna_status::MDNA_IO, "here\0there").about("a/b"));
        std::thread::spawn(|| assert!(mdna_last_error().is_null())).join().unwrap();
        // SAFETY: the error of this thread stays, since nothing fails in it.
        let error = unsafe { *mdna_last_error() };
        // SAFETY: as above.
        let (message, subject) = unsafe { (CStr::from_ptr(error.message), CStr::from_ptr(error.subject)) };
        assert_eq!((error.status, message.to_str().unwrap()), (mdna_status::MDNA_IO, "here\u{fffd}there"));
        assert_eq!(subject, c"a/b");
    }
}
