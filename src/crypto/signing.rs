//! Ed25519 over claims: an identity signs the bytes of `<identity_id>:<claim>`.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use super::CryptoError;
use crate::record::id::{IdSource, NoRandomness};

/// The private key of an identity: 32 bytes, wiped from memory when dropped. Its `Debug` shows the public half only.
pub struct PrivateKey(SigningKey);

impl PrivateKey {
    /// A new key from 32 bytes of `ids`.
    ///
    /// # Errors
    /// Those of `ids`.
    pub fn generate(ids: &dyn IdSource) -> Result<Self, NoRandomness> {
        let mut seed = Zeroizing::new([0; 32]);
        ids.fill(&mut *seed)?;
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// Reads a key from the standard base64 of its 32 bytes. Whitespace around it is ignored, so that a key file may end
    /// with a line break.
    ///
    /// # Errors
    /// [`CryptoError::PrivateKeyText`] for what is not base64 (padding included), [`CryptoError::PrivateKeyLength`] for
    /// anything but 32 bytes. Neither repeats the text.
    pub fn from_base64(text: &str) -> Result<Self, CryptoError> {
        let bytes = Zeroizing::new(STANDARD.decode(text.trim_ascii()).map_err(|_| CryptoError::PrivateKeyText)?);
        let seed = bytes.as_slice().try_into().map_err(|_| CryptoError::PrivateKeyLength { bytes: bytes.len() })?;
        Ok(Self(SigningKey::from_bytes(seed)))
    }

    /// The secret itself as 44 characters of base64, to be handed out once. It is wiped from memory when dropped.
    #[must_use]
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.0.as_bytes()))
    }

    /// The public key as 44 characters of base64, as it stands in `public_key` of an identity.
    #[must_use]
    pub fn public_key(&self) -> String {
        STANDARD.encode(self.0.verifying_key().as_bytes())
    }

    /// The signature of `identity_id` over `claim` as 88 characters of base64. The same claim always has the same one.
    #[must_use]
    pub fn sign_claim(&self, identity_id: &str, claim: &str) -> String {
        STANDARD.encode(self.0.sign(claim_message(identity_id, claim).as_bytes()).to_bytes())
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey").field("public_key", &self.public_key()).finish_non_exhaustive()
    }
}

/// True when `signature` (base64) is that of the owner of `public_key` (base64) on `claim` made as `identity_id`.
///
/// Whatever is malformed is false; see [`verify_message`].
#[must_use]
pub fn verify_claim(public_key: &str, identity_id: &str, claim: &str, signature: &str) -> bool {
    verify_message(public_key, claim_message(identity_id, claim).as_bytes(), signature)
}

/// True when `signature` (base64) is that of the owner of `public_key` (base64) on the bytes of `message`.
///
/// Strict in every part, so that a signature has one spelling and one meaning: base64 with its padding and nothing
/// around it, no public keys of low order, no unreduced scalars. Whatever is malformed is false.
#[must_use]
pub fn verify_message(public_key: &str, message: &[u8], signature: &str) -> bool {
    let verify = || {
        let key = VerifyingKey::from_bytes(&decode::<32>(public_key)?).ok()?;
        let signature = Signature::from_bytes(&decode::<64>(signature)?);
        key.verify_strict(message, &signature).ok()
    };
    verify().is_some()
}

fn claim_message(identity_id: &str, claim: &str) -> String {
    format!("{identity_id}:{claim}")
}

fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::id::SeededIds;

    fn key() -> PrivateKey {
        PrivateKey::generate(&SeededIds::new(7)).unwrap()
    }

    #[test]
    fn a_key_survives_its_text_and_verifies_what_it_signed() {
        let text = key().to_base64();
        let again = PrivateKey::from_base64(&format!("  {}\n", *text)).unwrap();
        let signature = again.sign_claim("mdna_agt_x", "I am here");
        assert_eq!(signature, key().sign_claim("mdna_agt_x", "I am here"));
        assert!(verify_claim(&key().public_key(), "mdna_agt_x", "I am here", &signature));
        assert!(!verify_claim(&key().public_key(), "mdna_agt_y", "I am here", &signature));
        assert!(!verify_claim(&key().public_key(), "mdna_agt_x", "I am not", &signature));
    }

    #[test]
    fn malformed_things_are_false() {
        let key = key();
        let (public, signature) = (key.public_key(), key.sign_claim("a", "b"));
        for (public, signature) in [
            ("", &*signature),
            ("***", &signature),
            (&public, ""),
            (&public, signature.trim_end_matches('=')),
            (&public, &format!("{signature}\n")),
            (&format!(" {public}"), &signature),
            (&signature, &public),
        ] {
            assert!(!verify_claim(public, "a", "b", signature), "{public:?} {signature:?}");
        }
    }

    #[test]
    fn unreadable_private_keys_say_what_to_do_and_not_what_they_are() {
        for (text, expected) in [
            ("", CryptoError::PrivateKeyLength { bytes: 0 }),
            ("AAAA", CryptoError::PrivateKeyLength { bytes: 3 }),
            ("hunter2!", CryptoError::PrivateKeyText),
            ("AAA", CryptoError::PrivateKeyText),
        ] {
            let error = PrivateKey::from_base64(text).unwrap_err();
            assert_eq!(error, expected);
            assert!(error.to_string().contains("44 characters"));
        }
    }

    #[test]
    fn debug_shows_the_public_half_only() {
        let shown = format!("{:?}", key());
        assert!(shown.contains(&key().public_key()));
        assert!(!shown.contains(key().to_base64().as_str()));
    }
}
