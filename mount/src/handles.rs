//! What is open. A record that is only read needs no handle: each read asks the tree, and the kernel keeps the pages.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fuser::{FileHandle, INodeNo};
use mirrordna::tree::{Content, OpenFile};

use crate::directory::Stream;

/// Something that is open.
#[derive(Clone)]
pub(crate) enum Handle {
    /// A generated file, as it was when it was opened.
    File(Arc<Content>),
    /// A file that is written, or a scratch file.
    Written(Writer),
    /// A directory and how far it was read.
    Directory(Arc<Mutex<Stream>>),
}

/// A file that is written, or a scratch file, and who has opened it.
#[derive(Clone)]
pub(crate) struct Writer {
    pub(crate) open: OpenFile,
    pub(crate) inode: INodeNo,
    pub(crate) process: u32,
}

/// What is open, by number. 0 is what needs no handle.
#[derive(Default)]
pub(crate) struct Handles {
    last: AtomicU64,
    open: Mutex<HashMap<u64, Handle>>,
}

impl Handles {
    /// The handle of what needs none.
    pub(crate) const NONE: FileHandle = FileHandle(0);

    /// A number for something that was opened.
    pub(crate) fn open(&self, handle: Handle) -> FileHandle {
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        self.lock().insert(number, handle);
        FileHandle(number)
    }

    /// The file behind a number.
    pub(crate) fn file(&self, number: FileHandle) -> Option<Arc<Content>> {
        match self.lock().get(&number.0)? {
            Handle::File(content) => Some(Arc::clone(content)),
            Handle::Written(_) | Handle::Directory(_) => None,
        }
    }

    /// The written file behind a number.
    pub(crate) fn written(&self, number: FileHandle) -> Option<OpenFile> {
        match self.lock().get(&number.0)? {
            Handle::Written(writer) => Some(writer.open.clone()),
            Handle::File(_) | Handle::Directory(_) => None,
        }
    }

    /// The file that a process has open for writing. When it asks for the attributes of an open file, the kernel does not
    /// say that it is open, and a program that has written wants to know its own length, not that of the version which
    /// others see.
    pub(crate) fn written_by(&self, inode: INodeNo, process: u32) -> Option<OpenFile> {
        let open = self.lock();
        let mut writers = open.values().filter_map(|handle| match handle {
            Handle::Written(writer) => Some(writer),
            Handle::File(_) | Handle::Directory(_) => None,
        });
        writers.find(|writer| writer.inode == inode && writer.process == process).map(|writer| writer.open.clone())
    }

    /// The directory behind a number.
    pub(crate) fn directory(&self, number: FileHandle) -> Option<Arc<Mutex<Stream>>> {
        match self.lock().get(&number.0)? {
            Handle::Directory(stream) => Some(Arc::clone(stream)),
            Handle::File(_) | Handle::Written(_) => None,
        }
    }

    /// What was opened is closed.
    pub(crate) fn close(&self, number: FileHandle) -> Option<Handle> {
        self.lock().remove(&number.0)
    }

    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Handle>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
