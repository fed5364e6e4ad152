//! The process that writes until it dies: this test binary itself, started again with an environment variable.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use mirrordna::record::inode::ROOT_INO;
use mirrordna::record::{Checksum, FileType, Inode, Kind, Value, json, object};
use mirrordna::storage::{Action, Durability, Ino, NOW, SLOT_BYTES, Storage, StorageError};
use mirrordna::vault::{MemoryUpdate, NewMemory, NewSnapshot, Record, Tier};
use mirrordna::{Vault, VaultOptions};

use crate::files::{Files, noise, size};
use crate::ledger::Ack;

const DIR: &str = "MIRRORDNA_CRASH_DIR";
const BUFFERED: &str = "MIRRORDNA_CRASH_BUFFERED";
/// Memories of a batch.
pub(crate) const BATCH: u64 = 4;

/// A writer that runs.
pub(crate) struct Writer {
    child: Child,
    lines: Receiver<String>,
}

impl Writer {
    /// Starts a writer on the vault in `dir`; with `buffered` only every eighth of its writes is durable.
    pub(crate) fn start(dir: &Path, buffered: bool) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "writer::writes_until_it_dies", "--nocapture", "--test-threads=1"]);
        command.env(DIR, dir).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        if buffered {
            command.env(BUFFERED, "1");
        }
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (send, lines) = channel();
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        Self { child, lines }
    }

    /// Waits until it has said that the vault is open, on a line that the test harness began.
    pub(crate) fn wait_open(&mut self) -> bool {
        self.lines.iter().any(|line| line.ends_with("open"))
    }

    /// Kills it and returns what it was told.
    pub(crate) fn kill(mut self) -> Vec<Ack> {
        // It may have died by itself of the power cut.
        let _ = self.child.kill();
        self.child.wait().unwrap();
        self.lines.iter().filter_map(|line| Ack::parse(&line)).collect()
    }
}

fn say(line: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{line}");
    let _ = stdout.flush();
}

fn acknowledge(sync: bool, record: &Record) {
    let Record { kind, id, sequence, checksum, .. } = record.clone();
    say(&Ack { sync, kind, id, sequence, checksum }.line());
}

/// Not a test: what [`Writer::start`] runs. Without the variable there is nothing to do.
#[test]
fn writes_until_it_dies() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    // When the power is cut every call fails, and the process has nothing more to say.
    let _ = write(Path::new(&dir), std::env::var_os(BUFFERED).is_some());
}

/// The files that one process makes, in a directory of its own.
struct Tree {
    files: Files,
    home: Ino,
    next: Ino,
}

impl Tree {
    fn begin(storage: &dyn Storage) -> Result<Self, StorageError> {
        let mut files = Files::default();
        match storage.version(Kind::Artifact, &ROOT_INO.to_string(), NOW)? {
            Some(version) => files.load(Inode::from_value(&json::parse(&version.json).unwrap()).unwrap()),
            None => files.make(ROOT_INO, FileType::Directory, 0, b""),
        }
        let home = storage.next_ino()?.max(ROOT_INO + 1);
        files.make(home, FileType::Directory, ROOT_INO, format!("of {home}").as_bytes());
        Ok(Self { files, home, next: home + 1 })
    }

    /// Makes a file, writes over an older one, and takes one away, in one commit.
    fn work(&mut self, storage: &dyn Storage, n: u64, sync: bool) -> Result<(), StorageError> {
        let new = self.next;
        self.next += 1;
        self.files.make(new, FileType::Regular, self.home, format!("file {new}").as_bytes());
        let old: Vec<Ino> = self.files.by_ino.keys().copied().filter(|ino| *ino > self.home).collect();
        for (ino, slot) in [(new, 0), (new, n % 300), (old[size(n) % old.len()], n % 4)] {
            let len = if n.is_multiple_of(5) { SLOT_BYTES as usize } else { 1 + size(n) * 37 % 5_000 };
            self.files.try_write(storage, ino, slot, &noise(n + ino, len))?;
        }
        if old.len() > 8 {
            self.files.unlink(old[0], self.home, format!("file {}", old[0]).as_bytes());
            self.files.remove(old[0]);
        }
        let commit = self.files.commit_of(if sync { Durability::Sync } else { Durability::Buffered });
        let changes = commit.changes.clone();
        let committed = storage.commit(commit)?;
        for (change, sequence) in changes.into_iter().zip(committed.first..) {
            let checksum = match change.action {
                Action::Put(prepared) => prepared.checksum,
                Action::Delete => Checksum([0; 32]),
            };
            say(&Ack { sync, kind: Kind::Artifact, id: change.id, sequence, checksum }.line());
        }
        Ok(())
    }
}

/// The memory that a process adds as its `n`th.
fn memory(n: u64, metadata: Option<Value>) -> NewMemory {
    NewMemory {
        tier: Tier::Episodic,
        content: format!("memory {n} of process {} {}", std::process::id(), "x".repeat((n % 13) as usize * 40)).into(),
        session_id: "sess_20250301_080000_00000000".into(),
        agent_id: Some("mdna_agt_390c8c7d7247342c".into()),
        user_id: Some("mdna_usr_d8100f2f6f770d65".into()),
        timestamp: None,
        metadata,
    }
}

/// Adds memories in one commit, each of which says with how many others it came, and changes the first of them in it, too.
fn write_batch(vault: &Vault, n: u64) -> Result<(), mirrordna::Error> {
    let of = object([("batch", format!("{}-{n}", std::process::id()).into()), ("of", BATCH.into())]);
    let batch = vault.batch();
    let mut last = Vec::new();
    for _ in 0..BATCH {
        last.push(batch.memories().add(memory(n, Some(of.clone())))?);
    }
    let update = MemoryUpdate { content: Some(format!("changed {n} in its batch").into()), ..MemoryUpdate::default() };
    let changed = batch.memories().update(&last[0].id, &update)?;
    batch.commit()?;
    for added in last.iter().skip(1).chain([&changed]) {
        acknowledge(true, &vault.get(Kind::Memory, &added.id)?);
    }
    Ok(())
}

fn write(dir: &Path, buffered: bool) -> Result<(), mirrordna::Error> {
    let vault = Vault::open(dir, &VaultOptions::default())?;
    say("open");
    let fast = vault.with_durability(Durability::Buffered);
    let mut tree = Tree::begin(vault.storage())?;
    for n in 0_u64.. {
        let sync = !buffered || n.is_multiple_of(8);
        let handle = if sync { &vault } else { &fast };
        let memory = handle.memories().add(memory(n, None))?;
        acknowledge(sync, &memory);
        if n.is_multiple_of(3) {
            tree.work(vault.storage(), n, sync)?;
        }
        if n % 5 == 1 {
            let update = MemoryUpdate { content: Some(format!("changed {n}").into()), ..MemoryUpdate::default() };
            acknowledge(sync, &handle.memories().update(&memory.id, &update)?);
        }
        if n % 7 == 2 {
            write_batch(&vault, n)?;
        }
        if n % 40 == 39 {
            let pin = vault.snapshots().create(NewSnapshot::default())?;
            acknowledge(true, &vault.get(Kind::Snapshot, &pin.id)?);
        }
    }
    Ok(())
}
