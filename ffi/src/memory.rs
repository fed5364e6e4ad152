//! Memories: what an agent remembers, in three tiers.

use std::ffi::c_char;

use mirrordna::record::Kind;
use mirrordna::vault::{MemoryUpdate, Record, Tier};

use crate::cursor::{mdna_cursor, of_listing, of_records};
use crate::error::{Failure, Result};
use crate::guard::call_on;
use crate::handle::borrow;
use crate::input::{opt_value, text, value};
use crate::output::{json_if_wanted, opt_out, out, text_if_wanted};
use crate::record::filter;
use crate::status::mdna_status;
use crate::string::mdna_string;
use crate::vault::mdna_vault;

/// Writes a memory: a record as JSON, in which `memory_id` and `source.timestamp` are made when they are missing.
/// `out_id` gets its id, to be freed with `mdna_string_free()`, and may be NULL.
///
/// Fails with `MDNA_SCHEMA` and others that say what is wrong with the record, and with `MDNA_EXISTS` when it has an id
/// that is taken.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_memory_add(
    vault: *mut mdna_vault,
    memory_json: *const c_char,
    out_id: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, record, out) = unsafe { (borrow(vault, "vault"), value(memory_json, "memory_json"), opt_out(out_id)) };
    call_on(vault, |vault| {
        text_if_wanted(out, &vault.vault.memories().add_record(record?)?.id);
        Ok(())
    })
}

/// A memory. Reading it counts no access; see `mdna_memory_count_access()` and `mdna_record_get()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_memory_get(
    vault: *mut mdna_vault,
    id: *const c_char,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, id, out) = unsafe { (borrow(vault, "vault"), text(id, "id"), out(out_json, "out_json")) };
    call_on(vault, |vault| {
        let out = out?;
        out.bytes(vault.get(Kind::Memory, id?)?);
        Ok(())
    })
}

/// Memories that fit a filter, in order of the log. `filter_json` may be NULL. See `mdna_record_list()`; paths of
/// memories that are indexed: `tier`, `source.session_id`, `source.agent_id`, `source.user_id`, `metadata.tags`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_memory_list(
    vault: *mut mdna_vault,
    filter_json: *const c_char,
    out: *mut *mut mdna_cursor,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, given, out) =
        unsafe { (borrow(vault, "vault"), opt_value(filter_json, "filter_json"), self::out(out, "out")) };
    call_on(vault, |vault| {
        let (filter, out) = (filter(given?)?, out?);
        out.write(of_listing(vault.vault.list(Kind::Memory, &filter)?));
        Ok(())
    })
}

/// Memories that hold a text, without regard to case, in their text or in keys and values of structured content: newest
/// `source.timestamp` first. Every memory holds the empty text. `filter_json` may be NULL; its `order` is not used. See
/// `mdna_record_list()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_memory_search(
    vault: *mut mdna_vault,
    query: *const c_char,
    filter_json: *const c_char,
    out: *mut *mut mdna_cursor,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, query, given, out) = unsafe {
        (borrow(vault, "vault"), text(query, "query"), opt_value(filter_json, "filter_json"), self::out(out, "out"))
    };
    call_on(vault, |vault| {
        let (query, filter, out) = (query?, filter(given?)?, out?);
        out.write(of_records(vault.vault.memories().search(query, &filter)?));
        Ok(())
    })
}

/// Changes a memory: `update_json` is an object with `content` (text or an object) or `metadata` (an object whose
/// members are set; null removes one), or both. `out_json` gets the memory, to be freed with `mdna_string_free()`, and
/// may be NULL.
///
/// Fails with `MDNA_NOT_FOUND`, `MDNA_SCHEMA`, and with `MDNA_INVALID_ARGUMENT` for other members.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_memory_update(
    vault: *mut mdna_vault,
    id: *const c_char,
    update_json: *const c_char,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, id, given, out) =
        unsafe { (borrow(vault, "vault"), text(id, "id"), value(update_json, "update_json"), opt_out(out_json)) };
    call_on(vault, |vault| {
        let (id, update) = (id?, MemoryUpdate::from_value(given?)?);
        json_if_wanted(out, &vault.vault.memories().update(id, &update)?.value);
        Ok(())
    })
}

/// Moves a memory to another tier: `"short_term"`, `"long_term"` or `"episodic"`. `out_json` gets the memory, to be
/// freed with `mdna_string_free()`, and may be NULL.
///
/// Fails with `MDNA_NOT_FOUND`, and with `MDNA_INVALID_ARGUMENT` for another name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_memory_promote(
    vault: *mut mdna_vault,
    id: *const c_char,
    tier: *const c_char,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, id, tier, out) =
        unsafe { (borrow(vault, "vault"), text(id, "id"), text(tier, "tier"), opt_out(out_json)) };
    call_on(vault, |vault| {
        let (id, tier) = (id?, tier_of(tier?)?);
        json_if_wanted(out, &vault.vault.memories().promote(id, tier)?.value);
        Ok(())
    })
}

pub(crate) fn tier_of(name: &str) -> Result<Tier> {
    Tier::from_name(name).ok_or_else(|| {
        let names = Tier::ALL.map(Tier::name).join(", ");
        Failure::argument("tier", format!("{name:?} is none of {names}"))
    })
}

/// Marks a memory as archived, with the time. `out_json` gets the memory, to be freed with `mdna_string_free()`, and
/// may be NULL.
///
/// Fails with `MDNA_NOT_FOUND`, and with `MDNA_WRONG_STATE` when it is archived.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_memory_archive(
    vault: *mut mdna_vault,
    id: *const c_char,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    unsafe { change(vault, id, out_json, |vault, id| vault.vault.memories().archive(id)) }
}

/// Counts an access to a memory: `metadata.access_count` goes up by one, and `metadata.last_accessed` becomes now.
/// `out_json` gets the memory, to be freed with `mdna_string_free()`, and may be NULL.
///
/// Fails with `MDNA_NOT_FOUND`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_memory_count_access(
    vault: *mut mdna_vault,
    id: *const c_char,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    unsafe { change(vault, id, out_json, |vault, id| vault.vault.memories().count_access(id)) }
}

/// Changes a memory and hands it out.
///
/// # Safety
/// As the header asks for.
unsafe fn change(
    vault: *mut mdna_vault,
    id: *const c_char,
    out_json: *mut mdna_string,
    change: impl FnOnce(&mdna_vault, &str) -> mirrordna::Result<Record>,
) -> mdna_status {
    // SAFETY: as the caller says.
    let (vault, id, out) = unsafe { (borrow(vault, "vault"), text(id, "id"), opt_out(out_json)) };
    call_on(vault, |vault| {
        json_if_wanted(out, &change(vault, id?)?.value);
        Ok(())
    })
}

/// Deletes a memory; its history stays.
///
/// Fails with `MDNA_NOT_FOUND`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_memory_delete(vault: *mut mdna_vault, id: *const c_char) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and texts.
    let (vault, id) = unsafe { (borrow(vault, "vault"), text(id, "id")) };
    call_on(vault, |vault| {
        vault.vault.delete(Kind::Memory, id?)?;
        Ok(())
    })
}
