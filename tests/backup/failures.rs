//! A destination of which any access may fail: what was there stays sound, nothing half done counts, and the next attempt succeeds.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use mirrordna::backup::{
    BackupError, Cost, CreateOptions, Destination, Folder, LocalFolder, PruneOptions, Repository, Result, Retention,
    Silent, VerifyOptions,
};

use mirrordna::record::Checksum;
use mirrordna::storage::{
    CheckedChunks, ChunkRow, ChunkSum, DataFile, FileAccess, OpenOptions, Opening, Replay, ReplayOf, SLOT_BYTES,
    SystemFiles,
};

use crate::damage::copy_dir;
use crate::support::{Fixture, init, noise, passphrase, scratch, sound};

/// Fails at one access, or from one on.
struct Failing {
    inner: LocalFolder,
    /// Accesses until one fails.
    left: AtomicI64,
    /// All that follow fail, too.
    for_good: bool,
}

impl Failing {
    fn new(dir: &Path, after: i64, for_good: bool) -> Arc<Self> {
        Arc::new(Self { inner: LocalFolder::new(dir), left: AtomicI64::new(after), for_good })
    }

    fn access(&self) -> Result<()> {
        let left = self.left.fetch_sub(1, Ordering::Relaxed);
        if left == 0 || (left < 0 && self.for_good) {
            let source = io::Error::new(io::ErrorKind::TimedOut, "the destination does not answer");
            return Err(BackupError::Io { location: self.location(), source });
        }
        Ok(())
    }
}

impl Destination for Failing {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn list(&self, folder: Folder) -> Result<Vec<(String, u64)>> {
        self.access()?;
        self.inner.list(folder)
    }

    fn read(&self, folder: Folder, name: &str) -> Result<Vec<u8>> {
        self.access()?;
        self.inner.read(folder, name)
    }

    fn read_part(&self, folder: Folder, name: &str, offset: u64, len: usize) -> Result<Vec<u8>> {
        self.access()?;
        self.inner.read_part(folder, name, offset, len)
    }

    fn write(&self, folder: Folder, name: &str, content: &[u8]) -> Result<()> {
        // The answer may be what is lost, and not the file.
        self.inner.write(folder, name, content)?;
        self.access()
    }

    fn remove(&self, folder: Folder, name: &str) -> Result<()> {
        self.access()?;
        self.inner.remove(folder, name)
    }
}

/// Files of a vault of which one sync fails.
struct FailingSync {
    /// Syncs until one fails.
    left: AtomicI64,
}

struct Synced {
    inner: Arc<dyn DataFile>,
    files: Arc<FailingSync>,
}

/// The access that [`OpenOptions`] takes.
struct Files(Arc<FailingSync>);

impl DataFile for Synced {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.inner.read_at(bytes, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.inner.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        if self.files.left.fetch_sub(1, Ordering::Relaxed) == 0 {
            return Err(io::Error::other("the disk is gone"));
        }
        self.inner.sync()
    }

    fn size(&self) -> io::Result<u64> {
        self.inner.size()
    }
}

impl FileAccess for Files {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        SystemFiles.read(path)
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        SystemFiles.write(path, content)
    }

    fn open(&self, path: &Path, opening: Opening) -> io::Result<Arc<dyn DataFile>> {
        Ok(Arc::new(Synced { inner: SystemFiles.open(path, opening)?, files: Arc::clone(&self.0) }))
    }
}

/// Does some work with a failure at the first access, the second, and so on until it succeeds, each time on the repository as it
/// was before. After each the repository is sound, and the work can be done.
fn each_failure(fixture: &Fixture, for_good: bool, work: impl Fn(&Repository) -> Result<()>) {
    let (dir, before, vault) = (fixture.path("repository"), fixture.path("before"), fixture.path("vault"));
    copy_dir(&dir, &before);
    for after in 0..2_000 {
        fs::remove_dir_all(&dir).unwrap();
        copy_dir(&before, &dir);
        let failing = Failing::new(&dir, after, for_good);
        let opened = Repository::open(Arc::clone(&failing) as _, &passphrase("right"));
        let done = opened.and_then(|repository| work(&repository));
        let options = VerifyOptions { sample: None, vault: Some(&vault) };
        let report = fixture.repository.verify(&options, &mut Silent).unwrap();
        assert!(report.is_clean(), "after {after}: {:?} {:?}", report.faults, report.backups);
        if done.is_ok() && failing.left.load(Ordering::Relaxed) >= 0 {
            assert!(after > 3, "something was done");
            return;
        }
        work(&fixture.repository).unwrap();
        // What the vault remembers is of a repository that is about to be put back.
        let _ = fs::remove_file(vault.join("BACKUPS"));
    }
    panic!("it never succeeds");
}

/// A backup that fails at any access, once or for good, leaves a sound repository.
#[test]
fn a_backup_may_fail_at_any_access() {
    for for_good in [false, true] {
        let fixture = Fixture::new();
        let before = fixture.create();
        fixture.write("more.bin", 0, &noise(1 << 20, 4));
        each_failure(&fixture, for_good, |repository| {
            repository.create(&fixture.vault, &CreateOptions::default(), &mut Silent).map(drop)
        });
        fixture.restore_sound(&before.name.unwrap(), "first", before.root);
        fixture.restore_sound("latest", "latest", fixture.vault.state().root);
    }
}

/// A prune that fails at any access, once or for good, takes nothing from the backups that stay.
#[test]
fn a_prune_may_fail_at_any_access() {
    for for_good in [false, true] {
        let fixture = Fixture::new();
        for n in 0..3 {
            fixture.write("changing.bin", 0, &noise(1 << 20, n));
            fixture.create();
        }
        let first = fixture.repository.backups().unwrap().0.remove(0);
        fixture.repository.delete(&[first.name], false).unwrap();
        each_failure(&fixture, for_good, |repository| {
            repository.prune(&PruneOptions { dry_run: false, grace: 0 }, &mut Silent).map(drop)
        });
        for (n, backup) in fixture.repository.backups().unwrap().0.iter().enumerate() {
            let to = fixture.path(&format!("restored{n}"));
            fixture.repository.restore(&backup.name, &to, &mut Silent).unwrap();
            sound(&to, backup.root);
        }
    }
}

/// A restore that fails at any access leaves nothing.
#[test]
fn a_restore_may_fail_at_any_access() {
    let fixture = Fixture::new();
    let created = fixture.create();
    let to = fixture.path("restored");
    each_failure(&fixture, true, |repository| {
        let _ = fs::remove_dir_all(&to);
        let done = repository.restore("latest", &to, &mut Silent).map(drop);
        assert_eq!(done.is_ok(), to.exists());
        assert!(!fixture.path("restored.restoring").exists());
        done
    });
    sound(&to, created.root);
}

/// Content that does not get to the disk fails a restore, whichever segment it is in; without a failure all of it gets there.
#[test]
fn a_restore_fails_when_a_segment_does_not_get_to_the_disk() {
    let content = noise(SLOT_BYTES as usize, 1);
    let sum = ChunkSum::of(&content);
    for fails in 0..4 {
        let dir = scratch();
        let files = Arc::new(FailingSync { left: AtomicI64::new(fails) });
        let options = OpenOptions { files: Arc::new(Files(Arc::clone(&files))), ..OpenOptions::default() };
        let of =
            ReplayOf { vault_id: "vault_1".to_owned(), sequence: 0, root: Checksum::of(b""), epoch: 1, horizon: 0 };
        let replay = Replay::begin(&dir.path().join("vault"), &options, of).unwrap();
        let (mut replay, _) = replay.parts();
        // Three segments of 64 MiB.
        let chunks = (0..1_100).map(|n| ChunkRow { id: (1 << 32) + n, len: SLOT_BYTES, sum });
        let mut written = chunks.map(|row| CheckedChunks::check(vec![row], content.clone()).unwrap());
        let done = written.try_for_each(|chunks| replay.chunks(&chunks));
        let done = done.and_then(|()| replay.finish());
        if fails < 3 {
            let error = done.unwrap_err().to_string();
            assert!(error.contains(".seg") && error.contains("the disk is gone"), "{error}");
        } else {
            done.unwrap();
            assert_eq!(files.left.load(Ordering::Relaxed), 0);
        }
    }
}

/// An open repository whose folder is gone, as that of a disk that is not mounted any more.
#[test]
fn a_repository_that_is_gone_is_no_empty_one() {
    let fixture = Fixture::empty();
    let (there, away) = (fixture.path("repository"), fixture.path("away"));
    fixture.create();
    let (sealed, cost) = (fixture.path("sealed"), Cost::LEAST);
    fixture.repository.export("latest", &sealed, (&passphrase("x"), cost), &mut Silent).unwrap();
    let everything = |repository: &Repository| -> Vec<(&'static str, Result<()>)> {
        let (vault, keep) = (&fixture.vault, Retention { last: 1, ..Retention::default() });
        let fresh = CreateOptions { accept_older: true, ..CreateOptions::default() };
        vec![
            ("backups", repository.backups().map(drop)),
            ("slots", repository.slots().map(drop)),
            ("create", repository.create(vault, &fresh, &mut Silent).map(drop)),
            ("restore", repository.restore("latest", &fixture.path("restored"), &mut Silent).map(drop)),
            ("delete", repository.delete(&["latest".to_owned()], false).map(drop)),
            ("forget", repository.forget(&keep, false).map(drop)),
            ("prune", repository.prune(&PruneOptions::default(), &mut Silent).map(drop)),
            ("verify", repository.verify(&VerifyOptions::default(), &mut Silent).map(drop)),
            ("repair", repository.repair(&mut Silent).map(drop)),
            ("import", repository.import(&sealed, &passphrase("x"), &mut Silent).map(drop)),
            ("add_key", repository.add_key(&passphrase("y"), "", cost).map(drop)),
            ("remove_key", repository.remove_key("none").map(drop)),
            ("change_key", repository.change_key(&passphrase("y"), cost).map(drop)),
        ]
    };
    fs::rename(&there, &away).unwrap();
    for (what, result) in everything(&fixture.repository) {
        assert!(matches!(result, Err(BackupError::NotARepository { .. })), "{what}: {result:?}");
        assert!(!there.exists(), "{what}");
    }
    // Another one in its place has none of its backups, and gets nothing.
    init(&there);
    for (what, result) in everything(&fixture.repository).into_iter().filter(|(what, _)| *what != "slots") {
        let refused = matches!(result, Err(BackupError::Argument { .. } | BackupError::NotFound { .. }));
        assert!(refused, "{what}: {result:?}");
    }
    fs::remove_dir_all(&there).unwrap();
    fs::rename(&away, &there).unwrap();
    assert_eq!(fixture.repository.backups().unwrap().0.len(), 1);
}
