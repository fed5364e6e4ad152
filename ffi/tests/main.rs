//! The C interface, as C and C++ programs see it.
#![allow(missing_docs, clippy::unwrap_used, clippy::wildcard_imports)]

mod arguments;
mod compile;
mod examples;
mod fuzz;
mod header;
mod install;
mod overhead;
mod panics;
mod programs;
mod prototypes;
mod running;
mod sanitizers;
mod support;
mod symbols;
mod table;
