#define _POSIX_C_SOURCE 200809L
/* A repository in a bucket. What reaches the server is in the variables AWS_*; the location is the second argument. */
#include "check.h"

int main(int argc, char **argv) {
    CHECK(argc == 3);
    const char *location = argv[2];
    mdna_vault *vault = new_vault(below(argv[1], "vault"));
    OK(mdna_memory_add(vault, MEMORY, NULL));
    mdna_secret right = {MDNA_SECRET_PASSPHRASE, (const uint8_t *)"right", 5};
    mdna_secret wrong = {MDNA_SECRET_PASSPHRASE, (const uint8_t *)"wrong", 5};
    mdna_key_cost least = {8, 1, 1};
    mdna_repository *repository = NULL;
    mdna_string text = MDNA_STRING_INIT;
    FAILS(MDNA_NOT_A_REPOSITORY, mdna_repository_open(location, &right, &repository));
    OK(mdna_repository_init(location, &right, NULL, &least, &repository));
    OK(mdna_repository_describe(repository, &text));
    CHECK(holds(&text, "\"location\":\"s3://"));
    OK(mdna_backup_create(repository, vault, "one", false, false, NULL, NULL, NULL));
    mdna_repository_close(repository);

    OK(mdna_key_kinds(location, &text));
    CHECK(holds(&text, "passphrase"));
    FAILS(MDNA_WRONG_SECRET, mdna_repository_open(location, &wrong, &repository));
    OK(mdna_repository_open(location, &right, &repository));
    OK(mdna_backup_restore(repository, "one", below(argv[1], "restored"), NULL, NULL, NULL));
    mdna_repository_close(repository);

    /* The same, said by the program. */
    static const char *const names[] = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL"};
    mdna_s3_settings *settings = NULL;
    OK(mdna_s3_settings_new(false, &settings));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        OK(mdna_s3_settings_set(settings, names[i], getenv(names[i])));
        CHECK(unsetenv(names[i]) == 0);
    }
    FAILS(MDNA_INVALID_ARGUMENT, mdna_repository_open(location, &right, &repository));
    OK(mdna_repository_open_with(location, settings, &right, &repository));
    OK(mdna_backup_list(repository, &text));
    CHECK(holds(&text, "one"));
    OK(mdna_s3_settings_cancel(settings));
    mdna_s3_settings_free(settings);
    FAILS(MDNA_CANCELLED, mdna_backup_create(repository, vault, "two", false, false, NULL, NULL, NULL));
    mdna_repository_close(repository);
    mdna_vault_close(vault);
    OK(mdna_verify_path(below(argv[1], "restored"), NULL, NULL, NULL, &text));
    CHECK(holds(&text, "\"clean\":true"));
    return 0;
}
