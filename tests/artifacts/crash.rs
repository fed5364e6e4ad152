//! What is there after a crash.
use crate::support::Fixture;
#[test]
fn placeholder() { let _ = Fixture::new(); }
