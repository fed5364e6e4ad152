//! A subscriber in another process, as the owner of the vault sees it.

use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::super::{Changed, Subscriber};
use super::PATIENCE;
use super::messages::Answer;
use super::wire::{WireError, frame, send};

/// What the owner says on a connection. Answers and what a subscriber is told come from different threads.
pub(super) struct Voice(Mutex<UnixStream>);

impl Voice {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self(Mutex::new(stream))
    }

    /// Says one thing, or several whose frames follow each other.
    pub(super) fn say(&self, frames: &[u8]) -> Result<(), WireError> {
        send(&self.0.lock().unwrap_or_else(PoisonError::into_inner), frames)
    }
}

#[derive(Debug, Default)]
struct Told {
    sent: u64,
    acknowledged: u64,
    /// It did not acknowledge in time, or is gone.
    gone: bool,
}

/// A process that must know of changes before the call that made them returns.
pub(super) struct RemoteSubscriber {
    voice: Arc<Voice>,
    stream: UnixStream,
    told: Mutex<Told>,
    changed: Condvar,
}

impl RemoteSubscriber {
    pub(super) fn new(voice: Arc<Voice>, stream: UnixStream) -> Self {
        Self { voice, stream, told: Mutex::default(), changed: Condvar::new() }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It knows of everything up to what was sent under this number.
    pub(super) fn acknowledged(&self, number: u64) {
        let mut told = self.told();
        told.acknowledged = told.acknowledged.max(number);
        self.changed.notify_all();
    }

    /// It will acknowledge nothing any more.
    pub(super) fn leave(&self) {
        self.told().gone = true;
        self.changed.notify_all();
    }

    /// Ends the connection to a process that keeps all others waiting. When it comes back it learns what it missed.
    fn give_up(&self, why: &str) {
        tracing::warn!(target: "mirrordna::storage", why, "a process that follows the vault is not waited for any more");
        self.leave();
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}

impl Subscriber for RemoteSubscriber {
    fn changed(&self, changes: &[Changed]) {
        let number = {
            let mut told = self.told();
            if told.gone {
                return;
            }
            told.sent += 1;
            told.sent
        };
        if let Err(error) = self.voice.say(&frame(&Answer::Changes { number, changes: changes.to_vec() })) {
            return self.give_up(&error.to_string());
        }
        let waiting = |told: &mut Told| told.acknowledged < number && !told.gone;
        let (told, _) =
            self.changed.wait_timeout_while(self.told(), PATIENCE, waiting).unwrap_or_else(PoisonError::into_inner);
        if told.acknowledged < number && !told.gone {
            drop(told);
            self.give_up("it did not acknowledge a change in time");
        }
    }
}
