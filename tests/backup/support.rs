//! A vault with something in it, and a repository.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mirrordna::artifacts::{Caller, Ino, NewNode, ROOT, WriteOptions};
use mirrordna::backup::{BackupError, Cost, CreateOptions, Created, LocalFolder, Repository, Restored, Secret, Silent};
use mirrordna::record::Checksum;
use mirrordna::storage::Durability;
use mirrordna::verify;
use mirrordna::{Vault, VaultOptions};
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::sample;

const ME: Caller = Caller { uid: 1000, gid: 1000, umask: 0o022 };

/// A fresh directory, in memory where there is one: these tests are about bytes, not about disks.
pub(crate) fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { TempDir::new_in(memory).unwrap() } else { TempDir::new().unwrap() }
}

pub(crate) fn passphrase(text: &str) -> Secret {
    Secret::Passphrase(Zeroizing::new(text.to_owned()))
}

/// Bytes that do not compress, the same for the same seed.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x.to_le_bytes()[4]
    };
    (0..len).map(|_| next()).collect()
}

pub(crate) struct Fixture {
    pub(crate) dir: TempDir,
    pub(crate) vault: Vault,
    pub(crate) repository: Repository,
}

impl Fixture {
    /// A vault with records of every kind and some artifacts, and an empty repository.
    pub(crate) fn new() -> Self {
        let fixture = Self::empty();
        sample::fill(&fixture.vault);
        fixture.write("notes.txt", 0, b"a note that is an artifact");
        fixture.write("noise.bin", 0, &noise(3 << 20, 1));
        fixture
    }

    pub(crate) fn empty() -> Self {
        let dir = scratch();
        let vault = Vault::create(&dir.path().join("vault"), &VaultOptions::default()).unwrap();
        let repository = init(&dir.path().join("repository"));
        Self { dir, vault, repository }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes into an artifact in the root directory, which is made if it is not there, and commits.
    pub(crate) fn write(&self, name: &str, offset: u64, bytes: &[u8]) {
        let files = self.vault.artifacts().unwrap();
        let ino = match files.lookup(ROOT, name.as_bytes()) {
            Ok(found) => found.ino,
            Err(_) => files.create(ROOT, name.as_bytes(), &NewNode::file(0o644), &ME).unwrap().ino,
        };
        for (n, part) in bytes.chunks(1 << 20).enumerate() {
            let written = files.write(ino, offset + ((n as u64) << 20), part, WriteOptions::default()).unwrap();
            assert_eq!(written, part.len());
        }
        files.commit(Durability::Buffered).unwrap();
        files.forget(ino, 1);
    }

    pub(crate) fn create(&self) -> Created {
        self.repository.create(&self.vault, &CreateOptions::default(), &mut Silent).unwrap()
    }

    pub(crate) fn restore(&self, wanted: &str, to: &str) -> Result<Restored, BackupError> {
        self.repository.restore(wanted, &self.path(to), &mut Silent)
    }

    /// Restores, and makes sure that the vault is sound and has this root; nothing is beside it.
    pub(crate) fn restore_sound(&self, wanted: &str, to: &str, root: Checksum) -> PathBuf {
        let restored = self.restore(wanted, to).unwrap();
        assert_eq!(restored.root, root);
        let path = self.path(to);
        sound(&path, root);
        assert!(!self.path(&format!("{to}.restoring")).exists());
        path
    }
}

/// A vault in a directory verifies, and has this root.
pub(crate) fn sound(path: &Path, root: Checksum) {
    let report = verify::verify(path, &VaultOptions::default(), &mut |_, _| {}).unwrap();
    assert!(report.is_clean(), "{:?}", report.faults);
    assert_eq!(report.root, Some(root));
}

pub(crate) fn init(path: &Path) -> Repository {
    Repository::init(Arc::new(LocalFolder::new(path)), &passphrase("right"), "", Cost::LEAST).unwrap()
}

pub(crate) fn open(path: &Path) -> Result<Repository, BackupError> {
    Repository::open(Arc::new(LocalFolder::new(path)), &passphrase("right"))
}

/// The whole content of an artifact in the root directory.
pub(crate) fn content(vault: &Vault, name: &str) -> Vec<u8> {
    let files = vault.artifacts().unwrap();
    let found = files.lookup(ROOT, name.as_bytes()).unwrap();
    let bytes = read_all(vault, found.ino, found.size);
    files.forget(found.ino, 1);
    bytes
}

fn read_all(vault: &Vault, ino: Ino, size: u64) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(size).unwrap()];
    let mut at = 0;
    while at < bytes.len() {
        at += vault.artifacts().unwrap().read(ino, at as u64, &mut bytes[at..]).unwrap();
    }
    bytes
}

/// Every file below a directory, with its length.
pub(crate) fn files(dir: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() { open.push(entry.path()) } else { found.push((entry.path(), metadata.len())) }
        }
    }
    found.sort();
    found
}

pub(crate) fn bytes_of(dir: &Path) -> u64 {
    files(dir).iter().map(|(_, len)| len).sum()
}
