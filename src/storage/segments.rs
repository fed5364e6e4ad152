//! Segments: the append-only files that hold the content of artifacts.
//!
//! A chunk is a header and its bytes, and lies in one segment. Its number is the place at which it was first appended,
//! so that numbers rise and no counter has to survive a crash; it may be moved later, so only a `chunks` row says where it
//! lies. What was appended and not yet named by a commit is known here alone: after a crash it is room that nobody knows of,
//! until the segment is compacted. A commit that names chunks is written after their segments are on disk, whatever its
//! durability, so that no order of writing back can leave a file whose content is not there.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::access::{DataFile, FileAccess, Opening};
use super::artifacts::{ChunkId, SLOT_BYTES};
use super::{ChunkSum, Result, StorageError};

/// A segment takes no chunk that would make it larger.
pub(super) const SEGMENT_BYTES: u64 = 64 << 20;
/// Bytes before those of each chunk.
pub(super) const HEADER_BYTES: u32 = 64;

const MAGIC: &[u8; 8] = b"MDNACHNK";
/// Segments that are kept open to be read.
const OPEN_SEGMENTS: usize = 64;
/// Chunks of which it is remembered that they were verified.
const VERIFIED_CHUNKS: usize = 1 << 16;

/// Where a chunk lies, and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) segment: u32,
    /// Where in the segment its header begins.
    pub(super) offset: u32,
    /// Bytes of content.
    pub(super) len: u32,
    pub(super) sum: ChunkSum,
}

impl Place {
    /// What it takes in its segment.
    pub(super) fn bytes(&self) -> u64 {
        u64::from(HEADER_BYTES) + u64::from(self.len)
    }
}

/// How much of a segment is what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// Its length.
    pub(super) size: u64,
    /// Bytes of chunks that a row names.
    pub(super) live: u64,
    /// Bytes of chunks that a commit may still name.
    pub(super) pending: u64,
    /// `live` was counted, and not only what this process added.
    pub(super) known: bool,
}

/// Under which number a chunk is appended.
#[derive(Clone, Copy)]
enum Number {
    /// A new one, which waits for a commit.
    New,
    /// That of a chunk that waits for a commit, and moves.
    Pending(ChunkId),
    /// That of a chunk that has a row.
    Stored(ChunkId),
}

/// A chunk that no commit has named yet.
struct Pending {
    place: Place,
    /// How many appends to its segment were complete with this one.
    written: u64,
    /// A sync failed and its content is not there any more, which was told.
    lost: bool,
}

/// A segment that this process appended to.
struct Appended {
    file: Arc<dyn DataFile>,
    /// Complete appends.
    written: u64,
    /// How many of these are on disk.
    synced: u64,
    /// Appends that were begun and are not complete.
    begun: u64,
    /// A sync failed, after which nobody knows what is on disk.
    failed: bool,
    /// Held by who syncs it: of two at once the system tells only one that it failed.
    turn: Arc<Mutex<()>>,
}

/// The segment that is appended to.
struct Active {
    number: u32,
    file: Arc<dyn DataFile>,
    end: u64,
}

#[derive(Default)]
struct State {
    active: Option<Active>,
    appended: HashMap<u32, Appended>,
    pending: HashMap<ChunkId, Pending>,
    readers: HashMap<u32, Arc<dyn DataFile>>,
    /// Numbers of `readers`, those opened first in front.
    opened: VecDeque<u32>,
    verified: HashSet<ChunkId>,
    usage: BTreeMap<u32, Usage>,
    /// What was committed since a count of what is live began.
    since: BTreeMap<u32, u64>,
    /// No segment with this number or a higher one was ever seen.
    next: u32,
}

/// The segments of a vault.
pub(super) struct Segments {
    dir: PathBuf,
    files: Arc<dyn FileAccess>,
    state: Mutex<State>,
}

/// Where the segments of a vault lie.
pub(super) fn segments_dir(vault: &Path) -> PathBuf {
    vault.join("segments")
}

/// The name of a segment's file.
pub(super) fn segment_name(number: u32) -> String {
    format!("{number:08}.seg")
}

fn segment_number(name: &str) -> Option<u32> {
    let number = name.strip_suffix(".seg")?.parse().ok()?;
    (segment_name(number) == name).then_some(number)
}

type Header = [u8; HEADER_BYTES as usize];

/// What comes before the bytes of a chunk. The CRC is quick to compute, and enough to see damage; those of the first vaults have
/// zero there. The sum is what the log commits to.
pub(super) fn header(id: ChunkId, len: u32, sum: &ChunkSum, crc: u32) -> Header {
    let mut bytes = [0; HEADER_BYTES as usize];
    let parts: [&[u8]; 5] = [MAGIC, &id.to_le_bytes(), &len.to_le_bytes(), &sum.0, &crc.to_le_bytes()];
    for (to, from) in bytes.iter_mut().zip(parts.into_iter().flatten()) {
        *to = *from;
    }
    bytes
}

/// How much is looked at of a chunk that is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// Damage is seen.
    Crc,
    /// It is what the log commits to, and so is its header.
    Sum,
}

fn low_half(id: u64) -> u32 {
    u32::try_from(id & u64::from(u32::MAX)).unwrap_or(u32::MAX)
}

impl Segments {
    /// The segments below the vault's directory. `newest_chunk` is the highest number that a row names.
    pub(super) fn open(vault: &Path, files: Arc<dyn FileAccess>, newest_chunk: Option<ChunkId>) -> Result<Self> {
        let dir = segments_dir(vault);
        let mut state = State { next: 1, ..State::default() };
        match files.names(&dir) {
            Ok(names) => {
                for number in names.iter().filter_map(|name| segment_number(name.to_str()?)) {
                    let path = dir.join(segment_name(number));
                    let size = files.open(&path, Opening::Read).and_then(|file| file.size());
                    let size = size.map_err(|error| StorageError::from_io(&path, error))?;
                    state.usage.insert(number, Usage { size, ..Usage::default() });
                    state.next = state.next.max(number.saturating_add(1));
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(StorageError::from_io(&dir, error)),
        }
        if let Some(newest) = newest_chunk {
            state.next = state.next.max(low_half(newest >> 32).saturating_add(1));
        }
        Ok(Self { dir, files, state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, number: u32) -> PathBuf {
        self.dir.join(segment_name(number))
    }

    fn failed(&self, number: u32) -> impl Fn(std::io::Error) -> StorageError + '_ {
        move |error| StorageError::from_io(&self.path(number), error)
    }

    /// Appends a new chunk.
    pub(super) fn append(&self, bytes: &[u8]) -> Result<(ChunkId, ChunkSum)> {
        let sum = ChunkSum::of(bytes);
        let (id, _) = self.put(Number::New, bytes, sum)?;
        Ok((id, sum))
    }

    /// Appends a chunk again, so that the segment it lies in can go. Its new place counts when a row says so.
    pub(super) fn copy(&self, id: ChunkId, bytes: &[u8], sum: ChunkSum) -> Result<Place> {
        let (_, place) = self.put(Number::Stored(id), bytes, sum)?;
        self.state().verified.remove(&id);
        Ok(place)
    }

    fn put(&self, of: Number, bytes: &[u8], sum: ChunkSum) -> Result<(ChunkId, Place)> {
        let len = u32::try_from(bytes.len()).ok().filter(|len| (1..=SLOT_BYTES).contains(len));
        let len = len.ok_or_else(|| StorageError::Limit {
            what: format!("a chunk of {} bytes", bytes.len()),
            limit: SLOT_BYTES as usize,
        })?;
        let room = u64::from(HEADER_BYTES) + u64::from(len);
        let (number, offset, file) = self.reserve(room)?;
        let id = match of {
            Number::New => u64::from(number) << 32 | offset,
            Number::Pending(id) | Number::Stored(id) => id,
        };
        let place = Place { segment: number, offset: low_half(offset), len, sum };
        let header = header(id, len, &sum, crc32c::crc32c(bytes));
        let write = || {
            file.write_at(&header, offset)?;
            file.write_at(bytes, offset + u64::from(HEADER_BYTES))
        };
        let done = write();
        let mut state = self.state();
        let mut written = 0;
        if let Some(appended) = state.appended.get_mut(&number) {
            appended.begun -= 1;
            appended.written += u64::from(done.is_ok());
            written = appended.written;
        }
        if let Err(error) = done {
            // Nobody reserved behind it, so the room is free again.
            if let Some(active) = state.active.as_mut().filter(|active| active.number == number)
                && active.end == offset + room
            {
                active.end = offset;
            }
            return Err(self.failed(number)(error));
        }
        let waits = match of {
            Number::New => true,
            // Unless somebody has discarded it meanwhile.
            Number::Pending(id) => state.pending.contains_key(&id),
            Number::Stored(_) => false,
        };
        let usage = state.usage.entry(number).or_default();
        usage.size = usage.size.max(offset + room);
        if waits {
            usage.pending += room;
            if let Some(before) = state.pending.insert(id, Pending { place, written, lost: false }) {
                let usage = state.usage.entry(before.place.segment).or_default();
                usage.pending = usage.pending.saturating_sub(before.place.bytes());
            }
        }
        Ok((id, place))
    }

    /// Room at the end of the newest segment, or of a new one.
    fn reserve(&self, room: u64) -> Result<(u32, u64, Arc<dyn DataFile>)> {
        let mut state = self.state();
        if state.active.is_none() {
            state.active = self.last_segment(&state)?;
        }
        let fits = |active: &Active, state: &State| {
            let sound = state.appended.get(&active.number).is_none_or(|appended| !appended.failed);
            sound && active.end + room <= SEGMENT_BYTES
        };
        let mut active = match state.active.take().filter(|active| fits(active, &state)) {
            Some(active) => active,
            None => self.new_segment(&mut state)?,
        };
        let (number, offset, file) = (active.number, active.end, Arc::clone(&active.file));
        active.end += room;
        state.active = Some(active);
        let fresh = || Appended {
            file: Arc::clone(&file),
            written: 0,
            synced: 0,
            begun: 0,
            failed: false,
            turn: Arc::default(),
        };
        state.appended.entry(number).or_insert_with(fresh).begun += 1;
        Ok((number, offset, file))
    }

    /// The newest segment that a process before this one left, to go on behind its end.
    fn last_segment(&self, state: &State) -> Result<Option<Active>> {
        let Some((number, usage)) = state.usage.last_key_value() else { return Ok(None) };
        // A number may be above those of the files, when the newest of these was removed.
        if number + 1 != state.next || usage.size >= SEGMENT_BYTES {
            return Ok(None);
        }
        let file = self.files.open(&self.path(*number), Opening::Write).map_err(self.failed(*number))?;
        let end = file.size().map_err(self.failed(*number))?;
        Ok(Some(Active { number: *number, file, end }))
    }

    fn new_segment(&self, state: &mut State) -> Result<Active> {
        let number = state.next;
        let path = self.path(number);
        let create = || {
            self.files.create_dir(&self.dir)?;
            // What is left of a failed attempt holds nothing.
            match self.files.open(&path, Opening::Create) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                    self.files.remove(&path)?;
                    self.files.open(&path, Opening::Create)
                }
                other => other,
            }
        };
        let file = create().and_then(|file| self.files.sync_dir(&self.dir).map(|()| file));
        let file = file.map_err(self.failed(number))?;
        state.next = number.checked_add(1).ok_or_else(|| StorageError::Limit {
            what: "the numbers of segments are used up".to_owned(),
            limit: u32::MAX as usize,
        })?;
        state.usage.insert(number, Usage { known: true, ..Usage::default() });
        Ok(Active { number, file, end: 0 })
    }

    /// Returns when chunks are on disk that no commit has named yet. Those of a segment that cannot be synced are moved to
    /// another one.
    ///
    /// # Errors
    /// Those of the operating system, and once [`StorageError::Corrupt`] when the content of a chunk went with a sync that
    /// failed. Such a chunk keeps nothing else from being committed later: whoever reads it is told again.
    pub(super) fn sync_pending(&self, chunks: impl Iterator<Item = ChunkId>) -> Result<()> {
        let chunks: Vec<ChunkId> = chunks.collect();
        match self.try_sync_pending(&chunks) {
            Err(error) if self.rescue(&chunks)? == 0 => return Err(error),
            Err(_) => self.try_sync_pending(&chunks)?,
            Ok(()) => {}
        }
        self.close_full();
        Ok(())
    }

    /// Closes the files of segments to which nothing is appended any more: a process may fill very many of them.
    fn close_full(&self) {
        let is_full = |state: &State, number: u32, appended: &Appended| {
            let is_active = state.active.as_ref().is_some_and(|active| active.number == number);
            !is_active && appended.begun == 0 && !appended.failed
        };
        let unsynced: Vec<u32> = {
            let state = self.state();
            let full = state.appended.iter().filter(|(number, appended)| is_full(&state, **number, appended));
            full.filter(|(_, appended)| appended.synced < appended.written).map(|(number, _)| *number).collect()
        };
        for number in unsynced {
            if let Err(error) = self.sync_to(number, None) {
                // Nothing that is being committed lies there.
                tracing::warn!(target: "mirrordna::storage", "a full segment stays open: {error}");
            }
        }
        let mut state = self.state();
        let mut appended = std::mem::take(&mut state.appended);
        appended.retain(|number, appended| !is_full(&state, *number, appended) || appended.synced < appended.written);
        state.appended = appended;
    }

    fn try_sync_pending(&self, chunks: &[ChunkId]) -> Result<()> {
        let mut waiting: BTreeMap<u32, u64> = BTreeMap::new();
        {
            let state = self.state();
            for pending in chunks.iter().filter_map(|id| state.pending.get(id)).filter(|pending| !pending.lost) {
                let written = waiting.entry(pending.place.segment).or_default();
                *written = pending.written.max(*written);
            }
        }
        waiting.into_iter().try_for_each(|(number, written)| self.sync_to(number, Some(written)))
    }

    /// Appends those of some chunks anew of which the segment could not be synced, and says how many. After a sync that
    /// failed, what was written is on disk, in memory alone, or nowhere: the checksum tells whether it is still there.
    fn rescue(&self, chunks: &[ChunkId]) -> Result<usize> {
        let mut endangered: Vec<(ChunkId, Place)> = {
            let state = self.state();
            let found = chunks.iter().filter_map(|id| Some((*id, state.pending.get(id)?)));
            let found = found.filter(|(_, pending)| {
                let segment = state.appended.get(&pending.place.segment);
                !pending.lost && segment.is_some_and(|segment| segment.failed && segment.synced < pending.written)
            });
            found.map(|(id, pending)| (id, pending.place)).collect()
        };
        endangered.sort_unstable_by_key(|(id, _)| *id);
        endangered.dedup_by_key(|(id, _)| *id);
        let (mut lost, mut works) = (None, false);
        for (id, place) in &endangered {
            match self.read(*id, place) {
                Ok(bytes) => {
                    let (_, place) = self.put(Number::Pending(*id), &bytes, place.sum)?;
                    // While the disk fails, it is not filled with more than this.
                    if !works {
                        self.sync_to(place.segment, None)?;
                        works = true;
                    }
                }
                Err(error @ StorageError::Corrupt { .. }) => {
                    tracing::error!(target: "mirrordna::storage", "content is lost, since a sync failed: {error}");
                    let mut state = self.state();
                    state.verified.remove(id);
                    if let Some(pending) = state.pending.get_mut(id) {
                        pending.lost = true;
                    }
                    lost.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        if let Some(error) = lost {
            return Err(error);
        }
        if !endangered.is_empty() {
            let (dir, chunks) = (self.dir.display(), endangered.len());
            tracing::warn!(target: "mirrordna::storage", %dir, chunks, "a sync failed; what it was for was written again");
        }
        Ok(endangered.len())
    }

    /// Returns when everything is on disk that was appended to these segments.
    pub(super) fn sync_segments(&self, numbers: impl Iterator<Item = u32>) -> Result<()> {
        let numbers: HashSet<u32> = numbers.collect();
        numbers.into_iter().try_for_each(|number| self.sync_to(number, None))
    }

    fn sync_to(&self, number: u32, least: Option<u64>) -> Result<()> {
        let turn = self.state().appended.get(&number).map(|appended| Arc::clone(&appended.turn));
        let Some(turn) = turn else { return Ok(()) };
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, written) = {
            let state = self.state();
            let Some(appended) = state.appended.get(&number) else { return Ok(()) };
            if appended.synced >= least.unwrap_or(appended.written) {
                return Ok(());
            }
            if appended.failed {
                let error = std::io::Error::other("an fsync of it failed: what was written before is perhaps lost");
                return Err(self.failed(number)(error));
            }
            (Arc::clone(&appended.file), appended.written)
        };
        let synced = file.sync();
        let mut state = self.state();
        if let Some(appended) = state.appended.get_mut(&number) {
            match &synced {
                Ok(()) => appended.synced = appended.synced.max(written),
                Err(_) => appended.failed = true,
            }
        }
        synced.map_err(self.failed(number))
    }

    /// Where a chunk lies that no commit has named yet.
    pub(super) fn pending(&self, id: ChunkId) -> Option<Place> {
        self.state().pending.get(&id).map(|pending| pending.place)
    }

    /// A commit named these chunks: rows say now where they lie.
    pub(super) fn committed(&self, chunks: &[ChunkId]) {
        let mut state = self.state();
        for id in chunks {
            if let Some(Pending { place, .. }) = state.pending.remove(id) {
                let usage = state.usage.entry(place.segment).or_default();
                usage.pending = usage.pending.saturating_sub(place.bytes());
                usage.live += place.bytes();
                *state.since.entry(place.segment).or_default() += place.bytes();
            }
        }
    }

    /// No commit will name these chunks.
    pub(super) fn discard(&self, chunks: &[ChunkId]) {
        let mut state = self.state();
        for id in chunks {
            if let Some(Pending { place, .. }) = state.pending.remove(id) {
                let usage = state.usage.entry(place.segment).or_default();
                usage.pending = usage.pending.saturating_sub(place.bytes());
            }
        }
    }

    /// Reads a chunk and verifies it.
    pub(super) fn read(&self, id: ChunkId, place: &Place) -> Result<Vec<u8>> {
        let mut content = vec![0; place.len as usize];
        self.read_whole(id, place, Proof::Sum, &mut content)?;
        Ok(content)
    }

    fn read_whole(&self, id: ChunkId, place: &Place, proof: Proof, content: &mut [u8]) -> Result<()> {
        let mut found = [0; HEADER_BYTES as usize];
        self.fill(id, place, 0, &mut found)?;
        self.fill(id, place, HEADER_BYTES, content)?;
        let expected = header(id, place.len, &place.sum, crc32c::crc32c(content));
        if proof == Proof::Sum || found != expected {
            if !place.sum.is_of(content) {
                return Err(other_content(id, &place.sum));
            }
            if found != expected && found != header(id, place.len, &place.sum, 0) {
                let path = self.path(place.segment);
                return Err(damaged(id, format!("its header in {} is not its own", path.display())));
            }
        }
        let mut state = self.state();
        if state.verified.len() >= VERIFIED_CHUNKS {
            state.verified.clear();
        }
        state.verified.insert(id);
        Ok(())
    }

    /// Reads a part of a chunk, which must lie within it. The whole chunk is verified when it is read for the first time.
    pub(super) fn read_part(&self, id: ChunkId, place: &Place, from: u32, out: &mut [u8]) -> Result<()> {
        if self.state().verified.contains(&id) {
            return self.fill(id, place, HEADER_BYTES + from, out);
        }
        if out.len() == place.len as usize {
            return self.read_whole(id, place, Proof::Crc, out);
        }
        let mut content = vec![0; place.len as usize];
        self.read_whole(id, place, Proof::Crc, &mut content)?;
        out.copy_from_slice(content.get(from as usize..from as usize + out.len()).unwrap_or_default());
        Ok(())
    }

    fn fill(&self, id: ChunkId, place: &Place, from: u32, bytes: &mut [u8]) -> Result<()> {
        let path = || self.path(place.segment).display().to_string();
        let read = |file: Arc<dyn DataFile>| file.read_at(bytes, u64::from(place.offset) + u64::from(from));
        self.reader(place.segment).and_then(read).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => damaged(id, format!("{} is missing", path())),
            std::io::ErrorKind::UnexpectedEof => damaged(id, format!("{} is too short", path())),
            _ => self.failed(place.segment)(error),
        })
    }

    fn reader(&self, number: u32) -> std::io::Result<Arc<dyn DataFile>> {
        if let Some(file) = self.state().readers.get(&number) {
            return Ok(Arc::clone(file));
        }
        let file = self.files.open(&self.path(number), Opening::Read)?;
        let mut state = self.state();
        if state.readers.len() >= OPEN_SEGMENTS
            && let Some(oldest) = state.opened.pop_front()
        {
            state.readers.remove(&oldest);
        }
        if state.readers.insert(number, Arc::clone(&file)).is_none() {
            state.opened.push_back(number);
        }
        Ok(file)
    }

    /// From here on what is committed comes on top of what is being counted.
    pub(super) fn begin_count(&self) {
        self.state().since.clear();
    }

    /// What a count found live in each segment.
    pub(super) fn count_live(&self, live: &BTreeMap<u32, u64>) {
        let mut state = self.state();
        let since = std::mem::take(&mut state.since);
        let of = |counts: &BTreeMap<u32, u64>, number: u32| counts.get(&number).copied().unwrap_or_default();
        for (number, usage) in &mut state.usage {
            usage.live = of(live, *number) + of(&since, *number);
            usage.known = true;
        }
    }

    /// A chunk was moved, and rows say so.
    pub(super) fn moved(&self, old: &Place, new: &Place) {
        let mut state = self.state();
        let usage = state.usage.entry(old.segment).or_default();
        usage.live = usage.live.saturating_sub(old.bytes());
        state.usage.entry(new.segment).or_default().live += new.bytes();
    }

    /// Segments of which at most one part in `share` is live. Nothing will be appended to them any more, and nobody may
    /// still name what was; the newest one is closed for that.
    pub(super) fn mostly_garbage(&self, share: u64) -> BTreeSet<u32> {
        let mut state = self.state();
        let idle = |state: &State, number: u32| state.appended.get(&number).is_none_or(|segment| segment.begun == 0);
        let found: BTreeSet<u32> = state
            .usage
            .iter()
            .filter(|(_, usage)| usage.known && usage.pending == 0 && usage.live.saturating_mul(share) <= usage.size)
            .map(|(number, _)| *number)
            .filter(|number| idle(&state, *number))
            .collect();
        if found.last().is_some_and(|last| last + 1 == state.next) {
            state.active = None;
            // A number that is left out keeps the newest file from being gone on with.
            state.next = state.next.saturating_add(1);
        }
        found
    }

    /// Those of these segments of which no row names anything.
    pub(super) fn without_live(&self, numbers: &BTreeSet<u32>) -> BTreeSet<u32> {
        let state = self.state();
        let is_empty = |number: &u32| state.usage.get(number).is_some_and(|usage| usage.live == 0);
        numbers.iter().copied().filter(is_empty).collect()
    }

    /// Of some segments those with the least in them, of which together at most so many bytes are named.
    pub(super) fn with_at_most(&self, numbers: &BTreeSet<u32>, most: u64) -> BTreeSet<u32> {
        let state = self.state();
        let live = |number: u32| state.usage.get(&number).map_or(0, |usage| usage.live);
        let mut by_size: Vec<(u64, u32)> = numbers.iter().map(|number| (live(*number), *number)).collect();
        by_size.sort_unstable();
        let mut sum = 0_u64;
        let fits = |(live, _): &(u64, u32)| {
            sum = sum.saturating_add(*live);
            sum <= most
        };
        by_size.into_iter().take_while(fits).map(|(_, number)| number).collect()
    }

    /// As [`Segments::mostly_garbage`], but nothing unless that makes room for a whole segment.
    pub(super) fn worth_reclaiming(&self, share: u64) -> BTreeSet<u32> {
        let room = |state: &State| -> u64 {
            let garbage = |usage: &Usage| usage.size.saturating_sub(usage.live + usage.pending);
            state.usage.values().filter(|usage| usage.known).map(garbage).sum()
        };
        if room(&self.state()) < SEGMENT_BYTES { BTreeSet::new() } else { self.mostly_garbage(share) }
    }

    /// Removes a segment of which nothing is named any more.
    pub(super) fn remove(&self, number: u32) -> Result<()> {
        {
            let mut state = self.state();
            state.usage.remove(&number);
            state.appended.remove(&number);
            state.readers.remove(&number);
            state.opened.retain(|opened| *opened != number);
        }
        match self.files.remove(&self.path(number)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(self.failed(number)(error)),
            _ => Ok(()),
        }
    }

    /// Bytes of all segments.
    pub(super) fn disk_bytes(&self) -> u64 {
        self.state().usage.values().map(|usage| usage.size).sum()
    }
}

pub(super) fn damaged(id: ChunkId, detail: String) -> StorageError {
    StorageError::Corrupt { what: format!("chunk {id}"), detail }
}

/// The content of a chunk is not that of its sum.
pub(super) fn other_content(id: ChunkId, sum: &ChunkSum) -> StorageError {
    damaged(id, format!("its content is not what the checksum {sum:?} is of"))
}
