//! Ids: making them as the library does, and telling which texts can be one.

use std::ffi::c_char;

use mirrordna::record::id::{self, SystemIds};
use mirrordna::record::time::{Clock, SystemClock};
use mirrordna::record::{Kind, Timestamp};

use crate::error::{Failure, Result};
use crate::guard::call;
use crate::handle::null;
use crate::identity::identity_type_of;
use crate::input::{kind, opt_text, text};
use crate::output::out;
use crate::status::mdna_status;
use crate::string::mdna_string;
use crate::timeline::time_of;

/// Makes an id for a new record of `identities`, `sessions`, `memories`, `snapshots`, `citations`, `entries` or
/// `glyphtrail`: of random bytes and, where ids of the collection have it in them, the time. `identity_type`, which may
/// be NULL for all but an identity and is not looked at for others, is `"user"`, `"agent"` or `"system"`. `out_id` gets
/// the id, to be freed with `mdna_string_free()`.
///
/// Fails with `MDNA_INVALID_ARGUMENT` for collections whose ids say of what they are: `timeline` (`mdna_id_event()`),
/// `reflections` (`mdna_id_reflection()`), `agent_dna` (`mdna_id_dna()`) and `agent_links` (the id of the agent); with
/// `MDNA_NULL_POINTER` for an identity without a type, and with `MDNA_NO_RANDOMNESS`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_id_new(
    collection: *const c_char,
    identity_type: *const c_char,
    out_id: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of texts and outputs.
    let (kind, identity_type, out) =
        unsafe { (kind(collection, "collection"), opt_text(identity_type, "identity_type"), out(out_id, "out_id")) };
    call(|| {
        let (kind, identity_type, out) = (kind?, identity_type?, out?);
        let now = SystemClock.now();
        let made = match kind {
            Kind::Identity => {
                let name = identity_type.ok_or_else(|| null("identity_type"))?;
                id::identity(&SystemIds, identity_type_of(name)?)
            }
            Kind::Session => id::session(&SystemIds, now),
            Kind::Memory => id::memory(&SystemIds, now),
            Kind::Snapshot => id::snapshot(&SystemIds, now),
            Kind::Citation => id::citation(&SystemIds),
            Kind::Entry => id::entry(&SystemIds),
            Kind::Glyph => id::glyph(&SystemIds),
            Kind::AgentDna | Kind::Event | Kind::Reflection | Kind::AgentLink | Kind::Artifact => {
                let reason = format!("the id of {} says of what it is, and is not random", kind.collection());
                return Err(Failure::argument("collection", reason));
            }
        };
        out.text(&made.map_err(mirrordna::Error::from)?);
        Ok(())
    })
}

/// The id of an event: of its time to the second, and a number that no other event of this second has. `timestamp` is
/// its time (RFC 3339), and may be NULL for the present time. `out_id` gets the id, to be freed with
/// `mdna_string_free()`.
///
/// Fails with `MDNA_INVALID_ARGUMENT` for a time that is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_id_event(
    timestamp: *const c_char,
    counter: u64,
    out_id: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of texts and outputs.
    let (time, out) = unsafe { (opt_text(timestamp, "timestamp"), out(out_id, "out_id")) };
    call(|| {
        let (time, out) = (time_or_now(time?)?, out?);
        out.text(&id::event(time, counter));
        Ok(())
    })
}

/// The id of a reflection: of its agent, its time to the second, and a number that no other reflection of this agent
/// and second has. `timestamp` is its time (RFC 3339), and may be NULL for the present time. `out_id` gets the id, to
/// be freed with `mdna_string_free()`. An agent whose id is no id makes one that is none; see `mdna_id_check()`.
///
/// Fails with `MDNA_INVALID_ARGUMENT` for a time that is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_id_reflection(
    agent_id: *const c_char,
    timestamp: *const c_char,
    counter: u64,
    out_id: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of texts and outputs.
    let (agent, time, out) =
        unsafe { (text(agent_id, "agent_id"), opt_text(timestamp, "timestamp"), out(out_id, "out_id")) };
    call(|| {
        let (agent, time, out) = (agent?, time_or_now(time?)?, out?);
        out.text(&id::reflection(agent, time, counter));
        Ok(())
    })
}

/// The id of a version, such as `1.2.0`, of the DNA of an agent. `out_id` gets the id, to be freed with
/// `mdna_string_free()`. An agent or a version that cannot be one makes an id that is none; see `mdna_id_check()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_id_dna(
    agent_id: *const c_char,
    version: *const c_char,
    out_id: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of texts and outputs.
    let (agent, version, out) =
        unsafe { (text(agent_id, "agent_id"), text(version, "version"), out(out_id, "out_id")) };
    call(|| {
        let (agent, version, out) = (agent?, version?, out?);
        out.text(&id::agent_dna(agent, version));
        Ok(())
    })
}

/// Whether a record of a collection can have this id; nobody is asked whether one has it.
///
/// Fails with `MDNA_INVALID_ID`, whose message says which form ids of the collection have.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_id_check(collection: *const c_char, id: *const c_char) -> mdna_status {
    // SAFETY: the caller keeps what the header says of texts.
    let (kind, id) = unsafe { (kind(collection, "collection"), text(id, "id")) };
    call(|| Ok(id::check(kind?, id?)?))
}

fn time_or_now(text: Option<&str>) -> Result<Timestamp> {
    text.map_or_else(|| Ok(SystemClock.now()), time_of)
}
