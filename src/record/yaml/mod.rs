//! Reading and writing YAML.
//!
//! The protocol's YAML files are made and read by `PyYAML`, so plain scalars mean here what its `SafeLoader` makes of them:
//! `yes` is true, `012` is ten, `12:30:00` is 45000 and `1e16` is a string. Where a document means something that JSON
//! cannot hold, it is refused:
//!
//! - infinities and NaN, `!!binary`, `!!set`, `!!omap`, and every tag that the protocol does not know;
//! - keys that are not strings. Python would sort such keys by their own order before it turns them into text, so their
//!   checksum would depend on who reads them. The remedy is a pair of quotes;
//! - U+0085, U+2028 and U+2029 as they are (as escapes they are fine): YAML 1.1 breaks lines at them, YAML 1.2 does not.
//!
//! Timestamps stay strings, and so do a lone `=` and a `<<` that is not a key, at which `PyYAML` stops with an error.
//! The last of several equal keys wins; an anchor may be defined again.

mod read;
mod scalar;
mod write;

pub use read::{MAX_COPIED_BYTES, parse};
pub use write::{write, write_members};
