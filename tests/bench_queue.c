/*
 * bench_queue: what a store of tasks does in a second.
 *
 *   bench_queue STORE turn N [C]       N tasks, each turn ends one, claims one; C connections
 *   bench_queue STORE pairs N [C]      the same in two transactions: claim, end
 *   bench_queue STORE tens N [C]       each turn ends ten and claims ten
 *   bench_queue STORE spawn N          N tasks made one by one
 *   bench_queue STORE hundreds N       N tasks made by hundreds
 *   bench_queue STORE latency N        N claims of waiting tasks: p50_ms, p99_ms, max_ms
 *
 * STORE as in queue_open.  The first four make the tasks that they need; what was there stays,
 * behind them in priority.  Prints per_s=RATE, or the times.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/store/queue.h"
#include "tests/queue_one.h"

enum { MOST = 10, BATCH = 100, MAX_CONNECTIONS = 16 };

/* 300 bytes, as a group's params are. */
static char params[300];
static const char *store;

static void give_up(const struct err *e)
{
    fprintf(stderr, "bench_queue: %s\n", e->text);
    exit(1);
}

static struct queue *open_store(enum queue_role role)
{
    struct queue_opts opts = {.store = store, .role = role};
    struct queue *q;
    struct err e;

    if (queue_open(&q, &opts, &e) != 0)
        give_up(&e);
    return q;
}

static void make_tasks(struct queue *q, long n, long batch, const char *prefix)
{
    static char key[BATCH][64];
    struct task_spec spec[BATCH];
    struct err e;

    for (long i = 0; i < n; i += batch) {
        long m = n - i < batch ? n - i : batch;

        for (long k = 0; k < m; k++) {
            snprintf(key[k], sizeof key[k], "%s-%d-%08ld", prefix, (int)getpid(),
                     i + k);
            spec[k] = (struct task_spec){.name = "bench",
                                         .key = key[k],
                                         .params = params,
                                         .priority = 1,
                                         .max_retries = 3};
        }
        if (queue_spawn(q, spec, (size_t)m, &e) != 0)
            give_up(&e);
    }
}

/* ---- claim and end ---- */

struct client {
    pthread_t thread;
    int number;
    size_t want;
    bool pairs;
    struct queue *q;
    long ended;
};

static void end_got(struct queue_turn *turn, struct task_end *end)
{
    turn->end = end;
    turn->nend = turn->ngot;
    for (size_t i = 0; i < turn->ngot; i++) {
        end[i] = (struct task_end){.fence = turn->got[i].fence, .how = TASK_COMPLETE};
        memcpy(end[i].id, turn->got[i].id, QUEUE_ID);
        task_clear(&turn->got[i]);
    }
}

static void *work(void *arg)
{
    struct client *c = arg;
    char name[32];
    struct task got[MOST] = {0};
    struct task_end end[MOST];
    struct queue_turn turn = {.worker = name, .lease_s = 60, .got = got};
    struct err e;

    snprintf(name, sizeof name, "bench:%d", c->number);
    do {
        turn.want = c->want;
        if (queue_turn(c->q, &turn, &e) != 0)
            give_up(&e);
        c->ended += (long)turn.nend;
        end_got(&turn, end);
        if (c->pairs && turn.nend > 0) {
            turn.want = 0;
            if (queue_turn(c->q, &turn, &e) != 0)
                give_up(&e);
            c->ended += (long)turn.nend;
            turn.nend = 0;
            turn.ngot = 1; /* there may be more */
        }
    } while (turn.ngot > 0 || turn.nend > 0);
    return NULL;
}

static void race(struct queue *first, long n, long nclient, size_t want, bool pairs)
{
    struct client c[MAX_CONNECTIONS] = {0};
    double t0;
    long all = 0;

    make_tasks(first, n, BATCH, "w");
    for (int i = 0; i < nclient; i++) {
        c[i] = (struct client){.number = i, .want = want, .pairs = pairs};
        c[i].q = i == 0 ? first : open_store(QUEUE_AS_WORKER);
    }
    t0 = clock_boot_s();
    for (int i = 0; i < nclient; i++)
        pthread_create(&c[i].thread, NULL, work, &c[i]);
    for (int i = 0; i < nclient; i++) {
        pthread_join(c[i].thread, NULL);
        all += c[i].ended;
        if (i > 0)
            queue_close(c[i].q);
    }
    printf("n=%ld per_s=%.0f\n", all, (double)all / (clock_boot_s() - t0));
}

/* ---- the rest ---- */

static void spawn(struct queue *q, long n, long batch)
{
    double t0 = clock_boot_s();

    make_tasks(q, n, batch, "s");
    printf("n=%ld per_s=%.0f\n", n, (double)n / (clock_boot_s() - t0));
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void latency(struct queue *q, long n)
{
    double *ms = calloc((size_t)n, sizeof *ms), t0;
    struct task task;
    struct err e;
    long i;

    for (i = 0; i < n; i++) {
        struct task_end end = {.how = TASK_COMPLETE};

        t0 = clock_boot_s();
        if (claim_one(q, "bench:0", 60, &task, &e) != 0)
            break;
        ms[i] = 1e3 * (clock_boot_s() - t0);
        memcpy(end.id, task.id, QUEUE_ID);
        end.fence = task.fence;
        task_clear(&task);
        if (end_one(q, &end, &e) != 0)
            give_up(&e);
    }
    qsort(ms, (size_t)i, sizeof *ms, by_size);
    if (i > 0)
        printf("n=%ld p50_ms=%.3f p99_ms=%.3f max_ms=%.3f\n", i, ms[i / 2],
               ms[i * 99 / 100], ms[i - 1]);
    free(ms);
}

int main(int argc, char **argv)
{
    struct queue *q;
    long n, nclient;

    if (argc < 4) {
        fputs("usage: bench_queue STORE turn|pairs|tens|spawn|hundreds|latency N [C]\n",
              stderr);
        return 64;
    }
    store = argv[1];
    n = strtol(argv[3], NULL, 10);
    nclient = argc > 4 ? strtol(argv[4], NULL, 10) : 1;
    if (n < 1 || nclient < 1 || nclient > MAX_CONNECTIONS)
        return 64;
    memset(params, 'x', sizeof params);
    memcpy(params, "{\"files\":\"", 10);
    memcpy(params + sizeof params - 3, "\"}", 3);
    q = open_store(QUEUE_AS_DAEMON);
    if (strcmp(argv[2], "turn") == 0)
        race(q, n, nclient, 1, false);
    else if (strcmp(argv[2], "pairs") == 0)
        race(q, n, nclient, 1, true);
    else if (strcmp(argv[2], "tens") == 0)
        race(q, n, nclient, MOST, false);
    else if (strcmp(argv[2], "spawn") == 0)
        spawn(q, n, 1);
    else if (strcmp(argv[2], "hundreds") == 0)
        spawn(q, n, BATCH);
    else
        latency(q, n);
    queue_close(q);
    return 0;
}
