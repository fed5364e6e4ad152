//! Ends the connections to the kernel when the process that serves them was killed.
//!
//! The kernel ends a connection when its last descriptor is closed. That does not happen as long as a thread of the killed
//! process is in the kernel: the one that has a name dropped waits for the lock of its directory, which a program may hold that
//! waits for an answer of this process. Then neither would ever go on: not the program, not whoever waits for the vault,
//! which the process still holds, not even who wants to clear the mount away. So a child process watches over this one, and tells the kernel to end
//! the connections when it is gone. It has copied nothing but the descriptors for that.
#![allow(unsafe_code, reason = "a process that was forked from one with threads may only make calls of the system")]

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use mirrordna::threads::without_signals;
use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

/// The name of the watcher, and of the thread that forks it.
pub(crate) const GUARD: &str = "mirrordna-guard";
/// Where the kernel lets connections be ended.
const CONNECTIONS: &str = "/sys/fs/fuse/connections";
/// How often, a millisecond apart, the watcher looks whether this process is gone when it was told so.
const LOOKS: u32 = 1_000;

/// The watcher, as long as there is something to watch over.
#[derive(Debug)]
pub(crate) struct Guard {
    /// Closed to end it.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Guard {
    /// Watches over what is mounted on some directories and served by this process; nobody does where the kernel does not let us.
    pub(crate) fn start(points: &[PathBuf]) -> Option<Self> {
        let begin = || {
            let aborts = points.iter().map(|point| abort_file(point)).collect::<io::Result<Vec<_>>>()?;
            let (stop, stopped) = channel();
            let watch = move || watch_over_this_thread(&aborts, &stopped);
            let named = thread::Builder::new().name(GUARD.to_owned());
            let thread = without_signals(|| named.spawn(watch))?;
            Ok::<_, io::Error>(Self { stop: Some(stop), thread: Some(thread) })
        };
        begin()
            .inspect_err(|error| {
                tracing::warn!(
                    target: "mirrordna::mount",
                    %error,
                    "nobody can end this mount when its process is killed; then unmount it with `umount -f`, as root"
                );
            })
            .ok()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The file that ends the connection of a mount when it is written to.
fn abort_file(point: &Path) -> io::Result<OwnedFd> {
    // What the kernel knows without asking us: a thread that waited for an answer could keep those from running that give it.
    let known = rustix::fs::statx(rustix::fs::CWD, point, AtFlags::STATX_DONT_SYNC, StatxFlags::empty())?;
    let number = known.stx_dev_minor;
    match File::options().write(true).open(format!("{CONNECTIONS}/{number}/abort")) {
        Ok(file) => Ok(file.into()),
        // It may not be mounted. Root can look into it all the same.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let control = rustix::mount::fsopen("fusectl", FsOpenFlags::FSOPEN_CLOEXEC)?;
            rustix::mount::fsconfig_create(&control)?;
            let root = rustix::mount::fsmount(&control, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
            let flags = OFlags::WRONLY | OFlags::CLOEXEC;
            Ok(rustix::fs::openat(root, format!("{number}/abort"), flags, Mode::empty())?)
        }
        Err(error) => Err(error),
    }
}

/// Forks the watcher, which is told when the thread ends that forked it, and waits until it is not needed any more.
fn watch_over_this_thread(aborts: &[OwnedFd], stopped: &Receiver<()>) {
    let mut aborts: Vec<RawFd> = aborts.iter().map(AsRawFd::as_raw_fd).collect();
    aborts.sort_unstable();
    let thread = format!("/proc/{}/task/{}", std::process::id(), rustix::thread::gettid().as_raw_nonzero());
    let Ok(thread) = CString::new(thread) else { return };
    // SAFETY: `all` is written by `sigfillset` before it is read. As in `fork`, memory is copied, and the child goes on with a
    // copy of this thread's stack. It has this thread alone, and only makes calls that are safe after a fork of a process
    // with threads. Neither of the two ever handles a signal.
    let child = unsafe {
        let mut all = MaybeUninit::uninit();
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), ptr::null_mut());
        // No signal tells of its end, so that a program that waits for its own children never meets this one.
        match libc::syscall(libc::SYS_clone, 0, 0, 0, 0, 0) {
            0 => watch(&aborts, &thread),
            child => child,
        }
    };
    let child = libc::pid_t::try_from(child).unwrap_or(-1);
    if child < 0 {
        let error = io::Error::last_os_error();
        tracing::warn!(target: "mirrordna::mount", %error, "nobody can end this mount when its process is killed");
        return;
    }
    // Nothing is ever sent.
    let _ = stopped.recv();
    // SAFETY: the child has not been waited for, so that the number is still its own.
    unsafe {
        libc::kill(child, libc::SIGKILL);
        libc::waitpid(child, ptr::null_mut(), libc::__WCLONE);
    }
}

/// What the child does: when the thread is gone that forked it, it ends the connections, and itself.
///
/// # Safety
/// To be called in a child that was just forked, with all signals blocked. `aborts` must be in order.
unsafe fn watch(aborts: &[RawFd], thread: &CStr) -> ! {
    let signal = libc::SIGUSR1;
    // SAFETY: these are calls of the system, with numbers, or with pointers to what outlives them; `waited` is written by
    // `sigemptyset` before it is read. No memory is allocated and no lock taken.
    unsafe {
        libc::setsid();
        libc::chdir(c"/".as_ptr());
        let mut first = 0;
        for abort in aborts {
            if *abort > first {
                libc::syscall(libc::SYS_close_range, first, *abort - 1, 0);
            }
            first = *abort + 1;
        }
        libc::syscall(libc::SYS_close_range, first, RawFd::MAX, 0);
        libc::prctl(libc::PR_SET_NAME, c"mirrordna-guard".as_ptr());
        libc::prctl(libc::PR_SET_PDEATHSIG, signal);
        let mut waited = MaybeUninit::uninit();
        libc::sigemptyset(waited.as_mut_ptr());
        libc::sigaddset(waited.as_mut_ptr(), signal);
        // It may have gone before it was said that we want to know.
        let mut looks = 1;
        loop {
            if libc::access(thread.as_ptr(), libc::F_OK) != 0 {
                for abort in aborts {
                    libc::write(*abort, c"1".as_ptr().cast(), 1);
                }
                libc::_exit(0);
            }
            // Others can send this signal, too; then the thread is still there.
            looks -= 1;
            if looks > 0 {
                libc::usleep(1_000);
            } else {
                let mut number = 0;
                libc::sigwait(waited.as_ptr(), &raw mut number);
                looks = LOOKS;
            }
        }
    }
}
