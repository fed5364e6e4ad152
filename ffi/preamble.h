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
