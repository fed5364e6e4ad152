//! The C interface, as C and C++ programs see it.
#![allow(missing_docs, clippy::unwrap_used, clippy::wildcard_imports)]

mod arguments;
mod compile;
mod examples;
mod header;
mod install;
mod overhead;
mod panics;
mod programs;
mod prototypes;
mod running;
mod sanitizers;
#[path = "../../tests/support/s3_server.rs"]
#[expect(unreachable_pub, reason = "shared with other tests")]
#[expect(dead_code, reason = "not every helper is used here")]
mod server;
mod support;
mod symbols;
mod table;
