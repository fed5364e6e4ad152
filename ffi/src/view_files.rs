//! Artifacts as they were: the files of a view, which can only be read.

use std::ffi::c_char;

use mirrordna::files::{Files, OpenFile};

use crate::cursor::mdna_cursor;
use crate::error::Result;
use crate::files::{list, mdna_file, mdna_file_info, opened, read_link, stat};
use crate::guard::call_on;
use crate::handle::borrow;
use crate::input::path;
use crate::output::out;
use crate::status::mdna_status;
use crate::string::mdna_string;
use crate::view::mdna_view;

/// Does something with the files of a view.
fn on_files(view: Result<&mdna_view>, work: impl FnOnce(&Files) -> Result<()>) -> mdna_status {
    call_on(view, |view: &mdna_view| work(&view.view.files()?))
}

/// Opens a file as it was, for reading: `mdna_file_read()` and its like read it, and `mdna_file_close()` closes it. It
/// keeps what it needs from a prune, also when the view is freed. `path` is as for `mdna_file_open()`.
///
/// Fails with `MDNA_FILE_NOT_FOUND`, `MDNA_FILE_IS_A_DIRECTORY`, `MDNA_FILE_NOT_A_DIRECTORY` and `MDNA_FILE_INVALID`.
/// The file cannot be changed: `mdna_file_write()`, `mdna_file_write_at()` and `mdna_file_truncate()` fail with
/// `MDNA_FILE_NOT_PERMITTED`, for it is not open for writing; `mdna_file_chmod()`, `mdna_file_chown()` and
/// `mdna_file_utimes()` fail with `MDNA_FILE_READ_ONLY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_view_file_open(
    view: *mut mdna_view,
    path: *const c_char,
    out: *mut *mut mdna_file,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (view, name, out) = unsafe { (borrow(view, "view"), self::path(path, "path"), self::out(out, "out")) };
    on_files(view, |files| {
        let (name, out) = (name?, out?);
        out.write(opened(files.open(name, &OpenFile::new().read(true))?));
        Ok(())
    })
}

/// What `stat` said of a file, or, with `follow` false, `lstat`. See `mdna_files_stat()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_view_files_stat(
    view: *mut mdna_view,
    path: *const c_char,
    follow: bool,
    out_info: *mut mdna_file_info,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (view, name, out) = unsafe { (borrow(view, "view"), self::path(path, "path"), out(out_info, "out_info")) };
    on_files(view, |files| {
        let (name, out) = (name?, out?);
        out.write(stat(files, name, follow)?);
        Ok(())
    })
}

/// The entries of a directory as it was. See `mdna_files_list()`. Free the cursor with `mdna_cursor_free()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_view_files_list(
    view: *mut mdna_view,
    path: *const c_char,
    out: *mut *mut mdna_cursor,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (view, name, out) = unsafe { (borrow(view, "view"), self::path(path, "path"), self::out(out, "out")) };
    on_files(view, |files| {
        let (name, out) = (name?, out?);
        out.write(list(files, name)?);
        Ok(())
    })
}

/// Where a symbolic link led, to be freed with `mdna_string_free()`. See `mdna_files_readlink()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_view_files_readlink(
    view: *mut mdna_view,
    path: *const c_char,
    out_target: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (view, name, out) = unsafe { (borrow(view, "view"), self::path(path, "path"), out(out_target, "out_target")) };
    on_files(view, |files| {
        let (name, out) = (name?, out?);
        out.bytes(read_link(files, name)?);
        Ok(())
    })
}
