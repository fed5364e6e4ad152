//! What is open. A record that is only read needs no handle: each read asks the tree, and the kernel keeps the pages.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fuser::FileHandle;
use mirrordna::tree::{Content, OpenFile};

use crate::directory::Stream;

/// Something that is open.
#[derive(Clone)]
pub(crate) enum Handle {
    /// A generated file, as it was when it was opened.
    File(Arc<Content>),
    /// A file that is written, or a scratch file.
    Written(OpenFile),
    /// A directory and how far it was read.
    Directory(Arc<Mutex<Stream>>),
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
            Handle::Written(open) => Some(open.clone()),
            Handle::File(_) | Handle::Directory(_) => None,
        }
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

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Handle>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
