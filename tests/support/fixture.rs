//! A vault in a directory of its own, whose clock and ids repeat.

use std::path::PathBuf;
use std::sync::Arc;

use mirrordna::record::Timestamp;
use mirrordna::record::id::SeededIds;
use mirrordna::record::time::SteppingClock;
use mirrordna::{Vault, VaultOptions};

pub(crate) const AGENT: &str = "mdna_agt_0123456789abcdef";
pub(crate) const USER: &str = "mdna_usr_0123456789abcdef";

/// A vault in a temporary directory.
pub(crate) struct Fixture {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) vault: Vault,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::create(&dir.path().join("vault"), &options()).unwrap();
        Self { dir, vault }
    }

    /// The path of something beside the vault.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// The clock begins at noon and moves on by a second each time it is read.
pub(crate) fn options() -> VaultOptions {
    VaultOptions {
        clock: Arc::new(SteppingClock::new(time("2025-06-01T12:00:00Z"), 1_000_000)),
        ids: Arc::new(SeededIds::new(1)),
        ..VaultOptions::default()
    }
}

pub(crate) fn time(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}
