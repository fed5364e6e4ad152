//! Saving what is whole of a damaged repository: what is sound in damaged packs is stored again, the index is made anew from
//! the packs, and what cannot be read is removed.

use std::collections::HashSet;

use super::destination::Folder;
use super::error::Result;
use super::index::{Index, Indexed};
use super::keys::Name;
use super::lock::{Lock, Work};
use super::manifest::lost;
use super::pack::Entry;
use super::progress::{Meter, Phase, Progress};
use super::repository::Repository;
use super::seal::Kind;
use super::store::Store;

const STOPPED: &str = "nothing was removed";

/// What a repair did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// Files that could not be read and were removed.
    pub removed: Vec<String>,
    /// Blobs of damaged packs that were sound and were stored again.
    pub salvaged: u64,
}

impl Repository {
    /// Saves what is whole. Backups of which something is lost stay in the list as damaged, for the sake of what is left of
    /// them; their manifests are removed when they cannot be read themselves. Key slots are left alone.
    ///
    /// # Errors
    /// [`super::BackupError::Locked`] when a prune is under way, and those of reading and writing.
    pub fn repair(&self, progress: &mut dyn Progress) -> Result<Repaired> {
        let _lock = Lock::take(self, Work::Removes)?;
        let mut repaired = Repaired::default();
        // In this order: a backup that ends meanwhile writes packs first and then the index file that names them, so whatever index
        // files are superseded below, their packs are looked at.
        let old = self.index_files()?;
        let listed = self.destination().list(Folder::Packs)?;
        let mut meter = Meter::new(progress, Phase::Verifying, listed.iter().map(|(_, len)| *len).sum(), STOPPED);
        let known = |name: &str| -> Option<&[Entry]> {
            let name = Name::parse(name)?;
            let packs = || old.items.iter().flat_map(|(_, packs)| packs);
            packs().find(|pack| pack.pack == name).map(|pack| pack.entries.as_slice())
        };
        let store = Store::new(self, Index::default(), false);
        let (mut sound, mut damaged) = (Vec::new(), Vec::new());
        self.examine_all(&listed, &known, &mut meter, |name, examined| {
            let pack = Name::parse(name).filter(|_| examined.whole);
            if let (Some(pack), Some(mut entries)) = (pack, examined.header) {
                entries.retain(|entry| entry.kind != Kind::Padding);
                sound.push(Indexed { pack, size: examined.size, entries });
                return Ok(());
            }
            damaged.push(name.to_owned());
            for (entry, sealed) in examined.salvaged {
                repaired.salvaged += 1;
                store.put_sealed(entry.kind, entry.name, &sealed)?;
            }
            Ok(())
        })?;
        store.finish()?;
        let written: HashSet<Name> = self.write_index(&sound)?.into_iter().collect();
        // From here on everything is where it stays, and only what is of no use goes.
        let superseded = old.items.iter().filter(|(name, _)| !written.contains(name)).map(|(name, _)| name.to_string());
        for name in superseded {
            self.destination().remove(Folder::Index, &name)?;
        }
        // Marked packs are as good as any: the next prune marks again what nobody needs.
        for (name, _) in self.marks()?.items {
            self.destination().remove(Folder::Marks, &name.to_string())?;
        }
        for name in damaged {
            self.drop_file(Folder::Packs, &name, &mut repaired)?;
        }
        let faults = [
            (Folder::Index, old.faults),
            (Folder::Marks, self.marks()?.faults),
            (Folder::Notes, self.notes()?.faults),
            (Folder::Backups, self.manifests()?.faults),
            (Folder::Locks, super::lock::faults(self)?),
        ];
        for (folder, fault) in
            faults.into_iter().flat_map(|(folder, faults)| faults.into_iter().map(move |f| (folder, f)))
        {
            let name = fault.subject.rsplit('/').next().unwrap_or_default().to_owned();
            self.drop_file(folder, &name, &mut repaired)?;
        }
        // Backups whose manifests are gone were given up here, and by nobody else.
        let (manifests, notes) = (self.manifests()?.items, self.notes()?.items);
        let given_up: HashSet<Name> = lost(&manifests, &notes).into_iter().collect();
        if !given_up.is_empty() {
            self.note(&manifests, &given_up)?;
        }
        self.destination().clean(3_600)?;
        Ok(repaired)
    }

    fn drop_file(&self, folder: Folder, name: &str, repaired: &mut Repaired) -> Result<()> {
        self.destination().remove(folder, name)?;
        repaired.removed.push(folder.shown(name));
        Ok(())
    }
}
