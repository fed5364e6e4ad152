//! Records and signatures, held against the golden data of the reference and against Python itself.

mod checksums;
#[path = "../support/data.rs"]
mod data;
mod fuzz;
mod golden;
mod identities;
mod ids;
mod python;
mod schemas;
