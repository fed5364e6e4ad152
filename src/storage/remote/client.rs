//! The side of a process that does not own the vault: connections to the owner, one for each call that is under way.

use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::super::lock::LockFile;
use super::super::types::{Commit, Committed, LogState, Sequence};
use super::super::{Changed, CheckSink, StorageError};
use super::messages::{Answer, Greeting, Hello, MAGIC, Refusal, Request};
use super::wire::{self, Channel, HEADER, MAX_FRAME, WireError, frame, impatient, patient};
use super::{PATIENCE, PROTOCOL, address};

/// Connections that are kept for later calls.
const KEPT: usize = 8;
/// How long a call waits before it makes sure that the owner is still there.
const DOUBT: Duration = Duration::from_secs(1);

/// Why a call has no result.
#[derive(Debug)]
pub(in crate::storage) enum CallError {
    /// The owner says so.
    Storage(StorageError),
    /// Nothing was done: the owner does not own the vault any more.
    Moved,
    /// The connection ended before the answer came; it may have been done.
    Lost,
    /// The owner is there and does not answer.
    Silent,
}

impl From<WireError> for CallError {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Silent => Self::Silent,
            WireError::Closed => Self::Lost,
            WireError::Garbled(what) => {
                tracing::error!(target: "mirrordna::storage", what, "the owner of the vault sends what cannot be read");
                Self::Lost
            }
        }
    }
}

type Called<T> = std::result::Result<T, CallError>;

/// What came of calling the owner of a vault.
pub(in crate::storage) enum Contact<T> {
    /// It answers.
    Made(T),
    /// Nobody listens.
    Nobody,
    /// Somebody listens and does not answer.
    Silent,
    /// It does not want to go on.
    Refused(&'static str),
}

impl<T> Contact<T> {
    fn map<U>(self, with: impl FnOnce(T) -> Option<U>) -> Contact<U> {
        match self {
            Self::Made(made) => with(made).map_or(Contact::Nobody, Contact::Made),
            Self::Nobody => Contact::Nobody,
            Self::Silent => Contact::Silent,
            Self::Refused(why) => Contact::Refused(why),
        }
    }
}

/// Connects and greets.
fn contact(dir: &Path, vault_id: &str, patience: Duration) -> Contact<Channel> {
    let stream = match address::connect(dir) {
        Ok(stream) => stream,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Contact::Silent,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Contact::Refused("it lets nobody else call");
        }
        Err(_) => return Contact::Nobody,
    };
    if !address::may_answer(dir, &stream) {
        return Contact::Refused("another user listens on its socket");
    }
    let mut channel = Channel::new(stream);
    let mut greet = || -> std::result::Result<Greeting, WireError> {
        channel.set_timeouts(Some(patience), Some(patience))?;
        // Who refuses before it has read this has said why, all the same.
        match channel.send(&frame(&Hello { magic: MAGIC, protocol: PROTOCOL, vault_id: vault_id.to_owned() })) {
            Ok(()) | Err(WireError::Closed) => {}
            Err(error) => return Err(error),
        }
        let greeting: Greeting = channel.receive(&mut impatient)?;
        channel.set_timeouts(Some(DOUBT), Some(PATIENCE))?;
        Ok(greeting)
    };
    match greet() {
        Ok(greeting) if greeting.magic != MAGIC => Contact::Refused("what listens on its socket is no vault"),
        Ok(greeting) => match greeting.refusal {
            None => Contact::Made(channel),
            Some(Refusal::Protocol) => Contact::Refused("it is another version of this program"),
            Some(Refusal::User) => Contact::Refused("it runs as another user"),
            Some(Refusal::Vault) => Contact::Refused("it has another vault open"),
            Some(Refusal::Full) => Contact::Refused("it has too many connections"),
        },
        Err(WireError::Silent) => Contact::Silent,
        Err(WireError::Closed) => Contact::Nobody,
        Err(WireError::Garbled(_)) => Contact::Refused("what listens on its socket is no vault"),
    }
}

/// Asks the owner to hand the vault over. An answer of `Err` says why it does not.
pub(in crate::storage) fn ask_for_hand_over(
    dir: &Path,
    vault_id: &str,
    patience: Duration,
) -> Contact<std::result::Result<(), String>> {
    contact(dir, vault_id, patience).map(|mut channel| {
        // It may have to finish what is under way first.
        channel.set_timeouts(Some(patience + PATIENCE), Some(PATIENCE)).ok()?;
        channel.send(&frame(&Request::HandOver)).ok()?;
        match channel.receive(&mut impatient) {
            Ok(Answer::Done) => Some(Ok(())),
            Ok(Answer::Busy { reason }) => Some(Err(reason)),
            _ => None,
        }
    })
}

/// What the owner says unasked.
#[derive(Debug)]
pub(in crate::storage) enum News {
    /// Something changed. To be acknowledged by number.
    Changes(u64, Vec<Changed>),
    /// To be acknowledged by number once everybody has acted on the changes up to a sequence.
    Settle(u64, Sequence),
    /// From here on all changes are told; what was committed before stands in the log up to this state.
    Subscribed(LogState),
    /// The owner is about to let go of the vault, and has stored what it had. With `handed`, another process is to own it next.
    Farewell { handed: bool },
    /// The owner is gone.
    Died,
}

#[derive(Default)]
struct Subscription {
    asked: bool,
    begun: bool,
}

/// Numbers the owners that this process has called.
static CALLED: AtomicU64 = AtomicU64::new(1);

/// An owner of the vault, seen from another process.
pub(in crate::storage) struct Client {
    number: u64,
    dir: PathBuf,
    vault_id: String,
    patience: Duration,
    kept: Mutex<Vec<Channel>>,
    /// Where leases are held.
    leases: Mutex<Option<Channel>>,
    /// Where the service is asked for what is held on to.
    holding: Mutex<Option<Channel>>,
    /// The connection on which the owner speaks unasked; its end is the end of the owner.
    events: UnixStream,
    subscription: Mutex<Subscription>,
    subscribed: Condvar,
    lost: AtomicBool,
    /// The owner said, in the place of an answer, that it lets go of the vault: it has stored what it had.
    let_go: AtomicBool,
    /// And that another process is to own it next.
    handed: AtomicBool,
    /// A sequence that the log has reached.
    known: AtomicU64,
}

/// Where the news of an owner come from.
pub(in crate::storage) struct Events(Channel);

impl Events {
    /// Waits for the next.
    pub(in crate::storage) fn next(&mut self, client: &Client) -> News {
        match self.0.receive(&mut patient) {
            Ok(Answer::Changes { number, changes }) => News::Changes(number, changes),
            Ok(Answer::Settle { number, upto }) => News::Settle(number, upto),
            Ok(Answer::State { state }) => {
                client.know(state.sequence);
                News::Subscribed(state)
            }
            Ok(Answer::Farewell { handed }) => News::Farewell { handed },
            // The connection was ended here before it was about to end.
            _ if client.let_go.load(Ordering::Acquire) => {
                News::Farewell { handed: client.handed.load(Ordering::Acquire) }
            }
            Ok(_) | Err(_) => News::Died,
        }
    }
}

impl Client {
    /// Calls the owner of a vault, waiting for at most `patience` for its greeting.
    pub(in crate::storage) fn connect(dir: &Path, vault_id: &str, patience: Duration) -> Contact<(Self, Events)> {
        contact(dir, vault_id, patience).map(|channel| {
            channel.set_timeouts(None, Some(PATIENCE)).ok()?;
            let client = Self {
                number: CALLED.fetch_add(1, Ordering::Relaxed),
                dir: dir.to_owned(),
                vault_id: vault_id.to_owned(),
                patience,
                kept: Mutex::default(),
                leases: Mutex::default(),
                holding: Mutex::default(),
                events: channel.stream().try_clone().ok()?,
                subscription: Mutex::default(),
                subscribed: Condvar::new(),
                lost: AtomicBool::new(false),
                let_go: AtomicBool::new(false),
                handed: AtomicBool::new(false),
                known: AtomicU64::new(0),
            };
            // Also tells whether a second connection gets through, before anybody relies on it.
            client.state().ok()?;
            Some((client, Events(channel)))
        })
    }

    /// Tells this owner from all others that this process has called.
    pub(in crate::storage) fn number(&self) -> u64 {
        self.number
    }

    fn know(&self, sequence: Sequence) {
        self.known.fetch_max(sequence, Ordering::AcqRel);
    }

    /// A sequence that the log has reached.
    pub(in crate::storage) fn known(&self) -> Sequence {
        self.known.load(Ordering::Acquire)
    }

    /// Nobody calls the owner through this any more, and nobody waits for it.
    pub(in crate::storage) fn close(&self) {
        self.part();
        let _ = self.events.shutdown(Shutdown::Both);
    }

    /// Nobody calls the owner through this any more. It ends its side when it hears of that; if it is about to end anyway it says
    /// farewell first, and is not taken for dead.
    pub(in crate::storage) fn part(&self) {
        self.lost.store(true, Ordering::Release);
        let _ = self.events.shutdown(Shutdown::Write);
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clear();
        *self.leases.lock().unwrap_or_else(PoisonError::into_inner) = None;
        *self.holding.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let _subscription = self.subscription();
        self.subscribed.notify_all();
    }

    /// Nobody calls the owner through this any more.
    pub(in crate::storage) fn is_parted(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    fn subscription(&self) -> MutexGuard<'_, Subscription> {
        self.subscription.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks to be told of changes, once.
    pub(in crate::storage) fn ask_for_changes(&self) -> Called<()> {
        let mut subscription = self.subscription();
        if !subscription.asked {
            wire::send(&self.events, &frame(&Request::Subscribe))?;
            subscription.asked = true;
        }
        Ok(())
    }

    /// The owner has begun to tell of changes.
    pub(in crate::storage) fn changes_come(&self) {
        self.subscription().begun = true;
        self.subscribed.notify_all();
    }

    /// Waits until no change is missed any more.
    pub(in crate::storage) fn wait_for_changes(&self) {
        let waiting = |subscription: &mut Subscription| !subscription.begun && !self.lost.load(Ordering::Acquire);
        let _ = self.subscribed.wait_timeout_while(self.subscription(), PATIENCE, waiting);
    }

    /// Everybody here has done what was sent under this number.
    pub(in crate::storage) fn acknowledge(&self, number: u64) {
        // A connection that has ended says so by itself.
        let _ = wire::send(&self.events, &frame(&Request::Acknowledge { number }));
    }

    /// A connection to the owner.
    fn channel(&self) -> Called<Channel> {
        if self.lost.load(Ordering::Acquire) {
            return Err(CallError::Moved);
        }
        if let Some(channel) = self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return Ok(channel);
        }
        match contact(&self.dir, &self.vault_id, self.patience) {
            Contact::Made(channel) => Ok(channel),
            Contact::Nobody => Err(CallError::Moved),
            Contact::Silent => Err(CallError::Silent),
            Contact::Refused(why) => {
                let holder = format!("{}: {why}", LockFile::holder(&self.dir));
                Err(CallError::Storage(StorageError::Locked { path: self.dir.clone(), holder }))
            }
        }
    }

    fn keep(&self, channel: Channel) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT && !self.lost.load(Ordering::Acquire) {
            kept.push(channel);
        }
    }

    /// The owner is still there, although it takes its time. One that listens no more ends the call by itself.
    fn is_alive(&self, since: Instant) -> std::result::Result<(), WireError> {
        match contact(&self.dir, &self.vault_id, self.patience) {
            Contact::Silent => {
                tracing::warn!(target: "mirrordna::storage", waited = ?since.elapsed(), "the owner of the vault does not answer");
                Err(WireError::Silent)
            }
            _ => Ok(()),
        }
    }

    fn receive(&self, channel: &mut Channel) -> Called<Answer> {
        let since = Instant::now();
        match channel.receive(&mut || self.is_alive(since))? {
            Answer::Failed { error } => Err(CallError::Storage(error)),
            Answer::Moved => {
                self.let_go.store(true, Ordering::Release);
                Err(CallError::Moved)
            }
            // What is asked after a farewell is not read any more.
            Answer::Farewell { handed } => {
                self.handed.fetch_or(handed, Ordering::AcqRel);
                self.let_go.store(true, Ordering::Release);
                Err(CallError::Moved)
            }
            answer => Ok(answer),
        }
    }

    fn exchange(&self, channel: &mut Channel, request: &Request) -> Called<Answer> {
        let frame = frame(request);
        if frame.len() > HEADER + MAX_FRAME {
            let what = "too much for the socket of another process".to_owned();
            return Err(CallError::Storage(StorageError::Limit { what, limit: MAX_FRAME }));
        }
        match channel.send(&frame) {
            Ok(()) => self.receive(channel),
            Err(WireError::Silent) => Err(CallError::Silent),
            Err(WireError::Closed | WireError::Garbled(_)) => {
                // Who ends a connection may have said farewell on it.
                let _ = self.receive(channel);
                // What did not arrive as a whole is not looked at.
                Err(CallError::Moved)
            }
        }
    }

    /// Asks, and waits for the answer for as long as the owner is alive.
    pub(super) fn call(&self, request: &Request) -> Called<Answer> {
        let mut channel = self.channel()?;
        let answer = self.exchange(&mut channel, request);
        if matches!(answer, Ok(_) | Err(CallError::Storage(_))) {
            self.keep(channel);
        }
        answer
    }

    /// Runs a check over there and hands on what it finds. `begun` is set with the first finding: from then on the check
    /// cannot be repeated.
    pub(in crate::storage) fn check(
        &self,
        pins: &[Sequence],
        sink: &mut dyn CheckSink,
        begun: &mut bool,
    ) -> Called<()> {
        let mut channel = self.channel()?;
        let mut answer = self.exchange(&mut channel, &Request::Check { pins: pins.to_vec() })?;
        loop {
            match answer {
                Answer::Progress { done, total } => sink.progress(done, total),
                Answer::Checked { kind, id, version } => sink.version(kind, &id, &version),
                Answer::Fault { fault } => sink.fault(fault),
                Answer::Done => {
                    self.keep(channel);
                    return Ok(());
                }
                other => return Err(unexpected(&other)),
            }
            *begun = true;
            answer = self.receive(&mut channel)?;
        }
    }

    /// On a connection that lasts, because something is held by it.
    fn call_on(&self, lasting: &Mutex<Option<Channel>>, request: &Request) -> Called<Answer> {
        let mut lasting = lasting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut channel = match lasting.take() {
            Some(channel) => channel,
            None => self.channel()?,
        };
        let answer = self.exchange(&mut channel, request);
        if matches!(answer, Ok(_) | Err(CallError::Storage(_))) {
            *lasting = Some(channel);
        }
        answer
    }

    /// Asks the service of the owner. What is held on to, with `holding`, is so until the owner is gone.
    pub(in crate::storage) fn ask(&self, question: Vec<u8>, holding: bool) -> Called<Vec<u8>> {
        let request = Request::Ask { question };
        let answer = if holding { self.call_on(&self.holding, &request)? } else { self.call(&request)? };
        match answer {
            Answer::Bytes { bytes } => Ok(bytes),
            other => Err(unexpected(&other)),
        }
    }

    /// Keeps what is needed to read at a sequence, until it is released or the connection ends.
    pub(in crate::storage) fn lease(&self, number: u64, at: Sequence) -> Called<()> {
        self.call_on(&self.leases, &Request::Lease { number, at }).map(drop)
    }

    /// Lets go of a lease.
    pub(in crate::storage) fn release(&self, number: u64) -> Called<()> {
        self.call_on(&self.leases, &Request::Release { number }).map(drop)
    }

    /// From now on nobody commits but through what this returns, until it is dropped.
    pub(in crate::storage) fn claim(&self) -> Called<Claimed> {
        let mut channel = self.channel()?;
        self.exchange(&mut channel, &Request::Claim)?;
        Ok(Claimed(Mutex::new(channel)))
    }

    /// Makes a commit. `since` says after which sequence it may have been made already.
    pub(in crate::storage) fn commit(
        &self,
        commit: Commit,
        since: Option<Sequence>,
        through: Option<&Claimed>,
    ) -> Called<Committed> {
        let request = Request::Commit { commit, since };
        let answer = match through {
            None => self.call(&request)?,
            Some(claimed) => {
                let mut channel = claimed.0.lock().unwrap_or_else(PoisonError::into_inner);
                self.exchange(&mut channel, &request)?
            }
        };
        match answer {
            Answer::Committed { committed } => {
                self.know(committed.last);
                Ok(committed)
            }
            other => Err(unexpected(&other)),
        }
    }

    /// Where the log stands.
    pub(in crate::storage) fn state(&self) -> Called<LogState> {
        match self.call(&Request::State)? {
            Answer::State { state } => {
                self.know(state.sequence);
                Ok(state)
            }
            other => Err(unexpected(&other)),
        }
    }
}

/// A connection that has closed the gate of the storage for all others.
pub(in crate::storage) struct Claimed(Mutex<Channel>);

/// An answer to another question. The connection it came on is not used again.
pub(super) fn unexpected(answer: &Answer) -> CallError {
    let name = format!("{answer:?}");
    let name = name.split([' ', '{']).next().unwrap_or_default();
    tracing::error!(target: "mirrordna::storage", answer = name, "an answer that was not asked for");
    CallError::Lost
}
