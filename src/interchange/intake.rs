//! One record on its way into the vault: what is wrong with it is found here, and whether it is taken decided.

use crate::record::document::{self, Proof};
use crate::record::json_stream::ValueError;
use crate::record::{Kind, RecordError, Value, id, json, schema};
use crate::storage::prepare;
use crate::vault::{Import, Result, Taken, audit};

use super::chains::{self, Chains};
use super::progress::Meter;
use super::report::{Finding, ImportReport, MissingParent, RefusalReason};

/// An import as the readers of files see it.
pub(super) struct Intake<'a, 'j> {
    import: &'a mut Import<'j>,
    lenient: bool,
    pub(super) meter: Meter<'a>,
    pub(super) report: ImportReport,
    /// Sessions whose parent has not come yet; parents may stand behind their children in the file.
    orphans: Vec<MissingParent>,
    chains: Chains,
    /// The file that is read, by its name in the store folder.
    file: String,
}

/// A record as it will be stored.
struct Candidate {
    value: Value,
    /// Fields that may not be null were, and are absent now.
    repaired: bool,
    /// Why only a lenient import takes it.
    broken: Option<RefusalReason>,
}

impl<'a, 'j> Intake<'a, 'j> {
    pub(super) fn new(import: &'a mut Import<'j>, lenient: bool, meter: Meter<'a>) -> Self {
        let report = ImportReport::default();
        Self { import, lenient, meter, report, orphans: Vec::new(), chains: Chains::default(), file: String::new() }
    }

    /// From now on records come from this file.
    pub(super) fn enter_file(&mut self, name: String) {
        self.file = name;
    }

    /// Takes, skips or refuses a record that stands under `key`. What is wrong with it goes to the report.
    ///
    /// # Errors
    /// Those of the storage.
    pub(super) fn offer(&mut self, kind: Kind, key: &str, value: std::result::Result<Value, ValueError>) -> Result<()> {
        match value.map_err(RefusalReason::from).and_then(|value| examine(kind, key, value)) {
            Ok(candidate) => self.take(kind, key, candidate),
            Err(reason) => {
                self.refuse(kind, key, reason);
                Ok(())
            }
        }
    }

    /// Reports a record that is not taken.
    pub(super) fn refuse(&mut self, kind: Kind, id: &str, reason: RefusalReason) {
        let id = id::readable(id);
        tracing::warn!(
            target: audit::TARGET,
            action = "import",
            collection = kind.collection(),
            id,
            file = self.file,
            actor = self.import.vault().actor(),
            refused = %reason,
        );
        self.report.collections.entry(kind).or_default().refused += 1;
        self.report.refused.push(Finding { file: self.file.clone(), kind, id, reason });
    }

    /// The report of an import that is complete but for its last commit.
    pub(super) fn finish(mut self) -> Result<ImportReport> {
        for orphan in std::mem::take(&mut self.orphans) {
            if !self.import.has(Kind::Session, &orphan.parent_session_id)? {
                self.report.missing_parents.push(orphan);
            }
        }
        Ok(self.report)
    }

    fn take(&mut self, kind: Kind, id: &str, candidate: Candidate) -> Result<()> {
        let Candidate { value, repaired, mut broken } = candidate;
        if broken.is_none() && chains::names_another(kind, &value) && !self.import.has(kind, id)? {
            broken = self.chains.refusal(self.import.vault(), kind, id, &value)?;
        }
        if !self.lenient
            && let Some(reason) = broken
        {
            self.refuse(kind, id, reason);
            return Ok(());
        }
        let prepared = match prepare(kind, id, &value, broken.is_some()) {
            Ok(prepared) => prepared,
            Err(error) => {
                self.refuse(kind, id, error.into());
                return Ok(());
            }
        };
        let taken = match kind {
            // The log tells some events itself, and an exported timeline shows them as if they were records.
            Kind::Event => match self.import.vault().timeline().told(id)? {
                None => self.import.add(kind, id, prepared)?,
                Some(told) if told == value => Taken::Equal,
                Some(_) => Taken::Conflict,
            },
            _ => self.import.add(kind, id, prepared)?,
        };
        let counts = self.report.collections.entry(kind).or_default();
        match taken {
            Taken::Equal => counts.skipped += 1,
            Taken::Conflict => {
                self.refuse(kind, id, RefusalReason::Conflict);
                return Ok(());
            }
            Taken::New => {
                counts.taken += 1;
                self.chains.add(self.import.vault(), kind, id, &value)?;
                if let Some(reason) = broken {
                    counts.lenient += 1;
                    self.report.lenient.push(Finding { file: self.file.clone(), kind, id: id.to_owned(), reason });
                }
            }
        }
        if let Some(counts) = self.report.collections.get_mut(&kind) {
            counts.repaired += u64::from(repaired);
        }
        self.note_parent(kind, id, &value, taken)
    }

    fn note_parent(&mut self, kind: Kind, id: &str, value: &Value, taken: Taken) -> Result<()> {
        if let (Kind::Session, Taken::New, Some(parent)) = (kind, taken, value.str_at("parent_session_id"))
            && !self.import.has(Kind::Session, parent)?
        {
            let parent_session_id = parent.to_owned();
            self.orphans.push(MissingParent { session_id: id.to_owned(), parent_session_id });
        }
        Ok(())
    }
}

/// Looks a record over. An error means that it cannot be taken at all.
fn examine(kind: Kind, key: &str, value: Value) -> std::result::Result<Candidate, RefusalReason> {
    id::check_storable(kind, key)?;
    let Some(document) = value.as_object() else { return Err(RecordError::NotAnObject { kind }.into()) };
    if kind == Kind::Citation {
        // A citation without a checksum breaks its schema; one with a wrong one was tampered with, which nothing excuses.
        document::verify(&format!("{kind} {:?}", id::readable(key)), document, Proof::Optional)?;
    }
    let broken = match obeys(kind, &value) {
        Ok(()) => return Ok(Candidate { broken: mismatch(kind, key, &value), value, repaired: false }),
        Err(broken) => broken,
    };
    let mut repaired = value.clone();
    schema::drop_disallowed_nulls(kind, &mut repaired);
    // The checksum of a citation is over its nulls too: when it does not hold without them, they stay.
    if repaired == value || !keeps_its_proof(kind, &repaired) {
        return Ok(Candidate { value, repaired: false, broken: Some(broken.into()) });
    }
    let broken = obeys(kind, &repaired).err().map(RefusalReason::from).or_else(|| mismatch(kind, key, &repaired));
    Ok(Candidate { value: repaired, repaired: true, broken })
}

fn obeys(kind: Kind, value: &Value) -> std::result::Result<(), RecordError> {
    schema::validate(kind, value)?;
    id::check(kind, value.str_at(kind.id_field()).unwrap_or_default())
}

fn keeps_its_proof(kind: Kind, value: &Value) -> bool {
    let proven = |document| document::verify("", document, Proof::Optional).is_ok();
    kind != Kind::Citation || value.as_object().is_some_and(proven)
}

/// A record that stands under another key than its own id.
fn mismatch(kind: Kind, key: &str, value: &Value) -> Option<RefusalReason> {
    let field = kind.id_field();
    let found = value.get(field).unwrap_or(&Value::Null);
    if found.as_str() == Some(key) {
        return None;
    }
    let found = json::to_vec(found, json::Layout::Compact, json::Charset::Unicode);
    let found = id::readable(&String::from_utf8_lossy(&found));
    Some(RefusalReason::Key { key: id::readable(key), field, found })
}
