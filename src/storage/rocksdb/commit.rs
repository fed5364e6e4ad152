//! Writing: concurrent commits are grouped; one thread leads, gives out sequences, extends the Merkle tree, and writes
//! one batch with one fsync for all.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ::rocksdb::WriteBatch;

use crate::record::id::{IdSource, SystemIds};
use crate::record::inode::parse_ino;
use crate::record::{Checksum, Kind, MAX_ID_BYTES, Timestamp};

use super::super::artifacts::{ChunkId, Ino};
use super::super::codec::{self, key};
use super::super::file_rows::encode_highest;
use super::super::merkle::{self, Tree};
use super::super::prepare::missing_time;
use super::super::types::{
    Action, Change, Commit, Committed, Durability, Head, LogEntry, Operation, Origin, RecordFile, Sequence, Term,
    Version, listed_time,
};
use super::super::{
    Changed, Intent, MAX_COMMIT_BYTES, MAX_COMMIT_CHANGES, MAX_COMMIT_SEEN, Result, Storage, StorageError, Subscriber,
};
use super::artifacts::{HIGHEST_KEY, check_rows};
use super::prune::HORIZON_KEY;
use super::{Cf, Overlay, Published, RocksStorage, Slot, Writer, bare_entry, lock};

/// A group takes no further commit once it has this many bytes of records.
const GROUP_BYTES: usize = 4 << 20;
/// How many commits with tokens are remembered.
const REMEMBERED_TOKENS: usize = 4_096;
const INTENT_KEY: &[u8] = b"intent";

/// Commits that wait, and whether somebody leads.
#[derive(Default)]
pub(super) struct Queue {
    waiting: VecDeque<(Arc<Slot>, Commit)>,
    led: bool,
}

/// How far a waiting commit is.
#[derive(Default)]
pub(super) enum SlotState {
    #[default]
    Waiting,
    /// The leader before is done; this thread leads now.
    Lead,
    Done(Result<Committed>),
    Taken,
}

/// A record as it is while a batch is made.
#[derive(Clone, Default)]
pub(super) struct Current {
    head: Option<Head>,
    /// Its index entries and their value; empty when it is not there.
    terms: Vec<(u16, Term)>,
    posting: Vec<u8>,
}

impl Current {
    fn live(&self) -> Option<&Head> {
        self.head.as_ref().filter(|head| !head.deleted)
    }
}

/// Answers to the newest commits with tokens.
#[derive(Default)]
pub(super) struct Tokens {
    answers: HashMap<[u8; 16], Committed>,
    order: VecDeque<[u8; 16]>,
}

impl Tokens {
    fn remember(&mut self, token: [u8; 16], answer: Committed) {
        if self.answers.insert(token, answer).is_none() {
            self.order.push_back(token);
        }
        if self.order.len() > REMEMBERED_TOKENS
            && let Some(oldest) = self.order.pop_front()
        {
            self.answers.remove(&oldest);
        }
    }
}

/// One batch in the making.
struct Group {
    batch: WriteBatch,
    tree: Tree,
    time: Timestamp,
    epoch: u64,
    horizon: Sequence,
    sync: bool,
    overlay: Overlay,
    changed: Vec<Changed>,
    tokens: Vec<([u8; 16], Committed)>,
    /// Chunks that rows of this batch name for the first time.
    chunks: Vec<ChunkId>,
    highest_ino: Ino,
}

impl RocksStorage {
    /// Commits, in a group with whoever else commits at the moment.
    pub(super) fn enqueue(&self, commit: Commit) -> Result<Committed> {
        check_limits(&commit)?;
        self.sync_content(&commit)?;
        let slot = Arc::new(Slot::default());
        let mut queue = lock(&self.queue);
        queue.waiting.push_back((Arc::clone(&slot), commit));
        if queue.led {
            drop(queue);
            if let Some(answer) = wait(&slot) {
                return answer;
            }
        } else {
            queue.led = true;
            drop(queue);
        }
        self.lead();
        match std::mem::replace(&mut *lock(&slot.state), SlotState::Taken) {
            SlotState::Done(answer) => answer,
            SlotState::Waiting | SlotState::Lead | SlotState::Taken => {
                Err(StorageError::Engine { path: self.dir.clone(), message: "a commit got no answer".to_owned() })
            }
        }
    }

    /// Writes one group, which begins with the leader's own commit, and hands the lead on.
    fn lead(&self) {
        let mut taken = Vec::new();
        let mut bytes = 0;
        let mut queue = lock(&self.queue);
        while bytes < GROUP_BYTES
            && let Some((slot, commit)) = queue.waiting.pop_front()
        {
            bytes += record_bytes(&commit);
            taken.push((slot, commit));
        }
        drop(queue);
        let (slots, commits): (Vec<_>, Vec<_>) = taken.into_iter().unzip();
        let answers = self.write_group(commits);
        for (slot, answer) in slots.iter().zip(answers) {
            *lock(&slot.state) = SlotState::Done(answer);
            slot.wake.notify_one();
        }
        let mut queue = lock(&self.queue);
        match queue.waiting.front() {
            Some((next, _)) => {
                *lock(&next.state) = SlotState::Lead;
                next.wake.notify_one();
            }
            None => queue.led = false,
        }
    }

    fn write_group(&self, commits: Vec<Commit>) -> Vec<Result<Committed>> {
        let mut writer = lock(&self.writer);
        let count = commits.len();
        let mut answers = Vec::with_capacity(count);
        let mut group = match self.begin_group(&mut writer) {
            Ok(group) => group,
            Err(error) => {
                answers.extend((1..count).map(|_| Err(error.again(&self.dir))));
                answers.push(Err(error));
                return answers;
            }
        };
        for commit in commits {
            answers.push(self.add_commit(&mut writer, &mut group, commit));
        }
        if let Err(error) = self.finish_group(&mut writer, group) {
            for answer in answers.iter_mut().filter(|answer| answer.is_ok()) {
                *answer = Err(error.again(&self.dir));
            }
        }
        answers
    }

    fn begin_group(&self, writer: &mut Writer) -> Result<Group> {
        if self.read_only {
            return Err(StorageError::Permission { path: self.dir.clone() });
        }
        self.mark_in_use(writer)?;
        let published = self.published();
        Ok(Group {
            batch: WriteBatch::default(),
            tree: (*published.tree).clone(),
            time: published.time.max(self.clock.now()),
            epoch: published.epoch,
            horizon: published.horizon,
            sync: false,
            overlay: Overlay::new(),
            changed: Vec::new(),
            tokens: Vec::new(),
            chunks: Vec::new(),
            highest_ino: self.highest_ino(),
        })
    }

    fn finish_group(&self, writer: &mut Writer, group: Group) -> Result<()> {
        if group.batch.is_empty() {
            return Ok(());
        }
        let mut group = group;
        if group.highest_ino > self.highest_ino() {
            group.batch.put_cf(self.database.cf(Cf::Meta)?, HIGHEST_KEY, encode_highest(group.highest_ino));
        }
        self.database.write(group.batch, group.sync)?;
        self.highest_ino.store(group.highest_ino, Ordering::Release);
        self.segments.committed(&group.chunks);
        self.inline.forget(&group.chunks);
        let sequence = group.tree.size();
        if group.sync {
            self.durable.fetch_max(sequence, Ordering::AcqRel);
        }
        let Group { tree, time, epoch, horizon, .. } = group;
        self.publish(Published { tree: Arc::new(tree), time, epoch, horizon });
        if let Some(tokens) = &mut writer.tokens {
            for (token, answer) in group.tokens {
                tokens.remember(token, answer);
            }
        }
        self.notify(&group.changed);
        Ok(())
    }

    /// From now on calls `subscriber` for each commit, until the last other reference to it is dropped.
    pub(in crate::storage) fn add_subscriber(&self, subscriber: &Arc<dyn Subscriber>) {
        lock(&self.subscribers).push(Arc::downgrade(subscriber));
    }

    /// Those who are still there.
    pub(super) fn subscribers(&self) -> Vec<Arc<dyn Subscriber>> {
        let mut subscribers = lock(&self.subscribers);
        subscribers.retain(|subscriber| subscriber.strong_count() > 0);
        subscribers.iter().filter_map(std::sync::Weak::upgrade).collect()
    }

    fn notify(&self, changed: &[Changed]) {
        if changed.is_empty() {
            return;
        }
        for subscriber in self.subscribers() {
            // The commits are made, and others wait for their answers: a subscriber's own fault must not take those away.
            let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| subscriber.changed(changed)));
            if told.is_err() {
                tracing::error!(target: "mirrordna::storage", "a subscriber to changes panicked");
            }
        }
    }

    fn add_commit(&self, writer: &mut Writer, group: &mut Group, commit: Commit) -> Result<Committed> {
        if let Some(token) = commit.token
            && let Some(answer) = self.seen(writer, group, token)?
        {
            if commit.durability == Durability::Sync {
                self.make_durable(group, answer.last)?;
            }
            return Ok(answer);
        }
        // First look at all changes, then write: a commit that cannot be made leaves nothing in the batch.
        let before = self.look(group, &commit)?;
        let new = self.new_chunks(writer, &commit.files)?;
        let first = group.tree.size() + 1;
        let count = commit.changes.len();
        let mut salts = vec![[0; 16]; count];
        SystemIds.fill(salts.as_flattened_mut())?;
        let token = commit.token;
        let inos = commit.changes.iter().zip(first..).filter(|(change, _)| change.kind == Kind::Artifact);
        let inos: HashMap<Ino, Sequence> =
            inos.filter_map(|(change, sequence)| Some((parse_ino(&change.id)?, sequence))).collect();
        self.put_rows(&mut group.batch, &commit.files, &new, group.tree.size() + count as u64, &inos)?;
        group.chunks.extend(new.into_keys());
        group.highest_ino = inos.into_keys().fold(group.highest_ino, Ino::max);
        for (n, ((change, before), salt)) in commit.changes.into_iter().zip(before).zip(salts).enumerate() {
            let last = n + 1 == count;
            let stamp =
                Stamp { actor: &commit.actor, origin: commit.origin, token: token.filter(|_| last), last, salt };
            let before = match before {
                Some(before) => before,
                None => self.current(&group.overlay, change.kind, &change.id)?,
            };
            self.add_change(group, change, before, &stamp)?;
        }
        let answer = Committed { first, last: group.tree.size(), time: group.time };
        if commit.durability == Durability::Sync {
            group.sync = true;
        }
        if let Some(token) = token {
            group.tokens.push((token, answer));
        }
        Ok(answer)
    }

    /// Whether a commit can be made, and for each change the record as it is; none when an earlier change of the commit
    /// leaves it in the overlay.
    fn look(&self, group: &Group, commit: &Commit) -> Result<Vec<Option<Current>>> {
        for seen in &commit.seen {
            seen.check(self.live_sequence(&group.overlay, seen.kind, &seen.id)?)?;
        }
        let mut before = Vec::with_capacity(commit.changes.len());
        // What the changes so far make of a record: the sequence of its newest version, if it is there.
        let mut touched: HashMap<(Kind, &str), Option<Sequence>> = HashMap::with_capacity(commit.changes.len());
        for (change, sequence) in commit.changes.iter().zip(group.tree.size() + 1..) {
            let made = matches!(change.action, Action::Put(_)).then_some(sequence);
            if let Some(live) = touched.get_mut(&(change.kind, change.id.as_str())) {
                if change.kind == Kind::Artifact {
                    let what = format!("{} {} is changed twice in one commit", change.kind, change.id);
                    return Err(StorageError::Limit { what, limit: 1 });
                }
                change.check(*live)?;
                *live = made;
                before.push(None);
            } else {
                let current = self.current(&group.overlay, change.kind, &change.id)?;
                change.check(current.live().map(|head| head.sequence))?;
                touched.insert((change.kind, change.id.as_str()), made);
                before.push(Some(current));
            }
        }
        Ok(before)
    }

    fn live_sequence(&self, overlay: &Overlay, kind: Kind, id: &str) -> Result<Option<Sequence>> {
        let head = match overlay.get(&(kind, id.to_owned())) {
            Some(current) => current.head,
            None => self.read_head(kind, id)?,
        };
        Ok(head.filter(|head| !head.deleted).map(|head| head.sequence))
    }

    /// The answer that a commit with this token got before.
    fn seen(&self, writer: &mut Writer, group: &Group, token: [u8; 16]) -> Result<Option<Committed>> {
        if let Some((_, answer)) = group.tokens.iter().find(|(seen, _)| *seen == token) {
            return Ok(Some(*answer));
        }
        if writer.tokens.is_none() {
            writer.tokens = Some(self.recent_tokens()?);
        }
        Ok(writer.tokens.as_ref().and_then(|tokens| tokens.answers.get(&token)).copied())
    }

    /// A commit that was made before may have been content with less than its repetition asks for.
    fn make_durable(&self, group: &mut Group, sequence: Sequence) -> Result<()> {
        let written = self.published().tree.size();
        if sequence > written {
            group.sync = true;
        } else if sequence > self.durable.load(Ordering::Acquire) {
            Storage::sync(self)?;
        }
        Ok(())
    }

    fn recent_tokens(&self) -> Result<Tokens> {
        let newest = self.published().tree.size();
        let mut tokens = Tokens::default();
        let mut first = None;
        let mut from = newest.saturating_sub(REMEMBERED_TOKENS as u64) + 1;
        // The oldest commit that is remembered is remembered from its first entry on.
        while from > 1 && self.read_log(from - 1, 1)?.first().is_some_and(|entry| !entry.end_of_commit) {
            from -= 1;
        }
        for entry in self.read_log(from, usize::MAX)? {
            let begin = *first.get_or_insert(entry.sequence);
            if let Some(token) = entry.token {
                tokens.remember(token, Committed { first: begin, last: entry.sequence, time: entry.time });
            }
            if entry.end_of_commit {
                first = None;
            }
        }
        Ok(tokens)
    }

    fn current(&self, overlay: &Overlay, kind: Kind, id: &str) -> Result<Current> {
        // A lookup needs an owned key; groups of one commit, the usual case, have an empty overlay.
        if !overlay.is_empty()
            && let Some(current) = overlay.get(&(kind, id.to_owned()))
        {
            return Ok(current.clone());
        }
        let Some(head) = self.read_head(kind, id)? else { return Ok(Current::default()) };
        if head.deleted {
            return Ok(Current { head: Some(head), ..Current::default() });
        }
        let version = self.read_exact_version(kind, id, head.sequence)?;
        let posting = codec::encode_posting(listed_time(&version.terms, version.time), version.archived, id);
        Ok(Current { head: Some(head), terms: version.terms, posting })
    }

    fn add_change(&self, group: &mut Group, change: Change, before: Current, stamp: &Stamp<'_>) -> Result<()> {
        let sequence = group.tree.size() + 1;
        let Change { kind, id, action, event, .. } = change;
        let live = before.live().copied();
        let (operation, session, agent, version) = match action {
            Action::Put(prepared) => {
                let operation = if live.is_some() { Operation::Update } else { Operation::Create };
                let mut terms = Vec::with_capacity(prepared.terms.len() + 2);
                // Of artifacts only the orphans are ever looked for, at opening.
                if kind != Kind::Artifact || prepared.archived {
                    terms.push((codec::all_index(kind), Term::All));
                }
                terms.extend(prepared.terms);
                terms.extend(missing_time(kind, &terms, group.time));
                let version = Version {
                    sequence,
                    birth: live.map_or(sequence, |head| head.birth),
                    time: group.time,
                    checksum: prepared.checksum,
                    file: prepared.file,
                    salt: stamp.salt,
                    lenient: prepared.lenient,
                    deleted: false,
                    archived: prepared.archived,
                    terms,
                    json: prepared.json,
                };
                (operation, prepared.session, prepared.agent, version)
            }
            Action::Delete => {
                let birth = live.map_or(sequence, |head| head.birth);
                (Operation::Delete, String::new(), String::new(), tombstone(sequence, birth, group.time))
            }
        };
        let entry = LogEntry {
            sequence,
            time: group.time,
            operation,
            origin: stamp.origin,
            event,
            end_of_commit: stamp.last,
            kind: Some(kind),
            id,
            session,
            agent,
            actor: stamp.actor.to_owned(),
            commitment: version.commitment(),
            token: stamp.token,
            detail: String::new(),
        };
        self.put_entry(group, &entry)?;
        let id = entry.id.as_str();
        let database = &self.database;
        group.batch.put_cf(
            database.cf(Cf::Versions)?,
            key::version(kind, id, sequence),
            codec::encode_version(&version),
        );
        let head = Head::from(&version);
        group.batch.put_cf(database.cf(Cf::Heads)?, key::head(kind, id), codec::encode_head(&head));
        let posting = if version.deleted {
            Vec::new()
        } else {
            codec::encode_posting(listed_time(&version.terms, version.time), version.archived, id)
        };
        self.move_postings(&mut group.batch, &before, &version, &posting)?;
        let after = version.terms;
        let current = Current { head: Some(head), terms: after.clone(), posting };
        group.overlay.insert((kind, entry.id.clone()), current);
        // Also while nobody listens: who subscribes before the group is written must hear of all of it.
        group.changed.push(Changed { entry, before: before.terms, after });
        Ok(())
    }

    fn move_postings(&self, batch: &mut WriteBatch, before: &Current, after: &Version, posting: &[u8]) -> Result<()> {
        let index = self.database.cf(Cf::Index)?;
        let birth = before.live().map_or(after.birth, |head| head.birth);
        for (number, term) in &before.terms {
            if !after.terms.contains(&(*number, term.clone())) {
                batch.delete_cf(index, key::posting(*number, term, birth));
            }
        }
        for (number, term) in &after.terms {
            if before.posting != posting || !before.terms.contains(&(*number, term.clone())) {
                batch.put_cf(index, key::posting(*number, term, after.birth), posting);
            }
        }
        Ok(())
    }

    /// Puts an entry into the log and its leaf into the tree.
    fn put_entry(&self, group: &mut Group, entry: &LogEntry) -> Result<()> {
        let bytes = codec::encode_entry(entry);
        let tiles = self.database.cf(Cf::Tiles)?;
        let batch = &mut group.batch;
        group.tree.append(merkle::leaf(&bytes), |tile| {
            batch.put_cf(tiles, key::tile(tile.level, tile.index), tile.bytes());
        });
        group.batch.put_cf(self.database.cf(Cf::Log)?, key::log(entry.sequence), bytes);
        Ok(())
    }

    /// Appends, durably, the entry of a prune.
    pub(super) fn append_prune(&self, actor: &str, horizon: Sequence, detail: String) -> Result<()> {
        check_name("the name of the actor", actor)?;
        let mut writer = lock(&self.writer);
        // What a restore that is not finished yet needs is the present of a moment that nobody pins.
        if let Some(Intent::Restore { .. }) = self.read_intent()? {
            let holder = "a restore that is not finished yet".to_owned();
            return Err(StorageError::Locked { path: self.dir.clone(), holder });
        }
        let mut group = self.begin_group(&mut writer)?;
        // It never goes back: two may prune at once.
        group.horizon = group.horizon.max(horizon);
        group.batch.put_cf(self.database.cf(Cf::Meta)?, HORIZON_KEY, group.horizon.to_le_bytes());
        self.append_bare(&mut writer, group, bare_entry(Operation::Prune, actor, detail))
    }

    pub(super) fn append_epoch(&self, reason: &str, actor: &str) -> Result<()> {
        check_name("the name of the actor", actor)?;
        check_name("the reason", reason)?;
        let mut writer = lock(&self.writer);
        let mut group = self.begin_group(&mut writer)?;
        group.epoch += 1;
        // HEAD learns of the epoch before the log does: after a crash in between, a number is left out; the other way
        // round, the next epoch would get the same one. What HEAD says of the log must be durable.
        self.sync()?;
        self.write_head(&mut writer, false, group.epoch)?;
        let detail = crate::record::object([("epoch", group.epoch.into()), ("reason", reason.into())]);
        let detail = String::from_utf8_lossy(&crate::record::checksum::canonical(&detail)).into_owned();
        self.append_bare(&mut writer, group, bare_entry(Operation::Epoch, actor, detail))
    }

    fn append_bare(&self, writer: &mut Writer, mut group: Group, mut entry: LogEntry) -> Result<()> {
        entry.sequence = group.tree.size() + 1;
        entry.time = group.time;
        group.sync = true;
        self.put_entry(&mut group, &entry)?;
        self.finish_group(writer, group)
    }

    pub(super) fn read_intent(&self) -> Result<Option<Intent>> {
        let Some(bytes) = self.database.get(Cf::Meta, INTENT_KEY)? else { return Ok(None) };
        let damaged = || StorageError::Corrupt { what: "the intent".into(), detail: "it cannot be read".into() };
        let (kind, sequences) = bytes.split_first().ok_or_else(damaged)?;
        let (sequences, rest) = sequences.as_chunks::<8>();
        match (kind, sequences, rest) {
            (1, [target], []) => Ok(Some(Intent::Restore { target: Sequence::from_le_bytes(*target), start: None })),
            (1, [target, start], []) => {
                let start = Some(Sequence::from_le_bytes(*start));
                Ok(Some(Intent::Restore { target: Sequence::from_le_bytes(*target), start }))
            }
            (2, [since], []) => Ok(Some(Intent::Import { since: Sequence::from_le_bytes(*since) })),
            _ => Err(damaged()),
        }
    }

    pub(super) fn write_intent(&self, intent: Option<&Intent>) -> Result<()> {
        let is_restore = |intent: Option<&Intent>| matches!(intent, Some(Intent::Restore { .. }));
        // One that goes on with another target keeps them stopped.
        let stops = is_restore(intent) && !is_restore(self.read_intent()?.as_ref());
        if stops {
            self.stop_holders()?;
        }
        let written = self.write_intent_row(intent);
        if stops && written.is_err() {
            self.resume_holders(None);
        }
        if intent.is_none() && written.is_ok() {
            self.gate().reserve(None);
            self.resume_holders(None);
        }
        written
    }

    pub(super) fn resume_holders(&self, unfinished: Option<&StorageError>) {
        for holder in self.holders() {
            holder.resume(unfinished);
        }
    }

    /// A restore changes artifacts below those who hold changes of them back.
    fn stop_holders(&self) -> Result<()> {
        for holder in self.holders() {
            if let Err(error) = holder.stop() {
                self.resume_holders(None);
                return Err(error);
            }
        }
        Ok(())
    }

    fn write_intent_row(&self, intent: Option<&Intent>) -> Result<()> {
        let mut writer = lock(&self.writer);
        self.begin_group(&mut writer)?;
        let meta = self.database.cf(Cf::Meta)?;
        let mut batch = WriteBatch::default();
        let (kind, sequence, start) = match intent {
            None => {
                batch.delete_cf(meta, INTENT_KEY);
                return self.database.write(batch, true);
            }
            Some(Intent::Restore { target, start }) => (1, *target, *start),
            Some(Intent::Import { since }) => (2, *since, None),
        };
        let mut value = vec![kind];
        for sequence in [sequence].into_iter().chain(start) {
            value.extend_from_slice(&sequence.to_le_bytes());
        }
        batch.put_cf(meta, INTENT_KEY, value);
        self.database.write(batch, true)
    }
}

/// What an entry has from its commit.
struct Stamp<'a> {
    actor: &'a str,
    origin: Origin,
    token: Option<[u8; 16]>,
    last: bool,
    salt: [u8; 16],
}

fn tombstone(sequence: Sequence, birth: Sequence, time: Timestamp) -> Version {
    Version {
        sequence,
        birth,
        time,
        checksum: Checksum([0; 32]),
        file: RecordFile::NONE,
        salt: [0; 16],
        lenient: false,
        deleted: true,
        archived: false,
        terms: Vec::new(),
        json: Vec::new(),
    }
}

fn record_bytes(commit: &Commit) -> usize {
    let bytes = |change: &Change| match &change.action {
        Action::Put(prepared) => prepared.json.len(),
        Action::Delete => 0,
    };
    let rows = commit.files.dentries.len() * 64 + commit.files.extents.len() * 100;
    commit.changes.iter().map(bytes).sum::<usize>() + rows
}

fn check_limits(commit: &Commit) -> Result<()> {
    let limit = |what: &str, limit| Err(StorageError::Limit { what: what.to_owned(), limit });
    if commit.changes.is_empty() {
        return limit("a commit without changes", MAX_COMMIT_CHANGES);
    }
    if commit.changes.len() > MAX_COMMIT_CHANGES {
        return limit("too many changes in one commit", MAX_COMMIT_CHANGES);
    }
    if commit.seen.len() > MAX_COMMIT_SEEN {
        return limit("too many records that one commit relies on", MAX_COMMIT_SEEN);
    }
    if record_bytes(commit) > MAX_COMMIT_BYTES {
        return limit("too many bytes of records in one commit", MAX_COMMIT_BYTES);
    }
    check_rows(commit)?;
    check_name("the name of the actor", &commit.actor)?;
    for seen in &commit.seen {
        if seen.id.is_empty() || seen.id.contains('\0') {
            return limit("an id that is empty or contains NUL", MAX_ID_BYTES);
        }
        check_name("an id", &seen.id)?;
    }
    for change in &commit.changes {
        // A zero byte ends the id in the keys of versions.
        if change.id.is_empty() || change.id.contains('\0') {
            return limit("an id that is empty or contains NUL", MAX_ID_BYTES);
        }
        check_name("an id", &change.id)?;
        if change.kind == Kind::Artifact && parse_ino(&change.id).is_none() {
            return limit("the id of an artifact that is not the number of an inode", MAX_ID_BYTES);
        }
        if let Action::Put(prepared) = &change.action {
            check_name("the session of a record", &prepared.session)?;
            check_name("the agent of a record", &prepared.agent)?;
        }
    }
    Ok(())
}

/// Names stand in log entries, which have room for no more.
fn check_name(what: &str, name: &str) -> Result<()> {
    if name.len() > MAX_ID_BYTES {
        return Err(StorageError::Limit { what: format!("{what} is too long"), limit: MAX_ID_BYTES });
    }
    Ok(())
}

/// Waits for an answer. None means that this thread leads now.
fn wait(slot: &Slot) -> Option<Result<Committed>> {
    let mut state = lock(&slot.state);
    loop {
        match std::mem::replace(&mut *state, SlotState::Taken) {
            SlotState::Done(answer) => return Some(answer),
            SlotState::Lead => {
                *state = SlotState::Waiting;
                return None;
            }
            waiting => *state = waiting,
        }
        state = slot.wake.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
    }
}
