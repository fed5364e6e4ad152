//! Making, renaming and removing names.

use std::ffi::OsStr;

use crate::storage::StorageError;
use crate::vault::Error;

use super::super::Tree;
use super::super::node::{Directory, Item, Node};
use super::aside::SetAside;
use super::commit::{Target, parse};
use super::draft::{Over, Standing, State};
use super::files::OpenFile;
use super::names::{Place, path};
use super::scratch::ScratchFile;
use super::{Effects, Refusal, Writing, Written};
use crate::record::Kind;

impl Writing {
    /// Whoever writes a record that was deleted or replaced writes into nothing.
    fn detach(&self, kind: Kind, id: &str) {
        for draft in self.drafts.of(kind, id) {
            draft.state().standing = Standing::Detached;
        }
    }

    /// A scratch file was replaced or became a record. If it was a backup, nothing tells any more that the record was to
    /// have no name.
    fn end_backup(&self, backup: &ScratchFile, effects: &mut Effects) {
        if let Some((kind, id, aside)) = self.aside.of_backup(backup.number()) {
            self.aside.end(kind, &id);
            effects.name(aside.directory, format!("{id}.json"));
        }
    }

    /// Makes sure that a record can come to a place where none is seen. Returns the one that was set aside, if it is there.
    fn check_free(&self, place: &Place) -> Written<Option<Over>> {
        place.check_new()?;
        let Place::Record { kind, id, .. } = place else { return Ok(None) };
        let failed = vault_failed(place.to_string());
        if self.aside.holds(*kind, id) {
            return Ok(self.text(*kind, id).map_err(failed)?.map(|(_, over)| over));
        }
        let taken =
            |by: String| Refusal::Exists { path: place.to_string(), reason: format!("the id is taken by {by}") };
        if let Some(head) = self.vault.live_head(*kind, id).map_err(&failed)? {
            return Err(taken(format!("a {kind} that lies elsewhere, in version {}", head.sequence)));
        }
        match self.shown(*kind, id).map_err(failed)? {
            Some(draft) => Err(taken(format!("{}, which is being written", draft.path()))),
            None => Ok(None),
        }
    }

    /// The backup of a record that is set aside is deleted, and nothing new was written: the record is deleted with it,
    /// unless somebody else changed it since.
    fn delete_aside(&self, kind: Kind, id: &str, aside: SetAside, effects: &mut Effects) -> Written<()> {
        let failed = vault_failed(format!("{}{id}.json", aside.directory));
        let head = self.vault.live_head(kind, id).map_err(&failed)?;
        if head.is_some_and(|head| head.sequence == aside.sequence) {
            match self.buffered().delete(kind, id) {
                Ok(_) | Err(Error::Storage(StorageError::NotFound { .. })) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        self.aside.end(kind, id);
        effects.name(aside.directory, format!("{id}.json"));
        Ok(())
    }

    /// A scratch file gets another name, or becomes a record.
    fn rename_scratch(&self, scratch: &ScratchFile, old: &Place, new: &Place, is_there: bool) -> Written<Effects> {
        let Place::Scratch { directory: from, name } = old else { return Ok(Effects::default()) };
        let mut effects = Effects::default();
        match new {
            Place::Scratch { directory, name: new_name } => {
                if let Some(replaced) = self.scratch.rename((*from, name), (*directory, new_name))? {
                    self.end_backup(&replaced, &mut effects);
                }
            }
            Place::Record { directory, kind, id } => {
                // A draft of somebody else that is no record yet is replaced as a file would be.
                let is_record = self.vault.live_head(*kind, id).map_err(vault_failed(new.to_string()))?.is_some();
                let replace = if is_there { is_record } else { self.check_free(new)?.is_some() };
                let Some(value) = parse(&new.to_string(), &self.scratch.read(scratch)?)? else {
                    let reason = format!("{name} ends in the middle of the JSON");
                    return Err(Refusal::Misfit { path: new.to_string(), reason });
                };
                let target = Target { directory: *directory, kind: *kind, id };
                // The text may be durable under its old name, which goes at once.
                self.store(target, replace, value, crate::storage::Durability::Sync)?;
                self.detach(*kind, id);
                self.aside.end(*kind, id);
                self.end_backup(scratch, &mut effects);
                self.scratch.remove(*from, name)?;
                effects.changed.push(Node::record(*kind, id));
            }
        }
        Ok(effects)
    }

    /// A record that gets another place. Its id is its name, so that place is another tier.
    fn move_record(&self, old: &Place, new: &Place) -> Written<Effects> {
        let (Place::Record { kind, id, .. }, Place::Record { directory, kind: new_kind, id: new_id }) = (old, new)
        else {
            return Ok(Effects::default());
        };
        if kind != new_kind || id != new_id {
            let reason = format!("this is the {kind} {id}, and a record is called by its id");
            return Err(Refusal::Misfit { path: new.to_string(), reason });
        }
        let Directory::Tier(tier) = *directory else {
            new.check_new()?;
            return Ok(Effects::default());
        };
        let moved = self.buffered().memories().promote(id, tier);
        moved.map_err(vault_failed(new.to_string()))?;
        for draft in self.drafts.of(*kind, id) {
            draft.state().moved(*directory);
        }
        Ok(Effects::changed(Node::record(*kind, id)))
    }
}

fn vault_failed(path: String) -> impl Fn(Error) -> Refusal {
    move |source| Refusal::Vault { path: path.clone(), source }
}

impl Tree {
    /// Opens a file for writing that is not there, as far as the caller knows, and makes it when it is not.
    ///
    /// # Errors
    /// [`Refusal::Exists`] when it must not be there, or its id is taken elsewhere; else [`Refusal`] says why there can be no
    /// such file.
    pub fn create(&self, parent: &Node, name: &OsStr, exclusive: bool, truncate: bool) -> Written<(Node, OpenFile)> {
        self.create_name(parent, name, exclusive, truncate).map_err(|refusal| self.refused(refusal))
    }

    fn create_name(&self, parent: &Node, name: &OsStr, exclusive: bool, truncate: bool) -> Written<(Node, OpenFile)> {
        let writing = self.writing_at(parent)?;
        let place = Place::of(parent, name)?;
        if let Some(node) = self.found(parent, name)? {
            if exclusive {
                return Err(Refusal::Exists { path: place.to_string(), reason: "it is there already".to_owned() });
            }
            let open = self.open_for_writing(&node, truncate)?;
            return Ok((node, open));
        }
        match &place {
            Place::Scratch { directory, name } => {
                let (scratch, file) = writing.scratch.create(*directory, name)?;
                Ok((parent.beside(Item::Scratch(scratch.clone())), OpenFile::of_scratch(scratch, file)))
            }
            Place::Record { directory, kind, id } => {
                let over = writing.check_free(&place)?;
                let state = State {
                    text: writing.drafts.text(place.to_string(), Vec::new())?,
                    directory: *directory,
                    dirty: false,
                    over,
                    standing: Standing::Open,
                    modified: self.vault.now(),
                };
                Ok((Node::record(*kind, id), OpenFile::of_draft(writing.drafts.open(*kind, id, state))))
            }
        }
    }

    /// Removes a name. A record is deleted; its history stays.
    ///
    /// # Errors
    /// [`Refusal::Missing`] when there is no such name; else [`Refusal`] says why it stays.
    pub fn unlink(&self, parent: &Node, name: &OsStr) -> Written<Effects> {
        self.unlink_name(parent, name).map_err(|refusal| self.refused(refusal))
    }

    fn unlink_name(&self, parent: &Node, name: &OsStr) -> Written<Effects> {
        let writing = self.writing_at(parent)?;
        let place = Place::of(parent, name)?;
        let missing = || Refusal::Missing { path: place.to_string() };
        let node = self.found(parent, name)?.ok_or_else(missing)?;
        let mut effects = Effects::default();
        match (&place, &node.item) {
            (Place::Scratch { directory, name }, Item::Scratch(scratch)) => {
                if let Some((kind, id, aside)) = writing.aside.of_backup(scratch.number()) {
                    writing.delete_aside(kind, &id, aside, &mut effects)?;
                }
                writing.scratch.remove(*directory, name)?;
            }
            (Place::Record { kind, id, .. }, _) => {
                if writing.vault.live_head(*kind, id).map_err(vault_failed(place.to_string()))?.is_some()
                    && !writing.aside.holds(*kind, id)
                {
                    match writing.buffered().delete(*kind, id) {
                        Ok(_) => {}
                        Err(Error::Storage(StorageError::NotFound { .. })) => return Err(missing()),
                        Err(error) => return Err(vault_failed(place.to_string())(error)),
                    }
                }
                writing.detach(*kind, id);
            }
            _ => return Err(missing()),
        }
        Ok(effects)
    }

    /// Renames a file: a scratch file to a record's name commits it, a memory to another tier promotes it, a record to a
    /// scratch name sets it aside. With `replace` a file that has the new name is replaced.
    ///
    /// # Errors
    /// [`Refusal`] says why not; then nothing is changed.
    pub fn rename(&self, from: (&Node, &OsStr), to: (&Node, &OsStr), replace: bool) -> Written<Effects> {
        self.rename_name(from, to, replace).map_err(|refusal| self.refused(refusal))
    }

    fn rename_name(&self, from: (&Node, &OsStr), to: (&Node, &OsStr), replace: bool) -> Written<Effects> {
        self.writing_at(from.0)?;
        let writing = self.writing_at(to.0)?;
        let (old, new) = (Place::of(from.0, from.1)?, Place::of(to.0, to.1)?);
        let node = self.found(from.0, from.1)?.ok_or_else(|| Refusal::Missing { path: old.to_string() })?;
        if old == new {
            return Ok(Effects::default());
        }
        let target = self.found(to.0, to.1)?;
        if target.is_some() && !replace {
            return Err(Refusal::Exists { path: new.to_string(), reason: "it is there already".to_owned() });
        }
        match (&old, &new, &node.item) {
            (Place::Scratch { .. }, _, Item::Scratch(scratch)) => {
                writing.rename_scratch(scratch, &old, &new, target.is_some())
            }
            (Place::Record { kind, id, .. }, _, Item::Record { .. }) => {
                let head = writing.vault.live_head(*kind, id).map_err(vault_failed(old.to_string()))?;
                // It is but a draft, or text that is not committed yet would get another name.
                let Some(head) = head else { return Err(Refusal::Busy { path: old.to_string() }) };
                match &new {
                    Place::Scratch { directory, name } => {
                        if writing.drafts.of(*kind, id).iter().any(|draft| draft.changes(head.birth)) {
                            return Err(Refusal::Busy { path: old.to_string() });
                        }
                        let aside = SetAside { directory: directory_of(&old), backup: 0, sequence: head.sequence };
                        self.set_aside(writing, &node, aside, (*directory, name))
                    }
                    Place::Record { .. } => writing.move_record(&old, &new),
                }
            }
            _ => Err(Refusal::Missing { path: old.to_string() }),
        }
    }

    /// Makes a scratch file of what a record holds, and lets the record have no name until something comes of it.
    fn set_aside(&self, writing: &Writing, record: &Node, aside: SetAside, to: (Directory, &str)) -> Written<Effects> {
        let Item::Record { kind, id } = &record.item else { return Ok(Effects::default()) };
        let failed = vault_failed(format!("{}{id}.json", aside.directory));
        let content = self.open(record).map_err(&failed)?;
        let bytes = content.read_at(0, usize::MAX).map_err(|source| {
            let path = std::path::PathBuf::from(record.to_string());
            failed(Error::Io { path, source })
        })?;
        let (backup, replaced) = writing.scratch.put(to.0, to.1, &bytes, content.time())?;
        let mut effects = Effects::default();
        if let Some(replaced) = replaced {
            writing.end_backup(&replaced, &mut effects);
        }
        writing.aside.add(*kind, id, SetAside { backup: backup.number(), ..aside });
        // Whoever renamed a file expects that file behind the new name, and there is another one.
        effects.name(to.0, to.1.to_owned());
        Ok(effects)
    }

    /// What is refused whatever it is: directories, links and devices have no place among records.
    ///
    /// # Errors
    /// Always.
    pub fn make_other(&self, parent: &Node, name: &OsStr) -> Written<()> {
        let refused = self.writing_at(parent).and_then(|_| Place::of(parent, name)).and_then(|place| {
            let reason = "only files can be made here; for directories and links there is artifacts/";
            Err(Refusal::NotPermitted { path: place.to_string(), reason })
        });
        refused.map_err(|refusal| self.refused(refusal))
    }

    /// Removing a directory is refused, whichever it is.
    ///
    /// # Errors
    /// Always.
    pub fn remove_directory(&self, parent: &Node, name: &OsStr) -> Written<()> {
        let refused = self.writing_at(parent).and_then(|_| {
            let reason = "the directories of the vault stay";
            Err(Refusal::NotPermitted { path: path(parent, name), reason })
        });
        refused.map_err(|refusal| self.refused(refusal))
    }

    fn found(&self, parent: &Node, name: &OsStr) -> Written<Option<Node>> {
        self.lookup(parent, name).map_err(vault_failed(path(parent, name)))
    }
}

fn directory_of(place: &Place) -> Directory {
    match place {
        Place::Record { directory, .. } | Place::Scratch { directory, .. } => *directory,
    }
}
