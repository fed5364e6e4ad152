//! What is mounted where, as the kernel says.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// The type under which the kernel lists a mounted vault.
pub(crate) const SUBTYPE: &str = "mirrordna";

/// What lies at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// No mount point.
    Free,
    /// A vault is mounted there.
    Vault,
    /// A vault was mounted there, and the process that served it is gone.
    Stale,
    /// Something else is mounted there.
    Other,
}

/// The path without links and dots. The last name is taken as it is when there is nothing behind it that answers, as for a
/// stale mount.
pub(crate) fn absolute(path: &Path) -> io::Result<PathBuf> {
    match path.canonicalize() {
        Ok(path) => Ok(path),
        Err(error) => match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => {
                let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
                Ok(parent.canonicalize()?.join(name))
            }
            _ => Err(error),
        },
    }
}

/// What lies at an absolute path.
pub(crate) fn state(path: &Path) -> io::Result<State> {
    let table = fs::read("/proc/self/mountinfo")?;
    // The newest mount covers those below it.
    let top = table.rsplit(|byte| *byte == b'\n').filter_map(parse).find(|(point, _)| point == path);
    Ok(match top {
        None => State::Free,
        Some((_, kind)) if kind != format!("fuse.{SUBTYPE}") => State::Other,
        // Attributes may be answered from the cache of a mount whose process is gone; this never is.
        Some(_) => match rustix::fs::statvfs(path) {
            Err(rustix::io::Errno::NOTCONN | rustix::io::Errno::CONNABORTED) => State::Stale,
            _ => State::Vault,
        },
    })
}

/// Mount point and type of a line.
fn parse(line: &[u8]) -> Option<(PathBuf, String)> {
    let mut fields = line.split(|byte| *byte == b' ');
    let point = fields.nth(4)?;
    let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
    Some((PathBuf::from(OsString::from_vec(unescape(point))), String::from_utf8_lossy(kind).into_owned()))
}

/// Blanks, tabs, line breaks and backslashes stand as three octal digits behind a backslash.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, behind)) = rest.split_first() {
        let octal = if *byte == b'\\' { behind.get(..3) } else { None };
        let code = octal.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        bytes.push(code.unwrap_or(*byte));
        rest = if code.is_some() { behind.get(3..).unwrap_or_default() } else { behind };
    }
    bytes
}

/// The processes that have something open at a mount point, or stand in it: as many as can be seen.
pub(crate) fn users(mountpoint: &Path) -> Vec<String> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let mut users = Vec::new();
    for process in processes.flatten() {
        let is_process =
            process.file_name().to_str().is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
        if is_process && uses(&process.path(), mountpoint) {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            users.push(format!("{} ({})", process.file_name().to_string_lossy(), name.trim_end()));
        }
    }
    users
}

fn uses(process: &Path, mountpoint: &Path) -> bool {
    let leads_there = |link: PathBuf| fs::read_link(link).is_ok_and(|target| target.starts_with(mountpoint));
    let in_folder = |name: &str| {
        fs::read_dir(process.join(name)).is_ok_and(|links| links.flatten().any(|link| leads_there(link.path())))
    };
    ["cwd", "root", "exe"].into_iter().any(|name| leads_there(process.join(name)))
        || in_folder("fd")
        || in_folder("map_files")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_mountinfo_is_read() {
        let line = br"36 35 98:0 / /mnt/a\040b\134c rw,noatime master:1 - fuse.mirrordna mirrordna rw,user_id=0";
        assert_eq!(parse(line), Some((PathBuf::from(r"/mnt/a b\c"), "fuse.mirrordna".to_owned())));
        assert_eq!(parse(b""), None);
    }
}
