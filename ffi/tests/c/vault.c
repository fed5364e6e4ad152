/* Creating, opening, closing vaults; errors; strings; versions; fork. */
#include "check.h"

#include <sys/wait.h>
#include <unistd.h>

static void versions(void) {
    char expected[32];
    snprintf(expected, sizeof expected, "%d.%d.%d", MDNA_VERSION_MAJOR, MDNA_VERSION_MINOR, MDNA_VERSION_PATCH);
    CHECK(strcmp(mdna_version(), MDNA_VERSION) == 0);
    CHECK(strcmp(MDNA_VERSION, expected) == 0);
    CHECK(mdna_abi_version() == MDNA_ABI_VERSION);
    CHECK(strstr(mdna_build_info(), MDNA_VERSION) != NULL);
    CHECK(strcmp(mdna_status_name(MDNA_NOT_FOUND), "MDNA_NOT_FOUND") == 0);
    CHECK(strcmp(mdna_status_name(12345), "MDNA_UNKNOWN") == 0);
    CHECK(strlen(mdna_status_hint(MDNA_NO_SPACE)) > 0 && strlen(mdna_status_hint(12345)) == 0);
}

static void opening(const char *dir) {
    mdna_vault *vault = NULL;
    const char *nowhere = below(dir, "nowhere");
    FAILS(MDNA_NOT_A_VAULT, mdna_vault_open(nowhere, NULL, &vault));
    CHECK(vault == NULL && strcmp(mdna_last_error()->subject, nowhere) == 0);
    FAILS(MDNA_OCCUPIED, mdna_vault_create("/usr", NULL, &vault));
    FAILS(MDNA_INVALID_ARGUMENT, mdna_vault_open("", NULL, &vault));

    mdna_open_options options = MDNA_OPEN_OPTIONS_INIT;
    options.version = 99;
    FAILS(MDNA_UNSUPPORTED_VERSION, mdna_vault_open(nowhere, &options, &vault));
    options = (mdna_open_options)MDNA_OPEN_OPTIONS_INIT;
    options.durability = 7;
    FAILS(MDNA_INVALID_ARGUMENT, mdna_vault_open(nowhere, &options, &vault));
    options.durability = MDNA_DURABILITY_BUFFERED;
    options.ownership = 7;
    FAILS(MDNA_INVALID_ARGUMENT, mdna_vault_open(nowhere, &options, &vault));
    CHECK(vault == NULL);

    const char *path = below(dir, "opened");
    vault = new_vault(path);
    OK(mdna_memory_add(vault, MEMORY, NULL));
    OK(mdna_vault_flush(vault));
    mdna_vault_close(vault);
    vault = NULL;
    options = (mdna_open_options)MDNA_OPEN_OPTIONS_INIT;
    options.ownership = MDNA_OWNERSHIP_WANTED;
    options.actor = "reader";
    OK(mdna_vault_open(path, &options, &vault));
    mdna_string actor = MDNA_STRING_INIT;
    OK(mdna_vault_actor(vault, &actor));
    CHECK(holds(&actor, "reader"));
    mdna_vault_close(vault);
    mdna_vault_close(NULL);
}

static void whole_vault(const char *dir) {
    const char *path = below(dir, "whole");
    mdna_vault *vault = new_vault(path);
    mdna_string text = MDNA_STRING_INIT;
    OK(mdna_vault_id(vault, &text));
    CHECK(holds(&text, "vault_"));
    OK(mdna_vault_path(vault, &text));
    CHECK(holds(&text, path));
    OK(mdna_vault_overview(vault, &text));
    CHECK(holds(&text, "\"memories\":0"));
    OK(mdna_vault_health(vault, &text));
    /* The status of all of it, and that of each check. */
    CHECK(strstr(text.data, "],\"status\":\"ok\"}") != NULL);
    CHECK(holds(&text, "\"name\":\"records\",\"status\":\"ok\""));
    OK(mdna_health_check(path, NULL, &text));
    CHECK(strstr(text.data, "],\"status\":\"ok\"}") != NULL);
    CHECK(holds(&text, "\"checks\""));
    OK(mdna_health_check(below(dir, "none"), NULL, &text));
    CHECK(strstr(text.data, "],\"status\":\"failed\"}") != NULL);
    CHECK(holds(&text, "\"name\":\"open\",\"status\":\"failed\""));

    mdna_vault *other = NULL;
    OK(mdna_vault_as_actor(vault, "somebody else", &other));
    OK(mdna_memory_add(other, MEMORY, NULL));
    mdna_vault_close(other);
    FAILS(MDNA_INVALID_ARGUMENT, mdna_vault_with_durability(vault, 9, &other));
    OK(mdna_vault_with_durability(vault, MDNA_DURABILITY_SYNC, &other));
    OK(mdna_memory_add(other, MEMORY, NULL));
    mdna_vault_close(other);

    mdna_log_state state;
    memset(&state, 0, sizeof state);
    OK(mdna_vault_state(vault, &state));
    CHECK(state.sequence >= 2 && state.durable >= state.sequence && state.horizon == 0 && state.time_us > 0);

    mdna_cursor *cursor = NULL;
    OK(mdna_vault_log(vault, 1, 0, &cursor));
    CHECK(drain(cursor) == state.sequence);
    OK(mdna_vault_log(vault, 2, 1, &cursor));
    mdna_string entry = MDNA_STRING_INIT;
    OK(mdna_cursor_next(cursor, &entry));
    CHECK(strstr(entry.data, "\"sequence\":2") != NULL);
    mdna_string_free(&entry);
    FAILS(MDNA_END, mdna_cursor_next(cursor, &entry));
    mdna_cursor_free(cursor);

    mdna_prune_options prune = MDNA_PRUNE_OPTIONS_INIT;
    FAILS(MDNA_INVALID_ARGUMENT, mdna_vault_prune(vault, &prune, NULL));
    prune.keep = 1;
    prune.dry_run = 2;
    FAILS(MDNA_INVALID_ARGUMENT, mdna_vault_prune(vault, &prune, NULL));
    prune.dry_run = 1;
    prune.has_current_after = 255;
    FAILS(MDNA_INVALID_ARGUMENT, mdna_vault_prune(vault, &prune, NULL));
    prune.has_current_after = 0;
    OK(mdna_vault_prune(vault, &prune, &text));
    CHECK(holds(&text, "\"versions\":0"));

    OK(mdna_vault_verify(vault, &text));
    CHECK(holds(&text, "\"clean\":true"));
    mdna_vault_close(vault);
}

static int count_calls(void *user_data, const char *phase, uint64_t done, uint64_t total) {
    CHECK(phase != NULL && done <= total);
    ++*(unsigned long *)user_data;
    return 0;
}

static void verifying(const char *dir) {
    const char *path = below(dir, "whole");
    unsigned long calls = 0;
    mdna_string text = MDNA_STRING_INIT;
    OK(mdna_verify_path(path, NULL, count_calls, &calls, &text));
    CHECK(holds(&text, "\"clean\":true") && calls > 0);
    FAILS(MDNA_NOT_A_VAULT, mdna_verify_path(below(dir, "none"), NULL, NULL, NULL, &text));
    OK(mdna_repair_path(path, NULL, NULL, NULL, &text));
    CHECK(holds(&text, "\"clean\":true"));
    FAILS(MDNA_NOT_A_VAULT, mdna_repair_path(below(dir, "none"), NULL, NULL, NULL, &text));
    mdna_vault *vault = NULL;
    OK(mdna_vault_open(path, NULL, &vault));
    OK(mdna_vault_verify_with(vault, count_calls, &calls, &text));
    CHECK(holds(&text, "\"fault_count\":0"));
    mdna_vault_close(vault);
}

static void strings(const char *dir) {
    mdna_string text = MDNA_STRING_INIT;
    mdna_string_free(&text);
    mdna_string_free(NULL);
    mdna_cursor_free(NULL);
    mdna_vault *vault = new_vault(below(dir, "strings"));
    OK(mdna_vault_id(vault, &text));
    CHECK(text.data[text.len] == '\0');
    mdna_string_free(&text);
    CHECK(text.data == NULL && text.len == 0);
    mdna_string_free(&text);
    mdna_vault_close(vault);
}

static void forked(const char *dir) {
    mdna_vault *vault = new_vault(below(dir, "forked"));
    mdna_cursor *cursor = NULL;
    OK(mdna_memory_list(vault, NULL, &cursor));
    fflush(NULL);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        mdna_string text = MDNA_STRING_INIT;
        FAILS(MDNA_FORKED, mdna_memory_add(vault, MEMORY, NULL));
        FAILS(MDNA_FORKED, mdna_cursor_next(cursor, &text));
        mdna_cursor_free(cursor);
        mdna_vault_close(vault);
        execl("/bin/true", "true", (char *)NULL);
        abort();
    }
    int status = 1;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    OK(mdna_memory_add(vault, MEMORY, NULL));
    mdna_cursor_free(cursor);
    mdna_vault_close(vault);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    CHECK(mdna_last_error() == NULL);
    versions();
    opening(argv[1]);
    whole_vault(argv[1]);
    verifying(argv[1]);
    strings(argv[1]);
    forked(argv[1]);
    return 0;
}
