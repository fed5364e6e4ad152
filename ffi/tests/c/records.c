/* Records of every kind. */
#include "check.h"

#define GLYPH "glyph_0123456789abcdef"
#define GLYPH_RECORD                                                                                                        \
    "{\"id\":\"" GLYPH "\",\"timestamp\":\"2025-03-01T08:00:00Z\",\"glyph\":\"*\",\"source\":{\"actor_id\":\"" AGENT        \
    "\",\"actor_type\":\"agent\"}}"

/* A listing goes on where another one stopped. */
static void positions(mdna_vault *vault) {
    char filter[256];
    mdna_string text = MDNA_STRING_INIT, position = MDNA_STRING_INIT;
    mdna_cursor *cursor = NULL;
    for (int i = 0; i < 5; i++) {
        OK(mdna_memory_add(vault, MEMORY, NULL));
    }
    for (int i = 0; i <= 5; i++) {
        (void)snprintf(filter, sizeof filter, "{\"limit\":1,\"after\":\"%s\"}", position.data != NULL ? position.data : "");
        OK(mdna_memory_list(vault, filter, &cursor));
        if (i == 0) {
            OK(mdna_cursor_position(cursor, &position));
            CHECK(position.len == 0);
        }
        mdna_string_free(&position);
        mdna_status status = mdna_cursor_next(cursor, &text);
        CHECK(status == (i < 5 ? MDNA_OK : MDNA_END));
        mdna_string_free(&text);
        OK(mdna_cursor_position(cursor, &position));
        mdna_cursor_free(cursor);
    }
    mdna_string_free(&position);
    OK(mdna_vault_log(vault, 1, 0, &cursor));
    FAILS(MDNA_INVALID_ARGUMENT, mdna_cursor_position(cursor, &text));
    mdna_cursor_free(cursor);
}

static void any_record(mdna_vault *vault) {
    mdna_string text = MDNA_STRING_INIT;
    mdna_cursor *cursor = NULL;
    mdna_record_info info;
    OK(mdna_record_create(vault, "glyphtrail", GLYPH_RECORD, &text));
    CHECK(strcmp(text.data, GLYPH) == 0);
    mdna_string_free(&text);
    FAILS(MDNA_EXISTS, mdna_record_create(vault, "glyphtrail", GLYPH_RECORD, NULL));
    CHECK(strcmp(mdna_last_error()->subject, GLYPH) == 0);
    FAILS(MDNA_JSON, mdna_record_create(vault, "glyphtrail", "{", NULL));
    FAILS(MDNA_SCHEMA, mdna_record_put(vault, "glyphtrail", "{\"id\":\"" GLYPH "\"}", NULL));
    FAILS(MDNA_UNKNOWN_COLLECTION, mdna_record_put(vault, "thoughts", "{}", NULL));
    OK(mdna_record_put(vault, "glyphtrail", GLYPH_RECORD, NULL));
    OK(mdna_record_get(vault, "glyphtrail", GLYPH, &text));
    CHECK(holds(&text, "\"glyph\":\"*\""));
    FAILS(MDNA_NOT_FOUND, mdna_record_get(vault, "glyphtrail", "glyph_none", &text));
    memset(&info, 0, sizeof info);
    OK(mdna_record_describe(vault, "glyphtrail", GLYPH, &info));
    CHECK(info.sequence == 2 && info.time_us > 0 && !info.lenient);
    FAILS(MDNA_NOT_FOUND, mdna_record_describe(vault, "glyphtrail", "glyph_none", &info));
    OK(mdna_record_list(vault, "glyphtrail", "{\"glyph\":\"*\",\"limit\":5,\"order\":\"newest\"}", &cursor));
    CHECK(drain(cursor) == 1);
    FAILS(MDNA_INVALID_ARGUMENT, mdna_record_list(vault, "glyphtrail", "{\"order\":\"best\"}", &cursor));
    FAILS(MDNA_INVALID_ARGUMENT, mdna_record_list(vault, "glyphtrail", "{\"after\":\"there\"}", &cursor));
    OK(mdna_glyph_chain(vault, GLYPH, &text));
    CHECK(holds(&text, "\"missing_predecessor\":null"));
    FAILS(MDNA_NOT_FOUND, mdna_glyph_chain(vault, "glyph_none", &text));
    FAILS(MDNA_NOT_FOUND, mdna_citation_chain(vault, "mc_none", &text));
    OK(mdna_record_delete(vault, "glyphtrail", GLYPH));
    FAILS(MDNA_NOT_FOUND, mdna_record_delete(vault, "glyphtrail", GLYPH));
    OK(mdna_record_history(vault, "glyphtrail", GLYPH, 0, &cursor));
    CHECK(drain(cursor) == 3);
    OK(mdna_record_history(vault, "glyphtrail", GLYPH, 1, &cursor));
    CHECK(drain(cursor) == 1);
    OK(mdna_record_history(vault, "glyphtrail", GLYPH, 2, &cursor));
    OK(mdna_cursor_next(cursor, &text));
    CHECK(strstr(text.data, "\"deleted\":true") != NULL);
    CHECK(holds(&text, "\"lenient\":null"));
    OK(mdna_cursor_next(cursor, &text));
    CHECK(strstr(text.data, "\"deleted\":false") != NULL);
    CHECK(holds(&text, "\"lenient\":false"));
    mdna_cursor_free(cursor);
    FAILS(MDNA_NOT_FOUND, mdna_record_history(vault, "glyphtrail", "glyph_none", 0, &cursor));
}

static void citations(mdna_vault *vault) {
    static const char body[] = "{\"created_at\":\"2025-03-01T08:00:00Z\",\"id\":\"mc_0123456789abcdef\",\"vault_id\":"
                               "\"vault_0123456789abcdef\",\"version\":\"1.0.0\"}";
    mdna_string sum = MDNA_STRING_INIT;
    mdna_string text = MDNA_STRING_INIT;
    OK(mdna_json_checksum(body, sizeof body - 1, &sum));
    CHECK(sum.len == 64);
    char record[512];
    snprintf(record, sizeof record, "{\"checksum\":\"%s\",%s", sum.data, body + 1);
    mdna_string_free(&sum);
    OK(mdna_record_create(vault, "citations", record, NULL));
    OK(mdna_citation_chain(vault, "mc_0123456789abcdef", &text));
    CHECK(holds(&text, "mc_0123456789abcdef"));
    record[13] = record[13] == '0' ? '1' : '0';
    FAILS(MDNA_CHECKSUM_MISMATCH, mdna_record_put(vault, "citations", record, NULL));
}

static void identities(mdna_vault *vault) {
    mdna_string text = MDNA_STRING_INIT;
    char id[80];
    char key[80];
    char public_key[80];
    OK(mdna_identity_create(vault, "agent", "{\"name\":\"Ada\"}", &text));
    member(&text, "identity_id", id, sizeof id);
    member(&text, "_private_key", key, sizeof key);
    member(&text, "public_key", public_key, sizeof public_key);
    mdna_string_free(&text);
    FAILS(MDNA_INVALID_ARGUMENT, mdna_identity_create(vault, "robot", NULL, &text));
    FAILS(MDNA_SCHEMA, mdna_identity_create(vault, "agent", "[]", &text));
    OK(mdna_identity_get(vault, id, &text));
    CHECK(strstr(text.data, key) == NULL);
    mdna_string_free(&text);
    FAILS(MDNA_NOT_FOUND, mdna_identity_get(vault, "mdna_agt_none", &text));

    mdna_string signature = MDNA_STRING_INIT;
    bool valid = false;
    OK(mdna_identity_sign(vault, id, "I was here", key, &signature));
    OK(mdna_identity_verify(vault, id, "I was here", signature.data, &valid));
    CHECK(valid);
    OK(mdna_identity_verify(vault, id, "I was there", signature.data, &valid));
    CHECK(!valid);
    FAILS(MDNA_NOT_FOUND, mdna_identity_verify(vault, "mdna_agt_none", "x", signature.data, &valid));
    FAILS(MDNA_PRIVATE_KEY, mdna_identity_sign(vault, id, "x", "no key", &text));
    OK(mdna_claim_verify(public_key, id, "I was here", signature.data, &valid));
    CHECK(valid);
    OK(mdna_claim_verify("no key", id, "I was here", signature.data, &valid));
    CHECK(!valid);
    OK(mdna_claim_sign(key, id, "I was here", &text));
    CHECK(holds(&text, signature.data));
    mdna_string_free(&signature);
    FAILS(MDNA_PRIVATE_KEY, mdna_claim_sign("AAAA", id, "x", &text));
    OK(mdna_key_public(key, &text));
    CHECK(holds(&text, public_key));
    FAILS(MDNA_PRIVATE_KEY, mdna_key_public("AAAA", &text));
    mdna_string fresh = MDNA_STRING_INIT;
    OK(mdna_key_new(&fresh));
    OK(mdna_key_public(fresh.data, &text));
    CHECK(!holds(&text, public_key));
    mdna_string_free(&fresh);
    FAILS(MDNA_NULL_POINTER, mdna_key_new(NULL));
}

static void sessions(mdna_vault *vault) {
    mdna_string text = MDNA_STRING_INIT;
    mdna_cursor *cursor = NULL;
    char first[80];
    char second[80];
    OK(mdna_session_start(vault, AGENT, USER, NULL, &text));
    member(&text, "session_id", first, sizeof first);
    mdna_string_free(&text);
    FAILS(MDNA_UNKNOWN_PARENT, mdna_session_start(vault, AGENT, USER, SESSION, &text));
    FAILS(MDNA_SCHEMA, mdna_session_start(vault, "nobody", USER, NULL, &text));
    OK(mdna_session_start_with(vault, AGENT, USER, first, "{\"topic\":\"tea\"}", &text));
    member(&text, "session_id", second, sizeof second);
    mdna_string_free(&text);
    FAILS(MDNA_SCHEMA, mdna_session_start_with(vault, AGENT, USER, NULL, "3", NULL));
    OK(mdna_session_end(vault, second, "{\"mood\":\"calm\"}", &text));
    CHECK(holds(&text, "\"mood\":\"calm\""));
    FAILS(MDNA_WRONG_STATE, mdna_session_end(vault, second, NULL, NULL));
    OK(mdna_session_get(vault, first, &text));
    CHECK(holds(&text, first));
    FAILS(MDNA_NOT_FOUND, mdna_session_get(vault, "sess_none", &text));
    OK(mdna_session_list(vault, NULL, &cursor));
    CHECK(drain(cursor) == 2);
    FAILS(MDNA_INVALID_ARGUMENT, mdna_session_list(vault, "[]", &cursor));
    OK(mdna_session_lineage(vault, second, &text));
    CHECK(strstr(text.data, first) != NULL);
    CHECK(holds(&text, "\"missing_parent\":null"));
    FAILS(MDNA_NOT_FOUND, mdna_session_lineage(vault, "sess_none", &text));
    OK(mdna_session_context(vault, second, &text));
    CHECK(holds(&text, "\"session_count\":2"));
    FAILS(MDNA_NOT_FOUND, mdna_session_context(vault, "sess_none", &text));
}

static void memories(mdna_vault *vault) {
    mdna_string id = MDNA_STRING_INIT;
    mdna_string text = MDNA_STRING_INIT;
    mdna_cursor *cursor = NULL;
    OK(mdna_memory_add(vault, MEMORY, &id));
    FAILS(MDNA_SCHEMA, mdna_memory_add(vault, "{}", NULL));
    FAILS(MDNA_JSON, mdna_memory_add(vault, "", NULL));
    OK(mdna_memory_get(vault, id.data, &text));
    CHECK(holds(&text, "The kettle is red"));
    FAILS(MDNA_NOT_FOUND, mdna_memory_get(vault, "mem_none", &text));
    OK(mdna_memory_list(vault, "{\"tier\":\"short_term\",\"archived\":false}", &cursor));
    CHECK(drain(cursor) == 1);
    FAILS(MDNA_INVALID_ARGUMENT, mdna_memory_list(vault, "{\"limit\":-1}", &cursor));
    OK(mdna_memory_search(vault, "KETTLE", NULL, &cursor));
    CHECK(drain(cursor) == 1);
    OK(mdna_memory_search(vault, "kettle", "{\"tier\":\"episodic\"}", &cursor));
    CHECK(drain(cursor) == 0);
    FAILS(MDNA_INVALID_ARGUMENT, mdna_memory_search(vault, "x", "{\"since\":\"long ago\"}", &cursor));
    OK(mdna_memory_update(vault, id.data, "{\"metadata\":{\"tags\":[\"kitchen\"]}}", &text));
    CHECK(holds(&text, "kitchen"));
    /* A list fits by what is in it, null what is not there, and a limit of 0 is one. */
    OK(mdna_memory_list(vault, "{\"metadata.tags\":\"kitchen\"}", &cursor));
    CHECK(drain(cursor) == 1);
    OK(mdna_memory_list(vault, "{\"metadata.tags\":\"cellar\"}", &cursor));
    CHECK(drain(cursor) == 0);
    OK(mdna_memory_list(vault, "{\"metadata.none\":null}", &cursor));
    CHECK(drain(cursor) == 1);
    OK(mdna_memory_list(vault, "{\"metadata.tags\":null}", &cursor));
    CHECK(drain(cursor) == 0);
    /* A text is no number and not null, whatever it says. */
    OK(mdna_memory_list(vault, "{\"metadata.none\":\"null\"}", &cursor));
    CHECK(drain(cursor) == 0);
    OK(mdna_memory_update(vault, id.data, "{\"metadata\":{\"custom\":{\"name\":\"null\",\"n\":3}}}", NULL));
    OK(mdna_memory_list(vault, "{\"metadata.custom.name\":\"null\",\"metadata.custom.n\":3}", &cursor));
    CHECK(drain(cursor) == 1);
    OK(mdna_memory_list(vault, "{\"metadata.custom.name\":null}", &cursor));
    CHECK(drain(cursor) == 0);
    OK(mdna_memory_list(vault, "{\"metadata.custom.n\":\"3\"}", &cursor));
    CHECK(drain(cursor) == 0);
    OK(mdna_memory_list(vault, "{\"limit\":0}", &cursor));
    CHECK(drain(cursor) == 0);
    FAILS(MDNA_INVALID_ARGUMENT, mdna_memory_list(vault, "{\"tier\":[\"short_term\"]}", &cursor));
    FAILS(MDNA_INVALID_ARGUMENT, mdna_memory_update(vault, id.data, "{\"tier\":\"episodic\"}", NULL));
    OK(mdna_memory_promote(vault, id.data, "long_term", &text));
    CHECK(holds(&text, "long_term"));
    FAILS(MDNA_INVALID_ARGUMENT, mdna_memory_promote(vault, id.data, "eternal", NULL));
    FAILS(MDNA_NOT_FOUND, mdna_memory_promote(vault, "mem_none", "long_term", NULL));
    CHECK(strcmp(mdna_last_error()->subject, "mem_none") == 0);
    FAILS(MDNA_NOT_FOUND, mdna_memory_update(vault, "mem_none", "{\"content\":\"x\"}", NULL));
    CHECK(strcmp(mdna_last_error()->subject, "mem_none") == 0);
    OK(mdna_memory_count_access(vault, id.data, &text));
    CHECK(holds(&text, "\"access_count\":1"));
    FAILS(MDNA_NOT_FOUND, mdna_memory_count_access(vault, "mem_none", NULL));
    OK(mdna_memory_archive(vault, id.data, NULL));
    FAILS(MDNA_WRONG_STATE, mdna_memory_archive(vault, id.data, NULL));
    OK(mdna_memory_delete(vault, id.data));
    FAILS(MDNA_NOT_FOUND, mdna_memory_delete(vault, id.data));
    mdna_string_free(&id);
}

static void dna_and_reflections(mdna_vault *vault) {
    static const char dna[] = "{\"agent_id\":\"" AGENT "\",\"version\":\"1.0.0\",\"personality_traits\":{\"tone\":\"warm\","
                              "\"style\":\"brief\",\"values\":[\"honesty\"]},\"behavioral_constraints\":[\"ask first\"],"
                              "\"capabilities\":[\"search\"]}";
    mdna_string text = MDNA_STRING_INIT;
    mdna_cursor *cursor = NULL;
    char id[120];
    OK(mdna_dna_create(vault, dna, &text));
    CHECK(holds(&text, "dna_"));
    FAILS(MDNA_EXISTS, mdna_dna_create(vault, dna, NULL));
    OK(mdna_dna_versions(vault, AGENT, &cursor));
    CHECK(drain(cursor) == 1);
    OK(mdna_dna_latest(vault, AGENT, &text));
    CHECK(holds(&text, "1.0.0"));
    FAILS(MDNA_NOT_FOUND, mdna_dna_latest(vault, "mdna_agt_none", &text));
    OK(mdna_dna_constraints(vault, AGENT, &text));
    CHECK(holds(&text, "[\"ask first\"]"));

    OK(mdna_reflection_add(vault,
                           "{\"agent_id\":\"" AGENT "\",\"reflection_type\":\"alignment\",\"observation\":\"it fits\","
                           "\"context\":{}}",
                           &text));
    member(&text, "reflection_id", id, sizeof id);
    mdna_string_free(&text);
    FAILS(MDNA_INVALID_ARGUMENT, mdna_reflection_add(vault, "{\"agent_id\":\"" AGENT "\"}", NULL));
    OK(mdna_reflection_decision(vault, AGENT, "wait", "it is early", "[\"ask first\"]", NULL, &text));
    CHECK(holds(&text, "\"aligned\":true"));
    FAILS(MDNA_INVALID_ARGUMENT, mdna_reflection_decision(vault, AGENT, "a", "b", "{}", NULL, NULL));
    OK(mdna_reflection_capability(vault, AGENT, "search", "the archive", true, NULL, NULL));
    FAILS(MDNA_INVALID_UTF8, mdna_reflection_capability(vault, AGENT, "\xff", "x", true, NULL, NULL));
    OK(mdna_reflection_state(vault, AGENT, "{\"load\":1}", "[\"busy\"]", NULL));
    FAILS(MDNA_INVALID_ARGUMENT, mdna_reflection_state(vault, AGENT, "3", NULL, NULL));
    char ids[160];
    snprintf(ids, sizeof ids, "[\"%s\"]", id);
    OK(mdna_reflection_meta(vault, AGENT, ids, "all is well", NULL));
    FAILS(MDNA_NOT_FOUND, mdna_reflection_meta(vault, AGENT, "[\"refl_none\"]", "x", NULL));
    OK(mdna_reflection_list(vault, AGENT, NULL, &cursor));
    CHECK(drain(cursor) == 5);
    OK(mdna_reflection_list(vault, NULL, "state", &cursor));
    CHECK(drain(cursor) == 1);
    FAILS(MDNA_INVALID_ARGUMENT, mdna_reflection_list(vault, NULL, "dream", &cursor));
    OK(mdna_reflection_introspect(vault, AGENT, &text));
    CHECK(strstr(text.data, "\"capability_performance\":{\"search\":{\"success_count\":") != NULL);
    CHECK(strstr(text.data, "\"total_capability_reflections\":1") != NULL);
    CHECK(holds(&text, "\"capabilities\":[\"search\"]"));
    FAILS(MDNA_NOT_FOUND, mdna_reflection_introspect(vault, "mdna_agt_none", &text));

    /* Nothing is stored of somebody who is no agent. */
    FAILS(MDNA_SCHEMA, mdna_reflection_add(vault,
                                           "{\"agent_id\":\"nobody\",\"reflection_type\":\"alignment\","
                                           "\"observation\":\"it fits\",\"context\":{}}",
                                           NULL));
    FAILS(MDNA_SCHEMA, mdna_reflection_decision(vault, "nobody", "wait", "it is early", NULL, NULL, NULL));
    FAILS(MDNA_SCHEMA, mdna_reflection_capability(vault, "nobody", "search", "the archive", true, NULL, NULL));
    FAILS(MDNA_SCHEMA, mdna_reflection_state(vault, "nobody", "{\"load\":1}", NULL, NULL));
    CHECK(strstr(mdna_last_error()->subject, "refl_nobody") != NULL);
    OK(mdna_reflection_list(vault, "nobody", NULL, &cursor));
    CHECK(drain(cursor) == 0);
}

static void timeline(mdna_vault *vault) {
    mdna_string text = MDNA_STRING_INIT;
    mdna_cursor *cursor = NULL;
    OK(mdna_timeline_append(vault, "custom", AGENT, "{\"n\":1}", NULL, "2025-03-01T08:00:00Z", &text));
    CHECK(holds(&text, "evt_20250301"));
    FAILS(MDNA_INVALID_ARGUMENT, mdna_timeline_append(vault, "custom", AGENT, NULL, NULL, "yesterday", NULL));
    FAILS(MDNA_SCHEMA, mdna_timeline_append(vault, "dreamt", AGENT, NULL, NULL, NULL, NULL));
    OK(mdna_timeline_query(vault, "{\"event_type\":\"custom\",\"until\":\"2025-03-02T00:00:00Z\"}", &cursor));
    CHECK(drain(cursor) == 1);
    OK(mdna_timeline_query(vault, "{\"limit\":0}", &cursor));
    CHECK(drain(cursor) == 0);
    FAILS(MDNA_INVALID_ARGUMENT, mdna_timeline_query(vault, "{\"type\":\"custom\"}", &cursor));
    OK(mdna_timeline_summary(vault, "mine", &text));
    CHECK(holds(&text, "\"timeline_id\":\"mine\""));
    OK(mdna_timeline_days(vault, &text));
    CHECK(holds(&text, "\"2025-03-01\""));
}

static void without_a_vault(void) {
    mdna_string text = MDNA_STRING_INIT;
    static const char json[] = "{ \"b\": 1.0, \"a\": \"\xc3\xa9\" }";
    OK(mdna_json_canonical(json, sizeof json - 1, &text));
    CHECK(strcmp(text.data, "{\"a\":\"\\u00e9\",\"b\":1.0}") == 0);
    mdna_string_free(&text);
    FAILS(MDNA_JSON, mdna_json_canonical(json, 3, &text));
    FAILS(MDNA_JSON, mdna_json_canonical(NULL, 0, &text));
    FAILS(MDNA_INVALID_ARGUMENT, mdna_json_canonical(json, SIZE_MAX, &text));
    FAILS(MDNA_JSON, mdna_json_checksum("nul", 3, &text));
    OK(mdna_bytes_checksum(NULL, 0, &text));
    CHECK(holds(&text, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
    FAILS(MDNA_NULL_POINTER, mdna_bytes_checksum(NULL, 1, &text));
    OK(mdna_record_check("memories", "{\"memory_id\":\"mem_abcdefghijkl\",\"tier\":\"episodic\",\"content\":\"x\",\"source\":{"
                                     "\"session_id\":\"" SESSION "\",\"timestamp\":\"2025-03-01T08:00:00Z\",\"agent_id\":\"" AGENT
                                     "\",\"user_id\":\"" USER "\"}}"));
    FAILS(MDNA_SCHEMA, mdna_record_check("memories", MEMORY));
    FAILS(MDNA_NOT_AN_OBJECT, mdna_record_check("memories", "[]"));
    OK(mdna_schema_text("memories", &text));
    CHECK(holds(&text, "memory_id"));
    FAILS(MDNA_UNKNOWN_COLLECTION, mdna_schema_text("thoughts", &text));
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    mdna_vault *vault = new_vault(below(argv[1], "vault"));
    any_record(vault);
    citations(vault);
    identities(vault);
    sessions(vault);
    memories(vault);
    dna_and_reflections(vault);
    timeline(vault);
    without_a_vault();
    mdna_vault_close(vault);
    vault = new_vault(below(argv[1], "positions"));
    positions(vault);
    mdna_vault_close(vault);
    return 0;
}
