//! The vault at one sequence: the present, or a past that stays readable as long as the view is there.

use std::fmt;
use std::sync::Arc;

use crate::artifacts::Past;
use crate::files::Files;
use crate::record::Kind;
use crate::storage::{Head, Lease, NOW, Sequence, Version};

use super::{Error, LOG_PAGE, Record, Result, Vault};

/// Heads read at once.
const PAGE: usize = 1_024;

/// The vault at one sequence.
#[derive(Clone)]
pub struct View {
    vault: Vault,
    at: Sequence,
    lease: Option<Lease>,
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("vault", &self.vault.id()).field("at", &self.sequence()).finish_non_exhaustive()
    }
}

impl View {
    pub(super) fn present(vault: &Vault) -> Self {
        Self { vault: vault.clone(), at: NOW, lease: None }
    }

    /// The vault at a sequence; with one inside a commit, behind that: nobody sees half of one.
    pub(super) fn past(vault: &Vault, at: Sequence) -> Result<Self> {
        let end = vault.state_now()?.sequence;
        if at > end {
            return Err(Error::argument(format!("sequence {at}"), format!("the log ends at {end}")));
        }
        let at = end_of_commit(vault, at)?;
        // The lease comes first: a prune that did not see it has made its horizon known by now.
        let lease = vault.storage().lease(at);
        let horizon = vault.state_now()?.horizon;
        if at < horizon && !vault.storage().pins()?.contains(&at) {
            return Err(Error::Pruned { at, horizon });
        }
        Ok(Self { vault: vault.clone(), at, lease: Some(lease) })
    }

    /// The vault that is viewed.
    #[must_use]
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// The sequence that is viewed; `None` for the present, whatever that is.
    #[must_use]
    pub fn sequence(&self) -> Option<Sequence> {
        (self.at != NOW).then_some(self.at)
    }

    /// The files of the vault in this view. Those of the present change: [`Vault::artifacts`] gives them.
    ///
    /// # Errors
    /// Those of the storage.
    pub fn artifacts(&self) -> Result<Option<Past>> {
        let Some(lease) = &self.lease else { return Ok(None) };
        let entry = self.vault.log(self.at, 1)?.pop();
        let time = entry.map_or(0, |entry| i128::from(entry.time.as_micros()) * 1_000);
        Ok(Some(Past::new(Arc::clone(&self.vault.shared.storage), self.at, time, lease.clone())))
    }

    /// The artifacts of the vault in this view as files, by path. Those of the past can only be read; those of the present
    /// are those of [`Vault::files`].
    ///
    /// # Errors
    /// Those of the storage.
    pub fn files(&self) -> Result<Files> {
        Ok(self.artifacts()?.map_or_else(|| self.vault.files(), Files::of_past))
    }

    /// The version of a record in this view, if the record is there.
    ///
    /// # Errors
    /// Those of the storage.
    pub fn version(&self, kind: Kind, id: &str) -> Result<Option<Version>> {
        if !super::may_be_stored(kind, id) {
            return Ok(None);
        }
        Ok(self.vault.storage().version(kind, id, self.at)?.filter(|version| !version.deleted))
    }

    /// A record in this view, if it is there.
    ///
    /// # Errors
    /// Those of the storage.
    pub fn find(&self, kind: Kind, id: &str) -> Result<Option<Record>> {
        self.version(kind, id)?.map(|version| Record::new(kind, id, &version)).transpose()
    }

    /// What listing needs to know of a record in this view, if it is there. In the present its content is not read.
    ///
    /// # Errors
    /// Those of the storage.
    pub fn head(&self, kind: Kind, id: &str) -> Result<Option<Head>> {
        let Some(head) =
            super::may_be_stored(kind, id).then(|| self.vault.storage().head(kind, id)).transpose()?.flatten()
        else {
            return Ok(None);
        };
        self.resolve(kind, id, head)
    }

    fn resolve(&self, kind: Kind, id: &str, head: Head) -> Result<Option<Head>> {
        if head.sequence <= self.at {
            return Ok((!head.deleted).then_some(head));
        }
        Ok(self.version(kind, id)?.map(|version| Head::from(&version)))
    }

    /// Ids and heads of a kind in order of the id, after `after`, at most about `limit`; empty only at the end.
    ///
    /// # Errors
    /// Those of the storage.
    pub fn heads(&self, kind: Kind, after: Option<&str>, limit: usize) -> Result<Vec<(String, Head)>> {
        let mut found = Vec::new();
        let mut after = after.map(str::to_owned);
        while found.len() < limit {
            let page = self.vault.storage().heads(kind, after.as_deref(), PAGE.min(limit))?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (id, head) in page {
                if let Some(head) = self.resolve(kind, &id, head)? {
                    found.push((id, head));
                }
            }
        }
        Ok(found)
    }

    /// All ids and heads of a kind in order of the id, read page by page.
    pub fn iter(&self, kind: Kind) -> impl Iterator<Item = Result<(String, Head)>> + use<> {
        let view = self.clone();
        all_heads(&self.vault, kind).filter_map(move |item| {
            let resolve = |(id, head): (String, Head)| Ok(view.resolve(kind, &id, head)?.map(|head| (id, head)));
            item.and_then(resolve).transpose()
        })
    }

    /// The canonical JSON of all records of a kind, as it is stored, in order of the id, read page by page.
    pub fn texts(&self, kind: Kind) -> impl Iterator<Item = Result<Vec<u8>>> + use<> {
        let view = self.clone();
        self.iter(kind).filter_map(move |item| match item {
            Ok((id, _)) => view.version(kind, &id).map(|version| version.map(|version| version.json)).transpose(),
            Err(error) => Some(Err(error)),
        })
    }

    /// All records of a kind in order of the id, read page by page.
    pub fn records(&self, kind: Kind) -> impl Iterator<Item = Result<Record>> + use<> {
        let view = self.clone();
        self.iter(kind).filter_map(move |item| match item {
            Ok((id, _)) => view.find(kind, &id).transpose(),
            Err(error) => Some(Err(error)),
        })
    }
}

/// Where the commit ends that an entry of the log belongs to.
fn end_of_commit(vault: &Vault, at: Sequence) -> Result<Sequence> {
    if at == 0 {
        return Ok(at);
    }
    // Most are the last of theirs.
    let (mut from, mut limit) = (at, 1);
    loop {
        let page = vault.log(from, limit)?;
        if let Some(last) = page.iter().find(|entry| entry.end_of_commit) {
            return Ok(last.sequence);
        }
        let Some(last) = page.last() else { return Ok(at) };
        (from, limit) = (last.sequence + 1, LOG_PAGE);
    }
}

/// Ids and newest heads of all records of a kind that ever were, deleted ones too, in order of the id, read page by page.
pub(super) fn all_heads(vault: &Vault, kind: Kind) -> impl Iterator<Item = Result<(String, Head)>> + use<> {
    let vault = vault.clone();
    let mut page = Vec::new().into_iter();
    let mut after: Option<String> = None;
    let mut ended = false;
    std::iter::from_fn(move || {
        loop {
            if let Some((id, head)) = page.next() {
                after = Some(String::clone(&id));
                return Some(Ok((id, head)));
            }
            if ended {
                return None;
            }
            match vault.storage().heads(kind, after.as_deref(), PAGE) {
                Ok(next) => {
                    ended = next.is_empty();
                    page = next.into_iter();
                }
                Err(error) => {
                    ended = true;
                    return Some(Err(error.into()));
                }
            }
        }
    })
}
