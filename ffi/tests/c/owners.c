#define _GNU_SOURCE
/* A vault that another process owns, which stops answering: what needs the vault fails and says so, what was handed out before can be
   freed, and all goes on when the owner does, or when it is gone. */
#include "check.h"

#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* How long is waited for the owner, which is stopped as long as it takes. */
enum { PATIENCE_MS = 100 };

static pid_t owner = 0;
static const char *path = NULL;

/* Makes a vault, and owns it until this process ends it. */
static void own(int ready) {
    CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
    mdna_vault *vault = new_vault(path);
    mdna_file *file = NULL;
    for (int i = 0; i < 3; i++) {
        OK(mdna_memory_add(vault, MEMORY, NULL));
    }
    OK(mdna_file_open(vault, "file", MDNA_OPEN_WRITE | MDNA_OPEN_CREATE, 0600, &file));
    OK(mdna_file_write(file, (const uint8_t *)"content", 7));
    OK(mdna_file_sync(file, false));
    mdna_file_close(file);
    OK(mdna_snapshot_create(vault, "snap_first", NULL));
    OK(mdna_vault_flush(vault));
    char byte = 0;
    CHECK(write(ready, &byte, 1) == 1);
    for (;;) {
        pause();
    }
}

static void stop_owner(void) {
    int status = 0;
    CHECK(kill(owner, SIGSTOP) == 0);
    CHECK(waitpid(owner, &status, WUNTRACED) == owner && WIFSTOPPED(status));
}

/* What a program has of the vault before its owner stops. */
struct handles {
    mdna_vault *vault;
    mdna_view *view;
    mdna_cursor *cursor;
    mdna_file *file;
    mdna_watch *watch;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t more = PTHREAD_COND_INITIALIZER;
static uint64_t told = 0;

static void on_change(void *user_data, mdna_status status, const mdna_change *change) {
    (void)user_data;
    CHECK(status == MDNA_OK && change != NULL);
    pthread_mutex_lock(&lock);
    told = change->sequence;
    pthread_cond_broadcast(&more);
    pthread_mutex_unlock(&lock);
}

static struct handles opened(void) {
    struct handles handles = {0};
    mdna_open_options options = MDNA_OPEN_OPTIONS_INIT;
    options.durability = MDNA_DURABILITY_BUFFERED;
    options.lock_timeout_ms = PATIENCE_MS;
    OK(mdna_vault_open(path, &options, &handles.vault));
    OK(mdna_vault_at(handles.vault, 2, &handles.view));
    OK(mdna_memory_list(handles.vault, NULL, &handles.cursor));
    OK(mdna_file_open(handles.vault, "file", MDNA_OPEN_READ | MDNA_OPEN_WRITE, 0, &handles.file));
    OK(mdna_watch_start(handles.vault, 0, on_change, NULL, &handles.watch));
    return handles;
}

/* What fails names the vault. */
#define NAMED(status, call)                                                                                                 \
    do {                                                                                                                    \
        FAILS(status, call);                                                                                                \
        CHECK(strcmp(mdna_last_error()->subject, path) == 0);                                                               \
    } while (0)

static void *reading(void *handles) {
    const struct handles *with = handles;
    mdna_string text = MDNA_STRING_INIT;
    mdna_cursor *cursor = NULL;
    mdna_view *view = NULL;
    mdna_file_info info;
    NAMED(MDNA_LOCKED, mdna_vault_overview(with->vault, &text));
    NAMED(MDNA_LOCKED, mdna_dna_versions(with->vault, AGENT, &cursor));
    NAMED(MDNA_LOCKED, mdna_dna_constraints(with->vault, AGENT, &text));
    NAMED(MDNA_LOCKED, mdna_timeline_query(with->vault, NULL, &cursor));
    NAMED(MDNA_LOCKED, mdna_timeline_summary(with->vault, NULL, &text));
    NAMED(MDNA_LOCKED, mdna_timeline_days(with->vault, &text));
    NAMED(MDNA_LOCKED, mdna_vault_at(with->vault, 1, &view));
    NAMED(MDNA_LOCKED, mdna_view_timeline(with->view, NULL, &cursor));
    NAMED(MDNA_LOCKED, mdna_view_timeline_summary(with->view, NULL, &text));
    NAMED(MDNA_LOCKED, mdna_file_stat(with->file, &info));
    NAMED(MDNA_LOCKED, mdna_vault_verify(with->vault, &text));
    NAMED(MDNA_LOCKED, mdna_vault_verify_with(with->vault, NULL, NULL, &text));
    /* Listings begin without the owner, and end when they need it. */
    OK(mdna_record_list(with->vault, "memories", NULL, &cursor));
    NAMED(MDNA_LOCKED, mdna_cursor_next(cursor, &text));
    FAILS(MDNA_END, mdna_cursor_next(cursor, &text));
    mdna_cursor_free(cursor);
    NAMED(MDNA_LOCKED, mdna_cursor_next(with->cursor, &text));
    CHECK(text.data == NULL && view == NULL);
    return NULL;
}

static void *changing(void *handles) {
    const struct handles *with = handles;
    mdna_prune_options prune = MDNA_PRUNE_OPTIONS_INIT;
    prune.keep = 1;
    NAMED(MDNA_LOCKED, mdna_vault_prune(with->vault, &prune, NULL));
    /* It may have been done. */
    NAMED(MDNA_UNANSWERED, mdna_vault_flush(with->vault));
    NAMED(MDNA_UNANSWERED, mdna_files_sync(with->vault));
    NAMED(MDNA_UNANSWERED, mdna_file_sync(with->file, true));
    return NULL;
}

/* Whoever comes now; and what never fails says what is wrong in what it gives. */
static void *looking(void *handles) {
    const struct handles *with = handles;
    mdna_vault *vault = NULL;
    mdna_string text = MDNA_STRING_INIT;
    mdna_open_options options = MDNA_OPEN_OPTIONS_INIT;
    options.lock_timeout_ms = PATIENCE_MS;
    NAMED(MDNA_LOCKED, mdna_vault_open(path, &options, &vault));
    NAMED(MDNA_LOCKED, mdna_verify_path(path, &options, NULL, NULL, &text));
    NAMED(MDNA_LOCKED, mdna_repair_path(path, &options, NULL, NULL, &text));
    CHECK(vault == NULL && text.data == NULL);
    OK(mdna_health_check(path, &options, &text));
    CHECK(holds(&text, "it does not answer"));
    OK(mdna_vault_health(with->vault, &text));
    CHECK(holds(&text, "which does not answer"));
    return NULL;
}

static void wait_until_told(uint64_t sequence) {
    pthread_mutex_lock(&lock);
    while (told < sequence) {
        pthread_cond_wait(&more, &lock);
    }
    pthread_mutex_unlock(&lock);
}

/* Where the log stands is not guessed: changes would be missed. */
static void *watching(void *handles) {
    const struct handles *with = handles;
    mdna_watch *watch = NULL;
    mdna_log_state state;
    NAMED(MDNA_LOCKED, mdna_watch_start(with->vault, 0, on_change, NULL, &watch));
    NAMED(MDNA_LOCKED, mdna_vault_state(with->vault, &state));
    CHECK(watch == NULL);
    return NULL;
}

/* All of it at once, since each call waits. */
static void without_owner(struct handles *handles) {
    void *(*const work[])(void *) = {reading, changing, looking, watching};
    enum { PARTS = sizeof work / sizeof work[0] };
    pthread_t threads[PARTS];
    for (size_t i = 0; i < PARTS; i++) {
        CHECK(pthread_create(&threads[i], NULL, work[i], handles) == 0);
    }
    for (size_t i = 0; i < PARTS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    path = below(argv[1], "vault");
    int ready[2], status = 0;
    char byte = 0;
    CHECK(pipe(ready) == 0);
    owner = fork();
    CHECK(owner >= 0);
    if (owner == 0) {
        own(ready[1]);
    }
    CHECK(read(ready[0], &byte, 1) == 1);
    struct handles handles = opened();

    stop_owner();
    without_owner(&handles);

    /* The owner goes on. */
    mdna_log_state state;
    mdna_string text = MDNA_STRING_INIT;
    CHECK(kill(owner, SIGCONT) == 0);
    OK(mdna_memory_add(handles.vault, MEMORY, NULL));
    OK(mdna_vault_state(handles.vault, &state));
    wait_until_told(state.sequence);
    OK(mdna_vault_verify(handles.vault, &text));
    CHECK(holds(&text, "\"clean\":true"));

    /* It dies with what was written and not synced. */
    OK(mdna_files_sync(handles.vault));
    OK(mdna_file_write(handles.file, (const uint8_t *)"lost", 4));
    stop_owner();
    CHECK(kill(owner, SIGKILL) == 0 && waitpid(owner, &status, 0) == owner && WIFSIGNALED(status));
    FAILS(MDNA_CORRUPT, mdna_file_sync(handles.file, false));
    CHECK(strstr(mdna_last_error()->message, "died") != NULL);
    OK(mdna_memory_add(handles.vault, MEMORY, NULL));
    wait_until_told(state.sequence + 1);
    FAILS(MDNA_CORRUPT, mdna_files_sync(handles.vault));
    OK(mdna_file_sync(handles.file, false));
    OK(mdna_files_sync(handles.vault));
    OK(mdna_vault_verify(handles.vault, &text));
    CHECK(holds(&text, "\"clean\":true"));
    mdna_watch_free(handles.watch);
    mdna_file_close(handles.file);
    mdna_cursor_free(handles.cursor);
    mdna_view_free(handles.view);
    mdna_vault_close(handles.vault);
    return 0;
}
