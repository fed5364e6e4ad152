//! Many threads at once.

#![expect(clippy::cast_possible_truncation, reason = "sizes of these tests are small")]

use std::sync::atomic::{AtomicBool, Ordering};

use mirrordna::artifacts::{NewNode, ROOT, RenameFlags, SetAttributes, WriteOptions};
use mirrordna::storage::Durability;

use crate::support::{Fixture, ME, SLOT};

#[test]
fn threads_work_side_by_side_while_others_commit() {
    const THREADS: usize = 8;
    let fixture = Fixture::new();
    let done = AtomicBool::new(false);
    let shared = fixture.file("shared");
    std::thread::scope(|scope| {
        let (fixture, done) = (&fixture, &done);
        let workers: Vec<_> = (0..THREADS)
            .map(|n| {
                scope.spawn(move || {
                    let dir = fixture.dir(&format!("dir {n}"));
                    for round in 0..60_usize {
                        let (name, new_name) = (format!("file {round}"), format!("done {round}"));
                        let ino = fixture.make(dir, &name, &NewNode::file(0o644)).unwrap().ino;
                        let bytes = vec![(n * 60 + round) as u8; 1_000 * round + 1];
                        fixture.write(ino, 0, &bytes);
                        // Each thread has a range of the shared file for itself.
                        fixture.write(shared, n as u64 * SLOT / 2 + round as u64 * 100, &[n as u8; 100]);
                        if round % 7 == 0 {
                            fixture.files.sync(ino, round % 2 == 0).unwrap();
                        }
                        assert!(fixture.all(ino) == bytes);
                        fixture
                            .files
                            .rename(
                                dir,
                                name.as_bytes(),
                                ROOT,
                                format!("{n} {new_name}").as_bytes(),
                                RenameFlags::default(),
                            )
                            .unwrap();
                        fixture.files.forget(ino, 1);
                        if round % 3 == 0 {
                            fixture.files.unlink(ROOT, format!("{n} {new_name}").as_bytes()).unwrap();
                        }
                    }
                })
            })
            .collect();
        scope.spawn(move || {
            while !done.load(Ordering::Relaxed) {
                fixture.files.commit(Durability::Buffered).unwrap();
            }
        });
        scope.spawn(move || {
            let mut bytes = vec![0; 1 << 20];
            while !done.load(Ordering::Relaxed) {
                fixture.list(ROOT);
                fixture.files.read(shared, 0, &mut bytes).unwrap();
            }
        });
        for worker in workers {
            worker.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    let fixture = fixture.reopen();
    assert_eq!(fixture.list(ROOT).len(), THREADS * 40 + THREADS + 1);
    for n in 0..THREADS {
        for round in (0..60).filter(|round| round % 3 != 0) {
            let found = fixture.find(ROOT, &format!("{n} done {round}")).unwrap();
            assert!(fixture.all(found.ino) == vec![(n * 60 + round) as u8; 1_000 * round + 1]);
        }
        assert!(fixture.read(shared, n as u64 * SLOT / 2, 6_000) == vec![n as u8; 6_000]);
    }
    fixture.verify();
}

#[test]
fn more_than_fits_into_memory_is_written_on_the_way() {
    let fixture = Fixture::new();
    // 1,600 files of 60 KB: more than may wait in memory.
    for n in 0..1_600_u32 {
        let made = fixture.files.create(ROOT, n.to_string().as_bytes(), &NewNode::file(0o600), &ME).unwrap();
        fixture.write(made.ino, 0, &n.to_le_bytes().repeat(15_000));
        fixture.files.forget(made.ino, 1);
    }
    // The commit that makes room in memory may still wait for the disk. Nobody else commits.
    while fixture.vault.state().sequence == 0 {
        std::thread::yield_now();
    }
    let size = SetAttributes { size: Some(4), ..SetAttributes::default() };
    for n in (0..1_600_u32).step_by(10) {
        let found = fixture.find(ROOT, &n.to_string()).unwrap();
        assert!(fixture.all(found.ino) == n.to_le_bytes().repeat(15_000));
        fixture.files.set_attributes(found.ino, &size).unwrap();
        assert_eq!(fixture.all(found.ino), n.to_le_bytes());
        fixture.files.write(found.ino, 4, b"more", WriteOptions::default()).unwrap();
    }
    fixture.verify();
}

#[test]
fn many_more_names_than_one_commit_takes() {
    let fixture = Fixture::new();
    for n in 0..25_000_u32 {
        let made = fixture.files.create(ROOT, n.to_string().as_bytes(), &NewNode::file(0o600), &ME).unwrap();
        fixture.files.forget(made.ino, 1);
    }
    fixture.commit();
    for n in 0..24_999_u32 {
        fixture.files.unlink(ROOT, n.to_string().as_bytes()).unwrap();
    }
    let fixture = fixture.reopen();
    assert_eq!(fixture.list(ROOT), ["24999"]);
    fixture.verify();
}
