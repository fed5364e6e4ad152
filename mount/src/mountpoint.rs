//! What is mounted where, as the kernel says.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::guard::GUARD;

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

/// A line of the kernel's table of mounts.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    point: PathBuf,
    kind: String,
    source: OsString,
}

impl Line {
    fn is_vault(&self) -> bool {
        self.kind.strip_prefix("fuse.") == Some(SUBTYPE)
    }
}

/// All mounts, the newest first: it covers those below it.
fn mounts() -> io::Result<Vec<Line>> {
    let table = fs::read("/proc/self/mountinfo")?;
    Ok(table.rsplit(|byte| *byte == b'\n').filter_map(parse).collect())
}

/// What lies at an absolute path.
pub(crate) fn state(path: &Path) -> io::Result<State> {
    Ok(match mounts()?.iter().find(|line| line.point == path) {
        None => State::Free,
        Some(line) if !line.is_vault() => State::Other,
        // Attributes may be answered from the cache of a mount whose process is gone; this never is.
        Some(_) => match rustix::fs::statvfs(path) {
            Err(rustix::io::Errno::NOTCONN | rustix::io::Errno::CONNABORTED) => State::Stale,
            _ => State::Vault,
        },
    })
}

/// Where parts of a mounted vault are mounted below its mount point, in the order in which they can be unmounted.
pub(crate) fn parts_below(path: &Path) -> io::Result<Vec<PathBuf>> {
    let below = |line: &Line| line.is_vault() && line.point != path && line.point.starts_with(path);
    Ok(mounts()?.into_iter().filter(below).map(|line| line.point).collect())
}

/// The sources of the vault mounted at a path and of its parts.
pub(crate) fn sources(path: &Path) -> io::Result<Vec<OsString>> {
    let there = |line: &Line| line.is_vault() && line.point.starts_with(path);
    Ok(mounts()?.into_iter().filter(there).map(|line| line.source).collect())
}

/// What stands behind the numbers of a line, and behind its optional fields.
fn parse(line: &[u8]) -> Option<Line> {
    let mut fields = line.split(|byte| *byte == b' ');
    let point = fields.nth(4)?;
    let mut fields = fields.skip_while(|field| *field != b"-").skip(1);
    let text = |field: &[u8]| OsString::from_vec(unescape(field));
    let (point, kind, source) = (text(point).into(), fields.next()?, text(fields.next()?));
    Some(Line { point, kind: String::from_utf8_lossy(kind).into_owned(), source })
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

/// The processes that have something open at a mount point, or stand in it: as many as can be seen. Not the guards of mounts: they
/// begin with what their process has open, and close it at once.
pub(crate) fn users(mountpoint: &Path) -> Vec<String> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let mut users = Vec::new();
    for process in processes.flatten() {
        let is_process =
            process.file_name().to_str().is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
        if is_process && uses(&process.path(), mountpoint) {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            if name.trim_end() == GUARD {
                continue;
            }
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
        let line = br"36 35 98:0 / /mnt/a\040b\134c rw,noatime master:1 - fuse.mirrordna /my\040vault rw,user_id=0";
        let (point, kind) = (PathBuf::from(r"/mnt/a b\c"), "fuse.mirrordna".to_owned());
        assert_eq!(parse(line), Some(Line { point, kind, source: "/my vault".into() }));
        assert_eq!(parse(b""), None);
    }
}
