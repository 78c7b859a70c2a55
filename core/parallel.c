/* parallel.c: see parallel.h. */
#include "core/parallel.h"

#include <pthread.h>
#include <string.h>
#include <sched.h>
#include <stdbool.h>

enum { MOST_THREADS = PARALLEL_MOST };

struct part {
    parallel_fn *fn;
    void *arg;
    size_t lo, hi;
};

static void *run(void *arg)
{
    const struct part *p = arg;

    p->fn(p->arg, p->lo, p->hi);
    return NULL;
}

/* k ranges, the last one by the caller's own thread. */
static void run_ranges(size_t n, size_t k, parallel_fn *fn, void *arg)
{
    struct part part[MOST_THREADS];
    pthread_t thread[MOST_THREADS];
    bool runs[MOST_THREADS] = {false};

    if (k > MOST_THREADS)
        k = MOST_THREADS;
    if (k == 0)
        k = 1;
    for (size_t i = 0; i < k; i++) {
        part[i] = (struct part){fn, arg, n * i / k, n * (i + 1) / k};
        runs[i] = i + 1 < k && pthread_create(&thread[i], NULL, run, &part[i]) == 0;
        if (!runs[i])
            run(&part[i]);
    }
    for (size_t i = 0; i < k; i++)
        if (runs[i])
            pthread_join(thread[i], NULL);
}

size_t parallel_cpus(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;

    return n > 0 ? (size_t)n : 1;
}

void parallel_run(size_t n, size_t least, parallel_fn *fn, void *arg)
{
    size_t k = least > 0 ? n / least : n, cpus = parallel_cpus();

    run_ranges(n, k > cpus ? cpus : k, fn, arg);
}

void parallel_run_by(size_t nthread, size_t n, parallel_fn *fn, void *arg)
{
    run_ranges(n, nthread < n ? nthread : n, fn, arg);
}

struct zero {
    char *at;
    size_t bytes, parts;
};

static void zero_parts(void *arg, size_t lo, size_t hi)
{
    const struct zero *z = arg;
    size_t from = z->bytes / z->parts * lo;
    size_t to = hi == z->parts ? z->bytes : z->bytes / z->parts * hi;

    memset(z->at + from, 0, to - from);
}

void parallel_zero(size_t nthread, void *at, size_t bytes)
{
    struct zero z = {at, bytes, 64};

    parallel_run_by(nthread, z.parts, zero_parts, &z);
}
