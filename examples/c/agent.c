/*
 * A small agent: it opens a vault, begins a session, remembers what it hears, recalls what fits, and takes a snapshot.
 *
 * cc agent.c $(pkg-config --cflags --libs mirrordna) -o agent && ./agent my-vault "I like tea" tea
 */
#include <mirrordna.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Says what went wrong and ends the program. */
static void check(mdna_status status, const char *what) {
    if (status == MDNA_OK) {
        return;
    }
    const mdna_error *error = mdna_last_error();
    fprintf(stderr, "%s: %s (%s)\n%s\n", what, error->message, error->name, error->hint);
    exit(EXIT_FAILURE);
}

/* The text of a member of a flat JSON object. A real program uses its JSON library. */
static void member(const char *json, const char *name, char *out, size_t size) {
    char key[64];
    snprintf(key, sizeof key, "\"%s\":\"", name);
    const char *start = strstr(json, key);
    if (start == NULL) {
        fprintf(stderr, "no %s in %s\n", name, json);
        exit(EXIT_FAILURE);
    }
    start += strlen(key);
    snprintf(out, size, "%.*s", (int)strcspn(start, "\""), start);
}

/* Opens the vault, or makes it when there is none. */
static mdna_vault *open_vault(const char *path) {
    mdna_vault *vault = NULL;
    mdna_status status = mdna_vault_open(path, NULL, &vault);
    if (status == MDNA_NOT_A_VAULT) {
        status = mdna_vault_create(path, NULL, &vault);
    }
    check(status, "opening the vault");
    return vault;
}

/* Makes an identity, and keeps its id. Its private key is shown once and never again. */
static void identity(mdna_vault *vault, const char *type, char *id, size_t size) {
    mdna_string json = MDNA_STRING_INIT;
    check(mdna_identity_create(vault, type, NULL, &json), "making an identity");
    member(json.data, "identity_id", id, size);
    mdna_string_free(&json); /* wipes the key */
}

static void remember(mdna_vault *vault, const char *session, const char *agent, const char *user, const char *text) {
    char memory[1024];
    snprintf(memory, sizeof memory,
             "{\"tier\":\"short_term\",\"content\":\"%s\",\"source\":{\"session_id\":\"%s\",\"agent_id\":\"%s\","
             "\"user_id\":\"%s\"}}",
             text, session, agent, user);
    mdna_string id = MDNA_STRING_INIT;
    check(mdna_memory_add(vault, memory, &id), "remembering");
    printf("remembered %s\n", id.data);
    mdna_string_free(&id);
}

static void recall(mdna_vault *vault, const char *query) {
    mdna_cursor *cursor = NULL;
    check(mdna_memory_search(vault, query, "{\"limit\":10}", &cursor), "recalling");
    for (;;) {
        mdna_string memory = MDNA_STRING_INIT;
        mdna_status status = mdna_cursor_next(cursor, &memory);
        if (status == MDNA_END) {
            break;
        }
        check(status, "recalling");
        char content[256];
        member(memory.data, "content", content, sizeof content);
        printf("recalled: %s\n", content);
        mdna_string_free(&memory);
    }
    mdna_cursor_free(cursor);
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: %s VAULT TEXT QUERY\n", argv[0]);
        return EXIT_FAILURE;
    }
    mdna_vault *vault = open_vault(argv[1]);

    char agent[64];
    char user[64];
    char session[64];
    identity(vault, "agent", agent, sizeof agent);
    identity(vault, "user", user, sizeof user);

    mdna_string json = MDNA_STRING_INIT;
    check(mdna_session_start(vault, agent, user, NULL, &json), "starting a session");
    member(json.data, "session_id", session, sizeof session);
    mdna_string_free(&json);

    remember(vault, session, agent, user, argv[2]);
    recall(vault, argv[3]);
    check(mdna_session_end(vault, session, "{\"mood\":\"content\"}", NULL), "ending the session");

    mdna_string snapshot = MDNA_STRING_INIT;
    check(mdna_snapshot_create(vault, NULL, &snapshot), "taking a snapshot");
    printf("snapshot %s\n", snapshot.data);
    mdna_string_free(&snapshot);

    check(mdna_vault_flush(vault), "flushing");
    mdna_vault_close(vault);
    return EXIT_SUCCESS;
}
