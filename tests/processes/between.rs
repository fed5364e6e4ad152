//! Somebody between a process and the owner of its vault: what both say passes through it, and a test decides when.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use mirrordna::files::OpenFile;
use mirrordna::storage::StorageError;
use mirrordna::vault::NewSnapshot;
use mirrordna::{Error, Vault, VaultOptions};

use crate::child::Child;
use crate::support::{Bed, frame, options, wait_until, wanting, write};

/// `Request::State`
const STATE: [u8; 1] = [8];
/// `Answer::Farewell`
const FAREWELL: u8 = 22;

/// A connection.
#[derive(Default)]
struct Line {
    /// More than a greeting was said by who called.
    used: AtomicBool,
    /// Who called has ended it.
    ended: AtomicBool,
}

/// Sees what passes before it does. Until it returns, nothing more passes in that direction.
trait Watch: Send + Sync + 'static {
    fn called(&self, caller: &UnixStream) {
        let _ = caller;
    }

    fn asked(&self, question: &[u8]) {
        let _ = question;
    }

    fn told(&self, line: &Line, answer: &[u8]) {
        let _ = (line, answer);
    }
}

/// From now on whoever calls the owner of the vault does it through `watch`.
fn between(bed: &Bed, watch: &Arc<impl Watch>) {
    let (socket, behind) = (bed.vault().join("SOCKET"), bed.path("SOCKET"));
    std::fs::rename(&socket, &behind).unwrap();
    let listener = UnixListener::bind(socket).unwrap();
    let watch = Arc::clone(watch);
    thread::spawn(move || {
        for caller in listener.incoming().map_while(Result::ok) {
            let (watch, behind) = (Arc::clone(&watch), behind.clone());
            thread::spawn(move || pass_on(&*watch, &caller, &behind));
        }
    });
}

fn pass_on(watch: &impl Watch, caller: &UnixStream, behind: &Path) {
    watch.called(caller);
    let Ok(owner) = UnixStream::connect(behind) else { return };
    let line = Line::default();
    thread::scope(|scope| {
        scope.spawn(|| {
            while let Some(answer) = next(&owner) {
                watch.told(&line, &answer);
                let _ = (&mut &*caller).write_all(&frame(&answer));
            }
            let _ = caller.shutdown(Shutdown::Both);
        });
        let mut greeted = false;
        while let Some(question) = next(caller) {
            if greeted {
                line.used.store(true, Ordering::SeqCst);
                watch.asked(&question);
            }
            greeted = true;
            let _ = (&owner).write_all(&frame(&question));
        }
        line.ended.store(true, Ordering::SeqCst);
        let _ = owner.shutdown(Shutdown::Write);
    });
}

/// What is in the next frame.
fn next(mut from: &UnixStream) -> Option<Vec<u8>> {
    let mut header = [0; 8];
    from.read_exact(&mut header).ok()?;
    let mut payload = vec![0; u32::from_le_bytes(header[..4].try_into().unwrap()) as usize];
    from.read_exact(&mut payload).ok()?;
    Some(payload)
}

/// The owner says nothing any more once it is asked where the log stands, until somebody has taken it for stopped.
#[derive(Default)]
struct Pausing {
    armed: AtomicBool,
    silent: AtomicBool,
}

impl Watch for Pausing {
    fn called(&self, mut caller: &UnixStream) {
        if self.silent.load(Ordering::SeqCst) {
            let _ = caller.read_to_end(&mut Vec::new());
            self.silent.store(false, Ordering::SeqCst);
        }
    }

    fn asked(&self, question: &[u8]) {
        if question == STATE && self.armed.swap(false, Ordering::SeqCst) {
            self.silent.store(true, Ordering::SeqCst);
            wait_until("somebody takes the owner for stopped", || !self.silent.load(Ordering::SeqCst));
        }
    }
}

/// Where the log stood when somebody last said so is not where it stands.
#[test]
fn what_is_pinned_is_never_what_was_only_remembered() {
    let bed = Bed::new();
    let mut owner = Child::open(&bed.vault());
    let watch = Arc::new(Pausing::default());
    between(&bed, &watch);
    let vault = Vault::open(&bed.vault(), &VaultOptions { lock_timeout: Duration::from_secs(3), ..options() }).unwrap();
    write(vault.storage(), "mem_000000000001", "a").unwrap();
    let remembered = vault.state().sequence;
    assert_eq!(owner.ask("write mem_000000000002 b"), format!("wrote {}", remembered + 1));

    let silence = |ask: &dyn Fn() -> Result<(), Error>| {
        watch.armed.store(true, Ordering::SeqCst);
        let asked = ask();
        wait_until("the owner goes on", || !watch.silent.load(Ordering::SeqCst));
        assert!(!watch.armed.load(Ordering::SeqCst), "nothing asked where the log stands");
        asked
    };
    let refused = |asked: Result<(), Error>| {
        assert!(matches!(asked, Err(Error::Storage(StorageError::Locked { .. }))), "{asked:?}");
    };
    let snapshot = || vault.snapshots().create(NewSnapshot { id: Some("snap_a".into()), ..NewSnapshot::default() });
    refused(silence(&|| snapshot().map(drop)));
    refused(silence(&|| vault.at(remembered).map(drop)));
    // What is only shown is shown.
    silence(&|| {
        assert_eq!(vault.state().sequence, remembered);
        Ok(())
    })
    .unwrap();
    assert_eq!(snapshot().unwrap().sequence, remembered + 1);
}

/// The farewell of the owner comes on no connection on which nothing was asked, until the process has ended that.
#[derive(Default)]
struct SlowFarewell {
    held: AtomicBool,
}

impl Watch for SlowFarewell {
    fn told(&self, line: &Line, answer: &[u8]) {
        if answer.first() == Some(&FAREWELL) && !line.used.load(Ordering::SeqCst) {
            self.held.store(true, Ordering::SeqCst);
            wait_until("the process goes on", || line.ended.load(Ordering::SeqCst));
        }
    }
}

/// Whoever hears from a call that the vault is handed over may end the connection before the farewell comes on it.
#[test]
fn a_hand_over_is_no_death() {
    let bed = Bed::new();
    let _owner = Child::open(&bed.vault());
    let watch = Arc::new(SlowFarewell::default());
    between(&bed, &watch);
    let vault = bed.open();
    let files = vault.files();
    let mut file = files.open("file", &OpenFile::new().write(true).create(true)).unwrap();
    file.write_all(b"stored before the vault is handed over").unwrap();
    let _wanting = Child::own(&bed.vault());
    wait_until("the farewell", || watch.held.load(Ordering::SeqCst));
    file.sync().unwrap();
    files.sync().unwrap();
    assert_eq!(vault.storage().owners_died(), 0);
    assert_eq!(files.read("file").unwrap(), b"stored before the vault is handed over");
}

/// Tells others to stop, also when what they wait for failed.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// The same while many call: some find a connection that has ended, some find no socket any more.
#[test]
fn no_end_is_a_death_while_many_call() {
    let bed = Bed::new();
    let (_other, client) = (bed.open(), bed.open());
    let files = client.files();
    let mut file = files.open("file", &OpenFile::new().write(true).create(true)).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for n in 0..12 {
            let (client, done) = (&client, &done);
            scope.spawn(move || {
                while !done.load(Ordering::SeqCst) {
                    write(client.storage(), &format!("mem_{n:012}"), "a").unwrap();
                }
            });
        }
        let _stop = Stop(&done);
        for _ in 0..5 {
            file.write_all(b"stored before the vault is handed over").unwrap();
            let wanting = Vault::open(&bed.vault(), &wanting()).unwrap();
            file.sync().unwrap();
            file.write_all(b"stored before the owner ends").unwrap();
            drop(wanting);
            file.sync().unwrap();
        }
    });
    assert_eq!(client.storage().owners_died(), 0);
}
