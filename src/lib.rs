//! The MirrorDNA vault: an embedded database for the identity and memory of AI agents.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod artifacts;
pub mod backup;
pub mod crypto;
pub mod files;

pub mod health;
pub mod interchange;
pub mod observe;
pub mod record;
pub mod storage;
pub mod threads;
pub mod tree;
pub mod vault;
pub mod verify;

pub use vault::{Error, Result, Vault, VaultOptions};

/// The example in the README, compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
