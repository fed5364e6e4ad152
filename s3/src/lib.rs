//! S3 buckets as destinations of backups.
//!
//! [`S3`] is a [`mirrordna::backup::Destination`]: a file of a repository is an object, its key is the name of the file
//! behind a prefix. [`Location`] says which bucket and prefix, [`Settings`] how the server is reached, from the usual `AWS_*`
//! variables, and how long is waited. [`destination`] makes of a text what it names: a bucket, or a place of this machine.
//!
//! `connector` speaks HTTP and keeps what a server says when it refuses; `requests` waits for answers, within limits, and
//! tries again what may go well the next time; `problem` says which failure is which, and what to do about it. Asynchronous
//! code stays in here: callers block, on any number of threads.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod bucket;
mod connector;
mod destination;
mod location;
mod problem;
mod requests;
mod settings;

pub use bucket::S3;
pub use destination::destination;
pub use location::Location;
pub use settings::{Limits, Settings};
