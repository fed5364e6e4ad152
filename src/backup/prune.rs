//! Removing what no backup needs, in two phases: what shall go is marked, and removed once nobody can rely on it any more.

use std::collections::{HashMap, HashSet};

use crate::record::{Timestamp, Value, object};

use super::destination::Folder;
use super::error::{BackupError, Result};
use super::index::{Index, Indexed};
use super::keys::Name;
use super::lock::{self, Lock, Work};
use super::manifest::{self, Manifest, Mark};
use super::progress::{Meter, Phase, Progress};
use super::repository::{Fault, Loaded, Repository};
use super::seal::Kind;
use super::store::Store;
use super::walk::Walk;

/// A pack of which less than one part in so many is needed is copied and goes.
const NEEDED_LEAST: u64 = 2;
/// A pack with fewer bytes is small, and many small ones become few.
const SMALL: u32 = 4 << 20;
/// So many small packs are left alone.
const SMALL_LEFT: usize = 16;
/// So many index files are left alone.
const INDEX_FILES_LEFT: usize = 16;
/// By so much a lock must be younger than a mark to know of it: a minute, in microseconds.
const MARGIN: i64 = 60 * 1_000_000;
const STOPPED: &str = "nothing was removed";

/// How a repository is pruned.
#[derive(Clone, Copy, Debug)]
pub struct PruneOptions {
    /// Say what would go, and change nothing.
    pub dry_run: bool,
    /// So many seconds after a pack was marked it may be removed.
    pub grace: u64,
}

impl Default for PruneOptions {
    /// A day of grace.
    fn default() -> Self {
        Self { dry_run: false, grace: 24 * 3_600 }
    }
}

/// What a prune did, or would do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RepositoryPruned {
    /// Packs that were removed.
    pub removed: u64,
    /// Bytes of these.
    pub removed_bytes: u64,
    /// Packs that are marked to go once the grace time is over.
    pub marked: u64,
    /// Bytes of these.
    pub marked_bytes: u64,
    /// Packs among these of which something was copied.
    pub repacked: u64,
    /// Packs that were marked and are needed again.
    pub kept_again: u64,
    /// Packs that stay.
    pub kept: u64,
    /// Bytes of these.
    pub kept_bytes: u64,
}

impl RepositoryPruned {
    /// As JSON.
    #[must_use]
    pub fn to_value(&self) -> Value {
        object([
            ("removed", self.removed.into()),
            ("removed_bytes", self.removed_bytes.into()),
            ("marked", self.marked.into()),
            ("marked_bytes", self.marked_bytes.into()),
            ("repacked", self.repacked.into()),
            ("kept_again", self.kept_again.into()),
            ("kept", self.kept.into()),
            ("kept_bytes", self.kept_bytes.into()),
        ])
    }
}

/// Of a pack, what is needed and lies there: bytes and blobs.
type Use = (u64, Vec<(Name, Kind)>);

/// What is to be done.
#[derive(Default)]
struct Plan {
    /// Packs that nobody needs, or of which what is needed is copied.
    mark: Vec<Name>,
    /// Of these, what is to be copied.
    copy: Vec<(Name, Kind)>,
    /// Marked packs whose time has come.
    remove: Vec<Name>,
    /// Marks after this: those that change, with what is left of them.
    marks: Vec<(Name, Mark)>,
    /// Index files are joined.
    join: bool,
    counts: RepositoryPruned,
}

impl Repository {
    /// Marks what no backup needs, and removes what was marked long enough ago.
    ///
    /// # Errors
    /// [`BackupError::Locked`] when another prune is under way; [`BackupError::Corrupt`] and [`BackupError::Missing`] when a backup
    /// is not whole, since then nobody knows what it needs; those of reading and writing. Whatever the error, every
    /// backup that was whole still is.
    pub fn prune(&self, options: &PruneOptions, progress: &mut dyn Progress) -> Result<RepositoryPruned> {
        // Also for a dry run: it should say what a prune at this moment would do.
        let lock = Lock::take(self, Work::Removes)?;
        // Before the manifests are read: who is gone by then has left one.
        let oldest = lock::held_locks(self)?
            .into_iter()
            .filter(|(name, _)| *name != lock.name())
            .map(|(_, held)| held.since)
            .min();
        let manifests = sound(self.manifests()?)?;
        let marks = sound(self.marks()?)?;
        let index_files = sound(self.index_files()?)?;
        // What a backup needs that is gone nobody knows, and it may be brought back.
        if let Some(lost) = manifest::lost(&manifests, &sound(self.notes()?)?).first() {
            let subject = Folder::Backups.shown(&lost.to_string());
            return Err(BackupError::corrupt(
                subject,
                "it is gone, and nobody deleted it. Bring it back, or give it up by a repair of the repository",
            ));
        }
        // After the index files: what they name was there before.
        let packs: HashMap<Name, u64> = self
            .destination()
            .list(Folder::Packs)?
            .into_iter()
            .filter_map(|(name, len)| Some((Name::parse(&name)?, len)))
            .collect();
        let until = self.now().plus_micros(-i64::try_from(options.grace.saturating_mul(1_000_000)).unwrap_or(i64::MAX));
        // Clocks differ, and a mark is written a moment after its time.
        let until = oldest.map_or(until, |oldest| until.min(oldest.plus_micros(-MARGIN)));
        let indexed = index_files.iter().flat_map(|(_, packs)| packs);
        let index = Index::of(indexed, &marks, |pack| packs.get(&pack.pack) == Some(&u64::from(pack.size)));
        let needed = self.needed(&index, manifests.iter().map(|(_, manifest)| manifest))?;
        let plan = plan(&index, &index_files, &marks, &needed, &packs, until);
        if !options.dry_run {
            self.carry_out(&plan, &index, &index_files, &packs, &lock, progress)?;
            self.destination().clean(options.grace)?;
            lock::remove_old_locks(self)?;
        }
        Ok(plan.counts)
    }

    /// What backups need, all of which is there.
    ///
    /// # Errors
    /// [`BackupError::Missing`] and [`BackupError::Corrupt`] when it is not, and those of reading.
    pub(super) fn needed<'a>(
        &self,
        index: &Index,
        manifests: impl Iterator<Item = &'a Manifest>,
    ) -> Result<HashMap<Name, Kind>> {
        let mut walk = Walk::new(self, index);
        for manifest in manifests {
            walk.backup(manifest, &|_| Ok(()))?;
        }
        let needed = walk.met();
        let mut locations = needed.keys().filter_map(|name| index.find(name));
        match locations.find(|location| index.is_broken(&location.pack)) {
            None => Ok(needed),
            Some(location) => {
                let pack = Folder::Packs.shown(&location.pack.to_string());
                Err(BackupError::corrupt(
                    pack,
                    "it is missing or has another length than it should, and backups need it",
                ))
            }
        }
    }

    fn carry_out(
        &self,
        plan: &Plan,
        index: &Index,
        index_files: &[(Name, Vec<Indexed>)],
        packs: &HashMap<Name, u64>,
        lock: &Lock,
        progress: &mut dyn Progress,
    ) -> Result<()> {
        // What is needed is copied before anything else changes.
        let total = plan.copy.len() as u64;
        let mut meter = Meter::new(progress, Phase::Repacking, total, STOPPED);
        let store = Store::new(self, Index::default(), false);
        for (name, kind) in &plan.copy {
            let Some(location) = index.find(name) else { continue };
            let pack = location.pack.to_string();
            let len = usize::try_from(location.len).unwrap_or(usize::MAX);
            let sealed = self.destination().read_part(Folder::Packs, &pack, location.offset.into(), len)?;
            // A damaged blob must not be handed on.
            if self.open_blob(*kind, name, sealed.clone()).is_none() {
                return Err(BackupError::corrupt(Folder::Packs.shown(&pack), format!("the blob {name} in it")));
            }
            store.put_sealed(*kind, *name, &sealed)?;
            meter.add(1)?;
            lock.renew()?;
        }
        store.finish()?;
        if !plan.mark.is_empty() {
            let mark = Mark { time: self.now(), packs: plan.mark.clone() };
            self.write(Folder::Marks, Kind::Mark, &mark.encode())?;
        }
        let gone = index.packs().iter().map(|(name, _)| *name).filter(|name| !packs.contains_key(name));
        let removed: HashSet<Name> = plan.remove.iter().copied().chain(gone).collect();
        if plan.join || !removed.is_empty() {
            self.join_index(index_files, &removed)?;
        }
        for pack in plan.remove.iter().filter(|pack| packs.contains_key(pack)) {
            self.destination().remove(Folder::Packs, &pack.to_string())?;
        }
        for (name, left) in &plan.marks {
            if !left.packs.is_empty() {
                self.write(Folder::Marks, Kind::Mark, &left.encode())?;
            }
            self.destination().remove(Folder::Marks, &name.to_string())?;
        }
        Ok(())
    }

    /// Writes one index of all packs that are left of those that were read, and removes the files that said the same. Packs that
    /// were written meanwhile have files of their own.
    fn join_index(&self, files: &[(Name, Vec<Indexed>)], removed: &HashSet<Name>) -> Result<()> {
        let mut seen = HashSet::new();
        let all = files.iter().flat_map(|(_, packs)| packs);
        let left: Vec<&Indexed> = all.filter(|pack| !removed.contains(&pack.pack) && seen.insert(pack.pack)).collect();
        let written: HashSet<Name> = self.write_index(left)?.into_iter().collect();
        for (name, _) in files.iter().filter(|(name, _)| !written.contains(name)) {
            self.destination().remove(Folder::Index, &name.to_string())?;
        }
        Ok(())
    }
}

/// All of it, or what is wrong with the first that is damaged.
fn sound<T>(loaded: Loaded<T>) -> Result<Vec<(Name, T)>> {
    match loaded.faults.into_iter().next() {
        None => Ok(loaded.items),
        Some(Fault { subject, problem }) => Err(BackupError::corrupt(subject, problem)),
    }
}

fn plan(
    index: &Index,
    index_files: &[(Name, Vec<Indexed>)],
    marks: &[(Name, Mark)],
    needed: &HashMap<Name, Kind>,
    packs: &HashMap<Name, u64>,
    until: Timestamp,
) -> Plan {
    let mut plan = Plan { join: index_files.len() > INDEX_FILES_LEFT, ..Plan::default() };
    let mut seen = HashSet::new();
    let indexed: Vec<&Indexed> =
        index_files.iter().flat_map(|(_, packs)| packs).filter(|pack| seen.insert(pack.pack)).collect();
    // Of each pack, what is needed and lies there.
    let mut uses: HashMap<Name, Use> = HashMap::new();
    for (name, kind) in needed {
        if let Some(location) = index.find(name) {
            let (bytes, blobs) = uses.entry(location.pack).or_default();
            *bytes += u64::from(location.len);
            blobs.push((*name, *kind));
        }
    }
    plan.marks(marks, &uses, packs, until);
    let lasting: Vec<&Indexed> = indexed.iter().copied().filter(|pack| index.lasts(&pack.pack)).collect();
    let small = lasting.iter().filter(|pack| pack.size < SMALL).count() > SMALL_LEFT;
    for pack in lasting {
        let (bytes, blobs) = uses.remove(&pack.pack).unwrap_or_default();
        let all: u64 = pack.entries.iter().map(|entry| u64::from(entry.len)).sum();
        let wasteful = bytes.saturating_mul(NEEDED_LEAST) < all;
        if wasteful || (small && pack.size < SMALL) {
            plan.counts.repacked += u64::from(!blobs.is_empty());
            plan.copy.extend(blobs);
            plan.go(pack.pack, pack.size.into());
        } else {
            plan.counts.kept += 1;
            plan.counts.kept_bytes += u64::from(pack.size);
        }
    }
    // Packs that nobody names are left by backups that were killed, or of one that is under way, which the mark gives time. Of broken
    // ones nothing is needed.
    let marked: HashSet<Name> = marks.iter().flat_map(|(_, mark)| mark.packs.iter().copied()).collect();
    for (pack, size) in packs {
        if (!index.contains_pack(pack) || index.is_broken(pack)) && !marked.contains(pack) {
            plan.go(*pack, *size);
        }
    }
    plan.copy.sort_unstable();
    plan.mark.sort_unstable();
    plan
}

impl Plan {
    fn go(&mut self, pack: Name, size: u64) {
        self.mark.push(pack);
        self.counts.marked += 1;
        self.counts.marked_bytes += size;
    }

    /// What becomes of packs that are marked already.
    fn marks(
        &mut self,
        marks: &[(Name, Mark)],
        uses: &HashMap<Name, Use>,
        packs: &HashMap<Name, u64>,
        until: Timestamp,
    ) {
        // A pack that several marks name goes with the last of them.
        let mut times: HashMap<Name, usize> = HashMap::new();
        marks.iter().flat_map(|(_, mark)| &mark.packs).for_each(|pack| *times.entry(*pack).or_default() += 1);
        for (name, mark) in marks {
            let mut left = Vec::new();
            for pack in &mark.packs {
                if uses.contains_key(pack) {
                    // What is needed is looked for first where it stays, so it is nowhere else.
                    self.counts.kept_again += u64::from(packs.contains_key(pack));
                } else if mark.time <= until && times.get(pack) == Some(&1) {
                    self.counts.removed += u64::from(packs.contains_key(pack));
                    self.counts.removed_bytes += packs.get(pack).copied().unwrap_or_default();
                    self.remove.push(*pack);
                } else if mark.time <= until {
                    times.entry(*pack).and_modify(|times| *times -= 1);
                } else {
                    left.push(*pack);
                }
            }
            if left.len() < mark.packs.len() {
                self.marks.push((*name, Mark { time: mark.time, packs: left }));
            }
        }
    }
}
