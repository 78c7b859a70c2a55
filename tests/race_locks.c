/*
 * race_locks: sixteen processes claim, crash and clean in directories given as several
 * views of one.
 *
 *   race_locks ATTEMPTS JUDGE DIR...     until so many have tried to claim or clean
 *
 * The judge is a file of its own on the local disk, locked by fcntl(2) while a claim is held:
 * an independent witness of two holders at once.  A process that "crashes" ends without
 * release. A cleaner that ended a claim whose owner was alive shows when that owner loses it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/err.h"
#include "locks/claim.h"
#include "locks/locklist.h"
#include "locks/observer.h"

enum { PROCESSES = 16 };

static struct progress {
    long attempts, held, doubles, lost, cleaned, crashes, errors;
} * tally;

static void count(long *what)
{
    __atomic_add_fetch(what, 1, __ATOMIC_RELAXED);
}

static void clean(const char *dir)
{
    struct locklist list;

    if (locklist_read(&list, dir, NULL, NULL, NULL) != 0)
        return;
    for (size_t i = 0; i < list.n; i++)
        if (list.item[i].view.state == LOCK_DEAD &&
            locklist_clean(dir, &list.item[i], "race", NULL) == 0)
            count(&tally->cleaned);
    locklist_clear(&list);
}

static void hold(struct claim *claim, int judge, unsigned int *seed)
{
    struct err e;

    count(&tally->held);
    if (lockf(judge, F_TLOCK, 0) != 0)
        count(&tally->doubles);
    if (rand_r(seed) % 4 == 0)
        usleep(50);
    if (rand_r(seed) % 20 == 0) {
        count(&tally->crashes);
        _exit(0);
    }
    lockf(judge, F_ULOCK, 0);
    if (claim_release(claim, "done", &e) != 0)
        count(&tally->lost);
}

static void play(const char *dir, const char *judge_path, unsigned int seed,
                 long attempts)
{
    int judge = open(judge_path, O_RDWR | O_CREAT, 0644);
    char group[4096];

    snprintf(group, sizeof group, "%s/g", dir);
    while (__atomic_load_n(&tally->attempts, __ATOMIC_RELAXED) < attempts) {
        struct claim_opts opts = {.relaxed = 1};
        struct claim *claim;
        struct err e;
        int rc;

        if (rand_r(&seed) % 8 == 0) {
            count(&tally->attempts);
            clean(dir);
            continue;
        }
        count(&tally->attempts);
        rc = claim_acquire(&claim, group, "g", &opts, &e);
        if (rc == 0)
            hold(claim, judge, &seed);
        else if (rc == -EBUSY) {
            usleep(100); /* the holder needs the processor to go on */
        } else {
            fprintf(stderr, "%s\n", e.text);
            count(&tally->errors);
        }
    }
    _exit(0);
}

/* The lock directory grows by two files a claim; those of long ago only slow the race down. */
static void prune(const char *dir)
{
    char cmd[4200];

    snprintf(
        cmd, sizeof cmd,
        "cd '%s/g' 2>/dev/null && n=$(ls | sed -n 's/^g\\.//p' | sort -n | tail -1) && "
        "for f in [ghrc].*; do [ $((${f#*.} + 100)) -lt $n ] && rm -f $f; done; true",
        dir);
    if (system(cmd) != 0)
        fputs("cannot prune\n", stderr);
}

int main(int argc, char **argv)
{
    long attempts = argc > 3 ? strtol(argv[1], NULL, 10) : 0, started = 0;

    tally = mmap(NULL, sizeof *tally, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (attempts <= 0 || tally == MAP_FAILED)
        return 64;
    for (int running = 0;;) {
        while (running < PROCESSES && tally->attempts < attempts) {
            if (fork() == 0)
                play(argv[3 + started % (argc - 3)], argv[2], (unsigned int)started,
                     attempts);
            started++;
            running++;
        }
        if (running == 0)
            break;
        wait(NULL);
        running--;
        if (started % 32 == 0)
            prune(argv[3]);
    }
    printf("%ld attempts, %ld held, %ld crashes, %ld cleaned, %ld double holds, %ld "
           "lost, %ld errors\n",
           tally->attempts, tally->held, tally->crashes, tally->cleaned, tally->doubles,
           tally->lost, tally->errors);
    return tally->doubles == 0 && tally->lost == 0 && tally->errors == 0 &&
                   tally->held > 0
               ? 0
               : 1;
}
