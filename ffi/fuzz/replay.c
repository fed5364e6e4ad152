/* Runs a fuzzer on the files of a folder, each named before, and says how many there were: replay FOLDER. */
#define _GNU_SOURCE
#include "fuzz.h"

int main(int argc, char **argv) {
    struct dirent **entries = NULL;
    CHECK(argc == 2);
    int count = scandir(argv[1], &entries, NULL, alphasort);
    CHECK(count >= 0);
    unsigned replayed = 0;
    for (int n = 0; n < count; n++) {
        char path[4096];
        struct stat info;
        snprintf(path, sizeof path, "%s/%s", argv[1], entries[n]->d_name);
        free(entries[n]);
        if (stat(path, &info) != 0 || !S_ISREG(info.st_mode)) {
            continue;
        }
        /* Of just its size, so that reading beyond it is seen. */
        size_t size = (size_t)info.st_size;
        uint8_t *data = malloc(size);
        FILE *file = fopen(path, "rb");
        CHECK(file != NULL && (size == 0 || data != NULL) && fread(data, 1, size, file) == size && fclose(file) == 0);
        fprintf(stderr, "%s\n", path);
        LLVMFuzzerTestOneInput(data, size);
        free(data);
        replayed++;
    }
    free(entries);
    printf("%u\n", replayed);
    return 0;
}
