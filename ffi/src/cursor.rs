//! Cursors: results that are read one by one, whatever their number.

use std::sync::Mutex;

use mirrordna::record::{Value, checksum};
use mirrordna::vault::{Record, Records};

use crate::error::{Failure, Result};
use crate::guard::call_on;
use crate::handle::{Boxed, Handle, State, borrow, boxed, free_boxed, locked};
use crate::output::out;
use crate::status::mdna_status;
use crate::string::mdna_string;

/// What a cursor reads.
enum Items {
    Texts(Box<dyn Iterator<Item = Result<Vec<u8>>> + Send>),
    /// Records that fit a filter: where these stand can be told.
    Listing(Records),
}

impl Items {
    fn next(&mut self) -> Option<Result<Vec<u8>>> {
        match self {
            Self::Texts(texts) => texts.next(),
            Self::Listing(records) => records.next_text().map(|text| Ok(text?)),
        }
    }
}

struct Reading {
    items: Items,
    ended: bool,
}

/// Results that are read one by one, page by page from the vault, so that their number does not matter. Threads that
/// share a cursor get each result once. It keeps the vault open, and is freed with `mdna_cursor_free()`.
pub struct mdna_cursor {
    state: State,
    reading: Mutex<Reading>,
}

impl Handle for mdna_cursor {
    type Ownership = Boxed;

    fn state(&self) -> &State {
        &self.state
    }
}

fn of_items(items: Items) -> *mut mdna_cursor {
    boxed(mdna_cursor { state: State::new(), reading: Mutex::new(Reading { items, ended: false }) })
}

/// A cursor over JSON texts.
pub(crate) fn of_texts(items: impl Iterator<Item = Result<Vec<u8>>> + Send + 'static) -> *mut mdna_cursor {
    of_items(Items::Texts(Box::new(items)))
}

/// A cursor over records that fit a filter.
pub(crate) fn of_listing(records: Records) -> *mut mdna_cursor {
    of_items(Items::Listing(records))
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
        let mut reading = locked(cursor.reading.lock())?;
        let next = if reading.ended { None } else { reading.items.next() };
        reading.ended = !matches!(next, Some(Ok(_)));
        match next.transpose()? {
            Some(json) => {
                out.bytes(json);
                Ok(mdna_status::MDNA_OK)
            }
            None => Ok(mdna_status::MDNA_END),
        }
    })
}

/// Where a listing of records stands, as text that means nothing to anybody else: a filter with it as `after` goes on
/// behind the records that were read, in this process or another one. It is empty before the first one. That it comes
/// from a listing of another collection, order or vault is not noticed, and leads elsewhere. Free it with
/// `mdna_string_free()`.
///
/// Fails with `MDNA_INVALID_ARGUMENT` for a cursor that no filter was given for: of versions, events, files and what a
/// search found.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_cursor_position(cursor: *mut mdna_cursor, out_position: *mut mdna_string) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and outputs.
    let (cursor, out) = unsafe { (borrow(cursor, "cursor"), out(out_position, "out_position")) };
    call_on(cursor, |cursor| {
        let out = out?;
        let reading = locked(cursor.reading.lock())?;
        let Items::Listing(records) = &reading.items else {
            return Err(Failure::argument("cursor", "what it reads is no listing of records with a filter".to_owned()));
        };
        out.text(&records.position().map(|position| position.to_string()).unwrap_or_default());
        Ok(())
    })
}

/// Frees a cursor, whether it was read to its end or not. `cursor` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_cursor_free(cursor: *mut mdna_cursor) {
    // SAFETY: the caller keeps what the header says of freeing handles.
    unsafe { free_boxed(cursor) };
}
