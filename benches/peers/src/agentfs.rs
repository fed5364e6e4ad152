//! AgentFS: its key-value store, and a file for each record.

use std::path::Path;

use agentfs_sdk::{AgentFS, AgentFSOptions};

use crate::measure::{Figures, Timer, Walk, rate};
use crate::workload::Memory;
use crate::{Failure, Plan};

pub(crate) fn run(dir: &Path, plan: &Plan) -> Result<Figures, Failure> {
    let mut figures = Figures::default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let path = dir.join("agent.db").display().to_string();
    let agent = runtime.block_on(AgentFS::open(AgentFSOptions::with_path(path)))?;
    let count = plan.peer_records / 10;
    let mut timer = Timer::new();
    for n in 0..count {
        let memory = Memory::new(n);
        let json = &memory.json;
        timer.time(|| runtime.block_on(agent.kv.set(&memory.id, json)))?;
        if (n + 1).is_multiple_of((count / 10).max(1)) {
            timer.mark();
        }
    }
    timer.finish(&mut figures);
    let mut walk = Walk::new();
    figures.gets = Some(rate(plan.gets / 10, |_| -> Result<(), Failure> {
        let id = Memory::new(walk.next(count)).id;
        runtime.block_on(agent.kv.get::<String>(&id))?.ok_or("a key is missing")?;
        Ok(())
    })?);
    figures.files = Some(rate(plan.durable, |n| -> Result<(), Failure> {
        let memory = Memory::new(n);
        runtime.block_on(async {
            let (_, file) = agent.fs.create_file(&format!("/{}", memory.id), 0o644, 0, 0).await?;
            file.pwrite(0, memory.json.as_bytes()).await?;
            file.fsync().await?;
            Ok::<(), Failure>(())
        })
    })?);
    figures.notes.push(format!("{count} keys through its key-value store, as it comes (one transaction each)"));
    Ok(figures)
}
