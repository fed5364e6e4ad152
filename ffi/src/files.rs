//! Artifacts: files of any kind, by path, from every process that has the vault open.

use std::ffi::{OsStr, c_char};
use std::io::{self, Read, Seek as _, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::RwLock;

use mirrordna::artifacts::{Attributes, RenameFlags, Seek, SetAttributes, SetTime};
use mirrordna::files::{DirEntry, File, FileError, Files, OpenFile};
use mirrordna::record::{FileType, Value, checksum, object};

use crate::cursor::{mdna_cursor, of_texts};
use crate::error::{Failure, Result};
use crate::guard::call_on;
use crate::handle::{Boxed, Handle, State, borrow, boxed, free_boxed, locked, null};
use crate::input::{bytes, path};
use crate::output::out;
use crate::status::mdna_status;
use crate::string::mdna_string;
use crate::vault::mdna_vault;

/// An open file of the artifacts, with a position of its own. Any number of threads may use it at once. It keeps the
/// vault open, and is closed with `mdna_file_close()`.
pub struct mdna_file {
    state: State,
    file: RwLock<File>,
}

impl Handle for mdna_file {
    type Ownership = Boxed;

    fn state(&self) -> &State {
        &self.state
    }
}

/// What a file is.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum mdna_file_type {
    /// An ordinary file.
    MDNA_FILE_TYPE_REGULAR = 1,
    /// A directory.
    MDNA_FILE_TYPE_DIRECTORY = 2,
    /// A symbolic link.
    MDNA_FILE_TYPE_SYMLINK = 3,
    /// A named pipe.
    MDNA_FILE_TYPE_FIFO = 4,
    /// A socket.
    MDNA_FILE_TYPE_SOCKET = 5,
    /// A device of blocks.
    MDNA_FILE_TYPE_BLOCK_DEVICE = 6,
    /// A device of characters.
    MDNA_FILE_TYPE_CHAR_DEVICE = 7,
}

/// From where a position counts, or what is looked for.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum mdna_whence {
    /// From the beginning.
    MDNA_SEEK_SET = 0,
    /// From the position.
    MDNA_SEEK_CUR = 1,
    /// From the end.
    MDNA_SEEK_END = 2,
    /// The next data at or after an offset from the beginning.
    MDNA_SEEK_DATA = 3,
    /// The next hole at or after an offset from the beginning; the end counts as one.
    MDNA_SEEK_HOLE = 4,
}

/// A file is opened for reading.
pub const MDNA_OPEN_READ: u32 = 1;
/// A file is opened for writing.
pub const MDNA_OPEN_WRITE: u32 = 2;
/// A file is opened for writing at its end, wherever that is by then.
pub const MDNA_OPEN_APPEND: u32 = 4;
/// A file is made when it is not there. This, like the two below, needs `MDNA_OPEN_WRITE` or `MDNA_OPEN_APPEND`.
pub const MDNA_OPEN_CREATE: u32 = 8;
/// A file is made, and must not be there.
pub const MDNA_OPEN_CREATE_NEW: u32 = 16;
/// What is in a file goes.
pub const MDNA_OPEN_TRUNCATE: u32 = 32;

/// It is a failure when the new name is taken.
pub const MDNA_RENAME_NO_REPLACE: u32 = 1;
/// The two names change places.
pub const MDNA_RENAME_EXCHANGE: u32 = 2;

/// As a user or a group: it stays.
pub const MDNA_KEEP_ID: u32 = 4_294_967_295;
/// As a time: the present.
pub const MDNA_TIME_NOW: i64 = -9_223_372_036_854_775_807;
/// As a time: it stays.
pub const MDNA_TIME_KEEP: i64 = -9_223_372_036_854_775_806;

/// What `stat` says of a file. Times are in nanoseconds since 1970, UTC.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct mdna_file_info {
    /// Its inode number.
    pub ino: u64,
    /// Its size in bytes.
    pub size: u64,
    /// Blocks of 512 bytes that its content takes.
    pub blocks: u64,
    /// When it was last read, as whoever set it says: reading does not change it.
    pub atime_ns: i64,
    /// When its content last changed.
    pub mtime_ns: i64,
    /// When anything about it last changed.
    pub ctime_ns: i64,
    /// When it was made.
    pub btime_ns: i64,
    /// A `mdna_file_type`.
    pub kind: u32,
    /// Permissions, set-id and sticky bits.
    pub mode: u32,
    /// The user that owns it.
    pub uid: u32,
    /// The group that owns it.
    pub gid: u32,
    /// How many names it has.
    pub nlink: u32,
    /// The number of the device that it stands for.
    pub rdev: u32,
}

fn info(attributes: &Attributes) -> mdna_file_info {
    let time = |nanos: i128| i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX });
    mdna_file_info {
        ino: attributes.ino,
        size: attributes.size,
        blocks: attributes.blocks,
        atime_ns: time(attributes.atime),
        mtime_ns: time(attributes.mtime),
        ctime_ns: time(attributes.ctime),
        btime_ns: time(attributes.btime),
        kind: kind(attributes.file_type) as u32,
        mode: attributes.mode,
        uid: attributes.uid,
        gid: attributes.gid,
        nlink: attributes.nlink,
        rdev: attributes.rdev,
    }
}

fn kind(file_type: FileType) -> mdna_file_type {
    match file_type {
        FileType::Regular => mdna_file_type::MDNA_FILE_TYPE_REGULAR,
        FileType::Directory => mdna_file_type::MDNA_FILE_TYPE_DIRECTORY,
        FileType::Symlink => mdna_file_type::MDNA_FILE_TYPE_SYMLINK,
        FileType::Fifo => mdna_file_type::MDNA_FILE_TYPE_FIFO,
        FileType::Socket => mdna_file_type::MDNA_FILE_TYPE_SOCKET,
        FileType::BlockDevice => mdna_file_type::MDNA_FILE_TYPE_BLOCK_DEVICE,
        FileType::CharDevice => mdna_file_type::MDNA_FILE_TYPE_CHAR_DEVICE,
    }
}

/// Errors of a file through the traits of the standard library.
fn failure(error: io::Error) -> Failure {
    match error.downcast::<FileError>() {
        Ok(error) => error.into(),
        Err(error) => Failure::new(mdna_status::MDNA_IO, error.to_string()),
    }
}

/// Opens a file of the artifacts. `path` is relative to their root directory, whether it begins with a slash or not.
/// `flags` are `MDNA_OPEN_READ` and its like, added up; a file that is made gets the permissions `mode`. Close it with
/// `mdna_file_close()`.
///
/// Fails with `MDNA_FILE_NOT_FOUND`, `MDNA_FILE_EXISTS`, `MDNA_FILE_IS_A_DIRECTORY`, `MDNA_FILE_NOT_A_DIRECTORY`,
/// `MDNA_FILE_INVALID`, and with `MDNA_INVALID_ARGUMENT` for other flags.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_file_open(
    vault: *mut mdna_vault,
    path: *const c_char,
    flags: u32,
    mode: u32,
    out: *mut *mut mdna_file,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, name, out) = unsafe { (borrow(vault, "vault"), self::path(path, "path"), self::out(out, "out")) };
    call_on(vault, |vault: &mdna_vault| {
        let (name, out): (&Path, _) = (name?, out?);
        if flags & !0x3f != 0 {
            return Err(Failure::argument("flags", format!("{flags:#x} has bits that mean nothing")));
        }
        let has = |flag: u32| flags & flag != 0;
        let how = OpenFile::new()
            .read(has(MDNA_OPEN_READ))
            .write(has(MDNA_OPEN_WRITE))
            .append(has(MDNA_OPEN_APPEND))
            .create(has(MDNA_OPEN_CREATE))
            .create_new(has(MDNA_OPEN_CREATE_NEW))
            .truncate(has(MDNA_OPEN_TRUNCATE))
            .mode(mode & 0o7777);
        // `create_new` with false leaves `create` as it is.
        out.write(opened(vault.vault.files().open(name, &how)?));
        Ok(())
    })
}

/// Hands an open file out.
pub(crate) fn opened(file: File) -> *mut mdna_file {
    boxed(mdna_file { state: State::new(), file: RwLock::new(file) })
}

/// Closes a file. Call `mdna_file_sync()` before to have it on disk. `file` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_file_close(file: *mut mdna_file) {
    // SAFETY: the caller keeps what the header says of freeing handles.
    unsafe { free_boxed(file) };
}

/// The most bytes that are read at once.
const MOST: usize = 1 << 20;

/// Where bytes go that are read.
struct Room {
    pointer: *mut u8,
    len: usize,
}

impl Room {
    fn new(pointer: *mut u8, len: usize) -> Result<Self> {
        if isize::try_from(len).is_err() {
            return Err(Failure::argument("len", format!("nothing has {len} bytes")));
        }
        if pointer.is_null() && len > 0 {
            return Err(null("buffer"));
        }
        Ok(Self { pointer, len: len.min(MOST) })
    }

    /// Fills it with what `read` gives, and says how many bytes that were; after a failure it is as it was.
    ///
    /// # Safety
    /// There is room for the bytes, that nobody else uses meanwhile.
    unsafe fn fill(&self, read: impl FnOnce(&mut [u8]) -> Result<usize>) -> Result<usize> {
        let mut bytes = vec![0; self.len];
        let count = read(&mut bytes)?.min(self.len);
        if count > 0 {
            // SAFETY: as the caller says; `count` is at most the length of both.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.pointer, count) };
        }
        Ok(count)
    }
}

/// Reads at the position, and moves it. `out_len` gets how many bytes: 0 at the end, and perhaps fewer than there is
/// room for.
///
/// Fails with `MDNA_FILE_NOT_PERMITTED` when it is not open for reading, and with `MDNA_CORRUPT` when what is stored is
/// damaged.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_file_read(
    file: *mut mdna_file,
    buffer: *mut u8,
    len: usize,
    out_len: *mut usize,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and outputs.
    let (file, out) = unsafe { (borrow(file, "file"), out(out_len, "out_len")) };
    call_on(file, |file: &mdna_file| {
        let (room, out) = (Room::new(buffer, len)?, out?);
        let mut file = locked(file.file.write())?;
        // SAFETY: the caller keeps what the header says of buffers.
        out.write(unsafe { room.fill(|bytes| file.read(bytes).map_err(failure)) }?);
        Ok(())
    })
}

/// Reads at an offset; the position stays. See `mdna_file_read()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_file_read_at(
    file: *mut mdna_file,
    offset: u64,
    buffer: *mut u8,
    len: usize,
    out_len: *mut usize,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and outputs.
    let (file, out) = unsafe { (borrow(file, "file"), out(out_len, "out_len")) };
    call_on(file, |file: &mdna_file| {
        let (room, out) = (Room::new(buffer, len)?, out?);
        let file = locked(file.file.read())?;
        // SAFETY: the caller keeps what the header says of buffers.
        out.write(unsafe { room.fill(|bytes| Ok(file.read_at(bytes, offset)?)) }?);
        Ok(())
    })
}

/// Writes `len` bytes at the position, and moves it; a file that is open for appending, at its end. It is durable after
/// `mdna_file_sync()`.
///
/// Fails with `MDNA_FILE_NOT_PERMITTED` when it is not open for writing, with `MDNA_NO_SPACE` and
/// `MDNA_FILE_TOO_LARGE`; then a part may have been written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_file_write(file: *mut mdna_file, data: *const u8, len: usize) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and bytes.
    let (file, data) = unsafe { (borrow(file, "file"), bytes(data, len, "data")) };
    call_on(file, |file: &mdna_file| {
        let data = data?;
        locked(file.file.write())?.write_all(data).map_err(failure)
    })
}

/// Writes `len` bytes at an offset; the position stays. See `mdna_file_write()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_file_write_at(
    file: *mut mdna_file,
    offset: u64,
    data: *const u8,
    len: usize,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and bytes.
    let (file, data) = unsafe { (borrow(file, "file"), bytes(data, len, "data")) };
    call_on(file, |file: &mdna_file| {
        let data = data?;
        Ok(locked(file.file.read())?.write_all_at(data, offset)?)
    })
}

/// Moves the position: `whence` is a `mdna_whence`. `out_position` gets it, counted from the beginning.
///
/// Fails with `MDNA_FILE_INVALID` for a position before the beginning, with `MDNA_FILE_BEYOND_END` when there is no
/// data or hole, and with `MDNA_INVALID_ARGUMENT` for another `whence`, and for a negative offset that counts from the
/// beginning.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_file_seek(
    file: *mut mdna_file,
    offset: i64,
    whence: u32,
    out_position: *mut u64,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and outputs.
    let (file, out) = unsafe { (borrow(file, "file"), out(out_position, "out_position")) };
    call_on(file, |file: &mdna_file| {
        let out = out?;
        let mut file = locked(file.file.write())?;
        let from_start =
            || u64::try_from(offset).map_err(|_| Failure::argument("offset", "it counts from the beginning"));
        let to = match whence {
            0 => SeekFrom::Start(from_start()?),
            1 => SeekFrom::Current(offset),
            2 => SeekFrom::End(offset),
            3 => SeekFrom::Start(file.find(from_start()?, Seek::Data)?),
            4 => SeekFrom::Start(file.find(from_start()?, Seek::Hole)?),
            _ => return Err(Failure::argument("whence", format!("{whence} is no mdna_whence"))),
        };
        out.write(file.seek(to).map_err(failure)?);
        Ok(())
    })
}

/// What `fstat` says of a file.
///
/// Fails with `MDNA_FILE_GONE`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_file_stat(file: *mut mdna_file, out_info: *mut mdna_file_info) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and outputs.
    let (file, out) = unsafe { (borrow(file, "file"), out(out_info, "out_info")) };
    call_on(file, |file: &mdna_file| {
        let out = out?;
        out.write(info(&locked(file.file.read())?.metadata()?));
        Ok(())
    })
}

/// Cuts a file, or makes it longer with zeros.
///
/// Fails as `mdna_file_write()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_file_truncate(file: *mut mdna_file, size: u64) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles.
    let file = unsafe { borrow(file, "file") };
    call_on(file, |file: &mdna_file| Ok(locked(file.file.read())?.set_len(size)?))
}

/// Sets the permissions of an open file: the lowest 12 bits of `mode`.
///
/// Fails with `MDNA_FILE_GONE`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_file_chmod(file: *mut mdna_file, mode: u32) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles.
    unsafe { set_open(file, of_mode(mode)) }
}

/// Sets the user and the group that own an open file; `MDNA_KEEP_ID` leaves one as it is.
///
/// Fails with `MDNA_FILE_GONE`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_file_chown(file: *mut mdna_file, uid: u32, gid: u32) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles.
    unsafe { set_open(file, of_owner(uid, gid)) }
}

/// Sets the times of an open file. See `mdna_files_utimes()`.
///
/// Fails with `MDNA_FILE_GONE`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_file_utimes(file: *mut mdna_file, atime_ns: i64, mtime_ns: i64) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles.
    unsafe { set_open(file, of_times(atime_ns, mtime_ns)) }
}

/// Sets attributes of an open file.
///
/// # Safety
/// As the header asks for.
unsafe fn set_open(file: *mut mdna_file, set: SetAttributes) -> mdna_status {
    // SAFETY: as the caller says.
    let file = unsafe { borrow(file, "file") };
    call_on(file, |file: &mdna_file| {
        locked(file.file.read())?.set_attributes(&set)?;
        Ok(())
    })
}

/// Makes a file durable: its content, its attributes and its names; with `data_only` without what only concerns times.
///
/// Fails with `MDNA_NO_SPACE`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_file_sync(file: *mut mdna_file, data_only: bool) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles.
    let file = unsafe { borrow(file, "file") };
    call_on(file, |file: &mdna_file| {
        let file = locked(file.file.read())?;
        Ok(if data_only { file.sync_data() } else { file.sync() }?)
    })
}

/// Does something with files of a vault.
fn on_files<T: Into<mdna_status>>(vault: Result<&mdna_vault>, work: impl FnOnce(&Files) -> Result<T>) -> mdna_status {
    call_on(vault, |vault: &mdna_vault| work(&vault.vault.files()))
}

/// What `stat` says of a file, or, with `follow` false, `lstat`.
///
/// Fails with `MDNA_FILE_NOT_FOUND` and `MDNA_FILE_NOT_A_DIRECTORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_files_stat(
    vault: *mut mdna_vault,
    path: *const c_char,
    follow: bool,
    out_info: *mut mdna_file_info,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, name, out) = unsafe { (borrow(vault, "vault"), self::path(path, "path"), out(out_info, "out_info")) };
    on_files(vault, |files| {
        let (name, out) = (name?, out?);
        out.write(stat(files, name, follow)?);
        Ok(())
    })
}

pub(crate) fn stat(files: &Files, name: &Path, follow: bool) -> Result<mdna_file_info> {
    Ok(info(&if follow { files.metadata(name) } else { files.symlink_metadata(name) }?))
}

/// The entries of a directory, without `.` and `..`: JSON objects with `name`, `type` (`"regular"`, `"directory"`,
/// `"symlink"`, `"fifo"`, `"socket"`, `"char_device"` or `"block_device"`), `size` in bytes, `mode` (permissions,
/// set-id and sticky bits, as a number), `mtime_ns` (nanoseconds since 1970, UTC), `ino`, and, when the name is not
/// UTF-8, `name_hex` with its bytes. Free the cursor with `mdna_cursor_free()`.
///
/// Fails with `MDNA_FILE_NOT_FOUND` and `MDNA_FILE_NOT_A_DIRECTORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_files_list(
    vault: *mut mdna_vault,
    path: *const c_char,
    out: *mut *mut mdna_cursor,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, name, out) = unsafe { (borrow(vault, "vault"), self::path(path, "path"), self::out(out, "out")) };
    on_files(vault, |files| {
        let (name, out) = (name?, out?);
        out.write(list(files, name)?);
        Ok(())
    })
}

pub(crate) fn list(files: &Files, name: &Path) -> Result<*mut mdna_cursor> {
    let entries = files.read_dir(name)?;
    Ok(of_texts(entries.map(|entry| Ok(checksum::canonical(&to_value(&entry?))))))
}

fn to_value(entry: &DirEntry) -> Value {
    let attributes = info(&entry.attributes);
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or_default();
    let hex =
        || -> String { entry.name.as_bytes().iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect() };
    let mut value = object([
        ("name", entry.name.to_string_lossy().into_owned().into()),
        ("type", entry.attributes.file_type.name().into()),
        ("size", attributes.size.into()),
        ("mode", u64::from(attributes.mode).into()),
        ("mtime_ns", attributes.mtime_ns.into()),
        ("ino", attributes.ino.into()),
    ]);
    if entry.name.to_str().is_none()
        && let Some(members) = value.as_object_mut()
    {
        members.insert("name_hex".to_owned(), hex().into());
    }
    value
}

/// Makes a directory; with `parents` also those above it, and then it is no failure that it is there.
///
/// Fails with `MDNA_FILE_EXISTS`, `MDNA_FILE_NOT_FOUND` and `MDNA_FILE_NOT_A_DIRECTORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_files_mkdir(vault: *mut mdna_vault, path: *const c_char, parents: bool) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and texts.
    let (vault, name) = unsafe { (borrow(vault, "vault"), self::path(path, "path")) };
    on_files(vault, |files| {
        let name = name?;
        Ok(if parents { files.create_dir_all(name) } else { files.create_dir(name) }?)
    })
}

/// Takes a name of a file, or of a symbolic link, away; the file goes with its last name, once nobody has it open.
///
/// Fails with `MDNA_FILE_NOT_FOUND` and `MDNA_FILE_IS_A_DIRECTORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_files_remove(vault: *mut mdna_vault, path: *const c_char) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and texts.
    let (vault, name) = unsafe { (borrow(vault, "vault"), self::path(path, "path")) };
    on_files(vault, |files| Ok(files.remove_file(name?)?))
}

/// Removes an empty directory.
///
/// Fails with `MDNA_FILE_NOT_FOUND`, `MDNA_FILE_NOT_A_DIRECTORY` and `MDNA_FILE_DIRECTORY_NOT_EMPTY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_files_rmdir(vault: *mut mdna_vault, path: *const c_char) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and texts.
    let (vault, name) = unsafe { (borrow(vault, "vault"), self::path(path, "path")) };
    on_files(vault, |files| Ok(files.remove_dir(name?)?))
}

/// Renames a file or directory; what is at the new name is replaced, unless `flags` say otherwise:
/// `MDNA_RENAME_NO_REPLACE` or `MDNA_RENAME_EXCHANGE`, or 0.
///
/// Fails with `MDNA_FILE_NOT_FOUND`, `MDNA_FILE_EXISTS`, `MDNA_FILE_DIRECTORY_NOT_EMPTY`, `MDNA_FILE_INVALID`, and with
/// `MDNA_INVALID_ARGUMENT` for other flags.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_files_rename(
    vault: *mut mdna_vault,
    from: *const c_char,
    to: *const c_char,
    flags: u32,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and texts.
    let (vault, from, to) = unsafe { (borrow(vault, "vault"), path(from, "from"), path(to, "to")) };
    on_files(vault, |files| {
        let (no_replace, exchange) = match flags {
            0 => (false, false),
            MDNA_RENAME_NO_REPLACE => (true, false),
            MDNA_RENAME_EXCHANGE => (false, true),
            _ => return Err(Failure::argument("flags", format!("{flags:#x} is none of the flags of renaming"))),
        };
        Ok(files.rename(from?, to?, RenameFlags { no_replace, exchange })?)
    })
}

/// Makes a symbolic link at `path` that leads to `target`, whatever that is.
///
/// Fails as `mdna_files_mkdir()`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_files_symlink(
    vault: *mut mdna_vault,
    target: *const c_char,
    path: *const c_char,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and texts.
    let (vault, target, name) =
        unsafe { (borrow(vault, "vault"), self::path(target, "target"), self::path(path, "path")) };
    on_files(vault, |files| Ok(files.symlink(target?, name?)?))
}

/// Where a symbolic link leads, to be freed with `mdna_string_free()`. The bytes are those of the target, which need
/// not be UTF-8.
///
/// Fails with `MDNA_FILE_NOT_FOUND`, and with `MDNA_FILE_INVALID` when it is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_files_readlink(
    vault: *mut mdna_vault,
    path: *const c_char,
    out_target: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts and outputs.
    let (vault, name, out) =
        unsafe { (borrow(vault, "vault"), self::path(path, "path"), out(out_target, "out_target")) };
    on_files(vault, |files| {
        let (name, out) = (name?, out?);
        out.bytes(read_link(files, name)?);
        Ok(())
    })
}

pub(crate) fn read_link(files: &Files, name: &Path) -> Result<Vec<u8>> {
    Ok(OsStr::as_bytes(files.read_link(name)?.as_os_str()).to_vec())
}

/// Gives a file another name.
///
/// Fails as `mdna_files_mkdir()`, and with `MDNA_FILE_NOT_PERMITTED` for a directory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_files_link(
    vault: *mut mdna_vault,
    from: *const c_char,
    to: *const c_char,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and texts.
    let (vault, from, to) = unsafe { (borrow(vault, "vault"), path(from, "from"), path(to, "to")) };
    on_files(vault, |files| Ok(files.hard_link(from?, to?)?))
}

/// Sets the permissions of a file.
///
/// Fails with `MDNA_FILE_NOT_FOUND`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_files_chmod(vault: *mut mdna_vault, path: *const c_char, mode: u32) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and texts.
    unsafe { set(vault, path, of_mode(mode)) }
}

/// Sets the user and the group that own a file, or the one that a symbolic link leads to; `MDNA_KEEP_ID` leaves one as
/// it is. Permissions are not checked: whoever has the vault open may do everything with it.
///
/// Fails with `MDNA_FILE_NOT_FOUND`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_files_chown(
    vault: *mut mdna_vault,
    path: *const c_char,
    uid: u32,
    gid: u32,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and texts.
    unsafe { set(vault, path, of_owner(uid, gid)) }
}

/// Sets when a file was last read, and when its content last changed, in nanoseconds since 1970; `MDNA_TIME_NOW` is
/// the present, and `MDNA_TIME_KEEP` leaves one as it is.
///
/// Fails with `MDNA_FILE_NOT_FOUND`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_files_utimes(
    vault: *mut mdna_vault,
    path: *const c_char,
    atime_ns: i64,
    mtime_ns: i64,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and texts.
    unsafe { set(vault, path, of_times(atime_ns, mtime_ns)) }
}

fn of_mode(mode: u32) -> SetAttributes {
    SetAttributes { mode: Some(mode & 0o7777), ..SetAttributes::default() }
}

fn of_owner(uid: u32, gid: u32) -> SetAttributes {
    let given = |id: u32| (id != MDNA_KEEP_ID).then_some(id);
    SetAttributes { uid: given(uid), gid: given(gid), ..SetAttributes::default() }
}

fn of_times(atime_ns: i64, mtime_ns: i64) -> SetAttributes {
    let given = |time: i64| match time {
        MDNA_TIME_KEEP => None,
        MDNA_TIME_NOW => Some(SetTime::Now),
        time => Some(SetTime::At(time.into())),
    };
    SetAttributes { atime: given(atime_ns), mtime: given(mtime_ns), ..SetAttributes::default() }
}

/// Sets attributes of a file.
///
/// # Safety
/// As the header asks for.
unsafe fn set(vault: *mut mdna_vault, path: *const c_char, set: SetAttributes) -> mdna_status {
    // SAFETY: as the caller says.
    let (vault, name) = unsafe { (borrow(vault, "vault"), self::path(path, "path")) };
    on_files(vault, |files| {
        files.set_attributes(name?, &set)?;
        Ok(())
    })
}

/// Makes everything durable that was done to artifacts, by whomever.
///
/// Fails with `MDNA_NO_SPACE`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_files_sync(vault: *mut mdna_vault) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles.
    let vault = unsafe { borrow(vault, "vault") };
    on_files(vault, |files| Ok(files.sync()?))
}

/// The error of a file, with the file.
impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        let message = error.to_string();
        let FileError { path, source } = error;
        let failure = Self::from(source);
        // What the storage says is about something else.
        let subject = failure.subject.unwrap_or_else(|| path.display().to_string());
        Self { message, subject: Some(subject), ..Self::new(failure.status, "") }
    }
}

#[cfg(test)]
mod tests {
    use mirrordna::artifacts::FsError;

    use super::*;

    #[test]
    fn errors_through_the_standard_library_keep_their_status() {
        let error = FileError { path: "a/b".into(), source: FsError::NotFound };
        let failure = failure(io::Error::from(error));
        assert_eq!((failure.status, failure.subject.as_deref()), (mdna_status::MDNA_FILE_NOT_FOUND, Some("a/b")));
    }
}
