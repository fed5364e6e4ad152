//! The storage engine: against a model, at crash points, damaged, under many threads, at its limits.

mod artifacts;
mod concurrency;
mod corruption;
mod crash_points;
#[path = "../support/disk.rs"]
mod disk;
mod file_model;
#[path = "../support/files.rs"]
mod files;
mod limits;
mod model;
mod open;
mod repair;
mod segments;
mod selection;
mod speed;
mod support;
