//! One vault, many processes: who owns it, what the others see, and what remains when any of them dies.
#![allow(missing_docs, clippy::unwrap_used)]

mod batches;
mod between;
mod callers;
mod child;
#[path = "../support/disk.rs"]
mod disk;
#[path = "../support/faulty_disk.rs"]
mod faulty_disk;
mod files;
mod following;
mod jobs;
mod kills;
mod owners;
mod support;
mod unfinished;
