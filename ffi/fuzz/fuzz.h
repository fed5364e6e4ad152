/* What the fuzzers share: what holds for every call whatever it is given, and a folder to work in. */
#ifndef FUZZ_H
#define FUZZ_H

#include <dirent.h>
#include <ftw.h>
#include <mirrordna.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                                                    \
    do {                                                                                                                    \
        if (!(condition)) {                                                                                                 \
            const mdna_error *error_ = mdna_last_error();                                                                   \
            fprintf(stderr, "%s:%d: %s; the last error: %s\n", __FILE__, __LINE__, #condition,                              \
                    error_ != NULL ? error_->message : "none");                                                             \
            abort();                                                                                                        \
        }                                                                                                                   \
    } while (0)

/* Whether a call was done. One that was not says why, and is no fault of the library itself. */
#define DONE(call) fuzz_done((call), #call)
/* A call that must be done. */
#define OK(call) CHECK(DONE(call))

static inline bool fuzz_done(mdna_status status, const char *call) {
    if (status == MDNA_OK || status == MDNA_END) {
        return status == MDNA_OK;
    }
    const mdna_error *error = mdna_last_error();
    CHECK(error != NULL && error->status == status && strlen(error->message) > 0 && strlen(error->hint) > 0);
    if (status == MDNA_INTERNAL || status == MDNA_POISONED || status == MDNA_NULL_POINTER) {
        fprintf(stderr, "%s is %s: %s\n", call, mdna_status_name(status), error->message);
        abort();
    }
    return false;
}

/* What an output holds before a call. After a failure it must be that still. */
static char fuzz_untouched;
#define UNTOUCHED                                                                                                           \
    { &fuzz_untouched, 1 }
/* Whether a call was done, with the text that it gave. */
#define GIVES(call, out) fuzz_gives((call), #call, (out))

static inline bool fuzz_gives(mdna_status status, const char *call, mdna_string *out) {
    bool done = fuzz_done(status, call);
    if (done) {
        CHECK(out->data != NULL && out->data != &fuzz_untouched && strlen(out->data) == out->len);
    } else {
        CHECK(out->data == &fuzz_untouched && out->len == 1);
    }
    return done;
}

static inline bool fuzz_same(const mdna_string *first, const mdna_string *second) {
    return first->len == second->len && memcmp(first->data, second->data, first->len) == 0;
}

/* JSON that the library hands out is canonical. */
static inline void fuzz_canonical(const mdna_string *json) {
    mdna_string again = UNTOUCHED;
    CHECK(GIVES(mdna_json_canonical(json->data, json->len, &again), &again));
    CHECK(fuzz_same(json, &again));
    mdna_string_free(&again);
}

/* Whether a call was done, of which the JSON that it gave is checked and freed. */
#define REPORTS(call, out) fuzz_reports((call), #call, (out))

static inline bool fuzz_reports(mdna_status status, const char *call, mdna_string *out) {
    if (!fuzz_gives(status, call, out)) {
        return false;
    }
    fuzz_canonical(out);
    mdna_string_free(out);
    *out = (mdna_string)UNTOUCHED;
    return true;
}

/* A text of the input, in memory of just its size, so that reading beyond it is seen. */
static inline char *fuzz_text(const uint8_t *data, size_t size) {
    char *text = malloc(size + 1);
    CHECK(text != NULL);
    if (size > 0) {
        memcpy(text, data, size);
    }
    text[size] = '\0';
    return text;
}

static char fuzz_dir[2048];

static inline int fuzz_remove_one(const char *path, const struct stat *info, int type, struct FTW *walk) {
    (void)info, (void)type, (void)walk;
    return remove(path);
}

/* Removes a folder with all that is in it, if it is there. */
static inline void fuzz_remove(const char *path) {
    nftw(path, fuzz_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void fuzz_remove_dir(void) {
    fuzz_remove(fuzz_dir);
}

/* A path in the folder of this process, which goes with it. */
static inline const char *fuzz_path(const char *name) {
    static char paths[8][4096];
    static unsigned next = 0;
    if (fuzz_dir[0] == '\0') {
        const char *above = getenv("TMPDIR");
        snprintf(fuzz_dir, sizeof fuzz_dir, "%s/mdna-fuzz-XXXXXX", above != NULL ? above : "/tmp");
        CHECK(mkdtemp(fuzz_dir) != NULL && atexit(fuzz_remove_dir) == 0);
    }
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", fuzz_dir, name);
    return path;
}

static inline void fuzz_write(const char *path, const void *data, size_t size) {
    FILE *file = fopen(path, "wb");
    CHECK(file != NULL && (size == 0 || fwrite(data, 1, size, file) == size) && fclose(file) == 0);
}

static inline mdna_vault *fuzz_vault(const char *path) {
    mdna_create_options options = MDNA_CREATE_OPTIONS_INIT;
    options.durability = MDNA_DURABILITY_BUFFERED;
    mdna_vault *vault = NULL;
    OK(mdna_vault_create(path, &options, &vault));
    return vault;
}

/* How many entries the log of a vault has. */
static inline uint64_t fuzz_sequence(mdna_vault *vault) {
    mdna_log_state state;
    OK(mdna_vault_state(vault, &state));
    return state.sequence;
}

/* All that is in a vault is as it was stored. */
static inline void fuzz_verify(mdna_vault *vault) {
    mdna_string report = UNTOUCHED;
    OK(mdna_vault_verify(vault, &report));
    if (strstr(report.data, "\"clean\":true") == NULL) {
        fprintf(stderr, "%s\n", report.data);
        abort();
    }
    mdna_string_free(&report);
}

/* Reads a cursor to its end, or until it fails, and frees it; gives the number of results. */
static inline unsigned fuzz_drain(mdna_cursor *cursor) {
    unsigned count = 0;
    mdna_string json = UNTOUCHED;
    while (REPORTS(mdna_cursor_next(cursor, &json), &json)) {
        count++;
    }
    CHECK(mdna_cursor_next(cursor, &json) == MDNA_END && json.data == &fuzz_untouched);
    mdna_cursor_free(cursor);
    return count;
}

#define AGENT "mdna_agt_0123456789abcdef"
#define USER "mdna_usr_0123456789abcdef"
#define SESSION "sess_20261122_185200_0a1b2c3d"
#define MEMORY                                                                                                              \
    "{\"memory_id\":\"mem_0123456789ab\",\"tier\":\"short_term\",\"content\":\"The kettle is red\",\"metadata\":{"             \
    "\"tags\":[\"tea\"]},\"source\":{\"session_id\":\"" SESSION "\",\"agent_id\":\"" AGENT "\",\"user_id\":\"" USER           \
    "\",\"timestamp\":\"2026-11-22T18:52:00Z\"}}"

/* The vault of a fuzzer that changes one. */
static mdna_vault *fuzz_changing;

static inline void fuzz_close(void) {
    mdna_vault_close(fuzz_changing);
}

/* A vault in which there is a memory, and which is made anew once so many entries have come to it. */
static inline mdna_vault *fuzz_vault_of_few(uint64_t entries) {
    static uint64_t first = 0;
    if (fuzz_changing != NULL && fuzz_sequence(fuzz_changing) < first + entries) {
        return fuzz_changing;
    }
    const char *path = fuzz_path("vault");
    bool opened = fuzz_changing != NULL;
    mdna_vault_close(fuzz_changing);
    fuzz_remove(path);
    fuzz_changing = fuzz_vault(path);
    CHECK(opened || atexit(fuzz_close) == 0);
    OK(mdna_memory_add(fuzz_changing, MEMORY, NULL));
    first = fuzz_sequence(fuzz_changing);
    return fuzz_changing;
}

#endif
