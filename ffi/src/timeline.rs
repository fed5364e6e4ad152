//! The timeline: events that were appended, and events that the log itself tells.

use std::ffi::c_char;

use mirrordna::record::document::TimelineFile;
use mirrordna::record::{Timestamp, Value, checksum};
use mirrordna::vault::{EventQuery, NewEvent};

use crate::cursor::{mdna_cursor, of_texts, of_values};
use crate::error::{Failure, Result};
use crate::guard::{call, call_on};
use crate::handle::borrow;
use crate::input::{bytes, opt_text, opt_value, text};
use crate::output::{json_if_wanted, opt_out, out};
use crate::status::mdna_status;
use crate::string::mdna_string;
use crate::vault::mdna_vault;

/// A query that C gives as JSON.
pub(crate) fn query(given: Option<Value>) -> Result<EventQuery> {
    Ok(given.map_or_else(|| Ok(EventQuery::default()), |value| EventQuery::from_value(&value))?)
}

/// Appends an event. `event_type` is one of the protocol's: `"session_start"`, `"session_end"`, `"memory_created"`,
/// `"memory_accessed"`, `"identity_verified"`, `"vault_accessed"`, `"citation_created"`, `"citation_updated"`,
/// `"state_snapshot"`, `"reflection_recorded"`, `"config_loaded"` or `"custom"`; `payload_json` is an object and may be
/// NULL; `session_id` may be NULL; `timestamp` (RFC 3339) may be NULL: the event is of this moment. `out_json` gets the event as in
/// `mdna_timeline_query()`, to be freed with `mdna_string_free()`, and may be NULL.
///
/// Fails with `MDNA_SCHEMA`, and with `MDNA_INVALID_ARGUMENT` for a time that is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_timeline_append(
    vault: *mut mdna_vault,
    event_type: *const c_char,
    actor: *const c_char,
    payload_json: *const c_char,
    session_id: *const c_char,
    timestamp: *const c_char,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, event_type, actor, payload, session, time, out) = unsafe {
        (
            borrow(vault, "vault"),
            text(event_type, "event_type"),
            text(actor, "actor"),
            opt_value(payload_json, "payload_json"),
            opt_text(session_id, "session_id"),
            opt_text(timestamp, "timestamp"),
            opt_out(out_json),
        )
    };
    call_on(vault, |vault| {
        let event = vault.vault.timeline().append(NewEvent {
            event_type: event_type?.to_owned(),
            actor: actor?.to_owned(),
            payload: payload?,
            session_id: session?.map(str::to_owned),
            timestamp: time?.map(time_of).transpose()?,
        })?;
        json_if_wanted(out, &event.value);
        Ok(())
    })
}

pub(crate) fn time_of(text: &str) -> Result<Timestamp> {
    Timestamp::parse(text).ok_or_else(|| {
        Failure::argument("timestamp", format!("{text:?} is no RFC 3339 time such as 2025-03-01T08:00:00Z"))
    })
}

/// The events that fit a query, oldest first, appended ones and those that the log tells. `query_json` may be NULL for
/// all; else it is an object with any of `event_type`, `actor`, `session`, `since`, `until` (RFC 3339; at or after the
/// one and before the other) and `limit` (a number; 0 is none). Each event is a JSON object with `id`, `timestamp`,
/// `event_type`, `actor`, and, where it has them, `payload` (an object), `related_session_id`, `related_agent_id`,
/// `related_vault_id`, `checksum` (of the payload) and `tags`. The payload of one that the log tells has the id of the
/// record, under the name that it has in the record: `memory_id` for `"memory_created"`. Free the cursor with
/// `mdna_cursor_free()`.
///
/// Fails with `MDNA_INVALID_ARGUMENT` for a query that cannot be used.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_timeline_query(
    vault: *mut mdna_vault,
    query_json: *const c_char,
    out: *mut *mut mdna_cursor,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, given, out) =
        unsafe { (borrow(vault, "vault"), opt_value(query_json, "query_json"), self::out(out, "out")) };
    call_on(vault, |vault| {
        let (query, out) = (query(given?)?, out?);
        out.write(of_values(vault.vault.timeline().query(&query)?));
        Ok(())
    })
}

/// The summary of all events: a JSON object with `timeline_id`, `total_events`, `event_types` (type to number),
/// `unique_actors` (a number), and `first_event` and `last_event`, the times of these, null when there is none.
/// `timeline_id` may be NULL for the id of the vault. Free it with `mdna_string_free()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_timeline_summary(
    vault: *mut mdna_vault,
    timeline_id: *const c_char,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, id, out) =
        unsafe { (borrow(vault, "vault"), opt_text(timeline_id, "timeline_id"), out(out_json, "out_json")) };
    call_on(vault, |vault| {
        let (id, out) = (id?, out?);
        let id = id.unwrap_or(vault.vault.id());
        out.json(&vault.vault.timeline().summary(id, None)?);
        Ok(())
    })
}

/// The days that have events, as a JSON list of texts such as `"2025-03-01"`, in order. Free it with
/// `mdna_string_free()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_timeline_days(vault: *mut mdna_vault, out_json: *mut mdna_string) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and outputs.
    let (vault, out) = unsafe { (borrow(vault, "vault"), out(out_json, "out_json")) };
    call_on(vault, |vault| {
        let out = out?;
        let days = vault.vault.timeline().days()?;
        out.json(&days.into_iter().map(|day| Value::from(day.day())).collect());
        Ok(())
    })
}

/// The events of a timeline file, `len` bytes of JSON at `text`, that fit a query, in the order of the file.
/// `query_json` may be NULL. See `mdna_timeline_query()`; whether the events keep their schema is not looked at. Free
/// the cursor with `mdna_cursor_free()`.
///
/// Fails with `MDNA_JSON`, with `MDNA_DOCUMENT` when it is no timeline file or was cut, and with
/// `MDNA_INVALID_ARGUMENT` for a query that cannot be used.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_timeline_file_query(
    text: *const c_char,
    len: usize,
    query_json: *const c_char,
    out: *mut *mut mdna_cursor,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of texts and outputs.
    let (file, given, out) =
        unsafe { (bytes(text.cast(), len, "text"), opt_value(query_json, "query_json"), self::out(out, "out")) };
    call(|| {
        let (file, given, out) = (file?, given?, out?);
        let (file, query) = (TimelineFile::parse(file)?, query(given)?);
        let events: Vec<_> = query.select(&file).map(checksum::canonical).collect();
        out.write(of_texts(events.into_iter().map(Ok)));
        Ok(())
    })
}

/// The summary of a timeline file, `len` bytes of JSON at `text`. See `mdna_timeline_summary()`. Free it with
/// `mdna_string_free()`.
///
/// Fails with `MDNA_JSON`, and with `MDNA_DOCUMENT` when it is no timeline file or was cut.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_timeline_file_summary(
    text: *const c_char,
    len: usize,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of texts and outputs.
    let (file, out) = unsafe { (bytes(text.cast(), len, "text"), out(out_json, "out_json")) };
    call(|| {
        let (file, out) = (file?, out?);
        out.json(&TimelineFile::parse(file)?.summary());
        Ok(())
    })
}
