//! A vault whose artifacts are worked on, committed, and opened again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mirrordna::artifacts::{Artifacts, Attributes, Caller, FsError, Ino, NewNode, Past, ROOT, Result, WriteOptions};
use mirrordna::storage::{CheckSink, Durability, Fault, Version};
use mirrordna::{Vault, VaultOptions};
use tempfile::TempDir;

pub(crate) const ME: Caller = Caller { uid: 1000, gid: 1000, umask: 0o022 };
/// Bytes of a slot.
pub(crate) const SLOT: u64 = 128 << 10;

/// A fresh directory, in memory where there is one: these tests are about bytes, not about disks.
pub(crate) fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { TempDir::new_in(memory).unwrap() } else { TempDir::new().unwrap() }
}

pub(crate) struct Fixture {
    pub(crate) dir: TempDir,
    pub(crate) vault: Vault,
    pub(crate) files: Arc<Artifacts>,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let dir = scratch();
        let vault = Vault::create(&dir.path().join("vault"), &VaultOptions::default()).unwrap();
        let files = vault.artifacts().unwrap();
        Self { dir, vault, files }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("vault")
    }

    /// Closes the vault and opens it again.
    pub(crate) fn reopen(self) -> Self {
        let Self { dir, vault, files } = self;
        drop((vault, files));
        let vault = Vault::open(&dir.path().join("vault"), &VaultOptions::default()).unwrap();
        let files = vault.artifacts().unwrap();
        Self { dir, vault, files }
    }

    /// The files as they were at a sequence.
    pub(crate) fn past(&self, at: u64) -> Past {
        self.vault.at(at).unwrap().artifacts().unwrap().unwrap()
    }

    pub(crate) fn file(&self, name: &str) -> Ino {
        self.make(ROOT, name, &NewNode::file(0o644)).unwrap().ino
    }

    pub(crate) fn dir(&self, name: &str) -> Ino {
        self.make(ROOT, name, &NewNode::directory(0o755)).unwrap().ino
    }

    pub(crate) fn make(&self, parent: Ino, name: &str, new: &NewNode<'_>) -> Result<Attributes> {
        self.files.create(parent, name.as_bytes(), new, &ME)
    }

    pub(crate) fn find(&self, parent: Ino, name: &str) -> Result<Attributes> {
        let found = self.files.lookup(parent, name.as_bytes())?;
        self.files.forget(found.ino, 1);
        Ok(found)
    }

    pub(crate) fn write(&self, ino: Ino, offset: u64, bytes: &[u8]) {
        assert_eq!(self.files.write(ino, offset, bytes, WriteOptions::default()).unwrap(), bytes.len());
    }

    pub(crate) fn read(&self, ino: Ino, offset: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0xaa; len];
        let read = self.files.read(ino, offset, &mut bytes).unwrap();
        bytes.truncate(read);
        bytes
    }

    pub(crate) fn all(&self, ino: Ino) -> Vec<u8> {
        let size = self.files.attributes(ino).unwrap().size;
        self.read(ino, 0, usize::try_from(size).unwrap() + 1)
    }

    pub(crate) fn list(&self, ino: Ino) -> Vec<String> {
        let mut names = Vec::new();
        let mut take = |entry: &mirrordna::artifacts::ListEntry<'_>| {
            names.push(String::from_utf8_lossy(entry.name).into_owned());
            true
        };
        self.files.list(ino, 0, &mut take).unwrap();
        names.sort();
        names
    }

    pub(crate) fn commit(&self) {
        self.files.commit(Durability::Buffered).unwrap();
    }

    /// Everything that is stored is sound.
    pub(crate) fn verify(&self) {
        self.commit();
        let mut sink = Faults::default();
        self.vault.storage().check(&[], &mut sink).unwrap();
        assert_eq!(sink.0, []);
    }
}

#[derive(Default)]
pub(crate) struct Faults(pub(crate) Vec<Fault>);

impl CheckSink for Faults {
    fn progress(&mut self, _: u64, _: u64) {}
    fn version(&mut self, _: mirrordna::record::Kind, _: &str, _: &Version) {}
    fn fault(&mut self, fault: Fault) {
        self.0.push(fault);
    }
}

/// Which error it is.
pub(crate) fn code<T: std::fmt::Debug>(result: Result<T>) -> &'static str {
    match result.unwrap_err() {
        FsError::NotFound => "ENOENT",
        FsError::Exists => "EEXIST",
        FsError::NotDirectory => "ENOTDIR",
        FsError::IsDirectory => "EISDIR",
        FsError::NotEmpty => "ENOTEMPTY",
        FsError::Busy => "EBUSY",
        FsError::NameTooLong => "ENAMETOOLONG",
        FsError::TooManyLinks => "EMLINK",
        FsError::Invalid(_) => "EINVAL",
        FsError::NotPermitted(_) => "EPERM",
        FsError::TooBig => "EFBIG",
        FsError::BeyondEnd => "ENXIO",
        FsError::NoAttribute => "ENODATA",
        FsError::AttributeTooLarge => "E2BIG",
        FsError::NoSpace => "ENOSPC",
        FsError::Unsupported(_) => "EOPNOTSUPP",
        FsError::ReadOnly => "EROFS",
        FsError::Stale { .. } => "ESTALE",
        FsError::Corrupt { .. } | FsError::Storage(_) => "EIO",
    }
}
