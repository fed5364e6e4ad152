//! Backups of a vault that is in use.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mirrordna::artifacts::ROOT;
use mirrordna::backup::{
    BackupError, CreateOptions, Created, Destination, Folder, LocalFolder, Phase, Repository, Result, Silent,
    VerifyOptions,
};
use mirrordna::storage::{
    DataFile, Durability, FileAccess, OpenOptions, Opening, Ownership, PrunePolicy, SharedStorage, StorageError,
    SystemFiles,
};
use mirrordna::vault::Tier;
use mirrordna::{Error, Vault, VaultOptions};

use crate::sample;
use crate::support::{Fixture, content, init, noise, passphrase};

const KEEP_ONE: PrunePolicy = PrunePolicy { keep: Some(1), current_after: None, dry_run: false };

/// Eight threads write records and an artifact, and versions are pruned; each backup is the vault at its sequence, to the last bit.
#[test]
fn backups_of_a_vault_that_is_written_restore_to_its_root() {
    let fixture = Fixture::new();
    let done = AtomicBool::new(false);
    let mut created = Vec::new();
    std::thread::scope(|scope| {
        for thread in 0..8_u64 {
            let (fixture, done) = (&fixture, &done);
            scope.spawn(move || {
                let session = sample::session(&fixture.vault);
                for n in 0.. {
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                    sample::memory(&fixture.vault, &session, Tier::LongTerm, format!("{thread} {n}").as_str().into());
                    if n % 8 == 0 {
                        fixture.write(&format!("file{thread}"), n * 1_000, &noise(50_000, n));
                    }
                }
            });
        }
        for round in 0..6 {
            created.push(fixture.create());
            if round % 2 == 1 {
                fixture.vault.prune(KEEP_ONE).unwrap();
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(created.windows(2).all(|pair| pair[0].sequence < pair[1].sequence), "there were changes in between");
    for (n, created) in created.iter().enumerate() {
        assert_eq!(fixture.vault.storage().root(created.sequence).unwrap(), created.root);
        fixture.restore_sound(created.name.as_deref().unwrap(), &format!("restored{n}"), created.root);
    }
}

/// Backups of one vault that run at the same time, to one repository and to several, know of each other or not: none fails for
/// the others' sake, and the vault forgets none of the repositories.
#[test]
fn backups_of_a_vault_at_the_same_time_leave_each_other_alone() {
    let fixture = Fixture::empty();
    fixture.write("notes.txt", 0, b"a note that is an artifact");
    let others = [init(&fixture.path("second")), init(&fixture.path("third"))];
    std::thread::scope(|scope| {
        for repository in [&fixture.repository, &fixture.repository, &others[0], &others[0], &others[1], &others[1]] {
            let vault = &fixture.vault;
            scope.spawn(move || {
                for _ in 0..8 {
                    repository.create(vault, &CreateOptions::default(), &mut Silent).unwrap();
                }
            });
        }
    });
    let expected = std::fs::read_to_string(fixture.path("vault/BACKUPS")).unwrap();
    for repository in [&fixture.repository, &others[0], &others[1]] {
        assert!(expected.contains(&repository.id().to_string()), "{expected}");
        assert_eq!(repository.backups().unwrap().0.len(), 16);
        repository.create(&fixture.vault, &CreateOptions::default(), &mut Silent).unwrap();
    }
}

type Work = Box<dyn FnOnce() + Send>;

/// A folder beside which something happens once it was asked for the files of `folder`.
struct Meanwhile {
    inner: LocalFolder,
    folder: Folder,
    happens: Mutex<Option<Work>>,
}

impl Destination for Meanwhile {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn list(&self, folder: Folder) -> Result<Vec<(String, u64)>> {
        let listed = self.inner.list(folder);
        if folder == self.folder
            && let Some(happens) = self.happens.lock().unwrap().take()
        {
            happens();
        }
        listed
    }

    fn read(&self, folder: Folder, name: &str) -> Result<Vec<u8>> {
        self.inner.read(folder, name)
    }

    fn read_part(&self, folder: Folder, name: &str, offset: u64, len: usize) -> Result<Vec<u8>> {
        self.inner.read_part(folder, name, offset, len)
    }

    fn write(&self, folder: Folder, name: &str, content: &[u8]) -> Result<()> {
        self.inner.write(folder, name, content)
    }

    fn remove(&self, folder: Folder, name: &str) -> Result<()> {
        self.inner.remove(folder, name)
    }
}

/// A repair keeps what a backup stored that ended beside it, whatever the repair had looked at by then.
#[test]
fn a_backup_that_ends_beside_a_repair_stays_whole() {
    for folder in [Folder::Index, Folder::Packs, Folder::Marks] {
        let fixture = Fixture::new();
        fixture.create();
        fixture.write("more.bin", 0, &noise(100_000, 7));
        let (repository, vault) = (fixture.repository.clone(), fixture.vault.clone());
        let backup = move || drop(repository.create(&vault, &CreateOptions::default(), &mut Silent).unwrap());
        let inner = LocalFolder::new(&fixture.path("repository"));
        let meanwhile = Arc::new(Meanwhile { inner, folder, happens: Mutex::default() });
        let repairing = Repository::open(Arc::clone(&meanwhile) as _, &passphrase("right")).unwrap();
        *meanwhile.happens.lock().unwrap() = Some(Box::new(backup));
        repairing.repair(&mut Silent).unwrap();
        assert_eq!(fixture.repository.backups().unwrap().0.len(), 2, "{folder:?}");
        let report = fixture.repository.verify(&VerifyOptions::default(), &mut Silent).unwrap();
        assert!(report.is_clean(), "{folder:?}: {:?} {:?}", report.faults, report.backups);
        fixture.restore_sound("latest", "restored", fixture.vault.state().root);
    }
}

/// Chunks were listed, and are dropped before they are read: that is no damage, and the backup begins anew.
#[test]
fn a_backup_begins_anew_when_chunks_are_pruned_that_it_is_about_to_read() {
    let fixture = Fixture::empty();
    // More than is read ahead.
    let now = noise(24 << 20, 2);
    fixture.write("large.bin", 0, &noise(now.len(), 1));
    fixture.write("large.bin", 0, &now);
    let mut pruned = None;
    let mut progress = |_: Phase, done: u64, _: u64| {
        // All chunks are listed once the first is stored.
        if done > 0 && pruned.is_none() {
            pruned = Some(fixture.vault.prune(KEEP_ONE).unwrap());
        }
        ControlFlow::Continue(())
    };
    let created = fixture.repository.create(&fixture.vault, &CreateOptions::default(), &mut progress).unwrap();
    assert!(pruned.unwrap().chunks > 0);
    let path = fixture.restore_sound("latest", "restored", created.root);
    let restored = Vault::open(&path, &VaultOptions::default()).unwrap();
    assert!(content(&restored, "large.bin") == now);
}

/// Whoever prunes again and again is told of, and not a damage.
#[test]
fn a_backup_gives_up_when_the_vault_is_pruned_again_and_again() {
    let fixture = Fixture::empty();
    fixture.write("notes.txt", 0, b"a note that is an artifact");
    let mut progress = |_: Phase, _: u64, _: u64| {
        fixture.vault.prune(KEEP_ONE).unwrap();
        ControlFlow::Continue(())
    };
    let refused = fixture.repository.create(&fixture.vault, &CreateOptions::default(), &mut progress).unwrap_err();
    assert!(matches!(refused, BackupError::Pruned), "{refused}");
    let created = fixture.create();
    fixture.restore_sound("latest", "restored", created.root);
}

/// The files of a vault, beside which something happens before one is removed.
#[derive(Default)]
struct BeforeRemoval(Mutex<Option<Work>>);

impl FileAccess for BeforeRemoval {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        SystemFiles.read(path)
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        SystemFiles.write(path, content)
    }

    fn open(&self, path: &Path, opening: Opening) -> io::Result<Arc<dyn DataFile>> {
        SystemFiles.open(path, opening)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let happens = self.0.lock().unwrap().take();
        if let Some(happens) = happens {
            happens();
        }
        SystemFiles.remove(path)
    }
}

fn is_locked<T>(result: &std::result::Result<T, StorageError>) -> bool {
    matches!(result, Err(error @ StorageError::Locked { .. }) if error.to_string().contains("a prune of process"))
}

/// A prune that began before a backup is waited for, whichever process asked for it and whichever makes the backup.
#[test]
fn no_backup_begins_while_a_prune_drops() {
    let Fixture { dir, vault, repository } = Fixture::empty();
    drop(vault);
    let (path, lock_timeout) = (dir.path().join("vault"), Duration::from_millis(50));
    let files = Arc::new(BeforeRemoval::default());
    let options = OpenOptions { files: Arc::clone(&files) as _, lock_timeout, ..OpenOptions::default() };
    let owner = SharedStorage::open(&path, &options, Ownership::Any, Arc::new(|_, _, _| Ok(()))).unwrap();
    let fixture = Fixture { dir, vault: Vault::over(Arc::new(owner), &VaultOptions::default()), repository };
    let client = Vault::open(&path, &VaultOptions { lock_timeout, ..VaultOptions::default() }).unwrap();
    for (n, pruning) in [&fixture.vault, &client].into_iter().enumerate() {
        fixture.write("gone.bin", 0, &noise(1 << 20, n as u64));
        let artifacts = fixture.vault.artifacts().unwrap();
        artifacts.unlink(ROOT, b"gone.bin").unwrap();
        artifacts.commit(Durability::Buffered).unwrap();
        let tried: Arc<Mutex<Vec<Result<Created>>>> = Arc::default();
        let (repository, vaults) = (fixture.repository.clone(), [fixture.vault.clone(), client.clone()]);
        let told = Arc::clone(&tried);
        *files.0.lock().unwrap() = Some(Box::new(move || {
            let create = |vault| repository.create(vault, &CreateOptions::default(), &mut Silent);
            told.lock().unwrap().extend(vaults.iter().map(create));
        }));
        assert!(pruning.prune(KEEP_ONE).unwrap().chunks > 0);
        let tried = std::mem::take(&mut *tried.lock().unwrap());
        assert_eq!(tried.len(), 2);
        for refused in tried.into_iter().map(Result::unwrap_err) {
            let BackupError::Vault(Error::Storage(error)) = refused else { panic!("{refused}") };
            assert!(is_locked::<()>(&Err(error)));
        }
    }
    // Nor does a prune begin while somebody imports or restores; to count does no harm.
    let job = client.storage().job().unwrap();
    assert!(is_locked(&fixture.vault.storage().prune(KEEP_ONE, "tester")));
    assert!(is_locked(&client.storage().prune(KEEP_ONE, "tester")));
    fixture.vault.prune(PrunePolicy { dry_run: true, ..KEEP_ONE }).unwrap();
    drop(job);
    fixture.vault.prune(KEEP_ONE).unwrap();
    let created = fixture.create();
    fixture.restore_sound("latest", "restored", created.root);
}
