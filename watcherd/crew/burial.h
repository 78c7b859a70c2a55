/*
 * burial.h: the tasks of a worker that has ended, ours or a dead one's, are handed back.
 */
#ifndef WATCHERD_CREW_BURIAL_H
#define WATCHERD_CREW_BURIAL_H

#include <stddef.h>

struct store;

/* What became of it: rc 0, and `tasks` were handed back; -ECANCELED the store has stopped; else
   a failure, which is in the log already. */
typedef void burial_fn(void *arg, const char *worker_id, int rc, size_t tasks);

/* Posted to the store; fn is called from the loop, once. */
void burial_post(struct store *store, const char *worker_id, burial_fn *fn, void *arg);

#endif
