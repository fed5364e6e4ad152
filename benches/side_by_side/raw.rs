//! Raw RocksDB: a batch with as many keys and bytes as the vault writes for the same memory, and nothing else.

use std::path::Path;

use rocksdb::{DB, DBCompressionType, Options, WriteBatch, WriteOptions};

use crate::measure::{Figures, Timer, Walk, bytes_written, rate, rate_of_many};
use crate::workload::Memory;
use crate::{Failure, Plan};

/// Bytes of the vault's log entry, head, and index value, and what a version has besides its JSON.
const LOG: usize = 190;
const HEAD: usize = 66;
const POSTING: usize = 9 + 29;
const ENVELOPE: usize = 250;

pub(crate) fn run(dir: &Path, plan: &Plan) -> Result<Figures, Failure> {
    let mut figures = Figures::default();
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_compression_type(DBCompressionType::Lz4);
    let db = DB::open(&options, dir.join("db"))?;
    let before = bytes_written();
    let mut json = 0;
    let mut timer = Timer::new();
    let mut buffered = WriteOptions::default();
    buffered.set_sync(false);
    for n in 0..plan.records {
        let memory = Memory::new(n);
        json += memory.json.len() as u64;
        timer.time(|| db.write_opt(batch(n, &memory), &buffered))?;
        if (n + 1).is_multiple_of(plan.records / 10) {
            timer.mark();
        }
    }
    timer.finish(&mut figures);
    db.flush()?;
    let written = (bytes_written() - before) as f64;
    figures
        .notes
        .push(format!("write amplification: {:.1} bytes to disk for a byte of record JSON", written / json as f64));

    let mut walk = Walk::new();
    let keys: Vec<Vec<u8>> = (0..plan.gets)
        .map(|_| {
            let n = walk.next(plan.records);
            version_key(n, &Memory::new(n).id)
        })
        .collect();
    figures.gets = Some(rate(plan.gets, |n| -> Result<(), Failure> {
        db.get(&keys[n as usize])?.ok_or("a key is missing")?;
        Ok(())
    })?);

    let durable = |n: u64| {
        let mut sync = WriteOptions::default();
        sync.set_sync(true);
        db.write_opt(batch(n, &Memory::new(n)), &sync)
    };
    figures.durable_one = Some(rate(plan.durable, |n| durable(plan.records + n))?);
    figures.durable_many = Some(rate_of_many(plan.durable * 8, |n| durable(plan.records + plan.durable + n))?);
    Ok(figures)
}

fn version_key(n: u64, id: &str) -> Vec<u8> {
    [b"v", id.as_bytes(), &n.to_be_bytes()].concat()
}

/// Log entry, version, head, and the index entries: of all records, tier, session, agent, user, tag and time.
fn batch(n: u64, memory: &Memory) -> WriteBatch {
    let mut batch = WriteBatch::default();
    let filler = [0x5a_u8; 256];
    batch.put([b"l", n.to_be_bytes().as_slice()].concat(), &filler[..LOG]);
    let mut version = memory.json.as_bytes().to_vec();
    version.extend_from_slice(&filler[..ENVELOPE]);
    batch.put(version_key(n, &memory.id), version);
    batch.put([b"h", memory.id.as_bytes()].concat(), &filler[..HEAD]);
    let terms = ["", memory.tier, &memory.session, memory.agent, memory.user, &memory.tag, &memory.time[..8]];
    for (index, term) in terms.into_iter().enumerate() {
        let key = [b"i", index.to_be_bytes()[7..].as_ref(), term.as_bytes(), &n.to_be_bytes()].concat();
        batch.put(key, &filler[..POSTING]);
    }
    batch
}
