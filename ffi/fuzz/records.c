/*
 * Records and other JSON that is stored: the first letter says where it goes, the rest is the text. What is taken is given
 * back as it was, and verifies; what is refused changes nothing.
 */
#define _GNU_SOURCE
#include "fuzz.h"

static const char *const COLLECTIONS[] = {"identities", "sessions",    "memories",  "agent_dna", "timeline",   "snapshots",
                                          "reflections", "citations", "entries", "agent_links", "glyphtrail"};
enum { COLLECTION_COUNT = sizeof COLLECTIONS / sizeof *COLLECTIONS, MOST_ENTRIES = 64 };

static mdna_vault *vault;

static mdna_status update(const char *json, mdna_string *out) {
    return mdna_memory_update(vault, "mem_0123456789ab", json, out);
}

static mdna_status identity(const char *json, mdna_string *out) {
    return mdna_identity_create(vault, "agent", json, out);
}

static mdna_status session(const char *json, mdna_string *out) {
    mdna_string started = UNTOUCHED;
    mdna_status status = mdna_session_start_with(vault, AGENT, USER, NULL, json, &started);
    if (!GIVES(status, &started)) {
        return status;
    }
    char id[64];
    const char *at = strstr(started.data, "\"session_id\":\"");
    CHECK(at != NULL);
    snprintf(id, sizeof id, "%.*s", (int)strcspn(at + 14, "\""), at + 14);
    mdna_string_free(&started);
    /* An object that can be a context can be a final state. */
    return mdna_session_end(vault, id, json, out);
}

static mdna_status reflection(const char *json, mdna_string *out) {
    return mdna_reflection_add(vault, json, out);
}

static mdna_status constraints(const char *json, mdna_string *out) {
    return mdna_reflection_decision(vault, AGENT, "wait", "it is early", json, NULL, out);
}

static mdna_status state(const char *json, mdna_string *out) {
    return mdna_reflection_state(vault, AGENT, json, NULL, out);
}

static mdna_status payload(const char *json, mdna_string *out) {
    return mdna_timeline_append(vault, "custom", AGENT, json, NULL, NULL, out);
}

static mdna_status (*const OTHERS[])(const char *, mdna_string *) = {update, identity,    session, reflection,
                                                                     state,  constraints, payload};
enum { OTHER_COUNT = sizeof OTHERS / sizeof *OTHERS };

/* The record that was stored is the one that was given. */
static void compare(const char *collection, const char *id, const char *json) {
    mdna_string given = UNTOUCHED;
    mdna_string back = UNTOUCHED;
    mdna_string sum = UNTOUCHED;
    char hex[65];
    mdna_record_info info;
    OK(mdna_json_canonical(json, strlen(json), &given));
    OK(mdna_record_get(vault, collection, id, &back));
    CHECK(fuzz_same(&given, &back));
    OK(mdna_json_checksum(json, strlen(json), &sum));
    OK(mdna_record_describe(vault, collection, id, &info));
    for (unsigned n = 0; n < 32; n++) {
        snprintf(hex + 2 * n, 3, "%02x", info.checksum[n]);
    }
    CHECK(strcmp(hex, sum.data) == 0 && !info.lenient && info.sequence <= fuzz_sequence(vault));
    mdna_string_free(&given);
    mdna_string_free(&back);
    mdna_string_free(&sum);
}

static void store(const char *collection, const char *json) {
    mdna_string id = UNTOUCHED;
    uint64_t before = fuzz_sequence(vault);
    bool fits = DONE(mdna_record_check(collection, json));
    if (GIVES(mdna_record_create(vault, collection, json, &id), &id)) {
        CHECK(fits && fuzz_sequence(vault) > before);
        compare(collection, id.data, json);
        mdna_string twice = UNTOUCHED;
        CHECK(!GIVES(mdna_record_create(vault, collection, json, &twice), &twice));
        mdna_cursor *cursor = NULL;
        OK(mdna_record_history(vault, collection, id.data, 0, &cursor));
        CHECK(fuzz_drain(cursor) > 0);
        fuzz_verify(vault);
        mdna_string_free(&id);
        return;
    }
    CHECK(fuzz_sequence(vault) == before);
    if (GIVES(mdna_record_put(vault, collection, json, &id), &id)) {
        CHECK(fits);
        compare(collection, id.data, json);
        fuzz_verify(vault);
        mdna_string_free(&id);
    } else {
        CHECK(fuzz_sequence(vault) == before);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    unsigned where = (uint8_t)(data[0] - 'a') % (COLLECTION_COUNT + OTHER_COUNT);
    char *json = fuzz_text(data + 1, size - 1);
    mdna_string text = UNTOUCHED;
    vault = fuzz_vault_of_few(MOST_ENTRIES);
    if (GIVES(mdna_json_canonical((const char *)data + 1, size - 1, &text), &text)) {
        fuzz_canonical(&text);
        mdna_string_free(&text);
        text = (mdna_string)UNTOUCHED;
    }
    if (where < COLLECTION_COUNT) {
        store(COLLECTIONS[where], json);
    } else if (REPORTS(OTHERS[where - COLLECTION_COUNT](json, &text), &text)) {
        fuzz_verify(vault);
    }
    free(json);
    return 0;
}
