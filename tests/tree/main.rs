//! The tree of a vault, without mounting it.

mod artifacts;
mod changes;
#[path = "../support/failing.rs"]
mod failing;
mod files;
mod past;
mod renaming;
#[path = "../support/sample.rs"]
#[expect(unreachable_pub, reason = "shared with other tests")]
mod sample;
mod shape;
mod support;
#[path = "../support/texts.rs"]
mod texts;
mod write_model;
mod writing;
