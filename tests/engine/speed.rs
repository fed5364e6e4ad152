//! Figures for those who ask: `cargo test --release --test engine -- --ignored --nocapture speed`.

use std::time::{Duration, Instant};

use mirrordna::record::Kind;
use mirrordna::storage::{Durability, Expect, NOW, Storage};
use rocksdb::{DB, Options, WriteBatch};
use tempfile::TempDir;

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
