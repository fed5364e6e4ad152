//! A network that fails in every way: what may pass is tried again and succeeds; what does not is said, and leaves a repository in
//! which every backup is whole, and no half restored vault.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mirrordna::backup::{
    BackupError, Cost, CreateOptions, Destination, Folder, PruneOptions, Repository, Result, Silent, VerifyOptions,
};
use mirrordna::storage::PrunePolicy;
use mirrordna_s3::S3;

use crate::proxy::{Fault, Request};
use crate::support::{Fixture, at, direct, impatient, init, limits, noise, open, passphrase, proxy, sound};

/// All that pass when a request is made again.
const PASSING: [Fault; 8] = [
    Fault::Answer(500),
    Fault::Answer(503),
    Fault::ResetRequest,
    Fault::LostAnswer,
    Fault::ResetAnswer,
    Fault::CutAnswer,
    Fault::Answer(429),
    Fault::Answer(408),
];

/// Everything that is done with a repository, on a vault that changes.
fn everything(fixture: &Fixture, destination: &Arc<S3>) {
    let repository = init(Arc::clone(destination));
    let first = fixture.create(&repository);
    fixture.write("more.bin", &noise(1 << 20, 4));
    fixture.create(&repository);
    sound(&repository);
    fixture.restores(&repository, "restored");
    repository.delete(&[first.name.unwrap()], false).unwrap();
    for _ in 0..2 {
        repository.prune(&PruneOptions { dry_run: false, grace: 0 }, &mut Silent).unwrap();
    }
    repository.change_key(&passphrase("right"), Cost::LEAST).unwrap();
    fixture.restores(&repository, "restored");
}

/// Each request fails once, and everything succeeds: nothing is lost by an answer that was, nothing is done twice that must not be.
#[test]
fn every_request_fails_once() {
    for (n, fault) in PASSING.into_iter().enumerate() {
        let fixture = Fixture::new();
        let place = format!("once/{n}");
        let proxy = proxy();
        let (failed, mut seen) = (Arc::new(AtomicUsize::new(0)), HashSet::<Request>::new());
        let count = Arc::clone(&failed);
        proxy.rule(move |request| {
            // What was asked for again fails again.
            let first = seen.insert(request.clone()) || !seen.remove(request);
            count.fetch_add(usize::from(first), Ordering::Relaxed);
            first.then_some(fault)
        });
        everything(&fixture, &at(&proxy.endpoint, &place, limits()));
        assert!(failed.load(Ordering::Relaxed) > 30, "{fault:?}");
        let repository = open(direct(&place));
        sound(&repository);
        fixture.restores(&repository, "again");
        assert_eq!(direct(&place).list(Folder::Locks).unwrap(), []);
    }
}

/// Now and then a server does not answer at all, or says half of what it has; that takes as long as one request may take.
#[test]
fn requests_are_not_answered_now_and_then() {
    let fixture = Fixture::new();
    let proxy = proxy();
    let mut n = 0;
    proxy.rule(move |request| {
        n += 1;
        match n % 16 {
            5 => Some(Fault::Silence),
            // Of whole files nobody but their names can tell.
            10 if request.range.is_some() => Some(Fault::HalfAnswer),
            _ => None,
        }
    });
    everything(&fixture, &at(&proxy.endpoint, "silence", limits()));
    sound(&open(direct("silence")));
}

/// Half of a file that says that it is whole is damage, and never taken for the file.
#[test]
fn half_a_file_is_damage() {
    let fixture = Fixture::new();
    let repository = init(direct("half"));
    fixture.create(&repository);
    let proxy = proxy();
    let half = |folder: &'static str| {
        move |request: &Request| {
            (request.method == "GET" && request.target.contains(folder) && !request.target.contains('?'))
                .then_some(Fault::HalfAnswer)
        }
    };
    proxy.rule(half("/REPOSITORY"));
    let opened = Repository::open(at(&proxy.endpoint, "half", limits()), &passphrase("right"));
    assert!(matches!(opened.map(drop), Err(BackupError::Corrupt { .. })));
    proxy.rule(half("/backups/"));
    let repository = open(at(&proxy.endpoint, "half", limits()));
    let report = repository.verify(&VerifyOptions::default(), &mut Silent).unwrap();
    assert_eq!((report.faults.len(), report.backups.len()), (1, 0), "{:?}", report.faults);
    assert!(repository.restore("latest", &fixture.path("restored"), &mut Silent).is_err());
    proxy.rule(|request| (request.range.is_some()).then_some(Fault::HalfAnswer));
    let repository = open(at(&proxy.endpoint, "half", impatient()));
    let done = repository.restore("latest", &fixture.path("restored"), &mut Silent);
    assert!(
        matches!(&done, Err(BackupError::Io { source, .. }) if source.kind() == ErrorKind::UnexpectedEof),
        "{done:?}"
    );
    assert!(!fixture.path("restored").exists() && !fixture.path("restored.restoring").exists());
    sound(&open(direct("half")));
}

/// Does some work over a network that fails for good at the first request, the second, and so on until the work succeeds, each
/// time on the repository as it was before. Each failure is one of input and output that says which place it was about, and
/// leaves a repository that is sound and in which the work can be done. Returns the last one.
fn fails_from_each_request_on(fixture: &Fixture, place: &str, work: impl Fn(&Repository) -> Result<()>) -> Repository {
    let proxy = proxy();
    let kinds = [Fault::ResetRequest, Fault::Answer(503), Fault::LostAnswer, Fault::CutAnswer];
    for after in 0..2_000 {
        let copy = format!("{place}/{after}");
        copy_all(&direct(place), &direct(&copy));
        // What the vault remembers is of a repository that was put back.
        let _ = std::fs::remove_file(fixture.path("vault/BACKUPS"));
        let left = Arc::new(AtomicUsize::new(after));
        let count = Arc::clone(&left);
        proxy.rule(move |_| {
            let before = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            before.is_err().then(|| kinds[after % kinds.len()])
        });
        let opened = Repository::open(at(&proxy.endpoint, &copy, impatient()), &passphrase("right"));
        let done = opened.and_then(|repository| work(&repository));
        let whole = left.load(Ordering::Relaxed) > 0;
        let repository = open(direct(&copy));
        sound(&repository);
        match done {
            Ok(()) if whole => {
                assert!(after > 5, "something was done");
                return repository;
            }
            // The last request may be one that nobody waits for, as the removal of a lock.
            Ok(()) => {}
            Err(BackupError::Io { location, source }) => {
                assert!(location.starts_with(&format!("s3://tests/{copy}")), "{location}");
                assert!(source.to_string().contains("gave up"), "{source}");
            }
            Err(other) => panic!("after {after}: {other:?}"),
        }
        work(&repository).unwrap();
        sound(&repository);
    }
    panic!("it never succeeds");
}

/// Copies a repository to an empty place.
fn copy_all(from: &S3, to: &S3) {
    for folder in Folder::ALL {
        for (name, _) in from.list(folder).unwrap() {
            to.write(folder, &name, &from.read(folder, &name).unwrap()).unwrap();
        }
    }
}

/// A backup whose network goes for good, whenever it does, harms nothing, and the next one makes use of what was stored.
#[test]
fn a_backup_may_lose_its_network() {
    let fixture = Fixture::new();
    let before = fixture.create(&init(direct("lost/backup")));
    fixture.write("more.bin", &noise(1 << 20, 10));
    let repository = fails_from_each_request_on(&fixture, "lost/backup", |repository| {
        repository.create(&fixture.vault, &CreateOptions::default(), &mut Silent).map(drop)
    });
    fixture.restores(&repository, "latest");
    fixture.restores_to(&before.name.unwrap(), &repository, "first", before.root);
}

/// A prune whose network goes for good takes nothing from the backups that stay.
#[test]
fn a_prune_may_lose_its_network() {
    let fixture = Fixture::new();
    let repository = init(direct("lost/prune"));
    for n in 0..3 {
        fixture.write("changing.bin", &noise(1 << 20, n));
        fixture.vault.prune(PrunePolicy { keep: Some(1), ..PrunePolicy::default() }).unwrap();
        fixture.create(&repository);
    }
    let first = repository.backups().unwrap().0.remove(0);
    repository.delete(&[first.name], false).unwrap();
    let repository = fails_from_each_request_on(&fixture, "lost/prune", |repository| {
        // What the first marks, the second removes.
        (0..2).try_for_each(|_| repository.prune(&PruneOptions { dry_run: false, grace: 0 }, &mut Silent).map(drop))
    });
    for (n, backup) in repository.backups().unwrap().0.iter().enumerate() {
        fixture.restores_to(&backup.name, &repository, &format!("restored{n}"), backup.root);
    }
}

/// A restore whose network goes for good leaves nothing.
#[test]
fn a_restore_may_lose_its_network() {
    let fixture = Fixture::new();
    fixture.create(&init(direct("lost/restore")));
    let to = fixture.path("restored");
    fails_from_each_request_on(&fixture, "lost/restore", |repository| {
        let _ = std::fs::remove_dir_all(&to);
        let done = repository.restore("latest", &to, &mut Silent).map(drop);
        assert_eq!(done.is_ok(), to.exists());
        assert!(!fixture.path("restored.restoring").exists());
        done
    });
}

/// A change of the passphrase whose network goes for good leaves a slot that opens.
#[test]
fn a_change_of_the_passphrase_may_lose_its_network() {
    let fixture = Fixture::new();
    init(direct("lost/key"));
    let repository = fails_from_each_request_on(&fixture, "lost/key", |repository| {
        repository.change_key(&passphrase("right"), Cost::LEAST).map(drop)
    });
    assert_eq!(repository.slots().unwrap().0.len(), 1);
}

/// A server that accepts and never answers is given up in time, and that is said.
#[test]
fn a_server_that_never_answers_is_given_up() {
    let proxy = proxy();
    proxy.rule(|_| Some(Fault::Silence));
    let mut limits = impatient();
    limits.request = Duration::from_millis(300);
    let destination = at(&proxy.endpoint, "never", limits);
    let failed = |done: Result<()>| {
        let error = done.unwrap_err();
        let BackupError::Io { source, .. } = &error else { panic!("{error:?}") };
        assert_eq!(source.kind(), ErrorKind::TimedOut, "{error}");
        assert!(error.to_string().contains("did not answer within"), "{error}");
    };
    failed(destination.list(Folder::Packs).map(drop));
    failed(destination.read(Folder::Packs, "a").map(drop));
    failed(destination.read_part(Folder::Packs, "a", 0, 10).map(drop));
    failed(destination.write(Folder::Packs, "a", b"content"));
    failed(destination.write(Folder::Locks, "a", b"content"));
    failed(destination.remove(Folder::Packs, "a"));
}
