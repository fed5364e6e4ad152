#define _POSIX_C_SOURCE 200809L
/* Backup repositories and their keys. */
#include "check.h"

#include <sys/stat.h>
#include <unistd.h>

static const mdna_key_cost LEAST = {8, 1, 1};

static mdna_secret passphrase(const char *text) {
    mdna_secret secret = {MDNA_SECRET_PASSPHRASE, (const uint8_t *)text, strlen(text)};
    return secret;
}

static int stop(void *user_data, const char *phase, uint64_t done, uint64_t total) {
    (void)done;
    (void)total;
    CHECK(strlen(phase) > 0);
    ++*(int *)user_data;
    return 1;
}

/* Settings for buckets, without a server. */
static void buckets(const char *folder, const mdna_secret *right) {
    mdna_s3_settings *settings = NULL;
    mdna_repository *repository = NULL;
    mdna_string text = MDNA_STRING_INIT;
    FAILS(MDNA_NULL_POINTER, mdna_s3_settings_new(true, NULL));
    OK(mdna_s3_settings_new(true, &settings));
    mdna_s3_settings_free(settings);
    mdna_s3_settings_free(NULL);
    OK(mdna_s3_settings_new(false, &settings));
    FAILS(MDNA_INVALID_ARGUMENT, mdna_s3_settings_set(settings, "HOME", "x"));
    FAILS(MDNA_INVALID_ARGUMENT, mdna_s3_settings_set(settings, "AWS_REGOIN", "x"));
    CHECK(strstr(mdna_last_error()->message, "AWS_REGION") != NULL);
    OK(mdna_s3_settings_set(settings, "AWS_ACCESS_KEY_ID", "key"));
    FAILS(MDNA_INVALID_ARGUMENT, mdna_repository_open_with("s3://bucket/x", settings, right, &repository));
    OK(mdna_s3_settings_set(settings, "AWS_SECRET_ACCESS_KEY", "secret"));
    OK(mdna_s3_settings_set(settings, "AWS_SESSION_TOKEN", "token"));
    OK(mdna_s3_settings_set(settings, "AWS_SESSION_TOKEN", NULL));
    OK(mdna_s3_settings_set(settings, "AWS_ENDPOINT_URL", "http://127.0.0.1:1"));
    mdna_s3_limits limits = MDNA_S3_LIMITS_INIT;
    limits.version = 9;
    FAILS(MDNA_UNSUPPORTED_VERSION, mdna_s3_settings_limit(settings, &limits));
    limits.version = MDNA_S3_LIMITS_VERSION;
    limits.retries_ms = 300;
    limits.longest_pause_ms = 100;
    OK(mdna_s3_settings_limit(settings, &limits));
    /* Nobody answers, for as long as was said. */
    FAILS(MDNA_IO, mdna_repository_open_with("s3://bucket/x", settings, right, &repository));
    FAILS(MDNA_IO, mdna_repository_init_with("s3://bucket/x", settings, right, NULL, NULL, &repository));
    FAILS(MDNA_IO, mdna_key_kinds_with("s3://bucket/x", settings, &text));
    limits.retries_ms = 0;
    OK(mdna_s3_settings_limit(settings, &limits));
    OK(mdna_s3_settings_cancel(settings));
    FAILS(MDNA_CANCELLED, mdna_repository_open_with("s3://bucket/x", settings, right, &repository));
    FAILS(MDNA_NULL_POINTER, mdna_s3_settings_cancel(NULL));
    /* A folder takes no notice of them. */
    OK(mdna_key_kinds_with(folder, settings, &text));
    CHECK(holds(&text, "passphrase"));
    OK(mdna_repository_open_with(folder, settings, right, &repository));
    mdna_repository_close(repository);
    OK(mdna_repository_open_with(folder, NULL, right, &repository));
    mdna_repository_close(repository);
    mdna_s3_settings_free(settings);
    FAILS(MDNA_OCCUPIED, mdna_repository_init_with(folder, NULL, right, NULL, NULL, &repository));
}

static void opening(const char *path) {
    mdna_repository *repository = NULL;
    mdna_string text = MDNA_STRING_INIT;
    mdna_secret right = passphrase("right");
    mdna_secret wrong = passphrase("wrong");
    mdna_secret empty = passphrase("");
    mdna_secret strange = {9, right.data, right.len};
    FAILS(MDNA_INVALID_ARGUMENT, mdna_repository_init(path, &empty, NULL, &LEAST, &repository));
    FAILS(MDNA_INVALID_ARGUMENT, mdna_repository_init(path, &strange, NULL, &LEAST, &repository));
    FAILS(MDNA_NOT_A_REPOSITORY, mdna_repository_open(path, &right, &repository));
    FAILS(MDNA_NOT_A_REPOSITORY, mdna_key_kinds(path, &text));
    OK(mdna_repository_init(path, &right, "first", &LEAST, &repository));
    mdna_repository_close(repository);
    FAILS(MDNA_OCCUPIED, mdna_repository_init(path, &right, NULL, &LEAST, &repository));
    FAILS(MDNA_WRONG_SECRET, mdna_repository_open(path, &wrong, &repository));
    OK(mdna_key_kinds(path, &text));
    CHECK(holds(&text, "[\"passphrase\"]"));
    mdna_repository_close(NULL);
    buckets(path, &right);
}

/* Locations that name nothing, and buckets that cannot be reached, make nothing. */
static void locations(const char *dir) {
    static const char *const refused[] = {"", "s3://", "s3://bb/x", "s3://bucket//x", "gopher://bucket/x"};
    mdna_repository *repository = NULL;
    mdna_string text = MDNA_STRING_INIT;
    CHECK(chdir(dir) == 0);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        FAILS(MDNA_INVALID_ARGUMENT, mdna_repository_init(refused[i], NULL, NULL, NULL, &repository));
        FAILS(MDNA_INVALID_ARGUMENT, mdna_repository_open(refused[i], NULL, &repository));
        FAILS(MDNA_INVALID_ARGUMENT, mdna_key_kinds(refused[i], &text));
    }
    CHECK(setenv("AWS_ENDPOINT_URL", "ftp://127.0.0.1", 1) == 0);
    FAILS(MDNA_INVALID_ARGUMENT, mdna_repository_init("s3://bucket/x", NULL, NULL, NULL, &repository));
    CHECK(unsetenv("AWS_ENDPOINT_URL") == 0);
    CHECK(chdir("/") == 0 && rmdir(dir) == 0);
}

static void keys(mdna_repository *repository, const char *path) {
    mdna_string content = MDNA_STRING_INIT;
    mdna_string slot = MDNA_STRING_INIT;
    mdna_string text = MDNA_STRING_INIT;
    OK(mdna_key_file_new(&content));
    mdna_secret file = {MDNA_SECRET_KEY_FILE, (const uint8_t *)content.data, content.len};
    OK(mdna_key_add(repository, &file, "spare", &LEAST, &slot));
    FAILS(MDNA_NULL_POINTER, mdna_key_add(repository, NULL, NULL, NULL, NULL));
    OK(mdna_key_list(repository, &text));
    CHECK(holds(&text, "\"label\":\"spare\""));
    mdna_repository *again = NULL;
    OK(mdna_repository_open(path, &file, &again));
    mdna_repository_close(again);
    OK(mdna_key_remove(repository, slot.data, NULL));
    FAILS(MDNA_NOT_FOUND, mdna_key_remove(repository, slot.data, NULL));
    mdna_string_free(&slot);
    mdna_string_free(&content);
    mdna_secret changed = passphrase("changed");
    mdna_secret empty = passphrase("");
    FAILS(MDNA_INVALID_ARGUMENT, mdna_key_change(repository, &empty, &LEAST, NULL));
    OK(mdna_key_change(repository, &changed, &LEAST, &slot));
    CHECK(holds(&slot, ""));
}

static void work(mdna_repository *repository, mdna_vault *vault, const char *dir) {
    mdna_string text = MDNA_STRING_INIT;
    int calls = 0;
    OK(mdna_repository_describe(repository, &text));
    CHECK(holds(&text, "\"plain\":false"));
    FAILS(MDNA_CANCELLED, mdna_backup_create(repository, vault, NULL, false, false, stop, &calls, NULL));
    CHECK(calls == 1);
    OK(mdna_backup_create(repository, vault, NULL, true, false, NULL, NULL, &text));
    CHECK(holds(&text, "\"name\":null"));
    OK(mdna_backup_create(repository, vault, "one", false, false, NULL, NULL, &text));
    CHECK(holds(&text, "\"name\":\""));
    OK(mdna_memory_add(vault, MEMORY, NULL));
    OK(mdna_backup_create(repository, vault, "two", false, false, NULL, NULL, NULL));
    OK(mdna_backup_list(repository, &text));
    CHECK(holds(&text, "\"label\":\"two\""));

    OK(mdna_backup_restore(repository, "one", below(dir, "restored"), NULL, NULL, &text));
    CHECK(holds(&text, "\"root\""));
    FAILS(MDNA_NOT_FOUND, mdna_backup_restore(repository, "three", below(dir, "other"), NULL, NULL, NULL));
    FAILS(MDNA_OCCUPIED, mdna_backup_restore(repository, "one", below(dir, "restored"), NULL, NULL, NULL));
    mdna_vault *restored = NULL;
    OK(mdna_vault_open(below(dir, "restored"), NULL, &restored));
    mdna_vault_close(restored);
    OK(mdna_backup_extract(repository, "latest", "memories", below(dir, "extracted"), NULL, NULL, &text));
    CHECK(holds(&text, "\"files\":2"));
    FAILS(MDNA_NOT_FOUND, mdna_backup_extract(repository, "latest", "mem_none", below(dir, "none"), NULL, NULL, NULL));

    OK(mdna_repository_verify(repository, 0, below(dir, "vault"), NULL, NULL, &text));
    CHECK(strstr(text.data, "\"problem\":null,\"whole\":true") != NULL);
    CHECK(holds(&text, "\"clean\":true"));
    FAILS(MDNA_INVALID_ARGUMENT, mdna_repository_verify(repository, 101, NULL, NULL, NULL, &text));
    OK(mdna_repository_repair(repository, NULL, NULL, &text));
    CHECK(holds(&text, "\"removed\":[]"));
    FAILS(MDNA_CANCELLED, mdna_repository_repair(repository, stop, &calls, NULL));

    mdna_secret hand = passphrase("to hand over");
    const char *file = below(dir, "sealed");
    OK(mdna_backup_export(repository, "two", file, &hand, &LEAST, NULL, NULL, &text));
    CHECK(holds(&text, "\"label\":\"two\""));
    FAILS(MDNA_NOT_FOUND, mdna_backup_export(repository, "three", below(dir, "x"), &hand, &LEAST, NULL, NULL, NULL));
    mdna_repository *sealed = NULL;
    OK(mdna_repository_open(file, &hand, &sealed));
    OK(mdna_backup_list(sealed, &text));
    CHECK(holds(&text, "\"label\":\"two\""));
    mdna_repository_close(sealed);
    mdna_repository *plain = NULL;
    OK(mdna_repository_init(below(dir, "plain"), NULL, NULL, NULL, &plain));
    OK(mdna_backup_import(plain, file, &hand, NULL, NULL, &text));
    CHECK(holds(&text, "\"label\":\"two\""));
    FAILS(MDNA_SECRET_NEEDED, mdna_backup_import(plain, file, NULL, NULL, NULL, NULL));
    mdna_repository_close(plain);

    OK(mdna_backup_delete(repository, "[\"one\"]", true, &text));
    CHECK(holds(&text, "\"label\":\"one\""));
    FAILS(MDNA_NOT_FOUND, mdna_backup_delete(repository, "[\"three\"]", false, NULL));
    mdna_retention retention = MDNA_RETENTION_INIT;
    FAILS(MDNA_INVALID_ARGUMENT, mdna_backup_forget(repository, &retention, false, NULL));
    retention.last = 1;
    OK(mdna_backup_forget(repository, &retention, false, &text));
    CHECK(holds(&text, "\"label\":\"one\""));
    OK(mdna_repository_prune(repository, false, 0, NULL, NULL, &text));
    CHECK(holds(&text, "\"kept\""));

    /* Of two backups with one label the newer one is meant. */
    char name[120];
    OK(mdna_memory_add(vault, MEMORY, NULL));
    OK(mdna_backup_create(repository, vault, "two", false, false, NULL, NULL, &text));
    member(&text, "name", name, sizeof name);
    mdna_string_free(&text);
    OK(mdna_backup_restore(repository, "two", below(dir, "newer"), NULL, NULL, &text));
    CHECK(holds(&text, name));
    OK(mdna_backup_delete(repository, "[\"two\"]", true, &text));
    CHECK(holds(&text, name));
    /* The beginning of a name has four characters at least. */
    name[4] = '\0';
    OK(mdna_backup_extract(repository, name, "memories", below(dir, "beginning"), NULL, NULL, NULL));
    name[3] = '\0';
    FAILS(MDNA_NOT_FOUND, mdna_backup_extract(repository, name, "memories", below(dir, "short"), NULL, NULL, NULL));
    FAILS(MDNA_NULL_POINTER, mdna_repository_prune(NULL, false, 0, NULL, NULL, NULL));
}

/* Whether a command of the shell succeeds, in which $f is a path. */
static bool shell(const char *command, const char *path) {
    CHECK(setenv("f", path, 1) == 0);
    return system(command) == 0;
}

/* A call that fails and names a place. */
#define NAMED(status, call, place)                                                                                          \
    do {                                                                                                                    \
        FAILS(status, call);                                                                                                \
        CHECK(strcmp(mdna_last_error()->subject, (place)) == 0);                                                            \
    } while (0)

/* The folder of an open repository goes, as that of a disk that is taken away, and comes back. */
static void gone(mdna_repository *repository, mdna_vault *vault, const char *path, const char *dir) {
    const char *away = below(dir, "away");
    mdna_string text = MDNA_STRING_INIT;
    mdna_secret secret = passphrase("another");
    mdna_retention retention = MDNA_RETENTION_INIT;
    retention.last = 1;
    CHECK(rename(path, away) == 0);
    NAMED(MDNA_NOT_A_REPOSITORY, mdna_backup_list(repository, &text), path);
    NAMED(MDNA_NOT_A_REPOSITORY, mdna_backup_create(repository, vault, NULL, false, true, NULL, NULL, NULL), path);
    NAMED(MDNA_NOT_A_REPOSITORY, mdna_backup_forget(repository, &retention, false, NULL), path);
    NAMED(MDNA_NOT_A_REPOSITORY, mdna_repository_prune(repository, false, 0, NULL, NULL, NULL), path);
    NAMED(MDNA_NOT_A_REPOSITORY, mdna_repository_verify(repository, 0, NULL, NULL, NULL, &text), path);
    NAMED(MDNA_NOT_A_REPOSITORY, mdna_repository_repair(repository, NULL, NULL, NULL), path);
    NAMED(MDNA_NOT_A_REPOSITORY, mdna_key_list(repository, &text), path);
    NAMED(MDNA_NOT_A_REPOSITORY, mdna_key_add(repository, &secret, NULL, &LEAST, NULL), path);
    NAMED(MDNA_NOT_A_REPOSITORY, mdna_key_change(repository, &secret, &LEAST, NULL), path);
    CHECK(text.data == NULL && !shell("test -e \"$f\"", path));
    CHECK(rename(away, path) == 0);
    OK(mdna_backup_list(repository, &text));
    CHECK(holds(&text, "\"label\":\"two\""));
}

/* Files of a repository that are no folder, or not what they were. */
static void damaged(mdna_repository *repository, const char *path, const char *dir) {
    mdna_string text = MDNA_STRING_INIT;
    const char *packs = below(path, "packs");
    CHECK(shell("mv \"$f\" \"$f.away\" && touch \"$f\"", packs));
    NAMED(MDNA_IO, mdna_repository_verify(repository, 0, NULL, NULL, NULL, &text), packs);
    NAMED(MDNA_IO, mdna_repository_prune(repository, false, 0, NULL, NULL, NULL), packs);
    CHECK(shell("rm \"$f\" && mv \"$f.away\" \"$f\"", packs));
    OK(mdna_repository_verify(repository, 0, NULL, NULL, NULL, &text));
    CHECK(holds(&text, "\"clean\":true"));

    CHECK(shell("for pack in \"$f\"/*; do printf X | dd of=\"$pack\" bs=1 seek=40 conv=notrunc status=none; done", packs));
    OK(mdna_repository_verify(repository, 0, NULL, NULL, NULL, &text));
    CHECK(strstr(text.data, "\"whole\":false") != NULL);
    CHECK(holds(&text, "\"clean\":false"));
    const char *restored = below(dir, "from-damaged");
    FAILS(MDNA_CORRUPT, mdna_backup_restore(repository, "latest", restored, NULL, NULL, NULL));
    CHECK(strstr(mdna_last_error()->subject, "packs/") != NULL && !shell("test -e \"$f\"", restored));
}

/* A backup as the reference makes it: an archive of a store, and its checksum beside it. */
static void reference(mdna_vault *vault, const char *dir) {
    char command[9000];
    mdna_string sum = MDNA_STRING_INIT;
    mdna_string text = MDNA_STRING_INIT;
    const char *archive = below(dir, "reference.tar.gz");
    FAILS(MDNA_IO, mdna_import_backup(vault, archive, NULL, false, NULL, NULL, NULL));
    OK(mdna_export_store(vault, below(dir, "data"), NULL, NULL, NULL));
    snprintf(command, sizeof command, "tar -czf '%s' -C '%s' data", archive, dir);
    CHECK(system(command) == 0);
    static uint8_t bytes[1 << 16];
    FILE *file = fopen(archive, "rb");
    CHECK(file != NULL);
    OK(mdna_bytes_checksum(bytes, fread(bytes, 1, sizeof bytes, file), &sum));
    CHECK(fclose(file) == 0);
    file = fopen(below(dir, "reference_metadata.json"), "wb");
    CHECK(file != NULL && fprintf(file, "{\"checksum\":\"%s\"}", sum.data) > 64 && fclose(file) == 0);
    mdna_string_free(&sum);
    mdna_vault *other = new_vault(below(dir, "from-reference"));
    OK(mdna_import_backup(other, archive, NULL, false, NULL, NULL, &text));
    CHECK(holds(&text, "\"refused\":[]"));
    mdna_vault_close(other);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    char path[4096];
    snprintf(path, sizeof path, "%s", below(argv[1], "repository"));
    mdna_vault *vault = new_vault(below(argv[1], "vault"));
    OK(mdna_memory_add(vault, MEMORY, NULL));
    opening(path);
    const char *empty = below(argv[1], "empty");
    CHECK(mkdir(empty, 0700) == 0);
    locations(empty);
    mdna_secret right = passphrase("right");
    mdna_repository *repository = NULL;
    OK(mdna_repository_open(path, &right, &repository));
    keys(repository, path);
    work(repository, vault, argv[1]);
    gone(repository, vault, path, argv[1]);
    damaged(repository, path, argv[1]);
    mdna_repository_close(repository);

    reference(vault, argv[1]);
    mdna_vault_close(vault);
    return 0;
}
