//! Power cuts: the vault lies on a file system that forgets what was not fsynced, and tears the last write.

use std::time::Duration;

use mirrordna::{Vault, VaultOptions};

use crate::ledger::{Ack, hold_against};
use crate::powercut::{Fsync, Loss, Names, Options, PowerCutFs};
use crate::writer::Writer;

/// What one cut did.
struct Cut {
    /// What is wrong afterwards, if anything; else how many acknowledgements of buffered writes are gone.
    found: Result<usize, String>,
    acks: usize,
    /// Changes that were on their way to the disk at the cut.
    pending: u64,
}

fn cut(seed: u64, options: Options) -> Cut {
    let scratch = tempfile::tempdir().unwrap();
    let (mountpoint, survivors) = (scratch.path().join("disk"), scratch.path().join("survivors"));
    std::fs::create_dir(&mountpoint).unwrap();
    let device = PowerCutFs::mount_with(&mountpoint, options).unwrap();
    let dir = mountpoint.join("vault");
    drop(Vault::create(&dir, &VaultOptions::default()).unwrap());
    device.sync_all().unwrap();
    device.cut_after(20 + seed.wrapping_mul(7_919) % 900, seed);
    let writer = Writer::start(&dir, true);
    assert!(device.wait_cut(Duration::from_secs(60)), "the writer stopped before the power did");
    let acks = writer.kill();
    let pending = device.losses().map_or(0, |losses| losses.pending_changes);
    device.materialise(&survivors).unwrap();
    drop(device);
    let found = hold_against(&survivors.join("vault"), &acks, |ack: &Ack| ack.sync);
    Cut { found, acks: acks.len(), pending: pending as u64 }
}

/// At sixty power cuts the vault opens, verify is clean, every change acknowledged with `Durability::Sync` is there,
/// buffered ones are lost only as a whole tail, and no snapshot points past what survived.
#[test]
fn power_cuts_take_at_most_a_tail_of_buffered_writes() {
    let (mut acknowledged, mut gone, mut pending) = (0, 0, 0);
    for seed in 0..60 {
        let loss = Loss::ALL[(seed % 3) as usize];
        let names = if seed % 2 == 0 { Names::Journaled } else { Names::Strict };
        let outcome = cut(seed, Options { loss, names, fsync: Fsync::Honoured });
        acknowledged += outcome.acks;
        pending += outcome.pending;
        gone += outcome.found.unwrap_or_else(|error| panic!("seed {seed}, {loss:?}, {names:?}: {error}"));
    }
    println!("{acknowledged} acknowledged, {gone} buffered ones lost, {pending} changes were pending at the cuts");
    assert!(pending > 0 && gone > 0, "the cuts took nothing, so they prove nothing");
}

/// On a disk that lies about fsync the same comparison fails: it can see a loss.
#[test]
fn a_disk_that_ignores_fsync_is_found_out() {
    let options = Options { loss: Loss::DropAll, names: Names::Journaled, fsync: Fsync::Ignored };
    let found = (0..12).filter(|seed| cut(1_000 + seed, options).found.is_err()).count();
    assert!(found > 0, "no lost change was noticed");
}
