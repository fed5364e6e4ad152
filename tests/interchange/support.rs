//! Stores made of text, and what became of them.

use std::fs;
use std::path::{Path, PathBuf};

use mirrordna::interchange::{ImportOptions, ImportReport, Silent, import_store};
use mirrordna::record::{Kind, Value};
use mirrordna::vault::Filter;
use mirrordna::{Error, Vault};

pub(crate) use crate::fixture::{AGENT, Fixture, USER, options};

pub(crate) const STRICT: ImportOptions = ImportOptions { lenient: false };
pub(crate) const LENIENT: ImportOptions = ImportOptions { lenient: true };

impl Fixture {
    /// Writes files of a store into a new folder and returns its path.
    pub(crate) fn store(&self, files: &[(&str, &[u8])]) -> PathBuf {
        let folder = tempfile::tempdir_in(self.dir.path()).unwrap().keep();
        for (name, content) in files {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        folder
    }

    pub(crate) fn import(&self, store: &Path, options: ImportOptions) -> Result<ImportReport, Error> {
        import_store(&self.vault, store, &options, &mut Silent)
    }

    /// The ids of a kind, in order of the log.
    pub(crate) fn ids(&self, kind: Kind) -> Vec<String> {
        ids(&self.vault, kind, &Filter::default())
    }

    /// Closes the vault and opens it again.
    pub(crate) fn reopen(self) -> Self {
        let Self { dir, vault } = self;
        drop(vault);
        let vault = Vault::open(&dir.path().join("vault"), &options()).unwrap();
        Self { dir, vault }
    }
}

pub(crate) fn ids(vault: &Vault, kind: Kind, filter: &Filter) -> Vec<String> {
    vault.list(kind, filter).unwrap().map(|record| record.unwrap().id).collect()
}

/// Every record of the store kinds, and every event, under its id.
pub(crate) fn everything(vault: &Vault) -> Vec<(Kind, String, Value)> {
    let view = vault.present();
    let kinds = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Snapshot);
    kinds
        .flat_map(|kind| view.records(kind).map(Result::unwrap).collect::<Vec<_>>())
        .map(|record| (record.kind, record.id, record.value))
        .collect()
}

/// The text of a memory.
pub(crate) fn memory(id: &str, content: &str) -> String {
    format!(
        r#"{{"memory_id":"{id}","tier":"short_term","content":"{content}","source":{{"session_id":"sess_000000000001",
        "timestamp":"2025-01-01T00:00:00Z","agent_id":"{AGENT}","user_id":"{USER}"}}}}"#
    )
}

/// The text of a session.
pub(crate) fn session(id: &str, parent: Option<&str>) -> String {
    let parent = parent.map_or("null".to_owned(), |parent| format!("\"{parent}\""));
    format!(
        r#"{{"session_id":"{id}","parent_session_id":{parent},"agent_id":"{AGENT}","user_id":"{USER}",
        "started_at":"2025-01-01T00:00:00Z","ended_at":null}}"#
    )
}

/// The text of a collection file with these members.
pub(crate) fn collection<'a>(members: impl IntoIterator<Item = (&'a str, String)>) -> Vec<u8> {
    let members: Vec<_> = members.into_iter().map(|(key, text)| format!("{key}: {text}")).collect();
    format!("{{{}}}", members.join(",\n")).into_bytes()
}

/// A collection file of `count` sound memories.
pub(crate) fn memories(count: usize) -> Vec<u8> {
    let members: Vec<_> = (0..count)
        .map(|n| {
            let id = format!("mem_{n:012}");
            format!("\"{id}\": {}", memory(&id, &format!("memory {n}")))
        })
        .collect();
    format!("{{{}}}", members.join(",\n")).into_bytes()
}
