//! Connections to the kernel: `/dev/fuse` is opened, and what is read from it mounted on a directory.
//!
//! Root mounts with the system call; for others `fusermount3` does it and hands over the open device. It is done here, not
//! by `fuser`, because `fuser` would refuse what the kernel asks for in its own name (times that it writes back, as root)
//! in a mount that only its user may look into. The kernel itself keeps others out, and it does so before it asks us.

use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use fuser::{InitFlags, KernelConfig};
use rustix::io::Errno;
use rustix::mount::MountFlags;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use crate::error::MountError;
use crate::mountpoint::SUBTYPE;

/// The largest request, and how much of a file is read ahead.
pub(crate) const REQUEST: u32 = 1 << 20;
/// How many requests of the kernel's own (reading ahead, writing back) may be under way.
const BACKGROUND: u16 = 64;

/// The kernel's door to file systems in processes.
const DEVICE: &str = "/dev/fuse";
/// The program that mounts for others than root, and where it is told to hand over the device: its standard input.
const HELPER: &str = "fusermount3";
const HELPER_SOCKET: (&str, &str) = ("_FUSE_COMMFD", "0");

/// How something is to be mounted. Set-id bits and device files never have an effect in a mount of ours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms<'a> {
    /// What `mount` and `df` show as the source.
    pub(crate) source: &'a OsStr,
    pub(crate) read_only: bool,
    pub(crate) allow_other: bool,
    /// The kernel checks owners and modes.
    pub(crate) check_permissions: bool,
}

/// Mounts on a directory, and gives the open device.
pub(crate) fn connect(point: &Path, terms: &Terms<'_>) -> Result<OwnedFd, MountError> {
    match by_system_call(point, terms) {
        Ok(device) => Ok(device),
        // The helper may do more than this user: it is root's.
        Err(Errno::PERM | Errno::ACCESS) => by_helper(point, terms),
        Err(Errno::NOENT | Errno::NODEV | Errno::NXIO) => Err(MountError::NoDevice),
        Err(error) => Err(MountError::Io { path: point.to_owned(), source: error.into() }),
    }
}

/// Agrees with the kernel on how to talk: what it is asked to do, as far as it can, and the size of requests. An older kernel
/// does without some of it, and is only slower.
pub(crate) fn agree(config: &mut KernelConfig, wanted: InitFlags) {
    for one in wanted.iter() {
        let _ = config.add_capabilities(one);
    }
    let _ = config.set_max_write(REQUEST);
    if let Err(most) = config.set_max_readahead(REQUEST) {
        let _ = config.set_max_readahead(most);
    }
    let _ = config.set_max_background(BACKGROUND);
}

fn by_system_call(point: &Path, terms: &Terms<'_>) -> rustix::io::Result<OwnedFd> {
    let system = |error: io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    let device = File::options().read(true).write(true).open(DEVICE).map_err(system)?;
    let mut data = format!(
        "fd={},rootmode=40000,user_id={},group_id={},subtype={SUBTYPE}",
        device.as_raw_fd(),
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    for (wanted, option) in [(terms.allow_other, ",allow_other"), (terms.check_permissions, ",default_permissions")] {
        data.push_str(if wanted { option } else { "" });
    }
    let mut flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOATIME;
    flags.set(MountFlags::RDONLY, terms.read_only);
    let data = CString::new(data).map_err(|_| Errno::INVAL)?;
    rustix::mount::mount(terms.source, point, "fuse", flags, data.as_c_str())?;
    Ok(device.into())
}

fn by_helper(point: &Path, terms: &Terms<'_>) -> Result<OwnedFd, MountError> {
    let failed = |source| MountError::Io { path: point.to_owned(), source };
    let (ours, theirs) = UnixStream::pair().map_err(failed)?;
    let mut helper = Command::new(HELPER);
    helper.arg("-o").arg(options(terms)).arg("--").arg(point).env(HELPER_SOCKET.0, HELPER_SOCKET.1);
    helper.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null()).stderr(Stdio::piped());
    let child = helper.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => MountError::NoHelper,
        _ => failed(error),
    })?;
    // Otherwise our own copy of their end would keep the socket open when the helper fails.
    drop(helper);
    let device = receive(&ours);
    let output = child.wait_with_output().map_err(failed)?;
    match device {
        Ok(Some(device)) if output.status.success() => Ok(device),
        Ok(_) => Err(refused(point, String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Err(failed(error.into())),
    }
}

fn refused(point: &Path, detail: &str) -> MountError {
    MountError::Permission { action: "mount on", path: point.to_owned(), detail: detail.to_owned() }
}

/// The options of the helper, in which commas and backslashes of names stand behind a backslash.
fn options(terms: &Terms<'_>) -> OsString {
    let mut options = OsString::from(format!("nosuid,nodev,noatime,subtype={SUBTYPE},fsname="));
    for byte in terms.source.as_bytes() {
        if matches!(byte, b',' | b'\\') {
            options.push("\\");
        }
        options.push(OsStr::from_bytes(std::slice::from_ref(byte)));
    }
    let flags = [
        (terms.read_only, ",ro"),
        (terms.allow_other, ",allow_other"),
        (terms.check_permissions, ",default_permissions"),
    ];
    for (wanted, option) in flags {
        options.push(if wanted { option } else { "" });
    }
    options
}

/// The open device that the helper sends, or nothing when it ends without.
fn receive(socket: &UnixStream) -> rustix::io::Result<Option<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    rustix::io::retry_on_intr(|| {
        recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)
    })?;
    let mut received = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut devices) => devices.next(),
        _ => None,
    });
    Ok(received.next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_for_the_helper() {
        let source = OsStr::new(r"/a,b\c");
        let terms = Terms { source, read_only: true, allow_other: false, check_permissions: true };
        let expected = r"nosuid,nodev,noatime,subtype=mirrordna,fsname=/a\,b\\c,ro,default_permissions";
        assert_eq!(options(&terms), expected);
    }
}
