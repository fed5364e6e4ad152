//! Sessions: what an agent did with a user from start to end.

use std::ffi::c_char;

use mirrordna::record::{Kind, Value, object};
use mirrordna::vault::NewSession;

use crate::cursor::{mdna_cursor, of_listing};
use crate::guard::call_on;
use crate::handle::borrow;
use crate::input::{opt_text, opt_value, text};
use crate::output::{json_if_wanted, opt_out, out};
use crate::record::filter;
use crate::status::mdna_status;
use crate::string::mdna_string;
use crate::vault::mdna_vault;

/// Starts a session of an agent with a user. `parent_id`, the session that it goes on from, may be NULL. `out_json`
/// gets the session, to be freed with `mdna_string_free()`, and may be NULL.
///
/// Fails with `MDNA_UNKNOWN_PARENT`, and with `MDNA_SCHEMA` for ids of another form.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_session_start(
    vault: *mut mdna_vault,
    agent_id: *const c_char,
    user_id: *const c_char,
    parent_id: *const c_char,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs; NULL is a context that is not given.
    unsafe { mdna_session_start_with(vault, agent_id, user_id, parent_id, std::ptr::null(), out_json) }
}

/// Starts a session with a context: an object that becomes its `context_metadata`. `parent_id` may be NULL,
/// `context_json` may be NULL. See `mdna_session_start()`; `out_json` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_session_start_with(
    vault: *mut mdna_vault,
    agent_id: *const c_char,
    user_id: *const c_char,
    parent_id: *const c_char,
    context_json: *const c_char,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, agent, user, parent, context, out) = unsafe {
        (
            borrow(vault, "vault"),
            text(agent_id, "agent_id"),
            text(user_id, "user_id"),
            opt_text(parent_id, "parent_id"),
            opt_value(context_json, "context_json"),
            opt_out(out_json),
        )
    };
    call_on(vault, |vault| {
        let session = vault.vault.sessions().start(NewSession {
            agent_id: agent?.to_owned(),
            user_id: user?.to_owned(),
            parent_session_id: parent?.map(str::to_owned),
            context: context?,
        })?;
        json_if_wanted(out, &session.value);
        Ok(())
    })
}

/// Ends a session. `final_state_json` is an object that is merged into `context_metadata.final_state`, and may be NULL.
/// `out_json` gets the session, to be freed with `mdna_string_free()`, and may be NULL.
///
/// Fails with `MDNA_NOT_FOUND`, and with `MDNA_WRONG_STATE` when it has ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_session_end(
    vault: *mut mdna_vault,
    session_id: *const c_char,
    final_state_json: *const c_char,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, id, state, out) = unsafe {
        (
            borrow(vault, "vault"),
            text(session_id, "session_id"),
            opt_value(final_state_json, "final_state_json"),
            opt_out(out_json),
        )
    };
    call_on(vault, |vault| {
        let session = vault.vault.sessions().end(id?, state?)?;
        json_if_wanted(out, &session.value);
        Ok(())
    })
}

/// A session. See `mdna_record_get()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_session_get(
    vault: *mut mdna_vault,
    session_id: *const c_char,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, id, out) =
        unsafe { (borrow(vault, "vault"), text(session_id, "session_id"), out(out_json, "out_json")) };
    call_on(vault, |vault| {
        let out = out?;
        out.bytes(vault.get(Kind::Session, id?)?);
        Ok(())
    })
}

/// Sessions that fit a filter. `filter_json` may be NULL. See `mdna_record_list()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_session_list(
    vault: *mut mdna_vault,
    filter_json: *const c_char,
    out: *mut *mut mdna_cursor,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, given, out) =
        unsafe { (borrow(vault, "vault"), opt_value(filter_json, "filter_json"), self::out(out, "out")) };
    call_on(vault, |vault| {
        let (filter, out) = (filter(given?)?, out?);
        out.write(of_listing(vault.vault.list(Kind::Session, &filter)?));
        Ok(())
    })
}

/// A session and those it goes back to: a JSON object with `sessions`, from the oldest ancestor to the session itself,
/// and `missing_parent`, the parent of the oldest one when it has one that is not in the vault, else null. Free it with
/// `mdna_string_free()`.
///
/// Fails with `MDNA_NOT_FOUND`, and with `MDNA_CYCLE` when imported sessions go back to each other.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_session_lineage(
    vault: *mut mdna_vault,
    session_id: *const c_char,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, id, out) =
        unsafe { (borrow(vault, "vault"), text(session_id, "session_id"), out(out_json, "out_json")) };
    call_on(vault, |vault| {
        let (id, out) = (id?, out?);
        let lineage = vault.vault.sessions().lineage(id)?;
        let sessions: Value = lineage.sessions.into_iter().map(|session| session.value).collect();
        out.json(&object([("sessions", sessions), ("missing_parent", lineage.missing_parent.into())]));
        Ok(())
    })
}

/// What the sessions of a lineage have gathered: a JSON object with `session_count` and `sessions`, each with
/// `session_id`, `started_at`, `ended_at` and `metadata`. Free it with `mdna_string_free()`.
///
/// Fails as `mdna_session_lineage()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_session_context(
    vault: *mut mdna_vault,
    session_id: *const c_char,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, id, out) =
        unsafe { (borrow(vault, "vault"), text(session_id, "session_id"), out(out_json, "out_json")) };
    call_on(vault, |vault| {
        let (id, out) = (id?, out?);
        out.json(&vault.vault.sessions().context(id)?);
        Ok(())
    })
}
