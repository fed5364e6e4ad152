//! Threads of the library take no signals.
//!
//! A signal that is sent to a process runs its handler in any thread that does not block it. Programs that embed the library
//! count on their own threads: a daemon blocks SIGTERM in all of them, to wait for it in one. A write to a socket whose other end
//! is gone sends SIGPIPE to the thread that wrote, and ends the process where nobody has it ignored. So threads of the library
//! block all signals. A thread inherits this from the one that starts it.

use nix::sys::signal::{SigSet, SigmaskHow, Signal};

/// What a thread brings upon itself by a fault. Blocking these would help nobody: the kernel would end the process all the same,
/// only without the handler that tells of it.
const FAULTS: [Signal; 6] =
    [Signal::SIGSEGV, Signal::SIGBUS, Signal::SIGFPE, Signal::SIGILL, Signal::SIGTRAP, Signal::SIGSYS];

/// Does work that starts threads, or may have the storage engine start some. They block all signals; the calling thread does so
/// for no longer than this takes.
pub fn without_signals<T>(work: impl FnOnce() -> T) -> T {
    let mut blocked = SigSet::all();
    for fault in FAULTS {
        blocked.remove(fault);
    }
    // Fails for no set that can be written down here.
    let _before = blocked.thread_swap_mask(SigmaskHow::SIG_BLOCK).ok().map(Restored);
    work()
}

/// What the thread blocked before, which it does again after this, also when the work panics.
struct Restored(SigSet);

impl Drop for Restored {
    fn drop(&mut self) {
        // As above.
        let _ = self.0.thread_set_mask();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_are_started_block_signals_and_who_starts_them_does_not() {
        let before = SigSet::thread_get_mask().unwrap();
        let started = without_signals(|| std::thread::spawn(|| SigSet::thread_get_mask().unwrap()));
        let mask = started.join().unwrap();
        for signal in Signal::iterator().filter(|signal| ![Signal::SIGKILL, Signal::SIGSTOP].contains(signal)) {
            assert_eq!(mask.contains(signal), !FAULTS.contains(&signal), "{signal}");
        }
        assert_eq!(SigSet::thread_get_mask().unwrap(), before);
        std::panic::catch_unwind(|| without_signals(|| panic!("expected"))).unwrap_err();
        assert_eq!(SigSet::thread_get_mask().unwrap(), before);
    }
}
