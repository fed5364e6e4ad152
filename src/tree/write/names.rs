//! What a name in a directory stands for, when somebody wants to write there.

use std::ffi::OsStr;

use crate::record::{Kind, id};

use super::super::listing::fixed_entries;
use super::super::node::{At, Directory, Item, Node};
use super::{Refusal, Written};

/// A name in a directory of the present that can be written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// `<id>.json`
    Record { directory: Directory, kind: Kind, id: String },
    /// Any other name.
    Scratch { directory: Directory, name: String },
}

impl Place {
    /// What a name stands for.
    pub(super) fn of(parent: &Node, name: &OsStr) -> Written<Self> {
        let shown = path(parent, name);
        let Item::Directory(directory) = parent.item else {
            return Err(Refusal::Missing { path: shown });
        };
        if let At::Past(_) = parent.at {
            return Err(Refusal::Past { path: shown });
        }
        let Some(kind) = directory.kind().filter(|_| holds_records(directory)) else {
            return Err(Refusal::NotPermitted { path: shown, reason: why_not(directory) });
        };
        let Some(name) = name.to_str() else {
            return Err(Refusal::Misfit { path: shown, reason: "a name here must be UTF-8".to_owned() });
        };
        if fixed_entries(&parent.at, directory).iter().any(|(_, fixed, _)| *fixed == name) {
            return Err(Refusal::NotPermitted { path: shown, reason: "the vault makes it; it cannot be changed" });
        }
        Ok(match record_id(name) {
            Some(id) => Self::Record { directory, kind, id: id.to_owned() },
            None => Self::Scratch { directory, name: name.to_owned() },
        })
    }

    /// Refuses a name under which there can be no record, before somebody has written a text for it.
    pub(super) fn check_new(&self) -> Written<()> {
        let Self::Record { directory, kind, id } = self else { return Ok(()) };
        if *directory == Directory::Collection(Kind::Memory) {
            let reason = "a memory is written into short_term, long_term or episodic";
            return Err(Refusal::NotPermitted { path: self.to_string(), reason });
        }
        id::check(*kind, id).map_err(|error| Refusal::Misfit {
            path: self.to_string(),
            reason: format!("{error}; a file that is to be no record needs a name without .json"),
        })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Record { directory, id, .. } => write!(f, "{directory}{id}.json"),
            Self::Scratch { directory, name } => write!(f, "{directory}{name}"),
        }
    }
}

/// The id in a record's name. Dotfiles are what tools put beside a file.
fn record_id(name: &str) -> Option<&str> {
    name.strip_suffix(".json").filter(|_| !name.starts_with('.'))
}

/// Whether the files in a directory are those of its records, which can be written.
pub(super) fn holds_records(directory: Directory) -> bool {
    match directory {
        Directory::Root | Directory::Artifacts | Directory::Vault => false,
        Directory::Tier(_) => true,
        Directory::Collection(kind) => match kind {
            Kind::Event | Kind::Snapshot | Kind::Artifact => false,
            Kind::Identity
            | Kind::Session
            | Kind::Memory
            | Kind::AgentDna
            | Kind::Reflection
            | Kind::Citation
            | Kind::Entry
            | Kind::AgentLink
            | Kind::Glyph => true,
        },
    }
}

fn why_not(directory: Directory) -> &'static str {
    match directory {
        Directory::Root => "the vault makes what is here; records go into the directories of their collections",
        Directory::Artifacts => {
            "artifacts were mounted here and are not any more; unmount the vault and mount it again"
        }
        Directory::Vault => "the vault makes what is here",
        Directory::Collection(Kind::Event) => {
            "the timeline is made from the log; an event is appended to it, and not written as a file"
        }
        Directory::Collection(Kind::Snapshot) => {
            "a snapshot is created and deleted as a whole, and not written as a file"
        }
        Directory::Collection(_) | Directory::Tier(_) => "it cannot be changed",
    }
}

/// A path for messages.
pub(super) fn path(parent: &Node, name: &OsStr) -> String {
    match parent.item {
        Item::Directory(_) => format!("{parent}{}", name.to_string_lossy()),
        _ => format!("{parent}/{}", name.to_string_lossy()),
    }
}

#[cfg(test)]
mod tests {
    use crate::vault::Tier;

    use super::*;

    fn place(directory: Directory, name: &str) -> Written<Place> {
        Place::of(&Node::directory(directory), OsStr::new(name))
    }

    #[test]
    fn names_of_records_end_in_json_and_begin_with_no_dot() {
        let tier = Directory::Tier(Tier::LongTerm);
        for name in ["mem_0123456789ab.json", "anything.json"] {
            assert!(matches!(place(tier, name), Ok(Place::Record { kind: Kind::Memory, .. })), "{name}");
        }
        for name in [
            ".mem_0123456789ab.json",
            "mem_x.json~",
            "mem_x.json.tmp",
            ".mem_x.json.swp",
            "sedAbCdEf",
            "4913",
            "a.JSON",
        ] {
            assert!(matches!(place(tier, name), Ok(Place::Scratch { .. })), "{name}");
        }
    }

    #[test]
    fn what_the_vault_makes_is_not_written() {
        for directory in [
            Directory::Root,
            Directory::Artifacts,
            Directory::Vault,
            Directory::Collection(Kind::Event),
            Directory::Collection(Kind::Snapshot),
        ] {
            assert!(matches!(place(directory, "x"), Err(Refusal::NotPermitted { .. })), "{directory}");
        }
        for (directory, name) in [
            (Directory::Tier(Tier::LongTerm), "SHA256SUMS"),
            (Directory::Collection(Kind::Memory), "short_term"),
            (Directory::Collection(Kind::Identity), "SHA256SUMS"),
        ] {
            assert!(matches!(place(directory, name), Err(Refusal::NotPermitted { .. })), "{directory}{name}");
        }
    }

    #[test]
    fn a_new_record_has_an_id_of_its_kind_and_a_memory_a_tier() {
        let check = |directory, name: &str| place(directory, name).unwrap().check_new();
        let tier = Directory::Tier(Tier::LongTerm);
        assert!(check(tier, "mem_0123456789ab.json").is_ok());
        assert!(matches!(check(tier, "notes.json"), Err(Refusal::Misfit { .. })));
        assert!(matches!(check(tier, "sess_0123456789ab.json"), Err(Refusal::Misfit { .. })));
        let memories = Directory::Collection(Kind::Memory);
        assert!(matches!(check(memories, "mem_0123456789ab.json"), Err(Refusal::NotPermitted { .. })));
        assert!(check(memories, "scratch").is_ok());
    }
}
