//! The records that lie in a directory, in order of the id, at any view.
//!
//! Which tier a memory is in stands in the index, which knows only the present. A memory whose newest version a view
//! sees was in the same tier then; only of those that changed since is the version read.

use std::collections::VecDeque;

use crate::record::Kind;
use crate::storage::{Head, NOW, Position, Selection, Sequence, Term, Version};
use crate::vault::{Result, Tier, Vault, View};

use super::node::Directory;

/// Heads and index entries read at once.
const PAGE: usize = 1_024;
/// A tier with at most this many memories is looked up one by one; for a larger one all heads are walked.
const FEW: usize = 4_096;

/// The number of the index of tiers.
fn tier_index() -> Option<u16> {
    Kind::Memory.indexes().iter().find(|index| index.path == "tier").map(|index| index.number)
}

/// The tier that index terms tell of, if it is one.
pub(super) fn tier_of_terms(terms: &[(u16, Term)]) -> Option<Tier> {
    let index = tier_index()?;
    terms.iter().find_map(|(number, term)| match term {
        Term::Text(text) if *number == index => Tier::from_name(text),
        _ => None,
    })
}

fn tier_of(version: &Version) -> Option<Tier> {
    tier_of_terms(&version.terms)
}

fn in_tier(tier: Tier) -> Selection {
    let terms = tier_index().map(|index| (index, tier.name().to_owned()));
    Selection { terms: terms.into_iter().collect(), ..Selection::all(Kind::Memory) }
}

/// The head of a record, if it lies in a directory.
pub(super) fn find(view: &View, directory: Directory, id: &str) -> Result<Option<Head>> {
    let Some(kind) = directory.kind() else { return Ok(None) };
    let Some(head) = view.head(kind, id)? else { return Ok(None) };
    let lies_here = match directory {
        Directory::Tier(tier) => is_in_tier(view, tier, id, &head)?,
        Directory::Collection(Kind::Memory) => is_stray(view, id, &head)?,
        Directory::Root | Directory::Collection(_) | Directory::Artifacts | Directory::Vault => true,
    };
    Ok(lies_here.then_some(head))
}

fn is_in_tier(view: &View, tier: Tier, id: &str, head: &Head) -> Result<bool> {
    if view.sequence().is_some() {
        return Ok(view.version(Kind::Memory, id)?.is_some_and(|version| tier_of(&version) == Some(tier)));
    }
    let before = Position { time: crate::record::Timestamp::default(), birth: head.birth.saturating_sub(1) };
    let found = view.vault().storage().select(&in_tier(tier), Some(before), 1)?;
    Ok(found.first().is_some_and(|posting| posting.id == id))
}

/// Whether a memory is in none of the tiers, as only a leniently imported one can be.
fn is_stray(view: &View, id: &str, head: &Head) -> Result<bool> {
    Ok(head.lenient && view.version(Kind::Memory, id)?.is_some_and(|version| tier_of(&version).is_none()))
}

/// How the records of a directory are found.
enum Walk {
    /// By their ids, which are known.
    Ids(std::vec::IntoIter<String>),
    /// Among all heads of the kind.
    Heads { page: VecDeque<(String, Head)>, after: Option<String>, ended: bool, keep: Keep },
}

/// Which heads lie in the directory.
enum Keep {
    All,
    /// The places in the log of the tier's memories of now, ascending.
    Births(Vec<Sequence>, Tier),
    Strays,
}

/// The records of a directory in order of the id, read page by page. Whoever goes on after an error meets it again as long
/// as it lasts: nothing is left out, and it never ends as if it were whole.
pub(super) struct Members {
    view: View,
    kind: Kind,
    walk: Walk,
}

impl Members {
    /// The records of a directory after the id `after`.
    pub(super) fn new(view: View, directory: Directory, after: Option<&str>) -> Result<Self> {
        let (kind, keep) = match directory {
            Directory::Tier(tier) => match gather(&view, tier)? {
                Gathered::Ids(mut ids) => {
                    ids.retain(|id| after.is_none_or(|after| id.as_str() > after));
                    return Ok(Self { view, kind: Kind::Memory, walk: Walk::Ids(ids.into_iter()) });
                }
                Gathered::Births(births) => (Kind::Memory, Keep::Births(births, tier)),
            },
            Directory::Collection(Kind::Memory) => (Kind::Memory, Keep::Strays),
            Directory::Collection(kind) => (kind, Keep::All),
            Directory::Root | Directory::Artifacts | Directory::Vault => {
                return Ok(Self { view, kind: Kind::Memory, walk: Walk::Ids(Vec::new().into_iter()) });
            }
        };
        let walk = Walk::Heads { page: VecDeque::new(), after: after.map(str::to_owned), ended: false, keep };
        Ok(Self { view, kind, walk })
    }

    fn fetch(&mut self) -> Result<Option<(String, Head)>> {
        let (view, kind) = (&self.view, self.kind);
        let (page, after, ended, keep) = match &mut self.walk {
            Walk::Ids(ids) => {
                while let Some(id) = ids.as_slice().first() {
                    let head = view.head(kind, id)?;
                    // Not before this is it taken: after an error it is read again.
                    let Some((id, head)) = ids.next().zip(head) else { continue };
                    return Ok(Some((id, head)));
                }
                return Ok(None);
            }
            Walk::Heads { page, after, ended, keep } => (page, after, ended, keep),
        };
        loop {
            let Some((id, head)) = page.front() else {
                if *ended {
                    return Ok(None);
                }
                *page = view.vault().storage().heads(kind, after.as_deref(), PAGE)?.into();
                *ended = page.is_empty();
                *after = page.back().map(|(id, _)| id.clone());
                continue;
            };
            let kept = keep.filter(view, kind, id, *head)?;
            let Some(((id, _), head)) = page.pop_front().zip(kept) else { continue };
            return Ok(Some((id, head)));
        }
    }
}

impl Keep {
    /// The head in the view, if the record lies in the directory there.
    fn filter(&self, view: &View, kind: Kind, id: &str, head: Head) -> Result<Option<Head>> {
        let seen = head.sequence <= view.sequence().unwrap_or(NOW);
        if let Self::Births(births, tier) = self {
            if seen {
                return Ok((!head.deleted && births.binary_search(&head.birth).is_ok()).then_some(head));
            }
            let then = view.version(kind, id)?;
            return Ok(then.filter(|version| tier_of(version) == Some(*tier)).map(|version| Head::from(&version)));
        }
        let Some(head) = (if seen { Some(head).filter(|head| !head.deleted) } else { view.head(kind, id)? }) else {
            return Ok(None);
        };
        match self {
            Self::Strays => Ok(is_stray(view, id, &head)?.then_some(head)),
            Self::All | Self::Births(..) => Ok(Some(head)),
        }
    }
}

impl Iterator for Members {
    type Item = Result<(String, Head)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.fetch().transpose()
    }
}

enum Gathered {
    Ids(Vec<String>),
    Births(Vec<Sequence>),
}

/// The memories of a tier: of a small one in the present the ids in their order, else their places in the log.
fn gather(view: &View, tier: Tier) -> Result<Gathered> {
    let selection = in_tier(tier);
    let (mut ids, mut births, mut after) = (Vec::new(), Vec::new(), None);
    loop {
        let page = view.vault().storage().select(&selection, after, PAGE)?;
        let Some(last) = page.last() else { break };
        after = Some(Position::from(last));
        births.extend(page.iter().map(|posting| posting.birth));
        if births.len() <= FEW {
            ids.extend(page.into_iter().map(|posting| posting.id));
        }
    }
    if view.sequence().is_some() || births.len() > FEW {
        return Ok(Gathered::Births(births));
    }
    ids.sort_unstable();
    Ok(Gathered::Ids(ids))
}

/// The id of the record of a kind that was created by a log entry, if it is there now.
pub(super) fn born_at(vault: &Vault, kind: Kind, birth: Sequence) -> Result<Option<String>> {
    let before = Position { time: crate::record::Timestamp::default(), birth: birth.saturating_sub(1) };
    let found = vault.storage().select(&Selection::all(kind), Some(before), 1)?;
    Ok(found.into_iter().next().filter(|posting| posting.birth == birth).map(|posting| posting.id))
}
