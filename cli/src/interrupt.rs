//! What Ctrl-C, and SIGTERM, do.
//!
//! A thread waits for them. Work that must end in order says how it is told to; all other work is stopped at once, which
//! a vault survives like any crash: what was acknowledged is there.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::error::{Failure, Result};
use crate::exit::Exit;

/// What comes after the work was told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// It is about to end; the next signal does not wait for it.
    Ends,
    /// It cannot end yet; the next signal tells it again.
    GoesOn,
}

type Stop = Box<dyn FnMut() -> Then + Send>;

/// What the next signal does.
#[derive(Default)]
enum Stage {
    /// It ends the process.
    #[default]
    Free,
    /// It tells the work to stop.
    Working(Stop),
}

/// What Ctrl-C does now.
pub(crate) struct Interrupt {
    stage: Arc<Mutex<Stage>>,
    /// There was a signal.
    told: Arc<AtomicBool>,
}

impl Interrupt {
    /// Begins to listen.
    pub(crate) fn listen() -> Result<Self> {
        let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(|error| Failure::io("/proc/self", error))?;
        let stage = Arc::new(Mutex::new(Stage::Free));
        let told = Arc::new(AtomicBool::new(false));
        let (of_thread, tell) = (Arc::clone(&stage), Arc::clone(&told));
        std::thread::spawn(move || {
            for _ in signals.forever() {
                tell.store(true, Ordering::Relaxed);
                let mut stage = of_thread.lock().unwrap_or_else(PoisonError::into_inner);
                match &mut *stage {
                    Stage::Working(stop) => {
                        if stop() == Then::Ends {
                            *stage = Stage::Free;
                        }
                    }
                    Stage::Free => {
                        let _ = writeln!(std::io::stderr(), "interrupted");
                        signal_hook::low_level::exit(Exit::Interrupted.number().into());
                    }
                }
            }
        });
        Ok(Self { stage, told })
    }

    /// Says whether there was a signal, to who waits where `stop` does not reach.
    pub(crate) fn told(&self) -> impl Fn() -> bool + Send + Sync + 'static {
        let told = Arc::clone(&self.told);
        move || told.load(Ordering::Relaxed)
    }

    /// Does work that is to end in order: a signal calls `stop`, which must be quick, and the work goes on to its end.
    pub(crate) fn during<T>(&self, stop: impl FnMut() -> Then + Send + 'static, work: impl FnOnce() -> T) -> T {
        self.set(Stage::Working(Box::new(stop)));
        let done = work();
        self.set(Stage::Free);
        done
    }

    fn set(&self, stage: Stage) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = stage;
    }
}
