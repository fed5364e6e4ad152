//! The process that serves a mount: how others find it, and wait for its end.
//!
//! Its number stands in the kernel's table of mounts, as the source of `artifacts/`, together with the moment at which it
//! began, since numbers of processes are used again.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::mountpoint::{absolute, sources};

/// What stands before number and beginning.
const PREFIX: &str = "mirrordna:";

/// The process that serves a mount.
#[derive(Debug)]
pub struct Server(OwnedFd);

impl Server {
    /// The process that has mounted a vault on a directory; nothing when that is this process, or when it is gone. To be
    /// called before it is unmounted.
    #[must_use]
    pub fn of(mountpoint: &Path) -> Option<Self> {
        let sources = sources(&absolute(mountpoint).ok()?).ok()?;
        let (pid, began) = sources.iter().find_map(|source| parse(source))?;
        if pid == std::process::id() {
            return None;
        }
        let process = pidfd_open(Pid::from_raw(i32::try_from(pid).ok()?)?, PidfdFlags::empty()).ok()?;
        // Only now is it certain that the number does not become another process.
        (beginning(pid) == Some(began)).then_some(Self(process))
    }

    /// Waits until it is gone, and with it its locks. Says whether it is.
    ///
    /// # Errors
    /// When the system does not let us wait.
    pub fn wait(&self, patience: Duration) -> io::Result<bool> {
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 0, tv_nsec: 0 });
            match poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&timeout)) {
                Ok(ended) => return Ok(ended > 0),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// What tells others of this process.
pub(crate) fn this_process() -> String {
    let pid = std::process::id();
    format!("{PREFIX}{pid}.{}", beginning(pid).unwrap_or_default())
}

fn parse(source: &OsStr) -> Option<(u32, u64)> {
    let (pid, began) = source.to_str()?.strip_prefix(PREFIX)?.split_once('.')?;
    Some((pid.parse().ok()?, began.parse().ok()?))
}

/// When a process began, in ticks since the system did.
fn beginning(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field, the name in parentheses, may contain anything. Behind it comes the third; we want number 22.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_told_and_found_again() {
        let (pid, began) = parse(OsStr::new(&this_process())).unwrap();
        assert_eq!((pid, Some(began)), (std::process::id(), beginning(pid)));
        assert!(began > 0);
        assert_eq!(parse(OsStr::new("/home/me/vault")), None);
        assert_eq!(parse(OsStr::new("mirrordna:12")), None);
    }
}
