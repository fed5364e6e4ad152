//! Every way in which opening can fail has an answer of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use mirrordna::record::id::SeededIds;
use mirrordna::record::{Checksum, FileType, Inode, Kind, json};
use mirrordna::storage::{
    Durability, Expect, FileAccess, NOW, OpenOptions, Operation, RocksStorage, Storage, StorageError, SystemFiles,
};

use super::disk::SmallDisk;
use super::files::Files;
use super::support::{assert_clean, check, commit, create, memory, open, options, put_memory, scratch, write};

/// Names the vault for a test that is run again as somebody else.
const VAULT: &str = "MIRRORDNA_TEST_VAULT";

fn refusal(dir: &Path) -> StorageError {
    RocksStorage::open(dir, &options()).err().expect("it should not open")
}

#[test]
fn a_directory_without_a_vault_is_not_a_vault() {
    let dir = scratch();
    assert!(matches!(refusal(dir.path()), StorageError::NotAVault { .. }));
    assert!(matches!(refusal(&dir.path().join("none")), StorageError::NotAVault { .. }));
    let file = dir.path().join("file");
    fs::write(&file, b"x").unwrap();
    assert!(matches!(refusal(&file), StorageError::NotAVault { .. }));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "looking leaves nothing behind");
}

#[test]
fn a_held_vault_names_its_holder_and_opens_when_it_is_let_go() {
    let dir = scratch();
    let storage = create(dir.path());
    let StorageError::Locked { holder, .. } = refusal(dir.path()) else { panic!() };
    assert!(holder.contains(&format!("process {}", std::process::id())), "{holder}");
    assert!(holder.contains("since 2"), "{holder}");
    let patient = OpenOptions { lock_timeout: std::time::Duration::from_secs(20), ..options() };
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| RocksStorage::open(dir.path(), &patient).map(drop));
        std::thread::sleep(std::time::Duration::from_millis(100));
        storage.close().unwrap();
        waiting.join().unwrap().unwrap();
    });
}

/// The marker of a vault with a line changed, and its checksum made right.
fn remark(dir: &Path, from: &str, to: &str) {
    let path = dir.join("VAULT");
    let text = fs::read_to_string(&path).unwrap();
    let (lines, _) = text.rsplit_once("sha256 ").unwrap();
    assert!(lines.contains(from));
    let lines = lines.replace(from, to);
    fs::write(&path, format!("{lines}sha256 {}\n", Checksum::of(lines.as_bytes()))).unwrap();
}

#[test]
fn newer_formats_and_unknown_features_are_refused_before_anything_is_touched() {
    let dir = scratch();
    drop(create(dir.path()));
    remark(dir.path(), "format 1\n", "format 2\n");
    let before = super::support::files_of(dir.path());
    let error = refusal(dir.path());
    assert!(matches!(error, StorageError::NewerFormat { found: 2, supported: 1, .. }), "{error}");
    remark(dir.path(), "format 2\n", "format 1\n");
    for (bits, found) in [("0x0 0x0 0xf", 8), ("0x0 0x2 0x7", 2)] {
        remark(dir.path(), "features 0x0 0x0 0x7", &format!("features {bits}"));
        let error = refusal(dir.path());
        assert!(matches!(error, StorageError::UnknownFeatures { bits, .. } if bits == found), "{error}");
        remark(dir.path(), &format!("features {bits}"), "features 0x0 0x0 0x7");
    }
    assert_eq!(super::support::files_of(dir.path()), before);
    // Compatible bits are for information alone.
    remark(dir.path(), "features 0x0 0x0 0x7", "features 0x4 0x0 0x7");
    assert_clean(&open(dir.path()), &[]);
}

/// A vault of the day before there were artifacts, made by the program of that day.
const BEFORE_ARTIFACTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/vaults/format1_features0");

#[test]
fn a_vault_of_the_day_before_artifacts_opens_and_takes_them() {
    let home = scratch();
    let dir = home.path().join("vault");
    super::support::copy_dir(Path::new(BEFORE_ARTIFACTS), &dir).unwrap();
    let marker = || fs::read_to_string(dir.join("VAULT")).unwrap();
    let before = marker();
    assert!(before.contains("features 0x0 0x0 0x0"), "{before}");
    // Looking at it makes nothing new of it, and a repair neither.
    let inspected = RocksStorage::open(&dir, &OpenOptions { inspect: true, ..options() }).unwrap();
    let (sequence, root) = (inspected.state().sequence, inspected.state().root);
    assert_clean(&inspected, &[sequence - 1]);
    drop(inspected);
    RocksStorage::repair(&dir, &options()).unwrap();
    assert_eq!(marker(), before);
    // A crash after the marker was written anew, and before anything else was.
    remark(&dir, "features 0x0 0x0 0x0", "features 0x0 0x0 0x7");
    let storage = open(&dir);
    assert_eq!((storage.state().sequence, storage.state().root), (sequence, root));
    storage.close().unwrap();
    remark(&dir, "features 0x0 0x0 0x7", "features 0x0 0x0 0x0");
    let storage = open(&dir);
    assert!(marker().contains("features 0x0 0x0 0x7\n"));
    assert_eq!((storage.state().sequence, storage.state().root), (sequence, root));
    assert_eq!(storage.heads(Kind::Memory, None, 1_000).unwrap().len() > 10, storage.next_ino().unwrap() == 1);
    let mut files = Files::default();
    files.make(1, FileType::Directory, 0, b"");
    files.make(2, FileType::Regular, 1, b"a");
    files.write(&storage, 2, 3, b"content");
    files.commit(&storage, Durability::Sync);
    storage.close().unwrap();
    let storage = open(&dir);
    files.compare(&storage, NOW);
    assert_clean(&storage, &[sequence]);
}

/// A vault of the day before content could lie in the rows of chunks, made through a mount of that day: a file that a snapshot
/// pins as it was before it was changed.
const BEFORE_INLINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/vaults/format1_features1");

#[test]
fn a_vault_of_the_day_before_inline_content_opens_and_takes_it() {
    let home = scratch();
    let dir = home.path().join("vault");
    super::support::copy_dir(Path::new(BEFORE_INLINE), &dir).unwrap();
    let marker = || fs::read_to_string(dir.join("VAULT")).unwrap();
    assert!(marker().contains("features 0x0 0x0 0x1\n"));
    let storage = open(&dir);
    assert!(marker().contains("features 0x0 0x0 0x7\n"));
    let [pin] = storage.pins().unwrap()[..] else { panic!("one snapshot") };
    let content = |storage: &RocksStorage, at| {
        let directory = storage.dentry(1, b"dir", at).unwrap().unwrap().ino;
        let file = storage.dentry(directory, b"small.txt", at).unwrap().unwrap().ino;
        let slots = storage.extents(file, 0, 10, at).unwrap();
        let [(0, pieces)] = &slots[..] else { panic!("one slot: {slots:?}") };
        (file, storage.read_piece(&pieces[0], 0, pieces[0].len).unwrap())
    };
    assert_eq!(content(&storage, pin).1, b"small\n");
    let (file, now) = content(&storage, NOW);
    assert_eq!(now, b"changed\n");
    let version = storage.version(Kind::Artifact, &file.to_string(), NOW).unwrap().unwrap();
    let inode = Inode::from_value(&json::parse(&version.json).unwrap()).unwrap();
    let mut files = Files::default();
    files.load(inode);
    files.write_inline(&storage, file, 0, b"little");
    files.commit(&storage, Durability::Sync);
    storage.close().unwrap();
    let storage = open(&dir);
    assert_eq!((content(&storage, NOW).1, content(&storage, pin).1), (b"little".to_vec(), b"small\n".to_vec()));
    assert_clean(&storage, &[pin]);
}

/// A vault of the day before headers of chunks had a CRC and their sums were BLAKE3, made as the one before: beside the small file
/// one whose content is too large for its row.
const BEFORE_BLAKE3: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/vaults/format1_features3");

#[test]
fn a_vault_with_sums_of_the_first_kind_opens_and_goes_on() {
    let home = scratch();
    let dir = home.path().join("vault");
    super::support::copy_dir(Path::new(BEFORE_BLAKE3), &dir).unwrap();
    let storage = open(&dir);
    assert!(fs::read_to_string(dir.join("VAULT")).unwrap().contains("features 0x0 0x0 0x7\n"));
    let [pin] = storage.pins().unwrap()[..] else { panic!("one snapshot") };
    let piece = |storage: &RocksStorage, name: &[u8], at| {
        let directory = storage.dentry(1, b"dir", at).unwrap().unwrap().ino;
        let file = storage.dentry(directory, name, at).unwrap().unwrap().ino;
        storage.extents(file, 0, 10, at).unwrap()[0].1[0]
    };
    let mut random = 1_u64;
    let mut next = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        random.to_le_bytes()[7]
    };
    let large: Vec<u8> = (0..20_000).map(|_| next()).collect();
    for (name, at, content) in
        [(&b"small.txt"[..], pin, &b"small\n"[..]), (b"small.txt", NOW, b"changed\n"), (b"large.bin", NOW, &large)]
    {
        let piece = piece(&storage, name, at);
        assert_eq!(piece.sum.0, Checksum::of(content).0, "{piece:?}");
        assert_eq!(storage.read_piece(&piece, 0, piece.len).unwrap(), content);
        assert_eq!(storage.chunk(piece.chunk).unwrap(), content);
    }
    assert_clean(&storage, &[pin]);
    storage.close().unwrap();
    // Damage is seen as ever.
    let segment = dir.join("segments/00000001.seg");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[70] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let storage = open(&dir);
    let piece = piece(&storage, b"large.bin", NOW);
    assert!(matches!(storage.read_piece(&piece, 0, 10), Err(StorageError::Corrupt { .. })));
    assert!(check(&storage, &[pin]).faults.iter().any(|fault| fault.subject.contains("large.bin")));
}

#[test]
fn damage_is_named() {
    type Damage = fn(&Path);
    let cases: [(&str, Damage); 6] = [
        ("VAULT", |dir| fs::write(dir.join("VAULT"), b"MirrorDNA vault\n").unwrap()),
        ("VAULT", |dir| fs::remove_file(dir.join("VAULT")).unwrap()),
        ("HEAD", |dir| {
            fs::write(dir.join("HEAD.0"), b"").unwrap();
            fs::write(dir.join("HEAD.1"), b"x").unwrap();
        }),
        ("HEAD", |dir| {
            fs::remove_file(dir.join("HEAD.0")).unwrap();
            fs::remove_file(dir.join("HEAD.1")).unwrap();
        }),
        ("db", |dir| fs::remove_dir_all(dir.join("db")).unwrap()),
        ("db", |dir| fs::remove_file(dir.join("db/CURRENT")).unwrap()),
    ];
    for (n, (word, damage)) in cases.into_iter().enumerate() {
        let dir = scratch();
        let storage = create(dir.path());
        write(&storage, "mem_a", "x");
        storage.close().unwrap();
        damage(dir.path());
        match refusal(dir.path()) {
            StorageError::Corrupt { what, .. } => assert!(what.contains(word), "case {n}: {what}"),
            other => panic!("case {n}: {other:?}"),
        }
    }
}

/// The database of an older day under the `HEAD` of today.
#[test]
fn a_log_that_is_shorter_longer_or_other_than_head_says_is_damage() {
    let home = scratch();
    let (dir, old) = (home.path().join("vault"), home.path().join("old"));
    let storage = create(&dir);
    write(&storage, "mem_a", "x");
    storage.close().unwrap();
    super::support::copy_dir(&dir, &old).unwrap();
    let storage = open(&dir);
    write(&storage, "mem_a", "y");
    storage.close().unwrap();
    for (database, head, word) in [(&old, &dir, "ends at sequence 1"), (&dir, &old, "ends at sequence 2")] {
        let mixed = home.path().join("mixed");
        let _ = fs::remove_dir_all(&mixed);
        super::support::copy_dir(head, &mixed).unwrap();
        fs::remove_dir_all(mixed.join("db")).unwrap();
        super::support::copy_dir(&database.join("db"), &mixed.join("db")).unwrap();
        let error = refusal(&mixed);
        assert!(matches!(&error, StorageError::Corrupt { detail, .. } if detail.contains(word)), "{error}");
    }
    let other = home.path().join("other");
    let storage = create(&other);
    write(&storage, "mem_a", "z");
    storage.close().unwrap();
    fs::remove_dir_all(other.join("db")).unwrap();
    super::support::copy_dir(&old.join("db"), &other.join("db")).unwrap();
    let error = refusal(&other);
    assert!(matches!(&error, StorageError::Corrupt { detail, .. } if detail.contains("root")), "{error}");
}

#[test]
fn a_vault_is_only_made_where_nothing_is() {
    let dir = scratch();
    let make = |path: &Path| RocksStorage::create(path, &options(), &SeededIds::new(1)).map(drop);
    drop(create(dir.path()));
    assert!(matches!(make(dir.path()), Err(StorageError::Occupied { what: "a vault", .. })));
    let other = scratch();
    fs::write(other.path().join("file"), b"x").unwrap();
    assert!(matches!(make(other.path()), Err(StorageError::Occupied { what: "files", .. })));
    assert!(matches!(make(&other.path().join("file")), Err(StorageError::Occupied { what: "a file", .. })));
    make(&other.path().join("new/deep")).unwrap();
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(other.path().join("new/deep")).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn an_inspection_changes_nothing() {
    let dir = scratch();
    let storage = create(dir.path());
    write(&storage, "mem_a", "x");
    storage.close().unwrap();
    let before: Vec<_> =
        super::support::files_of(dir.path()).into_iter().filter(|file| !file.ends_with("LOCK")).collect();
    let bytes =
        |files: &[PathBuf]| files.iter().map(|file| fs::read(dir.path().join(file)).unwrap()).collect::<Vec<_>>();
    let content = bytes(&before);
    let storage = RocksStorage::open(dir.path(), &OpenOptions { inspect: true, ..options() }).unwrap();
    assert_clean(&storage, &[]);
    let change = commit(vec![put_memory("mem_a", "y", Expect::Any)], Durability::Sync);
    assert!(matches!(storage.commit(change), Err(StorageError::Permission { .. })));
    assert!(matches!(storage.begin_epoch("test", "tester"), Err(StorageError::Permission { .. })));
    assert!(matches!(storage.set_intent(None), Err(StorageError::Permission { .. })));
    drop(storage);
    assert_eq!(bytes(&before), content);
}

/// Files of which none can be read.
struct Unreadable;

impl FileAccess for Unreadable {
    fn read(&self, _: &Path) -> std::io::Result<Vec<u8>> {
        Err(std::io::Error::from_raw_os_error(13))
    }

    fn write(&self, path: &Path, content: &[u8]) -> std::io::Result<()> {
        SystemFiles.write(path, content)
    }

    fn overwrite(&self, path: &Path, content: &[u8]) -> std::io::Result<()> {
        SystemFiles.overwrite(path, content)
    }
}

#[test]
fn denied_access_is_told_as_such() {
    let dir = scratch();
    drop(create(dir.path()));
    let denied = OpenOptions { files: Arc::new(Unreadable), ..options() };
    assert!(matches!(RocksStorage::open(dir.path(), &denied), Err(StorageError::Permission { .. })));
    if !is_root() {
        eprintln!("skipped: only root can run the rest as somebody else");
        return;
    }
    // The test program is copied to where anybody may run it.
    let home = scratch();
    let program = home.path().join("engine");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    set_mode(home.path(), 0o755);
    for (mode, inner) in [(0o700, 0o700), (0o755, 0o700), (0o755, 0o755)] {
        set_mode(dir.path(), mode);
        set_mode(&dir.path().join("db"), inner);
        let status = Command::new("setpriv")
            .args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"])
            .arg(&program)
            .args(["--exact", "open::as_somebody_else", "--ignored", "--test-threads=1"])
            .env(VAULT, dir.path())
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "mode {mode:o} {inner:o}");
    }
    set_mode(dir.path(), 0o700);
    assert_clean(&open(dir.path()), &[]);
}

#[test]
#[ignore = "a part of denied_access_is_told_as_such, which runs it as another user"]
fn as_somebody_else() {
    let Some(dir) = std::env::var_os(VAULT) else { return };
    let error = refusal(Path::new(&dir));
    assert!(matches!(error, StorageError::Permission { .. }), "{error:?}");
    let made = RocksStorage::create(&Path::new(&dir).join("inner"), &options(), &SeededIds::new(1)).err().unwrap();
    assert!(matches!(made, StorageError::Permission { .. }), "{made:?}");
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_full_disk_loses_nothing_that_was_acknowledged() {
    let home = scratch();
    let at = home.path().join("disk");
    let Some(disk) = SmallDisk::mount(&at, "8m") else { return };
    let dir = at.join("vault");
    let storage = create(&dir);
    let text = |n: usize| format!("{n} {}", "not much compressible 3.14159 ".repeat(40));
    let mut acknowledged = 0;
    let error = loop {
        let change = put_memory(&format!("mem_{acknowledged}"), &text(acknowledged), Expect::Absent);
        let durability = if acknowledged % 2 == 0 { Durability::Sync } else { Durability::Buffered };
        match storage.commit(commit(vec![change], durability)) {
            Ok(done) => assert_eq!(done.last, acknowledged as u64 + 1),
            Err(error) => break error,
        }
        acknowledged += 1;
        assert!(acknowledged < 100_000, "the disk never filled");
    };
    assert!(matches!(error, StorageError::NoSpace { .. }), "{error:?}");
    assert!(acknowledged > 1_000, "only {acknowledged} fitted");
    let state = storage.state();
    assert_eq!(state.sequence, acknowledged as u64);
    // Reading goes on, and writing goes on failing, with the same words.
    let read = |storage: &RocksStorage, n: usize| {
        let id = format!("mem_{n}");
        let version = storage.version(Kind::Memory, &id, NOW).unwrap().unwrap_or_else(|| panic!("{id} is lost"));
        assert_eq!(version.json, memory(&id, &text(n)).json);
    };
    read(&storage, acknowledged - 1);
    let again = storage.commit(commit(vec![put_memory("mem_x", &text(1), Expect::Any)], Durability::Sync)).unwrap_err();
    assert!(matches!(again, StorageError::NoSpace { .. }), "{again:?}");
    assert_eq!(storage.state(), state);
    drop(storage);
    // Opening a vault on a full disk either works or says what is wrong.
    match RocksStorage::open(&dir, &options()) {
        Ok(storage) => read(&storage, acknowledged - 1),
        Err(error) => assert!(matches!(error, StorageError::NoSpace { .. }), "{error:?}"),
    }
    disk.resize("64m");
    let storage = open(&dir);
    for n in 0..acknowledged {
        read(&storage, n);
    }
    let log = storage.log(acknowledged as u64 + 1, 9).unwrap();
    assert!(log.iter().any(|entry| entry.operation == Operation::Epoch));
    assert_clean(&storage, &[]);
    write(&storage, "mem_after", "x");
    storage.close().unwrap();
    assert_clean(&open(&dir), &[]);
}

/// When there is room again, a vault that is still open goes on, or says that it must be opened again.
#[test]
fn a_vault_that_stays_open_over_a_full_disk_stays_sound() {
    let home = scratch();
    let at = home.path().join("disk");
    let Some(disk) = SmallDisk::mount(&at, "8m") else { return };
    let dir = at.join("vault");
    let storage = create(&dir);
    let mut sequence = 0;
    for round in 1..4 {
        while let Ok(done) =
            storage.commit(commit(vec![put_memory("mem_a", &"x".repeat(9_000), Expect::Any)], Durability::Buffered))
        {
            sequence = done.last;
        }
        assert_eq!(storage.state().sequence, sequence);
        disk.resize(&format!("{}m", 8 + 24 * round));
        for _ in 0..50 {
            let change = commit(vec![put_memory("mem_b", "x", Expect::Any)], Durability::Sync);
            match storage.commit(change) {
                Ok(done) => {
                    sequence = done.last;
                    break;
                }
                Err(StorageError::NoSpace { .. }) => std::thread::sleep(std::time::Duration::from_millis(100)),
                Err(error) => panic!("{error:?}"),
            }
        }
        assert_clean(&storage, &[]);
    }
    drop(storage);
    let storage = open(&dir);
    assert!(storage.state().sequence >= sequence);
    assert_clean(&storage, &[]);
}
