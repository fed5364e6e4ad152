//! Figures for those who ask: `cargo test --release --test engine -- --ignored --nocapture speed`.

use std::time::{Duration, Instant};

use mirrordna::record::{FileType, Kind};
use mirrordna::storage::{Durability, Expect, NOW, Piece, SLOT_BYTES, Storage};
use rocksdb::{DB, Options, WriteBatch};
use tempfile::TempDir;

use super::files::{Files, noise, size};
use super::support::{Memory, commit, create, open, put};

const RECORDS: usize = 200_000;

fn id(n: usize) -> String {
    format!("mem_20250301_080910_{n:08x}")
}

fn memory(n: usize) -> Memory<'static> {
    const TIERS: [&str; 3] = ["short_term", "long_term", "episodic"];
    const TAGS: [&str; 4] = ["project", "preference", "decision", "question"];
    Memory {
        tier: TIERS[n % 3],
        session: "sess_20250301_080910_0a1b2c3d",
        tags: vec![TAGS[n % 4], TAGS[(n / 4) % 4]],
        time: Some(1_700_000_000_000_000 + i64::try_from(n).unwrap() * 1_000),
        archived: false,
        content: format!("{n}: {}", "the user prefers short answers with sources; ".repeat(5)),
    }
}

fn rate(count: usize, time: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap()) / time.as_secs_f64()
}

#[test]
#[ignore = "takes a minute, and says something only on a quiet machine"]
fn writes_and_reads_a_second() {
    let home = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let dir = home.path().join("vault");
    let storage = create(&dir);
    let mut slowest = Vec::with_capacity(RECORDS);
    let (mut preparing, mut bytes) = (Duration::ZERO, 0);
    let tenth = RECORDS / 10;
    let mut part = Duration::ZERO;
    for n in 0..RECORDS {
        let begin = Instant::now();
        let prepared = memory(n).prepared(&id(n));
        preparing += begin.elapsed();
        bytes += prepared.json.len();
        let change = put(Kind::Memory, &id(n), prepared, Expect::Absent);
        let begin = Instant::now();
        storage.commit(commit(vec![change], Durability::Buffered)).unwrap();
        let took = begin.elapsed();
        slowest.push(took);
        part += took;
        if (n + 1) % tenth == 0 {
            println!("writes {:>7}: {:>7.0}/s", n + 1, rate(tenth, part));
            part = Duration::ZERO;
        }
    }
    let total: Duration = slowest.iter().sum();
    slowest.sort_unstable();
    println!(
        "records of {} bytes, prepared in {:?} each",
        bytes / RECORDS,
        preparing / u32::try_from(RECORDS).unwrap()
    );
    println!(
        "Buffered, one thread: {:.0}/s; p50 {:?}, p99 {:?}, p99.9 {:?}",
        rate(RECORDS, total),
        slowest[RECORDS / 2],
        slowest[RECORDS / 100 * 99],
        slowest[RECORDS / 1000 * 999]
    );
    let begin = Instant::now();
    storage.close().unwrap();
    println!("close {:?}", begin.elapsed());
    let begin = Instant::now();
    let storage = open(&dir);
    println!("open {:?}", begin.elapsed());

    let db = raw(&home.path().join("raw"), bytes / RECORDS);
    for round in 0..2 {
        let begin = Instant::now();
        for n in 0..RECORDS {
            let n = n.wrapping_mul(7_919) % RECORDS;
            assert!(storage.version(Kind::Memory, &id(n), NOW).unwrap().is_some());
        }
        let ours = rate(RECORDS, begin.elapsed());
        let begin = Instant::now();
        for n in 0..RECORDS {
            let n = n.wrapping_mul(7_919) % RECORDS;
            assert!(db.get(id(n)).unwrap().is_some());
        }
        let theirs = rate(RECORDS, begin.elapsed());
        println!("get by id, round {round}: {ours:.0}/s; RocksDB alone {theirs:.0}/s; ratio {:.2}", ours / theirs);
    }
    let begin = Instant::now();
    super::support::assert_clean(&storage, &[]);
    println!("check {:?}", begin.elapsed());
}

/// As many values of the same size, and how fast batches of ten keys like a memory's go in.
fn raw(dir: &std::path::Path, size: usize) -> DB {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_compression_type(rocksdb::DBCompressionType::Lz4);
    let db = DB::open(&options, dir).unwrap();
    let mut writing = Duration::ZERO;
    for n in 0..RECORDS {
        let mut value = memory(n).prepared(&id(n)).json;
        value.resize(size + 200, b'x');
        let begin = Instant::now();
        let mut batch = WriteBatch::default();
        batch.put(id(n), &value);
        batch.put(n.to_be_bytes(), [3; 190]);
        batch.put([&b"h"[..], id(n).as_bytes()].concat(), [4; 66]);
        for index in 0..8_u8 {
            batch.put([&[index][..], b"sess_20250301_080910_0a1b2c3d", &n.to_be_bytes()].concat(), id(n));
        }
        db.write(batch).unwrap();
        writing += begin.elapsed();
    }
    println!("RocksDB alone, batches of eleven keys: {:.0}/s", rate(RECORDS, writing));
    db.flush().unwrap();
    db
}

#[test]
#[ignore = "takes a minute, and says something only on a quiet machine"]
fn content_and_files_a_second() {
    const CHUNKS: u64 = 4_096;
    let home = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let storage = create(&home.path().join("vault"));
    let mut files = Files::default();
    files.make(1, FileType::Directory, 0, b"");
    files.make(2, FileType::Regular, 1, b"large");
    let content: Vec<_> = (0..16).map(|n| noise(n, SLOT_BYTES as usize)).collect();
    let mebibytes = |time: Duration| rate(size(CHUNKS / 8), time);
    let begin = Instant::now();
    let chunks: Vec<_> = (0..CHUNKS).map(|n| storage.append_chunk(&content[size(n % 16)]).unwrap()).collect();
    println!("append:                  {:>7.0} MiB/s", mebibytes(begin.elapsed()));
    for ((chunk, sum), n) in chunks.iter().zip(0..) {
        let piece = Piece { start: 0, len: SLOT_BYTES, chunk: *chunk, offset: 0, sum: *sum };
        files.set(2, n, vec![piece], Vec::new());
    }
    let commit = files.commit_of(Durability::Sync);
    let begin = Instant::now();
    storage.commit(commit).unwrap();
    println!(
        "commit of {CHUNKS} slots: {:>7.0} ms, most of it the fsync of their content",
        begin.elapsed().as_secs_f64() * 1e3
    );
    for (what, whole) in [("read, verified first:", true), ("read again by 4 KiB:", false)] {
        let begin = Instant::now();
        for (pieces, _) in files.by_ino[&2].slots.values() {
            if whole {
                storage.read_piece(&pieces[0], 0, SLOT_BYTES).unwrap();
            } else {
                (0..32).for_each(|n| drop(storage.read_piece(&pieces[0], n * 4_096, 4_096).unwrap()));
            }
        }
        println!("{what:<24} {:>7.0} MiB/s", mebibytes(begin.elapsed()));
    }
    let mut next = 3;
    for (what, durability, each, commits) in [
        ("one new 4 KiB file, buffered:", Durability::Buffered, 1, 300),
        ("one new 4 KiB file, sync:", Durability::Sync, 1, 300),
        ("500 of them a commit:", Durability::Buffered, 500, 20),
    ] {
        let mut time = Duration::ZERO;
        for _ in 0..commits {
            for _ in 0..each {
                files.make(next, FileType::Regular, 1, format!("file {next}").as_bytes());
                let begin = Instant::now();
                files.write(&storage, next, 0, &content[3][..4_096]);
                time += begin.elapsed();
                next += 1;
            }
            let commit = files.commit_of(durability);
            let begin = Instant::now();
            storage.commit(commit).unwrap();
            time += begin.elapsed();
        }
        println!("{what:<32} {:>7.0} files/s", rate(each * commits, time));
    }
    let begin = Instant::now();
    let listed = storage.dentries(1, None, usize::MAX, NOW).unwrap().len();
    println!("names listed:            {:>9.0} /s", rate(listed, begin.elapsed()));
    let begin = Instant::now();
    super::support::assert_clean(&storage, &[]);
    println!("check of all of it:      {:>7.0} ms", begin.elapsed().as_secs_f64() * 1e3);
}
