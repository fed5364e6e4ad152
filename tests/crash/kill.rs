//! SIGKILL: the page cache stays, so everything acknowledged must be there, durable or not.

use std::time::Duration;

use mirrordna::{Vault, VaultOptions};

use crate::ledger::hold_against;
use crate::writer::Writer;

/// A process that writes with `Durability::Sync` is killed 200 times at random moments. Each time the vault opens, verify
/// is clean, and every acknowledged change is there.
#[test]
fn two_hundred_kills_lose_nothing_that_was_acknowledged() {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut acknowledged = 0;
    for round in 0..10 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vault");
        drop(Vault::create(&path, &VaultOptions::default()).unwrap());
        for kill in 0..20 {
            let mut writer = Writer::start(&path, round % 3 == 2);
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // One in ten dies while it opens.
            if random >> 60 != 0 || kill == 0 {
                assert!(writer.wait_open());
            }
            std::thread::sleep(Duration::from_micros((random >> 33) % 40_000));
            let acks = writer.kill();
            acknowledged += acks.len();
            assert_eq!(hold_against(&path, &acks, |_| true), Ok(0), "round {round}, kill {kill}");
        }
    }
    println!("{acknowledged} changes were acknowledged");
    assert!(acknowledged > 100, "the writers wrote almost nothing: {acknowledged}");
}
