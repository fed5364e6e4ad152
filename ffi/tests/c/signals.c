#define _POSIX_C_SOURCE 200809L
/* Threads of the library take no signals, whoever starts them; a program that waits for one gets it, and its handlers run in its own
   threads, also during calls. */
#include "signals.h"

#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

static volatile sig_atomic_t handled = 0;

static void handle(int number) {
    (void)number;
    handled++;
}

/* The thread of the program takes signals during a call as before it. */
static int follow(void *user_data, const char *phase, uint64_t done, uint64_t total) {
    (void)phase;
    (void)done;
    (void)total;
    sig_atomic_t before = handled;
    CHECK(kill(getpid(), SIGUSR2) == 0 && handled == before + 1);
    (void)threads_take_no_signals();
    *(unsigned *)user_data += 1;
    return 0;
}

static void hear(void *user_data, mdna_status status, const mdna_change *change) {
    (void)user_data;
    (void)status;
    (void)change;
}

static void backups(mdna_vault *vault, const char *dir) {
    mdna_repository *repository = NULL;
    mdna_string text = MDNA_STRING_INIT;
    unsigned calls = 0;
    OK(mdna_repository_init(below(dir, "repository"), NULL, NULL, NULL, &repository));
    OK(mdna_backup_create(repository, vault, "one", false, false, follow, &calls, NULL));
    OK(mdna_repository_verify(repository, 0, NULL, follow, &calls, &text));
    CHECK(holds(&text, "\"clean\":true"));
    OK(mdna_backup_restore(repository, "one", below(dir, "restored"), follow, &calls, NULL));
    CHECK(calls >= 3);
    mdna_repository_close(repository);
}

/* What this process has blocked it can wait for, and nothing else takes it. */
static void wait_for_signals(void) {
    sigset_t waited, before;
    int number = 0;
    sig_atomic_t handled_before = handled;
    sigemptyset(&waited);
    sigaddset(&waited, SIGTERM);
    sigaddset(&waited, SIGUSR2);
    CHECK(pthread_sigmask(SIG_BLOCK, &waited, &before) == 0);
    CHECK(kill(getpid(), SIGUSR2) == 0 && kill(getpid(), SIGTERM) == 0);
    nanosleep(&(struct timespec){0, 50000000}, NULL);
    CHECK(handled == handled_before);
    CHECK(sigwait(&waited, &number) == 0 && (number == SIGTERM || number == SIGUSR2));
    CHECK(sigwait(&waited, &number) == 0 && (number == SIGTERM || number == SIGUSR2));
    CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
}

/* Uses a vault that another process owns, and owns it when that has closed it. */
static void other_process(const char *path, int begin, int ready) {
    char byte = 0;
    mdna_vault *vault = NULL;
    CHECK(read(begin, &byte, 1) == 1);
    OK(mdna_vault_open(path, NULL, &vault));
    OK(mdna_memory_add(vault, MEMORY, NULL));
    CHECK(threads_take_no_signals() > 0);
    CHECK(write(ready, &byte, 1) == 1 && read(begin, &byte, 1) == 1);
    OK(mdna_memory_add(vault, MEMORY, NULL));
    OK(mdna_vault_flush(vault));
    CHECK(threads_take_no_signals() > 0);
    wait_for_signals();
    mdna_vault_close(vault);
    _exit(0);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    struct sigaction action = {0};
    action.sa_handler = handle;
    CHECK(sigaction(SIGUSR2, &action, NULL) == 0);
    int begin[2], ready[2], status = 1;
    char byte = 0;
    const char *path = below(argv[1], "vault");
    CHECK(pipe(begin) == 0 && pipe(ready) == 0);
    pid_t other = fork();
    CHECK(other >= 0);
    if (other == 0) {
        close(begin[1]);
        other_process(path, begin[0], ready[1]);
    }
    close(ready[1]);

    mdna_vault *vault = new_vault(path);
    CHECK(threads_take_no_signals() > 0);
    mdna_watch *watch = NULL;
    mdna_mount *mount = NULL;
    mdna_file *file = NULL;
    OK(mdna_watch_start(vault, 0, hear, NULL, &watch));
    const char *point = below(argv[1], "mnt");
    CHECK(mkdir(point, 0700) == 0);
    OK(mdna_mount_start(vault, point, NULL, &mount));
    OK(mdna_file_open(vault, "note", MDNA_OPEN_WRITE | MDNA_OPEN_CREATE_NEW, 0600, &file));
    OK(mdna_file_write(file, (const uint8_t *)"a note", 6));
    OK(mdna_file_sync(file, false));
    mdna_file_close(file);
    CHECK(write(begin[1], &byte, 1) == 1 && read(ready[0], &byte, 1) == 1);
    CHECK(threads_take_no_signals() > 10);
    wait_for_signals();
    OK(mdna_mount_stop(mount));
    mdna_mount_free(mount);
    mdna_watch_free(watch);
    backups(vault, argv[1]);
    CHECK(threads_take_no_signals() > 0);
    mdna_vault_close(vault);

    CHECK(write(begin[1], &byte, 1) == 1);
    CHECK(waitpid(other, &status, 0) == other && status == 0);
    wait_for_signals();
    return 0;
}
