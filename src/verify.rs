//! Proving a vault: every record against its checksum and schema, heads and indexes against the versions, the log against
//! its Merkle root.
//!
//! A verification opens the vault for reading alone, or asks the process that has it open, and changes nothing. A repair
//! makes what is derived again, from the log and the versions, which it never touches.

use std::path::Path;

use crate::record::{Checksum, Inode, Kind, Value, checksum, json, object, schema};
use crate::storage::{
    CheckSink, Fault, NOW, RecordFile, RocksStorage, Sequence, SharedStorage, Storage, StorageError, Term, Version,
    missing_time, record_file, terms_of,
};
use crate::vault::{Result, VaultOptions, audit, recovery};

/// A report lists this many faults; the rest is counted.
pub const MAX_LISTED: usize = 10_000;

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Each fault, at most [`MAX_LISTED`] of them.
    pub faults: Vec<Fault>,
    /// How many faults there are.
    pub fault_count: u64,
    /// Records that break their schema and were imported all the same: kind, id.
    pub lenient: Vec<(Kind, String)>,
    /// Log entries.
    pub entries: Sequence,
    /// Versions that were read and are sound in themselves.
    pub versions: u64,
    /// Merkle root over the log; none when the vault cannot be opened at all.
    pub root: Option<Checksum>,
    /// The id of the vault, when it can be opened.
    pub vault_id: Option<String>,
}

impl Report {
    /// Nothing is wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.fault_count == 0
    }

    /// Everything that is wrong is derived data, so that a repair helps.
    #[must_use]
    pub fn is_repairable(&self) -> bool {
        !self.is_clean()
            && self.fault_count == self.faults.len() as u64
            && self.faults.iter().all(|fault| fault.derived)
    }

    /// The report as JSON.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let fault = |fault: &Fault| {
            object([
                ("subject", fault.subject.as_str().into()),
                ("problem", fault.problem.as_str().into()),
                ("derived", fault.derived.into()),
            ])
        };
        let lenient = |(kind, id): &(Kind, String)| {
            object([("collection", kind.collection().into()), ("id", id.as_str().into())])
        };
        object([
            ("clean", self.is_clean().into()),
            ("vault_id", self.vault_id.clone().into()),
            ("entries", self.entries.into()),
            ("versions", self.versions.into()),
            ("root", self.root.map(|root| root.to_string()).into()),
            ("fault_count", self.fault_count.into()),
            ("faults", self.faults.iter().map(fault).collect()),
            ("lenient", self.lenient.iter().map(lenient).collect()),
        ])
    }

    fn fault(&mut self, fault: Fault) {
        tracing::error!(target: "mirrordna::verify", subject = fault.subject, problem = fault.problem, "fault");
        self.fault_count += 1;
        if self.faults.len() < MAX_LISTED {
            self.faults.push(fault);
        }
    }
}

/// Verifies the vault in a directory, or asks the process to do so that has it open. `progress` is told how many steps of how many are done.
///
/// # Errors
/// What keeps the vault from being looked at, as [`StorageError::NotAVault`] or [`StorageError::Locked`]. Damage is not
/// an error but in the report, even when nothing can be opened.
pub fn verify(dir: &Path, options: &VaultOptions, progress: &mut dyn FnMut(u64, u64)) -> Result<Report> {
    match SharedStorage::inspect(dir, &options.storage(), recovery(options)) {
        Ok(storage) => verify_storage(&*storage, progress),
        Err(StorageError::Corrupt { what, detail }) => {
            let mut report = Report::default();
            report.fault(Fault { subject: what, problem: detail, derived: false });
            Ok(report)
        }
        Err(error) => Err(error.into()),
    }
}

/// Verifies an open storage.
///
/// # Errors
/// What keeps the check from going on.
pub fn verify_storage(storage: &dyn Storage, progress: &mut dyn FnMut(u64, u64)) -> Result<Report> {
    storage.settle()?;
    let state = storage.state_now()?;
    let mut report = Report {
        entries: state.sequence,
        root: Some(state.root),
        vault_id: Some(storage.vault_id().to_owned()),
        ..Report::default()
    };
    let pins = pins(storage, &mut report);
    let sequences: Vec<_> = pins.iter().map(|pin| pin.sequence).collect();
    storage.check(&sequences, &mut Sink { report: &mut report, progress })?;
    for pin in pins {
        let subject = format!("snapshot {}", pin.id);
        match storage.root(pin.sequence) {
            Ok(root) if root == pin.root => {}
            Ok(root) => {
                let problem = format!("it pins the root {}, but the log has {root} there", pin.root);
                report.fault(Fault { subject, problem, derived: false });
            }
            Err(error) => report.fault(Fault { subject, problem: error.to_string(), derived: false }),
        }
    }
    Ok(report)
}

/// Makes heads, indexes and Merkle tiles again from the log and the versions, and verifies the vault.
///
/// # Errors
/// [`StorageError::Corrupt`] when log or versions themselves are damaged, so that nothing can be derived from them; then
/// nothing but derived data was dropped. [`StorageError::Locked`] when another process has the vault open: a repair must be
/// alone with it. And the errors of opening.
pub fn repair(dir: &Path, options: &VaultOptions, progress: &mut dyn FnMut(u64, u64)) -> Result<Report> {
    RocksStorage::repair(dir, &options.storage())
        .inspect_err(|error| audit::vault_refused("repair", &dir.display(), &options.actor, error))?;
    tracing::info!(target: audit::TARGET, action = "repair", dir = %dir.display(), actor = options.actor);
    verify(dir, options, progress)
}

/// What a snapshot pins, as far as a verification needs it.
struct Pinned {
    id: String,
    sequence: Sequence,
    root: Checksum,
}

fn pins(storage: &dyn Storage, report: &mut Report) -> Vec<Pinned> {
    let mut pins = Vec::new();
    let mut after: Option<String> = None;
    loop {
        // A head that cannot be read is named by the check itself.
        let page = storage.heads(Kind::Snapshot, after.as_deref(), 256).unwrap_or_default();
        let Some((last, _)) = page.last() else { return pins };
        after = Some(last.clone());
        for (id, _) in page.into_iter().filter(|(_, head)| !head.deleted) {
            let Ok(Some(version)) = storage.version(Kind::Snapshot, &id, NOW) else { continue };
            let record = json::parse(&version.json).unwrap_or_default();
            let sequence = record.get("sequence").and_then(Value::as_i64).and_then(|sequence| sequence.try_into().ok());
            let root = record.str_at("root").and_then(Checksum::parse);
            match (sequence, root) {
                (Some(sequence), Some(root)) => pins.push(Pinned { id, sequence, root }),
                _ => report.fault(Fault {
                    subject: format!("snapshot {id}"),
                    problem: "what it pins cannot be read".to_owned(),
                    derived: false,
                }),
            }
        }
    }
}

struct Sink<'a> {
    report: &'a mut Report,
    progress: &'a mut dyn FnMut(u64, u64),
}

impl CheckSink for Sink<'_> {
    fn progress(&mut self, done: u64, total: u64) {
        (self.progress)(done, total);
    }

    fn fault(&mut self, fault: Fault) {
        self.report.fault(fault);
    }

    fn version(&mut self, kind: Kind, id: &str, version: &Version) {
        self.report.versions += 1;
        if version.deleted {
            return;
        }
        if let Err(problem) = meaning(kind, id, version) {
            let subject = format!("{kind} {id} at sequence {}", version.sequence);
            self.report.fault(Fault { subject, problem, derived: false });
        }
        if version.lenient && self.report.lenient.len() < MAX_LISTED {
            self.report.lenient.push((kind, id.to_owned()));
        }
    }
}

/// As [`meaning`], for an inode.
fn inode_meaning(id: &str, version: &Version, record: &Value) -> std::result::Result<(), String> {
    let inode = Inode::from_value(record)?;
    if inode.ino.to_string() != id {
        return Err("its ino is not its id".to_owned());
    }
    if inode.is_orphan() != version.archived {
        return Err("it is marked as an orphan and has names, or the other way round".to_owned());
    }
    let sound = version.file == RecordFile::NONE && version.terms.iter().all(|(_, term)| *term == Term::All);
    if sound { Ok(()) } else { Err("it is indexed as if it were a record".to_owned()) }
}

/// Whether a version, whose bytes are sound, is what a vault would have written.
fn meaning(kind: Kind, id: &str, version: &Version) -> std::result::Result<(), String> {
    let record = json::parse(&version.json).map_err(|error| format!("it is not valid JSON: {error}"))?;
    if checksum::canonical(&record) != version.json {
        return Err("it is not in canonical form".to_owned());
    }
    if kind == Kind::Artifact {
        return inode_meaning(id, version, &record);
    }
    if record.str_at(kind.id_field()) != Some(id) && !version.lenient {
        return Err(format!("its {} is not its id", kind.id_field()));
    }
    if !version.lenient {
        schema::validate(kind, &record).map_err(|error| error.to_string())?;
    }
    let file = record_file(&record);
    if version.file.len != file.len() as u64 || version.file.sha256 != Checksum::of(&file) {
        return Err("length or SHA-256 of its file are not those of the record".to_owned());
    }
    let mut terms = terms_of(kind, &record);
    terms.extend(missing_time(kind, &terms, version.time));
    let stored = version.terms.iter().filter(|(_, term)| *term != Term::All);
    if !stored.eq(terms.iter()) {
        return Err("its index terms are not those of the record".to_owned());
    }
    Ok(())
}
