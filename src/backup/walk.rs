//! What backups need: following their lists to every blob, each list once however many backups share it.

use std::collections::{HashMap, HashSet};

use super::error::{BackupError, Result};
use super::index::Index;
use super::keys::Name;
use super::manifest::{Manifest, Stream};
use super::repository::Repository;
use super::seal::Kind;
use super::stream::decode_list;

/// Follows lists.
pub(super) struct Walk<'a> {
    repository: &'a Repository,
    index: &'a Index,
    /// Of each list that was followed, how many bytes of a stream its blobs have.
    lists: HashMap<Name, u64>,
    /// Blobs of data that were met.
    data: HashSet<Name>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(repository: &'a Repository, index: &'a Index) -> Self {
        Self { repository, index, lists: HashMap::new(), data: HashSet::new() }
    }

    /// Follows all streams of a backup. `sound` says whether a blob that the index has is good.
    ///
    /// # Errors
    /// [`BackupError::Missing`] and [`BackupError::Corrupt`] for what is not there or not sound, and those of reading.
    pub(super) fn backup(&mut self, manifest: &Manifest, sound: &dyn Fn(&Name) -> Result<()>) -> Result<()> {
        manifest.streams.all().into_iter().try_for_each(|stream| self.stream(stream, sound))
    }

    fn stream(&mut self, stream: &Stream, sound: &dyn Fn(&Name) -> Result<()>) -> Result<()> {
        let bytes = self.items(stream.levels, &stream.blobs, sound)?;
        if bytes == stream.bytes {
            return Ok(());
        }
        Err(BackupError::corrupt("a stream", format!("its blobs have {bytes} bytes instead of {}", stream.bytes)))
    }

    fn items(&mut self, level: u8, items: &[(Name, u32)], sound: &dyn Fn(&Name) -> Result<()>) -> Result<u64> {
        let mut bytes = 0;
        for (name, len) in items {
            let Some(below) = level.checked_sub(1) else {
                self.there(name)?;
                sound(name)?;
                self.data.insert(*name);
                bytes += u64::from(*len);
                continue;
            };
            if let Some(known) = self.lists.get(name) {
                bytes += known;
                continue;
            }
            sound(name)?;
            let content = self.repository.blob(self.index, Kind::List, name)?;
            let items = decode_list(&content)
                .ok_or_else(|| BackupError::corrupt(format!("the list {name}"), "it cannot be read"))?;
            let below = self.items(below, &items, sound)?;
            self.lists.insert(*name, below);
            bytes += below;
        }
        Ok(bytes)
    }

    fn there(&self, name: &Name) -> Result<()> {
        match self.index.find(name) {
            Some(_) => Ok(()),
            None => Err(BackupError::Missing { what: format!("the blob {name}") }),
        }
    }

    /// All blobs that were met: lists and data.
    pub(super) fn met(self) -> HashMap<Name, Kind> {
        let lists = self.lists.into_keys().map(|name| (name, Kind::List));
        lists.chain(self.data.into_iter().map(|name| (name, Kind::Data))).collect()
    }
}
