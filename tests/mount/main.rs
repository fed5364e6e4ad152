//! A real mount, looked at with the tools that people use. What each test proves stands at its head, in the words of
//! `docs/mount-semantics.md`.

mod artifacts;
mod artifacts_posix;
mod artifacts_programs;
mod bad_records;
mod changes;
mod editors;
#[path = "../support/failing.rs"]
mod failing;
mod files;
mod generated;
mod life;
mod one_connection;
mod past;
mod reading;
mod records;
#[path = "../support/sample.rs"]
#[expect(unreachable_pub, reason = "shared with other tests")]
mod sample;
mod support;
#[path = "../support/texts.rs"]
mod texts;
mod together;
mod tools;
mod waiting;
mod writing;
