//! Crashes: a process that writes is killed, or the power is cut below it, and what it was told is held against what is
//! there afterwards.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "../support/files.rs"]
mod files;
mod kill;
mod ledger;
mod power;
#[path = "../support/powercut/mod.rs"]
mod powercut;
mod writer;
