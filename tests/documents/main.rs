//! The protocol's files, against what the Python reference wrote and against Python itself.

mod golden;
mod interop;
mod support;
mod yaml;
