//! The two locks of a vault's directory: `LOCK`, held by the process that owns the vault, and `JOB`, held by the process
//! that does work in many commits, or prunes.
//!
//! The kernel lets go of both when their process dies, however it dies, and that is all they rely on. Their text says who
//! holds them, for others to name.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::record::Timestamp;

use super::holder::this_process;
use super::{Result, StorageError};

pub(super) const LOCK: &str = "LOCK";
const JOB: &str = "JOB";
/// How often somebody who waits looks again.
const INTERVAL: Duration = Duration::from_millis(10);

/// The lock of the process that owns a vault, held until it is dropped.
#[derive(Debug)]
pub(super) struct LockFile {
    file: File,
}

impl Drop for LockFile {
    fn drop(&mut self) {
        unlock(&self.file);
    }
}

impl LockFile {
    /// Takes the lock if nobody holds it, and writes down who holds it now.
    pub(super) fn try_take(dir: &Path, now: Timestamp) -> Result<Option<Self>> {
        Ok(try_lock(&dir.join(LOCK), now)?.map(|file| Self { file }))
    }

    /// Takes the lock, waiting for at most `timeout`, and writes down who holds it.
    pub(super) fn take(dir: &Path, timeout: Duration, now: Timestamp) -> Result<Self> {
        wait(timeout, || Self::try_take(dir, now))?.ok_or_else(|| Self::held(dir))
    }

    /// That somebody holds it.
    pub(super) fn held(dir: &Path) -> StorageError {
        StorageError::Locked { path: dir.to_owned(), holder: holder(&dir.join(LOCK)) }
    }

    /// Who holds it, or held it last.
    pub(super) fn holder(dir: &Path) -> String {
        holder(&dir.join(LOCK))
    }
}

/// The lock of the process that imports, restores or prunes, held until it is dropped. It belongs to that process and not to
/// the owner of the vault, so it stays when the ownership goes from one process to another; who prunes is always the owner.
#[derive(Debug)]
pub(super) struct JobLock {
    file: File,
}

impl Drop for JobLock {
    fn drop(&mut self) {
        unlock(&self.file);
    }
}

impl JobLock {
    /// Takes the lock if nobody holds it.
    pub(super) fn try_take(dir: &Path, now: Timestamp) -> Result<Option<Self>> {
        Ok(try_lock(&dir.join(JOB), now)?.map(|file| Self { file }))
    }

    /// Takes the lock, waiting for at most `timeout`.
    pub(super) fn take(dir: &Path, timeout: Duration, now: Timestamp) -> Result<Self> {
        wait(timeout, || Self::try_take(dir, now))?.ok_or_else(|| {
            let holder = format!("an import, a restore or a prune of {}", holder(&dir.join(JOB)));
            StorageError::Locked { path: dir.to_owned(), holder }
        })
    }
}

/// Lets go of a lock. Closing the file is not enough: a process that was forked from this one may have it open, too.
fn unlock(file: &File) {
    // Closing it does the rest, or the end of this process.
    let _ = file.unlock();
}

/// Asks again and again until there is an answer or the time is over; at least once.
pub(super) fn wait<T>(timeout: Duration, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<Option<T>> {
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(answer) = ask()? {
            return Ok(Some(answer));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        std::thread::sleep(INTERVAL.min(left));
    }
}

fn try_lock(path: &Path, now: Timestamp) -> Result<Option<File>> {
    let failed = |error| StorageError::from_io(path, error);
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    let holder = format!("{}\n", this_process(now));
    let write = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(holder.as_bytes())
    };
    write(&mut file).map_err(failed)?;
    Ok(Some(file))
}

fn holder(path: &PathBuf) -> String {
    let mut holder = String::new();
    // The holder may be writing it just now; then there is no more to say than that there is one.
    let _ = File::open(path).and_then(|file| file.take(4_096).read_to_string(&mut holder));
    if holder.is_empty() { "another process".to_owned() } else { holder.trim_end().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_lock_names_its_holder() {
        let dir = tempfile::tempdir().unwrap();
        let held = LockFile::take(dir.path(), Duration::ZERO, Timestamp::default()).unwrap();
        match LockFile::take(dir.path(), Duration::from_millis(30), Timestamp::default()) {
            Err(StorageError::Locked { holder, .. }) => {
                assert!(holder.contains(&std::process::id().to_string()), "{holder}");
            }
            other => panic!("{other:?}"),
        }
        drop(held);
        LockFile::take(dir.path(), Duration::ZERO, Timestamp::default()).unwrap();
    }

    #[test]
    fn a_job_is_named_as_one_and_does_not_hold_the_vault() {
        let dir = tempfile::tempdir().unwrap();
        let _job = JobLock::take(dir.path(), Duration::ZERO, Timestamp::default()).unwrap();
        let error = JobLock::take(dir.path(), Duration::ZERO, Timestamp::default()).unwrap_err();
        assert!(error.to_string().contains("an import, a restore or a prune of process"), "{error}");
        assert!(LockFile::try_take(dir.path(), Timestamp::default()).unwrap().is_some());
    }
}
