//! The C interface, as C and C++ programs see it.
#![allow(missing_docs, clippy::unwrap_used, clippy::missing_panics_doc, clippy::must_use_candidate)]

mod arguments;
mod compile;
mod examples;
mod header;
mod install;
mod panics;
mod programs;
mod prototypes;
mod support;
mod symbols;
mod table;
