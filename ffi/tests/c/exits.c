/* A handle that is freed when the process has ended so far that the vault cannot be closed any more: it ends all the same. */
#include "check.h"

static mdna_vault *vault = NULL;
static mdna_cursor *cursor = NULL;

static void too_late(void) {
    mdna_cursor_free(cursor);
    mdna_vault_close(vault);
}

static void in_time(void) {
    OK(mdna_memory_add(vault, MEMORY, NULL));
    OK(mdna_vault_flush(vault));
}

int main(int argc, char **argv) {
    CHECK(argc == 2 && atexit(too_late) == 0);
    vault = new_vault(below(argv[1], "vault"));
    OK(mdna_memory_add(vault, MEMORY, NULL));
    OK(mdna_memory_list(vault, NULL, &cursor));
    CHECK(atexit(in_time) == 0);
    return 0;
}
