//! The tree of a vault, without mounting it.

mod changes;
mod files;
mod past;
#[path = "../support/sample.rs"]
#[expect(unreachable_pub, reason = "shared with other tests")]
mod sample;
mod shape;
mod support;
mod write_model;
mod writing;
