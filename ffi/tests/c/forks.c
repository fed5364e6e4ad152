#define _POSIX_C_SOURCE 200809L
/* Children of a process that has used a vault: nothing in them hangs, harms their parent, or works. Children of one that has not are
   like any other process. */
#include "check.h"

#include <sys/wait.h>
#include <unistd.h>

/* More than anything here takes; a child that hangs is ended. */
enum { PATIENCE = 120 };

static void handle_nothing(const char *dir, const char *text) {
    mdna_vault *vault = NULL;
    mdna_string out = MDNA_STRING_INIT;
    mdna_repository *repository = NULL;
    FAILS(MDNA_FORKED, mdna_vault_create(below(dir, "new"), NULL, &vault));
    FAILS(MDNA_FORKED, mdna_vault_open(below(dir, "vault"), NULL, &vault));
    FAILS(MDNA_FORKED, mdna_verify_path(below(dir, "vault"), NULL, NULL, NULL, &out));
    FAILS(MDNA_FORKED, mdna_repair_path(below(dir, "vault"), NULL, NULL, NULL, &out));
    FAILS(MDNA_FORKED, mdna_health_check(below(dir, "vault"), NULL, &out));
    FAILS(MDNA_FORKED, mdna_repository_open(below(dir, "repository"), NULL, &repository));
    FAILS(MDNA_FORKED, mdna_json_canonical(text, strlen(text), &out));
    CHECK(vault == NULL && repository == NULL && out.data == NULL);
    /* It says what to do. */
    CHECK(strstr(mdna_last_error()->hint, "fork()") != NULL);
}

static void hear(void *user_data, uint32_t level, const char *target, const char *message, const char *fields) {
    (void)user_data, (void)level, (void)target, (void)message, (void)fields;
}

static void look(void *user_data, mdna_status status, const mdna_change *change) {
    (void)user_data, (void)status, (void)change;
}

/* Not even what needs neither vault nor handle, and cannot fail elsewhere. */
static void need_nothing(void) {
    mdna_string out = MDNA_STRING_INIT;
    mdna_s3_settings *settings = NULL;
    bool valid = true;
    FAILS(MDNA_FORKED, mdna_key_new(&out));
    FAILS(MDNA_FORKED, mdna_key_file_new(&out));
    FAILS(MDNA_FORKED, mdna_claim_verify("key", AGENT, "claim", "signature", &valid));
    FAILS(MDNA_FORKED, mdna_bytes_checksum(NULL, 0, &out));
    FAILS(MDNA_FORKED, mdna_log_set("info", hear, NULL));
    FAILS(MDNA_FORKED, mdna_s3_settings_new(false, &settings));
    CHECK(out.data == NULL && settings == NULL && valid);
}

/* Everything that a child was left. */
struct handles {
    mdna_vault *vault;
    mdna_view *view;
    mdna_batch *batch;
    mdna_cursor *cursor;
    mdna_file *file;
    mdna_repository *repository;
    mdna_s3_settings *settings;
    mdna_string text;
};

/* Functions that can fail in no other way. */
static void look_at_inherited(const struct handles *handles) {
    mdna_string out = MDNA_STRING_INIT;
    mdna_vault *vault = NULL;
    mdna_cursor *cursor = NULL;
    mdna_batch *batch = NULL;
    mdna_watch *watch = NULL;
    mdna_log_state state;
    mdna_s3_limits limits = MDNA_S3_LIMITS_INIT;
    uint64_t sequence = 0;
    FAILS(MDNA_FORKED, mdna_vault_id(handles->vault, &out));
    FAILS(MDNA_FORKED, mdna_vault_path(handles->vault, &out));
    FAILS(MDNA_FORKED, mdna_vault_actor(handles->vault, &out));
    FAILS(MDNA_FORKED, mdna_vault_state(handles->vault, &state));
    FAILS(MDNA_FORKED, mdna_vault_health(handles->vault, &out));
    FAILS(MDNA_FORKED, mdna_vault_as_actor(handles->vault, "child", &vault));
    FAILS(MDNA_FORKED, mdna_vault_with_durability(handles->vault, MDNA_DURABILITY_SYNC, &vault));
    FAILS(MDNA_FORKED, mdna_vault_log(handles->vault, 1, 0, &cursor));
    FAILS(MDNA_FORKED, mdna_record_list(handles->vault, "memories", NULL, &cursor));
    FAILS(MDNA_FORKED, mdna_memory_list(handles->vault, NULL, &cursor));
    FAILS(MDNA_FORKED, mdna_memory_search(handles->vault, "kettle", NULL, &cursor));
    FAILS(MDNA_FORKED, mdna_session_list(handles->vault, NULL, &cursor));
    FAILS(MDNA_FORKED, mdna_reflection_list(handles->vault, NULL, NULL, &cursor));
    FAILS(MDNA_FORKED, mdna_snapshot_list(handles->vault, &cursor));
    FAILS(MDNA_FORKED, mdna_batch_begin(handles->vault, &batch));
    FAILS(MDNA_FORKED, mdna_watch_start(handles->vault, 0, look, NULL, &watch));
    FAILS(MDNA_FORKED, mdna_view_sequence(handles->view, &sequence));
    FAILS(MDNA_FORKED, mdna_view_diff(handles->view, handles->view, &cursor));
    FAILS(MDNA_FORKED, mdna_batch_commit(handles->batch, &sequence));
    FAILS(MDNA_FORKED, mdna_cursor_position(handles->cursor, &out));
    FAILS(MDNA_FORKED, mdna_file_sync(handles->file, false));
    FAILS(MDNA_FORKED, mdna_repository_describe(handles->repository, &out));
    FAILS(MDNA_FORKED, mdna_s3_settings_set(handles->settings, "AWS_REGION", "here"));
    FAILS(MDNA_FORKED, mdna_s3_settings_limit(handles->settings, &limits));
    FAILS(MDNA_FORKED, mdna_s3_settings_cancel(handles->settings));
    CHECK(out.data == NULL && vault == NULL && cursor == NULL && batch == NULL && watch == NULL && sequence == 0);
}

static void use_inherited(struct handles *handles) {
    mdna_string out = MDNA_STRING_INIT;
    if (handles->vault != NULL) {
        FAILS(MDNA_FORKED, mdna_memory_add(handles->vault, MEMORY, NULL));
        FAILS(MDNA_FORKED, mdna_vault_flush(handles->vault));
        FAILS(MDNA_FORKED, mdna_cursor_next(handles->cursor, &out));
        FAILS(MDNA_FORKED, mdna_backup_restore(handles->repository, "one", "restored", NULL, NULL, NULL));
        CHECK(strcmp(mdna_status_name(MDNA_FORKED), "MDNA_FORKED") == 0);
        look_at_inherited(handles);
    }
    mdna_view_free(handles->view);
    mdna_batch_free(handles->batch);
    mdna_cursor_free(handles->cursor);
    mdna_file_close(handles->file);
    mdna_repository_close(handles->repository);
    mdna_s3_settings_free(handles->settings);
    mdna_vault_close(handles->vault);
    mdna_string_free(&handles->text);
}

enum end { LEAVES, EXITS, EXECUTES };

/* A child, and how it ends. */
static void child(const char *dir, struct handles handles, enum end end) {
    int status = 1;
    fflush(NULL);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(PATIENCE);
        handle_nothing(dir, "{}");
        need_nothing();
        use_inherited(&handles);
        handle_nothing(dir, "{}");
        if (end == EXECUTES) {
            execl("/bin/sh", "sh", "-c", "exit 3", (char *)NULL);
        }
        if (end == EXITS) {
            exit(3);
        }
        _exit(3);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 3);
}

/* A child of a process that did what needs no vault. */
static void early_child(const char *dir) {
    mdna_string text = MDNA_STRING_INIT;
    int status = 1;
    OK(mdna_json_canonical("{}", 2, &text));
    mdna_string_free(&text);
    fflush(NULL);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(PATIENCE);
        mdna_vault *vault = new_vault(below(dir, "early"));
        OK(mdna_memory_add(vault, MEMORY, NULL));
        OK(mdna_vault_flush(vault));
        mdna_vault_close(vault);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    mdna_vault *vault = NULL;
    OK(mdna_vault_open(below(dir, "early"), NULL, &vault));
    mdna_vault_close(vault);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    const char *dir = argv[1];
    early_child(dir);
    /* The vault is closed again; the threads stay. */
    child(dir, (struct handles){0}, EXITS);

    struct handles handles = {0};
    handles.vault = new_vault(below(dir, "vault"));
    OK(mdna_memory_add(handles.vault, MEMORY, &handles.text));
    OK(mdna_vault_at(handles.vault, 1, &handles.view));
    OK(mdna_batch_begin(handles.vault, &handles.batch));
    OK(mdna_memory_list(handles.vault, NULL, &handles.cursor));
    OK(mdna_file_open(handles.vault, "file", MDNA_OPEN_WRITE | MDNA_OPEN_CREATE, 0600, &handles.file));
    OK(mdna_s3_settings_new(false, &handles.settings));
    OK(mdna_repository_init(below(dir, "repository"), NULL, NULL, NULL, &handles.repository));
    OK(mdna_backup_create(handles.repository, handles.vault, "one", false, false, NULL, NULL, NULL));
    for (int round = 0; round < 6; round++) {
        child(dir, handles, (enum end)(round % 3));
        OK(mdna_memory_add(handles.vault, MEMORY, NULL));
    }
    CHECK(drain(handles.cursor) > 0);
    OK(mdna_batch_commit(handles.batch, NULL));
    OK(mdna_file_sync(handles.file, false));
    OK(mdna_s3_settings_cancel(handles.settings));
    mdna_view_free(handles.view);
    mdna_batch_free(handles.batch);
    mdna_file_close(handles.file);
    mdna_s3_settings_free(handles.settings);
    mdna_repository_close(handles.repository);
    mdna_vault_close(handles.vault);

    mdna_vault *vault = NULL;
    mdna_string text = MDNA_STRING_INIT;
    OK(mdna_vault_open(below(dir, "vault"), NULL, &vault));
    child(dir, (struct handles){0}, LEAVES);
    OK(mdna_memory_get(vault, handles.text.data, &text));
    CHECK(holds(&text, "kettle"));
    mdna_string_free(&handles.text);
    OK(mdna_vault_verify(vault, &text));
    CHECK(holds(&text, "\"clean\":true"));
    mdna_vault_close(vault);
    return 0;
}
