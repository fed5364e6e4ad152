//! Snapshots: pins on a moment of the vault.

use std::ffi::{c_char, c_void};

use mirrordna::interchange::load_snapshot;
use mirrordna::record::document::{Format, Proof};
use mirrordna::record::{Kind, Value, object};
use mirrordna::vault::{Filter, NewSnapshot};

use crate::cursor::{mdna_cursor, of_listing};
use crate::error::{Failure, Result};
use crate::guard::{call, call_on};
use crate::handle::{borrow, boxed};
use crate::input::{opt_text, opt_value, path, text};
use crate::output::{json_if_wanted, opt_out, out, text_if_wanted, written};
use crate::progress::{Progress, mdna_progress_fn};
use crate::status::mdna_status;
use crate::string::mdna_string;
use crate::vault::mdna_vault;
use crate::view::mdna_view;

/// The two languages of documents.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum mdna_format {
    /// JSON, indented by two.
    MDNA_FORMAT_JSON = 0,
    /// YAML in block style.
    MDNA_FORMAT_YAML = 1,
}

pub(crate) fn format(number: u32) -> Result<Format> {
    match number {
        0 => Ok(Format::Json),
        1 => Ok(Format::Yaml),
        _ => Err(Failure::argument("format", format!("{number} is no mdna_format"))),
    }
}

/// Takes a snapshot of the vault as it is now. It costs the same in a vault of any size, and it is durable, as all that
/// it pins, when this returns. `snapshot_id` may be NULL: then one is made. `out_id` gets the id, to be freed with
/// `mdna_string_free()`, and may be NULL.
///
/// Fails with `MDNA_EXISTS` for an id that is taken, and with `MDNA_INVALID_ID` or `MDNA_SCHEMA` for one that cannot be
/// an id.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_snapshot_create(
    vault: *mut mdna_vault,
    snapshot_id: *const c_char,
    out_id: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs; NULL is metadata that is not given.
    unsafe { mdna_snapshot_create_with(vault, snapshot_id, false, std::ptr::null(), out_id) }
}

/// Takes a snapshot whose file embeds the records when `full` is true, with metadata: an object. `snapshot_id` may be
/// NULL, `metadata_json` may be NULL, `out_id` may be NULL. See `mdna_snapshot_create()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_snapshot_create_with(
    vault: *mut mdna_vault,
    snapshot_id: *const c_char,
    full: bool,
    metadata_json: *const c_char,
    out_id: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, id, metadata, out) = unsafe {
        (
            borrow(vault, "vault"),
            opt_text(snapshot_id, "snapshot_id"),
            opt_value(metadata_json, "metadata_json"),
            opt_out(out_id),
        )
    };
    call_on(vault, |vault| {
        let new = NewSnapshot { id: id?.map(str::to_owned), full, metadata: metadata? };
        text_if_wanted(out, &vault.vault.snapshots().create(new)?.id);
        Ok(())
    })
}

/// A snapshot, as JSON: `snapshot_id`, `timestamp`, `sequence`, `tree_size`, `root`, `full`, `version`, `metadata`.
/// Free it with `mdna_string_free()`.
///
/// Fails with `MDNA_NOT_FOUND`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_snapshot_get(
    vault: *mut mdna_vault,
    snapshot_id: *const c_char,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, id, out) =
        unsafe { (borrow(vault, "vault"), text(snapshot_id, "snapshot_id"), out(out_json, "out_json")) };
    call_on(vault, |vault| {
        let out = out?;
        out.bytes(vault.get(Kind::Snapshot, id?)?);
        Ok(())
    })
}

/// All snapshots, oldest first. Free the cursor with `mdna_cursor_free()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_snapshot_list(vault: *mut mdna_vault, out: *mut *mut mdna_cursor) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and outputs.
    let (vault, out) = unsafe { (borrow(vault, "vault"), self::out(out, "out")) };
    call_on(vault, |vault| {
        let out = out?;
        out.write(of_listing(vault.vault.list(Kind::Snapshot, &Filter::default())?));
        Ok(())
    })
}

/// Deletes a snapshot. What only it needed stays until the next prune.
///
/// Fails with `MDNA_NOT_FOUND`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_snapshot_delete(vault: *mut mdna_vault, snapshot_id: *const c_char) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and texts.
    let (vault, id) = unsafe { (borrow(vault, "vault"), text(snapshot_id, "snapshot_id")) };
    call_on(vault, |vault| {
        vault.vault.snapshots().delete(id?)?;
        Ok(())
    })
}

/// The vault as it was at a snapshot. Free the view with `mdna_view_free()`.
///
/// Fails with `MDNA_NOT_FOUND`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_snapshot_view(
    vault: *mut mdna_vault,
    snapshot_id: *const c_char,
    out: *mut *mut mdna_view,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, id, out) = unsafe { (borrow(vault, "vault"), text(snapshot_id, "snapshot_id"), self::out(out, "out")) };
    call_on(vault, |vault| {
        let (id, out) = (id?, out?);
        out.write(boxed(mdna_view::new(vault.vault.snapshots().view(id)?)));
        Ok(())
    })
}

/// The file of a snapshot, which the protocol's other implementations load: always the same bytes. `format` is a
/// `mdna_format`. Free it with `mdna_string_free()`.
///
/// Fails with `MDNA_NOT_FOUND`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_snapshot_render(
    vault: *mut mdna_vault,
    snapshot_id: *const c_char,
    format: u32,
    out_text: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, id, out) =
        unsafe { (borrow(vault, "vault"), text(snapshot_id, "snapshot_id"), out(out_text, "out_text")) };
    call_on(vault, |vault| {
        let (id, format, out) = (id?, self::format(format)?, out?);
        let file = vault.vault.snapshots().file(id)?;
        out.bytes(written(|text| file.render(text, format))?);
        Ok(())
    })
}

/// Brings the present to a snapshot, by new changes on the log: nothing of the history is lost. `progress` may be NULL
/// and `user_data` may be NULL; what `progress` returns is not looked at, for a restore is finished once it began,
/// after a crash by whoever opens the vault next. `out_json` gets an object with `sequence` (of the snapshot), and
/// `put_back` and `deleted`, numbers of records, to be freed with `mdna_string_free()`, and may be NULL.
///
/// A restore that fails in the middle is undone, and the error says why it failed. With `MDNA_HALF_RESTORED` that failed,
/// too: the vault stands between the two states, in all processes. It can be read, and its history and snapshots are whole;
/// every change of it fails with the reason, such as `MDNA_NO_SPACE`, until the restore is finished or undone. That is
/// tried every second, and when the vault is opened.
///
/// Fails with `MDNA_NOT_FOUND`, and with `MDNA_HALF_RESTORED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_snapshot_restore(
    vault: *mut mdna_vault,
    snapshot_id: *const c_char,
    progress: mdna_progress_fn,
    user_data: *mut c_void,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, id, out) = unsafe { (borrow(vault, "vault"), text(snapshot_id, "snapshot_id"), opt_out(out_json)) };
    call_on(vault, |vault| {
        let progress = Progress::new(progress, user_data, c"restoring");
        let mut tell = |done, total| progress.note(done, total);
        let restored = vault.vault.snapshots().restore_with(id?, &mut tell)?;
        let report = object([
            ("sequence", restored.sequence.into()),
            ("put_back", restored.put.into()),
            ("deleted", restored.deleted.into()),
        ]);
        json_if_wanted(out, &report);
        Ok(())
    })
}

/// Reads a snapshot file, of the vault or a foreign one, in JSON or YAML, and verifies its checksum. Nothing is stored.
/// One without a checksum is refused unless `allow_unverified` is true. Free the JSON object with `mdna_string_free()`.
///
/// Fails with `MDNA_CHECKSUM_MISMATCH`, `MDNA_UNVERIFIED`, `MDNA_DOCUMENT` and `MDNA_IO`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_snapshot_load(
    path: *const c_char,
    allow_unverified: bool,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of texts and outputs.
    let (file, out) = unsafe { (self::path(path, "path"), out(out_json, "out_json")) };
    call(|| {
        let (file, out) = (file?, out?);
        let proof = if allow_unverified { Proof::Optional } else { Proof::Required };
        out.json(&Value::Object(load_snapshot(file, proof)?.fields().clone()));
        Ok(())
    })
}
