//! What comes back is what was there, and nothing is stored twice.

use std::fs;
use std::process::Command;

use mirrordna::artifacts::{ROOT, RenameFlags};
use mirrordna::backup::{BackupError, CreateOptions, Part, Silent};
use mirrordna::record::{Checksum, Kind};
use mirrordna::storage::{Durability, NOW, PrunePolicy};
use mirrordna::vault::{Filter, NewSnapshot};
use mirrordna::{Vault, VaultOptions};

use crate::sample;
use crate::support::{Fixture, bytes_of, content, noise, open, scratch, sound};

/// A repository of the day before sums of chunks were BLAKE3, with a backup of the vault `tests/data/vaults/format1_features3`.
const BEFORE_BLAKE3: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/backups/manifest_format1");

#[test]
fn a_backup_with_sums_of_the_first_kind_is_restored_and_gone_on_with() {
    let dir = scratch();
    let path = |name: &str| dir.path().join(name);
    // Whoever reads a repository writes locks into it.
    assert!(Command::new("cp").args(["-r", BEFORE_BLAKE3]).arg(path("repository")).status().unwrap().success());
    let root = Checksum::parse("5c34ad48ab0b41019c2e88e98a0d0254362441b840b7017cd968463bfb285496").unwrap();
    let restored = |wanted: &str, name: &str, root| {
        let repository = open(&path("repository")).unwrap();
        assert_eq!(repository.restore(wanted, &path(name), &mut Silent).unwrap().root, root);
        sound(&path(name), root);
        let vault = Vault::open(&path(name), &VaultOptions::default()).unwrap();
        let read = |name: &str| vault.files().read(name).unwrap();
        assert_eq!(read("dir/small.txt"), b"changed\n");
        assert_eq!(read("dir/large.bin").len(), 20_000);
        vault
    };
    let vault = restored("latest", "first", root);
    // Content of before and content of now, in one vault and one backup.
    vault.files().write("dir/new.bin", &noise(50_000, 9)).unwrap();
    let repository = open(&path("repository")).unwrap();
    let created = repository.create(&vault, &CreateOptions::default(), &mut Silent).unwrap();
    drop(vault);
    restored("latest", "second", created.root);
    repository.extract("latest", &Part::parse("artifacts/dir"), &path("extracted"), &mut Silent).unwrap();
    assert_eq!(fs::read(path("extracted/dir/new.bin")).unwrap(), noise(50_000, 9));
    assert_eq!(fs::read(path("extracted/dir/small.txt")).unwrap(), b"changed\n");
}

/// A restored vault has the log, the root, the history and the content of the one that was backed up.
#[test]
fn a_restored_vault_is_the_one_that_was_backed_up() {
    let fixture = Fixture::new();
    let session = sample::session(&fixture.vault);
    for n in 0..50 {
        sample::memory(
            &fixture.vault,
            &session,
            mirrordna::vault::Tier::LongTerm,
            format!("memory {n}").as_str().into(),
        );
    }
    fixture.write("notes.txt", 2, b"another version");
    let pin = fixture.vault.snapshots().create(NewSnapshot::default()).unwrap();
    let created = fixture.create();
    let state = fixture.vault.state();
    assert_eq!((created.sequence, created.root), (state.sequence, state.root));
    // What comes later is not in the backup.
    sample::memory(&fixture.vault, &session, mirrordna::vault::Tier::LongTerm, "later".into());
    let path = fixture.restore_sound("latest", "restored", state.root);
    let restored = Vault::open(&path, &VaultOptions::default()).unwrap();
    assert_eq!(restored.id(), fixture.vault.id());
    assert_eq!(
        restored.log(1, usize::MAX).unwrap(),
        fixture.vault.log(1, usize::try_from(state.sequence).unwrap()).unwrap()
    );
    let view = fixture.vault.at(state.sequence).unwrap();
    for kind in Kind::ALL {
        let list =
            |vault: &Vault| vault.list(kind, &Filter::default()).unwrap().map(Result::unwrap).collect::<Vec<_>>();
        for record in list(&restored) {
            assert_eq!(view.find(kind, &record.id).unwrap().as_ref(), Some(&record));
            assert_eq!(
                restored.history(kind, &record.id, NOW, 99).unwrap().len(),
                fixture.vault.history(kind, &record.id, state.sequence + 1, 99).unwrap().len()
            );
        }
    }
    assert_eq!(content(&restored, "notes.txt"), b"a another version artifact");
    assert_eq!(content(&restored, "noise.bin"), noise(3 << 20, 1));
    assert_eq!(restored.snapshots().get(&pin.id).unwrap().root, pin.root);
    // It goes on as a vault does.
    sample::memory(&restored, &session, mirrordna::vault::Tier::LongTerm, "after".into());
    drop(restored);
    assert!(fixture.restore("latest", "restored").is_err_and(|error| matches!(error, BackupError::Occupied { .. })));
}

/// A file that lost its name to another one in a version that was pruned does not take the name away from that one.
#[test]
fn names_that_changed_hands_before_a_prune_come_back() {
    let fixture = Fixture::empty();
    let files = fixture.vault.artifacts().unwrap();
    fixture.write("f", 0, b"1");
    let pin = fixture.vault.snapshots().create(NewSnapshot::default()).unwrap();
    files.rename(ROOT, b"f", ROOT, b"f.bak", RenameFlags::default()).unwrap();
    fixture.write("f", 0, b"2");
    files.unlink(ROOT, b"f.bak").unwrap();
    files.commit(Durability::Buffered).unwrap();
    fixture.vault.prune(PrunePolicy { keep: Some(1), ..PrunePolicy::default() }).unwrap();
    let created = fixture.create();
    let path = fixture.restore_sound("latest", "restored", created.root);
    let restored = Vault::open(&path, &VaultOptions::default()).unwrap();
    assert_eq!(content(&restored, "f"), b"2");
    let then = restored.at(pin.sequence).unwrap().artifacts().unwrap().unwrap();
    let found = then.lookup(ROOT, b"f").unwrap();
    let mut bytes = [0; 8];
    let read = then.read(found.ino, 0, &mut bytes).unwrap();
    assert_eq!(&bytes[..read], b"1");
}

/// An empty vault can be backed up, too.
#[test]
fn an_empty_vault_comes_back() {
    let fixture = Fixture::empty();
    let created = fixture.create();
    assert_eq!(created.sequence, 0);
    fixture.restore_sound("latest", "restored", created.root);
}

/// An unchanged vault costs next to nothing, and what was appended costs what it has.
#[test]
fn only_what_is_new_is_stored() {
    let fixture = Fixture::new();
    let first = fixture.create();
    let before = bytes_of(&fixture.path("repository"));
    let again = fixture.create();
    assert_eq!((again.stored.new_blobs, again.root), (0, first.root));
    assert!(again.read < 100_000, "{} bytes were read again", again.read);
    let unchanged = bytes_of(&fixture.path("repository")) - before;
    assert!(unchanged <= 4_096, "{unchanged} bytes for nothing new");
    // 1 MiB in the middle of an artifact.
    fixture.write("noise.bin", 1 << 20, &noise(1 << 20, 2));
    let before = bytes_of(&fixture.path("repository"));
    let changed = fixture.create();
    let grown = bytes_of(&fixture.path("repository")) - before;
    assert!(grown < 4 << 20, "{grown} bytes for 1 MiB");
    assert!(changed.read < 3 << 20, "{} bytes were read", changed.read);
    let path = fixture.restore_sound("latest", "restored", changed.root);
    let restored = Vault::open(&path, &VaultOptions::default()).unwrap();
    let mut expected = noise(3 << 20, 1);
    expected[1 << 20..2 << 20].copy_from_slice(&noise(1 << 20, 2));
    assert_eq!(content(&restored, "noise.bin"), expected);
    fixture.restore_sound(first.name.as_deref().unwrap(), "first", first.root);
}

/// A backup on top of another one is blob for blob what it would be without it.
#[test]
fn going_on_from_the_backup_before_makes_no_difference() {
    let fixture = Fixture::new();
    let session = sample::session(&fixture.vault);
    for round in 0..4_u64 {
        for n in 0..400 {
            let text = format!("{round} {n} {:?}", &noise(700, round * 1_000 + n)[..]);
            sample::memory(&fixture.vault, &session, mirrordna::vault::Tier::LongTerm, text.as_str().into());
        }
        fixture.write(&format!("file{round}"), 0, &noise(1_500_000, 70 + round));
        fixture.create();
    }
    // The same vault, of which the repository has everything, but not as a backup to go on from.
    for backup in fixture.repository.backups().unwrap().0 {
        std::fs::remove_file(fixture.path("repository").join("backups").join(backup.name)).unwrap();
    }
    let options = CreateOptions { accept_older: true, ..CreateOptions::default() };
    let whole = fixture.repository.create(&fixture.vault, &options, &mut Silent).unwrap();
    assert!(whole.read > 10_000_000);
    assert_eq!(whole.stored.new_blobs, 0, "all blobs are those of the backups that went on from each other");
}

/// A vault that was pruned is backed up as it is, and versions that are gone are known to be pruned.
#[test]
fn pruned_vaults_come_back_as_they_are() {
    let fixture = Fixture::new();
    fixture.create();
    for n in 0..20_u8 {
        fixture.write("notes.txt", 0, &vec![n; 300_000]);
    }
    let before = fixture.create();
    let pruned = fixture.vault.prune(PrunePolicy { keep: Some(1), ..PrunePolicy::default() }).unwrap();
    assert!(pruned.versions > 0 && pruned.chunks > 0);
    let created = fixture.create();
    assert!(created.bytes < before.bytes);
    let path = fixture.restore_sound("latest", "restored", created.root);
    let restored = Vault::open(&path, &VaultOptions::default()).unwrap();
    assert_eq!(content(&restored, "notes.txt"), vec![19; 300_000]);
    fixture.restore_sound(before.name.as_deref().unwrap(), "before", before.root);
}

/// Another process, which does not own the vault, makes the same backup.
#[test]
fn who_does_not_own_the_vault_can_back_it_up() {
    let fixture = Fixture::new();
    let other = Vault::open(&fixture.path("vault"), &VaultOptions::default()).unwrap();
    let created = fixture.repository.create(&other, &CreateOptions::default(), &mut Silent).unwrap();
    assert_eq!(created.root, fixture.vault.state().root);
    fixture.restore_sound("latest", "restored", created.root);
}

/// Saying what would be stored stores nothing.
#[test]
fn a_dry_run_stores_nothing() {
    let fixture = Fixture::new();
    let before = bytes_of(&fixture.path("repository"));
    let options = CreateOptions { dry_run: true, ..CreateOptions::default() };
    let would = fixture.repository.create(&fixture.vault, &options, &mut Silent).unwrap();
    assert_eq!((would.name, bytes_of(&fixture.path("repository"))), (None, before));
    assert!(would.stored.written > 3 << 20);
}

/// A repository that was opened again has the backups, by name, beginning of the name, and label.
#[test]
fn backups_are_found_by_name_and_label() {
    let fixture = Fixture::new();
    let first = fixture.create().name.unwrap();
    let options = CreateOptions { label: "weekly".into(), ..CreateOptions::default() };
    let second = fixture.repository.create(&fixture.vault, &options, &mut Silent).unwrap();
    let repository = open(&fixture.path("repository")).unwrap();
    let (backups, faults) = repository.backups().unwrap();
    assert_eq!((backups.len(), faults.len()), (2, 0));
    assert_eq!(backups.iter().map(|backup| backup.label.as_str()).collect::<Vec<_>>(), ["", "weekly"]);
    for (n, wanted) in [&first[..12], &first, "weekly", "latest"].into_iter().enumerate() {
        let to = fixture.path(&format!("restored{n}"));
        let restored = repository.restore(wanted, &to, &mut Silent).unwrap();
        sound(&to, second.root);
        assert_eq!(restored.backup.name == first, n < 2);
    }
    let missing = repository.restore("nothing", &fixture.path("none"), &mut Silent).unwrap_err();
    assert!(matches!(missing, BackupError::NotFound { .. }), "{missing}");
    assert!(!fixture.path("none").exists() && !fixture.path("none.restoring").exists());
}
