//! Import and export of the files of the protocol's other implementations.
//!
//! | file | read | written |
//! | --- | --- | --- |
//! | `COLLECTION.json` of a store folder: an object from id to record | [`import_store`] | [`export_store`] |
//! | `citations/*.json`, `*.yaml`: one master citation each | [`import_store`] | [`export_store`], as JSON |
//! | timeline files: `timeline.json`, `timeline/*.json` and others that look like one | [`import_store`], [`import_timeline`] | [`export_store`], [`export_timeline`] |
//! | `config/NAME.json` with `NAME.checksum.json` | [`import_store`] verifies them and takes nothing | never |
//! | `NAME.tar.gz`, `NAME.tar.gz.enc`: backups | [`import_backup`] | never |
//! | snapshot files | [`load_snapshot`] verifies them and stores nothing | by [`crate::vault::Snapshots::file`] |
//!
//! Everything is streamed: files of any size are read and written with one record in memory at a time, and an import
//! commits in bounded batches. An import is all or nothing all the same: one that fails, is stopped, or dies with its
//! process leaves the vault with the records that it had. A record that cannot be taken does not fail it, but is named
//! in its [`ImportReport`] with the reason.

mod backup;
mod chains;
mod citations;
mod configs;
mod export;
mod files;
mod import;
mod intake;
mod progress;
mod report;
mod timeline;

pub use backup::import_backup;
pub use configs::{ConfigCheck, ConfigOutcome};
pub use export::{ExportReport, export_store};
pub use files::load_snapshot;
pub use import::{ImportOptions, import_store};
pub use progress::{Progress, Silent};
pub use report::{Counts, Finding, ImportReport, MissingParent, RefusalReason};
pub use timeline::{export_timeline, import_timeline};

/// The largest member of a store or timeline file, and the largest document, that an import reads: 64 MiB of text.
pub const MAX_MEMBER_BYTES: usize = 64 << 20;
