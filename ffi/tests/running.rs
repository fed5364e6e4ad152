//! Running programs, none of which can hold up the tests: whoever does not end in time is killed, with all that it started.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Far more than any program of the tests takes, under valgrind and on a machine that has much other work.
const LIMIT: Duration = Duration::from_secs(600);

/// Runs a command, which must succeed, and gives what it printed.
pub(crate) fn run(command: &mut Command) -> String {
    let output = output(command);
    assert!(output.status.success(), "{}", described(command, &output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a command and gives how it ended.
pub(crate) fn output(command: &mut Command) -> Output {
    within(LIMIT, command)
}

/// Whether a command succeeds, and in time.
pub(crate) fn succeeds(limit: Duration, command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let (status, in_time) = Running::start(limit, command).wait();
    in_time && status.success()
}

fn described(command: &Command, output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{command:?}: {}\n{out}\n{err}", output.status)
}

/// What it prints goes to files: a pipe would stay open for as long as anybody has it that the program started.
fn within(limit: Duration, command: &mut Command) -> Output {
    let (mut stdout, mut stderr) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    command.stdin(Stdio::null()).stdout(stdout.try_clone().unwrap()).stderr(stderr.try_clone().unwrap());
    let (status, in_time) = Running::start(limit, command).wait();
    let output = Output { status, stdout: whole(&mut stdout), stderr: whole(&mut stderr) };
    assert!(in_time, "killed after {} s: {}", limit.as_secs(), described(command, &output));
    output
}

fn whole(file: &mut File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

/// A program that is running, in a process group of its own, which is killed when its time is over or this is dropped.
pub(crate) struct Running {
    pub(crate) child: Child,
    /// Dropped when the program has ended.
    ended: Option<Sender<()>>,
    /// Says whether the program ended in time.
    watchman: Option<JoinHandle<bool>>,
}

impl Running {
    /// Starts a program that has as long as all others have.
    pub(crate) fn new(command: &mut Command) -> Self {
        Self::start(LIMIT, command)
    }

    fn start(limit: Duration, command: &mut Command) -> Self {
        let child = command.process_group(0).spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let group = child.id().cast_signed();
        let (ended, end) = channel::<()>();
        let watchman = std::thread::spawn(move || {
            let in_time = end.recv_timeout(limit) != Err(RecvTimeoutError::Timeout);
            if !in_time {
                kill(group);
            }
            in_time
        });
        Self { child, ended: Some(ended), watchman: Some(watchman) }
    }

    /// Waits until the program ends, and says whether it did so in time.
    pub(crate) fn wait(mut self) -> (ExitStatus, bool) {
        let status = self.child.wait().unwrap();
        self.ended = None;
        (status, self.watchman.take().is_none_or(|watchman| watchman.join().unwrap()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A test that failed leaves nobody behind.
        if self.ended.take().is_some() {
            kill(self.child.id().cast_signed());
            let _ = self.child.wait();
        }
    }
}

/// Kills a process group.
fn kill(group: i32) {
    // SAFETY: it touches no memory. The group is that of a child that is still waited for, so its number is not another's.
    unsafe { libc::kill(-group, libc::SIGKILL) };
}

#[test]
fn a_program_that_hangs_is_killed_with_what_it_started() {
    let hanging = || {
        let mut shell = Command::new("sh");
        within(Duration::from_secs(10), shell.args(["-c", "echo before; sleep 1000 & echo $! >&2; wait"]))
    };
    let failure = std::panic::catch_unwind(hanging).unwrap_err();
    let said = failure.downcast_ref::<String>().unwrap();
    assert!(said.starts_with("killed after 10 s: ") && said.contains("before\n"), "{said}");
    let sleeper = format!("/proc/{}/stat", said.split_whitespace().last().unwrap());
    // A zombie stays where nobody waits for it.
    let is_gone = || std::fs::read_to_string(&sleeper).map_or(true, |state| state.contains(") Z "));
    let mut tries = (0..3_000).map(|_| std::thread::sleep(Duration::from_millis(10)));
    assert!(tries.any(|()| is_gone()), "{sleeper}");
}

#[test]
fn how_a_program_ends_and_what_it_prints_is_told() {
    let output = output(Command::new("sh").args(["-c", "echo out; echo err >&2; kill -9 $$"]));
    assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"out\n"[..], &b"err\n"[..]));
    assert_eq!(output.status.signal(), Some(9));
}
