/* Ids, documents, configurations and timeline files: what needs no vault. */
#include "check.h"

#define CITATION_ID "mc_0123456789abcdef"
#define BODY                                                                                                                \
    "\"created_at\":\"2025-03-01T08:00:00Z\",\"id\":\"" CITATION_ID "\",\"vault_id\":\"vault_0123456789abcdef\","           \
    "\"version\":\"1.0.0\""
#define EVENT(id, actor, time)                                                                                              \
    "{\"id\":\"" id "\",\"timestamp\":\"" time "\",\"event_type\":\"custom\",\"actor\":\"" actor "\"}"
#define TIMELINE                                                                                                            \
    "{\"timeline_id\":\"mine\",\"event_count\":3,\"events\":["                                                             \
    EVENT("evt_20250301080000_0001", "a", "2025-03-01T08:00:00Z") ","                                                       \
    EVENT("evt_20250302080000_0001", "b", "2025-03-02T08:00:00Z") ","                                                       \
    EVENT("evt_20250303080000_0001", "a", "2025-03-03T08:00:00Z") "]}"

/* A text and its length without the NUL. */
#define WITH_LEN(text) (text), (sizeof(text) - 1)

/* One id of each kind is taken for one, and by nobody else. */
static void ids(void) {
    static const struct {
        const char *collection;
        const char *identity_type;
        const char *prefix;
    } made[] = {
        {"identities", "user", "mdna_usr_"}, {"identities", "agent", "mdna_agt_"}, {"identities", "system", "mdna_sys_"},
        {"sessions", NULL, "sess_"},         {"memories", NULL, "mem_"},           {"snapshots", NULL, "snap_"},
        {"citations", NULL, "mc_"},          {"entries", NULL, "entry_"},          {"glyphtrail", "robot", "glyph_"},
    };
    mdna_string id = MDNA_STRING_INIT;
    mdna_string other = MDNA_STRING_INIT;
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        OK(mdna_id_new(made[i].collection, made[i].identity_type, &id));
        OK(mdna_id_new(made[i].collection, made[i].identity_type, &other));
        CHECK(strncmp(id.data, made[i].prefix, strlen(made[i].prefix)) == 0);
        CHECK(strcmp(id.data, other.data) != 0);
        OK(mdna_id_check(made[i].collection, id.data));
        FAILS(MDNA_INVALID_ID, mdna_id_check("timeline", id.data));
        CHECK(strcmp(mdna_last_error()->subject, id.data) == 0);
        mdna_string_free(&id);
        mdna_string_free(&other);
    }
    FAILS(MDNA_NULL_POINTER, mdna_id_new("identities", NULL, &id));
    FAILS(MDNA_INVALID_ARGUMENT, mdna_id_new("identities", "robot", &id));
    FAILS(MDNA_UNKNOWN_COLLECTION, mdna_id_new("thoughts", NULL, &id));
    static const char *const not_random[] = {"timeline", "reflections", "agent_dna", "agent_links"};
    for (size_t i = 0; i < sizeof not_random / sizeof *not_random; i++) {
        FAILS(MDNA_INVALID_ARGUMENT, mdna_id_new(not_random[i], NULL, &id));
    }
    FAILS(MDNA_UNKNOWN_COLLECTION, mdna_id_check("thoughts", "x"));

    OK(mdna_id_event("2025-03-01T08:09:10.5Z", 7, &id));
    CHECK(strcmp(id.data, "evt_20250301080910_0007") == 0);
    OK(mdna_id_check("timeline", id.data));
    mdna_string_free(&id);
    OK(mdna_id_event(NULL, 1, &id));
    OK(mdna_id_check("timeline", id.data));
    mdna_string_free(&id);
    FAILS(MDNA_INVALID_ARGUMENT, mdna_id_event("yesterday", 1, &id));
    OK(mdna_id_reflection(AGENT, "2025-03-01T08:09:10Z", 12, &id));
    CHECK(strcmp(id.data, "refl_0123456789abcdef_20250301_080910_0012") == 0);
    OK(mdna_id_check("reflections", id.data));
    mdna_string_free(&id);
    OK(mdna_id_reflection("No Agent", NULL, 1, &id));
    FAILS(MDNA_INVALID_ID, mdna_id_check("reflections", id.data));
    mdna_string_free(&id);
    FAILS(MDNA_INVALID_ARGUMENT, mdna_id_reflection(AGENT, "", 1, &id));
    OK(mdna_id_dna(AGENT, "1.2.3", &id));
    CHECK(strcmp(id.data, "dna_0123456789abcdef_1_2_3") == 0);
    OK(mdna_id_check("agent_dna", id.data));
    mdna_string_free(&id);
    FAILS(MDNA_INVALID_UTF8, mdna_id_dna(AGENT, "\xff", &id));
}

/* A batch stores an event under an id that was made for it. */
static void ids_are_taken(mdna_vault *vault) {
    mdna_string id = MDNA_STRING_INIT;
    mdna_string text = MDNA_STRING_INIT;
    mdna_batch *batch = NULL;
    char record[512];
    OK(mdna_id_event("2025-03-01T08:00:00Z", 1, &id));
    snprintf(record, sizeof record,
             "{\"id\":\"%s\",\"timestamp\":\"2025-03-01T08:00:00Z\",\"event_type\":\"custom\",\"actor\":\"" AGENT "\"}", id.data);
    OK(mdna_batch_begin(vault, &batch));
    OK(mdna_batch_create(batch, "timeline", record, NULL));
    OK(mdna_batch_commit(batch, NULL));
    mdna_batch_free(batch);
    OK(mdna_record_get(vault, "timeline", id.data, &text));
    CHECK(holds(&text, id.data));
    mdna_string_free(&id);
}

static void documents(const char *dir) {
    mdna_string sealed = MDNA_STRING_INIT;
    mdna_string text = MDNA_STRING_INIT;
    mdna_string sum = MDNA_STRING_INIT;
    OK(mdna_document_checksum(WITH_LEN("{ \"b\": 1, \"checksum\": \"old\" }"), &sum));
    OK(mdna_json_checksum(WITH_LEN("{\"b\":1}"), &text));
    CHECK(holds(&text, sum.data));
    OK(mdna_document_seal(WITH_LEN("{\"b\":1,\"checksum\":\"old\"}"), &sealed));
    CHECK(strstr(sealed.data, sum.data) != NULL);
    OK(mdna_document_verify(sealed.data, sealed.len, false, &text));
    CHECK(holds(&text, sum.data));
    OK(mdna_document_verify(sealed.data, sealed.len, true, NULL));
    FAILS(MDNA_CHECKSUM_MISMATCH, mdna_document_verify(WITH_LEN("{\"b\":1,\"checksum\":\"old\"}"), true, &text));
    FAILS(MDNA_UNVERIFIED, mdna_document_verify(WITH_LEN("{\"b\":1}"), false, &text));
    OK(mdna_document_verify(WITH_LEN("{\"b\":1}"), true, &text));
    CHECK(text.len == 0);
    mdna_string_free(&text);
    FAILS(MDNA_JSON, mdna_document_checksum(WITH_LEN("{"), &text));
    FAILS(MDNA_NOT_AN_OBJECT, mdna_document_checksum(WITH_LEN("[]"), &text));
    FAILS(MDNA_JSON, mdna_document_seal(WITH_LEN("nul"), &text));
    FAILS(MDNA_NOT_AN_OBJECT, mdna_document_seal(WITH_LEN("3"), &text));
    FAILS(MDNA_JSON, mdna_document_verify(NULL, 0, true, NULL));
    FAILS(MDNA_NOT_AN_OBJECT, mdna_document_verify(WITH_LEN("\"x\""), true, NULL));

    /* There and back in both languages, with the same checksum. */
    for (uint32_t format = MDNA_FORMAT_JSON; format <= MDNA_FORMAT_YAML; format++) {
        mdna_string again = MDNA_STRING_INIT;
        OK(mdna_document_write(sealed.data, sealed.len, format, &text));
        CHECK(strstr(text.data, format == MDNA_FORMAT_YAML ? "b: 1" : "\"b\": 1") != NULL);
        OK(mdna_document_read(text.data, text.len, format, &again));
        CHECK(strcmp(again.data, sealed.data) == 0);
        mdna_string_free(&text);
        mdna_string_free(&again);
    }
    FAILS(MDNA_INVALID_ARGUMENT, mdna_document_write(sealed.data, sealed.len, 2, &text));
    FAILS(MDNA_INVALID_ARGUMENT, mdna_document_read(WITH_LEN("a: 1"), UINT32_MAX, &text));
    FAILS(MDNA_JSON, mdna_document_read(WITH_LEN("a: 1"), MDNA_FORMAT_JSON, &text));
    FAILS(MDNA_YAML, mdna_document_read(WITH_LEN("a: [1"), MDNA_FORMAT_YAML, &text));
    FAILS(MDNA_NOT_AN_OBJECT, mdna_document_write(WITH_LEN("[]"), MDNA_FORMAT_YAML, &text));
    mdna_string_free(&sealed);
    mdna_string_free(&sum);

    const char *path = below(dir, "file");
    FILE *file = fopen(path, "wb");
    CHECK(file != NULL && fwrite("abc", 1, 3, file) == 3 && fclose(file) == 0);
    OK(mdna_path_checksum(path, &text));
    CHECK(holds(&text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    FAILS(MDNA_IO, mdna_path_checksum(below(dir, "none"), &text));
    CHECK(strstr(mdna_last_error()->subject, "none") != NULL);
    FAILS(MDNA_IO, mdna_path_checksum(dir, &text));
}

static void citations(mdna_vault *vault) {
    mdna_string citation = MDNA_STRING_INIT;
    mdna_string text = MDNA_STRING_INIT;
    for (int full = 0; full <= 1; full++) {
        OK(mdna_citation_template(full, &citation));
        CHECK((strstr(citation.data, "\"metadata\"") != NULL) == (full == 1));
        OK(mdna_record_create(vault, "citations", citation.data, NULL));
        for (uint32_t format = MDNA_FORMAT_JSON; format <= MDNA_FORMAT_YAML; format++) {
            OK(mdna_document_write(citation.data, citation.len, format, &text));
            mdna_string read = MDNA_STRING_INIT;
            OK(mdna_citation_read(text.data, text.len, format, &read));
            CHECK(strcmp(read.data, citation.data) == 0);
            mdna_string_free(&read);
            mdna_string_free(&text);
        }
        mdna_string_free(&citation);
    }
    FAILS(MDNA_NULL_POINTER, mdna_citation_template(true, NULL));
    FAILS(MDNA_JSON, mdna_citation_read(WITH_LEN("{"), MDNA_FORMAT_JSON, &text));
    FAILS(MDNA_YAML, mdna_citation_read(WITH_LEN("{"), MDNA_FORMAT_YAML, &text));
    FAILS(MDNA_NOT_AN_OBJECT, mdna_citation_read(WITH_LEN("[]"), MDNA_FORMAT_JSON, &text));
    FAILS(MDNA_SCHEMA, mdna_citation_read(WITH_LEN("{" BODY "}"), MDNA_FORMAT_JSON, &text));
    static const char wrong[] = "{" BODY ",\"checksum\":\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"}";
    FAILS(MDNA_CHECKSUM_MISMATCH, mdna_citation_read(WITH_LEN(wrong), MDNA_FORMAT_JSON, &text));
    CHECK(strstr(mdna_last_error()->subject, CITATION_ID) != NULL);
    OK(mdna_document_seal(WITH_LEN(wrong), &citation));
    OK(mdna_citation_read(citation.data, citation.len, MDNA_FORMAT_JSON, &text));
    CHECK(holds(&text, CITATION_ID));
    FAILS(MDNA_INVALID_ARGUMENT, mdna_citation_read(citation.data, citation.len, 9, &text));
    mdna_string_free(&citation);
}

static void configurations(void) {
    mdna_string config = MDNA_STRING_INIT;
    mdna_string text = MDNA_STRING_INIT;
    OK(mdna_vault_config_template("/a \"vault\"", false, &config));
    OK(mdna_vault_config_read(config.data, config.len, MDNA_FORMAT_JSON, &text));
    CHECK(strcmp(text.data, config.data) == 0);
    CHECK(holds(&text, "/a \\\"vault\\\""));
    mdna_string_free(&config);
    OK(mdna_vault_config_template("/v", true, &text));
    CHECK(holds(&text, "\"entries\":[]"));
    FAILS(MDNA_INVALID_UTF8, mdna_vault_config_template("\xff", true, &text));
    FAILS(MDNA_JSON, mdna_vault_config_read(NULL, 0, MDNA_FORMAT_JSON, &text));
    FAILS(MDNA_YAML, mdna_vault_config_read(WITH_LEN("a: [1"), MDNA_FORMAT_YAML, &text));
    FAILS(MDNA_DOCUMENT, mdna_vault_config_read(WITH_LEN("vault_id: v"), MDNA_FORMAT_YAML, &text));
    CHECK(strstr(mdna_last_error()->message, "name") != NULL);

    static const char app[] = "{\"b\": [1, \"\xc3\xa9\"], \"a\": null}";
    static const char *const algorithms[] = {"sha256", "sha512"};
    for (size_t i = 0; i < 2; i++) {
        OK(mdna_config_seal(WITH_LEN(app), algorithms[i], "2.0.0", &text));
        CHECK(strstr(text.data, algorithms[i]) != NULL && strstr(text.data, "\"version\": \"2.0.0\"") != NULL);
        OK(mdna_config_verify("app", WITH_LEN(app), text.data));
        OK(mdna_config_verify("app", WITH_LEN("{\"a\":null,\"b\":[1,\"\\u00e9\"]}"), text.data));
        FAILS(MDNA_CHECKSUM_MISMATCH, mdna_config_verify("app", WITH_LEN("{\"a\":null}"), text.data));
        CHECK(strstr(mdna_last_error()->subject, "app") != NULL);
        mdna_string_free(&text);
    }
    FAILS(MDNA_INVALID_ARGUMENT, mdna_config_seal(WITH_LEN(app), "md5", "1", &text));
    FAILS(MDNA_JSON, mdna_config_seal(WITH_LEN("{"), "sha256", "1", &text));
    FAILS(MDNA_UNVERIFIED, mdna_config_verify("app", WITH_LEN(app), "{\"algorithm\":\"sha256\"}"));
    FAILS(MDNA_DOCUMENT, mdna_config_verify("app", WITH_LEN(app), "{\"algorithm\":\"md5\",\"hash\":\"0\"}"));
    FAILS(MDNA_JSON, mdna_config_verify("app", WITH_LEN(app), "{"));
}

static void timelines(void) {
    mdna_string text = MDNA_STRING_INIT;
    mdna_cursor *cursor = NULL;
    static const struct {
        const char *query;
        unsigned long events;
    } queries[] = {
        {NULL, 3},
        {"{\"actor\":\"a\"}", 2},
        {"{\"actor\":\"a\",\"limit\":1}", 1},
        {"{\"limit\":0}", 0},
        {"{\"event_type\":\"session_start\"}", 0},
        {"{\"since\":\"2025-03-01T08:00:00Z\",\"until\":\"2025-03-03T08:00:00Z\"}", 2},
        {"{\"since\":\"2025-03-01T08:00:00.000001Z\"}", 2},
        {"{\"until\":\"2025-03-01T08:00:00Z\"}", 0},
    };
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        OK(mdna_timeline_file_query(WITH_LEN(TIMELINE), queries[i].query, &cursor));
        CHECK(drain(cursor) == queries[i].events);
    }
    OK(mdna_timeline_file_query(WITH_LEN(TIMELINE), "{\"actor\":\"b\"}", &cursor));
    OK(mdna_cursor_next(cursor, &text));
    CHECK(holds(&text, "evt_20250302080000_0001"));
    mdna_cursor_free(cursor);
    FAILS(MDNA_INVALID_ARGUMENT, mdna_timeline_file_query(WITH_LEN(TIMELINE), "{\"type\":\"custom\"}", &cursor));
    FAILS(MDNA_JSON, mdna_timeline_file_query(TIMELINE, 20, NULL, &cursor));
    FAILS(MDNA_DOCUMENT, mdna_timeline_file_query(WITH_LEN("{\"timeline_id\":\"x\"}"), NULL, &cursor));
    OK(mdna_timeline_file_summary(WITH_LEN(TIMELINE), &text));
    CHECK(strstr(text.data, "\"timeline_id\":\"mine\"") != NULL && strstr(text.data, "\"unique_actors\":2") != NULL);
    CHECK(holds(&text, "\"total_events\":3"));
    FAILS(MDNA_JSON, mdna_timeline_file_summary(NULL, 0, &text));
    FAILS(MDNA_DOCUMENT, mdna_timeline_file_summary(
                             WITH_LEN("{\"timeline_id\":\"cut\",\"event_count\":2,\"events\":[{}]}"), &text));
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    mdna_vault *vault = new_vault(below(argv[1], "vault"));
    ids();
    ids_are_taken(vault);
    documents(argv[1]);
    citations(vault);
    mdna_vault_close(vault);
    configurations();
    timelines();
    return 0;
}
