//! Files in the engine: rows and content, the past, what is refused, room that is made again.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use mirrordna::record::{FileType, Kind};
use mirrordna::storage::{
    ChunkSum, Dentry, Durability, FileRows, INLINE_BYTES, NOW, Piece, PrunePolicy, RocksStorage, SLOT_BYTES, Selection,
    Sequence, Storage, StorageError,
};

use super::files::{Files, noise, size};
use super::support::{assert_clean, check, create, open, scratch, set_pins, write};

const SLOT: usize = SLOT_BYTES as usize;

fn segments(dir: &Path) -> Vec<u64> {
    let Ok(entries) = std::fs::read_dir(dir.join("segments")) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().metadata().unwrap().len()).collect()
}

fn prune(storage: &RocksStorage, pins: &[Sequence]) -> mirrordna::storage::Pruned {
    set_pins(storage, pins);
    storage.prune(PrunePolicy::default(), "tester").unwrap()
}

#[test]
fn files_are_there_after_reopening_and_as_they_were_at_each_pin() {
    let dir = scratch();
    let storage = create(dir.path());
    assert_eq!(storage.next_ino().unwrap(), 1);
    let mut files = Files::default();
    files.make(1, FileType::Directory, 0, b"");
    files.make(2, FileType::Regular, 1, b"a.txt");
    files.make(3, FileType::Directory, 1, b"sub\xff dir");
    files.make(4, FileType::Fifo, 3, b"pipe");
    files.write(&storage, 2, 0, b"hello");
    files.write(&storage, 2, 700, &noise(1, SLOT));
    let first = files.commit(&storage, Durability::Sync);
    let then = files.clone();
    then.compare(&storage, NOW);
    // A second name, a new content of one slot, a hole, one chunk in two places.
    files.link(2, 3, b"b.txt");
    let shared = files.write(&storage, 2, 0, &noise(2, 1_000));
    files.set(2, 700, Vec::new(), Vec::new());
    files.make(9, FileType::Regular, 3, b"copy");
    let half = Piece { start: 100, len: 300, offset: 200, ..shared };
    files.set(9, 5, vec![half], [&[0; 100][..], &noise(2, 1_000)[200..500]].concat());
    files.unlink(4, 3, b"pipe");
    files.remove(4);
    files.commit(&storage, Durability::Buffered);
    assert_eq!(storage.next_ino().unwrap(), 10);
    for _ in 0..2 {
        files.compare(&storage, NOW);
        then.compare(&storage, first);
        assert_eq!(storage.dentry(1, b"none", NOW).unwrap(), None);
        assert_eq!(storage.dentry(3, b"pipe", NOW).unwrap(), None);
        assert_eq!(storage.dentry(1, b"a.txt", 0).unwrap(), None);
        assert_clean(&storage, &[first]);
    }
    storage.close().unwrap();
    let storage = open(dir.path());
    assert_eq!(storage.next_ino().unwrap(), 10);
    files.compare(&storage, NOW);
    then.compare(&storage, first);
    assert_clean(&storage, &[first]);
    // A process that goes on puts its content behind what is there.
    files.write(&storage, 9, 6, &noise(3, 77));
    files.commit(&storage, Durability::Sync);
    files.compare(&storage, NOW);
    assert_eq!(segments(dir.path()).len(), 1);
    assert_eq!(storage.stats().disk_bytes > 0, storage.space().unwrap().artifacts > 0);
}

#[test]
fn directories_are_listed_in_pages_and_from_any_name() {
    let dir = scratch();
    let storage = create(dir.path());
    let mut files = Files::default();
    files.make(1, FileType::Directory, 0, b"");
    let mut names: Vec<Vec<u8>> = (0..300_u64).map(|n| noise(n, 1 + size(n) % 40)).collect();
    names.iter_mut().flatten().for_each(|byte| *byte = (*byte).max(1) | u8::from(*byte == b'/'));
    names.retain(|name| !name.iter().any(|byte| matches!(byte, 0 | b'/' | b'.')));
    names.sort();
    names.dedup();
    for (name, ino) in names.iter().zip(2..) {
        files.make(ino, FileType::Symlink, 1, name);
    }
    let pin = files.commit(&storage, Durability::Sync);
    for (name, ino) in names.iter().zip(2..).skip(1).step_by(2) {
        files.unlink(ino, 1, name);
        files.remove(ino);
    }
    files.commit(&storage, Durability::Sync);
    let list = |after: Option<&[u8]>, limit, at| storage.dentries(1, after, limit, at).unwrap();
    for (at, step) in [(pin, 1), (NOW, 2)] {
        let expected: Vec<_> = names.iter().step_by(step).cloned().collect();
        for size in [1, 7, 1_000] {
            let mut found: Vec<Vec<u8>> = Vec::new();
            loop {
                let page = list(found.last().map(Vec::as_slice), size, at);
                assert!(page.len() <= size);
                if page.is_empty() {
                    break;
                }
                found.extend(page.into_iter().map(|(name, _)| name));
            }
            assert_eq!(found, expected);
        }
    }
    assert_eq!(list(Some(b"\xff\xff"), 9, NOW), []);
    assert_clean(&storage, &[pin]);
}

#[test]
fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let dir = scratch();
    let storage = create(dir.path());
    let mut files = Files::default();
    files.make(1, FileType::Directory, 0, b"");
    files.make(2, FileType::Regular, 1, b"a");
    let piece = files.write(&storage, 2, 0, b"content");
    files.commit(&storage, Durability::Sync);
    let before = storage.state();
    let refused = |rows: FileRows| {
        let mut files = files.clone();
        files.link(2, 1, b"b");
        let mut commit = files.commit_of(Durability::Sync);
        commit.files = rows;
        let error = storage.commit(commit).unwrap_err();
        assert_eq!(storage.state(), before);
        error
    };
    let slot = |pieces: Vec<Piece>| FileRows { extents: vec![(2, 0, pieces)], ..FileRows::default() };
    let name = |name: &[u8]| FileRows {
        dentries: vec![(1, name.to_vec(), Some(Dentry { ino: 2, file_type: FileType::Regular }))],
        ..FileRows::default()
    };
    let limits = [
        slot(vec![Piece { len: 0, ..piece }]),
        slot(vec![Piece { start: SLOT_BYTES, ..piece }]),
        slot(vec![piece, piece]),
        FileRows { extents: vec![(2, 0, vec![piece]), (2, 0, vec![])], ..FileRows::default() },
        FileRows { extents: vec![(77, 0, vec![piece])], ..FileRows::default() },
        name(b""),
        name(b".."),
        name(b"a/b"),
        name(b"a\0"),
        name(&[b'x'; 256]),
    ];
    for rows in limits {
        let what = format!("{rows:?}");
        let error = refused(rows);
        assert!(matches!(error, StorageError::Limit { .. }), "{what}: {error:?}");
    }
    let others = [
        Piece { chunk: piece.chunk + 1, ..piece },
        Piece { sum: ChunkSum::of(b"other"), ..piece },
        Piece { offset: 3, ..piece },
    ];
    for piece in others {
        assert!(matches!(refused(slot(vec![piece])), StorageError::Corrupt { .. }), "{piece:?}");
    }
    for len in [0, SLOT + 1] {
        assert!(matches!(storage.append_chunk(&vec![0; len]), Err(StorageError::Limit { .. })));
    }
    for (from, len) in [(0, 8), (8, 0), (5, 3), (u32::MAX, 2)] {
        assert!(matches!(storage.read_piece(&piece, from, len), Err(StorageError::Limit { .. })), "{from} {len}");
    }
    assert_eq!(storage.read_piece(&piece, 3, 4).unwrap(), b"tent");
    assert_eq!(storage.read_piece(&piece, 0, 3).unwrap(), b"con");
    let mut commit = files.commit_of(Durability::Sync);
    let inode = &files.by_ino[&2].inode;
    commit.changes = vec![super::support::put(
        Kind::Artifact,
        "02",
        mirrordna::storage::prepare_inode(inode).unwrap(),
        mirrordna::storage::Expect::Any,
    )];
    assert!(matches!(storage.commit(commit), Err(StorageError::Limit { .. })));
    assert_clean(&storage, &[]);
}

#[test]
fn orphans_are_found_and_nothing_else_of_files_is_indexed() {
    let dir = scratch();
    let storage = create(dir.path());
    let mut files = Files::default();
    files.make(1, FileType::Directory, 0, b"");
    for ino in 2..20 {
        files.make(ino, FileType::Regular, 1, format!("{ino}").as_bytes());
    }
    files.commit(&storage, Durability::Sync);
    let listed = |storage: &RocksStorage| -> Vec<String> {
        let all = storage.select(&Selection::all(Kind::Artifact), None, usize::MAX).unwrap();
        all.into_iter().map(|posting| posting.id).collect()
    };
    assert_eq!(listed(&storage), Vec::<String>::new());
    files.unlink(7, 1, b"7");
    files.unlink(5, 1, b"5");
    files.commit(&storage, Durability::Sync);
    assert_eq!(listed(&storage), ["5", "7"]);
    files.link(7, 1, b"again");
    files.remove(5);
    files.commit(&storage, Durability::Sync);
    assert_eq!(listed(&storage), Vec::<String>::new());
    assert_clean(&storage, &[]);
}

#[test]
fn pruning_frees_what_no_pin_needs_and_nothing_else() {
    let dir = scratch();
    let storage = create(dir.path());
    let mut files = Files::default();
    files.make(1, FileType::Directory, 0, b"");
    files.make(2, FileType::Regular, 1, b"big");
    let mut pins = Vec::new();
    for round in 0..6 {
        for slot in 0..180 {
            files.write(&storage, 2, slot, &noise(round * 1_000 + slot, SLOT));
        }
        let name = format!("of round {round}");
        files.make(10 + round, FileType::Regular, 1, name.as_bytes());
        files.write(&storage, 10 + round, round, name.as_bytes());
        if round > 0 {
            files.unlink(9 + round, 1, format!("of round {}", round - 1).as_bytes());
            files.remove(9 + round);
        }
        let at = files.commit(&storage, Durability::Buffered);
        pins.push((at, files.clone()));
    }
    let all: Vec<Sequence> = pins.iter().map(|(at, _)| *at).collect();
    assert_clean(&storage, &all);
    let full = segments(dir.path()).iter().sum::<u64>();
    let rounds = |storage: &RocksStorage, kept: &[usize]| {
        let kept_pins: Vec<_> = kept.iter().map(|n| all[*n]).collect();
        set_pins(storage, &kept_pins);
        let dry = storage.prune(PrunePolicy { dry_run: true, ..PrunePolicy::default() }, "tester").unwrap();
        let pruned = prune(storage, &kept_pins);
        assert_eq!((dry.versions, dry.file_rows), (pruned.versions, pruned.file_rows));
        for n in kept {
            pins[*n].1.compare(storage, pins[*n].0);
        }
        pins[5].1.compare(storage, NOW);
        assert_clean(storage, &kept_pins);
        pruned
    };
    assert_eq!(rounds(&storage, &[0, 1, 2, 3, 4]).chunks, 0);
    let pruned = rounds(&storage, &[1, 3]);
    assert_eq!(pruned.chunks, 3 * 181, "{pruned:?}");
    // A lease keeps as much as a pin does.
    let lease = storage.lease(all[1]);
    assert_eq!(rounds(&storage, &[3]).chunks, 0);
    pins[1].1.compare(&storage, all[1]);
    drop(lease);
    storage.close().unwrap();
    let storage = open(dir.path());
    assert_eq!(rounds(&storage, &[3]).chunks, 181);
    assert_eq!(rounds(&storage, &[]).chunks, 181);
    let left = segments(dir.path()).iter().sum::<u64>();
    assert!(left < full / 3, "{left} of {full} bytes are left");
    storage.close().unwrap();
    let storage = open(dir.path());
    pins[5].1.compare(&storage, NOW);
    // When all of it is gone, so is its room.
    files.unlink(2, 1, b"big");
    files.remove(2);
    files.commit(&storage, Durability::Sync);
    assert_eq!(prune(&storage, &[]).chunks, 180);
    assert!(segments(dir.path()).iter().sum::<u64>() < 1 << 20);
    files.compare(&storage, NOW);
    assert_clean(&storage, &[]);
}

#[test]
fn readers_do_not_notice_that_chunks_are_moved() {
    let dir = scratch();
    let storage = create(dir.path());
    let mut files = Files::default();
    files.make(1, FileType::Directory, 0, b"");
    files.make(2, FileType::Regular, 1, b"stays");
    files.make(3, FileType::Regular, 1, b"goes");
    for slot in 0..300 {
        files.write(&storage, 2, slot, &noise(slot, 3_000));
        for n in 0..4 {
            files.write(&storage, 3, slot * 4 + n, &noise(1_000_000 + slot, SLOT));
        }
    }
    files.commit(&storage, Durability::Sync);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|reader| {
                let (storage, stop, files) = (&storage, &stop, &files.by_ino[&2]);
                scope.spawn(move || {
                    let mut reads = 0_u64;
                    while !stop.load(Ordering::Relaxed) {
                        for (pieces, content) in files.slots.values().skip(reader) {
                            assert_eq!(&storage.chunk(pieces[0].chunk).unwrap(), content);
                            assert_eq!(storage.read_piece(&pieces[0], 7, 90).unwrap(), content[7..97]);
                            reads += 1;
                        }
                    }
                    reads
                })
            })
            .collect();
        let mut other = files.clone();
        other.unlink(3, 1, b"goes");
        other.remove(3);
        other.commit(&storage, Durability::Sync);
        let before = segments(dir.path()).len();
        assert_eq!(prune(&storage, &[]).chunks, 1_200);
        assert!(before >= 3 && segments(dir.path()).len() < before);
        other.compare(&storage, NOW);
        stop.store(true, Ordering::Relaxed);
        assert!(readers.into_iter().all(|reader| reader.join().unwrap() > 0));
    });
    assert_clean(&storage, &[]);
}

#[test]
fn what_was_appended_for_nothing_is_reclaimed_beside_other_work() {
    let dir = scratch();
    let storage = create(dir.path());
    let mut files = Files::default();
    files.make(1, FileType::Directory, 0, b"");
    files.make(2, FileType::Regular, 1, b"a");
    files.commit(&storage, Durability::Sync);
    let content = noise(9, SLOT);
    let mut most = 0;
    let mut kept = None;
    for n in 0..3_000_u64 {
        if n == 1_100 {
            kept = Some(storage.append_chunk(b"named later").unwrap());
        }
        let (chunk, _) = storage.append_chunk(&content).unwrap();
        if n.is_multiple_of(900) {
            files.write(&storage, 2, n, &noise(n, 100));
            files.commit(&storage, Durability::Buffered);
        }
        storage.discard_chunks(&[chunk]);
        storage.reclaim().unwrap();
        most = most.max(segments(dir.path()).iter().sum::<u64>());
    }
    assert!(most < 260 << 20, "{most} bytes for 400 MB that nobody wanted");
    files.compare(&storage, NOW);
    // What nobody discarded may be named however late.
    let (chunk, sum) = kept.unwrap();
    files.set(2, 77, vec![Piece { start: 0, len: 11, chunk, offset: 0, sum }], b"named later".to_vec());
    files.commit(&storage, Durability::Sync);
    files.compare(&storage, NOW);
    assert_clean(&storage, &[]);
    drop(storage);
    let storage = open(dir.path());
    files.compare(&storage, NOW);
    prune(&storage, &[]);
    assert!(segments(dir.path()).iter().sum::<u64>() < 1 << 20);
    files.compare(&storage, NOW);
}

#[test]
fn records_and_files_do_not_see_each_other() {
    let dir = scratch();
    let storage = create(dir.path());
    write(&storage, "mem_a", "x");
    let mut files = Files::default();
    files.make(1, FileType::Directory, 0, b"");
    files.commit(&storage, Durability::Sync);
    assert_eq!(storage.heads(Kind::Memory, None, 9).unwrap().len(), 1);
    assert_eq!(storage.heads(Kind::Artifact, None, 9).unwrap().len(), 1);
    assert!(!Kind::ALL.contains(&Kind::Artifact));
    assert_eq!(check(&storage, &[]).versions, 2);
}

#[test]
fn small_content_lies_with_its_row_and_needs_no_segment() {
    let dir = scratch();
    let storage = create(dir.path());
    let mut files = Files::default();
    files.make(1, FileType::Directory, 0, b"");
    files.make(2, FileType::Regular, 1, b"small");
    files.make(3, FileType::Regular, 1, b"as large as may be");
    files.write_inline(&storage, 2, 0, b"little");
    let largest = files.write_inline(&storage, 3, 0, &noise(3, INLINE_BYTES));
    assert_eq!(storage.chunk(largest.chunk).unwrap(), noise(3, INLINE_BYTES), "before any commit names it");
    for len in [0, INLINE_BYTES + 1] {
        assert!(matches!(storage.append_inline(&vec![0; len]), Err(StorageError::Limit { .. })), "{len}");
    }
    let pin = files.commit(&storage, Durability::Sync);
    let before = files.clone();
    set_pins(&storage, &[pin]);
    storage.append_inline(b"named by nobody").unwrap();
    let given_back = storage.append_inline(b"given back").unwrap().0;
    storage.discard_chunks(&[given_back]);
    assert!(matches!(storage.chunk(given_back), Err(StorageError::Corrupt { .. })));
    storage.close().unwrap();
    assert_eq!(segments(dir.path()), [] as [u64; 0]);
    let storage = open(dir.path());
    // Both kinds side by side, in one commit and in one file; numbers go on where they were.
    let next = files.write_inline(&storage, 2, 0, b"changed");
    assert_eq!(next.chunk, largest.chunk + 1);
    files.write(&storage, 2, 1, &noise(4, SLOT));
    files.commit(&storage, Durability::Sync);
    files.compare(&storage, NOW);
    before.compare(&storage, pin);
    assert_clean(&storage, &[pin]);
    assert_eq!(prune(&storage, &[pin]).chunks, 0);
    set_pins(&storage, &[]);
    let pruned = prune(&storage, &[]);
    assert_eq!((pruned.chunks, pruned.chunk_bytes), (1, 6), "{pruned:?}");
    files.compare(&storage, NOW);
    assert_clean(&storage, &[]);
}
