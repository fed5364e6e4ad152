//! The owner's side of the socket: a thread for each connection, which answers one request after the other.

use std::cell::Cell;
use std::collections::HashMap;
use std::io;
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::threads::without_signals;

use super::super::gate::Claim;
use super::super::rocksdb::RocksStorage;
use super::super::types::{Commit, Sequence};
use super::super::{Asked, Lease, Result, Service, Storage, StorageError, Subscriber};
use super::answers::{self, Findings, answer, made_before};
use super::events::{RemoteSubscriber, Voice};
use super::messages::{Answer, Greeting, Hello, MAGIC, Refusal, Request};
use super::wire::{Channel, WireError, frame, impatient, patient};
use super::{PATIENCE, PROTOCOL, address};

/// The most connections at once.
const MAX_CONNECTIONS: usize = 1_024;
/// The most leases of one connection.
const MAX_LEASES: usize = 65_536;

/// The process that owns the vault, as its server sees it.
pub(in crate::storage) trait Host: Send + Sync {
    /// The storage, for a request that changes something; it stays as long as this is held. None when this process does
    /// not own the vault, or is about to hand it over.
    fn writing(&self) -> Option<(Arc<RocksStorage>, Arc<()>)>;

    /// The storage, for a request that changes nothing. None when this process does not own the vault.
    fn reading(&self) -> Option<Arc<RocksStorage>>;

    /// What answers questions that the storage does not understand.
    fn service(&self) -> Option<Arc<dyn Service>>;

    /// Not all that was done for other processes is stored, and it will not be: nobody is told that this process lets go of the
    /// vault.
    fn is_unstored(&self) -> bool;

    /// Gets ready to let go of the vault, and then lets go of it; or says why it does not.
    fn hand_over(self: Arc<Self>) -> std::result::Result<(), String>;

    /// A connection has ended: whatever its process had begun must not stay half done.
    fn gone(self: Arc<Self>, claim: Option<Claim>);
}

/// A connection that is served.
struct Served {
    stream: UnixStream,
}

struct Shared {
    host: Arc<dyn Host>,
    vault_id: String,
    served: Mutex<HashMap<u64, Served>>,
    ended: Condvar,
    stopping: AtomicBool,
    handed: AtomicBool,
}

impl Shared {
    fn served(&self) -> MutexGuard<'_, HashMap<u64, Served>> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}

/// Listens for other processes, until it is stopped.
pub(in crate::storage) struct Server {
    dir: PathBuf,
    shared: Arc<Shared>,
    listener: Arc<UnixListener>,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

impl Server {
    /// Begins to listen in the directory of a vault whose lock this process holds.
    pub(in crate::storage) fn start(dir: &Path, vault_id: &str, host: Arc<dyn Host>) -> io::Result<Self> {
        let listener = Arc::new(address::listen(dir)?);
        let shared = Arc::new(Shared {
            host,
            vault_id: vault_id.to_owned(),
            served: Mutex::default(),
            ended: Condvar::new(),
            stopping: AtomicBool::new(false),
            handed: AtomicBool::new(false),
        });
        let accepting = {
            let (listener, shared) = (Arc::clone(&listener), Arc::clone(&shared));
            let named = thread::Builder::new().name("mirrordna-accept".to_owned());
            without_signals(|| named.spawn(move || accept(&listener, &shared)))?
        };
        Ok(Self { dir: dir.to_owned(), shared, listener, accepting: Mutex::new(Some(accepting)) })
    }

    /// Takes no further calls, answers what was asked already, and ends all connections. `handed` tells the others that
    /// another process is to own the vault next.
    pub(in crate::storage) fn stop(&self, handed: bool) {
        self.shared.handed.store(handed, Ordering::Release);
        self.shared.stopping.store(true, Ordering::Release);
        address::remove(&self.dir);
        let _ = rustix::net::shutdown(&*self.listener, rustix::net::Shutdown::Both);
        let accepting = self.accepting.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(accepting) = accepting {
            let _ = accepting.join();
        }
        let mut served = self.shared.served();
        for connection in served.values() {
            // What was sent before is still read.
            let _ = connection.stream.shutdown(Shutdown::Read);
        }
        while !served.is_empty() {
            served = self.shared.ended.wait(served).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn accept(listener: &UnixListener, shared: &Arc<Shared>) {
    for number in 0_u64.. {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(_) if shared.stopping() => return,
            Err(error) => {
                tracing::warn!(target: "mirrordna::storage", %error, "a call of another process failed");
                // Too many open files, say: trying again at once would only take time from others.
                thread::sleep(Duration::from_millis(20));
                continue;
            }
        };
        let Ok(kept) = stream.try_clone() else { continue };
        let full = {
            let mut served = shared.served();
            served.insert(number, Served { stream: kept });
            served.len() > MAX_CONNECTIONS
        };
        let entered = Entered { shared: Arc::clone(shared), number };
        let serve = move || serve(&entered.shared, stream, full);
        let named = thread::Builder::new().name("mirrordna-serve".to_owned());
        if let Err(error) = without_signals(|| named.spawn(serve)) {
            tracing::warn!(target: "mirrordna::storage", %error, "no thread for the call of another process");
        }
    }
}

/// A connection stands in the list for as long as its thread goes on.
struct Entered {
    shared: Arc<Shared>,
    number: u64,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.shared.served().remove(&self.number);
        self.shared.ended.notify_all();
    }
}

thread_local! {
    static SERVES: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread answers another process. The server waits for it when it is stopped, so it must not stop it.
pub(in crate::storage) fn this_thread_serves() -> bool {
    SERVES.get()
}

/// Greets a caller and answers it until it goes.
fn serve(shared: &Shared, stream: UnixStream, full: bool) {
    SERVES.set(true);
    let Ok(voice) = stream.try_clone() else { return };
    let mut channel = Channel::new(stream);
    match greet(shared, &mut channel, full) {
        Ok(true) => {}
        Ok(false) => return,
        Err(error) => {
            tracing::debug!(target: "mirrordna::storage", %error, "a call that is none");
            return;
        }
    }
    let mut connection = Connection {
        shared,
        voice: Arc::new(Voice::new(voice)),
        leases: HashMap::new(),
        claim: None,
        subscriber: None,
        asked: None,
    };
    let ended = connection.go_on(&mut channel);
    if shared.stopping() && !shared.host.is_unstored() {
        let farewell = Answer::Farewell { handed: shared.handed.load(Ordering::Acquire) };
        let _ = connection.voice.say(&frame(&farewell));
    }
    if let Some(subscriber) = connection.subscriber.take() {
        subscriber.leave();
    }
    // A process that says what cannot be read is told by the end of the connection.
    channel.close();
    if let Err(error @ WireError::Garbled(_)) = ended {
        tracing::warn!(target: "mirrordna::storage", %error, "a connection is ended");
    }
    connection.leases.clear();
    Arc::clone(&shared.host).gone(connection.claim.take());
}

/// Whether the caller may go on.
fn greet(shared: &Shared, channel: &mut Channel, full: bool) -> std::result::Result<bool, WireError> {
    channel.set_timeouts(Some(PATIENCE), Some(PATIENCE))?;
    let user = address::may_call(channel.stream());
    let refusal = if user {
        let hello: Hello = channel.receive(&mut impatient)?;
        if hello.magic != MAGIC {
            return Err(WireError::Garbled("no greeting"));
        }
        if hello.protocol != PROTOCOL {
            Some(Refusal::Protocol)
        } else if hello.vault_id != shared.vault_id {
            Some(Refusal::Vault)
        } else {
            full.then_some(Refusal::Full)
        }
    } else {
        // What another user has to say is not even read.
        Some(Refusal::User)
    };
    let greeting = Greeting { magic: MAGIC, protocol: PROTOCOL, refusal, process: std::process::id() };
    channel.send(&frame(&greeting))?;
    channel.set_timeouts(None, Some(PATIENCE))?;
    Ok(refusal.is_none())
}

/// What belongs to a connection and goes with it.
struct Connection<'a> {
    shared: &'a Shared,
    voice: Arc<Voice>,
    leases: HashMap<u64, Lease>,
    claim: Option<Claim>,
    subscriber: Option<Arc<RemoteSubscriber>>,
    /// There once it has asked the service something.
    asked: Option<Box<dyn Asked>>,
}

impl Connection<'_> {
    fn go_on(&mut self, channel: &mut Channel) -> std::result::Result<(), WireError> {
        loop {
            let request: Request = match channel.receive(&mut patient) {
                Ok(request) => request,
                Err(WireError::Closed) => return Ok(()),
                Err(error) => return Err(error),
            };
            if let Request::Acknowledge { number } = request {
                if let Some(subscriber) = &self.subscriber {
                    subscriber.acknowledged(number);
                }
                continue;
            }
            let answer = self.answer(request, channel).unwrap_or_else(|error| Answer::Failed { error });
            if matches!(answer, Answer::Moved) && self.shared.host.is_unstored() {
                return Ok(());
            }
            self.voice.say(&frame(&answer))?;
        }
    }

    fn answer(&mut self, request: Request, channel: &Channel) -> Result<Answer> {
        if matches!(request, Request::HandOver) {
            return Ok(match Arc::clone(&self.shared.host).hand_over() {
                Ok(()) => Answer::Done,
                Err(reason) => Answer::Busy { reason },
            });
        }
        if let Request::Ask { question } = request {
            return Ok(self.ask(&question));
        }
        let storage = if answers::changes(&request) {
            self.shared.host.writing().map(|(storage, writing)| (storage, Some(writing)))
        } else {
            self.shared.host.reading().map(|storage| (storage, None))
        };
        let Some((storage, _writing)) = storage else { return Ok(Answer::Moved) };
        match request {
            Request::Commit { commit, since } => self.commit(&storage, commit, since),
            Request::Check { pins } => {
                let mut findings = Findings::new(&self.voice);
                storage.check(&pins, &mut findings)?;
                // A check of which not all was told found nothing that counts.
                let untold = |error| io::Error::other(format!("what was found could not be told: {error}"));
                let told = findings.finish().map_err(|error| StorageError::from_io(storage.dir(), untold(error)));
                told.map(|()| Answer::Done)
            }
            Request::Lease { number, at } => {
                if self.leases.len() >= MAX_LEASES {
                    return Err(StorageError::Limit { what: "leases of one process".to_owned(), limit: MAX_LEASES });
                }
                self.leases.insert(number, storage.lease(at));
                Ok(Answer::Done)
            }
            Request::Release { number } => {
                self.leases.remove(&number);
                Ok(Answer::Done)
            }
            Request::Claim => {
                if self.claim.is_none() {
                    self.claim = Some(storage.gate().claim());
                }
                Ok(Answer::Done)
            }
            Request::Subscribe => {
                if self.subscriber.is_none() {
                    let stream = channel.stream().try_clone();
                    let stream = stream.map_err(|error| StorageError::from_io(storage.dir(), error))?;
                    let subscriber = Arc::new(RemoteSubscriber::new(Arc::clone(&self.voice), stream));
                    let told: Arc<dyn Subscriber> = Arc::<RemoteSubscriber>::clone(&subscriber);
                    storage.add_subscriber(&told);
                    self.subscriber = Some(subscriber);
                }
                // What was committed before it was listed stands at or before this state; all else it is told.
                Ok(Answer::State { state: storage.state() })
            }
            other => answer(&storage, other),
        }
    }

    /// Has the service answer. It changes what it has to by itself, so nothing is held here that a hand-over waits for.
    fn ask(&mut self, question: &[u8]) -> Answer {
        if self.shared.host.reading().is_none() {
            return Answer::Moved;
        }
        let asked = match self.asked.take() {
            Some(asked) => asked,
            None => match self.shared.host.service() {
                Some(service) => service.begin(),
                None => return Answer::Moved,
            },
        };
        Answer::Bytes { bytes: self.asked.insert(asked).answer(question) }
    }

    fn commit(&self, storage: &RocksStorage, commit: Commit, since: Option<Sequence>) -> Result<Answer> {
        answers::check(&commit)?;
        if let (Some(token), Some(since)) = (commit.token, since)
            && let Some(committed) = made_before(storage, token, since)?
        {
            if commit.durability == super::super::Durability::Sync {
                storage.sync()?;
            }
            return Ok(Answer::Committed { committed });
        }
        let committed = match &self.claim {
            Some(claim) => storage.commit_claiming(claim, commit)?,
            None => match storage.gate().pass(storage.dir())? {
                Some(pass) => storage.commit_past(&pass, commit)?,
                None => return Ok(Answer::Moved),
            },
        };
        Ok(Answer::Committed { committed })
    }
}
