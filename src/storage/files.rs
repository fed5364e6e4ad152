//! The vault's own small files: the marker `VAULT` and the two copies of `HEAD`.
//!
//! `VAULT` says what the directory is, so that a newer format is told apart from damage before any of it is touched.
//! `HEAD` says where the log stood when the vault was closed, since RocksDB by itself takes a damaged write-ahead log for
//! a short one.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::record::Checksum;

use super::access::FileAccess;
use super::lock::LOCK;
use super::types::Sequence;
use super::{Result, StorageError};

/// The newest format that this program reads and writes.
pub(super) const FORMAT: u32 = 1;
/// The incompatible feature bit of vaults that may hold artifacts: a program that knew nothing of them would drop what
/// belongs to them.
pub(super) const ARTIFACTS: u64 = 1;
/// The incompatible feature bit of vaults whose rows of chunks may hold the content.
const INLINE_CHUNKS: u64 = 2;
/// The incompatible feature bit of vaults in whose segments the headers of chunks may have a CRC of the content.
const CHUNK_CRCS: u64 = 4;
/// Feature bits that this program knows, and that a vault has once it opened it; a vault with any other incompatible bit is not opened.
pub(super) const KNOWN_INCOMPATIBLE: u64 = ARTIFACTS | INLINE_CHUNKS | CHUNK_CRCS;
/// As [`KNOWN_INCOMPATIBLE`], for bits that matter only to a writer.
pub(super) const KNOWN_READ_ONLY_COMPATIBLE: u64 = 0;

const MARKER: &str = "VAULT";
const MARKER_TITLE: &str = "MirrorDNA vault";
const DATABASE: &str = "db";
const HEADS: [&str; 2] = ["HEAD.0", "HEAD.1"];
const HEAD_MAGIC: &[u8; 8] = b"MDNAHEAD";
const HEAD_BYTES: usize = 8 + 1 + 1 + 8 + 8 + 8 + 32 + 4;

/// What the marker says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Marker {
    pub(super) vault_id: String,
    pub(super) created: String,
    pub(super) format: u32,
    pub(super) compatible: u64,
    pub(super) read_only_compatible: u64,
    pub(super) incompatible: u64,
}

impl Marker {
    fn lines(&self) -> String {
        format!(
            "{MARKER_TITLE}\nformat {}\nfeatures {:#x} {:#x} {:#x}\nvault-id {}\ncreated {}\n",
            self.format, self.compatible, self.read_only_compatible, self.incompatible, self.vault_id, self.created
        )
    }

    fn encode(&self) -> Vec<u8> {
        let lines = self.lines();
        let checksum = Checksum::of(lines.as_bytes());
        format!("{lines}sha256 {checksum}\n").into_bytes()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (lines, checksum) = text.strip_suffix('\n')?.rsplit_once("\nsha256 ")?;
        let mut fields = lines.lines();
        (fields.next()? == MARKER_TITLE).then_some(())?;
        let format = fields.next()?.strip_prefix("format ")?.parse().ok()?;
        let mut bits = fields.next()?.strip_prefix("features ")?.split(' ').map(|bits| {
            let hex = bits.strip_prefix("0x")?;
            u64::from_str_radix(hex, 16).ok()
        });
        let (compatible, read_only_compatible, incompatible) = (bits.next()??, bits.next()??, bits.next()??);
        let vault_id = fields.next()?.strip_prefix("vault-id ")?.to_owned();
        let created = fields.next()?.strip_prefix("created ")?.to_owned();
        (Checksum::parse(checksum)? == Checksum::of(format!("{lines}\n").as_bytes())).then_some(())?;
        Some(Self { vault_id, created, format, compatible, read_only_compatible, incompatible })
    }

    pub(super) fn read(files: &dyn FileAccess, dir: &Path) -> Result<Self> {
        let path = dir.join(MARKER);
        let bytes = match files.read(&path) {
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Err(if is_unused(files, dir) {
                    StorageError::NotAVault { path: dir.to_owned() }
                } else {
                    StorageError::Corrupt {
                        what: path.display().to_string(),
                        detail: "it is missing although the rest of a vault is there".to_owned(),
                    }
                });
            }
            Err(error) => return Err(StorageError::from_io(&path, error)),
        };
        let marker = Self::decode(&bytes).ok_or_else(|| StorageError::Corrupt {
            what: path.display().to_string(),
            detail: "its content does not match its checksum".to_owned(),
        })?;
        if marker.format > FORMAT {
            return Err(StorageError::NewerFormat { path: dir.to_owned(), found: marker.format, supported: FORMAT });
        }
        let unknown =
            (marker.incompatible & !KNOWN_INCOMPATIBLE) | (marker.read_only_compatible & !KNOWN_READ_ONLY_COMPATIBLE);
        if unknown != 0 {
            return Err(StorageError::UnknownFeatures { path: dir.to_owned(), bits: unknown });
        }
        Ok(marker)
    }

    pub(super) fn write(&self, files: &dyn FileAccess, dir: &Path) -> Result<()> {
        let path = dir.join(MARKER);
        files.write(&path, &self.encode()).map_err(|error| StorageError::from_io(&path, error))
    }
}

/// What a copy of `HEAD` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HeadFile {
    /// Counts the writes; the copy with the higher one is the newer.
    pub(super) generation: u64,
    /// The vault was closed cleanly, so that exactly `sequence` must be found.
    pub(super) clean: bool,
    pub(super) epoch: u64,
    pub(super) sequence: Sequence,
    pub(super) root: Checksum,
}

impl HeadFile {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD_BYTES);
        out.extend_from_slice(HEAD_MAGIC);
        out.push(1);
        out.push(u8::from(self.clean));
        out.extend_from_slice(&self.generation.to_le_bytes());
        out.extend_from_slice(&self.epoch.to_le_bytes());
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.extend_from_slice(&self.root.0);
        out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEAD_BYTES] = bytes.try_into().ok()?;
        let (body, crc) = bytes.split_last_chunk::<4>()?;
        (crc32c::crc32c(body) == u32::from_le_bytes(*crc)).then_some(())?;
        let (magic, rest) = body.split_first_chunk::<8>()?;
        let (version, rest) = rest.split_first()?;
        (magic == HEAD_MAGIC && *version == 1).then_some(())?;
        let (clean, rest) = rest.split_first()?;
        let (generation, rest) = rest.split_first_chunk()?;
        let (epoch, rest) = rest.split_first_chunk()?;
        let (sequence, root) = rest.split_first_chunk()?;
        Some(Self {
            generation: u64::from_le_bytes(*generation),
            clean: *clean == 1,
            epoch: u64::from_le_bytes(*epoch),
            sequence: Sequence::from_le_bytes(*sequence),
            root: Checksum(root.try_into().ok()?),
        })
    }

    /// The newer of the two copies that can be read, and what is wrong with the other.
    pub(super) fn read(files: &dyn FileAccess, dir: &Path) -> Result<(Self, Option<String>)> {
        let mut newest: Option<Self> = None;
        let mut problem = None;
        for name in HEADS {
            let path = dir.join(name);
            match files.read(&path) {
                Ok(bytes) => match Self::decode(&bytes) {
                    Some(head) if newest.is_none_or(|newest| head.generation > newest.generation) => {
                        newest = Some(head);
                    }
                    Some(_) => {}
                    None => problem = Some(format!("{name} does not match its checksum")),
                },
                Err(error) if error.kind() == io::ErrorKind::NotFound => problem = Some(format!("{name} is missing")),
                Err(error) => return Err(StorageError::from_io(&path, error)),
            }
        }
        let newest = newest.ok_or_else(|| StorageError::Corrupt {
            what: dir.join("HEAD").display().to_string(),
            detail: "neither of its two copies can be read, so nothing says how long the log must be".to_owned(),
        })?;
        Ok((newest, problem))
    }

    /// Writes the copy whose turn it is. Its old content is the older of the two, so it may be overwritten in its place: a
    /// power cut in the middle leaves the other copy, which says where the log stood before.
    pub(super) fn write(&self, files: &dyn FileAccess, dir: &Path) -> Result<()> {
        let [even, odd] = HEADS;
        let path = dir.join(if self.generation.is_multiple_of(2) { even } else { odd });
        let written = match files.overwrite(&path, &self.encode()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => files.write(&path, &self.encode()),
            written => written,
        };
        written.map_err(|error| StorageError::from_io(&path, error))
    }
}

/// Where RocksDB keeps its files.
pub(super) fn database_dir(dir: &Path) -> PathBuf {
    dir.join(DATABASE)
}

/// Makes the directory of a new vault, private to its user, and refuses one that holds anything else than what a creation
/// leaves that was interrupted. To be asked again under the lock, since others may make a vault there, too.
pub(super) fn create_dir(files: &dyn FileAccess, dir: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let failed = |error| StorageError::from_io(dir, error);
    let occupied = |what| Err(StorageError::Occupied { path: dir.to_owned(), what });
    match fs::read_dir(dir) {
        Ok(entries) => {
            let names = entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>().map_err(failed)?;
            if names.iter().any(|name| name == MARKER) {
                return occupied("a vault");
            }
            // The lock is taken first, so what is there without it is not of a creation.
            let is_leftover = |name: &OsString| {
                let known = [LOCK, DATABASE, HEADS[0], HEADS[1]].iter().any(|known| name == known);
                known || Path::new(name).extension().is_some_and(|extension| extension == "tmp")
            };
            if !names.is_empty() && (!names.iter().any(|name| name == LOCK) || !names.iter().all(is_leftover)) {
                return occupied("files");
            }
            if !is_unused(files, dir) || !is_empty_database(&database_dir(dir)).map_err(failed)? {
                return occupied("a database without the file VAULT");
            }
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => occupied("a file"),
        Err(error) => Err(failed(error)),
    }
}

/// Whether the copies of `HEAD`, as far as they are there, are those that a creation writes: nothing was ever committed.
fn is_unused(files: &dyn FileAccess, dir: &Path) -> bool {
    HEADS.iter().all(|name| match files.read(&dir.join(name)) {
        Ok(bytes) => HeadFile::decode(&bytes).is_some_and(|head| head.clean && head.sequence == 0),
        Err(error) => matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
    })
}

/// Whether there is no database, or one to which nothing was ever written: it has no table, and nothing in its write-ahead
/// log. What RocksDB does not make is somebody else's.
fn is_empty_database(database: &Path) -> io::Result<bool> {
    let entries = match fs::read_dir(database) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let known = ["CURRENT", "IDENTITY", "LOCK", "LOG", "MANIFEST-", "OPTIONS-"];
        let is_log = || Ok::<_, io::Error>(name.ends_with(".log") && entry.metadata()?.len() == 0);
        if !known.iter().any(|known| name.starts_with(known)) && !name.ends_with(".dbtmp") && !is_log()? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Removes the database of a creation that was interrupted: RocksDB does not go on with half of one. To be called under the
/// lock, behind [`create_dir`].
pub(super) fn remove_leftovers(dir: &Path) -> Result<()> {
    let database = database_dir(dir);
    match fs::remove_dir_all(&database) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StorageError::from_io(&database, error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::SystemFiles;

    fn marker() -> Marker {
        Marker {
            vault_id: "vault_0123456789abcdef".into(),
            created: "2026-01-01T00:00:00.000000Z".into(),
            format: FORMAT,
            compatible: 0,
            read_only_compatible: 0,
            incompatible: 0,
        }
    }

    #[test]
    fn the_marker_comes_back_and_every_flipped_bit_is_seen() {
        let bytes = marker().encode();
        assert_eq!(Marker::decode(&bytes), Some(marker()));
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            // The hex digits of a checksum may change their case without changing what they say.
            assert!(Marker::decode(&bytes).is_none_or(|found| found == marker()), "bit {bit}");
        }
    }

    #[test]
    fn a_newer_format_and_unknown_features_are_told_apart_from_damage() {
        let dir = tempfile::tempdir().unwrap();
        let write = |marker: Marker| marker.write(&SystemFiles, dir.path()).unwrap();
        write(Marker { format: FORMAT + 1, ..marker() });
        assert!(matches!(Marker::read(&SystemFiles, dir.path()), Err(StorageError::NewerFormat { .. })));
        write(Marker { incompatible: 8, ..marker() });
        assert!(matches!(Marker::read(&SystemFiles, dir.path()), Err(StorageError::UnknownFeatures { bits: 8, .. })));
        fs::write(dir.path().join(MARKER), b"x").unwrap();
        assert!(matches!(Marker::read(&SystemFiles, dir.path()), Err(StorageError::Corrupt { .. })));
        fs::remove_file(dir.path().join(MARKER)).unwrap();
        assert!(matches!(Marker::read(&SystemFiles, dir.path()), Err(StorageError::NotAVault { .. })));
    }

    #[test]
    fn head_files_are_written_in_turn_and_one_is_enough() {
        let dir = tempfile::tempdir().unwrap();
        let head =
            |generation| HeadFile { generation, clean: true, epoch: 1, sequence: generation, root: Checksum([7; 32]) };
        for generation in 1..=4 {
            head(generation).write(&SystemFiles, dir.path()).unwrap();
        }
        assert_eq!(HeadFile::read(&SystemFiles, dir.path()).unwrap(), (head(4), None));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "written in their places");
        let newest = dir.path().join(HEADS[0]);
        let mut bytes = fs::read(&newest).unwrap();
        bytes[20] ^= 1;
        fs::write(&newest, bytes).unwrap();
        let (found, problem) = HeadFile::read(&SystemFiles, dir.path()).unwrap();
        assert_eq!(found, head(3));
        assert!(problem.unwrap().contains("HEAD.0"));
        fs::remove_file(dir.path().join(HEADS[1])).unwrap();
        assert!(matches!(HeadFile::read(&SystemFiles, dir.path()), Err(StorageError::Corrupt { .. })));
    }
}
