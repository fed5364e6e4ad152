//! Records of any kind, by the name of their collection.

use std::ffi::c_char;

use mirrordna::record::{Kind, Value};
use mirrordna::storage::Version;
use mirrordna::vault::{Filter, View};

use crate::cursor::{mdna_cursor, of_listing, of_values};
use crate::error::Result;
use crate::guard::call_on;
use crate::handle::borrow;
use crate::input::{kind, opt_value, text, value};
use crate::output::{opt_out, out, text_if_wanted};
use crate::status::mdna_status;
use crate::string::mdna_string;
use crate::vault::mdna_vault;

/// What a vault knows of a version of a record.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct mdna_record_info {
    /// The log entry that brought this version.
    pub sequence: u64,
    /// When it was committed, in microseconds since 1970, UTC.
    pub time_us: i64,
    /// The protocol checksum: SHA-256 of the record's canonical JSON, which is what the library hands out.
    pub checksum: [u8; 32],
    /// It breaks its schema and was imported all the same.
    pub lenient: bool,
}

/// A filter that C gives as JSON.
pub(crate) fn filter(given: Option<Value>) -> Result<Filter> {
    Ok(given.map_or_else(|| Ok(Filter::default()), |value| Filter::from_value(&value))?)
}

/// Stores a record that is not there yet. `collection` is one of `identities`, `sessions`, `memories`, `agent_dna`,
/// `timeline`, `snapshots`, `reflections`, `citations`, `entries`, `agent_links`, `glyphtrail`. `out_id` gets its id,
/// to be freed with `mdna_string_free()`, and may be NULL.
///
/// Fails with `MDNA_EXISTS`, with `MDNA_SCHEMA`, `MDNA_INVALID_ID` and others that say what is wrong with the record,
/// and with `MDNA_UNKNOWN_PARENT`, `MDNA_CYCLE`, `MDNA_CHECKSUM_MISMATCH` by the rules of its kind. After a failure
/// nothing is changed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_record_create(
    vault: *mut mdna_vault,
    collection: *const c_char,
    record_json: *const c_char,
    out_id: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, kind, record, out) = unsafe {
        (borrow(vault, "vault"), kind(collection, "collection"), value(record_json, "record_json"), opt_out(out_id))
    };
    call_on(vault, |vault| {
        text_if_wanted(out, &vault.vault.create_record(kind?, record?)?.id);
        Ok(())
    })
}

/// Stores a record: creates it, or adds a version when its id is there. `out_id` gets its id, to be freed with
/// `mdna_string_free()`, and may be NULL.
///
/// Fails as `mdna_record_create()`, but for `MDNA_EXISTS`, and with `MDNA_IMMUTABLE`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_record_put(
    vault: *mut mdna_vault,
    collection: *const c_char,
    record_json: *const c_char,
    out_id: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, kind, record, out) = unsafe {
        (borrow(vault, "vault"), kind(collection, "collection"), value(record_json, "record_json"), opt_out(out_id))
    };
    call_on(vault, |vault| {
        text_if_wanted(out, &vault.vault.put(kind?, record?)?.id);
        Ok(())
    })
}

/// The newest version of a record, as canonical JSON, verified. Free it with `mdna_string_free()`.
///
/// Fails with `MDNA_NOT_FOUND`, and with `MDNA_CORRUPT` when what is stored is not what was stored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_record_get(
    vault: *mut mdna_vault,
    collection: *const c_char,
    id: *const c_char,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, kind, id, out) =
        unsafe { (borrow(vault, "vault"), kind(collection, "collection"), text(id, "id"), out(out_json, "out_json")) };
    call_on(vault, |vault| {
        let out = out?;
        out.bytes(vault.get(kind?, id?)?);
        Ok(())
    })
}

impl mdna_vault {
    /// The canonical JSON of a record, as it is stored.
    pub(crate) fn get(&self, kind: Kind, id: &str) -> Result<Vec<u8>> {
        Ok(version(&self.vault.present(), kind, id)?.json)
    }
}

/// What the vault knows of the newest version of a record.
///
/// Fails as `mdna_record_get()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_record_describe(
    vault: *mut mdna_vault,
    collection: *const c_char,
    id: *const c_char,
    out_info: *mut mdna_record_info,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, kind, id, out) =
        unsafe { (borrow(vault, "vault"), kind(collection, "collection"), text(id, "id"), out(out_info, "out_info")) };
    call_on(vault, |vault| {
        let (kind, id, out) = (kind?, id?, out?);
        out.write(describe(&vault.vault.present(), kind, id)?);
        Ok(())
    })
}

/// What the vault knows of a record in a view.
pub(crate) fn describe(view: &View, kind: Kind, id: &str) -> Result<mdna_record_info> {
    let Version { sequence, time, checksum, lenient, .. } = version(view, kind, id)?;
    Ok(mdna_record_info { sequence, time_us: time.as_micros(), checksum: checksum.0, lenient })
}

/// A record in a view, as it is stored.
pub(crate) fn version(view: &View, kind: Kind, id: &str) -> Result<Version> {
    Ok(view.version(kind, id)?.ok_or_else(|| mirrordna::Error::not_found(kind, id))?)
}

/// The records of a collection that fit a filter. `filter_json` may be NULL, for all of them in order of the log; else
/// it is an object: `limit` (a number; 0 is none), `order` (`"log"`, `"newest"`: created last, or `"time"`: by the
/// record's own time, newest first), `archived` (true or false), `since` and `until` (RFC 3339; the record's own time
/// is at or after the one and before the other), `after` (what `mdna_cursor_position()` gave, with the same order). Any
/// other member is the path of a field, with dots between keys, and what must stand there, a text, a number, true,
/// false or null: `{"tier": "long_term", "metadata.tags": "work", "limit": 10}`. A list fits when one of its items is
/// the value; null also fits where the field is missing; an object fits nothing. A text is no number and not null,
/// whatever it says. Free the cursor with `mdna_cursor_free()`.
///
/// Fails with `MDNA_INVALID_ARGUMENT` for a filter that cannot be used.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_record_list(
    vault: *mut mdna_vault,
    collection: *const c_char,
    filter_json: *const c_char,
    out: *mut *mut mdna_cursor,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, kind, given, out) = unsafe {
        (
            borrow(vault, "vault"),
            kind(collection, "collection"),
            opt_value(filter_json, "filter_json"),
            self::out(out, "out"),
        )
    };
    call_on(vault, |vault| {
        let (kind, filter, out) = (kind?, filter(given?)?, out?);
        out.write(of_listing(vault.vault.list(kind, &filter)?));
        Ok(())
    })
}

/// Deletes a record; its history stays.
///
/// Fails with `MDNA_NOT_FOUND`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_record_delete(
    vault: *mut mdna_vault,
    collection: *const c_char,
    id: *const c_char,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and texts.
    let (vault, kind, id) = unsafe { (borrow(vault, "vault"), kind(collection, "collection"), text(id, "id")) };
    call_on(vault, |vault| {
        vault.vault.delete(kind?, id?)?;
        Ok(())
    })
}

/// What a record was, newest first, at most `limit` versions, or all when it is 0: JSON objects with `sequence`,
/// `time`, `deleted`, `checksum`, `lenient` (true when it broke its schema and was imported all the same) and `record`,
/// the last three null for a deletion. Free the cursor with `mdna_cursor_free()`; where a version is damaged it ends
/// with `MDNA_CORRUPT`, after those that are newer.
///
/// Fails with `MDNA_NOT_FOUND` for a record that never was.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_record_history(
    vault: *mut mdna_vault,
    collection: *const c_char,
    id: *const c_char,
    limit: u64,
    out: *mut *mut mdna_cursor,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, kind, id, out) =
        unsafe { (borrow(vault, "vault"), kind(collection, "collection"), text(id, "id"), self::out(out, "out")) };
    call_on(vault, |vault| {
        let (kind, id, out) = (kind?, id?, out?);
        let limit = if limit == 0 { usize::MAX } else { usize::try_from(limit).unwrap_or(usize::MAX) };
        let entries = vault.vault.history_entries(kind, id)?.take(limit);
        out.write(of_values(entries.map(|past| Ok(past?.to_value()))));
        Ok(())
    })
}
