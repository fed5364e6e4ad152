//! The C interface, as C and C++ programs see it.
#![allow(missing_docs, clippy::unwrap_used, clippy::wildcard_imports)]

mod abi;
mod arguments;
mod compile;
mod coverage;
mod examples;
mod fuzz;
mod header;
mod install;
mod messages;
mod overhead;
mod panics;
mod poisoning;
mod programs;
mod prototypes;
#[path = "../../tests/support/s3_proxy.rs"]
#[expect(unreachable_pub, reason = "shared with other tests")]
#[allow(dead_code, reason = "not every fault is used here")]
mod proxy;
mod running;
mod sanitizers;
#[path = "../../tests/support/s3_server.rs"]
#[expect(unreachable_pub, reason = "shared with other tests")]
#[expect(dead_code, reason = "not every helper is used here")]
mod server;
mod support;
mod symbols;
mod table;
