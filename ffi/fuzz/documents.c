/*
 * Files that are imported. The first letter says what is made of the rest:
 *
 *   j, y   a snapshot file in JSON or YAML, or any other document; J, Y with `allow_unverified`
 *   t, T   a timeline file; T leniently, as below
 *   s, S   a store folder: parts with a NUL between them, each a letter for the file of the store, and its text
 *   a, A   an archive of the reference with such a store: a tar within a gzip
 *   z, Z   bytes that are called such an archive
 *
 * An import that fails changes nothing; one that is done leaves a vault that verifies, and done again brings nothing new.
 */
#define _GNU_SOURCE
#include "fuzz.h"

static const char *const FILES[] = {
    "identities.json",         "sessions.json",      "memories.json",        "agent_dna.json",    "reflections.json",
    "entries.json",            "agent_links.json",   "glyphtrail.json",      "citations/a.yaml",  "citations/b.json",
    "citations/c.yml",         "timeline/a.json",    "config/a.json",        "config/a.checksum.json", "strange.txt"};
enum { FILE_COUNT = sizeof FILES / sizeof *FILES, MOST_ENTRIES = 200, BLOCK = 512, MOST_ARCHIVE = 1 << 20 };

static mdna_vault *vault;

/* Calls `part` for each part of a store: the name of its file, and its text. */
static void parts(const uint8_t *data, size_t size, void (*part)(const char *name, const uint8_t *text, size_t size)) {
    while (size > 0) {
        const uint8_t *end = memchr(data, 0, size);
        size_t len = end != NULL ? (size_t)(end - data) : size;
        if (len > 0) {
            part(FILES[(uint8_t)(data[0] - 'a') % FILE_COUNT], data + 1, len - 1);
        }
        size_t step = end != NULL ? len + 1 : len;
        data += step;
        size -= step;
    }
}

static void file_of_store(const char *name, const uint8_t *text, size_t size) {
    char path[80];
    snprintf(path, sizeof path, "store/%s", name);
    fuzz_write(fuzz_path(path), text, size);
}

static void make_store(const uint8_t *data, size_t size) {
    fuzz_remove(fuzz_path("store"));
    const char *const folders[] = {"store", "store/citations", "store/timeline", "store/config"};
    for (unsigned n = 0; n < 4; n++) {
        CHECK(mkdir(fuzz_path(folders[n]), 0700) == 0);
    }
    parts(data, size, file_of_store);
}

static uint8_t archive[MOST_ARCHIVE];
static size_t archived;

static void member_of_archive(const char *name, const uint8_t *text, size_t size) {
    size_t padded = (size + BLOCK - 1) / BLOCK * BLOCK;
    if (archived + padded + 3 * BLOCK > MOST_ARCHIVE) {
        return;
    }
    uint8_t *header = archive + archived;
    memset(header, 0, BLOCK + padded);
    snprintf((char *)header, 100, "data/%s", name);
    memcpy(header + 100, "0000644\0000000000\0000000000", 24);
    snprintf((char *)header + 124, 12, "%011o", (unsigned)size);
    memcpy(header + 136, "00000000000\0        0", 21);
    memcpy(header + 257, "ustar\00000", 8);
    unsigned sum = 0;
    for (unsigned n = 0; n < BLOCK; n++) {
        sum += header[n];
    }
    snprintf((char *)header + 148, 8, "%06o", sum);
    if (size > 0) {
        memcpy(header + BLOCK, text, size);
    }
    archived += BLOCK + padded;
}

static uint32_t crc(const uint8_t *data, size_t size) {
    uint32_t sum = UINT32_MAX;
    for (size_t n = 0; n < size; n++) {
        sum ^= data[n];
        for (int bit = 0; bit < 8; bit++) {
            sum = (sum >> 1) ^ ((sum & 1) != 0 ? 0xedb88320u : 0);
        }
    }
    return ~sum;
}

static void number(FILE *file, uint64_t value, int bytes) {
    for (int n = 0; n < bytes; n++) {
        CHECK(fputc((int)(value >> (8 * n) & 0xff), file) != EOF);
    }
}

/* Writes bytes into a gzip that does not compress. */
static void gzip(const char *path, const uint8_t *data, size_t size) {
    FILE *file = fopen(path, "wb");
    CHECK(file != NULL && fwrite("\x1f\x8b\x08\0\0\0\0\0\0\xff", 1, 10, file) == 10);
    size_t left = size;
    do {
        size_t len = left < 0xffff ? left : 0xffff;
        number(file, len == left, 1);
        number(file, len, 2);
        number(file, ~(uint64_t)len & 0xffff, 2);
        CHECK(fwrite(data + (size - left), 1, len, file) == len);
        left -= len;
    } while (left > 0);
    number(file, crc(data, size), 4);
    number(file, size, 4);
    CHECK(fclose(file) == 0);
}

/* The metadata of the reference: the checksum of the archive. */
static void seal(const char *path) {
    static uint8_t bytes[2 * MOST_ARCHIVE];
    char metadata[120];
    mdna_string sum = UNTOUCHED;
    FILE *file = fopen(path, "rb");
    CHECK(file != NULL);
    OK(mdna_bytes_checksum(bytes, fread(bytes, 1, sizeof bytes, file), &sum));
    CHECK(fclose(file) == 0);
    snprintf(metadata, sizeof metadata, "{\"checksum\":\"%s\",\"encrypted\":false}", sum.data);
    fuzz_write(fuzz_path("archive_metadata.json"), metadata, strlen(metadata));
    mdna_string_free(&sum);
}

/* A document comes back from both languages as it was, and is proven once it is sealed. */
static void document(const char *given, size_t size, uint32_t format, bool allow_unverified) {
    mdna_string json = UNTOUCHED, text = UNTOUCHED, again = UNTOUCHED;
    (void)REPORTS(mdna_citation_read(given, size, format, &text), &text);
    (void)REPORTS(mdna_vault_config_read(given, size, format, &text), &text);
    if (!GIVES(mdna_document_read(given, size, format, &json), &json)) {
        return;
    }
    fuzz_canonical(&json);
    if (GIVES(mdna_document_verify(json.data, json.len, allow_unverified, &text), &text)) {
        CHECK(text.len == 64 || (text.len == 0 && allow_unverified));
        mdna_string_free(&text);
        text = (mdna_string)UNTOUCHED;
    }
    for (uint32_t other = MDNA_FORMAT_JSON; other <= MDNA_FORMAT_YAML; other++) {
        if (!GIVES(mdna_document_write(json.data, json.len, other, &text), &text)) {
            /* It is no object. */
            CHECK(json.data[0] != '{');
            break;
        }
        CHECK(GIVES(mdna_document_read(text.data, text.len, other, &again), &again));
        CHECK(fuzz_same(&json, &again));
        mdna_string_free(&text);
        mdna_string_free(&again);
        text = again = (mdna_string)UNTOUCHED;
    }
    if (GIVES(mdna_document_seal(json.data, json.len, &again), &again)) {
        CHECK(GIVES(mdna_document_verify(again.data, again.len, false, &text), &text));
        mdna_string_free(&text);
        mdna_string_free(&again);
        text = (mdna_string)UNTOUCHED;
    }
    if (GIVES(mdna_config_seal(json.data, json.len, "sha512", "1", &text), &text)) {
        OK(mdna_config_verify("fuzz", json.data, json.len, text.data));
        mdna_string_free(&text);
    }
    mdna_string_free(&json);
}

/* What is asked of a timeline file, and of an import of it. */
static void timeline(const char *given, size_t size) {
    mdna_string text = UNTOUCHED;
    mdna_cursor *cursor = NULL;
    if (REPORTS(mdna_timeline_file_summary(given, size, &text), &text)) {
        OK(mdna_timeline_file_query(given, size, "{\"until\":\"2026-01-01T00:00:00Z\"}", &cursor));
        const unsigned before = fuzz_drain(cursor);
        OK(mdna_timeline_file_query(given, size, NULL, &cursor));
        CHECK(fuzz_drain(cursor) >= before);
    }
}

static mdna_status import(char what, bool lenient, mdna_string *report) {
    switch (what) {
    case 't':
        return mdna_import_timeline(vault, fuzz_path("timeline.json"), lenient, NULL, NULL, report);
    case 's':
        return mdna_import_store(vault, fuzz_path("store"), lenient, NULL, NULL, report);
    default:
        return mdna_import_backup(vault, fuzz_path("archive.tar.gz"), NULL, lenient, NULL, NULL, report);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    bool big = data[0] >= 'A' && data[0] <= 'Z';
    char what = (char)(big ? data[0] - 'A' + 'a' : data[0]);
    data++;
    size--;
    mdna_string text = UNTOUCHED;
    const char *path = fuzz_path(what == 'j' ? "snapshot.json" : "snapshot.yaml");
    switch (what) {
    case 'j':
    case 'y':
        fuzz_write(path, data, size);
        (void)REPORTS(mdna_snapshot_load(path, big, &text), &text);
        document((const char *)data, size, what == 'j' ? MDNA_FORMAT_JSON : MDNA_FORMAT_YAML, big);
        return 0;
    case 't':
        fuzz_write(fuzz_path("timeline.json"), data, size);
        timeline((const char *)data, size);
        break;
    case 's':
        make_store(data, size);
        break;
    case 'a':
        archived = 0;
        parts(data, size, member_of_archive);
        memset(archive + archived, 0, 2 * BLOCK);
        gzip(fuzz_path("archive.tar.gz"), archive, archived + 2 * BLOCK);
        seal(fuzz_path("archive.tar.gz"));
        break;
    case 'z':
        fuzz_write(fuzz_path("archive.tar.gz"), data, size);
        seal(fuzz_path("archive.tar.gz"));
        break;
    default:
        return 0;
    }
    vault = fuzz_vault_of_few(MOST_ENTRIES);
    uint64_t before = fuzz_sequence(vault);
    if (!REPORTS(import(what, big, &text), &text)) {
        CHECK(fuzz_sequence(vault) == before);
        return 0;
    }
    uint64_t after = fuzz_sequence(vault);
    OK(import(what, big, NULL));
    CHECK(fuzz_sequence(vault) == after);
    if (after > before) {
        fuzz_verify(vault);
    }
    return 0;
}
