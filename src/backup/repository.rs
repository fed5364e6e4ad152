//! A repository: making and opening one, and reading and writing its files.

use std::collections::{BTreeMap, HashSet};
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError};

use crate::record::id::{IdSource, SystemIds};
use crate::record::time::{Clock, SystemClock};
use crate::record::{Checksum, Timestamp};
use crate::threads::without_signals;

use super::destination::{Destination, Folder};
use super::error::{BackupError, Result};
use super::index::{self, Index, Indexed, Location};
use super::keys::{Keys, MasterKey, Name, RepositoryId};
use super::manifest::{Manifest, Mark, Note};
use super::seal::{Kind, Sealer};
use super::slot::{Cost, MAX_SLOT, Secret, Slot, SlotKind};

const MARKER: &str = "REPOSITORY";
const TITLE: &str = "MirrorDNA backup repository";
const FORMAT: u32 = 1;
/// So many small files are read at once.
const AT_ONCE: usize = 8;

/// An open repository. Clones are handles on the same one.
#[derive(Clone)]
pub struct Repository(Arc<Inner>);

struct Inner {
    destination: Arc<dyn Destination>,
    id: RepositoryId,
    master: MasterKey,
    keys: Keys,
    sealer: Sealer,
    /// The name of the slot that opened it, and what kind it is.
    slot: (String, SlotKind),
    clock: Arc<dyn Clock>,
}

/// A fault in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which file, or what else.
    pub subject: String,
    /// What is wrong with it.
    pub problem: String,
}

/// Files that were read, and those that could not be.
pub(super) struct Loaded<T> {
    pub(super) items: Vec<(Name, T)>,
    pub(super) faults: Vec<Fault>,
}

impl Repository {
    /// Makes a repository in an empty place. `label` is what its first key slot is called.
    ///
    /// # Errors
    /// [`BackupError::Occupied`] when something is there, [`BackupError::Argument`] for an empty passphrase, and those of
    /// writing.
    pub fn init(destination: Arc<dyn Destination>, secret: &Secret, label: &str, cost: Cost) -> Result<Self> {
        let location = destination.location();
        for folder in Folder::ALL {
            let files = destination.list(folder)?;
            if files.iter().any(|(name, _)| folder == Folder::Root && name == MARKER) {
                return Err(BackupError::Occupied { location, what: "a backup repository" });
            }
            if !files.is_empty() && folder != Folder::Keys {
                return Err(BackupError::Occupied { location, what: "files" });
            }
        }
        let left = left_slots(&*destination)?;
        let mut id = RepositoryId([0; 16]);
        SystemIds.fill(&mut id.0)?;
        let master = MasterKey::generate()?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let (name, slot) = Slot::seal(&master, id, secret, label, cost, clock.now())?;
        destination.write(Folder::Keys, &name, &slot)?;
        // A folder without it is no repository. Of two who make one at the same moment, one does.
        if let Err(error) = destination.write(Folder::Root, MARKER, &marker(id)) {
            if matches!(error, BackupError::Occupied { .. }) {
                destination.remove(Folder::Keys, &name)?;
            }
            return Err(error);
        }
        for name in left {
            destination.remove(Folder::Keys, &name)?;
        }
        Ok(Self::with_key(destination, id, master, (name, secret.kind()), clock))
    }

    /// Opens a repository.
    ///
    /// # Errors
    /// [`BackupError::NotARepository`], [`BackupError::Newer`], [`BackupError::Corrupt`] for its file `REPOSITORY`;
    /// [`BackupError::NoSlot`], [`BackupError::DamagedSlot`], [`BackupError::HostileSlot`], [`BackupError::NoSecret`],
    /// [`BackupError::WrongSecret`]: one for each way in which no key is found; and those of reading.
    pub fn open(destination: Arc<dyn Destination>, secret: &Secret) -> Result<Self> {
        let id = read_marker(&*destination)?;
        let (master, slot) = open_slot(&*destination, id, secret)?;
        Ok(Self::with_key(destination, id, master, slot, Arc::new(SystemClock)))
    }

    fn with_key(
        destination: Arc<dyn Destination>,
        id: RepositoryId,
        master: MasterKey,
        slot: (String, SlotKind),
        clock: Arc<dyn Clock>,
    ) -> Self {
        let keys = master.keys();
        let sealer = Sealer::new(&keys, id);
        Self(Arc::new(Inner { destination, id, master, keys, sealer, slot, clock }))
    }

    /// Which kinds of secrets open a repository, without opening it.
    ///
    /// # Errors
    /// As [`Repository::open`], but for those about the secret.
    pub fn kinds(destination: &dyn Destination) -> Result<HashSet<SlotKind>> {
        let id = read_marker(destination)?;
        let slots = read_slots(destination, id)?;
        Ok(slots.into_iter().filter_map(|(_, slot)| Some(slot.ok()?.kind)).collect())
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> RepositoryId {
        self.0.id
    }

    /// Where it is.
    #[must_use]
    pub fn location(&self) -> String {
        self.0.destination.location()
    }

    /// It was made with `--plain`, or somebody added a slot that needs no secret: it hides nothing.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.0.slot.1 == SlotKind::Open
    }

    pub(super) fn destination(&self) -> &dyn Destination {
        &*self.0.destination
    }

    pub(super) fn master(&self) -> &MasterKey {
        &self.0.master
    }

    pub(super) fn keys(&self) -> &Keys {
        &self.0.keys
    }

    pub(super) fn sealer(&self) -> &Sealer {
        &self.0.sealer
    }

    pub(super) fn slot_in_use(&self) -> &str {
        &self.0.slot.0
    }

    pub(super) fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// Seals and writes a file, and returns its name.
    pub(super) fn write(&self, folder: Folder, kind: Kind, content: &[u8]) -> Result<Name> {
        let file = self.sealer().file(kind, content)?;
        let name = Name::of_file(&file);
        self.destination().write(folder, &name.to_string(), &file)?;
        Ok(name)
    }

    /// Writes as many index files as these packs need, and returns their names.
    pub(super) fn write_index<'a>(&self, packs: impl IntoIterator<Item = &'a Indexed>) -> Result<Vec<Name>> {
        index::encode(packs).iter().map(|content| self.write(Folder::Index, Kind::Index, content)).collect()
    }

    /// Reads and opens a file.
    pub(super) fn read(&self, folder: Folder, kind: Kind, name: &str) -> Result<Vec<u8>> {
        let corrupt = |detail: &str| BackupError::corrupt(folder.shown(name), detail);
        let file = self.destination().read(folder, name)?;
        if Name::of_file(&file).to_string() != name {
            return Err(corrupt("its content is not the one that its name stands for"));
        }
        let content = self.sealer().open(kind, &Name::NONE, file);
        content.ok_or_else(|| corrupt("it was not made with the key of this repository, or as something else"))
    }

    /// Reads all files of a folder. Those that go while this happens are left out, those that come are read too.
    pub(super) fn load<T: Send>(
        &self,
        folder: Folder,
        kind: Kind,
        decode: impl Fn(&[u8]) -> Option<T> + Sync,
    ) -> Result<Loaded<T>> {
        let mut read: BTreeMap<String, Result<(Name, T)>> = BTreeMap::new();
        loop {
            let listed: HashSet<String> = self.destination().list(folder)?.into_iter().map(|(name, _)| name).collect();
            read.retain(|name, _| listed.contains(name));
            let fresh: Vec<_> = listed.into_iter().filter(|name| !read.contains_key(name)).collect();
            if fresh.is_empty() {
                break;
            }
            let read_one = |name: &str| {
                self.read(folder, kind, name).and_then(|content| {
                    let item = Name::parse(name).zip(decode(&content));
                    item.ok_or_else(|| BackupError::corrupt(folder.shown(name), "its content cannot be read"))
                })
            };
            for (name, item) in at_once(fresh, read_one) {
                match item {
                    // It went between being listed and being read; the next listing tells.
                    Err(BackupError::Missing { .. }) => {}
                    Err(error) if !error.is_damage() => return Err(error),
                    item => drop(read.insert(name, item)),
                }
            }
        }
        let mut loaded = Loaded { items: Vec::with_capacity(read.len()), faults: Vec::new() };
        for item in read.into_values() {
            match item {
                Ok(item) => loaded.items.push(item),
                Err(error) => loaded.faults.push(Fault::of(&error)),
            }
        }
        Ok(loaded)
    }

    /// Makes sure that the repository is where it was opened: a folder that was removed, or a disk that is not mounted any more,
    /// looks like one without backups.
    ///
    /// # Errors
    /// As [`Repository::open`] for its file `REPOSITORY`, and [`BackupError::Argument`] when another one is there.
    pub(super) fn is_there(&self) -> Result<()> {
        if read_marker(self.destination())? == self.id() {
            return Ok(());
        }
        Err(BackupError::argument(
            self.location(),
            "another repository is there than when it was opened; open it again",
        ))
    }

    pub(super) fn manifests(&self) -> Result<Loaded<Manifest>> {
        let mut loaded = self.load(Folder::Backups, Kind::Manifest, Manifest::decode)?;
        if loaded.items.is_empty() && loaded.faults.is_empty() {
            self.is_there()?;
        }
        loaded.items.sort_by_key(|(name, manifest)| (manifest.generation, manifest.created, *name));
        Ok(loaded)
    }

    pub(super) fn notes(&self) -> Result<Loaded<Note>> {
        self.load(Folder::Notes, Kind::Note, Note::decode)
    }

    pub(super) fn marks(&self) -> Result<Loaded<Mark>> {
        self.load(Folder::Marks, Kind::Mark, Mark::decode)
    }

    pub(super) fn index_files(&self) -> Result<Loaded<Vec<Indexed>>> {
        self.load(Folder::Index, Kind::Index, index::decode)
    }

    /// All that the index files say, and what is wrong with them.
    pub(super) fn index(&self) -> Result<(Index, Vec<Fault>)> {
        let Loaded { items: marks, faults: mut all } = self.marks()?;
        let Loaded { items, faults } = self.index_files()?;
        all.extend(faults);
        let there: HashSet<(String, u64)> = self.destination().list(Folder::Packs)?.into_iter().collect();
        let packs = items.iter().flat_map(|(_, packs)| packs);
        let index = Index::of(packs, &marks, |pack| there.contains(&(pack.pack.to_string(), pack.size.into())));
        Ok((index, all))
    }

    /// The content of a blob.
    pub(super) fn blob(&self, index: &Index, kind: Kind, name: &Name) -> Result<Vec<u8>> {
        self.blob_at(&locate(index, name)?, kind, name)
    }

    /// The content of a blob of which it is known where it lies.
    pub(super) fn blob_at(&self, location: &Location, kind: Kind, name: &Name) -> Result<Vec<u8>> {
        let content = self.open_blob(kind, name, self.sealed_at(location)?);
        content.ok_or_else(|| not_what_it_was(location, name))
    }

    /// As [`Repository::blob`], for who proves by sums of his own that the content is the right one: the seal says that it was stored
    /// under this name, and nobody without the key can make one.
    pub(super) fn blob_for_proof(&self, index: &Index, kind: Kind, name: &Name) -> Result<Vec<u8>> {
        let location = locate(index, name)?;
        let content = self.sealer().open(kind, name, self.sealed_at(&location)?);
        content.ok_or_else(|| not_what_it_was(&location, name))
    }

    fn sealed_at(&self, location: &Location) -> Result<Vec<u8>> {
        let len = usize::try_from(location.len).unwrap_or(usize::MAX);
        self.destination().read_part(Folder::Packs, &location.pack.to_string(), location.offset.into(), len)
    }

    /// Opens a sealed blob, whose content must have its name.
    pub(super) fn open_blob(&self, kind: Kind, name: &Name, sealed: Vec<u8>) -> Option<Vec<u8>> {
        let content = self.sealer().open(kind, name, sealed)?;
        (self.keys().name_of(kind, &content) == *name).then_some(content)
    }

    /// Its key slots, and what is wrong with those that cannot be read.
    ///
    /// # Errors
    /// Those of reading.
    pub fn slots(&self) -> Result<(Vec<Slot>, Vec<Fault>)> {
        let (mut slots, mut faults) = (Vec::new(), Vec::new());
        for (name, slot) in read_slots(self.destination(), self.id())? {
            match slot {
                Ok(slot) => slots.push(slot),
                Err(problem) => {
                    faults.push(Fault { subject: Folder::Keys.shown(&name), problem: problem.to_owned() });
                }
            }
        }
        if slots.is_empty() && faults.is_empty() {
            self.is_there()?;
        }
        Ok((slots, faults))
    }
}

impl Fault {
    /// Says so in the log.
    pub(super) fn warn(&self) {
        tracing::warn!(target: "mirrordna::backup", subject = self.subject, problem = self.problem, "damaged");
    }

    pub(super) fn of(error: &BackupError) -> Self {
        match error {
            BackupError::Corrupt { what, detail } => Self { subject: what.clone(), problem: detail.clone() },
            BackupError::Missing { what } => Self { subject: what.clone(), problem: "it is missing".to_owned() },
            other => Self { subject: "the repository".to_owned(), problem: other.to_string() },
        }
    }
}

fn locate(index: &Index, name: &Name) -> Result<Location> {
    index.find(name).ok_or_else(|| BackupError::Missing { what: format!("the blob {name}") })
}

fn not_what_it_was(location: &Location, name: &Name) -> BackupError {
    let pack = Folder::Packs.shown(&location.pack.to_string());
    BackupError::corrupt(pack, format!("the blob {name} in it is not what it was"))
}

/// Reads many small files, several at once, since a server takes a moment for each. After an error that is no damage no more are
/// begun.
fn at_once<T: Send>(names: Vec<String>, read: impl Fn(&str) -> Result<T> + Sync) -> Vec<(String, Result<T>)> {
    let threads = names.len().min(AT_ONCE);
    let left = Mutex::new(names);
    let read_some = || {
        let mut done = Vec::new();
        loop {
            let next = left.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(name) = next else { return done };
            let item = read(&name);
            if item.as_ref().is_err_and(|error| !error.is_damage()) {
                left.lock().unwrap_or_else(PoisonError::into_inner).clear();
            }
            done.push((name, item));
        }
    };
    if threads < 2 {
        return read_some();
    }
    std::thread::scope(|scope| {
        let readers: Vec<_> = without_signals(|| (0..threads).map(|_| scope.spawn(read_some)).collect());
        let done = readers.into_iter().map(|reader| reader.join().unwrap_or_else(|panic| resume_unwind(panic)));
        done.flatten().collect()
    })
}

fn marker(id: RepositoryId) -> Vec<u8> {
    let lines = format!("{TITLE}\nformat {FORMAT}\nfeatures 0x0\nrepository {id}\n");
    let sum = Checksum::of(lines.as_bytes());
    format!("{lines}sha256 {sum}\n").into_bytes()
}

fn read_marker(destination: &dyn Destination) -> Result<RepositoryId> {
    let location = destination.location();
    let file = match destination.read(Folder::Root, MARKER) {
        Err(BackupError::Missing { .. }) => {
            // Packs without it are a repository that lost it.
            return Err(if destination.list(Folder::Backups)?.is_empty() {
                BackupError::NotARepository { location }
            } else {
                BackupError::Missing { what: format!("{MARKER} of {location}") }
            });
        }
        other => other?,
    };
    let damaged = || BackupError::corrupt(format!("{MARKER} of {location}"), "it does not match its checksum");
    let text = std::str::from_utf8(&file).ok();
    let (lines, sum) = text.and_then(|text| text.strip_suffix('\n')?.rsplit_once("\nsha256 ")).ok_or_else(damaged)?;
    if Checksum::of(format!("{lines}\n").as_bytes()).to_string() != sum {
        return Err(damaged());
    }
    let mut fields = lines.lines();
    if fields.next() != Some(TITLE) {
        return Err(damaged());
    }
    let format =
        fields.next().and_then(|line| line.strip_prefix("format ")?.parse::<u32>().ok()).ok_or_else(damaged)?;
    if format > FORMAT {
        return Err(BackupError::Newer { location, found: format!("format {format}") });
    }
    let features = fields.next().and_then(|line| line.strip_prefix("features 0x")).ok_or_else(damaged)?;
    if features != "0" {
        return Err(BackupError::Newer { location, found: format!("features 0x{features}") });
    }
    let id = fields.next().and_then(|line| line.strip_prefix("repository ")).and_then(parse_id);
    id.ok_or_else(damaged)
}

fn parse_id(text: &str) -> Option<RepositoryId> {
    let number = u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32)?;
    Some(RepositoryId(number.to_be_bytes()))
}

/// What is left in `keys/` of a making that was interrupted: key slots without a repository, which open nothing. With anything
/// else in it, it is somebody's folder.
fn left_slots(destination: &dyn Destination) -> Result<Vec<String>> {
    let mut left = Vec::new();
    for (name, len) in destination.list(Folder::Keys)? {
        let file = if len > MAX_SLOT { Ok(Vec::new()) } else { destination.read(Folder::Keys, &name) };
        let file = match file {
            // Somebody who made a repository here, too, gave up.
            Err(BackupError::Missing { .. }) => continue,
            file => file?,
        };
        if Slot::of_any(&name, &file).is_err() {
            return Err(BackupError::Occupied { location: destination.location(), what: "files" });
        }
        left.push(name);
    }
    Ok(left)
}

type ReadSlot = std::result::Result<Slot, &'static str>;

fn read_slots(destination: &dyn Destination, id: RepositoryId) -> Result<Vec<(String, ReadSlot)>> {
    let mut slots = Vec::new();
    for (name, _) in destination.list(Folder::Keys)? {
        match destination.read(Folder::Keys, &name) {
            // Its passphrase was changed in between.
            Err(BackupError::Missing { .. }) => {}
            file => {
                let slot = Slot::read(&name, id, &file?);
                slots.push((name, slot));
            }
        }
    }
    Ok(slots)
}

/// Finds the slot that opens with the secret. Those that ask for too much are not tried.
fn open_slot(
    destination: &dyn Destination,
    id: RepositoryId,
    secret: &Secret,
) -> Result<(MasterKey, (String, SlotKind))> {
    let location = destination.location();
    let slots = read_slots(destination, id)?;
    if slots.is_empty() {
        return Err(BackupError::NoSlot { location });
    }
    let (mut hostile, mut damaged, mut kinds) = (None, None, HashSet::new());
    for (name, slot) in slots {
        match slot {
            Err(detail) => damaged = Some((name, detail)),
            Ok(slot) => {
                kinds.insert(slot.kind);
                if let Some(asked) = slot.hostile() {
                    hostile = Some((name, asked));
                } else if slot.kind == secret.kind()
                    && let Some(key) = slot.open(secret)?
                {
                    // Who gives a passphrase is never served by an open slot: somebody may have put that there.
                    return Ok((key, (name, slot.kind)));
                }
            }
        }
    }
    // What is most likely the reason comes first.
    if let Some((slot, detail)) = damaged {
        return Err(BackupError::DamagedSlot { location, slot, detail: detail.to_owned() });
    }
    if let Some((slot, asked)) = hostile {
        return Err(BackupError::HostileSlot { location, slot, asked });
    }
    if secret.kind() == SlotKind::Open {
        let what = if kinds.contains(&SlotKind::Passphrase) { "a passphrase" } else { "a key file" };
        return Err(BackupError::NoSecret { location, what });
    }
    Err(BackupError::WrongSecret { location, what: secret.kind().name() })
}
