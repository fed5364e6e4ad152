//! Views: the vault as it was.

use std::ffi::{c_char, c_void};

use mirrordna::interchange::export_store;
use mirrordna::record::object;
use mirrordna::vault::{DifferenceKind, View};

use crate::cursor::{mdna_cursor, of_stored, of_values};
use crate::guard::call_on;
use crate::handle::{Boxed, Handle, State, borrow, boxed, free_boxed};
use crate::input::{kind, opt_text, opt_value, path, text};
use crate::output::{json_if_wanted, opt_out, out};
use crate::progress::{Progress, mdna_progress_fn};
use crate::record::{describe, mdna_record_info, version};
use crate::status::mdna_status;
use crate::string::mdna_string;
use crate::timeline::query;
use crate::vault::mdna_vault;

/// The vault as it was at one sequence of the log. As long as a view is there, a prune leaves what it needs. It is
/// freed with `mdna_view_free()`, and any number of threads may use it at once.
pub struct mdna_view {
    state: State,
    pub(crate) view: View,
}

impl Handle for mdna_view {
    type Ownership = Boxed;

    fn state(&self) -> &State {
        &self.state
    }
}

impl mdna_view {
    pub(crate) fn new(view: View) -> Self {
        Self { state: State::new(), view }
    }
}

/// The vault as it was at a sequence of the log. Free the view with `mdna_view_free()`.
///
/// Fails with `MDNA_INVALID_ARGUMENT` for a sequence beyond the end of the log, and with `MDNA_PRUNED` for one below
/// the horizon of a prune that no snapshot pins.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_vault_at(vault: *mut mdna_vault, sequence: u64, out: *mut *mut mdna_view) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and outputs.
    let (vault, out) = unsafe { (borrow(vault, "vault"), self::out(out, "out")) };
    call_on(vault, |vault| {
        let out = out?;
        out.write(boxed(mdna_view::new(vault.vault.at(sequence)?)));
        Ok(())
    })
}

/// Frees a view. `view` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_view_free(view: *mut mdna_view) {
    // SAFETY: the caller keeps what the header says of freeing handles.
    unsafe { free_boxed(view) };
}

/// The sequence that a view shows.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_view_sequence(view: *mut mdna_view, out_sequence: *mut u64) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and outputs.
    let (view, out) = unsafe { (borrow(view, "view"), out(out_sequence, "out_sequence")) };
    call_on(view, |view| {
        let out = out?;
        out.write(match view.view.sequence() {
            Some(sequence) => sequence,
            None => view.view.vault().state_now()?.sequence,
        });
        Ok(())
    })
}

/// A record as it was, as canonical JSON to be freed with `mdna_string_free()`.
///
/// Fails with `MDNA_NOT_FOUND` when it was not there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_view_get(
    view: *mut mdna_view,
    collection: *const c_char,
    id: *const c_char,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (view, kind, id, out) =
        unsafe { (borrow(view, "view"), kind(collection, "collection"), text(id, "id"), out(out_json, "out_json")) };
    call_on(view, |view| {
        let (kind, id, out) = (kind?, id?, out?);
        out.bytes(version(&view.view, kind, id)?.json);
        Ok(())
    })
}

/// What the vault knows of the version that a view shows of a record.
///
/// Fails as `mdna_view_get()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_view_describe(
    view: *mut mdna_view,
    collection: *const c_char,
    id: *const c_char,
    out_info: *mut mdna_record_info,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (view, kind, id, out) =
        unsafe { (borrow(view, "view"), kind(collection, "collection"), text(id, "id"), out(out_info, "out_info")) };
    call_on(view, |view| {
        let (kind, id, out) = (kind?, id?, out?);
        out.write(describe(&view.view, kind, id)?);
        Ok(())
    })
}

/// All records of a collection as they were, in order of the id. Free the cursor with `mdna_cursor_free()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_view_list(
    view: *mut mdna_view,
    collection: *const c_char,
    out: *mut *mut mdna_cursor,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (view, kind, out) = unsafe { (borrow(view, "view"), kind(collection, "collection"), self::out(out, "out")) };
    call_on(view, |view| {
        let (kind, out) = (kind?, out?);
        out.write(of_stored(view.view.texts(kind)));
        Ok(())
    })
}

/// The events of the timeline as it was. `query_json` may be NULL. See `mdna_timeline_query()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_view_timeline(
    view: *mut mdna_view,
    query_json: *const c_char,
    out: *mut *mut mdna_cursor,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (view, given, out) =
        unsafe { (borrow(view, "view"), opt_value(query_json, "query_json"), self::out(out, "out")) };
    call_on(view, |view| {
        let (mut query, out) = (query(given?)?, out?);
        query.view = Some(view.view.clone());
        out.write(of_values(view.view.vault().timeline().query(&query)?));
        Ok(())
    })
}

/// The summary of the events of the timeline as it was. `timeline_id` may be NULL. See `mdna_timeline_summary()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_view_timeline_summary(
    view: *mut mdna_view,
    timeline_id: *const c_char,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (view, id, out) =
        unsafe { (borrow(view, "view"), opt_text(timeline_id, "timeline_id"), out(out_json, "out_json")) };
    call_on(view, |view| {
        let (id, out) = (id?, out?);
        let vault = view.view.vault();
        out.json(&vault.timeline().summary(id.unwrap_or(vault.id()), Some(&view.view))?);
        Ok(())
    })
}

/// The records that differ between two views: JSON objects with `difference` (`"added"`, `"removed"`, `"changed"`),
/// `collection` and `id`. Free the cursor with `mdna_cursor_free()`.
///
/// Fails with `MDNA_INVALID_ARGUMENT` for views of two vaults.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_view_diff(
    first: *mut mdna_view,
    second: *mut mdna_view,
    out: *mut *mut mdna_cursor,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and outputs.
    let (first, second, out) = unsafe { (borrow(first, "first"), borrow(second, "second"), self::out(out, "out")) };
    call_on(first, |first| {
        let (second, out) = (second?, out?);
        second.state().check()?;
        let vault = first.view.vault();
        if vault.id() != second.view.vault().id() {
            return Err(crate::error::Failure::argument("second", "it is a view of another vault"));
        }
        let differences = vault.snapshots().diff(&first.view, &second.view);
        out.write(of_values(differences.map(|difference| {
            let difference = difference?;
            let name = match difference.difference {
                DifferenceKind::Added => "added",
                DifferenceKind::Removed => "removed",
                DifferenceKind::Changed => "changed",
            };
            Ok(object([
                ("difference", name.into()),
                ("collection", difference.kind.collection().into()),
                ("id", difference.id.into()),
            ]))
        })));
        Ok(())
    })
}

/// Writes what a view shows as a store folder of the protocol. See `mdna_export_store()`. `progress` may be NULL,
/// `user_data` may be NULL, `out_json` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_view_export(
    view: *mut mdna_view,
    dir: *const c_char,
    progress: mdna_progress_fn,
    user_data: *mut c_void,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (view, dir, out) = unsafe { (borrow(view, "view"), path(dir, "dir"), opt_out(out_json)) };
    call_on(view, |view| {
        let report = export_store(&view.view, dir?, &mut Progress::new(progress, user_data, c"exporting"))?;
        json_if_wanted(out, &report.to_value());
        Ok(())
    })
}
