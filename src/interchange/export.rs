//! Exporting a vault as a store folder.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::record::json::{self, Charset};
use crate::record::{Checksum, Kind, RecordError, Value, object};
use crate::storage::{LogEntry, Operation, Sequence};
use crate::vault::{Error, EventQuery, LOG_PAGE, Result, View};

use super::files::{folder_of, io_error, sync_folder, write_through};
use super::progress::{Meter, Progress};
use super::timeline::{self, write_indented};

/// What is said when an export is stopped.
const STOPPED: &str = "nothing was written";
/// The longest name of a file.
const MAX_NAME_BYTES: usize = 255;

/// What an export wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportReport {
    /// The state of the vault that was exported.
    pub sequence: Sequence,
    /// Records of each collection; for the timeline, its events, those included that the log tells.
    pub collections: BTreeMap<Kind, u64>,
    /// Of those, records that break their schema; only a lenient import takes them.
    pub lenient: u64,
}

impl ExportReport {
    /// The report as JSON.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let counts = self.collections.iter().map(|(kind, count)| (kind.collection().to_owned(), (*count).into()));
        object([
            ("sequence", self.sequence.into()),
            ("collections", Value::Object(counts.collect())),
            ("lenient", self.lenient.into()),
        ])
    }
}

/// Writes what a view shows as a store folder: `COLLECTION.json` for each collection that has records, in order of the
/// log; citations as documents in `citations/`; the timeline in `timeline.json`. Importing it into an empty vault gives
/// equal records. Snapshots are about this vault's own log and are not exported.
///
/// `dir` must be new or empty. It appears with all its files on disk, or not at all: they are written into a folder beside
/// it, readable by the user alone, which is renamed in the end. What is exported is one state, also while others write.
///
/// # Errors
/// [`Error::Argument`] when `dir` is not new or empty, [`Error::Io`] when it cannot be written, [`Error::Interrupted`] when
/// `progress` stops it, and those of the storage.
pub fn export_store(view: &View, dir: &Path, progress: &mut dyn Progress) -> Result<ExportReport> {
    check_target(dir)?;
    let vault = view.vault();
    let sequence = match view.sequence() {
        Some(sequence) => sequence,
        None => vault.state_now()?.sequence,
    };
    let view = vault.at(sequence)?;
    let parent = folder_of(dir);
    let folder = tempfile::Builder::new().prefix(".mirrordna-export-").tempdir_in(parent);
    let folder = folder.map_err(|error| io_error(parent, error))?;
    let mut meter = Meter::new(progress, sequence, STOPPED);

    let mut export =
        Export { view: &view, folder: folder.path(), files: BTreeMap::new(), report: ExportReport::default() };
    export.report.sequence = sequence;
    export.records(sequence, &mut meter)?;
    export.timeline(&mut meter)?;
    let report = export.finish()?;

    sync_folder(folder.path())?;
    fs::rename(folder.path(), dir).map_err(|error| io_error(dir, error))?;
    // Renamed, so there is nothing left to be removed.
    let _ = folder.keep();
    sync_folder(parent)?;
    tracing::info!(target: "mirrordna::interchange", dir = %dir.display(), sequence, "exported a store");
    Ok(report)
}

fn check_target(dir: &Path) -> Result<()> {
    let refused = |reason: &str| Err(Error::argument(dir.display().to_string(), reason));
    if dir.file_name().is_none() {
        return refused("it does not end in a name; name the new folder");
    }
    match fs::read_dir(dir).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => refused("it is not empty; choose a new folder, or remove what is in it"),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io_error(dir, error)),
    }
}

struct Export<'a> {
    view: &'a View,
    folder: &'a Path,
    files: BTreeMap<Kind, CollectionFile>,
    report: ExportReport,
}

impl Export<'_> {
    /// Writes the records in order of the log: each one where the log created it as it is in the view. So the order needs
    /// no sorting, in the past as in the present.
    fn records(&mut self, end: Sequence, meter: &mut Meter<'_>) -> Result<()> {
        let mut next = 1;
        while next <= end {
            let page = self.view.vault().log(next, LOG_PAGE)?;
            if page.is_empty() {
                break;
            }
            next += page.len() as u64;
            for entry in page.into_iter().filter(|entry| entry.sequence <= end) {
                meter.at(entry.sequence)?;
                self.record(&entry)?;
            }
        }
        Ok(())
    }

    fn record(&mut self, entry: &LogEntry) -> Result<()> {
        let Some(kind) = entry.kind.filter(|kind| !matches!(kind, Kind::Event | Kind::Snapshot)) else { return Ok(()) };
        if entry.operation != Operation::Create {
            return Ok(());
        }
        // Deleted since, or created once more after a deletion, which is another entry.
        let Some(version) = self.view.version(kind, &entry.id)?.filter(|version| version.birth == entry.sequence)
        else {
            return Ok(());
        };
        let record = json::parse(&version.json).map_err(RecordError::from)?;
        *self.report.collections.entry(kind).or_default() += 1;
        self.report.lenient += u64::from(version.lenient);
        if kind == Kind::Citation {
            return self.citation(&entry.id, &record);
        }
        let file = match self.files.entry(kind) {
            std::collections::btree_map::Entry::Occupied(file) => file.into_mut(),
            std::collections::btree_map::Entry::Vacant(vacant) => {
                vacant.insert(CollectionFile::create(self.folder.join(format!("{}.json", kind.collection())))?)
            }
        };
        file.add(&entry.id, &record)
    }

    fn citation(&self, id: &str, record: &Value) -> Result<()> {
        let folder = self.folder.join(Kind::Citation.collection());
        fs::create_dir_all(&folder).map_err(|error| io_error(&folder, error))?;
        let mut name = format!("{id}.json");
        if name.len() > MAX_NAME_BYTES {
            // The document says itself which one it is.
            name = format!("{}.json", Checksum::of(id.as_bytes()));
        }
        let path = folder.join(name);
        let file = File::create_new(&path).map_err(|error| io_error(&path, error))?;
        write_through(&file, &path, |out| write_indented(out, record, b"").map_err(|error| io_error(&path, error)))
    }

    fn timeline(&mut self, meter: &mut Meter<'_>) -> Result<()> {
        let path = self.folder.join("timeline.json");
        let query = EventQuery { view: Some(self.view.clone()), ..EventQuery::default() };
        let file = File::create_new(&path).map_err(|error| io_error(&path, error))?;
        let mut count = 0;
        write_through(&file, &path, |out| {
            count = timeline::write(self.view.vault(), &query, out, &path, meter)?;
            Ok(())
        })?;
        if count == 0 {
            return fs::remove_file(&path).map_err(|error| io_error(&path, error));
        }
        self.report.collections.insert(Kind::Event, count);
        Ok(())
    }

    fn finish(self) -> Result<ExportReport> {
        for file in self.files.into_values() {
            file.finish()?;
        }
        if self.report.collections.contains_key(&Kind::Citation) {
            sync_folder(&self.folder.join(Kind::Citation.collection()))?;
        }
        Ok(self.report)
    }
}

/// A collection file in the making: an object from id to record, which gets its members one by one.
struct CollectionFile {
    path: PathBuf,
    out: BufWriter<File>,
    empty: bool,
}

impl CollectionFile {
    fn create(path: PathBuf) -> Result<Self> {
        let file = File::create_new(&path).map_err(|error| io_error(&path, error))?;
        Ok(Self { path, out: BufWriter::new(file), empty: true })
    }

    fn add(&mut self, id: &str, record: &Value) -> Result<()> {
        let separator: &[u8] = if self.empty { b"{\n  " } else { b",\n  " };
        self.empty = false;
        let out = &mut self.out;
        let mut write = || {
            out.write_all(separator)?;
            json::write_string(out, id, Charset::Ascii)?;
            out.write_all(b": ")?;
            write_indented(out, record, b"  ")
        };
        write().map_err(|error| io_error(&self.path, error))
    }

    fn finish(mut self) -> Result<()> {
        let end: &[u8] = if self.empty { b"{}" } else { b"\n}" };
        let mut close = || {
            self.out.write_all(end)?;
            self.out.flush()?;
            self.out.get_ref().sync_all()
        };
        close().map_err(|error| io_error(&self.path, error))
    }
}
