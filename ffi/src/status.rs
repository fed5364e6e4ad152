//! Status codes: one table, without a wildcard, of number, name and what can be done about it.

use std::ffi::{CStr, c_char};

/// How a call went. Numbers keep their meaning for ever, and new ones may come: treat one that you do not know as a
/// failure.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum mdna_status {
    /// It was done.
    MDNA_OK = 0,
    /// There is nothing more: a cursor is at its end. No failure, so `mdna_last_error()` is not set.
    MDNA_END = 1,
    /// The library itself failed. The handle that was used can only be freed from now on; others go on.
    MDNA_INTERNAL = 2,
    /// An earlier call on this handle ended with `MDNA_INTERNAL`.
    MDNA_POISONED = 3,
    /// The process is the child of one that has used a vault, or the handle was made before a `fork()`.
    MDNA_FORKED = 4,
    /// An argument is NULL that must not be.
    MDNA_NULL_POINTER = 5,
    /// A text is not UTF-8.
    MDNA_INVALID_UTF8 = 6,
    /// An argument cannot be used.
    MDNA_INVALID_ARGUMENT = 7,
    /// A structure has a version that this library does not know.
    MDNA_UNSUPPORTED_VERSION = 8,
    /// A callback stopped the work.
    MDNA_CANCELLED = 9,
    /// The batch was committed, or could not be.
    MDNA_BATCH_CLOSED = 10,

    /// There is no such record, key slot or backup.
    MDNA_NOT_FOUND = 20,
    /// The record is there already.
    MDNA_EXISTS = 21,
    /// The record was changed by somebody else in the meantime.
    MDNA_STALE = 22,
    /// A field, or a whole record, may not change.
    MDNA_IMMUTABLE = 23,
    /// What is asked for does not fit the state of the record.
    MDNA_WRONG_STATE = 24,
    /// A session names a parent that is not there.
    MDNA_UNKNOWN_PARENT = 25,
    /// A chain of records would lead back to itself.
    MDNA_CYCLE = 26,
    /// What is asked for lies before a prune, and no snapshot keeps it.
    MDNA_PRUNED = 27,
    /// There is no collection of this name.
    MDNA_UNKNOWN_COLLECTION = 28,
    /// It is more than a vault takes at once.
    MDNA_LIMIT = 29,

    /// The text is not JSON.
    MDNA_JSON = 40,
    /// The text is not YAML that the protocol can hold.
    MDNA_YAML = 41,
    /// It is JSON, but not an object.
    MDNA_NOT_AN_OBJECT = 42,
    /// The record breaks its schema.
    MDNA_SCHEMA = 43,
    /// The id cannot be one.
    MDNA_INVALID_ID = 44,
    /// The record is larger than 16 MiB.
    MDNA_RECORD_TOO_LARGE = 45,
    /// The record has too many tags.
    MDNA_TOO_MANY_TAGS = 46,
    /// A document is not what it should be.
    MDNA_DOCUMENT = 47,
    /// A document has another checksum than it says.
    MDNA_CHECKSUM_MISMATCH = 48,
    /// A document carries no checksum.
    MDNA_UNVERIFIED = 49,

    /// The directory holds no vault.
    MDNA_NOT_A_VAULT = 60,
    /// Something is there already; a new vault or repository needs a new or empty place.
    MDNA_OCCUPIED = 61,
    /// Somebody else holds it.
    MDNA_LOCKED = 62,
    /// The process that owns the vault did not answer: whether a change was made is not known.
    MDNA_UNANSWERED = 63,
    /// Only the process that owns the vault can do this.
    MDNA_NOT_OWNER = 64,
    /// It was written by a newer program.
    MDNA_NEWER_FORMAT = 65,
    /// It uses features that this program does not know.
    MDNA_UNKNOWN_FEATURES = 66,
    /// Stored bytes are not what was stored.
    MDNA_CORRUPT = 67,
    /// The operating system denies access.
    MDNA_PERMISSION = 68,
    /// The disk, or the quota, is full.
    MDNA_NO_SPACE = 69,
    /// Input or output failed.
    MDNA_IO = 70,
    /// The storage engine failed.
    MDNA_ENGINE = 71,
    /// The system gives no random bytes.
    MDNA_NO_RANDOMNESS = 72,
    /// A restore of a snapshot stopped in the middle and could not be undone: the vault stands between two states.
    MDNA_HALF_RESTORED = 73,

    /// A private key cannot be read.
    MDNA_PRIVATE_KEY = 80,

    /// There is no backup repository.
    MDNA_NOT_A_REPOSITORY = 100,
    /// The repository has no key slot.
    MDNA_NO_KEY_SLOT = 101,
    /// A key slot is damaged.
    MDNA_DAMAGED_KEY_SLOT = 102,
    /// A key slot asks for more than opening one may cost.
    MDNA_HOSTILE_KEY_SLOT = 103,
    /// No key slot opens with this secret.
    MDNA_WRONG_SECRET = 104,
    /// A secret is needed.
    MDNA_SECRET_NEEDED = 105,
    /// Something of the repository is gone.
    MDNA_BACKUP_MISSING = 106,
    /// The repository is older than the vault knows.
    MDNA_ROLLED_BACK = 107,
    /// A short name fits several backups or key slots.
    MDNA_AMBIGUOUS = 108,
    /// The vault kept being pruned while it was read.
    MDNA_PRUNED_MEANWHILE = 109,
    /// The lock on a repository did not last while a backup was made or taken over; it does not count.
    MDNA_LOCK_LAPSED = 110,

    /// There is nothing to mount on.
    MDNA_MOUNTPOINT_MISSING = 120,
    /// The mount point is not a directory.
    MDNA_MOUNTPOINT_NOT_A_DIRECTORY = 121,
    /// The mount point is not empty.
    MDNA_MOUNTPOINT_NOT_EMPTY = 122,
    /// A vault is mounted there already.
    MDNA_ALREADY_MOUNTED = 123,
    /// No vault is mounted there.
    MDNA_NOT_MOUNTED = 124,
    /// Somebody has files open there.
    MDNA_MOUNT_IN_USE = 125,
    /// The system has no FUSE.
    MDNA_NO_FUSE = 126,

    /// This process has set up logs in another way.
    MDNA_LOG_IN_USE = 140,

    /// There is no such file (`ENOENT`).
    MDNA_FILE_NOT_FOUND = 160,
    /// The name is taken (`EEXIST`).
    MDNA_FILE_EXISTS = 161,
    /// It is not a directory (`ENOTDIR`).
    MDNA_FILE_NOT_A_DIRECTORY = 162,
    /// It is a directory (`EISDIR`).
    MDNA_FILE_IS_A_DIRECTORY = 163,
    /// The directory is not empty (`ENOTEMPTY`).
    MDNA_FILE_DIRECTORY_NOT_EMPTY = 164,
    /// The root directory stays where it is (`EBUSY`).
    MDNA_FILE_BUSY = 165,
    /// The name is too long (`ENAMETOOLONG`).
    MDNA_FILE_NAME_TOO_LONG = 166,
    /// The file has too many names (`EMLINK`).
    MDNA_FILE_TOO_MANY_LINKS = 167,
    /// It cannot be done with a file (`EINVAL`).
    MDNA_FILE_INVALID = 168,
    /// It is not permitted (`EPERM`).
    MDNA_FILE_NOT_PERMITTED = 169,
    /// The file would be too large (`EFBIG`).
    MDNA_FILE_TOO_LARGE = 170,
    /// There is nothing at or after the offset (`ENXIO`).
    MDNA_FILE_BEYOND_END = 171,
    /// There is no such extended attribute (`ENODATA`).
    MDNA_FILE_NO_ATTRIBUTE = 172,
    /// The extended attribute is too large (`E2BIG`).
    MDNA_FILE_ATTRIBUTE_TOO_LARGE = 173,
    /// It is not supported (`EOPNOTSUPP`).
    MDNA_FILE_UNSUPPORTED = 174,
    /// The past cannot be changed (`EROFS`).
    MDNA_FILE_READ_ONLY = 175,
    /// The file is gone for good (`ESTALE`).
    MDNA_FILE_GONE = 176,
}

use mdna_status::*;

impl From<()> for mdna_status {
    fn from((): ()) -> Self {
        MDNA_OK
    }
}

impl mdna_status {
    /// All of them, in order of their numbers.
    pub(crate) const ALL: &[Self] = &[
        MDNA_OK,
        MDNA_END,
        MDNA_INTERNAL,
        MDNA_POISONED,
        MDNA_FORKED,
        MDNA_NULL_POINTER,
        MDNA_INVALID_UTF8,
        MDNA_INVALID_ARGUMENT,
        MDNA_UNSUPPORTED_VERSION,
        MDNA_CANCELLED,
        MDNA_BATCH_CLOSED,
        MDNA_NOT_FOUND,
        MDNA_EXISTS,
        MDNA_STALE,
        MDNA_IMMUTABLE,
        MDNA_WRONG_STATE,
        MDNA_UNKNOWN_PARENT,
        MDNA_CYCLE,
        MDNA_PRUNED,
        MDNA_UNKNOWN_COLLECTION,
        MDNA_LIMIT,
        MDNA_JSON,
        MDNA_YAML,
        MDNA_NOT_AN_OBJECT,
        MDNA_SCHEMA,
        MDNA_INVALID_ID,
        MDNA_RECORD_TOO_LARGE,
        MDNA_TOO_MANY_TAGS,
        MDNA_DOCUMENT,
        MDNA_CHECKSUM_MISMATCH,
        MDNA_UNVERIFIED,
        MDNA_NOT_A_VAULT,
        MDNA_OCCUPIED,
        MDNA_LOCKED,
        MDNA_UNANSWERED,
        MDNA_NOT_OWNER,
        MDNA_NEWER_FORMAT,
        MDNA_UNKNOWN_FEATURES,
        MDNA_CORRUPT,
        MDNA_PERMISSION,
        MDNA_NO_SPACE,
        MDNA_IO,
        MDNA_ENGINE,
        MDNA_NO_RANDOMNESS,
        MDNA_HALF_RESTORED,
        MDNA_PRIVATE_KEY,
        MDNA_NOT_A_REPOSITORY,
        MDNA_NO_KEY_SLOT,
        MDNA_DAMAGED_KEY_SLOT,
        MDNA_HOSTILE_KEY_SLOT,
        MDNA_WRONG_SECRET,
        MDNA_SECRET_NEEDED,
        MDNA_BACKUP_MISSING,
        MDNA_ROLLED_BACK,
        MDNA_AMBIGUOUS,
        MDNA_PRUNED_MEANWHILE,
        MDNA_LOCK_LAPSED,
        MDNA_MOUNTPOINT_MISSING,
        MDNA_MOUNTPOINT_NOT_A_DIRECTORY,
        MDNA_MOUNTPOINT_NOT_EMPTY,
        MDNA_ALREADY_MOUNTED,
        MDNA_NOT_MOUNTED,
        MDNA_MOUNT_IN_USE,
        MDNA_NO_FUSE,
        MDNA_LOG_IN_USE,
        MDNA_FILE_NOT_FOUND,
        MDNA_FILE_EXISTS,
        MDNA_FILE_NOT_A_DIRECTORY,
        MDNA_FILE_IS_A_DIRECTORY,
        MDNA_FILE_DIRECTORY_NOT_EMPTY,
        MDNA_FILE_BUSY,
        MDNA_FILE_NAME_TOO_LONG,
        MDNA_FILE_TOO_MANY_LINKS,
        MDNA_FILE_INVALID,
        MDNA_FILE_NOT_PERMITTED,
        MDNA_FILE_TOO_LARGE,
        MDNA_FILE_BEYOND_END,
        MDNA_FILE_NO_ATTRIBUTE,
        MDNA_FILE_ATTRIBUTE_TOO_LARGE,
        MDNA_FILE_UNSUPPORTED,
        MDNA_FILE_READ_ONLY,
        MDNA_FILE_GONE,
    ];

    /// Its name and what the caller can do.
    pub(crate) const fn texts(self) -> (&'static CStr, &'static CStr) {
        match self {
            MDNA_OK => (c"MDNA_OK", c"Nothing is to be done."),
            MDNA_END => (c"MDNA_END", c"Free the cursor."),
            MDNA_INTERNAL => {
                (c"MDNA_INTERNAL", c"Free the handle, open it again, and report this as a bug of the library.")
            }
            MDNA_POISONED => (c"MDNA_POISONED", c"Free the handle and open it again."),
            MDNA_FORKED => (c"MDNA_FORKED", c"Call fork() before the first vault is used, or exec() in the child."),
            MDNA_NULL_POINTER => (c"MDNA_NULL_POINTER", c"Give the argument that the message names."),
            MDNA_INVALID_UTF8 => (c"MDNA_INVALID_UTF8", c"Give text in UTF-8."),
            MDNA_INVALID_ARGUMENT => (c"MDNA_INVALID_ARGUMENT", c"Correct the argument that the message names."),
            MDNA_UNSUPPORTED_VERSION => {
                (c"MDNA_UNSUPPORTED_VERSION", c"Fill the structure with its _INIT macro, or use a newer library.")
            }
            MDNA_CANCELLED => (
                c"MDNA_CANCELLED",
                c"Call it again; after mdna_s3_settings_cancel(), with new settings, and the repository opened anew.",
            ),
            MDNA_BATCH_CLOSED => (c"MDNA_BATCH_CLOSED", c"Free the batch and begin another one."),
            MDNA_NOT_FOUND => (c"MDNA_NOT_FOUND", c"Check the id, or list what is there."),
            MDNA_EXISTS => (c"MDNA_EXISTS", c"Use another id, or change the record that is there."),
            MDNA_STALE => (c"MDNA_STALE", c"Read the record again and retry."),
            MDNA_IMMUTABLE => (c"MDNA_IMMUTABLE", c"Make a new record instead."),
            MDNA_WRONG_STATE => (c"MDNA_WRONG_STATE", c"See the message for the state the record is in."),
            MDNA_UNKNOWN_PARENT => (c"MDNA_UNKNOWN_PARENT", c"Store the parent session first, or leave it out."),
            MDNA_CYCLE => (c"MDNA_CYCLE", c"Refer to a record that does not lead back to this one."),
            MDNA_PRUNED => (c"MDNA_PRUNED", c"Read the vault at a snapshot, or at a later sequence."),
            MDNA_UNKNOWN_COLLECTION => (c"MDNA_UNKNOWN_COLLECTION", c"Give one of the collections in the message."),
            MDNA_LIMIT => (c"MDNA_LIMIT", c"Give less at once."),
            MDNA_JSON => (c"MDNA_JSON", c"Correct the JSON at the place in the message."),
            MDNA_YAML => (c"MDNA_YAML", c"Correct the YAML at the place in the message."),
            MDNA_NOT_AN_OBJECT => (c"MDNA_NOT_AN_OBJECT", c"Give a JSON object."),
            MDNA_SCHEMA => (c"MDNA_SCHEMA", c"Correct the fields in the message; mdna_schema_text() has the schema."),
            MDNA_INVALID_ID => {
                (c"MDNA_INVALID_ID", c"Use an id of the form in the message, or let the vault make one.")
            }
            MDNA_RECORD_TOO_LARGE => (c"MDNA_RECORD_TOO_LARGE", c"Keep large content as a file in artifacts/."),
            MDNA_TOO_MANY_TAGS => (c"MDNA_TOO_MANY_TAGS", c"Give fewer tags."),
            MDNA_DOCUMENT => (c"MDNA_DOCUMENT", c"Correct the document as the message says."),
            MDNA_CHECKSUM_MISMATCH => (c"MDNA_CHECKSUM_MISMATCH", c"Get an intact copy of the document."),
            MDNA_UNVERIFIED => (c"MDNA_UNVERIFIED", c"Get a copy with a checksum, or allow it to be unverified."),
            MDNA_NOT_A_VAULT => (c"MDNA_NOT_A_VAULT", c"Check the path, or create a vault with mdna_vault_create()."),
            MDNA_OCCUPIED => (c"MDNA_OCCUPIED", c"Choose a new or empty place."),
            MDNA_LOCKED => (c"MDNA_LOCKED", c"Wait for the process in the message, or end it."),
            MDNA_UNANSWERED => (c"MDNA_UNANSWERED", c"Look whether the change was made before trying again."),
            MDNA_NOT_OWNER => (c"MDNA_NOT_OWNER", c"Use the mount, or end the process in the message."),
            MDNA_NEWER_FORMAT => (c"MDNA_NEWER_FORMAT", c"Use a newer library."),
            MDNA_UNKNOWN_FEATURES => (c"MDNA_UNKNOWN_FEATURES", c"Use a newer library."),
            MDNA_CORRUPT => (c"MDNA_CORRUPT", c"See all damage with mdna_vault_verify(), and restore a backup."),
            MDNA_PERMISSION => (c"MDNA_PERMISSION", c"Check owner and mode of the path."),
            MDNA_NO_SPACE => (c"MDNA_NO_SPACE", c"Free some space and try again."),
            MDNA_IO => (c"MDNA_IO", c"See the message for what the operating system said."),
            MDNA_ENGINE => (c"MDNA_ENGINE", c"See the message for what the storage engine said."),
            MDNA_NO_RANDOMNESS => (c"MDNA_NO_RANDOMNESS", c"Try again."),
            MDNA_HALF_RESTORED => (
                c"MDNA_HALF_RESTORED",
                c"Mend what the message names, such as a full disk; the vault finishes or undoes it by itself then.",
            ),
            MDNA_PRIVATE_KEY => (c"MDNA_PRIVATE_KEY", c"Give the 44 characters that were shown with the identity."),
            MDNA_NOT_A_REPOSITORY => (c"MDNA_NOT_A_REPOSITORY", c"Check the path, or use mdna_repository_init()."),
            MDNA_NO_KEY_SLOT => (c"MDNA_NO_KEY_SLOT", c"Bring back a copy of the folder keys/."),
            MDNA_DAMAGED_KEY_SLOT => (c"MDNA_DAMAGED_KEY_SLOT", c"Bring back a copy of it, or use another secret."),
            MDNA_HOSTILE_KEY_SLOT => (c"MDNA_HOSTILE_KEY_SLOT", c"Compare the folder keys/ with a copy."),
            MDNA_WRONG_SECRET => (c"MDNA_WRONG_SECRET", c"Give the right passphrase or key file."),
            MDNA_SECRET_NEEDED => (c"MDNA_SECRET_NEEDED", c"Give a passphrase or the content of a key file."),
            MDNA_BACKUP_MISSING => {
                (c"MDNA_BACKUP_MISSING", c"Use mdna_repository_verify() to see which backups are whole.")
            }
            MDNA_ROLLED_BACK => {
                (c"MDNA_ROLLED_BACK", c"Find out why it is older; if that is meant, call it with accept_older.")
            }
            MDNA_AMBIGUOUS => (c"MDNA_AMBIGUOUS", c"Give more of the name."),
            MDNA_PRUNED_MEANWHILE => (c"MDNA_PRUNED_MEANWHILE", c"Make the backup when nobody prunes."),
            MDNA_LOCK_LAPSED => (c"MDNA_LOCK_LAPSED", c"Do it again; compare clocks if it comes back."),
            MDNA_MOUNTPOINT_MISSING => (c"MDNA_MOUNTPOINT_MISSING", c"Create the directory, or mount elsewhere."),
            MDNA_MOUNTPOINT_NOT_A_DIRECTORY => (c"MDNA_MOUNTPOINT_NOT_A_DIRECTORY", c"Mount on an empty directory."),
            MDNA_MOUNTPOINT_NOT_EMPTY => (c"MDNA_MOUNTPOINT_NOT_EMPTY", c"Mount on an empty directory."),
            MDNA_ALREADY_MOUNTED => (c"MDNA_ALREADY_MOUNTED", c"Unmount it first with mdna_umount()."),
            MDNA_NOT_MOUNTED => (c"MDNA_NOT_MOUNTED", c"Check the path."),
            MDNA_MOUNT_IN_USE => (c"MDNA_MOUNT_IN_USE", c"Close what is open there and try again."),
            MDNA_NO_FUSE => (c"MDNA_NO_FUSE", c"Load the kernel's module fuse, and install fuse3."),
            MDNA_LOG_IN_USE => (c"MDNA_LOG_IN_USE", c"Set up logs in one way only."),
            MDNA_FILE_NOT_FOUND => (c"MDNA_FILE_NOT_FOUND", c"Check the path."),
            MDNA_FILE_EXISTS => (c"MDNA_FILE_EXISTS", c"Use another name."),
            MDNA_FILE_NOT_A_DIRECTORY => (c"MDNA_FILE_NOT_A_DIRECTORY", c"Check the path."),
            MDNA_FILE_IS_A_DIRECTORY => (c"MDNA_FILE_IS_A_DIRECTORY", c"Name a file in it."),
            MDNA_FILE_DIRECTORY_NOT_EMPTY => (c"MDNA_FILE_DIRECTORY_NOT_EMPTY", c"Remove what is in it first."),
            MDNA_FILE_BUSY => (c"MDNA_FILE_BUSY", c"Leave the root directory where it is."),
            MDNA_FILE_NAME_TOO_LONG => (c"MDNA_FILE_NAME_TOO_LONG", c"Use a shorter name."),
            MDNA_FILE_TOO_MANY_LINKS => (c"MDNA_FILE_TOO_MANY_LINKS", c"Copy the file."),
            MDNA_FILE_INVALID => (c"MDNA_FILE_INVALID", c"See the message for the reason."),
            MDNA_FILE_NOT_PERMITTED => (c"MDNA_FILE_NOT_PERMITTED", c"See the message for the reason."),
            MDNA_FILE_TOO_LARGE => (c"MDNA_FILE_TOO_LARGE", c"Use several files."),
            MDNA_FILE_BEYOND_END => (c"MDNA_FILE_BEYOND_END", c"Use an offset within the file."),
            MDNA_FILE_NO_ATTRIBUTE => (c"MDNA_FILE_NO_ATTRIBUTE", c"Set the attribute first, on a mount of the vault."),
            MDNA_FILE_ATTRIBUTE_TOO_LARGE => (c"MDNA_FILE_ATTRIBUTE_TOO_LARGE", c"Use a file."),
            MDNA_FILE_UNSUPPORTED => (c"MDNA_FILE_UNSUPPORTED", c"See the message for the reason."),
            MDNA_FILE_READ_ONLY => (c"MDNA_FILE_READ_ONLY", c"Change the present."),
            MDNA_FILE_GONE => (c"MDNA_FILE_GONE", c"Open the file again."),
        }
    }

    fn from_number(number: i32) -> Option<Self> {
        Self::ALL.iter().copied().find(|status| *status as i32 == number)
    }
}

/// The name of a status, as `"MDNA_NOT_FOUND"`; for a number that is none, `"MDNA_UNKNOWN"`. The text is static.
#[unsafe(no_mangle)]
pub extern "C" fn mdna_status_name(status: i32) -> *const c_char {
    mdna_status::from_number(status).map_or(c"MDNA_UNKNOWN", |status| status.texts().0).as_ptr()
}

/// What can be done about a status, as a sentence. The text is static, and empty for a number that is no status.
#[unsafe(no_mangle)]
pub extern "C" fn mdna_status_hint(status: i32) -> *const c_char {
    mdna_status::from_number(status).map_or(c"", |status| status.texts().1).as_ptr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_order_and_has_every_number_once() {
        assert!(mdna_status::ALL.windows(2).all(|pair| (pair[0] as i32) < pair[1] as i32));
    }

    #[test]
    fn the_list_has_every_status() {
        let source = include_str!("status.rs");
        let declared = source.lines().filter(|line| line.starts_with("    MDNA_") && line.contains(" = ")).count();
        assert_eq!(declared, mdna_status::ALL.len());
    }

    #[test]
    fn names_are_those_of_the_constants() {
        for status in mdna_status::ALL {
            assert_eq!(status.texts().0.to_str().unwrap(), format!("{status:?}"));
            let hint = status.texts().1.to_str().unwrap();
            assert!(hint.ends_with('.') && hint.len() > 5, "{status:?}: {hint}");
        }
    }

    #[test]
    fn what_is_no_status_has_a_name_too() {
        for number in [-1, 12, 9_999, i32::MAX] {
            // SAFETY: both give static texts.
            let texts = unsafe { (CStr::from_ptr(mdna_status_name(number)), CStr::from_ptr(mdna_status_hint(number))) };
            assert_eq!(texts, (c"MDNA_UNKNOWN", c""));
        }
    }
}
