//! What can be said of records and documents without a vault: canonical JSON, checksums, schemas, JSON and YAML.

use std::ffi::c_char;
use std::fs::File;

use mirrordna::record::document::{self, Proof};
use mirrordna::record::{Checksum, Map, RecordError, Value, checksum, json, schema};

use crate::error::{Failure, Result};
use crate::guard::call;
use crate::input::{bytes, kind, path, value};
use crate::output::{opt_out, out, text_if_wanted, written};
use crate::snapshot::format;
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

/// The SHA-256 of the file at `path`, of any size: 64 hex digits, to be freed with `mdna_string_free()`.
///
/// Fails with `MDNA_IO` and `MDNA_PERMISSION`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_path_checksum(path: *const c_char, out_hex: *mut mdna_string) -> mdna_status {
    // SAFETY: the caller keeps what the header says of texts and outputs.
    let (file, out) = unsafe { (self::path(path, "path"), out(out_hex, "out_hex")) };
    call(|| {
        let (file, out) = (file?, out?);
        let checksum = File::open(file).and_then(|mut content| Checksum::of_reader(&mut content));
        let failed = |source| mirrordna::Error::Io { path: file.to_owned(), source };
        out.text(&checksum.map_err(failed)?.to_string());
        Ok(())
    })
}

/// Reads a document of `len` bytes at `text`, JSON or YAML as `format`, a `mdna_format`, says, as the functions take
/// records. Its checksum is not looked at. Free the JSON with `mdna_string_free()`.
///
/// Fails with `MDNA_JSON` and `MDNA_YAML`, and with `MDNA_INVALID_ARGUMENT` for another format.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_document_read(
    text: *const c_char,
    len: usize,
    format: u32,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of texts and outputs.
    let (given, out) = unsafe { (bytes(text.cast(), len, "text"), out(out_json, "out_json")) };
    call(|| {
        let (given, out) = (given?, out?);
        out.json(&self::format(format)?.read(given)?);
        Ok(())
    })
}

/// Writes a document, an object of `len` bytes of JSON at `json`, for people to read: as JSON that is indented, or as
/// YAML; `format` is a `mdna_format`. What `mdna_document_read()` reads of it is equal and has the same checksum. Free
/// the text with `mdna_string_free()`.
///
/// Fails with `MDNA_JSON` and `MDNA_NOT_AN_OBJECT`, and with `MDNA_INVALID_ARGUMENT` for another format.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_document_write(
    json: *const c_char,
    len: usize,
    format: u32,
    out_text: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of texts and outputs.
    let (given, out) = unsafe { (bytes(json.cast(), len, "json"), out(out_text, "out_text")) };
    call(|| {
        let (document, out) = (object(given?)?, out?);
        let (format, members) = (self::format(format)?, document.iter().map(|(key, value)| (key.as_str(), value)));
        out.bytes(written(|text| format.write_members(text, members))?);
        Ok(())
    })
}

/// The checksum of a document, an object of `len` bytes of JSON at `json`: that of its canonical JSON without the member
/// `checksum`. Master citations and snapshot files carry it. Free the 64 hex digits with `mdna_string_free()`.
///
/// Fails with `MDNA_JSON` and `MDNA_NOT_AN_OBJECT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_document_checksum(
    json: *const c_char,
    len: usize,
    out_hex: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of texts and outputs.
    let (given, out) = unsafe { (bytes(json.cast(), len, "json"), out(out_hex, "out_hex")) };
    call(|| {
        let (document, out) = (object(given?)?, out?);
        out.text(&document::checksum_of(&document).to_string());
        Ok(())
    })
}

/// Sets the member `checksum` of a document, an object of `len` bytes of JSON at `json`, to what it must be. Free the
/// document, canonical JSON, with `mdna_string_free()`.
///
/// Fails with `MDNA_JSON` and `MDNA_NOT_AN_OBJECT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_document_seal(
    json: *const c_char,
    len: usize,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of texts and outputs.
    let (given, out) = unsafe { (bytes(json.cast(), len, "json"), out(out_json, "out_json")) };
    call(|| {
        let (mut document, out) = (object(given?)?, out?);
        document::seal(&mut document);
        out.json(&document.into());
        Ok(())
    })
}

/// Verifies the member `checksum` of a document, an object of `len` bytes of JSON at `json`. One without it is refused
/// unless `allow_unverified` is true; one with a wrong one always is. `out_hex` gets the checksum, empty for a document
/// without one, to be freed with `mdna_string_free()`, and may be NULL.
///
/// Fails with `MDNA_CHECKSUM_MISMATCH`, `MDNA_UNVERIFIED`, `MDNA_JSON` and `MDNA_NOT_AN_OBJECT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_document_verify(
    json: *const c_char,
    len: usize,
    allow_unverified: bool,
    out_hex: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of texts and outputs.
    let (given, out) = unsafe { (bytes(json.cast(), len, "json"), opt_out(out_hex)) };
    call(|| {
        let document = object(given?)?;
        let proof = if allow_unverified { Proof::Optional } else { Proof::Required };
        let proven = document::verify("the document", &document, proof)?;
        text_if_wanted(out, &proven.map(|checksum| checksum.to_string()).unwrap_or_default());
        Ok(())
    })
}

fn object(text: &[u8]) -> Result<Map> {
    match json::parse(text).map_err(RecordError::from)? {
        Value::Object(document) => Ok(document),
        _ => Err(Failure::new(mdna_status::MDNA_NOT_AN_OBJECT, "a document must be a JSON object")),
    }
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
