//! Following paths from the root directory of the artifacts.

use std::collections::VecDeque;

use crate::artifacts::{Artifacts, Attributes, FileType, FsError, Ino, Past, ROOT};

/// The most symbolic links on the way.
const MOST_LINKS: usize = 40;

type Result<T> = std::result::Result<T, FsError>;

/// Where paths are followed.
pub(super) trait Tree {
    /// What a name leads to. It has a reference more from now on.
    fn lookup(&self, parent: Ino, name: &[u8]) -> Result<Attributes>;

    /// Gives a reference back.
    fn forget(&self, ino: Ino);

    fn attributes(&self, ino: Ino) -> Result<Attributes>;

    fn parent(&self, ino: Ino) -> Result<Ino>;

    fn read_link(&self, ino: Ino) -> Result<Vec<u8>>;
}

impl Tree for Artifacts {
    fn lookup(&self, parent: Ino, name: &[u8]) -> Result<Attributes> {
        self.lookup(parent, name)
    }

    fn forget(&self, ino: Ino) {
        self.forget(ino, 1);
    }

    fn attributes(&self, ino: Ino) -> Result<Attributes> {
        self.attributes(ino)
    }

    fn parent(&self, ino: Ino) -> Result<Ino> {
        self.parent(ino)
    }

    fn read_link(&self, ino: Ino) -> Result<Vec<u8>> {
        self.read_link(ino)
    }
}

/// The past stays without references.
impl Tree for Past {
    fn lookup(&self, parent: Ino, name: &[u8]) -> Result<Attributes> {
        self.attributes(self.lookup(parent, name)?.ino)
    }

    fn forget(&self, _ino: Ino) {}

    fn attributes(&self, ino: Ino) -> Result<Attributes> {
        self.attributes(ino)
    }

    fn parent(&self, ino: Ino) -> Result<Ino> {
        self.parent(ino)
    }

    fn read_link(&self, ino: Ino) -> Result<Vec<u8>> {
        self.read_link(ino)
    }
}

/// A file with a reference on it, which is given back when this is dropped.
pub(super) struct Held<'a> {
    tree: &'a dyn Tree,
    pub(super) attributes: Attributes,
    referenced: bool,
}

impl Held<'_> {
    pub(super) fn new(tree: &dyn Tree, attributes: Attributes) -> Held<'_> {
        Held { tree, attributes, referenced: true }
    }

    /// Keeps the reference.
    pub(super) fn keep(mut self) -> Attributes {
        self.referenced = false;
        self.attributes
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.referenced {
            self.tree.forget(self.attributes.ino);
        }
    }
}

/// Where a path leads.
pub(super) struct Place<'a> {
    /// The directory of the last name.
    pub(super) parent: Ino,
    /// The last name; none when the path ends with a directory that it came through, or at the root.
    pub(super) name: Option<Vec<u8>>,
    /// What is there.
    found: Option<Held<'a>>,
    /// The path ends with a slash: what is there has to be a directory.
    directory: bool,
}

impl<'a> Place<'a> {
    /// What is there.
    pub(super) fn found(self) -> Result<Held<'a>> {
        let found = self.found.ok_or(FsError::NotFound)?;
        if self.directory && found.attributes.file_type != FileType::Directory {
            return Err(FsError::NotDirectory);
        }
        Ok(found)
    }

    /// The inode that is there, if any.
    pub(super) fn ino(&self) -> Option<Ino> {
        self.found.as_ref().map(|found| found.attributes.ino)
    }

    pub(super) fn is_there(&self) -> bool {
        self.found.is_some()
    }

    /// The directory and the name for something that is changed there.
    pub(super) fn named(&self) -> Result<(Ino, &[u8])> {
        self.name.as_deref().map(|name| (self.parent, name)).ok_or(FsError::Busy)
    }

    /// Whether what is here can be renamed to another place: with a slash behind either it has to be a directory.
    pub(super) fn may_become(&self, to: &Self) -> Result<()> {
        let found = self.found.as_ref().ok_or(FsError::NotFound)?;
        let slash = self.directory || to.directory;
        if slash && found.attributes.file_type != FileType::Directory { Err(FsError::NotDirectory) } else { Ok(()) }
    }

    /// As [`Place::named`], for what is no directory.
    pub(super) fn named_file(&self) -> Result<(Ino, &[u8])> {
        if self.directory { Err(FsError::NotDirectory) } else { self.named() }
    }
}

/// Whether a symbolic link at the end of a path is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follow {
    Always,
    /// When a slash says that it leads to a directory.
    IfSlash,
    /// It is the link itself that is made, renamed or removed.
    Never,
}

/// Follows a path.
pub(super) fn resolve<'a>(tree: &'a dyn Tree, path: &[u8], follow: Follow) -> Result<Place<'a>> {
    let mut left: VecDeque<Vec<u8>> = components(path).collect();
    let mut directory = path.ends_with(b"/") || path.ends_with(b"/.");
    let (mut at, mut links) = (ROOT, 0);
    while let Some(name) = left.pop_front() {
        let last = left.is_empty();
        if name == b".." {
            if at == ROOT {
                return Err(leads_out());
            }
            at = tree.parent(at)?;
            continue;
        }
        let found = match tree.lookup(at, &name) {
            Ok(found) => Held::new(tree, found),
            Err(FsError::NotFound) if last => {
                return Ok(Place { parent: at, name: Some(name), found: None, directory });
            }
            Err(error) => return Err(error),
        };
        match found.attributes.file_type {
            FileType::Symlink if !last || follow == Follow::Always || (directory && follow == Follow::IfSlash) => {
                links += 1;
                if links > MOST_LINKS {
                    return Err(FsError::Invalid("too many symbolic links".into()));
                }
                let target = tree.read_link(found.attributes.ino)?;
                if target.starts_with(b"/") {
                    return Err(leads_out());
                }
                directory |= last && target.ends_with(b"/");
                components(&target).rev().for_each(|name| left.push_front(name));
            }
            _ if last => return Ok(Place { parent: at, name: Some(name), found: Some(found), directory }),
            FileType::Directory => at = found.attributes.ino,
            _ => return Err(FsError::NotDirectory),
        }
    }
    let found = Held { tree, attributes: tree.attributes(at)?, referenced: false };
    Ok(Place { parent: at, name: None, found: Some(found), directory })
}

fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = Vec<u8>> {
    let names = path.split(|byte| *byte == b'/');
    names.filter(|name| !name.is_empty() && *name != b".").map(<[u8]>::to_vec)
}

fn leads_out() -> FsError {
    FsError::Invalid("it leads out of the artifacts".into())
}
