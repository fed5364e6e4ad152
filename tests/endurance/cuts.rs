//! Power cuts below a vault that is mounted and written to: it lies on a file system that forgets what was not synced.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::counts;
use crate::load::{Done, Load};
use crate::place::{LONG, Place, memory};
use crate::powercut::{Fsync, Loss, Names, Options, PowerCutFs};
use crate::random::Random;
use crate::subjects::Crash;

/// The power is cut while four writers work in the mount. Afterwards the vault can be mounted, what was synced is there
/// byte for byte, and `verify` is clean.
#[test]
fn a_power_cut_loses_nothing_that_was_synced() {
    let (mut random, done) = (Random::new(counts::seed()), Arc::new(Done::default()));
    let (cuts, mut pending) = (counts::cuts(), 0);
    for cut in 0..cuts {
        let loss = Loss::ALL[usize::try_from(cut % 3).unwrap()];
        let names = if cut % 2 == 0 { Names::Journaled } else { Names::Strict };
        let when = format!("cut {cut}, {loss:?}, {names:?}");
        let dir = tempfile::tempdir().unwrap();
        let [disk, survivors] = ["disk", "survivors"].map(|name| dir.path().join(name));
        std::fs::create_dir(&disk).unwrap();
        let mut place = Place::for_vault(disk.join("vault"), dir);
        let device = PowerCutFs::mount_with(&disk, Options { loss, names, fsync: Fsync::Honoured }).unwrap();
        place.ok(&["init"]);
        device.sync_all().unwrap();
        let served = place.mount();
        let load = Load::new(&place.point, random.next());
        device.cut_after(1 + random.next() % 3_000, random.next());
        let running = load.begin(&done);
        let is_cut = device.wait_cut(LONG);
        let errors = running.errors();
        assert!(is_cut, "{when}: the writers stopped before the power did: {errors:?}");
        served.kill();
        let mut load = running.end();
        pending += device.losses().map_or(0, |losses| losses.pending_changes);
        device.materialise(&survivors).unwrap();
        drop(device);
        place.vault = survivors.join("vault");
        let served = place.mount();
        load.assert_holds(Crash::Cut, &when);
        served.unmount();
        place.assert_clean();
    }
    let [steps, synced] = [&done.steps, &done.synced].map(|count| count.load(Ordering::Relaxed));
    println!("{cuts} cuts; {steps} steps, {synced} of them synced, {pending} changes on their way; {}", memory());
    assert!(synced > 0 && pending > 0, "the cuts took nothing, so they prove nothing");
}
