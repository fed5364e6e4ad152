//! Calls of the system that the standard library has no safe way to make.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, IntoRawFd as _};

/// Closes a file and says what closing it said.
pub(crate) fn close(file: File) -> io::Result<()> {
    let descriptor = file.into_raw_fd();
    // SAFETY: the descriptor was owned by `file`, which has given it up, and is closed once.
    if unsafe { libc::close(descriptor) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Puts bytes into a file through a shared mapping of it, all within the file's length, and reads the whole file back the
/// same way.
pub(crate) fn write_and_read(file: &File, offset: usize, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let len = usize::try_from(file.metadata()?.len()).unwrap();
    assert!(offset + bytes.len() <= len && len > 0);
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
    // SAFETY: a new shared mapping of a file that is open for reading and writing; nothing else is at the address that is
    // given out, and only this thread cuts the file.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, file.as_raw_fd(), 0) };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the mapping has `len` bytes, `offset + bytes.len()` of which are written; nobody else refers to them.
    let all = unsafe {
        let all = std::slice::from_raw_parts_mut(start.cast::<u8>(), len);
        all[offset..offset + bytes.len()].copy_from_slice(bytes);
        all.to_vec()
    };
    // SAFETY: the mapping was made above with this length, and nothing refers to it any more.
    if unsafe { libc::munmap(start, len) } == 0 { Ok(all) } else { Err(io::Error::last_os_error()) }
}
