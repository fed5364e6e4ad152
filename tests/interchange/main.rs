//! Import and export: against the stores and timelines of the Python reference, with crashes and hostile files.

mod all_or_nothing;
mod cycles;
#[path = "../support/data.rs"]
mod data;
#[path = "../support/fixture.rs"]
mod fixture;
mod golden;
mod hostile;
mod lenient;
mod round_trip;
mod support;
mod timelines;
