//! The protocol's files, against what the Python reference wrote and against Python itself.

#[path = "../support/data.rs"]
mod data;
mod golden;
mod interop;
mod support;
mod yaml;
