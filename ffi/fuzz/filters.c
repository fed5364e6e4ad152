/*
 * Filters and queries: the first letter says what is asked, the rest is the JSON; for a search, the text that is looked for is
 * its first line. What is found is there, and no more than there is.
 */
#define _GNU_SOURCE
#include "fuzz.h"

enum { MEMORIES = 24 };

static mdna_vault *vault;
static mdna_view *view;
/* Results without a filter. */
static unsigned memories, sessions, events;

static unsigned all(mdna_cursor *cursor) {
    unsigned count = fuzz_drain(cursor);
    CHECK(count > 0);
    return count;
}

static void prepare(void) {
    static const char *const tiers[] = {"short_term", "long_term", "episodic"};
    static const char *const contents[] = {"\"The kettle is red\"", "\"Stra\\u00dfe in Z\\u00fcrich\"", "{\"a\":[1,{\"tea\":\"green\"}]}"};
    mdna_cursor *cursor = NULL;
    vault = fuzz_vault(fuzz_path("vault"));
    for (unsigned n = 0; n < MEMORIES; n++) {
        char json[600];
        snprintf(json, sizeof json,
                 "{\"memory_id\":\"mem_0123456789%02u\",\"tier\":\"%s\",\"content\":%s,\"metadata\":{\"tags\":[\"tea\",\"n%u\"],"
                 "\"relevance_score\":0.%u},\"source\":{\"session_id\":\"" SESSION "\",\"agent_id\":\"" AGENT "\",\"user_id\":\"" USER
                 "\",\"timestamp\":\"2026-%02u-22T18:52:00.5+02:00\"}}",
                 n, tiers[n % 3], contents[n / 3 % 3], n % 5, n % 10, n % 12 + 1);
        OK(mdna_memory_add(vault, json, NULL));
        OK(mdna_session_start(vault, AGENT, USER, NULL, NULL));
        OK(mdna_timeline_append(vault, "custom", AGENT, "{\"n\":1}", SESSION, "2026-11-22T18:52:00Z", NULL));
    }
    OK(mdna_memory_archive(vault, "mem_012345678901", NULL));
    OK(mdna_vault_at(vault, fuzz_sequence(vault), &view));
    OK(mdna_memory_list(vault, NULL, &cursor));
    memories = all(cursor);
    OK(mdna_session_list(vault, NULL, &cursor));
    sessions = all(cursor);
    OK(mdna_timeline_query(vault, NULL, &cursor));
    events = all(cursor);
}

static void close_all(void) {
    mdna_view_free(view);
    mdna_vault_close(vault);
}

static mdna_status search(char *text, mdna_cursor **out) {
    char *filter = strchr(text, '\n');
    if (filter == NULL) {
        return mdna_memory_search(vault, text, NULL, out);
    }
    *filter = '\0';
    return mdna_memory_search(vault, text, filter + 1, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    if (vault == NULL) {
        prepare();
        CHECK(atexit(close_all) == 0);
    }
    char *json = fuzz_text(data + 1, size - 1);
    mdna_cursor *const untouched = (mdna_cursor *)(void *)&fuzz_untouched;
    mdna_cursor *cursor = untouched;
    mdna_status status = MDNA_OK;
    unsigned most = 0;
    switch ((uint8_t)(data[0] - 'a') % 6) {
    case 0:
        status = mdna_memory_list(vault, json, &cursor);
        most = memories;
        break;
    case 1:
        status = search(json, &cursor);
        most = memories;
        break;
    case 2:
        status = mdna_session_list(vault, json, &cursor);
        most = sessions;
        break;
    case 3:
        status = mdna_timeline_query(vault, json, &cursor);
        most = events;
        break;
    case 4:
        status = mdna_view_timeline(view, json, &cursor);
        most = events;
        break;
    default:
        /* Any id, and any collection. */
        most = memories + sessions + events;
        mdna_string text = UNTOUCHED;
        (void)REPORTS(mdna_memory_get(vault, json, &text), &text);
        (void)REPORTS(mdna_session_lineage(vault, json, &text), &text);
        (void)REPORTS(mdna_dna_latest(vault, json, &text), &text);
        (void)REPORTS(mdna_citation_chain(vault, json, &text), &text);
        (void)REPORTS(mdna_view_get(view, "memories", json, &text), &text);
        status = mdna_record_list(vault, json, NULL, &cursor);
        break;
    }
    if (DONE(status)) {
        CHECK(cursor != untouched);
        CHECK(fuzz_drain(cursor) <= most);
    } else {
        CHECK(cursor == untouched);
    }
    free(json);
    return 0;
}
