//! Identities: who an agent, user or system is, and what it signs.

use crate::crypto::{PrivateKey, verify_claim};
use crate::record::id::{self, IdentityType};
use crate::record::{Kind, Map, Value};

use super::{Error, Record, Result, Vault};

/// The identities of a vault.
pub struct Identities<'a>(pub(super) &'a Vault);

/// A new identity and the only copy of its private key.
#[derive(Debug)]
pub struct NewIdentity {
    /// The identity as it was stored.
    pub record: Record,
    /// Its private key, which the vault does not keep.
    pub private_key: PrivateKey,
}

impl Identities<'_> {
    /// Makes an identity with a new key. The key is handed out here and nowhere else.
    ///
    /// `metadata` is an object, or nothing.
    ///
    /// # Errors
    /// [`crate::record::RecordError::Schema`] when `metadata` breaks the schema, and those of the storage.
    pub fn create(&self, identity_type: IdentityType, metadata: Option<Value>) -> Result<NewIdentity> {
        let vault = self.0;
        let private_key = PrivateKey::generate(vault.ids())?;
        let mut record = Map::new();
        record.insert("identity_id".into(), id::identity(vault.ids(), identity_type)?.into());
        record.insert("identity_type".into(), identity_type.name().into());
        record.insert("created_at".into(), vault.now().to_string().into());
        record.insert("public_key".into(), private_key.public_key().into());
        if let Some(metadata) = metadata {
            record.insert("metadata".into(), metadata);
        }
        let record = vault.create_record(Kind::Identity, record.into())?;
        Ok(NewIdentity { record, private_key })
    }

    /// Signs a claim in the name of an identity: standard base64 of the Ed25519 signature over `<identity_id>:<claim>`.
    ///
    /// # Errors
    /// [`crate::storage::StorageError::NotFound`] for an unknown identity, [`Error::State`] when the key is not its key.
    pub fn sign(&self, identity_id: &str, claim: &str, key: &PrivateKey) -> Result<String> {
        let identity = self.0.get(Kind::Identity, identity_id)?;
        if identity.value.str_at("public_key") != Some(key.public_key().as_str()) {
            return Err(Error::State {
                kind: Kind::Identity,
                id: identity_id.to_owned(),
                reason: "this private key does not belong to it; give the key that was made with it".to_owned(),
            });
        }
        Ok(key.sign_claim(identity_id, claim))
    }

    /// Whether a signature over a claim is by an identity. Anything malformed is not.
    ///
    /// # Errors
    /// [`crate::storage::StorageError::NotFound`] for an unknown identity, and those of the storage.
    pub fn verify(&self, identity_id: &str, claim: &str, signature: &str) -> Result<bool> {
        let identity = self.0.get(Kind::Identity, identity_id)?;
        let public_key = identity.value.str_at("public_key").unwrap_or_default();
        Ok(verify_claim(public_key, identity_id, claim, signature))
    }
}

/// What an identity is proven by, and what it is, stays as it was made.
pub(super) fn check(id: &str, new: &Value, old: Option<&Value>) -> Result<()> {
    let Some(old) = old else { return Ok(()) };
    for (field, what) in
        [("public_key", "its public key"), ("identity_type", "its type"), ("created_at", "the time it was made")]
    {
        if new.get(field) != old.get(field) {
            return Err(Error::Immutable { kind: Kind::Identity, id: id.to_owned(), what });
        }
    }
    Ok(())
}
