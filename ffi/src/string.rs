//! Text that the library hands out.

use std::ffi::c_char;

use zeroize::Zeroize;

use crate::guard::{Injected, may_panic, quiet};

/// Text that the library hands out: UTF-8, with a NUL behind it that is not counted. Do not change it; free it with
/// `mdna_string_free()`.
#[repr(C)]
pub struct mdna_string {
    /// The text; NULL for a structure that holds none.
    pub data: *mut c_char,
    /// Its length in bytes, without the NUL.
    pub len: usize,
}

impl mdna_string {
    const EMPTY: Self = Self { data: std::ptr::null_mut(), len: 0 };

    /// Takes bytes of UTF-8 over.
    pub(crate) fn new(mut bytes: Vec<u8>) -> Self {
        let len = bytes.len();
        // The capacity must be the length, for that is all that is known when it is freed. What `into_boxed_slice` may
        // move is no secret: secrets are made with the capacity that they need.
        bytes.reserve_exact(1);
        bytes.push(0);
        let data = Box::into_raw(bytes.into_boxed_slice());
        Self { data: data.cast::<c_char>(), len }
    }
}

/// Frees the text in a structure, which is wiped before, and sets the structure to hold none, so that freeing it twice
/// does no harm. `string` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_string_free(string: *mut mdna_string) {
    quiet(|| {
        // SAFETY: the header asks for NULL or a structure that the library filled, or that was set to zero.
        let Some(string) = (unsafe { string.as_mut() }) else { return };
        let text = std::mem::replace(string, mdna_string::EMPTY);
        if text.data.is_null() {
            return;
        }
        let bytes = std::ptr::slice_from_raw_parts_mut(text.data.cast::<u8>(), text.len + 1);
        // SAFETY: it came from `mdna_string::new`, which made a box of this length, and nobody else has it any more.
        let mut bytes = unsafe { Box::from_raw(bytes) };
        bytes.zeroize();
        may_panic(Injected::Work);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_ends_in_nul_and_is_freed_once() {
        let mut string = mdna_string::new(b"abc".to_vec());
        // SAFETY: it was just made.
        assert_eq!(unsafe { std::ffi::CStr::from_ptr(string.data) }, c"abc");
        for _ in 0..2 {
            // SAFETY: it was made by the library, and the first call sets it to hold none.
            unsafe { mdna_string_free(&raw mut string) };
            assert!(string.data.is_null() && string.len == 0);
        }
        // SAFETY: NULL is allowed.
        unsafe { mdna_string_free(std::ptr::null_mut()) };
    }
}
