/*
 * store.h: the thread that talks to the queue's store, so that one that does not answer (a
 * database that is down for minutes, a disk that hangs) stops neither signals nor operators
 * nor running tasks.
 *
 * It owns a struct queue: opens it, opens it again when it was lost, closes it.  The loop posts
 * jobs; each is run by the thread, in order, and comes back to the loop.  While the store is
 * down the job in hand waits and is run again, after 0.1 s, 0.2 s ... 10 s (and up to a fifth
 * more, so that many daemons do not come back in step): every operation of core/store/queue.h
 * is safe to repeat.
 *
 *     store_new(&store, &opts, e);  store_post(store, &job);  ...  store_stop(store, 1);
 *     store_free(store);
 */
#ifndef WATCHERD_BASE_STORE_H
#define WATCHERD_BASE_STORE_H

#include <stdbool.h>
#include <uv.h>

#include "core/store/queue.h"
#include "watcherd/base/thread.h"

struct conf;
struct store; /* defined in store.c */

struct store_opts {
    uv_loop_t *loop;
    const struct conf *conf; /* copied where it is needed later */
    enum queue_role role;
    /* There may be something to do: somebody else changed the queue (`changed`), or it is
       time to look. */
    void (*news)(void *arg, bool changed);
    void (*turned)(void *arg, bool up); /* it went down, or is up again; may be NULL */
    void *arg;
};

/*
 * store_new: start the thread and wait for its first attempt to open the store, at most 5 s.
 * Status: 0, also when the store cannot be reached just now (or, for a worker, has no tables
 *   yet): the thread tries on; -EBUSY another daemon has it; else what queue_open said:
 *   starting is useless.
 * Note: *out is set whenever the loop has its handles, and is then store_free's, whatever the
 *   status.
 */
int store_new(struct store **out, const struct store_opts *opts, struct err *e);
/*
 * store_stop: let the job in hand end and join the thread; the other jobs are told -ECANCELED.
 * Status: 0; -ETIMEDOUT it hangs in a call and is left there: the process has to end by
 * _exit().
 */
int store_stop(struct store *s, double wait_s);
/* After store_stop and when the loop has closed its handles.  Leaves a thread that hangs
   alone. */
void store_free(struct store *s);

/* A side_job (base/thread.h says who owns it) that is given the queue. */
struct store_job {
    struct side_job side; /* store_post and store_ask fill it in */
    /* On the thread.  ERR_STORE_DOWN: if it was posted it is run again later, with `tries` one
       more. */
    int (*run)(struct store_job *job, struct queue *q, struct err *e);
    void (*done)(struct store_job *job, int rc, const struct err *e);
    void (*free)(
        struct store_job *job); /* NULL: it is only posted, and done frees it */
    int tries;                  /* how often it was run before */
};
/* Its done is not called before the store has answered. */
void store_post(struct store *s, struct store_job *job);
/*
 * store_ask: have it run before all that were posted; done is called after wait_s at the
 * latest, with ERR_STORE_DOWN at once while the store is down.
 */
void store_ask(struct store *s, struct store_job *job, double wait_s);

struct store_look {
    bool up;
    double since_s;         /* it is up, or down, for so long */
    char why[256];          /* it is down; "" */
    char where[QUEUE_TEXT]; /* "" before it was opened */
};
void store_look(struct store *s, struct store_look *out);

#endif
