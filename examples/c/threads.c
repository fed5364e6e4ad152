/*
 * Several threads on one handle: writers remember, readers count what is there. Writers that come together share one
 * sync of the disk.
 *
 * cc threads.c -pthread $(pkg-config --cflags --libs mirrordna) -o threads && ./threads my-vault
 */
#include <mirrordna.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { WRITERS = 4, MEMORIES = 25 };

static void check(mdna_status status) {
    if (status != MDNA_OK) {
        /* The last error is that of the calling thread. */
        fprintf(stderr, "%s\n", mdna_last_error()->message);
        exit(EXIT_FAILURE);
    }
}

static const char MEMORY[] =
    "{\"tier\":\"episodic\",\"content\":\"a thought\",\"source\":{\"session_id\":\"sess_20261122_185200_0a1b2c3d\","
    "\"agent_id\":\"mdna_agt_0123456789abcdef\",\"user_id\":\"mdna_usr_0123456789abcdef\"}}";

static void *write_memories(void *vault) {
    for (int i = 0; i < MEMORIES; i++) {
        check(mdna_memory_add(vault, MEMORY, NULL));
    }
    return NULL;
}

static unsigned long count_memories(mdna_vault *vault) {
    mdna_cursor *cursor = NULL;
    check(mdna_memory_list(vault, NULL, &cursor));
    unsigned long count = 0;
    for (;;) {
        mdna_string memory = MDNA_STRING_INIT;
        mdna_status status = mdna_cursor_next(cursor, &memory);
        if (status == MDNA_END) {
            break;
        }
        check(status);
        mdna_string_free(&memory);
        count++;
    }
    mdna_cursor_free(cursor);
    return count;
}

static void *read_memories(void *vault) {
    unsigned long before = 0;
    for (int i = 0; i < MEMORIES; i++) {
        unsigned long now = count_memories(vault);
        if (now < before) {
            fprintf(stderr, "memories went away: %lu, then %lu\n", before, now);
            exit(EXIT_FAILURE);
        }
        before = now;
    }
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: %s VAULT\n", argv[0]);
        return EXIT_FAILURE;
    }
    mdna_create_options options = MDNA_CREATE_OPTIONS_INIT;
    options.durability = MDNA_DURABILITY_BUFFERED;
    mdna_vault *vault = NULL;
    check(mdna_vault_create(argv[1], &options, &vault));

    pthread_t threads[WRITERS + 1];
    for (int i = 0; i < WRITERS; i++) {
        pthread_create(&threads[i], NULL, write_memories, vault);
    }
    pthread_create(&threads[WRITERS], NULL, read_memories, vault);
    for (int i = 0; i <= WRITERS; i++) {
        pthread_join(threads[i], NULL);
    }

    printf("%lu memories\n", count_memories(vault));
    check(mdna_vault_flush(vault));
    mdna_vault_close(vault);
    return EXIT_SUCCESS;
}
