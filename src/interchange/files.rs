//! Opening, reading and replacing the files of an interchange.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use crate::record::RecordError;
use crate::record::document::{Format, Proof, SnapshotFile};
use crate::record::json_stream::{JsonReader, StreamError};
use crate::vault::{Error, Result};

use super::MAX_MEMBER_BYTES;

/// Bytes that are read from a file at once.
const BUFFER: usize = 256 << 10;

/// A JSON file that is read piece by piece.
pub(super) type JsonFile = JsonReader<BufReader<File>>;

/// Reads a snapshot file, its own or a foreign one, and verifies its checksum. Nothing is stored. The extension tells JSON
/// from YAML, and the content does when the extension does not.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read; [`Error::Record`] with [`RecordError::Checksum`] naming expected and actual
/// checksum, [`RecordError::Unverified`] when there is none and `proof` asks for one, or what is wrong with the text.
pub fn load_snapshot(path: &Path, proof: Proof) -> Result<SnapshotFile> {
    let mut text = Vec::new();
    open(path)?.read_to_end(&mut text).map_err(|error| io_error(path, error))?;
    let format = Format::of_path(path).unwrap_or_else(|| Format::of_text(&text));
    SnapshotFile::parse(&text, format, proof).map_err(|error| match error {
        error @ (RecordError::Json(_) | RecordError::Yaml { .. }) => malformed(path, &error.to_string()),
        error => error.into(),
    })
}

/// Opens a file for reading. What is no regular file is refused, since opening a pipe would wait for a writer.
pub(super) fn open(path: &Path) -> Result<File> {
    let metadata = fs::metadata(path).map_err(|error| io_error(path, error))?;
    if !metadata.is_file() {
        return Err(malformed(path, "it is not a regular file"));
    }
    File::open(path).map_err(|error| io_error(path, error))
}

/// Opens a JSON file to be read piece by piece.
pub(super) fn open_json(path: &Path) -> Result<JsonFile> {
    Ok(JsonReader::new(BufReader::with_capacity(BUFFER, open(path)?), MAX_MEMBER_BYTES))
}

/// The content of a document, or its size when it has more bytes than a document may have.
pub(super) fn read_document(path: &Path) -> Result<std::result::Result<Vec<u8>, u64>> {
    let file = open(path)?;
    let size = file.metadata().map_err(|error| io_error(path, error))?.len();
    if size > MAX_MEMBER_BYTES as u64 {
        return Ok(Err(size));
    }
    let mut text = Vec::new();
    file.take(MAX_MEMBER_BYTES as u64).read_to_end(&mut text).map_err(|error| io_error(path, error))?;
    Ok(Ok(text))
}

/// Writes a file so that there is either the old one or the whole new one: into a temporary file beside it, which takes
/// its place when it is on disk.
pub(super) fn replace(path: &Path, write: impl FnOnce(&mut BufWriter<&File>) -> Result<()>) -> Result<()> {
    let folder = folder_of(path);
    let temporary = tempfile::NamedTempFile::new_in(folder).map_err(|error| io_error(folder, error))?;
    write_through(temporary.as_file(), path, write)?;
    temporary.persist(path).map_err(|error| io_error(path, error.error))?;
    sync_folder(folder)
}

/// Writes into a new file and brings it to disk. `path` names it in errors.
pub(super) fn write_through(
    file: &File,
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&File>) -> Result<()>,
) -> Result<()> {
    let mut out = BufWriter::with_capacity(BUFFER, file);
    write(&mut out)?;
    out.flush().and_then(|()| file.sync_all()).map_err(|error| io_error(path, error))
}

/// Brings the names in a folder to disk.
pub(super) fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| io_error(folder, error))
}

/// The folder that a path lies in.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

pub(super) fn io_error(path: &Path, source: io::Error) -> Error {
    Error::Io { path: path.to_owned(), source }
}

/// A file is not what it should be.
pub(super) fn malformed(path: &Path, reason: &str) -> Error {
    RecordError::Document { what: path.display().to_string(), reason: reason.to_owned() }.into()
}

/// A JSON file cannot be read any further.
pub(super) fn stream_error(path: &Path, error: StreamError) -> Error {
    match error {
        StreamError::Io(error) => io_error(path, error),
        StreamError::Json(error) => malformed(path, &format!("not valid JSON: {error}")),
    }
}
