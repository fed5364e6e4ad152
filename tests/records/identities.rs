//! Keys, claims and signatures.

use mirrordna::crypto::{PrivateKey, verify_claim, verify_message};
use mirrordna::record::{Kind, id, schema};

use crate::golden::{self, flag, items, text};

/// Where we refuse what the reference accepts, and why.
const STRICTER_THAN_THE_REFERENCE: [(&str, &str); 2] = [
    ("low_order_public_key_identity_R_S0", "a key of low order verifies this signature for every message"),
    ("non_canonical_public_key_p_plus_1", "a second spelling of a key of low order"),
];

/// Ed25519 is deterministic: the reference's seeds give its public keys and its signatures, byte for byte.
#[test]
fn keys_and_signatures_are_those_of_the_reference() {
    golden::each("identities.json", |data| {
        for identity in items(data.get("identities").expect("identities")) {
            let identity_id = text(identity, "identity_id");
            let key = PrivateKey::from_base64(text(identity, "private_key")).expect(identity_id);
            assert_eq!(key.public_key(), text(identity, "public_key"));
            assert_eq!(*key.to_base64(), text(identity, "private_key"));
            for claim in items(identity.get("claims").expect("claims")) {
                let (claim, signature) = (text(claim, "claim"), text(claim, "signature"));
                assert_eq!(key.sign_claim(identity_id, claim), signature, "{identity_id} {claim:?}");
                assert!(verify_claim(&key.public_key(), identity_id, claim, signature), "{identity_id} {claim:?}");
            }
        }
    });
}

/// The reference's identity records obey our schema.
#[test]
fn stored_identities_are_valid_records() {
    golden::each("identities.json", |data| {
        for identity in items(data.get("identities").expect("identities")) {
            let record = identity.get("record").expect("record");
            assert_eq!(schema::validate(Kind::Identity, record), Ok(()));
            assert_eq!(id::check(Kind::Identity, text(record, "identity_id")), Ok(()));
            assert_eq!(text(record, "public_key"), text(identity, "public_key"));
        }
    });
}

/// Signatures that were tampered with are false, and so are those in sloppy base64 that the reference lets through.
#[test]
fn tampered_and_sloppy_signatures_are_false() {
    golden::each("identities.json", |data| {
        for case in ["tampered", "lenient_accepted"].into_iter().flat_map(|list| items(data.get(list).expect(list))) {
            let (public_key, signature) = (text(case, "public_key"), text(case, "signature"));
            assert!(
                !verify_claim(public_key, text(case, "identity_id"), text(case, "claim"), signature),
                "{}",
                text(case, "name")
            );
        }
    });
}

/// Odd keys verify as in the reference, except for the weak ones of the table, which are refused.
#[test]
fn odd_keys_verify_strictly() {
    golden::each("identities.json", |data| {
        for case in items(data.get("edge_verify").expect("edge_verify")) {
            let name = text(case, "name");
            let stricter = STRICTER_THAN_THE_REFERENCE.iter().any(|(known, _)| *known == name);
            let expected = flag(case, "expected") && !stricter;
            let (public_key, signature) = (text(case, "public_key"), text(case, "signature"));
            assert_eq!(verify_message(public_key, text(case, "message").as_bytes(), signature), expected, "{name}");
        }
    });
}

/// Each line of the table is a real difference.
#[test]
fn the_table_of_differences_is_true() {
    golden::each("identities.json", |data| {
        for (name, why) in STRICTER_THAN_THE_REFERENCE {
            let cases = items(data.get("edge_verify").expect("edge_verify"));
            let case = cases.iter().find(|case| text(case, "name") == name).expect(name);
            assert!(flag(case, "expected"), "{name}: {why}");
        }
    });
}
