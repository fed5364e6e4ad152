//! Vaults with a repeatable clock, stores made of text, and where the golden data lie.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mirrordna::interchange::{ImportOptions, ImportReport, Silent, import_store};
use mirrordna::record::id::SeededIds;
use mirrordna::record::time::SteppingClock;
use mirrordna::record::{Kind, Timestamp, Value, json};
use mirrordna::vault::Filter;
use mirrordna::{Error, Vault, VaultOptions};

pub(crate) const STRICT: ImportOptions = ImportOptions { lenient: false };
pub(crate) const LENIENT: ImportOptions = ImportOptions { lenient: true };

pub(crate) const AGENT: &str = "mdna_agt_0123456789abcdef";
pub(crate) const USER: &str = "mdna_usr_0123456789abcdef";

/// The folders of golden data: the copy that always runs, and the original when it is there.
pub(crate) fn golden_folders() -> Vec<PathBuf> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/store")];
    folders.extend(shared("golden"));
    folders
}

/// A folder or file beside the checkout; says so when it is missing.
pub(crate) fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("NOT TESTED against {}: it is missing", path.display());
    None
}

pub(crate) fn read_json(path: &Path) -> Value {
    let text = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    json::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A new vault in a directory of its own, with a repeatable clock and ids.
pub(crate) struct Fixture {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) vault: Vault,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::create(&dir.path().join("vault"), &options()).unwrap();
        Self { dir, vault }
    }

    /// The path of something beside the vault.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

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

pub(crate) fn options() -> VaultOptions {
    let start = Timestamp::parse("2025-06-01T12:00:00Z").unwrap();
    VaultOptions {
        clock: Arc::new(SteppingClock::new(start, 1_000)),
        ids: Arc::new(SeededIds::new(7)),
        ..VaultOptions::default()
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
