//! Backups: incremental, encrypted, in a repository.

use std::ffi::{c_char, c_void};
use std::path::Path;
use std::ptr;
use std::sync::Arc;

use mirrordna::backup::{
    Backup, CreateOptions, Destination, Fault, Part, PruneOptions, Repository, Retention, VerifyOptions,
};
use mirrordna::record::{Value, object};

use crate::error::{Failure, Result};
use crate::guard::{call, call_on};
use crate::handle::{Boxed, Handle, State, borrow, boxed, free_boxed, null, opt_borrow};
use crate::input::{Versioned, opt_path, opt_text, options, path, text, texts};
use crate::keyring::{cost, mdna_key_cost, mdna_secret, secret};
use crate::output::{json_if_wanted, opt_out, out};
use crate::progress::{Progress, mdna_progress_fn};
use crate::s3::mdna_s3_settings;
use crate::status::mdna_status;
use crate::string::mdna_string;
use crate::vault::mdna_vault;

/// An open backup repository. Any number of threads may use it at once, for one piece of work each. It is closed with
/// `mdna_repository_close()`.
pub struct mdna_repository {
    state: State,
    pub(crate) repository: Repository,
}

impl Handle for mdna_repository {
    type Ownership = Boxed;

    fn state(&self) -> &State {
        &self.state
    }
}

/// Which backups are kept: those that any rule keeps. Fill it with `MDNA_RETENTION_INIT`, then change what is to be
/// different.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct mdna_retention {
    /// `MDNA_RETENTION_VERSION`.
    pub version: u32,
    /// The newest so many.
    pub last: u32,
    /// The newest of each of the last so many hours that have one.
    pub hourly: u32,
    /// The newest of each of the last so many days that have one.
    pub daily: u32,
    /// The newest of each of the last so many weeks, from Monday on, that have one.
    pub weekly: u32,
    /// The newest of each of the last so many months that have one.
    pub monthly: u32,
    /// The newest of each of the last so many years that have one.
    pub yearly: u32,
}

/// The version of `mdna_retention` in this header.
pub const MDNA_RETENTION_VERSION: u32 = 1;

impl Versioned for mdna_retention {
    const VERSION: u32 = MDNA_RETENTION_VERSION;
    const NAME: &'static str = "mdna_retention";

    fn version(&self) -> u32 {
        self.version
    }
}

/// What a location names; without settings with the variables `AWS_*` of the process.
pub(crate) fn destination(location: &Path, settings: Option<&mdna_s3_settings>) -> Result<Arc<dyn Destination>> {
    let settings = settings.map_or_else(|| Ok(mirrordna_s3::Settings::from_env()), mdna_s3_settings::get)?;
    Ok(mirrordna_s3::destination(location, &settings)?)
}

/// Makes a repository at `location` and opens it: a folder, which must be new or empty, or `"s3://BUCKET/PREFIX"`,
/// where there must be none. How the bucket is reached is read from the variables `AWS_*` of the process:
/// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`, and `AWS_ENDPOINT_URL` for a server
/// other than Amazon's, which is reached with http only on this machine, or with `AWS_ALLOW_HTTP=true`. `secret` opens
/// it from then on; NULL makes a repository that hides nothing (`secret` may be NULL). `label`, the name of its first
/// key slot, may be NULL. `cost` may be NULL, for what is recommended. Free the handle with `mdna_repository_close()`.
///
/// Fails with `MDNA_OCCUPIED`, with `MDNA_INVALID_ARGUMENT` for an empty secret, a location that names no bucket, and
/// variables that cannot be used, and with `MDNA_IO`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_repository_init(
    location: *const c_char,
    secret: *const mdna_secret,
    label: *const c_char,
    cost: *const mdna_key_cost,
    out: *mut *mut mdna_repository,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of texts, structures and outputs.
    unsafe { init(location, ptr::null_mut(), secret, label, cost, out) }
}

/// As `mdna_repository_init()`, with settings for a bucket instead of the variables of the process. `settings`, `secret`,
/// `label` and `cost` may be NULL.
///
/// Fails as `mdna_repository_init()`, and with `MDNA_CANCELLED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_repository_init_with(
    location: *const c_char,
    settings: *mut mdna_s3_settings,
    secret: *const mdna_secret,
    label: *const c_char,
    cost: *const mdna_key_cost,
    out: *mut *mut mdna_repository,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts, structures and outputs.
    unsafe { init(location, settings, secret, label, cost, out) }
}

/// Makes a repository.
///
/// # Safety
/// As the header asks for.
unsafe fn init(
    location: *const c_char,
    settings: *mut mdna_s3_settings,
    secret: *const mdna_secret,
    label: *const c_char,
    cost: *const mdna_key_cost,
    out: *mut *mut mdna_repository,
) -> mdna_status {
    // SAFETY: as the caller says.
    let (location, settings, secret, label, cost, out) = unsafe {
        (
            path(location, "location"),
            opt_borrow(settings),
            self::secret(secret),
            opt_text(label, "label"),
            self::cost(cost),
            self::out(out, "out"),
        )
    };
    call(|| {
        let (location, secret, label, cost, out) = (location?, secret?, label?.unwrap_or_default(), cost?, out?);
        let repository = Repository::init(destination(location, settings)?, &secret, label, cost)?;
        out.write(boxed(mdna_repository { state: State::new(), repository }));
        Ok(())
    })
}

/// Opens the repository at `location`: a folder, `"s3://BUCKET/PREFIX"` as for `mdna_repository_init()`, or a sealed
/// file to read from. `secret` may be NULL for one that hides nothing. Free the handle with `mdna_repository_close()`.
///
/// Fails with `MDNA_INVALID_ARGUMENT`, `MDNA_IO`, `MDNA_NOT_A_REPOSITORY`, `MDNA_WRONG_SECRET`, `MDNA_SECRET_NEEDED`,
/// `MDNA_NO_KEY_SLOT`, `MDNA_DAMAGED_KEY_SLOT`, `MDNA_HOSTILE_KEY_SLOT` and `MDNA_NEWER_FORMAT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_repository_open(
    location: *const c_char,
    secret: *const mdna_secret,
    out: *mut *mut mdna_repository,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of texts, structures and outputs.
    unsafe { open(location, ptr::null_mut(), secret, out) }
}

/// As `mdna_repository_open()`, with settings for a bucket instead of the variables of the process. `settings` and
/// `secret` may be NULL.
///
/// Fails as `mdna_repository_open()`, and with `MDNA_CANCELLED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_repository_open_with(
    location: *const c_char,
    settings: *mut mdna_s3_settings,
    secret: *const mdna_secret,
    out: *mut *mut mdna_repository,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts, structures and outputs.
    unsafe { open(location, settings, secret, out) }
}

/// Opens a repository.
///
/// # Safety
/// As the header asks for.
unsafe fn open(
    location: *const c_char,
    settings: *mut mdna_s3_settings,
    secret: *const mdna_secret,
    out: *mut *mut mdna_repository,
) -> mdna_status {
    // SAFETY: as the caller says.
    let (location, settings, secret, out) =
        unsafe { (path(location, "location"), opt_borrow(settings), self::secret(secret), self::out(out, "out")) };
    call(|| {
        let (location, secret, out) = (location?, secret?, out?);
        let repository = Repository::open(destination(location, settings)?, &secret)?;
        out.write(boxed(mdna_repository { state: State::new(), repository }));
        Ok(())
    })
}

/// Closes a repository and wipes its keys from memory. `repository` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_repository_close(repository: *mut mdna_repository) {
    // SAFETY: the caller keeps what the header says of freeing handles.
    unsafe { free_boxed(repository) };
}

/// What a repository is: a JSON object with `id`, `location`, and `plain`, true when it hides nothing. Free it with
/// `mdna_string_free()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_repository_describe(
    repository: *mut mdna_repository,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and outputs.
    let (repository, out) = unsafe { (borrow(repository, "repository"), out(out_json, "out_json")) };
    call_on(repository, |repository: &mdna_repository| {
        let repository = &repository.repository;
        out?.json(&object([
            ("id", repository.id().to_string().into()),
            ("location", repository.location().into()),
            ("plain", repository.is_plain().into()),
        ]));
        Ok(())
    })
}

/// Makes a backup of a vault as it is now, while others use it; only what the repository does not have is stored.
/// `label` may be NULL. With `dry_run` nothing is stored. With `accept_older` it goes on when the repository is older
/// than the vault knows. `progress` may be NULL and `user_data` may be NULL. `out_json` gets an object with `name`
/// (null after a dry run), `sequence`, `root`, `bytes`, `read`, `new_blobs`, `new_bytes`, `known_blobs`, `written`, to
/// be freed with `mdna_string_free()`, and may be NULL.
///
/// Fails with `MDNA_ROLLED_BACK`, `MDNA_LOCKED`, `MDNA_LOCK_LAPSED` when the machine slept too long meanwhile,
/// `MDNA_CANCELLED`, `MDNA_NO_SPACE`, `MDNA_PERMISSION` and `MDNA_IO`. After a failure there is no backup more, and what
/// was stored is made use of by the next one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_backup_create(
    repository: *mut mdna_repository,
    vault: *mut mdna_vault,
    label: *const c_char,
    dry_run: bool,
    accept_older: bool,
    progress: mdna_progress_fn,
    user_data: *mut c_void,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (repository, vault, label, out) = unsafe {
        (borrow(repository, "repository"), borrow(vault, "vault"), opt_text(label, "label"), opt_out(out_json))
    };
    call_on(repository, |repository: &mdna_repository| {
        let (vault, label): (&mdna_vault, _) = (vault?, label?.unwrap_or_default().to_owned());
        vault.state().check()?;
        let options = CreateOptions { label, dry_run, accept_older };
        let mut progress = Progress::new(progress, user_data, c"storing");
        let created = repository.repository.create(&vault.vault, &options, &mut progress)?;
        json_if_wanted(out, &created.to_value());
        Ok(())
    })
}

pub(crate) fn faults(faults: &[Fault]) -> Value {
    faults
        .iter()
        .map(|fault| object([("subject", fault.subject.as_str().into()), ("problem", fault.problem.as_str().into())]))
        .collect()
}

fn backups(backups: &[Backup]) -> Value {
    backups.iter().map(Backup::to_value).collect()
}

/// All backups of a repository, oldest first: a JSON object with `backups`, each with `name`, `label`, `created`,
/// `vault_id`, `sequence`, `root`, `bytes`, and `faults`, what is wrong with manifests that cannot be read, each with
/// `subject` and `problem`. Free it with `mdna_string_free()`.
///
/// Fails with `MDNA_IO`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_backup_list(repository: *mut mdna_repository, out_json: *mut mdna_string) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and outputs.
    let (repository, out) = unsafe { (borrow(repository, "repository"), out(out_json, "out_json")) };
    call_on(repository, |repository: &mdna_repository| {
        let out = out?;
        let (found, bad) = repository.repository.backups()?;
        out.json(&object([("backups", backups(&found)), ("faults", faults(&bad))]));
        Ok(())
    })
}

/// Makes the vault of a backup again in the directory `to`, which must be new or empty, with the same id, log and root.
/// `backup` is `"latest"`, a label, or the beginning of a name, at least four characters. Of several backups with one
/// label the newest is taken; a beginning that fits several is `MDNA_AMBIGUOUS`. `progress` may be NULL and `user_data`
/// may be NULL. `out_json` gets an object with `name`, `sequence`, `root` and `bytes`, to be freed with
/// `mdna_string_free()`, and may be NULL.
///
/// Fails with `MDNA_NOT_FOUND`, `MDNA_AMBIGUOUS`, `MDNA_OCCUPIED`, `MDNA_CORRUPT`, `MDNA_BACKUP_MISSING`,
/// `MDNA_CANCELLED` and `MDNA_IO`; then there is no directory `to`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_backup_restore(
    repository: *mut mdna_repository,
    backup: *const c_char,
    to: *const c_char,
    progress: mdna_progress_fn,
    user_data: *mut c_void,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (repository, wanted, to, out) =
        unsafe { (borrow(repository, "repository"), text(backup, "backup"), path(to, "to"), opt_out(out_json)) };
    call_on(repository, |repository: &mdna_repository| {
        let mut progress = Progress::new(progress, user_data, c"restoring");
        let restored = repository.repository.restore(wanted?, to?, &mut progress)?;
        json_if_wanted(out, &restored.to_value());
        Ok(())
    })
}

/// Writes a part of a backup as plain files into the directory `to`, which must be new or empty. `part` is the name of
/// a collection, the id of a record, `"artifacts"` or `"artifacts/PATH"`. `progress` may be NULL and `user_data` may be
/// NULL. `out_json` gets an object with `name`, `files` and `left_out`, to be freed with `mdna_string_free()`, and may
/// be NULL.
///
/// Fails as `mdna_backup_restore()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_backup_extract(
    repository: *mut mdna_repository,
    backup: *const c_char,
    part: *const c_char,
    to: *const c_char,
    progress: mdna_progress_fn,
    user_data: *mut c_void,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (repository, wanted, part, to, out) = unsafe {
        (
            borrow(repository, "repository"),
            text(backup, "backup"),
            text(part, "part"),
            path(to, "to"),
            opt_out(out_json),
        )
    };
    call_on(repository, |repository: &mdna_repository| {
        let mut progress = Progress::new(progress, user_data, c"restoring");
        let extracted = repository.repository.extract(wanted?, &Part::parse(part?), to?, &mut progress)?;
        json_if_wanted(out, &extracted.to_value());
        Ok(())
    })
}

/// Deletes backups; what only they needed stays until the next prune. `backups_json` is a list of texts, each as for
/// `mdna_backup_restore()`: of several backups with one label the newest is deleted. With `dry_run` nothing is deleted.
/// `out_json` gets the list of those that were or would be deleted, to be freed with `mdna_string_free()`, and may be
/// NULL.
///
/// Fails with `MDNA_NOT_FOUND` and `MDNA_AMBIGUOUS`; then nothing is deleted.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_backup_delete(
    repository: *mut mdna_repository,
    backups_json: *const c_char,
    dry_run: bool,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (repository, given, wanted, out) = unsafe {
        (
            borrow(repository, "repository"),
            text(backups_json, "backups_json"),
            texts(backups_json, "backups_json"),
            opt_out(out_json),
        )
    };
    call_on(repository, |repository: &mdna_repository| {
        given?;
        let deleted = repository.repository.delete(&wanted?, dry_run)?;
        json_if_wanted(out, &backups(&deleted));
        Ok(())
    })
}

/// Deletes the backups of each vault that no rule of `retention` keeps. With `dry_run` nothing is deleted. `out_json`
/// gets the list of those that were or would be deleted, to be freed with `mdna_string_free()`, and may be NULL.
///
/// Fails with `MDNA_INVALID_ARGUMENT` for a retention without a rule.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_backup_forget(
    repository: *mut mdna_repository,
    retention: *const mdna_retention,
    dry_run: bool,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, structures and outputs.
    let (repository, given, out) = unsafe { (borrow(repository, "repository"), options(retention), opt_out(out_json)) };
    call_on(repository, |repository: &mdna_repository| {
        let given = given?.ok_or_else(|| null("retention"))?;
        let policy = Retention {
            last: given.last,
            hourly: given.hourly,
            daily: given.daily,
            weekly: given.weekly,
            monthly: given.monthly,
            yearly: given.yearly,
        };
        let deleted = repository.repository.forget(&policy, dry_run)?;
        json_if_wanted(out, &backups(&deleted));
        Ok(())
    })
}

/// Removes what no backup needs any more, `grace_s` seconds after it was first seen to be needed by none; a day (86400)
/// is what is recommended. With `dry_run` nothing is changed. `progress` may be NULL and `user_data` may be NULL.
/// `out_json` gets an object with `removed`, `removed_bytes`, `marked`, `marked_bytes`, `repacked`, `kept_again`,
/// `kept`, `kept_bytes`, to be freed with `mdna_string_free()`, and may be NULL.
///
/// Fails with `MDNA_LOCKED`, with `MDNA_CORRUPT` when something cannot be read that says what is needed, and with
/// `MDNA_CANCELLED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_repository_prune(
    repository: *mut mdna_repository,
    dry_run: bool,
    grace_s: u64,
    progress: mdna_progress_fn,
    user_data: *mut c_void,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and outputs.
    let (repository, out) = unsafe { (borrow(repository, "repository"), opt_out(out_json)) };
    call_on(repository, |repository: &mdna_repository| {
        let mut progress = Progress::new(progress, user_data, c"repacking");
        let pruned = repository.repository.prune(&PruneOptions { dry_run, grace: grace_s }, &mut progress)?;
        json_if_wanted(out, &pruned.to_value());
        Ok(())
    })
}

/// Checks a repository: that all files are what was written, and that every backup is whole. `sample_percent` says how
/// many of a hundred packs are read, chosen anew each time; 0 reads all. `vault_path`, the directory of a vault that
/// was backed up here and knows what must be there, may be NULL. `progress` may be NULL and `user_data` may be NULL.
/// Damage is no failure, but in the report: a JSON object with `clean`, `packs`, `read`, `bytes`, `faults` and
/// `backups`: `packs` are there, of which `read` were read, which have `bytes`; each of `faults` has `subject` and
/// `problem`; each of `backups` has `name`, `whole`, and `problem`, why it is not whole, or null. Free it with
/// `mdna_string_free()`.
///
/// Fails with `MDNA_INVALID_ARGUMENT` for more than 100 percent, `MDNA_CANCELLED` and `MDNA_IO`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_repository_verify(
    repository: *mut mdna_repository,
    sample_percent: u32,
    vault_path: *const c_char,
    progress: mdna_progress_fn,
    user_data: *mut c_void,
    out_report_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (repository, vault, out) = unsafe {
        (borrow(repository, "repository"), opt_path(vault_path, "vault_path"), out(out_report_json, "out_report_json"))
    };
    call_on(repository, |repository: &mdna_repository| {
        let (vault, out) = (vault?, out?);
        let percent = u8::try_from(sample_percent).ok().filter(|percent| *percent <= 100);
        let percent = percent.ok_or_else(|| Failure::argument("sample_percent", "give 0 to 100"))?;
        let options = VerifyOptions { sample: (percent > 0).then_some(percent), vault };
        let mut progress = Progress::new(progress, user_data, c"verifying");
        out.json(&repository.repository.verify(&options, &mut progress)?.to_value());
        Ok(())
    })
}

/// Saves what is whole of a damaged repository. `progress` may be NULL and `user_data` may be NULL. `out_json` gets an
/// object with `removed`, files that could not be read and were removed, and `salvaged`, a number of blobs, to be freed
/// with `mdna_string_free()`, and may be NULL.
///
/// Fails with `MDNA_LOCKED`, `MDNA_CANCELLED` and `MDNA_IO`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_repository_repair(
    repository: *mut mdna_repository,
    progress: mdna_progress_fn,
    user_data: *mut c_void,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and outputs.
    let (repository, out) = unsafe { (borrow(repository, "repository"), opt_out(out_json)) };
    call_on(repository, |repository: &mdna_repository| {
        let repaired = repository.repository.repair(&mut Progress::new(progress, user_data, c"verifying"))?;
        let report = object([("removed", repaired.removed.into()), ("salvaged", repaired.salvaged.into())]);
        json_if_wanted(out, &report);
        Ok(())
    })
}

/// Writes a backup into one sealed file to hand over, which `secret` opens; `secret` may be NULL for one that hides
/// nothing, and `cost` may be NULL. `backup` is as for `mdna_backup_restore()`. `progress` may be NULL and `user_data`
/// may be NULL. `out_json` gets the backup as in `mdna_backup_list()`, to be freed with `mdna_string_free()`, and may
/// be NULL.
///
/// Fails with `MDNA_NOT_FOUND`, `MDNA_AMBIGUOUS`, `MDNA_CORRUPT`, `MDNA_CANCELLED` and `MDNA_IO`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_backup_export(
    repository: *mut mdna_repository,
    backup: *const c_char,
    file: *const c_char,
    secret: *const mdna_secret,
    cost: *const mdna_key_cost,
    progress: mdna_progress_fn,
    user_data: *mut c_void,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts, structures and outputs.
    let (repository, wanted, file, secret, cost, out) = unsafe {
        (
            borrow(repository, "repository"),
            text(backup, "backup"),
            path(file, "file"),
            self::secret(secret),
            self::cost(cost),
            opt_out(out_json),
        )
    };
    call_on(repository, |repository: &mdna_repository| {
        let (wanted, file, secret, cost) = (wanted?, file?, secret?, cost?);
        let mut progress = Progress::new(progress, user_data, c"copying");
        let exported = repository.repository.export(wanted, file, (&secret, cost), &mut progress)?;
        json_if_wanted(out, &exported.to_value());
        Ok(())
    })
}

/// Takes the backups of a sealed file into a repository; those that it has are left out. `secret` opens the file, and
/// may be NULL. `progress` may be NULL and `user_data` may be NULL. `out_json` gets the list of those that were taken,
/// to be freed with `mdna_string_free()`, and may be NULL.
///
/// Fails as `mdna_repository_open()` does, and with `MDNA_CORRUPT`, `MDNA_CANCELLED` and `MDNA_IO`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_backup_import(
    repository: *mut mdna_repository,
    file: *const c_char,
    secret: *const mdna_secret,
    progress: mdna_progress_fn,
    user_data: *mut c_void,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts, structures and outputs.
    let (repository, file, secret, out) =
        unsafe { (borrow(repository, "repository"), path(file, "file"), self::secret(secret), opt_out(out_json)) };
    call_on(repository, |repository: &mdna_repository| {
        let (file, secret) = (file?, secret?);
        let mut progress = Progress::new(progress, user_data, c"copying");
        let taken = repository.repository.import(file, &secret, &mut progress)?;
        json_if_wanted(out, &backups(&taken));
        Ok(())
    })
}
