//! Reflections: what an agent thinks of what it did.

use std::ffi::c_char;

use mirrordna::record::{Map, Value};
use mirrordna::vault::{NewReflection, ReflectionType};

use crate::cursor::{mdna_cursor, of_listing};
use crate::error::{Failure, Result};
use crate::guard::call_on;
use crate::handle::borrow;
use crate::input::{opt_text, opt_value, text, texts, value};
use crate::output::{json_if_wanted, opt_out, out};
use crate::status::mdna_status;
use crate::string::mdna_string;
use crate::vault::mdna_vault;

fn type_of(name: &str) -> Result<ReflectionType> {
    ReflectionType::from_name(name).ok_or_else(|| {
        let names = ReflectionType::ALL.map(ReflectionType::name).join(", ");
        Failure::argument("reflection_type", format!("{name:?} is none of {names}"))
    })
}

/// Records a reflection: an object with `agent_id`, `reflection_type` (`"decision"`, `"capability"`, `"alignment"`,
/// `"performance"`, `"state"` or `"meta"`), `observation`, and perhaps `context` (an object), `evaluation`, `insights`
/// and `actions_taken` (lists of texts) and `metadata`. Its id and time are made. `out_json` gets the record, to be
/// freed with `mdna_string_free()`, and may be NULL.
///
/// Fails with `MDNA_INVALID_ARGUMENT` and `MDNA_SCHEMA`, which say what is wrong.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_reflection_add(
    vault: *mut mdna_vault,
    reflection_json: *const c_char,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, given, out) =
        unsafe { (borrow(vault, "vault"), value(reflection_json, "reflection_json"), opt_out(out_json)) };
    call_on(vault, |vault| {
        let new = NewReflection::from_value(given?)?;
        json_if_wanted(out, &vault.vault.reflections().add(new)?.value);
        Ok(())
    })
}

/// Records a decision, and checks which constraints of the agent's DNA were considered. `constraints_json` is a list of
/// texts and may be NULL; `context_json` is an object and may be NULL. `out_json` gets the record, to be freed with
/// `mdna_string_free()`, and may be NULL.
///
/// Fails with `MDNA_SCHEMA`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_reflection_decision(
    vault: *mut mdna_vault,
    agent_id: *const c_char,
    decision: *const c_char,
    rationale: *const c_char,
    constraints_json: *const c_char,
    context_json: *const c_char,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, agent, decision, rationale, constraints, context, out) = unsafe {
        (
            borrow(vault, "vault"),
            text(agent_id, "agent_id"),
            text(decision, "decision"),
            text(rationale, "rationale"),
            texts(constraints_json, "constraints_json"),
            opt_value(context_json, "context_json"),
            opt_out(out_json),
        )
    };
    call_on(vault, |vault| {
        let context = context?.unwrap_or_else(|| Value::Object(Map::new()));
        let reflections = vault.vault.reflections();
        let record = reflections.decision(agent?, decision?, rationale?, &constraints?, context)?;
        json_if_wanted(out, &record.value);
        Ok(())
    })
}

/// Records the use of a capability. `notes` may be NULL. `out_json` gets the record, to be freed with
/// `mdna_string_free()`, and may be NULL.
///
/// Fails with `MDNA_SCHEMA`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_reflection_capability(
    vault: *mut mdna_vault,
    agent_id: *const c_char,
    capability: *const c_char,
    usage_context: *const c_char,
    success: bool,
    notes: *const c_char,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, agent, capability, usage, notes, out) = unsafe {
        (
            borrow(vault, "vault"),
            text(agent_id, "agent_id"),
            text(capability, "capability"),
            text(usage_context, "usage_context"),
            opt_text(notes, "notes"),
            opt_out(out_json),
        )
    };
    call_on(vault, |vault| {
        let record = vault.vault.reflections().capability(agent?, capability?, usage?, success, notes?)?;
        json_if_wanted(out, &record.value);
        Ok(())
    })
}

/// Records the state an agent is in, an object, with what it sees in it: `observations_json`, a list of texts, may be
/// NULL. `out_json` gets the record, to be freed with `mdna_string_free()`, and may be NULL.
///
/// Fails with `MDNA_INVALID_ARGUMENT` when the state is not an object, and with `MDNA_SCHEMA`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_reflection_state(
    vault: *mut mdna_vault,
    agent_id: *const c_char,
    state_json: *const c_char,
    observations_json: *const c_char,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, agent, state, observations, out) = unsafe {
        (
            borrow(vault, "vault"),
            text(agent_id, "agent_id"),
            value(state_json, "state_json"),
            texts(observations_json, "observations_json"),
            opt_out(out_json),
        )
    };
    call_on(vault, |vault| {
        let record = vault.vault.reflections().state(agent?, state?, &observations?)?;
        json_if_wanted(out, &record.value);
        Ok(())
    })
}

/// Records what follows from other reflections, whose ids `reflection_ids_json` lists. `out_json` gets the record, to
/// be freed with `mdna_string_free()`, and may be NULL.
///
/// Fails with `MDNA_NOT_FOUND` for a reflection that is not there, and with `MDNA_SCHEMA`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_reflection_meta(
    vault: *mut mdna_vault,
    agent_id: *const c_char,
    reflection_ids_json: *const c_char,
    synthesis: *const c_char,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, agent, given, ids, synthesis, out) = unsafe {
        (
            borrow(vault, "vault"),
            text(agent_id, "agent_id"),
            text(reflection_ids_json, "reflection_ids_json"),
            texts(reflection_ids_json, "reflection_ids_json"),
            text(synthesis, "synthesis"),
            opt_out(out_json),
        )
    };
    call_on(vault, |vault| {
        // Of all lists of texts this one must be there.
        given?;
        let record = vault.vault.reflections().meta(agent?, &ids?, synthesis?)?;
        json_if_wanted(out, &record.value);
        Ok(())
    })
}

/// Reflections, newest first. `agent_id` may be NULL for those of all agents, `reflection_type` may be NULL for those
/// of all types. Free the cursor with `mdna_cursor_free()`.
///
/// Fails with `MDNA_INVALID_ARGUMENT` for another type.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_reflection_list(
    vault: *mut mdna_vault,
    agent_id: *const c_char,
    reflection_type: *const c_char,
    out: *mut *mut mdna_cursor,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, agent, name, out) = unsafe {
        (
            borrow(vault, "vault"),
            opt_text(agent_id, "agent_id"),
            opt_text(reflection_type, "reflection_type"),
            self::out(out, "out"),
        )
    };
    call_on(vault, |vault| {
        let (agent, reflection_type, out) = (agent?, name?.map(type_of).transpose()?, out?);
        out.write(of_listing(vault.vault.reflections().list(agent, reflection_type)?));
        Ok(())
    })
}

/// How an agent's capabilities did, as a JSON object: `agent_id`; `capabilities`, the texts of its latest DNA;
/// `capability_performance`, which has for each of these an object with `usage_count`, `success_count` and
/// `success_rate` (from 0 to 1; 0 when it was never used); and `total_capability_reflections`, which also counts
/// capabilities that the DNA does not name. Free it with `mdna_string_free()`.
///
/// Fails with `MDNA_NOT_FOUND` for an agent without DNA.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_reflection_introspect(
    vault: *mut mdna_vault,
    agent_id: *const c_char,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, agent, out) =
        unsafe { (borrow(vault, "vault"), text(agent_id, "agent_id"), out(out_json, "out_json")) };
    call_on(vault, |vault| {
        let (agent, out) = (agent?, out?);
        out.json(&vault.vault.reflections().introspect(agent)?);
        Ok(())
    })
}
