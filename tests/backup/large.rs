//! What a backup of a larger vault costs: in what is written, in memory, in time. The suite runs it small; `BACKUP_RECORDS` and
//! `BACKUP_MIB` (of artifacts) make it larger, and `--nocapture` shows the figures.

use std::fs;
use std::time::{Duration, Instant};

use mirrordna::backup::{Created, Restored, Silent, VerifyOptions, VerifyReport};
use mirrordna::record::Value;

use crate::sample;
use crate::support::{Fixture, bytes_of, noise};

fn number(variable: &str, usual: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// The most memory that this process had resident since this was asked last, in MiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    fs::write("/proc/self/clear_refs", "5").unwrap();
    kib >> 10
}

/// Processor time of this process.
fn processor() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    // The kernel counts in hundredths of a second for everybody outside.
    Duration::from_millis(ticks * 10)
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Does some work and prints what it cost.
fn measure<T>(what: &str, bytes: impl Fn(&T) -> u64, work: impl FnOnce() -> T) -> T {
    peak();
    let (begun, busy) = (Instant::now(), processor());
    let done = work();
    let (wall, busy) = (begun.elapsed().as_secs_f64(), processor().saturating_sub(busy).as_secs_f64());
    let bytes = mebibytes(bytes(&done));
    let (peak, share) = (peak(), busy / wall);
    println!(
        "{what:12} {wall:7.2} s  {bytes:9.1} MiB  {:8.1} MiB/s  {share:4.2} cores  peak {peak:4} MiB",
        bytes / wall
    );
    done
}

fn record(n: usize, version: u32) -> (String, Value) {
    let id = format!("mem_{n:012}_large");
    let words: Vec<String> =
        noise(96, n as u64 ^ u64::from(version) << 40).iter().map(|byte| format!("word{byte}")).collect();
    let content = words.join(" ");
    let record = sample::value(&format!(
        r#"{{"memory_id":"{id}","tier":"long_term","content":"{content}","source":{{"session_id":"sess_import000001","timestamp":"2025-03-01T08:00:00Z","agent_id":"{}","user_id":"{}"}},"metadata":{{"tags":["t{}"]}}}}"#,
        sample::AGENT,
        sample::USER,
        n % 10,
    ));
    (id, record)
}

/// Of a vault of which a hundredth changed, scattered, little is written again; of an unchanged one almost nothing.
#[test]
fn what_is_written_is_what_changed() {
    let (records, mib) = (number("BACKUP_RECORDS", 12_000), number("BACKUP_MIB", 24));
    let fixture = Fixture::empty();
    for from in (0..records).step_by(5_000) {
        let some: Vec<_> = (from..records.min(from + 5_000)).map(|n| record(n, 0)).collect();
        sample::import(&fixture.vault, mirrordna::record::Kind::Memory, &some, false);
    }
    // A part of the artifacts compresses.
    for n in 0..mib.div_ceil(8) {
        let mut bytes = noise(8 << 20, n as u64);
        if n % 4 == 0 {
            for byte in &mut bytes {
                *byte &= 7;
            }
        }
        fixture.write(&format!("artifact{n}"), 0, &bytes);
    }
    let repository = fixture.path("repository");
    let size = || bytes_of(&repository);
    let empty = size();
    let first = measure("first", |created: &Created| created.read, || fixture.create());
    let whole = size() - empty;
    let unchanged = measure("unchanged", |created: &Created| created.read, || fixture.create());
    assert_eq!(unchanged.stored.new_blobs, 0);
    let of_unchanged = size() - empty - whole;
    assert!(of_unchanged <= 100_000, "{of_unchanged} bytes for an unchanged vault");
    let changed: Vec<_> = (0..records).step_by(100).map(|n| record(n, 1)).collect();
    sample::import(&fixture.vault, mirrordna::record::Kind::Memory, &changed, false);
    let before = size();
    measure("1 % changed", |created: &Created| created.read, || fixture.create());
    let of_changed = size() - before;
    // A change rewrites the last blob of the log, too, which weighs more in a small vault.
    assert!(of_changed * 20 <= whole.max(20 << 20), "{of_changed} bytes of {whole} for a hundredth");
    let middle = (mib << 20) as u64 / 2 % (8 << 20);
    fixture.write("artifact1", middle, &noise(1 << 20, 999));
    let before = size();
    let last = measure("1 MiB", |created: &Created| created.read, || fixture.create());
    let of_artifact = size() - before;
    assert!(of_artifact <= 4 << 20, "{of_artifact} bytes for 1 MiB in the middle of an artifact");
    println!(
        "repository {:.1} MiB of {:.1} MiB; unchanged {of_unchanged} bytes, 1 % changed {of_changed}, 1 MiB {of_artifact}",
        mebibytes(whole),
        mebibytes(first.bytes)
    );
    let report = measure(
        "verify",
        |report: &VerifyReport| report.bytes,
        || fixture.repository.verify(&VerifyOptions::default(), &mut Silent).unwrap(),
    );
    assert!(report.is_clean());
    let to = fixture.path("restored");
    measure(
        "restore",
        |restored: &Restored| restored.bytes,
        || fixture.repository.restore("latest", &to, &mut Silent).unwrap(),
    );
    crate::support::sound(&to, last.root);
}
