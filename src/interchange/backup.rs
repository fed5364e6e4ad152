//! Importing the backups of the protocol's reference: a folder of collections as `tar.gz`, which may be encrypted. They are never
//! written: AES-256-CBC without authentication lets anybody flip bits in them.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Component, Path, PathBuf};

use aes::cipher::{BlockModeDecrypt, KeyIvInit};
use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::record::{Checksum, Value, json};
use crate::vault::{Error, Result, Vault};

use super::files::{io_error, malformed};
use super::import::{ImportOptions, import_store};
use super::progress::Progress;
use super::report::ImportReport;

const ROUNDS: u32 = 100_000;
const BLOCK: usize = 16;
const BUFFER: usize = 64 << 10;
/// More than any backup of the reference holds, so that a small file cannot fill the disk: 64 GiB.
const MOST_BYTES: u64 = 64 << 30;

type Decryptor = cbc::Decryptor<aes::Aes256>;

/// Imports a backup of the reference: `NAME.tar.gz` or `NAME.tar.gz.enc`, with `NAME_metadata.json` beside it, whose checksum must be that of
/// the archive.
///
/// # Errors
/// [`Error::Argument`] when it is encrypted and no passphrase is given, [`crate::record::RecordError::Checksum`] when the checksum is
/// another one, which a wrong passphrase causes as well; [`crate::record::RecordError::Document`] for an archive with members that do
/// not belong in one; and as [`import_store`].
pub fn import_backup(
    vault: &Vault,
    file: &Path,
    passphrase: Option<&str>,
    options: &ImportOptions,
    progress: &mut dyn Progress,
) -> Result<ImportReport> {
    let (expected, encrypted) = metadata(file)?;
    let scratch = tempfile::tempdir().map_err(|error| io_error(&std::env::temp_dir(), error))?;
    let archive = scratch.path().join("archive");
    let source = File::open(file).map_err(|error| io_error(file, error))?;
    let actual = if encrypted {
        let passphrase = passphrase.ok_or_else(|| {
            Error::argument(file.display().to_string(), "it is encrypted; the passphrase it was made with is needed")
        })?;
        decrypt(BufReader::new(source), passphrase, &archive).map_err(|error| io_error(file, error))?
    } else {
        copy(BufReader::new(source), &archive).map_err(|error| io_error(file, error))?
    };
    if actual != expected {
        let reason = "its checksum is not the one in its metadata: the passphrase is wrong, or it is damaged";
        return Err(malformed(file, if encrypted { reason } else { "its checksum is not the one in its metadata" }));
    }
    let folder = scratch.path().join("store");
    unpack(&archive, &folder, file)?;
    import_store(vault, &folder, options, progress)
}

/// The checksum of the archive, and whether the file is encrypted.
fn metadata(file: &Path) -> Result<(Checksum, bool)> {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let (stem, encrypted) = name.strip_suffix(".enc").map_or((name, false), |stem| (stem, true));
    let stem = stem.strip_suffix(".tar.gz").or_else(|| stem.strip_suffix(".tar")).unwrap_or(stem);
    let path = file.with_file_name(format!("{stem}_metadata.json"));
    let text = fs::read(&path).map_err(|error| io_error(&path, error))?;
    let value = json::parse(&text).map_err(crate::record::RecordError::from)?;
    let checksum = value.str_at("checksum").and_then(Checksum::parse);
    let checksum = checksum.ok_or_else(|| malformed(&path, "it has no checksum"))?;
    Ok((checksum, value.get("encrypted").and_then(Value::as_bool).unwrap_or(encrypted)))
}

fn copy(mut from: impl Read, to: &Path) -> io::Result<Checksum> {
    let (mut file, mut hasher) = (File::create(to)?, Sha256::new());
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = from.read(&mut buffer)?;
        let bytes = buffer.get(..read).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(Checksum(hasher.finalize().into()));
        }
        hasher.update(bytes);
        file.write_all(bytes)?;
    }
}

/// Salt, initialisation vector, and AES-256-CBC with PKCS#7 padding under PBKDF2-HMAC-SHA-256.
fn decrypt(mut from: impl Read, passphrase: &str, to: &Path) -> io::Result<Checksum> {
    let (mut salt, mut vector) = ([0; BLOCK], [0; BLOCK]);
    from.read_exact(&mut salt)?;
    from.read_exact(&mut vector)?;
    let mut key = Zeroizing::new([0; 32]);
    pbkdf2::pbkdf2_hmac::<Sha256>(passphrase.as_bytes(), &salt, ROUNDS, &mut *key);
    let mut decryptor = Decryptor::new((&*key).into(), &vector.into());
    let (mut file, mut hasher) = (File::create(to)?, Sha256::new());
    let mut last: Option<[u8; BLOCK]> = None;
    let mut block = [0; BLOCK];
    let mut plain = Vec::with_capacity(BUFFER + BLOCK);
    loop {
        let mut filled = 0;
        while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match from.read(rest)? {
                0 => break,
                read => filled += read,
            }
        }
        if filled == 0 {
            break;
        }
        if filled < BLOCK {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its length is not that of an encrypted backup"));
        }
        // The last block has the padding, and only the end tells which one it is.
        if let Some(last) = last.replace(block) {
            plain.extend_from_slice(&last);
        }
        if let Some(now) = last.as_mut() {
            let mut decrypted = (*now).into();
            decryptor.decrypt_block(&mut decrypted);
            *now = decrypted.into();
        }
        if plain.len() >= BUFFER {
            hasher.update(&plain);
            file.write_all(&plain)?;
            plain.clear();
        }
    }
    let last = last.unwrap_or_default();
    // A padding that is none is a wrong passphrase or damage, which the checksum tells.
    let padding = usize::from(last.last().copied().unwrap_or_default());
    plain.extend_from_slice(last.get(..BLOCK.saturating_sub(padding)).unwrap_or_default());
    hasher.update(&plain);
    file.write_all(&plain)?;
    Ok(Checksum(hasher.finalize().into()))
}

/// Unpacks regular files alone, below the folder that the archive has them in, and nothing that would lie elsewhere.
fn unpack(archive: &Path, to: &Path, shown: &Path) -> Result<()> {
    let failed = |error: io::Error| io_error(shown, error);
    let file = File::open(archive).map_err(failed)?;
    let mut tar = tar::Archive::new(GzDecoder::new(BufReader::new(file)));
    let mut left = MOST_BYTES;
    for entry in tar.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        let path = entry.path().map_err(failed)?.into_owned();
        if entry.header().entry_type().is_dir() {
            continue;
        }
        if !entry.header().entry_type().is_file() {
            return Err(malformed(shown, &format!("its member {} is no file", path.display())));
        }
        let inside: Option<PathBuf> = path
            .components()
            .filter(|component| *component != Component::CurDir)
            .map(|component| match component {
                Component::Normal(name) => Some(name),
                _ => None,
            })
            .skip(1)
            .collect();
        let inside = inside.filter(|inside| !inside.as_os_str().is_empty() && !path.is_absolute());
        let outside = || malformed(shown, &format!("its member {} would lie outside of a store", path.display()));
        let target =
            to.join(inside.filter(|_| !path.components().any(|c| c == Component::ParentDir)).ok_or_else(outside)?);
        left = left.checked_sub(entry.size()).ok_or_else(|| malformed(shown, "it holds more than 64 GiB"))?;
        fs::create_dir_all(target.parent().unwrap_or(to)).map_err(failed)?;
        let mut file = File::create(&target).map_err(failed)?;
        io::copy(&mut entry, &mut file).map_err(failed)?;
    }
    Ok(())
}
