/* Artifacts: files by path and by handle. */
#include "check.h"

/* Attributes by what is open, with what stays. */
static void open_attributes(mdna_vault *vault) {
    mdna_file *file = NULL;
    mdna_file_info info;
    OK(mdna_file_open(vault, "notes/attributes", MDNA_OPEN_WRITE | MDNA_OPEN_CREATE, 0640, &file));
    OK(mdna_file_chmod(file, 0604));
    OK(mdna_file_chown(file, 12, 34));
    OK(mdna_file_chown(file, MDNA_KEEP_ID, 35));
    OK(mdna_files_chown(vault, "notes/attributes", 13, MDNA_KEEP_ID));
    OK(mdna_file_utimes(file, 5, 6));
    OK(mdna_file_utimes(file, MDNA_TIME_KEEP, 7));
    OK(mdna_file_stat(file, &info));
    CHECK(info.mode == 0604 && info.uid == 13 && info.gid == 35 && info.atime_ns == 5 && info.mtime_ns == 7);
    OK(mdna_files_utimes(vault, "notes/attributes", MDNA_TIME_NOW, MDNA_TIME_KEEP));
    OK(mdna_file_stat(file, &info));
    CHECK(info.atime_ns > 1000000000000000000 && info.mtime_ns == 7);
    OK(mdna_files_remove(vault, "notes/attributes"));
    /* It has no name, and is there. */
    OK(mdna_file_chmod(file, 0600));
    mdna_file_close(file);
    FAILS(MDNA_NULL_POINTER, mdna_file_chmod(NULL, 0600));
    FAILS(MDNA_NULL_POINTER, mdna_file_chown(NULL, 1, 1));
    FAILS(MDNA_NULL_POINTER, mdna_file_utimes(NULL, 1, 1));
}

static void files(mdna_vault *vault) {
    mdna_file *file = NULL;
    mdna_file_info info;
    uint8_t buffer[32];
    size_t len = 0;
    uint64_t position = 0;
    const uint32_t fresh = MDNA_OPEN_READ | MDNA_OPEN_WRITE | MDNA_OPEN_CREATE_NEW;
    FAILS(MDNA_FILE_NOT_FOUND, mdna_file_open(vault, "notes/one.txt", MDNA_OPEN_READ, 0, &file));
    CHECK(strcmp(mdna_last_error()->subject, "notes/one.txt") == 0);
    FAILS(MDNA_INVALID_ARGUMENT, mdna_file_open(vault, "x", 1u << 20, 0, &file));
    OK(mdna_files_mkdir(vault, "notes", false));
    FAILS(MDNA_FILE_EXISTS, mdna_files_mkdir(vault, "notes", false));
    OK(mdna_files_mkdir(vault, "/notes/deep/down", true));
    OK(mdna_file_open(vault, "notes/one.txt", fresh, 0640, &file));
    mdna_file *second = NULL;
    FAILS(MDNA_FILE_EXISTS, mdna_file_open(vault, "notes/one.txt", fresh, 0640, &second));

    OK(mdna_file_write(file, (const uint8_t *)"hello world", 11));
    OK(mdna_file_write_at(file, 0, (const uint8_t *)"HELLO", 5));
    OK(mdna_file_seek(file, 0, MDNA_SEEK_CUR, &position));
    CHECK(position == 11);
    OK(mdna_file_read(file, buffer, sizeof buffer, &len));
    CHECK(len == 0);
    OK(mdna_file_seek(file, -5, MDNA_SEEK_END, &position));
    CHECK(position == 6);
    OK(mdna_file_read(file, buffer, sizeof buffer, &len));
    CHECK(len == 5 && memcmp(buffer, "world", 5) == 0);
    OK(mdna_file_read_at(file, 0, buffer, 5, &len));
    CHECK(len == 5 && memcmp(buffer, "HELLO", 5) == 0);
    OK(mdna_file_read_at(file, 100, buffer, 5, &len));
    CHECK(len == 0);
    FAILS(MDNA_FILE_INVALID, mdna_file_seek(file, -50, MDNA_SEEK_CUR, &position));
    FAILS(MDNA_INVALID_ARGUMENT, mdna_file_seek(file, -1, MDNA_SEEK_SET, &position));
    FAILS(MDNA_INVALID_ARGUMENT, mdna_file_seek(file, 0, 9, &position));

    OK(mdna_file_truncate(file, 1 << 20));
    OK(mdna_file_stat(file, &info));
    CHECK(info.size == 1 << 20 && info.mode == 0640 && info.kind == MDNA_FILE_TYPE_REGULAR && info.nlink == 1);
    OK(mdna_file_seek(file, 0, MDNA_SEEK_HOLE, &position));
    CHECK(position > 0 && position < 1 << 20);
    FAILS(MDNA_FILE_BEYOND_END, mdna_file_seek(file, 1 << 20, MDNA_SEEK_DATA, &position));
    OK(mdna_file_sync(file, true));
    OK(mdna_file_sync(file, false));
    mdna_file_close(file);
    mdna_file_close(NULL);

    OK(mdna_file_open(vault, "notes/one.txt", MDNA_OPEN_READ, 0, &file));
    FAILS(MDNA_FILE_NOT_PERMITTED, mdna_file_write(file, buffer, 1));
    FAILS(MDNA_FILE_NOT_PERMITTED, mdna_file_write_at(file, 0, buffer, 1));
    FAILS(MDNA_FILE_NOT_PERMITTED, mdna_file_truncate(file, 0));
    mdna_file_close(file);
    OK(mdna_file_open(vault, "notes/one.txt", MDNA_OPEN_APPEND, 0, &file));
    FAILS(MDNA_FILE_NOT_PERMITTED, mdna_file_read(file, buffer, 1, &len));
    FAILS(MDNA_FILE_NOT_PERMITTED, mdna_file_read_at(file, 0, buffer, 1, &len));
    OK(mdna_file_write(file, (const uint8_t *)"!", 1));
    OK(mdna_file_stat(file, &info));
    CHECK(info.size == (1 << 20) + 1);
    mdna_file_close(file);
}

static void paths(mdna_vault *vault) {
    mdna_cursor *cursor = NULL;
    mdna_file_info info;
    mdna_string text = MDNA_STRING_INIT;
    OK(mdna_files_symlink(vault, "one.txt", "notes/link"));
    FAILS(MDNA_FILE_EXISTS, mdna_files_symlink(vault, "one.txt", "notes/link"));
    OK(mdna_files_readlink(vault, "notes/link", &text));
    CHECK(holds(&text, "one.txt"));
    FAILS(MDNA_FILE_INVALID, mdna_files_readlink(vault, "notes/one.txt", &text));
    OK(mdna_files_stat(vault, "notes/link", true, &info));
    CHECK(info.kind == MDNA_FILE_TYPE_REGULAR);
    OK(mdna_files_stat(vault, "notes/link", false, &info));
    CHECK(info.kind == MDNA_FILE_TYPE_SYMLINK);
    FAILS(MDNA_FILE_NOT_FOUND, mdna_files_stat(vault, "none", true, &info));
    OK(mdna_files_link(vault, "notes/one.txt", "notes/two.txt"));
    FAILS(MDNA_FILE_EXISTS, mdna_files_link(vault, "notes/one.txt", "notes/two.txt"));
    OK(mdna_files_list(vault, "notes", &cursor));
    CHECK(drain(cursor) == 4);
    OK(mdna_files_list(vault, "/", &cursor));
    CHECK(drain(cursor) == 1);
    FAILS(MDNA_FILE_NOT_A_DIRECTORY, mdna_files_list(vault, "notes/one.txt", &cursor));

    OK(mdna_files_chmod(vault, "notes/one.txt", 0600));
    OK(mdna_files_chown(vault, "notes/one.txt", 12, 34));
    OK(mdna_files_utimes(vault, "notes/one.txt", 1000000001, 2000000002));
    open_attributes(vault);
    OK(mdna_files_stat(vault, "notes/two.txt", true, &info));
    CHECK(info.mode == 0600 && info.uid == 12 && info.gid == 34 && info.nlink == 2);
    CHECK(info.atime_ns == 1000000001 && info.mtime_ns == 2000000002);
    FAILS(MDNA_FILE_NOT_FOUND, mdna_files_chmod(vault, "none", 0600));
    FAILS(MDNA_FILE_NOT_FOUND, mdna_files_chown(vault, "none", 1, 1));
    FAILS(MDNA_FILE_NOT_FOUND, mdna_files_utimes(vault, "none", 1, 1));

    OK(mdna_files_rename(vault, "notes/two.txt", "three.txt", 0));
    FAILS(MDNA_FILE_EXISTS, mdna_files_rename(vault, "three.txt", "notes/link", MDNA_RENAME_NO_REPLACE));
    OK(mdna_files_rename(vault, "three.txt", "notes/link", MDNA_RENAME_EXCHANGE));
    FAILS(MDNA_INVALID_ARGUMENT, mdna_files_rename(vault, "a", "b", 77));
    OK(mdna_files_remove(vault, "three.txt"));
    FAILS(MDNA_FILE_NOT_FOUND, mdna_files_remove(vault, "three.txt"));
    FAILS(MDNA_FILE_DIRECTORY_NOT_EMPTY, mdna_files_rmdir(vault, "notes/deep"));
    OK(mdna_files_rmdir(vault, "notes/deep/down"));
    OK(mdna_files_sync(vault));
}

/* What was there before it was changed. */
static void past(mdna_vault *vault) {
    mdna_view *view = NULL;
    mdna_file *file = NULL;
    mdna_cursor *cursor = NULL;
    mdna_file_info info;
    mdna_string text = MDNA_STRING_INIT;
    uint8_t buffer[32];
    size_t len = 0;
    uint64_t position = 0;
    OK(mdna_files_mkdir(vault, "past", false));
    OK(mdna_file_open(vault, "past/file", MDNA_OPEN_WRITE | MDNA_OPEN_CREATE, 0600, &file));
    OK(mdna_file_write(file, (const uint8_t *)"as it was", 9));
    mdna_file_close(file);
    OK(mdna_files_symlink(vault, "file", "past/link"));
    OK(mdna_snapshot_create(vault, "snap_files", NULL));
    OK(mdna_file_open(vault, "past/file", MDNA_OPEN_WRITE | MDNA_OPEN_TRUNCATE, 0, &file));
    mdna_file_close(file);
    OK(mdna_files_remove(vault, "past/link"));
    OK(mdna_files_sync(vault));

    OK(mdna_snapshot_view(vault, "snap_files", &view));
    OK(mdna_view_files_stat(view, "past/link", true, &info));
    CHECK(info.size == 9 && info.kind == MDNA_FILE_TYPE_REGULAR);
    OK(mdna_view_files_stat(view, "past/link", false, &info));
    CHECK(info.kind == MDNA_FILE_TYPE_SYMLINK);
    FAILS(MDNA_FILE_NOT_FOUND, mdna_view_files_stat(view, "none", true, &info));
    OK(mdna_view_files_list(view, "past", &cursor));
    CHECK(drain(cursor) == 2);
    FAILS(MDNA_FILE_NOT_A_DIRECTORY, mdna_view_files_list(view, "past/file", &cursor));
    OK(mdna_view_files_readlink(view, "past/link", &text));
    CHECK(holds(&text, "file"));
    FAILS(MDNA_FILE_INVALID, mdna_view_files_readlink(view, "past/file", &text));
    FAILS(MDNA_FILE_IS_A_DIRECTORY, mdna_view_file_open(view, "past", &file));
    OK(mdna_view_file_open(view, "past/link", &file));
    mdna_view_free(view);
    OK(mdna_file_read(file, buffer, sizeof buffer, &len));
    CHECK(len == 9 && memcmp(buffer, "as it was", 9) == 0);
    OK(mdna_file_seek(file, -3, MDNA_SEEK_END, &position));
    OK(mdna_file_read(file, buffer, sizeof buffer, &len));
    CHECK(len == 3 && memcmp(buffer, "was", 3) == 0);
    OK(mdna_file_stat(file, &info));
    CHECK(info.size == 9);
    FAILS(MDNA_FILE_NOT_PERMITTED, mdna_file_write(file, buffer, 1));
    FAILS(MDNA_FILE_NOT_PERMITTED, mdna_file_write_at(file, 0, buffer, 1));
    FAILS(MDNA_FILE_NOT_PERMITTED, mdna_file_truncate(file, 0));
    FAILS(MDNA_FILE_READ_ONLY, mdna_file_chmod(file, 0600));
    FAILS(MDNA_FILE_READ_ONLY, mdna_file_chown(file, 1, 1));
    FAILS(MDNA_FILE_READ_ONLY, mdna_file_utimes(file, 1, 1));
    OK(mdna_file_sync(file, false));
    OK(mdna_file_stat(file, &info));
    CHECK(info.size == 9 && info.mode == 0600);
    mdna_file_close(file);
    OK(mdna_files_stat(vault, "past/file", true, &info));
    CHECK(info.size == 0);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    mdna_vault *vault = new_vault(below(argv[1], "vault"));
    files(vault);
    paths(vault);
    past(vault);
    mdna_string text = MDNA_STRING_INIT;
    OK(mdna_vault_verify(vault, &text));
    CHECK(holds(&text, "\"clean\":true"));
    mdna_vault_close(vault);
    return 0;
}
