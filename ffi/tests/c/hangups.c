#define _POSIX_C_SOURCE 200809L
/* A server that closes the connection while it is written to, which no program in C has SIGPIPE ignored for. What reaches the server
   is in the variables AWS_*; the location is the second argument. */
#include "signals.h"

enum { LARGE = 8 << 20 };

/* Content that is not made smaller, and which no buffer of a connection takes at once. */
static void add_large_file(mdna_vault *vault) {
    uint8_t *bytes = malloc(LARGE);
    mdna_file *file = NULL;
    CHECK(bytes != NULL);
    uint64_t state = 1;
    for (size_t i = 0; i < LARGE; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        bytes[i] = (uint8_t)(state >> 56);
    }
    OK(mdna_file_open(vault, "large", MDNA_OPEN_WRITE | MDNA_OPEN_CREATE_NEW, 0600, &file));
    OK(mdna_file_write(file, bytes, LARGE));
    mdna_file_close(file);
    free(bytes);
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    CHECK(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    mdna_vault *vault = new_vault(below(argv[1], "vault"));
    add_large_file(vault);
    mdna_s3_settings *settings = NULL;
    mdna_s3_limits limits = MDNA_S3_LIMITS_INIT;
    limits.retries_ms = 2000;
    OK(mdna_s3_settings_new(true, &settings));
    OK(mdna_s3_settings_limit(settings, &limits));
    mdna_repository *repository = NULL;
    OK(mdna_repository_init_with(argv[2], settings, NULL, NULL, NULL, &repository));
    CHECK(threads_take_no_signals() > 0);
    FAILS(MDNA_IO, mdna_backup_create(repository, vault, NULL, false, false, NULL, NULL, NULL));
    CHECK(threads_take_no_signals() > 0);
    sigset_t pending;
    CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 0);
    mdna_repository_close(repository);
    mdna_s3_settings_free(settings);
    mdna_vault_close(vault);
    return 0;
}
