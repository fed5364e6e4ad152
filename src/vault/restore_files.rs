//! Bringing files back: what a restore puts beside the inodes, which are records like any other.

use std::collections::BTreeSet;

use crate::record::inode::parse_ino;
use crate::record::{Inode, Kind, RecordError, json};
use crate::storage::{FileRows, Ino, NOW, Piece, Sequence, Storage, StorageError};

use super::{Result, Vault};

/// Slots of a file read at once.
const SLOT_PAGE: usize = 4_096;

impl Vault {
    /// What brings the content of an artifact and the entries that led or lead to it back to a sequence.
    pub(super) fn rows_at(&self, id: &str, target: Sequence) -> Result<FileRows> {
        let storage = self.storage();
        let mut rows = FileRows::default();
        let Some(ino) = parse_ino(id) else { return Ok(rows) };
        let mut names = BTreeSet::new();
        let mut comes_back = false;
        for at in [target, NOW] {
            let version = storage.version(Kind::Artifact, id, at)?.filter(|version| !version.deleted);
            let Some(version) = version else { continue };
            let record = json::parse(&version.json).map_err(RecordError::from)?;
            let inode = Inode::from_value(&record).map_err(|detail| StorageError::Corrupt {
                what: format!("artifact {id} at sequence {}", version.sequence),
                detail,
            })?;
            names.extend(inode.names);
            comes_back |= at == target;
        }
        for (parent, name) in names {
            // Whatever it led to then, this inode or another one, that is what it leads to again.
            let then = storage.dentry(parent, &name, target)?;
            rows.dentries.push((parent, name, then));
        }
        if !comes_back {
            return Ok(rows);
        }
        let (mut now, mut then) = (Slots::new(storage, ino, NOW), Slots::new(storage, ino, target));
        let (mut a, mut b) = (now.next()?, then.next()?);
        loop {
            let slot = match (&a, &b) {
                (None, None) => break,
                (Some((slot, _)), None) | (None, Some((slot, _))) => *slot,
                (Some((a, _)), Some((b, _))) => *a.min(b),
            };
            let old = if a.as_ref().is_some_and(|(at, _)| *at == slot) {
                std::mem::replace(&mut a, now.next()?)
            } else {
                None
            };
            let new = if b.as_ref().is_some_and(|(at, _)| *at == slot) {
                std::mem::replace(&mut b, then.next()?)
            } else {
                None
            };
            let pieces = |slot: Option<(u64, Vec<Piece>)>| slot.map(|(_, pieces)| pieces).unwrap_or_default();
            let (old, new) = (pieces(old), pieces(new));
            if old != new {
                rows.extents.push((ino, slot, new));
            }
        }
        Ok(rows)
    }
}

/// The slots of a file at a sequence, read page by page.
struct Slots<'a> {
    storage: &'a dyn Storage,
    ino: Ino,
    at: Sequence,
    page: std::vec::IntoIter<(u64, Vec<Piece>)>,
    from: Option<u64>,
}

impl<'a> Slots<'a> {
    fn new(storage: &'a dyn Storage, ino: Ino, at: Sequence) -> Self {
        Self { storage, ino, at, page: Vec::new().into_iter(), from: Some(0) }
    }

    fn next(&mut self) -> Result<Option<(u64, Vec<Piece>)>> {
        if self.page.len() == 0
            && let Some(from) = self.from
        {
            let page = self.storage.extents(self.ino, from, SLOT_PAGE, self.at)?;
            self.from = page.last().and_then(|(last, _)| last.checked_add(1));
            self.page = page.into_iter();
        }
        Ok(self.page.next())
    }
}
