//! A subscriber in another process, as the owner of the vault sees it.

use std::collections::BTreeSet;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::super::types::Sequence;
use super::super::{Changed, Subscriber};
use super::PATIENCE;
use super::messages::Answer;
use super::wire::{WireError, frame, send};

/// How long others may take to act on a change: longer than each of them waits for itself.
const SETTLING: Duration = Duration::from_secs(15);

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
    /// How much was sent.
    sent: u64,
    /// The numbers of what is not acknowledged.
    open: BTreeSet<u64>,
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

    /// It has done what was sent under this number.
    pub(super) fn acknowledged(&self, number: u64) {
        self.told().open.remove(&number);
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

    /// Sends what `answer` makes of a number, and waits until that is acknowledged. False when it is not, in time.
    fn tell(&self, patience: Duration, answer: impl FnOnce(u64) -> Answer) -> bool {
        let number = {
            let mut told = self.told();
            if told.gone {
                return true;
            }
            told.sent += 1;
            let number = told.sent;
            told.open.insert(number);
            number
        };
        if let Err(error) = self.voice.say(&frame(&answer(number))) {
            self.give_up(&error.to_string());
            return true;
        }
        let waiting = |told: &mut Told| told.open.contains(&number) && !told.gone;
        let waited = self.changed.wait_timeout_while(self.told(), patience, waiting);
        let (mut told, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        told.open.remove(&number);
        !waited.timed_out()
    }
}

impl Subscriber for RemoteSubscriber {
    fn changed(&self, changes: &[Changed]) {
        if !self.tell(PATIENCE, |number| Answer::Changes { number, changes: changes.to_vec() }) {
            self.give_up("it did not acknowledge a change in time");
        }
    }

    fn settle(&self, upto: Sequence) {
        // What takes that long has been told there.
        self.tell(SETTLING, |number| Answer::Settle { number, upto });
    }
}
