//! Import and export of the files of the protocol's other implementations.

use std::ffi::{c_char, c_void};
use std::path::Path;

use mirrordna::interchange::{
    ImportOptions, ImportReport, export_store, export_timeline, import_backup, import_store, import_timeline,
};

use crate::error::Result;
use crate::guard::call_on;
use crate::handle::borrow;
use crate::input::{opt_text, opt_value, path};
use crate::output::{Out, json_if_wanted, opt_out};
use crate::progress::{Progress, mdna_progress_fn};
use crate::status::mdna_status;
use crate::string::mdna_string;
use crate::timeline::query;
use crate::vault::mdna_vault;

/// Imports a store folder of the protocol's other implementations, or one that `mdna_export_store()` wrote: all of it
/// or, after a failure, nothing. Records that cannot be taken do not fail it, but are named in the report; with
/// `lenient` also records are taken that break their schema, marked so that a verification shows them. `progress` may
/// be NULL and `user_data` may be NULL. `out_report_json` gets the report, to be freed with `mdna_string_free()`, and
/// may be NULL.
///
/// The report is a JSON object. `collections` has for each collection that had records an object with `taken` (new in
/// the vault), `skipped` (in the vault already, and equal), `refused`, `repaired` (of those taken or skipped: fields
/// that were null where the schema allows no null were read as missing) and `lenient` (of those taken: broken, and
/// marked so); `total` is their sum. `refused` and `lenient` list what is wrong: objects with `file` (its name in the
/// folder), `collection`, `id`, `cause` (`"schema"`, `"id"`, `"checksum"`, `"limit"`, `"text"`, `"key"`, `"cycle"` or
/// `"conflict"`) and `reason`, a sentence. `missing_parents` lists sessions that were taken and whose parent is not in
/// the vault, with `session_id` and `parent_session_id`. `configs` lists the configurations of the folder, which are
/// verified and not taken, with `name`, `outcome` (`"verified"`, `"unverified"` or `"failed"`) and `detail` (the hash
/// function, null, or what is wrong). `ignored` lists the names of files that are not read.
///
/// Fails with `MDNA_INVALID_ARGUMENT` when the folder holds nothing to import, with `MDNA_IO`, `MDNA_DOCUMENT` and
/// `MDNA_CANCELLED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_import_store(
    vault: *mut mdna_vault,
    dir: *const c_char,
    lenient: bool,
    progress: mdna_progress_fn,
    user_data: *mut c_void,
    out_report_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, dir, out) = unsafe { (borrow(vault, "vault"), path(dir, "dir"), opt_out(out_report_json)) };
    import(vault, dir, out, (progress, user_data), |vault, dir, progress| {
        import_store(&vault.vault, dir, &ImportOptions { lenient }, progress)
    })
}

/// Imports the events of a timeline file. Events whose id is there are skipped. `progress` may be NULL, `user_data` may
/// be NULL, `out_report_json` may be NULL. See `mdna_import_store()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_import_timeline(
    vault: *mut mdna_vault,
    file: *const c_char,
    lenient: bool,
    progress: mdna_progress_fn,
    user_data: *mut c_void,
    out_report_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, file, out) = unsafe { (borrow(vault, "vault"), path(file, "file"), opt_out(out_report_json)) };
    import(vault, file, out, (progress, user_data), |vault, file, progress| {
        import_timeline(&vault.vault, file, &ImportOptions { lenient }, progress)
    })
}

/// Imports a backup of the reference: `NAME.tar.gz` or `NAME.tar.gz.enc`, with `NAME_metadata.json` beside it.
/// `passphrase` may be NULL for one that is not encrypted. `progress` may be NULL, `user_data` may be NULL,
/// `out_report_json` may be NULL. See `mdna_import_store()`.
///
/// Fails with `MDNA_INVALID_ARGUMENT` when it is encrypted and no passphrase is given, and with `MDNA_DOCUMENT` when
/// the passphrase is wrong or the file is damaged.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_import_backup(
    vault: *mut mdna_vault,
    file: *const c_char,
    passphrase: *const c_char,
    lenient: bool,
    progress: mdna_progress_fn,
    user_data: *mut c_void,
    out_report_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, file, passphrase, out) = unsafe {
        (borrow(vault, "vault"), path(file, "file"), opt_text(passphrase, "passphrase"), opt_out(out_report_json))
    };
    let both = file.and_then(|file| Ok((file, passphrase?)));
    import(vault, both, out, (progress, user_data), |vault, (file, passphrase), progress| {
        import_backup(&vault.vault, file, passphrase, &ImportOptions { lenient }, progress)
    })
}

fn import<T>(
    vault: Result<&mdna_vault>,
    source: Result<T>,
    out: Option<Out<mdna_string>>,
    (callback, user_data): (mdna_progress_fn, *mut c_void),
    work: impl FnOnce(&mdna_vault, T, &mut Progress) -> mirrordna::Result<ImportReport>,
) -> mdna_status {
    call_on(vault, |vault| {
        let report = work(vault, source?, &mut Progress::new(callback, user_data, c"importing"))?;
        json_if_wanted(out, &report.to_value());
        Ok(())
    })
}

/// Writes the vault as a store folder of the protocol, one state of it also while others write. `dir` must be new or
/// empty; it appears with all its files on disk, or not at all. `progress` may be NULL and `user_data` may be NULL.
/// `out_json` gets an object with `sequence`, `collections` and `lenient`, to be freed with `mdna_string_free()`, and
/// may be NULL.
///
/// Fails with `MDNA_INVALID_ARGUMENT` when `dir` is not new or empty, with `MDNA_IO` and `MDNA_CANCELLED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_export_store(
    vault: *mut mdna_vault,
    dir: *const c_char,
    progress: mdna_progress_fn,
    user_data: *mut c_void,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, dir, out) = unsafe { (borrow(vault, "vault"), path(dir, "dir"), opt_out(out_json)) };
    call_on(vault, |vault| {
        let mut progress = Progress::new(progress, user_data, c"exporting");
        let report = export_store(&vault.vault.present(), dir?, &mut progress)?;
        json_if_wanted(out, &report.to_value());
        Ok(())
    })
}

/// Writes the events that fit a query into a timeline file. An older file of this name is replaced once the new one is
/// complete. `query_json` may be NULL; see `mdna_timeline_query()`. `progress` may be NULL and `user_data` may be NULL.
/// `out_count` gets the number of events, and may be NULL.
///
/// Fails with `MDNA_INVALID_ARGUMENT`, `MDNA_IO` and `MDNA_CANCELLED`; then there is no new file.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_export_timeline(
    vault: *mut mdna_vault,
    query_json: *const c_char,
    file: *const c_char,
    progress: mdna_progress_fn,
    user_data: *mut c_void,
    out_count: *mut u64,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, given, file, out) = unsafe {
        (borrow(vault, "vault"), opt_value(query_json, "query_json"), path(file, "file"), opt_out(out_count))
    };
    call_on(vault, |vault| {
        let (query, file): (_, &Path) = (query(given?)?, file?);
        let mut progress = Progress::new(progress, user_data, c"exporting");
        let count = export_timeline(&vault.vault, &query, file, &mut progress)?;
        if let Some(out) = out {
            out.write(count);
        }
        Ok(())
    })
}
