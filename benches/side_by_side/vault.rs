//! The vault.

use std::path::Path;
use std::time::Instant;

use mirrordna::record::{Kind, json};
use mirrordna::storage::Durability;
use mirrordna::vault::{Filter, NewSnapshot};
use mirrordna::{Vault, VaultOptions};

use crate::measure::{Figures, Timer, Walk, bytes_written, memory, rate, rate_of_many};
use crate::workload::Memory;
use crate::{Failure, Plan};

pub(crate) fn run(dir: &Path, plan: &Plan) -> Result<Figures, Failure> {
    let mut figures = Figures::default();
    let path = dir.join("vault");
    let vault = Vault::create(&path, &VaultOptions::default())?;
    let buffered = vault.with_durability(Durability::Buffered);
    let (before, mut json) = (bytes_written(), 0);
    let mut timer = Timer::new();
    for n in 0..plan.records {
        let memory = Memory::new(n).json;
        json += memory.len() as u64;
        timer.time(|| write(&buffered, &memory))?;
        if (n + 1).is_multiple_of(plan.records / 10) {
            timer.mark();
        }
    }
    timer.finish(&mut figures);
    figures.notes.push(format!("resident memory while writing: at most {} MiB", memory("VmHWM")));
    drop(buffered);
    drop(vault);
    let written = bytes_written() - before;
    figures.notes.push(format!(
        "write amplification: {:.1} bytes to disk for a byte of record JSON ({} MB of JSON)",
        written as f64 / json as f64,
        json / 1_000_000
    ));

    let begun = Instant::now();
    let vault = Vault::open(&path, &VaultOptions::default())?;
    figures.notes.push(format!("opening with {} records: {:?}", plan.records, begun.elapsed()));
    let begun = Instant::now();
    vault.snapshots().create(NewSnapshot::default())?;
    figures.notes.push(format!("snapshot with {} records: {:?}", plan.records, begun.elapsed()));

    let mut walk = Walk::new();
    let ids: Vec<String> = (0..plan.gets).map(|_| Memory::new(walk.next(plan.records)).id).collect();
    // A version is the stored JSON, verified: what raw RocksDB gives, unverified. Parsing it is the caller's choice.
    let storage = vault.storage();
    figures.gets = Some(rate(plan.gets, |n| -> Result<(), Failure> {
        let id = &ids[n as usize];
        storage.version(Kind::Memory, id, mirrordna::storage::NOW)?.ok_or("a memory is missing")?;
        Ok(())
    })?);
    let parsed = rate(plan.gets, |n| vault.get(Kind::Memory, &ids[n as usize]).map(|_| ()))?;
    figures.notes.push(format!("get by id, verified and parsed: {parsed:.0}/s"));
    listing(&vault, &mut figures)?;

    figures.durable_one = Some(rate(plan.durable, |n| write(&vault, &Memory::new(plan.records + n).json))?);
    let first = plan.records + plan.durable;
    figures.durable_many = Some(rate_of_many(plan.durable * 8, |n| write(&vault, &Memory::new(first + n).json))?);
    figures.notes.push(format!("resident memory throughout: at most {} MiB", memory("VmHWM")));
    Ok(figures)
}

/// Reads the JSON, checks the record, and stores it: all that a caller with a text has to pay.
fn write(vault: &Vault, json: &str) -> Result<(), Failure> {
    vault.create_record(Kind::Memory, json::parse(json.as_bytes())?)?;
    Ok(())
}

fn listing(vault: &Vault, figures: &mut Figures) -> Result<(), Failure> {
    let read = || vault.storage().stats().versions_read;
    let filter = Filter::default().with("tier", "episodic").with("metadata.tags", "topic-5");
    let (before, begun) = (read(), Instant::now());
    let found = vault.list(Kind::Memory, &filter)?.count();
    figures.notes.push(format!(
        "list by tier and tag: {found} in {:?}, {} records read",
        begun.elapsed(),
        read() - before
    ));
    let (before, begun) = (read(), Instant::now());
    let filter = Filter::default().with("source.session_id", "sess_20250301_080000_00000007");
    let found = vault.memories().search("ESPRESSO", &filter)?.count();
    figures.notes.push(format!(
        "search in a session: {found} in {:?}, {} records read",
        begun.elapsed(),
        read() - before
    ));
    Ok(())
}
