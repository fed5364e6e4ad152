/*
 * Prints every change of a vault, whoever makes it: this process, another one, or somebody in a mounted directory. Ends
 * after as many changes as it is told to wait for.
 *
 * cc watch.c $(pkg-config --cflags --libs mirrordna) -o watch && ./watch my-vault 3
 */
#include <mirrordna.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* What the callback and the main thread share. */
struct seen {
    pthread_mutex_t lock;
    pthread_cond_t more;
    unsigned long count;
    unsigned long wanted;
    int failed;
};

/* Runs on a thread of the library. */
static void on_change(void *user_data, mdna_status status, const mdna_change *change) {
    struct seen *seen = user_data;
    pthread_mutex_lock(&seen->lock);
    if (status != MDNA_OK) {
        fprintf(stderr, "the watch ended: %s\n", mdna_last_error()->message);
        seen->failed = 1;
    } else if (seen->count < seen->wanted) {
        printf("%llu %s %s %s by %s\n", (unsigned long long)change->sequence, change->operation,
               change->collection != NULL ? change->collection : "-", change->id, change->actor);
        fflush(stdout);
        seen->count++;
    }
    pthread_cond_signal(&seen->more);
    pthread_mutex_unlock(&seen->lock);
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: %s VAULT CHANGES\n", argv[0]);
        return EXIT_FAILURE;
    }
    mdna_open_options options = MDNA_OPEN_OPTIONS_INIT;
    options.actor = "watch";
    mdna_vault *vault = NULL;
    if (mdna_vault_open(argv[1], &options, &vault) != MDNA_OK) {
        fprintf(stderr, "%s\n", mdna_last_error()->message);
        return EXIT_FAILURE;
    }

    struct seen seen = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, strtoul(argv[2], NULL, 10), 0};
    mdna_watch *watch = NULL;
    if (mdna_watch_start(vault, 0, on_change, &seen, &watch) != MDNA_OK) {
        fprintf(stderr, "%s\n", mdna_last_error()->message);
        mdna_vault_close(vault);
        return EXIT_FAILURE;
    }
    printf("watching\n");
    fflush(stdout);

    pthread_mutex_lock(&seen.lock);
    while (seen.count < seen.wanted && !seen.failed) {
        pthread_cond_wait(&seen.more, &seen.lock);
    }
    pthread_mutex_unlock(&seen.lock);

    mdna_watch_free(watch); /* After this the callback does not run any more. */
    mdna_vault_close(vault);
    return seen.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
