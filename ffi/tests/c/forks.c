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

/* Everything that a child was left. */
struct handles {
    mdna_vault *vault;
    mdna_cursor *cursor;
    mdna_repository *repository;
    mdna_string text;
};

static void use_inherited(struct handles *handles) {
    mdna_string out = MDNA_STRING_INIT;
    if (handles->vault != NULL) {
        FAILS(MDNA_FORKED, mdna_memory_add(handles->vault, MEMORY, NULL));
        FAILS(MDNA_FORKED, mdna_vault_flush(handles->vault));
        FAILS(MDNA_FORKED, mdna_cursor_next(handles->cursor, &out));
        FAILS(MDNA_FORKED, mdna_backup_restore(handles->repository, "one", "restored", NULL, NULL, NULL));
        CHECK(strcmp(mdna_status_name(MDNA_FORKED), "MDNA_FORKED") == 0);
    }
    mdna_cursor_free(handles->cursor);
    mdna_repository_close(handles->repository);
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
    OK(mdna_memory_list(handles.vault, NULL, &handles.cursor));
    OK(mdna_repository_init(below(dir, "repository"), NULL, NULL, NULL, &handles.repository));
    OK(mdna_backup_create(handles.repository, handles.vault, "one", false, false, NULL, NULL, NULL));
    for (int round = 0; round < 6; round++) {
        child(dir, handles, (enum end)(round % 3));
        OK(mdna_memory_add(handles.vault, MEMORY, NULL));
    }
    CHECK(drain(handles.cursor) > 0);
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
