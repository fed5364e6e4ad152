//! A panic in any entry becomes `MDNA_INTERNAL` and poisons the handle that it was made on; others go on.
//!
//! The functions are called here as C calls them, through their addresses, with zeros for all arguments: an entry that panics never
//! looks at them.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::ptr;

use mirrordna_ffi::*;

/// Name and address of functions.
macro_rules! entries {
    ($($name:ident),+ $(,)?) => { [$((stringify!($name), $name as *const ())),+] };
}

/// All functions that give a status.
fn fallible() -> Vec<(&'static str, *const ())> {
    entries![ENTRIES].to_vec()
}

type Entry = unsafe extern "C" fn(usize, usize, usize, usize, usize, usize, usize, usize) -> i32;

#[test]
fn a_panic_in_any_entry_becomes_a_status() {
    for (name, address) in fallible() {
        // SAFETY: all arguments of all entries are integers and pointers, of which these are as many as any has, or more; and the entry
        // panics before it looks at them.
        let entry: Entry = unsafe { std::mem::transmute(address) };
        inject_panic(true);
        // SAFETY: as above.
        let status = unsafe { entry(0, 0, 0, 0, 0, 0, 0, 0) };
        inject_panic(false);
        assert!(
            status == mdna_status::MDNA_INTERNAL as i32 || status == mdna_status::MDNA_NULL_POINTER as i32,
            "{name}: {status}"
        );
    }
}
