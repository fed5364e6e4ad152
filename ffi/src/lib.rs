//! The C interface of the vault: `libmirrordna`, with the headers `include/mirrordna.h` and `include/mirrordna.hpp`.
//!
//! Nothing is decided here. An entry reads its arguments (`input`), runs what the library has for it behind a guard
//! (`guard`), and writes what came out (`output`); `map` says which error has which status, in one table.
//! `docs/c-api.md` maps the Rust interface to these functions. What the header says of ownership, threads and lifetimes
//! is the safety contract of all of them.
#![deny(missing_docs, unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]
#![allow(non_camel_case_types, reason = "these are the names in C")]
#![allow(clippy::missing_safety_doc, reason = "the safety contract is that of the header, the same for all entries")]
#![allow(clippy::must_use_candidate, reason = "C has no must_use")]
#![allow(clippy::too_many_arguments, reason = "C has neither defaults nor names for arguments")]
#![allow(clippy::enum_glob_use, reason = "C has the constants in one namespace, too")]

mod guard;
mod handle;
mod input;
mod map;
mod output;

mod batch;
mod chain;
mod config;
mod cursor;
mod dna;
mod document;
mod error;
mod files;
mod id;
mod identity;
mod interchange;
mod keyring;
mod log;
mod memory;
mod mount;
mod progress;
mod record;
mod reflection;
mod repository;
mod s3;
mod session;
mod snapshot;
mod status;
mod string;
mod timeline;
mod vault;
mod verify;
mod version;
mod view;
mod view_files;
mod watch;

pub use batch::*;
pub use chain::*;
pub use config::*;
pub use cursor::*;
pub use dna::*;
pub use document::*;
pub use error::*;
pub use files::*;
pub use guard::{Injected, inject_panic};
pub use id::*;
pub use identity::*;
pub use interchange::*;
pub use keyring::*;
pub use log::*;
pub use memory::*;
pub use mount::*;
pub use progress::*;
pub use record::*;
pub use reflection::*;
pub use repository::*;
pub use s3::*;
pub use session::*;
pub use snapshot::*;
pub use status::*;
pub use string::*;
pub use timeline::*;
pub use vault::*;
pub use verify::*;
pub use version::*;
pub use view::*;
pub use view_files::*;
pub use watch::*;
