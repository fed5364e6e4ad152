//! The vault and each kind of record, with a repeatable clock and ids.

mod agent_dna;
mod artifacts;
mod batches;
mod chains;
#[path = "../support/failing.rs"]
mod failing;
#[path = "../support/files.rs"]
mod files;
#[path = "../support/fixture.rs"]
mod fixture;
mod identities;
mod memories;
mod records;
mod reflections;
mod sessions;
mod snapshots;
mod support;
mod timeline;
