//! Copying backups between repositories: into one sealed file to hand to someone, and out of it.

use std::path::Path;
use std::sync::Arc;

use super::archive::{SealedFile, SealedFileWriter};
use super::destination::{Destination, Folder};
use super::error::{BackupError, Result};
use super::index::Index;
use super::lock::{Lock, Work};
use super::manifest::{Manifest, Stream, Streams, tips};
use super::pool::Pool;
use super::progress::{Meter, Phase, Progress};
use super::repository::{Fault, Repository};
use super::seal::Kind;
use super::select::Backup;
use super::slot::{Cost, Secret};
use super::store::Store;
use super::stream::{self, Reader};

const STOPPED: &str = "nothing was copied";

impl Repository {
    /// Writes a backup into one sealed file, which opens with a secret of its own, at this cost, and is a repository that can be
    /// read.
    ///
    /// # Errors
    /// [`BackupError::Occupied`] when the file is there, [`BackupError::NotFound`] for the backup, and those of reading and
    /// writing. After an error there is no file.
    pub fn export(
        &self,
        wanted: &str,
        file: &Path,
        (secret, cost): (&Secret, Cost),
        progress: &mut dyn Progress,
    ) -> Result<Backup> {
        let (_, manifest) = self.find(wanted)?;
        let index = Arc::new(self.index()?.0);
        let writer = Arc::new(SealedFileWriter::create(file)?);
        let destination: Arc<dyn Destination> = Arc::clone(&writer) as _;
        let export = || {
            let to = Self::init(destination, secret, "", cost)?;
            let backup = self.copy_to(&manifest, &index, (&to, Index::default(), None), progress)?;
            writer.finish()?;
            Ok(backup)
        };
        export().inspect_err(|_| writer.discard())
    }

    /// Takes all backups of a sealed file that are not there yet.
    ///
    /// # Errors
    /// [`BackupError::Corrupt`] when the file is damaged, and those of opening it, of reading and of writing.
    pub fn import(&self, file: &Path, secret: &Secret, progress: &mut dyn Progress) -> Result<Vec<Backup>> {
        let from = Self::open(Arc::new(SealedFile::open(file)?), secret)?;
        let manifests = from.manifests()?;
        // A backup that cannot be read would be left out, and nobody would know.
        if let Some(fault) = manifests.faults.into_iter().next() {
            return Err(BackupError::corrupt(fault.subject, fault.problem));
        }
        let lock = Lock::take(self, Work::Adds)?;
        let index = Arc::new(from.index()?.0);
        let mut taken = Vec::new();
        for (_, manifest) in manifests.items {
            let there = self.manifests()?.items;
            let same = |other: &Manifest| {
                (&other.vault_id, other.root, other.created) == (&manifest.vault_id, manifest.root, manifest.created)
            };
            if there.iter().any(|(_, other)| same(other)) {
                continue;
            }
            let (known, faults) = self.index()?;
            faults.iter().for_each(Fault::warn);
            taken.push(from.copy_to(&manifest, &index, (self, known, Some(&lock)), progress)?);
        }
        Ok(taken)
    }

    /// Copies a backup into another repository, which cuts and names its blobs by its own key; under a lock there, unless nobody else
    /// can know of it.
    fn copy_to(
        &self,
        manifest: &Manifest,
        index: &Arc<Index>,
        (to, known, lock): (&Self, Index, Option<&Lock>),
        progress: &mut dyn Progress,
    ) -> Result<Backup> {
        let total = manifest.streams.all().iter().map(|stream| stream.bytes).sum();
        let mut meter = Meter::new(progress, Phase::Copying, total, STOPPED);
        let (store, pool) = (Store::new(to, known, false), Pool::new());
        let mut copy = |of: &Stream| {
            let mut from = Reader::new(self, index, &pool, of);
            stream::write(&store, std::iter::empty(), |take| {
                while let Some(blob) = from.next_blob()? {
                    take(&blob)?;
                    meter.add(blob.len() as u64)?;
                    lock.map_or(Ok(()), Lock::renew)?;
                }
                Ok(())
            })
        };
        let streams = Streams {
            chunks: copy(&manifest.streams.chunks)?,
            content: copy(&manifest.streams.content)?,
            slots: copy(&manifest.streams.slots)?,
            log: copy(&manifest.streams.log)?,
        };
        store.finish()?;
        let (there, notes) = (to.manifests()?.items, to.notes()?.items);
        let generations = there.iter().map(|(_, other)| other.generation);
        let newest = generations.chain(notes.iter().map(|(_, note)| note.generation)).max().unwrap_or(0);
        let copied = Manifest { generation: newest + 1, parents: tips(&there), streams, ..manifest.clone() };
        lock.map_or(Ok(()), Lock::confirm)?;
        let name = to.write(Folder::Backups, Kind::Manifest, &copied.encode())?;
        Ok(Backup::of(&name, &copied))
    }
}

/// The content of a new key file: 32 random bytes as hex digits, and the end of the line.
///
/// # Errors
/// When the system gives no random bytes.
pub fn new_key_file() -> Result<zeroize::Zeroizing<Vec<u8>>> {
    use crate::record::id::IdSource;
    let mut key = zeroize::Zeroizing::new([0_u8; 32]);
    crate::record::id::SystemIds.fill(&mut *key)?;
    let mut text = zeroize::Zeroizing::new(Vec::with_capacity(65));
    for byte in key.iter() {
        text.extend_from_slice(format!("{byte:02x}").as_bytes());
    }
    text.push(b'\n');
    Ok(text)
}
