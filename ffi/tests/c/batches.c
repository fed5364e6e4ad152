/* Batches: all changes or none. */
#include "check.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#define MINE "mem_000000000001"
#define RECORD(content) "{\"memory_id\":\"" MINE "\",\"tier\":\"episodic\",\"content\":\"" content "\"," TIMED "}"
#define TIMED                                                                                                               \
    "\"source\":{\"session_id\":\"" SESSION "\",\"agent_id\":\"" AGENT "\",\"user_id\":\"" USER                             \
    "\",\"timestamp\":\"2025-03-01T08:00:00Z\"}"

static unsigned long memories(mdna_vault *vault) {
    mdna_cursor *cursor = NULL;
    OK(mdna_memory_list(vault, NULL, &cursor));
    return drain(cursor);
}

static uint64_t newest(mdna_vault *vault) {
    mdna_log_state state;
    OK(mdna_vault_state(vault, &state));
    return state.sequence;
}

static void all_of_it(mdna_vault *vault) {
    mdna_batch *batch = NULL;
    mdna_string text = MDNA_STRING_INIT;
    mdna_string id = MDNA_STRING_INIT;
    char session[80];
    char memory[512];
    const uint64_t before = newest(vault);
    FAILS(MDNA_NULL_POINTER, mdna_batch_begin(NULL, &batch));
    OK(mdna_batch_begin(vault, &batch));
    OK(mdna_batch_session_start(batch, AGENT, USER, NULL, "{\"topic\":\"tea\"}", &text));
    member(&text, "session_id", session, sizeof session);
    mdna_string_free(&text);
    FAILS(MDNA_UNKNOWN_PARENT, mdna_batch_session_start(batch, AGENT, USER, SESSION, NULL, NULL));
    OK(mdna_batch_session_start(batch, AGENT, USER, session, NULL, NULL));
    OK(mdna_batch_session_end(batch, session, NULL, NULL));
    FAILS(MDNA_WRONG_STATE, mdna_batch_session_end(batch, session, NULL, NULL));

    snprintf(memory, sizeof memory,
             "{\"tier\":\"short_term\",\"content\":\"of it\",\"source\":{\"session_id\":\"%s\",\"agent_id\":\"" AGENT
             "\",\"user_id\":\"" USER "\"}}",
             session);
    OK(mdna_batch_memory_add(batch, memory, &id));
    FAILS(MDNA_SCHEMA, mdna_batch_memory_add(batch, "{}", NULL));
    OK(mdna_batch_memory_update(batch, id.data, "{\"content\":\"changed\"}", &text));
    CHECK(holds(&text, "changed"));
    FAILS(MDNA_NOT_FOUND, mdna_batch_memory_update(batch, "mem_none", "{\"content\":\"x\"}", NULL));
    OK(mdna_batch_memory_promote(batch, id.data, "long_term", &text));
    CHECK(holds(&text, "long_term"));
    FAILS(MDNA_INVALID_ARGUMENT, mdna_batch_memory_promote(batch, id.data, "eternal", NULL));
    FAILS(MDNA_NOT_FOUND, mdna_batch_memory_promote(batch, "mem_none", "long_term", NULL));
    OK(mdna_batch_memory_count_access(batch, id.data, NULL));
    OK(mdna_batch_memory_count_access(batch, id.data, &text));
    CHECK(holds(&text, "\"access_count\":2"));
    FAILS(MDNA_NOT_FOUND, mdna_batch_memory_count_access(batch, "mem_none", &text));
    OK(mdna_batch_memory_archive(batch, id.data, &text));
    CHECK(holds(&text, "\"archived\":true"));
    FAILS(MDNA_WRONG_STATE, mdna_batch_memory_archive(batch, id.data, &text));
    OK(mdna_batch_create(batch, "memories", RECORD("one"), NULL));
    FAILS(MDNA_EXISTS, mdna_batch_create(batch, "memories", RECORD("two"), NULL));
    CHECK(strcmp(mdna_last_error()->subject, MINE) == 0);
    OK(mdna_batch_put(batch, "memories", RECORD("two"), NULL));
    FAILS(MDNA_JSON, mdna_batch_put(batch, "memories", "{", NULL));
    OK(mdna_batch_get(batch, "memories", MINE, &text));
    CHECK(holds(&text, "\"two\""));
    FAILS(MDNA_NOT_FOUND, mdna_batch_get(batch, "memories", "mem_none", &text));
    OK(mdna_batch_create(batch, "glyphtrail",
                         "{\"id\":\"glyph_0123456789abcdef\",\"timestamp\":\"2025-03-01T08:00:00Z\",\"glyph\":\"*\","
                         "\"source\":{\"actor_id\":\"" AGENT "\",\"actor_type\":\"agent\"}}",
                         NULL));
    OK(mdna_batch_delete(batch, "glyphtrail", "glyph_0123456789abcdef"));
    FAILS(MDNA_NOT_FOUND, mdna_batch_delete(batch, "glyphtrail", "glyph_0123456789abcdef"));

    /* Nobody else has seen any of it, and none of the failures counts. */
    CHECK(newest(vault) == before && memories(vault) == 0);
    FAILS(MDNA_NOT_FOUND, mdna_memory_get(vault, id.data, &text));
    uint64_t sequence = 0;
    OK(mdna_batch_commit(batch, &sequence));
    CHECK(sequence == before + 13 && newest(vault) == sequence && memories(vault) == 2);
    OK(mdna_memory_get(vault, id.data, &text));
    CHECK(strstr(text.data, "\"access_count\":2") != NULL && strstr(text.data, "long_term") != NULL);
    CHECK(holds(&text, "changed"));
    mdna_string_free(&id);

    FAILS(MDNA_BATCH_CLOSED, mdna_batch_commit(batch, NULL));
    FAILS(MDNA_BATCH_CLOSED, mdna_batch_put(batch, "memories", RECORD("three"), NULL));
    FAILS(MDNA_BATCH_CLOSED, mdna_batch_get(batch, "memories", MINE, &text));
    FAILS(MDNA_BATCH_CLOSED, mdna_batch_memory_promote(batch, MINE, "long_term", NULL));
    FAILS(MDNA_BATCH_CLOSED, mdna_batch_memory_archive(batch, MINE, NULL));
    FAILS(MDNA_BATCH_CLOSED, mdna_batch_memory_count_access(batch, MINE, NULL));
    mdna_batch_free(batch);
    mdna_batch_free(NULL);
}

static void none_of_it(mdna_vault *vault) {
    mdna_batch *batch = NULL;
    const uint64_t before = newest(vault);
    uint64_t sequence = 0;
    OK(mdna_batch_begin(vault, &batch));
    OK(mdna_batch_memory_add(batch, MEMORY, NULL));
    mdna_batch_free(batch);
    OK(mdna_batch_begin(vault, &batch));
    OK(mdna_batch_commit(batch, &sequence));
    CHECK(sequence == before && newest(vault) == before);
    mdna_batch_free(batch);

    /* Somebody else is faster. */
    OK(mdna_batch_begin(vault, &batch));
    OK(mdna_batch_memory_add(batch, MEMORY, NULL));
    OK(mdna_batch_put(batch, "memories", RECORD("mine"), NULL));
    OK(mdna_record_put(vault, "memories", RECORD("theirs"), NULL));
    sequence = 0;
    FAILS(MDNA_STALE, mdna_batch_commit(batch, &sequence));
    CHECK(strcmp(mdna_last_error()->subject, MINE) == 0 && sequence == 0);
    CHECK(newest(vault) == before + 1 && memories(vault) == 2);
    FAILS(MDNA_BATCH_CLOSED, mdna_batch_commit(batch, NULL));
    mdna_batch_free(batch);
}

static void *add(void *batch) {
    for (int i = 0; i < 50; i++) {
        OK(mdna_batch_memory_add(batch, MEMORY, NULL));
    }
    return NULL;
}

/* One batch, several threads; and the vault handle goes before it. */
static void shared(const char *dir) {
    mdna_vault *vault = new_vault(below(dir, "shared"));
    mdna_batch *batch = NULL;
    pthread_t threads[4];
    uint64_t sequence = 0;
    OK(mdna_batch_begin(vault, &batch));
    mdna_vault_close(vault);
    for (int i = 0; i < 4; i++) {
        CHECK(pthread_create(&threads[i], NULL, add, batch) == 0);
    }
    for (int i = 0; i < 4; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    OK(mdna_batch_commit(batch, &sequence));
    CHECK(sequence == 200);
    mdna_batch_free(batch);
}

static void forked(mdna_vault *vault) {
    mdna_batch *batch = NULL;
    OK(mdna_batch_begin(vault, &batch));
    fflush(NULL);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        FAILS(MDNA_FORKED, mdna_batch_commit(batch, NULL));
        mdna_batch_free(batch);
        execl("/bin/true", "true", (char *)NULL);
        abort();
    }
    int status = 1;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    OK(mdna_batch_memory_add(batch, MEMORY, NULL));
    OK(mdna_batch_commit(batch, NULL));
    mdna_batch_free(batch);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    mdna_vault *vault = new_vault(below(argv[1], "vault"));
    all_of_it(vault);
    none_of_it(vault);
    shared(argv[1]);
    forked(vault);
    mdna_string text = MDNA_STRING_INIT;
    OK(mdna_vault_verify(vault, &text));
    CHECK(holds(&text, "\"clean\":true"));
    mdna_vault_close(vault);
    return 0;
}
