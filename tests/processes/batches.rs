//! Batches from a process that does not own the vault.

use mirrordna::record::Kind;
use mirrordna::storage::StorageError;
use mirrordna::{Error, Vault};

use crate::support::{Bed, contents, memory, write};

fn batch_of(vault: &Vault, ids: [&str; 2]) -> mirrordna::vault::Batch {
    let batch = vault.batch();
    for id in ids {
        batch.put(Kind::Memory, memory(id, "a")).unwrap();
        batch.put(Kind::Memory, memory(id, "b")).unwrap();
    }
    batch
}

#[test]
fn a_batch_goes_to_the_owner_as_one() {
    let bed = Bed::new();
    let (owner, client) = (bed.open(), bed.open());
    let batch = batch_of(&client, ["mem_000000000001", "mem_000000000002"]);
    assert!(contents(owner.storage(), "mem_000000000001").is_empty());
    let committed = batch.commit().unwrap().unwrap();
    assert_eq!(committed.last - committed.first, 3);
    for id in ["mem_000000000001", "mem_000000000002"] {
        assert_eq!(contents(owner.storage(), id), ["b", "a"]);
    }

    // What somebody else changed meanwhile keeps all of it out.
    let batch = batch_of(&client, ["mem_000000000003", "mem_000000000002"]);
    write(owner.storage(), "mem_000000000002", "c").unwrap();
    let error = batch.commit().unwrap_err();
    assert!(matches!(error, Error::Storage(StorageError::Stale { .. })), "{error}");
    assert!(contents(owner.storage(), "mem_000000000003").is_empty());

    // The owner goes while a batch is being made, and it is committed all the same.
    let batch = batch_of(&client, ["mem_000000000003", "mem_000000000002"]);
    drop(owner);
    batch.commit().unwrap();
    assert_eq!(contents(client.storage(), "mem_000000000003"), ["b", "a"]);
    drop(client);
    bed.assert_clean();
}
