//! Threads that work ahead of the one that puts what they did into order.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::threads::without_signals;

use super::error::{BackupError, Result};

/// Small pieces of work are done together when they have so many bytes: it costs something to hand them to another thread.
pub(super) const TASK_BYTES: usize = 512 << 10;
/// Or when there are so many of them.
pub(super) const TASK_ROWS: usize = 4_096;
/// What is on its way for one who asks is not added to when it has more bytes than this: records can be large.
const AHEAD_BYTES: usize = 16 << 20;

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
        Self { tasks: Some(tasks), threads: without_signals(|| (0..=threads()).map(thread).collect()) }
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

/// What a pool was asked for and not yet handed over, in the order in which it was asked. What it has not begun with when this is
/// dropped, it does not do.
pub(super) struct Ahead<'p, T> {
    pool: &'p Pool,
    on_their_way: VecDeque<(usize, Receiver<T>)>,
    bytes: usize,
    given_up: Arc<AtomicBool>,
}

impl<'p, T: Send + 'static> Ahead<'p, T> {
    pub(super) fn new(pool: &'p Pool) -> Self {
        Self { pool, on_their_way: VecDeque::new(), bytes: 0, given_up: Arc::default() }
    }

    /// As much is on its way as keeps all threads busy, or as there should be in memory.
    pub(super) fn is_full(&self) -> bool {
        self.on_their_way.len() >= 2 * self.pool.threads.len() || self.bytes > AHEAD_BYTES
    }

    /// Asks for work on, or for, about so many bytes.
    pub(super) fn ask(&mut self, bytes: usize, work: impl FnOnce() -> T + Send + 'static) {
        let (answer, receiver) = mpsc::sync_channel(1);
        let given_up = Arc::clone(&self.given_up);
        self.pool.run(Box::new(move || {
            if !given_up.load(Ordering::Relaxed) {
                // Whoever asked may give up meanwhile.
                let _ = answer.send(work());
            }
        }));
        self.on_their_way.push_back((bytes, receiver));
        self.bytes += bytes;
    }

    /// The next answer, once it is there; none when nothing was asked.
    pub(super) fn next(&mut self) -> Result<Option<T>> {
        let gone = || BackupError::corrupt("what was read", "the thread that worked on it ended");
        let Some((bytes, answer)) = self.on_their_way.pop_front() else { return Ok(None) };
        self.bytes -= bytes;
        answer.recv().map(Some).map_err(|_| gone())
    }
}

impl<T> Drop for Ahead<'_, T> {
    fn drop(&mut self) {
        self.given_up.store(true, Ordering::Relaxed);
    }
}

/// Has a pool do work, some of it ahead, and takes what comes of it in order. `next` gives the work and on how many bytes it is; none
/// when that was all.
pub(super) fn in_order<T: Send + 'static, W: FnOnce() -> T + Send + 'static>(
    pool: &Pool,
    mut next: impl FnMut() -> Result<Option<(usize, W)>>,
    mut take: impl FnMut(T) -> Result<()>,
) -> Result<()> {
    let mut ahead = Ahead::new(pool);
    loop {
        while !ahead.is_full() {
            let Some((bytes, work)) = next()? else { break };
            ahead.ask(bytes, work);
        }
        match ahead.next()? {
            Some(done) => take(done)?,
            None => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn large_pieces_do_not_wait_in_numbers() {
        let pool = Pool::new();
        let mut ahead = Ahead::new(&pool);
        let mut most = 0;
        for n in 0..10 {
            while !ahead.is_full() {
                ahead.ask(AHEAD_BYTES / 2 + 1, || ());
                most = most.max(ahead.on_their_way.len());
            }
            assert!(ahead.next().unwrap().is_some(), "{n}");
        }
        assert_eq!(most, 2);
    }

    #[test]
    fn what_nobody_waits_for_is_not_begun() {
        let pool = Pool::new();
        let (begun, (go_on, wait)) = (Arc::new(AtomicUsize::new(0)), mpsc::channel::<()>());
        let wait = Arc::new(Mutex::new(wait));
        let mut ahead = Ahead::new(&pool);
        let asked = 50;
        for _ in 0..asked {
            let (begun, wait) = (Arc::clone(&begun), Arc::clone(&wait));
            ahead.ask(0, move || {
                begun.fetch_add(1, Ordering::SeqCst);
                let _ = wait.lock().unwrap().recv();
            });
        }
        drop(ahead);
        // Those that were begun end now.
        drop(go_on);
        let threads = pool.threads.len();
        drop(pool);
        assert!(begun.load(Ordering::SeqCst) <= threads);
    }
}
