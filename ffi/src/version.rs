//! Which library this is.

use std::ffi::{CStr, c_char};

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
const BUILD: &str = concat!(
    "{\"abi\":",
    env!("MDNA_ABI"),
    ",\"target\":\"",
    env!("MDNA_TARGET"),
    "\",\"version\":\"",
    env!("CARGO_PKG_VERSION"),
    "\"}\0"
);

fn text(constant: &'static str) -> *const c_char {
    CStr::from_bytes_with_nul(constant.as_bytes()).unwrap_or_default().as_ptr()
}

/// The version of the library that is loaded, as `"0.1.0"`. `MDNA_VERSION` is that of the header. The text is static.
#[unsafe(no_mangle)]
pub extern "C" fn mdna_version() -> *const c_char {
    text(VERSION)
}

/// The number of the interface that the loaded library has. A program needs a library with the `MDNA_ABI_VERSION` that
/// it was compiled with; the name of the shared library holds it, too.
#[unsafe(no_mangle)]
pub extern "C" fn mdna_abi_version() -> u32 {
    env!("MDNA_ABI").parse().unwrap_or(u32::MAX)
}

/// What the library was built as: a JSON object with `version`, `abi` and `target`. The text is static.
#[unsafe(no_mangle)]
pub extern "C" fn mdna_build_info() -> *const c_char {
    text(BUILD)
}
