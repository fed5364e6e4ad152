//! The artifacts of a vault as a file system: what POSIX asks of one, against simple models, through commits, reopening,
//! crashes and snapshots.

mod attributes;
mod content;
mod crash;
#[path = "../support/failing.rs"]
mod failing;
#[path = "../support/faulty_disk.rs"]
mod faulty_disk;
mod full;
mod names;
mod namespace;
mod past;
mod support;
mod threads;
