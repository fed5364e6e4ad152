//! Processes of these tests: this test binary itself, started again, told on stdin what to do with the vault.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use mirrordna::artifacts::Artifacts;
use mirrordna::record::Kind;
use mirrordna::storage::{Changed, LogEntry, Ownership, Sequence, Subscriber};
use mirrordna::vault::View;
use mirrordna::{Vault, VaultOptions, interchange};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{LONG, contents, memory, options, write};

const DIR: &str = "MIRRORDNA_PROCESSES_DIR";
const WANTED: &str = "MIRRORDNA_PROCESSES_WANTED";
const IMPATIENT: &str = "MIRRORDNA_PROCESSES_IMPATIENT";

/// A process that has the vault open.
pub(crate) struct Child {
    process: std::process::Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Child {
    /// Starts a process and waits until it has opened the vault.
    pub(crate) fn open(dir: &Path) -> Self {
        Self::start(dir, false)
    }

    /// The same for a process that wants to own the vault.
    pub(crate) fn own(dir: &Path) -> Self {
        Self::start(dir, true)
    }

    /// Starts a process as another user, from a copy of this program that everybody may run. It need not open the vault.
    pub(crate) fn as_user(dir: &Path, program: &Path, uid: u32) -> String {
        let mut command = Command::new(program);
        Self::prepare(&mut command, dir);
        let done = command.uid(uid).gid(uid).current_dir("/").env(IMPATIENT, "1").output().unwrap();
        String::from_utf8(done.stdout).unwrap()
    }

    fn prepare(command: &mut Command, dir: &Path) {
        command.args(["--exact", "child::does_what_it_is_told", "--nocapture", "--test-threads=1"]);
        command.env(DIR, dir).stdin(Stdio::null());
    }

    fn start(dir: &Path, wanted: bool) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        Self::prepare(&mut command, dir);
        if wanted {
            command.env(WANTED, "1");
        }
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let (send, lines) = channel();
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        let stdin = process.stdin.take();
        let child = Self { process, stdin, lines };
        // The harness of tests has begun this line.
        child.expect("open");
        child
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Says what to do, and does not wait.
    pub(crate) fn say(&mut self, line: &str) {
        let _ = writeln!(self.stdin.as_mut().unwrap(), "{line}");
    }

    /// Says what to do, and gives the answer.
    #[track_caller]
    pub(crate) fn ask(&mut self, line: &str) -> String {
        self.say(line);
        self.answer().unwrap_or_else(|| panic!("no answer to {line}"))
    }

    /// The next line. None when the process has ended.
    #[track_caller]
    pub(crate) fn answer(&self) -> Option<String> {
        match self.lines.recv_timeout(LONG) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("it says nothing"),
        }
    }

    /// Everything it has said until now.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.lines.try_iter().collect()
    }

    /// Waits for a line with this end.
    #[track_caller]
    pub(crate) fn expect(&self, end: &str) {
        while !self.answer().unwrap_or_else(|| panic!("it ended before it said {end}")).ends_with(end) {}
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    /// Kills it and returns what it had said.
    pub(crate) fn kill(mut self) -> Vec<String> {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.lines.iter().collect()
    }

    /// Lets it close the vault and returns what it had said.
    pub(crate) fn end(mut self) -> Vec<String> {
        drop(self.stdin.take());
        let said = self.lines.iter().collect();
        assert!(self.process.wait().unwrap().success());
        said
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn say(line: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{line}");
    let _ = stdout.flush();
}

/// Not a test: what the children run. Without the variable there is nothing to do.
#[test]
fn does_what_it_is_told() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let ownership = if std::env::var_os(WANTED).is_some() { Ownership::Wanted } else { Ownership::Any };
    let mut options = VaultOptions { ownership, ..options() };
    if std::env::var_os(IMPATIENT).is_some() {
        options.lock_timeout = Duration::from_millis(200);
    }
    let vault = match Vault::open(Path::new(&dir), &options) {
        Ok(vault) => vault,
        Err(error) => return say(&format!("refused: {error}")),
    };
    say("open");
    let mut held = Held { vault, views: Vec::new(), listeners: Vec::new(), artifacts: None };
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let words: Vec<&str> = line.split(' ').collect();
        if !held.does(&words) {
            say(&format!("unknown: {line}"));
        }
    }
}

struct Held {
    vault: Vault,
    views: Vec<View>,
    listeners: Vec<Arc<dyn Subscriber>>,
    artifacts: Option<Arc<Artifacts>>,
}

impl Held {
    fn does(&mut self, words: &[&str]) -> bool {
        let storage = self.vault.storage();
        let outcome = |result: Result<String, String>| say(&result.unwrap_or_else(|error| format!("failed: {error}")));
        match words {
            ["write", id, content] => {
                let written = write(storage, id, content).map(|made| format!("wrote {}", made.last));
                outcome(written.map_err(|error| error.to_string()));
            }
            // One version after the other until there is no more stdin, or no more process.
            ["write-on", id] => {
                let (vault, id) = (self.vault.clone(), (*id).to_owned());
                std::thread::spawn(move || {
                    for n in 0.. {
                        match write(vault.storage(), &id, &n.to_string()) {
                            Ok(_) => say(&format!("ack {id} {n}")),
                            Err(error) => return say(&format!("failed: {error}")),
                        }
                    }
                });
            }
            ["read", id] => say(&contents(storage, id).join(",")),
            ["state"] => say(&storage.state().sequence.to_string()),
            ["view", at] => match self.vault.at(at.parse().unwrap()) {
                Ok(view) => {
                    self.views.push(view);
                    say("viewed");
                }
                Err(error) => say(&format!("failed: {error}")),
            },
            ["viewed", id] => {
                let found = self.views.last().unwrap().find(Kind::Memory, id);
                let content = |record: mirrordna::vault::Record| record.value.str_at("content").unwrap().to_owned();
                outcome(found.map(|found| found.map_or_else(|| "gone".to_owned(), content)).map_err(|e| e.to_string()));
            }
            ["forget"] => {
                self.views.clear();
                say("forgotten");
            }
            ["listen", slow] => {
                let slow = Duration::from_millis(slow.parse().unwrap());
                let listener: Arc<dyn Subscriber> = Arc::new(Listener { slow });
                self.vault.subscribe(&listener).unwrap();
                self.listeners.push(listener);
                say("listening");
            }
            ["restore", snapshot] => {
                let restored = self.vault.snapshots().restore(snapshot);
                outcome(restored.map(|done| format!("restored {}", done.put)).map_err(|error| error.to_string()));
            }
            ["import", store] => {
                let options = interchange::ImportOptions { lenient: false };
                let mut told = false;
                let mut follow = |done, total| {
                    // Once, in the middle, so that the test can interfere.
                    if !told && done * 4 > total {
                        told = true;
                        say("importing");
                    }
                    std::ops::ControlFlow::Continue(())
                };
                let imported = interchange::import_store(&self.vault, Path::new(store), &options, &mut follow);
                outcome(imported.map(|report| format!("imported {}", report.total().taken)).map_err(|e| e.to_string()));
            }
            ["artifacts"] => {
                let opened = self.vault.artifacts().map(|artifacts| {
                    self.artifacts = Some(artifacts);
                    "files".to_owned()
                });
                outcome(opened.map_err(|error| error.to_string()));
            }
            // Through the vault, which waits for the subscribers.
            ["put", id, content] => {
                let put = self.vault.put(Kind::Memory, memory(id, content));
                outcome(put.map(|record| format!("put {}", record.sequence)).map_err(|error| error.to_string()));
            }
            _ => return false,
        }
        true
    }
}

/// Says what it hears, before the commit returns.
struct Listener {
    slow: Duration,
}

impl Subscriber for Listener {
    fn changed(&self, changes: &[Changed]) {
        std::thread::sleep(self.slow);
        for Changed { entry: LogEntry { id, sequence, .. }, before, after } in changes {
            say(&format!("heard {id} {sequence} {} {}", before.len(), after.len()));
        }
    }

    fn settle(&self, upto: Sequence) {
        std::thread::sleep(self.slow);
        say(&format!("settled {upto}"));
    }
}
