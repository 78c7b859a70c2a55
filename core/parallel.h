/*
 * parallel.h: one loop over many items, by as many threads as there are processors and work
 * for.
 */
#ifndef CORE_PARALLEL_H
#define CORE_PARALLEL_H

#include <stddef.h>

enum { PARALLEL_MOST = 16 }; /* threads, whatever is asked for */

/* Do the items lo .. hi-1.  Called at once from several threads, with ranges apart. */
typedef void parallel_fn(void *arg, size_t lo, size_t hi);

/* Processors that this process may use, at least 1. */
size_t parallel_cpus(void);

/* Call fn for ranges that together are 0 .. n-1, each of at least `least` items if there are
 * that many, and return when all are done.  When no thread can be started, the caller's does it
 * all. */
void parallel_run(size_t n, size_t least, parallel_fn *fn, void *arg);

/* The same by at most `nthread` threads, the caller's among them; 0 counts as 1. */
void parallel_run_by(size_t nthread, size_t n, parallel_fn *fn, void *arg);

/* Zero `bytes` at `at`, by at most nthread threads: the first touch of fresh pages is theirs, too. */
void parallel_zero(size_t nthread, void *at, size_t bytes);

#endif
