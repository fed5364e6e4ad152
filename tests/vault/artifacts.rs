//! Files as a part of the vault: snapshots pin them, a restore brings them back, and who holds changes back is asked.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use mirrordna::record::{FileType, Kind};
use mirrordna::storage::{Durability, Intent, NOW, Piece, PrunePolicy, SLOT_BYTES, Storage, StorageError, WriteBack};
use mirrordna::vault::NewSnapshot;
use mirrordna::{Error, Vault, verify};

use crate::files::{Files, noise, size};
use crate::support::{Fixture, options};

fn assert_sound(vault: &Vault) {
    let report = verify::verify_storage(vault.storage(), &mut |_, _| {}).unwrap();
    assert!(report.is_clean(), "{:#?}", report.faults);
}

/// Some hundred files, more than a restore puts into one commit.
fn many(storage: &dyn Storage) -> Files {
    let mut files = Files::default();
    files.make(1, FileType::Directory, 0, b"");
    files.make(2, FileType::Directory, 1, b"docs");
    for ino in 3..700 {
        files.make(ino, FileType::Regular, 1 + ino % 2, format!("file {ino}").as_bytes());
        files.write(storage, ino, ino % 5, &noise(ino, 40 + size(ino)));
    }
    files.write(storage, 3, 900, &noise(1, SLOT_BYTES as usize));
    files.commit(storage, Durability::Sync);
    files
}

/// Changes of every sort.
fn change(storage: &dyn Storage, files: &mut Files) {
    for ino in (3..700).step_by(3) {
        files.write(storage, ino, ino % 5, &noise(ino + 9_999, 60));
    }
    for ino in (4..700).step_by(7) {
        let (parent, name) = files.by_ino[&ino].inode.names[0].clone();
        files.unlink(ino, parent, &name);
        files.remove(ino);
        // Another file takes its name.
        files.make(1_000 + ino, FileType::Fifo, parent, &name);
    }
    // Two change their names with each other, one gets a second one.
    let (a, b) = (files.by_ino[&5].inode.names[0].clone(), files.by_ino[&6].inode.names[0].clone());
    files.unlink(5, a.0, &a.1);
    files.unlink(6, b.0, &b.1);
    files.link(6, a.0, &a.1);
    files.link(5, b.0, &b.1);
    files.link(8, 2, b"second name");
    files.set(3, 900, Vec::<Piece>::new(), Vec::new());
    files.write(storage, 3, 901, b"behind");
    files.commit(storage, Durability::Buffered);
}

fn snapshot(vault: &Vault, id: &str) -> u64 {
    vault.snapshots().create(NewSnapshot { id: Some(id.to_owned()), ..NewSnapshot::default() }).unwrap().sequence
}

#[test]
fn a_restore_brings_files_back_as_they_were() {
    let fixture = Fixture::new();
    let (vault, storage) = (&fixture.vault, fixture.vault.storage());
    let mut files = many(storage);
    let then = files.clone();
    let pin = snapshot(vault, "snap_then");
    change(storage, &mut files);
    let before = storage.state().sequence;
    assert_sound(vault);
    let restored = vault.snapshots().restore("snap_then").unwrap();
    assert!(restored.put > 300 && restored.deleted > 90, "{restored:?}");
    then.compare(storage, NOW);
    then.compare(storage, pin);
    files.compare(storage, before);
    assert!(storage.version(Kind::Artifact, "1004", NOW).unwrap().unwrap().deleted);
    assert_sound(vault);
    vault.prune(PrunePolicy::default()).unwrap();
    then.compare(storage, NOW);
    then.compare(storage, pin);
    assert_sound(vault);
    assert_eq!(vault.snapshots().restore("snap_then").unwrap().put, 0, "nothing is left to be done");
}

#[test]
fn a_restore_that_was_interrupted_is_finished_at_opening() {
    let fixture = Fixture::new();
    let storage = fixture.vault.storage();
    let mut files = many(storage);
    let then = files.clone();
    let pin = snapshot(&fixture.vault, "snap_then");
    change(storage, &mut files);
    storage.set_intent(Some(&Intent::Restore { target: pin, start: Some(storage.state().sequence) })).unwrap();
    let Fixture { dir, vault } = fixture;
    drop(vault);
    let vault = Vault::open(&dir.path().join("vault"), &options()).unwrap();
    then.compare(vault.storage(), NOW);
    assert_sound(&vault);
}

/// Somebody with a change that is not committed yet.
#[derive(Default)]
struct Holder {
    files: Mutex<Option<(Vault, Files)>>,
    refuses: AtomicBool,
    stopped: AtomicUsize,
    resumed: AtomicUsize,
}

impl WriteBack for Holder {
    fn write_back(&self) -> Result<(), StorageError> {
        if self.refuses.load(Ordering::Relaxed) {
            return Err(StorageError::NoSpace { path: "here".into() });
        }
        if let Some((vault, mut files)) = self.files.lock().unwrap().take() {
            files.commit(vault.storage(), Durability::Buffered);
        }
        Ok(())
    }

    fn stop(&self) -> Result<(), StorageError> {
        self.write_back()?;
        self.stopped.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn resume(&self, _: Option<&StorageError>) {
        self.resumed.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn what_is_held_back_is_committed_before_the_vault_is_looked_at() {
    let fixture = Fixture::new();
    let (vault, storage) = (&fixture.vault, fixture.vault.storage());
    let holder = Arc::new(Holder::default());
    let registered: Arc<dyn WriteBack> = Arc::<Holder>::clone(&holder);
    storage.hold_back(&registered).unwrap();
    let hold = |ino: u64| {
        let mut files = Files::default();
        files.make(ino, FileType::Regular, 1, ino.to_string().as_bytes());
        *holder.files.lock().unwrap() = Some((vault.clone(), files));
    };
    let there = |ino: u64| storage.version(Kind::Artifact, &ino.to_string(), NOW).unwrap().is_some_and(|v| !v.deleted);
    hold(2);
    let pin = snapshot(vault, "snap_a");
    assert!(storage.version(Kind::Artifact, "2", pin).unwrap().is_some());
    hold(3);
    assert_sound(vault);
    assert!(there(3));
    hold(4);
    vault.prune(PrunePolicy::default()).unwrap();
    assert!(there(4));
    hold(5);
    vault.snapshots().restore("snap_a").unwrap();
    assert!(there(2) && !there(3) && !there(4) && !there(5));
    assert_eq!((holder.stopped.load(Ordering::Relaxed), holder.resumed.load(Ordering::Relaxed)), (1, 1));
    // What cannot be committed cannot be pinned either.
    holder.refuses.store(true, Ordering::Relaxed);
    let before = storage.state();
    let refused = vault.snapshots().create(NewSnapshot::default());
    assert!(matches!(refused, Err(Error::Storage(StorageError::NoSpace { .. }))));
    assert!(matches!(vault.snapshots().restore("snap_a"), Err(Error::Storage(StorageError::NoSpace { .. }))));
    assert_eq!(storage.state(), before);
    assert_eq!(storage.intent().unwrap(), None);
    drop((holder, registered));
    snapshot(vault, "snap_b");
    vault.storage().settle().unwrap();
}

#[test]
fn files_are_no_records_of_the_protocol() {
    let fixture = Fixture::new();
    let (vault, storage) = (&fixture.vault, fixture.vault.storage());
    let mut files = Files::default();
    files.make(1, FileType::Directory, 0, b"");
    files.make(2, FileType::Regular, 1, b"a");
    files.commit(storage, Durability::Sync);
    let record = files.by_ino[&2].inode.to_value();
    assert!(matches!(vault.put(Kind::Artifact, record.clone()), Err(Error::Record(_) | Error::Immutable { .. })));
    assert!(matches!(vault.create_record(Kind::Artifact, record), Err(Error::Record(_) | Error::Immutable { .. })));
    assert!(matches!(vault.delete(Kind::Artifact, "2"), Err(Error::Immutable { .. })));
    assert!(vault.overview().unwrap().records.iter().all(|(_, count)| *count == 0));
    files.compare(storage, NOW);
    assert_sound(vault);
}
