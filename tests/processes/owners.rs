//! Who owns the vault: the first, the one that wants it, and whoever is left.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use mirrordna::Vault;
use mirrordna::storage::{Asked, Asking, Ownership, Service, StorageError};
use rustix::process::Signal;

use crate::child::Child;
use crate::support::{Bed, contents, frame, greeting, refusal, wait_until, wanting, write};

/// An owner that closes the vault, and one that is killed, is followed by somebody who had it open, at once; what was
/// buffered is there.
#[test]
fn whoever_is_left_takes_over() {
    let bed = Bed::new();
    for kill in [false, true] {
        let mut owner = Child::open(&bed.vault());
        assert_eq!(bed.owner(), owner.id());
        let vault = bed.open();
        let mut third = Child::open(&bed.vault());
        assert!(owner.ask("write mem_000000000001 a").starts_with("wrote"));
        assert_eq!(
            (contents(vault.storage(), "mem_000000000001")[0].as_str(), third.ask("read mem_000000000001").as_str()),
            ("a", "a")
        );
        let begun = Instant::now();
        if kill {
            owner.kill();
        } else {
            owner.end();
        }
        assert_eq!(contents(vault.storage(), "mem_000000000001")[0], "a");
        println!("after {} the vault answers in {:?}", if kill { "a kill" } else { "a close" }, begun.elapsed());
        assert!(bed.owner() == std::process::id() || bed.owner() == third.id());
        write(vault.storage(), "mem_000000000002", "b").unwrap();
        assert!(third.ask("read mem_000000000002").starts_with('b'));
        assert!(third.ask("write mem_000000000003 c").starts_with("wrote"));
        assert_eq!(contents(vault.storage(), "mem_000000000003")[0], "c");
        drop(vault);
        assert!(third.ask("write mem_000000000001 d").starts_with("wrote"));
        third.end();
        bed.assert_clean();
        // What one round wrote the next one does not count on.
        let vault = bed.open();
        for id in ["mem_000000000001", "mem_000000000002", "mem_000000000003"] {
            vault.delete(mirrordna::record::Kind::Memory, id).unwrap();
        }
        vault.prune(mirrordna::storage::PrunePolicy { keep: Some(1), ..Default::default() }).unwrap();
    }
}

/// A process that wants to own the vault gets it from one that does not mind, and keeps it from all others; the one that
/// handed it over goes on, with its views of the past, and has it again in the end.
#[test]
fn a_vault_is_handed_over_to_who_wants_it() {
    let bed = Bed::new();
    let mut first = Child::open(&bed.vault());
    assert!(first.ask("write mem_000000000001 a").starts_with("wrote"));
    let at = first.ask("state");
    assert_eq!(first.ask(&format!("view {at}")), "viewed");
    assert!(first.ask("write mem_000000000001 b").starts_with("wrote"));
    let second = bed.open();
    let wanted = Vault::open(&bed.vault(), &wanting()).unwrap();
    assert_eq!(bed.owner(), std::process::id());
    assert_eq!(contents(second.storage(), "mem_000000000001"), ["b", "a"]);
    assert_eq!(first.ask("read mem_000000000001"), "b,a");
    // Its lease has come along.
    wanted.prune(mirrordna::storage::PrunePolicy { keep: Some(1), ..Default::default() }).unwrap();
    assert_eq!(first.ask("viewed mem_000000000001"), "a");
    assert_eq!(first.ask("forget"), "forgotten");
    wanted.prune(mirrordna::storage::PrunePolicy { keep: Some(1), ..Default::default() }).unwrap();
    assert_eq!(first.ask("read mem_000000000001"), "b");

    let StorageError::Locked { holder, .. } = refusal(&bed.vault(), Ownership::Wanted) else { panic!() };
    assert!(holder.contains(&format!("process {}", std::process::id())) && holder.contains("keeps it"), "{holder}");
    assert!(first.ask("write mem_000000000001 c").starts_with("wrote"));
    drop(wanted);
    drop(second);
    assert!(first.ask("write mem_000000000001 d").starts_with("wrote"));
    assert_eq!(bed.owner(), first.id());
    first.end();
    bed.assert_clean();
}

/// The vault is handed over in the middle of what others write, and nothing of that is lost or refused.
#[test]
fn a_hand_over_interrupts_nobody() {
    let bed = Bed::new();
    let mut writers: Vec<Child> = (0..3).map(|_| Child::open(&bed.vault())).collect();
    for (number, writer) in writers.iter_mut().enumerate() {
        writer.say(&format!("write-on mem_{number:012}"));
    }
    for _ in 0..5 {
        let wanted = Vault::open(&bed.vault(), &wanting()).unwrap();
        assert_eq!(bed.owner(), std::process::id());
        for writer in &writers {
            writer.heard();
            assert!(writer.answer().unwrap().starts_with("ack"));
        }
        drop(wanted);
        wait_until("a new owner", || bed.owner() != std::process::id());
        for writer in &writers {
            writer.heard();
            assert!(writer.answer().unwrap().starts_with("ack"));
        }
    }
    for writer in writers {
        let said = writer.kill();
        assert!(!said.iter().any(|line| line.starts_with("failed")), "{said:?}");
    }
    let vault = bed.open();
    for number in 0..3 {
        let found = contents(vault.storage(), &format!("mem_{number:012}"));
        let wanted: Vec<String> = (0..found.len()).rev().map(|n| n.to_string()).collect();
        assert_eq!(found, wanted);
    }
    drop(vault);
    bed.assert_clean();
}

/// A process that holds the vault and does not answer is named after the time-out; when it goes on, so do the others.
#[test]
fn a_stopped_owner_is_named() {
    let bed = Bed::new();
    let owner = Child::open(&bed.vault());
    let client = {
        let options =
            mirrordna::VaultOptions { lock_timeout: std::time::Duration::from_millis(300), ..Default::default() };
        Vault::open(&bed.vault(), &options).unwrap()
    };
    write(client.storage(), "mem_000000000001", "a").unwrap();
    owner.signal(Signal::STOP);
    for ownership in [Ownership::Any, Ownership::Wanted] {
        let StorageError::Locked { holder, .. } = refusal(&bed.vault(), ownership) else { panic!() };
        let named = holder.contains(&format!("process {}", owner.id())) && holder.contains("does not answer");
        assert!(named, "{holder}");
    }
    // A read says that nobody answers; of a change nobody knows whether it will be made.
    let read = client.storage().head(mirrordna::record::Kind::Memory, "mem_000000000001");
    assert!(matches!(read, Err(StorageError::Locked { .. })), "{read:?}");
    let written = write(client.storage(), "mem_000000000001", "b");
    assert!(matches!(written, Err(StorageError::Unanswered { .. } | StorageError::Locked { .. })), "{written:?}");
    owner.signal(Signal::CONT);
    wait_until("an answer", || client.storage().head(mirrordna::record::Kind::Memory, "mem_000000000001").is_ok());
    write(client.storage(), "mem_000000000001", "c").unwrap();
    owner.end();
    assert_eq!(contents(client.storage(), "mem_000000000001")[0], "c");
}

/// Files are worked on in the memory of the owner: others are told so, and the owner keeps the vault meanwhile.
#[test]
fn artifacts_belong_to_the_owner() {
    let bed = Bed::new();
    let vault = bed.open();
    let mut other = Child::open(&bed.vault());
    let said = other.ask("artifacts");
    assert!(said.contains("only be worked on by the process that owns it: process"), "{said}");
    let files = vault.artifacts().unwrap();
    let StorageError::Locked { holder, .. } = refusal(&bed.vault(), Ownership::Wanted) else { panic!() };
    assert!(holder.contains("artifacts open"), "{holder}");
    drop(files);
    drop(vault);
    // Now it is another process that owns the vault.
    wait_until("the next owner", || bed.owner() == other.id());
    assert_eq!(other.ask("artifacts"), "files");
}

/// Answers a question when it is told to, and notes what comes when.
struct Slow {
    asked: Sender<()>,
    go_on: Mutex<Option<Receiver<()>>>,
    events: Arc<Mutex<Vec<&'static str>>>,
}

struct SlowAnswer {
    asked: Sender<()>,
    go_on: Option<Receiver<()>>,
    events: Arc<Mutex<Vec<&'static str>>>,
}

impl Service for Slow {
    fn begin(&self) -> Box<dyn Asked> {
        let go_on = self.go_on.lock().unwrap().take();
        Box::new(SlowAnswer { asked: self.asked.clone(), go_on, events: Arc::clone(&self.events) })
    }

    fn leave(&self) -> Result<(), String> {
        self.events.lock().unwrap().push("leave");
        Ok(())
    }

    fn left(&self) {
        self.events.lock().unwrap().push("left");
    }
}

impl Asked for SlowAnswer {
    fn answer(&mut self, _question: &[u8]) -> Vec<u8> {
        self.asked.send(()).unwrap();
        self.go_on.take().unwrap().recv().unwrap();
        self.events.lock().unwrap().push("answered");
        Vec::new()
    }
}

/// A question that is under way in a hand-over must not take up again what was let go of.
#[test]
fn nothing_is_taken_up_before_the_vault_is_gone() {
    let bed = Bed::new();
    let (owner, client) = (bed.open(), bed.open());
    let ((asked, was_asked), (go_on, may_go_on)) = (channel(), channel());
    let events = Arc::new(Mutex::new(Vec::new()));
    let service: Arc<dyn Service> =
        Arc::new(Slow { asked, go_on: Mutex::new(Some(may_go_on)), events: Arc::clone(&events) });
    owner.storage().serve(&service);
    std::thread::scope(|scope| {
        scope.spawn(|| client.storage().ask(Asking::Read, &|| vec![1]).unwrap());
        was_asked.recv().unwrap();
        // Asks for the vault, and does not take it.
        let mut asking = UnixStream::connect(bed.vault().join("SOCKET")).unwrap();
        asking.write_all(&greeting(&owner, 3)).unwrap();
        asking.read_exact(&mut [0; 8 + 15]).unwrap();
        asking.write_all(&frame(&[22])).unwrap();
        let mut answer = [0; 9];
        asking.read_exact(&mut answer).unwrap();
        assert_eq!(answer[8], 3, "it is handed over");
        go_on.send(()).unwrap();
    });
    wait_until("the end of the hand-over", || events.lock().unwrap().contains(&"left"));
    assert_eq!(*events.lock().unwrap(), ["leave", "answered", "left"]);
    write(client.storage(), "mem_000000000001", "a").unwrap();
}
