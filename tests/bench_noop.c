/*
 * bench_noop.c: how many tasks that do nothing go through the daemon and its worker processes.
 *
 *   bench_noop fill CONF N    make the queue of CONF with N tasks
 *   bench_noop wait CONF N    until a daemon has completed them; prints n= rate= of the
 *                             first claim to the last end
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/conf.h"
#include "core/err.h"
#include "core/store/queue.h"
#include "pipeline/pipeline.h"

enum { BATCH = 500 };

static int complain(const struct err *e)
{
    fprintf(stderr, "bench_noop: %s\n", e->text);
    return 1;
}

static int fill(struct queue *q, long n, struct err *e)
{
    static struct task_spec spec[BATCH];
    static char key[BATCH][32];

    for (long i = 0; i < n; i += BATCH) {
        size_t m = n - i < BATCH ? (size_t)(n - i) : BATCH;

        for (size_t k = 0; k < m; k++) {
            snprintf(key[k], sizeof key[k], "bench%08ld", i + (long)k);
            spec[k] = (struct task_spec){.name = "noop", .key = key[k]};
        }
        if (queue_spawn(q, spec, m, e) != 0)
            return complain(e);
    }
    return 0;
}

struct span {
    double first, last;
    long n;
};

static void widen(void *arg, const struct task *t)
{
    struct span *s = arg;

    if (s->n++ == 0 || t->claimed < s->first)
        s->first = t->claimed;
    if (t->ended > s->last)
        s->last = t->ended;
}

static int wait_for(struct queue *q, long n, struct err *e)
{
    struct timespec tick = {0, 50000000};
    struct span s = {0};
    size_t done = 0;

    while (queue_count(q, TASK_COMPLETED, &done, e) == 0 && done < (size_t)n)
        nanosleep(&tick, NULL);
    if (done < (size_t)n ||
        queue_each(q, &(struct task_filter){.name = "noop"}, widen, &s, e) != 0)
        return complain(e);
    printf("n=%ld rate=%.0f\n", s.n, (double)s.n / (s.last - s.first));
    return 0;
}

int main(int argc, char **argv)
{
    static struct conf conf; /* large; one for the program */
    struct queue *q = NULL;
    struct err e = {0};
    bool filling;
    int rc;

    if (argc != 4)
        return 64;
    filling = strcmp(argv[1], "fill") == 0;
    conf_defaults(&conf, NULL, &pipeline_settings);
    if (conf_load(&conf, argv[2], &pipeline_settings, &e) != 0 ||
        queue_open_conf(&q, &conf, filling ? QUEUE_AS_DAEMON : QUEUE_AS_TOOL, &e) != 0)
        return complain(&e);
    rc = filling ? fill(q, strtol(argv[3], NULL, 10), &e)
                 : wait_for(q, strtol(argv[3], NULL, 10), &e);
    queue_close(q);
    return rc;
}
