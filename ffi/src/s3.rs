//! How a bucket is reached: what the variables `AWS_*` say, and how long is waited.

use std::ffi::c_char;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mirrordna_s3::{Limits, Settings};

use crate::error::Result;
use crate::guard::{call, call_on};
use crate::handle::{Boxed, Handle, State, borrow, boxed, free_boxed, locked, null};
use crate::input::{Versioned, opt_text, options, text};
use crate::output::out;
use crate::status::mdna_status;

/// How buckets are reached. A repository that is made or opened with it keeps what it says then, but for
/// `mdna_s3_settings_cancel()`. It is freed with `mdna_s3_settings_free()`, at any time.
pub struct mdna_s3_settings {
    state: State,
    settings: Mutex<Settings>,
    cancelled: Arc<AtomicBool>,
}

impl Handle for mdna_s3_settings {
    type Ownership = Boxed;

    fn state(&self) -> &State {
        &self.state
    }
}

impl mdna_s3_settings {
    /// What it says now.
    pub(crate) fn get(&self) -> Result<Settings> {
        self.state.check()?;
        Ok(locked(self.settings.lock())?.clone())
    }
}

/// How long is waited for a bucket. Fill it with `MDNA_S3_LIMITS_INIT`, then change what is to be different; 0 is what
/// is recommended.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct mdna_s3_limits {
    /// `MDNA_S3_LIMITS_VERSION`.
    pub version: u32,
    /// What a request may take, beside the time for what it carries, in milliseconds: 30,000.
    pub request_ms: u32,
    /// Bytes a second that a request carries at least; slower ones are given up: 32,768.
    pub rate: u32,
    /// How long something is tried again, from its first failure on, in milliseconds: 120,000. Where there is no server,
    /// or it refuses connections, three attempts are made.
    pub retries_ms: u32,
    /// The pause before the second attempt, in milliseconds; it doubles from one to the next: 200.
    pub pause_ms: u32,
    /// The longest pause, in milliseconds: 10,000.
    pub longest_pause_ms: u32,
}

/// The version of `mdna_s3_limits` in this header.
pub const MDNA_S3_LIMITS_VERSION: u32 = 1;

impl Versioned for mdna_s3_limits {
    const VERSION: u32 = MDNA_S3_LIMITS_VERSION;
    const NAME: &'static str = "mdna_s3_limits";

    fn version(&self) -> u32 {
        self.version
    }
}

/// Makes settings for buckets: those that the variables `AWS_*` of the process hold now (see `mdna_repository_init()`),
/// or, with `from_environment` false, none. Free them with `mdna_s3_settings_free()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_s3_settings_new(from_environment: bool, out: *mut *mut mdna_s3_settings) -> mdna_status {
    // SAFETY: the caller keeps what the header says of outputs.
    let out = unsafe { self::out(out, "out") };
    call(|| {
        let out = out?;
        let cancelled = Arc::new(AtomicBool::new(false));
        let settings =
            if from_environment { Settings::from_env() } else { Settings::from_variables::<String, String>([]) };
        let asked = Arc::clone(&cancelled);
        let settings = Mutex::new(settings.stopped_when(move || asked.load(Ordering::Relaxed)));
        out.write(boxed(mdna_s3_settings { state: State::new(), settings, cancelled }));
        Ok(())
    })
}

/// Frees settings. Repositories that were opened with them go on. `settings` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_s3_settings_free(settings: *mut mdna_s3_settings) {
    // SAFETY: the caller keeps what the header says of freeing handles.
    unsafe { free_boxed(settings) };
}

/// Sets what a variable says for repositories that are opened from now on: `name` is `"AWS_ACCESS_KEY_ID"` or another one
/// of `mdna_repository_init()`. `value` may be NULL: then it says nothing.
///
/// Fails with `MDNA_INVALID_ARGUMENT` for a name that says nothing of buckets; the message has all that do. What a value
/// is good for is told when it is used.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_s3_settings_set(
    settings: *mut mdna_s3_settings,
    name: *const c_char,
    value: *const c_char,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and texts.
    let (settings, name, value) =
        unsafe { (borrow(settings, "settings"), text(name, "name"), opt_text(value, "value")) };
    call_on(settings, |settings: &mdna_s3_settings| {
        let (name, value) = (name?, value?);
        Ok(locked(settings.settings.lock())?.set(name, value.unwrap_or_default())?)
    })
}

/// Sets how long repositories wait that are opened from now on.
///
/// Fails with `MDNA_UNSUPPORTED_VERSION`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_s3_settings_limit(
    settings: *mut mdna_s3_settings,
    limits: *const mdna_s3_limits,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and structures.
    let (settings, limits) = unsafe { (borrow(settings, "settings"), options(limits)) };
    call_on(settings, |settings: &mdna_s3_settings| {
        let given = limits?.ok_or_else(|| null("limits"))?;
        let usual = Limits::default();
        let time = |given: u32, usual| if given == 0 { usual } else { Duration::from_millis(given.into()) };
        let limits = Limits {
            request: time(given.request_ms, usual.request),
            rate: if given.rate == 0 { usual.rate } else { given.rate.into() },
            retries: time(given.retries_ms, usual.retries),
            pause: time(given.pause_ms, usual.pause),
            longest_pause: time(given.longest_pause_ms, usual.longest_pause),
        };
        let mut settings = locked(settings.settings.lock())?;
        *settings = settings.clone().with_limits(limits);
        Ok(())
    })
}

/// Stops, within a moment, what is under way with repositories that were made or opened with these settings, or are
/// about to be: it ends with `MDNA_CANCELLED`, also before progress is told. There is no way back: the next attempt
/// needs new settings, and opens the repository again. Any thread may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_s3_settings_cancel(settings: *mut mdna_s3_settings) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles.
    let settings = unsafe { borrow(settings, "settings") };
    call_on(settings, |settings: &mdna_s3_settings| {
        settings.cancelled.store(true, Ordering::Relaxed);
        Ok(())
    })
}
