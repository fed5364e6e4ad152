//! The vault as a mounted directory, over FUSE.
//!
//! [`mount`] mounts a vault, [`umount`] unmounts one, of this process or another. What is seen there is decided by
//! [`mirrordna::tree`]; this package only translates. `requests` and `fs` answer the kernel, with `inodes`, `directory` and
//! `handles` for what the kernel refers to by number; `notify` drops from the kernel's caches what a change touched;
//! `write` is what changes something; `artifacts` is the second connection, for ordinary files, and `router` puts both on
//! one. `errno` says which error becomes which number; `connection`, `session`, `guard`, `umount`, `mountpoint` and `server` are
//! about being mounted, `memory` about what a process of its own does with its memory.
//! `docs/mount-semantics.md` lists what is promised and which test proves it.
#![deny(unsafe_code, clippy::undocumented_unsafe_blocks)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod artifacts;
mod connection;
mod directory;
mod errno;
mod error;
mod fs;
mod guard;
mod handles;
mod inodes;
mod memory;
mod mountpoint;
mod notify;
mod requests;
mod router;
mod server;
mod session;
mod umount;
mod write;

pub use error::MountError;
pub use memory::keep_little_memory;
pub use server::Server;
pub use session::{MountOptions, Mounted, mount};
pub use umount::umount;
