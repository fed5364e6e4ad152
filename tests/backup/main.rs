//! Backup repositories: that a restored vault is the one that was backed up, that nothing is stored twice, that every damage is
//! noticed, that nothing is told to whoever has no key, and that a kill at any moment leaves a sound repository.

#[path = "../support/sample.rs"]
#[expect(unreachable_pub, reason = "shared with other tests")]
#[expect(dead_code, reason = "not every helper is used here")]
mod sample;

mod damage;
mod failures;
mod hot;
mod independent;
mod keys;
mod kill;
mod large;
mod parts;
mod prune;
mod round_trip;
mod support;
