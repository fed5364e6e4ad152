//! Backup repositories: that a restored vault is the one that was backed up, that nothing is stored twice, that every damage is
//! noticed, that nothing is told to whoever has no key, and that a kill at any moment leaves a sound repository.

#[path = "../support/sample.rs"]
#[allow(dead_code, reason = "not every helper is used here")]
mod sample;

mod damage;
mod hot;
mod independent;
mod keys;
mod kill;
mod parts;
mod prune;
mod round_trip;
mod support;
