//! Subscribers know of a change before the call that made it returns, whoever made it and whoever owns the vault.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mirrordna::record::Kind;
use mirrordna::storage::{Changed, Subscriber};
use mirrordna::{Error, Vault, VaultOptions};
use rustix::process::Signal;

use crate::child::Child;
use crate::support::{Bed, LONG, memory, wait_until, write};

#[derive(Default)]
struct Heard(Mutex<Vec<u64>>);

impl Subscriber for Heard {
    fn changed(&self, changes: &[Changed]) {
        self.0.lock().unwrap().extend(changes.iter().map(|change| change.entry.sequence));
    }
}

impl Heard {
    fn all(&self) -> Vec<u64> {
        self.0.lock().unwrap().clone()
    }
}

/// The subscriber owns the vault and others write; then it is the other way round.
#[test]
fn a_subscriber_knows_before_the_writer_goes_on() {
    let bed = Bed::new();
    let vault = bed.open();
    let heard = Arc::new(Heard::default());
    vault.subscribe(&(Arc::clone(&heard) as Arc<dyn Subscriber>)).unwrap();
    let mut writer = Child::open(&bed.vault());
    for n in 1..=20 {
        assert_eq!(writer.ask("write mem_000000000001 a"), format!("wrote {n}"));
        assert_eq!(heard.all().len(), n, "it did not know");
    }
    let mut listener = Child::open(&bed.vault());
    assert_eq!(listener.ask("listen 30"), "listening");
    for n in 21..=25_u64 {
        let begun = Instant::now();
        assert_eq!(write(vault.storage(), "mem_000000000001", "a").unwrap().last, n);
        assert!(begun.elapsed().as_millis() >= 30, "the writer went on before the listener knew");
        assert_eq!(listener.answer().unwrap(), format!("heard mem_000000000001 {n} 6 6"));
    }
    assert_eq!(writer.ask("write mem_000000000002 a"), "wrote 26");
    assert_eq!(listener.answer().unwrap(), "heard mem_000000000002 26 0 6");
    // Nor does it matter who owns the vault.
    drop(vault);
    drop(heard);
    for n in 27..=40 {
        assert_eq!(writer.ask("write mem_000000000001 a"), format!("wrote {n}"));
        assert_eq!(listener.answer().unwrap(), format!("heard mem_000000000001 {n} 6 6"));
    }
    listener.end();
    assert_eq!(writer.ask("write mem_000000000001 a"), "wrote 41");
    writer.end();
    bed.assert_clean();
}

/// Through twenty deaths of owners a subscriber hears of every change once and in order.
#[test]
fn a_subscriber_misses_nothing_when_owners_die() {
    let bed = Bed::new();
    let mut owner = Child::open(&bed.vault());
    let vault = bed.open();
    let heard = Arc::new(Heard::default());
    vault.subscribe(&(Arc::clone(&heard) as Arc<dyn Subscriber>)).unwrap();
    let mut made = Vec::new();
    for round in 0..20 {
        let next = Child::open(&bed.vault());
        if owner.id() == bed.owner() {
            owner.say("write-on mem_00000000000x");
            while owner.heard().len() < 5 {
                std::thread::yield_now();
            }
        }
        owner.kill();
        made.push(write(vault.storage(), "mem_000000000001", &round.to_string()).unwrap().last);
        owner = next;
        // Let others own it again.
        if bed.owner() == std::process::id() {
            let wanted = Child::own(&bed.vault());
            made.push(write(vault.storage(), "mem_000000000001", "w").unwrap().last);
            wanted.kill();
            wait_until("an owner", || write(vault.storage(), "mem_000000000001", "y").is_ok());
        }
    }
    let last = write(vault.storage(), "mem_000000000001", "end").unwrap().last;
    wait_until("the last change", || heard.all().last() == Some(&last));
    let all = heard.all();
    let changes = |from: u64| vault.log(from, usize::MAX).unwrap().into_iter().filter(|entry| entry.kind.is_some());
    let logged: Vec<u64> = changes(1).map(|entry| entry.sequence).collect();
    assert_eq!(all, logged);
    assert!(made.iter().all(|sequence| all.contains(sequence)));
}

/// The owner is gone and the directory with it: nobody will ever tell of changes, and a subscriber is told so.
#[test]
fn who_cannot_subscribe_is_told() {
    let bed = Bed::new();
    let owner = Child::open(&bed.vault());
    let options = VaultOptions { lock_timeout: Duration::from_millis(300), ..VaultOptions::default() };
    let vault = Vault::open(&bed.vault(), &options).unwrap();
    std::fs::rename(bed.vault(), bed.path("away")).unwrap();
    owner.kill();
    let heard: Arc<dyn Subscriber> = Arc::new(Heard::default());
    let error = vault.subscribe(&heard).unwrap_err();
    assert!(matches!(error, Error::Storage(_)), "{error}");
    std::fs::rename(bed.path("away"), bed.vault()).unwrap();
    wait_until("an owner", || vault.subscribe(&heard).is_ok());
}

/// A subscriber that is stopped does not stop the vault; when it goes on, it learns what it missed.
#[test]
fn a_stopped_subscriber_stops_nobody() {
    let bed = Bed::new();
    let vault = bed.open();
    let mut listener = Child::open(&bed.vault());
    assert_eq!(listener.ask("listen 0"), "listening");
    listener.signal(Signal::STOP);
    let begun = Instant::now();
    for n in 1..=50 {
        assert_eq!(write(vault.storage(), "mem_000000000001", "a").unwrap().last, n);
    }
    assert!(begun.elapsed() < LONG);
    listener.signal(Signal::CONT);
    for n in 1..=50 {
        let before = if n == 1 { 0 } else { 6 };
        assert_eq!(listener.answer().unwrap(), format!("heard mem_000000000001 {n} {before} 6"));
    }
    write(vault.storage(), "mem_000000000001", "a").unwrap();
    assert_eq!(listener.answer().unwrap(), "heard mem_000000000001 51 6 6");
}

/// Whoever changes something through the vault goes on when all subscribers have acted on it, in whichever process.
#[test]
fn a_change_waits_until_everybody_has_acted_on_it() {
    let bed = Bed::new();
    let vault = bed.open();
    let mut listener = Child::open(&bed.vault());
    let mut writer = Child::open(&bed.vault());
    assert_eq!(listener.ask("listen 30"), "listening");
    let id = "mem_000000000001";
    for n in 1..=6_u64 {
        let begun = Instant::now();
        if n % 2 == 0 {
            assert_eq!(vault.put(Kind::Memory, memory(id, &n.to_string())).unwrap().sequence, n);
        } else {
            assert_eq!(writer.ask(&format!("put {id} {n}")), format!("put {n}"));
        }
        assert!(begun.elapsed().as_millis() >= 60, "it did not wait");
        let before = if n == 1 { 0 } else { 6 };
        assert_eq!(listener.answer().unwrap(), format!("heard {id} {n} {before} 6"));
        assert_eq!(listener.answer().unwrap(), format!("settled {n}"));
    }
}
