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
 * Text goes in as UTF-8 that ends in NUL (paths: any bytes), and is copied: it may go away when the call returns. Text
 * comes out as a mdna_string, to be freed with mdna_string_free(), or as a static text, where the function says so.
 * Records, filters and reports are JSON, so that new fields break no program. Records come out as the canonical JSON of
 * the protocol, whose SHA-256 is the record's checksum.
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
 * fork(). A handle belongs to the process that made it. In a child of it every call on it returns MDNA_FORKED, and
 * freeing it there frees nothing, which does no harm; open the vault again in the child while the parent has it open.
 * To go on without the parent, exec(): a child that only forked keeps the vault locked for others, should the parent be
 * killed, until it ends. exec() is always possible.
 *
 * exit(). Free handles before the process ends. One that is freed by a handler of atexit(), or by the destructor of a
 * static object, that was registered before the first vault was opened is left alone: it is too late to close the vault,
 * which is then found as after a crash, with all that was made durable. In such places mdna_last_error() may be NULL: what
 * belongs to the thread is gone; the status is still returned.
 *
 * Bugs of the library. Should the library fail within itself, the call returns MDNA_INTERNAL and the handle that it was
 * made on can only be freed from then on (MDNA_POISONED); others go on.
 */
