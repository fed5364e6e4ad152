//! Chains of master citations and of glyphtrail entries.

use std::ffi::c_char;

use mirrordna::record::{Value, object};
use mirrordna::vault::Chain;

use crate::guard::call_on;
use crate::handle::borrow;
use crate::input::text;
use crate::output::out;
use crate::status::mdna_status;
use crate::string::mdna_string;
use crate::vault::mdna_vault;

fn to_value(chain: Chain) -> Value {
    let records: Value = chain.records.into_iter().map(|record| record.value).collect();
    object([
        ("records", records),
        ("missing_predecessor", chain.missing_predecessor.into()),
        ("missing_successor", chain.missing_successor.into()),
    ])
}

/// The chain that a master citation stands in: a JSON object with `records`, from the first predecessor to the last
/// successor that is in the vault, and `missing_predecessor` and `missing_successor`, ids at which the chain leaves the
/// vault, or null. Free it with `mdna_string_free()`.
///
/// Fails with `MDNA_NOT_FOUND`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_citation_chain(
    vault: *mut mdna_vault,
    citation_id: *const c_char,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, id, out) =
        unsafe { (borrow(vault, "vault"), text(citation_id, "citation_id"), out(out_json, "out_json")) };
    call_on(vault, |vault| {
        let (id, out) = (id?, out?);
        out.json(&to_value(vault.vault.citations().chain(id)?));
        Ok(())
    })
}

/// The chain that a glyphtrail entry stands in. See `mdna_citation_chain()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_glyph_chain(
    vault: *mut mdna_vault,
    glyph_id: *const c_char,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, id, out) = unsafe { (borrow(vault, "vault"), text(glyph_id, "glyph_id"), out(out_json, "out_json")) };
    call_on(vault, |vault| {
        let (id, out) = (id?, out?);
        out.json(&to_value(vault.vault.glyphtrail().chain(id)?));
        Ok(())
    })
}
