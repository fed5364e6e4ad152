/* A vault that is mounted by the program that works on it, for others. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void *waits(void *mount) {
    OK(mdna_mount_wait(mount));
    return NULL;
}

/* Whether a command of the shell succeeds, in which $f is a file. */
static bool shell(const char *command, const char *file) {
    CHECK(setenv("f", file, 1) == 0);
    return system(command) == 0;
}

/* How many descriptors of mounts this process has. */
static int connections(void) {
    int count = 0;
    for (int fd = 0; fd < 256; fd++) {
        char link[64], target[64] = "";
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t len = readlink(link, target, sizeof target - 1);
        count += len > 0 && strcmp(target, "/dev/fuse") == 0;
    }
    return count;
}

/* There is no room for what was written last; whoever waits for the end is told. */
static void without_room(const char *dir) {
    const char *vault_path = below(dir, "full");
    const char *point = below(dir, "mnt-full");
    mdna_vault *vault = new_vault(vault_path);
    mdna_mount *mount = NULL;
    mdna_string text = MDNA_STRING_INIT;
    char path[4200];
    CHECK(mkdir(point, 0700) == 0);
    OK(mdna_mount_start(vault, point, NULL, &mount));
    snprintf(path, sizeof path, "%s/artifacts/last", point);
    CHECK(shell("echo last words >\"$f\"", path));
    /* From now on no file of this process grows. */
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    const struct rlimit none = {0, limit.rlim_max};
    CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR && setrlimit(RLIMIT_FSIZE, &none) == 0);
    OK(mdna_umount(point));
    /* Of the engine's files or another one, whichever comes first. */
    mdna_status status = mdna_mount_wait(mount);
    CHECK(status == MDNA_ENGINE || status == MDNA_IO);
    CHECK(strstr(mdna_last_error()->subject, "/mnt-full/artifacts") != NULL);
    CHECK(strstr(mdna_last_error()->message, "what was written last could not be stored") != NULL);
    /* Whoever comes later is told as well. */
    FAILS(MDNA_IO, mdna_mount_wait(mount));
    CHECK(strstr(mdna_last_error()->subject, "/mnt-full") != NULL);
    mdna_mount_free(mount);
    mdna_vault_close(vault);
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    /* What was stored before is there. */
    OK(mdna_vault_open(vault_path, NULL, &vault));
    OK(mdna_vault_verify(vault, &text));
    CHECK(holds(&text, "\"clean\":true"));
    mdna_vault_close(vault);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    mdna_vault *vault = new_vault(below(argv[1], "vault"));
    const char *point = below(argv[1], "mnt");
    mdna_mount *mount = NULL;
    mdna_string text = MDNA_STRING_INIT;
    FAILS(MDNA_MOUNTPOINT_MISSING, mdna_mount_start(vault, point, NULL, &mount));
    FAILS(MDNA_MOUNTPOINT_NOT_EMPTY, mdna_mount_start(vault, argv[1], NULL, &mount));
    CHECK(mkdir(point, 0700) == 0);
    FAILS(MDNA_NOT_MOUNTED, mdna_umount(point));

    OK(mdna_mount_start(vault, point, NULL, &mount));
    /* What watches over the mount is no child that the program would meet. */
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
    OK(mdna_mount_path(mount, &text));
    CHECK(holds(&text, "mnt"));
    mdna_mount *second = NULL;
    FAILS(MDNA_ALREADY_MOUNTED, mdna_mount_start(vault, point, NULL, &second));

    /* The program and the mount see each other's changes. */
    OK(mdna_memory_add(vault, MEMORY, &text));
    char path[4200];
    snprintf(path, sizeof path, "%s/memories/short_term/%s.json", point, text.data);
    CHECK(shell("grep -q kettle \"$f\" && rm \"$f\"", path));
    mdna_string gone = MDNA_STRING_INIT;
    FAILS(MDNA_NOT_FOUND, mdna_memory_get(vault, text.data, &gone));
    mdna_string_free(&text);

    /* Somebody has a file open, and says so. */
    snprintf(path, sizeof path, "%s/artifacts/note.txt", point);
    CHECK(setenv("f", path, 1) == 0);
    int said[2], told[2];
    CHECK(pipe(said) == 0 && pipe(told) == 0);
    pid_t holder = fork();
    CHECK(holder >= 0);
    if (holder == 0) {
        FAILS(MDNA_FORKED, mdna_mount_path(mount, &text));
        CHECK(dup2(told[0], 0) == 0 && dup2(said[1], 1) == 1 && close(told[1]) == 0);
        execl("/bin/sh", "sh", "-c", "exec 3>\"$f\"; echo a note >&3; echo open; read line; exit 0", (char *)NULL);
        _exit(1);
    }
    char word[5];
    CHECK(read(said[0], word, sizeof word) == sizeof word && memcmp(word, "open\n", sizeof word) == 0);
    FAILS(MDNA_MOUNT_IN_USE, mdna_mount_stop(mount));
    CHECK(close(told[1]) == 0);
    int status = 1;
    CHECK(waitpid(holder, &status, 0) == holder && status == 0);
    OK(mdna_mount_stop(mount));
    OK(mdna_mount_stop(mount));
    mdna_mount_free(mount);

    mdna_mount_options options = MDNA_MOUNT_OPTIONS_INIT;
    options.allow_other = 9;
    FAILS(MDNA_INVALID_ARGUMENT, mdna_mount_start(vault, point, &options, &mount));
    options.allow_other = 0;
    options.read_only = 1;
    OK(mdna_mount_start(vault, point, &options, &mount));
    CHECK(shell("grep -q 'a note' \"$f\"", path));
    CHECK(!shell("echo x 2>/dev/null >\"$f\"", path));
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, waits, mount) == 0);
    OK(mdna_umount(point));
    CHECK(pthread_join(thread, NULL) == 0);
    OK(mdna_mount_stop(mount));
    mdna_mount_free(mount);
    mdna_mount_free(NULL);
    /* Nothing is left of any. */
    CHECK(connections() == 0);
    mdna_vault_close(vault);
    without_room(argv[1]);
    return 0;
}
