//! Cryptography: signing and verifying claims.
//!
//! Keys that are secret are wiped from memory when they are dropped, and never printed.

pub mod signing;

pub use signing::{PrivateKey, verify_claim, verify_message};

/// What is wrong with a key.
///
/// Signatures are not here: one that cannot be read does not verify, and says so with `false`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CryptoError {
    /// The text of a private key is not base64.
    #[error(
        "the private key is not base64; give the 44 characters that were shown when the identity was made, without quotes"
    )]
    PrivateKeyText,
    /// The bytes of a private key are not 32.
    #[error(
        "the private key has {bytes} bytes and must have 32; give the 44 characters that were shown when the identity was \
         made, not a signature"
    )]
    PrivateKeyLength {
        /// How many it has.
        bytes: usize,
    },
}
