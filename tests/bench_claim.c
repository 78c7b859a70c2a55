/*
 * bench_claim.c: claims made, taken over and left behind, for tests/bench.
 *
 *   bench_claim rate DIR NGROUPS ROUNDS forced|relaxed   claim and release, one process
 *   bench_claim kernel DIR NGROUPS ROUNDS                the same by flock on GROUP.lock alone
 *   bench_claim takeover DIR N       N times: kill -9 an owner while another process waits
 *   bench_claim hold DIR FIRST N     claim N groups, say "held", keep them until stdin ends
 *   bench_claim abandon DIR FIRST N  claim N groups and die
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/err.h"
#include "locks/claim.h"
#include "locks/legacy.h"
#include "locks/observer.h"

/* The waiting process looks this often. */
#define LOOK_S 0.01

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static int complain(const struct err *e)
{
    fprintf(stderr, "bench_claim: %s\n", e->text);
    return 1;
}

static int claim_once(const char *dir, int group, const char *how, struct err *e)
{
    struct claim_opts opts = {.relaxed = strcmp(how, "relaxed") == 0};
    struct claim *claim;
    char path[4096], name[32];
    int rc;

    snprintf(name, sizeof name, "g%06d", group);
    snprintf(path, sizeof path, "%s/%s", dir, name);
    rc = claim_acquire(&claim, path, name, &opts, e);
    return rc == 0 ? claim_release(claim, "released", e) : rc;
}

static int kernel_once(const char *dir, int group, struct err *e)
{
    struct legacy *lock;
    char path[4096];
    int rc;

    snprintf(path, sizeof path, "%s/g%06d.lock", dir, group);
    rc = legacy_acquire(&lock, path, e);
    if (rc == 0)
        legacy_release(lock);
    return rc;
}

/* The first round also makes the groups' directories; it is told apart. */
static int rate(const char *dir, int ngroups, int rounds, const char *how)
{
    double start = now_s(), first = 0;
    struct err e = {0};
    int rc = 0;

    for (int round = 0; round < rounds; round++) {
        for (int i = 0; rc == 0 && i < ngroups; i++)
            rc = how == NULL ? kernel_once(dir, i, &e) : claim_once(dir, i, how, &e);
        if (round == 0)
            first = now_s();
    }
    if (rc != 0)
        return complain(&e);
    printf("first_per_s=%.0f again_per_s=%.0f\n", ngroups / (first - start),
           ngroups * (rounds - 1) / (now_s() - first));
    return 0;
}

/* ---- takeover ---- */

/* A child that claims `dir`, trying every LOOK_S, says when, and keeps it. */
static pid_t claimer(const char *dir, int say)
{
    struct observer *observer = observer_new();
    struct claim_opts opts = {.observer = observer, .relaxed = 1};
    struct timespec look = {.tv_nsec = (long)(1e9 * LOOK_S)};
    struct claim *claim;
    double at;
    pid_t pid = fork();

    if (pid != 0) {
        observer_free(observer);
        return pid;
    }
    while (claim_acquire(&claim, dir, "taken", &opts, NULL) != 0)
        nanosleep(&look, NULL);
    at = now_s();
    if (write(say, &at, sizeof at) != sizeof at)
        _exit(1);
    for (;;)
        pause();
}

static int takeover(const char *dir, size_t n)
{
    double took_ms[100], at;
    char path[4096];
    int say[2];
    pid_t owner, next;

    if (n < 1 || n > sizeof took_ms / sizeof took_ms[0] || pipe(say) != 0)
        return 1;
    snprintf(path, sizeof path, "%s/taken", dir);
    owner = claimer(path, say[1]);
    if (read(say[0], &at, sizeof at) != sizeof at)
        return 1;
    for (size_t i = 0; i < n; i++) {
        struct timespec settle = {.tv_nsec = 30000000 + 1000000 * (long)(i % 10)};
        double killed;

        next = claimer(path, say[1]);
        nanosleep(&settle, NULL); /* not in step with the waiting one's looks */
        killed = now_s();
        kill(owner, SIGKILL);
        if (read(say[0], &at, sizeof at) != sizeof at)
            return 1;
        took_ms[i] = 1e3 * (at - killed);
        waitpid(owner, NULL, 0); /* until now a zombie: that must be proof enough */
        owner = next;
    }
    kill(owner, SIGKILL);
    waitpid(owner, NULL, 0);
    qsort(took_ms, n, sizeof *took_ms, by_value);
    printf("p50_ms=%.2f max_ms=%.2f\n", took_ms[n / 2], took_ms[n - 1]);
    return 0;
}

/* ---- locks to be listed ---- */

static int hold(const char *dir, int first, int n, int abandon)
{
    struct claim_opts opts = {.relaxed = 1};
    struct pollfd in = {.fd = 0, .events = POLLIN};
    struct err e = {0};
    struct claim *claim;
    char path[4096], name[32];

    for (int i = first; i < first + n; i++) {
        snprintf(name, sizeof name, "g%06d", i);
        snprintf(path, sizeof path, "%s/%s", dir, name);
        if (claim_acquire(&claim, path, name, &opts, &e) != 0)
            return complain(&e);
    }
    if (abandon)
        _exit(0);
    puts("held");
    fflush(stdout);
    poll(&in, 1, -1);
    _exit(0); /* the claims go with us */
}

int main(int argc, char **argv)
{
    const char *verb = argc > 2 ? argv[1] : "";

    if (argc == 6 && strcmp(verb, "rate") == 0)
        return rate(argv[2], atoi(argv[3]), atoi(argv[4]), argv[5]);
    if (argc == 5 && strcmp(verb, "kernel") == 0)
        return rate(argv[2], atoi(argv[3]), atoi(argv[4]), NULL);
    if (argc == 4 && strcmp(verb, "takeover") == 0)
        return takeover(argv[2], (size_t)atol(argv[3]));
    if (argc == 5 && (strcmp(verb, "hold") == 0 || strcmp(verb, "abandon") == 0))
        return hold(argv[2], atoi(argv[3]), atoi(argv[4]),
                    strcmp(verb, "abandon") == 0);
    fprintf(stderr, "see the head of bench_claim.c\n");
    return 64;
}
