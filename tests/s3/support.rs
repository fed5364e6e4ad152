//! A vault with something in it, and a place in the bucket.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mirrordna::artifacts::{Caller, NewNode, ROOT, WriteOptions};
use mirrordna::backup::{Cost, CreateOptions, Created, Destination, Folder, Repository, Secret, Silent, VerifyOptions};
use mirrordna::record::Checksum;
use mirrordna::storage::Durability;
use mirrordna::verify;
use mirrordna::{Vault, VaultOptions};
use mirrordna_s3::{Limits, Location, S3, Settings};
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::proxy::Proxy;
use crate::sample;
use crate::server::{BUCKET, OWNER, server, variables};

const ME: Caller = Caller { uid: 1000, gid: 1000, umask: 0o022 };

pub(crate) fn passphrase(text: &str) -> Secret {
    Secret::Passphrase(Zeroizing::new(text.to_owned()))
}

/// Patient about how long something is tried, and not about one request.
pub(crate) fn limits() -> Limits {
    Limits {
        request: Duration::from_secs(2),
        rate: 1 << 20,
        retries: Duration::from_secs(120),
        pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(50),
    }
}

/// Gives up soon.
pub(crate) fn impatient() -> Limits {
    Limits { request: Duration::from_secs(2), retries: Duration::from_millis(1), ..limits() }
}

/// A place in the bucket, at an endpoint.
pub(crate) fn at(endpoint: &str, prefix: &str, limits: Limits) -> Arc<S3> {
    let settings = Settings::from_variables(variables(endpoint, OWNER)).with_limits(limits);
    Arc::new(S3::new(location(prefix), &settings).unwrap())
}

/// The same without anything in between.
pub(crate) fn direct(prefix: &str) -> Arc<S3> {
    at(&server().endpoint, prefix, Limits::default())
}

pub(crate) fn location(prefix: &str) -> Location {
    Location { bucket: BUCKET.to_owned(), prefix: prefix.to_owned() }
}

pub(crate) fn proxy() -> Proxy {
    Proxy::new(server().port)
}

pub(crate) fn init(destination: Arc<S3>) -> Repository {
    Repository::init(destination, &passphrase("right"), "", Cost::LEAST).unwrap()
}

pub(crate) fn open(destination: Arc<S3>) -> Repository {
    Repository::open(destination, &passphrase("right")).unwrap()
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
}

impl Fixture {
    /// A vault with records of every kind and an artifact.
    pub(crate) fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { TempDir::new_in(memory).unwrap() } else { TempDir::new().unwrap() };
        let vault = Vault::create(&dir.path().join("vault"), &VaultOptions::default()).unwrap();
        sample::fill(&vault);
        let fixture = Self { dir, vault };
        fixture.write("noise.bin", &noise(1 << 20, 1));
        fixture
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes an artifact in the root directory anew.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        let files = self.vault.artifacts().unwrap();
        let ino = match files.lookup(ROOT, name.as_bytes()) {
            Ok(found) => found.ino,
            Err(_) => files.create(ROOT, name.as_bytes(), &NewNode::file(0o644), &ME).unwrap().ino,
        };
        for (n, part) in bytes.chunks(1 << 20).enumerate() {
            assert_eq!(files.write(ino, (n as u64) << 20, part, WriteOptions::default()).unwrap(), part.len());
        }
        files.commit(Durability::Buffered).unwrap();
        files.forget(ino, 1);
    }

    pub(crate) fn create(&self, repository: &Repository) -> Created {
        repository.create(&self.vault, &CreateOptions::default(), &mut Silent).unwrap()
    }

    /// Restores the newest backup, which must be the vault as it is now.
    pub(crate) fn restores(&self, repository: &Repository, to: &str) {
        self.restores_to("latest", repository, to, self.vault.state().root);
    }

    /// Restores a backup, which must be a sound vault with this root.
    pub(crate) fn restores_to(&self, wanted: &str, repository: &Repository, to: &str, root: Checksum) {
        let to = self.path(to);
        repository.restore(wanted, &to, &mut Silent).unwrap();
        let report = verify::verify(&to, &VaultOptions::default(), &mut |_, _| {}).unwrap();
        assert!(report.is_clean(), "{:?}", report.faults);
        assert_eq!(report.root, Some(root));
        std::fs::remove_dir_all(&to).unwrap();
    }
}

/// The repository is what was written, and every backup in it is whole.
pub(crate) fn sound(repository: &Repository) {
    let report = repository.verify(&VerifyOptions::default(), &mut Silent).unwrap();
    assert!(report.is_clean(), "{:?} {:?}", report.faults, report.backups);
}

/// How many bytes lie in a place.
pub(crate) fn bytes_in(destination: &S3) -> u64 {
    Folder::ALL.iter().flat_map(|folder| destination.list(*folder).unwrap()).map(|(_, len)| len).sum()
}
