//! Whoever makes no progress is found out, with the stacks of all threads.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// After so many seconds without progress something hangs. They are counted one by one, so that a test that was stopped
/// itself does not count the time.
const PATIENCE: u32 = 120;

/// What each of several threads has done.
pub(crate) struct Progress {
    threads: Vec<Steps>,
    pub(crate) ended: AtomicBool,
}

#[derive(Default)]
struct Steps {
    count: AtomicU64,
    ended: AtomicBool,
}

impl Progress {
    pub(crate) fn new(threads: usize) -> Self {
        Self { threads: (0..threads).map(|_| Steps::default()).collect(), ended: AtomicBool::new(false) }
    }

    pub(crate) fn step(&self, thread: usize) {
        self.threads[thread].count.fetch_add(1, Ordering::Relaxed);
    }

    /// A thread has no more to do.
    pub(crate) fn end(&self, thread: usize) {
        self.threads[thread].ended.store(true, Ordering::SeqCst);
    }

    pub(crate) fn total(&self) -> u64 {
        self.threads.iter().map(|steps| steps.count.load(Ordering::Relaxed)).sum()
    }

    /// Watches until the work has ended. When a thread hangs, it gives the stacks of the threads of `process`, which serves
    /// the mount, and of this process, and kills `process`, so that everybody gets on.
    pub(crate) fn watch(&self, process: u32) -> Result<(), String> {
        let (mut before, mut idle) = (vec![0; self.threads.len()], vec![0_u32; self.threads.len()]);
        while !self.ended.load(Ordering::SeqCst) {
            for _ in 0..10 {
                if !self.ended.load(Ordering::SeqCst) {
                    thread::sleep(Duration::from_millis(100));
                }
            }
            for (thread, steps) in self.threads.iter().enumerate() {
                let (now, ended) = (steps.count.load(Ordering::Relaxed), steps.ended.load(Ordering::SeqCst));
                idle[thread] = if now == before[thread] && !ended { idle[thread] + 1 } else { 0 };
                before[thread] = now;
            }
            if let Some(thread) = idle.iter().position(|seconds| *seconds >= PATIENCE) {
                let stacks = format!("{}\n{}", dump(process), dump(std::process::id()));
                if let Some(process) = i32::try_from(process).ok().and_then(rustix::process::Pid::from_raw) {
                    let _ = rustix::process::kill_process(process, rustix::process::Signal::KILL);
                }
                return Err(format!("thread {thread} hangs after {} steps\n{stacks}", before[thread]));
            }
        }
        Ok(())
    }
}

/// Where each thread of a process is: in the kernel, and, if gdb is there, in the program.
pub(crate) fn dump(process: u32) -> String {
    let mut text = format!("== threads of process {process}\n");
    for task in fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten() {
        let read = |name: &str| fs::read_to_string(task.path().join(name)).unwrap_or_default();
        let _ = writeln!(text, "{} waits in {}", read("comm").trim(), read("wchan").trim());
        text.push_str(&read("stack"));
    }
    // A process cannot be looked into by a thread of its own, nor can one that is killed.
    let is_alive = fs::read_to_string(format!("/proc/{process}/maps")).is_ok_and(|maps| !maps.is_empty());
    if is_alive && process != std::process::id() {
        let mut gdb = Command::new("gdb");
        match gdb.args(["-batch", "-ex", "thread apply all bt 40", "-p"]).arg(process.to_string()).output() {
            Ok(output) => text.push_str(&String::from_utf8_lossy(&output.stdout)),
            Err(error) => {
                let _ = writeln!(text, "no stacks of the program: gdb: {error}");
            }
        }
    }
    text
}
