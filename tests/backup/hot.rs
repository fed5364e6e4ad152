//! Backups of a vault that is in use.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use mirrordna::backup::{CreateOptions, Destination, Folder, LocalFolder, Repository, Result, Silent, VerifyOptions};
use mirrordna::storage::PrunePolicy;
use mirrordna::vault::Tier;

use crate::sample;
use crate::support::{Fixture, init, noise, passphrase};

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
                fixture.vault.prune(PrunePolicy { keep: Some(1), ..PrunePolicy::default() }).unwrap();
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
