//! What a writer was told, held against the vault that is found afterwards.

use std::collections::BTreeMap;
use std::path::Path;

use mirrordna::record::{Checksum, Kind, Value};
use mirrordna::storage::Sequence;
use mirrordna::vault::Filter;
use mirrordna::{Vault, VaultOptions, verify};

use crate::writer::BATCH;

/// One acknowledgement.
#[derive(Clone, Debug)]
pub(crate) struct Ack {
    /// It was acknowledged with `Durability::Sync`.
    pub(crate) sync: bool,
    pub(crate) kind: Kind,
    pub(crate) id: String,
    pub(crate) sequence: Sequence,
    pub(crate) checksum: Checksum,
}

impl Ack {
    /// The line that a writer prints.
    pub(crate) fn line(&self) -> String {
        let durability = if self.sync { "sync" } else { "buffered" };
        let Self { kind, id, sequence, checksum, .. } = self;
        format!("ack {durability} {} {id} {sequence} {checksum}", kind.collection())
    }

    /// Reads such a line. A line that was cut off by the kill is not an acknowledgement.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("ack ")?.split(' ');
        let sync = words.next()? == "sync";
        let collection = words.next()?;
        let kind = Kind::STORED.into_iter().find(|kind| kind.collection() == collection)?;
        let id = words.next()?.to_owned();
        let sequence = words.next()?.parse().ok()?;
        let checksum = Checksum::parse(words.next()?)?;
        Some(Self { sync, kind, id, sequence, checksum })
    }
}

/// Opens the vault, verifies it, and looks for what was acknowledged: everything up to the last acknowledgement that must
/// have survived, and of the rest a whole beginning. Returns how many acknowledgements are gone, and says what is wrong.
pub(crate) fn hold_against(dir: &Path, acks: &[Ack], survives: impl Fn(&Ack) -> bool) -> Result<usize, String> {
    let options = VaultOptions::default();
    let vault = Vault::open(dir, &options).map_err(|error| format!("it does not open: {error}"))?;
    let end = vault.state().sequence;
    // Durable means that everything before is durable too.
    let must = acks.iter().filter(|ack| survives(ack)).map(|ack| ack.sequence).max().unwrap_or(0);
    let mut lost = 0;
    for ack in acks {
        match vault.storage().version(ack.kind, &ack.id, ack.sequence) {
            Ok(Some(version)) if version.sequence == ack.sequence && version.checksum == ack.checksum => {
                if lost > 0 && ack.sequence > must {
                    return Err(format!("{} {} is there although one before it is gone", ack.kind, ack.id));
                }
            }
            Ok(_) if ack.sequence <= must => {
                return Err(format!("{} {} was acknowledged at {} and is lost", ack.kind, ack.id, ack.sequence));
            }
            Ok(_) => lost += 1,
            Err(error) => return Err(format!("{} {}: {error}", ack.kind, ack.id)),
        }
    }
    for pin in vault.snapshots().list().map_err(|error| error.to_string())? {
        let root = vault.storage().root(pin.sequence).map_err(|error| error.to_string())?;
        if pin.sequence > end || root != pin.root {
            return Err(format!("snapshot {} pins {}, which did not survive", pin.id, pin.sequence));
        }
    }
    whole_batches(&vault)?;
    drop(vault);
    let report = verify::verify(dir, &options, &mut |_, _| {}).map_err(|error| error.to_string())?;
    if report.is_clean() { Ok(lost) } else { Err(format!("verify: {:?}", report.faults)) }
}

/// Of each batch that was written all memories are there, with what was changed in it, or none.
fn whole_batches(vault: &Vault) -> Result<(), String> {
    let mut found: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for record in vault.list(Kind::Memory, &Filter::default()).map_err(|error| error.to_string())? {
        let record = record.map_err(|error| error.to_string())?;
        let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let Some(batch) = record.value.get("metadata").and_then(|metadata| text(metadata, "batch")) else { continue };
        let (memories, changed) = found.entry(batch).or_default();
        *memories += 1;
        *changed += u64::from(text(&record.value, "content").is_some_and(|content| content.ends_with(" in its batch")));
    }
    match found.iter().find(|(_, found)| **found != (BATCH, 1)) {
        Some((batch, found)) => Err(format!("of batch {batch} there are so many memories, and changes: {found:?}")),
        None => Ok(()),
    }
}
