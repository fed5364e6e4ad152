//! Threads for what may take long, so that those that answer the kernel stay free.
//!
//! An `fsync` waits for the disk. And before the kernel can be told where the holes of a file are, it has to write back
//! what it holds, for which it needs answers itself.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use mirrordna::threads::without_signals;

/// How many of them. What they do waits for a disk, and several waiting at a time can share one write.
const THREADS: usize = 4;

type Job = Box<dyn FnOnce() + Send>;

/// Threads that do one job after the other until this is dropped.
pub(super) struct Workers(Sender<Job>);

impl Workers {
    pub(super) fn start() -> io::Result<Self> {
        let (jobs, receiver) = channel::<Job>();
        let receiver = Arc::new(Mutex::new(receiver));
        for number in 0..THREADS {
            let receiver = Arc::clone(&receiver);
            let work = move || {
                while let Some(job) = next(&receiver) {
                    job();
                }
            };
            without_signals(|| thread::Builder::new().name(format!("mirrordna-slow-{number}")).spawn(work))?;
        }
        Ok(Self(jobs))
    }

    /// Has a job done. It answers its request itself; if it cannot be done any more, the request fails as it is dropped.
    pub(super) fn have_done(&self, job: impl FnOnce() + Send + 'static) {
        let _ = self.0.send(Box::new(job));
    }
}

fn next(receiver: &Mutex<Receiver<Job>>) -> Option<Job> {
    receiver.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}
