//! Memory that a process keeps without need.

#![allow(unsafe_code, reason = "how the allocator of the C library works is only set through a call of that library")]

/// Has the allocator of this process keep little memory that is not in use: for a process that does nothing but what the command
/// does, to be called before it has threads.
///
/// By default each thread may have an arena of its own, up to eight for each processor, and what one thread frees is of no use to the
/// others: for a mount of 100,000 files that was 60 MB of 420. And what is freed once decides how large a piece must be to be given
/// back to the system at once: for a backup, whose packs have 16 MiB, that was 50 MB of 150.
pub fn keep_little_memory() {
    #[cfg(target_env = "gnu")]
    for (parameter, value) in
        [(libc::M_ARENA_MAX, 2), (libc::M_MMAP_THRESHOLD, 4 << 20), (libc::M_TRIM_THRESHOLD, 8 << 20)]
    {
        // SAFETY: the call takes two numbers, and may be made at any time and from any thread.
        let set = unsafe { libc::mallopt(parameter, value) };
        if set == 0 {
            tracing::debug!(target: "mirrordna::mount", parameter, "the allocator takes no advice");
        }
    }
}
