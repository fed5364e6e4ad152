//! Callbacks that follow long work.

use std::ffi::{c_char, c_int, c_void};
use std::ops::ControlFlow;

use mirrordna::backup::Phase;
use mirrordna::interchange;

/// Follows work that takes a while: of `total` steps `done` are done in the part of the work that `phase` names, a
/// static text such as `"importing"`. It is called often and on the thread that called the library, so it should be
/// quick. Returning 0 lets the work go on; anything else stops it, and then it ends with `MDNA_CANCELLED`; functions
/// whose work cannot be stopped say so. It must not start other work of this kind on the same vault, nor change the
/// vault: while a snapshot is restored all writers wait for the end of it, and it would wait for itself. And it must not
/// leave by `longjmp()` or a C++ exception.
pub type mdna_progress_fn =
    Option<unsafe extern "C" fn(user_data: *mut c_void, phase: *const c_char, done: u64, total: u64) -> c_int>;

/// A callback of C that follows work.
pub(crate) struct Progress {
    callback: mdna_progress_fn,
    user_data: *mut c_void,
    phase: &'static std::ffi::CStr,
}

impl Progress {
    pub(crate) fn new(callback: mdna_progress_fn, user_data: *mut c_void, phase: &'static std::ffi::CStr) -> Self {
        Self { callback, user_data, phase }
    }

    /// Tells it how far the work is; false stops it.
    fn tell(&self, done: u64, total: u64) -> bool {
        self.tell_of(self.phase, done, total)
    }

    /// Tells it how far work is that cannot be stopped.
    pub(crate) fn note(&self, done: u64, total: u64) {
        let _ = self.tell(done, total);
    }

    fn tell_of(&self, phase: &'static std::ffi::CStr, done: u64, total: u64) -> bool {
        // SAFETY: the header asks for a function that can be called with its `user_data` as long as the work goes on.
        self.callback.is_none_or(|callback| unsafe { callback(self.user_data, phase.as_ptr(), done, total) } == 0)
    }
}

fn flow(goes_on: bool) -> ControlFlow<()> {
    if goes_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

impl interchange::Progress for Progress {
    fn advance(&mut self, done: u64, total: u64) -> ControlFlow<()> {
        flow(self.tell(done, total))
    }
}

impl mirrordna::backup::Progress for Progress {
    fn advance(&mut self, phase: Phase, done: u64, total: u64) -> ControlFlow<()> {
        let phase = match phase {
            Phase::Storing => c"storing",
            Phase::Restoring => c"restoring",
            Phase::Verifying => c"verifying",
            Phase::Repacking => c"repacking",
            Phase::Copying => c"copying",
        };
        flow(self.tell_of(phase, done, total))
    }
}
