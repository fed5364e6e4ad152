#ifndef MIRRORDNA_H
#define MIRRORDNA_H

/* Made by cbindgen from ffi/src. Change it there, then run scripts/header.sh. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The MirrorDNA vault: an embedded database for the identity and memory of AI agents.
 *
 * Status. A function that can fail returns a mdna_status, 0 when it was done. mdna_last_error() tells the calling
 * thread what happened, to what, and what to do about it. New numbers may come: treat one that you do not know as a
 * failure.
 *
 * Arguments come in this order: the handle, what goes in, what comes out. Outputs are written only when a function
 * returns MDNA_OK. An argument must not be NULL unless the function says that it may be; NULL for one that may be means
 * "none".
 *
 * Statuses that functions give without naming them. For any argument: MDNA_NULL_POINTER when it is NULL and must not
 * be, MDNA_INVALID_UTF8 for a text that is not UTF-8, MDNA_JSON for one that is not JSON, MDNA_UNKNOWN_COLLECTION for
 * a name of no collection, MDNA_UNSUPPORTED_VERSION for a structure of another version, MDNA_INVALID_ARGUMENT for an
 * empty path, a length that nothing has, and a truth value in a structure that is neither 0 nor 1. For any handle:
 * MDNA_INTERNAL, MDNA_POISONED and MDNA_FORKED. For what reads or changes a vault: MDNA_LOCKED when a process that does
 * not answer holds the vault; MDNA_UNANSWERED when the process that owns it did not answer, so that it is not known
 * whether a change was made; MDNA_CORRUPT, MDNA_PERMISSION, MDNA_NO_SPACE, MDNA_IO and MDNA_ENGINE of its files.
 *
 * Text goes in as UTF-8 that ends in NUL (paths: any bytes), and is copied: it may go away when the call returns. Text
 * comes out as a mdna_string, to be freed with mdna_string_free(), or as a static text, where the function says so.
 * Records, filters and reports are JSON, so that new fields break no program. Records come out as the canonical JSON of
 * the protocol, whose SHA-256 is the record's checksum.
 *
 * JSON that several functions give. Times are RFC 3339 in UTC, checksums and roots are hexadecimal digits.
 *
 * - An entry of the log (mdna_vault_log(), mdna_change): `operation` is "create", "update", "delete", "prune" or
 *   "epoch". `origin` is "direct" when somebody made the change, "import", "restore", or "rollback" when an import that
 *   did not finish was undone. `event` is the event of the timeline that the entry tells: "session_start",
 *   "session_end", "memory_created", "memory_accessed", "citation_created", "citation_updated", "state_snapshot" or
 *   "reflection_recorded". What an entry does not have is null.
 * - Health (mdna_vault_health(), mdna_health_check()): each of `checks` has `name`, `status` ("ok", "warning" or
 *   "failed") and `detail`, a sentence; `status` of the report is the worst of them.
 *
 * Limits. The argument `limit` of mdna_vault_log() and mdna_record_history() is 0 for all. The member `limit` of a
 * filter or a query is taken as it is, so that 0 is none; it is left out for all.
 *
 * Handles are pointers to opaque structures. Each says how it is freed; nothing else frees it, and freeing NULL does
 * nothing. A handle keeps open what it needs: a cursor, view, batch, file, watch or mount goes on working when the vault
 * handle that it came from is closed, and the vault itself is closed with the last of them.
 *
 * Threads. Any number of threads may use a handle at once, and different handles in any way. Freeing a handle is the
 * last use of it: no other call on it may be running or follow. mdna_last_error() is of the calling thread alone.
 *
 * Truth values in structures that you fill are 0 or 1; anything else is MDNA_INVALID_ARGUMENT.
 *
 * Callbacks get the user_data that was given with them. They must not leave by longjmp() or a C++ exception.
 *
 * fork(). Fork before the first vault is used, or exec() in the child. A process that has opened, created, restored,
 * verified or repaired a vault has threads of the storage engine for as long as it lives, which a child does not get. In
 * such a child every function that returns a mdna_status returns MDNA_FORKED, whatever it is called with, and freeing
 * handles of the parent frees nothing, which does no harm to either. It should end by _exit(): exit() leaves out there
 * what was registered with atexit() before the first vault was used. It keeps the vaults of its parent locked for
 * others, should that be killed, until it ends. exec(), posix_spawn() and system() are always possible. A handle that
 * was made before a fork() is MDNA_FORKED in the child in any case.
 *
 * Signals. The library installs no handlers, and its threads block all signals but those of faults (SIGSEGV, SIGBUS,
 * SIGFPE, SIGILL, SIGTRAP, SIGSYS): handlers run in threads of the program, a thread that waits with sigwait() gets what
 * all threads of the program block, and SIGPIPE need not be ignored. No function of the library may be called from a
 * handler, not even one that frees or cancels: set a flag in it that a callback of the work looks at, or have a thread
 * wait for the signal and act. Calls go on when a signal comes. So does mdna_mount_wait(): it returns when the mount
 * has ended, which another thread brings about with mdna_mount_stop().
 *
 * exit(). Free handles before the process ends. One that is freed by a handler of atexit(), or by the destructor of a
 * static object, that was registered before the first vault was opened is left alone: it is too late to close the vault,
 * which is then found as after a crash, with all that was made durable. In such places mdna_last_error() may be NULL: what
 * belongs to the thread is gone; the status is still returned.
 *
 * Bugs of the library. Should the library fail within itself, the call returns MDNA_INTERNAL and the handle that it was
 * made on can only be freed from then on (MDNA_POISONED); others go on.
 */

/* The version of this header; mdna_version() is that of the library. */
#define MDNA_VERSION "0.1.0"
#define MDNA_VERSION_MAJOR 0
#define MDNA_VERSION_MINOR 1
#define MDNA_VERSION_PATCH 0
/* The number of the interface; mdna_abi_version() is that of the library. */
#define MDNA_ABI_VERSION 0

/* Values to begin with for structures that carry their version. */
#define MDNA_OPEN_OPTIONS_INIT { MDNA_OPEN_OPTIONS_VERSION, MDNA_DURABILITY_SYNC, MDNA_OWNERSHIP_ANY, 5000, NULL }
#define MDNA_CREATE_OPTIONS_INIT { MDNA_CREATE_OPTIONS_VERSION, MDNA_DURABILITY_SYNC, NULL }
#define MDNA_PRUNE_OPTIONS_INIT { MDNA_PRUNE_OPTIONS_VERSION, 0, 0, 0, 0 }
#define MDNA_MOUNT_OPTIONS_INIT { MDNA_MOUNT_OPTIONS_VERSION, 0, 0, 0 }
#define MDNA_RETENTION_INIT { MDNA_RETENTION_VERSION, 0, 0, 0, 0, 0, 0 }
#define MDNA_S3_LIMITS_INIT { MDNA_S3_LIMITS_VERSION, 0, 0, 0, 0, 0 }
/* A mdna_string that holds nothing, and may be freed. */
#define MDNA_STRING_INIT { NULL, 0 }

/*
 * Before each function that can fail: the compiler warns when nobody looks at the status. Define it as nothing before the
 * header is included to have no warnings.
 */
#ifndef MDNA_MUST_USE
#if (defined(__cplusplus) && __cplusplus >= 201703L) || (defined(__STDC_VERSION__) && __STDC_VERSION__ >= 202311L)
#define MDNA_MUST_USE [[nodiscard]]
#elif defined(__GNUC__)
#define MDNA_MUST_USE __attribute__((warn_unused_result))
#else
#define MDNA_MUST_USE
#endif
#endif


/**
 * The version of `mdna_open_options` in this header.
 */
#define MDNA_OPEN_OPTIONS_VERSION 1

/**
 * The version of `mdna_create_options` in this header.
 */
#define MDNA_CREATE_OPTIONS_VERSION 1

/**
 * The version of `mdna_prune_options` in this header.
 */
#define MDNA_PRUNE_OPTIONS_VERSION 1

/**
 * The version of `mdna_s3_limits` in this header.
 */
#define MDNA_S3_LIMITS_VERSION 1

/**
 * The version of `mdna_retention` in this header.
 */
#define MDNA_RETENTION_VERSION 1

/**
 * A file is opened for reading.
 */
#define MDNA_OPEN_READ 1

/**
 * A file is opened for writing.
 */
#define MDNA_OPEN_WRITE 2

/**
 * A file is opened for writing at its end, wherever that is by then.
 */
#define MDNA_OPEN_APPEND 4

/**
 * A file is made when it is not there. This, like the two below, needs `MDNA_OPEN_WRITE` or `MDNA_OPEN_APPEND`.
 */
#define MDNA_OPEN_CREATE 8

/**
 * A file is made, and must not be there.
 */
#define MDNA_OPEN_CREATE_NEW 16

/**
 * What is in a file goes.
 */
#define MDNA_OPEN_TRUNCATE 32

/**
 * It is a failure when the new name is taken.
 */
#define MDNA_RENAME_NO_REPLACE 1

/**
 * The two names change places.
 */
#define MDNA_RENAME_EXCHANGE 2

/**
 * As a user or a group: it stays.
 */
#define MDNA_KEEP_ID 4294967295

/**
 * As a time: the present.
 */
#define MDNA_TIME_NOW -9223372036854775807

/**
 * As a time: it stays.
 */
#define MDNA_TIME_KEEP -9223372036854775806

/**
 * The version of `mdna_mount_options` in this header.
 */
#define MDNA_MOUNT_OPTIONS_VERSION 1

/**
 * How a call went. Numbers keep their meaning for ever, and new ones may come: treat one that you do not know as a
 * failure.
 */
enum mdna_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * It was done.
     */
    MDNA_OK = 0,
    /**
     * There is nothing more: a cursor is at its end. No failure, so `mdna_last_error()` is not set.
     */
    MDNA_END = 1,
    /**
     * The library itself failed. The handle that was used can only be freed from now on; others go on.
     */
    MDNA_INTERNAL = 2,
    /**
     * An earlier call on this handle ended with `MDNA_INTERNAL`.
     */
    MDNA_POISONED = 3,
    /**
     * The process is the child of one that has used a vault, or the handle was made before a `fork()`.
     */
    MDNA_FORKED = 4,
    /**
     * An argument is NULL that must not be.
     */
    MDNA_NULL_POINTER = 5,
    /**
     * A text is not UTF-8.
     */
    MDNA_INVALID_UTF8 = 6,
    /**
     * An argument cannot be used.
     */
    MDNA_INVALID_ARGUMENT = 7,
    /**
     * A structure has a version that this library does not know.
     */
    MDNA_UNSUPPORTED_VERSION = 8,
    /**
     * A callback stopped the work.
     */
    MDNA_CANCELLED = 9,
    /**
     * The batch was committed, or could not be.
     */
    MDNA_BATCH_CLOSED = 10,
    /**
     * There is no such record, key slot or backup.
     */
    MDNA_NOT_FOUND = 20,
    /**
     * The record is there already.
     */
    MDNA_EXISTS = 21,
    /**
     * The record was changed by somebody else in the meantime.
     */
    MDNA_STALE = 22,
    /**
     * A field, or a whole record, may not change.
     */
    MDNA_IMMUTABLE = 23,
    /**
     * What is asked for does not fit the state of the record.
     */
    MDNA_WRONG_STATE = 24,
    /**
     * A session names a parent that is not there.
     */
    MDNA_UNKNOWN_PARENT = 25,
    /**
     * A chain of records would lead back to itself.
     */
    MDNA_CYCLE = 26,
    /**
     * What is asked for lies before a prune, and no snapshot keeps it.
     */
    MDNA_PRUNED = 27,
    /**
     * There is no collection of this name.
     */
    MDNA_UNKNOWN_COLLECTION = 28,
    /**
     * It is more than a vault takes at once.
     */
    MDNA_LIMIT = 29,
    /**
     * The text is not JSON.
     */
    MDNA_JSON = 40,
    /**
     * The text is not YAML that the protocol can hold.
     */
    MDNA_YAML = 41,
    /**
     * It is JSON, but not an object.
     */
    MDNA_NOT_AN_OBJECT = 42,
    /**
     * The record breaks its schema.
     */
    MDNA_SCHEMA = 43,
    /**
     * The id cannot be one.
     */
    MDNA_INVALID_ID = 44,
    /**
     * The record is larger than 16 MiB.
     */
    MDNA_RECORD_TOO_LARGE = 45,
    /**
     * The record has too many tags.
     */
    MDNA_TOO_MANY_TAGS = 46,
    /**
     * A document is not what it should be.
     */
    MDNA_DOCUMENT = 47,
    /**
     * A document has another checksum than it says.
     */
    MDNA_CHECKSUM_MISMATCH = 48,
    /**
     * A document carries no checksum.
     */
    MDNA_UNVERIFIED = 49,
    /**
     * The directory holds no vault.
     */
    MDNA_NOT_A_VAULT = 60,
    /**
     * Something is there already; a new vault or repository needs a new or empty place.
     */
    MDNA_OCCUPIED = 61,
    /**
     * Somebody else holds it.
     */
    MDNA_LOCKED = 62,
    /**
     * The process that owns the vault did not answer: whether a change was made is not known.
     */
    MDNA_UNANSWERED = 63,
    /**
     * Only the process that owns the vault can do this.
     */
    MDNA_NOT_OWNER = 64,
    /**
     * It was written by a newer program.
     */
    MDNA_NEWER_FORMAT = 65,
    /**
     * It uses features that this program does not know.
     */
    MDNA_UNKNOWN_FEATURES = 66,
    /**
     * Stored bytes are not what was stored.
     */
    MDNA_CORRUPT = 67,
    /**
     * The operating system denies access.
     */
    MDNA_PERMISSION = 68,
    /**
     * The disk, or the quota, is full.
     */
    MDNA_NO_SPACE = 69,
    /**
     * Input or output failed.
     */
    MDNA_IO = 70,
    /**
     * The storage engine failed.
     */
    MDNA_ENGINE = 71,
    /**
     * The system gives no random bytes.
     */
    MDNA_NO_RANDOMNESS = 72,
    /**
     * A restore of a snapshot stopped in the middle and could not be undone: the vault stands between two states.
     */
    MDNA_HALF_RESTORED = 73,
    /**
     * A private key cannot be read.
     */
    MDNA_PRIVATE_KEY = 80,
    /**
     * There is no backup repository.
     */
    MDNA_NOT_A_REPOSITORY = 100,
    /**
     * The repository has no key slot.
     */
    MDNA_NO_KEY_SLOT = 101,
    /**
     * A key slot is damaged.
     */
    MDNA_DAMAGED_KEY_SLOT = 102,
    /**
     * A key slot asks for more than opening one may cost.
     */
    MDNA_HOSTILE_KEY_SLOT = 103,
    /**
     * No key slot opens with this secret.
     */
    MDNA_WRONG_SECRET = 104,
    /**
     * A secret is needed.
     */
    MDNA_SECRET_NEEDED = 105,
    /**
     * Something of the repository is gone.
     */
    MDNA_BACKUP_MISSING = 106,
    /**
     * The repository is older than the vault knows.
     */
    MDNA_ROLLED_BACK = 107,
    /**
     * A short name fits several backups or key slots.
     */
    MDNA_AMBIGUOUS = 108,
    /**
     * The vault kept being pruned while it was read.
     */
    MDNA_PRUNED_MEANWHILE = 109,
    /**
     * The lock on a repository did not last while a backup was made or taken over; it does not count.
     */
    MDNA_LOCK_LAPSED = 110,
    /**
     * There is nothing to mount on.
     */
    MDNA_MOUNTPOINT_MISSING = 120,
    /**
     * The mount point is not a directory.
     */
    MDNA_MOUNTPOINT_NOT_A_DIRECTORY = 121,
    /**
     * The mount point is not empty.
     */
    MDNA_MOUNTPOINT_NOT_EMPTY = 122,
    /**
     * A vault is mounted there already.
     */
    MDNA_ALREADY_MOUNTED = 123,
    /**
     * No vault is mounted there.
     */
    MDNA_NOT_MOUNTED = 124,
    /**
     * Somebody has files open there.
     */
    MDNA_MOUNT_IN_USE = 125,
    /**
     * The system has no FUSE.
     */
    MDNA_NO_FUSE = 126,
    /**
     * This process has set up logs in another way.
     */
    MDNA_LOG_IN_USE = 140,
    /**
     * There is no such file (`ENOENT`).
     */
    MDNA_FILE_NOT_FOUND = 160,
    /**
     * The name is taken (`EEXIST`).
     */
    MDNA_FILE_EXISTS = 161,
    /**
     * It is not a directory (`ENOTDIR`).
     */
    MDNA_FILE_NOT_A_DIRECTORY = 162,
    /**
     * It is a directory (`EISDIR`).
     */
    MDNA_FILE_IS_A_DIRECTORY = 163,
    /**
     * The directory is not empty (`ENOTEMPTY`).
     */
    MDNA_FILE_DIRECTORY_NOT_EMPTY = 164,
    /**
     * The root directory stays where it is (`EBUSY`).
     */
    MDNA_FILE_BUSY = 165,
    /**
     * The name is too long (`ENAMETOOLONG`).
     */
    MDNA_FILE_NAME_TOO_LONG = 166,
    /**
     * The file has too many names (`EMLINK`).
     */
    MDNA_FILE_TOO_MANY_LINKS = 167,
    /**
     * It cannot be done with a file (`EINVAL`).
     */
    MDNA_FILE_INVALID = 168,
    /**
     * It is not permitted (`EPERM`).
     */
    MDNA_FILE_NOT_PERMITTED = 169,
    /**
     * The file would be too large (`EFBIG`).
     */
    MDNA_FILE_TOO_LARGE = 170,
    /**
     * There is nothing at or after the offset (`ENXIO`).
     */
    MDNA_FILE_BEYOND_END = 171,
    /**
     * There is no such extended attribute (`ENODATA`).
     */
    MDNA_FILE_NO_ATTRIBUTE = 172,
    /**
     * The extended attribute is too large (`E2BIG`).
     */
    MDNA_FILE_ATTRIBUTE_TOO_LARGE = 173,
    /**
     * It is not supported (`EOPNOTSUPP`).
     */
    MDNA_FILE_UNSUPPORTED = 174,
    /**
     * The past cannot be changed (`EROFS`).
     */
    MDNA_FILE_READ_ONLY = 175,
    /**
     * The file is gone for good (`ESTALE`).
     */
    MDNA_FILE_GONE = 176,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum mdna_status mdna_status;
#else
typedef int32_t mdna_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * When a change counts as done.
 */
enum mdna_durability
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * When it is on disk: it survives a power cut.
     */
    MDNA_DURABILITY_SYNC = 0,
    /**
     * When it survives a crash of the process. A power cut may take the last changes, always a whole tail of them.
     */
    MDNA_DURABILITY_BUFFERED = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum mdna_durability mdna_durability;
#else
typedef uint32_t mdna_durability;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Whether this process wants to own the vault itself. One process does; others speak to it, and notice nothing but a
 * call that takes a little longer.
 */
enum mdna_ownership
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * It does not matter.
     */
    MDNA_OWNERSHIP_ANY = 0,
    /**
     * It asks the owner to hand the vault over.
     */
    MDNA_OWNERSHIP_WANTED = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum mdna_ownership mdna_ownership;
#else
typedef uint32_t mdna_ownership;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * The two languages of documents.
 */
enum mdna_format
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * JSON, indented by two.
     */
    MDNA_FORMAT_JSON = 0,
    /**
     * YAML in block style.
     */
    MDNA_FORMAT_YAML = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum mdna_format mdna_format;
#else
typedef uint32_t mdna_format;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * How grave a log message is.
 */
enum mdna_log_level
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Something failed.
     */
    MDNA_LOG_ERROR = 1,
    /**
     * Something is not as it should be.
     */
    MDNA_LOG_WARN = 2,
    /**
     * Something was done.
     */
    MDNA_LOG_INFO = 3,
    /**
     * For those who look for a fault.
     */
    MDNA_LOG_DEBUG = 4,
    /**
     * Everything.
     */
    MDNA_LOG_TRACE = 5,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum mdna_log_level mdna_log_level;
#else
typedef uint32_t mdna_log_level;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What a secret is.
 */
enum mdna_secret_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * A passphrase in UTF-8.
     */
    MDNA_SECRET_PASSPHRASE = 1,
    /**
     * The content of a key file.
     */
    MDNA_SECRET_KEY_FILE = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum mdna_secret_kind mdna_secret_kind;
#else
typedef uint32_t mdna_secret_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What a file is.
 */
enum mdna_file_type
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * An ordinary file.
     */
    MDNA_FILE_TYPE_REGULAR = 1,
    /**
     * A directory.
     */
    MDNA_FILE_TYPE_DIRECTORY = 2,
    /**
     * A symbolic link.
     */
    MDNA_FILE_TYPE_SYMLINK = 3,
    /**
     * A named pipe.
     */
    MDNA_FILE_TYPE_FIFO = 4,
    /**
     * A socket.
     */
    MDNA_FILE_TYPE_SOCKET = 5,
    /**
     * A device of blocks.
     */
    MDNA_FILE_TYPE_BLOCK_DEVICE = 6,
    /**
     * A device of characters.
     */
    MDNA_FILE_TYPE_CHAR_DEVICE = 7,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum mdna_file_type mdna_file_type;
#else
typedef uint32_t mdna_file_type;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * From where a position counts, or what is looked for.
 */
enum mdna_whence
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * From the beginning.
     */
    MDNA_SEEK_SET = 0,
    /**
     * From the position.
     */
    MDNA_SEEK_CUR = 1,
    /**
     * From the end.
     */
    MDNA_SEEK_END = 2,
    /**
     * The next data at or after an offset from the beginning.
     */
    MDNA_SEEK_DATA = 3,
    /**
     * The next hole at or after an offset from the beginning; the end counts as one.
     */
    MDNA_SEEK_HOLE = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum mdna_whence mdna_whence;
#else
typedef uint32_t mdna_whence;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Changes of records that are made together or not at all, in the name and with the durability of the vault handle
 * that it was begun with. Each change is checked at once, and sees those before it; one that fails leaves the batch as
 * it was. Nobody else sees any of them before `mdna_batch_commit()`. After that every call says `MDNA_BATCH_CLOSED`.
 * Any number of threads may use it at once; their changes come one after the other. It keeps the vault open, and is
 * freed with `mdna_batch_free()`.
 */
typedef struct mdna_batch mdna_batch;

/**
 * Results that are read one by one, page by page from the vault, so that their number does not matter. Threads that
 * share a cursor get each result once. It keeps the vault open, and is freed with `mdna_cursor_free()`.
 */
typedef struct mdna_cursor mdna_cursor;

/**
 * An open file of the artifacts, with a position of its own. Any number of threads may use it at once. It keeps the
 * vault open, and is closed with `mdna_file_close()`.
 */
typedef struct mdna_file mdna_file;

/**
 * A mounted vault. `mdna_mount_stop()` unmounts it; `mdna_mount_free()` does so even when somebody uses it. It keeps
 * the vault open.
 */
typedef struct mdna_mount mdna_mount;

/**
 * An open backup repository. Any number of threads may use it at once, for one piece of work each. It is closed with
 * `mdna_repository_close()`.
 */
typedef struct mdna_repository mdna_repository;

/**
 * How buckets are reached. A repository that is made or opened with it keeps what it says then, but for
 * `mdna_s3_settings_cancel()`. It is freed with `mdna_s3_settings_free()`, at any time.
 */
typedef struct mdna_s3_settings mdna_s3_settings;

/**
 * An open vault. Any number of threads may use it at once. It is closed with `mdna_vault_close()`; views, cursors,
 * watches and mounts that were made from it keep the vault itself open until they are freed, too.
 */
typedef struct mdna_vault mdna_vault;

/**
 * The vault as it was at one sequence of the log. As long as a view is there, a prune leaves what it needs. It is
 * freed with `mdna_view_free()`, and any number of threads may use it at once.
 */
typedef struct mdna_view mdna_view;

/**
 * Calls a function for every change of a vault. It keeps the vault open, and is ended with `mdna_watch_free()`.
 */
typedef struct mdna_watch mdna_watch;

/**
 * What went wrong in the last call of this thread that failed. The texts are the library's: they stay until another
 * call of this thread fails, or the thread ends.
 */
typedef struct mdna_error {
    /**
     * What the call returned.
     */
    mdna_status status;
    /**
     * Name of the status, as `"MDNA_NOT_FOUND"`.
     */
    const char *name;
    /**
     * What happened, to what, and what to do about it, in English.
     */
    const char *message;
    /**
     * What can be done about errors of this status.
     */
    const char *hint;
    /**
     * The id or path it is about; NULL when there is none.
     */
    const char *subject;
} mdna_error;

/**
 * Text that the library hands out: UTF-8, with a NUL behind it that is not counted. Do not change it; free it with
 * `mdna_string_free()`.
 */
typedef struct mdna_string {
    /**
     * The text; NULL for a structure that holds none.
     */
    char *data;
    /**
     * Its length in bytes, without the NUL.
     */
    size_t len;
} mdna_string;

/**
 * Is told of a log message, on whatever thread it is made, perhaps on several at once. `level` is a `mdna_log_level`,
 * `target` the part of the library, such as `"mirrordna::audit"`, `fields_json` an object with what the message is
 * about. The texts stay as long as the callback runs. It must not call the library, and must not leave by `longjmp()`
 * or a C++ exception.
 */
typedef void (*mdna_log_fn)(void *user_data,
                            uint32_t level,
                            const char *target,
                            const char *message,
                            const char *fields_json);

/**
 * How a vault is opened. Fill it with `MDNA_OPEN_OPTIONS_INIT`, then change what is to be different.
 */
typedef struct mdna_open_options {
    /**
     * `MDNA_OPEN_OPTIONS_VERSION`.
     */
    uint32_t version;
    /**
     * A `mdna_durability`: when changes count as done.
     */
    uint32_t durability;
    /**
     * A `mdna_ownership`.
     */
    uint32_t ownership;
    /**
     * How long to wait for a process that has the vault open and does not answer, in milliseconds.
     */
    uint32_t lock_timeout_ms;
    /**
     * Who the log names as the author of changes; NULL for `"system"`.
     */
    const char *actor;
} mdna_open_options;

/**
 * How a vault is created. Fill it with `MDNA_CREATE_OPTIONS_INIT`, then change what is to be different.
 */
typedef struct mdna_create_options {
    /**
     * `MDNA_CREATE_OPTIONS_VERSION`.
     */
    uint32_t version;
    /**
     * A `mdna_durability`: when changes count as done.
     */
    uint32_t durability;
    /**
     * Who the log names as the author of changes; NULL for `"system"`.
     */
    const char *actor;
} mdna_create_options;

/**
 * Where the log of a vault stands.
 */
typedef struct mdna_log_state {
    /**
     * The newest sequence, which is also the number of entries.
     */
    uint64_t sequence;
    /**
     * The newest sequence that a power cut cannot take.
     */
    uint64_t durable;
    /**
     * Before this sequence only what a snapshot pins can be read.
     */
    uint64_t horizon;
    /**
     * How many times the history may have lost a tail, or was restored.
     */
    uint64_t epoch;
    /**
     * Time of the newest entry, in microseconds since 1970, UTC.
     */
    int64_t time_us;
    /**
     * The Merkle root over all entries, 32 bytes of SHA-256.
     */
    uint8_t root[32];
} mdna_log_state;

/**
 * What a prune keeps. Fill it with `MDNA_PRUNE_OPTIONS_INIT`, then change what is to be different. What a snapshot
 * pins always stays.
 */
typedef struct mdna_prune_options {
    /**
     * `MDNA_PRUNE_OPTIONS_VERSION`.
     */
    uint32_t version;
    /**
     * Of each record the newest this many versions stay; 0 for no such rule.
     */
    uint32_t keep;
    /**
     * Versions that were current after this moment stay, in microseconds since 1970; used when `has_current_after` is
     * 1.
     */
    int64_t current_after_us;
    /**
     * Whether `current_after_us` counts: 0 or 1.
     */
    uint8_t has_current_after;
    /**
     * Only count what would be dropped: 0 or 1.
     */
    uint8_t dry_run;
} mdna_prune_options;

/**
 * What a vault knows of a version of a record.
 */
typedef struct mdna_record_info {
    /**
     * The log entry that brought this version.
     */
    uint64_t sequence;
    /**
     * When it was committed, in microseconds since 1970, UTC.
     */
    int64_t time_us;
    /**
     * The protocol checksum: SHA-256 of the record's canonical JSON, which is what the library hands out.
     */
    uint8_t checksum[32];
    /**
     * It breaks its schema and was imported all the same.
     */
    bool lenient;
} mdna_record_info;

/**
 * Follows work that takes a while: of `total` steps `done` are done in the part of the work that `phase` names, a
 * static text such as `"importing"`. It is called often and on the thread that called the library, so it should be
 * quick. Returning 0 lets the work go on; anything else stops it, and then it ends with `MDNA_CANCELLED`; functions
 * whose work cannot be stopped say so. It must not start other work of this kind on the same vault, nor change the
 * vault: while a snapshot is restored all writers wait for the end of it, and it would wait for itself. And it must not
 * leave by `longjmp()` or a C++ exception.
 */
typedef int (*mdna_progress_fn)(void *user_data, const char *phase, uint64_t done, uint64_t total);

/**
 * A change of a vault. The texts are the library's and stay as long as the callback runs.
 */
typedef struct mdna_change {
    /**
     * The log entry of the change.
     */
    uint64_t sequence;
    /**
     * When it was made, in microseconds since 1970, UTC.
     */
    int64_t time_us;
    /**
     * `"create"`, `"update"`, `"delete"`, `"prune"` or `"epoch"`.
     */
    const char *operation;
    /**
     * The collection of the record, `"artifacts"` for files; NULL when no record was changed.
     */
    const char *collection;
    /**
     * The id of the record; empty when no record was changed.
     */
    const char *id;
    /**
     * Who made the change.
     */
    const char *actor;
    /**
     * Whether it is the last entry of its commit.
     */
    bool end_of_commit;
    /**
     * The whole log entry as JSON. See `mdna_vault_log()`.
     */
    const char *json;
} mdna_change;

/**
 * Is told of one change after the other, in order of the log, with the `user_data` of its watch, on a thread of the
 * library. `status` is `MDNA_OK`; any other one says that the watch has ended because the log could not be read: then
 * `change` is NULL and `mdna_last_error()` says why. It may take its time and use the vault in any way: nobody waits
 * for it. It may free its own watch. It must not leave by `longjmp()` or a C++ exception.
 */
typedef void (*mdna_watch_fn)(void *user_data, mdna_status status, const struct mdna_change *change);

/**
 * How long is waited for a bucket. Fill it with `MDNA_S3_LIMITS_INIT`, then change what is to be different; 0 is what
 * is recommended.
 */
typedef struct mdna_s3_limits {
    /**
     * `MDNA_S3_LIMITS_VERSION`.
     */
    uint32_t version;
    /**
     * What a request may take, beside the time for what it carries, in milliseconds: 30,000.
     */
    uint32_t request_ms;
    /**
     * Bytes a second that a request carries at least; slower ones are given up: 32,768.
     */
    uint32_t rate;
    /**
     * How long something is tried again, from its first failure on, in milliseconds: 120,000. Where there is no server,
     * or it refuses connections, three attempts are made.
     */
    uint32_t retries_ms;
    /**
     * The pause before the second attempt, in milliseconds; it doubles from one to the next: 200.
     */
    uint32_t pause_ms;
    /**
     * The longest pause, in milliseconds: 10,000.
     */
    uint32_t longest_pause_ms;
} mdna_s3_limits;

/**
 * What opens a repository. The library wipes its own copies; wiping this one is up to the caller.
 */
typedef struct mdna_secret {
    /**
     * A `mdna_secret_kind`.
     */
    uint32_t kind;
    /**
     * The passphrase, or the content of the key file.
     */
    const uint8_t *data;
    /**
     * Its length in bytes.
     */
    size_t len;
} mdna_secret;

/**
 * What opening a key slot costs with Argon2id: to who opens it, and to who guesses. At most 2 GiB of memory, 64 passes and
 * 64 lanes, and memory times passes at most 8 GiB; a slot that asks for more is not made (`MDNA_INVALID_ARGUMENT`), since
 * nothing would open it.
 */
typedef struct mdna_key_cost {
    /**
     * Memory in KiB.
     */
    uint32_t memory_kib;
    /**
     * Passes over it.
     */
    uint32_t passes;
    /**
     * Lanes.
     */
    uint32_t lanes;
} mdna_key_cost;

/**
 * Which backups are kept: those that any rule keeps. Fill it with `MDNA_RETENTION_INIT`, then change what is to be
 * different.
 */
typedef struct mdna_retention {
    /**
     * `MDNA_RETENTION_VERSION`.
     */
    uint32_t version;
    /**
     * The newest so many.
     */
    uint32_t last;
    /**
     * The newest of each of the last so many hours that have one.
     */
    uint32_t hourly;
    /**
     * The newest of each of the last so many days that have one.
     */
    uint32_t daily;
    /**
     * The newest of each of the last so many weeks, from Monday on, that have one.
     */
    uint32_t weekly;
    /**
     * The newest of each of the last so many months that have one.
     */
    uint32_t monthly;
    /**
     * The newest of each of the last so many years that have one.
     */
    uint32_t yearly;
} mdna_retention;

/**
 * What `stat` says of a file. Times are in nanoseconds since 1970, UTC.
 */
typedef struct mdna_file_info {
    /**
     * Its inode number.
     */
    uint64_t ino;
    /**
     * Its size in bytes.
     */
    uint64_t size;
    /**
     * Blocks of 512 bytes that its content takes.
     */
    uint64_t blocks;
    /**
     * When it was last read, as whoever set it says: reading does not change it.
     */
    int64_t atime_ns;
    /**
     * When its content last changed.
     */
    int64_t mtime_ns;
    /**
     * When anything about it last changed.
     */
    int64_t ctime_ns;
    /**
     * When it was made.
     */
    int64_t btime_ns;
    /**
     * A `mdna_file_type`.
     */
    uint32_t kind;
    /**
     * Permissions, set-id and sticky bits.
     */
    uint32_t mode;
    /**
     * The user that owns it.
     */
    uint32_t uid;
    /**
     * The group that owns it.
     */
    uint32_t gid;
    /**
     * How many names it has.
     */
    uint32_t nlink;
    /**
     * The number of the device that it stands for.
     */
    uint32_t rdev;
} mdna_file_info;

/**
 * How a vault is mounted. Fill it with `MDNA_MOUNT_OPTIONS_INIT`, then change what is to be different.
 */
typedef struct mdna_mount_options {
    /**
     * `MDNA_MOUNT_OPTIONS_VERSION`.
     */
    uint32_t version;
    /**
     * For reading only: 0 or 1.
     */
    uint8_t read_only;
    /**
     * Others than the mounting user may look in: 0 or 1. Root may mount so; others only when `/etc/fuse.conf` says
     * `user_allow_other`.
     */
    uint8_t allow_other;
    /**
     * `artifacts/` is served over the connection of the records, though it could have one of its own, which is faster:
     * 0 or 1.
     */
    uint8_t one_connection;
} mdna_mount_options;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The name of a status, as `"MDNA_NOT_FOUND"`; for a number that is none, `"MDNA_UNKNOWN"`. The text is static.
 */
const char *mdna_status_name(int32_t status);

/**
 * What can be done about a status, as a sentence. The text is static, and empty for a number that is no status.
 */
const char *mdna_status_hint(int32_t status);

/**
 * The last error of the calling thread; NULL when no call of it has failed. A call that succeeds leaves it as it is,
 * so look at it only after a failure. `MDNA_OK` and `MDNA_END` are no failures.
 */
const struct mdna_error *mdna_last_error(void);

/**
 * The version of the library that is loaded, as `"0.1.0"`. `MDNA_VERSION` is that of the header. The text is static.
 */
const char *mdna_version(void);

/**
 * The number of the interface that the loaded library has. A program needs a library with the `MDNA_ABI_VERSION` that
 * it was compiled with; the name of the shared library holds it, too.
 */
uint32_t mdna_abi_version(void);

/**
 * What the library was built as: a JSON object with `version`, `abi` and `target`. The text is static.
 */
const char *mdna_build_info(void);

/**
 * Frees the text in a structure, which is wiped before, and sets the structure to hold none, so that freeing it twice
 * does no harm. `string` may be NULL.
 */
void mdna_string_free(struct mdna_string *string);

/**
 * The next result, as JSON text to be freed with `mdna_string_free()`.
 *
 * Returns `MDNA_END` when there is none; after a failure, too, there is nothing more.
 */
MDNA_MUST_USE
mdna_status mdna_cursor_next(struct mdna_cursor *cursor, struct mdna_string *out_json);

/**
 * Where a listing of records stands, as text that means nothing to anybody else: a filter with it as `after` goes on
 * behind the records that were read, in this process or another one. It is empty before the first one. That it comes
 * from a listing of another collection, order or vault is not noticed, and leads elsewhere. Free it with
 * `mdna_string_free()`.
 *
 * Fails with `MDNA_INVALID_ARGUMENT` for a cursor that no filter was given for: of versions, events, files and what a
 * search found.
 */
MDNA_MUST_USE
mdna_status mdna_cursor_position(struct mdna_cursor *cursor, struct mdna_string *out_position);

/**
 * Frees a cursor, whether it was read to its end or not. `cursor` may be NULL.
 */
void mdna_cursor_free(struct mdna_cursor *cursor);

/**
 * Hands the log messages of this process to `callback`. `level` is the least grave level that is handed out (`"off"`,
 * `"error"`, `"warn"`, `"info"`, `"debug"`, `"trace"`), or levels by target with commas between them:
 * `"warn,mirrordna::audit=info"`. A later call replaces level and callback; when it returns, the former callback does
 * not run any more. `callback` may be NULL: then nothing is handed out. `user_data` may be NULL. Private keys and the
 * content of records are in no message.
 *
 * Fails with `MDNA_INVALID_ARGUMENT` for a level that is none, and with `MDNA_LOG_IN_USE` when the program has set up
 * the logs of this process in another way.
 */
MDNA_MUST_USE
mdna_status mdna_log_set(const char *level, mdna_log_fn callback, void *user_data);

/**
 * Opens the vault in the directory `path`, also one that other processes have open. `options` may be NULL. Free the
 * handle with `mdna_vault_close()`.
 *
 * Fails with `MDNA_NOT_A_VAULT`, with `MDNA_LOCKED` when a process that does not answer holds the vault, with
 * `MDNA_NEWER_FORMAT` and `MDNA_UNKNOWN_FEATURES` for a vault of a newer library, and with `MDNA_CORRUPT`.
 */
MDNA_MUST_USE
mdna_status mdna_vault_open(const char *path, const struct mdna_open_options *options, struct mdna_vault **out);

/**
 * Makes a new vault in the directory `path`, which must be new or empty, and opens it. `options` may be NULL. Free the
 * handle with `mdna_vault_close()`.
 *
 * Fails with `MDNA_OCCUPIED` when something is there, and with `MDNA_PERMISSION`, `MDNA_NO_SPACE` or `MDNA_IO`.
 */
MDNA_MUST_USE
mdna_status mdna_vault_create(const char *path, const struct mdna_create_options *options, struct mdna_vault **out);

/**
 * Makes everything durable that was changed.
 *
 * Fails with `MDNA_NO_SPACE`, `MDNA_IO` or `MDNA_ENGINE`.
 */
MDNA_MUST_USE
mdna_status mdna_vault_flush(struct mdna_vault *vault);

/**
 * Closes a handle on a vault. No other thread may use this handle any more. Call `mdna_vault_flush()` before to learn
 * of errors. `vault` may be NULL.
 */
void mdna_vault_close(struct mdna_vault *vault);

/**
 * Another handle on the same vault, in whose name the log speaks. Free it with `mdna_vault_close()`.
 */
MDNA_MUST_USE
mdna_status mdna_vault_as_actor(struct mdna_vault *vault, const char *actor, struct mdna_vault **out);

/**
 * Another handle on the same vault, whose changes count as done at another point: `durability` is a `mdna_durability`.
 * Free it with `mdna_vault_close()`.
 *
 * Fails with `MDNA_INVALID_ARGUMENT` for any other number.
 */
MDNA_MUST_USE
mdna_status mdna_vault_with_durability(struct mdna_vault *vault, uint32_t durability, struct mdna_vault **out);

/**
 * The id of a vault, as `"vault_0123456789abcdef"`. Free it with `mdna_string_free()`.
 */
MDNA_MUST_USE
mdna_status mdna_vault_id(struct mdna_vault *vault, struct mdna_string *out_id);

/**
 * The directory of a vault. Free it with `mdna_string_free()`. Bytes of the path that are not UTF-8 are replaced.
 */
MDNA_MUST_USE
mdna_status mdna_vault_path(struct mdna_vault *vault, struct mdna_string *out_path);

/**
 * Who the log names as the author of changes through this handle. Free it with `mdna_string_free()`.
 */
MDNA_MUST_USE
mdna_status mdna_vault_actor(struct mdna_vault *vault, struct mdna_string *out_actor);

/**
 * Where the log of a vault stands.
 *
 * Fails with `MDNA_LOCKED` when the process that owns the vault does not answer.
 */
MDNA_MUST_USE
mdna_status mdna_vault_state(struct mdna_vault *vault, struct mdna_log_state *out_state);

/**
 * How much a vault holds, as a JSON object: `records` (collection to number), `memory_tiers`, `memories_archived`,
 * `sequence`, `durable_sequence`, `root`, `newest_entry`, `epoch`, `disk_bytes`, `vault_id`. Free it with
 * `mdna_string_free()`.
 */
MDNA_MUST_USE
mdna_status mdna_vault_overview(struct mdna_vault *vault, struct mdna_string *out_json);

/**
 * Whether a vault is well: quick checks, the same for a vault of any size, as a JSON object with `checks`, a list of
 * objects with `name`, `status` and `detail` (what was found, and what to do about it), and `status`, the worst of
 * theirs: `"ok"`, `"warning"` (it works, and somebody should look at it) or `"failed"`. What is stored is proven by
 * `mdna_vault_verify()`. Free it with `mdna_string_free()`.
 */
MDNA_MUST_USE
mdna_status mdna_vault_health(struct mdna_vault *vault, struct mdna_string *out_json);

/**
 * Drops versions that neither the rules of `options` nor a snapshot need. `out_json` gets a JSON object with
 * `versions`, `bytes`, `kept`, `file_rows`, `chunks`, `chunk_bytes`, to be freed with `mdna_string_free()`, and may be
 * NULL.
 *
 * Fails with `MDNA_INVALID_ARGUMENT` when `options` has no rule, or a truth value that is neither 0 nor 1.
 */
MDNA_MUST_USE
mdna_status mdna_vault_prune(struct mdna_vault *vault,
                             const struct mdna_prune_options *options,
                             struct mdna_string *out_json);

/**
 * Entries of the log from the sequence `from` on (the first is 1), at most `limit`, or all for 0: JSON objects with
 * `sequence`, `time`, `operation`, `origin`, `event`, `collection`, `id`, `session`, `agent`, `actor`, `commitment`,
 * `end_of_commit` and `detail`. Free the cursor with `mdna_cursor_free()`.
 */
MDNA_MUST_USE
mdna_status mdna_vault_log(struct mdna_vault *vault, uint64_t from, uint64_t limit, struct mdna_cursor **out);

/**
 * Whether the vault in the directory `path` is well: that it opens, who may read it, the space that is left, and what
 * `mdna_vault_health()` looks at. It never fails because of the vault: what goes wrong is in the report, which is as
 * that of `mdna_vault_health()`. `options` may be NULL. Free the report with `mdna_string_free()`.
 */
MDNA_MUST_USE
mdna_status mdna_health_check(const char *path, const struct mdna_open_options *options, struct mdna_string *out_json);

/**
 * Stores a record that is not there yet. `collection` is one of `identities`, `sessions`, `memories`, `agent_dna`,
 * `timeline`, `snapshots`, `reflections`, `citations`, `entries`, `agent_links`, `glyphtrail`. `out_id` gets its id,
 * to be freed with `mdna_string_free()`, and may be NULL.
 *
 * Fails with `MDNA_EXISTS`, with `MDNA_SCHEMA`, `MDNA_INVALID_ID` and others that say what is wrong with the record,
 * and with `MDNA_UNKNOWN_PARENT`, `MDNA_CYCLE`, `MDNA_CHECKSUM_MISMATCH` by the rules of its kind. After a failure
 * nothing is changed.
 */
MDNA_MUST_USE
mdna_status mdna_record_create(struct mdna_vault *vault,
                               const char *collection,
                               const char *record_json,
                               struct mdna_string *out_id);

/**
 * Stores a record: creates it, or adds a version when its id is there. `out_id` gets its id, to be freed with
 * `mdna_string_free()`, and may be NULL.
 *
 * Fails as `mdna_record_create()`, but for `MDNA_EXISTS`, and with `MDNA_IMMUTABLE`.
 */
MDNA_MUST_USE
mdna_status mdna_record_put(struct mdna_vault *vault,
                            const char *collection,
                            const char *record_json,
                            struct mdna_string *out_id);

/**
 * The newest version of a record, as canonical JSON, verified. Free it with `mdna_string_free()`.
 *
 * Fails with `MDNA_NOT_FOUND`, and with `MDNA_CORRUPT` when what is stored is not what was stored.
 */
MDNA_MUST_USE
mdna_status mdna_record_get(struct mdna_vault *vault,
                            const char *collection,
                            const char *id,
                            struct mdna_string *out_json);

/**
 * What the vault knows of the newest version of a record.
 *
 * Fails as `mdna_record_get()`.
 */
MDNA_MUST_USE
mdna_status mdna_record_describe(struct mdna_vault *vault,
                                 const char *collection,
                                 const char *id,
                                 struct mdna_record_info *out_info);

/**
 * The records of a collection that fit a filter. `filter_json` may be NULL, for all of them in order of the log; else
 * it is an object: `limit` (a number; 0 is none), `order` (`"log"`, `"newest"`: created last, or `"time"`: by the
 * record's own time, newest first), `archived` (true or false), `since` and `until` (RFC 3339; the record's own time
 * is at or after the one and before the other), `after` (what `mdna_cursor_position()` gave, with the same order). Any
 * other member is the path of a field, with dots between keys, and what must stand there, a text, a number, true,
 * false or null: `{"tier": "long_term", "metadata.tags": "work", "limit": 10}`. A list fits when one of its items is
 * the value; null also fits where the field is missing; an object fits nothing. A text is no number and not null,
 * whatever it says. Free the cursor with `mdna_cursor_free()`.
 *
 * Fails with `MDNA_INVALID_ARGUMENT` for a filter that cannot be used.
 */
MDNA_MUST_USE
mdna_status mdna_record_list(struct mdna_vault *vault,
                             const char *collection,
                             const char *filter_json,
                             struct mdna_cursor **out);

/**
 * Deletes a record; its history stays.
 *
 * Fails with `MDNA_NOT_FOUND`.
 */
MDNA_MUST_USE
mdna_status mdna_record_delete(struct mdna_vault *vault, const char *collection, const char *id);

/**
 * What a record was, newest first, at most `limit` versions, or all when it is 0: JSON objects with `sequence`,
 * `time`, `deleted`, `checksum`, `lenient` (true when it broke its schema and was imported all the same) and `record`,
 * the last three null for a deletion. Free the cursor with `mdna_cursor_free()`; where a version is damaged it ends
 * with `MDNA_CORRUPT`, after those that are newer.
 *
 * Fails with `MDNA_NOT_FOUND` for a record that never was.
 */
MDNA_MUST_USE
mdna_status mdna_record_history(struct mdna_vault *vault,
                                const char *collection,
                                const char *id,
                                uint64_t limit,
                                struct mdna_cursor **out);

/**
 * Makes an identity with a new Ed25519 key. `identity_type` is `"user"`, `"agent"` or `"system"`; `metadata_json` is
 * an object and may be NULL. `out_json` gets the identity as a JSON object and in it, as `_private_key`, the only copy
 * of its private key: the vault does not keep it. Free it with `mdna_string_free()`, which wipes it.
 *
 * Fails with `MDNA_INVALID_ARGUMENT` for another type, and with `MDNA_SCHEMA` for metadata that breaks the schema.
 */
MDNA_MUST_USE
mdna_status mdna_identity_create(struct mdna_vault *vault,
                                 const char *identity_type,
                                 const char *metadata_json,
                                 struct mdna_string *out_json);

/**
 * An identity. See `mdna_record_get()`.
 */
MDNA_MUST_USE
mdna_status mdna_identity_get(struct mdna_vault *vault, const char *identity_id, struct mdna_string *out_json);

/**
 * Signs a claim in the name of an identity: Ed25519 over `<identity_id>:<claim>`. `private_key` is what
 * `mdna_identity_create()` gave. `out_signature` gets 88 characters of base64, to be freed with `mdna_string_free()`.
 *
 * Fails with `MDNA_NOT_FOUND`, with `MDNA_PRIVATE_KEY` for a text that is no key, and with `MDNA_WRONG_STATE` when it
 * is the key of another identity.
 */
MDNA_MUST_USE
mdna_status mdna_identity_sign(struct mdna_vault *vault,
                               const char *identity_id,
                               const char *claim,
                               const char *private_key,
                               struct mdna_string *out_signature);

/**
 * Whether a signature over a claim is by an identity of the vault. Anything malformed is not.
 *
 * Fails with `MDNA_NOT_FOUND` for an unknown identity.
 */
MDNA_MUST_USE
mdna_status mdna_identity_verify(struct mdna_vault *vault,
                                 const char *identity_id,
                                 const char *claim,
                                 const char *signature,
                                 bool *out_valid);

/**
 * Signs a claim without a vault. See `mdna_identity_sign()`.
 *
 * Fails with `MDNA_PRIVATE_KEY`.
 */
MDNA_MUST_USE
mdna_status mdna_claim_sign(const char *private_key,
                            const char *identity_id,
                            const char *claim,
                            struct mdna_string *out_signature);

/**
 * Whether a signature over a claim is by the owner of a public key (base64), without a vault. Anything malformed is
 * not.
 */
MDNA_MUST_USE
mdna_status mdna_claim_verify(const char *public_key,
                              const char *identity_id,
                              const char *claim,
                              const char *signature,
                              bool *out_valid);

/**
 * Makes a new Ed25519 key. `out_private_key` gets it in base64, the only copy. Free it with `mdna_string_free()`, which
 * wipes it.
 *
 * Fails with `MDNA_NO_RANDOMNESS`.
 */
MDNA_MUST_USE
mdna_status mdna_key_new(struct mdna_string *out_private_key);

/**
 * The public key (base64) of a private one. Free it with `mdna_string_free()`.
 *
 * Fails with `MDNA_PRIVATE_KEY`.
 */
MDNA_MUST_USE
mdna_status mdna_key_public(const char *private_key, struct mdna_string *out_public_key);

/**
 * Starts a session of an agent with a user. `parent_id`, the session that it goes on from, may be NULL. `out_json`
 * gets the session, to be freed with `mdna_string_free()`, and may be NULL.
 *
 * Fails with `MDNA_UNKNOWN_PARENT`, and with `MDNA_SCHEMA` for ids of another form.
 */
MDNA_MUST_USE
mdna_status mdna_session_start(struct mdna_vault *vault,
                               const char *agent_id,
                               const char *user_id,
                               const char *parent_id,
                               struct mdna_string *out_json);

/**
 * Starts a session with a context: an object that becomes its `context_metadata`. `parent_id` may be NULL,
 * `context_json` may be NULL. See `mdna_session_start()`; `out_json` may be NULL.
 */
MDNA_MUST_USE
mdna_status mdna_session_start_with(struct mdna_vault *vault,
                                    const char *agent_id,
                                    const char *user_id,
                                    const char *parent_id,
                                    const char *context_json,
                                    struct mdna_string *out_json);

/**
 * Ends a session. `final_state_json` is an object that is merged into `context_metadata.final_state`, and may be NULL.
 * `out_json` gets the session, to be freed with `mdna_string_free()`, and may be NULL.
 *
 * Fails with `MDNA_NOT_FOUND`, and with `MDNA_WRONG_STATE` when it has ended.
 */
MDNA_MUST_USE
mdna_status mdna_session_end(struct mdna_vault *vault,
                             const char *session_id,
                             const char *final_state_json,
                             struct mdna_string *out_json);

/**
 * A session. See `mdna_record_get()`.
 */
MDNA_MUST_USE
mdna_status mdna_session_get(struct mdna_vault *vault, const char *session_id, struct mdna_string *out_json);

/**
 * Sessions that fit a filter. `filter_json` may be NULL. See `mdna_record_list()`.
 */
MDNA_MUST_USE
mdna_status mdna_session_list(struct mdna_vault *vault, const char *filter_json, struct mdna_cursor **out);

/**
 * A session and those it goes back to: a JSON object with `sessions`, from the oldest ancestor to the session itself,
 * and `missing_parent`, the parent of the oldest one when it has one that is not in the vault, else null. Free it with
 * `mdna_string_free()`.
 *
 * Fails with `MDNA_NOT_FOUND`, and with `MDNA_CYCLE` when imported sessions go back to each other.
 */
MDNA_MUST_USE
mdna_status mdna_session_lineage(struct mdna_vault *vault, const char *session_id, struct mdna_string *out_json);

/**
 * What the sessions of a lineage have gathered: a JSON object with `session_count` and `sessions`, each with
 * `session_id`, `started_at`, `ended_at` and `metadata`. Free it with `mdna_string_free()`.
 *
 * Fails as `mdna_session_lineage()`.
 */
MDNA_MUST_USE
mdna_status mdna_session_context(struct mdna_vault *vault, const char *session_id, struct mdna_string *out_json);

/**
 * Writes a memory: a record as JSON, in which `memory_id` and `source.timestamp` are made when they are missing.
 * `out_id` gets its id, to be freed with `mdna_string_free()`, and may be NULL.
 *
 * Fails with `MDNA_SCHEMA` and others that say what is wrong with the record, and with `MDNA_EXISTS` when it has an id
 * that is taken.
 */
MDNA_MUST_USE
mdna_status mdna_memory_add(struct mdna_vault *vault, const char *memory_json, struct mdna_string *out_id);

/**
 * A memory. Reading it counts no access; see `mdna_memory_count_access()` and `mdna_record_get()`.
 */
MDNA_MUST_USE
mdna_status mdna_memory_get(struct mdna_vault *vault, const char *id, struct mdna_string *out_json);

/**
 * Memories that fit a filter, in order of the log. `filter_json` may be NULL. See `mdna_record_list()`; paths of
 * memories that are indexed: `tier`, `source.session_id`, `source.agent_id`, `source.user_id`, `metadata.tags`.
 */
MDNA_MUST_USE
mdna_status mdna_memory_list(struct mdna_vault *vault, const char *filter_json, struct mdna_cursor **out);

/**
 * Memories that hold a text, without regard to case, in their text or in keys and values of structured content: newest
 * `source.timestamp` first. Every memory holds the empty text. `filter_json` may be NULL; its `order` is not used. See
 * `mdna_record_list()`.
 */
MDNA_MUST_USE
mdna_status mdna_memory_search(struct mdna_vault *vault,
                               const char *query,
                               const char *filter_json,
                               struct mdna_cursor **out);

/**
 * Changes a memory: `update_json` is an object with `content` (text or an object) or `metadata` (an object whose
 * members are set; null removes one), or both. `out_json` gets the memory, to be freed with `mdna_string_free()`, and
 * may be NULL.
 *
 * Fails with `MDNA_NOT_FOUND`, `MDNA_SCHEMA`, and with `MDNA_INVALID_ARGUMENT` for other members.
 */
MDNA_MUST_USE
mdna_status mdna_memory_update(struct mdna_vault *vault,
                               const char *id,
                               const char *update_json,
                               struct mdna_string *out_json);

/**
 * Moves a memory to another tier: `"short_term"`, `"long_term"` or `"episodic"`. `out_json` gets the memory, to be
 * freed with `mdna_string_free()`, and may be NULL.
 *
 * Fails with `MDNA_NOT_FOUND`, and with `MDNA_INVALID_ARGUMENT` for another name.
 */
MDNA_MUST_USE
mdna_status mdna_memory_promote(struct mdna_vault *vault,
                                const char *id,
                                const char *tier,
                                struct mdna_string *out_json);

/**
 * Marks a memory as archived, with the time. `out_json` gets the memory, to be freed with `mdna_string_free()`, and
 * may be NULL.
 *
 * Fails with `MDNA_NOT_FOUND`, and with `MDNA_WRONG_STATE` when it is archived.
 */
MDNA_MUST_USE
mdna_status mdna_memory_archive(struct mdna_vault *vault, const char *id, struct mdna_string *out_json);

/**
 * Counts an access to a memory: `metadata.access_count` goes up by one, and `metadata.last_accessed` becomes now.
 * `out_json` gets the memory, to be freed with `mdna_string_free()`, and may be NULL.
 *
 * Fails with `MDNA_NOT_FOUND`.
 */
MDNA_MUST_USE
mdna_status mdna_memory_count_access(struct mdna_vault *vault, const char *id, struct mdna_string *out_json);

/**
 * Deletes a memory; its history stays.
 *
 * Fails with `MDNA_NOT_FOUND`.
 */
MDNA_MUST_USE
mdna_status mdna_memory_delete(struct mdna_vault *vault, const char *id);

/**
 * Stores a version of an agent's DNA: a record as JSON, in which `agent_dna_id` is made from agent and version when it
 * is missing. `out_id` gets its id, to be freed with `mdna_string_free()`, and may be NULL.
 *
 * Fails with `MDNA_SCHEMA`, and with `MDNA_EXISTS` when the agent has this version.
 */
MDNA_MUST_USE
mdna_status mdna_dna_create(struct mdna_vault *vault, const char *dna_json, struct mdna_string *out_id);

/**
 * All versions of an agent's DNA, the oldest version first. Free the cursor with `mdna_cursor_free()`.
 */
MDNA_MUST_USE
mdna_status mdna_dna_versions(struct mdna_vault *vault, const char *agent_id, struct mdna_cursor **out);

/**
 * The latest version of an agent's DNA by semantic version, as JSON to be freed with `mdna_string_free()`.
 *
 * Fails with `MDNA_NOT_FOUND` when the agent has no DNA.
 */
MDNA_MUST_USE
mdna_status mdna_dna_latest(struct mdna_vault *vault, const char *agent_id, struct mdna_string *out_json);

/**
 * The behavioral constraints of the latest version of an agent's DNA, as a JSON list of texts, empty when the agent
 * has no DNA. Free it with `mdna_string_free()`.
 */
MDNA_MUST_USE
mdna_status mdna_dna_constraints(struct mdna_vault *vault, const char *agent_id, struct mdna_string *out_json);

/**
 * Records a reflection: an object with `agent_id`, `reflection_type` (`"decision"`, `"capability"`, `"alignment"`,
 * `"performance"`, `"state"` or `"meta"`), `observation`, and perhaps `context` (an object), `evaluation`, `insights`
 * and `actions_taken` (lists of texts) and `metadata`. Its id and time are made. `out_json` gets the record, to be
 * freed with `mdna_string_free()`, and may be NULL.
 *
 * Fails with `MDNA_INVALID_ARGUMENT` and `MDNA_SCHEMA`, which say what is wrong.
 */
MDNA_MUST_USE
mdna_status mdna_reflection_add(struct mdna_vault *vault, const char *reflection_json, struct mdna_string *out_json);

/**
 * Records a decision, and checks which constraints of the agent's DNA were considered. `constraints_json` is a list of
 * texts and may be NULL; `context_json` is an object and may be NULL. `out_json` gets the record, to be freed with
 * `mdna_string_free()`, and may be NULL.
 *
 * Fails with `MDNA_SCHEMA`.
 */
MDNA_MUST_USE
mdna_status mdna_reflection_decision(struct mdna_vault *vault,
                                     const char *agent_id,
                                     const char *decision,
                                     const char *rationale,
                                     const char *constraints_json,
                                     const char *context_json,
                                     struct mdna_string *out_json);

/**
 * Records the use of a capability. `notes` may be NULL. `out_json` gets the record, to be freed with
 * `mdna_string_free()`, and may be NULL.
 *
 * Fails with `MDNA_SCHEMA`.
 */
MDNA_MUST_USE
mdna_status mdna_reflection_capability(struct mdna_vault *vault,
                                       const char *agent_id,
                                       const char *capability,
                                       const char *usage_context,
                                       bool success,
                                       const char *notes,
                                       struct mdna_string *out_json);

/**
 * Records the state an agent is in, an object, with what it sees in it: `observations_json`, a list of texts, may be
 * NULL. `out_json` gets the record, to be freed with `mdna_string_free()`, and may be NULL.
 *
 * Fails with `MDNA_INVALID_ARGUMENT` when the state is not an object, and with `MDNA_SCHEMA`.
 */
MDNA_MUST_USE
mdna_status mdna_reflection_state(struct mdna_vault *vault,
                                  const char *agent_id,
                                  const char *state_json,
                                  const char *observations_json,
                                  struct mdna_string *out_json);

/**
 * Records what follows from other reflections, whose ids `reflection_ids_json` lists. `out_json` gets the record, to
 * be freed with `mdna_string_free()`, and may be NULL.
 *
 * Fails with `MDNA_NOT_FOUND` for a reflection that is not there, and with `MDNA_SCHEMA`.
 */
MDNA_MUST_USE
mdna_status mdna_reflection_meta(struct mdna_vault *vault,
                                 const char *agent_id,
                                 const char *reflection_ids_json,
                                 const char *synthesis,
                                 struct mdna_string *out_json);

/**
 * Reflections, newest first. `agent_id` may be NULL for those of all agents, `reflection_type` may be NULL for those
 * of all types. Free the cursor with `mdna_cursor_free()`.
 *
 * Fails with `MDNA_INVALID_ARGUMENT` for another type.
 */
MDNA_MUST_USE
mdna_status mdna_reflection_list(struct mdna_vault *vault,
                                 const char *agent_id,
                                 const char *reflection_type,
                                 struct mdna_cursor **out);

/**
 * How an agent's capabilities did, as a JSON object: `agent_id`; `capabilities`, the texts of its latest DNA;
 * `capability_performance`, which has for each of these an object with `usage_count`, `success_count` and
 * `success_rate` (from 0 to 1; 0 when it was never used); and `total_capability_reflections`, which also counts
 * capabilities that the DNA does not name. Free it with `mdna_string_free()`.
 *
 * Fails with `MDNA_NOT_FOUND` for an agent without DNA.
 */
MDNA_MUST_USE
mdna_status mdna_reflection_introspect(struct mdna_vault *vault, const char *agent_id, struct mdna_string *out_json);

/**
 * Appends an event. `event_type` is one of the protocol's: `"session_start"`, `"session_end"`, `"memory_created"`,
 * `"memory_accessed"`, `"identity_verified"`, `"vault_accessed"`, `"citation_created"`, `"citation_updated"`,
 * `"state_snapshot"`, `"reflection_recorded"`, `"config_loaded"` or `"custom"`; `payload_json` is an object and may be
 * NULL; `session_id` may be NULL; `timestamp` (RFC 3339) may be NULL: the event is of this moment. `out_json` gets the event as in
 * `mdna_timeline_query()`, to be freed with `mdna_string_free()`, and may be NULL.
 *
 * Fails with `MDNA_SCHEMA`, and with `MDNA_INVALID_ARGUMENT` for a time that is none.
 */
MDNA_MUST_USE
mdna_status mdna_timeline_append(struct mdna_vault *vault,
                                 const char *event_type,
                                 const char *actor,
                                 const char *payload_json,
                                 const char *session_id,
                                 const char *timestamp,
                                 struct mdna_string *out_json);

/**
 * The events that fit a query, oldest first, appended ones and those that the log tells. `query_json` may be NULL for
 * all; else it is an object with any of `event_type`, `actor`, `session`, `since`, `until` (RFC 3339; at or after the
 * one and before the other) and `limit` (a number; 0 is none). Each event is a JSON object with `id`, `timestamp`,
 * `event_type`, `actor`, and, where it has them, `payload` (an object), `related_session_id`, `related_agent_id`,
 * `related_vault_id`, `checksum` (of the payload) and `tags`. The payload of one that the log tells has the id of the
 * record, under the name that it has in the record: `memory_id` for `"memory_created"`. Free the cursor with
 * `mdna_cursor_free()`.
 *
 * Fails with `MDNA_INVALID_ARGUMENT` for a query that cannot be used.
 */
MDNA_MUST_USE
mdna_status mdna_timeline_query(struct mdna_vault *vault, const char *query_json, struct mdna_cursor **out);

/**
 * The summary of all events: a JSON object with `timeline_id`, `total_events`, `event_types` (type to number),
 * `unique_actors` (a number), and `first_event` and `last_event`, the times of these, null when there is none.
 * `timeline_id` may be NULL for the id of the vault. Free it with `mdna_string_free()`.
 */
MDNA_MUST_USE
mdna_status mdna_timeline_summary(struct mdna_vault *vault, const char *timeline_id, struct mdna_string *out_json);

/**
 * The days that have events, as a JSON list of texts such as `"2025-03-01"`, in order. Free it with
 * `mdna_string_free()`.
 */
MDNA_MUST_USE
mdna_status mdna_timeline_days(struct mdna_vault *vault, struct mdna_string *out_json);

/**
 * The events of a timeline file, `len` bytes of JSON at `text`, that fit a query, in the order of the file.
 * `query_json` may be NULL. See `mdna_timeline_query()`; whether the events keep their schema is not looked at. Free
 * the cursor with `mdna_cursor_free()`.
 *
 * Fails with `MDNA_JSON`, with `MDNA_DOCUMENT` when it is no timeline file or was cut, and with
 * `MDNA_INVALID_ARGUMENT` for a query that cannot be used.
 */
MDNA_MUST_USE
mdna_status mdna_timeline_file_query(const char *text, size_t len, const char *query_json, struct mdna_cursor **out);

/**
 * The summary of a timeline file, `len` bytes of JSON at `text`. See `mdna_timeline_summary()`. Free it with
 * `mdna_string_free()`.
 *
 * Fails with `MDNA_JSON`, and with `MDNA_DOCUMENT` when it is no timeline file or was cut.
 */
MDNA_MUST_USE
mdna_status mdna_timeline_file_summary(const char *text, size_t len, struct mdna_string *out_json);

/**
 * The chain that a master citation stands in: a JSON object with `records`, from the first predecessor to the last
 * successor that is in the vault, and `missing_predecessor` and `missing_successor`, ids at which the chain leaves the
 * vault, or null. Free it with `mdna_string_free()`.
 *
 * Fails with `MDNA_NOT_FOUND`.
 */
MDNA_MUST_USE
mdna_status mdna_citation_chain(struct mdna_vault *vault, const char *citation_id, struct mdna_string *out_json);

/**
 * The chain that a glyphtrail entry stands in. See `mdna_citation_chain()`.
 */
MDNA_MUST_USE
mdna_status mdna_glyph_chain(struct mdna_vault *vault, const char *glyph_id, struct mdna_string *out_json);

/**
 * Begins a batch. Free it with `mdna_batch_free()`.
 */
MDNA_MUST_USE
mdna_status mdna_batch_begin(struct mdna_vault *vault, struct mdna_batch **out);

/**
 * Stores a record that is not there yet. See `mdna_record_create()`; `out_id` may be NULL.
 */
MDNA_MUST_USE
mdna_status mdna_batch_create(struct mdna_batch *batch,
                              const char *collection,
                              const char *record_json,
                              struct mdna_string *out_id);

/**
 * Stores a record: creates it, or adds a version when its id is there. See `mdna_record_put()`; `out_id` may be NULL.
 */
MDNA_MUST_USE
mdna_status mdna_batch_put(struct mdna_batch *batch,
                           const char *collection,
                           const char *record_json,
                           struct mdna_string *out_id);

/**
 * A record as it is after the changes of the batch, as canonical JSON to be freed with `mdna_string_free()`. The batch
 * relies on it from then on: `mdna_batch_commit()` fails when somebody changes it before.
 *
 * Fails with `MDNA_NOT_FOUND`, and with `MDNA_STALE` when the batch relies on another version of it.
 */
MDNA_MUST_USE
mdna_status mdna_batch_get(struct mdna_batch *batch,
                           const char *collection,
                           const char *id,
                           struct mdna_string *out_json);

/**
 * Deletes a record; its history stays.
 *
 * Fails with `MDNA_NOT_FOUND`.
 */
MDNA_MUST_USE
mdna_status mdna_batch_delete(struct mdna_batch *batch, const char *collection, const char *id);

/**
 * Writes a memory, perhaps of a session that the batch itself has started. See `mdna_memory_add()`; `out_id` may be
 * NULL.
 */
MDNA_MUST_USE
mdna_status mdna_batch_memory_add(struct mdna_batch *batch, const char *memory_json, struct mdna_string *out_id);

/**
 * Changes a memory. See `mdna_memory_update()`; `out_json` may be NULL.
 */
MDNA_MUST_USE
mdna_status mdna_batch_memory_update(struct mdna_batch *batch,
                                     const char *id,
                                     const char *update_json,
                                     struct mdna_string *out_json);

/**
 * Moves a memory to another tier. See `mdna_memory_promote()`; `out_json` may be NULL.
 */
MDNA_MUST_USE
mdna_status mdna_batch_memory_promote(struct mdna_batch *batch,
                                      const char *id,
                                      const char *tier,
                                      struct mdna_string *out_json);

/**
 * Marks a memory as archived. See `mdna_memory_archive()`; `out_json` may be NULL.
 */
MDNA_MUST_USE
mdna_status mdna_batch_memory_archive(struct mdna_batch *batch, const char *id, struct mdna_string *out_json);

/**
 * Counts an access to a memory. See `mdna_memory_count_access()`; `out_json` may be NULL.
 */
MDNA_MUST_USE
mdna_status mdna_batch_memory_count_access(struct mdna_batch *batch, const char *id, struct mdna_string *out_json);

/**
 * Starts a session. `parent_id`, which may be a session that the batch has started, may be NULL. `context_json` may be
 * NULL, `out_json` may be NULL. See `mdna_session_start_with()`.
 */
MDNA_MUST_USE
mdna_status mdna_batch_session_start(struct mdna_batch *batch,
                                     const char *agent_id,
                                     const char *user_id,
                                     const char *parent_id,
                                     const char *context_json,
                                     struct mdna_string *out_json);

/**
 * Ends a session. `final_state_json` may be NULL, `out_json` may be NULL. See `mdna_session_end()`.
 */
MDNA_MUST_USE
mdna_status mdna_batch_session_end(struct mdna_batch *batch,
                                   const char *session_id,
                                   const char *final_state_json,
                                   struct mdna_string *out_json);

/**
 * Makes all changes of a batch, in one commit. `out_sequence` gets the sequence of the last one, or, when there are
 * none, that of the vault, and may be NULL. Whether it succeeds or not, the batch is closed; it is still to be freed.
 *
 * Fails with `MDNA_STALE` when somebody else changed a record that the batch has read or changed: begin it again.
 * Then, and after any other failure but `MDNA_UNANSWERED`, nothing is changed.
 */
MDNA_MUST_USE
mdna_status mdna_batch_commit(struct mdna_batch *batch, uint64_t *out_sequence);

/**
 * Frees a batch. What was not committed is not done. `batch` may be NULL.
 */
void mdna_batch_free(struct mdna_batch *batch);

/**
 * Takes a snapshot of the vault as it is now. It costs the same in a vault of any size, and it is durable, as all that
 * it pins, when this returns. `snapshot_id` may be NULL: then one is made. `out_id` gets the id, to be freed with
 * `mdna_string_free()`, and may be NULL.
 *
 * Fails with `MDNA_EXISTS` for an id that is taken, and with `MDNA_INVALID_ID` or `MDNA_SCHEMA` for one that cannot be
 * an id.
 */
MDNA_MUST_USE
mdna_status mdna_snapshot_create(struct mdna_vault *vault, const char *snapshot_id, struct mdna_string *out_id);

/**
 * Takes a snapshot whose file embeds the records when `full` is true, with metadata: an object. `snapshot_id` may be
 * NULL, `metadata_json` may be NULL, `out_id` may be NULL. See `mdna_snapshot_create()`.
 */
MDNA_MUST_USE
mdna_status mdna_snapshot_create_with(struct mdna_vault *vault,
                                      const char *snapshot_id,
                                      bool full,
                                      const char *metadata_json,
                                      struct mdna_string *out_id);

/**
 * A snapshot, as JSON: `snapshot_id`, `timestamp`, `sequence`, `tree_size`, `root`, `full`, `version`, `metadata`.
 * Free it with `mdna_string_free()`.
 *
 * Fails with `MDNA_NOT_FOUND`.
 */
MDNA_MUST_USE
mdna_status mdna_snapshot_get(struct mdna_vault *vault, const char *snapshot_id, struct mdna_string *out_json);

/**
 * All snapshots, oldest first. Free the cursor with `mdna_cursor_free()`.
 */
MDNA_MUST_USE
mdna_status mdna_snapshot_list(struct mdna_vault *vault, struct mdna_cursor **out);

/**
 * Deletes a snapshot. What only it needed stays until the next prune.
 *
 * Fails with `MDNA_NOT_FOUND`.
 */
MDNA_MUST_USE
mdna_status mdna_snapshot_delete(struct mdna_vault *vault, const char *snapshot_id);

/**
 * The vault as it was at a snapshot. Free the view with `mdna_view_free()`.
 *
 * Fails with `MDNA_NOT_FOUND`.
 */
MDNA_MUST_USE
mdna_status mdna_snapshot_view(struct mdna_vault *vault, const char *snapshot_id, struct mdna_view **out);

/**
 * The file of a snapshot, which the protocol's other implementations load: always the same bytes. `format` is a
 * `mdna_format`. Free it with `mdna_string_free()`.
 *
 * Fails with `MDNA_NOT_FOUND`.
 */
MDNA_MUST_USE
mdna_status mdna_snapshot_render(struct mdna_vault *vault,
                                 const char *snapshot_id,
                                 uint32_t format,
                                 struct mdna_string *out_text);

/**
 * Brings the present to a snapshot, by new changes on the log: nothing of the history is lost. `progress` may be NULL
 * and `user_data` may be NULL; what `progress` returns is not looked at, for a restore is finished once it began,
 * after a crash by whoever opens the vault next. `out_json` gets an object with `sequence` (of the snapshot), and
 * `put_back` and `deleted`, numbers of records, to be freed with `mdna_string_free()`, and may be NULL.
 *
 * A restore that fails in the middle is undone, and the error says why it failed. With `MDNA_HALF_RESTORED` that failed,
 * too: the vault stands between the two states, in all processes. It can be read, and its history and snapshots are whole;
 * every change of it fails with the reason, such as `MDNA_NO_SPACE`, until the restore is finished or undone. That is
 * tried every second, and when the vault is opened.
 *
 * Fails with `MDNA_NOT_FOUND`, and with `MDNA_HALF_RESTORED`.
 */
MDNA_MUST_USE
mdna_status mdna_snapshot_restore(struct mdna_vault *vault,
                                  const char *snapshot_id,
                                  mdna_progress_fn progress,
                                  void *user_data,
                                  struct mdna_string *out_json);

/**
 * Reads a snapshot file, of the vault or a foreign one, in JSON or YAML, and verifies its checksum. Nothing is stored.
 * One without a checksum is refused unless `allow_unverified` is true. Free the JSON object with `mdna_string_free()`.
 *
 * Fails with `MDNA_CHECKSUM_MISMATCH`, `MDNA_UNVERIFIED`, `MDNA_DOCUMENT` and `MDNA_IO`.
 */
MDNA_MUST_USE
mdna_status mdna_snapshot_load(const char *path, bool allow_unverified, struct mdna_string *out_json);

/**
 * The vault as it was at a sequence of the log. Free the view with `mdna_view_free()`.
 *
 * Fails with `MDNA_INVALID_ARGUMENT` for a sequence beyond the end of the log, and with `MDNA_PRUNED` for one below
 * the horizon of a prune that no snapshot pins.
 */
MDNA_MUST_USE
mdna_status mdna_vault_at(struct mdna_vault *vault, uint64_t sequence, struct mdna_view **out);

/**
 * Frees a view. `view` may be NULL.
 */
void mdna_view_free(struct mdna_view *view);

/**
 * The sequence that a view shows.
 */
MDNA_MUST_USE
mdna_status mdna_view_sequence(struct mdna_view *view, uint64_t *out_sequence);

/**
 * A record as it was, as canonical JSON to be freed with `mdna_string_free()`.
 *
 * Fails with `MDNA_NOT_FOUND` when it was not there.
 */
MDNA_MUST_USE
mdna_status mdna_view_get(struct mdna_view *view, const char *collection, const char *id, struct mdna_string *out_json);

/**
 * What the vault knows of the version that a view shows of a record.
 *
 * Fails as `mdna_view_get()`.
 */
MDNA_MUST_USE
mdna_status mdna_view_describe(struct mdna_view *view,
                               const char *collection,
                               const char *id,
                               struct mdna_record_info *out_info);

/**
 * All records of a collection as they were, in order of the id. Free the cursor with `mdna_cursor_free()`.
 */
MDNA_MUST_USE
mdna_status mdna_view_list(struct mdna_view *view, const char *collection, struct mdna_cursor **out);

/**
 * The events of the timeline as it was. `query_json` may be NULL. See `mdna_timeline_query()`.
 */
MDNA_MUST_USE
mdna_status mdna_view_timeline(struct mdna_view *view, const char *query_json, struct mdna_cursor **out);

/**
 * The summary of the events of the timeline as it was. `timeline_id` may be NULL. See `mdna_timeline_summary()`.
 */
MDNA_MUST_USE
mdna_status mdna_view_timeline_summary(struct mdna_view *view, const char *timeline_id, struct mdna_string *out_json);

/**
 * The records that differ between two views: JSON objects with `difference` (`"added"`, `"removed"`, `"changed"`),
 * `collection` and `id`. Free the cursor with `mdna_cursor_free()`.
 *
 * Fails with `MDNA_INVALID_ARGUMENT` for views of two vaults.
 */
MDNA_MUST_USE
mdna_status mdna_view_diff(struct mdna_view *first, struct mdna_view *second, struct mdna_cursor **out);

/**
 * Writes what a view shows as a store folder of the protocol. See `mdna_export_store()`. `progress` may be NULL,
 * `user_data` may be NULL, `out_json` may be NULL.
 */
MDNA_MUST_USE
mdna_status mdna_view_export(struct mdna_view *view,
                             const char *dir,
                             mdna_progress_fn progress,
                             void *user_data,
                             struct mdna_string *out_json);

/**
 * Calls `callback` for every change of a vault from the log entry `from` on, or from now on when `from` is 0. A
 * program that keeps the sequence of the last change that it has acted on misses none when it begins at the next one.
 * `user_data` may be NULL; it is used on a thread of the library. End the watch with `mdna_watch_free()`.
 *
 * Fails with `MDNA_NULL_POINTER` when `callback` is NULL, and with `MDNA_LOCKED` when the process that owns the vault does
 * not answer. When it stops answering later, changes come once it does; a watch that has to read the log meanwhile
 * ends with `MDNA_LOCKED`.
 */
MDNA_MUST_USE
mdna_status mdna_watch_start(struct mdna_vault *vault,
                             uint64_t from,
                             mdna_watch_fn callback,
                             void *user_data,
                             struct mdna_watch **out);

/**
 * Ends a watch. When this returns, its callback does not run and will not be called again; inside the callback itself
 * it returns at once, and the call that is running is the last one. `watch` may be NULL.
 */
void mdna_watch_free(struct mdna_watch *watch);

/**
 * Checks everything that is stored: every record against its checksum and schema, heads and indexes against the
 * versions, the log against its Merkle root. Damage is no failure, but in the report, a JSON object: `clean`, true
 * when nothing is wrong; `vault_id` and `root`, null when the vault cannot be opened at all; `entries` of the log;
 * `versions` that are sound; `fault_count`; `faults`, the first 10,000, each with `subject` (what it is about),
 * `problem`, and `derived`, true when `mdna_repair_path()` makes it again; `lenient`, records that break their schema
 * and were imported all the same, the first 10,000, each with `collection` and `id`. Free it with
 * `mdna_string_free()`.
 */
MDNA_MUST_USE
mdna_status mdna_vault_verify(struct mdna_vault *vault, struct mdna_string *out_report_json);

/**
 * As `mdna_vault_verify()`; `progress` is told how far it is, and what it returns is not looked at. `progress` may be
 * NULL, and `user_data` may be NULL.
 */
MDNA_MUST_USE
mdna_status mdna_vault_verify_with(struct mdna_vault *vault,
                                   mdna_progress_fn progress,
                                   void *user_data,
                                   struct mdna_string *out_report_json);

/**
 * Verifies the vault in the directory `path` without changing anything there, also one that is too damaged to be
 * opened. `options` may be NULL. See `mdna_vault_verify_with()`. `progress` may be NULL, and `user_data` may be NULL.
 *
 * Fails with `MDNA_NOT_A_VAULT` and `MDNA_LOCKED`.
 */
MDNA_MUST_USE
mdna_status mdna_verify_path(const char *path,
                             const struct mdna_open_options *options,
                             mdna_progress_fn progress,
                             void *user_data,
                             struct mdna_string *out_report_json);

/**
 * Makes what is derived (heads, indexes, Merkle tiles) again from the log and the versions, in the vault in the
 * directory `path`, which nobody may have open, and verifies it. `options` may be NULL. See
 * `mdna_vault_verify_with()`. `progress` may be NULL, and `user_data` may be NULL.
 *
 * Fails with `MDNA_CORRUPT` when log or versions themselves are damaged, and with `MDNA_LOCKED`.
 */
MDNA_MUST_USE
mdna_status mdna_repair_path(const char *path,
                             const struct mdna_open_options *options,
                             mdna_progress_fn progress,
                             void *user_data,
                             struct mdna_string *out_report_json);

/**
 * Imports a store folder of the protocol's other implementations, or one that `mdna_export_store()` wrote: all of it
 * or, after a failure, nothing. Records that cannot be taken do not fail it, but are named in the report; with
 * `lenient` also records are taken that break their schema, marked so that a verification shows them. `progress` may
 * be NULL and `user_data` may be NULL. `out_report_json` gets the report, to be freed with `mdna_string_free()`, and
 * may be NULL.
 *
 * The report is a JSON object. `collections` has for each collection that had records an object with `taken` (new in
 * the vault), `skipped` (in the vault already, and equal), `refused`, `repaired` (of those taken or skipped: fields
 * that were null where the schema allows no null were read as missing) and `lenient` (of those taken: broken, and
 * marked so); `total` is their sum. `refused` and `lenient` list what is wrong: objects with `file` (its name in the
 * folder), `collection`, `id`, `cause` (`"schema"`, `"id"`, `"checksum"`, `"limit"`, `"text"`, `"key"`, `"cycle"` or
 * `"conflict"`) and `reason`, a sentence. `missing_parents` lists sessions that were taken and whose parent is not in
 * the vault, with `session_id` and `parent_session_id`. `configs` lists the configurations of the folder, which are
 * verified and not taken, with `name`, `outcome` (`"verified"`, `"unverified"` or `"failed"`) and `detail` (the hash
 * function, null, or what is wrong). `ignored` lists the names of files that are not read.
 *
 * Fails with `MDNA_INVALID_ARGUMENT` when the folder holds nothing to import, with `MDNA_IO`, `MDNA_DOCUMENT` and
 * `MDNA_CANCELLED`.
 */
MDNA_MUST_USE
mdna_status mdna_import_store(struct mdna_vault *vault,
                              const char *dir,
                              bool lenient,
                              mdna_progress_fn progress,
                              void *user_data,
                              struct mdna_string *out_report_json);

/**
 * Imports the events of a timeline file. Events whose id is there are skipped. `progress` may be NULL, `user_data` may
 * be NULL, `out_report_json` may be NULL. See `mdna_import_store()`.
 */
MDNA_MUST_USE
mdna_status mdna_import_timeline(struct mdna_vault *vault,
                                 const char *file,
                                 bool lenient,
                                 mdna_progress_fn progress,
                                 void *user_data,
                                 struct mdna_string *out_report_json);

/**
 * Imports a backup of the reference: `NAME.tar.gz` or `NAME.tar.gz.enc`, with `NAME_metadata.json` beside it.
 * `passphrase` may be NULL for one that is not encrypted. `progress` may be NULL, `user_data` may be NULL,
 * `out_report_json` may be NULL. See `mdna_import_store()`.
 *
 * Fails with `MDNA_INVALID_ARGUMENT` when it is encrypted and no passphrase is given, and with `MDNA_DOCUMENT` when
 * the passphrase is wrong or the file is damaged.
 */
MDNA_MUST_USE
mdna_status mdna_import_backup(struct mdna_vault *vault,
                               const char *file,
                               const char *passphrase,
                               bool lenient,
                               mdna_progress_fn progress,
                               void *user_data,
                               struct mdna_string *out_report_json);

/**
 * Writes the vault as a store folder of the protocol, one state of it also while others write. `dir` must be new or
 * empty; it appears with all its files on disk, or not at all. `progress` may be NULL and `user_data` may be NULL.
 * `out_json` gets an object with `sequence`, `collections` and `lenient`, to be freed with `mdna_string_free()`, and
 * may be NULL.
 *
 * Fails with `MDNA_INVALID_ARGUMENT` when `dir` is not new or empty, with `MDNA_IO` and `MDNA_CANCELLED`.
 */
MDNA_MUST_USE
mdna_status mdna_export_store(struct mdna_vault *vault,
                              const char *dir,
                              mdna_progress_fn progress,
                              void *user_data,
                              struct mdna_string *out_json);

/**
 * Writes the events that fit a query into a timeline file. An older file of this name is replaced once the new one is
 * complete. `query_json` may be NULL; see `mdna_timeline_query()`. `progress` may be NULL and `user_data` may be NULL.
 * `out_count` gets the number of events, and may be NULL.
 *
 * Fails with `MDNA_INVALID_ARGUMENT`, `MDNA_IO` and `MDNA_CANCELLED`; then there is no new file.
 */
MDNA_MUST_USE
mdna_status mdna_export_timeline(struct mdna_vault *vault,
                                 const char *query_json,
                                 const char *file,
                                 mdna_progress_fn progress,
                                 void *user_data,
                                 uint64_t *out_count);

/**
 * Makes an id for a new record of `identities`, `sessions`, `memories`, `snapshots`, `citations`, `entries` or
 * `glyphtrail`: of random bytes and, where ids of the collection have it in them, the time. `identity_type`, which may
 * be NULL for all but an identity and is not looked at for others, is `"user"`, `"agent"` or `"system"`. `out_id` gets
 * the id, to be freed with `mdna_string_free()`.
 *
 * Fails with `MDNA_INVALID_ARGUMENT` for collections whose ids say of what they are: `timeline` (`mdna_id_event()`),
 * `reflections` (`mdna_id_reflection()`), `agent_dna` (`mdna_id_dna()`) and `agent_links` (the id of the agent); with
 * `MDNA_NULL_POINTER` for an identity without a type, and with `MDNA_NO_RANDOMNESS`.
 */
MDNA_MUST_USE
mdna_status mdna_id_new(const char *collection, const char *identity_type, struct mdna_string *out_id);

/**
 * The id of an event: of its time to the second, and a number that no other event of this second has. `timestamp` is
 * its time (RFC 3339), and may be NULL for the present time. `out_id` gets the id, to be freed with
 * `mdna_string_free()`.
 *
 * Fails with `MDNA_INVALID_ARGUMENT` for a time that is none.
 */
MDNA_MUST_USE
mdna_status mdna_id_event(const char *timestamp, uint64_t counter, struct mdna_string *out_id);

/**
 * The id of a reflection: of its agent, its time to the second, and a number that no other reflection of this agent
 * and second has. `timestamp` is its time (RFC 3339), and may be NULL for the present time. `out_id` gets the id, to
 * be freed with `mdna_string_free()`. An agent whose id is no id makes one that is none; see `mdna_id_check()`.
 *
 * Fails with `MDNA_INVALID_ARGUMENT` for a time that is none.
 */
MDNA_MUST_USE
mdna_status mdna_id_reflection(const char *agent_id,
                               const char *timestamp,
                               uint64_t counter,
                               struct mdna_string *out_id);

/**
 * The id of a version, such as `1.2.0`, of the DNA of an agent. `out_id` gets the id, to be freed with
 * `mdna_string_free()`. An agent or a version that cannot be one makes an id that is none; see `mdna_id_check()`.
 */
MDNA_MUST_USE
mdna_status mdna_id_dna(const char *agent_id, const char *version, struct mdna_string *out_id);

/**
 * Whether a record of a collection can have this id; nobody is asked whether one has it.
 *
 * Fails with `MDNA_INVALID_ID`, whose message says which form ids of the collection have.
 */
MDNA_MUST_USE
mdna_status mdna_id_check(const char *collection, const char *id);

/**
 * The canonical JSON of `len` bytes of JSON at `json`, of which a checksum is the SHA-256. Free it with
 * `mdna_string_free()`.
 *
 * Fails with `MDNA_JSON`.
 */
MDNA_MUST_USE
mdna_status mdna_json_canonical(const char *json, size_t len, struct mdna_string *out_json);

/**
 * The protocol checksum of `len` bytes of JSON at `json`: 64 hex digits, to be freed with `mdna_string_free()`.
 *
 * Fails with `MDNA_JSON`.
 */
MDNA_MUST_USE
mdna_status mdna_json_checksum(const char *json, size_t len, struct mdna_string *out_hex);

/**
 * The SHA-256 of `len` bytes at `data`, as files are checksummed: 64 hex digits, to be freed with
 * `mdna_string_free()`. `data` may be NULL when `len` is 0.
 */
MDNA_MUST_USE
mdna_status mdna_bytes_checksum(const uint8_t *data, size_t len, struct mdna_string *out_hex);

/**
 * The SHA-256 of the file at `path`, of any size: 64 hex digits, to be freed with `mdna_string_free()`.
 *
 * Fails with `MDNA_IO` and `MDNA_PERMISSION`.
 */
MDNA_MUST_USE
mdna_status mdna_path_checksum(const char *path, struct mdna_string *out_hex);

/**
 * Reads a document of `len` bytes at `text`, JSON or YAML as `format`, a `mdna_format`, says, as the functions take
 * records. Its checksum is not looked at. Free the JSON with `mdna_string_free()`.
 *
 * Fails with `MDNA_JSON` and `MDNA_YAML`, and with `MDNA_INVALID_ARGUMENT` for another format.
 */
MDNA_MUST_USE
mdna_status mdna_document_read(const char *text, size_t len, uint32_t format, struct mdna_string *out_json);

/**
 * Writes a document, an object of `len` bytes of JSON at `json`, for people to read: as JSON that is indented, or as
 * YAML; `format` is a `mdna_format`. What `mdna_document_read()` reads of it is equal and has the same checksum. Free
 * the text with `mdna_string_free()`.
 *
 * Fails with `MDNA_JSON` and `MDNA_NOT_AN_OBJECT`, and with `MDNA_INVALID_ARGUMENT` for another format.
 */
MDNA_MUST_USE
mdna_status mdna_document_write(const char *json, size_t len, uint32_t format, struct mdna_string *out_text);

/**
 * The checksum of a document, an object of `len` bytes of JSON at `json`: that of its canonical JSON without the member
 * `checksum`. Master citations and snapshot files carry it. Free the 64 hex digits with `mdna_string_free()`.
 *
 * Fails with `MDNA_JSON` and `MDNA_NOT_AN_OBJECT`.
 */
MDNA_MUST_USE
mdna_status mdna_document_checksum(const char *json, size_t len, struct mdna_string *out_hex);

/**
 * Sets the member `checksum` of a document, an object of `len` bytes of JSON at `json`, to what it must be. Free the
 * document, canonical JSON, with `mdna_string_free()`.
 *
 * Fails with `MDNA_JSON` and `MDNA_NOT_AN_OBJECT`.
 */
MDNA_MUST_USE
mdna_status mdna_document_seal(const char *json, size_t len, struct mdna_string *out_json);

/**
 * Verifies the member `checksum` of a document, an object of `len` bytes of JSON at `json`. One without it is refused
 * unless `allow_unverified` is true; one with a wrong one always is. `out_hex` gets the checksum, empty for a document
 * without one, to be freed with `mdna_string_free()`, and may be NULL.
 *
 * Fails with `MDNA_CHECKSUM_MISMATCH`, `MDNA_UNVERIFIED`, `MDNA_JSON` and `MDNA_NOT_AN_OBJECT`.
 */
MDNA_MUST_USE
mdna_status mdna_document_verify(const char *json, size_t len, bool allow_unverified, struct mdna_string *out_hex);

/**
 * Whether a record fits the schema of its collection; nothing is stored.
 *
 * Fails with `MDNA_SCHEMA`, whose message names each fault, and with `MDNA_NOT_AN_OBJECT`.
 */
MDNA_MUST_USE
mdna_status mdna_record_check(const char *collection, const char *record_json);

/**
 * The schema of a collection: JSON Schema, draft 7. Free it with `mdna_string_free()`.
 *
 * Fails with `MDNA_UNKNOWN_COLLECTION`.
 */
MDNA_MUST_USE
mdna_status mdna_schema_text(const char *collection, struct mdna_string *out_json);

/**
 * Reads a master citation of `len` bytes at `text`, JSON or YAML as `format`, a `mdna_format`, says, and verifies
 * that it keeps its schema and has the checksum that it says. Free the JSON object with `mdna_string_free()`.
 *
 * Fails with `MDNA_JSON`, `MDNA_YAML`, `MDNA_NOT_AN_OBJECT`, `MDNA_SCHEMA` and `MDNA_CHECKSUM_MISMATCH`, and with
 * `MDNA_INVALID_ARGUMENT` for another format.
 */
MDNA_MUST_USE
mdna_status mdna_citation_read(const char *text, size_t len, uint32_t format, struct mdna_string *out_json);

/**
 * A master citation to begin with: with a new id, a new vault id and the checksum that it must have. With `full` it
 * shows what may be there, too. A program that changes it gives it its checksum again with `mdna_document_seal()`.
 * Free the JSON object with `mdna_string_free()`.
 *
 * Fails with `MDNA_NO_RANDOMNESS`.
 */
MDNA_MUST_USE
mdna_status mdna_citation_template(bool full, struct mdna_string *out_json);

/**
 * Reads a vault configuration of `len` bytes at `text`, JSON or YAML as `format`, a `mdna_format`, says: an object
 * with the texts `vault_id`, `name`, `path` and `created_at`. Free the JSON object with `mdna_string_free()`.
 *
 * Fails with `MDNA_JSON`, `MDNA_YAML`, with `MDNA_DOCUMENT`, whose message names what is missing, and with
 * `MDNA_INVALID_ARGUMENT` for another format.
 */
MDNA_MUST_USE
mdna_status mdna_vault_config_read(const char *text, size_t len, uint32_t format, struct mdna_string *out_json);

/**
 * A vault configuration to begin with, for a vault at `path` (UTF-8), with a new vault id. With `full` it shows what
 * may be there, too. No vault is made. Free the JSON object with `mdna_string_free()`.
 *
 * Fails with `MDNA_NO_RANDOMNESS`.
 */
MDNA_MUST_USE
mdna_status mdna_vault_config_template(const char *path, bool full, struct mdna_string *out_json);

/**
 * What stands in the file `NAME.checksum.json` beside a configuration `NAME.json` of `len` bytes of JSON at `json`.
 * `algorithm` is `"sha256"` or `"sha512"`, `version` is that of the configuration. It covers the value and not the
 * bytes: spaces and the order of keys may change. Free the text, a JSON object with `algorithm`, `hash`, `version` and
 * `created_at`, with `mdna_string_free()`.
 *
 * Fails with `MDNA_JSON`, and with `MDNA_INVALID_ARGUMENT` for another algorithm.
 */
MDNA_MUST_USE
mdna_status mdna_config_seal(const char *json,
                             size_t len,
                             const char *algorithm,
                             const char *version,
                             struct mdna_string *out_text);

/**
 * Verifies a configuration of `len` bytes of JSON at `json` by the text of its file `NAME.checksum.json`. `name` names
 * it in messages.
 *
 * Fails with `MDNA_CHECKSUM_MISMATCH`, with `MDNA_UNVERIFIED` when the file has no hash, with `MDNA_DOCUMENT` when the
 * file is not what it should be, and with `MDNA_JSON`.
 */
MDNA_MUST_USE
mdna_status mdna_config_verify(const char *name, const char *json, size_t len, const char *checksum_json);

/**
 * Makes settings for buckets: those that the variables `AWS_*` of the process hold now (see `mdna_repository_init()`),
 * or, with `from_environment` false, none. Free them with `mdna_s3_settings_free()`.
 */
MDNA_MUST_USE
mdna_status mdna_s3_settings_new(bool from_environment, struct mdna_s3_settings **out);

/**
 * Frees settings. Repositories that were opened with them go on. `settings` may be NULL.
 */
void mdna_s3_settings_free(struct mdna_s3_settings *settings);

/**
 * Sets what a variable says for repositories that are opened from now on: `name` is `"AWS_ACCESS_KEY_ID"` or another one
 * of `mdna_repository_init()`. `value` may be NULL: then it says nothing.
 *
 * Fails with `MDNA_INVALID_ARGUMENT` for a name that says nothing of buckets; the message has all that do. What a value
 * is good for is told when it is used.
 */
MDNA_MUST_USE
mdna_status mdna_s3_settings_set(struct mdna_s3_settings *settings,
                                 const char *name,
                                 const char *value);

/**
 * Sets how long repositories wait that are opened from now on.
 *
 * Fails with `MDNA_UNSUPPORTED_VERSION`.
 */
MDNA_MUST_USE
mdna_status mdna_s3_settings_limit(struct mdna_s3_settings *settings, const struct mdna_s3_limits *limits);

/**
 * Stops, within a moment, what is under way with repositories that were made or opened with these settings, or are
 * about to be: it ends with `MDNA_CANCELLED`, also before progress is told. There is no way back: the next attempt
 * needs new settings, and opens the repository again. Any thread may call it.
 */
MDNA_MUST_USE
mdna_status mdna_s3_settings_cancel(struct mdna_s3_settings *settings);

/**
 * Makes a repository at `location` and opens it: a folder, which must be new or empty, or `"s3://BUCKET/PREFIX"`,
 * where there must be none. How the bucket is reached is read from the variables `AWS_*` of the process:
 * `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`, and `AWS_ENDPOINT_URL` for a server
 * other than Amazon's, which is reached with http only on this machine, or with `AWS_ALLOW_HTTP=true`. `secret` opens
 * it from then on; NULL makes a repository that hides nothing (`secret` may be NULL). `label`, the name of its first
 * key slot, may be NULL. `cost` may be NULL, for what is recommended. Free the handle with `mdna_repository_close()`.
 *
 * Fails with `MDNA_OCCUPIED`, with `MDNA_INVALID_ARGUMENT` for an empty secret, a location that names no bucket, and
 * variables that cannot be used, and with `MDNA_IO`.
 */
MDNA_MUST_USE
mdna_status mdna_repository_init(const char *location,
                                 const struct mdna_secret *secret,
                                 const char *label,
                                 const struct mdna_key_cost *cost,
                                 struct mdna_repository **out);

/**
 * As `mdna_repository_init()`, with settings for a bucket instead of the variables of the process. `settings`, `secret`,
 * `label` and `cost` may be NULL.
 *
 * Fails as `mdna_repository_init()`, and with `MDNA_CANCELLED`.
 */
MDNA_MUST_USE
mdna_status mdna_repository_init_with(const char *location,
                                      struct mdna_s3_settings *settings,
                                      const struct mdna_secret *secret,
                                      const char *label,
                                      const struct mdna_key_cost *cost,
                                      struct mdna_repository **out);

/**
 * Opens the repository at `location`: a folder, `"s3://BUCKET/PREFIX"` as for `mdna_repository_init()`, or a sealed
 * file to read from. `secret` may be NULL for one that hides nothing. Free the handle with `mdna_repository_close()`.
 *
 * Fails with `MDNA_INVALID_ARGUMENT`, `MDNA_IO`, `MDNA_NOT_A_REPOSITORY`, `MDNA_WRONG_SECRET`, `MDNA_SECRET_NEEDED`,
 * `MDNA_NO_KEY_SLOT`, `MDNA_DAMAGED_KEY_SLOT`, `MDNA_HOSTILE_KEY_SLOT` and `MDNA_NEWER_FORMAT`.
 */
MDNA_MUST_USE
mdna_status mdna_repository_open(const char *location, const struct mdna_secret *secret, struct mdna_repository **out);

/**
 * As `mdna_repository_open()`, with settings for a bucket instead of the variables of the process. `settings` and
 * `secret` may be NULL.
 *
 * Fails as `mdna_repository_open()`, and with `MDNA_CANCELLED`.
 */
MDNA_MUST_USE
mdna_status mdna_repository_open_with(const char *location,
                                      struct mdna_s3_settings *settings,
                                      const struct mdna_secret *secret,
                                      struct mdna_repository **out);

/**
 * Closes a repository and wipes its keys from memory. `repository` may be NULL.
 */
void mdna_repository_close(struct mdna_repository *repository);

/**
 * What a repository is: a JSON object with `id`, `location`, and `plain`, true when it hides nothing. Free it with
 * `mdna_string_free()`.
 */
MDNA_MUST_USE
mdna_status mdna_repository_describe(struct mdna_repository *repository, struct mdna_string *out_json);

/**
 * Makes a backup of a vault as it is now, while others use it; only what the repository does not have is stored.
 * `label` may be NULL. With `dry_run` nothing is stored. With `accept_older` it goes on when the repository is older
 * than the vault knows. `progress` may be NULL and `user_data` may be NULL. `out_json` gets an object with `name`
 * (null after a dry run), `sequence`, `root`, `bytes`, `read`, `new_blobs`, `new_bytes`, `known_blobs`, `written`, to
 * be freed with `mdna_string_free()`, and may be NULL.
 *
 * Fails with `MDNA_ROLLED_BACK`, `MDNA_LOCKED`, `MDNA_LOCK_LAPSED` when the machine slept too long meanwhile,
 * `MDNA_CANCELLED`, `MDNA_NO_SPACE`, `MDNA_PERMISSION` and `MDNA_IO`. After a failure there is no backup more, and what
 * was stored is made use of by the next one.
 */
MDNA_MUST_USE
mdna_status mdna_backup_create(struct mdna_repository *repository,
                               struct mdna_vault *vault,
                               const char *label,
                               bool dry_run,
                               bool accept_older,
                               mdna_progress_fn progress,
                               void *user_data,
                               struct mdna_string *out_json);

/**
 * All backups of a repository, oldest first: a JSON object with `backups`, each with `name`, `label`, `created`,
 * `vault_id`, `sequence`, `root`, `bytes`, and `faults`, what is wrong with manifests that cannot be read, each with
 * `subject` and `problem`. Free it with `mdna_string_free()`.
 *
 * Fails with `MDNA_IO`.
 */
MDNA_MUST_USE
mdna_status mdna_backup_list(struct mdna_repository *repository, struct mdna_string *out_json);

/**
 * Makes the vault of a backup again in the directory `to`, which must be new or empty, with the same id, log and root.
 * `backup` is `"latest"`, a label, or the beginning of a name, at least four characters. Of several backups with one
 * label the newest is taken; a beginning that fits several is `MDNA_AMBIGUOUS`. `progress` may be NULL and `user_data`
 * may be NULL. `out_json` gets an object with `name`, `sequence`, `root` and `bytes`, to be freed with
 * `mdna_string_free()`, and may be NULL.
 *
 * Fails with `MDNA_NOT_FOUND`, `MDNA_AMBIGUOUS`, `MDNA_OCCUPIED`, `MDNA_CORRUPT`, `MDNA_BACKUP_MISSING`,
 * `MDNA_CANCELLED` and `MDNA_IO`; then there is no directory `to`.
 */
MDNA_MUST_USE
mdna_status mdna_backup_restore(struct mdna_repository *repository,
                                const char *backup,
                                const char *to,
                                mdna_progress_fn progress,
                                void *user_data,
                                struct mdna_string *out_json);

/**
 * Writes a part of a backup as plain files into the directory `to`, which must be new or empty. `part` is the name of
 * a collection, the id of a record, `"artifacts"` or `"artifacts/PATH"`. `progress` may be NULL and `user_data` may be
 * NULL. `out_json` gets an object with `name`, `files` and `left_out`, to be freed with `mdna_string_free()`, and may
 * be NULL.
 *
 * Fails as `mdna_backup_restore()`.
 */
MDNA_MUST_USE
mdna_status mdna_backup_extract(struct mdna_repository *repository,
                                const char *backup,
                                const char *part,
                                const char *to,
                                mdna_progress_fn progress,
                                void *user_data,
                                struct mdna_string *out_json);

/**
 * Deletes backups; what only they needed stays until the next prune. `backups_json` is a list of texts, each as for
 * `mdna_backup_restore()`: of several backups with one label the newest is deleted. With `dry_run` nothing is deleted.
 * `out_json` gets the list of those that were or would be deleted, to be freed with `mdna_string_free()`, and may be
 * NULL.
 *
 * Fails with `MDNA_NOT_FOUND` and `MDNA_AMBIGUOUS`; then nothing is deleted.
 */
MDNA_MUST_USE
mdna_status mdna_backup_delete(struct mdna_repository *repository,
                               const char *backups_json,
                               bool dry_run,
                               struct mdna_string *out_json);

/**
 * Deletes the backups of each vault that no rule of `retention` keeps. With `dry_run` nothing is deleted. `out_json`
 * gets the list of those that were or would be deleted, to be freed with `mdna_string_free()`, and may be NULL.
 *
 * Fails with `MDNA_INVALID_ARGUMENT` for a retention without a rule.
 */
MDNA_MUST_USE
mdna_status mdna_backup_forget(struct mdna_repository *repository,
                               const struct mdna_retention *retention,
                               bool dry_run,
                               struct mdna_string *out_json);

/**
 * Removes what no backup needs any more, `grace_s` seconds after it was first seen to be needed by none; a day (86400)
 * is what is recommended. With `dry_run` nothing is changed. `progress` may be NULL and `user_data` may be NULL.
 * `out_json` gets an object with `removed`, `removed_bytes`, `marked`, `marked_bytes`, `repacked`, `kept_again`,
 * `kept`, `kept_bytes`, to be freed with `mdna_string_free()`, and may be NULL.
 *
 * Fails with `MDNA_LOCKED`, with `MDNA_CORRUPT` when something cannot be read that says what is needed, and with
 * `MDNA_CANCELLED`.
 */
MDNA_MUST_USE
mdna_status mdna_repository_prune(struct mdna_repository *repository,
                                  bool dry_run,
                                  uint64_t grace_s,
                                  mdna_progress_fn progress,
                                  void *user_data,
                                  struct mdna_string *out_json);

/**
 * Checks a repository: that all files are what was written, and that every backup is whole. `sample_percent` says how
 * many of a hundred packs are read, chosen anew each time; 0 reads all. `vault_path`, the directory of a vault that
 * was backed up here and knows what must be there, may be NULL. `progress` may be NULL and `user_data` may be NULL.
 * Damage is no failure, but in the report: a JSON object with `clean`, `packs`, `read`, `bytes`, `faults` and
 * `backups`: `packs` are there, of which `read` were read, which have `bytes`; each of `faults` has `subject` and
 * `problem`; each of `backups` has `name`, `whole`, and `problem`, why it is not whole, or null. Free it with
 * `mdna_string_free()`.
 *
 * Fails with `MDNA_INVALID_ARGUMENT` for more than 100 percent, `MDNA_CANCELLED` and `MDNA_IO`.
 */
MDNA_MUST_USE
mdna_status mdna_repository_verify(struct mdna_repository *repository,
                                   uint32_t sample_percent,
                                   const char *vault_path,
                                   mdna_progress_fn progress,
                                   void *user_data,
                                   struct mdna_string *out_report_json);

/**
 * Saves what is whole of a damaged repository. `progress` may be NULL and `user_data` may be NULL. `out_json` gets an
 * object with `removed`, files that could not be read and were removed, and `salvaged`, a number of blobs, to be freed
 * with `mdna_string_free()`, and may be NULL.
 *
 * Fails with `MDNA_LOCKED`, `MDNA_CANCELLED` and `MDNA_IO`.
 */
MDNA_MUST_USE
mdna_status mdna_repository_repair(struct mdna_repository *repository,
                                   mdna_progress_fn progress,
                                   void *user_data,
                                   struct mdna_string *out_json);

/**
 * Writes a backup into one sealed file to hand over, which `secret` opens; `secret` may be NULL for one that hides
 * nothing, and `cost` may be NULL. `backup` is as for `mdna_backup_restore()`. `progress` may be NULL and `user_data`
 * may be NULL. `out_json` gets the backup as in `mdna_backup_list()`, to be freed with `mdna_string_free()`, and may
 * be NULL.
 *
 * Fails with `MDNA_NOT_FOUND`, `MDNA_AMBIGUOUS`, `MDNA_CORRUPT`, `MDNA_CANCELLED` and `MDNA_IO`.
 */
MDNA_MUST_USE
mdna_status mdna_backup_export(struct mdna_repository *repository,
                               const char *backup,
                               const char *file,
                               const struct mdna_secret *secret,
                               const struct mdna_key_cost *cost,
                               mdna_progress_fn progress,
                               void *user_data,
                               struct mdna_string *out_json);

/**
 * Takes the backups of a sealed file into a repository; those that it has are left out. `secret` opens the file, and
 * may be NULL. `progress` may be NULL and `user_data` may be NULL. `out_json` gets the list of those that were taken,
 * to be freed with `mdna_string_free()`, and may be NULL.
 *
 * Fails as `mdna_repository_open()` does, and with `MDNA_CORRUPT`, `MDNA_CANCELLED` and `MDNA_IO`.
 */
MDNA_MUST_USE
mdna_status mdna_backup_import(struct mdna_repository *repository,
                               const char *file,
                               const struct mdna_secret *secret,
                               mdna_progress_fn progress,
                               void *user_data,
                               struct mdna_string *out_json);

/**
 * The key slots of a repository: a JSON object with `slots`, each with `id`, `kind`, `label`, `created`, `memory_kib`,
 * `passes`, `lanes`, and `faults`, what is wrong with those that cannot be read, each with `subject` and
 * `problem`. Free it with `mdna_string_free()`.
 *
 * Fails with `MDNA_IO`.
 */
MDNA_MUST_USE
mdna_status mdna_key_list(struct mdna_repository *repository, struct mdna_string *out_json);

/**
 * Adds a key slot: whoever has `secret` can read the repository from now on. `label` may be NULL, and `cost` may be
 * NULL. `out_id` gets the name of the slot, to be freed with `mdna_string_free()`, and may be NULL.
 *
 * Fails with `MDNA_INVALID_ARGUMENT` for an empty secret, and with `MDNA_IO`.
 */
MDNA_MUST_USE
mdna_status mdna_key_add(struct mdna_repository *repository,
                         const struct mdna_secret *secret,
                         const char *label,
                         const struct mdna_key_cost *cost,
                         struct mdna_string *out_id);

/**
 * Removes a key slot, by its name or the beginning of it. Whoever had the master key still has it. `out_id` gets the
 * name of the slot, to be freed with `mdna_string_free()`, and may be NULL.
 *
 * Fails with `MDNA_NOT_FOUND`, `MDNA_AMBIGUOUS`, and with `MDNA_INVALID_ARGUMENT` for the last sound one.
 */
MDNA_MUST_USE
mdna_status mdna_key_remove(struct mdna_repository *repository, const char *slot, struct mdna_string *out_id);

/**
 * Replaces the key slot that opened the repository by one that `secret` opens. `cost` may be NULL. `out_id` gets the
 * name of the new slot, to be freed with `mdna_string_free()`, and may be NULL.
 *
 * Fails as `mdna_key_add()`.
 */
MDNA_MUST_USE
mdna_status mdna_key_change(struct mdna_repository *repository,
                            const struct mdna_secret *secret,
                            const struct mdna_key_cost *cost,
                            struct mdna_string *out_id);

/**
 * Which kinds of secrets open the repository at `location` (see `mdna_repository_open()`), without opening it: a JSON
 * list of `"open"`, `"passphrase"`, `"key file"`. Free it with `mdna_string_free()`.
 *
 * Fails with `MDNA_INVALID_ARGUMENT`, `MDNA_IO` and `MDNA_NOT_A_REPOSITORY`.
 */
MDNA_MUST_USE
mdna_status mdna_key_kinds(const char *location, struct mdna_string *out_json);

/**
 * As `mdna_key_kinds()`, with settings for a bucket instead of the variables of the process. `settings` may be NULL.
 *
 * Fails as `mdna_key_kinds()`, and with `MDNA_CANCELLED`.
 */
MDNA_MUST_USE
mdna_status mdna_key_kinds_with(const char *location, struct mdna_s3_settings *settings, struct mdna_string *out_json);

/**
 * The content of a new key file. Free it with `mdna_string_free()`, which wipes it.
 *
 * Fails with `MDNA_NO_RANDOMNESS`.
 */
MDNA_MUST_USE
mdna_status mdna_key_file_new(struct mdna_string *out_content);

/**
 * Opens a file of the artifacts. `path` is relative to their root directory, whether it begins with a slash or not.
 * `flags` are `MDNA_OPEN_READ` and its like, added up; a file that is made gets the permissions `mode`. Close it with
 * `mdna_file_close()`.
 *
 * Fails with `MDNA_FILE_NOT_FOUND`, `MDNA_FILE_EXISTS`, `MDNA_FILE_IS_A_DIRECTORY`, `MDNA_FILE_NOT_A_DIRECTORY`,
 * `MDNA_FILE_INVALID`, and with `MDNA_INVALID_ARGUMENT` for other flags.
 */
MDNA_MUST_USE
mdna_status mdna_file_open(struct mdna_vault *vault,
                           const char *path,
                           uint32_t flags,
                           uint32_t mode,
                           struct mdna_file **out);

/**
 * Closes a file. Call `mdna_file_sync()` before to have it on disk. `file` may be NULL.
 */
void mdna_file_close(struct mdna_file *file);

/**
 * Reads at the position, and moves it. `out_len` gets how many bytes: 0 at the end, and perhaps fewer than there is
 * room for.
 *
 * Fails with `MDNA_FILE_NOT_PERMITTED` when it is not open for reading, and with `MDNA_CORRUPT` when what is stored is
 * damaged.
 */
MDNA_MUST_USE
mdna_status mdna_file_read(struct mdna_file *file, uint8_t *buffer, size_t len, size_t *out_len);

/**
 * Reads at an offset; the position stays. See `mdna_file_read()`.
 */
MDNA_MUST_USE
mdna_status mdna_file_read_at(struct mdna_file *file, uint64_t offset, uint8_t *buffer, size_t len, size_t *out_len);

/**
 * Writes `len` bytes at the position, and moves it; a file that is open for appending, at its end. It is durable after
 * `mdna_file_sync()`.
 *
 * Fails with `MDNA_FILE_NOT_PERMITTED` when it is not open for writing, with `MDNA_NO_SPACE` and
 * `MDNA_FILE_TOO_LARGE`; then a part may have been written.
 */
MDNA_MUST_USE
mdna_status mdna_file_write(struct mdna_file *file, const uint8_t *data, size_t len);

/**
 * Writes `len` bytes at an offset; the position stays. See `mdna_file_write()`.
 */
MDNA_MUST_USE
mdna_status mdna_file_write_at(struct mdna_file *file, uint64_t offset, const uint8_t *data, size_t len);

/**
 * Moves the position: `whence` is a `mdna_whence`. `out_position` gets it, counted from the beginning.
 *
 * Fails with `MDNA_FILE_INVALID` for a position before the beginning, with `MDNA_FILE_BEYOND_END` when there is no
 * data or hole, and with `MDNA_INVALID_ARGUMENT` for another `whence`, and for a negative offset that counts from the
 * beginning.
 */
MDNA_MUST_USE
mdna_status mdna_file_seek(struct mdna_file *file, int64_t offset, uint32_t whence, uint64_t *out_position);

/**
 * What `fstat` says of a file.
 *
 * Fails with `MDNA_FILE_GONE`.
 */
MDNA_MUST_USE
mdna_status mdna_file_stat(struct mdna_file *file, struct mdna_file_info *out_info);

/**
 * Cuts a file, or makes it longer with zeros.
 *
 * Fails as `mdna_file_write()`.
 */
MDNA_MUST_USE
mdna_status mdna_file_truncate(struct mdna_file *file, uint64_t size);

/**
 * Sets the permissions of an open file: the lowest 12 bits of `mode`.
 *
 * Fails with `MDNA_FILE_GONE`.
 */
MDNA_MUST_USE
mdna_status mdna_file_chmod(struct mdna_file *file, uint32_t mode);

/**
 * Sets the user and the group that own an open file; `MDNA_KEEP_ID` leaves one as it is.
 *
 * Fails with `MDNA_FILE_GONE`.
 */
MDNA_MUST_USE
mdna_status mdna_file_chown(struct mdna_file *file, uint32_t uid, uint32_t gid);

/**
 * Sets the times of an open file. See `mdna_files_utimes()`.
 *
 * Fails with `MDNA_FILE_GONE`.
 */
MDNA_MUST_USE
mdna_status mdna_file_utimes(struct mdna_file *file, int64_t atime_ns, int64_t mtime_ns);

/**
 * Makes a file durable: its content, its attributes and its names; with `data_only` without what only concerns times.
 *
 * Fails with `MDNA_NO_SPACE`.
 */
MDNA_MUST_USE
mdna_status mdna_file_sync(struct mdna_file *file, bool data_only);

/**
 * What `stat` says of a file, or, with `follow` false, `lstat`.
 *
 * Fails with `MDNA_FILE_NOT_FOUND` and `MDNA_FILE_NOT_A_DIRECTORY`.
 */
MDNA_MUST_USE
mdna_status mdna_files_stat(struct mdna_vault *vault, const char *path, bool follow, struct mdna_file_info *out_info);

/**
 * The entries of a directory, without `.` and `..`: JSON objects with `name`, `type` (`"regular"`, `"directory"`,
 * `"symlink"`, `"fifo"`, `"socket"`, `"char_device"` or `"block_device"`), `size` in bytes, `mode` (permissions,
 * set-id and sticky bits, as a number), `mtime_ns` (nanoseconds since 1970, UTC), `ino`, and, when the name is not
 * UTF-8, `name_hex` with its bytes. Free the cursor with `mdna_cursor_free()`.
 *
 * Fails with `MDNA_FILE_NOT_FOUND` and `MDNA_FILE_NOT_A_DIRECTORY`.
 */
MDNA_MUST_USE
mdna_status mdna_files_list(struct mdna_vault *vault, const char *path, struct mdna_cursor **out);

/**
 * Makes a directory; with `parents` also those above it, and then it is no failure that it is there.
 *
 * Fails with `MDNA_FILE_EXISTS`, `MDNA_FILE_NOT_FOUND` and `MDNA_FILE_NOT_A_DIRECTORY`.
 */
MDNA_MUST_USE
mdna_status mdna_files_mkdir(struct mdna_vault *vault, const char *path, bool parents);

/**
 * Takes a name of a file, or of a symbolic link, away; the file goes with its last name, once nobody has it open.
 *
 * Fails with `MDNA_FILE_NOT_FOUND` and `MDNA_FILE_IS_A_DIRECTORY`.
 */
MDNA_MUST_USE
mdna_status mdna_files_remove(struct mdna_vault *vault, const char *path);

/**
 * Removes an empty directory.
 *
 * Fails with `MDNA_FILE_NOT_FOUND`, `MDNA_FILE_NOT_A_DIRECTORY` and `MDNA_FILE_DIRECTORY_NOT_EMPTY`.
 */
MDNA_MUST_USE
mdna_status mdna_files_rmdir(struct mdna_vault *vault, const char *path);

/**
 * Renames a file or directory; what is at the new name is replaced, unless `flags` say otherwise:
 * `MDNA_RENAME_NO_REPLACE` or `MDNA_RENAME_EXCHANGE`, or 0.
 *
 * Fails with `MDNA_FILE_NOT_FOUND`, `MDNA_FILE_EXISTS`, `MDNA_FILE_DIRECTORY_NOT_EMPTY`, `MDNA_FILE_INVALID`, and with
 * `MDNA_INVALID_ARGUMENT` for other flags.
 */
MDNA_MUST_USE
mdna_status mdna_files_rename(struct mdna_vault *vault, const char *from, const char *to, uint32_t flags);

/**
 * Makes a symbolic link at `path` that leads to `target`, whatever that is.
 *
 * Fails as `mdna_files_mkdir()`.
 */
MDNA_MUST_USE
mdna_status mdna_files_symlink(struct mdna_vault *vault, const char *target, const char *path);

/**
 * Where a symbolic link leads, to be freed with `mdna_string_free()`. The bytes are those of the target, which need
 * not be UTF-8.
 *
 * Fails with `MDNA_FILE_NOT_FOUND`, and with `MDNA_FILE_INVALID` when it is none.
 */
MDNA_MUST_USE
mdna_status mdna_files_readlink(struct mdna_vault *vault, const char *path, struct mdna_string *out_target);

/**
 * Gives a file another name.
 *
 * Fails as `mdna_files_mkdir()`, and with `MDNA_FILE_NOT_PERMITTED` for a directory.
 */
MDNA_MUST_USE
mdna_status mdna_files_link(struct mdna_vault *vault, const char *from, const char *to);

/**
 * Sets the permissions of a file.
 *
 * Fails with `MDNA_FILE_NOT_FOUND`.
 */
MDNA_MUST_USE
mdna_status mdna_files_chmod(struct mdna_vault *vault, const char *path, uint32_t mode);

/**
 * Sets the user and the group that own a file, or the one that a symbolic link leads to; `MDNA_KEEP_ID` leaves one as
 * it is. Permissions are not checked: whoever has the vault open may do everything with it.
 *
 * Fails with `MDNA_FILE_NOT_FOUND`.
 */
MDNA_MUST_USE
mdna_status mdna_files_chown(struct mdna_vault *vault, const char *path, uint32_t uid, uint32_t gid);

/**
 * Sets when a file was last read, and when its content last changed, in nanoseconds since 1970; `MDNA_TIME_NOW` is
 * the present, and `MDNA_TIME_KEEP` leaves one as it is.
 *
 * Fails with `MDNA_FILE_NOT_FOUND`.
 */
MDNA_MUST_USE
mdna_status mdna_files_utimes(struct mdna_vault *vault, const char *path, int64_t atime_ns, int64_t mtime_ns);

/**
 * Makes everything durable that was done to artifacts, by whomever.
 *
 * Fails with `MDNA_NO_SPACE`.
 */
MDNA_MUST_USE
mdna_status mdna_files_sync(struct mdna_vault *vault);

/**
 * Opens a file as it was, for reading: `mdna_file_read()` and its like read it, and `mdna_file_close()` closes it. It
 * keeps what it needs from a prune, also when the view is freed. `path` is as for `mdna_file_open()`.
 *
 * Fails with `MDNA_FILE_NOT_FOUND`, `MDNA_FILE_IS_A_DIRECTORY`, `MDNA_FILE_NOT_A_DIRECTORY` and `MDNA_FILE_INVALID`.
 * The file cannot be changed: `mdna_file_write()`, `mdna_file_write_at()` and `mdna_file_truncate()` fail with
 * `MDNA_FILE_NOT_PERMITTED`, for it is not open for writing; `mdna_file_chmod()`, `mdna_file_chown()` and
 * `mdna_file_utimes()` fail with `MDNA_FILE_READ_ONLY`.
 */
MDNA_MUST_USE
mdna_status mdna_view_file_open(struct mdna_view *view, const char *path, struct mdna_file **out);

/**
 * What `stat` said of a file, or, with `follow` false, `lstat`. See `mdna_files_stat()`.
 */
MDNA_MUST_USE
mdna_status mdna_view_files_stat(struct mdna_view *view,
                                 const char *path,
                                 bool follow,
                                 struct mdna_file_info *out_info);

/**
 * The entries of a directory as it was. See `mdna_files_list()`. Free the cursor with `mdna_cursor_free()`.
 */
MDNA_MUST_USE
mdna_status mdna_view_files_list(struct mdna_view *view, const char *path, struct mdna_cursor **out);

/**
 * Where a symbolic link led, to be freed with `mdna_string_free()`. See `mdna_files_readlink()`.
 */
MDNA_MUST_USE
mdna_status mdna_view_files_readlink(struct mdna_view *view, const char *path, struct mdna_string *out_target);

/**
 * Mounts a vault on an empty directory. When this returns, it can be used there; threads of the library serve it until
 * it is unmounted. `options` may be NULL. Free the handle with `mdna_mount_free()`.
 *
 * Fails with `MDNA_MOUNTPOINT_MISSING`, `MDNA_MOUNTPOINT_NOT_A_DIRECTORY`, `MDNA_MOUNTPOINT_NOT_EMPTY`,
 * `MDNA_ALREADY_MOUNTED`, `MDNA_PERMISSION` and `MDNA_NO_FUSE`, and with `MDNA_INVALID_ARGUMENT` for a truth value
 * that is neither 0 nor 1.
 */
MDNA_MUST_USE
mdna_status mdna_mount_start(struct mdna_vault *vault,
                             const char *mountpoint,
                             const struct mdna_mount_options *options,
                             struct mdna_mount **out);

/**
 * Unmounts a vault. When this returns, it is gone from there, and all that was written is on disk. That it is
 * unmounted already is no failure. The handle is still to be freed.
 *
 * Fails with `MDNA_MOUNT_IN_USE` when somebody has files open there; then it is still mounted.
 */
MDNA_MUST_USE
mdna_status mdna_mount_stop(struct mdna_mount *mount);

/**
 * Waits until somebody unmounts a vault: another thread with `mdna_mount_stop()`, or a person with `mirrordna umount`.
 * When this returns, all that was written is on disk. Any number of threads may wait. A signal that is handled meanwhile
 * does not end it.
 *
 * Fails when serving the mount failed, or what was written last could not be stored.
 */
MDNA_MUST_USE
mdna_status mdna_mount_wait(struct mdna_mount *mount);

/**
 * Where a vault is mounted. Free it with `mdna_string_free()`. Bytes of the path that are not UTF-8 are replaced.
 */
MDNA_MUST_USE
mdna_status mdna_mount_path(struct mdna_mount *mount, struct mdna_string *out_path);

/**
 * Unmounts a vault, even when somebody uses it, and frees the handle. `mount` may be NULL.
 */
void mdna_mount_free(struct mdna_mount *mount);

/**
 * Unmounts the vault that is mounted on a directory, by this process or another one.
 *
 * Fails with `MDNA_NOT_MOUNTED`, `MDNA_MOUNT_IN_USE` and `MDNA_PERMISSION`.
 */
MDNA_MUST_USE
mdna_status mdna_umount(const char *mountpoint);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* MIRRORDNA_H */
