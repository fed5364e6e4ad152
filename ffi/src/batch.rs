//! Batches: changes of records that are made together or not at all.

use std::ffi::c_char;
use std::sync::Mutex;

use mirrordna::Vault;
use mirrordna::record::checksum;
use mirrordna::vault::{Batch, MemoryUpdate, NewSession};

use crate::error::{Failure, Result};
use crate::guard::call_on;
use crate::handle::{Boxed, Handle, State, borrow, boxed, free_boxed, locked};
use crate::input::{kind, opt_text, opt_value, text, value};
use crate::memory::tier_of;
use crate::output::{json_if_wanted, opt_out, out, text_if_wanted};
use crate::status::mdna_status;
use crate::string::mdna_string;
use crate::vault::mdna_vault;

/// Changes of records that are made together or not at all, in the name and with the durability of the vault handle
/// that it was begun with. Each change is checked at once, and sees those before it; one that fails leaves the batch as
/// it was. Nobody else sees any of them before `mdna_batch_commit()`. After that every call says `MDNA_BATCH_CLOSED`.
/// Any number of threads may use it at once; their changes come one after the other. It keeps the vault open, and is
/// freed with `mdna_batch_free()`.
pub struct mdna_batch {
    state: State,
    vault: Vault,
    /// None once it was committed, or could not be.
    batch: Mutex<Option<Batch>>,
}

impl Handle for mdna_batch {
    type Ownership = Boxed;

    fn state(&self) -> &State {
        &self.state
    }
}

fn closed() -> Failure {
    Failure::new(mdna_status::MDNA_BATCH_CLOSED, "the batch was committed, or could not be")
}

/// Does something in a batch that can still be changed.
fn in_batch(batch: Result<&mdna_batch>, work: impl FnOnce(&Batch) -> Result<()>) -> mdna_status {
    call_on(batch, |batch| {
        let batch = locked(batch.batch.lock())?;
        work(batch.as_ref().ok_or_else(closed)?)
    })
}

/// Begins a batch. Free it with `mdna_batch_free()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_batch_begin(vault: *mut mdna_vault, out: *mut *mut mdna_batch) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and outputs.
    let (vault, out) = unsafe { (borrow(vault, "vault"), self::out(out, "out")) };
    call_on(vault, |vault: &mdna_vault| {
        let (vault, out) = (vault.vault.clone(), out?);
        let batch = Mutex::new(Some(vault.batch()));
        out.write(boxed(mdna_batch { state: State::new(), vault, batch }));
        Ok(())
    })
}

/// Stores a record that is not there yet. See `mdna_record_create()`; `out_id` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_batch_create(
    batch: *mut mdna_batch,
    collection: *const c_char,
    record_json: *const c_char,
    out_id: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (batch, kind, record, out) = unsafe {
        (borrow(batch, "batch"), kind(collection, "collection"), value(record_json, "record_json"), opt_out(out_id))
    };
    in_batch(batch, |batch| {
        text_if_wanted(out, &batch.create_record(kind?, record?)?.id);
        Ok(())
    })
}

/// Stores a record: creates it, or adds a version when its id is there. See `mdna_record_put()`; `out_id` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_batch_put(
    batch: *mut mdna_batch,
    collection: *const c_char,
    record_json: *const c_char,
    out_id: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (batch, kind, record, out) = unsafe {
        (borrow(batch, "batch"), kind(collection, "collection"), value(record_json, "record_json"), opt_out(out_id))
    };
    in_batch(batch, |batch| {
        text_if_wanted(out, &batch.put(kind?, record?)?.id);
        Ok(())
    })
}

/// A record as it is after the changes of the batch, as canonical JSON to be freed with `mdna_string_free()`. The batch
/// relies on it from then on: `mdna_batch_commit()` fails when somebody changes it before.
///
/// Fails with `MDNA_NOT_FOUND`, and with `MDNA_STALE` when the batch relies on another version of it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_batch_get(
    batch: *mut mdna_batch,
    collection: *const c_char,
    id: *const c_char,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (batch, kind, id, out) =
        unsafe { (borrow(batch, "batch"), kind(collection, "collection"), text(id, "id"), out(out_json, "out_json")) };
    in_batch(batch, |batch| {
        let out = out?;
        out.bytes(checksum::canonical(&batch.get(kind?, id?)?.value));
        Ok(())
    })
}

/// Deletes a record; its history stays.
///
/// Fails with `MDNA_NOT_FOUND`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_batch_delete(
    batch: *mut mdna_batch,
    collection: *const c_char,
    id: *const c_char,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and texts.
    let (batch, kind, id) = unsafe { (borrow(batch, "batch"), kind(collection, "collection"), text(id, "id")) };
    in_batch(batch, |batch| Ok(batch.delete(kind?, id?)?))
}

/// Writes a memory, perhaps of a session that the batch itself has started. See `mdna_memory_add()`; `out_id` may be
/// NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_batch_memory_add(
    batch: *mut mdna_batch,
    memory_json: *const c_char,
    out_id: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (batch, record, out) = unsafe { (borrow(batch, "batch"), value(memory_json, "memory_json"), opt_out(out_id)) };
    in_batch(batch, |batch| {
        text_if_wanted(out, &batch.memories().add_record(record?)?.id);
        Ok(())
    })
}

/// Changes a memory. See `mdna_memory_update()`; `out_json` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_batch_memory_update(
    batch: *mut mdna_batch,
    id: *const c_char,
    update_json: *const c_char,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (batch, id, given, out) =
        unsafe { (borrow(batch, "batch"), text(id, "id"), value(update_json, "update_json"), opt_out(out_json)) };
    in_batch(batch, |batch| {
        let (id, update) = (id?, MemoryUpdate::from_value(given?)?);
        json_if_wanted(out, &batch.memories().update(id, &update)?.value);
        Ok(())
    })
}

/// Moves a memory to another tier. See `mdna_memory_promote()`; `out_json` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_batch_memory_promote(
    batch: *mut mdna_batch,
    id: *const c_char,
    tier: *const c_char,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (batch, id, tier, out) =
        unsafe { (borrow(batch, "batch"), text(id, "id"), text(tier, "tier"), opt_out(out_json)) };
    in_batch(batch, |batch| {
        let (id, tier) = (id?, tier_of(tier?)?);
        json_if_wanted(out, &batch.memories().promote(id, tier)?.value);
        Ok(())
    })
}

/// Marks a memory as archived. See `mdna_memory_archive()`; `out_json` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_batch_memory_archive(
    batch: *mut mdna_batch,
    id: *const c_char,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (batch, id, out) = unsafe { (borrow(batch, "batch"), text(id, "id"), opt_out(out_json)) };
    in_batch(batch, |batch| {
        json_if_wanted(out, &batch.memories().archive(id?)?.value);
        Ok(())
    })
}

/// Counts an access to a memory. See `mdna_memory_count_access()`; `out_json` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_batch_memory_count_access(
    batch: *mut mdna_batch,
    id: *const c_char,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (batch, id, out) = unsafe { (borrow(batch, "batch"), text(id, "id"), opt_out(out_json)) };
    in_batch(batch, |batch| {
        json_if_wanted(out, &batch.memories().count_access(id?)?.value);
        Ok(())
    })
}

/// Starts a session. `parent_id`, which may be a session that the batch has started, may be NULL. `context_json` may be
/// NULL, `out_json` may be NULL. See `mdna_session_start_with()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_batch_session_start(
    batch: *mut mdna_batch,
    agent_id: *const c_char,
    user_id: *const c_char,
    parent_id: *const c_char,
    context_json: *const c_char,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (batch, agent, user, parent, context, out) = unsafe {
        (
            borrow(batch, "batch"),
            text(agent_id, "agent_id"),
            text(user_id, "user_id"),
            opt_text(parent_id, "parent_id"),
            opt_value(context_json, "context_json"),
            opt_out(out_json),
        )
    };
    in_batch(batch, |batch| {
        let session = batch.sessions().start(NewSession {
            agent_id: agent?.to_owned(),
            user_id: user?.to_owned(),
            parent_session_id: parent?.map(str::to_owned),
            context: context?,
        })?;
        json_if_wanted(out, &session.value);
        Ok(())
    })
}

/// Ends a session. `final_state_json` may be NULL, `out_json` may be NULL. See `mdna_session_end()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_batch_session_end(
    batch: *mut mdna_batch,
    session_id: *const c_char,
    final_state_json: *const c_char,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (batch, id, state, out) = unsafe {
        (
            borrow(batch, "batch"),
            text(session_id, "session_id"),
            opt_value(final_state_json, "final_state_json"),
            opt_out(out_json),
        )
    };
    in_batch(batch, |batch| {
        let session = batch.sessions().end(id?, state?)?;
        json_if_wanted(out, &session.value);
        Ok(())
    })
}

/// Makes all changes of a batch, in one commit. `out_sequence` gets the sequence of the last one, or, when there are
/// none, that of the vault, and may be NULL. Whether it succeeds or not, the batch is closed; it is still to be freed.
///
/// Fails with `MDNA_STALE` when somebody else changed a record that the batch has read or changed: begin it again.
/// Then, and after any other failure but `MDNA_UNANSWERED`, nothing is changed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_batch_commit(batch: *mut mdna_batch, out_sequence: *mut u64) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and outputs.
    let (batch, out) = unsafe { (borrow(batch, "batch"), opt_out(out_sequence)) };
    call_on(batch, |batch: &mdna_batch| {
        let changes = locked(batch.batch.lock())?.take().ok_or_else(closed)?;
        let committed = changes.commit()?;
        if let Some(out) = out {
            out.write(match committed {
                Some(committed) => committed.last,
                None => batch.vault.state_now()?.sequence,
            });
        }
        Ok(())
    })
}

/// Frees a batch. What was not committed is not done. `batch` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_batch_free(batch: *mut mdna_batch) {
    // SAFETY: the caller keeps what the header says of freeing handles.
    unsafe { free_boxed(batch) };
}
