//! Key slots of an open repository: adding, removing, changing.

use super::destination::Folder;
use super::error::{BackupError, Result};
use super::repository::Repository;
use super::slot::{Cost, Secret, Slot};

impl Repository {
    /// Adds a key slot, and returns its name. Whoever has the secret can read the repository from now on.
    ///
    /// # Errors
    /// [`BackupError::Argument`] for an empty secret, and those of writing.
    pub fn add_key(&self, secret: &Secret, label: &str, cost: Cost) -> Result<String> {
        self.is_there()?;
        let (name, slot) = Slot::seal(self.master(), self.id(), secret, label, cost, self.now())?;
        self.destination().write(Folder::Keys, &name, &slot)?;
        tracing::info!(target: "mirrordna::audit", action = "add_key", repository = %self.id(), slot = name);
        Ok(name)
    }

    /// Removes a key slot, by its name or the beginning of it. Whoever had the master key still has it.
    ///
    /// # Errors
    /// [`BackupError::NotFound`], [`BackupError::Ambiguous`], [`BackupError::Argument`] for the last one that is sound, and those
    /// of reading and writing.
    pub fn remove_key(&self, wanted: &str) -> Result<String> {
        let (slots, _) = self.slots()?;
        let names: Vec<String> = self.destination().list(Folder::Keys)?.into_iter().map(|(name, _)| name).collect();
        let fitting: Vec<_> = names.iter().filter(|name| !wanted.is_empty() && name.starts_with(wanted)).collect();
        let name = match fitting.as_slice() {
            [] => return Err(BackupError::NotFound { what: format!("key slot {wanted}") }),
            [name] => *name,
            more => return Err(BackupError::Ambiguous { name: wanted.to_owned(), count: more.len() }),
        };
        if slots.iter().all(|slot| slot.id == *name) {
            return Err(BackupError::argument(
                format!("the key slot {name}"),
                "it is the last sound one, and without it nobody could read the repository; add another one before",
            ));
        }
        self.destination().remove(Folder::Keys, name)?;
        tracing::info!(target: "mirrordna::audit", action = "remove_key", repository = %self.id(), slot = name);
        Ok(name.clone())
    }

    /// Puts a slot with another secret in the place of the one that opened the repository. Nothing else is written.
    ///
    /// # Errors
    /// As [`Repository::add_key`]. When it fails in between, both secrets open it.
    pub fn change_key(&self, secret: &Secret, cost: Cost) -> Result<String> {
        let (slots, _) = self.slots()?;
        let old = self.slot_in_use().to_owned();
        let label = slots.into_iter().find(|slot| slot.id == old).map(|slot| slot.label).unwrap_or_default();
        let name = self.add_key(secret, &label, cost)?;
        self.destination().remove(Folder::Keys, &old)?;
        Ok(name)
    }
}
