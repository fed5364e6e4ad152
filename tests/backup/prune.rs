//! Deleting and pruning: what nobody needs goes, in two phases, and nothing else.

use std::fs;
use std::ops::ControlFlow;

use mirrordna::backup::{
    BackupError, CreateOptions, Created, Phase, PruneOptions, RepositoryPruned, Retention, Silent, VerifyOptions,
};

use crate::support::{Fixture, bytes_of, files, noise};

fn prune(fixture: &Fixture, grace: u64) -> RepositoryPruned {
    fixture.repository.prune(&PruneOptions { dry_run: false, grace }, &mut Silent).unwrap()
}

fn assert_sound(fixture: &Fixture) {
    let vault = fixture.path("vault");
    let options = VerifyOptions { sample: None, vault: Some(&vault) };
    let report = fixture.repository.verify(&options, &mut Silent).unwrap();
    assert!(report.is_clean(), "{:?} {:?}", report.faults, report.backups);
}

/// Three backups, each with 2 MiB of its own: what was there before is gone from the vault when it is made, and nothing else in
/// it has the same bytes.
fn three(fixture: &Fixture) -> Vec<Created> {
    (0..3)
        .map(|n| {
            fixture.write("changing.bin", 0, &noise(2 << 20, 100 + n));
            fixture.vault.prune(mirrordna::storage::PrunePolicy { keep: Some(1), ..Default::default() }).unwrap();
            fixture.create()
        })
        .collect()
}

/// What only a deleted backup needed is marked first and goes later; what others need stays.
#[test]
fn what_nobody_needs_goes_in_two_phases() {
    let fixture = Fixture::new();
    let created = three(&fixture);
    let full = bytes_of(&fixture.path("repository"));
    fixture.repository.delete(&[created[1].name.clone().unwrap()], false).unwrap();
    assert_sound(&fixture);
    let dry = fixture.repository.prune(&PruneOptions { dry_run: true, grace: 0 }, &mut Silent).unwrap();
    let marked = prune(&fixture, 3_600);
    assert_eq!(dry, marked);
    assert!(marked.marked > 0 && marked.removed == 0, "{marked:?}");
    assert_sound(&fixture);
    // Within the grace time nothing goes.
    assert_eq!(prune(&fixture, 3_600).removed, 0);
    let removed = prune(&fixture, 0);
    assert!(removed.removed >= marked.marked && removed.removed_bytes > 1 << 20, "{removed:?}");
    assert_sound(&fixture);
    assert!(bytes_of(&fixture.path("repository")) < full - (1 << 20));
    assert_eq!(files(&fixture.path("repository/marks")), []);
    for created in [&created[0], &created[2]] {
        let name = created.name.as_deref().unwrap();
        fixture.restore_sound(name, &format!("restored{}", created.sequence), created.root);
    }
    // A prune with nothing to do does nothing.
    let before = files(&fixture.path("repository"));
    assert_eq!(prune(&fixture, 0).removed, 0);
    assert_eq!(files(&fixture.path("repository")), before);
}

/// A pack that was marked and is needed again, by a backup that was under way, comes back.
#[test]
fn what_is_needed_again_is_kept() {
    let fixture = Fixture::new();
    let created = three(&fixture);
    let manifest = fixture.path("repository/backups").join(created[1].name.as_deref().unwrap());
    let bytes = fs::read(&manifest).unwrap();
    fixture.repository.delete(&[created[1].name.clone().unwrap()], false).unwrap();
    assert!(prune(&fixture, 3_600).marked > 0);
    // As a backup would end now that began before the mark was there.
    fs::write(&manifest, bytes).unwrap();
    fixture.restore_sound(created[1].name.as_deref().unwrap(), "while_marked", created[1].root);
    let pruned = prune(&fixture, 0);
    assert!(pruned.kept_again > 0, "{pruned:?}");
    assert_sound(&fixture);
    fixture.restore_sound(created[1].name.as_deref().unwrap(), "restored", created[1].root);
}

/// New backups do not rely on what is marked.
#[test]
fn new_backups_do_not_rely_on_what_is_marked() {
    let fixture = Fixture::new();
    let created = fixture.create();
    fixture.write("more", 0, b"more");
    let kept = fixture.create();
    fixture.repository.delete(&[kept.name.unwrap(), created.name.unwrap()], false).unwrap();
    assert!(prune(&fixture, 3_600).kept == 0);
    let again = fixture.create();
    assert!(again.stored.new_blobs > 0);
    prune(&fixture, 0);
    assert_sound(&fixture);
    fixture.restore_sound("latest", "restored", again.root);
}

/// Many small packs, as backups by the minute leave them, become few.
#[test]
fn many_small_packs_and_index_files_become_few() {
    let fixture = Fixture::new();
    for n in 0..40 {
        fixture.write(&format!("file{n}"), 0, &noise(5_000, n));
        fixture.create();
    }
    let last = fixture.vault.state().root;
    assert!(files(&fixture.path("repository/packs")).len() >= 40);
    prune(&fixture, 0);
    prune(&fixture, 0);
    assert!(files(&fixture.path("repository/packs")).len() < 10);
    assert!(files(&fixture.path("repository/index")).len() < 4);
    assert_sound(&fixture);
    fixture.restore_sound("latest", "restored", last);
}

/// Whoever cannot read a backup does not know what it needs, and removes nothing.
#[test]
fn nothing_is_removed_while_a_backup_cannot_be_read() {
    let fixture = Fixture::new();
    let created = three(&fixture);
    fixture.repository.delete(&[created[0].name.clone().unwrap()], false).unwrap();
    let manifest = fixture.path("repository/backups").join(created[1].name.as_deref().unwrap());
    let mut bytes = fs::read(&manifest).unwrap();
    bytes[100] ^= 1;
    fs::write(&manifest, bytes).unwrap();
    let before = files(&fixture.path("repository/packs"));
    let refused = fixture.repository.prune(&PruneOptions { dry_run: false, grace: 0 }, &mut Silent);
    assert!(matches!(refused, Err(BackupError::Corrupt { .. })));
    assert_eq!(files(&fixture.path("repository/packs")), before);
}

/// Cuts every pack of a repository to nothing, as a power cut may, and stores everything again.
#[test]
fn a_pack_that_is_not_whole_is_not_what_stays() {
    // Which of two index files is read first is chance.
    for seed in 0..6 {
        let fixture = Fixture::empty();
        fixture.write("file", 0, &noise(300_000, seed));
        fixture.create();
        for (pack, _) in files(&fixture.path("repository/packs")) {
            fs::write(pack, b"").unwrap();
        }
        let again = fixture.create();
        prune(&fixture, 3_600);
        fixture.restore_sound(&again.name.clone().unwrap(), "while_marked", again.root);
        prune(&fixture, 0);
        fixture.restore_sound(&again.name.unwrap(), "restored", again.root);
        assert!(files(&fixture.path("repository/packs")).iter().all(|(_, len)| *len > 0));
    }
}

/// A pack that is gone, of which everything is somewhere else, keeps no prune from its work.
#[test]
fn a_pack_that_nobody_needs_may_be_gone() {
    let fixture = Fixture::empty();
    fixture.write("file", 0, &noise(300_000, 1));
    fixture.create();
    for (pack, _) in files(&fixture.path("repository/packs")) {
        fs::remove_file(pack).unwrap();
    }
    let again = fixture.create();
    prune(&fixture, 0);
    prune(&fixture, 0);
    assert_sound(&fixture);
    fixture.restore_sound(&again.name.unwrap(), "restored", again.root);
}

/// The newest backup has lost a pack: older ones that are whole do not go for its sake.
#[test]
fn a_policy_deletes_nothing_when_what_it_keeps_is_not_whole() {
    let fixture = Fixture::new();
    let whole = fixture.create();
    let before = files(&fixture.path("repository/packs"));
    fixture.write("changing.bin", 0, &noise(1 << 20, 5));
    fixture.create();
    let added = files(&fixture.path("repository/packs")).into_iter().find(|pack| !before.contains(pack)).unwrap();
    for cut in [true, false] {
        if cut {
            fs::write(&added.0, b"").unwrap();
        } else {
            fs::remove_file(&added.0).unwrap();
        }
        for dry_run in [true, false] {
            let refused = fixture.repository.forget(&Retention { last: 1, ..Retention::default() }, dry_run);
            let error = refused.unwrap_err();
            assert!(matches!(error, BackupError::Corrupt { .. } | BackupError::Missing { .. }), "{error}");
        }
        assert_eq!(fixture.repository.backups().unwrap().0.len(), 2);
    }
    fixture.restore_sound(&whole.name.unwrap(), "restored", whole.root);
}

/// A manifest is gone and nobody deleted it: what its backup needs stays until somebody gives it up.
#[test]
fn nothing_is_removed_while_a_backup_is_gone() {
    let fixture = Fixture::new();
    let created = three(&fixture);
    let manifest = fixture.path("repository/backups").join(created[1].name.as_deref().unwrap());
    let bytes = fs::read(&manifest).unwrap();
    fs::remove_file(&manifest).unwrap();
    let refused = fixture.repository.prune(&PruneOptions { dry_run: false, grace: 0 }, &mut Silent);
    assert!(matches!(refused, Err(BackupError::Corrupt { .. })), "{refused:?}");
    assert!(!fixture.path("repository/marks").exists(), "nothing is marked");
    fs::write(&manifest, bytes).unwrap();
    prune(&fixture, 0);
    assert_sound(&fixture);
    fs::remove_file(&manifest).unwrap();
    fixture.repository.repair(&mut Silent).unwrap();
    prune(&fixture, 0);
    prune(&fixture, 0);
    assert_sound(&fixture);
}

/// A prune of another machine takes the lock of a backup for one of long ago, or its packs for what nobody needs: no backup comes of
/// it.
#[test]
fn a_backup_whose_lock_did_not_last_does_not_count() {
    let fixture = Fixture::new();
    let before = fixture.create();
    for (n, folder) in ["locks", "packs"].into_iter().enumerate() {
        fixture.write("changing.bin", 0, &noise(24 << 20, 7 + n as u64));
        let old = files(&fixture.path("repository/packs"));
        let mut took = |_: Phase, _: u64, _: u64| {
            let all = files(&fixture.path("repository").join(folder));
            for (file, _) in all.iter().filter(|file| !old.contains(file)) {
                fs::remove_file(file).unwrap();
            }
            ControlFlow::Continue(())
        };
        let refused = fixture.repository.create(&fixture.vault, &CreateOptions::default(), &mut took).unwrap_err();
        match folder {
            "locks" => assert!(matches!(refused, BackupError::Lapsed { .. }), "{refused}"),
            _ => assert!(matches!(refused, BackupError::Missing { .. }), "{refused}"),
        }
        assert_eq!(fixture.repository.backups().unwrap().0.len(), 1);
    }
    fixture.restore_sound("latest", "restored", before.root);
    let again = fixture.create();
    fixture.restore_sound("latest", "again", again.root);
}

/// A policy keeps what it says, and never nothing by mistake.
#[test]
fn a_policy_deletes_the_rest() {
    let fixture = Fixture::new();
    for _ in 0..5 {
        fixture.create();
    }
    let would = fixture.repository.forget(&Retention { last: 2, ..Retention::default() }, true).unwrap();
    assert_eq!((would.len(), fixture.repository.backups().unwrap().0.len()), (3, 5));
    let deleted = fixture.repository.forget(&Retention { last: 2, ..Retention::default() }, false).unwrap();
    assert_eq!((deleted, fixture.repository.backups().unwrap().0.len()), (would, 2));
    assert!(matches!(fixture.repository.forget(&Retention::default(), false), Err(BackupError::Argument { .. })));
    assert_sound(&fixture);
}
