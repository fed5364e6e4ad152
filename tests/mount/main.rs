//! A real mount, looked at with the tools that people use. What each test proves stands at its head, in the words of
//! `docs/mount-semantics.md`.

mod artifacts;
mod artifacts_posix;
mod artifacts_programs;
mod changes;
mod generated;
mod life;
mod reading;
#[path = "../support/sample.rs"]
#[expect(unreachable_pub, reason = "shared with other tests")]
mod sample;
mod support;
mod tools;
mod writing;
