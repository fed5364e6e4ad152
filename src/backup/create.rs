//! Making a backup: the vault at one sequence, hot, storing only what the repository does not have.

use crate::record::{Checksum, Value, object};
use crate::vault::Vault;

use super::copy::{Copied, Copy};
use super::destination::Folder;
use super::error::{BackupError, Result};
use super::expected::{self, Expected};
use super::lock::{Lock, Work};
use super::manifest::{Manifest, tips};
use super::progress::Progress;
use super::repository::{Fault, Repository};
use super::seal::Kind;
use super::store::{Store, Stored};

/// How a backup is made.
#[derive(Clone, Debug, Default)]
pub struct CreateOptions {
    /// What it is called; may be empty.
    pub label: String,
    /// Say what would be stored, and store nothing.
    pub dry_run: bool,
    /// Go on when the repository is older than the vault knows.
    pub accept_older: bool,
}

/// A backup that was made, or would be.
#[derive(Clone, Debug)]
pub struct Created {
    /// Its name; none when it was not made.
    pub name: Option<String>,
    /// The sequence at which it has the vault.
    pub sequence: u64,
    /// Merkle root there.
    pub root: Checksum,
    /// Bytes of all that it holds.
    pub bytes: u64,
    /// Bytes that were read of the vault; the rest was known from the backup before.
    pub read: u64,
    /// What was stored.
    pub stored: Stored,
}

impl Created {
    /// As JSON.
    #[must_use]
    pub fn to_value(&self) -> Value {
        object([
            ("name", self.name.clone().into()),
            ("sequence", self.sequence.into()),
            ("root", self.root.to_string().into()),
            ("bytes", self.bytes.into()),
            ("read", self.read.into()),
            ("new_blobs", self.stored.new_blobs.into()),
            ("new_bytes", self.stored.new_bytes.into()),
            ("known_blobs", self.stored.known_blobs.into()),
            ("written", self.stored.written.into()),
        ])
    }
}

impl Repository {
    /// Makes a backup of a vault as it is now, while others use it.
    ///
    /// # Errors
    /// [`BackupError::RolledBack`] when the repository is older than the vault knows, [`BackupError::Interrupted`] when
    /// `progress` stops it, those of the vault, of reading and of writing. After an error there is no backup more, and what
    /// was stored is made use of by the next one.
    pub fn create(&self, vault: &Vault, options: &CreateOptions, progress: &mut dyn Progress) -> Result<Created> {
        let lock = Lock::take(self, Work::Adds)?;
        let expected = match vault.dir().map(|dir| expected::read(dir, self.id())) {
            // Whatever is expected: what is there counts.
            Some(read) if options.accept_older => read.unwrap_or_default(),
            Some(read) => read?,
            None => None,
        };
        let (manifests, notes) = (self.manifests()?, self.notes()?);
        let (index, faults) = self.index()?;
        // A backup is worth more when something is damaged, not less; what cannot be read is stored again.
        manifests.faults.iter().chain(&notes.faults).chain(&faults).for_each(Fault::warn);
        let lacking = || expected.and_then(|expected| expected.lacking(&manifests.items, &notes.items));
        if let Some(detail) = lacking().filter(|_| !options.accept_older) {
            return Err(BackupError::RolledBack { location: self.location(), detail });
        }
        let generations = manifests.items.iter().map(|(_, manifest)| manifest.generation);
        let generation = generations.chain(notes.items.iter().map(|(_, note)| note.generation)).max().unwrap_or(0) + 1;
        let mut before: Vec<&Manifest> = manifests.items.iter().map(|(_, manifest)| manifest).collect();
        before.retain(|manifest| manifest.vault_id == vault.id());
        let store = Store::new(self, index, options.dry_run);
        let Copied { state, streams, chunks, read } = Copy::new(vault, &store, &lock, progress).run(&before)?;
        let (stored, _) = store.finish()?;
        let bytes = streams.all().iter().map(|stream| stream.bytes).sum();
        let (sequence, root) = (state.sequence, state.root);
        let mut created = Created { name: None, sequence, root, bytes, read, stored };
        if options.dry_run {
            return Ok(created);
        }
        let manifest = Manifest {
            generation,
            parents: tips(&manifests.items),
            label: options.label.clone(),
            created: self.now(),
            program: concat!("mirrordna ", env!("CARGO_PKG_VERSION")).to_owned(),
            vault_id: vault.id().to_owned(),
            sequence,
            root,
            time: state.time,
            epoch: state.epoch,
            horizon: state.horizon,
            chunks,
            streams,
        };
        lock.confirm()?;
        let name = self.write(Folder::Backups, Kind::Manifest, &manifest.encode())?;
        if let Some(dir) = vault.dir() {
            expected::write(dir, self.id(), expected, Expected { generation, backup: name })?;
        }
        let (id, actor) = (vault.id(), vault.actor());
        tracing::info!(target: "mirrordna::audit", action = "backup", vault = id, backup = %name, sequence, actor);
        created.name = Some(name.to_string());
        Ok(created)
    }
}
