//! A panic in any entry becomes `MDNA_INTERNAL`. What it does to handles is in [`crate::poisoning`].
//!
//! The functions are called here through their addresses, with zeros for all arguments: an entry that panics never
//! looks at them.

use std::collections::BTreeSet;

use mirrordna_ffi::*;

/// Name and address of functions.
macro_rules! entries {
    ($($name:ident)+) => { vec![$((stringify!($name), $name as *const ())),+] };
}

/// All functions that give a status, with their addresses.
#[expect(clippy::too_many_lines, reason = "a list")]
pub(crate) fn fallible() -> Vec<(&'static str, *const ())> {
    entries![
        mdna_backup_create
        mdna_backup_delete
        mdna_backup_export
        mdna_backup_extract
        mdna_backup_forget
        mdna_backup_import
        mdna_backup_list
        mdna_backup_restore
        mdna_batch_begin
        mdna_batch_commit
        mdna_batch_create
        mdna_batch_delete
        mdna_batch_get
        mdna_batch_memory_add
        mdna_batch_memory_archive
        mdna_batch_memory_count_access
        mdna_batch_memory_promote
        mdna_batch_memory_update
        mdna_batch_put
        mdna_batch_session_end
        mdna_batch_session_start
        mdna_bytes_checksum
        mdna_citation_chain
        mdna_citation_read
        mdna_citation_template
        mdna_claim_sign
        mdna_claim_verify
        mdna_config_seal
        mdna_config_verify
        mdna_cursor_next
        mdna_cursor_position
        mdna_dna_constraints
        mdna_dna_create
        mdna_dna_latest
        mdna_dna_versions
        mdna_document_checksum
        mdna_document_read
        mdna_document_seal
        mdna_document_verify
        mdna_document_write
        mdna_export_store
        mdna_export_timeline
        mdna_file_chmod
        mdna_file_chown
        mdna_file_open
        mdna_file_read
        mdna_file_read_at
        mdna_file_seek
        mdna_file_stat
        mdna_file_sync
        mdna_file_truncate
        mdna_file_utimes
        mdna_file_write
        mdna_file_write_at
        mdna_files_chmod
        mdna_files_chown
        mdna_files_link
        mdna_files_list
        mdna_files_mkdir
        mdna_files_readlink
        mdna_files_remove
        mdna_files_rename
        mdna_files_rmdir
        mdna_files_stat
        mdna_files_symlink
        mdna_files_sync
        mdna_files_utimes
        mdna_glyph_chain
        mdna_health_check
        mdna_id_check
        mdna_id_dna
        mdna_id_event
        mdna_id_new
        mdna_id_reflection
        mdna_identity_create
        mdna_identity_get
        mdna_identity_sign
        mdna_identity_verify
        mdna_import_backup
        mdna_import_store
        mdna_import_timeline
        mdna_json_canonical
        mdna_json_checksum
        mdna_key_add
        mdna_key_change
        mdna_key_file_new
        mdna_key_kinds
        mdna_key_kinds_with
        mdna_key_list
        mdna_key_new
        mdna_key_public
        mdna_key_remove
        mdna_log_set
        mdna_memory_add
        mdna_memory_archive
        mdna_memory_count_access
        mdna_memory_delete
        mdna_memory_get
        mdna_memory_list
        mdna_memory_promote
        mdna_memory_search
        mdna_memory_update
        mdna_mount_path
        mdna_mount_start
        mdna_mount_stop
        mdna_mount_wait
        mdna_path_checksum
        mdna_record_check
        mdna_record_create
        mdna_record_delete
        mdna_record_describe
        mdna_record_get
        mdna_record_history
        mdna_record_list
        mdna_record_put
        mdna_reflection_add
        mdna_reflection_capability
        mdna_reflection_decision
        mdna_reflection_introspect
        mdna_reflection_list
        mdna_reflection_meta
        mdna_reflection_state
        mdna_repair_path
        mdna_repository_describe
        mdna_repository_init
        mdna_repository_init_with
        mdna_repository_open
        mdna_repository_open_with
        mdna_repository_prune
        mdna_repository_repair
        mdna_repository_verify
        mdna_s3_settings_cancel
        mdna_s3_settings_limit
        mdna_s3_settings_new
        mdna_s3_settings_set
        mdna_schema_text
        mdna_session_context
        mdna_session_end
        mdna_session_get
        mdna_session_lineage
        mdna_session_list
        mdna_session_start
        mdna_session_start_with
        mdna_snapshot_create
        mdna_snapshot_create_with
        mdna_snapshot_delete
        mdna_snapshot_get
        mdna_snapshot_list
        mdna_snapshot_load
        mdna_snapshot_render
        mdna_snapshot_restore
        mdna_snapshot_view
        mdna_timeline_append
        mdna_timeline_days
        mdna_timeline_file_query
        mdna_timeline_file_summary
        mdna_timeline_query
        mdna_timeline_summary
        mdna_umount
        mdna_vault_actor
        mdna_vault_as_actor
        mdna_vault_at
        mdna_vault_config_read
        mdna_vault_config_template
        mdna_vault_create
        mdna_vault_flush
        mdna_vault_health
        mdna_vault_id
        mdna_vault_log
        mdna_vault_open
        mdna_vault_overview
        mdna_vault_path
        mdna_vault_prune
        mdna_vault_state
        mdna_vault_verify
        mdna_vault_verify_with
        mdna_vault_with_durability
        mdna_verify_path
        mdna_view_describe
        mdna_view_diff
        mdna_view_export
        mdna_view_file_open
        mdna_view_files_list
        mdna_view_files_readlink
        mdna_view_files_stat
        mdna_view_get
        mdna_view_list
        mdna_view_sequence
        mdna_view_timeline
        mdna_view_timeline_summary
        mdna_watch_start
    ]
}

/// As many arguments as any function has.
pub(crate) type Arguments = [usize; 8];

/// Calls a function by its address.
///
/// # Safety
/// It is one of [`fallible`], and the arguments are as the header asks for, or the call ends before it looks at those that are not.
pub(crate) unsafe fn enter(address: *const (), arguments: Arguments) -> i32 {
    type Entry = unsafe extern "C" fn(usize, usize, usize, usize, usize, usize, usize, usize) -> i32;
    // SAFETY: every argument of every entry is an integer or a pointer in a register of its own or on the stack, and none has more.
    let entry: Entry = unsafe { std::mem::transmute(address) };
    let [first, second, third, fourth, fifth, sixth, seventh, eighth] = arguments;
    // SAFETY: as the caller says.
    unsafe { entry(first, second, third, fourth, fifth, sixth, seventh, eighth) }
}

#[test]
fn a_panic_in_any_entry_becomes_a_status() {
    let entries = fallible();
    let listed: BTreeSet<_> = entries.iter().map(|(name, _)| (*name).to_owned()).collect();
    let functions = crate::prototypes::all();
    assert!(functions.iter().all(|function| function.parameters.len() <= 8));
    let declared: BTreeSet<_> =
        functions.into_iter().filter(super::prototypes::Prototype::is_fallible).map(|function| function.name).collect();
    assert_eq!(listed, declared, "the list above is not what the header declares");
    for (name, address) in entries {
        inject_panic(Some(Injected::Entry));
        // SAFETY: it panics before it looks at any argument.
        let status = unsafe { enter(address, [0; 8]) };
        inject_panic(None);
        assert_eq!(status, mdna_status::MDNA_INTERNAL as i32, "{name}");
    }
}
