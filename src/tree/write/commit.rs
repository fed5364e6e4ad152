//! A text becomes a version of a record, or is refused.

use std::sync::Arc;

use crate::record::json::{self, JsonFault};
use crate::record::{Checksum, Kind, RecordError, Value};
use crate::storage::{Durability, RecordFile, Sequence, record_file};
use crate::vault::{self, Error, Vault, retry};

use super::super::node::{Directory, Node};
use super::super::{Tree, members};
use super::draft::{Draft, Over, Standing};
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
}

impl Target<'_> {
    pub(super) fn path(&self) -> String {
        format!("{}{}.json", self.directory, self.id)
    }

    /// Refuses a text that says that it is another record.
    fn check_id(&self, value: &Value) -> Written<()> {
        let (field, id) = (self.kind.id_field(), self.id);
        let named = value.str_at(field);
        if value.as_object().is_none() || named == Some(id) {
            return Ok(());
        }
        let is = named.map_or_else(|| "is missing".to_owned(), |named| format!("is {named:?}"));
        let reason = format!("its {field} {is}; in a file of this name it must be {id:?}");
        Err(Refusal::Misfit { path: self.path(), reason })
    }
}

/// A record as it is in a directory, which gives a memory its tier.
fn placed(mut value: Value, directory: Directory) -> Value {
    if let (Directory::Tier(tier), Some(memory)) = (directory, value.as_object_mut()) {
        memory.insert("tier".to_owned(), tier.name().into());
    }
    value
}

/// A record is stored as it is already.
fn is_equal(stored: &RecordFile, value: &Value) -> bool {
    stored.sha256 == Checksum::of(&record_file(value))
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
    /// Stores a record where its file is written, with `replace` over the one that may be there. A record that is stored as
    /// it is already makes no version. Returns which version the record has then.
    pub(super) fn store(
        &self,
        target: Target<'_>,
        replace: bool,
        value: Value,
        durability: Durability,
    ) -> Written<Sequence> {
        let Target { directory, kind, id } = target;
        let failed = |source: Error| Refusal::Vault { path: target.path(), source };
        target.check_id(&value)?;
        let (vault, value) = (self.vault.with_durability(durability), placed(value, directory));
        if !replace {
            return Ok(vault.create_record(kind, value).map_err(failed)?.sequence);
        }
        match vault.live_head(kind, id).map_err(failed)?.filter(|head| is_equal(&head.file, &value)) {
            Some(head) => {
                self.make_durable(durability).map_err(failed)?;
                Ok(head.sequence)
            }
            None => Ok(vault.put(kind, value).map_err(failed)?.sequence),
        }
    }

    /// Stores a version of a record that was there when its file was opened. Returns where it lies then; nothing when the
    /// record is gone, or another one has its id, and so nothing was stored.
    pub(super) fn store_over(
        &self,
        target: Target<'_>,
        over: Over,
        value: &Value,
        durability: Durability,
    ) -> Written<Option<Over>> {
        let Target { kind, id, .. } = target;
        target.check_id(value)?;
        let vault = self.vault.with_durability(durability);
        let store = || {
            let Some(newest) = vault.present().version(kind, id)?.filter(|newest| newest.birth == over.birth) else {
                return Ok(None);
            };
            // Whoever gave it another tier meanwhile is heard, unless this file was made in another one.
            let lies = Directory::of(kind, members::tier_of_terms(&newest.terms));
            let directory = if target.directory == over.directory { lies } else { target.directory };
            let value = placed(value.clone(), directory);
            if is_equal(&newest.file, &value) {
                self.make_durable(durability)?;
            } else {
                vault.put_over(&newest, kind, id, value)?;
            }
            Ok(Some(Over { directory, ..over }))
        };
        // What was read is compared when it is stored, so nobody comes between.
        let stored = vault.audited("put", kind, id, || retry(store));
        stored.map_err(|source| Refusal::Vault { path: target.path(), source })
    }

    /// Makes what is stored already as durable as if it had been stored now.
    fn make_durable(&self, durability: Durability) -> vault::Result<()> {
        if durability == Durability::Sync {
            self.vault.flush()?;
        }
        Ok(())
    }

    /// The record that was there when the file was opened is gone, or another one has its id.
    fn is_gone(&self, target: Target<'_>, over: Option<Over>) -> Written<bool> {
        let Some(over) = over else { return Ok(false) };
        let head = self.vault.live_head(target.kind, target.id);
        let head = head.map_err(|source| Refusal::Vault { path: target.path(), source })?;
        Ok(head.is_none_or(|head| head.birth != over.birth))
    }

    /// Stores what a draft is, over a record that was there or as a new one.
    fn store_draft(
        &self,
        target: Target<'_>,
        over: Option<Over>,
        value: Value,
        durability: Durability,
    ) -> Written<Option<Over>> {
        if let Some(over) = over {
            return self.store_over(target, over, &value, durability);
        }
        let birth = self.store(target, false, value, durability)?;
        Ok(Some(Over { birth, directory: target.directory }))
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
        let target = Target { directory: state.directory, kind: draft.kind(), id: draft.id() };
        let stored = match parse(&target.path(), &state.text) {
            _ if self.is_gone(target, state.over)? => Ok(None),
            Ok(None) => return Ok(Became::Unfinished),
            Ok(Some(value)) => self.store_draft(target, state.over, value, durability),
            Err(refusal) => Err(refusal),
        };
        let over = match stored {
            Ok(Some(over)) => over,
            Ok(None) => {
                state.standing = Standing::Detached;
                return Ok(Became::Clean);
            }
            Err(refusal) => {
                state.standing = Standing::Refused;
                return Err(refusal);
            }
        };
        let existed = state.over.is_some();
        (state.dirty, state.directory, state.over, state.standing) =
            (false, over.directory, Some(over), Standing::Open);
        drop(state);
        // From now on the others that are open write a record that is there.
        for other in self.drafts.of(draft.kind(), draft.id()) {
            if !Arc::ptr_eq(&other, draft) {
                other.state().over.get_or_insert(over);
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
