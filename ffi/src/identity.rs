//! Identities, and what they sign.

use std::ffi::c_char;

use mirrordna::crypto::{PrivateKey, verify_claim};
use mirrordna::record::checksum;
use mirrordna::record::id::{IdentityType, SystemIds};

use crate::error::{Failure, Result};
use crate::guard::{call, call_on};
use crate::handle::borrow;
use crate::input::{opt_value, text};
use crate::output::out;
use crate::status::mdna_status;
use crate::string::mdna_string;
use crate::vault::mdna_vault;

/// Makes an identity with a new Ed25519 key. `identity_type` is `"user"`, `"agent"` or `"system"`; `metadata_json` is
/// an object and may be NULL. `out_json` gets the identity as a JSON object and in it, as `_private_key`, the only copy
/// of its private key: the vault does not keep it. Free it with `mdna_string_free()`, which wipes it.
///
/// Fails with `MDNA_INVALID_ARGUMENT` for another type, and with `MDNA_SCHEMA` for metadata that breaks the schema.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_identity_create(
    vault: *mut mdna_vault,
    identity_type: *const c_char,
    metadata_json: *const c_char,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, name, metadata, out) = unsafe {
        (
            borrow(vault, "vault"),
            text(identity_type, "identity_type"),
            opt_value(metadata_json, "metadata_json"),
            out(out_json, "out_json"),
        )
    };
    call_on(vault, |vault| {
        let (identity_type, metadata, out) = (identity_type_of(name?)?, metadata?, out?);
        let new = vault.vault.identities().create(identity_type, metadata)?;
        out.bytes(with_key(&checksum::canonical(&new.record.value), &new.private_key.to_base64()));
        Ok(())
    })
}

pub(crate) fn identity_type_of(name: &str) -> Result<IdentityType> {
    IdentityType::from_name(name).ok_or_else(|| {
        let names = IdentityType::ALL.map(IdentityType::name).join(", ");
        Failure::argument("identity_type", format!("{name:?} is none of {names}"))
    })
}

/// A record in canonical JSON with a member before its others: `_` comes before all letters. The key is written once,
/// into memory that is not moved any more and is wiped when it is freed.
fn with_key(record: &[u8], key: &str) -> Vec<u8> {
    let parts: [&[u8]; 4] = [b"{\"_private_key\":\"", key.as_bytes(), b"\",", record.get(1..).unwrap_or_default()];
    // One byte more for the NUL.
    let mut json = Vec::with_capacity(parts.iter().map(|part| part.len()).sum::<usize>() + 1);
    for part in parts {
        json.extend_from_slice(part);
    }
    json
}

/// An identity. See `mdna_record_get()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_identity_get(
    vault: *mut mdna_vault,
    identity_id: *const c_char,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, id, out) =
        unsafe { (borrow(vault, "vault"), text(identity_id, "identity_id"), out(out_json, "out_json")) };
    call_on(vault, |vault| {
        let out = out?;
        out.bytes(vault.get(mirrordna::record::Kind::Identity, id?)?);
        Ok(())
    })
}

/// Signs a claim in the name of an identity: Ed25519 over `<identity_id>:<claim>`. `private_key` is what
/// `mdna_identity_create()` gave. `out_signature` gets 88 characters of base64, to be freed with `mdna_string_free()`.
///
/// Fails with `MDNA_NOT_FOUND`, with `MDNA_PRIVATE_KEY` for a text that is no key, and with `MDNA_WRONG_STATE` when it
/// is the key of another identity.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_identity_sign(
    vault: *mut mdna_vault,
    identity_id: *const c_char,
    claim: *const c_char,
    private_key: *const c_char,
    out_signature: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, id, claim, key, out) = unsafe {
        (
            borrow(vault, "vault"),
            text(identity_id, "identity_id"),
            text(claim, "claim"),
            text(private_key, "private_key"),
            out(out_signature, "out_signature"),
        )
    };
    call_on(vault, |vault| {
        let (id, claim, key, out) = (id?, claim?, PrivateKey::from_base64(key?)?, out?);
        out.text(&vault.vault.identities().sign(id, claim, &key)?);
        Ok(())
    })
}

/// Whether a signature over a claim is by an identity of the vault. Anything malformed is not.
///
/// Fails with `MDNA_NOT_FOUND` for an unknown identity.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_identity_verify(
    vault: *mut mdna_vault,
    identity_id: *const c_char,
    claim: *const c_char,
    signature: *const c_char,
    out_valid: *mut bool,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, id, claim, signature, out) = unsafe {
        (
            borrow(vault, "vault"),
            text(identity_id, "identity_id"),
            text(claim, "claim"),
            text(signature, "signature"),
            out(out_valid, "out_valid"),
        )
    };
    call_on(vault, |vault| {
        let (id, claim, signature, out) = (id?, claim?, signature?, out?);
        out.write(vault.vault.identities().verify(id, claim, signature)?);
        Ok(())
    })
}

/// Signs a claim without a vault. See `mdna_identity_sign()`.
///
/// Fails with `MDNA_PRIVATE_KEY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_claim_sign(
    private_key: *const c_char,
    identity_id: *const c_char,
    claim: *const c_char,
    out_signature: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of texts and outputs.
    let (key, id, claim, out) = unsafe {
        (
            text(private_key, "private_key"),
            text(identity_id, "identity_id"),
            text(claim, "claim"),
            out(out_signature, "out_signature"),
        )
    };
    call(|| {
        let (key, id, claim, out) = (PrivateKey::from_base64(key?)?, id?, claim?, out?);
        out.text(&key.sign_claim(id, claim));
        Ok(())
    })
}

/// Whether a signature over a claim is by the owner of a public key (base64), without a vault. Anything malformed is
/// not.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_claim_verify(
    public_key: *const c_char,
    identity_id: *const c_char,
    claim: *const c_char,
    signature: *const c_char,
    out_valid: *mut bool,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of texts and outputs.
    let (key, id, claim, signature, out) = unsafe {
        (
            text(public_key, "public_key"),
            text(identity_id, "identity_id"),
            text(claim, "claim"),
            text(signature, "signature"),
            out(out_valid, "out_valid"),
        )
    };
    call(|| {
        let (key, id, claim, signature, out) = (key?, id?, claim?, signature?, out?);
        out.write(verify_claim(key, id, claim, signature));
        Ok(())
    })
}

/// Makes a new Ed25519 key. `out_private_key` gets it in base64, the only copy. Free it with `mdna_string_free()`, which
/// wipes it.
///
/// Fails with `MDNA_NO_RANDOMNESS`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_key_new(out_private_key: *mut mdna_string) -> mdna_status {
    // SAFETY: the caller keeps what the header says of outputs.
    let out = unsafe { out(out_private_key, "out_private_key") };
    call(|| {
        let out = out?;
        let key = PrivateKey::generate(&SystemIds).map_err(mirrordna::Error::from)?.to_base64();
        // One byte more for the NUL, so that it is not moved and left behind.
        let mut text = Vec::with_capacity(key.len() + 1);
        text.extend_from_slice(key.as_bytes());
        out.bytes(text);
        Ok(())
    })
}

/// The public key (base64) of a private one. Free it with `mdna_string_free()`.
///
/// Fails with `MDNA_PRIVATE_KEY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_key_public(private_key: *const c_char, out_public_key: *mut mdna_string) -> mdna_status {
    // SAFETY: the caller keeps what the header says of texts and outputs.
    let (key, out) = unsafe { (text(private_key, "private_key"), out(out_public_key, "out_public_key")) };
    call(|| {
        let (key, out) = (PrivateKey::from_base64(key?)?, out?);
        out.text(&key.public_key());
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_comes_first_and_the_capacity_is_what_is_needed() {
        let json = with_key(b"{\"a\":1}", "secret");
        assert_eq!(json, b"{\"_private_key\":\"secret\",\"a\":1}");
        assert_eq!(json.capacity(), json.len() + 1);
    }
}
