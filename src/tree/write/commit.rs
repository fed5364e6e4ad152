//! A text becomes a version of a record, or is refused.

use std::sync::Arc;

use crate::record::json::{self, JsonFault};
use crate::record::{Checksum, Kind, RecordError, Value};
use crate::storage::{Durability, record_file};
use crate::vault::{Error, Vault};

use super::super::Tree;
use super::super::node::{Directory, Node};
use super::draft::{Draft, Standing};
use super::{Effects, Refusal, Writing, Written};

/// What became of a draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Became {
    /// Nothing was written since it was opened or committed.
    Clean,
    /// The text is not complete, so it goes on.
    Unfinished,
    /// A version of the record, or what the record holds already.
    Record {
        /// The record was there before.
        existed: bool,
    },
}

/// Where a record is to go.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) directory: Directory,
    pub(super) kind: Kind,
    pub(super) id: &'a str,
    /// The record may be there.
    pub(super) replace: bool,
}

impl Target<'_> {
    fn path(&self) -> String {
        format!("{}{}.json", self.directory, self.id)
    }
}

/// The value that a text is; nothing when the text ends in the middle of it.
pub(super) fn parse(path: &str, text: &[u8]) -> Written<Option<Value>> {
    match json::parse(text) {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.reason == JsonFault::End || ends_in_a_character(text) => Ok(None),
        Err(error) => Err(Refusal::Vault { path: path.to_owned(), source: RecordError::from(error).into() }),
    }
}

/// The text is UTF-8 that was cut in the middle of its last character.
fn ends_in_a_character(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_err_and(|error| error.error_len().is_none())
}

impl Writing {
    /// Stores a record where its file is written. Returns whether that made a version: a record that is stored as it is
    /// already makes none.
    pub(super) fn store(&self, target: Target<'_>, mut value: Value, durability: Durability) -> Written<bool> {
        let Target { directory, kind, id, replace } = target;
        let failed = |source: Error| Refusal::Vault { path: target.path(), source };
        if let (Directory::Tier(tier), Some(memory)) = (directory, value.as_object_mut()) {
            memory.insert("tier".to_owned(), tier.name().into());
        }
        let (field, named) = (kind.id_field(), value.str_at(kind.id_field()));
        if value.as_object().is_some() && named != Some(id) {
            let is = named.map_or_else(|| "is missing".to_owned(), |named| format!("is {named:?}"));
            let reason = format!("its {field} {is}; in a file of this name it must be {id:?}");
            return Err(Refusal::Misfit { path: target.path(), reason });
        }
        let vault = self.vault.with_durability(durability);
        if replace {
            let there = vault.live_head(kind, id).map_err(failed)?;
            if there.is_some_and(|head| head.file.sha256 == Checksum::of(&record_file(&value))) {
                if durability == Durability::Sync {
                    vault.flush().map_err(failed)?;
                }
                return Ok(false);
            }
            vault.put(kind, value).map_err(failed)?;
        } else {
            vault.create_record(kind, value).map_err(failed)?;
        }
        Ok(true)
    }

    /// Vault for what is not synced at once.
    pub(super) fn buffered(&self) -> Vault {
        self.vault.with_durability(Durability::Buffered)
    }

    /// Makes a draft a version of its record.
    pub(super) fn commit(&self, draft: &Arc<Draft>, durability: Durability) -> Written<Became> {
        let mut state = draft.state();
        if !state.dirty || state.standing == Standing::Detached {
            return Ok(Became::Clean);
        }
        let target = Target { directory: state.directory, kind: draft.kind(), id: draft.id(), replace: state.exists };
        let stored = match parse(&target.path(), &state.text) {
            Ok(None) => return Ok(Became::Unfinished),
            Ok(Some(value)) => self.store(target, value, durability),
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = stored {
            state.standing = Standing::Refused;
            return Err(refusal);
        }
        let existed = state.exists;
        (state.dirty, state.exists, state.standing) = (false, true, Standing::Open);
        drop(state);
        // From now on the others that are open write a record that is there.
        for other in self.drafts.of(draft.kind(), draft.id()) {
            if !Arc::ptr_eq(&other, draft) {
                other.state().exists = true;
            }
        }
        self.aside.end(draft.kind(), draft.id());
        Ok(Became::Record { existed })
    }
}

impl Became {
    /// What whoever caches the record must drop. While a record is being written nobody is told anything about it that
    /// may be kept, so of a new one there is nothing to drop.
    pub(super) fn effects(self, node: Node) -> Effects {
        match self {
            Self::Record { existed: true } => Effects::changed(node),
            Self::Clean | Self::Unfinished | Self::Record { existed: false } => Effects::default(),
        }
    }
}

impl Tree {
    /// Leaves the reason of a refusal where it can be read afterwards, since an error number says little.
    pub(super) fn refused(&self, refusal: Refusal) -> Refusal {
        if refusal.is_telling() {
            tracing::warn!(target: "mirrordna::tree", %refusal, "cannot be written");
            self.note_error(refusal.to_string());
        }
        refusal
    }
}
