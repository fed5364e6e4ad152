//! Cursors: results that are read one by one, whatever their number.

use std::sync::{Mutex, PoisonError};

use mirrordna::record::{Value, checksum};
use mirrordna::vault::Record;

use crate::error::Result;
use crate::guard::call_on;
use crate::handle::{Boxed, Handle, State, borrow, boxed, free_boxed};
use crate::output::out;
use crate::status::mdna_status;
use crate::string::mdna_string;

type Items = Box<dyn Iterator<Item = Result<Vec<u8>>> + Send>;

/// Results that are read one by one, page by page from the vault, so that their number does not matter. Threads that
/// share a cursor get each result once. It keeps the vault open, and is freed with `mdna_cursor_free()`.
pub struct mdna_cursor {
    state: State,
    /// None at the end.
    items: Mutex<Option<Items>>,
}

impl Handle for mdna_cursor {
    type Ownership = Boxed;

    fn state(&self) -> &State {
        &self.state
    }
}

/// A cursor over JSON texts.
pub(crate) fn of_texts(items: impl Iterator<Item = Result<Vec<u8>>> + Send + 'static) -> *mut mdna_cursor {
    boxed(mdna_cursor { state: State::new(), items: Mutex::new(Some(Box::new(items))) })
}

/// A cursor over values.
pub(crate) fn of_values(items: impl Iterator<Item = mirrordna::Result<Value>> + Send + 'static) -> *mut mdna_cursor {
    of_texts(items.map(|item| Ok(checksum::canonical(&item?))))
}

/// A cursor over the canonical JSON of records, as it is stored.
pub(crate) fn of_stored(items: impl Iterator<Item = mirrordna::Result<Vec<u8>>> + Send + 'static) -> *mut mdna_cursor {
    of_texts(items.map(|item| Ok(item?)))
}

/// A cursor over records.
pub(crate) fn of_records(items: impl Iterator<Item = mirrordna::Result<Record>> + Send + 'static) -> *mut mdna_cursor {
    of_texts(items.map(|item| Ok(checksum::canonical(&item?.value))))
}

/// The next result, as JSON text to be freed with `mdna_string_free()`.
///
/// Returns `MDNA_END` when there is none; after a failure, too, there is nothing more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_cursor_next(cursor: *mut mdna_cursor, out_json: *mut mdna_string) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and outputs.
    let (cursor, out) = unsafe { (borrow(cursor, "cursor"), out(out_json, "out_json")) };
    call_on(cursor, |cursor| {
        let out = out?;
        let mut items = cursor.items.lock().unwrap_or_else(PoisonError::into_inner);
        match items.as_mut().and_then(Iterator::next) {
            Some(Ok(json)) => {
                out.bytes(json);
                Ok(mdna_status::MDNA_OK)
            }
            Some(Err(failure)) => {
                *items = None;
                Err(failure)
            }
            None => {
                *items = None;
                Ok(mdna_status::MDNA_END)
            }
        }
    })
}

/// Frees a cursor, whether it was read to its end or not. `cursor` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_cursor_free(cursor: *mut mdna_cursor) {
    // SAFETY: the caller keeps what the header says of freeing handles.
    unsafe { free_boxed(cursor) };
}
