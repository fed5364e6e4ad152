//! `mirrordna mount` and `mirrordna umount`: the vault as a directory.
//!
//! In the background a mount is served by a process of its own: the command starts itself again in a new session, with a
//! pipe as stdout, on which the new process says that it is ready, or why it is not.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::{Args, Subcommand};
use mirrordna_mount::{MountOptions, Server};

use crate::advice::Told;
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::exit::{self, Exit};
use crate::interrupt::Then;

/// What the process in the background says when the mount can be used.
const READY: &str = "ready";

/// How long a process may take to write everything out and close its vault after its mount is gone.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Mount the vault as a directory whose files are its records, and return when it can be used
    #[command(after_help = "\
Examples:
  mirrordna mount ~/vault
  mirrordna --log-file mount.log mount ~/vault
  mirrordna mount ~/vault --read-only --foreground")]
    Mount(Mount),
    /// Unmount a vault, and return when the process that served it is gone
    #[command(after_help = "Examples:\n  mirrordna umount ~/vault")]
    Umount {
        /// Where it is mounted
        dir: PathBuf,
    },
}

#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Mount {
    /// An empty directory
    dir: PathBuf,
    /// Stay in the foreground; Ctrl-C unmounts
    #[arg(long)]
    foreground: bool,
    /// Let nobody change anything there
    #[arg(long)]
    read_only: bool,
    /// Let other users look in, too
    #[arg(long)]
    allow_other: bool,
    /// Serve artifacts/ over the connection of the records, as for those who cannot mount inside a mount
    #[arg(long, hide = true)]
    one_connection: bool,
    /// This is the process in the background
    #[arg(long, hide = true)]
    serve: bool,
}

pub(crate) fn run(command: Command, context: &Context) -> Result<()> {
    match command {
        Command::Mount(mount) if mount.serve => serve_in_background(&mount, context),
        Command::Mount(mount) if mount.foreground => {
            let dir = mount.dir.display().to_string();
            serve(&mount, context, || {
                context.note(&format!("mounted on {dir}; Ctrl-C unmounts"));
                Ok(())
            })
        }
        Command::Mount(mount) => start_in_background(&mount, context),
        Command::Umount { dir } => {
            let server = Server::of(&dir);
            mirrordna_mount::umount(&dir)?;
            if let Some(server) = server
                && !server.wait(PATIENCE).map_err(|error| Failure::io(&dir, error))?
            {
                return Err(Failure::StillServing { seconds: PATIENCE.as_secs() });
            }
            context.note(&format!("unmounted {}", dir.display()));
            Ok(())
        }
    }
}

/// Mounts the vault and serves it until it is unmounted. `ready` is called when it can be used.
fn serve(mount: &Mount, context: &Context, ready: impl FnOnce() -> Result<()>) -> Result<()> {
    let vault = context.own()?;
    let options = MountOptions {
        allow_other: mount.allow_other,
        read_only: mount.read_only,
        one_connection: mount.one_connection,
    };
    let progress = Arc::new(Mutex::new(Progress::default()));
    let seen = Arc::clone(&progress);
    let stop = move || {
        let mut progress = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(dir) = &progress.dir else {
            progress.asked = true;
            return Then::GoesOn;
        };
        match mirrordna_mount::umount(dir) {
            Ok(()) => Then::Ends,
            Err(error) => {
                tracing::error!(target: "mirrordna::mount", %error, "cannot be unmounted yet");
                let _ = writeln!(std::io::stderr(), "{error}");
                Then::GoesOn
            }
        }
    };
    context.interrupt().during(stop, || {
        let mounted = mirrordna_mount::mount(vault, &mount.dir, &options)?;
        let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
        if progress.asked {
            return Ok(mounted.unmount()?);
        }
        progress.dir = Some(mounted.mountpoint().to_owned());
        drop(progress);
        ready()?;
        Ok(mounted.wait()?)
    })
}

/// How far a mount is, for a signal that wants it to end: one that came while it was being mounted would leave half of it.
#[derive(Default)]
struct Progress {
    /// It is to end as soon as it is mounted.
    asked: bool,
    /// Where it is mounted.
    dir: Option<PathBuf>,
}

/// The process in the background: leaves session, directory and stdout of whoever started it.
fn serve_in_background(mount: &Mount, context: &Context) -> Result<()> {
    let system = |error: rustix::io::Errno| Failure::io("/", error.into());
    rustix::process::setsid().map_err(system)?;
    rustix::process::chdir("/").map_err(system)?;
    let ready = || -> Result<()> {
        context.output().line(READY)?;
        context.output().flush()?;
        let nothing = File::options().write(true).open("/dev/null").map_err(|error| Failure::io("/dev/null", error))?;
        rustix::stdio::dup2_stdout(nothing).map_err(system)
    };
    serve(mount, context, ready).inspect_err(|failure| {
        // Whoever started this process is waiting for it; if nobody is, nobody misses it.
        let _ = context.output().line(&format!("{} {}", exit::code(failure).number(), Told(failure)));
    })
}

/// Starts the process in the background and waits until it is ready.
fn start_in_background(mount: &Mount, context: &Context) -> Result<()> {
    let program = std::env::current_exe().map_err(|error| Failure::io("/proc/self/exe", error))?;
    let failed = |error| Failure::io(&program, error);
    let mut child = Process::new(&program)
        .arg0("mirrordna")
        .args(arguments(mount, context)?)
        .env_remove(crate::input::KEY_VARIABLE)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    let process = rustix::process::Pid::from_child(&child);
    let stop = move || {
        // It ends before it is ready, so that the pipe is closed.
        let _ = rustix::process::kill_process(process, rustix::process::Signal::TERM);
        Then::Ends
    };
    let mut said = String::new();
    let mut pipe = child.stdout.take();
    let read = || pipe.as_mut().map_or(Ok(0), |pipe| pipe.read_to_string(&mut said));
    context.interrupt().during(stop, read).map_err(failed)?;
    if said.trim_end() == READY {
        context.note(&format!("mounted on {}", mount.dir.display()));
        return Ok(());
    }
    let status = child.wait().map_err(failed)?;
    Err(match said.trim_end().split_once(' ') {
        Some((code, message)) => {
            let exit = code.parse().ok().and_then(Exit::from_number).unwrap_or(Exit::Mount);
            Failure::Background { exit, message: message.to_owned() }
        }
        None => Failure::Background {
            exit: if status.code() == Some(Exit::Interrupted.number().into()) {
                Exit::Interrupted
            } else {
                Exit::Mount
            },
            message: format!("the process of the mount ended before it was ready ({status}); try with --foreground"),
        },
    })
}

/// The arguments of the process in the background, none of which depends on the working directory. What comes first is
/// what others are told who find the vault held.
fn arguments(mount: &Mount, context: &Context) -> Result<Vec<OsString>> {
    let absolute = |path: &Path| std::path::absolute(path).map_err(|error| Failure::io(path, error));
    let globals = context.globals();
    let mut arguments: Vec<OsString> = vec!["mount".into(), absolute(&mount.dir)?.into()];
    arguments.extend(mount.read_only.then(|| "--read-only".into()));
    arguments.extend(mount.allow_other.then(|| "--allow-other".into()));
    arguments.extend(mount.one_connection.then(|| "--one-connection".into()));
    arguments.extend(["--vault".into(), absolute(&context.vault_dir()?)?.into(), "--serve".into()]);
    let mut option = |name: &str, value: Option<OsString>| {
        arguments.extend(value.into_iter().flat_map(|value| [name.into(), value]));
    };
    option("--actor", globals.actor.as_ref().map(Into::into));
    option("--lock-timeout", globals.lock_timeout.map(|timeout| timeout.as_secs_f64().to_string().into()));
    option("--log-level", globals.log_level.as_ref().map(Into::into));
    option("--log-file", globals.log_file.as_deref().map(absolute).transpose()?.map(Into::into));
    arguments.extend((0..globals.verbose).map(|_| "-v".into()));
    arguments.extend(globals.structured_logs.then(|| "--structured-logs".into()));
    Ok(arguments)
}
