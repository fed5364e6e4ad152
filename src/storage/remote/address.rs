//! The socket in a vault's directory, and who is at its other end.
//!
//! The address of a socket has room for 108 bytes. A longer path leads through `/proc/self/fd`: the directory is opened,
//! and its number names it.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::net::sockopt::socket_peercred;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// The name of the socket in the vault's directory.
const SOCKET: &str = "SOCKET";
/// Under this name it is made, so that nobody meets it before its mode is right.
const UNFINISHED: &str = "SOCKET.tmp";
/// The longest path that an address has room for, with some to spare.
const MAX_PATH: usize = 100;

/// A path to a file of a directory that is short enough, and what must stay open for as long as it is used.
fn short(dir: &Path, name: &str) -> io::Result<(PathBuf, Option<File>)> {
    let path = dir.join(name);
    if path.as_os_str().len() <= MAX_PATH {
        return Ok((path, None));
    }
    let open = File::open(dir)?;
    Ok((format!("/proc/self/fd/{}/{name}", open.as_raw_fd()).into(), Some(open)))
}

/// Listens in a vault's directory. Whoever calls this holds the vault's lock, so a socket that is there belongs to nobody.
pub(super) fn listen(dir: &Path) -> io::Result<UnixListener> {
    let unfinished = dir.join(UNFINISHED);
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let (path, _open) = short(dir, UNFINISHED)?;
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(&unfinished, Permissions::from_mode(0o600))?;
    fs::rename(&unfinished, dir.join(SOCKET))?;
    Ok(listener)
}

/// Connects to the process that listens in a vault's directory. [`io::ErrorKind::WouldBlock`] when it takes no more calls.
pub(super) fn connect(dir: &Path) -> io::Result<UnixStream> {
    let (path, _open) = short(dir, SOCKET)?;
    // Where so many wait already that there is no room for another, connecting would wait without end.
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// Whether a socket is there, be it one that nobody listens on.
pub(in crate::storage) fn exists(dir: &Path) -> bool {
    dir.join(SOCKET).symlink_metadata().is_ok()
}

/// Takes the socket away, before the lock is let go.
pub(super) fn remove(dir: &Path) {
    if let Err(error) = fs::remove_file(dir.join(SOCKET)) {
        tracing::debug!(target: "mirrordna::storage", dir = %dir.display(), %error, "the socket cannot be removed");
    }
}

/// Whether the process that calls may: it runs as the same user, or as root.
pub(super) fn may_call(stream: &UnixStream) -> bool {
    peer(stream).is_some_and(|uid| uid == 0 || uid == rustix::process::geteuid().as_raw())
}

/// Whether the process that listens may be believed: it runs as the same user, as root, or as the user whose vault it is.
/// In a directory that others may write to, anybody could listen.
pub(super) fn may_answer(dir: &Path, stream: &UnixStream) -> bool {
    peer(stream).is_some_and(|uid| {
        let owner = || fs::metadata(dir).map(|found| found.uid()).ok();
        uid == 0 || uid == rustix::process::geteuid().as_raw() || owner() == Some(uid)
    })
}

fn peer(stream: &UnixStream) -> Option<u32> {
    socket_peercred(stream).ok().map(|peer| peer.uid.as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_private_found_and_made_anew_over_a_stale_one() {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            let listener = listen(dir.path()).unwrap();
            let mode = fs::metadata(dir.path().join(SOCKET)).unwrap().mode();
            assert_eq!(mode & 0o777, 0o600);
            let calling = connect(dir.path()).unwrap();
            let (called, _) = listener.accept().unwrap();
            assert!(may_call(&called) && may_answer(dir.path(), &calling));
        }
        assert_eq!(connect(dir.path()).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        remove(dir.path());
        assert_eq!(connect(dir.path()).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn paths_of_any_length_lead_to_a_socket() {
        let dir = tempfile::tempdir().unwrap();
        let mut path = dir.path().to_owned();
        for length in [1, 40, 60, 200, 255] {
            path = path.join("d".repeat(length));
            fs::create_dir(&path).unwrap();
            let listener = listen(&path).unwrap();
            connect(&path).unwrap();
            drop(listener);
        }
    }
}
