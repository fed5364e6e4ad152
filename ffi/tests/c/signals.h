/* Which signals the threads of a process block. */
#ifndef SIGNALS_H
#define SIGNALS_H

#include "check.h"

#include <dirent.h>
#include <signal.h>
#include <unistd.h>

/* Whether a thread of the library must block a signal: any that it does not bring upon itself. */
static inline bool is_sent(int number) {
    switch (number) {
    case SIGKILL: case SIGSTOP:
    case SIGSEGV: case SIGBUS: case SIGFPE: case SIGILL: case SIGTRAP: case SIGSYS:
    /* Of the C library itself, which blocks them in a thread that has not begun yet, with all others. */
    case 32: case 33:
        return false;
    default:
        return true;
    }
}

/* The value of a line of a thread's status, to be read as a text. False when the thread is gone. */
static inline bool of_thread(const char *thread, const char *name, char *out, size_t size) {
    char path[300];
    char line[200];
    snprintf(path, sizeof path, "/proc/self/task/%s/status", thread);
    FILE *file = fopen(path, "r");
    bool found = false;
    while (file != NULL && !found && fgets(line, sizeof line, file) != NULL) {
        found = strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':';
    }
    if (found) {
        const char *value = line + strlen(name) + 1;
        value += strspn(value, "\t ");
        snprintf(out, size, "%.*s", (int)strcspn(value, "\n"), value);
    }
    if (file != NULL) {
        fclose(file);
    }
    return found;
}

/* The signals that a thread blocks. False when it is gone. */
static inline bool blocks(const char *thread, unsigned long long *blocked) {
    char mask[40];
    do {
        if (!of_thread(thread, "SigBlk", mask, sizeof mask)) {
            return false;
        }
        *blocked = strtoull(mask, NULL, 16);
    } while ((*blocked >> 31 & 1) != 0);
    return true;
}

/* All threads but the first, which is the program's, take no signals. Gives how many there are. */
static inline unsigned threads_take_no_signals(void) {
    unsigned count = 0;
    char first[20];
    char name[40];
    unsigned long long blocked = 0;
    snprintf(first, sizeof first, "%ld", (long)getpid());
    DIR *threads = opendir("/proc/self/task");
    CHECK(threads != NULL);
    for (struct dirent *entry; (entry = readdir(threads)) != NULL;) {
        const char *thread = entry->d_name;
        if (thread[0] == '.' || strcmp(thread, first) == 0 || !blocks(thread, &blocked) ||
            !of_thread(thread, "Name", name, sizeof name)) {
            continue;
        }
        for (int number = 1; number <= 64; number++) {
            if (is_sent(number) && (blocked >> (number - 1) & 1) == 0) {
                fprintf(stderr, "thread %s takes signal %d: %llx\n", name, number, blocked);
                abort();
            }
        }
        count++;
    }
    closedir(threads);
    return count;
}

#endif
