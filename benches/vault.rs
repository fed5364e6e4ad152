//! Criterion benches of what users do most: checksum, write, get, list, search, snapshot, verify.
//! `cargo bench --bench vault`.
#![allow(missing_docs, clippy::unwrap_used)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mirrordna::record::{Checksum, Kind, json};
use mirrordna::storage::Durability;
use mirrordna::vault::{Filter, NewSnapshot};
use mirrordna::{Vault, VaultOptions, verify};

#[path = "side_by_side/workload.rs"]
#[allow(dead_code, clippy::indexing_slicing, clippy::cast_possible_truncation)]
mod workload;

use workload::Memory;

/// Memories in the vault that is read.
const RECORDS: u64 = 100_000;

fn write(vault: &Vault, n: u64) {
    vault.create_record(Kind::Memory, json::parse(Memory::new(n).json.as_bytes()).unwrap()).unwrap();
}

fn checksums(c: &mut Criterion) {
    let value = json::parse(Memory::new(7).json.as_bytes()).unwrap();
    let mut group = c.benchmark_group("checksum");
    group.throughput(Throughput::Bytes(Memory::new(7).json.len() as u64));
    group.bench_function("canonical checksum of a memory", |b| b.iter(|| Checksum::of_value(&value)));
    group.finish();
}

fn writes(c: &mut Criterion) {
    let mut group = c.benchmark_group("memory write");
    group.throughput(Throughput::Elements(1));
    for (name, durability) in [("sync", Durability::Sync), ("buffered", Durability::Buffered)] {
        for threads in [1_u64, 16] {
            let dir = tempfile::tempdir().unwrap();
            let vault = Vault::create(&dir.path().join("vault"), &VaultOptions::default()).unwrap();
            let vault = vault.with_durability(durability);
            let next = AtomicU64::new(0);
            group.bench_function(format!("{name}, {threads} threads"), |b| {
                b.iter_custom(|iterations| {
                    many(threads, iterations, || write(&vault, next.fetch_add(1, Ordering::Relaxed)))
                });
            });
        }
    }
    group.finish();
}

/// The time that `iterations` calls take, shared by threads.
fn many(threads: u64, iterations: u64, work: impl Fn() + Sync) -> Duration {
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let share = iterations / threads + u64::from(thread < iterations % threads);
            let work = &work;
            scope.spawn(move || (0..share).for_each(|_| work()));
        }
    });
    begun.elapsed()
}

fn reads(c: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vault");
    let vault = Vault::create(&path, &VaultOptions::default()).unwrap();
    let buffered = vault.with_durability(Durability::Buffered);
    (0..RECORDS).for_each(|n| write(&buffered, n));
    drop(buffered);
    let mut group = c.benchmark_group("100,000 memories");
    let mut n = 0;
    group.bench_function("get by id", |b| {
        b.iter(|| {
            n = (n + 7_919) % RECORDS;
            vault.get(Kind::Memory, &Memory::new(n).id).unwrap()
        });
    });
    let filter = Filter::default().with("tier", "episodic").with("metadata.tags", "topic-5");
    group.bench_function("list by tier and tag", |b| b.iter(|| vault.list(Kind::Memory, &filter).unwrap().count()));
    let session = Filter::default().with("source.session_id", "sess_20250301_080000_00000007");
    group.bench_function("search in a session", |b| {
        b.iter(|| vault.memories().search("LEDGER", &session).unwrap().count());
    });
    group.sample_size(10);
    group.bench_function("search everything", |b| {
        b.iter(|| vault.memories().search("number 99999:", &Filter::default()).unwrap().count());
    });
    group.bench_function("snapshot", |b| b.iter(|| vault.snapshots().create(NewSnapshot::default()).unwrap()));
    group.bench_function("verify", |b| b.iter(|| verify::verify_storage(vault.storage(), &mut |_, _| {}).unwrap()));
    group.finish();
}

criterion_group!(benches, checksums, writes, reads);
criterion_main!(benches);
