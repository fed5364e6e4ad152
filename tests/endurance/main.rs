//! A mounted vault endures: its process is killed, the power is cut below it, several processes and many threads work on it
//! at once, the disk is full. The mount is that of the command, in a process of its own.
//!
//! Each test runs for some seconds here; `scripts/endurance.sh` runs the same code in full (`counts`).
#![allow(missing_docs, clippy::unwrap_used)]

mod counts;
mod crowd;
mod cuts;
#[path = "../support/disk.rs"]
mod disk;
mod full;
mod halves;
mod kills;
mod load;
mod mixed;
mod model;
mod place;
#[path = "../support/powercut/mod.rs"]
mod powercut;
mod random;
mod subjects;
mod surfaces;
mod system;
mod tables;
#[path = "../support/texts.rs"]
mod texts;
mod together;
mod watchdog;
