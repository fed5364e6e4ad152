//! Proving a repository: that every file is what was written, and that every backup is whole.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::record::id::{IdSource, SystemIds};
use crate::record::{Value, object};
use crate::threads::without_signals;

use super::destination::Folder;
use super::error::{BackupError, Result};
use super::expected;
use super::index::{Index, Indexed};
use super::keys::Name;
use super::lock;
use super::manifest::lost;
use super::pack::{self, Entry};
use super::pool::threads;
use super::progress::{Meter, Phase, Progress};
use super::repository::{Fault, Loaded, Repository};
use super::seal::Kind;
use super::select::Backup;
use super::slot::{Slot, SlotKind};
use super::walk::Walk;

const STOPPED: &str = "nothing was changed";

/// How a repository is verified.
#[derive(Clone, Copy, Debug, Default)]
pub struct VerifyOptions<'a> {
    /// Read so many of a hundred packs, chosen anew each time; none reads all.
    pub sample: Option<u8>,
    /// The directory of a vault that was backed up here, which knows what must be there.
    pub vault: Option<&'a Path>,
}

/// What a verification found.
#[derive(Clone, Debug, Default)]
pub struct VerifyReport {
    /// Each fault.
    pub faults: Vec<Fault>,
    /// Each backup whose manifest can be read, and why it is not whole if it is not.
    pub backups: Vec<(Backup, Option<String>)>,
    /// Packs that are there.
    pub packs: u64,
    /// Packs that were read.
    pub read: u64,
    /// Bytes of these.
    pub bytes: u64,
}

impl VerifyReport {
    /// Nothing is wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.faults.is_empty() && self.backups.iter().all(|(_, problem)| problem.is_none())
    }

    /// As JSON.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let fault = |fault: &Fault| {
            object([("subject", fault.subject.as_str().into()), ("problem", fault.problem.as_str().into())])
        };
        let backup = |(backup, problem): &(Backup, Option<String>)| {
            object([
                ("name", backup.name.as_str().into()),
                ("whole", problem.is_none().into()),
                ("problem", problem.clone().into()),
            ])
        };
        object([
            ("clean", self.is_clean().into()),
            ("packs", self.packs.into()),
            ("read", self.read.into()),
            ("bytes", self.bytes.into()),
            ("faults", self.faults.iter().map(fault).collect()),
            ("backups", self.backups.iter().map(backup).collect()),
        ])
    }
}

/// What reading a pack found.
pub(super) struct Examined {
    /// Its blobs by its own header; none when that is damaged.
    pub(super) header: Option<Vec<Entry>>,
    /// Its file is what was written.
    pub(super) whole: bool,
    /// Sound blobs, as they are sealed, of a pack that is not whole.
    pub(super) salvaged: Vec<(Entry, Vec<u8>)>,
    pub(super) size: u32,
}

impl Repository {
    /// Proves every file, or a sample of the packs, and every backup.
    ///
    /// # Errors
    /// What keeps it from going on; damage is in the report.
    pub fn verify(&self, options: &VerifyOptions<'_>, progress: &mut dyn Progress) -> Result<VerifyReport> {
        let mut report = VerifyReport::default();
        let expected = options.vault.map(|vault| expected::read(vault, self.id())).transpose()?.flatten();
        let (slots, faults) = self.slots()?;
        report.faults.extend(faults);
        report.faults.extend(slots.iter().filter_map(|slot| self.strange(slot)));
        report.faults.extend(lock::faults(self)?);
        let (manifests, notes) = (self.manifests()?, self.notes()?);
        let (index, faults) = self.index()?;
        let named = self.index_files()?;
        report.faults.extend(faults);
        for faults in [&manifests.faults, &notes.faults] {
            report.faults.extend_from_slice(faults);
        }
        let bad = self.packs(&index, &named, options.sample, &mut report, progress)?;
        let mut walk = Walk::new(self, &index);
        let sound = |name: &Name| match index.find(name) {
            Some(location) if bad.contains(&(location.pack, *name)) => {
                let pack = Folder::Packs.shown(&location.pack.to_string());
                Err(BackupError::corrupt(pack, format!("the blob {name} in it is not what it was")))
            }
            _ => Ok(()),
        };
        for (name, manifest) in &manifests.items {
            let problem = match walk.backup(manifest, &sound) {
                Ok(()) => None,
                Err(error) if error.is_damage() => {
                    let Fault { subject, problem } = Fault::of(&error);
                    Some(format!("{subject}: {problem}"))
                }
                Err(error) => return Err(error),
            };
            report.backups.push((Backup::of(name, manifest), problem));
        }
        for name in lost(&manifests.items, &notes.items) {
            let subject = Folder::Backups.shown(&name.to_string());
            report.faults.push(Fault { subject, problem: "it is gone, and nobody deleted it".to_owned() });
        }
        if let Some(problem) = expected.and_then(|expected| expected.lacking(&manifests.items, &notes.items)) {
            report.faults.push(Fault { subject: "the repository as a whole".to_owned(), problem });
        }
        Ok(report)
    }

    /// What is strange about a key slot that is sound in itself.
    fn strange(&self, slot: &Slot) -> Option<Fault> {
        let problem = match slot.hostile() {
            Some(asked) => format!("it asks for {asked}, more than any slot of this program"),
            None if slot.kind == SlotKind::Open && !self.is_plain() => {
                "it needs no secret, and this repository was opened with one: somebody may have put it there".to_owned()
            }
            None => return None,
        };
        Some(Fault { subject: Folder::Keys.shown(&slot.id), problem })
    }

    /// Reads packs, and returns the blobs that are not sound, with the pack that should have them.
    fn packs(
        &self,
        index: &Index,
        named: &Loaded<Vec<Indexed>>,
        sample: Option<u8>,
        report: &mut VerifyReport,
        progress: &mut dyn Progress,
    ) -> Result<HashSet<(Name, Name)>> {
        let mut bad = HashSet::new();
        let listed = self.destination().list(Folder::Packs)?;
        let there: HashMap<&str, u64> = listed.iter().map(|(name, len)| (name.as_str(), *len)).collect();
        let mut entries: HashMap<Name, &[Entry]> = HashMap::new();
        for indexed in named.items.iter().flat_map(|(_, packs)| packs) {
            entries.insert(indexed.pack, &indexed.entries);
        }
        for (pack, size) in index.packs() {
            let problem = match there.get(pack.to_string().as_str()) {
                Some(len) if *len == u64::from(*size) => continue,
                Some(len) => format!("it has {len} bytes instead of {size}"),
                None => "it is missing".to_owned(),
            };
            report.faults.push(Fault { subject: Folder::Packs.shown(&pack.to_string()), problem });
            if !there.contains_key(pack.to_string().as_str()) {
                bad.extend(entries.get(pack).into_iter().flat_map(|blobs| blobs.iter()).map(|blob| (*pack, blob.name)));
            }
        }
        report.packs = listed.len() as u64;
        let chosen = choose(&listed, sample)?;
        let total = chosen.iter().map(|(_, len)| *len).sum();
        let mut meter = Meter::new(progress, Phase::Verifying, total, STOPPED);
        let known = |name: &str| Name::parse(name).and_then(|name| entries.get(&name).copied());
        self.examine_all(&chosen, &known, &mut meter, |name, examined| {
            report.read += 1;
            report.bytes += u64::from(examined.size);
            let subject = Folder::Packs.shown(name);
            if !examined.whole {
                let problem = "its content is not what was stored".to_owned();
                report.faults.push(Fault { subject: subject.clone(), problem });
            }
            let Some(pack) = Name::parse(name) else { return Ok(()) };
            let Some(indexed) = entries.get(&pack) else { return Ok(()) };
            let header =
                examined.header.as_deref().map(|header| header.split_last().map_or(header, |(_, blobs)| blobs));
            if examined.whole && header != Some(*indexed) {
                let problem = "its header and the index differ".to_owned();
                report.faults.push(Fault { subject, problem });
            }
            if !examined.whole {
                let sound: HashSet<Name> = examined.salvaged.iter().map(|(entry, _)| entry.name).collect();
                bad.extend(
                    indexed.iter().map(|blob| blob.name).filter(|name| !sound.contains(name)).map(|name| (pack, name)),
                );
            }
            Ok(())
        })?;
        Ok(bad)
    }

    /// Reads packs on all cores and hands over what each is.
    pub(super) fn examine_all<'e>(
        &self,
        packs: &[(String, u64)],
        known: &(dyn Fn(&str) -> Option<&'e [Entry]> + Sync),
        meter: &mut Meter<'_>,
        mut take: impl FnMut(&str, Examined) -> Result<()>,
    ) -> Result<()> {
        let next = Mutex::new(packs.iter());
        let (answers, examined) = std::sync::mpsc::sync_channel(1);
        std::thread::scope(|scope| {
            for _ in 0..threads() {
                let (answers, next) = (answers.clone(), &next);
                let work = move || {
                    loop {
                        let pack = next.lock().unwrap_or_else(PoisonError::into_inner).next();
                        let Some((name, len)) = pack else { break };
                        if answers.send((name, *len, self.examine(name, known(name)))).is_err() {
                            break;
                        }
                    }
                };
                without_signals(|| scope.spawn(work));
            }
            drop(answers);
            // Also after an error: threads end when nobody listens.
            let examined = examined;
            for (name, len, found) in &examined {
                match found {
                    // It went after it was listed: a prune removed it.
                    Err(BackupError::Missing { .. }) => {}
                    found => take(name, found?)?,
                }
                meter.add(len)?;
            }
            Ok(())
        })
    }

    /// Reads a pack. `known` are its blobs by the index, for a pack whose header is damaged.
    fn examine(&self, name: &str, known: Option<&[Entry]>) -> Result<Examined> {
        let pack = self.destination().read(Folder::Packs, name)?;
        let right = Name::of_file(&pack).to_string() == name;
        let header = pack::read_header(self.sealer(), &pack);
        let size = u32::try_from(pack.len()).unwrap_or(u32::MAX);
        let blobs = header.as_deref().or(known).unwrap_or_default();
        let sealed = |entry: &Entry| {
            let from = usize::try_from(entry.offset).unwrap_or(usize::MAX);
            let to = from.saturating_add(usize::try_from(entry.len).unwrap_or(usize::MAX));
            pack.get(from..to).unwrap_or_default().to_vec()
        };
        let is_sound = |entry: &&Entry| match entry.kind {
            Kind::Padding => self.sealer().open(Kind::Padding, &Name::NONE, sealed(entry)).is_some(),
            kind => self.open_blob(kind, &entry.name, sealed(entry)).is_some(),
        };
        let sound: Vec<&Entry> = blobs.iter().filter(is_sound).collect();
        // The name may be right and what is in it not: the pack was damaged before it got its name.
        let whole = right && header.is_some() && sound.len() == blobs.len();
        let salvaged = sound.into_iter().filter(|entry| !whole && entry.kind != Kind::Padding);
        let salvaged = salvaged.map(|entry| (*entry, sealed(entry))).collect();
        Ok(Examined { header, whole, salvaged, size })
    }
}

/// So many of a hundred, at least one, at random.
fn choose(packs: &[(String, u64)], sample: Option<u8>) -> Result<Vec<(String, u64)>> {
    let Some(percent) = sample.filter(|percent| *percent < 100) else { return Ok(packs.to_vec()) };
    let wanted = (packs.len() * usize::from(percent)).div_ceil(100);
    let mut left = packs.to_vec();
    let mut chosen = Vec::with_capacity(wanted);
    while chosen.len() < wanted && !left.is_empty() {
        let mut bytes = [0; 8];
        SystemIds.fill(&mut bytes)?;
        let at = u64::from_le_bytes(bytes) % left.len() as u64;
        chosen.push(left.swap_remove(usize::try_from(at).unwrap_or(0)));
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::local::LocalFolder;
    use super::super::pack::Pack;
    use super::super::slot::{Cost, Secret};
    use super::*;

    /// What is sound is saved of a pack whose name is that of its damaged content, whatever of it is damaged.
    #[test]
    fn what_is_sound_is_salvaged_of_a_pack_with_the_right_name() {
        let dir = tempfile::TempDir::new().unwrap();
        let folder = Arc::new(LocalFolder::new(dir.path()));
        let repository = Repository::init(folder, &Secret::None, "", Cost::LEAST).unwrap();
        let mut pack = Pack::default();
        for content in [b"one", b"two"] {
            let name = repository.keys().name_of(Kind::Data, content);
            pack.add(Kind::Data, name, &repository.sealer().blob(Kind::Data, &name, content).unwrap());
        }
        let written = pack.close(repository.sealer()).unwrap();
        let second = usize::try_from(written.entries[1].offset).unwrap();
        let header = written.bytes.len() - 5;
        let salvaged = |flipped: Option<usize>| {
            let mut bytes = written.bytes.clone();
            if let Some(at) = flipped {
                bytes[at] ^= 1;
            }
            let name = Name::of_file(&bytes).to_string();
            repository.destination().write(Folder::Packs, &name, &bytes).unwrap();
            let examined = repository.examine(&name, Some(&written.entries)).unwrap();
            (examined.whole, examined.salvaged.into_iter().map(|(entry, _)| entry).collect::<Vec<_>>())
        };
        assert_eq!(salvaged(None), (true, vec![]));
        assert_eq!(salvaged(Some(second)), (false, vec![written.entries[0]]));
        assert_eq!(salvaged(Some(header)), (false, written.entries.clone()));
    }
}
