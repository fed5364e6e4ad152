//! `artifacts/` of a snapshot: the files as they were.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::sync::Arc;

use rustix::io::Errno;

use crate::artifacts::{FsError, Ino, Nanos, Seek};
use crate::record::Timestamp;
use crate::storage::{Dentry, StorageError};
use crate::vault::{Error, Result};

use super::Attributes;
use super::content::Content;
use super::listing::{Cursor, Entry};
use super::node::{Item, Node, Pinned};

/// Names read at once.
const PAGE: usize = 1_024;

pub(super) fn lookup(pinned: &Pinned, ino: Ino, parent: &Node, name: &OsStr) -> Result<Option<Node>> {
    match pinned.artifacts().lookup(ino, name.as_bytes()) {
        Ok(found) => Ok(Some(node(parent, found))),
        Err(FsError::NotFound) => Ok(None),
        Err(error) => Err(failed(parent, error)),
    }
}

pub(super) fn attributes(pinned: &Pinned, ino: Ino, node: &Node) -> Result<Attributes> {
    let found = pinned.artifacts().attributes(ino).map_err(|error| failed(node, error))?;
    Ok(Attributes {
        file_type: found.file_type,
        size: found.size,
        mtime: timestamp(found.mtime),
        ctime: timestamp(found.ctime),
        nlink: found.nlink,
        artifact: Some(found),
    })
}

pub(super) fn open(pinned: &Arc<Pinned>, ino: Ino, node: &Node) -> Result<Content> {
    let found = pinned.artifacts().attributes(ino).map_err(|error| failed(node, error))?;
    Ok(Content::of_artifact(Arc::clone(pinned), ino, found.size, timestamp(found.mtime)))
}

pub(super) fn read_link(pinned: &Pinned, ino: Ino, node: &Node) -> Result<OsString> {
    pinned.artifacts().read_link(ino).map(OsString::from_vec).map_err(|error| failed(node, error))
}

pub(super) fn seek(pinned: &Pinned, ino: Ino, node: &Node, offset: u64, what: Seek) -> Result<Option<u64>> {
    match pinned.artifacts().seek(ino, offset, what) {
        Ok(found) => Ok(Some(found)),
        Err(FsError::BeyondEnd) => Ok(None),
        Err(error) => Err(failed(node, error)),
    }
}

pub(super) fn xattr_names(pinned: &Pinned, ino: Ino, node: &Node) -> Result<Vec<OsString>> {
    let names = pinned.artifacts().xattrs(ino).map_err(|error| failed(node, error))?;
    Ok(names.into_iter().map(OsString::from_vec).collect())
}

pub(super) fn xattr(pinned: &Pinned, ino: Ino, node: &Node, name: &OsStr) -> Result<Option<Vec<u8>>> {
    match pinned.artifacts().xattr(ino, name.as_bytes()) {
        Ok(value) => Ok(Some(value)),
        Err(FsError::NoAttribute) => Ok(None),
        Err(error) => Err(failed(node, error)),
    }
}

/// The entries of a directory behind a place: the cursor of an entry is its number in the order of the names, which does
/// not change any more. Whoever goes on after an error meets it again as long as it lasts.
pub(super) fn entries(parent: Node, after: Cursor) -> impl Iterator<Item = Result<Entry>> + Send {
    let mut page: VecDeque<(Vec<u8>, Dentry)> = VecDeque::new();
    let mut last: Option<Vec<u8>> = None;
    let mut ended = false;
    let mut passed = 0;
    std::iter::from_fn(move || {
        loop {
            if let Some((name, found)) = page.pop_front() {
                passed += 1;
                if passed <= after.0 {
                    continue;
                }
                let (name, node) = (OsString::from_vec(name), node(&parent, found));
                return Some(Ok(Entry { name, node, cursor: Cursor(passed), attributes: None }));
            }
            let (pinned, ino) = parent.artifact().filter(|_| !ended)?;
            match pinned.artifacts().names(ino, last.as_deref(), PAGE) {
                Ok(names) => {
                    ended = names.len() < PAGE;
                    last = names.last().map(|(name, _)| name.clone());
                    page = names.into();
                }
                Err(error) => return Some(Err(failed(&parent, error))),
            }
        }
    })
}

fn node(parent: &Node, found: Dentry) -> Node {
    parent.beside(Item::Artifact(found.ino, found.file_type))
}

/// In microseconds, the earlier one.
fn timestamp(time: Nanos) -> Timestamp {
    let micros = time.div_euclid(1_000).clamp(i64::MIN.into(), i64::MAX.into());
    Timestamp::from_micros(i64::try_from(micros).unwrap_or_default())
}

fn failed(node: &Node, error: FsError) -> Error {
    match error {
        FsError::Storage(error) => error.into(),
        FsError::Corrupt { from, to, source, .. } => {
            let what = format!("{node}, bytes {from} to {to}");
            StorageError::Corrupt { what, detail: source.to_string() }.into()
        }
        FsError::Stale { .. } => {
            let source = io::Error::from_raw_os_error(Errno::STALE.raw_os_error());
            Error::Io { path: node.to_string().into(), source }
        }
        other => Error::argument(node.to_string(), other.to_string()),
    }
}
