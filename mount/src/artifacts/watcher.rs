//! What the kernel does when others than its programs work on the files: it writes what it has collected before they read or
//! change it, drops what they have changed, and lets nobody go on with what they have replaced.

use std::io;
use std::path::PathBuf;
use std::sync::Weak;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;

use fuser::Notifier;
use mirrordna::artifacts::{Ino, Invalidation, Watch};
use mirrordna::threads::without_signals;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxFlags};

use super::notify::{PATIENCE, drop_pages};
use super::{Invalidator, Known, Sharing};

/// So often the kernel is asked for what was on its way when it was asked before.
const ROUNDS: usize = 3;

/// The kernel, as the files see it that others work on.
#[derive(Clone)]
pub(crate) struct KernelWatch {
    pub(crate) invalidator: Invalidator,
    /// Kept by the mount alone: the files keep who watches them, and it keeps the files.
    pub(crate) known: Weak<Known>,
    pub(crate) sharing: Sharing,
    pub(crate) notifier: Notifier,
    pub(crate) mount: Place,
}

/// Where files are mounted.
#[derive(Clone)]
pub(crate) struct Place {
    path: PathBuf,
    device: (u32, u32),
}

impl Place {
    /// A place at which something is mounted by now. Nobody has to answer for it.
    ///
    /// # Errors
    /// Those of the operating system.
    pub(crate) fn of(path: PathBuf) -> io::Result<Self> {
        let found = rustix::fs::statx(CWD, &path, AtFlags::STATX_DONT_SYNC, StatxFlags::empty())?;
        Ok(Self { path, device: (found.stx_dev_major, found.stx_dev_minor) })
    }

    /// Has the kernel begin to write all that was written there. Nothing, when something else is there by now.
    fn sync(&self) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(&self.path, flags, Mode::empty())?;
        let device = rustix::fs::fstat(&root)?.st_dev;
        if (rustix::fs::major(device), rustix::fs::minor(device)) == self.device {
            rustix::fs::syncfs(&root)?;
        }
        Ok(())
    }
}

impl Watch for KernelWatch {
    fn changed(&self, changes: &[Invalidation]) {
        self.invalidator.changed(changes);
    }

    fn write_back(&self, ino: Ino, from: u64, to: Option<u64>) {
        if self.known.upgrade().is_some_and(|known| known.knows(ino)) {
            drop_pages(&self.notifier, self.sharing.number(ino), from, to);
        }
    }

    /// For as long as it takes, but not for ever: the threads that answer the kernel may all wait for who asks.
    fn write_back_all(&self) {
        if self.invalidator.is_closed() {
            return;
        }
        let (done, acknowledged) = sync_channel(1);
        let this = self.clone();
        let work = move || {
            let _ = done.try_send(this.collect());
        };
        let started = without_signals(|| thread::Builder::new().name("mirrordna-collect".to_owned()).spawn(work));
        let collected = match started {
            Ok(_) => match acknowledged.recv_timeout(PATIENCE) {
                Ok(collected) => collected,
                Err(RecvTimeoutError::Timeout) => Err(io::ErrorKind::TimedOut.into()),
                Err(RecvTimeoutError::Disconnected) => Err(io::ErrorKind::Other.into()),
            },
            Err(error) => Err(error),
        };
        if let Err(error) = collected {
            let path = self.mount.path.display();
            tracing::warn!(target: "mirrordna::mount", %path, %error, "the kernel did not write what it had collected");
        }
    }

    fn replaced(&self, inos: &[Ino], all: bool) {
        if let Some(known) = self.known.upgrade() {
            known.replace(inos, all);
        }
    }
}

impl KernelWatch {
    /// Returns when the kernel has written what it had when this was called.
    fn collect(&self) -> io::Result<()> {
        // This sends it on its way, and tells of each file that something of it has changed.
        self.mount.sync()?;
        for _ in 0..ROUNDS {
            let written = self.known.upgrade().map(|known| known.take_written()).unwrap_or_default();
            if written.is_empty() {
                break;
            }
            // This waits for what is on its way.
            for ino in written {
                drop_pages(&self.notifier, self.sharing.number(ino), 0, None);
            }
        }
        Ok(())
    }
}
