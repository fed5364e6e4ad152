//! Memory that a process keeps without need.

#![allow(unsafe_code, reason = "how the allocator of the C library works is only set through a call of that library")]

/// How many arenas memory is taken from.
const ARENAS: libc::c_int = 2;

/// Has the allocator of this process take memory from few places: for a process that does nothing but what the command does, to be
/// called before it has threads. By default each thread may have an arena of its own, up to eight for each processor, and what one
/// thread frees is of no use to the others: for a mount of 100,000 files that was 60 MB of 420.
pub fn use_few_arenas() {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: the call takes two numbers, and may be made at any time and from any thread.
        let set = unsafe { libc::mallopt(libc::M_ARENA_MAX, ARENAS) };
        if set == 0 {
            tracing::debug!(target: "mirrordna::mount", "the allocator takes no advice");
        }
    }
}
