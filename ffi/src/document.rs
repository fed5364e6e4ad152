//! What can be said of a record without a vault: its canonical JSON, its checksum, its schema.

use std::ffi::c_char;

use mirrordna::record::{Checksum, RecordError, checksum, json, schema};

use crate::guard::call;
use crate::input::{bytes, kind, value};
use crate::output::out;
use crate::status::mdna_status;
use crate::string::mdna_string;

/// The canonical JSON of `len` bytes of JSON at `json`, of which a checksum is the SHA-256. Free it with
/// `mdna_string_free()`.
///
/// Fails with `MDNA_JSON`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_json_canonical(
    json: *const c_char,
    len: usize,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of texts and outputs.
    let (given, out) = unsafe { (bytes(json.cast(), len, "json"), out(out_json, "out_json")) };
    call(|| {
        let (given, out) = (given?, out?);
        out.json(&self::json::parse(given).map_err(RecordError::from)?);
        Ok(())
    })
}

/// The protocol checksum of `len` bytes of JSON at `json`: 64 hex digits, to be freed with `mdna_string_free()`.
///
/// Fails with `MDNA_JSON`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_json_checksum(json: *const c_char, len: usize, out_hex: *mut mdna_string) -> mdna_status {
    // SAFETY: the caller keeps what the header says of texts and outputs.
    let (given, out) = unsafe { (bytes(json.cast(), len, "json"), out(out_hex, "out_hex")) };
    call(|| {
        let (given, out) = (given?, out?);
        let value = self::json::parse(given).map_err(RecordError::from)?;
        out.text(&Checksum::of(&checksum::canonical(&value)).to_string());
        Ok(())
    })
}

/// The SHA-256 of `len` bytes at `data`, as files are checksummed: 64 hex digits, to be freed with
/// `mdna_string_free()`. `data` may be NULL when `len` is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_bytes_checksum(data: *const u8, len: usize, out_hex: *mut mdna_string) -> mdna_status {
    // SAFETY: the caller keeps what the header says of bytes and outputs.
    let (given, out) = unsafe { (bytes(data, len, "data"), out(out_hex, "out_hex")) };
    call(|| {
        let (given, out) = (given?, out?);
        out.text(&Checksum::of(given).to_string());
        Ok(())
    })
}

/// Whether a record fits the schema of its collection; nothing is stored.
///
/// Fails with `MDNA_SCHEMA`, whose message names each fault, and with `MDNA_NOT_AN_OBJECT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_record_check(collection: *const c_char, record_json: *const c_char) -> mdna_status {
    // SAFETY: the caller keeps what the header says of texts.
    let (kind, record) = unsafe { (kind(collection, "collection"), value(record_json, "record_json")) };
    call(|| Ok(schema::validate(kind?, &record?)?))
}

/// The schema of a collection: JSON Schema, draft 7. Free it with `mdna_string_free()`.
///
/// Fails with `MDNA_UNKNOWN_COLLECTION`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_schema_text(collection: *const c_char, out_json: *mut mdna_string) -> mdna_status {
    // SAFETY: the caller keeps what the header says of texts and outputs.
    let (kind, out) = unsafe { (kind(collection, "collection"), out(out_json, "out_json")) };
    call(|| {
        let (kind, out) = (kind?, out?);
        out.text(schema::text(kind));
        Ok(())
    })
}
