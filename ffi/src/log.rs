//! Log messages of the library, for the log of the program.

use std::ffi::{CString, c_char, c_void};

use mirrordna::observe::{self, Message};
use mirrordna::record::checksum;

use crate::error::c_text;
use crate::guard::{call, guarded};
use crate::input::text;
use crate::status::mdna_status;
use crate::vault::UserData;

/// How grave a log message is.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum mdna_log_level {
    /// Something failed.
    MDNA_LOG_ERROR = 1,
    /// Something is not as it should be.
    MDNA_LOG_WARN = 2,
    /// Something was done.
    MDNA_LOG_INFO = 3,
    /// For those who look for a fault.
    MDNA_LOG_DEBUG = 4,
    /// Everything.
    MDNA_LOG_TRACE = 5,
}

/// Is told of a log message, on whatever thread it is made, perhaps on several at once. `level` is a `mdna_log_level`,
/// `target` the part of the library, such as `"mirrordna::audit"`, `fields_json` an object with what the message is
/// about. The texts stay as long as the callback runs. It must not call the library, and must not leave by `longjmp()`
/// or a C++ exception.
pub type mdna_log_fn = Option<
    unsafe extern "C" fn(
        user_data: *mut c_void,
        level: u32,
        target: *const c_char,
        message: *const c_char,
        fields_json: *const c_char,
    ),
>;

/// Hands the log messages of this process to `callback`. `level` is the least grave level that is handed out (`"off"`,
/// `"error"`, `"warn"`, `"info"`, `"debug"`, `"trace"`), or levels by target with commas between them:
/// `"warn,mirrordna::audit=info"`. A later call replaces level and callback; when it returns, the former callback does
/// not run any more. `callback` may be NULL: then nothing is handed out. `user_data` may be NULL. Private keys and the
/// content of records are in no message.
///
/// Fails with `MDNA_INVALID_ARGUMENT` for a level that is none, and with `MDNA_LOG_IN_USE` when the program has set up
/// the logs of this process in another way.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_log_set(
    level: *const c_char,
    callback: mdna_log_fn,
    user_data: *mut c_void,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of texts.
    let level = unsafe { text(level, "level") };
    call(|| {
        let level = level?;
        let Some(callback) = callback else { return Ok(observe::listen(level, None)?) };
        let user_data = UserData(user_data);
        observe::listen(level, Some(Box::new(move |message: &Message<'_>| tell(callback, user_data, message))))?;
        Ok(())
    })
}

fn tell(
    callback: unsafe extern "C" fn(*mut c_void, u32, *const c_char, *const c_char, *const c_char),
    user_data: UserData,
    message: &Message<'_>,
) {
    let level = match message.level {
        observe::Level::Error => mdna_log_level::MDNA_LOG_ERROR,
        observe::Level::Warn => mdna_log_level::MDNA_LOG_WARN,
        observe::Level::Info => mdna_log_level::MDNA_LOG_INFO,
        observe::Level::Debug => mdna_log_level::MDNA_LOG_DEBUG,
        observe::Level::Trace => mdna_log_level::MDNA_LOG_TRACE,
    };
    let texts = guarded(|| {
        let fields = CString::new(checksum::canonical(message.fields)).unwrap_or_default();
        Ok((c_text(message.target), c_text(message.text), fields))
    });
    // Whoever makes a message goes on without it.
    let Ok((target, text, fields)) = texts else { return };
    // SAFETY: the header asks for a function that can be called with its `user_data` on any thread until it is
    // replaced; the texts outlive the call.
    unsafe { callback(user_data.0, level as u32, target.as_ptr(), text.as_ptr(), fields.as_ptr()) };
}
