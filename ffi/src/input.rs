//! What comes from C: texts, bytes, JSON, paths, structures with a version.

use std::ffi::{CStr, OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use mirrordna::record::{Kind, RecordError, Value, json};

use crate::error::{Failure, Result};
use crate::handle::null;
use crate::status::mdna_status::{MDNA_INVALID_UTF8, MDNA_UNSUPPORTED_VERSION};

/// A text.
///
/// # Safety
/// `pointer` is NULL or points to bytes that end in a NUL and stay as they are during the call.
pub(crate) unsafe fn text<'a>(pointer: *const c_char, name: &str) -> Result<&'a str> {
    // SAFETY: as the caller says.
    unsafe { opt_text(pointer, name) }?.ok_or_else(|| null(name))
}

/// A text, or none for NULL.
///
/// # Safety
/// As [`text`].
pub(crate) unsafe fn opt_text<'a>(pointer: *const c_char, name: &str) -> Result<Option<&'a str>> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: as the caller says.
    let bytes = unsafe { CStr::from_ptr(pointer) }.to_bytes();
    utf8(bytes, name).map(Some)
}

fn utf8<'a>(bytes: &'a [u8], name: &str) -> Result<&'a str> {
    std::str::from_utf8(bytes).map_err(|error| {
        Failure::new(MDNA_INVALID_UTF8, format!("{name} is not UTF-8: its byte {} is wrong", error.valid_up_to()))
    })
}

/// A path, which need not be UTF-8.
///
/// # Safety
/// As [`text`].
pub(crate) unsafe fn path<'a>(pointer: *const c_char, name: &str) -> Result<&'a Path> {
    if pointer.is_null() {
        return Err(null(name));
    }
    // SAFETY: as the caller says.
    let bytes = unsafe { CStr::from_ptr(pointer) }.to_bytes();
    if bytes.is_empty() {
        return Err(Failure::argument(name, "a path is not empty"));
    }
    Ok(Path::new(OsStr::from_bytes(bytes)))
}

/// A path, or none for NULL.
///
/// # Safety
/// As [`text`].
pub(crate) unsafe fn opt_path<'a>(pointer: *const c_char, name: &str) -> Result<Option<&'a Path>> {
    // SAFETY: as the caller says.
    if pointer.is_null() { Ok(None) } else { unsafe { path(pointer, name) }.map(Some) }
}

/// Bytes. NULL is no bytes when `len` is 0.
///
/// # Safety
/// `pointer` is NULL or points to `len` bytes that stay as they are during the call.
pub(crate) unsafe fn bytes<'a>(pointer: *const u8, len: usize, name: &str) -> Result<&'a [u8]> {
    if isize::try_from(len).is_err() {
        return Err(Failure::argument(name, format!("nothing has {len} bytes")));
    }
    match (pointer.is_null(), len) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(null(name)),
        // SAFETY: as the caller says, and it was seen that the length can be one.
        (false, _) => Ok(unsafe { std::slice::from_raw_parts(pointer, len) }),
    }
}

/// A JSON value.
///
/// # Safety
/// As [`text`].
pub(crate) unsafe fn value(pointer: *const c_char, name: &str) -> Result<Value> {
    // SAFETY: as the caller says.
    parse(unsafe { text(pointer, name) }?)
}

/// A JSON value, or none for NULL.
///
/// # Safety
/// As [`text`].
pub(crate) unsafe fn opt_value(pointer: *const c_char, name: &str) -> Result<Option<Value>> {
    // SAFETY: as the caller says.
    unsafe { opt_text(pointer, name) }?.map(parse).transpose()
}

fn parse(text: &str) -> Result<Value> {
    crate::guard::guarded(|| Ok(json::parse(text.as_bytes()).map_err(RecordError::from)?))
}

/// A JSON list of texts; none for NULL.
///
/// # Safety
/// As [`text`].
pub(crate) unsafe fn texts(pointer: *const c_char, name: &str) -> Result<Vec<String>> {
    // SAFETY: as the caller says.
    let Some(value) = (unsafe { opt_value(pointer, name) })? else { return Ok(Vec::new()) };
    let items = value
        .as_array()
        .and_then(|items| items.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>());
    items.ok_or_else(|| Failure::argument(name, "it must be a JSON list of texts"))
}

/// The kind of record of a collection.
///
/// # Safety
/// As [`text`].
pub(crate) unsafe fn kind(pointer: *const c_char, name: &str) -> Result<Kind> {
    // SAFETY: as the caller says.
    let collection = unsafe { text(pointer, name) }?;
    Kind::from_collection(collection).ok_or_else(|| {
        Failure::from(mirrordna::Error::UnknownCollection { name: collection.to_owned() }).about(collection)
    })
}

/// A truth value of a structure. In C anything can stand there.
pub(crate) fn truth(value: u8, name: &str) -> Result<bool> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(Failure::argument(name, format!("{other} is neither 0 nor 1"))),
    }
}

/// A structure that begins with its version.
pub(crate) trait Versioned: Copy {
    /// The newest version that is known.
    const VERSION: u32;
    /// Its name in C.
    const NAME: &'static str;

    /// The version that stands in it.
    fn version(&self) -> u32;
}

/// A structure; none for NULL.
///
/// # Safety
/// `pointer` is NULL or points to a structure of the version that stands in it.
pub(crate) unsafe fn options<T: Versioned>(pointer: *const T) -> Result<Option<T>> {
    if pointer.is_null() {
        return Ok(None);
    }
    // The version first, and the rest when it is known to be there.
    // SAFETY: every version begins with a `uint32_t`.
    let version = unsafe { pointer.cast::<u32>().read() };
    if version != T::VERSION {
        let (name, known) = (T::NAME, T::VERSION);
        return Err(Failure::new(
            MDNA_UNSUPPORTED_VERSION,
            format!(
                "{name} has version {version}, and this library knows version {known}; fill it with its _INIT macro"
            ),
        ));
    }
    // SAFETY: as the caller says, and it has the version that is known here.
    let options = unsafe { pointer.read() };
    debug_assert_eq!(options.version(), version);
    Ok(Some(options))
}
