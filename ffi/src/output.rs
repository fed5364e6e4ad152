//! What goes to C. An entry asks for the places of its outputs before it begins, and writes them only when it is done.

use std::ptr::NonNull;

use mirrordna::record::{Value, checksum};

use crate::error::{Failure, Result};
use crate::handle::null;
use crate::status::mdna_status;
use crate::string::mdna_string;

/// A place for an output of C.
pub(crate) struct Out<T>(NonNull<T>);

/// The place that a pointer names.
///
/// # Safety
/// `pointer` is NULL or points to room for a `T` that nobody else uses during the call.
pub(crate) unsafe fn out<T>(pointer: *mut T, name: &str) -> Result<Out<T>> {
    NonNull::new(pointer).map(Out).ok_or_else(|| null(name))
}

/// The place that a pointer names; none for NULL.
///
/// # Safety
/// As [`out`].
pub(crate) unsafe fn opt_out<T>(pointer: *mut T) -> Option<Out<T>> {
    NonNull::new(pointer).map(Out)
}

impl<T> Out<T> {
    /// Writes the output.
    pub(crate) fn write(self, value: T) {
        // SAFETY: whoever made the place said that there is room and nobody else uses it. What was there is C's, so it
        // is not dropped.
        unsafe { self.0.write(value) };
    }
}

impl Out<mdna_string> {
    /// Writes a text.
    pub(crate) fn text(self, text: &str) {
        self.bytes(text.as_bytes().to_vec());
    }

    /// Writes a value as canonical JSON.
    pub(crate) fn json(self, value: &Value) {
        self.bytes(checksum::canonical(value));
    }

    /// Writes bytes of text.
    pub(crate) fn bytes(self, bytes: Vec<u8>) {
        self.write(mdna_string::new(bytes));
    }
}

/// What is written into a text.
pub(crate) fn written(write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    write(&mut text).map_err(|error| Failure::new(mdna_status::MDNA_IO, error.to_string()))?;
    Ok(text)
}

/// Writes a value as canonical JSON where C wants to have it.
pub(crate) fn json_if_wanted(out: Option<Out<mdna_string>>, value: &Value) {
    if let Some(out) = out {
        out.json(value);
    }
}

/// Writes a text where C wants to have it.
pub(crate) fn text_if_wanted(out: Option<Out<mdna_string>>, text: &str) {
    if let Some(out) = out {
        out.text(text);
    }
}
