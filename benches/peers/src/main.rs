//! SQLite and AgentFS doing the work of the comparison; `benches/side_by_side` runs this and prints the table. A program
//! of its own, so that their dependencies never mix with the vault's.
//!
//! Usage: `mirrordna-peers DIR RECORDS DURABLE GETS`. Prints the figures as lines of peer, name, value.
#![allow(dead_code, reason = "what is shared with the other program is not all used here")]

mod agentfs;
#[path = "../../side_by_side/measure.rs"]
mod measure;
mod sqlite;
#[path = "../../side_by_side/workload.rs"]
mod workload;

use std::path::PathBuf;

/// What every peer is asked to do.
#[derive(Clone, Copy)]
struct Plan {
    peer_records: u64,
    durable: u64,
    gets: u64,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("usage: mirrordna-peers DIR RECORDS DURABLE GETS");
    let dir = PathBuf::from(next()?);
    let plan = Plan { peer_records: next()?.parse()?, durable: next()?.parse()?, gets: next()?.parse()? };
    for name in ["sqlite", "agentfs"] {
        std::fs::create_dir(dir.join(name))?;
    }
    sqlite::run(&dir.join("sqlite"), &plan)?.print("SQLite");
    agentfs::run(&dir.join("agentfs"), &plan)?.print("AgentFS");
    Ok(())
}
