//! Owners that are killed, again and again, while everybody writes.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::child::Child;
use crate::support::{Bed, contents};

/// A writer, and how far it was told that it had come.
struct Writer {
    child: Option<Child>,
    id: String,
    acknowledged: Option<u64>,
}

impl Writer {
    fn start(bed: &Bed, number: usize) -> Self {
        let mut child = Child::open(&bed.vault());
        let id = format!("mem_{number:012}");
        child.say(&format!("write-on {id}"));
        Self { child: Some(child), id, acknowledged: None }
    }

    fn child(&self) -> &Child {
        self.child.as_ref().unwrap()
    }

    fn note(&mut self, lines: impl IntoIterator<Item = String>) {
        for line in lines {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["ack", _, number] => self.acknowledged = self.acknowledged.max(number.parse().ok()),
                ["failed:", ..] => panic!("{} {line}", self.id),
                // What the harness of tests says.
                _ => {}
            }
        }
    }

    /// Waits until something was acknowledged that had not been before.
    fn goes_on(&mut self) {
        let earlier = self.child().heard();
        self.note(earlier);
        let line = self.child().answer().expect("it should live");
        self.note([line]);
    }

    fn kill(&mut self) {
        let said = self.child.take().unwrap().kill();
        self.note(said);
    }
}

/// Twenty times the owner is killed while four processes write. Everything that was acknowledged is there, in order, and
/// nothing is there twice; whoever lives goes on.
#[test]
fn killed_owners_lose_nothing_and_nothing_is_done_twice() {
    let bed = Bed::new();
    let mut writers: Vec<Writer> = (0..4).map(|number| Writer::start(&bed, number)).collect();
    let mut gone = Vec::new();
    let mut pauses = Vec::new();
    for round in 0_u64.. {
        writers.iter_mut().for_each(Writer::goes_on);
        std::thread::sleep(Duration::from_millis(10 + 7 * round % 40));
        // At this moment the ownership may be on its way to another.
        let Some(at) = writers.iter().position(|writer| writer.child().id() == bed.owner()) else { continue };
        let mut killed = writers.swap_remove(at);
        killed.kill();
        let begun = Instant::now();
        writers.iter_mut().for_each(Writer::goes_on);
        pauses.push(begun.elapsed());
        gone.push(killed);
        if pauses.len() == 20 {
            break;
        }
        writers.push(Writer::start(&bed, 4 + pauses.len()));
    }
    // All at once: among them the owner.
    writers.iter_mut().for_each(Writer::kill);
    pauses.sort();
    println!("20 kills; until all others went on: median {:?}, longest {:?}", pauses[10], pauses[19]);
    let vault = bed.open();
    let mut total = 0;
    for Writer { id, acknowledged, .. } in gone.into_iter().chain(writers) {
        let found: Vec<u64> = contents(vault.storage(), &id).iter().map(|text| text.parse().unwrap()).collect();
        let once: BTreeSet<u64> = found.iter().copied().collect();
        assert_eq!(once.len(), found.len(), "{id} has a version twice");
        assert!(found.is_sorted_by(|a, b| a > b), "{id} is out of order");
        // What was asked for last may have been made without an answer.
        assert!(found.first().copied() >= acknowledged, "{id} lost {acknowledged:?}, has {:?}", found.first());
        assert_eq!(found.len() as u64, found.first().map_or(0, |last| last + 1), "{id} has a hole");
        total += found.len();
    }
    println!("{total} commits");
    assert!(total > 100);
    drop(vault);
    bed.assert_clean();
}
