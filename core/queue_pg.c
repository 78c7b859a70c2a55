/* queue_pg.c: the queue in PostgreSQL; the store itself comes with the next commit of this room. */
#include "core/queue_store.h"

#include <errno.h>

#include "core/err.h"

static int open_queue(struct queue **out, const struct queue_opts *opts, struct err *e)
{
    (void)opts;
    *out = NULL;
    return err_set(e, -ENOTSUP, "PostgreSQL is not supported by this build");
}

static int restore(const struct queue_opts *opts, const char *path, struct err *e)
{
    (void)path;
    return open_queue(&(struct queue *){NULL}, opts, e);
}

static int migrate(const struct queue_opts *opts, bool dry, struct queue_schema *schema,
                   queue_say_fn *say, void *arg, struct err *e)
{
    (void)dry;
    (void)schema;
    (void)say;
    (void)arg;
    return open_queue(&(struct queue *){NULL}, opts, e);
}

const struct queue_kind queue_pg = {open_queue, restore, migrate};
