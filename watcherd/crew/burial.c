#include "watcherd/crew/burial.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/store/queue.h"
#include "watcherd/base/store.h"

struct burial {
    struct store_job job;
    char id[QUEUE_WORKER];
    size_t tasks;
    burial_fn *fn;
    void *arg;
};

static int run_burial(struct store_job *job, struct queue *q, struct err *e)
{
    struct burial *b = (struct burial *)job;

    return queue_bury(q, b->id, &b->tasks, e);
}

static void end_burial(struct store_job *job, int rc, const struct err *e)
{
    struct burial *b = (struct burial *)job;

    if (rc != 0 && rc != -ECANCELED)
        log_event(LOG_ERROR, "queue", "worker", b->id, "reason", e->text, "code",
                  err_name(e->code), NULL);
    b->fn(b->arg, b->id, rc, b->tasks);
    free(b);
}

void burial_post(struct store *store, const char *worker_id, burial_fn *fn, void *arg)
{
    struct burial *b = mem_calloc(1, sizeof *b);

    b->job.run = run_burial;
    b->job.done = end_burial;
    b->fn = fn;
    b->arg = arg;
    snprintf(b->id, sizeof b->id, "%s", worker_id);
    store_post(store, &b->job);
}
