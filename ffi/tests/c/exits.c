/* Handles that are freed while the process ends: one so late that its vault cannot be closed any more, which ends all the same, and
   one in time, whose vault another process owned when it was opened. */
#include "check.h"

#include <sys/wait.h>
#include <unistd.h>

static mdna_vault *vault = NULL;
static mdna_cursor *cursor = NULL;
static mdna_vault *taken_over = NULL;

static void too_late(void) {
    mdna_cursor_free(cursor);
    mdna_vault_close(vault);
}

static void in_time(void) {
    OK(mdna_memory_add(vault, MEMORY, NULL));
    OK(mdna_vault_flush(vault));
}

static void close_taken_over(void) {
    OK(mdna_memory_add(taken_over, MEMORY, NULL));
    mdna_vault_close(taken_over);
}

/* Owns a vault until nothing more can be read. */
static void own(const char *path, int ready, int end) {
    mdna_vault *owned = new_vault(path);
    char byte = 0;
    CHECK(write(ready, &byte, 1) == 1 && read(end, &byte, 1) == 0);
    mdna_vault_close(owned);
    _exit(0);
}

/* Opens a vault that another process owns, and takes it over when that ends. */
static void take_over(const char *path) {
    int ready[2], end[2], status = 1;
    char byte = 0;
    CHECK(pipe(ready) == 0 && pipe(end) == 0);
    pid_t owner = fork();
    if (owner == 0) {
        close(end[1]);
        own(path, ready[1], end[0]);
    }
    CHECK(owner > 0 && read(ready[0], &byte, 1) == 1);
    OK(mdna_vault_open(path, NULL, &taken_over));
    CHECK(atexit(close_taken_over) == 0);
    close(end[1]);
    CHECK(waitpid(owner, &status, 0) == owner && status == 0);
    OK(mdna_memory_add(taken_over, MEMORY, NULL));
}

int main(int argc, char **argv) {
    CHECK(argc == 2 && atexit(too_late) == 0);
    take_over(below(argv[1], "taken over"));
    vault = new_vault(below(argv[1], "vault"));
    OK(mdna_memory_add(vault, MEMORY, NULL));
    OK(mdna_memory_list(vault, NULL, &cursor));
    CHECK(atexit(in_time) == 0);
    return 0;
}
