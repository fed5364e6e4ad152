//! What a call from C costs beside the same call from Rust, in one run. It prints and decides nothing:
//! `cargo test --release --test c -- --ignored --nocapture overhead`.

use std::ffi::CString;
use std::hint::black_box;
use std::ptr;
use std::time::Instant;

use mirrordna::storage::Durability;
use mirrordna::vault::Filter;
use mirrordna::{Vault, VaultOptions};
use mirrordna_ffi::*;

const RECORDS: usize = 100_000;
const CALLS: usize = 100_000;

fn memory(n: usize) -> String {
    format!(
        "{{\"tier\":\"episodic\",\"content\":\"thought {n} of many, of the length that thoughts have\",\"source\":{{\
         \"session_id\":\"sess_20261122_185200_0a1b2c3d\",\"agent_id\":\"mdna_agt_0123456789abcdef\",\
         \"user_id\":\"mdna_usr_0123456789abcdef\"}}}}"
    )
}

/// Nanoseconds a call, the least of three rounds.
fn measure(calls: usize, mut round: impl FnMut()) -> u128 {
    let rounds = (0..3).map(|_| {
        let start = Instant::now();
        round();
        start.elapsed().as_nanos() / calls as u128
    });
    rounds.min().unwrap()
}

const EMPTY: mdna_string = mdna_string { data: ptr::null_mut(), len: 0 };

#[test]
#[ignore = "a measurement"]
fn overhead() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vault");
    let options = VaultOptions { durability: Durability::Buffered, ..VaultOptions::default() };
    let rust = Vault::create(&path, &options).unwrap();
    let ids: Vec<String> = (0..RECORDS)
        .map(|n| rust.memories().add_record(mirrordna::record::json::parse(memory(n).as_bytes()).unwrap()).unwrap().id)
        .collect();
    let c_ids: Vec<CString> = ids.iter().map(|id| CString::new(id.as_str()).unwrap()).collect();
    drop(rust);
    let rust = Vault::open(&path, &options).unwrap();
    let mut c = ptr::null_mut();
    let c_path = CString::new(path.to_str().unwrap()).unwrap();
    let c_options = mdna_open_options {
        version: MDNA_OPEN_OPTIONS_VERSION,
        durability: mdna_durability::MDNA_DURABILITY_BUFFERED as u32,
        ownership: mdna_ownership::MDNA_OWNERSHIP_ANY as u32,
        lock_timeout_ms: 5_000,
        actor: ptr::null(),
    };
    // Each alone, so that both read from a storage of their own.
    let of_rust =
        measure(CALLS, || ids.iter().for_each(|id| drop(black_box(rust.get(mirrordna::record::Kind::Memory, id)))));
    let list_rust = measure(RECORDS, || {
        let records = rust.list(mirrordna::record::Kind::Memory, &Filter::default()).unwrap();
        assert_eq!(records.filter(|record| black_box(record).is_ok()).count(), RECORDS);
    });
    let write_rust = measure(CALLS / 10, || {
        for n in 0..CALLS / 10 {
            let record = mirrordna::record::json::parse(memory(n).as_bytes()).unwrap();
            black_box(rust.memories().add_record(record).unwrap());
        }
    });
    drop(rust);
    // SAFETY: texts, handles and outputs are as the header asks for, in all calls of this test.
    assert_eq!(unsafe { mdna_vault_open(c_path.as_ptr(), &raw const c_options, &raw mut c) }, mdna_status::MDNA_OK);
    let of_c = measure(CALLS, || {
        for id in &c_ids {
            let mut text = EMPTY;
            // SAFETY: as above.
            unsafe {
                assert_eq!(mdna_memory_get(c, id.as_ptr(), &raw mut text), mdna_status::MDNA_OK);
                mdna_string_free(&raw mut text);
            }
        }
    });
    let list_c = measure(RECORDS, || {
        let mut cursor = ptr::null_mut();
        // SAFETY: as above.
        unsafe {
            assert_eq!(mdna_memory_list(c, c"{\"limit\":100000}".as_ptr(), &raw mut cursor), mdna_status::MDNA_OK);
            let mut text = EMPTY;
            while mdna_cursor_next(cursor, &raw mut text) == mdna_status::MDNA_OK {
                mdna_string_free(&raw mut text);
            }
            mdna_cursor_free(cursor);
        }
    });
    let write_c = measure(CALLS / 10, || {
        for n in 0..CALLS / 10 {
            let json = CString::new(memory(n)).unwrap();
            // SAFETY: as above.
            assert_eq!(unsafe { mdna_memory_add(c, json.as_ptr(), ptr::null_mut()) }, mdna_status::MDNA_OK);
        }
    });
    // SAFETY: as above.
    unsafe { mdna_vault_close(c) };
    println!("ns a call     Rust       C");
    println!("get     {of_rust:>10} {of_c:>8}");
    println!("list    {list_rust:>10} {list_c:>8}");
    println!("write   {write_rust:>10} {write_c:>8}");
}
