/* Snapshots, views, watches, import and export, logs. */
#include "check.h"

#include <pthread.h>
#include <sys/stat.h>

#define MINE "mem_000000000001"
#define RECORD(content)                                                                                                     \
    "{\"memory_id\":\"" MINE "\",\"tier\":\"episodic\",\"content\":\"" content "\",\"source\":{\"session_id\":\"" SESSION           \
    "\",\"agent_id\":\"" AGENT "\",\"user_id\":\"" USER "\",\"timestamp\":\"2025-03-01T08:00:00Z\"}}"

/* What a record was: its sequence, time and checksum then, and not now. */
static void described(mdna_vault *vault) {
    mdna_record_info first, second, then;
    mdna_view *view = NULL;
    mdna_string sum = MDNA_STRING_INIT;
    OK(mdna_record_put(vault, "memories", RECORD("one"), NULL));
    OK(mdna_record_describe(vault, "memories", MINE, &first));
    OK(mdna_record_put(vault, "memories", RECORD("two"), NULL));
    OK(mdna_record_describe(vault, "memories", MINE, &second));
    OK(mdna_vault_at(vault, first.sequence, &view));
    OK(mdna_view_describe(view, "memories", MINE, &then));
    CHECK(then.sequence == first.sequence && then.time_us == first.time_us && !then.lenient);
    CHECK(memcmp(then.checksum, first.checksum, 32) == 0 && memcmp(then.checksum, second.checksum, 32) != 0);
    static const char one[] = RECORD("one");
    OK(mdna_json_checksum(one, sizeof one - 1, &sum));
    char hex[3];
    snprintf(hex, sizeof hex, "%02x", then.checksum[0]);
    CHECK(strncmp(sum.data, hex, 2) == 0);
    mdna_string_free(&sum);
    FAILS(MDNA_NOT_FOUND, mdna_view_describe(view, "memories", "mem_none", &then));
    FAILS(MDNA_UNKNOWN_COLLECTION, mdna_view_describe(view, "thoughts", MINE, &then));
    mdna_view_free(view);
    OK(mdna_vault_at(vault, first.sequence - 1, &view));
    FAILS(MDNA_NOT_FOUND, mdna_view_describe(view, "memories", MINE, &then));
    mdna_view_free(view);
    OK(mdna_memory_delete(vault, MINE));
}

static void snapshots(mdna_vault *vault, const char *dir) {
    mdna_string first = MDNA_STRING_INIT;
    mdna_string text = MDNA_STRING_INIT;
    mdna_cursor *cursor = NULL;
    mdna_view *view = NULL;
    mdna_view *now = NULL;
    OK(mdna_snapshot_create(vault, NULL, &first));
    OK(mdna_snapshot_create_with(vault, "snap_second", true, "{\"why\":\"a test\"}", NULL));
    FAILS(MDNA_EXISTS, mdna_snapshot_create(vault, "snap_second", NULL));
    FAILS(MDNA_SCHEMA, mdna_snapshot_create_with(vault, "snap_third", false, "3", NULL));
    OK(mdna_snapshot_get(vault, "snap_second", &text));
    CHECK(holds(&text, "a test"));
    FAILS(MDNA_NOT_FOUND, mdna_snapshot_get(vault, "snap_none", &text));
    OK(mdna_snapshot_list(vault, &cursor));
    CHECK(drain(cursor) == 2);
    OK(mdna_snapshot_render(vault, first.data, MDNA_FORMAT_YAML, &text));
    CHECK(holds(&text, "snapshot_id: "));
    FAILS(MDNA_INVALID_ARGUMENT, mdna_snapshot_render(vault, first.data, 5, &text));
    FAILS(MDNA_NOT_FOUND, mdna_snapshot_render(vault, "snap_none", MDNA_FORMAT_JSON, &text));

    OK(mdna_snapshot_render(vault, first.data, MDNA_FORMAT_JSON, &text));
    const char *file = below(dir, "snapshot.json");
    FILE *out = fopen(file, "wb");
    CHECK(out != NULL && fwrite(text.data, 1, text.len, out) == text.len && fclose(out) == 0);
    mdna_string_free(&text);
    OK(mdna_snapshot_load(file, false, &text));
    CHECK(holds(&text, first.data));
    FAILS(MDNA_IO, mdna_snapshot_load(below(dir, "none.json"), false, &text));

    OK(mdna_memory_add(vault, MEMORY, NULL));
    OK(mdna_snapshot_view(vault, first.data, &view));
    FAILS(MDNA_NOT_FOUND, mdna_snapshot_view(vault, "snap_none", &now));
    mdna_log_state state;
    OK(mdna_vault_state(vault, &state));
    OK(mdna_vault_at(vault, state.sequence, &now));
    mdna_view *beyond = NULL;
    FAILS(MDNA_INVALID_ARGUMENT, mdna_vault_at(vault, state.sequence + 1, &beyond));
    uint64_t sequence = 0;
    OK(mdna_view_sequence(now, &sequence));
    CHECK(sequence == state.sequence);
    OK(mdna_view_list(view, "memories", &cursor));
    CHECK(drain(cursor) == 1);
    OK(mdna_view_list(now, "memories", &cursor));
    CHECK(drain(cursor) == 2);
    OK(mdna_view_diff(view, now, &cursor));
    CHECK(drain(cursor) == 1);
    FAILS(MDNA_UNKNOWN_COLLECTION, mdna_view_list(view, "thoughts", &cursor));
    FAILS(MDNA_NOT_FOUND, mdna_view_get(view, "memories", "mem_none", &text));
    OK(mdna_view_get(now, "snapshots", "snap_second", &text));
    CHECK(holds(&text, "snap_second"));
    OK(mdna_view_timeline(view, NULL, &cursor));
    CHECK(drain(cursor) == 1);
    FAILS(MDNA_INVALID_ARGUMENT, mdna_view_timeline(view, "{\"limit\":\"x\"}", &cursor));
    OK(mdna_view_timeline_summary(view, NULL, &text));
    CHECK(holds(&text, "\"total_events\":1"));
    OK(mdna_view_export(view, below(dir, "past"), NULL, NULL, &text));
    CHECK(holds(&text, "\"memories\":1"));
    FAILS(MDNA_INVALID_ARGUMENT, mdna_view_export(view, below(dir, "past"), NULL, NULL, NULL));
    /* A folder in a file. */
    FAILS(MDNA_IO, mdna_view_export(view, below(dir, "snapshot.json/past"), NULL, NULL, NULL));
    CHECK(strstr(mdna_last_error()->subject, "snapshot.json/past") != NULL);
    FAILS(MDNA_IO, mdna_export_store(vault, below(dir, "snapshot.json/store"), NULL, NULL, NULL));
    mdna_vault *another = new_vault(below(dir, "another"));
    OK(mdna_vault_at(another, 0, &beyond));
    FAILS(MDNA_INVALID_ARGUMENT, mdna_view_diff(view, beyond, &cursor));
    mdna_view_free(beyond);
    mdna_vault_close(another);
    mdna_view_free(now);
    mdna_view_free(view);
    mdna_view_free(NULL);

    OK(mdna_snapshot_restore(vault, first.data, NULL, NULL, &text));
    CHECK(holds(&text, "\"deleted\":1"));
    FAILS(MDNA_NOT_FOUND, mdna_snapshot_restore(vault, "snap_none", NULL, NULL, NULL));
    OK(mdna_snapshot_delete(vault, "snap_second"));
    FAILS(MDNA_NOT_FOUND, mdna_snapshot_delete(vault, "snap_second"));
    mdna_string_free(&first);
    described(vault);
}

static int stop(void *user_data, const char *phase, uint64_t done, uint64_t total) {
    (void)phase;
    (void)done;
    (void)total;
    ++*(int *)user_data;
    return 1;
}

static void interchange(mdna_vault *vault, const char *dir) {
    mdna_string text = MDNA_STRING_INIT;
    int calls = 0;
    const char *store = below(dir, "store");
    FAILS(MDNA_CANCELLED, mdna_export_store(vault, store, stop, &calls, NULL));
    CHECK(calls == 1);
    OK(mdna_export_store(vault, store, NULL, NULL, &text));
    CHECK(holds(&text, "\"collections\""));
    const char *file = below(dir, "timeline.json");
    uint64_t count = 0;
    OK(mdna_export_timeline(vault, NULL, file, NULL, NULL, &count));
    CHECK(count > 0);
    FAILS(MDNA_IO, mdna_export_timeline(vault, NULL, below(dir, "no/such/file"), NULL, NULL, NULL));

    mdna_vault *other = new_vault(below(dir, "imported"));
    FAILS(MDNA_CANCELLED, mdna_import_store(other, store, false, stop, &calls, NULL));
    OK(mdna_import_store(other, store, false, NULL, NULL, &text));
    CHECK(strstr(text.data, "\"missing_parents\":[") != NULL && strstr(text.data, "\"total\":{\"lenient\":0,") != NULL);
    CHECK(holds(&text, "\"refused\":[]"));
    FAILS(MDNA_IO, mdna_import_store(other, below(dir, "none"), false, NULL, NULL, NULL));
    OK(mdna_import_timeline(other, file, true, NULL, NULL, NULL));
    FAILS(MDNA_IO, mdna_import_timeline(other, below(dir, "none"), true, NULL, NULL, NULL));
    mdna_vault_close(other);
}

/* What was imported although it breaks its schema says so, now and later. */
static void leniency(const char *dir) {
    static const char store[] = "{\"" MINE "\":{\"memory_id\":\"" MINE "\",\"tier\":\"eternal\"}}";
    mdna_vault *vault = new_vault(below(dir, "lenient"));
    mdna_string text = MDNA_STRING_INIT;
    mdna_record_info info;
    mdna_cursor *cursor = NULL;
    mdna_view *view = NULL;
    const char *folder = below(dir, "broken");
    CHECK(mkdir(folder, 0700) == 0);
    FILE *file = fopen(below(dir, "broken/memories.json"), "wb");
    CHECK(file != NULL && fputs(store, file) >= 0 && fclose(file) == 0);
    OK(mdna_import_store(vault, folder, true, NULL, NULL, &text));
    CHECK(holds(&text, "\"refused\":[]"));
    mdna_log_state state;
    OK(mdna_vault_state(vault, &state));
    OK(mdna_record_put(vault, "memories", RECORD("mended"), NULL));
    OK(mdna_vault_at(vault, state.sequence, &view));
    OK(mdna_view_describe(view, "memories", MINE, &info));
    CHECK(info.lenient);
    OK(mdna_record_describe(vault, "memories", MINE, &info));
    CHECK(!info.lenient);
    OK(mdna_record_history(vault, "memories", MINE, 0, &cursor));
    OK(mdna_cursor_next(cursor, &text));
    CHECK(holds(&text, "\"lenient\":false"));
    OK(mdna_cursor_next(cursor, &text));
    CHECK(holds(&text, "\"lenient\":true"));
    CHECK(drain(cursor) == 0);
    mdna_view_free(view);
    mdna_vault_close(vault);
}

struct seen {
    pthread_mutex_t lock;
    pthread_cond_t more;
    unsigned long changes;
    uint64_t last;
};

static void on_change(void *user_data, mdna_status status, const mdna_change *change) {
    struct seen *seen = user_data;
    CHECK(status == MDNA_OK && change != NULL && change->json[0] == '{' && change->time_us > 0);
    CHECK(strcmp(change->operation, "create") != 0 || strlen(change->id) > 0);
    pthread_mutex_lock(&seen->lock);
    CHECK(change->sequence == seen->last + 1);
    seen->last = change->sequence;
    seen->changes++;
    pthread_cond_signal(&seen->more);
    pthread_mutex_unlock(&seen->lock);
}

static void wait_for(struct seen *seen, uint64_t sequence) {
    pthread_mutex_lock(&seen->lock);
    while (seen->last < sequence) {
        pthread_cond_wait(&seen->more, &seen->lock);
    }
    pthread_mutex_unlock(&seen->lock);
}

static mdna_watch *itself = NULL;
static pthread_mutex_t freeing = PTHREAD_MUTEX_INITIALIZER;
static int freed = 0;

/* Frees its own watch, and changes the vault before. */
static void only_once(void *user_data, mdna_status status, const mdna_change *change) {
    (void)change;
    CHECK(status == MDNA_OK);
    OK(mdna_memory_add(user_data, MEMORY, NULL));
    pthread_mutex_lock(&freeing);
    CHECK(++freed == 1);
    mdna_watch_free(itself);
    pthread_mutex_unlock(&freeing);
}

static void watches(mdna_vault *vault) {
    mdna_log_state state;
    OK(mdna_vault_state(vault, &state));
    struct seen all = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};
    struct seen fresh = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, state.sequence};
    mdna_watch *first = NULL;
    mdna_watch *second = NULL;
    FAILS(MDNA_NULL_POINTER, mdna_watch_start(vault, 0, NULL, NULL, &first));
    OK(mdna_watch_start(vault, 1, on_change, &all, &first));
    OK(mdna_watch_start(vault, 0, on_change, &fresh, &second));
    for (int i = 0; i < 20; i++) {
        OK(mdna_memory_add(vault, MEMORY, NULL));
    }
    wait_for(&all, state.sequence + 20);
    wait_for(&fresh, state.sequence + 20);
    CHECK(all.changes == state.sequence + 20 && fresh.changes == 20);
    mdna_watch_free(first);
    mdna_watch_free(second);
    mdna_watch_free(NULL);

    pthread_mutex_lock(&freeing);
    OK(mdna_watch_start(vault, 1, only_once, vault, &itself));
    pthread_mutex_unlock(&freeing);
    for (int done = 0; !done;) {
        pthread_mutex_lock(&freeing);
        done = freed;
        pthread_mutex_unlock(&freeing);
    }
}

static void on_log(void *user_data, uint32_t level, const char *target, const char *message, const char *fields) {
    CHECK(level >= MDNA_LOG_ERROR && level <= MDNA_LOG_TRACE && message != NULL && fields[0] == '{');
    if (strcmp(target, "mirrordna::audit") == 0) {
        __atomic_add_fetch((int *)user_data, 1, __ATOMIC_SEQ_CST);
    }
}

static void logs(mdna_vault *vault) {
    int heard = 0;
    FAILS(MDNA_INVALID_ARGUMENT, mdna_log_set("loud", on_log, &heard));
    OK(mdna_log_set("warn,mirrordna::audit=info", on_log, &heard));
    OK(mdna_memory_add(vault, MEMORY, NULL));
    CHECK(heard == 1);
    OK(mdna_log_set("off", NULL, NULL));
    OK(mdna_memory_add(vault, MEMORY, NULL));
    CHECK(heard == 1);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    mdna_vault *vault = new_vault(below(argv[1], "vault"));
    OK(mdna_memory_add(vault, MEMORY, NULL));
    snapshots(vault, argv[1]);
    interchange(vault, argv[1]);
    leniency(argv[1]);
    watches(vault);
    logs(vault);
    mdna_vault_close(vault);
    return 0;
}
