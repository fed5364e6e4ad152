//! The tree of a vault, without mounting it.

mod changes;
mod files;
mod past;
#[path = "../support/sample.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with other tests, which use other parts")]
mod sample;
mod shape;
mod support;
