/* What the test programs share: assertions that name their place, and texts to work with. */
#ifndef CHECK_H
#define CHECK_H

#include <mirrordna.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                                                    \
    do {                                                                                                                    \
        if (!(condition)) {                                                                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                                 \
            abort();                                                                                                        \
        }                                                                                                                   \
    } while (0)

/* A call that succeeds. */
#define OK(call) expect(MDNA_OK, (call), #call, __FILE__, __LINE__)
/* A call that fails, with this status, a message and a hint. */
#define FAILS(status, call) expect((status), (call), #call, __FILE__, __LINE__)

static inline void expect(mdna_status wanted, mdna_status status, const char *call, const char *file, int line) {
    if (status != wanted) {
        const mdna_error *error = mdna_last_error();
        fprintf(stderr, "%s:%d: %s is %s and not %s: %s\n", file, line, call, mdna_status_name(status),
                mdna_status_name(wanted), error != NULL ? error->message : "");
        abort();
    }
    if (wanted != MDNA_OK && wanted != MDNA_END) {
        const mdna_error *error = mdna_last_error();
        CHECK(error != NULL && error->status == wanted && strlen(error->message) > 0 && strlen(error->hint) > 0);
        CHECK(strcmp(error->name, mdna_status_name(wanted)) == 0);
    }
}

/* Whether a text holds another one. Frees it. */
static inline bool holds(mdna_string *string, const char *part) {
    CHECK(string->data != NULL && strlen(string->data) == string->len);
    bool found = strstr(string->data, part) != NULL;
    if (!found) {
        fprintf(stderr, "%s is not in %s\n", part, string->data);
    }
    mdna_string_free(string);
    return found;
}

/* The text of a member of an object, copied. */
static inline void member(const mdna_string *json, const char *name, char *out, size_t size) {
    char key[80];
    snprintf(key, sizeof key, "\"%s\":\"", name);
    const char *start = strstr(json->data, key);
    CHECK(start != NULL);
    start += strlen(key);
    snprintf(out, size, "%.*s", (int)strcspn(start, "\""), start);
}

/* Reads a cursor to its end and frees it; gives the number of results. */
static inline unsigned long drain(mdna_cursor *cursor) {
    unsigned long count = 0;
    mdna_string json = MDNA_STRING_INIT;
    mdna_status status = MDNA_OK;
    while ((status = mdna_cursor_next(cursor, &json)) == MDNA_OK) {
        CHECK(json.len > 1 && json.data[0] == '{');
        mdna_string_free(&json);
        count++;
    }
    expect(MDNA_END, status, "mdna_cursor_next", __FILE__, __LINE__);
    expect(MDNA_END, mdna_cursor_next(cursor, &json), "mdna_cursor_next", __FILE__, __LINE__);
    mdna_cursor_free(cursor);
    return count;
}

/* A path below the folder of the test. */
static inline const char *below(const char *dir, const char *name) {
    static char paths[8][4096];
    static unsigned next = 0;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", dir, name);
    return path;
}

#define AGENT "mdna_agt_0123456789abcdef"
#define USER "mdna_usr_0123456789abcdef"
#define SESSION "sess_20261122_185200_0a1b2c3d"
#define SOURCE "\"source\":{\"session_id\":\"" SESSION "\",\"agent_id\":\"" AGENT "\",\"user_id\":\"" USER "\"}"
#define MEMORY "{\"tier\":\"short_term\",\"content\":\"The kettle is red\"," SOURCE "}"

/* A new vault that does not wait for the disk. */
static inline mdna_vault *new_vault(const char *path) {
    mdna_create_options options = MDNA_CREATE_OPTIONS_INIT;
    options.durability = MDNA_DURABILITY_BUFFERED;
    options.actor = "tester";
    mdna_vault *vault = NULL;
    OK(mdna_vault_create(path, &options, &vault));
    CHECK(vault != NULL);
    return vault;
}

#endif
