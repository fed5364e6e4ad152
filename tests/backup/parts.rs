//! Parts of backups as plain files, sealed files to hand over, and the backups of the protocol's reference.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use mirrordna::artifacts::{Caller, NewNode, ROOT, WriteOptions};
use mirrordna::backup::archive::SealedFile;
use mirrordna::backup::{BackupError, Cost, Extracted, Part, Repository, Silent, VerifyOptions};
use mirrordna::interchange::{self, ImportOptions};
use mirrordna::record::{FileType, Inode, Kind, json};
use mirrordna::storage::{Durability, PrunePolicy, record_file};
use mirrordna::vault::{Filter, Tier};
use mirrordna::{Vault, VaultOptions};

use crate::sample;
use crate::support::{Fixture, files, init, noise, passphrase, scratch, sound};

fn extract(fixture: &Fixture, part: &str, to: &str) -> Result<Extracted, BackupError> {
    fixture.repository.extract("latest", &Part::parse(part), &fixture.path(to), &mut Silent)
}

/// A collection comes back as the files that the mount shows, without what was deleted.
#[test]
fn a_collection_or_a_record_comes_back_as_files() {
    let fixture = Fixture::new();
    let session = sample::session(&fixture.vault);
    let gone = sample::memory(&fixture.vault, &session, Tier::LongTerm, "gone".into());
    fixture.vault.delete(Kind::Memory, &gone.id).unwrap();
    fixture.create();
    let extracted = extract(&fixture, "memories", "memories").unwrap();
    let memories: Vec<_> = fixture.vault.list(Kind::Memory, &Filter::default()).unwrap().map(Result::unwrap).collect();
    assert_eq!(extracted.files, memories.len() as u64);
    assert_eq!(files(&fixture.path("memories")).len(), memories.len());
    for memory in &memories {
        let file = fixture.path("memories").join("memories").join(format!("{}.json", memory.id));
        assert_eq!(fs::read(file).unwrap(), record_file(&memory.value));
    }
    extract(&fixture, &memories[0].id, "one").unwrap();
    assert_eq!(files(&fixture.path("one")).len(), 1);
    let missing = extract(&fixture, &gone.id, "none").unwrap_err();
    assert!(matches!(missing, BackupError::NotFound { .. }), "{missing}");
    assert!(!fixture.path("none").exists());
}

/// After a prune of the vault the log still has the deletion of a record whose versions are gone.
#[test]
fn what_was_pruned_before_its_deletion_is_left_out() {
    let fixture = Fixture::new();
    let session = sample::session(&fixture.vault);
    let gone = sample::memory(&fixture.vault, &session, Tier::LongTerm, "gone".into());
    fixture.vault.delete(Kind::Memory, &gone.id).unwrap();
    fixture.vault.prune(PrunePolicy { keep: Some(1), ..PrunePolicy::default() }).unwrap();
    fixture.create();
    let extracted = extract(&fixture, "memories", "memories").unwrap();
    assert_eq!(extracted.files, fixture.vault.list(Kind::Memory, &Filter::default()).unwrap().count() as u64);
    assert_eq!(files(&fixture.path("memories")).len() as u64, extracted.files);
    assert!(matches!(extract(&fixture, &gone.id, "none"), Err(BackupError::NotFound { .. })));
    assert!(!fixture.path("none.restoring").exists());
}

/// The number of an inode, what it is, and its names, each in a directory.
type Forged<'a> = (u64, FileType, &'a [(u64, &'a str)]);

/// Puts artifacts into a vault as nobody could through it: only the inodes, whatever they say.
fn forge(fixture: &Fixture, inodes: &[Forged<'_>], target: &Path) {
    let inode = |(ino, file_type, names): &Forged<'_>| {
        let inode = Inode {
            mode: 0o755,
            names: names.iter().map(|(dir, name)| (*dir, name.as_bytes().to_vec())).collect(),
            target: (*file_type == FileType::Symlink).then(|| target.as_os_str().as_encoded_bytes().to_vec()),
            ..Inode::new(*ino, *file_type, 0)
        };
        (ino.to_string(), inode.to_value())
    };
    let records: Vec<_> = inodes.iter().map(inode).collect();
    sample::import(&fixture.vault, Kind::Artifact, &records, true);
}

/// Extracting a part of a forged backup is refused, leaves nothing, and names what is wrong.
fn assert_refused(fixture: &Fixture, part: &str, named: &[&str]) {
    let error = extract(fixture, part, "out").unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, BackupError::Corrupt { .. }) && named.iter().all(|name| text.contains(name)), "{text}");
    assert!(!fixture.path("out").exists() && !fixture.path("out.restoring").exists());
}

/// A backup that somebody else made may say anything; its artifacts stay below the directory that they are restored to.
#[test]
fn forged_artifacts_do_not_leave_the_directory() {
    use FileType::{Directory, Regular, Symlink};
    let cases: &[(&[Forged<'_>], &[&str])] = &[
        // A link and a directory with one name: what is in the directory would go through the link.
        (
            &[(100, Symlink, &[(1, "d")]), (101, Directory, &[(1, "d")]), (102, Regular, &[(101, "f")])],
            &["100", "101", "\"d\""],
        ),
        // A link and a file with one name, which the file has twice.
        (&[(100, Symlink, &[(1, "f")]), (101, Regular, &[(1, "e"), (1, "f")])], &["100", "101", "\"f\""]),
        // A root directory that is a link, and lies in a directory.
        (&[(1, Symlink, &[(100, "r")]), (100, Directory, &[(1, "d")]), (101, Regular, &[(1, "f")])], &["root"]),
    ];
    for (inodes, named) in cases {
        let fixture = Fixture::empty();
        let outside = fixture.path("outside");
        fs::create_dir(&outside).unwrap();
        forge(&fixture, inodes, &outside);
        fixture.create();
        assert_refused(&fixture, "artifacts", named);
        assert_refused(&fixture, "artifacts/d", named);
        assert_eq!(files(&outside), []);
    }
}

/// Ids that are no names of files do not lead out of the directory either.
#[test]
fn forged_ids_do_not_leave_the_directory() {
    let scratch = scratch();
    let absolute = scratch.path().join("absolute").to_str().unwrap().to_owned();
    for id in ["../../../relative", &absolute, "a/b"] {
        let fixture = Fixture::empty();
        let record = json::parse(br#"{"content":"forged"}"#).unwrap();
        sample::import(&fixture.vault, Kind::Memory, &[(id.to_owned(), record)], true);
        fixture.create();
        assert_refused(&fixture, "memories", &[id]);
        assert_refused(&fixture, id, &[id]);
        assert!(!fixture.path("relative.json").exists());
        assert_eq!(files(scratch.path()), []);
    }
}

/// Artifacts come back with content, mode, links and directories.
#[test]
fn artifacts_come_back_as_files() {
    const ME: Caller = Caller { uid: 1000, gid: 1000, umask: 0o022 };
    let fixture = Fixture::new();
    let vault_files = fixture.vault.artifacts().unwrap();
    let dir = vault_files.create(ROOT, b"reports", &NewNode::directory(0o755), &ME).unwrap().ino;
    let file = vault_files.create(dir, b"2026.bin", &NewNode::file(0o640), &ME).unwrap().ino;
    let content = noise(700_000, 3);
    assert_eq!(vault_files.write(file, 300_000, &content, WriteOptions::default()).unwrap(), content.len());
    vault_files.link(file, dir, b"same.bin").unwrap();
    vault_files.create(dir, b"link", &NewNode::symlink(b"2026.bin"), &ME).unwrap();
    vault_files.commit(Durability::Buffered).unwrap();
    fixture.create();
    let extracted = extract(&fixture, "artifacts/reports", "out").unwrap();
    assert_eq!((extracted.files, extracted.left_out), (4, 0));
    let out = fixture.path("out/reports");
    let read = fs::read(out.join("2026.bin")).unwrap();
    assert!(read[..300_000].iter().all(|byte| *byte == 0) && read[300_000..] == content);
    assert_eq!(fs::metadata(out.join("2026.bin")).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(fs::read(out.join("same.bin")).unwrap(), read);
    assert_eq!(fs::read_link(out.join("link")).unwrap(), Path::new("2026.bin"));
    extract(&fixture, "artifacts/reports/2026.bin", "single").unwrap();
    assert_eq!(fs::read(fixture.path("single/2026.bin")).unwrap(), read);
    extract(&fixture, "artifacts", "all").unwrap();
    assert_eq!(fs::read(fixture.path("all/noise.bin")).unwrap(), noise(3 << 20, 1));
    assert!(matches!(extract(&fixture, "artifacts/nothing", "none"), Err(BackupError::NotFound { .. })));
}

/// A sealed file is a repository by itself: it verifies, restores, and can be imported into another one.
#[test]
fn a_backup_goes_from_hand_to_hand_in_one_sealed_file() {
    let fixture = Fixture::new();
    let created = fixture.create();
    let path = fixture.path("handover.mdna");
    let secret = passphrase("handover");
    fixture.repository.export("latest", &path, (&secret, Cost::LEAST), &mut Silent).unwrap();
    assert!(matches!(
        fixture.repository.export("latest", &path, (&secret, Cost::LEAST), &mut Silent),
        Err(BackupError::Occupied { .. })
    ));
    let open = |path: &Path| Repository::open(Arc::new(SealedFile::open(path)?), &secret);
    let sealed = open(&path).unwrap();
    assert!(sealed.verify(&VerifyOptions::default(), &mut Silent).unwrap().is_clean());
    sealed.restore("latest", &fixture.path("restored"), &mut Silent).unwrap();
    sound(&fixture.path("restored"), created.root);
    let other = scratch();
    let repository = init(&other.path().join("repository"));
    assert_eq!(repository.import(&path, &secret, &mut Silent).unwrap().len(), 1);
    assert_eq!(repository.import(&path, &secret, &mut Silent).unwrap().len(), 0, "it is there already");
    assert!(repository.verify(&VerifyOptions::default(), &mut Silent).unwrap().is_clean());
    repository.restore("latest", &other.path().join("restored"), &mut Silent).unwrap();
    sound(&other.path().join("restored"), created.root);
    // A file that was cut, or of which a byte is another one.
    let whole = fs::read(&path).unwrap();
    for at in (0..whole.len()).step_by(whole.len() / 60) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        fs::write(&path, &flipped).unwrap();
        let clean = open(&path)
            .is_ok_and(|file| file.verify(&VerifyOptions::default(), &mut Silent).is_ok_and(|r| r.is_clean()));
        assert!(!clean, "byte {at}");
        fs::write(&path, &whole[..at]).unwrap();
        assert!(open(&path).is_err(), "cut at {at}");
    }
}

/// An import takes the backup of a sealed file, or says why it does not: nothing that is damaged is passed over in silence.
#[test]
fn a_damaged_sealed_file_is_not_imported_as_an_empty_one() {
    let fixture = Fixture::empty();
    fixture.write("notes.txt", 0, b"a note that is an artifact");
    fixture.create();
    let (path, secret) = (fixture.path("handover.mdna"), passphrase("handover"));
    fixture.repository.export("latest", &path, (&secret, Cost::LEAST), &mut Silent).unwrap();
    let whole = fs::read(&path).unwrap();
    for at in (0..whole.len()).step_by(97) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        fs::write(&path, &flipped).unwrap();
        let repository = init(&fixture.path(&format!("repository{at}")));
        match repository.import(&path, &secret, &mut Silent) {
            Ok(taken) => assert_eq!(taken.len(), 1, "byte {at}"),
            Err(_) => assert_eq!(repository.backups().unwrap().0.len(), 0, "byte {at}"),
        }
    }
}

/// The reference's own backups are read, and one that is not what its metadata says is refused.
#[test]
fn backups_of_the_reference_are_imported() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/backups");
    let fixture = Fixture::empty();
    let import = |name: &str, passphrase: Option<&str>, vault: &Vault| {
        interchange::import_backup(
            vault,
            &data.join(name),
            passphrase,
            &ImportOptions::default(),
            &mut interchange::Silent,
        )
    };
    let plain = import("backup_plain.tar.gz", None, &fixture.vault).unwrap();
    assert!(plain.total().taken > 100, "{:?}", plain.total());
    let other = Vault::create(&fixture.path("other"), &VaultOptions::default()).unwrap();
    let key = fs::read_to_string(data.join("encryption_key.txt")).unwrap();
    let encrypted = import("backup_encrypted.tar.gz.enc", Some(key.trim_end()), &other).unwrap();
    assert_eq!(encrypted.total(), plain.total());
    assert!(import("backup_encrypted.tar.gz.enc", Some("wrong"), &other).is_err());
    assert!(import("backup_encrypted.tar.gz.enc", None, &other).is_err());
    for (name, passphrase) in [("backup_plain.tar.gz", None), ("backup_encrypted.tar.gz.enc", Some(key.trim_end()))] {
        let mut bytes = fs::read(data.join(name)).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        let copy = fixture.path(name);
        fs::write(&copy, bytes).unwrap();
        let metadata = format!("{}_metadata.json", name.split('.').next().unwrap());
        fs::copy(data.join(&metadata), fixture.path(&metadata)).unwrap();
        let before = other.state().sequence;
        let error =
            interchange::import_backup(&other, &copy, passphrase, &ImportOptions::default(), &mut interchange::Silent);
        assert!(error.unwrap_err().to_string().contains("checksum"));
        assert_eq!(other.state().sequence, before);
    }
}
