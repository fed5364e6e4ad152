//! Whatever is done to the files of a repository is noticed, and never restored as something else.

use std::fs;
use std::path::{Path, PathBuf};

use mirrordna::backup::{BackupError, CreateOptions, Silent, VerifyOptions};
use mirrordna::record::Checksum;
use mirrordna::vault::Tier;

use crate::sample;
use crate::support::{Fixture, files, init, open, scratch, sound};

/// A small repository with two backups of a vault, which is closed.
struct Small {
    dir: tempfile::TempDir,
    roots: Vec<(String, Checksum)>,
}

impl Small {
    fn new() -> Self {
        let fixture = Fixture::empty();
        let session = sample::session(&fixture.vault);
        let mut roots = Vec::new();
        for n in 0..2 {
            sample::memory(&fixture.vault, &session, Tier::LongTerm, format!("memory {n}").as_str().into());
            fixture.write(&format!("file{n}"), 0, b"an artifact");
            let created = fixture.create();
            roots.push((created.name.unwrap(), created.root));
        }
        let Fixture { dir, vault, repository } = fixture;
        drop((vault, repository));
        Self { dir, roots }
    }

    fn repository(&self) -> PathBuf {
        self.dir.path().join("repository")
    }

    fn files(&self) -> Vec<PathBuf> {
        files(&self.repository()).into_iter().map(|(path, _)| path).collect()
    }

    /// What was done is noticed by a verification, and a restore either fails and leaves nothing, or gives the right vault.
    fn assert_noticed(&self, what: &str) {
        assert!(!self.verifies(), "{what} was not noticed");
        self.assert_restores_rightly_or_not(what);
    }

    fn verifies(&self) -> bool {
        let Ok(repository) = open(&self.repository()) else { return false };
        let vault = self.dir.path().join("vault");
        let options = VerifyOptions { sample: None, vault: Some(&vault) };
        repository.verify(&options, &mut Silent).is_ok_and(|report| report.is_clean())
    }

    fn assert_restores_rightly_or_not(&self, what: &str) {
        let Ok(repository) = open(&self.repository()) else { return };
        for (name, root) in &self.roots {
            let to = self.dir.path().join("restored");
            match repository.restore(name, &to, &mut Silent) {
                Ok(_) => {
                    sound(&to, *root);
                    fs::remove_dir_all(&to).unwrap();
                }
                Err(_) => assert!(!to.exists(), "{what}: a restore that failed left something"),
            }
            assert!(!self.dir.path().join("restored.restoring").exists(), "{what}");
        }
    }
}

/// How many of the positions of a file are tried; `BACKUP_FLIPS=all` tries every byte of every file, which takes minutes.
fn stride(len: usize) -> usize {
    if std::env::var_os("BACKUP_FLIPS").is_some() { 1 } else { (len / 150).max(1) }
}

/// A flipped bit anywhere, in any file.
#[test]
fn every_flipped_byte_is_noticed() {
    let small = Small::new();
    assert!(small.verifies());
    for path in small.files() {
        let whole = fs::read(&path).unwrap();
        let stride = stride(whole.len());
        for at in (0..whole.len()).step_by(stride) {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            fs::write(&path, &flipped).unwrap();
            let what = format!("byte {at} of {}", path.display());
            assert!(!small.verifies(), "{what} was not noticed");
            // Restoring is dearer, and tried less often.
            if at % (stride * 25) == 0 {
                small.assert_restores_rightly_or_not(&what);
            }
        }
        fs::write(&path, &whole).unwrap();
    }
    assert!(small.verifies());
}

/// A file that is cut, emptied, grown, or gone.
#[test]
fn every_file_that_is_cut_or_gone_is_noticed() {
    let small = Small::new();
    for path in small.files() {
        let whole = fs::read(&path).unwrap();
        for len in [0, 1, whole.len() / 2, whole.len() - 1] {
            fs::write(&path, &whole[..len]).unwrap();
            small.assert_noticed(&format!("{} cut to {len} bytes", path.display()));
        }
        fs::write(&path, [&whole[..], b"x"].concat()).unwrap();
        small.assert_noticed(&format!("a byte more in {}", path.display()));
        fs::remove_file(&path).unwrap();
        // One of several files in index/ may have said nothing that is needed; then nothing is lost either.
        small.assert_noticed(&format!("{} gone", path.display()));
        fs::write(&path, &whole).unwrap();
    }
    assert!(small.verifies());
}

/// Files of another repository with the same passphrase, and files of this one in the place of each other.
#[test]
fn every_swapped_file_is_noticed() {
    let (small, other) = (Small::new(), Small::new());
    let folder = |path: &Path| path.parent().unwrap().file_name().unwrap().to_owned();
    for path in small.files() {
        let whole = fs::read(&path).unwrap();
        let others = other.files().into_iter().chain(small.files());
        for with in others.filter(|with| *with != path && folder(with) == folder(&path)) {
            fs::write(&path, fs::read(&with).unwrap()).unwrap();
            small.assert_noticed(&format!("{} in the place of {}", with.display(), path.display()));
            // Under the name that its content has, too.
            fs::write(&path, &whole).unwrap();
            let named = path.with_file_name(with.file_name().unwrap());
            if !named.exists() {
                fs::remove_file(&path).unwrap();
                fs::copy(&with, &named).unwrap();
                small.assert_noticed(&format!("{} instead of {}", with.display(), path.display()));
                fs::remove_file(&named).unwrap();
                fs::write(&path, &whole).unwrap();
            }
        }
    }
    assert!(small.verifies());
}

/// A repository that was put back to what it was before the last backup is noticed by the vault.
#[test]
fn a_rollback_is_noticed() {
    let fixture = Fixture::new();
    fixture.create();
    let copy = fixture.path("copy");
    copy_dir(&fixture.path("repository"), &copy);
    sample::session(&fixture.vault);
    fixture.create();
    fs::remove_dir_all(fixture.path("repository")).unwrap();
    fs::rename(&copy, fixture.path("repository")).unwrap();
    let vault = fixture.path("vault");
    let verify = || {
        let options = VerifyOptions { sample: None, vault: Some(&vault) };
        fixture.repository.verify(&options, &mut Silent).unwrap()
    };
    assert!(!verify().is_clean());
    let refused = fixture.repository.create(&fixture.vault, &CreateOptions::default(), &mut Silent);
    assert!(matches!(refused, Err(BackupError::RolledBack { .. })));
    let options = CreateOptions { accept_older: true, ..CreateOptions::default() };
    fixture.repository.create(&fixture.vault, &options, &mut Silent).unwrap();
    assert!(verify().is_clean());
}

/// A deletion is no rollback.
#[test]
fn a_deleted_backup_is_not_missed() {
    let fixture = Fixture::new();
    fixture.create();
    let newest = fixture.create();
    fixture.repository.delete(&[newest.name.unwrap()], false).unwrap();
    let vault = fixture.path("vault");
    let options = VerifyOptions { sample: None, vault: Some(&vault) };
    let report = fixture.repository.verify(&options, &mut Silent).unwrap();
    assert!(report.is_clean(), "{report:?}");
    fixture.create();
}

/// A report says which backups are whole, and a repair saves them and what is sound of damaged packs.
#[test]
fn what_is_whole_is_told_and_saved() {
    let fixture = Fixture::new();
    let first = fixture.create();
    fixture.write("more.bin", 0, &crate::support::noise(2 << 20, 5));
    let second = fixture.create();
    // A pack that only the second backup needs: the one written last.
    let packs = fixture.path("repository/packs");
    let newest = files(&packs).into_iter().max_by_key(|(path, _)| fs::metadata(path).unwrap().modified().unwrap());
    let newest = newest.unwrap().0;
    let mut bytes = fs::read(&newest).unwrap();
    bytes[1_000] ^= 1;
    fs::write(&newest, &bytes).unwrap();
    let index = files(&fixture.path("repository/index")).pop().unwrap().0;
    fs::write(&index, b"nothing").unwrap();
    let verify = || fixture.repository.verify(&VerifyOptions::default(), &mut Silent).unwrap();
    assert!(!verify().is_clean());
    let repaired = fixture.repository.repair(&mut Silent).unwrap();
    assert!(repaired.removed.len() >= 2 && repaired.salvaged > 0, "{repaired:?}");
    let report = verify();
    assert!(report.faults.is_empty(), "{:?}", report.faults);
    let whole: Vec<_> =
        report.backups.iter().map(|(backup, problem)| (backup.name.clone(), problem.is_none())).collect();
    assert_eq!(whole, [(first.name.clone().unwrap(), true), (second.name.clone().unwrap(), false)]);
    fixture.restore_sound(&first.name.unwrap(), "first", first.root);
    assert!(fixture.restore(&second.name.unwrap(), "second").is_err());
    assert!(!fixture.path("second").exists());
    // What was lost is stored again with the next backup.
    let third = fixture.create();
    fixture.restore_sound("latest", "third", third.root);
    assert!(verify().backups.iter().all(|(_, problem)| problem.is_none()), "the next backup stored what was lost");
}

/// A pack may have the name that its content asks for and still be damaged: whoever wrote it had bad memory. What is sound in it
/// is saved, too.
#[test]
fn what_is_sound_in_a_pack_with_the_right_name_is_saved() {
    let fixture = Fixture::new();
    fixture.create();
    let (pack, _) = files(&fixture.path("repository/packs")).into_iter().max_by_key(|(_, len)| *len).unwrap();
    let mut bytes = fs::read(&pack).unwrap();
    bytes[1_000] ^= 1;
    fs::write(pack.with_file_name(Checksum::of(&bytes).to_string()), &bytes).unwrap();
    fs::remove_file(&pack).unwrap();
    let repaired = fixture.repository.repair(&mut Silent).unwrap();
    assert_eq!(repaired.removed.len(), 1, "{repaired:?}");
    assert!(repaired.salvaged > 1, "{repaired:?}");
    let created = fixture.create();
    assert!(created.stored.new_blobs > 0);
    fixture.restore_sound("latest", "restored", created.root);
}

/// What lies in a pack that is gone is stored again by the next backup.
#[test]
fn a_lost_pack_is_made_up_for() {
    let fixture = Fixture::new();
    fixture.create();
    let packs = fixture.path("repository/packs");
    for (pack, _) in files(&packs) {
        fs::remove_file(pack).unwrap();
    }
    let created = fixture.create();
    assert!(created.stored.new_blobs > 0);
    fixture.restore_sound("latest", "restored", created.root);
}

/// A sample reads a part of the packs.
#[test]
fn a_sample_reads_some_packs() {
    let fixture = Fixture::new();
    for n in 0..10 {
        fixture.write(&format!("file{n}"), 0, &crate::support::noise(10_000, n));
        fixture.create();
    }
    let options = VerifyOptions { sample: Some(20), vault: None };
    let report = fixture.repository.verify(&options, &mut Silent).unwrap();
    assert!(report.is_clean() && report.packs == 10 && report.read == 2, "{report:?}");
}

pub(crate) fn copy_dir(from: &Path, to: &Path) {
    for (path, _) in files(from) {
        let to = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(&path, &to).unwrap();
    }
}

/// Two repositories of one vault share no name of a file, and nothing that was written there is readable.
#[test]
fn nothing_is_told_to_who_has_no_key() {
    const CANARY: &[u8] = b"canary-7f3e9a1c";
    let fixture = Fixture::empty();
    let canary = std::str::from_utf8(CANARY).unwrap();
    let session = sample::session(&fixture.vault);
    sample::memory(&fixture.vault, &session, Tier::LongTerm, canary.into());
    sample::fill(&fixture.vault);
    fixture.write(&format!("{canary}.txt"), 0, &CANARY.repeat(10_000));
    let options = CreateOptions { label: canary.to_owned(), ..CreateOptions::default() };
    let others = scratch();
    let other = init(others.path());
    for repository in [&fixture.repository, &other] {
        repository.create(&fixture.vault, &options, &mut Silent).unwrap();
        repository.create(&fixture.vault, &options, &mut Silent).unwrap();
    }
    let secrets = [CANARY, b"metric units", sample::AGENT.as_bytes(), fixture.vault.id().as_bytes(), b"memories"];
    for (path, _) in files(&fixture.path("repository")) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = fs::read(&path).unwrap();
        for secret in secrets {
            assert!(!contains(&bytes, secret) && !contains(name.as_bytes(), secret), "{}", path.display());
        }
        let shared = files(others.path())
            .into_iter()
            .find(|(other, _)| other.file_name().unwrap() == path.file_name().unwrap() && name != "REPOSITORY");
        assert_eq!(shared, None);
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
