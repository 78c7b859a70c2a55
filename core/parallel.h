/*
 * parallel.h: one loop over many items, by as many threads as there are processors and work
 * for.
 */
#ifndef CORE_PARALLEL_H
#define CORE_PARALLEL_H

#include <stddef.h>

/* Do the items lo .. hi-1.  Called at once from several threads, with ranges apart. */
typedef void parallel_fn(void *arg, size_t lo, size_t hi);

/* Call fn for ranges that together are 0 .. n-1, each of at least `least` items if there are
 * that many, and return when all are done.  When no thread can be started, the caller's does it
 * all. */
void parallel_run(size_t n, size_t least, parallel_fn *fn, void *arg);

#endif
