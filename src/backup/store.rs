//! Storing blobs that are not there yet: in packs, which index files name as they come.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::destination::Folder;
use super::error::{BackupError, Result};
use super::index::{self, Index, Indexed};
use super::keys::Name;
use super::pack::{Pack, Written};
use super::repository::Repository;
use super::seal::Kind;

/// So many packs are written before an index file names them, so that a backup that dies loses little.
const PACKS_AN_INDEX: usize = 4;

/// What was stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Blobs that were not there before.
    pub new_blobs: u64,
    /// Bytes of their content.
    pub new_bytes: u64,
    /// Blobs that were there.
    pub known_blobs: u64,
    /// Bytes of files that were written for them, index files too.
    pub written: u64,
}

/// Takes blobs from any number of threads.
pub(super) struct Store<'r> {
    repository: &'r Repository,
    /// Nothing is written.
    pretends: bool,
    state: Mutex<State>,
}

struct State {
    index: Index,
    /// Blobs that this store has taken itself.
    taken: HashSet<Name>,
    /// Packs of others that what is stored relies on.
    relied: HashSet<Name>,
    pack: Pack,
    /// Memory of a pack that was written: taking it anew from the system takes longer than filling it.
    spare: Option<Vec<u8>>,
    /// Packs that no index file names yet.
    unnamed: Vec<Indexed>,
    /// Packs that were written, and the index files that name them.
    packs: Vec<Indexed>,
    index_files: Vec<Name>,
    stored: Stored,
}

impl<'r> Store<'r> {
    /// With `pretends`, says what would be stored and stores nothing.
    pub(super) fn new(repository: &'r Repository, index: Index, pretends: bool) -> Self {
        let state = State {
            index,
            taken: HashSet::new(),
            relied: HashSet::new(),
            pack: Pack::default(),
            spare: None,
            unnamed: Vec::new(),
            packs: Vec::new(),
            index_files: Vec::new(),
            stored: Stored::default(),
        };
        Self { repository, pretends, state: Mutex::new(state) }
    }

    pub(super) fn repository(&self) -> &'r Repository {
        self.repository
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores a blob, unless it is there, and returns its name.
    pub(super) fn put(&self, kind: Kind, content: &[u8]) -> Result<Name> {
        let name = self.repository.keys().name_of(kind, content);
        {
            let mut state = self.state();
            if state.knows(&name) {
                state.stored.known_blobs += 1;
                return Ok(name);
            }
            state.taken.insert(name);
            state.stored.new_blobs += 1;
            state.stored.new_bytes += content.len() as u64;
        }
        let sealed = self.repository.sealer().blob(kind, &name, content)?;
        self.add(kind, name, &sealed)?;
        Ok(name)
    }

    /// Whether a blob is there to rely on.
    pub(super) fn has(&self, name: &Name) -> bool {
        self.state().knows(name)
    }

    /// Stores a blob as it was sealed elsewhere in this repository.
    pub(super) fn put_sealed(&self, kind: Kind, name: Name, sealed: &[u8]) -> Result<()> {
        {
            let mut state = self.state();
            if state.knows(&name) {
                return Ok(());
            }
            state.taken.insert(name);
            state.stored.new_blobs += 1;
        }
        self.add(kind, name, sealed)
    }

    fn add(&self, kind: Kind, name: Name, sealed: &[u8]) -> Result<()> {
        let full = {
            let mut state = self.state();
            state.pack.add(kind, name, sealed);
            if state.pack.is_full() {
                let next = Pack::within(state.spare.take().unwrap_or_default());
                Some(std::mem::replace(&mut state.pack, next))
            } else {
                None
            }
        };
        full.map_or(Ok(()), |pack| self.write(pack))
    }

    /// The content of a blob that was there before.
    pub(super) fn get(&self, kind: Kind, name: &Name) -> Result<Vec<u8>> {
        let location = self.state().index.find(name);
        let location = location.ok_or_else(|| BackupError::Missing { what: format!("the blob {name}") })?;
        self.repository.blob_at(&location, kind, name)
    }

    fn write(&self, pack: Pack) -> Result<()> {
        let Written { name, bytes, entries } = pack.close(self.repository.sealer())?;
        if !self.pretends {
            self.repository.destination().write(Folder::Packs, &name.to_string(), &bytes)?;
        }
        let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let ready = {
            let mut state = self.state();
            state.stored.written += bytes.len() as u64;
            state.spare = Some(bytes);
            state.unnamed.push(Indexed { pack: name, size, entries });
            (state.unnamed.len() >= PACKS_AN_INDEX).then(|| std::mem::take(&mut state.unnamed))
        };
        ready.map_or(Ok(()), |packs| self.write_index(packs))
    }

    fn write_index(&self, packs: Vec<Indexed>) -> Result<()> {
        let (mut files, mut written) = (Vec::new(), 0);
        for content in index::encode(&packs) {
            written += super::seal::step(content.len()) as u64;
            if !self.pretends {
                files.push(self.repository.write(Folder::Index, Kind::Index, &content)?);
            }
        }
        let mut state = self.state();
        state.stored.written += written;
        state.index_files.extend(files);
        state.packs.extend(packs);
        Ok(())
    }

    /// Writes what is left, so that index files name all packs, and makes sure that all packs are there that what was stored
    /// relies on, its own, too. Returns the packs that were written.
    pub(super) fn finish(self) -> Result<(Stored, Vec<Indexed>)> {
        let last = std::mem::take(&mut self.state().pack);
        if !last.is_empty() {
            self.write(last)?;
        }
        let unnamed = std::mem::take(&mut self.state().unnamed);
        if !unnamed.is_empty() {
            self.write_index(unnamed)?;
        }
        self.join_index_files()?;
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let own = state.packs.iter().map(|pack| &pack.pack);
        let mut relied = state.relied.iter().chain(own).peekable();
        if !self.pretends && relied.peek().is_some() {
            let there = self.repository.destination().list(Folder::Packs)?;
            let there: HashSet<&str> = there.iter().map(|(name, _)| name.as_str()).collect();
            if let Some(gone) = relied.find(|pack| !there.contains(pack.to_string().as_str())) {
                return Err(BackupError::Missing { what: Folder::Packs.shown(&gone.to_string()) });
            }
        }
        Ok((state.stored, state.packs))
    }

    /// The index files that were written on the way become few.
    fn join_index_files(&self) -> Result<()> {
        let (files, packs) = {
            let mut state = self.state();
            if self.pretends || state.index_files.len() < 2 {
                return Ok(());
            }
            (std::mem::take(&mut state.index_files), std::mem::take(&mut state.packs))
        };
        self.write_index(packs)?;
        files.iter().try_for_each(|file| self.repository.destination().remove(Folder::Index, &file.to_string()))
    }
}

impl State {
    /// A blob is there, or about to be.
    fn knows(&mut self, name: &Name) -> bool {
        if self.taken.contains(name) {
            return true;
        }
        match self.index.find_lasting(name) {
            Some(location) => {
                self.relied.insert(location.pack);
                true
            }
            None => false,
        }
    }
}
