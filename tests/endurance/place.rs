//! A vault that the command has mounted, in a process that can be killed.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use mirrordna::{VaultOptions, verify};
use tempfile::TempDir;

use crate::watchdog::dump;

/// The most memory that the process of a mount may take, whatever is done.
const MOST_KIB: u64 = 400_000;
/// Longer than anything takes that is expected to end.
pub(crate) const LONG: Duration = Duration::from_secs(120);
/// Warnings, and what the mount holds in memory (`tables`).
const LOG: &str = "warn,mirrordna::mount::tables=debug,mirrordna::artifacts::tables=debug";

/// A directory with a place for a vault, and one to mount it on.
pub(crate) struct Place {
    pub(crate) vault: PathBuf,
    pub(crate) point: PathBuf,
    pub(crate) log: PathBuf,
    /// Removed last.
    _dir: TempDir,
}

impl Place {
    /// A place for a vault in a temporary directory.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let vault = dir.path().join("vault");
        Self::for_vault(vault, dir)
    }

    /// A place for a vault that lies elsewhere.
    pub(crate) fn for_vault(vault: PathBuf, dir: TempDir) -> Self {
        let (point, log) = (dir.path().join("mnt"), dir.path().join("log"));
        fs::create_dir(&point).unwrap();
        Self { vault, point, log, _dir: dir }
    }

    /// A place with a new vault in it.
    pub(crate) fn with_vault() -> Self {
        let place = Self::new();
        place.ok(&["init"]);
        place
    }

    /// The command, on this vault.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mirrordna"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).stdin(Stdio::null());
        command.args(["--quiet", "--lock-timeout", "60", "--vault"]).arg(&self.vault).args(arguments);
        command
    }

    /// Runs the command, which must succeed, and returns what it prints.
    #[track_caller]
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.command(arguments).output().unwrap();
        assert!(status.success(), "{arguments:?}: {status}: {}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).unwrap().trim_end().to_owned()
    }

    /// Starts to mount, and does not wait for it.
    pub(crate) fn begin_mount(&self) -> Served {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mirrordna"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.args(["--log-level", LOG, "--lock-timeout", "60", "--log-file"]).arg(&self.log);
        command.arg("--vault").arg(&self.vault).args(["mount", "--foreground"]).arg(&self.point);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let (send, said) = channel();
        let stderr = BufReader::new(process.stderr.take().unwrap());
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        Served { process, said, point: self.point.clone(), over: false }
    }

    /// Mounts; when this returns, it can be used. What a killed process left is cleared away.
    #[track_caller]
    pub(crate) fn mount(&self) -> Served {
        let served = self.begin_mount();
        served.wait_ready();
        served
    }

    /// Nothing that must not be is in the vault, which nobody has mounted.
    #[track_caller]
    pub(crate) fn assert_clean(&self) {
        let report = verify::verify(&self.vault, &VaultOptions::default(), &mut |_, _| {}).unwrap();
        assert!(report.is_clean(), "{:?}", &report.faults[..report.faults.len().min(5)]);
    }

    /// The processes of the mounts so far met no error that nobody expects.
    #[track_caller]
    pub(crate) fn assert_no_errors(&self) {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let errors: Vec<&str> = log.lines().filter(|line| line.contains(" ERROR ")).take(5).collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        clear(&self.point);
    }
}

/// A process that serves a mount. Neither it nor its mount outlives this.
pub(crate) struct Served {
    process: Child,
    said: Receiver<String>,
    point: PathBuf,
    over: bool,
}

impl Served {
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    #[track_caller]
    fn wait_ready(&self) {
        let mut heard = Vec::new();
        loop {
            match self.said.recv_timeout(LONG) {
                Ok(line) if line.contains("mounted on") => return,
                Ok(line) => heard.push(line),
                Err(RecvTimeoutError::Disconnected) => panic!("it was not mounted: {heard:?}"),
                Err(RecvTimeoutError::Timeout) => panic!("mounting takes too long: {heard:?}"),
            }
        }
    }

    /// The most memory that the process has had until now, in KiB.
    pub(crate) fn peak_kib(&self) -> u64 {
        peak_kib(self.id())
    }

    /// Kills it. Its mount stays behind, stale.
    #[track_caller]
    pub(crate) fn kill(mut self) {
        self.note_memory();
        self.process.kill().unwrap();
        self.wait();
        self.over = true;
    }

    /// Waits until it is gone.
    #[track_caller]
    fn wait(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < LONG, "it does not end\n{}", dump(self.id()));
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Unmounts, and waits until the process has written everything and ended well.
    #[track_caller]
    pub(crate) fn unmount(mut self) {
        self.note_memory();
        mirrordna_mount::umount(&self.point).unwrap();
        let status = self.wait();
        let said: Vec<String> = self.said.try_iter().collect();
        assert!(status.success(), "{status}: {said:?}");
        self.over = true;
    }

    #[track_caller]
    fn note_memory(&self) {
        let peak = self.peak_kib();
        assert!(peak < MOST_KIB, "the process of the mount took {peak} KiB");
        PEAK.fetch_max(peak, Ordering::Relaxed);
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if !self.over {
            let _ = self.process.kill();
            clear(&self.point);
            let _ = self.process.try_wait();
        }
    }
}

static PEAK: AtomicU64 = AtomicU64::new(0);

/// The most memory that any process of a mount took until now, as a phrase.
pub(crate) fn memory() -> String {
    format!("the process of a mount took at most {} MB", PEAK.load(Ordering::Relaxed) / 1_000)
}

fn peak_kib(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
    peak.unwrap_or(0)
}

/// Takes away whatever is mounted at a place and below it, as after a failed test.
pub(crate) fn clear(point: &Path) {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = table.lines().rev().filter_map(|line| line.split(' ').nth(4)).map(Path::new);
    for mounted in points.filter(|mounted| mounted.starts_with(point)) {
        let _ = Command::new("umount").args(["-q", "-l"]).arg(mounted).output();
    }
}
