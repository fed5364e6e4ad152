//! Logs: where the events of `tracing` go, and which of them.
//!
//! Each component has a target: `mirrordna::storage`, `mirrordna::vault`, `mirrordna::verify`, `mirrordna::mount`,
//! `mirrordna::cli`, and `mirrordna::audit` for every change of a vault and every refused one. Private keys and the content
//! of records are in none of them.

mod listen;

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

pub use listen::{Level, Listener, Message, listen};

/// Where logs go, and which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// A level (`off`, `error`, `warn`, `info`, `debug`, `trace`, in any case), or levels by target with commas between
    /// them: `warn,mirrordna::storage=debug`.
    pub level: String,
    /// A file to append to, made with mode 0600; when missing, stderr.
    pub file: Option<PathBuf>,
    /// One JSON object a line.
    pub structured: bool,
    /// Colours; never in JSON.
    pub color: bool,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { level: "warn".to_owned(), file: None, structured: false, color: false }
    }
}

/// Why logs cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// The level cannot be read.
    #[error("log level {level:?}: {reason}; give one of off, error, warn, info, debug, trace, or TARGET=LEVEL")]
    Level {
        /// What was given.
        level: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The file cannot be written to.
    #[error("log file {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Somebody set up logs before.
    #[error("logs are set up already in this process")]
    AlreadySet,
}

/// Sends the events of this process to a file or to stderr, never to stdout.
///
/// # Errors
/// [`ObserveError`]. Then nothing is set up.
pub fn init(options: &LogOptions) -> Result<(), ObserveError> {
    let filter = filter(&options.level)?;
    let writer = match &options.file {
        None => BoxMakeWriter::new(io::stderr),
        Some(path) => BoxMakeWriter::new(Mutex::new(open(path)?)),
    };
    set(options, filter, writer)
}

fn set<W>(options: &LogOptions, filter: EnvFilter, writer: W) -> Result<(), ObserveError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    let set = if options.structured {
        tracing::subscriber::set_global_default(builder.json().flatten_event(true).with_current_span(false).finish())
    } else {
        tracing::subscriber::set_global_default(builder.with_ansi(options.color).finish())
    };
    set.map_err(|_| ObserveError::AlreadySet)
}

fn filter(level: &str) -> Result<EnvFilter, ObserveError> {
    let refused = |reason: String| ObserveError::Level { level: level.to_owned(), reason };
    // A lone word that is not a level would be taken for a target, and nobody would notice.
    let word = level.trim();
    let word = if word.eq_ignore_ascii_case("warning") { "warn" } else { word };
    let name = !word.contains('=') && !word.contains(',');
    if word.is_empty() || name && word.parse::<tracing::level_filters::LevelFilter>().is_err() {
        return Err(refused("it is not known".to_owned()));
    }
    EnvFilter::try_new(word).map_err(|error| refused(error.to_string()))
}

fn open(path: &Path) -> Result<File, ObserveError> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map_err(|source| ObserveError::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_in_any_case_and_by_target() {
        for level in ["off", "ERROR", "Warning", "info", "debug", "trace", "warn,mirrordna::storage=debug"] {
            assert!(filter(level).is_ok(), "{level}");
        }
        for level in ["", "loud", "mirrordna::storage=loud", "warn,=,"] {
            let error = filter(level).map(|_| ()).map_err(|error| error.to_string());
            assert!(error.as_ref().is_err_and(|text| text.contains("log level")), "{level}: {error:?}");
        }
    }

    #[test]
    fn a_log_file_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        open(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(open(dir.path()), Err(ObserveError::File { .. })));
    }
}
