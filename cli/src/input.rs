//! Reading what the user gives: files, stdin, JSON in arguments, keys.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use mirrordna::crypto::PrivateKey;
use mirrordna::record::document::Format;
use mirrordna::record::{MAX_RECORD_BYTES, RecordError, Value, json};
use mirrordna::storage::StorageError;
use zeroize::Zeroizing;

use crate::error::{Failure, Result};

/// The environment variable that may hold a private key.
pub(crate) const KEY_VARIABLE: &str = "MIRRORDNA_PRIVATE_KEY";
/// The text of a record may be larger than its canonical form, but not without end.
const MAX_TEXT: u64 = 4 * MAX_RECORD_BYTES as u64;
/// A key file holds 44 characters; what is much longer is something else.
const MAX_KEY: u64 = 4_096;

/// Reads a JSON object or value from an argument.
pub(crate) fn json_argument(text: &str) -> std::result::Result<Value, String> {
    json::parse(text.as_bytes()).map_err(|error| format!("not valid JSON: {error}"))
}

/// Reads the name that the library gives to one of several things; help and completions list them.
pub(crate) fn one_of<T, const N: usize>(all: [T; N], name: fn(T) -> &'static str) -> impl TypedValueParser<Value = T>
where
    T: Copy + Send + Sync + 'static,
{
    PossibleValuesParser::new(all.map(name))
        .try_map(move |text| all.into_iter().find(|thing| name(*thing) == text).ok_or("it is none of them"))
}

/// Reads the language of a document: `json` or `yaml`.
pub(crate) fn language() -> impl TypedValueParser<Value = Format> {
    one_of([Format::Json, Format::Yaml], |format| match format {
        Format::Json => "json",
        Format::Yaml => "yaml",
    })
}

/// Whether a path stands for stdin.
fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// All bytes of a file, or of stdin for `-`.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    let read = || if is_stdin(path) { read_all(io::stdin().lock()) } else { read_all(File::open(path)?) };
    read().map_err(|error| Failure::io(path, error))
}

fn read_all(mut source: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of one record from a file, or from stdin for `-`.
fn read_record_text(path: &Path) -> Result<Vec<u8>> {
    let limited = |source: &mut dyn Read| read_all(source.take(MAX_TEXT + 1));
    let read = || if is_stdin(path) { limited(&mut io::stdin().lock()) } else { limited(&mut File::open(path)?) };
    let bytes = read().map_err(|error| Failure::io(path, error))?;
    if bytes.len() as u64 > MAX_TEXT {
        let what = format!("{} has more than {MAX_TEXT} bytes, and a record", path.display());
        return Err(StorageError::Limit { what, limit: MAX_RECORD_BYTES }.into());
    }
    Ok(bytes)
}

/// A record from a JSON or YAML file, or from stdin for `-`.
pub(crate) fn record(path: &Path) -> Result<Value> {
    let text = read_record_text(path)?;
    format_of(path, &text).read(&text).map_err(|source| Failure::Document { path: path.to_owned(), source })
}

/// Text from stdin, without the line break that ends it.
pub(crate) fn text_from_stdin() -> Result<String> {
    let path = Path::new("-");
    let mut text = String::from_utf8(read_record_text(path)?).map_err(|_| {
        let source = RecordError::Document { what: "the text".to_owned(), reason: "it is not valid UTF-8".to_owned() };
        Failure::Document { path: path.to_owned(), source }
    })?;
    if text.ends_with('\n') {
        text.pop();
    }
    Ok(text)
}

/// The language of a document: what its name says, else what it looks like.
pub(crate) fn format_of(path: &Path, text: &[u8]) -> Format {
    Format::of_path(path).unwrap_or_else(|| Format::of_text(text))
}

/// The private key in a file that nobody else may read, or else in [`KEY_VARIABLE`].
pub(crate) fn private_key(path: Option<&Path>) -> Result<PrivateKey> {
    let text = match path {
        Some(path) => key_file(path)?,
        None => key_variable()?,
    };
    Ok(PrivateKey::from_base64(&text).map_err(mirrordna::Error::from)?)
}

fn key_file(path: &Path) -> Result<Zeroizing<String>> {
    let failed = |error| Failure::io(path, error);
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.mode();
    if mode & 0o077 != 0 {
        let (path, mode) = (path.display(), mode & 0o777);
        let reason =
            format!("the key file {path} may be read by others (mode {mode:03o}); first run: chmod 600 {path}");
        return Err(Failure::Key { reason });
    }
    let mut text = Zeroizing::new(String::with_capacity(128));
    file.take(MAX_KEY).read_to_string(&mut text).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => {
            Failure::Key { reason: format!("{} holds no key: it is not text", path.display()) }
        }
        _ => failed(error),
    })?;
    Ok(text)
}

fn key_variable() -> Result<Zeroizing<String>> {
    let key = |reason: String| Failure::Key { reason };
    match std::env::var(KEY_VARIABLE) {
        Ok(text) => Ok(Zeroizing::new(text)),
        Err(std::env::VarError::NotPresent) => {
            Err(Failure::Usage(format!("there is no key to sign with; give --key FILE or set {KEY_VARIABLE}")))
        }
        Err(std::env::VarError::NotUnicode(_)) => Err(key(format!("{KEY_VARIABLE} is not text"))),
    }
}

/// A new file that only its owner may read, made before there is anything to write into it. It is removed again unless it
/// is [`SecretFile::keep`]ed.
pub(crate) struct SecretFile {
    path: PathBuf,
    file: File,
    kept: bool,
}

impl SecretFile {
    /// Makes the file; one that is there is never touched.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|error| {
            if error.kind() == io::ErrorKind::AlreadyExists {
                let reason = format!("{} exists already, and a key file is never overwritten", path.display());
                Failure::io(path, io::Error::new(io::ErrorKind::AlreadyExists, reason))
            } else {
                Failure::io(path, error)
            }
        })?;
        Ok(Self { path: path.to_owned(), file, kept: false })
    }

    /// Writes a line, so that it is on disk, and keeps the file.
    pub(crate) fn keep(mut self, line: &str) -> io::Result<()> {
        self.file.write_all(line.as_bytes())?;
        self.file.write_all(b"\n")?;
        self.file.sync_all()?;
        let dir = self.path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(dir)?.sync_all()?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        if !self.kept {
            // It is empty or useless; that it cannot be removed changes nothing for anybody.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Writes a file as a whole: what was there under its name stays until the new content is on disk.
pub(crate) fn write_file(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let failed = |error| Failure::io(path, error);
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut out = io::BufWriter::new(tempfile::NamedTempFile::new_in(dir).map_err(failed)?);
    write(&mut out).map_err(failed)?;
    let file = out.into_inner().map_err(|error| failed(error.into_error()))?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map(|_| ()).map_err(|error| failed(error.error))
}
