//! The vault beside its peers, in one run: raw RocksDB, SQLite and AgentFS do the same work with the same bytes, and one
//! table shows all of them, losses too. `scripts/bench-peers.sh` builds and runs it.
//!
//! Arguments: records for the vault and raw RocksDB (1,000,000), records for SQLite (200,000; AgentFS a tenth of it),
//! durable writes by one thread (2,000; 16 threads eight times as many). `PEERS` is the program with the other peers.
#![allow(missing_docs, clippy::indexing_slicing, clippy::expect_used, clippy::cast_precision_loss)]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, dead_code)]

mod measure;
mod raw;
mod vault;
mod workload;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use measure::{Figures, Row, print_table};

/// What every peer is asked to do.
#[derive(Clone, Copy)]
struct Plan {
    records: u64,
    peer_records: u64,
    durable: u64,
    gets: u64,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    // Cargo tells benches that they are run as benches.
    let mut arguments =
        std::env::args().skip(1).filter(|argument| argument != "--bench").map(|argument| argument.parse());
    let mut next = |default| arguments.next().unwrap_or(Ok(default));
    let plan = Plan { records: next(1_000_000)?, peer_records: next(200_000)?, durable: next(2_000)?, gets: 100_000 };
    let base = std::env::var_os("BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = tempfile::Builder::new().prefix("mirrordna-bench-").tempdir_in(base)?;
    println!(
        "{} records ({} for SQLite, {} for AgentFS), {} durable writes by one thread, in {}; load average {}",
        plan.records,
        plan.peer_records,
        plan.peer_records / 10,
        plan.durable,
        dir.path().display(),
        load()
    );
    let ours = vault::run(&fresh(dir.path(), "vault")?, &plan)?;
    let raw = raw::run(&fresh(dir.path(), "raw")?, &plan)?;
    let peers = run_peers(&fresh(dir.path(), "peers")?, &plan)?;
    let (sqlite, agentfs) = (Figures::read(&peers, "SQLite"), Figures::read(&peers, "AgentFS"));
    report(&[("vault", &ours), ("raw RocksDB", &raw), ("SQLite", &sqlite), ("AgentFS", &agentfs)]);
    println!("load average at the end: {}", load());
    Ok(())
}

fn load() -> String {
    std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim().to_owned()
}

fn fresh(base: &Path, name: &str) -> std::io::Result<PathBuf> {
    let dir = base.join(name);
    std::fs::create_dir(&dir)?;
    Ok(dir)
}

fn run_peers(dir: &Path, plan: &Plan) -> Result<String, Failure> {
    let Some(program) = std::env::var_os("PEERS") else { return Ok(String::new()) };
    let arguments = [plan.peer_records, plan.durable, plan.gets].map(|number| number.to_string());
    let output = Command::new(program).arg(dir).args(arguments).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err("the program with the other peers failed".into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn report(columns: &[(&str, &Figures); 4]) {
    print_table(
        &[
            Row::rate("buffered writes, first tenth", |f| f.first_tenth),
            Row::rate("buffered writes, last tenth", |f| f.last_tenth),
            Row::rate("buffered writes, all", |f| f.buffered),
            Row::rate("durable writes, 1 thread", |f| f.durable_one),
            Row::rate("durable writes, 16 threads", |f| f.durable_many),
            Row::rate("get by id", |f| f.gets),
            Row::rate("file writes with fsync", |f| f.files),
        ],
        columns,
    );
    println!();
    for (name, figures) in columns {
        for note in &figures.notes {
            println!("{name}: {note}");
        }
    }
    println!("\nwhat was aimed for:");
    let line = |what: &str, found: Option<f64>, wanted: f64| {
        let Some(found) = found else { return println!("  {what}: not measured") };
        println!("  {what}: {found:.2} (at least {wanted}): {}", if found >= wanted { "holds" } else { "FALLS SHORT" });
    };
    let [(_, ours), (_, raw), (_, sqlite), _] = columns;
    let ratio = |a: Option<f64>, b: Option<f64>| Some(a? / b?);
    line("last tenth / first tenth of buffered writes", ratio(ours.last_tenth, ours.first_tenth), 0.75);
    line("buffered writes / raw RocksDB", ratio(ours.buffered, raw.buffered), 0.4);
    line("buffered writes / SQLite NORMAL", ratio(ours.buffered, sqlite.buffered), 2.0);
    line("durable writes, 1 thread / raw RocksDB", ratio(ours.durable_one, raw.durable_one), 0.85);
    line("durable writes, 16 threads / raw RocksDB", ratio(ours.durable_many, raw.durable_many), 0.6);
    line("get by id / raw RocksDB", ratio(ours.gets, raw.gets), 0.6);
}
