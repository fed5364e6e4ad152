//! Agent DNA: what an agent believes about itself, one record a version of it.

use std::ffi::c_char;

use mirrordna::record::Kind;

use crate::cursor::{mdna_cursor, of_records};
use crate::guard::call_on;
use crate::handle::borrow;
use crate::input::{text, value};
use crate::output::{opt_out, out, text_if_wanted};
use crate::status::mdna_status;
use crate::string::mdna_string;
use crate::vault::mdna_vault;

/// Stores a version of an agent's DNA: a record as JSON, in which `agent_dna_id` is made from agent and version when it
/// is missing. `out_id` gets its id, to be freed with `mdna_string_free()`, and may be NULL.
///
/// Fails with `MDNA_SCHEMA`, and with `MDNA_EXISTS` when the agent has this version.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_dna_create(
    vault: *mut mdna_vault,
    dna_json: *const c_char,
    out_id: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, record, out) = unsafe { (borrow(vault, "vault"), value(dna_json, "dna_json"), opt_out(out_id)) };
    call_on(vault, |vault| {
        text_if_wanted(out, &vault.vault.agent_dna().create(record?)?.id);
        Ok(())
    })
}

/// All versions of an agent's DNA, the oldest version first. Free the cursor with `mdna_cursor_free()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_dna_versions(
    vault: *mut mdna_vault,
    agent_id: *const c_char,
    out: *mut *mut mdna_cursor,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, agent, out) = unsafe { (borrow(vault, "vault"), text(agent_id, "agent_id"), self::out(out, "out")) };
    call_on(vault, |vault| {
        let (agent, out) = (agent?, out?);
        out.write(of_records(vault.vault.agent_dna().versions(agent)?.into_iter().map(Ok)));
        Ok(())
    })
}

/// The latest version of an agent's DNA by semantic version, as JSON to be freed with `mdna_string_free()`.
///
/// Fails with `MDNA_NOT_FOUND` when the agent has no DNA.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_dna_latest(
    vault: *mut mdna_vault,
    agent_id: *const c_char,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, agent, out) =
        unsafe { (borrow(vault, "vault"), text(agent_id, "agent_id"), out(out_json, "out_json")) };
    call_on(vault, |vault| {
        let (agent, out) = (agent?, out?);
        let latest = vault.vault.agent_dna().latest(agent)?;
        out.json(&latest.ok_or_else(|| mirrordna::Error::not_found(Kind::AgentDna, agent))?.value);
        Ok(())
    })
}

/// The behavioral constraints of the latest version of an agent's DNA, as a JSON list of texts, empty when the agent
/// has no DNA. Free it with `mdna_string_free()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_dna_constraints(
    vault: *mut mdna_vault,
    agent_id: *const c_char,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, agent, out) =
        unsafe { (borrow(vault, "vault"), text(agent_id, "agent_id"), out(out_json, "out_json")) };
    call_on(vault, |vault| {
        let (agent, out) = (agent?, out?);
        out.json(&vault.vault.agent_dna().constraints(agent)?.into());
        Ok(())
    })
}
