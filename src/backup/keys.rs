//! The master key of a repository, and what is derived from it.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::record::id::{IdSource, NoRandomness, SystemIds};

use super::cut::Gear;
use super::seal::Kind;

/// The id of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RepositoryId(pub(super) [u8; 16]);

impl fmt::Display for RepositoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The name of a blob or of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Name(pub(super) [u8; 32]);

impl Name {
    /// What stands in the place of a name for what is named by its content alone.
    pub(super) const NONE: Self = Self([0; 32]);

    /// The name with these hex digits.
    pub(super) fn parse(text: &str) -> Option<Self> {
        crate::record::Checksum::parse(text)
            .filter(|_| !text.contains(|c: char| c.is_ascii_uppercase()))
            .map(|sum| Self(sum.0))
    }

    /// The name of a file with this content.
    pub(super) fn of_file(content: &[u8]) -> Self {
        Self(crate::record::Checksum::of(content).0)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The key from which all others come.
#[derive(Clone)]
pub(super) struct MasterKey(Zeroizing<[u8; 32]>);

/// The keys of one repository.
pub(super) struct Keys {
    /// Of the sealed objects.
    pub(super) seal: Zeroizing<[u8; 32]>,
    name: Hmac<Sha256>,
    /// The secret table by which streams are cut.
    pub(super) gear: Gear,
}

fn hmac(key: &[u8; 32]) -> Hmac<Sha256> {
    // A key shorter than a block is one with zeros behind it.
    let mut block = Zeroizing::new([0; 64]);
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    <Hmac<Sha256> as KeyInit>::new((&*block).into())
}

fn digest(mut of: Hmac<Sha256>, content: &[&[u8]]) -> [u8; 32] {
    for part in content {
        of.update(part);
    }
    of.finalize().into_bytes().into()
}

impl MasterKey {
    /// A new one.
    pub(super) fn generate() -> Result<Self, NoRandomness> {
        let mut key = Self(Zeroizing::new([0; 32]));
        SystemIds.fill(&mut *key.0)?;
        Ok(key)
    }

    pub(super) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn derive(&self, label: &str) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(digest(hmac(&self.0), &[b"mirrordna backup ", label.as_bytes()]))
    }

    pub(super) fn keys(&self) -> Keys {
        let gear = self.derive("gear");
        let entry = |n: u8| {
            let bytes = digest(hmac(&gear), &[&[n]]);
            u64::from_le_bytes(bytes.first_chunk().copied().unwrap_or_default())
        };
        Keys { seal: self.derive("seal"), name: hmac(&self.derive("name")), gear: Gear::new(entry) }
    }
}

impl Keys {
    /// The name of a blob. Nobody without the key can tell it from the content.
    pub(super) fn name_of(&self, kind: Kind, content: &[u8]) -> Name {
        Name(digest(self.name.clone(), &[&[kind as u8], content]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_the_document() {
        // Computed with Python's hmac from the definition in docs/backup-format.md.
        let keys = MasterKey::from_bytes([1; 32]).keys();
        let of = |key: [u8; 32]| crate::record::Checksum(key).to_string();
        assert_eq!(of(*keys.seal), SEAL);
        assert_eq!(keys.name_of(Kind::Data, b"abc").to_string(), NAME);
    }

    const SEAL: &str = "b0f0ba344ce79941a9d62804f8f3a0251d0781be717fbf4ca11e59c65ec7175b";
    const NAME: &str = "362c69e27f5705c19a14d15907b3bc8bf23fb0554f786895e7278dcb4b3abdce";

    #[test]
    fn names_differ_by_key_and_kind() {
        let (one, other) = (MasterKey::from_bytes([1; 32]).keys(), MasterKey::from_bytes([2; 32]).keys());
        assert_ne!(one.name_of(Kind::Data, b"abc"), one.name_of(Kind::List, b"abc"));
        assert_ne!(one.name_of(Kind::Data, b"abc"), other.name_of(Kind::Data, b"abc"));
        let name = one.name_of(Kind::Data, b"abc");
        assert_eq!(Name::parse(&name.to_string()), Some(name));
    }
}
