//! Importing a store folder.

use std::fs;
use std::path::{Path, PathBuf};

use crate::record::Kind;
use crate::vault::{Error, Result, Vault};

use super::files::{io_error, open_json, stream_error};
use super::intake::Intake;
use super::progress::{Meter, Progress};
use super::report::ImportReport;
use super::{citations, configs, timeline};

/// What is said when an import is stopped.
const STOPPED: &str = "nothing was imported";

/// How records are imported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportOptions {
    /// Records that break their schema, stand under another key than their id, or close a cycle (of sessions that are each
    /// other's parents, or of predecessors or successors) are taken nevertheless, marked so that a verification shows them.
    /// Still refused is what cannot be kept (an id that cannot name a file, a record that is
    /// no object or too large), what is already there with another content, and a citation whose checksum is wrong.
    pub lenient: bool,
}

/// Imports a store folder of the protocol's other implementations, or one that [`super::export_store`] wrote.
///
/// Records keep the order of their file, project no timeline events, and need no parents. Fields that are null where the
/// schema allows no null are read as absent. Equal records that the vault has are skipped. `config/` is verified and not
/// taken. What is refused does not fail the import, but is in the report; of two members of a file with the same key the
/// first one is taken, and a different second one refused.
///
/// # Errors
/// [`Error::Argument`] when the folder holds nothing to import, [`Error::Io`] when a file cannot be read,
/// [`Error::Record`] with file, line and column when one is no JSON object or ends too early, [`Error::Interrupted`] when
/// `progress` stops it, and those of the storage. After an error the vault has the records that it had; so it has after
/// a crash, when it is opened again.
pub fn import_store(
    vault: &Vault,
    dir: &Path,
    options: &ImportOptions,
    progress: &mut dyn Progress,
) -> Result<ImportReport> {
    let survey = Survey::of(dir)?;
    tracing::info!(target: "mirrordna::interchange", dir = %dir.display(), bytes = survey.bytes, "importing a store");
    vault.import(|import| {
        let mut intake = Intake::new(import, options.lenient, Meter::new(progress, survey.bytes, STOPPED));
        for part in &survey.parts {
            intake.enter_file(part.name.clone());
            match part.content {
                Content::Collection(kind) => collection(&mut intake, kind, &part.path)?,
                Content::Citation => citations::import(&mut intake, &part.path, &part.name)?,
                Content::Timeline => timeline::import(&mut intake, &part.path)?,
                Content::Config => intake.report.configs.push(configs::check(&part.path)?),
            }
            intake.meter.finish(part.bytes)?;
        }
        intake.report.ignored = survey.ignored;
        intake.finish()
    })
}

/// Offers each member of a collection file, in the order of the file.
fn collection(intake: &mut Intake<'_, '_>, kind: Kind, path: &Path) -> Result<()> {
    let mut reader = open_json(path)?;
    let failed = |error| stream_error(path, error);
    reader.enter_object().map_err(failed)?;
    while let Some(key) = reader.next_key().map_err(failed)? {
        let value = reader.value().map_err(failed)?;
        intake.offer(kind, &key, value)?;
        intake.meter.at(reader.offset())?;
    }
    reader.end().map_err(failed)
}

/// What a store folder holds, in the order in which it is imported.
struct Survey {
    parts: Vec<Part>,
    ignored: Vec<String>,
    /// Of all parts together.
    bytes: u64,
}

struct Part {
    content: Content,
    path: PathBuf,
    /// The path within the folder.
    name: String,
    bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Content {
    Collection(Kind),
    Citation,
    Timeline,
    Config,
}

impl Survey {
    fn of(dir: &Path) -> Result<Self> {
        let mut survey = Self { parts: Vec::new(), ignored: Vec::new(), bytes: 0 };
        for path in list(dir)? {
            let name = name_of(&path);
            let is_dir = path.is_dir();
            match (name.as_str(), is_dir) {
                ("citations", true) => survey.folder(&path, &["json", "yaml", "yml"], Content::Citation)?,
                ("timeline", true) => survey.folder(&path, &["json"], Content::Timeline)?,
                ("config", true) => survey.folder(&path, &["json"], Content::Config)?,
                (_, false) => match content_of(&path, &name)? {
                    Some(content) => survey.add(content, path, name)?,
                    None => survey.ignored.push(name),
                },
                _ => survey.ignored.push(format!("{name}/")),
            }
        }
        if survey.parts.is_empty() {
            let reason =
                "it holds no store: a store folder has identities.json, sessions.json, memories.json or others";
            return Err(Error::argument(dir.display().to_string(), reason));
        }
        // Sessions before memories, and so on; within one kind of content by name, as the folder was listed.
        survey.parts.sort_by_key(|part| part.content);
        Ok(survey)
    }

    fn folder(&mut self, folder: &Path, extensions: &[&str], content: Content) -> Result<()> {
        for path in list(folder)? {
            let file = name_of(&path);
            let name = format!("{}/{file}", name_of(folder));
            let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
            if content == Content::Config && file.ends_with(".checksum.json") {
                // It is read with its configuration; alone it proves nothing.
                if !path.with_file_name(file.replace(".checksum.json", ".json")).exists() {
                    self.ignored.push(name);
                }
            } else if extensions.contains(&extension.as_str()) && !path.is_dir() {
                self.add(content, path, name)?;
            } else {
                self.ignored.push(name);
            }
        }
        Ok(())
    }

    fn add(&mut self, content: Content, path: PathBuf, name: String) -> Result<()> {
        let bytes = fs::metadata(&path).map_err(|error| io_error(&path, error))?.len();
        self.bytes += bytes;
        self.parts.push(Part { content, path, name, bytes });
        Ok(())
    }
}

/// What a file of a store folder holds, by its name or, for timelines, its first key.
fn content_of(path: &Path, name: &str) -> Result<Option<Content>> {
    let Some(stem) = name.strip_suffix(".json") else { return Ok(None) };
    match Kind::from_collection(stem) {
        Some(Kind::Event) => Ok(Some(Content::Timeline)),
        Some(Kind::Snapshot) => Ok(None),
        Some(kind) => Ok(Some(Content::Collection(kind))),
        None => Ok(timeline::looks_like_one(path)?.then_some(Content::Timeline)),
    }
}

/// What is in a folder, by name.
fn list(dir: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error| io_error(dir, error);
    let entries = fs::read_dir(dir).map_err(failed)?.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = entries.collect::<std::io::Result<Vec<_>>>().map_err(failed)?;
    paths.sort();
    Ok(paths)
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
