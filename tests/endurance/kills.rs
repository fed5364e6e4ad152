//! SIGKILL of the process that serves the mount, under load.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::counts;
use crate::load::{Done, Load};
use crate::place::{Place, memory};
use crate::random::Random;
use crate::subjects::Crash;
use crate::surfaces::{Library, Surface as _};

/// A vault that is killed this often is begun anew, so that young vaults are killed, too.
const KILLS_OF_A_VAULT: u64 = 25;

/// The process of the mount is killed at random moments while four writers create, append, overwrite, replace, link, move
/// and remove files and records. Each time the stale mount is recovered, what was synced is there byte for byte, and so is
/// each record that was closed; `verify` is clean.
#[test]
fn killing_the_mount_loses_nothing_that_was_acknowledged() {
    let kills = counts::kills();
    let (mut random, done) = (Random::new(counts::seed()), Arc::new(Done::default()));
    for vault in 0..kills.div_ceil(KILLS_OF_A_VAULT) {
        let place = Place::with_vault();
        let mut served = place.mount();
        let mut load = Load::new(&place.point, random.next());
        for kill in 0..KILLS_OF_A_VAULT.min(kills - vault * KILLS_OF_A_VAULT) {
            let when = format!("vault {vault}, kill {kill}");
            let running = load.begin(&done);
            thread::sleep(Duration::from_millis(random.next() % 400));
            let errors = running.errors();
            served.kill();
            load = running.end();
            assert!(errors.is_empty(), "{when}: before it {errors:?}");
            if kill % 5 == 1 {
                // It dies again while it opens and mounts the vault.
                let begun = place.begin_mount();
                thread::sleep(Duration::from_micros(random.next() % 60_000));
                begun.kill();
            }
            if kill % 10 == 9 {
                place.assert_clean();
            }
            served = place.mount();
            load.assert_holds(Crash::Kill, &when);
        }
        served.unmount();
        place.assert_clean();
        place.assert_no_errors();
    }
    let [steps, synced] = [&done.steps, &done.synced].map(|count| count.load(Ordering::Relaxed));
    println!("{kills} kills; {steps} steps, {synced} of them synced; {}", memory());
    assert!(synced > kills, "the writers wrote almost nothing");
}

/// A thread of the killed process that has the kernel drop a name waits for a directory that a program holds which waits for
/// an answer of that process. Neither keeps the process, its hold on the vault or the programs from ending.
#[test]
fn a_killed_mount_ends_whatever_the_kernel_waits_for() {
    let place = Place::with_vault();
    let library = Library::open(&place);
    let mut served = place.mount();
    for kill in 0..(counts::kills() / 5).max(2) {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..4 {
                // Holds the directory nearly all the time.
                let directory = File::open(place.point.join("memories/short_term")).unwrap();
                scope.spawn(move || while directory.sync_all().is_ok() {});
            }
            scope.spawn(|| {
                for number in 0.. {
                    if stop.load(Ordering::SeqCst) {
                        break;
                    }
                    library.write(&format!("mem_{kill:03}_{number:09}"), "dropped from the kernel").unwrap();
                }
            });
            thread::sleep(Duration::from_millis(300));
            served.kill();
            stop.store(true, Ordering::SeqCst);
        });
        library.write("mem_written_afterwards", &kill.to_string()).unwrap();
        served = place.mount();
    }
    served.unmount();
    drop(library);
    place.assert_clean();
}
