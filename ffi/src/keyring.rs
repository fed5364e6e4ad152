//! What opens a backup repository.

use std::ffi::c_char;
use std::ptr;

use mirrordna::backup::{Cost, Repository, Secret, new_key_file};
use mirrordna::record::{Value, object};
use zeroize::Zeroizing;

use crate::error::{Failure, Result};
use crate::guard::{call, call_on};
use crate::handle::{borrow, opt_borrow};
use crate::input::{bytes, opt_text, path, text};
use crate::output::{opt_out, out, text_if_wanted};
use crate::repository::{destination, mdna_repository};
use crate::s3::mdna_s3_settings;
use crate::status::mdna_status;
use crate::string::mdna_string;

/// What a secret is.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum mdna_secret_kind {
    /// A passphrase in UTF-8.
    MDNA_SECRET_PASSPHRASE = 1,
    /// The content of a key file.
    MDNA_SECRET_KEY_FILE = 2,
}

/// What opens a repository. The library wipes its own copies; wiping this one is up to the caller.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct mdna_secret {
    /// A `mdna_secret_kind`.
    pub kind: u32,
    /// The passphrase, or the content of the key file.
    pub data: *const u8,
    /// Its length in bytes.
    pub len: usize,
}

/// What opening a key slot costs with Argon2id: to who opens it, and to who guesses. At most 2 GiB of memory, 64 passes and
/// 64 lanes, and memory times passes at most 8 GiB; a slot that asks for more is not made (`MDNA_INVALID_ARGUMENT`), since
/// nothing would open it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct mdna_key_cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

/// A secret that C gives; none for NULL.
///
/// # Safety
/// As the header asks for.
pub(crate) unsafe fn secret(pointer: *const mdna_secret) -> Result<Secret> {
    // SAFETY: as the caller says.
    let Some(given) = (unsafe { pointer.as_ref() }) else { return Ok(Secret::None) };
    // SAFETY: as the caller says.
    let data = unsafe { bytes(given.data, given.len, "secret") }?;
    match given.kind {
        1 => {
            let text = std::str::from_utf8(data).map_err(|_| {
                Failure::new(mdna_status::MDNA_INVALID_UTF8, "the passphrase is not UTF-8; use it as a key file")
            })?;
            Ok(Secret::Passphrase(Zeroizing::new(text.to_owned())))
        }
        2 => Ok(Secret::KeyFile(Zeroizing::new(data.to_vec()))),
        other => Err(Failure::argument("secret", format!("{other} is no mdna_secret_kind"))),
    }
}

/// Costs that C gives; the recommended ones for NULL.
///
/// # Safety
/// As the header asks for.
#[expect(clippy::unnecessary_wraps, reason = "an argument like all others")]
pub(crate) unsafe fn cost(pointer: *const mdna_key_cost) -> Result<Cost> {
    // SAFETY: as the caller says.
    let given = unsafe { pointer.as_ref() };
    Ok(given.map_or_else(Cost::default, |given| Cost {
        memory: given.memory_kib,
        passes: given.passes,
        lanes: given.lanes,
    }))
}

/// The key slots of a repository: a JSON object with `slots`, each with `id`, `kind`, `label`, `created`, `memory_kib`,
/// `passes`, `lanes`, and `faults`, what is wrong with those that cannot be read, each with `subject` and
/// `problem`. Free it with `mdna_string_free()`.
///
/// Fails with `MDNA_IO`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_key_list(repository: *mut mdna_repository, out_json: *mut mdna_string) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and outputs.
    let (repository, out) = unsafe { (borrow(repository, "repository"), out(out_json, "out_json")) };
    call_on(repository, |repository: &mdna_repository| {
        let out = out?;
        let (slots, faults) = repository.repository.slots()?;
        let slots: Value = slots
            .iter()
            .map(|slot| {
                object([
                    ("id", slot.id.as_str().into()),
                    ("kind", slot.kind.name().into()),
                    ("label", slot.label.as_str().into()),
                    ("created", slot.created.to_string().into()),
                    ("memory_kib", u64::from(slot.cost.memory).into()),
                    ("passes", u64::from(slot.cost.passes).into()),
                    ("lanes", u64::from(slot.cost.lanes).into()),
                ])
            })
            .collect();
        out.json(&object([("slots", slots), ("faults", crate::repository::faults(&faults))]));
        Ok(())
    })
}

/// Adds a key slot: whoever has `secret` can read the repository from now on. `label` may be NULL, and `cost` may be
/// NULL. `out_id` gets the name of the slot, to be freed with `mdna_string_free()`, and may be NULL.
///
/// Fails with `MDNA_INVALID_ARGUMENT` for an empty secret, and with `MDNA_IO`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_key_add(
    repository: *mut mdna_repository,
    secret: *const mdna_secret,
    label: *const c_char,
    cost: *const mdna_key_cost,
    out_id: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts, structures and outputs.
    let (repository, secret, label, cost, out) = unsafe {
        (
            borrow(repository, "repository"),
            required(secret),
            opt_text(label, "label"),
            self::cost(cost),
            opt_out(out_id),
        )
    };
    call_on(repository, |repository: &mdna_repository| {
        let (secret, label, cost) = (secret?, label?.unwrap_or_default(), cost?);
        text_if_wanted(out, &repository.repository.add_key(&secret, label, cost)?);
        Ok(())
    })
}

/// A secret that must be there: a slot that nothing guards is not added by leaving something out.
///
/// # Safety
/// As the header asks for.
unsafe fn required(pointer: *const mdna_secret) -> Result<Secret> {
    if pointer.is_null() {
        return Err(crate::handle::null("secret"));
    }
    // SAFETY: as the caller says.
    unsafe { secret(pointer) }
}

/// Removes a key slot, by its name or the beginning of it. Whoever had the master key still has it. `out_id` gets the
/// name of the slot, to be freed with `mdna_string_free()`, and may be NULL.
///
/// Fails with `MDNA_NOT_FOUND`, `MDNA_AMBIGUOUS`, and with `MDNA_INVALID_ARGUMENT` for the last sound one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_key_remove(
    repository: *mut mdna_repository,
    slot: *const c_char,
    out_id: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (repository, wanted, out) = unsafe { (borrow(repository, "repository"), text(slot, "slot"), opt_out(out_id)) };
    call_on(repository, |repository: &mdna_repository| {
        text_if_wanted(out, &repository.repository.remove_key(wanted?)?);
        Ok(())
    })
}

/// Replaces the key slot that opened the repository by one that `secret` opens. `cost` may be NULL. `out_id` gets the
/// name of the new slot, to be freed with `mdna_string_free()`, and may be NULL.
///
/// Fails as `mdna_key_add()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_key_change(
    repository: *mut mdna_repository,
    secret: *const mdna_secret,
    cost: *const mdna_key_cost,
    out_id: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, structures and outputs.
    let (repository, secret, cost, out) =
        unsafe { (borrow(repository, "repository"), required(secret), self::cost(cost), opt_out(out_id)) };
    call_on(repository, |repository: &mdna_repository| {
        let (secret, cost) = (secret?, cost?);
        text_if_wanted(out, &repository.repository.change_key(&secret, cost)?);
        Ok(())
    })
}

/// Which kinds of secrets open the repository at `location` (see `mdna_repository_open()`), without opening it: a JSON
/// list of `"open"`, `"passphrase"`, `"key file"`. Free it with `mdna_string_free()`.
///
/// Fails with `MDNA_INVALID_ARGUMENT`, `MDNA_IO` and `MDNA_NOT_A_REPOSITORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_key_kinds(location: *const c_char, out_json: *mut mdna_string) -> mdna_status {
    // SAFETY: the caller keeps what the header says of texts and outputs.
    unsafe { kinds(location, ptr::null_mut(), out_json) }
}

/// As `mdna_key_kinds()`, with settings for a bucket instead of the variables of the process. `settings` may be NULL.
///
/// Fails as `mdna_key_kinds()`, and with `MDNA_CANCELLED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_key_kinds_with(
    location: *const c_char,
    settings: *mut mdna_s3_settings,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    unsafe { kinds(location, settings, out_json) }
}

/// Which kinds of secrets open a repository.
///
/// # Safety
/// As the header asks for.
unsafe fn kinds(location: *const c_char, settings: *mut mdna_s3_settings, out_json: *mut mdna_string) -> mdna_status {
    // SAFETY: as the caller says.
    let (location, settings, out) =
        unsafe { (path(location, "location"), opt_borrow(settings), out(out_json, "out_json")) };
    call(|| {
        let (location, out) = (location?, out?);
        let kinds = Repository::kinds(&*destination(location, settings)?)?;
        let mut names: Vec<_> = kinds.into_iter().map(mirrordna::backup::SlotKind::name).collect();
        names.sort_unstable();
        out.json(&names.into_iter().map(Value::from).collect());
        Ok(())
    })
}

/// The content of a new key file. Free it with `mdna_string_free()`, which wipes it.
///
/// Fails with `MDNA_NO_RANDOMNESS`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_key_file_new(out_content: *mut mdna_string) -> mdna_status {
    // SAFETY: the caller keeps what the header says of outputs.
    let out = unsafe { out(out_content, "out_content") };
    call(|| {
        let out = out?;
        let key = new_key_file()?;
        // One byte more for the NUL, so that it is not moved and left behind.
        let mut content = Vec::with_capacity(key.len() + 1);
        content.extend_from_slice(&key);
        out.bytes(content);
        Ok(())
    })
}
