/*
 * Eight threads on the same handles of every kind at once: threads DIR [ROUNDS ["unmounted"]]. Where only one of them can
 * succeed, one does; what they are given is what is there; nothing is lost of what they did.
 */
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/stat.h>

enum { THREADS = 8, SEEDS = 40, ROUNDS = 24, LINE = 16 };

/* What all threads share. */
static struct {
    unsigned rounds;
    pthread_barrier_t barrier;
    mdna_vault *vault;
    mdna_view *view;
    mdna_watch *watch;
    mdna_repository *repository;
    mdna_mount *mount;
    mdna_file *slots, *lines, *reader;
    char seed[40], session[80], agent[80], key[120];
    mdna_string seed_json;
    /* Made anew for each round. */
    mdna_cursor *cursor;
    char ending[80];
    atomic_uint claimed[SEEDS], created, deleted, ended, pinned, made, read;
    /* Over all rounds. */
    atomic_uint added, backups;
} world;

/* Of calls of which all threads make the same one, one succeeds. */
static void race(mdna_status status, mdna_status others, atomic_uint *winners) {
    if (status == MDNA_OK) {
        atomic_fetch_add(winners, 1);
    } else {
        FAILS(others, status);
    }
}

static void claim_results(void) {
    mdna_string json = MDNA_STRING_INIT;
    mdna_status status = MDNA_OK;
    while ((status = mdna_cursor_next(world.cursor, &json)) == MDNA_OK) {
        const char *number = strstr(json.data, "\"seed ");
        CHECK(number != NULL);
        unsigned long seed = strtoul(number + strlen("\"seed "), NULL, 10);
        CHECK(seed < SEEDS && atomic_fetch_add(&world.claimed[seed], 1) == 0);
        mdna_string_free(&json);
    }
    expect(MDNA_END, status, "mdna_cursor_next", __FILE__, __LINE__);
}

static void memories(unsigned self, unsigned round) {
    mdna_string id = MDNA_STRING_INIT;
    mdna_string text = MDNA_STRING_INIT;
    mdna_vault *mine = NULL;
    mdna_cursor *cursor = NULL;
    char json[400];
    char actor[40];
    snprintf(actor, sizeof actor, "thread %u", self);
    snprintf(json, sizeof json, "{\"tier\":\"episodic\",\"content\":\"%u in %u\"," SOURCE "}", self, round);
    OK(mdna_vault_as_actor(world.vault, actor, &mine));
    OK(mdna_memory_add(mine, json, &id));
    atomic_fetch_add(&world.added, 1);
    OK(mdna_memory_list(mine, "{\"metadata.tags\":\"seed\"}", &cursor));
    OK(mdna_vault_actor(mine, &text));
    CHECK(holds(&text, actor));
    mdna_vault_close(mine);
    /* What comes from a handle outlives it. */
    CHECK(drain(cursor) == SEEDS);
    snprintf(json, sizeof json, "\"%u in %u\"", self, round);
    OK(mdna_memory_get(world.vault, id.data, &text));
    CHECK(holds(&text, json));
    mdna_string_free(&id);

    /* No access is lost. Whoever was overtaken too often tries again. */
    mdna_status status = MDNA_STALE;
    while (status == MDNA_STALE) {
        status = mdna_memory_count_access(world.vault, world.seed, NULL);
    }
    OK(status);
}

static void races(unsigned round) {
    char id[60];
    char json[400];
    snprintf(id, sizeof id, "mem_raced_%012u", round);
    snprintf(json, sizeof json, "{\"memory_id\":\"%s\",\"tier\":\"episodic\",\"content\":\"x\"," SOURCE "}", id);
    race(mdna_memory_add(world.vault, json, NULL), MDNA_EXISTS, &world.created);
    snprintf(id, sizeof id, "mem_raced_%012u", round - 1);
    if (round > 0) {
        race(mdna_memory_delete(world.vault, id), MDNA_NOT_FOUND, &world.deleted);
    }
    race(mdna_session_end(world.vault, world.ending, NULL, NULL), MDNA_WRONG_STATE, &world.ended);
    snprintf(id, sizeof id, "raced-%u", round);
    race(mdna_files_mkdir(world.vault, id, false), MDNA_FILE_EXISTS, &world.made);
    snprintf(id, sizeof id, "snap_raced_%u", round);
    race(mdna_snapshot_create(world.vault, id, NULL), MDNA_EXISTS, &world.pinned);
    mdna_view *view = NULL;
    mdna_cursor *cursor = NULL;
    OK(mdna_snapshot_view(world.vault, id, &view));
    OK(mdna_view_diff(view, view, &cursor));
    CHECK(drain(cursor) == 0);
    mdna_view_free(view);
}

/* The error is that of the thread, whatever the others do. */
static void errors(unsigned self, unsigned round) {
    mdna_string text = MDNA_STRING_INIT;
    char id[60];
    snprintf(id, sizeof id, "mem_none_%u_of_%u", self, round);
    FAILS(MDNA_NOT_FOUND, mdna_memory_get(world.vault, id, &text));
    sched_yield();
    CHECK(strcmp(mdna_last_error()->subject, id) == 0 && strstr(mdna_last_error()->message, id) != NULL);
}

static void sessions_and_identities(void) {
    mdna_string text = MDNA_STRING_INIT;
    mdna_string signature = MDNA_STRING_INIT;
    char id[80];
    OK(mdna_session_start(world.vault, AGENT, USER, world.session, &text));
    member(&text, "session_id", id, sizeof id);
    mdna_string_free(&text);
    OK(mdna_session_lineage(world.vault, id, &text));
    CHECK(holds(&text, world.session));
    OK(mdna_session_get(world.vault, world.session, &text));
    CHECK(holds(&text, world.session));
    OK(mdna_session_end(world.vault, id, "{\"done\":true}", NULL));

    bool valid = false;
    OK(mdna_identity_sign(world.vault, world.agent, "I was here", world.key, &signature));
    OK(mdna_identity_verify(world.vault, world.agent, "I was here", signature.data, &valid));
    CHECK(valid);
    mdna_string_free(&signature);
}

static void past(void) {
    mdna_string text = MDNA_STRING_INIT;
    mdna_cursor *cursor = NULL;
    mdna_view *now = NULL;
    mdna_log_state state;
    uint64_t sequence = 0;
    OK(mdna_view_get(world.view, "memories", world.seed, &text));
    CHECK(text.len == world.seed_json.len && memcmp(text.data, world.seed_json.data, text.len) == 0);
    mdna_string_free(&text);
    OK(mdna_view_list(world.view, "memories", &cursor));
    CHECK(drain(cursor) == SEEDS);
    OK(mdna_vault_state(world.vault, &state));
    OK(mdna_vault_at(world.vault, state.sequence, &now));
    OK(mdna_view_sequence(now, &sequence));
    CHECK(sequence == state.sequence);
    mdna_view_free(now);
}

static void files(unsigned self, unsigned round) {
    mdna_file_info info;
    uint8_t line[LINE + 1];
    uint8_t back[LINE];
    size_t len = 0;
    snprintf((char *)line, sizeof line, "%04u %010u", self, round);
    OK(mdna_file_write_at(world.slots, (uint64_t)self * LINE, line, LINE));
    OK(mdna_file_read_at(world.slots, (uint64_t)self * LINE, back, LINE, &len));
    CHECK(len == LINE && memcmp(line, back, LINE) == 0);
    OK(mdna_file_write(world.lines, line, LINE));
    do {
        OK(mdna_file_read(world.reader, back, LINE, &len));
        atomic_fetch_add(&world.read, (unsigned)len);
    } while (len > 0);

    char name[40];
    char other[60];
    snprintf(name, sizeof name, "own-%u", self);
    snprintf(other, sizeof other, "raced-0/other-%u", self);
    mdna_file *file = NULL;
    OK(mdna_file_open(world.vault, name, MDNA_OPEN_WRITE | MDNA_OPEN_CREATE_NEW, 0600, &file));
    OK(mdna_files_rename(world.vault, name, other, 0));
    OK(mdna_file_write(file, line, LINE));
    OK(mdna_files_stat(world.vault, other, true, &info));
    CHECK(info.size == LINE);
    OK(mdna_files_remove(world.vault, other));
    OK(mdna_file_stat(file, &info));
    CHECK(info.nlink == 0 && info.size == LINE);
    mdna_file_close(file);
}

struct ear {
    atomic_ullong last;
    atomic_bool over;
};

static void hear(void *user_data, mdna_status status, const mdna_change *change) {
    struct ear *ear = user_data;
    CHECK(status == MDNA_OK && !atomic_load(&ear->over));
    CHECK(change->sequence == atomic_load(&ear->last) + 1);
    atomic_store(&ear->last, change->sequence);
}

/* A watch of its own, which ends while the vault goes on changing. */
static void watches(void) {
    struct ear ear = {0, false};
    mdna_watch *watch = NULL;
    OK(mdna_watch_start(world.vault, 1, hear, &ear, &watch));
    while (atomic_load(&ear.last) < SEEDS) {
        sched_yield();
    }
    mdna_watch_free(watch);
    atomic_store(&ear.over, true);
}

static void repositories(unsigned self, unsigned round) {
    mdna_string text = MDNA_STRING_INIT;
    if (round % 4 == 0 && self / 2 == round / 4 % (THREADS / 2)) {
        OK(mdna_backup_create(world.repository, world.vault, NULL, false, false, NULL, NULL, NULL));
        atomic_fetch_add(&world.backups, 1);
    }
    if (self == round % THREADS) {
        OK(mdna_repository_verify(world.repository, 0, NULL, NULL, NULL, &text));
        CHECK(holds(&text, "\"clean\":true"));
    }
    OK(mdna_repository_describe(world.repository, &text));
    CHECK(holds(&text, "\"plain\":true"));
    OK(mdna_backup_list(world.repository, &text));
    CHECK(holds(&text, "\"faults\":[]"));
    if (world.mount != NULL) {
        OK(mdna_mount_path(world.mount, &text));
        CHECK(holds(&text, "mnt"));
    }
}

static void before(void) {
    mdna_string text = MDNA_STRING_INIT;
    uint64_t position = 0;
    for (unsigned seed = 0; seed < SEEDS; seed++) {
        atomic_store(&world.claimed[seed], 0);
    }
    atomic_store(&world.created, 0);
    atomic_store(&world.deleted, 0);
    atomic_store(&world.ended, 0);
    atomic_store(&world.pinned, 0);
    atomic_store(&world.made, 0);
    atomic_store(&world.read, 0);
    OK(mdna_memory_list(world.vault, "{\"metadata.tags\":\"seed\"}", &world.cursor));
    OK(mdna_file_seek(world.reader, 0, MDNA_SEEK_SET, &position));
    OK(mdna_session_start(world.vault, AGENT, USER, NULL, &text));
    member(&text, "session_id", world.ending, sizeof world.ending);
    mdna_string_free(&text);
}

static void after(unsigned round) {
    char id[60];
    for (unsigned seed = 0; seed < SEEDS; seed++) {
        CHECK(atomic_load(&world.claimed[seed]) == 1);
    }
    CHECK(atomic_load(&world.created) == 1 && atomic_load(&world.deleted) == (round > 0));
    CHECK(atomic_load(&world.ended) == 1 && atomic_load(&world.pinned) == 1 && atomic_load(&world.made) == 1);
    CHECK(atomic_load(&world.read) == SEEDS * LINE);
    mdna_cursor_free(world.cursor);
    snprintf(id, sizeof id, "snap_raced_%u", round);
    OK(mdna_snapshot_delete(world.vault, id));
}

static void *work(void *number) {
    unsigned self = (unsigned)(uintptr_t)number;
    for (unsigned round = 0; round < world.rounds; round++) {
        if (self == 0) {
            before();
        }
        pthread_barrier_wait(&world.barrier);
        claim_results();
        races(round);
        memories(self, round);
        errors(self, round);
        sessions_and_identities();
        past();
        files(self, round);
        watches();
        repositories(self, round);
        OK(mdna_timeline_append(world.vault, "custom", AGENT, NULL, NULL, NULL, NULL));
        OK(mdna_vault_flush(world.vault));
        pthread_barrier_wait(&world.barrier);
        if (self == 0) {
            after(round);
        }
    }
    /* Some wait for the end of the mount, others make it. */
    if (world.mount != NULL) {
        OK(self % 2 == 0 ? mdna_mount_stop(world.mount) : mdna_mount_wait(world.mount));
    }
    return NULL;
}

static void set_up(const char *dir, bool mounted) {
    mdna_string text = MDNA_STRING_INIT;
    world.vault = new_vault(below(dir, "vault"));
    for (unsigned seed = 0; seed < SEEDS; seed++) {
        char json[400];
        snprintf(json, sizeof json, "{\"tier\":\"long_term\",\"content\":\"seed %u\",\"metadata\":{\"tags\":[\"seed\"]}," SOURCE "}", seed);
        OK(mdna_memory_add(world.vault, json, &text));
        snprintf(world.seed, sizeof world.seed, "%s", text.data);
        mdna_string_free(&text);
    }
    OK(mdna_memory_get(world.vault, world.seed, &world.seed_json));
    mdna_log_state state;
    OK(mdna_vault_state(world.vault, &state));
    OK(mdna_vault_at(world.vault, state.sequence, &world.view));
    OK(mdna_session_start(world.vault, AGENT, USER, NULL, &text));
    member(&text, "session_id", world.session, sizeof world.session);
    mdna_string_free(&text);
    OK(mdna_identity_create(world.vault, "agent", NULL, &text));
    member(&text, "identity_id", world.agent, sizeof world.agent);
    member(&text, "_private_key", world.key, sizeof world.key);
    mdna_string_free(&text);
    const uint32_t fresh = MDNA_OPEN_READ | MDNA_OPEN_WRITE | MDNA_OPEN_CREATE_NEW;
    OK(mdna_file_open(world.vault, "slots", fresh, 0600, &world.slots));
    OK(mdna_file_open(world.vault, "lines", MDNA_OPEN_READ | MDNA_OPEN_APPEND | MDNA_OPEN_CREATE, 0600, &world.lines));
    OK(mdna_file_open(world.vault, "read", fresh, 0600, &world.reader));
    OK(mdna_file_truncate(world.reader, SEEDS * LINE));
    OK(mdna_repository_init(below(dir, "repository"), NULL, NULL, NULL, &world.repository));
    if (mounted) {
        const char *point = below(dir, "mnt");
        CHECK(mkdir(point, 0700) == 0);
        OK(mdna_mount_start(world.vault, point, NULL, &world.mount));
    }
}

/* Nothing of what the threads did is lost, and nothing is there twice. */
static void take_stock(void) {
    mdna_string text = MDNA_STRING_INIT;
    mdna_cursor *cursor = NULL;
    char accesses[40];
    const unsigned all = THREADS * world.rounds;
    OK(mdna_memory_list(world.vault, NULL, &cursor));
    CHECK(drain(cursor) == SEEDS + all + 1 && atomic_load(&world.added) == all);
    snprintf(accesses, sizeof accesses, "\"access_count\":%u", all);
    OK(mdna_memory_get(world.vault, world.seed, &text));
    CHECK(holds(&text, accesses));

    unsigned *lines = calloc(all, sizeof *lines);
    char line[LINE + 1] = "";
    size_t len = 0;
    CHECK(lines != NULL);
    for (unsigned n = 0; n < all; n++) {
        unsigned self = 0;
        unsigned round = 0;
        OK(mdna_file_read_at(world.lines, (uint64_t)n * LINE, (uint8_t *)line, LINE, &len));
        CHECK(len == LINE && sscanf(line, "%4u %10u", &self, &round) == 2);
        CHECK(self < THREADS && round < world.rounds && lines[round * THREADS + self]++ == 0);
    }
    free(lines);
    OK(mdna_backup_list(world.repository, &text));
    unsigned backups = 0;
    for (const char *at = text.data; (at = strstr(at, "\"vault_id\"")) != NULL; at++) {
        backups++;
    }
    CHECK(backups == atomic_load(&world.backups) && backups > 0);
    mdna_string_free(&text);
    OK(mdna_vault_verify(world.vault, &text));
    CHECK(holds(&text, "\"clean\":true"));
}

int main(int argc, char **argv) {
    CHECK(argc >= 2);
    world.rounds = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : ROUNDS;
    CHECK(world.rounds > 0 && pthread_barrier_init(&world.barrier, NULL, THREADS) == 0);
    set_up(argv[1], argc < 4);
    struct ear ear = {0, false};
    OK(mdna_watch_start(world.vault, 1, hear, &ear, &world.watch));
    pthread_t threads[THREADS];
    for (uintptr_t n = 0; n < THREADS; n++) {
        CHECK(pthread_create(&threads[n], NULL, work, (void *)n) == 0);
    }
    for (unsigned n = 0; n < THREADS; n++) {
        CHECK(pthread_join(threads[n], NULL) == 0);
    }
    mdna_log_state state;
    OK(mdna_vault_state(world.vault, &state));
    while (atomic_load(&ear.last) < state.sequence) {
        sched_yield();
    }
    mdna_watch_free(world.watch);
    take_stock();

    mdna_mount_free(world.mount);
    mdna_repository_close(world.repository);
    mdna_file_close(world.slots);
    mdna_file_close(world.lines);
    mdna_file_close(world.reader);
    mdna_view_free(world.view);
    mdna_string_free(&world.seed_json);
    /* The vault is closed with the last handle, whose order does not matter. */
    mdna_vault_close(world.vault);
    return 0;
}
