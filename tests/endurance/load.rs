//! Several writers in a mount, until it dies.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use crate::place::LONG;
use crate::random::Random;
use crate::subjects::{Crash, Subject, all};
use crate::watchdog::dump;

/// Writers, each in directories of its own.
const WRITERS: u64 = 4;

/// Writers and what they were told.
pub(crate) struct Load(Vec<Writer>);

struct Writer {
    subjects: Vec<Box<dyn Subject>>,
    random: Random,
}

/// What writers have done.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) steps: AtomicU64,
    /// Steps that were acknowledged as durable.
    pub(crate) synced: AtomicU64,
}

impl Load {
    /// Writers in a mounted vault.
    pub(crate) fn new(point: &Path, seed: u64) -> Self {
        let writer = |number| Writer {
            subjects: all(point, number, seed).unwrap(),
            random: Random::new(seed.wrapping_mul(31) + number),
        };
        Self((0..WRITERS).map(writer).collect())
    }

    /// Begins to write.
    pub(crate) fn begin(self, done: &Arc<Done>) -> Running {
        let errors = Arc::new(Mutex::new(Vec::new()));
        let begin = |mut writer: Writer| {
            let (errors, done) = (Arc::clone(&errors), Arc::clone(done));
            std::thread::spawn(move || {
                loop {
                    let at = writer.random.below(writer.subjects.len());
                    match writer.subjects[at].step(&mut writer.random) {
                        Ok(synced) => {
                            done.steps.fetch_add(1, Ordering::Relaxed);
                            done.synced.fetch_add(u64::from(synced), Ordering::Relaxed);
                        }
                        Err(error) => {
                            errors.lock().unwrap().push(format!("subject {at}: {error}"));
                            return writer;
                        }
                    }
                }
            })
        };
        Running { threads: self.0.into_iter().map(begin).collect(), errors }
    }

    /// Compares what is there with what was acknowledged.
    #[track_caller]
    pub(crate) fn assert_holds(&mut self, crash: Crash, when: &str) {
        for subject in self.0.iter_mut().flat_map(|writer| &mut writer.subjects) {
            if let Err(error) = subject.hold(crash) {
                panic!("{when}: {error}");
            }
        }
    }
}

/// Writers that write.
pub(crate) struct Running {
    threads: Vec<JoinHandle<Writer>>,
    errors: Arc<Mutex<Vec<String>>>,
}

impl Running {
    /// What writers were refused until now.
    pub(crate) fn errors(&self) -> Vec<String> {
        self.errors.lock().unwrap().clone()
    }

    /// Waits until each writer has met the end of the mount.
    #[track_caller]
    pub(crate) fn end(self) -> Load {
        let begun = Instant::now();
        while self.threads.iter().any(|thread| !thread.is_finished()) {
            assert!(begun.elapsed() <= LONG, "a writer hangs\n{}", dump(std::process::id()));
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        Load(self.threads.into_iter().map(|thread| thread.join().unwrap()).collect())
    }
}
