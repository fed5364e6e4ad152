/*
 * Damaged and hostile backups. A repository with two backups, one that is encrypted and one that hides nothing, and a sealed
 * file are made once; the input changes one file:
 *
 *   byte 0   which one, and what is done afterwards, as a letter
 *   byte 1   which file, by its place in the sorted list of all
 *   byte 2   how: r(eplaced), o(verwritten), i(nserted), c(ut), f(lipped)
 *   byte 3,4 where
 *   rest     with what
 *
 * What is restored is what was backed up, and what is called clean can be restored.
 */
#define _GNU_SOURCE
#include "fuzz.h"

enum { MOST_FILES = 64 };

struct file {
    char path[512];
    uint8_t *data;
    size_t size;
};

/* A repository, or the sealed file, as it was made. */
struct original {
    const char *folder;
    const mdna_secret *secret;
    struct file files[MOST_FILES];
    unsigned count;
};

static const mdna_key_cost LEAST = {8, 1, 1};
static const mdna_secret SECRET = {MDNA_SECRET_PASSPHRASE, (const uint8_t *)"secret", 6};
static struct original sealed = {.folder = "sealed", .secret = &SECRET}, hidden = {.folder = "hidden", .secret = &SECRET}, plain = {.folder = "plain"};
/* Of the two backups. */
static char roots[2][65];

static struct original *collected;

static int collect_one(const char *path, const struct stat *info, int type, struct FTW *walk) {
    (void)walk;
    if (type == FTW_F) {
        CHECK(collected->count < MOST_FILES);
        struct file *file = &collected->files[collected->count++];
        snprintf(file->path, sizeof file->path, "%s", path);
        file->size = (size_t)info->st_size;
        file->data = malloc(file->size + 1);
        FILE *from = fopen(path, "rb");
        CHECK(file->data != NULL && from != NULL && fread(file->data, 1, file->size, from) == file->size && fclose(from) == 0);
    }
    return 0;
}

static int by_path(const void *first, const void *second) {
    return strcmp(((const struct file *)first)->path, ((const struct file *)second)->path);
}

static void collect(struct original *original) {
    collected = original;
    CHECK(nftw(fuzz_path(original->folder), collect_one, 16, FTW_PHYS) == 0 && original->count > 0);
    qsort(original->files, original->count, sizeof *original->files, by_path);
}

static void back_up(mdna_repository *repository, mdna_vault *vault, const char *label, char *root) {
    mdna_string report = UNTOUCHED;
    OK(mdna_backup_create(repository, vault, label, false, true, NULL, NULL, &report));
    const char *at = strstr(report.data, "\"root\":\"");
    CHECK(at != NULL);
    snprintf(root, 65, "%.64s", at + 8);
    mdna_string_free(&report);
}

static void free_all(void) {
    struct original *const all[] = {&sealed, &hidden, &plain};
    for (unsigned n = 0; n < 3; n++) {
        for (unsigned file = 0; file < all[n]->count; file++) {
            free(all[n]->files[file].data);
        }
    }
}

static void prepare(void) {
    mdna_vault *vault = fuzz_vault(fuzz_path("vault"));
    mdna_repository *repositories[2] = {NULL, NULL};
    OK(mdna_memory_add(vault, MEMORY, NULL));
    mdna_file *file = NULL;
    OK(mdna_file_open(vault, "note.txt", MDNA_OPEN_WRITE | MDNA_OPEN_CREATE_NEW, 0600, &file));
    OK(mdna_file_write(file, (const uint8_t *)"a note\n", 7));
    OK(mdna_file_sync(file, false));
    mdna_file_close(file);
    OK(mdna_repository_init(fuzz_path("hidden"), &SECRET, "first", &LEAST, &repositories[0]));
    OK(mdna_repository_init(fuzz_path("plain"), NULL, NULL, NULL, &repositories[1]));
    back_up(repositories[0], vault, "one", roots[0]);
    back_up(repositories[1], vault, "one", roots[0]);
    OK(mdna_session_start(vault, AGENT, USER, NULL, NULL));
    back_up(repositories[0], vault, "two", roots[1]);
    back_up(repositories[1], vault, "two", roots[1]);
    CHECK(mkdir(fuzz_path("sealed"), 0700) == 0);
    OK(mdna_backup_export(repositories[0], "two", fuzz_path("sealed/file"), &SECRET, &LEAST, NULL, NULL, NULL));
    mdna_repository_close(repositories[0]);
    mdna_repository_close(repositories[1]);
    mdna_vault_close(vault);
    collect(&sealed);
    collect(&hidden);
    collect(&plain);
    CHECK(atexit(free_all) == 0);
}

static void change(const struct file *file, char how, size_t where, const uint8_t *with, size_t size) {
    size_t at = where <= file->size ? where : file->size;
    FILE *to = fopen(file->path, "wb");
    CHECK(to != NULL);
    size_t skipped = 0;
    if (how != 'r') {
        CHECK(fwrite(file->data, 1, at, to) == at);
        skipped = how == 'i' ? 0 : size;
    }
    for (size_t n = 0; n < size; n++) {
        uint8_t was = how == 'f' && at + n < file->size ? file->data[at + n] : 0;
        CHECK(fputc(was ^ with[n], to) != EOF);
    }
    if (how != 'r' && how != 'c' && at + skipped < file->size) {
        size_t left = file->size - at - skipped;
        CHECK(fwrite(file->data + at + skipped, 1, left, to) == left);
    }
    CHECK(fclose(to) == 0);
}

static void put_back(const struct original *original, const struct file *changed) {
    if (changed != NULL) {
        fuzz_write(changed->path, changed->data, changed->size);
        return;
    }
    /* Other files may have come or gone, but no folder. */
    DIR *dir = NULL;
    static const char *const folders[] = {"keys", "packs", "index", "backups", "notes", "marks", "locks"};
    for (unsigned n = 0; n < sizeof folders / sizeof *folders; n++) {
        char folder[64];
        snprintf(folder, sizeof folder, "%s/%s", original->folder, folders[n]);
        const char *path = fuzz_path(folder);
        if ((dir = opendir(path)) == NULL) {
            continue;
        }
        for (struct dirent *entry = NULL; (entry = readdir(dir)) != NULL;) {
            unlinkat(dirfd(dir), entry->d_name, 0);
        }
        closedir(dir);
    }
    for (unsigned n = 0; n < original->count; n++) {
        fuzz_write(original->files[n].path, original->files[n].data, original->files[n].size);
    }
}

/* Whether a backup can be restored; then it is one of the two. */
static bool restores(mdna_repository *repository, const char *backup) {
    const char *to = fuzz_path("restored");
    mdna_string report = UNTOUCHED;
    if (!GIVES(mdna_backup_restore(repository, backup, to, NULL, NULL, &report), &report)) {
        CHECK(access(to, F_OK) != 0);
        return false;
    }
    fuzz_canonical(&report);
    CHECK(strstr(report.data, roots[0]) != NULL || strstr(report.data, roots[1]) != NULL);
    mdna_string_free(&report);
    OK(mdna_verify_path(to, NULL, NULL, NULL, &report));
    CHECK(strstr(report.data, "\"clean\":true") != NULL);
    mdna_string_free(&report);
    fuzz_remove(to);
    return true;
}

static bool verifies(mdna_repository *repository) {
    mdna_string report = UNTOUCHED;
    if (!GIVES(mdna_repository_verify(repository, 0, NULL, NULL, NULL, &report), &report)) {
        return false;
    }
    bool clean = strstr(report.data, "\"clean\":true") != NULL;
    fuzz_canonical(&report);
    mdna_string_free(&report);
    return clean;
}

static void import(void) {
    mdna_repository *repository = NULL;
    mdna_string report = UNTOUCHED;
    fuzz_remove(fuzz_path("new"));
    OK(mdna_repository_init(fuzz_path("new"), NULL, NULL, NULL, &repository));
    if (REPORTS(mdna_backup_import(repository, fuzz_path("sealed/file"), &SECRET, NULL, NULL, &report), &report)) {
        CHECK(verifies(repository) && restores(repository, "latest"));
    } else {
        CHECK(!restores(repository, "latest"));
    }
    mdna_repository_close(repository);
}

/* Whether files may have come or gone. */
static bool work(const struct original *original, unsigned what) {
    mdna_repository *repository = NULL;
    mdna_string report = UNTOUCHED;
    const char *path = fuzz_path(original->folder);
    (void)REPORTS(mdna_key_kinds(path, &report), &report);
    if (!DONE(mdna_repository_open(path, original->secret, &repository))) {
        CHECK(repository == NULL);
        return false;
    }
    (void)REPORTS(mdna_backup_list(repository, &report), &report);
    (void)REPORTS(mdna_key_list(repository, &report), &report);
    bool changes = what >= 2;
    switch (what) {
    case 0:
        if (verifies(repository)) {
            CHECK(restores(repository, "one") && restores(repository, "two"));
        } else {
            (void)restores(repository, "latest");
        }
        break;
    case 1: {
        const char *to = fuzz_path("extracted");
        (void)REPORTS(mdna_backup_extract(repository, "latest", "memories", to, NULL, NULL, &report), &report);
        fuzz_remove(to);
        (void)REPORTS(mdna_backup_extract(repository, "one", "artifacts/note.txt", to, NULL, NULL, &report), &report);
        fuzz_remove(to);
        break;
    }
    case 2:
        if (REPORTS(mdna_repository_repair(repository, NULL, NULL, &report), &report) && verifies(repository)) {
            (void)restores(repository, "latest");
        }
        break;
    case 3:
        if (REPORTS(mdna_backup_delete(repository, "[\"one\"]", false, &report), &report) &&
            REPORTS(mdna_repository_prune(repository, false, 0, NULL, NULL, &report), &report)) {
            (void)restores(repository, "two");
        }
        break;
    default:
        if (GIVES(mdna_key_change(repository, &SECRET, &LEAST, &report), &report)) {
            mdna_string_free(&report);
        }
        break;
    }
    mdna_repository_close(repository);
    return changes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 5) {
        return 0;
    }
    if (plain.count == 0) {
        prepare();
    }
    /* a to e: the encrypted repository; f to j: the plain one; k: the sealed file. */
    unsigned what = (uint8_t)(data[0] - 'a') % 11;
    struct original *original = what == 10 ? &sealed : what < 5 ? &hidden : &plain;
    const struct file *file = &original->files[(uint8_t)(data[1] - 'a') % original->count];
    change(file, (char)data[2], (size_t)data[3] << 8 | data[4], data + 5, size - 5);
    if (what == 10) {
        import();
        put_back(original, file);
    } else {
        put_back(original, work(original, what % 5) ? NULL : file);
    }
    return 0;
}
