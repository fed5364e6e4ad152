//! Each change that comes from elsewhere invalidates exactly what it touched, and is visible in the mount when the call that
//! made it returns. "Elsewhere" is here the process that has mounted the vault.

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mirrordna::record::{Kind, Value};
use mirrordna::vault::{MemoryUpdate, NewSnapshot, Tier};
use rustix::fs::RawDir;

use crate::sample;
use crate::support::Mount;

fn update(mount: &Mount, id: &str, text: &str) {
    let update = MemoryUpdate { content: Some(text.into()), metadata: None };
    mount.vault.memories().update(id, &update).unwrap();
}

/// A mount with one memory in `short_term`, looked at so that the kernel has cached it.
fn with_memory(text: &str) -> (Mount, String, String) {
    let mut id = String::new();
    let mount = Mount::new(|vault| {
        let session = sample::session(vault);
        id = sample::memory(vault, &session, Tier::ShortTerm, text.into()).id;
    });
    let path = format!("memories/short_term/{id}.json");
    mount.sh("find . -ls >/dev/null; cat memories/*/*.json >/dev/null; ls -l memories/* >/dev/null");
    (mount, id, path)
}

/// A record that changes shows its new content and size at once, to who opens it and to who has it open.
#[test]
fn new_content_is_there_at_once() {
    let (mount, id, path) = with_memory("0");
    let mut open = File::open(mount.path(&path)).unwrap();
    for n in 1..200 {
        let text = format!("version {n} {}", "ü".repeat(n * 37 % 5_000));
        update(&mount, &id, &text);
        let size = fs::metadata(mount.path(&path)).unwrap().len();
        let content = mount.read(&path);
        assert!(content.contains(&text), "{n}");
        assert_eq!(size, content.len() as u64);
        open.rewind().unwrap();
        let mut again = String::new();
        open.read_to_string(&mut again).unwrap();
        assert_eq!(again, content, "{n}, through a file that was open before");
        assert_eq!(open.metadata().unwrap().len(), size);
    }
}

/// The same through a mapping of the file.
#[test]
fn new_content_is_there_at_once_in_a_mapping() {
    let (mount, id, path) = with_memory("first!");
    let file = File::open(mount.path(&path)).unwrap();
    let len = usize::try_from(file.metadata().unwrap().len()).unwrap();
    // SAFETY: a new shared mapping of a file that is open for reading; nothing else is at the address that is given out.
    let address = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            len,
            libc::PROT_READ,
            libc::MAP_SHARED,
            std::os::fd::AsRawFd::as_raw_fd(&file),
            0,
        )
    };
    assert_ne!(address, libc::MAP_FAILED);
    let mapped = || {
        // SAFETY: `len` bytes are mapped there until the end of the test. They change under us, so they are copied at once,
        // byte by byte, and no reference to them is kept.
        let bytes: Vec<u8> =
            (0..len).map(|n| unsafe { std::ptr::read_volatile(address.cast::<u8>().cast_const().add(n)) }).collect();
        String::from_utf8(bytes).unwrap()
    };
    assert!(mapped().contains("first!"));
    for text in ["second", "third!", "fourth"] {
        update(&mount, &id, text);
        assert!(mapped().contains(text), "{text}");
    }
    // SAFETY: it was mapped above and is not used any more.
    assert_eq!(unsafe { libc::munmap(address, len) }, 0);
}

/// A record that is created, deleted or moved to another tier is there and gone at once: in listings, for who looks for it,
/// and for who looked in vain before.
#[test]
fn names_come_and_go_at_once() {
    let (mount, id, path) = with_memory("it moves");
    let record = mount.vault.get(Kind::Memory, &id).unwrap().value;
    let places = Tier::ALL.map(|tier| format!("memories/{}/{id}.json", tier.name()));
    let check = |mount: &Mount, there: Option<Tier>| {
        for (tier, place) in Tier::ALL.into_iter().zip(&places) {
            let expected = there == Some(tier);
            assert_eq!(mount.path(place).exists(), expected, "{place}");
            let names: Vec<_> = fs::read_dir(mount.path(&format!("memories/{}", tier.name())))
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            assert_eq!(names.contains(&format!("{id}.json")), expected, "{place} in {names:?}");
        }
    };
    check(&mount, Some(Tier::ShortTerm));
    for _ in 0..20 {
        for tier in [Tier::LongTerm, Tier::Episodic, Tier::ShortTerm] {
            mount.vault.memories().promote(&id, tier).unwrap();
            check(&mount, Some(tier));
        }
        mount.vault.delete(Kind::Memory, &id).unwrap();
        check(&mount, None);
        mount.vault.put(Kind::Memory, record.clone()).unwrap();
        check(&mount, Some(Tier::ShortTerm));
        assert_eq!(mount.read(&path), mount.sh(&format!("cat {path}")));
    }
}

/// A record that is moved while its directory is being listed does not stay under its old name.
#[test]
fn a_listing_brings_no_name_back() {
    let mut ids = Vec::new();
    let mount = Mount::new(|vault| {
        let session = sample::session(vault);
        // Some hundred are more than the kernel asks for at once.
        ids.extend((0..300).map(|_| sample::memory(vault, &session, Tier::ShortTerm, "it moves".into()).id));
    });
    let last = format!("{}.json", ids.iter().max().unwrap());
    let directory = File::open(mount.path("memories/short_term")).unwrap();
    let mut buffer = [MaybeUninit::uninit(); 4_096];
    let mut listing = RawDir::new(&directory, &mut buffer);
    let mut next = || listing.next().map(|entry| entry.unwrap().file_name().to_str().unwrap().to_owned());
    let mut names = vec![next().unwrap()];
    mount.vault.memories().promote(last.trim_end_matches(".json"), Tier::LongTerm).unwrap();
    names.extend(std::iter::from_fn(next));
    assert!(!names.contains(&last));
    // Neither `.` nor `..`, nor the one that moved, but `SHA256SUMS`.
    assert_eq!(names.iter().filter(|name| !name.starts_with('.')).count(), ids.len());
    assert!(!mount.path("memories/short_term").join(&last).exists());
    assert!(mount.path("memories/long_term").join(&last).exists());
}

/// Snapshots' directories show the old content, whatever changes, prune included; a snapshot that is deleted is gone at once.
#[test]
fn snapshots_show_the_old_content() {
    let (mount, id, path) = with_memory("as it was");
    let pin = |id: &str| NewSnapshot { id: Some(id.into()), ..NewSnapshot::default() };
    let then = mount.read(&path);
    assert!(!mount.path("snapshots/snap_then").exists());
    mount.vault.snapshots().create(pin("snap_then")).unwrap();
    let old = format!("snapshots/snap_then/{path}");
    assert_eq!(mount.read(&old), then);
    update(&mount, &id, "as it is");
    assert_eq!(mount.read(&old), then);
    mount.vault.delete(Kind::Memory, &id).unwrap();
    mount.vault.prune(mirrordna::storage::PrunePolicy { keep: Some(1), ..Default::default() }).unwrap();
    assert_eq!(mount.read(&old), then);
    assert_eq!(mount.sh("ls snapshots/snap_then/memories/short_term | wc -l"), "2\n");
    mount.sh("cd snapshots/snap_then && find . -name SHA256SUMS -execdir sha256sum -c --quiet {} ';'");
    // Another snapshot of the same name shows what it pins itself.
    mount.vault.snapshots().delete("snap_then").unwrap();
    assert!(!mount.path("snapshots/snap_then").exists() && !mount.path(&old).exists());
    assert!(!mount.path("snapshots/snap_then.json").exists());
    mount.vault.snapshots().create(pin("snap_then")).unwrap();
    assert!(mount.path("snapshots/snap_then").exists() && !mount.path(&old).exists());
    assert_eq!(mount.sh("ls snapshots/snap_then/memories/short_term"), "");
}

/// A restore shows at once.
#[test]
fn a_restore_shows_at_once() {
    let (mount, id, path) = with_memory("before");
    let pin = mount.vault.snapshots().create(NewSnapshot::default()).unwrap();
    update(&mount, &id, "after");
    assert!(mount.read(&path).contains("after"));
    mount.vault.snapshots().restore(&pin.id).unwrap();
    assert!(mount.read(&path).contains("before"));
}

/// While many read and list, no change is missed and nothing waits for itself.
#[test]
fn no_change_is_missed_under_load() {
    let (mount, id, path) = with_memory("0");
    sample::import(&mount.vault, Kind::Memory, &sample::memories(Tier::ShortTerm, 3_000), false);
    let session = sample::session(&mount.vault);
    let stop = AtomicBool::new(false);
    let file = mount.path(&path);
    let directory = mount.path("memories/short_term");
    thread::scope(|scope| {
        for reader in 0..4 {
            let (stop, file, directory) = (&stop, &file, &directory);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    if reader % 2 == 0 {
                        let _ = fs::read(file);
                        let _ = fs::metadata(file);
                    } else {
                        let entries = fs::read_dir(directory).unwrap();
                        for entry in entries.flatten().take(if reader == 1 { 100 } else { 10_000 }) {
                            let _ = entry.metadata();
                        }
                    }
                }
            });
        }
        let began = Instant::now();
        let mut changes = 0;
        while began.elapsed() < Duration::from_secs(8) {
            changes += 1;
            update(&mount, &id, &format!("change {changes}."));
            assert!(mount.read(&path).contains(&format!("change {changes}.")), "change {changes}");
            let new = sample::memory(&mount.vault, &session, Tier::ShortTerm, Value::from("new")).id;
            let name = format!("{new}.json");
            let listed = fs::read_dir(&directory).unwrap().flatten().any(|entry| entry.file_name() == name.as_str());
            assert!(listed && directory.join(&name).exists(), "change {changes}: {new}");
            mount.vault.delete(Kind::Memory, &new).unwrap();
            assert!(!directory.join(&name).exists(), "change {changes}: {new} was deleted");
        }
        stop.store(true, Ordering::Relaxed);
        println!("{changes} rounds of an update, a creation and a deletion in 8 s beside four readers");
    });
}
