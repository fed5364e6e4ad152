//! SQLite: one table with the record's JSON and six indexes, WAL; NORMAL beside buffered writes, FULL beside durable ones.

use std::path::Path;
use std::sync::Mutex;

use rusqlite::{Connection, params};

use crate::measure::{Figures, Timer, Walk, rate, rate_of_many};
use crate::workload::Memory;
use crate::{Failure, Plan};

const INSERT: &str = "INSERT INTO memories VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

pub(crate) fn run(dir: &Path, plan: &Plan) -> Result<Figures, Failure> {
    let mut figures = Figures::default();
    let path = dir.join("memories.db");
    let normal = open(&path, "NORMAL")?;
    normal.execute_batch(
        "CREATE TABLE memories (id TEXT PRIMARY KEY, tier TEXT, session TEXT, agent TEXT, user TEXT, tag TEXT, time TEXT,
                                json BLOB) WITHOUT ROWID;
         CREATE INDEX by_tier ON memories (tier); CREATE INDEX by_session ON memories (session);
         CREATE INDEX by_agent ON memories (agent); CREATE INDEX by_user ON memories (user);
         CREATE INDEX by_tag ON memories (tag); CREATE INDEX by_time ON memories (time);",
    )?;
    let mut timer = Timer::new();
    for n in 0..plan.peer_records {
        let memory = Memory::new(n);
        timer.time(|| insert(&normal, &memory))?;
        if (n + 1).is_multiple_of(plan.peer_records / 10) {
            timer.mark();
        }
    }
    timer.finish(&mut figures);
    let mut walk = Walk::new();
    let ids: Vec<String> = (0..plan.gets).map(|_| Memory::new(walk.next(plan.peer_records)).id).collect();
    figures.gets = Some(rate(plan.gets, |n| {
        let mut get = normal.prepare_cached("SELECT json FROM memories WHERE id = ?1")?;
        get.query_row([&ids[n as usize]], |row| row.get::<_, Vec<u8>>(0)).map(|_| ())
    })?);
    drop(normal);
    let full = open(&path, "FULL")?;
    figures.durable_one = Some(rate(plan.durable, |n| insert(&full, &Memory::new(plan.peer_records + n)))?);
    // Writers wait for each other in SQLite, whether they share a connection or not.
    let full = Mutex::new(full);
    figures.durable_many = Some(rate_of_many(plan.durable, |n| {
        let full = full.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        insert(&full, &Memory::new(plan.peer_records + plan.durable + n))
    })?);
    figures.notes.push(format!("{} records; buffered is synchronous=NORMAL, durable FULL", plan.peer_records));
    Ok(figures)
}

fn open(path: &Path, synchronous: &str) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", synchronous)?;
    Ok(connection)
}

fn insert(connection: &Connection, memory: &Memory) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached(INSERT)?;
    let Memory { id, tier, session, agent, user, tag, time, .. } = memory;
    insert.execute(params![id, tier, session, agent, user, tag, time, memory.json.as_bytes()]).map(|_| ())
}
