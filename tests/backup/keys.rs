//! Who can open a repository, and what is said to who cannot.

use std::fs;
use std::sync::Arc;

use mirrordna::backup::{BackupError, Cost, LocalFolder, PruneOptions, Repository, Secret, Silent, VerifyOptions};
use mirrordna::record::Checksum;
use zeroize::Zeroizing;

use crate::support::{Fixture, bytes_of, files, init, open, passphrase, scratch};

fn open_with(fixture: &Fixture, secret: &Secret) -> Result<Repository, BackupError> {
    Repository::open(Arc::new(LocalFolder::new(&fixture.path("repository"))), secret)
}

/// A passphrase and a key file open the same repository; each can be taken away, but not the last.
#[test]
fn slots_are_added_and_removed() {
    let fixture = Fixture::new();
    let created = fixture.create();
    let key = Secret::KeyFile(Zeroizing::new(vec![7; 32]));
    assert!(matches!(open_with(&fixture, &key).map(drop), Err(BackupError::WrongSecret { what: "key file", .. })));
    let slot = fixture.repository.add_key(&key, "the safe", Cost::LEAST).unwrap();
    let opened = open_with(&fixture, &key).unwrap();
    opened.restore("latest", &fixture.path("restored"), &mut Silent).unwrap();
    crate::support::sound(&fixture.path("restored"), created.root);
    let (slots, faults) = opened.slots().unwrap();
    assert_eq!((slots.len(), faults.len()), (2, 0));
    let first = slots.iter().find(|other| other.id != slot).unwrap().id.clone();
    opened.remove_key(&first).unwrap();
    assert!(matches!(open_with(&fixture, &passphrase("right")).map(drop), Err(BackupError::WrongSecret { .. })));
    assert!(matches!(opened.remove_key(&slot), Err(BackupError::Argument { .. })));
    open_with(&fixture, &key).unwrap();
}

/// Changing a passphrase rewrites the slot and nothing else.
#[test]
fn a_passphrase_change_writes_little() {
    let fixture = Fixture::new();
    fixture.create();
    let before = files(&fixture.path("repository"));
    fixture.repository.change_key(&passphrase("other"), Cost::LEAST).unwrap();
    let after = files(&fixture.path("repository"));
    let fresh: u64 = after.iter().filter(|file| !before.contains(file)).map(|(_, len)| len).sum();
    assert!(fresh > 0 && fresh < 1_000, "{fresh}");
    assert_eq!(before.len(), after.len());
    assert!(matches!(open_with(&fixture, &passphrase("right")).map(drop), Err(BackupError::WrongSecret { .. })));
    assert_eq!(open_with(&fixture, &passphrase("other")).unwrap().backups().unwrap().0.len(), 1);
}

/// A wrong passphrase, no slot at all, and a damaged slot are three different things to say.
#[test]
fn failures_to_open_are_told_apart() {
    let fixture = Fixture::new();
    let keys = fixture.path("repository/keys");
    let slot = files(&keys).pop().unwrap().0;
    let whole = fs::read(&slot).unwrap();
    let said = |secret: &str| open_with(&fixture, &passphrase(secret)).map(drop).unwrap_err().to_string();
    let wrong = said("wrong");
    assert!(wrong.starts_with("wrong passphrase"), "{wrong}");
    let mut damaged = whole.clone();
    damaged[70] ^= 1;
    fs::write(&slot, &damaged).unwrap();
    let damaged = said("right");
    assert!(damaged.contains("is damaged"), "{damaged}");
    fs::remove_file(&slot).unwrap();
    let missing = said("right");
    assert!(missing.contains("has no key slot"), "{missing}");
    fs::write(&slot, &whole).unwrap();
    open_with(&fixture, &passphrase("right")).unwrap();
    assert!(matches!(open_with(&fixture, &Secret::None).map(drop), Err(BackupError::NoSecret { .. })));
}

/// Puts a copy of the only slot under another name that asks for 64 GiB of memory.
fn add_hostile_slot(fixture: &Fixture) -> String {
    let slot = files(&fixture.path("repository/keys")).pop().unwrap().0;
    let mut hostile = fs::read(&slot).unwrap();
    let id = 8 + 2 + 16;
    hostile[id] ^= 0xff;
    let memory = id + 8 + 8;
    hostile[memory..memory + 4].copy_from_slice(&(64_u32 << 20).to_le_bytes());
    let end = hostile.len() - 32;
    let sum = Checksum::of(&hostile[..end]);
    let name = u64::from_be_bytes(hostile[id..id + 8].try_into().unwrap());
    hostile[end..].copy_from_slice(&sum.0);
    let path = slot.with_file_name(format!("{name:016x}"));
    fs::write(&path, &hostile).unwrap();
    format!("keys/{name:016x}")
}

/// A slot that asks for 64 GiB of memory is refused, and the others are tried. A verification names it.
#[test]
fn a_hostile_slot_is_refused() {
    let fixture = Fixture::new();
    let sound = files(&fixture.path("repository/keys")).pop().unwrap().0;
    let hostile = add_hostile_slot(&fixture);
    let repository = open_with(&fixture, &passphrase("right")).unwrap();
    let faults = repository.verify(&VerifyOptions::default(), &mut Silent).unwrap().faults;
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!(faults[0].subject, hostile);
    assert!(faults[0].problem.contains("65536 MiB"), "{faults:?}");
    fs::remove_file(sound).unwrap();
    let error = open_with(&fixture, &passphrase("right")).map(drop).unwrap_err();
    assert!(matches!(&error, BackupError::HostileSlot { asked, .. } if asked.starts_with("65536 MiB")), "{error}");
}

/// A verification names an open slot in a repository that was opened with a secret, and none in a plain one.
#[test]
fn an_open_slot_beside_others_is_named() {
    let fixture = Fixture::new();
    let faults = |secret: &Secret| {
        let repository = open_with(&fixture, secret).unwrap();
        repository.verify(&VerifyOptions::default(), &mut Silent).unwrap().faults
    };
    assert_eq!(faults(&passphrase("right")), []);
    let slot = fixture.repository.add_key(&Secret::None, "", Cost::LEAST).unwrap();
    let named = faults(&passphrase("right"));
    assert_eq!(named.len(), 1, "{named:?}");
    assert_eq!(named[0].subject, format!("keys/{slot}"));
    assert!(named[0].problem.contains("needs no secret"), "{named:?}");
    assert_eq!(faults(&Secret::None), []);
}

/// A plain repository opens without a passphrase, and a passphrase never opens an open slot that somebody put there.
#[test]
fn plain_repositories_open_only_when_that_is_meant() {
    let dir = scratch();
    let folder = Arc::new(LocalFolder::new(dir.path()));
    let repository = Repository::init(Arc::clone(&folder) as _, &Secret::None, "", Cost::LEAST).unwrap();
    assert!(repository.is_plain());
    assert!(Repository::open(Arc::clone(&folder) as _, &Secret::None).unwrap().is_plain());
    assert!(Repository::open(folder, &passphrase("any")).is_err());
}

/// Nothing else than a new or empty folder becomes a repository.
#[test]
fn a_repository_is_made_in_an_empty_place() {
    let dir = scratch();
    init(dir.path());
    let again = Repository::init(Arc::new(LocalFolder::new(dir.path())), &passphrase("x"), "", Cost::LEAST);
    assert!(matches!(again.map(drop), Err(BackupError::Occupied { .. })));
    let other = scratch();
    fs::write(other.path().join("file"), b"x").unwrap();
    let there = Repository::init(Arc::new(LocalFolder::new(other.path())), &passphrase("x"), "", Cost::LEAST);
    assert!(matches!(there.map(drop), Err(BackupError::Occupied { .. })));
    assert!(matches!(open(other.path()).map(drop), Err(BackupError::NotARepository { .. })));
    let empty = Repository::init(Arc::new(LocalFolder::new(&dir.path().join("new"))), &passphrase(""), "", Cost::LEAST);
    assert!(matches!(empty.map(drop), Err(BackupError::Argument { .. })));
    assert_eq!(bytes_of(other.path()), 1);
}

/// Whose folder it is does not follow from its name: somebody's own files in `keys/` are in the way, and stay.
#[test]
fn files_of_others_in_keys_are_left_alone() {
    let slot_of_another = scratch();
    init(slot_of_another.path());
    let (slot, _) = files(&slot_of_another.path().join("keys")).remove(0);
    let own: [(&str, &[u8]); 3] = [
        ("id_ed25519", b"the only copy of it"),
        // Called like a key slot.
        ("0123456789abcdef", b"MDNASLOT but for the rest"),
        ("large", &[0; 1_000]),
    ];
    for (name, content) in own {
        let dir = scratch();
        let keys = dir.path().join("keys");
        fs::create_dir(&keys).unwrap();
        fs::write(keys.join(name), content).unwrap();
        fs::copy(&slot, keys.join(slot.file_name().unwrap())).unwrap();
        let before = files(dir.path());
        let made = Repository::init(Arc::new(LocalFolder::new(dir.path())), &passphrase("x"), "", Cost::LEAST);
        assert!(matches!(made.map(drop), Err(BackupError::Occupied { what: "files", .. })), "{name}");
        assert_eq!(files(dir.path()), before);
        assert_eq!(fs::read(keys.join(name)).unwrap(), content);
    }
}

/// A key slot that an interrupted making left opens nothing, is not in the way, and goes.
#[test]
fn an_interrupted_making_is_made_again() {
    let dir = scratch();
    init(dir.path());
    fs::remove_file(dir.path().join("REPOSITORY")).unwrap();
    let repository = init(dir.path());
    let (slots, faults) = repository.slots().unwrap();
    assert_eq!((slots.len(), faults.len()), (1, 0));
}

/// A prune removes what writes left in `tmp/`, and nothing that somebody else put there.
#[test]
fn files_of_others_in_tmp_are_left_alone() {
    let fixture = Fixture::new();
    fixture.create();
    let tmp = fixture.path("repository").join("tmp");
    for name in ["0123456789abcdef", "thesis.txt"] {
        fs::write(tmp.join(name), b"x").unwrap();
        let old = std::time::SystemTime::now() - std::time::Duration::from_secs(10 * 86_400);
        fs::File::options().write(true).open(tmp.join(name)).unwrap().set_modified(old).unwrap();
    }
    fixture.repository.prune(&PruneOptions::default(), &mut Silent).unwrap();
    assert_eq!(files(&tmp), [(tmp.join("thesis.txt"), 1)]);
}

/// Of several who make a repository in one place at the same moment exactly one does, and what the others left is gone.
#[test]
fn one_of_several_makes_a_repository() {
    for _ in 0..20 {
        let dir = scratch();
        let attempt = |n: usize| {
            let folder = Arc::new(LocalFolder::new(dir.path()));
            (n, Repository::init(folder, &passphrase(&format!("secret{n}")), "", Cost::LEAST))
        };
        let made: Vec<_> = std::thread::scope(|scope| {
            let racers: Vec<_> = (0..4).map(|n| scope.spawn(move || attempt(n))).collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).collect()
        });
        let mut winners = 0;
        for (n, made) in made {
            match made {
                Ok(_) => {
                    winners += 1;
                    let secret = passphrase(&format!("secret{n}"));
                    let opened = Repository::open(Arc::new(LocalFolder::new(dir.path())), &secret).unwrap();
                    assert_eq!(opened.slots().unwrap().0.len(), 1);
                    assert_eq!(opened.slots().unwrap().1, []);
                }
                Err(BackupError::Occupied { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(winners, 1);
    }
}
