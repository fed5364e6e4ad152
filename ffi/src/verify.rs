//! Proving a vault.

use std::ffi::{c_char, c_void};

use mirrordna::verify;

use crate::guard::{call, call_on};
use crate::handle::borrow;
use crate::input::{options, path};
use crate::output::out;
use crate::progress::{Progress, mdna_progress_fn};
use crate::status::mdna_status;
use crate::string::mdna_string;
use crate::vault::{mdna_open_options, mdna_vault, open_options};

/// Checks everything that is stored: every record against its checksum and schema, heads and indexes against the
/// versions, the log against its Merkle root. Damage is no failure, but in the report, a JSON object: `clean`, true
/// when nothing is wrong; `vault_id` and `root`, null when the vault cannot be opened at all; `entries` of the log;
/// `versions` that are sound; `fault_count`; `faults`, the first 10,000, each with `subject` (what it is about),
/// `problem`, and `derived`, true when `mdna_repair_path()` makes it again; `lenient`, records that break their schema
/// and were imported all the same, the first 10,000, each with `collection` and `id`. Free it with
/// `mdna_string_free()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_vault_verify(vault: *mut mdna_vault, out_report_json: *mut mdna_string) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and outputs; NULL is a callback that is not given.
    unsafe { mdna_vault_verify_with(vault, None, std::ptr::null_mut(), out_report_json) }
}

/// As `mdna_vault_verify()`; `progress` is told how far it is, and what it returns is not looked at. `progress` may be
/// NULL, and `user_data` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_vault_verify_with(
    vault: *mut mdna_vault,
    progress: mdna_progress_fn,
    user_data: *mut c_void,
    out_report_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and outputs.
    let (vault, out) = unsafe { (borrow(vault, "vault"), out(out_report_json, "out_report_json")) };
    call_on(vault, |vault| {
        let out = out?;
        let progress = Progress::new(progress, user_data, c"verifying");
        let mut tell = |done, total| progress.note(done, total);
        out.json(&verify::verify_storage(vault.vault.storage(), &mut tell)?.to_value());
        Ok(())
    })
}

/// Verifies the vault in the directory `path` without changing anything there, also one that is too damaged to be
/// opened. `options` may be NULL. See `mdna_vault_verify_with()`. `progress` may be NULL, and `user_data` may be NULL.
///
/// Fails with `MDNA_NOT_A_VAULT` and `MDNA_LOCKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_verify_path(
    path: *const c_char,
    options: *const mdna_open_options,
    progress: mdna_progress_fn,
    user_data: *mut c_void,
    out_report_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of texts, structures and outputs.
    let (dir, given, out) =
        unsafe { (self::path(path, "path"), self::options(options), out(out_report_json, "out_report_json")) };
    call(|| {
        // SAFETY: as above.
        let (dir, options, out) = (dir?, unsafe { open_options(given?) }?, out?);
        let progress = Progress::new(progress, user_data, c"verifying");
        out.json(&verify::verify(dir, &options, &mut |done, total| progress.note(done, total))?.to_value());
        Ok(())
    })
}

/// Makes what is derived (heads, indexes, Merkle tiles) again from the log and the versions, in the vault in the
/// directory `path`, which nobody may have open, and verifies it. `options` may be NULL. See
/// `mdna_vault_verify_with()`. `progress` may be NULL, and `user_data` may be NULL.
///
/// Fails with `MDNA_CORRUPT` when log or versions themselves are damaged, and with `MDNA_LOCKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_repair_path(
    path: *const c_char,
    options: *const mdna_open_options,
    progress: mdna_progress_fn,
    user_data: *mut c_void,
    out_report_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of texts, structures and outputs.
    let (dir, given, out) =
        unsafe { (self::path(path, "path"), self::options(options), out(out_report_json, "out_report_json")) };
    call(|| {
        // SAFETY: as above.
        let (dir, options, out) = (dir?, unsafe { open_options(given?) }?, out?);
        let progress = Progress::new(progress, user_data, c"repairing");
        out.json(&verify::repair(dir, &options, &mut |done, total| progress.note(done, total))?.to_value());
        Ok(())
    })
}
