//! Making a repository: of those who try in one place at the same moment at most one does, whatever the server knows of
//! conditions.

use std::sync::Arc;

use mirrordna::backup::{BackupError, Cost, Destination, Folder, Repository};
use mirrordna_s3::S3;

use crate::proxy::Fault;
use crate::server::server;
use crate::support::{at, direct, limits, passphrase, proxy, sound};

/// Several make a repository at the same moment. Returns how many did; what they left is sound.
fn race(place: &str, destination: impl Fn() -> Arc<S3> + Sync) -> usize {
    let made: Vec<_> = std::thread::scope(|scope| {
        let race = |n: usize| {
            let destination = &destination;
            move || (n, Repository::init(destination(), &passphrase(&format!("secret{n}")), "", Cost::LEAST))
        };
        let racers: Vec<_> = (0..3).map(|n| scope.spawn(race(n))).collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).collect()
    });
    let mut winners = 0;
    for (n, made) in made {
        match made {
            Ok(_) => {
                winners += 1;
                let opened = Repository::open(direct(place), &passphrase(&format!("secret{n}"))).unwrap();
                sound(&opened);
                assert_eq!(opened.slots().unwrap().0.len(), 1);
            }
            Err(BackupError::Occupied { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
    winners
}

/// With conditions exactly one wins.
#[test]
fn one_of_several_makes_it() {
    for round in 0..5 {
        let place = format!("race/kept{round}");
        let winners = race(&place, || at(&server().endpoint, &place, limits()));
        assert_eq!(winners, 1);
    }
}

/// A server that knows no conditions and writes over what is there: at most one wins, and whoever comes alone does.
#[test]
fn without_conditions_at_most_one_makes_it() {
    for (kind, fault) in [("ignored", Fault::NoCondition), ("refused", Fault::Answer(501))] {
        let proxy = proxy();
        proxy.rule(move |request| request.conditional.then_some(fault));
        for round in 0..5 {
            let place = format!("race/{kind}{round}");
            assert!(race(&place, || at(&proxy.endpoint, &place, limits())) <= 1);
        }
        let place = format!("race/{kind}");
        let alone = at(&proxy.endpoint, &place, limits());
        Repository::init(Arc::clone(&alone) as _, &passphrase("alone"), "", Cost::LEAST).unwrap();
        sound(&Repository::open(direct(&place), &passphrase("alone")).unwrap());
        let again = Repository::init(alone, &passphrase("again"), "", Cost::LEAST);
        assert!(matches!(again.map(drop), Err(BackupError::Occupied { .. })));
    }
}

/// A making that was interrupted left a key slot, which opens nothing and is not in the way.
#[test]
fn an_interrupted_making_is_made_again() {
    let (destination, another) = (direct("interrupted"), direct("another"));
    Repository::init(Arc::clone(&another) as _, &passphrase("x"), "", Cost::LEAST).unwrap();
    let (slot, _) = another.list(Folder::Keys).unwrap().remove(0);
    destination.write(Folder::Keys, &slot, &another.read(Folder::Keys, &slot).unwrap()).unwrap();
    let made = Repository::init(Arc::clone(&destination) as _, &passphrase("x"), "", Cost::LEAST).unwrap();
    sound(&made);
    assert_eq!(destination.list(Folder::Keys).unwrap().len(), 1);
}

/// Other files in the place are in the way, and stay.
#[test]
fn other_files_are_left_alone() {
    let destination = direct("occupied");
    destination.write(Folder::Packs, "aa", b"something").unwrap();
    let made = Repository::init(Arc::clone(&destination) as _, &passphrase("x"), "", Cost::LEAST);
    assert!(matches!(made.map(drop), Err(BackupError::Occupied { .. })));
    assert_eq!(destination.read(Folder::Packs, "aa").unwrap(), b"something");
}

/// A small file that is there with another content is not written over.
#[test]
fn nothing_is_written_over() {
    let destination = direct("over");
    for folder in [Folder::Root, Folder::Keys, Folder::Backups, Folder::Locks, Folder::Notes, Folder::Marks] {
        destination.write(folder, "name", b"one").unwrap();
        let over = destination.write(folder, "name", b"two");
        assert!(matches!(over, Err(BackupError::Occupied { .. } | BackupError::Io { .. })), "{over:?}");
        assert_eq!(destination.read(folder, "name").unwrap(), b"one");
    }
}
