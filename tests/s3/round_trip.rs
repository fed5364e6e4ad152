//! A repository in a bucket does what one in a folder does.

use std::sync::Arc;

use mirrordna::backup::{BackupError, Cost, CreateOptions, Destination, Folder, PruneOptions, Repository, Silent};
use mirrordna::storage::PrunePolicy;
use mirrordna_s3::Limits;

use crate::server::server;
use crate::support::{Fixture, at, bytes_in, direct, init, noise, open, passphrase, sound};

/// A vault goes into a bucket and comes out of it with the same Merkle root; a second backup stores next to nothing.
#[test]
fn a_vault_comes_back_as_it_was() {
    let fixture = Fixture::new();
    let destination = direct("round-trip");
    let repository = init(Arc::clone(&destination));
    let first = fixture.create(&repository);
    assert!(first.stored.new_blobs > 0);
    let before = bytes_in(&destination);
    let second = fixture.create(&repository);
    assert_eq!((second.stored.new_blobs, second.root), (0, first.root));
    assert!(bytes_in(&destination) - before < 100_000);
    let opened = open(direct("round-trip"));
    assert_eq!(opened.backups().unwrap().0.len(), 2);
    sound(&opened);
    fixture.restores(&opened, "restored");
}

/// Deleted backups go, what only they need goes with a prune, and the others stay whole.
#[test]
fn what_nobody_needs_goes() {
    let fixture = Fixture::new();
    let destination = direct("prune");
    let repository = init(Arc::clone(&destination));
    fixture.write("changing.bin", &noise(3 << 20, 7));
    let first = fixture.create(&repository);
    fixture.write("changing.bin", &noise(3 << 20, 8));
    fixture.vault.prune(PrunePolicy { keep: Some(1), ..PrunePolicy::default() }).unwrap();
    fixture.create(&repository);
    let full = bytes_in(&destination);
    repository.delete(&[first.name.unwrap()], false).unwrap();
    let options = PruneOptions { dry_run: false, grace: 0 };
    // What the first marks, the second removes.
    assert!(repository.prune(&options, &mut Silent).unwrap().marked > 0);
    assert!(repository.prune(&options, &mut Silent).unwrap().removed > 0);
    assert!(bytes_in(&destination) < full - (1 << 20));
    assert_eq!(repository.backups().unwrap().0.len(), 1);
    sound(&repository);
    fixture.restores(&repository, "restored");
    assert_eq!(destination.list(Folder::Locks).unwrap(), []);
}

/// A change of the passphrase writes a slot and removes one.
#[test]
fn the_passphrase_changes() {
    let fixture = Fixture::new();
    let destination = direct("keys");
    let repository = init(Arc::clone(&destination));
    fixture.create(&repository);
    let files = |folder| destination.list(folder).unwrap();
    let (slots, packs) = (files(Folder::Keys), files(Folder::Packs));
    repository.change_key(&passphrase("other"), Cost::LEAST).unwrap();
    assert_eq!((files(Folder::Keys).len(), files(Folder::Packs)), (1, packs));
    assert_ne!(files(Folder::Keys), slots);
    let old = Repository::open(direct("keys"), &passphrase("right"));
    assert!(matches!(old.map(drop), Err(BackupError::WrongSecret { .. })));
    let new = Repository::open(direct("keys"), &passphrase("other")).unwrap();
    sound(&new);
}

/// Two who write at the same moment do not harm each other.
#[test]
fn two_writers_at_once() {
    let fixture = Fixture::new();
    init(direct("writers"));
    fixture.write("large.bin", &noise(20 << 20, 3));
    let names: Vec<String> = std::thread::scope(|scope| {
        let create = || open(direct("writers")).create(&fixture.vault, &CreateOptions::default(), &mut Silent).unwrap();
        let writers: Vec<_> = (0..2).map(|_| scope.spawn(create)).collect();
        writers.into_iter().map(|writer| writer.join().unwrap().name.unwrap()).collect()
    });
    let repository = open(direct("writers"));
    assert_eq!(repository.backups().unwrap().0.len(), 2);
    sound(&repository);
    for name in names {
        fixture.restores_to(&name, &repository, "restored", fixture.vault.state().root);
    }
}

/// Places whose prefixes begin alike, and the bucket itself, are apart from each other.
#[test]
fn prefixes_are_apart() {
    for prefix in ["apart/a", "apart/a/b", "apart/ab"] {
        init(direct(prefix));
    }
    for prefix in ["apart/a", "apart/a/b", "apart/ab"] {
        let destination = direct(prefix);
        assert_eq!(destination.list(Folder::Root).unwrap().len(), 1, "{prefix}");
        assert_eq!(destination.list(Folder::Keys).unwrap().len(), 1, "{prefix}");
        sound(&open(destination));
    }
    let there = Repository::init(direct("apart/a"), &passphrase("x"), "", Cost::LEAST);
    assert!(matches!(there.map(drop), Err(BackupError::Occupied { .. })));
    assert!(matches!(
        Repository::open(direct("apart"), &passphrase("right")).map(drop),
        Err(BackupError::NotARepository { location }) if location == "s3://tests/apart"
    ));
}

/// Files that are read, in whole and in part, are what was written; what is not there is told from what is too short.
#[test]
fn files_are_what_was_written() {
    let destination = direct("files");
    let content = noise(300_000, 5);
    for (folder, name) in [(Folder::Packs, "aa"), (Folder::Backups, "bb"), (Folder::Locks, "cc")] {
        destination.write(folder, name, &content).unwrap();
        // An attempt whose answer was lost is made again.
        destination.write(folder, name, &content).unwrap();
        assert_eq!(destination.list(folder).unwrap(), [(name.to_owned(), 300_000)]);
        assert!(destination.read(folder, name).unwrap() == content);
        for (offset, len) in [(0, 300_000), (0, 1), (299_999, 1), (7, 100_000), (5, 0)] {
            let part = destination.read_part(folder, name, offset as u64, len).unwrap();
            assert!(part == content[offset..offset + len], "{offset} {len}");
        }
        for (offset, len) in [(0, 300_001), (299_999, 2), (300_000, 1), (900_000, 5)] {
            let short = destination.read_part(folder, name, offset, len);
            assert!(matches!(short, Err(BackupError::Corrupt { .. })), "{offset} {len}: {short:?}");
        }
        destination.remove(folder, name).unwrap();
        destination.remove(folder, name).unwrap();
        assert!(matches!(destination.read(folder, name), Err(BackupError::Missing { .. })));
        assert!(matches!(destination.read_part(folder, name, 0, 1), Err(BackupError::Missing { .. })));
        assert_eq!(destination.list(folder).unwrap(), []);
    }
    destination.write(Folder::Packs, "empty", b"").unwrap();
    assert_eq!(destination.read(Folder::Packs, "empty").unwrap(), b"");
}

/// A listing of more files than one answer of a server names is complete.
#[test]
fn listings_go_over_many_pages() {
    let destination = direct("pages");
    let count = 1_100;
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let destination = &destination;
            scope.spawn(move || {
                for n in (thread..count).step_by(4) {
                    destination.write(Folder::Index, &format!("{n:064x}"), &[1]).unwrap();
                }
            });
        }
    });
    let names: Vec<_> = (0..count).map(|n| (format!("{n:064x}"), 1)).collect();
    assert_eq!(destination.list(Folder::Index).unwrap(), names);
}

/// Many threads share one bucket; more uploads than may be under way at once wait for their turn.
#[test]
fn many_threads_read_and_write() {
    let destination = at(&server().endpoint, "threads", Limits::default());
    std::thread::scope(|scope| {
        for thread in 0..8_u64 {
            let destination = &destination;
            scope.spawn(move || {
                let content = noise(2 << 20, thread);
                let name = format!("{thread:064x}");
                destination.write(Folder::Packs, &name, &content).unwrap();
                assert!(destination.read(Folder::Packs, &name).unwrap() == content);
            });
        }
    });
}
