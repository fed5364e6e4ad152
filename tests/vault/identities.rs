//! Identities: keys and claims.

use mirrordna::Error;
use mirrordna::crypto::PrivateKey;
use mirrordna::record::Kind;
use mirrordna::record::id::{IdentityType, SeededIds};
use mirrordna::storage::StorageError;

use crate::support::{Fixture, parse};

#[test]
fn an_identity_is_made_exactly_so_and_its_key_is_handed_out_once() {
    let make = || {
        let fixture = Fixture::new();
        let made = fixture.vault.identities().create(IdentityType::Agent, Some(parse(r#"{"name":"Zoë"}"#))).unwrap();
        (fixture, made)
    };
    let (fixture, first) = make();
    let (_, again) = make();
    assert_eq!(first.record.value, again.record.value);
    assert_eq!(*first.private_key.to_base64(), *again.private_key.to_base64());
    let identity = &first.record.value;
    assert!(first.record.id.starts_with("mdna_agt_") && first.record.id.len() == "mdna_agt_".len() + 16);
    assert_eq!(identity.str_at("public_key"), Some(first.private_key.public_key().as_str()));
    assert_eq!(identity.str_at("metadata.name"), Some("Zoë"));
    fixture.vault.flush().unwrap();
    let secret = first.private_key.to_base64();
    let mut folders = vec![fixture.path("vault")];
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if !path.is_file() {
                // The socket holds nothing.
                continue;
            }
            let content = std::fs::read(&path).unwrap();
            assert!(!content.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()), "{}", path.display());
        }
    }
}

#[test]
fn claims_are_signed_by_the_owner_and_verify_as_they_are() {
    let fixture = Fixture::new();
    let identities = fixture.vault.identities();
    let made = identities.create(IdentityType::User, None).unwrap();
    let other = identities.create(IdentityType::User, None).unwrap();
    let signature = identities.sign(&made.record.id, "I was here", &made.private_key).unwrap();
    assert!(identities.verify(&made.record.id, "I was here", &signature).unwrap());
    assert!(!identities.verify(&made.record.id, "I was there", &signature).unwrap());
    assert!(!identities.verify(&other.record.id, "I was here", &signature).unwrap());
    for malformed in ["", "x", &signature[1..], &format!("{signature}\n")] {
        assert!(!identities.verify(&made.record.id, "I was here", malformed).unwrap());
    }
    let stranger = PrivateKey::generate(&SeededIds::new(99)).unwrap();
    assert!(matches!(identities.sign(&made.record.id, "x", &stranger).unwrap_err(), Error::State { .. }));
    let unknown = identities.verify("mdna_usr_000000000000", "x", &signature).unwrap_err();
    assert!(matches!(unknown, Error::Storage(StorageError::NotFound { .. })));
}

#[test]
fn what_proves_an_identity_never_changes_and_the_rest_may() {
    let fixture = Fixture::new();
    let made = fixture.vault.identities().create(IdentityType::System, None).unwrap().record;
    let with = |field: &str, value: &str| {
        let mut record = made.value.clone();
        record.as_object_mut().unwrap().insert(field.into(), parse(value));
        fixture.vault.put(Kind::Identity, record)
    };
    for (field, value) in [
        ("public_key", r#""AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=""#),
        ("identity_type", r#""user""#),
        ("created_at", r#""2020-01-01T00:00:00Z""#),
    ] {
        let error = with(field, value).unwrap_err();
        assert!(matches!(error, Error::Immutable { .. }), "{error}");
    }
    assert_eq!(with("metadata", r#"{"name":"new"}"#).unwrap().value.str_at("metadata.name"), Some("new"));
}
