//! `SHA256SUMS`: the checksums of a directory's regular files, in the format of sha256sum, made without reading a record.

use std::fmt::Write as _;
use std::io::Write;

use crate::record::{Checksum, FileType, Kind};
use crate::storage::Sequence;
use crate::vault::Result;

use super::Tree;
use super::cache::Made;
use super::content::Spool;
use super::listing::{Cursor, Entry, Listing};
use super::members::Members;
use super::node::{At, Directory, Item, Node};
use super::spooling;

/// How often a file over files that are made themselves is made again because they changed meanwhile.
const TRIES: usize = 4;

/// The file over a directory of a view; empty when the directory has no files.
pub(super) fn make(tree: &Tree, at: &At, directory: Directory) -> Result<Made> {
    match directory {
        Directory::Collection(Kind::Event | Kind::Snapshot)
        | Directory::Root
        | Directory::Artifacts
        | Directory::Vault => of_files(tree, at, directory),
        Directory::Collection(_) | Directory::Tier(_) => of_records(tree, at, directory),
    }
}

/// Records: from their heads, at exactly one sequence.
fn of_records(tree: &Tree, at: &At, directory: Directory) -> Result<Made> {
    let view = match at {
        At::Present => tree.vault().at(tree.vault().state_now()?.sequence)?,
        At::Past(_) => at.view(tree.vault()),
    };
    let sequence = view.sequence().unwrap_or_default();
    let mut spool = Spool::default();
    for member in Members::new(view, directory, None)? {
        let (id, head) = member?;
        write_line(&mut spool, head.file.sha256, &format!("{id}.json"))?;
    }
    finish(tree, at, directory, spool, sequence)
}

/// Files that are made themselves.
fn of_files(tree: &Tree, at: &At, directory: Directory) -> Result<Made> {
    let mut tries = 1;
    loop {
        let sequence = match at.sequence() {
            Some(sequence) => sequence,
            None => tree.vault().state_now()?.sequence,
        };
        let parent = Node { at: at.clone(), item: Item::Directory(directory) };
        let mut spool = Spool::default();
        for file in Listing::new(tree, &parent, directory, Cursor::START)? {
            let Entry { name, node, .. } = file?;
            if node.file_type() == FileType::Regular
                && node.item != Item::Sums(directory)
                && let Some(sha256) = tree.digest(&node)?.sha256
            {
                write_line(&mut spool, sha256, &name.to_string_lossy())?;
            }
        }
        let made = finish(tree, at, directory, spool, sequence)?;
        let settled = matches!(at, At::Past(_)) || tree.vault().state_now()?.sequence == sequence;
        if settled || tries == TRIES || tree.is_fresh(&parent.beside(Item::Sums(directory)), sequence)? {
            return Ok(made);
        }
        tries += 1;
    }
}

fn finish(tree: &Tree, at: &At, directory: Directory, mut spool: Spool, sequence: Sequence) -> Result<Made> {
    let time = tree.time_of_directory(at, directory)?;
    Ok(Made { content: spool.content(time).map_err(spooling)?, sequence })
}

fn write_line(spool: &mut Spool, sha256: Checksum, name: &str) -> Result<()> {
    spool.write_all(line(sha256, name).as_bytes()).map_err(spooling)
}

/// A line of the file. A name with a backslash or a line break is escaped, and the line begins with a backslash to say so.
fn line(sha256: Checksum, name: &str) -> String {
    let mut line = String::with_capacity(name.len() + 70);
    let escaped = name.contains(['\\', '\n', '\r']);
    let name = if escaped {
        line.push('\\');
        name.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r").into()
    } else {
        std::borrow::Cow::Borrowed(name)
    };
    // Writing to a string cannot fail.
    let _ = writeln!(line, "{sha256}  {name}");
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_as_sha256sum_does() {
        let sum = Checksum::of(b"");
        let hex = sum.to_string();
        assert_eq!(line(sum, "a b"), format!("{hex}  a b\n"));
        assert_eq!(line(sum, "a\\b"), format!("\\{hex}  a\\\\b\n"));
        assert_eq!(line(sum, "a\nb"), format!("\\{hex}  a\\nb\n"));
    }
}
