//! Many at once: programs in the mount beside each other, and beside calls from elsewhere.

use std::fs::{self, File};
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use mirrordna::record::Kind;
use mirrordna::storage::NOW;
use mirrordna::vault::{MemoryUpdate, NewSnapshot, Past, Tier};

use crate::records::{ID, close, path_of, write};
use crate::sample;
use crate::support::Mount;
use crate::texts::memory_text;
use crate::waiting::unheard;

/// Programs that write the same record at once never mix their texts, and whoever reads it meanwhile finds one.
#[test]
fn parallel_writers_never_mix() {
    let mount = Mount::new(|_| {});
    let path = path_of(ID, Tier::ShortTerm);
    write(&mount, &path, memory_text(ID, "0").as_bytes()).unwrap();
    let (stop, read) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let writers: Vec<_> = (1..=6)
            .map(|writer| {
                let (mount, path) = (&mount, &path);
                scope.spawn(move || {
                    for round in 0..30 {
                        let word = format!("{writer}");
                        let text = memory_text(ID, &word.repeat(1 + (round * 997 + writer * 313) % 20_000));
                        let mut file = File::create(mount.path(path)).unwrap();
                        for piece in text.as_bytes().chunks(4_096) {
                            file.write_all(piece).unwrap();
                        }
                        close(file).unwrap();
                        let own = path_of(&format!("mem_of_one_writer_{writer}"), Tier::ShortTerm);
                        write(mount, &own, memory_text(&format!("mem_of_one_writer_{writer}"), &word).as_bytes())
                            .unwrap();
                        if round % 3 == 2 {
                            fs::remove_file(mount.path(&own)).unwrap();
                        }
                    }
                })
            })
            .collect();
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    // What it reads may be of several versions, or short, as of every file that is written in place while it
                    // is read. That there is no file would be an error.
                    fs::read(mount.path(&path)).unwrap();
                    read.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for writer in writers {
            writer.join().unwrap();
        }
        stop.store(true, Ordering::Relaxed);
    });
    let history = mount.vault.history(Kind::Memory, ID, NOW, 1_000).unwrap();
    assert_eq!(history.len(), 181);
    for past in history {
        let Past::Version(version) = past else { panic!("{past:?}") };
        let content = version.value.str_at("content").unwrap().as_bytes();
        assert!(content.iter().all(|byte| Some(byte) == content.first()), "{version:?}");
    }
    assert_eq!(mount.sh("ls memories/short_term"), format!("SHA256SUMS\n{ID}.json\n"));
    println!("{} reads beside six writers", read.into_inner());
}

/// Requests that hold a directory and calls from elsewhere that wait for the kernel do not wait for each other: creating,
/// renaming, moving and removing files beside changes, and restores, of the vault.
#[test]
fn requests_and_calls_from_elsewhere_do_not_wait_for_each_other() {
    let mount = Mount::new(|vault| {
        sample::import(vault, Kind::Memory, &sample::memories(Tier::ShortTerm, 50), false);
    });
    mount.vault.snapshots().create(NewSnapshot { id: Some("snap_a".into()), ..NewSnapshot::default() }).unwrap();
    let heard = unheard();
    let gone = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for worker in 0..8 {
            let mount = &mount;
            scope.spawn(move || {
                let id = format!("mem_of_a_request_{worker}");
                let (short, long) = (path_of(&id, Tier::ShortTerm), path_of(&id, Tier::LongTerm));
                for round in 0..60 {
                    let text = memory_text(&id, &format!("{round}"));
                    // A restore may take it away at any moment, so each may find nothing.
                    let _ = write(mount, &short, text.as_bytes());
                    let _ = fs::rename(mount.path(&short), mount.path(&long));
                    let scratch = mount.path(&format!("memories/short_term/.new{worker}"));
                    fs::write(&scratch, &text).unwrap();
                    if fs::rename(&scratch, mount.path(&long)).is_err() {
                        fs::remove_file(&scratch).unwrap();
                    }
                    let _ = fs::read(mount.path(&long));
                    let _ = fs::remove_file(mount.path(&long));
                }
            });
        }
        for _ in 0..2 {
            let (mount, gone) = (&mount, &gone);
            scope.spawn(move || {
                let session = "sess_0123456789ab";
                for round in 0..100 {
                    let id = sample::memory(&mount.vault, session, Tier::ShortTerm, "from elsewhere".into()).id;
                    let update = MemoryUpdate { content: Some("changed".into()), metadata: None };
                    let _ = mount.vault.memories().update(&id, &update);
                    let _ = mount.vault.memories().promote(&id, Tier::LongTerm);
                    if let Ok(text) = fs::read_to_string(mount.path(&path_of(&id, Tier::LongTerm))) {
                        assert!(text.contains("changed"), "{text}");
                    }
                    // A change shows when its call returns. When a restore took the record away before, that is its call, and
                    // the other thread may be in it still.
                    if mount.vault.delete(Kind::Memory, &id).is_ok() {
                        assert!(!mount.path(&path_of(&id, Tier::LongTerm)).exists(), "{id}");
                    }
                    gone.lock().unwrap().push(id);
                    if round % 25 == 24 {
                        mount.vault.snapshots().restore("snap_a").unwrap();
                    }
                }
            });
        }
    });
    assert_eq!(unheard(), heard, "nobody lost patience with the kernel");
    for id in gone.into_inner().unwrap() {
        for tier in [Tier::ShortTerm, Tier::LongTerm] {
            assert!(!mount.path(&path_of(&id, tier)).exists(), "{id} is gone, and not in {tier:?}");
        }
    }
    mount.sh("find . -name SHA256SUMS -execdir sha256sum -c --quiet {} ';'");
}
