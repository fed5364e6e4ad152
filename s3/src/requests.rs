//! Waiting for answers, within limits, and asking again.

use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use mirrordna::backup::{BackupError, Result};
use mirrordna::threads::without_signals;
use tokio::runtime::{Builder, Runtime};

use crate::problem::Problem;
use crate::settings::{Limits, Stopped};

/// How often somebody who waits looks whether the work was stopped.
const LOOK: Duration = Duration::from_millis(50);
/// What is still tried when there is little hope, or nobody who wants to wait, takes no longer.
const MOMENT: Duration = Duration::from_secs(5);
/// As long as the server never answered, so often it is tried to reach it: an endpoint may be wrong.
const FIRST_TRIES: u32 = 3;
/// Threads that carry bytes. Those that wait for them are the caller's.
const THREADS: usize = 2;

/// Does requests for callers that block.
pub(crate) struct Requests {
    /// There until this is dropped.
    runtime: Option<Runtime>,
    limits: Limits,
    stopped: Stopped,
    /// The server has answered something.
    reached: AtomicBool,
    /// The last that was asked of it was given up.
    given_up: AtomicBool,
}

/// What a request is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Worth {
    /// It is what the work is about, and no use once that was stopped.
    Work,
    /// It puts something in order. Once the work was stopped, or the server was given up, it is tried once and for a moment.
    Order,
}

impl Requests {
    pub(crate) fn new(limits: Limits, stopped: Stopped) -> Result<Self> {
        let mut runtime = Builder::new_multi_thread();
        runtime.worker_threads(THREADS).thread_name("mirrordna-s3").enable_all();
        // They alone write to the server, and start the threads that look up names: a server that closes a connection while it is
        // written to does not end the process by SIGPIPE.
        let runtime = without_signals(|| runtime.build());
        let failed = |source| BackupError::Io { location: "threads for S3".to_owned(), source };
        Ok(Self {
            runtime: Some(runtime.map_err(failed)?),
            limits,
            stopped,
            reached: AtomicBool::new(false),
            given_up: AtomicBool::new(false),
        })
    }

    /// What a request may take that carries so many bytes.
    fn limit(&self, bytes: u64) -> Duration {
        self.limits.request + Duration::from_secs(bytes / self.limits.rate.max(1))
    }

    /// Makes attempts until one succeeds, fails for good, or time is up.
    pub(crate) fn attempt<T>(
        &self,
        worth: Worth,
        attempt: impl Fn(&Attempt<'_>) -> std::result::Result<T, Problem>,
    ) -> std::result::Result<T, Problem> {
        let mut failing: Option<Instant> = None;
        let mut pause = self.limits.pause;
        let mut tries = 0;
        loop {
            let stopped = (self.stopped)();
            if stopped && (worth == Worth::Work || tries > 0) {
                return Err(Problem::Stopped);
            }
            let briefly = worth == Worth::Order && (stopped || self.given_up.load(Ordering::Relaxed));
            tries += 1;
            let done = attempt(&Attempt { requests: self, briefly, stopped });
            let Err(Problem::Transient { kind, text, unreached }) = done else {
                if !matches!(done, Err(Problem::Stopped)) {
                    self.reached.store(true, Ordering::Relaxed);
                    self.given_up.store(false, Ordering::Relaxed);
                }
                return done;
            };
            let passed = failing.get_or_insert_with(Instant::now).elapsed();
            let vain = unreached && tries >= FIRST_TRIES && !self.reached.load(Ordering::Relaxed);
            if briefly || vain || passed + pause > self.limits.retries {
                self.given_up.store(true, Ordering::Relaxed);
                let text = format!("{text}; gave up after {tries} attempt{}", if tries == 1 { "" } else { "s" });
                return Err(Problem::Final { kind, text });
            }
            tracing::info!(target: "mirrordna::backup", problem = text, tries, "asking the server again");
            self.sleep(spread(pause))?;
            pause = (pause * 2).min(self.limits.longest_pause);
        }
    }

    fn sleep(&self, pause: Duration) -> std::result::Result<(), Problem> {
        let begin = Instant::now();
        while let Some(left) = pause.checked_sub(begin.elapsed()).filter(|left| !left.is_zero()) {
            if (self.stopped)() {
                return Err(Problem::Stopped);
            }
            std::thread::sleep(left.min(LOOK));
        }
        Ok(())
    }
}

impl Drop for Requests {
    fn drop(&mut self) {
        // Nobody waits for a request that was given up, also when this is dropped where nobody may block.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// One attempt: may wait for several answers.
pub(crate) struct Attempt<'r> {
    requests: &'r Requests,
    /// It may take no more than a moment.
    briefly: bool,
    /// The work was stopped before it.
    stopped: bool,
}

impl Attempt<'_> {
    /// Waits for an answer that carries so many bytes there or back.
    pub(crate) fn wait<T: Send + 'static>(
        &self,
        bytes: u64,
        request: impl Future<Output = object_store::Result<T>> + Send + 'static,
    ) -> std::result::Result<T, Problem> {
        let Some(runtime) = &self.requests.runtime else { return Err(Problem::Stopped) };
        let limit = self.requests.limit(bytes);
        let limit = if self.briefly { limit.min(MOMENT) } else { limit };
        let begin = Instant::now();
        let (answer, answered) = mpsc::sync_channel(1);
        let task = runtime.spawn(async move { drop(answer.send(request.await)) });
        loop {
            match answered.recv_timeout(LOOK) {
                Ok(done) => return done.map_err(|error| Problem::of(&error)),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Problem::transient(io::ErrorKind::Other, "the request ended without an answer"));
                }
                Err(RecvTimeoutError::Timeout) if !self.stopped && (self.requests.stopped)() => {
                    task.abort();
                    return Err(Problem::Stopped);
                }
                Err(RecvTimeoutError::Timeout) if begin.elapsed() > limit => {
                    task.abort();
                    let text = format!("the server did not answer within {} s", limit.as_secs_f32().ceil());
                    return Err(Problem::transient(io::ErrorKind::TimedOut, text));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

/// A pause between half of one and all of it, so that many who failed together do not come back together.
fn spread(pause: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or(u32::MAX);
    pause / 2 + (pause / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32;

    use super::*;

    fn limits() -> Limits {
        let pause = Duration::from_millis(1);
        Limits {
            request: Duration::from_millis(200),
            rate: 1 << 20,
            retries: Duration::from_secs(5),
            pause,
            longest_pause: pause,
        }
    }

    fn requests(stopped: impl Fn() -> bool + Send + Sync + 'static) -> Requests {
        Requests::new(limits(), Arc::new(stopped)).unwrap()
    }

    fn broken(unreached: bool) -> Problem {
        Problem::Transient { kind: io::ErrorKind::NotConnected, text: "broken".into(), unreached }
    }

    #[test]
    fn what_may_pass_is_tried_until_it_does() {
        let requests = requests(|| false);
        let tries = AtomicU32::new(0);
        let done = requests.attempt(Worth::Work, |_| match tries.fetch_add(1, Ordering::Relaxed) {
            n if n < 5 => Err(broken(false)),
            n => Ok(n),
        });
        assert_eq!(done.unwrap(), 5);
        let once = requests.attempt::<()>(Worth::Work, |_| {
            tries.fetch_add(1, Ordering::Relaxed);
            Err(Problem::Missing)
        });
        assert!(matches!(once, Err(Problem::Missing)));
        assert_eq!(tries.into_inner(), 7);
    }

    #[test]
    fn attempts_end() {
        let mut limits = limits();
        limits.retries = Duration::from_millis(20);
        let requests = Requests::new(limits, Arc::new(|| false)).unwrap();
        let done = requests.attempt::<()>(Worth::Work, |_| Err(broken(false)));
        let Err(Problem::Final { kind: io::ErrorKind::NotConnected, text }) = done else { panic!("{done:?}") };
        assert!(text.starts_with("broken; gave up after "), "{text}");
    }

    #[test]
    fn a_server_that_was_never_reached_is_not_waited_for_long() {
        let requests = requests(|| false);
        let tries = AtomicU32::new(0);
        let vain = |requests: &Requests| {
            requests.attempt::<()>(Worth::Work, |_| {
                tries.fetch_add(1, Ordering::Relaxed);
                if tries.load(Ordering::Relaxed) > 10 { Err(Problem::Missing) } else { Err(broken(true)) }
            })
        };
        assert!(matches!(vain(&requests), Err(Problem::Final { .. })));
        assert_eq!(tries.swap(0, Ordering::Relaxed), FIRST_TRIES);
        requests.attempt(Worth::Work, |_| Ok(())).unwrap();
        assert!(matches!(vain(&requests), Err(Problem::Missing)));
    }

    #[test]
    fn a_server_that_was_given_up_is_asked_once_to_put_things_in_order() {
        let mut limits = limits();
        limits.retries = Duration::from_millis(20);
        let requests = Requests::new(limits, Arc::new(|| false)).unwrap();
        let tries = AtomicU32::new(0);
        let fails = |worth| {
            tries.store(0, Ordering::Relaxed);
            let done = requests.attempt::<()>(worth, |_| {
                tries.fetch_add(1, Ordering::Relaxed);
                Err(broken(false))
            });
            assert!(matches!(done, Err(Problem::Final { .. })));
            tries.load(Ordering::Relaxed)
        };
        assert!(fails(Worth::Order) > 1);
        assert_eq!(fails(Worth::Order), 1);
        assert!(fails(Worth::Work) > 1);
        requests.attempt(Worth::Order, |_| Ok(())).unwrap();
        assert!(fails(Worth::Order) > 1);
    }

    #[test]
    fn a_request_that_is_not_answered_is_given_up() {
        let requests = requests(|| false);
        let done = requests.attempt(Worth::Work, |attempt| match attempt.wait::<()>(0, std::future::pending()) {
            Err(Problem::Transient { kind: io::ErrorKind::TimedOut, .. }) => Ok(()),
            other => panic!("{other:?}"),
        });
        done.unwrap();
    }

    #[test]
    fn who_waits_is_told_that_the_work_was_stopped() {
        let stopped = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stopped);
        let requests = requests(move || asked.load(Ordering::Relaxed));
        let done = requests.attempt(Worth::Work, |attempt| {
            stopped.store(true, Ordering::Relaxed);
            // This would take as long as it carries, which is more than a day.
            attempt.wait::<()>(1 << 40, std::future::pending())
        });
        assert!(matches!(done, Err(Problem::Stopped)));
        assert!(matches!(requests.attempt(Worth::Work, |_| Ok(())), Err(Problem::Stopped)));
        requests.attempt(Worth::Order, |attempt| attempt.wait(0, async { Ok(()) })).unwrap();
        let once = requests.attempt::<()>(Worth::Order, |_| Err(broken(false)));
        assert!(matches!(once, Err(Problem::Final { .. })), "{once:?}");
    }
}
