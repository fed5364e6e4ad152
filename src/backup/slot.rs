//! Key slots: the master key, sealed by a passphrase or a key file.

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::record::id::{IdSource, SystemIds};
use crate::record::{Checksum, Timestamp};

use super::error::{BackupError, Result};
use super::keys::{MasterKey, RepositoryId};

const MAGIC: &[u8; 8] = b"MDNASLOT";
const VERSION: u8 = 1;
const NONCE: usize = 24;
const SEALED: usize = 48;
const SUM: usize = 32;
/// The longest label, in bytes.
pub(super) const MAX_LABEL: usize = 255;
/// No slot is longer.
pub(super) const MAX_SLOT: u64 = 512;

/// What opens a key slot.
#[derive(Clone)]
pub enum Secret {
    /// Nothing: a repository that was made with `--plain`.
    None,
    /// A passphrase.
    Passphrase(Zeroizing<String>),
    /// The content of a key file.
    KeyFile(Zeroizing<Vec<u8>>),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.kind().name())
    }
}

/// What kind of secret opens a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SlotKind {
    /// None at all.
    Open = 0,
    /// A passphrase.
    Passphrase = 1,
    /// A key file.
    KeyFile = 2,
}

impl SlotKind {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Passphrase => "passphrase",
            Self::KeyFile => "key file",
        }
    }

    fn from_number(number: u8) -> Option<Self> {
        [Self::Open, Self::Passphrase, Self::KeyFile].into_iter().find(|kind| *kind as u8 == number)
    }
}

impl Secret {
    /// What kind of slot it opens.
    #[must_use]
    pub const fn kind(&self) -> SlotKind {
        match self {
            Self::None => SlotKind::Open,
            Self::Passphrase(_) => SlotKind::Passphrase,
            Self::KeyFile(_) => SlotKind::KeyFile,
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::None => &[],
            Self::Passphrase(text) => text.as_bytes(),
            Self::KeyFile(bytes) => bytes,
        }
    }
}

/// What Argon2id costs: to who opens a slot, and to who guesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB.
    pub memory: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Default for Cost {
    /// The second choice of RFC 9106: 64 MiB, 3 passes, 4 lanes.
    fn default() -> Self {
        Self { memory: 64 << 10, passes: 3, lanes: 4 }
    }
}

impl Cost {
    /// The least that Argon2 allows: for tests, which guess nothing.
    pub const LEAST: Self = Self { memory: 8, passes: 1, lanes: 1 };

    /// What a slot may ask for at most: 2 GiB, 64 passes, 64 lanes, and memory times passes at most 8 GiB.
    fn is_sane(self) -> bool {
        let work = u64::from(self.memory) * u64::from(self.passes);
        self.memory <= 2 << 20 && self.passes <= 64 && self.lanes <= 64 && work <= 8 << 20
    }
}

/// A key slot.
#[derive(Clone, Debug)]
pub struct Slot {
    /// Its name: 16 hex digits.
    pub id: String,
    /// What opens it.
    pub kind: SlotKind,
    /// What it was called.
    pub label: String,
    /// When it was made.
    pub created: Timestamp,
    /// What opening it costs.
    pub cost: Cost,
    repository: RepositoryId,
    salt: [u8; 16],
    nonce: [u8; NONCE],
    sealed: [u8; SEALED],
    /// What the seal authenticates.
    head: Vec<u8>,
}

impl Slot {
    /// Seals the master key.
    pub(super) fn seal(
        key: &MasterKey,
        repository: RepositoryId,
        secret: &Secret,
        label: &str,
        cost: Cost,
        created: Timestamp,
    ) -> Result<(String, Vec<u8>)> {
        if label.len() > MAX_LABEL {
            return Err(BackupError::argument("the label of a key slot", format!("at most {MAX_LABEL} bytes")));
        }
        if secret.kind() != SlotKind::Open && secret.bytes().is_empty() {
            return Err(BackupError::argument(secret.kind().name(), "it is empty"));
        }
        if secret.kind() != SlotKind::Open && !cost.is_sane() {
            let reason = "at most 2 GiB of memory, 64 passes, 64 lanes, and memory times passes at most 8 GiB: with more it would never be opened again";
            return Err(BackupError::argument("the cost of a key slot", reason));
        }
        let mut id = [0; 8];
        let mut salt = [0; 16];
        let mut nonce = [0; NONCE];
        for bytes in [&mut id[..], &mut salt, &mut nonce] {
            SystemIds.fill(bytes)?;
        }
        let mut head = MAGIC.to_vec();
        head.extend_from_slice(&[VERSION, secret.kind() as u8]);
        head.extend_from_slice(&repository.0);
        head.extend_from_slice(&id);
        head.extend_from_slice(&created.as_micros().to_le_bytes());
        for number in [cost.memory, cost.passes, cost.lanes] {
            head.extend_from_slice(&number.to_le_bytes());
        }
        head.extend_from_slice(&salt);
        head.extend_from_slice(&u16::try_from(label.len()).unwrap_or_default().to_le_bytes());
        head.extend_from_slice(label.as_bytes());
        let mut body = Zeroizing::new(*key.as_bytes());
        let cipher = XChaCha20Poly1305::new((&*derive(secret, &salt, cost)?).into());
        let tag = cipher
            .encrypt_inout_detached(&XNonce::from(nonce), &head, InOutBuf::from(&mut body[..]))
            .map_err(|_| BackupError::argument("the key", "it cannot be sealed"))?;
        let mut file = head;
        file.extend_from_slice(&nonce);
        file.extend_from_slice(&*body);
        file.extend_from_slice(&tag);
        let sum = Checksum::of(&file);
        file.extend_from_slice(&sum.0);
        Ok((format!("{:016x}", u64::from_be_bytes(id)), file))
    }

    /// Reads a slot.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(name: &str, repository: RepositoryId, file: &[u8]) -> std::result::Result<Self, &'static str> {
        let slot = Self::of_any(name, file)?;
        if slot.repository == repository { Ok(slot) } else { Err("it belongs to another repository") }
    }

    /// As [`Slot::read`], of whatever repository.
    pub(super) fn of_any(name: &str, file: &[u8]) -> std::result::Result<Self, &'static str> {
        let (body, sum) = file.split_last_chunk::<SUM>().ok_or("it is too short")?;
        if Checksum::of(body).0 != *sum {
            return Err("it does not match its checksum");
        }
        let slot = Self::parse(body).ok_or("it cannot be read")?;
        if slot.id == name { Ok(slot) } else { Err("it belongs under another name") }
    }

    fn parse(body: &[u8]) -> Option<Self> {
        let (head, sealed) = body.split_last_chunk::<SEALED>()?;
        let (head, nonce) = head.split_last_chunk::<NONCE>()?;
        let (magic, rest) = head.split_first_chunk::<8>()?;
        let ([version, kind], rest) = rest.split_first_chunk::<2>()?;
        (magic == MAGIC && *version == VERSION).then_some(())?;
        let (repository, rest) = rest.split_first_chunk()?;
        let (id, rest) = rest.split_first_chunk()?;
        let (created, rest) = rest.split_first_chunk()?;
        let (memory, rest) = rest.split_first_chunk()?;
        let (passes, rest) = rest.split_first_chunk()?;
        let (lanes, rest) = rest.split_first_chunk()?;
        let (salt, rest) = rest.split_first_chunk()?;
        let (len, label) = rest.split_first_chunk()?;
        (usize::from(u16::from_le_bytes(*len)) == label.len()).then_some(())?;
        Some(Self {
            id: format!("{:016x}", u64::from_be_bytes(*id)),
            kind: SlotKind::from_number(*kind)?,
            label: std::str::from_utf8(label).ok()?.to_owned(),
            created: Timestamp::from_micros(i64::from_le_bytes(*created)),
            cost: Cost {
                memory: u32::from_le_bytes(*memory),
                passes: u32::from_le_bytes(*passes),
                lanes: u32::from_le_bytes(*lanes),
            },
            repository: RepositoryId(*repository),
            salt: *salt,
            nonce: *nonce,
            sealed: *sealed,
            head: head.to_vec(),
        })
    }

    /// What it asks for, when that is more than opening a slot may cost.
    pub(super) fn hostile(&self) -> Option<String> {
        let Cost { memory, passes, lanes } = self.cost;
        (!self.cost.is_sane()).then(|| format!("{} MiB of memory, {passes} passes, {lanes} lanes", memory >> 10))
    }

    /// The master key, when the secret is the right one. Costs what the slot says, which must have been looked at before.
    ///
    /// # Errors
    /// When Argon2 cannot work with these costs.
    pub(super) fn open(&self, secret: &Secret) -> Result<Option<MasterKey>> {
        let key = derive(secret, &self.salt, self.cost)?;
        let (body, tag) = self.sealed.split_first_chunk::<32>().unwrap_or((&[0; 32], &[]));
        let mut body = Zeroizing::new(*body);
        let tag: [u8; 16] = tag.try_into().unwrap_or_default();
        let opened = XChaCha20Poly1305::new((&*key).into()).decrypt_inout_detached(
            &XNonce::from(self.nonce),
            &self.head,
            InOutBuf::from(&mut body[..]),
            &tag.into(),
        );
        Ok(opened.is_ok().then(|| MasterKey::from_bytes(*body)))
    }
}

fn derive(secret: &Secret, salt: &[u8; 16], cost: Cost) -> Result<Zeroizing<[u8; 32]>> {
    let mut key = Zeroizing::new([0; 32]);
    if secret.kind() == SlotKind::Open {
        return Ok(key);
    }
    let refused = |error: argon2::Error| BackupError::argument("the costs of a key slot", error.to_string());
    let params = Params::new(cost.memory, cost.passes, cost.lanes, Some(32)).map_err(refused)?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(secret.bytes(), salt, &mut *key)
        .map_err(refused)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: RepositoryId = RepositoryId([9; 16]);

    fn passphrase(text: &str) -> Secret {
        Secret::Passphrase(Zeroizing::new(text.to_owned()))
    }

    fn slot(secret: &Secret, cost: Cost) -> (String, Vec<u8>) {
        let key = MasterKey::from_bytes([5; 32]);
        Slot::seal(&key, HERE, secret, "label", cost, Timestamp::from_micros(77)).unwrap()
    }

    #[test]
    fn the_right_secret_opens_and_no_other() {
        for secret in [passphrase("right"), Secret::KeyFile(Zeroizing::new(vec![1; 32])), Secret::None] {
            let (name, file) = slot(&secret, Cost::LEAST);
            let read = Slot::read(&name, HERE, &file).unwrap();
            assert_eq!((read.kind, read.label.as_str(), read.created.as_micros()), (secret.kind(), "label", 77));
            assert_eq!(read.open(&secret).unwrap().unwrap().as_bytes(), &[5; 32]);
            assert!(read.open(&passphrase("wrong")).unwrap().is_none());
        }
    }

    #[test]
    fn damage_is_told_from_a_wrong_passphrase() {
        let (name, file) = slot(&passphrase("right"), Cost::LEAST);
        for bit in 0..file.len() * 8 {
            let mut file = file.clone();
            file[bit / 8] ^= 1 << (bit % 8);
            assert!(Slot::read(&name, HERE, &file).is_err(), "bit {bit}");
        }
        for len in 0..file.len() {
            assert!(Slot::read(&name, HERE, &file[..len]).is_err());
        }
        assert!(Slot::read(&name, RepositoryId([8; 16]), &file).is_err());
        assert!(Slot::read("0000000000000000", HERE, &file).is_err());
    }

    #[test]
    fn a_slot_that_would_never_open_is_not_made() {
        let key = MasterKey::from_bytes([7; 32]);
        let seal = |secret: &Secret, cost| Slot::seal(&key, HERE, secret, "", cost, Timestamp::from_micros(0));
        for cost in [
            Cost { memory: (2 << 20) + 1, ..Cost::LEAST },
            Cost { passes: 65, ..Cost::LEAST },
            Cost { lanes: 65, ..Cost::LEAST },
            Cost { memory: 1 << 20, passes: 10, lanes: 4 },
        ] {
            assert!(matches!(seal(&passphrase("right"), cost), Err(BackupError::Argument { .. })));
        }
        assert!(seal(&passphrase("right"), Cost::LEAST).is_ok());
    }

    #[test]
    fn costs_beyond_reason_are_seen_before_they_are_paid() {
        let (name, mut file) = slot(&passphrase("right"), Cost::LEAST);
        let at = 8 + 2 + 16 + 8 + 8;
        file[at..at + 4].copy_from_slice(&(64_u32 << 20).to_le_bytes());
        let end = file.len() - SUM;
        let sum = Checksum::of(&file[..end]);
        file[end..].copy_from_slice(&sum.0);
        let read = Slot::read(&name, HERE, &file).unwrap();
        assert!(read.hostile().unwrap().contains("65536 MiB"));
        assert!(Cost::default().is_sane() && Cost::LEAST.is_sane());
    }
}
