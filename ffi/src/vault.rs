//! The vault: creating, opening, closing it, and what concerns all of it.

use std::ffi::{c_char, c_void};
use std::time::Duration;

use mirrordna::record::{Timestamp, object};
use mirrordna::storage::{Durability, Ownership, PrunePolicy};
use mirrordna::vault::DEFAULT_ACTOR;
use mirrordna::{Vault, VaultOptions, health};

use crate::cursor::{mdna_cursor, of_values};
use crate::error::{Failure, Result};
use crate::guard::{call, call_on};
use crate::handle::{Boxed, Handle, State, borrow, boxed, free_boxed, null};
use crate::input::{Versioned, opt_text, options, path, text, truth};
use crate::output::{json_if_wanted, opt_out, out};
use crate::status::mdna_status;
use crate::string::mdna_string;

/// An open vault. Any number of threads may use it at once. It is closed with `mdna_vault_close()`; views, cursors,
/// watches and mounts that were made from it keep the vault itself open until they are freed, too.
pub struct mdna_vault {
    state: State,
    pub(crate) vault: Vault,
}

impl Handle for mdna_vault {
    type Ownership = Boxed;

    fn state(&self) -> &State {
        &self.state
    }
}

impl mdna_vault {
    pub(crate) fn new(vault: Vault) -> Self {
        crate::handle::opened();
        Self { state: State::new(), vault }
    }
}

/// When a change counts as done.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum mdna_durability {
    /// When it is on disk: it survives a power cut.
    MDNA_DURABILITY_SYNC = 0,
    /// When it survives a crash of the process. A power cut may take the last changes, always a whole tail of them.
    MDNA_DURABILITY_BUFFERED = 1,
}

/// Whether this process wants to own the vault itself. One process does; others speak to it, and notice nothing but a
/// call that takes a little longer.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum mdna_ownership {
    /// It does not matter.
    MDNA_OWNERSHIP_ANY = 0,
    /// It asks the owner to hand the vault over.
    MDNA_OWNERSHIP_WANTED = 1,
}

/// How a vault is opened. Fill it with `MDNA_OPEN_OPTIONS_INIT`, then change what is to be different.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct mdna_open_options {
    /// `MDNA_OPEN_OPTIONS_VERSION`.
    pub version: u32,
    /// A `mdna_durability`: when changes count as done.
    pub durability: u32,
    /// A `mdna_ownership`.
    pub ownership: u32,
    /// How long to wait for a process that has the vault open and does not answer, in milliseconds.
    pub lock_timeout_ms: u32,
    /// Who the log names as the author of changes; NULL for `"system"`.
    pub actor: *const c_char,
}

/// The version of `mdna_open_options` in this header.
pub const MDNA_OPEN_OPTIONS_VERSION: u32 = 1;

impl Versioned for mdna_open_options {
    const VERSION: u32 = MDNA_OPEN_OPTIONS_VERSION;
    const NAME: &'static str = "mdna_open_options";

    fn version(&self) -> u32 {
        self.version
    }
}

/// How a vault is created. Fill it with `MDNA_CREATE_OPTIONS_INIT`, then change what is to be different.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct mdna_create_options {
    /// `MDNA_CREATE_OPTIONS_VERSION`.
    pub version: u32,
    /// A `mdna_durability`: when changes count as done.
    pub durability: u32,
    /// Who the log names as the author of changes; NULL for `"system"`.
    pub actor: *const c_char,
}

/// The version of `mdna_create_options` in this header.
pub const MDNA_CREATE_OPTIONS_VERSION: u32 = 1;

impl Versioned for mdna_create_options {
    const VERSION: u32 = MDNA_CREATE_OPTIONS_VERSION;
    const NAME: &'static str = "mdna_create_options";

    fn version(&self) -> u32 {
        self.version
    }
}

/// What a prune keeps. Fill it with `MDNA_PRUNE_OPTIONS_INIT`, then change what is to be different. What a snapshot
/// pins always stays.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct mdna_prune_options {
    /// `MDNA_PRUNE_OPTIONS_VERSION`.
    pub version: u32,
    /// Of each record the newest this many versions stay; 0 for no such rule.
    pub keep: u32,
    /// Versions that were current after this moment stay, in microseconds since 1970; used when `has_current_after` is
    /// 1.
    pub current_after_us: i64,
    /// Whether `current_after_us` counts: 0 or 1.
    pub has_current_after: u8,
    /// Only count what would be dropped: 0 or 1.
    pub dry_run: u8,
}

/// The version of `mdna_prune_options` in this header.
pub const MDNA_PRUNE_OPTIONS_VERSION: u32 = 1;

impl Versioned for mdna_prune_options {
    const VERSION: u32 = MDNA_PRUNE_OPTIONS_VERSION;
    const NAME: &'static str = "mdna_prune_options";

    fn version(&self) -> u32 {
        self.version
    }
}

/// Where the log of a vault stands.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct mdna_log_state {
    /// The newest sequence, which is also the number of entries.
    pub sequence: u64,
    /// The newest sequence that a power cut cannot take.
    pub durable: u64,
    /// Before this sequence only what a snapshot pins can be read.
    pub horizon: u64,
    /// How many times the history may have lost a tail, or was restored.
    pub epoch: u64,
    /// Time of the newest entry, in microseconds since 1970, UTC.
    pub time_us: i64,
    /// The Merkle root over all entries, 32 bytes of SHA-256.
    pub root: [u8; 32],
}

pub(crate) fn durability(number: u32) -> Result<Durability> {
    match number {
        0 => Ok(Durability::Sync),
        1 => Ok(Durability::Buffered),
        _ => Err(Failure::argument("durability", format!("{number} is no mdna_durability"))),
    }
}

fn ownership(number: u32) -> Result<Ownership> {
    match number {
        0 => Ok(Ownership::Any),
        1 => Ok(Ownership::Wanted),
        _ => Err(Failure::argument("ownership", format!("{number} is no mdna_ownership"))),
    }
}

/// What C says of opening a vault.
///
/// # Safety
/// The texts in it are as the header asks for.
pub(crate) unsafe fn open_options(given: Option<mdna_open_options>) -> Result<VaultOptions> {
    let Some(given) = given else { return Ok(VaultOptions::default()) };
    // SAFETY: as the caller says.
    let actor = unsafe { opt_text(given.actor, "actor") }?;
    Ok(VaultOptions {
        lock_timeout: Duration::from_millis(given.lock_timeout_ms.into()),
        ownership: ownership(given.ownership)?,
        durability: durability(given.durability)?,
        actor: actor.unwrap_or(DEFAULT_ACTOR).to_owned(),
        ..VaultOptions::default()
    })
}

/// Opens the vault in the directory `path`, also one that other processes have open. `options` may be NULL. Free the
/// handle with `mdna_vault_close()`.
///
/// Fails with `MDNA_NOT_A_VAULT`, with `MDNA_LOCKED` when a process that does not answer holds the vault, with
/// `MDNA_NEWER_FORMAT` and `MDNA_UNKNOWN_FEATURES` for a vault of a newer library, and with `MDNA_CORRUPT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_vault_open(
    path: *const c_char,
    options: *const mdna_open_options,
    out: *mut *mut mdna_vault,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of texts, structures and outputs.
    let (dir, options, out) =
        unsafe { (crate::input::path(path, "path"), crate::input::options(options), self::out(out, "out")) };
    call(|| {
        // SAFETY: as above.
        let (dir, options, out) = (dir?, unsafe { open_options(options?) }?, out?);
        out.write(boxed(mdna_vault::new(Vault::open(dir, &options)?)));
        Ok(())
    })
}

/// Makes a new vault in the directory `path`, which must be new or empty, and opens it. `options` may be NULL. Free the
/// handle with `mdna_vault_close()`.
///
/// Fails with `MDNA_OCCUPIED` when something is there, and with `MDNA_PERMISSION`, `MDNA_NO_SPACE` or `MDNA_IO`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_vault_create(
    path: *const c_char,
    options: *const mdna_create_options,
    out: *mut *mut mdna_vault,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of texts, structures and outputs.
    let (dir, options, out) =
        unsafe { (crate::input::path(path, "path"), crate::input::options(options), self::out(out, "out")) };
    call(|| {
        let (dir, given, out) = (dir?, options?, out?);
        let mut options = VaultOptions::default();
        if let Some(given) = given {
            options.durability = durability(given.durability)?;
            // SAFETY: as above.
            if let Some(actor) = unsafe { opt_text(given.actor, "actor") }? {
                actor.clone_into(&mut options.actor);
            }
        }
        out.write(boxed(mdna_vault::new(Vault::create(dir, &options)?)));
        Ok(())
    })
}

/// Makes everything durable that was changed.
///
/// Fails with `MDNA_NO_SPACE`, `MDNA_IO` or `MDNA_ENGINE`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_vault_flush(vault: *mut mdna_vault) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles.
    let vault = unsafe { borrow(vault, "vault") };
    call_on(vault, |vault| {
        vault.vault.flush()?;
        Ok(())
    })
}

/// Closes a handle on a vault. No other thread may use this handle any more. Call `mdna_vault_flush()` before to learn
/// of errors. `vault` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_vault_close(vault: *mut mdna_vault) {
    // SAFETY: the caller keeps what the header says of freeing handles.
    unsafe { free_boxed(vault) };
}

/// Another handle on the same vault, in whose name the log speaks. Free it with `mdna_vault_close()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_vault_as_actor(
    vault: *mut mdna_vault,
    actor: *const c_char,
    out: *mut *mut mdna_vault,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, actor, out) = unsafe { (borrow(vault, "vault"), text(actor, "actor"), self::out(out, "out")) };
    call_on(vault, |vault| {
        let (actor, out) = (actor?, out?);
        out.write(boxed(mdna_vault::new(vault.vault.as_actor(actor))));
        Ok(())
    })
}

/// Another handle on the same vault, whose changes count as done at another point: `durability` is a `mdna_durability`.
/// Free it with `mdna_vault_close()`.
///
/// Fails with `MDNA_INVALID_ARGUMENT` for any other number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_vault_with_durability(
    vault: *mut mdna_vault,
    durability: u32,
    out: *mut *mut mdna_vault,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and outputs.
    let (vault, out) = unsafe { (borrow(vault, "vault"), self::out(out, "out")) };
    call_on(vault, |vault| {
        let (durability, out) = (self::durability(durability)?, out?);
        out.write(boxed(mdna_vault::new(vault.vault.with_durability(durability))));
        Ok(())
    })
}

/// The id of a vault, as `"vault_0123456789abcdef"`. Free it with `mdna_string_free()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_vault_id(vault: *mut mdna_vault, out_id: *mut mdna_string) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and outputs.
    let (vault, out) = unsafe { (borrow(vault, "vault"), out(out_id, "out_id")) };
    call_on(vault, |vault| {
        out?.text(vault.vault.id());
        Ok(())
    })
}

/// The directory of a vault. Free it with `mdna_string_free()`. Bytes of the path that are not UTF-8 are replaced.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_vault_path(vault: *mut mdna_vault, out_path: *mut mdna_string) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and outputs.
    let (vault, out) = unsafe { (borrow(vault, "vault"), out(out_path, "out_path")) };
    call_on(vault, |vault| {
        out?.text(&vault.vault.dir().map(|dir| dir.display().to_string()).unwrap_or_default());
        Ok(())
    })
}

/// Who the log names as the author of changes through this handle. Free it with `mdna_string_free()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_vault_actor(vault: *mut mdna_vault, out_actor: *mut mdna_string) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and outputs.
    let (vault, out) = unsafe { (borrow(vault, "vault"), out(out_actor, "out_actor")) };
    call_on(vault, |vault| {
        out?.text(vault.vault.actor());
        Ok(())
    })
}

/// Where the log of a vault stands.
///
/// Fails with `MDNA_LOCKED` when the process that owns the vault does not answer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_vault_state(vault: *mut mdna_vault, out_state: *mut mdna_log_state) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and outputs.
    let (vault, out) = unsafe { (borrow(vault, "vault"), out(out_state, "out_state")) };
    call_on(vault, |vault| {
        let out = out?;
        let state = vault.vault.state_now()?;
        out.write(mdna_log_state {
            sequence: state.sequence,
            durable: state.durable,
            horizon: state.horizon,
            epoch: state.epoch,
            time_us: state.time.as_micros(),
            root: state.root.0,
        });
        Ok(())
    })
}

/// How much a vault holds, as a JSON object: `records` (collection to number), `memory_tiers`, `memories_archived`,
/// `sequence`, `durable_sequence`, `root`, `newest_entry`, `epoch`, `disk_bytes`, `vault_id`. Free it with
/// `mdna_string_free()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_vault_overview(vault: *mut mdna_vault, out_json: *mut mdna_string) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and outputs.
    let (vault, out) = unsafe { (borrow(vault, "vault"), out(out_json, "out_json")) };
    call_on(vault, |vault| {
        let out = out?;
        out.json(&vault.vault.overview()?.to_value());
        Ok(())
    })
}

/// Whether a vault is well: quick checks, the same for a vault of any size, as a JSON object with `checks`, a list of
/// objects with `name`, `status` and `detail` (what was found, and what to do about it), and `status`, the worst of
/// theirs: `"ok"`, `"warning"` (it works, and somebody should look at it) or `"failed"`. What is stored is proven by
/// `mdna_vault_verify()`. Free it with `mdna_string_free()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_vault_health(vault: *mut mdna_vault, out_json: *mut mdna_string) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and outputs.
    let (vault, out) = unsafe { (borrow(vault, "vault"), out(out_json, "out_json")) };
    call_on(vault, |vault| {
        let out = out?;
        let mut health = health::Health::default();
        health::check_vault(&vault.vault, &mut health);
        out.json(&health.to_value());
        Ok(())
    })
}

/// Drops versions that neither the rules of `options` nor a snapshot need. `out_json` gets a JSON object with
/// `versions`, `bytes`, `kept`, `file_rows`, `chunks`, `chunk_bytes`, to be freed with `mdna_string_free()`, and may be
/// NULL.
///
/// Fails with `MDNA_INVALID_ARGUMENT` when `options` has no rule, or a truth value that is neither 0 nor 1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_vault_prune(
    vault: *mut mdna_vault,
    options: *const mdna_prune_options,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, structures and outputs.
    let (vault, given, out) = unsafe { (borrow(vault, "vault"), self::options(options), opt_out(out_json)) };
    call_on(vault, |vault| {
        let given = given?.ok_or_else(|| null("options"))?;
        let has_current_after = truth(given.has_current_after, "has_current_after")?;
        if given.keep == 0 && !has_current_after {
            return Err(Failure::argument("options", "give keep, or current_after_us with has_current_after, or both"));
        }
        let pruned = vault.vault.prune(PrunePolicy {
            keep: (given.keep > 0).then_some(given.keep),
            current_after: has_current_after.then(|| Timestamp::from_micros(given.current_after_us)),
            dry_run: truth(given.dry_run, "dry_run")?,
        })?;
        let report = object([
            ("versions", pruned.versions.into()),
            ("bytes", pruned.bytes.into()),
            ("kept", pruned.kept.into()),
            ("file_rows", pruned.file_rows.into()),
            ("chunks", pruned.chunks.into()),
            ("chunk_bytes", pruned.chunk_bytes.into()),
        ]);
        json_if_wanted(out, &report);
        Ok(())
    })
}

/// Entries of the log from the sequence `from` on (the first is 1), at most `limit`, or all for 0: JSON objects with
/// `sequence`, `time`, `operation`, `origin`, `event`, `collection`, `id`, `session`, `agent`, `actor`, `commitment`,
/// `end_of_commit` and `detail`. Free the cursor with `mdna_cursor_free()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_vault_log(
    vault: *mut mdna_vault,
    from: u64,
    limit: u64,
    out: *mut *mut mdna_cursor,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and outputs.
    let (vault, out) = unsafe { (borrow(vault, "vault"), self::out(out, "out")) };
    call_on(vault, |vault| {
        let out = out?;
        let limit = if limit == 0 { usize::MAX } else { usize::try_from(limit).unwrap_or(usize::MAX) };
        let entries = vault.vault.log_entries(from.max(1)).take(limit);
        out.write(of_values(entries.map(|entry| Ok(entry?.to_value()))));
        Ok(())
    })
}

/// Whether the vault in the directory `path` is well: that it opens, who may read it, the space that is left, and what
/// `mdna_vault_health()` looks at. It never fails because of the vault: what goes wrong is in the report, which is as
/// that of `mdna_vault_health()`. `options` may be NULL. Free the report with `mdna_string_free()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_health_check(
    path: *const c_char,
    options: *const mdna_open_options,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of texts, structures and outputs.
    let (dir, options, out) = unsafe { (self::path(path, "path"), self::options(options), out(out_json, "out_json")) };
    call(|| {
        // SAFETY: as above.
        let (dir, options, out) = (dir?, unsafe { open_options(options?) }?, out?);
        out.json(&health::check(dir, &options).to_value());
        Ok(())
    })
}

/// What the caller gave with a callback. C says that it may be used from other threads.
#[derive(Clone, Copy)]
pub(crate) struct UserData(pub(crate) *mut c_void);

// SAFETY: the library only hands the pointer back, and the header says from which threads.
unsafe impl Send for UserData {}
// SAFETY: as above.
unsafe impl Sync for UserData {}
