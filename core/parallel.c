/* parallel.c: see parallel.h. */
#include "core/parallel.h"

#include <pthread.h>
#include <stdbool.h>
#include <unistd.h>

enum { MOST_THREADS = 8 };

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

void parallel_run(size_t n, size_t least, parallel_fn *fn, void *arg)
{
    struct part part[MOST_THREADS];
    pthread_t thread[MOST_THREADS];
    bool runs[MOST_THREADS] = {false};
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    size_t k = least > 0 ? n / least : n;

    if (cpus >= 1 && k > (size_t)cpus)
        k = (size_t)cpus;
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
