//! Threads that work ahead of the one that puts what they did into order.

use std::collections::VecDeque;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::error::{BackupError, Result};

/// Small pieces of work are done together when they have so many bytes: it costs something to hand them to another thread.
pub(super) const TASK_BYTES: usize = 512 << 10;
/// Or when there are so many of them.
pub(super) const TASK_ROWS: usize = 4_096;

/// How many threads compress and seal, or open, decompress and check.
pub(super) fn threads() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 8)
}

type Task = Box<dyn FnOnce() + Send>;

/// Threads that do what they are given, in any order.
pub(super) struct Pool {
    /// As many as those who ask have on their way, which they bound.
    tasks: Option<Sender<Task>>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    pub(super) fn new() -> Self {
        let (tasks, waiting) = mpsc::channel::<Task>();
        let waiting = Arc::new(Mutex::new(waiting));
        let thread = |_| {
            let waiting = Arc::clone(&waiting);
            std::thread::spawn(move || {
                loop {
                    let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(task) = next else { break };
                    task();
                }
            })
        };
        // One more than processors: one waits for the disk.
        Self { tasks: Some(tasks), threads: (0..=threads()).map(thread).collect() }
    }

    fn run(&self, task: Task) {
        if let Some(tasks) = &self.tasks {
            // The threads live as long as the pool.
            let _ = tasks.send(task);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.tasks = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// What a pool was asked for and not yet handed over, in the order in which it was asked.
pub(super) struct Ahead<'p, T> {
    pool: &'p Pool,
    on_their_way: VecDeque<Receiver<T>>,
}

impl<'p, T: Send + 'static> Ahead<'p, T> {
    pub(super) fn new(pool: &'p Pool) -> Self {
        Self { pool, on_their_way: VecDeque::new() }
    }

    /// As much is on its way as keeps all threads busy.
    pub(super) fn is_full(&self) -> bool {
        self.on_their_way.len() >= 2 * self.pool.threads.len()
    }

    pub(super) fn ask(&mut self, work: impl FnOnce() -> T + Send + 'static) {
        let (answer, receiver) = mpsc::sync_channel(1);
        self.pool.run(Box::new(move || {
            // Whoever asked may have given up.
            let _ = answer.send(work());
        }));
        self.on_their_way.push_back(receiver);
    }

    /// The next answer, once it is there; none when nothing was asked.
    pub(super) fn next(&mut self) -> Result<Option<T>> {
        let gone = || BackupError::corrupt("what was read", "the thread that worked on it ended");
        let next = self.on_their_way.pop_front();
        next.map(|answer| answer.recv().map_err(|_| gone())).transpose()
    }
}

/// Has a pool do work, some of it ahead, and takes what comes of it in order. `next` gives the work; none when that was all.
pub(super) fn in_order<T: Send + 'static, W: FnOnce() -> T + Send + 'static>(
    pool: &Pool,
    mut next: impl FnMut() -> Result<Option<W>>,
    mut take: impl FnMut(T) -> Result<()>,
) -> Result<()> {
    let mut ahead = Ahead::new(pool);
    loop {
        while !ahead.is_full() {
            let Some(work) = next()? else { break };
            ahead.ask(work);
        }
        match ahead.next()? {
            Some(done) => take(done)?,
            None => return Ok(()),
        }
    }
}
