//! The processes that serve a mount, to wait for their end.

use std::ffi::OsStr;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::error::{Failure, Result};

/// How long a process may take to close its vault after its mount is gone.
const PATIENCE: Duration = Duration::from_secs(30);

/// Processes that serve a mount.
pub(crate) struct Servers(Vec<OwnedFd>);

/// The processes of this user, or for root of all users, that were started to mount a vault on a directory. To be called
/// before it is unmounted.
pub(crate) fn of_mount(dir: &Path) -> Servers {
    let Ok(mountpoint) = dir.canonicalize() else { return Servers(Vec::new()) };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|process| {
        let pid = process.file_name().to_str()?.parse().ok()?;
        if pid == std::process::id().cast_signed() || !serves(&process.path(), &mountpoint) {
            return None;
        }
        pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()
    });
    Servers(pids.collect())
}

/// Whether the command line of a process is that of `mirrordna mount` on this directory.
fn serves(process: &Path, mountpoint: &Path) -> bool {
    let Ok(command_line) = fs::read(process.join("cmdline")) else { return false };
    let arguments: Vec<&OsStr> = command_line.split(|byte| *byte == 0).map(OsStr::from_bytes).collect();
    let is_program =
        arguments.first().is_some_and(|program| Path::new(program).file_name() == Some("mirrordna".as_ref()));
    let cwd = process.join("cwd");
    is_program
        && arguments.iter().any(|argument| *argument == "mount")
        && arguments.iter().any(|argument| cwd.join(argument).canonicalize().is_ok_and(|path| path == mountpoint))
}

impl Servers {
    /// Waits until all of them are gone, and with them their locks.
    pub(crate) fn wait(self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        for process in self.0 {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 0, tv_nsec: 0 });
            let ended = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&timeout));
            if ended.map_err(|error| Failure::io("/proc", error.into()))? == 0 {
                return Err(Failure::StillServing { seconds: PATIENCE.as_secs() });
            }
        }
        Ok(())
    }
}
